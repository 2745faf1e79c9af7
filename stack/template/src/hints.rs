//! What to do about a function that is not there.

use crate::{FunctionSet, alertmanager, builtins, prometheus};

/// Functions of Sprig, Helm's library, that people try in alert templates, with what does the same here.
const SPRIG: [(&str, &str); 43] = [
    ("default", "use {{ if .X }}{{ .X }}{{ else }}N/A{{ end }}"),
    ("trim", ""),
    ("trimSuffix", "use reReplaceAll \"suffix$\" \"\""),
    ("trimPrefix", "use reReplaceAll \"^prefix\" \"\""),
    ("upper", "use toUpper"),
    ("lower", "use toLower"),
    ("replace", "use reReplaceAll \"old\" \"new\" .X"),
    ("regexReplaceAll", "use reReplaceAll \"pattern\" \"new\" .X"),
    ("regexMatch", "use match \"pattern\" .X"),
    ("contains", "use match \"text\" .X"),
    ("hasPrefix", "use match \"^prefix\" .X"),
    ("hasSuffix", "use match \"suffix$\" .X"),
    ("hasKey", "use {{ if .Labels.key }}"),
    ("get", "use index .Labels \"key\""),
    ("coalesce", "use {{ or .A .B }}"),
    ("ternary", "use {{ if .X }}a{{ else }}b{{ end }}"),
    ("empty", "use {{ if not .X }}"),
    ("quote", "use printf \"%q\" .X"),
    ("squote", "use printf \"'%s'\" .X"),
    ("trunc", "use printf \"%.10s\" .X"),
    ("add", ""),
    ("sub", ""),
    ("mul", ""),
    ("div", ""),
    ("mod", ""),
    ("max", ""),
    ("min", ""),
    ("round", "use printf \"%.2f\" .X"),
    ("floor", "use printf \"%.0f\" .X"),
    ("int", "use printf \"%.0f\" .X"),
    ("float64", ""),
    ("toString", "use printf \"%v\" .X"),
    ("first", ""),
    ("last", ""),
    ("splitList", ""),
    ("split", ""),
    ("indent", ""),
    ("nindent", ""),
    ("include", "use {{ template \"name\" . }}"),
    ("required", ""),
    ("toYaml", ""),
    ("b64enc", ""),
    ("env", ""),
];

/// What to say about the function `name`, which the dialect does not have.
pub(crate) fn unknown_function(name: &str, functions: &dyn FunctionSet) -> Option<String> {
    let dialect = functions.dialect();
    let others = [
        ("Prometheus rules", prometheus::SIGNATURES, "Prometheus"),
        (
            "Alertmanager's notifications",
            alertmanager::SIGNATURES,
            "Alertmanager",
        ),
    ];
    for (place, signatures, other) in others {
        if other != dialect && signatures.iter().any(|signature| signature.name == name) {
            return Some(format!(
                "`{name}` belongs to the templates of {place}; {dialect} has no such function"
            ));
        }
    }
    if let Some((_, instead)) = SPRIG.iter().find(|(own, _)| *own == name) {
        let mut hint = format!("`{name}` belongs to Helm/Sprig; {dialect} has no such function");
        if !instead.is_empty() {
            hint.push_str("; ");
            hint.push_str(instead);
        }
        return Some(hint);
    }
    let known = functions
        .signatures()
        .iter()
        .map(|signature| signature.name)
        .chain(builtins::names());
    gameday_signal::nearest(name, known).map(|near| format!("did you mean `{near}`?"))
}

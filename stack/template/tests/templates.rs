//! Templates and what Go makes of them.
//!
//! `alertmanager_cases.jsonl` holds templates of our own with the output that `amtool template render` 0.25 gave for the data
//! below; where a newer Alertmanager or Go differs (`range 3`, how label sets print) the newer answer stands.

use gameday_signal::{Labels, Timestamp};
use gameday_template::{
    AlertmanagerFunctions, Error, Escaping, Limits, NoFunctions, NotificationAlert,
    NotificationData, PrometheusFunctions, QuerySample, TemplateSet, Time, Value,
};
use proptest::prelude::*;

const NOW: Timestamp = Timestamp::from_secs(1_795_230_245);

fn time(text: &str) -> Time {
    Time::parse("2006-01-02T15:04:05Z07:00", text).expect("a valid time")
}

fn data() -> Value {
    let firing = NotificationAlert {
        resolved: false,
        labels: Labels::new([
            ("alertname", "HighLatency"),
            ("severity", "critical"),
            ("service", "checkout"),
        ]),
        annotations: Labels::new([
            ("summary", "slow <b>checkout</b>"),
            ("description", "p99 > 1s & rising"),
        ]),
        starts_at: time("2026-11-21T03:04:05.678Z"),
        ends_at: Time::zero(),
        generator_url: "http://prometheus.example:9090/graph?g0.expr=up+%3D%3D+0&g0.tab=1".into(),
    };
    let resolved = NotificationAlert {
        resolved: true,
        labels: Labels::new([
            ("alertname", "HighLatency"),
            ("severity", "warning"),
            ("service", "cart"),
        ]),
        annotations: Labels::new([("summary", "slow cart")]),
        starts_at: time("2026-11-21T02:04:05Z"),
        ends_at: time("2026-11-21T03:00:00Z"),
        generator_url: "http://p/x".into(),
    };
    NotificationData {
        receiver: "team".into(),
        alerts: vec![firing, resolved],
        group_labels: Labels::new([("alertname", "HighLatency")]),
        external_url: "http://am.example:9093".into(),
        ..NotificationData::default()
    }
    .to_value()
}

fn render(text: &str) -> Result<String, Error> {
    let functions = AlertmanagerFunctions { now: NOW };
    TemplateSet::new().render_text(text, &data(), &functions, Escaping::None)
}

fn check(text: &str, expected: &str) {
    assert_eq!(render(text).as_deref(), Ok(expected), "{text}");
}

#[test]
fn answers_as_alertmanager_does() {
    let mut wrong = Vec::new();
    for line in include_str!("alertmanager_cases.jsonl").lines() {
        let case: serde_json::Value = serde_json::from_str(line).expect("a case a line");
        let text = case["template"].as_str().expect("a template");
        let expected = (
            case["ok"].as_bool().expect("a verdict"),
            case["output"].as_str().expect("an output").to_owned(),
        );
        let given = match render(text) {
            Ok(output) => (true, output),
            Err(error) => (false, error.to_string()),
        };
        if given != expected {
            wrong.push(format!(
                "{text}\n  expected {expected:?}\n  given    {given:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn has_the_functions_of_newer_alertmanagers() {
    check(
        r#"{{ (index .Alerts 0).StartsAt | tz "Europe/Berlin" | date "15:04 MST" }}"#,
        "04:04 CET",
    );
    check(r#"{{ since (index .Alerts 1).StartsAt }}"#, "1h0m0s");
    check(
        r#"{{ since (index .Alerts 1).StartsAt | humanizeDuration }}"#,
        "1h 0m 0s",
    );
    check(r#"{{ now.Unix }}"#, "1795230245");
    check(
        r#"{{ list 1 "a" | toJson }} {{ append (list 1) 2 | toJson }} {{ dict "a" 1 "b" "<" | toJson }}"#,
        r#"[1,"a"] [1,2] {"a":1,"b":"\u003c"}"#,
    );
    check(
        r#"{{ toDate "2006-01-02" "2026-11-21" | date "Jan 2" }}"#,
        "Nov 21",
    );
    check(
        r#"{{ "a%20b+c" | urlUnescape }} {{ base64encode "ab" }} {{ trimSpace " x " }}"#,
        "a b c YWI= x",
    );
    check(
        r#"{{ (index .Alerts 1).Labels | toJson }} {{ (index .Alerts 1).EndsAt | toJson }}"#,
        r#"{"alertname":"HighLatency","service":"cart","severity":"warning"} "2026-11-21T03:00:00Z""#,
    );
}

#[test]
fn names_where_a_foreign_function_belongs() {
    let hint = |text: &str| {
        let error = render(text).expect_err("an unknown function");
        error.hint().unwrap_or_default().to_owned()
    };
    assert_eq!(
        hint(r#"{{ .Status | default "N/A" }}"#),
        "`default` belongs to Helm/Sprig; Alertmanager has no such function; use {{ if .X }}{{ .X }}{{ else }}N/A{{ end }}"
    );
    assert_eq!(
        hint("{{ humanize 1 }}"),
        "`humanize` belongs to the templates of Prometheus rules; Alertmanager has no such function"
    );
    assert_eq!(hint("{{ .Status | toupper }}"), "did you mean `toUpper`?");
    assert_eq!(hint("{{ .Statsu }}"), "did you mean .Status?");
    let error = render("line\n  {{ toupper 1 }}").expect_err("an unknown function");
    let place = error.place().expect("a place");
    assert_eq!((place.line, place.column), (2, 6));
}

fn prometheus(text: &str) -> Result<String, Error> {
    let query = |expression: &str, at: Timestamp| match expression {
        "fail" => Err("it failed".to_owned()),
        "none" => Ok(Vec::new()),
        _ => Ok(["b", "a"]
            .map(|job| QuerySample {
                labels: Labels::new([("__name__", "up"), ("job", job)]),
                value: at.as_secs_f64(),
            })
            .to_vec()),
    };
    let functions = PrometheusFunctions {
        now: Timestamp::from_secs(100),
        external_url: "http://p.example:9090/prefix",
        query: &query,
        consoles: false,
    };
    let data = Value::structure(
        "struct",
        [
            (
                "Labels",
                Value::text_map([("instance", "db-1.example.com:9100")]),
            ),
            ("Value", Value::Float(0.123_456)),
        ],
    );
    let text = format!("{{{{$labels := .Labels}}}}{{{{$value := .Value}}}}{text}");
    TemplateSet::new().render_text(&text, &data, &functions, Escaping::None)
}

#[test]
fn has_the_functions_of_prometheus() {
    for (text, expected) in [
        (
            "{{ $value }} {{ $labels.instance }}{{ $labels.none }}",
            "0.123456 db-1.example.com:9100",
        ),
        (r#"{{ printf "%.2f" $value }}"#, "0.12"),
        (
            "{{ $value | humanize }} {{ humanize \"1234567\" }}",
            "123.5m 1.235M",
        ),
        (
            "{{ humanize1024 2048 }} {{ humanizeDuration 3661 }}",
            "2ki 1h 1m 1s",
        ),
        ("{{ $value | humanizePercentage }}", "12.35%"),
        (
            "{{ humanizeTimestamp 1435065584.128 }}",
            "2015-06-23 13:19:44.128 +0000 UTC",
        ),
        (
            "{{ (toTime 0).Year }} {{ toDuration 1.5 }} {{ now }}",
            "1970 1.5s 100",
        ),
        (
            r#"{{ query "up" | first | value }} {{ query "up" | first | label "job" }}"#,
            "100 b",
        ),
        (
            r#"{{ range query "up" | sortByLabel "job" }}{{ .Labels.job }}={{ .Value }} {{ end }}"#,
            "a=100 b=100 ",
        ),
        (r#"{{ with query "none" }}x{{ else }}none{{ end }}"#, "none"),
        (r#"{{ len (query "up") }}"#, "2"),
        (
            "{{ $labels.instance | stripPort }} {{ $labels.instance | stripDomain }}",
            "db-1.example.com db-1:9100",
        ),
        (
            r#"{{ stripDomain "10.0.0.1:80" }} {{ stripPort "[::1]:80" }}"#,
            "10.0.0.1:80 ::1",
        ),
        (
            r#"{{ title "aa bB" }} {{ toUpper "a" }} {{ toLower "A" }}"#,
            "Aa BB A a",
        ),
        (
            r#"{{ graphLink "up > 0" }} {{ tableLink "up" }}"#,
            "/graph?g0.expr=up+%3E+0&g0.tab=0 /graph?g0.expr=up&g0.tab=1",
        ),
        (
            "{{ pathPrefix }} {{ externalURL }}",
            "/prefix http://p.example:9090/prefix",
        ),
        (
            r#"{{ (args 1 "x").arg1 }} {{ parseDuration "1h30m" }} {{ urlQueryEscape "a b" }}"#,
            "x 5400 a+b",
        ),
        (
            r#"{{ match "a.c" "xabcx" }} {{ reReplaceAll "(b+)" "<$1>" "abbc" }}"#,
            "true a<bb>c",
        ),
    ] {
        assert_eq!(prometheus(text).as_deref(), Ok(expected), "{text}");
    }
    for (text, expected) in [
        (
            r#"{{ query "none" | first }}"#,
            "error calling first: first() called on vector with no elements",
        ),
        (r#"{{ query "fail" }}"#, "error calling query: it failed"),
        (
            r#"{{ humanize "x" }}"#,
            "error calling humanize: strconv.ParseFloat: parsing \"x\": invalid syntax",
        ),
        ("{{ tmpl \"x\" . }}", "function \"tmpl\" not defined"),
    ] {
        assert_eq!(
            prometheus(text).map_err(|error| error.message()),
            Err(expected.to_owned())
        );
    }
}

#[test]
fn renders_html() {
    let functions = AlertmanagerFunctions { now: NOW };
    let text = r#"<!-- c --><a href="{{ (index .Alerts 0).GeneratorURL }}">{{ range .Alerts }}{{ .Annotations.summary }}{{ end }}</a>{{ safeHtml "<br>" }}"#;
    let rendered = TemplateSet::new().render_text(text, &data(), &functions, Escaping::Html);
    assert_eq!(
        rendered.as_deref(),
        Ok(
            r#"<a href="http://prometheus.example:9090/graph?g0.expr=up&#43;%3D%3D&#43;0&amp;g0.tab=1">slow &lt;b&gt;checkout&lt;/b&gt;slow cart</a><br>"#
        )
    );
}

#[test]
fn is_bounded() {
    let limits = Limits {
        text_bytes: 200,
        output_bytes: 1000,
        steps: 10_000,
        depth: 20,
    };
    for (text, expected) in [
        (
            r#"{{ define "a" }}{{ template "a" . }}{{ end }}{{ template "a" . }}"#,
            "exceeded maximum template depth (20)",
        ),
        (
            "{{ range 1000000 }}{{ end }}",
            "the template took more than 10000 steps",
        ),
        (
            "{{ range 1000 }}xxxxx{{ end }}",
            "the result has more than 1000 bytes",
        ),
        (
            r#"{{ printf "%1000d%1000d" 1 2 }}"#,
            "the result has more than 1000 bytes",
        ),
    ] {
        let set = TemplateSet::new().with_limits(limits);
        let result = set.render_text(text, &Value::Nil, &NoFunctions, Escaping::None);
        assert_eq!(
            result.map_err(|error| error.message()),
            Err(expected.to_owned()),
            "{text}"
        );
    }
    let mut set = TemplateSet::new().with_limits(limits);
    assert!(matches!(
        set.parse("long", &"x".repeat(201), &NoFunctions),
        Err(Error::TooLarge { .. })
    ));
    let nested = format!("{{{{ {}1{} }}}}", "(".repeat(2000), ")".repeat(2000));
    let refused = TemplateSet::new().parse("deep", &nested, &NoFunctions);
    assert!(refused.is_err_and(|error| error.message().contains("nested more than")));
    // The greatest depth fits the stack of a test thread.
    let deep = r#"{{ define "a" }}{{ if (and (or (not (eq 1 2)))) }}{{ with 1 }}{{ template "a" . }}{{ end }}{{ end }}{{ end }}{{ template "a" . }}"#;
    let result = TemplateSet::new().render_text(deep, &Value::Nil, &NoFunctions, Escaping::None);
    assert_eq!(
        result.map_err(|error| error.message()),
        Err("exceeded maximum template depth (100)".to_owned())
    );
}

#[test]
fn later_definitions_replace_earlier_ones() {
    let mut set = TemplateSet::new();
    for text in [
        r#"{{ define "a" }}1{{ end }}{{ define "b" }}{{ template "a" }}{{ end }}"#,
        r#"{{ define "a" }}2{{ end }}"#,
        r#"{{ define "a" }} {{ end }}"#,
    ] {
        set.parse("file", text, &NoFunctions).expect("a valid text");
    }
    let rendered = set.render("b", &Value::Nil, &NoFunctions, Escaping::None);
    assert_eq!(rendered.as_deref(), Ok("2"));
    let missing = set.render("c", &Value::Nil, &NoFunctions, Escaping::None);
    assert!(matches!(missing, Err(Error::NotDefined { .. })));
}

proptest! {
    #[test]
    fn random_text_never_panics(text in "(\\{\\{|\\}\\}|[-. $|():=,\"'`a-z0-9]|if|range|end|else|define|template|\n|é){0,40}") {
        let _ = render(&text);
    }

    #[test]
    fn random_formats_never_panic(format in "(%|[-+# 0-9.*\\[\\]a-zA-Z]){0,12}") {
        let _ = render(&format!("{{{{ printf `{format}` 1 -2.5 `x` .Alerts nil }}}}"));
    }

    #[test]
    fn random_layouts_never_panic(layout in "[-0-9a-zA-Z :.,_]{0,24}", text in "[-0-9a-zA-Z :.,+]{0,24}") {
        let _ = Time::parse(&layout, &text);
        let _ = Time::from(NOW).format(&layout);
    }
}

use proptest::prelude::*;

use super::*;

fn rendered(source: &str) -> String {
    TraceQuery::parse(source)
        .expect_err(source)
        .render(source, None)
}

#[test]
fn errors_point_and_advise() {
    assert_eq!(
        rendered("{ resource.service.name == \"x\" }"),
        concat!(
            "error: syntax error: unexpected =\n",
            " --> 1:26\n",
            "  |\n",
            "1 | { resource.service.name == \"x\" }\n",
            "  |                          ^\n",
            "  = help: equality is written with one =\n",
        )
    );
    for (source, message, hint) in [
        (
            "{ stauts = error }",
            "parse error at line 1, col 3: unknown identifier: stauts",
            "did you mean \"status\"?",
        ),
        (
            "{ http = 1 }",
            "parse error at line 1, col 3: unknown identifier: http",
            "an attribute has a scope: span.http, resource.http or .http",
        ),
        (
            "{} | rat()",
            "parse error at line 1, col 6: syntax error: unexpected IDENTIFIER rat",
            "did you mean \"rate\"?",
        ),
        (
            "{ span:nam = `a` }",
            "parse error at line 1, col 3: syntax error: unknown intrinsic span:nam",
            "did you mean \"span:name\"?",
        ),
        (
            "{ .a = 'x' }",
            "parse error at line 1, col 8: syntax error: strings are quoted by \" or `, not by '",
            "",
        ),
        (
            "{} | count()",
            "parse error at line 1, col 13: syntax error: unexpected $end",
            "a stage is {..}, an aggregate compared with a number, by(), coalesce() or select()",
        ),
        (
            "{ 1 = `a` }",
            "binary operations must operate on the same type: 1 = `a`",
            "",
        ),
        (
            "{ status > ok }",
            "illegal operation for the given types: status > ok",
            "",
        ),
        (
            "{ name }",
            "span filter field expressions must resolve to a boolean: { name }",
            "",
        ),
        ("{ parent.a = 1 }", "parent not yet supported", ""),
        (
            "{} | quantile_over_time(duration, 2)",
            "quantile must be between 0 and 1: 2",
            "",
        ),
        (
            "",
            "parse error at line 1, col 1: syntax error: unexpected $end",
            "",
        ),
    ] {
        let error = TraceQuery::parse(source).expect_err(source);
        assert_eq!(error.to_string(), message, "{source}");
        assert_eq!(
            error.detail().hint.as_deref().unwrap_or(""),
            hint,
            "{source}"
        );
    }
}

#[test]
fn renders_what_it_reads() {
    for (source, shown) in [
        ("{}", "{ true }"),
        ("{.a=1&&span.b!=nil}", "{ (.a = 1) && (span.b != nil) }"),
        ("{-.a * 2>1h}", "{ (-(.a * 2)) > 1h0m0s }"),
        ("{.a}>>{.b}", "({ .a }) >> ({ .b })"),
        (
            "{} | by(name)|count()>2",
            "{ true } | by(name) | count() > 2",
        ),
        (
            "{}|rate()by(resource.a)|topk(3) with(exemplars=true)",
            "{ true } | rate() by (resource.a) | topk(3) with(exemplars=true)",
        ),
        ("{}|rate()>1+2*3", "{ true } | rate() > 7"),
        ("1+2*({}|rate())", "1.0 + (2.0 * ({ true } | rate()))"),
        ("{ span.\"a b\" = \"x\" }", "{ span.\"a b\" = `x` }"),
    ] {
        assert_eq!(
            TraceQuery::parse(source)
                .map(|query| query.to_string())
                .as_deref(),
            Ok(shown),
            "{source}"
        );
    }
}

#[test]
fn nesting_is_limited() {
    for source in [
        format!("{}{{}}{}", "(".repeat(10_000), ")".repeat(10_000)),
        format!("{{ {}.a }}", "!".repeat(10_000)),
        format!("{{ {}.a{} }}", "(".repeat(10_000), ")".repeat(10_000)),
        format!("{{}}{}", " > {}".repeat(10_000)),
        format!("{{}}{}", " | {}".repeat(10_000)),
        format!("{{ .a{} }}", " || .a".repeat(10_000)),
        "{".repeat(200_000),
    ] {
        assert!(TraceQuery::parse(&source).is_err());
    }
}

#[test]
fn hints_are_read() {
    let query = TraceQuery::parse("{} | rate() with(exemplars=5, exemplar=true)").expect("a query");
    assert_eq!(query.hint_int("exemplars"), Some(5));
    assert_eq!(
        query.unknown_hints(),
        [(
            "exemplar".to_owned(),
            Some("did you mean \"exemplars\"?".to_owned())
        )]
    );
}

proptest! {
    #[test]
    fn no_text_panics(text in ".{0,80}") {
        let _ = TraceQuery::parse(&text).map_err(|error| error.render(&text, None));
        let _ = TraceQuery::parse_lenient(&text);
        let _ = TraceQuery::from_tags(&text, None, None);
    }

    #[test]
    fn no_run_of_tokens_panics(tokens in prop::collection::vec(prop::sample::select(vec![
        "{", "}", "(", ")", "|", "&&", "||", "!", "=", "!=", "=~", "<", ">>", "&>", "!~", "+", "-", "/", "^", ".a", "span.b", "nil", "1", "2.5", "5s",
        "\"x\"", "name", "status", "error", "count", "avg", "by", "select", "coalesce", "rate", "topk", "with", ",", "duration", "quantile_over_time",
    ]), 0..30)) {
        let text = tokens.join(" ");
        let _ = TraceQuery::parse_lenient(&text);
        if let Ok(query) = TraceQuery::parse(&text) {
            let shown = query.to_string();
            let again = TraceQuery::parse(&shown).map(|again| again.to_string());
            prop_assert_eq!(again, Ok(shown));
        }
    }
}

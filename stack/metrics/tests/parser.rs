//! The parser through its public API: what it reads, how it prints, what it refuses and how it says so.

use gameday_metrics::{
    Engine, EngineConfig, ParseOptions, Store, StoreConfig, parse, parse_selector,
    parse_series_description, parse_with,
};
use gameday_query::Position;
use proptest::prelude::*;

#[test]
fn prints_in_canonical_form() {
    for (source, expected) in [
        (
            "sum(rate(x{b=\"2\",a='1'}[5m]))by(l,k)",
            "sum by (l, k) (rate(x{a=\"1\",b=\"2\"}[5m]))",
        ),
        ("a+on(x)group_left(y)b", "a + on (x) group_left (y) b"),
        ("x offset 90s @ 1.5", "x @ 1.500 offset 1m30s"),
        ("x[1h:]offset-5m", "x[1h:] offset -5m"),
        ("-x^2", "-x ^ 2"),
        ("(1 + 2) * 3", "(1 + 2) * 3"),
        (
            "{\"my.metric\",\"a.b\"=\"c\"}",
            "{\"a.b\"=\"c\",__name__=\"my.metric\"}",
        ),
        ("1e3 > bool 0x10", "1000 > bool 16"),
        ("topk(5m, x) # five minutes are 300", "topk(5m, x)"),
        ("\"\\xff\\n\"", "\"\\xff\\n\""),
        (
            "count_values without (a) (\"v\", x)",
            "count_values without (a) (\"v\", x)",
        ),
    ] {
        let expr = parse(source).unwrap_or_else(|error| panic!("{source}: {error}"));
        assert_eq!(expr.to_string(), expected);
        let again = parse(expected).unwrap_or_else(|error| panic!("{expected}: {error}"));
        assert_eq!(again.to_string(), expected);
    }
}

#[test]
fn durations_are_scaled_and_numbers_are_not() {
    for (source, expected) in [
        ("rate(x[1h] offset 30m)", "rate(x[1m] offset 30s)"),
        ("max_over_time(x[30d:1h])[2h:5m]", "subquery"),
        (
            "max_over_time(avg(x)[6h:5m]) > 5m",
            "max_over_time(avg(x)[6m:5s]) > 5m",
        ),
        ("x[10ms]", "x[1ms]"),
    ] {
        let Ok(mut expr) = parse(source) else {
            assert_eq!(expected, "subquery", "{source}");
            continue;
        };
        expr.scale_durations(60.0);
        if expected != "subquery" {
            assert_eq!(expr.to_string(), expected);
        }
    }
}

#[test]
fn mistakes_have_a_place_and_a_hint() {
    for (source, expected, hint) in [
        (
            "sum(rat(x[5m]))",
            "1:5: parse error: unknown function with name \"rat\"",
            "did you mean \"rate\"?",
        ),
        (
            "sun(x)",
            "1:1: parse error: unknown function with name \"sun\"",
            "did you mean \"sum\"?",
        ),
        (
            "rate(x)",
            "1:6: parse error: expected type range vector in call to function \"rate\", got instant vector",
            "add a range such as [5m]",
        ),
        (
            "sum(\n  rate(sum(x))\n)",
            "2:8: parse error: expected type range vector in call to function \"rate\", got instant vector",
            "turn it into a subquery with a range such as [5m:]",
        ),
        (
            "avg(x[5m])",
            "1:5: parse error: expected type instant vector in aggregation expression, got range vector",
            "leave out the range, or apply a function such as rate() or avg_over_time()",
        ),
        (
            "1 > 2",
            "1:3: parse error: comparisons between scalars must use BOOL modifier",
            "write \"> bool\"",
        ),
        (
            "{a=\"\"}",
            "1:1: parse error: vector selector must contain at least one non-empty matcher",
            "name the metric, or a label with a value that is not empty",
        ),
        (
            "limitk(1, x)",
            "1:1: parse error: limitk() is experimental and must be enabled with --enable-feature=promql-experimental-functions",
            "this is experimental in Prometheus and refused without its feature flag",
        ),
    ] {
        let error = parse(source).expect_err(source);
        assert_eq!(error.to_string(), expected);
        assert_eq!(error.hint.as_deref(), Some(hint), "{source}");
    }
}

#[test]
fn a_mistake_in_a_rule_file_is_drawn() {
    let source = "rate(errors_total[5m])\n  / rte(requests_total[5m])";
    let error = parse(source).expect_err("no such function");
    let base = Position {
        line: 12,
        column: 15,
    };
    assert_eq!(
        error.render(source, Some(("rules.yml", base))),
        concat!(
            "error: unknown function with name \"rte\"\n",
            "  --> rules.yml:13:5\n",
            "   |\n",
            "13 |   / rte(requests_total[5m])\n",
            "   |     ^^^\n",
            "   = help: did you mean \"rate\"?\n",
        )
    );
}

#[test]
fn selectors_alone() {
    let matchers = parse_selector("up{job=~\"a|b\"}").expect("a selector");
    assert_eq!(matchers.len(), 2);
    for source in ["up[5m]", "up offset 5m", "1", "sum(up)", "{}"] {
        assert!(parse_selector(source).is_err(), "{source}");
    }
}

#[test]
fn hostile_sizes_are_refused() {
    for source in [
        "(".repeat(100_000),
        "-".repeat(100_000) + "1",
        "x offset ".to_owned() + &"(".repeat(100_000),
        vec!["x"; 100_000].join(" or "),
        vec!["1"; 100_000].join("^"),
        "abs(".repeat(100_000),
        format!("x[{}1{}]", "(".repeat(100_000), ")".repeat(100_000)),
        format!("x[1{}]", "+1".repeat(100_000)),
        format!("x{{a=~\"{}\"}}", "(a{1000}){1000}"),
    ] {
        assert!(parse_with(&source, ParseOptions { experimental: true }).is_err());
    }
}

/// Pieces of expressions, so that random ones get past the first character.
const PIECES: &[&str] = &[
    "sum",
    "by",
    "without",
    "(",
    ")",
    "(",
    ")",
    "{",
    "}",
    "[",
    "]",
    "[5m]",
    "[1h:5m]",
    "x",
    "up",
    "rate",
    "a",
    "\"b\"",
    "'",
    "`",
    "=",
    "=~",
    "!=",
    "==",
    "bool",
    "on",
    "ignoring",
    "group_left",
    "offset",
    "@",
    "start",
    "1",
    "5m",
    "0x",
    "1e",
    ".",
    ",",
    "+",
    "-",
    "*",
    "/",
    "^",
    "%",
    "atan2",
    "and",
    "or",
    "unless",
    "<",
    ">",
    "</",
    "NaN",
    "Inf",
    "#",
    "\n",
    "topk",
    "count_values",
    "quantile",
    "histogram_quantile",
    "label_replace",
    "\\",
    "ü",
    "fill",
    "anchored",
    "step()",
    "_",
    ":",
    "{{",
    "}}",
    "x5",
    "stale",
    "schema:1",
    "buckets:[1 2]",
];

fn soup() -> impl Strategy<Value = String> {
    prop::collection::vec((prop::sample::select(PIECES), any::<bool>()), 0..40).prop_map(|pieces| {
        pieces
            .into_iter()
            .map(|(piece, blank)| format!("{piece}{}", if blank { " " } else { "" }))
            .collect()
    })
}

/// Whatever is accepted prints as something that is accepted too, and can be evaluated.
fn check_soup(source: &str) {
    let _ = parse_series_description(source);
    let _ = parse(source);
    let options = ParseOptions { experimental: true };
    let Ok(expr) = parse_with(source, options) else {
        return;
    };
    let text = expr.to_string();
    parse_with(&text, options)
        .unwrap_or_else(|error| panic!("{source:?} prints as {text:?}: {error}"));
    let mut store = Store::new(StoreConfig::default());
    let x = gameday_signal::Labels::new([("__name__", "x"), ("a", "b")]);
    for at in 0..5 {
        store.append(&x, at * 60_000, at as f64).expect("in order");
    }
    let engine = Engine::new(EngineConfig {
        experimental: true,
        max_samples: 10_000,
        ..EngineConfig::default()
    });
    let _ = engine.instant_expr(&store, &expr, 240_000);
    let _ = engine.range_expr(&store, &expr, 0, 240_000, 60_000);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn random_pieces_never_panic(source in soup()) {
        check_soup(&source);
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        check_soup(&String::from_utf8_lossy(&bytes));
    }
}

//! What nobody should send, and what is said to it.

use std::time::Duration;

use gameday_logs::{
    Appended, Direction, Entry, Limits, RangeRequest, Store, format_query, parse_expr,
    parse_selector, query_instant, query_range,
};
use gameday_signal::{Labels, Timestamp};
use proptest::prelude::*;

fn now() -> Timestamp {
    Timestamp::from_secs(1_700_000_000)
}

fn stream() -> Labels {
    Labels::new([("app", "a")])
}

/// Pushes one entry beside a good one.
fn push(store: &mut Store, entry: Entry) -> Appended {
    let good = Entry::new(now(), "good");
    store.append(&stream(), vec![entry, good], now())
}

fn check(entry: Entry, expected: &str) {
    let mut store = Store::new(Limits::default());
    let appended = push(&mut store, entry);
    let message = appended.message().unwrap_or_default();
    assert!(message.contains(expected), "{message:?}");
    assert!(message.len() < 1000, "a bounded answer: {}", message.len());
    assert_eq!((appended.accepted, appended.rejected), (1, 1));
    assert_eq!(store.stats().entries, 1);
}

#[test]
fn what_is_too_large_is_refused_alone_and_named() {
    check(
        Entry::new(now(), "x".repeat(10 << 20)),
        "max entry size '262144' bytes exceeded for stream '{app=\"a\", service_name=\"a\"}' while adding an entry with length '10485760' bytes",
    );
    let mut many = Entry::new(now(), "x");
    many.metadata = (0..10_000)
        .map(|n| (format!("n{n}"), "v".to_owned()))
        .collect();
    check(
        many,
        "too many structured metadata labels: '10000', limit: '128'",
    );
    let mut some = Entry::new(now(), "x");
    some.metadata = (0..200)
        .map(|n| (format!("n{n}"), "v".to_owned()))
        .collect();
    check(
        some,
        "too many structured metadata labels: '200', limit: '128'",
    );
    let mut long = Entry::new(now(), "x");
    long.metadata = [("n", "v".repeat(1 << 20))].into_iter().collect();
    check(long, "structured metadata too large: '1048577' bytes");
    check(
        Entry::new(Timestamp::EPOCH, "x"),
        "has timestamp too old: 1970-01-01T00:00:00Z",
    );
    check(
        Entry::new(Timestamp::from_secs(4_102_444_800), "x"),
        "has timestamp too new: 2100-01-01T00:00:00Z",
    );
}

#[test]
fn streams_have_limits() {
    let mut store = Store::new(Limits {
        streams_max: 3,
        ..Limits::default()
    });
    let mut refused = |labels: Labels| {
        let appended = store.append(&labels, vec![Entry::new(now(), "x")], now());
        appended.message().unwrap_or_default()
    };
    assert!(refused(Labels::empty()).contains("at least one label pair"));
    let names: Vec<(String, &str)> = (0..16).map(|n| (format!("l{n}"), "v")).collect();
    assert!(refused(Labels::new(names)).contains("has 16 label names; limit 15"));
    assert!(refused(Labels::new([("a", "v".repeat(3000))])).contains("label value too long"));
    assert!(refused(Labels::new([("a".repeat(2000), "v")])).contains("label name too long"));
    for app in ["1", "2", "3"] {
        assert_eq!(refused(Labels::new([("app", app)])), "");
    }
    assert!(refused(Labels::new([("app", "4")])).contains("maximum active stream limit exceeded"));
}

#[test]
fn deep_queries_are_refused_without_harm() {
    for (open, close) in [
        ("(", ")"),
        ("sum(", ")"),
        ("-", ""),
        ("1+", "1"),
        ("1^", "1"),
    ] {
        for depth in [200, 20_000] {
            let source = format!(
                "{}count_over_time({{app=\"a\"}}[1m]){}",
                open.repeat(depth),
                close.repeat(depth)
            );
            let _ = parse_expr(&source);
            let _ = format_query(&source);
        }
    }
    let filters = "|(a=\"b\" or (c=\"d\"".repeat(3000);
    assert!(parse_expr(&format!("{{app=\"a\"}}{filters}")).is_err());
    let long = format!("{{app=\"a\"}} |= \"{}\"", "x".repeat(200_000));
    let error = parse_expr(&long).expect_err("too long").to_string();
    assert!(error.contains("input size too long"), "{error}");
}

#[test]
fn deep_lines_are_read_up_to_a_limit() {
    let mut store = Store::new(Limits::default());
    let mut lines = Vec::new();
    for (open, close) in [("{\"a\":", "}"), ("[", "]"), ("{\"a\":[", "]}")] {
        lines.push(format!("{}1{}", open.repeat(40_000), close.repeat(40_000)));
        lines.push(open.repeat(60_000 / open.len()));
    }
    lines.push(format!("{{{}}}", "\"k\":1,".repeat(30_000)));
    lines.push("=".repeat(200_000));
    lines.push("a=\"".repeat(60_000));
    let entries: Vec<Entry> = lines
        .iter()
        .map(|line| Entry::new(now(), line.as_str()))
        .collect();
    let count = entries.len();
    assert_eq!(store.append(&stream(), entries, now()).accepted, count - 1);
    for parser in [
        "json",
        "json x=\"a.a[0].a\"",
        "logfmt",
        "unpack",
        "logfmt x=\"a\"",
    ] {
        let query = format!(
            "sum by (__error__) (count_over_time({{app=\"a\"}} | {parser} | __error__=~\".*\" [1m]))"
        );
        let _ = query_instant(&store, &query, now(), 100, Direction::Backward);
        let query = format!("{{app=\"a\"}} | {parser}");
        let _ = query_range(&store, &query, &range());
    }
}

fn range() -> RangeRequest {
    RangeRequest {
        start: now() - Duration::from_secs(60),
        end: now() + Duration::from_secs(60),
        step: Duration::from_secs(30),
        interval: Duration::ZERO,
        limit: 100,
        direction: Direction::Backward,
        categorize_labels: true,
    }
}

#[test]
fn queries_over_their_limits_are_told_in_lokis_words() {
    let mut store = Store::new(Limits {
        query_series_max: 2,
        ..Limits::default()
    });
    for pod in 0..3 {
        let labels = Labels::new([("app", "a".to_owned()), ("pod", pod.to_string())]);
        store.append(&labels, vec![Entry::new(now(), "x")], now());
    }
    let told = |query: &str, request: &RangeRequest| {
        query_range(&store, query, request)
            .expect_err(query)
            .to_string()
    };
    let query = "count_over_time({app=\"a\"}[1m])";
    let message = told(query, &range());
    assert!(
        message.contains("maximum number of series (2) reached for a single query"),
        "{message}"
    );
    let many = RangeRequest {
        limit: 5001,
        ..range()
    };
    let message = told("{app=\"a\"}", &many);
    assert!(message.contains("max entries limit per query exceeded, limit > max_entries_limit_per_query (5001 > 5000)"), "{message}");
    let long = RangeRequest {
        start: now() - Duration::from_secs(3000 * 86_400),
        ..range()
    };
    let message = told("{app=\"a\"}", &long);
    assert!(
        message.contains("the query time range exceeds the limit"),
        "{message}"
    );
    let fine = RangeRequest {
        step: Duration::from_millis(1),
        ..range()
    };
    let message = told(query, &fine);
    assert!(
        message.contains("exceeded maximum resolution of 11,000 points per time"),
        "{message}"
    );
    let backwards = RangeRequest {
        end: now() - Duration::from_secs(600),
        ..range()
    };
    let message = told("{app=\"a\"}", &backwards);
    assert!(
        message.contains("end timestamp must not be before or equal to start time"),
        "{message}"
    );
}

/// Parts of queries in any order: they come further into the reader than random bytes.
fn soup() -> impl Strategy<Value = String> {
    let words = [
        "{",
        "}",
        "app",
        "=",
        "\"a\"",
        "=~",
        "!~",
        "`.*`",
        "|",
        "|=",
        "|~",
        "!=",
        "|>",
        "!>",
        "json",
        "logfmt",
        "--strict",
        "pattern",
        "\"<a> <_>\"",
        "regexp",
        "\"(?P<x>.)\"",
        "unpack",
        "line_format",
        "\"{{.a}}\"",
        "label_format",
        "drop",
        "keep",
        "decolorize",
        "unwrap",
        "duration(",
        "bytes(",
        "ip(",
        "(",
        ")",
        ",",
        "[",
        "]",
        "[5m]",
        "offset",
        "5m",
        "1h30m",
        "10KB",
        "1.5",
        "-2",
        "0x1F",
        "1e3",
        "sum",
        "by",
        "without",
        "topk",
        "rate",
        "count_over_time",
        "quantile_over_time",
        "absent_over_time",
        "vector",
        "label_replace",
        "sort_desc",
        "+",
        "-",
        "*",
        "/",
        "%",
        "^",
        "==",
        ">",
        "<=",
        "and",
        "or",
        "unless",
        "bool",
        "on",
        "ignoring",
        "group_left",
        "__error__",
        "#",
        "\\",
        "é",
        "\u{0}",
    ];
    proptest::collection::vec(proptest::sample::select(words.to_vec()), 0..30)
        .prop_map(|words| words.join(" "))
}

fn try_query(source: &str) {
    let _ = parse_selector(source);
    let _ = format_query(source);
    let Ok(expr) = parse_expr(source) else {
        return;
    };
    let written = expr.to_string();
    let again = parse_expr(&written).unwrap_or_else(|error| panic!("{written}: {error}"));
    assert_eq!(written, again.to_string());
    let mut store = Store::new(Limits::default());
    let entries = [r#"{"a":1,"b":{"c":"x"}}"#, "a=1 b=2s c=10KB", ""];
    let entries = entries.map(|line| Entry::new(now(), line)).to_vec();
    store.append(&stream(), entries, now());
    let _ = query_range(&store, source, &range());
    let _ = query_instant(&store, source, now(), 100, Direction::Backward);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        try_query(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn random_queries_never_panic(source in soup()) {
        try_query(&source);
        try_query(&format!("{{app=\"a\"}} {source}"));
        try_query(&format!("sum(count_over_time({{app=\"a\"}} | {source} [1m]))"));
    }

    #[test]
    fn random_lines_never_panic(line in "[{}\\[\\]\"':,=\\\\ a-c0-9<>.é\u{1b}]{0,80}") {
        let mut store = Store::new(Limits::default());
        store.append(&stream(), vec![Entry::new(now(), line)], now());
        for stages in ["json", "logfmt", "unpack", "pattern \"<a> <b>\"", "decolorize", "json a, b=\"c[0].d\"", "logfmt --strict --keep-empty"] {
            let _ = query_range(&store, &format!("{{app=\"a\"}} | {stages}"), &range());
        }
    }
}

//! What queries find, and the shape of the answer.

mod common;

use common::{SpanExt, at, shop, span, span_id, store, trace_id};
use gameday_signal::Timestamp;
use gameday_traces::{SearchRequest, TraceQuery, TraceStore};

/// The spans that a query finds as `trace:span`, the latest trace first.
fn found(store: &TraceStore, query: &str) -> Vec<String> {
    let parsed = TraceQuery::parse(query).unwrap_or_else(|error| panic!("{query}: {error}"));
    let request = SearchRequest {
        spans_per_span_set: 0,
        ..SearchRequest::default()
    };
    let mut spans = Vec::new();
    for trace in store.search(&parsed, &request).traces {
        let trace_number = u64::from_str_radix(&trace.trace_id, 16).expect("a hexadecimal id");
        for set in &trace.span_sets {
            assert_eq!(set.matched as usize, set.spans.len());
            for span in &set.spans {
                spans.push(format!(
                    "{trace_number}:{}",
                    u64::from_str_radix(&span.span_id, 16).expect("a hexadecimal id")
                ));
            }
        }
    }
    spans
}

fn check(cases: &[(&str, &str)]) {
    let store = store(shop());
    for (query, expected) in cases {
        assert_eq!(found(&store, query).join(" "), *expected, "{query}");
    }
}

#[test]
fn filters() {
    check(&[
        ("{ name = `pay` }", "2:3 1:4"),
        (
            "{ resource.service.name = `checkout` && status = error }",
            "2:2",
        ),
        ("{ .service.name = \"users\" }", "3:2"),
        ("{ span.service.name = \"users\" }", ""),
        ("{ span.http.status_code >= 500 }", "2:1"),
        ("{ span.http.status_code != 200 }", "2:1"),
        ("{ span.http.status_code = 200.0 }", "3:1 1:1"),
        ("{ span.http.status_code = \"200\" }", ""),
        ("{ duration > 500ms && kind = server }", "1:1 1:2"),
        ("{ kind = client }", "1:3"),
        ("{ status != unset }", "2:2 2:3"),
        ("{ statusMessage =~ \"card.*\" }", "2:3"),
        ("{ statusMessage =~ \"card\" }", ""),
        ("{ name =~ \"GET .*\" && name !~ \".*users\" }", "2:1 1:1"),
        ("{ span.tags = \"a\" }", "1:2"),
        ("{ span.tags != \"a\" }", ""),
        ("{ span.tags != \"c\" }", "1:2"),
        ("{ span.tags =~ \"b|c\" }", "1:2"),
        ("{ span.amount = nil && name = `charge` }", "2:2 1:2"),
        ("{ span.amount != nil }", "2:3 1:4"),
        ("{ span.amount + 10 > 50 }", "2:3"),
        ("{ -span.amount < -50 }", "2:3"),
        ("{ span.amount * 2 = 60 || span.rows ^ 2 = 49 }", "3:2 1:4"),
        ("{ span.amount / 0 > 1 }", ""),
        ("{ !(status = error) && name = `pay` }", "1:4"),
        ("{ span.cost > 2 && span.cost < 3 }", "1:3"),
        ("{ span.amount > 0. && 1ns = 1 }", "2:3 1:4"),
        ("{ false != span.tags }", ""),
        ("{ nil = nil }", ""),
        ("{ false }", ""),
        ("{ span.retries }", ""),
    ]);
}

#[test]
fn scopes_and_intrinsics() {
    check(&[
        ("{ event:name = `exception` }", "2:3"),
        ("{ event:name != `exception` }", "2:3"),
        ("{ event.attempt = 2 }", "2:3"),
        ("{ event.exception.type =~ `Dec.*` }", "2:3"),
        ("{ event:timeSinceStart > 15ms }", "2:3"),
        ("{ event:timeSinceStart > 25ms }", ""),
        ("{ link:spanID = `0000000000000004` }", "2:3"),
        ("{ link.reason = `same card` }", "2:3"),
        (
            "{ instrumentation:name = `test-lib` && name = `list` }",
            "3:2",
        ),
        ("{ instrumentation:version = `1.3` }", ""),
        ("{ trace:duration > 500ms }", "1:1 1:2 1:3 1:4"),
        ("{ rootName = `GET /api/users` }", "3:1 3:2"),
        ("{ trace:rootService = `frontend` && name = `list` }", "3:2"),
        (
            "{ trace:id = `00000000000000000000000000000003` }",
            "3:1 3:2",
        ),
        ("{ span:id = `0000000000000004` }", "1:4"),
        ("{ span:parentID = `0000000000000001` }", "3:2 2:2 1:2"),
        ("{ span:childCount = 2 }", "1:2"),
        ("{ nestedSetParent < 0 }", "3:1 2:1 1:1"),
        ("{ nestedSetLeft = 2 }", "3:2 2:2 1:2"),
    ]);
}

#[test]
fn structure() {
    check(&[
        ("{ name = `charge` } > { }", "2:3 1:3 1:4"),
        ("{ name = `charge` } &> { name = `pay` }", "2:2 2:3 1:2 1:4"),
        (
            "{ name = `GET /api/checkout` } >> { status = error }",
            "2:2 2:3",
        ),
        ("{ name = `pay` } << { kind = server }", "2:1 2:2 1:1 1:2"),
        ("{ name = `pay` } < { }", "2:2 1:2"),
        ("{ name = `db.query` } ~ { }", "1:4"),
        ("{ name = `db.query` } &~ { name = `pay` }", "1:3 1:4"),
        ("{ name = `charge` } !> { name = `pay` }", ""),
        ("{ name = `list` } !>> { name = `pay` }", "2:3 1:4"),
        ("{ name = `db.query` } !~ { name = `pay` }", "2:3"),
        (
            "{ name = `pay` } !< { name = `charge` || name = `list` }",
            "3:2",
        ),
        ("{ name = `pay` } !<< { name = `list` }", "3:2"),
        ("{ name = `charge` } && { name = `db.query` }", "1:2 1:3"),
        ("{ name = `list` } || { name = `db.query` }", "3:2 1:3"),
        (
            "({ name = `charge` } | count() > 0) && ({ status = error } | count() > 1)",
            "2:2 2:3",
        ),
        ("{ name = `charge` } &>> { status = error }", "2:2 2:3"),
        ("{ status = error } &<< { name = `charge` }", "2:2 2:3"),
        ("{ name = `pay` } &< { name = `charge` }", "2:2 2:3 1:2 1:4"),
    ]);
}

#[test]
fn pipelines() {
    check(&[
        ("{ } | count() > 3", "1:1 1:2 1:3 1:4"),
        ("{ status = error } | count() = 2", "2:2 2:3"),
        ("{ name = `pay` } | avg(duration) < 50ms", "2:3"),
        ("{ } | max(span.amount) >= 70", "2:1 2:2 2:3"),
        ("{ } | sum(span.retries) = 2", "1:1 1:2 1:3 1:4"),
        ("{ } | min(duration) < 15ms | { name = `list` }", "3:2"),
        ("{ } | by(resource.service.name) | count() > 1", "1:2 1:3"),
        ("{ } | by(name) | coalesce() | count() = 2", "3:1 3:2"),
        ("{ status = error } | select(span.amount)", "2:2 2:3"),
        ("count() > 3", "1:1 1:2 1:3 1:4"),
        ("by(status) | { status = error } | count() = 2", "2:2 2:3"),
        ("{ } | avg(span.nothing) > 0", ""),
    ]);
}

#[test]
fn answers_have_tempos_shape() {
    let store = store(shop());
    let query = TraceQuery::parse(
        "{ span.amount > 50 } | by(status) | max(duration) > 1ms | select(resource.service.name)",
    )
    .unwrap();
    let answer = serde_json::to_value(store.search(&query, &SearchRequest::default())).unwrap();
    let start_nanos = |ms: i64| at(ms).as_nanos().to_string();
    let bytes = answer["metrics"]["inspectedBytes"].clone();
    assert!(
        bytes
            .as_str()
            .is_some_and(|bytes| bytes.parse::<u64>().is_ok()),
        "{bytes}"
    );
    let span_set = serde_json::json!({
        "spans": [{
            "spanID": "0000000000000003",
            "name": "pay",
            "startTimeUnixNano": start_nanos(5_015),
            "durationNanos": "30000000",
            "attributes": [
                {"key": "amount", "value": {"intValue": "70"}},
                {"key": "status", "value": {"stringValue": "error"}},
                {"key": "service.name", "value": {"stringValue": "payments"}},
            ],
        }],
        "matched": 1,
        "attributes": [
            {"key": "by(status)", "value": {"stringValue": "error"}},
            {"key": "max(duration)", "value": {"stringValue": "30ms"}},
        ],
    });
    let expected = serde_json::json!({
        "traces": [{
            "traceID": "00000000000000000000000000000002",
            "rootServiceName": "frontend",
            "rootTraceName": "GET /api/checkout",
            "startTimeUnixNano": start_nanos(5_000),
            "durationMs": 60,
            "spanSet": span_set,
            "spanSets": [span_set],
            "serviceStats": {
                "checkout": {"spanCount": 1, "errorCount": 1},
                "frontend": {"spanCount": 1},
                "payments": {"spanCount": 1, "errorCount": 1},
            },
        }],
        "metrics": {
            "inspectedTraces": 1, "inspectedBytes": bytes, "inspectedSpans": "3", "completedJobs": 1, "totalJobs": 1,
        },
    });
    assert_eq!(answer, expected);
}

#[test]
fn limits_windows_and_roots() {
    let mut spans = shop();
    spans.push(span(9, 2, 1, "users", "orphan", 20_000, 5));
    let store = store(spans);
    let all = TraceQuery::parse("{ }").unwrap();
    let request = SearchRequest {
        limit: 2,
        spans_per_span_set: 1,
        ..SearchRequest::default()
    };
    let answer = store.search(&all, &request);
    let ids: Vec<&str> = answer
        .traces
        .iter()
        .map(|trace| &trace.trace_id[30..])
        .collect();
    assert_eq!(ids, ["09", "03"]);
    assert_eq!(
        answer.traces[0].root_service_name,
        "<root span not yet received>"
    );
    assert_eq!(
        (
            answer.traces[1].span_sets[0].spans.len(),
            answer.traces[1].span_sets[0].matched
        ),
        (1, 2)
    );
    for (start, end, expected) in [
        (0, 900, 1),
        (950, 4_999, 0),
        (950, 5_000, 1),
        (5_030, 10_000, 2),
    ] {
        let request = SearchRequest {
            start: at(start),
            end: at(end),
            ..SearchRequest::default()
        };
        assert_eq!(
            store.search(&all, &request).traces.len(),
            expected,
            "{start}..{end}"
        );
    }
    let nothing = SearchRequest {
        start: Timestamp::MAX,
        ..SearchRequest::default()
    };
    assert!(store.search(&all, &nothing).traces.is_empty());
}

#[test]
fn late_spans_join_their_trace_at_once() {
    let mut store = store(vec![span(1, 2, 1, "checkout", "charge", 100, 10)]);
    assert_eq!(found(&store, "{ rootName = `GET /` }"), [""; 0]);
    let report = store.append(
        vec![
            span(1, 1, 0, "frontend", "GET /", 90, 40),
            span(1, 2, 1, "checkout", "charge", 100, 10),
        ],
        at(600_000),
    );
    assert_eq!((report.accepted, report.duplicates), (1, 1));
    assert_eq!(found(&store, "{ rootName = `GET /` }"), ["1:1", "1:2"]);
    let trace = store.get(trace_id(1)).unwrap();
    assert_eq!(
        trace
            .spans
            .iter()
            .map(|span| span.span_id)
            .collect::<Vec<_>>(),
        [span_id(1), span_id(2)]
    );
    assert_eq!(store.get(trace_id(2)), None);
}

#[test]
fn what_goes_in_comes_out() {
    let spans: Vec<_> = shop()
        .into_iter()
        .map(|span| {
            span.with(
                "nested",
                gameday_signal::AttributeValue::Map(vec![("a".into(), 1.into())]),
            )
        })
        .collect();
    let store = store(spans.clone());
    let mut out: Vec<_> = (1..=3)
        .flat_map(|trace| store.get(trace_id(trace)).unwrap().spans)
        .collect();
    out.sort_by_key(|span| (span.trace_id, span.span_id));
    assert_eq!(out, spans);
}

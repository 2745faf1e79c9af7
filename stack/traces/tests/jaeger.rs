//! Jaeger's shapes.

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use common::{at, shop, store, trace_id};
use gameday_signal::{SpanKind, Timestamp};
use gameday_traces::{JaegerQuery, JaegerResponse};
use serde_json::json;

#[test]
fn traces_look_as_in_jaeger() {
    let trace = store(shop()).get(trace_id(2)).unwrap();
    let answer = serde_json::to_value(JaegerResponse::of_traces([&trace])).unwrap();
    let micros = |ms: i64| at(ms).as_millis() * 1000;
    assert_eq!(answer["total"], 0);
    assert_eq!(answer["errors"], json!(null));
    assert_eq!(
        answer["data"][0]["processes"]["p3"],
        json!({"serviceName": "payments", "tags": []})
    );
    let string = |key: &str, value: &str| json!({"key": key, "type": "string", "value": value});
    assert_eq!(
        answer["data"][0]["spans"][2],
        json!({
            "traceID": "00000000000000000000000000000002",
            "spanID": "0000000000000003",
            "flags": 1,
            "operationName": "pay",
            "references": [
                {"refType": "CHILD_OF", "traceID": "00000000000000000000000000000002", "spanID": "0000000000000002"},
                {"refType": "FOLLOWS_FROM", "traceID": "00000000000000000000000000000001", "spanID": "0000000000000004"},
            ],
            "startTime": micros(5_015),
            "duration": 30_000,
            "tags": [
                {"key": "amount", "type": "int64", "value": 70},
                string("otel.scope.name", "test-lib"),
                string("otel.scope.version", "1.2"),
                string("span.kind", "server"),
                string("otel.status_code", "ERROR"),
                string("otel.status_description", "card declined"),
                {"key": "error", "type": "bool", "value": true},
            ],
            "logs": [
                {"timestamp": micros(5_027), "fields": [string("event", "exception"), string("exception.type", "Declined"), {"key": "attempt", "type": "int64", "value": 1}]},
                {"timestamp": micros(5_035), "fields": [string("event", "retry"), {"key": "attempt", "type": "int64", "value": 2}]},
            ],
            "processID": "p3",
            "warnings": null,
        })
    );
}

#[test]
fn searches() {
    let store = store(shop());
    let query = |service: &str| JaegerQuery {
        service: service.to_owned(),
        ..JaegerQuery::default()
    };
    let tags = |pairs: &[(&str, &str)]| {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect::<BTreeMap<_, _>>()
    };
    for (name, query, expected) in [
        ("service", query("checkout"), vec![2, 1]),
        ("nobody", query("nobody"), vec![]),
        (
            "operation",
            JaegerQuery {
                operation: "db.query".to_owned(),
                ..query("checkout")
            },
            vec![1],
        ),
        (
            "error",
            JaegerQuery {
                tags: tags(&[("error", "true")]),
                ..query("checkout")
            },
            vec![2],
        ),
        (
            "number",
            JaegerQuery {
                tags: tags(&[("http.status_code", "200")]),
                ..query("frontend")
            },
            vec![3, 1],
        ),
        (
            "of another span",
            JaegerQuery {
                tags: tags(&[("http.status_code", "200")]),
                ..query("checkout")
            },
            vec![],
        ),
        (
            "event",
            JaegerQuery {
                tags: tags(&[("event", "retry"), ("attempt", "2")]),
                ..query("payments")
            },
            vec![2],
        ),
        (
            "kind",
            JaegerQuery {
                tags: tags(&[("span.kind", "client")]),
                ..query("checkout")
            },
            vec![1],
        ),
        (
            "slow",
            JaegerQuery {
                min_duration: Some(Duration::from_millis(500)),
                ..query("frontend")
            },
            vec![1],
        ),
        (
            "fast",
            JaegerQuery {
                max_duration: Some(Duration::from_millis(30)),
                ..query("frontend")
            },
            vec![3],
        ),
        (
            "late",
            JaegerQuery {
                start: at(9_000),
                ..query("frontend")
            },
            vec![3],
        ),
        (
            "one",
            JaegerQuery {
                limit: 1,
                ..query("frontend")
            },
            vec![3],
        ),
    ] {
        let found: Vec<u8> = store
            .jaeger_search(&query)
            .iter()
            .map(|trace| trace.id.0[15])
            .collect();
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn services_operations_and_dependencies() {
    let store = store(shop());
    assert_eq!(
        store.services(),
        ["checkout", "frontend", "payments", "users"]
    );
    let operations = store.operations("checkout", None);
    let shown: Vec<(&str, &str)> = operations
        .iter()
        .map(|own| (own.name.as_str(), own.span_kind.as_str()))
        .collect();
    assert_eq!(shown, [("charge", "server"), ("db.query", "client")]);
    assert_eq!(
        store.operations("checkout", Some(SpanKind::Client)).len(),
        1
    );
    assert_eq!(store.operations("nobody", None), []);
    assert_eq!(
        serde_json::to_value(JaegerResponse::of(
            store.dependencies(Timestamp::MIN, Timestamp::MAX)
        ))
        .unwrap(),
        json!({
            "data": [
                {"parent": "checkout", "child": "payments", "callCount": 2},
                {"parent": "frontend", "child": "checkout", "callCount": 2},
                {"parent": "frontend", "child": "users", "callCount": 1},
            ],
            "total": 3, "limit": 0, "offset": 0, "errors": null,
        })
    );
    let failed: JaegerResponse<()> = JaegerResponse::failed(404, "trace not found");
    assert_eq!(
        serde_json::to_value(failed).unwrap(),
        json!({"data": [], "total": 0, "limit": 0, "offset": 0, "errors": [{"code": 404, "msg": "trace not found"}]})
    );
}

//! Metrics made of spans.

mod common;

use std::time::Duration;

use common::{SpanExt, at, shop, span, trace_id};
use gameday_signal::{SpanKind, is_stale};
use gameday_traces::{Generator, GeneratorConfig, MetricPoint, SpanMetricsConfig};

/// The points of a metric as `labels value`.
fn points(all: &[MetricPoint], name: &str, at_ms: i64) -> Vec<String> {
    all.iter()
        .filter(|point| {
            point.labels.metric_name() == name && point.sample.timestamp_ms == at(at_ms).as_millis()
        })
        .map(|point| {
            format!(
                "{} {}",
                point.labels.without_metric_name(),
                point.sample.value
            )
        })
        .collect()
}

#[test]
fn spans_are_counted_by_operation() {
    let mut generator = Generator::new(GeneratorConfig {
        span_metrics: Some(SpanMetricsConfig {
            dimensions: vec!["http.status_code".to_owned()],
            ..SpanMetricsConfig::default()
        }),
        ..GeneratorConfig::default()
    });
    assert_eq!(generator.next_deadline(), None);
    generator.observe(&shop(), at(10_100));
    assert_eq!(generator.next_deadline(), Some(at(15_000)));
    assert_eq!(generator.tick(at(14_999)), []);
    let all = generator.tick(at(15_000));
    assert_eq!(
        points(&all, "traces_spanmetrics_calls_total", 15_000),
        [
            r#"{http_status_code="200", service="frontend", span_kind="SPAN_KIND_SERVER", span_name="GET /api/checkout", status_code="STATUS_CODE_UNSET"} 1"#,
            r#"{http_status_code="200", service="frontend", span_kind="SPAN_KIND_SERVER", span_name="GET /api/users", status_code="STATUS_CODE_UNSET"} 1"#,
            r#"{http_status_code="500", service="frontend", span_kind="SPAN_KIND_SERVER", span_name="GET /api/checkout", status_code="STATUS_CODE_UNSET"} 1"#,
            r#"{service="checkout", span_kind="SPAN_KIND_CLIENT", span_name="db.query", status_code="STATUS_CODE_UNSET"} 1"#,
            r#"{service="checkout", span_kind="SPAN_KIND_SERVER", span_name="charge", status_code="STATUS_CODE_ERROR"} 1"#,
            r#"{service="checkout", span_kind="SPAN_KIND_SERVER", span_name="charge", status_code="STATUS_CODE_UNSET"} 1"#,
            r#"{service="payments", span_kind="SPAN_KIND_SERVER", span_name="pay", status_code="STATUS_CODE_ERROR"} 1"#,
            r#"{service="payments", span_kind="SPAN_KIND_SERVER", span_name="pay", status_code="STATUS_CODE_UNSET"} 1"#,
            r#"{service="users", span_kind="SPAN_KIND_SERVER", span_name="list", status_code="STATUS_CODE_UNSET"} 1"#,
        ]
    );
    // A new series begins at zero, so that rate() sees its first value.
    assert!(
        points(&all, "traces_spanmetrics_calls_total", 0)
            .iter()
            .all(|point| point.ends_with(" 0"))
    );
    let query: Vec<&MetricPoint> = all
        .iter()
        .filter(|point| {
            point.labels.value_of("span_name") == "db.query"
                && point.sample.timestamp_ms == at(15_000).as_millis()
        })
        .collect();
    let bucket = |end: &str| {
        query
            .iter()
            .find(|point| point.labels.value_of("le") == end)
            .map(|point| point.sample.value)
    };
    assert_eq!(
        (bucket("0.512"), bucket("1.024"), bucket("+Inf")),
        (Some(0.0), Some(1.0), Some(1.0))
    );
    let exemplar = query
        .iter()
        .find_map(|point| point.exemplar.clone())
        .expect("an exemplar");
    assert_eq!(exemplar.labels.value_of("traceID"), trace_id(1).to_string());
    assert_eq!((exemplar.value, exemplar.timestamp), (0.7, Some(at(720))));
    // The second collection has the same values without exemplars.
    let again = generator.tick(at(30_000));
    assert!(again.iter().all(
        |point| point.exemplar.is_none() && point.sample.timestamp_ms == at(30_000).as_millis()
    ));
}

#[test]
fn series_end_when_nothing_comes() {
    let mut generator = Generator::new(GeneratorConfig {
        stale_after: Duration::from_secs(60),
        ..GeneratorConfig::default()
    });
    generator.observe(&shop()[..1], at(1_000));
    generator.tick(at(15_000));
    assert!(
        generator
            .tick(at(60_000))
            .iter()
            .all(|point| !is_stale(point.sample.value))
    );
    let ended = generator.tick(at(75_000));
    assert!(!ended.is_empty() && ended.iter().all(|point| is_stale(point.sample.value)));
    assert_eq!(generator.tick(at(90_000)), []);
    assert_eq!(generator.stats().active_series, 0);
}

#[test]
fn limits_are_counted() {
    let mut generator = Generator::new(GeneratorConfig {
        max_series: 40,
        service_graph: None,
        ..GeneratorConfig::default()
    });
    generator.observe(&shop(), at(10_100));
    generator.observe(&shop()[..1], at(600_000));
    let stats = generator.stats();
    assert_eq!((stats.spans, stats.outside_slack), (9, 1));
    assert!(
        stats.active_series <= 40 && stats.over_series_limit > 0,
        "{stats:?}"
    );
}

#[test]
fn calls_are_paired_whatever_comes_first() {
    let client = |trace, ms| span(trace, 10, 1, "frontend", "POST", ms, 50).kind(SpanKind::Client);
    let server = |trace, ms| span(trace, 11, 10, "checkout", "charge", ms, 40);
    let mut generator = Generator::new(GeneratorConfig::default());
    generator.observe(&[client(1, 0), server(1, 5)], at(100));
    generator.observe(&[server(2, 105)], at(200));
    generator.observe(&[client(2, 100).error("refused")], at(300));
    let all = generator.tick(at(15_000));
    let edge = r#"{client="frontend", server="checkout"}"#;
    assert_eq!(
        points(&all, "traces_service_graph_request_total", 15_000),
        [format!("{edge} 2")]
    );
    assert_eq!(
        points(&all, "traces_service_graph_request_failed_total", 15_000),
        [format!("{edge} 1")]
    );
    assert_eq!(
        points(
            &all,
            "traces_service_graph_request_server_seconds_sum",
            15_000
        ),
        [format!("{edge} 0.08")]
    );
    assert_eq!(
        points(
            &all,
            "traces_service_graph_request_client_seconds_sum",
            15_000
        ),
        [format!("{edge} 0.1")]
    );
    let exemplars: Vec<_> = all
        .iter()
        .filter_map(|point| point.exemplar.as_ref())
        .collect();
    assert!(
        exemplars
            .iter()
            .all(|exemplar| exemplar.labels.get("traceID").is_some())
    );
}

#[test]
fn who_sends_no_spans_is_a_virtual_node() {
    let mut generator = Generator::new(GeneratorConfig::default());
    generator.observe(
        &[
            span(1, 1, 0, "frontend", "GET /", 0, 50),
            span(1, 2, 1, "frontend", "query", 1, 20)
                .kind(SpanKind::Client)
                .with("db.system", "sqlite")
                .with("db.name", "users"),
            span(1, 3, 1, "frontend", "bill", 22, 20)
                .kind(SpanKind::Client)
                .with("peer.service", "bank"),
            span(1, 4, 1, "frontend", "lost", 22, 20).kind(SpanKind::Client),
            span(1, 5, 1, "frontend", "enqueue", 43, 2).kind(SpanKind::Producer),
            span(1, 6, 5, "mailer", "send", 46, 2).kind(SpanKind::Consumer),
            span(1, 7, 99, "checkout", "charge", 46, 2),
        ],
        at(100),
    );
    assert_eq!(generator.next_deadline(), Some(at(10_100)));
    assert_eq!(generator.stats().service_graph.waiting, 4);
    generator.tick(at(10_100));
    assert_eq!(
        points(
            &generator.tick(at(15_000)),
            "traces_service_graph_request_total",
            15_000
        ),
        [
            r#"{client="frontend", connection_type="database", server="users"} 1"#,
            r#"{client="frontend", connection_type="messaging_system", server="mailer"} 1"#,
            r#"{client="frontend", connection_type="virtual_node", server="bank"} 1"#,
            r#"{client="user", connection_type="virtual_node", server="frontend"} 1"#,
        ]
    );
    let stats = generator.stats().service_graph;
    assert_eq!((stats.edges, stats.waiting, stats.expired), (4, 0, 2));
}

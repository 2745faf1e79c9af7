//! What reads logs, traces and OTLP: each function takes any bytes and may not panic.

use std::sync::Arc;
use std::time::Duration;

use gameday_logs::{
    Direction, Entry, Limits as LogLimits, PushStream, RangeRequest, Store, format_query,
    parse_expr, query_range,
};
use gameday_metrics::{Engine, Store as MetricStore, StoreConfig};
use gameday_signal::{
    Attributes, Labels, Resource, Scope, Span, SpanId, SpanKind, SpanStatus, Timestamp, TraceId,
};
use gameday_traces::{
    Limits as TraceLimits, MetricsRequest, SearchRequest, TraceQuery, TraceStore,
};
use gameday_wire::otlp::{
    Encoding, Limits, MetricOptions, decode_logs, decode_metrics, decode_traces, encode_logs,
    encode_traces, transcode_metrics,
};
use gameday_wire::{PushStream as LokiStream, SampleValue, decode_loki_json, decode_loki_protobuf};

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);
const ENCODINGS: [Encoding; 2] = [Encoding::Protobuf, Encoding::Json];

fn text(data: &[u8]) -> &str {
    std::str::from_utf8(data).unwrap_or_default()
}

/// A LogQL query: read, written back, read again, answered over a few lines.
pub(crate) fn logql(data: &[u8]) {
    let source = text(data);
    let _ = format_query(source);
    let Ok(expr) = parse_expr(source) else {
        return;
    };
    let written = expr.to_string();
    let again = parse_expr(&written);
    let again = again.unwrap_or_else(|error| panic!("{source:?} -> {written:?}: {error}"));
    assert_eq!(written, again.to_string());
    let mut store = Store::new(LogLimits::default());
    let lines = [
        r#"{"level":"info","status":200,"dur":"5ms","ip":"10.0.0.1"}"#,
        "level=error status=500 dur=2s msg=\"a b\" ip=::1",
        "",
    ];
    let entries = lines.map(|line| Entry::new(NOW, line)).to_vec();
    store.append(&Labels::new([("app", "a")]), entries, NOW);
    let request = RangeRequest {
        start: NOW - Duration::from_secs(60),
        end: NOW + Duration::from_secs(1),
        step: Duration::from_secs(30),
        interval: Duration::ZERO,
        limit: 10,
        direction: Direction::Backward,
        categorize_labels: true,
    };
    let _ = query_range(&store, source, &request);
}

fn push(streams: Vec<LokiStream>) {
    let mut store = Store::new(LogLimits::default());
    let streams = streams.into_iter().map(|stream| PushStream {
        labels: stream.labels,
        entries: stream
            .entries
            .into_iter()
            .map(|entry| Entry {
                timestamp: entry.timestamp,
                line: entry.line,
                metadata: entry.metadata.into_iter().collect(),
            })
            .collect(),
    });
    store.push(streams.collect(), NOW);
}

/// The body of a push in JSON, into a store.
pub(crate) fn loki_push_json(data: &[u8]) {
    if let Ok(streams) = decode_loki_json(data) {
        push(streams);
    }
}

/// The body of a push in protobuf, as it is and as the content of a request, into a store.
pub(crate) fn loki_push_protobuf(data: &[u8]) {
    let packed = gameday_wire::snappy_encode(data);
    for body in [data, &packed] {
        if let Ok(streams) = decode_loki_protobuf(body, 1 << 20) {
            push(streams);
        }
    }
}

/// An export of spans in protobuf and in JSON, into a store; what was stored is written and read again.
pub(crate) fn otlp_traces(data: &[u8]) {
    let limits = Limits::default();
    for encoding in ENCODINGS {
        let Ok(decoded) = decode_traces(data, encoding, &limits, NOW) else {
            continue;
        };
        let mut store = TraceStore::new(TraceLimits::default());
        let ids: Vec<TraceId> = decoded.items.iter().map(|span| span.trace_id).collect();
        store.append(decoded.items, NOW);
        for id in ids {
            let Some(trace) = store.get(id) else { continue };
            let _ = trace.waterfall();
            let written = encode_traces(&trace.spans);
            let again = decode_traces(&written, Encoding::Protobuf, &limits, NOW);
            assert!(again.is_ok(), "what is written can be read");
        }
    }
}

/// An export of log records in protobuf and in JSON, into a store; what was read is written and read again.
pub(crate) fn otlp_logs(data: &[u8]) {
    let limits = Limits::default();
    for encoding in ENCODINGS {
        let Ok(decoded) = decode_logs(data, encoding, &limits) else {
            continue;
        };
        let written = encode_logs(&decoded.items);
        let again = decode_logs(&written, Encoding::Protobuf, &limits);
        let again = again.unwrap_or_else(|error| panic!("what is written can be read: {error}"));
        assert_eq!(decoded.items.len(), again.items.len());
        Store::new(LogLimits::default()).push_records(&decoded.items, NOW);
    }
}

/// An export of metrics in protobuf and in JSON, into a store, and queries over it.
pub(crate) fn otlp_metrics(data: &[u8]) {
    for encoding in ENCODINGS {
        if let Ok(written) = transcode_metrics(data, encoding) {
            let again = transcode_metrics(&written, Encoding::Protobuf);
            assert!(again.is_ok(), "what is written can be read");
        }
        for convert_histograms_to_nhcb in [false, true] {
            let options = MetricOptions {
                promote_all_resource_attributes: true,
                convert_histograms_to_nhcb,
                promote_scope_metadata: true,
                ..MetricOptions::default()
            };
            let Ok(decoded) = decode_metrics(data, encoding, &Limits::default(), &options) else {
                continue;
            };
            let mut store = MetricStore::new(StoreConfig::default());
            for sample in decoded.samples {
                let at_ms = sample.timestamp_ms;
                let _ = match sample.value {
                    SampleValue::Float(value) => store.append(&sample.labels, at_ms, value),
                    SampleValue::Histogram(histogram) => {
                        store.append_histogram(&sample.labels, at_ms, *histogram)
                    }
                };
                for exemplar in sample.exemplars {
                    store.append_exemplar(&sample.labels, at_ms, exemplar);
                }
            }
            for query in ["{__name__=~\".+\"}", "rate({__name__=~\".+\"}[1h])"] {
                let _ = Engine::default().instant(&store, query, 1_000_000);
            }
        }
    }
}

fn span(id: u8, parent: u8) -> Span {
    Span {
        trace_id: TraceId([1; 16]),
        span_id: SpanId([id; 8]),
        parent_span_id: SpanId([parent; 8]),
        trace_state: String::new(),
        flags: 0,
        name: format!("span {id}"),
        kind: SpanKind::Server,
        start: NOW,
        end: NOW + Duration::from_millis(u64::from(id)),
        attributes: Attributes(vec![("a".into(), i64::from(id).into())]),
        events: Vec::new(),
        links: Vec::new(),
        status: SpanStatus::Error,
        status_message: String::new(),
        resource: Arc::new(Resource::default()),
        scope: Arc::new(Scope::default()),
    }
}

/// A TraceQL query: read, written back, read again, answered over a few spans.
pub(crate) fn traceql(data: &[u8]) {
    let source = text(data);
    let _ = TraceQuery::parse_lenient(source);
    let Ok(query) = TraceQuery::parse(source) else {
        return;
    };
    let written = query.to_string();
    let again = TraceQuery::parse(&written);
    let again = again.unwrap_or_else(|error| panic!("{source:?} -> {written:?}: {error}"));
    assert_eq!(written, again.to_string());
    let mut store = TraceStore::new(TraceLimits::default());
    store.append(vec![span(1, 0), span(2, 1), span(3, 2)], NOW);
    if query.is_metrics() {
        let request = MetricsRequest::new(
            NOW - Duration::from_secs(60),
            NOW + Duration::from_secs(60),
            Duration::from_secs(10),
        );
        let _ = store.query_range(&query, &request);
        let _ = store.query_instant(&query, &request);
    } else {
        let _ = store.search(&query, &SearchRequest::default());
    }
}

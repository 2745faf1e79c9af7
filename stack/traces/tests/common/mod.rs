//! Spans for tests, in few words.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test binary uses its own part"
)]

use std::sync::Arc;

use gameday_signal::{
    AttributeValue, Attributes, Resource, Scope, Span, SpanEvent, SpanId, SpanKind, SpanLink,
    SpanStatus, Timestamp, TraceId,
};
use gameday_traces::{Limits, TraceStore};

/// 2026-01-01T00:00:00Z, the epoch of the tests in seconds.
pub const EPOCH_SECS: i64 = 1_767_225_600;

/// The instant `ms` milliseconds after the epoch of the tests.
pub fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(EPOCH_SECS * 1000 + ms)
}

pub fn trace_id(number: u64) -> TraceId {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    TraceId(bytes)
}

pub fn span_id(number: u64) -> SpanId {
    SpanId(number.to_be_bytes())
}

pub fn attributes(pairs: &[(&str, AttributeValue)]) -> Attributes {
    Attributes(
        pairs
            .iter()
            .map(|(key, value)| ((*key).into(), value.clone()))
            .collect(),
    )
}

/// A server span of `service` that begins `start_ms` after the epoch; `parent` 0 means a root.
pub fn span(
    trace: u64,
    id: u64,
    parent: u64,
    service: &str,
    name: &str,
    start_ms: i64,
    duration_ms: i64,
) -> Span {
    Span {
        trace_id: trace_id(trace),
        span_id: span_id(id),
        parent_span_id: span_id(parent),
        trace_state: String::new(),
        flags: 1,
        name: name.to_owned(),
        kind: SpanKind::Server,
        start: at(start_ms),
        end: at(start_ms + duration_ms),
        attributes: Attributes::default(),
        events: Vec::new(),
        links: Vec::new(),
        status: SpanStatus::Unset,
        status_message: String::new(),
        resource: Arc::new(Resource {
            attributes: attributes(&[("service.name", service.into())]),
        }),
        scope: Arc::new(Scope {
            name: "test-lib".to_owned(),
            version: "1.2".to_owned(),
            ..Scope::default()
        }),
    }
}

pub trait SpanExt {
    fn with(self, key: &str, value: impl Into<AttributeValue>) -> Self;
    fn kind(self, kind: SpanKind) -> Self;
    fn error(self, message: &str) -> Self;
    fn event(self, name: &str, after_ms: i64, attributes: &[(&str, AttributeValue)]) -> Self;
    fn link(self, trace: u64, id: u64, attributes: &[(&str, AttributeValue)]) -> Self;
}

impl SpanExt for Span {
    fn with(mut self, key: &str, value: impl Into<AttributeValue>) -> Self {
        self.attributes.0.push((key.into(), value.into()));
        self
    }

    fn kind(mut self, kind: SpanKind) -> Self {
        self.kind = kind;
        self
    }

    fn error(mut self, message: &str) -> Self {
        self.status = SpanStatus::Error;
        message.clone_into(&mut self.status_message);
        self
    }

    fn event(mut self, name: &str, after_ms: i64, pairs: &[(&str, AttributeValue)]) -> Self {
        self.events.push(SpanEvent {
            timestamp: self.start + std::time::Duration::from_millis(after_ms as u64),
            name: name.to_owned(),
            attributes: attributes(pairs),
        });
        self
    }

    fn link(mut self, trace: u64, id: u64, pairs: &[(&str, AttributeValue)]) -> Self {
        self.links.push(SpanLink {
            trace_id: trace_id(trace),
            span_id: span_id(id),
            trace_state: String::new(),
            attributes: attributes(pairs),
        });
        self
    }
}

/// A store that holds `spans`, all of which it must accept.
pub fn store(spans: Vec<Span>) -> TraceStore {
    let mut store = TraceStore::new(Limits::default());
    let count = spans.len() as u64;
    let report = store.append(spans, at(60_000));
    assert_eq!(report.accepted, count, "{report:?}");
    store
}

/// Three traces: a slow checkout (1), a failed checkout (2) and a look at the users (3).
///
/// ```text
/// 1: frontend GET /api/checkout (1) -> checkout charge (2) -> checkout db.query (3), payments pay (4)
/// 2: frontend GET /api/checkout (1) -> checkout charge (2, error) -> payments pay (3, error)
/// 3: frontend GET /api/users (1) -> users list (2)
/// ```
pub fn shop() -> Vec<Span> {
    vec![
        span(1, 1, 0, "frontend", "GET /api/checkout", 0, 900).with("http.status_code", 200),
        span(1, 2, 1, "checkout", "charge", 10, 880)
            .with("retries", 2)
            .with("tags", AttributeValue::Array(vec!["a".into(), "b".into()])),
        span(1, 3, 2, "checkout", "db.query", 20, 700)
            .kind(SpanKind::Client)
            .with("db.system", "sqlite")
            .with("cost", AttributeValue::Double(2.5)),
        span(1, 4, 2, "payments", "pay", 730, 100).with("amount", 30),
        span(2, 1, 0, "frontend", "GET /api/checkout", 5_000, 60).with("http.status_code", 500),
        span(2, 2, 1, "checkout", "charge", 5_010, 40)
            .error("payment refused")
            .with("retries", 0),
        span(2, 3, 2, "payments", "pay", 5_015, 30)
            .error("card declined")
            .with("amount", 70)
            .event(
                "exception",
                12,
                &[("exception.type", "Declined".into()), ("attempt", 1.into())],
            )
            .event("retry", 20, &[("attempt", 2.into())])
            .link(1, 4, &[("reason", "same card".into())]),
        span(3, 1, 0, "frontend", "GET /api/users", 10_000, 20).with("http.status_code", 200),
        span(3, 2, 1, "users", "list", 10_005, 10).with("rows", 7),
    ]
}

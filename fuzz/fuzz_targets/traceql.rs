//! TraceQL: no text makes the reader or the engine panic, and what was read is read again from its own text.

#![no_main]

use std::sync::Arc;
use std::time::Duration;

use gameday_signal::{
    Attributes, Resource, Scope, Span, SpanId, SpanKind, SpanStatus, Timestamp, TraceId,
};
use gameday_traces::{Limits, MetricsRequest, SearchRequest, TraceQuery, TraceStore};
use libfuzzer_sys::fuzz_target;

fn span(id: u8, parent: u8, now: Timestamp) -> Span {
    Span {
        trace_id: TraceId([1; 16]),
        span_id: SpanId([id; 8]),
        parent_span_id: SpanId([parent; 8]),
        trace_state: String::new(),
        flags: 0,
        name: format!("span {id}"),
        kind: SpanKind::Server,
        start: now,
        end: now + Duration::from_millis(u64::from(id)),
        attributes: Attributes(vec![("a".to_owned(), i64::from(id).into())]),
        events: Vec::new(),
        links: Vec::new(),
        status: SpanStatus::Error,
        status_message: String::new(),
        resource: Arc::new(Resource::default()),
        scope: Arc::new(Scope::default()),
    }
}

fuzz_target!(|source: &str| {
    let _ = TraceQuery::parse_lenient(source);
    let Ok(query) = TraceQuery::parse(source) else {
        return;
    };
    let written = query.to_string();
    let again = TraceQuery::parse(&written).expect("what is written can be read");
    assert_eq!(written, again.to_string());
    let now = Timestamp::from_secs(1_700_000_000);
    let mut store = TraceStore::new(Limits::default());
    store.append(vec![span(1, 0, now), span(2, 1, now), span(3, 2, now)], now);
    if query.is_metrics() {
        let request = MetricsRequest::new(
            now - Duration::from_secs(60),
            now + Duration::from_secs(60),
            Duration::from_secs(10),
        );
        let _ = store.query_range(&query, &request);
        let _ = store.query_instant(&query, &request);
    } else {
        let _ = store.search(&query, &SearchRequest::default());
    }
});

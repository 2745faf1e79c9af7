//! A trace out of the store.

use gameday_signal::{Span, TraceId};

/// The spans of one trace.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// Its id.
    pub id: TraceId,
    /// Its spans by their start; of two that begin together the one with the smaller id first.
    pub spans: Vec<Span>,
}

impl Trace {
    /// A trace of `spans`, which are put in order.
    pub fn new(id: TraceId, mut spans: Vec<Span>) -> Self {
        spans.sort_by_key(|span| (span.start, span.span_id, span.kind));
        Self { id, spans }
    }
}

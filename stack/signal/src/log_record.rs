//! A log record.

use std::sync::Arc;

use crate::{AttributeValue, Attributes, Resource, Scope, SpanId, Timestamp, TraceId};

/// A log record in the data model of OpenTelemetry.
#[derive(Clone, Debug, PartialEq)]
pub struct LogRecord {
    /// When it happened; the epoch where the sender did not say.
    pub timestamp: Timestamp,
    /// When it was seen by the collection system; the epoch where the sender did not say.
    pub observed_timestamp: Timestamp,
    /// OpenTelemetry's severity 1 (TRACE) to 24 (FATAL4), 0 when unknown.
    pub severity_number: i32,
    /// The severity in the sender's own words.
    pub severity_text: String,
    /// The message.
    pub body: AttributeValue,
    /// What is known about it.
    pub attributes: Attributes,
    /// The trace it belongs to, or none.
    pub trace_id: TraceId,
    /// The span it belongs to, or none.
    pub span_id: SpanId,
    /// W3C trace flags.
    pub flags: u32,
    /// What sent it, shared by all records of one batch.
    pub resource: Arc<Resource>,
    /// What made it, shared by all records of one batch.
    pub scope: Arc<Scope>,
}

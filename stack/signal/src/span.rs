//! A span of a trace.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Attributes, Resource, Scope, SpanId, Timestamp, TraceId};

/// The role of a span.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum SpanKind {
    /// Not said.
    #[default]
    Unspecified,
    /// Work inside a process.
    Internal,
    /// A request was received.
    Server,
    /// A request was sent.
    Client,
    /// A message was sent.
    Producer,
    /// A message was received.
    Consumer,
}

impl SpanKind {
    /// The kind that a number of OTLP's `SpanKind` stands for, in which order they are declared here.
    pub const fn from_number(number: i32) -> Self {
        match number {
            1 => Self::Internal,
            2 => Self::Server,
            3 => Self::Client,
            4 => Self::Producer,
            5 => Self::Consumer,
            _ => Self::Unspecified,
        }
    }
}

/// How a span ended.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum SpanStatus {
    /// Not said.
    #[default]
    Unset,
    /// Said to be good.
    Ok,
    /// Failed.
    Error,
}

impl SpanStatus {
    /// The status that a number of OTLP's `Status.StatusCode` stands for, in which order they are declared here.
    pub const fn from_number(number: i32) -> Self {
        match number {
            1 => Self::Ok,
            2 => Self::Error,
            _ => Self::Unset,
        }
    }
}

/// Something that happened during a span.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanEvent {
    /// When.
    pub timestamp: Timestamp,
    /// What.
    pub name: String,
    /// What is known about it.
    pub attributes: Attributes,
}

/// A reference to another span.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanLink {
    /// The other trace.
    pub trace_id: TraceId,
    /// The other span.
    pub span_id: SpanId,
    /// W3C tracestate.
    pub trace_state: String,
    /// What is known about the link.
    pub attributes: Attributes,
}

/// A span in the data model of OpenTelemetry.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// The trace it belongs to.
    pub trace_id: TraceId,
    /// Its own id.
    pub span_id: SpanId,
    /// The span that caused it; none for a root.
    pub parent_span_id: SpanId,
    /// W3C tracestate.
    pub trace_state: String,
    /// W3C trace flags.
    pub flags: u32,
    /// The operation.
    pub name: String,
    /// Its role.
    pub kind: SpanKind,
    /// When it began.
    pub start: Timestamp,
    /// When it ended.
    pub end: Timestamp,
    /// What is known about it.
    pub attributes: Attributes,
    /// What happened during it.
    pub events: Vec<SpanEvent>,
    /// What it refers to.
    pub links: Vec<SpanLink>,
    /// How it ended.
    pub status: SpanStatus,
    /// The words that go with the status.
    pub status_message: String,
    /// What sent it, shared by all spans of one batch.
    pub resource: Arc<Resource>,
    /// What made it, shared by all spans of one batch.
    pub scope: Arc<Scope>,
}

impl Span {
    /// How long it took, zero when it ended before it began.
    pub fn duration(&self) -> Duration {
        self.end.since(self.start)
    }
}

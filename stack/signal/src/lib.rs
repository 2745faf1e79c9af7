//! The data of the house: what every room hands to the next.
//!
//! ```text
//!   wire (bytes) -> Sample, LogRecord, Span -> metrics, logs, traces (stores)
//!   rules -> Alert -> alerts -> notification;   everybody -> Event -> journal -> timeline
//! ```
//!
//! Invariants: plain data and its total orders, no I/O, no clock, no configuration format. Labels are always sorted by name and
//! never hold an empty value, so that two equal label sets are equal bytes.

mod alert;
mod attributes;
mod duration;
mod event;
mod fixed_hash;
mod histogram;
mod ids;
mod labels;
mod log_record;
mod matcher;
mod metric;
mod nearest;
pub mod number;
mod quoted;
mod sample;
mod span;
mod timestamp;

pub use alert::Alert;
pub use attributes::{AttributeValue, Attributes, Resource, Scope};
pub use duration::{DurationError, format_duration, parse_duration};
pub use event::{Event, EventKind, FaultEnd};
pub use fixed_hash::{FixedMap, FixedSet, Mix, hash_bytes};
pub use histogram::{BucketSpan, CounterResetHint, Histogram};
pub use ids::{IdError, SpanId, TraceId, hex, write_hex};
pub use labels::{Labels, LabelsBuilder};
pub use log_record::LogRecord;
pub use matcher::{MatchOp, Matcher, MatcherError};
pub use metric::{MetricMetadata, MetricType};
pub use nearest::{did_you_mean, nearest};
pub use quoted::{Quoted, character_of_byte, escaped_byte};
pub use sample::{Exemplar, STALE_NAN_BITS, Sample, is_stale, stale_nan};
pub use smol_str::SmolStr;
pub use span::{Span, SpanEvent, SpanKind, SpanLink, SpanStatus};
pub use timestamp::{Timestamp, days_from_civil};

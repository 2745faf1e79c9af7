//! The log store and LogQL.
//!
//! ```text
//!   Loki push, OTLP --append--> streams: label index, head, compressed blocks, structured metadata
//!                                  |
//!   LogQL text --parse--> Expr --stages--> lines --aggregations--> streams, vector, matrix, scalar
//!                                  |
//!                                  +--> labels, series, stats, volume, detected fields, patterns, tail
//! ```
//!
//! Entry: [`Store::push`] and [`Store::push_records`] take lines in, [`query_range`] and [`query_instant`] answer as Loki's HTTP
//! API does, [`evaluate`] gives rules their vector, and [`Store::open`] keeps a store over restarts.
//!
//! Invariants: no clock, no socket, no thread (every call is told the time), files only below the folder of [`Store::open`]; what an append accepted is visible to the next query;
//! the same lines and the same query give the same bytes; every size has a limit, and the message of the limit is Loki's.
//! The room needs `template` besides `query` and `signal`: `line_format` and `label_format` are Go templates.

mod answer;
mod disk;
mod entry;
mod eval;
mod ingest;
mod label_set;
mod limits;
pub mod logql;
mod stage;
mod store;
mod structured_metadata;
mod tail;

pub use answer::{
    DetectedField, DetectedFields, DetectedLabel, DetectedLabels, Direction, EntryLabels,
    IndexStats, MatrixSeries, PatternSeries, QueryData, QueryResult, RangeRequest, ResultEntry,
    StreamResult, VectorSample, VolumeAggregation, check_rule, default_step, evaluate,
    query_instant, query_range,
};
pub use disk::{DiskConfig, Recovery};
pub use entry::{Appended, Entry, PushStream, Rejection};
pub use eval::QueryError;
pub use label_set::LabelSet;
pub use limits::Limits;
pub use logql::{Expr, ParseError, format_query, parse_expr, parse_selector};
pub use store::{Store, StoreStats};
pub use structured_metadata::Metadata;
pub use tail::{DroppedEntry, TailBatch, TailId};

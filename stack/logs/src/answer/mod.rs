//! Answers in the shapes of Loki's HTTP API.

mod fields;
mod labels;
mod logs;
mod patterns;
mod query;
mod result;
mod volume;

pub use fields::{DetectedField, DetectedFields, DetectedLabel, DetectedLabels};
pub(crate) use logs::EntryCollector;
pub use patterns::PatternSeries;
pub use query::{RangeRequest, check_rule, default_step, evaluate, query_instant, query_range};
pub use result::{
    Direction, EntryLabels, MatrixSeries, QueryData, QueryResult, ResultEntry, StreamResult,
    VectorSample,
};
pub use volume::{IndexStats, VolumeAggregation};

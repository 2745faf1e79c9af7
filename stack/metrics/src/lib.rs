//! The series store and PromQL.
//!
//! ```text
//!   append(labels, time, value) --> Store: index, series of compressed chunks, exemplars --commit--> log, blocks
//!                                     ^ select(matchers)
//!   "rate(x[5m])" --parse--> Expr --Engine--> QueryOutput { value, warnings, infos }
//! ```
//!
//! The entry points are [`Store::open`] (or [`Store::new`] for a store that lives in memory), [`Store::append`], [`parse`],
//! [`Engine::instant`] and [`Engine::range`].
//!
//! Invariants: no clock, no threads: the caller says what time it is. Files are reached through [`gameday_disk::Files`] alone. A query
//! never changes the store and holds a limited number of samples. The same store and the same query give the same answer, the same
//! warnings included, in the same order.

mod engine;
mod histogram;
mod log;
mod promql;
mod store;

pub use engine::{
    Engine, EngineConfig, InstantSample, Point, QueryError, QueryOutput, RangeSeries, SampleValue,
    Value,
};
pub use histogram::{Bucket, CUSTOM_BUCKETS_SCHEMA, buckets, histogram_text};
pub use log::Recovery;
pub use promql::{
    Aggregate, AggregateOp, AtModifier, Binary, ClassicHistogram, DurationExpr, DurationValue,
    Expr, ExprKind, FUNCTIONS, Function, Modifiers, ParseOptions, SequenceValue, SeriesDescription,
    Subquery, ValueType, VectorSelector, parse, parse_metric, parse_selector,
    parse_series_description, parse_with,
};
pub use store::{
    AppendError, AppendStats, Cardinality, ExemplarSeries, Maintenance, NamedCount, SeriesRef,
    Store, StoreConfig, StoreStats, Tapped, TappedValue,
};

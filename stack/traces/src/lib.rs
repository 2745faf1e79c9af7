//! The trace store and TraceQL.
//!
//! ```text
//!   Span --append--> TraceStore: segments of 65,536 rows as columns, traces by id and by time
//!                        |
//!   text --TraceQuery::parse--> tree --bound to each segment--> search / query_range / query_instant / tag_values
//!                        |                                         Tempo's answers as serde structs
//!                        +--get(id)--> Trace
//! ```
//!
//! [`TraceStore`] is the entry: [`TraceStore::append`] takes spans, [`TraceStore::get`] gives a trace back, and the answers to
//! TraceQL are [`TraceStore::search`], [`TraceStore::query_range`], [`TraceStore::query_instant`] and the names and values of
//! attributes.
//!
//! Invariants: what `append` has counted as accepted is seen by the next call of any kind; the same spans in the same order give
//! the same bytes in every answer; whatever a limit refuses is in the report; the time is told, never asked for.

mod disk;
mod generator;
mod jaeger;
mod limits;
mod members;
mod root_cause;
mod sampling;
mod search;
mod store;
mod trace;
mod traceql;
mod tree;
mod waterfall;

pub use disk::{DiskConfig, DiskError, ReplayReport};
pub use generator::{
    Generator, GeneratorConfig, GeneratorStats, MetricDescription, MetricPoint, ServiceGraphConfig,
    ServiceGraphStats, SpanMetricsConfig,
};
pub use jaeger::{
    JaegerDependency, JaegerError, JaegerLog, JaegerOperation, JaegerProcess, JaegerQuery,
    JaegerReference, JaegerResponse, JaegerSpan, JaegerTag, JaegerTrace,
};
pub use limits::{AppendReport, Limits, Refusal, Refused};
pub use root_cause::{
    AttributeCause, CauseCandidate, ErrorCause, LatencyCause, RootCause, SpanKey, Verdict,
};
pub use sampling::{
    Policy, PolicyCount, PolicyKind, ProbabilisticSampler, TailSampler, TailSamplerConfig,
    TailSamplerStats,
};
pub use search::{
    DEFAULT_SEARCH_LIMIT, DEFAULT_SPANS_PER_SPAN_SET, InstantSeries, KeyValue, MetadataMetrics,
    MetricExemplar, MetricSample, MetricsError, MetricsRequest, QueryInstantResponse,
    QueryRangeResponse, SearchMetrics, SearchRequest, SearchResponse, SearchSpan, ServiceStats,
    SpanSet, TagScope, TagValue, TagValuesResponse, TagValuesV2Response, TagsRequest, TagsResponse,
    TagsScope, TagsV2Response, TimeSeries, TraceSearchMetadata,
};
pub use store::{Evicted, StoreStats, TraceStore};
pub use trace::Trace;
pub use traceql::{QueryError, TraceQuery};
pub use waterfall::{Waterfall, WaterfallRow};

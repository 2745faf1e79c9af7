//! The trace store and TraceQL, and what is made of spans: metrics, samples, a root cause.
//!
//! ```text
//!   Span --TailSampler, ProbabilisticSampler--> the spans worth keeping
//!    |
//!    +--Generator--> span metrics and service graph: MetricPoint with exemplars, for the metrics store
//!    |
//!    +--append--> TraceStore: segments of 65,536 rows as columns, traces by id and by time; a log on disk
//!                      |
//!    text --TraceQuery::parse--> tree --bound to each segment--> search, query_range, query_instant, tag_values
//!                      |                                           Tempo's answers, and Jaeger's, as serde structs
//!                      +--get(id)--> Trace --waterfall--> who called whom, self time, critical path
//!                                      |
//!                                      +--RootCause::find(incident, steady)--> the span that explains what got worse
//! ```
//!
//! [`TraceStore`] is the entry: [`TraceStore::append`] takes spans, [`TraceStore::get`] gives a trace back, and the answers to
//! TraceQL are [`TraceStore::search`], [`TraceStore::query_range`], [`TraceStore::query_instant`] and the names and values of
//! attributes. [`TraceStore::open`] is the same with a folder. [`Generator`] and [`TailSampler`] are told the time: they are shown
//! spans by `observe`, asked by `tick`, and say by `next_deadline` when they want to be asked next.
//!
//! Invariants: what `append` has counted as accepted is seen by the next call of any kind, and with a folder survives a crash; the
//! same spans in the same order give the same bytes in every answer; whatever a limit refuses is in the report; the time is told,
//! never asked for.

mod attributes_processor;
mod disk;
mod generator;
mod jaeger;
mod limits;
mod members;
mod root_cause;
mod sampling;
mod search;
mod service_map;
mod store;
mod trace;
mod traceql;
mod tree;
mod waterfall;

pub use attributes_processor::{
    AttributeAction, AttributesProcessor, SpanMatch, ValueType, apply as apply_attribute_actions,
};
pub use disk::{DiskConfig, ReplayReport};
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
    DEFAULT_SEARCH_LIMIT, DEFAULT_SPANS_PER_SPAN_SET, InstantSeries, KeyValue, LimitError,
    MetadataMetrics, MetricExemplar, MetricSample, MetricsError, MetricsRequest,
    QueryInstantResponse, QueryLimits, QueryRangeResponse, SearchMetrics, SearchRequest,
    SearchResponse, SearchSpan, ServiceStats, SpanSet, TagScope, TagValue, TagValuesResponse,
    TagValuesV2Response, TagsRequest, TagsResponse, TagsScope, TagsV2Response, TimeSeries,
    TraceSearchMetadata,
};
pub use service_map::{ServiceEdge, failing_edge, service_edges};
pub use store::{Evicted, StoreStats, TraceStore};
pub use trace::Trace;
pub use traceql::{QueryError, TraceQuery};
pub use waterfall::{Waterfall, WaterfallRow};

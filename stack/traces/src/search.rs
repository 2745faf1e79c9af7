//! Answers to TraceQL: traces, names and values of attributes, metrics.

mod bind;
mod compare;
mod find;
mod group;
mod log2;
mod metrics;
mod response;
mod second_stage;
mod spanset;
mod tags;

pub use find::{LimitError, QueryLimits, SearchRequest};
pub use metrics::{MetricsError, MetricsRequest};
pub use response::{
    InstantSeries, KeyValue, MetadataMetrics, MetricExemplar, MetricSample, QueryInstantResponse,
    QueryRangeResponse, SearchMetrics, SearchResponse, SearchSpan, ServiceStats, SpanSet, TagValue,
    TagValuesResponse, TagValuesV2Response, TagsResponse, TagsScope, TagsV2Response, TimeSeries,
    TraceSearchMetadata,
};
pub use tags::{TagScope, TagsRequest};

/// Default for the number of spans shown of a spanset (Tempo's `query_frontend.search.default_spans_per_span_set`).
pub const DEFAULT_SPANS_PER_SPAN_SET: usize = 3;
/// Default for the number of traces in an answer (Tempo's `query_frontend.search.default_result_limit`).
pub const DEFAULT_SEARCH_LIMIT: usize = 20;

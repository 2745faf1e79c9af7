//! Search: the traces that a query matches, and the spans in them.

use std::collections::BTreeMap;
use std::time::Duration;

use gameday_signal::{SpanStatus, Timestamp};

use super::bind::NO_ROOT;
use super::response::{
    KeyValue, SearchMetrics, SearchResponse, SearchSpan, ServiceStats, SpanSet, TraceSearchMetadata,
};
use super::spanset::{Bindings, Spanset, TraceView, hex, root_of};
use super::{DEFAULT_SEARCH_LIMIT, DEFAULT_SPANS_PER_SPAN_SET};
use crate::store::{TraceEntry, TraceStore};
use crate::traceql::ast::{Attribute, Body, Field, Intrinsic, Pipeline, Scalar, Spansets, Stage};
use crate::traceql::{TraceQuery, format_nanos};

/// Which traces are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SearchRequest {
    /// Traces that ended before are left out.
    pub start: Timestamp,
    /// Traces that began after are left out.
    pub end: Timestamp,
    /// The number of traces in the answer.
    pub limit: usize,
    /// The number of spans shown of each spanset; 0 for all.
    pub spans_per_span_set: usize,
}

impl Default for SearchRequest {
    fn default() -> Self {
        Self {
            start: Timestamp::MIN,
            end: Timestamp::MAX,
            limit: DEFAULT_SEARCH_LIMIT,
            spans_per_span_set: DEFAULT_SPANS_PER_SPAN_SET,
        }
    }
}

/// What a query may ask for; a limit of zero is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueryLimits {
    /// The range of a search (Tempo's `query_frontend.search.max_duration`).
    pub max_search_range: Duration,
    /// The traces of an answer (`query_frontend.search.max_result_limit`).
    pub max_results: usize,
    /// The spans that are shown of a spanset (`query_frontend.search.max_spans_per_span_set`).
    pub max_spans_per_span_set: usize,
    /// The range of a metrics query (`query_frontend.metrics.max_duration`).
    pub max_metrics_range: Duration,
}

impl Default for QueryLimits {
    fn default() -> Self {
        Self {
            max_search_range: Duration::from_secs(168 * 3600),
            max_results: 256 * 1024,
            max_spans_per_span_set: 100,
            max_metrics_range: Duration::from_secs(24 * 3600),
        }
    }
}

/// Which limit a request is over, in Tempo's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// Too many traces are asked for.
    #[error("limit {limit} exceeds max limit {max}")]
    Results {
        /// What was asked for.
        limit: usize,
        /// What may be.
        max: usize,
    },
    /// The range of a search is too long.
    #[error(
        "range specified by start and end exceeds {max}. received start={start_secs} end={end_secs}"
    )]
    SearchRange {
        /// What may be.
        max: String,
        /// The start in seconds.
        start_secs: i64,
        /// The end in seconds.
        end_secs: i64,
    },
    /// Too many spans are asked for.
    #[error("spans per span set exceeds {max}. received {spans}")]
    SpansPerSpanSet {
        /// What was asked for; 0 for all.
        spans: usize,
        /// What may be.
        max: usize,
    },
    /// The range of a metrics query is too long.
    #[error("metrics query time range exceeds the maximum allowed duration of {max}")]
    MetricsRange {
        /// What may be.
        max: String,
    },
}

impl QueryLimits {
    /// Whether a search may run.
    ///
    /// # Errors
    /// Which limit it is over. A search without a range, which looks at all that is stored, has no range to be too long.
    pub fn check_search(&self, request: &SearchRequest) -> Result<(), LimitError> {
        let (limit, spans) = (request.limit, request.spans_per_span_set);
        if self.max_results != 0 && limit > self.max_results {
            return Err(LimitError::Results {
                limit,
                max: self.max_results,
            });
        }
        let bounded = request.start > Timestamp::MIN && request.end < Timestamp::MAX;
        if bounded && is_over(request.end.since(request.start), self.max_search_range) {
            return Err(LimitError::SearchRange {
                max: format_duration(self.max_search_range),
                start_secs: request.start.as_secs(),
                end_secs: request.end.as_secs(),
            });
        }
        if self.max_spans_per_span_set != 0 && (spans == 0 || spans > self.max_spans_per_span_set) {
            return Err(LimitError::SpansPerSpanSet {
                spans,
                max: self.max_spans_per_span_set,
            });
        }
        Ok(())
    }

    /// Whether a metrics query over this range may run.
    ///
    /// # Errors
    /// Where the range is too long.
    pub fn check_metrics(&self, start: Timestamp, end: Timestamp) -> Result<(), LimitError> {
        if is_over(end.since(start), self.max_metrics_range) {
            return Err(LimitError::MetricsRange {
                max: format_duration(self.max_metrics_range),
            });
        }
        Ok(())
    }
}

fn is_over(range: Duration, max: Duration) -> bool {
    !max.is_zero() && range > max
}

fn format_duration(duration: Duration) -> String {
    format_nanos(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
}

/// Spansets of one trace in an answer: `by()` over a long trace may make as many as it has spans.
const MAX_SPAN_SETS: usize = 1000;

impl TraceStore {
    /// The traces that `query` matches, the latest first. A query that computes metrics finds none: ask
    /// [`TraceStore::query_range`].
    pub fn search(&self, query: &TraceQuery, request: &SearchRequest) -> SearchResponse {
        let mut response = SearchResponse::default();
        response.metrics.completed_jobs = 1;
        response.metrics.total_jobs = 1;
        let Body::Search(pipeline) = &query.body else {
            return response;
        };
        let shown = shown_attributes(pipeline);
        let mut bindings = Bindings::new(self, pipeline, &[], shown.iter().copied());
        let mut visit = |slot: u32, bindings: &Bindings<'_>| {
            let Some(entry) = self.traces.get(slot) else {
                return false;
            };
            if entry.start > request.end || entry.end < request.start {
                return false;
            }
            response.metrics.inspected_traces += 1;
            response.metrics.inspected_spans += entry.rows.len() as u64;
            if let Some(found) =
                find_in(bindings, pipeline, slot, &shown, request.spans_per_span_set)
            {
                response.traces.push(found);
            }
            response.traces.len() >= request.limit
        };
        match bindings.candidates(pipeline) {
            Some(mut slots) => {
                slots.sort_by_cached_key(|slot| {
                    self.traces.get(*slot).map(|entry| (entry.start, entry.id))
                });
                for slot in slots.into_iter().rev() {
                    if visit(slot, &bindings) {
                        break;
                    }
                }
            }
            None => {
                for slot in self.traces.newest_first(request.end) {
                    if visit(slot, &bindings) {
                        break;
                    }
                }
            }
        }
        self.count_inspected(&mut response.metrics);
        response
    }

    /// Fills in the bytes of a query that has looked at all segments.
    pub(crate) fn count_inspected(&self, metrics: &mut SearchMetrics) {
        metrics.inspected_bytes = self.stats().bytes as u64;
    }
}

/// The attributes that an answer shows of each span: all that the query asks about, but for what each span shows anyway.
fn shown_attributes(pipeline: &Pipeline) -> Vec<&Attribute> {
    let mut shown = Vec::new();
    collect(pipeline, &mut shown);
    let mut unique: Vec<&Attribute> = Vec::new();
    for attribute in shown {
        let own = matches!(
            attribute,
            Attribute::Intrinsic(Intrinsic::Name | Intrinsic::Duration)
        );
        if !own && !unique.contains(&attribute) {
            unique.push(attribute);
        }
    }
    unique
}

fn collect<'a>(pipeline: &'a Pipeline, shown: &mut Vec<&'a Attribute>) {
    for stage in &pipeline.0 {
        match stage {
            Stage::Spansets(spansets) => collect_spansets(spansets, shown),
            Stage::Scalar(filter) => {
                for side in [&filter.left, &filter.right] {
                    if let Scalar::Aggregate(aggregate) = side
                        && let Some(field) = &aggregate.field
                    {
                        field.for_each_attribute(&mut |attribute| shown.push(attribute));
                    }
                }
            }
            Stage::GroupBy(field) => {
                field.for_each_attribute(&mut |attribute| shown.push(attribute))
            }
            Stage::Select(attributes) => shown.extend(attributes),
            Stage::Coalesce => {}
        }
    }
}

fn collect_spansets<'a>(spansets: &'a Spansets, shown: &mut Vec<&'a Attribute>) {
    match spansets {
        Spansets::Filter(field) => {
            Field::for_each_attribute(field, &mut |attribute| shown.push(attribute))
        }
        Spansets::Operation { left, right, .. } => {
            collect_spansets(left, shown);
            collect_spansets(right, shown);
        }
        Spansets::Pipeline(pipeline) => collect(pipeline, shown),
    }
}

fn find_in(
    bindings: &Bindings<'_>,
    pipeline: &Pipeline,
    slot: u32,
    shown: &[&Attribute],
    spans_per_span_set: usize,
) -> Option<TraceSearchMetadata> {
    let view = bindings.view(slot)?;
    let spansets = bindings.run(pipeline, &view);
    if spansets.is_empty() {
        return None;
    }
    let mut found = describe(bindings.store, view.entry);
    found.service_stats = service_stats(bindings, &view);
    found.span_sets = spansets
        .iter()
        .take(MAX_SPAN_SETS)
        .map(|spanset| show(bindings, &view, spanset, shown, spans_per_span_set))
        .collect();
    found.span_set = found.span_sets.first().cloned();
    Some(found)
}

/// What an answer says of a trace as a whole.
fn describe(store: &TraceStore, entry: &TraceEntry) -> TraceSearchMetadata {
    let (service, name) = root_of(store, entry).unwrap_or((NO_ROOT, ""));
    let duration_ms = entry.end.as_nanos().saturating_sub(entry.start.as_nanos()) / 1_000_000;
    TraceSearchMetadata {
        trace_id: hex(entry.id),
        root_service_name: service.to_owned(),
        root_trace_name: name.to_owned(),
        start_time_unix_nano: entry.start.as_nanos() as u64,
        duration_ms: u32::try_from(duration_ms).unwrap_or(u32::MAX),
        ..TraceSearchMetadata::default()
    }
}

fn service_stats(bindings: &Bindings<'_>, view: &TraceView<'_>) -> BTreeMap<String, ServiceStats> {
    let mut stats: BTreeMap<&str, ServiceStats> = BTreeMap::new();
    for (segment, row) in view.rows.iter().filter_map(|row| bindings.segment_of(*row)) {
        let stats = stats.entry(segment.service(row)).or_default();
        stats.span_count += 1;
        stats.error_count += u32::from(segment.statuses[row] == SpanStatus::Error);
    }
    stats
        .into_iter()
        .map(|(service, stats)| (service.to_owned(), stats))
        .collect()
}

fn show<'a>(
    bindings: &Bindings<'a>,
    view: &TraceView<'a>,
    spanset: &Spanset<'_>,
    shown: &[&Attribute],
    spans_per_span_set: usize,
) -> SpanSet {
    let most = if spans_per_span_set == 0 {
        usize::MAX
    } else {
        spans_per_span_set
    };
    SpanSet {
        matched: spanset.members.len() as u32,
        attributes: spanset
            .attributes
            .iter()
            .map(|(key, value)| KeyValue {
                key: key.clone(),
                value: value.to_attribute(),
            })
            .collect(),
        spans: spanset
            .members
            .iter()
            .take(most)
            .filter_map(|place| {
                let row = bindings.row(view, place)?;
                let attributes = shown
                    .iter()
                    .filter_map(|attribute| {
                        let value = bindings.attribute_of_row(attribute, view.rows[place], row);
                        (!value.is_nil()).then(|| KeyValue {
                            key: attribute.key().to_owned(),
                            value: value.to_attribute(),
                        })
                    })
                    .collect();
                Some(SearchSpan {
                    span_id: row.segment.span_ids[row.row].to_string(),
                    name: row.segment.name(row.row).to_owned(),
                    start_time_unix_nano: row.segment.starts[row.row].as_nanos() as u64,
                    duration_nanos: row.segment.duration_nanos(row.row) as u64,
                    attributes,
                })
            })
            .collect(),
    }
}

//! Metrics queries: series computed from spans.

use std::time::Duration;

use gameday_signal::{AttributeValue, FixedMap, Labels, Timestamp, TraceId};

use super::bind::Row;
use super::compare;
use super::group::Group;
use super::response::{
    InstantSeries, KeyValue, MetricExemplar, MetricSample, QueryInstantResponse,
    QueryRangeResponse, SearchMetrics, TimeSeries,
};
use super::second_stage::{apply_math, apply_scalar, apply_second_stage};
use super::spanset::{Bindings, hex};
use crate::store::{RowId, TraceStore};
use crate::traceql::TraceQuery;
use crate::traceql::ast::{Attribute, Body, Metrics, MetricsAggregate, MetricsFunction, Pipeline};
use crate::traceql::value::Value;

/// Points of a series; PromQL allows as many.
const MAX_INTERVALS: i64 = 11_000;

/// What is wrong with a request for metrics.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetricsError {
    /// The query finds traces.
    #[error(
        "query is not a metrics query: append a function such as | rate() or | count_over_time()"
    )]
    NotMetrics,
    /// The range has no length.
    #[error("end must be greater than start")]
    EmptyRange,
    /// There would be too many points.
    #[error(
        "exceeded maximum resolution of {MAX_INTERVALS} points per time series: the range of {range_secs} s takes a step of at least {min_step_secs} s"
    )]
    TooManyPoints {
        /// The length of the range in seconds.
        range_secs: i64,
        /// The smallest step that is allowed.
        min_step_secs: i64,
    },
}

/// Which points are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricsRequest {
    /// The start of the range.
    pub start: Timestamp,
    /// The end of the range.
    pub end: Timestamp,
    /// The time between two points; zero for one that fits the range.
    pub step: Duration,
    /// Exemplars of a series; 0 for none.
    pub exemplars: usize,
    /// Series in the answer; further ones are left out and the answer is marked as partial.
    pub max_series: usize,
}

impl MetricsRequest {
    /// A request for a range with Tempo's defaults.
    pub fn new(start: Timestamp, end: Timestamp, step: Duration) -> Self {
        Self {
            start,
            end,
            step,
            exemplars: 100,
            max_series: 1000,
        }
    }

    /// The step that Tempo chooses for a range: about 250 points, rounded to what a person would choose.
    pub fn default_step(range: Duration) -> Duration {
        const STEPS_SECS: [u64; 16] = [
            1, 2, 3, 5, 10, 15, 30, 45, 60, 180, 300, 600, 1200, 2400, 3600, 10_800,
        ];
        if range < Duration::from_secs(60) {
            return Duration::from_millis(200);
        }
        let wanted_ms = range.as_millis() as u64 / 250;
        let step = STEPS_SECS
            .into_iter()
            .min_by_key(|step| (step * 1000).abs_diff(wanted_ms))
            .unwrap_or(1);
        Duration::from_secs(step)
    }
}

/// The points of a range: each stands for the time since the one before, its own instant included.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Intervals {
    start: i64,
    end: i64,
    step: i64,
    instant: bool,
}

impl Intervals {
    /// Points at multiples of the step, the range widened to them.
    fn aligned(start: Timestamp, end: Timestamp, step: Duration) -> Self {
        let step = i64::try_from(step.as_nanos()).unwrap_or(i64::MAX).max(1);
        let start = start.as_nanos().div_euclid(step).saturating_mul(step);
        let end_floor = end.as_nanos().div_euclid(step).saturating_mul(step);
        let end = if end_floor == end.as_nanos() {
            end_floor
        } else {
            end_floor.saturating_add(step)
        };
        Self {
            start,
            end,
            step,
            instant: false,
        }
    }

    /// One point for the whole range, both ends included.
    fn instant(start: Timestamp, end: Timestamp) -> Self {
        let (start, end) = (start.as_nanos(), end.as_nanos());
        Self {
            start,
            end,
            step: end.saturating_sub(start).max(1),
            instant: true,
        }
    }

    pub(crate) fn count(&self) -> usize {
        if self.instant {
            1
        } else {
            usize::try_from((self.end - self.start) / self.step).unwrap_or(0)
        }
    }

    pub(crate) fn index_of(&self, time: Timestamp) -> Option<usize> {
        let time = time.as_nanos();
        if self.instant {
            return (self.start <= time && time <= self.end).then_some(0);
        }
        if time <= self.start || time > self.end {
            return None;
        }
        usize::try_from((time - self.start - 1) / self.step).ok()
    }

    fn timestamp_ms(&self, index: usize) -> i64 {
        if self.instant {
            return self.end.div_euclid(1_000_000);
        }
        (self.start + (index as i64 + 1) * self.step).div_euclid(1_000_000)
    }

    pub(crate) fn step_secs(&self) -> f64 {
        self.step as f64 / 1e9
    }
}

/// A span behind a series.
#[derive(Clone, Debug)]
pub(crate) struct Exemplar {
    pub(crate) trace_id: TraceId,
    /// The value of the span; none where the series counts spans.
    pub(crate) value: Option<f64>,
    pub(crate) time: Timestamp,
    pub(crate) interval: usize,
}

/// A series while it is computed.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub(crate) labels: Vec<(String, Value<'static>)>,
    /// NaN where there is no point.
    pub(crate) values: Vec<f64>,
    pub(crate) exemplars: Vec<Exemplar>,
}

/// What a metrics query is evaluated against.
pub(crate) struct Scan<'a> {
    pub(crate) store: &'a TraceStore,
    pub(crate) intervals: Intervals,
    pub(crate) exemplars: usize,
    pub(crate) max_series: usize,
    pub(crate) spans: u64,
    pub(crate) partial: bool,
}

impl TraceStore {
    /// The series of a metrics query over a range.
    ///
    /// # Errors
    /// Where the query is no metrics query, or the range and the step do not fit each other.
    pub fn query_range(
        &self,
        query: &TraceQuery,
        request: &MetricsRequest,
    ) -> Result<QueryRangeResponse, MetricsError> {
        let range = request.end.since(request.start);
        let step = if request.step.is_zero() {
            MetricsRequest::default_step(range)
        } else {
            request.step
        };
        let intervals = Intervals::aligned(request.start, request.end, step);
        let (series, metrics, partial) = self.evaluate(query, request, intervals)?;
        let (status, message) = partial_status(partial, request.max_series);
        Ok(QueryRangeResponse {
            series: series
                .into_iter()
                .map(|series| render(&series, &intervals))
                .collect(),
            metrics,
            status,
            message,
        })
    }

    /// One value a series over the whole range.
    ///
    /// # Errors
    /// Where the query is no metrics query or the range has no length.
    pub fn query_instant(
        &self,
        query: &TraceQuery,
        request: &MetricsRequest,
    ) -> Result<QueryInstantResponse, MetricsError> {
        let intervals = Intervals::instant(request.start, request.end);
        let (series, metrics, partial) = self.evaluate(query, request, intervals)?;
        let (status, message) = partial_status(partial, request.max_series);
        Ok(QueryInstantResponse {
            series: series
                .into_iter()
                .map(|series| InstantSeries {
                    prom_labels: prom_labels(&series),
                    labels: labels_of(&series),
                    value: series.values[0],
                })
                .collect(),
            metrics,
            status,
            message,
        })
    }

    fn evaluate(
        &self,
        query: &TraceQuery,
        request: &MetricsRequest,
        intervals: Intervals,
    ) -> Result<(Vec<Series>, SearchMetrics, bool), MetricsError> {
        let Body::Metrics(metrics) = &query.body else {
            return Err(MetricsError::NotMetrics);
        };
        if request.end <= request.start {
            return Err(MetricsError::EmptyRange);
        }
        if intervals.count() as i64 > MAX_INTERVALS {
            let range_secs = (intervals.end - intervals.start) / 1_000_000_000;
            return Err(MetricsError::TooManyPoints {
                range_secs,
                min_step_secs: range_secs.div_euclid(MAX_INTERVALS) + 1,
            });
        }
        let exemplars = match (query.hint_bool("exemplars"), query.hint_int("exemplars")) {
            (Some(false), _) => 0,
            (_, Some(count)) => usize::try_from(count).unwrap_or(0),
            _ => request.exemplars,
        };
        let mut scan = Scan {
            store: self,
            intervals,
            exemplars: exemplars.min(100),
            max_series: request.max_series,
            spans: 0,
            partial: false,
        };
        let mut series = scan.series(metrics);
        series.retain(|series| series.values.iter().any(|value| !value.is_nan()));
        series.sort_by_cached_key(|series| {
            series
                .labels
                .iter()
                .map(|(name, value)| (name.clone(), sort_text(value)))
                .collect::<Vec<_>>()
        });
        let mut counts = SearchMetrics {
            completed_jobs: 1,
            total_jobs: 1,
            ..SearchMetrics::default()
        };
        counts.inspected_spans = scan.spans;
        counts.inspected_traces = self.stats().traces as u32;
        self.count_inspected(&mut counts);
        Ok((series, counts, scan.partial))
    }
}

/// Numbers sort as numbers.
fn sort_text(value: &Value<'_>) -> String {
    match value {
        Value::Int(_) | Value::Float(_) | Value::Duration(_) => {
            // The bits of a float, turned so that they sort as it does.
            let bits = value.as_number().unwrap_or(0.0).to_bits() as i64;
            let ordered = bits ^ (((bits >> 63) as u64) >> 1) as i64;
            format!("{:020}", (ordered as u64) ^ (1 << 63))
        }
        other => other.to_text(),
    }
}

fn partial_status(partial: bool, max_series: usize) -> (Option<&'static str>, String) {
    if !partial {
        return (None, String::new());
    }
    let message = format!(
        "Response exceeds maximum series limit of {max_series}, a partial response is returned. Warning: the accuracy of each individual value is not guaranteed."
    );
    (Some("PARTIAL"), message)
}

fn labels_of(series: &Series) -> Vec<KeyValue> {
    series
        .labels
        .iter()
        .map(|(key, value)| KeyValue {
            key: key.clone(),
            value: value.to_attribute(),
        })
        .collect()
}

fn prom_labels(series: &Series) -> String {
    Labels::new(
        series
            .labels
            .iter()
            .map(|(key, value)| (key, value.to_text())),
    )
    .to_string()
}

fn render(series: &Series, intervals: &Intervals) -> TimeSeries {
    let mut exemplars: Vec<MetricExemplar> = series
        .exemplars
        .iter()
        .filter_map(|exemplar| {
            let value = exemplar.value.unwrap_or(series.values[exemplar.interval]);
            if value.is_nan() || series.values[exemplar.interval].is_nan() {
                return None;
            }
            let id = KeyValue {
                key: "trace:id".to_owned(),
                value: AttributeValue::String(hex(exemplar.trace_id).into()),
            };
            Some(MetricExemplar {
                labels: std::iter::once(id)
                    .chain(
                        labels_of(series)
                            .into_iter()
                            .filter(|label| !label.key.starts_with("__")),
                    )
                    .collect(),
                value,
                timestamp_ms: exemplar.time.as_millis(),
            })
        })
        .collect();
    exemplars.sort_by_key(|exemplar| exemplar.timestamp_ms);
    TimeSeries {
        prom_labels: prom_labels(series),
        labels: labels_of(series),
        samples: series
            .values
            .iter()
            .enumerate()
            .filter(|(_, value)| !value.is_nan())
            .map(|(index, value)| MetricSample {
                timestamp_ms: intervals.timestamp_ms(index),
                value: *value,
            })
            .collect(),
        exemplars,
    }
}

impl<'a> Scan<'a> {
    fn series(&mut self, metrics: &'a Metrics) -> Vec<Series> {
        match metrics {
            Metrics::Query {
                pipeline,
                aggregate,
                ..
            } => match &aggregate.function {
                MetricsFunction::Compare {
                    selection,
                    top,
                    start,
                    end,
                } => compare::compare(self, pipeline, selection, *top, (*start, *end)),
                _ => self.aggregate(pipeline, aggregate),
            },
            Metrics::Math { op, left, right } => {
                let left = self.series(left);
                let right = self.series(right);
                apply_math(*op, &left, &right)
            }
            Metrics::ScalarMath {
                op,
                scalar,
                scalar_first,
                metrics,
            } => {
                let mut series = self.series(metrics);
                apply_scalar(*op, *scalar, *scalar_first, &mut series);
                series
            }
            Metrics::Second { stage, metrics } => {
                let mut series = self.series(metrics);
                apply_second_stage(stage, &mut series);
                series
            }
        }
    }

    fn aggregate(
        &mut self,
        pipeline: &'a Pipeline,
        aggregate: &'a MetricsAggregate,
    ) -> Vec<Series> {
        let measured = measured_attribute(&aggregate.function);
        let count = self.intervals.count();
        let (exemplars, max_series) = (self.exemplars, self.max_series);
        // Looked up by the bytes of the values, of which only those of new groups are kept.
        let mut index: FixedMap<Box<[u8]>, usize> = FixedMap::default();
        let mut groups: Vec<Group> = Vec::new();
        let mut key: Vec<u8> = Vec::new();
        let mut partial = false;
        let bindings = Bindings::new(
            self.store,
            pipeline,
            &[],
            aggregate.by.iter().chain(measured),
        );
        self.for_each_span(pipeline, bindings, |bindings, at, row, interval| {
            let measure = match measured {
                Some(attribute) => match measure(&bindings.attribute_of_row(attribute, at, row)) {
                    Some(measure) => Some(measure),
                    None => return,
                },
                None => None,
            };
            // Never empty: comparing two empty keys is slow, see the store's dictionary.
            key.clear();
            key.push(0);
            for attribute in &aggregate.by {
                bindings
                    .attribute_of_row(attribute, at, row)
                    .write_key(&mut key);
            }
            let position = match index.get(key.as_slice()) {
                Some(position) => *position,
                None if groups.len() >= max_series => {
                    partial = true;
                    return;
                }
                None => {
                    let values = aggregate.by.iter().map(|attribute| {
                        bindings.attribute_of_row(attribute, at, row).into_owned()
                    });
                    groups.push(Group::new(&aggregate.function, values.collect(), count));
                    index.insert(key.clone().into_boxed_slice(), groups.len() - 1);
                    groups.len() - 1
                }
            };
            let group = &mut groups[position];
            group.observe(interval, measure);
            if exemplars > 0 {
                // The first span of each stretch of time stands for it.
                let stretch = interval * exemplars.min(count) / count;
                if group.last_stretch.is_none_or(|last| last != stretch)
                    && group.exemplars.len() < exemplars
                {
                    group.last_stretch = Some(stretch);
                    let entry = bindings.store.traces.get(row.segment.traces[row.row]);
                    group.exemplars.push(Exemplar {
                        trace_id: entry.map_or(TraceId::NONE, |entry| entry.id),
                        value: measure.map(|(value, scale)| value / scale),
                        time: row.segment.starts[row.row],
                        interval,
                    });
                }
            }
        });
        self.partial |= partial;
        groups
            .into_iter()
            .flat_map(|group| group.finish(aggregate, &self.intervals))
            .collect()
    }

    /// Calls `visit` for each span that the pipeline leaves and whose start lies in the range, with the index of its interval.
    pub(crate) fn for_each_span(
        &mut self,
        pipeline: &'a Pipeline,
        mut bindings: Bindings<'a>,
        mut visit: impl FnMut(&Bindings<'a>, RowId, Row<'_>, usize),
    ) {
        if let Some(selected) = bindings.single_filter(pipeline) {
            for (slot, (segment, mut bits)) in self.store.segments.iter().zip(selected).enumerate()
            {
                let Some(segment) = segment else { continue };
                self.spans += segment.live_rows() as u64;
                super::bind::for_each_bit(&mut bits, |row| {
                    if let Some(interval) = self.intervals.index_of(segment.starts[row]) {
                        let at = RowId {
                            segment: slot as u16,
                            row: row as u16,
                        };
                        visit(
                            &bindings,
                            at,
                            Row {
                                store: self.store,
                                segment,
                                row,
                                tree: None,
                            },
                            interval,
                        );
                    }
                    true
                });
            }
            return;
        }
        let slots = bindings.candidates(pipeline).unwrap_or_else(|| {
            self.store
                .traces
                .oldest_first()
                .map(|(slot, _)| slot)
                .collect()
        });
        for slot in slots {
            self.spans += self.store.rows_of(slot).len() as u64;
            let Some(view) = bindings.view(slot) else {
                continue;
            };
            for spanset in bindings.run(pipeline, &view) {
                for place in spanset.members.iter() {
                    if let Some(row) = bindings.row(&view, place)
                        && let Some(interval) = self.intervals.index_of(row.segment.starts[row.row])
                    {
                        visit(&bindings, view.rows[place], row, interval);
                    }
                }
            }
        }
    }
}

fn measured_attribute(function: &MetricsFunction) -> Option<&Attribute> {
    match function {
        MetricsFunction::MinOverTime(attribute)
        | MetricsFunction::MaxOverTime(attribute)
        | MetricsFunction::AvgOverTime(attribute)
        | MetricsFunction::SumOverTime(attribute)
        | MetricsFunction::HistogramOverTime(attribute)
        | MetricsFunction::QuantileOverTime(attribute, _) => Some(attribute),
        MetricsFunction::Rate
        | MetricsFunction::CountOverTime
        | MetricsFunction::Compare { .. } => None,
    }
}

/// The number that is measured, and what it is divided by to be shown: durations are shown in seconds.
fn measure(value: &Value<'_>) -> Option<(f64, f64)> {
    let scale = match value {
        Value::Duration(_) => 1e9,
        Value::Any(values) if matches!(values.first(), Some(Value::Duration(_))) => 1e9,
        _ => 1.0,
    };
    value
        .as_number()
        .filter(|number| !number.is_nan())
        .map(|number| (number, scale))
}

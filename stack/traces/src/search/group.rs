//! The spans of one group of a metrics query, summed up by interval.

use std::collections::BTreeMap;

use super::log2::{Log2Histogram, bucket_of};
use super::metrics::{Exemplar, Intervals, Series};
use crate::traceql::ast::{Attribute, MetricsAggregate, MetricsFunction};
use crate::traceql::value::Value;

/// The spans of one group, summed up by interval.
pub(crate) struct Group {
    by: Vec<Value<'static>>,
    state: State,
    scale: f64,
    pub(crate) exemplars: Vec<Exemplar>,
    /// The last stretch of time that has an exemplar.
    pub(crate) last_stretch: Option<usize>,
}

enum State {
    Count(Vec<f64>),
    Min(Vec<f64>),
    Max(Vec<f64>),
    Sum(Vec<f64>),
    /// Sums and counts.
    Avg(Vec<(f64, f64)>),
    Quantiles(Vec<Log2Histogram>),
    /// By the end of the bucket, as bits.
    Histogram(BTreeMap<u64, Vec<f64>>, usize),
}

impl Group {
    pub(crate) fn new(function: &MetricsFunction, by: Vec<Value<'static>>, count: usize) -> Self {
        let state = match function {
            MetricsFunction::Rate
            | MetricsFunction::CountOverTime
            | MetricsFunction::Compare { .. } => State::Count(vec![0.0; count]),
            MetricsFunction::MinOverTime(_) => State::Min(vec![f64::NAN; count]),
            MetricsFunction::MaxOverTime(_) => State::Max(vec![f64::NAN; count]),
            MetricsFunction::SumOverTime(_) => State::Sum(vec![f64::NAN; count]),
            MetricsFunction::AvgOverTime(_) => State::Avg(vec![(0.0, 0.0); count]),
            MetricsFunction::QuantileOverTime(..) => {
                State::Quantiles(vec![Log2Histogram::default(); count])
            }
            MetricsFunction::HistogramOverTime(_) => State::Histogram(BTreeMap::new(), count),
        };
        Self {
            by,
            state,
            scale: 1.0,
            exemplars: Vec::new(),
            last_stretch: None,
        }
    }

    pub(crate) fn observe(&mut self, interval: usize, measure: Option<(f64, f64)>) {
        let value = match measure {
            Some((value, scale)) => {
                self.scale = scale;
                value
            }
            None => 0.0,
        };
        match &mut self.state {
            State::Count(counts) => counts[interval] += 1.0,
            // `min` and `max` of a NaN and a number give the number.
            State::Min(values) => values[interval] = values[interval].min(value),
            State::Max(values) => values[interval] = values[interval].max(value),
            State::Sum(values) => {
                let sum = &mut values[interval];
                *sum = if sum.is_nan() { value } else { *sum + value };
            }
            State::Avg(sums) => {
                sums[interval].0 += value;
                sums[interval].1 += 1.0;
            }
            State::Quantiles(histograms) => histograms[interval].record(value),
            State::Histogram(buckets, count) => {
                buckets
                    .entry(bucket_of(value).to_bits())
                    .or_insert_with(|| vec![0.0; *count])[interval] += 1.0;
            }
        }
    }

    pub(crate) fn finish(self, aggregate: &MetricsAggregate, intervals: &Intervals) -> Vec<Series> {
        let scale = self.scale;
        let mut labels: Vec<(String, Value<'static>)> = aggregate
            .by
            .iter()
            .map(Attribute::to_string)
            .zip(self.by)
            .collect();
        let one = |labels: Vec<(String, Value<'static>)>, values: Vec<f64>, exemplars| {
            vec![Series {
                labels,
                values,
                exemplars,
            }]
        };
        let scaled = |values: Vec<f64>| values.into_iter().map(|value| value / scale).collect();
        let extended = |name: &str, value: f64| {
            let mut labels = labels.clone();
            labels.push((name.to_owned(), Value::Float(value)));
            labels
        };
        match self.state {
            State::Histogram(buckets, _) => buckets
                .into_iter()
                .map(|(bits, values)| {
                    let end = f64::from_bits(bits);
                    let own = |exemplar: &&Exemplar| {
                        exemplar
                            .value
                            .is_some_and(|value| bucket_of(value * scale) == end)
                    };
                    Series {
                        labels: extended("__bucket", end / scale),
                        values,
                        exemplars: self.exemplars.iter().filter(own).cloned().collect(),
                    }
                })
                .collect(),
            State::Quantiles(histograms) => {
                let MetricsFunction::QuantileOverTime(_, quantiles) = &aggregate.function else {
                    return Vec::new();
                };
                let mut series: Vec<Series> = quantiles
                    .iter()
                    .map(|quantile| Series {
                        labels: extended("p", *quantile),
                        values: histograms
                            .iter()
                            .map(|histogram| histogram.quantile(*quantile) / scale)
                            .collect(),
                        exemplars: Vec::new(),
                    })
                    .collect();
                for exemplar in self.exemplars {
                    // The lowest quantile that is not below the span shows it.
                    let value = exemplar.value.unwrap_or(0.0);
                    let mut best: Option<(f64, usize)> = None;
                    for (index, own) in series.iter().enumerate() {
                        let shown = own.values[exemplar.interval];
                        if shown >= value && best.is_none_or(|(found, _)| shown < found) {
                            best = Some((shown, index));
                        }
                    }
                    let last = series.len() - 1;
                    series[best.map_or(last, |(_, index)| index)]
                        .exemplars
                        .push(exemplar);
                }
                series
            }
            state => {
                let values = match state {
                    State::Count(counts) if aggregate.function == MetricsFunction::Rate => counts
                        .into_iter()
                        .map(|count| count / intervals.step_secs())
                        .collect(),
                    State::Count(counts) => counts,
                    State::Min(values) | State::Max(values) | State::Sum(values) => scaled(values),
                    State::Avg(sums) => {
                        scaled(sums.into_iter().map(|(sum, count)| sum / count).collect())
                    }
                    State::Quantiles(_) | State::Histogram(..) => Vec::new(),
                };
                if labels.is_empty() {
                    let name = aggregate.function.name().to_owned();
                    labels.push(("__name__".to_owned(), Value::String(name.into())));
                }
                one(labels, values, self.exemplars)
            }
        }
    }
}

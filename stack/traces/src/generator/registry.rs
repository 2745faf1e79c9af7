//! Counters and histograms by series, given out as cumulative values.

use std::time::Duration;

use gameday_signal::{Exemplar, FixedMap, Labels, Sample, Timestamp, stale_nan};

use super::MetricPoint;

/// What all metrics of a generator have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) max_series: usize,
    pub(crate) stale_after: Duration,
    pub(crate) interval: Duration,
}

/// One metric of a family: its name, and its buckets where it is a histogram.
pub(crate) struct Metric {
    pub(crate) name: &'static str,
    /// The ends of the buckets but for the infinite one; empty for a counter.
    pub(crate) buckets: Vec<f64>,
}

/// The values of one label set for all metrics of a family.
struct Entry {
    labels: Labels,
    values: Vec<Values>,
    last_change: Timestamp,
    given_out: bool,
}

/// The values of one metric.
#[derive(Default)]
struct Values {
    /// The count of a counter, the sum of a histogram.
    sum: f64,
    count: u64,
    touched: bool,
    /// Not cumulative, the infinite one last.
    buckets: Vec<u64>,
    exemplars: Vec<Option<Exemplar>>,
    /// The label sets of its series, made when they are given out for the first time.
    series: Vec<Labels>,
}

/// Metrics that share their label sets.
pub(crate) struct Family {
    metrics: Vec<Metric>,
    limits: Limits,
    by_key: FixedMap<Box<str>, usize>,
    entries: Vec<Option<(Box<str>, Entry)>>,
    free: Vec<usize>,
    refused: u64,
}

impl Family {
    pub(crate) fn new(metrics: Vec<Metric>, limits: Limits) -> Self {
        Self {
            metrics,
            limits,
            by_key: FixedMap::default(),
            entries: Vec::new(),
            free: Vec::new(),
            refused: 0,
        }
    }

    /// The number of series, and of values that were refused because there were too many.
    pub(crate) fn series(&self) -> (usize, u64) {
        let of_one: usize = self
            .metrics
            .iter()
            .map(|metric| {
                if metric.buckets.is_empty() {
                    1
                } else {
                    metric.buckets.len() + 3
                }
            })
            .sum();
        (self.by_key.len() * of_one, self.refused)
    }

    /// The label set that `key` stands for, which is added where it is new; none where there are too many.
    pub(crate) fn entry(
        &mut self,
        key: &str,
        now: Timestamp,
        labels: impl FnOnce() -> Labels,
    ) -> Option<usize> {
        if let Some(index) = self.by_key.get(key) {
            return Some(*index);
        }
        let per_entry = self.series().0.checked_div(self.by_key.len()).unwrap_or(0);
        if self.series().0 + per_entry > self.limits.max_series {
            self.refused += 1;
            return None;
        }
        let entry = Entry {
            labels: labels(),
            values: self
                .metrics
                .iter()
                .map(|metric| {
                    let buckets = if metric.buckets.is_empty() {
                        0
                    } else {
                        metric.buckets.len() + 1
                    };
                    Values {
                        buckets: vec![0; buckets],
                        exemplars: vec![None; buckets],
                        ..Values::default()
                    }
                })
                .collect(),
            last_change: now,
            given_out: false,
        };
        let entry = Some((Box::from(key), entry));
        let index = if let Some(index) = self.free.pop() {
            self.entries[index] = entry;
            index
        } else {
            self.entries.push(entry);
            self.entries.len() - 1
        };
        self.by_key.insert(Box::from(key), index);
        Some(index)
    }

    /// Adds to the counter `metric`.
    pub(crate) fn add(&mut self, index: usize, metric: usize, amount: f64, now: Timestamp) {
        if let Some((_, entry)) = &mut self.entries[index] {
            entry.last_change = now;
            let values = &mut entry.values[metric];
            values.sum += amount;
            values.touched = true;
        }
    }

    /// Observes `value` in the histogram `metric`; the exemplar is kept until the next collection.
    pub(crate) fn observe(
        &mut self,
        index: usize,
        metric: usize,
        value: f64,
        now: Timestamp,
        exemplar: impl FnOnce() -> Exemplar,
    ) {
        let bucket = self.metrics[metric]
            .buckets
            .partition_point(|end| *end < value);
        if let Some((_, entry)) = &mut self.entries[index] {
            entry.last_change = now;
            let values = &mut entry.values[metric];
            values.sum += value;
            values.count += 1;
            values.touched = true;
            values.buckets[bucket] += 1;
            // The first one of an interval stays: later ones would cost without telling more.
            values.exemplars[bucket].get_or_insert_with(exemplar);
        }
    }

    /// Gives out all values at `now`, sorted by label set, and ends the series that have not changed for long.
    pub(crate) fn collect(&mut self, now: Timestamp, points: &mut Vec<MetricPoint>) {
        let mut order: Vec<usize> = (0..self.entries.len())
            .filter(|index| self.entries[*index].is_some())
            .collect();
        order.sort_by(|one, two| {
            let labels = |index: &usize| {
                self.entries[*index]
                    .as_ref()
                    .map(|(_, entry)| &entry.labels)
            };
            labels(one).cmp(&labels(two))
        });
        for index in order {
            let Some((key, entry)) = &mut self.entries[index] else {
                continue;
            };
            if now.since(entry.last_change) >= self.limits.stale_after {
                let key = std::mem::take(key);
                entry.give_out(&self.metrics, now, points, |_| stale_nan());
                self.by_key.remove(&key);
                self.entries[index] = None;
                self.free.push(index);
                continue;
            }
            if !entry.given_out {
                entry.given_out = true;
                // A counter that begins at its first value would hide that value from rate() and increase().
                entry.give_out(&self.metrics, now - self.limits.interval, points, |_| 0.0);
            }
            entry.give_out(&self.metrics, now, points, |value| value);
            for values in &mut entry.values {
                values.exemplars.fill(None);
            }
        }
    }
}

impl Entry {
    /// Gives out what `shown` makes of the values of all series.
    fn give_out(
        &mut self,
        metrics: &[Metric],
        at: Timestamp,
        points: &mut Vec<MetricPoint>,
        shown: impl Fn(f64) -> f64,
    ) {
        for (metric, values) in metrics.iter().zip(&mut self.values) {
            if !values.touched {
                continue;
            }
            if values.series.is_empty() {
                values.series = series_of(&self.labels, metric);
            }
            let mut series = values.series.iter();
            let mut give = |value: f64, exemplar: Option<&Exemplar>| {
                let value = shown(value);
                points.extend(series.next().map(|labels| MetricPoint {
                    labels: labels.clone(),
                    sample: Sample {
                        timestamp_ms: at.as_millis(),
                        value,
                    },
                    exemplar: exemplar.filter(|_| value > 0.0).cloned(),
                }));
            };
            if metric.buckets.is_empty() {
                give(values.sum, None);
                continue;
            }
            let mut total = 0;
            for (count, exemplar) in values.buckets.iter().zip(&values.exemplars) {
                total += count;
                give(total as f64, exemplar.as_ref());
            }
            give(values.count as f64, None);
            give(values.sum, None);
        }
    }
}

/// The series of a metric: of a counter itself, of a histogram its buckets, its count and its sum.
fn series_of(labels: &Labels, metric: &Metric) -> Vec<Labels> {
    let named = |suffix: &str| labels.with("__name__", &format!("{}{suffix}", metric.name));
    if metric.buckets.is_empty() {
        return vec![named("")];
    }
    let bucket = named("_bucket");
    let ends = metric.buckets.iter().map(f64::to_string);
    ends.chain(["+Inf".to_owned()])
        .map(|end| bucket.with("le", &end))
        .chain([named("_count"), named("_sum")])
        .collect()
}

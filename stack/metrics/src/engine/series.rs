//! A series during the evaluation: one cell a step.

use std::collections::HashMap;
use std::sync::Arc;

use gameday_signal::{Histogram, Labels, is_stale, stale_nan};

use super::QueryError;

/// The steps of an evaluation: `start`, `start + step`, ...
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    pub(super) start_ms: i64,
    pub(super) step_ms: i64,
    pub(super) count: usize,
}

impl Grid {
    pub(super) fn instant(time_ms: i64) -> Self {
        Self {
            start_ms: time_ms,
            step_ms: 1,
            count: 1,
        }
    }

    pub(super) fn time(&self, step: usize) -> i64 {
        self.start_ms
            .saturating_add(self.step_ms.saturating_mul(step as i64))
    }
}

/// A series with a value, a histogram or nothing at each step.
///
/// Stale markers never are a result, so that their bits stand for "nothing" in `values`; where `histograms` has one, `values` has
/// nothing.
#[derive(Clone, Debug)]
pub(super) struct Series {
    pub(super) labels: Labels,
    /// The metric name has to go: at once or, with delayed name removal, at the end.
    pub(super) drop_name: bool,
    pub(super) values: Vec<f64>,
    pub(super) histograms: Option<Vec<Option<Arc<Histogram>>>>,
}

/// What a cell holds.
#[derive(Clone, Debug)]
pub(super) enum Cell {
    Nothing,
    Float(f64),
    Histogram(Arc<Histogram>),
}

impl Series {
    /// A series with nothing at any step.
    pub(super) fn empty(labels: Labels, drop_name: bool, steps: usize) -> Self {
        Self {
            labels,
            drop_name,
            values: vec![stale_nan(); steps],
            histograms: None,
        }
    }

    /// The number at a step.
    pub(super) fn float(&self, step: usize) -> Option<f64> {
        let value = self.values[step];
        if is_stale(value) { None } else { Some(value) }
    }

    pub(super) fn histogram(&self, step: usize) -> Option<&Arc<Histogram>> {
        self.histograms.as_ref()?[step].as_ref()
    }

    pub(super) fn cell(&self, step: usize) -> Cell {
        if let Some(value) = self.float(step) {
            Cell::Float(value)
        } else if let Some(histogram) = self.histogram(step) {
            Cell::Histogram(histogram.clone())
        } else {
            Cell::Nothing
        }
    }

    pub(super) fn is_present(&self, step: usize) -> bool {
        !is_stale(self.values[step]) || self.histogram(step).is_some()
    }

    pub(super) fn set_histogram(&mut self, step: usize, histogram: Arc<Histogram>) {
        let steps = self.values.len();
        self.values[step] = stale_nan();
        self.histograms.get_or_insert_with(|| vec![None; steps])[step] = Some(histogram);
    }

    pub(super) fn set(&mut self, step: usize, cell: Cell) {
        match cell {
            Cell::Float(value) => self.values[step] = value,
            Cell::Histogram(histogram) => self.set_histogram(step, histogram),
            Cell::Nothing => self.clear(step),
        }
    }

    pub(super) fn clear(&mut self, step: usize) {
        self.values[step] = stale_nan();
        if let Some(histograms) = &mut self.histograms {
            histograms[step] = None;
        }
    }

    /// Whether there is something at some step.
    pub(super) fn has_any(&self) -> bool {
        self.values.iter().any(|value| !is_stale(*value))
            || self
                .histograms
                .iter()
                .flatten()
                .any(std::option::Option::is_some)
    }

    /// The samples it counts as: one a number, several a histogram.
    pub(super) fn size(&self) -> usize {
        self.values.len() + self.histograms_size()
    }

    fn histograms_size(&self) -> usize {
        total_histogram_size(self.histograms.iter().flatten().flatten())
    }

    /// The samples that are there; a histogram counts as several.
    pub(super) fn present_samples(&self) -> usize {
        let floats = self.values.iter().filter(|value| !is_stale(**value));
        floats.count() + self.histograms_size()
    }

    /// Keeps the numbers only and maps them; histograms go.
    pub(super) fn map_floats(&mut self, mut map: impl FnMut(f64) -> f64) {
        self.histograms = None;
        for value in &mut self.values {
            if !is_stale(*value) {
                *value = map(*value);
            }
        }
    }

    /// The labels as the rest of the expression sees them.
    pub(super) fn visible_labels(&self, delayed: bool) -> Labels {
        if self.drop_name && !delayed {
            without_metadata(&self.labels)
        } else {
            self.labels.clone()
        }
    }
}

/// Whether a label says what a metric is, and so goes where the result is no longer that metric: its name, and the type and unit
/// that Prometheus adds on request.
pub(super) fn is_metadata(name: &str) -> bool {
    matches!(name, "__name__" | "__type__" | "__unit__")
}

fn has_type_or_unit(labels: &Labels) -> bool {
    // Labels are sorted, and few begin with an underscore.
    labels
        .iter()
        .take_while(|(name, _)| *name <= "__unit__")
        .any(|(name, _)| matches!(name, "__type__" | "__unit__"))
}

/// The labels without those that say what the metric is.
pub(super) fn without_metadata(labels: &Labels) -> Labels {
    if has_type_or_unit(labels) {
        labels.filtered(|name| !is_metadata(name))
    } else {
        labels.without_metric_name()
    }
}

/// How many numbers a histogram counts as against the limit of samples: its bytes by those of a sample.
pub(super) fn histogram_size(histogram: &Histogram) -> usize {
    let words = histogram.positive_buckets.len()
        + histogram.negative_buckets.len()
        + histogram.positive_spans.len()
        + histogram.negative_spans.len()
        + histogram.custom_values.len();
    (168 + 8 * words) / 16
}

/// How many numbers histograms count as.
pub(super) fn total_histogram_size<'h>(
    histograms: impl Iterator<Item = &'h Arc<Histogram>>,
) -> usize {
    histograms.map(|histogram| histogram_size(histogram)).sum()
}

/// All series together.
pub(super) fn total_size(series: &[Series]) -> usize {
    series.iter().map(Series::size).sum()
}

/// Removes the metric names that have to go, now.
pub(super) fn settle_names(series: &mut [Series]) {
    for one in series {
        if one.drop_name {
            one.labels = without_metadata(&one.labels);
            one.drop_name = false;
        }
    }
}

/// Joins series with equal labels; they may not have something at the same step.
pub(super) fn merge_same_labels(series: Vec<Series>) -> Result<Vec<Series>, QueryError> {
    if !has_same_labels(&series) {
        return Ok(series);
    }
    let mut by_labels: HashMap<Labels, usize> = HashMap::with_capacity(series.len());
    let mut merged: Vec<Series> = Vec::with_capacity(series.len());
    for one in series {
        let Some(index) = by_labels.get(&one.labels) else {
            by_labels.insert(one.labels.clone(), merged.len());
            merged.push(one);
            continue;
        };
        let target = &mut merged[*index];
        for step in 0..one.values.len() {
            if !one.is_present(step) {
                continue;
            }
            if target.is_present(step) {
                return Err(QueryError::same_labelset());
            }
            target.set(step, one.cell(step));
        }
    }
    Ok(merged)
}

/// Whether two series have equal labels.
pub(super) fn has_same_labels(series: &[Series]) -> bool {
    if series.len() < 2 {
        return false;
    }
    let mut fingerprints: Vec<u64> = series.iter().map(|one| one.labels.fingerprint()).collect();
    fingerprints.sort_unstable();
    fingerprints.windows(2).any(|pair| pair[0] == pair[1])
}

/// Whether two series would have equal labels once their metric names are gone. Series of one metric never have.
pub(super) fn clash_without_names(series: &[Series]) -> bool {
    let Some(first) = series.first() else {
        return false;
    };
    if !series.iter().any(|one| one.drop_name) {
        return false;
    }
    let name = first.labels.metric_name();
    let uniform = series.iter().all(|one| {
        one.drop_name == first.drop_name
            && one.labels.metric_name() == name
            && !has_type_or_unit(&one.labels)
    });
    if uniform {
        return false;
    }
    let mut stripped: Vec<Labels> = series.iter().map(|one| one.visible_labels(false)).collect();
    stripped.sort();
    stripped.windows(2).any(|pair| pair[0] == pair[1])
}

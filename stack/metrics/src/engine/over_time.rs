//! The functions over a window of one series.

use std::sync::Arc;

use gameday_query::{KahanSum, Mean, Variance, quantile};
use gameday_signal::{CounterResetHint, Histogram};

use super::QueryError;
use super::call::CallContext;
use super::extended::anchored_start;
use super::notes::Operation;
use super::rate::{delta, deriv, idelta, increase, irate, predict_linear, rate, summary_rate};
use super::selector::Extension;
use super::series::Cell;
use crate::histogram::{Native, detect_reset, equals};
use crate::store::WindowTotals;

/// The samples of one series in `(start_ms, end_ms]`; at least one.
#[derive(Debug)]
pub(super) struct Window<'b> {
    /// The place of the first number among all numbers that were read.
    pub(super) first_index: usize,
    pub(super) times: &'b [i64],
    pub(super) values: &'b [f64],
    /// Places, counted like `first_index`, of numbers smaller than the one before.
    pub(super) resets: &'b [u32],
    pub(super) histograms: &'b [(i64, Arc<Histogram>)],
    pub(super) start_ms: i64,
    pub(super) end_ms: i64,
    /// Whether the samples around the window are there too.
    pub(super) extension: Option<Extension>,
}

/// A function of a window.
pub(super) type RangeFunction =
    fn(&Window<'_>, &mut CallContext<'_, '_>) -> Result<Cell, QueryError>;

/// The function of that name, where it takes a range vector.
pub(super) fn range_function(name: &str) -> Option<RangeFunction> {
    Some(match name {
        "rate" => rate,
        "increase" => increase,
        "delta" => delta,
        "irate" => irate,
        "idelta" => idelta,
        "deriv" => deriv,
        "predict_linear" => predict_linear,
        "changes" => changes,
        "resets" => resets,
        "sum_over_time" => sum_over_time,
        "avg_over_time" => avg_over_time,
        "count_over_time" => count_over_time,
        "min_over_time" => |window, context| extreme(window, context, |new, old| new < old, false),
        "max_over_time" => |window, context| extreme(window, context, |new, old| new > old, false),
        "ts_of_min_over_time" => {
            |window, context| extreme(window, context, |new, old| new <= old, true)
        }
        "ts_of_max_over_time" => {
            |window, context| extreme(window, context, |new, old| new >= old, true)
        }
        "stddev_over_time" => |window, context| variance(window, context, f64::sqrt),
        "stdvar_over_time" => |window, context| variance(window, context, |value| value),
        "quantile_over_time" => quantile_over_time,
        "mad_over_time" => mad_over_time,
        "last_over_time" => last_over_time,
        "first_over_time" => first_over_time,
        "ts_of_first_over_time" => |window, _| Ok(timestamp(first_time(window))),
        "ts_of_last_over_time" => |window, _| Ok(timestamp(last_time(window))),
        "present_over_time" | "absent_over_time" => |_, _| Ok(Cell::Float(1.0)),
        "double_exponential_smoothing" => double_exponential_smoothing,
        _ => return None,
    })
}

/// A function of what a window amounts to, which saves reading it.
pub(super) type SummaryFunction = fn(&WindowTotals, i64, i64) -> Option<Cell>;

/// The function of that name, where totals are all that it needs; `None` from it where they are not enough after all. The window
/// is given as `start_ms` and `end_ms`.
pub(super) fn summary_function(name: &str) -> Option<SummaryFunction> {
    Some(match name {
        "rate" => {
            |totals, start_ms, end_ms| Some(summary_rate(totals, start_ms, end_ms, true, true))
        }
        "increase" => {
            |totals, start_ms, end_ms| Some(summary_rate(totals, start_ms, end_ms, true, false))
        }
        "delta" => {
            |totals, start_ms, end_ms| Some(summary_rate(totals, start_ms, end_ms, false, false))
        }
        "resets" => |totals, _, _| Some(Cell::Float(totals.resets as f64)),
        "count_over_time" => |totals, _, _| Some(Cell::Float(totals.count as f64)),
        "sum_over_time" => |totals, _, _| totals.sum.map(Cell::Float),
        "avg_over_time" => {
            |totals, _, _| totals.sum.map(|sum| Cell::Float(sum / totals.count as f64))
        }
        "last_over_time" => |totals, _, _| Some(Cell::Float(totals.last.value)),
        "first_over_time" => |totals, _, _| Some(Cell::Float(totals.first.value)),
        "ts_of_last_over_time" => |totals, _, _| Some(timestamp(totals.last.timestamp_ms)),
        "ts_of_first_over_time" => |totals, _, _| Some(timestamp(totals.first.timestamp_ms)),
        "present_over_time" | "absent_over_time" => |_, _, _| Some(Cell::Float(1.0)),
        _ => return None,
    })
}

fn timestamp(time_ms: i64) -> Cell {
    Cell::Float(time_ms as f64 / 1000.0)
}

fn first_time(window: &Window<'_>) -> i64 {
    let float = window.times.first().copied().unwrap_or(i64::MAX);
    let histogram = window
        .histograms
        .first()
        .map_or(i64::MAX, |(time, _)| *time);
    float.min(histogram)
}

fn last_time(window: &Window<'_>) -> i64 {
    let float = window.times.last().copied().unwrap_or(i64::MIN);
    let histogram = window.histograms.last().map_or(i64::MIN, |(time, _)| *time);
    float.max(histogram)
}

/// Tells that histograms between the numbers are left out.
fn note_ignored(window: &Window<'_>, context: &mut CallContext<'_, '_>) {
    if !window.histograms.is_empty() && !window.values.is_empty() {
        context
            .evaluator
            .notes
            .ignored_in_mixed_range(context.first_arg_span, context.metric);
    }
}

/// Whether the window mixes numbers and histograms, which is told.
pub(super) fn is_mixed(window: &Window<'_>, context: &mut CallContext<'_, '_>) -> bool {
    let mixed = !window.histograms.is_empty() && !window.values.is_empty();
    if mixed {
        context
            .evaluator
            .notes
            .mixed_floats_histograms(context.first_arg_span, context.metric);
    }
    mixed
}

/// Numbers and histograms in order of time.
enum Merged<'b> {
    Float(f64),
    Histogram(&'b Histogram),
}

fn merged<'b>(window: &Window<'b>) -> Vec<Merged<'b>> {
    let (first_float, first_histogram) = match window.extension {
        None => (0, 0),
        Some(_) => match anchored_start(window) {
            Some(start) => start,
            None => return Vec::new(),
        },
    };
    let window = &Window {
        first_index: window.first_index + first_float,
        times: &window.times[first_float..],
        values: &window.values[first_float..],
        histograms: &window.histograms[first_histogram..],
        ..*window
    };
    if window.histograms.is_empty() {
        return window
            .values
            .iter()
            .map(|value| Merged::Float(*value))
            .collect();
    }
    let mut all: Vec<(i64, Merged<'b>)> = window
        .times
        .iter()
        .zip(window.values)
        .map(|(time, value)| (*time, Merged::Float(*value)))
        .collect();
    all.extend(
        window
            .histograms
            .iter()
            .map(|(time, histogram)| (*time, Merged::Histogram(histogram))),
    );
    all.sort_by_key(|(time, _)| *time);
    all.into_iter().map(|(_, sample)| sample).collect()
}

fn count_pairs(window: &Window<'_>, counts: impl Fn(&Merged<'_>, &Merged<'_>) -> bool) -> Cell {
    let all = merged(window);
    if all.is_empty() {
        return Cell::Nothing;
    }
    let count = all
        .windows(2)
        .filter(|pair| counts(&pair[0], &pair[1]))
        .count();
    Cell::Float(count as f64)
}

fn changes(window: &Window<'_>, _: &mut CallContext<'_, '_>) -> Result<Cell, QueryError> {
    Ok(count_pairs(window, |before, after| match (before, after) {
        (Merged::Float(before), Merged::Float(after)) => {
            before != after && !(before.is_nan() && after.is_nan())
        }
        (Merged::Histogram(before), Merged::Histogram(after)) => !equals(before, after),
        _ => true,
    }))
}

fn resets(window: &Window<'_>, _: &mut CallContext<'_, '_>) -> Result<Cell, QueryError> {
    if window.histograms.is_empty() && window.extension.is_none() {
        return Ok(Cell::Float(window.resets.len() as f64));
    }
    Ok(count_pairs(window, |before, after| match (before, after) {
        (Merged::Float(before), Merged::Float(after)) => after < before,
        (Merged::Histogram(before), Merged::Histogram(after)) => detect_reset(after, before),
        _ => true,
    }))
}

fn count_over_time(window: &Window<'_>, _: &mut CallContext<'_, '_>) -> Result<Cell, QueryError> {
    Ok(Cell::Float(
        (window.values.len() + window.histograms.len()) as f64,
    ))
}

fn sum_over_time(
    window: &Window<'_>,
    context: &mut CallContext<'_, '_>,
) -> Result<Cell, QueryError> {
    if is_mixed(window, context) {
        return Ok(Cell::Nothing);
    }
    if window.values.is_empty() {
        return Ok(sum_histograms(window, context, false));
    }
    let mut sum = KahanSum::default();
    window.values.iter().for_each(|value| sum.add(*value));
    Ok(Cell::Float(sum.value()))
}

fn avg_over_time(
    window: &Window<'_>,
    context: &mut CallContext<'_, '_>,
) -> Result<Cell, QueryError> {
    if is_mixed(window, context) {
        return Ok(Cell::Nothing);
    }
    if window.values.is_empty() {
        return Ok(sum_histograms(window, context, true));
    }
    let mut mean = Mean::default();
    window.values.iter().for_each(|value| mean.add(*value));
    Ok(Cell::Float(mean.value()))
}

fn sum_histograms(window: &Window<'_>, context: &mut CallContext<'_, '_>, average: bool) -> Cell {
    let mut sum = HistogramSum::default();
    for (_, histogram) in window.histograms {
        if sum.add(histogram, average).is_err() {
            context
                .evaluator
                .notes
                .mixed_schemas(context.first_arg_span, context.metric);
            return Cell::Nothing;
        }
    }
    let notes = &mut context.evaluator.notes;
    if sum.reset_seen && sum.no_reset_seen {
        notes.reset_collision(context.first_arg_span, Operation::Aggregation);
    }
    if sum.reconciled {
        notes.bounds_reconciled(context.first_arg_span, Operation::Aggregation);
    }
    sum.finish(average).map_or(Cell::Nothing, |histogram| {
        Cell::Histogram(Arc::new(histogram))
    })
}

/// The sum or mean of histograms; the mean is kept incrementally once the sum would overflow.
#[derive(Debug, Default)]
pub(super) struct HistogramSum {
    total: Option<Native>,
    count: f64,
    incremental: bool,
    pub(super) reset_seen: bool,
    pub(super) no_reset_seen: bool,
    pub(super) reconciled: bool,
}

impl HistogramSum {
    /// Adds a histogram.
    ///
    /// # Errors
    /// Where exponential and custom buckets are mixed.
    pub(super) fn add(
        &mut self,
        histogram: &Histogram,
        average: bool,
    ) -> Result<(), crate::histogram::IncompatibleSchema> {
        self.reset_seen |= histogram.counter_reset_hint == CounterResetHint::CounterReset;
        self.no_reset_seen |= histogram.counter_reset_hint == CounterResetHint::NotCounterReset;
        self.count += 1.0;
        let Some(total) = &mut self.total else {
            self.total = Some(Native::new(histogram));
            return Ok(());
        };
        if !average {
            self.reconciled |= total.add(histogram)?.bounds_reconciled;
            return Ok(());
        }
        if !self.incremental {
            let mut next = total.clone();
            self.reconciled |= next.add(histogram)?.bounds_reconciled;
            if !next.has_overflow() {
                *total = next;
                return Ok(());
            }
            self.incremental = true;
            total.divide(self.count - 1.0);
        }
        let mut share = Native::new(histogram);
        share.divide(self.count);
        total.scale((self.count - 1.0) / self.count);
        self.reconciled |= total.combine(share, 1.0)?.bounds_reconciled;
        Ok(())
    }

    /// The result, `None` of nothing.
    pub(super) fn finish(self, average: bool) -> Option<Histogram> {
        let mut total = self.total?;
        if average && !self.incremental {
            total.divide(self.count);
        }
        Some(total.to_histogram())
    }
}

fn extreme(
    window: &Window<'_>,
    context: &mut CallContext<'_, '_>,
    better: fn(f64, f64) -> bool,
    wants_time: bool,
) -> Result<Cell, QueryError> {
    let (Some(value), Some(time)) = (window.values.first(), window.times.first()) else {
        return Ok(Cell::Nothing);
    };
    note_ignored(window, context);
    let (mut best, mut best_time) = (*value, *time);
    for (value, time) in window.values.iter().zip(window.times) {
        if better(*value, best) || best.is_nan() {
            (best, best_time) = (*value, *time);
        }
    }
    Ok(if wants_time {
        timestamp(best_time)
    } else {
        Cell::Float(best)
    })
}

fn variance(
    window: &Window<'_>,
    context: &mut CallContext<'_, '_>,
    map: fn(f64) -> f64,
) -> Result<Cell, QueryError> {
    if window.values.is_empty() {
        return Ok(Cell::Nothing);
    }
    note_ignored(window, context);
    let mut variance = Variance::default();
    window.values.iter().for_each(|value| variance.add(*value));
    Ok(Cell::Float(map(variance.value())))
}

fn quantile_over_time(
    window: &Window<'_>,
    context: &mut CallContext<'_, '_>,
) -> Result<Cell, QueryError> {
    if window.values.is_empty() {
        return Ok(Cell::Nothing);
    }
    let phi = context.scalars[0];
    if !(0.0..=1.0).contains(&phi) {
        context
            .evaluator
            .notes
            .invalid_quantile(context.first_arg_span, phi);
    }
    note_ignored(window, context);
    Ok(Cell::Float(quantile(phi, &mut window.values.to_vec())))
}

fn mad_over_time(
    window: &Window<'_>,
    context: &mut CallContext<'_, '_>,
) -> Result<Cell, QueryError> {
    if window.values.is_empty() {
        return Ok(Cell::Nothing);
    }
    note_ignored(window, context);
    if window.values.iter().any(|value| value.is_nan()) {
        return Ok(Cell::Float(f64::NAN));
    }
    let mut values = window.values.to_vec();
    let median = quantile(0.5, &mut values);
    values
        .iter_mut()
        .for_each(|value| *value = (*value - median).abs());
    Ok(Cell::Float(quantile(0.5, &mut values)))
}

fn last_over_time(window: &Window<'_>, _: &mut CallContext<'_, '_>) -> Result<Cell, QueryError> {
    let float = window.times.last().zip(window.values.last());
    Ok(match (float, window.histograms.last()) {
        (Some((time, value)), Some((other, _))) if time > other => Cell::Float(*value),
        (_, Some((_, histogram))) => Cell::Histogram(histogram.clone()),
        (Some((_, value)), None) => Cell::Float(*value),
        (None, None) => Cell::Nothing,
    })
}

fn first_over_time(window: &Window<'_>, _: &mut CallContext<'_, '_>) -> Result<Cell, QueryError> {
    let float = window.times.first().zip(window.values.first());
    Ok(match (float, window.histograms.first()) {
        (Some((time, value)), Some((other, _))) if time < other => Cell::Float(*value),
        (_, Some((_, histogram))) => Cell::Histogram(histogram.clone()),
        (Some((_, value)), None) => Cell::Float(*value),
        (None, None) => Cell::Nothing,
    })
}

/// Holt's linear method: a smoothed value and a smoothed trend.
fn double_exponential_smoothing(
    window: &Window<'_>,
    context: &mut CallContext<'_, '_>,
) -> Result<Cell, QueryError> {
    let [smoothing, trend_factor] = context.scalars;
    for (what, factor) in [("smoothing", smoothing), ("trend", trend_factor)] {
        if factor <= 0.0 || factor >= 1.0 {
            let short = if what == "smoothing" { "sf" } else { "tf" };
            return Err(QueryError::execution(format!(
                "invalid {what} factor. Expected: 0 < {short} < 1, got: {factor:.6}"
            )));
        }
    }
    if window.values.len() < 2 {
        note_ignored(window, context);
        return Ok(Cell::Nothing);
    }
    note_ignored(window, context);
    let mut before = 0.0;
    let mut smoothed = window.values[0];
    let mut trend = window.values[1] - window.values[0];
    for (index, value) in window.values.iter().enumerate().skip(1) {
        if index > 1 {
            trend = trend_factor * (smoothed - before) + (1.0 - trend_factor) * trend;
        }
        let next = smoothing * value + (1.0 - smoothing) * (smoothed + trend);
        before = smoothed;
        smoothed = next;
    }
    Ok(Cell::Float(smoothed))
}

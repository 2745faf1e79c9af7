//! Rates, differences and regressions over a window.

use std::sync::Arc;

use gameday_query::KahanSum;
use gameday_signal::{CounterResetHint, Histogram};

use super::QueryError;
use super::call::CallContext;
use super::extended::extended_rate;
use super::notes::Operation;
use super::over_time::{Window, is_mixed};
use super::series::Cell;
use crate::histogram::{CUSTOM_BUCKETS_SCHEMA, Native, detect_reset};
use crate::store::WindowTotals;

pub(super) fn rate(
    window: &Window<'_>,
    context: &mut CallContext<'_, '_>,
) -> Result<Cell, QueryError> {
    Ok(extrapolated(window, context, true, true))
}

pub(super) fn increase(
    window: &Window<'_>,
    context: &mut CallContext<'_, '_>,
) -> Result<Cell, QueryError> {
    Ok(extrapolated(window, context, true, false))
}

pub(super) fn delta(
    window: &Window<'_>,
    context: &mut CallContext<'_, '_>,
) -> Result<Cell, QueryError> {
    Ok(extrapolated(window, context, false, false))
}

/// The ends of a window and what lies between them: all that a rate depends on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct WindowEnds {
    pub(super) first_ms: i64,
    pub(super) last_ms: i64,
    /// How many samples there are.
    pub(super) count: usize,
    /// Where the counter stood at the first sample; `None` where it may be extrapolated below zero.
    pub(super) first_count: Option<f64>,
    /// How much the counter grew.
    pub(super) growth: f64,
}

/// By what the growth between the first and the last sample is multiplied to cover the whole window (Prometheus
/// promql/functions.go, extrapolatedRate).
///
/// Towards an end of the window that is no more than 1.1 average intervals away the growth is extended all the way, otherwise by
/// half an interval. A counter is never extended below zero at the start.
pub(super) fn extrapolation_factor(
    ends: &WindowEnds,
    start_ms: i64,
    end_ms: i64,
    per_second: bool,
) -> f64 {
    let mut to_start = (ends.first_ms - start_ms) as f64 / 1000.0;
    let mut to_end = (end_ms - ends.last_ms) as f64 / 1000.0;
    let sampled = (ends.last_ms - ends.first_ms) as f64 / 1000.0;
    let average = sampled / (ends.count - 1) as f64;
    let threshold = average * 1.1;
    if to_start >= threshold {
        to_start = average / 2.0;
    }
    if let Some(first) = ends.first_count {
        let mut to_zero = to_start;
        if ends.growth > 0.0 && first >= 0.0 {
            to_zero = sampled * (first / ends.growth);
        }
        if to_zero < to_start {
            to_start = to_zero;
        }
    }
    if to_end >= threshold {
        to_end = average / 2.0;
    }
    let mut factor = 1.0;
    if sampled != 0.0 {
        factor = (sampled + to_start + to_end) / sampled;
    }
    if per_second {
        factor /= (end_ms - start_ms) as f64 / 1000.0;
    }
    factor
}

/// The same from what a window amounts to.
pub(super) fn summary_rate(
    totals: &WindowTotals,
    start_ms: i64,
    end_ms: i64,
    counter: bool,
    per_second: bool,
) -> Cell {
    if totals.count < 2 {
        return Cell::Nothing;
    }
    let growth = if counter {
        totals.growth
    } else {
        totals.last.value - totals.first.value
    };
    let ends = WindowEnds {
        first_ms: totals.first.timestamp_ms,
        last_ms: totals.last.timestamp_ms,
        count: totals.count,
        first_count: counter.then_some(totals.first.value),
        growth,
    };
    Cell::Float(growth * extrapolation_factor(&ends, start_ms, end_ms, per_second))
}

fn extrapolated(
    window: &Window<'_>,
    context: &mut CallContext<'_, '_>,
    counter: bool,
    per_second: bool,
) -> Cell {
    if is_mixed(window, context) {
        return Cell::Nothing;
    }
    if window.extension.is_some() {
        return extended_rate(window, context, counter, per_second);
    }
    if !window.histograms.is_empty() {
        return extrapolated_histogram(window, context, counter, per_second);
    }
    let count = window.values.len();
    if count < 2 {
        return Cell::Nothing;
    }
    let first = window.values[0];
    let mut growth = window.values[count - 1] - first;
    if counter {
        for reset in window.resets {
            growth += window.values[*reset as usize - window.first_index - 1];
        }
    }
    let ends = WindowEnds {
        first_ms: window.times[0],
        last_ms: window.times[count - 1],
        count,
        first_count: counter.then_some(first),
        growth,
    };
    Cell::Float(growth * extrapolation_factor(&ends, window.start_ms, window.end_ms, per_second))
}

fn extrapolated_histogram(
    window: &Window<'_>,
    context: &mut CallContext<'_, '_>,
    counter: bool,
    per_second: bool,
) -> Cell {
    let points = window.histograms;
    if points.len() < 2 {
        return Cell::Nothing;
    }
    let Some(mut growth) = histogram_growth(points, context, counter) else {
        return Cell::Nothing;
    };
    let total = growth.to_histogram().count;
    let first = points[0].1.count;
    let ends = WindowEnds {
        first_ms: points[0].0,
        last_ms: points[points.len() - 1].0,
        count: points.len(),
        first_count: counter.then_some(first),
        growth: total,
    };
    growth.scale(extrapolation_factor(
        &ends,
        window.start_ms,
        window.end_ms,
        per_second,
    ));
    Cell::Histogram(Arc::new(growth.to_histogram()))
}

/// How much the histograms grew, resets counted; `None` where they do not fit together, which is told.
fn histogram_growth(
    points: &[(i64, Arc<Histogram>)],
    context: &mut CallContext<'_, '_>,
    counter: bool,
) -> Option<Native> {
    let (span, metric) = (context.first_arg_span, context.metric);
    let notes = &mut context.evaluator.notes;
    let is_gauge = |histogram: &Histogram| histogram.counter_reset_hint == CounterResetHint::Gauge;
    let is_custom = |histogram: &Histogram| histogram.schema == CUSTOM_BUCKETS_SCHEMA;
    let (first, last) = (&*points[0].1, &*points[points.len() - 1].1);
    if counter && points.iter().any(|(_, histogram)| is_gauge(histogram)) {
        notes.not_counter(span, metric);
    }
    // After a reset right behind the first sample its buckets do not matter.
    let second = &*points[1].1;
    let mut start = Native::new(first);
    if counter && detect_reset(second, first) {
        start = Native::empty_like(second);
    }
    let custom = start.uses_custom_buckets();
    let between = if counter {
        &points[1..]
    } else {
        &points[points.len() - 1..]
    };
    if between
        .iter()
        .any(|(_, histogram)| is_custom(histogram) != custom)
    {
        notes.mixed_schemas(span, metric);
        return None;
    }
    let mut growth = Native::new(last);
    if counter {
        let coarsest = between.iter().map(|(_, histogram)| histogram.schema).min();
        growth.reduce_to(coarsest.unwrap_or(last.schema));
    }
    let Ok(added) = growth.combine(start, -1.0) else {
        notes.mixed_schemas(span, metric);
        return None;
    };
    if added.bounds_reconciled {
        notes.bounds_reconciled(span, Operation::Subtraction);
    }
    if counter {
        for (index, pair) in points.windows(2).enumerate() {
            let (before, after) = (&pair[0].1, &pair[1].1);
            // The first sample is left out where a reset follows it: nothing of it is in the growth.
            if !detect_reset(after, before) || index == 0 {
                continue;
            }
            match growth.add(before) {
                Ok(added) if added.bounds_reconciled => {
                    notes.bounds_reconciled(span, Operation::Addition);
                }
                Ok(_) => {}
                Err(_) => {
                    notes.mixed_schemas(span, metric);
                    return None;
                }
            }
        }
    } else if !is_gauge(first) || !is_gauge(last) {
        notes.not_gauge(span, metric);
    }
    growth.hint = CounterResetHint::Gauge;
    Some(growth)
}

pub(super) fn irate(
    window: &Window<'_>,
    context: &mut CallContext<'_, '_>,
) -> Result<Cell, QueryError> {
    Ok(last_difference(window, context, true))
}

pub(super) fn idelta(
    window: &Window<'_>,
    context: &mut CallContext<'_, '_>,
) -> Result<Cell, QueryError> {
    Ok(last_difference(window, context, false))
}

/// The difference of the last two samples, for `irate` by the time between them.
fn last_difference(window: &Window<'_>, context: &mut CallContext<'_, '_>, is_rate: bool) -> Cell {
    enum Last<'b> {
        Float(f64),
        Histogram(&'b Arc<Histogram>),
    }
    let floats = window.times.iter().zip(window.values).rev().take(2);
    let histograms = window.histograms.iter().rev().take(2);
    let mut last: Vec<(i64, Last<'_>)> = floats
        .map(|(time, value)| (*time, Last::Float(*value)))
        .chain(histograms.map(|(time, histogram)| (*time, Last::Histogram(histogram))))
        .collect();
    last.sort_by_key(|(time, _)| -time);
    let [(after_ms, after), (before_ms, before), ..] = last.as_slice() else {
        return Cell::Nothing;
    };
    let interval = (after_ms - before_ms) as f64 / 1000.0;
    if interval == 0.0 {
        return Cell::Nothing;
    }
    match (before, after) {
        (Last::Float(before), Last::Float(after)) => {
            let difference = if is_rate && after < before {
                *after
            } else {
                after - before
            };
            Cell::Float(if is_rate {
                difference / interval
            } else {
                difference
            })
        }
        (Last::Histogram(before), Last::Histogram(after)) => {
            histogram_difference(before, after, context, is_rate.then_some(interval))
        }
        _ => {
            context
                .evaluator
                .notes
                .mixed_floats_histograms(context.first_arg_span, context.metric);
            Cell::Nothing
        }
    }
}

fn histogram_difference(
    before: &Histogram,
    after: &Histogram,
    context: &mut CallContext<'_, '_>,
    interval: Option<f64>,
) -> Cell {
    let (span, metric) = (context.first_arg_span, context.metric);
    let notes = &mut context.evaluator.notes;
    let gauges = [before, after]
        .iter()
        .filter(|histogram| histogram.counter_reset_hint == CounterResetHint::Gauge)
        .count();
    if interval.is_some() && gauges > 0 {
        notes.not_counter(span, metric);
    }
    if interval.is_none() && gauges < 2 {
        notes.not_gauge(span, metric);
    }
    let mut difference = Native::new(after);
    if interval.is_none() || !detect_reset(after, before) {
        match difference.sub(before) {
            Ok(added) if added.bounds_reconciled => {
                notes.bounds_reconciled(span, Operation::Subtraction);
            }
            Ok(_) => {}
            Err(_) => {
                notes.mixed_schemas(span, metric);
                return Cell::Nothing;
            }
        }
    }
    difference.hint = CounterResetHint::Gauge;
    if let Some(interval) = interval {
        difference.divide(interval);
    }
    Cell::Histogram(Arc::new(difference.to_histogram()))
}

/// Slope and intercept at `origin_ms` of the least squares line; exactly 0 and the value for constant values.
fn linear_regression(window: &Window<'_>, origin_ms: i64) -> (f64, f64) {
    let first = window.values[0];
    if window.values.iter().all(|value| *value == first) {
        return if first.is_infinite() {
            (f64::NAN, f64::NAN)
        } else {
            (0.0, first)
        };
    }
    let mut sums = [KahanSum::default(); 4];
    for (time, y) in window.times.iter().zip(window.values) {
        let x = (time - origin_ms) as f64 / 1000.0;
        for (sum, value) in sums.iter_mut().zip([x, *y, x * y, x * x]) {
            sum.add(value);
        }
    }
    let count = window.values.len() as f64;
    let [x, y, xy, xx] = sums.map(|sum| sum.sum + sum.compensation);
    let slope = (xy - x * y / count) / (xx - x * x / count);
    (slope, y / count - slope * x / count)
}

fn note_histograms(window: &Window<'_>, context: &mut CallContext<'_, '_>) {
    if !window.values.is_empty() && !window.histograms.is_empty() {
        context
            .evaluator
            .notes
            .ignored_in_mixed_range(context.first_arg_span, context.metric);
    }
}

pub(super) fn deriv(
    window: &Window<'_>,
    context: &mut CallContext<'_, '_>,
) -> Result<Cell, QueryError> {
    note_histograms(window, context);
    if window.values.len() < 2 {
        return Ok(Cell::Nothing);
    }
    Ok(Cell::Float(linear_regression(window, window.times[0]).0))
}

pub(super) fn predict_linear(
    window: &Window<'_>,
    context: &mut CallContext<'_, '_>,
) -> Result<Cell, QueryError> {
    note_histograms(window, context);
    if window.values.len() < 2 {
        return Ok(Cell::Nothing);
    }
    let (slope, intercept) = linear_regression(window, context.time_ms);
    Ok(Cell::Float(slope * context.scalars[0] + intercept))
}

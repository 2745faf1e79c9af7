//! The modifiers `anchored` and `smoothed` (experimental): windows that take the sample before them, or values interpolated at
//! their ends, into account, so that nothing has to be extrapolated.

use std::sync::Arc;

use gameday_signal::{CounterResetHint, Histogram};

use super::QueryError;
use super::call::CallContext;
use super::notes::{Notes, Operation};
use super::over_time::Window;
use super::selector::{Extension, RangeBuffer};
use super::series::Cell;
use crate::histogram::{CUSTOM_BUCKETS_SCHEMA, IncompatibleSchema, Native, detect_reset};

/// The functions that know what to do with samples outside of the window.
const ANCHORED_FUNCTIONS: [&str; 5] = ["changes", "delta", "increase", "rate", "resets"];
const SMOOTHED_FUNCTIONS: [&str; 3] = ["delta", "increase", "rate"];

/// Refuses the modifier for all other functions.
pub(super) fn check_function(extension: Extension, name: &str) -> Result<(), QueryError> {
    let (modifier, functions) = match extension {
        Extension::Anchored => ("anchored", &ANCHORED_FUNCTIONS[..]),
        Extension::Smoothed => ("smoothed", &SMOOTHED_FUNCTIONS[..]),
    };
    if functions.contains(&name) {
        return Ok(());
    }
    Err(QueryError::execution(format!(
        "{modifier} modifier can only be used with: {} - not with {name}",
        functions.join(", ")
    )))
}

/// Linear between two numbers; a counter that was reset between them began again at zero.
fn interpolate(before: (i64, f64), after: (i64, f64), time: i64, counter: bool) -> f64 {
    let start = if counter && after.1 < before.1 {
        0.0
    } else {
        before.1
    };
    start + (after.1 - start) * (time - before.0) as f64 / (after.0 - before.0) as f64
}

/// The same between two histograms.
fn interpolate_histograms(
    before: &(i64, Arc<Histogram>),
    after: &(i64, Arc<Histogram>),
    time: i64,
    counter: bool,
    notes: &mut Noting<'_>,
) -> Result<Histogram, IncompatibleSchema> {
    if time == before.0 {
        return Ok((*before.1).clone());
    }
    if time == after.0 {
        return Ok((*after.1).clone());
    }
    let fraction = (time - before.0) as f64 / (after.0 - before.0) as f64;
    let mut result = Native::new(&after.1);
    if counter && detect_reset(&after.1, &before.1) {
        result.scale(fraction);
        return Ok(result.to_histogram());
    }
    notes.subtracted(result.sub(&before.1)?.bounds_reconciled);
    result.scale(fraction);
    notes.added(result.add(&before.1)?.bounds_reconciled);
    Ok(result.to_histogram())
}

/// Where notes about a window go.
struct Noting<'n> {
    notes: &'n mut Notes,
    span: gameday_query::SourceSpan,
}

impl Noting<'_> {
    fn added(&mut self, reconciled: bool) {
        if reconciled {
            self.notes.bounds_reconciled(self.span, Operation::Addition);
        }
    }

    fn subtracted(&mut self, reconciled: bool) {
        if reconciled {
            self.notes
                .bounds_reconciled(self.span, Operation::Subtraction);
        }
    }
}

/// The first and the last sample that count: the one before the window's start, where there is one, and the last one or, when
/// smoothed, the first at or behind the window's end.
fn ends(times: impl Fn(usize) -> i64, count: usize, window: &Window<'_>) -> Option<(usize, usize)> {
    let last = count.checked_sub(1)?;
    let search = |holds: &dyn Fn(i64) -> bool| (0..last).find(|index| holds(times(*index)));
    let first = search(&|time| time > window.start_ms)
        .unwrap_or(last)
        .saturating_sub(1);
    let smoothed = window.extension == Some(Extension::Smoothed);
    let last = if smoothed {
        search(&|time| time >= window.end_ms).unwrap_or(last)
    } else {
        last
    };
    let outside = times(last) <= window.start_ms || (smoothed && times(first) > window.end_ms);
    (!outside).then_some((first, last))
}

/// `rate`, `increase` and `delta` without extrapolation.
pub(super) fn extended_rate(
    window: &Window<'_>,
    context: &mut CallContext<'_, '_>,
    counter: bool,
    per_second: bool,
) -> Cell {
    let range_secs = (window.end_ms - window.start_ms) as f64 / 1000.0;
    if !window.histograms.is_empty() {
        let Some(mut growth) = histogram_growth(window, context, counter) else {
            return Cell::Nothing;
        };
        if per_second {
            growth.divide(range_secs);
        }
        growth.hint = CounterResetHint::Gauge;
        return Cell::Histogram(Arc::new(growth.to_histogram()));
    }
    let (times, values) = (window.times, window.values);
    let Some((first, last)) = ends(|index| times[index], times.len(), window) else {
        return Cell::Nothing;
    };
    let (left, right) = float_ends(times, values, (first, last), window, counter);
    let mut growth = right - left;
    if counter {
        let inside = (first..=last)
            .filter(|index| {
                (*index > first || times[*index] > window.start_ms)
                    && (*index < last || times[*index] < window.end_ms)
            })
            .map(|index| values[index]);
        let mut correction = 0.0;
        let mut previous = left;
        for value in inside.chain([right]) {
            if value < previous {
                correction += previous;
            }
            previous = value;
        }
        growth += correction;
    }
    Cell::Float(if per_second {
        growth / range_secs
    } else {
        growth
    })
}

fn float_ends(
    times: &[i64],
    values: &[f64],
    (first, last): (usize, usize),
    window: &Window<'_>,
    counter: bool,
) -> (f64, f64) {
    let smoothed = window.extension == Some(Extension::Smoothed);
    let at = |index: usize| (times[index], values[index]);
    let left = if smoothed && times[first] < window.start_ms && first + 1 < times.len() {
        interpolate(at(first), at(first + 1), window.start_ms, counter)
    } else {
        values[first]
    };
    let right = if smoothed && last > 0 && times[last] > window.end_ms {
        interpolate(at(last - 1), at(last), window.end_ms, counter)
    } else {
        values[last]
    };
    (left, right)
}

fn histogram_growth(
    window: &Window<'_>,
    context: &mut CallContext<'_, '_>,
    counter: bool,
) -> Option<Native> {
    let points = window.histograms;
    let (first, last) = ends(|index| points[index].0, points.len(), window)?;
    let (span, metric) = (context.first_arg_span, context.metric);
    let mut noting = Noting {
        notes: &mut context.evaluator.notes,
        span,
    };
    let custom = points[first].1.schema == CUSTOM_BUCKETS_SCHEMA;
    for (_, histogram) in &points[first..=last] {
        if (histogram.schema == CUSTOM_BUCKETS_SCHEMA) != custom {
            noting.notes.mixed_schemas(span, metric);
            return None;
        }
        if counter && histogram.counter_reset_hint == CounterResetHint::Gauge {
            noting.notes.not_counter(span, metric);
        }
    }
    let growth = growth_between(window, (first, last), counter, metric, &mut noting);
    if growth.is_err() {
        noting.notes.mixed_schemas(span, metric);
    }
    growth.ok()
}

fn growth_between(
    window: &Window<'_>,
    (first, last): (usize, usize),
    counter: bool,
    metric: &str,
    noting: &mut Noting<'_>,
) -> Result<Native, IncompatibleSchema> {
    let points = window.histograms;
    let smoothed = window.extension == Some(Extension::Smoothed);
    let interpolates_left =
        smoothed && points[first].0 < window.start_ms && first + 1 < points.len();
    let left = if interpolates_left {
        let (before, after) = (&points[first], &points[first + 1]);
        interpolate_histograms(before, after, window.start_ms, counter, noting)?
    } else {
        (*points[first].1).clone()
    };
    let right = if smoothed && last > 0 && points[last].0 > window.end_ms {
        let (before, after) = (&points[last - 1], &points[last]);
        interpolate_histograms(before, after, window.end_ms, counter, noting)?
    } else {
        (*points[last].1).clone()
    };
    let gauge = |histogram: &Histogram| histogram.counter_reset_hint == CounterResetHint::Gauge;
    if !counter && [&left, &right].iter().any(|histogram| !gauge(histogram)) {
        noting.notes.not_gauge(noting.span, metric);
    }
    let mut growth = Native::new(&right);
    noting.subtracted(growth.sub(&left)?.bounds_reconciled);
    if !counter {
        return Ok(growth);
    }
    // A reset that the interpolation at the start has seen is in `left` already.
    let seen = interpolates_left && detect_reset(&points[first + 1].1, &points[first].1);
    let (mut previous, from) = if seen {
        (&*points[first + 1].1, first + 2)
    } else {
        (&left, first + 1)
    };
    if from > last {
        return Ok(growth);
    }
    let inside = points[from..last].iter().map(|(_, histogram)| &**histogram);
    for histogram in inside.chain([&right]) {
        if detect_reset(histogram, previous) {
            noting.added(growth.add(previous)?.bounds_reconciled);
        }
        previous = histogram;
    }
    Ok(growth)
}

/// Where `changes` and `resets` of an anchored window begin: at the last sample at or before its start. `None` where no sample
/// lies within the window.
pub(super) fn anchored_start(window: &Window<'_>) -> Option<(usize, usize)> {
    let floats = window
        .times
        .partition_point(|time| *time <= window.start_ms);
    let histograms = window
        .histograms
        .partition_point(|(time, _)| *time <= window.start_ms);
    if floats >= window.times.len() && histograms >= window.histograms.len() {
        return None;
    }
    let float = floats.checked_sub(1).map(|index| window.times[index]);
    let histogram = histograms
        .checked_sub(1)
        .map(|index| window.histograms[index].0);
    Some(match (float, histogram) {
        (None, None) => (0, 0),
        (Some(_), None) => (floats - 1, histograms),
        (Some(float), Some(histogram)) if float >= histogram => (floats - 1, histograms),
        _ => (floats, histograms - 1),
    })
}

/// The numbers of a window by itself: those at its ends first and last, the others as they are.
pub(super) fn extend_buffer(
    buffer: &mut RangeBuffer,
    extension: Extension,
    start_ms: i64,
    end_ms: i64,
) -> Result<(), QueryError> {
    if !buffer.histograms.is_empty() {
        let modifier = if extension == Extension::Anchored {
            "anchored"
        } else {
            "smoothed"
        };
        return Err(QueryError::execution(format!(
            "{modifier} modifier is not supported with histograms"
        )));
    }
    let (times, values) = (
        std::mem::take(&mut buffer.times),
        std::mem::take(&mut buffer.values),
    );
    let window = Window {
        first_index: 0,
        times: &times,
        values: &values,
        resets: &[],
        histograms: &[],
        start_ms,
        end_ms,
        extension: Some(extension),
    };
    let Some((first, last)) = ends(|index| times[index], times.len(), &window) else {
        return Ok(());
    };
    let (left, right) = float_ends(&times, &values, (first, last), &window, false);
    buffer.times.push(start_ms);
    buffer.values.push(left);
    for index in first..=last {
        if times[index] > start_ms && times[index] < end_ms {
            buffer.times.push(times[index]);
            buffer.values.push(values[index]);
        }
    }
    buffer.times.push(end_ms);
    buffer.values.push(right);
    Ok(())
}

/// The value at a time from the samples around it: interpolated between two, carried on from the last one.
pub(super) fn smoothed_value(
    times: &[i64],
    values: &[f64],
    histograms: &[(i64, Arc<Histogram>)],
    time: i64,
    (notes, span, metric): (&mut Notes, gameday_query::SourceSpan, &str),
) -> Cell {
    if !times.is_empty() && !histograms.is_empty() {
        notes.mixed_floats_histograms(span, metric);
        return Cell::Nothing;
    }
    if histograms.is_empty() {
        let after = times.partition_point(|own| *own < time);
        return match (after.checked_sub(1), times.get(after)) {
            (_, Some(at)) if *at == time => Cell::Float(values[after]),
            (Some(before), Some(at)) => Cell::Float(interpolate(
                (times[before], values[before]),
                (*at, values[after]),
                time,
                false,
            )),
            (Some(before), None) => Cell::Float(values[before]),
            (None, _) => Cell::Nothing,
        };
    }
    let after = histograms.partition_point(|(own, _)| *own < time);
    let (before, next) = (
        after.checked_sub(1).map(|index| &histograms[index]),
        histograms.get(after),
    );
    match (before, next) {
        (_, Some((at, histogram))) if *at == time => Cell::Histogram(histogram.clone()),
        (Some(before), Some(next)) => {
            let gauge = |point: &(i64, Arc<Histogram>)| {
                point.1.counter_reset_hint == CounterResetHint::Gauge
            };
            let counter = !(gauge(before) && gauge(next));
            let mut noting = Noting { notes, span };
            let custom = |point: &(i64, Arc<Histogram>)| point.1.schema == CUSTOM_BUCKETS_SCHEMA;
            let interpolated = if custom(before) == custom(next) {
                interpolate_histograms(before, next, time, counter, &mut noting)
            } else {
                Err(IncompatibleSchema)
            };
            match interpolated {
                Ok(histogram) => Cell::Histogram(Arc::new(histogram)),
                Err(IncompatibleSchema) => {
                    noting.notes.mixed_schemas(span, metric);
                    Cell::Nothing
                }
            }
        }
        (Some((_, histogram)), None) => {
            let mut carried = (**histogram).clone();
            carried.counter_reset_hint = CounterResetHint::Unknown;
            Cell::Histogram(Arc::new(carried))
        }
        (None, _) => Cell::Nothing,
    }
}

//! Range aggregations: a number from the samples of a window.

use gameday_query::quantile;

use super::vector::{extreme, mean, variance};
use crate::logql::RangeOp;

/// A sample of a series: nanoseconds and value.
pub(super) type Point = (i64, f64);

/// A window's place and length.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    /// Its end in nanoseconds, inclusive.
    pub(super) end: i64,
    /// Its length in nanoseconds.
    pub(super) length: i64,
}

/// Aggregates the samples of a window, which are at least one and ordered by time.
pub(super) fn aggregate(
    op: RangeOp,
    parameter: Option<f64>,
    unwraps: bool,
    window: Window,
    points: &[Point],
) -> f64 {
    let seconds = window.length as f64 / 1e9;
    let values = || points.iter().map(|point| point.1);
    match op {
        RangeOp::CountOverTime => points.len() as f64,
        RangeOp::Rate if unwraps => values().sum::<f64>() / seconds,
        RangeOp::Rate => points.len() as f64 / seconds,
        RangeOp::RateCounter => counter_rate(points, window),
        RangeOp::BytesRate => values().sum::<f64>() / seconds,
        RangeOp::BytesOverTime | RangeOp::SumOverTime => values().sum(),
        RangeOp::AvgOverTime => mean(values()),
        RangeOp::MinOverTime => extreme(values(), |new, old| new < old),
        RangeOp::MaxOverTime => extreme(values(), |new, old| new > old),
        RangeOp::StdvarOverTime => variance(values()),
        RangeOp::StddevOverTime => variance(values()).sqrt(),
        RangeOp::QuantileOverTime => {
            let mut values: Vec<f64> = values().collect();
            quantile(parameter.unwrap_or(f64::NAN), &mut values)
        }
        RangeOp::FirstOverTime => points.first().map_or(f64::NAN, |point| point.1),
        RangeOp::LastOverTime => points.last().map_or(f64::NAN, |point| point.1),
        RangeOp::AbsentOverTime => 1.0,
    }
}

/// The rate of a counter with its resets, extrapolated to the ends of the window as Prometheus does it
/// (promql/functions.go, extrapolatedRate), except that the window's ends are those of the query. One sample has no rate: 0.
fn counter_rate(points: &[Point], window: Window) -> f64 {
    /// A gap that is longer than the average distance of samples by this factor is not bridged.
    const GAP_FACTOR: f64 = 1.1;
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return 0.0;
    };
    if points.len() < 2 {
        return 0.0;
    }
    let mut increase = last.1 - first.1;
    for pair in points.windows(2) {
        if pair[1].1 < pair[0].1 {
            increase += pair[0].1;
        }
    }
    let seconds = |nanos: i64| nanos as f64 / 1e9;
    let mut to_start = seconds(first.0 - (window.end - window.length));
    let mut to_end = seconds(window.end - last.0);
    let sampled = seconds(last.0 - first.0);
    let average = sampled / (points.len() - 1) as f64;
    let threshold = average * GAP_FACTOR;
    if to_start >= threshold {
        to_start = average / 2.0;
    }
    if increase > 0.0 && first.1 >= 0.0 {
        // A counter cannot have been below zero.
        to_start = to_start.min(sampled * (first.1 / increase));
    }
    if to_end >= threshold {
        to_end = average / 2.0;
    }
    increase * ((sampled + to_start + to_end) / sampled) / seconds(window.length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aggregates_a_window() {
        let window = Window {
            end: 60_000_000_000,
            length: 60_000_000_000,
        };
        let points: Vec<Point> = [(10, 1.0), (20, 4.0), (30, 2.0)]
            .map(|(secs, value)| (secs * 1_000_000_000, value))
            .to_vec();
        for (op, expected) in [
            (RangeOp::CountOverTime, 3.0),
            (RangeOp::SumOverTime, 7.0),
            (RangeOp::Rate, 7.0 / 60.0),
            (RangeOp::MaxOverTime, 4.0),
            (RangeOp::MinOverTime, 1.0),
            (RangeOp::FirstOverTime, 1.0),
            (RangeOp::LastOverTime, 2.0),
        ] {
            assert_eq!(
                aggregate(op, None, true, window, &points),
                expected,
                "{op:?}"
            );
        }
        let median = aggregate(RangeOp::QuantileOverTime, Some(0.5), true, window, &points);
        assert_eq!(median, 2.0);
        // Up by 3, a reset, up by 2: 5 in 20 s, extended by 5 s at both ends.
        let rate = aggregate(RangeOp::RateCounter, None, true, window, &points);
        assert!(
            (rate - 5.0 * (20.0 + 4.0 + 5.0) / 20.0 / 60.0).abs() < 1e-12,
            "{rate}"
        );
    }
}

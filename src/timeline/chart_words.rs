//! What a chart shows, in words, for those who hear it.

use std::fmt::Write as _;

use gameday_signal::Timestamp;

use super::chart::SERIES_MAX;
use super::lines::Timeline;
use super::record::{Chart, ChartSeries};
use super::text;

/// Of the stretches of time in which a series lies above a threshold, so many are told.
const STRETCHES_MAX: usize = 3;
/// Of the fault windows so many are told.
const WINDOWS_TOLD_MAX: usize = 20;

/// What the chart shows, in words: the fault windows, the extremes of each series, and when it lay above a threshold.
pub(super) fn describe(
    chart: &Chart,
    shown: &[Vec<(Timestamp, f64)>],
    timeline: &Timeline<'_>,
) -> String {
    let windows = &timeline.fault_windows;
    let mut sentences: Vec<String> = windows
        .iter()
        .take(WINDOWS_TOLD_MAX)
        .map(|window| window.sentence(timeline))
        .collect();
    if windows.len() > WINDOWS_TOLD_MAX {
        let left = windows.len() - WINDOWS_TOLD_MAX;
        sentences.push(format!("{left} more faults."));
    }
    let unit = |value: f64| text::with_unit(value, &chart.unit);
    for (series, points) in chart.series.iter().zip(shown) {
        let finite = || points.iter().filter(|(_, value)| value.is_finite());
        // Of equal values the first.
        let greatest = finite().max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)));
        let least = finite().min_by(|a, b| a.1.total_cmp(&b.1));
        let name = series_name(series);
        sentences.push(match (least, greatest, finite().next_back()) {
            (Some(least), Some(greatest), _) if least.1 == greatest.1 => {
                format!("{name}: {} all the time.", unit(least.1))
            }
            (Some(least), Some(greatest), Some(last)) => format!(
                "{name}: least {} at {}, greatest {} at {}, last {}.",
                unit(least.1),
                timeline.since_heard(least.0),
                unit(greatest.1),
                timeline.since_heard(greatest.0),
                unit(last.1)
            ),
            _ => format!("{name}: no value."),
        });
    }
    if chart.series.len() > SERIES_MAX {
        let left = chart.series.len() - SERIES_MAX;
        sentences.push(format!("{left} more series are not shown."));
    }
    for threshold in &chart.thresholds {
        let above: Vec<String> = chart
            .series
            .iter()
            .zip(shown)
            .filter_map(|(series, points)| {
                let stretches = stretches_above(points, threshold.value, timeline);
                (!stretches.is_empty()).then(|| format!("{} {stretches}", series_name(series)))
            })
            .collect();
        let above = if above.is_empty() {
            "no series".to_owned()
        } else {
            above.join("; ")
        };
        let name = text::clip(&text::visible(&threshold.name), 80);
        let value = unit(threshold.value);
        sentences.push(format!("Threshold {name}, {value}: exceeded by {above}."));
    }
    sentences.join(" ")
}

fn series_name(series: &ChartSeries) -> String {
    text::clip(&text::visible(&series.name), 80)
}

/// The stretches of time in which the value lies above `threshold`, in words; empty where there are none.
fn stretches_above(points: &[(Timestamp, f64)], threshold: f64, timeline: &Timeline<'_>) -> String {
    let mut stretches: Vec<String> = Vec::new();
    let mut rest = points;
    let above = |point: &(Timestamp, f64)| point.1 > threshold;
    while let Some(start) = rest.iter().position(above) {
        let from = timeline.since_heard(rest[start].0);
        // A value holds until the next one, not-a-number ends it as well.
        rest = &rest[start..];
        let length = rest.iter().position(|point| !above(point));
        let until = length.map_or_else(
            || "the end".to_owned(),
            |at| timeline.since_heard(rest[at].0),
        );
        rest = &rest[length.unwrap_or(rest.len())..];
        stretches.push(format!("from {from} to {until}"));
    }
    let more = stretches.len().saturating_sub(STRETCHES_MAX);
    stretches.truncate(STRETCHES_MAX);
    let mut words = stretches.join(", ");
    if more > 0 {
        let _ = write!(words, " and {more} more times");
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::record::ScenarioRecord;

    #[test]
    fn stretches_above_a_threshold_are_told() {
        let mut scenario = ScenarioRecord::new("f", "s", Timestamp::EPOCH);
        scenario.ended = Timestamp::from_secs(760);
        let timeline = Timeline::new(&scenario);
        let words = |values: &[(i64, f64)]| {
            let at = |(secs, value): &(i64, f64)| (Timestamp::from_secs(*secs), *value);
            let points: Vec<_> = values.iter().map(at).collect();
            stretches_above(&points, 5.0, &timeline)
        };
        assert_eq!(words(&[(0, 5.0), (9, 1.0)]), "");
        assert_eq!(
            words(&[(0, 9.0), (10, 6.0), (20, 5.0), (30, 7.0), (40, f64::NAN)]),
            "from +0s to +20s, from +30s to +40s"
        );
        let flapping: Vec<(i64, f64)> = (0..11).map(|at| (at, (at % 2) as f64 * 9.0)).collect();
        assert_eq!(
            words(&flapping),
            "from +1s to +2s, from +3s to +4s, from +5s to +6s and 2 more times"
        );
    }
}

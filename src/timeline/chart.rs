//! Line charts: a value holds until the next one, thresholds are dashed, the fault's window is shaded.

use std::fmt::Write as _;

use gameday_signal::Timestamp;

use super::chart_words::describe;
use super::lines::Timeline;
use super::record::{Chart, ChartSeries, Threshold};
use super::svg::{self, TimeAxis, n};
use super::text;

/// A chart shows this many series; more cannot be told apart.
pub(super) const SERIES_MAX: usize = 8;
/// The table beside a chart has at most this many rows.
const TABLE_ROWS_MAX: usize = 24;

const LEFT: f64 = 70.0;
/// The names of the thresholds stand to the right of it.
const RIGHT: f64 = svg::WIDTH - 130.0;
const TOP: f64 = 28.0;
const BOTTOM: f64 = 236.0;
/// Below the labels of the time axis.
const STRIPS_TOP: f64 = 280.0;
const HEIGHT: f64 = 280.0;

/// The values that a chart shows, with room above them.
struct ValueAxis {
    min: f64,
    max: f64,
    step: f64,
}

impl ValueAxis {
    fn of(chart: &Chart, shown: &[Vec<(Timestamp, f64)>]) -> Self {
        let values = shown
            .iter()
            .flat_map(|points| points.iter().map(|(_, value)| *value))
            .chain(chart.thresholds.iter().map(|threshold| threshold.value))
            .filter(|value| value.is_finite());
        let (mut min, mut max) = (0.0_f64, 0.0_f64);
        for value in values {
            min = min.min(value);
            max = max.max(value);
        }
        if max <= min {
            max = min + 1.0;
        }
        let step = nice_step((max - min) * 1.04 / 5.0);
        if chart.unit == "ratio" && min == 0.0 && max > 0.5 && max <= 1.0 {
            // There is nothing above all of it.
            return Self {
                min: 0.0,
                max: 1.0,
                step: 0.25,
            };
        }
        Self {
            min: (min / step).floor() * step,
            max: ((max + (max - min) * 0.04) / step).ceil() * step,
            step,
        }
    }

    fn y(&self, value: f64) -> f64 {
        let share = (value - self.min) / (self.max - self.min);
        BOTTOM - share.clamp(0.0, 1.0) * (BOTTOM - TOP)
    }

    fn ticks(&self) -> Vec<f64> {
        let count = ((self.max - self.min) / self.step).round().clamp(1.0, 12.0) as usize;
        (0..=count)
            .map(|index| self.min + index as f64 * self.step)
            .collect()
    }
}

/// The smallest of 1, 2, 2.5, 5 times a power of ten that is not below `least`.
fn nice_step(least: f64) -> f64 {
    if !least.is_finite() || least <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powi(least.log10().floor() as i32);
    [1.0, 2.0, 2.5, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|step| *step >= least * (1.0 - 1e-9))
        .unwrap_or(10.0 * power)
}

/// Draws the chart. `id` must be unique in the page.
pub(super) fn draw_chart(chart: &Chart, timeline: &Timeline<'_>, id: &str) -> String {
    let time = TimeAxis::of(timeline, LEFT, RIGHT);
    let shown = shown_points(chart, timeline);
    let values = ValueAxis::of(chart, &shown);
    let mut svg = svg::open(
        id,
        &chart.title,
        &describe(chart, &shown, timeline),
        HEIGHT + svg::fault_strips_height(timeline),
    );
    time.shade_faults(&mut svg, timeline, TOP, BOTTOM);
    for value in values.ticks() {
        let y = values.y(value);
        let _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{}\" x2=\"{}\" y1=\"{y}\" y2=\"{y}\"/><text class=\"tick\" x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
            n(LEFT),
            n(RIGHT),
            n(LEFT - 8.0),
            n(y + 4.0),
            text::xml(&tick_label(value, values.step, &chart.unit)),
            y = n(y)
        );
    }
    time.draw(&mut svg, BOTTOM, timeline.zero);
    time.draw_moments(&mut svg, timeline, TOP, BOTTOM);
    draw_thresholds(&mut svg, chart, &values);
    for (index, points) in shown.iter().enumerate() {
        let path = step_path(points, &time, &values);
        if !path.is_empty() {
            let _ = writeln!(svg, "<path class=\"series s{index}\" d=\"{path}\"/>");
        }
    }
    time.draw_fault_strips(&mut svg, timeline, STRIPS_TOP);
    svg::close(&mut svg);
    svg
}

fn tick_label(value: f64, step: f64, unit: &str) -> String {
    // A multiple of the step that should be zero may miss it by rounding.
    let value = if value.abs() < step / 1e6 { 0.0 } else { value };
    text::with_unit(value, unit)
}

/// What a threshold means, with its value.
pub(super) fn threshold_name(threshold: &Threshold, unit: &str) -> String {
    format!(
        "{}: {}",
        text::clip(&text::visible(&threshold.name), 60),
        text::with_unit(threshold.value, unit)
    )
}

fn draw_thresholds(svg: &mut String, chart: &Chart, values: &ValueAxis) {
    let mut last_label_y = f64::INFINITY;
    // A line of text takes 14 units.
    let mut thresholds: Vec<_> = chart
        .thresholds
        .iter()
        .filter(|threshold| threshold.value.is_finite())
        .collect();
    // From the bottom up, so that a label that would meet the one below it moves up.
    thresholds.sort_by(|a, b| a.value.total_cmp(&b.value));
    for threshold in thresholds {
        let y = values.y(threshold.value);
        let label_y = (y + 4.0).min(last_label_y - 14.0);
        last_label_y = label_y;
        let label = text::clip(&threshold_name(threshold, &chart.unit), 20);
        let _ = writeln!(
            svg,
            "<line class=\"threshold\" x1=\"{}\" x2=\"{}\" y1=\"{y}\" y2=\"{y}\"/><text class=\"tick threshold-label\" x=\"{}\" y=\"{}\">{}</text>",
            n(LEFT),
            n(RIGHT),
            n(RIGHT + 8.0),
            n(label_y),
            text::xml(&label),
            y = n(y)
        );
    }
}

/// The line of a series: horizontal until the next value, then vertical; a gap where a value is no number. Of the values that
/// fall on one column of the drawing the first, the least, the greatest and the last are kept, which draws the same picture.
fn step_path(points: &[(Timestamp, f64)], time: &TimeAxis, values: &ValueAxis) -> String {
    let mut path = String::new();
    let mut pen: Option<(f64, f64)> = None;
    for (x, value) in thin(points, time) {
        if value.is_nan() {
            if let Some((from, _)) = pen.take()
                && x > from
            {
                let _ = write!(path, "H{}", n(x));
            }
            continue;
        }
        let y = values.y(value);
        match pen {
            None => {
                let _ = write!(path, "M{} {}", n(x), n(y));
            }
            Some((from_x, from_y)) => {
                if x > from_x {
                    let _ = write!(path, "H{}", n(x));
                }
                if (y - from_y).abs() > 0.04 {
                    let _ = write!(path, "V{}", n(y));
                }
            }
        }
        pen = Some((x, y));
    }
    path
}

fn thin(points: &[(Timestamp, f64)], time: &TimeAxis) -> Vec<(f64, f64)> {
    let mut kept: Vec<(f64, f64)> = Vec::new();
    for column in points.chunk_by(|a, b| time.x(a.0).floor() == time.x(b.0).floor()) {
        if column.len() <= 4 {
            kept.extend(column.iter().map(|(at, value)| (time.x(*at), *value)));
            continue;
        }
        let finite = || column.iter().filter(|(_, value)| !value.is_nan());
        let least = finite().min_by(|a, b| a.1.total_cmp(&b.1));
        let greatest = finite().max_by(|a, b| a.1.total_cmp(&b.1));
        let ends = [column.first(), least, greatest, column.last()];
        let x = time.x(column[0].0);
        kept.extend(ends.into_iter().flatten().map(|(_, value)| (x, *value)));
    }
    kept
}

/// The chart as a table: a row every so often, with the value of each series that held then.
pub(super) fn table(chart: &Chart, timeline: &Timeline<'_>) -> Vec<(Timestamp, Vec<String>)> {
    let shown = shown_points(chart, timeline);
    let mut instants: Vec<Timestamp> = shown
        .iter()
        .flat_map(|points| points.iter().map(|(at, _)| *at))
        .collect();
    instants.sort();
    instants.dedup();
    let every = instants.len().div_ceil(TABLE_ROWS_MAX).max(1);
    let last = instants.last().copied();
    let mut rows: Vec<Timestamp> = instants.into_iter().step_by(every).collect();
    if let (Some(last), true) = (last, rows.last() != last.as_ref()) {
        rows.push(last);
    }
    rows.into_iter()
        .map(|at| {
            let cells = shown
                .iter()
                .map(|points| match held_at(points, at) {
                    Some(value) if !value.is_nan() => text::with_unit(value, &chart.unit),
                    _ => "no value".to_owned(),
                })
                .collect();
            (at, cells)
        })
        .collect()
}

/// The course of a series in a line of text.
pub(super) struct Course {
    pub(super) name: String,
    pub(super) sparkline: String,
    /// The greatest value and when it came; none where there is no value.
    pub(super) greatest: Option<String>,
}

/// The courses of the series of a chart, `columns` characters each, over the stretch of time that the chart shows. Each has a
/// scale of its own, which holds the thresholds too; a column shows the greatest value that held in it, a dot shows none.
pub(super) fn courses(chart: &Chart, timeline: &Timeline<'_>, columns: usize) -> Vec<Course> {
    let shown = shown_points(chart, timeline);
    chart
        .series
        .iter()
        .zip(&shown)
        .map(|(series, points)| {
            let values = ValueAxis::of(chart, std::slice::from_ref(points));
            let finite = points.iter().filter(|(_, value)| value.is_finite());
            let greatest = finite.max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)));
            Course {
                name: series.name.clone(),
                sparkline: sparkline(points, timeline, &values, columns),
                greatest: greatest.map(|(at, value)| {
                    let value = text::with_unit(*value, &chart.unit);
                    format!("greatest {value} at {}", timeline.since(*at))
                }),
            }
        })
        .collect()
}

fn sparkline(
    points: &[(Timestamp, f64)],
    timeline: &Timeline<'_>,
    values: &ValueAxis,
    columns: usize,
) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let (from, until) = (timeline.focus.from, timeline.focus.until);
    let width = until.since(from) / u32::try_from(columns).unwrap_or(1).max(1);
    let mut start = from;
    (0..columns)
        .map(|_| {
            let end = start + width;
            let first = points.partition_point(|(at, _)| *at < start);
            let last = points.partition_point(|(at, _)| *at < end);
            let held = held_at(points, start);
            let inside = points[first..last.max(first)]
                .iter()
                .map(|(_, value)| *value);
            let greatest = inside
                .chain(held)
                .filter(|value| !value.is_nan())
                .max_by(f64::total_cmp);
            start = end;
            greatest.map_or('·', |value| {
                let share = (value - values.min) / (values.max - values.min);
                BLOCKS[(share.clamp(0.0, 1.0) * 7.0).round() as usize]
            })
        })
        .collect()
}

/// The last value at or before `at`; `points` are in the order of time.
fn held_at(points: &[(Timestamp, f64)], at: Timestamp) -> Option<f64> {
    let after = points.partition_point(|(own, _)| *own <= at);
    points[..after].last().map(|(_, value)| *value)
}

/// The points of each series in the stretch of time that is shown, in the order of time, led by the value that held at its
/// beginning.
fn shown_points(chart: &Chart, timeline: &Timeline<'_>) -> Vec<Vec<(Timestamp, f64)>> {
    let focus = timeline.focus;
    let of_series = |series: &ChartSeries| {
        let mut points = series.points.clone();
        points.sort_by_key(|(at, _)| *at);
        let from = points.partition_point(|(at, _)| *at <= focus.from);
        let until = points.partition_point(|(at, _)| *at <= focus.until);
        let mut shown = points[from.saturating_sub(1)..until.max(from)].to_vec();
        if let Some((at, _)) = shown.first_mut() {
            *at = (*at).max(focus.from);
        }
        shown
    };
    chart
        .series
        .iter()
        .take(SERIES_MAX)
        .map(of_series)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::record::{FaultRecord, ScenarioRecord};

    fn scenario() -> ScenarioRecord {
        let mut scenario = ScenarioRecord::new("f", "s", Timestamp::EPOCH);
        scenario.ended = Timestamp::from_secs(760);
        scenario
    }

    fn series(points: &[(i64, f64)]) -> ChartSeries {
        ChartSeries {
            name: "<a>".to_owned(),
            points: points
                .iter()
                .map(|(secs, value)| (Timestamp::from_secs(*secs), *value))
                .collect(),
        }
    }

    #[test]
    fn lines_go_in_steps_and_break_at_gaps() {
        // 760 seconds on 760 units: one second is one unit.
        let scenario = scenario();
        let timeline = Timeline::new(&scenario);
        let time = TimeAxis::of(&timeline, LEFT, RIGHT);
        let values = ValueAxis {
            min: 0.0,
            max: 208.0,
            step: 50.0,
        };
        let points = series(&[
            (0, 0.0),
            (10, 8.0),
            (20, 8.0),
            (30, f64::NAN),
            (40, 108.0),
            (50, f64::INFINITY),
        ])
        .points;
        assert_eq!(
            step_path(&points, &time, &values),
            "M70 236H80V228H90H100M110 128H120V28"
        );
    }

    #[test]
    fn many_points_keep_their_extremes() {
        let scenario = scenario();
        let timeline = Timeline::new(&scenario);
        let time = TimeAxis::of(&timeline, LEFT, RIGHT);
        let points: Vec<_> = (0..76_000)
            .map(|index| {
                let value = if index == 43_217 { 9.0 } else { 1.0 };
                (Timestamp::from_millis(index * 10), value)
            })
            .collect();
        let kept = thin(&points, &time);
        assert!(kept.len() <= 4 * 880, "{}", kept.len());
        assert!(kept.iter().any(|(_, value)| *value == 9.0));
    }

    #[test]
    fn axes_are_round_and_survive_anything() {
        for (values, expected) in [
            (&[0.0, 0.93][..], (0.0, 1.0)),
            (&[-3.0, 7.0], (-5.0, 7.5)),
            (&[], (0.0, 1.25)),
            (&[f64::NAN, f64::INFINITY], (0.0, 1.25)),
        ] {
            let points: Vec<_> = values.iter().map(|value| (0, *value)).collect();
            let chart = Chart {
                series: vec![series(&points)],
                ..Chart::default()
            };
            let shown: Vec<_> = chart.series.iter().map(|own| own.points.clone()).collect();
            let axis = ValueAxis::of(&chart, &shown);
            assert_eq!((axis.min, axis.max), expected, "{values:?}");
        }
    }

    #[test]
    fn quiet_hours_are_left_out() {
        let mut scenario = scenario();
        scenario.ended = Timestamp::from_secs(36_000);
        scenario.faults.push(FaultRecord {
            name: "f".to_owned(),
            description: String::new(),
            injected: Timestamp::from_secs(30_000),
            cleared: Some(Timestamp::from_secs(30_600)),
            end: None,
            touched: 1,
            proven_gone: None,
        });
        let chart = Chart {
            series: vec![series(&[(0, 9.0), (10, 1.0), (30_100, 2.0), (36_000, 7.0)])],
            ..Chart::default()
        };
        let timeline = Timeline::new(&scenario);
        let secs = Timestamp::from_secs;
        assert_eq!(
            (timeline.focus.from, timeline.focus.until),
            (secs(29_760), secs(30_840))
        );
        // The value of the tenth second still holds when the drawing begins.
        assert_eq!(
            shown_points(&chart, &timeline),
            [[(secs(29_760), 1.0), (secs(30_100), 2.0)]]
        );
    }

    #[test]
    fn a_course_is_a_line_of_text() {
        let scenario = scenario();
        let chart = Chart {
            unit: "ratio".to_owned(),
            series: vec![series(&[
                (76, 0.0),
                (152, 1.0),
                (228, 0.5),
                (380, f64::NAN),
            ])],
            ..Chart::default()
        };
        let courses = courses(&chart, &Timeline::new(&scenario), 10);
        assert_eq!(courses[0].sparkline, "·▁█▅▅·····");
        assert_eq!(
            courses[0].greatest.as_deref(),
            Some("greatest 100 % at +2m32s")
        );
    }

    #[test]
    fn the_drawing_says_what_it_shows() {
        let mut scenario = scenario();
        let chart = Chart {
            title: "errors".to_owned(),
            unit: "ratio".to_owned(),
            series: vec![series(&[(0, 0.0), (60, 0.5)])],
            thresholds: vec![Threshold {
                name: "fast".to_owned(),
                value: 0.144,
            }],
            ..Chart::default()
        };
        scenario.charts.push(chart.clone());
        let timeline = Timeline::new(&scenario);
        let svg = draw_chart(&chart, &timeline, "c");
        assert!(svg.contains(
            "<desc id=\"c-d\">&lt;a&gt;: least 0 % at +0s, greatest 50 % at +1m00s, last 50 %. Threshold fast, 14.4 %: exceeded by &lt;a&gt; from +1m00s to the end.</desc>"
        ), "{svg}");
        assert_eq!(table(&chart, &timeline).len(), 2);
    }
}

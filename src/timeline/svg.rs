//! What the drawings share: the time axis, coordinates, marks.
//!
//! A drawing is one `<svg role="img">` made of text and shapes only: no script, no address, no font of its own. To a screen reader
//! it is its `<title>`, which names it, and its `<desc>`, which says what a sighted reader sees; the rest is hidden from it, for
//! loose numbers of an axis tell nothing. Colours come from the page's style sheet by class, so that light, dark and print each have theirs. Every series has a
//! dash pattern and every state a word or a texture besides its colour.

use std::fmt::Write as _;

use gameday_signal::Timestamp;

use super::lines::Timeline;
use super::moments::Moment;
use super::text;

/// The width of every drawing in its own units; the page scales it.
pub(super) const WIDTH: f64 = 960.0;
/// A tick of the time axis every so many units at least, so that labels do not meet.
const TICK_DISTANCE: f64 = 78.0;
/// The height of the strip of a fault, with the room below it.
const STRIP: f64 = 17.0;
/// A chart has at most this many strips.
const STRIPS_MAX: usize = 8;
/// Steps of a time axis in seconds.
const TIME_STEPS_SECS: [i64; 20] = [
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400,
    172_800, 604_800,
];

/// The stretch of time that a drawing shows, and where on the drawing it lies.
#[derive(Clone, Copy)]
pub(super) struct TimeAxis {
    pub(super) from: Timestamp,
    pub(super) until: Timestamp,
    pub(super) left: f64,
    pub(super) right: f64,
}

impl TimeAxis {
    /// What the drawings of a scenario show, between `left` and `right`.
    pub(super) fn of(timeline: &Timeline<'_>, left: f64, right: f64) -> Self {
        let from = timeline.focus.from;
        // A scenario without length would divide by zero.
        let least = from + std::time::Duration::from_secs(1);
        Self {
            from,
            until: timeline.focus.until.max(least),
            left,
            right,
        }
    }

    /// The x of an instant; what lies outside is drawn at the edge.
    pub(super) fn x(&self, at: Timestamp) -> f64 {
        let span = self.until.as_nanos() as f64 - self.from.as_nanos() as f64;
        let share = (at.as_nanos() as f64 - self.from.as_nanos() as f64) / span;
        self.left + share.clamp(0.0, 1.0) * (self.right - self.left)
    }

    /// Instants for ticks: round times from `zero`.
    fn ticks(&self, zero: Timestamp) -> Vec<Timestamp> {
        let span_secs = self.until.since(self.from).as_secs_f64();
        let most = ((self.right - self.left) / TICK_DISTANCE).max(1.0);
        let step_secs = TIME_STEPS_SECS
            .into_iter()
            .find(|step| span_secs / *step as f64 <= most)
            // Longer runs than the table knows are cut into equal parts of whole weeks.
            .unwrap_or_else(|| (span_secs / most / 604_800.0).ceil() as i64 * 604_800);
        let Some(step_nanos) = step_secs.checked_mul(1_000_000_000) else {
            return Vec::new();
        };
        let first = self
            .from
            .as_nanos()
            .saturating_sub(zero.as_nanos())
            .div_euclid(step_nanos);
        // A run longer than the calendar has fewer ticks, never endless ones.
        (0..50)
            .map_while(|index| {
                let offset = (first + index).checked_mul(step_nanos)?;
                zero.as_nanos().checked_add(offset)
            })
            .map(Timestamp::from_nanos)
            .filter(|at| *at >= self.from)
            .take_while(|at| *at <= self.until)
            .collect()
    }

    /// Draws the axis below `y`: the time since `zero`, and under it the clock.
    pub(super) fn draw(&self, svg: &mut String, y: f64, zero: Timestamp) {
        let _ = writeln!(
            svg,
            "<line class=\"axis\" x1=\"{}\" x2=\"{}\" y1=\"{}\" y2=\"{}\"/>",
            n(self.left),
            n(self.right),
            n(y),
            n(y)
        );
        for at in self.ticks(zero) {
            let x = self.x(at);
            let since = if at == zero {
                "0".to_owned()
            } else {
                text::since(at, zero)
            };
            let _ = writeln!(
                svg,
                "<line class=\"axis\" x1=\"{x}\" x2=\"{x}\" y1=\"{y0}\" y2=\"{y1}\"/><text class=\"tick\" x=\"{x}\" y=\"{t0}\" text-anchor=\"middle\">{since}</text><text class=\"tick soft\" x=\"{x}\" y=\"{t1}\" text-anchor=\"middle\">{clock}</text>",
                x = n(x),
                y0 = n(y),
                y1 = n(y + 5.0),
                t0 = n(y + 19.0),
                t1 = n(y + 34.0),
                since = trim_zero_parts(&since),
                // A zero between two seconds would give every label of the clock its fraction.
                clock = text::clock(Timestamp::from_secs(at.as_secs())),
            );
        }
    }

    /// Shades the times in which a fault was in force, between `top` and `bottom`, with a line at both ends of each. Where several
    /// were in force at once the ground is darker.
    pub(super) fn shade_faults(
        &self,
        svg: &mut String,
        timeline: &Timeline<'_>,
        top: f64,
        bottom: f64,
    ) {
        for window in &timeline.fault_windows {
            let (x0, x1) = (self.x(window.from), self.x(window.until));
            let _ = writeln!(
                svg,
                "<rect class=\"fault-window\" x=\"{x0}\" y=\"{top}\" width=\"{}\" height=\"{}\"/><path class=\"fault-edge\" d=\"M{x0} {top}V{bottom}M{x1} {top}V{bottom}\"/>",
                n((x1 - x0).max(1.0)),
                n(bottom - top),
                x0 = n(x0),
                x1 = n(x1),
                top = n(top),
                bottom = n(bottom)
            );
        }
    }

    /// Draws a named strip for each fault window below `top`, so that faults at once can be told apart.
    pub(super) fn draw_fault_strips(&self, svg: &mut String, timeline: &Timeline<'_>, top: f64) {
        let windows = &timeline.fault_windows;
        for (index, window) in windows.iter().take(STRIPS_MAX).enumerate() {
            let y = top + STRIP * index as f64;
            let (x0, x1) = (self.x(window.from), self.x(window.until));
            let name = text::clip(&text::visible(&window.name), 36);
            // A letter takes about seven units. What does not fit into the strip stands on its right, or else on its left,
            // where there is room then: a strip that leaves neither is longer than its name.
            let width = 7.0 * name.chars().count() as f64;
            let (class, x, anchor) = if width + 8.0 < x1 - x0 {
                ("bar-fault-text", f64::midpoint(x0, x1), "middle")
            } else if x1 + 6.0 + width < WIDTH {
                ("fault-name", x1 + 6.0, "start")
            } else {
                ("fault-name", x0 - 6.0, "end")
            };
            let _ = writeln!(
                svg,
                "<rect class=\"bar-fault\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/><text class=\"{class}\" x=\"{}\" y=\"{}\" text-anchor=\"{anchor}\">{}</text>",
                n(x0),
                n(y),
                n((x1 - x0).max(2.0)),
                n(STRIP - 3.0),
                n(x),
                n(y + 11.0),
                text::xml(&name)
            );
        }
        if windows.len() > STRIPS_MAX {
            let _ = writeln!(
                svg,
                "<text class=\"tick soft\" x=\"{}\" y=\"{}\">and {} more faults</text>",
                n(self.left),
                n(top + STRIP * STRIPS_MAX as f64 + 11.0),
                windows.len() - STRIPS_MAX
            );
        }
    }

    /// Draws the moments of the main incident as thin lines with their symbols on top; symbols that would meet are joined.
    pub(super) fn draw_moments(
        &self,
        svg: &mut String,
        timeline: &Timeline<'_>,
        top: f64,
        bottom: f64,
    ) {
        let Some(incident) = timeline.primary() else {
            return;
        };
        let mut groups: Vec<(f64, Vec<Moment>)> = Vec::new();
        let mut marks: Vec<(f64, Moment)> = Moment::ALL
            .into_iter()
            .filter_map(|moment| Some((self.x(incident.moments.get(moment)?.at), moment)))
            .collect();
        marks.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        for (x, moment) in marks {
            let _ = writeln!(
                svg,
                "<line class=\"moment\" x1=\"{x}\" x2=\"{x}\" y1=\"{}\" y2=\"{}\"/>",
                n(top),
                n(bottom),
                x = n(x)
            );
            match groups.last_mut() {
                // A symbol takes about 24 units, a joined one 42.
                Some((start, joined))
                    if x - *start < if joined.len() > 1 { 46.0 } else { 26.0 } =>
                {
                    joined.push(moment);
                }
                _ => groups.push((x, vec![moment])),
            }
        }
        for (x, joined) in groups {
            let (first, last) = (joined[0], joined[joined.len() - 1]);
            let symbol = if first == last {
                first.symbol().to_owned()
            } else if joined.len() == 2 {
                format!("{},{}", first.symbol(), &last.symbol()[1..])
            } else {
                format!("{}–{}", first.symbol(), &last.symbol()[1..])
            };
            let _ = writeln!(
                svg,
                "<text class=\"tick moment-label\" x=\"{}\" y=\"{}\">{symbol}</text>",
                n(x),
                n(top - 4.0)
            );
        }
    }
}

/// `+5m00s` is `+5m` on an axis, `+1h00m00s` is `+1h`.
fn trim_zero_parts(text: &str) -> &str {
    let text = text.strip_suffix("00s").map_or(text, |rest| {
        if rest.ends_with(['m', 'h']) {
            rest
        } else {
            text
        }
    });
    text.strip_suffix("00m")
        .map_or(text, |rest| if rest.ends_with('h') { rest } else { text })
}

/// A coordinate with at most one decimal: short, and the same on every machine.
pub(super) fn n(coordinate: f64) -> String {
    let tenths = (coordinate * 10.0).round();
    if tenths % 10.0 == 0.0 {
        // Adding zero turns -0 into 0.
        format!("{}", tenths / 10.0 + 0.0)
    } else {
        format!("{:.1}", tenths / 10.0)
    }
}

/// The height that [`TimeAxis::draw_fault_strips`] takes.
pub(super) fn fault_strips_height(timeline: &Timeline<'_>) -> f64 {
    STRIP * timeline.fault_windows.len().min(STRIPS_MAX + 1) as f64
}

/// Opens a drawing of `height` units. `id` must be unique in the page.
pub(super) fn open(id: &str, title: &str, description: &str, height: f64) -> String {
    format!(
        "<svg class=\"drawing\" role=\"img\" aria-labelledby=\"{id}-t\" aria-describedby=\"{id}-d\" viewBox=\"0 0 {} {}\" xmlns=\"http://www.w3.org/2000/svg\">\n<title id=\"{id}-t\">{}</title>\n<desc id=\"{id}-d\">{}</desc>\n<g aria-hidden=\"true\">\n",
        n(WIDTH),
        n(height),
        text::xml(title),
        text::xml(description)
    )
}

/// Closes a drawing.
pub(super) fn close(svg: &mut String) {
    svg.push_str("</g>\n</svg>\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::record::{FaultRecord, ScenarioRecord};

    #[test]
    fn coordinates_are_short() {
        for (coordinate, expected) in [(0.0, "0"), (-0.04, "0"), (12.34, "12.3"), (99.96, "100")] {
            assert_eq!(n(coordinate), expected);
        }
    }

    #[test]
    fn ticks_are_round_times_from_zero() {
        let axis = TimeAxis {
            from: Timestamp::from_secs(1000),
            until: Timestamp::from_secs(4000),
            left: 0.0,
            right: 800.0,
        };
        let zero = Timestamp::from_secs(2800);
        let ticks: Vec<i64> = axis
            .ticks(zero)
            .into_iter()
            .map(|at| at.as_secs() - 2800)
            .collect();
        assert_eq!(
            ticks,
            [
                -1800, -1500, -1200, -900, -600, -300, 0, 300, 600, 900, 1200
            ]
        );
        let endless = TimeAxis {
            from: Timestamp::MIN,
            until: Timestamp::MAX,
            ..axis
        };
        assert!(endless.ticks(zero).len() < 50);
    }

    #[test]
    fn names_of_faults_stand_where_there_is_room() {
        let mut scenario = ScenarioRecord::new("f", "s", Timestamp::EPOCH);
        scenario.ended = Timestamp::from_secs(960);
        let spans = [(100, 110), (200, 800), (930, 960)];
        for (index, (from, until)) in spans.into_iter().cycle().take(10).enumerate() {
            scenario.faults.push(FaultRecord {
                name: format!("fault-{index}"),
                description: String::new(),
                injected: Timestamp::from_secs(from),
                cleared: Some(Timestamp::from_secs(until)),
                end: None,
                touched: 0,
                proven_gone: None,
            });
        }
        let timeline = Timeline::new(&scenario);
        let axis = TimeAxis::of(&timeline, 0.0, WIDTH);
        let mut svg = String::new();
        axis.draw_fault_strips(&mut svg, &timeline, 0.0);
        // The strips stand in the order of their beginnings: four short ones, three long ones, three at the end.
        for (class, x, anchor, name) in [
            ("fault-name", "116", "start", "fault-0"),
            ("bar-fault-text", "500", "middle", "fault-1"),
            ("fault-name", "924", "end", "fault-2"),
        ] {
            let text = format!("<text class=\"{class}\" x=\"{x}\"");
            let line = svg.lines().find(|line| line.contains(name));
            let line = line.expect("a strip for each of the first faults");
            assert!(
                line.contains(&text) && line.contains(&format!("text-anchor=\"{anchor}\"")),
                "{line}"
            );
        }
        assert!(svg.contains("and 2 more faults"), "{svg}");
        assert_eq!(fault_strips_height(&timeline), 9.0 * STRIP);
    }

    #[test]
    fn axis_labels_lose_empty_parts() {
        for (label, expected) in [
            ("+5m00s", "+5m"),
            ("+1h00m00s", "+1h"),
            ("-1h30m00s", "-1h30m"),
            ("+100s", "+100s"),
            ("+5m30s", "+5m30s"),
        ] {
            assert_eq!(trim_zero_parts(label), expected);
        }
    }
}

//! Severity progression: a lane for each fault and each alert, showing when it was in force, pending or firing.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use gameday_signal::{Labels, Timestamp};

use super::incidents::Incident;
use super::lines::Timeline;
use super::moments::Mark;
use super::svg::{self, TimeAxis, n};
use super::text;

/// The drawing has at most this many lanes of alerts.
const LANES_MAX: usize = 40;
/// A lane has at most this many bars.
const BARS_MAX: usize = 200;
/// A description that is longer than this in bytes gets no more sentences: nobody listens that long.
const DESCRIPTION_MAX: usize = 1600;
const LEFT: f64 = 292.0;
const RIGHT: f64 = svg::WIDTH - 34.0;
const TOP: f64 = 26.0;
const LANE: f64 = 34.0;
const BAR: f64 = 20.0;

/// The alerts of one label set, in the order of their first sight.
pub(super) struct Lane<'a> {
    pub(super) incidents: Vec<&'a Incident>,
    /// What tells its alerts from others of the same name; empty where there are none.
    distinction: String,
}

impl Lane<'_> {
    /// The alert's name and the value of its label `severity`.
    pub(super) fn name(&self) -> (&str, &str) {
        self.incidents.first().map_or(("", ""), |own| {
            (own.name(), own.labels.value_of("severity"))
        })
    }
}

/// The lanes of a scenario in the order of their first sight, a lane for each label set.
pub(super) fn lanes<'a>(timeline: &'a Timeline<'_>) -> Vec<Lane<'a>> {
    let mut lanes: Vec<Lane<'a>> = Vec::new();
    let mut places: BTreeMap<&Labels, usize> = BTreeMap::new();
    let seen = timeline
        .incidents
        .iter()
        .filter(|own| own.moments.pending.is_some());
    for incident in seen {
        let place = *places.entry(&incident.labels).or_insert_with(|| {
            lanes.push(Lane {
                incidents: Vec::new(),
                distinction: timeline.distinction(&incident.labels),
            });
            lanes.len() - 1
        });
        // Bars that flap faster than this are one to the eye.
        if lanes[place].incidents.len() < BARS_MAX {
            lanes[place].incidents.push(incident);
        }
    }
    lanes
}

/// Draws the lanes; none when there is nothing to show. `id` must be unique in the page.
pub(super) fn draw_lanes(timeline: &Timeline<'_>, id: &str) -> Option<String> {
    let mut lanes = lanes(timeline);
    lanes.truncate(LANES_MAX);
    let faults = timeline.fault_windows.len().min(LANES_MAX);
    if lanes.is_empty() {
        return None;
    }
    let bottom = TOP + LANE * (lanes.len() + faults) as f64;
    let time = TimeAxis::of(timeline, LEFT, RIGHT);
    let mut svg = svg::open(
        id,
        "Severity progression",
        &describe(timeline, &lanes),
        bottom + 42.0,
    );
    let _ = writeln!(
        svg,
        "<defs><pattern id=\"{id}-hatch\" width=\"7\" height=\"7\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\"><line class=\"hatch\" x1=\"0\" x2=\"0\" y1=\"0\" y2=\"7\"/></pattern></defs>"
    );
    time.shade_faults(&mut svg, timeline, TOP, bottom);
    time.draw(&mut svg, bottom, timeline.zero);
    time.draw_moments(&mut svg, timeline, TOP, bottom);
    for (index, window) in timeline.fault_windows.iter().take(faults).enumerate() {
        let y = TOP + LANE * index as f64;
        label(&mut svg, y, &window.name, "", "fault");
        bar(
            &mut svg,
            (time.x(window.from), time.x(window.until)),
            y,
            "bar-fault",
            "in force",
        );
    }
    for (index, lane) in lanes.iter().enumerate() {
        let y = TOP + LANE * (index + faults) as f64;
        let (name, severity) = lane.name();
        label(&mut svg, y, name, &lane.distinction, severity);
        for incident in &lane.incidents {
            draw_incident(&mut svg, timeline, &time, y, incident, id);
        }
    }
    svg::close(&mut svg);
    Some(svg)
}

/// The name of a lane, below it what tells the lane from others of its name, and on its right a detail.
fn label(svg: &mut String, y: f64, name: &str, distinction: &str, detail: &str) {
    let name_y = if distinction.is_empty() { 22.0 } else { 16.0 };
    let _ = writeln!(
        svg,
        "<line class=\"grid\" x1=\"0\" x2=\"{}\" y1=\"{}\" y2=\"{}\"/><text class=\"lane\" x=\"0\" y=\"{}\">{}</text><text class=\"lane soft\" x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
        n(RIGHT),
        n(y),
        n(y),
        n(y + name_y),
        text::xml(&text::clip(&text::visible(name), 27)),
        n(LEFT - 12.0),
        n(y + name_y),
        text::xml(&text::clip(&text::visible(detail), 10))
    );
    if !distinction.is_empty() {
        let _ = writeln!(
            svg,
            "<text class=\"soft\" x=\"0\" y=\"{}\">{}</text>",
            n(y + 29.0),
            text::xml(&text::clip(&text::visible(distinction), 40))
        );
    }
}

fn bar(svg: &mut String, (x0, x1): (f64, f64), y: f64, class: &str, word: &str) {
    let width = (x1 - x0).max(2.0);
    let _ = writeln!(
        svg,
        "<rect class=\"{class}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>",
        n(x0),
        n(y + (LANE - BAR) / 2.0),
        n(width),
        n(BAR)
    );
    // A letter of the label takes about seven units.
    if width > 7.0 * word.len() as f64 + 8.0 {
        let _ = writeln!(
            svg,
            "<text class=\"{class}-text\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">{word}</text>",
            n(x0 + width / 2.0),
            n(y + 22.0)
        );
    }
}

fn draw_incident(
    svg: &mut String,
    timeline: &Timeline<'_>,
    time: &TimeAxis,
    y: f64,
    incident: &Incident,
    id: &str,
) {
    let moments = &incident.moments;
    let x = |mark: Option<Mark>| mark.map(|mark| time.x(mark.at));
    let over = x(moments.resolved)
        .or(x(incident.dropped))
        .unwrap_or_else(|| time.x(timeline.scenario.ended));
    let firing = x(moments.firing);
    if let Some(pending) = x(moments.pending) {
        let until = firing.unwrap_or(over);
        if until > pending || firing.is_none() {
            let _ = writeln!(
                svg,
                "<rect fill=\"url(#{id}-hatch)\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>",
                n(pending),
                n(y + (LANE - BAR) / 2.0),
                n((until - pending).max(2.0)),
                n(BAR)
            );
            bar(svg, (pending, until), y, "bar-pending", "pending");
        }
    }
    if let Some(firing) = firing {
        bar(svg, (firing, over), y, "bar-firing", "firing");
    }
    let muted = incident.muted.as_ref().map(|muted| muted.mark);
    for (mark, sign) in [
        (muted, "M"),
        (moments.notified, "N"),
        (moments.resolved_notified, "R"),
    ] {
        if let Some(x) = x(mark) {
            let _ = writeln!(
                svg,
                "<circle class=\"sent\" cx=\"{x}\" cy=\"{}\" r=\"8\"/><text class=\"sent-text\" x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{sign}</text>",
                n(y + LANE / 2.0),
                n(y + LANE / 2.0 + 4.0),
                x = n(x)
            );
        }
    }
}

/// The lanes in words, the faults first.
fn describe(timeline: &Timeline<'_>, lanes: &[Lane<'_>]) -> String {
    let mut words = String::new();
    for window in timeline.fault_windows.iter().take(LANES_MAX) {
        let _ = write!(words, "{} ", window.sentence(timeline));
    }
    let told = || {
        lanes
            .iter()
            .flat_map(|lane| lane.incidents.iter().map(move |own| (lane, own)))
    };
    for (index, (lane, incident)) in told().enumerate() {
        if words.len() > DESCRIPTION_MAX {
            let left = told().count() - index;
            let _ = write!(words, "The section on alerts tells of {left} more.");
            break;
        }
        let (name, severity) = lane.name();
        let parts = [name, &lane.distinction, severity]
            .into_iter()
            .filter(|part| !part.is_empty());
        let name = parts.collect::<Vec<_>>().join(", ");
        let _ = write!(words, "{}:", text::clip(&text::visible(&name), 120));
        let moments = &incident.moments;
        let mut comma = "";
        let mut say = |word: &str, mark: Option<Mark>| {
            if let Some(mark) = mark {
                let at: Timestamp = mark.at;
                let _ = write!(words, "{comma} {word} at {}", timeline.since_heard(at));
                comma = ",";
            }
        };
        say("pending", moments.pending);
        say("firing", moments.firing);
        say("muted", incident.muted.as_ref().map(|muted| muted.mark));
        say("notified", moments.notified);
        say("no longer seen", incident.dropped);
        say("resolved", moments.resolved);
        say("told that it is resolved", moments.resolved_notified);
        words.push_str(". ");
    }
    words.trim_end().to_owned()
}

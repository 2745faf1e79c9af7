//! The time to page as a bar: what was observed above, what was needed at least below.

use std::fmt::Write as _;
use std::time::Duration;

use super::incidents::Incident;
use super::moments::Moment;
use super::stages::Stage;
use super::svg::{self, n};
use super::text;

const LEFT: f64 = 92.0;
const RIGHT: f64 = svg::WIDTH - 16.0;
const BAR: f64 = 26.0;
const OBSERVED_Y: f64 = 24.0;
const THEORY_Y: f64 = 64.0;
const HEIGHT: f64 = 116.0;

/// Draws the stages; none where nothing was observed. `id` must be unique in the page.
pub(super) fn draw_stages(incident: &Incident, id: &str) -> Option<String> {
    let observed = total(&incident.stages, |stage| stage.observed);
    let theory = total(&incident.stages, |stage| stage.minimum);
    let longest = observed.max(theory);
    if observed.is_zero() {
        return None;
    }
    let mut words = format!("Observed {}: ", text::duration(observed));
    for stage in &incident.stages {
        if let Some(time) = stage.observed {
            let _ = write!(words, "{} {}, ", stage.kind.as_str(), text::duration(time));
        }
    }
    let _ = write!(words, "at least {} by arithmetic.", text::duration(theory));
    let mut svg = svg::open(id, "Time to page by stage", &words, HEIGHT);
    let scale = (RIGHT - LEFT) / longest.as_secs_f64().max(1e-9);
    row(
        &mut svg,
        "observed",
        OBSERVED_Y,
        scale,
        &incident.stages,
        |stage| stage.observed,
    );
    row(
        &mut svg,
        "at least",
        THEORY_Y,
        scale,
        &incident.stages,
        |stage| stage.minimum,
    );
    let _ = writeln!(
        svg,
        "<text class=\"tick\" x=\"{}\" y=\"{}\">t1</text><text class=\"tick\" x=\"{}\" y=\"{}\" text-anchor=\"end\">{} +{}</text>",
        n(LEFT),
        n(HEIGHT - 6.0),
        // A short bar leaves no room before its end.
        n((LEFT + observed.as_secs_f64() * scale).max(LEFT + 110.0)),
        n(HEIGHT - 6.0),
        last_reached(incident),
        text::duration(observed)
    );
    svg::close(&mut svg);
    Some(svg)
}

/// The last moment on the way to the page that was reached.
fn last_reached(incident: &Incident) -> &'static str {
    [Moment::T5, Moment::T4, Moment::T3]
        .into_iter()
        .find(|moment| incident.moments.get(*moment).is_some())
        .map_or("t1", Moment::symbol)
}

fn total(stages: &[Stage], time: impl Fn(&Stage) -> Option<Duration>) -> Duration {
    stages.iter().filter_map(time).sum()
}

fn row(
    svg: &mut String,
    name: &str,
    y: f64,
    scale: f64,
    stages: &[Stage],
    time: impl Fn(&Stage) -> Option<Duration>,
) {
    let _ = writeln!(
        svg,
        "<text class=\"lane\" x=\"0\" y=\"{}\">{name}</text>",
        n(y + 18.0)
    );
    let mut x = LEFT;
    for (index, stage) in stages.iter().enumerate() {
        let Some(time) = time(stage) else { continue };
        let width = time.as_secs_f64() * scale;
        if width < 0.05 {
            continue;
        }
        let _ = writeln!(
            svg,
            "<rect class=\"stage g{index}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>",
            n(x),
            n(y),
            n(width),
            n(BAR)
        );
        let label = stage.kind.as_str();
        // A letter of the label takes about seven units.
        if width > 7.0 * label.len() as f64 + 6.0 {
            let _ = writeln!(
                svg,
                "<text class=\"stage-text\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">{label}</text>",
                n(x + width / 2.0),
                n(y + 17.0)
            );
        }
        x += width;
    }
}

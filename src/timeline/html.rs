//! The report as one HTML file: readable without a network, in print, and with a screen reader.
//!
//! The template stands in `reports/report.html`; this file gives it plain values. minijinja escapes every one of them; only the
//! drawings, which escape for themselves, go in as they are.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value};
use serde::Serialize;

use super::console::compress_note;
use super::html_parts::{
    ChartView, DrillDownView, IncidentView, LoadView, MessageView, PassingView, faults, slos,
};
use super::incidents::Incident;
use super::lanes::draw_lanes;
use super::lines::{Line, Timeline, focus_note};
use super::record::{ClockKind, Outcome, RunRecord, StepRecord, StepStatus, Verdict};
use super::text;

/// A list of the report has at most this many entries; what is left out stands in the JSON report.
pub(super) const ENTRIES_MAX: usize = 2000;
const MESSAGES_MAX: usize = 100;
/// Incidents of one scenario that a report tells in full.
pub(super) const INCIDENTS_MAX: usize = 60;

/// The run as one HTML file.
pub fn render_html(record: &RunRecord) -> String {
    render("report.html", &Value::from(Serde(ReportView::new(record))))
}

/// Renders a template of `reports/`.
pub(super) fn render(template: &str, view: &Value) -> String {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .build()
        .expect("invariant: the delimiters are the default ones");
    environment.set_syntax(syntax);
    for (name, source) in [
        ("style.css", include_str!("../../reports/style.css")),
        ("report.html", include_str!("../../reports/report.html")),
        ("overview.html", include_str!("../../reports/overview.html")),
    ] {
        environment
            .add_template(name, source)
            .expect("invariant: the templates of this crate parse, as its tests show");
    }
    environment
        .get_template(template)
        .and_then(|template| template.render(view))
        .expect("invariant: the templates of this crate use only what their views hold, as its tests show")
}

/// What a drawing is to the template: markup that has been escaped already.
pub(super) fn drawing(svg: String) -> Value {
    Value::from_safe_string(svg)
}

#[derive(Serialize)]
struct ReportView {
    name: String,
    title: String,
    description: String,
    verdict: VerdictView,
    facts: Vec<(String, String)>,
    notes: Vec<String>,
    scenarios: Vec<ScenarioView>,
    version: String,
    repeatable: bool,
}

/// A verdict, its reasons, and the class and sign it is shown with.
#[derive(Serialize)]
pub(super) struct VerdictView {
    outcome: &'static str,
    sign: &'static str,
    reasons: Vec<String>,
}

impl VerdictView {
    pub(super) fn new(verdict: &Verdict) -> Self {
        Self {
            outcome: verdict.outcome.as_str(),
            sign: match verdict.outcome {
                Outcome::Held => "✓",
                Outcome::Inconclusive => "?",
                Outcome::Aborted => "■",
                Outcome::Failed | Outcome::Error => "✗",
            },
            reasons: shown(&verdict.reasons),
        }
    }
}

/// Texts made harmless.
pub(super) fn shown(texts: &[String]) -> Vec<String> {
    texts.iter().map(|text| text::visible(text)).collect()
}

impl ReportView {
    fn new(record: &RunRecord) -> Self {
        let clock = match record.speed {
            Some(speed) => format!("{} at {}x", record.clock.as_str(), text::number(speed)),
            None => record.clock.as_str().to_owned(),
        };
        let began = format!(
            "{} {} UTC",
            text::day(record.epoch),
            text::clock(record.epoch)
        );
        let facts = [
            ("Game day", record.name.clone()),
            ("Clock", clock),
            ("Seed", record.seed.to_string()),
            ("Began", began),
            ("Played", text::duration(record.played())),
            ("gameday", record.gameday_version.clone()),
        ];
        Self {
            name: text::visible(&record.name),
            title: text::visible(&record.title),
            description: text::visible(&record.description),
            verdict: VerdictView::new(&record.verdict),
            facts: facts
                .into_iter()
                .map(|(name, value)| (name.to_owned(), text::visible(&value)))
                .collect(),
            notes: record.compress.map(compress_note).into_iter().collect(),
            scenarios: record
                .scenarios
                .iter()
                .enumerate()
                .map(|(index, scenario)| ScenarioView::new(&Timeline::new(scenario), index + 1))
                .collect(),
            version: text::visible(&record.gameday_version),
            repeatable: record.clock == ClockKind::Virtual,
        }
    }
}

#[derive(Serialize)]
struct ScenarioView {
    id: String,
    name: String,
    feature: String,
    place: String,
    verdict: VerdictView,
    zero_name: &'static str,
    focus_note: Option<String>,
    figures: Vec<FigureView>,
    unexpected: Vec<String>,
    steps: Vec<StepView>,
    incidents: Vec<IncidentView>,
    passing: Vec<PassingView>,
    incidents_left: usize,
    lines: Vec<LineView>,
    lines_left: usize,
    lanes: Option<Value>,
    muted: bool,
    messages: Vec<MessageView>,
    messages_left: usize,
    charts: Vec<ChartView>,
    drill_downs: Vec<DrillDownView>,
    faults: Vec<Vec<String>>,
    slos: Vec<Vec<String>>,
    load: Option<LoadView>,
}

/// A number that one looks for first.
#[derive(Serialize)]
struct FigureView {
    name: String,
    definition: String,
    value: String,
    reached: bool,
}

impl ScenarioView {
    fn new(timeline: &Timeline<'_>, number: usize) -> Self {
        let scenario = timeline.scenario;
        let id = format!("s{number}");
        let messages: Vec<MessageView> = timeline
            .lines
            .iter()
            .filter_map(|line| MessageView::new(line.event, timeline))
            .collect();
        let shown_incidents = || {
            let sorted = timeline.expected_first();
            sorted.into_iter().take(INCIDENTS_MAX)
        };
        Self {
            name: text::visible(&scenario.name),
            feature: text::visible(&scenario.feature),
            place: text::visible(&scenario.place.to_string()),
            verdict: VerdictView::new(&scenario.verdict),
            zero_name: timeline.zero_name(),
            focus_note: focus_note(timeline),
            figures: timeline.primary().map_or_else(Vec::new, figures),
            unexpected: timeline
                .unexpected()
                .take(INCIDENTS_MAX)
                .map(|own| text::visible(&text::alert(&own.labels)))
                .collect(),
            steps: scenario
                .steps
                .iter()
                .map(|step| StepView::new(step, timeline, &id))
                .collect(),
            passing: shown_incidents()
                .filter(|own| own.minor())
                .map(|own| PassingView::new(own, timeline))
                .collect(),
            incidents: shown_incidents()
                .filter(|own| !own.minor())
                .enumerate()
                .map(|(index, own)| IncidentView::new(own, timeline, format!("{id}-i{index}")))
                .collect(),
            incidents_left: timeline.incidents.len().saturating_sub(INCIDENTS_MAX),
            lines: lines(timeline, &id),
            lines_left: timeline.lines.len().saturating_sub(ENTRIES_MAX),
            lanes: draw_lanes(timeline, &format!("{id}-lanes")).map(drawing),
            muted: timeline.incidents.iter().any(|own| own.muted.is_some()),
            messages_left: messages.len().saturating_sub(MESSAGES_MAX),
            messages: messages.into_iter().take(MESSAGES_MAX).collect(),
            charts: scenario
                .charts
                .iter()
                .enumerate()
                .map(|(index, chart)| ChartView::new(chart, timeline, &format!("{id}-c{index}")))
                .collect(),
            drill_downs: scenario
                .drill_downs
                .iter()
                .map(|own| DrillDownView::new(own, timeline))
                .collect(),
            faults: faults(timeline),
            slos: slos(timeline),
            load: scenario.load.as_ref().map(LoadView::new),
            id,
        }
    }
}

fn figures(incident: &Incident) -> Vec<FigureView> {
    // Without an objective nothing tells when users were served well again.
    let has_objective = incident.slo.is_some();
    let missing = |name: &str| match name {
        "time to restore" | "reset" if !has_objective => "no objective",
        _ => "not reached",
    };
    let mut figures: Vec<FigureView> = incident
        .measures
        .times_ms()
        .into_iter()
        .map(|(name, definition, ms)| FigureView {
            name: name.to_owned(),
            definition: definition.replace('-', "−"),
            value: ms.map_or_else(|| missing(name).to_owned(), text::rounded_ms),
            reached: ms.is_some(),
        })
        .collect();
    let burnt = incident.measures.budget_burnt_ratio;
    figures.push(FigureView {
        name: "error budget burnt".to_owned(),
        definition: "t1 to t9".to_owned(),
        value: burnt.map_or_else(
            || {
                if has_objective {
                    "not known"
                } else {
                    "no objective"
                }
                .to_owned()
            },
            |burnt| text::with_unit(burnt, "ratio"),
        ),
        reached: burnt.is_some(),
    });
    figures
}

#[derive(Serialize)]
struct LineView {
    id: String,
    since: String,
    clock: String,
    moments: String,
    tone: &'static str,
    sign: &'static str,
    kind: &'static str,
    text: String,
}

fn lines(timeline: &Timeline<'_>, id: &str) -> Vec<LineView> {
    timeline
        .lines
        .iter()
        .take(ENTRIES_MAX)
        .map(|line| LineView::new(line, timeline, id))
        .collect()
}

impl LineView {
    fn new(line: &Line<'_>, timeline: &Timeline<'_>, id: &str) -> Self {
        let moments: Vec<&str> = line.moments.iter().map(|moment| moment.symbol()).collect();
        Self {
            id: format!("{id}-e{}", line.event.seq),
            since: timeline.since(line.event.at),
            clock: text::clock(line.event.at),
            moments: moments.join(" "),
            tone: line.tone.as_str(),
            sign: line.tone.sign(),
            kind: line.kind,
            text: text::visible(&line.text),
        }
    }
}

#[derive(Serialize)]
struct StepView {
    keyword: String,
    text: String,
    table: Vec<Vec<String>>,
    place: String,
    status: &'static str,
    sign: &'static str,
    observed: String,
    failure: Option<FailureView>,
}

#[derive(Serialize)]
struct FailureView {
    expected: Vec<String>,
    observed: Vec<String>,
    query: Vec<String>,
    nearest: Vec<LineView>,
    link: String,
    link_href: String,
}

impl StepView {
    fn new(step: &StepRecord, timeline: &Timeline<'_>, id: &str) -> Self {
        let failure = step.failure.as_ref().map(|failure| {
            let link = failure.link.as_deref().unwrap_or_default();
            FailureView {
                expected: text::visible_lines(&failure.expected),
                observed: text::visible_lines(&failure.observed),
                query: text::visible_lines(&failure.query),
                nearest: failure
                    .nearest
                    .iter()
                    .filter_map(|seq| timeline.line(*seq))
                    .map(|line| LineView::new(line, timeline, id))
                    .collect(),
                link: text::visible(link),
                link_href: text::safe_link(link).unwrap_or_default().to_owned(),
            }
        });
        Self {
            keyword: text::visible(&step.keyword),
            text: text::visible(&step.text),
            table: step.table.iter().map(|row| shown(row)).collect(),
            place: text::visible(&step.place.to_string()),
            status: step.status.as_str(),
            sign: match step.status {
                StepStatus::Passed => "✓",
                StepStatus::Failed => "✗",
                StepStatus::Inconclusive => "?",
                StepStatus::Skipped => "–",
            },
            observed: text::visible(&step.observed),
            failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::timeline::chart;
    use crate::timeline::lines::Tone;

    #[test]
    fn every_tone_and_outcome_has_its_style() {
        let css = include_str!("../../reports/style.css");
        for tone in [
            Tone::Plain,
            Tone::Fault,
            Tone::Good,
            Tone::Warning,
            Tone::Bad,
        ] {
            assert!(css.contains(&format!(".tone-{}", tone.as_str())));
        }
        for outcome in ["held", "inconclusive", "aborted", "failed", "error"] {
            assert!(css.contains(&format!(".outcome-{outcome}")));
        }
        for series in 0..chart::SERIES_MAX {
            assert!(css.contains(&format!(".s{series} ")));
        }
    }
}

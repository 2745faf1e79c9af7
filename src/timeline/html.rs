//! The report as one HTML file: readable without a network, in print, and with a screen reader.
//!
//! The template stands in `reports/report.html`; this file gives it plain values. minijinja escapes every one of them; only the
//! drawings, which escape for themselves, go in as they are.

use std::fmt::Write as _;
use std::time::Duration;

use gameday_signal::{EventKind, Timestamp};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value};
use serde::Serialize;

use super::chart::{self, draw_chart};
use super::console::compress_note;
use super::drill_down::DrillDown;
use super::lanes::draw_lanes;
use super::lines::{
    Line, Timeline, fault_end, focus_note, moment_time, reached_ms, stage_time, theoretical,
};
use super::markdown::quantile_name;
use super::message::{Message, Part, Run, RunLine, message};
use super::moments::{Incident, Moment};
use super::record::{Chart, ClockKind, Expectation, RunRecord, StepRecord, Verdict};
use super::svg::n;
use super::text;

/// A list of the report has at most this many entries; what is left out stands in the JSON report.
const ENTRIES_MAX: usize = 2000;
const MESSAGES_MAX: usize = 100;
const SPANS_MAX: usize = 500;

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
fn drawing(svg: String) -> Value {
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
        use super::record::Outcome;
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

fn shown(texts: &[String]) -> Vec<String> {
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
                .map(|own| text::visible(&text::alert(&own.labels)))
                .collect(),
            steps: scenario
                .steps
                .iter()
                .map(|step| StepView::new(step, timeline, &id))
                .collect(),
            incidents: expected_first(&timeline.incidents)
                .into_iter()
                .enumerate()
                .map(|(index, own)| IncidentView::new(own, timeline, format!("{id}-i{index}")))
                .collect(),
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

/// The incidents that a reader looks for come first; their order is kept otherwise.
fn expected_first(incidents: &[Incident]) -> Vec<&Incident> {
    let mut sorted: Vec<&Incident> = incidents.iter().collect();
    sorted.sort_by_key(|own| {
        let rank = match own.expectation {
            Expectation::Expected => 0,
            Expectation::Unexpected => 1,
            Expectation::Allowed => 2,
        };
        (rank, !own.fired())
    });
    sorted
}

fn figures(incident: &Incident) -> Vec<FigureView> {
    let mut figures: Vec<FigureView> = incident
        .measures
        .times_ms()
        .into_iter()
        .map(|(name, definition, ms)| FigureView {
            name: name.to_owned(),
            definition: definition.replace('-', "−"),
            value: ms.map_or_else(|| "not reached".to_owned(), text::rounded_ms),
            reached: ms.is_some(),
        })
        .collect();
    let burnt = incident.measures.budget_burnt_ratio;
    figures.push(FigureView {
        name: "error budget burnt".to_owned(),
        definition: "t1 to t9".to_owned(),
        value: burnt.map_or_else(
            || "not known".to_owned(),
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
        use super::record::StepStatus;
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

#[derive(Serialize)]
struct IncidentView {
    id: String,
    name: String,
    labels: String,
    expectation: &'static str,
    /// Whether nobody need look at it: it was allowed and never fired.
    minor: bool,
    muted: String,
    value: String,
    annotations: Vec<AnnotationView>,
    moments: Vec<MomentView>,
    measures: Vec<(&'static str, String, String)>,
    stages: Vec<StageView>,
    stage_bar: Option<Value>,
}

#[derive(Serialize)]
struct AnnotationView {
    name: String,
    value: Vec<String>,
    href: String,
}

#[derive(Serialize)]
struct MomentView {
    symbol: &'static str,
    name: &'static str,
    since: String,
    clock: String,
    earliest: String,
    late: String,
    reached: bool,
}

#[derive(Serialize)]
struct StageView {
    name: &'static str,
    setting: String,
    minimum: String,
    maximum: String,
    observed: String,
}

impl IncidentView {
    fn new(incident: &Incident, timeline: &Timeline<'_>, id: String) -> Self {
        let moments = Moment::ALL.into_iter().map(|moment| {
            let mark = incident.moments.get(moment);
            let (earliest, late) = theoretical(incident, moment, timeline).unwrap_or_default();
            MomentView {
                symbol: moment.symbol(),
                name: moment.name(),
                since: text::visible(&moment_time(incident, moment, timeline)),
                clock: mark.map_or_else(String::new, |mark| text::clock(mark.at)),
                earliest,
                late: late.unwrap_or_default(),
                reached: mark.is_some(),
            }
        });
        let annotations = incident
            .annotations
            .iter()
            .map(|(name, value)| AnnotationView {
                name: text::visible(name),
                value: text::visible_lines(value),
                href: if name.ends_with("_url") {
                    text::safe_link(value).unwrap_or_default().to_owned()
                } else {
                    String::new()
                },
            });
        Self {
            name: text::visible(incident.name()),
            labels: text::visible(&text::labels(&incident.labels)),
            expectation: incident.expectation.as_str(),
            minor: incident.expectation != Expectation::Expected && !incident.fired(),
            muted: incident.muted.as_ref().map_or_else(String::new, |muted| {
                let at = timeline.since(muted.mark.at);
                format!("{} at {at}", text::visible(&muted.reason))
            }),
            value: incident.value.map_or_else(String::new, text::number),
            annotations: annotations.collect(),
            moments: moments.collect(),
            measures: incident
                .measures
                .times_ms()
                .into_iter()
                .map(|(name, definition, ms)| (name, definition.replace('-', "−"), reached_ms(ms)))
                .collect(),
            stages: incident
                .stages
                .iter()
                .map(|stage| StageView {
                    name: stage.kind.as_str(),
                    setting: stage.setting.clone(),
                    minimum: stage_time(stage.minimum),
                    maximum: stage_time(stage.maximum),
                    observed: stage_time(stage.observed),
                })
                .collect(),
            stage_bar: super::stage_bar::draw_stages(incident, &format!("{id}-stages"))
                .map(drawing),
            id,
        }
    }
}

#[derive(Serialize)]
struct MessageView {
    since: String,
    clock: String,
    receiver: String,
    integration: String,
    status: String,
    firing: bool,
    message: Message,
}

impl MessageView {
    fn new(event: &gameday_signal::Event, timeline: &Timeline<'_>) -> Option<Self> {
        let EventKind::Notified {
            receiver,
            integration,
            status,
            ..
        } = &event.kind
        else {
            return None;
        };
        Some(Self {
            since: timeline.since(event.at),
            clock: text::clock(event.at),
            receiver: text::visible(receiver),
            integration: text::visible(integration),
            status: text::visible(status),
            firing: status == "firing",
            message: harmless(message(event)?),
        })
    }
}

/// The message with everything that misleads written out.
fn harmless(message: Message) -> Message {
    let line = |line: RunLine| -> RunLine {
        line.into_iter()
            .map(|run| Run {
                text: text::visible(&run.text),
                ..run
            })
            .collect()
    };
    let lines = |own: Vec<RunLine>| -> Vec<RunLine> { own.into_iter().map(line).collect() };
    let part = |part: Part| Part {
        before: lines(part.before),
        title: text::visible(&part.title),
        lines: lines(part.lines),
        fields: part
            .fields
            .into_iter()
            .map(|(name, value)| (text::visible(&name), lines(value)))
            .collect(),
        buttons: part
            .buttons
            .into_iter()
            .map(|(words, href)| (text::visible(&words), href))
            .collect(),
        footer: text::visible(&part.footer),
        ..part
    };
    Message {
        to: text::visible(&message.to),
        from: text::visible(&message.from),
        parts: message.parts.into_iter().map(part).collect(),
        raw: message.raw,
    }
}

#[derive(Serialize)]
struct ChartView {
    title: String,
    query: Vec<String>,
    drawing: Value,
    series: Vec<String>,
    series_left: usize,
    thresholds: Vec<String>,
    rows: Vec<(String, String, Vec<String>)>,
}

impl ChartView {
    fn new(chart: &Chart, timeline: &Timeline<'_>, id: &str) -> Self {
        Self {
            title: text::visible(&chart.title),
            query: text::visible_lines(&chart.query),
            drawing: drawing(draw_chart(chart, timeline, id)),
            series: chart
                .series
                .iter()
                .take(chart::SERIES_MAX)
                .map(|series| text::clip(&text::visible(&series.name), 120))
                .collect(),
            series_left: chart.series.len().saturating_sub(chart::SERIES_MAX),
            thresholds: chart
                .thresholds
                .iter()
                .map(|threshold| chart::threshold_name(threshold, &chart.unit))
                .collect(),
            rows: chart::table(chart, timeline)
                .into_iter()
                .map(|(at, cells)| (timeline.since(at), text::clock(at), cells))
                .collect(),
        }
    }
}

#[derive(Serialize)]
struct DrillDownView {
    title: String,
    query: Vec<String>,
    reasoning: Vec<String>,
    trace_id: String,
    logs: Vec<LogView>,
    logs_left: usize,
    spans: Vec<SpanView>,
    spans_left: usize,
    total: String,
}

#[derive(Serialize)]
struct LogView {
    since: String,
    clock: String,
    service: String,
    severity: String,
    line: String,
    leads: bool,
}

#[derive(Serialize)]
struct SpanView {
    service: String,
    name: String,
    depth: usize,
    start: String,
    duration: String,
    self_time: String,
    error: bool,
    widest: bool,
    bar_x: String,
    bar_width: String,
    attributes: Vec<(String, String)>,
}

impl DrillDownView {
    fn new(own: &DrillDown, timeline: &Timeline<'_>) -> Self {
        let end = |span: &super::drill_down::SpanRow| span.start_offset + span.duration;
        let total = own.spans.iter().map(end).max().unwrap_or(Duration::ZERO);
        let total_secs = total.as_secs_f64().max(1e-9);
        let longest = own.spans.iter().map(|span| span.self_time).max();
        let percent = |duration: Duration| duration.as_secs_f64() / total_secs * 100.0;
        let spans = own.spans.iter().take(SPANS_MAX).map(|span| SpanView {
            service: text::visible(&span.service),
            name: text::visible(&span.name),
            depth: span.depth.min(24),
            start: format!("+{}", text::duration(span.start_offset)),
            duration: text::duration(span.duration),
            self_time: text::duration(span.self_time),
            error: span.error,
            widest: Some(span.self_time) == longest && !span.self_time.is_zero(),
            bar_x: n(percent(span.start_offset)),
            bar_width: n(percent(span.duration).max(0.4)),
            attributes: span
                .attributes
                .iter()
                .map(|(name, value)| (text::visible(name), text::visible(value)))
                .collect(),
        });
        let logs = own.log_lines.iter().take(ENTRIES_MAX).map(|log| LogView {
            since: timeline.since(log.at),
            clock: text::clock(log.at),
            service: text::visible(&log.service),
            severity: text::visible(&log.severity),
            line: text::visible(&log.line),
            leads: !log.trace_id.is_empty() && log.trace_id == own.trace_id,
        });
        Self {
            title: text::visible(&own.title),
            query: text::visible_lines(&own.query),
            reasoning: shown(&own.reasoning),
            trace_id: text::visible(&own.trace_id),
            logs: logs.collect(),
            logs_left: own.log_lines.len().saturating_sub(ENTRIES_MAX),
            spans: spans.collect(),
            spans_left: own.spans.len().saturating_sub(SPANS_MAX),
            total: text::duration(total),
        }
    }
}

fn faults(timeline: &Timeline<'_>) -> Vec<Vec<String>> {
    let when = |at: Option<Timestamp>| {
        at.map_or_else(|| "still in force".to_owned(), |at| timeline.since(at))
    };
    timeline
        .scenario
        .faults
        .iter()
        .map(|fault| {
            let mut ended = when(fault.cleared);
            if let Some(end) = fault.end {
                let _ = write!(ended, " ({})", fault_end(end));
            }
            vec![
                text::visible(&fault.name),
                text::visible(&fault.description),
                timeline.since(fault.injected),
                ended,
                text::thousands(fault.touched),
                fault
                    .proven_gone
                    .as_deref()
                    .map_or_else(|| "not proven".to_owned(), text::visible),
            ]
        })
        .collect()
}

fn slos(timeline: &Timeline<'_>) -> Vec<Vec<String>> {
    let number = |value: Option<f64>, unit: &str| {
        value.map_or_else(
            || "not known".to_owned(),
            |value| text::with_unit(value, unit),
        )
    };
    timeline
        .scenario
        .slos
        .iter()
        .map(|slo| {
            vec![
                text::visible(&slo.name),
                text::with_unit(slo.objective, "ratio"),
                gameday_signal::format_duration(slo.window),
                text::thousands(slo.bad_events),
                text::thousands(slo.total_events),
                number(slo.budget_burnt_ratio, "ratio"),
                number(slo.burn_rate_max, ""),
            ]
        })
        .collect()
}

#[derive(Serialize)]
struct LoadView {
    sent: String,
    answered: String,
    failed: String,
    latencies: Vec<(String, String)>,
    endpoints: Vec<Vec<String>>,
}

impl LoadView {
    fn new(load: &super::record::LoadSummary) -> Self {
        Self {
            sent: text::thousands(load.sent),
            answered: text::thousands(load.answered),
            failed: text::thousands(load.failed),
            latencies: load
                .latencies
                .iter()
                .map(|own| (quantile_name(own.quantile), text::duration(own.latency)))
                .collect(),
            endpoints: load
                .endpoints
                .iter()
                .map(|own| {
                    vec![
                        text::visible(&own.endpoint),
                        text::thousands(own.sent),
                        text::thousands(own.failed),
                        text::duration(own.latency_p95),
                    ]
                })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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

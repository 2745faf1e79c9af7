//! The parts of a scenario's HTML report: alerts, notifications, charts, drill-downs, tables.

use std::time::Duration;

use gameday_signal::{Event, EventKind};
use minijinja::Value;
use serde::Serialize;

use super::chart::{self, draw_chart};
use super::drill_down::{DrillDown, SpanRow};
use super::fault_windows::FaultWindow;
use super::html::{ENTRIES_MAX, drawing, shown};
use super::incidents::Incident;
use super::lines::{Timeline, moment_time, passing_times, reached_ms, stage_time, theoretical};
use super::markdown::quantile_name;
use super::message::{Message, Part, Run, RunLine, message};
use super::moments::Moment;
use super::record::{Chart, LoadSummary};
use super::svg::n;
use super::text;

const SPANS_MAX: usize = 500;

#[derive(Serialize)]
pub(super) struct IncidentView {
    id: String,
    name: String,
    labels: String,
    expectation: &'static str,
    muted: String,
    value: String,
    annotations: Vec<AnnotationView>,
    moments: Vec<MomentView>,
    measures: Vec<(&'static str, String, String)>,
    stages: Vec<StageView>,
    stage_bar: Option<Value>,
}

#[derive(Serialize)]
pub(super) struct AnnotationView {
    name: String,
    value: Vec<String>,
    href: String,
}

#[derive(Serialize)]
pub(super) struct MomentView {
    symbol: &'static str,
    name: &'static str,
    since: String,
    clock: String,
    earliest: String,
    late: String,
    reached: bool,
}

#[derive(Serialize)]
pub(super) struct StageView {
    name: &'static str,
    setting: String,
    minimum: String,
    maximum: String,
    observed: String,
}

impl IncidentView {
    pub(super) fn new(incident: &Incident, timeline: &Timeline<'_>, id: String) -> Self {
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
            name: text::visible(&incident_name(incident, timeline)),
            labels: text::visible(&text::labels(&incident.labels)),
            expectation: incident.expectation.as_str(),
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

/// The alert's name with what tells the incident from others of that name: the labels in which they differ, and which time it is.
fn incident_name(incident: &Incident, timeline: &Timeline<'_>) -> String {
    let mut name = incident.name().to_owned();
    let distinction = timeline.distinction(&incident.labels);
    if !distinction.is_empty() {
        name = format!("{name}, {distinction}");
    }
    let before = timeline
        .incidents
        .iter()
        .take_while(|own| !std::ptr::eq(*own, incident))
        .filter(|own| own.labels == incident.labels && !own.minor())
        .count();
    if before > 0 {
        name = format!("{name}, time {}", before + 1);
    }
    name
}

/// An alert that nobody need look at: it was pending and went away again.
#[derive(Serialize)]
pub(super) struct PassingView {
    name: String,
    labels: String,
    expectation: &'static str,
    from: String,
    until: String,
    value: String,
}

impl PassingView {
    pub(super) fn new(incident: &Incident, timeline: &Timeline<'_>) -> Self {
        let (from, until) = passing_times(incident, timeline);
        Self {
            name: text::visible(incident.name()),
            labels: text::visible(&text::labels(&incident.labels)),
            expectation: incident.expectation.as_str(),
            from,
            until,
            value: incident.value.map_or_else(String::new, text::number),
        }
    }
}

#[derive(Serialize)]
pub(super) struct MessageView {
    since: String,
    clock: String,
    receiver: String,
    integration: String,
    status: String,
    firing: bool,
    message: Message,
}

impl MessageView {
    pub(super) fn new(event: &Event, timeline: &Timeline<'_>) -> Option<Self> {
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
pub(super) struct ChartView {
    id: String,
    title: String,
    query: Vec<String>,
    drawing: Value,
    series: Vec<String>,
    series_left: usize,
    thresholds: Vec<String>,
    rows: Vec<(String, String, Vec<String>)>,
}

impl ChartView {
    pub(super) fn new(chart: &Chart, timeline: &Timeline<'_>, id: &str) -> Self {
        Self {
            id: id.to_owned(),
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
pub(super) struct DrillDownView {
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
pub(super) struct LogView {
    since: String,
    clock: String,
    service: String,
    severity: String,
    line: String,
    leads: bool,
}

#[derive(Serialize)]
pub(super) struct SpanView {
    service: String,
    name: String,
    depth: usize,
    /// The span that it is a part of, for those who do not see the indentation.
    parent: String,
    start: String,
    duration: String,
    self_time: String,
    error: bool,
    widest: bool,
    bar_x: String,
    bar_width: String,
    /// Where the bar begins and ends, in percent of the whole.
    share: String,
    attributes: Vec<(String, String)>,
}

impl DrillDownView {
    pub(super) fn new(own: &DrillDown, timeline: &Timeline<'_>) -> Self {
        let end = |span: &SpanRow| span.start_offset + span.duration;
        let total = own.spans.iter().map(end).max().unwrap_or(Duration::ZERO);
        let total_secs = total.as_secs_f64().max(1e-9);
        let longest = own.spans.iter().map(|span| span.self_time).max();
        let percent = |duration: Duration| duration.as_secs_f64() / total_secs * 100.0;
        let spans = own.spans.iter().take(SPANS_MAX).enumerate();
        let spans = spans.map(|(index, span)| SpanView {
            service: text::visible(&span.service),
            name: text::visible(&span.name),
            depth: span.depth.min(24),
            parent: own.spans[..index]
                .iter()
                .rfind(|before| before.depth < span.depth)
                .map_or_else(String::new, |parent| text::visible(&parent.name)),
            start: format!("+{}", text::duration(span.start_offset)),
            duration: text::duration(span.duration),
            self_time: text::duration(span.self_time),
            error: span.error,
            widest: Some(span.self_time) == longest && !span.self_time.is_zero(),
            bar_x: n(percent(span.start_offset)),
            bar_width: n(percent(span.duration).max(0.4)),
            share: format!(
                "{} % to {} %",
                n(percent(span.start_offset)),
                n(percent(end(span)))
            ),
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

/// The faults and crashes as rows of a table.
pub(super) fn faults(timeline: &Timeline<'_>) -> Vec<Vec<String>> {
    let row = |window: &FaultWindow<'_>| {
        let row = window.row(timeline);
        vec![
            text::visible(&row.name),
            text::visible(&row.description),
            row.injected,
            row.ended,
            row.touched,
            text::visible(&row.proven_gone),
        ]
    };
    timeline.fault_windows.iter().map(row).collect()
}

/// The service level objectives as rows of a table.
pub(super) fn slos(timeline: &Timeline<'_>) -> Vec<Vec<String>> {
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
pub(super) struct LoadView {
    sent: String,
    answered: String,
    failed: String,
    latencies: Vec<(String, String)>,
    endpoints: Vec<Vec<String>>,
}

impl LoadView {
    pub(super) fn new(load: &LoadSummary) -> Self {
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

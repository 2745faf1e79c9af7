//! The report as Markdown (CommonMark with GitHub's tables), for pull requests and wikis.

use std::fmt::Write as _;

use super::chart::{courses, threshold_name};
use super::console::compress_note;
use super::drill_down::DrillDown;
use super::html::INCIDENTS_MAX;
use super::incidents::Incident;
use super::lines::{Timeline, moment_time, passing, reached_ms, stage_time, theoretical};
use super::markdown_text::{block, cell, code, plain, rows};
use super::message::{Message, Run, message};
use super::moments::Moment;
use super::record::{Outcome, RunRecord, StepRecord, StepStatus};
use super::text;

/// A table of events has at most this many rows.
const ROWS_MAX: usize = 500;

/// The run as Markdown.
pub fn render_markdown(record: &RunRecord) -> String {
    let mut md = String::new();
    let outcome = record.verdict.outcome;
    let _ = writeln!(md, "# {}: {}\n", plain(&record.title), outcome.as_str());
    if !record.description.is_empty() {
        let _ = writeln!(md, "{}\n", plain(&record.description));
    }
    reasons(&mut md, &record.verdict.reasons);
    if let Some(compress) = record.compress {
        let _ = writeln!(md, "> **{}**\n", compress_note(compress));
    }
    let speed = record
        .speed
        .map_or_else(String::new, |speed| format!(" at {}x", text::number(speed)));
    rows(
        &mut md,
        &["Game day", "Clock", "Seed", "Began", "Played", "gameday"],
        [vec![
            cell(&record.name),
            format!("{}{speed}", record.clock.as_str()),
            record.seed.to_string(),
            format!(
                "{} {} UTC",
                text::day(record.epoch),
                text::clock(record.epoch)
            ),
            text::duration(record.played()),
            cell(&record.gameday_version),
        ]],
    );
    for scenario in &record.scenarios {
        let timeline = Timeline::new(scenario);
        write_scenario(&mut md, &timeline);
    }
    md
}

/// The word for an outcome, with a sign.
pub(super) fn outcome_word(outcome: Outcome) -> String {
    let sign = match outcome {
        Outcome::Held => "✅",
        Outcome::Inconclusive => "❔",
        Outcome::Aborted => "⛔",
        Outcome::Failed | Outcome::Error => "❌",
    };
    format!("{sign} {}", outcome.as_str())
}

fn write_scenario(md: &mut String, timeline: &Timeline<'_>) {
    let scenario = timeline.scenario;
    let verdict = &scenario.verdict;
    let _ = writeln!(md, "## {}\n", plain(&scenario.name));
    let _ = writeln!(md, "Verdict: **{}**\n", outcome_word(verdict.outcome));
    reasons(md, &verdict.reasons);
    for unexpected in timeline.unexpected().take(INCIDENTS_MAX) {
        let _ = writeln!(
            md,
            "- Unexpected alert: {}\n",
            code(&text::alert(&unexpected.labels))
        );
    }
    write_steps(md, timeline);
    for incident in timeline.expected_first().into_iter().take(INCIDENTS_MAX) {
        if incident.minor() {
            let _ = writeln!(md, "{}\n", plain(&passing(incident, timeline)));
        } else {
            write_incident(md, incident, timeline);
        }
    }
    if timeline.incidents.len() > INCIDENTS_MAX {
        let left = timeline.incidents.len() - INCIDENTS_MAX;
        let _ = writeln!(md, "{left} more alerts stand in the JSON report.\n");
    }
    write_events(md, timeline);
    write_messages(md, timeline);
    write_charts(md, timeline);
    write_facts(md, timeline);
    for drill_down in &scenario.drill_downs {
        write_drill_down(md, drill_down, timeline);
    }
}

fn reasons(md: &mut String, reasons: &[String]) {
    for reason in reasons {
        let _ = writeln!(md, "- {}", plain(reason));
    }
    if !reasons.is_empty() {
        md.push('\n');
    }
}

fn write_steps(md: &mut String, timeline: &Timeline<'_>) {
    if timeline.scenario.steps.is_empty() {
        return;
    }
    md.push_str("### Steps\n\n");
    for step in &timeline.scenario.steps {
        let sign = match step.status {
            StepStatus::Passed => "✅",
            StepStatus::Failed => "❌",
            StepStatus::Inconclusive => "❔",
            StepStatus::Skipped => "⏭️",
        };
        let _ = writeln!(
            md,
            "- {sign} {}: **{}** {}",
            step.status.as_str(),
            plain(&step.keyword),
            plain(&step.text)
        );
        for row in &step.table {
            let _ = writeln!(md, "  - {}", code(&row.join(" | ")));
        }
        write_step_details(md, step, timeline);
    }
    md.push('\n');
}

fn write_step_details(md: &mut String, step: &StepRecord, timeline: &Timeline<'_>) {
    let mut detail = |name: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(md, "  - {name}: {}", code(value));
        }
    };
    let Some(failure) = &step.failure else {
        detail("observed", &step.observed);
        return;
    };
    detail("expected", &failure.expected);
    detail("observed", &failure.observed);
    detail("query", &failure.query);
    for line in failure.nearest.iter().filter_map(|seq| timeline.line(*seq)) {
        let at = timeline.since(line.event.at);
        detail("nearest", &format!("{at} {}: {}", line.kind, line.text));
    }
    detail("see", failure.link.as_deref().unwrap_or_default());
    detail("at", &step.place.to_string());
}

fn write_incident(md: &mut String, incident: &Incident, timeline: &Timeline<'_>) {
    let _ = writeln!(
        md,
        "### Alert {} ({})\n",
        code(&text::alert(&incident.labels)),
        incident.expectation.as_str()
    );
    let moments = Moment::ALL.map(|moment| {
        let mark = incident.moments.get(moment);
        let (earliest, late) = theoretical(incident, moment, timeline).unwrap_or_default();
        vec![
            moment.symbol().to_owned(),
            moment.name().to_owned(),
            plain(&moment_time(incident, moment, timeline)),
            mark.map_or_else(String::new, |mark| text::clock(mark.at)),
            earliest,
            late.unwrap_or_default(),
        ]
    });
    rows(
        md,
        &[
            "",
            "Moment",
            timeline.zero_name(),
            "Clock (UTC)",
            "Earliest in theory",
            "Late by",
        ],
        moments,
    );
    let mut measures: Vec<Vec<String>> = incident
        .measures
        .times_ms()
        .into_iter()
        .map(|(name, definition, ms)| vec![name.to_owned(), definition.to_owned(), reached_ms(ms)])
        .collect();
    let burnt = incident.measures.budget_burnt_ratio.map_or_else(
        || "not known".to_owned(),
        |burnt| text::with_unit(burnt, "ratio"),
    );
    measures.push(vec![
        "budget burnt".to_owned(),
        "t1 to t9".to_owned(),
        burnt,
    ]);
    rows(md, &["Measure", "From", "Value"], measures);
    if !incident.stages.is_empty() {
        let stages = incident.stages.iter().map(|stage| {
            vec![
                stage.kind.as_str().to_owned(),
                plain(&stage.setting),
                stage_time(stage.minimum),
                stage_time(stage.maximum),
                stage_time(stage.observed),
            ]
        });
        rows(
            md,
            &[
                "Stage of the time to page",
                "Setting",
                "At least",
                "At most",
                "Observed",
            ],
            stages,
        );
    }
}

fn write_events(md: &mut String, timeline: &Timeline<'_>) {
    if timeline.lines.is_empty() {
        return;
    }
    md.push_str("### Timeline\n\n");
    let lines = timeline.lines.iter().take(ROWS_MAX).map(|line| {
        let moments: Vec<&str> = line.moments.iter().map(|moment| moment.symbol()).collect();
        vec![
            timeline.since(line.event.at),
            text::clock(line.event.at),
            moments.join(" "),
            format!("{} {}", line.tone.sign(), line.kind),
            plain(&line.text),
        ]
    });
    rows(
        md,
        &[timeline.zero_name(), "Clock (UTC)", "", "What", "Detail"],
        lines,
    );
    if timeline.lines.len() > ROWS_MAX {
        let left = timeline.lines.len() - ROWS_MAX;
        let _ = writeln!(md, "{left} more events stand in the JSON report.\n");
    }
}

fn write_messages(md: &mut String, timeline: &Timeline<'_>) {
    const MESSAGES_MAX: usize = 50;
    let messages: Vec<_> = timeline
        .lines
        .iter()
        .filter_map(|line| Some((line, message(line.event)?)))
        .collect();
    if messages.is_empty() {
        return;
    }
    md.push_str("### Notifications\n\n");
    for (line, message) in messages.iter().take(MESSAGES_MAX) {
        let _ = writeln!(
            md,
            "**{}** {}\n",
            timeline.since(line.event.at),
            plain(&line.text)
        );
        write_message(md, message);
    }
    if messages.len() > MESSAGES_MAX {
        let left = messages.len() - MESSAGES_MAX;
        let _ = writeln!(md, "{left} more notifications stand in the JSON report.\n");
    }
}

/// The message as a quotation; a payload that is no chat message as a block of code.
fn write_message(md: &mut String, message: &Message) {
    let mut quote = |line: &str| {
        let _ = writeln!(md, "> {line}  ");
    };
    if !message.to.is_empty() {
        quote(&format!("to {}", code(&message.to)));
    }
    for part in &message.parts {
        for line in &part.before {
            quote(&runs(line));
        }
        if !part.title.is_empty() {
            quote(&format!("**{}**", plain(&part.title)));
        }
        if !part.title_href.is_empty() {
            quote(&code(&part.title_href));
        }
        for line in &part.lines {
            quote(&runs(line));
        }
        for (name, lines) in &part.fields {
            let value: Vec<String> = lines.iter().map(|line| runs(line)).collect();
            quote(&format!("{}: {}", plain(name), value.join(" ")));
        }
        for (words, href) in &part.buttons {
            quote(&format!("[{}] {}", plain(words), code(href)));
        }
        if !part.footer.is_empty() {
            quote(&plain(&part.footer));
        }
    }
    if !message.raw.is_empty() {
        block(md, &message.raw);
    }
    md.push('\n');
}

/// Runs as text; addresses are shown as code and never as links, so that nothing that telemetry says can be clicked by mistake.
fn runs(line: &[Run]) -> String {
    let mut md = String::new();
    for run in line {
        let own = match run.style {
            "code" => code(&run.text),
            "bold" => format!("**{}**", plain(&run.text)),
            "link" if run.href.is_empty() || run.href == run.text => code(&run.text),
            "link" => format!("{} ({})", plain(&run.text), code(&run.href)),
            _ => plain(&run.text),
        };
        // Two fences side by side would be one long fence.
        if md.ends_with('`') && own.starts_with('`') {
            md.push(' ');
        }
        md.push_str(&own);
    }
    md
}

/// Each series as a row with its course in block characters.
fn write_charts(md: &mut String, timeline: &Timeline<'_>) {
    const COURSE_COLUMNS: usize = 40;
    if timeline.scenario.charts.is_empty() {
        return;
    }
    md.push_str("### Charts\n\n");
    let mut series = Vec::new();
    for chart in &timeline.scenario.charts {
        let thresholds: Vec<String> = chart
            .thresholds
            .iter()
            .map(|threshold| plain(&threshold_name(threshold, &chart.unit)))
            .collect();
        for course in courses(chart, timeline, COURSE_COLUMNS) {
            series.push(vec![
                plain(&chart.title),
                plain(&course.name),
                cell(&course.sparkline),
                plain(&course.greatest.unwrap_or_else(|| "no value".to_owned())),
                thresholds.join(", "),
            ]);
        }
    }
    rows(
        md,
        &["Chart", "Series", "Course", "Greatest", "Thresholds"],
        series,
    );
}

fn write_facts(md: &mut String, timeline: &Timeline<'_>) {
    let scenario = timeline.scenario;
    if !timeline.fault_windows.is_empty() {
        md.push_str("### Faults\n\n");
        let faults = timeline.fault_windows.iter().map(|window| {
            let row = window.row(timeline);
            vec![
                plain(&row.name),
                plain(&row.description),
                row.injected,
                row.ended,
                row.touched,
                plain(&row.proven_gone),
            ]
        });
        rows(
            md,
            &[
                "Fault",
                "What",
                "Injected",
                "Ended",
                "Requests touched",
                "Proven gone",
            ],
            faults,
        );
    }
    if !scenario.slos.is_empty() {
        md.push_str("### Service level objectives\n\n");
        let slos = scenario.slos.iter().map(|slo| {
            let number = |value: Option<f64>, unit| {
                value.map_or_else(
                    || "not known".to_owned(),
                    |value| text::with_unit(value, unit),
                )
            };
            vec![
                plain(&slo.name),
                text::with_unit(slo.objective, "ratio"),
                gameday_signal::format_duration(slo.window),
                format!(
                    "{} of {}",
                    text::thousands(slo.bad_events),
                    text::thousands(slo.total_events)
                ),
                number(slo.budget_burnt_ratio, "ratio"),
                number(slo.burn_rate_max, ""),
            ]
        });
        rows(
            md,
            &[
                "SLO",
                "Objective",
                "Window",
                "Bad events",
                "Budget burnt",
                "Highest burn rate",
            ],
            slos,
        );
    }
    if let Some(load) = &scenario.load {
        let _ = writeln!(
            md,
            "### Load\n\n{} sent, {} answered, {} failed.\n",
            text::count(load.sent, "request", "requests"),
            text::thousands(load.answered),
            text::thousands(load.failed)
        );
        let latencies = load
            .latencies
            .iter()
            .map(|own| vec![quantile_name(own.quantile), text::duration(own.latency)]);
        rows(md, &["Latency", "from the intended start"], latencies);
        let endpoints = load.endpoints.iter().map(|own| {
            vec![
                cell(&own.endpoint),
                text::thousands(own.sent),
                text::thousands(own.failed),
                text::duration(own.latency_p95),
            ]
        });
        rows(md, &["Endpoint", "Sent", "Failed", "p95"], endpoints);
    }
}

/// `p99` for 0.99, `slowest` for 1.
pub(super) fn quantile_name(quantile: f64) -> String {
    if quantile >= 1.0 {
        "slowest".to_owned()
    } else {
        format!("p{}", text::number(quantile * 100.0))
    }
}

fn write_drill_down(md: &mut String, drill_down: &DrillDown, timeline: &Timeline<'_>) {
    const SPANS_MAX: usize = 200;
    let _ = writeln!(md, "### Drill-down: {}\n", plain(&drill_down.title));
    for thought in &drill_down.reasoning {
        let _ = writeln!(md, "- {}", plain(thought));
    }
    if !drill_down.query.is_empty() {
        let _ = writeln!(md, "\nQuery: {}\n", code(&drill_down.query));
    }
    let logs = drill_down.log_lines.iter().take(ROWS_MAX).map(|own| {
        vec![
            timeline.since(own.at),
            plain(&own.service),
            plain(&own.severity),
            cell(&own.line),
        ]
    });
    rows(md, &["Time", "Service", "Severity", "Log line"], logs);
    if !drill_down.spans.is_empty() {
        let _ = writeln!(md, "Trace {}:\n", code(&drill_down.trace_id));
    }
    let spans = drill_down.spans.iter().take(SPANS_MAX).map(|own| {
        let indent = "\u{a0}\u{a0}".repeat(own.depth.min(20));
        vec![
            plain(&own.service),
            format!("{indent}{}", cell(&own.name)),
            format!("+{}", text::duration(own.start_offset)),
            text::duration(own.duration),
            text::duration(own.self_time),
            if own.error { "error" } else { "" }.to_owned(),
        ]
    });
    rows(
        md,
        &["Service", "Span", "Start", "Duration", "Self time", ""],
        spans,
    );
}

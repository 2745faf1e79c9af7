//! Steps that go the way of a person on call: from a log line to the trace, from the alert to its runbook.

use super::{Arguments, StepDef, StepKind};
use crate::verify::runbook;
use crate::world::{StepError, World};

pub(super) const STEPS: &[StepDef] = &[
    StepDef {
        kind: StepKind::Then,
        pattern: "a {string} log line of {string} should lead to a trace whose slowest span is {string}",
        example: "a \"warn\" log line of \"checkout\" should lead to a trace whose slowest span is \"db.query\"",
        doc: "A log line of that level and service, written since the last fault was injected, names a trace; the trace is found; the span with the most time of its own has that name.",
        play: leads_to_slowest,
    },
    StepDef {
        kind: StepKind::Then,
        pattern: "a warning log line of {string} should lead to a trace whose slowest span is {string}",
        example: "a warning log line of \"checkout\" should lead to a trace whose slowest span is \"db.query\"",
        doc: "The same for the level `warn`.",
        play: warning_leads_to_slowest,
    },
    StepDef {
        kind: StepKind::Then,
        pattern: "an error log line of {string} should lead to a trace whose failing span is {string} of {string}",
        example: "an error log line of \"frontend\" should lead to a trace whose failing span is \"GET /api/checkout\" of \"checkout\"",
        doc: "The same for the level `error`: the deepest span that failed has that name and belongs to that service.",
        play: error_leads_to_failing,
    },
    StepDef {
        kind: StepKind::Then,
        pattern: "an exemplar of {string} should lead to a trace whose slowest span is {string}",
        example: "an exemplar of 'http_request_duration_seconds_bucket{service=\"checkout\"}' should lead to a trace whose slowest span is \"db.query\"",
        doc: "Of the exemplars of these series since the last fault was injected, the one with the largest value names a trace; the trace is found; the span with the most time of its own has that name.",
        play: exemplar_leads_to_slowest,
    },
    StepDef {
        kind: StepKind::Then,
        pattern: "the logs of that trace should have a {string} line of {string}",
        example: "the logs of that trace should have a \"warn\" line of \"checkout\"",
        doc: "The trace that the last drill-down led to has log lines (tracesToLogsV2 of the data sources), one of them of that level and service.",
        play: trace_has_line,
    },
    StepDef {
        kind: StepKind::Then,
        pattern: "the failing edge of the service graph should lead from {string} to {string}",
        example: "the failing edge of the service graph should lead from \"checkout\" to \"payments\"",
        doc: "Of the edges whose calls fail since the last fault was injected, the one whose server calls nobody who fails leads from that service to that one. A database or a service that sends no spans is called by what its caller says of it.",
        play: failing_edge,
    },
    StepDef {
        kind: StepKind::Then,
        pattern: "the root cause of {string} of {string} should be {string} of {string}",
        example: "the root cause of \"GET /api/checkout\" of \"frontend\" should be \"db.query\" of \"checkout\"",
        doc: "The traces of the endpoint since the last fault was injected are compared with those before it: of all operations this one explains most of what got slower, or is where the failures begin.",
        play: root_cause,
    },
    StepDef {
        kind: StepKind::Then,
        pattern: "the runbook of {string} should exist with every required section",
        example: "the runbook of \"LatencyFastBurn\" should exist with every required section",
        doc: "The runbook_url of the alert leads to a file with the six sections: what is this alert, likely causes, first investigation steps, how to resolve, when to roll back, when to escalate.",
        play: runbook_exists,
    },
];

fn leads_to_slowest(world: &mut World, arguments: &Arguments) -> Result<String, StepError> {
    let game = world.game()?;
    game.drill_down_to_slowest(arguments.text(0), arguments.text(1), arguments.text(2))
}

fn warning_leads_to_slowest(world: &mut World, arguments: &Arguments) -> Result<String, StepError> {
    world
        .game()?
        .drill_down_to_slowest("warn", arguments.text(0), arguments.text(1))
}

fn error_leads_to_failing(world: &mut World, arguments: &Arguments) -> Result<String, StepError> {
    world.game()?.drill_down_to_failing(
        "error",
        arguments.text(0),
        arguments.text(1),
        arguments.text(2),
    )
}

fn exemplar_leads_to_slowest(
    world: &mut World,
    arguments: &Arguments,
) -> Result<String, StepError> {
    world
        .game()?
        .drill_down_from_exemplar(arguments.text(0), arguments.text(1))
}

fn trace_has_line(world: &mut World, arguments: &Arguments) -> Result<String, StepError> {
    world
        .game()?
        .trace_has_line(arguments.text(0), arguments.text(1))
}

fn failing_edge(world: &mut World, arguments: &Arguments) -> Result<String, StepError> {
    world
        .game()?
        .failing_edge_leads(arguments.text(0), arguments.text(1))
}

fn root_cause(world: &mut World, arguments: &Arguments) -> Result<String, StepError> {
    world.game()?.root_cause_is(
        arguments.text(0),
        arguments.text(1),
        arguments.text(2),
        arguments.text(3),
    )
}

fn runbook_exists(world: &mut World, arguments: &Arguments) -> Result<String, StepError> {
    let name = arguments.text(0).to_owned();
    let game = world.game()?;
    let rule = game.alert_rule(&name)?;
    let url = rule.annotations.value_of("runbook_url").to_owned();
    let expected = format!("alert {name} to have a runbook with every required section");
    if url.is_empty() {
        return Err(StepError::failed(
            expected,
            "it has no annotation runbook_url",
        ));
    }
    let text = game
        .runbook(&url)
        .ok_or_else(|| StepError::failed(expected.clone(), format!("{url} does not exist")))?;
    let missing = runbook::missing_sections(&text);
    if missing.is_empty() {
        Ok(format!(
            "{url} has all {} sections",
            runbook::SECTIONS.len()
        ))
    } else {
        Err(StepError::failed(
            expected,
            format!("{url} lacks: {}", missing.join(", ")),
        ))
    }
}

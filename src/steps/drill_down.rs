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

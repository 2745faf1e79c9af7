//! Steps that crash and restart services and send changes through the pipeline.

use gameday_exporters::github::Outcome;
use http::Method;

use super::{Arguments, StepDef, StepKind};
use crate::world::{StepError, World};

pub(super) const STEPS: &[StepDef] = &[
    StepDef {
        kind: StepKind::When,
        pattern: "service {string} crashes",
        example: "service \"checkout\" crashes",
        doc: "Ends the process of a service without a goodbye. Its machine stays, with its node exporter. The limits of the next steps count from here.",
        play: crash,
    },
    StepDef {
        kind: StepKind::When,
        pattern: "service {string} is restarted",
        example: "service \"checkout\" is restarted",
        doc: "Starts a service again that has crashed, as it was started at first.",
        play: restart,
    },
    StepDef {
        kind: StepKind::Given,
        pattern: "{number} changes went live in the last {duration}",
        example: "5 changes went live in the last 5 days",
        doc: "Gives the pipeline a past: so many changes that went live, spread evenly. Needs `exporters: {dora: owner/name}` in scenario.yaml.",
        play: past_changes,
    },
    StepDef {
        kind: StepKind::When,
        pattern: "a pipeline run fails",
        example: "a pipeline run fails",
        doc: "A commit is pushed, and five minutes later its pipeline has failed: nothing is deployed. The limits of the next steps count from the failure.",
        play: fails,
    },
    StepDef {
        kind: StepKind::When,
        pattern: "a change goes live",
        example: "a change goes live",
        doc: "A commit is pushed, built for five minutes and deployed in one more. The limits of the next steps count from the moment at which it is live.",
        play: goes_live,
    },
    StepDef {
        kind: StepKind::When,
        pattern: "the last change is rolled back",
        example: "the last change is rolled back",
        doc: "The last good version before the live one is deployed again, within a minute.",
        play: rolled_back,
    },
    StepDef {
        kind: StepKind::When,
        pattern: "the API of the pipeline answers {number} for {duration}(, with a page of HTML)",
        example: "the API of the pipeline answers 500 for 1 hour, with a page of HTML",
        doc: "Whoever asks the API that the DORA exporter reads gets this status, until a step mends it or the time is over. The limits of the next steps count from here.",
        play: api_breaks,
    },
    StepDef {
        kind: StepKind::When,
        pattern: "the API of the pipeline answers again",
        example: "the API of the pipeline answers again",
        doc: "It answers as ever.",
        play: api_mends,
    },
    StepDef {
        kind: StepKind::When,
        pattern: "the pipeline replaces the metrics of {string} with",
        example: "the pipeline replaces the metrics of \"job/deploy/environment/production\" with",
        doc: "PUT to the Pushgateway: the group has the metrics of the table (| deployment_success | 0 |) and no other.",
        play: replaces,
    },
    StepDef {
        kind: StepKind::When,
        pattern: "the pipeline adds to the metrics of {string}",
        example: "the pipeline adds to the metrics of \"job/deploy/environment/production\"",
        doc: "POST to the Pushgateway: the metrics of the table replace those of their names, the others of the group stay.",
        play: adds,
    },
    StepDef {
        kind: StepKind::When,
        pattern: "the pipeline deletes the metrics of {string}",
        example: "the pipeline deletes the metrics of \"job/deploy/environment/production\"",
        doc: "DELETE to the Pushgateway: the group is gone.",
        play: deletes,
    },
];

fn crash(world: &mut World, arguments: &Arguments) -> Result<String, StepError> {
    world.game()?.crash(arguments.text(0))?;
    Ok(format!("{} is gone", arguments.text(0)))
}

fn restart(world: &mut World, arguments: &Arguments) -> Result<String, StepError> {
    world.game()?.restart(arguments.text(0))?;
    Ok(format!("{} is back", arguments.text(0)))
}

fn past_changes(world: &mut World, arguments: &Arguments) -> Result<String, StepError> {
    let count = arguments.number(0)?;
    if count.fract() != 0.0 || !(1.0..=1000.0).contains(&count) {
        return Err(StepError::invalid(format!(
            "{count} changes: expected a whole number from 1 to 1000"
        )));
    }
    let over = arguments.duration(1)?;
    world.game()?.past_changes(count as u32, over)?;
    Ok(format!("{count} changes"))
}

fn fails(world: &mut World, _: &Arguments) -> Result<String, StepError> {
    let sha = world.game()?.change(Outcome::Failure)?;
    Ok(format!("the pipeline of {sha} has failed"))
}

fn goes_live(world: &mut World, _: &Arguments) -> Result<String, StepError> {
    let sha = world.game()?.change(Outcome::Success)?;
    Ok(format!("{sha} is live"))
}

fn rolled_back(world: &mut World, _: &Arguments) -> Result<String, StepError> {
    let sha = world.game()?.roll_back()?;
    Ok(format!("{sha} is deployed again"))
}

fn api_breaks(world: &mut World, arguments: &Arguments) -> Result<String, StepError> {
    let status = arguments.number(0)?;
    if status.fract() != 0.0 || !(100.0..=599.0).contains(&status) {
        return Err(StepError::invalid(format!(
            "{status} is no HTTP status: expected for example 401, 403, 429 or 500"
        )));
    }
    let lease = arguments.duration(1)?;
    let html = world.step_text.ends_with("HTML");
    let game = world.game()?;
    game.break_pipeline_api(status as u16, html, lease)?;
    Ok(format!("every answer is a {status}"))
}

fn api_mends(world: &mut World, _: &Arguments) -> Result<String, StepError> {
    world.game()?.mend_pipeline_api()?;
    Ok("it answers".to_owned())
}

fn replaces(world: &mut World, arguments: &Arguments) -> Result<String, StepError> {
    push(world, arguments, Method::PUT)
}

fn adds(world: &mut World, arguments: &Arguments) -> Result<String, StepError> {
    push(world, arguments, Method::POST)
}

fn deletes(world: &mut World, arguments: &Arguments) -> Result<String, StepError> {
    let group = arguments.text(0);
    world.game()?.push(Method::DELETE, group, String::new())?;
    Ok(format!("{group} is gone"))
}

fn push(world: &mut World, arguments: &Arguments, method: Method) -> Result<String, StepError> {
    let rows = arguments.pairs();
    if rows.is_empty() {
        return Err(StepError::invalid(
            "a table names the metrics: | deployment_success | 0 |",
        ));
    }
    let lines: String = rows
        .iter()
        .map(|(series, value)| format!("{series} {value}\n"))
        .collect();
    world.game()?.push(method, arguments.text(0), lines)?;
    Ok(format!("{} metrics pushed", rows.len()))
}

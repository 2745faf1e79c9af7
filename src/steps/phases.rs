//! Steps that set the stage, let time pass, change the load and inject faults.

use gameday_signal::format_duration;

use super::{Arguments, StepDef, StepKind};
use crate::game::Game;
use crate::world::{StepError, World};

pub(super) const STEPS: &[StepDef] = &[
    StepDef {
        kind: StepKind::Given,
        pattern: "the game day {string}",
        example: "the game day \"latency-injection\"",
        doc: "Starts the stack, the services and the load of scenarios/<name>/scenario.yaml.",
        play: start,
    },
    StepDef {
        kind: StepKind::Given,
        pattern: "the stack is quiet for {duration}",
        example: "the stack is quiet for 30 minutes",
        doc: "Lets the steady state run and proves it: requests are answered, every target is up, no alert is pending or firing, nobody is notified.",
        play: quiet,
    },
    StepDef {
        kind: StepKind::Given,
        pattern: "alert {string} is inactive",
        example: "alert \"LatencyFastBurn\" is inactive",
        doc: "The alert is loaded, and neither pending nor firing.",
        play: inactive,
    },
    StepDef {
        kind: StepKind::Given,
        pattern: "load of {number} req/s",
        example: "load of 50 req/s",
        doc: "Changes the rate of the load.",
        play: load,
    },
    StepDef {
        kind: StepKind::When,
        pattern: "load changes to {number} req/s",
        example: "load changes to 50 req/s",
        doc: "Changes the rate of the load.",
        play: load,
    },
    StepDef {
        kind: StepKind::When,
        pattern: "fault {string} is injected",
        example: "fault \"slow-checkout-db\" is injected",
        doc: "Puts a fault of the scenario into force, until it is cleared or its lease runs out. The limits of the next steps count from here.",
        play: inject,
    },
    StepDef {
        kind: StepKind::When,
        pattern: "fault {string} is cleared",
        example: "fault \"slow-checkout-db\" is cleared",
        doc: "Takes a fault back and proves that nothing of it is left. Inconclusive where it touched no request.",
        play: clear,
    },
    StepDef {
        kind: StepKind::When,
        pattern: "{duration} pass(es)",
        example: "10 minutes pass",
        doc: "Lets time pass.",
        play: pass,
    },
];

fn start(world: &mut World, arguments: &Arguments) -> Result<String, StepError> {
    if world.game.is_some() {
        return Err(StepError::invalid(
            "a game day is already being played in this scenario",
        ));
    }
    let game = Game::start(&world.options, arguments.text(0))?;
    let observed = game.describe();
    world.game = Some(game);
    Ok(observed)
}

fn quiet(world: &mut World, arguments: &Arguments) -> Result<String, StepError> {
    let duration = arguments.duration(0)?;
    let game = world.game()?;
    game.phase("steady state");
    let before = game.receivers().accepted().len();
    game.load_mark();
    game.play_for(duration)?;
    game.mark_action();
    let expected = format!("a quiet stack for {}", format_duration(duration));
    let window = game.load_since_mark();
    if window.answered == 0 {
        return Err(StepError::inconclusive(
            expected,
            format!("{} requests sent, none answered", window.sent),
        ));
    }
    let alerts = game.active_alerts()?;
    if let Some(alert) = alerts.first() {
        return Err(StepError::failed(
            expected,
            format!(
                "alert {} is {} in the steady state",
                alert.labels, alert.state
            ),
        )
        .asked("/api/v1/alerts"));
    }
    let down = game.query("up == 0")?;
    if let Some(target) = down.first() {
        return Err(
            StepError::failed(expected, format!("target {} is down", target.labels))
                .asked("up == 0"),
        );
    }
    if game.query("up")?.is_empty() {
        return Err(StepError::inconclusive(expected, "no target is scraped").asked("up"));
    }
    let notified = game.receivers().accepted().len() - before;
    if notified > 0 {
        return Err(StepError::failed(
            expected,
            format!("{notified} notifications were sent"),
        ));
    }
    let errors = if window.failed == 0 {
        "no".to_owned()
    } else {
        window.failed.to_string()
    };
    Ok(format!(
        "{} requests answered with {errors} errors, p95 {:.0} ms, no alert, no notification",
        window.answered,
        window.latency().p95_ms
    ))
}

fn inactive(world: &mut World, arguments: &Arguments) -> Result<String, StepError> {
    let name = arguments.text(0).to_owned();
    let game = world.game()?;
    game.alert_rule(&name)?;
    match game
        .active_alerts()?
        .iter()
        .find(|alert| alert.labels.value_of("alertname") == name)
    {
        Some(alert) => Err(StepError::failed(
            format!("alert {name} is inactive"),
            format!("it is {}", alert.state),
        )),
        None => Ok(format!("alert {name} is inactive")),
    }
}

fn load(world: &mut World, arguments: &Arguments) -> Result<String, StepError> {
    let rate = arguments.number(0)?;
    world.game()?.set_load(rate)?;
    Ok(format!("load of {rate} req/s"))
}

fn inject(world: &mut World, arguments: &Arguments) -> Result<String, StepError> {
    world.game()?.inject(arguments.text(0))
}

fn clear(world: &mut World, arguments: &Arguments) -> Result<String, StepError> {
    world.game()?.clear(arguments.text(0))
}

fn pass(world: &mut World, arguments: &Arguments) -> Result<String, StepError> {
    let duration = arguments.duration(0)?;
    world.game()?.play_for(duration)?;
    Ok(format!("{} passed", format_duration(duration)))
}

//! Steps about the states of alerts.

use std::time::Duration;

use gameday_signal::{EventKind, format_duration};

use super::{Arguments, StepDef, StepKind};
use crate::game::{AlertState, Game};
use crate::world::{StepError, World};

pub(super) const STEPS: &[StepDef] = &[
    StepDef {
        kind: StepKind::Then,
        pattern: "alert {string} should become pending within {duration}",
        example: "alert \"LatencyFastBurn\" should become pending within 6 minutes",
        doc: "Waits, counted from the last When, until the alert is pending (or already firing).",
        play: pending,
    },
    StepDef {
        kind: StepKind::Then,
        pattern: "alert {string} should be firing within {duration}( with)",
        example: "alert \"LatencyFastBurn\" should be firing within 8 minutes with",
        doc: "Waits, counted from the last When, until the alert fires; with a table, with these labels.",
        play: firing,
    },
    StepDef {
        kind: StepKind::Then,
        pattern: "alert {string} should fire within {duration} of its earliest moment",
        example: "alert \"LatencyFastBurn\" should fire within 15 seconds of its earliest moment",
        doc: "The alert fired no later than this after the earliest moment that its windows, thresholds, scrapes, evaluations and `for` allow. Only in virtual time; on the real clock it is told and not judged.",
        play: earliest,
    },
    StepDef {
        kind: StepKind::Then,
        pattern: "alert {string} should not fire for {duration}",
        example: "alert \"LatencyFastBurn\" should not fire for 30 minutes",
        doc: "Lets time pass and proves that the alert fired at no moment of it.",
        play: silent,
    },
    StepDef {
        kind: StepKind::Then,
        pattern: "alert {string} should resolve within {duration}",
        example: "alert \"LatencyFastBurn\" should resolve within 6 minutes",
        doc: "Waits, counted from the last When, until the alert is neither pending nor firing. It must have fired before.",
        play: resolve,
    },
    StepDef {
        kind: StepKind::Then,
        pattern: "alert {string} should be inhibited( by {string})",
        example: "alert \"HighLatencyP95\" should be inhibited by \"ServiceDown\"",
        doc: "Alertmanager holds the alert as suppressed, by an alert of that name.",
        play: inhibited,
    },
    StepDef {
        kind: StepKind::Then,
        pattern: "alert {string} should have fired before alert {string}",
        example: "alert \"HighCPUWarning\" should have fired before alert \"HighCPUCritical\"",
        doc: "Both alerts have fired, in this order.",
        play: order,
    },
    StepDef {
        kind: StepKind::Then,
        pattern: "no other alert should have fired",
        example: "no other alert should have fired",
        doc: "Every alert that fired is named by a step of this scenario or by `may_fire` of scenario.yaml.",
        play: no_other,
    },
    StepDef {
        kind: StepKind::Then,
        pattern: "no alert should have fired",
        example: "no alert should have fired",
        doc: "No alert fired since the game day began.",
        play: none_at_all,
    },
];

fn pending(world: &mut World, arguments: &Arguments) -> Result<String, StepError> {
    wait_for(
        world.game()?,
        arguments,
        &[AlertState::Pending, AlertState::Firing],
        &[],
    )
}

fn firing(world: &mut World, arguments: &Arguments) -> Result<String, StepError> {
    let wanted = arguments.pairs();
    wait_for(world.game()?, arguments, &[AlertState::Firing], &wanted)
}

fn wait_for(
    game: &mut Game,
    arguments: &Arguments,
    states: &[AlertState],
    wanted: &[(String, String)],
) -> Result<String, StepError> {
    let name = arguments.text(0).to_owned();
    let limit = arguments.duration(1)?;
    game.alert_rule(&name)?;
    game.expect_alert(&name);
    let waited = game.wait_for_alert(&name, states, wanted, limit)?;
    let state = states[0].as_str();
    let labels: String = wanted
        .iter()
        .map(|(label, value)| format!(" {label}={value:?}"))
        .collect();
    let expected = format!(
        "alert {name}{labels} {state} within {}",
        format_duration(limit)
    );
    match waited.found {
        Some(alert) => {
            game.set_focus(&name, &alert.labels);
            Ok(format!(
                "{} {} after {}, value {:.4}",
                alert.labels,
                alert.state,
                format_duration(waited.after),
                alert.value
            ))
        }
        None => {
            let seen = match waited.seen.as_slice() {
                [] => format!("it was inactive for {}", format_duration(waited.after)),
                seen => seen
                    .iter()
                    .map(|alert| format!("{} is {}", alert.labels, alert.state))
                    .collect::<Vec<_>>()
                    .join("; "),
            };
            let rule = game.alert_rule(&name)?;
            let value = game.explain_expression(&rule.query);
            Err(StepError::failed(expected, format!("{seen}; {value}"))
                .asked(rule.query)
                .linked(game.graph_link(&name)))
        }
    }
}

fn earliest(world: &mut World, arguments: &Arguments) -> Result<String, StepError> {
    let name = arguments.text(0).to_owned();
    let tolerance = arguments.duration(1)?;
    let game = world.game()?;
    let timing = game.earliest_firing(&name)?;
    let late = timing.observed.since(timing.earliest);
    let text = format!(
        "earliest {}, observed {}, {} later",
        timing.earliest,
        timing.observed,
        format_duration(Duration::from_millis(
            u64::try_from(late.as_millis()).unwrap_or(u64::MAX)
        ))
    );
    if timing.observed < timing.earliest {
        return Err(StepError::failed(
            "the alert not to fire before it can",
            text,
        ));
    }
    if late > tolerance && game.is_virtual() {
        let expected = format!(
            "alert {name} within {} of its earliest moment",
            format_duration(tolerance)
        );
        return Err(StepError::failed(expected, text));
    }
    Ok(text)
}

fn silent(world: &mut World, arguments: &Arguments) -> Result<String, StepError> {
    let name = arguments.text(0).to_owned();
    let duration = arguments.duration(1)?;
    let game = world.game()?;
    game.alert_rule(&name)?;
    let from = game.now();
    game.play_for(duration)?;
    let fired = game
        .fired_since(from)
        .into_iter()
        .find(|labels| labels.value_of("alertname") == name);
    let still = game.active_alerts()?.into_iter().find(|alert| {
        alert.labels.value_of("alertname") == name && alert.state == AlertState::Firing.as_str()
    });
    let expected = format!("alert {name} not to fire for {}", format_duration(duration));
    match fired.or(still.map(|alert| alert.labels)) {
        Some(labels) => Err(StepError::failed(expected, format!("{labels} fired"))),
        None => Ok(format!("alert {name} did not fire")),
    }
}

fn resolve(world: &mut World, arguments: &Arguments) -> Result<String, StepError> {
    let name = arguments.text(0).to_owned();
    let limit = arguments.duration(1)?;
    let game = world.game()?;
    game.alert_rule(&name)?;
    let expected = format!("alert {name} resolved within {}", format_duration(limit));
    if !game.has_fired(&name) {
        return Err(StepError::failed(
            expected,
            "it has never fired, so it cannot resolve",
        ));
    }
    let waited = game.wait_for_inactive(&name, limit)?;
    if waited.found.is_some() {
        Ok(format!("inactive after {}", format_duration(waited.after)))
    } else {
        let rule = game.alert_rule(&name)?;
        let value = game.explain_expression(&rule.query);
        Err(StepError::failed(
            expected,
            format!(
                "it was still active after {}; {value}",
                format_duration(waited.after)
            ),
        )
        .asked(rule.query))
    }
}

fn inhibited(world: &mut World, arguments: &Arguments) -> Result<String, StepError> {
    let name = arguments.text(0).to_owned();
    let source = (arguments.len() > 1).then(|| arguments.text(1).to_owned());
    let game = world.game()?;
    game.alert_rule(&name)?;
    game.expect_alert(&name);
    let managed = game.managed_alerts()?;
    let own: Vec<_> = managed
        .iter()
        .filter(|alert| alert.labels.value_of("alertname") == name)
        .collect();
    let expected = match &source {
        Some(source) => format!("alert {name} inhibited by {source}"),
        None => format!("alert {name} inhibited"),
    };
    if own.is_empty() {
        return Err(
            StepError::inconclusive(expected, "Alertmanager does not hold that alert")
                .asked("/api/v2/alerts"),
        );
    }
    for alert in &own {
        let by = |fingerprint: &String| {
            let source = managed
                .iter()
                .find(|other| other.fingerprint == *fingerprint);
            source.map_or("", |source| source.labels.value_of("alertname"))
        };
        let sources: Vec<&str> = alert.inhibited_by.iter().map(by).collect();
        let right = source.as_ref().map_or(!sources.is_empty(), |source| {
            sources.contains(&source.as_str())
        });
        if !right {
            let observed = format!(
                "{} is {}, inhibited by [{}]",
                alert.labels,
                alert.state,
                sources.join(", ")
            );
            return Err(StepError::failed(expected, observed).asked("/api/v2/alerts"));
        }
    }
    Ok(format!("{} held back", own.len()))
}

fn order(world: &mut World, arguments: &Arguments) -> Result<String, StepError> {
    let (first, second) = (arguments.text(0).to_owned(), arguments.text(1).to_owned());
    let game = world.game()?;
    let fired_at = |name: &str| {
        game.events().iter().find_map(|event| match &event.kind {
            EventKind::AlertFiring { labels, .. } if labels.value_of("alertname") == name => {
                Some(event.at)
            }
            _ => None,
        })
    };
    let expected = format!("{first} to fire before {second}");
    match (fired_at(&first), fired_at(&second)) {
        (Some(a), Some(b)) if a < b => Ok(format!("{first} at {a}, {second} at {b}")),
        (Some(a), Some(b)) => Err(StepError::failed(
            expected,
            format!("{first} at {a}, {second} at {b}"),
        )),
        (None, _) => Err(StepError::failed(
            expected,
            format!("{first} has not fired"),
        )),
        (_, None) => Err(StepError::failed(
            expected,
            format!("{second} has not fired"),
        )),
    }
}

fn no_other(world: &mut World, _: &Arguments) -> Result<String, StepError> {
    let game = world.game()?;
    let unexpected = game.unexpected_alerts();
    if unexpected.is_empty() {
        Ok("every alert that fired was expected".to_owned())
    } else {
        let list: Vec<String> = unexpected.iter().map(ToString::to_string).collect();
        Err(StepError::failed(
            "no other alert to fire",
            format!("also fired: {}", list.join("; ")),
        ))
    }
}

fn none_at_all(world: &mut World, _: &Arguments) -> Result<String, StepError> {
    let game = world.game()?;
    let from = game.started();
    match game.fired_since(from).first() {
        Some(labels) => Err(StepError::failed(
            "no alert to fire",
            format!("{labels} fired"),
        )),
        None => Ok("no alert fired".to_owned()),
    }
}

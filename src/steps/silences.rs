//! Steps about what keeps alerts from being told: silences and the time intervals of routes.

use gameday_signal::format_duration;

use super::{Arguments, StepDef, StepKind};
use crate::game::Game;
use crate::verify::ManagedAlert;
use crate::world::{StepError, World};

pub(super) const STEPS: &[StepDef] = &[
    StepDef {
        kind: StepKind::When,
        pattern: "alert {string} is silenced for {duration}( with)",
        example: "alert \"ServiceDown\" is silenced for 1 hour with",
        doc: "Somebody silences the alert in Alertmanager; with a table, only where it has these labels. The limits of the next steps count from here.",
        play: silence,
    },
    StepDef {
        kind: StepKind::When,
        pattern: "every alert is silenced for {duration} with",
        example: "every alert is silenced for 1 hour with",
        doc: "Somebody silences whatever has the labels of the table.",
        play: silence_every,
    },
    StepDef {
        kind: StepKind::When,
        pattern: "the silence ends",
        example: "the silence ends",
        doc: "Somebody ends the silences that steps began. The limits of the next steps count from here.",
        play: end,
    },
    StepDef {
        kind: StepKind::Then,
        pattern: "alert {string} should be silenced",
        example: "alert \"ServiceDown\" should be silenced",
        doc: "Alertmanager holds every alert of that name as suppressed, by a silence.",
        play: silenced,
    },
    StepDef {
        kind: StepKind::Then,
        pattern: "alert {string} should be muted( by {string})",
        example: "alert \"ServiceDown\" should be muted by \"maintenance\"",
        doc: "Alertmanager mutes every alert of that name on one of its routes, by the time interval of that name.",
        play: muted,
    },
];

fn silence(world: &mut World, arguments: &Arguments) -> Result<String, StepError> {
    let name = arguments.text(0).to_owned();
    let duration = arguments.duration(1)?;
    let mut matchers = vec![("alertname".to_owned(), name.clone())];
    matchers.extend(arguments.pairs());
    let game = world.game()?;
    game.alert_rule(&name)?;
    let comment = format!("{name} is known");
    let id = game.silence(&matchers, duration, &comment)?;
    Ok(format!("silence {id} for {}", format_duration(duration)))
}

fn silence_every(world: &mut World, arguments: &Arguments) -> Result<String, StepError> {
    let duration = arguments.duration(0)?;
    let matchers = arguments.pairs();
    if matchers.is_empty() {
        return Err(StepError::invalid(
            "a table of labels says what is silenced: | service | checkout |",
        ));
    }
    let id = world.game()?.silence(&matchers, duration, "planned work")?;
    Ok(format!("silence {id} for {}", format_duration(duration)))
}

fn end(world: &mut World, _: &Arguments) -> Result<String, StepError> {
    let ended = world.game()?.end_silences()?;
    Ok(format!("{ended} ended"))
}

fn silenced(world: &mut World, arguments: &Arguments) -> Result<String, StepError> {
    let name = arguments.text(0);
    let held = held_by_alertmanager(world, name, Game::managed_alerts)?;
    held_back(&held, name, "silenced", "/api/v2/alerts", |alert| {
        (!alert.silenced_by.is_empty(), alert.silenced_by.join(", "))
    })
}

fn muted(world: &mut World, arguments: &Arguments) -> Result<String, StepError> {
    let name = arguments.text(0);
    let interval = (arguments.len() > 1).then(|| arguments.text(1).to_owned());
    let what = match &interval {
        Some(interval) => format!("muted by {interval}"),
        None => "muted".to_owned(),
    };
    let held = held_by_alertmanager(world, name, Game::grouped_alerts)?;
    // An alert may go several ways; one that is muted is enough, who must (not) be told is for other steps.
    let muted: Vec<ManagedAlert> = held
        .iter()
        .filter(|alert| !alert.muted_by.is_empty())
        .cloned()
        .collect();
    let judged = if muted.is_empty() { &held } else { &muted };
    held_back(judged, name, &what, "/api/v2/alerts/groups", |alert| {
        let right = interval.as_ref().map_or(!alert.muted_by.is_empty(), |own| {
            alert.muted_by.contains(own)
        });
        (right, alert.muted_by.join(", "))
    })
}

/// The alerts of that name that Alertmanager holds.
fn held_by_alertmanager(
    world: &mut World,
    name: &str,
    ask: fn(&Game) -> Result<Vec<ManagedAlert>, StepError>,
) -> Result<Vec<ManagedAlert>, StepError> {
    let game = world.game()?;
    game.alert_rule(name)?;
    game.expect_alert(name);
    let all = ask(game)?.into_iter();
    Ok(all
        .filter(|alert| alert.labels.value_of("alertname") == name)
        .collect())
}

/// Whether every one of these alerts is held back, and by what.
fn held_back(
    held: &[ManagedAlert],
    name: &str,
    what: &str,
    asked: &str,
    judge: impl Fn(&ManagedAlert) -> (bool, String),
) -> Result<String, StepError> {
    let expected = format!("alert {name} {what}");
    if held.is_empty() {
        let observed = "Alertmanager does not hold that alert";
        return Err(StepError::inconclusive(expected, observed).asked(asked));
    }
    let mut by = String::new();
    for alert in held {
        let (right, reason) = judge(alert);
        if !right {
            let observed = format!("{} is {} [{reason}]", alert.labels, alert.state);
            return Err(StepError::failed(expected, observed).asked(asked));
        }
        by = reason;
    }
    Ok(format!("{} held back by {by}", held.len()))
}

#[cfg(test)]
mod tests {
    use gameday_signal::Labels;

    use super::*;
    use crate::failure::FailureKind;

    #[test]
    fn every_alert_must_be_held_back() {
        let alert = |silences: &[&str]| ManagedAlert {
            labels: Labels::new([("alertname", "A")]),
            state: "suppressed".to_owned(),
            inhibited_by: Vec::new(),
            silenced_by: silences.iter().map(ToString::to_string).collect(),
            muted_by: Vec::new(),
            fingerprint: String::new(),
        };
        let judge = |held: &[ManagedAlert]| {
            held_back(held, "A", "silenced", "/", |alert| {
                (!alert.silenced_by.is_empty(), alert.silenced_by.join(", "))
            })
        };
        assert_eq!(
            judge(&[alert(&["one"]), alert(&["two"])]),
            Ok("2 held back by two".to_owned())
        );
        let failure = judge(&[alert(&["one"]), alert(&[])]).expect_err("one is not");
        assert_eq!(failure.kind, FailureKind::Assertion);
        let failure = judge(&[]).expect_err("there is none");
        assert_eq!(failure.kind, FailureKind::Inconclusive);
    }
}

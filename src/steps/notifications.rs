//! Steps about what the receivers got.

use std::time::Duration;

use gameday_signal::format_duration;

use super::{Arguments, StepDef, StepKind};
use crate::receivers::{Message, MessageStatus};
use crate::world::{StepError, World};

pub(super) const STEPS: &[StepDef] = &[
    StepDef {
        kind: StepKind::Then,
        pattern: "receiver {string} should be notified of it( once) within {duration}(, with its value, dashboard and runbook)",
        example: "receiver \"slack\" should be notified of it once within 1 minute, with its value, dashboard and runbook",
        doc: "The receiver gets a message that says that the alert of the last step fires, counted from its firing; with `once`, exactly one until the limit; with the rest, the message shows the annotations value, dashboard_url and runbook_url.",
        play: notified,
    },
    StepDef {
        kind: StepKind::Then,
        pattern: "receiver {string} should be notified of alert {string} within {duration}",
        example: "receiver \"slack\" should be notified of alert \"LatencyFastBurn\" within 1 minute",
        doc: "As above, for an alert by name, counted from its firing.",
        play: notified_of,
    },
    StepDef {
        kind: StepKind::Then,
        pattern: "receiver {string} should be told that it is resolved( within {duration})(, with its duration)",
        example: "receiver \"slack\" should be told that it is resolved",
        doc: "The receiver gets a message that says that the alert of the last step is resolved, within 6 minutes (one group_interval of Alertmanager's default and a minute) unless another limit is given; with the rest, the message tells how long the alert fired.",
        play: resolved,
    },
    StepDef {
        kind: StepKind::When,
        pattern: "the page is acknowledged",
        example: "the page is acknowledged",
        doc: "A person takes the page of the alert of the last step: the moment t6 of the timeline. The limits of the following steps do not count from here.",
        play: acknowledged,
    },
    StepDef {
        kind: StepKind::Then,
        pattern: "receiver {string} should not be notified of alert {string}",
        example: "receiver \"slack\" should not be notified of alert \"HighLatencyP95\"",
        doc: "No message to the receiver has spoken of that alert.",
        play: not_notified,
    },
    StepDef {
        kind: StepKind::Then,
        pattern: "receiver {string} should have got {number} message(s)",
        example: "receiver \"slack\" should have got 1 message",
        doc: "The number of messages to the receiver since the game day began.",
        play: count,
    },
];

/// Alertmanager's default group_interval and a minute.
const RESOLVED_LIMIT: Duration = Duration::from_secs(360);

fn notified(world: &mut World, arguments: &Arguments) -> Result<String, StepError> {
    // Which of the optional words were there is told by the words of the step itself.
    let limit = arguments.duration(1)?;
    let words = world.step_text.clone();
    let game = world.game()?;
    let focus = game.focus()?;
    let found = game.wait_for_message(
        arguments.text(0),
        &focus.name,
        MessageStatus::Firing,
        Some(focus.fired_at),
        limit,
    )?;
    let expected = format!(
        "receiver {} notified of {} within {}",
        arguments.text(0),
        focus.name,
        format_duration(limit)
    );
    let Some(message) = found else {
        return Err(StepError::failed(
            expected,
            game.describe_messages(arguments.text(0)),
        ));
    };
    if words.contains(" once ") {
        let rest = limit.saturating_sub(game.unscaled(game.now().since(focus.fired_at)));
        game.play_for(rest)?;
        let of = |message: &&Message| message.status_of(&focus.name) == Some(MessageStatus::Firing);
        let times = game
            .messages_to(arguments.text(0))
            .iter()
            .filter(of)
            .count();
        if times != 1 {
            return Err(StepError::failed(
                format!("{expected}, once"),
                format!("{times} messages"),
            ));
        }
    }
    let mut shown = String::new();
    if words.contains(", with its value, dashboard and runbook") {
        let annotations = &focus.annotations;
        for name in ["value", "dashboard_url", "runbook_url"] {
            let value = annotations.value_of(name);
            if value.is_empty() {
                return Err(StepError::failed(
                    format!("alert {} to have the annotation {name}", focus.name),
                    "it has none",
                ));
            }
            // The value goes on changing while the alert fires; what must be there is the one of the evaluation that fired.
            if !message.shows(value) {
                let observed = format!(
                    "the message does not show {value:?}: {}",
                    excerpt(&message.readable())
                );
                return Err(StepError::failed(
                    format!("{expected}, with its {name}"),
                    observed,
                ));
            }
        }
        shown = format!(
            ", showing {:?}, the dashboard and {}",
            annotations.value_of("value"),
            annotations.value_of("runbook_url")
        );
    }
    Ok(format!(
        "told {} after it fired{shown}",
        format_duration(message.at.since(focus.fired_at))
    ))
}

fn notified_of(world: &mut World, arguments: &Arguments) -> Result<String, StepError> {
    let limit = arguments.duration(2)?;
    let name = arguments.text(1).to_owned();
    let game = world.game()?;
    game.alert_rule(&name)?;
    let fired_at = game.fired_at(&name);
    let from = fired_at.unwrap_or_else(|| game.now());
    match game.wait_for_message(
        arguments.text(0),
        &name,
        MessageStatus::Firing,
        Some(from),
        limit,
    )? {
        Some(message) => Ok(format!(
            "told {} after it fired",
            format_duration(message.at.since(from))
        )),
        None => {
            let expected = format!(
                "receiver {} notified of {name} within {}",
                arguments.text(0),
                format_duration(limit)
            );
            Err(StepError::failed(
                expected,
                game.describe_messages(arguments.text(0)),
            ))
        }
    }
}

fn resolved(world: &mut World, arguments: &Arguments) -> Result<String, StepError> {
    let limit = if arguments.len() > 1 {
        arguments.duration(1)?
    } else {
        RESOLVED_LIMIT
    };
    let words = world.step_text.clone();
    let game = world.game()?;
    let focus = game.focus()?;
    let from = game.now();
    match game.wait_for_message(
        arguments.text(0),
        &focus.name,
        MessageStatus::Resolved,
        None,
        limit,
    )? {
        Some(message) => {
            let mut shown = String::new();
            if words.ends_with(", with its duration") {
                let lasted = game.lasted(&focus).unwrap_or_default();
                // The wall clock has fractions of seconds, which every template rounds in its own way.
                if game.is_virtual() && !message.shows(&go_duration(lasted)) {
                    return Err(StepError::failed(
                        format!("the message to tell that it lasted {}", go_duration(lasted)),
                        excerpt(&message.readable()),
                    ));
                }
                shown = format!(", showing that it lasted {}", go_duration(lasted));
            }
            Ok(format!(
                "told at {}, {} after it fired{shown}",
                message.at,
                format_duration(message.at.since(focus.fired_at))
            ))
        }
        None => {
            let waited = format_duration(game.now().since(from));
            let expected = format!(
                "receiver {} told that {} is resolved within {waited}",
                arguments.text(0),
                focus.name
            );
            Err(StepError::failed(
                expected,
                game.describe_messages(arguments.text(0)),
            ))
        }
    }
}

fn acknowledged(world: &mut World, _: &Arguments) -> Result<String, StepError> {
    let game = world.game()?;
    let focus = game.focus()?;
    let told = |message: &Message| message.status_of(&focus.name) == Some(MessageStatus::Firing);
    if !game.receivers().accepted().iter().any(told) {
        let expected = format!("a page about {} to acknowledge", focus.name);
        return Err(StepError::failed(
            expected,
            "no receiver was notified of it",
        ));
    }
    game.note(gameday_signal::EventKind::Acknowledged {
        alert: focus.name.clone(),
    });
    Ok(format!(
        "{} {} after it fired",
        focus.name,
        format_duration(game.now().since(focus.fired_at))
    ))
}

fn not_notified(world: &mut World, arguments: &Arguments) -> Result<String, StepError> {
    let (receiver, name) = (arguments.text(0), arguments.text(1));
    let game = world.game()?;
    game.alert_rule(name)?;
    game.check_receiver(receiver)?;
    match game
        .messages_to(receiver)
        .iter()
        .find(|message| message.status_of(name).is_some())
    {
        Some(message) => Err(StepError::failed(
            format!("no message to {receiver} about {name}"),
            format!("one at {}: {}", message.at, excerpt(&message.readable())),
        )),
        None => Ok(format!("{receiver} heard nothing of {name}")),
    }
}

fn count(world: &mut World, arguments: &Arguments) -> Result<String, StepError> {
    let receiver = arguments.text(0);
    let wanted = arguments.number(1)?;
    let game = world.game()?;
    game.check_receiver(receiver)?;
    let got = game.messages_to(receiver).len();
    if got as f64 == wanted {
        let plural = if got == 1 { "" } else { "s" };
        Ok(format!("{got} message{plural}"))
    } else {
        Err(StepError::failed(
            format!("{wanted} messages to {receiver}"),
            game.describe_messages(receiver),
        ))
    }
}

/// A duration of whole seconds as templates print it (Go's `time.Duration`): `8m15s`.
fn go_duration(duration: Duration) -> String {
    let secs = duration.as_secs();
    match (secs / 3600, secs / 60 % 60, secs % 60) {
        (0, 0, secs) => format!("{secs}s"),
        (0, minutes, secs) => format!("{minutes}m{secs}s"),
        (hours, minutes, secs) => format!("{hours}h{minutes}m{secs}s"),
    }
}

/// The beginning of a message, on one line.
fn excerpt(text: &str) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let cut: String = line.chars().take(200).collect();
    if cut.len() < line.len() {
        format!("{cut}…")
    } else {
        cut
    }
}

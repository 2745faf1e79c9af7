//! Steps about the way of a message to its receiver: failed attempts, what arrived in the end, and what was put into one message.

use gameday_signal::{Timestamp, format_duration};

use super::{Arguments, StepDef, StepKind};
use crate::game::Focus;
use crate::receivers::{Message, MessageStatus};
use crate::world::{StepError, World};

pub(super) const STEPS: &[StepDef] = &[
    StepDef {
        kind: StepKind::Then,
        pattern: "an attempt to notify receiver {string} of it should fail within {duration}",
        example: "an attempt to notify receiver \"slack\" of it should fail within 1 minute",
        doc: "A message about the alert of the last step is refused by the receiver or not answered, counted from its firing.",
        play: fails,
    },
    StepDef {
        kind: StepKind::Then,
        pattern: "receiver {string} should be notified of it after at least {number} failed attempt(s) within {duration}",
        example: "receiver \"slack\" should be notified of it after at least 3 failed attempts within 5 minutes",
        doc: "The receiver takes a message that says that the alert of the last step fires, counted from its firing, and refused or did not answer so many before. Tells each attempt with its moment.",
        play: arrives,
    },
    StepDef {
        kind: StepKind::Then,
        pattern: "receiver {string} should not be notified of it for {duration}",
        example: "receiver \"slack\" should not be notified of it for 10 minutes",
        doc: "Lets time pass and proves that the receiver takes no message that the alert of the last step fires.",
        play: silent_of_it,
    },
    StepDef {
        kind: StepKind::Then,
        pattern: "receiver {string} should not be notified of alert {string} for {duration}",
        example: "receiver \"slack\" should not be notified of alert \"ServiceDown\" for 10 minutes",
        doc: "The same, for an alert by name.",
        play: silent,
    },
    StepDef {
        kind: StepKind::Then,
        pattern: "receiver {string} should be told in one message within {duration} of",
        example: "receiver \"slack\" should be told in one message within 1 minute of",
        doc: "Counted from the last When, the receiver takes one message that tells of every alert of the table: its name, and further cells as label and value (| ServiceDown | instance | users:8080 |).",
        play: grouped,
    },
];

fn is_of(message: &Message, focus: &Focus) -> bool {
    message.at >= focus.fired_at && message.status_of(&focus.name) == Some(MessageStatus::Firing)
}

/// Attempts in words: `refused with 500 at +30s; accepted at +32s`, counted from `from`.
fn told(attempts: &[Message], from: Timestamp) -> String {
    let one = |message: &Message| {
        let after = format_duration(message.at.since(from));
        format!("{} at +{after}", message.outcome())
    };
    attempts.iter().map(one).collect::<Vec<_>>().join("; ")
}

fn fails(world: &mut World, arguments: &Arguments) -> Result<String, StepError> {
    let receiver = arguments.text(0);
    let limit = arguments.duration(1)?;
    let game = world.game()?;
    let focus = game.focus()?;
    let failed = |message: &Message| is_of(message, &focus) && !message.is_accepted();
    let found = game.wait_for_attempt(receiver, focus.fired_at, limit, failed)?;
    match found {
        Some(message) => Ok(told(&[message], focus.fired_at)),
        None => {
            let expected = format!(
                "an attempt to notify {receiver} of {} to fail within {}",
                focus.name,
                format_duration(limit)
            );
            Err(StepError::failed(
                expected,
                game.describe_messages(receiver),
            ))
        }
    }
}

fn arrives(world: &mut World, arguments: &Arguments) -> Result<String, StepError> {
    let receiver = arguments.text(0);
    let wanted = arguments.number(1)?;
    let limit = arguments.duration(2)?;
    let game = world.game()?;
    let focus = game.focus()?;
    let taken = |message: &Message| is_of(message, &focus) && message.is_accepted();
    let found = game.wait_for_attempt(receiver, focus.fired_at, limit, taken)?;
    let attempts: Vec<Message> = game
        .attempts_to(receiver)
        .into_iter()
        .filter(|message| is_of(message, &focus))
        .collect();
    let way = told(&attempts, focus.fired_at);
    let expected = format!(
        "{receiver} notified of {} within {} after at least {wanted} failed attempts",
        focus.name,
        format_duration(limit)
    );
    let Some(message) = found else {
        let observed = if attempts.is_empty() {
            game.describe_messages(receiver)
        } else {
            format!("it took none of {} attempts: {way}", attempts.len())
        };
        return Err(StepError::failed(expected, observed));
    };
    let failed = attempts
        .iter()
        .filter(|own| !own.is_accepted() && own.at <= message.at)
        .count();
    if (failed as f64) < wanted {
        return Err(StepError::failed(
            expected,
            format!("{failed} failed attempts: {way}"),
        ));
    }
    Ok(format!("{failed} failed attempts, then it arrived: {way}"))
}

fn silent_of_it(world: &mut World, arguments: &Arguments) -> Result<String, StepError> {
    let name = world.game()?.focus()?.name;
    stays_silent(world, arguments.text(0), &name, arguments.duration(1)?)
}

fn silent(world: &mut World, arguments: &Arguments) -> Result<String, StepError> {
    let (receiver, name) = (arguments.text(0), arguments.text(1));
    stays_silent(world, receiver, name, arguments.duration(2)?)
}

fn stays_silent(
    world: &mut World,
    receiver: &str,
    name: &str,
    duration: std::time::Duration,
) -> Result<String, StepError> {
    let game = world.game()?;
    game.alert_rule(name)?;
    let from = game.now();
    let speaks = |message: &Message| {
        message.at >= from
            && message.is_accepted()
            && message.status_of(name) == Some(MessageStatus::Firing)
    };
    match game.wait_for_attempt(receiver, from, duration, speaks)? {
        None => Ok(format!(
            "{receiver} heard nothing of {name} for {}",
            format_duration(duration)
        )),
        Some(message) => {
            let expected = format!(
                "{receiver} to hear nothing of {name} for {}",
                format_duration(duration)
            );
            let after = format_duration(message.at.since(from));
            Err(StepError::failed(
                expected,
                format!("a message after {after}, at {}", message.at),
            ))
        }
    }
}

fn grouped(world: &mut World, arguments: &Arguments) -> Result<String, StepError> {
    let receiver = arguments.text(0);
    let limit = arguments.duration(1)?;
    let alerts = arguments.alerts()?;
    let game = world.game()?;
    for (name, _) in &alerts {
        game.alert_rule(name)?;
        game.expect_alert(name);
    }
    let from = game.acted_at();
    let tells_all = |message: &Message| {
        message.at >= from
            && message.is_accepted()
            && alerts
                .iter()
                .all(|(name, labels)| message.tells_of(name, labels))
    };
    match game.wait_for_attempt(receiver, from, limit, tells_all)? {
        Some(message) => {
            let after = format_duration(message.at.since(from));
            Ok(format!("one message after {after} tells of all of them"))
        }
        None => {
            let wanted: Vec<String> = alerts
                .iter()
                .map(|(name, labels)| {
                    let labels = labels
                        .iter()
                        .map(|(label, value)| format!(" {label}={value}"));
                    format!("{name}{}", labels.collect::<String>())
                })
                .collect();
            let expected = format!(
                "one message to {receiver} within {} about {}",
                format_duration(limit),
                wanted.join(", ")
            );
            Err(StepError::failed(
                expected,
                game.describe_messages(receiver),
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_of_a_message_is_told() {
        let at = |secs: i64, answered| Message {
            at: Timestamp::from_secs(secs),
            receiver: "slack".to_owned(),
            integration: "slack".to_owned(),
            body: String::new(),
            answered,
        };
        let attempts = [at(130, Some(500)), at(131, None), at(132, Some(200))];
        assert_eq!(
            told(&attempts, Timestamp::from_secs(100)),
            "refused with 500 at +30s; no answer at +31s; accepted at +32s"
        );
    }
}

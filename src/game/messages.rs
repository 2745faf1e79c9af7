//! What the receivers of a game got.

use std::time::Duration;

use gameday_signal::{Event, EventKind};

use super::{Focus, Game};
use crate::receivers::Message;

impl Game {
    /// How long an alert fired, once it is resolved.
    pub fn lasted(&self, focus: &Focus) -> Option<Duration> {
        let of = |event: Event| match event.kind {
            EventKind::AlertResolved { labels, fired_at } if labels == focus.labels => {
                Some(event.at.since(fired_at))
            }
            _ => None,
        };
        self.events().into_iter().rev().find_map(of)
    }

    /// The messages to that receiver.
    pub fn messages_to(&self, receiver: &str) -> Vec<Message> {
        self.receivers
            .accepted()
            .into_iter()
            .filter(|message| message.receiver == receiver)
            .collect()
    }

    /// Every attempt to notify that receiver, accepted or not.
    pub fn attempts_to(&self, receiver: &str) -> Vec<Message> {
        let attempts = self.receivers.attempts().into_iter();
        attempts
            .filter(|message| message.receiver == receiver)
            .collect()
    }

    /// What a receiver got, in a line, for a step that wanted something else.
    pub fn describe_messages(&self, receiver: &str) -> String {
        let messages = self.messages_to(receiver);
        if messages.is_empty() {
            let others = self.receivers.accepted().len();
            let failed = self.attempts_to(receiver).len();
            return format!(
                "{receiver} took no message, {failed} attempts failed ({others} went to other receivers)"
            );
        }
        let of = |message: &Message| {
            let text: String = message
                .readable()
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ");
            format!(
                "{}: {}",
                message.at,
                text.chars().take(120).collect::<String>()
            )
        };
        format!(
            "{receiver} got {}: {}",
            messages.len(),
            messages.iter().map(of).collect::<Vec<_>>().join("; ")
        )
    }
}

//! The stack's own receivers: every message that Alertmanager sends, as its receiver sees it.
//!
//! ```text
//!   Notifier --each attempt--> Inbox --Seen--> GET /receivers (a page), GET /receivers/messages (JSON)
//!   anybody --POST /receivers/NAME--^
//! ```
//!
//! Invariants: the newest messages are kept, within limits of number and bytes, and what was dropped is counted; what is kept holds no
//! secret of alertmanager.yml; nothing of it is trusted: it is telemetry, which anybody can write.

mod page;
mod seen;

use std::collections::VecDeque;

use gameday_signal::Timestamp;
use serde::Serialize;

pub(crate) use page::page;
pub(crate) use seen::{Seen, seen};

/// A message to a receiver.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InboxMessage {
    /// Counts from 1.
    pub(crate) number: u64,
    /// The engine's number of it: another attempt takes the place of the one before.
    #[serde(skip)]
    pub(crate) notification: Option<u64>,
    /// When it arrived, or when it could not be delivered.
    #[serde(serialize_with = "as_text")]
    pub(crate) at: Timestamp,
    /// The receiver of alertmanager.yml.
    pub(crate) receiver: String,
    /// The kind of integration (`slack`, `webhook`, ...).
    pub(crate) integration: String,
    /// `firing` or `resolved`; empty where nobody knows.
    pub(crate) status: String,
    /// What became of it.
    pub(crate) delivery: Delivery,
    /// Which attempt it was, from 1.
    pub(crate) attempt: u32,
    /// What was sent.
    pub(crate) payload: String,
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub(crate) enum Delivery {
    /// It is kept here and goes nowhere else.
    Kept,
    /// Its service has taken it.
    Sent,
    /// It was posted to the stack's own receiver.
    Received,
    /// It could not be delivered and is tried again.
    Retried {
        /// Why.
        error: String,
    },
    /// It could not be delivered.
    Failed {
        /// Why.
        error: String,
    },
}

fn as_text<S: serde::Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(at)
}

/// The newest messages.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    messages: VecDeque<Kept>,
    bytes: usize,
    count: u64,
}

/// A message that waits to be looked at.
#[derive(Debug)]
struct Kept {
    /// Without its payload.
    message: InboxMessage,
    /// The payload, compressed: a thousand messages with ten alerts each are megabytes that say the same.
    payload: Box<[u8]>,
}

impl Kept {
    fn new(mut message: InboxMessage) -> Self {
        let payload = std::mem::take(&mut message.payload);
        Self {
            message,
            payload: lz4_flex::compress_prepend_size(payload.as_bytes()).into_boxed_slice(),
        }
    }

    fn message(&self) -> InboxMessage {
        let payload = lz4_flex::decompress_size_prepended(&self.payload)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .expect("invariant: what was compressed here is a text");
        InboxMessage {
            payload,
            ..self.message.clone()
        }
    }
}

/// Messages that are kept.
const MESSAGES_MAX: usize = 1000;
/// Bytes of compressed payload that are kept, of all messages together.
const BYTES_MAX: usize = 32 << 20;
/// Bytes of payload that are kept of one message.
const PAYLOAD_BYTES_MAX: usize = 256 << 10;

impl Inbox {
    /// Keeps a message; its number is given here.
    pub(crate) fn keep(&mut self, mut message: InboxMessage) {
        let is_earlier = |own: &Kept| {
            message.notification.is_some() && own.message.notification == message.notification
        };
        if let Some(place) = self.messages.iter().rposition(is_earlier)
            && let Some(earlier) = self.messages.remove(place)
        {
            self.bytes -= earlier.payload.len();
            message.number = earlier.message.number;
        } else {
            self.count += 1;
            message.number = self.count;
        }
        if message.payload.len() > PAYLOAD_BYTES_MAX {
            let mut end = PAYLOAD_BYTES_MAX;
            while !message.payload.is_char_boundary(end) {
                end -= 1;
            }
            message.payload.truncate(end);
            message.payload.push('…');
        }
        let kept = Kept::new(message);
        self.bytes += kept.payload.len();
        self.messages.push_back(kept);
        while self.messages.len() > MESSAGES_MAX || self.bytes > BYTES_MAX {
            let Some(oldest) = self.messages.pop_front() else {
                return;
            };
            self.bytes -= oldest.payload.len();
        }
    }

    /// The messages to `receiver`, or to all of them, the newest first.
    pub(crate) fn newest<'a>(
        &'a self,
        receiver: Option<&'a str>,
    ) -> impl Iterator<Item = InboxMessage> + 'a {
        self.messages
            .iter()
            .rev()
            .filter(move |own| receiver.is_none_or(|name| own.message.receiver == name))
            .map(Kept::message)
    }

    /// How many messages there were in all.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use gameday_env::Rng;

    use super::*;

    fn message(receiver: &str, payload: String) -> InboxMessage {
        InboxMessage {
            number: 0,
            notification: None,
            at: Timestamp::EPOCH,
            receiver: receiver.to_owned(),
            integration: "webhook".to_owned(),
            status: "firing".to_owned(),
            delivery: Delivery::Kept,
            attempt: 1,
            payload,
        }
    }

    #[test]
    fn the_newest_are_kept_within_limits() {
        let mut inbox = Inbox::default();
        for number in 0..MESSAGES_MAX + 10 {
            let receiver = if number % 2 == 0 { "even" } else { "odd" };
            inbox.keep(message(receiver, number.to_string()));
        }
        assert_eq!(inbox.count(), 1010);
        assert_eq!(inbox.newest(None).count(), MESSAGES_MAX);
        let newest = inbox.newest(Some("odd")).next().expect("one");
        assert_eq!((newest.number, newest.payload.as_str()), (1010, "1009"));
        for _ in 0..2 {
            inbox.keep(message("big", "ü".repeat(PAYLOAD_BYTES_MAX)));
        }
        let big = inbox.newest(Some("big")).next().expect("one");
        assert_eq!(big.payload.len(), PAYLOAD_BYTES_MAX + "…".len());
        assert!(inbox.bytes < 10_000 + 2 * MESSAGES_MAX, "{}", inbox.bytes);
        let attempt = |attempt: u32| InboxMessage {
            notification: Some(7),
            attempt,
            ..message("again", "x".to_owned())
        };
        let count = inbox.count();
        inbox.keep(attempt(1));
        inbox.keep(attempt(2));
        assert_eq!(inbox.count(), count + 1);
        let attempts = inbox.newest(Some("again")).map(|own| own.attempt);
        assert_eq!(attempts.collect::<Vec<_>>(), [2]);
        let mut random = Rng::named(1, "payloads");
        for _ in 0..400 {
            let payload: String = (0..PAYLOAD_BYTES_MAX)
                .map(|_| char::from(random.below(128) as u8))
                .collect();
            inbox.keep(message("noise", payload));
        }
        assert!(inbox.bytes <= BYTES_MAX);
        assert!(inbox.newest(None).count() < 200);
        assert_eq!(
            inbox.bytes,
            inbox
                .messages
                .iter()
                .map(|own| own.payload.len())
                .sum::<usize>()
        );
    }
}

//! A log line on its way into the store.

use gameday_signal::{Labels, Timestamp};

use crate::Metadata;

/// One log line of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// When it happened.
    pub timestamp: Timestamp,
    /// The line, without a line end.
    pub line: String,
    /// Names and values that belong to this line alone (Loki's structured metadata).
    pub metadata: Metadata,
}

impl Entry {
    /// A line without structured metadata.
    pub fn new(timestamp: Timestamp, line: impl Into<String>) -> Self {
        Self {
            timestamp,
            line: line.into(),
            metadata: Metadata::default(),
        }
    }
}

/// Log lines of one stream, as a push request carries them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PushStream {
    /// The stream's labels.
    pub labels: Labels,
    /// Its new lines.
    pub entries: Vec<Entry>,
}

/// What became of a batch of lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// Lines that are now in the store.
    pub accepted: usize,
    /// Lines that were there already, with the same time and the same text; they count as delivered.
    pub duplicates: usize,
    /// Lines that were refused.
    pub rejected: usize,
    /// Why, in Loki's words, once for each kind and stream.
    pub reasons: Vec<Rejection>,
}

impl Appended {
    /// All reasons in one text, as Loki answers a push with status 400; none where nothing was refused.
    pub fn message(&self) -> Option<String> {
        let lines: Vec<&str> = self
            .reasons
            .iter()
            .map(|reason| reason.message.as_str())
            .collect();
        (!lines.is_empty()).then(|| lines.join("\n"))
    }

    /// Whether the only fault was that there were too many streams, which Loki answers with status 429.
    pub fn is_rate_limited(&self) -> bool {
        !self.reasons.is_empty()
            && self
                .reasons
                .iter()
                .all(|reason| reason.reason == "stream_limit")
    }

    pub(crate) fn reject(&mut self, lines: usize, reason: &'static str, message: String) {
        /// A batch of ten thousand bad lines needs no ten thousand messages.
        const REASONS_MAX: usize = 10;
        self.rejected += lines;
        if self.reasons.len() < REASONS_MAX {
            self.reasons.push(Rejection { reason, message });
        }
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.duplicates += other.duplicates;
        let rejected = other.rejected;
        for reason in other.reasons {
            self.reject(0, reason.reason, reason.message);
        }
        self.rejected += rejected;
    }
}

/// Why lines were refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Loki's name of the reason, as in the label `reason` of `loki_discarded_samples_total`.
    pub reason: &'static str,
    /// Loki's message.
    pub message: String,
}

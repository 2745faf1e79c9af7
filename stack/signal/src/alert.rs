//! An alert on its way from a rule to a receiver.

use serde::{Deserialize, Serialize};

use crate::{Labels, Timestamp};

/// What Prometheus posts to Alertmanager.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Its identity; `alertname` is one of them.
    pub labels: Labels,
    /// What a person should read.
    pub annotations: Labels,
    /// When it began to fire.
    pub starts_at: Timestamp,
    /// When it ended, or until when it counts as firing without a further message.
    pub ends_at: Timestamp,
    /// The expression that made it, as a link.
    pub generator_url: String,
}

impl Alert {
    /// The label `alertname`, or the empty text.
    pub fn name(&self) -> &str {
        self.labels.value_of("alertname")
    }

    /// Whether it has ended at `now`.
    pub fn resolved_at(&self, now: Timestamp) -> bool {
        self.ends_at <= now
    }
}

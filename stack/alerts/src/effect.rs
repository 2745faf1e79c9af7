//! What the engine wants done, and what it is told of the outcome.

use std::time::Duration;

use gameday_signal::{EventKind, Labels, Timestamp};

use crate::notification_log::NotificationReason;

/// The number of a notification; a retry keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NotificationId(pub u64);

/// Something that the engine wants done or known.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Send this, and report what became of it.
    Notify(Notification),
    /// Alerts were kept from being sent. It is said when it changes, not at every flush of the group.
    Suppressed(Suppressed),
    /// A notification was given up: nobody could deliver it before its deadline. The group tries again at its next flush.
    GaveUp {
        /// Which one.
        id: NotificationId,
        /// Whom it was meant for.
        integration: IntegrationRef,
        /// How often it was tried.
        attempts: u32,
        /// What went wrong last.
        error: String,
    },
}

/// One integration of one receiver.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct IntegrationRef {
    /// The receiver of alertmanager.yml.
    pub receiver: String,
    /// The kind of integration (`slack`, `webhook`, ...).
    pub kind: &'static str,
    /// Which one of its kind in the receiver, from 0.
    pub index: usize,
}

impl std::fmt::Display for IntegrationRef {
    /// As Alertmanager's log names it: `receiver/kind[index]`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}[{}]", self.receiver, self.kind, self.index)
    }
}

/// A message to one integration about one group.
#[derive(Clone, Debug, PartialEq)]
pub struct Notification {
    /// Its number.
    pub id: NotificationId,
    /// Whom it is for.
    pub integration: IntegrationRef,
    /// The group: its route and its labels.
    pub group_key: String,
    /// The labels that make the group.
    pub group_labels: Labels,
    /// The labels of the route, templates not yet expanded.
    pub route_labels: Labels,
    /// Why it is sent.
    pub reason: NotificationReason,
    /// How the service named the last message about the group, if it did and this one continues it.
    pub receipt: Option<String>,
    /// The alerts in it, sorted.
    pub alerts: Vec<NotifiedAlert>,
    /// The flush that it belongs to.
    pub flushed_at: Timestamp,
    /// Which try this is, from 1.
    pub attempt: u32,
    /// When the engine gives it up; a request that takes longer should be aborted then.
    pub deadline: Timestamp,
}

impl Notification {
    /// Whether anything in it fires.
    pub fn is_firing(&self) -> bool {
        self.alerts.iter().any(|alert| alert.ends_at.is_none())
    }

    /// `firing` or `resolved`.
    pub fn status(&self) -> &'static str {
        if self.is_firing() {
            "firing"
        } else {
            "resolved"
        }
    }

    /// The journal's entry for its delivery; `payload` is the message as it was sent.
    pub fn delivered_event(&self, payload: String) -> EventKind {
        let labels = |is_resolved: bool| {
            self.alerts
                .iter()
                .filter(|alert| alert.ends_at.is_some() == is_resolved)
                .map(|alert| alert.labels.clone())
                .collect()
        };
        EventKind::Notified {
            receiver: self.integration.receiver.clone(),
            integration: self.integration.kind.to_owned(),
            status: self.status().to_owned(),
            group_labels: self.group_labels.clone(),
            firing: labels(false),
            resolved: labels(true),
            payload,
        }
    }

    /// The alerts that fire.
    pub fn firing(&self) -> impl Iterator<Item = &NotifiedAlert> {
        self.alerts.iter().filter(|alert| alert.ends_at.is_none())
    }

    /// The alerts that are resolved.
    pub fn resolved(&self) -> impl Iterator<Item = &NotifiedAlert> {
        self.alerts.iter().filter(|alert| alert.ends_at.is_some())
    }
}

/// An alert in a message.
#[derive(Clone, Debug, PartialEq)]
pub struct NotifiedAlert {
    /// Its identity.
    pub labels: Labels,
    /// What a person should read.
    pub annotations: Labels,
    /// When it began to fire.
    pub starts_at: Timestamp,
    /// When it ended, if it did.
    pub ends_at: Option<Timestamp>,
    /// The expression that made it, as a link.
    pub generator_url: String,
}

impl NotifiedAlert {
    /// `firing` or `resolved`.
    pub fn status(&self) -> &'static str {
        if self.ends_at.is_some() {
            "resolved"
        } else {
            "firing"
        }
    }
}

/// Why alerts are kept from being sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SuppressedBy {
    /// Other alerts inhibit them: one fingerprint for each of them.
    Inhibition(Vec<u64>),
    /// The route is outside of all of these intervals.
    ActiveTimeIntervals(Vec<String>),
    /// The route is within these intervals.
    MuteTimeIntervals(Vec<String>),
    /// These silences.
    Silences(Vec<String>),
}

impl SuppressedBy {
    /// The word for the journal: `inhibited`, `muted` or `silenced`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Inhibition(_) => "inhibited",
            Self::ActiveTimeIntervals(_) | Self::MuteTimeIntervals(_) => "muted",
            Self::Silences(_) => "silenced",
        }
    }
}

/// Alerts of one group that were kept from being sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suppressed {
    /// Whom they were meant for.
    pub receiver: String,
    /// The group.
    pub group_key: String,
    /// The labels that make the group.
    pub group_labels: Labels,
    /// The alerts.
    pub alerts: Vec<Labels>,
    /// Why.
    pub by: SuppressedBy,
}

impl Effect {
    /// The journal's entry for it; None for a notification, whose entry is made when it is delivered.
    pub fn event(&self) -> Option<EventKind> {
        match self {
            Self::Notify(_) => None,
            Self::Suppressed(suppressed) => Some(EventKind::NotificationMuted {
                receiver: suppressed.receiver.clone(),
                alerts: suppressed.alerts.clone(),
                reason: suppressed.by.as_str().to_owned(),
            }),
            Self::GaveUp {
                integration,
                attempts,
                error,
                ..
            } => Some(EventKind::NotificationFailed {
                receiver: integration.receiver.clone(),
                integration: integration.kind.to_owned(),
                error: format!("given up after {attempts} attempts: {error}"),
            }),
        }
    }
}

/// What became of a notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was accepted.
    Delivered,
    /// It was accepted, and the service named the message: the next message about the group gets the name, so that it can change
    /// the old one instead of adding another.
    DeliveredAs {
        /// The name, as the integration reads it again.
        receipt: String,
    },
    /// It was not, and another try may help.
    Retry {
        /// Not before this has passed (`Retry-After`).
        after: Option<Duration>,
        /// What went wrong.
        error: String,
    },
    /// It was not, and another try will not help.
    Failed {
        /// What went wrong.
        error: String,
    },
}

/// What the engine makes of an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// The receiver knows now.
    Done,
    /// It is tried again then.
    RetryAt(Timestamp),
    /// There is no time for another try; it is given up at its deadline, which is then.
    GiveUpAt(Timestamp),
    /// It failed for good; the group tries again at its next flush.
    Failed,
    /// The engine no longer waits for it: it was given up, or the configuration was reloaded. After a reload a delivery is still
    /// noted, so that it is not repeated.
    Late,
}

//! What the HTTP API says about rules and alerts (`/api/v1/rules`, `/api/v1/alerts`).

use std::time::Duration;

use gameday_signal::{Labels, Timestamp};

use crate::alerting::{ActiveAlert, AlertState};
use crate::group::{Group, Rule};

/// Whether the last evaluation of a rule went well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It has not been evaluated.
    Unknown,
    /// It went well.
    Ok,
    /// It failed.
    Bad,
}

impl Health {
    /// The word that the HTTP API uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Ok => "ok",
            Self::Bad => "err",
        }
    }
}

/// A group as the HTTP API shows it.
#[derive(Clone, Debug)]
pub struct GroupStatus {
    /// Its name.
    pub name: String,
    /// Its file.
    pub file: String,
    /// The language of its expressions.
    pub language: crate::Language,
    /// How often it is evaluated.
    pub interval: Duration,
    /// How many series or alerts one of its rules may give; 0 is no limit.
    pub limit: usize,
    /// Its rules in order.
    pub rules: Vec<RuleStatus>,
    /// Its last slot.
    pub last_evaluation: Option<Timestamp>,
    /// Its next slot.
    pub next_evaluation: Timestamp,
    /// Slots that were skipped because the one before took too long.
    pub missed_iterations: u64,
}

/// A rule as the HTTP API shows it.
#[derive(Clone, Debug)]
pub struct RuleStatus {
    /// Its name.
    pub name: String,
    /// Its expression as the engine writes it.
    pub query: String,
    /// Its labels, as templates.
    pub labels: Labels,
    /// Whether its last evaluation went well.
    pub health: Health,
    /// What went wrong in it.
    pub last_error: Option<String>,
    /// When it was last evaluated.
    pub last_evaluation: Option<Timestamp>,
    /// What an alerting rule has beyond that; none for a recording rule.
    pub alerting: Option<AlertingStatus>,
}

/// What an alerting rule has beyond a recording rule.
#[derive(Clone, Debug)]
pub struct AlertingStatus {
    /// The state of the alert that has come furthest.
    pub state: AlertState,
    /// Its `for`.
    pub hold: Duration,
    /// Its `keep_firing_for`.
    pub keep_firing_for: Duration,
    /// Its annotations, as templates.
    pub annotations: Labels,
    /// Its pending and firing alerts, sorted by label.
    pub alerts: Vec<ActiveAlert>,
}

impl GroupStatus {
    pub(crate) fn of(group: &Group) -> Self {
        Self {
            name: group.definition.name.clone(),
            file: group.file.clone(),
            language: group.language,
            interval: group.interval,
            limit: group.definition.limit,
            rules: group.rules.iter().map(RuleStatus::of).collect(),
            last_evaluation: group.last_slot,
            next_evaluation: group.next_slot,
            missed_iterations: group.missed,
        }
    }
}

impl RuleStatus {
    fn of(rule: &Rule) -> Self {
        Self {
            name: rule.definition.name.clone(),
            query: rule.canonical.clone(),
            labels: Labels::new(
                rule.definition
                    .labels
                    .iter()
                    .map(|(name, value)| (name, value)),
            ),
            health: rule.health,
            last_error: rule.last_error.clone(),
            last_evaluation: rule.last_evaluation,
            alerting: rule.alerting.as_ref().map(|alerting| AlertingStatus {
                state: alerting.state(),
                hold: alerting.hold,
                keep_firing_for: alerting.keep_firing_for,
                annotations: Labels::new(
                    alerting
                        .annotations
                        .iter()
                        .map(|(name, value)| (name, value)),
                ),
                alerts: active(alerting.active.values()),
            }),
        }
    }
}

/// The alerts that are pending or firing.
fn active<'a>(alerts: impl Iterator<Item = &'a ActiveAlert>) -> Vec<ActiveAlert> {
    alerts
        .filter(|alert| alert.state != AlertState::Inactive)
        .cloned()
        .collect()
}

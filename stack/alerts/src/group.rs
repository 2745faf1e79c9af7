//! An aggregation group: the alerts of one route that are told in one message.

use std::collections::BTreeMap;
use std::sync::Arc;

use gameday_signal::{Labels, Timestamp};

use crate::alert::{StoredAlert, compare_alerts};
use crate::effect::{NotifiedAlert, SuppressedBy};

/// A group's identity: the node of the routing tree and the fingerprint of the group labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GroupId {
    pub(crate) route: usize,
    pub(crate) labels: u64,
}

/// The alerts of one route that are told in one message.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) labels: Labels,
    /// The route's key and the group labels: the group's name in the notification log.
    pub(crate) key: String,
    pub(crate) alerts: BTreeMap<u64, Arc<StoredAlert>>,
    /// When it is flushed next; a timer at any other moment is void.
    pub(crate) next_flush: Timestamp,
    /// The flush that still waits for integrations.
    pub(crate) flush: Option<Flush>,
    /// Whether a flush fell due while another one was waiting.
    pub(crate) overdue: bool,
    /// The time intervals that muted the last flush.
    pub(crate) muted_by: Vec<String>,
    /// What was kept from being sent at the last flush, so that a change can be told from a repetition.
    pub(crate) suppressed: Vec<(SuppressedBy, Vec<Labels>)>,
}

/// A flush that waits for its integrations.
#[derive(Clone, Debug)]
pub(crate) struct Flush {
    /// When what is not delivered is given up.
    pub(crate) deadline: Timestamp,
    /// The alerts that were resolved, with the moment of their last update.
    pub(crate) resolved: Vec<(u64, Timestamp)>,
    /// How many integrations have not answered.
    pub(crate) pending: usize,
    /// Whether one of them failed.
    pub(crate) failed: bool,
}

impl Group {
    pub(crate) fn new(labels: Labels, route_key: &str, first_flush: Timestamp) -> Self {
        let key = format!("{route_key}:{labels}");
        Self {
            labels,
            key,
            alerts: BTreeMap::new(),
            next_flush: first_flush,
            flush: None,
            overdue: false,
            muted_by: Vec::new(),
            suppressed: Vec::new(),
        }
    }

    /// The alerts as they would be told at `now`, sorted.
    pub(crate) fn batch(&self, now: Timestamp) -> Vec<NotifiedAlert> {
        let mut batch: Vec<_> = self
            .alerts
            .values()
            .map(|alert| NotifiedAlert {
                labels: alert.labels.clone(),
                annotations: alert.annotations.clone(),
                starts_at: alert.starts_at,
                ends_at: alert.resolved_at(now).then_some(alert.ends_at),
                generator_url: alert.generator_url.clone(),
            })
            .collect();
        batch.sort_by(|one, other| compare_alerts(&one.labels, &other.labels));
        batch
    }

    /// The alerts that are resolved at `now`, with the moment of their last update.
    pub(crate) fn resolved(&self, now: Timestamp) -> Vec<(u64, Timestamp)> {
        self.alerts
            .iter()
            .filter(|(_, alert)| alert.resolved_at(now))
            .map(|(fingerprint, alert)| (*fingerprint, alert.updated_at))
            .collect()
    }

    /// Forgets resolved alerts that everybody knows of, unless they were posted again meanwhile.
    pub(crate) fn forget(&mut self, resolved: &[(u64, Timestamp)]) {
        for (fingerprint, updated_at) in resolved {
            if self
                .alerts
                .get(fingerprint)
                .is_some_and(|alert| alert.updated_at == *updated_at)
            {
                self.alerts.remove(fingerprint);
            }
        }
    }
}

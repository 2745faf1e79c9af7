//! The notification log: what each receiver was last told about each group, so that nothing is said twice.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use gameday_signal::Timestamp;
use serde::{Deserialize, Serialize};

/// One integration of one receiver, told about one group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct LogKey {
    pub(crate) group_key: String,
    pub(crate) receiver: String,
    pub(crate) integration: String,
    pub(crate) index: usize,
}

/// What it was last told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LogEntry {
    /// The fingerprints of the alerts that fired.
    pub(crate) firing: BTreeSet<u64>,
    /// The fingerprints of the alerts that were resolved.
    pub(crate) resolved: BTreeSet<u64>,
    /// When the message was accepted.
    pub(crate) told_at: Timestamp,
    /// When the entry is forgotten.
    pub(crate) expires_at: Timestamp,
    /// How the service named the message.
    #[serde(default)]
    pub(crate) receipt: Option<String>,
}

/// Why a message is sent; the texts are those of Alertmanager's `.NotificationReason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NotificationReason {
    /// The receiver knows nothing of the group yet.
    FirstNotification,
    /// Alerts fire that it does not know of.
    NewAlerts,
    /// Some alerts are resolved while others fire.
    SomeResolved,
    /// Nothing fires any longer.
    AllResolved,
    /// Nothing has changed for `repeat_interval`.
    Repeat,
}

impl NotificationReason {
    /// The text for templates.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FirstNotification => "first notification",
            Self::NewAlerts => "new alerts added",
            Self::SomeResolved => "some alerts resolved",
            Self::AllResolved => "all alerts resolved",
            Self::Repeat => "repeat interval elapsed",
        }
    }
}

/// How long an entry is kept at most (Alertmanager's `--data.retention`).
const RETENTION: Duration = Duration::from_secs(120 * 3600);

/// All entries.
#[derive(Clone, Debug, Default)]
pub(crate) struct NotificationLog {
    entries: BTreeMap<LogKey, LogEntry>,
    /// Counts changes.
    pub(crate) generation: u64,
}

impl NotificationLog {
    /// Why the receiver has to be told that these alerts fire and those are resolved; None if it has not.
    pub(crate) fn reason_to_notify(
        &self,
        key: &LogKey,
        firing: &BTreeSet<u64>,
        resolved: &BTreeSet<u64>,
        send_resolved: bool,
        repeat_interval: Duration,
        now: Timestamp,
    ) -> Option<NotificationReason> {
        let Some(entry) = self.entries.get(key) else {
            return (!firing.is_empty()).then_some(NotificationReason::FirstNotification);
        };
        if !firing.is_subset(&entry.firing) {
            return Some(if entry.firing.is_empty() {
                NotificationReason::FirstNotification
            } else {
                NotificationReason::NewAlerts
            });
        }
        if firing.is_empty() {
            // Also without send_resolved, so that the log forgets what fired.
            return (!entry.firing.is_empty()).then_some(NotificationReason::AllResolved);
        }
        if send_resolved && !resolved.is_subset(&entry.resolved) {
            return Some(NotificationReason::SomeResolved);
        }
        (entry.told_at < now - repeat_interval).then_some(NotificationReason::Repeat)
    }

    /// How the service named the last message to this receiver about this group.
    pub(crate) fn receipt(&self, key: &LogKey) -> Option<String> {
        self.entries.get(key)?.receipt.clone()
    }

    /// Takes note that the receiver knows now.
    pub(crate) fn set(
        &mut self,
        key: LogKey,
        firing: BTreeSet<u64>,
        resolved: BTreeSet<u64>,
        receipt: Option<String>,
        repeat_interval: Duration,
        now: Timestamp,
    ) {
        self.generation += 1;
        let kept = RETENTION.min(repeat_interval.saturating_mul(2));
        self.entries.insert(
            key,
            LogEntry {
                firing,
                resolved,
                told_at: now,
                expires_at: now + kept,
                receipt,
            },
        );
    }

    /// Forgets entries that have expired.
    pub(crate) fn collect_garbage(&mut self, now: Timestamp) {
        self.entries.retain(|_, entry| entry.expires_at > now);
    }

    /// Whether nobody was told anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All entries, for a snapshot.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&LogKey, &LogEntry)> {
        self.entries.iter()
    }

    /// Takes over entries of a snapshot.
    pub(crate) fn restore(&mut self, entries: Vec<(LogKey, LogEntry)>) {
        self.entries.extend(entries);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(
        entry: Option<(&[u64], &[u64])>,
        firing: &[u64],
        resolved: &[u64],
        send_resolved: bool,
        now: i64,
        expected: Option<NotificationReason>,
    ) {
        let key = LogKey {
            group_key: "{}:{}".to_owned(),
            receiver: "r".to_owned(),
            integration: "webhook".to_owned(),
            index: 0,
        };
        let set = |fingerprints: &[u64]| fingerprints.iter().copied().collect::<BTreeSet<_>>();
        let repeat = Duration::from_secs(100);
        let mut log = NotificationLog::default();
        if let Some((firing, resolved)) = entry {
            log.set(
                key.clone(),
                set(firing),
                set(resolved),
                None,
                repeat,
                Timestamp::EPOCH,
            );
        }
        let now = Timestamp::from_secs(now);
        let reason = log.reason_to_notify(
            &key,
            &set(firing),
            &set(resolved),
            send_resolved,
            repeat,
            now,
        );
        assert_eq!(reason, expected, "{entry:?} {firing:?} {resolved:?} {now}");
    }

    #[test]
    fn what_makes_a_message() {
        use NotificationReason::{AllResolved, FirstNotification, NewAlerts, Repeat, SomeResolved};
        check(None, &[1], &[], true, 1, Some(FirstNotification));
        // Who fired and resolved before anyone was told is never mentioned.
        check(None, &[], &[1], true, 1, None);
        check(Some((&[1], &[])), &[1, 2], &[], true, 1, Some(NewAlerts));
        check(
            Some((&[], &[1])),
            &[2],
            &[],
            true,
            1,
            Some(FirstNotification),
        );
        check(
            Some((&[1, 2], &[])),
            &[1],
            &[2],
            true,
            1,
            Some(SomeResolved),
        );
        check(Some((&[1, 2], &[])), &[1], &[2], false, 1, None);
        check(Some((&[1], &[])), &[], &[1], true, 1, Some(AllResolved));
        // The log has to forget, whoever is told.
        check(Some((&[1], &[])), &[], &[1], false, 1, Some(AllResolved));
        check(Some((&[], &[1])), &[], &[1], true, 1, None);
        // Strictly after the repeat interval.
        check(Some((&[1], &[])), &[1], &[], true, 100, None);
        check(Some((&[1], &[])), &[1], &[], true, 101, Some(Repeat));
    }
}

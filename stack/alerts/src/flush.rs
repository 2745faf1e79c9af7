//! A flush: what of a group is told now, and to whom.

use std::collections::BTreeSet;
use std::time::Duration;

use gameday_signal::{Labels, Timestamp};

use crate::delivery::InFlight;
use crate::effect::{
    Effect, Notification, NotificationId, NotifiedAlert, Suppressed, SuppressedBy,
};
use crate::engine::{Alertmanager, Timer};
use crate::group::{Flush, GroupId};
use crate::notification_log::LogKey;

/// A flush has at least this long to deliver (Alertmanager's `notify.MinTimeout`).
const MIN_FLUSH_TIMEOUT: Duration = Duration::from_secs(10);

/// Where an alert goes, and what keeps it quiet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Standing {
    pub(crate) receivers: BTreeSet<String>,
    pub(crate) groups: BTreeSet<String>,
    pub(crate) inhibited_by: Option<String>,
    pub(crate) silenced_by: Option<String>,
    /// Only where all its routes are mute.
    pub(crate) muted_by: Option<String>,
}

impl Alertmanager {
    pub(crate) fn flush(&mut self, id: GroupId, now: Timestamp, effects: &mut Vec<Effect>) {
        let options = &self.tree.node(id.route).options;
        let (receiver, interval) = (options.receiver.clone(), options.group_interval);
        let Some(group) = self.groups.get_mut(&id) else {
            return;
        };
        if group.flush.is_some() {
            group.overdue = true;
            return;
        }
        group.next_flush = now + interval;
        group.overdue = false;
        let next_flush = group.next_flush;
        let deadline = now + interval.max(MIN_FLUSH_TIMEOUT);
        let resolved = group.resolved(now);
        let batch = group.batch(now);
        let batch = self.suppress(id, batch, now, effects);
        let sent = if batch.is_empty() {
            Vec::new()
        } else {
            self.notifications(id, &receiver, &batch, deadline, now)
        };
        let pending = sent.len();
        effects.extend(sent.into_iter().map(Effect::Notify));
        let Some(group) = self.groups.get_mut(&id) else {
            return;
        };
        group.flush = Some(Flush {
            deadline,
            resolved,
            pending,
            failed: false,
        });
        if pending > 0 {
            self.set_timer(deadline, Timer::FlushTimeout(id));
        }
        self.set_timer(next_flush, Timer::Flush(id));
        if pending == 0 {
            self.finish_flush(id, now);
        }
    }

    /// Takes out of the batch what is inhibited, muted or silenced, in this order.
    fn suppress(
        &mut self,
        id: GroupId,
        batch: Vec<NotifiedAlert>,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) -> Vec<NotifiedAlert> {
        let options = &self.tree.node(id.route).options;
        let mut suppressed: Vec<(SuppressedBy, Vec<Labels>)> = Vec::new();
        let labels_of = |alerts: &[NotifiedAlert]| {
            alerts
                .iter()
                .map(|alert| alert.labels.clone())
                .collect::<Vec<_>>()
        };
        let (mut inhibited, mut sources) = (Vec::new(), Vec::new());
        let mut kept = Vec::with_capacity(batch.len());
        for alert in batch {
            match self.inhibitor.inhibited_by(&alert.labels, now) {
                Some(source) => {
                    sources.push(source);
                    inhibited.push(alert.labels);
                }
                None => kept.push(alert),
            }
        }
        if !inhibited.is_empty() {
            suppressed.push((SuppressedBy::Inhibition(sources), inhibited));
        }
        let mut muted_by = Vec::new();
        let active = &options.active_time_intervals;
        if !kept.is_empty() && !active.is_empty() && self.intervals_at(active, now).is_empty() {
            muted_by.clone_from(active);
            let by = SuppressedBy::ActiveTimeIntervals(active.clone());
            suppressed.push((by, labels_of(&kept)));
            kept.clear();
        }
        if !kept.is_empty() {
            let muting = self.intervals_at(&options.mute_time_intervals, now);
            if !muting.is_empty() {
                muted_by.clone_from(&muting);
                suppressed.push((SuppressedBy::MuteTimeIntervals(muting), labels_of(&kept)));
                kept.clear();
            }
        }
        let (mut silenced, mut silences) = (Vec::new(), BTreeSet::new());
        kept.retain(|alert| {
            let by = self.silences.silenced_by(&alert.labels, now);
            if by.is_empty() {
                return true;
            }
            silences.extend(by);
            silenced.push(alert.labels.clone());
            false
        });
        if !silenced.is_empty() {
            let by = SuppressedBy::Silences(silences.into_iter().collect());
            suppressed.push((by, silenced));
        }
        let receiver = options.receiver.clone();
        let Some(group) = self.groups.get_mut(&id) else {
            return kept;
        };
        for entry in &suppressed {
            if !group.suppressed.contains(entry) {
                effects.push(Effect::Suppressed(Suppressed {
                    receiver: receiver.clone(),
                    group_key: group.key.clone(),
                    group_labels: group.labels.clone(),
                    alerts: entry.1.clone(),
                    by: entry.0.clone(),
                }));
            }
        }
        group.muted_by = muted_by;
        group.suppressed = suppressed;
        kept
    }

    /// Those of the named intervals that `now` lies within.
    fn intervals_at(&self, names: &[String], now: Timestamp) -> Vec<String> {
        names
            .iter()
            .filter(|name| {
                self.intervals
                    .get(*name)
                    .is_some_and(|intervals| intervals.contains(now))
            })
            .cloned()
            .collect()
    }

    /// The messages that the integrations of the receiver have to get about this batch.
    fn notifications(
        &mut self,
        id: GroupId,
        receiver: &str,
        batch: &[NotifiedAlert],
        deadline: Timestamp,
        now: Timestamp,
    ) -> Vec<Notification> {
        let options = &self.tree.node(id.route).options;
        let repeat_interval = options.repeat_interval;
        let route_labels = Labels::new(&options.labels);
        let (group_key, group_labels) = match self.groups.get(&id) {
            Some(group) => (group.key.clone(), group.labels.clone()),
            None => return Vec::new(),
        };
        let fingerprints = |is_resolved: bool| {
            batch
                .iter()
                .filter(|alert| alert.ends_at.is_some() == is_resolved)
                .map(|alert| alert.labels.fingerprint())
                .collect::<BTreeSet<_>>()
        };
        let (firing, resolved) = (fingerprints(false), fingerprints(true));
        let mut notifications = Vec::new();
        for info in self.receivers.get(receiver).into_iter().flatten() {
            let log_key = LogKey {
                group_key: group_key.clone(),
                receiver: receiver.to_owned(),
                integration: info.integration.kind.to_owned(),
                index: info.integration.index,
            };
            let Some(reason) = self.log.reason_to_notify(
                &log_key,
                &firing,
                &resolved,
                info.send_resolved,
                repeat_interval,
                now,
            ) else {
                continue;
            };
            if !info.send_resolved && firing.is_empty() {
                // There is nothing to say, but the log has to forget what fired.
                self.log.set(
                    log_key,
                    firing.clone(),
                    resolved.clone(),
                    repeat_interval,
                    now,
                );
                continue;
            }
            self.notification_count += 1;
            let notification = Notification {
                id: NotificationId(self.notification_count),
                integration: info.integration.clone(),
                group_key: group_key.clone(),
                group_labels: group_labels.clone(),
                route_labels: route_labels.clone(),
                reason,
                alerts: batch
                    .iter()
                    .filter(|alert| info.send_resolved || alert.ends_at.is_none())
                    .cloned()
                    .collect(),
                flushed_at: now,
                attempt: 1,
                deadline,
            };
            self.in_flight.insert(
                notification.id,
                InFlight {
                    group: Some(id),
                    notification: notification.clone(),
                    log_key,
                    firing: firing.clone(),
                    resolved: resolved.clone(),
                    repeat_interval,
                    last_error: "no answer before the deadline".to_owned(),
                    retry_at: None,
                },
            );
            notifications.push(notification);
        }
        notifications
    }

    /// Where an alert with these labels goes, and what keeps it quiet at `now`.
    pub(crate) fn standing(&self, labels: &Labels, now: Timestamp) -> Standing {
        let mut standing = Standing::default();
        let mut muted_by = BTreeSet::new();
        let mut is_muted_everywhere = true;
        for route in self.tree.matches(labels) {
            let options = &self.tree.node(route).options;
            standing.receivers.insert(options.receiver.clone());
            standing
                .groups
                .insert(options.group_labels(labels).to_string());
            let active = &options.active_time_intervals;
            let mut muting = self.intervals_at(&options.mute_time_intervals, now);
            if !active.is_empty() && self.intervals_at(active, now).is_empty() {
                muting.extend(active.iter().map(|name| format!("being outside of {name}")));
            }
            is_muted_everywhere &= !muting.is_empty();
            muted_by.extend(muting);
        }
        let join = |names: Vec<String>| (!names.is_empty()).then(|| names.join(", "));
        standing.muted_by = join(muted_by.into_iter().collect()).filter(|_| is_muted_everywhere);
        standing.silenced_by = join(self.silences.silenced_by(labels, now));
        standing.inhibited_by = self.inhibitor.inhibited_by(labels, now).map(|source| {
            self.alerts.get(&source).map_or_else(
                || format!("{source:016x}"),
                |alert| alert.labels.to_string(),
            )
        });
        standing
    }

    /// The longest time between two messages of a group, over all routes.
    pub(crate) fn longest_group_interval(&self) -> Duration {
        self.tree
            .nodes()
            .map(|node| node.options.group_interval)
            .max()
            .unwrap_or_default()
    }
}

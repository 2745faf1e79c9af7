//! A flush: what of a group is told now, and to whom.

use std::collections::BTreeSet;
use std::time::Duration;

use gameday_signal::{Labels, Timestamp};

use crate::delivery::InFlight;
use crate::effect::{
    Effect, Notification, NotificationId, NotifiedAlert, Suppressed, SuppressedBy,
};
use crate::engine::{Alertmanager, IntegrationInfo, Timer};
use crate::group::{Flush, GroupId};
use crate::notification_log::{LogKey, NotificationReason};

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
        mut batch: Vec<NotifiedAlert>,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) -> Vec<NotifiedAlert> {
        let options = &self.tree.node(id.route).options;
        let receiver = options.receiver.clone();
        let mut suppressed: Vec<(SuppressedBy, Vec<Labels>)> = Vec::new();
        let mut sources = Vec::new();
        let inhibited = take_out(&mut batch, |labels| {
            let source = self.inhibitor.inhibited_by(labels, now);
            sources.extend(source);
            source.is_some()
        });
        suppressed.push((SuppressedBy::Inhibition(sources), inhibited));
        let mut muted_by = Vec::new();
        let active = &options.active_time_intervals;
        if !batch.is_empty() && !active.is_empty() && self.intervals_at(active, now).is_empty() {
            muted_by.clone_from(active);
            let by = SuppressedBy::ActiveTimeIntervals(active.clone());
            suppressed.push((by, take_out(&mut batch, |_| true)));
        }
        let muting = self.intervals_at(&options.mute_time_intervals, now);
        if !batch.is_empty() && !muting.is_empty() {
            muted_by.clone_from(&muting);
            let by = SuppressedBy::MuteTimeIntervals(muting);
            suppressed.push((by, take_out(&mut batch, |_| true)));
        }
        let mut silences = BTreeSet::new();
        let silenced = take_out(&mut batch, |labels| {
            let by = self.silences.silenced_by(labels, now);
            let is_silenced = !by.is_empty();
            silences.extend(by);
            is_silenced
        });
        suppressed.push((
            SuppressedBy::Silences(silences.into_iter().collect()),
            silenced,
        ));
        suppressed.retain(|(_, alerts)| !alerts.is_empty());
        let Some(group) = self.groups.get_mut(&id) else {
            return batch;
        };
        for entry in &suppressed {
            // What was said at the last flush is not said again.
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
        batch
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
        let repeat_interval = self.tree.node(id.route).options.repeat_interval;
        let Some(group_key) = self.groups.get(&id).map(|group| group.key.clone()) else {
            return Vec::new();
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
        let integrations = self.receivers.get(receiver).cloned().unwrap_or_default();
        for info in integrations {
            let log_key = LogKey {
                group_key: group_key.clone(),
                receiver: receiver.to_owned(),
                integration: info.integration.kind.to_owned(),
                index: info.integration.index,
            };
            let send_resolved = info.send_resolved;
            let reason = self.log.reason_to_notify(
                &log_key,
                &firing,
                &resolved,
                send_resolved,
                repeat_interval,
                now,
            );
            let Some(reason) = reason else { continue };
            if !send_resolved && firing.is_empty() {
                // There is nothing to say, but the log has to forget what fired.
                let receipt = self.log.receipt(&log_key);
                self.log.set(
                    log_key,
                    firing.clone(),
                    resolved.clone(),
                    receipt,
                    repeat_interval,
                    now,
                );
                continue;
            }
            let mut notification = self.notification(id, &info, reason, batch, deadline, now);
            // A first message begins anew: what was named before belongs to an incident that is over.
            if reason != NotificationReason::FirstNotification {
                notification.receipt = self.log.receipt(&log_key);
            }
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

    /// The message to one integration about this batch.
    fn notification(
        &mut self,
        id: GroupId,
        info: &IntegrationInfo,
        reason: NotificationReason,
        batch: &[NotifiedAlert],
        deadline: Timestamp,
        now: Timestamp,
    ) -> Notification {
        self.notification_count += 1;
        let group = self.groups.get(&id);
        let alerts = batch
            .iter()
            .filter(|alert| info.send_resolved || alert.ends_at.is_none());
        Notification {
            id: NotificationId(self.notification_count),
            integration: info.integration.clone(),
            group_key: group.map(|group| group.key.clone()).unwrap_or_default(),
            group_labels: group.map(|group| group.labels.clone()).unwrap_or_default(),
            route_labels: Labels::new(&self.tree.node(id.route).options.labels),
            reason,
            receipt: None,
            alerts: alerts.cloned().collect(),
            flushed_at: now,
            attempt: 1,
            deadline,
        }
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

/// Takes the alerts out of the batch that `is_out` points at, and gives their labels.
fn take_out(
    batch: &mut Vec<NotifiedAlert>,
    mut is_out: impl FnMut(&Labels) -> bool,
) -> Vec<Labels> {
    let mut out = Vec::new();
    batch.retain(|alert| {
        let is_out = is_out(&alert.labels);
        if is_out {
            out.push(alert.labels.clone());
        }
        !is_out
    });
    out
}

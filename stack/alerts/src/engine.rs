//! The engine: alerts in, notifications out, told the time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use gameday_signal::{Labels, Timestamp};

use crate::alert::{AlertError, PostableAlert, StoredAlert};
use crate::config::Config;
use crate::config::intervals::NamedIntervals;
use crate::config::receiver::Integration;
use crate::effect::{
    Disposition, Effect, IntegrationRef, Notification, NotificationId, NotifiedAlert, Outcome,
    Suppressed, SuppressedBy,
};
use crate::group::{Flush, Group, GroupId};
use crate::inhibit::Inhibitor;
use crate::message::{Answer, Step};
use crate::notification_log::{LogKey, NotificationLog};
use crate::render::{Context, FileReader};
use crate::route::RouteTree;
use crate::silence::{PostableSilence, SilenceError, Silences};
use crate::templates::Templates;

/// What the engine is told besides the configuration.
#[derive(Clone, Debug)]
pub struct Options {
    /// From which the ids of silences are made.
    pub seed: u64,
    /// When it starts; maintenance runs on a grid that begins here.
    pub started_at: Timestamp,
    /// How many alerts are held at most.
    pub max_alerts: usize,
    /// The address under which people reach this Alertmanager, for links in messages.
    pub external_url: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 0,
            started_at: Timestamp::EPOCH,
            max_alerts: 1_000_000,
            external_url: "http://localhost:9093".to_owned(),
        }
    }
}

/// Alerts that were refused; all others of the same post were taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", refused.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct ReceiveError {
    /// Why, in the order of the post.
    pub refused: Vec<AlertError>,
}

/// How often garbage is collected (Alertmanager's `--data.maintenance-interval`).
const MAINTENANCE_INTERVAL: Duration = Duration::from_secs(15 * 60);
/// A flush has at least this long to deliver (Alertmanager's `notify.MinTimeout`).
const MIN_FLUSH_TIMEOUT: Duration = Duration::from_secs(10);
/// The first pause before a retry, its growth and its limit (cenkalti/backoff's exponential defaults, without their jitter, so that
/// the same run gives the same seconds).
const FIRST_BACKOFF: Duration = Duration::from_millis(500);
const BACKOFF_GROWTH: f64 = 1.5;
const MAX_BACKOFF: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Flush(GroupId),
    FlushTimeout(GroupId),
    Retry(NotificationId),
    Maintenance,
}

/// A notification that has not been delivered yet.
#[derive(Clone, Debug)]
struct InFlight {
    /// None after a reload: then only the delivery is noted.
    group: Option<GroupId>,
    notification: Notification,
    log_key: LogKey,
    firing: BTreeSet<u64>,
    resolved: BTreeSet<u64>,
    repeat_interval: Duration,
    last_error: String,
    /// When it is sent again; a timer at any other moment is void.
    retry_at: Option<Timestamp>,
}

/// Alertmanager, told the time.
///
/// [`receive`](Self::receive) takes alerts, [`tick`](Self::tick) says what is to be sent now, [`report`](Self::report) takes what
/// became of it, and [`next_deadline`](Self::next_deadline) says when to tick next.
#[derive(Clone, Debug)]
pub struct Alertmanager {
    pub(crate) config: Config,
    pub(crate) options: Options,
    templates: Templates,
    pub(crate) tree: RouteTree,
    pub(crate) inhibitor: Inhibitor,
    pub(crate) silences: Silences,
    pub(crate) log: NotificationLog,
    pub(crate) alerts: BTreeMap<u64, Arc<StoredAlert>>,
    pub(crate) groups: BTreeMap<GroupId, Group>,
    intervals: BTreeMap<String, NamedIntervals>,
    receivers: BTreeMap<String, Vec<IntegrationInfo>>,
    in_flight: BTreeMap<NotificationId, InFlight>,
    /// By moment, then by the order in which they were set.
    timers: BTreeSet<(Timestamp, u64, Timer)>,
    timer_count: u64,
    notification_count: u64,
    maintenance_is_set: bool,
}

/// What the engine has to know of an integration.
#[derive(Clone, Debug)]
struct IntegrationInfo {
    integration: IntegrationRef,
    send_resolved: bool,
}

impl Alertmanager {
    /// An engine without alerts.
    pub fn new(config: Config, options: Options) -> Self {
        let mut engine = Self {
            tree: RouteTree::new(config.route()),
            inhibitor: Inhibitor::default(),
            silences: Silences::new(options.seed),
            log: NotificationLog::default(),
            alerts: BTreeMap::new(),
            groups: BTreeMap::new(),
            intervals: BTreeMap::new(),
            receivers: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            timers: BTreeSet::new(),
            timer_count: 0,
            notification_count: 0,
            maintenance_is_set: false,
            templates: Templates::default(),
            config,
            options,
        };
        engine.index_config();
        engine
    }

    fn index_config(&mut self) {
        self.tree = RouteTree::new(self.config.route());
        self.inhibitor = Inhibitor::new(self.config.inhibit_rules());
        self.intervals = self
            .config
            .intervals()
            .map(|intervals| (intervals.name.clone(), intervals.clone()))
            .collect();
        self.receivers = self
            .config
            .receivers()
            .iter()
            .map(|receiver| (receiver.name.clone(), integrations_of(receiver)))
            .collect();
    }

    /// The way of an alert with these labels through the routing tree, a line a node, for people.
    pub fn explain_route(&self, labels: &Labels) -> Vec<String> {
        self.tree.explain_lines(labels)
    }

    /// Replaces the templates of messages; without a call the default ones are in force.
    pub fn set_templates(&mut self, templates: Templates) {
        self.templates = templates;
    }

    /// The next step of the delivery of a notification: a request or e-mail to send, or the outcome to report.
    ///
    /// Start without answers, and append the answer to each request. What goes wrong on the way to a server (no connection, a
    /// time-out) is for the caller to report as [`Outcome::Retry`]. `read_file` reads the files that hold secrets.
    pub fn next_step(
        &self,
        notification: &Notification,
        answers: &[Answer],
        read_file: &FileReader<'_>,
        now: Timestamp,
    ) -> Step {
        let external_url = &self.options.external_url;
        let context = Context::new(notification, &self.templates, external_url, read_file, now);
        let integration = &notification.integration;
        let step = self
            .config
            .receiver(&integration.receiver)
            .and_then(|receiver| {
                receiver.step(integration.kind, integration.index, &context, answers)
            });
        match step {
            Some(Ok(step)) => step,
            Some(Err(error)) => Step::Finished(Outcome::Failed { error }),
            None => Step::Finished(Outcome::Failed {
                error: format!("{integration} is no longer configured"),
            }),
        }
    }

    /// The configuration in force.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Takes alerts that were posted. All that can be taken are taken, also when others are refused.
    ///
    /// # Errors
    /// Names the alerts that were refused.
    pub fn receive(
        &mut self,
        alerts: Vec<PostableAlert>,
        now: Timestamp,
    ) -> Result<(), ReceiveError> {
        let mut refused = Vec::new();
        for posted in alerts {
            match StoredAlert::new(posted, self.config.resolve_timeout(), now) {
                Ok(alert) => {
                    let is_new = !self.alerts.contains_key(&alert.fingerprint());
                    if is_new && self.alerts.len() >= self.options.max_alerts {
                        refused.push(AlertError::Full {
                            count: self.alerts.len(),
                        });
                    } else {
                        self.put(alert, now);
                    }
                }
                Err(error) => refused.push(error),
            }
        }
        self.set_maintenance(now);
        if refused.is_empty() {
            Ok(())
        } else {
            Err(ReceiveError { refused })
        }
    }

    fn put(&mut self, alert: StoredAlert, now: Timestamp) {
        let fingerprint = alert.fingerprint();
        let alert = match self.alerts.get(&fingerprint) {
            Some(old) => alert.merged_over(old, now),
            None => alert,
        };
        let alert = Arc::new(alert);
        self.alerts.insert(fingerprint, Arc::clone(&alert));
        self.inhibitor.update(&alert);
        self.dispatch(&alert, now);
    }

    /// Puts an alert into a group of every route that it reaches.
    fn dispatch(&mut self, alert: &Arc<StoredAlert>, now: Timestamp) {
        for route in self.tree.matches(&alert.labels) {
            let node = self.tree.node(route);
            let labels = node.options.group_labels(&alert.labels);
            let id = GroupId {
                route,
                labels: labels.fingerprint(),
            };
            let fingerprint = alert.fingerprint();
            if let Some(group) = self.groups.get_mut(&id) {
                group.alerts.insert(fingerprint, Arc::clone(alert));
                continue;
            }
            let waited_long_enough = alert.starts_at + node.options.group_wait < now;
            let first_flush = if waited_long_enough {
                now
            } else {
                now + node.options.group_wait
            };
            let mut group = Group::new(labels, &node.key, first_flush);
            group.alerts.insert(fingerprint, Arc::clone(alert));
            self.groups.insert(id, group);
            self.set_timer(first_flush, Timer::Flush(id));
        }
    }

    fn set_timer(&mut self, at: Timestamp, timer: Timer) {
        self.timer_count += 1;
        self.timers.insert((at, self.timer_count, timer));
    }

    /// When to tick next; a moment in the past means at once.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.timers.first().map(|(at, _, _)| *at)
    }

    /// Does everything that is due at `now` and says what is to be sent and to be known.
    pub fn tick(&mut self, now: Timestamp) -> Vec<Effect> {
        let mut effects = Vec::new();
        while let Some(&(at, count, timer)) = self.timers.first() {
            if at > now {
                break;
            }
            self.timers.remove(&(at, count, timer));
            match timer {
                Timer::Flush(id) => {
                    if self
                        .groups
                        .get(&id)
                        .is_some_and(|group| group.next_flush == at)
                    {
                        self.flush(id, now, &mut effects);
                    }
                }
                Timer::FlushTimeout(id) => self.time_out(id, at, now, &mut effects),
                Timer::Retry(id) => self.retry(id, at, &mut effects),
                Timer::Maintenance => self.maintain(now),
            }
        }
        effects
    }

    fn flush(&mut self, id: GroupId, now: Timestamp, effects: &mut Vec<Effect>) {
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

    /// Takes what became of a notification.
    pub fn report(&mut self, id: NotificationId, outcome: Outcome, now: Timestamp) -> Disposition {
        let Some(flight) = self.in_flight.get_mut(&id) else {
            return Disposition::Late;
        };
        match outcome {
            Outcome::Delivered => {
                let Some(flight) = self.in_flight.remove(&id) else {
                    return Disposition::Late;
                };
                self.log.set(
                    flight.log_key,
                    flight.firing,
                    flight.resolved,
                    flight.repeat_interval,
                    now,
                );
                self.set_maintenance(now);
                let Some(group) = flight.group else {
                    return Disposition::Late;
                };
                self.answer(group, true, now);
                Disposition::Done
            }
            Outcome::Failed { .. } => {
                let Some(group) = self.in_flight.remove(&id).and_then(|flight| flight.group) else {
                    return Disposition::Late;
                };
                self.answer(group, false, now);
                Disposition::Failed
            }
            Outcome::Retry { after, error } => {
                flight.last_error = error;
                if flight.group.is_none() {
                    self.in_flight.remove(&id);
                    return Disposition::Late;
                }
                let pause = backoff(flight.notification.attempt).max(after.unwrap_or_default());
                let at = now + pause;
                let deadline = flight.notification.deadline;
                if at >= deadline {
                    return Disposition::GiveUpAt(deadline);
                }
                flight.retry_at = Some(at);
                self.set_timer(at, Timer::Retry(id));
                Disposition::RetryAt(at)
            }
        }
    }

    fn retry(&mut self, id: NotificationId, at: Timestamp, effects: &mut Vec<Effect>) {
        let Some(flight) = self.in_flight.get_mut(&id) else {
            return;
        };
        if flight.retry_at != Some(at) {
            return;
        }
        flight.retry_at = None;
        flight.notification.attempt += 1;
        effects.push(Effect::Notify(flight.notification.clone()));
    }

    /// Gives up what a flush could not deliver before its deadline.
    fn time_out(&mut self, id: GroupId, at: Timestamp, now: Timestamp, effects: &mut Vec<Effect>) {
        let is_due = self
            .groups
            .get(&id)
            .and_then(|group| group.flush.as_ref())
            .is_some_and(|flush| flush.deadline == at);
        if !is_due {
            return;
        }
        let late: Vec<_> = self
            .in_flight
            .iter()
            .filter(|(_, flight)| flight.group == Some(id))
            .map(|(notification, _)| *notification)
            .collect();
        for notification in late {
            let Some(flight) = self.in_flight.remove(&notification) else {
                continue;
            };
            effects.push(Effect::GaveUp {
                id: notification,
                integration: flight.notification.integration,
                attempts: flight.notification.attempt,
                error: flight.last_error,
            });
            self.answer(id, false, now);
        }
    }

    /// Counts one integration of a flush as answered.
    fn answer(&mut self, id: GroupId, succeeded: bool, now: Timestamp) {
        let Some(flush) = self
            .groups
            .get_mut(&id)
            .and_then(|group| group.flush.as_mut())
        else {
            return;
        };
        flush.pending = flush.pending.saturating_sub(1);
        flush.failed |= !succeeded;
        if flush.pending == 0 {
            self.finish_flush(id, now);
        }
    }

    fn finish_flush(&mut self, id: GroupId, now: Timestamp) {
        let Some(group) = self.groups.get_mut(&id) else {
            return;
        };
        let Some(flush) = group.flush.take() else {
            return;
        };
        if !flush.failed {
            group.forget(&flush.resolved);
            if group.alerts.is_empty() {
                self.groups.remove(&id);
                return;
            }
        }
        if group.overdue {
            group.next_flush = now;
            self.set_timer(now, Timer::Flush(id));
        }
    }

    /// Creates a silence, or changes the one with its id; gives the id, which is new where history would be rewritten.
    ///
    /// # Errors
    /// Where it is over already, matches everything, or names an unknown id.
    pub fn set_silence(
        &mut self,
        silence: PostableSilence,
        now: Timestamp,
    ) -> Result<String, SilenceError> {
        let id = self.silences.set(silence, now)?;
        self.set_maintenance(now);
        Ok(id)
    }

    /// Ends a silence.
    ///
    /// # Errors
    /// Where no silence has this id.
    pub fn expire_silence(&mut self, id: &str, now: Timestamp) -> Result<(), SilenceError> {
        self.silences.expire(id, now)
    }

    /// Sets the next moment of the maintenance grid, unless it is set.
    pub(crate) fn set_maintenance(&mut self, now: Timestamp) {
        if self.maintenance_is_set {
            return;
        }
        self.maintenance_is_set = true;
        let step = MAINTENANCE_INTERVAL.as_nanos();
        let passed = now.since(self.options.started_at).as_nanos() / step + 1;
        let offset = u64::try_from(passed * step).unwrap_or(u64::MAX);
        self.set_timer(
            self.options.started_at + Duration::from_nanos(offset),
            Timer::Maintenance,
        );
    }

    fn maintain(&mut self, now: Timestamp) {
        self.maintenance_is_set = false;
        self.log.collect_garbage(now);
        self.silences.collect_garbage(now);
        self.inhibitor.collect_garbage(now);
        self.alerts.retain(|_, alert| !alert.resolved_at(now));
        // After a reload nobody waits for these, and nobody reported them in time.
        self.in_flight
            .retain(|_, flight| flight.group.is_some() || flight.notification.deadline > now);
        let is_idle = self.alerts.is_empty()
            && self.groups.is_empty()
            && self.log.is_empty()
            && self.silences.iter().next().is_none();
        if !is_idle {
            self.set_maintenance(now);
        }
    }

    /// Puts another configuration in force. Alerts, silences and the notification log stay; groups form anew, and what is on its
    /// way may still arrive and is noted then.
    pub fn reload(&mut self, config: Config, now: Timestamp) {
        self.config = config;
        self.index_config();
        let groups = std::mem::take(&mut self.groups);
        self.timers
            .retain(|(_, _, timer)| matches!(timer, Timer::Maintenance));
        for flight in self.in_flight.values_mut() {
            flight.group = None;
            flight.retry_at = None;
        }
        // A resolved alert that left its group has been told; one that is still in a group has not.
        let untold: BTreeSet<u64> = groups
            .values()
            .flat_map(|group| group.alerts.keys().copied())
            .collect();
        let alerts: Vec<_> = self
            .alerts
            .iter()
            .filter(|(fingerprint, alert)| !alert.resolved_at(now) || untold.contains(*fingerprint))
            .map(|(_, alert)| Arc::clone(alert))
            .collect();
        for alert in alerts {
            self.inhibitor.update(&alert);
            self.dispatch(&alert, now);
        }
    }
}

/// The pause after the given attempt.
fn backoff(attempt: u32) -> Duration {
    let exponent = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
    let secs = FIRST_BACKOFF.as_secs_f64() * BACKOFF_GROWTH.powi(exponent);
    Duration::try_from_secs_f64(secs)
        .unwrap_or(MAX_BACKOFF)
        .min(MAX_BACKOFF)
}

/// The integrations of a receiver in the order in which Alertmanager builds them.
fn integrations_of(receiver: &crate::config::receiver::Receiver) -> Vec<IntegrationInfo> {
    let mut infos = Vec::new();
    macro_rules! add {
        ($($list:ident),*) => {$(
            add_all(&receiver.name, &receiver.$list, &mut infos);
        )*};
    }
    add!(
        webhook_configs,
        email_configs,
        pagerduty_configs,
        opsgenie_configs,
        wechat_configs,
        slack_configs,
        victorops_configs,
        pushover_configs,
        sns_configs,
        telegram_configs,
        discord_configs,
        webex_configs,
        msteams_configs,
        msteamsv2_configs,
        jira_configs,
        incidentio_configs,
        rocketchat_configs,
        mattermost_configs
    );
    infos
}

fn add_all<I: Integration>(receiver: &str, list: &[I], infos: &mut Vec<IntegrationInfo>) {
    infos.extend(
        list.iter()
            .enumerate()
            .map(|(index, integration)| IntegrationInfo {
                integration: IntegrationRef {
                    receiver: receiver.to_owned(),
                    kind: I::KIND,
                    index,
                },
                send_resolved: integration.send_resolved(),
            }),
    );
}

//! The engine: alerts in, notifications out, told the time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use gameday_signal::{Labels, Timestamp};

use crate::alert::{AlertError, PostableAlert, StoredAlert};
use crate::config::Config;
use crate::config::intervals::NamedIntervals;
use crate::config::receiver::Integration;
use crate::delivery::InFlight;
use crate::effect::{Effect, IntegrationRef, NotificationId};
use crate::group::{Group, GroupId};
use crate::inhibit::Inhibitor;
use crate::notification_log::NotificationLog;
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    Flush(GroupId),
    FlushTimeout(GroupId),
    Retry(NotificationId),
    Maintenance,
}

/// Alertmanager, told the time.
///
/// [`receive`](Self::receive) takes alerts, [`tick`](Self::tick) says what is to be sent now, [`report`](Self::report) takes what
/// became of it, and [`next_deadline`](Self::next_deadline) says when to tick next.
#[derive(Clone, Debug)]
pub struct Alertmanager {
    pub(crate) config: Config,
    pub(crate) options: Options,
    pub(crate) templates: Templates,
    pub(crate) tree: RouteTree,
    pub(crate) inhibitor: Inhibitor,
    pub(crate) silences: Silences,
    pub(crate) log: NotificationLog,
    pub(crate) alerts: BTreeMap<u64, Arc<StoredAlert>>,
    pub(crate) groups: BTreeMap<GroupId, Group>,
    pub(crate) intervals: BTreeMap<String, NamedIntervals>,
    pub(crate) receivers: BTreeMap<String, Vec<IntegrationInfo>>,
    pub(crate) in_flight: BTreeMap<NotificationId, InFlight>,
    /// By moment, then by the order in which they were set.
    timers: BTreeSet<(Timestamp, u64, Timer)>,
    timer_count: u64,
    pub(crate) notification_count: u64,
    maintenance_is_set: bool,
}

/// What the engine has to know of an integration.
#[derive(Clone, Debug)]
pub(crate) struct IntegrationInfo {
    pub(crate) integration: IntegrationRef,
    pub(crate) send_resolved: bool,
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

    /// Whether a receiver has an integration: one without notifies nobody.
    pub(crate) fn has_integrations(&self, receiver: &str) -> bool {
        self.receivers
            .get(receiver)
            .is_some_and(|list| !list.is_empty())
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

    pub(crate) fn set_timer(&mut self, at: Timestamp, timer: Timer) {
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

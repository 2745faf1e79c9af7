//! The views of `/api/v2`: what the server room answers, with the names and formats of Alertmanager's OpenAPI document.

use std::collections::BTreeMap;

use gameday_signal::{Labels, MatchOp, Matcher, Timestamp};
use regex::Regex;
use serde::{Serialize, Serializer};

use crate::alert::{StoredAlert, compare_alerts, compare_label_sets};
use crate::effect::{IntegrationRef, Notification, NotificationId};
use crate::engine::Alertmanager;
use crate::group::{Group, GroupId};
use crate::matchers::parse_matcher;
use crate::notification_log::NotificationReason;
use crate::render::Context;
use crate::rfc3339;
use crate::silence::{Silence, SilenceMatcher, SilenceState};

/// A request that cannot be answered: status 400, the message as a JSON string.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct QueryError(String);

/// The query of `/api/v2/alerts`, `/alerts/groups`, `/silences` and `/receivers`; each takes of it what it knows.
#[derive(Clone, Debug)]
pub struct Query {
    active: bool,
    silenced: bool,
    inhibited: bool,
    muted: bool,
    pending: bool,
    expired: bool,
    filter: Vec<Matcher>,
    receiver: Option<Regex>,
    receiver_matchers: Vec<Matcher>,
}

/// A pattern of a query may take this many bytes when compiled.
const REGEX_SIZE_LIMIT: usize = 1 << 20;

impl Query {
    /// Reads the decoded pairs of a query string; `filter` and `receiver_matchers` may be repeated.
    ///
    /// # Errors
    /// Where a flag is no flag, a matcher no matcher, or the pattern of `receiver` does not compile.
    pub fn new<K: AsRef<str>, V: AsRef<str>>(
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, QueryError> {
        let mut query = Self {
            active: true,
            silenced: true,
            inhibited: true,
            muted: true,
            pending: true,
            expired: true,
            filter: Vec::new(),
            receiver: None,
            receiver_matchers: Vec::new(),
        };
        for (name, value) in pairs {
            let (name, value) = (name.as_ref(), value.as_ref());
            match name {
                "active" => query.active = flag(name, value)?,
                "silenced" => query.silenced = flag(name, value)?,
                "inhibited" => query.inhibited = flag(name, value)?,
                "muted" => query.muted = flag(name, value)?,
                "pending" => query.pending = flag(name, value)?,
                "expired" => query.expired = flag(name, value)?,
                "filter" => query
                    .filter
                    .push(parse_matcher(value).map_err(|error| QueryError(error.to_string()))?),
                "receiver_matchers" => {
                    query
                        .receiver_matchers
                        .push(parse_matcher(value).map_err(|error| {
                            QueryError(format!("failed to parse receiver_matchers param: {error}"))
                        })?);
                }
                "receiver" if !value.is_empty() => {
                    let pattern = regex::RegexBuilder::new(&format!("^(?:{value})$"))
                        .size_limit(REGEX_SIZE_LIMIT)
                        .build()
                        .map_err(|error| {
                            let text = error.to_string();
                            let last = text.lines().last().unwrap_or_default();
                            QueryError(format!("failed to parse receiver param: {last}"))
                        })?;
                    query.receiver = Some(pattern);
                }
                _ => {}
            }
        }
        Ok(query)
    }

    /// Whether a receiver of this name is asked for.
    fn takes_receiver(&self, engine: &Alertmanager, name: &str) -> bool {
        if self
            .receiver
            .as_ref()
            .is_some_and(|regex| !regex.is_match(name))
        {
            return false;
        }
        self.receiver_matchers.is_empty()
            || engine.config.receiver(name).is_some_and(|receiver| {
                matches_filter(
                    &self.receiver_matchers,
                    &Labels::new(receiver.query_labels()),
                )
            })
    }
}

fn flag(name: &str, value: &str) -> Result<bool, QueryError> {
    // go-openapi's words for true and false.
    match value.to_lowercase().as_str() {
        "1" | "t" | "true" | "yes" | "ok" | "y" | "on" | "selected" | "checked" | "enabled" => {
            Ok(true)
        }
        "0" | "f" | "false" | "no" | "n" | "off" | "unselected" | "unchecked" | "disabled" | "" => {
            Ok(false)
        }
        _ => Err(QueryError(format!(
            "{name} in query must be of type bool: {value:?}"
        ))),
    }
}

/// The filter of a query: unlike elsewhere, `name!=""` asks for presence and `name=""` for absence only.
fn matches_filter(matchers: &[Matcher], labels: &Labels) -> bool {
    matchers.iter().all(|matcher| {
        let present = labels.get(matcher.name()).is_some();
        let is_negative = matches!(matcher.op(), MatchOp::NotEqual | MatchOp::NotRegex);
        if matcher.value().is_empty() && present == is_negative {
            return true;
        }
        matcher.matches(labels)
    })
}

/// A name in an object of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ReceiverReference {
    /// The receiver's name.
    pub name: String,
}

/// A receiver of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReceiverView {
    /// Its name.
    pub name: String,
    /// Its labels; `name` is always one of them.
    pub labels: BTreeMap<String, String>,
}

/// What keeps an alert from being sent, if anything does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AlertStatus {
    /// `active` or `suppressed`.
    pub state: &'static str,
    /// The ids of silences.
    pub silenced_by: Vec<String>,
    /// The fingerprints of alerts.
    pub inhibited_by: Vec<String>,
    /// The names of time intervals.
    pub muted_by: Vec<String>,
}

/// An alert as the API shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GettableAlert {
    /// What a person should read.
    pub annotations: Labels,
    /// When it will count as ended.
    #[serde(serialize_with = "as_millis")]
    pub ends_at: Timestamp,
    /// Its identity as 16 hexadecimal digits.
    pub fingerprint: String,
    /// Whom its routes tell.
    pub receivers: Vec<ReceiverReference>,
    /// When it began to fire.
    #[serde(serialize_with = "as_millis")]
    pub starts_at: Timestamp,
    /// What keeps it from being sent.
    pub status: AlertStatus,
    /// When it was last posted.
    #[serde(serialize_with = "as_millis")]
    pub updated_at: Timestamp,
    /// The expression that made it, as a link.
    #[serde(rename = "generatorURL", skip_serializing_if = "String::is_empty")]
    pub generator_url: String,
    /// Its identity.
    pub labels: Labels,
}

/// A group as the API shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AlertGroup {
    /// The alerts in it.
    pub alerts: Vec<GettableAlert>,
    /// The labels that make it.
    pub labels: Labels,
    /// Whom it is told to.
    pub receiver: ReceiverReference,
    /// The labels of its route.
    pub route_labels: Labels,
}

/// A silence as the API shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GettableSilence {
    /// Its id.
    pub id: String,
    /// What it does now.
    pub status: SilenceStatus,
    /// When it was last changed.
    #[serde(serialize_with = "as_millis")]
    pub updated_at: Timestamp,
    /// Whatever else was kept with it.
    pub annotations: BTreeMap<String, String>,
    /// Why.
    pub comment: String,
    /// Who made it.
    pub created_by: String,
    /// Until when.
    #[serde(serialize_with = "as_millis")]
    pub ends_at: Timestamp,
    /// All of them have to hold.
    pub matchers: Vec<SilenceMatcher>,
    /// From when on.
    #[serde(serialize_with = "as_millis")]
    pub starts_at: Timestamp,
}

/// The state in an object of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct SilenceStatus {
    /// What the silence does.
    pub state: SilenceState,
}

/// The answer of `/api/v2/status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusView {
    /// There is no cluster.
    pub cluster: ClusterStatus,
    /// The configuration with all defaults, secrets masked.
    pub config: ConfigView,
    /// When the engine was started.
    pub uptime: String,
    /// What runs.
    pub version_info: VersionInfo,
}

/// The cluster: disabled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClusterStatus {
    /// `disabled`.
    pub status: &'static str,
    /// Nobody.
    pub peers: Vec<String>,
}

/// The configuration in an object of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConfigView {
    /// YAML.
    pub original: String,
}

/// What runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VersionInfo {
    /// The version of Alertmanager whose behaviour this is.
    pub version: &'static str,
    /// Which program it is really.
    pub revision: &'static str,
    /// The same.
    pub branch: &'static str,
    /// Empty: builds are the same everywhere.
    pub build_user: &'static str,
    /// Empty: builds are the same at any time.
    pub build_date: &'static str,
    /// Empty: there is no Go in it.
    pub go_version: &'static str,
}

fn as_millis<S: Serializer>(instant: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339::millis(*instant))
}

impl Alertmanager {
    /// `GET /api/v2/alerts`.
    pub fn alerts_view(&self, query: &Query, now: Timestamp) -> Vec<GettableAlert> {
        let mut views: Vec<_> = self
            .alerts
            .values()
            .filter_map(|alert| {
                let receivers: Vec<_> = self
                    .tree
                    .matches(&alert.labels)
                    .into_iter()
                    .map(|route| self.tree.node(route).options.receiver.clone())
                    .collect();
                let is_asked_for = receivers
                    .iter()
                    .any(|name| query.takes_receiver(self, name));
                let status = self.status_if_asked_for(query, alert, now)?;
                is_asked_for.then(|| view(alert, receivers, status))
            })
            .collect();
        views.sort_by(|one, other| one.fingerprint.cmp(&other.fingerprint));
        views
    }

    /// `GET /api/v2/alerts/groups`.
    pub fn groups_view(&self, query: &Query, now: Timestamp) -> Vec<AlertGroup> {
        let asked_for: Vec<_> = self
            .groups
            .iter()
            .filter(|(id, _)| {
                query.takes_receiver(self, &self.tree.node(id.route).options.receiver)
            })
            .collect();
        let mut receivers: BTreeMap<u64, Vec<String>> = BTreeMap::new();
        for (id, group) in &asked_for {
            for (fingerprint, alert) in &group.alerts {
                if self.status_if_asked_for(query, alert, now).is_some() {
                    let receiver = self.tree.node(id.route).options.receiver.clone();
                    receivers.entry(*fingerprint).or_default().push(receiver);
                }
            }
        }
        receivers.values_mut().for_each(|names| names.sort());
        let mut views = Vec::new();
        for (id, group) in asked_for {
            if !query.muted && !group.muted_by.is_empty() {
                continue;
            }
            let mut alerts: Vec<_> = group.alerts.iter().collect();
            alerts.sort_by(|(_, one), (_, other)| compare_alerts(&one.labels, &other.labels));
            let alerts: Vec<_> = alerts
                .into_iter()
                .filter_map(|(fingerprint, alert)| {
                    let mut status = self.status_if_asked_for(query, alert, now)?;
                    if !group.muted_by.is_empty() {
                        status.state = "suppressed";
                        status.muted_by.clone_from(&group.muted_by);
                    }
                    Some(view(
                        alert,
                        receivers.get(fingerprint).cloned().unwrap_or_default(),
                        status,
                    ))
                })
                .collect();
            if !alerts.is_empty() {
                let options = &self.tree.node(id.route).options;
                views.push(AlertGroup {
                    alerts,
                    labels: group.labels.clone(),
                    receiver: ReceiverReference {
                        name: options.receiver.clone(),
                    },
                    route_labels: self.route_labels_of(id, group, now),
                });
            }
        }
        views.sort_by(|one, other| {
            compare_label_sets(&one.labels, &other.labels)
                .then_with(|| one.receiver.cmp(&other.receiver))
        });
        views
    }

    /// The labels of the group's route, expanded for its alerts; what cannot be expanded is left out.
    fn route_labels_of(&self, id: &GroupId, group: &Group, now: Timestamp) -> Labels {
        let options = &self.tree.node(id.route).options;
        if options.labels.is_empty() {
            return Labels::empty();
        }
        let notification = Notification {
            id: NotificationId(0),
            integration: IntegrationRef {
                receiver: options.receiver.clone(),
                kind: "",
                index: 0,
            },
            group_key: group.key.clone(),
            group_labels: group.labels.clone(),
            route_labels: Labels::new(&options.labels),
            reason: NotificationReason::FirstNotification,
            receipt: None,
            alerts: group.batch(now),
            flushed_at: now,
            attempt: 1,
            deadline: now,
        };
        let no_files = |_: &str| Err("templates read no files".to_owned());
        let external_url = &self.options.external_url;
        let context = Context::new(&notification, &self.templates, external_url, &no_files, now);
        context.route_labels().clone()
    }

    /// The alert's status at `now`; None where it has ended or the query does not ask for it.
    fn status_if_asked_for(
        &self,
        query: &Query,
        alert: &StoredAlert,
        now: Timestamp,
    ) -> Option<AlertStatus> {
        if alert.ends_at < now || !matches_filter(&query.filter, &alert.labels) {
            return None;
        }
        let silenced_by = self.silences.silenced_by(&alert.labels, now);
        let inhibited_by: Vec<_> = self
            .inhibitor
            .inhibited_by(&alert.labels, now)
            .map(|fingerprint| format!("{fingerprint:016x}"))
            .into_iter()
            .collect();
        let is_active = silenced_by.is_empty() && inhibited_by.is_empty();
        let is_refused = (is_active && !query.active)
            || (!silenced_by.is_empty() && !query.silenced)
            || (!inhibited_by.is_empty() && !query.inhibited);
        (!is_refused).then(|| AlertStatus {
            state: if is_active { "active" } else { "suppressed" },
            silenced_by,
            inhibited_by,
            muted_by: Vec::new(),
        })
    }

    /// `GET /api/v2/silences`: active ones first (the next to end before), then pending, then expired.
    pub fn silences_view(&self, query: &Query, now: Timestamp) -> Vec<GettableSilence> {
        let mut views: Vec<_> = self
            .silences
            .iter()
            .filter(|silence| match silence.state(now) {
                SilenceState::Active => query.active,
                SilenceState::Pending => query.pending,
                SilenceState::Expired => query.expired,
            })
            .filter(|silence| {
                query
                    .filter
                    .iter()
                    .all(|matcher| silence.matchers.contains(&SilenceMatcher::from(matcher)))
            })
            .map(|silence| silence_view(silence, now))
            .collect();
        views.sort_by(|one, other| {
            let by_state = one.status.state.cmp(&other.status.state);
            by_state
                .then_with(|| match one.status.state {
                    SilenceState::Active => one.ends_at.cmp(&other.ends_at),
                    SilenceState::Pending => one.starts_at.cmp(&other.starts_at),
                    SilenceState::Expired => other.ends_at.cmp(&one.ends_at),
                })
                .then_with(|| one.id.cmp(&other.id))
        });
        views
    }

    /// `GET /api/v2/silence/{id}`; None is status 404.
    pub fn silence_view(&self, id: &str, now: Timestamp) -> Option<GettableSilence> {
        self.silences
            .get(id)
            .map(|silence| silence_view(silence, now))
    }

    /// `GET /api/v2/receivers`.
    pub fn receivers_view(&self, query: &Query) -> Vec<ReceiverView> {
        self.config
            .receivers()
            .iter()
            .filter(|receiver| {
                matches_filter(
                    &query.receiver_matchers,
                    &Labels::new(receiver.query_labels()),
                )
            })
            .map(|receiver| ReceiverView {
                name: receiver.name.clone(),
                labels: receiver.query_labels(),
            })
            .collect()
    }

    /// `GET /api/v2/status`.
    pub fn status_view(&self) -> StatusView {
        StatusView {
            cluster: ClusterStatus {
                status: "disabled",
                peers: Vec::new(),
            },
            config: ConfigView {
                original: self.config.to_masked_yaml(),
            },
            uptime: rfc3339::millis(self.options.started_at),
            version_info: VersionInfo {
                version: "0.34.0",
                revision: concat!("gameday-", env!("CARGO_PKG_VERSION")),
                branch: "gameday",
                build_user: "",
                build_date: "",
                go_version: "",
            },
        }
    }
}

fn view(alert: &StoredAlert, receivers: Vec<String>, status: AlertStatus) -> GettableAlert {
    GettableAlert {
        annotations: alert.annotations.clone(),
        ends_at: alert.ends_at,
        fingerprint: format!("{:016x}", alert.fingerprint()),
        receivers: receivers
            .into_iter()
            .map(|name| ReceiverReference { name })
            .collect(),
        starts_at: alert.starts_at,
        status,
        updated_at: alert.updated_at,
        generator_url: alert.generator_url.clone(),
        labels: alert.labels.clone(),
    }
}

fn silence_view(silence: &Silence, now: Timestamp) -> GettableSilence {
    GettableSilence {
        id: silence.id.clone(),
        status: SilenceStatus {
            state: silence.state(now),
        },
        updated_at: silence.updated_at,
        annotations: silence.annotations.clone(),
        comment: silence.comment.clone(),
        created_by: silence.created_by.clone(),
        ends_at: silence.ends_at,
        matchers: silence.matchers.clone(),
        starts_at: silence.starts_at,
    }
}

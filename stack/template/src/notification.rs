//! The data that Alertmanager hands to its templates.

use std::sync::{Arc, LazyLock};

use gameday_signal::Labels;

use crate::value::Struct;
use crate::{Object, Param, Signature, Time, Value};

/// One alert of a notification.
#[derive(Clone, Debug)]
pub struct NotificationAlert {
    /// Whether it has ended when the notification is made.
    pub resolved: bool,
    /// Its identity.
    pub labels: Labels,
    /// What a person should read.
    pub annotations: Labels,
    /// When it began.
    pub starts_at: Time,
    /// When it ended; [`Time::zero`] while it fires.
    pub ends_at: Time,
    /// The expression that made it, as a link.
    pub generator_url: String,
}

/// What Alertmanager's templates see as the dot.
#[derive(Clone, Debug, Default)]
pub struct NotificationData {
    /// The receiver's name, with the characters of regular expressions escaped as Alertmanager does.
    pub receiver: String,
    /// The alerts, in the order in which they are sent.
    pub alerts: Vec<NotificationAlert>,
    /// The labels that made the group.
    pub group_labels: Labels,
    /// The labels of the route.
    pub route_labels: Labels,
    /// Where users reach Alertmanager.
    pub external_url: String,
    /// Why the notification is sent (`first_notification`, `repeat_interval`, ...).
    pub notification_reason: String,
}

impl NotificationData {
    /// `firing` where one alert fires, `resolved` where none does.
    pub fn status(&self) -> &'static str {
        status(self.alerts.iter().all(|alert| alert.resolved))
    }

    /// The labels that all alerts have with the same value.
    pub fn common_labels(&self) -> Labels {
        common(self.alerts.iter().map(|alert| &alert.labels))
    }

    /// The annotations that all alerts have with the same value.
    pub fn common_annotations(&self) -> Labels {
        common(self.alerts.iter().map(|alert| &alert.annotations))
    }

    /// The data as the templates see it; `toJson` writes it as the webhook does.
    pub fn to_value(&self) -> Value {
        tagged(
            "template.Data",
            vec![
                ("Receiver", Value::text(&self.receiver)),
                ("Status", Value::text(self.status())),
                (
                    "Alerts",
                    alerts(self.alerts.iter().map(alert_value).collect()),
                ),
                ("GroupLabels", kv(&self.group_labels)),
                ("CommonLabels", kv(&self.common_labels())),
                ("CommonAnnotations", kv(&self.common_annotations())),
                ("ExternalURL", Value::text(&self.external_url)),
                ("RouteLabels", kv(&self.route_labels)),
                ("NotificationReason", Value::text(&self.notification_reason)),
            ],
        )
    }
}

fn status(resolved: bool) -> &'static str {
    if resolved { "resolved" } else { "firing" }
}

fn common<'a>(mut sets: impl Iterator<Item = &'a Labels>) -> Labels {
    let Some(first) = sets.next() else {
        return Labels::empty();
    };
    sets.fold(first.clone(), |common, other| {
        common.filtered(|name| other.get(name) == common.get(name))
    })
}

fn tagged(type_name: &'static str, fields: Vec<(&'static str, Value)>) -> Value {
    Value::Struct(Arc::new(Struct {
        type_name,
        fields,
        lower_case_json: true,
    }))
}

fn alert_value(alert: &NotificationAlert) -> Value {
    tagged(
        "template.Alert",
        vec![
            ("Status", Value::text(status(alert.resolved))),
            ("Labels", kv(&alert.labels)),
            ("Annotations", kv(&alert.annotations)),
            ("StartsAt", Value::Time(alert.starts_at.clone())),
            ("EndsAt", Value::Time(alert.ends_at.clone())),
            ("GeneratorURL", Value::text(&alert.generator_url)),
            (
                "Fingerprint",
                Value::from(format!("{:016x}", alert.labels.fingerprint())),
            ),
        ],
    )
}

/// Alertmanager's `Alerts`: a list of alerts that can be asked for those that fire.
struct Alerts(Value);

fn alerts(list: Vec<Value>) -> Value {
    Value::Object(Arc::new(Alerts(Value::list(list))))
}

impl Object for Alerts {
    fn type_name(&self) -> &'static str {
        "template.Alerts"
    }

    fn plain(&self) -> &Value {
        &self.0
    }

    fn methods(&self) -> &'static [Signature] {
        const {
            &[
                Signature::new("Firing", &[]),
                Signature::new("Resolved", &[]),
            ]
        }
    }

    fn call(&self, method: &str, _: &[Value]) -> Result<Value, String> {
        let wanted = status(method == "Resolved");
        let all = self.0.as_list().unwrap_or_default();
        let fits = |alert: &&Value| match alert {
            Value::Struct(alert) => {
                matches!(alert.fields.first(), Some((_, Value::Str(own))) if own.as_ref() == wanted)
            }
            _ => false,
        };
        Ok(Value::list(all.iter().filter(fits).cloned()))
    }
}

/// Alertmanager's `KV`: labels or annotations.
struct Kv {
    labels: Labels,
    plain: LazyLock<Value, Box<dyn FnOnce() -> Value + Send>>,
}

/// Labels with the methods of Alertmanager's `KV`: `SortedPairs`, `Remove`, `Names`, `Values`.
pub fn kv(labels: &Labels) -> Value {
    let own = labels.clone();
    Value::Object(Arc::new(Kv {
        labels: labels.clone(),
        plain: LazyLock::new(Box::new(move || Value::labels(&own))),
    }))
}

impl Kv {
    /// `alertname` first, the others by name.
    fn sorted(&self) -> Vec<(&str, &str)> {
        let (mut first, rest): (Vec<_>, Vec<_>) = self
            .labels
            .iter()
            .partition(|(name, _)| *name == "alertname");
        first.extend(rest);
        first
    }

    fn pairs(&self) -> Pairs {
        let pair = |(name, value): (&str, &str)| {
            Value::structure(
                "template.Pair",
                [("Name", Value::text(name)), ("Value", Value::text(value))],
            )
        };
        Pairs(Value::list(self.sorted().into_iter().map(pair)))
    }
}

impl Object for Kv {
    fn type_name(&self) -> &'static str {
        "template.KV"
    }

    fn plain(&self) -> &Value {
        &self.plain
    }

    fn methods(&self) -> &'static [Signature] {
        const {
            &[
                Signature::new("Names", &[]),
                Signature::new("Remove", &[Param::Strings]),
                Signature::new("SortedPairs", &[]),
                Signature::new("String", &[]),
                Signature::new("Values", &[]),
            ]
        }
    }

    fn call(&self, method: &str, arguments: &[Value]) -> Result<Value, String> {
        Ok(match method {
            "Remove" => {
                let names = arguments
                    .first()
                    .and_then(Value::as_list)
                    .unwrap_or_default();
                kv(&self
                    .labels
                    .filtered(|name| !names.iter().any(|one| one.as_str() == Some(name))))
            }
            "SortedPairs" => Value::Object(Arc::new(self.pairs())),
            other => self.pairs().call(other, arguments)?,
        })
    }

    fn text(&self) -> Option<String> {
        self.pairs().text()
    }
}

/// Alertmanager's `Pairs`: names and values in order.
struct Pairs(Value);

impl Pairs {
    fn column(&self, index: usize) -> Vec<Value> {
        let pairs = self.0.as_list().unwrap_or_default();
        let part = |pair: &Value| match pair {
            Value::Struct(pair) => pair.fields.get(index).map(|(_, value)| value.clone()),
            _ => None,
        };
        pairs.iter().filter_map(part).collect()
    }
}

impl Object for Pairs {
    fn type_name(&self) -> &'static str {
        "template.Pairs"
    }

    fn plain(&self) -> &Value {
        &self.0
    }

    fn methods(&self) -> &'static [Signature] {
        const {
            &[
                Signature::new("Names", &[]),
                Signature::new("String", &[]),
                Signature::new("Values", &[]),
            ]
        }
    }

    fn call(&self, method: &str, _: &[Value]) -> Result<Value, String> {
        Ok(match method {
            "Names" => Value::list(self.column(0)),
            "Values" => Value::list(self.column(1)),
            _ => Value::from(self.text().unwrap_or_default()),
        })
    }

    fn text(&self) -> Option<String> {
        let (names, values) = (self.column(0), self.column(1));
        let shown = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let pairs: Vec<String> = names
            .iter()
            .zip(&values)
            .map(|(name, value)| format!("{}={}", shown(name), shown(value)))
            .collect();
        Some(pairs.join(", "))
    }
}

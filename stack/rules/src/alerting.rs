//! One alerting rule: the state machine of each of its alerts (Prometheus' rules/alerting.go).
//!
//! ```text
//!              element seen            seen for `hold`           not seen, `keep_firing_for` over
//!   (nothing) ------------> pending ------------------> firing ----------------------------------> resolved
//!        ^                     | not seen                  ^ | not seen, kept                         | 15 minutes
//!        +---------------------+                           +-+                    seen again: pending | (nothing)
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use gameday_signal::{Alert, EventKind, Labels, LabelsBuilder, Timestamp};

use crate::backend::{Backend, Element, Language, SampleValue};
use crate::definition::{RuleDefinition, RuleKind};
use crate::expand::{Context, Templates};

/// How long a resolved alert is kept, so that Alertmanager hears of its end even where messages are lost (rules/alerting.go).
const RESOLVED_RETENTION: Duration = Duration::from_secs(15 * 60);
/// The series that shows the state of alerts.
const ALERTS: &str = "ALERTS";
/// The series from which alerts are restored after a restart.
pub(crate) const ALERTS_FOR_STATE: &str = "ALERTS_FOR_STATE";

/// The state of an alert or of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlertState {
    /// Not there, or resolved.
    Inactive,
    /// Seen, but not for long enough.
    Pending,
    /// Firing.
    Firing,
}

impl AlertState {
    /// The word that the HTTP API and the series `ALERTS` use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inactive => "inactive",
            Self::Pending => "pending",
            Self::Firing => "firing",
        }
    }
}

/// One alert of a rule.
#[derive(Clone, Debug)]
pub struct ActiveAlert {
    /// Its state.
    pub state: AlertState,
    /// Its identity.
    pub labels: Labels,
    /// What a person should read, as of the last evaluation that saw it.
    pub annotations: Labels,
    /// The names of the annotations whose template gave the empty text: a label set cannot hold them, promtool compares them.
    pub empty_annotations: Vec<String>,
    /// The value of the expression at the last evaluation that saw it.
    pub value: f64,
    /// When it was first seen.
    pub active_at: Timestamp,
    /// When it began to fire.
    pub fired_at: Option<Timestamp>,
    /// When it was resolved.
    pub resolved_at: Option<Timestamp>,
    /// When it was last sent to Alertmanager.
    pub last_sent_at: Option<Timestamp>,
    /// Until when the last message counts.
    pub valid_until: Option<Timestamp>,
    /// Since when it only fires because of `keep_firing_for`.
    pub keep_firing_since: Option<Timestamp>,
    /// `ALERTS` in the state that it was last written in, and `ALERTS_FOR_STATE`.
    series: Option<(AlertState, Labels, Labels)>,
}

impl ActiveAlert {
    fn needs_sending(&self, at: Timestamp, resend_delay: Duration) -> bool {
        if self.state == AlertState::Pending {
            return false;
        }
        let Some(last) = self.last_sent_at else {
            return true;
        };
        self.resolved_at.is_some_and(|resolved| resolved > last) || last + resend_delay < at
    }
}

/// An alerting rule with its alerts.
#[derive(Clone)]
pub(crate) struct AlertingRule {
    pub(crate) hold: Duration,
    pub(crate) keep_firing_for: Duration,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) annotations: Vec<(String, String)>,
    templates: Templates,
    /// By their labels, so that whatever is said of them is said in the same order.
    pub(crate) active: BTreeMap<Labels, ActiveAlert>,
    /// Whether the state from before a restart has been looked for; until then `ALERTS` is not written.
    pub(crate) restored: bool,
}

/// What every evaluation of a group shares.
pub(crate) struct Evaluation<'a> {
    /// The slot's time.
    pub(crate) at: Timestamp,
    /// The language of the expression.
    pub(crate) language: Language,
    pub(crate) query_offset: Duration,
    pub(crate) limit: usize,
    pub(crate) external_labels: &'a Labels,
    pub(crate) external_url: &'a str,
}

/// What one evaluation of a rule gives.
#[derive(Default)]
pub(crate) struct Outcome {
    /// What is to be stored.
    pub(crate) samples: Vec<(Labels, SampleValue)>,
    /// What changed.
    pub(crate) events: Vec<EventKind>,
    /// What its templates complained of.
    pub(crate) template_error: Option<String>,
}

impl AlertingRule {
    /// The rule of a definition, without alerts; none for a recording rule.
    pub(crate) fn new(definition: &RuleDefinition, restored: bool) -> Option<Self> {
        let RuleKind::Alerting {
            hold,
            keep_firing_for,
            annotations,
        } = &definition.kind
        else {
            return None;
        };
        let texts = definition.labels.iter().chain(annotations);
        Some(Self {
            hold: *hold,
            keep_firing_for: *keep_firing_for,
            labels: definition.labels.clone(),
            annotations: annotations.clone(),
            templates: Templates::new(&definition.name, texts.map(|(_, text)| text.as_str())),
            active: BTreeMap::new(),
            restored,
        })
    }

    /// The state of the rule: that of its alert that has come furthest.
    pub(crate) fn state(&self) -> AlertState {
        self.active
            .values()
            .map(|alert| alert.state)
            .max()
            .unwrap_or(AlertState::Inactive)
    }

    /// Evaluates the rule once.
    pub(crate) fn evaluate(
        &mut self,
        name: &str,
        expr: &str,
        evaluation: &Evaluation<'_>,
        backend: &dyn Backend,
    ) -> Result<Outcome, String> {
        let at = evaluation.at;
        let elements = backend.query(evaluation.language, expr, at - evaluation.query_offset)?;
        let mut outcome = Outcome::default();
        let seen = self.seen(name, &elements, evaluation, backend, &mut outcome)?;
        for (labels, found) in &seen {
            match self.active.get_mut(labels) {
                Some(alert) if alert.state != AlertState::Inactive => {
                    alert.value = found.value;
                    alert.annotations = found.annotations.clone();
                    alert.empty_annotations.clone_from(&found.empty_annotations);
                }
                _ => {
                    outcome.events.push(EventKind::AlertPending {
                        labels: labels.clone(),
                        value: found.value,
                    });
                    self.active
                        .insert(labels.clone(), pending(labels.clone(), found, at));
                }
            }
        }
        let mut active = std::mem::take(&mut self.active);
        let mut count = 0;
        active.retain(|labels, alert| {
            let (kept, counts) = self.step(alert, seen.contains_key(labels), at, &mut outcome);
            if counts {
                count += 1;
                if self.restored {
                    outcome.samples.extend(state_samples(alert));
                }
            }
            kept
        });
        if evaluation.limit > 0 && count > evaluation.limit {
            // Its alerts stay forgotten, as in Prometheus.
            let limit = evaluation.limit;
            return Err(format!("exceeded limit of {limit} with {count} alerts"));
        }
        self.active = active;
        Ok(outcome)
    }

    /// The alerts of the elements: labels, annotations and value.
    fn seen(
        &self,
        name: &str,
        elements: &[Element],
        evaluation: &Evaluation<'_>,
        backend: &dyn Backend,
        outcome: &mut Outcome,
    ) -> Result<BTreeMap<Labels, Seen>, String> {
        let context = Context {
            backend,
            at: evaluation.at,
            language: evaluation.language,
            external_labels: evaluation.external_labels,
            external_url: evaluation.external_url,
        };
        let mut seen = BTreeMap::new();
        for element in elements {
            let data = context.data(element, &self.templates);
            let mut expand = |text: &str| {
                let (text, error) = self.templates.expand(text, &data, &context);
                outcome.template_error = outcome.template_error.take().or(error);
                text
            };
            let mut labels = element.labels.to_builder();
            labels.remove("__name__");
            for (label, text) in &self.labels {
                labels.set(label, &expand(text));
            }
            labels.set("alertname", name);
            let mut annotations = LabelsBuilder::default();
            let mut empty_annotations = Vec::new();
            for (annotation, text) in &self.annotations {
                let text = expand(text);
                annotations.set(annotation, &text);
                if text.is_empty() {
                    empty_annotations.push(annotation.clone());
                }
            }
            let found = Seen {
                annotations: annotations.build(),
                empty_annotations,
                value: element.value.as_float(),
            };
            if seen.insert(labels.build(), found).is_some() {
                return Err(
                    "vector contains metrics with the same labelset after applying alert labels"
                        .to_owned(),
                );
            }
        }
        Ok(seen)
    }

    /// Moves an alert on; says whether it is kept, and whether it is pending or firing.
    fn step(
        &self,
        alert: &mut ActiveAlert,
        seen: bool,
        at: Timestamp,
        outcome: &mut Outcome,
    ) -> (bool, bool) {
        if seen {
            alert.keep_firing_since = None;
        } else {
            if alert.state == AlertState::Pending {
                outcome.events.push(EventKind::AlertDropped {
                    labels: alert.labels.clone(),
                });
                return (false, false);
            }
            if alert.state == AlertState::Inactive {
                let over = alert
                    .resolved_at
                    .is_some_and(|resolved| at.since(resolved) > RESOLVED_RETENTION);
                return (!over, false);
            }
            if !self.keeps_firing(alert, at) {
                alert.state = AlertState::Inactive;
                alert.resolved_at = Some(at);
                outcome.events.push(EventKind::AlertResolved {
                    labels: alert.labels.clone(),
                    fired_at: alert.fired_at.unwrap_or(at),
                });
                return (true, false);
            }
        }
        if alert.state == AlertState::Pending && at.since(alert.active_at) >= self.hold {
            alert.state = AlertState::Firing;
            alert.fired_at = Some(at);
            outcome.events.push(EventKind::AlertFiring {
                labels: alert.labels.clone(),
                annotations: alert.annotations.clone(),
                value: alert.value,
            });
        }
        (true, true)
    }

    fn keeps_firing(&self, alert: &mut ActiveAlert, at: Timestamp) -> bool {
        if self.keep_firing_for.is_zero() {
            return false;
        }
        let since = *alert.keep_firing_since.get_or_insert(at);
        at.since(since) < self.keep_firing_for
    }

    /// The alerts that are due to be sent, marked as sent.
    pub(crate) fn take_due(
        &mut self,
        at: Timestamp,
        interval: Duration,
        resend_delay: Duration,
        generator_url: &str,
        external_labels: &Labels,
    ) -> Vec<Alert> {
        let mut due = Vec::new();
        for alert in self.active.values_mut() {
            if !alert.needs_sending(at, resend_delay) {
                continue;
            }
            alert.last_sent_at = Some(at);
            // Two evaluations or messages may fail before Alertmanager takes the alert for resolved (rules/alerting.go).
            let valid_until = at + 4 * interval.max(resend_delay);
            alert.valid_until = Some(valid_until);
            let mut labels = alert.labels.to_builder();
            for (name, value) in external_labels.iter() {
                if alert.labels.get(name).is_none() {
                    labels.set(name, value);
                }
            }
            due.push(Alert {
                labels: labels.build(),
                annotations: alert.annotations.clone(),
                starts_at: alert.fired_at.unwrap_or(alert.active_at),
                ends_at: alert.resolved_at.unwrap_or(valid_until),
                generator_url: generator_url.to_owned(),
            });
        }
        due
    }

    /// Restores when each alert was first seen from what was stored before a restart (rules/group.go, RestoreForState).
    pub(crate) fn restore(
        &mut self,
        at: Timestamp,
        grace: Duration,
        stored: &[(Labels, Timestamp, f64)],
    ) {
        for alert in self.active.values_mut() {
            let series = alert.labels.with("__name__", ALERTS_FOR_STATE);
            let Some((_, down_at, value)) = stored.iter().find(|(labels, ..)| *labels == series)
            else {
                continue;
            };
            if gameday_signal::is_stale(*value) {
                continue;
            }
            let was_active_at = Timestamp::from_secs(*value as i64);
            let spent = down_at.since(was_active_at);
            alert.active_at = match self.hold.checked_sub(spent) {
                // It was firing: the next evaluation lets it fire again.
                None | Some(Duration::ZERO) => was_active_at,
                Some(remaining) if remaining < grace => at + grace - self.hold,
                // The time that the server was down does not count.
                Some(_) => was_active_at + at.since(*down_at),
            };
        }
        self.restored = true;
    }
}

/// What an element makes of an alert.
struct Seen {
    annotations: Labels,
    empty_annotations: Vec<String>,
    value: f64,
}

fn pending(labels: Labels, seen: &Seen, at: Timestamp) -> ActiveAlert {
    ActiveAlert {
        state: AlertState::Pending,
        labels,
        annotations: seen.annotations.clone(),
        empty_annotations: seen.empty_annotations.clone(),
        value: seen.value,
        active_at: at,
        fired_at: None,
        resolved_at: None,
        last_sent_at: None,
        valid_until: None,
        keep_firing_since: None,
        series: None,
    }
}

/// `ALERTS` and `ALERTS_FOR_STATE` of an alert.
fn state_samples(alert: &mut ActiveAlert) -> [(Labels, SampleValue); 2] {
    let since = SampleValue::Float(alert.active_at.as_secs() as f64);
    let (shown, for_state) = match &alert.series {
        Some((state, shown, for_state)) if *state == alert.state => {
            (shown.clone(), for_state.clone())
        }
        _ => {
            let shown = alert.labels.with("__name__", ALERTS);
            let shown = shown.with("alertstate", alert.state.as_str());
            let for_state = alert.labels.with("__name__", ALERTS_FOR_STATE);
            alert.series = Some((alert.state, shown.clone(), for_state.clone()));
            (shown, for_state)
        }
    };
    [(shown, SampleValue::Float(1.0)), (for_state, since)]
}

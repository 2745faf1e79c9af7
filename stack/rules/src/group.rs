//! A group: its rules run one after the other, at slots that are multiples of its interval (Prometheus' rules/group.go).

use std::collections::BTreeSet;
use std::time::Duration;

use gameday_signal::{EventKind, FixedSet, Labels, MatchOp, Matcher, Timestamp, stale_nan};

use crate::alerting::{ALERTS_FOR_STATE, AlertingRule, Evaluation, Outcome};
use crate::backend::{Backend, ExprChecker, Language, SampleValue};
use crate::definition::{GroupDefinition, RuleDefinition, RuleFile, RuleKind};
use crate::links::link_to;
use crate::options::{Options, Phase};
use crate::recording::{self, Relabelled};
use crate::rules::Effect;
use crate::status::Health;

/// A rule with what it has done.
#[derive(Clone)]
pub(crate) struct Rule {
    pub(crate) definition: RuleDefinition,
    /// The expression as the engine writes it.
    pub(crate) canonical: String,
    /// The link that its alerts carry.
    generator_url: String,
    pub(crate) alerting: Option<AlertingRule>,
    pub(crate) health: Health,
    pub(crate) last_error: Option<String>,
    pub(crate) last_evaluation: Option<Timestamp>,
    template_error: Option<String>,
    relabelled: Relabelled,
    /// The series that the last successful evaluation wrote, in that order.
    written: Vec<Labels>,
}

impl Rule {
    /// What tells rules apart when a file is loaded again (rules/group.go, nameAndLabels).
    fn identity(&self) -> (&str, &[(String, String)], bool) {
        (
            &self.definition.name,
            &self.definition.labels,
            self.alerting.is_some(),
        )
    }
}

/// A group with its state.
#[derive(Clone)]
pub(crate) struct Group {
    pub(crate) file: String,
    pub(crate) language: Language,
    pub(crate) definition: GroupDefinition,
    pub(crate) interval: Duration,
    pub(crate) query_offset: Duration,
    pub(crate) rules: Vec<Rule>,
    /// Where its slots lie after the multiples of the interval.
    phase: Duration,
    pub(crate) last_slot: Option<Timestamp>,
    pub(crate) next_slot: Timestamp,
    pub(crate) missed: u64,
    /// Evaluations that are still to come before the state from before a restart is restored.
    restore_after: Option<u8>,
    /// Series of rules that are gone.
    stale: BTreeSet<Labels>,
}

/// RestoreForState runs after the second evaluation, since the first one may find too little data (rules/group.go, run).
const EVALUATIONS_BEFORE_RESTORE: u8 = 2;

impl Group {
    pub(crate) fn new(
        file: &RuleFile,
        definition: &GroupDefinition,
        checker: &dyn ExprChecker,
        options: &Options,
        now: Timestamp,
    ) -> Self {
        let interval = definition.interval.unwrap_or(options.evaluation_interval);
        let interval = interval.max(Duration::from_millis(1));
        let base = options.external_url.trim_end_matches('/');
        let canonical = |definition: &RuleDefinition| {
            checker
                .check(file.language, &definition.expr)
                .unwrap_or_else(|_| definition.expr.clone())
        };
        let rule = |definition: &RuleDefinition| Rule {
            generator_url: format!("{base}{}", link_to(file.language, &canonical(definition))),
            canonical: canonical(definition),
            alerting: AlertingRule::new(definition, !options.restore),
            definition: definition.clone(),
            health: Health::Unknown,
            last_error: None,
            last_evaluation: None,
            template_error: None,
            relabelled: Relabelled::default(),
            written: Vec::new(),
        };
        let mut group = Self {
            file: file.path.clone(),
            language: file.language,
            interval,
            query_offset: definition.query_offset.unwrap_or(options.query_offset),
            rules: definition.rules.iter().map(rule).collect(),
            phase: phase(&file.path, &definition.name, interval, options.phase),
            definition: definition.clone(),
            last_slot: None,
            next_slot: now,
            missed: 0,
            restore_after: options.restore.then_some(EVALUATIONS_BEFORE_RESTORE),
            stale: BTreeSet::new(),
        };
        group.next_slot = group.slot_at(now) + interval;
        group
    }

    /// The latest slot that is not after `now`.
    fn slot_at(&self, now: Timestamp) -> Timestamp {
        (now - self.phase).floor_to(self.interval) + self.phase
    }

    /// Takes over the state of the rules that the group had before its file was loaded again.
    pub(crate) fn take_over(&mut self, mut old: Self) {
        for rule in &mut self.rules {
            let found = old
                .rules
                .iter()
                .position(|other| other.identity() == rule.identity());
            let Some(index) = found else {
                continue;
            };
            let other = old.rules.remove(index);
            rule.written = other.written;
            rule.health = other.health;
            rule.last_error = other.last_error;
            rule.last_evaluation = other.last_evaluation;
            if let (Some(own), Some(other)) = (&mut rule.alerting, other.alerting) {
                own.active = other.active;
                own.restored = other.restored;
            }
        }
        self.restore_after = old.restore_after;
        self.missed = old.missed;
        self.stale = old.stale;
        for rule in old.rules {
            self.stale.extend(rule.written);
        }
        if self.interval == old.interval && self.phase == old.phase {
            self.last_slot = old.last_slot;
            self.next_slot = old.next_slot;
        }
    }

    /// The series that end when the group is gone.
    pub(crate) fn series(self) -> BTreeSet<Labels> {
        let mut series = self.stale;
        for rule in self.rules {
            series.extend(rule.written);
        }
        series
    }

    /// The series that the last evaluations wrote.
    pub(crate) fn written(&self) -> impl Iterator<Item = &Labels> {
        self.rules.iter().flat_map(|rule| &rule.written)
    }

    /// Evaluates the group if a slot is due; slots that were missed are skipped.
    pub(crate) fn tick(
        &mut self,
        now: Timestamp,
        options: &Options,
        backend: &mut dyn Backend,
        effects: &mut Vec<Effect>,
    ) {
        if now < self.next_slot {
            return;
        }
        let slot = self.slot_at(now);
        let skipped = slot.since(self.next_slot).as_nanos() / self.interval.as_nanos();
        self.missed += u64::try_from(skipped).unwrap_or(u64::MAX);
        self.evaluate(slot, options, backend, effects);
        self.last_slot = Some(slot);
        self.next_slot = slot + self.interval;
        if let Some(left) = &mut self.restore_after {
            *left -= 1;
            if *left == 0 {
                self.restore_after = None;
                self.restore(slot, options, backend, effects);
            }
        }
    }

    /// Evaluates every rule at `slot`, in order.
    pub(crate) fn evaluate(
        &mut self,
        slot: Timestamp,
        options: &Options,
        backend: &mut dyn Backend,
        effects: &mut Vec<Effect>,
    ) {
        let evaluation = Evaluation {
            at: slot,
            language: self.language,
            query_offset: self.query_offset,
            limit: self.definition.limit,
            external_labels: &options.external_labels,
            external_url: &options.external_url,
        };
        for rule in &mut self.rules {
            rule.last_evaluation = Some(slot);
            match evaluate_rule(rule, &evaluation, backend) {
                Ok(outcome) => {
                    store(rule, &evaluation, outcome, backend, effects);
                    send(rule, &evaluation, self.interval, options, effects);
                }
                Err(error) => fail(rule, error, effects),
            }
        }
        let stale = SampleValue::Float(stale_nan());
        for series in std::mem::take(&mut self.stale) {
            // A series that is refused has ended by itself.
            let _ = backend.append(&series, slot - self.query_offset, &stale);
        }
    }

    fn restore(
        &mut self,
        now: Timestamp,
        options: &Options,
        backend: &dyn Backend,
        effects: &mut Vec<Effect>,
    ) {
        for rule in &mut self.rules {
            let Some(alerting) = &mut rule.alerting else {
                continue;
            };
            if alerting.hold < options.for_grace_period {
                alerting.restored = true;
                continue;
            }
            let matchers = [
                Matcher::new("__name__", MatchOp::Equal, ALERTS_FOR_STATE),
                Matcher::new("alertname", MatchOp::Equal, rule.definition.name.as_str()),
            ];
            let matchers: Vec<Matcher> = matchers.into_iter().flatten().collect();
            let from = now - options.for_outage_tolerance;
            match backend.last_samples(&matchers, from, now) {
                Ok(stored) => alerting.restore(now, options.for_grace_period, &stored),
                Err(error) => {
                    alerting.restored = true;
                    fail(
                        rule,
                        format!("failed to restore alert state: {error}"),
                        effects,
                    );
                }
            }
        }
    }
}

fn phase(file: &str, name: &str, interval: Duration, phase: Phase) -> Duration {
    match phase {
        Phase::Zero => Duration::ZERO,
        Phase::Hash => {
            let hash = Labels::new([("file", file), ("name", name)]).fingerprint();
            let nanos = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX);
            Duration::from_nanos(hash % nanos)
        }
    }
}

fn evaluate_rule(
    rule: &mut Rule,
    evaluation: &Evaluation<'_>,
    backend: &dyn Backend,
) -> Result<Outcome, String> {
    let definition = &rule.definition;
    let (name, expr) = (definition.name.as_str(), definition.expr.as_str());
    match &mut rule.alerting {
        Some(alerting) => alerting.evaluate(name, expr, evaluation, backend),
        None => {
            let (labels, known) = (&definition.labels, &mut rule.relabelled);
            recording::evaluate(name, expr, labels, known, evaluation, backend)
        }
    }
}

/// Stores what an evaluation gave, and ends the series that it no longer gives.
fn store(
    rule: &mut Rule,
    evaluation: &Evaluation<'_>,
    outcome: Outcome,
    backend: &mut dyn Backend,
    effects: &mut Vec<Effect>,
) {
    let at = evaluation.at - evaluation.query_offset;
    let mut refused = None;
    let mut written = Vec::with_capacity(outcome.samples.len());
    for (series, value) in outcome.samples {
        if let Err(error) = backend.append(&series, at, &value) {
            refused = refused.or(Some(format!("cannot store {series}: {error}")));
        }
        written.push(series);
    }
    if rule.written != written {
        let kept: FixedSet<&Labels> = written.iter().collect();
        let gone = rule.written.iter().filter(|series| !kept.contains(series));
        let stale = SampleValue::Float(stale_nan());
        for series in gone.collect::<BTreeSet<_>>() {
            // A series that is refused has ended by itself.
            let _ = backend.append(series, at, &stale);
        }
    }
    rule.written = written;
    effects.extend(outcome.events.into_iter().map(Effect::Event));
    if outcome.template_error != rule.template_error {
        if let Some(error) = &outcome.template_error {
            effects.push(Effect::Event(EventKind::RuleFailed {
                rule: rule.definition.name.clone(),
                error: error.clone(),
            }));
        }
        rule.template_error = outcome.template_error;
    }
    match refused {
        Some(error) => fail(rule, error, effects),
        None => {
            rule.health = Health::Ok;
            rule.last_error = None;
        }
    }
}

fn send(
    rule: &mut Rule,
    evaluation: &Evaluation<'_>,
    interval: Duration,
    options: &Options,
    effects: &mut Vec<Effect>,
) {
    let Some(alerting) = &mut rule.alerting else {
        return;
    };
    let alerts = alerting.take_due(
        evaluation.at,
        interval,
        options.resend_delay,
        &rule.generator_url,
        &options.external_labels,
    );
    if !alerts.is_empty() {
        effects.push(Effect::Send(alerts));
    }
}

/// Notes a failure; the journal hears of it when it begins or changes.
fn fail(rule: &mut Rule, error: String, effects: &mut Vec<Effect>) {
    rule.health = Health::Bad;
    if rule.last_error.as_ref() != Some(&error) {
        effects.push(Effect::Event(EventKind::RuleFailed {
            rule: rule.definition.name.clone(),
            error: error.clone(),
        }));
    }
    rule.last_error = Some(error);
}

/// Divides the durations of a rule; none of them becomes shorter than a millisecond.
pub(crate) fn scale_rule(rule: &mut RuleDefinition, divide: impl Fn(Duration) -> Duration) {
    if let RuleKind::Alerting {
        hold,
        keep_firing_for,
        ..
    } = &mut rule.kind
    {
        *hold = divide(*hold);
        *keep_firing_for = divide(*keep_firing_for);
    }
}

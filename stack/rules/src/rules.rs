//! All rule files together: loading, evaluating, loading again.

use std::collections::BTreeSet;
use std::time::Duration;

use gameday_signal::{Alert, EventKind, Labels, Timestamp, stale_nan};

use crate::alerting::{ActiveAlert, AlertState};
use crate::backend::{Backend, ExprChecker, Language, SampleValue};
use crate::definition::RuleFile;
use crate::group::{Group, scale_rule};
use crate::options::Options;
use crate::parse::{ParseOptions, parse_rule_file};
use crate::problem::{FileErrors, Problem};
use crate::status::GroupStatus;

/// What the rules want done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Alerts for Alertmanager: new, resolved, or due again.
    Send(Vec<Alert>),
    /// Something for the journal.
    Event(EventKind),
}

/// A text that was loaded, under the name of its file.
#[derive(Clone, Copy, Debug)]
pub struct SourceFile<'a> {
    /// Its name, for messages and the HTTP API.
    pub path: &'a str,
    /// Its text.
    pub text: &'a str,
    /// The language of its expressions.
    pub language: Language,
}

/// The groups of all rule files with their state.
#[derive(Clone)]
pub struct Rules {
    groups: Vec<Group>,
    options: Options,
    warnings: Vec<Problem>,
    /// Series of groups that are gone, with the time at which they end.
    ending: Vec<(Timestamp, BTreeSet<Labels>)>,
}

impl Rules {
    /// Loads rule files; the first slots are after `now`.
    ///
    /// # Errors
    /// All mistakes of all files.
    pub fn load(
        files: &[SourceFile<'_>],
        checker: &dyn ExprChecker,
        options: Options,
        now: Timestamp,
    ) -> Result<Self, FileErrors> {
        let parsed = parse_all(files, checker, &options)?;
        Ok(Self::from_files(&parsed, checker, options, now))
    }

    /// The rules of files that have been read, for callers that change them before.
    pub fn from_files(
        files: &[RuleFile],
        checker: &dyn ExprChecker,
        options: Options,
        now: Timestamp,
    ) -> Self {
        let groups = files.iter().flat_map(|file| {
            file.groups
                .iter()
                .map(|group| Group::new(file, group, checker, &options, now))
        });
        Self {
            groups: groups.collect(),
            warnings: files
                .iter()
                .flat_map(|file| file.warnings.clone())
                .collect(),
            ending: Vec::new(),
            options,
        }
    }

    /// Loads the files again. Groups and rules that are still there keep their state; where a file is wrong nothing changes.
    ///
    /// # Errors
    /// All mistakes of all files.
    pub fn reload(
        &mut self,
        files: &[SourceFile<'_>],
        checker: &dyn ExprChecker,
        options: Options,
        now: Timestamp,
    ) -> Result<(), FileErrors> {
        let parsed = parse_all(files, checker, &options)?;
        self.replace(&parsed, checker, options, now);
        Ok(())
    }

    /// The same with files that have been read, for callers that change them before.
    pub fn replace(
        &mut self,
        parsed: &[RuleFile],
        checker: &dyn ExprChecker,
        options: Options,
        now: Timestamp,
    ) {
        // State from before a restart is only looked for at the start.
        let options = Options {
            restore: false,
            ..options
        };
        let mut fresh = Self::from_files(parsed, checker, options, now);
        let mut old = std::mem::take(&mut self.groups);
        for group in &mut fresh.groups {
            let same = old.iter().position(|other| {
                other.file == group.file
                    && other.language == group.language
                    && other.definition.name == group.definition.name
            });
            if let Some(index) = same {
                group.take_over(old.remove(index));
            }
        }
        fresh.ending = std::mem::take(&mut self.ending);
        for group in old {
            // Renamed rules get two intervals to write their series again (rules/group.go, run).
            let at = now + 2 * group.interval;
            fresh.ending.push((at, group.series()));
        }
        *self = fresh;
    }

    /// Evaluates what is due at `now`, in the order of files and groups.
    pub fn tick(&mut self, now: Timestamp, backend: &mut dyn Backend) -> Vec<Effect> {
        let mut effects = Vec::new();
        for group in &mut self.groups {
            group.tick(now, &self.options, backend, &mut effects);
        }
        self.end_series(now, backend);
        effects
    }

    /// Evaluates every group once at `at`, whatever its slots are: what a test of rules does.
    pub fn evaluate_at(&mut self, at: Timestamp, backend: &mut dyn Backend) -> Vec<Effect> {
        let mut effects = Vec::new();
        for group in &mut self.groups {
            group.evaluate(at, &self.options, backend, &mut effects);
        }
        effects
    }

    /// When something is due next.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let slots = self.groups.iter().map(|group| group.next_slot);
        slots.chain(self.ending.iter().map(|(at, _)| *at)).min()
    }

    fn end_series(&mut self, now: Timestamp, backend: &mut dyn Backend) {
        let (due, ending): (Vec<_>, Vec<_>) = std::mem::take(&mut self.ending)
            .into_iter()
            .partition(|(at, _)| *at <= now);
        self.ending = ending;
        if due.is_empty() {
            return;
        }
        let written: BTreeSet<&Labels> = self.groups.iter().flat_map(Group::written).collect();
        let stale = SampleValue::Float(stale_nan());
        for (_, series) in due {
            for one in series.iter().filter(|one| !written.contains(one)) {
                // A series that is refused has ended by itself.
                let _ = backend.append(one, now, &stale);
            }
        }
    }

    /// What the HTTP API says about the groups, in the order of files and groups.
    pub fn groups(&self) -> Vec<GroupStatus> {
        self.groups.iter().map(GroupStatus::of).collect()
    }

    /// All alerts that are pending or firing, in the order of their rules, then by label.
    pub fn alerts(&self) -> Vec<ActiveAlert> {
        self.alerts_where(|_| true)
    }

    /// As [`Self::alerts`], those of the rules of one language.
    pub fn alerts_of(&self, language: Language) -> Vec<ActiveAlert> {
        self.alerts_where(|group| group.language == language)
    }

    fn alerts_where(&self, keep: impl Fn(&Group) -> bool) -> Vec<ActiveAlert> {
        self.groups
            .iter()
            .filter(|group| keep(group))
            .flat_map(|group| &group.rules)
            .filter_map(|rule| rule.alerting.as_ref())
            .flat_map(|alerting| alerting.active.values())
            .filter(|alert| alert.state != AlertState::Inactive)
            .cloned()
            .collect()
    }

    /// Puts the groups that are named into the order of the names; as in promtool, the others count as the first.
    pub(crate) fn order_groups(&mut self, names: &[String]) {
        self.groups.sort_by_key(|group| {
            let name = &group.definition.name;
            names.iter().position(|own| own == name).unwrap_or(0)
        });
    }

    /// The rules whose last evaluation failed, with the error.
    pub(crate) fn failures(&self) -> impl Iterator<Item = (&str, &str)> {
        self.groups
            .iter()
            .flat_map(|group| &group.rules)
            .filter_map(|rule| {
                let error = rule.last_error.as_deref()?;
                Some((rule.definition.name.as_str(), error))
            })
    }

    /// The alerts of the rules of a name, resolved ones included.
    pub(crate) fn alerts_named<'r>(
        &'r self,
        name: &'r str,
    ) -> impl Iterator<Item = &'r ActiveAlert> {
        self.groups
            .iter()
            .flat_map(|group| &group.rules)
            .filter(move |rule| rule.definition.name == name)
            .filter_map(|rule| rule.alerting.as_ref())
            .flat_map(|alerting| alerting.active.values())
    }

    /// The names of the alerting rules.
    pub(crate) fn alert_names(&self) -> impl Iterator<Item = &str> {
        self.groups
            .iter()
            .flat_map(|group| &group.rules)
            .filter(|rule| rule.alerting.is_some())
            .map(|rule| rule.definition.name.as_str())
    }

    /// What is odd in the files, without being wrong.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// The options in force.
    pub fn options(&self) -> &Options {
        &self.options
    }
}

/// Divides every duration of a file (intervals, offsets, `for`, `keep_firing_for`) by `divisor`, and lets `scale_expr` do the
/// same with the expressions: a run in real time that is compressed.
pub fn scale_durations(file: &mut RuleFile, divisor: f64, scale_expr: &dyn Fn(&str) -> String) {
    let divide = |duration: Duration| scaled(duration, divisor);
    for group in &mut file.groups {
        group.interval = group.interval.map(divide);
        group.query_offset = group.query_offset.map(divide);
        for rule in &mut group.rules {
            rule.expr = scale_expr(&rule.expr);
            scale_rule(rule, divide);
        }
    }
}

/// A divided duration, whole milliseconds, at least one unless it was zero.
fn scaled(duration: Duration, divisor: f64) -> Duration {
    if duration.is_zero() || !divisor.is_finite() || divisor <= 0.0 {
        return duration;
    }
    let millis = (duration.as_secs_f64() * 1000.0 / divisor).round();
    Duration::from_millis((millis as u64).max(1))
}

/// Reads all files; the mistakes of all of them are reported together.
fn parse_all(
    files: &[SourceFile<'_>],
    checker: &dyn ExprChecker,
    options: &Options,
) -> Result<Vec<RuleFile>, FileErrors> {
    let mut parsed = Vec::with_capacity(files.len());
    let mut problems = Vec::new();
    for file in files {
        let parse = ParseOptions {
            language: file.language,
            ..options.parse
        };
        match parse_rule_file(file.path, file.text, checker, parse) {
            Ok(file) => parsed.push(file),
            Err(FileErrors(found)) => problems.extend(found),
        }
    }
    if problems.is_empty() {
        Ok(parsed)
    } else {
        Err(FileErrors(problems))
    }
}

//! All game days of `run --all` at a glance: verdicts, the time played, precision and recall, and alert coverage.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use minijinja::Value;
use minijinja::value::Serde;
use serde::Serialize;

use super::html::{VerdictView, render};
use super::incidents::{Incident, incidents, primary};
use super::lines::reached_ms;
use super::markdown::outcome_word;
use super::markdown_text::{cell, plain, rows};
use super::record::{Expectation, Outcome, RunRecord, Verdict};
use super::text;

/// An alert rule under test.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KnownAlert {
    /// Its name.
    pub name: String,
    /// Where it stands, `rules/slo.yml:12`.
    pub place: String,
}

/// How well the alerts told faults from health, over all game days.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AlertScore {
    /// Alerts that fired as expected.
    pub expected_fired: u64,
    /// Alerts that were expected and did not fire.
    pub expected_missing: u64,
    /// Alerts that fired although nobody expected or allowed them.
    pub unexpected_fired: u64,
}

impl AlertScore {
    /// Counts each alert of each scenario once, however often it fired there; an alert that may fire counts neither way.
    pub fn of(records: &[RunRecord]) -> Self {
        let mut score = Self::default();
        for scenario in records.iter().flat_map(|record| &record.scenarios) {
            let mut seen: BTreeMap<String, (Expectation, bool)> = BTreeMap::new();
            for own in incidents(scenario) {
                let entry = seen
                    .entry(text::alert(&own.labels))
                    .or_insert((own.expectation, false));
                entry.1 |= own.fired();
            }
            for (expectation, fired) in seen.into_values() {
                match (expectation, fired) {
                    (Expectation::Expected, true) => score.expected_fired += 1,
                    (Expectation::Expected, false) => score.expected_missing += 1,
                    (Expectation::Unexpected, true) => score.unexpected_fired += 1,
                    (Expectation::Unexpected, false) | (Expectation::Allowed, _) => {}
                }
            }
        }
        score
    }

    /// The share of the alerts that fired which were expected; none if none fired.
    pub fn precision(&self) -> Option<f64> {
        ratio(self.expected_fired, self.unexpected_fired)
    }

    /// The share of the expected alerts that fired; none if none was expected.
    pub fn recall(&self) -> Option<f64> {
        ratio(self.expected_fired, self.expected_missing)
    }
}

fn ratio(part: u64, rest: u64) -> Option<f64> {
    let all = part + rest;
    (all > 0).then(|| part as f64 / all as f64)
}

/// An alert rule with the game days in which it fired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertCoverage {
    /// Its name.
    pub alert: String,
    /// Where it stands; empty for an alert that fired but is no known rule.
    pub place: String,
    /// The game days in which it fired, by name.
    pub fired_in: Vec<String>,
    /// The game days in which it was seen pending, but never fired.
    pub pending_in: Vec<String>,
}

/// Which rules fired in which game day, sorted by name and place; the known rules and every other alert that was seen.
pub fn alert_coverage(records: &[RunRecord], known: &[KnownAlert]) -> Vec<AlertCoverage> {
    let mut fired: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    let mut pending: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    for (index, record) in records.iter().enumerate() {
        for own in record.scenarios.iter().flat_map(incidents) {
            if own.moments.pending.is_some() {
                let seen = if own.fired() {
                    &mut fired
                } else {
                    &mut pending
                };
                seen.entry(own.name().to_owned()).or_default().insert(index);
            }
        }
    }
    let mut rules: BTreeSet<KnownAlert> = known.iter().cloned().collect();
    for name in fired.keys().chain(pending.keys()) {
        if !known.iter().any(|own| own.name == *name) {
            rules.insert(KnownAlert {
                name: name.clone(),
                place: String::new(),
            });
        }
    }
    let names = |indices: BTreeSet<usize>| -> Vec<String> {
        indices
            .into_iter()
            .map(|index| records[index].name.clone())
            .collect()
    };
    rules
        .into_iter()
        .map(|rule| {
            let fired = fired.get(&rule.name).cloned().unwrap_or_default();
            let pending = pending.get(&rule.name).cloned().unwrap_or_default();
            AlertCoverage {
                pending_in: names(pending.difference(&fired).copied().collect()),
                fired_in: names(fired),
                alert: rule.name,
                place: rule.place,
            }
        })
        .collect()
}

/// The worst verdict of all runs; inconclusive where there is none.
pub fn overall_verdict(records: &[RunRecord]) -> Verdict {
    let outcome = records
        .iter()
        .map(|record| record.verdict.outcome)
        .max()
        .unwrap_or(Outcome::Inconclusive);
    let mut reasons: Vec<String> = records
        .iter()
        .filter(|record| record.verdict.outcome != Outcome::Held)
        .map(|record| format!("{}: {}", record.name, record.verdict.outcome.as_str()))
        .collect();
    if records.is_empty() {
        reasons.push("no game day was played".to_owned());
    }
    Verdict { outcome, reasons }
}

#[derive(Serialize)]
struct OverviewView {
    verdict: VerdictView,
    facts: Vec<(String, String)>,
    runs: Vec<RunView>,
    coverage: Vec<CoverageView>,
    covered: usize,
    version: String,
}

#[derive(Serialize)]
struct RunView {
    name: String,
    title: String,
    href: String,
    verdict: VerdictView,
    scenarios: usize,
    played: String,
    alert: String,
    to_detect: String,
    to_page: String,
    to_restore: String,
}

#[derive(Serialize)]
struct CoverageView {
    alert: String,
    place: String,
    fired_in: Vec<String>,
    pending_in: Vec<String>,
}

impl RunView {
    fn new(record: &RunRecord) -> Self {
        let all: Vec<Incident> = record.scenarios.iter().flat_map(incidents).collect();
        let own = primary(&all);
        let time = |ms: fn(&Incident) -> Option<i64>| {
            own.map_or_else(|| "—".to_owned(), |own| reached_ms(ms(own)))
        };
        Self {
            name: text::visible(&record.name),
            title: text::visible(&record.title),
            href: format!("{}/index.html", file_name(&record.name)),
            verdict: VerdictView::new(&record.verdict),
            scenarios: record.scenarios.len(),
            played: text::duration(record.played()),
            alert: own.map_or_else(|| "none".to_owned(), |own| text::visible(own.name())),
            to_detect: time(|own| own.measures.time_to_detect_ms),
            to_page: time(|own| own.measures.time_to_page_ms),
            to_restore: time(|own| own.measures.time_to_restore_ms),
        }
    }
}

/// A name that is safe as a folder's: everything but letters, digits, `-`, `_` and `.` becomes `-`, and it never begins with a
/// dot.
pub(super) fn file_name(name: &str) -> String {
    let mut safe: String = name
        .chars()
        .map(|character| match character {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' | '.' => character,
            _ => '-',
        })
        .collect();
    if safe.is_empty() || safe.starts_with('.') {
        safe.insert(0, '_');
    }
    safe
}

fn facts(records: &[RunRecord], coverage: &[AlertCoverage]) -> Vec<(String, String)> {
    let score = AlertScore::of(records);
    let share = |share: Option<f64>| {
        share.map_or_else(
            || "not known".to_owned(),
            |share| text::with_unit(share, "ratio"),
        )
    };
    let held = records
        .iter()
        .filter(|record| record.verdict.outcome == Outcome::Held)
        .count();
    let played: Duration = records.iter().map(RunRecord::played).sum();
    let fired = coverage
        .iter()
        .filter(|own| !own.fired_in.is_empty())
        .count();
    [
        ("Game days held", format!("{held} of {}", records.len())),
        ("Time played", text::duration(played)),
        ("Alert coverage", format!("{fired} of {}", coverage.len())),
        (
            "Precision",
            format!(
                "{} ({} expected, {} unexpected)",
                share(score.precision()),
                score.expected_fired,
                score.unexpected_fired
            ),
        ),
        (
            "Recall",
            format!(
                "{} ({} missing)",
                share(score.recall()),
                score.expected_missing
            ),
        ),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

/// The overview as one HTML file, which links to `<game day>/index.html`.
pub fn render_overview_html(records: &[RunRecord], known: &[KnownAlert]) -> String {
    let coverage = alert_coverage(records, known);
    let view = OverviewView {
        verdict: VerdictView::new(&overall_verdict(records)),
        facts: facts(records, &coverage),
        runs: records.iter().map(RunView::new).collect(),
        covered: coverage
            .iter()
            .filter(|own| !own.fired_in.is_empty())
            .count(),
        coverage: coverage
            .into_iter()
            .map(|own| CoverageView {
                alert: text::visible(&own.alert),
                place: text::visible(&own.place),
                fired_in: own
                    .fired_in
                    .iter()
                    .map(|name| text::visible(name))
                    .collect(),
                pending_in: own
                    .pending_in
                    .iter()
                    .map(|name| text::visible(name))
                    .collect(),
            })
            .collect(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    render("overview.html", &Value::from(Serde(view)))
}

/// The overview as Markdown.
pub fn render_overview_markdown(records: &[RunRecord], known: &[KnownAlert]) -> String {
    let coverage = alert_coverage(records, known);
    let mut md = String::new();
    let verdict = overall_verdict(records);
    let _ = writeln!(md, "# All game days: {}\n", verdict.outcome.as_str());
    rows(
        &mut md,
        &["", ""],
        facts(records, &coverage)
            .into_iter()
            .map(|(name, value)| vec![name, value]),
    );
    let runs = records.iter().map(|record| {
        let view = RunView::new(record);
        vec![
            cell(&record.name),
            outcome_word(record.verdict.outcome),
            view.scenarios.to_string(),
            view.played,
            plain(&view.alert),
            view.to_detect,
            view.to_page,
            view.to_restore,
        ]
    });
    rows(
        &mut md,
        &[
            "Game day",
            "Verdict",
            "Scenarios",
            "Played",
            "Alert",
            "To detect",
            "To page",
            "To restore",
        ],
        runs,
    );
    md.push_str("## Alert coverage\n\n");
    let covered = coverage.iter().map(|own| {
        let list = |names: &[String]| {
            let names: Vec<String> = names.iter().map(|name| cell(name)).collect();
            names.join(", ")
        };
        let fired = if own.fired_in.is_empty() {
            "**never**".to_owned()
        } else {
            list(&own.fired_in)
        };
        vec![
            cell(&own.alert),
            fired,
            list(&own.pending_in),
            cell(&own.place),
        ]
    });
    rows(
        &mut md,
        &["Alert", "Fired in", "Only pending in", "Rule"],
        covered,
    );
    md
}

/// The last line of `run --all`: verdict, count and the time that was played.
pub fn overview_line(records: &[RunRecord]) -> String {
    let played: Duration = records.iter().map(RunRecord::played).sum();
    let held = records
        .iter()
        .filter(|record| record.verdict.outcome == Outcome::Held)
        .count();
    format!(
        "{}: {held} of {} game days held, {} of game time played",
        overall_verdict(records).outcome.as_str(),
        records.len(),
        text::duration(played)
    )
}

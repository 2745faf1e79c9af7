//! Reads everything under test and finds every mistake, before a night in which it is needed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use cucumber::gherkin::Feature;
use fake_service::{FaultSpec, Role, ServiceConfig, Surroundings};
use gameday_server::StackFiles;
use gameday_server::rules::{RuleDefinition, RuleFile, RuleKind};
use gameday_signal::Labels;

use crate::failure::Failure;
use crate::faults::read_receiver_fault;
use crate::runner::{check_steps, feature_names, game_day_of, read_feature, steps_of};
use crate::scenario::Scenario;
use crate::target::check_service;
use crate::timeline::KnownAlert;
use crate::verify::runbook;

/// What a check has found.
#[derive(Clone, Debug, Default)]
pub struct CheckReport {
    /// Mistakes, each with its place.
    pub errors: Vec<String>,
    /// What is odd, without being wrong.
    pub warnings: Vec<String>,
    /// Game days that were looked at.
    pub checked: usize,
    /// Every alert under test.
    pub alerts: Vec<KnownAlert>,
    /// The alerts that no step of any game day expects to fire.
    pub never_fired: Vec<String>,
}

/// Checks the named game days of `root`, all where none is named.
///
/// # Errors
/// Where a name is unknown, or there is no game day at all.
pub fn check(root: &Path, names: &[String]) -> Result<CheckReport, Failure> {
    let known = feature_names(root);
    for name in names {
        if !known.contains(name) {
            let message = format!(
                "no game day is called {name:?} in {}",
                root.join("features").display()
            );
            return Err(
                Failure::scenario(message).did_you_mean(name, known.iter().map(String::as_str))
            );
        }
    }
    if known.is_empty() {
        return Err(Failure::scenario(format!(
            "no game day in {}",
            root.join("features").display()
        ))
        .hinted("`gameday init DIR` writes a starter project"));
    }
    let mut checker = Checker {
        root,
        report: CheckReport::default(),
        alerts: BTreeMap::new(),
        fired: BTreeSet::new(),
        seen: BTreeSet::new(),
    };
    for name in if names.is_empty() { &known } else { names } {
        checker.game_day(name);
    }
    Ok(checker.finish())
}

struct Checker<'a> {
    root: &'a Path,
    report: CheckReport,
    /// Alerts under test with their places.
    alerts: BTreeMap<String, String>,
    /// Alerts that a step expects to fire.
    fired: BTreeSet<String>,
    /// Folders of files that have been looked at: game days may share them.
    seen: BTreeSet<String>,
}

impl Checker<'_> {
    fn finish(mut self) -> CheckReport {
        self.report.never_fired = self
            .alerts
            .keys()
            .filter(|name| !self.fired.contains(*name))
            .cloned()
            .collect();
        self.report.alerts = self
            .alerts
            .iter()
            .map(|(name, place)| KnownAlert {
                name: name.clone(),
                place: place.clone(),
            })
            .collect();
        // The same file may be under test in several game days; its mistakes are told once.
        let mut told = BTreeSet::new();
        self.report
            .errors
            .retain(|error| told.insert(error.clone()));
        self.report
    }

    fn error(&mut self, error: impl Into<String>) {
        self.report.errors.push(error.into());
    }

    fn game_day(&mut self, name: &str) {
        self.report.checked += 1;
        let path = self.root.join("features").join(format!("{name}.feature"));
        let feature = match read_feature(&path) {
            Ok(feature) => feature,
            Err(failure) => return self.error(failure.to_string()),
        };
        if let Err(failure) = check_steps(&feature, &path) {
            self.error(failure.to_string());
        }
        let Some(own) = game_day_of(&feature) else {
            return self.error(format!(
                "{}: no step starts a game day: Given the game day \"...\"",
                path.display()
            ));
        };
        let scenario = match Scenario::load(self.root, own) {
            Ok(scenario) => scenario,
            Err(failure) => return self.error(failure.to_string()),
        };
        let files = match scenario.stack_files() {
            Ok(files) => files,
            Err(failure) => return self.error(failure.to_string()),
        };
        self.scenario(&scenario);
        let rules = self.files(&scenario, &files);
        self.names_in_steps(&feature, &path, &scenario, &files, &rules);
    }

    fn scenario(&mut self, scenario: &Scenario) {
        let path = scenario.path.display().to_string();
        for (name, fault) in &scenario.settings.faults {
            let json = fault.as_json(fault.lease);
            if fault.is_of_receiver() {
                if let Err(error) = read_receiver_fault(&json) {
                    self.error(format!("{path}: fault {name:?}: {error}"));
                }
                continue;
            }
            if let Err(failure) = check_service(&fault.service, &scenario.path) {
                self.error(failure.to_string());
                continue;
            }
            let Ok(role) = fault.service.parse::<Role>() else {
                continue;
            };
            let around = Surroundings::of(&ServiceConfig::of(role));
            if let Err(error) = FaultSpec::read(&json, &around) {
                self.error(format!("{path}: fault {name:?}: {error}"));
            }
        }
        let conditions = scenario
            .settings
            .abort
            .iter()
            .map(|own| ("abort condition", own.expr.clone()));
        let objectives = scenario.settings.slos.iter().flat_map(|slo| {
            let events = slo
                .events
                .iter()
                .map(|events| ("objective", events.replace("$window", "5m")));
            std::iter::once(("objective", slo.bad_ratio_over("5m"))).chain(events)
        });
        let queries: Vec<(&str, String)> = conditions.chain(objectives).collect();
        for (what, query) in queries {
            if let Err(error) = gameday_server::check_promql(&query) {
                self.error(format!("{path}: {what}: {error}"));
            }
        }
    }

    /// Checks the files under test and gives the rule files that could be read.
    fn files(&mut self, scenario: &Scenario, files: &StackFiles) -> Vec<RuleFile> {
        let folder = scenario
            .settings
            .config
            .as_ref()
            .map_or(String::new(), |config| {
                scenario.dir.join(config).display().to_string()
            });
        let is_new = self.seen.insert(folder);
        if let Err(error) = files.prometheus_config() {
            self.error(error);
        }
        match files.collector_config(true) {
            Ok(config) => {
                let path = files.collector.as_ref().map_or("", |own| &own.path);
                let told = config.warnings.iter().map(|own| format!("{path}: {own}"));
                self.report.warnings.extend(told);
            }
            Err(error) => self.error(error),
        }
        if let Err(error) = files.datasources() {
            self.error(error);
        }
        let routes = match files.check_alertmanager() {
            Ok(routes) => Some(routes),
            Err(error) => {
                self.error(error);
                None
            }
        };
        let rules = match files.rule_files() {
            Ok(rules) => rules,
            Err(error) => {
                self.error(error);
                Vec::new()
            }
        };
        for file in &rules {
            for rule in file.groups.iter().flat_map(|group| &group.rules) {
                let RuleKind::Alerting { annotations, .. } = &rule.kind else {
                    continue;
                };
                let place = format!("{}:{}", file.path, rule.at.line);
                self.alerts
                    .entry(rule.name.clone())
                    .or_insert_with(|| place.clone());
                if is_new {
                    self.alert(&place, rule, annotations, files);
                    if let Some(routes) = &routes {
                        self.route(&place, rule, routes);
                    }
                }
            }
        }
        rules
    }

    fn alert(
        &mut self,
        place: &str,
        rule: &RuleDefinition,
        annotations: &[(String, String)],
        files: &StackFiles,
    ) {
        let url = annotations
            .iter()
            .find(|(name, _)| name == "runbook_url")
            .map(|(_, value)| value.as_str());
        let Some(url) = url.filter(|url| !url.is_empty()) else {
            return self.error(format!(
                "{place}: alert {} has no annotation runbook_url",
                rule.name
            ));
        };
        let Some(text) = files.runbook(url) else {
            return self.error(format!(
                "{place}: alert {}: runbook {url} does not exist",
                rule.name
            ));
        };
        let missing = runbook::missing_sections(&text);
        if !missing.is_empty() {
            self.error(format!(
                "{url}: it lacks the sections: {}",
                missing.join(", ")
            ));
        }
        for query in runbook::queries(&text) {
            let outcome = match query.language.as_str() {
                "promql" => gameday_server::check_promql(&query.text),
                "logql" => gameday_server::check_logql(&query.text),
                _ => gameday_server::check_traceql(&query.text),
            };
            if let Err(error) = outcome {
                self.error(format!(
                    "{url}:{}: {} query: {error}",
                    query.line, query.language
                ));
            }
        }
    }

    fn route(&mut self, place: &str, rule: &RuleDefinition, routes: &gameday_server::RouteCheck) {
        let labels = Labels::new(
            rule.labels
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str())),
        )
        .with("alertname", &rule.name);
        if routes.receivers_of(&labels).is_empty() {
            self.error(format!(
                "{place}: alert {} reaches no receiver that notifies anybody",
                rule.name
            ));
        }
    }

    /// Names in the steps that stand for something: a slip here would fail only in the middle of the run.
    fn names_in_steps(
        &mut self,
        feature: &Feature,
        path: &Path,
        scenario: &Scenario,
        files: &StackFiles,
        rules: &[RuleFile],
    ) {
        let alerts: BTreeSet<&str> = rules
            .iter()
            .flat_map(|file| &file.groups)
            .flat_map(|group| &group.rules)
            .map(|rule| rule.name.as_str())
            .collect();
        let receivers: Vec<String> = files
            .alertmanager_config()
            .map(|config| config.receiver_names().map(str::to_owned).collect())
            .unwrap_or_default();
        for (name, fault) in &scenario.settings.faults {
            let receiver = fault.receiver.as_str();
            if fault.is_of_receiver()
                && !receivers.is_empty()
                && !receivers.iter().any(|own| own == receiver)
            {
                let message = format!(
                    "{}: fault {name:?}: no receiver is called {receiver:?} in alertmanager.yml",
                    scenario.path.display()
                );
                let known = receivers.iter().map(String::as_str);
                self.error(
                    Failure::scenario(message)
                        .did_you_mean(receiver, known)
                        .to_string(),
                );
            }
        }
        for step in steps_of(feature) {
            let place = format!(
                "{}:{}:{}",
                path.display(),
                step.position.line,
                step.position.col
            );
            let value = &step.value;
            for (word, known) in [
                ("alert", alerts.iter().copied().collect::<Vec<_>>()),
                ("receiver", receivers.iter().map(String::as_str).collect()),
                (
                    "fault",
                    scenario
                        .settings
                        .faults
                        .keys()
                        .map(String::as_str)
                        .collect(),
                ),
                (
                    "the burn rate of",
                    scenario
                        .settings
                        .slos
                        .iter()
                        .map(|slo| slo.name.as_str())
                        .collect(),
                ),
            ] {
                for name in quoted_after(value, word) {
                    if !known.is_empty() && !known.contains(&name) {
                        let failure = Failure::scenario(format!(
                            "{place}: unknown {}: {name:?}",
                            word.trim_start_matches("the ")
                        ));
                        self.error(
                            failure
                                .did_you_mean(name, known.iter().copied())
                                .to_string(),
                        );
                    }
                    if word == "alert"
                        && (value.contains("be firing") || value.contains("have fired"))
                    {
                        self.fired.insert(name.to_owned());
                    }
                }
            }
        }
    }
}

/// The quoted texts that follow `word`: `alert "X"`.
fn quoted_after<'t>(text: &'t str, word: &str) -> Vec<&'t str> {
    let pattern = format!("{word} \"");
    let starts = text
        .match_indices(&pattern)
        .map(|(start, _)| start + pattern.len());
    starts
        .filter_map(|start| text[start..].split_once('"').map(|(name, _)| name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_names_are_found() {
        assert_eq!(
            quoted_after("alert \"A\" before alert \"B\" of fault \"C\"", "alert"),
            ["A", "B"]
        );
        assert!(quoted_after("alert A", "alert").is_empty());
    }
}

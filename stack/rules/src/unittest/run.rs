//! Runs the tests of a file.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use gameday_query::ParseError;
use gameday_signal::{EventKind, Histogram, Labels, Timestamp, format_duration};
use gameday_template::format_float;

use super::compare::{same_alerts, same_value};
use super::file::{AlertTest, ExpectedAlert, ExpectedSample, ExprTest, TestFile, TestGroup};
use super::load::load;
use super::logs::WaitingLines;
use super::report::{Failure, FileResult, GroupResult};
use crate::alerting::AlertState;
use crate::backend::{Backend, Element, ExprChecker, Language, SampleValue};
use crate::definition::RuleFile;
use crate::options::Options;
use crate::parse::ParseOptions;
use crate::rules::{Effect, Rules, SourceFile};

/// What a unit test needs of a query engine.
pub trait TestEngine: ExprChecker {
    /// A store that can be asked.
    type Store: Backend;

    /// An empty store, whose subqueries without a step use `evaluation_interval`.
    fn new_store(&self, evaluation_interval: Duration) -> Self::Store;

    /// Reads `name{label="value"} 1 2+3x4 _ stale`: the series and its values, one an interval.
    ///
    /// # Errors
    /// The first mistake, with its place.
    fn parse_series(&self, text: &str) -> Result<(Labels, Vec<Option<SampleValue>>), ParseError>;

    /// Reads `{app="a"}`, the labels of a stream.
    ///
    /// # Errors
    /// The first mistake, with its place.
    fn parse_stream(&self, text: &str) -> Result<Labels, ParseError>;

    /// Adds a log line to the store.
    ///
    /// # Errors
    /// The store's own message, for example that the line is too old.
    fn append_line(
        &self,
        store: &mut Self::Store,
        stream: &Labels,
        at: Timestamp,
        line: &str,
        metadata: &[(String, String)],
    ) -> Result<(), String>;

    /// Whether two histograms are the same once they are written in the same way.
    fn same_histogram(&self, expected: &Histogram, got: &Histogram) -> bool;

    /// A histogram for a message.
    fn histogram_text(&self, histogram: &Histogram) -> String;
}

/// A file that was found for a pattern of `rule_files`.
#[derive(Clone, Debug)]
pub struct OwnedFile {
    /// Its name.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// How tests are run.
#[derive(Clone, Debug, Default)]
pub struct TestOptions {
    /// Labels and annotations of alerts may have more than what is expected.
    pub subset: bool,
    /// How rule files are read.
    pub rules: ParseOptions,
    /// Only the tests whose name one of these regular expressions matches somewhere; all where there is none.
    pub run: Vec<String>,
}

/// A test may evaluate its rules this often: five years of minutes.
const EVALUATION_LIMIT: u128 = 5 * 366 * 24 * 60;
/// A failure shows this many of the alert's last changes.
const TIMELINE_LIMIT: usize = 20;

/// Runs a file of unit tests; `find` gives the rule files that a pattern stands for.
pub fn run_test_file<E: TestEngine>(
    file: SourceFile<'_>,
    find: &dyn Fn(&str) -> Result<Vec<OwnedFile>, String>,
    engine: &E,
    options: &TestOptions,
) -> FileResult {
    let mut result = FileResult {
        path: file.path.to_owned(),
        error: None,
        groups: Vec::new(),
    };
    match load(file, find, engine, options) {
        Ok((tests, rule_files, filters)) => {
            for group in &tests.tests {
                let selected = filters.is_empty()
                    || filters
                        .iter()
                        .any(|filter| filter.matches_value(&group.name));
                if selected {
                    let runner = Runner::new(&tests, group, &rule_files, engine, options);
                    result.groups.push(runner.run());
                }
            }
        }
        Err(error) => result.error = Some(error),
    }
    result
}

/// A series that is appended as time goes on.
struct Input {
    labels: Labels,
    values: Vec<Option<SampleValue>>,
    next: usize,
}

/// One change of an alert, for the timeline of a failure.
struct Change {
    at: Timestamp,
    alertname: String,
    text: String,
}

/// One test while it runs.
struct Runner<'a, E: TestEngine> {
    file: &'a TestFile,
    group: &'a TestGroup,
    engine: &'a E,
    options: &'a TestOptions,
    rules: Rules,
    store: E::Store,
    inputs: Vec<Input>,
    lines: WaitingLines,
    /// The alerts that are asked for: only their changes are kept.
    watched: BTreeSet<&'a str>,
    changes: Vec<Change>,
    result: GroupResult,
}

impl<'a, E: TestEngine> Runner<'a, E> {
    fn new(
        file: &'a TestFile,
        group: &'a TestGroup,
        rule_files: &[RuleFile],
        engine: &'a E,
        options: &'a TestOptions,
    ) -> Self {
        let rule_options = Options {
            evaluation_interval: group.interval,
            external_labels: group.external_labels.clone(),
            external_url: group.external_url.clone(),
            parse: options.rules,
            ..Options::default()
        };
        let mut rules = Rules::from_files(rule_files, engine, rule_options, group.start);
        rules.order_groups(&file.group_eval_order);
        let watched = group.alert_tests.iter().map(|test| test.alertname.as_str());
        Self {
            file,
            engine,
            options,
            rules,
            store: engine.new_store(file.evaluation_interval),
            inputs: Vec::new(),
            lines: WaitingLines::default(),
            watched: watched.collect(),
            changes: Vec::new(),
            result: GroupResult {
                name: group.name.clone(),
                line: group.at.line,
                failures: Vec::new(),
                checks: 0,
                evaluations: 0,
            },
            group,
        }
    }

    fn fail(&mut self, line: usize, message: impl Into<String>) {
        self.result.failures.push(Failure {
            line,
            message: message.into(),
            timeline: Vec::new(),
            hint: None,
        });
    }

    fn run(mut self) -> GroupResult {
        if self.read_series() && self.read_logs() && self.is_bounded() && self.evaluate() {
            for test in &self.group.expr_tests {
                self.check_expr(Language::PromQl, test);
            }
            for test in &self.group.logql_tests {
                self.check_expr(Language::LogQl, test);
            }
        }
        self.result
    }

    fn read_series(&mut self) -> bool {
        for series in &self.group.input_series {
            let text = format!("{} {}", series.series, series.values);
            match self.engine.parse_series(&text) {
                Ok((labels, values)) => self.inputs.push(Input {
                    labels,
                    values,
                    next: 0,
                }),
                Err(error) => {
                    let drawn = error.render(&text, None);
                    self.fail(series.at.line, format!("input_series: {error}\n{drawn}"));
                    return false;
                }
            }
        }
        true
    }

    fn read_logs(&mut self) -> bool {
        let mut streams = Vec::new();
        for logs in &self.group.input_logs {
            match self.engine.parse_stream(&logs.stream) {
                Ok(labels) => streams.push(labels),
                Err(error) => {
                    let drawn = error.render(&logs.stream, None);
                    self.fail(logs.at.line, format!("input_logs: {error}\n{drawn}"));
                    return false;
                }
            }
        }
        self.lines = WaitingLines::new(streams, &self.group.input_logs);
        true
    }

    fn last_eval_time(&self) -> Duration {
        let alerts = self.group.alert_tests.iter().map(|test| test.eval_time);
        let exprs = self.group.expr_tests.iter().map(|test| test.eval_time);
        let logql = self.group.logql_tests.iter().map(|test| test.eval_time);
        alerts
            .chain(exprs)
            .chain(logql)
            .max()
            .unwrap_or(Duration::ZERO)
    }

    fn is_bounded(&mut self) -> bool {
        let last = self.last_eval_time();
        let count = last.as_nanos() / self.file.evaluation_interval.as_nanos().max(1);
        if count > EVALUATION_LIMIT {
            let (last, interval) = (
                format_duration(last),
                format_duration(self.file.evaluation_interval),
            );
            self.fail(
                self.group.at.line,
                format!("an eval_time of {last} at an evaluation_interval of {interval} makes {count} evaluations, more than the limit of {EVALUATION_LIMIT}"),
            );
            return false;
        }
        true
    }

    /// Evaluates the rules from the start to the last time that is asked for; false where a rule failed.
    fn evaluate(&mut self) -> bool {
        let mut tests: Vec<&AlertTest> = self.group.alert_tests.iter().collect();
        tests.sort_by_key(|test| test.eval_time);
        let mut tests = tests.into_iter().peekable();
        let interval = self.file.evaluation_interval;
        let last = self.last_eval_time();
        let mut elapsed = Duration::ZERO;
        while elapsed <= last {
            let at = self.group.start + elapsed;
            self.append_until(at);
            let effects = self.rules.evaluate_at(at, &mut self.store);
            self.result.evaluations += 1;
            self.note_changes(at, effects);
            let failed: Vec<String> = self
                .rules
                .failures()
                .map(|(rule, error)| {
                    let time = format_duration(elapsed);
                    format!("rule: {rule}, time: {time}, err: {error}")
                })
                .collect();
            if !failed.is_empty() {
                for message in failed {
                    self.fail(self.group.at.line, message);
                }
                return false;
            }
            // Between two evaluations the alerts are as the earlier one left them.
            while let Some(test) = tests.next_if(|test| test.eval_time < elapsed + interval) {
                self.check_alerts(test);
            }
            elapsed += interval;
        }
        true
    }

    /// Appends what the series and streams have up to `at`: promtool loads them as time goes on, too.
    fn append_until(&mut self, at: Timestamp) {
        let (engine, store) = (self.engine, &mut self.store);
        let mut failures = self
            .lines
            .append_until(self.group.start, at, |stream, time, line| {
                engine.append_line(store, stream, time, &line.line, &line.metadata)
            });
        for input in &mut self.inputs {
            while input.next < input.values.len() {
                let offset = u32::try_from(input.next).map_or(Duration::MAX, |index| {
                    self.group.interval.saturating_mul(index)
                });
                let time = self.group.start + offset;
                if time > at {
                    break;
                }
                if let Some(value) = &input.values[input.next]
                    && let Err(error) = self.store.append(&input.labels, time, value)
                {
                    failures.push(format!("input_series {}: {error}", input.labels));
                }
                input.next += 1;
            }
        }
        for failure in failures {
            self.fail(self.group.at.line, failure);
        }
    }

    fn note_changes(&mut self, at: Timestamp, effects: Vec<Effect>) {
        for effect in effects {
            let Effect::Event(event) = effect else {
                continue;
            };
            let (labels, what) = match event {
                EventKind::AlertPending { labels, value } => {
                    (labels, format!("pending, value {}", format_float(value)))
                }
                EventKind::AlertFiring { labels, value, .. } => {
                    (labels, format!("firing, value {}", format_float(value)))
                }
                EventKind::AlertDropped { labels } => (labels, "no longer pending".to_owned()),
                EventKind::AlertResolved { labels, .. } => (labels, "resolved".to_owned()),
                _ => continue,
            };
            let alertname = labels.value_of("alertname").to_owned();
            if self.watched.contains(alertname.as_str()) {
                self.changes.push(Change {
                    at,
                    alertname,
                    text: format!("{what}: {}", labels.without("alertname")),
                });
            }
        }
    }

    fn firing(&self, alertname: &str) -> Vec<ExpectedAlert> {
        let mut firing: Vec<ExpectedAlert> = self
            .rules
            .alerts_named(alertname)
            .filter(|alert| alert.state == AlertState::Firing)
            .map(|alert| ExpectedAlert {
                labels: alert.labels.clone(),
                annotations: {
                    let texts = alert.annotations.iter();
                    let empty = alert
                        .empty_annotations
                        .iter()
                        .map(|name| (name.as_str(), ""));
                    texts
                        .chain(empty)
                        .map(|(name, text)| (name.to_owned(), text.to_owned()))
                        .collect()
                },
            })
            .collect();
        firing.sort_by(|left, right| left.labels.cmp(&right.labels));
        firing
    }

    fn check_alerts(&mut self, test: &AlertTest) {
        self.result.checks += 1;
        let name = test.alertname.as_str();
        let got = self.firing(name);
        let mut expected: Vec<ExpectedAlert> = test
            .expected
            .iter()
            .map(|alert| ExpectedAlert {
                labels: alert.labels.with("alertname", name),
                annotations: alert.annotations.clone(),
            })
            .collect();
        expected.sort_by(|left, right| left.labels.cmp(&right.labels));
        if same_alerts(&expected, &got, test.subset.unwrap_or(self.options.subset)) {
            return;
        }
        let time = format_duration(test.eval_time);
        let message = format!(
            "alertname: {name}, time: {time},\n    exp:{}\n    got:{}",
            alerts_text(&expected),
            alerts_text(&got)
        );
        let failure = Failure {
            line: test.at.line,
            message,
            timeline: self.timeline(test),
            hint: self.alert_hint(name),
        };
        self.result.failures.push(failure);
    }

    /// What the alert went through up to the time of the test.
    fn timeline(&self, test: &AlertTest) -> Vec<String> {
        let until = self.group.start + test.eval_time;
        let changes: Vec<&Change> = self
            .changes
            .iter()
            .filter(|change| change.alertname == test.alertname && change.at <= until)
            .collect();
        if changes.is_empty() {
            return vec!["it was never pending".to_owned()];
        }
        let left_out = changes.len().saturating_sub(TIMELINE_LIMIT);
        let mut lines = Vec::new();
        if left_out > 0 {
            lines.push(format!("({left_out} earlier changes are left out)"));
        }
        for change in &changes[left_out..] {
            let time = format_duration(change.at.since(self.group.start));
            lines.push(format!("{time:>8}  {}", change.text));
        }
        lines
    }

    fn alert_hint(&self, name: &str) -> Option<String> {
        let names: BTreeSet<&str> = self.rules.alert_names().collect();
        if names.contains(name) {
            return None;
        }
        let near = gameday_signal::did_you_mean(name, names.iter().copied());
        Some(match near {
            Some(near) => format!("no rule has this name; {near}"),
            None => "no rule has this name".to_owned(),
        })
    }

    fn check_expr(&mut self, language: Language, test: &ExprTest) {
        self.result.checks += 1;
        let time = format_duration(test.eval_time);
        let place = format!("expr: {:?}, time: {time}", test.expr);
        if let Err(error) = self.engine.check(language, &test.expr) {
            let drawn = error.render(&test.expr, None);
            self.fail(test.at.line, format!("{place}, err: {error}\n{drawn}"));
            return;
        }
        let at = self.group.start + test.eval_time;
        let got = match self.store.query(language, &test.expr, at) {
            Ok(got) => got,
            Err(error) => {
                self.fail(test.at.line, format!("{place}, err: {error}"));
                return;
            }
        };
        let expected = match self.expected_samples(&test.expected) {
            Ok(expected) => expected,
            Err(error) => {
                self.fail(test.at.line, format!("{place}, err: {error}"));
                return;
            }
        };
        if self.same_elements(&expected, &got) {
            return;
        }
        let message = format!(
            "{place},\n    exp: {}\n    got: {}",
            self.elements_text(&expected),
            self.elements_text(&got)
        );
        let interval = self.file.evaluation_interval;
        let between = !test
            .eval_time
            .as_nanos()
            .is_multiple_of(interval.as_nanos().max(1));
        let hint = between.then(|| {
            format!(
                "eval_time is no multiple of the evaluation_interval of {}: as in promtool, the values of the series after the last evaluation are not there yet",
                format_duration(interval)
            )
        });
        self.result.failures.push(Failure {
            line: test.at.line,
            message,
            timeline: Vec::new(),
            hint,
        });
    }

    fn expected_samples(&self, samples: &[ExpectedSample]) -> Result<Vec<Element>, String> {
        samples
            .iter()
            .map(|sample| {
                let refused = |error: ParseError| format!("labels {:?}: {error}", sample.labels);
                let labels = if sample.labels.trim().is_empty() {
                    Labels::empty()
                } else {
                    self.engine.parse_series(&sample.labels).map_err(refused)?.0
                };
                if sample.histogram.is_empty() {
                    let value = SampleValue::Float(sample.value);
                    return Ok(Element { labels, value });
                }
                let text = format!("{{}} {}", sample.histogram);
                let (_, values) = self.engine.parse_series(&text).map_err(refused)?;
                match values.as_slice() {
                    [Some(value @ SampleValue::Histogram(_))] => Ok(Element {
                        labels,
                        value: value.clone(),
                    }),
                    _ => Err(format!(
                        "expected one histogram, got {:?}",
                        sample.histogram
                    )),
                }
            })
            .collect()
    }

    fn same_elements(&self, expected: &[Element], got: &[Element]) -> bool {
        let mut left: BTreeMap<&Labels, Vec<&SampleValue>> = BTreeMap::new();
        for element in expected {
            left.entry(&element.labels)
                .or_default()
                .push(&element.value);
        }
        expected.len() == got.len()
            && got.iter().all(|element| {
                let Some(values) = left.get_mut(&element.labels) else {
                    return false;
                };
                let same = values
                    .iter()
                    .position(|value| self.same_sample(value, &element.value));
                same.map(|index| values.remove(index)).is_some()
            })
    }

    fn same_sample(&self, expected: &SampleValue, got: &SampleValue) -> bool {
        match (expected, got) {
            (SampleValue::Float(expected), SampleValue::Float(got)) => {
                same_value(*expected, *got, self.file.fuzzy_compare)
            }
            (SampleValue::Histogram(expected), SampleValue::Histogram(got)) => {
                self.engine.same_histogram(expected, got)
            }
            _ => false,
        }
    }

    fn elements_text(&self, elements: &[Element]) -> String {
        let mut lines: Vec<String> = elements
            .iter()
            .map(|element| {
                let value = match &element.value {
                    SampleValue::Float(value) => format_float(*value),
                    SampleValue::Histogram(histogram) => self.engine.histogram_text(histogram),
                };
                format!("{} {value}", element.labels)
            })
            .collect();
        lines.sort();
        if lines.is_empty() {
            "nil".to_owned()
        } else {
            lines.join("\n         ")
        }
    }
}

fn alerts_text(alerts: &[ExpectedAlert]) -> String {
    if alerts.is_empty() {
        return "[]".to_owned();
    }
    let lines: Vec<String> = alerts
        .iter()
        .enumerate()
        .map(|(index, alert)| {
            let annotations: Vec<String> = alert
                .annotations
                .iter()
                .map(|(name, text)| format!("{name}={text:?}"))
                .collect();
            format!(
                "\n        {index}:\n          Labels:{}\n          Annotations:{{{}}}",
                alert.labels,
                annotations.join(", ")
            )
        })
        .collect();
    format!("[{}\n        ]", lines.concat())
}

//! The file format of `promtool test rules` (cmd/promtool/unittest.go).

use std::collections::BTreeMap;
use std::time::Duration;

use gameday_query::Position;
use gameday_signal::{Labels, Timestamp};
use gameday_template::Time;

use super::logs::InputLogs;
use crate::problem::{FileErrors, Problem, Problems};
use crate::reader::Reader;
use gameday_yaml::{Kind, Node};

/// A file of unit tests.
#[derive(Clone, Debug, Default)]
pub struct TestFile {
    /// Patterns of rule files, relative to the test file.
    pub rule_files: Vec<(String, Position)>,
    /// Patterns of rule files whose expressions are LogQL.
    pub logql_rule_files: Vec<(String, Position)>,
    /// How often the rules are evaluated.
    pub evaluation_interval: Duration,
    /// Names of groups in the order in which they are evaluated.
    pub group_eval_order: Vec<String>,
    /// Whether values may differ in their last bit.
    pub fuzzy_compare: bool,
    /// The tests.
    pub tests: Vec<TestGroup>,
}

/// One test: series, and what is expected of them.
#[derive(Clone, Debug)]
pub struct TestGroup {
    /// Its name, `unnamed#<index>` where the file gives none.
    pub name: String,
    /// The distance of the values of the series.
    pub interval: Duration,
    /// The series.
    pub input_series: Vec<InputSeries>,
    /// The log lines.
    pub input_logs: Vec<InputLogs>,
    /// What alerts must fire.
    pub alert_tests: Vec<AlertTest>,
    /// What expressions must give.
    pub expr_tests: Vec<ExprTest>,
    /// What LogQL expressions must give.
    pub logql_tests: Vec<ExprTest>,
    /// `$externalLabels`.
    pub external_labels: Labels,
    /// `$externalURL`.
    pub external_url: String,
    /// The time of the first value.
    pub start: Timestamp,
    /// Where it stands.
    pub at: Position,
}

/// A series and its values.
#[derive(Clone, Debug)]
pub struct InputSeries {
    /// The series, as `name{label="value"}`.
    pub series: String,
    /// Its values, as `1 2+3x4 _ stale`.
    pub values: String,
    /// Where it stands.
    pub at: Position,
}

/// What alerts of a name must fire at a time.
#[derive(Clone, Debug)]
pub struct AlertTest {
    /// The time after the start.
    pub eval_time: Duration,
    /// The name of the alert.
    pub alertname: String,
    /// The alerts.
    pub expected: Vec<ExpectedAlert>,
    /// Whether the labels and annotations may have more than what is expected; the option of the run where nothing is said.
    pub subset: Option<bool>,
    /// Where it stands.
    pub at: Position,
}

/// An alert that must fire.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExpectedAlert {
    /// Its labels, without `alertname`.
    pub labels: Labels,
    /// Its annotations, empty ones too.
    pub annotations: BTreeMap<String, String>,
}

/// What an expression must give at a time.
#[derive(Clone, Debug)]
pub struct ExprTest {
    /// The expression.
    pub expr: String,
    /// The time after the start.
    pub eval_time: Duration,
    /// The elements.
    pub expected: Vec<ExpectedSample>,
    /// Where it stands.
    pub at: Position,
}

/// An element that an expression must give.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExpectedSample {
    /// Its labels, as `name{label="value"}`.
    pub labels: String,
    /// Its value.
    pub value: f64,
    /// Its histogram, as `{{count:1 sum:2}}`, where it is one.
    pub histogram: String,
}

/// promtool's interval where the file sets none.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(60);

const FILE_KEYS: [&str; 6] = [
    "rule_files",
    "logql_rule_files",
    "evaluation_interval",
    "group_eval_order",
    "tests",
    "fuzzy_compare",
];
const GROUP_KEYS: [&str; 10] = [
    "interval",
    "input_series",
    "input_logs",
    "alert_rule_test",
    "promql_expr_test",
    "logql_expr_test",
    "external_labels",
    "external_url",
    "name",
    "start_timestamp",
];
const ALERT_KEYS: [&str; 4] = ["eval_time", "alertname", "exp_alerts", "match"];
const EXPR_KEYS: [&str; 3] = ["expr", "eval_time", "exp_samples"];

impl TestFile {
    /// Reads a file of unit tests.
    ///
    /// # Errors
    /// All mistakes of the file.
    pub fn parse(path: &str, text: &str) -> Result<Self, FileErrors> {
        let mut problems = Problems::new(path, text);
        let document = problems.read(text);
        let mut reader = Reader {
            problems,
            ignore_unknown_fields: false,
        };
        let file = match &document.root {
            Some(root) => reader.test_file(root),
            None => Self::default(),
        };
        let problems = reader.problems.finish();
        if problems.is_empty() {
            Ok(file)
        } else {
            Err(FileErrors(problems))
        }
    }
}

impl Reader<'_> {
    fn test_file(&mut self, root: &Node) -> TestFile {
        let mut file = TestFile::default();
        let mut tests = None;
        for (key, value) in self.entries(root, "a test file") {
            match key.name.as_str() {
                "rule_files" => file.rule_files = self.patterns(value, "rule_files"),
                "logql_rule_files" => {
                    file.logql_rule_files = self.patterns(value, "logql_rule_files");
                }
                "evaluation_interval" => {
                    file.evaluation_interval = self.duration(value, "evaluation_interval");
                }
                "group_eval_order" => {
                    for node in self.list(value, "group_eval_order") {
                        let name = self.text(node, "a group");
                        if file.group_eval_order.contains(&name) {
                            let message =
                                format!("group name repeated in evaluation order: {name}");
                            self.add(node.at, message);
                        }
                        file.group_eval_order.push(name);
                    }
                }
                "fuzzy_compare" => file.fuzzy_compare = self.truth(value, "fuzzy_compare"),
                "tests" => tests = Some(value),
                _ => self.unknown(key, "a test file", &FILE_KEYS),
            }
        }
        if file.evaluation_interval.is_zero() {
            file.evaluation_interval = DEFAULT_INTERVAL;
        }
        if let Some(tests) = tests {
            for (index, node) in self.list(tests, "tests").iter().enumerate() {
                let group = self.test_group(node, index, file.evaluation_interval);
                file.tests.push(group);
            }
        }
        file
    }

    fn patterns(&mut self, node: &Node, what: &str) -> Vec<(String, Position)> {
        let nodes = self.list(node, what).iter();
        nodes
            .map(|node| (self.text(node, "a rule file"), node.at))
            .collect()
    }

    fn test_group(&mut self, node: &Node, index: usize, interval: Duration) -> TestGroup {
        let mut group = TestGroup {
            name: String::new(),
            interval: Duration::ZERO,
            input_series: Vec::new(),
            input_logs: Vec::new(),
            alert_tests: Vec::new(),
            expr_tests: Vec::new(),
            logql_tests: Vec::new(),
            external_labels: Labels::empty(),
            external_url: String::new(),
            start: Timestamp::EPOCH,
            at: node.at,
        };
        for (key, value) in self.entries(node, "a test") {
            match key.name.as_str() {
                "name" => group.name = self.text(value, "name"),
                "interval" => group.interval = self.duration(value, "interval"),
                "input_series" => {
                    for node in self.list(value, "input_series") {
                        let series = self.input_series(node);
                        group.input_series.push(series);
                    }
                }
                "alert_rule_test" => {
                    for node in self.list(value, "alert_rule_test") {
                        let test = self.alert_test(node);
                        group.alert_tests.push(test);
                    }
                }
                "promql_expr_test" => {
                    for node in self.list(value, "promql_expr_test") {
                        let test = self.expr_test(node);
                        group.expr_tests.push(test);
                    }
                }
                "input_logs" => group.input_logs = self.input_logs(value),
                "logql_expr_test" => {
                    for node in self.list(value, "logql_expr_test") {
                        let test = self.expr_test(node);
                        group.logql_tests.push(test);
                    }
                }
                "external_labels" => {
                    group.external_labels = Labels::new(self.texts(value, "external_labels"));
                }
                "external_url" => group.external_url = self.text(value, "external_url"),
                "start_timestamp" => group.start = self.timestamp(value),
                _ => self.unknown(key, "a test", &GROUP_KEYS),
            }
        }
        if group.name.is_empty() {
            group.name = format!("unnamed#{index}");
        }
        if group.interval.is_zero() {
            group.interval = interval;
        }
        group
    }

    fn input_series(&mut self, node: &Node) -> InputSeries {
        let mut series = InputSeries {
            series: String::new(),
            values: String::new(),
            at: node.at,
        };
        for (key, value) in self.entries(node, "a series") {
            match key.name.as_str() {
                "series" => {
                    series.series = self.text(value, "series");
                    series.at = value.at;
                }
                "values" => series.values = self.text(value, "values"),
                _ => self.unknown(key, "a series", &["series", "values"]),
            }
        }
        series
    }

    fn alert_test(&mut self, node: &Node) -> AlertTest {
        let mut test = AlertTest {
            eval_time: Duration::ZERO,
            alertname: String::new(),
            expected: Vec::new(),
            subset: None,
            at: node.at,
        };
        for (key, value) in self.entries(node, "a test of alerts") {
            match key.name.as_str() {
                "eval_time" => test.eval_time = self.duration(value, "eval_time"),
                "alertname" => test.alertname = self.text(value, "alertname"),
                "exp_alerts" => {
                    for node in self.list(value, "exp_alerts") {
                        let alert = self.expected_alert(node);
                        test.expected.push(alert);
                    }
                }
                "match" => match self.text(value, "match").as_str() {
                    "exact" => test.subset = Some(false),
                    "subset" => test.subset = Some(true),
                    other => {
                        let message = format!("match must be exact or subset, not {other:?}");
                        self.add(value.at, message);
                    }
                },
                _ => self.unknown(key, "a test of alerts", &ALERT_KEYS),
            }
        }
        if test.alertname.is_empty() {
            let time = gameday_signal::format_duration(test.eval_time);
            self.add(
                node.at,
                format!("an item under alert_rule_test misses required attribute alertname at eval_time {time}"),
            );
        }
        test
    }

    fn expected_alert(&mut self, node: &Node) -> ExpectedAlert {
        let mut alert = ExpectedAlert::default();
        for (key, value) in self.entries(node, "an alert") {
            match key.name.as_str() {
                "exp_labels" => alert.labels = Labels::new(self.texts(value, "exp_labels")),
                "exp_annotations" => {
                    alert.annotations = self.texts(value, "exp_annotations").into_iter().collect();
                }
                _ => self.unknown(key, "an alert", &["exp_labels", "exp_annotations"]),
            }
        }
        alert
    }

    fn expr_test(&mut self, node: &Node) -> ExprTest {
        let mut test = ExprTest {
            expr: String::new(),
            eval_time: Duration::ZERO,
            expected: Vec::new(),
            at: node.at,
        };
        for (key, value) in self.entries(node, "a test of an expression") {
            match key.name.as_str() {
                "expr" => {
                    test.expr = self.text(value, "expr");
                    test.at = match &value.kind {
                        Kind::Scalar(scalar) => scalar.place_of(0),
                        _ => value.at,
                    };
                }
                "eval_time" => test.eval_time = self.duration(value, "eval_time"),
                "exp_samples" => {
                    for node in self.list(value, "exp_samples") {
                        let sample = self.expected_sample(node);
                        test.expected.push(sample);
                    }
                }
                _ => self.unknown(key, "a test of an expression", &EXPR_KEYS),
            }
        }
        test
    }

    fn expected_sample(&mut self, node: &Node) -> ExpectedSample {
        let mut sample = ExpectedSample::default();
        for (key, value) in self.entries(node, "a sample") {
            match key.name.as_str() {
                "labels" => sample.labels = self.text(value, "labels"),
                "value" => sample.value = self.number(value, "value"),
                "histogram" => sample.histogram = self.text(value, "histogram"),
                _ => self.unknown(key, "a sample", &["labels", "value", "histogram"]),
            }
        }
        sample
    }

    fn truth(&mut self, node: &Node, what: &str) -> bool {
        match self.text(node, what).to_ascii_lowercase().as_str() {
            "true" => true,
            "false" | "" => false,
            other => {
                self.add(
                    node.at,
                    format!("{what} must be true or false, not {other:?}"),
                );
                false
            }
        }
    }

    fn number(&mut self, node: &Node, what: &str) -> f64 {
        let text = self.text(node, what);
        // YAML writes `.inf` and `.nan`.
        let plain = text.trim_start_matches(['+', '-']);
        let parsed = match plain.to_ascii_lowercase().as_str() {
            ".inf" => Some(f64::INFINITY),
            ".nan" => Some(f64::NAN),
            _ => gameday_query::parse_number(plain),
        };
        match parsed {
            Some(number) if text.starts_with('-') => -number,
            Some(number) => number,
            None => {
                self.add(node.at, format!("{what} must be a number, not {text:?}"));
                0.0
            }
        }
    }

    /// Seconds since the Unix epoch, or RFC 3339.
    fn timestamp(&mut self, node: &Node) -> Timestamp {
        let text = self.text(node, "start_timestamp");
        if let Ok(secs) = text.parse::<f64>()
            && secs.is_finite()
        {
            return Timestamp::from_secs_f64(secs);
        }
        match Time::parse("2006-01-02T15:04:05Z07:00", &text) {
            Ok(time) => time.timestamp(),
            Err(_) => {
                self.problems.add(
                    Problem::new(
                        node.at,
                        format!("start_timestamp is neither seconds nor RFC 3339: {text:?}"),
                    )
                    .with_length(text.chars().count())
                    .with_hint("for example 1704067200 or 2024-01-01T00:00:00Z"),
                );
                Timestamp::EPOCH
            }
        }
    }
}

//! Rule files from YAML, with every mistake that Prometheus refuses and its place.

use std::collections::BTreeMap;
use std::time::Duration;

use gameday_query::Position;

use crate::backend::{ExprChecker, Language};
use crate::definition::{GroupDefinition, RuleDefinition, RuleFile, RuleKind};
use crate::expand::check_template;
use crate::names::NameValidation;
use crate::problem::{FileErrors, Problem, Problems};
use crate::reader::Reader;
use gameday_yaml::{Key, Kind, Node};

/// How a rule file is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ParseOptions {
    /// Which metric and label names are valid.
    pub names: NameValidation,
    /// Whether keys that nobody knows are passed over (promtool's `--ignore-unknown-fields`).
    pub ignore_unknown_fields: bool,
    /// The language of the expressions.
    pub language: Language,
}

const GROUP_KEYS: [&str; 6] = [
    "name",
    "interval",
    "query_offset",
    "limit",
    "labels",
    "rules",
];
const RULE_KEYS: [&str; 7] = [
    "record",
    "alert",
    "expr",
    "for",
    "keep_firing_for",
    "labels",
    "annotations",
];

/// Reads a rule file.
///
/// # Errors
/// All mistakes of the file: YAML, unknown and doubled keys, durations, names, expressions and templates.
pub fn parse_rule_file(
    path: &str,
    text: &str,
    checker: &dyn ExprChecker,
    options: ParseOptions,
) -> Result<RuleFile, FileErrors> {
    let mut problems = Problems::new(path, text);
    let document = problems.read(text);
    let mut reader = FileReader {
        checker,
        options,
        reader: Reader {
            problems,
            ignore_unknown_fields: options.ignore_unknown_fields,
        },
    };
    if let Some(at) = document.second {
        reader.reader.problems.add(
            Problem::new(at, "only the first document of the file is read")
                .with_hint("put the groups into one document")
                .into_warning(),
        );
    }
    let groups = match &document.root {
        Some(root) => reader.file(root),
        None => Vec::new(),
    };
    reader.warn_of_duplicates(&groups);
    let (warnings, errors): (Vec<_>, Vec<_>) = reader
        .reader
        .problems
        .finish()
        .into_iter()
        .partition(|problem| problem.warning);
    if errors.is_empty() {
        Ok(RuleFile {
            path: path.to_owned(),
            language: options.language,
            groups,
            warnings,
        })
    } else {
        Err(FileErrors(errors))
    }
}

struct FileReader<'a> {
    checker: &'a dyn ExprChecker,
    options: ParseOptions,
    reader: Reader<'a>,
}

/// The keys of a rule before they are judged together.
#[derive(Default)]
struct RawRule<'a> {
    record: Option<&'a Node>,
    alert: Option<&'a Node>,
    expr: Option<&'a Node>,
    hold: Option<(&'a Key, Duration)>,
    keep_firing_for: Option<(&'a Key, Duration)>,
    labels: Vec<(String, String)>,
    annotations: Option<(&'a Key, Vec<(String, String)>)>,
}

impl FileReader<'_> {
    fn file(&mut self, root: &Node) -> Vec<GroupDefinition> {
        let mut groups = Vec::new();
        // The line in which each group begins.
        let mut names = BTreeMap::new();
        for (key, value) in self.reader.entries(root, "a rule file") {
            match key.name.as_str() {
                "groups" => {
                    for node in self.reader.list(value, "groups") {
                        groups.push(self.group(node, &mut names));
                    }
                }
                _ => self.reader.unknown(key, "a rule file", &["groups"]),
            }
        }
        groups
    }

    fn group(&mut self, node: &Node, names: &mut BTreeMap<String, usize>) -> GroupDefinition {
        let mut group = GroupDefinition {
            name: String::new(),
            interval: None,
            query_offset: None,
            limit: 0,
            labels: Vec::new(),
            rules: Vec::new(),
            at: node.at,
        };
        let mut rules = None;
        let mut name_at = node.at;
        for (key, value) in self.reader.entries(node, "a group") {
            match key.name.as_str() {
                "name" => {
                    group.name = self.reader.text(value, "name");
                    name_at = value.at;
                }
                "interval" => group.interval = Some(self.reader.duration(value, "interval")),
                "query_offset" => {
                    group.query_offset = Some(self.reader.duration(value, "query_offset"))
                }
                "limit" => group.limit = self.limit(value),
                "labels" => group.labels = self.labels(value, "a group"),
                "rules" => rules = Some(value),
                _ => self.reader.unknown(key, "a group", &GROUP_KEYS),
            }
        }
        if group.name.is_empty() {
            self.reader.add(node.at, "the group must have a name");
        } else if let Some(line) = names.get(&group.name) {
            let name = &group.name;
            self.reader.problems.add(
                Problem::new(
                    name_at,
                    format!(
                        "group name {name:?} is repeated in the same file, first in line {line}"
                    ),
                )
                .with_length(name.chars().count()),
            );
        } else {
            names.insert(group.name.clone(), group.at.line);
        }
        // An interval of zero counts as none, as in Prometheus.
        group.interval = group.interval.filter(|interval| !interval.is_zero());
        if let Some(rules) = rules {
            for (index, rule) in self.reader.list(rules, "rules").iter().enumerate() {
                if let Some(rule) = self.rule(rule, &group, index + 1) {
                    group.rules.push(rule);
                }
            }
        }
        group
    }

    fn limit(&mut self, node: &Node) -> usize {
        let text = self.reader.text(node, "limit");
        if matches!(node.kind, Kind::Null) {
            return 0;
        }
        match text.parse::<i64>() {
            // A negative limit is none, as in Prometheus.
            Ok(limit) => usize::try_from(limit).unwrap_or(0),
            Err(_) => {
                self.reader.add(
                    node.at,
                    format!("limit must be a whole number, not {text:?}"),
                );
                0
            }
        }
    }

    /// Labels with their names and values checked.
    fn labels(&mut self, node: &Node, place: &str) -> Vec<(String, String)> {
        let labels = self.reader.texts(node, "labels");
        let entries: Vec<Position> = match &node.kind {
            Kind::Map(entries) => entries.iter().map(|(key, _)| key.at).collect(),
            _ => Vec::new(),
        };
        for ((name, _), at) in labels.iter().zip(entries) {
            if name == "__name__" {
                self.reader.problems.add(
                    Problem::new(at, format!("{place}: invalid label name: {name}"))
                        .with_length(name.len())
                        .with_hint("the name of the series is set by `record`"),
                );
            } else if !self.options.names.is_label_name(name) {
                self.reader.problems.add(
                    Problem::new(at, format!("{place}: invalid label name: {name}"))
                        .with_length(name.chars().count()),
                );
            }
        }
        labels
    }

    fn rule(
        &mut self,
        node: &Node,
        group: &GroupDefinition,
        number: usize,
    ) -> Option<RuleDefinition> {
        let Kind::Map(entries) = &node.kind else {
            self.reader.add(node.at, "a rule must be a map");
            return None;
        };
        let mut raw = RawRule::default();
        let mut labels_node = None;
        for (key, value) in entries.iter() {
            match key.name.as_str() {
                "record" => raw.record = Some(value),
                "alert" => raw.alert = Some(value),
                "expr" => raw.expr = Some(value),
                "for" => raw.hold = Some((key, self.reader.duration(value, "for"))),
                "keep_firing_for" => {
                    raw.keep_firing_for =
                        Some((key, self.reader.duration(value, "keep_firing_for")));
                }
                "labels" => labels_node = Some(value),
                "annotations" => {
                    raw.annotations = Some((key, self.reader.texts(value, "annotations")));
                }
                _ => self.reader.unknown(key, "a rule", &RULE_KEYS),
            }
        }
        let name_node = raw.record.or(raw.alert);
        let name = name_node.map_or_else(String::new, |node| self.reader.text(node, "the name"));
        let place = if name.is_empty() {
            format!("group {:?}, rule {number}", group.name)
        } else {
            format!("group {:?}, rule {number}, {name:?}", group.name)
        };
        if let Some(labels) = labels_node {
            raw.labels = self.labels(labels, &place);
        }
        self.judge_name(node, &raw, &name, &place);
        let (expr, expr_at) = self.expr(node, &raw, &place);
        let is_alert = raw.record.is_none();
        if is_alert {
            self.templates(labels_node, &name, "label", &place);
            let annotations = entries.iter().find(|(key, _)| key.name == "annotations");
            if let Some((_, annotations)) = annotations {
                self.annotation_names(annotations, &place);
                self.templates(Some(annotations), &name, "annotation", &place);
            }
        } else {
            self.refuse_alert_keys(&raw, &place);
        }
        Some(RuleDefinition {
            kind: if is_alert {
                RuleKind::Alerting {
                    hold: raw.hold.map_or(Duration::ZERO, |(_, hold)| hold),
                    keep_firing_for: raw.keep_firing_for.map_or(Duration::ZERO, |(_, keep)| keep),
                    annotations: raw.annotations.map(|(_, texts)| texts).unwrap_or_default(),
                }
            } else {
                RuleKind::Recording
            },
            labels: with_group_labels(&group.labels, raw.labels),
            name,
            expr,
            at: node.at,
            expr_at,
        })
    }

    fn judge_name(&mut self, node: &Node, raw: &RawRule<'_>, name: &str, place: &str) {
        if raw.record.is_some() && raw.alert.is_some() {
            self.reader.add(
                node.at,
                format!("{place}: only one of 'record' and 'alert' must be set"),
            );
            return;
        }
        if name.is_empty() {
            self.reader.add(
                node.at,
                format!("{place}: one of 'record' or 'alert' must be set"),
            );
            return;
        }
        let Some(record) = raw.record else {
            return;
        };
        if name.contains(['{', '}']) {
            self.reader.problems.add(
                Problem::new(
                    record.at,
                    format!("{place}: braces present in the recording rule name"),
                )
                .with_length(name.chars().count())
                .with_hint("should it be in `expr`? labels of the result are set by `labels`"),
            );
        } else if !self.options.names.is_metric_name(name) {
            self.reader.problems.add(
                Problem::new(
                    record.at,
                    format!("{place}: invalid recording rule name: {name}"),
                )
                .with_length(name.chars().count()),
            );
        }
    }

    fn refuse_alert_keys(&mut self, raw: &RawRule<'_>, place: &str) {
        let keys = [
            raw.hold
                .filter(|(_, hold)| !hold.is_zero())
                .map(|(key, _)| key),
            raw.keep_firing_for
                .filter(|(_, keep)| !keep.is_zero())
                .map(|(key, _)| key),
            raw.annotations
                .as_ref()
                .filter(|(_, texts)| !texts.is_empty())
                .map(|(key, _)| *key),
        ];
        for key in keys.into_iter().flatten() {
            let name = &key.name;
            self.reader.problems.add(
                Problem::new(
                    key.at,
                    format!("{place}: invalid field '{name}' in recording rule"),
                )
                .with_length(name.len()),
            );
        }
    }

    /// The expression, and where its mistake stands in the file.
    fn expr(&mut self, rule: &Node, raw: &RawRule<'_>, place: &str) -> (String, Position) {
        let missing = format!("{place}: field 'expr' must be set in rule");
        let Some(node) = raw.expr else {
            self.reader.add(rule.at, missing);
            return (String::new(), rule.at);
        };
        let Kind::Scalar(scalar) = &node.kind else {
            let message = match node.kind {
                Kind::Null => missing,
                _ => format!("{place}: expr must be a text"),
            };
            self.reader.add(node.at, message);
            return (String::new(), node.at);
        };
        if scalar.text.is_empty() {
            self.reader.add(node.at, missing);
        } else if let Err(error) = self.checker.check(self.options.language, &scalar.text) {
            let at = scalar.place_of(error.span.start);
            self.reader.problems.add(
                Problem::new(
                    at,
                    format!("{place}: could not parse expression: {}", error.message),
                )
                .with_length(error.span.text(&scalar.text).chars().count())
                .with_hint_option(error.hint),
            );
        }
        (scalar.text.clone(), scalar.place_of(0))
    }

    fn annotation_names(&mut self, annotations: &Node, place: &str) {
        let Kind::Map(entries) = &annotations.kind else {
            return;
        };
        for (key, _) in entries.iter() {
            if !self.options.names.is_label_name(&key.name) {
                let message = format!("{place}: invalid annotation name: {}", key.name);
                self.reader
                    .problems
                    .add(Problem::new(key.at, message).with_length(key.name.chars().count()));
            }
        }
    }

    /// Parses the templates of labels or annotations, as promtool does when it checks a file.
    fn templates(&mut self, node: Option<&Node>, alert: &str, what: &str, place: &str) {
        let Some(Node {
            kind: Kind::Map(entries),
            ..
        }) = node
        else {
            return;
        };
        for (key, value) in entries.iter() {
            let Kind::Scalar(scalar) = &value.kind else {
                continue;
            };
            if let Err(error) = check_template(alert, &scalar.text) {
                let at = scalar.place_of(error.offset);
                self.reader.problems.add(
                    Problem::new(
                        at,
                        format!("{place}: {what} {:?}: {}", key.name, error.message),
                    )
                    .with_hint_option(error.hint),
                );
            }
        }
    }

    /// Rules of the same name and labels disturb each other (promtool's lint `duplicate-rules`).
    fn warn_of_duplicates(&mut self, groups: &[GroupDefinition]) {
        let mut rules: Vec<&RuleDefinition> =
            groups.iter().flat_map(|group| &group.rules).collect();
        rules.sort_by_key(|rule| (&rule.name, &rule.labels, rule.at));
        for same in
            rules.chunk_by(|left, right| (&left.name, &left.labels) == (&right.name, &right.labels))
        {
            let line = same[0].at.line;
            for rule in &same[1..] {
                let message = format!(
                    "the rule {:?} has the same labels in line {line}",
                    rule.name
                );
                self.reader.problems.add(
                    Problem::new(rule.at, message)
                        .with_hint("two rules that write the same series disturb each other")
                        .into_warning(),
                );
            }
        }
    }
}

/// The labels of a rule over those of its group, sorted by name.
fn with_group_labels(
    group: &[(String, String)],
    rule: Vec<(String, String)>,
) -> Vec<(String, String)> {
    let mut labels: Vec<(String, String)> = group
        .iter()
        .filter(|(name, _)| rule.iter().all(|(own, _)| own != name))
        .cloned()
        .collect();
    labels.extend(rule);
    labels.sort();
    labels
}

//! Variables of a dashboard, and queries with their variables filled in.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use gameday_signal::{Timestamp, format_duration};
use serde::Serialize;
use serde_json::Value;

use crate::document::Node;
use crate::panel::read_datasource;
use crate::{DatasourceRef, Error};

/// Where a variable's values come from.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum VariableKind {
    /// A data source is asked, for example by `label_values(up, job)`.
    Query {
        /// Whom.
        datasource: Option<DatasourceRef>,
        /// What.
        query: String,
        /// What is kept of each value.
        regex: String,
    },
    /// A list in the dashboard.
    Custom,
    /// One value that is not shown.
    Constant,
    /// Durations.
    Interval,
    /// The data sources of a kind.
    Datasource {
        /// The kind.
        of_kind: String,
    },
    /// Text that the user types.
    Textbox,
    /// Filters that the user adds.
    Adhoc,
    /// A kind that this reader does not know.
    Other {
        /// Its name.
        name: String,
    },
}

/// A variable of a dashboard.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Variable {
    /// Its name, without the `$`.
    pub name: String,
    /// How its selector is called.
    pub label: String,
    /// Where its values come from.
    #[serde(flatten)]
    pub kind: VariableKind,
    /// The values that the dashboard lists itself.
    pub options: Vec<String>,
    /// What is chosen when the dashboard opens; `$__all` means all.
    pub current: Vec<String>,
    /// Whether several values may be chosen.
    pub multi: bool,
    /// Whether all values may be chosen at once.
    pub include_all: bool,
    /// What stands for all values; the empty text for a list of them.
    pub all_value: String,
}

impl Variable {
    pub(crate) fn read(node: &Node<'_>) -> Result<Self, Error> {
        let node = node.clone().object()?;
        // The query of a variable is a text, or an object that holds one.
        let query = match node.get("query") {
            None => String::new(),
            Some(query) => match query.value {
                Value::String(text) => text.clone(),
                Value::Object(_) => query.text_like("query")?,
                _ => return Err(query.expected("a text or an object")),
            },
        };
        let kind = match node.text("type")?.as_str() {
            "query" => VariableKind::Query {
                datasource: read_datasource(&node)?,
                query: query.clone(),
                regex: node.text("regex")?,
            },
            "custom" => VariableKind::Custom,
            "constant" => VariableKind::Constant,
            "interval" => VariableKind::Interval,
            "datasource" => VariableKind::Datasource {
                of_kind: query.clone(),
            },
            "textbox" => VariableKind::Textbox,
            "adhoc" => VariableKind::Adhoc,
            other => VariableKind::Other {
                name: other.to_owned(),
            },
        };
        let mut options: Vec<String> = node
            .list("options")?
            .iter()
            .map(|option| option.text_like("value"))
            .collect::<Result<_, _>>()?;
        options.retain(|option| option != ALL);
        if options.is_empty()
            && matches!(
                kind,
                VariableKind::Custom | VariableKind::Interval | VariableKind::Constant
            )
        {
            // `text : value` shows another text than the value.
            let value = |option: &str| {
                option
                    .split_once(" : ")
                    .map_or(option, |(_, value)| value)
                    .trim()
                    .to_owned()
            };
            options = query
                .split(',')
                .map(value)
                .filter(|option| !option.is_empty())
                .collect();
        }
        let current = match node.get("current").and_then(|current| current.get("value")) {
            None => Vec::new(),
            Some(value) => match value.value {
                Value::String(text) => vec![text.clone()],
                Value::Array(values) => values
                    .iter()
                    .filter_map(Value::as_str)
                    .map(str::to_owned)
                    .collect(),
                Value::Number(number) => vec![number.to_string()],
                Value::Bool(truth) => vec![truth.to_string()],
                _ => return Err(value.expected("a text or a list of texts")),
            },
        };
        Ok(Self {
            name: node.text("name")?,
            label: node.text("label")?,
            kind,
            options,
            current,
            multi: node.flag("multi")?,
            include_all: node.flag("includeAll")?,
            all_value: node.text("allValue")?,
        })
    }
}

/// What Grafana chooses for "all values".
const ALL: &str = "$__all";

/// What the variables of a dashboard are while its queries run.
#[derive(Clone, Debug, PartialEq)]
pub struct Scope {
    values: BTreeMap<String, Vec<String>>,
    /// Texts that stand for all values and are not escaped.
    patterns: BTreeMap<String, String>,
    /// The start of the range that is shown.
    pub from: Timestamp,
    /// The end of the range that is shown.
    pub to: Timestamp,
    /// The time between two points.
    pub step: Duration,
    /// How often the data source is fed: `$__rate_interval` is at least four times as long.
    pub scrape_interval: Duration,
}

impl Scope {
    /// A scope over a range of time without variables.
    pub fn new(from: Timestamp, to: Timestamp, step: Duration, scrape_interval: Duration) -> Self {
        Self {
            values: BTreeMap::new(),
            patterns: BTreeMap::new(),
            from,
            to,
            step,
            scrape_interval,
        }
    }

    /// Sets a variable.
    pub fn set(
        &mut self,
        name: &str,
        values: impl IntoIterator<Item = impl Into<String>>,
    ) -> &mut Self {
        self.values.insert(
            name.to_owned(),
            values.into_iter().map(Into::into).collect(),
        );
        self
    }

    /// Sets all variables to what is chosen when the dashboard opens. Where that is all values, they are the variable's own text for
    /// it, or what `known` says they are, or any.
    pub fn set_defaults(
        &mut self,
        variables: &[Variable],
        known: impl Fn(&Variable) -> Vec<String>,
    ) -> &mut Self {
        for variable in variables {
            let all = variable
                .current
                .iter()
                .any(|value| value == ALL || value == "All")
                || (variable.current.is_empty() && variable.include_all);
            if !all && !variable.current.is_empty() {
                self.values
                    .insert(variable.name.clone(), variable.current.clone());
                continue;
            }
            let mut values = known(variable);
            if values.is_empty() {
                values.clone_from(&variable.options);
            }
            if !all {
                values.truncate(1);
            }
            if all && (!variable.all_value.is_empty() || values.is_empty()) {
                let pattern = if variable.all_value.is_empty() {
                    ".*"
                } else {
                    &variable.all_value
                };
                self.patterns
                    .insert(variable.name.clone(), pattern.to_owned());
            }
            self.values.insert(variable.name.clone(), values);
        }
        self
    }

    /// The query with its variables filled in, as Grafana does it for Prometheus and Loki: several values become a pattern, and
    /// `${name:format}` is obeyed. What is no variable stays as it is.
    pub fn fill(&self, text: &str) -> String {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find(['$', '[']) {
            filled.push_str(&rest[..at]);
            rest = &rest[at..];
            match reference(rest) {
                Some((length, name, format)) => {
                    match self.value(name, format) {
                        Some(value) => filled.push_str(&value),
                        None => filled.push_str(&rest[..length]),
                    }
                    rest = &rest[length..];
                }
                None => {
                    filled.push_str(&rest[..1]);
                    rest = &rest[1..];
                }
            }
        }
        filled.push_str(rest);
        filled
    }

    fn value(&self, name: &str, format: &str) -> Option<String> {
        let range = self.to.since(self.from);
        // Grafana: the longer of four scrape intervals, and the step plus one scrape interval.
        let rate = (self.scrape_interval * 4).max(self.step + self.scrape_interval);
        let built_in = match name {
            "__interval" => Some(format_duration(self.step)),
            "__interval_ms" => Some(self.step.as_millis().to_string()),
            "__rate_interval" => Some(format_duration(rate)),
            "__rate_interval_ms" => Some(rate.as_millis().to_string()),
            "__range" => Some(format!("{}s", range.as_secs())),
            "__range_s" => Some(range.as_secs().to_string()),
            "__range_ms" => Some(range.as_millis().to_string()),
            "__from" => Some(self.from.as_millis().to_string()),
            "__to" => Some(self.to.as_millis().to_string()),
            "__auto" => Some(format_duration(range)),
            _ => None,
        };
        if built_in.is_some() {
            return built_in;
        }
        if let Some(pattern) = self.patterns.get(name) {
            return Some(pattern.clone());
        }
        let values = self.values.get(name)?;
        let escaped = |value: &String| escape_regex(value);
        let group = |parts: Vec<String>| match parts.as_slice() {
            [one] => one.clone(),
            _ => format!("({})", parts.join("|")),
        };
        Some(match format {
            // One value stays as it is: it may stand behind `=`.
            "" if values.len() == 1 => values[0].replace('\\', "\\\\").replace('"', "\\\""),
            "" | "regex" => group(values.iter().map(escaped).collect()),
            "pipe" => values.join("|"),
            "glob" if values.len() > 1 => format!("{{{}}}", values.join(",")),
            "json" => Value::from(values.clone()).to_string(),
            "doublequote" => values
                .iter()
                .map(|value| format!("\"{value}\""))
                .collect::<Vec<_>>()
                .join(","),
            "singlequote" => values
                .iter()
                .map(|value| format!("'{value}'"))
                .collect::<Vec<_>>()
                .join(","),
            "queryparam" => values
                .iter()
                .map(|value| format!("var-{name}={}", percent_encode(value)))
                .collect::<Vec<_>>()
                .join("&"),
            "percentencode" => percent_encode(&values.join(",")),
            // `csv`, `raw`, `text`, and what Grafana does not know.
            _ => values.join(","),
        })
    }
}

/// The names of the variables in a query that are not Grafana's own.
pub(crate) fn variables_in(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['$', '[']) {
        rest = &rest[at..];
        match reference(rest) {
            Some((length, name, _)) => {
                if !name.starts_with("__") {
                    names.push(name.to_owned());
                }
                rest = &rest[length..];
            }
            None => rest = &rest[1..],
        }
    }
    names
}

/// The reference that `text` begins with: its length, the name and the format. `$1` of `label_replace` is none.
fn reference(text: &str) -> Option<(usize, &str, &str)> {
    let word = |text: &str| {
        text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .unwrap_or(text.len())
    };
    let is_name = |name: &str| !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit());
    if let Some(inner) = text.strip_prefix("${") {
        let end = inner.find('}')?;
        let (name, format) = inner[..end].split_once(':').unwrap_or((&inner[..end], ""));
        // `${__value.raw}` and the like belong to links.
        return (is_name(name) && word(name) == name.len()).then_some((end + 3, name, format));
    }
    if let Some(inner) = text.strip_prefix("[[") {
        let end = inner.find("]]")?;
        let (name, format) = inner[..end].split_once(':').unwrap_or((&inner[..end], ""));
        return (is_name(name) && word(name) == name.len()).then_some((end + 4, name, format));
    }
    let name = text.strip_prefix('$')?;
    let length = word(name);
    is_name(&name[..length]).then_some((length + 1, &name[..length], ""))
}

/// Grafana escapes a value for a pattern inside a double-quoted text, hence the two backslashes.
fn escape_regex(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for character in value.chars() {
        if "\\^$*+?.()|[]{}".contains(character) {
            escaped.push_str("\\\\");
        }
        escaped.push(character);
    }
    escaped
}

pub(crate) fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

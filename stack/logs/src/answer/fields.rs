//! `/detected_fields`, `/detected_field/<name>/values` and `/detected_labels`.

use std::collections::{BTreeMap, BTreeSet};

use gameday_signal::Timestamp;
use serde::Serialize;

use super::labels::matchers_of;
use crate::logql::{Expr, LogExpr, Stage, parse_expr};
use crate::stage::units::{parse_bytes, parse_float, parse_go_duration};
use crate::stage::{Hints, LineLabels, Pipeline, Source, compile};
use crate::store::{Needs, Scan, Store};
use crate::{ParseError, QueryError};

/// The fields of the lines of a query.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct DetectedFields {
    /// By name.
    pub fields: Vec<DetectedField>,
    /// The most that are listed.
    pub limit: usize,
}

/// A field.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DetectedField {
    /// Its name as a label.
    pub label: String,
    /// `string`, `int`, `float`, `boolean`, `duration` or `bytes`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// How many different values were seen.
    pub cardinality: u64,
    /// `json` or `logfmt`; none where it is structured metadata.
    pub parsers: Option<Vec<&'static str>>,
    /// The way to it in a JSON line.
    #[serde(rename = "jsonPath", skip_serializing_if = "Vec::is_empty")]
    pub json_path: Vec<String>,
}

/// The labels of the streams of a query.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DetectedLabels {
    /// By name.
    #[serde(rename = "detectedLabels")]
    pub detected_labels: Vec<DetectedLabel>,
}

/// A label of streams.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DetectedLabel {
    /// Its name.
    pub label: String,
    /// How many values it has.
    pub cardinality: u64,
}

/// What is known of a field while lines are read.
#[derive(Default)]
struct Field {
    values: BTreeSet<String>,
    parsers: BTreeSet<&'static str>,
    json_path: Vec<String>,
}

impl Store {
    /// The fields of at most `line_limit` lines of a query, at most `limit` of them.
    ///
    /// # Errors
    /// Where `query` is no log query.
    pub fn detected_fields(
        &self,
        query: &str,
        start: Timestamp,
        end: Timestamp,
        line_limit: usize,
        limit: usize,
    ) -> Result<DetectedFields, QueryError> {
        let fields = self.fields_of_lines(query, start, end, line_limit)?;
        let fields = fields
            .into_iter()
            .take(limit)
            .map(|(label, field)| DetectedField {
                label,
                kind: kind_of(&field.values),
                cardinality: field.values.len() as u64,
                parsers: (!field.parsers.is_empty()).then(|| field.parsers.into_iter().collect()),
                json_path: field.json_path,
            })
            .collect();
        Ok(DetectedFields { fields, limit })
    }

    /// The values of one field, at most `limit` of them.
    ///
    /// # Errors
    /// Where `query` is no log query.
    pub fn detected_field_values(
        &self,
        name: &str,
        query: &str,
        start: Timestamp,
        end: Timestamp,
        line_limit: usize,
        limit: usize,
    ) -> Result<Vec<String>, QueryError> {
        let mut fields = self.fields_of_lines(query, start, end, line_limit)?;
        let values = fields.remove(name).unwrap_or_default().values;
        Ok(values.into_iter().take(limit).collect())
    }

    /// The labels of the streams that a selector picks, with the number of their values.
    ///
    /// # Errors
    /// Where `query` is no selector.
    pub fn detected_labels(
        &self,
        query: Option<&str>,
        start: Timestamp,
        end: Timestamp,
    ) -> Result<DetectedLabels, ParseError> {
        let matchers = matchers_of(query)?;
        let mut values: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for stream in self.streams_between(&matchers, start, end) {
            for (name, value) in stream.labels.iter() {
                values.entry(name).or_default().insert(value);
            }
        }
        let detected_labels = values
            .into_iter()
            .map(|(label, values)| DetectedLabel {
                label: label.to_owned(),
                cardinality: values.len() as u64,
            })
            .collect();
        Ok(DetectedLabels { detected_labels })
    }

    fn fields_of_lines(
        &self,
        query: &str,
        start: Timestamp,
        end: Timestamp,
        line_limit: usize,
    ) -> Result<BTreeMap<String, Field>, QueryError> {
        let logs = match parse_expr(query)? {
            Expr::Log(logs) => logs,
            Expr::Metric(_) => return Err(QueryError::NotAMetric),
        };
        let mut reader = FieldReader::new(&logs);
        let scan = Scan {
            from: start.as_nanos(),
            to: end.as_nanos(),
            backward: true,
            needs: Needs {
                text: true,
                metadata: true,
            },
            literals: reader.pipeline.required_literals().0,
            ..Scan::default()
        };
        let mut left = line_limit;
        self.scan(&logs.matchers, &scan, |stream, lines| {
            reader.pipeline.set_stream(&stream.labels);
            lines.for_each(&mut |line| {
                reader.pipeline.labels.reset();
                line.add_metadata_to(&mut reader.pipeline.labels);
                if reader.read(line.timestamp, line.text) {
                    left -= 1;
                }
                left > 0
            });
            left > 0
        });
        Ok(reader.fields)
    }
}

struct FieldReader {
    pipeline: Pipeline,
    /// Whether the query parses by itself; its fields are then those of its own parser.
    parses: Option<&'static str>,
    fields: BTreeMap<String, Field>,
}

impl FieldReader {
    fn new(logs: &LogExpr) -> Self {
        let parses = logs.stages.iter().find_map(|stage| match stage {
            Stage::Json | Stage::JsonExpressions(_) | Stage::Unpack => Some("json"),
            Stage::Logfmt { .. } | Stage::LogfmtExpressions { .. } => Some("logfmt"),
            Stage::Regexp(_) => Some("regexp"),
            Stage::Pattern(_) => Some("pattern"),
            _ => None,
        });
        Self {
            pipeline: Pipeline::new(compile(&logs.stages).unwrap_or_default(), Hints::default()),
            parses,
            fields: BTreeMap::new(),
        }
    }

    /// Takes in a line; false where the query drops it.
    fn read(&mut self, timestamp: i64, line: &str) -> bool {
        let timestamp = Timestamp::from_nanos(timestamp);
        let Some(line) = self.pipeline.process(timestamp, line) else {
            return false;
        };
        let line = line.to_owned();
        let own = &self.pipeline.labels;
        let (parses, fields) = (self.parses, &mut self.fields);
        own.for_each(|name, value, source| {
            let parser = match source {
                Source::Stream => return,
                Source::Metadata => None,
                Source::Parsed => parses,
            };
            note(fields, name, value, parser);
        });
        if parses.is_none() {
            self.read_unparsed(&line);
        }
        true
    }

    /// Reads a line that the query does not parse as JSON, or else as logfmt.
    fn read_unparsed(&mut self, line: &str) {
        let mut labels = LineLabels::default();
        labels.set_stream(self.pipeline.labels.stream());
        let parser = if line.trim_start().starts_with('{') {
            "json"
        } else {
            "logfmt"
        };
        if !crate::stage::parse_fields(parser, line, &mut labels) {
            return;
        }
        labels.for_each(|name, value, source| {
            if source == Source::Parsed {
                note(&mut self.fields, name, value, Some(parser));
            }
        });
        if parser == "json" {
            for (name, path) in crate::stage::json_paths(line) {
                if let Some(field) = self.fields.get_mut(&name)
                    && field.json_path.is_empty()
                {
                    field.json_path = path;
                }
            }
        }
    }
}

fn note(
    fields: &mut BTreeMap<String, Field>,
    name: &str,
    value: &str,
    parser: Option<&'static str>,
) {
    /// Names beyond this are left out: a line of random keys must not fill the memory.
    const FIELDS_MAX: usize = 10_000;
    if !fields.contains_key(name) && fields.len() >= FIELDS_MAX {
        return;
    }
    let field = fields.entry(name.to_owned()).or_default();
    field.values.insert(value.to_owned());
    field.parsers.extend(parser);
}

/// The narrowest type that all values have.
fn kind_of(values: &BTreeSet<String>) -> &'static str {
    type Test = fn(&str) -> bool;
    let kinds: [(&'static str, Test); 5] = [
        ("int", |value| value.parse::<i64>().is_ok()),
        ("float", |value| parse_float(value).is_ok()),
        ("boolean", |value| matches!(value, "true" | "false")),
        ("duration", |value| parse_go_duration(value).is_ok()),
        ("bytes", |value| parse_bytes(value).is_ok()),
    ];
    kinds
        .iter()
        .find(|(_, test)| !values.is_empty() && values.iter().all(|value| test(value)))
        .map_or("string", |(kind, _)| kind)
}

//! The record as JSON, with the moments and measures beside it: the same record gives the same bytes.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::{Formatter, PrettyFormatter};

use super::incidents::{Incident, incidents};
use super::record::RunRecord;

/// The name and version of the format. A new field leaves it as it is; a field that goes or changes its meaning counts it up.
pub const JSON_FORMAT: &str = "gameday-report/1";

#[derive(Serialize)]
struct Report<'a> {
    format: &'static str,
    record: &'a RunRecord,
    /// One list a scenario, in their order.
    incidents: Vec<Vec<Incident>>,
}

/// The report as JSON with a line end at its end. Fields stand in the order of their declaration.
pub fn render_json(record: &RunRecord) -> String {
    let report = Report {
        format: JSON_FORMAT,
        record,
        incidents: record.scenarios.iter().map(incidents).collect(),
    };
    let mut bytes = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut bytes, ReportFormatter::default());
    report
        .serialize(&mut serializer)
        .expect("invariant: a record holds texts, numbers and lists, and keys that are texts");
    bytes.push(b'\n');
    String::from_utf8(bytes).expect("invariant: JSON is UTF-8")
}

/// JSON laid out for people, except that a list within a list (a point of a chart, a row of a table) stays on its line.
#[derive(Default)]
struct ReportFormatter {
    pretty: PrettyFormatter<'static>,
    /// For each open list or object whether it is a list.
    open: Vec<bool>,
}

impl ReportFormatter {
    /// Whether the innermost open value is a list within a list.
    fn in_row(&self) -> bool {
        matches!(self.open[..], [.., true, true])
    }
}

impl Formatter for ReportFormatter {
    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open.push(true);
        if self.in_row() {
            writer.write_all(b"[")
        } else {
            self.pretty.begin_array(writer)
        }
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        let in_row = self.in_row();
        self.open.pop();
        if in_row {
            writer.write_all(b"]")
        } else {
            self.pretty.end_array(writer)
        }
    }

    fn begin_array_value<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if !self.in_row() {
            self.pretty.begin_array_value(writer, first)
        } else if first {
            Ok(())
        } else {
            writer.write_all(b", ")
        }
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.pretty.end_array_value(writer)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open.push(false);
        self.pretty.begin_object(writer)
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open.pop();
        self.pretty.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.pretty.begin_object_key(writer, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.pretty.begin_object_value(writer)
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.pretty.end_object_value(writer)
    }
}

/// Why a text is no report.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is not JSON, or not of this shape.
    #[error("not a gameday report: {0}")]
    Json(#[from] serde_json::Error),
    /// It is of another version.
    #[error("unsupported report format {found:?}, expected {JSON_FORMAT:?}")]
    Format {
        /// The format that it names.
        found: String,
    },
}

/// Reads the record back out of a report.
///
/// # Errors
/// Where the text is not a report of this format.
pub fn parse_json(text: &str) -> Result<RunRecord, Error> {
    #[derive(serde::Deserialize)]
    struct Head {
        format: String,
    }
    #[derive(serde::Deserialize)]
    struct Body {
        record: RunRecord,
    }
    let head: Head = serde_json::from_str(text)?;
    if head.format != JSON_FORMAT {
        return Err(Error::Format { found: head.format });
    }
    let body: Body = serde_json::from_str(text)?;
    Ok(body.record)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stay_on_their_line() {
        let value =
            serde_json::json!({"a": [[1, 2.5], []], "b": [[{"c": [3]}]], "d": [], "e": [4]});
        let mut bytes = Vec::new();
        let mut serializer = Serializer::with_formatter(&mut bytes, ReportFormatter::default());
        value.serialize(&mut serializer).expect("plain JSON");
        let text = String::from_utf8(bytes).expect("UTF-8");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&text).expect("JSON"),
            value
        );
        assert!(
            text.starts_with("{\n  \"a\": [\n    [1, 2.5],\n    []\n  ],\n"),
            "{text}"
        );
        assert!(
            text.ends_with("\"d\": [],\n  \"e\": [\n    4\n  ]\n}"),
            "{text}"
        );
    }
}

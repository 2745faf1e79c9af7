//! The record as JSON, with the moments and measures beside it: the same record gives the same bytes.

use serde::Serialize;

use super::moments::{Incident, incidents};
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
    let mut text = serde_json::to_string_pretty(&report)
        .expect("invariant: a record holds texts, numbers and lists, and keys that are texts");
    text.push('\n');
    text
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

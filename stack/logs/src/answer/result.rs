//! The shapes of query results.

use gameday_signal::Timestamp;
use serde::ser::{SerializeMap, SerializeSeq, SerializeTuple};
use serde::{Serialize, Serializer};

use crate::LabelSet;

/// Which lines come first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// The oldest.
    Forward,
    /// The newest.
    #[default]
    Backward,
}

/// The member `data` of an answer to `/query` and `/query_range`.
#[derive(Clone, Debug, PartialEq)]
pub struct QueryData {
    /// What was found.
    pub result: QueryResult,
    /// Whether the labels of each entry are told apart by their source (`X-Loki-Response-Encoding-Flags: categorize-labels`).
    pub categorize_labels: bool,
    /// Lines that were looked at.
    pub lines_processed: u64,
    /// Bytes of the lines that were looked at.
    pub bytes_processed: u64,
}

/// What a query found.
#[derive(Clone, Debug, PartialEq)]
pub enum QueryResult {
    /// Log lines.
    Streams(Vec<StreamResult>),
    /// One value for each series.
    Vector(Vec<VectorSample>),
    /// Values over time for each series.
    Matrix(Vec<MatrixSeries>),
    /// A number that belongs to no series.
    Scalar(Timestamp, f64),
}

/// Lines with the same labels.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StreamResult {
    /// Their labels; only the indexed ones where labels are categorized.
    pub stream: LabelSet,
    /// The lines in the direction of the query.
    pub values: Vec<ResultEntry>,
}

/// One line of a result.
#[derive(Clone, Debug, PartialEq)]
pub struct ResultEntry {
    /// When it happened.
    pub timestamp: Timestamp,
    /// The line, as the pipeline left it.
    pub line: String,
    /// Its own labels, where they are categorized.
    pub labels: Option<EntryLabels>,
}

/// The labels that a line does not share with its stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EntryLabels {
    /// Structured metadata.
    pub structured_metadata: LabelSet,
    /// What a parser read, and errors.
    pub parsed: LabelSet,
}

/// The value of a series at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorSample {
    /// The series.
    pub metric: LabelSet,
    /// When.
    pub timestamp: Timestamp,
    /// The value.
    pub value: f64,
}

/// The values of a series over time.
#[derive(Clone, Debug, PartialEq)]
pub struct MatrixSeries {
    /// The series.
    pub metric: LabelSet,
    /// Times and values, in the order of time.
    pub values: Vec<(Timestamp, f64)>,
}

impl Serialize for ResultEntry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_seq(Some(2 + usize::from(self.labels.is_some())))?;
        tuple.serialize_element(&self.timestamp.as_nanos().to_string())?;
        tuple.serialize_element(&self.line)?;
        if let Some(labels) = &self.labels {
            tuple.serialize_element(labels)?;
        }
        tuple.end()
    }
}

/// Empty groups are left out, as in Loki.
impl Serialize for EntryLabels {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if !self.structured_metadata.is_empty() {
            map.serialize_entry("structuredMetadata", &self.structured_metadata)?;
        }
        if !self.parsed.is_empty() {
            map.serialize_entry("parsed", &self.parsed)?;
        }
        map.end()
    }
}

/// `[1700000000.123,"1.5"]`, as Prometheus writes a sample.
struct Pair(Timestamp, f64);

impl Serialize for Pair {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(2)?;
        let millis = self.0.as_millis();
        if millis % 1000 == 0 {
            tuple.serialize_element(&(millis / 1000))?;
        } else {
            tuple.serialize_element(&(millis as f64 / 1000.0))?;
        }
        tuple.serialize_element(&sample_text(self.1))?;
        tuple.end()
    }
}

/// A value as Go's strconv.FormatFloat(v, 'f', -1, 64) writes it.
pub(crate) fn sample_text(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else {
        value.to_string()
    }
}

impl Serialize for VectorSample {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("metric", &self.metric)?;
        map.serialize_entry("value", &Pair(self.timestamp, self.value))?;
        map.end()
    }
}

impl Serialize for MatrixSeries {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let values: Vec<Pair> = self
            .values
            .iter()
            .map(|(timestamp, value)| Pair(*timestamp, *value))
            .collect();
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("metric", &self.metric)?;
        map.serialize_entry("values", &values)?;
        map.end()
    }
}

impl QueryResult {
    /// The member `resultType`.
    pub fn result_type(&self) -> &'static str {
        match self {
            Self::Streams(_) => "streams",
            Self::Vector(_) => "vector",
            Self::Matrix(_) => "matrix",
            Self::Scalar(..) => "scalar",
        }
    }

    /// The number of lines.
    fn entries(&self) -> usize {
        match self {
            Self::Streams(streams) => streams.iter().map(|stream| stream.values.len()).sum(),
            _ => 0,
        }
    }
}

impl Serialize for QueryResult {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Streams(streams) => streams.serialize(serializer),
            Self::Vector(samples) => samples.serialize(serializer),
            Self::Matrix(series) => series.serialize(serializer),
            Self::Scalar(timestamp, value) => Pair(*timestamp, *value).serialize(serializer),
        }
    }
}

impl Serialize for QueryData {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("resultType", self.result.result_type())?;
        map.serialize_entry("result", &self.result)?;
        if self.categorize_labels && matches!(self.result, QueryResult::Streams(_)) {
            map.serialize_entry("encodingFlags", &["categorize-labels"])?;
        }
        // The engine has no clock: what Loki measures in time is 0.
        let summary = serde_json::json!({
            "bytesProcessedPerSecond": 0,
            "linesProcessedPerSecond": 0,
            "totalBytesProcessed": self.bytes_processed,
            "totalLinesProcessed": self.lines_processed,
            "execTime": 0.0,
            "queueTime": 0.0,
            "subqueries": 0,
            "totalEntriesReturned": self.result.entries(),
            "splits": 0,
            "shards": 0,
        });
        map.serialize_entry("stats", &serde_json::json!({ "summary": summary }))?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(result: QueryResult, categorize_labels: bool) -> serde_json::Value {
        let data = QueryData {
            result,
            categorize_labels,
            lines_processed: 1,
            bytes_processed: 2,
        };
        let mut value = serde_json::to_value(data).expect("serialisable");
        let stats = value.as_object_mut().and_then(|map| map.remove("stats"));
        assert!(stats.is_some());
        value
    }

    #[test]
    fn shapes_are_those_of_loki() {
        let set = |pairs: &[(&str, &str)]| {
            LabelSet::new(
                pairs
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                    .collect(),
            )
        };
        assert_eq!(
            json(
                QueryResult::Streams(vec![StreamResult {
                    stream: set(&[("app", "a")]),
                    values: vec![ResultEntry {
                        timestamp: Timestamp::from_nanos(1_700_000_000_000_000_001),
                        line: "x".to_owned(),
                        labels: Some(EntryLabels {
                            structured_metadata: set(&[("trace_id", "t")]),
                            parsed: LabelSet::empty(),
                        }),
                    }],
                }]),
                true
            ),
            serde_json::json!({
                "resultType": "streams",
                "result": [{
                    "stream": {"app": "a"},
                    "values": [["1700000000000000001", "x", {"structuredMetadata": {"trace_id": "t"}}]],
                }],
                "encodingFlags": ["categorize-labels"],
            })
        );
        assert_eq!(
            json(
                QueryResult::Vector(vec![VectorSample {
                    metric: LabelSet::empty(),
                    timestamp: Timestamp::from_millis(1_700_000_000_500),
                    value: 2.0,
                }]),
                true
            ),
            serde_json::json!({
                "resultType": "vector",
                "result": [{"metric": {}, "value": [1_700_000_000.5, "2"]}],
            })
        );
        assert_eq!(
            json(
                QueryResult::Matrix(vec![MatrixSeries {
                    metric: set(&[("a", "b")]),
                    values: vec![(Timestamp::from_secs(10), f64::INFINITY)],
                }]),
                false
            ),
            serde_json::json!({
                "resultType": "matrix",
                "result": [{"metric": {"a": "b"}, "values": [[10, "+Inf"]]}],
            })
        );
        assert_eq!(
            json(QueryResult::Scalar(Timestamp::from_secs(10), 0.1), false),
            serde_json::json!({"resultType": "scalar", "result": [10, "0.1"]})
        );
    }
}

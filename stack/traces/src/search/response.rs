//! Answers in the shapes of Tempo's HTTP API (tempopb as JSON: 64-bit numbers are texts, absent means zero).

use std::collections::BTreeMap;

use base64::Engine as _;
use gameday_signal::{AttributeValue, SmolStr};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

/// `/api/search`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SearchResponse {
    /// The traces that were found, the latest first.
    pub traces: Vec<TraceSearchMetadata>,
    /// What it took.
    pub metrics: SearchMetrics,
}

/// A trace that was found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TraceSearchMetadata {
    /// The id in hexadecimal digits.
    #[serde(rename = "traceID")]
    pub trace_id: String,
    /// The service of the root span.
    pub root_service_name: String,
    /// The name of the root span.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub root_trace_name: String,
    /// When the trace began.
    #[serde(serialize_with = "as_text")]
    pub start_time_unix_nano: u64,
    /// How long the whole trace took, in milliseconds.
    #[serde(skip_serializing_if = "is_zero_u32")]
    pub duration_ms: u32,
    /// The first spanset, for old clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub span_set: Option<SpanSet>,
    /// The spans that matched.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub span_sets: Vec<SpanSet>,
    /// Spans and errors by service.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub service_stats: BTreeMap<String, ServiceStats>,
}

/// How many spans of a trace a service made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceStats {
    /// All of them.
    #[serde(skip_serializing_if = "is_zero_u32")]
    pub span_count: u32,
    /// Those with an error.
    #[serde(skip_serializing_if = "is_zero_u32")]
    pub error_count: u32,
}

/// Spans of a trace that matched.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SpanSet {
    /// The first of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub spans: Vec<SearchSpan>,
    /// How many there are.
    #[serde(skip_serializing_if = "is_zero_u32")]
    pub matched: u32,
    /// The values of `by()` and of aggregates.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<KeyValue>,
}

/// A span that matched.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SearchSpan {
    /// The id in hexadecimal digits.
    #[serde(rename = "spanID")]
    pub span_id: String,
    /// The operation.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// When it began.
    #[serde(serialize_with = "as_text")]
    pub start_time_unix_nano: u64,
    /// How long it took.
    #[serde(serialize_with = "as_text")]
    pub duration_nanos: u64,
    /// The attributes that the query has asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<KeyValue>,
}

/// A named value.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KeyValue {
    /// The name.
    pub key: String,
    /// The value, as OpenTelemetry's AnyValue in JSON.
    #[serde(serialize_with = "any_value")]
    pub value: AttributeValue,
}

/// What a query took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SearchMetrics {
    /// Traces that were looked at.
    #[serde(skip_serializing_if = "is_zero_u32")]
    pub inspected_traces: u32,
    /// Bytes of the store that were looked at.
    #[serde(serialize_with = "as_text", skip_serializing_if = "is_zero_u64")]
    pub inspected_bytes: u64,
    /// Spans that were looked at.
    #[serde(serialize_with = "as_text", skip_serializing_if = "is_zero_u64")]
    pub inspected_spans: u64,
    /// Parts of the work that are done: the store works in one.
    pub completed_jobs: u32,
    /// Parts of the work.
    pub total_jobs: u32,
}

/// `/api/search/tags`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TagsResponse {
    /// The names of all attributes, without scopes.
    pub tag_names: Vec<String>,
    /// What it took.
    pub metrics: MetadataMetrics,
}

/// `/api/v2/search/tags`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TagsV2Response {
    /// The names of attributes by scope.
    pub scopes: Vec<TagsScope>,
    /// What it took.
    pub metrics: MetadataMetrics,
}

/// The attributes of a scope.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TagsScope {
    /// `resource`, `span`, `event`, `link`, `instrumentation` or `intrinsic`.
    pub name: String,
    /// The names, sorted.
    pub tags: Vec<String>,
}

/// `/api/search/tag/{name}/values`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TagValuesResponse {
    /// The values as texts, sorted.
    pub tag_values: Vec<String>,
    /// What it took.
    pub metrics: MetadataMetrics,
}

/// `/api/v2/search/tag/{scoped name}/values`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TagValuesV2Response {
    /// The values with their types, sorted.
    pub tag_values: Vec<TagValue>,
    /// What it took.
    pub metrics: MetadataMetrics,
}

/// A value of an attribute.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct TagValue {
    /// `string`, `int`, `float`, `bool`, `duration` or `keyword`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The value as text.
    pub value: String,
}

/// What a question about names or values took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MetadataMetrics {
    /// Bytes of the store that were looked at.
    #[serde(serialize_with = "as_text", skip_serializing_if = "is_zero_u64")]
    pub inspected_bytes: u64,
    /// Parts of the work: the store works in one.
    pub total_jobs: u32,
    /// Parts of the work that are done.
    pub completed_jobs: u32,
}

/// `/api/metrics/query_range`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct QueryRangeResponse {
    /// The series, sorted by their labels.
    pub series: Vec<TimeSeries>,
    /// What it took.
    pub metrics: SearchMetrics,
    /// `PARTIAL` where a limit has cut the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<&'static str>,
    /// Which limit it was.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// A series of a metrics query.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TimeSeries {
    /// The labels in the order of the query.
    pub labels: Vec<KeyValue>,
    /// The labels as Prometheus writes them.
    pub prom_labels: String,
    /// The points, oldest first.
    pub samples: Vec<MetricSample>,
    /// Traces behind the points, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exemplars: Vec<MetricExemplar>,
}

/// A point of a series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MetricSample {
    /// When, in milliseconds.
    #[serde(serialize_with = "as_text_signed")]
    pub timestamp_ms: i64,
    /// The value.
    #[serde(serialize_with = "number")]
    pub value: f64,
}

/// A trace behind a series.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MetricExemplar {
    /// `trace:id` first, then what the series is grouped by.
    pub labels: Vec<KeyValue>,
    /// The value of the span, or of the series.
    #[serde(serialize_with = "number")]
    pub value: f64,
    /// When the span began, in milliseconds.
    #[serde(serialize_with = "as_text_signed")]
    pub timestamp_ms: i64,
}

/// `/api/metrics/query`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct QueryInstantResponse {
    /// The series, sorted by their labels.
    pub series: Vec<InstantSeries>,
    /// What it took.
    pub metrics: SearchMetrics,
    /// `PARTIAL` where a limit has cut the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<&'static str>,
    /// Which limit it was.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// A series of an instant metrics query.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InstantSeries {
    /// The labels in the order of the query.
    pub labels: Vec<KeyValue>,
    /// The labels as Prometheus writes them.
    pub prom_labels: String,
    /// The value over the whole range.
    #[serde(serialize_with = "number")]
    pub value: f64,
}

fn as_text<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(number)
}

fn as_text_signed<S: Serializer>(number: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(number)
}

/// Protobuf's JSON writes what JSON has no number for as text.
fn number<S: Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if number.is_nan() {
        serializer.serialize_str("NaN")
    } else if number.is_infinite() {
        serializer.serialize_str(if *number > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        })
    } else if number.fract() == 0.0 && number.abs() < 1e15 {
        serializer.serialize_i64(*number as i64)
    } else {
        serializer.serialize_f64(*number)
    }
}

// The signatures of these are serde's.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde's skip_serializing_if gives a reference"
)]
fn is_zero_u32(number: &u32) -> bool {
    *number == 0
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde's skip_serializing_if gives a reference"
)]
fn is_zero_u64(number: &u64) -> bool {
    *number == 0
}

fn any_value<S: Serializer>(value: &AttributeValue, serializer: S) -> Result<S::Ok, S::Error> {
    AnyValue(value).serialize(serializer)
}

/// OpenTelemetry's AnyValue in protobuf's JSON.
struct AnyValue<'a>(&'a AttributeValue);

impl Serialize for AnyValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Number(f64);
        impl Serialize for Number {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                number(&self.0, serializer)
            }
        }
        struct List<'a>(&'a [AttributeValue]);
        impl Serialize for List<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("values", &self.0.iter().map(AnyValue).collect::<Vec<_>>())?;
                map.end()
            }
        }
        struct Pairs<'a>(&'a [(SmolStr, AttributeValue)]);
        impl Serialize for Pairs<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut seq = serializer.serialize_seq(Some(self.0.len()))?;
                for (key, value) in self.0 {
                    seq.serialize_element(&KeyValue {
                        key: key.to_string(),
                        value: value.clone(),
                    })?;
                }
                seq.end()
            }
        }
        #[derive(Serialize)]
        struct Map<'a> {
            values: Pairs<'a>,
        }
        let mut map = serializer.serialize_map(None)?;
        match self.0 {
            AttributeValue::Empty => {}
            AttributeValue::String(text) => map.serialize_entry("stringValue", text)?,
            AttributeValue::Bool(truth) => map.serialize_entry("boolValue", truth)?,
            AttributeValue::Int(number) => map.serialize_entry("intValue", &number.to_string())?,
            AttributeValue::Double(number) => {
                map.serialize_entry("doubleValue", &Number(*number))?
            }
            AttributeValue::Bytes(bytes) => {
                map.serialize_entry(
                    "bytesValue",
                    &base64::engine::general_purpose::STANDARD.encode(bytes),
                )?;
            }
            AttributeValue::Array(values) => map.serialize_entry("arrayValue", &List(values))?,
            AttributeValue::Map(pairs) => map.serialize_entry(
                "kvlistValue",
                &Map {
                    values: Pairs(pairs),
                },
            )?,
        }
        map.end()
    }
}

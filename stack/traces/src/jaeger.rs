//! Jaeger's query API: traces, services, operations and dependencies in its JSON, as Jaeger makes them of OpenTelemetry's spans.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use base64::Engine as _;
use gameday_signal::{AttributeValue, Attributes, Span, SpanKind, SpanStatus, Timestamp};
use serde::Serialize;
use serde_json::Value;

use crate::search::SearchRequest;
use crate::store::TraceStore;
use crate::trace::Trace;
use crate::traceql::ast::{
    Attribute, Body, Field, Intrinsic, Op, Pipeline, Scope, Spansets, Stage, Static,
};
use crate::traceql::{TraceQuery, kind_name};

/// What every answer of Jaeger is wrapped in.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct JaegerResponse<T> {
    /// The answer.
    pub data: Vec<T>,
    /// The number of items; 0 for traces, as Jaeger does.
    pub total: usize,
    /// Always 0.
    pub limit: usize,
    /// Always 0.
    pub offset: usize,
    /// What went wrong; none for null.
    pub errors: Option<Vec<JaegerError>>,
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct JaegerError {
    /// The status of HTTP.
    pub code: u16,
    /// In words.
    pub msg: String,
}

/// A trace.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JaegerTrace {
    /// The id in hexadecimal digits.
    #[serde(rename = "traceID")]
    pub trace_id: String,
    /// Its spans by their start.
    pub spans: Vec<JaegerSpan>,
    /// The services, by the ids that the spans refer to.
    pub processes: BTreeMap<String, JaegerProcess>,
    /// Always null.
    pub warnings: Option<Vec<String>>,
}

/// A span.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JaegerSpan {
    /// The trace's id.
    #[serde(rename = "traceID")]
    pub trace_id: String,
    /// Its own id.
    #[serde(rename = "spanID")]
    pub span_id: String,
    /// W3C trace flags.
    pub flags: u32,
    /// The operation.
    pub operation_name: String,
    /// Its parent first, then what it links to.
    pub references: Vec<JaegerReference>,
    /// When it began, in microseconds.
    pub start_time: i64,
    /// How long it took, in microseconds.
    pub duration: u64,
    /// What is known about it.
    pub tags: Vec<JaegerTag>,
    /// Its events.
    pub logs: Vec<JaegerLog>,
    /// The service.
    #[serde(rename = "processID")]
    pub process_id: String,
    /// Always null.
    pub warnings: Option<Vec<String>>,
}

/// A reference to another span.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JaegerReference {
    /// `CHILD_OF` or `FOLLOWS_FROM`.
    pub ref_type: &'static str,
    /// The other trace.
    #[serde(rename = "traceID")]
    pub trace_id: String,
    /// The other span.
    #[serde(rename = "spanID")]
    pub span_id: String,
}

/// A named value.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct JaegerTag {
    /// The name.
    pub key: String,
    /// `string`, `bool`, `int64`, `float64` or `binary`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The value.
    pub value: Value,
}

/// An event.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct JaegerLog {
    /// When, in microseconds.
    pub timestamp: i64,
    /// Its name as `event`, then its attributes.
    pub fields: Vec<JaegerTag>,
}

/// A service as it sent spans.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JaegerProcess {
    /// The name.
    pub service_name: String,
    /// The other attributes of its resource.
    pub tags: Vec<JaegerTag>,
}

/// An operation of a service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JaegerOperation {
    /// The name.
    pub name: String,
    /// `server`, `client`, ...; the empty text where it is not said.
    pub span_kind: String,
}

/// How often a service called another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JaegerDependency {
    /// The caller.
    pub parent: String,
    /// The called.
    pub child: String,
    /// Calls.
    pub call_count: u64,
}

/// Which traces are wanted: those with a span that fits all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JaegerQuery {
    /// The service; Jaeger requires it.
    pub service: String,
    /// The operation; the empty text for any.
    pub operation: String,
    /// Tags of the span, its resource or its events, as texts; `error=true` means a failed span.
    pub tags: BTreeMap<String, String>,
    /// Spans that took less are left out.
    pub min_duration: Option<Duration>,
    /// Spans that took longer are left out.
    pub max_duration: Option<Duration>,
    /// Traces that ended before are left out.
    pub start: Timestamp,
    /// Traces that began after are left out.
    pub end: Timestamp,
    /// The number of traces.
    pub limit: usize,
}

impl Default for JaegerQuery {
    fn default() -> Self {
        Self {
            service: String::new(),
            operation: String::new(),
            tags: BTreeMap::new(),
            min_duration: None,
            max_duration: None,
            start: Timestamp::MIN,
            end: Timestamp::MAX,
            // Jaeger's default.
            limit: 100,
        }
    }
}

impl<T> JaegerResponse<T> {
    /// Wraps an answer whose items count as its total.
    pub fn of(data: Vec<T>) -> Self {
        Self {
            total: data.len(),
            data,
            limit: 0,
            offset: 0,
            errors: None,
        }
    }

    /// An answer without data that says what went wrong.
    pub fn failed(code: u16, message: impl Into<String>) -> Self {
        let errors = Some(vec![JaegerError {
            code,
            msg: message.into(),
        }]);
        Self {
            data: Vec::new(),
            total: 0,
            limit: 0,
            offset: 0,
            errors,
        }
    }
}

impl JaegerResponse<JaegerTrace> {
    /// Wraps traces.
    pub fn of_traces<'a>(traces: impl IntoIterator<Item = &'a Trace>) -> Self {
        Self {
            total: 0,
            ..Self::of(traces.into_iter().map(Trace::to_jaeger).collect())
        }
    }
}

impl TraceStore {
    /// The traces with a span that fits the query, the latest first.
    pub fn jaeger_search(&self, query: &JaegerQuery) -> Vec<Trace> {
        let pipeline = Pipeline(vec![Stage::Spansets(Spansets::Filter(Box::new(
            query.filter(),
        )))]);
        let parsed = TraceQuery {
            body: Body::Search(pipeline),
            hints: Vec::new(),
        };
        // Tags are compared as texts, which TraceQL does not do: they are looked at afterwards.
        let limit = if query.tags.is_empty() {
            query.limit
        } else {
            usize::MAX
        };
        let request = SearchRequest {
            start: query.start,
            end: query.end,
            limit,
            spans_per_span_set: 1,
        };
        self.search(&parsed, &request)
            .traces
            .iter()
            .filter_map(|found| self.get(found.trace_id.parse().ok()?))
            .filter(|trace| {
                query.tags.is_empty() || trace.spans.iter().any(|span| query.fits(span))
            })
            .take(query.limit)
            .collect()
    }

    /// The names of all services, sorted.
    pub fn services(&self) -> Vec<String> {
        let mut names: BTreeSet<&str> = BTreeSet::new();
        for segment in self.segments.iter().flatten() {
            let mut used = vec![false; segment.resources.len()];
            for row in (0..segment.rows()).filter(|row| segment.is_live(*row)) {
                used[segment.resource_of[row] as usize] = true;
            }
            let services = segment.services.iter().zip(used).filter(|(_, used)| *used);
            names.extend(services.map(|(symbol, _)| segment.dictionary.get(*symbol)));
        }
        names.into_iter().map(str::to_owned).collect()
    }

    /// The operations of a service, sorted; those of one kind where `kind` is given.
    pub fn operations(&self, service: &str, kind: Option<SpanKind>) -> Vec<JaegerOperation> {
        let mut operations = BTreeSet::new();
        for segment in self.segments.iter().flatten() {
            let Some(wanted) = segment.dictionary.find(service) else {
                continue;
            };
            for row in (0..segment.rows()).filter(|row| segment.is_live(*row)) {
                let of_service = segment.services[segment.resource_of[row] as usize] == wanted;
                let of_kind = kind.is_none_or(|kind| segment.kinds[row] == kind);
                if of_service && of_kind {
                    operations.insert((segment.names[row], segment.kinds[row], segment.name(row)));
                }
            }
        }
        let sorted: BTreeSet<JaegerOperation> = operations
            .into_iter()
            .map(|(_, kind, name)| JaegerOperation {
                name: name.to_owned(),
                span_kind: kind_text(kind),
            })
            .collect();
        sorted.into_iter().collect()
    }

    /// How often services called each other in traces that overlap the range.
    pub fn dependencies(&self, start: Timestamp, end: Timestamp) -> Vec<JaegerDependency> {
        let mut calls: BTreeMap<(String, String), u64> = BTreeMap::new();
        for (_, entry) in self.traces.oldest_first() {
            if entry.start > end || entry.end < start {
                continue;
            }
            let Some(trace) = self.get(entry.id) else {
                continue;
            };
            for row in &trace.waterfall().rows {
                let Some(parent) = row.parent else {
                    continue;
                };
                let service = |index: usize| trace.spans[index].resource.service_name().to_owned();
                let (caller, called) = (service(parent), service(row.span));
                if caller != called {
                    *calls.entry((caller, called)).or_default() += 1;
                }
            }
        }
        calls
            .into_iter()
            .map(|((parent, child), call_count)| JaegerDependency {
                parent,
                child,
                call_count,
            })
            .collect()
    }
}

impl JaegerQuery {
    /// What of the query TraceQL can ask.
    fn filter(&self) -> Field {
        let span = gameday_query::SourceSpan::default();
        let intrinsic = |intrinsic| Field::Attribute(Attribute::Intrinsic(intrinsic), span);
        let service = Attribute::Named {
            scope: Scope::Resource,
            parent: false,
            name: "service.name".to_owned(),
        };
        let nanos = |duration: Duration| {
            Static::Duration(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
        };
        let mut conditions = Vec::new();
        if !self.service.is_empty() {
            conditions.push((
                Op::Equal,
                Field::Attribute(service, span),
                Static::String(self.service.clone()),
            ));
        }
        if !self.operation.is_empty() {
            conditions.push((
                Op::Equal,
                intrinsic(Intrinsic::Name),
                Static::String(self.operation.clone()),
            ));
        }
        if let Some(least) = self.min_duration {
            conditions.push((
                Op::GreaterEqual,
                intrinsic(Intrinsic::Duration),
                nanos(least),
            ));
        }
        if let Some(most) = self.max_duration {
            conditions.push((Op::LessEqual, intrinsic(Intrinsic::Duration), nanos(most)));
        }
        let binary = |op, left, right| Field::Binary {
            op,
            left: Box::new(left),
            right: Box::new(right),
            span,
        };
        conditions
            .into_iter()
            .map(|(op, left, right)| binary(op, left, Field::Static(right)))
            .reduce(|all, one| binary(Op::And, all, one))
            .unwrap_or(Field::Static(Static::Bool(true)))
    }

    /// Whether one span fits all of the query.
    fn fits(&self, span: &Span) -> bool {
        let duration = span.duration();
        (self.service.is_empty() || span.resource.service_name() == self.service)
            && (self.operation.is_empty() || span.name == self.operation)
            && self.min_duration.is_none_or(|least| duration >= least)
            && self.max_duration.is_none_or(|most| duration <= most)
            && self
                .tags
                .iter()
                .all(|(key, value)| has_tag(span, key, value))
    }
}

fn has_tag(span: &Span, key: &str, wanted: &str) -> bool {
    let is = |attributes: &Attributes| {
        attributes
            .get(key)
            .is_some_and(|value| value.to_string() == wanted)
    };
    match (key, wanted) {
        ("error", "true") => span.status == SpanStatus::Error,
        ("span.kind", kind) => kind_text(span.kind) == kind,
        ("otel.status_code", code) => status_text(span.status) == Some(code),
        _ => {
            is(&span.attributes)
                || is(&span.resource.attributes)
                || span
                    .events
                    .iter()
                    .any(|event| is(&event.attributes) || (key == "event" && event.name == wanted))
        }
    }
}

impl Trace {
    /// The trace as Jaeger shows it.
    pub fn to_jaeger(&self) -> JaegerTrace {
        let mut processes: BTreeMap<String, JaegerProcess> = BTreeMap::new();
        let mut known: Vec<&Attributes> = Vec::new();
        let spans = self
            .spans
            .iter()
            .map(|span| {
                let attributes = &span.resource.attributes;
                let number = known
                    .iter()
                    .position(|own| *own == attributes)
                    .unwrap_or_else(|| {
                        known.push(attributes);
                        known.len() - 1
                    });
                let process_id = format!("p{}", number + 1);
                processes
                    .entry(process_id.clone())
                    .or_insert_with(|| JaegerProcess {
                        service_name: span.resource.service_name().to_owned(),
                        tags: tags_of(attributes)
                            .filter(|tag| tag.key != "service.name")
                            .collect(),
                    });
                jaeger_span(span, process_id)
            })
            .collect();
        JaegerTrace {
            trace_id: self.id.to_string(),
            spans,
            processes,
            warnings: None,
        }
    }
}

fn jaeger_span(span: &Span, process_id: String) -> JaegerSpan {
    let reference = |ref_type, trace_id: String, span_id: String| JaegerReference {
        ref_type,
        trace_id,
        span_id,
    };
    let mut references = Vec::new();
    if !span.parent_span_id.is_none() {
        references.push(reference(
            "CHILD_OF",
            span.trace_id.to_string(),
            span.parent_span_id.to_string(),
        ));
    }
    for link in &span.links {
        references.push(reference(
            "FOLLOWS_FROM",
            link.trace_id.to_string(),
            link.span_id.to_string(),
        ));
    }
    let mut tags: Vec<JaegerTag> = tags_of(&span.attributes).collect();
    for (key, value) in [
        ("otel.scope.name", span.scope.name.as_str()),
        ("otel.scope.version", &span.scope.version),
        ("span.kind", &kind_text(span.kind)),
        ("otel.status_code", status_text(span.status).unwrap_or("")),
        ("otel.status_description", &span.status_message),
        ("w3c.tracestate", &span.trace_state),
    ] {
        if !value.is_empty() {
            tags.push(text_tag(key, value));
        }
    }
    if span.status == SpanStatus::Error {
        tags.push(JaegerTag {
            key: "error".to_owned(),
            kind: "bool",
            value: Value::Bool(true),
        });
    }
    JaegerSpan {
        trace_id: span.trace_id.to_string(),
        span_id: span.span_id.to_string(),
        flags: span.flags,
        operation_name: span.name.clone(),
        references,
        start_time: span.start.as_nanos().div_euclid(1_000),
        duration: u64::try_from(span.duration().as_micros()).unwrap_or(u64::MAX),
        tags,
        logs: span
            .events
            .iter()
            .map(|event| JaegerLog {
                timestamp: event.timestamp.as_nanos().div_euclid(1_000),
                fields: std::iter::once(text_tag("event", &event.name))
                    .chain(tags_of(&event.attributes))
                    .collect(),
            })
            .collect(),
        process_id,
        warnings: None,
    }
}

fn text_tag(key: &str, value: &str) -> JaegerTag {
    JaegerTag {
        key: key.to_owned(),
        kind: "string",
        value: Value::from(value),
    }
}

fn tags_of(attributes: &Attributes) -> impl Iterator<Item = JaegerTag> {
    attributes.iter().map(|(key, value)| {
        let (kind, value) = match value {
            AttributeValue::Bool(truth) => ("bool", Value::from(*truth)),
            AttributeValue::Int(number) => ("int64", Value::from(*number)),
            AttributeValue::Double(number) => ("float64", Value::from(*number)),
            AttributeValue::Bytes(bytes) => (
                "binary",
                Value::from(base64::engine::general_purpose::STANDARD.encode(bytes)),
            ),
            other => ("string", Value::from(other.to_string())),
        };
        JaegerTag {
            key: key.to_owned(),
            kind,
            value,
        }
    })
}

fn kind_text(kind: SpanKind) -> String {
    if kind == SpanKind::Unspecified {
        String::new()
    } else {
        kind_name(kind).to_owned()
    }
}

fn status_text(status: SpanStatus) -> Option<&'static str> {
    match status {
        SpanStatus::Unset => None,
        SpanStatus::Ok => Some("OK"),
        SpanStatus::Error => Some("ERROR"),
    }
}

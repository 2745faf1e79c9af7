//! Traces as Tempo's query API answers them: JSON with base64 ids and names of enums (protobuf's own JSON, unlike OTLP's), and the
//! protobuf messages `tempopb.Trace` and `tempopb.TraceByIDResponse`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gameday_signal::{AttributeValue, Attributes, Span, SpanKind, SpanStatus, Timestamp};
use prost::Message;
use serde_json::{Map, Value, json};

use crate::otlp::message::TracesData;
use crate::otlp::traces_data;

/// `tempopb.TraceByIDResponse`, as far as it is filled.
#[derive(Clone, PartialEq, Message)]
struct TraceByIdResponse {
    #[prost(message, optional, tag = "1")]
    trace: Option<TracesData>,
    #[prost(message, optional, tag = "2")]
    metrics: Option<TraceByIdMetrics>,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
struct TraceByIdMetrics {}

/// The body of `GET /api/traces/<id>` with `Accept: application/protobuf`.
pub fn trace_protobuf_v1<'a>(spans: impl IntoIterator<Item = &'a Span>) -> Vec<u8> {
    traces_data(spans).encode_to_vec()
}

/// The body of `GET /api/v2/traces/<id>` with `Accept: application/protobuf`.
pub fn trace_protobuf_v2<'a>(spans: impl IntoIterator<Item = &'a Span>) -> Vec<u8> {
    TraceByIdResponse {
        trace: Some(traces_data(spans)),
        metrics: Some(TraceByIdMetrics {}),
    }
    .encode_to_vec()
}

/// The JSON of `GET /api/traces/<id>`: `{"batches": [..]}`.
pub fn trace_json_v1<'a>(spans: impl IntoIterator<Item = &'a Span>) -> Value {
    json!({ "batches": batches(spans) })
}

/// The JSON of `GET /api/v2/traces/<id>`: `{"trace": {"resourceSpans": [..]}, "metrics": {}}`.
pub fn trace_json_v2<'a>(spans: impl IntoIterator<Item = &'a Span>) -> Value {
    json!({ "trace": { "resourceSpans": batches(spans) }, "metrics": {} })
}

fn batches<'a>(spans: impl IntoIterator<Item = &'a Span>) -> Vec<Value> {
    let mut batches: Vec<Value> = Vec::new();
    let mut group: Vec<&Span> = Vec::new();
    let mut flush = |group: &mut Vec<&Span>| {
        if let Some(first) = group.first() {
            batches.push(batch(first, group));
        }
        group.clear();
    };
    for span in spans {
        if group
            .first()
            .is_some_and(|first| first.resource != span.resource)
        {
            flush(&mut group);
        }
        group.push(span);
    }
    flush(&mut group);
    batches
}

fn batch(first: &Span, spans: &[&Span]) -> Value {
    let scope_spans: Vec<Value> = spans
        .chunk_by(|left, right| left.scope == right.scope)
        .map(|chunk| {
            let own = &chunk[0].scope;
            let mut scope = Map::new();
            set_text(&mut scope, "name", &own.name);
            set_text(&mut scope, "version", &own.version);
            set_attributes(&mut scope, &own.attributes);
            json!({ "scope": scope, "spans": chunk.iter().map(|span| span_json(span)).collect::<Vec<_>>() })
        })
        .collect();
    let mut resource = Map::new();
    set_attributes(&mut resource, &first.resource.attributes);
    json!({ "resource": resource, "scopeSpans": scope_spans })
}

fn set_text(object: &mut Map<String, Value>, key: &str, text: &str) {
    if !text.is_empty() {
        object.insert(key.to_owned(), Value::from(text));
    }
}

fn set_attributes(object: &mut Map<String, Value>, attributes: &Attributes) {
    if !attributes.is_empty() {
        object.insert("attributes".to_owned(), attributes_json(attributes));
    }
}

/// Attributes as protobuf's JSON writes them: `[{"key": "a", "value": {"stringValue": "b"}}]`.
pub fn attributes_json(attributes: &Attributes) -> Value {
    attributes
        .iter()
        .map(|(key, value)| json!({ "key": key, "value": value_json(value) }))
        .collect()
}

/// A value as protobuf's JSON writes it: `{"stringValue": "b"}`, 64-bit integers as text.
pub fn value_json(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::Empty => json!({}),
        AttributeValue::String(text) => json!({ "stringValue": text }),
        AttributeValue::Bool(truth) => json!({ "boolValue": truth }),
        AttributeValue::Int(number) => json!({ "intValue": number.to_string() }),
        AttributeValue::Double(number) if number.is_finite() => json!({ "doubleValue": number }),
        AttributeValue::Double(number) => json!({ "doubleValue": if number.is_nan() {
            "NaN"
        } else if *number > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        } }),
        AttributeValue::Bytes(bytes) => json!({ "bytesValue": STANDARD.encode(bytes) }),
        AttributeValue::Array(values) => {
            json!({ "arrayValue": { "values": values.iter().map(value_json).collect::<Vec<_>>() } })
        }
        AttributeValue::Map(pairs) => json!({ "kvlistValue": { "values": pairs
            .iter()
            .map(|(key, value)| json!({ "key": key, "value": value_json(value) }))
            .collect::<Vec<_>>() } }),
    }
}

fn nanos(at: Timestamp) -> Value {
    Value::from(at.as_nanos().to_string())
}

fn span_json(span: &Span) -> Value {
    let mut object = Map::new();
    let mut set = |key: &str, value: Value| object.insert(key.to_owned(), value);
    set("traceId", Value::from(STANDARD.encode(span.trace_id.0)));
    set("spanId", Value::from(STANDARD.encode(span.span_id.0)));
    if !span.parent_span_id.is_none() {
        set(
            "parentSpanId",
            Value::from(STANDARD.encode(span.parent_span_id.0)),
        );
    }
    set("name", Value::from(span.name.as_str()));
    set("kind", Value::from(kind_name(span.kind)));
    set("startTimeUnixNano", nanos(span.start));
    set("endTimeUnixNano", nanos(span.end));
    if span.flags != 0 {
        set("flags", Value::from(span.flags));
    }
    let mut status = Map::new();
    set_text(&mut status, "message", &span.status_message);
    if span.status != SpanStatus::Unset {
        status.insert("code".to_owned(), Value::from(status_name(span.status)));
    }
    set("status", Value::Object(status));
    set_text(&mut object, "traceState", &span.trace_state);
    set_attributes(&mut object, &span.attributes);
    if !span.events.is_empty() {
        let events = span.events.iter().map(|event| {
            let mut own = Map::new();
            own.insert("timeUnixNano".to_owned(), nanos(event.timestamp));
            set_text(&mut own, "name", &event.name);
            set_attributes(&mut own, &event.attributes);
            Value::Object(own)
        });
        object.insert("events".to_owned(), events.collect());
    }
    if !span.links.is_empty() {
        let links = span.links.iter().map(|link| {
            let mut own = Map::new();
            let trace_id = STANDARD.encode(link.trace_id.0);
            own.insert("traceId".to_owned(), Value::from(trace_id));
            let span_id = STANDARD.encode(link.span_id.0);
            own.insert("spanId".to_owned(), Value::from(span_id));
            set_text(&mut own, "traceState", &link.trace_state);
            set_attributes(&mut own, &link.attributes);
            Value::Object(own)
        });
        object.insert("links".to_owned(), links.collect());
    }
    Value::Object(object)
}

/// The name of a span's kind in protobuf's JSON and in span metrics, such as `SPAN_KIND_SERVER`.
pub const fn kind_name(kind: SpanKind) -> &'static str {
    match kind {
        SpanKind::Unspecified => "SPAN_KIND_UNSPECIFIED",
        SpanKind::Internal => "SPAN_KIND_INTERNAL",
        SpanKind::Server => "SPAN_KIND_SERVER",
        SpanKind::Client => "SPAN_KIND_CLIENT",
        SpanKind::Producer => "SPAN_KIND_PRODUCER",
        SpanKind::Consumer => "SPAN_KIND_CONSUMER",
    }
}

/// The name of a span's status in protobuf's JSON and in span metrics, such as `STATUS_CODE_ERROR`.
pub const fn status_name(status: SpanStatus) -> &'static str {
    match status {
        SpanStatus::Unset => "STATUS_CODE_UNSET",
        SpanStatus::Ok => "STATUS_CODE_OK",
        SpanStatus::Error => "STATUS_CODE_ERROR",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otlp::{Encoding, Limits, decode_traces};

    const BODY: &str = r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"a"}}]},
        "scopeSpans":[{"scope":{"name":"s"},"spans":[{"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"00f067aa0ba902b7",
        "name":"GET /","kind":3,"startTimeUnixNano":"1700000000000000000","endTimeUnixNano":1700000000250000000,
        "attributes":[{"key":"n","value":{"intValue":"7"}}],"status":{"code":2,"message":"no"}}]}]}]}"#;

    #[test]
    fn writes_protobufs_json() {
        let now = Timestamp::from_secs(1_700_000_000);
        let decoded = decode_traces(BODY.as_bytes(), Encoding::Json, &Limits::default(), now)
            .expect("a valid body");
        assert_eq!(
            trace_json_v2(&decoded.items),
            json!({ "metrics": {}, "trace": { "resourceSpans": [{
                "resource": { "attributes": [{ "key": "service.name", "value": { "stringValue": "a" } }] },
                "scopeSpans": [{ "scope": { "name": "s" }, "spans": [{
                    "traceId": "CvdlGRbNQ92ESOshHIAxnA==", "spanId": "APBnqgupArc=", "name": "GET /",
                    "kind": "SPAN_KIND_CLIENT", "startTimeUnixNano": "1700000000000000000",
                    "endTimeUnixNano": "1700000000250000000",
                    "attributes": [{ "key": "n", "value": { "intValue": "7" } }],
                    "status": { "code": "STATUS_CODE_ERROR", "message": "no" },
                }] }],
            }] } })
        );
        // The v2 message holds the v1 message as its field 1.
        let inner = trace_protobuf_v1(&decoded.items);
        let outer = trace_protobuf_v2(&decoded.items);
        let again = TraceByIdResponse::decode(outer.as_slice()).expect("our own message");
        assert_eq!(
            again.trace.map(|trace| trace.encode_to_vec()),
            Some(inner.clone())
        );
        let spans = decode_traces(&inner, Encoding::Protobuf, &Limits::default(), now);
        assert_eq!(spans.map(|decoded| decoded.items), Ok(decoded.items));
    }
}

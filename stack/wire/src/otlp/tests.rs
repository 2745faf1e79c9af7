use proptest::prelude::*;

use gameday_signal::{AttributeValue, Timestamp, is_stale};
use serde_json::json;

use super::*;
use crate::{SampleValue, gunzip, gzip};

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

fn span(patch: &serde_json::Value) -> serde_json::Value {
    let mut span = json!({
        "traceId": "0AF7651916CD43DD8448EB211C80319C", "spanId": "00f067aa0ba902b7", "name": "GET /",
        "startTimeUnixNano": "1700000000000000000", "endTimeUnixNano": "1700000000250000000",
    });
    for (key, value) in patch.as_object().expect("an object") {
        span[key] = value.clone();
    }
    span
}

fn traces(spans: &[serde_json::Value]) -> Decoded<gameday_signal::Span> {
    let body = json!({ "resourceSpans": [{ "scopeSpans": [{ "spans": spans }] }] }).to_string();
    decode_traces(body.as_bytes(), Encoding::Json, &Limits::default(), NOW).expect("valid JSON")
}

#[test]
fn refuses_bad_spans_alone() {
    let many: Vec<_> = (0..2000)
        .map(|at| json!({ "key": at.to_string() }))
        .collect();
    for (patch, expected) in [
        (
            json!({ "traceId": "0af7" }),
            "span \"GET /\": trace id: invalid id: expected 16 bytes as 32 hexadecimal digits, got \"0af7\"",
        ),
        (
            json!({ "spanId": "0000000000000000" }),
            "span \"GET /\": span id is all zeros",
        ),
        (
            json!({ "parentSpanId": "01" }),
            "span \"GET /\": parent span id: invalid id: expected 8 bytes as 16 hexadecimal digits, got \"01\"",
        ),
        (
            json!({ "startTimeUnixNano": "1" }),
            "span \"GET /\": start time 1970-01-01T00:00:00.000000001Z is too old",
        ),
        (
            json!({ "endTimeUnixNano": "4102444800000000000" }),
            "span \"GET /\": end time 2100-01-01T00:00:00.000Z is too far in the future",
        ),
        (
            json!({ "attributes": many }),
            "span \"GET /\": 2000 attributes, the limit is 1024",
        ),
        (
            json!({ "attributes": [{ "key": "a", "value": { "stringValue": "x".repeat(2 << 20) } }] }),
            "span \"GET /\": attribute \"a\": value of 2097152 bytes, the limit is 1048576",
        ),
    ] {
        let decoded = traces(&[span(&patch), span(&json!({}))]);
        assert_eq!((decoded.rejected, decoded.message.as_str()), (1, expected));
        assert_eq!(decoded.items.len(), 1, "the good span is taken");
    }
    let odd_link = span(&json!({ "links": [{ "traceId": "01" }] }));
    let decoded = traces(&[odd_link]);
    assert_eq!((decoded.rejected, decoded.items.len()), (0, 1));
    assert!(
        decoded.message.contains("link left out"),
        "{}",
        decoded.message
    );
}

#[test]
fn reads_the_json_of_the_specification() {
    let decoded = traces(&[span(&json!({
        "unknownField": [1, { "a": null }], "kind": 2, "parentSpanId": "", "traceState": null, "flags": 257,
        "attributes": [
            { "key": "i", "value": { "intValue": 7 } }, { "key": "s", "value": { "intValue": "-7" } },
            { "key": "d", "value": { "doubleValue": "NaN" } }, { "key": "b", "value": { "bytesValue": "AQI=" } },
            { "key": "e", "value": null }, { "key": "l", "value": { "arrayValue": { "values": [{ "boolValue": true }] } } },
            { "key": "m", "value": { "kvlistValue": { "values": [{ "key": "x", "value": { "stringValue": "y" } }] } } },
        ],
    }))]);
    let span = &decoded.items[0];
    assert_eq!(span.kind, gameday_signal::SpanKind::Server);
    assert_eq!(span.attributes.get("s"), Some(&AttributeValue::Int(-7)));
    assert_eq!(
        span.attributes.get("b"),
        Some(&AttributeValue::Bytes(vec![1, 2]))
    );
    assert_eq!(span.attributes.get("e"), Some(&AttributeValue::Empty));
    assert_eq!(
        span.attributes.get("l").map(ToString::to_string).as_deref(),
        Some("[true]")
    );
    for bad in [
        r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"kind":"SPAN_KIND_SERVER"}]}]}]}"#,
        r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"zz"}]}]}]}"#,
        r#"{"resourceSpans":"#,
        "[]",
    ] {
        let result = decode_traces(bad.as_bytes(), Encoding::Json, &Limits::default(), NOW);
        assert!(matches!(result, Err(OtlpError::Json(_))), "{bad}");
    }
    let empty = decode_traces(b"", Encoding::Json, &Limits::default(), NOW).expect("empty");
    assert_eq!((empty.items.len(), empty.rejected), (0, 0));
}

#[test]
fn spans_and_records_round_trip_as_protobuf() {
    let decoded = traces(&[
        span(
            &json!({ "kind": 5, "events": [{ "timeUnixNano": "5", "name": "e" }], "status": { "code": 1 } }),
        ),
        span(
            &json!({ "links": [{ "traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": "00f067aa0ba902b7" }] }),
        ),
    ]);
    assert_eq!(decoded.message, "");
    let bytes = encode_traces(&decoded.items);
    let again = decode_traces(&bytes, Encoding::Protobuf, &Limits::default(), NOW).expect("ours");
    assert_eq!(again, decoded);

    let body = json!({ "resourceLogs": [{ "resource": { "attributes": [{ "key": "service.name", "value": { "stringValue": "a" } }] },
        "scopeLogs": [{ "logRecords": [
            { "timeUnixNano": "1", "body": { "stringValue": "hello" }, "severityNumber": 17, "eventName": "boom" },
            { "observedTimeUnixNano": 2, "traceId": "01", "spanId": "00f067aa0ba902b7" },
        ] }] }] })
    .to_string();
    let logs =
        decode_logs(body.as_bytes(), Encoding::Json, &Limits::default()).expect("valid JSON");
    assert_eq!((logs.items.len(), logs.rejected), (2, 0));
    assert!(
        logs.message.contains("trace id left out"),
        "{}",
        logs.message
    );
    assert_eq!(logs.items[0].attributes.get_str("event.name"), Some("boom"));
    let bytes = encode_logs(&logs.items);
    let again = decode_logs(&bytes, Encoding::Protobuf, &Limits::default()).expect("ours");
    assert_eq!(again.items, logs.items);
}

#[test]
fn refuses_a_huge_log_line_alone() {
    let record = |length: usize| json!({ "timeUnixNano": "1", "body": { "stringValue": "x".repeat(length) } });
    let body = json!({ "resourceLogs": [{ "scopeLogs": [{ "logRecords": [record(10 << 20), record(10)] }] }] });
    let logs = decode_logs(
        body.to_string().as_bytes(),
        Encoding::Json,
        &Limits::default(),
    )
    .expect("valid JSON");
    assert_eq!((logs.items.len(), logs.rejected), (1, 1));
    assert_eq!(
        logs.message,
        "log record: body: value of 10485760 bytes, the limit is 1048576"
    );
}

fn metrics(metrics: &serde_json::Value, options: &MetricOptions) -> DecodedMetrics {
    let attribute =
        |key: &str, value: &str| json!({ "key": key, "value": { "stringValue": value } });
    let body = json!({ "resourceMetrics": [{
        "resource": { "attributes": [
            attribute("service.name", "checkout"), attribute("service.namespace", "shop"),
            attribute("service.instance.id", "c-1"), attribute("host.name", "h1"),
        ] },
        "scopeMetrics": [{ "scope": { "name": "lib", "version": "1" }, "metrics": metrics }],
    }] });
    decode_metrics(
        body.to_string().as_bytes(),
        Encoding::Json,
        &Limits::default(),
        options,
    )
    .expect("valid JSON")
}

fn render(decoded: &DecodedMetrics) -> Vec<String> {
    decoded
        .samples
        .iter()
        .map(|sample| {
            let value = match &sample.value {
                SampleValue::Float(value) if is_stale(*value) => "stale".to_owned(),
                SampleValue::Float(value) => value.to_string(),
                SampleValue::Histogram(histogram) => format!(
                    "schema {} count {} sum {} {:?}",
                    histogram.schema, histogram.count, histogram.sum, histogram.positive_buckets
                ),
            };
            let exemplars: String = sample
                .exemplars
                .iter()
                .map(|own| format!(" # {} {}", own.labels, own.value))
                .collect();
            let labels = sample.labels.without("job").without("instance");
            format!("{labels} {value} @{}{exemplars}", sample.timestamp_ms)
        })
        .collect()
}

#[test]
fn maps_metrics_as_prometheus_does() {
    let point = |value: serde_json::Value| {
        let mut point = json!({ "timeUnixNano": "1700000000500999999", "attributes": [
            { "key": "a.b", "value": { "stringValue": "1" } }, { "key": "a_b", "value": { "intValue": "2" } },
        ] });
        for (key, value) in value.as_object().expect("an object") {
            point[key] = value.clone();
        }
        point
    };
    let decoded = metrics(
        &json!([
            { "name": "http.requests", "unit": "{request}", "description": "All.", "sum": { "aggregationTemporality": 2, "isMonotonic": true,
              "dataPoints": [point(json!({ "asInt": "5" }))] } },
            { "name": "load", "unit": "1", "gauge": { "dataPoints": [point(json!({ "asDouble": 0.5, "flags": 1 }))] } },
            { "name": "d", "unit": "s", "histogram": { "aggregationTemporality": 2, "dataPoints": [point(json!({
              "count": "3", "sum": 2.5, "bucketCounts": ["1", 1, "1"], "explicitBounds": [0.5, 1],
              "exemplars": [{ "asDouble": 0.75, "traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": "00f067aa0ba902b7" }],
            }))] } },
            { "name": "e", "exponentialHistogram": { "aggregationTemporality": 2, "dataPoints": [point(json!({
              "count": "3", "sum": 2.5, "scale": 1, "positive": { "offset": 0, "bucketCounts": ["1", "2"] },
            }))] } },
            { "name": "q", "summary": { "dataPoints": [point(json!({
              "count": "3", "sum": 2.5, "quantileValues": [{ "quantile": 1, "value": 9 }],
            }))] } },
        ]),
        &MetricOptions::default(),
    );
    assert_eq!((decoded.rejected, decoded.message.as_str()), (0, ""));
    assert_eq!(
        render(&decoded),
        [
            r#"{__name__="http_requests_total", a_b="1;2"} 5 @1700000000500"#,
            r#"{__name__="load_ratio", a_b="1;2"} stale @1700000000500"#,
            r#"{__name__="d_seconds_sum", a_b="1;2"} 2.5 @1700000000500"#,
            r#"{__name__="d_seconds_count", a_b="1;2"} 3 @1700000000500"#,
            r#"{__name__="d_seconds_bucket", a_b="1;2", le="0.5"} 1 @1700000000500"#,
            r#"{__name__="d_seconds_bucket", a_b="1;2", le="1.0"} 2 @1700000000500 # {span_id="00f067aa0ba902b7", trace_id="0af7651916cd43dd8448eb211c80319c"} 0.75"#,
            r#"{__name__="d_seconds_bucket", a_b="1;2", le="+Inf"} 3 @1700000000500"#,
            r#"{__name__="e", a_b="1;2"} schema 1 count 3 sum 2.5 [1.0, 2.0] @1700000000500"#,
            r#"{__name__="q_sum", a_b="1;2"} 2.5 @1700000000500"#,
            r#"{__name__="q_count", a_b="1;2"} 3 @1700000000500"#,
            r#"{__name__="q", a_b="1;2", quantile="1.0"} 9 @1700000000500"#,
            r#"{__name__="target_info", host_name="h1"} 1 @1700000000500"#,
        ]
    );
    let labels = &decoded.samples[0].labels;
    assert_eq!(
        (labels.value_of("job"), labels.value_of("instance")),
        ("shop/checkout", "c-1")
    );
    let metadata = &decoded.metadata["d_seconds"];
    assert_eq!(
        (metadata.kind.as_str(), metadata.unit.as_str()),
        ("histogram", "seconds")
    );
}

#[test]
fn refuses_delta_alone() {
    let sum = |temporality: i32| {
        json!({ "name": "n", "sum": { "aggregationTemporality": temporality, "isMonotonic": true,
        "dataPoints": [{ "timeUnixNano": "1000000", "asInt": "1" }, { "timeUnixNano": "2000000", "asInt": "1" }] } })
    };
    let decoded = metrics(&json!([sum(1), sum(0), sum(2)]), &MetricOptions::default());
    assert_eq!(decoded.rejected, 4);
    assert!(
        decoded
            .message
            .starts_with("metric \"n\": invalid temporality and type combination: delta counter"),
        "{}",
        decoded.message
    );
    assert_eq!(
        decoded.samples.len(),
        3,
        "the cumulative points and target_info"
    );
}

#[test]
fn options_change_the_mapping() {
    let histogram = json!([{ "name": "d.x", "histogram": { "aggregationTemporality": 2, "dataPoints": [{
        "timeUnixNano": "1000000", "count": "3", "sum": 2.5, "bucketCounts": ["1", 2], "explicitBounds": [0.5] }] } }]);
    let options = MetricOptions {
        translation: Translation::NoTranslation,
        promote_resource_attributes: ["host.name".to_owned()].into(),
        convert_histograms_to_nhcb: true,
        promote_scope_metadata: true,
        ..MetricOptions::default()
    };
    assert_eq!(
        render(&metrics(&histogram, &options))[0],
        r#"{__name__="d.x", "host.name"="h1", otel_scope_name="lib", otel_scope_version="1"} schema -53 count 3 sum 2.5 [1.0, 2.0] @1"#
    );
}

#[test]
fn answers_in_the_encoding_of_the_request() {
    assert_eq!(
        export_response(Signal::Traces, Encoding::Json, 0, ""),
        b"{}"
    );
    assert_eq!(
        export_response(Signal::Traces, Encoding::Protobuf, 0, ""),
        b""
    );
    assert_eq!(
        export_response(Signal::Logs, Encoding::Json, 2, "no"),
        br#"{"partialSuccess":{"errorMessage":"no","rejectedLogRecords":"2"}}"#
    );
    assert_eq!(
        export_response(Signal::Metrics, Encoding::Protobuf, 2, "no"),
        [0x0a, 6, 8, 2, 0x12, 2, b'n', b'o']
    );
    assert_eq!(
        status_response(Encoding::Json, StatusCode::InvalidArgument, "no"),
        br#"{"code":3,"message":"no"}"#
    );
    assert_eq!(
        status_response(Encoding::Protobuf, StatusCode::Unavailable, "no"),
        [8, 14, 0x12, 2, b'n', b'o']
    );
    for (content_type, expected) in [
        ("application/x-protobuf", Some(Encoding::Protobuf)),
        ("Application/JSON; charset=utf-8", Some(Encoding::Json)),
        ("text/plain", None),
    ] {
        assert_eq!(Encoding::of_content_type(content_type), expected);
    }
}

#[test]
fn deep_nesting_is_refused() {
    let deep = format!(
        "{}{}",
        r#"{"arrayValue":{"values":["#.repeat(5000),
        "]}}".repeat(5000)
    );
    let body =
        format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{"body":{deep}}}]}}]}}]}}"#);
    assert!(decode_logs(body.as_bytes(), Encoding::Json, &Limits::default()).is_err());
    // Protobuf: each level is a field 5 with one field 1 in it.
    let mut bytes = Vec::new();
    for _ in 0..3000 {
        let mut outer = vec![0x0a];
        prost::encoding::encode_varint(bytes.len() as u64, &mut outer);
        outer.append(&mut bytes);
        let mut any = vec![0x2a];
        prost::encoding::encode_varint(outer.len() as u64, &mut any);
        any.append(&mut outer);
        bytes = any;
    }
    for tag in [0x2a, 0x12, 0x12, 0x0a] {
        let mut outer = vec![tag];
        prost::encoding::encode_varint(bytes.len() as u64, &mut outer);
        outer.append(&mut bytes);
        bytes = outer;
    }
    // The record alone: what else a request has could still be taken.
    let logs = decode_logs(&bytes, Encoding::Protobuf, &Limits::default()).unwrap();
    assert_eq!(
        (logs.items.len(), logs.rejected),
        (0, 1),
        "{}",
        logs.message
    );
    assert!(logs.message.contains("recursion limit"), "{}", logs.message);
}

fn decode_all(body: &[u8]) {
    let limits = Limits::default();
    for encoding in [Encoding::Protobuf, Encoding::Json] {
        let _ = decode_traces(body, encoding, &limits, NOW);
        let _ = decode_logs(body, encoding, &limits);
        let _ = decode_metrics(body, encoding, &limits, &MetricOptions::default());
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        decode_all(&bytes);
        let _ = gunzip(&bytes, 1 << 20);
        prop_assert_eq!(gunzip(&gzip(&bytes), 300), Ok(bytes));
    }

    #[test]
    fn damaged_bodies_never_panic(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let body = json!({ "resourceMetrics": [{ "scopeMetrics": [{ "metrics": [
            { "name": "d", "unit": "s", "histogram": { "aggregationTemporality": 2, "dataPoints": [{ "timeUnixNano": "5",
              "count": "3", "sum": 2.5, "bucketCounts": ["1", 1, "1"], "explicitBounds": [0.5, 1], "exemplars": [{ "asInt": "1" }] }] } },
            { "name": "e", "exponentialHistogram": { "aggregationTemporality": 2, "dataPoints": [{
              "count": "3", "scale": 1, "positive": { "offset": 0, "bucketCounts": ["1", "2"] } }] } },
        ] }] }] }).to_string();
        let mut protobuf = transcode_metrics(body.as_bytes(), Encoding::Json).expect("valid JSON");
        let at_byte = at.index(protobuf.len());
        protobuf[at_byte] = byte;
        decode_all(&protobuf);
        let mut text = body.into_bytes();
        let at_byte = at.index(text.len());
        text[at_byte] = byte;
        decode_all(&text);
    }
}

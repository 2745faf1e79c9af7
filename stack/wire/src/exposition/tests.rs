use proptest::prelude::*;

use gameday_signal::{MetricMetadata, Timestamp};
use prost::Message;

use super::protobuf::{
    Bucket, Counter, HistogramMessage, LabelPair, Metric, MetricFamily, Number, Span,
};
use super::*;

/// One line an entry, to compare with.
fn render(body: &[u8], format: Format) -> Result<Vec<String>, String> {
    let mut lines = Vec::new();
    parse(body, format, ParseOptions::default(), &mut |entry| {
        lines.push(match entry {
            Entry::Help { name, help } => format!("help {name} {help:?}"),
            Entry::Type { name, kind } => format!("type {name} {kind}"),
            Entry::Unit { name, unit } => format!("unit {name} {unit}"),
            Entry::Sample(sample) => {
                let value = match &sample.value {
                    SampleValue::Float(value) => value.to_string(),
                    SampleValue::Histogram(histogram) => format!(
                        "schema {} count {} buckets {:?}",
                        histogram.schema, histogram.count, histogram.positive_buckets
                    ),
                };
                let at = sample.timestamp_ms.map(|ms| format!(" @{ms}"));
                let exemplars: String = sample
                    .exemplars
                    .iter()
                    .map(|own| format!(" # {} {}", own.labels, own.value))
                    .collect();
                format!(
                    "{} = {value}{}{exemplars}",
                    sample.series.labels(),
                    at.unwrap_or_default()
                )
            }
        });
    })
    .map(|()| lines)
    .map_err(|error| error.to_string())
}

fn check(format: Format, body: &str, expected: &[&str]) {
    assert_eq!(
        render(body.as_bytes(), format),
        Ok(expected.iter().map(|line| (*line).to_owned()).collect()),
        "{body}"
    );
}

fn check_refused(format: Format, body: &str, expected: &str) {
    assert_eq!(
        render(body.as_bytes(), format),
        Err(expected.to_owned()),
        "{body}"
    );
}

#[test]
fn reads_text() {
    check(
        Format::Text,
        "# HELP requests_total All \\\\ requests\\n\n# TYPE requests_total counter\n# a comment\n\n\
         requests_total{code=\"200\", path=\"a\\\"b\\\\c\\nd\",} 1e3 1700000000000\n\
         \trequests_total { code = \"500\" }\t+Inf\nnot_typed -1.5",
        &[
            r#"help requests_total "All \\ requests\n""#,
            "type requests_total counter",
            r#"{__name__="requests_total", code="200", path="a\"b\\c\nd"} = 1000 @1700000000000"#,
            r#"{__name__="requests_total", code="500"} = inf"#,
            r#"{__name__="not_typed"} = -1.5"#,
        ],
    );
}

#[test]
fn normalises_bounds_by_type() {
    check(
        Format::Text,
        "# TYPE a histogram\na_bucket{le=\"1\"} 1\na_bucket{le=\"+Inf\"} 1\n# TYPE b summary\nb{quantile=\"0\"} 1\n\
         # TYPE c gauge\nc{le=\"1\"} 1\n",
        &[
            "type a histogram",
            r#"{__name__="a_bucket", le="1.0"} = 1"#,
            r#"{__name__="a_bucket", le="+Inf"} = 1"#,
            "type b summary",
            r#"{__name__="b", quantile="0.0"} = 1"#,
            "type c gauge",
            r#"{__name__="c", le="1"} = 1"#,
        ],
    );
}

#[test]
fn reads_utf8_names() {
    check(
        Format::Text,
        "# TYPE \"http.requests\" counter\n{\"http.requests\",\"status.code\"=\"200\",a=\"b\"} 1\n{a=\"b\",\"x y\"} 2\n",
        &[
            "type http.requests counter",
            r#"{__name__="http.requests", a="b", "status.code"="200"} = 1"#,
            r#"{__name__="x y", a="b"} = 2"#,
        ],
    );
}

#[test]
fn refuses_bad_text() {
    for (body, expected) in [
        ("a 1\nb x\n", "2:3: expected a value, found \"x\""),
        ("a{b=\"c\" 1\n", "1:9: expected ',' or '}', found '1'"),
        ("a{b=\"c} 1\n", "1:5: quoted text is not closed"),
        (
            "a{b=\"1\",b=\"2\"} 1\n",
            "1:1: label name \"b\" is not unique",
        ),
        (
            "a 1 1.5\n",
            "1:5: expected a timestamp in milliseconds, found \"1.5\"",
        ),
        ("a 1 1 1\n", "1:7: expected the end of the line, found '1'"),
        ("0a 1\n", "1:1: expected a metric name, found '0'"),
        ("# TYPE a meh\n", "1:10: invalid metric type \"meh\""),
        ("{a=\"b\"} 1\n", "1:1: the series has no metric name"),
        ("a{\"b\"} 1\n", "1:3: the metric name is given twice"),
        (
            "a{__name__=\"b\"} 1\n",
            "1:1: the metric name is given twice",
        ),
        ("a 0x10\n", "1:3: expected a value, found \"0x10\""),
    ] {
        check_refused(Format::Text, body, expected);
    }
    assert_eq!(
        render(b"a 1\nb{c=\"\xff\"} 1\n", Format::Text),
        Err("2:6: invalid UTF-8".to_owned())
    );
}

#[test]
fn reads_open_metrics() {
    check(
        Format::OpenMetrics,
        "# TYPE rpc_seconds histogram\n# UNIT rpc_seconds seconds\n# HELP rpc_seconds Time.\n\
         rpc_seconds_bucket{le=\"1\"} 1 # {trace_id=\"ab\"} 0.5 1700000000.25\nrpc_seconds_bucket{le=\"+Inf\"} 2\n\
         rpc_seconds_count 2\nrpc_seconds_sum 3.5\n# TYPE a counter\na_total 1 1700000000.5\n# EOF\n",
        &[
            "type rpc_seconds histogram",
            "unit rpc_seconds seconds",
            r#"help rpc_seconds "Time.""#,
            r#"{__name__="rpc_seconds_bucket", le="1.0"} = 1 # {trace_id="ab"} 0.5"#,
            r#"{__name__="rpc_seconds_bucket", le="+Inf"} = 2"#,
            r#"{__name__="rpc_seconds_count"} = 2"#,
            r#"{__name__="rpc_seconds_sum"} = 3.5"#,
            "type a counter",
            r#"{__name__="a_total"} = 1 @1700000000500"#,
        ],
    );
}

#[test]
fn refuses_what_open_metrics_forbids() {
    for (body, expected) in [
        ("a 1\n", "2:1: data does not end with \"# EOF\""),
        ("# EOF\na 1\n", "2:1: nothing may follow \"# EOF\""),
        ("a 1\n\n# EOF\n", "2:1: blank lines are not allowed"),
        (
            "# a comment\n# EOF\n",
            "1:1: expected \"# HELP\", \"# TYPE\", \"# UNIT\" or \"# EOF\"",
        ),
        (
            "# TYPE a counter\na_total -1\n# EOF\n",
            "2:1: counter-like samples cannot be negative, found -1",
        ),
        ("a 1\nb 1\na 2\n# EOF\n", "5:1: clashing name: \"a\""),
        (
            "# TYPE a gauge\na{x=\"1\"} 1\na{x=\"2\"} 1\na{x=\"1\"} 1\n# EOF\n",
            "4:1: samples of one group must stand together",
        ),
        (
            "# TYPE a histogram\na_bucket{le=\"1\"} 1\n# EOF\n",
            "4:1: histogram \"a\": the +Inf bucket is missing",
        ),
        ("a  1\n# EOF\n", "1:3: expected a value, found \"\""),
        (
            "a 1 # {} 1\n# EOF\n",
            "1:1: only histogram buckets and counters can have exemplars",
        ),
    ] {
        check_refused(Format::OpenMetrics, body, expected);
    }
}

#[test]
fn groups_that_differ_a_little_are_different() {
    let mut body = String::from("# TYPE a counter\n");
    for index in 0..5000 {
        let (first, second) = (index / 70, index % 70);
        body.push_str("a_total{x=\"");
        body.push_str(&first.to_string());
        body.push_str("\",y=\"");
        body.push_str(&second.to_string());
        body.push_str("\"} 1\n");
    }
    body.push_str("# EOF\n");
    let lines = render(body.as_bytes(), Format::OpenMetrics).expect("5000 groups");
    assert_eq!(lines.len(), 5001);
}

fn protobuf_body() -> Vec<u8> {
    let pair = |name: &str, value: &str| LabelPair {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    let families = [
        MetricFamily {
            name: "a_total".to_owned(),
            metric: vec![Metric {
                label: vec![pair("b", "c\"d")],
                counter: Some(Counter {
                    value: 3.0,
                    exemplar: None,
                }),
                ..Metric::default()
            }],
            ..MetricFamily::default()
        },
        MetricFamily {
            name: "utf.8".to_owned(),
            kind: 1,
            unit: "bytes".to_owned(),
            metric: vec![Metric {
                gauge: Some(Number { value: 1.5 }),
                timestamp_ms: 17,
                ..Metric::default()
            }],
            ..MetricFamily::default()
        },
        MetricFamily {
            name: "classic".to_owned(),
            kind: 4,
            metric: vec![Metric {
                histogram: Some(HistogramMessage {
                    sample_count: 2,
                    sample_sum: 3.0,
                    bucket: vec![Bucket {
                        cumulative_count: 1,
                        upper_bound: 1.0,
                        ..Bucket::default()
                    }],
                    ..HistogramMessage::default()
                }),
                ..Metric::default()
            }],
            ..MetricFamily::default()
        },
        MetricFamily {
            name: "native".to_owned(),
            kind: 4,
            metric: vec![Metric {
                histogram: Some(HistogramMessage {
                    sample_count: 5,
                    sample_sum: 3.0,
                    schema: 2,
                    positive_span: vec![Span {
                        offset: -1,
                        length: 2,
                    }],
                    positive_delta: vec![2, 1],
                    ..HistogramMessage::default()
                }),
                ..Metric::default()
            }],
            ..MetricFamily::default()
        },
    ];
    families
        .iter()
        .flat_map(Message::encode_length_delimited_to_vec)
        .collect()
}

#[test]
fn reads_protobuf() {
    let lines = render(&protobuf_body(), Format::Protobuf).expect("a valid body");
    let samples: Vec<&str> = lines
        .iter()
        .map(String::as_str)
        .filter(|line| line.starts_with('{'))
        .collect();
    assert_eq!(
        samples,
        [
            r#"{__name__="a_total", b="c\"d"} = 3"#,
            r#"{__name__="utf.8"} = 1.5 @17"#,
            r#"{__name__="classic_count"} = 2"#,
            r#"{__name__="classic_sum"} = 3"#,
            r#"{__name__="classic_bucket", le="1.0"} = 1"#,
            r#"{__name__="classic_bucket", le="+Inf"} = 2"#,
            r#"{__name__="native"} = schema 2 count 5 buckets [2.0, 3.0]"#,
        ]
    );
}

#[test]
fn chooses_the_format() {
    for (content_type, expected) in [
        ("text/plain", Some(Format::Text)),
        (
            "text/plain; version=0.0.4; charset=utf-8",
            Some(Format::Text),
        ),
        (
            "application/openmetrics-text; version=1.0.0",
            Some(Format::OpenMetrics),
        ),
        (Format::Protobuf.content_type(), Some(Format::Protobuf)),
        ("application/vnd.google.protobuf; proto=other", None),
        ("text/html", None),
        ("", None),
    ] {
        assert_eq!(
            format_of(Some(content_type), None).ok(),
            expected,
            "{content_type}"
        );
    }
    assert_eq!(format_of(None, Some(Format::Text)), Ok(Format::Text));
}

#[test]
fn writes_what_it_reads() {
    let metadata = MetricMetadata {
        kind: MetricType::Counter,
        help: "All \"requests\".\n".to_owned(),
        unit: String::new(),
    };
    let labels = Labels::new([("__name__", "requests_total"), ("path", "a\"b\\c\nd")]);
    let odd = Labels::new([("__name__", "odd.name"), ("x y", "z")]);
    let exemplar = Exemplar {
        labels: Labels::new([("trace_id", "ab")]),
        value: 1.0,
        timestamp: Some(Timestamp::from_millis(1_700_000_000_250)),
    };
    let write = |format| {
        let mut writer = FamilyWriter::new(format);
        writer.family("requests_total", &metadata);
        writer.sample(&labels, 3.0, Some(1_700_000_000_500), Some(&exemplar));
        writer.family("odd.name", &MetricMetadata::default());
        writer.sample(&odd, 0.5, None, None);
        writer.finish()
    };
    assert_eq!(
        write(Format::Text),
        "# HELP requests_total All \"requests\".\\n\n# TYPE requests_total counter\n\
         requests_total{path=\"a\\\"b\\\\c\\nd\"} 3 1700000000500\n# TYPE \"odd.name\" untyped\n{\"odd.name\",\"x y\"=\"z\"} 0.5\n"
    );
    assert_eq!(
        write(Format::OpenMetrics),
        "# HELP requests All \\\"requests\\\".\\n\n# TYPE requests counter\n\
         requests_total{path=\"a\\\"b\\\\c\\nd\"} 3.0 1700000000.5 # {trace_id=\"ab\"} 1.0 1700000000.250000000\n\
         # TYPE \"odd.name\" unknown\n{\"odd.name\",\"x y\"=\"z\"} 0.5\n# EOF\n"
    );
    for format in [Format::Text, Format::OpenMetrics] {
        assert!(render(write(format).as_bytes(), format).is_ok());
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        for format in [Format::Text, Format::OpenMetrics, Format::Protobuf] {
            let _ = render(&bytes, format);
        }
    }

    #[test]
    fn random_lines_never_panic(text in "(# (TYPE|HELP|UNIT) a? ?(counter|histogram|x)?|a?(_bucket|_total)?[{]?(le|\"x\")?=?\"?[\\\\\"a,1 ]{0,6}[}]? ?1?( # [{][}] 1)?|\n){0,12}") {
        for format in [Format::Text, Format::OpenMetrics] {
            let _ = render(text.as_bytes(), format);
        }
    }

    #[test]
    fn damaged_protobuf_never_panics(at in 0usize..200, byte in any::<u8>()) {
        let mut body = protobuf_body();
        let at = at % body.len();
        body[at] = byte;
        let _ = render(&body, Format::Protobuf);
    }

    #[test]
    fn any_labels_round_trip(value in "\\PC{0,20}", name in "\\PC{1,10}") {
        let labels = Labels::new([("__name__", name.as_str()), ("b", value.as_str()), (&format!("x{name}"), "1")]);
        let mut writer = FamilyWriter::new(Format::Text);
        writer.sample(&labels, 1.0, None, None);
        let mut read = Vec::new();
        parse(writer.finish().as_bytes(), Format::Text, ParseOptions::default(), &mut |entry| {
            if let Entry::Sample(sample) = entry {
                read.push(sample.series.labels());
            }
        }).expect("our own text is valid");
        prop_assert_eq!(read, [labels]);
    }
}

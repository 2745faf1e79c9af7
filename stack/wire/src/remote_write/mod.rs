//! Prometheus remote write 1.0 and 2.0, both ways: snappy-compressed protobuf.
//!
//! A series that breaks a rule is refused alone and counted; only a body that cannot be read at all is a [`RemoteWriteError`].

mod message;

use std::collections::BTreeMap;

use gameday_signal::{
    BucketSpan, CounterResetHint, Exemplar, Histogram, Labels, MetricMetadata, MetricType, Sample,
    Timestamp,
};
use prost::Message;

use crate::compression::{CompressionError, snappy_decode, snappy_encode};
use crate::exposition::absolute_counts;
use message::{
    ExemplarV1, ExemplarV2, HistogramMessage, LabelMessage, MetadataV1, MetadataV2, RequestV2,
    SampleMessage, SeriesV1, SeriesV2, SpanMessage, WriteRequest,
};

/// The two versions of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// `prometheus.WriteRequest`.
    V1,
    /// `io.prometheus.write.v2.Request`.
    V2,
}

impl Version {
    /// The version that a Content-Type names; none means that the receiver answers 415.
    pub fn of_content_type(content_type: &str) -> Option<Self> {
        let mut parts = content_type.split(';').map(str::trim);
        if !parts.next()?.eq_ignore_ascii_case("application/x-protobuf") {
            return None;
        }
        for part in parts {
            if let Some(proto) = part.strip_prefix("proto=") {
                return match proto.trim_matches('"') {
                    "prometheus.WriteRequest" => Some(Self::V1),
                    "io.prometheus.write.v2.Request" => Some(Self::V2),
                    _ => None,
                };
            }
        }
        Some(Self::V1)
    }

    /// The Content-Type of a request.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::V1 => "application/x-protobuf",
            Self::V2 => "application/x-protobuf;proto=io.prometheus.write.v2.Request",
        }
    }

    /// The header `X-Prometheus-Remote-Write-Version` of a request.
    pub const fn header(self) -> &'static str {
        match self {
            Self::V1 => "0.1.0",
            Self::V2 => "2.0.0",
        }
    }
}

/// Why a whole request is refused: it is answered with 400 and must not be sent again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RemoteWriteError {
    /// It could not be decompressed.
    #[error(transparent)]
    Compression(#[from] CompressionError),
    /// It is no such message.
    #[error("invalid protobuf: {0}")]
    Protobuf(String),
    /// The table of symbols of version 2.0 does not begin with the empty text.
    #[error("symbols must start with the empty string")]
    Symbols,
}

/// A series with its new samples.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WriteSeries {
    /// The series, with `__name__`.
    pub labels: Labels,
    /// Its floats; the stale marker ends the series.
    pub samples: Vec<Sample>,
    /// Its native histograms with their times in milliseconds.
    pub histograms: Vec<(i64, Histogram)>,
    /// Examples of what it counted.
    pub exemplars: Vec<Exemplar>,
}

/// What a request holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WriteBatch {
    /// The series, in the order of the request.
    pub series: Vec<WriteSeries>,
    /// What is known about each family; in version 2.0 under the name of the series.
    pub metadata: BTreeMap<String, MetricMetadata>,
    /// How many samples and histograms were refused.
    pub rejected: u64,
    /// Why the first was refused; empty when all is well.
    pub message: String,
}

impl WriteBatch {
    fn reject(&mut self, count: usize, reason: String) {
        self.rejected += count as u64;
        if self.message.is_empty() {
            self.message = reason;
        }
    }
}

/// Reads a request as it came over the wire.
///
/// # Errors
/// Where it is larger than `limit_bytes` when decompressed, or is no such message.
pub fn decode_remote_write(
    body: &[u8],
    version: Version,
    limit_bytes: usize,
) -> Result<WriteBatch, RemoteWriteError> {
    let raw = snappy_decode(body, limit_bytes)?;
    let invalid = |error: prost::DecodeError| RemoteWriteError::Protobuf(error.to_string());
    match version {
        Version::V1 => WriteRequest::decode(raw.as_slice())
            .map(batch_v1)
            .map_err(invalid),
        Version::V2 => {
            let request = RequestV2::decode(raw.as_slice()).map_err(invalid)?;
            if !request.timeseries.is_empty()
                && request
                    .symbols
                    .first()
                    .is_none_or(|first| !first.is_empty())
            {
                return Err(RemoteWriteError::Symbols);
            }
            Ok(batch_v2(&request))
        }
    }
}

fn batch_v1(request: WriteRequest) -> WriteBatch {
    let mut batch = WriteBatch::default();
    for series in request.timeseries {
        let pairs = series
            .labels
            .iter()
            .map(|label| (label.name.as_str(), label.value.as_str()));
        let exemplars = series
            .exemplars
            .iter()
            .map(|own| {
                let labels = own.labels.iter();
                exemplar(
                    labels.map(|label| (label.name.as_str(), label.value.as_str())),
                    own.value,
                    own.timestamp,
                )
            })
            .collect();
        let labels = checked_labels(pairs);
        push_series(
            &mut batch,
            labels,
            &series.samples,
            &series.histograms,
            exemplars,
        );
    }
    for own in request.metadata {
        batch.metadata.insert(
            own.metric_family_name,
            MetricMetadata {
                kind: kind_of(own.kind),
                help: own.help,
                unit: own.unit,
            },
        );
    }
    batch
}

fn batch_v2(request: &RequestV2) -> WriteBatch {
    let mut batch = WriteBatch::default();
    let symbols = &request.symbols;
    let symbol = |reference: u32| -> Result<&str, String> {
        symbols
            .get(reference as usize)
            .map(String::as_str)
            .ok_or_else(|| format!("symbol {reference} of {} does not exist", symbols.len()))
    };
    let pairs = |references: &[u32]| -> Result<Vec<(String, String)>, String> {
        if !references.len().is_multiple_of(2) {
            return Err(format!(
                "odd number of label references: {}",
                references.len()
            ));
        }
        references
            .chunks_exact(2)
            .map(|pair| Ok((symbol(pair[0])?.to_owned(), symbol(pair[1])?.to_owned())))
            .collect()
    };
    for series in &request.timeseries {
        let labels = pairs(&series.labels_refs).and_then(|own| {
            checked_labels(
                own.iter()
                    .map(|(name, value)| (name.as_str(), value.as_str())),
            )
        });
        let exemplars: Vec<Exemplar> = series
            .exemplars
            .iter()
            .filter_map(|own| {
                let labels = pairs(&own.labels_refs).ok()?;
                Some(exemplar(labels, own.value, own.timestamp))
            })
            .collect();
        if let (Ok(labels), Some(metadata)) = (&labels, &series.metadata) {
            let text = |reference: u32| symbol(reference).unwrap_or_default().to_owned();
            let own = MetricMetadata {
                kind: kind_of(metadata.kind),
                help: text(metadata.help_ref),
                unit: text(metadata.unit_ref),
            };
            if own != MetricMetadata::default() {
                batch.metadata.insert(labels.metric_name().to_owned(), own);
            }
        }
        push_series(
            &mut batch,
            labels,
            &series.samples,
            &series.histograms,
            exemplars,
        );
    }
    batch
}

fn push_series(
    batch: &mut WriteBatch,
    labels: Result<Labels, String>,
    samples: &[SampleMessage],
    histograms: &[HistogramMessage],
    exemplars: Vec<Exemplar>,
) {
    let labels = match labels {
        Ok(labels) => labels,
        Err(reason) => {
            batch.reject(samples.len() + histograms.len(), reason);
            return;
        }
    };
    let mut own = WriteSeries {
        samples: samples
            .iter()
            .map(|sample| Sample {
                timestamp_ms: sample.timestamp,
                value: sample.value,
            })
            .collect(),
        exemplars,
        ..WriteSeries::default()
    };
    for message in histograms {
        match histogram(message) {
            Ok(histogram) => own.histograms.push((message.timestamp, histogram)),
            Err(reason) => batch.reject(1, format!("{labels}: {reason}")),
        }
    }
    own.labels = labels;
    batch.series.push(own);
}

/// Labels as Prometheus demands them: a metric name, no empty label name, none twice.
fn checked_labels<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Labels, String> {
    let mut sorted: Vec<(&str, &str)> = pairs.collect();
    sorted.sort_unstable();
    let labels = Labels::new(sorted.iter().copied());
    if sorted.iter().any(|(name, _)| name.is_empty()) {
        return Err(format!("{labels}: a label has no name"));
    }
    if let Some(pair) = sorted.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(format!(
            "{labels}: label name {:?} is not unique",
            pair[0].0
        ));
    }
    if labels.metric_name().is_empty() {
        return Err(format!("{labels}: the series has no metric name"));
    }
    Ok(labels)
}

fn exemplar<N: AsRef<str>, V: AsRef<str>>(
    labels: impl IntoIterator<Item = (N, V)>,
    value: f64,
    timestamp_ms: i64,
) -> Exemplar {
    Exemplar {
        labels: Labels::new(labels),
        value,
        timestamp: (timestamp_ms != 0).then(|| Timestamp::from_millis(timestamp_ms)),
    }
}

fn histogram(message: &HistogramMessage) -> Result<Histogram, String> {
    let spans = |spans: &[SpanMessage]| -> Vec<BucketSpan> {
        spans
            .iter()
            .map(|span| BucketSpan {
                offset: span.offset,
                length: span.length,
            })
            .collect()
    };
    let is_float = message.count_float.is_some();
    let counts = |deltas: &[i64], counts: &[f64]| {
        if is_float {
            counts.to_vec()
        } else {
            absolute_counts(deltas)
        }
    };
    let histogram = Histogram {
        counter_reset_hint: match message.reset_hint {
            1 => CounterResetHint::CounterReset,
            2 => CounterResetHint::NotCounterReset,
            3 => CounterResetHint::Gauge,
            _ => CounterResetHint::Unknown,
        },
        schema: message.schema,
        zero_threshold: message.zero_threshold,
        zero_count: message
            .zero_count_float
            .unwrap_or(message.zero_count_int.unwrap_or_default() as f64),
        count: message
            .count_float
            .unwrap_or(message.count_int.unwrap_or_default() as f64),
        sum: message.sum,
        positive_spans: spans(&message.positive_spans),
        positive_buckets: counts(&message.positive_deltas, &message.positive_counts),
        negative_spans: spans(&message.negative_spans),
        negative_buckets: counts(&message.negative_deltas, &message.negative_counts),
        custom_values: message.custom_values.clone(),
    };
    crate::histogram::check(&histogram)?;
    Ok(histogram)
}

fn kind_of(number: i32) -> MetricType {
    match number {
        1 => MetricType::Counter,
        2 => MetricType::Gauge,
        3 => MetricType::Histogram,
        4 => MetricType::GaugeHistogram,
        5 => MetricType::Summary,
        6 => MetricType::Info,
        7 => MetricType::StateSet,
        _ => MetricType::Unknown,
    }
}

fn kind_number(kind: MetricType) -> i32 {
    match kind {
        MetricType::Unknown => 0,
        MetricType::Counter => 1,
        MetricType::Gauge => 2,
        MetricType::Histogram => 3,
        MetricType::GaugeHistogram => 4,
        MetricType::Summary => 5,
        MetricType::Info => 6,
        MetricType::StateSet => 7,
    }
}

/// Writes a request, compressed. In version 2.0 a series carries the metadata of its own name, or of its family where the name has
/// one of the suffixes `_bucket`, `_count` and `_sum`.
pub fn encode_remote_write(
    series: &[WriteSeries],
    metadata: &BTreeMap<String, MetricMetadata>,
    version: Version,
) -> Vec<u8> {
    snappy_encode(&match version {
        Version::V1 => request_v1(series, metadata).encode_to_vec(),
        Version::V2 => request_v2(series, metadata).encode_to_vec(),
    })
}

fn request_v1(series: &[WriteSeries], metadata: &BTreeMap<String, MetricMetadata>) -> WriteRequest {
    let labels = |labels: &Labels| -> Vec<LabelMessage> {
        labels
            .iter()
            .map(|(name, value)| LabelMessage {
                name: name.to_owned(),
                value: value.to_owned(),
            })
            .collect()
    };
    WriteRequest {
        timeseries: series
            .iter()
            .map(|own| SeriesV1 {
                labels: labels(&own.labels),
                samples: sample_messages(&own.samples),
                exemplars: own
                    .exemplars
                    .iter()
                    .map(|exemplar| ExemplarV1 {
                        labels: labels(&exemplar.labels),
                        value: exemplar.value,
                        timestamp: exemplar.timestamp.map_or(0, Timestamp::as_millis),
                    })
                    .collect(),
                histograms: histogram_messages(&own.histograms),
            })
            .collect(),
        metadata: metadata
            .iter()
            .map(|(name, own)| MetadataV1 {
                kind: kind_number(own.kind),
                metric_family_name: name.clone(),
                help: own.help.clone(),
                unit: own.unit.clone(),
            })
            .collect(),
    }
}

fn request_v2(series: &[WriteSeries], metadata: &BTreeMap<String, MetricMetadata>) -> RequestV2 {
    let mut symbols = Symbols::new();
    let timeseries = series
        .iter()
        .map(|own| {
            let name = own.labels.metric_name();
            let family = metadata.get(name).or_else(|| {
                ["_bucket", "_count", "_sum"]
                    .iter()
                    .find_map(|suffix| metadata.get(name.strip_suffix(suffix)?))
            });
            SeriesV2 {
                labels_refs: symbols.labels(&own.labels),
                samples: sample_messages(&own.samples),
                histograms: histogram_messages(&own.histograms),
                exemplars: own
                    .exemplars
                    .iter()
                    .map(|exemplar| ExemplarV2 {
                        labels_refs: symbols.labels(&exemplar.labels),
                        value: exemplar.value,
                        timestamp: exemplar.timestamp.map_or(0, Timestamp::as_millis),
                    })
                    .collect(),
                metadata: family.map(|family| MetadataV2 {
                    kind: kind_number(family.kind),
                    help_ref: symbols.reference(&family.help),
                    unit_ref: symbols.reference(&family.unit),
                }),
            }
        })
        .collect();
    RequestV2 {
        symbols: symbols.list,
        timeseries,
    }
}

/// The table of texts of a version 2.0 request; the first is empty.
struct Symbols {
    list: Vec<String>,
    numbers: BTreeMap<String, u32>,
}

impl Symbols {
    fn new() -> Self {
        Self {
            list: vec![String::new()],
            numbers: BTreeMap::from([(String::new(), 0)]),
        }
    }

    fn reference(&mut self, text: &str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = u32::try_from(self.list.len())
            .expect("invariant: a request is far smaller than 2^32 texts");
        self.list.push(text.to_owned());
        self.numbers.insert(text.to_owned(), number);
        number
    }

    fn labels(&mut self, labels: &Labels) -> Vec<u32> {
        labels
            .iter()
            .flat_map(|(name, value)| [name, value])
            .map(|text| self.reference(text))
            .collect()
    }
}

fn sample_messages(samples: &[Sample]) -> Vec<SampleMessage> {
    samples
        .iter()
        .map(|sample| SampleMessage {
            value: sample.value,
            timestamp: sample.timestamp_ms,
        })
        .collect()
}

/// Histograms are written with float counts, which hold the counts of both kinds.
fn histogram_messages(histograms: &[(i64, Histogram)]) -> Vec<HistogramMessage> {
    let spans = |spans: &[BucketSpan]| -> Vec<SpanMessage> {
        spans
            .iter()
            .map(|span| SpanMessage {
                offset: span.offset,
                length: span.length,
            })
            .collect()
    };
    histograms
        .iter()
        .map(|(timestamp, own)| HistogramMessage {
            count_float: Some(own.count),
            sum: own.sum,
            schema: own.schema,
            zero_threshold: own.zero_threshold,
            zero_count_float: Some(own.zero_count),
            negative_spans: spans(&own.negative_spans),
            negative_counts: own.negative_buckets.clone(),
            positive_spans: spans(&own.positive_spans),
            positive_counts: own.positive_buckets.clone(),
            reset_hint: match own.counter_reset_hint {
                CounterResetHint::Unknown => 0,
                CounterResetHint::CounterReset => 1,
                CounterResetHint::NotCounterReset => 2,
                CounterResetHint::Gauge => 3,
            },
            timestamp: *timestamp,
            custom_values: own.custom_values.clone(),
            ..HistogramMessage::default()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn series() -> Vec<WriteSeries> {
        vec![
            WriteSeries {
                labels: Labels::new([("__name__", "a_total"), ("b", "c")]),
                samples: vec![Sample {
                    timestamp_ms: 5,
                    value: 1.5,
                }],
                exemplars: vec![Exemplar {
                    labels: Labels::new([("trace_id", "ab")]),
                    value: 1.0,
                    timestamp: Some(Timestamp::from_millis(4)),
                }],
                ..WriteSeries::default()
            },
            WriteSeries {
                labels: Labels::new([("__name__", "h")]),
                histograms: vec![(
                    7,
                    Histogram {
                        schema: 1,
                        count: 3.0,
                        sum: 4.0,
                        positive_spans: vec![BucketSpan {
                            offset: -1,
                            length: 2,
                        }],
                        positive_buckets: vec![1.0, 2.0],
                        ..Histogram::default()
                    },
                )],
                ..WriteSeries::default()
            },
        ]
    }

    #[test]
    fn round_trips() {
        let metadata = BTreeMap::from([(
            "a_total".to_owned(),
            MetricMetadata {
                kind: MetricType::Counter,
                help: "All.".to_owned(),
                unit: String::new(),
            },
        )]);
        for version in [Version::V1, Version::V2] {
            let body = encode_remote_write(&series(), &metadata, version);
            let batch = decode_remote_write(&body, version, 1 << 20).expect("our own body");
            assert_eq!(batch.series, series());
            assert_eq!(batch.metadata, metadata);
            assert_eq!((batch.rejected, batch.message.as_str()), (0, ""));
        }
    }

    #[test]
    fn refuses_bad_series_alone() {
        let label = |name: &str, value: &str| LabelMessage {
            name: name.to_owned(),
            value: value.to_owned(),
        };
        for (labels, expected) in [
            (
                vec![label("a", "b")],
                r#"{a="b"}: the series has no metric name"#,
            ),
            (
                vec![label("__name__", "x"), label("a", "1"), label("a", "2")],
                r#"{__name__="x", a="2"}: label name "a" is not unique"#,
            ),
            (
                vec![label("__name__", "x"), label("", "1")],
                r#"{""="1", __name__="x"}: a label has no name"#,
            ),
        ] {
            let bad = SeriesV1 {
                labels,
                samples: vec![SampleMessage::default(); 2],
                ..SeriesV1::default()
            };
            let good = SeriesV1 {
                labels: vec![label("__name__", "good")],
                samples: vec![SampleMessage::default()],
                ..SeriesV1::default()
            };
            let request = WriteRequest {
                timeseries: vec![bad, good],
                metadata: Vec::new(),
            };
            let body = snappy_encode(&request.encode_to_vec());
            let batch = decode_remote_write(&body, Version::V1, 1 << 20).expect("a valid body");
            assert_eq!((batch.rejected, batch.message.as_str()), (2, expected));
            assert_eq!(batch.series.len(), 1);
        }
    }

    #[test]
    fn refuses_bad_symbols() {
        let request = |symbols: &[&str], labels_refs: &[u32]| {
            let request = RequestV2 {
                symbols: symbols.iter().map(|text| (*text).to_owned()).collect(),
                timeseries: vec![SeriesV2 {
                    labels_refs: labels_refs.to_vec(),
                    samples: vec![SampleMessage::default()],
                    ..SeriesV2::default()
                }],
            };
            decode_remote_write(
                &snappy_encode(&request.encode_to_vec()),
                Version::V2,
                1 << 20,
            )
        };
        assert_eq!(request(&["x"], &[]), Err(RemoteWriteError::Symbols));
        for (references, expected) in [
            (vec![1, 9], "symbol 9 of 3 does not exist"),
            (vec![1], "odd number of label references: 1"),
        ] {
            let batch = request(&["", "__name__", "a"], &references).expect("readable");
            assert_eq!((batch.rejected, batch.message.as_str()), (1, expected));
        }
        let batch = request(&["", "__name__", "a"], &[1, 2]).expect("readable");
        assert_eq!(batch.series[0].labels.metric_name(), "a");
    }

    #[test]
    fn chooses_the_version() {
        for (content_type, expected) in [
            ("application/x-protobuf", Some(Version::V1)),
            (
                "application/x-protobuf;proto=prometheus.WriteRequest",
                Some(Version::V1),
            ),
            (Version::V2.content_type(), Some(Version::V2)),
            ("application/x-protobuf; proto=other", None),
            ("application/json", None),
        ] {
            assert_eq!(Version::of_content_type(content_type), expected);
        }
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            for version in [Version::V1, Version::V2] {
                let _ = decode_remote_write(&bytes, version, 1 << 16);
                let _ = decode_remote_write(&snappy_encode(&bytes), version, 1 << 16);
            }
        }

        #[test]
        fn damaged_bodies_never_panic(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            for version in [Version::V1, Version::V2] {
                let body = encode_remote_write(&series(), &BTreeMap::new(), version);
                let mut raw = snappy_decode(&body, 1 << 16).expect("our own body");
                let at = at.index(raw.len());
                raw[at] = byte;
                let _ = decode_remote_write(&snappy_encode(&raw), version, 1 << 16);
            }
        }
    }
}

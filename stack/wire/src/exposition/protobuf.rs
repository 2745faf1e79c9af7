//! The protobuf exposition: length-delimited `io.prometheus.client.MetricFamily` messages (prometheus/client_model,
//! metrics.proto), read into the same entries as the text formats.

use std::borrow::Cow;

use gameday_signal::{
    BucketSpan, CounterResetHint, Exemplar, Histogram, Labels, MetricType, Timestamp,
};
use prost::Message;

use super::lexer::{Grammar, is_classic_label_name, is_classic_metric_name};
use super::{Entry, ParseError, ParseOptions, SampleEntry, SeriesText};
use crate::SampleValue;
use crate::number::format_open_metrics_float;

#[derive(Clone, PartialEq, Message)]
pub(super) struct MetricFamily {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) help: String,
    /// COUNTER 0, GAUGE 1, SUMMARY 2, UNTYPED 3, HISTOGRAM 4, GAUGE_HISTOGRAM 5.
    #[prost(int32, tag = "3")]
    pub(super) kind: i32,
    #[prost(message, repeated, tag = "4")]
    pub(super) metric: Vec<Metric>,
    #[prost(string, tag = "5")]
    pub(super) unit: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Metric {
    #[prost(message, repeated, tag = "1")]
    pub(super) label: Vec<LabelPair>,
    #[prost(message, optional, tag = "2")]
    pub(super) gauge: Option<Number>,
    #[prost(message, optional, tag = "3")]
    pub(super) counter: Option<Counter>,
    #[prost(message, optional, tag = "4")]
    pub(super) summary: Option<Summary>,
    #[prost(message, optional, tag = "5")]
    pub(super) untyped: Option<Number>,
    #[prost(int64, tag = "6")]
    pub(super) timestamp_ms: i64,
    #[prost(message, optional, tag = "7")]
    pub(super) histogram: Option<HistogramMessage>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct LabelPair {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) value: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Number {
    #[prost(double, tag = "1")]
    pub(super) value: f64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Counter {
    #[prost(double, tag = "1")]
    pub(super) value: f64,
    #[prost(message, optional, tag = "2")]
    pub(super) exemplar: Option<ExemplarMessage>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ExemplarMessage {
    #[prost(message, repeated, tag = "1")]
    pub(super) label: Vec<LabelPair>,
    #[prost(double, tag = "2")]
    pub(super) value: f64,
    #[prost(message, optional, tag = "3")]
    pub(super) timestamp: Option<TimestampMessage>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TimestampMessage {
    #[prost(int64, tag = "1")]
    pub(super) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(super) nanos: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Summary {
    #[prost(uint64, tag = "1")]
    pub(super) sample_count: u64,
    #[prost(double, tag = "2")]
    pub(super) sample_sum: f64,
    #[prost(message, repeated, tag = "3")]
    pub(super) quantile: Vec<Quantile>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Quantile {
    #[prost(double, tag = "1")]
    pub(super) quantile: f64,
    #[prost(double, tag = "2")]
    pub(super) value: f64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct HistogramMessage {
    #[prost(uint64, tag = "1")]
    pub(super) sample_count: u64,
    #[prost(double, tag = "2")]
    pub(super) sample_sum: f64,
    #[prost(message, repeated, tag = "3")]
    pub(super) bucket: Vec<Bucket>,
    #[prost(double, tag = "4")]
    pub(super) sample_count_float: f64,
    #[prost(sint32, tag = "5")]
    pub(super) schema: i32,
    #[prost(double, tag = "6")]
    pub(super) zero_threshold: f64,
    #[prost(uint64, tag = "7")]
    pub(super) zero_count: u64,
    #[prost(double, tag = "8")]
    pub(super) zero_count_float: f64,
    #[prost(message, repeated, tag = "9")]
    pub(super) negative_span: Vec<Span>,
    #[prost(sint64, repeated, tag = "10")]
    pub(super) negative_delta: Vec<i64>,
    #[prost(double, repeated, tag = "11")]
    pub(super) negative_count: Vec<f64>,
    #[prost(message, repeated, tag = "12")]
    pub(super) positive_span: Vec<Span>,
    #[prost(sint64, repeated, tag = "13")]
    pub(super) positive_delta: Vec<i64>,
    #[prost(double, repeated, tag = "14")]
    pub(super) positive_count: Vec<f64>,
    #[prost(message, repeated, tag = "16")]
    pub(super) exemplars: Vec<ExemplarMessage>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Bucket {
    #[prost(uint64, tag = "1")]
    pub(super) cumulative_count: u64,
    #[prost(double, tag = "2")]
    pub(super) upper_bound: f64,
    #[prost(message, optional, tag = "3")]
    pub(super) exemplar: Option<ExemplarMessage>,
    #[prost(double, tag = "4")]
    pub(super) cumulative_count_float: f64,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(super) struct Span {
    #[prost(sint32, tag = "1")]
    pub(super) offset: i32,
    #[prost(uint32, tag = "2")]
    pub(super) length: u32,
}

pub(super) fn parse(
    body: &[u8],
    options: ParseOptions,
    visit: &mut dyn FnMut(Entry<'_>),
) -> Result<(), ParseError> {
    let mut rest = body;
    let mut writer = Writer {
        text: String::new(),
        options,
        visit,
    };
    while !rest.is_empty() {
        let at = body.len() - rest.len();
        let error = |message: String| ParseError {
            line: 0,
            column: at + 1,
            message,
        };
        let family = MetricFamily::decode_length_delimited(&mut rest)
            .map_err(|reason| error(reason.to_string()))?;
        writer.family(&family).map_err(error)?;
    }
    Ok(())
}

struct Writer<'v> {
    /// The series that is being written, for one entry at a time.
    text: String,
    options: ParseOptions,
    visit: &'v mut dyn FnMut(Entry<'_>),
}

impl Writer<'_> {
    fn family(&mut self, family: &MetricFamily) -> Result<(), String> {
        if family.name.is_empty() {
            return Err("a metric family has no name".to_owned());
        }
        let kind = match family.kind {
            0 => MetricType::Counter,
            1 => MetricType::Gauge,
            2 => MetricType::Summary,
            3 => MetricType::Unknown,
            4 => MetricType::Histogram,
            5 => MetricType::GaugeHistogram,
            other => {
                return Err(format!(
                    "metric family {:?} has unknown type {other}",
                    family.name
                ));
            }
        };
        let name = Cow::Borrowed(family.name.as_str());
        (self.visit)(Entry::Help {
            name: name.clone(),
            help: Cow::Borrowed(&family.help),
        });
        (self.visit)(Entry::Type {
            name: name.clone(),
            kind,
        });
        if !family.unit.is_empty() {
            (self.visit)(Entry::Unit {
                name,
                unit: Cow::Borrowed(&family.unit),
            });
        }
        family
            .metric
            .iter()
            .try_for_each(|metric| self.metric(&family.name, kind, metric))
    }

    fn metric(&mut self, name: &str, kind: MetricType, metric: &Metric) -> Result<(), String> {
        for (index, pair) in metric.label.iter().enumerate() {
            if pair.name.is_empty() {
                return Err(format!("metric {name:?} has a label without name"));
            }
            if pair.name == "__name__"
                || metric.label[..index]
                    .iter()
                    .any(|other| other.name == pair.name)
            {
                return Err(format!(
                    "metric {name:?}: label name {:?} is not unique",
                    pair.name
                ));
            }
        }
        let missing = || format!("metric {name:?} has no value of its type {kind}");
        match kind {
            MetricType::Counter => {
                let counter = metric.counter.as_ref().ok_or_else(missing)?;
                let exemplars = counter.exemplar.iter().map(exemplar).collect();
                self.float(name, kind, metric, None, counter.value, exemplars);
            }
            MetricType::Summary => {
                let summary = metric.summary.as_ref().ok_or_else(missing)?;
                self.summary(name, metric, summary);
            }
            MetricType::Histogram | MetricType::GaugeHistogram => {
                let histogram = metric.histogram.as_ref().ok_or_else(missing)?;
                self.histogram(name, kind, metric, histogram)?;
            }
            _ => {
                let number = metric.gauge.as_ref().or(metric.untyped.as_ref());
                let value = number.ok_or_else(missing)?.value;
                self.float(name, kind, metric, None, value, Vec::new());
            }
        }
        Ok(())
    }

    fn summary(&mut self, name: &str, metric: &Metric, summary: &Summary) {
        let kind = MetricType::Summary;
        let count = summary.sample_count as f64;
        self.float(
            &format!("{name}_count"),
            kind,
            metric,
            None,
            count,
            Vec::new(),
        );
        let sum = summary.sample_sum;
        self.float(&format!("{name}_sum"), kind, metric, None, sum, Vec::new());
        for quantile in &summary.quantile {
            let extra = Some(("quantile", quantile.quantile));
            self.float(name, kind, metric, extra, quantile.value, Vec::new());
        }
    }

    fn histogram(
        &mut self,
        name: &str,
        kind: MetricType,
        metric: &Metric,
        message: &HistogramMessage,
    ) -> Result<(), String> {
        // prometheus/client_model: a histogram without spans and with a zero threshold of 0 is a classic one.
        let is_native = !message.positive_span.is_empty()
            || !message.negative_span.is_empty()
            || message.zero_threshold > 0.0
            || message.zero_count > 0
            || message.zero_count_float > 0.0;
        let take_native = is_native && self.options.native_histograms;
        if take_native {
            let histogram =
                native(kind, message).map_err(|reason| format!("metric {name:?}: {reason}"))?;
            let own = message.exemplars.iter().map(exemplar);
            let exemplars = if message.exemplars.is_empty() {
                message
                    .bucket
                    .iter()
                    .filter_map(|bucket| bucket.exemplar.as_ref().map(exemplar))
                    .collect()
            } else {
                own.collect()
            };
            let value = SampleValue::Histogram(Box::new(histogram));
            self.sample(name, kind, metric, None, value, exemplars);
        }
        if !take_native || self.options.always_classic {
            self.classic(name, kind, metric, message);
        }
        Ok(())
    }

    fn classic(
        &mut self,
        name: &str,
        kind: MetricType,
        metric: &Metric,
        message: &HistogramMessage,
    ) {
        let count = if message.sample_count_float > 0.0 {
            message.sample_count_float
        } else {
            message.sample_count as f64
        };
        self.float(
            &format!("{name}_count"),
            kind,
            metric,
            None,
            count,
            Vec::new(),
        );
        let sum = message.sample_sum;
        self.float(&format!("{name}_sum"), kind, metric, None, sum, Vec::new());
        let bucket_name = format!("{name}_bucket");
        let mut has_infinity = false;
        for bucket in &message.bucket {
            has_infinity |= bucket.upper_bound == f64::INFINITY;
            let value = if bucket.cumulative_count_float > 0.0 {
                bucket.cumulative_count_float
            } else {
                bucket.cumulative_count as f64
            };
            let exemplars = bucket.exemplar.iter().map(exemplar).collect();
            let extra = Some(("le", bucket.upper_bound));
            self.float(&bucket_name, kind, metric, extra, value, exemplars);
        }
        if !has_infinity {
            let extra = Some(("le", f64::INFINITY));
            self.float(&bucket_name, kind, metric, extra, count, Vec::new());
        }
    }

    fn float(
        &mut self,
        name: &str,
        kind: MetricType,
        metric: &Metric,
        extra: Option<(&str, f64)>,
        value: f64,
        exemplars: Vec<Exemplar>,
    ) {
        let value = SampleValue::Float(value);
        self.sample(name, kind, metric, extra, value, exemplars);
    }

    fn sample(
        &mut self,
        name: &str,
        kind: MetricType,
        metric: &Metric,
        extra: Option<(&str, f64)>,
        value: SampleValue,
        exemplars: Vec<Exemplar>,
    ) {
        write_series(&mut self.text, name, metric, extra);
        (self.visit)(Entry::Sample(SampleEntry {
            series: SeriesText {
                text: &self.text,
                kind,
                grammar: Grammar::Text,
            },
            value,
            timestamp_ms: (metric.timestamp_ms != 0).then_some(metric.timestamp_ms),
            exemplars,
        }));
    }
}

/// Writes a series as the text format does, so that the scrape cache and the labels work alike for all formats.
fn write_series(text: &mut String, name: &str, metric: &Metric, extra: Option<(&str, f64)>) {
    text.clear();
    let is_classic = is_classic_metric_name(name);
    if is_classic {
        text.push_str(name);
        if metric.label.is_empty() && extra.is_none() {
            return;
        }
    }
    text.push('{');
    if !is_classic {
        quote(text, name);
    }
    let number;
    let mut pairs: Vec<(&str, &str)> = metric
        .label
        .iter()
        .map(|pair| (pair.name.as_str(), pair.value.as_str()))
        .collect();
    if let Some((name, value)) = extra {
        number = format_open_metrics_float(value);
        pairs.push((name, &number));
    }
    for (index, (name, value)) in pairs.into_iter().enumerate() {
        if index > 0 || !is_classic {
            text.push(',');
        }
        if is_classic_label_name(name) {
            text.push_str(name);
        } else {
            quote(text, name);
        }
        text.push('=');
        quote(text, value);
    }
    text.push('}');
}

/// Writes a quoted text with the escapes of the text formats.
pub(super) fn quote(text: &mut String, raw: &str) {
    text.push('"');
    for character in raw.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            other => text.push(other),
        }
    }
    text.push('"');
}

fn exemplar(message: &ExemplarMessage) -> Exemplar {
    Exemplar {
        labels: Labels::new(
            message
                .label
                .iter()
                .map(|pair| (pair.name.as_str(), pair.value.as_str())),
        ),
        value: message.value,
        timestamp: message.timestamp.as_ref().map(|at| {
            Timestamp::from_nanos(
                at.seconds
                    .saturating_mul(1_000_000_000)
                    .saturating_add(i64::from(at.nanos)),
            )
        }),
    }
}

fn native(kind: MetricType, message: &HistogramMessage) -> Result<Histogram, String> {
    let is_float = message.sample_count_float > 0.0 || message.zero_count_float > 0.0;
    let (positive, negative) = if is_float {
        (
            message.positive_count.clone(),
            message.negative_count.clone(),
        )
    } else {
        (
            absolute_counts(&message.positive_delta),
            absolute_counts(&message.negative_delta),
        )
    };
    let histogram = Histogram {
        counter_reset_hint: if kind == MetricType::GaugeHistogram {
            CounterResetHint::Gauge
        } else {
            CounterResetHint::Unknown
        },
        schema: message.schema,
        zero_threshold: message.zero_threshold,
        zero_count: if is_float {
            message.zero_count_float
        } else {
            message.zero_count as f64
        },
        count: if is_float {
            message.sample_count_float
        } else {
            message.sample_count as f64
        },
        sum: message.sample_sum,
        positive_spans: spans(&message.positive_span),
        positive_buckets: positive,
        negative_spans: spans(&message.negative_span),
        negative_buckets: negative,
        custom_values: Vec::new(),
    };
    crate::histogram::check(&histogram)?;
    Ok(histogram)
}

fn spans(spans: &[Span]) -> Vec<BucketSpan> {
    spans
        .iter()
        .map(|span| BucketSpan {
            offset: span.offset,
            length: span.length,
        })
        .collect()
}

/// Turns differences from bucket to bucket into counts.
pub(crate) fn absolute_counts(deltas: &[i64]) -> Vec<f64> {
    let mut count = 0i64;
    deltas
        .iter()
        .map(|delta| {
            count = count.saturating_add(*delta);
            count as f64
        })
        .collect()
}

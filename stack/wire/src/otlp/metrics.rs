//! Metrics, in Prometheus' form: one sample a data point and suffix, `job`, `instance` and `target_info` from the resource.

use std::collections::{BTreeMap, BTreeSet};

use gameday_signal::{
    AttributeValue, Exemplar, Labels, LabelsBuilder, MetricMetadata, MetricType, SmolStr,
    Timestamp, stale_nan,
};
use prost::Message;

use super::attributes::{attributes, clip, resource, scope};
use super::metric_message::{
    ExemplarMessage, ExponentialPoint, HistogramPoint, Metric, MetricsData, NumberPoint,
    SummaryPoint,
};
use super::naming::{Shape, label_name, metric_name, unit_name};
use super::{Encoding, Limits, OtlpError, Refusals, decode, decode_request, exponential};
use crate::number::format_open_metrics_float;
use crate::{SampleValue, SeriesSample};

/// How names of OpenTelemetry become names of Prometheus (`otlp.translation_strategy` of prometheus.yml).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Translation {
    /// Underscores for all other characters, suffixes for units and types.
    #[default]
    UnderscoreEscapingWithSuffixes,
    /// Underscores for all other characters.
    UnderscoreEscapingWithoutSuffixes,
    /// Names as they are, suffixes for units and types.
    NoUtf8EscapingWithSuffixes,
    /// Names as they are.
    NoTranslation,
}

/// How metrics are mapped (the section `otlp` of prometheus.yml).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetricOptions {
    /// How names are translated.
    pub translation: Translation,
    /// Resource attributes that become labels of every series.
    pub promote_resource_attributes: BTreeSet<String>,
    /// All resource attributes become labels of every series, but for `ignore_resource_attributes`.
    pub promote_all_resource_attributes: bool,
    /// What `promote_all_resource_attributes` leaves out.
    pub ignore_resource_attributes: BTreeSet<String>,
    /// `service.name`, `service.namespace` and `service.instance.id` stand in `target_info` too.
    pub keep_identifying_resource_attributes: bool,
    /// Histograms with explicit bounds become native ones with custom buckets.
    pub convert_histograms_to_nhcb: bool,
    /// Name, version and attributes of the scope become `otel_scope_*` labels.
    pub promote_scope_metadata: bool,
}

/// The metrics of a request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DecodedMetrics {
    /// The samples, in the order of the request, `target_info` behind those of its resource.
    pub samples: Vec<SeriesSample>,
    /// What is known about each family.
    pub metadata: BTreeMap<String, MetricMetadata>,
    /// How many data points were refused.
    pub rejected: u64,
    /// Why, or a warning when nothing was refused; empty when all is well.
    pub message: String,
}

/// Seconds between two samples of `target_info` in one request: half of Prometheus' lookback of five minutes.
const TARGET_INFO_INTERVAL_MS: i64 = 150_000;
/// A request cannot fill `target_info` over more samples than this (a week).
const TARGET_INFO_SAMPLES_MAX: i64 = 4032;
/// `DataPointFlags.NO_RECORDED_VALUE`.
const NO_RECORDED_VALUE: u32 = 1;
/// `AggregationTemporality.CUMULATIVE`.
const CUMULATIVE: i32 = 2;

/// Reads an `ExportMetricsServiceRequest` and maps it. Metrics that Prometheus cannot show (delta or unspecified temporality, unknown
/// kinds, scales below -4) are refused alone.
///
/// # Errors
/// Where the body is no such message.
pub fn decode_metrics(
    body: &[u8],
    encoding: Encoding,
    limits: &Limits,
    options: &MetricOptions,
) -> Result<DecodedMetrics, OtlpError> {
    let mut refusals = Refusals::default();
    let data: MetricsData = decode_request::<_, Metric>(body, encoding, &mut refusals)?;
    let mut out = DecodedMetrics::default();
    for group in data.resource_metrics {
        let points = |metric: &Metric| point_count(metric);
        let own = match resource(group.resource, limits) {
            Ok(own) => own,
            Err(reason) => {
                let scopes = group.scope_metrics.iter();
                let count = scopes.flat_map(|scope| &scope.metrics).map(points).sum();
                refusals.reject(count, reason);
                continue;
            }
        };
        let mut target = Target::new(&own.attributes.0, options);
        for scoped in group.scope_metrics {
            let count = scoped.metrics.iter().map(points).sum();
            let scope = match scope(scoped.scope, limits) {
                Ok(scope) => scope,
                Err(reason) => {
                    refusals.reject(count, reason);
                    continue;
                }
            };
            let mut scope_labels = Vec::new();
            if options.promote_scope_metadata {
                scope_labels.push(("otel_scope_name".to_owned(), scope.name));
                scope_labels.push(("otel_scope_version".to_owned(), scope.version));
                scope_labels.push(("otel_scope_schema_url".to_owned(), scoped.schema_url));
                for (key, value) in &scope.attributes.0 {
                    scope_labels.push((format!("otel_scope_{key}"), value.to_string()));
                }
            }
            let mut mapper = Mapper {
                options,
                limits,
                target: &mut target,
                scope_labels,
                out: &mut out,
                refusals: &mut refusals,
            };
            for metric in scoped.metrics {
                mapper.metric(&metric);
            }
        }
        target.append_info(&mut out);
    }
    out.message = refusals.message();
    out.rejected = refusals.rejected;
    Ok(out)
}

/// Reads an `ExportMetricsServiceRequest` in either encoding and writes it as protobuf, to send it on. Such bodies can be joined by
/// appending one to the other.
///
/// # Errors
/// Where the body is no such message.
pub fn transcode_metrics(body: &[u8], encoding: Encoding) -> Result<Vec<u8>, OtlpError> {
    decode::<MetricsData>(body, encoding).map(|data| data.encode_to_vec())
}

fn point_count(metric: &Metric) -> usize {
    let mut count = 0;
    count += metric
        .gauge
        .as_ref()
        .map_or(0, |data| data.data_points.len());
    count += metric.sum.as_ref().map_or(0, |data| data.data_points.len());
    count += metric
        .histogram
        .as_ref()
        .map_or(0, |data| data.data_points.len());
    count += metric
        .exponential_histogram
        .as_ref()
        .map_or(0, |data| data.data_points.len());
    count
        + metric
            .summary
            .as_ref()
            .map_or(0, |data| data.data_points.len())
}

/// What a resource gives to each of its series, and its `target_info`.
struct Target {
    job: Option<String>,
    instance: Option<String>,
    promoted: Vec<(String, String)>,
    info: Labels,
    has_info: bool,
    first_ms: i64,
    last_ms: i64,
}

impl Target {
    fn new(attributes: &[(SmolStr, AttributeValue)], options: &MetricOptions) -> Self {
        let find = |name: &str| {
            attributes
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.to_string())
        };
        let job = find("service.name").map(|name| match find("service.namespace") {
            Some(namespace) => format!("{namespace}/{name}"),
            None => name,
        });
        let instance = find("service.instance.id");
        let promoted = attributes
            .iter()
            .filter(|(key, _)| {
                if options.promote_all_resource_attributes {
                    !options.ignore_resource_attributes.contains(key.as_str())
                } else {
                    options.promote_resource_attributes.contains(key.as_str())
                }
            })
            .map(|(key, value)| (key.to_string(), value.to_string()))
            .collect();
        let is_identifying = |key: &str| {
            matches!(
                key,
                "service.name" | "service.namespace" | "service.instance.id"
            )
        };
        let others: Vec<(String, String)> = attributes
            .iter()
            .filter(|(key, _)| options.keep_identifying_resource_attributes || !is_identifying(key))
            .map(|(key, value)| (key.to_string(), value.to_string()))
            .collect();
        let has_info = attributes.iter().any(|(key, _)| !is_identifying(key))
            && (job.is_some() || instance.is_some());
        let mut info = sanitised(&others, options.translation);
        info.set("__name__", "target_info");
        info.set("job", job.as_deref().unwrap_or_default());
        info.set("instance", instance.as_deref().unwrap_or_default());
        Self {
            job,
            instance,
            promoted,
            info: info.build(),
            has_info,
            first_ms: i64::MAX,
            last_ms: i64::MIN,
        }
    }

    /// Writes `target_info` over the time of the resource's samples, densely enough for every instant to see it.
    fn append_info(&self, out: &mut DecodedMetrics) {
        if !self.has_info || self.last_ms == i64::MIN {
            return;
        }
        let span = self.last_ms.saturating_sub(self.first_ms);
        let steps = (span / TARGET_INFO_INTERVAL_MS).min(TARGET_INFO_SAMPLES_MAX);
        for step in (0..=steps).rev() {
            out.samples.push(SeriesSample {
                labels: self.info.clone(),
                timestamp_ms: self.last_ms - step * TARGET_INFO_INTERVAL_MS,
                value: SampleValue::Float(1.0),
                exemplars: Vec::new(),
            });
        }
        out.metadata.insert(
            "target_info".to_owned(),
            MetricMetadata {
                kind: MetricType::Gauge,
                help: "Target metadata".to_owned(),
                unit: String::new(),
            },
        );
    }
}

/// Attributes as labels: sorted by key, values of names that become the same joined by `;`.
fn sanitised(pairs: &[(String, String)], translation: Translation) -> LabelsBuilder {
    let mut sorted: Vec<&(String, String)> = pairs.iter().collect();
    sorted.sort();
    let mut labels = LabelsBuilder::default();
    for (key, value) in sorted {
        let Some(name) = label_name(key, translation) else {
            continue;
        };
        match labels.get(&name) {
            Some(present) => {
                let joined = format!("{present};{value}");
                labels.set(&name, &joined);
            }
            None => {
                labels.set(&name, value);
            }
        }
    }
    labels
}

/// What all kinds of data points have.
struct Common<'a> {
    attributes: &'a [super::message::KeyValue],
    time_unix_nano: u64,
    flags: u32,
}

struct Mapper<'a> {
    options: &'a MetricOptions,
    limits: &'a Limits,
    target: &'a mut Target,
    scope_labels: Vec<(String, String)>,
    out: &'a mut DecodedMetrics,
    refusals: &'a mut Refusals,
}

impl Mapper<'_> {
    fn metric(&mut self, metric: &Metric) {
        let count = point_count(metric);
        let about = |reason: String| format!("metric {:?}: {reason}", clip(&metric.name));
        let (kind, shape, temporality) = match metric {
            Metric { gauge: Some(_), .. } => (MetricType::Gauge, Shape::Gauge, CUMULATIVE),
            Metric { sum: Some(sum), .. } if sum.is_monotonic => (
                MetricType::Counter,
                Shape::MonotonicCounter,
                sum.aggregation_temporality,
            ),
            Metric { sum: Some(sum), .. } => {
                (MetricType::Gauge, Shape::Other, sum.aggregation_temporality)
            }
            Metric {
                histogram: Some(data),
                ..
            } => (
                MetricType::Histogram,
                Shape::Other,
                data.aggregation_temporality,
            ),
            Metric {
                exponential_histogram: Some(data),
                ..
            } => (
                MetricType::Histogram,
                Shape::Other,
                data.aggregation_temporality,
            ),
            Metric {
                summary: Some(_), ..
            } => (MetricType::Summary, Shape::Other, CUMULATIVE),
            _ => {
                self.refusals
                    .warn(about("no data of a known kind".to_owned()));
                return;
            }
        };
        if temporality != CUMULATIVE {
            let word = if temporality == 1 {
                "delta"
            } else {
                "unspecified"
            };
            self.refusals.reject(
                count,
                about(format!(
                    "invalid temporality and type combination: {word} {kind}, expected cumulative"
                )),
            );
            return;
        }
        let name = match metric_name(&metric.name, &metric.unit, shape, self.options.translation) {
            Ok(name) => name,
            Err(reason) => {
                self.refusals.reject(count, reason);
                return;
            }
        };
        self.out.metadata.insert(
            name.clone(),
            MetricMetadata {
                kind,
                help: metric.description.clone(),
                unit: unit_name(&metric.unit),
            },
        );
        self.points(metric, &name);
    }

    fn points(&mut self, metric: &Metric, name: &str) {
        let numbers = metric.gauge.iter().flat_map(|data| &data.data_points);
        let sums = metric.sum.iter().flat_map(|data| &data.data_points);
        for point in numbers.chain(sums) {
            self.settle(metric, |mapper| mapper.number(name, point));
        }
        for point in metric.histogram.iter().flat_map(|data| &data.data_points) {
            self.settle(metric, |mapper| mapper.histogram(name, point));
        }
        let exponential = metric.exponential_histogram.iter();
        for point in exponential.flat_map(|data| &data.data_points) {
            self.settle(metric, |mapper| mapper.exponential(name, point));
        }
        for point in metric.summary.iter().flat_map(|data| &data.data_points) {
            self.settle(metric, |mapper| mapper.summary(name, point));
        }
    }

    /// Takes all samples of a point or none.
    fn settle(&mut self, metric: &Metric, map: impl FnOnce(&mut Self) -> Result<(), String>) {
        let before = self.out.samples.len();
        if let Err(reason) = map(self) {
            self.out.samples.truncate(before);
            self.refusals
                .reject(1, format!("metric {:?}: {reason}", clip(&metric.name)));
        }
    }

    /// The labels of a point without its name, and its time.
    fn base(&mut self, common: &Common<'_>) -> Result<(LabelsBuilder, i64), String> {
        let own = attributes(common.attributes.to_vec(), self.limits)?;
        let mut pairs: Vec<(String, String)> = own
            .0
            .into_iter()
            .map(|(key, value)| (key.to_string(), value.to_string()))
            .collect();
        pairs.extend(self.scope_labels.iter().cloned());
        let mut labels = sanitised(&pairs, self.options.translation);
        for (key, value) in &self.target.promoted {
            if let Some(name) = label_name(key, self.options.translation)
                && labels.get(&name).is_none()
            {
                labels.set(&name, value);
            }
        }
        if let Some(job) = &self.target.job {
            labels.set("job", job);
        }
        if let Some(instance) = &self.target.instance {
            labels.set("instance", instance);
        }
        let nanos = i64::try_from(common.time_unix_nano)
            .map_err(|_| format!("time {} is out of range", common.time_unix_nano))?;
        let timestamp_ms = nanos / 1_000_000;
        self.target.first_ms = self.target.first_ms.min(timestamp_ms);
        self.target.last_ms = self.target.last_ms.max(timestamp_ms);
        Ok((labels, timestamp_ms))
    }

    fn push(
        &mut self,
        base: &(LabelsBuilder, i64),
        name: &str,
        extra: Option<(&str, f64)>,
        value: SampleValue,
        exemplars: Vec<Exemplar>,
    ) {
        let mut labels = base.0.clone();
        labels.set("__name__", name);
        if let Some((label, number)) = extra {
            labels.set(label, &format_open_metrics_float(number));
        }
        self.out.samples.push(SeriesSample {
            labels: labels.build(),
            timestamp_ms: base.1,
            value,
            exemplars,
        });
    }

    fn number(&mut self, name: &str, point: &NumberPoint) -> Result<(), String> {
        let base = self.base(&Common {
            attributes: &point.attributes,
            time_unix_nano: point.time_unix_nano,
            flags: point.flags,
        })?;
        let value = if point.flags & NO_RECORDED_VALUE != 0 {
            stale_nan()
        } else if let Some(value) = point.as_double {
            value
        } else if let Some(value) = point.as_int {
            value as f64
        } else {
            return Err("data point without value".to_owned());
        };
        let exemplars = self.exemplars(&point.exemplars)?;
        self.push(&base, name, None, SampleValue::Float(value), exemplars);
        Ok(())
    }

    fn histogram(&mut self, name: &str, point: &HistogramPoint) -> Result<(), String> {
        let common = Common {
            attributes: &point.attributes,
            time_unix_nano: point.time_unix_nano,
            flags: point.flags,
        };
        let stale = common.flags & NO_RECORDED_VALUE != 0;
        let base = self.base(&common)?;
        let exemplars = self.exemplars(&point.exemplars)?;
        let bounds = &point.explicit_bounds;
        if !point.bucket_counts.is_empty() && point.bucket_counts.len() != bounds.len() + 1 {
            return Err(format!(
                "{} bucket counts for {} bounds, expected one more than bounds",
                point.bucket_counts.len(),
                bounds.len()
            ));
        }
        if bounds.windows(2).any(|pair| pair[0] >= pair[1]) || bounds.iter().any(|own| own.is_nan())
        {
            return Err("bucket bounds are not ascending".to_owned());
        }
        if bounds.len() > self.limits.buckets_max {
            return Err(format!(
                "{} buckets, the limit is {}",
                bounds.len(),
                self.limits.buckets_max
            ));
        }
        if self.options.convert_histograms_to_nhcb {
            let histogram = exponential::custom(point, stale, self.limits.buckets_max)?;
            let value = SampleValue::Histogram(Box::new(histogram));
            self.push(&base, name, None, value, exemplars);
            return Ok(());
        }
        let float = |value: f64| SampleValue::Float(if stale { stale_nan() } else { value });
        // Without a sum there is none to show, unless the series ends.
        if let Some(sum) = point.sum.or(stale.then_some(0.0)) {
            self.push(&base, &format!("{name}_sum"), None, float(sum), Vec::new());
        }
        let count = point.count as f64;
        self.push(
            &base,
            &format!("{name}_count"),
            None,
            float(count),
            Vec::new(),
        );
        let bucket = format!("{name}_bucket");
        let mut cumulative = 0u64;
        let mut below = f64::NEG_INFINITY;
        let infinite = f64::INFINITY;
        for (index, bound) in bounds.iter().copied().chain([infinite]).enumerate() {
            if bound == infinite && index < bounds.len() {
                continue;
            }
            let own = point.bucket_counts.get(index).copied().unwrap_or(0);
            cumulative = cumulative.saturating_add(own);
            let value = if bound == infinite {
                count
            } else {
                cumulative as f64
            };
            let inside = exemplars
                .iter()
                .filter(|exemplar| {
                    exemplar.value > below && (exemplar.value <= bound || bound == infinite)
                })
                .cloned()
                .collect();
            self.push(&base, &bucket, Some(("le", bound)), float(value), inside);
            below = bound;
        }
        Ok(())
    }

    fn exponential(&mut self, name: &str, point: &ExponentialPoint) -> Result<(), String> {
        let common = Common {
            attributes: &point.attributes,
            time_unix_nano: point.time_unix_nano,
            flags: point.flags,
        };
        let stale = common.flags & NO_RECORDED_VALUE != 0;
        let base = self.base(&common)?;
        let histogram = exponential::native(point, stale, self.limits.buckets_max)?;
        let exemplars = self.exemplars(&point.exemplars)?;
        let value = SampleValue::Histogram(Box::new(histogram));
        self.push(&base, name, None, value, exemplars);
        Ok(())
    }

    fn summary(&mut self, name: &str, point: &SummaryPoint) -> Result<(), String> {
        let common = Common {
            attributes: &point.attributes,
            time_unix_nano: point.time_unix_nano,
            flags: point.flags,
        };
        let stale = common.flags & NO_RECORDED_VALUE != 0;
        let base = self.base(&common)?;
        if point.quantile_values.len() > self.limits.buckets_max {
            return Err(format!(
                "{} quantiles, the limit is {}",
                point.quantile_values.len(),
                self.limits.buckets_max
            ));
        }
        let float = |value: f64| SampleValue::Float(if stale { stale_nan() } else { value });
        self.push(
            &base,
            &format!("{name}_sum"),
            None,
            float(point.sum),
            Vec::new(),
        );
        let count = point.count as f64;
        self.push(
            &base,
            &format!("{name}_count"),
            None,
            float(count),
            Vec::new(),
        );
        for quantile in &point.quantile_values {
            let extra = Some(("quantile", quantile.quantile));
            self.push(&base, name, extra, float(quantile.value), Vec::new());
        }
        Ok(())
    }

    fn exemplars(&self, messages: &[ExemplarMessage]) -> Result<Vec<Exemplar>, String> {
        messages
            .iter()
            .map(|message| {
                let own = attributes(message.filtered_attributes.clone(), self.limits)
                    .map_err(|reason| format!("exemplar: {reason}"))?;
                let pairs: Vec<(String, String)> = own
                    .0
                    .into_iter()
                    .map(|(key, value)| (key.to_string(), value.to_string()))
                    .collect();
                let mut labels = sanitised(&pairs, self.options.translation);
                labels.set("trace_id", &hex(&message.trace_id));
                labels.set("span_id", &hex(&message.span_id));
                let int = message.as_int.map(|value| value as f64);
                Ok(Exemplar {
                    labels: labels.build(),
                    value: message.as_double.or(int).unwrap_or_default(),
                    timestamp: i64::try_from(message.time_unix_nano)
                        .ok()
                        .filter(|nanos| *nanos > 0)
                        .map(Timestamp::from_nanos),
                })
            })
            .collect()
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes.iter().take(64) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

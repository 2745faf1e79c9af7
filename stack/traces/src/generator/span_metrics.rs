//! Span metrics: calls, latency and size by service, operation, kind and status.

use gameday_signal::{LabelsBuilder, Span, SpanKind, SpanStatus, Timestamp};

use super::registry::{Family, Limits, Metric};
use super::size::span_bytes;
use super::{MetricDescription, MetricPoint, exemplar_of, label_name, push_key};

/// What the metrics are, in the order of the family.
pub(crate) const DESCRIPTIONS: [MetricDescription; 3] = [
    MetricDescription {
        name: "traces_spanmetrics_calls_total",
        kind: "counter",
        help: "Spans that ended.",
    },
    MetricDescription {
        name: "traces_spanmetrics_latency",
        kind: "histogram",
        help: "How long spans took, in seconds.",
    },
    MetricDescription {
        name: "traces_spanmetrics_size_total",
        kind: "counter",
        help: "Bytes of spans.",
    },
];
const CALLS: usize = 0;
const LATENCY: usize = 1;
const SIZE: usize = 2;

/// How span metrics are made.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanMetricsConfig {
    /// The ends of the latency's buckets in seconds.
    pub buckets: Vec<f64>,
    /// Attributes of the span, or of its resource, that become labels too.
    pub dimensions: Vec<String>,
    /// Whether the words that go with a status become the label `status_message`.
    pub status_message: bool,
}

impl Default for SpanMetricsConfig {
    fn default() -> Self {
        Self {
            // Tempo's default: 14 buckets from 2 ms, each twice the one before.
            buckets: std::iter::successors(Some(0.002), |end| Some(end * 2.0))
                .take(14)
                .collect(),
            dimensions: Vec::new(),
            status_message: false,
        }
    }
}

/// Counts spans.
pub(crate) struct SpanMetrics {
    config: SpanMetricsConfig,
    dimension_labels: Vec<String>,
    trace_id_label: String,
    family: Family,
    key: String,
}

impl SpanMetrics {
    pub(crate) fn new(config: SpanMetricsConfig, limits: Limits, trace_id_label: &str) -> Self {
        let counter = |index: usize| Metric {
            name: DESCRIPTIONS[index].name,
            buckets: Vec::new(),
        };
        let latency = Metric {
            name: DESCRIPTIONS[LATENCY].name,
            buckets: config.buckets.clone(),
        };
        // A dimension that would be one of the labels that are always there is told from it, as in Tempo.
        let dimension_labels = config
            .dimensions
            .iter()
            .map(|dimension| match label_name(dimension) {
                own if matches!(
                    own.as_str(),
                    "service" | "span_name" | "span_kind" | "status_code" | "status_message"
                ) =>
                {
                    format!("__{own}")
                }
                name => name,
            })
            .collect();
        Self {
            dimension_labels,
            config,
            trace_id_label: trace_id_label.to_owned(),
            family: Family::new(vec![counter(CALLS), latency, counter(SIZE)], limits),
            key: String::new(),
        }
    }

    pub(crate) fn observe(&mut self, span: &Span, now: Timestamp) {
        let dimensions: Vec<String> = self
            .config
            .dimensions
            .iter()
            .map(|name| {
                let value = span
                    .attributes
                    .get(name)
                    .or_else(|| span.resource.attributes.get(name));
                value.map(ToString::to_string).unwrap_or_default()
            })
            .collect();
        let message = if self.config.status_message {
            span.status_message.as_str()
        } else {
            ""
        };
        let service = span.resource.service_name();
        let (kind, status) = (span_kind(span.kind), status_code(span.status));
        self.key.clear();
        for part in [service, &span.name, kind, status, message] {
            push_key(&mut self.key, part);
        }
        dimensions
            .iter()
            .for_each(|value| push_key(&mut self.key, value));
        let labels = || {
            let mut labels = LabelsBuilder::default();
            labels
                .set("service", service)
                .set("span_name", &span.name)
                .set("span_kind", kind);
            labels
                .set("status_code", status)
                .set("status_message", message);
            for (name, value) in self.dimension_labels.iter().zip(&dimensions) {
                labels.set(name, value);
            }
            labels.build()
        };
        let Some(entry) = self.family.entry(&self.key, now, labels) else {
            return;
        };
        let seconds = span.duration().as_secs_f64();
        self.family.add(entry, CALLS, 1.0, now);
        self.family.observe(entry, LATENCY, seconds, now, || {
            exemplar_of(span, &self.trace_id_label, seconds)
        });
        self.family.add(entry, SIZE, span_bytes(span) as f64, now);
    }

    pub(crate) fn collect(&mut self, now: Timestamp, points: &mut Vec<MetricPoint>) {
        self.family.collect(now, points);
    }

    pub(crate) fn series(&self) -> (usize, u64) {
        self.family.series()
    }
}

/// The name of a kind in OTLP.
fn span_kind(kind: SpanKind) -> &'static str {
    match kind {
        SpanKind::Unspecified => "SPAN_KIND_UNSPECIFIED",
        SpanKind::Internal => "SPAN_KIND_INTERNAL",
        SpanKind::Server => "SPAN_KIND_SERVER",
        SpanKind::Client => "SPAN_KIND_CLIENT",
        SpanKind::Producer => "SPAN_KIND_PRODUCER",
        SpanKind::Consumer => "SPAN_KIND_CONSUMER",
    }
}

/// The name of a status in OTLP.
fn status_code(status: SpanStatus) -> &'static str {
    match status {
        SpanStatus::Unset => "STATUS_CODE_UNSET",
        SpanStatus::Ok => "STATUS_CODE_OK",
        SpanStatus::Error => "STATUS_CODE_ERROR",
    }
}

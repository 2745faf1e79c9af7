//! Metrics made of spans: span metrics and the service graph, as Tempo's metrics generator makes them.
//!
//! ```text
//!   spans --observe(now)--> SpanMetrics, ServiceGraph --tick(now)--> MetricPoint: series, value, exemplar
//! ```

mod registry;
mod service_graph;
mod size;
mod span_metrics;

use std::time::Duration;

use gameday_signal::{Exemplar, Labels, Sample, Span, Timestamp, TraceId};

pub(crate) use service_graph::ServiceGraph;
pub use service_graph::{ServiceGraphConfig, ServiceGraphStats};
pub(crate) use size::span_bytes;
pub(crate) use span_metrics::SpanMetrics;
pub use span_metrics::SpanMetricsConfig;

/// A value for the metrics store.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricPoint {
    /// The series, its name included.
    pub labels: Labels,
    /// The value and its time; [`gameday_signal::stale_nan`] where the series has ended.
    pub sample: Sample,
    /// A trace behind the value, for buckets of histograms.
    pub exemplar: Option<Exemplar>,
}

/// What the metrics of a generator are, for `/api/v1/metadata`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricDescription {
    /// The name; a histogram's without `_bucket`.
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// What it counts.
    pub help: &'static str,
}

/// How metrics are made of spans.
#[derive(Clone, Debug, PartialEq)]
pub struct GeneratorConfig {
    /// How often values are given out (Tempo's `registry.collection_interval`).
    pub collection_interval: Duration,
    /// A series that has not changed for so long ends (Tempo's `registry.stale_duration`).
    pub stale_after: Duration,
    /// Spans that ended longer ago are left out (Tempo's `metrics_ingestion_time_range_slack`).
    pub ingestion_slack: Duration,
    /// Series at a time; further ones are left out and counted.
    pub max_series: usize,
    /// The label of an exemplar that holds the trace id (Tempo's `registry.histograms.trace_id_label_name`).
    pub trace_id_label: String,
    /// Span metrics; none for no such.
    pub span_metrics: Option<SpanMetricsConfig>,
    /// The service graph; none for no such.
    pub service_graph: Option<ServiceGraphConfig>,
}

impl Default for GeneratorConfig {
    fn default() -> Self {
        Self {
            collection_interval: Duration::from_secs(15),
            stale_after: Duration::from_secs(900),
            ingestion_slack: Duration::from_secs(30),
            max_series: 100_000,
            trace_id_label: "traceID".to_owned(),
            span_metrics: Some(SpanMetricsConfig::default()),
            service_graph: Some(ServiceGraphConfig::default()),
        }
    }
}

/// Makes metrics of the spans that it is shown.
pub struct Generator {
    config: GeneratorConfig,
    span_metrics: Option<SpanMetrics>,
    service_graph: Option<ServiceGraph>,
    next_collection: Option<Timestamp>,
    stats: GeneratorStats,
}

/// What a generator has seen since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GeneratorStats {
    /// Spans that were counted.
    pub spans: u64,
    /// Spans that were left out because they ended too long ago.
    pub outside_slack: u64,
    /// Values that were left out because there were too many series.
    pub over_series_limit: u64,
    /// Series at the moment.
    pub active_series: usize,
    /// What became of the edges of the service graph.
    pub service_graph: ServiceGraphStats,
}

impl Generator {
    /// A generator that has seen nothing.
    pub fn new(config: GeneratorConfig) -> Self {
        let limits = registry::Limits {
            max_series: config.max_series,
            stale_after: config.stale_after,
            interval: config.collection_interval,
        };
        Self {
            span_metrics: config
                .span_metrics
                .clone()
                .map(|own| SpanMetrics::new(own, limits, &config.trace_id_label)),
            service_graph: config
                .service_graph
                .clone()
                .map(|own| ServiceGraph::new(own, limits, &config.trace_id_label)),
            next_collection: None,
            stats: GeneratorStats::default(),
            config,
        }
    }

    /// Counts spans that came in at `now`.
    pub fn observe(&mut self, spans: &[Span], now: Timestamp) {
        if self.next_collection.is_none() {
            self.next_collection = Some(self.collection_after(now));
        }
        let oldest = now - self.config.ingestion_slack;
        for span in spans {
            if span.end < oldest {
                self.stats.outside_slack += 1;
                continue;
            }
            self.stats.spans += 1;
            if let Some(span_metrics) = &mut self.span_metrics {
                span_metrics.observe(span, now);
            }
            if let Some(service_graph) = &mut self.service_graph {
                service_graph.observe(span, now);
            }
        }
    }

    /// Ends the waiting of edges that is over at `now`, and gives out all values when a collection is due.
    pub fn tick(&mut self, now: Timestamp) -> Vec<MetricPoint> {
        if let Some(service_graph) = &mut self.service_graph {
            service_graph.expire(now);
        }
        if self.next_collection.is_none_or(|due| due > now) {
            return Vec::new();
        }
        self.next_collection = Some(self.collection_after(now));
        let mut points = Vec::new();
        if let Some(span_metrics) = &mut self.span_metrics {
            span_metrics.collect(now, &mut points);
        }
        if let Some(service_graph) = &mut self.service_graph {
            service_graph.collect(now, &mut points);
        }
        points
    }

    /// When [`Generator::tick`] has something to do next; none while no span has come.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let expiry = self
            .service_graph
            .as_ref()
            .and_then(ServiceGraph::next_expiry);
        [self.next_collection, expiry].into_iter().flatten().min()
    }

    /// What the generator has seen.
    pub fn stats(&self) -> GeneratorStats {
        let registries = [
            self.span_metrics.as_ref().map(SpanMetrics::series),
            self.service_graph.as_ref().map(ServiceGraph::series),
        ];
        let mut stats = self.stats;
        for (active, refused) in registries.into_iter().flatten() {
            stats.active_series += active;
            stats.over_series_limit += refused;
        }
        stats.service_graph = self
            .service_graph
            .as_ref()
            .map(ServiceGraph::stats)
            .unwrap_or_default();
        stats
    }

    /// The metrics that it makes.
    pub fn descriptions(&self) -> Vec<MetricDescription> {
        let mut all = Vec::new();
        if self.span_metrics.is_some() {
            all.extend(span_metrics::DESCRIPTIONS);
        }
        if self.service_graph.is_some() {
            all.extend(service_graph::DESCRIPTIONS);
        }
        all
    }

    /// Collections happen at multiples of the interval, so that two generators agree on their times.
    fn collection_after(&self, now: Timestamp) -> Timestamp {
        now.floor_to(self.config.collection_interval) + self.config.collection_interval
    }
}

/// A label name made of an attribute's name, as Prometheus wants it: what is no letter, digit or `_` becomes `_`.
pub(crate) fn label_name(attribute: &str) -> String {
    let mut name: String = attribute
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '_' {
                c
            } else {
                '_'
            }
        })
        .collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        name.insert(0, '_');
    }
    name
}

/// Appends the parts of a series' key.
pub(crate) fn push_key(key: &mut String, part: &str) {
    key.push_str(part);
    // A part that holds this character could at worst be counted with another series of the same service.
    key.push('\u{1f}');
}

/// The exemplar of a span.
fn exemplar_of(span: &Span, trace_id_label: &str, value: f64) -> Exemplar {
    exemplar_at(span.trace_id, span.end, trace_id_label, value)
}

/// The exemplar of a trace.
fn exemplar_at(trace_id: TraceId, end: Timestamp, trace_id_label: &str, value: f64) -> Exemplar {
    Exemplar {
        labels: Labels::new([(trace_id_label, trace_id.to_string())]),
        value,
        timestamp: Some(end),
    }
}

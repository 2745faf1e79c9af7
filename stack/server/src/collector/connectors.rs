//! The connectors of collector.yaml: metrics made of spans.

use std::time::Duration;

use gameday_traces::{Generator, GeneratorConfig, ServiceGraphConfig, SpanMetricsConfig};
use serde::Deserialize;
use serde::de::{Error as _, MapAccess};

use super::components::settings;
use super::config::Component;
use super::values::{Ignored, duration, scale, seconds};

/// What makes metrics of spans.
#[derive(Clone, Debug)]
pub(crate) enum Connector {
    /// `traces_spanmetrics_*`.
    SpanMetrics(SpanMetricsConnector),
    /// `traces_service_graph_*`.
    ServiceGraph(ServiceGraphConnector),
}

impl Component for Connector {
    const KIND: &'static str = "connector";
    const TYPES: &'static [&'static str] = &[
        "spanmetrics",
        "span_metrics",
        "servicegraph",
        "service_graph",
    ];

    fn read<'de, A: MapAccess<'de>>(kind: &str, map: &mut A) -> Result<Self, A::Error> {
        if kind.starts_with("span") {
            let own: SpanMetricsConnector = settings(map)?;
            own.check().map_err(A::Error::custom)?;
            Ok(Self::SpanMetrics(own))
        } else {
            settings(map).map(Self::ServiceGraph)
        }
    }
}

/// The Collector's connectors give out their values once a minute.
const FLUSH: Duration = Duration::from_secs(60);
/// The label of an exemplar that holds the trace id, as the Collector and OpenMetrics write it.
const TRACE_ID_LABEL: &str = "trace_id";
/// Unlike Tempo, the Collector counts spans of any age.
const NO_SLACK: Duration = Duration::from_secs(20 * 366 * 86_400);

impl Connector {
    pub(super) fn warn(&self, id: &str, warnings: &mut Vec<String>) {
        if let Self::SpanMetrics(own) = self
            && own.dimensions.iter().any(|own| own.default.is_some())
        {
            warnings.push(format!(
                "connectors.{id}: the default of a dimension is read and not obeyed"
            ));
        }
    }

    pub(super) fn scale_durations(&mut self, divisor: u32) {
        match self {
            Self::SpanMetrics(own) => {
                scale(&mut own.metrics_flush_interval, divisor);
                scale(&mut own.metrics_expiration, divisor);
            }
            Self::ServiceGraph(own) => {
                scale(&mut own.metrics_flush_interval, divisor);
                scale(&mut own.store.ttl, divisor);
            }
        }
    }

    /// The engine that does it.
    pub(super) fn generator(&self) -> Generator {
        let base = GeneratorConfig {
            ingestion_slack: NO_SLACK,
            trace_id_label: TRACE_ID_LABEL.to_owned(),
            span_metrics: None,
            service_graph: None,
            ..GeneratorConfig::default()
        };
        Generator::new(match self {
            Self::SpanMetrics(own) => GeneratorConfig {
                collection_interval: own.metrics_flush_interval,
                stale_after: if own.metrics_expiration.is_zero() {
                    base.stale_after
                } else {
                    own.metrics_expiration
                },
                max_series: if own.aggregation_cardinality_limit == 0 {
                    base.max_series
                } else {
                    own.aggregation_cardinality_limit
                },
                span_metrics: Some(own.config()),
                ..base
            },
            Self::ServiceGraph(own) => GeneratorConfig {
                collection_interval: own.metrics_flush_interval,
                service_graph: Some(own.config()),
                ..base
            },
        })
    }
}

/// `spanmetrics`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SpanMetricsConnector {
    histogram: HistogramSettings,
    dimensions: Vec<Dimension>,
    exemplars: Option<Ignored>,
    namespace: String,
    #[serde(deserialize_with = "duration")]
    metrics_flush_interval: Duration,
    #[serde(deserialize_with = "duration")]
    metrics_expiration: Duration,
    aggregation_cardinality_limit: usize,
    aggregation_temporality: String,
    dimensions_cache_size: Option<Ignored>,
    resource_metrics_cache_size: Option<Ignored>,
    resource_metrics_key_attributes: Option<Ignored>,
}

impl Default for SpanMetricsConnector {
    fn default() -> Self {
        Self {
            histogram: HistogramSettings::default(),
            dimensions: Vec::new(),
            exemplars: None,
            namespace: String::new(),
            metrics_flush_interval: FLUSH,
            metrics_expiration: Duration::ZERO,
            aggregation_cardinality_limit: 0,
            aggregation_temporality: String::new(),
            dimensions_cache_size: None,
            resource_metrics_cache_size: None,
            resource_metrics_key_attributes: None,
        }
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct HistogramSettings {
    unit: String,
    explicit: ExplicitBuckets,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ExplicitBuckets {
    #[serde(deserialize_with = "seconds")]
    buckets: Vec<f64>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Dimension {
    name: String,
    default: Option<String>,
}

impl SpanMetricsConnector {
    fn check(&self) -> Result<(), String> {
        if !matches!(
            self.namespace.as_str(),
            "" | "traces.spanmetrics" | "traces_spanmetrics" | "traces.span.metrics"
        ) {
            return Err(format!(
                "unsupported namespace {:?}: the metrics are called traces_spanmetrics_*, as in Tempo",
                self.namespace
            ));
        }
        if !matches!(self.histogram.unit.as_str(), "" | "s") {
            return Err(format!(
                "unsupported unit {:?}: latencies are in seconds, as in Tempo",
                self.histogram.unit
            ));
        }
        if !matches!(
            self.aggregation_temporality.as_str(),
            "" | "AGGREGATION_TEMPORALITY_CUMULATIVE"
        ) {
            return Err(format!(
                "unsupported aggregation_temporality {:?}, expected AGGREGATION_TEMPORALITY_CUMULATIVE",
                self.aggregation_temporality
            ));
        }
        Ok(())
    }

    fn config(&self) -> SpanMetricsConfig {
        let mut config = SpanMetricsConfig {
            dimensions: self.dimensions.iter().map(|own| own.name.clone()).collect(),
            ..SpanMetricsConfig::default()
        };
        if !self.histogram.explicit.buckets.is_empty() {
            config.buckets.clone_from(&self.histogram.explicit.buckets);
        }
        config
    }
}

/// `servicegraph`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ServiceGraphConnector {
    #[serde(deserialize_with = "seconds")]
    latency_histogram_buckets: Vec<f64>,
    dimensions: Vec<String>,
    store: StoreSettings,
    virtual_node_peer_attributes: Vec<String>,
    #[serde(deserialize_with = "duration")]
    metrics_flush_interval: Duration,
    cache_loop: Option<Ignored>,
    store_expiration_loop: Option<Ignored>,
}

impl Default for ServiceGraphConnector {
    fn default() -> Self {
        Self {
            latency_histogram_buckets: Vec::new(),
            dimensions: Vec::new(),
            store: StoreSettings::default(),
            virtual_node_peer_attributes: Vec::new(),
            metrics_flush_interval: FLUSH,
            cache_loop: None,
            store_expiration_loop: None,
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct StoreSettings {
    #[serde(deserialize_with = "duration")]
    ttl: Duration,
    max_items: usize,
}

impl Default for StoreSettings {
    fn default() -> Self {
        let own = ServiceGraphConfig::default();
        Self {
            ttl: own.wait,
            max_items: own.max_items,
        }
    }
}

impl ServiceGraphConnector {
    fn config(&self) -> ServiceGraphConfig {
        let mut config = ServiceGraphConfig {
            wait: self.store.ttl,
            max_items: self.store.max_items,
            dimensions: self.dimensions.clone(),
            ..ServiceGraphConfig::default()
        };
        if !self.latency_histogram_buckets.is_empty() {
            config.buckets.clone_from(&self.latency_histogram_buckets);
        }
        if !self.virtual_node_peer_attributes.is_empty() {
            config
                .peer_attributes
                .clone_from(&self.virtual_node_peer_attributes);
        }
        config
    }
}

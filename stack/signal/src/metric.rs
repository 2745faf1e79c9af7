//! What is known about a metric family.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The type of a metric family (OpenMetrics 1.0, "Metric Types").
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum MetricType {
    /// Not said; `untyped` in the older text format.
    #[default]
    Unknown,
    /// It only grows, until it starts again from zero.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Observations counted in buckets.
    Histogram,
    /// A histogram whose buckets may shrink.
    GaugeHistogram,
    /// Observations with precomputed quantiles.
    Summary,
    /// Labels that say something, with the value 1.
    Info,
    /// One series a state, with the value 0 or 1.
    StateSet,
}

impl MetricType {
    /// The word of Prometheus' API and of OpenMetrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::GaugeHistogram => "gaugehistogram",
            Self::Summary => "summary",
            Self::Info => "info",
            Self::StateSet => "stateset",
        }
    }
}

impl fmt::Display for MetricType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is known about a metric family.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricMetadata {
    /// The type.
    #[serde(rename = "type")]
    pub kind: MetricType,
    /// What a person should know about it.
    pub help: String,
    /// The unit, or the empty text.
    pub unit: String,
}

//! What the rules ask of the engine below them: PromQL over metrics, LogQL over logs, or a test's own.

use std::sync::Arc;

use gameday_query::ParseError;
use gameday_signal::{Histogram, Labels, Matcher, Timestamp};

/// The value of an element or sample.
#[derive(Clone, Debug, PartialEq)]
pub enum SampleValue {
    /// A number.
    Float(f64),
    /// A native histogram.
    Histogram(Arc<Histogram>),
}

impl SampleValue {
    /// The number; 0 for a histogram, as in Prometheus' alerts.
    pub fn as_float(&self) -> f64 {
        match self {
            Self::Float(value) => *value,
            Self::Histogram(_) => 0.0,
        }
    }
}

/// One element of the result of an instant query; a scalar is an element without labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Element {
    /// Its labels, the metric name included where the expression keeps it.
    pub labels: Labels,
    /// Its value.
    pub value: SampleValue,
}

/// The language of the expressions of a rule file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Language {
    /// Prometheus' rules, over metrics.
    #[default]
    PromQl,
    /// The rules of Loki's ruler, over log lines.
    LogQl,
}

/// Reads expressions.
pub trait ExprChecker {
    /// Checks an expression and gives its canonical text, which links and the HTTP API show.
    ///
    /// # Errors
    /// Where the text is no expression, with the place in it.
    fn check(&self, language: Language, expr: &str) -> Result<String, ParseError>;
}

/// Where rules read from and write to.
pub trait Backend {
    /// Evaluates an expression at an instant; the elements come in a stable order.
    ///
    /// # Errors
    /// The engine's own message.
    fn query(&self, language: Language, expr: &str, at: Timestamp) -> Result<Vec<Element>, String>;

    /// Stores a sample; [`gameday_signal::stale_nan`] ends the series.
    ///
    /// # Errors
    /// Where the store refuses it (out of order, too old, too many series).
    fn append(&mut self, labels: &Labels, at: Timestamp, value: &SampleValue)
    -> Result<(), String>;

    /// The last sample of each series that `matchers` select within the times, both inclusive: what alerts are restored from.
    ///
    /// # Errors
    /// The engine's own message.
    fn last_samples(
        &self,
        matchers: &[Matcher],
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<(Labels, Timestamp, f64)>, String>;
}

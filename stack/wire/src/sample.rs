//! Samples with their labels, on their way from a payload to the store.

use gameday_signal::{Exemplar, Histogram, Labels};

/// The value of a sample.
#[derive(Clone, Debug, PartialEq)]
pub enum SampleValue {
    /// A number; the stale marker ends the series.
    Float(f64),
    /// A native histogram; a sum that is the stale marker ends the series.
    Histogram(Box<Histogram>),
}

/// A sample of a series, with `__name__` among its labels.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesSample {
    /// The series.
    pub labels: Labels,
    /// Milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
    /// The value.
    pub value: SampleValue,
    /// Examples of what it counted.
    pub exemplars: Vec<Exemplar>,
}

//! What a query answers.

use std::sync::Arc;

use gameday_signal::{Histogram, Labels};

use crate::promql::ValueType;

/// The value of a sample.
#[derive(Clone, Debug, PartialEq)]
pub enum SampleValue {
    /// A number.
    Float(f64),
    /// A native histogram.
    Histogram(Arc<Histogram>),
}

impl SampleValue {
    /// The number, where it is one.
    pub fn as_float(&self) -> Option<f64> {
        match self {
            Self::Float(value) => Some(*value),
            Self::Histogram(_) => None,
        }
    }
}

/// A value of a series at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
    /// The value.
    pub value: SampleValue,
}

/// An element of an instant vector.
#[derive(Clone, Debug, PartialEq)]
pub struct InstantSample {
    /// The series.
    pub labels: Labels,
    /// Milliseconds since the Unix epoch: the time of the evaluation.
    pub timestamp_ms: i64,
    /// The value.
    pub value: SampleValue,
}

/// A series of a range vector, in order of time.
#[derive(Clone, Debug, PartialEq)]
pub struct RangeSeries {
    /// The series.
    pub labels: Labels,
    /// Its values.
    pub points: Vec<Point>,
}

/// The value of an expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number at the time of the evaluation.
    Scalar {
        /// Milliseconds since the Unix epoch.
        timestamp_ms: i64,
        /// The number.
        value: f64,
    },
    /// At most one value a series.
    Vector(Vec<InstantSample>),
    /// Values over time, the series sorted by their labels.
    Matrix(Vec<RangeSeries>),
    /// A text at the time of the evaluation.
    String {
        /// Milliseconds since the Unix epoch.
        timestamp_ms: i64,
        /// The text.
        text: String,
    },
}

impl Value {
    /// The type, as the HTTP API names it.
    pub fn value_type(&self) -> ValueType {
        match self {
            Self::Scalar { .. } => ValueType::Scalar,
            Self::Vector(_) => ValueType::Vector,
            Self::Matrix(_) => ValueType::Matrix,
            Self::String { .. } => ValueType::String,
        }
    }

    /// The elements as a vector: a scalar becomes one without labels. What rules are evaluated to.
    pub fn into_vector(self) -> Option<Vec<InstantSample>> {
        match self {
            Self::Vector(samples) => Some(samples),
            Self::Scalar {
                timestamp_ms,
                value,
            } => Some(vec![InstantSample {
                labels: Labels::empty(),
                timestamp_ms,
                value: SampleValue::Float(value),
            }]),
            Self::Matrix(_) | Self::String { .. } => None,
        }
    }
}

/// A value with what is worth telling about it.
#[derive(Clone, Debug, PartialEq)]
pub struct QueryOutput {
    /// The value.
    pub value: Value,
    /// What is probably wrong with the expression or the data, sorted, each with line and column.
    pub warnings: Vec<String>,
    /// What may be wrong, sorted, each with line and column.
    pub infos: Vec<String>,
    /// The largest number of samples that were held at once.
    pub peak_samples: usize,
    /// How many samples the selectors gave, those in several windows several times; zero where the configuration does not have
    /// them counted.
    pub total_samples: u64,
}

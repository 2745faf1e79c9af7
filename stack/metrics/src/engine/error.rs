//! Why a query failed.

use gameday_query::ParseError;

/// Why a query failed, with Prometheus' messages.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum QueryError {
    /// The text is no expression.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// The query would hold too many samples in memory.
    #[error("query processing would load too many samples into memory in query execution")]
    TooManySamples,
    /// The query would look at more samples than it may, window by window: the deterministic form of a time limit.
    #[error("query timed out in expression evaluation")]
    TooMuchWork,
    /// A range query would return too many points a series.
    #[error(
        "exceeded maximum resolution of {0} points per timeseries. Try decreasing the query resolution (?step=XX)"
    )]
    TooManyPoints(usize),
    /// A range query's step is zero or negative.
    #[error(
        "zero or negative query resolution step widths are not accepted. Try a positive integer"
    )]
    BadStep,
    /// A range query ends before it starts.
    #[error("end timestamp must not be before start time")]
    EndBeforeStart,
    /// A range query whose expression has no value at each step.
    #[error("invalid expression type {0:?} for range query, must be Scalar or instant Vector")]
    NotARangeType(&'static str),
    /// The data does not fit the expression.
    #[error("{0}")]
    Execution(String),
}

impl QueryError {
    /// The data does not fit the expression.
    pub(super) fn execution(message: impl Into<String>) -> Self {
        Self::Execution(message.into())
    }

    /// Two series would have the same labels.
    pub(super) fn same_labelset() -> Self {
        Self::execution("vector cannot contain metrics with the same labelset")
    }
}

//! Evaluation of metric queries.
//!
//! ```text
//!   MetricExpr --prepare--> Node: each range aggregation reads its lines once, for all steps
//!                            |
//!               for each step: Node::at(T) -> Vector
//! ```

pub(crate) mod binary;
mod extract;
mod node;
mod range;
mod vector;

pub(crate) use node::{Node, Sample, Steps};

use crate::{LabelSet, ParseError};

/// Why a query has no answer, in Loki's words.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// The query is no LogQL.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// A line could not be parsed and the query counts it.
    #[error(
        "pipeline error: '{kind}' for series: '{labels}'.\nUse a label filter to intentionally skip this error. (e.g | __error__!=\"{kind}\").\nTo skip all potential errors you can match empty errors.(e.g __error__=\"\")\nThe label filter can also be specified after unwrap. (e.g | unwrap latency | __error__=\"\" )\n"
    )]
    Pipeline {
        /// The kind of the error.
        kind: String,
        /// The series that would hold it.
        labels: LabelSet,
    },
    /// Too many series.
    #[error(
        "maximum number of series ({0}) reached for a single query; consider reducing query cardinality by adding more specific stream selectors, reducing the time range, or aggregating results with functions like sum(), count() or topk()"
    )]
    SeriesLimit(usize),
    /// More lines were asked for than one query returns.
    #[error(
        "max entries limit per query exceeded, limit > max_entries_limit_per_query ({asked} > {limit})"
    )]
    EntriesLimit {
        /// What was asked for.
        asked: usize,
        /// The limit.
        limit: usize,
    },
    /// The time range is too long.
    #[error("the query time range exceeds the limit (query length: {length}, limit: {limit})")]
    LengthLimit {
        /// How long it is.
        length: String,
        /// How long it may be.
        limit: String,
    },
    /// A range query with more steps than any screen has pixels.
    #[error(
        "exceeded maximum resolution of 11,000 points per time series. Try increasing the value of the step parameter"
    )]
    PointsLimit,
    /// An instant query that answers with log lines.
    #[error(
        "log queries are not supported as an instant query type, please change your query to a range query type"
    )]
    InstantLogs,
    /// A query that must be a metric query.
    #[error("only sample expression supported")]
    NotAMetric,
    /// A range query that ends before it begins.
    #[error("end timestamp must not be before or equal to start time")]
    EndBeforeStart,
    /// A range query without a step.
    #[error(
        "zero or negative query resolution step widths are not accepted. Try a positive integer"
    )]
    StepNotPositive,
    /// `approx_topk` over a range.
    #[error("count min sketches are only supported on instant queries")]
    ApproxTopkOverRange,
    /// Two series of one side go with one series of the other.
    #[error("{0}")]
    Matching(&'static str),
}

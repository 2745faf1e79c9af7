//! A metric query, ready to be evaluated at each of its steps.

use std::time::Duration;

use gameday_query::{BinaryOp, Grouping, VectorMatching};
use gameday_signal::{MatchOp, Timestamp};
use regex::Regex;

use super::extract::{Series, samples};
use super::range::{self, Window};
use super::{QueryError, binary, vector};
use crate::LabelSet;
use crate::logql::{LogExpr, MetricExpr, RangeOp, VectorOp};
use crate::store::{Processed, Store};

/// One value of a result.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    pub(crate) labels: LabelSet,
    pub(crate) value: f64,
}

/// The times at which a query is evaluated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Steps {
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) step: i64,
}

impl Steps {
    /// One evaluation.
    pub(crate) fn instant(at: Timestamp) -> Self {
        Self {
            start: at.as_nanos(),
            end: at.as_nanos(),
            step: 1,
        }
    }

    pub(crate) fn is_instant(self) -> bool {
        self.start == self.end
    }

    pub(crate) fn range(start: Timestamp, end: Timestamp, step: Duration) -> Self {
        Self {
            start: start.as_nanos(),
            end: end.as_nanos(),
            step: i64::try_from(step.as_nanos()).unwrap_or(i64::MAX).max(1),
        }
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = i64> {
        let mut next = Some(self.start);
        std::iter::from_fn(move || {
            let at = next.filter(|at| *at <= self.end)?;
            next = at.checked_add(self.step);
            Some(at)
        })
    }
}

/// A part of a query with its data.
pub(crate) enum Node {
    Literal(f64),
    VectorOf(f64),
    Range(RangeNode),
    Vector {
        op: VectorOp,
        parameter: u64,
        grouping: Grouping,
        inner: Box<Self>,
    },
    Binary {
        op: BinaryOp,
        return_bool: bool,
        matching: VectorMatching,
        left: Box<Self>,
        right: Box<Self>,
    },
    LabelReplace {
        inner: Box<Self>,
        destination: String,
        replacement: String,
        source: String,
        regex: Regex,
    },
}

/// A range aggregation with the samples of all its windows.
pub(crate) struct RangeNode {
    op: RangeOp,
    parameter: Option<f64>,
    unwraps: bool,
    length: i64,
    offset: i64,
    series: Vec<Series>,
    /// For each series, where the window of the last step began and ended.
    bounds: Vec<(usize, usize)>,
    processed: Processed,
    /// What `absent_over_time` answers with.
    absent: LabelSet,
}

impl Node {
    /// What was looked at.
    pub(crate) fn processed(&self) -> Processed {
        match self {
            Self::Literal(_) | Self::VectorOf(_) => Processed::default(),
            Self::Range(range) => range.processed,
            Self::Vector { inner, .. } | Self::LabelReplace { inner, .. } => inner.processed(),
            Self::Binary { left, right, .. } => left.processed().and(right.processed()),
        }
    }

    /// Reads the lines that the query needs at any of the steps.
    pub(crate) fn prepare(
        store: &Store,
        expr: &MetricExpr,
        steps: Steps,
    ) -> Result<Self, QueryError> {
        Self::prepare_grouped(store, expr, steps, None)
    }

    /// `grouping` is that of a `sum` directly around, which can be applied to each line.
    fn prepare_grouped(
        store: &Store,
        expr: &MetricExpr,
        steps: Steps,
        outer: Option<&Grouping>,
    ) -> Result<Self, QueryError> {
        Ok(match expr {
            MetricExpr::Literal(value) => Self::Literal(*value),
            MetricExpr::VectorOf(value) => Self::VectorOf(*value),
            MetricExpr::Range {
                op,
                parameter,
                range,
                grouping,
            } => {
                let length = i64::try_from(range.interval.as_nanos()).unwrap_or(i64::MAX);
                let offset = range.offset_nanos;
                let from = steps.start.saturating_sub(offset).saturating_sub(length);
                let to = steps.end.saturating_sub(offset);
                let grouping = grouping.as_ref().or(outer);
                let (series, processed) = samples(store, *op, range, grouping, from, to)?;
                Self::Range(RangeNode {
                    op: *op,
                    parameter: *parameter,
                    unwraps: range.unwrap.is_some(),
                    length,
                    offset,
                    bounds: vec![(0, 0); series.len()],
                    processed,
                    series,
                    absent: absent_labels(&range.logs),
                })
            }
            MetricExpr::Vector {
                op,
                parameter,
                inner,
                grouping,
            } => {
                if *op == VectorOp::ApproxTopk && !steps.is_instant() {
                    return Err(QueryError::ApproxTopkOverRange);
                }
                let pushed = (*op == VectorOp::Sum && sums_by_line(inner)).then_some(grouping);
                Self::Vector {
                    op: *op,
                    parameter: *parameter,
                    grouping: grouping.clone(),
                    inner: Box::new(Self::prepare_grouped(store, inner, steps, pushed)?),
                }
            }
            MetricExpr::Binary {
                op,
                return_bool,
                matching,
                left,
                right,
            } => Self::Binary {
                op: *op,
                return_bool: *return_bool,
                matching: matching.clone(),
                left: Box::new(Self::prepare(store, left, steps)?),
                right: Box::new(Self::prepare(store, right, steps)?),
            },
            MetricExpr::LabelReplace {
                inner,
                destination,
                replacement,
                source,
                regex,
            } => Self::LabelReplace {
                inner: Box::new(Self::prepare(store, inner, steps)?),
                destination: destination.clone(),
                replacement: replacement.clone(),
                source: source.clone(),
                regex: crate::stage::compile_regex(&format!("^(?s:{regex})$"))
                    .map_err(|_| QueryError::Matching("invalid regex in label_replace"))?,
            },
        })
    }

    /// The value at `at`; the steps must come in their order.
    pub(crate) fn at(&mut self, at: i64) -> Result<Vec<Sample>, QueryError> {
        match self {
            Self::Literal(value) | Self::VectorOf(value) => Ok(vec![Sample {
                labels: LabelSet::empty(),
                value: *value,
            }]),
            Self::Range(node) => node.at(at),
            Self::Vector {
                op,
                parameter,
                grouping,
                inner,
            } => Ok(vector::aggregate(*op, *parameter, grouping, inner.at(at)?)),
            Self::Binary {
                op,
                return_bool,
                matching,
                left,
                right,
            } => match (left.as_ref(), right.as_ref()) {
                (Self::Literal(value), _) => {
                    let value = *value;
                    Ok(binary::with_literal(
                        *op,
                        *return_bool,
                        right.at(at)?,
                        value,
                        true,
                    ))
                }
                (_, Self::Literal(value)) => {
                    let value = *value;
                    Ok(binary::with_literal(
                        *op,
                        *return_bool,
                        left.at(at)?,
                        value,
                        false,
                    ))
                }
                _ => {
                    let (left, right) = (left.at(at)?, right.at(at)?);
                    if op.is_set() {
                        Ok(binary::set(*op, matching, left, right))
                    } else {
                        binary::vectors(*op, *return_bool, matching, left, right)
                    }
                }
            },
            Self::LabelReplace {
                inner,
                destination,
                replacement,
                source,
                regex,
            } => {
                let mut samples = inner.at(at)?;
                for sample in &mut samples {
                    let value = sample.labels.get(source).unwrap_or("");
                    if let Some(captures) = regex.captures(value) {
                        let mut new = String::new();
                        captures.expand(replacement, &mut new);
                        sample.labels = sample.labels.with(destination, &new);
                    }
                }
                Ok(samples)
            }
        }
    }
}

impl RangeNode {
    fn at(&mut self, at: i64) -> Result<Vec<Sample>, QueryError> {
        let window = Window {
            end: at.saturating_sub(self.offset),
            length: self.length,
        };
        let begin = window.end.saturating_sub(window.length);
        let mut results = Vec::new();
        for (series, (low, high)) in self.series.iter().zip(&mut self.bounds) {
            let points = &series.points;
            *low += points[*low..].partition_point(|point| point.0 <= begin);
            *high = (*high).max(*low);
            *high += points[*high..].partition_point(|point| point.0 <= window.end);
            if *low == *high {
                continue;
            }
            if let Some(kind) = &series.error {
                return Err(QueryError::Pipeline {
                    kind: kind.clone(),
                    labels: series.labels.clone(),
                });
            }
            let value = range::aggregate(
                self.op,
                self.parameter,
                self.unwraps,
                window,
                &points[*low..*high],
            );
            results.push(Sample {
                labels: series.labels.clone(),
                value,
            });
        }
        if self.op == RangeOp::AbsentOverTime {
            return Ok(if results.is_empty() {
                vec![Sample {
                    labels: self.absent.clone(),
                    value: 1.0,
                }]
            } else {
                Vec::new()
            });
        }
        Ok(results)
    }
}

/// Whether a `sum` around the aggregation can group line by line: sums of sums are sums.
fn sums_by_line(expr: &MetricExpr) -> bool {
    matches!(
        expr,
        MetricExpr::Range {
            op: RangeOp::BytesOverTime
                | RangeOp::BytesRate
                | RangeOp::SumOverTime
                | RangeOp::Rate
                | RangeOp::CountOverTime,
            grouping: None,
            ..
        }
    )
}

/// The labels that a selector fixes: names with exactly one matcher, and that one `=`.
fn absent_labels(logs: &LogExpr) -> LabelSet {
    let pairs = logs
        .matchers
        .iter()
        .filter(|matcher| {
            matcher.op() == MatchOp::Equal
                && logs
                    .matchers
                    .iter()
                    .filter(|other| other.name() == matcher.name())
                    .count()
                    == 1
        })
        .map(|matcher| (matcher.name().to_owned(), matcher.value().to_owned()))
        .filter(|(_, value)| !value.is_empty())
        .collect();
    LabelSet::new(pairs)
}

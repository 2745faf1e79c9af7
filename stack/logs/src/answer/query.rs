//! `/query` and `/query_range`.

use std::collections::BTreeMap;
use std::time::Duration;

use gameday_signal::{Labels, Timestamp};

use super::logs::query_logs;
use super::result::{Direction, MatrixSeries, QueryData, QueryResult, VectorSample};
use crate::eval::{Node, QueryError, Sample, Steps};
use crate::logql::{Expr, MetricExpr, VectorOp, parse_expr};
use crate::store::Processed;
use crate::{LabelSet, Limits, Store};

/// What `/query_range` is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeRequest {
    /// The first time, inclusive.
    pub start: Timestamp,
    /// The last time: exclusive for log lines, inclusive for metric queries.
    pub end: Timestamp,
    /// The distance of the values of a metric query.
    pub step: Duration,
    /// The least distance of the lines of a log query; zero keeps all.
    pub interval: Duration,
    /// The most lines.
    pub limit: usize,
    /// Which lines come first.
    pub direction: Direction,
    /// Whether each line tells its labels apart by their source.
    pub categorize_labels: bool,
}

/// The step that Loki takes where none is given: 250 values over the range, at least a second.
pub fn default_step(start: Timestamp, end: Timestamp) -> Duration {
    /// Loki's default for the number of values.
    const POINTS: u64 = 250;
    Duration::from_secs((end.since(start).as_secs() / POINTS).max(1))
}

/// Answers a query at one time. Log queries are refused, as in Loki; `limit` and `direction` are only checked.
///
/// # Errors
/// A malformed query, a log query, or a limit.
pub fn query_instant(
    store: &Store,
    query: &str,
    at: Timestamp,
    limit: usize,
    _direction: Direction,
) -> Result<QueryData, QueryError> {
    check_limit(store.limits(), limit)?;
    let Expr::Metric(expr) = parse_expr(query)? else {
        return Err(QueryError::InstantLogs);
    };
    let (result, processed) = if let MetricExpr::Literal(value) = expr {
        (QueryResult::Scalar(at, value), Processed::default())
    } else {
        let (samples, processed) = instant(store, &expr, at)?;
        let samples = samples
            .into_iter()
            .map(|sample| VectorSample {
                metric: sample.labels,
                timestamp: at,
                value: sample.value,
            })
            .collect();
        (QueryResult::Vector(samples), processed)
    };
    Ok(data(result, processed))
}

fn data(result: QueryResult, processed: Processed) -> QueryData {
    QueryData {
        result,
        categorize_labels: false,
        lines_processed: processed.lines,
        bytes_processed: processed.bytes,
    }
}

/// The vector of a metric query at one time, for rules.
///
/// # Errors
/// A malformed query, a log query, or a limit.
pub fn evaluate(
    store: &Store,
    query: &str,
    at: Timestamp,
) -> Result<Vec<(Labels, f64)>, QueryError> {
    let Expr::Metric(expr) = parse_expr(query)? else {
        return Err(QueryError::NotAMetric);
    };
    let (samples, _) = instant(store, &expr, at)?;
    Ok(samples
        .into_iter()
        .map(|sample| (sample.labels.to_labels(), sample.value))
        .collect())
}

/// Reads the expression of a rule and gives its canonical text.
///
/// # Errors
/// A malformed query, with its place and a hint, or a log query: a rule needs numbers.
pub fn check_rule(source: &str) -> Result<String, gameday_query::ParseError> {
    let refused = |span, message: String| gameday_query::ParseError::new(source, span, message);
    match parse_expr(source) {
        Ok(expr @ Expr::Metric(_)) => Ok(expr.to_string()),
        Ok(Expr::Log(_)) => {
            let whole = gameday_query::SourceSpan::new(0, source.len());
            let message = "the expression of a rule must give numbers, this one gives log lines";
            Err(refused(whole, message.to_owned()).with_hint(
                "count the lines, for example sum(count_over_time({app=\"x\"} |= \"error\" [5m])) > 0",
            ))
        }
        Err(error) => {
            let word = source
                .get(error.span.start..error.span.end)
                .unwrap_or_default();
            let hint = gameday_signal::did_you_mean(word, crate::logql::function_names());
            Err(refused(error.span, error.message).with_hint_option(hint))
        }
    }
}

fn instant(
    store: &Store,
    expr: &MetricExpr,
    at: Timestamp,
) -> Result<(Vec<Sample>, Processed), QueryError> {
    let steps = Steps::instant(at);
    let mut node = Node::prepare(store, expr, steps)?;
    let mut samples = node.at(steps.start)?;
    if samples.len() > store.limits().query_series_max {
        return Err(QueryError::SeriesLimit(store.limits().query_series_max));
    }
    if !keeps_order(expr) {
        samples.sort_by(|left, right| left.labels.cmp(&right.labels));
    }
    Ok((samples, node.processed()))
}

/// Whether the order of the result is what was asked for.
fn keeps_order(expr: &MetricExpr) -> bool {
    let mut sorts = false;
    expr.walk(&mut |expr| {
        sorts |= matches!(
            expr,
            MetricExpr::Vector {
                op: VectorOp::Sort | VectorOp::SortDesc,
                ..
            }
        );
    });
    sorts
}

/// Answers a query over a range of time.
///
/// # Errors
/// A malformed query, a malformed range, or a limit.
pub fn query_range(
    store: &Store,
    query: &str,
    request: &RangeRequest,
) -> Result<QueryData, QueryError> {
    let limits = store.limits();
    if request.end < request.start {
        return Err(QueryError::EndBeforeStart);
    }
    check_limit(limits, request.limit)?;
    let length = request.end.since(request.start);
    if length > limits.query_length_max {
        return Err(QueryError::LengthLimit {
            length: gameday_signal::format_duration(length),
            limit: gameday_signal::format_duration(limits.query_length_max),
        });
    }
    match parse_expr(query)? {
        Expr::Log(logs) => Ok(query_logs(store, &logs, request)),
        Expr::Metric(expr) => {
            if request.step.is_zero() {
                return Err(QueryError::StepNotPositive);
            }
            if length.as_nanos() / request.step.as_nanos() > u128::from(limits.query_points_max) {
                return Err(QueryError::PointsLimit);
            }
            let steps = Steps::range(request.start, request.end, request.step);
            let (series, processed) = matrix(store, &expr, steps, limits)?;
            Ok(data(QueryResult::Matrix(series), processed))
        }
    }
}

fn check_limit(limits: &Limits, limit: usize) -> Result<(), QueryError> {
    if limit > limits.query_entries_max {
        return Err(QueryError::EntriesLimit {
            asked: limit,
            limit: limits.query_entries_max,
        });
    }
    Ok(())
}

fn matrix(
    store: &Store,
    expr: &MetricExpr,
    steps: Steps,
    limits: &Limits,
) -> Result<(Vec<MatrixSeries>, Processed), QueryError> {
    let mut node = Node::prepare(store, expr, steps)?;
    let mut series: BTreeMap<LabelSet, Vec<(Timestamp, f64)>> = BTreeMap::new();
    for at in steps.iter() {
        for sample in node.at(at)? {
            series
                .entry(sample.labels)
                .or_default()
                .push((Timestamp::from_nanos(at), sample.value));
        }
        if series.len() > limits.query_series_max {
            return Err(QueryError::SeriesLimit(limits.query_series_max));
        }
    }
    let series = series
        .into_iter()
        .map(|(metric, values)| MatrixSeries { metric, values });
    Ok((series.collect(), node.processed()))
}

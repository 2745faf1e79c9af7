//! What a tree must satisfy beyond its grammar, with Loki's messages.

use gameday_query::{BinaryOp, Grouping, SourceSpan};

use super::ast::{Expr, LogRange, MetricExpr, RangeOp, VectorOp};
use super::error::ParseError;
use super::lex::meaning_error;
use crate::stage::units::parse_float;

const MATCHER_REQUIRED: &str = "queries require at least one regexp or equality matcher that does not have an empty-compatible \
     value. For instance, app=~\".*\" does not meet this requirement, but app=~\".+\" will";

/// Checks the selectors and the groupings of `sort`, and that every stage can be built.
pub(super) fn expr(source: &str, expr: &Expr) -> Result<(), ParseError> {
    let fault = |message: String| -> ParseError {
        meaning_error(source, SourceSpan::new(0, source.len()), message).into()
    };
    if let Expr::Metric(metric) = expr {
        let mut sorts_by = false;
        metric.walk(&mut |expr| {
            if let MetricExpr::Vector { op, grouping, .. } = expr {
                sorts_by |= matches!(op, VectorOp::Sort | VectorOp::SortDesc)
                    && !grouping.labels.is_empty();
            }
        });
        if sorts_by {
            return Err(fault(
                "sort and sort_desc doesn't allow grouping by ".to_owned(),
            ));
        }
    }
    for logs in expr.selectors() {
        if logs.matchers.iter().all(|matcher| matcher.matches_empty()) {
            return Err(fault(MATCHER_REQUIRED.to_owned()));
        }
        if let Err(error) = crate::stage::compile(&logs.stages) {
            return Err(fault(error));
        }
    }
    if let Expr::Metric(metric) = expr {
        let mut first = None;
        metric.walk(&mut |expr| {
            if let MetricExpr::Range { range, .. } = expr
                && let Some(unwrap) = &range.unwrap
                && first.is_none()
            {
                first = unwrap
                    .filters
                    .iter()
                    .find_map(|filter| crate::stage::check_filter(filter).err());
            }
        });
        if let Some(message) = first {
            return Err(fault(message));
        }
    }
    Ok(())
}

/// Checks a range aggregation and reads its parameter.
pub(super) fn range_aggregation(
    op: RangeOp,
    parameter: Option<&str>,
    grouping: Option<&Grouping>,
    range: &LogRange,
) -> Result<Option<f64>, String> {
    let name = op.as_str();
    let parameter = match (op, parameter) {
        (RangeOp::QuantileOverTime, None) => {
            return Err(format!("parameter required for operation {name}"));
        }
        (RangeOp::QuantileOverTime, Some(text)) => Some(
            parse_float(text)
                .map_err(|error| format!("invalid parameter for operation {name}: {error}"))?,
        ),
        (_, Some(text)) => {
            return Err(format!(
                "parameter {text} not supported for operation {name}"
            ));
        }
        (_, None) => None,
    };
    let groups = matches!(
        op,
        RangeOp::AvgOverTime
            | RangeOp::StddevOverTime
            | RangeOp::StdvarOverTime
            | RangeOp::QuantileOverTime
            | RangeOp::MaxOverTime
            | RangeOp::MinOverTime
            | RangeOp::FirstOverTime
            | RangeOp::LastOverTime
    );
    if grouping.is_some() && !groups {
        return Err(format!("grouping not allowed for {name} aggregation"));
    }
    let of_lines = matches!(
        op,
        RangeOp::BytesOverTime
            | RangeOp::BytesRate
            | RangeOp::CountOverTime
            | RangeOp::Rate
            | RangeOp::AbsentOverTime
    );
    let of_values = !matches!(
        op,
        RangeOp::BytesOverTime | RangeOp::BytesRate | RangeOp::CountOverTime
    );
    if range.unwrap.is_some() && !of_values {
        return Err(format!("invalid aggregation {name} with unwrap"));
    }
    if range.unwrap.is_none() && !of_lines {
        return Err(format!("invalid aggregation {name} without unwrap"));
    }
    Ok(parameter)
}

/// Checks a vector aggregation and reads its parameter, which is 0 where it has none.
pub(super) fn vector_aggregation(
    op: VectorOp,
    parameter: Option<&str>,
    grouping: &Grouping,
) -> Result<u64, String> {
    let name = op.as_str();
    match op {
        VectorOp::Topk | VectorOp::Bottomk | VectorOp::ApproxTopk => {
            let Some(text) = parameter else {
                return Err(format!("parameter required for operation {name}"));
            };
            let Ok(count) = text.parse::<i64>() else {
                return Err(format!("invalid parameter {name}({text},"));
            };
            if count <= 0 {
                return Err(format!(
                    "invalid parameter (must be greater than 0) {name}({text}"
                ));
            }
            if op == VectorOp::ApproxTopk && (grouping.without || !grouping.labels.is_empty()) {
                return Err(format!("grouping not allowed for {name} aggregation"));
            }
            Ok(count.unsigned_abs())
        }
        _ => match parameter {
            Some(text) => Err(format!(
                "unsupported parameter for operation {name}({text},"
            )),
            None => Ok(0),
        },
    }
}

/// Checks the sides of a binary operator.
pub(super) fn binary(op: BinaryOp, left: &Expr, right: &Expr) -> Result<(), String> {
    for (side, expr) in [("left", left), ("right", right)] {
        if let Expr::Log(logs) = expr {
            let kind = if logs.stages.is_empty() {
                "MatchersExpr"
            } else {
                "PipelineExpr"
            };
            return Err(format!(
                "unexpected type for {side} leg of binary operation ({}): *syntax.{kind}",
                op.as_str()
            ));
        }
    }
    if op.is_set() {
        for (side, expr) in [("left", left), ("right", right)] {
            if let Expr::Metric(MetricExpr::Literal(value)) = expr {
                return Err(format!(
                    "unexpected literal for {side} leg of logical/set binary operation ({}): {value:.6}",
                    op.as_str()
                ));
            }
        }
    }
    Ok(())
}

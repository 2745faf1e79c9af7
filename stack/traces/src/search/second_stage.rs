//! What is done to series: arithmetic, topk, bottomk, comparisons.

use std::cmp::Ordering;

use super::metrics::Series;
use crate::traceql::as_float;
use crate::traceql::ast::{Op, SecondStage};
use crate::traceql::value::Value;

/// `left op right` for series with the same labels; a side without labels goes with every series of the other.
pub(crate) fn apply_math(op: Op, left: &[Series], right: &[Series]) -> Vec<Series> {
    let mut result = Vec::new();
    for one in left {
        for two in right {
            let (of_one, of_two) = (labels(one), labels(two));
            let shown = if of_one.is_empty() || of_one == of_two {
                of_two
            } else if of_two.is_empty() {
                of_one
            } else {
                continue;
            };
            let exemplars = one.exemplars.iter().chain(&two.exemplars).cloned();
            result.push(Series {
                labels: shown,
                values: one
                    .values
                    .iter()
                    .zip(&two.values)
                    .map(|(one, two)| math(op, *one, *two))
                    .collect(),
                exemplars: exemplars.collect(),
            });
        }
    }
    result
}

/// `series op scalar`, or the other way round.
pub(crate) fn apply_scalar(op: Op, scalar: f64, scalar_first: bool, series: &mut [Series]) {
    for value in series.iter_mut().flat_map(|series| &mut series.values) {
        *value = if scalar_first {
            math(op, scalar, *value)
        } else {
            math(op, *value, scalar)
        };
    }
}

/// `topk`, `bottomk` and comparisons; points that are left out become NaN.
pub(crate) fn apply_second_stage(stage: &SecondStage, series: &mut Vec<Series>) {
    match stage {
        SecondStage::TopK(count, _) => keep_best(series, *count, |one, two| two.total_cmp(&one)),
        SecondStage::BottomK(count, _) => keep_best(series, *count, |one, two| one.total_cmp(&two)),
        SecondStage::Filter(op, constant) => {
            let seconds = matches!(constant, crate::traceql::ast::Static::Duration(_));
            // Durations are measured in seconds.
            let limit = if seconds {
                as_float(constant) / 1e9
            } else {
                as_float(constant)
            };
            for value in series.iter_mut().flat_map(|series| &mut series.values) {
                let holds = match op {
                    Op::Equal => *value == limit,
                    Op::NotEqual => *value != limit,
                    Op::Less => *value < limit,
                    Op::LessEqual => *value <= limit,
                    Op::Greater => *value > limit,
                    Op::GreaterEqual => *value >= limit,
                    _ => false,
                };
                if !holds {
                    *value = f64::NAN;
                }
            }
        }
    }
    series.retain(|series| series.values.iter().any(|value| !value.is_nan()));
}

fn math(op: Op, left: f64, right: f64) -> f64 {
    match op {
        Op::Add => left + right,
        Op::Sub => left - right,
        Op::Mul => left * right,
        // Tempo has no infinity here.
        _ if right == 0.0 => f64::NAN,
        _ => left / right,
    }
}

/// The labels that tell series apart: not the name that a series without any gets.
fn labels(series: &Series) -> Vec<(String, Value<'static>)> {
    series
        .labels
        .iter()
        .filter(|(name, _)| name != "__name__")
        .cloned()
        .collect()
}

/// Keeps the `count` best points of each instant; of equal ones those of the series whose labels come first.
fn keep_best(series: &mut [Series], count: i64, order: impl Fn(f64, f64) -> Ordering) {
    let count = usize::try_from(count).unwrap_or(0);
    let texts: Vec<String> = series
        .iter()
        .map(|series| {
            series
                .labels
                .iter()
                .map(|(name, value)| format!("{name}={};", value.to_text()))
                .collect()
        })
        .collect();
    let intervals = series.first().map_or(0, |series| series.values.len());
    for interval in 0..intervals {
        let mut ranked: Vec<usize> = (0..series.len())
            .filter(|index| !series[*index].values[interval].is_nan())
            .collect();
        ranked.sort_by(|one, two| {
            order(series[*one].values[interval], series[*two].values[interval])
                .then_with(|| texts[*one].cmp(&texts[*two]))
        });
        for index in ranked.into_iter().skip(count) {
            series[index].values[interval] = f64::NAN;
        }
    }
}

//! Binary operators.

use std::collections::{HashMap, HashSet};

use gameday_query::{BinaryOp, Cardinality, VectorMatching};

use super::QueryError;
use super::node::Sample;
use crate::LabelSet;

/// The value of an operator between two numbers; comparisons give 0 or 1. A zero divisor gives NaN, whatever is divided.
pub(crate) fn scalar(op: BinaryOp, left: f64, right: f64) -> f64 {
    if matches!(op, BinaryOp::Div | BinaryOp::Mod) && right == 0.0 {
        return f64::NAN;
    }
    if let Some(holds) = op.compare(left, right) {
        return f64::from(u8::from(holds));
    }
    op.arithmetic(left, right).unwrap_or(f64::NAN)
}

/// Applies an operator between each sample and a number. A comparison keeps the samples for which it holds, with `return_bool`
/// it makes 0 or 1 of each.
pub(super) fn with_literal(
    op: BinaryOp,
    return_bool: bool,
    samples: Vec<Sample>,
    literal: f64,
    literal_is_left: bool,
) -> Vec<Sample> {
    samples
        .into_iter()
        .filter_map(|sample| {
            let (left, right) = if literal_is_left {
                (literal, sample.value)
            } else {
                (sample.value, literal)
            };
            let value = scalar(op, left, right);
            if op.is_comparison() && !return_bool {
                return (value != 0.0).then_some(sample);
            }
            Some(Sample { value, ..sample })
        })
        .collect()
}

/// The labels by which a sample finds its partner.
fn key(labels: &LabelSet, matching: &VectorMatching) -> LabelSet {
    labels.filtered(|name| matching.labels.iter().any(|own| own == name) == matching.on)
}

/// `and`, `or` and `unless`.
pub(super) fn set(
    op: BinaryOp,
    matching: &VectorMatching,
    left: Vec<Sample>,
    right: Vec<Sample>,
) -> Vec<Sample> {
    let keys = |samples: &[Sample]| -> HashSet<LabelSet> {
        samples
            .iter()
            .map(|sample| key(&sample.labels, matching))
            .collect()
    };
    let mut left = left;
    if op == BinaryOp::Or {
        let known = keys(&left);
        left.extend(
            right
                .into_iter()
                .filter(|sample| !known.contains(&key(&sample.labels, matching))),
        );
        return left;
    }
    let known = keys(&right);
    left.retain(|sample| known.contains(&key(&sample.labels, matching)) == (op == BinaryOp::And));
    left
}

/// Arithmetic and comparisons between the samples that match.
pub(super) fn vectors(
    op: BinaryOp,
    return_bool: bool,
    matching: &VectorMatching,
    left: Vec<Sample>,
    right: Vec<Sample>,
) -> Result<Vec<Sample>, QueryError> {
    let swapped = matching.cardinality == Cardinality::OneToMany;
    let (many, one) = if swapped {
        (right, left)
    } else {
        (left, right)
    };
    let mut by_key: HashMap<LabelSet, &Sample> = HashMap::new();
    for sample in &one {
        if by_key
            .insert(key(&sample.labels, matching), sample)
            .is_some()
        {
            return Err(QueryError::Matching(if swapped {
                "found duplicate series on the left hand-side;many-to-many matching not allowed: matching labels must be unique on one side"
            } else {
                "found duplicate series on the right hand-side;many-to-many matching not allowed: matching labels must be unique on one side"
            }));
        }
    }
    let mut matched: HashSet<LabelSet> = HashSet::new();
    let mut results = Vec::new();
    for sample in &many {
        let key = key(&sample.labels, matching);
        let Some(partner) = by_key.get(&key) else {
            continue;
        };
        let labels = result_labels(&sample.labels, &partner.labels, matching);
        if matching.cardinality == Cardinality::OneToOne {
            if !matched.insert(key) {
                return Err(QueryError::Matching(
                    "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)",
                ));
            }
        } else if !matched.insert(labels.clone()) {
            return Err(QueryError::Matching(
                "multiple matches for labels: grouping labels must ensure unique matches",
            ));
        }
        let (left, right) = if swapped {
            (partner.value, sample.value)
        } else {
            (sample.value, partner.value)
        };
        let value = scalar(op, left, right);
        if op.is_comparison() && !return_bool {
            if value != 0.0 {
                results.push(Sample {
                    labels,
                    value: left,
                });
            }
        } else {
            results.push(Sample { labels, value });
        }
    }
    Ok(results)
}

fn result_labels(many: &LabelSet, one: &LabelSet, matching: &VectorMatching) -> LabelSet {
    let mut labels = if matching.cardinality == Cardinality::OneToOne {
        key(many, matching)
    } else {
        many.clone()
    };
    for name in &matching.include {
        labels = labels.with(name, one.get(name).unwrap_or(""));
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_divisors_give_nan() {
        assert!(scalar(BinaryOp::Div, 10.0, 0.0).is_nan());
        assert!(scalar(BinaryOp::Mod, 10.0, 0.0).is_nan());
        assert_eq!(scalar(BinaryOp::Pow, f64::NAN, 0.0), 1.0);
        assert_eq!(scalar(BinaryOp::Less, 2.0, 7.0), 1.0);
    }
}

//! Vector aggregations.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use gameday_query::{Grouping, nan_first};

use super::node::Sample;
use crate::LabelSet;
use crate::logql::VectorOp;

/// Aggregates the samples of each group.
pub(super) fn aggregate(
    op: VectorOp,
    parameter: u64,
    grouping: &Grouping,
    samples: Vec<Sample>,
) -> Vec<Sample> {
    match op {
        VectorOp::Sort => return sorted(samples, ascending),
        VectorOp::SortDesc => return sorted(samples, descending),
        _ => {}
    }
    let mut groups: BTreeMap<LabelSet, Vec<Sample>> = BTreeMap::new();
    for sample in samples {
        let key = if grouping.labels.is_empty() && !grouping.without {
            LabelSet::empty()
        } else {
            sample.labels.filtered(|name| grouping.keeps(name))
        };
        groups.entry(key).or_default().push(sample);
    }
    let mut results = Vec::new();
    for (labels, members) in groups {
        match op {
            VectorOp::Topk | VectorOp::ApproxTopk => {
                results.extend(first(sorted(members, descending), parameter));
            }
            VectorOp::Bottomk => results.extend(first(sorted(members, ascending), parameter)),
            _ => results.push(Sample {
                value: fold(op, &members),
                labels,
            }),
        }
    }
    results
}

fn first(mut samples: Vec<Sample>, count: u64) -> Vec<Sample> {
    samples.truncate(usize::try_from(count).unwrap_or(usize::MAX));
    samples
}

fn sorted(mut samples: Vec<Sample>, order: fn(f64, f64) -> Ordering) -> Vec<Sample> {
    samples.sort_by(|left, right| {
        order(left.value, right.value).then_with(|| left.labels.cmp(&right.labels))
    });
    samples
}

/// Smallest first, NaN last.
fn ascending(left: f64, right: f64) -> Ordering {
    match (left.is_nan(), right.is_nan()) {
        (false, false) => nan_first(left, right),
        (left, right) => left.cmp(&right),
    }
}

/// Largest first, NaN last.
fn descending(left: f64, right: f64) -> Ordering {
    match (left.is_nan(), right.is_nan()) {
        (false, false) => nan_first(right, left),
        (left, right) => left.cmp(&right),
    }
}

fn fold(op: VectorOp, samples: &[Sample]) -> f64 {
    let values = samples.iter().map(|sample| sample.value);
    match op {
        VectorOp::Sum => values.sum(),
        VectorOp::Count => samples.len() as f64,
        VectorOp::Avg => mean(values),
        VectorOp::Max => extreme(values, |new, old| new > old),
        VectorOp::Min => extreme(values, |new, old| new < old),
        VectorOp::Stdvar => variance(values),
        VectorOp::Stddev => variance(values).sqrt(),
        // The others select samples and do not fold them.
        _ => f64::NAN,
    }
}

/// The running mean; an infinite mean stays what it is until an infinity of the other sign or NaN comes.
pub(super) fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (mut mean, mut count) = (0f64, 0f64);
    for value in values {
        count += 1.0;
        let same_infinity = value.is_infinite() && (mean > 0.0) == (value > 0.0);
        if mean.is_infinite() && (same_infinity || value.is_finite()) {
            continue;
        }
        mean += value / count - mean / count;
    }
    mean
}

/// The largest or smallest value; NaN only where there is nothing else.
pub(super) fn extreme(values: impl Iterator<Item = f64>, better: fn(f64, f64) -> bool) -> f64 {
    let mut best = f64::NAN;
    for value in values {
        if best.is_nan() || better(value, best) {
            best = value;
        }
    }
    best
}

/// The population variance, by Welford's method.
pub(super) fn variance(values: impl Iterator<Item = f64>) -> f64 {
    let (mut squares, mut mean, mut count) = (0f64, 0f64, 0f64);
    for value in values {
        count += 1.0;
        let delta = value - mean;
        mean += delta / count;
        squares += delta * (value - mean);
    }
    squares / count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(values: &[f64]) -> Vec<Sample> {
        values
            .iter()
            .enumerate()
            .map(|(index, value)| Sample {
                labels: LabelSet::new(vec![("n".to_owned(), index.to_string())]),
                value: *value,
            })
            .collect()
    }

    #[test]
    fn folds() {
        for (op, values, expected) in [
            (VectorOp::Sum, &[1.0, 2.0, 3.0][..], 6.0),
            (VectorOp::Avg, &[1.0, 2.0, 6.0], 3.0),
            (VectorOp::Max, &[f64::NAN, 2.0, 1.0], 2.0),
            (VectorOp::Min, &[2.0, f64::NAN, 1.0], 1.0),
            (VectorOp::Count, &[2.0, 2.0], 2.0),
            (
                VectorOp::Stdvar,
                &[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0],
                4.0,
            ),
            (VectorOp::Avg, &[f64::INFINITY, 1.0], f64::INFINITY),
        ] {
            let result = aggregate(op, 0, &Grouping::default(), samples(values));
            assert_eq!(result[0].value, expected, "{op:?}");
        }
    }

    #[test]
    fn picks_and_sorts() {
        let values = |samples: Vec<Sample>| -> Vec<f64> {
            samples.iter().map(|sample| sample.value).collect()
        };
        let input = [3.0, f64::NAN, 1.0, 2.0];
        let pick = |op, count| values(aggregate(op, count, &Grouping::default(), samples(&input)));
        assert_eq!(pick(VectorOp::Topk, 2), [3.0, 2.0]);
        assert_eq!(pick(VectorOp::Bottomk, 2), [1.0, 2.0]);
        assert_eq!(pick(VectorOp::Sort, 0)[..3], [1.0, 2.0, 3.0]);
        assert_eq!(pick(VectorOp::SortDesc, 0)[..3], [3.0, 2.0, 1.0]);
    }
}

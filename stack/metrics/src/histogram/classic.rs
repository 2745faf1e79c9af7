//! Quantiles and fractions of classic histograms: cumulative counts by `le`.

/// A cumulative bucket.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ClassicBucket {
    /// `le`.
    pub(crate) upper: f64,
    /// The observations up to it.
    pub(crate) count: f64,
}

/// Where counts that decrease had to be corrected.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ForcedMonotonicity {
    /// The lowest bucket that was corrected.
    pub(crate) min_bucket: f64,
    /// The highest one.
    pub(crate) max_bucket: f64,
    /// The largest correction.
    pub(crate) max_diff: f64,
}

/// Differences between neighbours below this share are rounding errors (Prometheus promql/quantile.go, smallDeltaTolerance).
const SMALL_DELTA_TOLERANCE: f64 = 1e-12;

/// The `phi`-quantile by linear interpolation; the buckets are sorted and corrected in place.
pub(crate) fn bucket_quantile(
    phi: f64,
    buckets: &mut Vec<ClassicBucket>,
) -> (f64, Option<ForcedMonotonicity>) {
    if phi.is_nan() {
        return (f64::NAN, None);
    }
    if phi < 0.0 {
        return (f64::NEG_INFINITY, None);
    }
    if phi > 1.0 {
        return (f64::INFINITY, None);
    }
    if !prepare(buckets) {
        return (f64::NAN, None);
    }
    let forced = make_monotonic(buckets);
    let last = buckets.len() - 1;
    let observations = buckets[last].count;
    if buckets.len() < 2 || observations == 0.0 {
        return (f64::NAN, forced);
    }
    let mut rank = phi * observations;
    // A NaN rank compares with nothing and so ends in the last bucket.
    let found = buckets[..last].partition_point(|bucket| {
        let order = bucket.count.partial_cmp(&rank);
        order.is_none_or(std::cmp::Ordering::is_lt)
    });
    if found == last {
        return (buckets[last - 1].upper, forced);
    }
    let end = buckets[found].upper;
    if found == 0 && end <= 0.0 {
        return (end, forced);
    }
    let (mut start, mut count) = (0.0, buckets[found].count);
    if found > 0 {
        start = buckets[found - 1].upper;
        count -= buckets[found - 1].count;
        rank -= buckets[found - 1].count;
    }
    (start + (end - start) * (rank / count), forced)
}

/// The share of observations between `lower` and `upper` by linear interpolation.
pub(crate) fn bucket_fraction(lower: f64, upper: f64, buckets: &mut Vec<ClassicBucket>) -> f64 {
    if !prepare(buckets) {
        return f64::NAN;
    }
    let count = buckets.last().map_or(0.0, |last| last.count);
    if count == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    let rank_of = |bound: f64| {
        let mut rank = 0.0;
        let mut start = if buckets[0].upper <= 0.0 {
            f64::NEG_INFINITY
        } else {
            0.0
        };
        for bucket in buckets.iter() {
            if start >= bound {
                return rank;
            }
            if bucket.upper > bound {
                return if start == f64::NEG_INFINITY {
                    bucket.count
                } else {
                    rank + (bucket.count - rank) * (bound - start) / (bucket.upper - start)
                };
            }
            rank = bucket.count;
            start = bucket.upper;
        }
        count
    };
    (rank_of(upper).min(count) - rank_of(lower).min(count)) / count
}

/// Sorts the buckets and joins those with equal bounds. Whether there is a bucket for everything.
fn prepare(buckets: &mut Vec<ClassicBucket>) -> bool {
    buckets.sort_by(|left, right| left.upper.total_cmp(&right.upper));
    if buckets
        .last()
        .is_none_or(|last| last.upper != f64::INFINITY)
    {
        return false;
    }
    buckets.dedup_by(|next, kept| {
        let same = next.upper == kept.upper;
        if same {
            kept.count += next.count;
        }
        same
    });
    true
}

fn make_monotonic(buckets: &mut [ClassicBucket]) -> Option<ForcedMonotonicity> {
    let mut forced: Option<ForcedMonotonicity> = None;
    let mut previous = buckets.first()?.count;
    for bucket in &mut buckets[1..] {
        let current = bucket.count;
        if current == previous {
            continue;
        }
        if almost_equal(previous, current, SMALL_DELTA_TOLERANCE) {
            bucket.count = previous;
            continue;
        }
        if current < previous {
            bucket.count = previous;
            let seen = forced.get_or_insert(ForcedMonotonicity {
                min_bucket: bucket.upper,
                max_bucket: bucket.upper,
                max_diff: 0.0,
            });
            seen.min_bucket = seen.min_bucket.min(bucket.upper);
            seen.max_bucket = seen.max_bucket.max(bucket.upper);
            seen.max_diff = seen.max_diff.max(previous - current);
            continue;
        }
        previous = current;
    }
    forced
}

/// Whether two numbers differ by no more than a share of their sum.
fn almost_equal(left: f64, right: f64, tolerance: f64) -> bool {
    if left.is_nan() || right.is_nan() {
        return left.is_nan() && right.is_nan();
    }
    if left == right {
        return true;
    }
    let (sum, difference) = (left.abs() + right.abs(), (left - right).abs());
    if left == 0.0 || right == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < tolerance * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < tolerance
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(pairs: &[(f64, f64)]) -> Vec<ClassicBucket> {
        pairs
            .iter()
            .map(|(upper, count)| ClassicBucket {
                upper: *upper,
                count: *count,
            })
            .collect()
    }

    #[test]
    fn quantiles() {
        let inf = f64::INFINITY;
        for (phi, pairs, expected) in [
            (0.5, &[(1.0, 10.0), (2.0, 20.0), (inf, 20.0)][..], 1.0),
            (0.75, &[(1.0, 10.0), (2.0, 20.0), (inf, 20.0)], 1.5),
            (0.9, &[(1.0, 5.0), (2.0, 6.0), (inf, 20.0)], 2.0),
            (0.1, &[(-1.0, 5.0), (2.0, 6.0), (inf, 20.0)], -1.0),
        ] {
            assert_eq!(bucket_quantile(phi, &mut buckets(pairs)).0, expected);
        }
        assert!(bucket_quantile(0.5, &mut buckets(&[(1.0, 1.0)])).0.is_nan());
        let (_, forced) = bucket_quantile(0.5, &mut buckets(&[(1.0, 5.0), (2.0, 3.0), (inf, 9.0)]));
        assert_eq!(forced.map(|forced| forced.max_diff), Some(2.0));
    }

    #[test]
    fn fractions() {
        let mut all = buckets(&[(1.0, 10.0), (2.0, 20.0), (f64::INFINITY, 40.0)]);
        assert_eq!(bucket_fraction(0.0, 1.5, &mut all), 15.0 / 40.0);
        assert_eq!(bucket_fraction(2.0, 1.0, &mut all), 0.0);
        assert_eq!(
            bucket_fraction(f64::NEG_INFINITY, f64::INFINITY, &mut all),
            1.0
        );
    }
}

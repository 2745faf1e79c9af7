//! Quantiles, fractions and variance of native histograms.

use gameday_query::KahanSum;
use gameday_signal::Histogram;

use super::buckets::{Bucket, buckets};
use super::native::CUSTOM_BUCKETS_SCHEMA;

/// What NaN observations do to a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NanNote {
    /// The quantile lies among them.
    Result,
    /// They count as larger than all others and so move a quantile upwards.
    Skew,
    /// They are in no fraction.
    Fraction,
}

fn is_custom(histogram: &Histogram) -> bool {
    histogram.schema == CUSTOM_BUCKETS_SCHEMA
}

/// Where only one side has buckets, the zero bucket ends at zero on the other.
fn narrow_zero_bucket(bucket: &mut Bucket, histogram: &Histogram) {
    match (
        histogram.negative_buckets.is_empty(),
        histogram.positive_buckets.is_empty(),
    ) {
        (true, false) => bucket.lower = 0.0,
        (false, true) => bucket.upper = 0.0,
        _ => {}
    }
}

/// The `phi`-quantile: exponential interpolation within exponential buckets, linear in the zero bucket and in custom ones.
pub(crate) fn quantile(phi: f64, histogram: &Histogram) -> (f64, Option<NanNote>) {
    if phi < 0.0 {
        return (f64::NEG_INFINITY, None);
    }
    if phi > 1.0 {
        return (f64::INFINITY, None);
    }
    if histogram.count == 0.0 || phi.is_nan() {
        return (f64::NAN, None);
    }
    let all = buckets(histogram);
    // NaN observations are in no bucket, so that ranks can only be counted from below where there are some.
    let forward = histogram.sum.is_nan() || phi < 0.5;
    let mut rank = if forward { phi } else { 1.0 - phi } * histogram.count;
    let mut count = 0.0;
    let mut bucket = Bucket {
        lower: 0.0,
        upper: 0.0,
        lower_inclusive: true,
        upper_inclusive: true,
        count: 0.0,
    };
    let mut seen = 0;
    for step in 0..all.len() {
        bucket = all[if forward { step } else { all.len() - 1 - step }];
        count += bucket.count;
        seen = step + 1;
        if count >= rank {
            break;
        }
    }
    if is_custom(histogram) {
        if bucket.lower == f64::NEG_INFINITY {
            if bucket.upper <= 0.0 {
                return (bucket.upper, None);
            }
            bucket.lower = 0.0;
        } else if bucket.upper == f64::INFINITY {
            return (bucket.lower, None);
        }
    } else if bucket.lower < 0.0 && bucket.upper > 0.0 {
        narrow_zero_bucket(&mut bucket, histogram);
    }
    count = count.min(histogram.count);
    if count < rank {
        return if histogram.sum.is_nan() {
            (f64::NAN, Some(NanNote::Result))
        } else {
            (bucket.upper, None)
        };
    }
    rank = if forward {
        rank - (count - bucket.count)
    } else {
        count - rank
    };
    let note = if histogram.sum.is_nan() {
        let in_buckets: f64 = count + all[seen..].iter().map(|bucket| bucket.count).sum::<f64>();
        (in_buckets < histogram.count).then_some(NanNote::Skew)
    } else {
        None
    };
    (
        interpolate(&bucket, rank / bucket.count, is_custom(histogram)),
        note,
    )
}

fn interpolate(bucket: &Bucket, fraction: f64, custom: bool) -> f64 {
    if custom || (bucket.lower <= 0.0 && bucket.upper >= 0.0) {
        return bucket.lower + (bucket.upper - bucket.lower) * fraction;
    }
    let (lower, upper) = (bucket.lower.abs().log2(), bucket.upper.abs().log2());
    if bucket.lower > 0.0 {
        (lower + (upper - lower) * fraction).exp2()
    } else {
        -(upper + (lower - upper) * (1.0 - fraction)).exp2()
    }
}

/// The share of observations between `lower` and `upper`.
pub(crate) fn fraction(lower: f64, upper: f64, histogram: &Histogram) -> (f64, Option<NanNote>) {
    if histogram.count == 0.0 || lower.is_nan() || upper.is_nan() {
        return (f64::NAN, None);
    }
    if lower >= upper {
        return (0.0, None);
    }
    let all = buckets(histogram);
    let mut rank = 0.0;
    let (mut lower_rank, mut upper_rank) = (None, None);
    for own in &all {
        let mut bucket = *own;
        let zero = bucket.lower <= 0.0 && bucket.upper >= 0.0;
        if zero {
            narrow_zero_bucket(&mut bucket, histogram);
        }
        for (bound, found) in [(lower, &mut lower_rank), (upper, &mut upper_rank)] {
            if found.is_some() {
                continue;
            }
            if bucket.lower >= bound {
                *found = Some(rank);
            } else if bucket.upper > bound {
                *found = Some(rank_within(
                    &bucket,
                    bound,
                    rank,
                    zero || is_custom(histogram),
                ));
            }
        }
        if lower_rank.is_some() && upper_rank.is_some() {
            break;
        }
        rank += bucket.count;
    }
    let (mut count, mut note) = (histogram.count, None);
    if histogram.sum.is_nan() {
        count = all.iter().map(|bucket| bucket.count).sum();
        note = (count < histogram.count).then_some(NanNote::Fraction);
    }
    let capped = |rank: Option<f64>| rank.map_or(count, |rank| rank.min(count));
    (
        (capped(upper_rank) - capped(lower_rank)) / histogram.count,
        note,
    )
}

/// The observations up to `value`, which lies within the bucket. A bucket without a lower bound counts as a whole.
fn rank_within(bucket: &Bucket, value: f64, rank: f64, linear: bool) -> f64 {
    if linear && bucket.lower == f64::NEG_INFINITY {
        return bucket.count;
    }
    rank + bucket.count * bucket.fraction_below(value, linear)
}

/// The population variance, estimated from the buckets' middles.
pub(crate) fn variance(histogram: &Histogram) -> f64 {
    let mean = histogram.sum / histogram.count;
    let mut squares = KahanSum::default();
    for bucket in buckets(histogram) {
        let middle = if is_custom(histogram) {
            (bucket.upper + bucket.lower) / 2.0
        } else if bucket.lower <= 0.0 && bucket.upper >= 0.0 {
            0.0
        } else {
            (bucket.upper * bucket.lower)
                .sqrt()
                .copysign(bucket.upper + bucket.lower)
        };
        let delta = middle - mean;
        squares.add(bucket.count * delta * delta);
    }
    squares.value() / histogram.count
}

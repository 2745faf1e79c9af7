//! The buckets of a native histogram with their bounds.

use std::f64::consts::SQRT_2;
use std::sync::LazyLock;

use gameday_signal::{BucketSpan, Histogram};

use super::native::CUSTOM_BUCKETS_SCHEMA;

/// A bucket with its bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// The lower bound.
    pub lower: f64,
    /// The upper bound.
    pub upper: f64,
    /// Whether an observation at the lower bound counts.
    pub lower_inclusive: bool,
    /// Whether an observation at the upper bound counts.
    pub upper_inclusive: bool,
    /// The observations in it.
    pub count: f64,
}

impl Bucket {
    /// The share of the bucket's width below `value`, which lies within its finite bounds: on a linear scale, or on the
    /// logarithmic one on which all exponential buckets are equally wide.
    pub(super) fn fraction_below(&self, value: f64, linear: bool) -> f64 {
        if linear {
            return (value - self.lower) / (self.upper - self.lower);
        }
        let (lower, upper) = (self.lower.abs().log2(), self.upper.abs().log2());
        let at = value.abs().log2();
        if value > 0.0 {
            (at - lower) / (upper - lower)
        } else {
            1.0 - (at - upper) / (lower - upper)
        }
    }
}

/// The finest exponential schema: 256 buckets for each power of two.
const FINEST_SCHEMA: i32 = 8;

/// The bounds of the finest schema from 1 up to 2, to the last digit those of Prometheus (client_golang, nativeHistogramBounds): each
/// schema has the bounds of the one before it, and between them each bound times 2^(2^-schema).
static FINEST_BOUNDS: LazyLock<Vec<f64>> = LazyLock::new(|| {
    // Go's math.Exp2 is one unit in the last place below the root of two.
    let root_of_two = SQRT_2.next_down();
    let mut bounds = vec![1.0];
    for schema in 1..=FINEST_SCHEMA {
        let factor = match schema {
            1 => root_of_two,
            _ => (-f64::from(schema)).exp2().exp2(),
        };
        bounds = bounds
            .into_iter()
            .flat_map(|bound| [bound, bound * factor])
            .collect();
    }
    bounds
});

/// The upper bound of bucket `index` of an exponential schema: 2^(index * 2^-schema). The last finite bucket ends at the largest
/// float, the one after it at infinity.
pub(super) fn exponential_bound(index: i32, schema: i32) -> f64 {
    let per_power = f64::from(schema).exp2();
    let exponent = (f64::from(index) / per_power).floor();
    if exponent == 1024.0 && exponent * per_power == f64::from(index) {
        return f64::MAX;
    }
    let mantissa = if (1..=FINEST_SCHEMA).contains(&schema) {
        let place = index.rem_euclid(1 << schema) << (FINEST_SCHEMA - schema);
        FINEST_BOUNDS[place as usize]
    } else {
        1.0
    };
    mantissa * exponent.exp2()
}

/// The lower and upper bound of bucket `index` on the positive side.
pub(super) fn bounds(index: i32, schema: i32, custom_values: &[f64]) -> (f64, f64) {
    if schema != CUSTOM_BUCKETS_SCHEMA {
        return (
            exponential_bound(index - 1, schema),
            exponential_bound(index, schema),
        );
    }
    let at = |index: i32| {
        usize::try_from(index)
            .ok()
            .and_then(|index| custom_values.get(index))
            .copied()
    };
    let lower = if index == 0 {
        f64::NEG_INFINITY
    } else {
        at(index - 1).unwrap_or(f64::INFINITY)
    };
    (lower, at(index).unwrap_or(f64::INFINITY))
}

/// Bucket indexes and counts, in ascending order of the index; empty buckets are left out.
pub(super) fn indexed(spans: &[BucketSpan], counts: &[f64]) -> Vec<(i32, f64)> {
    let mut found = Vec::with_capacity(counts.len());
    let mut counts = counts.iter();
    let mut index = 0_i32;
    for span in spans {
        index = index.saturating_add(span.offset);
        for _ in 0..span.length {
            let Some(count) = counts.next() else {
                return found;
            };
            if *count != 0.0 {
                found.push((index, *count));
            }
            index = index.saturating_add(1);
        }
    }
    found
}

/// All buckets with observations, from the lowest to the highest; the zero bucket stands between the sides, and buckets inside
/// it are left out.
pub fn buckets(histogram: &Histogram) -> Vec<Bucket> {
    let custom = histogram.schema == CUSTOM_BUCKETS_SCHEMA;
    let threshold = histogram.zero_threshold;
    let outside = |upper: f64| custom || threshold == 0.0 || upper > threshold;
    let mut found: Vec<Bucket> = indexed(&histogram.negative_spans, &histogram.negative_buckets)
        .into_iter()
        .rev()
        .map(|(index, count)| {
            let (lower, upper) = bounds(index, histogram.schema, &histogram.custom_values);
            Bucket {
                lower: -upper,
                upper: -lower,
                lower_inclusive: true,
                upper_inclusive: false,
                count,
            }
        })
        .filter(|bucket| outside(-bucket.lower))
        .collect();
    if histogram.zero_count > 0.0 {
        found.push(zero_bucket(histogram));
    }
    found.extend(
        indexed(&histogram.positive_spans, &histogram.positive_buckets)
            .into_iter()
            .map(|(index, count)| {
                let (lower, upper) = bounds(index, histogram.schema, &histogram.custom_values);
                Bucket {
                    lower,
                    upper,
                    // The first custom bucket has no lower bound.
                    lower_inclusive: custom && index == 0,
                    upper_inclusive: true,
                    count,
                }
            })
            .filter(|bucket| outside(bucket.upper)),
    );
    found
}

/// The bucket around zero.
pub(super) fn zero_bucket(histogram: &Histogram) -> Bucket {
    Bucket {
        lower: -histogram.zero_threshold,
        upper: histogram.zero_threshold,
        lower_inclusive: true,
        upper_inclusive: true,
        count: histogram.zero_count,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_those_of_prometheus_to_the_last_digit() {
        for (index, schema, expected) in [
            (0, 8, 1.0),
            (1, 8, 2.0 * 0.501_355_637_525_101_3),
            (3, 8, 2.0 * 0.504_077_949_059_208_8),
            (5, 8, 2.0 * 0.506_815_042_475_744_7),
            (128, 8, 2.0 * 0.707_106_781_186_547_5),
            (255, 8, 2.0 * 0.997_296_056_085_469_8),
            (1, 1, 2.0 * 0.707_106_781_186_547_5),
            (-1, 1, 0.707_106_781_186_547_5),
            (-511, 8, 0.5 * 0.501_355_637_525_101_3),
            (10, 3, 4.0 * 0.594_603_557_501_360_5),
            (2, 0, 4.0),
            (-3, -1, 2.0_f64.powi(-6)),
            (1023, 0, 2.0_f64.powi(1023)),
            (1024, 0, f64::MAX),
            (1025, 0, f64::INFINITY),
            (1024 << 8, 8, f64::MAX),
            ((1024 << 8) + 1, 8, f64::INFINITY),
            (-1074, 0, 5e-324),
            (64, -4, f64::MAX),
        ] {
            assert_eq!(
                exponential_bound(index, schema),
                expected,
                "{index} of {schema}"
            );
        }
    }

    #[test]
    fn buckets_stand_in_order() {
        let histogram = Histogram {
            zero_threshold: 0.5,
            zero_count: 1.0,
            positive_spans: vec![
                BucketSpan {
                    offset: 0,
                    length: 1,
                },
                BucketSpan {
                    offset: 1,
                    length: 1,
                },
            ],
            positive_buckets: vec![2.0, 3.0],
            negative_spans: vec![BucketSpan {
                offset: 1,
                length: 2,
            }],
            negative_buckets: vec![4.0, 0.0],
            ..Histogram::default()
        };
        let shown: Vec<(f64, f64, f64)> = buckets(&histogram)
            .iter()
            .map(|bucket| (bucket.lower, bucket.upper, bucket.count))
            .collect();
        assert_eq!(
            shown,
            [
                (-2.0, -1.0, 4.0),
                (-0.5, 0.5, 1.0),
                (0.5, 1.0, 2.0),
                (2.0, 4.0, 3.0)
            ]
        );
    }
}

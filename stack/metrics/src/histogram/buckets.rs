//! The buckets of a native histogram with their bounds.

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

/// The upper bound of bucket `index` of an exponential schema: 2^(index * 2^-schema). The last finite bucket ends at the largest
/// float, the one after it at infinity.
pub(super) fn exponential_bound(index: i32, schema: i32) -> f64 {
    let exponent = f64::from(index) * (-f64::from(schema)).exp2();
    if exponent == 1024.0 {
        f64::MAX
    } else {
        exponent.exp2()
    }
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
    fn exponential_bounds() {
        for (index, schema, expected) in [
            (0, 0, 1.0),
            (3, 0, 8.0),
            (-1, 0, 0.5),
            (1, 1, 2.0_f64.sqrt()),
            (2, -1, 16.0),
            (1024, 0, f64::MAX),
            (1025, 0, f64::INFINITY),
        ] {
            assert_eq!(exponential_bound(index, schema), expected);
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

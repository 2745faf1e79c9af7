//! The operators `</` and `>/`: a histogram without the observations above or below a value.

use gameday_signal::{BucketSpan, Histogram};

use super::buckets::{Bucket, bounds, zero_bucket};
use super::native::{CUSTOM_BUCKETS_SCHEMA, Native};

/// Keeps the observations below `bound` (`upper`) or above it. Sum and count are estimated anew where something was cut.
pub(crate) fn trim(histogram: &Histogram, bound: f64, upper: bool) -> Histogram {
    let mut kept = histogram.clone();
    let mut totals = Totals::default();
    let has_positive = totals.side(&mut kept, bound, upper, true);
    let has_negative = totals.side(&mut kept, bound, upper, false);
    if kept.zero_count > 0.0 {
        let (count, middle) = trim_zero(
            &zero_bucket(&kept),
            bound,
            upper,
            has_negative,
            has_positive,
        );
        totals.keep(&mut kept.zero_count, count, middle);
    }
    if !totals.cut {
        return kept;
    }
    kept.count = totals.count;
    kept.sum = totals.sum;
    Native::new(&kept).to_histogram()
}

#[derive(Default)]
struct Totals {
    count: f64,
    sum: f64,
    cut: bool,
}

impl Totals {
    fn keep(&mut self, own: &mut f64, count: f64, middle: f64) {
        self.count += count;
        self.sum += middle * count;
        if *own != count {
            *own = count;
            self.cut = true;
        }
    }

    /// Trims one side; returns whether it has observations.
    fn side(&mut self, histogram: &mut Histogram, bound: f64, upper: bool, positive: bool) -> bool {
        let custom = histogram.schema == CUSTOM_BUCKETS_SCHEMA;
        let (spans, mut counts) = if positive {
            (
                &histogram.positive_spans,
                std::mem::take(&mut histogram.positive_buckets),
            )
        } else {
            (
                &histogram.negative_spans,
                std::mem::take(&mut histogram.negative_buckets),
            )
        };
        let mut found = false;
        for (index, own) in indexes(spans).zip(&mut counts) {
            if *own == 0.0 {
                continue;
            }
            found = true;
            let (mut lower_bound, mut upper_bound) =
                bounds(index, histogram.schema, &histogram.custom_values);
            if !positive {
                (lower_bound, upper_bound) = (-upper_bound, -lower_bound);
            }
            let bucket = Bucket {
                lower: lower_bound,
                upper: upper_bound,
                lower_inclusive: false,
                upper_inclusive: false,
                count: *own,
            };
            let whole = if upper {
                bucket.upper <= bound
            } else {
                bucket.lower >= bound
            };
            let within = if upper {
                bucket.lower < bound
            } else {
                bucket.upper > bound
            };
            let (count, middle) = if whole {
                (*own, midpoint(bucket.lower, bucket.upper, positive, custom))
            } else if within {
                trim_bucket(&bucket, bound, upper, positive, custom)
            } else {
                (0.0, 0.0)
            };
            self.keep(own, count, middle);
        }
        if positive {
            histogram.positive_buckets = counts;
        } else {
            histogram.negative_buckets = counts;
        }
        found
    }
}

fn indexes(spans: &[BucketSpan]) -> impl Iterator<Item = i32> {
    let mut next = 0_i32;
    spans.iter().flat_map(move |span| {
        let start = next.saturating_add(span.offset);
        next = start.saturating_add(span.length as i32);
        start..next
    })
}

/// How many observations of a bucket that is cut stay, and where their middle lies.
fn trim_bucket(
    bucket: &Bucket,
    bound: f64,
    upper: bool,
    positive: bool,
    custom: bool,
) -> (f64, f64) {
    if bucket.lower == f64::NEG_INFINITY || bucket.upper == f64::INFINITY {
        return trim_open_bucket(bucket, bound, upper);
    }
    let below = if bound <= bucket.lower {
        0.0
    } else if bound >= bucket.upper {
        bucket.count
    } else {
        bucket.count * bucket.fraction_below(bound, custom)
    };
    if upper {
        (below, midpoint(bucket.lower, bound, positive, custom))
    } else {
        (
            bucket.count - below,
            midpoint(bound, bucket.upper, positive, custom),
        )
    }
}

/// A bucket that is open at one end cannot be interpolated: observations count as lying at its finite end, those of a first
/// bucket with a positive end as between zero and that end.
fn trim_open_bucket(bucket: &Bucket, bound: f64, upper: bool) -> (f64, f64) {
    let finite = |value: f64| if value.is_infinite() { 0.0 } else { value };
    if bucket.lower == f64::NEG_INFINITY {
        let end = bucket.upper;
        if upper {
            return if bound >= end {
                (bucket.count, 0.0)
            } else if bound > 0.0 && end > 0.0 && end.is_finite() {
                (bucket.count * bound / end, bound / 2.0)
            } else if end <= 0.0 {
                (bucket.count, bound)
            } else {
                (0.0, finite(end))
            };
        }
        return if bound <= bucket.lower {
            (bucket.count, 0.0)
        } else if bound >= 0.0 && end > bound && end.is_finite() {
            (bucket.count * (1.0 - bound / end), (bound + end) / 2.0)
        } else {
            (0.0, finite(end))
        };
    }
    if !upper && bound >= bucket.lower {
        (bucket.count, bound)
    } else {
        (0.0, finite(bucket.lower))
    }
}

fn trim_zero(
    bucket: &Bucket,
    bound: f64,
    upper_trim: bool,
    has_negative: bool,
    has_positive: bool,
) -> (f64, f64) {
    let lower = if has_positive && !has_negative {
        0.0
    } else {
        bucket.lower
    };
    let upper = if has_negative && !has_positive {
        0.0
    } else {
        bucket.upper
    };
    let whole = (bucket.count, (lower + upper) / 2.0);
    let (nothing, everything) = if upper_trim {
        (bound <= lower, bound >= upper)
    } else {
        (bound >= upper, bound <= lower)
    };
    // A lower trim at the lower end keeps all of it, an upper trim there nothing.
    if upper_trim && nothing {
        return (0.0, 0.0);
    }
    if everything {
        return whole;
    }
    if nothing {
        return (0.0, 0.0);
    }
    if upper_trim {
        (
            bucket.count * (bound - lower) / (upper - lower),
            (lower + bound) / 2.0,
        )
    } else {
        (
            bucket.count * (upper - bound) / (upper - lower),
            (bound + upper) / 2.0,
        )
    }
}

fn midpoint(lower: f64, upper: f64, positive: bool, linear: bool) -> f64 {
    match (lower.is_infinite(), upper.is_infinite()) {
        (true, true) => 0.0,
        (true, false) if upper > 0.0 => upper / 2.0,
        (true, false) => upper,
        (false, true) => lower,
        (false, false) if linear => (lower + upper) / 2.0,
        (false, false) => {
            let middle = (lower * upper).abs().sqrt();
            if positive { middle } else { -middle }
        }
    }
}

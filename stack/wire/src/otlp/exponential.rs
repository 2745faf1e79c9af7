//! Exponential histograms of OpenTelemetry as native histograms of Prometheus.

use gameday_signal::{BucketSpan, Histogram, stale_nan};

use super::metric_message::{ExponentialBuckets, ExponentialPoint, HistogramPoint};
use crate::histogram::{CUSTOM_BUCKETS, check};

/// Native histograms have no finer resolution.
const SCALE_MAX: i32 = 8;
/// Native histograms have no coarser resolution.
const SCALE_MIN: i32 = -4;
/// The half width of the zero bucket where the sender gives none (Prometheus' OTLP receiver).
const ZERO_THRESHOLD: f64 = 1e-128;
/// Fewer empty buckets than this are written out, more make a new span (client_golang, histogram.go).
const GAP_MAX: i32 = 2;

/// Turns an exponential histogram into a native one: finer scales than 8 are merged down to it.
pub(super) fn native(
    point: &ExponentialPoint,
    no_recorded_value: bool,
    buckets_max: usize,
) -> Result<Histogram, String> {
    if point.scale < SCALE_MIN {
        return Err(format!(
            "exponential histogram has scale {}, expected at least {SCALE_MIN}",
            point.scale
        ));
    }
    // An index has 32 bits: what is merged further than that is one bucket.
    let shift = (point.scale - SCALE_MAX).clamp(0, 31);
    let side = |buckets: &Option<ExponentialBuckets>| -> Result<_, String> {
        let Some(buckets) = buckets else {
            return Ok((Vec::new(), Vec::new()));
        };
        limit(buckets.bucket_counts.len(), buckets_max)?;
        Ok(sparse(buckets.bucket_counts.iter().enumerate().map(
            |(at, count)| {
                let index = i64::from(buckets.offset) + at as i64;
                // Bucket 0 is (1, base] here and (1/base, 1] there.
                ((index >> shift).saturating_add(1), *count)
            },
        )))
    };
    let (positive_spans, positive_buckets) = side(&point.positive)?;
    let (negative_spans, negative_buckets) = side(&point.negative)?;
    let histogram = Histogram {
        schema: point.scale.min(SCALE_MAX),
        zero_threshold: if point.zero_threshold > 0.0 {
            point.zero_threshold
        } else {
            ZERO_THRESHOLD
        },
        zero_count: point.zero_count as f64,
        positive_spans,
        positive_buckets,
        negative_spans,
        negative_buckets,
        ..totals(point.count, point.sum, no_recorded_value)
    };
    check(&histogram)?;
    Ok(histogram)
}

/// Turns a histogram with explicit bounds into a native one with custom buckets (`convert_histograms_to_nhcb`).
pub(super) fn custom(
    point: &HistogramPoint,
    no_recorded_value: bool,
    buckets_max: usize,
) -> Result<Histogram, String> {
    limit(point.bucket_counts.len(), buckets_max)?;
    let counts = point.bucket_counts.iter().enumerate();
    let (positive_spans, positive_buckets) =
        sparse(counts.map(|(index, count)| (index as i64, *count)));
    let histogram = Histogram {
        schema: CUSTOM_BUCKETS,
        positive_spans,
        positive_buckets,
        custom_values: point.explicit_bounds.clone(),
        ..totals(point.count, point.sum, no_recorded_value)
    };
    check(&histogram)?;
    Ok(histogram)
}

fn limit(buckets: usize, buckets_max: usize) -> Result<(), String> {
    if buckets > buckets_max {
        return Err(format!("{buckets} buckets, the limit is {buckets_max}"));
    }
    Ok(())
}

fn totals(count: u64, sum: Option<f64>, no_recorded_value: bool) -> Histogram {
    if no_recorded_value {
        return Histogram {
            count: stale_nan(),
            sum: stale_nan(),
            ..Histogram::default()
        };
    }
    Histogram {
        count: count as f64,
        sum: sum.unwrap_or(0.0),
        ..Histogram::default()
    }
}

/// Lays buckets with ascending indices out as spans: neighbours with the same index are added up, empty ones only fill small gaps.
fn sparse(buckets: impl Iterator<Item = (i64, u64)>) -> (Vec<BucketSpan>, Vec<f64>) {
    let mut merged: Vec<(i32, u64)> = Vec::new();
    for (index, count) in buckets.filter(|(_, count)| *count > 0) {
        let index = i32::try_from(index).unwrap_or(if index < 0 { i32::MIN } else { i32::MAX });
        match merged.last_mut() {
            Some((last, total)) if *last == index => *total = total.saturating_add(count),
            _ => merged.push((index, count)),
        }
    }
    let mut spans: Vec<BucketSpan> = Vec::new();
    let mut counts = Vec::new();
    let mut next = 0;
    for (index, count) in merged {
        let gap = index.saturating_sub(next);
        match spans.last_mut() {
            Some(span) if gap <= GAP_MAX => {
                let gap = gap.unsigned_abs();
                counts.extend(std::iter::repeat_n(0.0, gap as usize));
                span.length += gap + 1;
            }
            _ => spans.push(BucketSpan {
                offset: gap,
                length: 1,
            }),
        }
        counts.push(count as f64);
        next = index.saturating_add(1);
    }
    (spans, counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_native(
        scale: i32,
        offset: i32,
        counts: &[u64],
        spans: &[(i32, u32)],
        expected: &[f64],
    ) {
        let point = ExponentialPoint {
            scale,
            count: counts.iter().sum(),
            positive: Some(ExponentialBuckets {
                offset,
                bucket_counts: counts.to_vec(),
            }),
            ..ExponentialPoint::default()
        };
        let histogram = native(&point, false, 100).expect("a valid histogram");
        let found: Vec<_> = histogram
            .positive_spans
            .iter()
            .map(|span| (span.offset, span.length))
            .collect();
        assert_eq!(
            (found.as_slice(), histogram.positive_buckets.as_slice()),
            (spans, expected)
        );
    }

    #[test]
    fn shifts_buckets_by_one() {
        check_native(0, 0, &[1, 2], &[(1, 2)], &[1.0, 2.0]);
        check_native(0, -3, &[1, 0, 0, 2], &[(-2, 4)], &[1.0, 0.0, 0.0, 2.0]);
        check_native(0, -3, &[1, 0, 0, 0, 2, 0], &[(-2, 1), (3, 1)], &[1.0, 2.0]);
    }

    #[test]
    fn merges_finer_scales_down() {
        check_native(9, 0, &[1, 2, 3, 4], &[(1, 2)], &[3.0, 7.0]);
        check_native(9, -1, &[1, 2, 3], &[(0, 2)], &[1.0, 5.0]);
        check_native(20, -1, &[1, 2], &[(0, 2)], &[1.0, 2.0]);
        check_native(i32::MAX, -1, &[1, 2], &[(0, 2)], &[1.0, 2.0]);
    }

    #[test]
    fn refuses_what_cannot_be_shown() {
        let point = ExponentialPoint {
            scale: -5,
            ..ExponentialPoint::default()
        };
        assert!(native(&point, false, 100).is_err());
        let wide = ExponentialPoint {
            positive: Some(ExponentialBuckets {
                offset: i32::MAX,
                bucket_counts: vec![1; 3],
            }),
            ..ExponentialPoint::default()
        };
        assert!(native(&wide, false, 2).is_err());
        assert!(native(&wide, false, 10).is_ok());
    }

    #[test]
    fn keeps_explicit_bounds_as_custom_ones() {
        let point = HistogramPoint {
            count: 3,
            sum: Some(4.0),
            bucket_counts: vec![0, 1, 2],
            explicit_bounds: vec![1.0, 2.0],
            ..HistogramPoint::default()
        };
        let histogram = custom(&point, false, 100).expect("a valid histogram");
        assert_eq!(histogram.schema, CUSTOM_BUCKETS);
        assert_eq!(histogram.custom_values, [1.0, 2.0]);
        assert_eq!(
            histogram.positive_spans,
            [BucketSpan {
                offset: 1,
                length: 2
            }]
        );
    }
}

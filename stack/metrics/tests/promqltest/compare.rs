//! Comparing a result with what is expected.

use gameday_metrics::{
    InstantSample, Point, RangeSeries, SampleValue, SequenceValue, Value, histogram_text,
};
use gameday_signal::{BucketSpan, Histogram, is_stale};

use super::script::{Eval, Steps, timed};

/// The tolerance of Prometheus' tests.
const EPSILON: f64 = 0.000_001;

pub(super) fn compare_result(eval: &Eval, value: &Value) -> Result<(), String> {
    match value {
        Value::Scalar { value, .. } => match eval.scalar {
            Some(expected) if almost_equal(expected, *value) => Ok(()),
            expected => Err(format!("scalar {value}, expected {expected:?}")),
        },
        Value::String { text, .. } => match &eval.text {
            Some(expected) if expected == text => Ok(()),
            expected => Err(format!("string {text:?}, expected {expected:?}")),
        },
        Value::Vector(samples) => compare_vector(eval, samples),
        Value::Matrix(series) => compare_matrix(eval, series),
    }
}

fn compare_vector(eval: &Eval, samples: &[InstantSample]) -> Result<(), String> {
    if let Some(expected) = eval.scalar {
        return Err(format!("a vector, expected scalar {expected}"));
    }
    for (position, sample) in samples.iter().enumerate() {
        let Some(index) = eval
            .series
            .iter()
            .position(|series| series.labels == sample.labels)
        else {
            return Err(format!(
                "unexpected {} with {}",
                sample.labels,
                show(&sample.value)
            ));
        };
        if eval.ordered && index != position {
            return Err(format!(
                "{} at position {position}, expected {index}",
                sample.labels
            ));
        }
        let expected = eval.series[index]
            .values
            .first()
            .unwrap_or(&SequenceValue::Omitted);
        if !same(expected, &sample.value) {
            return Err(format!(
                "{} is {}, expected {}",
                sample.labels,
                show(&sample.value),
                show_expected(expected)
            ));
        }
    }
    missing(eval, |labels| {
        samples.iter().any(|sample| sample.labels == *labels)
    })
}

fn missing(eval: &Eval, has: impl Fn(&gameday_signal::Labels) -> bool) -> Result<(), String> {
    match eval.series.iter().find(|series| !has(&series.labels)) {
        Some(series) => Err(format!("{} is missing", series.labels)),
        None => Ok(()),
    }
}

fn compare_matrix(eval: &Eval, series: &[RangeSeries]) -> Result<(), String> {
    let (start, step) = match (eval.steps, eval.range_vector) {
        (_, Some((start, _, step))) | (Steps::Range(start, _, step), None) => (start, step),
        (Steps::Instant(_), None) => return Err("a matrix, expected a vector".to_owned()),
    };
    for one in series {
        let Some(expected) = eval
            .series
            .iter()
            .find(|expected| expected.labels == one.labels)
        else {
            return Err(format!(
                "unexpected {} with {}",
                one.labels,
                show_points(&one.points)
            ));
        };
        let expected = timed(&expected.values, start, step);
        let fits = expected.len() == one.points.len()
            && expected
                .iter()
                .zip(&one.points)
                .all(|((time, value), point)| {
                    *time == point.timestamp_ms && same(value, &point.value)
                });
        if !fits {
            let shown: Vec<String> = expected
                .iter()
                .map(|(time, value)| format!("{}@{time}", show_expected(value)))
                .collect();
            return Err(format!(
                "{} is [{}], expected [{}]",
                one.labels,
                show_points(&one.points),
                shown.join(" ")
            ));
        }
    }
    missing(eval, |labels| {
        series.iter().any(|one| one.labels == *labels)
    })
}

/// The points of a range query at the time of an instant query.
pub(super) fn compare_points(eval: &Eval, series: &[RangeSeries], time: i64) -> Result<(), String> {
    let samples: Vec<InstantSample> = series
        .iter()
        .filter_map(|one| {
            let point = one.points.iter().find(|point| point.timestamp_ms == time)?;
            Some(InstantSample {
                labels: one.labels.clone(),
                timestamp_ms: time,
                value: point.value.clone(),
            })
        })
        .collect();
    match eval.scalar {
        Some(expected) => match samples.as_slice() {
            [sample] if same(&SequenceValue::Float(expected), &sample.value) => Ok(()),
            _ => Err(format!("{samples:?}, expected scalar {expected}")),
        },
        None => compare_vector(eval, &samples),
    }
}

fn show(value: &SampleValue) -> String {
    match value {
        SampleValue::Float(value) => value.to_string(),
        SampleValue::Histogram(histogram) => show_histogram(histogram),
    }
}

fn show_histogram(histogram: &Histogram) -> String {
    format!(
        "schema {} {} {:?} {:?}",
        histogram.schema,
        histogram_text(histogram),
        histogram.counter_reset_hint,
        histogram.custom_values
    )
}

fn show_expected(value: &SequenceValue) -> String {
    match value {
        SequenceValue::Omitted => "_".to_owned(),
        SequenceValue::Float(value) => value.to_string(),
        SequenceValue::Histogram {
            histogram,
            hint_set,
        } => format!(
            "{}{}",
            show_histogram(histogram),
            if *hint_set { " (hint matters)" } else { "" }
        ),
    }
}

fn show_points(points: &[Point]) -> String {
    let shown: Vec<String> = points
        .iter()
        .map(|point| format!("{}@{}", show(&point.value), point.timestamp_ms))
        .collect();
    shown.join(" ")
}

fn same(expected: &SequenceValue, actual: &SampleValue) -> bool {
    match (expected, actual) {
        (SequenceValue::Float(expected), SampleValue::Float(actual)) => {
            almost_equal(*expected, *actual)
        }
        (
            SequenceValue::Histogram {
                histogram,
                hint_set,
            },
            SampleValue::Histogram(actual),
        ) => same_histogram(histogram, actual, *hint_set),
        _ => false,
    }
}

fn same_histogram(expected: &Histogram, actual: &Histogram, hint_matters: bool) -> bool {
    let side = |spans: &[BucketSpan], counts: &[f64]| indexed(spans, counts);
    let same_side = |left: Vec<(i32, f64)>, right: Vec<(i32, f64)>| {
        left.len() == right.len()
            && left
                .iter()
                .zip(&right)
                .all(|(left, right)| left.0 == right.0 && almost_equal(left.1, right.1))
    };
    expected.schema == actual.schema
        && almost_equal(expected.count, actual.count)
        && almost_equal(expected.sum, actual.sum)
        && expected.custom_values == actual.custom_values
        && expected.zero_threshold == actual.zero_threshold
        && almost_equal(expected.zero_count, actual.zero_count)
        && same_side(
            side(&expected.positive_spans, &expected.positive_buckets),
            side(&actual.positive_spans, &actual.positive_buckets),
        )
        && same_side(
            side(&expected.negative_spans, &expected.negative_buckets),
            side(&actual.negative_spans, &actual.negative_buckets),
        )
        && (!hint_matters || expected.counter_reset_hint == actual.counter_reset_hint)
}

/// Buckets that are not empty.
fn indexed(spans: &[BucketSpan], counts: &[f64]) -> Vec<(i32, f64)> {
    let mut index = 0;
    let mut counts = counts.iter();
    let mut found = Vec::new();
    for span in spans {
        index += span.offset;
        for _ in 0..span.length {
            let count = counts.next().copied().unwrap_or(0.0);
            if count != 0.0 {
                found.push((index, count));
            }
            index += 1;
        }
    }
    found
}

/// Equality up to a relative error; stale markers equal stale markers only, other NaN each other.
fn almost_equal(left: f64, right: f64) -> bool {
    if is_stale(left) || is_stale(right) {
        return is_stale(left) && is_stale(right);
    }
    if left.is_nan() && right.is_nan() || left == right {
        return true;
    }
    let (sum, difference) = (left.abs() + right.abs(), (left - right).abs());
    if left == 0.0 || right == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < EPSILON * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < EPSILON
}

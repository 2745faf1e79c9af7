//! What a native histogram from outside has to be before a store may see it.

use gameday_signal::{BucketSpan, Histogram};

/// The schema of custom bucket bounds (Prometheus model/histogram, CustomBucketsSchema).
pub(crate) const CUSTOM_BUCKETS: i32 = -53;

/// A histogram may announce this many buckets a side.
const BUCKETS_MAX: usize = 100_000;

/// Checks the schema, and that spans, buckets and bounds fit together (Prometheus model/histogram, Validate).
pub(crate) fn check(histogram: &Histogram) -> Result<(), String> {
    let schema = histogram.schema;
    if schema != CUSTOM_BUCKETS && !(-4..=8).contains(&schema) {
        return Err(format!(
            "histogram has schema {schema}, expected -4 to 8 or -53"
        ));
    }
    check_side(
        "positive",
        &histogram.positive_spans,
        &histogram.positive_buckets,
    )?;
    check_side(
        "negative",
        &histogram.negative_spans,
        &histogram.negative_buckets,
    )?;
    if schema == CUSTOM_BUCKETS {
        let bounds = &histogram.custom_values;
        if bounds
            .windows(2)
            .any(|pair| pair[0] >= pair[1] || pair[1].is_nan())
        {
            return Err("custom bucket bounds are not ascending".to_owned());
        }
        if histogram.positive_buckets.len() > bounds.len() + 1 {
            return Err("more buckets than custom bounds".to_owned());
        }
        if !histogram.negative_buckets.is_empty() || histogram.zero_count != 0.0 {
            return Err("custom buckets cannot have negative or zero buckets".to_owned());
        }
    } else if !histogram.custom_values.is_empty() {
        return Err("custom bucket bounds with an exponential schema".to_owned());
    }
    Ok(())
}

fn check_side(side: &str, spans: &[BucketSpan], buckets: &[f64]) -> Result<(), String> {
    let mut total = 0usize;
    for (index, span) in spans.iter().enumerate() {
        if index > 0 && span.offset < 0 {
            return Err(format!(
                "{side} span {index} has negative offset {}",
                span.offset
            ));
        }
        total = total.saturating_add(span.length as usize);
    }
    if total > BUCKETS_MAX {
        return Err(format!(
            "{side} side has {total} buckets, the limit is {BUCKETS_MAX}"
        ));
    }
    if total != buckets.len() {
        return Err(format!(
            "{side} spans need {total} buckets, found {}",
            buckets.len()
        ));
    }
    if buckets.iter().any(|count| *count < 0.0) {
        return Err(format!("{side} side has a negative bucket count"));
    }
    Ok(())
}

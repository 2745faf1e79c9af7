//! Warnings and infos, in the words of Prometheus.

use std::collections::{BTreeMap, BTreeSet};

use gameday_query::{Position, SourceSpan};
use gameday_signal::Timestamp;

use crate::histogram::{ForcedMonotonicity, NanNote, format_g};

/// What has been noticed so far; each note once a place.
#[derive(Debug, Default)]
pub(super) struct Notes {
    warnings: BTreeSet<(String, usize)>,
    infos: BTreeSet<(String, usize)>,
    forced: BTreeMap<(String, usize), Forced>,
}

#[derive(Debug)]
struct Forced {
    bounds: ForcedMonotonicity,
    count: usize,
    first_ms: i64,
    last_ms: i64,
}

/// An operation on histograms, in messages.
#[derive(Clone, Copy, Debug)]
pub(super) enum Operation {
    Addition,
    Subtraction,
    Aggregation,
}

impl Operation {
    fn as_str(self) -> &'static str {
        match self {
            Self::Addition => "addition",
            Self::Subtraction => "subtraction",
            Self::Aggregation => "aggregation",
        }
    }
}

fn for_metric(message: &str, metric: &str) -> String {
    if metric.is_empty() {
        message.to_owned()
    } else {
        format!("{message} for metric name {metric:?}")
    }
}

impl Notes {
    fn warn(&mut self, span: SourceSpan, message: impl Into<String>) {
        self.warnings.insert((message.into(), span.start));
    }

    fn info(&mut self, span: SourceSpan, message: impl Into<String>) {
        self.infos.insert((message.into(), span.start));
    }

    /// Warnings and infos with their places.
    pub(super) fn render(self, source: Option<&str>) -> (Vec<String>, Vec<String>) {
        let place = |start: usize| match source {
            Some(source) => Position::of(source, start).to_string(),
            None => format!("1:{}", start + 1),
        };
        let warnings = self
            .warnings
            .into_iter()
            .map(|(message, start)| format!("PromQL warning: {message} ({})", place(start)))
            .collect();
        let mut infos: Vec<String> = self
            .infos
            .into_iter()
            .map(|(message, start)| format!("PromQL info: {message} ({})", place(start)))
            .collect();
        for ((message, start), forced) in self.forced {
            let time = |ms: i64| {
                let text = Timestamp::from_secs(ms.div_euclid(1000)).to_string();
                text.replace(".000Z", "Z")
            };
            infos.push(format!(
                "PromQL info: {message}, from buckets {} to {}, with a max diff of {}, over {} samples from {} to {} ({})",
                format_g(forced.bounds.min_bucket),
                format_g(forced.bounds.max_bucket),
                two_digits(forced.bounds.max_diff),
                forced.count,
                time(forced.first_ms),
                time(forced.last_ms),
                place(start)
            ));
        }
        infos.sort();
        (warnings, infos)
    }

    pub(super) fn invalid_quantile(&mut self, span: SourceSpan, phi: f64) {
        self.warn(
            span,
            format!(
                "quantile value should be between 0 and 1, got {}",
                format_g(phi)
            ),
        );
    }

    pub(super) fn invalid_ratio(&mut self, span: SourceSpan, ratio: f64, capped: f64) {
        self.warn(
            span,
            format!(
                "ratio value should be between -1 and 1, got {}, capping to {}",
                format_g(ratio),
                format_g(capped)
            ),
        );
    }

    pub(super) fn bad_bucket_label(&mut self, span: SourceSpan, metric: &str, label: &str) {
        let message =
            format!("bucket label \"le\" is missing or has a malformed value of {label:?}");
        self.warn(span, for_metric(&message, metric));
    }

    pub(super) fn mixed_floats_histograms(&mut self, span: SourceSpan, metric: &str) {
        self.warn(
            span,
            format!("encountered a mix of histograms and floats for metric name {metric:?}"),
        );
    }

    pub(super) fn mixed_in_aggregation(&mut self, span: SourceSpan) {
        self.warn(
            span,
            "encountered a mix of histograms and floats for aggregation",
        );
    }

    pub(super) fn mixed_classic_native(&mut self, span: SourceSpan, metric: &str) {
        self.warn(
            span,
            for_metric(
                "vector contains a mix of classic and native histograms",
                metric,
            ),
        );
    }

    pub(super) fn not_counter(&mut self, span: SourceSpan, metric: &str) {
        self.warn(
            span,
            format!("this native histogram metric is not a counter: {metric:?}"),
        );
    }

    pub(super) fn not_gauge(&mut self, span: SourceSpan, metric: &str) {
        self.warn(
            span,
            format!("this native histogram metric is not a gauge: {metric:?}"),
        );
    }

    pub(super) fn mixed_schemas(&mut self, span: SourceSpan, metric: &str) {
        self.warn(span, format!("vector contains a mix of histograms with exponential and custom buckets schemas for metric name {metric:?}"));
    }

    pub(super) fn possible_non_counter(&mut self, span: SourceSpan, metric: &str) {
        self.info(span, format!("metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {metric:?}"));
    }

    pub(super) fn incompatible_types(
        &mut self,
        span: SourceSpan,
        left: &str,
        op: &str,
        right: &str,
    ) {
        self.info(span, format!("incompatible sample types encountered for binary operator {op:?}: {left} {op} {right}"));
    }

    pub(super) fn incompatible_layout(&mut self, span: SourceSpan, op: &str) {
        self.warn(
            span,
            format!("incompatible bucket layout encountered for binary operator {op}"),
        );
    }

    pub(super) fn ignored_in_aggregation(&mut self, span: SourceSpan, aggregation: &str) {
        self.info(
            span,
            format!("ignored histogram in {aggregation} aggregation"),
        );
    }

    pub(super) fn ignored_in_mixed_range(&mut self, span: SourceSpan, metric: &str) {
        self.info(span, format!("ignored histograms in a range containing both floats and histograms for metric name {metric:?}"));
    }

    pub(super) fn sort_in_range_query(&mut self, span: SourceSpan) {
        self.warn(
            span,
            "sort is ineffective for range queries since results are always ordered by labels",
        );
    }

    pub(super) fn nan_observations(&mut self, span: SourceSpan, metric: &str, note: NanNote) {
        let message = match note {
            NanNote::Result => "input to histogram_quantile has NaN observations, result is NaN",
            NanNote::Skew => {
                "input to histogram_quantile has NaN observations, result is skewed higher"
            }
            NanNote::Fraction => {
                "input to histogram_fraction has NaN observations, which are excluded from all fractions"
            }
        };
        self.info(span, for_metric(message, metric));
    }

    pub(super) fn reset_collision(&mut self, span: SourceSpan, operation: Operation) {
        self.warn(
            span,
            format!(
                "conflicting counter resets during histogram {}",
                operation.as_str()
            ),
        );
    }

    pub(super) fn bounds_reconciled(&mut self, span: SourceSpan, operation: Operation) {
        self.info(
            span,
            format!(
                "mismatched custom buckets were reconciled during {}",
                operation.as_str()
            ),
        );
    }

    pub(super) fn forced_monotonicity(
        &mut self,
        span: SourceSpan,
        metric: &str,
        time_ms: i64,
        bounds: ForcedMonotonicity,
    ) {
        let message = for_metric(
            "input to histogram_quantile needed to be fixed for monotonicity (see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)",
            metric,
        );
        let forced = self.forced.entry((message, span.start)).or_insert(Forced {
            bounds,
            count: 0,
            first_ms: time_ms,
            last_ms: time_ms,
        });
        forced.count += 1;
        forced.first_ms = forced.first_ms.min(time_ms);
        forced.last_ms = forced.last_ms.max(time_ms);
        forced.bounds.min_bucket = forced.bounds.min_bucket.min(bounds.min_bucket);
        forced.bounds.max_bucket = forced.bounds.max_bucket.max(bounds.max_bucket);
        forced.bounds.max_diff = forced.bounds.max_diff.max(bounds.max_diff);
    }
}

/// Two significant digits, as Go's `%.2g`.
fn two_digits(value: f64) -> String {
    let rounded: f64 = format!("{value:.1e}").parse().unwrap_or(value);
    if rounded.abs() >= 100.0 {
        let text = format!("{rounded:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        return format!("{digits}e+{exponent:0>2}");
    }
    format_g(rounded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_significant_digits() {
        for (value, expected) in [
            (1.0, "1"),
            (12.34, "12"),
            (123.4, "1.2e+02"),
            (0.056_78, "0.057"),
        ] {
            assert_eq!(two_digits(value), expected);
        }
    }
}

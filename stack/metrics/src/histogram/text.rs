//! Histograms and numbers as Go prints them.

use std::fmt::Write as _;

use gameday_signal::Histogram;
use gameday_signal::number::format_go;

use super::buckets::buckets;

/// `{count:2, sum:3, (1,2]:2}`, the text of Prometheus' API and of `count_values`.
pub fn histogram_text(histogram: &Histogram) -> String {
    let mut text = format!(
        "{{count:{}, sum:{}",
        format_g(histogram.count),
        format_g(histogram.sum)
    );
    for bucket in buckets(histogram) {
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            ", {}{},{}{}:{}",
            if bucket.lower_inclusive { '[' } else { '(' },
            format_g(bucket.lower),
            format_g(bucket.upper),
            if bucket.upper_inclusive { ']' } else { ')' },
            format_g(bucket.count)
        );
    }
    text.push('}');
    text
}

/// A number as Go's `%g` with the shortest digits: an exponent below 1e-4 and from 1e6 on.
pub(crate) fn format_g(value: f64) -> String {
    format_go(value, 1e-4..1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (value, expected) in [
            (1.0, "1"),
            (0.5, "0.5"),
            (1e6, "1e+06"),
            (123_456.0, "123456"),
            (-1.5e-7, "-1.5e-07"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(format_g(value), expected);
        }
    }

    #[test]
    fn histograms() {
        let histogram = Histogram {
            count: 3.0,
            sum: 2.5,
            zero_count: 1.0,
            positive_spans: vec![gameday_signal::BucketSpan {
                offset: 1,
                length: 1,
            }],
            positive_buckets: vec![2.0],
            ..Histogram::default()
        };
        assert_eq!(
            histogram_text(&histogram),
            "{count:3, sum:2.5, [-0,0]:1, (1,2]:2}"
        );
    }
}

//! Numbers for people, as Prometheus writes them.

use crate::Time;
use crate::float::format_float_precision;

fn four_digits(value: f64) -> String {
    format_float_precision(value, 'g', Some(4))
}

const LARGE: [&str; 8] = ["k", "M", "G", "T", "P", "E", "Z", "Y"];
const LARGE_1024: [&str; 8] = ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"];
const SMALL: [&str; 8] = ["m", "u", "n", "p", "f", "a", "z", "y"];

/// Divides by `base` until one prefix is left over.
fn scale_down(value: f64, base: f64, prefixes: [&'static str; 8]) -> (f64, &'static str) {
    let (mut value, mut prefix) = (value, "");
    for next in prefixes {
        if value.abs() < base {
            break;
        }
        prefix = next;
        value /= base;
    }
    (value, prefix)
}

/// Multiplies by 1000 until the value is at least 1.
fn scale_up(value: f64) -> (f64, &'static str) {
    let (mut value, mut prefix) = (value, "");
    for next in SMALL {
        if value.abs() >= 1.0 {
            break;
        }
        prefix = next;
        value *= 1000.0;
    }
    (value, prefix)
}

/// Four digits and a metric prefix: `1.235k`, `5m`.
pub fn humanize(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return four_digits(value);
    }
    let (value, prefix) = if value.abs() >= 1.0 {
        scale_down(value, 1000.0, LARGE)
    } else {
        scale_up(value)
    };
    format!("{}{prefix}", four_digits(value))
}

/// Four digits and a binary prefix: `1.5Mi`.
pub fn humanize_1024(value: f64) -> String {
    if value.abs() <= 1.0 || !value.is_finite() {
        return four_digits(value);
    }
    let (value, prefix) = scale_down(value, 1024.0, LARGE_1024);
    format!("{}{prefix}", four_digits(value))
}

/// A duration in seconds: `1d 2h 3m 4s`, `5.1s`, `12ms`.
pub fn humanize_duration(secs: f64) -> String {
    if !secs.is_finite() {
        return four_digits(secs);
    }
    if secs == 0.0 {
        return format!("{}s", four_digits(secs));
    }
    if secs.abs() < 1.0 {
        let (value, prefix) = scale_up(secs);
        return format!("{}{prefix}s", four_digits(value));
    }
    let sign = if secs < 0.0 { "-" } else { "" };
    let magnitude = secs.abs();
    let whole = magnitude as i64;
    let (seconds, minutes) = (whole % 60, whole / 60 % 60);
    let (hours, days) = (whole / 3600 % 24, whole / 86_400);
    if days != 0 {
        format!("{sign}{days}d {hours}h {minutes}m {seconds}s")
    } else if hours != 0 {
        format!("{sign}{hours}h {minutes}m {seconds}s")
    } else if minutes != 0 {
        format!("{sign}{minutes}m {seconds}s")
    } else {
        format!("{sign}{}s", four_digits(magnitude))
    }
}

/// A ratio as a percentage: `12.5%`.
pub fn humanize_percentage(ratio: f64) -> String {
    format!("{}%", four_digits(ratio * 100.0))
}

/// Seconds since the Unix epoch as an instant in UTC: `2015-07-01 13:51:44 +0000 UTC`.
///
/// # Errors
/// Where the instant is out of range.
pub fn humanize_timestamp(secs: f64) -> Result<String, String> {
    if !secs.is_finite() {
        return Ok(four_digits(secs));
    }
    Ok(Time::from_secs_f64(secs)?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_prometheus_writes() {
        for (value, expected) in [
            (0.0, "0"),
            (1.0, "1"),
            (1_234_567.0, "1.235M"),
            (0.012, "12m"),
            (-1234.0, "-1.234k"),
            (f64::INFINITY, "+Inf"),
        ] {
            assert_eq!(humanize(value), expected);
        }
        assert_eq!(humanize_1024(1_048_576.0), "1Mi");
        for (secs, expected) in [
            (0.0, "0s"),
            (1.5, "1.5s"),
            (60.0, "1m 0s"),
            (3600.0, "1h 0m 0s"),
            (86_400.0 + 3600.0 + 60.0 + 1.0, "1d 1h 1m 1s"),
            (0.1, "100ms"),
            (0.0001, "100us"),
            (-59.9, "-59.9s"),
        ] {
            assert_eq!(humanize_duration(secs), expected);
        }
        assert_eq!(humanize_percentage(0.123_456_7), "12.35%");
        assert_eq!(
            humanize_timestamp(1_435_065_584.128).as_deref(),
            Ok("2015-06-23 13:19:44.128 +0000 UTC")
        );
    }
}

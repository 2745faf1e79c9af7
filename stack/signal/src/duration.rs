//! Durations as the configuration files of Prometheus, Alertmanager and gameday write them.

use std::time::Duration;

/// What is wrong with a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// There was no text.
    #[error("empty duration string, expected for example \"5m\" or \"1h30m\"")]
    Empty,
    /// The text is not a run of number and unit.
    #[error(
        "not a valid duration string: {0:?}, expected for example \"5m\" or \"1h30m\" (units y, w, d, h, m, s, ms, largest first)"
    )]
    Invalid(String),
    /// The number does not fit.
    #[error("duration out of range: {0:?}")]
    OutOfRange(String),
}

/// Units with their length in milliseconds, largest first (a year has 365 days, as in prometheus/common's model.ParseDuration).
const UNITS: [(&str, u64); 7] = [
    ("y", 31_536_000_000),
    ("w", 604_800_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// Reads a duration such as `1h30m`, `15s` or `0`, each unit at most once and the larger before the smaller.
///
/// # Errors
/// Where the text is empty, malformed or does not fit 64 bits of nanoseconds.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    if text.is_empty() {
        return Err(DurationError::Empty);
    }
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let invalid = || DurationError::Invalid(text.to_owned());
    let out_of_range = || DurationError::OutOfRange(text.to_owned());
    let mut rest = text;
    let mut allowed = &UNITS[..];
    let mut total_ms: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let letters = rest[digits..]
            .bytes()
            .take_while(u8::is_ascii_lowercase)
            .count();
        if digits == 0 || letters == 0 {
            return Err(invalid());
        }
        let unit = &rest[digits..digits + letters];
        let position = allowed
            .iter()
            .position(|(name, _)| *name == unit)
            .ok_or_else(invalid)?;
        let number: u64 = rest[..digits].parse().map_err(|_| out_of_range())?;
        let part = number
            .checked_mul(allowed[position].1)
            .ok_or_else(out_of_range)?;
        total_ms = total_ms.checked_add(part).ok_or_else(out_of_range)?;
        allowed = &allowed[position + 1..];
        rest = &rest[digits + letters..];
    }
    // Prometheus counts durations in an int64 of nanoseconds.
    if total_ms > i64::MAX as u64 / 1_000_000 {
        return Err(out_of_range());
    }
    Ok(Duration::from_millis(total_ms))
}

/// Renders a duration as Prometheus does (`1h30m`, `15s`, `0s`); a part below a millisecond is left out.
pub fn format_duration(duration: Duration) -> String {
    let mut ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if ms == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (name, unit_ms) in UNITS {
        // Years, weeks and days are only used where nothing is left over: 90m is 1h30m, but 36h stays 1d12h as in Prometheus.
        let exact_only = matches!(name, "y" | "w");
        if ms >= unit_ms && (!exact_only || ms.is_multiple_of(unit_ms)) {
            text.push_str(&(ms / unit_ms).to_string());
            text.push_str(name);
            ms %= unit_ms;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_prometheus_reads() {
        for (text, ms) in [
            ("0", 0),
            ("0s", 0),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("4d1h30m", 351_000_000),
            ("324ms", 324),
            ("1y", 31_536_000_000),
        ] {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_millis(ms)),
                "{text}"
            );
        }
        for text in [
            "", "1", "-5m", "5", "1.5h", "1m1h", "5m5m", "1d h", "10 s", "1H", "ms",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
        assert!(matches!(
            parse_duration("294y"),
            Err(DurationError::OutOfRange(_))
        ));
    }

    #[test]
    fn writes_what_prometheus_writes() {
        for (ms, text) in [
            (0, "0s"),
            (324, "324ms"),
            (90_000, "1m30s"),
            (129_600_000, "1d12h"),
            (604_800_000, "1w"),
            (691_200_000, "8d"),
            (31_536_000_000, "1y"),
        ] {
            assert_eq!(format_duration(Duration::from_millis(ms)), text);
        }
    }
}

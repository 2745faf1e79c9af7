//! Values that YAML has no type for: durations, sizes, things that are read and not looked at.

use std::time::Duration;

use serde::de::{Error, IgnoredAny};
use serde::{Deserialize, Deserializer};

/// Something that is read and not obeyed.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Ignored;

impl<'de> Deserialize<'de> for Ignored {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

/// Reads a duration such as `1m30s`.
pub(super) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    gameday_signal::parse_duration(&text).map_err(D::Error::custom)
}

/// Reads a size such as `10MB`, in bytes: units of 1024, with or without `i`.
pub(super) fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_bytes(&text).ok_or_else(|| {
        D::Error::custom(format!(
            "not a valid size: {text:?}, expected for example \"10MB\" (units B, KB, MB, GB, TB, PB, EB)"
        ))
    })
}

fn parse_bytes(text: &str) -> Option<u64> {
    if text == "0" {
        return Some(0);
    }
    let digits = text
        .bytes()
        .take_while(|byte| byte.is_ascii_digit() || *byte == b'.')
        .count();
    let number: f64 = text[..digits].parse().ok()?;
    let power = match &text[digits..] {
        "B" => 0,
        "KB" | "KiB" => 1,
        "MB" | "MiB" => 2,
        "GB" | "GiB" => 3,
        "TB" | "TiB" => 4,
        "PB" | "PiB" => 5,
        "EB" | "EiB" => 6,
        _ => return None,
    };
    let bytes = number * 1024f64.powi(power);
    (bytes <= i64::MAX as f64).then_some(bytes as u64)
}

/// Divides a duration, down to a millisecond; zero stays zero.
pub(super) fn scale(duration: &mut Duration, divisor: f64) {
    if !duration.is_zero() {
        let scaled = duration.as_secs_f64() / divisor;
        *duration = Duration::try_from_secs_f64(scaled)
            .unwrap_or(*duration)
            .max(Duration::from_millis(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_sizes() {
        for (text, expected) in [
            ("0", Some(0)),
            ("512B", Some(512)),
            ("10MB", Some(10 << 20)),
            ("1.5KiB", Some(1536)),
            ("10", None),
            ("10mb", None),
            ("MB", None),
            ("99EB", None),
        ] {
            assert_eq!(parse_bytes(text), expected, "{text}");
        }
    }
}

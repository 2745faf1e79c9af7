//! How values of `blackbox.yml` are read.

use std::collections::BTreeMap;
use std::time::Duration;

use gameday_env::TlsVersion;
use regex::Regex;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// Which of a target's addresses is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) enum IpProtocol {
    /// One of IPv4.
    #[serde(rename = "ip4")]
    V4,
    /// One of IPv6.
    #[default]
    #[serde(rename = "ip6", alias = "")]
    V6,
}

/// A duration as Go writes it, such as `1.5s` or `1m30s`.
pub(crate) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_duration(&text).ok_or_else(|| {
        D::Error::custom(format!(
            "{text:?} is not a valid duration, expected for example 5s, 1.5s or 1m30s"
        ))
    })
}

/// time.ParseDuration without a sign.
fn parse_duration(text: &str) -> Option<Duration> {
    const UNITS: [(&str, f64); 7] = [
        ("ns", 1e-9),
        ("us", 1e-6),
        ("µs", 1e-6),
        ("ms", 1e-3),
        ("s", 1.0),
        ("m", 60.0),
        ("h", 3600.0),
    ];
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut secs = 0.0;
    let mut rest = text;
    loop {
        let end = rest.find(|it: char| !it.is_ascii_digit() && it != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        let after = &rest[end..];
        let unit_end = after.find(|it: char| it.is_ascii_digit() || it == '.');
        let (unit, left) = after.split_at(unit_end.unwrap_or(after.len()));
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
        secs += number * factor;
        if left.is_empty() {
            return Duration::try_from_secs_f64(secs).ok();
        }
        rest = left;
    }
}

pub(crate) fn tls_version<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<TlsVersion>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(D::Error::custom)
}

pub(crate) fn regex<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Regex, D::Error> {
    let text = String::deserialize(deserializer)?;
    Regex::new(&text).map_err(D::Error::custom)
}

pub(crate) fn optional_regex<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Regex>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    Regex::new(&text).map(Some).map_err(D::Error::custom)
}

pub(crate) fn regexes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Regex>, D::Error> {
    Vec::<String>::deserialize(deserializer)?
        .iter()
        .map(|text| Regex::new(text).map_err(D::Error::custom))
        .collect()
}

/// A source address.
pub(crate) fn ip<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<std::net::IpAddr>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    let parsed = text.parse().map(Some);
    parsed.map_err(|_| D::Error::custom(format!("{text:?} is no IP address")))
}

/// A size such as `10MB`. All units are powers of 1024, with and without the `i`, as alecthomas/units reads its `Base2Bytes`.
pub(crate) fn bytes_size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let text = String::deserialize(deserializer)?;
    let bytes = parse_size(&text);
    bytes.ok_or_else(|| D::Error::custom(format!("{text:?} is no size, expected for example 10MB")))
}

fn parse_size(text: &str) -> Option<u64> {
    if text == "0" {
        return Some(0);
    }
    let split = text.find(|it: char| !it.is_ascii_digit() && it != '.')?;
    let (number, unit) = text.split_at(split);
    let power = match unit {
        "B" => 0,
        "KB" | "KiB" => 1,
        "MB" | "MiB" => 2,
        "GB" | "GiB" => 3,
        "TB" | "TiB" => 4,
        "PB" | "PiB" => 5,
        _ => return None,
    };
    let bytes = number.parse::<f64>().ok()? * 1024_f64.powi(power);
    (bytes < u64::MAX as f64).then_some(bytes as u64)
}

/// Headers with one value each, or of metadata with several.
pub(crate) type Values = BTreeMap<String, Vec<String>>;

/// Something that is read and not used.
#[derive(Clone, Debug)]
pub(crate) struct Ignored;

impl<'de> Deserialize<'de> for Ignored {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_go() {
        for (text, expected) in [
            ("0", Some(0)),
            ("5s", Some(5000)),
            ("1.5s", Some(1500)),
            (".5s", Some(500)),
            ("1m30s", Some(90_000)),
            ("250ms", Some(250)),
            ("1h", Some(3_600_000)),
            ("5", None),
            ("1d", None),
            ("-1s", None),
            ("1s2", None),
            ("s", None),
            ("", None),
            ("999999999999999999999h", None),
        ] {
            let parsed = parse_duration(text);
            assert_eq!(parsed, expected.map(Duration::from_millis), "{text}");
        }
    }

    #[test]
    fn sizes_are_powers_of_1024() {
        for (text, expected) in [
            ("0", Some(0)),
            ("7B", Some(7)),
            ("1KB", Some(1024)),
            ("1KiB", Some(1024)),
            ("1.5MB", Some(1_572_864)),
            ("10", None),
            ("10 MB", None),
            ("-1B", None),
            ("1e3B", None),
            ("99999999999PB", None),
            ("", None),
        ] {
            assert_eq!(parse_size(text), expected, "{text}");
        }
    }
}

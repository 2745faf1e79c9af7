//! Values of collector.yaml: durations in Go's form, values of attributes.

use std::fmt;
use std::time::Duration;

use gameday_signal::AttributeValue;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};

/// Units with their length in seconds (Go's time.ParseDuration).
const UNITS: [(&str, f64); 7] = [
    ("ns", 1e-9),
    ("us", 1e-6),
    ("µs", 1e-6),
    ("ms", 1e-3),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3600.0),
];

/// Reads a duration such as `200ms`, `1.5s` or `1m30s`.
pub(super) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_duration(&text).map_err(D::Error::custom)
}

/// Reads a list of durations, as seconds.
pub(super) fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let ends: Result<Vec<f64>, String> = texts
        .iter()
        .map(|text| parse_duration(text).map(|end| end.as_secs_f64()))
        .collect();
    let ends = ends.map_err(D::Error::custom)?;
    if ends.windows(2).any(|pair| pair[0] >= pair[1]) {
        return Err(D::Error::custom("buckets must grow"));
    }
    Ok(ends)
}

/// Reads a duration in Go's form; it has no sign.
///
/// # Errors
/// Where it is none.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let invalid = || {
        format!(
            "not a valid duration: {text:?}, expected for example \"200ms\", \"5s\" or \"1m30s\""
        )
    };
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let number_end = rest
            .find(|c: char| !(c.is_ascii_digit() || c == '.'))
            .ok_or_else(invalid)?;
        let number: f64 = rest[..number_end].parse().map_err(|_| invalid())?;
        rest = &rest[number_end..];
        let unit_end = rest
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(rest.len());
        let (_, unit) = UNITS
            .iter()
            .find(|(name, _)| *name == &rest[..unit_end])
            .ok_or_else(invalid)?;
        total += number * unit;
        rest = &rest[unit_end..];
    }
    if text.is_empty() {
        return Err(invalid());
    }
    Duration::try_from_secs_f64(total).map_err(|_| invalid())
}

/// Divides a duration, down to a millisecond; zero stays zero.
pub(super) fn scale(duration: &mut Duration, divisor: u32) {
    if !duration.is_zero() {
        *duration = (*duration / divisor.max(1)).max(Duration::from_millis(1));
    }
}

/// A value of an attribute: a text, a number or a truth value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Value(pub(super) AttributeValue);

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Scalar;

        impl Visitor<'_> for Scalar {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a number or a truth value")
            }

            fn visit_bool<E>(self, truth: bool) -> Result<Value, E> {
                Ok(Value(AttributeValue::Bool(truth)))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
                Ok(Value(AttributeValue::Int(number)))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
                i64::try_from(number)
                    .map(|number| Value(AttributeValue::Int(number)))
                    .map_err(|_| E::custom(format!("{number} is too large")))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
                Ok(Value(AttributeValue::Double(number)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Value, E> {
                Ok(Value(AttributeValue::from(text)))
            }
        }

        deserializer.deserialize_any(Scalar)
    }
}

/// Something that is read and not obeyed.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Ignored;

impl<'de> Deserialize<'de> for Ignored {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_durations_of_go() {
        for (text, expected_ms) in [
            ("200ms", Some(200.0)),
            ("1.5s", Some(1500.0)),
            ("1m30s", Some(90_000.0)),
            ("100us", Some(0.1)),
            ("0", Some(0.0)),
            ("", None),
            ("5", None),
            ("s", None),
            ("1d", None),
            ("..s", None),
        ] {
            let read = parse_duration(text).ok();
            assert_eq!(
                read.map(|own| own.as_secs_f64() * 1e3),
                expected_ms,
                "{text}"
            );
        }
    }
}

//! Numbers as Go writes them, and in JSON, which knows neither not-a-number nor the infinities.

use std::ops::Range;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserializer, Serializer};

/// A number with the shortest digits that tell it, as Go writes it: with an exponent of at least two digits where its magnitude is
/// not 0 and lies outside of `plain`.
pub fn format_go(value: f64, plain: Range<f64>) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return (if value > 0.0 { "+Inf" } else { "-Inf" }).to_owned();
    }
    if value == 0.0 || plain.contains(&value.abs()) {
        return value.to_string();
    }
    let text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(exponent) => ('-', exponent),
        None => ('+', exponent),
    };
    format!("{digits}e{sign}{exponent:0>2}")
}

/// Writes a number; not-a-number and the infinities become the texts `NaN`, `+Inf` and `-Inf`, as in Prometheus' HTTP API. For
/// `#[serde(with = "number")]`.
///
/// # Errors
/// Where the serializer fails.
pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if value.is_finite() {
        serializer.serialize_f64(*value)
    } else if value.is_nan() {
        serializer.serialize_str("NaN")
    } else if *value > 0.0 {
        serializer.serialize_str("+Inf")
    } else {
        serializer.serialize_str("-Inf")
    }
}

/// Reads what [`serialize`] writes.
///
/// # Errors
/// Where the value is neither a number nor one of the three texts.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    deserializer.deserialize_any(NumberVisitor)
}

struct NumberVisitor;

impl Visitor<'_> for NumberVisitor {
    type Value = f64;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a number, \"NaN\", \"+Inf\" or \"-Inf\"")
    }

    fn visit_f64<E>(self, value: f64) -> Result<f64, E> {
        Ok(value)
    }

    fn visit_u64<E>(self, value: u64) -> Result<f64, E> {
        Ok(value as f64)
    }

    fn visit_i64<E>(self, value: i64) -> Result<f64, E> {
        Ok(value as f64)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<f64, E> {
        match text {
            "NaN" => Ok(f64::NAN),
            "+Inf" => Ok(f64::INFINITY),
            "-Inf" => Ok(f64::NEG_INFINITY),
            other => Err(E::invalid_value(Unexpected::Str(other), &self)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    #[derive(Serialize, Deserialize)]
    struct Holder(#[serde(with = "super")] f64);

    #[test]
    fn no_number_is_lost() {
        for (value, json) in [
            (0.5, "0.5"),
            (14.0, "14.0"),
            (f64::NAN, "\"NaN\""),
            (f64::INFINITY, "\"+Inf\""),
            (f64::NEG_INFINITY, "\"-Inf\""),
        ] {
            let text = serde_json::to_string(&Holder(value)).expect("a number");
            assert_eq!(text, json);
            let read: Holder = serde_json::from_str(json).expect("a number");
            assert!(read.0 == value || (read.0.is_nan() && value.is_nan()));
        }
        assert!(serde_json::from_str::<Holder>("\"inf\"").is_err());
    }
}

//! The JSON of OTLP (opentelemetry.io/docs/specs/otlp, "JSON Protobuf Encoding"): ids as hexadecimal text, enums as numbers, 64-bit
//! integers as text or number, lowerCamelCase names alone, unknown names left out, null like absent.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use serde::de::{Error, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::message::{AnyValue, ArrayValue, KeyValueList, Value};

/// Reads a field whose null means its default.
pub(super) fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// An integer as number or text.
struct Integer<T>(T);

impl<'de, T> Deserialize<'de> for Integer<T>
where
    T: TryFrom<i64> + TryFrom<u64> + FromStr,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Digits<T>(std::marker::PhantomData<T>);
        impl<T: TryFrom<i64> + TryFrom<u64> + FromStr> Visitor<'_> for Digits<T> {
            type Value = Integer<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an integer, as a number or as text")
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Integer<T>, E> {
                T::try_from(number)
                    .map(Integer)
                    .map_err(|_| E::custom(format!("integer {number} is out of range")))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Integer<T>, E> {
                T::try_from(number)
                    .map(Integer)
                    .map_err(|_| E::custom(format!("integer {number} is out of range")))
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Integer<T>, E> {
                // Protobuf's JSON takes 1.0 and 1e3 for integers.
                if number.fract() == 0.0 && number.abs() < 9e15 {
                    self.visit_i64(number as i64)
                } else {
                    Err(E::custom(format!("expected an integer, found {number}")))
                }
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Integer<T>, E> {
                text.parse()
                    .map(Integer)
                    .map_err(|_| E::custom(format!("expected an integer, found {text:?}")))
            }
        }
        deserializer.deserialize_any(Digits(std::marker::PhantomData))
    }
}

/// Reads an integer given as number, text or null.
pub(super) fn integer<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + TryFrom<i64> + TryFrom<u64> + FromStr,
{
    Ok(optional_integer(deserializer)?.unwrap_or_default())
}

/// Reads an integer that may be missing.
pub(super) fn optional_integer<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<i64> + TryFrom<u64> + FromStr,
{
    Ok(Option::<Integer<T>>::deserialize(deserializer)?.map(|integer| integer.0))
}

/// Reads a list of integers.
pub(super) fn integers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u64>, D::Error> {
    let list = Option::<Vec<Integer<u64>>>::deserialize(deserializer)?.unwrap_or_default();
    Ok(list.into_iter().map(|integer| integer.0).collect())
}

/// A float as number or text (`NaN`, `Infinity`, `-Infinity`).
struct Float(f64);

impl<'de> Deserialize<'de> for Float {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Digits;
        impl Visitor<'_> for Digits {
            type Value = Float;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Float, E> {
                Ok(Float(number as f64))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Float, E> {
                Ok(Float(number as f64))
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Float, E> {
                Ok(Float(number))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Float, E> {
                text.parse()
                    .map(Float)
                    .map_err(|_| E::custom(format!("expected a number, found {text:?}")))
            }
        }
        deserializer.deserialize_any(Digits)
    }
}

/// Reads a float given as number, text or null.
pub(super) fn float<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(optional_float(deserializer)?.unwrap_or_default())
}

/// Reads a float that may be missing.
pub(super) fn optional_float<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<f64>, D::Error> {
    Ok(Option::<Float>::deserialize(deserializer)?.map(|float| float.0))
}

/// Reads a list of floats.
pub(super) fn floats<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
    let list = Option::<Vec<Float>>::deserialize(deserializer)?.unwrap_or_default();
    Ok(list.into_iter().map(|float| float.0).collect())
}

/// Reads an id: hexadecimal text of any length, its length is judged item by item.
pub(super) fn hex<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
    let invalid = || D::Error::custom(format!("expected hexadecimal digits, found {text:?}"));
    if !text.len().is_multiple_of(2) {
        return Err(invalid());
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).ok_or_else(invalid);
    text.as_bytes()
        .chunks_exact(2)
        .map(|pair| Ok((digit(pair[0])? << 4 | digit(pair[1])?) as u8))
        .collect()
}

/// Reads bytes: base64 in either alphabet, with or without padding.
fn base64_bytes<E: Error>(text: &str) -> Result<Vec<u8>, E> {
    [STANDARD, URL_SAFE, STANDARD_NO_PAD, URL_SAFE_NO_PAD]
        .iter()
        .find_map(|engine| engine.decode(text).ok())
        .ok_or_else(|| E::custom("expected base64 text"))
}

/// An object with at most one of `stringValue`, `boolValue` and so on.
impl<'de> Deserialize<'de> for AnyValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = AnyValue;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object such as {\"stringValue\": \"text\"}")
            }

            fn visit_unit<E: Error>(self) -> Result<AnyValue, E> {
                Ok(AnyValue::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<AnyValue, A::Error> {
                let mut any = AnyValue::default();
                while let Some(key) = map.next_key::<String>()? {
                    let value = match key.as_str() {
                        "stringValue" => map.next_value::<Option<String>>()?.map(Value::String),
                        "boolValue" => map.next_value::<Option<bool>>()?.map(Value::Bool),
                        "intValue" => map
                            .next_value::<Option<Integer<i64>>>()?
                            .map(|integer| Value::Int(integer.0)),
                        "doubleValue" => map
                            .next_value::<Option<Float>>()?
                            .map(|float| Value::Double(float.0)),
                        "arrayValue" => map.next_value::<Option<ArrayValue>>()?.map(Value::Array),
                        "kvlistValue" => {
                            map.next_value::<Option<KeyValueList>>()?.map(Value::Kvlist)
                        }
                        "bytesValue" => map
                            .next_value::<Option<String>>()?
                            .map(|text| base64_bytes(&text).map(Value::Bytes))
                            .transpose()?,
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                            None
                        }
                    };
                    any.value = value.or(any.value);
                }
                Ok(any)
            }
        }
        deserializer.deserialize_any(Fields)
    }
}

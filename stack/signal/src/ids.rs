//! Trace and span ids.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a text or a run of bytes is no id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid id: expected {expected_bytes} bytes as {} hexadecimal digits, got {got:?}", expected_bytes * 2)]
pub struct IdError {
    /// The length of such an id.
    pub expected_bytes: usize,
    /// What was given.
    pub got: String,
}

/// The lower-case hexadecimal digits of `bytes`, in `out`, which must be twice as long.
pub fn hex<'a>(bytes: &[u8], out: &'a mut [u8]) -> &'a str {
    write_hex(bytes, out);
    // Digits are ASCII.
    std::str::from_utf8(out).unwrap_or_default()
}

/// Writes the lower-case hexadecimal digits of `bytes` into `out`, which must be twice as long.
pub fn write_hex(bytes: &[u8], out: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    /// Both digits of each byte: every line and every call has ids.
    const PAIRS: [[u8; 2]; 256] = {
        let mut pairs = [[0; 2]; 256];
        let mut byte = 0;
        while byte < pairs.len() {
            pairs[byte] = [DIGITS[byte >> 4], DIGITS[byte & 15]];
            byte += 1;
        }
        pairs
    };
    let (pairs, _) = out.as_chunks_mut::<2>();
    for (pair, byte) in pairs.iter_mut().zip(bytes) {
        *pair = PAIRS[usize::from(*byte)];
    }
}

macro_rules! id {
    ($name:ident, $bytes:literal, $doc:literal) => {
        #[doc = $doc]
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $bytes]);

        impl $name {
            /// The id that means "none" (all bytes zero).
            pub const NONE: Self = Self([0; $bytes]);

            /// Whether this is the id that means "none".
            pub fn is_none(self) -> bool {
                self == Self::NONE
            }

            /// Reads raw bytes.
            ///
            /// # Errors
            /// Where there are too many or too few.
            pub fn from_bytes(bytes: &[u8]) -> Result<Self, IdError> {
                bytes.try_into().map(Self).map_err(|_| IdError {
                    expected_bytes: $bytes,
                    got: bytes
                        .iter()
                        .take(64)
                        .map(|byte| format!("{byte:02x}"))
                        .collect(),
                })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(hex(&self.0, &mut [0; 2 * $bytes]))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let error = || IdError {
                    expected_bytes: $bytes,
                    got: text.chars().take(128).collect(),
                };
                if text.len() != $bytes * 2 || !text.is_ascii() {
                    return Err(error());
                }
                let mut bytes = [0; $bytes];
                for (index, byte) in bytes.iter_mut().enumerate() {
                    let pair = &text[2 * index..2 * index + 2];
                    // from_str_radix would take a sign.
                    if !pair.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                        return Err(error());
                    }
                    *byte = u8::from_str_radix(pair, 16).map_err(|_| error())?;
                }
                Ok(Self(bytes))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?
                    .parse()
                    .map_err(serde::de::Error::custom)
            }
        }
    };
}

id!(
    TraceId,
    16,
    "The id of a trace: 16 bytes, written as 32 hexadecimal digits."
);
id!(
    SpanId,
    8,
    "The id of a span: 8 bytes, written as 16 hexadecimal digits."
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_hexadecimal() {
        let text = "0af7651916cd43dd8448eb211c80319c";
        assert_eq!(
            text.parse::<TraceId>().expect("a valid id").to_string(),
            text
        );
        assert_eq!(
            "00f067aa0ba902b7"
                .to_uppercase()
                .parse::<SpanId>()
                .expect("a valid id")
                .to_string(),
            "00f067aa0ba902b7"
        );
    }

    #[test]
    fn refuses_other_texts() {
        for text in [
            "",
            "0af7",
            "zz f067aa0ba902b",
            "+0f067aa0ba902b7",
            "00f067aa0ba902b7ff",
            "ééééé…",
        ] {
            assert!(text.parse::<SpanId>().is_err(), "{text}");
        }
        assert!(SpanId::from_bytes(&[1; 9]).is_err());
    }
}

//! Structured metadata, packed: one run of bytes for each line.
//!
//! ```text
//!   count, then for each pair: number of the name, length of the value << 1 | is hexadecimal, value
//! ```
//! Trace and span ids are half of the bytes of most lines' metadata and do not compress: lower-case hexadecimal values are kept
//! as the bytes they stand for.

use std::collections::HashMap;

use gameday_disk::Decoder;
use gameday_disk::codec::put_unsigned;

/// The names of a stream's structured metadata, numbered in order of appearance.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    names: Vec<Box<str>>,
    numbers: HashMap<Box<str>, u32>,
}

impl Names {
    /// The number of `name`, which is a new one where it has not been seen.
    pub(crate) fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = self.names.len() as u32;
        self.names.push(name.into());
        self.numbers.insert(name.into(), number);
        number
    }

    /// Makes `names` those of the numbers up to theirs; false, and nothing happens, where some number has another name.
    pub(crate) fn extend_to(&mut self, names: &[Box<str>]) -> bool {
        let same = self
            .names
            .iter()
            .zip(names)
            .all(|(own, other)| own == other);
        if same {
            for name in names.iter().skip(self.names.len()) {
                self.number(name);
            }
        }
        same
    }

    /// All names in the order of their numbers.
    pub(crate) fn as_slice(&self) -> &[Box<str>] {
        &self.names
    }
}

/// Appends the pairs of one line; a line without any takes no byte.
pub(crate) fn pack(out: &mut Vec<u8>, names: &mut Names, pairs: &[(String, String)]) {
    if pairs.is_empty() {
        return;
    }
    put_unsigned(out, pairs.len() as u64);
    for (name, value) in pairs {
        put_unsigned(out, u64::from(names.number(name)));
        let is_hex = value.len() >= 8
            && value.len().is_multiple_of(2)
            && value
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if is_hex {
            // Half as many bytes as digits: the length << 1 is the number of digits.
            put_unsigned(out, (value.len() as u64) | 1);
            out.extend(
                value
                    .as_bytes()
                    .chunks_exact(2)
                    .map(|pair| nibble(pair[0]) << 4 | nibble(pair[1])),
            );
        } else {
            put_unsigned(out, (value.len() as u64) << 1);
            out.extend_from_slice(value.as_bytes());
        }
    }
}

fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => digit - b'a' + 10,
    }
}

/// Calls `visit` with each pair of a line; `scratch` holds unpacked values.
pub(crate) fn for_each<'n>(
    bytes: &[u8],
    names: &'n [Box<str>],
    scratch: &mut String,
    mut visit: impl FnMut(&'n str, &str),
) {
    let mut from = Decoder(bytes);
    let Some(count) = from.unsigned() else {
        return;
    };
    for _ in 0..count {
        let (Some(number), Some(head)) = (from.unsigned(), from.unsigned()) else {
            return;
        };
        let name = names.get(number as usize).map_or("", AsRef::as_ref);
        let Some(raw) = from.take((head >> 1) as usize) else {
            return;
        };
        if head & 1 == 1 {
            const DIGITS: &[u8; 16] = b"0123456789abcdef";
            scratch.clear();
            for byte in raw {
                scratch.push(char::from(DIGITS[usize::from(byte >> 4)]));
                scratch.push(char::from(DIGITS[usize::from(byte & 15)]));
            }
            visit(name, scratch);
        } else if let Ok(value) = std::str::from_utf8(raw) {
            visit(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_come_back_in_order() {
        let pairs: Vec<(String, String)> = [
            ("trace_id", "0af7651916cd43dd8448eb211c80319c"),
            ("level", "info"),
            ("odd", "0af76519abc"),
            ("empty", ""),
            ("level2", "ABCDEF0123"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
        let mut names = Names::default();
        let mut bytes = Vec::new();
        pack(&mut bytes, &mut names, &pairs);
        let mut seen = Vec::new();
        for_each(
            &bytes,
            names.as_slice(),
            &mut String::new(),
            |name, value| {
                seen.push((name.to_owned(), value.to_owned()));
            },
        );
        assert_eq!(seen, pairs);
        let plain: usize = pairs
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        assert!(bytes.len() < plain);
    }
}

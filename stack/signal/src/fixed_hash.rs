//! A hash that is the same on every run, for tables that are looked up by the million and never shown: nothing depends on the process,
//! and it costs a fraction of SipHash.

use std::hash::{BuildHasherDefault, Hasher};

/// A hash map that hashes alike on every run. It is looked up, never iterated.
pub type FixedMap<K, V> = std::collections::HashMap<K, V, BuildHasherDefault<Mix>>;

/// A hash set that hashes alike on every run. It is looked up, never iterated.
pub type FixedSet<K> = std::collections::HashSet<K, BuildHasherDefault<Mix>>;

/// Odd multiplier from Knuth's multiplicative hashing, 2^64 divided by the golden ratio.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Hashes eight bytes at a time by multiply and fold.
#[derive(Clone, Copy, Default)]
pub struct Mix(u64);

impl Mix {
    fn add(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word ^ GOLDEN) * u128::from(GOLDEN);
        self.0 = (product as u64) ^ ((product >> 64) as u64);
    }
}

impl Hasher for Mix {
    fn write(&mut self, bytes: &[u8]) {
        let half =
            |chunk: Option<&[u8; 4]>| u64::from(chunk.map_or(0, |it| u32::from_le_bytes(*it)));
        let last = match bytes {
            [] => 0,
            // The first, the middle and the last are all that there is.
            [first, ..] if bytes.len() < 4 => {
                let middle = bytes[bytes.len() / 2];
                let last = bytes[bytes.len() - 1];
                u64::from(*first) | u64::from(middle) << 8 | u64::from(last) << 16
            }
            // Two halves that may overlap, as the last word below may the one before: nothing is copied.
            _ if bytes.len() < 8 => half(bytes.first_chunk()) | half(bytes.last_chunk()) << 32,
            _ => {
                let (words, rest) = bytes.as_chunks::<8>();
                for word in words {
                    self.add(u64::from_le_bytes(*word));
                }
                match bytes.last_chunk() {
                    Some(word) if !rest.is_empty() => u64::from_le_bytes(*word),
                    _ => 0,
                }
            }
        };
        // The length keeps texts apart that differ in what was read twice alone.
        self.add(last ^ ((bytes.len() as u64) << 56));
    }

    fn write_u8(&mut self, number: u8) {
        self.add(u64::from(number));
    }

    fn write_u32(&mut self, number: u32) {
        self.add(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        self.add(number);
    }

    fn write_usize(&mut self, number: usize) {
        self.add(number as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// The hash of a run of bytes.
pub fn hash_bytes(bytes: &[u8]) -> u64 {
    let mut mix = Mix::default();
    mix.write(bytes);
    mix.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_texts_apart() {
        let texts: [&[u8]; 11] = [
            b"",
            b"a",
            b"a\0",
            b"aa",
            b"aaa",
            b"ab",
            b"aaaa",
            b"aaaaa",
            b"abcdefgh",
            b"abcdefgh\0",
            b"abcdefghi",
        ];
        for (index, one) in texts.iter().enumerate() {
            for two in &texts[index + 1..] {
                assert_ne!(hash_bytes(one), hash_bytes(two), "{one:?} {two:?}");
            }
        }
    }
}

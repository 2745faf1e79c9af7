//! The hash of the store's own tables: the same on every run, so that nothing depends on the process.

use std::hash::{BuildHasherDefault, Hasher};

/// A hash map that hashes alike on every run. It is looked up, never iterated.
pub(crate) type FixedMap<K, V> = std::collections::HashMap<K, V, BuildHasherDefault<Mix>>;

/// A hash set that hashes alike on every run. It is looked up, never iterated.
pub(crate) type FixedSet<K> = std::collections::HashSet<K, BuildHasherDefault<Mix>>;

/// Odd multiplier from Knuth's multiplicative hashing, 2^64 divided by the golden ratio.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Hashes eight bytes at a time by multiply and fold.
#[derive(Clone, Copy, Default)]
pub(crate) struct Mix(u64);

impl Mix {
    fn add(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word ^ GOLDEN) * u128::from(GOLDEN);
        self.0 = (product as u64) ^ ((product >> 64) as u64);
    }
}

impl Hasher for Mix {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.add(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        // The length keeps texts apart that differ in trailing zero bytes alone.
        self.add(u64::from_le_bytes(last) ^ ((bytes.len() as u64) << 56));
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
pub(crate) fn hash_bytes(bytes: &[u8]) -> u64 {
    let mut mix = Mix::default();
    mix.write(bytes);
    mix.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_texts_apart() {
        let texts: [&[u8]; 7] = [
            b"",
            b"a",
            b"a\0",
            b"ab",
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

//! Series that agree in some labels, found by a hash without building the label sets.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use gameday_signal::Labels;

/// Odd multiplier of Knuth's multiplicative hashing, 2^64 divided by the golden ratio.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Mixes a number that is a hash already once more: SipHash would cost as much as all the rest.
#[derive(Clone, Copy, Debug, Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = mixed(self.0, number);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Multiplies and folds.
fn mixed(hash: u64, word: u64) -> u64 {
    let product = u128::from(hash ^ word ^ GOLDEN) * u128::from(GOLDEN);
    (product as u64) ^ ((product >> 64) as u64)
}

/// Mixes a text in, eight bytes at a time, and its length.
fn mixed_text(hash: u64, text: &str) -> u64 {
    let (words, rest) = text.as_bytes().as_chunks::<8>();
    let whole = words
        .iter()
        .fold(hash, |hash, word| mixed(hash, u64::from_le_bytes(*word)));
    let last = rest
        .iter()
        .fold(text.len() as u64, |word, byte| word << 8 | u64::from(*byte));
    mixed(whole, last)
}

/// Numbers groups in the order in which they are first seen.
#[derive(Debug, Default)]
pub(super) struct Grouper {
    /// Only looked up, never iterated.
    by_hash: HashMap<u64, Vec<usize>, BuildHasherDefault<Hashed>>,
    /// The labels of the first member of each group, all of them.
    representatives: Vec<Labels>,
}

impl Grouper {
    /// The group of a series by the labels whose name `keep` accepts.
    pub(super) fn group_of(&mut self, labels: &Labels, keep: impl Fn(&str) -> bool) -> usize {
        let mut hash = 0;
        for (name, value) in labels.iter().filter(|(name, _)| keep(name)) {
            hash = mixed_text(mixed_text(hash, name), value);
        }
        let candidates = self.by_hash.entry(hash).or_default();
        let kept = || labels.iter().filter(|(name, _)| keep(name));
        let found = candidates.iter().copied().find(|group| {
            self.representatives[*group]
                .iter()
                .filter(|(name, _)| keep(name))
                .eq(kept())
        });
        found.unwrap_or_else(|| {
            let group = self.representatives.len();
            candidates.push(group);
            self.representatives.push(labels.clone());
            group
        })
    }

    /// The number of groups.
    pub(super) fn len(&self) -> usize {
        self.representatives.len()
    }

    /// The labels of the first member of each group, all of them.
    pub(super) fn representatives(&self) -> &[Labels] {
        &self.representatives
    }
}

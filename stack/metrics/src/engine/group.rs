//! Series that agree in some labels, found by a hash without building the label sets.

use std::collections::HashMap;

use gameday_signal::Labels;

/// FNV-1a, 64 bits (http://www.isthe.com/chongo/tech/comp/fnv/).
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// Numbers groups in the order in which they are first seen.
#[derive(Debug, Default)]
pub(super) struct Grouper {
    /// Only looked up, never iterated.
    by_hash: HashMap<u64, Vec<usize>>,
    /// The labels of the first member of each group, all of them.
    representatives: Vec<Labels>,
}

impl Grouper {
    /// The group of a series by the labels whose name `keep` accepts.
    pub(super) fn group_of(&mut self, labels: &Labels, keep: impl Fn(&str) -> bool) -> usize {
        let mut hash = FNV_OFFSET;
        for (name, value) in labels.iter().filter(|(name, _)| keep(name)) {
            for byte in name
                .bytes()
                .chain([0xff])
                .chain(value.bytes())
                .chain([0xff])
            {
                hash = (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME);
            }
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

//! Series that agree in some labels, found by a hash without building the label sets.

use std::hash::Hasher as _;

use gameday_signal::{FixedMap, Labels, Mix};

/// Numbers groups in the order in which they are first seen.
#[derive(Debug, Default)]
pub(super) struct Grouper {
    /// Only looked up, never iterated.
    by_hash: FixedMap<u64, Vec<usize>>,
    /// The labels of the first member of each group, all of them.
    representatives: Vec<Labels>,
}

impl Grouper {
    /// The group of a series by the labels whose name `keep` accepts.
    pub(super) fn group_of(&mut self, labels: &Labels, keep: impl Fn(&str) -> bool) -> usize {
        let mut hash = Mix::default();
        for (name, value) in labels.iter().filter(|(name, _)| keep(name)) {
            hash.write(name.as_bytes());
            hash.write(value.as_bytes());
        }
        let candidates = self.by_hash.entry(hash.finish()).or_default();
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

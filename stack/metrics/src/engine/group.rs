//! Series that agree in some labels, found by a hash without building the label sets.

use std::hash::Hasher as _;

use gameday_signal::{FixedMap, Labels, Mix};

/// Numbers groups in the order in which they are first seen.
#[derive(Debug, Default)]
pub(super) struct Grouper {
    /// The first group of each hash. Only looked up, never iterated.
    by_hash: FixedMap<u64, usize>,
    /// For each group the next one with the same hash, which is seldom.
    next: Vec<Option<usize>>,
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
        let new = self.representatives.len();
        let first = *self.by_hash.entry(hash.finish()).or_insert(new);
        let kept = || labels.iter().filter(|(name, _)| keep(name));
        let mut candidate = (first != new).then_some(first);
        let mut last = None;
        while let Some(group) = candidate {
            let own = self.representatives[group].iter();
            if own.filter(|(name, _)| keep(name)).eq(kept()) {
                return group;
            }
            last = Some(group);
            candidate = self.next[group];
        }
        if let Some(last) = last {
            self.next[last] = Some(new);
        }
        self.next.push(None);
        self.representatives.push(labels.clone());
        new
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

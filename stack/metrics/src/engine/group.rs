//! Series that agree in some labels, found by a hash without building the label sets.

use std::hash::Hasher as _;

use gameday_signal::{FixedMap, Labels, Mix};

/// Numbers groups in the order in which they are first seen.
#[derive(Debug, Default)]
pub(super) struct Grouper<'l> {
    /// The first group of each hash. Only looked up, never iterated.
    by_hash: FixedMap<u64, usize>,
    groups: Vec<Group>,
    /// The labels that the members of each group agree in, group after group.
    pairs: Vec<(&'l str, &'l str)>,
}

/// Room for this many groups is made at most before they are found.
const GROUPS_USUAL: usize = 64;

#[derive(Debug)]
struct Group {
    /// Where its pairs end.
    end: usize,
    /// The next one with the same hash, which is seldom.
    next: Option<usize>,
}

impl<'l> Grouper<'l> {
    /// For this many series.
    pub(super) fn of(series: usize) -> Self {
        // Few series are nearly as many groups, many are few.
        let groups = series.min(GROUPS_USUAL);
        Self {
            by_hash: FixedMap::with_capacity_and_hasher(groups, Default::default()),
            groups: Vec::with_capacity(groups),
            pairs: Vec::new(),
        }
    }

    /// The group of a series by the labels whose name `keep` accepts.
    pub(super) fn group_of(&mut self, labels: &'l Labels, keep: impl Fn(&str) -> bool) -> usize {
        let start = self.pairs.len();
        self.pairs
            .extend(labels.iter().filter(|(name, _)| keep(name)));
        let mut hash = Mix::default();
        for (name, value) in &self.pairs[start..] {
            hash.write(name.as_bytes());
            hash.write(value.as_bytes());
        }
        let new = self.groups.len();
        let first = *self.by_hash.entry(hash.finish()).or_insert(new);
        let mut candidate = (first != new).then_some(first);
        while let Some(group) = candidate {
            if self.pairs_of(group) == &self.pairs[start..] {
                self.pairs.truncate(start);
                return group;
            }
            let next = &mut self.groups[group].next;
            candidate = *next;
            next.get_or_insert(new);
        }
        self.groups.push(Group {
            end: self.pairs.len(),
            next: None,
        });
        new
    }

    /// The number of groups.
    pub(super) fn len(&self) -> usize {
        self.groups.len()
    }

    /// The labels that the members of each group agree in.
    pub(super) fn keys(&self) -> impl Iterator<Item = Labels> {
        (0..self.len()).map(|group| Labels::of_sorted(self.pairs_of(group)))
    }

    fn pairs_of(&self, group: usize) -> &[(&'l str, &'l str)] {
        let start = group
            .checked_sub(1)
            .map_or(0, |before| self.groups[before].end);
        &self.pairs[start..self.groups[group].end]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_told_apart_by_what_is_kept() {
        let series: Vec<Labels> = [("a", "1"), ("a", "2"), ("b", "1"), ("a", "1"), ("", "")]
            .into_iter()
            .zip(["x", "y", "x", "y", "x"])
            .map(|(one, other)| Labels::new([("one", one.0), ("two", one.1), ("three", other)]))
            .collect();
        let mut grouper = Grouper::of(2);
        let groups: Vec<usize> = series
            .iter()
            .map(|labels| grouper.group_of(labels, |name| name != "three"))
            .collect();
        assert_eq!((groups, grouper.len()), (vec![0, 1, 2, 0, 3], 4));
        assert_eq!(
            grouper.keys().collect::<Vec<_>>(),
            [
                Labels::new([("one", "a"), ("two", "1")]),
                Labels::new([("one", "a"), ("two", "2")]),
                Labels::new([("one", "b"), ("two", "1")]),
                Labels::empty(),
            ]
        );
    }
}

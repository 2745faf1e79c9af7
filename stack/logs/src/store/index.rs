//! Which streams have which labels.

use std::collections::{BTreeMap, BTreeSet};

use gameday_signal::{Labels, MatchOp, Matcher};

/// The number of a stream; never used twice.
pub(crate) type StreamId = u64;

/// Label names, their values and the streams that have them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    postings: BTreeMap<String, BTreeMap<String, BTreeSet<StreamId>>>,
    all: BTreeSet<StreamId>,
}

impl Index {
    pub(crate) fn add(&mut self, labels: &Labels, id: StreamId) {
        for (name, value) in labels.iter() {
            self.postings
                .entry(name.to_owned())
                .or_default()
                .entry(value.to_owned())
                .or_default()
                .insert(id);
        }
        self.all.insert(id);
    }

    pub(crate) fn remove(&mut self, labels: &Labels, id: StreamId) {
        for (name, value) in labels.iter() {
            let Some(values) = self.postings.get_mut(name) else {
                continue;
            };
            if let Some(ids) = values.get_mut(value) {
                ids.remove(&id);
                if ids.is_empty() {
                    values.remove(value);
                }
            }
            if values.is_empty() {
                self.postings.remove(name);
            }
        }
        self.all.remove(&id);
    }

    /// The streams that satisfy all matchers, in the order of their numbers.
    pub(crate) fn select(&self, matchers: &[Matcher]) -> Vec<StreamId> {
        let mut found: Option<BTreeSet<StreamId>> = None;
        for matcher in matchers {
            let own = self.matching(matcher);
            found = Some(match found {
                None => own,
                Some(before) => &before & &own,
            });
            if found.as_ref().is_some_and(BTreeSet::is_empty) {
                return Vec::new();
            }
        }
        found
            .unwrap_or_else(|| self.all.clone())
            .into_iter()
            .collect()
    }

    fn matching(&self, matcher: &Matcher) -> BTreeSet<StreamId> {
        let values = self.postings.get(matcher.name());
        if matcher.op() == MatchOp::Equal && !matcher.value().is_empty() {
            return values
                .and_then(|values| values.get(matcher.value()))
                .cloned()
                .unwrap_or_default();
        }
        if matcher.matches_empty() {
            // Streams without the label match as well: take away those that do not.
            let mut ids = self.all.clone();
            for (value, own) in values.into_iter().flatten() {
                if !matcher.matches_value(value) {
                    ids = &ids - own;
                }
            }
            return ids;
        }
        let mut ids = BTreeSet::new();
        for (value, own) in values.into_iter().flatten() {
            if matcher.matches_value(value) {
                ids.extend(own);
            }
        }
        ids
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selects_by_all_operators() {
        let mut index = Index::default();
        for (id, labels) in [
            (1, vec![("app", "a"), ("env", "prod")]),
            (2, vec![("app", "b"), ("env", "dev")]),
            (3, vec![("app", "c")]),
        ] {
            index.add(&Labels::new(labels), id);
        }
        for (name, op, value, expected) in [
            ("app", MatchOp::Equal, "a", vec![1]),
            ("app", MatchOp::NotEqual, "a", vec![2, 3]),
            ("app", MatchOp::Regex, "a|c", vec![1, 3]),
            ("env", MatchOp::NotRegex, "p.*", vec![2, 3]),
            ("env", MatchOp::Equal, "", vec![3]),
            ("no", MatchOp::Regex, ".+", vec![]),
        ] {
            let matcher = Matcher::new(name, op, value).expect("a valid matcher");
            assert_eq!(index.select(&[matcher]), expected, "{name}{op:?}{value}");
        }
        index.remove(&Labels::new([("app", "c")]), 3);
        assert_eq!(index.select(&[]), [1, 2]);
    }
}

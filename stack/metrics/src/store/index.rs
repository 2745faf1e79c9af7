//! From label values to the series that have them.

use std::collections::BTreeMap;

use gameday_signal::{Labels, MatchOp, Matcher};

/// Sorted series numbers by label name and value.
#[derive(Debug, Default)]
pub(super) struct Index {
    postings: BTreeMap<String, BTreeMap<String, Vec<u32>>>,
}

impl Index {
    /// Adds a series; numbers are given out in ascending order, or reused.
    pub(super) fn insert(&mut self, number: u32, labels: &Labels) {
        for (name, value) in labels.iter() {
            if !self.postings.contains_key(name) {
                self.postings.insert(name.to_owned(), BTreeMap::new());
            }
            let Some(values) = self.postings.get_mut(name) else {
                continue;
            };
            if !values.contains_key(value) {
                values.insert(value.to_owned(), Vec::new());
            }
            let Some(list) = values.get_mut(value) else {
                continue;
            };
            match list.last() {
                Some(last) if *last >= number => {
                    if let Err(index) = list.binary_search(&number) {
                        list.insert(index, number);
                    }
                }
                _ => list.push(number),
            }
        }
    }

    /// Removes a series.
    pub(super) fn remove(&mut self, number: u32, labels: &Labels) {
        for (name, value) in labels.iter() {
            let Some(values) = self.postings.get_mut(name) else {
                continue;
            };
            if let Some(list) = values.get_mut(value) {
                if let Ok(index) = list.binary_search(&number) {
                    list.remove(index);
                }
                if list.is_empty() {
                    values.remove(value);
                }
            }
            if values.is_empty() {
                self.postings.remove(name);
            }
        }
    }

    /// Label names in order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.postings.keys().map(String::as_str)
    }

    /// The values of a label with their series, in order.
    pub(super) fn values(&self, name: &str) -> impl Iterator<Item = (&str, &[u32])> {
        self.postings
            .get(name)
            .into_iter()
            .flatten()
            .map(|(value, list)| (value.as_str(), list.as_slice()))
    }

    /// Numbers among which all series that satisfy the matchers are, and the matchers that are still to be checked; `None`
    /// where no matcher narrows the choice.
    pub(super) fn candidates<'m>(
        &self,
        matchers: &'m [Matcher],
    ) -> (Option<Vec<u32>>, Vec<&'m Matcher>) {
        let exact = |matcher: &Matcher| matcher.op() == MatchOp::Equal && !matcher.matches_empty();
        let mut lists: Vec<&[u32]> = Vec::new();
        for matcher in matchers.iter().filter(|matcher| exact(matcher)) {
            let list = self
                .postings
                .get(matcher.name())
                .and_then(|values| values.get(matcher.value()));
            match list {
                Some(list) => lists.push(list),
                None => return (Some(Vec::new()), Vec::new()),
            }
        }
        if lists.is_empty() {
            return self.candidates_by_pattern(matchers);
        }
        lists.sort_by_key(|list| list.len());
        let mut found = lists[0].to_vec();
        for list in &lists[1..] {
            intersect(&mut found, list);
        }
        let rest = matchers.iter().filter(|matcher| !exact(matcher)).collect();
        (Some(found), rest)
    }

    /// Without an exact matcher, the first one that an absent label does not satisfy is looked up value by value.
    fn candidates_by_pattern<'m>(
        &self,
        matchers: &'m [Matcher],
    ) -> (Option<Vec<u32>>, Vec<&'m Matcher>) {
        let Some(chosen) = matchers.iter().position(|matcher| !matcher.matches_empty()) else {
            return (None, matchers.iter().collect());
        };
        let matcher = &matchers[chosen];
        let mut found = Vec::new();
        for (value, list) in self.values(matcher.name()) {
            if matcher.matches_value(value) {
                found.extend_from_slice(list);
            }
        }
        found.sort_unstable();
        let rest = matchers
            .iter()
            .enumerate()
            .filter(|(index, _)| *index != chosen)
            .map(|(_, matcher)| matcher)
            .collect();
        (Some(found), rest)
    }
}

/// Keeps what `list` has too; both are sorted.
fn intersect(found: &mut Vec<u32>, list: &[u32]) {
    if list.len() > found.len() * 16 {
        found.retain(|number| list.binary_search(number).is_ok());
        return;
    }
    let mut rest = list.iter().peekable();
    found.retain(|number| {
        while rest.next_if(|other| *other < number).is_some() {}
        rest.peek().is_some_and(|other| *other == number)
    });
}

//! Labels, their values and series.

use std::collections::{BTreeMap, BTreeSet};

use gameday_signal::{Labels, Matcher, Timestamp};

use crate::store::{Store, Stream};
use crate::{ParseError, parse_selector};

impl Store {
    /// The label names of the streams with lines between `start` and `end`; of those that `query` selects, where there is one.
    ///
    /// # Errors
    /// Where `query` is no selector.
    pub fn label_names(
        &self,
        start: Timestamp,
        end: Timestamp,
        query: Option<&str>,
    ) -> Result<Vec<String>, ParseError> {
        let matchers = matchers_of(query)?;
        let mut names = BTreeSet::new();
        for stream in self.streams_between(&matchers, start, end) {
            for (name, _) in stream.labels.iter() {
                if !names.contains(name) {
                    names.insert(name.to_owned());
                }
            }
        }
        Ok(names.into_iter().collect())
    }

    /// The values of the label `name`, as [`Store::label_names`].
    ///
    /// # Errors
    /// Where `query` is no selector.
    pub fn label_values(
        &self,
        name: &str,
        start: Timestamp,
        end: Timestamp,
        query: Option<&str>,
    ) -> Result<Vec<String>, ParseError> {
        let matchers = matchers_of(query)?;
        let values: BTreeSet<&str> = self
            .streams_between(&matchers, start, end)
            .filter_map(|stream| stream.labels.get(name))
            .collect();
        Ok(values.into_iter().map(str::to_owned).collect())
    }

    /// The label sets of the streams that one of the selectors picks (all streams where there is none) and that have lines
    /// between `start` and `end`.
    ///
    /// # Errors
    /// Where one of them is no selector.
    pub fn series(
        &self,
        selectors: &[&str],
        start: Timestamp,
        end: Timestamp,
    ) -> Result<Vec<Labels>, ParseError> {
        let mut found: BTreeMap<Labels, ()> = BTreeMap::new();
        let mut add = |matchers: &[Matcher]| {
            for stream in self.streams_between(matchers, start, end) {
                found.insert(stream.labels.clone(), ());
            }
        };
        if selectors.is_empty() {
            add(&[]);
        }
        for selector in selectors {
            add(&parse_selector(selector)?.matchers);
        }
        Ok(found.into_keys().collect())
    }

    /// The streams that satisfy all matchers and have lines in `[start, end]`.
    pub(crate) fn streams_between(
        &self,
        matchers: &[Matcher],
        start: Timestamp,
        end: Timestamp,
    ) -> impl Iterator<Item = &Stream> {
        self.select(matchers).filter(move |stream| {
            stream
                .bounds()
                .is_some_and(|(min, max)| min <= end.as_nanos() && max >= start.as_nanos())
        })
    }
}

/// The matchers of an optional selector; `{}` selects everything here.
pub(super) fn matchers_of(query: Option<&str>) -> Result<Vec<Matcher>, ParseError> {
    match query.map(str::trim) {
        None | Some("" | "{}") => Ok(Vec::new()),
        Some(query) => Ok(parse_selector(query)?.matchers),
    }
}

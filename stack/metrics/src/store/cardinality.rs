//! What the series are made of: which names and values have many.

use super::Store;

/// A name and how many there are of it.
pub type NamedCount = (String, u64);

/// The largest contributors, each list with the largest first and equal ones by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cardinality {
    /// Pairs of a label name and a value that some series has.
    pub label_pairs: u64,
    /// Compressed runs of samples.
    pub chunks: u64,
    /// Series by metric name.
    pub series_by_metric: Vec<NamedCount>,
    /// Values by label name.
    pub values_by_label: Vec<NamedCount>,
    /// Bytes of values by label name, each value as often as a series has it.
    pub bytes_by_label: Vec<NamedCount>,
    /// Series by `name=value`.
    pub series_by_pair: Vec<NamedCount>,
}

impl Store {
    /// The `limit` largest contributors to the number of series (Prometheus tsdb/index, MemPostings.Stats).
    pub fn cardinality(&self, limit: usize) -> Cardinality {
        let mut found = Cardinality {
            chunks: self
                .all_series()
                .map(|series| series.chunk_count() as u64)
                .sum(),
            ..Cardinality::default()
        };
        for name in self.index.names() {
            let (mut values, mut bytes) = (0, 0);
            for (value, series) in self.index.values(name) {
                let count = series.len() as u64;
                values += 1;
                bytes += value.len() as u64 * count;
                found
                    .series_by_pair
                    .push((format!("{name}={value}"), count));
                if name == "__name__" {
                    found.series_by_metric.push((value.to_owned(), count));
                }
            }
            found.label_pairs += values;
            found.values_by_label.push((name.to_owned(), values));
            found.bytes_by_label.push((name.to_owned(), bytes));
        }
        for list in [
            &mut found.series_by_metric,
            &mut found.values_by_label,
            &mut found.bytes_by_label,
            &mut found.series_by_pair,
        ] {
            list.sort_by(|(name, count), (other, more)| more.cmp(count).then(name.cmp(other)));
            list.truncate(limit);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StoreConfig;
    use gameday_signal::Labels;

    #[test]
    fn the_largest_come_first() {
        let mut store = Store::new(StoreConfig::default());
        for (name, job) in [("up", "a"), ("up", "bb"), ("x", "bb")] {
            let labels = Labels::new([("__name__", name), ("job", job)]);
            store.append(&labels, 0, 1.0).expect("in order");
        }
        let found = store.cardinality(2);
        let list = |pairs: &[(&str, u64)]| -> Vec<NamedCount> {
            pairs
                .iter()
                .map(|(name, count)| ((*name).to_owned(), *count))
                .collect()
        };
        assert_eq!((found.label_pairs, found.chunks), (4, 3));
        assert_eq!(found.series_by_metric, list(&[("up", 2), ("x", 1)]));
        assert_eq!(found.values_by_label, list(&[("__name__", 2), ("job", 2)]));
        assert_eq!(found.bytes_by_label, list(&[("__name__", 5), ("job", 5)]));
        assert_eq!(
            found.series_by_pair,
            list(&[("__name__=up", 2), ("job=bb", 2)])
        );
    }
}

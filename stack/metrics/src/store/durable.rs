//! A store with a data directory: opening, committing, checkpoints, retention.

use std::collections::HashMap;

use gameday_disk::{DiskError, Files, Part};

use super::persist::{read_block, read_head, write_block, write_heads};
use super::{AppendStats, SeriesRef, Store, StoreConfig};
use crate::log::{Log, Record, Recovery, read_batch};

/// What [`Store::maintain`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Maintenance {
    /// Series that have no samples left and were forgotten.
    pub series_forgotten: usize,
    /// Whether a checkpoint was written.
    pub checkpoint: bool,
}

impl Store {
    /// Opens the store that `files` hold; an empty folder is an empty store.
    ///
    /// Damaged files are repaired as far as they go, which [`Recovery::repairs`] tells line by line.
    ///
    /// # Errors
    /// Where a file cannot be read or repaired.
    pub fn open(config: StoreConfig, files: Box<dyn Files>) -> Result<(Self, Recovery), DiskError> {
        let mut store = Self::new(config);
        let mut known = HashMap::new();
        let (log, repairs) = Log::open(files, &mut |part, record| match part {
            Part::Block => read_block(record, &mut store).is_some(),
            Part::Heads => read_head(record, &mut store).is_some(),
            Part::Batch => read_batch(record, |record| store.replay(record, &mut known)),
        })?;
        store.log = Some(log);
        // What was counted on the way is no news.
        store.appended = AppendStats::default();
        let stats = store.stats();
        store.max_time_ms = stats.max_time_ms;
        let recovery = Recovery {
            series: stats.series,
            samples: stats.samples,
            repairs,
        };
        Ok((store, recovery))
    }

    /// Appends what a log says. What a block or the heads hold too is refused as a duplicate, or as too old, and so ignored.
    fn replay(&mut self, record: Record, known: &mut HashMap<u32, SeriesRef>) {
        match record {
            Record::Series(number, labels) => {
                known.insert(number, self.series_ref(&labels));
            }
            Record::Sample(number, sample) => {
                if let Some(reference) = known.get(&number) {
                    let _ = self.append_ref(*reference, sample.timestamp_ms, sample.value);
                }
            }
            Record::Histogram(number, time_ms, histogram) => {
                if let Some(labels) = known.get(&number).and_then(|own| self.labels_of(*own)) {
                    let _ = self.append_histogram(&labels, time_ms, histogram);
                }
            }
            Record::Exemplar(number, time_ms, exemplar) => {
                if let Some(labels) = known.get(&number).and_then(|own| self.labels_of(*own)) {
                    self.append_exemplar(&labels, time_ms, exemplar);
                }
            }
        }
    }

    /// Writes down what has been appended since the last time: once it returns, a kill of the process loses none of it. To be
    /// called before an append is acknowledged. Does nothing for a store in memory.
    ///
    /// # Errors
    /// Where the log cannot be written; the samples are kept for the next attempt.
    pub fn commit(&mut self) -> Result<(), DiskError> {
        match &mut self.log {
            Some(log) => log.commit(),
            None => Ok(()),
        }
    }

    /// Writes full chunks to a block and the rest to a heads file, after which the logs so far are no longer needed. Worth doing
    /// before a shutdown: the next start is faster. Does nothing for a store in memory.
    ///
    /// # Errors
    /// Where a file cannot be written; the logs then still hold everything.
    pub fn checkpoint(&mut self) -> Result<(), DiskError> {
        let (block, max_ms) = write_block(self.all_series());
        let heads = write_heads(self.all_series());
        let Some(log) = &mut self.log else {
            return Ok(());
        };
        log.checkpoint(&block, max_ms, &heads)?;
        for series in self.all_series_mut() {
            series.mark_saved();
        }
        Ok(())
    }

    /// Enforces the retention by time and by size, and writes a checkpoint where the log has grown long. To be called every minute
    /// or so.
    ///
    /// # Errors
    /// Where a file cannot be written or removed.
    pub fn maintain(&mut self, now_ms: i64) -> Result<Maintenance, DiskError> {
        let mut done = Maintenance::default();
        if let Some(retention) = self.config.retention_ms {
            let cutoff = now_ms.saturating_sub(retention);
            done.series_forgotten += self.truncate_before(cutoff);
            if let Some(log) = &mut self.log {
                log.disk.remove_before(cutoff)?;
            }
        }
        if let Some(limit) = self.config.retention_bytes {
            done.series_forgotten += if self.log.is_some() {
                self.shrink_disk(limit)?
            } else {
                self.shrink_memory(limit)
            };
        }
        let is_due = self.log.as_ref().is_some_and(|log| {
            log.disk.is_incomplete() || log.disk.log_bytes() >= self.config.checkpoint_bytes
        });
        if is_due {
            self.checkpoint()?;
            done.checkpoint = true;
        }
        Ok(done)
    }

    fn shrink_disk(&mut self, limit: u64) -> Result<usize, DiskError> {
        let mut forgotten = 0;
        while let Some(log) = &mut self.log
            && log.disk.bytes() > limit
            && let Some(newest) = log.disk.remove_oldest()?
        {
            forgotten += self.truncate_before(newest.saturating_add(1));
        }
        Ok(forgotten)
    }

    fn shrink_memory(&mut self, limit: u64) -> usize {
        let mut forgotten = 0;
        loop {
            let stats = self.stats();
            let (Some(min_ms), Some(max_ms)) = (stats.min_time_ms, stats.max_time_ms) else {
                return forgotten;
            };
            // A tenth of the time at a time: the samples may be unevenly spread.
            for tenths in 1..10 {
                if self.stats().bytes <= limit {
                    return forgotten;
                }
                let span = max_ms.saturating_sub(min_ms) / 10 * tenths;
                forgotten += self.truncate_before(min_ms.saturating_add(span));
            }
            if self.stats().min_time_ms == Some(min_ms) {
                // Only chunks that are written to are left.
                return forgotten;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gameday_disk::MemoryFiles;
    use gameday_signal::{Exemplar, Histogram, Labels};

    fn labels(name: &str) -> Labels {
        Labels::new([("__name__", name)])
    }

    fn open(files: &MemoryFiles) -> (Store, Recovery) {
        let config = StoreConfig {
            checkpoint_bytes: u64::MAX,
            out_of_order_window_ms: 600_000,
            ..StoreConfig::default()
        };
        Store::open(config, Box::new(files.clone())).expect("readable files")
    }

    /// Everything that a store holds, as text.
    fn dump(store: &Store) -> Vec<String> {
        let mut lines = Vec::new();
        for series in store.all_series() {
            let (mut times, mut values, mut histograms) = (Vec::new(), Vec::new(), Vec::new());
            series.read_all_floats(i64::MIN, i64::MAX, &mut times, &mut values);
            series.read_histograms(i64::MIN, i64::MAX, &mut histograms);
            lines.push(format!(
                "{} {times:?} {values:?} {histograms:?} {:?}",
                series.labels(),
                series.exemplars()
            ));
        }
        lines.sort();
        lines
    }

    fn fill(store: &mut Store, from: i64, to: i64) {
        for index in from..to {
            for name in ["a", "b"] {
                let value = (index % 700) as f64 / 3.0;
                store
                    .append(&labels(name), index * 1000, value)
                    .expect("in order");
            }
            if index % 100 == 0 {
                let histogram = Histogram {
                    count: index as f64,
                    ..Histogram::default()
                };
                store
                    .append_histogram(&labels("h"), index * 1000, histogram)
                    .expect("in order");
                let exemplar = Exemplar {
                    labels: Labels::new([("trace_id", index.to_string())]),
                    value: 1.0,
                    timestamp: None,
                };
                store.append_exemplar(&labels("a"), index * 1000, exemplar);
            }
        }
    }

    #[test]
    fn what_was_committed_is_there_again() {
        let files = MemoryFiles::default();
        let mut expected = Vec::new();
        // Each round is a process that is killed; some write checkpoints.
        for round in 0..6 {
            let (mut store, recovery) = open(&files);
            assert_eq!(recovery.repairs, Vec::<String>::new());
            assert_eq!(dump(&store), expected, "round {round}");
            fill(&mut store, round * 500, round * 500 + 400);
            // An older sample changes a chunk that may stand in a block already.
            let late = (round * 500 + 50) * 1000 + 1;
            store
                .append(&labels("b"), late, 7.0)
                .expect("in the window");
            store.commit().expect("written");
            if round % 2 == 1 {
                store.checkpoint().expect("written");
                fill(&mut store, round * 500 + 400, round * 500 + 450);
                store.commit().expect("written");
            }
            expected = dump(&store);
            store
                .append(&labels("a"), (round * 500 + 460) * 1000, 1.0)
                .expect("in order");
            // Never committed, so it may be lost.
        }
    }

    #[test]
    fn a_damaged_log_is_cut_and_told() {
        for damage in ["truncated", "changed"] {
            let files = MemoryFiles::default();
            let (mut store, _) = open(&files);
            fill(&mut store, 0, 10);
            store.commit().expect("written");
            let good = dump(&store);
            let size = files.change(|files| files["00000001.wal"].len());
            fill(&mut store, 10, 20);
            store.commit().expect("written");
            files.change(|files| {
                let log = files.get_mut("00000001.wal").expect("the log");
                if damage == "truncated" {
                    log.pop();
                } else if let Some(last) = log.last_mut() {
                    *last ^= 1;
                }
            });
            let (mut store, recovery) = open(&files);
            assert_eq!(dump(&store), good, "{damage}");
            assert_eq!(recovery.repairs.len(), 1);
            let place = format!("00000001.wal:{size}: the log ");
            assert!(recovery.repairs[0].starts_with(&place), "{recovery:?}");
            // And it goes on from there.
            fill(&mut store, 10, 20);
            store.commit().expect("written");
            let (again, recovery) = open(&files);
            assert_eq!(recovery.repairs, Vec::<String>::new());
            assert_eq!(dump(&again), dump(&store));
        }
    }

    #[test]
    fn random_damage_never_panics() {
        let files = MemoryFiles::default();
        let (mut store, _) = open(&files);
        fill(&mut store, 0, 800);
        store.checkpoint().expect("written");
        fill(&mut store, 800, 900);
        store.commit().expect("written");
        let whole = files.change(|files| files.clone());
        for name in whole.keys() {
            for offset in (0..whole[name].len()).step_by(whole[name].len() / 40 + 1) {
                files.change(|files| {
                    *files = whole.clone();
                    if let Some(byte) = files.get_mut(name).and_then(|file| file.get_mut(offset)) {
                        *byte ^= 0x55;
                    }
                });
                let (_, recovery) = open(&files);
                assert_eq!(recovery.repairs.len(), 1, "{name} at {offset}");
            }
        }
    }

    #[test]
    fn a_full_disk_is_told_and_leaves_no_torn_batch() {
        let files = MemoryFiles::default();
        files.fill_after(500);
        let (mut store, _) = open(&files);
        fill(&mut store, 0, 10);
        store.commit().expect("it fits");
        fill(&mut store, 10, 50);
        let error = store.commit().expect_err("it does not fit");
        assert!(
            error.to_string().starts_with("00000001.wal: cannot write"),
            "{error}"
        );
        // The samples are kept for the next attempt.
        store.commit().expect("there is room again");
        let (again, recovery) = open(&files);
        assert_eq!(recovery.repairs, Vec::<String>::new());
        assert_eq!(dump(&again), dump(&store));
    }

    #[test]
    fn retention_by_time_and_size_removes_blocks() {
        let files = MemoryFiles::default();
        let (mut store, _) = open(&files);
        for round in 0..4 {
            fill(&mut store, round * 1000, round * 1000 + 1000);
            store.checkpoint().expect("written");
        }
        let count =
            || files.change(|files| files.keys().filter(|name| name.ends_with(".block")).count());
        assert_eq!(count(), 4);
        store.config.retention_ms = Some(2_500_000);
        store.maintain(4_000_000).expect("removed");
        assert_eq!(count(), 3);
        assert!(store.stats().min_time_ms.is_some_and(|time| time > 700_000));
        store.config.retention_bytes = Some(10_000);
        store.maintain(4_000_000).expect("removed");
        assert!(count() < 3, "{}", count());
        let (again, _) = open(&files);
        assert_eq!(again.stats().max_time_ms, store.stats().max_time_ms);
    }

    #[test]
    fn a_store_in_memory_shrinks_too() {
        let mut store = Store::new(StoreConfig {
            retention_bytes: Some(40_000),
            ..StoreConfig::default()
        });
        fill(&mut store, 0, 20_000);
        store.maintain(20_000_000).expect("no files");
        let stats = store.stats();
        assert!(stats.bytes <= 40_000, "{stats:?}");
        assert_eq!(stats.max_time_ms, Some(19_999_000));
    }
}

//! What is appended to a store, on its way to the log.

use std::collections::BTreeSet;
use std::path::Path;

use gameday_disk::{DiskError, DiskFiles, Log, Replay};
use gameday_signal::Labels;

use super::record::Batch;
use crate::Entry;

/// How a store on disk is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskConfig {
    /// A write-ahead log that is larger becomes segments. Logs are small against segments, so that little is read again at a start,
    /// and a checkpoint is over in a tenth of a second.
    pub wal_bytes: u64,
    /// All files together; the oldest segments make room, with their lines in memory.
    pub bytes_max: u64,
    /// Whether every commit waits until the disk has it.
    pub sync: bool,
}

impl Default for DiskConfig {
    fn default() -> Self {
        Self {
            wal_bytes: 4 << 20,
            bytes_max: 4 << 30,
            sync: false,
        }
    }
}

/// What opening a store found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Streams that were read.
    pub streams: u64,
    /// Lines that were read.
    pub lines: u64,
    /// A line about each file that was damaged: which, where, what was dropped.
    pub repairs: Vec<String>,
}

/// The log that is being written.
#[derive(Debug)]
pub(crate) struct DiskLog {
    pub(crate) log: Log,
    pub(crate) config: DiskConfig,
    batch: Batch,
    /// The streams whose labels the logs say since the last checkpoint.
    known: BTreeSet<u64>,
}

impl DiskLog {
    /// Opens a folder and hands what is good in it to `replay`; returns a line about each file that was damaged, too.
    pub(crate) fn open(
        folder: &Path,
        config: DiskConfig,
        replay: &mut Replay<'_>,
    ) -> Result<(Self, Vec<String>), DiskError> {
        let files = DiskFiles::new(folder)?.synced(config.sync);
        let (log, repairs) = Log::open(Box::new(files), "segment", replay)?;
        let log = Self {
            log,
            config,
            batch: Batch::default(),
            known: BTreeSet::new(),
        };
        Ok((log, repairs))
    }

    /// A line that the store has taken; it is written by the next commit.
    pub(crate) fn record(&mut self, stream: u64, labels: &Labels, entry: &Entry) {
        if self.known.insert(stream) {
            self.batch.stream(stream, labels);
        }
        self.batch.entry(stream, entry);
    }

    /// Writes what has been recorded since the last time as one batch; where that fails it is kept for the next attempt.
    pub(crate) fn commit(&mut self) -> Result<(), DiskError> {
        if self.batch.bytes() == 0 {
            return Ok(());
        }
        let written = self.log.commit(&self.batch.packed());
        if written.is_ok() {
            self.batch.clear();
        } else if self.log.gives_up(self.batch.bytes()) {
            self.batch.clear();
            self.known.clear();
        }
        written
    }

    /// Writes sealed blocks and heads, which hold what waits to be committed, too.
    pub(crate) fn checkpoint(
        &mut self,
        segment: &[u8],
        max_ts: i64,
        heads: &[u8],
    ) -> Result<(), DiskError> {
        self.log.checkpoint(segment, max_ts, heads)?;
        self.batch.clear();
        self.known.clear();
        Ok(())
    }
}

//! What is appended to a store, on its way to the log.

use gameday_disk::{DiskError, Encoder, Files, Replay};
use gameday_signal::{Exemplar, Histogram, Labels, Sample};

use super::record::{
    write_exemplar_record, write_histogram_record, write_sample_record, write_series_record,
};

/// What opening a store found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Series that were read.
    pub series: usize,
    /// Samples that were read.
    pub samples: u64,
    /// A line about each file that was damaged: which, where, what was dropped.
    pub repairs: Vec<String>,
}

/// The log that is being written.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) disk: gameday_disk::Log,
    batch: Encoder,
    /// The time of the last sample in the batch.
    base_ms: i64,
    /// By series number: whether the log says since the last checkpoint which labels it stands for.
    known: Vec<bool>,
}

impl Log {
    /// Finds the files and hands what is good in them to `replay`; returns a line about each that was damaged, too.
    pub(crate) fn open(
        files: Box<dyn Files>,
        replay: &mut Replay<'_>,
    ) -> Result<(Self, Vec<String>), DiskError> {
        let (disk, repairs) = gameday_disk::Log::open(files, "block", replay)?;
        let log = Self {
            disk,
            batch: Encoder::default(),
            base_ms: 0,
            known: Vec::new(),
        };
        Ok((log, repairs))
    }

    fn introduce(&mut self, number: u32, labels: &Labels) {
        let index = number as usize;
        if self.known.len() <= index {
            self.known.resize(index + 1, false);
        }
        if !std::mem::replace(&mut self.known[index], true) {
            write_series_record(&mut self.batch, number, labels);
        }
    }

    /// The number will stand for another series.
    pub(crate) fn forget(&mut self, number: u32) {
        if let Some(known) = self.known.get_mut(number as usize) {
            *known = false;
        }
    }

    pub(crate) fn sample(&mut self, number: u32, labels: &Labels, sample: Sample) {
        self.introduce(number, labels);
        write_sample_record(&mut self.batch, number, sample, self.base_ms);
        self.base_ms = sample.timestamp_ms;
    }

    pub(crate) fn histogram(
        &mut self,
        number: u32,
        labels: &Labels,
        time_ms: i64,
        histogram: &Histogram,
    ) {
        self.introduce(number, labels);
        write_histogram_record(&mut self.batch, number, time_ms, histogram);
    }

    pub(crate) fn exemplar(
        &mut self,
        number: u32,
        labels: &Labels,
        time_ms: i64,
        exemplar: &Exemplar,
    ) {
        self.introduce(number, labels);
        write_exemplar_record(&mut self.batch, number, time_ms, exemplar);
    }

    /// Writes what has been appended since the last time as one batch; where that fails it is kept for the next attempt.
    pub(crate) fn commit(&mut self) -> Result<(), DiskError> {
        if self.batch.0.is_empty() {
            return Ok(());
        }
        let written = self.disk.commit(&self.batch.0);
        if written.is_ok() {
            self.clear_batch();
        } else if self.disk.gives_up(self.batch.0.len()) {
            self.clear_batch();
            self.known.clear();
        }
        written
    }

    /// Writes full chunks and open ends, which hold what waits to be committed, too.
    pub(crate) fn checkpoint(
        &mut self,
        block: &[u8],
        max_ms: i64,
        heads: &[u8],
    ) -> Result<(), DiskError> {
        self.disk.checkpoint(block, max_ms, heads)?;
        self.clear_batch();
        self.known.clear();
        Ok(())
    }

    fn clear_batch(&mut self) {
        self.batch.0.clear();
        self.base_ms = 0;
    }
}

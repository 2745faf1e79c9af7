//! A store with a folder: opening, committing, checkpoints, retention.

use std::collections::BTreeMap;
use std::path::Path;

use gameday_disk::{DiskError, Part};
use gameday_signal::{Labels, Timestamp};

use super::append::Store;
use super::block::{Block, Needs};
use super::metadata;
use super::stream::Stream;
use crate::disk::{
    DiskConfig, DiskLog, Recovery, ReplayedEntry, SavedStream, read_batch, read_head, read_segment,
    write_heads, write_segment,
};
use crate::{Limits, Metadata};

impl Store {
    /// A store that keeps what it takes in `folder`, with what is there already. The folder belongs to one store at a time.
    ///
    /// # Errors
    /// Where the folder cannot be read or written. Damage is no error: what can be read is kept, and
    /// [`Recovery::repairs`] tells line by line what could not.
    pub fn open(
        folder: &Path,
        limits: Limits,
        config: DiskConfig,
        now: Timestamp,
    ) -> Result<(Self, Recovery), DiskError> {
        let mut store = Self::new(limits);
        let mut known = BTreeMap::new();
        let (log, repairs) = DiskLog::open(folder, config, &mut |part, record| match part {
            Part::Block => read_segment(record)
                .map(|saved| store.restore_blocks(saved))
                .is_some(),
            Part::Heads => read_head(record)
                .map(|saved| store.restore_head(saved))
                .is_some(),
            Part::Batch => read_batch(record, |record| store.replay(record, &mut known)),
        })?;
        store.disk = Some(log);
        store.maintain(now)?;
        let stats = store.stats();
        let recovery = Recovery {
            streams: stats.streams,
            lines: stats.entries,
            repairs,
        };
        Ok((store, recovery))
    }

    /// Writes down what has been appended since the last time: once it returns, a kill of the process loses none of it. To be called
    /// before an append is acknowledged. Does nothing for a store in memory.
    ///
    /// # Errors
    /// Where the log cannot be written; the lines are in memory and are tried again by the next call.
    pub fn commit(&mut self) -> Result<(), DiskError> {
        let Some(disk) = &mut self.disk else {
            return Ok(());
        };
        disk.commit()?;
        if disk.log.log_bytes() < disk.config.wal_bytes {
            return Ok(());
        }
        // Heads are written anew each time: many small streams wait for longer, so that this stays a fraction of what comes in.
        let heads: usize = self
            .streams
            .values()
            .map(|stream| stream.head.bytes())
            .sum();
        if disk.log.log_bytes() < heads as u64 / 2 {
            return Ok(());
        }
        self.checkpoint()
    }

    /// Writes sealed blocks to a segment and the rest to a heads file, after which the logs so far are no longer needed. Worth doing
    /// before a shutdown: the next start is faster. Does nothing for a store in memory.
    ///
    /// # Errors
    /// Where a file cannot be written; the logs then still hold everything.
    pub fn checkpoint(&mut self) -> Result<(), DiskError> {
        let Some(disk) = &mut self.disk else {
            return Ok(());
        };
        let (segment, max_ts) = write_segment(self.streams.values());
        let heads = write_heads(self.streams.values());
        disk.checkpoint(&segment, max_ts, &heads)?;
        for stream in self.streams.values_mut() {
            stream
                .blocks
                .iter_mut()
                .for_each(|block| block.saved = true);
        }
        Ok(())
    }

    /// Enforces the retention by time and by size, in memory and on disk. To be called every minute or so; returns the lines that
    /// went.
    ///
    /// # Errors
    /// Where a file cannot be written or removed.
    pub fn maintain(&mut self, now: Timestamp) -> Result<u64, DiskError> {
        let mut dropped = self.apply_retention(now);
        let retention = self.limits.retention;
        let Some(disk) = &mut self.disk else {
            return Ok(dropped);
        };
        if let Some(retention) = retention {
            disk.log.remove_before((now - retention).as_nanos())?;
        }
        while let Some(disk) = &mut self.disk
            && disk.log.bytes() > disk.config.bytes_max
            && let Some(newest) = disk.log.remove_oldest()?
        {
            dropped += self.drop_before(newest.saturating_add(1));
        }
        let disk = self.disk.as_ref();
        if disk.is_some_and(|disk| disk.log.is_incomplete()) {
            self.checkpoint()?;
        }
        Ok(dropped)
    }

    fn stream_of(&mut self, labels: &Labels) -> &mut Stream {
        let id = self.id_of(labels);
        self.streams
            .entry(id)
            .or_insert_with(|| Stream::new(labels.clone()))
    }

    fn restore_blocks(&mut self, saved: SavedStream) {
        let stream = self.stream_of(&saved.labels);
        stream.newest_ts = stream.newest_ts.max(saved.newest_ts);
        let renumber = !stream.names.extend_to(&saved.names);
        for mut block in saved.blocks {
            if renumber {
                block = renumbered(&block, &saved.names, stream);
            }
            stream.blocks.push(block);
        }
    }

    fn restore_head(&mut self, saved: SavedStream) {
        let stream = self.stream_of(&saved.labels);
        stream.newest_ts = stream.newest_ts.max(saved.newest_ts);
        let renumber = !stream.names.extend_to(&saved.names);
        for mut block in saved.blocks {
            if renumber {
                block = renumbered(&block, &saved.names, stream);
            }
            block.unpack_into(ALL, &mut stream.head);
        }
        if !renumber {
            stream.sealed_end = saved.sealed_end;
        }
    }

    fn replay(&mut self, record: ReplayedEntry, known: &mut BTreeMap<u64, Labels>) {
        match record {
            ReplayedEntry::Stream(number, labels) => {
                known.insert(number, labels);
            }
            ReplayedEntry::Entry(number, timestamp, line, metadata) => {
                let Some(labels) = known.get(&number) else {
                    return;
                };
                let id = self.id_of(labels);
                if let Some(stream) = self.streams.get_mut(&id) {
                    stream.insert(timestamp, &line, &metadata);
                    if stream.is_head_full() {
                        stream.seal_head(&mut self.scratch);
                    }
                }
            }
        }
    }
}

const ALL: Needs = Needs {
    text: true,
    metadata: true,
};

/// A block whose metadata was packed when the names of its stream had other numbers: the stream had gone and come again.
fn renumbered(block: &Block, names: &[Box<str>], stream: &mut Stream) -> Block {
    let mut lines = super::block::Lines::default();
    let mut out = super::block::Lines::default();
    block.unpack_into(ALL, &mut lines);
    let (mut packed, mut scratch) = (Vec::new(), String::new());
    for index in 0..lines.len() {
        let mut pairs = Metadata::default();
        metadata::for_each(
            lines.metadata_of(index),
            names,
            &mut scratch,
            |name, value| pairs.push(name, value),
        );
        packed.clear();
        metadata::pack(&mut packed, &mut stream.names, &pairs);
        out.push(lines.timestamps[index], lines.line(index), &packed);
    }
    let mut sealed = Block::seal(&out, &[], &mut lines);
    sealed.saved = block.saved;
    sealed
}

//! A write-ahead log with checkpoints.

use crate::frame::put;
use crate::{Appender, Decoder, DiskError, Encoder, Files, Folder};

const WAL: &str = "wal";
const HEADS: &str = "heads";
/// The first byte of blocks and heads; another one is another format.
const VERSION: u8 = 1;
/// While the log cannot be written, records wait for the next attempt up to this many bytes.
const WAITING_BYTES_MAX: usize = 64 << 20;

/// Where a record was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// In a block: it no longer changes.
    Block,
    /// In the heads: it may have changed since, as the logs say.
    Heads,
    /// In a log: it is a batch.
    Batch,
}

/// What a room does with a record that was found; it says whether the record made sense.
pub type Replay<'r> = dyn FnMut(Part, &[u8]) -> bool + 'r;

/// A block on the disk.
#[derive(Clone, Copy, Debug)]
struct Block {
    number: u64,
    bytes: u64,
    /// The time of the newest thing in it, in the unit of the room.
    newest: i64,
}

/// The log of a store.
#[derive(Debug)]
pub struct Log {
    folder: Folder,
    /// Writes to the newest log.
    appender: Appender,
    /// How the room calls its blocks.
    block_kind: &'static str,
    blocks: Vec<Block>,
    heads_bytes: u64,
    /// Bytes in the logs since the last checkpoint.
    log_bytes: u64,
    /// Whether records were given up; a checkpoint makes it whole.
    incomplete: bool,
}

impl Log {
    /// Finds the files and hands what is good in them to `replay`, in the order in which it was written: blocks, heads, logs. What a
    /// checkpoint that was interrupted has left is removed; a damaged log is cut, and the logs after it are removed. Returns a line
    /// about each file that was damaged: which, where, what was dropped.
    ///
    /// # Errors
    /// Where a file cannot be read or repaired.
    pub fn open(
        files: Box<dyn Files>,
        block_kind: &'static str,
        replay: &mut Replay<'_>,
    ) -> Result<(Self, Vec<String>), DiskError> {
        let mut folder = Folder::open(files)?;
        let checkpoint = folder.numbers(HEADS)?.last().copied().unwrap_or(0);
        for kind in [HEADS, WAL] {
            for number in folder.numbers(kind)? {
                if number < checkpoint {
                    folder.remove(number, kind)?;
                }
            }
        }
        let logs = folder.numbers(WAL)?;
        let next = logs.last().map_or(checkpoint.max(1), |last| last + 1);
        let mut log = Self {
            folder,
            appender: Appender::new(WAL, next),
            block_kind,
            blocks: Vec::new(),
            heads_bytes: 0,
            log_bytes: 0,
            incomplete: false,
        };
        let mut repairs = Vec::new();
        log.read_blocks(checkpoint, replay, &mut repairs)?;
        if checkpoint > 0 {
            let mut read = |record: &[u8]| replay(Part::Heads, record);
            (log.heads_bytes, _) = log.read_saved(checkpoint, HEADS, &mut repairs, &mut read)?;
        }
        log.read_logs(&logs, replay, &mut repairs)?;
        Ok((log, repairs))
    }

    fn read_blocks(
        &mut self,
        checkpoint: u64,
        replay: &mut Replay<'_>,
        repairs: &mut Vec<String>,
    ) -> Result<(), DiskError> {
        let kind = self.block_kind;
        // One of which nobody knows how new it is goes with the one before it.
        let mut newest = i64::MIN;
        for number in self.folder.numbers(kind)? {
            if number > checkpoint {
                // Its checkpoint was never finished, and so its logs are still there.
                self.folder.remove(number, kind)?;
                continue;
            }
            let mut read = |record: &[u8]| replay(Part::Block, record);
            let (bytes, known) = self.read_saved(number, kind, repairs, &mut read)?;
            newest = known.unwrap_or(newest);
            self.blocks.push(Block {
                number,
                bytes,
                newest,
            });
        }
        Ok(())
    }

    /// Reads a block or heads; returns the size of the file, and how new it says that it is.
    fn read_saved(
        &self,
        number: u64,
        kind: &str,
        repairs: &mut Vec<String>,
        replay: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Result<(u64, Option<i64>), DiskError> {
        let (mut is_header, mut newest) = (true, None);
        let found = self.folder.read(number, kind, repairs, |record| {
            if std::mem::take(&mut is_header) {
                newest = read_header(record);
                return newest.is_some();
            }
            newest.is_some() && replay(record)
        })?;
        Ok((found.bytes, newest))
    }

    fn read_logs(
        &mut self,
        numbers: &[u64],
        replay: &mut Replay<'_>,
        repairs: &mut Vec<String>,
    ) -> Result<(), DiskError> {
        let mut is_damaged = false;
        for number in numbers {
            if is_damaged {
                self.folder.drop_log(*number, WAL, repairs)?;
                continue;
            }
            let read = |record: &[u8]| replay(Part::Batch, record);
            let found = self.folder.read_log(*number, WAL, repairs, read)?;
            self.log_bytes += found.good_bytes;
            is_damaged = found.good_bytes < found.bytes;
        }
        Ok(())
    }

    /// Writes a batch.
    ///
    /// # Errors
    /// Where it cannot be written: nothing of it stays behind, and it can be tried again.
    pub fn commit(&mut self, batch: &[u8]) -> Result<(), DiskError> {
        self.log_bytes += self.appender.append(&mut self.folder, batch)?;
        Ok(())
    }

    /// Whether `waiting_bytes` that could not be written are too many to wait any longer. The log then has a gap until the next
    /// checkpoint, and [`Self::is_incomplete`].
    pub fn gives_up(&mut self, waiting_bytes: usize) -> bool {
        let gives_up = waiting_bytes >= WAITING_BYTES_MAX;
        self.incomplete |= gives_up;
        gives_up
    }

    /// Whether batches were given up since the last checkpoint.
    pub fn is_incomplete(&self) -> bool {
        self.incomplete
    }

    /// Bytes in the logs since the last checkpoint.
    pub fn log_bytes(&self) -> u64 {
        self.log_bytes
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        let blocks: u64 = self.blocks.iter().map(|block| block.bytes).sum();
        blocks + self.heads_bytes + self.log_bytes
    }

    /// Writes what no longer changes to a block (none where there are no records), what still does to the heads, and removes the logs
    /// that hold the same. Both are records one after the other, as [`frame::put`](crate::frame::put) writes them. `newest` is the time
    /// of the newest thing in the block.
    ///
    /// # Errors
    /// Where a file cannot be written; the logs then still hold everything.
    pub fn checkpoint(&mut self, block: &[u8], newest: i64, heads: &[u8]) -> Result<(), DiskError> {
        let number = self.appender.number() + 1;
        let mut written = None;
        if block.is_empty() {
            // A checkpoint that has failed may have left one, which would count now.
            self.folder.remove(number, self.block_kind)?;
        } else {
            let bytes = self.write_saved(number, self.block_kind, newest, block)?;
            written = Some(Block {
                number,
                bytes,
                newest,
            });
        }
        self.heads_bytes = self.write_saved(number, HEADS, i64::MIN, heads)?;
        self.blocks.extend(written);
        self.appender = Appender::new(WAL, number);
        self.log_bytes = 0;
        self.incomplete = false;
        for kind in [WAL, HEADS] {
            for old in self.folder.numbers(kind).unwrap_or_default() {
                if old < number {
                    // What stays is removed by the next checkpoint, or the next start.
                    let _ = self.folder.remove(old, kind);
                }
            }
        }
        Ok(())
    }

    /// Returns the size of the file.
    fn write_saved(
        &mut self,
        number: u64,
        kind: &str,
        newest: i64,
        records: &[u8],
    ) -> Result<u64, DiskError> {
        let mut file = Encoder(Vec::with_capacity(records.len() + 32));
        put(&mut file, |out| {
            out.byte(VERSION);
            out.signed(newest);
        });
        file.0.extend_from_slice(records);
        self.folder.write(number, kind, &file.0)?;
        Ok(file.0.len() as u64)
    }

    /// Removes the blocks in which everything is older than `oldest`.
    ///
    /// # Errors
    /// Where a file cannot be removed.
    pub fn remove_before(&mut self, oldest: i64) -> Result<(), DiskError> {
        while let Some(at) = self.blocks.iter().position(|own| own.newest < oldest) {
            self.remove_block(at)?;
        }
        Ok(())
    }

    /// Removes the oldest block; returns the time of the newest thing in it, `None` where there is no block.
    ///
    /// # Errors
    /// Where the file cannot be removed.
    pub fn remove_oldest(&mut self) -> Result<Option<i64>, DiskError> {
        let blocks = self.blocks.iter().enumerate();
        match blocks.min_by_key(|(_, block)| block.newest) {
            Some((at, block)) => {
                let newest = block.newest;
                self.remove_block(at)?;
                Ok(Some(newest))
            }
            None => Ok(None),
        }
    }

    fn remove_block(&mut self, at: usize) -> Result<(), DiskError> {
        self.folder
            .remove(self.blocks[at].number, self.block_kind)?;
        self.blocks.remove(at);
        Ok(())
    }
}

/// How new the things in a block are; `None` where it is of another format.
fn read_header(record: &[u8]) -> Option<i64> {
    let mut header = Decoder(record);
    (header.byte()? == VERSION).then(|| header.signed())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryFiles;

    /// What is found, a word a record, with what was repaired.
    fn open(files: &MemoryFiles) -> (Log, Vec<String>, Vec<String>) {
        let mut found = Vec::new();
        let (log, repairs) = Log::open(Box::new(files.clone()), "block", &mut |part, record| {
            let text = String::from_utf8_lossy(record);
            found.push(format!("{part:?}:{text}"));
            !text.starts_with('?')
        })
        .expect("memory can be read");
        (log, found, repairs)
    }

    fn records(texts: &[&str]) -> Vec<u8> {
        let mut out = Encoder::default();
        for text in texts {
            put(&mut out, |out| out.0.extend_from_slice(text.as_bytes()));
        }
        out.0
    }

    fn names(files: &MemoryFiles) -> Vec<String> {
        files.change(|files| files.keys().cloned().collect())
    }

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn blocks_come_first_then_heads_then_logs() {
        let files = MemoryFiles::default();
        let (mut log, ..) = open(&files);
        log.commit(b"gone").expect("written");
        log.checkpoint(&records(&["a", "b"]), 7, &records(&["h"]))
            .expect("written");
        log.commit(b"one").expect("written");
        let (mut log, found, repairs) = open(&files);
        let all = ["Block:a", "Block:b", "Heads:h", "Batch:one"];
        assert_eq!((found, repairs), (words(&all), Vec::new()));
        log.commit(b"two").expect("written");
        let all = ["00000002.block", "00000002.heads", "00000002.wal"];
        assert_eq!(names(&files), [&all[..], &["00000003.wal"]].concat());
        let bytes = files.change(|files| files.values().map(Vec::len).sum::<usize>());
        assert_eq!((log.bytes(), log.log_bytes()), (bytes as u64, 22));
        // Without anything that no longer changes there is no block.
        log.checkpoint(&[], i64::MIN, &records(&["h2"]))
            .expect("written");
        assert_eq!(names(&files), ["00000002.block", "00000004.heads"]);
        let (mut log, found, _) = open(&files);
        assert_eq!(found, ["Block:a", "Block:b", "Heads:h2"]);
        log.remove_before(7).expect("nothing to remove");
        assert_eq!(log.blocks.len(), 1);
        log.remove_before(8).expect("removed");
        assert_eq!(names(&files), ["00000004.heads"]);
    }

    #[test]
    fn a_checkpoint_counts_as_a_whole_or_not_at_all() {
        let files = MemoryFiles::default();
        let (mut log, ..) = open(&files);
        log.commit(b"one").expect("written");
        let before = files.change(|files| files.clone());
        log.checkpoint(&records(&["a"]), 0, &records(&["h"]))
            .expect("written");
        let after = files.change(|files| files.clone());
        // The process has ended before the heads had their name, or before the log was removed.
        let heads = "00000002.heads";
        for (name, found_then, files_then) in [
            (
                "00000002.heads.tmp",
                &["Batch:one"][..],
                &["00000001.wal"][..],
            ),
            (heads, &["Block:a", "Heads:h"], &["00000002.block", heads]),
        ] {
            files.change(|files| {
                *files = after.clone();
                files.extend(before.clone());
                let content = files.remove(heads).expect("the heads");
                files.insert(name.to_owned(), content);
            });
            let (_, found, repairs) = open(&files);
            assert_eq!((found, repairs), (words(found_then), Vec::new()));
            assert_eq!(names(&files), files_then);
        }
    }

    #[test]
    fn a_damaged_log_is_cut_with_what_follows() {
        let files = MemoryFiles::default();
        for batch in ["one", "two", "three"] {
            let (mut log, ..) = open(&files);
            log.commit(batch.as_bytes()).expect("written");
            log.commit(b"more").expect("written");
        }
        files.change(|files| {
            let log = files.get_mut("00000002.wal").expect("the log");
            log.truncate(15);
        });
        let (_, found, repairs) = open(&files);
        assert_eq!(found, ["Batch:one", "Batch:more", "Batch:two"]);
        assert_eq!(
            repairs,
            [
                "00000002.wal:11: the log ends in the middle of a record, 4 bytes dropped",
                "00000003.wal:0: the log follows a damaged one, 25 bytes dropped",
            ]
        );
        let (mut log, found, repairs) = open(&files);
        assert_eq!((found.len(), repairs.len()), (3, 0));
        log.commit(b"on").expect("written");
        assert_eq!(open(&files).1[3], "Batch:on");
    }

    #[test]
    fn damaged_blocks_and_strange_records_are_left_out_and_told() {
        let files = MemoryFiles::default();
        let (mut log, ..) = open(&files);
        log.checkpoint(&records(&["a", "b"]), 5, &records(&["h"]))
            .expect("written");
        log.checkpoint(&records(&["c"]), 9, &records(&["?h", "h"]))
            .expect("written");
        log.commit(b"?b").expect("written");
        files.change(|files| {
            // The last byte of a record, and that of a header.
            *files
                .get_mut("00000002.block")
                .and_then(|file| file.last_mut())
                .expect("a byte") ^= 1;
            files.get_mut("00000003.block").expect("the block")[8] ^= 1;
        });
        let (mut log, found, repairs) = open(&files);
        assert_eq!(found, ["Block:a", "Heads:?h", "Heads:h", "Batch:?b"]);
        assert_eq!(
            repairs,
            [
                "00000002.block:19: the file has a record with a wrong checksum, 9 bytes are left out",
                "00000003.block:0: the file has a record with a wrong checksum, 19 bytes are left out",
                "00000003.heads: records of another format (1), 2 bytes are left out",
                "00000003.wal: records of another format (1), 2 bytes are left out",
            ]
        );
        // The one that nobody knows the age of goes with the one before it.
        assert_eq!(log.remove_oldest().expect("removed"), Some(5));
        assert_eq!(log.remove_oldest().expect("removed"), Some(5));
        assert_eq!(log.remove_oldest().expect("nothing to remove"), None);
        assert_eq!(names(&files), ["00000003.heads", "00000003.wal"]);
    }

    #[test]
    fn a_full_disk_leaves_nothing_behind() {
        let files = MemoryFiles::default();
        let (mut log, ..) = open(&files);
        log.commit(b"one").expect("it fits");
        files.fill_after(12);
        let error = log.commit(b"too long").expect_err("it does not fit");
        let message = error.to_string();
        assert!(
            message.starts_with("00000001.wal: cannot write: "),
            "{message}"
        );
        assert_eq!(log.log_bytes(), 11);
        assert!(!log.gives_up(WAITING_BYTES_MAX - 1) && !log.is_incomplete());
        assert!(log.gives_up(WAITING_BYTES_MAX) && log.is_incomplete());
        log.commit(b"two").expect("there is room again");
        let (mut again, found, repairs) = open(&files);
        let both = words(&["Batch:one", "Batch:two"]);
        assert_eq!((found, repairs), (both, Vec::new()));
        again.gives_up(usize::MAX);
        again.checkpoint(&[], i64::MIN, &[]).expect("written");
        assert!(!again.is_incomplete());
    }
}

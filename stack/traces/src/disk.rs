//! The log on disk: what was acknowledged is found again after a crash.
//!
//! ```text
//!   append --batch--> 00000001.log, 00000002.log, ...
//!   open: read the files in order, cut what is damaged, append all to the store in memory
//!   tick: remove files whose spans are all older than the retention, and the oldest ones beyond the limit of bytes
//! ```
//!
//! A batch is written before its spans are visible. It survives a process that is killed; with `sync` it survives a power cut,
//! too. Batches do not rest on each other, so that damage costs the rest of its file and no other.

use std::path::Path;

use gameday_disk::{Appender, DiskError, DiskFiles, Folder};
use gameday_signal::{Span, Timestamp};

/// How the log on disk is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskConfig {
    /// A file that is larger is closed and a new one is begun.
    pub file_bytes: u64,
    /// All files together; the oldest make room.
    pub max_bytes: u64,
    /// Whether every append waits until the disk has it.
    pub sync: bool,
}

impl Default for DiskConfig {
    fn default() -> Self {
        Self {
            file_bytes: 64 << 20,
            max_bytes: 4 << 30,
            sync: false,
        }
    }
}

/// What was found in the folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplayReport {
    /// Files that were read.
    pub files: usize,
    /// Spans that are in the store again.
    pub spans: u64,
    /// Spans that were left out: older than the retention, or beyond another limit.
    pub left_out: u64,
    /// A line about each file that was damaged: which, where, what was dropped.
    pub repairs: Vec<String>,
}

/// A closed file.
struct LogFile {
    number: u64,
    bytes: u64,
    /// When the last of its spans ends.
    last_end: Timestamp,
}

/// The files of a folder, one of them open for writing.
pub(crate) struct DiskLog {
    folder: Folder,
    config: DiskConfig,
    closed: Vec<LogFile>,
    open: Appender,
    /// When the last span in the open file ends.
    open_end: Timestamp,
}

/// How the files end.
const LOG: &str = "log";

impl DiskLog {
    /// Opens a folder, which is made where it is missing, and hands each batch that is found to `replay`; that says when the last of
    /// its spans ends, or `None` where the batch makes no sense.
    pub(crate) fn open(
        folder: &Path,
        config: DiskConfig,
        report: &mut ReplayReport,
        mut replay: impl FnMut(&[u8]) -> Option<Timestamp>,
    ) -> Result<Self, DiskError> {
        let files = DiskFiles::new(folder)?.synced(config.sync);
        let mut folder = Folder::open(Box::new(files))?;
        let mut closed: Vec<LogFile> = Vec::new();
        for number in folder.numbers(LOG)? {
            let mut last_end = Timestamp::MIN;
            let found = folder.read_log(number, LOG, &mut report.repairs, |batch| {
                let end = replay(batch);
                last_end = last_end.max(end.unwrap_or(Timestamp::MIN));
                end.is_some()
            })?;
            report.files += 1;
            closed.push(LogFile {
                number,
                bytes: found.good_bytes,
                last_end,
            });
        }
        let next = closed.last().map_or(1, |file| file.number + 1);
        Ok(Self {
            folder,
            config,
            closed,
            open: Appender::new(LOG, next),
            open_end: Timestamp::MIN,
        })
    }

    /// Writes a batch. Where that fails nothing of it stays behind.
    pub(crate) fn append(&mut self, batch: &[u8], last_end: Timestamp) -> Result<(), DiskError> {
        self.open.append(&mut self.folder, batch)?;
        self.open_end = self.open_end.max(last_end);
        if self.open.bytes() >= self.config.file_bytes {
            let next = Appender::new(LOG, self.open.number() + 1);
            self.closed.push(LogFile {
                number: self.open.number(),
                bytes: self.open.bytes(),
                last_end: std::mem::replace(&mut self.open_end, Timestamp::MIN),
            });
            self.open = next;
        }
        Ok(())
    }

    /// Removes the files that hold only spans that ended before `limit`, and the oldest ones beyond the limit of bytes.
    pub(crate) fn retain(&mut self, limit: Timestamp) -> Result<(), DiskError> {
        let (mut total, mut failed) = (self.bytes(), Ok(()));
        self.closed.retain(|file| {
            if file.last_end >= limit && total <= self.config.max_bytes {
                return true;
            }
            let removed = self.folder.remove(file.number, LOG);
            let stays = removed.is_err();
            if stays {
                failed = removed;
            } else {
                total -= file.bytes;
            }
            stays
        });
        failed
    }

    /// The bytes of all files.
    pub(crate) fn bytes(&self) -> u64 {
        self.closed.iter().map(|file| file.bytes).sum::<u64>() + self.open.bytes()
    }
}

/// When the last of the spans ends.
pub(crate) fn last_end(spans: &[Span]) -> Timestamp {
    spans
        .iter()
        .map(|span| span.end.max(span.start))
        .max()
        .unwrap_or(Timestamp::MIN)
}

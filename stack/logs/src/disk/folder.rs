//! The files of a folder: the log that is written, segments and heads.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use gameday_signal::Labels;

use super::frame::{put_frame, split_frames};
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

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// Another process uses it.
    #[error("{}: in use by another process", path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// The operating system says no.
    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What it says.
        source: io::Error,
    },
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

/// A segment on disk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SegmentFile {
    number: u64,
    bytes: u64,
    /// The time of its newest line.
    pub(crate) max_ts: i64,
}

/// Everything that has to be read, in order.
#[derive(Debug, Default)]
pub(crate) struct Content {
    /// Names, numbers and contents.
    pub(crate) segments: Vec<(String, u64, Vec<u8>)>,
    pub(crate) heads: Option<(String, Vec<u8>)>,
    /// The good batches of the logs, with the name of their file.
    pub(crate) batches: Vec<(String, Vec<u8>)>,
    pub(crate) repairs: Vec<String>,
}

/// The files of a folder, one of them open for writing.
#[derive(Debug)]
pub(crate) struct DiskLog {
    folder: PathBuf,
    pub(crate) config: DiskConfig,
    /// The number of the log that is written to, and of the next segment less one.
    number: u64,
    open: Option<File>,
    /// Good bytes in the file that is written to.
    file_bytes: u64,
    /// Bytes in all logs since the last checkpoint.
    wal_bytes: u64,
    heads_bytes: u64,
    segments: Vec<SegmentFile>,
    batch: Batch,
    /// The streams whose labels the logs say since the last checkpoint.
    known: BTreeSet<u64>,
    /// Whether lines were left out of the log because it could not be written for long; a checkpoint makes it whole.
    pub(crate) incomplete: bool,
    /// Held as long as the folder is used.
    _lock: File,
}

const WAL: &str = "wal";
const SEGMENT: &str = "segment";
const HEADS: &str = "heads";
/// While the log cannot be written, lines wait for the next attempt up to this many bytes.
const WAITING_BYTES_MAX: usize = 64 << 20;

impl DiskLog {
    /// Opens a folder, which is made where it is missing, and reads what is good in it. A damaged log is cut, and the logs after it
    /// are removed.
    pub(crate) fn open(folder: &Path, config: DiskConfig) -> Result<(Self, Content), DiskError> {
        fs::create_dir_all(folder).map_err(io_error(folder, "make the folder"))?;
        let lock = lock(folder)?;
        let names = names(folder)?;
        let numbers = |kind: &str| -> Vec<u64> {
            let of_kind = names.iter().filter_map(|name| number_of(name, kind));
            of_kind.collect()
        };
        let mut content = Content::default();
        let checkpoint = numbers(HEADS).last().copied().unwrap_or(0);
        let mut heads_bytes = 0;
        if checkpoint > 0 {
            let (name, bytes) = read(folder, checkpoint, HEADS)?;
            heads_bytes = bytes.len() as u64;
            content.heads = Some((name, bytes));
        }
        let mut segments = Vec::new();
        for number in numbers(SEGMENT) {
            if number > checkpoint {
                // Its checkpoint was never finished, and so its logs are still there.
                remove(folder, number, SEGMENT)?;
                continue;
            }
            let (name, bytes) = read(folder, number, SEGMENT)?;
            segments.push(SegmentFile {
                number,
                bytes: bytes.len() as u64,
                max_ts: i64::MIN,
            });
            content.segments.push((name, number, bytes));
        }
        let mut logs = Vec::new();
        for number in numbers(WAL) {
            if number < checkpoint {
                // What a checkpoint that was interrupted at its end has left.
                remove(folder, number, WAL)?;
            } else {
                logs.push(number);
            }
        }
        for number in numbers(HEADS) {
            if number < checkpoint {
                remove(folder, number, HEADS)?;
            }
        }
        let wal_bytes = read_logs(folder, &logs, &mut content)?;
        let log = Self {
            folder: folder.to_owned(),
            config,
            number: logs.last().map_or(checkpoint.max(1), |last| last + 1),
            open: None,
            file_bytes: 0,
            wal_bytes,
            heads_bytes,
            segments,
            batch: Batch::default(),
            known: BTreeSet::new(),
            incomplete: false,
            _lock: lock,
        };
        Ok((log, content))
    }

    /// A line that the store has taken; it is written by the next commit.
    pub(crate) fn record(&mut self, stream: u64, labels: &Labels, entry: &Entry) {
        if self.batch.bytes.len() >= WAITING_BYTES_MAX {
            self.batch.clear();
            self.known.clear();
            self.incomplete = true;
        }
        if self.known.insert(stream) {
            self.batch.stream(stream, labels);
        }
        self.batch.entry(stream, entry);
    }

    /// Writes what has been recorded since the last time as one batch; where that fails it is kept for the next attempt.
    pub(crate) fn commit(&mut self) -> Result<(), DiskError> {
        if self.batch.bytes.is_empty() {
            return Ok(());
        }
        let path = path_of(&self.folder, self.number, WAL);
        let mut framed = Vec::new();
        put_frame(&mut framed, &self.batch.packed());
        let mut file = match self.open.take() {
            Some(file) => file,
            None => OpenOptions::new()
                .create(true)
                .append(true)
                .open(&path)
                .map_err(io_error(&path, "make the file"))?,
        };
        let written = file.write_all(&framed).and_then(|()| {
            if self.config.sync {
                file.sync_data()
            } else {
                Ok(())
            }
        });
        if let Err(source) = written {
            // Whatever a full disk took of the batch would hide all batches behind it. If it cannot be cut, a new file is begun: the
            // reader would drop that one, so the next checkpoint has to come soon.
            if file.set_len(self.file_bytes).is_err() {
                self.number += 1;
                self.file_bytes = 0;
                self.incomplete = true;
            }
            return Err(io_error(&path, "write")(source));
        }
        self.open = Some(file);
        self.file_bytes += framed.len() as u64;
        self.wal_bytes += framed.len() as u64;
        self.batch.clear();
        Ok(())
    }

    /// Bytes in the logs since the last checkpoint.
    pub(crate) fn wal_bytes(&self) -> u64 {
        self.wal_bytes
    }

    /// Bytes of all files.
    pub(crate) fn bytes(&self) -> u64 {
        let segments: u64 = self.segments.iter().map(|segment| segment.bytes).sum();
        segments + self.heads_bytes + self.wal_bytes
    }

    /// Writes sealed blocks and heads, and removes the logs that hold the same.
    pub(crate) fn checkpoint(
        &mut self,
        segment: &[u8],
        max_ts: i64,
        heads: &[u8],
    ) -> Result<(), DiskError> {
        let number = self.number + 1;
        if !segment.is_empty() {
            write_whole(&self.folder, number, SEGMENT, segment)?;
        }
        write_whole(&self.folder, number, HEADS, heads)?;
        if !segment.is_empty() {
            self.segments.push(SegmentFile {
                number,
                bytes: segment.len() as u64,
                max_ts,
            });
        }
        self.number = number;
        self.open = None;
        self.file_bytes = 0;
        self.wal_bytes = 0;
        self.heads_bytes = heads.len() as u64;
        self.batch.clear();
        self.known.clear();
        self.incomplete = false;
        for name in names(&self.folder)? {
            for kind in [WAL, HEADS] {
                if let Some(own) = number_of(&name, kind)
                    && own < number
                {
                    remove(&self.folder, own, kind)?;
                }
            }
        }
        Ok(())
    }

    /// Says how new a segment is, which its reader has found out.
    pub(crate) fn set_max_ts(&mut self, number: u64, max_ts: i64) {
        for segment in &mut self.segments {
            if segment.number == number {
                segment.max_ts = max_ts;
            }
        }
    }

    /// Removes the segments whose lines are all older than `oldest`.
    pub(crate) fn remove_before(&mut self, oldest: i64) -> Result<(), DiskError> {
        while let Some(at) = self.segments.iter().position(|own| own.max_ts < oldest) {
            remove(&self.folder, self.segments[at].number, SEGMENT)?;
            self.segments.remove(at);
        }
        Ok(())
    }

    /// The oldest segment while there are too many bytes.
    pub(crate) fn superfluous(&self) -> Option<SegmentFile> {
        let is_too_large = self.bytes() > self.config.bytes_max;
        let oldest = self.segments.iter().min_by_key(|segment| segment.max_ts);
        oldest.copied().filter(|_| is_too_large)
    }
}

/// Reads the logs in order; returns how many good bytes they have.
fn read_logs(folder: &Path, numbers: &[u64], content: &mut Content) -> Result<u64, DiskError> {
    let mut total = 0;
    for (index, number) in numbers.iter().enumerate() {
        let (name, bytes) = read(folder, *number, WAL)?;
        let (batches, good, reason) = split_frames(&bytes);
        total += good as u64;
        let batches = batches
            .into_iter()
            .map(|batch| (name.clone(), batch.to_vec()));
        content.batches.extend(batches);
        let Some(reason) = reason else {
            continue;
        };
        content.repairs.push(format!(
            "{name}:{good}: the log {reason}, {} bytes dropped",
            bytes.len() - good
        ));
        let path = folder.join(&name);
        OpenOptions::new()
            .write(true)
            .open(&path)
            .and_then(|file| file.set_len(good as u64))
            .map_err(io_error(&path, "cut"))?;
        for later in &numbers[index + 1..] {
            let (name, bytes) = read(folder, *later, WAL)?;
            content.repairs.push(format!(
                "{name}:0: the log follows a damaged one, {} bytes dropped",
                bytes.len()
            ));
            remove(folder, *later, WAL)?;
        }
        return Ok(total);
    }
    Ok(total)
}

fn lock(folder: &Path) -> Result<File, DiskError> {
    let path = folder.join("lock");
    let lock = File::create(&path).map_err(io_error(&path, "write"))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(fs::TryLockError::WouldBlock) => Err(DiskError::Locked {
            path: folder.to_owned(),
        }),
        Err(fs::TryLockError::Error(source)) => Err(io_error(&path, "lock")(source)),
    }
}

fn io_error(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> DiskError {
    let path = path.to_owned();
    move |source| DiskError::Io {
        path,
        action,
        source,
    }
}

fn file_name(number: u64, kind: &str) -> String {
    format!("{number:08}.{kind}")
}

fn number_of(name: &str, kind: &str) -> Option<u64> {
    name.strip_suffix(kind)?.strip_suffix('.')?.parse().ok()
}

fn path_of(folder: &Path, number: u64, kind: &str) -> PathBuf {
    folder.join(file_name(number, kind))
}

/// The names of all files, sorted.
fn names(folder: &Path) -> Result<Vec<String>, DiskError> {
    let failed = || io_error(folder, "read the folder");
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed())? {
        if let Ok(name) = entry.map_err(failed())?.file_name().into_string() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn read(folder: &Path, number: u64, kind: &str) -> Result<(String, Vec<u8>), DiskError> {
    let path = path_of(folder, number, kind);
    let bytes = fs::read(&path).map_err(io_error(&path, "read"))?;
    Ok((file_name(number, kind), bytes))
}

fn remove(folder: &Path, number: u64, kind: &str) -> Result<(), DiskError> {
    let path = path_of(folder, number, kind);
    fs::remove_file(&path).map_err(io_error(&path, "remove"))
}

/// Writes a file as a whole, or not at all.
fn write_whole(folder: &Path, number: u64, kind: &str, bytes: &[u8]) -> Result<(), DiskError> {
    let path = path_of(folder, number, kind);
    let unfinished = path.with_extension(format!("{kind}.tmp"));
    let written = File::create(&unfinished).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&unfinished, &path)?;
        File::open(folder)?.sync_all()
    });
    written.map_err(io_error(&path, "write"))
}

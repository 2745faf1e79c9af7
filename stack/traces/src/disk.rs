//! The log on disk: what was acknowledged is found again after a crash.
//!
//! ```text
//!   append --record: length, CRC-32, batch--> 0000000001.log, 0000000002.log, ...
//!   open: lock the folder, read the files in order, cut a torn end, append all to the store in memory
//!   tick: remove files whose spans are all older than the retention, and the oldest ones beyond the limit of bytes
//! ```
//!
//! A record is written before its spans are visible. It survives a process that is killed; with `sync` it survives a power cut,
//! too.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

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

/// Why the folder cannot be used.
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

/// What was found in the folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplayReport {
    /// Files that were read.
    pub files: usize,
    /// Spans that are in the store again.
    pub spans: u64,
    /// Spans that were left out: older than the retention, or beyond another limit.
    pub left_out: u64,
    /// Bytes that could not be read: the end of a record that was being written, or damage. Each with its file.
    pub damaged: Vec<(PathBuf, u64)>,
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
    folder: PathBuf,
    config: DiskConfig,
    closed: Vec<LogFile>,
    open: Option<(File, LogFile)>,
    next_number: u64,
    /// Held as long as the folder is used.
    _lock: File,
}

const HEADER_BYTES: usize = 8;
/// A record that claims to be larger is damaged.
const MAX_RECORD_BYTES: usize = 1 << 30;

impl DiskLog {
    /// Opens a folder, which is made where it is missing, and hands each record that is found to `replay`; that says when the last of
    /// its spans ends, or `None` where the record is damaged.
    pub(crate) fn open(
        folder: &Path,
        config: DiskConfig,
        report: &mut ReplayReport,
        mut replay: impl FnMut(&[u8]) -> Option<Timestamp>,
    ) -> Result<Self, DiskError> {
        fs::create_dir_all(folder).map_err(io_error(folder, "make the folder"))?;
        let lock_path = folder.join("lock");
        let lock = File::create(&lock_path).map_err(io_error(&lock_path, "write"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                return Err(DiskError::Locked {
                    path: folder.to_owned(),
                });
            }
            Err(fs::TryLockError::Error(source)) => {
                return Err(DiskError::Io {
                    path: lock_path,
                    action: "lock",
                    source,
                });
            }
        }
        let mut closed = Vec::new();
        for number in file_numbers(folder)? {
            let path = file_path(folder, number);
            let bytes = fs::read(&path).map_err(io_error(&path, "read"))?;
            let mut last_end = Timestamp::MIN;
            let good = for_each_record(&bytes, |record| {
                let end = replay(record);
                last_end = last_end.max(end.unwrap_or(Timestamp::MIN));
                end.is_some()
            });
            report.files += 1;
            if good < bytes.len() {
                report
                    .damaged
                    .push((path.clone(), (bytes.len() - good) as u64));
            }
            closed.push(LogFile {
                number,
                bytes: bytes.len() as u64,
                last_end,
            });
        }
        let next_number = closed.last().map_or(1, |file| file.number + 1);
        Ok(Self {
            folder: folder.to_owned(),
            config,
            closed,
            open: None,
            next_number,
            _lock: lock,
        })
    }

    /// Writes a record. Where that fails nothing of it stays behind: the file is closed, and its torn end is skipped by the next
    /// reader.
    pub(crate) fn append(&mut self, record: &[u8], last_end: Timestamp) -> Result<(), DiskError> {
        let (mut file, mut state) = match self.open.take() {
            Some(open) => open,
            None => self.begin_file()?,
        };
        let path = file_path(&self.folder, state.number);
        let mut framed = Vec::with_capacity(HEADER_BYTES + record.len());
        framed.extend_from_slice(&(record.len() as u32).to_le_bytes());
        framed.extend_from_slice(&crc32(record).to_le_bytes());
        framed.extend_from_slice(record);
        let written = file.write_all(&framed).and_then(|()| {
            if self.config.sync {
                file.sync_data()
            } else {
                Ok(())
            }
        });
        if let Err(source) = written {
            // What a failed write has left is cut off; if that fails too, the reader finds the damage.
            let _ = file.set_len(state.bytes);
            self.closed.push(state);
            return Err(DiskError::Io {
                path,
                action: "write",
                source,
            });
        }
        state.bytes += framed.len() as u64;
        state.last_end = state.last_end.max(last_end);
        if state.bytes >= self.config.file_bytes {
            self.closed.push(state);
        } else {
            self.open = Some((file, state));
        }
        Ok(())
    }

    /// Removes the files that hold only spans that ended before `limit`, and the oldest ones beyond the limit of bytes.
    pub(crate) fn retain(&mut self, limit: Timestamp) -> Result<(), DiskError> {
        let open_bytes = self.open.as_ref().map_or(0, |(_, state)| state.bytes);
        let mut total = open_bytes + self.closed.iter().map(|file| file.bytes).sum::<u64>();
        let mut failed = Ok(());
        let Self {
            closed,
            folder,
            config,
            ..
        } = self;
        closed.retain(|file| {
            if file.last_end >= limit && total <= config.max_bytes {
                return true;
            }
            let path = file_path(folder, file.number);
            match fs::remove_file(&path) {
                Ok(()) => {
                    total -= file.bytes;
                    false
                }
                Err(source) => {
                    failed = Err(DiskError::Io {
                        path,
                        action: "remove",
                        source,
                    });
                    true
                }
            }
        });
        failed
    }

    /// The bytes of all files.
    pub(crate) fn bytes(&self) -> u64 {
        self.closed.iter().map(|file| file.bytes).sum::<u64>()
            + self.open.as_ref().map_or(0, |(_, state)| state.bytes)
    }

    fn begin_file(&mut self) -> Result<(File, LogFile), DiskError> {
        let number = self.next_number;
        let path = file_path(&self.folder, number);
        let file = OpenOptions::new()
            .create_new(true)
            .append(true)
            .open(&path)
            .map_err(io_error(&path, "make the file"))?;
        self.next_number += 1;
        Ok((
            file,
            LogFile {
                number,
                bytes: 0,
                last_end: Timestamp::MIN,
            },
        ))
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

fn file_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:010}.log"))
}

fn file_numbers(folder: &Path) -> Result<Vec<u64>, DiskError> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder).map_err(io_error(folder, "read the folder"))? {
        let entry = entry.map_err(io_error(folder, "read the folder"))?;
        let name = entry.file_name();
        if let Some(number) = name
            .to_str()
            .and_then(|name| name.strip_suffix(".log"))
            .and_then(|name| name.parse().ok())
        {
            numbers.push(number);
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Hands all whole records to `visit` and says how many bytes they take; stops at the first one that is torn or damaged.
fn for_each_record(bytes: &[u8], mut visit: impl FnMut(&[u8]) -> bool) -> usize {
    let mut good = 0;
    while let Some((header, rest)) = bytes[good..].split_first_chunk::<HEADER_BYTES>() {
        let [a, b, c, d, e, f, g, h] = *header;
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        if length > MAX_RECORD_BYTES || length > rest.len() {
            break;
        }
        let record = &rest[..length];
        if crc32(record) != u32::from_le_bytes([e, f, g, h]) || !visit(record) {
            break;
        }
        good += HEADER_BYTES + length;
    }
    good
}

/// The CRC-32 of IEEE 802.3, eight bytes of tables at a time would be faster; the disk is slower still.
fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut index = 0;
        while index < 256 {
            let mut value = index as u32;
            let mut bit = 0;
            while bit < 8 {
                value = if value & 1 == 1 {
                    (value >> 1) ^ 0xedb8_8320
                } else {
                    value >> 1
                };
                bit += 1;
            }
            table[index] = value;
            index += 1;
        }
        table
    };
    !bytes.iter().fold(!0, |crc: u32, byte| {
        (crc >> 8) ^ TABLE[((crc ^ u32::from(*byte)) & 0xff) as usize]
    })
}

/// When the last of the spans ends.
pub(crate) fn last_end(spans: &[Span]) -> Timestamp {
    spans
        .iter()
        .map(|span| span.end.max(span.start))
        .max()
        .unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_ieee() {
        // The check value of the catalogue of CRC algorithms.
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }
}

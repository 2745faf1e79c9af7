//! The log of a store: appending to it, and its files.

use std::io;

use gameday_signal::{Exemplar, Histogram, Labels, Sample};

use super::codec::Encoder;
use super::files::LogFiles;
use super::record::{
    FRAME_BYTES, frame, unframe, write_exemplar_record, write_histogram_record, write_sample,
    write_series,
};

/// Why a log could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {source}")]
pub struct LogError {
    /// The file.
    pub file: String,
    /// What the operating system said.
    #[source]
    pub source: io::Error,
}

impl LogError {
    fn at(file: &str) -> impl FnOnce(io::Error) -> Self {
        let file = file.to_owned();
        move |source| Self { file, source }
    }
}

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
    files: Box<dyn LogFiles>,
    /// The number of the log file that is written to.
    number: u64,
    /// Bytes in the log files since the last checkpoint.
    bytes: u64,
    /// Good bytes in the file that is written to.
    file_bytes: u64,
    /// Whether a failed write may have left a part of a batch behind them.
    torn: bool,
    buffer: Encoder,
    /// The time of the last sample in the buffer.
    base_ms: i64,
    /// By series number: whether the log says since the last checkpoint which labels it stands for.
    known: Vec<bool>,
}

const LOG: &str = "wal";
const BLOCK: &str = "block";
const HEADS: &str = "heads";

fn file_name(number: u64, kind: &str) -> String {
    format!("{number:08}.{kind}")
}

fn number_of(name: &str, kind: &str) -> Option<u64> {
    name.strip_suffix(kind)?.strip_suffix('.')?.parse().ok()
}

/// The good batches of a log.
pub(crate) struct LogContent {
    pub(crate) name: String,
    pub(crate) payloads: Vec<Vec<u8>>,
}

/// Everything that has to be read, in order.
pub(crate) struct Content {
    /// Numbers and contents.
    pub(crate) blocks: Vec<(u64, Vec<u8>)>,
    pub(crate) heads: Option<Vec<u8>>,
    pub(crate) logs: Vec<LogContent>,
    pub(crate) repairs: Vec<String>,
}

impl Log {
    /// Finds the files and reads what is good of them; a damaged log is cut, the logs after it are removed.
    pub(crate) fn open(mut files: Box<dyn LogFiles>) -> Result<(Self, Content), LogError> {
        let names = files.list().map_err(LogError::at("data directory"))?;
        let numbers = |kind: &str| -> Vec<u64> {
            names
                .iter()
                .filter_map(|name| number_of(name, kind))
                .collect()
        };
        let mut content = Content {
            blocks: Vec::new(),
            heads: None,
            logs: Vec::new(),
            repairs: Vec::new(),
        };
        let checkpoint = numbers(HEADS).last().copied().unwrap_or(0);
        if checkpoint > 0 {
            let name = file_name(checkpoint, HEADS);
            content.heads = read_whole(files.as_ref(), &name, &mut content.repairs)?;
        }
        for number in numbers(BLOCK) {
            let name = file_name(number, BLOCK);
            if number > checkpoint {
                // Its checkpoint was never finished, and so its logs are still there.
                files.remove(&name).map_err(LogError::at(&name))?;
            } else if let Some(block) = read_whole(files.as_ref(), &name, &mut content.repairs)? {
                content.blocks.push((number, block));
            }
        }
        let logs: Vec<u64> = numbers(LOG)
            .into_iter()
            .filter(|number| *number >= checkpoint)
            .collect();
        let mut log = Self {
            files,
            number: logs.last().map_or(checkpoint.max(1), |last| last + 1),
            bytes: 0,
            file_bytes: 0,
            torn: false,
            buffer: Encoder::default(),
            base_ms: 0,
            known: Vec::new(),
        };
        log.read_logs(&logs, &mut content)?;
        Ok((log, content))
    }

    fn read_logs(&mut self, numbers: &[u64], content: &mut Content) -> Result<(), LogError> {
        for (index, number) in numbers.iter().enumerate() {
            let name = file_name(*number, LOG);
            let bytes = self.files.read(&name).map_err(LogError::at(&name))?;
            let (payloads, good, reason) = split_batches(&bytes);
            self.bytes += good as u64;
            content.logs.push(LogContent {
                name: name.clone(),
                payloads,
            });
            let Some(reason) = reason else {
                continue;
            };
            content.repairs.push(format!(
                "{name}:{good}: the log {reason}, {} bytes dropped",
                bytes.len() - good
            ));
            self.files
                .truncate(&name, good as u64)
                .map_err(LogError::at(&name))?;
            for later in &numbers[index + 1..] {
                let name = file_name(*later, LOG);
                let size = self.files.size(&name).map_err(LogError::at(&name))?;
                content.repairs.push(format!(
                    "{name}:0: the log follows a damaged one, {size} bytes dropped"
                ));
                self.files.remove(&name).map_err(LogError::at(&name))?;
            }
            return Ok(());
        }
        Ok(())
    }

    fn introduce(&mut self, number: u32, labels: &Labels) {
        let index = number as usize;
        if self.known.len() <= index {
            self.known.resize(index + 1, false);
        }
        if !std::mem::replace(&mut self.known[index], true) {
            write_series(&mut self.buffer, u64::from(number), labels);
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
        write_sample(&mut self.buffer, u64::from(number), sample, self.base_ms);
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
        write_histogram_record(&mut self.buffer, u64::from(number), time_ms, histogram);
    }

    pub(crate) fn exemplar(
        &mut self,
        number: u32,
        labels: &Labels,
        time_ms: i64,
        exemplar: &Exemplar,
    ) {
        self.introduce(number, labels);
        write_exemplar_record(&mut self.buffer, u64::from(number), time_ms, exemplar);
    }

    /// Writes what has been appended since the last time as one batch.
    pub(crate) fn commit(&mut self) -> Result<(), LogError> {
        if self.buffer.0.is_empty() {
            return Ok(());
        }
        let name = file_name(self.number, LOG);
        self.mend(&name)?;
        let batch = frame(&self.buffer.0);
        if let Err(source) = self.files.append(&name, &batch) {
            // Whatever a full disk took of the batch would hide all batches behind it.
            self.torn = true;
            let _ = self.mend(&name);
            return Err(LogError::at(&name)(source));
        }
        self.bytes += batch.len() as u64;
        self.file_bytes += batch.len() as u64;
        self.buffer.0.clear();
        self.base_ms = 0;
        Ok(())
    }

    /// Cuts off what a failed write has left.
    fn mend(&mut self, name: &str) -> Result<(), LogError> {
        if self.torn && self.files.size(name).is_ok() {
            self.files
                .truncate(name, self.file_bytes)
                .map_err(LogError::at(name))?;
        }
        self.torn = false;
        Ok(())
    }

    /// Bytes in the logs since the last checkpoint.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Writes full chunks and open ends, and removes the logs that hold the same. Returns the number of the block.
    pub(crate) fn checkpoint(&mut self, block: &[u8], heads: &[u8]) -> Result<u64, LogError> {
        self.commit()?;
        let number = self.number + 1;
        if !block.is_empty() {
            let name = file_name(number, BLOCK);
            self.files
                .write(&name, &frame(block))
                .map_err(LogError::at(&name))?;
        }
        let name = file_name(number, HEADS);
        self.files
            .write(&name, &frame(heads))
            .map_err(LogError::at(&name))?;
        self.number = number;
        self.bytes = 0;
        self.file_bytes = 0;
        self.known.clear();
        for old in self.files.list().map_err(LogError::at("data directory"))? {
            let superseded = number_of(&old, LOG)
                .or_else(|| number_of(&old, HEADS))
                .is_some_and(|own| own < number);
            if superseded {
                self.files.remove(&old).map_err(LogError::at(&old))?;
            }
        }
        Ok(number)
    }

    /// The size of a block in bytes.
    pub(crate) fn block_bytes(&self, number: u64) -> u64 {
        self.files.size(&file_name(number, BLOCK)).unwrap_or(0)
    }

    pub(crate) fn remove_block(&mut self, number: u64) -> Result<(), LogError> {
        let name = file_name(number, BLOCK);
        self.files.remove(&name).map_err(LogError::at(&name))
    }
}

/// A file that is one batch; a damaged one is left where it is, and told.
fn read_whole(
    files: &dyn LogFiles,
    name: &str,
    repairs: &mut Vec<String>,
) -> Result<Option<Vec<u8>>, LogError> {
    let bytes = files.read(name).map_err(LogError::at(name))?;
    match unframe(&bytes) {
        Ok(payload) => Ok(Some(payload.to_vec())),
        Err(reason) => {
            repairs.push(format!(
                "{name}:0: the file {reason}, its {} bytes are left out",
                bytes.len()
            ));
            Ok(None)
        }
    }
}

/// The payloads of a log, how many bytes are good, and what is wrong with the rest.
fn split_batches(bytes: &[u8]) -> (Vec<Vec<u8>>, usize, Option<&'static str>) {
    let (mut payloads, mut good) = (Vec::new(), 0);
    while good < bytes.len() {
        match unframe(&bytes[good..]) {
            Ok(payload) => {
                payloads.push(payload.to_vec());
                good += payload.len() + FRAME_BYTES;
            }
            Err(reason) => return (payloads, good, Some(reason)),
        }
    }
    (payloads, good, None)
}

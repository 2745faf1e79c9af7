//! A folder of numbered files, and the one among them that is written.

use std::io;

use crate::files::UNFINISHED;
use crate::frame::{put, split};
use crate::{DiskError, Encoder, Files};

/// Numbered files of some kinds in one folder: `00000007.wal`.
#[derive(Debug)]
pub struct Folder(Box<dyn Files>);

/// What was found in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The size of the file, before it was cut.
    pub bytes: u64,
    /// The bytes of its records before the first bad one.
    pub good_bytes: u64,
}

impl Folder {
    /// The folder that `files` are. What was being written when a process ended is removed.
    ///
    /// # Errors
    /// Where the folder cannot be read or changed.
    pub fn open(files: Box<dyn Files>) -> Result<Self, DiskError> {
        let mut folder = Self(files);
        for name in folder.names()? {
            if name.ends_with(UNFINISHED) {
                folder.at(&name, "remove", |files| files.remove(&name))?;
            }
        }
        Ok(folder)
    }

    /// The numbers of all files of a kind, sorted.
    ///
    /// # Errors
    /// Where the folder cannot be read.
    pub fn numbers(&self, kind: &str) -> Result<Vec<u64>, DiskError> {
        let number_of = |name: &String| name.strip_suffix(kind)?.strip_suffix('.')?.parse().ok();
        let mut numbers: Vec<u64> = self.names()?.iter().filter_map(number_of).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Writes a file as a whole, or not at all.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write(&mut self, number: u64, kind: &str, bytes: &[u8]) -> Result<(), DiskError> {
        let name = file_name(number, kind);
        self.at(&name, "write", |files| files.write(&name, bytes))
    }

    /// Removes a file; no error where there is none.
    ///
    /// # Errors
    /// Where it cannot be removed.
    pub fn remove(&mut self, number: u64, kind: &str) -> Result<(), DiskError> {
        let name = file_name(number, kind);
        self.at(&name, "remove", |files| files.remove(&name))
    }

    /// Hands the records of a file that is written as a whole to `visit`, up to the first damaged one; `visit` says whether a record
    /// made sense. `repairs` gets a line about what did not.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn read(
        &self,
        number: u64,
        kind: &str,
        repairs: &mut Vec<String>,
        mut visit: impl FnMut(&[u8]) -> bool,
    ) -> Result<Found, DiskError> {
        let name = file_name(number, kind);
        let (found, damage) = self.records(&name, repairs, &mut visit)?;
        if let Some(damage) = damage {
            let Found { bytes, good_bytes } = found;
            let lost = bytes - good_bytes;
            repairs.push(format!(
                "{name}:{good_bytes}: the file {damage}, {lost} bytes are left out"
            ));
        }
        Ok(found)
    }

    /// As [`Self::read`], for a file that is appended to: it is cut before the first damaged record.
    ///
    /// # Errors
    /// Where the file cannot be read or cut.
    pub fn read_log(
        &mut self,
        number: u64,
        kind: &str,
        repairs: &mut Vec<String>,
        mut visit: impl FnMut(&[u8]) -> bool,
    ) -> Result<Found, DiskError> {
        let name = file_name(number, kind);
        let (found, damage) = self.records(&name, repairs, &mut visit)?;
        if let Some(damage) = damage {
            let Found { bytes, good_bytes } = found;
            let lost = bytes - good_bytes;
            repairs.push(format!(
                "{name}:{good_bytes}: the log {damage}, {lost} bytes dropped"
            ));
            self.at(&name, "cut", |files| files.truncate(&name, good_bytes))?;
        }
        Ok(found)
    }

    /// Removes a log that goes on from one that lost its end: what it says may rest on what is lost.
    ///
    /// # Errors
    /// Where the file cannot be removed.
    pub(crate) fn drop_log(
        &mut self,
        number: u64,
        kind: &str,
        repairs: &mut Vec<String>,
    ) -> Result<(), DiskError> {
        let name = file_name(number, kind);
        let lost = self.at(&name, "read", |files| files.size(&name))?;
        repairs.push(format!(
            "{name}:0: the log follows a damaged one, {lost} bytes dropped"
        ));
        self.remove(number, kind)
    }

    fn records(
        &self,
        name: &str,
        repairs: &mut Vec<String>,
        visit: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Result<(Found, Option<&'static str>), DiskError> {
        let bytes = self.0.read(name).map_err(self.error(name, "read"))?;
        let split = split(&bytes);
        let (mut strange, mut strange_bytes) = (0, 0);
        for record in split.records {
            if !visit(record) {
                strange += 1;
                strange_bytes += record.len();
            }
        }
        if strange > 0 {
            repairs.push(format!(
                "{name}: records of another format ({strange}), {strange_bytes} bytes are left out"
            ));
        }
        let found = Found {
            bytes: bytes.len() as u64,
            good_bytes: split.good_bytes as u64,
        };
        Ok((found, split.damage))
    }

    fn names(&self) -> Result<Vec<String>, DiskError> {
        self.0.list().map_err(self.error("", "read the folder"))
    }

    fn at<T>(
        &mut self,
        name: &str,
        action: &'static str,
        run: impl FnOnce(&mut dyn Files) -> io::Result<T>,
    ) -> Result<T, DiskError> {
        run(self.0.as_mut()).map_err(self.error(name, action))
    }

    fn error(&self, name: &str, action: &'static str) -> impl FnOnce(io::Error) -> DiskError {
        let path = self.0.place(name);
        move |source| DiskError {
            path,
            action,
            source,
        }
    }
}

fn file_name(number: u64, kind: &str) -> String {
    format!("{number:08}.{kind}")
}

/// Where the next record goes.
#[derive(Debug)]
pub struct Appender {
    kind: &'static str,
    number: u64,
    /// Good bytes in the file.
    bytes: u64,
    /// Whether a failed write may have left a part of a record behind them.
    torn: bool,
}

impl Appender {
    /// Writes to a file that is not there yet; it is made by the first record.
    pub fn new(kind: &'static str, number: u64) -> Self {
        Self {
            kind,
            number,
            bytes: 0,
            torn: false,
        }
    }

    /// The number of the file.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The bytes in the file.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Writes a record; returns how many bytes it takes.
    ///
    /// # Errors
    /// Where it cannot be written. Then nothing of it stays behind: whatever a full disk took of it would hide all records that follow,
    /// so it is cut off, at the latest before the next record is written.
    pub fn append(&mut self, folder: &mut Folder, record: &[u8]) -> Result<u64, DiskError> {
        let name = file_name(self.number, self.kind);
        self.mend(folder, &name)?;
        let mut framed = Encoder(Vec::with_capacity(record.len() + 8));
        put(&mut framed, |out| out.0.extend_from_slice(record));
        if let Err(error) = folder.at(&name, "write", |files| files.append(&name, &framed.0)) {
            self.torn = true;
            // The next append tries again.
            let _ = self.mend(folder, &name);
            return Err(error);
        }
        let bytes = framed.0.len() as u64;
        self.bytes += bytes;
        Ok(bytes)
    }

    /// Cuts off what a failed write has left.
    fn mend(&mut self, folder: &mut Folder, name: &str) -> Result<(), DiskError> {
        if self.torn && folder.0.size(name).is_ok() {
            folder.at(name, "cut", |files| files.truncate(name, self.bytes))?;
        }
        self.torn = false;
        Ok(())
    }
}

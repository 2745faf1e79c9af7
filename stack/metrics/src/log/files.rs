//! Where logs and blocks lie.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// A folder of files, as far as a store needs one.
pub trait LogFiles: std::fmt::Debug + Send {
    /// The names of all files, sorted.
    ///
    /// # Errors
    /// Where the folder cannot be read.
    fn list(&self) -> io::Result<Vec<String>>;

    /// The size of a file in bytes.
    ///
    /// # Errors
    /// Where there is no such file.
    fn size(&self, name: &str) -> io::Result<u64>;

    /// All of a file.
    ///
    /// # Errors
    /// Where it cannot be read.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;

    /// Adds bytes to the end of a file, which is created where there is none. On return they survive the end of the process.
    ///
    /// # Errors
    /// Where the file cannot be written.
    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Cuts a file to `bytes`.
    ///
    /// # Errors
    /// Where it cannot be cut.
    fn truncate(&mut self, name: &str, bytes: u64) -> io::Result<()>;

    /// Writes a file as a whole, or not at all. On return it survives a loss of power.
    ///
    /// # Errors
    /// Where it cannot be written.
    fn write(&mut self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Removes a file; no error where there is none.
    ///
    /// # Errors
    /// Where it cannot be removed.
    fn remove(&mut self, name: &str) -> io::Result<()>;
}

/// A folder on the disk. It stands here, and not behind the door to the outside world, because an append is only acknowledged once
/// it has been written: the call cannot be an effect that someone carries out later.
#[derive(Debug)]
pub struct DiskFiles {
    folder: PathBuf,
    /// The file that was appended to last stays open.
    open: Option<(String, File)>,
}

impl DiskFiles {
    /// The files of `folder`, which is created where there is none.
    ///
    /// # Errors
    /// Where the folder cannot be created.
    pub fn new(folder: impl Into<PathBuf>) -> io::Result<Self> {
        let folder = folder.into();
        fs::create_dir_all(&folder)?;
        Ok(Self { folder, open: None })
    }
}

impl LogFiles for DiskFiles {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            if entry.file_type()?.is_file()
                && let Ok(name) = entry.file_name().into_string()
            {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn size(&self, name: &str) -> io::Result<u64> {
        Ok(fs::metadata(self.folder.join(name))?.len())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        fs::read(self.folder.join(name))
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        if let Some((own, file)) = &mut self.open
            && own == name
        {
            return file.write_all(bytes);
        }
        if let Some((_, finished)) = self.open.take() {
            finished.sync_all()?;
        }
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.join(name))?;
        file.write_all(bytes)?;
        self.open = Some((name.to_owned(), file));
        Ok(())
    }

    fn truncate(&mut self, name: &str, bytes: u64) -> io::Result<()> {
        self.open = None;
        let file = OpenOptions::new()
            .write(true)
            .open(self.folder.join(name))?;
        file.set_len(bytes)?;
        file.sync_all()
    }

    fn write(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let unfinished = self.folder.join(format!("{name}.tmp"));
        let mut file = File::create(&unfinished)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&unfinished, self.folder.join(name))?;
        File::open(&self.folder)?.sync_all()
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        if self.open.as_ref().is_some_and(|(own, _)| own == name) {
            self.open = None;
        }
        match fs::remove_file(self.folder.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }
}

/// Files in memory, for tests. Clones share them, so that a store can be opened again on what another one left behind.
#[derive(Clone, Debug, Default)]
pub struct MemoryFiles(Arc<Mutex<BTreeMap<String, Vec<u8>>>>);

impl MemoryFiles {
    /// Changes the files, for example to damage one.
    pub fn change<T>(&self, change: impl FnOnce(&mut BTreeMap<String, Vec<u8>>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn not_found(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, name.to_owned())
}

impl LogFiles for MemoryFiles {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.change(|files| files.keys().cloned().collect()))
    }

    fn size(&self, name: &str) -> io::Result<u64> {
        self.change(|files| files.get(name).map(|bytes| bytes.len() as u64))
            .ok_or_else(|| not_found(name))
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.change(|files| files.get(name).cloned())
            .ok_or_else(|| not_found(name))
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.change(|files| {
            files
                .entry(name.to_owned())
                .or_default()
                .extend_from_slice(bytes);
        });
        Ok(())
    }

    fn truncate(&mut self, name: &str, bytes: u64) -> io::Result<()> {
        self.change(|files| {
            let file = files.get_mut(name).ok_or_else(|| not_found(name))?;
            file.truncate(usize::try_from(bytes).unwrap_or(usize::MAX));
            Ok(())
        })
    }

    fn write(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.change(|files| files.insert(name.to_owned(), bytes.to_vec()));
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.change(|files| files.remove(name));
        Ok(())
    }
}

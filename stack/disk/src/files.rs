//! Where logs and blocks lie.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// The end of the name of a file that is being written as a whole.
pub(crate) const UNFINISHED: &str = ".tmp";

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: cannot {action}: {source}", path.display())]
pub struct DiskError {
    /// The file or folder.
    pub path: PathBuf,
    /// What was tried.
    pub action: &'static str,
    /// What the operating system said.
    #[source]
    pub source: io::Error,
}

/// A folder of files, as far as a store needs one.
pub trait Files: std::fmt::Debug + Send {
    /// How a message calls a file; the empty name is the folder itself.
    fn place(&self, name: &str) -> PathBuf;

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

    /// Adds bytes to the end of a file, which is created where there is none. On return they survive the end of the process. Where it
    /// fails a part of them may be there.
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
    /// Whether an append waits until the disk has it.
    sync: bool,
    /// The file that was appended to last stays open.
    open: Option<(String, File)>,
}

impl DiskFiles {
    /// The files of `folder`, which is created where there is none.
    ///
    /// # Errors
    /// Where the folder cannot be created.
    pub fn new(folder: impl Into<PathBuf>) -> Result<Self, DiskError> {
        let folder = folder.into();
        match fs::create_dir_all(&folder) {
            Ok(()) => Ok(Self {
                folder,
                sync: false,
                open: None,
            }),
            Err(source) => Err(DiskError {
                path: folder,
                action: "make the folder",
                source,
            }),
        }
    }

    /// With `sync` an append returns only when it survives a loss of power, too.
    #[must_use]
    pub fn synced(self, sync: bool) -> Self {
        Self { sync, ..self }
    }

    /// The file `name`, open for appending.
    fn open(&mut self, name: &str) -> io::Result<&mut File> {
        if self.open.as_ref().is_none_or(|(own, _)| own != name) {
            if let Some((_, finished)) = self.open.take() {
                finished.sync_all()?;
            }
            let path = self.folder.join(name);
            let file = OpenOptions::new().create(true).append(true).open(path)?;
            if self.sync {
                self.sync_folder()?;
            }
            self.open = Some((name.to_owned(), file));
        }
        match &mut self.open {
            Some((_, file)) => Ok(file),
            None => Err(not_found(name)),
        }
    }

    /// Makes the names of files survive a loss of power.
    fn sync_folder(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }
}

impl Files for DiskFiles {
    fn place(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

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
        let sync = self.sync;
        let file = self.open(name)?;
        file.write_all(bytes)?;
        if sync { file.sync_data() } else { Ok(()) }
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
        let unfinished = self.folder.join(format!("{name}{UNFINISHED}"));
        let mut file = File::create(&unfinished)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&unfinished, self.folder.join(name))?;
        self.sync_folder()
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
pub struct MemoryFiles {
    files: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    /// How many bytes fit before the disk is full; not limited where there is none.
    room: Arc<Mutex<Option<usize>>>,
}

impl MemoryFiles {
    /// Changes the files, for example to damage one.
    pub fn change<T>(&self, change: impl FnOnce(&mut BTreeMap<String, Vec<u8>>) -> T) -> T {
        change(&mut self.files.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes the append that goes beyond `bytes` from now on fail as on a full disk: it takes what fits. Then there is room again.
    pub fn fill_after(&self, bytes: usize) {
        *self.room.lock().unwrap_or_else(PoisonError::into_inner) = Some(bytes);
    }

    /// How many of `bytes` fit.
    fn take_room(&self, bytes: usize) -> usize {
        let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = room.map_or(bytes, |room| room.min(bytes));
        *room = room.filter(|_| fits == bytes).map(|room| room - fits);
        fits
    }
}

fn not_found(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, name.to_owned())
}

impl Files for MemoryFiles {
    fn place(&self, name: &str) -> PathBuf {
        PathBuf::from(name)
    }

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
        let fits = self.take_room(bytes.len());
        self.change(|files| {
            let file = files.entry(name.to_owned()).or_default();
            file.extend_from_slice(&bytes[..fits]);
        });
        if fits == bytes.len() {
            Ok(())
        } else {
            Err(io::ErrorKind::StorageFull.into())
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The same for all kinds of files.
    fn check(mut files: impl Files) {
        files.append("a", b"one").expect("appended");
        files.append("b", b"other").expect("appended");
        files.append("a", b"two").expect("appended");
        assert_eq!(files.read("a").expect("read"), b"onetwo");
        files.truncate("a", 4).expect("cut");
        files.append("a", b"!").expect("appended");
        assert_eq!(files.read("a").expect("read"), b"onet!");
        files.write("b", b"new").expect("written");
        assert_eq!(files.size("b").expect("there"), 3);
        assert_eq!(files.list().expect("listed"), ["a", "b"]);
        files.remove("b").expect("removed");
        files.remove("b").expect("no error where there is none");
        assert_eq!(files.list().expect("listed"), ["a"]);
        for missing in [
            files.size("b").err(),
            files.read("b").err(),
            files.truncate("b", 0).err(),
        ] {
            assert_eq!(
                missing.map(|error| error.kind()),
                Some(io::ErrorKind::NotFound)
            );
        }
        assert!(files.place("a").ends_with("a"));
    }

    #[test]
    fn files_in_memory_and_on_disk_are_alike() {
        check(MemoryFiles::default());
        let folder = std::env::temp_dir().join(format!("gameday-disk-{}", std::process::id()));
        for sync in [false, true] {
            let _ = fs::remove_dir_all(&folder);
            check(DiskFiles::new(&folder).expect("a folder").synced(sync));
        }
        let below_a_file = DiskFiles::new(folder.join("a")).expect_err("a file is no folder");
        let message = below_a_file.to_string();
        assert!(message.contains("a: cannot make the folder: "), "{message}");
        fs::remove_dir_all(&folder).expect("removed");
    }
}

//! Where the collectors read: the machine, or the model.

use std::collections::BTreeMap;
use std::fs;

use gameday_signal::Timestamp;

/// The files that the collectors read, by path.
pub struct Source {
    /// The model's files; none stands for the machine's own.
    files: Option<BTreeMap<String, String>>,
    /// File systems by mount point; on the machine they are asked one by one.
    volumes: BTreeMap<String, Volume>,
    /// What the clock shows.
    pub(crate) now: Timestamp,
}

/// The room on a file system.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Volume {
    /// Its size.
    pub size_bytes: f64,
    /// What is free.
    pub free_bytes: f64,
    /// What users may take of it.
    pub avail_bytes: f64,
    /// File nodes.
    pub files: f64,
    /// Free file nodes.
    pub files_free: f64,
    /// Whether it is read-only.
    pub read_only: bool,
}

/// The largest file that is read.
const FILE_BYTES_MAX: usize = 1 << 20;

impl Source {
    /// A host that is only modelled: its files by path in the kernel's formats, and its file systems by mount point.
    pub fn modelled(
        now: Timestamp,
        files: BTreeMap<String, String>,
        volumes: BTreeMap<String, Volume>,
    ) -> Self {
        let files = Some(files);
        Self {
            files,
            volumes,
            now,
        }
    }

    /// The machine that this process runs on, with file systems of its own by mount point beside the real ones.
    pub fn machine(now: Timestamp, volumes: BTreeMap<String, Volume>) -> Self {
        Self {
            files: None,
            volumes,
            now,
        }
    }

    /// The text of a file, empty where it is not there.
    pub(crate) fn read(&self, path: &str) -> String {
        match &self.files {
            Some(files) => files.get(path).cloned().unwrap_or_default(),
            None => {
                let mut text = fs::read_to_string(path).unwrap_or_default();
                if text.len() > FILE_BYTES_MAX {
                    let end = text.floor_char_boundary(FILE_BYTES_MAX);
                    text.truncate(end);
                }
                text
            }
        }
    }

    /// The mounted file systems: device, mount point, type and options, the own ones last.
    pub(crate) fn mounts(&self) -> Vec<[String; 4]> {
        let mut mounts: Vec<[String; 4]> = self
            .read("/proc/1/mounts")
            .lines()
            .filter_map(|line| {
                let mut fields = line.split(' ').map(unescape);
                Some([
                    fields.next()?,
                    fields.next()?,
                    fields.next()?,
                    fields.next()?,
                ])
            })
            .collect();
        for mountpoint in self.volumes.keys() {
            if !mounts.iter().any(|mount| mount[1] == *mountpoint) {
                let data = ["data", mountpoint, "quota", "rw"];
                mounts.push(data.map(String::from));
            }
        }
        mounts
    }

    /// The room on the file system at a mount point; none where it does not answer.
    pub(crate) fn volume(&self, mountpoint: &str) -> Option<Volume> {
        if let Some(volume) = self.volumes.get(mountpoint) {
            return Some(*volume);
        }
        let stat = rustix::fs::statvfs(mountpoint).ok()?;
        let unit = stat.f_frsize as f64;
        Some(Volume {
            size_bytes: stat.f_blocks as f64 * unit,
            free_bytes: stat.f_bfree as f64 * unit,
            avail_bytes: stat.f_bavail as f64 * unit,
            files: stat.f_files as f64,
            files_free: stat.f_ffree as f64,
            read_only: stat.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY),
        })
    }
}

/// `/proc/mounts` writes spaces, tabs, newlines and backslashes in octal (fstab(5)).
fn unescape(field: &str) -> String {
    field
        .replace("\\040", " ")
        .replace("\\011", "\t")
        .replace("\\012", "\n")
        .replace("\\134", "\\")
}

//! Where the collectors read: the machine, or the model.

use std::collections::BTreeMap;
use std::fs;

use gameday_env::Env;
use gameday_signal::Timestamp;

use crate::host::Snapshot;
use crate::node::model;

/// The files that the collectors read, by path.
pub(crate) struct Source {
    /// The model's files; none stands for the machine's own.
    files: Option<BTreeMap<String, String>>,
    /// File systems by mount point; on the machine they are asked one by one.
    volumes: BTreeMap<String, Volume>,
    /// What the clock shows.
    pub(crate) now: Timestamp,
}

/// The room on a file system.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Volume {
    pub(crate) size_bytes: f64,
    pub(crate) free_bytes: f64,
    pub(crate) avail_bytes: f64,
    pub(crate) files: f64,
    pub(crate) files_free: f64,
    pub(crate) read_only: bool,
}

/// The largest file that is read.
const FILE_BYTES_MAX: usize = 1 << 20;

impl Source {
    /// The model of a host in virtual time, the machine in real time; the data volume is the model's in both.
    pub(crate) fn new(env: &Env, snapshot: &Snapshot) -> Self {
        let mut source = if env.is_virtual() {
            let files = model::files(env.host(), snapshot);
            let volumes = BTreeMap::from([("/".to_owned(), model::root_volume())]);
            Self {
                files: Some(files),
                volumes,
                now: env.now(),
            }
        } else {
            Self {
                now: env.now(),
                ..Self::machine(env.host())
            }
        };
        let mountpoint = model::data_mountpoint(env.host());
        source
            .volumes
            .insert(mountpoint, model::data_volume(snapshot));
        source
    }

    /// The machine, with an empty data volume for `host`.
    pub(crate) fn machine(host: &str) -> Self {
        Self {
            files: None,
            volumes: BTreeMap::from([(model::data_mountpoint(host), Volume::default())]),
            now: Timestamp::EPOCH,
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

    /// The mounted file systems: device, mount point, type and options, the data volume last.
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
        if let Some(mountpoint) = self.volumes.keys().find(|it| it.starts_with("/var/lib/")) {
            let data = ["data", mountpoint, "quota", "rw"];
            mounts.push(data.map(String::from));
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

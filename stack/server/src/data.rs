//! The data directory of a stack: what survives a restart. Metrics, logs and traces keep files of their own below it; Alertmanager's
//! silences and notification log are a file that is replaced whole.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gameday_alerts::Alertmanager;
use gameday_disk::{DiskError, DiskFiles, Files as _};
use gameday_logs::Store as LogStore;
use gameday_metrics::{Store, StoreConfig};
use gameday_signal::Timestamp;
use gameday_traces::{DiskConfig, Limits, TraceStore};

use crate::config::StorageConfig;
use crate::stack::StackError;

/// Prometheus' default retention on disk; logs have the same, where Loki by default keeps them for ever.
const RETENTION: Duration = Duration::from_secs(15 * 86_400);
/// The most bytes of lines and metadata that the log store keeps, before compression; in memory they take a third of it at most.
const LOG_BYTES_MAX: u64 = 4 << 30;
/// The file of Alertmanager's state.
const ALERTS_FILE: &str = "alertmanager.json";

/// The file that says by its lock that a process uses the directory.
const LOCK_FILE: &str = "lock";

/// A data directory that this process has for itself: two that write to the same files would each take the other's for damaged.
#[derive(Debug)]
pub(crate) struct DataFolder {
    path: PathBuf,
    /// Held as long as the directory is used.
    _lock: File,
}

/// How the series store keeps samples, as `storage` of prometheus.yml says. On the disk they are kept for Prometheus' default where it
/// says nothing, in memory for ever.
pub(crate) fn store_config(storage: &StorageConfig, on_disk: bool) -> StoreConfig {
    let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    let retention = &storage.tsdb.retention;
    let retention_bytes = Some(retention.size).filter(|bytes| *bytes > 0);
    let retention_ms = match millis(retention.time) {
        0 if on_disk && retention_bytes.is_none() => Some(millis(RETENTION)),
        0 => None,
        time => Some(time),
    };
    StoreConfig {
        retention_ms,
        retention_bytes,
        out_of_order_window_ms: millis(storage.tsdb.out_of_order_time_window),
        max_exemplars: storage
            .exemplars
            .max_exemplars
            .map(|limit| usize::try_from(limit).unwrap_or(0)),
        ..StoreConfig::default()
    }
}

impl DataFolder {
    /// Takes a directory, which is made where it is missing.
    ///
    /// # Errors
    /// Where another process has it, or it cannot be written to.
    pub(crate) fn open(path: &Path) -> Result<Self, StackError> {
        let lock_path = path.join(LOCK_FILE);
        let failed = |error| StackError::Data(format!("{}: {error}", lock_path.display()));
        std::fs::create_dir_all(path).map_err(failed)?;
        let lock = File::create(&lock_path).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                path: path.to_owned(),
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => Err(StackError::DataInUse(path.to_owned())),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the series store below it, with what there is to tell about it.
    ///
    /// # Errors
    /// Where a file cannot be read or repaired.
    pub(crate) fn open_metrics(
        &self,
        config: StoreConfig,
        out: &mut Vec<String>,
    ) -> Result<Store, DiskError> {
        let files = DiskFiles::new(self.path.join("metrics"))?;
        let (store, recovery) = Store::open(config, Box::new(files))?;
        out.push(format!(
            "metrics: {} series and {} samples read",
            recovery.series, recovery.samples
        ));
        tell_repairs("metrics", recovery.repairs, out);
        Ok(store)
    }

    /// Opens the log store below it, with what there is to tell about it.
    ///
    /// # Errors
    /// Where a file cannot be read or repaired.
    pub(crate) fn open_logs(
        &self,
        now: Timestamp,
        out: &mut Vec<String>,
    ) -> Result<LogStore, DiskError> {
        let limits = gameday_logs::Limits {
            retention: Some(RETENTION),
            store_bytes_max: Some(LOG_BYTES_MAX),
            ..gameday_logs::Limits::default()
        };
        let config = gameday_logs::DiskConfig::default();
        let (store, recovery) = LogStore::open(&self.path.join("logs"), limits, config, now)?;
        out.push(format!(
            "logs: {} streams and {} lines read",
            recovery.streams, recovery.lines
        ));
        tell_repairs("logs", recovery.repairs, out);
        Ok(store)
    }

    /// Opens the trace store below it, with what there is to tell about it.
    ///
    /// # Errors
    /// Where a file cannot be read or repaired.
    pub(crate) fn open_traces(
        &self,
        now: Timestamp,
        out: &mut Vec<String>,
    ) -> Result<TraceStore, DiskError> {
        let folder = self.path.join("traces");
        let (store, replay) =
            TraceStore::open(&folder, Limits::default(), DiskConfig::default(), now)?;
        out.push(format!("traces: {} spans read", replay.spans));
        tell_repairs("traces", replay.repairs, out);
        Ok(store)
    }

    /// Takes over Alertmanager's state from it, with what there is to tell about it.
    ///
    /// # Errors
    /// Where the file is there and cannot be read.
    pub(crate) fn restore_alerts(
        &self,
        alerts: &mut Alertmanager,
        now: Timestamp,
        out: &mut Vec<String>,
    ) -> Result<(), String> {
        let path = self.path.join(ALERTS_FILE);
        let restored = match std::fs::read(&path) {
            Ok(bytes) => alerts
                .restore(&bytes, now)
                .map_err(|error| error.to_string()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => Err(error.to_string()),
        };
        out.extend(restored.map_err(|error| format!("{}: {error}", path.display()))?);
        Ok(())
    }

    /// Writes Alertmanager's state: the new file takes the place of the old one only when it is whole.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub(crate) fn save_alerts(&self, snapshot: &[u8]) -> Result<(), String> {
        let mut files = DiskFiles::new(&self.path).map_err(|error| error.to_string())?;
        files
            .write(ALERTS_FILE, snapshot)
            .map_err(|error| format!("{}: {error}", files.place(ALERTS_FILE).display()))
    }
}

/// What was damaged in a folder below the data directory.
fn tell_repairs(folder: &str, repairs: Vec<String>, out: &mut Vec<String>) {
    out.extend(
        repairs
            .into_iter()
            .map(|repair| format!("{folder}/{repair}")),
    );
}

//! The data directory of a stack: what survives a restart. Metrics, logs and traces keep files of their own below it; Alertmanager's
//! silences and notification log are a file that is replaced whole.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use gameday_alerts::Alertmanager;
use gameday_logs::Store as LogStore;
use gameday_metrics::{DiskFiles, Store, StoreConfig};
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
    ) -> Result<Store, String> {
        let folder = self.path.join("metrics");
        let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", folder.display());
        let files = DiskFiles::new(folder.clone()).map_err(|error| failed(&error))?;
        let (store, recovery) =
            Store::open(config, Box::new(files)).map_err(|error| failed(&error))?;
        out.push(format!(
            "metrics: {} series and {} samples read",
            recovery.series, recovery.samples
        ));
        out.extend(recovery.repairs);
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
    ) -> Result<LogStore, String> {
        let folder = self.path.join("logs");
        let limits = gameday_logs::Limits {
            retention: Some(RETENTION),
            store_bytes_max: Some(LOG_BYTES_MAX),
            ..gameday_logs::Limits::default()
        };
        let config = gameday_logs::DiskConfig::default();
        let (store, recovery) =
            LogStore::open(&folder, limits, config, now).map_err(|error| error.to_string())?;
        out.push(format!(
            "logs: {} streams and {} lines read",
            recovery.streams, recovery.lines
        ));
        out.extend(recovery.repairs);
        Ok(store)
    }

    /// Opens the trace store below it, with what there is to tell about it.
    ///
    /// # Errors
    /// Where a file cannot be read.
    pub(crate) fn open_traces(
        &self,
        now: Timestamp,
        out: &mut Vec<String>,
    ) -> Result<TraceStore, String> {
        let folder = self.path.join("traces");
        let opened = std::fs::create_dir_all(&folder)
            .map_err(|error| error.to_string())
            .and_then(|()| {
                TraceStore::open(&folder, Limits::default(), DiskConfig::default(), now)
                    .map_err(|error| error.to_string())
            });
        let (store, replay) = opened.map_err(|error| format!("{}: {error}", folder.display()))?;
        out.push(format!("traces: {} spans read", replay.spans));
        for (file, bytes) in replay.damaged {
            out.push(format!(
                "{}: {bytes} bytes could not be read and were dropped",
                file.display()
            ));
        }
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
        if !path.is_file() {
            return Ok(());
        }
        let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let bytes = std::fs::read(&path).map_err(|error| failed(&error))?;
        out.extend(
            alerts
                .restore(&bytes, now)
                .map_err(|error| failed(&error))?,
        );
        Ok(())
    }

    /// Writes Alertmanager's state: the new file takes the place of the old one only when it is whole.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub(crate) fn save_alerts(&self, snapshot: &[u8]) -> Result<(), String> {
        let path: PathBuf = self.path.join(ALERTS_FILE);
        let fresh = self.path.join(format!("{ALERTS_FILE}.new"));
        std::fs::write(&fresh, snapshot)
            .and_then(|()| std::fs::rename(&fresh, &path))
            .map_err(|error| format!("{}: {error}", path.display()))
    }
}

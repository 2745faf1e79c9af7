//! What survives a restart: silences and the notification log, as bytes.

use gameday_signal::Timestamp;
use serde::{Deserialize, Serialize};

use crate::engine::Alertmanager;
use crate::notification_log::{LogEntry, LogKey};
use crate::silence::Silence;

/// The form of the bytes; another number is refused.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Saved<'a> {
    version: u32,
    silences: Vec<&'a Silence>,
    log: Vec<(&'a LogKey, &'a LogEntry)>,
}

#[derive(Deserialize)]
struct Loaded {
    version: u32,
    silences: Vec<Silence>,
    log: Vec<(LogKey, LogEntry)>,
}

/// Why a snapshot was refused; nothing of it was taken then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// The bytes are no snapshot.
    #[error("no snapshot of silences and notification log: {0}")]
    Malformed(String),
    /// Another version made it.
    #[error("the snapshot has version {found}, this program reads version {VERSION}")]
    Version {
        /// The version of the bytes.
        found: u32,
    },
}

impl Alertmanager {
    /// Silences and notification log as bytes. The same state gives the same bytes.
    pub fn snapshot(&self) -> Vec<u8> {
        let saved = Saved {
            version: VERSION,
            silences: self.silences.iter().collect(),
            log: self.log.iter().collect(),
        };
        serde_json::to_vec(&saved).expect("invariant: keys are texts and numbers are finite")
    }

    /// A number that grows whenever a snapshot would have other bytes, garbage aside: save when it has grown.
    pub fn state_generation(&self) -> u64 {
        self.silences.generation + self.log.generation
    }

    /// Takes over silences and notification log of a snapshot; gives the silences that could not be taken, each with its reason.
    ///
    /// # Errors
    /// Where the bytes are no snapshot, or of another version.
    pub fn restore(&mut self, bytes: &[u8], now: Timestamp) -> Result<Vec<String>, SnapshotError> {
        let loaded: Loaded = serde_json::from_slice(bytes)
            .map_err(|error| SnapshotError::Malformed(error.to_string()))?;
        if loaded.version != VERSION {
            return Err(SnapshotError::Version {
                found: loaded.version,
            });
        }
        let refused = self.silences.restore(loaded.silences);
        self.log.restore(loaded.log);
        self.set_maintenance(now);
        Ok(refused)
    }
}

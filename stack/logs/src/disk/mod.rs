//! What makes a store survive its process.
//!
//! ```text
//!   append --> buffer --commit--> 00000007.wal        each batch compressed, with its length and CRC-32
//!                                     |
//!        checkpoint: sealed blocks -> 00000008.segment (kept), heads -> 00000008.heads, older logs removed
//!
//!   open: segments up to the newest heads file, these heads, then the logs from that number on
//! ```
//!
//! Invariants: what `commit` has returned for is read again after a kill, since it has been handed to the operating system (a loss
//! of power may cost what was not yet on the disk, unless every commit is synced). A heads file is written last, so that a
//! checkpoint counts as a whole or not at all. A log that ends in the middle of a batch, or in a batch whose checksum is wrong, is
//! cut there, and what was cut is told; a damaged segment is read up to its first bad record.

mod folder;
mod frame;
mod record;
mod segment;

pub use folder::{DiskConfig, DiskError, Recovery};

pub(crate) use folder::{Content, DiskLog};
pub(crate) use record::{ReplayedEntry, read_batch};
pub(crate) use segment::{SavedStream, read_heads, read_segment, write_heads, write_segment};

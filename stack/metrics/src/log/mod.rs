//! What makes a store survive its process.
//!
//! ```text
//!   append --> buffer --commit--> 00000007.wal        each batch with its length and CRC-32
//!                                     |
//!             checkpoint: full chunks -> 00000008.block (kept), heads -> 00000008.heads, older logs removed
//!
//!   open: blocks up to the newest heads file, these heads, then the logs from that number on
//! ```
//!
//! Invariants: what `commit` has returned for is read again after a kill, since it has been handed to the operating system (a loss
//! of power may cost what was not yet on the disk; files are synced when they are finished). A heads file is written last, so that
//! a checkpoint counts as a whole or not at all. A log that ends in the middle of a batch, or in a batch whose checksum is wrong,
//! is cut there, and what was cut is told. Files are reached through [`LogFiles`] alone.

mod codec;
mod crc;
mod files;
mod record;
mod writer;

pub(crate) use codec::{Decoder, Encoder};
pub(crate) use record::{Record, read_batch};
pub(crate) use writer::{Content, Log};

pub use files::{DiskFiles, LogFiles, MemoryFiles};
pub use writer::{LogError, Recovery};

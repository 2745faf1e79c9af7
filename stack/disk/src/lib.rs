//! What makes a store survive its process.
//!
//! ```text
//!   a room's records --Encoder--> batch --Log::commit--> 00000007.wal        each batch with its length and CRC-32
//!                                             |
//!                    Log::checkpoint: what no longer changes -> 00000008.<block> (kept), the rest -> 00000008.heads,
//!                                     older logs removed
//!
//!   Log::open: blocks up to the newest heads file, these heads, then the logs from that number on --> the room, record by record
//! ```
//!
//! [`Log`] is the entry; a room that keeps no checkpoints writes with an [`Appender`] to a [`Folder`]. What stands in a record is the
//! room's own affair.
//!
//! Invariants: what `commit` has returned for is read again after a kill, since it has been handed to the operating system (a loss
//! of power may cost what was not yet on the disk, unless each append is synced). A heads file is written last, so that a checkpoint
//! counts as a whole or not at all. Damage is no error: a log is cut before its first bad record, a block and heads are read up to it,
//! and what was lost is told line by line. Files are reached through [`Files`] alone, by one process at a time: the caller sees to
//! that.

pub mod codec;
pub mod frame;

mod files;
mod folder;
mod log;

pub use codec::{Decoder, Encoder};
pub use files::{DiskError, DiskFiles, Files, MemoryFiles};
pub use folder::{Appender, Folder, Found};
pub use log::{Log, Part, Replay};

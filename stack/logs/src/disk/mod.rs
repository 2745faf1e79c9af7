//! What makes a store survive its process: its records in the log that `gameday-disk` keeps.
//!
//! ```text
//!   append --> batch, LZ4 --commit--> log          a stream is introduced by its labels once in each log
//!   checkpoint: sealed blocks -> segment, heads -> heads          a record a stream
//! ```

mod record;
mod segment;
mod writer;

pub use writer::{DiskConfig, Recovery};

pub(crate) use record::{ReplayedEntry, read_batch};
pub(crate) use segment::{SavedStream, read_head, read_segment, write_heads, write_segment};
pub(crate) use writer::DiskLog;

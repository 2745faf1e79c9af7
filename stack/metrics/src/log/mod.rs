//! What makes a store survive its process: its records in the log that `gameday-disk` keeps.
//!
//! ```text
//!   append --> batch --commit--> log          a series is introduced by its labels once in each log
//!   checkpoint: full chunks -> block, heads -> heads
//! ```

mod record;
mod writer;

pub(crate) use record::{
    Record, read_batch, read_exemplar, read_histogram, write_exemplar, write_histogram,
};
pub(crate) use writer::Log;

pub use writer::Recovery;

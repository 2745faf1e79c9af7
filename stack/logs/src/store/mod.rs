//! Streams of log lines in memory.
//!
//! ```text
//!   append -> stream (by labels) -> head --full--> block (compressed)
//!   scan(matchers, time range) -> label index -> streams -> blocks and head, merged by time
//! ```

mod append;
pub(crate) mod block;
pub(crate) mod codec;
mod durable;
mod index;
mod metadata;
mod scan;
mod stream;

pub use append::{Store, StoreStats};
pub(crate) use block::Needs;
pub(crate) use scan::{Processed, Scan};
pub(crate) use stream::Stream;

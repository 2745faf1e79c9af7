//! Files of settings in YAML, as Go programs read them.
//!
//! ```text
//!   text --read--> Document { root: Node, mistakes }     rule files walk the tree: each mistake is told, not only the first
//!                        |
//!                        +--from_str, from_file--> T: Deserialize, or the first mistake with its place, its line and a hint
//!
//!   T: Serialize --to_string--> text
//! ```
//!
//! The syntax is granit-parser's; what stands here is the tree and its bridge to serde. A library that reads straight into structs
//! does that in code of its own for each of them, which took a third of the first build.
//!
//! A scalar has no type of its own: the field that it stands for says how it is read, as in Go (`port: 9090` may be a text). Null is
//! an empty list or map, and nothing where a value may be missing. The truth values are those of YAML 1.1 (`yes`, `on`).
//!
//! Invariants: no input panics; files, depth, nodes, and the nodes that aliases stand for are limited.

mod bridge;
mod error;
mod scalar;
mod tree;
mod write;

pub use bridge::{Spanned, from_file, from_str};
pub use error::{FileError, Mistake};
pub use tree::{Document, Key, Kind, Node, Scalar, read};
pub use write::to_string;

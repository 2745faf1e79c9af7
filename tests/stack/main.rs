//! `gameday stack up` as a process of its own: what clients that nobody here wrote find in it, and what is there again after it was
//! killed.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod clients;
mod kill;
mod up;

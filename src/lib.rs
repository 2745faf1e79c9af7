//! Chaos and game-day test harness with a complete telemetry stack built in.
//!
//! ```text
//!   features/<name>.feature --runner--> steps --> Game ( target <- load, faults )
//!   scenarios/<name>/ ------------------------->   |  telemetry
//!                                                  v
//!                        stack (gameday-server) --notifications--> receivers
//!                                  ^ verify: every question goes through the public APIs
//!                        journal --> timeline: console, Markdown, HTML, JSON, JUnit
//! ```
//!
//! In a test of your own:
//!
//! ```no_run
//! let played = gameday::play("tests/gamedays", "latency-injection").expect("it can be played");
//! gameday::assert_held(&played);
//! ```
//!
//! Invariants: only this crate knows scenarios. It asserts through the public query APIs, so that a step means the same on the
//! embedded stack and on a real one. No run leaves a fault behind. Nothing passes by accident: what proves nothing is
//! inconclusive.

pub mod checking;
pub mod cli;
pub mod failure;
pub mod faults;
pub mod game;
pub mod load;
pub mod receivers;
pub mod runner;
pub mod scenario;
pub mod steps;
pub mod target;
pub mod timeline;
pub mod verify;
pub mod world;

use std::path::PathBuf;

pub use failure::{Failure, FailureKind};
pub use runner::{PlayedFeature, play_file, play_named};
pub use world::{ClockChoice, Progress, RunOptions};

/// Plays the game day `name` of the folder `root` (with `scenarios/` and `features/`) in virtual time.
///
/// # Errors
/// Where the feature or its scenario is missing or invalid. What fails while it is played is part of the record.
pub fn play(root: impl Into<PathBuf>, name: &str) -> Result<PlayedFeature, Failure> {
    play_named(&RunOptions::new(root), name)
}

/// Panics with the whole timeline where the game day did not hold: for tests.
///
/// # Panics
/// Where it did not hold.
pub fn assert_held(played: &PlayedFeature) {
    let told = || timeline::render_console(&played.record, timeline::ConsoleOptions::default());
    assert!(
        played.failure.is_none(),
        "the game day {:?} did not hold:\n{}",
        played.record.name,
        told()
    );
}

//! Chaos and game-day test harness with a complete telemetry stack built in.

pub mod timeline;

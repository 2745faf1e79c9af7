//! Ours beside Debian's prometheus-alertmanager, where that is installed: the same configuration and alerts through both.
//!
//! `messages` compares what the default templates make of the same alerts. `behaviour` plays random configurations and alert
//! sequences in real time and compares who is told what and when; since it measures seconds it only runs where the environment
//! variable ORACLE is set, on a machine that has nothing else to do.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_types,
    clippy::format_push_string,
    clippy::disallowed_methods,
    reason = "a test against a real server needs real sockets, threads and time"
)]

mod amtool;
mod behaviour;
mod messages;
mod server;
mod sink;

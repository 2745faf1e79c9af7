//! What is sent on: samples by remote write to a real Prometheus or Mimir, alerts to Alertmanagers.
//!
//! ```text
//!   Store::take_tapped --external labels, write_relabel_configs--> queue of each remote_write --batches--> POST, again after 5xx
//! ```
//!
//! Invariants: samples of a series leave in the order in which they were appended; what a receiver refuses for good is dropped and
//! counted, what it cannot take now is sent again; a queue that is full drops its oldest samples and counts them.

mod alerts;
mod queue;
mod run;

pub(crate) use alerts::{Delivery, alertmanager_urls, deliveries};
pub use run::{ForwardHost, run};

#[cfg(test)]
mod tests;

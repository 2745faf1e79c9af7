//! The scraper: which target is due when, and what becomes of what it says.
//!
//! ```text
//!   PrometheusConfig, target files --discovery--> Target (labels, address)
//!   Scraper::due(now) --> ScrapeJob --fetch--> answer --Scraper::finish--> samples, up, scrape_*, stale markers in the store
//! ```
//!
//! [`Scraper`] is told the time and does no I/O; [`run`] is the task that asks it what is due, fetches over the network and hands the
//! answers back.
//!
//! Invariants: a scrape is taken whole or not at all; `up` and the `scrape_*` series are written for every scrape, failed ones
//! included; a series that a target no longer exposes, and every series of a target that is gone or fails, ends in a stale marker.
//! Targets are handled in the order of their labels, so that the same configuration writes the same samples in the same order.

mod cache;
mod discovery;
mod fetch;
mod run;
mod scraper;
mod target;

pub(crate) use discovery::parse_target_file;
pub use discovery::{TargetFiles, read_target_files};
pub use fetch::Fetched;
pub use run::{ScrapeHost, run};
pub use scraper::{ScrapeJob, Scraper, ScraperOptions};
pub use target::{ActiveTarget, DroppedTarget, Health};

#[cfg(test)]
mod tests;

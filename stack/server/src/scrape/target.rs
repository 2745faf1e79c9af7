//! What is known about a target, and how the API shows it.

use std::collections::BTreeMap;
use std::time::Duration;

use gameday_signal::{Labels, MetricMetadata, Timestamp};

use super::cache::ScrapeCache;
use super::discovery::Found;

/// Whether a target answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// It has not been asked yet.
    #[default]
    Unknown,
    /// The last scrape was taken.
    Up,
    /// The last scrape failed.
    Down,
}

impl Health {
    /// The word of Prometheus' API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// A target that is scraped, as `/api/v1/targets` shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct ActiveTarget {
    /// The labels before relabelling.
    pub discovered_labels: Labels,
    /// The labels of its series.
    pub labels: Labels,
    /// The name of its job.
    pub scrape_pool: String,
    /// The address that is asked.
    pub scrape_url: String,
    /// Why the last scrape failed; empty when it did not.
    pub last_error: String,
    /// When it was asked last.
    pub last_scrape: Option<Timestamp>,
    /// How long the last answer took.
    pub last_scrape_duration: Duration,
    /// Whether it answers.
    pub health: Health,
    /// How often it is asked.
    pub scrape_interval: Duration,
    /// When a scrape has failed.
    pub scrape_timeout: Duration,
    /// What it says about its metric families.
    pub metadata: BTreeMap<String, MetricMetadata>,
}

/// A target that relabelling dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DroppedTarget {
    /// The labels before relabelling.
    pub discovered_labels: Labels,
    /// The name of its job.
    pub scrape_pool: String,
}

/// A target with its schedule and what it said last.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) found: Found,
    /// The index of its job in the configuration.
    pub(super) job: usize,
    pub(super) next: Timestamp,
    pub(super) in_flight: bool,
    pub(super) cache: ScrapeCache,
    pub(super) metadata: BTreeMap<String, MetricMetadata>,
    pub(super) last_error: String,
    pub(super) last_scrape: Option<Timestamp>,
    pub(super) last_duration: Duration,
    pub(super) health: Health,
}

impl Target {
    pub(super) fn new(found: Found, job: usize, next: Timestamp) -> Self {
        Self {
            found,
            job,
            next,
            in_flight: false,
            cache: ScrapeCache::default(),
            metadata: BTreeMap::new(),
            last_error: String::new(),
            last_scrape: None,
            last_duration: Duration::ZERO,
            health: Health::Unknown,
        }
    }

    pub(super) fn view(&self, pool: &str) -> ActiveTarget {
        ActiveTarget {
            discovered_labels: self.found.discovered.clone(),
            labels: self.found.labels.clone(),
            scrape_pool: pool.to_owned(),
            scrape_url: self.found.url.clone(),
            last_error: self.last_error.clone(),
            last_scrape: self.last_scrape,
            last_scrape_duration: self.last_duration,
            health: self.health,
            scrape_interval: self.found.interval,
            scrape_timeout: self.found.timeout,
            metadata: self.metadata.clone(),
        }
    }
}

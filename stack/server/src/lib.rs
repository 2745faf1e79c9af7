//! The assembly of the embedded stack: receivers, scraper, tickers and the public APIs.
//!
//! ```text
//!   scrape, push --receive--> [ metrics | logs | traces ] <--query-- public APIs (Prometheus, Loki, Tempo)
//!   OTLP --receive--> collector --^    '--> other collectors
//!                                        ^ rules, told the time
//!                                        '--> alerts --POST--> Alertmanager's API --tick--> notifier --> receivers
//! ```
//!
//! Entry: [`StackFiles`] and [`Stack::start`].
//!
//! Invariants: only this room knows routes. Between the receivers and the stores there is no queue: what a push or an export
//! acknowledged is seen by the next query. No lock is held across an await. What happens to alerts on their way goes over the same
//! APIs that other clients use.

mod api;
mod collector;
pub mod config;
mod data;
mod files;
pub mod forward;
mod host;
mod inbox;
mod notify;
mod outgoing;
mod own_metrics;
mod queries;
pub mod receive;
pub mod relabel;
mod rule_backend;
mod rule_tests;
pub mod scrape;
mod shared;
mod smtp;
mod stack;
mod tick;
mod unit_tests;

pub use collector::CollectorConfig;
pub use files::{DEFAULT_FILES, RouteCheck, SourceText, StackFiles};
pub use gameday_board as board;
pub use gameday_query as query;
pub use gameday_rules as rules;
pub use gameday_traces as traces;
pub use notify::NotifyMode;
pub use queries::{check_logql, check_promql, check_traceql, scale_logql, scale_promql};
pub use stack::{Stack, StackAddresses, StackError, StackOptions};
pub use unit_tests::{UnitTestOutcome, test_routes, test_rules};

/// The version of Prometheus whose behaviour the stack has.
pub const PROMETHEUS_VERSION: &str = "3.8.0";
/// The version of Loki whose behaviour the stack has.
pub const LOKI_VERSION: &str = "3.7.2";
/// The version of Tempo whose behaviour the stack has.
pub const TEMPO_VERSION: &str = "3.0.0";

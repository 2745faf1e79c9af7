//! The collector between the OTLP receivers and the stores, configured as an OpenTelemetry Collector is.
//!
//! ```text
//!   OTLP --memory_limiter--> attributes, resource, probabilistic_sampler, tail_sampling --+--> stores of the stack (at once)
//!                                                                                         +--> spanmetrics, servicegraph --> metrics
//!                                                                                         '--> batch --> queue --> OTLP, again after failures
//! ```
//!
//! [`CollectorConfig::parse`] reads collector.yaml; [`Collector`] is the engine, told the time; [`run`] is its ticker and sends what
//! its queues hold.
//!
//! Invariants: unless a tail sampler holds spans back, what was acknowledged is in the stores: `batch` gathers only what leaves the
//! process. Every queue has a limit, and what does not fit is counted. What the memory limiter refuses is told to the sender, who
//! may send it again.

mod components;
mod config;
mod connectors;
mod outlet;
mod pending;
mod pipeline;
mod policies;
mod processors;
mod run;
mod send;
mod telemetry;
mod values;

pub use config::CollectorConfig;
pub(crate) use pipeline::{Collector, Flow, Refusal};
pub(crate) use run::{run, store_flow};
pub(crate) use values::parse_duration as parse_go_duration;

/// The configuration of a stack that was given none: everything into the stores, span metrics and the service graph made on the way.
pub(crate) const DEFAULT: &str = include_str!("../../defaults/collector.yaml");

/// The same without metrics of spans: what a game day has whose rules and steps ask for none.
pub(crate) const STORES_ONLY: &str = "
receivers: {otlp: {}}
processors: {memory_limiter: {limit_mib: 512}}
exporters: {stack: }
service:
  pipelines:
    traces: {receivers: [otlp], processors: [memory_limiter], exporters: [stack]}
    metrics: {receivers: [otlp], processors: [memory_limiter], exporters: [stack]}
    logs: {receivers: [otlp], processors: [memory_limiter], exporters: [stack]}
";

#[cfg(test)]
mod tests;

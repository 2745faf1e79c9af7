//! What a stack is scraped for beside its services: hosts, probes from outside, and how a team delivers.
//!
//! ```text
//!   node      a host's processors, memory, disks, network       <host>:9100/metrics
//!   blackbox  what a user would see of a target                 blackbox:9115/probe?module=&target=
//!   dora      deployments, lead times, failures, restores       dora-exporter:8000/metrics
//!   github    a local double of the API that dora reads         api.github:8080
//! ```
//!
//! Entry: [`node::expose`], [`blackbox::start`], [`dora::start`], [`github::start`].
//!
//! Invariants: the names, types and labels are those of the exporters that people run, so that their rules and dashboards work
//! unchanged. Time and network come from env. Nothing here knows the stack or the services.

pub mod blackbox;
mod civil;
pub mod dora;
mod exposition;
pub mod github;
pub mod node;
mod server;

pub use exposition::Exposition;

//! An instrumented system under test, with faults as behaviour.
//!
//! ```text
//!   load -> frontend -> checkout -> payments          each service: name:8080  requests, /metrics, /health, /ready
//!                |          `-> its database (orders)               name:8081  the control API: faults come and go
//!                `----> users -> its database (users)               name:9100  its host's node exporter
//!
//!   a request: faults -> work -> queries and calls -> faults -> one observation: span, log line, metrics
//!   telemetry: OpenTelemetry SDK -> bounded queues -> OTLP/HTTP to otel-collector:4318
//! ```
//!
//! Entry: [`start`] with a [`ServiceConfig`] of the [`topology`]; [`cli::run`] for a process of its own.
//!
//! Invariants: the service knows nothing of the stack that watches it, only an OTLP endpoint. `telemetry.rs` alone touches
//! OpenTelemetry. Time, network and entropy come from env; faults and service times draw from streams of their own. Every fault has a
//! lease and is undone by the service itself when that runs out.

pub mod cli;
mod config;
mod control;
mod database;
mod export;
mod faults;
mod handler;
mod host;
mod metrics;
mod nearest;
mod node;
mod node_model;
mod observe;
mod procfs;
mod protobuf;
mod reply;
mod service;
mod stress;
mod telemetry;
#[cfg(test)]
mod testing;
mod topology;
mod trace_context;
mod upstream;
mod work;

pub use config::{
    CONTROL_PORT, HostLimits, Level, LevelError, NODE_EXPORTER_PORT, SERVICE_PORT, ServiceConfig,
    Upstream, topology,
};
pub use faults::{
    Ended, EndedBy, FAULTS, FaultError, FaultKind, FaultSpec, FaultState, Setting, Settings,
    Surroundings,
};
pub use service::{Error, Service, export_vacant_node, start};
pub use topology::{Endpoint, Role, RoleError};

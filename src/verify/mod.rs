//! Asking the stack, as any client does, and judging what it says.

mod client;
mod drill_down;
pub mod runbook;
mod trace;

pub use client::{
    ActiveAlert, AlertRule, ApiAddresses, ApiError, Apis, ExemplarSample, LogLine, ManagedAlert,
    Phases, RangeSeries, TraceSpan, VectorSample, encode,
};
pub use drill_down::{
    Beginning, Found, Sample, Trail, drill_down, edges_of, logs_of, root_cause, traces_of,
};
pub use trace::{deepest_failure, rows, slowest};

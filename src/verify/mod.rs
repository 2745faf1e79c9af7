//! Asking the stack, as any client does, and judging what it says.

mod client;
pub mod runbook;
mod trace;

pub use client::{
    ActiveAlert, AlertRule, ApiAddresses, ApiError, Apis, LogLine, ManagedAlert, Phases,
    RangeSeries, TraceSpan, VectorSample, encode,
};
pub use trace::{deepest_failure, rows, slowest};

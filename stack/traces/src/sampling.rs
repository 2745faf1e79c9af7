//! Sampling: which traces are kept, as the OpenTelemetry Collector's processors decide it.
//!
//! ```text
//!   spans --ProbabilisticSampler--> a share of all traces
//!   spans --TailSampler: wait, then decide by policies--> whole traces worth keeping
//! ```

mod policy;
mod tail;

use gameday_signal::{Span, TraceId};

pub use policy::{Policy, PolicyKind};
pub use tail::{PolicyCount, TailSampler, TailSamplerConfig, TailSamplerStats};

/// Keeps a share of all traces, decided by the trace id alone, so that all spans of a trace share their fate.
#[derive(Clone, Debug, PartialEq)]
pub struct ProbabilisticSampler {
    percentage: f64,
    salt: String,
    kept: u64,
    dropped: u64,
}

impl ProbabilisticSampler {
    /// A sampler that keeps `percentage` percent of the traces. Two samplers with different salts decide independently.
    pub fn new(percentage: f64, salt: impl Into<String>) -> Self {
        Self {
            percentage,
            salt: salt.into(),
            kept: 0,
            dropped: 0,
        }
    }

    /// The spans that are kept.
    pub fn sample(&mut self, mut spans: Vec<Span>) -> Vec<Span> {
        let before = spans.len();
        spans.retain(|span| is_sampled(span.trace_id, self.percentage, &self.salt));
        self.kept += spans.len() as u64;
        self.dropped += (before - spans.len()) as u64;
        spans
    }

    /// Spans that were kept and spans that were dropped.
    pub fn counts(&self) -> (u64, u64) {
        (self.kept, self.dropped)
    }
}

/// Whether a trace belongs to the `percentage` percent that are kept.
pub(crate) fn is_sampled(id: TraceId, percentage: f64, salt: &str) -> bool {
    // FNV-1a, 64 bits, over the salt and the id, as the collector's tail sampling does. Its lowest bits of short inputs are the least
    // mixed ones, hence the fold.
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in salt.bytes().chain(id.0) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash ^= hash >> 32;
    hash = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let share = (hash >> 11) as f64 / (1u64 << 53) as f64;
    share * 100.0 < percentage
}

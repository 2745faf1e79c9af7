//! Tail sampling: a trace is decided upon when it has had time to become whole.

use std::collections::VecDeque;
use std::time::Duration;

use gameday_signal::{FixedMap, Labels, Span, Timestamp, TraceId};

use super::policy::{Policy, RateState, Verdict};
use crate::generator::span_bytes;

/// How traces are decided upon.
#[derive(Clone, Debug)]
pub struct TailSamplerConfig {
    /// How long a trace waits from its first span on (the collector's `decision_wait`).
    pub decision_wait: Duration,
    /// Traces that wait at a time; the oldest are dropped undecided to make room (`num_traces`).
    pub max_traces: usize,
    /// Spans that wait at a time; the oldest traces are dropped undecided to make room.
    pub max_spans: usize,
    /// Decisions that are remembered for spans that come late (`decision_cache`).
    pub remembered_decisions: usize,
    /// A trace is kept when one of these says so and none forbids it.
    pub policies: Vec<Policy>,
}

impl Default for TailSamplerConfig {
    fn default() -> Self {
        Self {
            decision_wait: Duration::from_secs(30),
            max_traces: 50_000,
            max_spans: 500_000,
            remembered_decisions: 100_000,
            policies: Vec::new(),
        }
    }
}

/// What one policy has said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyCount {
    /// The policy's name.
    pub name: String,
    /// Traces that it would keep.
    pub sampled: u64,
    /// Traces that it would not.
    pub not_sampled: u64,
}

/// What became of spans and traces since the sampler began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TailSamplerStats {
    /// Traces that wait.
    pub waiting_traces: usize,
    /// Spans that wait.
    pub waiting_spans: usize,
    /// Traces that were kept.
    pub sampled_traces: u64,
    /// Traces that were not.
    pub dropped_traces: u64,
    /// Spans that were kept, late ones included.
    pub sampled_spans: u64,
    /// Spans that were not, late ones included.
    pub dropped_spans: u64,
    /// Traces that were dropped undecided because too many waited.
    pub dropped_too_early: u64,
    /// Their spans.
    pub dropped_too_early_spans: u64,
    /// Spans that came after their trace had been decided upon.
    pub late_spans: u64,
    /// What each policy has said.
    pub policies: Vec<PolicyCount>,
}

/// Holds spans back until their traces are decided upon.
pub struct TailSampler {
    config: TailSamplerConfig,
    rates: Vec<RateState>,
    waiting: FixedMap<TraceId, Vec<Span>>,
    /// In the order of their deadlines, which is that of their first spans.
    deadlines: VecDeque<(Timestamp, TraceId)>,
    decided: FixedMap<TraceId, bool>,
    decided_order: VecDeque<TraceId>,
    /// The size of what waits, in bytes of protobuf.
    waiting_bytes: u64,
    stats: TailSamplerStats,
}

impl TailSampler {
    /// A sampler that has seen nothing.
    pub fn new(config: TailSamplerConfig) -> Self {
        let policies = config
            .policies
            .iter()
            .map(|policy| PolicyCount {
                name: policy.name.clone(),
                sampled: 0,
                not_sampled: 0,
            })
            .collect();
        Self {
            rates: vec![RateState::default(); config.policies.len()],
            waiting: FixedMap::default(),
            deadlines: VecDeque::new(),
            decided: FixedMap::default(),
            decided_order: VecDeque::new(),
            waiting_bytes: 0,
            stats: TailSamplerStats {
                policies,
                ..TailSamplerStats::default()
            },
            config,
        }
    }

    /// Takes spans that came in at `now`, and gives back those that come late for a trace that is kept.
    pub fn observe(&mut self, spans: Vec<Span>, now: Timestamp) -> Vec<Span> {
        let mut late = Vec::new();
        for span in spans {
            if let Some(sampled) = self.decided.get(&span.trace_id) {
                self.stats.late_spans += 1;
                if *sampled {
                    self.stats.sampled_spans += 1;
                    late.push(span);
                } else {
                    self.stats.dropped_spans += 1;
                }
                continue;
            }
            self.stats.waiting_spans += 1;
            self.waiting_bytes += span_bytes(&span) as u64;
            let trace_id = span.trace_id;
            if let Some(waiting) = self.waiting.get_mut(&trace_id) {
                waiting.push(span);
            } else {
                self.waiting.insert(trace_id, vec![span]);
                self.deadlines
                    .push_back((now + self.config.decision_wait, trace_id));
            }
            self.make_room();
        }
        late
    }

    /// The spans of the traces that are decided upon at `now` and kept, trace by trace in the order of their arrival.
    pub fn tick(&mut self, now: Timestamp) -> Vec<Span> {
        let mut kept = Vec::new();
        while let Some((deadline, id)) = self.deadlines.front().copied()
            && deadline <= now
        {
            self.deadlines.pop_front();
            if let Some(spans) = self.take(id) {
                self.decide(id, spans, now, &mut kept);
            }
        }
        kept
    }

    /// Decides upon all traces that wait, for a shutdown.
    pub fn flush(&mut self, now: Timestamp) -> Vec<Span> {
        let mut kept = Vec::new();
        while let Some((_, id)) = self.deadlines.pop_front() {
            if let Some(spans) = self.take(id) {
                self.decide(id, spans, now, &mut kept);
            }
        }
        kept
    }

    /// When the next trace is decided upon.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.front().map(|(deadline, _)| *deadline)
    }

    /// The size of what waits, in bytes of protobuf.
    pub fn waiting_bytes(&self) -> u64 {
        self.waiting_bytes
    }

    /// What became of spans and traces.
    pub fn stats(&self) -> TailSamplerStats {
        TailSamplerStats {
            waiting_traces: self.waiting.len(),
            ..self.stats.clone()
        }
    }

    /// The counters as series for rules to watch, named as the collector names them.
    pub fn metrics(&self) -> Vec<(Labels, f64)> {
        const PREFIX: &str = "otelcol_processor_tail_sampling_";
        let stats = self.stats();
        let series = |name: &str, labels: &[(&str, &str)], value: f64| {
            let mut builder = Labels::new(labels.iter().copied()).to_builder();
            builder.set("__name__", &format!("{PREFIX}{name}"));
            (builder.build(), value)
        };
        let mut all = vec![
            series(
                "sampling_traces_on_memory",
                &[],
                stats.waiting_traces as f64,
            ),
            series("sampling_spans_on_memory", &[], stats.waiting_spans as f64),
            series(
                "sampling_trace_dropped_too_early_total",
                &[],
                stats.dropped_too_early as f64,
            ),
            series("sampling_late_spans_total", &[], stats.late_spans as f64),
            series(
                "global_count_traces_sampled_total",
                &[("sampled", "true")],
                stats.sampled_traces as f64,
            ),
            series(
                "global_count_traces_sampled_total",
                &[("sampled", "false")],
                stats.dropped_traces as f64,
            ),
            series(
                "count_spans_sampled_total",
                &[("sampled", "true")],
                stats.sampled_spans as f64,
            ),
            series(
                "count_spans_sampled_total",
                &[("sampled", "false")],
                stats.dropped_spans as f64,
            ),
        ];
        for policy in &stats.policies {
            for (sampled, count) in [("true", policy.sampled), ("false", policy.not_sampled)] {
                let labels = [("policy", policy.name.as_str()), ("sampled", sampled)];
                all.push(series("count_traces_sampled_total", &labels, count as f64));
            }
        }
        all
    }

    /// The spans of a trace that waits no longer.
    fn take(&mut self, id: TraceId) -> Option<Vec<Span>> {
        let spans = self.waiting.remove(&id)?;
        self.stats.waiting_spans -= spans.len();
        let bytes: usize = spans.iter().map(span_bytes).sum();
        self.waiting_bytes -= bytes as u64;
        Some(spans)
    }

    fn decide(&mut self, id: TraceId, spans: Vec<Span>, now: Timestamp, kept: &mut Vec<Span>) {
        let mut sampled = false;
        let mut forbidden = false;
        let policies = self
            .config
            .policies
            .iter()
            .zip(&mut self.rates)
            .zip(&mut self.stats.policies);
        for ((policy, rate), count) in policies {
            match policy.kind.decide(&spans, now, rate) {
                Verdict::Sample => {
                    sampled = true;
                    count.sampled += 1;
                }
                Verdict::NotSample => count.not_sampled += 1,
                Verdict::InvertNotSample => {
                    forbidden = true;
                    count.not_sampled += 1;
                }
            }
        }
        let sampled = sampled && !forbidden;
        if self.decided.insert(id, sampled).is_none() {
            self.decided_order.push_back(id);
        }
        while self.decided_order.len() > self.config.remembered_decisions
            && let Some(oldest) = self.decided_order.pop_front()
        {
            self.decided.remove(&oldest);
        }
        let count = spans.len() as u64;
        if sampled {
            self.stats.sampled_traces += 1;
            self.stats.sampled_spans += count;
            kept.extend(spans);
        } else {
            self.stats.dropped_traces += 1;
            self.stats.dropped_spans += count;
        }
    }

    fn make_room(&mut self) {
        while (self.waiting.len() > self.config.max_traces
            || self.stats.waiting_spans > self.config.max_spans)
            && let Some((_, id)) = self.deadlines.pop_front()
        {
            if let Some(spans) = self.take(id) {
                self.stats.dropped_too_early += 1;
                self.stats.dropped_too_early_spans += spans.len() as u64;
            }
        }
    }
}

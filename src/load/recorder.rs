//! What became of the requests.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gameday_env::Env;
use gameday_signal::{EventKind, Timestamp, format_duration};
use serde::{Deserialize, Serialize};

use super::events::EventCounts;

/// Which answers count as bad for a service level objective, as the load sees them.
#[derive(Clone, Debug, PartialEq)]
pub struct BadEvent {
    /// The objective.
    pub slo: String,
    /// Only requests to paths that begin with this count.
    pub path_prefix: String,
    /// Slower than this is bad.
    pub slower_than: Option<Duration>,
    /// A server error, or no answer at all, is bad.
    pub errors: bool,
}

/// Counts what was sent and answered. Shared by all request tasks.
pub struct Recorder {
    env: Env,
    watch: Vec<BadEvent>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    total: Window,
    since_mark: Window,
    in_flight: u64,
    shed: u64,
    /// One flag for each watched objective: the next bad event is the first.
    armed: Vec<bool>,
    last_sent: Option<Timestamp>,
    /// The events of each watched objective.
    events: Vec<EventCounts>,
}

/// Counts over a stretch of time.
#[derive(Clone, Debug, Default)]
pub struct Window {
    /// Requests that were started.
    pub sent: u64,
    /// Requests that were answered, whatever the status.
    pub answered: u64,
    /// Requests with a server error or without an answer.
    pub failed: u64,
    histogram: Histogram,
}

/// Latency percentiles in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LatencySummary {
    /// Half of the requests were faster.
    pub p50_ms: f64,
    /// 95 % were faster.
    pub p95_ms: f64,
    /// 99 % were faster.
    pub p99_ms: f64,
    /// The slowest.
    pub max_ms: f64,
}

/// What the load did, for the report.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LoadSummary {
    /// Requests that were started.
    pub sent: u64,
    /// Requests that were answered, whatever the status.
    pub answered: u64,
    /// Requests with a server error or without an answer.
    pub failed: u64,
    /// Requests that were not started because too many were under way.
    pub shed: u64,
    /// Latency from the intended start.
    pub latency: LatencySummary,
}

impl Recorder {
    pub(super) fn new(env: Env, watch: Vec<BadEvent>) -> Self {
        let state = State {
            armed: vec![false; watch.len()],
            events: vec![EventCounts::default(); watch.len()],
            ..State::default()
        };
        Self {
            env,
            watch,
            state: Mutex::new(state),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn in_flight(&self) -> u64 {
        self.lock().in_flight
    }

    pub(super) fn shed(&self) {
        self.lock().shed += 1;
    }

    pub(super) fn sent(&self, intended: Timestamp) {
        let mut state = self.lock();
        state.in_flight += 1;
        state.total.sent += 1;
        state.since_mark.sent += 1;
        state.last_sent = Some(intended);
    }

    pub(super) fn answered(
        &self,
        intended: Timestamp,
        latency: Duration,
        status: Option<u16>,
        path: &str,
    ) {
        let failed = status.is_none_or(|status| status >= 500);
        let mut guard = self.lock();
        let state = &mut *guard;
        state.in_flight -= 1;
        for window in [&mut state.total, &mut state.since_mark] {
            window.answered += u64::from(status.is_some());
            window.failed += u64::from(failed);
            window.histogram.record(latency);
        }
        let now = self.env.now();
        let counted = state.armed.iter_mut().zip(&mut state.events);
        for (rule, (armed, events)) in self.watch.iter().zip(counted) {
            if !path.starts_with(&rule.path_prefix) {
                continue;
            }
            let slow = rule.slower_than.is_some_and(|limit| latency > limit);
            let is_bad = (failed && rule.errors) || slow;
            events.count(now, is_bad);
            if *armed && is_bad {
                *armed = false;
                let what = match status {
                    Some(status) => format!(
                        "{path} answered {status} after {}",
                        format_duration(latency)
                    ),
                    None => format!(
                        "{path} was not answered within {}",
                        format_duration(latency)
                    ),
                };
                // The event is bad when the user notices: at the answer, not at the start.
                let detail = format!("{what} (started at {intended})");
                self.env.record(EventKind::FirstBadEvent {
                    slo: rule.slo.clone(),
                    detail,
                });
            }
        }
    }

    /// Makes the next bad event of each objective the first one again, and begins a new window.
    pub fn mark(&self) {
        let mut state = self.lock();
        state.since_mark = Window::default();
        state.armed.fill(true);
    }

    /// The counts since the last mark.
    pub fn since_mark(&self) -> Window {
        self.lock().since_mark.clone()
    }

    /// The events of a watched objective.
    pub fn events_of(&self, slo: &str) -> Option<EventCounts> {
        let index = self.watch.iter().position(|rule| rule.slo == slo)?;
        self.lock().events.get(index).cloned()
    }

    /// The counts since the start.
    pub fn summary(&self) -> LoadSummary {
        let state = self.lock();
        LoadSummary {
            sent: state.total.sent,
            answered: state.total.answered,
            failed: state.total.failed,
            shed: state.shed,
            latency: state.total.latency(),
        }
    }
}

impl Window {
    /// The percentiles of the latency.
    pub fn latency(&self) -> LatencySummary {
        let ms = |quantile| self.histogram.quantile_us(quantile) as f64 / 1000.0;
        LatencySummary {
            p50_ms: ms(0.5),
            p95_ms: ms(0.95),
            p99_ms: ms(0.99),
            max_ms: self.histogram.max_us as f64 / 1000.0,
        }
    }
}

/// Log-linear buckets of microseconds: 64 to each power of two, so a value is off by at most 1.6 %.
#[derive(Clone, Debug, Default)]
struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max_us: u64,
}

const SUB_BITS: u32 = 6;

impl Histogram {
    fn record(&mut self, latency: Duration) {
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        let index = bucket_of(us);
        if self.counts.len() <= index {
            self.counts.resize(index + 1, 0);
        }
        self.counts[index] += 1;
        self.total += 1;
        self.max_us = self.max_us.max(us);
    }

    fn quantile_us(&self, quantile: f64) -> u64 {
        let rank = (quantile * self.total as f64).ceil() as u64;
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank && seen > 0 {
                return upper_bound(index).min(self.max_us);
            }
        }
        0
    }
}

fn bucket_of(us: u64) -> usize {
    let exponent = us.max(1).ilog2();
    if exponent < SUB_BITS {
        return us as usize;
    }
    let shift = exponent - SUB_BITS;
    ((u64::from(shift + 1) << SUB_BITS) + ((us >> shift) - (1 << SUB_BITS))) as usize
}

fn upper_bound(index: usize) -> u64 {
    let index = index as u64;
    if index < 1 << SUB_BITS {
        return index;
    }
    let shift = (index >> SUB_BITS) - 1;
    let offset = (index & ((1 << SUB_BITS) - 1)) + (1 << SUB_BITS);
    ((offset + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_hold_their_values() {
        for us in (0..100_000).chain([1 << 30, (1 << 31) - 1, 3_600_000_000]) {
            let upper = upper_bound(bucket_of(us));
            assert!(
                us <= upper && (upper - us) as f64 <= us as f64 / 64.0 + 1.0,
                "{us} {upper}"
            );
        }
    }

    #[test]
    fn quantiles_are_within_two_percent() {
        let mut histogram = Histogram::default();
        (1..=10_000).for_each(|ms| histogram.record(Duration::from_millis(ms)));
        for (quantile, expected_ms) in [(0.5, 5000.0), (0.95, 9500.0), (0.99, 9900.0)] {
            let got_ms = histogram.quantile_us(quantile) as f64 / 1000.0;
            assert!(
                (got_ms / expected_ms - 1.0).abs() < 0.02,
                "{quantile}: {got_ms}"
            );
        }
        assert_eq!(Histogram::default().quantile_us(0.5), 0);
    }
}

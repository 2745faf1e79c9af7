//! Time.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use gameday_signal::Timestamp;
use pin_project_lite::pin_project;
use tokio::time::Instant;

/// The clock of one simulation: a fixed epoch plus the time that the runtime's clock has counted since.
///
/// In virtual time the runtime's clock is paused and jumps; in real time it runs. The line of code is the same.
///
/// Outside the runtime (between two runs of a simulation) virtual time rests where it was left.
#[derive(Clone, Debug)]
pub struct Clock {
    epoch: Timestamp,
    start: Instant,
    /// In virtual time, how much of it has passed.
    passed: Option<Arc<Passed>>,
}

/// How much virtual time has passed. It only passes while nothing runs, so it is asked of the runtime once after each of its jumps;
/// who wants to know the time, twenty times in a request, reads it here.
#[derive(Debug, Default)]
pub(crate) struct Passed {
    start: OnceLock<Instant>,
    nanos: AtomicU64,
}

impl Passed {
    /// The runtime's clock may have jumped. Must be called inside the runtime.
    pub(crate) fn look(&self) {
        if let Some(start) = self.start.get() {
            let nanos = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
            self.nanos.store(nanos, Ordering::Relaxed);
        }
    }
}

/// The time was up before the future was ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("timed out after {}", gameday_signal::format_duration(*.0))]
pub struct Elapsed(pub Duration);

impl Clock {
    /// A clock that shows `epoch` now; in virtual time somebody looks how much of it has passed whenever the runtime has rested. Must
    /// be called inside the runtime.
    pub(crate) fn starting_at(epoch: Timestamp, passed: Option<Arc<Passed>>) -> Self {
        let start = passed.as_ref().map_or_else(Instant::now, |passed| {
            *passed.start.get_or_init(Instant::now)
        });
        Self {
            epoch,
            start,
            passed,
        }
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        match &self.passed {
            Some(passed) => self.epoch + Duration::from_nanos(passed.nanos.load(Ordering::Relaxed)),
            None => self.epoch + self.start.elapsed(),
        }
    }

    /// The time that this clock showed when it was made.
    pub fn epoch(&self) -> Timestamp {
        self.epoch
    }

    /// Waits; timers are rounded up to a millisecond.
    pub async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    /// Waits until the clock shows `deadline`; returns at once where it has passed.
    pub async fn sleep_until(&self, deadline: Timestamp) {
        tokio::time::sleep_until(self.start + deadline.since(self.epoch)).await;
    }

    /// Waits for `future`, at most for `limit`, which counts from now. Must be called inside the runtime.
    pub fn timeout<F: Future>(&self, limit: Duration, future: F) -> Timeout<F> {
        Timeout {
            inner: tokio::time::timeout(limit, future),
            limit,
        }
    }
}

pin_project! {
    /// Waits for a future, but not longer than a limit: [`Elapsed`] where it was not ready in time.
    ///
    /// A future of its own and no `async fn`, which would hold the inner one twice, as an argument and as what it waits for: the
    /// futures of requests are copied into their tasks by the thousand.
    #[derive(Debug)]
    pub struct Timeout<F> {
        #[pin]
        inner: tokio::time::Timeout<F>,
        limit: Duration,
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let limit = *this.limit;
        this.inner
            .poll(context)
            .map(|ready| ready.map_err(|_| Elapsed(limit)))
    }
}

/// Counts wall-clock time, for what is said about the run itself ("six virtual hours in 4 s"). Never for anything that a game day
/// decides or a report compares.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(std::time::Instant);

impl Stopwatch {
    /// Starts counting.
    pub fn start() -> Self {
        Self(std::time::Instant::now())
    }

    /// The wall-clock time since the start.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// The wall clock's time, the epoch of a simulation in real time.
pub(crate) fn wall_now() -> Timestamp {
    let since_epoch = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::EPOCH + since_epoch
}

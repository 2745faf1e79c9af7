//! Time.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gameday_signal::Timestamp;
use tokio::runtime::Handle;
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
    /// In virtual time, the nanoseconds since the epoch at which the runtime was left.
    resting: Option<Arc<AtomicU64>>,
}

/// The time was up before the future was ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("timed out after {}", gameday_signal::format_duration(*.0))]
pub struct Elapsed(pub Duration);

impl Clock {
    /// A clock that shows `epoch` now. Must be called inside the runtime.
    pub(crate) fn starting_at(epoch: Timestamp, virtual_time: bool) -> Self {
        let resting = virtual_time.then(Arc::default);
        Self {
            epoch,
            start: Instant::now(),
            resting,
        }
    }

    /// Notes where virtual time rests. Must be called inside the runtime, when it is left.
    pub(crate) fn rest(&self) {
        if let Some(resting) = &self.resting {
            let nanos = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
            resting.store(nanos, Ordering::Relaxed);
        }
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        match &self.resting {
            // Outside its runtime tokio would answer with the wall clock.
            Some(resting) if Handle::try_current().is_err() => {
                self.epoch + Duration::from_nanos(resting.load(Ordering::Relaxed))
            }
            _ => self.epoch + self.start.elapsed(),
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

    /// Waits for `future`, at most for `limit`.
    ///
    /// # Errors
    /// Where the future was not ready in time.
    pub async fn timeout<F: Future>(
        &self,
        limit: Duration,
        future: F,
    ) -> Result<F::Output, Elapsed> {
        tokio::time::timeout(limit, future)
            .await
            .map_err(|_| Elapsed(limit))
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

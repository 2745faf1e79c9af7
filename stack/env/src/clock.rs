//! Time.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use gameday_signal::Timestamp;
use pin_project_lite::pin_project;
use tokio::time::Instant;

use crate::timer::{FAR, Timers, Wait};

/// The clock of one simulation: a fixed epoch plus the time that has passed since.
///
/// Virtual time passes only while nothing can run, from timer to timer; in real time it is the runtime's. Outside the runtime
/// (between two runs of a simulation) virtual time rests where it was left.
#[derive(Clone, Debug)]
pub struct Clock {
    epoch: Timestamp,
    time: Time,
}

#[derive(Clone, Debug)]
enum Time {
    Virtual(Arc<Timers>),
    Real { start: Instant },
}

/// The time was up before the future was ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("timed out after {}", gameday_signal::format_duration(*.0))]
pub struct Elapsed(pub Duration);

impl Clock {
    /// A clock of virtual time that shows `epoch` while none has passed.
    pub(crate) fn with_timers(epoch: Timestamp, timers: Arc<Timers>) -> Self {
        Self {
            epoch,
            time: Time::Virtual(timers),
        }
    }

    /// A clock of real time that shows the wall clock's time now.
    pub(crate) fn real() -> Self {
        Self {
            epoch: wall_now(),
            time: Time::Real {
                start: Instant::now(),
            },
        }
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.epoch + self.passed()
    }

    /// The time that has passed since the epoch.
    fn passed(&self) -> Duration {
        match &self.time {
            Time::Virtual(timers) => timers.passed(),
            Time::Real { start } => start.elapsed(),
        }
    }

    /// The time that this clock showed when it was made.
    pub fn epoch(&self) -> Timestamp {
        self.epoch
    }

    /// Waits; timers are rounded up to a millisecond. In real time it must be called inside the runtime.
    pub fn sleep(&self, duration: Duration) -> Sleep {
        self.sleep_passed(self.passed().saturating_add(duration))
    }

    /// Waits until the clock shows `deadline`; returns at once where it has passed.
    pub fn sleep_until(&self, deadline: Timestamp) -> Sleep {
        self.sleep_passed(deadline.since(self.epoch))
    }

    /// Waits until so much time has passed since the epoch.
    fn sleep_passed(&self, passed: Duration) -> Sleep {
        Sleep(match &self.time {
            Time::Virtual(timers) => Kind::Virtual(timers.until(passed)),
            Time::Real { start } => {
                Kind::Real(Box::pin(tokio::time::sleep_until(*start + passed.min(FAR))))
            }
        })
    }

    /// Waits for `future`, at most for `limit`, which counts from now. In real time it must be called inside the runtime.
    pub fn timeout<F: Future>(&self, limit: Duration, future: F) -> Timeout<F> {
        Timeout {
            inner: future,
            sleep: self.sleep(limit),
            limit,
        }
    }

    /// The instant of the standard library that stands for now.
    fn instant(&self) -> std::time::Instant {
        match &self.time {
            Time::Virtual(timers) => timers.start() + timers.passed(),
            Time::Real { .. } => std::time::Instant::now(),
        }
    }
}

/// What [`Clock::sleep`] and [`Clock::sleep_until`] return.
#[derive(Debug)]
#[must_use = "futures do nothing unless they are awaited"]
pub struct Sleep(Kind);

#[derive(Debug)]
enum Kind {
    Virtual(Wait),
    /// Apart, for it must stay where it is and is large.
    Real(Pin<Box<tokio::time::Sleep>>),
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            Kind::Virtual(wait) => Pin::new(wait).poll(context),
            Kind::Real(sleep) => sleep.as_mut().poll(context),
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
        inner: F,
        sleep: Sleep,
        limit: Duration,
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(ready) = this.inner.poll(context) {
            return Poll::Ready(Ok(ready));
        }
        Pin::new(this.sleep)
            .poll(context)
            .map(|()| Err(Elapsed(*this.limit)))
    }
}

/// The clock as HTTP's connections ask for it.
#[derive(Clone, Debug)]
pub(crate) struct HttpTimer(pub(crate) Clock);

impl hyper::rt::Sleep for Sleep {}

impl hyper::rt::Timer for HttpTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(self.0.sleep(duration))
    }

    fn sleep_until(&self, deadline: std::time::Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        let from_now = deadline.saturating_duration_since(self.0.instant());
        Box::pin(self.0.sleep(from_now))
    }

    fn now(&self) -> std::time::Instant {
        self.0.instant()
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
fn wall_now() -> Timestamp {
    let since_epoch = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::EPOCH + since_epoch
}

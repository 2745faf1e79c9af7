//! Notices virtual time that stands still.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::time::Duration;

use gameday_signal::Timestamp;

use crate::clock::Clock;

/// A thread that ends the process where virtual time makes no progress on the wall clock, and says at which virtual time it stood.
///
/// A task that yields in a loop keeps the runtime busy, so paused time never jumps; nothing inside the runtime can notice that.
pub(crate) struct Watchdog {
    state: Arc<State>,
}

struct State {
    virtual_nanos: AtomicI64,
    beats: AtomicU32,
    watching: AtomicBool,
    ended: AtomicBool,
}

/// The heartbeat on the virtual clock.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// How often the thread looks.
const LOOK: Duration = Duration::from_millis(250);
/// Exit code of "gameday has a bug" (sysexits.h, EX_SOFTWARE).
const EXIT_BUG: i32 = 70;

/// Watches until it is dropped.
pub(crate) struct Watched<'a>(&'a State);

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        self.0.watching.store(false, Ordering::Relaxed);
    }
}

impl Watchdog {
    /// Starts the heartbeat on the runtime that is entered, and the thread that listens for it.
    pub(crate) fn start(clock: Clock, limit: Duration) -> Self {
        let state = Arc::new(State {
            virtual_nanos: AtomicI64::new(clock.now().as_nanos()),
            beats: AtomicU32::new(0),
            watching: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        });
        let beating = Arc::clone(&state);
        tokio::spawn(async move {
            loop {
                clock.sleep(HEARTBEAT).await;
                beating
                    .virtual_nanos
                    .store(clock.now().as_nanos(), Ordering::Relaxed);
                beating.beats.fetch_add(1, Ordering::Relaxed);
            }
        });
        let looking = Arc::clone(&state);
        std::thread::spawn(move || look(&looking, limit));
        Self { state }
    }

    /// Marks that the runtime is running, until the answer is dropped.
    pub(crate) fn watch(&self) -> Watched<'_> {
        self.state.watching.store(true, Ordering::Relaxed);
        Watched(&self.state)
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::Relaxed);
    }
}

#[expect(
    clippy::print_stderr,
    clippy::exit,
    reason = "the runtime is stuck: nobody else can say so any more"
)]
fn look(state: &State, limit: Duration) {
    let mut last_beat = 0;
    let mut still = Duration::ZERO;
    while !state.ended.load(Ordering::Relaxed) {
        std::thread::sleep(LOOK);
        let beat = state.beats.load(Ordering::Relaxed);
        if beat != last_beat || !state.watching.load(Ordering::Relaxed) {
            (last_beat, still) = (beat, Duration::ZERO);
            continue;
        }
        still += LOOK;
        if still >= limit {
            let at = Timestamp::from_nanos(state.virtual_nanos.load(Ordering::Relaxed));
            eprintln!(
                "gameday: virtual time has stood still at {at} for {} of real time: a task is busy or yields in a loop (this is a bug)",
                gameday_signal::format_duration(still)
            );
            std::process::exit(EXIT_BUG);
        }
    }
}

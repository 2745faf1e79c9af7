//! One simulation: one runtime on one thread.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use gameday_signal::Timestamp;
use tokio::runtime::{Builder, Runtime};

use crate::clock::Clock;
use crate::host::Env;
use crate::journal::Journal;
use crate::link::Links;
use crate::net::Net;
use crate::timer::Timers;
use crate::watchdog::Watchdog;

/// How time passes and what connects the hosts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mode {
    /// Time jumps to the next timer; connections are pipes in memory.
    Virtual {
        /// What the clock shows at the start, a constant of the scenario.
        epoch: Timestamp,
        /// Virtual seconds for each real one; none means as fast as it goes.
        speed: Option<f64>,
    },
    /// The wall clock; connections are TCP on loopback.
    Real,
}

/// What a simulation is made of.
#[derive(Clone, Debug)]
pub struct SimConfig {
    /// Time and network.
    pub mode: Mode,
    /// The seed of every random stream.
    pub seed: u64,
    /// How long virtual time may stand still on the wall clock before the watchdog ends the process and says why.
    pub watchdog: Duration,
}

/// One runtime on one thread, with its clock, its network, its entropy and its journal.
pub struct Sim {
    // Dropped before the runtime, so that no connection outlives the reactor it was made on.
    env: Env,
    watchdog: Option<Watchdog>,
    /// None in real time.
    timers: Option<Arc<Timers>>,
    runtime: Runtime,
    mode: Mode,
}

/// In paced virtual time the pacer wakes this often on the virtual clock, so a person sees about 20 steps a second at 2x and more.
const PACER_STEP_MIN: Duration = Duration::from_millis(50);

/// In virtual time the runtime goes through so many tasks before it looks for events from outside, of which there are none. The main
/// future has its turn then, too, and whenever no task can run.
const EVENT_INTERVAL: u32 = 1024;

impl Sim {
    /// Builds a simulation.
    ///
    /// # Errors
    /// Where the operating system refuses a runtime (out of file descriptors).
    pub fn new(config: &SimConfig) -> std::io::Result<Self> {
        let mut builder = Builder::new_current_thread();
        let (clock, timers) = match config.mode {
            Mode::Virtual { epoch, .. } => {
                let timers = Arc::new(Timers::new());
                let passing = Arc::clone(&timers);
                // No I/O driver: a real socket in virtual time would let the clock jump while bytes are on their way. No timers of
                // the runtime's: its time does not pass.
                builder
                    .on_thread_park(move || passing.pass())
                    .event_interval(EVENT_INTERVAL);
                let clock = Clock::with_timers(epoch, Arc::clone(&timers));
                (clock, Some(timers))
            }
            Mode::Real => {
                builder.enable_all();
                (Clock::real(), None)
            }
        };
        let runtime = builder.build()?;
        let entered = runtime.enter();
        let links = Links::seeded(config.seed);
        let (net, watchdog) = if timers.is_some() {
            let watchdog = Watchdog::start(clock.clone(), config.watchdog);
            (Net::in_memory(links), Some(watchdog))
        } else {
            (Net::tcp(links), None)
        };
        let journal = Journal::new(clock.clone());
        let env = Env::new(clock.clone(), net, config.seed, journal, timers.is_some());
        if let Mode::Virtual {
            speed: Some(speed), ..
        } = config.mode
        {
            runtime.spawn(pace(clock, speed));
        }
        drop(entered);
        Ok(Self {
            env,
            watchdog,
            timers,
            runtime,
            mode: config.mode,
        })
    }

    /// The environment of the simulation, as seen by the harness (the host `gameday`).
    pub fn env(&self) -> &Env {
        &self.env
    }

    /// How time passes.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Runs the simulation until `future` is ready.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        let _watched = self.watchdog.as_ref().map(Watchdog::watch);
        match &self.timers {
            Some(timers) => self.runtime.block_on(timers.watching(future)),
            None => self.runtime.block_on(future),
        }
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        self.env.crash_all();
    }
}

/// Holds virtual time back to `speed` times real time, by blocking the one thread of the runtime while the wall clock catches up.
async fn pace(clock: Clock, speed: f64) {
    let wall = std::time::Instant::now();
    let begin = clock.now();
    let step = PACER_STEP_MIN.mul_f64(speed.max(1.0));
    loop {
        clock.sleep(step).await;
        let due = clock.now().since(begin).div_f64(speed);
        if let Some(ahead) = due.checked_sub(wall.elapsed()) {
            std::thread::sleep(ahead);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Elapsed;

    fn virtual_sim() -> Sim {
        let mode = Mode::Virtual {
            epoch: Timestamp::from_secs(1_700_000_000),
            speed: None,
        };
        Sim::new(&SimConfig {
            mode,
            seed: 1,
            watchdog: Duration::from_secs(20),
        })
        .expect("a runtime")
    }

    #[test]
    fn virtual_time_jumps() {
        let sim = virtual_sim();
        let clock = sim.env().clock().clone();
        sim.block_on(async { clock.sleep(Duration::from_secs(30 * 86_400)).await });
        assert_eq!(
            clock.now(),
            Timestamp::from_secs(1_700_000_000 + 30 * 86_400)
        );
    }

    #[test]
    fn a_timeout_is_told_in_virtual_time() {
        let sim = virtual_sim();
        let clock = sim.env().clock().clone();
        let never = std::future::pending::<()>();
        let result = sim.block_on(async { clock.timeout(Duration::from_secs(5), never).await });
        assert_eq!(result, Err(Elapsed(Duration::from_secs(5))));
        assert_eq!(clock.now().since(clock.epoch()), Duration::from_secs(5));
    }

    #[test]
    fn paced_time_is_held_back() {
        let mode = Mode::Virtual {
            epoch: Timestamp::EPOCH,
            speed: Some(100.0),
        };
        let sim = Sim::new(&SimConfig {
            mode,
            seed: 1,
            watchdog: Duration::from_secs(20),
        })
        .expect("a runtime");
        let clock = sim.env().clock().clone();
        let wall = std::time::Instant::now();
        sim.block_on(clock.sleep(Duration::from_secs(20)));
        // Twenty virtual seconds at 100x take 200 ms less the last step; only the lower bound is asserted.
        assert!(
            wall.elapsed() >= Duration::from_millis(140),
            "{:?}",
            wall.elapsed()
        );
    }
}

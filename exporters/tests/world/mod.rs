//! A world to play a scene in.

use std::time::Duration;

use gameday_env::{Env, Mode, Sim, SimConfig};
use gameday_signal::Timestamp;

/// Plays a scene in virtual time.
pub(crate) fn play<F: Future<Output = ()>>(scene: impl FnOnce(Env) -> F) {
    let mode = Mode::Virtual {
        epoch: Timestamp::from_secs(1_700_000_000),
        speed: None,
    };
    let sim = Sim::new(&SimConfig {
        mode,
        seed: 42,
        watchdog: Duration::from_secs(30),
    })
    .expect("a runtime");
    let env = sim.env().clone();
    sim.block_on(scene(env));
}

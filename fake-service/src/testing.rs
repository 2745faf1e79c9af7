//! What the tests of this crate share.

use std::time::Duration;

use gameday_env::{Mode, Sim, SimConfig};
use gameday_signal::Timestamp;

/// A simulation in virtual time.
pub(crate) fn virtual_sim() -> Sim {
    let mode = Mode::Virtual {
        epoch: Timestamp::from_secs(1_700_000_000),
        speed: None,
    };
    Sim::new(&SimConfig {
        mode,
        seed: 7,
        watchdog: Duration::from_secs(30),
    })
    .expect("a runtime")
}

//! What the tests of the faults share.

use std::collections::BTreeMap;
use std::sync::Arc;

use gameday_env::Rng;
use serde_json::Value;

use crate::config::{HostLimits, ServiceConfig};
use crate::faults::{Effect, FaultSpec, Ground, Point, Surroundings};
use crate::host::{Host, Snapshot};
use crate::testing::virtual_sim;
use crate::topology::{Endpoint, Role};

/// The endpoints of checkout: the first places orders, the second is a probe.
pub(super) const CHECKOUT: &[Endpoint] = Role::Checkout.endpoints();

fn around() -> Surroundings {
    Surroundings::of(&ServiceConfig::of(Role::Checkout))
}

/// Puts a fault to a point ten thousand times: the share that it touches, and what it does to the last of them.
pub(super) fn share_touched(fault: &Value, point: Point<'_>) -> (f64, Option<Effect>) {
    let mut spec = FaultSpec::read(fault, &around()).expect("a good fault");
    let mut rng = Rng::named(3, "fault/test");
    let effects: Vec<Effect> = (0..10_000)
        .filter_map(|_| spec.behaviour.decide(point, &mut rng))
        .collect();
    (effects.len() as f64 / 10_000.0, effects.last().cloned())
}

/// The setting that a bad fault is refused for.
pub(super) fn refused(fault: &Value) -> String {
    match FaultSpec::read(fault, &around()) {
        Ok(_) => panic!("{fault} was read"),
        Err(error) => error.field,
    }
}

/// The model of an idle host before and under a fault.
pub(super) fn pressed(fault: &Value) -> (Snapshot, Snapshot) {
    let sim = virtual_sim();
    let env = sim.env().on("checkout");
    sim.block_on(async {
        let host = Arc::new(Host::new(&env, HostLimits::default()));
        let ground = Ground {
            env: env.clone(),
            host: Arc::clone(&host),
            upstream_hosts: BTreeMap::new(),
        };
        let mut spec = FaultSpec::read(fault, &around()).expect("a good fault");
        let before = host.snapshot();
        let held = spec.behaviour.begin(&ground).expect("it begins");
        let under = host.snapshot();
        drop(held);
        assert_eq!(host.snapshot(), before, "nothing is left");
        (before, under)
    })
}

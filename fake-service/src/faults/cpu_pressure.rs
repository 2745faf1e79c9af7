//! `cpu_pressure`: other work takes the processor (Chaos Mesh's StressChaos `cpu`, Litmus's cpu-hog).
//!
//! In virtual time the host's model has less left; in real time so many threads are busy for `load` percent of each 10 ms, at most
//! one a core.

use std::any::Any;
use std::time::Duration;

use gameday_env::Rng;

use crate::faults::{
    Behaviour, Effect, FaultError, FaultKind, Ground, Point, Setting, Settings, Surroundings,
};
use crate::host::Resource;
use crate::stress;

pub(super) const KIND: FaultKind = FaultKind {
    name: "cpu_pressure",
    summary: "other work takes the processor of the host",
    settings: &[
        Setting {
            name: "load",
            summary: "percent of one core that each worker takes, 0 to 100",
        },
        Setting {
            name: "workers",
            summary: "busy workers, at most one a core (default: one a core)",
        },
        RAMP_TIME,
    ],
    example: r#"{"type": "cpu_pressure", "load": 92, "ramp_time": "5m", "lease": "30m"}"#,
    read,
};

/// The setting `ramp_time`, which all pressure has.
pub(super) const RAMP_TIME: Setting = Setting {
    name: "ramp_time",
    summary: "how long it takes to grow to the full pressure (default 0s)",
};

struct CpuPressure {
    load: f64,
    workers: Option<f64>,
    ramp: Duration,
}

fn read(settings: &mut Settings, _: &Surroundings) -> Result<Box<dyn Behaviour>, FaultError> {
    let load = settings.number("load", 1.0..=100.0, None)? / 100.0;
    // Zero stands for one a core.
    let workers = settings.number("workers", 0.0..=1024.0, Some(0.0))?;
    Ok(Box::new(CpuPressure {
        load,
        workers: (workers > 0.0).then_some(workers.floor()),
        ramp: settings.optional_duration("ramp_time")?.unwrap_or_default(),
    }))
}

impl Behaviour for CpuPressure {
    fn decide(&mut self, point: Point<'_>, _: &mut Rng) -> Option<Effect> {
        matches!(point, Point::Request(_)).then(Effect::default)
    }

    fn begin(&mut self, on: &Ground) -> Result<Option<Box<dyn Any + Send>>, FaultError> {
        let cores = on.host.limits().cpu_cores;
        let workers = self.workers.unwrap_or(cores.ceil()).min(cores.ceil());
        let guard: Box<dyn Any + Send> = if on.env.is_virtual() {
            let amount = (workers * self.load).min(cores);
            Box::new(on.host.squeeze(Resource::Cpu, amount, self.ramp))
        } else {
            Box::new(stress::burn(workers as usize, self.load, self.ramp))
        };
        Ok(Some(guard))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::faults::checks::{pressed, refused};

    #[test]
    fn workers_are_one_a_core_at_most() {
        for (fault, cores) in [
            (
                json!({"type": "cpu_pressure", "load": 90, "lease": "1m"}),
                1.8,
            ),
            (
                json!({"type": "cpu_pressure", "load": 50, "workers": 1, "lease": "1m"}),
                0.5,
            ),
            (
                json!({"type": "cpu_pressure", "load": 100, "workers": 64, "lease": "1m"}),
                1.94,
            ),
        ] {
            let (before, after) = pressed(&fault);
            let added = after.busy_cores - before.busy_cores;
            assert!((added - cores).abs() < 1e-9, "{fault}: {added}");
        }
        let fault = json!({"type": "cpu_pressure", "load": 130, "lease": "1m"});
        assert_eq!(refused(&fault), "load");
    }
}

//! `disk_pressure`: the data volume of the host fills up (Litmus's disk-fill).
//!
//! In virtual time the host's model has less left; in real time a file is really written, up to a cap. It has no name, so that not
//! even a kill leaves it behind.

use std::any::Any;
use std::time::Duration;

use gameday_env::Rng;

use crate::faults::cpu_pressure::RAMP_TIME;
use crate::faults::{
    Behaviour, Effect, FaultError, FaultKind, Ground, Point, Setting, Settings, Surroundings,
};
use crate::host::Resource;
use crate::stress;

pub(super) const KIND: FaultKind = FaultKind {
    name: "disk_pressure",
    summary: "the data volume of the host fills up",
    settings: &[
        Setting {
            name: "fill_percentage",
            summary: "how full the volume becomes, with what is on it already, 1 to 100",
        },
        RAMP_TIME,
    ],
    example: r#"{"type": "disk_pressure", "fill_percentage": 93, "ramp_time": "5m", "lease": "30m"}"#,
    read,
};

struct DiskPressure {
    fill: f64,
    ramp: Duration,
}

fn read(settings: &mut Settings, _: &Surroundings) -> Result<Box<dyn Behaviour>, FaultError> {
    Ok(Box::new(DiskPressure {
        fill: settings.number("fill_percentage", 1.0..=100.0, None)? / 100.0,
        ramp: settings.optional_duration("ramp_time")?.unwrap_or_default(),
    }))
}

impl Behaviour for DiskPressure {
    fn decide(&mut self, point: Point<'_>, _: &mut Rng) -> Option<Effect> {
        matches!(point, Point::Request(_)).then(Effect::default)
    }

    fn begin(&mut self, on: &Ground) -> Result<Option<Box<dyn Any + Send>>, FaultError> {
        let used = on.host.snapshot().disk_ratio;
        if self.fill <= used {
            return Err(FaultError::new(
                "fill_percentage",
                format!("the volume is {:.0} % full already", used * 100.0),
                "more than that",
            ));
        }
        let bytes = (self.fill - used) * on.host.limits().disk_bytes as f64;
        let modelled = on.host.squeeze(Resource::Disk, bytes, self.ramp);
        let guard: Box<dyn Any + Send> = if on.env.is_virtual() {
            Box::new(modelled)
        } else {
            let written = stress::fill_disk(&on.env, bytes as u64, self.ramp).map_err(|error| {
                FaultError::new(
                    "fill_percentage",
                    error.to_string(),
                    "a volume that can be written",
                )
            })?;
            Box::new((modelled, written))
        };
        Ok(Some(guard))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::faults::checks::{pressed, refused};

    #[test]
    fn the_volume_fills_up_to_the_percentage() {
        let fault = json!({"type": "disk_pressure", "fill_percentage": 93, "lease": "1m"});
        let (before, after) = pressed(&fault);
        assert!((before.disk_ratio - 0.40).abs() < 1e-9);
        assert!((after.disk_ratio - 0.93).abs() < 1e-9);
        let fault = json!({"type": "disk_pressure", "fill_percentage": 0, "lease": "1m"});
        assert_eq!(refused(&fault), "fill_percentage");
    }
}

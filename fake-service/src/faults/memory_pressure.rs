//! `memory_pressure`: something else takes the memory (Chaos Mesh's StressChaos `memory`, Litmus's memory-hog).
//!
//! In virtual time the host's model has less left; in real time the memory is really taken and touched, up to a cap.

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
    name: "memory_pressure",
    summary: "something takes the memory of the host",
    settings: &[
        Setting {
            name: "size",
            summary: "what is taken beside the use that is there: percent of the host's memory (\"50%\") or bytes (\"256MB\")",
        },
        RAMP_TIME,
    ],
    example: r#"{"type": "memory_pressure", "size": "62%", "ramp_time": "5m", "lease": "30m"}"#,
    read,
};

/// How much is taken.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Size {
    Ratio(f64),
    Bytes(u64),
}

struct MemoryPressure {
    size: Size,
    ramp: Duration,
}

fn read(settings: &mut Settings, _: &Surroundings) -> Result<Box<dyn Behaviour>, FaultError> {
    let expected = "percent such as \"50%\" or bytes such as \"256MB\"";
    let text = settings
        .text("size")?
        .ok_or_else(|| FaultError::new("size", "is missing", expected))?;
    let size = parse_size(&text)
        .ok_or_else(|| FaultError::new("size", format!("{text:?} is no size"), expected))?;
    Ok(Box::new(MemoryPressure {
        size,
        ramp: settings.optional_duration("ramp_time")?.unwrap_or_default(),
    }))
}

/// Chaos Mesh counts in powers of 1024 for each of these units.
const UNITS: [(&str, u64); 9] = [
    ("KiB", 10),
    ("MiB", 20),
    ("GiB", 30),
    ("KB", 10),
    ("MB", 20),
    ("GB", 30),
    ("k", 10),
    ("m", 20),
    ("B", 0),
];

fn parse_size(text: &str) -> Option<Size> {
    if let Some(percent) = text.strip_suffix('%') {
        let percent: f64 = percent.trim().parse().ok()?;
        return (percent > 0.0 && percent <= 100.0).then_some(Size::Ratio(percent / 100.0));
    }
    let (number, shift) = UNITS
        .iter()
        .find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, *shift)))
        .unwrap_or((text, 0));
    let number: u64 = number.trim().parse().ok()?;
    let bytes = number.checked_mul(1 << shift)?;
    (bytes > 0).then_some(Size::Bytes(bytes))
}

impl Behaviour for MemoryPressure {
    fn decide(&mut self, point: Point<'_>, _: &mut Rng) -> Option<Effect> {
        matches!(point, Point::Request(_)).then(Effect::default)
    }

    fn begin(&mut self, on: &Ground) -> Result<Option<Box<dyn Any + Send>>, FaultError> {
        let memory = on.host.limits().memory_bytes;
        let bytes = match self.size {
            Size::Ratio(ratio) => (memory as f64 * ratio) as u64,
            Size::Bytes(bytes) => bytes.min(memory),
        };
        let guard: Box<dyn Any + Send> = if on.env.is_virtual() {
            Box::new(on.host.squeeze(Resource::Memory, bytes as f64, self.ramp))
        } else {
            Box::new(stress::take_memory(&on.env, bytes, self.ramp))
        };
        Ok(Some(guard))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::faults::checks::pressed;

    #[test]
    fn the_memory_is_taken_beside_what_is_used() {
        let fault = json!({"type": "memory_pressure", "size": "62%", "lease": "1m"});
        let (before, after) = pressed(&fault);
        assert!((before.memory_ratio - 0.30).abs() < 1e-9);
        assert!((after.memory_ratio - 0.92).abs() < 1e-6);
    }

    #[test]
    fn sizes_are_percent_or_bytes() {
        for (text, expected) in [
            ("50%", Some(Size::Ratio(0.5))),
            ("256MB", Some(Size::Bytes(256 << 20))),
            ("1 GiB", Some(Size::Bytes(1 << 30))),
            ("4096", Some(Size::Bytes(4096))),
            ("0%", None),
            ("120%", None),
            ("lots", None),
            ("99999999999999GB", None),
        ] {
            assert_eq!(parse_size(text), expected, "{text}");
        }
    }
}

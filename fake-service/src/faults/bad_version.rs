//! `bad_version`: a deployment that should not have gone live.
//!
//! The service claims to be `version` (in `service_info`, and as `service.version` of its telemetry) and fails or dawdles at the
//! given rate. A rollback undoes it: `POST /-/rollback` on the control API, or taking the fault out of force.

use std::time::Duration;

use gameday_env::Rng;

use crate::faults::{
    Behaviour, Effect, FaultError, FaultKind, Point, Setting, Settings, Surroundings, TARGET,
    Target, Then,
};

pub(super) const KIND: FaultKind = FaultKind {
    name: "bad_version",
    summary: "a bad version goes live: errors or latency under another version, until it is rolled back",
    settings: &[
        TARGET,
        Setting {
            name: "version",
            summary: "what the service claims to be",
        },
        Setting {
            name: "error_rate",
            summary: "the share of requests that fail, 0 to 1 (default 0)",
        },
        Setting {
            name: "status_code",
            summary: "what the caller is told, 400 to 599 (default 500)",
        },
        Setting {
            name: "latency",
            summary: "time that each request takes longer (default 0s)",
        },
    ],
    example: r#"{"type": "bad_version", "version": "1.1.0", "error_rate": 0.3, "lease": "30m"}"#,
    read,
};

struct BadVersion {
    target: Target,
    version: String,
    error_rate: f64,
    status: u16,
    latency: Duration,
}

fn read(settings: &mut Settings, around: &Surroundings) -> Result<Box<dyn Behaviour>, FaultError> {
    let target = Target::read(settings, around)?;
    if matches!(target, Target::Upstream(_) | Target::Database) {
        return Err(FaultError::new(
            "target",
            "a version is that of the service",
            "service or endpoint:/path",
        ));
    }
    let version = settings
        .text("version")?
        .filter(|version| !version.is_empty() && version.len() <= 64)
        .ok_or_else(|| {
            FaultError::new(
                "version",
                "is missing, empty or too long",
                "a version such as \"1.1.0\"",
            )
        })?;
    let error_rate = settings.number("error_rate", 0.0..=1.0, Some(0.0))?;
    let status = settings.number("status_code", 400.0..=599.0, Some(500.0))?;
    let latency = settings.optional_duration("latency")?.unwrap_or_default();
    if error_rate == 0.0 && latency == Duration::ZERO {
        return Err(FaultError::new(
            "error_rate",
            "a version that neither fails nor dawdles is not bad",
            "an error_rate or a latency above zero",
        ));
    }
    Ok(Box::new(BadVersion {
        target,
        version,
        error_rate,
        status: status as u16,
        latency,
    }))
}

impl Behaviour for BadVersion {
    fn decide(&mut self, point: Point<'_>, rng: &mut Rng) -> Option<Effect> {
        if !self.target.meets(point) {
            return None;
        }
        let then = if rng.chance(self.error_rate) {
            Then::Fail(self.status)
        } else {
            Then::Continue
        };
        let effect = Effect {
            delay: self.latency,
            then,
        };
        (effect != Effect::default()).then_some(effect)
    }

    fn version(&self) -> Option<&str> {
        Some(&self.version)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::faults::checks::{CHECKOUT, refused, share_touched};

    #[test]
    fn fails_at_its_rate() {
        let fault =
            json!({"type": "bad_version", "version": "2", "error_rate": 0.2, "lease": "1m"});
        let (share, effect) = share_touched(&fault, Point::Request(Some(&CHECKOUT[0])));
        assert!((share - 0.2).abs() < 0.02, "{share}");
        assert_eq!(effect, Some(Effect::then(Then::Fail(500))));
    }

    #[test]
    fn a_version_must_be_bad_and_of_the_service() {
        for (fault, field) in [
            (
                json!({"type": "bad_version", "version": "2", "lease": "1m"}),
                "error_rate",
            ),
            (
                json!({"type": "bad_version", "error_rate": 1, "lease": "1m"}),
                "version",
            ),
            (
                json!({"type": "bad_version", "version": "2", "error_rate": 1, "target": "database", "lease": "1m"}),
                "target",
            ),
        ] {
            assert_eq!(refused(&fault), field, "{fault}");
        }
    }
}

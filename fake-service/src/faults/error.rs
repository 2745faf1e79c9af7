//! `error`: answers, calls or queries fail with a status.
//!
//! `phase` tells whether the work is done before the failure: with `after`, side effects stay and the caller sees an error all the
//! same (the classic of non-idempotent retries).

use gameday_env::Rng;

use crate::faults::{
    Behaviour, Effect, FaultError, FaultKind, PROBABILITY, Point, Setting, Settings, Surroundings,
    TARGET, Target, Then,
};

pub(super) const KIND: FaultKind = FaultKind {
    name: "error",
    summary: "requests, calls to another service, or queries fail with a status code",
    settings: &[
        TARGET,
        Setting {
            name: "status_code",
            summary: "what the caller is told, 400 to 599 (default 500)",
        },
        Setting {
            name: "phase",
            summary: "before (the default) or after the work is done",
        },
        PROBABILITY,
    ],
    example: r#"{"type": "error", "target": "endpoint:POST /checkout", "status_code": 503, "probability": 0.5, "phase": "before", "lease": "10m"}"#,
    read,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Before,
    After,
}

struct Error {
    target: Target,
    status: u16,
    phase: Phase,
    probability: f64,
}

fn read(settings: &mut Settings, around: &Surroundings) -> Result<Box<dyn Behaviour>, FaultError> {
    let target = Target::read(settings, around)?;
    let status = settings.number("status_code", 400.0..=599.0, Some(500.0))?;
    let phase = settings.choice(
        "phase",
        &[("before", Phase::Before), ("after", Phase::After)],
    )?;
    if phase == Phase::After && matches!(target, Target::Upstream(_) | Target::Database) {
        return Err(FaultError::new(
            "phase",
            "after means nothing for a call or a query",
            "before, or a target that is the service or an endpoint",
        ));
    }
    Ok(Box::new(Error {
        target,
        status: status as u16,
        phase,
        probability: settings.probability("probability")?,
    }))
}

impl Behaviour for Error {
    fn decide(&mut self, point: Point<'_>, rng: &mut Rng) -> Option<Effect> {
        let meets = match (self.phase, point) {
            (Phase::Before, point) => self.target.meets(point),
            (Phase::After, Point::Response(endpoint)) => self.target.covers(endpoint),
            (Phase::After, _) => false,
        };
        (meets && rng.chance(self.probability)).then(|| Effect::then(Then::Fail(self.status)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::faults::checks::{CHECKOUT, refused, share_touched};

    #[test]
    fn phases_and_probability() {
        let before =
            json!({"type": "error", "status_code": 503, "probability": 0.3, "lease": "1m"});
        let after = json!({"type": "error", "phase": "after", "lease": "1m"});
        let request = Point::Request(Some(&CHECKOUT[0]));
        let response = Point::Response(&CHECKOUT[0]);
        let (share, effect) = share_touched(&before, request);
        assert!((share - 0.3).abs() < 0.02, "{share}");
        assert_eq!(effect, Some(Effect::then(Then::Fail(503))));
        assert_eq!(share_touched(&before, response).0, 0.0);
        assert_eq!(share_touched(&after, request).0, 0.0);
        assert_eq!(
            share_touched(&after, response),
            (1.0, Some(Effect::then(Then::Fail(500))))
        );
    }

    #[test]
    fn a_query_has_no_after() {
        let fault = json!({"type": "error", "phase": "after", "target": "database", "lease": "1m"});
        assert_eq!(refused(&fault), "phase");
    }
}

//! `hang`: the request is accepted and never answered, until the fault is undone; then its connection breaks.
//!
//! A hang of the whole service is that of a process that is stuck: probes and scrapes hang too, so that a probe fails and `up`
//! becomes 0. The control API answers all the same, else nobody could undo it.

use gameday_env::Rng;

use crate::faults::{
    Behaviour, Effect, FaultError, FaultKind, PROBABILITY, Point, Settings, Surroundings, TARGET,
    Target, Then,
};

pub(super) const KIND: FaultKind = FaultKind {
    name: "hang",
    summary: "requests are accepted and never answered",
    settings: &[TARGET, PROBABILITY],
    example: r#"{"type": "hang", "target": "upstream:payments", "lease": "5m"}"#,
    read,
};

struct Hang {
    target: Target,
    probability: f64,
}

fn read(settings: &mut Settings, around: &Surroundings) -> Result<Box<dyn Behaviour>, FaultError> {
    Ok(Box::new(Hang {
        target: Target::read(settings, around)?,
        probability: settings.probability("probability")?,
    }))
}

impl Behaviour for Hang {
    fn decide(&mut self, point: Point<'_>, rng: &mut Rng) -> Option<Effect> {
        let stuck = self.target == Target::Service && matches!(point, Point::Request(_));
        ((stuck || self.target.meets(point)) && rng.chance(self.probability))
            .then(|| Effect::then(Then::Hang))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::faults::checks::{CHECKOUT, share_touched};

    #[test]
    fn a_stuck_service_does_not_answer_probes_and_scrapes() {
        let service = json!({"type": "hang", "lease": "1m"});
        let endpoint = json!({"type": "hang", "target": "endpoint:/checkout", "lease": "1m"});
        for (point, by_service, by_endpoint) in [
            (Point::Request(Some(&CHECKOUT[0])), 1.0, 1.0),
            (Point::Request(Some(&CHECKOUT[1])), 1.0, 0.0),
            (Point::Request(None), 1.0, 0.0),
            (Point::Query, 0.0, 0.0),
        ] {
            assert_eq!(share_touched(&service, point).0, by_service, "{point:?}");
            assert_eq!(share_touched(&endpoint, point).0, by_endpoint, "{point:?}");
        }
    }
}

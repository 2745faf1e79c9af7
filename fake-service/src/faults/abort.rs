//! `abort`: the connection breaks without an answer (Chaos Mesh's HTTPChaos `abort`, Toxiproxy's `reset_peer`).

use gameday_env::Rng;

use crate::faults::{
    Behaviour, Effect, FaultError, FaultKind, PROBABILITY, Point, Settings, Surroundings, TARGET,
    Target, Then,
};

pub(super) const KIND: FaultKind = FaultKind {
    name: "abort",
    summary: "the connection breaks without an answer",
    settings: &[TARGET, PROBABILITY],
    example: r#"{"type": "abort", "target": "service", "probability": 0.2, "lease": "10m"}"#,
    read,
};

struct Abort {
    target: Target,
    probability: f64,
}

fn read(settings: &mut Settings, around: &Surroundings) -> Result<Box<dyn Behaviour>, FaultError> {
    Ok(Box::new(Abort {
        target: Target::read(settings, around)?,
        probability: settings.probability("probability")?,
    }))
}

impl Behaviour for Abort {
    fn decide(&mut self, point: Point<'_>, rng: &mut Rng) -> Option<Effect> {
        (self.target.meets(point) && rng.chance(self.probability))
            .then(|| Effect::then(Then::Abort))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::faults::checks::{CHECKOUT, share_touched};

    #[test]
    fn the_connection_breaks_and_probes_are_spared() {
        let fault = json!({"type": "abort", "probability": 0.5, "lease": "1m"});
        let (share, effect) = share_touched(&fault, Point::Request(Some(&CHECKOUT[0])));
        assert!((share - 0.5).abs() < 0.02, "{share}");
        assert_eq!(effect, Some(Effect::then(Then::Abort)));
        let (share, _) = share_touched(&fault, Point::Request(Some(&CHECKOUT[1])));
        assert_eq!(share, 0.0);
    }
}

//! `partition`: nothing gets through to another service, silently (Chaos Mesh's NetworkChaos `partition`).
//!
//! New connections hang and existing ones stall, so calls end by their time limit; after the repair what was held goes on. With `action: loss`
//! a share of the packets is lost (NetworkChaos `loss`): what connections lose they send again, and their turns are late.

use std::any::Any;

use gameday_env::{LinkFault, Rng};

use crate::faults::{
    Behaviour, Effect, FaultError, FaultKind, Ground, Point, Setting, Settings, Surroundings,
    Target,
};

pub(super) const KIND: FaultKind = FaultKind {
    name: "partition",
    summary: "nothing gets through to another service",
    settings: &[
        Setting {
            name: "target",
            summary: "upstream:name",
        },
        Setting {
            name: "action",
            summary: "partition (the default: bytes vanish), refuse (connections are refused and reset) or loss (a share of the packets is lost)",
        },
        Setting {
            name: "percent",
            summary: "with loss: how many of a hundred packets, 0 to 100",
        },
    ],
    example: r#"{"type": "partition", "target": "upstream:payments", "lease": "5m"}"#,
    read,
};

struct Partition {
    upstream: String,
    fault: LinkFault,
}

fn read(settings: &mut Settings, around: &Surroundings) -> Result<Box<dyn Behaviour>, FaultError> {
    let Target::Upstream(upstream) = Target::read(settings, around)? else {
        return Err(FaultError::new(
            "target",
            "a partition is between two services",
            "upstream:name",
        ));
    };
    let mut fault = settings.choice(
        "action",
        &[
            ("partition", LinkFault::Partition),
            ("refuse", LinkFault::Refuse),
            ("loss", LinkFault::Loss { per_mille: 0 }),
        ],
    )?;
    if let LinkFault::Loss { per_mille } = &mut fault {
        let percent = settings.number("percent", 0.0..=100.0, None)?;
        *per_mille = (percent * 10.0).round() as u16;
    }
    Ok(Box::new(Partition { upstream, fault }))
}

impl Behaviour for Partition {
    fn decide(&mut self, point: Point<'_>, _: &mut Rng) -> Option<Effect> {
        // The link does the work; the calls that meet it are counted.
        matches!(point, Point::Call(name) if name == self.upstream).then(Effect::default)
    }

    fn begin(&mut self, on: &Ground) -> Result<Option<Box<dyn Any + Send>>, FaultError> {
        let host = on.upstream_hosts.get(&self.upstream);
        let guard = host.map(|host| on.env.fault_link(on.env.host(), host, self.fault));
        Ok(guard.map(|guard| Box::new(guard) as Box<dyn Any + Send>))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::faults::checks::{refused, share_touched};

    #[test]
    fn it_is_between_two_services_and_counts_the_calls_that_meet_it() {
        let fault = json!({"type": "partition", "target": "upstream:payments", "lease": "1m"});
        let call = share_touched(&fault, Point::Call("payments"));
        assert_eq!(call, (1.0, Some(Effect::default())));
        assert_eq!(share_touched(&fault, Point::Query).0, 0.0);
        let lossy = json!({"type": "partition", "action": "loss", "percent": 2.5, "target": "upstream:payments", "lease": "1m"});
        assert_eq!(share_touched(&lossy, Point::Call("payments")), call);
        for (fault, field) in [
            (json!({"type": "partition", "lease": "1m"}), "target"),
            (
                json!({"type": "partition", "action": "loss", "target": "upstream:payments", "lease": "1m"}),
                "percent",
            ),
            (
                json!({"type": "partition", "action": "loss", "percent": 101, "target": "upstream:payments", "lease": "1m"}),
                "percent",
            ),
            (
                json!({"type": "partition", "percent": 5, "target": "upstream:payments", "lease": "1m"}),
                "percent",
            ),
        ] {
            assert_eq!(refused(&fault), field, "{fault}");
        }
    }
}

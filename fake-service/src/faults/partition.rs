//! `partition`: nothing gets through to another service, silently (Chaos Mesh's NetworkChaos `partition`).
//!
//! New connections hang and existing ones stall, so calls end by their time limit; after the repair what was held goes on.

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
            summary: "partition (the default: bytes vanish) or refuse (connections are refused and reset)",
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
    let fault = settings.choice(
        "action",
        &[
            ("partition", LinkFault::Partition),
            ("refuse", LinkFault::Refuse),
        ],
    )?;
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
        assert_eq!(
            refused(&json!({"type": "partition", "lease": "1m"})),
            "target"
        );
    }
}

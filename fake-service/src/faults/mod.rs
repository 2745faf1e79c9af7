//! Faults as behaviour: what a service does wrong on purpose.
//!
//! ```text
//!   JSON -> FaultSpec (kind, target, lease; every mistake named) -> FaultTable -> Effect at a Point of a request
//! ```
//!
//! One file a kind. A kind reads its own settings, in the terms of the field (netem, Toxiproxy, Chaos Mesh, Litmus), and decides at
//! each [`Point`] what happens. Every fault has a lease: the service itself undoes it when that runs out, whoever asked for it may
//! be gone by then. Faults draw from their own random streams, so that a fault changes nothing about the requests that it spares.

mod abort;
mod bad_version;
#[cfg(test)]
mod checks;
mod cpu_pressure;
mod disk_pressure;
mod error;
mod hang;
mod latency;
mod memory_pressure;
mod partition;
mod settings;
mod table;
mod target;

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gameday_env::{Env, Rng};
use serde_json::Value;

use crate::config::ServiceConfig;
use crate::host::Host;
use crate::topology::Endpoint;

pub use settings::{FaultError, Settings};
pub(crate) use table::FaultTable;
pub use table::{Ended, EndedBy, FaultState};
pub(crate) use target::Target;

/// A kind of fault, as the catalogue has it.
pub struct FaultKind {
    /// Its name, the `type` of a fault.
    pub name: &'static str,
    /// What it does, in a line.
    pub summary: &'static str,
    /// Its settings beside `type` and `lease`.
    pub settings: &'static [Setting],
    /// A fault of this kind as JSON, ready to be put.
    pub example: &'static str,
    read: Read,
}

/// Reads the settings of one kind.
type Read = fn(&mut Settings, &Surroundings) -> Result<Box<dyn Behaviour>, FaultError>;

/// A setting of a kind of fault.
pub struct Setting {
    /// Its name.
    pub name: &'static str,
    /// What it means, with its default.
    pub summary: &'static str,
}

/// Every kind of fault that a service knows, by name.
pub const FAULTS: &[FaultKind] = &[
    abort::KIND,
    bad_version::KIND,
    cpu_pressure::KIND,
    disk_pressure::KIND,
    error::KIND,
    hang::KIND,
    latency::KIND,
    memory_pressure::KIND,
    partition::KIND,
];

/// A place in the way of a request where a fault may act.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Point<'a> {
    /// A request has come in; none stands for a path that is no endpoint, a scrape for example.
    Request(Option<&'static Endpoint>),
    /// The request has been answered, the caller does not know yet.
    Response(&'static Endpoint),
    /// The service is about to call another one.
    Call(&'a str),
    /// The service is about to ask its database.
    Query,
}

/// What a fault does at a point.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Effect {
    /// First, so much time passes.
    pub(crate) delay: Duration,
    /// Then this happens.
    pub(crate) then: Then,
}

/// What happens after the delay; the later in this list, the harder.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Then {
    /// What would have happened anyway.
    #[default]
    Continue,
    /// This answer.
    Fail(u16),
    /// The connection breaks without an answer.
    Abort,
    /// No answer, until the fault is undone.
    Hang,
}

impl Effect {
    /// Only time passes.
    pub(crate) fn delay(delay: Duration) -> Self {
        let then = Then::Continue;
        Self { delay, then }
    }

    /// Something happens at once.
    pub(crate) fn then(then: Then) -> Self {
        let delay = Duration::ZERO;
        Self { delay, then }
    }
}

/// A fault of some kind with its settings.
pub(crate) trait Behaviour: Send {
    /// What happens at this point, if anything; `Some` counts as touched.
    fn decide(&mut self, _point: Point<'_>, _rng: &mut Rng) -> Option<Effect> {
        None
    }

    /// Does what holds as long as the fault is in force; dropping the answer undoes it.
    ///
    /// # Errors
    /// Where this host cannot do it.
    fn begin(&mut self, _on: &Ground) -> Result<Option<Box<dyn Any + Send>>, FaultError> {
        Ok(None)
    }

    /// The version that the service claims to be while the fault is in force.
    fn version(&self) -> Option<&str> {
        None
    }
}

/// What a behaviour may take hold of.
pub(crate) struct Ground {
    pub(crate) env: Env,
    pub(crate) host: Arc<Host>,
    /// The hosts of the upstreams by name.
    pub(crate) upstream_hosts: BTreeMap<String, String>,
}

/// What a fault may be aimed at in a service.
#[derive(Clone, Debug)]
pub struct Surroundings {
    service: String,
    endpoints: &'static [Endpoint],
    upstreams: Vec<String>,
    has_database: bool,
}

impl Surroundings {
    /// Those of the service of this configuration.
    pub fn of(config: &ServiceConfig) -> Self {
        Self {
            service: config.name.clone(),
            endpoints: config.role.endpoints(),
            upstreams: config.upstreams.iter().map(|it| it.name.clone()).collect(),
            has_database: config.role.table().is_some(),
        }
    }
}

/// A fault that has been read and found good, ready to be put in force.
pub struct FaultSpec {
    kind: &'static str,
    lease: Duration,
    json: Value,
    behaviour: Box<dyn Behaviour>,
}

impl FaultSpec {
    /// Reads a fault such as `{"type": "latency", "target": "database", "latency": "800ms", "lease": "20m"}`.
    ///
    /// # Errors
    /// Where the kind, a setting or the target is not known to the service, or a value does not fit: the error names the setting,
    /// what was expected, and the nearest names.
    pub fn read(json: &Value, around: &Surroundings) -> Result<Self, FaultError> {
        let mut settings = Settings::new(json)?;
        let names = || FAULTS.iter().map(|kind| kind.name);
        let Some(given) = settings.text("type")? else {
            let expected = format!("one of {}", names().collect::<Vec<_>>().join(", "));
            return Err(FaultError::new("type", "is missing", &expected));
        };
        let kind = FAULTS
            .iter()
            .find(|kind| kind.name == given)
            .ok_or_else(|| FaultError::unknown("type", "kind of fault", &given, names()))?;
        let lease = settings.duration("lease")?;
        let behaviour = (kind.read)(&mut settings, around)?;
        settings.finish()?;
        Ok(Self {
            kind: kind.name,
            lease,
            json: json.clone(),
            behaviour,
        })
    }

    /// The kind.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// How long it stays in force at most.
    pub fn lease(&self) -> Duration {
        self.lease
    }
}

/// The setting `target`, which most kinds have.
const TARGET: Setting = Setting {
    name: "target",
    summary: "service (the default), endpoint:/path, endpoint:METHOD /path, upstream:name or database",
};
/// The setting `probability`, which most kinds have.
const PROBABILITY: Setting = Setting {
    name: "probability",
    summary: "the share of requests that are touched, 0 to 1 (default 1)",
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::topology::Role;

    fn around() -> Surroundings {
        Surroundings::of(&ServiceConfig::of(Role::Checkout))
    }

    #[test]
    fn the_catalogue_is_sorted_and_its_examples_can_be_read() {
        let names: Vec<&str> = FAULTS.iter().map(|kind| kind.name).collect();
        assert!(names.is_sorted());
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        for kind in FAULTS {
            let json: Value = serde_json::from_str(kind.example).expect(kind.example);
            let spec = FaultSpec::read(&json, &around()).unwrap_or_else(|it| panic!("{it}"));
            assert_eq!(spec.kind(), kind.name);
            assert!(!kind.summary.is_empty() && !kind.settings.is_empty());
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (json, expected) in [
            (r#"[]"#, "(the whole fault): [] is no object"),
            (r#"{}"#, "type: is missing, expected one of abort,"),
            (r#"{"type": "latenzy"}"#, "(did you mean latency?)"),
            (
                r#"{"type": "latency", "latency": "1s"}"#,
                "lease: is missing",
            ),
            (
                r#"{"type": "latency", "latency": "1s", "lease": "0s"}"#,
                "lease: is zero",
            ),
            (
                r#"{"type": "latency", "latency": "1s", "lease": 60}"#,
                "is the unit missing?",
            ),
            (
                r#"{"type": "latency", "lease": "1m"}"#,
                "latency: is missing",
            ),
            (
                r#"{"type": "latency", "latency": "1s", "lease": "1m", "probabillity": 1}"#,
                "probabillity: unknown setting, expected one of type, lease,",
            ),
            (
                r#"{"type": "latency", "latency": "1s", "lease": "1m", "probability": 20}"#,
                "probability: 20 does not fit, expected a number from 0 to 1",
            ),
            (
                r#"{"type": "latency", "latency": "1s", "lease": "1m", "target": "upstream:payment"}"#,
                "target: unknown upstream \"payment\", expected one of payments (did you mean payments?)",
            ),
            (
                r#"{"type": "latency", "latency": "1s", "lease": "1m", "target": "endpoint:/chekout"}"#,
                "target: unknown endpoint \"/chekout\"",
            ),
            (
                r#"{"type": "latency", "latency": "1s", "lease": "1m", "target": "databse"}"#,
                "target: unknown target \"databse\"",
            ),
        ] {
            let value: Value = serde_json::from_str(json).expect("valid JSON");
            let Err(error) = FaultSpec::read(&value, &around()) else {
                panic!("{json} was read");
            };
            assert!(error.to_string().contains(expected), "{json}: {error}");
        }
    }
}

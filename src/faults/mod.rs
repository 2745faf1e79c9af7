//! Faults as the harness holds them: guards with a lease.
//!
//! ```text
//!   FaultGuard::inject --PUT /-/faults/name--> the service (keeps the lease itself; its kinds are fake-service's)
//!                      --put_fault-----------> the receivers (the kinds of this folder, one a file)
//!   drop, clear, abort --DELETE, take_fault--> how many requests or messages were touched
//! ```
//!
//! The service undoes a fault when its lease runs out, whatever has become of the harness; the guard undoes it when it is dropped.

mod receiver_down;
mod receiver_error;
mod receiver_latency;
mod service;

use std::rc::Rc;
use std::time::Duration;

use fake_service::{FaultError, Setting, Settings};
use gameday_env::Sim;
use gameday_signal::{EventKind, FaultEnd, format_duration};
use serde_json::Value;

use self::service::ServiceFault;
use crate::failure::Failure;
use crate::receivers::{ReceiverFault, Receivers};
use crate::scenario::FaultSettings;

/// A kind of fault of a receiver, as the catalogue has it. The kinds of services are [`fake_service::FAULTS`].
pub struct ReceiverFaultKind {
    /// Its name, the `type` of a fault.
    pub name: &'static str,
    /// What it does, in a line.
    pub summary: &'static str,
    /// Its settings beside `type` and `lease`.
    pub settings: &'static [Setting],
    /// A fault of this kind as JSON.
    pub example: &'static str,
    read: fn(&mut Settings) -> Result<ReceiverFault, FaultError>,
}

/// Every kind of fault that a receiver can have, by name.
pub const RECEIVER_FAULTS: &[ReceiverFaultKind] = &[
    receiver_down::KIND,
    receiver_error::KIND,
    receiver_latency::KIND,
];

/// Reads a fault of a receiver.
///
/// # Errors
/// Where the kind or a setting is unknown or does not fit, with what was expected.
pub fn read_receiver_fault(json: &Value) -> Result<ReceiverFault, FaultError> {
    let mut settings = Settings::new(json)?;
    let given = settings.text("type")?.unwrap_or_default();
    let names: Vec<&str> = RECEIVER_FAULTS.iter().map(|kind| kind.name).collect();
    let Some(kind) = RECEIVER_FAULTS.iter().find(|kind| kind.name == given) else {
        let of_services = fake_service::FAULTS.iter().any(|kind| kind.name == given);
        let problem = if of_services {
            format!("{given:?} is a fault of services, not of receivers")
        } else {
            format!("unknown kind of fault {given:?}")
        };
        let expected = format!("one of {}", names.join(", "));
        return Err(FaultError::new("type", problem, &expected));
    };
    settings.duration("lease")?;
    let fault = (kind.read)(&mut settings)?;
    settings.finish()?;
    Ok(fault)
}

/// A fault in force.
#[must_use = "dropping the guard takes the fault back"]
pub struct FaultGuard {
    name: String,
    sim: Rc<Sim>,
    hold: Hold,
    ended: bool,
}

/// Who keeps the fault.
enum Hold {
    Service(ServiceFault),
    Receiver(Receivers),
}

/// What is known of a fault.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FaultReport {
    /// Requests, or messages to a receiver, that it touched.
    pub touched: u64,
    /// Whether it is (or was, until it was taken back) still in force.
    pub in_force: bool,
}

impl FaultGuard {
    /// Puts a fault into force.
    ///
    /// # Errors
    /// Where the service cannot be reached, or it or the receiver refuses the settings (with its words).
    pub fn inject(
        sim: &Rc<Sim>,
        receivers: &Receivers,
        name: &str,
        settings: &FaultSettings,
        lease: Duration,
    ) -> Result<Self, Failure> {
        let hold = if settings.is_of_receiver() {
            let fault = read_receiver_fault(&settings.as_json(lease))
                .map_err(|error| Failure::scenario(format!("fault {name:?}: {error}")))?;
            receivers.put_fault(name, &settings.receiver, fault, lease);
            Hold::Receiver(receivers.clone())
        } else {
            Hold::Service(ServiceFault::inject(sim, name, settings, lease)?)
        };
        sim.env().record(EventKind::FaultInjected {
            fault: name.to_owned(),
            description: describe(settings),
        });
        Ok(Self {
            name: name.to_owned(),
            sim: Rc::clone(sim),
            hold,
            ended: false,
        })
    }

    /// Its name in the scenario.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it hits a receiver, and no service.
    pub fn is_of_receiver(&self) -> bool {
        matches!(self.hold, Hold::Receiver(_))
    }

    /// What is known of it.
    ///
    /// # Errors
    /// Where the service cannot be reached.
    pub fn report(&self) -> Result<FaultReport, Failure> {
        match &self.hold {
            Hold::Service(fault) => fault.report(&self.sim, &self.name),
            Hold::Receiver(receivers) => Ok(of_receiver(receivers.fault_state(&self.name))),
        }
    }

    /// Takes it back and tells what it touched.
    ///
    /// # Errors
    /// Where the service cannot be reached: the lease will end the fault.
    pub fn end(mut self, end: FaultEnd) -> Result<FaultReport, Failure> {
        self.undo(end)
    }

    fn undo(&mut self, end: FaultEnd) -> Result<FaultReport, Failure> {
        if self.ended {
            return Ok(FaultReport::default());
        }
        self.ended = true;
        let report = match &self.hold {
            Hold::Service(fault) => fault.end(&self.sim, &self.name)?,
            Hold::Receiver(receivers) => of_receiver(receivers.take_fault(&self.name)),
        };
        let end = if report.in_force {
            end
        } else {
            FaultEnd::LeaseExpired
        };
        self.sim.env().record(EventKind::FaultCleared {
            fault: self.name.clone(),
            end,
            touched: report.touched,
        });
        Ok(report)
    }
}

impl Drop for FaultGuard {
    fn drop(&mut self) {
        // Nobody is left to tell: where the service cannot be reached, its lease ends the fault.
        let _ = self.undo(FaultEnd::Dropped);
    }
}

fn of_receiver(state: Option<crate::receivers::ReceiverFaultState>) -> FaultReport {
    state.map_or_else(FaultReport::default, |state| FaultReport {
        touched: state.touched,
        in_force: state.in_force,
    })
}

/// A fault in a line: `latency on checkout: latency 1200ms, target database; lease 1h`.
pub fn describe(settings: &FaultSettings) -> String {
    let value = |value: &Value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    };
    let with: Vec<String> = settings
        .with
        .iter()
        .map(|(key, own)| format!("{key} {}", value(own)))
        .collect();
    let with = if with.is_empty() {
        String::new()
    } else {
        format!(": {}", with.join(", "))
    };
    let on = if settings.is_of_receiver() {
        format!("receiver {}", settings.receiver)
    } else {
        settings.service.clone()
    };
    format!(
        "{} on {on}{with}; lease {}",
        settings.kind,
        format_duration(settings.lease)
    )
}

#[cfg(test)]
mod checks {
    use crate::receivers::ReceiverFault;

    fn judge(json: &str) -> Result<ReceiverFault, String> {
        let json = serde_json::from_str(json).expect("it is JSON");
        super::read_receiver_fault(&json).map_err(|error| error.to_string())
    }

    /// A fault of a receiver that can be read.
    pub(super) fn read(json: &str) -> ReceiverFault {
        judge(json).unwrap_or_else(|error| panic!("{json}: {error}"))
    }

    /// Why a fault of a receiver is refused.
    pub(super) fn refusal(json: &str) -> String {
        judge(json).expect_err(json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_is_sorted_and_its_examples_can_be_read() {
        assert!(RECEIVER_FAULTS.iter().map(|kind| kind.name).is_sorted());
        for kind in RECEIVER_FAULTS {
            checks::read(kind.example);
            assert!(!kind.summary.is_empty());
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (json, expected) in [
            (
                r#"{"type": "latency", "lease": "1m"}"#,
                "type: \"latency\" is a fault of services, not of receivers, expected one of receiver_down,",
            ),
            (
                r#"{"type": "receiver_dwon", "lease": "1m"}"#,
                "type: unknown kind of fault \"receiver_dwon\"",
            ),
            (r#"{"type": "receiver_down"}"#, "lease: is missing"),
        ] {
            let error = checks::refusal(json);
            assert!(error.starts_with(expected), "{json}: {error}");
        }
    }

    #[test]
    fn a_fault_is_told_in_a_line() {
        let settings: FaultSettings = gameday_yaml::from_str(
            "type: receiver_error\nreceiver: slack\nlease: 10m\nwith: {status_code: 429}",
        )
        .expect("it is valid");
        assert_eq!(
            describe(&settings),
            "receiver_error on receiver slack: status_code 429; lease 10m"
        );
    }
}

//! Putting faults into force, taking them back, and proving that nothing is left.

use std::time::Duration;

use bytes::Bytes;
use gameday_signal::{EventKind, FaultEnd, format_duration};
use http::Request;

use super::Game;
use crate::faults::{FaultGuard, describe};
use crate::receivers::{PROBE_HEADER, RECEIVER_HEADER, Receivers};
use crate::scenario::FaultSettings;
use crate::world::StepError;

/// Requests of the probe that shows that a fault is gone.
const PROBES: usize = 10;
/// A probe may take this long where no objective says less.
const PROBE_LATENCY_MAX: Duration = Duration::from_secs(1);
/// The shortest lease on a compressed clock.
const LEASE_MIN: Duration = Duration::from_secs(1);

impl Game {
    /// Puts a fault of the scenario into force.
    ///
    /// # Errors
    /// Where the scenario has no such fault, its service or receiver does not exist, or refuses it.
    pub fn inject(&mut self, name: &str) -> Result<String, StepError> {
        let settings = self.scenario.fault(name)?.clone();
        if self.faults.iter().any(|fault| fault.name() == name) {
            return Err(StepError::invalid(format!(
                "fault {name:?} is already in force"
            )));
        }
        if settings.is_of_receiver() {
            self.check_receiver(&settings.receiver)?;
        } else {
            self.target
                .check_service(&settings.service, &self.scenario.path)?;
        }
        self.phase(&format!("fault {name}"));
        let lease = self.scaled(settings.lease).max(LEASE_MIN);
        self.load_mark();
        let guard = FaultGuard::inject(&self.sim, &self.receivers, name, &settings, lease)?;
        self.faults.push(guard);
        self.acted_at = self.now();
        // What goes wrong with a receiver is no incident of the system: its moments count from what broke a service.
        if !settings.is_of_receiver() {
            self.injected_at = Some(self.acted_at);
        }
        Ok(describe(&settings))
    }

    /// Takes a fault back.
    ///
    /// # Errors
    /// Where it is not in force, it touched nothing (inconclusive), or something of it is left.
    pub fn clear(&mut self, name: &str) -> Result<String, StepError> {
        let settings = self.scenario.fault(name)?.clone();
        let Some(index) = self.faults.iter().position(|fault| fault.name() == name) else {
            return Err(StepError::invalid(format!(
                "fault {name:?} is not in force"
            )));
        };
        let guard = self.faults.remove(index);
        let report = guard.end(FaultEnd::Cleared)?;
        self.acted_at = self.now();
        self.phase("recovery");
        if report.touched == 0 {
            let (what, of) = if settings.is_of_receiver() {
                ("messages", self.receivers.attempts().len() as u64)
            } else {
                ("requests", self.load_since_mark().sent)
            };
            return Err(StepError::inconclusive(
                format!("fault {name:?} to touch {what}"),
                format!("it touched none of {of}"),
            ));
        }
        if settings.is_of_receiver() {
            let evidence = self.prove_receiver_well(name, &settings.receiver)?;
            return Ok(format!(
                "it touched {} messages; {evidence}",
                report.touched
            ));
        }
        let others = self.faults.iter().filter(|fault| !fault.is_of_receiver());
        let others = others.count();
        if others > 0 {
            // What the others do would be taken for this one's; the last one to go proves it for all.
            return Ok(format!(
                "it touched {} requests; {others} other faults are still in force",
                report.touched,
            ));
        }
        let evidence = self.prove_gone(name, &settings)?;
        Ok(format!(
            "it touched {} requests; {evidence}",
            report.touched
        ))
    }

    /// Takes every fault back that is still in force.
    pub(super) fn end_faults(&mut self, end: FaultEnd) {
        for guard in self.faults.drain(..) {
            // Where the service cannot be reached, its lease ends the fault.
            let _ = guard.end(end);
        }
    }

    /// Sends a probe to a receiver, which answers it as it would a message.
    fn prove_receiver_well(&mut self, name: &str, receiver: &str) -> Result<String, StepError> {
        let expected = format!("nothing of fault {name:?} to be left");
        let request = Request::post(format!("http://{}/", Receivers::address()))
            .header(RECEIVER_HEADER, receiver)
            .header(PROBE_HEADER, name)
            .body(Bytes::new())
            .map_err(|error| StepError::internal(error.to_string()))?;
        let clock = self.env().clock().clone();
        let begin = clock.now();
        let client = self.env().http_client();
        let answer = self.run(client.send(request, PROBE_LATENCY_MAX))?;
        let answer =
            answer.map_err(|error| StepError::failed(expected.clone(), error.to_string()))?;
        if !answer.status().is_success() {
            let observed = format!("{receiver} answered {}", answer.status());
            return Err(StepError::failed(expected, observed));
        }
        let took = format_duration(clock.now().since(begin));
        let evidence = format!("receiver {receiver} took a probe in {took}");
        self.env().record(EventKind::FaultProvenGone {
            fault: name.to_owned(),
            evidence: evidence.clone(),
        });
        Ok(evidence)
    }

    /// Sends requests the way users do and looks at the answers.
    fn prove_gone(&mut self, name: &str, settings: &FaultSettings) -> Result<String, StepError> {
        let expected = format!("nothing of fault {name:?} to be left");
        let base = format!("http://{}:8080", self.scenario.settings.load.service);
        let slo_limits = self
            .scenario
            .settings
            .slos
            .iter()
            .filter_map(|slo| slo.bad_event.as_ref()?.slower_than);
        let limit = slo_limits.min().unwrap_or(PROBE_LATENCY_MAX);
        let paths: Vec<String> = self
            .scenario
            .settings
            .load
            .mix
            .iter()
            .filter(|entry| entry.method == "GET")
            .map(|entry| entry.path.clone())
            .collect();
        let client = self.env().http_client();
        let clock = self.env().clock().clone();
        let mut slowest = Duration::ZERO;
        for path in paths.iter().cycle().take(PROBES.max(paths.len())) {
            let begin = clock.now();
            let request = Request::get(format!("{base}{path}"))
                .header("x-gameday-probe", name)
                .body(Bytes::new())
                .map_err(|error| StepError::internal(error.to_string()))?;
            let answer = self.run(client.send(request, PROBE_LATENCY_MAX * 10))?;
            let took = clock.now().since(begin);
            slowest = slowest.max(took);
            match answer {
                Err(error) => return Err(StepError::failed(expected, error.to_string())),
                Ok(answer) if answer.status().is_server_error() => {
                    return Err(StepError::failed(
                        expected,
                        format!("{path} answered {}", answer.status()),
                    ));
                }
                Ok(_) if took > limit => {
                    return Err(StepError::failed(
                        expected,
                        format!("{path} took {}", format_duration(took)),
                    ));
                }
                Ok(_) => {}
            }
        }
        let evidence = format!(
            "{} probes answered well, the slowest in {}",
            PROBES.max(paths.len()),
            format_duration(slowest)
        );
        let fault = name.to_owned();
        let evidence_full = format!("{evidence}; {} no longer lists it", settings.service);
        self.env().record(EventKind::FaultProvenGone {
            fault,
            evidence: evidence_full,
        });
        Ok(evidence)
    }
}

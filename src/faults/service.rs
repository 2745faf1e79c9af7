//! Faults of a service: behind its control API, which keeps the lease itself.

use std::time::Duration;

use bytes::Bytes;
use gameday_env::{Address, HttpClient, Sim};
use http::{Method, Request};
use serde_json::Value;

use super::FaultReport;
use crate::failure::Failure;
use crate::scenario::FaultSettings;

/// A fault that a service has been told of.
pub(super) struct ServiceFault {
    control: Address,
    client: HttpClient,
}

/// The control API answers from memory, but on the real clock its process may be under the pressure of its own faults.
const CONTROL_TIMEOUT: Duration = Duration::from_secs(15);
/// The port of the control API.
const CONTROL_PORT: u16 = 8081;

impl ServiceFault {
    /// `PUT /-/faults/name`.
    pub(super) fn inject(
        sim: &Sim,
        name: &str,
        settings: &FaultSettings,
        lease: Duration,
    ) -> Result<Self, Failure> {
        let fault = Self {
            control: Address::new(settings.service.as_str(), CONTROL_PORT),
            client: sim.env().http_client(),
        };
        let body = settings.as_json(lease).to_string();
        let (status, answer) = sim.block_on(fault.call(Method::PUT, name, body))?;
        if status < 400 {
            return Ok(fault);
        }
        let reason = serde_json::from_str::<Value>(&answer)
            .ok()
            .and_then(|json| json["error"].as_str().map(str::to_owned))
            .unwrap_or(answer);
        Err(Failure::scenario(format!(
            "service {:?} refuses fault {name:?}: {reason}",
            settings.service
        )))
    }

    /// `GET /-/faults/name`.
    pub(super) fn report(&self, sim: &Sim, name: &str) -> Result<FaultReport, Failure> {
        self.ask(sim, name, Method::GET)
    }

    /// `DELETE /-/faults/name`; `in_force` tells whether it still was.
    pub(super) fn end(&self, sim: &Sim, name: &str) -> Result<FaultReport, Failure> {
        self.ask(sim, name, Method::DELETE)
    }

    fn ask(&self, sim: &Sim, name: &str, method: Method) -> Result<FaultReport, Failure> {
        let (status, answer) = sim.block_on(self.call(method, name, String::new()))?;
        Ok(FaultReport {
            // A fault that the service no longer knows has ended by its lease.
            in_force: status != 404,
            touched: touched_in(&answer),
        })
    }

    async fn call(
        &self,
        method: Method,
        name: &str,
        body: String,
    ) -> Result<(u16, String), Failure> {
        let url = format!("http://{}/-/faults/{name}", self.control);
        let request = Request::builder()
            .method(method)
            .uri(&url)
            .header("content-type", "application/json")
            .body(Bytes::from(body))
            .map_err(|error| Failure::scenario(format!("{url}: {error}")))?;
        let answer = self.client.send(request, CONTROL_TIMEOUT).await;
        let answer = answer.map_err(|error| {
            Failure::target(format!(
                "the control API of {} cannot be reached: {error}",
                self.control.host
            ))
        })?;
        Ok((
            answer.status().as_u16(),
            String::from_utf8_lossy(answer.body()).into_owned(),
        ))
    }
}

fn touched_in(answer: &str) -> u64 {
    serde_json::from_str::<Value>(answer)
        .ok()
        .and_then(|json| json["touched"].as_u64())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_of_an_answer_is_read() {
        for (answer, expected) in [
            (r#"{"touched": 3}"#, 3),
            (r#"{"touched": "3"}"#, 0),
            ("<html>", 0),
        ] {
            assert_eq!(touched_in(answer), expected, "{answer}");
        }
    }
}

//! Faults as the harness holds them: guards with a lease.
//!
//! ```text
//!   FaultGuard::inject --PUT /-/faults/name--> the service (keeps the lease itself)
//!   drop, clear, abort --DELETE----------------> the service answers how many requests were touched
//! ```
//!
//! The service undoes a fault when its lease runs out, whatever has become of the harness; the guard undoes it when it is dropped.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use gameday_env::{Address, HttpClient, Sim};
use gameday_signal::{EventKind, FaultEnd, format_duration};
use http::{Method, Request};
use serde_json::{Map, Value};

use crate::failure::Failure;
use crate::scenario::FaultSettings;

/// A fault in force.
#[must_use = "dropping the guard takes the fault back"]
pub struct FaultGuard {
    name: String,
    control: Address,
    sim: Rc<Sim>,
    client: HttpClient,
    ended: bool,
}

/// What a service says about a fault of its own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FaultReport {
    /// Requests that it touched.
    pub touched: u64,
    /// Whether it is still in force.
    pub in_force: bool,
}

/// The control API answers from memory.
const CONTROL_TIMEOUT: Duration = Duration::from_secs(5);

impl FaultGuard {
    /// Puts a fault into force.
    ///
    /// # Errors
    /// Where the service cannot be reached or refuses the settings (with its words).
    pub fn inject(
        sim: &Rc<Sim>,
        name: &str,
        settings: &FaultSettings,
        lease: Duration,
    ) -> Result<Self, Failure> {
        let env = sim.env();
        let client = env.http_client();
        let control = Address::new(settings.service.as_str(), 8081);
        let mut body = Map::new();
        body.insert("type".to_owned(), Value::from(settings.kind.as_str()));
        body.insert("lease".to_owned(), Value::from(format_duration(lease)));
        body.extend(
            settings
                .with
                .iter()
                .map(|(key, value)| (key.clone(), value.clone())),
        );
        let body = Value::Object(body).to_string();
        let (status, answer) =
            sim.block_on(control_call(&client, Method::PUT, &control, name, body))?;
        if status >= 400 {
            let reason = serde_json::from_str::<Value>(&answer)
                .ok()
                .and_then(|json| json["error"].as_str().map(str::to_owned))
                .unwrap_or(answer);
            return Err(Failure::scenario(format!(
                "service {:?} refuses fault {name:?}: {reason}",
                settings.service
            )));
        }
        env.record(EventKind::FaultInjected {
            fault: name.to_owned(),
            description: describe(settings),
        });
        Ok(Self {
            name: name.to_owned(),
            control,
            sim: Rc::clone(sim),
            client,
            ended: false,
        })
    }

    /// Its name in the scenario.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the service says about it.
    ///
    /// # Errors
    /// Where the service cannot be reached.
    pub fn report(&self) -> Result<FaultReport, Failure> {
        let (status, answer) = self.sim.block_on(control_call(
            &self.client,
            Method::GET,
            &self.control,
            &self.name,
            String::new(),
        ))?;
        Ok(FaultReport {
            in_force: status == 200,
            touched: touched_in(&answer),
        })
    }

    /// Takes it back and tells how many requests it touched.
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
        let outcome = self.sim.block_on(control_call(
            &self.client,
            Method::DELETE,
            &self.control,
            &self.name,
            String::new(),
        ));
        let (status, answer) = outcome?;
        let touched = touched_in(&answer);
        // A fault that the service no longer knows has ended by its lease.
        let end = if status == 404 {
            FaultEnd::LeaseExpired
        } else {
            end
        };
        self.sim.env().record(EventKind::FaultCleared {
            fault: self.name.clone(),
            end,
            touched,
        });
        Ok(FaultReport {
            touched,
            in_force: false,
        })
    }
}

impl Drop for FaultGuard {
    fn drop(&mut self) {
        // Nobody is left to tell: where the service cannot be reached, its lease ends the fault.
        let _ = self.undo(FaultEnd::Dropped);
    }
}

async fn control_call(
    client: &HttpClient,
    method: Method,
    control: &Address,
    name: &str,
    body: String,
) -> Result<(u16, String), Failure> {
    let url = format!("http://{control}/-/faults/{name}");
    let request = Request::builder()
        .method(method)
        .uri(&url)
        .header("content-type", "application/json")
        .body(Bytes::from(body))
        .map_err(|error| Failure::scenario(format!("{url}: {error}")))?;
    let answer = client
        .send(request, CONTROL_TIMEOUT)
        .await
        .map_err(|error| {
            Failure::target(format!(
                "the control API of {} cannot be reached: {error}",
                control.host
            ))
        })?;
    Ok((
        answer.status().as_u16(),
        String::from_utf8_lossy(answer.body()).into_owned(),
    ))
}

fn touched_in(answer: &str) -> u64 {
    serde_json::from_str::<Value>(answer)
        .ok()
        .and_then(|json| json["touched"].as_u64())
        .unwrap_or(0)
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
    format!(
        "{} on {}{with}; lease {}",
        settings.kind,
        settings.service,
        format_duration(settings.lease)
    )
}

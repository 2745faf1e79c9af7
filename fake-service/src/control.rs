//! The control API, on a port of its own: faults come and go here, whatever the service itself does.
//!
//! ```text
//!   GET    /-/faults          the faults in force, with what they touched and what is left of their lease
//!   GET    /-/faults/{name}   one of them; 404 where it is not in force, with what it touched where it was
//!   PUT    /-/faults/{name}   puts a fault in force, or in place of the one of that name
//!   DELETE /-/faults/{name}   takes it out of force; 404 as above
//!   DELETE /-/faults          takes all of them out of force
//!   POST   /-/rollback        takes every bad version out of force
//!   GET    /-/catalogue       the kinds of fault with their settings and an example
//!   GET    /-/healthy         answers while the process lives
//! ```

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde::Serialize;
use serde_json::{Value, json};

use crate::faults::{FAULTS, FaultError, FaultState};
use crate::reply::{self, ReplyBody};
use crate::service::Inner;

/// The largest fault.
const BODY_BYTES_MAX: usize = 64 << 10;
/// The longest name of a fault.
const NAME_BYTES_MAX: usize = 128;

/// Answers on the control port.
#[derive(Clone)]
pub(crate) struct Control(pub(crate) Arc<Inner>);

type Answering = Pin<Box<dyn Future<Output = Result<Response<ReplyBody>, Infallible>> + Send>>;

impl tower::Service<Request<Incoming>> for Control {
    type Response = Response<ReplyBody>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Answering {
        let service = Arc::clone(&self.0);
        Box::pin(async move { Ok(control(&service, request).await) })
    }
}

async fn control(service: &Inner, request: Request<Incoming>) -> Response<ReplyBody> {
    let path = request.uri().path().to_owned();
    let name = path.strip_prefix("/-/faults/");
    match (request.method(), path.as_str(), name) {
        (&Method::GET, "/-/healthy", _) => shown(StatusCode::OK, &json!({"status": "ok"})),
        (&Method::GET, "/-/catalogue", _) => shown(StatusCode::OK, &catalogue()),
        (&Method::GET, "/-/faults", _) => shown(StatusCode::OK, &service.faults.list()),
        (&Method::DELETE, "/-/faults", _) => {
            shown(StatusCode::OK, &service.faults.remove_all(None))
        }
        (&Method::POST, "/-/rollback", _) => {
            let removed = service.faults.remove_all(Some("bad_version"));
            shown(StatusCode::OK, &removed)
        }
        (&Method::PUT, _, Some(name)) => put(service, name, request.into_body()).await,
        (&Method::GET, _, Some(name)) => match service.faults.find(name) {
            Some(state) if state.ended.is_none() => shown(StatusCode::OK, &state),
            ended => not_in_force(service, name, ended.as_ref()),
        },
        (&Method::DELETE, _, Some(name)) => match service.faults.remove(name) {
            Some(state) => shown(StatusCode::OK, &state),
            None => not_in_force(service, name, service.faults.find(name).as_ref()),
        },
        _ => reply::json(
            StatusCode::NOT_FOUND,
            reply::error_json(
                "no such endpoint of the control API: see /-/catalogue and /-/faults",
            ),
        ),
    }
}

/// 404, with what is remembered of the fault where it has ended.
fn not_in_force(service: &Inner, name: &str, ended: Option<&FaultState>) -> Response<ReplyBody> {
    let Some(state) = ended else {
        let in_force = service.faults.list();
        let names: Vec<&str> = in_force.iter().map(|fault| fault.name.as_str()).collect();
        let error = FaultError::unknown("name", "fault", name, names);
        return failed(StatusCode::NOT_FOUND, &error);
    };
    let mut body = json!(state);
    body["error"] = json!(format!("fault {name:?} is no longer in force"));
    shown(StatusCode::NOT_FOUND, &body)
}

async fn put(service: &Inner, name: &str, body: Incoming) -> Response<ReplyBody> {
    let fits = |it: char| it.is_ascii_alphanumeric() || "-_.".contains(it);
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.chars().all(fits) {
        let error = FaultError::new(
            "name",
            format!("{name:?} is no name"),
            "letters, digits, '-', '_' and '.'",
        );
        return failed(StatusCode::BAD_REQUEST, &error);
    }
    let Ok(collected) = Limited::new(body, BODY_BYTES_MAX).collect().await else {
        let error = FaultError::new("(the whole fault)", "is too large", "at most 64 KiB");
        return failed(StatusCode::PAYLOAD_TOO_LARGE, &error);
    };
    let fault: Value = match serde_json::from_slice(&collected.to_bytes()) {
        Ok(fault) => fault,
        Err(error) => {
            let error = FaultError::new("(the whole fault)", error.to_string(), "JSON");
            return failed(StatusCode::BAD_REQUEST, &error);
        }
    };
    match service.inject(name, &fault) {
        Ok(state) => shown(StatusCode::OK, &state),
        Err(error) => failed(StatusCode::BAD_REQUEST, &error),
    }
}

fn catalogue() -> Value {
    FAULTS
        .iter()
        .map(|kind| {
            let settings: Vec<Value> = kind
                .settings
                .iter()
                .map(|setting| json!({"name": setting.name, "summary": setting.summary}))
                .collect();
            let example: Value = serde_json::from_str(kind.example).unwrap_or_default();
            json!({"type": kind.name, "summary": kind.summary, "settings": settings, "example": example})
        })
        .collect()
}

fn shown(status: StatusCode, value: &impl Serialize) -> Response<ReplyBody> {
    match serde_json::to_vec(value) {
        Ok(body) => reply::json(status, body),
        Err(error) => reply::json(
            StatusCode::INTERNAL_SERVER_ERROR,
            reply::error_json(&error.to_string()),
        ),
    }
}

fn failed(status: StatusCode, error: &FaultError) -> Response<ReplyBody> {
    let body = json!({
        "error": error.to_string(),
        "field": error.field,
        "problem": error.problem,
        "expected": error.expected,
        "did_you_mean": error.did_you_mean,
    });
    shown(status, &body)
}

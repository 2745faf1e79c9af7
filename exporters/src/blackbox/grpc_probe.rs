//! The grpc prober: one call of the health-checking protocol (`grpc.health.v1.Health/Check`) over HTTP/2.

use std::future::Future;
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use gameday_env::{Address, Connection, Env, Route};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http2;
use hyper_util::rt::TokioIo;

use super::config::Module;
use super::probe::{Probe, SessionMetrics};
use super::settings::GrpcSettings;

/// The statuses of `grpc.health.v1.HealthCheckResponse` by their numbers.
const SERVING_STATUSES: [&str; 4] = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];
/// The method that is called.
const CHECK: &str = "/grpc.health.v1.Health/Check";
/// An answer has a few bytes.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// `OK` and `UNKNOWN` of gRPC's status codes.
const OK: u32 = 0;
const UNKNOWN: u32 = 2;
/// `UNAVAILABLE`: there was no answer.
const UNAVAILABLE: u32 = 14;

const PHASES: (&str, &str) = (
    "probe_grpc_duration_seconds",
    "Duration of gRPC request by phase",
);
const SSL: (&str, &str) = (
    "probe_grpc_ssl",
    "Indicates if SSL was used for the connection",
);
const STATUS: (&str, &str) = ("probe_grpc_status_code", "Response gRPC status code");

/// What a call came to.
struct Answer {
    /// The gRPC status code.
    code: u32,
    /// What the server says of itself, where it answered.
    serving: Option<&'static str>,
}

pub(super) async fn run(env: &Env, module: &Module, target: &str, probe: &mut Probe) -> bool {
    let settings = &module.grpc;
    phase(probe, "resolve", Duration::ZERO);
    probe.set(SSL, 0.0);
    probe.set(STATUS, 0.0);
    // A target may be an address, or the address of a page.
    let bare = target.split_once("://").map_or(target, |(_, rest)| rest);
    let bare = bare.split(['/', '?']).next().unwrap_or_default();
    let address: Address = bare.parse().unwrap_or_else(|_| {
        let host = bare.trim_matches(['[', ']']);
        Address::new(host, if settings.tls { 443 } else { 80 })
    });
    let (preferred, fallback) = (
        settings.preferred_ip_protocol,
        settings.ip_protocol_fallback,
    );
    let Some((ip, lookup)) = probe.resolve(&address.host, preferred, fallback).await else {
        return false;
    };
    probe.out.reset(PHASES.0);
    let begin = env.now();
    let limit = probe.left();
    let called = call(env, settings, &address, ip, probe);
    let called = match env.clock().timeout(limit, called).await {
        Ok(called) => called,
        Err(elapsed) => Err(elapsed.to_string()),
    };
    phase(probe, "check", env.now().since(begin));
    phase(probe, "resolve", lookup);
    let answer = called.unwrap_or_else(|reason| {
        probe.fail(format!("can't connect grpc server: {reason}"));
        Answer {
            code: UNAVAILABLE,
            serving: None,
        }
    });
    probe.set(STATUS, f64::from(answer.code));
    let mut names = SERVING_STATUSES;
    names.sort_unstable();
    for status in names {
        probe.gauge(
            "probe_grpc_healthcheck_response",
            "Response HealthCheck response",
            &[("serving_status", status)],
            f64::from(u8::from(
                answer.code == OK && answer.serving == Some(status),
            )),
        );
    }
    if answer.code == OK && answer.serving == Some("SERVING") {
        probe.say("connect the grpc server successfully");
        return true;
    }
    probe.fail(format!(
        "the server is not healthy: status code {}, {}",
        answer.code,
        answer.serving.unwrap_or("no answer")
    ));
    false
}

fn phase(probe: &mut Probe, phase: &str, duration: Duration) {
    let labels = [("phase", phase)];
    probe.gauge(PHASES.0, PHASES.1, &labels, duration.as_secs_f64());
}

async fn call(
    env: &Env,
    settings: &GrpcSettings,
    address: &Address,
    ip: IpAddr,
    probe: &mut Probe,
) -> Result<Answer, String> {
    let route = Route {
        from: None,
        to: Some(ip),
    };
    let dialled = env.dial_by(address, route).await;
    let connection = dialled.map_err(|error| error.to_string())?;
    let (connection, session) = if settings.tls {
        let tls = settings.tls_config.client(env, &["h2"])?;
        let shaken = tls.connect(&address.host, connection).await;
        let (stream, session) = shaken.map_err(|error| error.to_string())?;
        (stream, Some(session))
    } else {
        (connection, None)
    };
    let request = request(settings, address)?;
    let (answer, trailers, body) = exchange(env, connection, request).await?;
    // An answer without a body has its status in the headers.
    let code = status_of(&trailers).or_else(|| status_of(&answer));
    let code = code.unwrap_or(UNKNOWN);
    // As in the real exporter, only a call that was answered well tells over what.
    if let (OK, Some(session)) = (code, session) {
        probe.set(SSL, 1.0);
        probe.session(&session, SessionMetrics::Few);
    }
    Ok(Answer {
        code,
        serving: serving_of(&body),
    })
}

fn request(settings: &GrpcSettings, address: &Address) -> Result<Request<Full<Bytes>>, String> {
    let scheme = if settings.tls { "https" } else { "http" };
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(format!("{scheme}://{address}{CHECK}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for (name, values) in &settings.metadata {
        let name = HeaderName::try_from(name.as_str()).map_err(|error| error.to_string())?;
        for value in values {
            let value = HeaderValue::try_from(value.as_str()).map_err(|error| error.to_string())?;
            request = request.header(name.clone(), value);
        }
    }
    let body = Full::new(frame(&settings.service));
    request.body(body).map_err(|error| error.to_string())
}

/// A call over a connection of its own: headers, trailers and body of the answer.
async fn exchange(
    env: &Env,
    connection: Connection,
    request: Request<Full<Bytes>>,
) -> Result<(HeaderMap, HeaderMap, Bytes), String> {
    let handshake = http2::handshake(HostExecutor(env.clone()), TokioIo::new(connection));
    let (mut sender, driver) = handshake.await.map_err(|error| error.to_string())?;
    env.spawn(async move {
        // What breaks here is told to the call.
        let _ = driver.await;
    });
    let answer = sender.send_request(request).await;
    let (head, body) = answer.map_err(|error| error.to_string())?.into_parts();
    if !head.status.is_success() {
        return Err(format!("the server answered {}", head.status));
    }
    let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
    let body = body.map_err(|error| error.to_string())?;
    let trailers = body.trailers().cloned().unwrap_or_default();
    Ok((head.headers, trailers, body.to_bytes()))
}

/// Runs the tasks of a connection as tasks of the host.
#[derive(Clone)]
pub(super) struct HostExecutor(pub(super) Env);

impl<F> hyper::rt::Executor<F> for HostExecutor
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}

/// `HealthCheckRequest {string service = 1}` in a frame of gRPC: not compressed, four bytes of length, the message.
fn frame(service: &str) -> Bytes {
    let mut message = Vec::new();
    if !service.is_empty() {
        message.push(0x0a);
        let mut length = service.len();
        while length > 0x7f {
            message.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        message.push(length as u8);
        message.extend_from_slice(service.as_bytes());
    }
    let mut out = vec![0];
    out.extend_from_slice(&(message.len() as u32).to_be_bytes());
    out.extend_from_slice(&message);
    out.into()
}

fn status_of(headers: &HeaderMap) -> Option<u32> {
    headers.get("grpc-status")?.to_str().ok()?.parse().ok()
}

/// `HealthCheckResponse {ServingStatus status = 1}`; a number that is left out is 0.
fn serving_of(body: &[u8]) -> Option<&'static str> {
    let length = u32::from_be_bytes(body.get(1..5)?.try_into().ok()?) as usize;
    let message = body.get(5..5 + length)?;
    match message {
        [] => Some(SERVING_STATUSES[0]),
        [0x08, status, ..] => SERVING_STATUSES.get(usize::from(*status)).copied(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_framed() {
        assert_eq!(&frame("")[..], [0, 0, 0, 0, 0]);
        assert_eq!(&frame("ab")[..], [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']);
        let long = frame(&"x".repeat(200));
        assert_eq!(long[..8], [0, 0, 0, 0, 203, 0x0a, 0xc8, 0x01]);
    }

    #[test]
    fn answers_are_read() {
        for (body, expected) in [
            (&[0, 0, 0, 0, 2, 8, 1][..], Some("SERVING")),
            (&[0, 0, 0, 0, 2, 8, 2], Some("NOT_SERVING")),
            (&[0, 0, 0, 0, 0], Some("UNKNOWN")),
            (&[0, 0, 0, 0, 2, 8, 9], None),
            (&[0, 0, 0, 0, 9, 8, 1], None),
            (&[], None),
        ] {
            assert_eq!(serving_of(body), expected, "{body:?}");
        }
    }
}

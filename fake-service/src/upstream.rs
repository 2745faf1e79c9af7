//! Calls to other services.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use gameday_env::HttpErrorKind;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header, uri};

use crate::config::Upstream;
use crate::faults::{Effect, Point, Then};
use crate::service::Inner;
use crate::telemetry::{Attributes, Side};
use crate::trace_context::{TRACEPARENT, TRACESTATE, TraceParent};

/// The largest answer that is passed on.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// What is asked of another service.
pub(crate) struct Call<'a> {
    pub(crate) upstream: &'a str,
    /// Method and route template: the name of the span.
    pub(crate) name: &'static str,
    /// What stands in place of `{id}`.
    pub(crate) id: Option<&'a str>,
    pub(crate) parent: Option<TraceParent>,
    /// The caller's `tracestate`, which is handed on as it is.
    pub(crate) tracestate: Option<HeaderValue>,
}

/// A service to call, with what each call needs.
pub(crate) struct Callee {
    pub(crate) upstream: Upstream,
    pub(crate) authority: uri::Authority,
    pub(crate) server_address: Arc<str>,
}

/// Why there is no answer to pass on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("upstream {upstream}: {reason}")]
pub(crate) struct CallError {
    upstream: String,
    reason: String,
    /// What the own caller is told: 504 where the time was up, else 502.
    pub(crate) status: StatusCode,
    /// `error.type`; empty where the span bears the status already.
    error_type: &'static str,
}

/// Calls; an answer of status 500 or more is an error here, as it is for the own caller.
pub(crate) async fn call(
    service: &Arc<Inner>,
    call: &Call<'_>,
) -> Result<(StatusCode, Bytes), CallError> {
    let mut callees = service.callees.iter();
    let Some(callee) = callees.find(|it| it.upstream.name == call.upstream) else {
        let reason = "is not among the upstreams of this service";
        return Err(bad_gateway(call, "unknown_upstream", reason));
    };
    let (method, template) = call.name.split_once(' ').unwrap_or(("GET", call.name));
    let path = match call.id {
        None => Cow::Borrowed(template),
        Some(id) => Cow::Owned(template.replace("{id}", id)),
    };
    let authority = callee.authority.as_str();
    let attributes = Attributes::new()
        .with("http.request.method", method)
        .with("url.full", ["http://", authority, &path].concat())
        .with("url.template", template)
        .with_shared("server.address", &callee.server_address)
        .with("server.port", i64::from(callee.upstream.address.port));
    let mut span = service
        .telemetry
        .span(Side::Client, call.name, call.parent, attributes);
    let answered = match request(method, callee, &path, span.context(), call) {
        Some(request) => exchange(service, callee, call, request).await,
        None => Err(bad_gateway(
            call,
            "bad_request",
            format!("{path:?} is no path"),
        )),
    };
    let outcome = answered.and_then(|(status, body)| {
        span.set("http.response.status_code", i64::from(status.as_u16()));
        if status.is_client_error() || status.is_server_error() {
            span.fail(status.as_str().to_owned(), "");
        }
        if status.is_server_error() {
            let reason = format!("answered {}", status.as_u16());
            return Err(bad_gateway(call, "", reason));
        }
        if body.len() > ANSWER_BYTES_MAX {
            let reason = format!("answered with more than {ANSWER_BYTES_MAX} bytes");
            return Err(bad_gateway(call, "too_large", reason));
        }
        Ok((status, body))
    });
    if let Err(failure) = &outcome
        && !failure.error_type.is_empty()
    {
        span.fail(failure.error_type, failure.reason.clone());
    }
    outcome
}

fn bad_gateway(call: &Call<'_>, error_type: &'static str, reason: impl Into<String>) -> CallError {
    CallError {
        upstream: call.upstream.to_owned(),
        reason: reason.into(),
        status: StatusCode::BAD_GATEWAY,
        error_type,
    }
}

fn timed_out(call: &Call<'_>, reason: String) -> CallError {
    CallError {
        status: StatusCode::GATEWAY_TIMEOUT,
        ..bad_gateway(call, "timeout", reason)
    }
}

/// Faults on the way, then the request; both within the limit of the upstream.
async fn exchange(
    service: &Inner,
    callee: &Callee,
    call: &Call<'_>,
    request: Request<Bytes>,
) -> Result<(StatusCode, Bytes), CallError> {
    let mut limit = callee.upstream.timeout;
    let effect = service.faults.at(Point::Call(call.upstream));
    if effect != Effect::default() {
        let begin = service.env.now();
        let undergone = service.faults.undergo(effect);
        match service.env.clock().timeout(limit, undergone).await {
            Ok(Then::Continue) => {}
            Ok(Then::Fail(status)) => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
                return Ok((status, Bytes::new()));
            }
            Ok(Then::Abort | Then::Hang) => {
                return Err(bad_gateway(call, "connection_reset", "connection reset"));
            }
            Err(elapsed) => return Err(timed_out(call, elapsed.to_string())),
        }
        limit = limit.saturating_sub(service.env.now().since(begin));
    }
    let answered = service.client.send(request, limit).await;
    answered
        .map(|response| (response.status(), response.into_body()))
        .map_err(|failure| {
            let error_type = match failure.kind {
                HttpErrorKind::Timeout => return timed_out(call, failure.reason),
                HttpErrorKind::Refused => "connection_refused",
                HttpErrorKind::UnknownHost => "unknown_host",
                HttpErrorKind::Broken => "connection_reset",
                HttpErrorKind::TooLarge => "too_large",
                HttpErrorKind::Tls => "tls_handshake_failed",
                HttpErrorKind::Proxy => "proxy_failed",
            };
            bad_gateway(call, error_type, failure.reason)
        })
}

fn request(
    method: &str,
    callee: &Callee,
    path: &str,
    span: TraceParent,
    call: &Call<'_>,
) -> Option<Request<Bytes>> {
    let uri = Uri::builder()
        .scheme(uri::Scheme::HTTP)
        .authority(callee.authority.clone())
        .path_and_query(path)
        .build()
        .ok()?;
    let mut request = Request::new(Bytes::new());
    *request.method_mut() = Method::from_bytes(method.as_bytes()).ok()?;
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    headers.insert(TRACEPARENT, HeaderValue::from_bytes(&span.header()).ok()?);
    if let Some(tracestate) = &call.tracestate {
        headers.insert(TRACESTATE, tracestate.clone());
    }
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    Some(request)
}

//! Calls to other services.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gameday_env::HttpErrorKind;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header, uri};

use crate::config::Upstream;
use crate::faults::{Point, Then};
use crate::service::Inner;
use crate::telemetry::Side;
use crate::trace_context::TraceParent;

/// The largest answer that is passed on.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// The client's own limit is never reached: the limit of the call, faults included, is the upstream's.
const CLIENT_LIMIT: Duration = Duration::from_secs(3600);

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
    error_type: &'static str,
}

/// Calls; an answer of status 500 or more is an error here, as it is for the own caller.
pub(crate) async fn call(
    service: &Arc<Inner>,
    call: &Call<'_>,
) -> Result<(StatusCode, Bytes), CallError> {
    let error = |status, error_type, reason: String| CallError {
        upstream: call.upstream.to_owned(),
        reason,
        status,
        error_type,
    };
    let Some(callee) = service
        .callees
        .iter()
        .find(|it| it.upstream.name == call.upstream)
    else {
        let reason = "is not among the upstreams of this service".to_owned();
        return Err(error(StatusCode::BAD_GATEWAY, "unknown_upstream", reason));
    };
    let (method, template) = call.name.split_once(' ').unwrap_or(("GET", call.name));
    let path = match call.id {
        None => Cow::Borrowed(template),
        Some(id) => Cow::Owned(template.replace("{id}", id)),
    };
    let (upstream, authority) = (&callee.upstream, &callee.authority);
    let mut span = service.telemetry.span(Side::Client, call.name, call.parent);
    span.set("http.request.method", method);
    span.set("url.full", format!("http://{authority}{path}"));
    span.set("url.template", template);
    span.set_shared("server.address", &callee.server_address);
    span.set("server.port", i64::from(upstream.address.port));

    let effect = service.faults.at(Point::Call(call.upstream));
    let limited = service.env.clock().timeout(upstream.timeout, async {
        match service.faults.undergo(effect).await {
            Then::Continue => {}
            Then::Fail(status) => {
                return Ok((
                    StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY),
                    Bytes::new(),
                ));
            }
            Then::Abort | Then::Hang => {
                let reason = "connection reset".to_owned();
                return Err(error(StatusCode::BAD_GATEWAY, "connection_reset", reason));
            }
        }
        let request = request(
            method,
            authority,
            &path,
            span.context(),
            call.tracestate.as_ref(),
        )
        .ok_or_else(|| {
            let reason = format!("{path:?} is no path");
            error(StatusCode::BAD_REQUEST, "bad_request", reason)
        })?;
        let answered = service.client.send(request, CLIENT_LIMIT).await;
        answered
            .map(|response| (response.status(), response.into_body()))
            .map_err(|failure| {
                let (status, error_type) = match failure.kind {
                    HttpErrorKind::Timeout => (StatusCode::GATEWAY_TIMEOUT, "timeout"),
                    HttpErrorKind::Refused => (StatusCode::BAD_GATEWAY, "connection_refused"),
                    HttpErrorKind::UnknownHost => (StatusCode::BAD_GATEWAY, "unknown_host"),
                    HttpErrorKind::Broken => (StatusCode::BAD_GATEWAY, "connection_reset"),
                    HttpErrorKind::TooLarge => (StatusCode::BAD_GATEWAY, "too_large"),
                };
                error(status, error_type, failure.reason)
            })
    });
    let outcome = limited.await.unwrap_or_else(|elapsed| {
        Err(error(
            StatusCode::GATEWAY_TIMEOUT,
            "timeout",
            elapsed.to_string(),
        ))
    });
    match outcome {
        Ok((status, body)) => {
            span.set("http.response.status_code", i64::from(status.as_u16()));
            if status.is_client_error() || status.is_server_error() {
                span.fail(status.as_str().to_owned(), "");
            }
            if status.is_server_error() {
                let reason = format!("answered {}", status.as_u16());
                return Err(error(StatusCode::BAD_GATEWAY, "bad_status", reason));
            }
            if body.len() > ANSWER_BYTES_MAX {
                let reason = format!("answered with more than {ANSWER_BYTES_MAX} bytes");
                return Err(error(StatusCode::BAD_GATEWAY, "too_large", reason));
            }
            Ok((status, body))
        }
        Err(failure) => {
            span.fail(failure.error_type, failure.reason.clone());
            Err(failure)
        }
    }
}

fn request(
    method: &str,
    authority: &uri::Authority,
    path: &str,
    span: TraceParent,
    tracestate: Option<&HeaderValue>,
) -> Option<Request<Bytes>> {
    let uri = Uri::builder()
        .scheme(uri::Scheme::HTTP)
        .authority(authority.clone())
        .path_and_query(path)
        .build()
        .ok()?;
    let mut request = Request::new(Bytes::new());
    *request.method_mut() = Method::from_bytes(method.as_bytes()).ok()?;
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    headers.insert("traceparent", HeaderValue::from_bytes(&span.header()).ok()?);
    if let Some(tracestate) = tracestate {
        headers.insert("tracestate", tracestate.clone());
    }
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    Some(request)
}

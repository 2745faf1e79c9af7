//! OTLP over HTTP, on the collector's port and on those of Prometheus and Loki.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use gameday_wire::otlp::{
    Encoding, Limits, OtlpError, Signal, StatusCode as RpcCode, decode_logs, decode_metrics,
    decode_traces, export_response, status_response,
};

use super::body::{Refused, decompressed, text_of};
use super::{MetricsExport, Outcome, ReceiveHost, cors, joined};

pub(super) fn collector_routes<H: ReceiveHost>(host: H) -> Router {
    Router::new()
        .route("/v1/traces", post(traces::<H>))
        .route("/v1/metrics", post(metrics::<H>))
        .route("/v1/logs", post(logs::<H>))
        .layer(axum::middleware::from_fn(cors::allow))
        .with_state(host)
}

pub(super) fn own_metrics_routes<H: ReceiveHost>(host: H) -> Router {
    Router::new()
        .route("/metrics", get(own_metrics::<H>))
        .with_state(host)
}

async fn own_metrics<H: ReceiveHost>(State(host): State<H>) -> Response {
    let content_type = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    (
        [(header::CONTENT_TYPE, content_type)],
        host.collector_metrics(),
    )
        .into_response()
}

pub(super) fn prometheus_routes<H: ReceiveHost>(host: H) -> Router {
    Router::new()
        .route("/api/v1/otlp/v1/metrics", post(prometheus_metrics::<H>))
        .with_state(host)
}

pub(super) fn loki_routes<H: ReceiveHost>(host: H) -> Router {
    Router::new()
        .route("/otlp/v1/logs", post(loki_logs::<H>))
        .with_state(host)
}

async fn traces<H: ReceiveHost>(State(host): State<H>, headers: HeaderMap, body: Body) -> Response {
    export(&host, Signal::Traces, &headers, body).await
}

async fn metrics<H: ReceiveHost>(
    State(host): State<H>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    export(&host, Signal::Metrics, &headers, body).await
}

async fn logs<H: ReceiveHost>(State(host): State<H>, headers: HeaderMap, body: Body) -> Response {
    export(&host, Signal::Logs, &headers, body).await
}

/// Prometheus answers 400 where something was refused, and keeps the rest.
async fn prometheus_metrics<H: ReceiveHost>(
    State(host): State<H>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let (encoding, bytes) = match read(&host, &headers, body).await {
        Ok(read) => read,
        Err(refusal) => return refusal,
    };
    match take(&host, Door::Store, Signal::Metrics, encoding, &bytes) {
        Ok(outcome) if outcome.rejected > 0 => {
            (StatusCode::BAD_REQUEST, outcome.message).into_response()
        }
        Ok(_) => StatusCode::OK.into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    }
}

/// Loki answers 204, and 400 or 429 where lines were refused; the rest is kept.
async fn loki_logs<H: ReceiveHost>(
    State(host): State<H>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let (encoding, bytes) = match read(&host, &headers, body).await {
        Ok(read) => read,
        Err(refusal) => return refusal,
    };
    match take(&host, Door::Store, Signal::Logs, encoding, &bytes) {
        Ok(outcome) if outcome.rejected > 0 => {
            let (status, code) = if outcome.is_rate_limited {
                (StatusCode::TOO_MANY_REQUESTS, RpcCode::ResourceExhausted)
            } else {
                (StatusCode::BAD_REQUEST, RpcCode::InvalidArgument)
            };
            answer(
                status,
                encoding,
                status_response(encoding, code, &outcome.message),
            )
        }
        Ok(_) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => refused(encoding, &bad_request(&error)),
    }
}

async fn export<H: ReceiveHost>(
    host: &H,
    signal: Signal,
    headers: &HeaderMap,
    body: Body,
) -> Response {
    let (encoding, bytes) = match read(host, headers, body).await {
        Ok(read) => read,
        Err(refusal) => return refusal,
    };
    match take(host, Door::Collector("http"), signal, encoding, &bytes) {
        Ok(outcome) if outcome.is_rate_limited || outcome.is_overloaded => {
            let (code, status) = if outcome.is_overloaded {
                (RpcCode::Unavailable, StatusCode::SERVICE_UNAVAILABLE)
            } else {
                (RpcCode::ResourceExhausted, StatusCode::TOO_MANY_REQUESTS)
            };
            let body = status_response(encoding, code, &outcome.message);
            let mut response = answer(status, encoding, body);
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            response
        }
        Ok(outcome) => {
            let body = export_response(signal, encoding, outcome.rejected, &outcome.message);
            answer(StatusCode::OK, encoding, body)
        }
        Err(error) => refused(encoding, &bad_request(&error)),
    }
}

fn bad_request(error: &OtlpError) -> Refused {
    Refused::new(StatusCode::BAD_REQUEST, error.to_string())
}

/// The encoding and the decompressed body; a refusal is answered in the encoding of the request.
async fn read<H: ReceiveHost>(
    host: &H,
    headers: &HeaderMap,
    body: Body,
) -> Result<(Encoding, Bytes), Response> {
    let content_type = text_of(headers, &header::CONTENT_TYPE);
    let Some(encoding) = Encoding::of_content_type(content_type) else {
        let message = format!(
            "unsupported Content-Type {content_type:?}, expected application/x-protobuf or application/json"
        );
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, message).into_response());
    };
    match decompressed(&host.clock(), headers, body).await {
        Ok(bytes) => Ok((encoding, bytes)),
        Err(refusal) => Err(refused(encoding, &refusal)),
    }
}

fn refused(encoding: Encoding, refusal: &Refused) -> Response {
    let body = status_response(encoding, RpcCode::InvalidArgument, &refusal.message);
    answer(refusal.status, encoding, body)
}

fn answer(status: StatusCode, encoding: Encoding, body: Vec<u8>) -> Response {
    let content_type = HeaderValue::from_static(encoding.content_type());
    (status, [(header::CONTENT_TYPE, content_type)], body).into_response()
}

/// The way that a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    /// To the collector, over `http` or `grpc`.
    Collector(&'static str),
    /// Straight to a store.
    Store,
}

/// Decodes a request of a signal and hands it on; used by HTTP and gRPC.
pub(super) fn take<H: ReceiveHost>(
    host: &H,
    door: Door,
    signal: Signal,
    encoding: Encoding,
    body: &[u8],
) -> Result<Outcome, OtlpError> {
    let limits = Limits::default();
    let (outcome, refused, message) = match signal {
        Signal::Traces => {
            let decoded = decode_traces(body, encoding, &limits, host.clock().now())?;
            let outcome = match door {
                Door::Collector(transport) => {
                    host.collect_spans(decoded.items, decoded.rejected, transport)
                }
                Door::Store => host.push_spans(decoded.items),
            };
            (outcome, decoded.rejected, decoded.message)
        }
        Signal::Logs => {
            let decoded = decode_logs(body, encoding, &limits)?;
            let outcome = match door {
                Door::Collector(transport) => {
                    host.collect_log_records(decoded.items, decoded.rejected, transport)
                }
                Door::Store => host.push_log_records(decoded.items),
            };
            (outcome, decoded.rejected, decoded.message)
        }
        Signal::Metrics => {
            let decoded = decode_metrics(body, encoding, &limits, &host.otlp_options())?;
            let outcome = match door {
                Door::Collector(transport) => {
                    let export = MetricsExport {
                        samples: decoded.samples,
                        refused: decoded.rejected,
                        body,
                        encoding,
                    };
                    host.collect_metrics(export, transport)
                }
                Door::Store => host.push_samples(decoded.samples),
            };
            host.push_metadata(decoded.metadata);
            (outcome, decoded.rejected, decoded.message)
        }
    };
    Ok(Outcome {
        rejected: refused + outcome.rejected,
        message: joined(&message, &outcome.message),
        ..outcome
    })
}

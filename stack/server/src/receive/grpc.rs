//! OTLP over gRPC: the three Export calls, unary, as a service for an HTTP/2 server.
//!
//! A call is a POST with one length-prefixed message; the answer is one message and trailers with `grpc-status`
//! (github.com/grpc/grpc, PROTOCOL-HTTP2.md). A failure is an answer of trailers alone.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use gameday_wire::otlp::{Encoding, Signal, export_response};
use gameday_wire::{CompressionError, gunzip};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};

use super::ReceiveHost;
use super::body::{BODY_BYTES_MAX, raw, text_of};
use super::otlp::{Door, take};

/// The service of the OTLP/gRPC receiver.
#[derive(Clone, Debug)]
pub struct OtlpGrpc<H>(pub H);

/// Codes of gRPC (grpc/grpc, statuscodes.md) that are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Code {
    Ok = 0,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    ResourceExhausted = 8,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
}

/// Why a call failed.
struct Failure {
    code: Code,
    message: String,
}

impl Failure {
    fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

/// One byte for the compression, four for the length.
const PREFIX_BYTES: usize = 5;

impl<H: ReceiveHost, B> tower::Service<Request<B>> for OtlpGrpc<H>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let host = self.0.clone();
        Box::pin(async move {
            let answer = call(&host, request.map(Body::new)).await;
            Ok(answer.unwrap_or_else(|failure| failed(&failure)))
        })
    }
}

async fn call<H: ReceiveHost>(host: &H, request: Request<Body>) -> Result<Response<Body>, Failure> {
    let (head, body) = request.into_parts();
    if !text_of(&head.headers, &header::CONTENT_TYPE).starts_with("application/grpc") {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Ok(response);
    }
    let signal = match head.uri.path() {
        "/opentelemetry.proto.collector.trace.v1.TraceService/Export" => Signal::Traces,
        "/opentelemetry.proto.collector.logs.v1.LogsService/Export" => Signal::Logs,
        "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export" => Signal::Metrics,
        other => {
            return Err(Failure::new(
                Code::Unimplemented,
                format!("unknown method {other}"),
            ));
        }
    };
    let body = raw(&host.clock(), body).await.map_err(|refusal| {
        let code = match refusal.status {
            StatusCode::PAYLOAD_TOO_LARGE => Code::ResourceExhausted,
            StatusCode::REQUEST_TIMEOUT => Code::DeadlineExceeded,
            _ => Code::Internal,
        };
        Failure::new(code, refusal.message)
    })?;
    let message = message(&body, text_of(&head.headers, &ENCODING))?;
    let outcome = take(
        host,
        Door::Collector("grpc"),
        signal,
        Encoding::Protobuf,
        &message,
    )
    .map_err(|error| Failure::new(Code::InvalidArgument, error.to_string()))?;
    if outcome.is_overloaded {
        return Err(Failure::new(Code::Unavailable, outcome.message));
    }
    if outcome.is_rate_limited {
        return Err(Failure::new(Code::ResourceExhausted, outcome.message));
    }
    let answer = export_response(
        signal,
        Encoding::Protobuf,
        outcome.rejected,
        &outcome.message,
    );
    Ok(answered(&answer))
}

const ENCODING: header::HeaderName = header::HeaderName::from_static("grpc-encoding");
const STATUS: header::HeaderName = header::HeaderName::from_static("grpc-status");
const MESSAGE: header::HeaderName = header::HeaderName::from_static("grpc-message");

/// The one message of a unary call.
fn message(body: &Bytes, encoding: &str) -> Result<Bytes, Failure> {
    let invalid = |reason: &str| Failure::new(Code::InvalidArgument, reason);
    if body.len() < PREFIX_BYTES {
        return Err(invalid("the call has no message"));
    }
    let length = u32::from_be_bytes([body[1], body[2], body[3], body[4]]) as usize;
    let message = body.slice(PREFIX_BYTES..);
    if message.len() != length {
        return Err(invalid(
            "the length of the message is not that of its prefix",
        ));
    }
    match (body[0], encoding) {
        (0, _) => Ok(message),
        (1, "gzip") => {
            gunzip(&message, BODY_BYTES_MAX)
                .map(Bytes::from)
                .map_err(|error| match error {
                    CompressionError::TooLarge { .. } => {
                        Failure::new(Code::ResourceExhausted, error.to_string())
                    }
                    CompressionError::Invalid { .. } => invalid(&error.to_string()),
                })
        }
        (1, other) => Err(Failure::new(
            Code::Unimplemented,
            format!("unsupported grpc-encoding {other:?}, expected gzip"),
        )),
        _ => Err(invalid("the compression flag is neither 0 nor 1")),
    }
}

fn answered(message: &[u8]) -> Response<Body> {
    let mut bytes = Vec::with_capacity(PREFIX_BYTES + message.len());
    bytes.push(0);
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(message);
    let mut trailers = HeaderMap::new();
    trailers.insert(STATUS, HeaderValue::from(Code::Ok as i32));
    let body = Full::new(Bytes::from(bytes))
        .with_trailers(async move { Some(Ok::<_, Infallible>(trailers)) });
    let mut response = Response::new(Body::new(body));
    grpc_headers(response.headers_mut());
    response
}

fn failed(failure: &Failure) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    grpc_headers(headers);
    headers.insert(STATUS, HeaderValue::from(failure.code as i32));
    if let Ok(message) = HeaderValue::from_str(&percent_encoded(&failure.message)) {
        headers.insert(MESSAGE, message);
    }
    response
}

fn grpc_headers(headers: &mut HeaderMap) {
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/grpc"),
    );
    headers.insert(
        header::HeaderName::from_static("grpc-accept-encoding"),
        HeaderValue::from_static("identity,gzip"),
    );
}

/// gRPC's encoding of a message: printable ASCII but `%` stays.
fn percent_encoded(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes().take(4096) {
        if (0x20..=0x7e).contains(&byte) && byte != b'%' {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

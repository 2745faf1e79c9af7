//! Reading a request's body: with a limit on its size before and after decompression, and on the time it may take.

use std::time::Duration;

use axum::body::{Body, Bytes};
use gameday_env::Clock;
use gameday_wire::{CompressionError, gunzip};
use http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};

/// A body may be this large, compressed or not; OpenTelemetry's collector has a limit of 20 MiB, otel-lgtm's of 64 MiB.
pub const BODY_BYTES_MAX: usize = 64 << 20;
/// A body has to be there this long after the head of its request; a client that stalls must not hold memory for ever.
pub const BODY_STALL: Duration = Duration::from_secs(30);

/// A body that is refused: the status and the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    pub(super) message: String,
}

impl Refused {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
        }
    }
}

/// Reads a body as it was sent.
pub(super) async fn raw(clock: &Clock, body: Body) -> Result<Bytes, Refused> {
    let collected = clock
        .timeout(BODY_STALL, Limited::new(body, BODY_BYTES_MAX).collect())
        .await
        .map_err(|_| {
            Refused::new(
                StatusCode::REQUEST_TIMEOUT,
                format!("the body was not complete after {} s", BODY_STALL.as_secs()),
            )
        })?;
    match collected {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
        Err(error) => Err(Refused::new(
            StatusCode::BAD_REQUEST,
            format!("the body could not be read: {error}"),
        )),
    }
}

fn too_large() -> Refused {
    Refused::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        format!("request body too large, the limit is {BODY_BYTES_MAX} bytes"),
    )
}

/// Reads a body and decompresses it where its Content-Encoding is gzip.
pub(super) async fn decompressed(
    clock: &Clock,
    headers: &HeaderMap,
    body: Body,
) -> Result<Bytes, Refused> {
    let encoding = text_of(headers, &header::CONTENT_ENCODING).to_owned();
    if !matches!(encoding.as_str(), "" | "identity" | "gzip") {
        return Err(Refused::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            format!("unsupported Content-Encoding {encoding:?}, expected gzip"),
        ));
    }
    let raw = raw(clock, body).await?;
    if encoding != "gzip" {
        return Ok(raw);
    }
    gunzip(&raw, BODY_BYTES_MAX)
        .map(Bytes::from)
        .map_err(|error| match error {
            CompressionError::TooLarge { .. } => too_large(),
            CompressionError::Invalid { .. } => {
                Refused::new(StatusCode::BAD_REQUEST, error.to_string())
            }
        })
}

/// The text of a header, or the empty text.
pub(super) fn text_of<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> &'a str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

//! Asking a target.

use bytes::Bytes;
use gameday_env::{AnswerLimit, HttpErrorKind};
use gameday_wire::{CompressionError, gunzip};
use http::{Request, Response, StatusCode, header};

use super::scraper::ScrapeJob;
use crate::config::{NameEscaping, ScrapeProtocol};
use crate::outgoing::Outgoing;

/// The answer of a target, decompressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Its Content-Type.
    pub content_type: Option<String>,
    /// Its body.
    pub body: Bytes,
}

/// The failure of an answer that is larger than its limit.
pub(super) const BODY_SIZE_EXCEEDED: &str = "body size limit exceeded";
/// An answer without a limit of its own may be this large.
const BODY_BYTES_MAX: usize = 256 << 20;
/// How many protocols Prometheus knows, which decides about the weights in the Accept header.
const PROTOCOLS: usize = 5;

/// Asks a target and reads its answer.
pub(super) async fn fetch(
    outgoing: &Outgoing,
    job: &ScrapeJob,
    read: &(dyn Fn(&str) -> std::io::Result<String> + Sync),
) -> Result<Fetched, String> {
    let failed = |reason: &str| format!("Get {:?}: {reason}", job.url);
    let mut options = job.http.request_options(read)?;
    // What is over the limit is not even read; compressed answers are measured again when they are unpacked.
    let limit = body_limit(job);
    options.transport.answer = AnswerLimit::Refuse(limit);
    let request = request(job, &job.http.request_headers(read)?)?;
    let answer = outgoing
        .send(request, &options, job.timeout)
        .await
        .map_err(|error| match error.kind {
            HttpErrorKind::Timeout => failed("context deadline exceeded"),
            HttpErrorKind::TooLarge => BODY_SIZE_EXCEEDED.to_owned(),
            _ => failed(&error.reason),
        })?;
    body(answer, limit)
}

fn request(job: &ScrapeJob, headers: &[(String, String)]) -> Result<Request<Bytes>, String> {
    let mut request = Request::get(&job.url)
        .header(header::ACCEPT, accept(&job.protocols, job.escaping))
        .header(header::USER_AGENT, "gameday")
        .header(
            "X-Prometheus-Scrape-Timeout-Seconds",
            job.timeout.as_secs_f64().to_string(),
        );
    if job.enable_compression {
        request = request.header(header::ACCEPT_ENCODING, "gzip");
    }
    for (name, value) in headers {
        request = request.header(name, value);
    }
    request
        .body(Bytes::new())
        .map_err(|error| format!("invalid request for {:?}: {error}", job.url))
}

/// The Accept header: each protocol weighs less than the one before it (scrape, acceptHeader).
fn accept(protocols: &[ScrapeProtocol], escaping: NameEscaping) -> String {
    let mut weight = PROTOCOLS + 1;
    let mut parts = Vec::with_capacity(protocols.len() + 1);
    for protocol in protocols {
        parts.push(format!("{};q=0.{weight}", protocol.accept(escaping)));
        weight = weight.saturating_sub(1);
    }
    parts.push(format!("*/*;q=0.{weight}"));
    parts.join(",")
}

/// The largest answer of this target.
fn body_limit(job: &ScrapeJob) -> usize {
    job.body_size_limit
        .and_then(|limit| usize::try_from(limit).ok())
        .unwrap_or(BODY_BYTES_MAX)
}

fn body(answer: Response<Bytes>, limit: usize) -> Result<Fetched, String> {
    let status = answer.status();
    if status != StatusCode::OK {
        return Err(format!("server returned HTTP status {status}"));
    }
    let (head, raw) = answer.into_parts();
    let text = |name: header::HeaderName| {
        head.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned)
    };
    let body = match text(header::CONTENT_ENCODING).as_deref() {
        Some("gzip") => gunzip(&raw, limit)
            .map(Bytes::from)
            .map_err(|error| match error {
                CompressionError::TooLarge { .. } => BODY_SIZE_EXCEEDED.to_owned(),
                CompressionError::Invalid { .. } => error.to_string(),
            })?,
        None | Some("identity") => raw,
        Some(other) => return Err(format!("unsupported Content-Encoding {other:?}")),
    };
    if body.len() > limit {
        return Err(BODY_SIZE_EXCEEDED.to_owned());
    }
    Ok(Fetched {
        content_type: text(header::CONTENT_TYPE),
        body,
    })
}

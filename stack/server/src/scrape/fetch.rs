//! Asking a target.

use std::time::Duration;

use bytes::Bytes;
use gameday_env::{HttpClient, HttpErrorKind};
use gameday_wire::{CompressionError, gunzip};
use http::{Request, Response, StatusCode, header};

use super::scraper::ScrapeJob;
use crate::config::{NameEscaping, ScrapeProtocol};

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
/// Go's http.Client follows this many redirects.
const REDIRECTS_MAX: usize = 10;
/// How many protocols Prometheus knows, which decides about the weights in the Accept header.
const PROTOCOLS: usize = 5;

/// Asks a target and reads its answer.
pub(super) async fn fetch(
    client: &HttpClient,
    job: &ScrapeJob,
    read: &(dyn Fn(&str) -> std::io::Result<String> + Sync),
) -> Result<Fetched, String> {
    let authorization = job.http.authorization_header(read)?;
    let mut url = job.url.clone();
    for _ in 0..REDIRECTS_MAX {
        if url.starts_with("https://") {
            return Err(format!(
                "Get {url:?}: the embedded stack scrapes without TLS only"
            ));
        }
        let request = request(job, &url, authorization.as_deref())?;
        let answer = send(client, request, job.timeout).await?;
        let target = redirect(&answer, &url).filter(|_| job.follow_redirects);
        match target {
            Some(target) => url = target,
            None => return body(job, answer),
        }
    }
    Err(format!(
        "Get {url:?}: stopped after {REDIRECTS_MAX} redirects"
    ))
}

async fn send(
    client: &HttpClient,
    request: Request<Bytes>,
    timeout: Duration,
) -> Result<Response<Bytes>, String> {
    let url = request.uri().to_string();
    client.send(request, timeout).await.map_err(|error| {
        let reason = if error.kind == HttpErrorKind::Timeout {
            "context deadline exceeded"
        } else {
            &error.reason
        };
        format!("Get {url:?}: {reason}")
    })
}

fn request(
    job: &ScrapeJob,
    url: &str,
    authorization: Option<&str>,
) -> Result<Request<Bytes>, String> {
    let mut request = Request::get(url)
        .header(header::ACCEPT, accept(&job.protocols, job.escaping))
        .header(header::USER_AGENT, "gameday")
        .header(
            "X-Prometheus-Scrape-Timeout-Seconds",
            job.timeout.as_secs_f64().to_string(),
        );
    if job.enable_compression {
        request = request.header(header::ACCEPT_ENCODING, "gzip");
    }
    if let Some(value) = authorization {
        request = request.header(header::AUTHORIZATION, value);
    }
    request
        .body(Bytes::new())
        .map_err(|error| format!("invalid request for {url:?}: {error}"))
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

/// Where an answer sends us, if it does: an absolute address, or a path on the same host.
fn redirect(answer: &Response<Bytes>, url: &str) -> Option<String> {
    if !matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = answer.headers().get(header::LOCATION)?.to_str().ok()?;
    if location.starts_with("http://") || location.starts_with("https://") {
        return Some(location.to_owned());
    }
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.split(['/', '?']).next()?;
    location
        .starts_with('/')
        .then(|| format!("{scheme}://{host}{location}"))
}

fn body(job: &ScrapeJob, answer: Response<Bytes>) -> Result<Fetched, String> {
    let status = answer.status();
    if status != StatusCode::OK {
        return Err(format!("server returned HTTP status {status}"));
    }
    let limit = job
        .body_size_limit
        .and_then(|limit| usize::try_from(limit).ok())
        .unwrap_or(BODY_BYTES_MAX);
    let (head, raw) = answer.into_parts();
    let text = |name: header::HeaderName| {
        head.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned)
    };
    let too_large = || BODY_SIZE_EXCEEDED.to_owned();
    let body = match text(header::CONTENT_ENCODING).as_deref() {
        Some("gzip") => gunzip(&raw, limit)
            .map(Bytes::from)
            .map_err(|error| match error {
                CompressionError::TooLarge { .. } => too_large(),
                CompressionError::Invalid { .. } => error.to_string(),
            })?,
        None | Some("identity") => raw,
        Some(other) => return Err(format!("unsupported Content-Encoding {other:?}")),
    };
    if body.len() > limit {
        return Err(too_large());
    }
    Ok(Fetched {
        content_type: text(header::CONTENT_TYPE),
        body,
    })
}

//! OTLP 1.x: traces, logs and metrics, protobuf and JSON, for HTTP and gRPC receivers alike.
//!
//! An item that breaks a rule or a limit is refused alone: the rest is taken, and [`Decoded`] says how many were refused and why, which
//! the answer tells the sender as OTLP's partial success. Only a body that cannot be read at all is an [`OtlpError`].

mod attributes;
mod exponential;
mod fields;
mod json;
mod logs;
pub(crate) mod message;
mod metric_message;
mod metrics;
mod naming;
mod plain;
mod salvage;
mod traces;

use std::time::Duration;

use prost::Message;

use crate::compression::CompressionError;

pub use logs::{decode_logs, encode_logs};
pub use metrics::{DecodedMetrics, MetricOptions, Translation, decode_metrics, transcode_metrics};
pub(crate) use traces::traces_data;
pub use traces::{decode_traces, encode_traces};

/// The two encodings of OTLP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// `application/x-protobuf`, and gRPC's messages.
    Protobuf,
    /// `application/json`.
    Json,
}

impl Encoding {
    /// The encoding that a Content-Type names; none means that the receiver answers 415.
    pub fn of_content_type(content_type: &str) -> Option<Self> {
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        if media_type.eq_ignore_ascii_case("application/x-protobuf")
            || media_type.eq_ignore_ascii_case("application/protobuf")
        {
            Some(Self::Protobuf)
        } else if media_type.eq_ignore_ascii_case("application/json") {
            Some(Self::Json)
        } else {
            None
        }
    }

    /// The Content-Type of an answer, which is that of the request.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }
}

/// The three signals, whose answers name what they refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// `/v1/traces`.
    Traces,
    /// `/v1/logs`.
    Logs,
    /// `/v1/metrics`.
    Metrics,
}

/// Why a whole request is refused: it is answered with 400 and must not be sent again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OtlpError {
    /// It is no protobuf message of its kind (invalid UTF-8 included).
    #[error("invalid protobuf: {0}")]
    Protobuf(String),
    /// It is no JSON of its kind.
    #[error("invalid JSON: {0}")]
    Json(String),
    /// It could not be decompressed.
    #[error(transparent)]
    Compression(#[from] CompressionError),
}

/// What an item may be at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Attributes of a resource, scope, span, event, link, record or data point.
    pub attributes_max: usize,
    /// Bytes of a value or of an attribute's name, nested ones counted together; the body of a log record is one.
    pub value_bytes_max: usize,
    /// Events of a span, and links of a span.
    pub span_parts_max: usize,
    /// A span may have begun this long before now.
    pub span_age_max: Duration,
    /// A span may end this long after now.
    pub span_ahead_max: Duration,
    /// Buckets of a histogram on each side.
    pub buckets_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            attributes_max: 1024,
            value_bytes_max: 1 << 20,
            span_parts_max: 10_000,
            span_age_max: Duration::from_secs(10 * 366 * 86_400),
            span_ahead_max: Duration::from_secs(86_400),
            buckets_max: 10_000,
        }
    }
}

/// What was taken from a request, and what was not.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded<T> {
    /// The items that are fit for a store.
    pub items: Vec<T>,
    /// How many were refused.
    pub rejected: u64,
    /// Why, or a warning when nothing was refused; empty when all is well.
    pub message: String,
}

/// Counts what is refused and remembers the first reasons.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    rejected: u64,
    reasons: Vec<String>,
    more: usize,
}

/// The answer names this many reasons.
const REASONS_MAX: usize = 3;

impl Refusals {
    fn reject(&mut self, count: usize, reason: String) {
        self.rejected += count as u64;
        self.warn(reason);
    }

    fn warn(&mut self, reason: String) {
        if self.reasons.contains(&reason) {
            return;
        }
        if self.reasons.len() < REASONS_MAX {
            self.reasons.push(reason);
        } else {
            self.more += 1;
        }
    }

    fn message(&self) -> String {
        let mut message = self.reasons.join("; ");
        if self.more > 0 {
            message.push_str("; and ");
            message.push_str(&self.more.to_string());
            message.push_str(" more");
        }
        message
    }

    fn finish<T>(self, items: Vec<T>) -> Decoded<T> {
        Decoded {
            items,
            message: self.message(),
            rejected: self.rejected,
        }
    }
}

fn decode<M>(body: &[u8], encoding: Encoding) -> Result<M, OtlpError>
where
    M: Message + Default + serde::de::DeserializeOwned,
{
    match encoding {
        Encoding::Protobuf => {
            M::decode(body).map_err(|error| OtlpError::Protobuf(error.to_string()))
        }
        // An empty body is the empty message in both encodings.
        Encoding::Json if body.is_empty() => Ok(M::default()),
        // serde would take a list for an object.
        Encoding::Json if body.trim_ascii_start().first() != Some(&b'{') => {
            Err(OtlpError::Json("expected an object".to_owned()))
        }
        Encoding::Json => {
            serde_json::from_slice(body).map_err(|error| OtlpError::Json(error.to_string()))
        }
    }
}

/// The same; where an item of a request in protobuf is no `Item`, it is left out alone and counted.
fn decode_request<M, Item>(
    body: &[u8],
    encoding: Encoding,
    refusals: &mut Refusals,
) -> Result<M, OtlpError>
where
    M: Message + Default + serde::de::DeserializeOwned,
    Item: Message + Default,
{
    let error = match decode(body, encoding) {
        Ok(data) => return Ok(data),
        Err(error) => error,
    };
    if encoding == Encoding::Protobuf
        && let Some((clean, left_out)) = salvage::salvage::<Item>(body)
        && let Ok(data) = M::decode(clean.as_slice())
    {
        let count = usize::try_from(left_out).unwrap_or(usize::MAX);
        refusals.reject(count, error.to_string());
        return Ok(data);
    }
    Err(error)
}

/// The body of the answer to an export that was taken: the partial success is left out when nothing was refused and there is no
/// warning, as the specification demands.
pub fn export_response(
    signal: Signal,
    encoding: Encoding,
    rejected: u64,
    message: &str,
) -> Vec<u8> {
    let is_full_success = rejected == 0 && message.is_empty();
    match encoding {
        Encoding::Protobuf => message::ExportResponse {
            partial_success: (!is_full_success).then(|| message::PartialSuccess {
                rejected: i64::try_from(rejected).unwrap_or(i64::MAX),
                error_message: message.to_owned(),
            }),
        }
        .encode_to_vec(),
        Encoding::Json if is_full_success => b"{}".to_vec(),
        Encoding::Json => {
            let field = match signal {
                Signal::Traces => "rejectedSpans",
                Signal::Logs => "rejectedLogRecords",
                Signal::Metrics => "rejectedDataPoints",
            };
            // 64-bit integers are text in protobuf's JSON.
            serde_json::json!({ "partialSuccess": { field: rejected.to_string(), "errorMessage": message } })
                .to_string()
                .into_bytes()
        }
    }
}

/// How many items the answer to an export in protobuf says were refused; none where it is no such answer.
pub fn rejected_of(answer: &[u8]) -> u64 {
    message::ExportResponse::decode(answer)
        .ok()
        .and_then(|answer| answer.partial_success)
        .map_or(0, |partial| u64::try_from(partial.rejected).unwrap_or(0))
}

/// Codes of `google.rpc.Status` (google/rpc/code.proto) that receivers use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusCode {
    /// The request is wrong and will be wrong again.
    InvalidArgument = 3,
    /// A limit is used up.
    ResourceExhausted = 8,
    /// The receiver has a fault.
    Internal = 13,
    /// It may work later.
    Unavailable = 14,
}

/// The body of an answer that refuses a request: `google.rpc.Status` in the encoding of the request.
pub fn status_response(encoding: Encoding, code: StatusCode, message: &str) -> Vec<u8> {
    let code = code as i32;
    match encoding {
        Encoding::Protobuf => message::RpcStatus {
            code,
            message: message.to_owned(),
        }
        .encode_to_vec(),
        Encoding::Json => serde_json::json!({ "code": code, "message": message })
            .to_string()
            .into_bytes(),
    }
}

#[cfg(test)]
mod tests;

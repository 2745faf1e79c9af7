//! What a service answers with.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use hyper::body::{Body, Frame, SizeHint};

/// The body of an answer, or the lack of one.
pub(crate) enum ReplyBody {
    /// The bytes; none when they have been taken.
    Whole(Option<Bytes>),
    /// Breaks the connection before a byte of the answer has left.
    Abort,
}

/// The connection is to break.
#[derive(Debug, thiserror::Error)]
#[error("a fault aborts the connection")]
pub(crate) struct Aborted;

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Aborted;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        Poll::Ready(match &mut *self {
            Self::Whole(bytes) => bytes.take().map(|bytes| Ok(Frame::data(bytes))),
            Self::Abort => Some(Err(Aborted)),
        })
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Self::Abort => SizeHint::default(),
        }
    }
}

/// Appends a text as JSON has it.
pub(crate) fn write_json_text(text: &str, out: &mut Vec<u8>) {
    let plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
    // Looked through as a whole, not up to the first: so the compiler takes many bytes at a time.
    if text.bytes().fold(true, |all, byte| all & plain(byte)) {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        out.extend_from_slice(serde_json::Value::from(text).to_string().as_bytes());
    }
}

/// The media type of JSON.
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// An answer with a body of JSON.
pub(crate) fn json(status: StatusCode, body: impl Into<Bytes>) -> Response<ReplyBody> {
    with_type(status, JSON, body)
}

/// An answer with a body of that media type.
pub(crate) fn with_type(
    status: StatusCode,
    media_type: HeaderValue,
    body: impl Into<Bytes>,
) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::Whole(Some(body.into())));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, media_type);
    response
}

/// An answer that breaks the connection.
pub(crate) fn abort() -> Response<ReplyBody> {
    Response::new(ReplyBody::Abort)
}

/// The JSON of an error.
pub(crate) fn error_json(reason: &str) -> String {
    format!(r#"{{"error":{}}}"#, serde_json::Value::from(reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_written_as_json_has_them() {
        for text in [
            "",
            "User 1",
            "zoë",
            "a \"quote\"",
            "back\\slash",
            "line\nbreak",
            "\u{7f}",
        ] {
            let mut out = Vec::new();
            write_json_text(text, &mut out);
            assert_eq!(
                String::from_utf8(out).expect("UTF-8"),
                serde_json::to_string(text).expect("a text")
            );
        }
    }
}

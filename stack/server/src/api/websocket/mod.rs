//! WebSocket, the server's side (RFC 6455): the handshake, text frames out, and what a client says in between.

mod sha1;

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::{Buf, BytesMut};
use gameday_env::Env;
use http::{HeaderMap, Request, StatusCode, header};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};

use super::common::text;

/// What every server appends to the client's key (RFC 6455, section 1.3).
const KEY_SUFFIX: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// A client of a tail has little to say.
const MESSAGE_BYTES_MAX: u64 = 64 << 10;
/// A client that takes nothing for so long is gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// The kinds of frames (section 5.2).
const TEXT: u8 = 0x1;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;
const FINAL: u8 = 0x80;
const MASKED: u8 = 0x80;

/// Why a connection ends, as its close frame says (section 7.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CloseReason {
    /// The client has said goodbye, or the server is done.
    Normal,
    /// A frame broke the rules.
    Protocol,
    /// A message was too large.
    TooLarge,
}

/// What a client said that needs an answer; its messages have no meaning here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// It says goodbye, breaks a rule or is gone.
    Closed(CloseReason),
    /// It asks for a pong with these bytes.
    Ping(Vec<u8>),
}

impl CloseReason {
    fn code(self) -> u16 {
        match self {
            Self::Normal => 1000,
            Self::Protocol => 1002,
            Self::TooLarge => 1009,
        }
    }
}

/// The answer to a client that wants to speak WebSocket, and the connection to come.
///
/// # Errors
/// The refusal, where the request is no handshake.
pub(crate) fn accept(request: &mut Request<Body>) -> Result<(Response, OnUpgrade), Response> {
    let key = client_key(request.headers())
        .map_err(|reason| text(StatusCode::BAD_REQUEST, format!("Bad Request: {reason}\n")))?;
    let accept = accept_key(key);
    let upgrade = hyper::upgrade::on(request);
    let response = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_ACCEPT, accept)
        .body(Body::empty())
        .map_err(|error| text(StatusCode::BAD_REQUEST, error.to_string()))?;
    Ok((response, upgrade))
}

fn client_key(headers: &HeaderMap) -> Result<&str, &'static str> {
    let has = |name: header::HeaderName, word: &str| {
        headers.get_all(name).iter().any(|value| {
            let value = value.to_str().unwrap_or_default();
            value
                .split(',')
                .any(|own| own.trim().eq_ignore_ascii_case(word))
        })
    };
    // The messages are those of gorilla/websocket, which Loki serves with.
    if !has(header::CONNECTION, "upgrade") {
        return Err(
            "websocket: the client is not using the websocket protocol: 'upgrade' token not found in 'Connection' header",
        );
    }
    if !has(header::UPGRADE, "websocket") {
        return Err(
            "websocket: the client is not using the websocket protocol: 'websocket' token not found in 'Upgrade' header",
        );
    }
    if !has(header::SEC_WEBSOCKET_VERSION, "13") {
        return Err(
            "websocket: unsupported version: 13 not found in 'Sec-Websocket-Version' header",
        );
    }
    headers
        .get(header::SEC_WEBSOCKET_KEY)
        .and_then(|key| key.to_str().ok())
        .filter(|key| BASE64_STANDARD.decode(key).is_ok_and(|bytes| bytes.len() == 16))
        .ok_or("websocket: not a websocket handshake: 'Sec-WebSocket-Key' header must be Base64 encoded value of 16-byte in length")
}

fn accept_key(key: &str) -> String {
    BASE64_STANDARD.encode(sha1::sha1(format!("{key}{KEY_SUFFIX}").as_bytes()))
}

/// A connection that speaks WebSocket.
pub(crate) struct WebSocket {
    env: Env,
    reader: ReadHalf<TokioIo<Upgraded>>,
    writer: WriteHalf<TokioIo<Upgraded>>,
    received: BytesMut,
}

impl WebSocket {
    pub(crate) fn new(env: Env, upgraded: Upgraded) -> Self {
        let (reader, writer) = tokio::io::split(TokioIo::new(upgraded));
        Self {
            env,
            reader,
            writer,
            received: BytesMut::new(),
        }
    }

    /// Sends a text; false where the client is gone.
    pub(crate) async fn send(&mut self, message: &str) -> bool {
        self.write(TEXT, message.as_bytes()).await
    }

    /// Says goodbye.
    pub(crate) async fn close(&mut self, reason: CloseReason) {
        self.write(CLOSE, &reason.code().to_be_bytes()).await;
        let _ = self.writer.shutdown().await;
    }

    /// Answers a ping; false where the client is gone.
    pub(crate) async fn pong(&mut self, payload: &[u8]) -> bool {
        self.write(PONG, payload).await
    }

    /// Reads until there is something to do. May be dropped and called again: no frame is lost by that.
    pub(crate) async fn heard(&mut self) -> Heard {
        loop {
            match take_frame(&mut self.received) {
                Ok(Some((CLOSE, _))) => return Heard::Closed(CloseReason::Normal),
                Ok(Some((PING, payload))) => return Heard::Ping(payload),
                Ok(Some(_)) => {}
                Ok(None) => match self.reader.read_buf(&mut self.received).await {
                    Ok(0) | Err(_) => return Heard::Closed(CloseReason::Normal),
                    Ok(_) => {}
                },
                Err(reason) => return Heard::Closed(reason),
            }
        }
    }

    async fn write(&mut self, kind: u8, payload: &[u8]) -> bool {
        let frame = frame(kind, payload);
        let writer = &mut self.writer;
        let written = async {
            writer.write_all(&frame).await?;
            writer.flush().await
        };
        let outcome = self.env.clock().timeout(WRITE_TIMEOUT, written).await;
        matches!(outcome, Ok(Ok(())))
    }
}

/// A whole message in one frame; a server does not mask.
fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![FINAL | kind];
    match payload.len() {
        length @ 0..=125 => frame.push(length as u8),
        length @ 126..=0xffff => {
            frame.push(126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            frame.push(127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    frame
}

/// Takes the next whole frame out of what was received: its kind and its payload.
fn take_frame(received: &mut BytesMut) -> Result<Option<(u8, Vec<u8>)>, CloseReason> {
    let [first, second, ..] = **received else {
        return Ok(None);
    };
    // A client masks every frame (section 5.1), and nobody has agreed on extensions.
    if second & MASKED == 0 || first & 0x70 != 0 {
        return Err(CloseReason::Protocol);
    }
    let extended = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let header = 2 + extended + 4;
    if received.len() < header {
        return Ok(None);
    }
    let length = match extended {
        0 => u64::from(second & 0x7f),
        _ => received[2..2 + extended]
            .iter()
            .fold(0, |length, byte| length << 8 | u64::from(*byte)),
    };
    if length > MESSAGE_BYTES_MAX {
        return Err(CloseReason::TooLarge);
    }
    let length = length as usize;
    if received.len() < header + length {
        return Ok(None);
    }
    let mask: Vec<u8> = received[header - 4..header].to_vec();
    received.advance(header);
    let payload = received.split_to(length);
    let payload = payload
        .iter()
        .zip(mask.iter().cycle())
        .map(|(byte, mask)| byte ^ mask)
        .collect();
    Ok(Some((first & 0x0f, payload)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_handshake_of_the_standard() {
        // RFC 6455, section 1.3.
        let key = "dGhlIHNhbXBsZSBub25jZQ==";
        assert_eq!(accept_key(key), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        let headers = |skip: &str| {
            let pairs = [
                ("connection", "keep-alive, Upgrade"),
                ("upgrade", "websocket"),
                ("sec-websocket-version", "13"),
                ("sec-websocket-key", key),
            ];
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                if name != skip {
                    headers.insert(name, value.parse().expect("a value"));
                }
            }
            headers
        };
        assert_eq!(client_key(&headers("")), Ok(key));
        for (skip, expected) in [
            ("connection", "'upgrade' token not found"),
            ("upgrade", "'websocket' token not found"),
            ("sec-websocket-version", "unsupported version"),
            ("sec-websocket-key", "must be Base64"),
        ] {
            let error = client_key(&headers(skip)).expect_err("incomplete");
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn frames_of_the_standard() {
        // RFC 6455, section 5.7.
        assert_eq!(frame(TEXT, b"Hello"), b"\x81\x05Hello");
        assert_eq!(frame(TEXT, &[b'x'; 256])[..4], [0x81, 0x7e, 0x01, 0x00]);
        let long = frame(TEXT, &[b'x'; 65536]);
        assert_eq!(long[..10], [0x81, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0]);
        let masked = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58rest";
        let mut received = BytesMut::from(masked.as_slice());
        let taken = take_frame(&mut received);
        assert_eq!(taken, Ok(Some((TEXT, b"Hello".to_vec()))));
        assert_eq!(&received[..], b"rest");
        for cut in 0..11 {
            let mut part = BytesMut::from(&masked[..cut]);
            assert_eq!(take_frame(&mut part), Ok(None), "{cut}");
        }
        let mut plain = BytesMut::from(b"\x81\x05Hello".as_slice());
        assert_eq!(take_frame(&mut plain), Err(CloseReason::Protocol));
        let mut huge = BytesMut::from(b"\x81\xff\0\0\0\x01\0\0\0\0mask".as_slice());
        assert_eq!(take_frame(&mut huge), Err(CloseReason::TooLarge));
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut received = BytesMut::from(bytes.as_slice());
            while let Ok(Some(_)) = take_frame(&mut received) {}
        }
    }
}

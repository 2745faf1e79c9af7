//! The websocket prober: a request that becomes a WebSocket (RFC 6455), and a conversation in messages.

use std::time::Duration;

use bytes::Bytes;
use gameday_env::{Address, Env, Rng, Route};
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use sha1::{Digest as _, Sha1};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::client_settings::base64;
use super::config::Module;
use super::conversation::expanded;
use super::probe::Probe;
use super::settings::{QueryResponse, WebsocketSettings};
use super::websocket_frames::{Frame, Kind, MESSAGE_BYTES_MAX};

/// What a server adds to the key before it hashes both (RFC 6455, section 1.3).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const STATUS: (&str, &str) = ("probe_websocket_status_code", "Response HTTP status code");
const UPGRADED: (&str, &str) = (
    "probe_websocket_connection_upgraded",
    "Indicates if the websocket connection was successfully upgraded",
);
const REGEX: (&str, &str) = (
    "probe_websocket_failed_due_to_regex",
    "Indicates if probe failed due to regex",
);

pub(super) async fn run(env: &Env, module: &Module, target: &str, probe: &mut Probe) -> bool {
    let settings = &module.websocket;
    let (uri, address, is_tls) = match place(target) {
        Ok(place) => place,
        Err(reason) => {
            probe.fail(format!("Could not parse target URL: {reason}"));
            return false;
        }
    };
    for metric in [STATUS, UPGRADED, REGEX] {
        probe.set(metric, 0.0);
    }
    let (preferred, fallback) = (
        settings.preferred_ip_protocol,
        settings.ip_protocol_fallback,
    );
    let Some((ip, lookup)) = probe.resolve(&address.host, preferred, fallback).await else {
        return false;
    };
    phase(probe, "resolve", lookup);
    let route = Route {
        from: None,
        to: Some(ip),
    };
    let begin = env.now();
    let limit = probe.left();
    let mut connect = Duration::ZERO;
    let mut entropy = env.rng(&format!("blackbox websocket {target} {begin}"));
    let upgrading = async {
        let dialled = env.dial_by(&address, route).await;
        let connection = dialled.map_err(|error| error.to_string())?;
        connect = env.now().since(begin);
        let connection = if is_tls {
            let tls = settings.http_config.tls_config.client(env, &["http/1.1"])?;
            let shaken = tls.connect(&address.host, connection).await;
            shaken.map_err(|error| error.to_string())?.0
        } else {
            connection
        };
        let key = key(&mut entropy);
        let request = request(settings, &uri, &key)?;
        let response = send(env, connection, request).await?;
        probe.set(STATUS, f64::from(response.status().as_u16()));
        check(&response, &key)?;
        let upgraded = hyper::upgrade::on(response).await;
        upgraded.map_err(|error| error.to_string())
    };
    let upgraded = match env.clock().timeout(limit, upgrading).await {
        Ok(upgraded) => upgraded,
        Err(elapsed) => Err(elapsed.to_string()),
    };
    phase(probe, "connect", connect);
    let processing = env.now().since(begin).saturating_sub(connect);
    phase(probe, "processing", processing);
    let upgraded = match upgraded {
        Ok(upgraded) => upgraded,
        Err(reason) => {
            probe.fail(format!("Error dialing websocket: {reason}"));
            return false;
        }
    };
    probe.set(UPGRADED, 1.0);
    if settings.query_response.is_empty() {
        return true;
    }
    let begin = env.now();
    let mut talk = Talk {
        stream: TokioIo::new(upgraded),
        pending: Vec::new(),
        entropy,
    };
    let limit = probe.left();
    let said = talk.hold(&settings.query_response, probe);
    let said = match env.clock().timeout(limit, said).await {
        Ok(said) => said,
        Err(elapsed) => Err(format!("Error reading message: {elapsed}")),
    };
    phase(probe, "transfer", env.now().since(begin));
    if let Err(reason) = said {
        // Whatever goes wrong here, the real exporter blames the expression.
        probe.set(REGEX, 1.0);
        probe.fail(reason);
        return false;
    }
    true
}

fn phase(probe: &mut Probe, phase: &str, duration: Duration) {
    probe.gauge(
        "probe_websocket_duration_seconds",
        "Duration of websocket request by phase",
        &[("phase", phase)],
        duration.as_secs_f64(),
    );
}

/// The target's address, and whether it wants TLS.
fn place(target: &str) -> Result<(Uri, Address, bool), String> {
    let uri: Uri = target
        .parse()
        .map_err(|error| format!("{target:?}: {error}"))?;
    let is_tls = match uri.scheme_str() {
        Some("ws") => false,
        Some("wss") => true,
        _ => return Err(format!("{target:?} begins with neither ws:// nor wss://")),
    };
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    if host.is_empty() {
        return Err(format!("{target:?} has no host"));
    }
    let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    let address = Address::new(host, port);
    Ok((uri, address, is_tls))
}

fn key(entropy: &mut Rng) -> String {
    let mut nonce = [0; 16];
    entropy.fill(&mut nonce);
    base64(&nonce)
}

fn request(
    settings: &WebsocketSettings,
    uri: &Uri,
    key: &str,
) -> Result<Request<Empty<Bytes>>, String> {
    let path = uri.path_and_query().map_or("/", |it| it.as_str());
    let authority = uri.authority().map_or("", |it| it.as_str());
    let host = authority.rsplit_once('@').map_or(authority, |(_, it)| it);
    let mut request = Request::get(path)
        .header(header::HOST, host)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_VERSION, "13")
        .header(header::SEC_WEBSOCKET_KEY, key)
        .body(Empty::new())
        .map_err(|error| error.to_string())?;
    let mut add = |name: &str, value: &str| -> Result<(), String> {
        let bad = |_| format!("the header {name:?} cannot be sent");
        let parsed: HeaderName = name.parse().map_err(|_| bad(()))?;
        let value = HeaderValue::from_str(value).map_err(|_| bad(()))?;
        if parsed == header::HOST {
            request.headers_mut().insert(parsed, value);
        } else {
            request.headers_mut().append(parsed, value);
        }
        Ok(())
    };
    if let Some(value) = settings.http_config.login().header()? {
        add("authorization", &value)?;
    }
    for (name, values) in settings
        .headers
        .iter()
        .chain(&settings.http_config.http_headers)
    {
        for value in values.all()? {
            add(name, &value)?;
        }
    }
    Ok(request)
}

async fn send(
    env: &Env,
    connection: gameday_env::Connection,
    request: Request<Empty<Bytes>>,
) -> Result<Response<Incoming>, String> {
    let (mut sender, driver) = hyper::client::conn::http1::handshake(TokioIo::new(connection))
        .await
        .map_err(|error| error.to_string())?;
    env.spawn(async move {
        // Its error is the request's, which is told there.
        let _ = driver.with_upgrades().await;
    });
    let sent = sender.send_request(request).await;
    sent.map_err(|error| error.to_string())
}

/// Whether the server agrees (RFC 6455, section 4.1).
fn check(response: &Response<Incoming>, key: &str) -> Result<(), String> {
    let has = |name: HeaderName, token: &str| {
        let values = response.headers().get_all(name);
        values.iter().filter_map(|it| it.to_str().ok()).any(|it| {
            it.split(',')
                .any(|part| part.trim().eq_ignore_ascii_case(token))
        })
    };
    let accept = base64(&Sha1::digest(format!("{key}{GUID}")));
    let accepted = response.headers().get(header::SEC_WEBSOCKET_ACCEPT);
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(format!(
            "bad handshake: the server answered {}",
            response.status()
        ));
    }
    if !has(header::UPGRADE, "websocket") || !has(header::CONNECTION, "upgrade") {
        return Err("bad handshake: the server does not upgrade to a WebSocket".to_owned());
    }
    if accepted.is_none_or(|it| it.as_bytes() != accept.as_bytes()) {
        return Err("bad handshake: Sec-WebSocket-Accept is wrong".to_owned());
    }
    Ok(())
}

struct Talk {
    stream: TokioIo<Upgraded>,
    pending: Vec<u8>,
    entropy: Rng,
}

impl Talk {
    async fn hold(&mut self, steps: &[QueryResponse], probe: &mut Probe) -> Result<(), String> {
        for step in steps {
            let mut send = step.send.clone();
            if let Some(expect) = &step.expect {
                let message = self.message().await;
                let message = message.map_err(|it| format!("Error reading message: {it}"))?;
                let text = String::from_utf8_lossy(&message);
                if !expect.is_match(&text) {
                    return Err(format!("Regexp {expect} did not match {text:?}"));
                }
                probe.say(format!("Regexp {expect} matched {text:?}"));
                send = expanded(expect, &text, &send);
            }
            if !send.is_empty() {
                probe.say(format!("Sending message {send:?}"));
                let sent = self.send(Kind::Text, send.as_bytes()).await;
                sent.map_err(|it| format!("Error sending message: {it}"))?;
            }
        }
        // Going away (RFC 6455, section 7.4.1); whether the server still hears it does not matter.
        let _ = self.send(Kind::Close, &1001_u16.to_be_bytes()).await;
        Ok(())
    }

    async fn send(&mut self, kind: Kind, payload: &[u8]) -> std::io::Result<()> {
        let mut mask = [0; 4];
        self.entropy.fill(&mut mask);
        let frame = Frame::masked(kind, payload, mask);
        self.stream.write_all(&frame).await?;
        self.stream.flush().await
    }

    /// The next message, put together; pings in between are answered.
    async fn message(&mut self) -> Result<Vec<u8>, String> {
        let mut message = Vec::new();
        let mut begun = false;
        loop {
            let frame = self.frame().await?;
            match frame.kind {
                Kind::Ping => {
                    let sent = self.send(Kind::Pong, &frame.payload).await;
                    sent.map_err(|error| error.to_string())?;
                    continue;
                }
                Kind::Pong => continue,
                Kind::Close => return Err("the server has closed the WebSocket".to_owned()),
                Kind::Continuation if !begun => {
                    return Err("a message begins with its continuation".to_owned());
                }
                Kind::Text | Kind::Binary if begun => {
                    return Err("a message begins within another".to_owned());
                }
                Kind::Continuation | Kind::Text | Kind::Binary => begun = true,
            }
            message.extend_from_slice(&frame.payload);
            if message.len() > MESSAGE_BYTES_MAX {
                return Err(format!("a message has more than {MESSAGE_BYTES_MAX} bytes"));
            }
            if frame.is_last {
                return Ok(message);
            }
        }
    }

    async fn frame(&mut self) -> Result<Frame, String> {
        loop {
            if let Some((frame, length)) = Frame::parse(&self.pending)? {
                self.pending.drain(..length);
                return Ok(frame);
            }
            let mut chunk = [0; 4096];
            let read = self.stream.read(&mut chunk).await;
            match read.map_err(|error| error.to_string())? {
                0 => return Err("the connection has ended".to_owned()),
                count => self.pending.extend_from_slice(&chunk[..count]),
            }
        }
    }
}

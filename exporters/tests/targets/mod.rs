//! Targets to probe, in virtual time.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gameday_env::{Address, Env, ServeOptions, serve, serve_http2};
use gameday_exporters::blackbox::Config;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Modules that probe them.
const CONFIG: &str = r#"
modules:
  http_2xx:
    prober: http
    timeout: 5s
  http_404:
    prober: http
    http: {valid_status_codes: [404]}
  no_redirects:
    prober: http
    http: {follow_redirects: false, valid_status_codes: [302]}
  says_ok:
    prober: http
    http:
      fail_if_body_not_matches_regexp: ["status.*ok"]
      fail_if_header_matches: [{header: X-Bad, regexp: ".*", allow_missing: true}]
  proxied:
    prober: http
    http:
      proxy_url: http://me:it@proxy:3128
      skip_resolve_phase_with_proxy: true
      fail_if_body_not_matches_regexp: ["^http://web.example/health Basic bWU6aXQ=$"]
  posted:
    prober: http
    http: {method: POST, body: hello, fail_if_body_not_matches_regexp: ["^POST 5 other.example$"], headers: {Host: other.example}}
  posted_and_moved:
    prober: http
    http: {method: POST, body: hello, fail_if_body_not_matches_regexp: ["^GET 0 web$"]}
  small:
    prober: http
    http: {body_size_limit: 4B}
  oauth:
    prober: http
    http: {oauth2: {client_id: a, client_secret: b, token_url: "http://c"}}
  json_ok:
    prober: http
    http:
      fail_if_body_json_matches_cel: "has(body.error)"
      fail_if_body_json_not_matches_cel: "body.status == 'ok'"
  json_error:
    prober: http
    http: {fail_if_body_json_matches_cel: "body.status == 'ok'"}
  json_number:
    prober: http
    http: {fail_if_body_json_not_matches_cel: "body.status"}
  tcp_connect:
    prober: tcp
    timeout: 5s
  irc:
    prober: tcp
    tcp:
      query_response:
        - send: "NICK prober"
        - expect: "PING :([^ ]+)"
          send: "PONG ${1}"
        - expect: "^:(?P<server>[^ ]+) 001"
          labels: [{name: server, value: "${server}"}]
  dns_a:
    prober: dns
    dns:
      query_name: example.com
      query_type: A
      validate_answer_rrs: {fail_if_not_matches_regexp: ["192\\.0\\.2\\."]}
  dns_a_tcp:
    prober: dns
    dns: {query_name: example.com, query_type: A, transport_protocol: tcp}
  dns_a_cut:
    prober: dns
    timeout: 2s
    dns: {query_name: cut.example.com, query_type: A}
  dns_a_large:
    prober: dns
    dns: {query_name: large.example.com, query_type: A}
  dns_a_foreign:
    prober: dns
    timeout: 2s
    dns: {query_name: foreign.example.com, query_type: A}
  dns_soa:
    prober: dns
    timeout: 2s
    dns: {query_name: example.com, query_type: SOA}
  https_2xx:
    prober: http
    http: {fail_if_not_ssl: true, tls_config: {ca_file: CA_FILE}}
  https_anything:
    prober: http
    http: {tls_config: {insecure_skip_verify: true}}
  tls_banner:
    prober: tcp
    tcp:
      tls: true
      tls_config: {ca_file: CA_FILE}
      query_response:
        - send: "GET / HTTP/1.0\n"
        - expect_bytes: "HTTP/1."
        - expect: "200 OK"
  icmp:
    prober: icmp
  icmp4_only:
    prober: icmp
    timeout: 2s
    icmp: {preferred_ip_protocol: ip4, ip_protocol_fallback: false, payload_size: 512}
  icmp6_only:
    prober: icmp
    icmp: {preferred_ip_protocol: ip6, ip_protocol_fallback: false}
  icmp_large:
    prober: icmp
    icmp: {payload_size: 70000}
  chat:
    prober: websocket
    timeout: 2s
    websocket:
      headers: {X-Room: {values: [lobby]}}
      query_response:
        - expect: "^hello from (.+)$"
          send: "I am in ${1}"
        - expect: "^welcome"
  chat_silent:
    prober: websocket
    timeout: 2s
    websocket: {query_response: [{expect: "^goodbye"}]}
  control:
    prober: unix
    unix: {query_response: [{send: "status"}, {expect: "^(up|ready)", labels: [{name: state, value: "$1"}]}]}
  grpc:
    prober: grpc
    grpc: {metadata: {x-probe: ["yes"]}}
  grpc_orders:
    prober: grpc
    grpc: {service: orders}
  grpc_nobody:
    prober: grpc
    grpc: {service: nobody}
"#;

/// [`CONFIG`], read.
pub(crate) fn config() -> Config {
    let ca_file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/ca.pem");
    let text = CONFIG.replace("CA_FILE", ca_file);
    Config::parse("blackbox.yml", &text).expect("a good file")
}

/// Starts `web:80`, `web:443`, `health:50051`, `irc:6667`, `dns:53`, `chat:80` and `/run/control.sock` of `blackbox`.
pub(crate) async fn start(env: &Env) {
    let web = env.listen(&Address::new("web", 80)).await.expect("free");
    let clock = env.clock().clone();
    let service = tower::service_fn(move |request: Request<Incoming>| {
        let clock = clock.clone();
        async move {
            clock.sleep(Duration::from_millis(30)).await;
            let echo = |request: Request<Incoming>| async move {
                let (method, host) = (request.method().clone(), request.headers()["host"].clone());
                let sent = request
                    .into_body()
                    .collect()
                    .await
                    .expect("a body")
                    .to_bytes();
                format!("{method} {} {}", sent.len(), host.to_str().expect("ASCII"))
            };
            if request.uri().path() == "/echo" {
                let body = Full::new(Bytes::from(echo(request).await));
                return Ok(Response::new(body));
            }
            let (status, header, body) = match request.uri().path() {
                "/to-echo" => (301, ("location", "echo"), ""),
                "/health" => (
                    200,
                    ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
                    r#"{"status":"ok"}"#,
                ),
                "/bad" => (200, ("x-bad", "1"), r#"{"status":"ok"}"#),
                "/moved" => (302, ("location", "/health"), ""),
                "/loop" => (302, ("location", "/loop"), ""),
                "/broken" => (500, ("x-bad", "1"), "no"),
                _ => (404, ("x-bad", "1"), "nothing here"),
            };
            let response = Response::builder()
                .status(status)
                .header(header.0, header.1);
            Ok::<_, Infallible>(response.body(Full::new(Bytes::from(body))).expect("valid"))
        }
    });
    serve(&env.on("web"), web, service, ServeOptions::default());
    start_tls(env).await;
    start_health(env).await;
    let proxy = env.listen(&Address::new("proxy", 3128)).await;
    let service = tower::service_fn(|request: Request<Incoming>| async move {
        let login = request.headers()["proxy-authorization"].to_str();
        let text = format!("{} {}", request.uri(), login.expect("ASCII"));
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(text))))
    });
    let host = env.on("proxy");
    serve(
        &host,
        proxy.expect("free"),
        service,
        ServeOptions::default(),
    );

    let mut irc = env.listen(&Address::new("irc", 6667)).await.expect("free");
    env.on("irc").spawn(async move {
        while let Ok(mut connection) = irc.accept().await {
            let mut line = [0; 64];
            let _ = connection.read(&mut line).await;
            let _ = connection.write_all(b"PING :abc\r\n").await;
            let count = connection.read(&mut line).await.expect("an answer");
            assert_eq!(&line[..count], b"PONG abc\n");
            let _ = connection.write_all(b":irc.example 001 hello\r\n").await;
        }
    });

    start_dns(env).await;
    start_chat(env).await;
    let mut control = env
        .on("blackbox")
        .listen_unix("/run/control.sock")
        .expect("free");
    env.on("blackbox").spawn(async move {
        while let Ok(mut connection) = control.accept().await {
            let mut line = [0; 64];
            let count = connection.read(&mut line).await.expect("a line");
            assert_eq!(&line[..count], b"status\n");
            let _ = connection.write_all(b"up 7 days\n").await;
        }
    });
}

/// The answer to a query; the name decides how good it is.
fn answer(query: &[u8]) -> Vec<u8> {
    let mut answer = query.to_vec();
    (answer[2], answer[7]) = (answer[2] | 0x80, 1);
    let start_of_authority = answer[answer.len() - 3] == 6;
    if start_of_authority {
        answer.extend_from_slice(&[0xC0, 12, 0, 6, 0, 1, 0, 0, 1, 44, 0, 24]);
        answer.extend_from_slice(&[0xC0, 12, 0xC0, 12]);
        for number in [2_023_111_401_u32, 7200, 3600, 86_400, 60] {
            answer.extend_from_slice(&number.to_be_bytes());
        }
    } else {
        answer.extend_from_slice(&[0xC0, 12, 0, 1, 0, 1, 0, 0, 1, 44, 0, 4, 192, 0, 2, 7]);
    }
    match answer[13] {
        b'c' => answer.truncate(answer.len() - 3),
        b'l' => answer.resize(600, 0),
        b'f' => answer[0] ^= 1,
        _ => {}
    }
    answer
}

/// `dns:53`, by TCP and by UDP.
async fn start_dns(env: &Env) {
    let address = Address::new("dns", 53);
    let host = env.on("dns");
    let mut connections = host.listen(&address).await.expect("free");
    host.spawn(async move {
        while let Ok(mut connection) = connections.accept().await {
            let mut query = [0; 256];
            let count = connection.read(&mut query).await.expect("a query");
            let answer = answer(&query[2..count]);
            let length = (answer.len() as u16).to_be_bytes();
            let _ = connection.write_all(&[&length[..], &answer].concat()).await;
        }
    });
    let mut datagrams = host.bind_datagrams(&address).await.expect("free");
    host.spawn(async move {
        while let Ok((query, from)) = datagrams.receive().await {
            datagrams.send(&answer(&query), &from).await.expect("sent");
        }
    });
}

/// `chat:80`: a WebSocket in a room.
async fn start_chat(env: &Env) {
    let mut listener = env.listen(&Address::new("chat", 80)).await.expect("free");
    env.on("chat").spawn(async move {
        while let Ok(mut connection) = listener.accept().await {
            let mut request = vec![0; 2048];
            let count = connection.read(&mut request).await.expect("a request");
            let text = String::from_utf8_lossy(&request[..count]).into_owned();
            let header = |name: &str| {
                let mut lines = text.lines().filter_map(|line| line.split_once(": "));
                let found = lines.find(|(own, _)| own.eq_ignore_ascii_case(name));
                found.map(|(_, value)| value.to_owned()).unwrap_or_default()
            };
            if text.starts_with("GET /closed ") {
                let _ = connection
                    .write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")
                    .await;
                continue;
            }
            let accept = accept_key(&header("sec-websocket-key"));
            let head = format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
            );
            let _ = connection.write_all(head.as_bytes()).await;
            // A message in two frames with a ping in between.
            let hello = format!("from {}", header("x-room"));
            let _ = connection.write_all(b"\x01\x06hello \x89\x01!").await;
            let frame = [&[0x80, hello.len() as u8][..], hello.as_bytes()].concat();
            let _ = connection.write_all(&frame).await;
            let mut said = vec![0; 256];
            let mut count = 0;
            // The pong and the answer, whose last byte is the room's.
            while count < 7 + 6 + 13 {
                match connection.read(&mut said[count..]).await {
                    Ok(0) | Err(_) => break,
                    Ok(more) => count += more,
                }
            }
            let unmasked: Vec<u8> = said[13..count.max(13)]
                .iter()
                .zip(said[9..13].iter().cycle())
                .map(|(byte, mask)| byte ^ mask)
                .collect();
            if unmasked.starts_with(b"I am in lobby") {
                let _ = connection.write_all(b"\x81\x07welcome").await;
            }
            let _ = connection.read(&mut said).await;
        }
    });
}

/// What a server answers to a key (RFC 6455, section 4.2.2).
fn accept_key(key: &str) -> String {
    use sha1::Digest as _;
    let guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    let hash = sha1::Sha1::digest(format!("{key}{guid}"));
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bits = String::new();
    for byte in hash {
        let _ = std::fmt::Write::write_fmt(&mut bits, format_args!("{byte:08b}"));
    }
    let mut out = String::new();
    for chunk in bits.as_bytes().chunks(6) {
        let padded = format!("{:0<6}", String::from_utf8_lossy(chunk));
        let digit = usize::from_str_radix(&padded, 2).expect("six bits");
        out.push(char::from(DIGITS[digit]));
    }
    // 160 bits are 27 digits.
    out + "="
}

/// `web:443`, with a certificate that is valid until 2023-11-14 23:00, less than an hour after the epoch.
async fn start_tls(env: &Env) {
    let chain =
        vec![CertificateDer::from_pem_slice(include_bytes!("../data/web.pem")).expect("PEM")];
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("../data/web.key")).expect("PEM");
    let provider = Arc::new(ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("a certificate with its key");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let mut listener = env.listen(&Address::new("web", 443)).await.expect("free");
    env.on("web").spawn(async move {
        while let Ok(connection) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(connection).await else {
                continue;
            };
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
            let _ = stream.write_all(answer).await;
            let _ = stream.shutdown().await;
        }
    });
}

/// `health:50051`: a server that is healthy as a whole, whose orders are not, and which knows nobody else.
async fn start_health(env: &Env) {
    let address = Address::new("health", 50051);
    let listener = env.listen(&address).await.expect("free");
    let service = tower::service_fn(|request: Request<Incoming>| async move {
        assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
        let body = request.into_body().collect().await.expect("a body");
        let response = Response::builder().header("content-type", "application/grpc");
        let (status, frame) = match &body.to_bytes()[5..] {
            [] => ("0", &[0, 0, 0, 0, 2, 8, 1][..]),
            [0x0a, 6, b'o', ..] => ("0", &[0, 0, 0, 0, 2, 8, 2][..]),
            _ => {
                // NOT_FOUND, without a body: the status stands in the headers.
                let response = response.header("grpc-status", "5");
                let body = Full::new(Bytes::new()).boxed();
                return Ok::<_, Infallible>(response.body(body).expect("valid"));
            }
        };
        let trailers = HeaderMap::from_iter([(
            HeaderName::from_static("grpc-status"),
            HeaderValue::from_static(status),
        )]);
        let body = Full::new(Bytes::copy_from_slice(frame))
            .with_trailers(std::future::ready(Some(Ok(trailers))))
            .boxed();
        Ok(response.body(body).expect("valid"))
    });
    serve_http2(
        &env.on("health"),
        listener,
        service,
        ServeOptions::default(),
    );
}

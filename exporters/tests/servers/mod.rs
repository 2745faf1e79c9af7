//! Servers on the real clock, for the comparison with another exporter.

use std::convert::Infallible;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use gameday_env::{Address, Env, ServeOptions, TlsServer, serve, serve_http2};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

const CERT: &str = include_str!("../../../stack/env/tests/data/server.pem");
const KEY: &str = include_str!("../../../stack/env/tests/data/server.key");

/// Where the servers are.
pub(crate) struct Servers {
    pub(crate) web: SocketAddr,
    pub(crate) web_tls: SocketAddr,
    pub(crate) web_http2: SocketAddr,
    pub(crate) talk: SocketAddr,
    pub(crate) dns_udp: SocketAddr,
    pub(crate) dns_tcp: SocketAddr,
    pub(crate) health: SocketAddr,
    pub(crate) health_tls: SocketAddr,
}

/// Starts them all.
pub(crate) async fn start(env: &Env) -> Servers {
    Servers {
        web: start_web(env).await,
        web_tls: start_web_tls(env).await,
        web_http2: start_http2(env, "http2", false).await,
        talk: start_talk(env).await,
        dns_udp: start_dns_udp(env).await,
        dns_tcp: start_dns_tcp(env).await,
        health: start_health(env).await,
        health_tls: start_http2(env, "health-tls", true).await,
    }
}

fn compressed(gzip: bool, text: &[u8]) -> Vec<u8> {
    if gzip {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), Compression::fast());
        out.write_all(text).expect("in memory");
        out.finish().expect("in memory")
    } else {
        let mut out = flate2::write::DeflateEncoder::new(Vec::new(), Compression::fast());
        out.write_all(text).expect("in memory");
        out.finish().expect("in memory")
    }
}

/// A page; what comes back depends on the path.
async fn page(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let response = Response::builder();
    let (head, body) = request.into_parts();
    let cookie = head.headers.get("cookie").cloned();
    let method = head.method.clone();
    let sent = body.collect().await.map(|it| it.to_bytes());
    let sent = sent.unwrap_or_default();
    let text = "hello, world\n".repeat(20);
    let (response, body) = match head.uri.path() {
        "/moved" => (response.status(302).header("location", "/echo"), vec![]),
        "/kept" => (response.status(307).header("location", "echo"), vec![]),
        "/other" => (
            response.status(303).header("location", "../././echo?x#y"),
            vec![],
        ),
        "/cookie" => (
            response
                .status(301)
                .header("location", "/cookied")
                .header("set-cookie", "a=b; Path=/"),
            vec![],
        ),
        "/cookied" => {
            let known = cookie.is_some_and(|it| it == "a=b");
            (response.status(if known { 200 } else { 400 }), vec![])
        }
        "/loop" => (response.status(302).header("location", "/loop"), vec![]),
        "/nowhere" => (response.status(302), b"no location".to_vec()),
        "/broken" => (response.status(500), b"broken".to_vec()),
        "/empty" => (response.status(204), vec![]),
        "/dated" => (
            response.header("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
            b"old".to_vec(),
        ),
        "/gzip" => (response, compressed(true, text.as_bytes())),
        "/deflate" => (response, compressed(false, text.as_bytes())),
        "/cut-gzip" => {
            let mut whole = compressed(true, text.as_bytes());
            whole.truncate(whole.len() - 12);
            (response, whole)
        }
        "/host" => {
            let host = head.headers.get("host").map(HeaderValue::as_bytes);
            (response, host.unwrap_or_default().to_vec())
        }
        "/agent" => {
            let login = head.headers.get("authorization");
            let known = login.is_some_and(|it| it == "Basic bWU6aXQ=");
            (response.status(if known { 200 } else { 401 }), vec![])
        }
        "/echo" => {
            let text = format!("{method} {}", sent.len());
            (response, text.into_bytes())
        }
        _ => (response.header("x-kind", "good"), text.into_bytes()),
    };
    Ok(response.body(Full::new(Bytes::from(body))).expect("valid"))
}

async fn start_web(env: &Env) -> SocketAddr {
    let listener = env.listen(&Address::new("web", 80)).await.expect("free");
    let socket = listener.socket().expect("TCP");
    let service = tower::service_fn(page);
    serve(&env.on("web"), listener, service, ServeOptions::default());
    socket
}

async fn start_web_tls(env: &Env) -> SocketAddr {
    let mut listener = env.listen(&Address::new("web", 443)).await.expect("free");
    let socket = listener.socket().expect("TCP");
    let tls = TlsServer::new(CERT, KEY, None).expect("a certificate");
    env.on("web").spawn(async move {
        while let Ok(connection) = listener.accept().await {
            let Ok(mut stream) = tls.accept(connection).await else {
                continue;
            };
            let mut request = [0; 4096];
            let count = stream.read(&mut request).await.unwrap_or(0);
            let body: &[u8] = if request[..count].starts_with(b"GET /moved") {
                b"HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            } else {
                // Without a length: the end of the connection is that of the body.
                b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nsecret"
            };
            let _ = stream.write_all(body).await;
            let _ = stream.shutdown().await;
        }
    });
    socket
}

/// HTTP/2 over TLS: a page, or the health service.
async fn start_http2(env: &Env, name: &str, is_health: bool) -> SocketAddr {
    let chain = CertificateDer::pem_slice_iter(CERT.as_bytes());
    let chain = chain.collect::<Result<_, _>>().expect("PEM");
    let key = PrivateKeyDer::from_pem_slice(KEY.as_bytes()).expect("PEM");
    let provider = Arc::new(ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("a certificate with its key");
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let mut listener = env.listen(&Address::new(name, 443)).await.expect("free");
    let socket = listener.socket().expect("TCP");
    let host = env.on(name);
    env.on(name).spawn(async move {
        while let Ok(connection) = listener.accept().await {
            let acceptor = acceptor.clone();
            host.spawn(async move {
                let Ok(stream) = acceptor.accept(connection).await else {
                    return;
                };
                let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                let io = TokioIo::new(stream);
                let _ = if is_health {
                    server.serve_connection(io, service_fn(health)).await
                } else {
                    server.serve_connection(io, service_fn(page)).await
                };
            });
        }
    });
    socket
}

/// A conversation in lines, which goes on over TLS after `STARTTLS`.
async fn start_talk(env: &Env) -> SocketAddr {
    let mut listener = env.listen(&Address::new("talk", 25)).await.expect("free");
    let socket = listener.socket().expect("TCP");
    let tls = TlsServer::new(CERT, KEY, None).expect("a certificate");
    let host = env.on("talk");
    env.on("talk").spawn(async move {
        while let Ok(mut connection) = listener.accept().await {
            let tls = tls.clone();
            host.spawn(async move {
                let _ = connection
                    .write_all(b"100 wait\r\n220 mail.example ready\r\n")
                    .await;
                let mut line = Vec::new();
                loop {
                    match connection.read_u8().await {
                        Ok(b'\n') if line == b"STARTTLS" => break,
                        Ok(b'\n') => {
                            let answer = [b"250 ", &line[..], b"\r\n"].concat();
                            let _ = connection.write_all(&answer).await;
                            line.clear();
                        }
                        Ok(byte) => line.push(byte),
                        Err(_) => return,
                    }
                }
                let _ = connection.write_all(b"220 go on\r\n").await;
                let Ok(stream) = tls.accept(connection).await else {
                    return;
                };
                let mut stream = BufReader::new(stream);
                let mut line = String::new();
                let _ = stream.read_line(&mut line).await;
                let answer = format!("250 secretly {line}");
                let _ = stream.get_mut().write_all(answer.as_bytes()).await;
            });
        }
    });
    socket
}

/// The answer to a query by the first letter of its name.
fn answer(query: &[u8]) -> Vec<u8> {
    let mut answer = query.to_vec();
    answer[2] |= 0x80;
    let end = answer.len();
    let query_type = u16::from_be_bytes([answer[end - 4], answer[end - 3]]);
    let record = |kind: u16, data: &[u8]| {
        let mut bytes = vec![0xC0, 12];
        for field in [kind, 1, 0, 300, data.len() as u16] {
            bytes.extend_from_slice(&field.to_be_bytes());
        }
        bytes.extend_from_slice(data);
        bytes
    };
    let (rcode, sections): (u8, [Vec<Vec<u8>>; 3]) = match (answer[13], query_type) {
        (b'n', _) => (3, [vec![], vec![], vec![]]),
        (b'r', _) => (5, [vec![], vec![], vec![]]),
        (_, 6) => {
            let mut data = vec![0xC0, 12, 4, b'r', b'o', b'o', b't', 0xC0, 12];
            for number in [2_026_112_101_u32, 7200, 3600, 86_400, 60] {
                data.extend_from_slice(&number.to_be_bytes());
            }
            (0, [vec![record(6, &data)], vec![], vec![]])
        }
        _ => (
            0,
            [
                vec![record(1, &[127, 0, 0, 1]), record(1, &[127, 0, 0, 2])],
                vec![record(2, &[2, b'n', b's', 0xC0, 12])],
                vec![record(16, &[3, b'a', b'"', b'b'])],
            ],
        ),
    };
    answer[3] = rcode;
    for (section, records) in sections.iter().enumerate() {
        answer[7 + 2 * section] = records.len() as u8;
        answer.extend_from_slice(&records.concat());
    }
    match query[13] {
        b'c' => answer.truncate(answer.len() - 3),
        b'p' => {
            // A name that points at itself.
            let at = query.len() as u8;
            answer[query.len()..query.len() + 2].copy_from_slice(&[0xC0, at]);
        }
        b'l' => answer.resize(700, 0),
        _ => {}
    }
    answer
}

async fn start_dns_udp(env: &Env) -> SocketAddr {
    let address = Address::new("dns", 53);
    let mut datagrams = env.bind_datagrams(&address).await.expect("free");
    let socket = datagrams.socket().expect("UDP");
    env.on("dns").spawn(async move {
        while let Ok((query, from)) = datagrams.receive().await {
            if query[13] == b'f' {
                // An answer to another question comes first.
                let mut foreign = answer(&query);
                foreign[0] ^= 1;
                datagrams.send(&foreign, &from).await.expect("sent");
            }
            datagrams.send(&answer(&query), &from).await.expect("sent");
        }
    });
    socket
}

async fn start_dns_tcp(env: &Env) -> SocketAddr {
    let mut listener = env.listen(&Address::new("dns", 53)).await.expect("free");
    let socket = listener.socket().expect("TCP");
    env.on("dns").spawn(async move {
        while let Ok(mut connection) = listener.accept().await {
            let Ok(length) = connection.read_u16().await else {
                continue;
            };
            let mut query = vec![0; usize::from(length)];
            if connection.read_exact(&mut query).await.is_err() {
                continue;
            }
            let answer = answer(&query);
            let length = (answer.len() as u16).to_be_bytes();
            let _ = connection.write_all(&[&length[..], &answer].concat()).await;
        }
    });
    socket
}

type HealthBody = http_body_util::combinators::BoxBody<Bytes, Infallible>;

/// Healthy as a whole, not in its orders, and without any other service.
async fn health(request: Request<Incoming>) -> Result<Response<HealthBody>, Infallible> {
    let body = request.into_body().collect().await.map(|it| it.to_bytes());
    let body = body.unwrap_or_default();
    let response = Response::builder().header("content-type", "application/grpc");
    let frame = match body.get(5..).unwrap_or_default() {
        [] => &[0, 0, 0, 0, 2, 8, 1][..],
        [0x0a, 6, b'o', ..] => &[0, 0, 0, 0, 2, 8, 2][..],
        _ => {
            let response = response.header("grpc-status", "5");
            let body = Full::new(Bytes::new()).boxed();
            return Ok(response.body(body).expect("valid"));
        }
    };
    let trailers = HeaderMap::from_iter([(
        HeaderName::from_static("grpc-status"),
        HeaderValue::from_static("0"),
    )]);
    let body = Full::new(Bytes::copy_from_slice(frame))
        .with_trailers(std::future::ready(Some(Ok(trailers))))
        .boxed();
    Ok(response.body(body).expect("valid"))
}

async fn start_health(env: &Env) -> SocketAddr {
    let address = Address::new("health", 50051);
    let listener = env.listen(&address).await.expect("free");
    let socket = listener.socket().expect("TCP");
    let service = tower::service_fn(health);
    let host = env.on("health");
    serve_http2(&host, listener, service, ServeOptions::default());
    socket
}

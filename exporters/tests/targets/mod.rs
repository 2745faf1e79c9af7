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
  dns_soa:
    prober: dns
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

/// Starts `web:80`, `web:443`, `health:50051`, `irc:6667` and `dns:53`.
pub(crate) async fn start(env: &Env) {
    let web = env.listen(&Address::new("web", 80)).await.expect("free");
    let clock = env.clock().clone();
    let service = tower::service_fn(move |request: Request<Incoming>| {
        let clock = clock.clone();
        async move {
            clock.sleep(Duration::from_millis(30)).await;
            let (status, header, body) = match request.uri().path() {
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

    let mut dns = env.listen(&Address::new("dns", 53)).await.expect("free");
    env.on("dns").spawn(async move {
        while let Ok(mut connection) = dns.accept().await {
            let mut query = [0; 256];
            let count = connection.read(&mut query).await.expect("a query");
            let mut answer = query[2..count].to_vec();
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
            let length = (answer.len() as u16).to_be_bytes();
            let _ = connection.write_all(&[&length[..], &answer].concat()).await;
        }
    });
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

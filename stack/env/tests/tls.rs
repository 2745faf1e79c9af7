//! TLS and proxies, in memory and over TCP.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use gameday_env::{
    Address, AnswerLimit, Connection, Env, HttpErrorKind, HttpOptions, Listener, Mode,
    ProxyOptions, ServeOptions, Sim, SimConfig, TlsClient, TlsOptions, TlsServer, TlsVersion,
    serve, serve_tls,
};
use gameday_signal::Timestamp;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};

const CA: &str = include_str!("data/ca.pem");
const SERVER: (&str, &str) = (
    include_str!("data/server.pem"),
    include_str!("data/server.key"),
);
const EXPIRED: (&str, &str) = (
    include_str!("data/expired.pem"),
    include_str!("data/server.key"),
);
const SELF_SIGNED: (&str, &str) = (
    include_str!("data/self-signed.pem"),
    include_str!("data/self-signed.key"),
);
const CLIENT: (&str, &str) = (
    include_str!("data/client.pem"),
    include_str!("data/client.key"),
);

/// 2023-11-14T22:13:20Z.
const VIRTUAL: Mode = Mode::Virtual {
    epoch: Timestamp::from_secs(1_700_000_000),
    speed: None,
};
const LIMIT: Duration = Duration::from_secs(5);

fn in_both_modes(check: &impl AsyncFn(&Env)) {
    for mode in [VIRTUAL, Mode::Real] {
        let sim = Sim::new(&SimConfig {
            mode,
            seed: 1,
            watchdog: Duration::from_secs(20),
        })
        .expect("a runtime");
        sim.block_on(check(sim.env()));
    }
}

async fn listen(env: &Env, host: &str, port: u16) -> Listener {
    env.listen(&Address::new(host, port))
        .await
        .expect("a free address")
}

/// Answers with the request line's target and the header `x-secret`.
async fn echo(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let header = |name: &str| match request.headers().get(name) {
        Some(value) => value.to_str().unwrap_or_default().to_owned(),
        None => String::new(),
    };
    let text = format!("{} {}", request.uri(), header("proxy-authorization"));
    Ok(Response::new(Full::new(Bytes::from(text))))
}

async fn start(env: &Env, host: &str, identity: (&str, &str), client_ca: Option<&str>) {
    let tls = TlsServer::new(identity.0, identity.1, client_ca).expect("a valid identity");
    let listener = listen(env, host, 443).await;
    serve_tls(
        &env.on(host),
        listener,
        tls,
        tower::service_fn(echo),
        ServeOptions::default(),
    );
}

fn trusting(ca: &str) -> TlsOptions {
    TlsOptions {
        ca: Some(ca.to_owned()),
        ..TlsOptions::default()
    }
}

async fn get(
    env: &Env,
    url: &str,
    options: HttpOptions,
) -> Result<String, (HttpErrorKind, String)> {
    let request = Request::get(url).body(Bytes::new()).expect("a request");
    let answer = env.http_client_with(options).send(request, LIMIT).await;
    answer
        .map(|answer| String::from_utf8_lossy(answer.body()).into_owned())
        .map_err(|error| (error.kind, error.reason))
}

#[test]
fn whom_a_client_trusts() {
    in_both_modes(&async |env| {
        start(env, "receiver", SERVER, None).await;
        start(env, "other", SERVER, None).await;
        start(env, "expired", EXPIRED, None).await;
        start(env, "self", SELF_SIGNED, None).await;
        let plain = listen(env, "plain", 443).await;
        serve(
            &env.on("plain"),
            plain,
            tower::service_fn(echo),
            ServeOptions::default(),
        );
        let named = |name: &str, ca: &str| TlsOptions {
            server_name: Some(name.to_owned()),
            ..trusting(ca)
        };
        let anything = TlsOptions {
            insecure_skip_verify: true,
            ..TlsOptions::default()
        };
        let old = TlsOptions {
            max_version: Some(TlsVersion::Tls11),
            ..trusting(CA)
        };
        let tls12 = TlsOptions {
            max_version: Some(TlsVersion::Tls12),
            ..trusting(CA)
        };
        for (host, options, expected) in [
            ("receiver", trusting(CA), Ok(())),
            ("receiver", tls12, Ok(())),
            ("receiver", anything.clone(), Ok(())),
            (
                "receiver",
                trusting(SELF_SIGNED.0),
                Err("the certificate of receiver: signed by an unknown authority"),
            ),
            (
                "other",
                trusting(CA),
                Err("the certificate of other: it is for"),
            ),
            ("other", named("receiver", CA), Ok(())),
            ("other", anything.clone(), Ok(())),
            (
                "expired",
                named("receiver", CA),
                Err("it was valid until 2021-01-01T00:00:00.000Z"),
            ),
            ("expired", anything.clone(), Ok(())),
            // A self-signed certificate is its own authority; its name still counts.
            ("self", named("receiver", SELF_SIGNED.0), Ok(())),
            ("self", trusting(SELF_SIGNED.0), Err("it is for")),
            ("self", named("receiver", CA), Err("")),
            ("plain", anything, Err("does it speak plain HTTP there?")),
            ("receiver", old, Err("TLS 1.2 and 1.3 are spoken")),
            ("receiver", trusting("nothing"), Err("tls_config: ca: ")),
        ] {
            let told = format!("{host} {options:?}");
            let options = HttpOptions {
                tls: options,
                ..HttpOptions::default()
            };
            let answer = get(env, &format!("https://{host}/metrics"), options).await;
            match expected {
                Ok(()) => assert_eq!(answer, Ok("/metrics ".to_owned()), "{told}"),
                Err(words) => {
                    let (kind, reason) = answer.expect_err(&told);
                    assert_eq!(kind, HttpErrorKind::Tls, "{told}: {reason}");
                    assert!(reason.contains(words), "{told}: {reason}");
                }
            }
        }
    });
}

#[test]
fn a_client_shows_its_certificate() {
    in_both_modes(&async |env| {
        start(env, "receiver", SERVER, Some(CA)).await;
        let shown = TlsOptions {
            cert: Some(CLIENT.0.to_owned()),
            key: Some(CLIENT.1.to_owned()),
            ..trusting(CA)
        };
        assert!(!format!("{shown:?}").contains("PRIVATE"));
        for (tls, welcome) in [(shown, true), (trusting(CA), false)] {
            let options = HttpOptions {
                tls,
                ..HttpOptions::default()
            };
            let answer = get(env, "https://receiver/", options).await;
            assert_eq!(answer.is_ok(), welcome, "{answer:?}");
        }
        let half = TlsOptions {
            cert: Some(CLIENT.0.to_owned()),
            ..trusting(CA)
        };
        assert!(TlsClient::new(env, &half, &[]).is_err());
    });
}

/// A proxy that knows CONNECT and lets only its user in.
async fn start_connect_proxy(env: &Env) {
    let mut listener = listen(env, "proxy", 3128).await;
    let own = env.on("proxy");
    let tasks = own.clone();
    own.clone().spawn(async move {
        while let Ok(client) = listener.accept().await {
            tasks.spawn(connect_proxy(own.clone(), client));
        }
    });
}

async fn connect_proxy(env: Env, mut client: Connection) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = client.read_u8().await else {
            return;
        };
        head.push(byte);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    // Basic me:it
    if !head.contains("Proxy-Authorization: Basic bWU6aXQ=\r\n") || !head.contains("X-Team: a\r\n")
    {
        let answer = b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n";
        let _ = client.write_all(answer).await;
        return;
    }
    let target = head.split(' ').nth(1).unwrap_or_default().parse();
    let mut server = env
        .dial(&target.expect("host:port"))
        .await
        .expect("a server");
    let _ = client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
    let _ = copy_bidirectional(&mut client, &mut server).await;
}

#[test]
fn https_goes_through_a_tunnel() {
    in_both_modes(&async |env| {
        start(env, "receiver", SERVER, None).await;
        start_connect_proxy(env).await;
        let through = |url: &str, no_proxy: &str| HttpOptions {
            tls: trusting(CA),
            proxy: ProxyOptions {
                url: Some(url.parse().expect("a proxy")),
                no_proxy: no_proxy.to_owned(),
                connect_headers: vec![("X-Team".to_owned(), "a".to_owned())],
                ..ProxyOptions::default()
            },
            ..HttpOptions::default()
        };
        let url = "https://receiver/x";
        let answer = get(env, url, through("http://me:it@proxy:3128", "")).await;
        assert_eq!(answer, Ok("/x ".to_owned()));
        let (kind, reason) = get(env, url, through("http://proxy:3128", ""))
            .await
            .expect_err("no login");
        assert_eq!(kind, HttpErrorKind::Proxy);
        assert!(reason.contains("407 Proxy Authentication"), "{reason}");
        let direct = get(env, url, through("http://me:it@nobody:1", "receiver")).await;
        assert_eq!(direct, Ok("/x ".to_owned()));
        let (_, reason) = get(env, url, through("http://me:hidden@nobody:1", ""))
            .await
            .expect_err("no proxy there");
        assert!(!reason.contains("hidden"), "{reason}");
    });
}

#[test]
fn http_asks_the_proxy_itself() {
    in_both_modes(&async |env| {
        let listener = listen(env, "proxy", 80).await;
        let service = tower::service_fn(echo);
        serve(&env.on("proxy"), listener, service, ServeOptions::default());
        let options = HttpOptions {
            proxy: ProxyOptions {
                url: Some("http://me:it@proxy".parse().expect("a proxy")),
                ..ProxyOptions::default()
            },
            ..HttpOptions::default()
        };
        let answer = get(env, "http://receiver:8080/x?y=z", options).await;
        assert_eq!(
            answer,
            Ok("http://receiver:8080/x?y=z Basic bWU6aXQ=".to_owned())
        );
    });
}

#[test]
fn socks_leads_to_the_host() {
    in_both_modes(&async |env| {
        start(env, "receiver", SERVER, None).await;
        let mut listener = listen(env, "proxy", 1080).await;
        let own = env.on("proxy");
        own.clone().spawn(async move {
            let mut client = listener.accept().await.expect("a client");
            let mut greeting = [0; 3];
            client.read_exact(&mut greeting).await.expect("a greeting");
            assert_eq!(greeting, [5, 1, 2]);
            client.write_all(&[5, 2]).await.expect("a client");
            let mut login = [0; 7];
            client.read_exact(&mut login).await.expect("a login");
            assert_eq!(&login, b"\x01\x02me\x02it");
            client.write_all(&[1, 0]).await.expect("a client");
            let mut request = [0; 15];
            client.read_exact(&mut request).await.expect("a request");
            assert_eq!(&request, b"\x05\x01\x00\x03\x08receiver\x01\xbb");
            let mut server = own
                .dial(&Address::new("receiver", 443))
                .await
                .expect("a server");
            client
                .write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 0])
                .await
                .expect("a client");
            let _ = copy_bidirectional(&mut client, &mut server).await;
        });
        let options = HttpOptions {
            tls: trusting(CA),
            proxy: ProxyOptions {
                url: Some("socks5://me:it@proxy".parse().expect("a proxy")),
                ..ProxyOptions::default()
            },
            ..HttpOptions::default()
        };
        let answer = get(env, "https://receiver/x", options).await;
        assert_eq!(answer, Ok("/x ".to_owned()));
    });
}

#[test]
fn answers_are_refused_or_cut() {
    in_both_modes(&async |env| {
        let listener = listen(env, "echo", 80).await;
        let service = tower::service_fn(echo);
        serve(&env.on("echo"), listener, service, ServeOptions::default());
        let limited = |answer| HttpOptions {
            answer,
            ..HttpOptions::default()
        };
        let url = "http://echo/0123456789";
        let cut = get(env, url, limited(AnswerLimit::Cut(5))).await;
        assert_eq!(cut, Ok("/0123".to_owned()));
        let (kind, _) = get(env, url, limited(AnswerLimit::Refuse(5)))
            .await
            .expect_err("too large");
        assert_eq!(kind, HttpErrorKind::TooLarge);
        let (_, reason) = get(env, "ftp://echo/", HttpOptions::default())
            .await
            .expect_err("no scheme");
        assert!(reason.contains("unsupported protocol scheme"), "{reason}");
    });
}

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use gameday_env::{
    Address, Mode, ServeOptions, Sim, SimConfig, TlsOptions, TlsServer, serve, serve_tls,
};
use gameday_signal::Timestamp;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;

use super::*;

const CA: &str = include_str!("../../../env/tests/data/ca.pem");
const CERT: &str = include_str!("../../../env/tests/data/server.pem");
const KEY: &str = include_str!("../../../env/tests/data/server.key");
const LIMIT: Duration = Duration::from_secs(5);

fn sim() -> Sim {
    Sim::new(&SimConfig {
        mode: Mode::Virtual {
            epoch: Timestamp::from_secs(1_700_000_000),
            speed: None,
        },
        seed: 1,
        watchdog: Duration::from_secs(20),
    })
    .expect("a runtime")
}

/// A request as a server got it: method, path, Authorization, body.
type Seen = Arc<Mutex<Vec<(String, String, String, String)>>>;

async fn start(
    env: &Env,
    host: &str,
    tls: bool,
    answer: impl Fn(&str) -> Response<Full<Bytes>> + Clone + Send + Sync + 'static,
) -> Seen {
    let seen = Seen::default();
    let sink = Arc::clone(&seen);
    let service = tower::service_fn(move |request: Request<Incoming>| {
        let (sink, answer) = (Arc::clone(&sink), answer.clone());
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.expect("a body").to_bytes();
            let authorization = head.headers.get("authorization");
            let path = head.uri.to_string();
            let answered = answer(&path);
            sink.lock().expect("alone").push((
                head.method.to_string(),
                path,
                authorization
                    .and_then(|value| value.to_str().ok())
                    .unwrap_or_default()
                    .to_owned(),
                String::from_utf8_lossy(&body).into_owned(),
            ));
            Ok::<_, Infallible>(answered)
        }
    });
    let own = env.on(host);
    let port = if tls { 443 } else { 80 };
    let listener = own
        .listen(&Address::new(host, port))
        .await
        .expect("a free address");
    if tls {
        let identity = TlsServer::new(CERT, KEY, None).expect("a valid identity");
        serve_tls(&own, listener, identity, service, ServeOptions::default());
    } else {
        serve(&own, listener, service, ServeOptions::default());
    }
    seen
}

fn answer(status: u16, location: &str, body: &str) -> Response<Full<Bytes>> {
    let mut builder = Response::builder()
        .status(status)
        .header("content-type", "application/json");
    if !location.is_empty() {
        builder = builder.header("location", location);
    }
    builder
        .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
        .expect("an answer")
}

fn post(url: &str) -> Request<Bytes> {
    Request::post(url)
        .header("authorization", "Bearer t")
        .body(Bytes::from("body"))
        .expect("a request")
}

fn trusting() -> HttpOptions {
    HttpOptions {
        tls: TlsOptions {
            ca: Some(CA.to_owned()),
            ..TlsOptions::default()
        },
        ..HttpOptions::default()
    }
}

#[test]
fn redirects_are_followed_as_in_go() {
    let sim = sim();
    sim.block_on(async {
        let env = sim.env();
        let first = start(env, "a", false, |path| match path {
            "/moved" => answer(302, "/here", ""),
            "/kept" => answer(307, "/here", ""),
            "/away" => answer(308, "http://b/there", ""),
            "/loop" => answer(307, "/loop", ""),
            _ => answer(200, "", "done"),
        })
        .await;
        let second = start(env, "b", false, |_| answer(200, "", "done")).await;
        let outgoing = Outgoing::new(env);
        let following = RequestOptions {
            follow_redirects: true,
            ..RequestOptions::default()
        };
        for path in ["/moved", "/kept", "/away"] {
            let sent = outgoing.send(post(&format!("http://a{path}")), &following, LIMIT);
            assert_eq!(sent.await.expect("an answer").body(), "done", "{path}");
        }
        let heard = |seen: &Seen| -> Vec<String> {
            let seen = seen.lock().expect("alone");
            seen.iter()
                .map(|(method, path, authorization, body)| {
                    format!("{method} {path} [{authorization}] {body}")
                })
                .collect()
        };
        assert_eq!(
            heard(&first),
            [
                "POST /moved [Bearer t] body",
                "GET /here [Bearer t] ",
                "POST /kept [Bearer t] body",
                "POST /here [Bearer t] body",
                "POST /away [Bearer t] body",
            ]
        );
        assert_eq!(heard(&second), ["POST /there [] body"]);
        let error = outgoing
            .send(post("http://a/loop"), &following, LIMIT)
            .await
            .expect_err("it never ends");
        assert_eq!(error.reason, "stopped after 10 redirects");
        let plain = RequestOptions::default();
        let sent = outgoing.send(post("http://a/moved"), &plain, LIMIT).await;
        assert_eq!(sent.expect("an answer").status(), 302);
    });
}

#[test]
fn a_login_in_the_address_becomes_a_header() {
    let sim = sim();
    sim.block_on(async {
        let seen = start(sim.env(), "a", false, |_| answer(200, "", "")).await;
        let request = Request::get("http://me:p%40w@a/x")
            .body(Bytes::new())
            .expect("a request");
        let outgoing = Outgoing::new(sim.env());
        let options = RequestOptions::default();
        let sent = outgoing.send(request, &options, LIMIT).await;
        sent.expect("an answer");
        let (_, path, authorization, _) = seen.lock().expect("alone")[0].clone();
        // me:p@w
        assert_eq!(
            (path.as_str(), authorization.as_str()),
            ("/x", "Basic bWU6cEB3")
        );
    });
}

#[test]
fn a_token_is_fetched_once_and_renewed_before_it_expires() {
    let sim = sim();
    sim.block_on(async {
        let env = sim.env();
        let tokens = start(env, "receiver", true, |_| {
            answer(
                200,
                "",
                r#"{"access_token":"abc","token_type":"bearer","expires_in":60}"#,
            )
        })
        .await;
        let target = start(env, "a", false, |_| answer(200, "", "")).await;
        let options = RequestOptions {
            oauth2: Some(OAuth2 {
                client_id: "me".to_owned(),
                client_secret: "s&t".to_owned(),
                token_url: "https://receiver/token".to_owned(),
                scopes: vec!["read".to_owned(), "write".to_owned()],
                endpoint_params: vec![("audience".to_owned(), "x y".to_owned())],
                transport: trusting(),
            }),
            ..RequestOptions::default()
        };
        let outgoing = Outgoing::new(env);
        let get = || {
            Request::get("http://a/")
                .body(Bytes::new())
                .expect("a request")
        };
        // A token that is good for 60 s is renewed after 50.
        for pause in [0, 30, 15, 10] {
            env.clock().sleep(Duration::from_secs(pause)).await;
            outgoing
                .send(get(), &options, LIMIT)
                .await
                .expect("an answer");
        }
        let tokens = tokens.lock().expect("alone");
        assert_eq!(tokens.len(), 2, "{tokens:?}");
        let (method, path, authorization, body) = &tokens[0];
        assert_eq!((method.as_str(), path.as_str()), ("POST", "/token"));
        // me:s%26t
        assert_eq!(authorization, "Basic bWU6cyUyNnQ=");
        assert_eq!(
            body,
            "grant_type=client_credentials&scope=read+write&audience=x+y"
        );
        let target = target.lock().expect("alone");
        assert!(target.iter().all(|seen| seen.2 == "Bearer abc"));
        assert!(!format!("{options:?}").contains("s&t"));
    });
}

#[test]
fn a_token_that_is_refused_is_told() {
    let sim = sim();
    sim.block_on(async {
        let env = sim.env();
        let tokens = start(env, "b", false, |_| {
            answer(
                401,
                "",
                r#"{"error":"invalid_client","error_description":"who?"}"#,
            )
        })
        .await;
        let options = RequestOptions {
            oauth2: Some(OAuth2 {
                client_id: "me".to_owned(),
                client_secret: "secret".to_owned(),
                token_url: "http://b/token".to_owned(),
                ..OAuth2::default()
            }),
            ..RequestOptions::default()
        };
        let request = Request::get("http://a/")
            .body(Bytes::new())
            .expect("a request");
        let error = Outgoing::new(env)
            .send(request, &options, LIMIT)
            .await
            .expect_err("no token");
        assert_eq!(
            error.reason,
            "oauth2: cannot fetch token: \"invalid_client\" \"who?\""
        );
        // The second try has the secret in the body.
        let tokens = tokens.lock().expect("alone");
        let bodies: Vec<_> = tokens.iter().map(|seen| seen.3.as_str()).collect();
        assert_eq!(
            bodies,
            [
                "grant_type=client_credentials",
                "grant_type=client_credentials&client_id=me&client_secret=secret"
            ]
        );
    });
}

//! What a request through the whole topology costs in virtual time: `cargo bench -p fake-service`.
//!
//! A mix of the frontend's endpoints at 10 requests/s with every span and log line exported, and every service scraped every 15 s:
//! an hour of it, on one core.

use std::convert::Infallible;
use std::io::Write as _;
use std::time::Duration;

use bytes::Bytes;
use fake_service::{start, topology};
use gameday_env::{Address, Env, HttpClient, Mode, ServeOptions, Sim, SimConfig, Stopwatch, serve};
use gameday_signal::Timestamp;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;

const REQUESTS: u32 = 36_000;
/// Of ten requests, what each one asks for.
const MIX: [&str; 10] = [
    "/",
    "/api/checkout",
    "/api/users",
    "/api/checkout",
    "/api/users/3",
    "/api/checkout",
    "/",
    "/api/users/4",
    "/api/checkout",
    "/api/stats",
];

fn main() {
    let mut out = std::io::stdout().lock();
    for (name, flush_secs, scrapes) in [
        ("requests alone", None, false),
        ("with telemetry", Some(1), false),
        ("with telemetry and scrapes", Some(1), true),
        ("the same, sent every 5 s", Some(5), true),
    ] {
        let took = play(flush_secs, scrapes);
        let each = took.as_secs_f64() * 1e6 / f64::from(REQUESTS);
        let _ = writeln!(
            out,
            "{name:<28} {REQUESTS} requests in {took:.2?}, {each:.1} us each"
        );
    }
}

fn play(flush_secs: Option<u64>, scrapes: bool) -> Duration {
    let mode = Mode::Virtual {
        epoch: Timestamp::from_secs(1_700_000_000),
        speed: None,
    };
    let sim = Sim::new(&SimConfig {
        mode,
        seed: 1,
        watchdog: Duration::from_secs(60),
    })
    .expect("a runtime");
    let env = sim.env().clone();
    let stopwatch = Stopwatch::start();
    sim.block_on(hour(&env, flush_secs, scrapes));
    stopwatch.elapsed()
}

async fn hour(env: &Env, flush_secs: Option<u64>, scrapes: bool) {
    receiver(env).await;
    for mut config in topology() {
        match flush_secs {
            Some(secs) => config.flush_interval = Duration::from_secs(secs),
            None => config.otlp_endpoint = None,
        }
        let host = env.on(&config.name);
        if scrapes {
            scrape(env, &config.name);
        }
        start(&host, config).await.expect("it starts");
    }
    let load = env.on("load");
    let client = load.http_client();
    let pause = Duration::from_millis(100);
    let begin = env.now();
    for number in 0..REQUESTS {
        env.clock().sleep_until(begin + pause * number).await;
        let (client, path) = (client.clone(), MIX[number as usize % MIX.len()]);
        load.spawn(async move { get(&client, &format!("http://frontend:8080{path}")).await });
    }
}

async fn get(client: &HttpClient, url: &str) {
    let request = Request::get(url)
        .body(Bytes::new())
        .expect("a valid request");
    let answer = client
        .send(request, Duration::from_secs(10))
        .await
        .expect("an answer");
    assert!(answer.status().is_success());
}

fn scrape(env: &Env, service: &str) {
    let client = env.on("prometheus").http_client();
    let (clock, url) = (
        env.clock().clone(),
        format!("http://{service}:8080/metrics"),
    );
    env.spawn(async move {
        loop {
            clock.sleep(Duration::from_secs(15)).await;
            get(&client, &url).await;
        }
    });
}

async fn receiver(env: &Env) {
    let listener = env
        .listen(&Address::new("otel-collector", 4318))
        .await
        .expect("free");
    let service = tower::service_fn(|request: Request<Incoming>| async move {
        let _ = request.into_body().collect().await;
        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
    });
    serve(
        &env.on("otel-collector"),
        listener,
        service,
        ServeOptions::default(),
    );
}

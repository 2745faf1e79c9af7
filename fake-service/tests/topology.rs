//! The whole topology in virtual time, as its callers and its telemetry receiver see it.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use fake_service::{Service, start, topology};
use gameday_env::{Address, Env, HttpClient, Mode, ServeOptions, Sim, SimConfig, serve};
use gameday_signal::Timestamp;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use serde_json::{Value, json};

/// A receiver that keeps what it gets.
#[derive(Clone, Default)]
struct Received {
    bodies: Arc<Mutex<Vec<(String, Bytes)>>>,
    status: Arc<Mutex<Option<u16>>>,
}

impl Received {
    async fn start(env: &Env) -> Self {
        let received = Self::default();
        let listener = env
            .listen(&Address::new("otel-collector", 4318))
            .await
            .expect("a free address");
        let keep = received.clone();
        let service = tower::service_fn(move |request: Request<Incoming>| {
            let keep = keep.clone();
            async move {
                let path = request.uri().path().to_owned();
                let body = request
                    .into_body()
                    .collect()
                    .await
                    .expect("a body")
                    .to_bytes();
                let status = *keep.status.lock().expect("no panic");
                if status.is_none() {
                    keep.bodies.lock().expect("no panic").push((path, body));
                }
                let response = Response::builder().status(status.unwrap_or(200));
                Ok::<_, Infallible>(response.body(Full::new(Bytes::new())).expect("valid"))
            }
        });
        serve(
            &env.on("otel-collector"),
            listener,
            service,
            ServeOptions::default(),
        );
        received
    }

    fn bodies(&self, wanted: &str) -> Vec<Bytes> {
        let bodies = self.bodies.lock().expect("no panic");
        let of_path = bodies.iter().filter(|(path, _)| path == wanted);
        of_path.map(|(_, body)| body.clone()).collect()
    }

    /// The spans with the service that they are of.
    fn spans(&self) -> Vec<(String, Span)> {
        let mut spans = Vec::new();
        for body in self.bodies("/v1/traces") {
            let request = ExportTraceServiceRequest::decode(body).expect("valid protobuf");
            for group in request.resource_spans {
                let service = text(
                    &group.resource.expect("a resource").attributes,
                    "service.name",
                );
                let of_scopes = group.scope_spans.into_iter().flat_map(|scope| scope.spans);
                spans.extend(of_scopes.map(|span| (service.clone(), span)));
            }
        }
        spans
    }

    fn logs(&self) -> Vec<(String, LogRecord)> {
        let mut logs = Vec::new();
        for body in self.bodies("/v1/logs") {
            let request = ExportLogsServiceRequest::decode(body).expect("valid protobuf");
            for group in request.resource_logs {
                let service = text(
                    &group.resource.expect("a resource").attributes,
                    "service.name",
                );
                let of_scopes = group
                    .scope_logs
                    .into_iter()
                    .flat_map(|scope| scope.log_records);
                logs.extend(of_scopes.map(|record| (service.clone(), record)));
            }
        }
        logs
    }
}

fn text(attributes: &[KeyValue], key: &str) -> String {
    let value = attributes
        .iter()
        .find(|it| it.key == key)
        .and_then(|it| it.value.clone());
    match value.and_then(|it| it.value) {
        Some(any_value::Value::StringValue(text)) => text,
        Some(any_value::Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}

fn body_of(record: &LogRecord) -> Value {
    let body = record.body.clone().and_then(|body| body.value);
    let Some(any_value::Value::StringValue(line)) = body else {
        panic!("a log line is a text: {body:?}");
    };
    serde_json::from_str(&line).expect("a log line is JSON")
}

struct World {
    env: Env,
    client: HttpClient,
    received: Received,
    services: Vec<Service>,
}

impl World {
    async fn start(env: &Env) -> Self {
        let received = Received::start(env).await;
        let mut services = Vec::new();
        for config in topology() {
            let host = env.on(&config.name);
            services.push(start(&host, config).await.expect("it starts"));
        }
        Self {
            env: env.clone(),
            client: env.on("user").http_client(),
            received,
            services,
        }
    }

    async fn send(&self, method: Method, url: &str, body: &str) -> (StatusCode, String) {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{url}"))
            .body(Bytes::from(body.to_owned()))
            .expect("a valid request");
        let limit = Duration::from_secs(60);
        let answer = self.client.send(request, limit).await.expect("an answer");
        let text = String::from_utf8(answer.body().to_vec()).expect("a text");
        (answer.status(), text)
    }

    async fn get(&self, url: &str) -> (StatusCode, String) {
        self.send(Method::GET, url, "").await
    }

    async fn inject(&self, service: &str, name: &str, fault: &Value) -> (StatusCode, String) {
        let url = format!("{service}:8081/-/faults/{name}");
        self.send(Method::PUT, &url, &fault.to_string()).await
    }

    async fn clear(&self, service: &str, name: &str) -> Value {
        let url = format!("{service}:8081/-/faults/{name}");
        let (status, body) = self.send(Method::DELETE, &url, "").await;
        assert_eq!(status, StatusCode::OK, "{body}");
        serde_json::from_str(&body).expect("JSON")
    }

    async fn checkout(&self) -> (StatusCode, Duration) {
        let begin = self.env.now();
        let (status, _) = self.get("frontend:8080/api/checkout").await;
        (status, self.env.now().since(begin))
    }
}

fn play<F: Future<Output = ()>>(scene: impl FnOnce(Env) -> F) {
    let mode = Mode::Virtual {
        epoch: Timestamp::from_secs(1_700_000_000),
        speed: None,
    };
    let sim = Sim::new(&SimConfig {
        mode,
        seed: 42,
        watchdog: Duration::from_secs(30),
    })
    .expect("a runtime");
    let env = sim.env().clone();
    sim.block_on(scene(env));
}

#[test]
fn endpoints_answer_with_the_right_status() {
    play(|env| async move {
        let world = World::start(&env).await;
        let user = r#"{"name": "Ada", "email": "ada@example.com"}"#;
        let huge = format!(r#"{{"name": "{}", "email": "a@b"}}"#, "x".repeat(70_000));
        for (method, url, body, status, expected) in [
            (
                Method::GET,
                "frontend:8080/",
                "",
                200,
                "Hello from frontend",
            ),
            (
                Method::GET,
                "frontend:8080/api/checkout",
                "",
                200,
                r#""order":1"#,
            ),
            (
                Method::GET,
                "frontend:8080/api/users",
                "",
                200,
                "user1@example.com",
            ),
            (Method::GET, "frontend:8080/api/users/7", "", 200, "User 7"),
            (
                Method::GET,
                "frontend:8080/api/users/999",
                "",
                404,
                "no such user",
            ),
            (
                Method::GET,
                "frontend:8080/api/users/x",
                "",
                400,
                "is a number",
            ),
            (
                Method::GET,
                "frontend:8080/api/stats",
                "",
                200,
                r#""users":20"#,
            ),
            (Method::GET, "frontend:8080/slow", "", 200, "slow"),
            (
                Method::GET,
                "frontend:8080/health",
                "",
                200,
                r#""version":"1.0.0""#,
            ),
            (Method::GET, "frontend:8080/ready", "", 200, "ok"),
            (
                Method::GET,
                "frontend:8080/nothing",
                "",
                404,
                "no such endpoint",
            ),
            (Method::POST, "frontend:8080/api/users", "", 405, "only GET"),
            (Method::POST, "users:8080/users", user, 201, r#""id":21"#),
            (Method::POST, "users:8080/users", "{", 400, "expected {"),
            (
                Method::POST,
                "users:8080/users",
                r#"{"name": "Ada"}"#,
                400,
                "missing field",
            ),
            (
                Method::POST,
                "users:8080/users",
                r#"{"name": "", "email": "a@b"}"#,
                400,
                "1 to 200",
            ),
            (
                Method::POST,
                "users:8080/users",
                &huge,
                413,
                "larger than 65536",
            ),
            (
                Method::DELETE,
                "users:8080/users/21",
                "",
                200,
                r#""deleted":21"#,
            ),
            (
                Method::DELETE,
                "users:8080/users/21",
                "",
                404,
                "no such user",
            ),
            (
                Method::DELETE,
                "users:8080/users",
                "",
                200,
                r#""deleted":0"#,
            ),
            (Method::GET, "users:8080/health", "", 200, "ok"),
        ] {
            let (got, text) = world.send(method.clone(), url, body).await;
            assert_eq!(got.as_u16(), status, "{method} {url}: {text}");
            assert!(text.contains(expected), "{method} {url}: {text}");
        }
    });
}

#[test]
fn one_request_is_one_trace_and_its_log_lines_lead_there() {
    play(|env| async move {
        let world = World::start(&env).await;
        let request = Request::get("http://frontend:8080/api/checkout")
            .header(
                "traceparent",
                "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01",
            )
            .body(Bytes::new())
            .expect("a valid request");
        let limit = Duration::from_secs(5);
        world.client.send(request, limit).await.expect("an answer");
        env.clock().sleep(Duration::from_secs(3)).await;
        let mut spans = world.received.spans();
        spans.sort_by_key(|(_, span)| span.start_time_unix_nano);
        let shown: Vec<String> = spans
            .iter()
            .map(|(service, span)| format!("{service} {} {}", span.name, span.kind().as_str_name()))
            .collect();
        assert_eq!(
            shown,
            [
                "frontend GET /api/checkout SPAN_KIND_SERVER",
                "frontend POST /checkout SPAN_KIND_CLIENT",
                "checkout POST /checkout SPAN_KIND_SERVER",
                "checkout db.query SPAN_KIND_CLIENT",
                "checkout POST /payments SPAN_KIND_CLIENT",
                "payments POST /payments SPAN_KIND_SERVER",
            ]
        );
        let parents = [None, Some(0), Some(1), Some(2), Some(2), Some(4)];
        for ((_, span), parent) in spans.iter().zip(parents) {
            let expected = match parent {
                Some(index) => spans[index].1.span_id.clone(),
                None => 0x00f0_67aa_0ba9_02b7_u64.to_be_bytes().to_vec(),
            };
            assert_eq!(span.parent_span_id, expected, "{}", span.name);
            assert_eq!(span.trace_id, spans[0].1.trace_id);
            assert!(span.start_time_unix_nano >= 1_700_000_000_000_000_000);
            assert!(span.end_time_unix_nano > span.start_time_unix_nano);
        }
        assert_eq!(spans[0].1.trace_id[0], 0x0a);
        let query = &spans[3].1.attributes;
        for (key, value) in [
            ("db.system.name", "sqlite"),
            ("db.operation.name", "REPLACE"),
            (
                "db.query.text",
                "REPLACE INTO orders (slot, number, cents) VALUES (?, ?, ?)",
            ),
            ("server.address", "checkout"),
        ] {
            assert_eq!(text(query, key), value);
        }
        for (key, value) in [
            ("http.request.method", "GET"),
            ("http.route", "/api/checkout"),
            ("url.path", "/api/checkout"),
            ("http.response.status_code", "200"),
            ("server.port", "8080"),
        ] {
            assert_eq!(text(&spans[0].1.attributes, key), value);
        }
        let logs = world.received.logs();
        let services: Vec<&str> = logs.iter().map(|(service, _)| service.as_str()).collect();
        assert_eq!(services.len(), 3, "{services:?}");
        for (service, record) in &logs {
            let line = body_of(record);
            assert_eq!(record.severity_text, "INFO");
            assert_eq!(record.trace_id, spans[0].1.trace_id);
            assert_eq!(line["trace_id"], "0af7651916cd43dd8448eb211c80319c");
            assert_eq!(line["service"], service.as_str());
            assert_eq!(line["status_code"], 200);
            assert!(record.time_unix_nano > 1_700_000_000_000_000_000);
        }
    });
}

#[test]
fn a_slow_database_shows_in_the_span_the_log_and_the_metrics() {
    play(|env| async move {
        let world = World::start(&env).await;
        let (status, healthy) = world.checkout().await;
        assert_eq!(status, StatusCode::OK);
        assert!(healthy < Duration::from_millis(150), "{healthy:?}");
        let fault =
            json!({"type": "latency", "target": "database", "latency": "800ms", "lease": "10m"});
        let (status, body) = world.inject("checkout", "slow-db", &fault).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        let (_, slow) = world.checkout().await;
        assert!(slow >= Duration::from_millis(800), "{slow:?}");
        let removed = world.clear("checkout", "slow-db").await;
        assert_eq!(removed["touched"], 1);
        assert!(
            removed["first_touched"]
                .as_str()
                .expect("a time")
                .starts_with("2023-11-14T22:13:20.")
        );
        let (_, after) = world.checkout().await;
        assert!(after < Duration::from_millis(150), "{after:?}");
        env.clock().sleep(Duration::from_secs(3)).await;
        let slowest = world
            .received
            .spans()
            .into_iter()
            .filter(|(_, span)| span.name == "db.query")
            .max_by_key(|(_, span)| span.end_time_unix_nano - span.start_time_unix_nano)
            .expect("a query");
        let warnings: Vec<Value> = world
            .received
            .logs()
            .iter()
            .filter(|(service, record)| service == "checkout" && record.severity_text == "WARN")
            .map(|(_, record)| body_of(record))
            .collect();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        let trace_id: String = slowest
            .1
            .trace_id
            .iter()
            .map(|it| format!("{it:02x}"))
            .collect();
        assert_eq!(warnings[0]["trace_id"], trace_id.as_str());
        let (_, metrics) = world.get("checkout:8080/metrics").await;
        for line in [
            r#"http_request_duration_seconds_bucket{service="checkout",le="0.5",method="POST",endpoint="/checkout",outcome="success"} 2"#,
            r#"http_request_duration_seconds_bucket{service="checkout",le="1.0",method="POST",endpoint="/checkout",outcome="success"} 3"#,
            r#"http_requests_total{service="checkout",method="POST",endpoint="/checkout",status_code="200"} 3"#,
        ] {
            assert!(metrics.contains(line), "{line} is missing in\n{metrics}");
        }
    });
}

#[test]
fn a_lease_undoes_its_fault() {
    play(|env| async move {
        let world = World::start(&env).await;
        let fault =
            json!({"type": "error", "target": "service", "status_code": 503, "lease": "1m"});
        world.inject("payments", "outage", &fault).await;
        assert_eq!(world.checkout().await.0, StatusCode::BAD_GATEWAY);
        env.clock().sleep(Duration::from_secs(61)).await;
        assert_eq!(world.checkout().await.0, StatusCode::OK);
        assert_eq!(world.get("payments:8081/-/faults").await.1, "[]");
        // What it touched can still be asked for.
        let (status, body) = world.get("payments:8081/-/faults/outage").await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        let state: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(state["touched"], 1);
        assert_eq!(state["ended"]["by"], "lease_expired");
        // A renewed lease counts from its renewal.
        world.inject("payments", "outage", &fault).await;
        env.clock().sleep(Duration::from_secs(40)).await;
        world.inject("payments", "outage", &fault).await;
        env.clock().sleep(Duration::from_secs(40)).await;
        assert_eq!(world.checkout().await.0, StatusCode::BAD_GATEWAY);
        env.clock().sleep(Duration::from_secs(21)).await;
        assert_eq!(world.checkout().await.0, StatusCode::OK);
    });
}

#[test]
fn every_kind_of_fault_does_what_it_says_and_leaves_nothing_behind() {
    play(|env| async move {
        let world = World::start(&env).await;
        for (service, fault, status, at_least_ms) in [
            (
                "frontend",
                json!({"type": "latency", "target": "endpoint:/api/checkout", "latency": "700ms"}),
                200,
                700,
            ),
            (
                "checkout",
                json!({"type": "latency", "target": "upstream:payments", "latency": "700ms"}),
                200,
                700,
            ),
            (
                "frontend",
                json!({"type": "error", "target": "endpoint:GET /api/checkout", "status_code": 418}),
                418,
                0,
            ),
            (
                "checkout",
                json!({"type": "error", "target": "upstream:payments"}),
                502,
                0,
            ),
            (
                "checkout",
                json!({"type": "error", "target": "database"}),
                502,
                0,
            ),
            (
                "checkout",
                json!({"type": "error", "phase": "after", "status_code": 503}),
                502,
                0,
            ),
            ("payments", json!({"type": "abort"}), 502, 0),
            (
                "checkout",
                json!({"type": "abort", "target": "upstream:payments"}),
                502,
                0,
            ),
            // Checkout waits five seconds for payments, the frontend ten for checkout.
            ("payments", json!({"type": "hang"}), 502, 5_000),
            (
                "checkout",
                json!({"type": "hang", "target": "database"}),
                504,
                10_000,
            ),
            (
                "checkout",
                json!({"type": "partition", "target": "upstream:payments"}),
                502,
                5_000,
            ),
            (
                "checkout",
                json!({"type": "partition", "target": "upstream:payments", "action": "refuse"}),
                502,
                0,
            ),
            (
                "checkout",
                json!({"type": "bad_version", "version": "1.1.0", "error_rate": 1}),
                502,
                0,
            ),
            (
                "checkout",
                json!({"type": "cpu_pressure", "load": 95}),
                200,
                0,
            ),
            (
                "checkout",
                json!({"type": "memory_pressure", "size": "60%"}),
                200,
                0,
            ),
            (
                "checkout",
                json!({"type": "disk_pressure", "fill_percentage": 95}),
                200,
                0,
            ),
        ] {
            let mut fault = fault;
            fault["lease"] = json!("10m");
            let (injected, body) = world.inject(service, "it", &fault).await;
            assert_eq!(injected, StatusCode::OK, "{fault}: {body}");
            let (got, took) = world.checkout().await;
            assert_eq!(got.as_u16(), status, "{fault}");
            assert!(
                took >= Duration::from_millis(at_least_ms),
                "{fault}: {took:?}"
            );
            let removed = world.clear(service, "it").await;
            assert!(removed["touched"].as_u64() >= Some(1), "{fault}: {removed}");
            let (got, took) = world.checkout().await;
            assert_eq!(got, StatusCode::OK, "after {fault}");
            assert!(took < Duration::from_millis(200), "after {fault}: {took:?}");
        }
    });
}

#[test]
fn a_bad_version_shows_until_it_is_rolled_back() {
    play(|env| async move {
        let world = World::start(&env).await;
        let fault =
            json!({"type": "bad_version", "version": "1.1.0", "error_rate": 1, "lease": "1h"});
        world.inject("checkout", "deploy", &fault).await;
        assert_eq!(world.checkout().await.0, StatusCode::BAD_GATEWAY);
        let info =
            |version: &str| format!(r#"service_info{{service="checkout",version="{version}"}} 1"#);
        let (_, metrics) = world.get("checkout:8080/metrics").await;
        assert!(metrics.contains(&info("1.1.0")) && !metrics.contains(&info("1.0.0")));
        let (status, body) = world
            .send(Method::POST, "checkout:8081/-/rollback", "")
            .await;
        assert_eq!(status, StatusCode::OK);
        assert!(body.contains("deploy"), "{body}");
        assert_eq!(world.checkout().await.0, StatusCode::OK);
        let (_, metrics) = world.get("checkout:8080/metrics").await;
        assert!(metrics.contains(&info("1.0.0")) && !metrics.contains(&info("1.1.0")));
        let (_, health) = world.get("checkout:8080/health").await;
        assert!(health.contains("1.0.0"));
    });
}

#[test]
fn mistakes_in_a_fault_are_answered_with_the_nearest_names() {
    play(|env| async move {
        let world = World::start(&env).await;
        let fault = json!({"type": "latency", "target": "endpoint:/chekout", "latency": "1s", "lease": "1m"});
        let (status, body) = world.inject("checkout", "it", &fault).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        let answer: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(answer["field"], "target");
        assert_eq!(answer["did_you_mean"], json!(["/checkout"]));
        let (status, body) = world
            .send(Method::PUT, "checkout:8081/-/faults/it", "nonsense")
            .await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
        let (status, body) = world
            .send(Method::DELETE, "checkout:8081/-/faults/it", "")
            .await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{body}");
        assert_eq!(world.get("checkout:8081/-/faults").await.1, "[]");
    });
}

#[test]
fn a_hung_service_does_not_answer_its_probe() {
    play(|env| async move {
        let world = World::start(&env).await;
        let fault = json!({"type": "hang", "lease": "1m"});
        world.inject("payments", "stuck", &fault).await;
        for url in [
            "http://payments:8080/health",
            "http://payments:8080/metrics",
        ] {
            let request = Request::get(url)
                .body(Bytes::new())
                .expect("a valid request");
            let limit = Duration::from_secs(10);
            assert!(world.client.send(request, limit).await.is_err(), "{url}");
        }
        env.clock().sleep(Duration::from_secs(60)).await;
        assert_eq!(world.get("payments:8080/health").await.0, StatusCode::OK);
    });
}

#[test]
fn telemetry_survives_a_receiver_that_is_away_and_counts_what_it_loses() {
    play(|env| async move {
        let world = World::start(&env).await;
        *world.received.status.lock().expect("no panic") = Some(503);
        world.checkout().await;
        env.clock().sleep(Duration::from_secs(5)).await;
        *world.received.status.lock().expect("no panic") = None;
        env.clock().sleep(Duration::from_secs(30)).await;
        assert_eq!(world.received.spans().len(), 6);
        *world.received.status.lock().expect("no panic") = Some(400);
        world.checkout().await;
        env.clock().sleep(Duration::from_secs(5)).await;
        let (_, metrics) = world.get("payments:8080/metrics").await;
        for line in [
            r#"telemetry_items_total{service="payments",signal="traces",outcome="exported"} 1"#,
            r#"telemetry_items_total{service="payments",signal="traces",outcome="dropped_export_failed"} 1"#,
        ] {
            assert!(metrics.contains(line), "{line} is missing in\n{metrics}");
        }
    });
}

#[test]
fn a_crashed_service_comes_back() {
    play(|env| async move {
        let world = World::start(&env).await;
        assert_eq!(world.checkout().await.0, StatusCode::OK);
        env.crash("payments");
        assert_eq!(world.checkout().await.0, StatusCode::BAD_GATEWAY);
        let config = world.services[2].config().clone();
        start(&env.on("payments"), config)
            .await
            .expect("it starts again");
        assert_eq!(world.checkout().await.0, StatusCode::OK);
    });
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let run = || {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let keep = Arc::clone(&seen);
        play(|env| async move {
            let world = World::start(&env).await;
            for path in [
                "",
                "api/checkout",
                "api/users",
                "api/users/3",
                "api/stats",
                "slow",
            ] {
                world.get(&format!("frontend:8080/{path}")).await;
            }
            env.clock().sleep(Duration::from_secs(3)).await;
            let mut all = world.received.bodies.lock().expect("no panic").clone();
            for service in ["frontend", "checkout", "payments", "users"] {
                let (_, metrics) = world.get(&format!("{service}:8080/metrics")).await;
                all.push((service.to_owned(), metrics.into()));
            }
            *keep.lock().expect("no panic") = all;
        });
        std::mem::take(&mut *seen.lock().expect("no panic"))
    };
    assert!(run() == run());
}

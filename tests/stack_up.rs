//! `gameday stack up` as a process of its own, fed by clients that nobody here wrote: what OpenTelemetry's Python SDK sends over gRPC and
//! HTTP is what the query APIs give back. Where Python or its packages are missing, the test says so in one line and passes.

#![expect(
    clippy::print_stdout,
    reason = "a test that is skipped says so in a line"
)]

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use gameday::verify::encode;
use gameday_env::{Child, Env, Mode, Sim, SimConfig};
use http::Request;
use serde_json::Value;

const CLIENT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/stack/server/tests/otlp_client.py"
);
/// A busy machine may be slow; nothing here takes a tenth of it.
const LIMIT: Duration = Duration::from_secs(60);

/// A running stack, ended with the test.
struct Up {
    child: Child,
    offset: u16,
}

impl Up {
    /// `place` tells the tests of this file apart.
    async fn start(env: &Env, place: u16, options: &[&str]) -> Self {
        // Two runs of this test on one machine must not meet.
        let offset = 20_000 + (std::process::id() % 300) as u16 * 100 + place;
        let port_offset = offset.to_string();
        let mut arguments = ["stack", "up", "--port-offset", &port_offset]
            .map(str::to_owned)
            .to_vec();
        arguments.extend(options.iter().map(|own| (*own).to_owned()));
        let mut child = Child::start(Path::new(env!("CARGO_BIN_EXE_gameday")), &arguments)
            .expect("the binary starts");
        loop {
            let line = env.clock().timeout(LIMIT, child.next_line()).await;
            let line = line.expect("it is ready in time").expect("it runs");
            if line.starts_with("Pushgateway") {
                return Self { child, offset };
            }
        }
    }

    async fn get(&self, env: &Env, port: u16, path: &str) -> Value {
        let url = format!("http://127.0.0.1:{}{path}", port + self.offset);
        let request = Request::get(&url).body(Bytes::new()).expect("a request");
        let answer = env.http_client().send(request, LIMIT).await;
        let answer = answer.expect("an answer");
        let text = String::from_utf8_lossy(answer.body()).into_owned();
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{url}: {text}"))
    }

    async fn post_trace(&self, env: &Env, body: String) {
        let url = format!("http://127.0.0.1:{}/v1/traces", 4318 + self.offset);
        let request = Request::post(&url)
            .header("content-type", "application/json")
            .body(Bytes::from(body))
            .expect("a request");
        let answer = env.http_client().send(request, LIMIT).await;
        assert_eq!(answer.expect("an answer").status(), 200);
    }

    async fn promql(&self, env: &Env, query: &str) -> Value {
        let path = format!("/api/v1/query?query={}", encode(query));
        self.get(env, 9090, &path).await["data"]["result"].take()
    }

    /// Runs the client and gives the id of its trace; none where it cannot run.
    async fn send(&self, env: &Env, protocol: &str, port: u16) -> Option<String> {
        let endpoint = format!("http://127.0.0.1:{}", port + self.offset);
        let arguments = [CLIENT, protocol, &endpoint].map(str::to_owned);
        let mut client = match Child::start(Path::new("python3"), &arguments) {
            Ok(client) => client,
            Err(error) => {
                println!("skipped: {error}");
                return None;
            }
        };
        let mut trace_id = None;
        while let Ok(Ok(line)) = env.clock().timeout(LIMIT, client.next_line()).await {
            match line.split_once(' ') {
                Some(("trace", id)) => trace_id = Some(id.to_owned()),
                Some(("missing:", reason)) => {
                    println!("skipped: {reason}");
                    return None;
                }
                _ if line == "done" => break,
                _ => {}
            }
        }
        Some(trace_id.expect("the client has sent a trace"))
    }
}

fn run<F: Future<Output = ()>>(test: impl FnOnce(Env) -> F) {
    let sim = Sim::new(&SimConfig {
        mode: Mode::Real,
        seed: 1,
        watchdog: Duration::MAX,
    })
    .expect("a runtime");
    let env = sim.env().clone();
    sim.block_on(test(env));
}

#[test]
fn what_the_python_sdk_sends_is_what_the_query_apis_give_back() {
    run(|env| async move {
        let mut up = Up::start(&env, 0, &[]).await;
        for (protocol, port) in [("grpc", 4317), ("http", 4318)] {
            let Some(id) = up.send(&env, protocol, port).await else {
                break;
            };
            check_trace(&up, &env, protocol, &id).await;
            check_logs(&up, &env, protocol, &id).await;
            check_metrics(&up, &env, protocol).await;
        }
        up.child.kill().await;
    });
}

async fn check_trace(up: &Up, env: &Env, protocol: &str, id: &str) {
    let trace = up.get(env, 3200, &format!("/api/traces/{id}")).await;
    let mut spans: Vec<(&Value, &Value, &Value)> = Vec::new();
    for batch in trace["batches"].as_array().into_iter().flatten() {
        for scoped in batch["scopeSpans"].as_array().into_iter().flatten() {
            for span in scoped["spans"].as_array().into_iter().flatten() {
                spans.push((span, &scoped["scope"], &batch["resource"]));
            }
        }
    }
    let named = |name: &str| {
        let found = spans.iter().find(|(span, ..)| span["name"] == name);
        *found.unwrap_or_else(|| panic!("no {name} in {trace}"))
    };
    assert_eq!(spans.len(), 2, "{trace}");
    let (child, scope, resource) = named("child");
    let (parent, ..) = named("parent");
    assert_eq!(child["parentSpanId"], parent["spanId"]);
    assert_eq!(
        (&scope["name"], &scope["version"]),
        (&Value::from("library"), &Value::from("1.2"))
    );
    let text = resource.to_string();
    for part in ["host.name", "h1", "service.instance.id", protocol] {
        assert!(text.contains(part), "{text}");
    }
    let text = parent["attributes"].to_string();
    assert!(
        text.contains(r#""intValue":"7""#) || text.contains(r#""intValue":7"#),
        "{text}"
    );
    assert!(text.contains("arrayValue"), "{text}");
    assert_eq!(child["events"][0]["name"], "boom");
    assert_eq!(
        child["events"][0]["attributes"][0]["value"]["doubleValue"],
        1.5
    );

    let query = format!(
        "{{ name = \"child\" && resource.service.instance.id = \"{protocol}\" && event:name = \"boom\" }}"
    );
    let found = up
        .get(env, 3200, &format!("/api/search?q={}", encode(&query)))
        .await;
    let ids: Vec<String> = found["traces"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|own| format!("{:0>32}", own["traceID"].as_str().unwrap_or_default()))
        .collect();
    assert_eq!(ids, [id], "{found}");
    assert_eq!(found["traces"][0]["rootTraceName"], "parent");
}

async fn check_logs(up: &Up, env: &Env, protocol: &str, id: &str) {
    let query = format!("{{service_name=\"client\"}} |= \"hello\" | trace_id=\"{id}\"");
    let path = format!("/loki/api/v1/query_range?query={}", encode(&query));
    let found = up.get(env, 3100, &path).await;
    let result = &found["data"]["result"];
    assert_eq!(result.as_array().map(Vec::len), Some(1), "{found}");
    let labels = result[0]["stream"].to_string();
    for part in [protocol, "client", "warn"] {
        assert!(labels.to_lowercase().contains(part), "{labels}");
    }
    assert_eq!(result[0]["values"][0][1], "hello world");
    assert_eq!(result[0]["stream"]["answer"], "42", "{found}");
}

async fn check_metrics(up: &Up, env: &Env, protocol: &str) {
    for (query, value) in [
        (
            format!("requests_total{{job=\"client\",instance=\"{protocol}\",route=\"/pay\"}}"),
            "3",
        ),
        (
            format!("request_duration_seconds_count{{instance=\"{protocol}\"}}"),
            "1",
        ),
        (
            format!("request_duration_seconds_sum{{instance=\"{protocol}\"}}"),
            "0.2",
        ),
        (
            format!("request_duration_seconds_bucket{{instance=\"{protocol}\",le=\"+Inf\"}}"),
            "1",
        ),
        (
            format!(
                "queue_length{{instance=\"{protocol}\"}} * on (job, instance) group_left (host_name) target_info{{host_name=\"h1\"}}"
            ),
            "4",
        ),
    ] {
        let result = up.promql(env, &query).await;
        assert_eq!(result[0]["value"][1], value, "{query}: {result}");
        assert_eq!(
            result.as_array().map(Vec::len),
            Some(1),
            "{query}: {result}"
        );
    }
}

/// What was acknowledged is there after a kill, and spans that come later join their trace.
#[test]
fn acknowledged_spans_survive_a_kill() {
    run(|env| async move {
        let data = Path::new(env!("CARGO_TARGET_TMPDIR")).join("killed-traces");
        let _ = std::fs::remove_dir_all(&data);
        let options = ["--data", data.to_str().expect("a path of text")];
        let mut up = Up::start(&env, 10, &options).await;
        let nanos = env.now().as_nanos();
        let span = |id: u64, parent: u64| {
            format!(
                r#"{{"resourceSpans":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"kept"}}}}]}},"scopeSpans":[{{"spans":[{{"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"{id:016x}","parentSpanId":"{parent:016x}","name":"span {id}","startTimeUnixNano":"{nanos}","endTimeUnixNano":"{}"}}]}}]}}]}}"#,
                nanos + 5_000_000
            )
        };
        for id in 1..=50 {
            up.post_trace(&env, span(id, id - 1)).await;
        }
        up.child.kill().await;
        let mut up = Up::start(&env, 20, &options).await;
        up.post_trace(&env, span(51, 50)).await;
        let path = "/api/traces/0af7651916cd43dd8448eb211c80319c";
        let trace = up.get(&env, 3200, path).await.to_string();
        assert_eq!(trace.matches("\"spanId\"").count(), 51, "{trace}");
        let query = encode("{ resource.service.name = \"kept\" && name = \"span 50\" }");
        let found = up.get(&env, 3200, &format!("/api/search?q={query}")).await;
        assert_eq!(found["traces"].as_array().map(Vec::len), Some(1), "{found}");
        up.child.kill().await;
    });
}

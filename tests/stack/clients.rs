//! Clients that nobody here wrote: what OpenTelemetry's Python SDK sends over gRPC and HTTP is what the query APIs give back. Where
//! Python or its packages are missing, the test says so in one line and passes.

#![expect(
    clippy::print_stdout,
    reason = "a test that is skipped says so in a line"
)]

use std::path::Path;

use gameday::verify::encode;
use gameday_env::{Child, Env};
use serde_json::Value;

use crate::up::{LIMIT, LOKI, OTLP_GRPC, OTLP_HTTP, TEMPO, Up, in_real_time};

const CLIENT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/stack/server/tests/otlp_client.py"
);

/// Runs the client and gives the id of its trace; none where it cannot run.
async fn send(up: &Up, env: &Env, protocol: &str, port: u16) -> Option<String> {
    let arguments = [CLIENT, protocol, &up.url(port, "")].map(str::to_owned);
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

#[test]
fn what_the_python_sdk_sends_is_what_the_query_apis_give_back() {
    in_real_time(|env| async move {
        let mut up = Up::start(&env, &[]).await;
        for (protocol, port) in [("grpc", OTLP_GRPC), ("http", OTLP_HTTP)] {
            let Some(id) = send(&up, &env, protocol, port).await else {
                break;
            };
            check_trace(&up, protocol, &id).await;
            check_logs(&up, protocol, &id).await;
            check_metrics(&up, protocol).await;
        }
        up.child.kill().await;
    });
}

async fn check_trace(up: &Up, protocol: &str, id: &str) {
    let trace = up.get(TEMPO, &format!("/api/traces/{id}")).await;
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
        .get(TEMPO, &format!("/api/search?q={}", encode(&query)))
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

async fn check_logs(up: &Up, protocol: &str, id: &str) {
    let query = format!("{{service_name=\"client\"}} |= \"hello\" | trace_id=\"{id}\"");
    let path = format!("/loki/api/v1/query_range?query={}", encode(&query));
    let found = up.get(LOKI, &path).await;
    let result = &found["data"]["result"];
    assert_eq!(result.as_array().map(Vec::len), Some(1), "{found}");
    let labels = result[0]["stream"].to_string();
    for part in [protocol, "client", "warn"] {
        assert!(labels.to_lowercase().contains(part), "{labels}");
    }
    assert_eq!(result[0]["values"][0][1], "hello world");
    assert_eq!(result[0]["stream"]["answer"], "42", "{found}");
}

async fn check_metrics(up: &Up, protocol: &str) {
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
        let result = up.promql(&query, None).await;
        assert_eq!(result[0]["value"][1], value, "{query}: {result}");
        assert_eq!(
            result.as_array().map(Vec::len),
            Some(1),
            "{query}: {result}"
        );
    }
}

//! Clients that nobody here wrote: what OpenTelemetry's Python SDK sends over gRPC and HTTP is what the query APIs give back, and the
//! alerts and samples of a real Prometheus arrive. Where a client is missing, its test says so in one line and passes.

#![expect(
    clippy::print_stdout,
    reason = "a test that is skipped says so in a line"
)]

use std::path::Path;
use std::time::Duration;

use gameday::verify::encode;
use gameday_env::{Child, Env};
use serde_json::Value;

use crate::up::{
    ALERTMANAGER, LIMIT, LOKI, OTLP_GRPC, OTLP_HTTP, PROMETHEUS, TEMPO, Up, folder, in_real_time,
    next_line,
};

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

/// A Prometheus with an alert that fires at once and is resolved when its rule is no longer true, and which writes its samples on.
const RULES: &str = "groups:
- name: real
  interval: 1s
  rules:
  - alert: AlwaysOn
    expr: vector(1) > THRESHOLD
    labels: {severity: critical}
    annotations: {summary: 'value {{ $value }}'}
";

#[test]
fn a_real_prometheus_delivers_its_alerts_and_samples() {
    let Some(version) = debian_prometheus() else {
        println!("skipped: prometheus is not installed");
        return;
    };
    in_real_time(|env| async move {
        println!("{version}");
        let folder = folder("prometheus");
        let file = |name: &str, text: String| {
            let path = folder.join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        file("prometheus.yml", "scrape_configs: []\n".to_owned());
        file(
            "alertmanager.yml",
            "route: {receiver: web, group_wait: 0s, group_interval: 1s}\nreceivers:\n- name: web\n  webhook_configs: [{url: 'http://127.0.0.1:9/'}]\n"
                .to_owned(),
        );
        let config = folder.to_str().unwrap();
        let mut up = Up::start(&env, &["--config", config, "--keep-notifications"]).await;
        let rules = |threshold: &str| file("real-rules.yml", RULES.replace("THRESHOLD", threshold));
        let rule_file = rules("0");
        let address = up.url(ALERTMANAGER, "").replace("http://", "");
        let write = up.url(PROMETHEUS, "/api/v1/write");
        let theirs = file(
            "theirs.yml",
            format!(
                "global: {{evaluation_interval: 1s, external_labels: {{cluster: real}}}}\nrule_files: ['{rule_file}']\nalerting: {{alertmanagers: [{{static_configs: [{{targets: ['{address}']}}]}}]}}\nremote_write: [{{url: '{write}', queue_config: {{batch_send_deadline: 1s}}}}]\n"
            ),
        );
        let command = format!(
            "exec prometheus --config.file={theirs} --storage.tsdb.path={config}/theirs --web.listen-address=127.0.0.1:0 --rules.alert.resend-delay=1s 2>{config}/log"
        );
        let shell = |command: String| {
            Child::start(Path::new("sh"), &["-c".to_owned(), command]).expect("a shell")
        };
        let mut prometheus = shell(command);
        let message = message(&up, &env, "firing").await;
        let alert = &message["alerts"][0];
        assert_eq!(alert["labels"]["alertname"], "AlwaysOn", "{message}");
        assert_eq!(alert["labels"]["cluster"], "real", "{message}");
        assert_eq!(alert["annotations"]["summary"], "value 1", "{message}");
        let samples = env.clock().timeout(LIMIT, async {
            loop {
                let found = up
                    .promql("ALERTS{alertname=\"AlwaysOn\",cluster=\"real\"}", None)
                    .await;
                if found[0]["value"][1] == "1" {
                    break;
                }
                env.clock().sleep(POLL).await;
            }
        });
        samples.await.expect("its samples arrive");
        rules("1");
        let id = prometheus.id().expect("it runs");
        let mut kill = shell(format!("kill -HUP {id}"));
        while next_line(&env, &mut kill).await.is_some() {}
        self::message(&up, &env, "resolved").await;
        prometheus.kill().await;
        up.child.kill().await;
    });
}

/// What the installed Prometheus says of itself; none where there is none.
fn debian_prometheus() -> Option<String> {
    let output = std::process::Command::new("prometheus")
        .arg("--version")
        .output();
    let said = String::from_utf8(output.ok()?.stdout).ok()?;
    said.lines().next().map(str::to_owned)
}

const POLL: Duration = Duration::from_millis(100);

/// Waits for a message with this status, and gives its body.
async fn message(up: &Up, env: &Env, status: &str) -> Value {
    let found = env.clock().timeout(LIMIT, async {
        loop {
            let kept = up.get(ALERTMANAGER, "/receivers/messages").await;
            let bodies = kept.as_array().into_iter().flatten();
            let found = bodies
                .filter_map(|own| serde_json::from_str::<Value>(own["payload"].as_str()?).ok())
                .find(|body| body["status"] == status);
            match found {
                Some(body) => break body,
                None => env.clock().sleep(POLL).await,
            }
        }
    });
    found.await.expect("the message arrives")
}

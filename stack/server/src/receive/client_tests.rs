//! Clients that nobody here wrote: OpenTelemetry's Python SDK sends over gRPC and HTTP, and what arrives is what it sent. Where Python
//! or its packages are missing, the test says so in one line and passes.

use std::path::Path;

use gameday_env::{Address, Child, ServeOptions, serve, serve_http2};
use gameday_signal::AttributeValue;

use super::tests::{Host, State, query};
use super::*;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/otlp_client.py");

/// Runs the client and gives the id of its trace; none where it cannot run.
async fn send(host: &Host, protocol: &str, port: u16) -> Option<String> {
    let arguments = [SCRIPT, protocol, &format!("http://127.0.0.1:{port}")].map(str::to_owned);
    let mut child = match Child::start(Path::new("python3"), &arguments) {
        Ok(child) => child,
        Err(error) => {
            println!("skipped: {error}");
            return None;
        }
    };
    let mut trace_id = None;
    let limit = std::time::Duration::from_secs(60);
    while let Ok(Ok(line)) = host.clock().timeout(limit, child.next_line()).await {
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

fn check(host: &Host, protocol: &str, trace_id: &str) {
    let State { spans, records, .. } = host.state(std::mem::take);
    let [child, parent] = spans.as_slice() else {
        panic!("two spans: {spans:?}");
    };
    assert_eq!(
        (child.name.as_str(), parent.name.as_str()),
        ("child", "parent")
    );
    assert_eq!(
        (child.trace_id.to_string().as_str(), parent.trace_id),
        (trace_id, child.trace_id)
    );
    assert_eq!(child.parent_span_id, parent.span_id);
    assert_eq!(
        parent.attributes.get("number"),
        Some(&AttributeValue::Int(7))
    );
    assert_eq!(
        parent.attributes.get("list"),
        Some(&AttributeValue::Array(vec!["a".into(), "b".into()]))
    );
    assert_eq!(
        child.events[0].attributes.get("factor"),
        Some(&AttributeValue::Double(1.5))
    );
    assert_eq!(
        (child.scope.name.as_str(), child.scope.version.as_str()),
        ("library", "1.2")
    );
    assert_eq!(child.resource.attributes.get_str("host.name"), Some("h1"));

    let [record] = records.as_slice() else {
        panic!("one line: {records:?}");
    };
    assert_eq!(record.body.as_str(), Some("hello world"));
    assert_eq!(
        (record.severity_number, record.severity_text.as_str()),
        (13, "WARN")
    );
    assert_eq!(
        (record.trace_id, record.span_id),
        (child.trace_id, child.span_id)
    );
    assert_eq!(
        record.attributes.get("answer"),
        Some(&AttributeValue::Int(42))
    );
    assert_eq!(record.resource.service_name(), "client");
    assert_eq!(
        child.resource.attributes.get_str("service.instance.id"),
        Some(protocol)
    );
}

#[test]
fn the_python_sdk_exports_everything() {
    super::tests::run_real(|env, host| async move {
        for protocol in ["grpc", "http"] {
            let listener = env
                .listen(&Address::new(protocol, 4317))
                .await
                .expect("a free port");
            let port = listener.socket().expect("a socket").port();
            if protocol == "grpc" {
                serve_http2(
                    &env,
                    listener,
                    OtlpGrpc(host.clone()),
                    ServeOptions::default(),
                );
            } else {
                serve(
                    &env,
                    listener,
                    otlp_routes(host.clone()),
                    ServeOptions::default(),
                );
            }
            let Some(trace_id) = send(&host, protocol, port).await else {
                return;
            };
            assert_eq!(
                query(&host, "requests_total"),
                [format!(
                    r#"{{__name__="requests_total", instance="{protocol}", job="client", route="/pay"}} Some(3.0)"#
                )]
            );
            assert_eq!(
                query(&host, r#"request_duration_seconds_bucket{le="+Inf"}"#).len(),
                1
            );
            assert_eq!(
                query(
                    &host,
                    "queue_length * on (job, instance) group_left (host_name) target_info"
                ),
                [format!(
                    r#"{{host_name="h1", instance="{protocol}", job="client"}} Some(4.0)"#
                )]
            );
            check(&host, protocol, &trace_id);
        }
    });
}

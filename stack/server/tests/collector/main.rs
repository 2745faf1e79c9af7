//! The collector of a running stack: what goes in by OTLP comes out of the query APIs, of another stack, and of the collector's own
//! metrics.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gameday_env::{Address, Env, Mode, Sim, SimConfig};
use gameday_server::{Stack, StackAddresses, StackFiles, StackOptions};
use gameday_signal::{
    AttributeValue, Attributes, LogRecord, Resource, Scope, Span, SpanId, SpanKind, SpanStatus,
    Timestamp, TraceId,
};
use gameday_wire::otlp::{encode_logs, encode_traces};
use http::Request;
use serde_json::Value;

mod bad_input;

const EPOCH: Timestamp = Timestamp::from_secs(1_767_603_600);

fn run<F: Future<Output = ()>>(test: impl FnOnce(Env) -> F) {
    let sim = Sim::new(&SimConfig {
        mode: Mode::Virtual {
            epoch: EPOCH,
            speed: None,
        },
        seed: 1,
        watchdog: Duration::from_secs(30),
    })
    .expect("a runtime");
    let env = sim.env().clone();
    sim.block_on(test(env));
}

/// A stack with this collector.yaml, or with the default one.
async fn stack(env: &Env, collector: Option<&str>, addresses: StackAddresses) -> Stack {
    let mut files = StackFiles::embedded();
    if let Some(text) = collector {
        let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!(
            "{}-{:x}.yaml",
            addresses.prometheus.host,
            text.len()
        ));
        std::fs::write(&file, text).expect("the folder can be written");
        files = files.with_collector(&file).expect("it can be read");
    }
    let options = StackOptions {
        span_metrics: true,
        addresses,
        ..StackOptions::default()
    };
    Stack::start(env, &files, options).await.expect("it starts")
}

/// The addresses of a second stack in the same network.
fn elsewhere() -> StackAddresses {
    let at = |port| Address::new("elsewhere", port);
    StackAddresses {
        prometheus: at(9090),
        alertmanager: at(9093),
        loki: at(3100),
        tempo: at(3200),
        otlp_http: at(4318),
        otlp_grpc: at(4317),
        pushgateway: at(9091),
        collector_metrics: at(8888),
    }
}

/// One request: the frontend calls checkout, which takes `ms` and fails where `failed`.
fn trace(number: u8, at: Timestamp, ms: i64, failed: bool) -> Vec<Span> {
    let span = |id: u8, parent: u8, service: &str, kind, took: i64| Span {
        trace_id: TraceId([number; 16]),
        span_id: SpanId([id; 8]),
        parent_span_id: SpanId([parent; 8]),
        trace_state: String::new(),
        flags: 0,
        name: "GET /".to_owned(),
        kind,
        start: at,
        end: at + Duration::from_millis(took.unsigned_abs()),
        attributes: Attributes(vec![("secret".into(), "x".into())]),
        events: Vec::new(),
        links: Vec::new(),
        status: if failed {
            SpanStatus::Error
        } else {
            SpanStatus::Unset
        },
        status_message: String::new(),
        resource: Arc::new(Resource {
            attributes: Attributes(vec![("service.name".into(), service.into())]),
        }),
        scope: Arc::new(Scope::default()),
    };
    vec![
        span(1, 0, "frontend", SpanKind::Server, ms + 2),
        span(2, 1, "frontend", SpanKind::Client, ms + 1),
        span(3, 2, "checkout", SpanKind::Server, ms),
    ]
}

async fn post(env: &Env, url: &str, body: Vec<u8>) -> (u16, String) {
    let request = Request::post(url)
        .header("content-type", "application/x-protobuf")
        .body(Bytes::from(body))
        .expect("a request");
    let answer = env
        .http_client()
        .send(request, Duration::from_secs(30))
        .await
        .expect("an answer");
    let text = String::from_utf8_lossy(answer.body()).into_owned();
    (answer.status().as_u16(), text)
}

async fn get(env: &Env, url: &str) -> String {
    let request = Request::get(url).body(Bytes::new()).expect("a request");
    let answer = env
        .http_client()
        .send(request, Duration::from_secs(30))
        .await
        .expect("an answer");
    String::from_utf8_lossy(answer.body()).into_owned()
}

/// The values of an instant query as `labels value`.
async fn query(env: &Env, host: &str, promql: &str) -> Vec<String> {
    let encoded: String = form(promql);
    let text = get(
        env,
        &format!("http://{host}:9090/api/v1/query?query={encoded}"),
    )
    .await;
    let json: Value = serde_json::from_str(&text).expect("JSON");
    json["data"]["result"]
        .as_array()
        .unwrap_or_else(|| panic!("{text}"))
        .iter()
        .map(|own| {
            format!(
                "{} {}",
                own["metric"],
                own["value"][1].as_str().unwrap_or("")
            )
        })
        .collect()
}

fn form(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// The ids that a search finds.
async fn search(env: &Env, host: &str, traceql: &str) -> Vec<String> {
    let text = get(
        env,
        &format!("http://{host}:3200/api/search?q={}", form(traceql)),
    )
    .await;
    let json: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"));
    let mut ids: Vec<String> = json["traces"]
        .as_array()
        .unwrap_or_else(|| panic!("{text}"))
        .iter()
        .map(|own| own["traceID"].as_str().unwrap_or_default().to_owned())
        .collect();
    ids.sort();
    ids
}

/// A value of the collector's own metrics.
fn value(metrics: &str, series: &str) -> Option<f64> {
    let line = metrics.lines().find(|line| {
        line.strip_prefix(series)
            .is_some_and(|rest| rest.starts_with(' '))
    })?;
    line.rsplit(' ').next()?.parse().ok()
}

async fn own_metrics(env: &Env) -> String {
    get(env, "http://otel-collector:8888/metrics").await
}

#[track_caller]
fn check(metrics: &str, series: &str, expected: f64) {
    assert_eq!(
        value(metrics, series),
        Some(expected),
        "{series}\n{metrics}"
    );
}

#[test]
fn spans_become_metrics_with_exemplars() {
    run(|env| async move {
        let _stack = stack(&env, None, StackAddresses::named()).await;
        let now = env.now();
        let spans: Vec<Span> = (1..=4)
            .flat_map(|number| trace(number, now, 100, number == 4))
            .collect();
        let (status, text) = post(
            &env,
            "http://otel-collector:4318/v1/traces",
            encode_traces(&spans),
        )
        .await;
        assert_eq!((status, text.as_str()), (200, ""));
        // What was acknowledged is found at once.
        assert_eq!(search(&env, "tempo", "{}").await.len(), 4);
        env.clock().sleep(Duration::from_secs(16)).await;
        assert_eq!(
            query(
                &env,
                "prometheus",
                r#"sum by (service, status_code) (traces_spanmetrics_calls_total{span_kind="SPAN_KIND_SERVER"})"#
            )
            .await,
            [
                r#"{"service":"checkout","status_code":"STATUS_CODE_UNSET"} 3"#,
                r#"{"service":"checkout","status_code":"STATUS_CODE_ERROR"} 1"#,
                r#"{"service":"frontend","status_code":"STATUS_CODE_UNSET"} 3"#,
                r#"{"service":"frontend","status_code":"STATUS_CODE_ERROR"} 1"#,
            ]
            .iter()
            .map(|text| (*text).to_owned())
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect::<Vec<_>>()
        );
        assert_eq!(
            query(
                &env,
                "prometheus",
                r#"traces_service_graph_request_failed_total{client="frontend"}"#
            )
            .await,
            [
                r#"{"__name__":"traces_service_graph_request_failed_total","client":"frontend","server":"checkout"} 1"#
            ]
        );
        let exemplars = get(
            &env,
            &format!(
                "http://prometheus:9090/api/v1/query_exemplars?query={}&start=0&end=9999999999",
                form("traces_spanmetrics_latency_bucket")
            ),
        )
        .await;
        assert!(
            exemplars.contains(&format!(r#""trace_id":"{}""#, TraceId([4; 16]))),
            "{exemplars}"
        );
        let took = get(
            &env,
            "http://prometheus:9090/api/v1/query?query=traces_service_graph_request_failed_total&stats=1",
        )
        .await;
        // Virtual time stands still while a query runs.
        let stats = r#""stats":{"samples":{"peakSamples":2,"totalQueryableSamples":2},"timings":{"evalTotalTime":0.0,"#;
        assert!(took.contains(stats), "{took}");
        let metrics = own_metrics(&env).await;
        check(
            &metrics,
            r#"otelcol_receiver_accepted_spans{receiver="otlp",transport="http"}"#,
            12.0,
        );
        check(
            &metrics,
            r#"otelcol_receiver_refused_spans{receiver="otlp",transport="http"}"#,
            0.0,
        );
        check(
            &metrics,
            r#"otelcol_exporter_sent_spans{exporter="stack"}"#,
            12.0,
        );
    });
}

const SAMPLING: &str = "
receivers: {otlp: }
processors:
  attributes: {actions: [{key: secret, action: delete}]}
  tail_sampling:
    decision_wait: 5s
    policies:
    - {name: failed, type: status_code, status_code: {status_codes: [ERROR]}}
    - {name: slow, type: latency, latency: {threshold_ms: 500}}
    - {name: share, type: probabilistic, probabilistic: {sampling_percentage: 20}}
exporters: {stack: }
connectors: {spanmetrics: {metrics_flush_interval: 15s}}
service:
  pipelines:
    traces: {receivers: [otlp], processors: [attributes, tail_sampling], exporters: [stack]}
    traces/metrics: {receivers: [otlp], exporters: [spanmetrics]}
    metrics: {receivers: [spanmetrics], exporters: [stack]}
";

#[test]
fn errors_and_slow_traces_are_kept_and_a_share_of_the_rest() {
    run(|env| async move {
        let stack = stack(&env, Some(SAMPLING), StackAddresses::named()).await;
        let now = env.now();
        let spans: Vec<Span> = (1..=102)
            .flat_map(|number| {
                trace(
                    number,
                    now,
                    if number == 101 { 900 } else { 100 },
                    number == 102,
                )
            })
            .collect();
        post(
            &env,
            "http://otel-collector:4318/v1/traces",
            encode_traces(&spans),
        )
        .await;
        assert_eq!(search(&env, "tempo", "{}").await.len(), 0, "they wait");
        env.clock().sleep(Duration::from_secs(6)).await;
        let all = get(&env, "http://tempo:3200/api/search?limit=500&q=%7B%7D").await;
        let kept = all.matches("traceID").count();
        assert!((12..40).contains(&kept), "{kept} of 102");
        assert_eq!(
            search(&env, "tempo", "{ status = error }").await,
            [TraceId([102; 16]).to_string()]
        );
        assert_eq!(
            search(&env, "tempo", "{ duration > 800ms }").await,
            [TraceId([101; 16]).to_string()]
        );
        assert_eq!(
            search(&env, "tempo", "{ span.secret != nil }").await,
            Vec::<String>::new()
        );
        // The metrics count every span, whatever is sampled.
        env.clock().sleep(Duration::from_secs(16)).await;
        assert_eq!(
            query(&env, "prometheus", "sum(traces_spanmetrics_calls_total)").await,
            ["{} 306"]
        );
        let metrics = own_metrics(&env).await;
        check(
            &metrics,
            r#"otelcol_processor_tail_sampling_global_count_traces_sampled_total{processor="tail_sampling",sampled="true"}"#,
            kept as f64,
        );
        // A pipeline that nobody configured takes nothing.
        let record = LogRecord {
            timestamp: now,
            observed_timestamp: now,
            severity_number: 9,
            severity_text: String::new(),
            body: AttributeValue::from("x"),
            attributes: Attributes::default(),
            trace_id: TraceId::NONE,
            span_id: SpanId::NONE,
            flags: 0,
            resource: Arc::default(),
            scope: Arc::default(),
        };
        let (status, text) = post(
            &env,
            "http://otel-collector:4318/v1/logs",
            encode_logs([&record]),
        )
        .await;
        assert_eq!(status, 200);
        assert!(text.contains("no pipeline of logs"), "{text}");
        // At the end everything that waits is decided upon.
        post(
            &env,
            "http://otel-collector:4318/v1/traces",
            encode_traces(&trace(103, env.now(), 1, true)),
        )
        .await;
        let left = stack.drain(Duration::from_secs(5)).await;
        assert_eq!(left, Vec::<String>::new());
        assert_eq!(search(&env, "tempo", "{ status = error }").await.len(), 2);
    });
}

fn forwarding(exporter: &str) -> String {
    format!(
        "
receivers: {{otlp: }}
processors: {{batch: {{timeout: 1s, send_batch_size: 6, send_batch_max_size: 6}}}}
exporters:
  stack:
  {exporter}
service:
  pipelines:
    traces: {{receivers: [otlp], processors: [batch], exporters: [stack, far]}}
    metrics: {{receivers: [otlp], processors: [batch], exporters: [stack, far]}}
    logs: {{receivers: [otlp], processors: [batch], exporters: [stack, far]}}
"
    )
    .replace(
        "far]",
        &format!("{}]", exporter.split(": ").next().unwrap_or("")),
    )
}

/// Everything arrives at another collector that is not there at first.
fn check_forwarding(exporter: &str) {
    let config = forwarding(exporter);
    let id = exporter.split(": ").next().unwrap_or("").to_owned();
    run(|env| async move {
        let _near = stack(&env, Some(&config), StackAddresses::named()).await;
        let spans = |number| encode_traces(&trace(number, EPOCH, 1, false));
        for number in 1..=4 {
            post(&env, "http://otel-collector:4318/v1/traces", spans(number)).await;
        }
        let gauge = r#"{"resourceMetrics":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"a"}}]},"scopeMetrics":[{"metrics":[{"name":"depth","gauge":{"dataPoints":[{"timeUnixNano":"1767603600000000000","asInt":"7"}]}}]}]}]}"#;
        let request = Request::post("http://otel-collector:4318/v1/metrics")
            .header("content-type", "application/json")
            .body(Bytes::from(gauge))
            .expect("a request");
        let client = env.http_client();
        client
            .send(request, Duration::from_secs(5))
            .await
            .expect("an answer");
        env.clock().sleep(Duration::from_secs(3)).await;
        let metrics = own_metrics(&env).await;
        check(
            &metrics,
            &format!(r#"otelcol_exporter_queue_size{{exporter="{id}"}}"#),
            3.0,
        );
        let _far = stack(&env, None, elsewhere()).await;
        env.clock().sleep(Duration::from_secs(10)).await;
        assert_eq!(
            search(&env, "elsewhere", "{}").await,
            search(&env, "tempo", "{}").await
        );
        assert_eq!(search(&env, "elsewhere", "{}").await.len(), 4);
        assert_eq!(query(&env, "elsewhere", "depth").await.len(), 1);
        let metrics = own_metrics(&env).await;
        check(
            &metrics,
            &format!(r#"otelcol_exporter_sent_spans{{exporter="{id}"}}"#),
            12.0,
        );
        check(
            &metrics,
            &format!(r#"otelcol_exporter_sent_metric_points{{exporter="{id}"}}"#),
            1.0,
        );
        check(
            &metrics,
            &format!(r#"otelcol_exporter_queue_size{{exporter="{id}"}}"#),
            0.0,
        );
        check(
            &metrics,
            &format!(r#"otelcol_exporter_send_failed_spans{{exporter="{id}"}}"#),
            0.0,
        );
    });
}

#[test]
fn otlp_over_http_is_sent_again_until_it_arrives() {
    check_forwarding(
        "otlphttp/far: {endpoint: 'http://elsewhere:4318', retry_on_failure: {initial_interval: 1s}}",
    );
}

#[test]
fn otlp_over_grpc_is_sent_again_until_it_arrives() {
    check_forwarding(
        "otlp/far: {endpoint: 'elsewhere:4317', tls: {insecure: true}, retry_on_failure: {initial_interval: 1s}}",
    );
}

#[test]
fn what_waits_is_sent_before_the_end_or_named() {
    let config = forwarding(
        "otlphttp/far: {endpoint: 'http://elsewhere:4318', retry_on_failure: {initial_interval: 1s}}",
    )
    .replace("timeout: 1s", "timeout: 1h");
    run(|env| async move {
        let near = stack(&env, Some(&config), StackAddresses::named()).await;
        let half_a_batch = encode_traces(&trace(1, EPOCH, 1, false));
        post(&env, "http://otel-collector:4318/v1/traces", half_a_batch).await;
        assert_eq!(
            near.drain(Duration::from_millis(500)).await,
            ["exporter otlphttp/far: 1 requests were not delivered to elsewhere:4318"]
        );
        let _far = stack(&env, None, elsewhere()).await;
        assert_eq!(
            near.drain(Duration::from_secs(10)).await,
            Vec::<String>::new()
        );
        assert_eq!(search(&env, "elsewhere", "{}").await.len(), 1);
    });
}

#[test]
fn a_full_queue_and_an_exhausted_retry_are_counted() {
    let config = forwarding(
        "otlphttp/far: {endpoint: 'http://nobody:4318', sending_queue: {queue_size: 2}, retry_on_failure: {initial_interval: 1s, max_interval: 1s, max_elapsed_time: 5s}}",
    );
    run(|env| async move {
        let _stack = stack(&env, Some(&config), StackAddresses::named()).await;
        for number in 1..=8 {
            let body = encode_traces(&trace(number, EPOCH, 1, false));
            assert_eq!(
                post(&env, "http://otel-collector:4318/v1/traces", body)
                    .await
                    .0,
                200
            );
        }
        let metrics = own_metrics(&env).await;
        check(
            &metrics,
            r#"otelcol_exporter_queue_size{exporter="otlphttp/far"}"#,
            2.0,
        );
        check(
            &metrics,
            r#"otelcol_exporter_queue_capacity{exporter="otlphttp/far"}"#,
            2.0,
        );
        check(
            &metrics,
            r#"otelcol_exporter_enqueue_failed_spans{exporter="otlphttp/far"}"#,
            12.0,
        );
        env.clock().sleep(Duration::from_secs(10)).await;
        let metrics = own_metrics(&env).await;
        check(
            &metrics,
            r#"otelcol_exporter_send_failed_spans{exporter="otlphttp/far"}"#,
            12.0,
        );
        check(
            &metrics,
            r#"otelcol_exporter_queue_size{exporter="otlphttp/far"}"#,
            0.0,
        );
        assert_eq!(
            search(&env, "tempo", "{}").await.len(),
            8,
            "the stores have them all"
        );
    });
}

#[test]
fn what_the_memory_limiter_refuses_is_told_and_counted() {
    let config = "
receivers: {otlp: }
processors:
  memory_limiter: {limit_mib: 2, spike_limit_mib: 1}
  tail_sampling: {decision_wait: 60s, policies: [{name: all, type: always_sample}]}
exporters: {stack: }
service:
  pipelines:
    traces: {receivers: [otlp], processors: [memory_limiter, tail_sampling], exporters: [stack]}
";
    run(|env| async move {
        let _stack = stack(&env, Some(config), StackAddresses::named()).await;
        let mut spans = trace(1, EPOCH, 1, false);
        spans[0]
            .attributes
            .0
            .push(("big".into(), "x".repeat(900_000).as_str().into()));
        let url = "http://otel-collector:4318/v1/traces";
        assert_eq!(post(&env, url, encode_traces(&spans)).await.0, 200);
        for span in &mut spans {
            span.trace_id = TraceId([2; 16]);
        }
        assert_eq!(post(&env, url, encode_traces(&spans)).await.0, 200);
        let (status, text) = post(&env, url, encode_traces(&trace(3, EPOCH, 1, false))).await;
        assert_eq!(status, 503);
        assert!(
            text.contains("data refused due to high memory usage"),
            "{text}"
        );
        let metrics = own_metrics(&env).await;
        check(
            &metrics,
            r#"otelcol_processor_refused_spans{processor="memory_limiter"}"#,
            3.0,
        );
        check(
            &metrics,
            r#"otelcol_receiver_refused_spans{receiver="otlp",transport="http"}"#,
            3.0,
        );
        env.clock().sleep(Duration::from_secs(61)).await;
        assert_eq!(
            search(&env, "tempo", "{}").await.len(),
            2,
            "nothing else is lost"
        );
        assert_eq!(
            post(&env, url, encode_traces(&trace(3, env.now(), 1, false)))
                .await
                .0,
            200
        );
    });
}

#[test]
fn a_missing_file_is_named() {
    let error = StackFiles::embedded()
        .with_collector(Path::new("nowhere/collector.yaml"))
        .expect_err("it is not there");
    assert!(error.contains("nowhere/collector.yaml"), "{error}");
}

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes};
use gameday_env::{Mode, Sim, SimConfig};
use gameday_metrics::{Engine, EngineConfig, StoreConfig};
use gameday_signal::{Labels, Sample, Timestamp};
use gameday_wire::otlp::encode_traces;
use gameday_wire::remote_write::{Version, WriteSeries, encode_remote_write};
use gameday_wire::{PushEntry, encode_loki_protobuf, gzip};
use http::{Request, Response};
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::*;

const EPOCH: Timestamp = Timestamp::from_secs(1_700_000_000);

#[derive(Default)]
pub(super) struct State {
    metrics: Store,
    gateway: Pushgateway,
    pub(super) spans: Vec<Span>,
    streams: Vec<PushStream>,
    pub(super) records: Vec<LogRecord>,
    metadata: BTreeMap<String, MetricMetadata>,
    /// What the log store answers.
    logs_outcome: Outcome,
}

#[derive(Clone)]
pub(super) struct Host {
    clock: Clock,
    state: Arc<Mutex<State>>,
}

impl Host {
    pub(super) fn state<R>(&self, visit: impl FnOnce(&mut State) -> R) -> R {
        visit(&mut self.state.lock().expect("not poisoned"))
    }
}

impl ReceiveHost for Host {
    fn clock(&self) -> Clock {
        self.clock.clone()
    }

    fn with_metrics<R>(&self, visit: impl FnOnce(&mut Store) -> R) -> R {
        self.state(|state| visit(&mut state.metrics))
    }

    fn with_pushgateway<R>(&self, visit: impl FnOnce(&mut Pushgateway) -> R) -> R {
        self.state(|state| visit(&mut state.gateway))
    }

    fn push_logs(&self, streams: Vec<PushStream>) -> Outcome {
        self.state(|state| {
            state.streams.extend(streams);
            state.logs_outcome.clone()
        })
    }

    fn push_log_records(&self, records: Vec<LogRecord>) -> Outcome {
        self.state(|state| {
            state.records.extend(records);
            state.logs_outcome.clone()
        })
    }

    fn push_spans(&self, spans: Vec<Span>) -> Outcome {
        self.state(|state| state.spans.extend(spans));
        Outcome::default()
    }

    fn push_metadata(&self, metadata: BTreeMap<String, MetricMetadata>) {
        self.state(|state| state.metadata.extend(metadata));
    }

    fn otlp_options(&self) -> MetricOptions {
        MetricOptions::default()
    }

    fn count(&self, _: &'static str, _: u64) {}
}

/// Runs `test` with an empty host in virtual time.
fn run<F: Future<Output = ()>>(test: impl FnOnce(Host) -> F) {
    let sim = Sim::new(&SimConfig {
        mode: Mode::Virtual {
            epoch: EPOCH,
            speed: None,
        },
        seed: 1,
        watchdog: Duration::from_secs(20),
    })
    .expect("a runtime");
    let host = Host {
        clock: sim.env().clock().clone(),
        state: Arc::new(Mutex::new(State {
            metrics: Store::new(StoreConfig::default()),
            ..State::default()
        })),
    };
    sim.block_on(test(host));
}

fn request(
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Body>,
) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body.into()).expect("a request")
}

async fn send(routes: Router, request: Request<Body>) -> (u16, http::HeaderMap, Bytes) {
    let response: Response<Body> = routes.oneshot(request).await.expect("infallible");
    let (head, body) = response.into_parts();
    let bytes = body.collect().await.expect("a body").to_bytes();
    (head.status.as_u16(), head.headers, bytes)
}

const TRACE: &str = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[
    {"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"00f067aa0ba902b7","name":"a",
     "startTimeUnixNano":"1700000000000000000","endTimeUnixNano":"1700000000000000001"},
    {"traceId":"00","spanId":"00f067aa0ba902b7","name":"b"}]}]}]}"#;

const JSON: (&str, &str) = ("content-type", "application/json");
const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");

#[test]
fn otlp_takes_what_is_good_and_names_the_rest() {
    run(|host| async move {
        let body = gzip(TRACE.as_bytes());
        let headers = [JSON, ("content-encoding", "gzip")];
        let (status, headers, body) = send(
            otlp_routes(host.clone()),
            request("POST", "/v1/traces", &headers, body),
        )
        .await;
        assert_eq!(
            (status, &headers["content-type"]),
            (200, &http::HeaderValue::from_static("application/json"))
        );
        let text = String::from_utf8_lossy(&body);
        assert!(text.contains(r#""rejectedSpans":"1""#), "{text}");
        let spans = host.state(|state| state.spans.clone());
        assert_eq!(spans.len(), 1);

        let (status, headers, body) = send(
            otlp_routes(host.clone()),
            request("POST", "/v1/traces", &[PROTOBUF], encode_traces(&spans)),
        )
        .await;
        assert_eq!(
            (status, body.len()),
            (200, 0),
            "nothing is said when all is well"
        );
        assert_eq!(headers["content-type"], "application/x-protobuf");
    });
}

#[test]
fn otlp_refuses_bad_bodies_whole() {
    run(|host| async move {
        let bomb = gzip(&vec![b' '; BODY_BYTES_MAX + 1]);
        let gzipped = ("content-encoding", "gzip");
        for (headers, body, expected) in [
            (vec![("content-type", "text/plain")], b"x".to_vec(), 415),
            (vec![], b"x".to_vec(), 415),
            (vec![JSON, ("content-encoding", "br")], b"{}".to_vec(), 415),
            (vec![JSON], b"{".to_vec(), 400),
            (vec![PROTOBUF], b"\xff\xff".to_vec(), 400),
            (vec![JSON, gzipped], b"no gzip".to_vec(), 400),
            (vec![JSON, gzipped], bomb, 413),
            (vec![JSON], vec![b' '; BODY_BYTES_MAX + 1], 413),
            (vec![JSON], b"".to_vec(), 200),
            (vec![PROTOBUF], b"".to_vec(), 200),
        ] {
            let (status, answer, _) = send(
                otlp_routes(host.clone()),
                request("POST", "/v1/logs", &headers, body),
            )
            .await;
            assert_eq!(status, expected, "{headers:?}");
            if expected != 415 {
                assert_eq!(
                    answer["content-type"], headers[0].1,
                    "the answer has the request's encoding"
                );
            }
        }
        let (status, ..) = send(
            otlp_routes(host.clone()),
            request("GET", "/v1/logs", &[], ""),
        )
        .await;
        assert_eq!(status, 405);
    });
}

#[test]
fn a_client_that_stalls_is_let_go() {
    run(|host| async move {
        let never = Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
        let started = host.clock.now();
        let (status, _, body) = send(
            otlp_routes(host.clone()),
            request("POST", "/v1/traces", &[JSON], never),
        )
        .await;
        assert_eq!(status, 408, "{body:?}");
        assert_eq!(host.clock.now().since(started), BODY_STALL);
    });
}

#[test]
fn otlp_logs_follow_the_store() {
    const BODY: &str = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"1","body":{"stringValue":"x"}}]}]}]}"#;
    run(|host| async move {
        let export = |host: &Host, path: &'static str| {
            let routes = otlp_routes(host.clone()).merge(loki_routes(host.clone()));
            send(routes, request("POST", path, &[JSON], BODY))
        };
        assert_eq!(export(&host, "/v1/logs").await.0, 200);
        assert_eq!(export(&host, "/otlp/v1/logs").await.0, 204);
        assert_eq!(host.state(|state| state.records.len()), 2);
        host.state(|state| {
            state.logs_outcome = Outcome {
                rejected: 1,
                message: "too old".to_owned(),
                is_rate_limited: false,
                is_overloaded: false,
            };
        });
        let (status, _, body) = export(&host, "/v1/logs").await;
        assert_eq!(
            (status, body.as_ref()),
            (
                200,
                br#"{"partialSuccess":{"errorMessage":"too old","rejectedLogRecords":"1"}}"#
                    .as_slice()
            )
        );
        assert_eq!(export(&host, "/otlp/v1/logs").await.0, 400);
        host.state(|state| state.logs_outcome.is_rate_limited = true);
        let (status, headers, _) = export(&host, "/v1/logs").await;
        assert_eq!(
            (status, &headers["retry-after"]),
            (429, &http::HeaderValue::from_static("1"))
        );
        assert_eq!(export(&host, "/otlp/v1/logs").await.0, 429);
    });
}

pub(super) fn query(host: &Host, query: &str) -> Vec<String> {
    let now = host.clock.now().as_millis();
    host.with_metrics(|store| {
        Engine::new(EngineConfig::default())
            .instant(store, query, now)
            .expect("a valid query")
            .value
            .into_vector()
            .expect("a vector")
            .into_iter()
            .map(|sample| format!("{} {:?}", sample.labels, sample.value.as_float()))
            .collect()
    })
}

#[test]
fn otlp_metrics_reach_the_store() {
    let sum = |temporality: u8| {
        format!(
            r#"{{"resourceMetrics":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"s"}}}}]}},
            "scopeMetrics":[{{"metrics":[{{"name":"n","unit":"s","sum":{{"aggregationTemporality":{temporality},"isMonotonic":true,
            "dataPoints":[{{"timeUnixNano":"1700000000000000000","asInt":"7"}}]}}}}]}}]}}]}}"#
        )
    };
    run(|host| async move {
        let routes = || otlp_routes(host.clone()).merge(prometheus_routes(host.clone()));
        let collector = request("POST", "/v1/metrics", &[JSON], sum(2));
        assert_eq!(send(routes(), collector).await.0, 200);
        assert_eq!(
            query(&host, "n_seconds_total"),
            [r#"{__name__="n_seconds_total", job="s"} Some(7.0)"#]
        );
        assert_eq!(
            host.state(|state| state.metadata["n_seconds_total"].unit.clone()),
            "seconds"
        );
        let delta = |path| request("POST", path, &[JSON], sum(1));
        let (status, _, body) = send(routes(), delta("/v1/metrics")).await;
        assert_eq!(status, 200);
        assert!(
            String::from_utf8_lossy(&body).contains("rejectedDataPoints"),
            "{body:?}"
        );
        let (status, _, body) = send(routes(), delta("/api/v1/otlp/v1/metrics")).await;
        assert_eq!(status, 400);
        assert!(
            String::from_utf8_lossy(&body).contains("invalid temporality"),
            "{body:?}"
        );
    });
}

#[test]
fn remote_write_takes_what_is_good() {
    let series = |at_ms: i64| WriteSeries {
        labels: Labels::new([("__name__", "x"), ("a", "b")]),
        samples: vec![Sample {
            timestamp_ms: at_ms,
            value: 2.0,
        }],
        ..WriteSeries::default()
    };
    run(|host| async move {
        for (index, version) in [Version::V1, Version::V2].into_iter().enumerate() {
            let headers = [
                ("content-type", version.content_type()),
                ("content-encoding", "snappy"),
            ];
            let write = |at_ms: i64| {
                let body = encode_remote_write(&[series(at_ms)], &BTreeMap::new(), version);
                send(
                    prometheus_routes(host.clone()),
                    request("POST", "/api/v1/write", &headers, body),
                )
            };
            let at_ms = EPOCH.as_millis() + index as i64;
            let (status, answer, _) = write(at_ms).await;
            assert_eq!(status, 204);
            let written = answer.get("x-prometheus-remote-write-samples-written");
            assert_eq!(written.is_some(), version == Version::V2);
            let (status, _, body) = write(at_ms - 1000).await;
            assert_eq!(status, 400);
            assert_eq!(
                body,
                r#"out of order sample (series: {__name__="x", a="b"})"#
            );
        }
        assert_eq!(query(&host, "x"), [r#"{__name__="x", a="b"} Some(2.0)"#]);
        for (headers, expected) in [
            (
                vec![("content-type", "application/x-protobuf;proto=other")],
                415,
            ),
            (vec![PROTOBUF, ("content-encoding", "gzip")], 415),
            (vec![PROTOBUF], 400),
        ] {
            let write = request("POST", "/api/v1/write", &headers, "junk");
            assert_eq!(
                send(prometheus_routes(host.clone()), write).await.0,
                expected
            );
        }
    });
}

#[test]
fn loki_pushes_in_both_encodings() {
    run(|host| async move {
        let json = r#"{"streams":[{"stream":{"app":"x"},"values":[["1","hello",{"k":"v"}]]}]}"#;
        let push = |headers: &[(&str, &str)], body: Vec<u8>| {
            send(
                loki_routes(host.clone()),
                request("POST", "/loki/api/v1/push", headers, body),
            )
        };
        assert_eq!(push(&[JSON], json.as_bytes().to_vec()).await.0, 204);
        assert_eq!(
            push(&[JSON, ("content-encoding", "gzip")], gzip(json.as_bytes()))
                .await
                .0,
            204
        );
        let streams = [PushStream {
            labels: Labels::new([("app", "x")]),
            entries: vec![PushEntry {
                timestamp: Timestamp::from_nanos(1),
                line: "hello".to_owned(),
                metadata: vec![("k".to_owned(), "v".to_owned())],
            }],
        }];
        assert_eq!(
            push(&[PROTOBUF], encode_loki_protobuf(&streams)).await.0,
            204
        );
        assert_eq!(
            host.state(|state| state.streams.clone()),
            [&streams[..]; 3].concat()
        );
        assert_eq!(push(&[("content-type", "text/plain")], vec![]).await.0, 415);
        assert_eq!(push(&[PROTOBUF], b"junk".to_vec()).await.0, 400);
        let (status, _, body) = push(
            &[JSON],
            br#"{"streams":[{"stream":{},"values":[[1,"x"]]}]}"#.to_vec(),
        )
        .await;
        assert_eq!(status, 400, "{body:?}");
    });
}

#[test]
fn the_pushgateway_keeps_groups() {
    run(|host| async move {
        let ask = |method: &'static str, path: &'static str, body: &'static str| {
            send(
                pushgateway_routes(host.clone()),
                request(method, path, &[], body),
            )
        };
        assert_eq!(
            ask(
                "PUT",
                "/metrics/job/batch",
                "# TYPE a counter\na{job=\"mine\"} 1\nb 2\n"
            )
            .await
            .0,
            200
        );
        assert_eq!(
            ask(
                "POST",
                "/metrics/job/batch/instance/i%2F1",
                "# TYPE a counter\na 5\n"
            )
            .await
            .0,
            200
        );
        assert_eq!(ask("POST", "/metrics/job/batch", "b 3\n").await.0, 200);
        let expected = "# TYPE a counter\na{instance=\"i/1\",job=\"batch\"} 5\na{job=\"batch\",instance=\"\"} 1\n\
            # TYPE b untyped\nb{job=\"batch\",instance=\"\"} 3\n";
        let (status, headers, body) = ask("GET", "/metrics", "").await;
        let text = String::from_utf8_lossy(&body).into_owned();
        assert_eq!(
            (status, &headers["content-type"]),
            (
                200,
                &http::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8")
            )
        );
        assert!(text.starts_with(expected), "{text}");
        assert!(
            text.contains("push_time_seconds{job=\"batch\",instance=\"\"} 1.7e+09\n"),
            "{text}"
        );

        for (method, path, body, expected) in [
            (
                "PUT",
                "/metrics/job/batch",
                "a 1 1234\n",
                "pushed metrics must not have timestamps",
            ),
            (
                "PUT",
                "/metrics/job/other",
                "# TYPE a gauge\na 1\n",
                "a is a gauge, another group has it as a counter",
            ),
            (
                "PUT",
                "/metrics/job/batch",
                "a 1\na 2\n",
                "was pushed twice",
            ),
            (
                "PUT",
                "/metrics/job/batch",
                "a x\n",
                "text format parsing error: 1:3: expected a value, found \"x\"",
            ),
            (
                "PUT",
                "/metrics/job/batch/x",
                "a 1\n",
                "odd number of components in label string",
            ),
            ("PUT", "/metrics/job/", "a 1\n", "odd number of components"),
            ("PUT", "/metrics/job//x/y", "a 1\n", "job name is required"),
            (
                "PUT",
                "/metrics/job/x/__y/z",
                "a 1\n",
                "improper label name \"__y\"",
            ),
            ("PUT", "/metrics/x/y", "a 1\n", "expected a path"),
        ] {
            let (status, _, answer) = ask(method, path, body).await;
            assert_eq!(status, 400, "{path}");
            assert!(
                String::from_utf8_lossy(&answer).contains(expected),
                "{answer:?}"
            );
        }
        let (_, _, body) = ask("GET", "/metrics", "").await;
        let text = String::from_utf8_lossy(&body).into_owned();
        assert!(
            text.starts_with(expected),
            "refused pushes change nothing: {text}"
        );
        assert!(
            text.contains("push_failure_time_seconds{job=\"batch\",instance=\"\"} 1.7e+09\n"),
            "{text}"
        );

        assert_eq!(
            ask("PUT", "/metrics/job@base64/YmF0Y2g", "").await.0,
            200,
            "an empty PUT empties the group"
        );
        assert_eq!(
            ask("DELETE", "/metrics/job/batch/instance@base64/aS8x", "")
                .await
                .0,
            202
        );
        let (_, _, body) = ask("GET", "/api/v1/metrics", "").await;
        let view: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(
            view["data"][0]["labels"],
            serde_json::json!({ "job": "batch" })
        );
        assert_eq!(view["data"][0]["last_push_successful"], true);
        assert!(view["data"][0].get("a").is_none(), "{view}");
        assert_eq!(ask("PUT", "/api/v1/admin/wipe", "").await.0, 202);
        assert_eq!(ask("GET", "/metrics", "").await.2, "");
    });
}

async fn call(
    host: &Host,
    path: &str,
    encoding: &str,
    message: &[u8],
) -> (http::HeaderMap, Bytes, http::HeaderMap) {
    let mut body = vec![u8::from(!encoding.is_empty())];
    body.extend_from_slice(&u32::try_from(message.len()).expect("short").to_be_bytes());
    body.extend_from_slice(message);
    let headers = [
        ("content-type", "application/grpc"),
        ("grpc-encoding", encoding),
    ];
    let service = OtlpGrpc(host.clone());
    let response = service
        .oneshot(request("POST", path, &headers, body))
        .await
        .expect("infallible");
    let (head, body) = response.into_parts();
    let collected = body.collect().await.expect("a body");
    let trailers = collected.trailers().cloned().unwrap_or_default();
    (head.headers, collected.to_bytes(), trailers)
}

#[test]
fn grpc_exports() {
    const TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    run(|host| async move {
        let decoded = gameday_wire::otlp::decode_traces(
            TRACE.as_bytes(),
            gameday_wire::otlp::Encoding::Json,
            &gameday_wire::otlp::Limits::default(),
            EPOCH,
        )
        .expect("valid JSON");
        let message = encode_traces(&decoded.items);
        for (encoding, message) in [("", message.clone()), ("gzip", gzip(&message))] {
            let (headers, body, trailers) = call(&host, TRACES, encoding, &message).await;
            assert_eq!(headers["content-type"], "application/grpc");
            assert_eq!(body, [0; 5].as_slice());
            assert_eq!(trailers["grpc-status"], "0");
        }
        assert_eq!(host.state(|state| state.spans.len()), 2);
        for (path, encoding, message, expected) in [
            ("/other/Export", "", b"".as_slice(), "12"),
            (TRACES, "", b"\xff\xff", "3"),
            (TRACES, "zstd", b"x", "12"),
            (TRACES, "gzip", b"x", "3"),
        ] {
            let (headers, _, _) = call(&host, path, encoding, message).await;
            assert_eq!(headers["grpc-status"], expected, "{path} {encoding}");
        }
        host.state(|state| state.logs_outcome.is_rate_limited = true);
        let (headers, _, _) = call(
            &host,
            "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
            "",
            b"",
        )
        .await;
        assert_eq!(headers["grpc-status"], "8");
    });
}

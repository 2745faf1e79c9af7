//! What a hostile or broken client sends: a bounded answer, partial success, and nothing else lost.

use gameday_wire::gzip;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

const TRACES: &str = "http://otel-collector:4318/v1/traces";

async fn send(env: &Env, headers: &[(&str, &str)], body: Vec<u8>) -> (u16, String) {
    let mut request = Request::post(TRACES);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Bytes::from(body)).expect("a request");
    let client = env.http_client();
    let answer = client.send(request, Duration::from_secs(60)).await;
    let answer = answer.expect("an answer");
    let text = String::from_utf8_lossy(answer.body()).into_owned();
    (answer.status().as_u16(), text)
}

/// Sends spans as JSON, of which `refused` are refused for a reason that holds `reason`, and looks that the good trace is there.
fn check_json(spans: &str, refused: usize, reason: &str) {
    run(|env| async move {
        let _stack = stack(&env, None, StackAddresses::named()).await;
        let good = r#"{"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"00f067aa0ba902b7","name":"good","startTimeUnixNano":"1767603600000000000","endTimeUnixNano":"1767603600000000001"}"#;
        let body =
            format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{good},{spans}]}}]}}]}}"#);
        let (status, text) = send(
            &env,
            &[("content-type", "application/json")],
            body.into_bytes(),
        )
        .await;
        assert_eq!(status, 200, "{text}");
        let count = format!(r#""rejectedSpans":"{refused}""#);
        assert!(refused == 0 || text.contains(&count), "{text}");
        assert!(text.contains(reason), "{text}");
        assert!(search(&env, "tempo", "{ name = \"good\" }").await.len() == 1);
        let metrics = own_metrics(&env).await;
        check(
            &metrics,
            r#"otelcol_receiver_refused_spans{receiver="otlp",transport="http"}"#,
            refused as f64,
        );
    });
}

#[test]
fn ids_of_the_wrong_length_are_refused_alone() {
    check_json(
        r#"{"traceId":"0af7","spanId":"00f067aa0ba902b7","name":"short","startTimeUnixNano":"1767603600000000000","endTimeUnixNano":"1767603600000000001"},
           {"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"00f067aa0ba902b7ff","name":"long","startTimeUnixNano":"1767603600000000000","endTimeUnixNano":"1767603600000000001"},
           {"traceId":"00000000000000000000000000000000","spanId":"00f067aa0ba902b7","name":"none","startTimeUnixNano":"1767603600000000000","endTimeUnixNano":"1767603600000000001"}"#,
        3,
        "trace",
    );
}

#[test]
fn times_in_1970_and_2100_are_refused_alone() {
    check_json(
        r#"{"traceId":"1af7651916cd43dd8448eb211c80319c","spanId":"00f067aa0ba902b7","name":"old","startTimeUnixNano":"1000000000","endTimeUnixNano":"2000000000"},
           {"traceId":"2af7651916cd43dd8448eb211c80319c","spanId":"00f067aa0ba902b7","name":"new","startTimeUnixNano":"4102444800000000000","endTimeUnixNano":"4102444800000000001"}"#,
        2,
        "time",
    );
}

#[test]
fn cycles_of_parents_are_stored_and_searched() {
    run(|env| async move {
        let _stack = stack(&env, None, StackAddresses::named()).await;
        let mut spans = trace(1, env.now(), 5, true);
        // 1 -> 3 -> 2 -> 1, and a span that is its own parent.
        spans[0].parent_span_id = spans[2].span_id;
        let mut own = spans[0].clone();
        own.span_id = SpanId([9; 8]);
        own.parent_span_id = SpanId([9; 8]);
        spans.push(own);
        assert_eq!(post(&env, TRACES, encode_traces(&spans)).await.0, 200);
        let id = TraceId([1; 16]).to_string();
        for query in [
            "{} >> { status = error }",
            "{} << {}",
            "{} ~ {}",
            "{ nestedSetParent < 0 }",
            "{ kind = server } | count() > 0",
        ] {
            let found = search(&env, "tempo", query).await;
            assert!(found.len() <= 1, "{query}");
        }
        let whole = get(&env, &format!("http://tempo:3200/api/v2/traces/{id}")).await;
        assert_eq!(whole.matches("\"spanId\"").count(), 4, "{whole}");
        let jaeger = get(&env, &format!("http://tempo:3200/api/traces/{id}")).await;
        assert!(jaeger.contains("GET /"), "{jaeger}");
        env.clock().sleep(Duration::from_secs(30)).await;
        assert_eq!(
            query(&env, "prometheus", "sum(traces_spanmetrics_calls_total)").await,
            ["{} 4"]
        );
    });
}

#[test]
fn a_trace_of_200_000_spans_is_bounded_and_others_stay() {
    run(|env| async move {
        let _stack = stack(&env, None, StackAddresses::named()).await;
        let now = env.now();
        post(&env, TRACES, encode_traces(&trace(1, now, 5, false))).await;
        let mut one = trace(2, now, 5, false).remove(0);
        one.attributes = Attributes::default();
        let spans: Vec<Span> = (1..=200_000u64)
            .map(|number| Span {
                span_id: SpanId(number.to_be_bytes()),
                ..one.clone()
            })
            .collect();
        let (status, text) = post(&env, TRACES, encode_traces(&spans)).await;
        assert_eq!(status, 200);
        assert!(text.contains("100000 spans refused"), "{text}");
        assert_eq!(search(&env, "tempo", "{}").await.len(), 2);
        let metrics = own_metrics(&env).await;
        check(
            &metrics,
            r#"otelcol_exporter_send_failed_spans{exporter="stack"}"#,
            100_000.0,
        );
    });
}

#[test]
fn invalid_utf8_costs_its_span_alone() {
    run(|env| async move {
        let _stack = stack(&env, None, StackAddresses::named()).await;
        let mut spans = trace(1, env.now(), 5, false);
        spans[1].name = "BROKEN".to_owned();
        let mut body = encode_traces(&spans);
        let at = body
            .windows(6)
            .position(|own| own == b"BROKEN")
            .expect("the name");
        body[at] = 0xff;
        let (status, text) = send(
            &env,
            &[("content-type", "application/x-protobuf")],
            body.clone(),
        )
        .await;
        assert_eq!(status, 200);
        assert!(text.contains("UTF-8"), "{text}");
        let whole = get(
            &env,
            &format!("http://tempo:3200/api/v2/traces/{}", TraceId([1; 16])),
        )
        .await;
        assert_eq!(whole.matches("\"spanId\"").count(), 2, "{whole}");
        // Cut in the middle nothing of it is a message.
        body.truncate(body.len() - 3);
        let (status, _) = send(&env, &[("content-type", "application/x-protobuf")], body).await;
        assert_eq!(status, 400);
    });
}

#[test]
fn bombs_large_bodies_and_random_bytes_get_an_answer() {
    run(|env| async move {
        let _stack = stack(&env, None, StackAddresses::named()).await;
        let protobuf = ("content-type", "application/x-protobuf");
        let bomb = gzip(&vec![0; 200 << 20]);
        let (status, text) = send(&env, &[protobuf, ("content-encoding", "gzip")], bomb).await;
        assert_eq!(status, 413, "{text}");
        assert!(text.contains("the limit is"), "{text}");
        // 10 MB of spans are taken.
        let mut spans: Vec<Span> = (1..=40)
            .flat_map(|number| trace(number, EPOCH, 5, false))
            .collect();
        for span in &mut spans {
            span.attributes
                .0
                .push(("big".into(), "x".repeat(90_000).as_str().into()));
        }
        let body = encode_traces(&spans);
        assert!(body.len() > 10_000_000);
        let (status, _) = send(&env, &[protobuf], body).await;
        assert_eq!(status, 200);
        let all = get(&env, "http://tempo:3200/api/search?limit=500&q=%7B%7D").await;
        assert_eq!(all.matches("traceID").count(), 40);
        let mut rng = env.rng("bytes");
        for length in 0..200usize {
            let mut bytes = vec![0; length];
            rng.fill(&mut bytes);
            let (status, _) = send(&env, &[protobuf], bytes.clone()).await;
            assert!(matches!(status, 200 | 400), "{status}");
            let (status, _) =
                send(&env, &[("content-type", "application/json")], bytes.clone()).await;
            assert!(matches!(status, 200 | 400), "{status}");
            let (status, _) = send(&env, &[protobuf, ("content-encoding", "gzip")], bytes).await;
            assert!(matches!(status, 200 | 400), "{status}");
        }
        assert_eq!(
            get(&env, "http://tempo:3200/api/search?limit=500&q=%7B%7D")
                .await
                .matches("traceID")
                .count(),
            40
        );
    });
}

#[test]
fn a_client_that_stalls_is_answered_and_holds_up_nobody() {
    run(|env| async move {
        let _stack = stack(&env, None, StackAddresses::named()).await;
        let mut stalled = env
            .dial(&Address::new("otel-collector", 4318))
            .await
            .expect("somebody listens");
        let head = b"POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\ncontent-length: 1000\r\n\r\nabc";
        stalled.write_all(head).await.expect("it can be written");
        assert_eq!(
            post(&env, TRACES, encode_traces(&trace(1, env.now(), 1, false)))
                .await
                .0,
            200
        );
        let begin = env.now();
        let mut answer = vec![0; 1024];
        let count = stalled.read(&mut answer).await.expect("an answer");
        let text = String::from_utf8_lossy(&answer[..count]).into_owned();
        assert!(text.starts_with("HTTP/1.1 408"), "{text}");
        assert_eq!(env.now().since(begin).as_secs(), 30);
        assert_eq!(search(&env, "tempo", "{}").await.len(), 1);
    });
}

#[test]
fn a_search_ends_where_its_end_says() {
    run(|env| async move {
        let _stack = stack(&env, None, StackAddresses::named()).await;
        let at = EPOCH + Duration::from_millis(10_700);
        env.clock().sleep_until(at).await;
        post(&env, TRACES, encode_traces(&trace(1, at, 100, false))).await;
        let secs = EPOCH.as_secs();
        for (parameters, expected) in [
            (format!("start={secs}&end={}", secs + 10), 1),
            (format!("start={secs}&end={}.5", secs + 10), 0),
            (format!("start={secs}&end={}.9", secs + 10), 1),
            ("minDuration=50ms".to_owned(), 1),
            ("minDuration=101999us".to_owned(), 1),
            ("minDuration=102001us".to_owned(), 0),
            ("maxDuration=102001us".to_owned(), 1),
            ("maxDuration=100us".to_owned(), 0),
        ] {
            let text = get(&env, &format!("http://tempo:3200/api/search?{parameters}")).await;
            assert_eq!(
                text.matches("traceID").count(),
                expected,
                "{parameters}: {text}"
            );
        }
        for (parameters, reason) in [
            ("minDuration=-5s", "invalid minDuration"),
            ("maxDuration=soon", "invalid maxDuration"),
            (
                "minDuration=5s&maxDuration=1s",
                "must be greater than minDuration",
            ),
        ] {
            let text = get(&env, &format!("http://tempo:3200/api/search?{parameters}")).await;
            assert!(text.contains(reason), "{parameters}: {text}");
        }
    });
}

//! Spans through the running stack: how fast it is ready, how fast spans come in over OTLP/HTTP, what they take in memory, and how fast
//! they are found. Prints figures with their goals.
//!
//! `cargo bench -p gameday-server --bench otlp_traces`; client and server share one thread.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gameday_env::{Env, Mode, Sim, SimConfig, Stopwatch};
use gameday_server::{Stack, StackAddresses, StackFiles, StackOptions};
use gameday_signal::{
    AttributeValue, Attributes, Resource, Scope, Span, SpanId, SpanKind, SpanStatus, TraceId,
};
use gameday_wire::otlp::encode_traces;
use http::Request;

const SPANS: u64 = 500_000;
const SPANS_PER_TRACE: u64 = 8;
const BATCH: u64 = 2048;
const PORT_OFFSET: u16 = 23_000;

fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A span as OpenTelemetry's instrumentation of a web service makes it; every fiftieth fails.
fn span(env: &Env, number: u64, resources: &[Arc<Resource>], scope: &Arc<Scope>) -> Span {
    let (trace, place) = (number / SPANS_PER_TRACE, number % SPANS_PER_TRACE);
    let chance = mix(number);
    let mut trace_id = [0; 16];
    trace_id[..8].copy_from_slice(&mix(trace).to_be_bytes());
    trace_id[8..].copy_from_slice(&mix(trace ^ 0xabcd).to_be_bytes());
    let start = env.now() - Duration::from_millis(500);
    let text = |text: String| AttributeValue::String(text.into());
    let route = chance % 40;
    let failed = chance.is_multiple_of(50);
    Span {
        trace_id: TraceId(trace_id),
        span_id: SpanId((number + 1).to_be_bytes()),
        parent_span_id: if place == 0 {
            SpanId::NONE
        } else {
            SpanId(number.to_be_bytes())
        },
        trace_state: String::new(),
        flags: 1,
        name: format!("GET /api/v1/things/{route}"),
        kind: if place.is_multiple_of(2) {
            SpanKind::Server
        } else {
            SpanKind::Client
        },
        start,
        end: start + Duration::from_micros(chance % 400_000),
        attributes: Attributes(vec![
            ("http.request.method".into(), text("GET".to_owned())),
            ("http.route".into(), text(format!("/api/v1/things/{route}"))),
            (
                "http.response.status_code".into(),
                AttributeValue::Int(if failed { 500 } else { 200 }),
            ),
            (
                "url.path".into(),
                text(format!("/api/v1/things/{route}/{}", chance % 5_000)),
            ),
            ("user.id".into(), text(format!("u{}", chance % 20_000))),
        ]),
        events: Vec::new(),
        links: Vec::new(),
        status: if failed {
            SpanStatus::Error
        } else {
            SpanStatus::Unset
        },
        status_message: String::new(),
        resource: Arc::clone(&resources[(trace + place) as usize % resources.len()]),
        scope: Arc::clone(scope),
    }
}

/// Resident memory of this process in bytes; 0 where there is no /proc.
fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm
        .split(' ')
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or_default();
    pages * 4096
}

async fn get(env: &Env, client: &gameday_env::HttpClient, path: &str) -> (Duration, String) {
    let url = format!("http://127.0.0.1:{}{path}", 3200 + PORT_OFFSET);
    let request = Request::get(url).body(Bytes::new()).expect("a request");
    let _ = env;
    let watch = Stopwatch::start();
    let answer = client
        .send(request, Duration::from_secs(60))
        .await
        .expect("an answer");
    let text = String::from_utf8_lossy(answer.body()).into_owned();
    (watch.elapsed(), text)
}

fn main() {
    let watch = Stopwatch::start();
    let sim = Sim::new(&SimConfig {
        mode: Mode::Real,
        seed: 1,
        watchdog: Duration::MAX,
    })
    .expect("a runtime");
    let env = sim.env().clone();
    let span_metrics = !std::env::args().any(|argument| argument == "--no-span-metrics");
    sim.block_on(async {
        let options = StackOptions {
            addresses: StackAddresses::loopback(PORT_OFFSET),
            span_metrics,
            ..StackOptions::default()
        };
        let _stack = Stack::start(&env, &StackFiles::embedded(), options)
            .await
            .expect("the stack starts");
        let client = env.http_client();
        get(&env, &client, "/ready").await;
        println!("ready:      {:?} (at most 50 ms)", watch.elapsed());
        println!(
            "idle:       {:.1} MB (at most 30 MB)",
            resident_bytes() as f64 / 1e6
        );
        let resources: Vec<Arc<Resource>> = (0..10)
            .map(|number| {
                let attributes = Attributes(vec![(
                    "service.name".into(),
                    AttributeValue::String(format!("service-{number}").into()),
                )]);
                Arc::new(Resource { attributes })
            })
            .collect();
        let scope = Arc::new(Scope::default());
        let mut bodies = Vec::new();
        for batch in 0..SPANS.div_ceil(BATCH) {
            let numbers = batch * BATCH..((batch + 1) * BATCH).min(SPANS);
            let mut spans: Vec<Span> = numbers
                .map(|number| span(&env, number, &resources, &scope))
                .collect();
            // A sender sends the spans of one resource together.
            spans.sort_by(|one, two| one.resource.service_name().cmp(two.resource.service_name()));
            bodies.push(Bytes::from(encode_traces(&spans)));
        }
        let wire: usize = bodies.iter().map(Bytes::len).sum();
        let before = resident_bytes();
        let watch = Stopwatch::start();
        for body in &bodies {
            let url = format!("http://127.0.0.1:{}/v1/traces", 4318 + PORT_OFFSET);
            let request = Request::post(url)
                .header("content-type", "application/x-protobuf")
                .body(body.clone())
                .expect("a request");
            let answer = client
                .send(request, Duration::from_secs(60))
                .await
                .expect("an answer");
            assert_eq!(answer.status(), 200);
        }
        let took = watch.elapsed();
        println!(
            "spans in:   {:.0} a second, {:.0} bytes each on the wire (at least 250,000 a second)",
            SPANS as f64 / took.as_secs_f64(),
            wire as f64 / SPANS as f64
        );
        println!(
            "memory:     {:.0} bytes a span (at most 400)",
            resident_bytes().saturating_sub(before) as f64 / SPANS as f64
        );
        let mut last = [0; 16];
        let trace = (SPANS - 1) / SPANS_PER_TRACE;
        last[..8].copy_from_slice(&mix(trace).to_be_bytes());
        last[8..].copy_from_slice(&mix(trace ^ 0xabcd).to_be_bytes());
        let (took, text) = get(&env, &client, &format!("/api/traces/{}", TraceId(last))).await;
        println!(
            "by id:      {took:?}, {} spans",
            text.matches("spanId").count()
        );
        let query = "%7B%20resource.service.name%20%3D%20%22service-3%22%20%26%26%20status%20%3D%20error%20%7D";
        for _ in 0..3 {
            let (took, text) = get(&env, &client, &format!("/api/search?q={query}")).await;
            println!(
                "by search:  {took:?}, {} traces (at most 15 ms)",
                text.matches("traceID").count()
            );
        }
    });
}

//! How fast spans come in, what they take in memory, and how fast they are found: prints figures.
//!
//! `cargo bench -p gameday-traces` runs it in a release build; `cargo bench -p gameday-traces -- rate` only the queries that hold that text.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark prints and reads the wall clock"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use gameday_signal::{
    AttributeValue, Attributes, Resource, Scope, Span, SpanId, SpanKind, SpanStatus, Timestamp,
    TraceId,
};
use gameday_traces::{
    Generator, GeneratorConfig, Limits, MetricsRequest, SearchRequest, TraceQuery, TraceStore,
};

const SPANS: u64 = 500_000;
const SPANS_PER_TRACE: u64 = 8;
const BATCH: u64 = 512;
const SERVICES: u64 = 10;

fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn text(value: String) -> AttributeValue {
    AttributeValue::String(value.into())
}

/// A span as OpenTelemetry's instrumentation of a web service makes it: eight attributes, two of them of many values.
fn span(number: u64, resources: &[Arc<Resource>], scope: &Arc<Scope>) -> Span {
    let (trace, place) = (number / SPANS_PER_TRACE, number % SPANS_PER_TRACE);
    let chance = mix(number);
    let start = 1_767_225_600_000_000_000 + (trace * 2_000_000 + place * 10_000) as i64;
    let mut trace_id = [0; 16];
    trace_id[..8].copy_from_slice(&mix(trace).to_be_bytes());
    trace_id[8..].copy_from_slice(&mix(trace ^ 0xabcd).to_be_bytes());
    let route = chance % 40;
    let attributes = vec![
        ("http.request.method".to_owned(), text("GET".to_owned())),
        (
            "http.route".to_owned(),
            text(format!("/api/v1/things/{route}")),
        ),
        (
            "http.response.status_code".to_owned(),
            AttributeValue::Int(if chance.is_multiple_of(50) { 500 } else { 200 }),
        ),
        (
            "url.path".to_owned(),
            text(format!("/api/v1/things/{route}/{}", chance % 5_000)),
        ),
        (
            "server.address".to_owned(),
            text("things.example.org".to_owned()),
        ),
        ("server.port".to_owned(), AttributeValue::Int(8080)),
        (
            "enduser.id".to_owned(),
            text(format!("user-{}", chance % 100_000)),
        ),
        (
            "thread.id".to_owned(),
            AttributeValue::Int((chance % 64) as i64),
        ),
    ];
    Span {
        trace_id: TraceId(trace_id),
        span_id: SpanId(mix(number ^ 0x5555).to_be_bytes()),
        parent_span_id: if place == 0 {
            SpanId::NONE
        } else {
            SpanId(mix((number - 1) ^ 0x5555).to_be_bytes())
        },
        trace_state: String::new(),
        flags: 1,
        name: format!("GET /api/v1/things/{route}"),
        kind: if place % 2 == 0 {
            SpanKind::Server
        } else {
            SpanKind::Client
        },
        start: Timestamp::from_nanos(start),
        end: Timestamp::from_nanos(start + 1_000_000 + (chance % 5_000_000) as i64),
        attributes: attributes.into_iter().collect(),
        events: Vec::new(),
        links: Vec::new(),
        status: if chance.is_multiple_of(50) {
            SpanStatus::Error
        } else {
            SpanStatus::Unset
        },
        status_message: String::new(),
        resource: Arc::clone(&resources[(number / 4 % SERVICES) as usize]),
        scope: Arc::clone(scope),
    }
}

fn batches() -> Vec<Vec<Span>> {
    let resources: Vec<Arc<Resource>> = (0..SERVICES)
        .map(|service| {
            Arc::new(Resource {
                attributes: Attributes(vec![
                    ("service.name".into(), text(format!("service-{service}"))),
                    ("service.version".into(), text("1.2.3".to_owned())),
                    (
                        "deployment.environment".into(),
                        text("production".to_owned()),
                    ),
                ]),
            })
        })
        .collect();
    let scope = Arc::new(Scope {
        name: "bench".to_owned(),
        ..Scope::default()
    });
    (0..SPANS)
        .step_by(BATCH as usize)
        .map(|first| {
            (first..(first + BATCH).min(SPANS))
                .map(|number| span(number, &resources, &scope))
                .collect()
        })
        .collect()
}

/// The best of five runs.
fn timed<T>(name: &str, mut run: impl FnMut() -> T) -> T {
    let mut best = Duration::MAX;
    let mut result = None;
    for _ in 0..5 {
        let begin = Instant::now();
        result = Some(run());
        best = best.min(begin.elapsed());
    }
    println!("{name:<72} {:>9.3} ms", best.as_secs_f64() * 1e3);
    result.unwrap_or_else(|| unreachable!("five runs were made"))
}

fn main() {
    let wanted = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-'))
        .unwrap_or_default();
    let now = Timestamp::from_secs(1_767_225_600 + 3600);
    let all = batches();
    let mut generator = Generator::new(GeneratorConfig {
        ingestion_slack: Duration::from_secs(7200),
        ..GeneratorConfig::default()
    });
    let begin = Instant::now();
    all.iter().for_each(|batch| generator.observe(batch, now));
    println!(
        "generator: {:.0} spans/s",
        SPANS as f64 / begin.elapsed().as_secs_f64()
    );

    let mut store = TraceStore::new(Limits::default());
    let begin = Instant::now();
    let accepted: u64 = all
        .into_iter()
        .map(|batch| store.append(batch, now).accepted)
        .sum();
    println!(
        "append: {:.0} spans/s, {accepted} accepted",
        accepted as f64 / begin.elapsed().as_secs_f64()
    );
    let stats = store.stats();
    println!(
        "memory: {} bytes a span by the store's own count",
        stats.bytes / stats.spans
    );
    if let Ok(status) = std::fs::read_to_string("/proc/self/status") {
        let resident = status.lines().find(|line| line.starts_with("VmRSS"));
        println!("memory of the process: {}", resident.unwrap_or_default());
    }

    let everything = SearchRequest {
        limit: usize::MAX,
        ..SearchRequest::default()
    };
    for (query, request) in [
        ("{ }", SearchRequest::default()),
        (
            "{ resource.service.name = \"service-3\" && status = error }",
            SearchRequest::default(),
        ),
        (
            "{ resource.service.name = \"service-3\" && status = error }",
            everything,
        ),
        (
            "{ resource.service.name = \"nobody\" && status = error }",
            SearchRequest::default(),
        ),
        (
            "{ span.http.response.status_code = 500 }",
            SearchRequest::default(),
        ),
        (
            "{ span.enduser.id = \"user-77\" }",
            SearchRequest::default(),
        ),
        ("{ .url.path =~ \".*/4711\" }", SearchRequest::default()),
        ("{ duration > 5900us }", SearchRequest::default()),
        (
            "{ status = error } >> { status = error }",
            SearchRequest::default(),
        ),
        ("{ name = \"nothing\" } >> { }", SearchRequest::default()),
        ("{ } | count() > 8", SearchRequest::default()),
    ] {
        if !query.contains(&wanted) {
            continue;
        }
        let parsed = TraceQuery::parse(query).unwrap_or_else(|error| panic!("{query}: {error}"));
        let limit = if request.limit == usize::MAX {
            "all"
        } else {
            "20"
        };
        let found = timed(&format!("{query} limit {limit}"), || {
            store.search(&parsed, &request).traces.len()
        });
        println!("    {found} traces");
    }
    let request = MetricsRequest::new(
        Timestamp::from_secs(1_767_225_600),
        now,
        Duration::from_secs(15),
    );
    for query in [
        "{ } | rate()",
        "{ status = error } | rate() by (resource.service.name)",
        "{ } | quantile_over_time(duration, 0.5, 0.99) by (name)",
        "{ } | compare({ status = error })",
    ] {
        if !query.contains(&wanted) {
            continue;
        }
        let parsed = TraceQuery::parse(query).unwrap_or_else(|error| panic!("{query}: {error}"));
        timed(query, || {
            store
                .query_range(&parsed, &request)
                .map(|answer| answer.series.len())
                .unwrap_or_default()
        });
    }
}

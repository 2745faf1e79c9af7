//! What a store does with spans that no sane client sends.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{SpanExt, at, span, trace_id};
use gameday_signal::{AttributeValue, Resource, SmolStr, Span, SpanId, Timestamp, TraceId};
use gameday_traces::{
    Limits, MetricsRequest, QueryLimits, Refusal, SearchRequest, TraceQuery, TraceStore,
};
use proptest::prelude::*;

fn small() -> Limits {
    Limits {
        max_spans_per_trace: 100,
        max_attributes: 4,
        max_attribute_bytes: 16,
        max_events: 2,
        max_depth: 2,
        ..Limits::default()
    }
}

#[test]
fn refused_spans_are_counted_by_reason_and_the_others_kept() {
    let mut store = TraceStore::new(small());
    let mut spans: Vec<Span> = (1..=150).map(|id| span(1, id, 0, "a", "x", 0, 1)).collect();
    let mut no_trace = span(2, 1, 0, "a", "x", 0, 1);
    no_trace.trace_id = TraceId::NONE;
    let mut no_span = span(2, 1, 0, "a", "x", 0, 1);
    no_span.span_id = SpanId::NONE;
    let mut of_1970 = span(2, 1, 0, "a", "x", 0, 1);
    (of_1970.start, of_1970.end) = (Timestamp::EPOCH, Timestamp::from_secs(1));
    let mut of_2100 = span(2, 1, 0, "a", "x", 0, 1);
    of_2100.end = Timestamp::from_secs(4_102_444_800);
    spans.extend([
        no_trace,
        no_span,
        of_1970,
        of_2100,
        span(3, 1, 0, "a", "good", 0, 1),
    ]);
    let report = store.append(spans, at(1_000));
    assert_eq!((report.accepted, report.refused_spans()), (101, 54));
    let counts: Vec<(Refusal, u64)> = report
        .refused
        .iter()
        .map(|(refusal, refused)| (*refusal, refused.spans))
        .collect();
    assert_eq!(
        counts,
        [
            (Refusal::InvalidTraceId, 1),
            (Refusal::InvalidSpanId, 1),
            (Refusal::TooOld, 1),
            (Refusal::TooFarAhead, 1),
            (Refusal::TraceTooLarge, 50),
        ]
    );
    let message = report.message().unwrap();
    for part in [
        "1 spans refused: invalid trace id: all bytes are zero",
        "longer ago than the retention of 1209600 s",
        "more than 3600 s ahead of the clock (2026-01-01T00:00:01.000Z)",
        "50 spans refused: TRACE_TOO_LARGE: max spans of trace (100) exceeded",
    ] {
        assert!(message.contains(part), "{part} is not in {message}");
    }
    assert!(store.get(trace_id(3)).is_some());
}

#[test]
fn too_many_too_long_too_deep() {
    let mut store = TraceStore::new(small());
    let mut nested = AttributeValue::Int(1);
    for _ in 0..10_000 {
        nested = AttributeValue::Array(vec![nested]);
    }
    let mut odd = span(1, 1, 0, "a", &"ü".repeat(20), 0, 1)
        .with("deep", nested)
        .with("text", "y".repeat(1_000).as_str());
    for index in 0..10_000 {
        odd = odd.with(&format!("key-{index}"), 1);
    }
    for _ in 0..10 {
        odd = odd.event("e", 0, &[]);
    }
    odd.resource = Arc::new(Resource {
        attributes: common::attributes(&[("service.name", "s".repeat(100).as_str().into())]),
    });
    let report = store.append(vec![odd], at(1_000));
    assert_eq!(
        (report.accepted, report.dropped_events, report.cut_texts),
        (1, 8, 3)
    );
    assert!(report.dropped_attributes > 9_990, "{report:?}");
    let stored = &store.get(trace_id(1)).unwrap().spans[0];
    assert_eq!(
        (
            stored.name.as_str(),
            stored.attributes.0.len(),
            stored.events.len()
        ),
        ("üüüüüüüü", 4, 2)
    );
    assert_eq!(stored.resource.service_name(), "s".repeat(16));
    // A deep value must not overflow the stack when it goes either.
}

#[test]
fn cycles_long_chains_and_twins_are_searched() {
    let mut spans = vec![
        span(1, 1, 2, "a", "x", 0, 1),
        span(1, 2, 1, "a", "y", 0, 1),
        span(1, 3, 3, "a", "z", 0, 1),
    ];
    spans.extend((1..=20_000).map(|id| span(2, id, id - 1, "a", "deep", id as i64, 1)));
    let mut store = TraceStore::new(Limits::default());
    assert_eq!(store.append(spans, at(60_000)).accepted, 20_003);
    for query in [
        "{ } >> { name = `deep` }",
        "{ name = `deep` } << { }",
        "{ nestedSetParent >= 0 }",
        "{ span:childCount > 0 } &< { }",
    ] {
        let parsed = TraceQuery::parse(query).unwrap();
        assert!(
            !store
                .search(&parsed, &SearchRequest::default())
                .traces
                .is_empty(),
            "{query}"
        );
    }
}

#[test]
fn the_oldest_traces_make_room() {
    let mut store = TraceStore::new(Limits {
        max_spans: 1_000,
        ..Limits::default()
    });
    for batch in 0..50 {
        let spans = (0..1_000)
            .map(|n| {
                span(
                    1 + batch * 250 + n / 4,
                    n % 4 + 1,
                    n % 4,
                    "svc",
                    "op",
                    (batch * 10) as i64,
                    5,
                )
            })
            .collect();
        assert_eq!(store.append(spans, at(batch as i64 * 10)).accepted, 1_000);
    }
    let stats = store.stats();
    assert_eq!(
        (stats.spans, stats.traces, stats.evicted.spans),
        (1_000, 250, 49_000)
    );
    assert!(store.get(trace_id(1)).is_none() && store.get(trace_id(12_500)).is_some());
    // What went gives its memory back: 50 times as many spans came in.
    assert!(stats.bytes < 30_000_000, "{} bytes", stats.bytes);
    let few = TraceStore::new(Limits {
        max_bytes: 1_000_000,
        ..Limits::default()
    });
    let mut store = few;
    for trace in 1..=20_000 {
        store.append(
            vec![span(
                trace,
                1,
                0,
                "svc",
                &format!("operation-{trace}"),
                trace as i64,
                5,
            )],
            at(trace as i64),
        );
    }
    let stats = store.stats();
    assert!(
        stats.spans > 500 && stats.spans < 10_000 && stats.evicted.traces > 10_000,
        "{stats:?}"
    );
}

#[test]
fn long_lived_traces_move_when_their_segment_empties() {
    let mut store = TraceStore::new(Limits {
        max_spans: 70_000,
        ..Limits::default()
    });
    let mut next = 2;
    for batch in 0..60i64 {
        let mut spans: Vec<Span> = (0..4_000)
            .map(|n| span(next + n, 1, 0, "svc", "op", 10_000 + batch * 10, 5).with("n", n as i64))
            .collect();
        next += 4_000;
        // This trace began last by its own account, so that it is never the oldest.
        spans.push(
            span(
                1,
                batch as u64 + 1,
                u64::from(batch > 0),
                "keeper",
                "keep",
                50_000_000 + batch,
                5,
            )
            .with("batch", batch),
        );
        store.append(spans, at(50_000_000));
    }
    let kept = store.get(trace_id(1)).unwrap();
    assert_eq!(kept.spans.len(), 60);
    assert!(
        kept.spans
            .iter()
            .enumerate()
            .all(|(index, span)| span.attributes.get("batch") == Some(&(index as i64).into()))
    );
    let query =
        TraceQuery::parse("{ resource.service.name = `keeper` && span.batch < 3 }").unwrap();
    let found = store.search(&query, &SearchRequest::default());
    assert_eq!(
        (found.traces.len(), found.traces[0].span_sets[0].matched),
        (1, 3)
    );
    assert_eq!(found.traces[0].root_service_name, "keeper");
}

#[test]
fn requests_over_the_limits_get_tempos_words() {
    let limits = QueryLimits {
        max_results: 100,
        ..QueryLimits::default()
    };
    let search = |change: fn(&mut SearchRequest)| {
        let mut request = SearchRequest {
            start: at(0),
            end: at(60_000),
            ..SearchRequest::default()
        };
        change(&mut request);
        limits
            .check_search(&request)
            .map_err(|error| error.to_string())
    };
    let error = |text: &str| Err(text.to_owned());
    assert_eq!(search(|_| {}), Ok(()));
    assert_eq!(
        search(|request| request.limit = 101),
        error("limit 101 exceeds max limit 100")
    );
    assert_eq!(
        search(|request| request.end = at(700_000_000)),
        error(
            "range specified by start and end exceeds 168h0m0s. received start=1767225600 end=1767925600"
        )
    );
    assert_eq!(search(|request| request.end = Timestamp::MAX), Ok(()));
    assert_eq!(
        search(|request| request.spans_per_span_set = 0),
        error("spans per span set exceeds 100. received 0")
    );
    assert_eq!(
        limits
            .check_metrics(at(0), at(86_400_001))
            .map_err(|error| error.to_string()),
        error("metrics query time range exceeds the maximum allowed duration of 24h0m0s")
    );
}

#[test]
fn many_groups_of_a_long_trace_stay_small() {
    let mut store = TraceStore::new(Limits::default());
    store.append(
        (1..=50_000)
            .map(|id| span(1, id, 0, "svc", "op", id as i64, 1).with("n", id as i64))
            .collect(),
        at(60_000),
    );
    let query = TraceQuery::parse("{ } | by(span.n) | count() = 1").unwrap();
    let answer = store.search(&query, &SearchRequest::default());
    assert_eq!(answer.traces[0].span_sets.len(), 1_000);
    let query = TraceQuery::parse("{ } | by(span.n) | coalesce()").unwrap();
    assert_eq!(
        store.search(&query, &SearchRequest::default()).traces[0].span_sets[0].matched,
        50_000
    );
}

fn any_value() -> impl Strategy<Value = AttributeValue> {
    let leaf = prop_oneof![
        Just(AttributeValue::Empty),
        any::<bool>().prop_map(AttributeValue::Bool),
        any::<i64>().prop_map(AttributeValue::Int),
        any::<f64>().prop_map(AttributeValue::Double),
        ".{0,8}".prop_map(|text| AttributeValue::String(text.into())),
        prop::collection::vec(any::<u8>(), 0..4).prop_map(AttributeValue::Bytes),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(AttributeValue::Array),
            prop::collection::vec(("[a-c]".prop_map(SmolStr::from), inner), 0..3)
                .prop_map(AttributeValue::Map),
        ]
    })
}

proptest! {
    // Each case asks many queries.
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_spans_are_stored_or_refused(
        raw in prop::collection::vec((0u64..3, 0u64..6, 0u64..6, any::<i32>(), any::<i32>(), prop::collection::vec(("[a-c]", any_value()), 0..3)), 0..20)
    ) {
        let spans: Vec<Span> = raw
            .into_iter()
            .map(|(trace, id, parent, start, length, pairs)| {
                let mut own = span(trace, id, parent, "svc", "op", i64::from(start) / 100, i64::from(length) / 100);
                own.attributes = pairs.into_iter().collect();
                own
            })
            .collect();
        let count = spans.len() as u64;
        let mut store = TraceStore::new(Limits::default());
        let report = store.append(spans, at(30_000_000));
        prop_assert_eq!(report.accepted + report.duplicates + report.refused_spans(), count);
        prop_assert_eq!(store.all_spans().count() as u64, report.accepted);
        for query in [
            "{ .a = 1 || .b =~ `.*` || span.c != nil }", "{ .a + .b > 0 }", "{ } >> { }", "{ } | by(.a) | count() > 0 | coalesce()", "{ !.a }",
            "{ -.a > .b && name = `op` }", "{ span.a =~ `x.*` }", "{ } | avg(.a) > 0 | select(.b)", "{ nestedSetLeft > 0 }", "{ .a ^ .b = .c % .a }",
        ] {
            let parsed = TraceQuery::parse(query).unwrap();
            let answer = store.search(&parsed, &SearchRequest::default());
            prop_assert!(serde_json::to_string(&answer).is_ok());
        }
        for query in ["{ } | rate() by (.a)", "{ } | quantile_over_time(.a, 0.5)", "{ } | histogram_over_time(duration)", "{ } | compare({ .a = 1 })", "{ } | avg_over_time(.b) | topk(1)"] {
            let parsed = TraceQuery::parse(query).unwrap();
            let request = MetricsRequest::new(at(-30_000_000), at(30_000_000), Duration::from_secs(600));
            prop_assert!(serde_json::to_string(&store.query_range(&parsed, &request).unwrap()).is_ok());
        }
    }
}

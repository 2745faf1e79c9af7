//! Waterfalls, and what is blamed for an incident.

mod common;

use common::{SpanExt, shop, span, store, trace_id};
use gameday_signal::{Span, SpanKind};
use gameday_traces::{RootCause, Trace, Verdict};

#[test]
fn waterfalls_show_where_the_time_went() {
    let trace = store(shop()).get(trace_id(1)).unwrap();
    let waterfall = trace.waterfall();
    assert_eq!(
        waterfall.render(&trace, 45),
        concat!(
            "frontend: GET /api/checkout |#############################################| 900ms\n",
            "  checkout: charge          |############################################ | 880ms\n",
            "    checkout: db.query      | ###################################         | 700ms\n",
            "    payments: pay           |                                    #####    | 100ms\n",
        )
    );
    let shown: Vec<(usize, u128, u128)> = waterfall
        .rows
        .iter()
        .map(|row| {
            (
                row.depth,
                row.self_time.as_millis(),
                row.critical.as_millis(),
            )
        })
        .collect();
    assert_eq!(
        shown,
        [(0, 20, 20), (1, 80, 80), (2, 700, 700), (2, 100, 100)]
    );
}

#[test]
fn parallel_children_count_once() {
    let spans = vec![
        span(1, 1, 0, "a", "root", 0, 100),
        span(1, 2, 1, "b", "fast", 10, 50),
        span(1, 3, 1, "c", "slow", 10, 80),
        span(1, 4, 1, "d", "after the end", 95, 50),
        span(1, 5, 77, "e", "orphan", 20, 10),
    ];
    let waterfall = Trace::new(trace_id(1), spans).waterfall();
    let row = |span: usize| waterfall.rows.iter().find(|row| row.span == span).unwrap();
    assert_eq!(row(0).self_time.as_millis(), 15);
    assert_eq!(row(2).critical.as_millis(), 80);
    assert_eq!(row(1).critical.as_millis(), 0);
    assert!(
        waterfall
            .rows
            .iter()
            .any(|row| row.orphan && row.depth == 0)
    );
    assert_eq!(waterfall.duration.as_millis(), 145);
}

#[test]
fn odd_traces_have_waterfalls_too() {
    assert!(
        Trace::new(trace_id(1), Vec::new())
            .waterfall()
            .rows
            .is_empty()
    );
    let cycle = vec![
        span(1, 1, 2, "a", "x", 0, 10),
        span(1, 2, 1, "a", "y", 0, 10),
        span(1, 3, 3, "a", "z", 0, -5),
    ];
    let trace = Trace::new(trace_id(1), cycle);
    assert_eq!(trace.waterfall().rows.len(), 3);
    let chain: Vec<Span> = (1..=20_000)
        .map(|id| span(1, id, id - 1, "a", "x", id as i64, 30_000 - id as i64))
        .collect();
    let waterfall = Trace::new(trace_id(1), chain).waterfall();
    assert_eq!(waterfall.rows.last().unwrap().depth, 19_999);
}

/// A checkout whose query takes `query_ms` on `replica` and whose payment fails where `failure` says so.
fn checkout(number: u64, query_ms: i64, replica: &str, failure: Option<&str>) -> Trace {
    let pay =
        span(number, 4, 2, "payments", "pay", 12 + query_ms, 20).with("attempt", number as i64);
    let total = query_ms + 40;
    let mut spans = vec![
        span(number, 1, 0, "frontend", "GET /api/checkout", 0, total + 10),
        span(number, 2, 1, "checkout", "charge", 5, total),
        span(number, 3, 2, "checkout", "db.query", 10, query_ms)
            .kind(SpanKind::Client)
            .with("db.replica", replica),
    ];
    if let Some(message) = failure {
        spans[0] = spans[0].clone().error("");
        spans[1] = spans[1].clone().error("payment refused");
        spans.push(pay.error(message).with("card", "expired"));
    } else {
        spans.push(pay.with("card", "good"));
    }
    Trace::new(trace_id(number), spans)
}

fn steady() -> Vec<Trace> {
    (0..30)
        .map(|number| {
            checkout(
                100 + number,
                10 + number as i64 % 5,
                ["r1", "r2", "r3"][number as usize % 3],
                None,
            )
        })
        .collect()
}

#[test]
fn a_slow_query_is_blamed_with_its_replica() {
    let incident: Vec<Trace> = (0..12)
        .map(|number| {
            let replica = ["r1", "r2", "r3"][number as usize % 3];
            checkout(
                number + 1,
                if replica == "r2" { 900 } else { 11 },
                replica,
                None,
            )
        })
        .collect();
    let cause = RootCause::find(&incident, &steady());
    assert_eq!(cause.verdict, Verdict::Latency);
    assert_eq!(cause.culprit().unwrap().to_string(), "checkout: db.query");
    assert_eq!(
        cause.attribute().unwrap().to_string(),
        "span.db.replica = r2"
    );
    assert_eq!(
        cause.to_string(),
        concat!(
            "root cause: checkout: db.query takes longer\n",
            "compared: 12 traces of the incident with 30 of the steady state\n",
            "a trace takes 357.3 ms, before 62.0 ms\n",
            "  checkout: db.query: 307.3 ms of its own, before 12.0 ms: 100 % of the excess\n",
            "0 % of the traces fail, before 0 %\n",
            "span.db.replica = r2 is on 100 % of what got worse, before on 33 % of its spans\n",
        )
    );
}

#[test]
fn the_first_failure_is_blamed_not_those_that_pass_it_on() {
    let incident: Vec<Trace> = (0..10)
        .map(|number| {
            checkout(
                number + 1,
                12,
                "r1",
                (number < 6).then_some("card declined"),
            )
        })
        .collect();
    let cause = RootCause::find(&incident, &steady());
    assert_eq!(cause.verdict, Verdict::Errors);
    assert_eq!(cause.culprit().unwrap().to_string(), "payments: pay");
    assert_eq!(
        (cause.errors.incident_ratio, cause.errors.message.as_str()),
        (0.6, "card declined")
    );
    assert_eq!(
        cause.attribute().unwrap().to_string(),
        "span.card = expired"
    );
}

#[test]
fn a_new_span_is_blamed_in_full() {
    let incident: Vec<Trace> = (0..10)
        .map(|number| {
            let mut trace = checkout(number + 1, 12, "r1", None);
            trace
                .spans
                .push(span(number + 1, 9, 1, "frontend", "retry", 60, 500));
            Trace::new(trace.id, trace.spans)
        })
        .collect();
    let cause = RootCause::find(&incident, &steady());
    assert_eq!(cause.culprit().unwrap().to_string(), "frontend: retry");
}

#[test]
fn nothing_is_blamed_without_reason() {
    assert_eq!(
        RootCause::find(&steady(), &steady()).verdict,
        Verdict::Nothing
    );
    assert_eq!(
        RootCause::find(&[], &steady()).verdict,
        Verdict::Inconclusive
    );
    assert_eq!(
        RootCause::find(&steady(), &[]).to_string(),
        "inconclusive: 30 traces of the incident and 0 of the steady state"
    );
}

//! Which traces are kept.

mod common;

use std::time::Duration;

use common::{SpanExt, at, shop, span};
use gameday_signal::{Span, SpanStatus};
use gameday_traces::{Policy, PolicyKind, ProbabilisticSampler, TailSampler, TailSamplerConfig};

fn sampler(kinds: Vec<PolicyKind>) -> TailSampler {
    TailSampler::new(TailSamplerConfig {
        decision_wait: Duration::from_secs(10),
        policies: kinds
            .into_iter()
            .enumerate()
            .map(|(index, kind)| Policy {
                name: format!("p{index}"),
                kind,
            })
            .collect(),
        ..TailSamplerConfig::default()
    })
}

/// The numbers of the traces that are kept of the shop's three.
fn kept(kinds: Vec<PolicyKind>) -> Vec<u8> {
    let mut sampler = sampler(kinds);
    assert_eq!(sampler.observe(shop(), at(11_000)), []);
    assert_eq!(sampler.tick(at(20_999)), []);
    traces(&sampler.tick(at(21_000)))
}

fn traces(spans: &[Span]) -> Vec<u8> {
    let mut ids: Vec<u8> = spans.iter().map(|span| span.trace_id.0[15]).collect();
    ids.dedup();
    ids
}

#[test]
fn policies() {
    let string = |key: &str, value: &str, invert| PolicyKind::StringAttribute {
        key: key.to_owned(),
        values: vec![value.to_owned()],
        invert,
    };
    let errors = || PolicyKind::StatusCode(vec![SpanStatus::Error]);
    let slow = || PolicyKind::Latency {
        threshold: Duration::from_millis(500),
        upper_threshold: None,
    };
    for (name, kinds, expected) in [
        ("nothing", vec![], vec![]),
        ("always", vec![PolicyKind::AlwaysSample], vec![1, 2, 3]),
        ("errors", vec![errors()], vec![2]),
        ("slow", vec![slow()], vec![1]),
        ("errors or slow", vec![errors(), slow()], vec![1, 2]),
        (
            "errors and slow",
            vec![PolicyKind::And(vec![errors(), slow()])],
            vec![],
        ),
        (
            "between",
            vec![PolicyKind::Latency {
                threshold: Duration::from_millis(30),
                upper_threshold: Some(Duration::from_millis(100)),
            }],
            vec![2],
        ),
        (
            "users",
            vec![string("service.name", "users", false)],
            vec![3],
        ),
        (
            "database",
            vec![string("db.system", "sqlite", false)],
            vec![1],
        ),
        (
            "all but users",
            vec![string("service.name", "users", true)],
            vec![1, 2],
        ),
        (
            "never users",
            vec![
                PolicyKind::AlwaysSample,
                string("service.name", "users", true),
            ],
            vec![1, 2],
        ),
        (
            "numbers",
            vec![PolicyKind::NumericAttribute {
                key: "http.status_code".to_owned(),
                min: 500,
                max: 599,
            }],
            vec![2],
        ),
        (
            "pattern",
            vec![PolicyKind::AttributePattern {
                key: "db.system".to_owned(),
                patterns: vec![regex::Regex::new("lite$").unwrap()],
            }],
            vec![1],
        ),
        (
            "many spans",
            vec![PolicyKind::SpanCount { min: 3, max: 0 }],
            vec![1, 2],
        ),
        (
            "three spans",
            vec![PolicyKind::SpanCount { min: 3, max: 3 }],
            vec![2],
        ),
        (
            "few a second",
            vec![PolicyKind::RateLimiting {
                spans_per_second: 6,
            }],
            vec![1, 3],
        ),
        (
            "none of them",
            vec![PolicyKind::Probabilistic {
                percentage: 0.0,
                salt: String::new(),
            }],
            vec![],
        ),
        (
            "all of them",
            vec![PolicyKind::Probabilistic {
                percentage: 100.0,
                salt: String::new(),
            }],
            vec![1, 2, 3],
        ),
    ] {
        assert_eq!(kept(kinds), expected, "{name}");
    }
}

#[test]
fn late_spans_share_the_fate_of_their_trace() {
    let mut sampler = sampler(vec![PolicyKind::StatusCode(vec![SpanStatus::Error])]);
    sampler.observe(shop(), at(11_000));
    sampler.tick(at(21_000));
    let late = |trace| vec![span(trace, 99, 1, "mailer", "send", 20_000, 5)];
    assert_eq!(traces(&sampler.observe(late(2), at(22_000))), [2]);
    assert_eq!(sampler.observe(late(1), at(22_000)), []);
    let stats = sampler.stats();
    assert_eq!(
        (stats.sampled_traces, stats.dropped_traces, stats.late_spans),
        (1, 2, 2)
    );
    assert_eq!(
        (
            stats.sampled_spans,
            stats.dropped_spans,
            stats.waiting_spans
        ),
        (4, 7, 0)
    );
    let shown: Vec<String> = sampler
        .metrics()
        .iter()
        .map(|(labels, value)| {
            format!(
                "{} {} {value}",
                labels.metric_name(),
                labels.without_metric_name()
            )
        })
        .collect();
    for expected in [
        "otelcol_processor_tail_sampling_count_traces_sampled_total {policy=\"p0\", sampled=\"true\"} 1",
        "otelcol_processor_tail_sampling_global_count_traces_sampled_total {sampled=\"false\"} 2",
        "otelcol_processor_tail_sampling_sampling_late_spans_total {} 2",
    ] {
        assert!(
            shown.iter().any(|own| own == expected),
            "{expected} is not in {shown:#?}"
        );
    }
}

#[test]
fn the_oldest_make_room() {
    let mut sampler = TailSampler::new(TailSamplerConfig {
        max_traces: 2,
        policies: vec![Policy {
            name: "all".to_owned(),
            kind: PolicyKind::AlwaysSample,
        }],
        ..TailSamplerConfig::default()
    });
    sampler.observe(shop(), at(11_000));
    let stats = sampler.stats();
    assert_eq!(
        (
            stats.waiting_traces,
            stats.waiting_spans,
            stats.dropped_too_early,
            stats.dropped_too_early_spans
        ),
        (2, 5, 1, 4)
    );
    assert_eq!(traces(&sampler.flush(at(12_000))), [2, 3]);
    assert_eq!(sampler.next_deadline(), None);
}

#[test]
fn a_share_of_the_traces_is_kept_whole() {
    let spans: Vec<Span> = (1..=10_000)
        .flat_map(|trace| {
            [
                span(trace, 1, 0, "a", "x", 0, 1),
                span(trace, 2, 1, "b", "y", 0, 1).error("e"),
            ]
        })
        .collect();
    let mut sampler = ProbabilisticSampler::new(10.0, "");
    let kept = sampler.sample(spans.clone());
    assert_eq!(kept.len() % 2, 0);
    assert!((1_800..2_200).contains(&kept.len()), "{}", kept.len());
    assert_eq!(
        sampler.counts(),
        (kept.len() as u64, 20_000 - kept.len() as u64)
    );
    // The same traces every time, others with another salt.
    assert_eq!(
        ProbabilisticSampler::new(10.0, "").sample(spans.clone()),
        kept
    );
    assert_ne!(ProbabilisticSampler::new(10.0, "s").sample(spans), kept);
}

//! Attributes changed on the way in, and the service graph read back.

mod common;

use common::{SpanExt, at, shop, span};
use gameday_signal::{AttributeValue, Labels, SpanKind};
use gameday_traces::{
    AttributeAction, AttributesProcessor, Generator, GeneratorConfig, SpanMatch,
    apply_attribute_actions, failing_edge, service_edges,
};
use regex::Regex;

#[test]
fn attributes_are_changed_in_order() {
    use AttributeAction::{Delete, DeleteMatching, Insert, Rename, Update, Upsert};
    let text = |text: &str| AttributeValue::from(text);
    let key = str::to_owned;
    let mut attributes = common::attributes(&[
        ("a", text("1")),
        ("secret.token", text("x")),
        ("secret.key", text("y")),
        ("old", text("z")),
    ]);
    apply_attribute_actions(
        &[
            Insert(key("a"), text("no")),
            Insert(key("b"), text("2")),
            Update(key("a"), text("one")),
            Update(key("c"), text("no")),
            Upsert(key("d"), text("4")),
            Upsert(key("b"), text("two")),
            DeleteMatching(Regex::new("^secret\\.").unwrap()),
            Rename(key("old"), key("new")),
            Rename(key("a"), key("b")),
            Delete(key("d")),
        ],
        &mut attributes,
    );
    assert_eq!(
        attributes,
        common::attributes(&[("a", text("one")), ("new", text("z")), ("b", text("two"))])
    );
}

#[test]
fn only_what_matches_is_changed() {
    let processor = AttributesProcessor {
        include: SpanMatch {
            services: vec![Regex::new("^pay").unwrap()],
            ..SpanMatch::default()
        },
        exclude: None,
        span_actions: vec![AttributeAction::Delete("amount".to_owned())],
        resource_actions: vec![AttributeAction::Insert("team".to_owned(), "billing".into())],
    };
    let mut spans = shop();
    processor.process(&mut spans);
    for span in spans {
        let pays = span.resource.service_name() == "payments";
        assert_eq!(
            span.resource.attributes.get_str("team"),
            pays.then_some("billing")
        );
        assert!(!pays || span.attributes.get("amount").is_none());
    }
}

#[test]
fn failures_are_traced_to_the_last_edge() {
    // frontend calls checkout, which calls payments, which fails half of the time; the users are well.
    let mut generator = Generator::new(GeneratorConfig::default());
    for trace in 1..=10 {
        let fails = |span: gameday_signal::Span| if trace % 2 == 0 { span.error("") } else { span };
        generator.observe(
            &[
                fails(span(trace, 1, 0, "frontend", "GET", 0, 90)),
                fails(span(trace, 2, 1, "frontend", "call", 1, 80).kind(SpanKind::Client)),
                fails(span(trace, 3, 2, "checkout", "charge", 2, 70)),
                fails(span(trace, 4, 3, "checkout", "call", 3, 60).kind(SpanKind::Client)),
                fails(span(trace, 5, 4, "payments", "pay", 4, 50)),
                span(trace, 6, 1, "frontend", "call", 81, 5).kind(SpanKind::Client),
                span(trace, 7, 6, "users", "get", 82, 3),
            ],
            at(100),
        );
    }
    generator.tick(at(11_000));
    let points: Vec<(Labels, f64)> = generator
        .tick(at(15_000))
        .into_iter()
        .filter(|point| point.sample.timestamp_ms == at(15_000).as_millis())
        .map(|point| (point.labels, point.sample.value))
        .collect();
    let edges = service_edges(points.iter().map(|(labels, value)| (labels, *value)));
    let shown: Vec<String> = edges
        .iter()
        .map(|edge| {
            format!(
                "{}>{} {} {:.0}ms",
                edge.client,
                edge.server,
                edge.failed_ratio(),
                edge.mean_seconds() * 1e3
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            "checkout>payments 0.5 50ms",
            "frontend>checkout 0.5 70ms",
            "frontend>users 0 3ms",
            "user>frontend 0.5 90ms"
        ]
    );
    let failing = failing_edge(&edges, 0.01).unwrap();
    assert_eq!(
        (failing.client.as_str(), failing.server.as_str()),
        ("checkout", "payments")
    );
    assert_eq!(failing_edge(&edges, 0.6), None);
    assert_eq!(failing_edge(&edges[2..3], 0.0), None);
    // In a circle there is no last one.
    let mut circle = edges[..1].to_vec();
    circle.push(gameday_traces::ServiceEdge {
        client: "payments".to_owned(),
        server: "checkout".to_owned(),
        ..circle[0].clone()
    });
    circle[1].failed += 1.0;
    assert_eq!(failing_edge(&circle, 0.01).unwrap().server, "checkout");
}

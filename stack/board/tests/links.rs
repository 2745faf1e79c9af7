//! From a log line to a trace, from an exemplar to a trace, from a span to its logs.

use std::sync::Arc;

use gameday_board::{Datasources, Error};
use gameday_signal::{
    Attributes, Labels, Resource, Scope, Span, SpanId, SpanKind, SpanStatus, Timestamp, TraceId,
};
use proptest::prelude::*;

const SOURCES: &str = r#"
apiVersion: 1
datasources:
  - name: Prometheus
    type: prometheus
    uid: prometheus
    url: http://$PROMETHEUS_HOST:9090
    isDefault: true
    jsonData:
      exemplarTraceIdDestinations:
        - name: trace_id
          datasourceUid: tempo
          urlDisplayLabel: "Trace: $${__value.raw}"
        - name: order
          url: "https://orders.example.org/?id=$${__value.raw:percentencode}"
  - name: Tempo
    type: tempo
    uid: tempo
    jsonData:
      serviceMap: {datasourceUid: prometheus}
      tracesToLogsV2:
        datasourceUid: loki
        customQuery: true
        query: '{$${__tags}} | trace_id = "$${__trace.traceId}"'
        tags:
          - {key: service.name, value: service_name}
  - name: Loki
    type: loki
    jsonData:
      derivedFields:
        - name: TraceID
          matcherRegex: "traceID=(\\w+)"
          datasourceUid: tempo
          url: "$${__value.raw}"
          urlDisplayLabel: "Open in Tempo"
        - name: trace_id
          matcherType: label
          matcherRegex: "^trace_id$"
          datasourceUid: tempo
          url: "${__value.raw}"
        - name: ticket
          matcherRegex: "ticket=(\\S+)"
          url: "https://tickets.example.org/$${__value}"
"#;

fn sources() -> Datasources {
    Datasources::parse("datasources.yaml", SOURCES, |name| {
        (name == "PROMETHEUS_HOST").then(|| "localhost".to_owned())
    })
    .expect("a provisioning file")
}

#[test]
fn log_lines_lead_to_traces() {
    let sources = sources();
    let loki = sources.get("Loki").unwrap();
    let [by_line, by_label, ticket] = loki.derived_fields.as_slice() else {
        panic!("three derived fields")
    };
    let none = Labels::empty();
    let link = by_line
        .link(
            "level=error msg=\"too slow\" traceID=4bf92f35 user=7",
            &none,
        )
        .unwrap();
    assert_eq!(
        (
            link.value.as_str(),
            link.target.as_str(),
            link.label.as_str()
        ),
        ("4bf92f35", "4bf92f35", "Open in Tempo")
    );
    assert_eq!(link.datasource_uid.as_deref(), Some("tempo"));
    assert_eq!(by_line.link(r#"{"trace_id":"4bf92f35"}"#, &none), None);
    assert_eq!(
        by_line.why_not(r#"{"trace_id":"4bf92f35"}"#, &none),
        r#"derived field TraceID: traceID=(\w+) matches nothing in the line "{\"trace_id\":\"4bf92f35\"}""#
    );
    let labels = Labels::new([("service_name", "checkout"), ("trace_id", "4bf92f35")]);
    assert_eq!(
        by_label.link("anything", &labels).unwrap().value,
        "4bf92f35"
    );
    assert_eq!(
        by_label.why_not("anything", &labels.without("trace_id")),
        "derived field trace_id: ^trace_id$ matches none of the labels service_name"
    );
    let link = ticket.link("ticket=a/b", &none).unwrap();
    assert_eq!(
        (link.datasource_uid, link.target.as_str()),
        (None, "https://tickets.example.org/a%2Fb")
    );
}

#[test]
fn exemplars_lead_to_traces() {
    let sources = sources();
    let destinations = &sources.of_kind("prometheus").unwrap().exemplar_destinations;
    let link = destinations[0]
        .link(&Labels::new([("trace_id", "4bf92f35")]))
        .unwrap();
    assert_eq!(
        (link.target.as_str(), link.label.as_str()),
        ("4bf92f35", "Trace: 4bf92f35")
    );
    assert_eq!(
        destinations[0].link(&Labels::new([("traceID", "4bf92f35")])),
        None
    );
    let link = destinations[1]
        .link(&Labels::new([("order", "a b")]))
        .unwrap();
    assert_eq!(
        (link.target.as_str(), link.label.as_str()),
        ("https://orders.example.org/?id=a%20b", "Query with order")
    );
}

#[test]
fn spans_lead_to_their_logs() {
    let span = Span {
        trace_id: TraceId([1; 16]),
        span_id: SpanId([2; 8]),
        parent_span_id: SpanId::NONE,
        trace_state: String::new(),
        flags: 0,
        name: "GET /".to_owned(),
        kind: SpanKind::Server,
        start: Timestamp::EPOCH,
        end: Timestamp::EPOCH,
        attributes: Attributes::default(),
        events: Vec::new(),
        links: Vec::new(),
        status: SpanStatus::Unset,
        status_message: String::new(),
        resource: Arc::new(Resource {
            attributes: Attributes(vec![("service.name".into(), "checkout".into())]),
        }),
        scope: Arc::new(Scope::default()),
    };
    let mut to_logs = sources()
        .get("tempo")
        .unwrap()
        .traces_to_logs
        .clone()
        .unwrap();
    assert_eq!(
        to_logs.query(&span).as_deref(),
        Some(r#"{service_name="checkout"} | trace_id = "01010101010101010101010101010101""#)
    );
    to_logs.custom_query = None;
    to_logs.filter_by_trace_id = true;
    assert_eq!(
        to_logs.query(&span).as_deref(),
        Some(r#"{service_name="checkout"} |="01010101010101010101010101010101""#)
    );
    to_logs.tags = vec![("k8s.pod".to_owned(), "pod".to_owned())];
    assert_eq!(to_logs.query(&span), None);
}

#[test]
fn provisioning_is_expanded_and_checked() {
    let sources = sources();
    assert_eq!(
        sources.get("prometheus").unwrap().url,
        "http://localhost:9090"
    );
    assert_eq!(sources.get("Loki").unwrap().uid, "Loki");
    assert_eq!(
        sources.broken_links(),
        ["Tempo, traces to logs: no data source \"loki\""]
    );
    let bad = SOURCES.replace(r"traceID=(\\w+)", "traceID=(");
    let error = Datasources::parse("ds.yaml", &bad, |_| None).unwrap_err();
    assert!(
        matches!(&error, Error::Pattern { path, .. } if path == "datasources[2].jsonData.derivedFields[0].matcherRegex"),
        "{error}"
    );
    let error =
        Datasources::parse("ds.yaml", "datasources:\n  - name: [1]\n", |_| None).unwrap_err();
    assert!(error.to_string().starts_with("ds.yaml:2:"), "{error}");
}

proptest! {
    #[test]
    fn no_text_panics(text in "(datasources:\n  - )?.{0,80}") {
        let _ = Datasources::parse("x.yaml", &text, |_| None);
    }
}

//! Dashboards as Grafana writes them.

use std::time::Duration;

use gameday_board::{Dashboard, Scope, VariableKind};
use gameday_signal::Timestamp;
use proptest::prelude::*;

const CHECKOUT: &str = include_str!("data/checkout.json");

fn scope() -> Scope {
    let from = Timestamp::from_secs(1_767_225_600);
    Scope::new(
        from,
        from + Duration::from_secs(3600),
        Duration::from_secs(30),
        Duration::from_secs(15),
    )
}

#[test]
fn panels_queries_and_variables() {
    let dashboard = Dashboard::parse("checkout.json", CHECKOUT).unwrap();
    assert_eq!(
        (dashboard.uid.as_str(), dashboard.title.as_str()),
        ("checkout", "Checkout")
    );
    assert_eq!(dashboard.time, ("now-1h".to_owned(), "now".to_owned()));
    let titles: Vec<&str> = dashboard
        .panels
        .iter()
        .map(|panel| panel.title.as_str())
        .collect();
    assert_eq!(
        titles,
        [
            "Error ratio",
            "Latency",
            "Logs",
            "Slow traces",
            "Ratio of both",
            "Read me"
        ]
    );
    let ratio = dashboard.panel_by_title("error RATIO").unwrap();
    assert_eq!(
        (ratio.kind.as_str(), ratio.unit.as_str(), ratio.bounds),
        ("stat", "percentunit", (Some(0.0), Some(1.0)))
    );
    assert_eq!(
        (
            ratio.color_of(0.0),
            ratio.color_of(0.006),
            ratio.color_of(0.2)
        ),
        (Some("green"), Some("orange"), Some("red"))
    );
    assert_eq!((ratio.position.x, ratio.position.width), (0, 6));
    assert_eq!(ratio.links[0].url, "/d/runbook");
    let queries: Vec<(&str, &str, &str)> = dashboard
        .queries()
        .map(|(panel, query)| {
            (
                panel.title.as_str(),
                query.ref_id.as_str(),
                query
                    .datasource
                    .as_ref()
                    .map_or("", |own| own.kind.as_str()),
            )
        })
        .collect();
    assert_eq!(
        queries,
        [
            ("Error ratio", "A", "prometheus"),
            ("Latency", "A", "prometheus"),
            ("Latency", "B", "prometheus"),
            ("Logs", "A", "loki"),
            ("Slow traces", "A", "tempo"),
            ("Ratio of both", "C", "__expr__"),
        ]
    );
    assert!(dashboard.panels[1].queries[0].exemplar);
    assert_eq!(
        dashboard.panels[3].queries[0].expr,
        "{ resource.service.name = \"checkout\" && duration > 500ms }"
    );
    let names: Vec<&str> = dashboard
        .variables
        .iter()
        .map(|variable| variable.name.as_str())
        .collect();
    assert_eq!(names, ["ds", "service", "window", "route"]);
    assert!(
        matches!(&dashboard.variables[1].kind, VariableKind::Query { query, .. } if query == "label_values(up, service)")
    );
    assert_eq!(dashboard.variables[2].options, ["5m", "1h"]);
    assert_eq!(dashboard.annotations[0].expr, "changes(build_info[5m])");
}

#[test]
fn queries_are_filled_as_grafana_fills_them() {
    let dashboard = Dashboard::parse("checkout.json", CHECKOUT).unwrap();
    let mut scope = scope();
    scope.set_defaults(&dashboard.variables, |variable| {
        if variable.name == "service" {
            vec!["checkout".to_owned(), "pay.ments".to_owned()]
        } else {
            Vec::new()
        }
    });
    let expr = |title: &str, index: usize| {
        scope.fill(&dashboard.panel_by_title(title).unwrap().queries[index].expr)
    };
    assert_eq!(
        expr("Error ratio", 0),
        r#"sum(rate(http_requests_total{service=~"(checkout|pay\\.ments)", status_code=~"5.."}[5m])) / sum(rate(http_requests_total{service=~"(checkout|pay\\.ments)"}[5m]))"#
    );
    assert_eq!(
        expr("Latency", 0),
        r#"histogram_quantile(0.99, sum by (le) (rate(http_request_duration_seconds_bucket{endpoint=~".+"}[1m])))"#
    );
    for (text, expected) in [
        ("$service", "(checkout|pay\\\\.ments)"),
        ("${service:pipe}", "checkout|pay.ments"),
        ("${service:csv}", "checkout,pay.ments"),
        ("${service:json}", r#"["checkout","pay.ments"]"#),
        (
            "${service:queryparam}",
            "var-service=checkout&var-service=pay.ments",
        ),
        ("[[window]] $window_x", "5m $window_x"),
        (
            "[$__range] [$__interval] ${__from}",
            "[3600s] [30s] 1767225600000",
        ),
        (
            "label_replace(up, \"a\", \"$1\", \"b\", \"(.*)\")",
            "label_replace(up, \"a\", \"$1\", \"b\", \"(.*)\")",
        ),
        ("$ $$ ${ [[ ${unknown} ü$", "$ $$ ${ [[ ${unknown} ü$"),
        ("$__rate_interval", "1m"),
    ] {
        assert_eq!(scope.fill(text), expected, "{text}");
    }
}

#[test]
fn old_forms_are_read() {
    let old = r#"{"title": "Old", "rows": [{"panels": [{"id": 1, "title": "CPU", "type": "graph", "datasource": "Prometheus",
        "targets": [{"expr": "up", "legendFormat": "{{job}}"}], "yaxes": [{"format": "s"}]}]}]}"#;
    let dashboard = Dashboard::parse("old.json", old).unwrap();
    assert_eq!(dashboard.panels[0].unit, "s");
    assert_eq!(
        dashboard.panels[0].queries[0]
            .datasource
            .as_ref()
            .unwrap()
            .uid,
        "Prometheus"
    );
    let wrapped = format!(r#"{{"meta": {{}}, "dashboard": {old}}}"#);
    assert_eq!(Dashboard::parse("api.json", &wrapped).unwrap(), dashboard);
}

#[test]
fn findings_name_the_place() {
    let text = CHECKOUT
        .replace("$window]", "$windw]")
        .replace("\"id\": 2,", "\"id\": 1,")
        .replace("{job=\\\"checkout\\\"}", "");
    let dashboard = Dashboard::parse("checkout.json", &text).unwrap();
    let findings: Vec<String> = dashboard
        .findings()
        .iter()
        .map(|finding| {
            format!(
                "{}: {} {}",
                finding.place,
                finding.message,
                finding.hint.as_deref().unwrap_or("")
            )
        })
        .collect();
    assert_eq!(
        findings,
        [
            "panel \"Latency\": has the id 1, as another panel has ",
            "panel \"Error ratio\", query A: uses $windw, which no variable of the dashboard defines did you mean $window?",
            "panel \"Logs\", query A: asks nothing: it has no expression ",
        ]
    );
    assert!(
        Dashboard::parse("checkout.json", CHECKOUT)
            .unwrap()
            .findings()
            .is_empty()
    );
}

#[test]
fn errors_have_a_place() {
    for (text, expected) in [
        ("{", "x.json:1:1: EOF while parsing an object"),
        (
            "{\n  \"title\": \"a\",\n  oops\n}",
            "x.json:3:3: key must be a string",
        ),
        ("[]", "x.json: the document: expected an object, got a list"),
        (
            "{}",
            "x.json: the document: expected a dashboard with a title and panels, got an object",
        ),
        (r#"{"title": 3}"#, "x.json: title: expected a text, got 3"),
        (
            r#"{"title": "a", "panels": {}}"#,
            "x.json: panels: expected a list, got an object",
        ),
        (
            r#"{"title": "a", "panels": [{}, 4]}"#,
            "x.json: panels[1]: expected an object, got 4",
        ),
        (
            r#"{"title": "a", "panels": [{"targets": [{"expr": []}]}]}"#,
            "x.json: panels[0].targets[0].expr: expected a text, got a list",
        ),
        (
            r#"{"title": "a", "panels": [{"type": "row", "panels": [{"fieldConfig": {"defaults": {"thresholds": {"steps": [{"value": "high"}]}}}}]}]}"#,
            "x.json: panels[0].panels[0].fieldConfig.defaults.thresholds.steps[0].value: expected a number, got the text \"high\"",
        ),
        (
            r#"{"title": "a", "templating": {"list": [{"name": "x", "type": "query", "query": 3}]}}"#,
            "x.json: templating.list[0].query: expected a text or an object, got 3",
        ),
    ] {
        assert_eq!(
            Dashboard::parse("x.json", text).unwrap_err().to_string(),
            expected,
            "{text}"
        );
    }
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(Dashboard::parse("x.json", &deep).is_err());
}

proptest! {
    #[test]
    fn no_text_panics(text in ".{0,200}") {
        let _ = Dashboard::parse("x.json", &text);
        let _ = scope().set("a", ["b"]).fill(&text);
    }

    #[test]
    fn no_query_panics(parts in prop::collection::vec(prop::sample::select(vec!["$", "{", "}", "[[", "]]", "a", ":", "regex", "__range", "ü", " "]), 0..20)) {
        let text = parts.concat();
        let _ = scope().set("a", ["b", "c"]).fill(&text);
    }
}

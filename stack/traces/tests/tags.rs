//! Names and values of attributes, and the queries of editors and old clients.

mod common;

use std::time::Duration;

use common::{at, shop, store};
use gameday_traces::{SearchRequest, TagScope, TagsRequest, TraceQuery};
use serde_json::json;

#[test]
fn names_by_scope() {
    let store = store(shop());
    let answer = serde_json::to_value(store.tag_names_v2(None, &TagsRequest::default())).unwrap();
    assert_eq!(
        answer["scopes"].as_array().unwrap()[..5],
        [
            json!({"name": "resource", "tags": ["service.name"]}),
            json!({"name": "span", "tags": ["amount", "cost", "db.system", "http.status_code", "retries", "rows", "tags"]}),
            json!({"name": "event", "tags": ["attempt", "exception.type"]}),
            json!({"name": "link", "tags": ["reason"]}),
            json!({"name": "intrinsic", "tags": answer["scopes"][4]["tags"]}),
        ]
    );
    assert!(
        answer["scopes"][4]["tags"]
            .as_array()
            .unwrap()
            .contains(&json!("rootServiceName"))
    );
    let of_span = store.tag_names_v2(
        Some(TagScope::Span),
        &TagsRequest {
            limit: 2,
            ..TagsRequest::default()
        },
    );
    assert_eq!(of_span.scopes[0].tags, ["amount", "cost"]);
    let users = TraceQuery::parse_lenient("{ resource.service.name = `users` }");
    let request = TagsRequest {
        query: Some(&users),
        ..TagsRequest::default()
    };
    assert_eq!(
        store.tag_names_v2(Some(TagScope::Span), &request).scopes[0].tags,
        ["rows"]
    );
    let early = TagsRequest {
        end: at(4_000),
        ..TagsRequest::default()
    };
    assert!(
        !store
            .tag_names(None, &early)
            .tag_names
            .contains(&"rows".to_owned())
    );
    assert!(
        store
            .tag_names(None, &TagsRequest::default())
            .tag_names
            .contains(&"rows".to_owned())
    );
    assert_eq!(TagScope::from_text("none"), Some(None));
    assert_eq!(TagScope::from_text("spans"), None);
}

#[test]
fn values_with_their_types() {
    let store = store(shop());
    let values = |tag: &str, query: &str| {
        let parsed = TraceQuery::parse_lenient(query);
        let request = TagsRequest {
            query: (!query.is_empty()).then_some(&parsed),
            ..TagsRequest::default()
        };
        let answer = store.tag_values_v2(tag, &request);
        let shown: Vec<String> = answer
            .tag_values
            .iter()
            .map(|value| format!("{} {}", value.kind, value.value))
            .collect();
        shown.join(", ")
    };
    for (tag, query, expected) in [
        (
            "resource.service.name",
            "",
            "string checkout, string frontend, string payments, string users",
        ),
        (
            ".service.name",
            "{ status = error }",
            "string checkout, string payments",
        ),
        (
            "service.name",
            "{ status = error && resource.cluster = }",
            "string checkout, string payments",
        ),
        ("span.amount", "", "int 30, int 70"),
        ("span.cost", "", "float 2.5"),
        ("span.tags", "", "string a, string b"),
        ("name", "{ kind = client }", "string db.query"),
        ("status", "", "keyword error, keyword ok, keyword unset"),
        ("event.attempt", "", "int 1, int 2"),
        ("event:name", "", "string exception, string retry"),
        ("rootServiceName", "", "string frontend"),
        (
            "statusMessage",
            "{ status = error }",
            "string card declined, string payment refused",
        ),
        ("span:duration", "", ""),
        ("span.nothing", "", ""),
        (
            "name",
            "not a query",
            "string GET /api/checkout, string GET /api/users, string charge, string db.query, string list, string pay",
        ),
    ] {
        assert_eq!(values(tag, query), expected, "{tag} {query}");
    }
    let first = store.tag_values(
        "service.name",
        &TagsRequest {
            limit: 2,
            ..TagsRequest::default()
        },
    );
    assert_eq!(first.tag_values, ["checkout", "frontend"]);
    let answer =
        serde_json::to_value(store.tag_values_v2("span.cost", &TagsRequest::default())).unwrap();
    assert_eq!(
        answer["tagValues"],
        json!([{"type": "float", "value": "2.5"}])
    );
}

#[test]
fn unfinished_queries_keep_what_is_finished() {
    for (source, expected) in [
        (
            "{ span.a = `x` && resource.b = }",
            "{ (span.a = `x`) && true }",
        ),
        ("{ resource.b = }", "{ true }"),
        (
            "{ .a = 1 && .b = 2 && }",
            "{ ((.a = 1) && (.b = 2)) && true }",
        ),
        (
            "{ (.a = && .b = 2) && .c = ",
            "{ (true && (.b = 2)) && true }",
        ),
        ("{ name = 3 && .b =~ `x.*`", "{ .b =~ `x.*` }"),
        ("{ name = 3 || .b =~ `x.*`", "{ true }"),
        ("{ .a = 1 + }", "{ true }"),
        ("", "{ true }"),
        (
            "{ .a = 1 && .b = } | rate() by (.c)",
            "{ (.a = 1) && true }",
        ),
        ("{ .a = 1 } >> { .b = }", "{ true }"),
        ("{ .a = 1 || .b = }", "{ (.a = 1) || true }"),
    ] {
        assert_eq!(
            TraceQuery::parse_lenient(source).to_string(),
            expected,
            "{source}"
        );
    }
}

#[test]
fn tags_of_old_clients_are_queries() {
    let store = store(shop());
    let found = |tags: &str, least: Option<u64>| {
        let query = TraceQuery::from_tags(tags, least.map(Duration::from_millis), None).unwrap();
        let answer = store.search(&query, &SearchRequest::default());
        answer
            .traces
            .iter()
            .map(|trace| trace.trace_id[31..].to_owned())
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(found("service.name=payments", None), "2 1");
    assert_eq!(found("service.name=payments amount=30", None), "1");
    assert_eq!(found("service.name=\"payments\" error=true", None), "2");
    assert_eq!(found("name=\"GET /api/users\"", None), "3");
    assert_eq!(found("", Some(500)), "1");
    // The duration is that of the trace, not of the span that has the tag.
    assert_eq!(found("service.name=payments", Some(500)), "1");
    assert_eq!(found("", None), "3 2 1");
    for (tags, message) in [
        (
            "service",
            "parse error at line 1, col 1: invalid tags: expected key=value",
        ),
        (
            "a=1 =2",
            "parse error at line 1, col 5: invalid tags: expected key=value",
        ),
        (
            "a=\"x",
            "parse error at line 1, col 3: invalid tags: unterminated quoted string",
        ),
    ] {
        assert_eq!(
            TraceQuery::from_tags(tags, None, None)
                .unwrap_err()
                .to_string(),
            message,
            "{tags}"
        );
    }
}

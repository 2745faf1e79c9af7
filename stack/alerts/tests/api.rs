//! The answers of `/api/v2`, as JSON, and what survives a restart.

use std::time::Duration;

use gameday_alerts::{
    Alertmanager, Config, Effect, Options, Outcome, PostableAlert, PostableSilence, Query,
};
use gameday_signal::Timestamp;
use serde_json::{Value, json};

const CONFIG: &str = "
global: {slack_api_url: 'https://hooks.slack.com/services/T0/B0/SECRET'}
route:
  receiver: web
  group_by: [alertname]
  group_wait: 0s
  routes: [{matchers: [team=x], receiver: chat, labels: {tier: gold, of: '{{ .CommonLabels.team }}', bad: '{{ .Nothing }}'}, mute_time_intervals: [always]}]
receivers:
- name: web
  labels: {owner: ops}
  webhook_configs: [{url: 'http://web/?token=SECRET'}]
- name: chat
  slack_configs: [{channel: '#x'}]
inhibit_rules: [{source_matchers: [alertname=Down], target_matchers: [alertname=Slow]}]
time_intervals: [{name: always, time_intervals: [{}]}]
";

fn start() -> Timestamp {
    Timestamp::from_secs(1_795_132_800)
}

/// An engine that was told of three alerts and a silence, 5 s after its start.
fn engine() -> Alertmanager {
    let config = Config::load("alertmanager.yml", CONFIG).expect("a good configuration");
    let mut engine = Alertmanager::new(
        config,
        Options {
            started_at: start(),
            ..Options::default()
        },
    );
    let now = start() + Duration::from_secs(5);
    let alerts: Vec<PostableAlert> = serde_json::from_value(json!([
        {"labels": {"alertname": "Down"}, "annotations": {"summary": "it is down", "empty": ""}, "generatorURL": "http://p/graph"},
        {"labels": {"alertname": "Slow"}, "startsAt": "2026-11-20T00:00:01.5+00:00", "endsAt": "0001-01-01T00:00:00Z"},
        {"labels": {"alertname": "Full", "team": "x"}, "endsAt": "2026-11-20T01:00:00Z", "startsAt": "2026-11-20T00:00:00Z"},
    ]))
    .expect("postable alerts");
    engine.receive(alerts, now).expect("good alerts");
    let silence: PostableSilence = serde_json::from_value(json!({
        "matchers": [{"name": "alertname", "value": "Fu.*", "isRegex": true}],
        "startsAt": "2026-11-20T00:00:00Z", "endsAt": "2026-11-20T02:00:00Z", "createdBy": "me", "comment": "maintenance"
    }))
    .expect("a postable silence");
    engine.set_silence(silence, now).expect("a good silence");
    engine
}

fn query(pairs: &[(&str, &str)]) -> Query {
    Query::new(pairs.iter().copied()).expect("a good query")
}

fn names(view: &impl serde::Serialize) -> Vec<String> {
    let json = serde_json::to_value(view).expect("a view is JSON");
    let alerts = json.as_array().cloned().unwrap_or_default();
    alerts
        .iter()
        .map(|alert| {
            alert["labels"]["alertname"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        })
        .collect()
}

#[test]
fn alerts_have_every_field_of_the_document() {
    let now = start() + Duration::from_secs(6);
    let engine = engine();
    let view =
        serde_json::to_value(engine.alerts_view(&query(&[("filter", "alertname=\"Slow\"")]), now));
    let id = engine.silences_view(&query(&[]), now)[0].id.clone();
    assert_eq!(
        view.expect("JSON"),
        json!([{
            "annotations": {},
            "endsAt": "2026-11-20T00:05:05.000Z",
            "fingerprint": "2a6d61766e100a13",
            "receivers": [{"name": "web"}],
            "startsAt": "2026-11-20T00:00:01.500Z",
            "status": {"state": "suppressed", "silencedBy": [], "inhibitedBy": ["6accfd3d0992a914"], "mutedBy": []},
            "updatedAt": "2026-11-20T00:00:05.000Z",
            "labels": {"alertname": "Slow"},
        }])
    );
    let view = serde_json::to_value(engine.alerts_view(&query(&[("receiver", "ch.*")]), now))
        .expect("JSON");
    assert_eq!(
        view[0]["status"],
        json!({"state": "suppressed", "silencedBy": [id], "inhibitedBy": [], "mutedBy": []})
    );
    assert_eq!(view[0]["receivers"], json!([{"name": "chat"}]));
}

#[test]
fn queries_choose() {
    let now = start() + Duration::from_secs(6);
    let engine = engine();
    for (pairs, expected) in [
        (&[][..], &["Full", "Slow", "Down"][..]),
        (&[("active", "false")], &["Full", "Slow"]),
        (&[("silenced", "false"), ("inhibited", "false")], &["Down"]),
        (&[("filter", "team!=\"\"")], &["Full"]),
        (&[("filter", "team=\"\"")], &["Slow", "Down"]),
        (
            &[("filter", "alertname=~\"D.*|F.*\""), ("filter", "team!=x")],
            &["Down"],
        ),
        (&[("receiver", "nobody")], &[]),
        (&[("receiver_matchers", "owner=ops")], &["Slow", "Down"]),
    ] {
        let mut found = names(&engine.alerts_view(&query(pairs), now));
        let mut expected: Vec<_> = expected.iter().map(ToString::to_string).collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{pairs:?}");
    }
    for (pair, expected) in [
        (("filter", "{a=b}"), "unexpected open or close brace: {a=b}"),
        (
            ("receiver", "("),
            "failed to parse receiver param: error: unclosed group",
        ),
        (
            ("active", "perhaps"),
            "active in query must be of type bool: \"perhaps\"",
        ),
    ] {
        assert_eq!(
            Query::new([pair]).expect_err("a bad query").to_string(),
            expected
        );
    }
    // An alert that has ended is not shown.
    assert_eq!(
        names(&engine.alerts_view(&query(&[]), now + Duration::from_secs(3000))),
        ["Full"]
    );
}

#[test]
fn groups_know_what_mutes_them() {
    let now = start() + Duration::from_secs(5);
    let mut engine = engine();
    // Full is silenced only after it was muted, so it has to be told without the silence first.
    let id = engine.silences_view(&query(&[]), now)[0].id.clone();
    engine.expire_silence(&id, now).expect("a known id");
    engine.tick(now);
    let view = serde_json::to_value(engine.groups_view(&query(&[]), now)).expect("JSON");
    let groups: Vec<_> = view
        .as_array()
        .expect("a list")
        .iter()
        .map(|group| {
            (
                group["labels"]["alertname"].clone(),
                group["receiver"]["name"].clone(),
            )
        })
        .collect();
    assert_eq!(
        groups,
        [
            (json!("Down"), json!("web")),
            (json!("Full"), json!("chat")),
            (json!("Slow"), json!("web"))
        ]
    );
    assert_eq!(view[1]["routeLabels"], json!({"tier": "gold", "of": "x"}));
    assert_eq!(
        view[1]["alerts"][0]["status"],
        json!({"state": "suppressed", "silencedBy": [], "inhibitedBy": [], "mutedBy": ["always"]})
    );
    let without = engine.groups_view(&query(&[("muted", "false")]), now);
    assert_eq!(without.len(), 2);
}

#[test]
fn silences_are_sorted_by_what_they_do() {
    let now = start() + Duration::from_secs(10);
    let mut engine = engine();
    let mut add = |starts: &str, ends: &str| {
        let silence = json!({
            "matchers": [{"name": "a", "value": "b", "isRegex": false, "isEqual": false}, {"name": "c", "value": "d", "isRegex": false}],
            "startsAt": starts, "endsAt": ends, "createdBy": "me", "comment": ""
        });
        let silence: PostableSilence = serde_json::from_value(silence).expect("a postable silence");
        engine.set_silence(silence, now).expect("a good silence")
    };
    let later = add("2026-11-20T05:00:00Z", "2026-11-20T06:00:00Z");
    let sooner = add("2026-11-20T04:00:00Z", "2026-11-20T09:00:00Z");
    let short = add("2026-11-20T00:00:00Z", "2026-11-20T01:00:00Z");
    let over = add("2026-11-20T00:00:00Z", "2026-11-20T03:00:00Z");
    engine.expire_silence(&over, now).expect("a known id");
    let view = engine.silences_view(&query(&[("filter", "a!=b")]), now);
    let ids: Vec<_> = view.iter().map(|silence| silence.id.as_str()).collect();
    assert_eq!(ids, [&short, &sooner, &later, &over]);
    let json = serde_json::to_value(&view[1]).expect("JSON");
    assert_eq!(
        json,
        json!({
            "id": sooner, "status": {"state": "pending"}, "updatedAt": "2026-11-20T00:00:10.000Z", "annotations": {},
            "comment": "", "createdBy": "me", "startsAt": "2026-11-20T04:00:00.000Z", "endsAt": "2026-11-20T09:00:00.000Z",
            "matchers": [
                {"name": "a", "value": "b", "isRegex": false, "isEqual": false},
                {"name": "c", "value": "d", "isRegex": false, "isEqual": true},
            ],
        })
    );
    assert_eq!(
        engine
            .silences_view(&query(&[("expired", "false"), ("pending", "false")]), now)
            .len(),
        2
    );
    assert_eq!(engine.silence_view("nobody", now), None);
}

#[test]
fn the_status_shows_no_secret() {
    let engine = engine();
    let status = serde_json::to_value(engine.status_view()).expect("JSON");
    let shown = status["config"]["original"].as_str().unwrap_or_default();
    assert!(!shown.contains("SECRET"), "{shown}");
    assert!(
        shown.contains("slack_api_url: <secret>") && shown.contains("group_wait: 0s"),
        "{shown}"
    );
    assert!(
        !format!("{engine:?}").contains("SECRET"),
        "the engine's Debug shows a secret"
    );
    assert_eq!(
        status["cluster"],
        json!({"status": "disabled", "peers": []})
    );
    assert_eq!(status["uptime"], json!("2026-11-20T00:00:00.000Z"));
    let receivers = serde_json::to_value(engine.receivers_view(&query(&[]))).expect("JSON");
    let expected: Value = json!([
        {"name": "web", "labels": {"name": "web", "owner": "ops"}},
        {"name": "chat", "labels": {"name": "chat"}},
    ]);
    assert_eq!(receivers, expected);
}

#[test]
fn silences_and_log_survive_a_restart() {
    let now = start() + Duration::from_secs(5);
    let mut before = engine();
    for effect in before.tick(now) {
        if let Effect::Notify(notification) = effect {
            before.report(notification.id, Outcome::Delivered, now);
        }
    }
    let bytes = before.snapshot();
    let config = Config::load("alertmanager.yml", CONFIG).expect("a good configuration");
    let mut after = Alertmanager::new(config, Options::default());
    assert_eq!(after.restore(&bytes, now), Ok(Vec::new()));
    assert_eq!(after.snapshot(), bytes);
    // The same alert again: its receiver knows already.
    let down = serde_json::from_value(json!([{"labels": {"alertname": "Down"}}]))
        .expect("a postable alert");
    after.receive(down, now).expect("a good alert");
    let sent = after.tick(now + Duration::from_secs(1));
    assert_eq!(sent, []);
    assert!(after.restore(b"{}", now).is_err());
}

//! Tests of routes: what passes, and what a failure says.

use gameday_alerts::{Config, RoutesTest};

const CONFIG: &str = "
route:
  receiver: default
  group_by: [alertname]
  group_wait: 30s
  group_interval: 5m
  routes:
  - matchers: [severity=critical]
    receiver: pager
    repeat_interval: 1h
  - matchers: [team=x]
    receiver: chat
    mute_time_intervals: [nights]
inhibit_rules:
- source_matchers: [severity=critical]
  target_matchers: [severity=warning]
  equal: [alertname]
time_intervals:
- name: nights
  time_intervals: [{times: [{start_time: '22:00', end_time: '24:00'}], location: Europe/Berlin}]
receivers:
- name: default
  webhook_configs: [{url: 'http://default/'}, {url: 'http://archive/'}]
- name: pager
  pagerduty_configs: [{routing_key: KEY}]
- name: chat
  slack_configs: [{api_url: 'http://slack/', channel: '#x', send_resolved: true}]
";

fn run(tests: &str) -> gameday_alerts::RoutesReport {
    let config = Config::load("alertmanager.yml", CONFIG).expect("a good configuration");
    let tests =
        RoutesTest::load("routes_test.yml", tests).unwrap_or_else(|error| panic!("{error}"));
    tests.run(&config)
}

#[test]
fn the_format_of_amtool() {
    let report = run("
tests:
- name: Unmatched alert routes to default
  alerts:
  - labels: {alertname: SomeAlert}
    expected_receivers: [default]
- name: critical suppresses warning
  alerts:
  - labels: {alertname: SomeAlert, severity: critical}
    expected_receivers: [pager]
    expected_inhibited: false
  - labels: {alertname: SomeAlert, severity: warning}
    expected_inhibited: true
");
    assert_eq!(
        report.to_text(),
        "PASS Unmatched alert routes to default\nPASS critical suppresses warning\n"
    );
    assert!(report.passed());
}

#[test]
fn messages_with_their_moments() {
    let report = run("
tests:
- name: paged once, told when it is over, reminded every hour
  alerts:
  - labels: {alertname: Slow, severity: critical, instance: '1'}
    ends: 2h
    expected_groups: [{alertname: Slow}]
  - labels: {alertname: Slow, severity: critical, instance: '2'}
    starts: 1m
    ends: 10m
  - labels: {alertname: Slow, severity: warning}
    starts: 2m
    ends: 3h
  silences:
  - {matchers: ['instance=\"2\"'], ends: 3m}
  expected_notifications:
  - {at: 30s, receiver: pager, firing: [{instance: '1'}]}
  - {at: 5m30s, receiver: pager, firing: [{instance: '2'}, {alertname: Slow}]}
  - {at: 10m30s, receiver: pager, firing: [{instance: '1'}], resolved: [{instance: '2'}]}
  - {at: 1h15m30s, receiver: pager, firing: [{instance: '1'}]}
  - {at: 2h30s, receiver: pager, resolved: [{instance: '1'}]}
  # The warning was inhibited until now; both webhooks of the receiver count as one message.
  - {at: 2h2m30s, receiver: default, firing: [{severity: warning}]}
  - {at: 3h2m30s, receiver: default, resolved: [{severity: warning}]}
");
    assert_eq!(
        report.to_text(),
        "PASS paged once, told when it is over, reminded every hour\n"
    );
}

#[test]
fn a_date_for_time_intervals() {
    let report = run("
tests:
- name: the chat is mute at night
  start: 2026-11-20T21:50:00+01:00
  alerts:
  - labels: {alertname: A, team: x}
    starts: 10m
    expected_receivers: [chat]
    expected_muted: true
    expected_silenced: false
  expected_notifications:
  # 22:10:30 is mute, midnight is 2h10m after the start; the flushes come every 5m from 10m30s on.
  - {at: 2h10m30s, receiver: chat, firing: [{alertname: A}]}
");
    assert_eq!(report.to_text(), "PASS the chat is mute at night\n");
}

#[test]
fn a_failure_says_what_was_seen_and_why() {
    let report = run("
tests:
- name: wrong in every way
  alerts:
  - labels: {alertname: A, team: x, severity: critical}
    expected_receivers: [chat]
    expected_inhibited: true
  expected_notifications:
  - {at: 1m, receiver: pager, firing: [{alertname: A}]}
  - {at: 30s, receiver: chat, firing: [{alertname: A}]}
  until: 2m
");
    assert!(!report.passed());
    assert_eq!(
        report.to_text(),
        r#"FAIL wrong in every way
    {alertname="A", severity="critical", team="x"}: expected receivers [chat], got [pager]
    {alertname="A", severity="critical", team="x"}: expected to be inhibited, but nothing does that
    expected at 1m to "pager", firing {alertname="A"}, but the nearest is at 30s to "pager", firing {alertname="A", severity="critical", team="x"}
    expected at 30s to "chat", firing {alertname="A"}, but nothing was sent to "chat" up to 2m
    not expected: at 30s to "pager", firing {alertname="A", severity="critical", team="x"}
    route of {alertname="A", severity="critical", team="x"}:
      {} yes, and a route below takes it
        {severity="critical"} yes -> receiver "pager"
    sent: at 30s to "pager", firing {alertname="A", severity="critical", team="x"}
"#
    );
    let xml = report.to_junit();
    assert!(xml.contains("tests=\"1\" failures=\"1\""), "{xml}");
    assert!(
        xml.contains("<failure message=\"{alertname=&quot;A&quot;"),
        "{xml}"
    );
}

#[test]
fn a_file_that_is_no_test_is_refused_with_its_place() {
    for (text, expected) in [
        (
            "tests: []",
            "routes_test.yml:1:1: no tests in the file, expected a list under \"tests\"",
        ),
        (
            "tests:\n- name: a\n  alerts:\n  - labels: {a: b}\n    expected_receiver: [x]\n",
            "routes_test.yml:5:5: unknown field `expected_receiver`, did you mean \"expected_receivers\"?",
        ),
        (
            "tests:\n- name: a\n  alerts:\n  - labels: {a: b}\n    starts: soon\n",
            "routes_test.yml:5:13: not a valid duration string: \"soon\"",
        ),
    ] {
        let error = RoutesTest::load("routes_test.yml", text).expect_err("no test file");
        assert!(error.to_string().starts_with(expected), "{error}");
    }
}

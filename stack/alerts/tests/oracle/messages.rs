//! What the default templates make of the same alerts.

use gameday_alerts::{
    Alertmanager, Config, Effect, Notification, Options, Outcome, PostableAlert, Step,
};
use gameday_signal::Timestamp;
use serde_json::{Value, json};

use crate::server::{Server, is_installed};
use crate::sink::Sink;

/// 0.25's default details are texts; since then they are JSON. Here both are told to write the same.
fn config(http: u16, smtp: u16) -> String {
    format!(
        r##"
global:
  smtp_smarthost: 127.0.0.1:{smtp}
  smtp_from: alertmanager@example.org
  smtp_require_tls: false
route:
  receiver: all|of.them
  group_by: [alertname, team]
  group_wait: 1s
  group_interval: 1s
receivers:
- name: all|of.them
  webhook_configs:
  - url: http://127.0.0.1:{http}/webhook
    max_alerts: 3
  slack_configs:
  - api_url: http://127.0.0.1:{http}/slack
    send_resolved: true
    channel: '#ops'
    fields: [{{title: Team, value: '{{{{ .GroupLabels.team }}}}'}}]
    actions: [{{type: button, text: Runbook, url: 'http://runbook/{{{{ .CommonLabels.alertname }}}}'}}]
  telegram_configs:
  - api_url: http://127.0.0.1:{http}
    bot_token: TOKEN
    chat_id: -42
    disable_notifications: true
  pagerduty_configs:
  - url: http://127.0.0.1:{http}/pagerduty
    routing_key: KEY
    details:
      firing: '{{{{ template "pagerduty.default.instances" .Alerts.Firing }}}}'
      resolved: '{{{{ template "pagerduty.default.instances" .Alerts.Resolved }}}}'
  opsgenie_configs:
  - api_url: http://127.0.0.1:{http}/opsgenie/
    api_key: KEY
    tags: a, b
    responders: [{{name: ops, type: team}}]
  discord_configs:
  - webhook_url: http://127.0.0.1:{http}/discord
  victorops_configs:
  - api_url: http://127.0.0.1:{http}/victorops/
    api_key: KEY
    routing_key: team
  webex_configs:
  - api_url: http://127.0.0.1:{http}/webex
    room_id: ROOM
    http_config: {{authorization: {{credentials: TOKEN}}}}
  email_configs:
  - to: Ops <ops@example.org>, me@example.org
    send_resolved: true
    text: '{{{{ template "__text_alert_list" .Alerts }}}}'
    headers: {{X-Team: 'grün {{{{ .GroupLabels.team }}}}'}}
"##
    )
}

fn alerts(resolved: bool) -> Value {
    let alert = |instance: &str, extra: Value| {
        let mut alert = json!({
            "labels": {"alertname": "Slow <checkout> & \"co\"", "team": "x", "instance": instance, "job": "shop", "severity": "critical"},
            "annotations": {"summary": "p95 > 500 ms für alle", "runbook_url": "http://runbooks/slow?a=1&b=2"},
            "startsAt": "2026-01-02T03:04:05.25Z",
            "generatorURL": "http://prometheus/graph?g0.expr=a+%3E+b&g0.tab=1",
        });
        if resolved {
            alert["endsAt"] = json!("2026-01-02T04:00:00Z");
        }
        if let (Some(alert), Value::Object(extra)) = (alert.as_object_mut(), extra) {
            alert.extend(extra);
        }
        alert
    };
    json!([
        alert("b:80", json!({})),
        alert(
            "a:80",
            json!({"annotations": {"summary": "other", "emoji": "🙂"}})
        ),
        alert("c:80", json!({"annotations": {}})),
        alert("d:80", json!({})),
    ])
}

/// What ours sends for the first or second post: path, `Authorization` and body of each request.
fn ours(config: &str, posts: &[Value]) -> Vec<Vec<(String, String, String)>> {
    let config = Config::load("alertmanager.yml", config).unwrap();
    let options = Options {
        external_url: "http://am.example.org".to_owned(),
        ..Options::default()
    };
    let mut engine = Alertmanager::new(config, options);
    let mut now = Timestamp::from_secs(1_800_000_000);
    let mut rounds = Vec::new();
    for post in posts {
        let alerts: Vec<PostableAlert> = serde_json::from_value(post.clone()).unwrap();
        engine.receive(alerts, now).unwrap();
        now = engine.next_deadline().unwrap().max(now);
        let mut sent = Vec::new();
        for effect in engine.tick(now) {
            let Effect::Notify(notification) = effect else {
                continue;
            };
            sent.push(render(&engine, &notification, now));
            engine.report(notification.id, Outcome::Delivered, now);
        }
        rounds.push(sent);
    }
    rounds
}

fn render(
    engine: &Alertmanager,
    notification: &Notification,
    now: Timestamp,
) -> (String, String, String) {
    let read_file = |_: &str| Err("no files here".to_owned());
    match engine.next_step(notification, &[], &read_file, now) {
        Step::Request(request) => {
            let path = request.url.splitn(4, '/').nth(3).unwrap_or_default();
            let authorization = request
                .headers
                .iter()
                .find(|(name, _)| name == "Authorization");
            (
                format!("/{path}"),
                authorization
                    .map(|(_, value)| value.clone())
                    .unwrap_or_default(),
                String::from_utf8(request.body).unwrap(),
            )
        }
        Step::Email(email) => {
            let envelope = format!("{} {:?}", email.from, email.to);
            (
                String::new(),
                envelope,
                String::from_utf8(email.data).unwrap(),
            )
        }
        Step::Finished(outcome) => panic!("{:?}: {outcome:?}", notification.integration),
    }
}

/// JSON without what 0.25 does not know yet, numbers of details as texts, as 0.25 writes them.
fn normalised(body: &str) -> Value {
    let mut json: Value =
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{body}: {error}"));
    if let Some(fields) = json.as_object_mut() {
        fields.remove("routeLabels");
        fields.remove("notification_reason");
    }
    if let Some(details) = json["payload"]["custom_details"].as_object_mut() {
        for value in details.values_mut() {
            *value = match value.take() {
                Value::Null => json!(""),
                Value::String(text) => Value::String(text),
                other => json!(other.to_string()),
            };
        }
    }
    json
}

/// The parts of a mail: headers that do not depend on the moment, and the decoded bodies.
fn mail(data: &str) -> Vec<String> {
    let (headers, body) = data.split_once("\r\n\r\n").unwrap();
    let boundary = headers
        .split("boundary=")
        .nth(1)
        .unwrap()
        .split("\r\n")
        .next()
        .unwrap();
    let mut parts: Vec<_> = headers
        .split("\r\n")
        .filter(|line| {
            !["Message-Id", "Date", "Content-Type"]
                .iter()
                .any(|name| line.starts_with(name))
        })
        .map(str::to_owned)
        .collect();
    parts.sort();
    for part in body.split(&format!("--{boundary}")) {
        let decoded = decode(part);
        parts.extend(decoded.split("\r\n").map(str::to_owned));
    }
    parts
}

fn decode(quoted: &str) -> String {
    let mut bytes = Vec::new();
    let joined = quoted.replace("=\r\n", "");
    let mut rest = joined.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (first, tail) {
            (b'=', [high, low, tail @ ..]) => {
                let digits = [*high, *low];
                let digits = std::str::from_utf8(&digits).unwrap();
                match u8::from_str_radix(digits, 16) {
                    Ok(byte) => {
                        bytes.push(byte);
                        rest = tail;
                    }
                    Err(_) => bytes.push(b'='),
                }
            }
            _ => bytes.push(*first),
        }
    }
    String::from_utf8(bytes).unwrap()
}

#[test]
fn the_default_messages_are_those_of_alertmanager() {
    if !is_installed() {
        return;
    }
    let (http, smtp) = (Sink::http(), Sink::smtp());
    let config = config(http.port, smtp.port);
    let posts = [alerts(false), alerts(true)];
    let server = Server::start(&config);
    server.request("POST", "/api/v2/alerts", &posts[0].to_string());
    let firing = http.wait_for(8);
    smtp.wait_for(1);
    server.request("POST", "/api/v2/alerts", &posts[1].to_string());
    let all = http.wait_for(16);
    let mails = smtp.wait_for(2);
    let rounds = ours(&config, &posts);
    let mut compared = 0;
    for (round, theirs) in [
        (&rounds[0], &all[..firing.len().min(8)]),
        (&rounds[1], &all[8..]),
    ] {
        for (path, authorization, body) in round.iter().filter(|(path, _, _)| !path.is_empty()) {
            let their = theirs
                .iter()
                .find(|their| their.path == *path)
                .unwrap_or_else(|| {
                    panic!(
                        "{path}: not among {:?}",
                        theirs.iter().map(|their| &their.path).collect::<Vec<_>>()
                    )
                });
            assert_eq!(normalised(body), normalised(&their.body), "{path}");
            let their_authorization = their
                .headers
                .iter()
                .find(|(name, _)| name == "Authorization");
            assert_eq!(
                *authorization,
                their_authorization
                    .map(|(_, value)| value.clone())
                    .unwrap_or_default()
            );
            compared += 1;
        }
    }
    for (round, their) in rounds.iter().zip(&mails) {
        let (_, envelope, data) = round.iter().find(|(path, _, _)| path.is_empty()).unwrap();
        // The address of the schema is https since 0.28.
        let data = data.replace("https://schema.org", "http://schema.org");
        let (lines, their_lines) = (mail(&data), mail(&their.body));
        for (ours, theirs) in lines.iter().zip(&their_lines) {
            assert_eq!(ours, theirs);
        }
        assert_eq!(lines.len(), their_lines.len());
        assert_eq!(
            envelope,
            "alertmanager@example.org [\"ops@example.org\", \"me@example.org\"]"
        );
        compared += 1;
    }
    println!("messages: {compared} equal those of Alertmanager");
    assert_eq!(compared, 18);
}

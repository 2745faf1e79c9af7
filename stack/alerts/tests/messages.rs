//! What each integration sends, as its vendor documents it, and what it makes of the answers.

use std::collections::BTreeMap;
use std::time::Duration;

use gameday_alerts::{
    Alertmanager, Answer, Config, Effect, Notification, Options, Outcome, OutgoingRequest,
    PostableAlert, Step, Templates,
};
use gameday_signal::{Labels, Timestamp};
use serde_json::{Value, json};

/// 2026-11-20T00:00:00Z.
const NOW: Timestamp = Timestamp::from_secs(1_795_132_800);

/// One integration, with files for its secrets.
struct Setup {
    engine: Alertmanager,
    notification: Notification,
}

const FILES: [(&str, &str); 3] = [
    ("/run/secret", "FROM-FILE\n"),
    ("/run/url", " http://from-file/hook \n"),
    ("/run/chat", "-7\n"),
];

impl Setup {
    /// One firing alert (or the message that it is resolved) to the integration of this YAML.
    fn new(kind: &str, block: &str, is_resolved: bool) -> Self {
        Self::with_global("{}", kind, block, is_resolved)
    }

    fn with_global(global: &str, kind: &str, block: &str, is_resolved: bool) -> Self {
        let yaml = format!(
            "global: {global}\nroute: {{receiver: r, group_by: [alertname], group_wait: 0s, labels: {{tier: '{{{{ .CommonLabels.team }}}}-tier'}}}}\nreceivers:\n- name: r\n  {kind}_configs:\n  - {block}\n"
        );
        let config = Config::load("alertmanager.yml", &yaml)
            .unwrap_or_else(|error| panic!("{error}\n{yaml}"));
        let options = Options {
            external_url: "http://am".to_owned(),
            ..Options::default()
        };
        let mut engine = Alertmanager::new(config, options);
        let mut alert = PostableAlert {
            labels: Labels::new([
                ("alertname", "Slow"),
                ("team", "shop"),
                ("severity", "critical"),
            ]),
            annotations: Labels::new([("summary", "too slow")]),
            starts_at: Some(NOW),
            ..PostableAlert::default()
        };
        let mut send = |alert: PostableAlert, now: Timestamp| {
            engine.receive(vec![alert], now).expect("a good alert");
            let now = engine.next_deadline().expect("a flush").max(now);
            let effects = engine.tick(now);
            let Some(Effect::Notify(notification)) = effects.into_iter().next() else {
                panic!("nothing was sent");
            };
            notification
        };
        let mut notification = send(alert.clone(), NOW);
        if is_resolved {
            alert.ends_at = Some(NOW + Duration::from_secs(60));
            let id = notification.id;
            engine.report(id, Outcome::Delivered, NOW);
            engine
                .receive(vec![alert], NOW + Duration::from_secs(60))
                .expect("a good alert");
            let at = NOW + Duration::from_secs(300);
            let effects = engine.tick(at);
            let found = effects.into_iter().find_map(|effect| match effect {
                Effect::Notify(notification) => Some(notification),
                _ => None,
            });
            notification = found.expect("the resolved message");
        }
        Self {
            engine,
            notification,
        }
    }

    fn step(&self, answers: &[Answer]) -> Step {
        let files: BTreeMap<_, _> = FILES.into_iter().collect();
        let read_file = |name: &str| {
            files
                .get(name)
                .map(|text| (*text).to_owned())
                .ok_or_else(|| "no such file".to_owned())
        };
        self.engine.next_step(
            &self.notification,
            answers,
            &read_file,
            self.notification.flushed_at,
        )
    }

    fn request(&self, answers: &[Answer]) -> OutgoingRequest {
        match self.step(answers) {
            Step::Request(request) => *request,
            other => panic!("{other:?}"),
        }
    }

    fn outcome(&self, answers: &[Answer]) -> Outcome {
        match self.step(answers) {
            Step::Finished(outcome) => outcome,
            other => panic!("{other:?}"),
        }
    }
}

fn answer(status: u16, body: &str) -> Answer {
    Answer {
        status,
        headers: vec![(
            "Content-Type".to_owned(),
            "application/json; charset=utf-8".to_owned(),
        )],
        body: body.as_bytes().to_vec(),
    }
}

fn body(request: &OutgoingRequest) -> Value {
    serde_json::from_slice(&request.body).expect("JSON")
}

fn header<'a>(request: &'a OutgoingRequest, name: &str) -> &'a str {
    let found = request.headers.iter().find(|(own, _)| own == name);
    found.map_or("", |(_, value)| value.as_str())
}

fn failed(error: &str) -> Outcome {
    Outcome::Failed {
        error: error.to_owned(),
    }
}

fn retry(after: Option<u64>, error: &str) -> Outcome {
    Outcome::Retry {
        after: after.map(Duration::from_secs),
        error: error.to_owned(),
    }
}

#[test]
fn webhook_has_every_field_of_version_4() {
    let setup = Setup::new(
        "webhook",
        "{url: 'http://hook/{{ .CommonLabels.team }}', timeout: 3s}",
        true,
    );
    let request = setup.request(&[]);
    assert_eq!(
        (request.method, request.url.as_str(), request.timeout),
        ("POST", "http://hook/shop", Duration::from_secs(3))
    );
    assert_eq!(header(&request, "Content-Type"), "application/json");
    assert_eq!(
        body(&request),
        json!({
            "version": "4", "groupKey": "{}:{alertname=\"Slow\"}", "truncatedAlerts": 0, "receiver": "r", "status": "resolved",
            "notification_reason": "all alerts resolved", "externalURL": "http://am",
            "groupLabels": {"alertname": "Slow"}, "routeLabels": {"tier": "shop-tier"},
            "commonLabels": {"alertname": "Slow", "severity": "critical", "team": "shop"}, "commonAnnotations": {"summary": "too slow"},
            "alerts": [{
                "status": "resolved", "labels": {"alertname": "Slow", "severity": "critical", "team": "shop"},
                "annotations": {"summary": "too slow"}, "startsAt": "2026-11-20T00:00:00Z", "endsAt": "2026-11-20T00:01:00Z",
                "generatorURL": "", "fingerprint": setup.fingerprint(),
            }],
        })
    );
    assert_eq!(setup.outcome(&[answer(200, "")]), Outcome::Delivered);
    assert_eq!(
        setup.outcome(&[answer(500, "oh")]),
        retry(None, "unexpected status code 500: oh")
    );
    assert_eq!(
        setup.outcome(&[answer(404, "oh")]),
        failed("unexpected status code 404: oh")
    );
}

impl Setup {
    fn fingerprint(&self) -> String {
        format!("{:016x}", self.notification.alerts[0].labels.fingerprint())
    }
}

#[test]
fn webhook_takes_a_payload_of_ones_own() {
    let payload = "{text: '{{ .CommonLabels.team }}', count: '{{ .Alerts | len }}', firing: '{{ .Alerts.Firing | toJson }}', list: [1, '{{ .Status }}']}";
    let setup = Setup::new(
        "webhook",
        &format!("{{url_file: /run/url, payload: {payload}}}"),
        false,
    );
    let request = setup.request(&[]);
    assert_eq!(request.url, "http://from-file/hook");
    let body = body(&request);
    assert_eq!(
        (&body["text"], &body["count"], &body["list"]),
        (&json!("shop"), &json!(1), &json!([1, "firing"]))
    );
    assert_eq!(body["firing"][0]["labels"]["team"], "shop");
}

#[test]
fn secrets_come_from_files_and_are_never_shown() {
    let block = "{url: 'http://hook/', http_config: {basic_auth: {username: me, password_file: /run/secret}, http_headers: {X-Key: {files: [/run/secret]}}, proxy_url: 'http://proxy:3128', tls_config: {insecure_skip_verify: true, min_version: TLS12}}}";
    let setup = Setup::new("webhook", block, false);
    let request = setup.request(&[]);
    // "me:FROM-FILE" in base64.
    assert_eq!(header(&request, "Authorization"), "Basic bWU6RlJPTS1GSUxF");
    assert_eq!(header(&request, "X-Key"), "FROM-FILE");
    assert_eq!(
        request.client.proxy.url.as_deref(),
        Some("http://proxy:3128")
    );
    assert_eq!(
        (
            request.client.tls.insecure_skip_verify,
            request.client.tls.min_version
        ),
        (true, Some("TLS12"))
    );
    assert!(
        !format!("{request:?}").contains("FROM-FILE") && !format!("{request:?}").contains("hook")
    );
    let missing = Setup::new("webhook", "{url_file: /run/nothing}", false);
    assert_eq!(
        missing.outcome(&[]),
        failed("could not read /run/nothing: no such file")
    );
}

#[test]
fn slack_by_webhook_and_by_token() {
    let setup = Setup::new(
        "slack",
        "{api_url: 'https://hooks.slack/T/B/X', channel: '#a', short_fields: true, fields: [{title: T, value: '{{ .Status }}'}]}",
        false,
    );
    let request = setup.request(&[]);
    assert_eq!(request.url, "https://hooks.slack/T/B/X");
    let sent = body(&request);
    assert_eq!(
        sent["attachments"][0]["title"],
        "[FIRING:1] Slow (critical shop)"
    );
    assert_eq!(sent["attachments"][0]["color"], "danger");
    assert_eq!(
        sent["attachments"][0]["fields"],
        json!([{"title": "T", "value": "firing", "short": true}])
    );
    assert_eq!(
        (&sent["channel"], &sent["username"]),
        (&json!("#a"), &json!("Alertmanager"))
    );
    let text = Answer {
        status: 200,
        headers: Vec::new(),
        body: b"ok".to_vec(),
    };
    assert_eq!(setup.outcome(&[text]), Outcome::Delivered);
    let text = Answer {
        status: 200,
        headers: Vec::new(),
        body: b"no_service".to_vec(),
    };
    assert_eq!(
        setup.outcome(&[text]),
        failed("channel \"#a\": received an error response from Slack: no_service")
    );
    assert_eq!(
        setup.outcome(&[answer(200, "{\"ok\":true}")]),
        Outcome::Delivered
    );
    assert_eq!(
        setup.outcome(&[answer(
            200,
            "{\"ok\":false,\"error\":\"channel_not_found\"}"
        )]),
        failed("channel \"#a\": error response from Slack: channel_not_found")
    );
    let limited = Answer {
        status: 429,
        headers: vec![("Retry-After".to_owned(), "30".to_owned())],
        body: Vec::new(),
    };
    assert_eq!(
        setup.outcome(&[limited]),
        retry(Some(30), "channel \"#a\": unexpected status code 429")
    );

    let setup = Setup::with_global(
        "{slack_app_token_file: /run/secret}",
        "slack",
        "{channel: '#a'}",
        false,
    );
    let request = setup.request(&[]);
    assert_eq!(request.url, "https://slack.com/api/chat.postMessage");
    assert_eq!(header(&request, "Authorization"), "Bearer FROM-FILE");
}

#[test]
fn slack_changes_its_message_instead_of_sending_another() {
    let block = "{api_url: 'https://slack.com/api/chat.postMessage', channel: '#a', update_message: true, send_resolved: true, http_config: {authorization: {credentials: T}}}";
    let mut setup = Setup::new("slack", block, false);
    assert_eq!(
        setup.request(&[]).url,
        "https://slack.com/api/chat.postMessage"
    );
    let told = answer(200, "{\"ok\":true,\"channel\":\"C1\",\"ts\":\"17.25\"}");
    let outcome = setup.outcome(&[told]);
    assert_eq!(
        outcome,
        Outcome::DeliveredAs {
            receipt: "C1 17.25".to_owned()
        }
    );
    setup.engine.report(setup.notification.id, outcome, NOW);
    // The receipt is part of what survives a restart.
    let bytes = setup.engine.snapshot();
    setup.engine.restore(&bytes, NOW).expect("a snapshot");
    let mut alert = PostableAlert {
        labels: setup.notification.alerts[0].labels.clone(),
        starts_at: Some(NOW),
        ends_at: Some(NOW + Duration::from_secs(60)),
        ..PostableAlert::default()
    };
    setup
        .engine
        .receive(vec![alert.clone()], NOW + Duration::from_secs(60))
        .expect("a good alert");
    let next = |setup: &mut Setup, now: Timestamp| {
        let effects = setup.engine.tick(now);
        let found = effects.into_iter().find_map(|effect| match effect {
            Effect::Notify(notification) => Some(notification),
            _ => None,
        });
        setup.notification = found.expect("a message");
    };
    next(&mut setup, NOW + Duration::from_secs(300));
    let request = setup.request(&[]);
    assert_eq!(request.url, "https://slack.com/api/chat.update");
    assert_eq!(
        (&body(&request)["channel"], &body(&request)["ts"]),
        (&json!("C1"), &json!("17.25"))
    );
    setup.engine.report(
        setup.notification.id,
        Outcome::Delivered,
        NOW + Duration::from_secs(300),
    );
    // Another incident is another message.
    alert.starts_at = Some(NOW + Duration::from_secs(400));
    alert.ends_at = None;
    setup
        .engine
        .receive(vec![alert], NOW + Duration::from_secs(400))
        .expect("a good alert");
    next(&mut setup, NOW + Duration::from_secs(400));
    assert_eq!(
        setup.request(&[]).url,
        "https://slack.com/api/chat.postMessage"
    );
}

#[test]
fn telegram_sends_texts_and_waits_as_it_is_told() {
    let setup = Setup::new(
        "telegram",
        "{bot_token_file: /run/secret, chat_id_file: /run/chat, message_thread_id: 5, parse_mode: '', message: '{{ .CommonLabels.team }} < x'}",
        false,
    );
    let request = setup.request(&[]);
    assert_eq!(
        request.url,
        "https://api.telegram.org/botFROM-FILE/sendMessage"
    );
    assert_eq!(
        body(&request),
        json!({"chat_id": "-7", "disable_web_page_preview": "true", "message_thread_id": "5", "text": "shop < x"})
    );
    assert_eq!(
        setup.outcome(&[answer(200, "{\"ok\":true,\"result\":{}}")]),
        Outcome::Delivered
    );
    let slow = "{\"ok\":false,\"error_code\":429,\"description\":\"Too Many Requests\",\"parameters\":{\"retry_after\":9}}";
    assert!(
        matches!(setup.outcome(&[answer(429, slow)]), Outcome::Retry { after: Some(after), .. } if after.as_secs() == 9)
    );
    let bad = "{\"ok\":false,\"error_code\":400,\"description\":\"Bad Request: chat not found\"}";
    assert_eq!(
        setup.outcome(&[answer(400, bad)]),
        failed("telegram: Bad Request: chat not found (400)")
    );
    // HTML is escaped, and not cut but replaced when it is too long.
    let setup = Setup::new(
        "telegram",
        "{bot_token: T, chat_id: 1, message: '<b>{{ .GroupLabels.alertname }} &lt; {{ \"<i>\" }}</b>'}",
        false,
    );
    assert_eq!(
        body(&setup.request(&[]))["text"],
        "<b>Slow &lt; &lt;i&gt;</b>"
    );
    let long = format!(
        "{{bot_token: T, chat_id: 1, message: '{}'}}",
        "x".repeat(5000)
    );
    let text = body(&Setup::new("telegram", &long, false).request(&[]))["text"].to_string();
    assert!(text.contains("could not be sent"), "{text}");
}

#[test]
fn pagerduty_in_both_versions() {
    let setup = Setup::new(
        "pagerduty",
        "{routing_key_file: /run/secret, severity: '{{ .CommonLabels.severity }}', links: [{href: 'http://x', text: X}, {href: '', text: Y}], details: {team: '{{ .CommonLabels.team }}'}}",
        false,
    );
    let request = setup.request(&[]);
    assert_eq!(request.url, "https://events.pagerduty.com/v2/enqueue");
    let sent = body(&request);
    assert_eq!(
        (&sent["routing_key"], &sent["event_action"]),
        (&json!("FROM-FILE"), &json!("trigger"))
    );
    assert_eq!(sent["links"], json!([{"href": "http://x", "text": "X"}]));
    let payload = &sent["payload"];
    assert_eq!(
        (&payload["severity"], &payload["source"]),
        (&json!("critical"), &json!("Alertmanager"))
    );
    let details = &payload["custom_details"];
    assert_eq!(
        (
            &details["team"],
            &details["num_firing"],
            &details["num_resolved"]
        ),
        (&json!("shop"), &json!(1), &json!(0))
    );
    assert_eq!(details["firing"][0]["annotations"]["summary"], "too slow");
    assert_eq!(
        setup.outcome(&[answer(429, "")]),
        retry(None, "unexpected status code 429")
    );
    let resolved = body(&Setup::new("pagerduty", "{routing_key: K}", true).request(&[]));
    assert_eq!(
        (&resolved["event_action"], &resolved["dedup_key"]),
        (&json!("resolve"), &sent["dedup_key"])
    );
    assert_eq!(sent["dedup_key"].as_str().map(str::len), Some(64));

    let setup = Setup::new("pagerduty", "{service_key: K}", true);
    let sent = body(&setup.request(&[]));
    assert_eq!(
        (&sent["service_key"], &sent["event_type"], &sent["client"]),
        (&json!("K"), &json!("resolve"), &Value::Null)
    );
    assert!(sent["incident_key"].is_string() && sent["description"].is_string());
    assert_eq!(
        setup.outcome(&[answer(403, "")]),
        retry(None, "unexpected status code 403")
    );
}

#[test]
fn an_event_that_is_too_large_loses_its_details() {
    let setup = Setup::new(
        "pagerduty",
        &format!(
            "{{routing_key: K, details: {{big: '{}'}}}}",
            "x".repeat(600_000)
        ),
        false,
    );
    let sent = body(&setup.request(&[]));
    let error = sent["payload"]["custom_details"]["error"]
        .as_str()
        .unwrap_or_default();
    assert!(
        error.starts_with("Custom details have been removed"),
        "{error}"
    );
}

#[test]
fn opsgenie_creates_updates_and_closes() {
    let setup = Setup::new(
        "opsgenie",
        "{api_key_file: /run/secret, update_alerts: true, tags: 'a,b,', responders: [{name: 'x,y', type: teams}], priority: P1}",
        false,
    );
    let create = setup.request(&[]);
    assert_eq!(
        (create.method, create.url.as_str()),
        ("POST", "https://api.opsgenie.com/v2/alerts")
    );
    assert_eq!(header(&create, "Authorization"), "GenieKey FROM-FILE");
    let sent = body(&create);
    let alias = sent["alias"].as_str().unwrap_or_default().to_owned();
    assert_eq!(
        sent["responders"],
        json!([{"name": "x", "type": "team"}, {"name": "y", "type": "team"}])
    );
    assert_eq!(
        (&sent["tags"], &sent["details"]["team"]),
        (&json!(["a", "b"]), &json!("shop"))
    );
    let ok = answer(202, "");
    let update = setup.request(std::slice::from_ref(&ok));
    assert_eq!(
        (update.method, update.url),
        (
            "PUT",
            format!("https://api.opsgenie.com/v2/alerts/{alias}/message?identifierType=alias")
        )
    );
    let update = setup.request(&[ok.clone(), ok.clone()]);
    assert_eq!(
        (update.method, update.url),
        (
            "PUT",
            format!("https://api.opsgenie.com/v2/alerts/{alias}/description?identifierType=alias")
        )
    );
    assert_eq!(
        setup.outcome(&[ok.clone(), ok.clone(), ok.clone()]),
        Outcome::Delivered
    );
    assert_eq!(
        setup.outcome(&[ok.clone(), answer(422, "bad")]),
        failed("unexpected status code 422: bad")
    );
    let close = Setup::new("opsgenie", "{api_key: K}", true);
    let request = close.request(&[]);
    assert_eq!(
        request.url,
        format!("https://api.opsgenie.com/v2/alerts/{alias}/close?identifierType=alias")
    );
    assert_eq!(close.outcome(&[ok]), Outcome::Delivered);
}

#[test]
fn teams_and_discord_cards() {
    let card = body(&Setup::new("msteams", "{webhook_url: 'http://teams/'}", false).request(&[]));
    assert_eq!(
        (&card["@context"], &card["type"], &card["themeColor"]),
        (
            &json!("http://schema.org/extensions"),
            &json!("MessageCard"),
            &json!("8C1A1A")
        )
    );
    let setup = Setup::new("msteamsv2", "{webhook_url_file: /run/url}", true);
    let request = setup.request(&[]);
    assert_eq!(request.url, "http://from-file/hook");
    let card = body(&request);
    let content = &card["attachments"][0]["content"];
    assert_eq!(
        (&content["type"], &content["body"][0]["color"]),
        (&json!("AdaptiveCard"), &json!("Good"))
    );
    assert_eq!(
        content["body"][0]["text"],
        "[RESOLVED] Slow (critical shop)"
    );
    let message = body(
        &Setup::new(
            "discord",
            "{webhook_url: 'http://discord/', username: U}",
            false,
        )
        .request(&[]),
    );
    assert_eq!(
        (
            &message["embeds"][0]["color"],
            &message["username"],
            &message["content"]
        ),
        (&json!(0x99_2D22), &json!("U"), &json!(""))
    );
}

#[test]
fn the_other_chats() {
    let setup = Setup::new(
        "rocketchat",
        "{token: T, token_id: U, channel: '#c'}",
        false,
    );
    let request = setup.request(&[]);
    assert_eq!(
        request.url,
        "https://open.rocket.chat/api/v1/chat.postMessage"
    );
    assert_eq!(
        (
            header(&request, "X-Auth-Token"),
            header(&request, "X-User-Id")
        ),
        ("T", "U")
    );
    assert_eq!(body(&request)["attachments"][0]["color"], "red");
    assert_eq!(
        setup.outcome(&[answer(200, "{\"success\":false,\"error\":\"no\"}")]),
        failed("error response from Rocketchat: no")
    );

    let block = "{webhook_url: 'http://mm/', channel: c, priority: {priority: Urgent, requested_ack: true}, props: {card: '{{ .Status }}'}}";
    let sent = body(&Setup::new("mattermost", block, false).request(&[]));
    assert_eq!(
        sent["priority"],
        json!({"priority": "urgent", "requested_ack": true, "persistent_notifications": false})
    );
    assert_eq!(
        (&sent["props"]["card"], &sent["attachments"][0]["color"]),
        (&json!("firing"), &json!("danger"))
    );

    let setup = Setup::new(
        "webex",
        "{room_id: R, http_config: {authorization: {credentials_file: /run/secret}}}",
        false,
    );
    let request = setup.request(&[]);
    assert_eq!(header(&request, "Authorization"), "Bearer FROM-FILE");
    assert_eq!(body(&request)["roomId"], "R");
}

#[test]
fn the_other_pagers() {
    let request = Setup::new("victorops", "{api_key: K, routing_key: '{{ .CommonLabels.team }}', message_type: NONSENSE, custom_fields: {x: '{{ .Status }}'}}", false).request(&[]);
    assert_eq!(
        request.url,
        "https://alert.victorops.com/integrations/generic/20131114/alert/K/shop"
    );
    let sent = body(&request);
    assert_eq!(
        (&sent["message_type"], &sent["x"]),
        (&json!("CRITICAL"), &json!("firing"))
    );

    let request = Setup::new(
        "pushover",
        "{user_key: U, token_file: /run/secret, ttl: 1m, html: true}",
        false,
    )
    .request(&[]);
    for part in [
        "https://api.pushover.net/1/messages.json?",
        "token=FROM-FILE",
        "user=U",
        "priority=2",
        "retry=60",
        "expire=3600",
        "ttl=60",
        "html=1",
        "title=%5BFIRING%3A1%5D+Slow",
    ] {
        assert!(request.url.contains(part), "{part}: {}", request.url);
    }

    let request = Setup::new(
        "incidentio",
        "{url: 'http://incident/', alert_source_token_file: /run/secret}",
        false,
    )
    .request(&[]);
    assert_eq!(header(&request, "Authorization"), "Bearer FROM-FILE");
    assert_eq!(
        (&body(&request)["version"], &body(&request)["status"]),
        (&json!("1"), &json!("firing"))
    );
}

#[test]
fn wechat_fetches_a_token_first() {
    let setup = Setup::new(
        "wechat",
        "{api_secret: S, corp_id: C, to_user: u, message_type: markdown, send_resolved: true}",
        false,
    );
    let request = setup.request(&[]);
    assert_eq!(
        (request.method, request.url.as_str()),
        (
            "GET",
            "https://qyapi.weixin.qq.com/cgi-bin/gettoken?corpid=C&corpsecret=S"
        )
    );
    let token = answer(200, "{\"access_token\":\"T\"}");
    let request = setup.request(std::slice::from_ref(&token));
    assert_eq!(
        request.url,
        "https://qyapi.weixin.qq.com/cgi-bin/message/send?access_token=T"
    );
    let sent = body(&request);
    assert_eq!(
        (&sent["touser"], &sent["msgtype"]),
        (&json!("u"), &json!("markdown"))
    );
    assert_eq!(
        setup.outcome(&[token.clone(), answer(200, "{\"errcode\":0}")]),
        Outcome::Delivered
    );
    assert_eq!(
        setup.outcome(&[
            token.clone(),
            answer(200, "{\"errcode\":42001,\"errmsg\":\"expired\"}")
        ]),
        retry(None, "expired")
    );
    assert_eq!(
        setup.outcome(&[answer(200, "{}")]),
        failed("invalid APISecret for CorpID: C")
    );
}

#[test]
fn sns_is_signed() {
    let block = "{topic_arn: 'arn:aws:sns:us-east-2:1:T.fifo', sigv4: {region: us-east-2, access_key: AKID, secret_key: SECRET}, attributes: {key: '{{ .Status }}'}}";
    let request = Setup::new("sns", block, false).request(&[]);
    assert_eq!(request.url, "https://sns.us-east-2.amazonaws.com/");
    let form = String::from_utf8(request.body.clone()).expect("text");
    for part in [
        "Action=Publish",
        "TopicArn=arn%3Aaws%3Asns%3Aus-east-2%3A1%3AT.fifo",
        "MessageGroupId=",
        "Subject=%5BFIRING%3A1%5D%20Slow",
        "MessageAttributes.entry.1.Value.StringValue=firing",
    ] {
        assert!(form.contains(part), "{part}: {form}");
    }
    let authorization = header(&request, "Authorization");
    assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKID/20261120/us-east-2/sns/aws4_request, SignedHeaders=content-type;host;x-amz-date, Signature="), "{authorization}");
    assert_eq!(header(&request, "X-Amz-Date"), "20261120T000000Z");
}

#[test]
fn jira_looks_for_the_issue_first() {
    let block = "{api_url: 'https://x.atlassian.net/rest/api/2', project: P, issue_type: Bug, labels: [b], resolve_transition: Done, reopen_transition: Open, reopen_duration: 1h, priority: '', fields: {customfield_1: {value: '{{ .Status }}'}}}";
    let setup = Setup::new("jira", block, false);
    let search = setup.request(&[]);
    assert_eq!(search.url, "https://x.atlassian.net/rest/api/3/search/jql");
    let jql = body(&search)["jql"].as_str().unwrap_or_default().to_owned();
    assert!(jql.starts_with("(resolutiondate is EMPTY OR resolutiondate >= -60m) and project=\"P\" and labels=\"ALERT{"), "{jql}");
    let none = answer(200, "{\"issues\":[]}");
    let create = setup.request(std::slice::from_ref(&none));
    assert_eq!(
        (create.method, create.url.as_str()),
        ("POST", "https://x.atlassian.net/rest/api/2/issue")
    );
    let fields = &body(&create)["fields"];
    assert_eq!(
        (
            &fields["project"]["key"],
            &fields["issuetype"]["name"],
            &fields["customfield_1"]["value"]
        ),
        (&json!("P"), &json!("Bug"), &json!("firing"))
    );
    assert_eq!(
        setup.outcome(&[none.clone(), answer(201, "{}")]),
        Outcome::Delivered
    );

    // Resolved: no issue, nothing to do; an open one is changed and then moved on.
    let setup = Setup::new("jira", block, true);
    assert_eq!(setup.outcome(&[none]), Outcome::Delivered);
    let open = answer(
        200,
        "{\"issues\":[{\"key\":\"P-1\",\"fields\":{\"status\":{\"statusCategory\":{\"key\":\"new\"}}}}]}",
    );
    let ok = answer(204, "");
    let update = setup.request(std::slice::from_ref(&open));
    assert_eq!(
        (update.method, update.url.as_str()),
        ("PUT", "https://x.atlassian.net/rest/api/2/issue/P-1")
    );
    let list = setup.request(&[open.clone(), ok.clone()]);
    assert_eq!(
        (list.method, list.url.as_str()),
        (
            "GET",
            "https://x.atlassian.net/rest/api/2/issue/P-1/transitions"
        )
    );
    let transitions = answer(200, "{\"transitions\":[{\"id\":\"31\",\"name\":\"Done\"}]}");
    let go = setup.request(&[open.clone(), ok.clone(), transitions.clone()]);
    assert_eq!(body(&go), json!({"transition": {"id": "31"}}));
    assert_eq!(
        setup.outcome(&[open, ok.clone(), transitions, ok]),
        Outcome::Delivered
    );
}

#[test]
fn mail_has_an_envelope_and_parts() {
    let global = "{smtp_smarthost: 'mail:465', smtp_from: 'Ops <ops@example.org>', smtp_auth_username: me, smtp_auth_password_file: /run/secret, smtp_hello: host}";
    let block = "{to: 'a@x.org, b@x.org', text: 'T {{ .Status }}', html: '<p>{{ .CommonLabels.team }} <</p>', headers: {subject: 'Sübject'}, threading: {enabled: true, thread_by_date: daily}}";
    let setup = Setup::with_global(global, "email", block, false);
    let Step::Email(mail) = setup.step(&[]) else {
        panic!("no mail")
    };
    assert_eq!(
        (
            mail.host.as_str(),
            mail.port.as_str(),
            mail.implicit_tls,
            mail.require_tls
        ),
        ("mail", "465", true, true)
    );
    assert_eq!(
        (mail.from.as_str(), mail.to.as_slice()),
        (
            "ops@example.org",
            &["a@x.org".to_owned(), "b@x.org".to_owned()][..]
        )
    );
    assert_eq!(
        mail.auth.as_ref().map(|auth| auth.password.as_str()),
        Some("FROM-FILE")
    );
    let text = String::from_utf8(mail.data.clone()).expect("text");
    for part in [
        "Subject: =?utf-8?q?S=C3=BCbject?=\r\n",
        "From: Ops <ops@example.org>\r\n",
        "Date: Fri, 20 Nov 2026 00:00:00 +0000\r\n",
        "In-Reply-To: <alert-",
        "-2026-11-20@alertmanager>",
        "\r\n\r\nT firing\r\n--",
        "<p>shop <</p>",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!format!("{mail:?}").contains("FROM-FILE"));
}

#[test]
fn templates_of_ones_own_and_templates_that_run_away() {
    let mut setup = Setup::new(
        "webhook",
        "{url: 'http://hook/{{ template \"mine\" . }}'}",
        false,
    );
    assert!(
        matches!(setup.outcome(&[]), Outcome::Failed { error } if error.contains("template \"mine\" not defined"))
    );
    let mine = Templates::new([(
        "/etc/mine.tmpl",
        "{{ define \"mine\" }}{{ .CommonLabels.team }}{{ end }}",
    )]);
    setup.engine.set_templates(mine.expect("a good template"));
    assert_eq!(setup.request(&[]).url, "http://hook/shop");
    let endless = Templates::new([(
        "e.tmpl",
        "{{ define \"mine\" }}{{ template \"mine\" . }}{{ end }}",
    )]);
    setup
        .engine
        .set_templates(endless.expect("a good template"));
    let outcome = setup.outcome(&[]);
    assert!(
        matches!(&outcome, Outcome::Failed { error } if error.starts_with("failed to template webhook URL: template: ")),
        "{outcome:?}"
    );
}

//! Every kind of receiver, over real sockets and TLS, against a server that keeps what it is sent; and receivers that misbehave, in
//! virtual time, where each message has its second.

mod world;

use std::time::Duration;

use gameday_env::Mode;
use gameday_server::NotifyMode;
use gameday_signal::EventKind;
use serde_json::{Value, json};

use world::{Request, VIRTUAL, World};

const CA_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../env/tests/data/ca.pem");

/// One receiver of each kind, each for the alerts that name it.
const EVERY_KIND: &str = r#"
global:
  http_config: {tls_config: {ca_file: CA_FILE}}
  smtp_smarthost: receiver:25
  smtp_from: alerts@x.org
  smtp_require_tls: false
route:
  receiver: none
  group_by: [to]
  group_wait: 0s
  routes:
ROUTES
receivers:
- name: none
- name: discord
  discord_configs: [{webhook_url: 'https://receiver/discord'}]
- name: email
  email_configs: [{to: 'ops@x.org', text: '{{ .Status }} {{ .CommonLabels.alertname }}'}]
- name: incidentio
  incidentio_configs: [{url: 'https://receiver/incidentio', alert_source_token: incident-token}]
- name: jira
  jira_configs: [{api_url: 'https://receiver/rest/api/2', project: P, issue_type: Bug}]
- name: mattermost
  mattermost_configs: [{webhook_url: 'https://receiver/mattermost', channel: c}]
- name: msteams
  msteams_configs: [{webhook_url: 'https://receiver/msteams'}]
- name: msteamsv2
  msteamsv2_configs: [{webhook_url: 'https://receiver/msteamsv2'}]
- name: opsgenie
  opsgenie_configs: [{api_url: 'https://receiver/opsgenie', api_key: opsgenie-key}]
- name: pagerduty
  pagerduty_configs: [{url: 'https://receiver/v2/enqueue', routing_key: pagerduty-key}]
- name: pushover
  pushover_configs:
  - {user_key: pushover-user, token: pushover-token, http_config: {tls_config: {ca_file: CA_FILE, server_name: receiver}}}
- name: rocketchat
  rocketchat_configs: [{api_url: 'https://receiver', token: rocket-token, token_id: rocket-user, channel: '#c'}]
- name: slack
  slack_configs: [{api_url: 'https://receiver/services/T000/B000/slack-secret', channel: '#alerts'}]
- name: sns
  sns_configs:
  - {api_url: 'https://receiver/sns', topic_arn: 'arn:aws:sns:eu-west-1:1:t', sigv4: {region: eu-west-1, access_key: AKID, secret_key: sns-secret}}
- name: telegram
  telegram_configs: [{api_url: 'https://receiver', bot_token: 'telegram-token', chat_id: -100}]
- name: victorops
  victorops_configs: [{api_url: 'https://receiver/victorops/', api_key: victorops-key, routing_key: team}]
- name: webex
  webex_configs: [{api_url: 'https://receiver/webex', room_id: R, http_config: {authorization: {credentials: webex-token}, tls_config: {ca_file: CA_FILE}}}]
- name: webhook
  webhook_configs: [{url: 'https://receiver/webhook', http_config: {basic_auth: {username: u, password: webhook-password}, tls_config: {ca_file: CA_FILE}}}]
- name: wechat
  wechat_configs: [{api_url: 'https://receiver/wechat/', corp_id: C, api_secret: wechat-secret, to_user: u}]
"#;

const KINDS: [&str; 18] = [
    "discord",
    "email",
    "incidentio",
    "jira",
    "mattermost",
    "msteams",
    "msteamsv2",
    "opsgenie",
    "pagerduty",
    "pushover",
    "rocketchat",
    "slack",
    "sns",
    "telegram",
    "victorops",
    "webex",
    "webhook",
    "wechat",
];

/// Every secret of [`EVERY_KIND`].
const SECRETS: [&str; 14] = [
    "incident-token",
    "opsgenie-key",
    "pagerduty-key",
    "pushover-user",
    "pushover-token",
    "rocket-token",
    "slack-secret",
    "sns-secret",
    "telegram-token",
    "victorops-key",
    "webex-token",
    "webhook-password",
    "wechat-secret",
    // u:webhook-password
    "dTp3ZWJob29rLXBhc3N3b3Jk",
];

fn every_kind() -> String {
    let routes = KINDS.map(|kind| format!("  - {{receiver: {kind}, matchers: [to={kind}]}}"));
    EVERY_KIND
        .replace("ROUTES", &routes.join("\n"))
        .replace("CA_FILE", CA_FILE)
}

/// What the vendor answers when it is content.
fn content(request: &Request) -> (u16, &'static str) {
    let body = match request.path.as_str() {
        path if path.starts_with("/wechat/gettoken") => r#"{"access_token":"T"}"#,
        path if path.starts_with("/wechat/") => r#"{"errcode":0}"#,
        path if path.contains("/search") => r#"{"issues":[]}"#,
        path if path.contains("postMessage") => r#"{"success":true}"#,
        path if path.starts_with("/bot") => r#"{"ok":true}"#,
        path if path.starts_with("/services/") => "ok",
        _ => "{}",
    };
    (200, body)
}

#[test]
fn every_kind_arrives_as_its_vendor_documents_it() {
    World::play(Mode::Real, &every_kind(), async |world| {
        world.serve_tls(content).await;
        world.serve_mail().await;
        for kind in KINDS {
            world.alert(&[
                ("alertname", "Slow"),
                ("to", kind),
                ("severity", "critical"),
            ]);
        }
        world.post().await;
        // Jira and WeChat take two requests; the e-mail is one more message.
        world
            .until(|world| {
                world.requests().len() == KINDS.len() - 1 + 2 && world.mails().len() == 1
            })
            .await;
        let requests = world.requests();
        for (path, header, expected) in expectations() {
            let found = requests.iter().find(|own| own.path.starts_with(path));
            let found = found.unwrap_or_else(|| panic!("no request to {path}"));
            let wanted = |name: &str| match name.split_once(": ") {
                Some((name, value)) => found.header(name).starts_with(value),
                None => true,
            };
            assert!(wanted(header), "{path}: {header}: {:?}", found.headers);
            for (pointer, value) in expected {
                assert_eq!(
                    found.json().pointer(pointer),
                    Some(&value),
                    "{path} {pointer}: {}",
                    found.body
                );
            }
        }
        let mail = &world.mails()[0];
        for part in [
            "MAIL FROM:<alerts@x.org>",
            "RCPT TO:<ops@x.org>",
            "Subject: [FIRING:1] email (Slow critical)",
            "firing Slow",
        ] {
            assert!(mail.contains(part), "{part}: {mail}");
        }
        let sns = requests
            .iter()
            .find(|own| own.path == "/sns/")
            .expect("sns");
        assert!(
            sns.body.contains("Action=Publish") && sns.body.contains("TopicArn=arn%3Aaws%3Asns"),
            "{}",
            sns.body
        );
        let pushover = requests
            .iter()
            .find(|own| own.path.starts_with("/1/messages.json"))
            .expect("pushover");
        assert!(
            pushover.path.contains("token=pushover-token&")
                && pushover.path.contains("user=pushover-user")
        );
        assert_eq!(pushover.header("host"), "api.pushover.net");
    });
}

/// Path, header, and what must stand where in the body.
type Expected = (&'static str, &'static str, Vec<(&'static str, Value)>);

fn expectations() -> Vec<Expected> {
    let title = "[FIRING:1] ";
    let titled = |kind: &str| json!(format!("{title}{kind} (Slow critical)"));
    vec![
        (
            "/discord",
            "content-type: application/json",
            vec![
                ("/embeds/0/title", titled("discord")),
                ("/embeds/0/color", json!(0x99_2d22)),
            ],
        ),
        (
            "/incidentio",
            "authorization: Bearer incident-token",
            vec![("/status", json!("firing")), ("/version", json!("1"))],
        ),
        ("/rest/api/2/search", "", vec![]),
        (
            "/rest/api/2/issue",
            "content-type: application/json",
            vec![
                ("/fields/project/key", json!("P")),
                ("/fields/issuetype/name", json!("Bug")),
            ],
        ),
        (
            "/mattermost",
            "",
            vec![
                ("/channel", json!("c")),
                ("/attachments/0/color", json!("danger")),
            ],
        ),
        (
            "/msteams",
            "",
            vec![
                ("/type", json!("MessageCard")),
                ("/@context", json!("http://schema.org/extensions")),
                ("/title", titled("msteams")),
            ],
        ),
        (
            "/msteamsv2",
            "",
            vec![
                ("/type", json!("message")),
                (
                    "/attachments/0/contentType",
                    json!("application/vnd.microsoft.card.adaptive"),
                ),
                ("/attachments/0/content/type", json!("AdaptiveCard")),
            ],
        ),
        (
            "/opsgenie/v2/alerts",
            "authorization: GenieKey opsgenie-key",
            vec![("/message", titled("opsgenie"))],
        ),
        (
            "/v2/enqueue",
            "content-type: application/json",
            vec![
                ("/routing_key", json!("pagerduty-key")),
                ("/event_action", json!("trigger")),
                ("/payload/summary", titled("pagerduty")),
                ("/payload/severity", json!("error")),
            ],
        ),
        (
            "/api/v1/chat.postMessage",
            "x-auth-token: rocket-token",
            vec![("/channel", json!("#c"))],
        ),
        (
            "/services/T000/B000/slack-secret",
            "content-type: application/json",
            vec![
                ("/channel", json!("#alerts")),
                ("/attachments/0/title", titled("slack")),
                ("/attachments/0/color", json!("danger")),
            ],
        ),
        (
            "/sns/",
            "authorization: AWS4-HMAC-SHA256 Credential=AKID/",
            vec![],
        ),
        (
            "/bottelegram-token/sendMessage",
            "",
            vec![("/chat_id", json!("-100")), ("/parse_mode", json!("HTML"))],
        ),
        (
            "/victorops/victorops-key/team",
            "",
            vec![
                ("/message_type", json!("CRITICAL")),
                ("/monitoring_tool", json!("Alertmanager")),
            ],
        ),
        (
            "/webex",
            "authorization: Bearer webex-token",
            vec![("/roomId", json!("R"))],
        ),
        (
            "/webhook",
            "authorization: Basic dTp3ZWJob29rLXBhc3N3b3Jk",
            vec![
                ("/version", json!("4")),
                ("/status", json!("firing")),
                ("/alerts/0/labels/alertname", json!("Slow")),
                ("/groupLabels", json!({"to": "webhook"})),
            ],
        ),
        (
            "/wechat/gettoken?corpid=C&corpsecret=wechat-secret",
            "",
            vec![],
        ),
        (
            "/wechat/message/send?access_token=T",
            "",
            vec![("/touser", json!("u")), ("/msgtype", json!("text"))],
        ),
    ]
}

#[test]
fn no_secret_is_shown_by_a_server_that_quotes_everything() {
    World::play(Mode::Real, &every_kind(), async |world| {
        world.quote_everything_back().await;
        world.serve_mail().await;
        for kind in KINDS {
            world.alert(&[("alertname", "Slow"), ("to", kind)]);
        }
        world.post().await;
        world
            .until(|world| {
                let failed =
                    |event: &EventKind| matches!(event, EventKind::NotificationFailed { .. });
                world.events().iter().filter(|event| failed(event)).count() >= KINDS.len() - 1
            })
            .await;
        let mut shown = format!("{:?}", world.events());
        for path in [
            "/receivers",
            "/receivers/messages",
            "/api/v2/status",
            "/metrics",
        ] {
            shown.push_str(&world.get(path).await);
        }
        for secret in SECRETS {
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
        assert!(shown.contains("&lt;secret&gt;"), "{shown}");
    });
}

const MISBEHAVING: &str = "
route:
  receiver: good
  group_by: [to]
  group_wait: 0s
  group_interval: 5m
  routes:
  - {receiver: hangs, matchers: [to=hangs]}
  - {receiver: resets, matchers: [to=resets]}
  - {receiver: html, matchers: [to=html]}
  - {receiver: busy, matchers: [to=busy]}
  - {receiver: nobody, matchers: [to=nobody]}
  - {receiver: mixed, matchers: [to=mixed]}
receivers:
- name: good
  webhook_configs: [{url: 'http://web/good'}]
- name: hangs
  webhook_configs: [{url: 'http://web/hangs', timeout: 7s}]
- name: resets
  webhook_configs: [{url: 'http://resets/'}]
- name: html
  slack_configs: [{api_url: 'http://web/html', channel: c}]
- name: busy
  webhook_configs: [{url: 'http://web/busy'}]
- name: nobody
  webhook_configs: [{url: 'http://nowhere/'}]
- name: mixed
  webhook_configs: [{url: 'http://web/hangs'}, {url: 'http://web/mixed'}]
";

#[test]
fn a_receiver_that_misbehaves_delays_nobody() {
    World::play(VIRTUAL, MISBEHAVING, async |world| {
        world.misbehave().await;
        for to in ["hangs", "resets", "html", "busy", "nobody", "mixed", "good"] {
            world.alert(&[("alertname", "A"), ("to", to)]);
        }
        world.post().await;
        world.sleep(Duration::from_secs(30)).await;
        let requests = world.requests();
        let at = |path: &str| -> Vec<f64> {
            let own = requests.iter().filter(|own| own.path == path);
            own.map(|own| own.at_secs).collect()
        };
        assert_eq!(at("/good"), [0.0]);
        assert_eq!(at("/mixed"), [0.0]);
        // Its own timeout is 7 s, then the pause of the first retry.
        assert_eq!(at("/hangs")[..3], [0.0, 0.0, 7.0 + first_pause()]);
        // 429 with Retry-After: 3, then 503, then 200.
        assert_eq!(at("/busy")[..2], [0.0, 3.0]);
        assert_eq!(at("/busy").len(), 3);
        // What Slack's address answers is a page with 404: no retry will help.
        assert_eq!(at("/html"), [0.0]);
        let failures: Vec<String> = world
            .events()
            .iter()
            .filter_map(|event| match event {
                EventKind::NotificationFailed {
                    receiver, error, ..
                } => Some(format!("{receiver}: {error}")),
                _ => None,
            })
            .collect();
        for expected in [
            "hangs: timed out after 7s; it is tried again",
            "html: channel \"c\": unexpected status code 404: <html>no</html>",
            "busy: unexpected status code 429: slow; it is tried again",
            "nobody: no such host: nowhere; it is tried again",
            "resets: ",
        ] {
            assert!(
                failures.iter().any(|own| own.starts_with(expected)),
                "{expected} in {failures:?}"
            );
        }
    });
}

/// The pause before the second attempt, as Alertmanager's first back-off.
fn first_pause() -> f64 {
    0.5
}

#[test]
fn nothing_leaves_where_all_is_kept() {
    World::keep(&every_kind(), async |world| {
        world.serve_tls(content).await;
        for kind in KINDS {
            world.alert(&[("alertname", "Slow"), ("to", kind)]);
        }
        world.post().await;
        world.sleep(Duration::from_secs(10)).await;
        assert!(world.requests().is_empty());
        let kept: Vec<Value> =
            serde_json::from_str(&world.get("/receivers/messages").await).expect("a list");
        let mut receivers: Vec<&str> = kept
            .iter()
            .map(|own| own["receiver"].as_str().expect("a name"))
            .collect();
        receivers.sort_unstable();
        assert_eq!(receivers, KINDS);
        for own in &kept {
            assert_eq!(own["delivery"], json!({"outcome": "kept"}), "{own}");
            assert_eq!(own["status"], "firing");
            assert!(own["seen"].is_object(), "{own}");
        }
        let page = world.get("/receivers?receiver=slack").await;
        assert_eq!(page.matches("<article").count(), 1);
        assert!(page.contains("[FIRING:1] slack (Slow"), "{page}");
    });
}

const PROMETHEUS: &str = "
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [rules.yml]
scrape_configs:
- job_name: trusted
  scheme: https
  authorization: {credentials: scrape-token}
  http_headers: {X-Own: {values: [a]}}
  tls_config: {ca_file: CA_FILE}
  fallback_scrape_protocol: PrometheusText0.0.4
  static_configs: [{targets: ['receiver:443']}]
- job_name: by-another-name
  scheme: https
  tls_config: {ca_file: CA_FILE, server_name: elsewhere}
  static_configs: [{targets: ['receiver:443']}]
- job_name: any
  scheme: https
  tls_config: {insecure_skip_verify: true, server_name: elsewhere}
  fallback_scrape_protocol: PrometheusText0.0.4
  static_configs: [{targets: ['receiver:443']}]
- job_name: no-tls
  scheme: https
  tls_config: {insecure_skip_verify: true}
  static_configs: [{targets: ['alertmanager:9093']}]
alerting:
  alertmanagers:
  - scheme: https
    basic_auth: {username: u, password: p}
    tls_config: {ca_file: CA_FILE}
    static_configs: [{targets: ['receiver:443']}]
remote_write:
- url: https://receiver/api/v1/write
  oauth2: {client_id: me, client_secret: s, token_url: 'https://receiver/token', tls_config: {ca_file: CA_FILE}}
  tls_config: {ca_file: CA_FILE}
  queue_config: {batch_send_deadline: 1s}
";

const RULES: &str = "groups: [{name: g, rules: [{alert: Always, expr: vector(1)}]}]";

#[test]
fn everything_that_leaves_can_speak_tls() {
    let prometheus = PROMETHEUS.replace("CA_FILE", CA_FILE);
    let files = [
        (
            "alertmanager.yml",
            "{route: {receiver: none}, receivers: [{name: none}]}",
        ),
        ("prometheus.yml", &prometheus),
        ("rules.yml", RULES),
    ];
    for mode in [VIRTUAL, Mode::Real] {
        World::play_files(mode, &files, NotifyMode::Direct, async |world| {
            world
                .serve_tls(|request: &Request| match request.path.as_str() {
                    "/metrics" => (200, "x 1\n"),
                    "/token" => (200, r#"{"access_token":"T","expires_in":3600}"#),
                    _ => (200, ""),
                })
                .await;
            let sent = |path: &'static str, name: &'static str, value: &'static str| {
                move |world: &World| {
                    let requests = world.requests();
                    let mut own = requests.iter().filter(|own| own.path == path);
                    own.any(|own| own.header(name) == value)
                }
            };
            world
                .until(sent("/metrics", "authorization", "Bearer scrape-token"))
                .await;
            world.until(sent("/metrics", "x-own", "a")).await;
            world
                .until(sent("/api/v2/alerts", "authorization", "Basic dTpw"))
                .await;
            world
                .until(sent("/api/v1/write", "authorization", "Bearer T"))
                .await;
            world.sleep(Duration::from_secs(2)).await;
            for (job, up) in [
                ("trusted", "1"),
                ("by-another-name", "0"),
                ("any", "1"),
                ("no-tls", "0"),
            ] {
                let value = world.query(&format!("up{{job='{job}'}}")).await;
                assert_eq!(value.as_deref(), Some(up), "{job}");
            }
            let targets = world.targets().await;
            for expected in [
                "tls: failed to verify the certificate of receiver: it is for",
                "tls: handshake with alertmanager failed: what came back is no TLS",
            ] {
                assert!(targets.contains(expected), "{expected} in {targets}");
            }
        });
    }
}

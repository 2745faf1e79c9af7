//! amtool against our views: what it adds it can read again.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use gameday_alerts::{Alertmanager, Config, Options, PostableAlert, PostableSilence, Query};
use gameday_signal::Timestamp;
use serde::Serialize;

const CONFIG: &str = "
global: {slack_api_url: 'https://hooks.slack.com/services/SECRET', smtp_smarthost: 'mail:25', smtp_from: a@b.org}
route:
  receiver: web
  group_by: [alertname]
  routes:
  - {matchers: [team=\"x\"], receiver: chat, continue: true}
  - {match_re: {severity: 'crit.*'}, receiver: mail, mute_time_intervals: [nights]}
inhibit_rules: [{source_matchers: [a=b], target_matchers: [c=d], equal: [e]}]
time_intervals:
- {name: nights, time_intervals: [{times: [{start_time: '22:00', end_time: '24:00'}], weekdays: ['monday:friday'], location: Europe/Berlin}]}
receivers:
- {name: web, webhook_configs: [{url: 'http://web/'}]}
- {name: chat, slack_configs: [{channel: '#x'}]}
- {name: mail, email_configs: [{to: c@d.org}]}
";

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::from_nanos(i64::try_from(since.as_nanos()).unwrap())
}

/// The API in little: the server room does it in earnest.
fn serve(engine: Arc<Mutex<Alertmanager>>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = answer(stream, &mut engine.lock().unwrap());
        }
    });
    port
}

fn answer(stream: TcpStream, engine: &mut Alertmanager) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.trim_end().split_once(": ") else {
            break;
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let mut words = line.split_whitespace();
    let (method, target) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    let (status, json) = route(method, target, &body, engine);
    write!(
        reader.get_mut(),
        "HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{json}",
        json.len()
    )
}

fn json(view: &impl Serialize) -> (u16, String) {
    (200, serde_json::to_string(view).unwrap())
}

fn route(method: &str, target: &str, body: &[u8], engine: &mut Alertmanager) -> (u16, String) {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let pairs: Vec<_> = pairs
        .map(|(name, value)| (name.to_owned(), decode(value)))
        .collect();
    let query = match Query::new(pairs) {
        Ok(query) => query,
        Err(error) => return (400, serde_json::to_string(&error.to_string()).unwrap()),
    };
    let now = now();
    match (method, path.trim_start_matches("/api/v2")) {
        ("GET", "/status") => json(&engine.status_view()),
        ("GET", "/receivers") => json(&engine.receivers_view(&query)),
        ("GET", "/alerts") => json(&engine.alerts_view(&query, now)),
        ("GET", "/alerts/groups") => json(&engine.groups_view(&query, now)),
        ("GET", "/silences") => json(&engine.silences_view(&query, now)),
        ("POST", "/alerts") => {
            let alerts: Vec<PostableAlert> = serde_json::from_slice(body).unwrap();
            engine.receive(alerts, now).unwrap();
            (200, String::new())
        }
        ("POST", "/silences") => {
            let silence: PostableSilence = serde_json::from_slice(body).unwrap();
            let id = engine.set_silence(silence, now).unwrap();
            json(&serde_json::json!({ "silenceID": id }))
        }
        (method, path) => match (method, path.strip_prefix("/silence/")) {
            ("GET", Some(id)) => engine
                .silence_view(id, now)
                .map_or((404, String::new()), |view| json(&view)),
            ("DELETE", Some(id)) => (
                engine.expire_silence(id, now).map_or(404, |()| 200),
                String::new(),
            ),
            _ => (404, String::new()),
        },
    }
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            other => other,
        });
    }
    String::from_utf8(bytes).unwrap()
}

fn amtool(port: u16, arguments: &[&str]) -> String {
    let output = Command::new("amtool")
        .arg(format!("--alertmanager.url=http://127.0.0.1:{port}"))
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn amtool_reads_what_it_wrote() {
    let version = Command::new("amtool")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if version.is_err() {
        println!("skipped: amtool is not installed");
        return;
    }
    let config = Config::load("alertmanager.yml", CONFIG).unwrap();
    let options = Options {
        started_at: now(),
        ..Options::default()
    };
    let engine = Arc::new(Mutex::new(Alertmanager::new(config, options)));
    let port = serve(Arc::clone(&engine));

    amtool(
        port,
        &[
            "alert",
            "add",
            "alertname=Slow",
            "team=x",
            "--annotation=summary=too slow",
        ],
    );
    amtool(
        port,
        &["alert", "add", "alertname=Down", "severity=critical"],
    );
    let listed = amtool(port, &["alert", "query", "team=x", "-o", "extended"]);
    assert!(
        listed.contains("alertname=\"Slow\" team=\"x\"") && listed.contains("too slow"),
        "{listed}"
    );
    assert!(!listed.contains("Down"), "{listed}");

    let id = amtool(
        port,
        &[
            "silence",
            "add",
            "team=x",
            "instance=~i.*|",
            "-c",
            "why",
            "-a",
            "me",
            "-d",
            "1h",
        ],
    );
    let id = id.trim();
    assert!(amtool(port, &["silence", "query", "-q"]).contains(id));
    assert!(amtool(port, &["silence", "query", "team=x"]).contains("why"));
    assert!(
        !amtool(port, &["alert", "query"]).contains("Slow"),
        "silenced alerts are not listed"
    );
    assert!(amtool(port, &["alert", "query", "--silenced"]).contains("Slow"));
    // A later end changes the silence in place.
    amtool(port, &["silence", "update", "-d", "2h", id]);
    amtool(port, &["silence", "expire", id]);
    assert!(!amtool(port, &["silence", "query", "-q"]).contains(id));
    assert!(amtool(port, &["silence", "query", "-q", "--expired"]).contains(id));

    let shown = amtool(port, &["config", "show"]);
    assert!(
        shown.contains("nights") && shown.contains("<secret>") && !shown.contains("SECRET"),
        "{shown}"
    );
    let receivers = amtool(
        port,
        &["config", "routes", "test", "team=x", "severity=critical"],
    );
    assert_eq!(receivers.trim(), "chat,mail");
    assert!(amtool(port, &["config", "routes", "show"]).contains("receiver: mail"));
    let file = std::env::temp_dir().join(format!("gameday-amtool-{}.yml", std::process::id()));
    std::fs::write(&file, engine.lock().unwrap().config().to_masked_yaml()).unwrap();
    let checked = amtool(port, &["check-config", file.to_str().unwrap()]);
    std::fs::remove_file(&file).unwrap();
    assert!(
        checked.contains("SUCCESS") && checked.contains("3 receivers"),
        "{checked}"
    );
}

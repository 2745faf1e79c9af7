//! A stack as clients of Loki see it: the query APIs, the tail, the ruler.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use gameday_env::{Address, Connection, Mode, Sim, SimConfig};
use gameday_server::{Stack, StackFiles, StackOptions};
use gameday_signal::Timestamp;
use http::Request;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const EPOCH_SECS: i64 = 1_700_000_000;
const LIMIT: Duration = Duration::from_secs(30);

struct World {
    sim: Sim,
    _stack: Stack,
}

impl World {
    fn new(files: &StackFiles) -> Self {
        let sim = Sim::new(&SimConfig {
            mode: Mode::Virtual {
                epoch: Timestamp::from_secs(EPOCH_SECS),
                speed: None,
            },
            seed: 1,
            watchdog: Duration::from_secs(60),
        })
        .expect("a runtime");
        let env = sim.env().clone();
        let stack = sim
            .block_on(Stack::start(&env, files, StackOptions::default()))
            .expect("the stack starts");
        Self { sim, _stack: stack }
    }

    fn sleep(&self, secs: u64) {
        let clock = self.sim.env().clock().clone();
        self.sim.block_on(clock.sleep(Duration::from_secs(secs)));
    }

    fn now_nanos(&self) -> i64 {
        self.sim.env().now().as_nanos()
    }

    fn send(&self, request: Request<Bytes>) -> (u16, String) {
        let client = self.sim.env().http_client();
        let answer = self
            .sim
            .block_on(client.send(request, LIMIT))
            .expect("an answer");
        let body = String::from_utf8_lossy(answer.body()).into_owned();
        (answer.status().as_u16(), body)
    }

    fn get(&self, server: &str, path: &str, params: &[(&str, &str)]) -> (u16, String) {
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(params)
            .finish();
        let url = format!("http://{server}{path}?{query}");
        self.send(Request::get(url).body(Bytes::new()).expect("a request"))
    }

    /// Asks Loki and reads the answer.
    fn loki(&self, path: &str, params: &[(&str, &str)]) -> Value {
        let (status, body) = self.get("loki:3100", path, params);
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"))
    }

    /// What a refused request is told.
    fn refused(&self, path: &str, params: &[(&str, &str)], status: u16) -> String {
        let (got, body) = self.get("loki:3100", path, params);
        assert_eq!(got, status, "{path}: {body}");
        body
    }

    fn push(&self, stream: &Value, lines: &[String]) -> (u16, String) {
        let now = self.now_nanos();
        let values: Vec<Value> = lines
            .iter()
            .enumerate()
            .map(|(index, line)| json!([(now + index as i64).to_string(), line]))
            .collect();
        let body = json!({"streams": [{"stream": stream, "values": values}]}).to_string();
        self.post(body)
    }

    fn post(&self, body: impl Into<Bytes>) -> (u16, String) {
        let request = Request::post("http://loki:3100/loki/api/v1/push")
            .header("content-type", "application/json")
            .body(body.into());
        self.send(request.expect("a request"))
    }
}

/// A folder of configuration for a test.
fn folder(name: &str, files: &[(&str, &str)]) -> PathBuf {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("loki")
        .join(name);
    let _ = std::fs::remove_dir_all(&root);
    for (path, text) in files {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text).expect("written");
    }
    root
}

fn shop() -> World {
    let world = World::new(&StackFiles::embedded());
    let lines: Vec<String> = (0..10)
        .map(|n| format!(r#"{{"level":"{}","route":"/r{}","status":{},"took":"{n}ms","msg":"request {n} served"}}"#,
            if n % 5 == 0 { "error" } else { "info" }, n % 2, 200 + n % 3 * 100))
        .collect();
    assert_eq!(
        world.push(&json!({"app": "shop", "pod": "1"}), &lines).0,
        204
    );
    let plain: Vec<String> = (0..4)
        .map(|n| format!("user {n} logged in from 10.0.0.{n}"))
        .collect();
    assert_eq!(
        world.push(&json!({"app": "login", "pod": "2"}), &plain).0,
        204
    );
    world.sleep(60);
    world
}

const SHOP: (&str, &str) = ("query", r#"{app="shop"}"#);

#[test]
fn queries_say_how_much_they_looked_at() {
    let world = shop();
    for (query, lines, kind) in [
        (r#"{app="shop"}"#, 10, "streams"),
        (r#"{app="shop"} | json | status=500"#, 10, "streams"),
        (
            r#"sum by (route) (count_over_time({app="shop"} | json [5m]))"#,
            10,
            "matrix",
        ),
        (r#"sum(count_over_time({app=~".+"}[5m])) / 2"#, 14, "matrix"),
        ("vector(1)", 0, "matrix"),
    ] {
        let params = [
            ("query", query),
            ("start", "1699999990"),
            ("end", "1700000060"),
            ("step", "100"),
        ];
        let answer = world.loki("/loki/api/v1/query_range", &params);
        let data = &answer["data"];
        assert_eq!(data["resultType"], kind, "{query}");
        if query.contains("count") && kind == "matrix" {
            continue;
        }
        let summary = &data["stats"]["summary"];
        assert_eq!(summary["totalLinesProcessed"], lines, "{query}");
    }
    let query = r#"sum by (route) (count_over_time({app="shop"} | json [5m]))"#;
    let answer = world.loki("/loki/api/v1/query", &[("query", query)]);
    let summary = &answer["data"]["stats"]["summary"];
    assert_eq!(summary["totalLinesProcessed"], 10);
    assert!(
        summary["totalBytesProcessed"].as_u64() > Some(700),
        "{summary}"
    );
    assert_eq!(answer["data"]["result"][0]["value"][1], "5");
}

#[test]
fn labels_and_series_are_listed() {
    let world = shop();
    let answer = world.loki("/loki/api/v1/labels", &[]);
    assert_eq!(answer["data"], json!(["app", "pod", "service_name"]));
    let answer = world.loki("/loki/api/v1/label/app/values", &[]);
    assert_eq!(answer["data"], json!(["login", "shop"]));
    let answer = world.loki("/loki/api/v1/series", &[("match[]", r#"{app="shop"}"#)]);
    assert_eq!(
        answer["data"],
        json!([{"app": "shop", "pod": "1", "service_name": "shop"}])
    );
    let answer = world.loki("/loki/api/v1/index/stats", &[SHOP]);
    assert_eq!(
        (&answer["streams"], &answer["entries"]),
        (&json!(1), &json!(10))
    );
    assert!(answer["bytes"].as_u64() > Some(700), "{answer}");
    let answer = world.loki("/loki/api/v1/detected_labels", &[]);
    let labels = answer["detectedLabels"].as_array().expect("a list");
    assert!(
        labels
            .iter()
            .any(|one| one["label"] == "app" && one["cardinality"] == 2),
        "{answer}"
    );
}

#[test]
fn fields_volumes_and_patterns_are_found() {
    let world = shop();
    let answer = world.loki("/loki/api/v1/detected_fields", &[SHOP]);
    let fields = answer["fields"].as_array().expect("a list");
    let field = |name: &str| {
        let found = fields.iter().find(|field| field["label"] == name);
        found.unwrap_or_else(|| panic!("{name} is not in {answer}"))
    };
    assert_eq!(
        (&field("status")["type"], &field("status")["cardinality"]),
        (&json!("int"), &json!(3))
    );
    assert_eq!(field("took")["type"], "duration");
    assert_eq!(field("route")["parsers"], json!(["json"]));
    let answer = world.loki("/loki/api/v1/detected_field/route/values", &[SHOP]);
    assert_eq!(answer["values"], json!(["/r0", "/r1"]));

    let all = ("query", r#"{app=~".+"}"#);
    let answer = world.loki("/loki/api/v1/index/volume", &[all, ("targetLabels", "app")]);
    let result = answer["data"]["result"].as_array().expect("a vector");
    assert_eq!(
        (result.len(), &result[0]["metric"]),
        (2, &json!({"app": "shop"}))
    );
    let answer = world.loki(
        "/loki/api/v1/index/volume",
        &[all, ("aggregateBy", "labels")],
    );
    assert!(
        answer.to_string().contains(r#""metric":{"pod":"""#),
        "{answer}"
    );
    let answer = world.loki("/loki/api/v1/index/volume_range", &[all, ("step", "60")]);
    assert_eq!(answer["data"]["resultType"], "matrix");

    let login = ("query", r#"{app="login"}"#);
    let answer = world.loki("/loki/api/v1/patterns", &[login]);
    assert_eq!(answer["data"][0]["pattern"], "user <_> logged in from <_>");
    let answer = world.loki(
        "/loki/api/v1/format_query",
        &[("query", r#"sum  (rate( {app="a"}[1m]) )"#)],
    );
    assert_eq!(answer["data"], r#"sum(rate({app="a"}[1m]))"#);
}

#[test]
fn what_is_refused_is_told_in_lokis_words() {
    let world = shop();
    let range = "/loki/api/v1/query_range";
    for (path, params, expected) in [
        (
            range,
            vec![("query", "{app=}")],
            "parse error at line 1, col 6: syntax error: unexpected }, expecting STRING",
        ),
        (
            range,
            vec![SHOP, ("limit", "5001")],
            "max entries limit per query exceeded, limit > max_entries_limit_per_query (5001 > 5000)",
        ),
        (
            range,
            vec![SHOP, ("limit", "0")],
            "limit must be a positive value",
        ),
        (
            range,
            vec![SHOP, ("direction", "sideways")],
            "invalid direction 'sideways'",
        ),
        (
            range,
            vec![SHOP, ("start", "1000000000")],
            "the query time range exceeds the limit",
        ),
        (
            "/loki/api/v1/query",
            vec![SHOP],
            "log queries are not supported as an instant query type",
        ),
        (
            "/loki/api/v1/tail",
            vec![("query", "rate({app=\"a\"}[1m])")],
            "only log selector is supported",
        ),
        (
            "/loki/api/v1/tail",
            vec![SHOP, ("delay_for", "6")],
            "delay_for can't be greater than 5",
        ),
        (
            "/loki/api/v1/tail",
            vec![SHOP],
            "'upgrade' token not found in 'Connection' header",
        ),
    ] {
        let told = world.refused(path, &params, 400);
        assert!(told.contains(expected), "{path}: {told}");
    }
}

#[test]
fn a_bad_line_does_not_keep_out_the_others() {
    let world = shop();
    let (status, told) = world.push(
        &json!({"app": "shop", "pod": "1"}),
        &["x".repeat(10 << 20), "kept".to_owned()],
    );
    assert_eq!(status, 400);
    assert!(
        told.contains("max entry size '262144' bytes exceeded"),
        "{told}"
    );
    assert!(told.len() < 1000, "{}", told.len());
    world.sleep(1);
    let answer = world.loki(
        "/loki/api/v1/query_range",
        &[("query", r#"{app="shop"} |= "kept""#)],
    );
    assert_eq!(answer["data"]["result"][0]["values"][0][1], "kept");
    let many: serde_json::Map<String, Value> =
        (0..10_000).map(|n| (format!("l{n}"), json!("v"))).collect();
    let (status, told) = world.push(&Value::Object(many.clone()), &["x".to_owned()]);
    assert_eq!(status, 400);
    assert!(
        told.contains("has 10000 label names; limit 15"),
        "{}",
        &told[..200]
    );
    let now = world.now_nanos().to_string();
    let body = json!({"streams": [{"stream": {"app": "a"}, "values": [[now, "x", many]]}]});
    let (status, told) = world.post(body.to_string());
    assert_eq!(status, 400);
    assert!(
        told.contains("too many structured metadata labels: '10000'"),
        "{told}"
    );
    for body in [
        b"\xff\xfe".to_vec(),
        br#"{"streams": [{"stream": {"app": "a"}, "values": [["1", "\xff"]]}]}"#.to_vec(),
        [b"[".repeat(100_000), b"]".repeat(100_000)].concat(),
        [br#"{"streams":"#.to_vec(), b"{\"a\":".repeat(100_000)].concat(),
    ] {
        let (status, told) = world.post(body);
        assert_eq!(status, 400, "{told}");
        assert!(told.len() < 500, "{}", told.len());
    }
}

/// A client of a tail.
struct TailClient {
    connection: Connection,
    received: Vec<u8>,
}

impl TailClient {
    async fn open(world: &World, query: &str) -> Self {
        let mut connection = world
            .sim
            .env()
            .dial(&Address::new("loki", 3100))
            .await
            .expect("a connection");
        let query: String = form_urlencoded::byte_serialize(query.as_bytes()).collect();
        // The key is that of RFC 6455, and so is the answer to it.
        let request = format!(
            "GET /loki/api/v1/tail?query={query} HTTP/1.1\r\nhost: loki\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        connection
            .write_all(request.as_bytes())
            .await
            .expect("sent");
        let mut client = Self {
            connection,
            received: Vec::new(),
        };
        let head = loop {
            let end = client
                .received
                .windows(4)
                .position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                let head: Vec<u8> = client.received.drain(..end + 4).collect();
                break String::from_utf8(head).expect("text");
            }
            client.more().await;
        };
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert!(
            head.to_lowercase()
                .contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="),
            "{head}"
        );
        client
    }

    async fn more(&mut self) {
        let read = self
            .connection
            .read_buf(&mut self.received)
            .await
            .expect("read");
        assert!(read > 0, "the server has closed");
    }

    /// The kind and the payload of the next frame.
    async fn frame(&mut self) -> (u8, Vec<u8>) {
        loop {
            if let [first, length, ..] = *self.received {
                let (header, length) = match length {
                    126 => (
                        4,
                        self.received
                            .get(2..4)
                            .map(|two| usize::from(two[0]) << 8 | usize::from(two[1])),
                    ),
                    _ => (2, Some(usize::from(length))),
                };
                if let Some(length) = length
                    && self.received.len() >= header + length
                {
                    let frame: Vec<u8> = self.received.drain(..header + length).collect();
                    return (first, frame[header..].to_vec());
                }
            }
            self.more().await;
        }
    }

    async fn message(&mut self) -> Value {
        let (kind, payload) = self.frame().await;
        assert_eq!(kind, 0x81);
        serde_json::from_slice(&payload).expect("JSON")
    }

    /// Sends a short frame, masked as clients must.
    async fn send(&mut self, kind: u8, payload: &[u8]) {
        let mask = [1, 2, 3, 4];
        let mut frame = vec![0x80 | kind, 0x80 | payload.len() as u8];
        frame.extend_from_slice(&mask);
        frame.extend(
            payload
                .iter()
                .zip(mask.iter().cycle())
                .map(|(byte, mask)| byte ^ mask),
        );
        self.connection.write_all(&frame).await.expect("sent");
    }
}

#[test]
fn a_tail_shows_the_past_and_what_comes() {
    let world = shop();
    let query = r#"{app="login"} |= "user""#;
    let mut client = world.sim.block_on(TailClient::open(&world, query));
    let past = world.sim.block_on(client.message());
    assert_eq!(
        past["streams"][0]["values"].as_array().map(Vec::len),
        Some(4)
    );
    assert_eq!(past["streams"][0]["stream"]["app"], "login");
    // Only what the query lets through comes, each line once.
    let lines = [
        "user 8 logged in".to_owned(),
        "nobody".to_owned(),
        "user 9 left".to_owned(),
    ];
    assert_eq!(
        world.push(&json!({"app": "login", "pod": "2"}), &lines).0,
        204
    );
    assert_eq!(
        world.push(&json!({"app": "shop", "pod": "1"}), &lines).0,
        204
    );
    let next = world.sim.block_on(client.message());
    let values = next["streams"][0]["values"].as_array().expect("values");
    let texts: Vec<&str> = values.iter().filter_map(|pair| pair[1].as_str()).collect();
    assert_eq!(texts, ["user 8 logged in", "user 9 left"]);
    assert_eq!(next["dropped_entries"], json!([]));
    // A ping is answered, and a goodbye, too.
    world.sim.block_on(async {
        client.send(0x9, b"hi").await;
        assert_eq!(client.frame().await, (0x8a, b"hi".to_vec()));
        client.send(0x8, &1000u16.to_be_bytes()).await;
        assert_eq!(client.frame().await, (0x88, 1000u16.to_be_bytes().to_vec()));
    });
}

const RULES: &str = r#"groups:
  - name: shop
    interval: 30s
    rules:
      - record: shop:errors:count1m
        expr: sum by (app) (count_over_time({app="shop"} | json | level="error" [1m]))
        labels: {source: logs}
      - alert: ShopErrors
        expr: sum by (app) (count_over_time({app="shop"} | json | level="error" [1m])) > 5
        for: 1m
        labels: {severity: warning, service: shop}
        annotations: {summary: '{{ $labels.app }} has {{ $value }} errors', runbook_url: runbooks/high-error-rate.md}
"#;

#[test]
fn the_ruler_evaluates_logql() {
    let root = folder("ruler", &[("loki/rules/fake/shop.yml", RULES)]);
    let world = World::new(&StackFiles::load(&root).expect("valid files"));
    let alerts = |server: &str, path: &str| {
        let (status, body) = world.get(server, path, &[]);
        assert_eq!(status, 200, "{body}");
        serde_json::from_str::<Value>(&body).expect("JSON")
    };
    let errors: Vec<String> = (0..10)
        .map(|n| format!(r#"{{"level":"error","n":{n}}}"#))
        .collect();
    for _ in 0..10 {
        assert_eq!(world.push(&json!({"app": "shop"}), &errors).0, 204);
        world.sleep(15);
    }
    let answer = alerts("loki:3100", "/prometheus/api/v1/alerts");
    let own = &answer["data"]["alerts"];
    assert_eq!(own.as_array().map(Vec::len), Some(1), "{answer}");
    assert_eq!(own[0]["state"], "firing");
    assert_eq!(
        own[0]["labels"],
        json!({"alertname": "ShopErrors", "app": "shop", "service": "shop", "severity": "warning"})
    );
    assert_eq!(own[0]["annotations"]["summary"], "shop has 40 errors");
    // Prometheus has none of it, but the recorded series, and Alertmanager has the alert.
    let answer = alerts("prometheus:9090", "/api/v1/alerts");
    assert!(!answer.to_string().contains("ShopErrors"), "{answer}");
    let (_, body) = world.get(
        "prometheus:9090",
        "/api/v1/query",
        &[("query", "shop:errors:count1m")],
    );
    assert!(
        body.contains(r#""source":"logs""#) && body.contains("\"40\""),
        "{body}"
    );
    let (_, body) = world.get("alertmanager:9093", "/api/v2/alerts", &[]);
    assert!(body.contains("ShopErrors"), "{body}");

    let answer = alerts("loki:3100", "/prometheus/api/v1/rules");
    let rules = &answer["data"]["groups"][0]["rules"];
    assert_eq!(
        (&rules[0]["type"], &rules[1]["type"]),
        (&json!("recording"), &json!("alerting"))
    );
    assert_eq!(rules[1]["state"], "firing");
    assert_eq!(
        rules[0]["query"],
        r#"sum by (app)(count_over_time({app="shop"} | json | level="error"[1m]))"#
    );
    let (status, body) = world.get("loki:3100", "/loki/api/v1/rules", &[]);
    assert_eq!(status, 200);
    for part in [
        "shop.yml:",
        "name: shop",
        "interval: 30s",
        "alert: ShopErrors",
        "for: 1m",
    ] {
        assert!(body.contains(part), "{part} is not in\n{body}");
    }
    assert!(
        world
            .get("loki:3100", "/loki/api/v1/rules/shop.yml", &[])
            .1
            .contains("record: shop:errors:count1m")
    );
    assert!(
        world
            .get("loki:3100", "/loki/api/v1/rules/shop.yml/shop", &[])
            .1
            .starts_with("name: shop")
    );
    assert_eq!(
        world.refused("/loki/api/v1/rules/shop.yml/none", &[], 404),
        "group does not exist\n"
    );
    assert_eq!(
        world.refused("/loki/api/v1/rules/none", &[], 404),
        "no rule groups found\n"
    );
    let post = Request::post("http://loki:3100/loki/api/v1/rules/x").body(Bytes::from("name: x"));
    let (status, told) = world.send(post.expect("a request"));
    assert!(
        status == 500 && told.contains("read-only"),
        "{status} {told}"
    );

    // Without errors it resolves, and a reload keeps the rest as it is.
    world.sleep(120);
    let answer = alerts("loki:3100", "/prometheus/api/v1/alerts");
    assert_eq!(answer["data"]["alerts"], json!([]));
    std::fs::write(
        root.join("loki/rules/fake/shop.yml"),
        RULES.replace("> 5", "> 500"),
    )
    .expect("written");
    let reload = Request::post("http://prometheus:9090/-/reload").body(Bytes::new());
    assert_eq!(world.send(reload.expect("a request")).0, 200);
    assert!(
        world
            .get("loki:3100", "/loki/api/v1/rules", &[])
            .1
            .contains("> 500")
    );
}

#[test]
fn rules_with_mistakes_have_their_place() {
    for (rules, expected) in [
        (
            RULES.replace(
                "sum by (app) (count_over_time({app=\"shop\"} | json | level=\"error\" [1m])) > 5",
                "'{app=\"shop\"} |= \"error\"'",
            ),
            "the expression of a rule must give numbers, this one gives log lines",
        ),
        (
            RULES.replace(
                "count_over_time({app=\"shop\"} | json | level=\"error\" [1m])) > 5",
                "count_over_tim({app=\"shop\"}[1m])) > 5",
            ),
            "did you mean \"count_over_time\"?",
        ),
        (RULES.replace("for: 1m", "fro: 1m"), "did you mean \"for\"?"),
        (
            RULES.replace("labels: {source: logs}", "labels: {a.b: logs}"),
            "shop.yml:7:",
        ),
    ] {
        let root = folder("mistakes", &[("loki/rules/shop.yml", &rules)]);
        let files = StackFiles::load(&root).expect("readable files");
        let error = files.rule_files().expect_err("a mistake");
        assert!(error.contains(expected), "{expected:?} is not in\n{error}");
    }
    let root = folder(
        "nowhere",
        &[(
            "loki.yaml",
            "ruler: {storage: {type: local, local: {directory: /no/such/rules}}}\n",
        )],
    );
    let error = StackFiles::load(&root).expect_err("no such folder");
    assert!(
        error.contains("loki.yaml: ruler.storage.local.directory: /no/such/rules: no such folder"),
        "{error}"
    );
}

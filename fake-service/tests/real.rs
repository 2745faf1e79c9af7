//! Real time: processes, TCP, `/proc`, and Debian's node exporter as the oracle where it is installed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use fake_service::{Role, ServiceConfig, start};
use gameday_env::{Address, Child, Env, Mode, Sim, SimConfig};
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};

fn play<F: Future<Output = ()>>(scene: impl FnOnce(Env) -> F) {
    let sim = Sim::new(&SimConfig {
        mode: Mode::Real,
        seed: 42,
        watchdog: Duration::from_secs(30),
    })
    .expect("a runtime");
    let env = sim.env().clone();
    sim.block_on(scene(env));
}

async fn send(env: &Env, method: Method, url: &str, body: &str) -> Option<(StatusCode, String)> {
    let request = Request::builder()
        .method(method)
        .uri(url)
        .body(Bytes::from(body.to_owned()))
        .expect("a valid request");
    let limit = Duration::from_secs(5);
    let answer = env.http_client().send(request, limit).await.ok()?;
    Some((
        answer.status(),
        String::from_utf8_lossy(answer.body()).into_owned(),
    ))
}

async fn get(env: &Env, url: &str) -> String {
    send(env, Method::GET, url, "").await.expect("an answer").1
}

/// Family -> (type, label sets) of an exposition.
type Shape = BTreeMap<String, (String, BTreeSet<String>)>;

fn shape(text: &str) -> Shape {
    let mut shape = Shape::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a type");
            shape.entry(name.to_owned()).or_default().0 = kind.to_owned();
        } else if !line.starts_with('#') {
            let (series, _) = line.rsplit_once(' ').expect("a sample");
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            // The data volume of the service is not the machine's.
            if !labels.contains("fstype=\"quota\"") {
                shape
                    .entry(name.to_owned())
                    .or_default()
                    .1
                    .insert(labels.to_owned());
            }
        }
    }
    shape
}

#[test]
fn the_node_exporter_has_the_families_of_debians() {
    let program = Path::new("/usr/bin/prometheus-node-exporter");
    if !program.exists() {
        println!("skipped: prometheus-node-exporter is not installed");
        return;
    }
    play(|env| async move {
        let config = ServiceConfig::of(Role::Payments);
        let host = env.on("payments");
        let service = start(&host, config).await.expect("it starts");
        let address = Address::new("payments", 9100);
        let socket = service
            .export_node(&address)
            .await
            .expect("free")
            .expect("TCP");
        let mut arguments = vec![
            "--web.listen-address=127.0.0.1:29117".to_owned(),
            "--collector.disable-defaults".to_owned(),
        ];
        for collector in [
            "cpu",
            "stat",
            "meminfo",
            "diskstats",
            "filesystem",
            "netdev",
            "loadavg",
            "pressure",
            "vmstat",
            "uname",
            "time",
            "os",
        ] {
            arguments.push(format!("--collector.{collector}"));
        }
        let mut oracle = Child::start(program, &arguments).expect("it starts");
        let mut theirs = None;
        for _ in 0..50 {
            env.clock().sleep(Duration::from_millis(100)).await;
            theirs = send(&env, Method::GET, "http://127.0.0.1:29117/metrics", "").await;
            if theirs.is_some() {
                break;
            }
        }
        oracle.kill().await;
        let theirs = shape(&theirs.expect("the oracle answers").1);
        let ours = shape(&get(&env, &format!("http://{socket}/metrics")).await);
        let of_collectors =
            |name: &str| name.starts_with("node_") && name != "node_exporter_build_info";
        for (name, family) in theirs.iter().filter(|(name, _)| of_collectors(name)) {
            assert_eq!(ours.get(name), Some(family), "{name}");
        }
        for name in ours.keys() {
            assert!(theirs.contains_key(name), "{name} is not one of theirs");
        }
    });
}

#[test]
fn a_process_of_its_own_serves_breaks_and_ends_with_its_parent() {
    play(|env| async move {
        let program = Path::new(env!("CARGO_BIN_EXE_fake-service"));
        let arguments = [
            "--role",
            "checkout",
            "--with-parent",
            "--otlp-endpoint",
            "none",
            "--node-exporter",
        ];
        let mut child = Child::start(program, &arguments.map(String::from)).expect("it starts");
        let line = child.next_line().await.expect("a line");
        let words: Vec<&str> = line.split(' ').collect();
        let [_, service, _, control, _, node] = words[..] else {
            panic!("unexpected line {line:?}");
        };
        assert!(
            get(&env, &format!("http://{node}/metrics"))
                .await
                .contains("node_load1")
        );
        assert!(
            get(&env, &format!("http://{service}/health"))
                .await
                .contains("checkout")
        );
        let fault = json!({"type": "memory_pressure", "size": "64MB", "lease": "30s"});
        let resident = || async {
            let metrics = get(&env, &format!("http://{service}/metrics")).await;
            let line = metrics
                .lines()
                .find(|it| it.starts_with("process_resident_memory_bytes{"));
            let value = line.and_then(|it| it.rsplit(' ').next()).expect("a value");
            value.parse::<u64>().expect("a number") >> 20
        };
        let before = resident().await;
        let url = format!("http://{control}/-/faults/memory");
        let put = send(&env, Method::PUT, &url, &fault.to_string()).await;
        assert_eq!(put.expect("an answer").0, StatusCode::OK);
        let mut taken = 0;
        for _ in 0..50 {
            env.clock().sleep(Duration::from_millis(100)).await;
            taken = resident().await;
            if taken >= before + 60 {
                break;
            }
        }
        assert!(taken >= before + 60, "{before} MiB, then {taken} MiB");
        let removed = send(&env, Method::DELETE, &url, "")
            .await
            .expect("an answer")
            .1;
        let removed: Value = serde_json::from_str(&removed).expect("JSON");
        assert!(removed["touched"].as_u64() >= Some(1), "{removed}");
        child.kill().await;
        assert!(child.ended());
    });
}

#[test]
fn a_process_ends_when_its_parent_is_gone() {
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_fake-service"))
        .args([
            "--role",
            "payments",
            "--with-parent",
            "--otlp-endpoint",
            "none",
        ])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("it starts");
    // A parent that is killed closes its end without a word.
    drop(child.stdin.take());
    assert!(child.wait().expect("it ends").success());
}

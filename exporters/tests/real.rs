//! Real time: Debian's blackbox exporter as the oracle, where it is installed.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use gameday_env::{Address, Child, Env, Mode, ServeOptions, Sim, SimConfig, serve};
use gameday_exporters::blackbox::{self, Config};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;

const CONFIG: &str = "
modules:
  http_2xx: {prober: http, timeout: 5s, http: {preferred_ip_protocol: ip4}}
  tcp_connect: {prober: tcp, timeout: 5s, tcp: {preferred_ip_protocol: ip4}}
  greeting:
    prober: tcp
    timeout: 5s
    tcp: {preferred_ip_protocol: ip4, query_response: [{send: \"GET / HTTP/1.0\\n\"}, {expect: \"200 OK\"}]}
";

async fn get(env: &Env, url: &str) -> Option<String> {
    let request = Request::get(url)
        .body(Bytes::new())
        .expect("a valid request");
    let limit = Duration::from_secs(10);
    let answer = env.http_client().send(request, limit).await.ok()?;
    Some(String::from_utf8_lossy(answer.body()).into_owned())
}

/// The series of an exposition, with the values of those that do not depend on time, in Rust's way of writing numbers.
fn series(text: &str) -> BTreeSet<String> {
    let lines = text.lines().filter(|line| !line.starts_with("# HELP"));
    let shown = |line: &str| {
        let (name, value) = line.rsplit_once(' ').unwrap_or((line, ""));
        let timed = name.contains("duration") || name.contains("lookup");
        match value.parse::<f64>() {
            Ok(_) if timed => name.to_owned(),
            Ok(value) => format!("{name} {value}"),
            Err(_) => line.to_owned(),
        }
    };
    lines.map(shown).collect()
}

#[test]
fn probes_tell_what_debians_exporter_tells() {
    let program = Path::new("/usr/bin/prometheus-blackbox-exporter");
    if !program.exists() {
        println!("skipped: prometheus-blackbox-exporter is not installed");
        return;
    }
    let sim = Sim::new(&SimConfig {
        mode: Mode::Real,
        seed: 1,
        watchdog: Duration::from_secs(30),
    })
    .expect("a runtime");
    let env = sim.env().clone();
    let file = std::env::temp_dir().join(format!("gameday-blackbox-{}.yml", std::process::id()));
    std::fs::write(&file, CONFIG).expect("a file");
    sim.block_on(async {
        let web = env.listen(&Address::new("web", 80)).await.expect("free");
        let target = web.socket().expect("TCP");
        let service = tower::service_fn(|request: Request<Incoming>| async move {
            let (status, location) = match request.uri().path() {
                "/moved" => (302, "/"),
                "/broken" => (500, ""),
                _ => (200, ""),
            };
            let response = Response::builder()
                .status(status)
                .header("location", location);
            Ok::<_, Infallible>(
                response
                    .body(Full::new(Bytes::from("hello")))
                    .expect("valid"),
            )
        });
        serve(&env.on("web"), web, service, ServeOptions::default());
        let config = Config::parse("blackbox.yml", CONFIG).expect("a good file");
        let (host, address) = (env.on("blackbox"), Address::new("blackbox", 9115));
        let own = blackbox::start(&host, &address, config).await;
        let own = own.expect("free").expect("TCP");
        let arguments = [
            "--web.listen-address=127.0.0.1:29118".to_owned(),
            format!("--config.file={}", file.display()),
        ];
        let mut oracle = Child::start(program, &arguments).expect("it starts");
        for _ in 0..50 {
            env.clock().sleep(Duration::from_millis(100)).await;
            if get(&env, "http://127.0.0.1:29118/-/healthy")
                .await
                .is_some()
            {
                break;
            }
        }
        for (module, target) in [
            ("http_2xx", format!("{target}/")),
            ("http_2xx", format!("{target}/moved")),
            ("http_2xx", format!("{target}/broken")),
            ("http_2xx", "127.0.0.1:1/".to_owned()),
            ("tcp_connect", target.to_string()),
            ("tcp_connect", "127.0.0.1:1".to_owned()),
            ("greeting", target.to_string()),
        ] {
            let path = format!("probe?module={module}&target={target}");
            let theirs = get(&env, &format!("http://127.0.0.1:29118/{path}"))
                .await
                .expect("an answer");
            let ours = get(&env, &format!("http://{own}/{path}"))
                .await
                .expect("an answer");
            let (mut ours, theirs) = (series(&ours), series(&theirs));
            // Debian's is of 2022.
            let newer = ["probe_timeout_seconds", "probe_failed_due_to_bytes"];
            ours.retain(|line| !newer.iter().any(|name| line.contains(name)));
            let regex_before_dialling = theirs.iter().any(|it| it.contains("due_to_regex"));
            if regex_before_dialling && module == "tcp_connect" {
                ours.extend(theirs.iter().filter(|it| it.contains("regex")).cloned());
            }
            let (more, less): (Vec<_>, Vec<_>) = (
                ours.difference(&theirs).collect(),
                theirs.difference(&ours).collect(),
            );
            assert!(
                more.is_empty() && less.is_empty(),
                "{module} {target}: {more:?} for {less:?}"
            );
        }
        oracle.kill().await;
    });
    std::fs::remove_file(&file).expect("the file");
}

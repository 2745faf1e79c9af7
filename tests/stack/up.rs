//! A running stack and its clients.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use bytes::Bytes;
use gameday::verify::encode;
use gameday_env::{Child, Env, Mode, Sim, SimConfig};
use http::Request;
use serde_json::Value;

/// A busy machine may be slow; nothing here takes a tenth of it.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// The standard ports of the servers.
pub(crate) const PROMETHEUS: u16 = 9090;
pub(crate) const ALERTMANAGER: u16 = 9093;
pub(crate) const LOKI: u16 = 3100;
pub(crate) const TEMPO: u16 = 3200;
pub(crate) const OTLP_GRPC: u16 = 4317;
pub(crate) const OTLP_HTTP: u16 = 4318;

/// A running stack.
pub(crate) struct Up {
    pub(crate) child: Child,
    /// How far its ports lie from the standard ones.
    offset: u16,
    /// What it said before it was ready.
    pub(crate) said: Vec<String>,
    env: Env,
}

/// Runs a test on the real clock.
pub(crate) fn in_real_time<F: Future<Output = ()>>(test: impl FnOnce(Env) -> F) {
    let sim = Sim::new(&SimConfig {
        mode: Mode::Real,
        seed: 1,
        watchdog: Duration::MAX,
    })
    .unwrap();
    let env = sim.env().clone();
    sim.block_on(test(env));
}

/// An empty folder for the files of a test.
pub(crate) fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("stack")
        .join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

impl Up {
    /// Starts it on ports of its own, all of them below those that the system gives to clients (from 32768 on). Another process may
    /// have taken one, so it is tried again with other ones; the tests of this process, which run side by side, keep to different
    /// ones.
    pub(crate) async fn start(env: &Env, options: &[&str]) -> Self {
        static STARTS: AtomicU16 = AtomicU16::new(0);
        let first = (std::process::id() % 19_000) as u16;
        // Of every attempt: one that finds no free port has already repaired the log, and told so.
        let mut said = Vec::new();
        for _ in 0..20 {
            let step = STARTS.fetch_add(1, Ordering::Relaxed);
            let offset = 1_000 + first.wrapping_add(step.wrapping_mul(331)) % 19_000;
            let port_offset = offset.to_string();
            let mut arguments = vec!["stack", "up", "--port-offset", &port_offset];
            arguments.extend(options);
            let mut child = spawn(&arguments);
            while let Some(line) = next_line(env, &mut child).await {
                let is_ready = line.starts_with("Receivers");
                said.push(line);
                if is_ready {
                    let env = env.clone();
                    return Self {
                        child,
                        offset,
                        said,
                        env,
                    };
                }
            }
        }
        panic!("no ports are free: {said:#?}");
    }

    /// The address of the server whose standard port this is.
    pub(crate) fn url(&self, port: u16, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", port + self.offset)
    }

    /// The status and the body of an answer; none where the connection breaks.
    pub(crate) async fn ask(&self, request: Request<Bytes>) -> Option<(u16, String)> {
        let answer = self.env.http_client().send(request, LIMIT).await.ok()?;
        let body = String::from_utf8_lossy(answer.body()).into_owned();
        Some((answer.status().as_u16(), body))
    }

    /// What a server answers, as text.
    pub(crate) async fn text(&self, port: u16, path: &str) -> String {
        let request = Request::get(self.url(port, path)).body(Bytes::new());
        let (status, body) = self.ask(request.unwrap()).await.expect("an answer");
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// What a server answers, as JSON.
    pub(crate) async fn get(&self, port: u16, path: &str) -> Value {
        let body = self.text(port, path).await;
        serde_json::from_str(&body).unwrap_or_else(|_| panic!("{path}: {body}"))
    }

    /// Posts JSON; the status and the body of the answer.
    pub(crate) async fn post(&self, port: u16, path: &str, body: String) -> (u16, String) {
        let request = Request::post(self.url(port, path))
            .header("content-type", "application/json")
            .body(Bytes::from(body))
            .unwrap();
        self.ask(request).await.expect("an answer")
    }

    /// The result of an instant query at a time in seconds.
    pub(crate) async fn promql(&self, query: &str, time: Option<i64>) -> Value {
        let time = time.map_or(String::new(), |time| format!("&time={time}"));
        let path = format!("/api/v1/query?query={}{time}", encode(query));
        self.get(PROMETHEUS, &path).await["data"]["result"].take()
    }
}

/// Starts `gameday`.
pub(crate) fn spawn(arguments: &[&str]) -> Child {
    let arguments: Vec<String> = arguments.iter().map(|own| (*own).to_owned()).collect();
    Child::start(Path::new(env!("CARGO_BIN_EXE_gameday")), &arguments).unwrap()
}

/// The next line that a process says; none at its end.
pub(crate) async fn next_line(env: &Env, child: &mut Child) -> Option<String> {
    let line = env.clock().timeout(LIMIT, child.next_line()).await;
    line.expect("it says something in time").ok()
}

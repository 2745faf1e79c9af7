//! A server as a process of its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use gameday_env::{HttpClient, Sim, Stopwatch};
use http::Request;

/// Whose server it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `gameday stack up`.
    Gameday,
    /// `prometheus` as it is installed.
    Prometheus,
}

/// By how much the ports of `gameday stack up` are moved.
const PORT_OFFSET: u16 = 23_000;
/// Where Prometheus listens.
const PROMETHEUS_PORT: u16 = 32_190;
/// A start that takes longer has failed.
const START_MAX: Duration = Duration::from_secs(120);

/// A running server. It is killed when this is dropped.
pub(crate) struct Server {
    child: Child,
    base: String,
    client: HttpClient,
    /// From the start of the process to the first 200 of `/-/ready`.
    pub(crate) ready_after: Duration,
}

/// Whether the program `prometheus` can be started.
pub(crate) fn installed() -> bool {
    Command::new("prometheus")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// How a server is configured.
#[derive(Clone, Copy)]
pub(crate) struct Setup<'s> {
    /// The folder of prometheus.yml.
    pub(crate) config: &'s Path,
    /// The folder that outlives the process; without one ours keeps all in memory, as a game day does, and Prometheus gets an empty
    /// one.
    pub(crate) data: Option<&'s Path>,
}

fn command(kind: Kind, setup: Setup<'_>) -> (Command, String) {
    match kind {
        Kind::Gameday => {
            let mut command = Command::new(env!("CARGO_BIN_EXE_gameday"));
            command
                .args(["stack", "up", "--port-offset"])
                .arg(PORT_OFFSET.to_string())
                .arg("--config")
                .arg(setup.config);
            if let Some(data) = setup.data {
                command.arg("--data").arg(data);
            }
            (command, format!("http://127.0.0.1:{}", 9090 + PORT_OFFSET))
        }
        Kind::Prometheus => {
            let data = setup
                .data
                .map_or_else(|| crate::fresh_folder("prometheus-data"), PathBuf::from);
            let listen = format!("127.0.0.1:{PROMETHEUS_PORT}");
            let mut command = Command::new("prometheus");
            command
                .arg(format!(
                    "--config.file={}",
                    setup.config.join("prometheus.yml").display()
                ))
                .arg(format!("--storage.tsdb.path={}", data.display()))
                .arg(format!("--web.listen-address={listen}"))
                .args(["--web.enable-remote-write-receiver", "--log.level=error"]);
            (command, format!("http://{listen}"))
        }
    }
}

impl Server {
    /// Starts it and waits until it says that it is ready.
    pub(crate) fn start(sim: &Sim, kind: Kind, setup: Setup<'_>) -> Self {
        let (mut command, base) = command(kind, setup);
        let watch = Stopwatch::start();
        let child = command
            .stdout(Stdio::null())
            .spawn()
            .expect("the program can be started");
        let mut server = Self {
            child,
            base,
            client: sim.env().http_client(),
            ready_after: Duration::ZERO,
        };
        while server.get(sim, "/-/ready").is_none() {
            assert!(
                watch.elapsed() < START_MAX && matches!(server.child.try_wait(), Ok(None)),
                "{kind:?} does not become ready"
            );
            sim.block_on(sim.env().clock().sleep(Duration::from_millis(1)));
        }
        server.ready_after = watch.elapsed();
        server
    }

    /// The address of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// The body of an answer with status 200.
    pub(crate) fn get(&self, sim: &Sim, path: &str) -> Option<Bytes> {
        let request = Request::get(self.url(path))
            .body(Bytes::new())
            .expect("a valid request");
        let answer = sim.block_on(self.client.send(request, START_MAX));
        answer
            .ok()
            .filter(|answer| answer.status().is_success())
            .map(http::Response::into_body)
    }

    /// Posts a body, which must be accepted.
    pub(crate) fn post(&self, sim: &Sim, path: &str, headers: &[(&str, &str)], body: Bytes) {
        let mut request = Request::post(self.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body).expect("a valid request");
        let answer = sim
            .block_on(self.client.send(request, START_MAX))
            .expect("the server answers");
        assert!(
            answer.status().is_success(),
            "{path}: {} {:?}",
            answer.status(),
            answer.body()
        );
    }

    /// The CPU seconds of the process so far, user and system.
    pub(crate) fn cpu_secs(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        let [user, system] = cpu_fields(&stat.unwrap_or_default(), 14);
        user + system
    }

    /// The resident memory of the process in bytes.
    pub(crate) fn resident_bytes(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        status
            .unwrap_or_default()
            .lines()
            .find_map(|line| {
                let kib = line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?;
                kib.parse::<f64>().ok()
            })
            .map_or(f64::NAN, |kib| kib * 1024.0)
    }

    /// Kills it as `kill -9` does.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// Two neighbouring fields of /proc/PID/stat, counted from 1 as proc(5) does, which are in hundredths of a second.
pub(crate) fn cpu_fields(stat: &str, first: usize) -> [f64; 2] {
    let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    // The name is field 2.
    [first, first + 1].map(|field| {
        after_name
            .split(' ')
            .nth(field - 3)
            .and_then(|text| text.parse::<f64>().ok())
            .unwrap_or(f64::NAN)
            / 100.0
    })
}

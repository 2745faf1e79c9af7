//! Our Alertmanager beside Debian's (`prometheus-alertmanager`), through HTTP: CPU, memory and time to the webhook.
//!
//! Run with `cargo bench --bench alertmanager`; where Debian's is not installed, only ours is measured, and one line says so.
//! 10,000 firing alerts in 1,000 groups under 100 inhibition rules, then alerts one by one with `group_wait: 0s`. Ours is the whole
//! stack (`gameday stack up`), which has a Prometheus, a Loki and a Tempo in the same process.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a bench measures real processes and tells its figures"
)]

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

const ALERTS: usize = 10_000;
const GROUPS: usize = 1000;
const RULES: usize = 100;
/// Alerts in one post, as Prometheus sends them at most.
const BATCH: usize = 256;
/// Alerts that are timed one by one.
const TIMED: usize = 300;
/// Everything must have arrived by then.
const LIMIT: Duration = Duration::from_secs(60);

/// What a server took for the work.
#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    /// CPU seconds from the first post until every group was notified.
    cpu_secs: f64,
    /// Resident memory then, in bytes.
    resident: f64,
    /// Seconds until every group was notified.
    wall_secs: f64,
    /// Median and 99th percentile of the time from the post to the webhook, in seconds.
    latency: (f64, f64),
}

fn main() {
    let ours = measure(Server::Ours);
    print("ours", &ours);
    if Command::new(DEBIAN).arg("--version").output().is_err() {
        println!("{DEBIAN} is not installed: there is nothing to compare with");
        return;
    }
    let theirs = measure(Server::Debian);
    print("Debian's", &theirs);
    println!("ours / Debian's (at most 0.5, 0.5, and 1.0 are the goals):");
    for (name, ours, theirs) in [
        ("CPU", ours.cpu_secs, theirs.cpu_secs),
        ("memory", ours.resident, theirs.resident),
        (
            "time to the webhook, median",
            ours.latency.0,
            theirs.latency.0,
        ),
        (
            "time to the webhook, 99 %",
            ours.latency.1,
            theirs.latency.1,
        ),
    ] {
        println!("  {name:<28} {:.2}", ours / theirs);
    }
}

fn print(name: &str, figures: &Figures) {
    println!(
        "{name:<9} {ALERTS} alerts, {GROUPS} groups, {RULES} inhibition rules: {:.2} s of CPU, {:.1} MiB, done in {:.2} s; \
         post to webhook: median {:.2} ms, 99 % {:.2} ms",
        figures.cpu_secs,
        figures.resident / f64::from(1 << 20),
        figures.wall_secs,
        figures.latency.0 * 1e3,
        figures.latency.1 * 1e3,
    );
}

const DEBIAN: &str = "prometheus-alertmanager";

#[derive(Clone, Copy, PartialEq)]
enum Server {
    Ours,
    Debian,
}

/// Moves the ports of our stack out of the way of a running one.
const PORT_OFFSET: u16 = 20_000;

impl Server {
    fn address(self) -> &'static str {
        match self {
            Self::Ours => "127.0.0.1:29093",
            Self::Debian => "127.0.0.1:29193",
        }
    }

    fn start(self, folder: &Path) -> Running {
        let mut command = match self {
            Self::Ours => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_gameday"));
                command.args(["stack", "up", "--port-offset", &PORT_OFFSET.to_string()]);
                command.arg("--config").arg(folder);
                command
            }
            Self::Debian => {
                let mut command = Command::new(DEBIAN);
                let config = folder.join("alertmanager.yml");
                command.arg(format!("--config.file={}", config.display()));
                let data = folder.join("data");
                command.arg(format!("--storage.path={}", data.display()));
                command.arg(format!("--web.listen-address={}", self.address()));
                command.arg("--cluster.listen-address=");
                command
            }
        };
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let running = Running(command.spawn().expect("the server starts"));
        let begin = Instant::now();
        while TcpStream::connect(self.address()).is_err() {
            assert!(begin.elapsed() < LIMIT, "the server does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        running
    }
}

/// A process that ends with the bench.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    fn proc(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.0.id())).unwrap_or_default()
    }

    /// CPU seconds so far, user and system (proc(5), fields 14 and 15, in hundredths of a second).
    fn cpu_secs(&self) -> f64 {
        let stat = self.proc("stat");
        let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
        let fields = after_name.split(' ').skip(11).take(2);
        fields
            .filter_map(|text| text.parse::<f64>().ok())
            .sum::<f64>()
            / 100.0
    }

    fn resident(&self) -> f64 {
        let status = self.proc("status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<f64>().ok());
        kib.unwrap_or_default() * 1024.0
    }
}

fn measure(server: Server) -> Figures {
    let webhook = Webhook::start();
    let name = if server == Server::Ours {
        "ours"
    } else {
        "debian"
    };
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("alertmanager-{name}"));
    std::fs::create_dir_all(&folder).expect("the bench can write into the target folder");
    let config = config(&webhook.url);
    std::fs::write(folder.join("alertmanager.yml"), config).expect("the bench can write");
    std::fs::write(folder.join("prometheus.yml"), "").expect("the bench can write");
    let running = server.start(&folder);
    let mut client = Client::connect(server.address());

    let (before, begin) = (running.cpu_secs(), Instant::now());
    let numbers: Vec<usize> = (0..ALERTS).collect();
    for batch in numbers.chunks(BATCH) {
        let alerts: Vec<String> = batch.iter().map(|number| alert(*number)).collect();
        client.post(&alerts);
    }
    // With group_wait 0s a group may be told in two messages, where its alerts came in two posts.
    while webhook.groups() < GROUPS {
        assert!(
            begin.elapsed() < LIMIT,
            "{} of {GROUPS} groups were told",
            webhook.groups()
        );
        std::thread::sleep(Duration::from_millis(2));
    }
    let wall_secs = begin.elapsed().as_secs_f64();
    // The clock of the process counts in hundredths: let it come to rest.
    std::thread::sleep(Duration::from_millis(300));
    let (cpu_secs, resident) = (running.cpu_secs() - before, running.resident());

    let mut latencies: Vec<f64> = (0..TIMED)
        .map(|number| webhook.time(&mut client, number))
        .collect();
    latencies.sort_by(f64::total_cmp);
    Figures {
        cpu_secs,
        resident,
        wall_secs,
        latency: (latencies[TIMED / 2], latencies[TIMED * 99 / 100]),
    }
}

fn config(url: &str) -> String {
    let mut yaml = format!(
        "route: {{receiver: web, group_by: [alertname], group_wait: 0s, group_interval: 5m}}\n\
         receivers: [{{name: web, webhook_configs: [{{url: '{url}'}}]}}]\ninhibit_rules:\n"
    );
    for rule in 0..RULES {
        // Writing to a String cannot fail.
        let _ = writeln!(
            yaml,
            "- {{source_matchers: [severity=critical, tier=\"{rule}\"], target_matchers: [severity=~\"warning|info\", tier=\"{rule}\"], equal: [cluster, namespace]}}"
        );
    }
    yaml
}

/// Alerts of a group come one after the other, so that few groups are split between two posts; no group is inhibited as a whole.
fn alert(number: usize) -> String {
    let severity = ["critical", "warning", "info", "none"][number % 4];
    format!(
        r#"{{"labels":{{"alertname":"Alert{}","cluster":"cluster-{}","instance":"10.0.{}.{}:9100","job":"node","namespace":"namespace-{}","severity":"{severity}","tier":"{}"}},"annotations":{{"summary":"something is wrong with this instance","runbook_url":"https://runbooks.example.org/alert"}},"generatorURL":"http://prometheus.example.org/graph?g0.expr=up"}}"#,
        number / (ALERTS / GROUPS),
        number % 7,
        number / 250,
        number % 250,
        number % 50,
        number % RULES,
    )
}

/// One connection to the API.
struct Client(TcpStream);

impl Client {
    fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_nodelay(true).expect("a socket");
        Self(stream)
    }

    fn post(&mut self, alerts: &[String]) {
        let body = format!("[{}]", alerts.join(","));
        let request = format!(
            "POST /api/v2/alerts HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.0.write_all(request.as_bytes()).expect("a connection");
        let mut reader = BufReader::new(&mut self.0);
        let (head, _) = read_message(&mut reader).expect("an answer");
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    }
}

/// Reads a message of HTTP: its head and its body.
fn read_message(reader: &mut BufReader<impl std::io::Read>) -> Option<(String, Vec<u8>)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let lower = head.to_ascii_lowercase();
    let length = lower
        .lines()
        .find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    Some((head, body))
}

/// The name of the alert that is timed, and who is told when it has come.
type TimedAlert = Mutex<Option<(String, mpsc::Sender<Instant>)>>;

/// A receiver that counts groups, and tells when an alert that is timed has come.
struct Webhook {
    url: String,
    groups: Arc<AtomicUsize>,
    timed: Arc<TimedAlert>,
}

impl Webhook {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}/", listener.local_addr().expect("a port"));
        let own = Self {
            url,
            groups: Arc::default(),
            timed: Arc::default(),
        };
        let (groups, timed) = (Arc::clone(&own.groups), Arc::clone(&own.timed));
        let seen: Arc<Mutex<Vec<bool>>> = Arc::new(Mutex::new(vec![false; GROUPS]));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (groups, timed, seen) =
                    (Arc::clone(&groups), Arc::clone(&timed), Arc::clone(&seen));
                std::thread::spawn(move || take(stream, &groups, &timed, &seen));
            }
        });
        own
    }

    fn groups(&self) -> usize {
        self.groups.load(Ordering::Relaxed)
    }

    /// Posts an alert of its own group and gives the seconds until it came here.
    fn time(&self, client: &mut Client, number: usize) -> f64 {
        let name = format!("Timed{number}!");
        let (sender, arrived) = mpsc::channel();
        *self.timed.lock().unwrap_or_else(PoisonError::into_inner) = Some((name.clone(), sender));
        let alert = format!(r#"{{"labels":{{"alertname":"{name}","severity":"page"}}}}"#);
        let begin = Instant::now();
        client.post(&[alert]);
        let arrived = arrived
            .recv_timeout(LIMIT)
            .expect("the alert comes to the webhook");
        arrived.duration_since(begin).as_secs_f64()
    }
}

fn take(stream: TcpStream, groups: &AtomicUsize, timed: &TimedAlert, seen: &Mutex<Vec<bool>>) {
    let _ = stream.set_nodelay(true);
    let Ok(mut writer) = stream.try_clone() else {
        return;
    };
    let mut reader = BufReader::new(stream);
    while let Some((_, body)) = read_message(&mut reader) {
        let at = Instant::now();
        let _ = writer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        let text = String::from_utf8_lossy(&body);
        let group = text
            .split_once(r#""groupLabels":{"alertname":"Alert"#)
            .and_then(|(_, rest)| rest.split('"').next()?.parse::<usize>().ok());
        if let Some(group) = group {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            if !std::mem::replace(&mut seen[group], true) {
                groups.fetch_add(1, Ordering::Relaxed);
            }
        }
        let mut timed = timed.lock().unwrap_or_else(PoisonError::into_inner);
        if timed
            .as_ref()
            .is_some_and(|(name, _)| text.contains(name.as_str()))
            && let Some((_, sender)) = timed.take()
        {
            let _ = sender.send(at);
        }
    }
}

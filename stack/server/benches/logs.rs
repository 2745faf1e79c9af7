//! Log lines in and out, through the public APIs: 100 MB of JSON lines of 260 bytes as snappy protobuf pushes, then the queries of a
//! drill-down over 110 MB.
//!
//! Run with `cargo bench -p gameday-server --bench logs`. The stack, its client and this program run on one thread; what is told is the CPU time of that
//! thread, so that a busy machine does not matter.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use gameday_env::{HttpClient, Mode, Sim, SimConfig};
use gameday_server::{Stack, StackFiles, StackOptions};
use gameday_signal::{Labels, Timestamp};
use gameday_wire::{PushEntry, PushStream, encode_loki_protobuf};
use http::Request;
use serde_json::Value;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Lines of one push, as clients batch them.
const BATCH_LINES: u64 = 1000;
const LINE_BYTES: u64 = 260;
const STREAMS: u64 = 8;
/// One line in so many has the rare word.
const RARE_EVERY: u64 = 5000;
/// The clock of the stack.
const NOW_SECS: i64 = 1_700_000_000;
/// The lines lie this far apart: 110 MB are 70 minutes, which begin so long ago.
const LINE_NANOS: i64 = 10_000_000;
const SINCE_SECS: i64 = 4300;
const FOREVER: Duration = Duration::from_secs(600);

/// Steele and Vigna's SplitMix64.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    fn pick<'t>(&mut self, texts: &[&'t str]) -> &'t str {
        texts[(self.next() % texts.len() as u64) as usize]
    }
}

/// Seconds and bytes of this process.
fn cpu_secs() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = text
        .split(' ')
        .next()
        .and_then(|text| text.parse::<f64>().ok());
    nanos.unwrap_or_default() / 1e9
}

fn resident_mb() -> f64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text
        .split(' ')
        .nth(1)
        .and_then(|text| text.parse::<f64>().ok());
    pages.unwrap_or_default() * 4096.0 / 1e6
}

/// A line of 260 bytes, as a service writes it.
fn line(number: u64, noise: &mut Noise) -> String {
    let routes = [
        "/api/checkout",
        "/api/cart",
        "/api/users/me",
        "/api/search",
        "/",
    ];
    let words = [
        "request served",
        "cache miss, asked the database",
        "payment accepted",
    ];
    let status = match noise.next() % 200 {
        0 => 500,
        1..=6 => 404,
        _ => 200,
    };
    let mut line = format!(
        r#"{{"level":"{}","msg":"{}","method":"{}","route":"{}","status":{status},"duration_ms":{}.{:03},"trace_id":"{:016x}{:016x}","user_id":"u-{}","region":"eu-central-1","#,
        noise.pick(&["info", "info", "info", "info", "debug", "warn"]),
        if number % RARE_EVERY == 7 {
            "a rare thing happened"
        } else {
            noise.pick(&words)
        },
        noise.pick(&["GET", "GET", "POST"]),
        noise.pick(&routes),
        noise.next() % 300,
        noise.next() % 1000,
        noise.next(),
        noise.next(),
        noise.next() % 100_000,
    );
    let end = r#""agent":""}"#;
    let agent =
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0";
    let room = (LINE_BYTES as usize).saturating_sub(line.len() + end.len());
    let _ = write!(line, r#""agent":"{}"}}"#, &agent[..room.min(agent.len())]);
    line
}

/// A push of lines `first` and on, all of one stream.
fn push_body(first: u64, noise: &mut Noise, raw: &mut u64) -> Bytes {
    let pod = first / BATCH_LINES % STREAMS;
    let entry = |number: u64| {
        let line = line(number, noise);
        *raw += line.len() as u64;
        PushEntry {
            timestamp: Timestamp::from_nanos(
                (NOW_SECS - SINCE_SECS) * 1_000_000_000 + number as i64 * LINE_NANOS,
            ),
            line,
            metadata: Vec::new(),
        }
    };
    let stream = PushStream {
        labels: Labels::new([("app", "shop".to_owned()), ("pod", format!("shop-{pod}"))]),
        entries: (first..first + BATCH_LINES).map(entry).collect(),
    };
    encode_loki_protobuf(&[stream]).into()
}

struct Bench {
    sim: Sim,
    client: HttpClient,
    stack: Stack,
}

impl Bench {
    fn new(data: Option<PathBuf>) -> Self {
        let sim = Sim::new(&SimConfig {
            mode: Mode::Virtual {
                epoch: Timestamp::from_secs(NOW_SECS),
                speed: None,
            },
            seed: 1,
            watchdog: FOREVER,
        })
        .expect("a runtime");
        let env = sim.env().clone();
        let options = StackOptions {
            data,
            ..StackOptions::default()
        };
        let started = sim.block_on(Stack::start(&env, &StackFiles::embedded(), options));
        Self {
            client: env.http_client(),
            stack: started.expect("the stack starts"),
            sim,
        }
    }

    /// Pushes so many bytes of lines; the CPU seconds that it took, without making the bodies, and the raw bytes.
    fn push(&self, bytes: u64) -> (f64, u64) {
        let (mut noise, mut raw, mut first, mut cpu) = (Noise(42), 0, 0, 0.0);
        while raw < bytes {
            let body = push_body(first, &mut noise, &mut raw);
            first += BATCH_LINES;
            let request = Request::post("http://loki:3100/loki/api/v1/push")
                .header("content-type", "application/x-protobuf")
                .body(body)
                .expect("a request");
            let before = cpu_secs();
            let answer = self.sim.block_on(self.client.send(request, FOREVER));
            cpu += cpu_secs() - before;
            let answer = answer.expect("an answer");
            assert_eq!(answer.status(), 204, "{:?}", answer.body());
        }
        (cpu, raw)
    }

    /// Asks a range query over all lines.
    fn query(&self, query: &str, extra: &str) -> (f64, Value) {
        let (start, end) = (NOW_SECS - SINCE_SECS - 1, NOW_SECS + 1);
        let encoded = percent_encoded(query);
        self.ask(&format!(
            "query_range?query={encoded}&start={start}&end={end}&{extra}"
        ))
    }

    /// Asks an instant query behind all lines.
    fn count(&self, query: &str) -> (f64, Value) {
        let encoded = percent_encoded(query);
        self.ask(&format!("query?query={encoded}&time={}", NOW_SECS + 1))
    }

    /// Asks five times; the least CPU seconds, and the answer.
    fn ask(&self, path: &str) -> (f64, Value) {
        let url = format!("http://loki:3100/loki/api/v1/{path}");
        let mut best = f64::MAX;
        let mut found = Value::Null;
        for _ in 0..5 {
            let request = Request::get(&url).body(Bytes::new()).expect("a request");
            let before = cpu_secs();
            let answer = self.sim.block_on(self.client.send(request, FOREVER));
            best = best.min(cpu_secs() - before);
            let answer = answer.expect("an answer");
            assert_eq!(answer.status(), 200, "{:?}", answer.body());
            found = serde_json::from_slice(answer.body()).expect("JSON");
        }
        (best, found["data"]["result"].take())
    }
}

fn percent_encoded(query: &str) -> String {
    query.bytes().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "%{byte:02X}");
        text
    })
}

fn lines_of(result: &Value) -> usize {
    let streams = result.as_array().into_iter().flatten();
    streams
        .filter_map(|stream| Some(stream["values"].as_array()?.len()))
        .sum()
}

fn folder_bytes(folder: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.metadata().ok())
        .map(|file| file.len())
        .sum()
}

#[expect(clippy::print_stdout, reason = "a bench tells its figures")]
fn main() {
    // First, so that no memory of another phase is used again.
    let memory = resident_mb();
    let bench = Bench::new(None);
    let (cpu, raw) = bench.push(100_000_000);
    println!(
        "in, in memory, {:.0} MB: {cpu:.2} s of CPU (at most 2.5 s is the goal), {:.0} MB of memory more after it (under 400)",
        raw as f64 / 1e6,
        resident_mb() - memory
    );
    drop(bench);

    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("logs-bench");
    let _ = std::fs::remove_dir_all(&folder);
    {
        let bench = Bench::new(Some(folder.clone()));
        let (cpu, raw) = bench.push(100_000_000);
        let during = folder_bytes(&folder.join("logs")) as f64 / raw as f64;
        let before = cpu_secs();
        bench.stack.save().expect("saved");
        let saving = cpu_secs() - before;
        let ratio = folder_bytes(&folder.join("logs")) as f64 / raw as f64;
        println!(
            "in, with a data directory, {:.0} MB: {cpu:.2} s of CPU, {during:.3} of the raw size on disk, {ratio:.3} after the end ({saving:.2} s; at most 0.25 is the goal)",
            raw as f64 / 1e6
        );
    }
    let before = cpu_secs();
    let again = Bench::new(Some(folder.clone()));
    println!(
        "start with that directory: {:.3} s of CPU",
        cpu_secs() - before
    );
    drop(again);
    let _ = std::fs::remove_dir_all(&folder);

    let bench = Bench::new(None);
    let (_, raw) = bench.push(110_000_000);
    println!("out, over {:.0} MB:", raw as f64 / 1e6);
    let tell = |name: &str, goal: u32, secs: f64, found: usize| {
        println!(
            "  {name:<72} {:>6.1} ms (under {goal}), {found} found",
            secs * 1000.0
        );
    };
    let all = r#"{app="shop"}"#;
    let query = format!(r#"sum(count_over_time({all} |= "rare" [2h]))"#);
    let (secs, result) = bench.count(&query);
    let found = result[0]["value"][1]
        .as_str()
        .and_then(|text| text.parse().ok());
    let found = found.unwrap_or_default();
    assert!(found > 50, "the rare lines are found: {result}");
    tell(r#"|= "rare", counted"#, 100, secs, found);
    let (secs, result) = bench.query(&format!("{all} | json | status=500"), "limit=1000");
    tell(
        "| json | status=500, to 1,000 lines",
        150,
        secs,
        lines_of(&result),
    );
    let query = format!("sum by (route) (count_over_time({all} | json [1m]))");
    let (secs, result) = bench.query(&query, "step=60");
    tell(
        "sum by (route) (count_over_time({..} | json [1m]))",
        400,
        secs,
        result.as_array().map_or(0, Vec::len),
    );
    let mut noise = Noise(42);
    let own = (0..200_000)
        .map(|number| line(number, &mut noise))
        .last()
        .unwrap_or_default();
    let id = own
        .split(r#""trace_id":""#)
        .nth(1)
        .map_or("", |rest| &rest[..32]);
    let (secs, result) = bench.query(&format!(r#"{all} |= "{id}""#), "limit=1000");
    tell("one trace id", 60, secs, lines_of(&result));
    let (secs, result) = bench.query(&format!(r#"{all} | json | trace_id="{id}""#), "limit=1000");
    tell("| json | trace_id=\"...\"", 150, secs, lines_of(&result));
}

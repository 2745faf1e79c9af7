//! How much CPU time the queries take that a game day lives on. `cargo bench -p gameday-metrics --bench promql` prints one line a
//! case.
#![expect(clippy::print_stdout, reason = "the figures are the result")]

use std::fs;

use gameday_disk::MemoryFiles;
use gameday_metrics::{Engine, EngineConfig, Expr, Store, StoreConfig, Value, parse};
use gameday_signal::Labels;

fn main() {
    // An argument picks one of the parts; cargo adds `--bench`.
    let wanted = |part: &str| {
        let mut parts = std::env::args().skip(1).filter(|arg| !arg.starts_with('-'));
        parts.next().is_none_or(|first| first == part)
    };
    if wanted("store") {
        store_figures();
    }
    if let Some(folder) = std::env::args()
        .skip(1)
        .skip_while(|arg| arg != "scrapes")
        .nth(1)
    {
        real_scrapes(&folder);
    }
    if wanted("replay") {
        replay();
    }
    if wanted("slo") {
        slo_rules();
    }
    if wanted("series") {
        for series in [1_000, 10_000] {
            many_series(series);
        }
    }
}

/// The CPU time of this process, which other processes do not disturb: the first number of Linux' schedstat.
struct Cpu(f64);

impl Cpu {
    fn nanos() -> f64 {
        fs::read_to_string("/proc/self/schedstat")
            .ok()
            .and_then(|text| text.split_whitespace().next()?.parse().ok())
            .unwrap_or(f64::NAN)
    }

    fn now() -> Self {
        Self(Self::nanos())
    }

    fn elapsed_ms(&self) -> f64 {
        (Self::nanos() - self.0) / 1e6
    }
}

fn report(what: &str, start: &Cpu) {
    println!("{what}: {:.1} ms", start.elapsed_ms());
}

/// A deterministic stream of numbers below `limit` (Marsaglia, "Xorshift RNGs", 2003).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// What a scrape of a service looks like: many counters that seldom move, some that do, gauges with fractions.
fn store_figures() {
    let mut store = Store::new(StoreConfig::default());
    let mut numbers = Numbers(42);
    let refs: Vec<_> = (0..1_000)
        .map(|index| {
            store.series_ref(&Labels::new([
                ("__name__", format!("metric_{}", index % 50)),
                ("instance", "checkout:8080".to_owned()),
                ("job", "checkout".to_owned()),
                ("series", index.to_string()),
            ]))
        })
        .collect();
    let mut values = vec![0.0_f64; refs.len()];
    let start = Cpu::now();
    let scrapes = 1_000_i64;
    for scrape in 0..scrapes {
        for (index, reference) in refs.iter().enumerate() {
            values[index] = match index % 10 {
                0..=4 => values[index],
                5..=7 => values[index] + numbers.below(200) as f64,
                8 => values[index] + numbers.below(1_000) as f64 / 1_000.0,
                _ => numbers.below(1 << 30) as f64,
            };
            // A scrape is a few milliseconds early or late.
            let jitter = if numbers.below(4) == 0 {
                numbers.below(5) as i64
            } else {
                0
            };
            let at = scrape * 15_000 + jitter;
            let _ = store.append_ref(*reference, at, values[index]);
        }
    }
    report("append 1,000,000 samples to 1,000 series", &start);
    let stats = store.stats();
    println!(
        "  {:.2} bytes a sample, {:.0} bytes a series",
        stats.sample_bytes as f64 / stats.samples as f64,
        (stats.bytes - stats.sample_bytes) as f64 / stats.series as f64
    );
}

/// The resident memory of this process in bytes: the second number of Linux' statm, in pages of 4 KiB.
fn resident_bytes() -> f64 {
    fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|text| text.split_whitespace().nth(1)?.parse::<f64>().ok())
        .map_or(f64::NAN, |pages| pages * 4096.0)
}

/// One hour of 10,000 series every 15 seconds, written to a log and read again.
fn replay() {
    let files = MemoryFiles::default();
    let config = || StoreConfig {
        checkpoint_bytes: u64::MAX,
        ..StoreConfig::default()
    };
    let mut numbers = Numbers(5);
    let before = resident_bytes();
    let (mut store, _) = Store::open(config(), Box::new(files.clone())).expect("no files yet");
    let refs: Vec<_> = (0..10_000)
        .map(|index| {
            store.series_ref(&Labels::new([
                ("__name__", format!("http_requests_{}_total", index % 100)),
                ("instance", format!("10.0.0.{}:8080", index / 100)),
                ("job", "checkout".to_owned()),
                ("method", "GET".to_owned()),
                ("status_code", "200".to_owned()),
            ]))
        })
        .collect();
    let mut values = vec![0_u64; refs.len()];
    let start = Cpu::now();
    for scrape in 0..240_i64 {
        for (reference, value) in refs.iter().zip(&mut values) {
            *value += numbers.below(20);
            let _ = store.append_ref(*reference, scrape * 15_000, *value as f64);
        }
        store.commit().expect("memory");
    }
    report("log 1 h of 10,000 series", &start);
    let log: usize = files.change(|files| files.values().map(Vec::len).sum());
    println!(
        "  {:.0} bytes of memory a live series, {:.1} bytes of log a sample",
        (resident_bytes() - before - log as f64) / 10_000.0,
        log as f64 / 2_400_000.0
    );
    drop(store);
    let start = Cpu::now();
    let (mut store, recovery) = Store::open(config(), Box::new(files.clone())).expect("readable");
    report(
        &format!("replay {} samples from the log", recovery.samples),
        &start,
    );
    store.checkpoint().expect("memory");
    drop(store);
    let start = Cpu::now();
    let (_, recovery) = Store::open(config(), Box::new(files)).expect("readable");
    report(
        &format!("read {} samples from a checkpoint", recovery.samples),
        &start,
    );
}

/// The bytes a sample of real scrapes, which stand as text files in a folder: `cargo bench ... -- scrapes FOLDER`.
fn real_scrapes(folder: &str) {
    let mut paths: Vec<_> = fs::read_dir(folder)
        .expect("a folder of scrapes")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    paths.sort();
    let mut store = Store::new(StoreConfig::default());
    for (scrape, path) in paths.iter().enumerate() {
        let text = fs::read_to_string(path).expect("text");
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            // The labels are taken as one text: only the numbers matter here.
            let Some((name, value)) = line.rsplit_once(' ') else {
                continue;
            };
            if let Ok(value) = value.parse() {
                let labels = Labels::new([("__name__", name)]);
                let _ = store.append(&labels, scrape as i64 * 15_000, value);
            }
        }
    }
    let stats = store.stats();
    println!(
        "{} scrapes of {} series: {:.2} bytes a sample",
        paths.len(),
        stats.series,
        stats.sample_bytes as f64 / stats.samples as f64
    );
}

/// Thirty days of a multiwindow burn-rate rule file at one-minute data and evaluation.
fn slo_rules() {
    let mut store = Store::new(StoreConfig::default());
    let engine = Engine::new(EngineConfig::default());
    let windows = ["5m", "1h", "6h", "3d", "30d"];
    let recording: Vec<(Labels, Expr)> = windows
        .iter()
        .map(|window| {
            let source =
                format!("sum(rate(errors_total[{window}])) / sum(rate(requests_total[{window}]))");
            let name = format!("slo:error_ratio:rate{window}");
            (
                Labels::new([("__name__", name.as_str()), ("slo", "availability")]),
                parse(&source).expect("valid"),
            )
        })
        .collect();
    let alerts: Vec<Expr> = [("5m", "1h", 14.4), ("1h", "6h", 6.0), ("6h", "3d", 1.0)]
        .iter()
        .map(|(short, long, factor)| {
            let source = format!(
                "slo:error_ratio:rate{short} > {factor} * 0.001 and slo:error_ratio:rate{long} > {factor} * 0.001"
            );
            parse(&source).expect("valid")
        })
        .collect();
    let errors = Labels::new([("__name__", "errors_total"), ("job", "checkout")]);
    let requests = Labels::new([("__name__", "requests_total"), ("job", "checkout")]);
    let mut numbers = Numbers(7);
    let (mut error_count, mut request_count, mut evaluations) = (0, 0, 0);
    let start = Cpu::now();
    for minute in 0..30 * 24 * 60_i64 {
        let now = minute * 60_000;
        request_count += 600;
        error_count += u64::from(numbers.below(5) == 0);
        let _ = store.append(&errors, now, error_count as f64);
        let _ = store.append(&requests, now, f64::from(request_count));
        for (labels, expr) in &recording {
            let output = engine.instant_expr(&store, expr, now).expect("valid");
            evaluations += 1;
            for sample in output.value.into_vector().unwrap_or_default() {
                if let Some(value) = sample.value.as_float() {
                    let _ = store.append(labels, now, value);
                }
            }
        }
        for expr in &alerts {
            engine.instant_expr(&store, expr, now).expect("valid");
            evaluations += 1;
        }
    }
    report(
        &format!("thirty days of SLO rules, {evaluations} evaluations"),
        &start,
    );
}

fn many_series(count: usize) {
    let mut store = Store::new(StoreConfig::default());
    let mut numbers = Numbers(3);
    let hour = 3_600_000;
    for index in 0..count {
        let labels = Labels::new([
            ("__name__", "x_bucket".to_owned()),
            ("l", (index % 20).to_string()),
            ("instance", (index / 10).to_string()),
            ("job", "api".to_owned()),
            (
                "le",
                ["0.1", "0.2", "0.5", "1", "2", "5", "10", "20", "50", "+Inf"][index % 10]
                    .to_owned(),
            ),
        ]);
        let mut value = 0;
        for at in (0..=2 * hour).step_by(15_000) {
            value += numbers.below(50);
            let _ = store.append(&labels, at, value as f64);
        }
    }
    let engine = Engine::new(EngineConfig::default());
    for query in [
        "sum by (l) (rate(x_bucket[5m]))",
        "histogram_quantile(0.9, sum by (le, l) (rate(x_bucket[5m])))",
        "histogram_quantile(0.9, rate(x_bucket[5m]))",
    ] {
        let rounds = 20;
        let start = Cpu::now();
        for _ in 0..rounds {
            let output = engine.instant(&store, query, 2 * hour).expect("valid");
            assert!(matches!(output.value, Value::Vector(samples) if !samples.is_empty()));
        }
        println!(
            "{count} series, instant {query}: {:.2} ms",
            start.elapsed_ms() / f64::from(rounds)
        );
        let start = Cpu::now();
        engine
            .range(&store, query, hour, 2 * hour, 15_000)
            .expect("valid");
        report(&format!("{count} series, 1 h at 15 s {query}"), &start);
    }
}

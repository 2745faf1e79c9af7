//! Ours beside Prometheus: both as processes on loopback, with the same data over the same protocols.
//!
//! `cargo bench --bench beside_prometheus` runs every part; `-- queries`, `scrape`, `ready`, `replay` or `rules` runs one. Where the
//! program `prometheus` is not installed, one line says so and ours runs alone. CPU time is the process's own, from /proc, which
//! the load of other processes disturbs least; the quotient is ours by theirs. A start waits for nothing but a core: the 34 MB of log of
//! an hour of 10,000 series are read in 7 ms, and what its time has beyond its CPU the scheduler counts as waiting to run.
//!
//! Measured beside Debian's Prometheus 2.42.0 on two shared cores with a load of 15, so that CPU says more than time:
//!
//! | part | ours | Prometheus | quotient |
//! |---|---|---|---|
//! | queries of 1,000 and 10,000 series, instant, over HTTP | 1.3 to 13 ms of CPU | 11 to 91 ms | 0.12 to 0.15 (time: 0.06 to 0.21) |
//! | the same over an hour at 15 s steps | 15 to 147 ms of CPU | 51 to 487 ms | 0.28 to 0.34 (time: 0.30 to 0.38) |
//! | scraping 100,000 series each second, written to disk | 54 ms of CPU each second | 116 ms | 0.46 |
//! | memory of a live series, buffers of scrapes included | 1,500 to 1,565 B | 2,840 to 3,190 B | 0.5 |
//! | ready, without data | 16 to 28 ms | 85 to 135 ms | 0.2 |
//! | kill -9, ready with an hour of 10,000 series again | 140 to 220 ms of CPU, 0.2 to 0.4 s | 290 to 310 ms of CPU, 0.3 to 0.4 s | 0.5 to 0.7 |
//! | unit tests of five SLO windows, 1, 3 and 30 days | 50, 110, 700 ms of CPU | 1.8 s, 8.2 s, fails after 25 s | 0.03, 0.01, - |
#![expect(clippy::print_stdout, reason = "the figures are the result")]

mod data;
mod process;
mod queries;
mod rules;
mod scrape;
mod start;

use std::path::PathBuf;
use std::time::Duration;

use gameday_env::{Mode, Sim, SimConfig};
use process::{Kind, installed};

/// A part: its name and what runs it.
type Part = (&'static str, fn(&Sim, &[Kind]));

const PARTS: &[Part] = &[
    ("ready", start::ready),
    ("queries", queries::run),
    ("scrape", scrape::run),
    ("replay", start::replay),
    ("rules", rules::run),
];

fn main() {
    // cargo adds `--bench`.
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let sim = Sim::new(&SimConfig {
        mode: Mode::Real,
        seed: 1,
        watchdog: Duration::MAX,
    })
    .expect("the operating system grants a runtime");
    let kinds: &[Kind] = if installed() {
        &[Kind::Gameday, Kind::Prometheus]
    } else {
        println!("prometheus is not installed: ours runs alone");
        &[Kind::Gameday]
    };
    for (name, run) in PARTS {
        if wanted.is_empty() || wanted.iter().any(|own| own == name) {
            println!("{name}:");
            run(&sim, kinds);
        }
    }
}

/// A folder of this bench that is empty.
fn fresh_folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join("beside-prometheus")
        .join(name);
    // It is not there the first time.
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("the bench can write into the target folder");
    folder
}

/// Prints a figure of both, theirs and the quotient where there is one.
fn compare(what: &str, unit: &str, figures: &[f64]) {
    match figures {
        [ours, theirs] => println!(
            "  {what:<66} {ours:>9.2} {unit:<3} prometheus {theirs:>9.2} {unit:<3} quotient {:.2}",
            ours / theirs
        ),
        [ours] => println!("  {what:<66} {ours:>9.2} {unit}"),
        _ => {}
    }
}

/// The middle one.
fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

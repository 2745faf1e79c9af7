//! Six virtual hours at 10 requests/s, all rules evaluated every 15 s: at most 6 s of CPU. Says where the time goes.
//!
//! Run with `cargo bench --bench six_hours`. The share of the rules and scrapes is that of a run with almost no requests; the rest are
//! requests with their telemetry.

use std::path::{Path, PathBuf};

use gameday::RunOptions;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// CPU seconds of this process so far, user and system, from /proc/self/stat (fields 14 and 15, in hundredths of a second).
fn cpu_secs() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let field = |index: usize| {
        after_name
            .split(' ')
            .nth(index)
            .and_then(|text| text.parse::<f64>().ok())
    };
    // The name is field 2, so field 14 is the 12th after it.
    (field(11).unwrap_or_default() + field(12).unwrap_or_default()) / 100.0
}

fn write_game_day(root: &Path, requests_per_second: f64) {
    let scenario = format!(
        "title: Six hours\nload:\n  requests_per_second: {requests_per_second}\n  mix:\n    - {{path: /api/checkout, weight: 5}}\n    - {{path: /api/users, weight: 3}}\n    - {{path: /, weight: 2}}\n"
    );
    let feature = "Feature: six hours\n  Scenario: quiet\n    Given the game day \"six-hours\"\n    And the stack is quiet for 6 hours\n";
    let dir = root.join("scenarios/six-hours");
    let written = std::fs::create_dir_all(&dir)
        .and_then(|()| std::fs::create_dir_all(root.join("features")))
        .and_then(|()| std::fs::write(dir.join("scenario.yaml"), scenario))
        .and_then(|()| std::fs::write(root.join("features/six-hours.feature"), feature));
    written.expect("the bench can write into the target folder");
}

fn play(requests_per_second: f64) -> f64 {
    let root = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("six-hours");
    write_game_day(&root, requests_per_second);
    let before = cpu_secs();
    let played =
        gameday::play_named(&RunOptions::new(&root), "six-hours").expect("it can be played");
    gameday::assert_held(&played);
    cpu_secs() - before
}

#[expect(clippy::print_stdout, reason = "a bench tells its figures")]
fn main() {
    let idle = play(0.02);
    let full = play(10.0);
    println!("six virtual hours at 10 requests/s: {full:.2} s of CPU (at most 6 s are the goal)");
    println!("  scrapes and rules alone:          {idle:.2} s");
    println!(
        "  216,000 requests with telemetry:  {:.2} s ({:.1} µs each)",
        full - idle,
        (full - idle) / 0.216
    );
}

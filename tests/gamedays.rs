//! Plays every feature of the repository in virtual time, and proves that the same seed gives the same bytes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::path::{Path, PathBuf};
use std::process::Command;

use gameday::timeline::render_json;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every feature is played; a new one needs no line here.
#[test]
fn every_game_day_holds() {
    let names = gameday::runner::feature_names(&root());
    assert!(!names.is_empty());
    let played = gameday_env::side_by_side(&names, |name| gameday::play(root(), name));
    for (name, outcome) in names.iter().zip(played) {
        let feature = outcome.unwrap_or_else(|failure| panic!("{name}: {failure}"));
        gameday::assert_held(&feature);
    }
}

/// The report of the latency game day, byte for byte, from this process.
fn report_here() -> String {
    let played = gameday::play(root(), "latency-injection").unwrap();
    render_json(&played.record)
}

/// The same from a process of its own.
fn report_elsewhere(out: &Path) -> String {
    let status = Command::new(env!("CARGO_BIN_EXE_gameday"))
        .args([
            "--root",
            env!("CARGO_MANIFEST_DIR"),
            "run",
            "latency-injection",
            "--quiet",
            "--out",
        ])
        .arg(out)
        .output()
        .unwrap();
    assert!(
        status.status.success(),
        "{}",
        String::from_utf8_lossy(&status.stdout)
    );
    std::fs::read_to_string(out.join("latency-injection/report.json")).unwrap()
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let out = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let (first, second) = (report_here(), report_here());
    assert!(first == second, "two runs in one process differ");
    assert!(
        first == report_elsewhere(&out.join("one")),
        "a run in another process differs"
    );
}

//! `gameday init`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::say;
use crate::failure::Failure;

/// Options of `gameday init`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Where the project goes; existing files are left alone.
    #[arg(value_name = "DIR", default_value = ".")]
    dir: PathBuf,
}

/// The game day of the starter: this project's own, so that it passes as it is.
const SCENARIO: &str = include_str!("../../scenarios/latency-injection/scenario.yaml");
const FEATURE: &str = include_str!("../../features/latency-injection.feature");
const TEST: &str = "//! Plays every game day of this project in virtual time.\n\n#[test]\nfn latency_injection() {\n    let played = gameday::play(env!(\"CARGO_MANIFEST_DIR\"), \"latency-injection\").expect(\"it can be played\");\n    gameday::assert_held(&played);\n}\n";
const CI: &str = "# Plays every game day on each push: no Docker, no services, a minute.\nname: game days\non: [push, pull_request]\njobs:\n  gamedays:\n    runs-on: ubuntu-latest\n    steps:\n      - uses: actions/checkout@v4\n      - run: cargo install gameday\n      - run: gameday check\n      - run: gameday run --all\n      - uses: actions/upload-artifact@v4\n        if: always()\n        with:\n          name: game-day-reports\n          path: reports/out\n";

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let config = "scenarios/latency-injection/config";
    // The scenario of the project tests the files that lie beside it, which are the team's to change.
    let scenario = SCENARIO.replacen("\nload:", "\nconfig: config\n\nload:", 1);
    let mut files: Vec<(String, String)> = vec![
        (
            "scenarios/latency-injection/scenario.yaml".to_owned(),
            scenario,
        ),
        (
            "features/latency-injection.feature".to_owned(),
            FEATURE.to_owned(),
        ),
        ("tests/gameday.rs".to_owned(), TEST.to_owned()),
        (".github/workflows/gamedays.yml".to_owned(), CI.to_owned()),
    ];
    let defaults = gameday_server::DEFAULT_FILES.iter();
    files.extend(defaults.map(|(name, text)| (format!("{config}/{name}"), (*text).to_owned())));
    let mut written = 0;
    for (name, text) in files {
        let path = args.dir.join(&name);
        if path.exists() {
            say(format!("kept    {}", path.display()))?;
            continue;
        }
        write(&path, &text)?;
        say(format!("written {}", path.display()))?;
        written += 1;
    }
    let place = if args.dir == Path::new(".") {
        String::new()
    } else {
        format!("--root {} ", args.dir.display())
    };
    say(format!(
        "{written} files written; now play it: gameday {place}run latency-injection"
    ))?;
    Ok(ExitCode::SUCCESS)
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let failed =
        |error: std::io::Error| Failure::usage(format!("cannot write {}: {error}", path.display()));
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(failed)?;
    }
    std::fs::write(path, text).map_err(failed)
}

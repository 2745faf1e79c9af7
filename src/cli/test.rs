//! `gameday test`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::say;
use crate::failure::{Failure, FailureKind};

/// Unit tests of what is under test.
#[derive(clap::Subcommand)]
pub(super) enum TestCommand {
    /// Runs promtool's unit tests of rules, without promtool's limit of samples.
    Rules(RulesArgs),
    /// Tests which receivers alerts reach, what keeps them quiet, and which messages are sent when.
    Routes(RoutesArgs),
}

/// Options of `gameday test rules`.
#[derive(clap::Args)]
pub(super) struct RulesArgs {
    /// The test files.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Alerts may have more labels and annotations than a test expects.
    #[arg(long)]
    subset: bool,
    /// Only tests whose name matches this regular expression; may be given several times.
    #[arg(long, value_name = "REGEX")]
    run: Vec<String>,
    /// Writes the results as JUnit XML too.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

/// Options of `gameday test routes`.
#[derive(clap::Args)]
pub(super) struct RoutesArgs {
    /// The test files.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The configuration that is tested.
    #[arg(long, value_name = "FILE", default_value = "alertmanager.yml")]
    config: PathBuf,
    /// Writes the results as JUnit XML too.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

pub(super) fn run(command: TestCommand) -> Result<ExitCode, Failure> {
    let (outcome, junit) = match command {
        TestCommand::Rules(args) => {
            let outcome = gameday_server::test_rules(&args.files, args.subset, args.run);
            (outcome.map_err(Failure::scenario)?, args.junit)
        }
        TestCommand::Routes(args) => {
            let outcome = gameday_server::test_routes(&args.config, &args.files);
            (outcome.map_err(Failure::scenario)?, args.junit)
        }
    };
    say(outcome.text.trim_end())?;
    if let Some(path) = junit {
        write(&path, &outcome.junit)?;
    }
    Ok(if outcome.passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FailureKind::Assertion.exit_code())
    })
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text)
        .map_err(|error| Failure::usage(format!("cannot write {}: {error}", path.display())))
}

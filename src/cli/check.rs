//! `gameday check`.

use std::path::Path;
use std::process::ExitCode;

use super::say;
use crate::checking::{self, CheckReport};
use crate::failure::{Failure, FailureKind};
use crate::timeline::KnownAlert;

/// Options of `gameday check`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The game days to check; all where none is named.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

pub(super) fn run(root: &Path, args: &Args) -> Result<ExitCode, Failure> {
    let report = checking::check(root, &args.names)?;
    for error in &report.errors {
        say(format!("error: {error}"))?;
    }
    for warning in &report.warnings {
        say(format!("warning: {warning}"))?;
    }
    let CheckReport {
        errors,
        warnings,
        checked,
        never_fired,
        ..
    } = &report;
    if !never_fired.is_empty() {
        say(format!(
            "alerts that no game day makes fire: {}",
            never_fired.join(", ")
        ))?;
    }
    say(format!(
        "{checked} game days checked, {} errors, {} warnings",
        errors.len(),
        warnings.len()
    ))?;
    Ok(if errors.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FailureKind::Scenario.exit_code())
    })
}

/// Every alert that is under test in some game day of `root`.
pub(super) fn known_alerts(root: &Path) -> Result<Vec<KnownAlert>, Failure> {
    Ok(checking::check(root, &[])?.alerts)
}

//! `gameday steps`.

use std::process::ExitCode;

use super::say;
use crate::failure::Failure;
use crate::steps::{self, StepKind};

pub(super) fn run() -> Result<ExitCode, Failure> {
    for (kind, word) in [
        (StepKind::Given, "Given"),
        (StepKind::When, "When"),
        (StepKind::Then, "Then"),
    ] {
        say(word)?;
        for step in steps::all().filter(|step| step.kind == kind) {
            say(format!("  {}", step.pattern))?;
            say(format!("      {}", step.doc))?;
            say(format!("      for example: {word} {}", step.example))?;
        }
    }
    say(
        "\nDurations are words (6 minutes, 1 hour 30 minutes) or short (1h30m). What stands in ( ) may be left out.",
    )?;
    Ok(ExitCode::SUCCESS)
}

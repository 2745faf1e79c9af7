//! `gameday faults`.

use std::process::ExitCode;

use super::say;
use crate::failure::Failure;

pub(super) fn run() -> Result<ExitCode, Failure> {
    for kind in fake_service::FAULTS {
        say(format!("{}: {}", kind.name, kind.summary))?;
        for setting in kind.settings {
            say(format!("    {:<14} {}", setting.name, setting.summary))?;
        }
        say(format!("    for example: {}", kind.example))?;
    }
    say("\nEvery fault has a lease in scenario.yaml and undoes itself when it runs out.")?;
    Ok(ExitCode::SUCCESS)
}

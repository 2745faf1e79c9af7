//! `gameday faults`.

use std::process::ExitCode;

use fake_service::Setting;

use super::say;
use crate::failure::Failure;
use crate::faults::RECEIVER_FAULTS;

pub(super) fn run() -> Result<ExitCode, Failure> {
    say("Faults of a service (`service:` in scenario.yaml):\n")?;
    for kind in fake_service::FAULTS {
        print(kind.name, kind.summary, kind.settings, kind.example)?;
    }
    say("\nFaults of a receiver of notifications (`receiver:` in scenario.yaml):\n")?;
    for kind in RECEIVER_FAULTS {
        print(kind.name, kind.summary, kind.settings, kind.example)?;
    }
    say("\nEvery fault has a lease in scenario.yaml and undoes itself when it runs out.")?;
    Ok(ExitCode::SUCCESS)
}

fn print(name: &str, summary: &str, settings: &[Setting], example: &str) -> Result<(), Failure> {
    say(format!("{name}: {summary}"))?;
    for setting in settings {
        say(format!("    {:<14} {}", setting.name, setting.summary))?;
    }
    say(format!("    for example: {example}"))
}

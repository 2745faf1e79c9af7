//! `gameday list`.

use std::path::Path;
use std::process::ExitCode;

use super::say;
use crate::failure::Failure;
use crate::runner::feature_names;
use crate::scenario::Scenario;

pub(super) fn run(root: &Path) -> Result<ExitCode, Failure> {
    let names = feature_names(root);
    if names.is_empty() {
        return Err(Failure::scenario(format!(
            "no game day in {}",
            root.join("features").display()
        ))
        .hinted("`gameday init DIR` writes a starter project"));
    }
    let width = names.iter().map(String::len).max().unwrap_or_default();
    for name in names {
        let title = match Scenario::load(root, &name) {
            Ok(scenario) => scenario.settings.title,
            Err(_) => "(no scenario of that name: see `gameday check`)".to_owned(),
        };
        say(format!("{name:<width$}  {title}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

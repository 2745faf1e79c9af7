//! loki.yaml, as far as the stack obeys it: where the ruler finds its rules, and how often it evaluates them.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use super::ConfigError;
use super::values::duration;

/// The folder of rule files where loki.yaml names none.
const RULES_DEFAULT: &str = "loki/rules";

/// What the ruler of a loki.yaml is told. Other sections are passed over: they say how a Loki is run, not what it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LokiConfig {
    /// The folder that has the rule files, or a folder of them for each tenant
    /// (`ruler.storage.local.directory`, or `ruler_storage.local.directory`).
    pub rules_directory: String,
    /// Whether a file has named the folder, so that it has to be there.
    pub is_named: bool,
    /// How often groups are evaluated that do not say it themselves (`ruler.evaluation_interval`, 1m).
    pub evaluation_interval: Duration,
}

impl Default for LokiConfig {
    fn default() -> Self {
        Self {
            rules_directory: RULES_DEFAULT.to_owned(),
            is_named: false,
            evaluation_interval: default_interval(),
        }
    }
}

/// Loki's default.
fn default_interval() -> Duration {
    Duration::from_secs(60)
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct File {
    ruler: Option<Ruler>,
    ruler_storage: Option<Storage>,
}

#[derive(Deserialize)]
#[serde(default)]
struct Ruler {
    storage: Option<Storage>,
    #[serde(deserialize_with = "duration")]
    evaluation_interval: Duration,
}

impl Default for Ruler {
    fn default() -> Self {
        Self {
            storage: None,
            evaluation_interval: default_interval(),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Storage {
    local: Option<Local>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Local {
    directory: Option<String>,
}

impl LokiConfig {
    /// Reads a configuration; `file` names it in errors.
    ///
    /// # Errors
    /// Where it is no YAML, or a key that is obeyed has a value of the wrong kind, with the place.
    pub fn parse(file: &str, text: &str) -> Result<Self, ConfigError> {
        let read: File = gameday_yaml::from_file(file, text)?;
        let ruler = read.ruler.unwrap_or_default();
        let directory = ruler
            .storage
            .into_iter()
            .chain(read.ruler_storage)
            .find_map(|storage| storage.local?.directory)
            .filter(|directory| !directory.is_empty());
        Ok(Self {
            is_named: directory.is_some(),
            rules_directory: directory.unwrap_or_else(|| RULES_DEFAULT.to_owned()),
            evaluation_interval: ruler.evaluation_interval,
        })
    }

    /// The patterns of the rule files: those of the folder itself and those of its tenants.
    pub(crate) fn patterns(&self, folder: &Path) -> Result<Vec<String>, String> {
        let directory = folder.join(&self.rules_directory);
        if !directory.is_dir() {
            return if self.is_named {
                Err(format!(
                    "ruler.storage.local.directory: {}: no such folder (a relative path starts at the folder of the file)",
                    directory.display()
                ))
            } else {
                Ok(Vec::new())
            };
        }
        let mut folders = vec![directory.clone()];
        let entries = std::fs::read_dir(&directory)
            .map_err(|error| format!("cannot read {}: {error}", directory.display()))?;
        folders.extend(
            entries
                .flatten()
                .map(|entry| entry.path())
                .filter(|path| path.is_dir()),
        );
        let of = |folder: &std::path::PathBuf| {
            ["*.yml", "*.yaml"].map(|name| folder.join(name).display().to_string())
        };
        Ok(folders.iter().flat_map(of).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ruler_is_read_and_the_rest_passed_over() {
        let text = "auth_enabled: false\nserver: {http_listen_port: 3100}\nruler:\n  storage:\n    type: local\n    local: {directory: rules/loki}\n  evaluation_interval: 30s\n  alertmanager_url: http://alertmanager:9093\n";
        let config = LokiConfig::parse("loki.yaml", text).expect("valid");
        assert_eq!(config.rules_directory, "rules/loki");
        assert_eq!(config.evaluation_interval, Duration::from_secs(30));
        let newer = "ruler_storage: {backend: local, local: {directory: r}}\n";
        let config = LokiConfig::parse("loki.yaml", newer).expect("valid");
        assert_eq!(
            (config.rules_directory.as_str(), config.is_named),
            ("r", true)
        );
        assert_eq!(
            LokiConfig::parse("loki.yaml", "# nothing\n"),
            Ok(LokiConfig::default())
        );
        let wrong = LokiConfig::parse("loki.yaml", "ruler:\n  evaluation_interval: often\n");
        let error = wrong.expect_err("no duration").to_string();
        assert!(error.starts_with("loki.yaml:2:"), "{error}");
    }
}

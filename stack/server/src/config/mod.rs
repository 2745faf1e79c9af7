//! prometheus.yml, as Prometheus 3 reads it.
//!
//! Unknown keys are refused with their place and the nearest known key. Keys that Prometheus knows and this stack does not obey (service
//! discovery other than static and file, remote read, tracing) are read and named in [`PrometheusConfig::warnings`], so that
//! a team's own file loads unchanged and nobody takes silence for obedience.

mod http;
mod loki;
mod scrape;
mod sections;
mod values;

use std::collections::BTreeSet;

use gameday_signal::Labels;
use gameday_yaml::from_file;
use serde::Deserialize;

/// Why a configuration is refused.
pub use gameday_yaml::FileError as ConfigError;

pub use http::{
    Authorization, BasicAuth, HeaderConfig, HttpClientConfig, OAuth2Config, ProxyConfig, ReadFile,
    Secret, TlsConfig,
};
pub use loki::LokiConfig;
pub use scrape::{
    FileSdConfig, NameEscaping, NameValidation, ScrapeConfig, ScrapeProtocol, StaticConfig,
};
pub use sections::{
    AlertingConfig, AlertmanagerConfig, ExemplarsConfig, Global, MetadataConfig, OtlpConfig,
    QueueConfig, RemoteWriteConfig, StorageConfig, TsdbConfig,
};
use values::Ignored;

/// A configuration, with all defaults filled in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PrometheusConfig {
    /// What holds for everything.
    pub global: Global,
    /// The rule files, as patterns relative to this file.
    pub rule_files: Vec<String>,
    /// What is scraped.
    pub scrape_configs: Vec<ScrapeConfig>,
    /// Where alerts go.
    pub alerting: AlertingConfig,
    /// Where samples are sent.
    pub remote_write: Vec<RemoteWriteConfig>,
    /// How OTLP metrics are mapped.
    pub otlp: OtlpConfig,
    /// How samples are kept.
    pub storage: StorageConfig,
    /// What was read and is not obeyed, one sentence each.
    pub warnings: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    global: Option<Global>,
    rule_files: Option<Vec<String>>,
    scrape_config_files: Option<Vec<String>>,
    scrape_configs: Option<Vec<ScrapeConfig>>,
    alerting: Option<AlertingConfig>,
    remote_write: Option<Vec<RemoteWriteConfig>>,
    otlp: Option<OtlpConfig>,
    storage: Option<StorageConfig>,
    remote_read: Option<Ignored>,
    tracing: Option<Ignored>,
    runtime: Option<Ignored>,
}

impl PrometheusConfig {
    /// Reads a configuration; `file` names it in errors.
    ///
    /// # Errors
    /// Where Prometheus would refuse it: bad YAML, an unknown key, a value of the wrong kind, a contradiction.
    pub fn parse(file: &str, text: &str) -> Result<Self, ConfigError> {
        let whole = |reason: String| ConfigError::Whole {
            file: file.to_owned(),
            reason,
        };
        Self::resolve(from_file(file, text)?).map_err(whole)
    }

    fn resolve(file: File) -> Result<Self, String> {
        let mut warnings = Vec::new();
        for (key, given) in [
            ("remote_read", file.remote_read.is_some()),
            ("tracing", file.tracing.is_some()),
        ] {
            if given {
                warnings.push(format!("{key} is read and not obeyed"));
            }
        }
        if file
            .scrape_config_files
            .as_ref()
            .is_some_and(|list| !list.is_empty())
        {
            warnings.push("scrape_config_files is read and not obeyed".to_owned());
        }
        let global = file.global.unwrap_or_default().resolve(&mut warnings)?;
        let mut scrape_configs = file.scrape_configs.unwrap_or_default();
        let mut names = BTreeSet::new();
        for own in &mut scrape_configs {
            own.resolve(&global, &mut warnings)?;
            if !names.insert(own.job_name.clone()) {
                return Err(format!(
                    "found multiple scrape configs with job name {:?}",
                    own.job_name
                ));
            }
        }
        let mut alerting = file.alerting.unwrap_or_default();
        for (index, own) in alerting.alertmanagers.iter_mut().enumerate() {
            own.check(index, &mut warnings)?;
        }
        let mut remote_write = file.remote_write.unwrap_or_default();
        let mut names = BTreeSet::new();
        for (index, own) in remote_write.iter_mut().enumerate() {
            own.check(index, &mut warnings)?;
            if !own.name.is_empty() && !names.insert(own.name.clone()) {
                return Err(format!(
                    "found multiple remote write configs with job name {:?}",
                    own.name
                ));
            }
        }
        let otlp = file.otlp.unwrap_or_default().resolve(&mut warnings)?;
        let storage = file.storage.unwrap_or_default();
        storage.warn(&mut warnings);
        Ok(Self {
            global,
            rule_files: file.rule_files.unwrap_or_default(),
            scrape_configs,
            alerting,
            remote_write,
            otlp,
            storage,
            warnings,
        })
    }

    /// Divides every duration by `divisor`, down to a millisecond: a run in real time with compressed time.
    pub fn scale_durations(&mut self, divisor: f64) {
        self.global.scale_durations(divisor);
        for own in &mut self.scrape_configs {
            own.scale_durations(divisor);
        }
        for own in &mut self.alerting.alertmanagers {
            own.scale_durations(divisor);
        }
        for own in &mut self.remote_write {
            own.scale_durations(divisor);
        }
        self.storage.scale_durations(divisor);
    }

    /// Puts the values of environment variables into the external labels where `$NAME` or `${NAME}` stands for one, as Prometheus 3
    /// does; `$$` is a dollar sign. A variable that is not set is an empty text and a warning.
    pub fn expand_external_labels(&mut self, lookup: &dyn Fn(&str) -> Option<String>) {
        let labels = &self.global.external_labels;
        if !labels.iter().any(|(_, value)| value.contains('$')) {
            return;
        }
        let mut expanded = labels.to_builder();
        for (name, value) in labels.iter() {
            let value = expand(value, &mut |variable| {
                lookup(variable).unwrap_or_else(|| {
                    self.warnings.push(format!(
                        "external label {name:?}: the environment variable {variable:?} is not set"
                    ));
                    String::new()
                })
            });
            expanded.set(name, &value);
        }
        self.global.external_labels = expanded.build();
    }

    /// The labels that mark this server when its data leaves it.
    pub fn external_labels(&self) -> &Labels {
        &self.global.external_labels
    }
}

/// Replaces variables (Go's os.Expand): a name in braces, or letters, digits and underscores. A dollar sign that no name follows stays.
fn expand(text: &str, value_of: &mut dyn FnMut(&str) -> String) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let braced = after
            .strip_prefix('{')
            .and_then(|inner| inner.split_once('}'));
        if let Some((name, behind)) = braced {
            if !name.is_empty() {
                out.push_str(&value_of(name));
            }
            rest = behind;
            continue;
        }
        if let Some(behind) = after.strip_prefix('$') {
            out.push('$');
            rest = behind;
            continue;
        }
        let end = after
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .unwrap_or(after.len());
        let (name, behind) = after.split_at(end);
        if name.is_empty() {
            out.push('$');
        } else {
            out.push_str(&value_of(name));
        }
        rest = behind;
    }
    out + rest
}

#[cfg(test)]
mod tests;

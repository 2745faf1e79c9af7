//! The files under test: prometheus.yml, loki.yaml, their rule files, alertmanager.yml and its templates, from a folder or embedded.

use std::path::{Path, PathBuf};

use gameday_alerts::{
    Alertmanager, Config as AlertmanagerConfig, Options as AlertOptions, Templates,
};
use gameday_board::Datasources;
use gameday_rules::{Language, NameValidation, ParseOptions, RuleFile, parse_rule_file};

use gameday_signal::Labels;

use crate::collector::{self, CollectorConfig};
use crate::config::{LokiConfig, PrometheusConfig};
use crate::rule_backend::Checker;

/// An embedded file: its name below the folder, and its text.
type Embedded = (&'static str, &'static str);

/// The defaults, as `gameday init` writes them out.
pub const DEFAULT_FILES: &[Embedded] = &[
    ("prometheus.yml", include_str!("../defaults/prometheus.yml")),
    (
        "alertmanager.yml",
        include_str!("../defaults/alertmanager.yml"),
    ),
    (
        "datasources.yml",
        include_str!("../defaults/datasources.yml"),
    ),
    (
        "rules/golden-signals.yml",
        include_str!("../defaults/rules/golden-signals.yml"),
    ),
    (
        "rules/slo-availability.yml",
        include_str!("../defaults/rules/slo-availability.yml"),
    ),
    (
        "rules/slo-latency.yml",
        include_str!("../defaults/rules/slo-latency.yml"),
    ),
    (
        "templates/gameday.tmpl",
        include_str!("../defaults/templates/gameday.tmpl"),
    ),
    (
        "runbooks/availability-burn.md",
        include_str!("../defaults/runbooks/availability-burn.md"),
    ),
    (
        "runbooks/high-cpu.md",
        include_str!("../defaults/runbooks/high-cpu.md"),
    ),
    (
        "runbooks/high-error-rate.md",
        include_str!("../defaults/runbooks/high-error-rate.md"),
    ),
    (
        "runbooks/high-latency.md",
        include_str!("../defaults/runbooks/high-latency.md"),
    ),
    (
        "runbooks/high-memory.md",
        include_str!("../defaults/runbooks/high-memory.md"),
    ),
    (
        "runbooks/latency-burn.md",
        include_str!("../defaults/runbooks/latency-burn.md"),
    ),
    (
        "runbooks/service-down.md",
        include_str!("../defaults/runbooks/service-down.md"),
    ),
    (
        "runbooks/traffic-dropped.md",
        include_str!("../defaults/runbooks/traffic-dropped.md"),
    ),
];

/// A file may have this many bytes.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// A pattern of rule_files may match this many files.
const MATCHES_MAX: usize = 10_000;

/// A file with its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceText {
    /// Its path, as the user would name it.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// The files under test.
#[derive(Clone, Debug)]
pub struct StackFiles {
    /// The folder they were read from; none for the embedded ones.
    folder: Option<PathBuf>,
    /// prometheus.yml.
    pub prometheus: SourceText,
    /// alertmanager.yml.
    pub alertmanager: SourceText,
    /// The rule files that prometheus.yml names, in the order of their names.
    pub rules: Vec<SourceText>,
    /// loki.yaml, where the folder brings one.
    pub loki: Option<SourceText>,
    /// The rule files of Loki's ruler, in the order of their names.
    pub logql_rules: Vec<SourceText>,
    /// The templates that alertmanager.yml names.
    pub templates: Vec<SourceText>,
    /// collector.yaml; none for the default pipelines.
    pub collector: Option<SourceText>,
    /// The links between data sources, in Grafana's provisioning form.
    pub datasources: SourceText,
    /// What every duration is divided by.
    compress: Option<u32>,
}

/// The routes of an alertmanager.yml, for checks.
pub struct RouteCheck(Alertmanager);

impl RouteCheck {
    /// The receivers that would notify somebody of an alert with these labels: those without an integration are left out.
    pub fn receivers_of(&self, labels: &Labels) -> Vec<String> {
        self.0.receivers_of(labels)
    }
}

impl StackFiles {
    /// The embedded defaults.
    pub fn embedded() -> Self {
        let of = |name: &str| {
            let text = DEFAULT_FILES
                .iter()
                .find(|(own, _)| *own == name)
                .map_or("", |(_, text)| text);
            SourceText {
                path: name.to_owned(),
                text: text.to_owned(),
            }
        };
        let below = |prefix: &str| {
            let names = DEFAULT_FILES.iter().map(|(name, _)| *name);
            names
                .filter(|name| name.starts_with(prefix))
                .map(of)
                .collect()
        };
        Self {
            folder: None,
            prometheus: of("prometheus.yml"),
            alertmanager: of("alertmanager.yml"),
            rules: below("rules/"),
            loki: None,
            logql_rules: Vec::new(),
            templates: below("templates/"),
            collector: None,
            datasources: of("datasources.yml"),
            compress: None,
        }
    }

    /// The files of a folder under their usual names. A missing prometheus.yml or alertmanager.yml is the embedded one; the rule
    /// files are those that prometheus.yml names, or `rules/*.yml` where the folder brings no prometheus.yml. LogQL rules lie in the
    /// folder that loki.yaml names (`ruler.storage.local.directory`), or in `loki/rules`: there, or in a folder for each tenant.
    ///
    /// # Errors
    /// Where a file cannot be read, or prometheus.yml, loki.yaml or alertmanager.yml is invalid.
    pub fn load(folder: &Path) -> Result<Self, String> {
        let mut files = Self {
            folder: Some(folder.to_path_buf()),
            ..Self::embedded()
        };
        files.reread()?;
        Ok(files)
    }

    fn reread(&mut self) -> Result<(), String> {
        self.reread_prometheus()?;
        self.reread_alertmanager()
    }

    /// The folder, which must be there; none for the embedded files.
    fn existing_folder(&self) -> Result<Option<PathBuf>, String> {
        match &self.folder {
            Some(folder) if !folder.is_dir() => {
                Err(format!("{}: no such folder", folder.display()))
            }
            folder => Ok(folder.clone()),
        }
    }

    /// Reads prometheus.yml and its rule files again; the embedded ones stay as they are.
    pub(crate) fn reread_prometheus(&mut self) -> Result<(), String> {
        let Some(folder) = self.existing_folder()? else {
            return Ok(());
        };
        let embedded = Self::embedded();
        self.prometheus = read_or(&folder.join("prometheus.yml"), &embedded.prometheus)?;
        let collector = folder.join("collector.yaml");
        self.collector = collector.is_file().then(|| read(&collector)).transpose()?;
        self.datasources = read_datasources(&folder)?.unwrap_or(embedded.datasources.clone());
        let patterns = self.prometheus_config()?.rule_files;
        self.rules = read_matching(&folder, &patterns)?;
        // A folder that brings no rules of its own is tested with the defaults.
        if self.rules.is_empty() && !folder.join("prometheus.yml").is_file() {
            self.rules = embedded.rules;
        }
        self.loki = ["loki.yaml", "loki.yml"]
            .iter()
            .map(|name| folder.join(name))
            .find(|path| path.is_file())
            .map(|path| read(&path))
            .transpose()?;
        let patterns = self.loki_config()?.patterns(&folder);
        let named = |error| match &self.loki {
            Some(loki) => format!("{}: {error}", loki.path),
            None => error,
        };
        self.logql_rules = read_matching(&folder, &patterns.map_err(named)?)?;
        Ok(())
    }

    /// Reads alertmanager.yml and its templates again; the embedded ones stay as they are.
    pub(crate) fn reread_alertmanager(&mut self) -> Result<(), String> {
        let Some(folder) = self.existing_folder()? else {
            return Ok(());
        };
        let embedded = Self::embedded();
        self.alertmanager = read_or(&folder.join("alertmanager.yml"), &embedded.alertmanager)?;
        let config = AlertmanagerConfig::load(&self.alertmanager.path, &self.alertmanager.text)
            .map_err(|error| error.to_string())?;
        self.templates = if folder.join("alertmanager.yml").is_file() {
            read_matching(&folder, config.templates())?
        } else {
            embedded.templates
        };
        Ok(())
    }

    /// The same files with every duration divided, for a compressed run on the real clock.
    pub(crate) fn compressed(mut self, divisor: Option<u32>) -> Self {
        self.compress = divisor;
        self
    }

    /// prometheus.yml, read.
    ///
    /// # Errors
    /// Where it is invalid, with the place.
    pub fn prometheus_config(&self) -> Result<PrometheusConfig, String> {
        let mut config = PrometheusConfig::parse(&self.prometheus.path, &self.prometheus.text)
            .map_err(|error| error.to_string())?;
        config.expand_external_labels(&gameday_env::environment_variable);
        if let Some(divisor) = self.compress {
            config.scale_durations(f64::from(divisor));
        }
        Ok(config)
    }

    /// loki.yaml, read; the defaults where there is none.
    ///
    /// # Errors
    /// Where it is invalid, with the place.
    pub fn loki_config(&self) -> Result<LokiConfig, String> {
        match &self.loki {
            Some(file) => {
                LokiConfig::parse(&file.path, &file.text).map_err(|error| error.to_string())
            }
            None => Ok(LokiConfig::default()),
        }
    }

    /// alertmanager.yml, read.
    ///
    /// # Errors
    /// Where it is invalid, with the place.
    pub fn alertmanager_config(&self) -> Result<AlertmanagerConfig, String> {
        let mut config = AlertmanagerConfig::load(&self.alertmanager.path, &self.alertmanager.text)
            .map_err(|error| error.to_string())?;
        if let Some(folder) = &self.folder {
            config.resolve_paths(folder);
        }
        if let Some(divisor) = self.compress {
            config.scale_durations(divisor);
        }
        Ok(config)
    }

    /// collector.yaml, read; without one everything goes into the stores, and `span_metrics` says whether metrics are made of spans.
    ///
    /// # Errors
    /// Where it is invalid, with the place.
    pub fn collector_config(&self, span_metrics: bool) -> Result<CollectorConfig, String> {
        let mut config = match &self.collector {
            Some(own) => CollectorConfig::parse(&own.path, &own.text),
            None if span_metrics => CollectorConfig::parse("collector.yaml", collector::DEFAULT),
            None => CollectorConfig::parse("collector.yaml", collector::STORES_ONLY),
        }
        .map_err(|error| error.to_string())?;
        if let Some(divisor) = self.compress {
            config.scale_durations(divisor);
        }
        Ok(config)
    }

    /// The links between metrics, logs and traces, read.
    ///
    /// # Errors
    /// Where the file is invalid, or a link leads to no data source.
    pub fn datasources(&self) -> Result<Datasources, String> {
        let own = &self.datasources;
        // A game day is the same everywhere: no variable of the environment is filled in.
        let read = Datasources::parse(&own.path, &own.text, |_| None)
            .map_err(|error| error.to_string())?;
        let broken = read.broken_links();
        if broken.is_empty() {
            Ok(read)
        } else {
            Err(format!("{}: {}", own.path, broken.join("; ")))
        }
    }

    /// Whether a rule looks at metrics that are made of spans.
    pub fn wants_span_metrics(&self) -> bool {
        self.rules.iter().any(|file| names_span_metrics(&file.text))
    }

    /// Takes this text for collector.yaml.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn with_collector(mut self, path: &Path) -> Result<Self, String> {
        self.collector = Some(read(path)?);
        Ok(self)
    }

    /// The templates of messages, read and checked against the messages of alertmanager.yml.
    ///
    /// # Errors
    /// Where one is invalid, with the place and a hint.
    pub(crate) fn templates(&self, config: &AlertmanagerConfig) -> Result<Templates, String> {
        let files = self
            .templates
            .iter()
            .map(|file| (file.path.as_str(), file.text.as_str()));
        let templates = Templates::new(files).map_err(|problem| problem.to_string())?;
        let problems: Vec<String> = templates
            .check(config)
            .iter()
            .map(ToString::to_string)
            .collect();
        if problems.is_empty() {
            Ok(templates)
        } else {
            Err(problems.join("\n"))
        }
    }

    /// Checks alertmanager.yml and its templates, and gives the routes that alerts would take.
    ///
    /// # Errors
    /// Every mistake with its place.
    pub fn check_alertmanager(&self) -> Result<RouteCheck, String> {
        let config = self.alertmanager_config()?;
        self.templates(&config)?;
        Ok(RouteCheck(Alertmanager::new(
            config,
            AlertOptions::default(),
        )))
    }

    /// The rule files of Prometheus and of Loki's ruler, read.
    ///
    /// # Errors
    /// Every mistake of every file, with its place.
    pub fn rule_files(&self) -> Result<Vec<RuleFile>, String> {
        let mut read = Vec::new();
        let mut problems = Vec::new();
        for file in &self.rules {
            match parse_rule_file(&file.path, &file.text, &Checker, ParseOptions::default()) {
                Ok(parsed) => read.push(parsed),
                Err(error) => problems.push(error.to_string()),
            }
        }
        let interval = self.loki_config()?.evaluation_interval;
        let logql = ParseOptions {
            language: Language::LogQl,
            // Loki keeps to the names of Prometheus 2.
            names: NameValidation::Legacy,
            ..ParseOptions::default()
        };
        for file in &self.logql_rules {
            match parse_rule_file(&file.path, &file.text, &Checker, logql) {
                Ok(mut parsed) => {
                    for group in &mut parsed.groups {
                        group.interval.get_or_insert(interval);
                    }
                    read.push(parsed);
                }
                Err(error) => problems.push(error.to_string()),
            }
        }
        if !problems.is_empty() {
            return Err(problems.join("\n"));
        }
        if let Some(divisor) = self.compress {
            for file in &mut read {
                let scaled = match file.language {
                    Language::PromQl => crate::scale_promql,
                    Language::LogQl => crate::scale_logql,
                };
                let scale = |expr: &str| scaled(expr, divisor).unwrap_or_else(|_| expr.to_owned());
                gameday_rules::scale_durations(file, f64::from(divisor), &scale);
            }
        }
        Ok(read)
    }

    /// The folder that relative names of files start from.
    pub(crate) fn folder(&self) -> PathBuf {
        self.folder.clone().unwrap_or_default()
    }

    /// The text of a runbook: a path below the folder or, for the defaults, an embedded one.
    pub fn runbook(&self, url: &str) -> Option<String> {
        let name = url.split(['#', '?']).next().unwrap_or(url);
        // A link on a code host ends in the path of the file in the repository.
        let local = name
            .rsplit_once("/runbooks/")
            .map_or(name.to_owned(), |(_, rest)| format!("runbooks/{rest}"));
        if let Some(folder) = &self.folder
            && let Ok(text) = std::fs::read_to_string(folder.join(&local))
        {
            return Some(text);
        }
        DEFAULT_FILES
            .iter()
            .find(|(own, _)| *own == local)
            .map(|(_, text)| (*text).to_owned())
    }
}

/// Whether a text names metrics that are made of spans.
pub(crate) fn names_span_metrics(text: &str) -> bool {
    ["traces_spanmetrics_", "traces_service_graph_"]
        .iter()
        .any(|prefix| text.contains(prefix))
}

/// The data sources of a folder: `datasources.yml`, or the first file where Grafana looks for them.
fn read_datasources(folder: &Path) -> Result<Option<SourceText>, String> {
    for name in ["datasources.yml", "datasources.yaml"] {
        let path = folder.join(name);
        if path.is_file() {
            return read(&path).map(Some);
        }
    }
    let patterns = ["yml", "yaml"]
        .map(|ending| format!("grafana/provisioning/datasources/*.{ending}"))
        .to_vec();
    Ok(read_matching(folder, &patterns)?.into_iter().next())
}

fn read_or(path: &Path, fallback: &SourceText) -> Result<SourceText, String> {
    if path.is_file() {
        read(path)
    } else {
        Ok(fallback.clone())
    }
}

pub(crate) fn read(path: &Path) -> Result<SourceText, String> {
    let failed = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > FILE_BYTES_MAX {
        return Err(format!(
            "cannot read {}: it has {size} bytes, the limit is {FILE_BYTES_MAX}",
            path.display()
        ));
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    Ok(SourceText {
        path: path.display().to_string(),
        text,
    })
}

/// The files below `folder` that match the patterns; `*` stands for anything but a slash.
pub(crate) fn read_matching(folder: &Path, patterns: &[String]) -> Result<Vec<SourceText>, String> {
    let mut found = Vec::new();
    for pattern in patterns {
        let absolute = folder.join(pattern);
        let (dir, name) = match (absolute.parent(), absolute.file_name()) {
            (Some(dir), Some(name)) => (dir.to_path_buf(), name.to_string_lossy().into_owned()),
            _ => return Err(format!("invalid file pattern {pattern:?}")),
        };
        if !name.contains('*') {
            found.push(absolute);
            continue;
        }
        let Ok(entries) = std::fs::read_dir(&dir) else {
            continue;
        };
        let matching = entries.flatten().map(|entry| entry.path()).filter(|path| {
            path.is_file()
                && path
                    .file_name()
                    .is_some_and(|own| glob_matches(&name, &own.to_string_lossy()))
        });
        found.extend(matching);
        if found.len() > MATCHES_MAX {
            return Err(format!("{pattern:?} matches more than {MATCHES_MAX} files"));
        }
    }
    found.sort();
    found.dedup();
    found.iter().map(|path| read(path)).collect()
}

/// Whether a name matches a pattern in which `*` stands for any characters.
fn glob_matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match() {
        for (pattern, name, expected) in [
            ("*.yml", "a.yml", true),
            ("*.yml", "a.yaml", false),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "aXc", false),
            ("exact", "exact", true),
        ] {
            assert_eq!(glob_matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn the_embedded_links_lead_from_both_seeds_patterns_and_from_labels_to_a_trace() {
        let links = StackFiles::embedded()
            .datasources()
            .expect("the embedded file is valid");
        let fields = &links.of_kind("loki").expect("there is one").derived_fields;
        let id = "0af7651916cd43dd8448eb211c80319c";
        let first = |line: &str, labels: &[(&str, &str)]| {
            let labels = Labels::new(labels.iter().copied());
            let link = fields.iter().find_map(|field| field.link(line, &labels));
            link.map(|link| link.value)
        };
        for line in [
            format!("x traceID={id} y"),
            format!("trace_id={id}"),
            format!("{{\"trace_id\": \"{id}\"}}"),
            format!("{{\"traceId\":\"{id}\"}}"),
        ] {
            assert_eq!(first(&line, &[]).as_deref(), Some(id), "{line}");
        }
        assert_eq!(first("", &[("trace_id", id)]).as_deref(), Some(id));
        assert_eq!(first("no id", &[("app", "x")]), None);
    }

    #[test]
    fn every_embedded_runbook_is_found_by_its_link() {
        let files = StackFiles::embedded();
        assert!(files.runbook("runbooks/latency-burn.md").is_some());
        assert!(
            files
                .runbook("https://git.example/team/repo/blob/main/runbooks/latency-burn.md#steps")
                .is_some()
        );
        assert!(files.runbook("runbooks/nothing.md").is_none());
    }
}

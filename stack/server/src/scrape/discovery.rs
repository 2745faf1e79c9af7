//! From configuration to targets: static and file discovery, relabelling, addresses.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use gameday_signal::{Labels, LabelsBuilder};

use crate::config::{ScrapeConfig, StaticConfig};
use crate::relabel;

/// A file of targets may be this large.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// The files that match a pattern, with their text, by path.
pub type TargetFiles = BTreeMap<String, Result<String, String>>;

/// Reads the files that match a pattern of `file_sd_configs`, relative to `folder`; the last part of the pattern may hold one `*`.
pub fn read_target_files(folder: &Path, pattern: &str) -> TargetFiles {
    let path = folder.join(pattern);
    let read = |path: &Path| -> Result<String, String> {
        let size = std::fs::metadata(path)
            .map_err(|error| error.to_string())?
            .len();
        if size > FILE_BYTES_MAX {
            return Err(format!(
                "it has {size} bytes, the limit is {FILE_BYTES_MAX}"
            ));
        }
        std::fs::read_to_string(path).map_err(|error| error.to_string())
    };
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let Some((before, behind)) = name.split_once('*') else {
        return BTreeMap::from([(path.display().to_string(), read(&path))]);
    };
    let Some(entries) = path
        .parent()
        .and_then(|parent| std::fs::read_dir(parent).ok())
    else {
        return BTreeMap::new();
    };
    entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            path.file_name().is_some_and(|own| {
                let own = own.to_string_lossy();
                own.len() >= before.len() + behind.len()
                    && own.starts_with(before)
                    && own.ends_with(behind)
            })
        })
        .map(|path| (path.display().to_string(), read(&path)))
        .collect()
}

/// Reads the text of a target file: a list of `{targets: [..], labels: {..}}`, in JSON or YAML.
pub(crate) fn parse_target_file(text: &str) -> Result<Vec<StaticConfig>, String> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    // JSON is YAML.
    gameday_yaml::from_str(text).map_err(|error| error.to_string())
}

/// A target that is to be scraped.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Found {
    /// The labels of its series.
    pub(super) labels: Labels,
    /// The address that is asked.
    pub(super) url: String,
    /// The labels before relabelling.
    pub(super) discovered: Labels,
    pub(super) interval: Duration,
    pub(super) timeout: Duration,
}

/// What relabelling made of an address.
pub(super) enum Outcome {
    Active(Found),
    /// The labels before relabelling.
    Dropped(Labels),
    Invalid(String),
}

/// Builds a target as Prometheus does (scrape, PopulateDiscoveredLabels and PopulateLabels).
pub(super) fn target(
    config: &ScrapeConfig,
    address: &str,
    group: &Labels,
    file: Option<&str>,
) -> Outcome {
    let mut labels = group.to_builder();
    labels.set("__address__", address);
    if let Some(file) = file {
        labels.set("__meta_filepath", file);
    }
    let interval = gameday_signal::format_duration(config.scrape_interval);
    let timeout = gameday_signal::format_duration(config.scrape_timeout);
    for (name, value) in [
        ("job", config.job_name.as_str()),
        ("__scrape_interval__", &interval),
        ("__scrape_timeout__", &timeout),
        ("__metrics_path__", &config.metrics_path),
        ("__scheme__", &config.scheme),
    ] {
        if labels.get(name).is_none() {
            labels.set(name, value);
        }
    }
    for (name, values) in &config.params {
        let name = format!("__param_{name}");
        if let Some(first) = values.first()
            && labels.get(&name).is_none()
        {
            labels.set(&name, first);
        }
    }
    let discovered = labels.build();
    if !relabel::process(&mut labels, &config.relabel_configs) {
        return Outcome::Dropped(discovered);
    }
    match finish(config, &mut labels, discovered) {
        Ok(found) => Outcome::Active(found),
        Err(reason) => Outcome::Invalid(format!("instance {address:?}: {reason}")),
    }
}

fn finish(
    config: &ScrapeConfig,
    labels: &mut LabelsBuilder,
    discovered: Labels,
) -> Result<Found, String> {
    let get = |name: &str| labels.get(name).unwrap_or_default().to_owned();
    let address = get("__address__");
    if address.is_empty() {
        return Err("no address".to_owned());
    }
    if address.contains('/') {
        return Err(format!("{address:?} is not a valid hostname"));
    }
    let scheme = get("__scheme__");
    if !matches!(scheme.as_str(), "http" | "https") {
        return Err(format!("invalid scheme {scheme:?}"));
    }
    let duration = |name: &str| -> Result<Duration, String> {
        let value = gameday_signal::parse_duration(&get(name))
            .map_err(|error| format!("error parsing {name}: {error}"))?;
        if value.is_zero() {
            return Err(format!("{name} cannot be 0"));
        }
        Ok(value)
    };
    let interval = duration("__scrape_interval__")?;
    let timeout = duration("__scrape_timeout__")?;
    if timeout > interval {
        return Err(format!(
            "scrape timeout cannot be greater than scrape interval ({:?} > {:?})",
            get("__scrape_timeout__"),
            get("__scrape_interval__")
        ));
    }
    let url = format!(
        "{scheme}://{address}{}{}",
        path(&get("__metrics_path__")),
        query(config, labels)
    );
    if labels.get("instance").is_none() {
        labels.set("instance", &address);
    }
    let public: Labels = labels
        .iter()
        .filter(|(name, _)| !name.starts_with("__"))
        .collect();
    Ok(Found {
        labels: public,
        url,
        discovered,
        interval,
        timeout,
    })
}

fn path(text: &str) -> String {
    if text.starts_with('/') {
        text.to_owned()
    } else {
        format!("/{text}")
    }
}

/// The parameters: those of the configuration, the first value of each as relabelling left it in `__param_<name>`.
fn query(config: &ScrapeConfig, labels: &LabelsBuilder) -> String {
    let mut values: BTreeMap<String, Vec<String>> = config.params.clone();
    for (name, value) in labels.iter() {
        let Some(name) = name.strip_prefix("__param_") else {
            continue;
        };
        let own = values.entry(name.to_owned()).or_default();
        match own.first_mut() {
            Some(first) => value.clone_into(first),
            None => own.push(value.to_owned()),
        }
    }
    let pairs: Vec<String> = values
        .iter()
        .flat_map(|(name, values)| {
            values
                .iter()
                .map(move |value| format!("{}={}", escaped(name), escaped(value)))
        })
        .collect();
    if pairs.is_empty() {
        String::new()
    } else {
        format!("?{}", pairs.join("&"))
    }
}

/// Percent-encoding for a query (Go's url.QueryEscape).
fn escaped(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            b' ' => out.push('+'),
            other => {
                let _ = write!(out, "%{other:02X}");
            }
        }
    }
    out
}

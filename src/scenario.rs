//! A scenario: the experiment that a game day plays.
//!
//! `scenarios/<name>/scenario.yaml` says what runs, what load it gets, which objectives it has, what may be broken and when to stop.
//! What must hold stands in `features/<name>.feature`. Everything else in the folder (rules, routes, runbooks, dashboards) is what the
//! game day brings along; what it does not bring is the embedded default.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fake_service::Level;
use gameday_server::StackFiles;
use gameday_signal::{Timestamp, format_duration, parse_duration};
use http::Method;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::failure::Failure;
use crate::load::{Arrivals, BadEvent, LoadSpec, MixEntry, RequestMix, Wave};

/// What a game day plays.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name: the folder.
    pub name: String,
    /// The folder with everything it brings along.
    pub dir: PathBuf,
    /// The file it was read from.
    pub path: PathBuf,
    /// The settings.
    pub settings: Settings,
}

/// The settings of `scenario.yaml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// A line for people.
    pub title: String,
    /// What is broken and why it matters.
    #[serde(default)]
    pub description: String,
    /// What the virtual clock shows at the start, RFC 3339. Monday, 5 January 2026, 09:00 UTC where none is given.
    #[serde(default = "default_epoch", deserialize_with = "timestamp")]
    pub epoch: Timestamp,
    /// The seed of every random stream, unless the command line gives one.
    #[serde(default = "default_seed")]
    pub seed: u64,
    /// The most that a run on the real clock may be compressed, where the game day depends on something that cannot be: how long a
    /// service or a probe takes.
    #[serde(default)]
    pub compress_max: Option<u32>,
    /// The load.
    pub load: LoadSettings,
    /// How much telemetry the services send.
    #[serde(default)]
    pub services: ServiceSettings,
    /// What is scraped beside the services; node exporters run in every game day.
    #[serde(default)]
    pub exporters: ExporterSettings,
    /// The folder with prometheus.yml, alertmanager.yml and rules, relative to the scenario; the embedded defaults where none is
    /// given.
    #[serde(default)]
    pub config: Option<PathBuf>,
    /// collector.yaml, relative to the scenario; that of the folder `config`, or else everything into the stores, where none is given.
    #[serde(default)]
    pub collector: Option<PathBuf>,
    /// Make metrics of spans: span metrics and the service graph. It is done without asking where a rule or a step needs them.
    #[serde(default)]
    pub span_metrics: bool,
    /// The service level objectives.
    #[serde(default)]
    pub slos: Vec<SloSettings>,
    /// What can be broken, by name.
    #[serde(default)]
    pub faults: BTreeMap<String, FaultSettings>,
    /// When the game day must stop: PromQL expressions that are true when they return anything.
    #[serde(default)]
    pub abort: Vec<AbortSettings>,
    /// Alerts that may fire although no step expects them.
    #[serde(default)]
    pub may_fire: Vec<String>,
}

/// The load on the system.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadSettings {
    /// The service that users talk to.
    #[serde(default = "default_entry")]
    pub service: String,
    /// Requests that start each second.
    pub requests_per_second: f64,
    /// How they are spread.
    #[serde(default)]
    pub arrivals: Arrivals,
    /// How the rate swings over the day.
    #[serde(default)]
    pub wave: Option<WaveSettings>,
    /// How long a user waits.
    #[serde(default = "default_timeout", deserialize_with = "duration")]
    pub timeout: Duration,
    /// What is asked for.
    pub mix: Vec<MixSettings>,
}

/// How much telemetry the services send; what is not given is as the topology has it (everything).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceSettings {
    /// The share of traces that are recorded, 0 to 1.
    #[serde(default)]
    pub sampling_ratio: Option<f64>,
    /// Of the log lines of ordinary requests, every so manieth is written; 0 for none.
    #[serde(default)]
    pub access_log_every: Option<u32>,
    /// The lowest level of log lines.
    #[serde(default, deserialize_with = "optional_level")]
    pub log_level: Option<Level>,
    /// How often telemetry is sent.
    #[serde(default, deserialize_with = "optional_duration")]
    pub flush_interval: Option<Duration>,
}

/// The exporters of a game day.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExporterSettings {
    /// The blackbox.yml of a blackbox exporter at `blackbox:9115`, relative to the scenario.
    #[serde(default)]
    pub blackbox: Option<PathBuf>,
    /// The repository (`owner/name`) of a DORA exporter at `dora-exporter:8000`, with a double of the GitHub API that steps drive.
    #[serde(default)]
    pub dora: Option<String>,
}

/// A swing of the rate.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WaveSettings {
    /// 0 to 1.
    pub amplitude: f64,
    /// How long one swing takes.
    #[serde(deserialize_with = "duration")]
    pub period: Duration,
}

/// One kind of request.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MixSettings {
    /// The method, GET where none is given.
    #[serde(default = "default_method")]
    pub method: String,
    /// The path.
    pub path: String,
    /// A JSON body.
    #[serde(default)]
    pub body: Option<String>,
    /// How often it comes, relative to the others.
    #[serde(default = "default_weight")]
    pub weight: f64,
}

/// A service level objective.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SloSettings {
    /// Its name.
    pub name: String,
    /// The share of good events that is promised, 0 to 1.
    pub objective: f64,
    /// PromQL for the share of bad events over a window; `$window` stands for the window (`5m`, `1h`).
    pub bad_ratio: String,
    /// PromQL for the number of events over a window, `$window` as above; for the budget that was burnt.
    #[serde(default)]
    pub events: Option<String>,
    /// The window over which it is promised; 30 days where none is given.
    #[serde(default = "default_slo_window", deserialize_with = "duration")]
    pub window: Duration,
    /// How the load tells a bad event, for the moment of the first one.
    #[serde(default)]
    pub bad_event: Option<BadEventSettings>,
    /// The alerts that watch over it, with their windows: from these follows the earliest moment at which they can fire.
    #[serde(default)]
    pub alerts: Vec<SloAlertSettings>,
}

/// An alert that watches over an objective.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SloAlertSettings {
    /// Its name.
    pub alert: String,
    /// All of these must be passed.
    pub windows: Vec<SloWindowSettings>,
}

/// A window with its threshold.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SloWindowSettings {
    /// The window.
    #[serde(deserialize_with = "duration")]
    pub over: Duration,
    /// The burn rate that must be passed.
    pub burn_rate: f64,
}

/// How the load tells a bad event.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BadEventSettings {
    /// Only requests to paths that begin with this.
    #[serde(default)]
    pub path: String,
    /// Slower than this is bad.
    #[serde(default, deserialize_with = "optional_duration")]
    pub slower_than: Option<Duration>,
    /// Server errors and missing answers are bad.
    #[serde(default)]
    pub errors: bool,
}

/// A fault that a step can inject.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultSettings {
    /// Its type, one of `gameday faults`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The service that it hits; empty for a fault of a receiver.
    #[serde(default)]
    pub service: String,
    /// The receiver of alertmanager.yml that it hits; empty for a fault of a service.
    #[serde(default)]
    pub receiver: String,
    /// How long it stays in force at most: it undoes itself after that, whatever happens to the harness.
    #[serde(deserialize_with = "duration")]
    pub lease: Duration,
    /// Its settings, in the terms of its type.
    #[serde(default)]
    pub with: BTreeMap<String, serde_json::Value>,
}

/// When to stop.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AbortSettings {
    /// PromQL: the game day is aborted when it returns anything (a scalar: when it is not zero).
    pub expr: String,
    /// Why, for the report.
    pub reason: String,
}

fn default_epoch() -> Timestamp {
    Timestamp::from_secs(1_767_603_600)
}

fn default_seed() -> u64 {
    1
}

fn default_slo_window() -> Duration {
    Duration::from_secs(30 * 86_400)
}

fn default_entry() -> String {
    "frontend".to_owned()
}

fn default_timeout() -> Duration {
    Duration::from_secs(30)
}

fn default_method() -> String {
    "GET".to_owned()
}

fn default_weight() -> f64 {
    1.0
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    parse_duration(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

fn optional_duration<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    duration(deserializer).map(Some)
}

fn optional_level<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Level>, D::Error> {
    let level = String::deserialize(deserializer)?.parse();
    level.map(Some).map_err(D::Error::custom)
}

fn timestamp<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_rfc3339(&text).ok_or_else(|| {
        D::Error::custom(format!(
            "invalid time {text:?}: expected for example \"2026-01-05T09:00:00Z\""
        ))
    })
}

/// Reads `YYYY-MM-DDTHH:MM:SSZ`, with or without a fraction of a second; other offsets than UTC are refused.
pub(crate) fn parse_rfc3339(text: &str) -> Option<Timestamp> {
    let (whole, fraction) = match text.strip_suffix('Z')?.split_once('.') {
        Some((whole, fraction)) => (whole, fraction),
        None => (text.strip_suffix('Z')?, ""),
    };
    let shape = b"dddd-dd-ddTdd:dd:dd";
    let is_shape = |(byte, wanted): (&u8, &u8)| {
        if *wanted == b'd' {
            byte.is_ascii_digit()
        } else {
            byte == wanted
        }
    };
    if whole.len() != shape.len() || !whole.as_bytes().iter().zip(shape).all(is_shape) {
        return None;
    }
    if fraction.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nanos: i64 = format!("{fraction:0<9}").parse().ok()?;
    let number = |range: std::ops::Range<usize>| whole[range].parse::<i64>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    if !(1..=12).contains(&month)
        || !(1..=31).contains(&day)
        || hour > 23
        || minute > 59
        || second > 59
    {
        return None;
    }
    // Days from the civil date (Howard Hinnant, "chrono-compatible low-level date algorithms").
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let era = shifted_year.div_euclid(400);
    let year_of_era = shifted_year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100
        + day_of_year
        - 719_468;
    let secs = days * 86_400 + hour * 3600 + minute * 60 + second;
    Some(Timestamp::from_secs(secs) + Duration::from_nanos(nanos.unsigned_abs()))
}

/// A scenario file may have this many bytes.
const SCENARIO_BYTES_MAX: u64 = 1 << 20;

impl Scenario {
    /// Reads `<root>/scenarios/<name>/scenario.yaml`.
    ///
    /// # Errors
    /// Where there is no such scenario (with the nearest names), or the file is invalid (with the place).
    pub fn load(root: &Path, name: &str) -> Result<Self, Failure> {
        let dir = root.join("scenarios").join(name);
        let path = dir.join("scenario.yaml");
        if !path.is_file() {
            let known = Self::names(root);
            let message = format!(
                "no game day is called {name:?}: {} is missing",
                path.display()
            );
            return Err(
                Failure::scenario(message).did_you_mean(name, known.iter().map(String::as_str))
            );
        }
        let text = read_limited(&path, SCENARIO_BYTES_MAX)?;
        Self::parse(name, dir, path, &text)
    }

    /// Reads the text of a scenario file.
    ///
    /// # Errors
    /// Where it is no valid scenario.
    pub fn parse(name: &str, dir: PathBuf, path: PathBuf, text: &str) -> Result<Self, Failure> {
        let settings: Settings = gameday_yaml::from_file(&path.display().to_string(), text)
            .map_err(|error| Failure::scenario(error.to_string()))?;
        let scenario = Self {
            name: name.to_owned(),
            dir,
            path,
            settings,
        };
        scenario.validate(text)?;
        Ok(scenario)
    }

    /// The names of all scenarios under `root`, sorted.
    pub fn names(root: &Path) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(root.join("scenarios")) else {
            return Vec::new();
        };
        let mut names: Vec<String> = entries
            .flatten()
            .filter(|entry| entry.path().join("scenario.yaml").is_file())
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// Whether a run on the real clock may be compressed so much.
    ///
    /// # Errors
    /// Where `compress_max` is less, with the greatest divisor as a hint.
    pub fn check_compression(&self, divisor: u32) -> Result<(), Failure> {
        match self.settings.compress_max {
            Some(most) if most < divisor => Err(Failure::usage(format!(
                "{}: this game day can be compressed {most} times at most, got {divisor}",
                self.path.display()
            ))
            .hinted(format!("--compress {most}, or no --compress at all"))),
            _ => Ok(()),
        }
    }

    fn validate(&self, text: &str) -> Result<(), Failure> {
        let settings = &self.settings;
        let invalid = |needle: &str, message: String| {
            Err(Failure::scenario(format!(
                "{}: {message}",
                self.place_of(text, needle)
            )))
        };
        let rate = settings.load.requests_per_second;
        if !(rate.is_finite() && rate >= 0.0) {
            return invalid(
                "requests_per_second",
                format!("requests_per_second is {rate}: expected a number from 0 up"),
            );
        }
        if !settings.load.mix.iter().any(|entry| entry.weight > 0.0) {
            return invalid(
                "mix",
                "the mix has no request with a weight over 0".to_owned(),
            );
        }
        for entry in &settings.load.mix {
            if !entry.path.starts_with('/') {
                return invalid(
                    &entry.path,
                    format!("path {:?} does not begin with \"/\"", entry.path),
                );
            }
            if Method::from_bytes(entry.method.as_bytes()).is_err() {
                return invalid(
                    &entry.method,
                    format!("{:?} is no HTTP method", entry.method),
                );
            }
        }
        if let Some(ratio) = settings.services.sampling_ratio
            && !(0.0..=1.0).contains(&ratio)
        {
            return invalid(
                "sampling_ratio",
                format!("sampling_ratio is {ratio}: expected 0 to 1"),
            );
        }
        if let Some(repository) = &settings.exporters.dora
            && repository
                .split('/')
                .filter(|part| !part.is_empty())
                .count()
                != 2
        {
            return invalid(
                "dora",
                format!("{repository:?} is no repository: expected owner/name"),
            );
        }
        for slo in &settings.slos {
            if !(0.0..1.0).contains(&slo.objective) {
                return invalid(
                    &slo.name,
                    format!(
                        "objective of {:?} is {}: expected 0 to 1, for example 0.99",
                        slo.name, slo.objective
                    ),
                );
            }
        }
        for (name, fault) in &settings.faults {
            if fault.lease.is_zero() {
                return invalid(
                    name,
                    format!("the lease of fault {name:?} is zero: it would end before it began"),
                );
            }
            if fault.service.is_empty() == fault.receiver.is_empty() {
                return invalid(
                    name,
                    format!("fault {name:?} must name either a service or a receiver"),
                );
            }
        }
        Ok(())
    }

    /// `file:line:column` of the first line that holds `needle`.
    pub(crate) fn place_of(&self, text: &str, needle: &str) -> String {
        for (index, line) in text.lines().enumerate() {
            if let Some(column) = line.find(needle) {
                return format!("{}:{}:{}", self.path.display(), index + 1, column + 1);
            }
        }
        self.path.display().to_string()
    }

    /// The files under test: those of `config`, or the embedded defaults.
    ///
    /// # Errors
    /// Where one cannot be read.
    pub fn stack_files(&self) -> Result<StackFiles, Failure> {
        let files = match &self.settings.config {
            Some(config) => StackFiles::load(&self.dir.join(config)).map_err(Failure::scenario)?,
            None => StackFiles::embedded(),
        };
        match &self.settings.collector {
            Some(collector) => files
                .with_collector(&self.dir.join(collector))
                .map_err(Failure::scenario),
            None => Ok(files),
        }
    }

    /// Whether the scenario, its objectives or its conditions need metrics that are made of spans.
    pub fn wants_span_metrics(&self) -> bool {
        let settings = &self.settings;
        let conditions = settings.abort.iter().map(|own| own.expr.as_str());
        let objectives = settings
            .slos
            .iter()
            .flat_map(|slo| [Some(slo.bad_ratio.as_str()), slo.events.as_deref()])
            .flatten();
        settings.span_metrics
            || conditions
                .chain(objectives)
                .any(crate::steps::wants_span_metrics)
    }

    /// The text of a runbook that an alert links to.
    pub fn runbook(&self, url: &str) -> Option<String> {
        self.stack_files().ok()?.runbook(url)
    }

    /// The load, against the entry service.
    pub fn load_spec(&self) -> LoadSpec {
        let load = &self.settings.load;
        let entries = load.mix.iter().map(|entry| MixEntry {
            method: Method::from_bytes(entry.method.as_bytes()).unwrap_or(Method::GET),
            path: entry.path.clone(),
            body: entry.body.clone(),
            weight: entry.weight,
        });
        LoadSpec {
            base_url: format!("http://{}:8080", load.service),
            requests_per_second: load.requests_per_second,
            arrivals: load.arrivals,
            wave: load.wave.map(|wave| Wave {
                amplitude: wave.amplitude,
                period: wave.period,
            }),
            mix: RequestMix::new(entries.collect()),
            timeout: load.timeout,
        }
    }

    /// What the load watches for.
    pub fn bad_events(&self) -> Vec<BadEvent> {
        let of = |slo: &SloSettings| {
            slo.bad_event.as_ref().map(|bad| BadEvent {
                slo: slo.name.clone(),
                path_prefix: bad.path.clone(),
                slower_than: bad.slower_than,
                errors: bad.errors,
            })
        };
        self.settings.slos.iter().filter_map(of).collect()
    }

    /// The objective of that name.
    ///
    /// # Errors
    /// Where there is none, with the nearest names.
    pub fn slo(&self, name: &str) -> Result<&SloSettings, Failure> {
        let slos = &self.settings.slos;
        slos.iter().find(|slo| slo.name == name).ok_or_else(|| {
            let message = format!(
                "no service level objective is called {name:?} in {}",
                self.path.display()
            );
            Failure::scenario(message).did_you_mean(name, slos.iter().map(|slo| slo.name.as_str()))
        })
    }

    /// The fault of that name.
    ///
    /// # Errors
    /// Where there is none, with the nearest names.
    pub fn fault(&self, name: &str) -> Result<&FaultSettings, Failure> {
        let faults = &self.settings.faults;
        faults.get(name).ok_or_else(|| {
            let message = format!("no fault is called {name:?} in {}", self.path.display());
            Failure::scenario(message).did_you_mean(name, faults.keys().map(String::as_str))
        })
    }
}

impl FaultSettings {
    /// What it hits: the name of a service or of a receiver.
    pub fn on(&self) -> &str {
        if self.is_of_receiver() {
            &self.receiver
        } else {
            &self.service
        }
    }

    /// Whether it hits a receiver, and no service.
    pub fn is_of_receiver(&self) -> bool {
        !self.receiver.is_empty()
    }

    /// The fault as its kind reads it: `type`, `lease` and its settings.
    pub fn as_json(&self, lease: Duration) -> serde_json::Value {
        let mut json = serde_json::Map::new();
        json.insert("type".to_owned(), self.kind.as_str().into());
        json.insert("lease".to_owned(), format_duration(lease).into());
        let own = self.with.iter();
        json.extend(own.map(|(key, value)| (key.clone(), value.clone())));
        serde_json::Value::Object(json)
    }
}

impl SloSettings {
    /// The share of bad events that the objective allows.
    pub fn budget(&self) -> f64 {
        1.0 - self.objective
    }

    /// The query for the share of bad events over `window`.
    pub fn bad_ratio_over(&self, window: &str) -> String {
        self.bad_ratio.replace("$window", window)
    }
}

/// Reads a text file of at most `limit` bytes.
pub(crate) fn read_limited(path: &Path, limit: u64) -> Result<String, Failure> {
    let failed =
        |reason: String| Failure::scenario(format!("cannot read {}: {reason}", path.display()));
    let size = std::fs::metadata(path)
        .map_err(|error| failed(error.to_string()))?
        .len();
    if size > limit {
        return Err(failed(format!("it has {size} bytes, the limit is {limit}")));
    }
    std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Scenario, Failure> {
        Scenario::parse(
            "x",
            PathBuf::from("scenarios/x"),
            PathBuf::from("scenarios/x/scenario.yaml"),
            text,
        )
    }

    const GOOD: &str = "title: t\nload:\n  requests_per_second: 10\n  mix:\n    - path: /\nslos:\n  - name: s\n    objective: 0.99\n    bad_ratio: x$window\nfaults:\n  slow:\n    type: latency\n    service: checkout\n    lease: 1h\n    with: {latency: 1s}\n";

    #[test]
    fn reads_a_scenario() {
        let scenario = parse(GOOD).expect("it is valid");
        assert_eq!(
            scenario.slo("s").expect("it is there").bad_ratio_over("5m"),
            "x5m"
        );
        assert_eq!(
            scenario.fault("slow").expect("it is there").lease,
            Duration::from_secs(3600)
        );
        assert_eq!(
            scenario.settings.epoch.to_string(),
            "2026-01-05T09:00:00.000Z"
        );
    }

    /// Each mistake is told with its place and what was expected.
    #[test]
    fn mistakes_are_told_with_their_place() {
        for (from, to, expected) in [
            ("title: t", "titel: t", "scenario.yaml:1:1: unknown field"),
            (
                "lease: 1h",
                "lease: 0s",
                "the lease of fault \"slow\" is zero",
            ),
            (
                "lease: 1h",
                "lease: soon",
                "not a valid duration string: \"soon\"",
            ),
            (
                "    service: checkout\n",
                "",
                "fault \"slow\" must name either a service or a receiver",
            ),
            (
                "    service: checkout\n",
                "    service: checkout\n    receiver: slack\n",
                "fault \"slow\" must name either a service or a receiver",
            ),
            ("objective: 0.99", "objective: 99", "expected 0 to 1"),
            ("path: /", "path: x", "does not begin with \"/\""),
            (
                "  requests_per_second: 10",
                "  requests_per_second: -1",
                "expected a number from 0 up",
            ),
        ] {
            let error = parse(&GOOD.replace(from, to)).expect_err(to).to_string();
            assert!(error.contains(expected), "{to}: {error}");
            assert!(
                error.contains("scenarios/x/scenario.yaml:"),
                "{to}: {error}"
            );
        }
    }

    #[test]
    fn unknown_names_get_the_nearest() {
        let error = parse(GOOD)
            .expect("it is valid")
            .fault("slwo")
            .map(|_| ())
            .expect_err("unknown");
        assert!(
            error.to_string().contains("did you mean \"slow\"?"),
            "{error}"
        );
    }

    #[test]
    fn reads_times() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(
                parse_rfc3339(text).map(|at| at.to_string()).as_deref(),
                expected,
                "{text}"
            );
        };
        check("2024-02-29T23:59:59Z", Some("2024-02-29T23:59:59.000Z"));
        check("1970-01-01T00:00:00Z", Some("1970-01-01T00:00:00.000Z"));
        check("2024-13-01T00:00:00Z", None);
        check("yesterday", None);
    }
}

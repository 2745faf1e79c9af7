//! alertmanager.yml, as Alertmanager 0.3x takes it.
//!
//! Every block is read with its own checks, so that a refusal names line and column; what needs the whole file (inheritance from
//! `global`, undefined receivers and time intervals) is checked afterwards, with Alertmanager's own texts.

pub(crate) mod global;
pub(crate) mod http;
pub(crate) mod inhibit_rule;
pub(crate) mod intervals;
pub(crate) mod receiver;
pub(crate) mod route;
pub(crate) mod values;
pub(crate) mod yaml;

/// Why a configuration was refused.
pub use gameday_yaml::FileError as ConfigError;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use global::Global;
use inhibit_rule::InhibitRule;
use intervals::NamedIntervals;
use receiver::Receiver;
use route::Route;
use serde::de::DeserializeOwned;
use values::PromDuration;
use yaml::block;

block! {
    /// The file as it is written.
    File {
        global: Option<Global> = None,
        route: Option<Route> = None,
        inhibit_rules: Vec<InhibitRule> = Vec::new(),
        receivers: Vec<Receiver> = Vec::new(),
        templates: Vec<String> = Vec::new(),
        mute_time_intervals: Vec<NamedIntervals> = Vec::new(),
        time_intervals: Vec<NamedIntervals> = Vec::new(),
        tracing: Option<http::TracingConfig> = None,
        event_recorder: Option<serde_json::Value> = None,
    }
    check(_file) { Ok(()) }
}

/// A configuration that has been checked as a whole.
#[derive(Clone, PartialEq)]
pub struct Config {
    original: String,
    file: File,
    global: Global,
    route: Route,
}

impl std::fmt::Debug for Config {
    /// Without the original text, which holds secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

impl Config {
    /// Reads alertmanager.yml; `file` names it in errors.
    ///
    /// # Errors
    /// Where Alertmanager would refuse it, with the place where that is known.
    pub fn load(file: &str, text: &str) -> Result<Self, ConfigError> {
        let parsed: File = read_yaml(file, text)?;
        Self::check(text, parsed).map_err(|reason| ConfigError::Whole {
            file: file.to_owned(),
            reason,
        })
    }

    fn check(original: &str, mut file: File) -> Result<Self, String> {
        let global = file.global.clone().unwrap_or_default();
        let mut names = BTreeSet::new();
        for receiver in &mut file.receivers {
            if !names.insert(receiver.name.clone()) {
                return Err(format!(
                    "notification config name {:?} is not unique",
                    receiver.name
                ));
            }
            receiver.inherit(&global)?;
        }
        let route = file.route.clone().ok_or("no route provided in config")?;
        check_root(&route)?;
        check_receivers(&route, &names)?;
        check_intervals(&file, &route)?;
        if route.continues {
            return Err("cannot have continue in root route".to_owned());
        }
        Ok(Self {
            original: original.to_owned(),
            file,
            global,
            route,
        })
    }

    /// The text that was read, secrets included.
    pub fn original(&self) -> &str {
        &self.original
    }

    /// The configuration as the API shows it: with all defaults, every secret masked.
    pub fn to_masked_yaml(&self) -> String {
        let shown = File {
            global: Some(self.global.clone()),
            route: Some(self.route.clone()),
            ..self.file.clone()
        };
        gameday_yaml::to_string(&shown)
            .unwrap_or_else(|error| format!("<error creating config string: {error}>"))
    }

    /// The file name patterns of the templates.
    pub fn templates(&self) -> &[String] {
        &self.file.templates
    }

    /// The names of all receivers, in the order of the file.
    pub fn receiver_names(&self) -> impl Iterator<Item = &str> {
        self.file
            .receivers
            .iter()
            .map(|receiver| receiver.name.as_str())
    }

    /// After how long an alert without an end counts as resolved.
    pub fn resolve_timeout(&self) -> Duration {
        self.global.resolve_timeout.0
    }

    /// Makes relative file names (templates, secrets, certificates) relative to `folder`, where the configuration lies.
    pub fn resolve_paths(&mut self, folder: &Path) {
        let join = |name: &mut String| {
            if !name.is_empty() && Path::new(name.as_str()).is_relative() {
                *name = folder.join(name.as_str()).to_string_lossy().into_owned();
            }
        };
        self.file.templates.iter_mut().for_each(join);
        if let Some(http) = &mut self.global.http_config {
            http.files_mut().into_iter().for_each(join);
        }
        for receiver in &mut self.file.receivers {
            receiver.files_mut().into_iter().for_each(join);
        }
    }

    /// Divides every duration of the routes and `resolve_timeout` by `divisor`, for runs in compressed real time. What is not set
    /// is set to its compressed default at the root.
    pub fn scale_durations(&mut self, divisor: u32) {
        let divisor = divisor.max(1);
        let scale = |duration: &mut PromDuration| {
            // A group interval of nothing would never let the engine rest.
            duration.0 = (duration.0 / divisor).max(Duration::from_millis(1).min(duration.0));
        };
        scale(&mut self.global.resolve_timeout);
        let defaults = crate::route::RouteOptions::default();
        self.route
            .group_wait
            .get_or_insert(PromDuration(defaults.group_wait));
        self.route
            .group_interval
            .get_or_insert(PromDuration(defaults.group_interval));
        self.route
            .repeat_interval
            .get_or_insert(PromDuration(defaults.repeat_interval));
        self.route.walk_mut(&mut |route| {
            for duration in [
                &mut route.group_wait,
                &mut route.group_interval,
                &mut route.repeat_interval,
            ] {
                duration.iter_mut().for_each(scale);
            }
        });
    }

    pub(crate) fn route(&self) -> &Route {
        &self.route
    }

    pub(crate) fn inhibit_rules(&self) -> &[InhibitRule] {
        &self.file.inhibit_rules
    }

    pub(crate) fn receivers(&self) -> &[Receiver] {
        &self.file.receivers
    }

    pub(crate) fn receiver(&self, name: &str) -> Option<&Receiver> {
        self.file
            .receivers
            .iter()
            .find(|receiver| receiver.name == name)
    }

    pub(crate) fn intervals(&self) -> impl Iterator<Item = &NamedIntervals> {
        self.file
            .mute_time_intervals
            .iter()
            .chain(&self.file.time_intervals)
    }
}

/// Reads YAML of any shape; errors name the place.
pub(crate) fn read_yaml<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, ConfigError> {
    gameday_yaml::from_file(file, text)
}

fn check_root(route: &Route) -> Result<(), String> {
    if route.receiver.is_empty() {
        return Err("root route must specify a default receiver".to_owned());
    }
    if !(route.match_equal.is_empty() && route.match_re.is_empty() && route.matchers.is_empty()) {
        return Err("root route must not have any matchers".to_owned());
    }
    if !route.mute_time_intervals.is_empty() {
        return Err("root route must not have any mute time intervals".to_owned());
    }
    if !route.active_time_intervals.is_empty() {
        return Err("root route must not have any active time intervals".to_owned());
    }
    Ok(())
}

fn check_receivers(route: &Route, names: &BTreeSet<String>) -> Result<(), String> {
    for child in &route.routes {
        check_receivers(child, names)?;
    }
    if route.receiver.is_empty() || names.contains(&route.receiver) {
        Ok(())
    } else {
        Err(format!(
            "undefined receiver {:?} used in route",
            route.receiver
        ))
    }
}

fn check_intervals(file: &File, route: &Route) -> Result<(), String> {
    let mut names = BTreeSet::new();
    for (kind, list) in [
        ("mute time interval", &file.mute_time_intervals),
        ("time interval", &file.time_intervals),
    ] {
        for intervals in list {
            if !names.insert(intervals.name.as_str()) {
                return Err(format!("{kind} {:?} is not unique", intervals.name));
            }
        }
    }
    let mut undefined = None;
    route.walk(&mut |node| {
        let used = node
            .active_time_intervals
            .iter()
            .chain(&node.mute_time_intervals);
        for name in used {
            if !names.contains(name.as_str()) && undefined.is_none() {
                undefined = Some(format!("undefined time interval {name:?} used in route"));
            }
        }
    });
    undefined.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        match Config::load("am.yml", text) {
            Ok(_) => panic!("taken: {text}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn refusals_name_the_place_and_what_was_meant() {
        for (text, expected) in [
            (
                "route:\n  receiver: a\n  group_wiat: 30s\nreceivers: [{name: a}]\n",
                "am.yml:3:3: unknown field `group_wiat`, did you mean \"group_wait\"?",
            ),
            (
                "route: {receiver: a, group_wait: 30}\nreceivers: [{name: a}]",
                "am.yml:1:34: not a valid duration string: \"30\"",
            ),
            (
                "receivers: [{name: a}]",
                "am.yml: no route provided in config",
            ),
            ("", "am.yml: no route provided in config"),
            (
                "route: {}",
                "am.yml: root route must specify a default receiver",
            ),
            (
                "route: {receiver: b}\nreceivers: [{name: a}]",
                "am.yml: undefined receiver \"b\" used in route",
            ),
            (
                "route: {receiver: a}\nreceivers: [{name: a}, {name: a}]",
                "am.yml: notification config name \"a\" is not unique",
            ),
            (
                "route: {receiver: a, matchers: [x=y]}\nreceivers: [{name: a}]",
                "am.yml: root route must not have any matchers",
            ),
            (
                "route: {receiver: a, continue: true}\nreceivers: [{name: a}]",
                "am.yml: cannot have continue in root route",
            ),
            (
                "route: {receiver: a, routes: [{mute_time_intervals: [nights]}]}\nreceivers: [{name: a}]",
                "am.yml: undefined time interval \"nights\" used in route",
            ),
            (
                "route: {receiver: a, group_by: [b, '...']}",
                "am.yml:1:8: cannot have wildcard group_by (`...`) and other labels at the same time",
            ),
            (
                "route: {receiver: a, group_by: [b, b]}",
                "am.yml:1:8: duplicated label \"b\" in group_by",
            ),
            (
                "route: {receiver: a, group_interval: 0s}",
                "am.yml:1:8: group_interval cannot be zero",
            ),
            (
                "route: {receiver: a, routes: [{match: {a-b: c}}]}",
                "am.yml:1:31: invalid label name \"a-b\"",
            ),
            (
                "route: {receiver: a, routes: [{matchers: ['a=~\"[\"']}]}",
                "am.yml:1:31: error parsing regexp: missing closing ]: `[)$`",
            ),
            (
                "route: {receiver: a}\nreceivers:\n- name: a\n  webhook_configs:\n  - send_resolved: true\n",
                "am.yml:5:5: one of url or url_file must be configured",
            ),
            (
                "route: {receiver: a}\nreceivers: [{name: a, webhook_configs: [{url: ftp://x}]}]",
                "am.yml:2:47: invalid URL: unsupported scheme \"ftp\" for URL",
            ),
            (
                "route: {receiver: a}\nreceivers: [{name: a}",
                "am.yml:2:12: not valid YAML: unclosed bracket '['",
            ),
        ] {
            let error = error(text);
            assert!(
                error.starts_with(expected),
                "{text}: {error}, expected {expected}"
            );
        }
    }

    #[test]
    fn a_block_of_its_own_keeps_the_defaults_of_the_rest() {
        let yaml = "global: {resolve_timeout: 1m}\nroute: {receiver: a}\nreceivers: [{name: a}]";
        let config = Config::load("am.yml", yaml).unwrap();
        assert_eq!(config.resolve_timeout(), Duration::from_secs(60));
        assert_eq!(config.global.smtp_hello, "localhost");
        assert!(config.to_masked_yaml().contains("smtp_require_tls: true"));
    }

    #[test]
    fn compressed_durations() {
        let yaml = "route: {receiver: a, group_wait: 1m, routes: [{repeat_interval: 1h}]}\nreceivers: [{name: a}]";
        let mut config = Config::load("am.yml", yaml).unwrap();
        config.scale_durations(60);
        let tree = crate::route::RouteTree::new(config.route());
        let seconds: Vec<_> = tree
            .nodes()
            .map(|node| {
                let options = &node.options;
                [
                    options.group_wait,
                    options.group_interval,
                    options.repeat_interval,
                ]
                .map(|duration| duration.as_secs())
            })
            .collect();
        assert_eq!(seconds, [[1, 5, 240], [1, 5, 60]]);
        assert_eq!(config.resolve_timeout(), Duration::from_secs(5));
    }

    #[test]
    fn relative_files_lie_beside_the_configuration() {
        let yaml =
            "templates: ['t/*.tmpl', /abs/x.tmpl]\nroute: {receiver: a}\nreceivers: [{name: a}]";
        let mut config = Config::load("am.yml", yaml).unwrap();
        config.resolve_paths(Path::new("/etc/am"));
        assert_eq!(config.templates(), ["/etc/am/t/*.tmpl", "/abs/x.tmpl"]);
    }

    proptest::proptest! {
        #[test]
        fn random_text_never_panics(text in "\\PC*|(route|receivers|global|[a-z_]{1,9}|[:\\[\\]{}, \n-]|'|\"|[0-9]+[smh]?)*") {
            let _ = Config::load("am.yml", &text);
        }
    }
}

//! Tests of routes: which receivers an alert reaches, what keeps it quiet, and which messages are sent when.
//!
//! The file is the one that prometheus/alertmanager#5175 proposes for `amtool config routes test --test-file` (alerts with
//! `expected_receivers` and `expected_inhibited`), extended by time:
//! ```yaml
//! tests:
//! - name: a critical alert pages once and keeps its warning quiet
//!   start: 2026-11-20T22:00:00+01:00       # for time intervals; without it 1970-01-01T00:00:00Z, a Thursday, as in promtool
//!   alerts:
//!   - labels: {alertname: Slow, severity: critical}
//!     ends: 10m                            # `starts` and `ends` count from the start of the test; without `ends` it goes on
//!     expected_receivers: [pager]
//!     expected_groups: [{alertname: Slow}]
//!   - labels: {alertname: Slow, severity: warning}
//!     expected_inhibited: true             # likewise expected_silenced and expected_muted
//!   silences:
//!   - {matchers: [team="x"], starts: 1m, ends: 5m}
//!   at: 1m                                 # when all of that is judged; without it when the last alert has started
//!   expected_notifications:                # all that are sent up to `until`, each alert by some of its labels
//!   - {at: 30s, receiver: pager, firing: [{severity: critical}]}
//!   - {at: 10m30s, receiver: pager, resolved: [{severity: critical}]}
//!   until: 20m                             # without it one group interval after the last moment that the test names
//! ```

mod play;
mod report;

use std::collections::BTreeMap;
use std::time::Duration;

use gameday_signal::{Labels, Matcher, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::config::values::PromDuration;
use crate::config::yaml::{Blank, block};
use crate::config::{Config, ConfigError, read_yaml};
use crate::rfc3339;

pub use report::{CaseReport, RoutesReport};

block! {
    /// The file.
    File {
        tests: Vec<Case> = Vec::new(),
    }
    check(file) {
        match file.tests.is_empty() {
            true => Err("no tests in the file, expected a list under \"tests\"".to_owned()),
            false => Ok(()),
        }
    }
}

block! {
    /// One test.
    Case {
        name: String = String::new(),
        start: Instant = Instant::default(),
        alerts: Vec<CaseAlert> = Vec::new(),
        silences: Vec<CaseSilence> = Vec::new(),
        at: Option<PromDuration> = None,
        expected_notifications: Option<Vec<Expected>> = None,
        until: Option<PromDuration> = None,
    }
    check(case) {
        if case.name.is_empty() {
            return Err("missing name of the test".to_owned());
        }
        match case.alerts.is_empty() {
            true => Err(format!("the test {:?} has no alerts", case.name)),
            false => Ok(()),
        }
    }
}

block! {
    /// An alert and what is expected of it.
    CaseAlert {
        labels: LabelMap = LabelMap::default(),
        annotations: LabelMap = LabelMap::default(),
        starts: PromDuration = PromDuration::default(),
        ends: Option<PromDuration> = None,
        expected_receivers: Option<Vec<String>> = None,
        expected_groups: Option<Vec<LabelMap>> = None,
        expected_inhibited: Option<bool> = None,
        expected_silenced: Option<bool> = None,
        expected_muted: Option<bool> = None,
    }
    check(alert) {
        if alert.labels.0.is_empty() {
            return Err("at least one label pair required".to_owned());
        }
        match alert.ends {
            Some(ends) if ends <= alert.starts => Err("an alert has to end after it starts".to_owned()),
            _ => Ok(()),
        }
    }
}

block! {
    /// A silence that is made beforehand.
    CaseSilence {
        matchers: Vec<String> = Vec::new(),
        starts: PromDuration = PromDuration::default(),
        ends: Option<PromDuration> = None,
    }
    check(silence) { silence.parsed().map(drop) }
}

impl CaseSilence {
    fn parsed(&self) -> Result<Vec<Matcher>, String> {
        let matchers = crate::config::route::listed_matchers(&self.matchers)?;
        match matchers.is_empty() {
            true => Err("a silence needs matchers".to_owned()),
            false => Ok(matchers),
        }
    }
}

block! {
    /// A message that is expected.
    Expected {
        at: PromDuration = PromDuration::default(),
        receiver: String = String::new(),
        integration: String = String::new(),
        firing: Vec<LabelMap> = Vec::new(),
        resolved: Vec<LabelMap> = Vec::new(),
    }
    check(expected) {
        if expected.receiver.is_empty() {
            return Err("an expected notification needs its receiver".to_owned());
        }
        match expected.firing.is_empty() && expected.resolved.is_empty() {
            true => Err("an expected notification needs its firing or resolved alerts".to_owned()),
            false => Ok(()),
        }
    }
}

/// Labels as they are written; some of an alert's labels stand for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct LabelMap(BTreeMap<String, String>);

impl LabelMap {
    fn labels(&self) -> Labels {
        Labels::new(&self.0)
    }

    /// Whether `labels` have all of these.
    fn is_part_of(&self, labels: &Labels) -> bool {
        self.0
            .iter()
            .all(|(name, value)| labels.value_of(name) == value)
    }
}

impl Blank for LabelMap {
    fn is_blank(&self) -> bool {
        self.0.is_empty()
    }
}

/// A date and time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Instant(Timestamp);

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let instant = rfc3339::parse(&text).map_err(D::Error::custom)?;
        Ok(Self(instant.unwrap_or_default()))
    }
}

impl Serialize for Instant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&rfc3339::nano(self.0))
    }
}

impl Blank for Instant {
    fn is_blank(&self) -> bool {
        self.0 == Timestamp::EPOCH
    }
}

/// Tests of the routes of a configuration.
#[derive(Clone, Debug)]
pub struct RoutesTest {
    file: String,
    cases: Vec<Case>,
}

impl RoutesTest {
    /// Reads a test file; `file` names it in errors and reports.
    ///
    /// # Errors
    /// Where it is no such file, with line and column.
    pub fn load(file: &str, text: &str) -> Result<Self, ConfigError> {
        let parsed: File = read_yaml(file, text)?;
        Ok(Self {
            file: file.to_owned(),
            cases: parsed.tests,
        })
    }

    /// Plays all tests against a configuration.
    pub fn run(&self, config: &Config) -> RoutesReport {
        let cases = self.cases.iter().map(|case| play::play(case, config));
        RoutesReport {
            file: self.file.clone(),
            cases: cases.collect(),
        }
    }
}

/// The time as the test file writes it.
fn offset(duration: Duration) -> String {
    gameday_signal::format_duration(duration)
}

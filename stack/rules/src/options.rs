//! What the rules are told about the world that they run in.

use std::time::Duration;

use gameday_signal::Labels;

use crate::parse::ParseOptions;

/// Where the slots of a group lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// At multiples of the interval: every run of a game day evaluates at the same times.
    #[default]
    Zero,
    /// Spread over the interval by file and name, so that not all groups run at once, as in Prometheus.
    Hash,
}

/// What the rules are told about the world that they run in; the durations have Prometheus' defaults.
#[derive(Clone, Debug)]
pub struct Options {
    /// The interval of groups that set none (`global.evaluation_interval`, 1m).
    pub evaluation_interval: Duration,
    /// The offset of groups that set none (`global.rule_query_offset`, 0s).
    pub query_offset: Duration,
    /// Labels for alerts that leave the house, and `$externalLabels`.
    pub external_labels: Labels,
    /// Where users reach the server, for links, `$externalURL` and the function `externalURL`.
    pub external_url: String,
    /// How long a firing alert waits before it is sent again (`--rules.alert.resend-delay`, 1m).
    pub resend_delay: Duration,
    /// Alerts with a shorter `for` are not restored (`--rules.alert.for-grace-period`, 10m).
    pub for_grace_period: Duration,
    /// How long an outage may be for alerts to be restored after it (`--rules.alert.for-outage-tolerance`, 1h).
    pub for_outage_tolerance: Duration,
    /// Where the slots of the groups lie.
    pub phase: Phase,
    /// Whether there may be state from before a restart in the store.
    pub restore: bool,
    /// How the files are read.
    pub parse: ParseOptions,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            evaluation_interval: Duration::from_secs(60),
            query_offset: Duration::ZERO,
            external_labels: Labels::empty(),
            external_url: String::new(),
            resend_delay: Duration::from_secs(60),
            for_grace_period: Duration::from_secs(600),
            for_outage_tolerance: Duration::from_secs(3600),
            phase: Phase::Zero,
            restore: false,
            parse: ParseOptions::default(),
        }
    }
}

//! What a person would want on the timeline.

use serde::{Deserialize, Serialize};

use crate::{Labels, Timestamp};

/// One entry of the journal, recorded once, where it happened. Console, Markdown, HTML, JUnit and JSON are its readers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When it happened, on the clock of the game day.
    pub at: Timestamp,
    /// The order of recording, which breaks ties.
    pub seq: u64,
    /// What happened.
    pub kind: EventKind,
}

/// How a fault came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultEnd {
    /// A step cleared it.
    Cleared,
    /// Its guard was dropped: the scenario ended, failed or panicked.
    Dropped,
    /// Its lease ran out.
    LeaseExpired,
    /// An abort condition held.
    Aborted,
    /// The run was interrupted by a signal.
    Interrupted,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventKind {
    /// A part of the game day began.
    PhaseStarted {
        /// Its name.
        phase: String,
    },
    /// The load changed its rate.
    LoadChanged {
        /// Requests that are meant to start each second.
        #[serde(with = "crate::number")]
        requests_per_second: f64,
    },
    /// A fault went into force: t0.
    FaultInjected {
        /// Its name in the scenario.
        fault: String,
        /// Its kind and settings, in a line.
        description: String,
    },
    /// A fault touched its first request.
    FaultTouched {
        /// Its name in the scenario.
        fault: String,
    },
    /// A fault is no longer in force: t8 when a step cleared it.
    FaultCleared {
        /// Its name in the scenario.
        fault: String,
        /// Why it ended.
        end: FaultEnd,
        /// Requests that it touched.
        touched: u64,
    },
    /// A probe has shown that nothing of the fault is left.
    FaultProvenGone {
        /// Its name in the scenario.
        fault: String,
        /// What was looked at.
        evidence: String,
    },
    /// The first request was answered badly (an error, or too slow for its SLO): t1.
    FirstBadEvent {
        /// Which SLO it counts against.
        slo: String,
        /// What happened.
        detail: String,
    },
    /// A service level indicator went over its threshold: t2.
    SliBreached {
        /// Which SLO.
        slo: String,
        /// The indicator, 0 to 1 bad.
        #[serde(with = "crate::number")]
        bad_ratio: f64,
        /// The threshold it crossed.
        #[serde(with = "crate::number")]
        threshold: f64,
    },
    /// A service level indicator went back under its threshold: t9.
    SliRestored {
        /// Which SLO.
        slo: String,
        /// The indicator, 0 to 1 bad.
        #[serde(with = "crate::number")]
        bad_ratio: f64,
    },
    /// An alert was first seen by its rule: t3.
    AlertPending {
        /// Its labels.
        labels: Labels,
        /// The value of its expression.
        #[serde(with = "crate::number")]
        value: f64,
    },
    /// An alert fires: t4.
    AlertFiring {
        /// Its labels.
        labels: Labels,
        /// What a person should read.
        annotations: Labels,
        /// The value of its expression.
        #[serde(with = "crate::number")]
        value: f64,
    },
    /// An alert that was pending is no longer seen.
    AlertDropped {
        /// Its labels.
        labels: Labels,
    },
    /// An alert that fired is resolved: t10.
    AlertResolved {
        /// Its labels.
        labels: Labels,
        /// When it had begun to fire.
        fired_at: Timestamp,
    },
    /// A rule could not be evaluated.
    RuleFailed {
        /// Its name.
        rule: String,
        /// Why.
        error: String,
    },
    /// A notification was accepted by its receiver: t5, or t11 when everything in it is resolved.
    Notified {
        /// The receiver of alertmanager.yml.
        receiver: String,
        /// The kind of integration (`slack`, `webhook`, ...).
        integration: String,
        /// `firing` or `resolved`.
        status: String,
        /// The group.
        group_labels: Labels,
        /// The alerts in it that fire, by their labels.
        firing: Vec<Labels>,
        /// The alerts in it that are resolved, by their labels.
        resolved: Vec<Labels>,
        /// The message as it was sent.
        payload: String,
    },
    /// A notification could not be delivered.
    NotificationFailed {
        /// The receiver of alertmanager.yml.
        receiver: String,
        /// The kind of integration.
        integration: String,
        /// Why, and whether it will be tried again.
        error: String,
    },
    /// Alerts were kept from being sent.
    NotificationMuted {
        /// The receiver of alertmanager.yml.
        receiver: String,
        /// The alerts, by their labels.
        alerts: Vec<Labels>,
        /// What kept them (`inhibited`, `silenced`, `muted`).
        reason: String,
    },
    /// A page was acknowledged: t6.
    Acknowledged {
        /// Which alert.
        alert: String,
    },
    /// A query led to the cause: t7.
    Diagnosed {
        /// The trace that holds it.
        trace_id: String,
        /// What was found.
        finding: String,
    },
    /// A scrape target changed its health.
    TargetHealthChanged {
        /// The target's labels.
        labels: Labels,
        /// Whether it answers.
        up: bool,
        /// The error, where it does not.
        error: String,
    },
    /// A service started, crashed or came back.
    ServiceChanged {
        /// Its name.
        service: String,
        /// What it does now (`started`, `crashed`, `hung`, `restarted`, `stopped`).
        state: String,
        /// The version that runs.
        version: String,
    },
    /// A version went live or was rolled back.
    Deployed {
        /// Which service.
        service: String,
        /// Which version.
        version: String,
        /// `success`, `failure` or `rolled_back`.
        outcome: String,
    },
    /// A step of the feature passed.
    StepPassed {
        /// The step as it is written.
        step: String,
        /// What was seen.
        observed: String,
    },
    /// A step of the feature failed.
    StepFailed {
        /// The step as it is written.
        step: String,
        /// What was expected and what was seen.
        reason: String,
    },
    /// Something worth a line that has no kind of its own.
    Note {
        /// The line.
        text: String,
    },
}

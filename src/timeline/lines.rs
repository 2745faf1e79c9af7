//! The journal as lines for people: what every renderer of text shows.

use std::collections::BTreeMap;
use std::time::Duration;

use gameday_signal::{Event, EventKind, FaultEnd, Labels, Timestamp};

use super::fault_windows::{FaultWindow, fault_windows};
use super::incidents::{Incident, broken, incidents, ordered, primary};
use super::moments::{Mark, Moment};
use super::record::{Expectation, ScenarioRecord};
use super::text;

/// How a line is meant; shown by a word and a sign, colour comes on top.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Fault,
    Good,
    Warning,
    Bad,
}

impl Tone {
    /// The name, as the style sheet has it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Fault => "fault",
            Self::Good => "good",
            Self::Warning => "warning",
            Self::Bad => "bad",
        }
    }

    /// A sign for readers without colour.
    pub(super) fn sign(self) -> &'static str {
        match self {
            Self::Plain => "·",
            Self::Fault => "⚡",
            Self::Good => "✓",
            Self::Warning => "▲",
            Self::Bad => "✗",
        }
    }
}

/// A line of the timeline. `text` is raw: it holds telemetry, and each renderer escapes it in its own way.
pub(super) struct Line<'a> {
    pub(super) event: &'a Event,
    pub(super) moments: Vec<Moment>,
    pub(super) tone: Tone,
    pub(super) kind: &'static str,
    pub(super) text: String,
}

/// A scenario, read: what the renderers share.
pub(super) struct Timeline<'a> {
    pub(super) scenario: &'a ScenarioRecord,
    pub(super) incidents: Vec<Incident>,
    /// The instant that all shown times count from: the first fault, crash or failed change, or the beginning where there is none.
    pub(super) zero: Timestamp,
    /// Whether `zero` is a t0.
    pub(super) zero_is_fault: bool,
    pub(super) lines: Vec<Line<'a>>,
    pub(super) fault_windows: Vec<FaultWindow<'a>>,
    /// The stretch of time that the drawings show.
    pub(super) focus: Focus,
}

/// The stretch of time that the drawings show: hours of quiet around a short incident would leave it as thin as a hair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Focus {
    pub(super) from: Timestamp,
    pub(super) until: Timestamp,
    /// Whether that is less than the whole scenario.
    pub(super) cut: bool,
}

impl Focus {
    /// All faults and moments with two fifths of their time before and after; the whole scenario where there is none, or
    /// where little would be left out.
    fn of(scenario: &ScenarioRecord, instants: impl Iterator<Item = Timestamp> + Clone) -> Self {
        let whole = Self {
            from: scenario.started,
            until: scenario.ended,
            cut: false,
        };
        let (Some(first), Some(last)) = (instants.clone().min(), instants.max()) else {
            return whole;
        };
        let room_secs = (last.since(first).as_secs() * 2 / 5).next_multiple_of(60);
        let room = Duration::from_secs(room_secs.max(60));
        let cut = Self {
            from: (first - room).max(whole.from),
            until: (last + room).min(whole.until),
            cut: true,
        };
        let most = scenario.played() * 3 / 5;
        if cut.until.since(cut.from) < most {
            cut
        } else {
            whole
        }
    }
}

impl<'a> Timeline<'a> {
    pub(super) fn new(scenario: &'a ScenarioRecord) -> Self {
        let incidents = incidents(scenario);
        let events = ordered(&scenario.events);
        let first_fault = scenario.faults.iter().map(|fault| fault.injected).min();
        let broken_at = events
            .iter()
            .find_map(|event| broken(&event.kind).map(|_| event.at));
        let t0 = broken_at.or(first_fault);
        let fault_windows = fault_windows(scenario, &events);
        let mut marks: BTreeMap<u64, Vec<Moment>> = BTreeMap::new();
        for incident in &incidents {
            for moment in Moment::ALL {
                if let Some(mark) = incident.moments.get(moment) {
                    let of_event = marks.entry(mark.event).or_default();
                    if !of_event.contains(&moment) {
                        of_event.push(moment);
                        of_event.sort();
                    }
                }
            }
        }
        let lines = events
            .into_iter()
            .map(|event| {
                let (tone, kind, text) = describe(&event.kind);
                Line {
                    event,
                    moments: marks.get(&event.seq).cloned().unwrap_or_default(),
                    tone,
                    kind,
                    text,
                }
            })
            .collect();
        let of_faults = fault_windows.iter().flat_map(|own| [own.from, own.until]);
        let of_incidents = incidents.iter().flat_map(|own| {
            let moments = Moment::ALL
                .into_iter()
                .filter_map(|moment| own.moments.get(moment));
            moments.chain(own.dropped).map(|mark| mark.at)
        });
        Self {
            focus: Focus::of(scenario, of_faults.chain(of_incidents)),
            zero: t0.unwrap_or(scenario.started),
            zero_is_fault: t0.is_some(),
            lines,
            fault_windows,
            incidents,
            scenario,
        }
    }

    /// The incident that the scenario is about.
    pub(super) fn primary(&self) -> Option<&Incident> {
        primary(&self.incidents)
    }

    /// The incidents that a reader looks for come first; their order is kept otherwise.
    pub(super) fn expected_first(&self) -> Vec<&Incident> {
        let mut sorted: Vec<&Incident> = self.incidents.iter().collect();
        sorted.sort_by_key(|own| {
            let rank = match own.expectation {
                Expectation::Expected => 0,
                Expectation::Unexpected => 1,
                Expectation::Allowed => 2,
            };
            (rank, !own.fired())
        });
        sorted
    }

    /// What tells an alert from the others of its name: the values of the labels in which they differ, the severity aside, which
    /// is always shown. Empty where there is no other.
    pub(super) fn distinction(&self, labels: &Labels) -> String {
        let others = || {
            let name = labels.value_of("alertname");
            self.incidents.iter().filter(move |own| own.name() == name)
        };
        let mut values: Vec<&str> = Vec::new();
        for (name, value) in labels.iter().filter(|(name, _)| *name != "severity") {
            let differs = others().any(|own| own.labels.value_of(name) != value);
            if differs && !values.contains(&value) {
                values.push(value);
            }
        }
        values.join(", ")
    }

    /// The line of the event with number `seq`.
    pub(super) fn line(&self, seq: u64) -> Option<&Line<'a>> {
        self.lines.iter().find(|line| line.event.seq == seq)
    }

    /// The time since t0, or since the beginning where there was no fault.
    pub(super) fn since(&self, at: Timestamp) -> String {
        text::since(at, self.zero)
    }

    /// The same for what is heard: to the second, where the drawings show minutes. What is below tells a listener nothing.
    pub(super) fn since_heard(&self, at: Timestamp) -> String {
        const SECOND: i64 = 1_000_000_000;
        if self.focus.until.since(self.focus.from) < Duration::from_secs(300) {
            return self.since(at);
        }
        let nanos = at.as_nanos().saturating_sub(self.zero.as_nanos());
        let secs = nanos.saturating_add(SECOND / 2).div_euclid(SECOND);
        let rounded = secs.saturating_mul(SECOND);
        self.since(Timestamp::from_nanos(
            self.zero.as_nanos().saturating_add(rounded),
        ))
    }

    /// What the shown times count from, for headings.
    pub(super) fn zero_name(&self) -> &'static str {
        if self.zero_is_fault {
            "since t0"
        } else {
            "since start"
        }
    }

    /// Alerts that fired although nobody expected or allowed them.
    pub(super) fn unexpected(&self) -> impl Iterator<Item = &Incident> {
        self.incidents
            .iter()
            .filter(|own| own.fired() && own.expectation == Expectation::Unexpected)
    }
}

/// What the drawings leave out, for people.
pub(super) fn focus_note(timeline: &Timeline<'_>) -> Option<String> {
    let focus = timeline.focus;
    focus.cut.then(|| {
        format!(
            "shown is {} to {} of {} to {}",
            timeline.since(focus.from),
            timeline.since(focus.until),
            timeline.since(timeline.scenario.started),
            timeline.since(timeline.scenario.ended)
        )
    })
}

/// How a fault came to its end, for people.
pub(super) fn fault_end(end: FaultEnd) -> &'static str {
    match end {
        FaultEnd::Cleared => "cleared by a step",
        FaultEnd::Dropped => "undone at the end of the scenario",
        FaultEnd::LeaseExpired => "its lease ran out",
        FaultEnd::Aborted => "an abort condition held",
        FaultEnd::Interrupted => "the run was interrupted",
    }
}

fn describe(kind: &EventKind) -> (Tone, &'static str, String) {
    match kind {
        EventKind::PhaseStarted { phase } => (Tone::Plain, "phase", phase.clone()),
        EventKind::LoadChanged {
            requests_per_second,
        } => (
            Tone::Plain,
            "load",
            format!("{} requests/s", text::number(*requests_per_second)),
        ),
        EventKind::FaultInjected { .. }
        | EventKind::FaultTouched { .. }
        | EventKind::FaultCleared { .. }
        | EventKind::FaultProvenGone { .. } => describe_fault(kind),
        EventKind::FirstBadEvent { slo, detail } => {
            (Tone::Bad, "first bad event", format!("{slo}: {detail}"))
        }
        EventKind::SliBreached {
            slo,
            bad_ratio,
            threshold,
        } => (
            Tone::Bad,
            "SLI breached",
            format!(
                "{slo}: {} bad, threshold {}",
                text::with_unit(*bad_ratio, "ratio"),
                text::with_unit(*threshold, "ratio")
            ),
        ),
        EventKind::SliRestored { slo, bad_ratio } => (
            Tone::Good,
            "SLI back",
            format!("{slo}: {} bad", text::with_unit(*bad_ratio, "ratio")),
        ),
        EventKind::AlertPending { .. }
        | EventKind::AlertFiring { .. }
        | EventKind::AlertDropped { .. }
        | EventKind::AlertResolved { .. }
        | EventKind::RuleFailed { .. } => describe_alert(kind),
        EventKind::Notified { .. }
        | EventKind::NotificationFailed { .. }
        | EventKind::NotificationMuted { .. }
        | EventKind::Acknowledged { .. } => describe_notification(kind),
        EventKind::Diagnosed { trace_id, finding } => (
            Tone::Good,
            "diagnosed",
            format!("{finding} (trace {trace_id})"),
        ),
        EventKind::TargetHealthChanged { .. }
        | EventKind::ServiceChanged { .. }
        | EventKind::Deployed { .. } => describe_system(kind),
        EventKind::StepPassed { step, observed } if observed.is_empty() => {
            (Tone::Good, "step passed", step.clone())
        }
        EventKind::StepPassed { step, observed } => {
            (Tone::Good, "step passed", format!("{step}: {observed}"))
        }
        EventKind::StepFailed { step, reason } => {
            (Tone::Bad, "step failed", format!("{step}: {reason}"))
        }
        EventKind::Note { text } => (Tone::Plain, "note", text.clone()),
    }
}

fn describe_fault(kind: &EventKind) -> (Tone, &'static str, String) {
    match kind {
        EventKind::FaultInjected { fault, description } => (
            Tone::Fault,
            "fault injected",
            format!("{fault}: {description}"),
        ),
        EventKind::FaultTouched { fault } => (
            Tone::Fault,
            "fault touched",
            format!("{fault}: its first request"),
        ),
        EventKind::FaultCleared {
            fault,
            end,
            touched,
        } => (
            Tone::Fault,
            "fault ended",
            format!(
                "{fault}: {}, {} touched",
                fault_end(*end),
                text::count(*touched, "request", "requests")
            ),
        ),
        EventKind::FaultProvenGone { fault, evidence } => {
            (Tone::Good, "fault gone", format!("{fault}: {evidence}"))
        }
        _ => (Tone::Plain, "event", String::new()),
    }
}

fn describe_alert(kind: &EventKind) -> (Tone, &'static str, String) {
    let with_value = |labels: &Labels, value: f64| {
        format!("{}, value {}", text::alert(labels), text::number(value))
    };
    match kind {
        EventKind::AlertPending { labels, value } => {
            (Tone::Warning, "alert pending", with_value(labels, *value))
        }
        EventKind::AlertFiring { labels, value, .. } => {
            (Tone::Bad, "alert firing", with_value(labels, *value))
        }
        EventKind::AlertDropped { labels } => (Tone::Plain, "alert inactive", text::alert(labels)),
        EventKind::AlertResolved { labels, .. } => {
            (Tone::Good, "alert resolved", text::alert(labels))
        }
        EventKind::RuleFailed { rule, error } => {
            (Tone::Bad, "rule failed", format!("{rule}: {error}"))
        }
        _ => (Tone::Plain, "event", String::new()),
    }
}

fn describe_notification(kind: &EventKind) -> (Tone, &'static str, String) {
    match kind {
        EventKind::Notified {
            receiver,
            integration,
            status,
            firing,
            resolved,
            ..
        } => {
            let tone = if firing.is_empty() {
                Tone::Good
            } else {
                Tone::Bad
            };
            let alerts = names(firing.iter().chain(resolved));
            let text = format!("{receiver} ({integration}) told {status}: {alerts}");
            (tone, "notified", text)
        }
        EventKind::NotificationFailed {
            receiver,
            integration,
            error,
        } => (
            Tone::Bad,
            "notification failed",
            format!("{receiver} ({integration}): {error}"),
        ),
        EventKind::NotificationMuted {
            receiver,
            alerts,
            reason,
        } => (
            Tone::Plain,
            "notification muted",
            format!("{receiver}: {reason}: {}", names(alerts.iter())),
        ),
        EventKind::Acknowledged { alert } => (Tone::Good, "acknowledged", alert.clone()),
        _ => (Tone::Plain, "event", String::new()),
    }
}

fn describe_system(kind: &EventKind) -> (Tone, &'static str, String) {
    match kind {
        EventKind::TargetHealthChanged { labels, up, error } => {
            let target = format!("{}{}", labels.value_of("job"), text::labels(labels));
            if *up {
                (Tone::Good, "target up", target)
            } else {
                (Tone::Bad, "target down", format!("{target}: {error}"))
            }
        }
        EventKind::ServiceChanged {
            service,
            state,
            version,
        } => {
            let tone = match state.as_str() {
                "crashed" | "hung" => Tone::Bad,
                _ => Tone::Plain,
            };
            let version = if version.is_empty() {
                String::new()
            } else {
                format!(" (version {version})")
            };
            (tone, "service", format!("{service} {state}{version}"))
        }
        EventKind::Deployed {
            service,
            version,
            outcome,
        } => {
            let tone = if outcome == "failure" {
                Tone::Bad
            } else {
                Tone::Plain
            };
            (tone, "deployed", format!("{service} {version}: {outcome}"))
        }
        _ => (Tone::Plain, "event", String::new()),
    }
}

/// The alerts of a notification: a few by their labels, the rest by their number.
fn names<'a>(alerts: impl Iterator<Item = &'a Labels>) -> String {
    const NAMES_MAX: usize = 5;
    let all: Vec<&Labels> = alerts.collect();
    let mut shown: Vec<String> = all
        .iter()
        .take(NAMES_MAX)
        .map(|labels| text::alert(labels))
        .collect();
    if all.len() > NAMES_MAX {
        shown.push(format!("and {} more", all.len() - NAMES_MAX));
    }
    if shown.is_empty() {
        shown.push("no alert".to_owned());
    }
    shown.join(", ")
}

/// An alert that was pending and went away again, in a line.
pub(super) fn passing(incident: &Incident, timeline: &Timeline<'_>) -> String {
    let (from, until) = passing_times(incident, timeline);
    format!(
        "{}: pending from {from} to {until}, never fired",
        text::alert(&incident.labels)
    )
}

/// From when until when an alert that never fired was pending.
pub(super) fn passing_times(incident: &Incident, timeline: &Timeline<'_>) -> (String, String) {
    let at = |mark: Option<Mark>| {
        mark.map_or_else(|| "the end".to_owned(), |mark| timeline.since(mark.at))
    };
    (at(incident.moments.pending), at(incident.dropped))
}

/// When arithmetic says that a moment can come, and by how much later it came; none for a moment that it knows nothing of.
pub(super) fn theoretical(
    incident: &Incident,
    moment: Moment,
    timeline: &Timeline<'_>,
) -> Option<(String, Option<String>)> {
    let known = incident.theoretical?;
    let bounds = match moment {
        Moment::T3 => known.pending,
        Moment::T4 => known.firing,
        Moment::T5 => known.notified,
        _ => return None,
    };
    let mut earliest = timeline.since(bounds.earliest);
    if bounds.latest > bounds.earliest {
        earliest = format!("{earliest} to {}", timeline.since(bounds.latest));
    }
    let late = incident
        .moments
        .get(moment)
        .map(|mark| text::signed_ms(mark.at.as_millis() - bounds.earliest.as_millis()));
    Some((earliest, late))
}

/// When a moment was reached, for people; a page that was not sent because it was muted says so.
pub(super) fn moment_time(incident: &Incident, moment: Moment, timeline: &Timeline<'_>) -> String {
    match (incident.moments.get(moment), &incident.muted) {
        (Some(mark), _) => timeline.since(mark.at),
        (None, Some(muted)) if moment == Moment::T5 => format!("not reached ({})", muted.reason),
        (None, _) => "not reached".to_owned(),
    }
}

/// A measured time for people.
pub(super) fn reached_ms(ms: Option<i64>) -> String {
    ms.map_or_else(|| "not reached".to_owned(), text::signed_ms)
}

/// A stage's time for people.
pub(super) fn stage_time(time: Option<Duration>) -> String {
    time.map_or_else(|| "—".to_owned(), text::duration)
}

//! Incidents: each alert from its first sight to its end, with the fault behind it, read out of the journal.

use std::collections::BTreeMap;

use gameday_signal::{Event, EventKind, FaultEnd, Labels, Timestamp};
use serde::{Deserialize, Serialize};

use super::moments::{Mark, Measures, Moments};
use super::record::{Expectation, ScenarioRecord};
use super::stages::{Stage, breakdown};
use super::timing::TheoreticalMoments;

/// What kept an alert from being sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Muted {
    /// When.
    pub mark: Mark,
    /// `inhibited`, `silenced` or `muted`, as the journal has it.
    pub reason: String,
}

/// An alert from its first sight to its end, with the fault behind it: or an expected alert that never came.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// The alert's labels; only its name where it never came.
    pub labels: Labels,
    /// Its annotations, where it fired.
    pub annotations: Labels,
    /// The value of its expression when it fired, or when it was last seen pending.
    #[serde(with = "super::units::maybe_number")]
    pub value: Option<f64>,
    /// Whether it was meant to fire.
    pub expectation: Expectation,
    /// The fault in force at the time.
    pub fault: Option<String>,
    /// The SLO that the alert watches over.
    pub slo: Option<String>,
    /// t0 to t11.
    pub moments: Moments,
    /// What kept it from being sent, the first time.
    pub muted: Option<Muted>,
    /// When a pending alert that never fired was no longer seen.
    pub dropped: Option<Mark>,
    /// What is measured between the moments.
    pub measures: Measures,
    /// When each moment could have come at the earliest.
    pub theoretical: Option<TheoreticalMoments>,
    /// The time to page by stage.
    pub stages: Vec<Stage>,
}

impl Incident {
    /// The alert's name.
    pub fn name(&self) -> &str {
        self.labels.value_of("alertname")
    }

    /// Whether nobody need look at it: it never fired, and nobody expected it or it passed before anything was broken.
    pub(super) fn minor(&self) -> bool {
        self.passed_by() || (self.expectation != Expectation::Expected && !self.fired())
    }

    /// Whether it was pending for a while, without a fault and without firing.
    fn passed_by(&self) -> bool {
        !self.fired() && self.dropped.is_some() && self.fault.is_none()
    }

    /// Whether the alert fired.
    pub fn fired(&self) -> bool {
        self.moments.firing.is_some()
    }
}

/// All incidents of a scenario: those that were seen in the order of their first sight, then the expected ones that never came.
pub fn incidents(scenario: &ScenarioRecord) -> Vec<Incident> {
    let events = ordered(&scenario.events);
    let index = Index::of(&events);
    let mut found: Vec<Incident> = episodes(&events)
        .into_iter()
        .map(|episode| assemble(scenario, &index, episode))
        .collect();
    for alert in &scenario.alerts {
        let came = found
            .iter()
            .any(|own| alert.covers(&own.labels) && !own.passed_by());
        if alert.expectation == Expectation::Expected && !came {
            let labels = alert.labels.with("alertname", &alert.name);
            found.push(assemble(scenario, &index, Episode::new(labels)));
        }
    }
    found
}

/// The incident that the run is about: the first that paged, else fired, else was seen; the expected before the others.
pub fn primary(incidents: &[Incident]) -> Option<&Incident> {
    incidents.iter().min_by_key(|own| {
        let at = |mark: Option<Mark>| {
            mark.map_or((Timestamp::MAX, u64::MAX), |mark| (mark.at, mark.event))
        };
        (
            own.expectation != Expectation::Expected,
            at(own.moments.notified),
            at(own.moments.firing),
            at(own.moments.pending),
        )
    })
}

/// The journal in the order of time: an entry may have been recorded after the fact.
pub(super) fn ordered(events: &[Event]) -> Vec<&Event> {
    let mut events: Vec<&Event> = events.iter().collect();
    events.sort_by_key(|event| (event.at, event.seq));
    events
}

/// What an entry of the journal says was broken: a fault, a service that crashed, a change that failed.
pub(super) fn broken(kind: &EventKind) -> Option<String> {
    match kind {
        EventKind::FaultInjected { fault, .. } => Some(fault.clone()),
        EventKind::ServiceChanged { service, state, .. } if state == "crashed" => {
            Some(format!("crash of {service}"))
        }
        EventKind::Deployed { outcome, .. } if outcome == "failure" => {
            Some("change that failed".to_owned())
        }
        _ => None,
    }
}

/// What the journal says of one alert from its first sight to its end.
struct Episode<'a> {
    labels: Labels,
    annotations: Option<&'a Labels>,
    value: Option<f64>,
    pending: Option<Mark>,
    firing: Option<Mark>,
    resolved: Option<Mark>,
    dropped: Option<Mark>,
}

impl Episode<'_> {
    /// An alert that has not been seen.
    fn new(labels: Labels) -> Self {
        Self {
            labels,
            annotations: None,
            value: None,
            pending: None,
            firing: None,
            resolved: None,
            dropped: None,
        }
    }

    fn first_seen(&self) -> Option<Mark> {
        self.pending.or(self.firing)
    }
}

/// The episodes of all alerts in the order of their first sight.
fn episodes<'a>(events: &[&'a Event]) -> Vec<Episode<'a>> {
    let mut episodes: Vec<Episode<'a>> = Vec::new();
    // Where the open episode of each alert stands.
    let mut open: BTreeMap<&Labels, usize> = BTreeMap::new();
    for event in events {
        let mark = Some(Mark::of(event));
        match &event.kind {
            EventKind::AlertPending { labels, value } => {
                let own = open_episode(&mut episodes, &mut open, labels);
                own.pending = own.pending.or(mark);
                own.value = own.value.filter(|_| own.firing.is_some()).or(Some(*value));
            }
            EventKind::AlertFiring {
                labels,
                annotations,
                value,
            } => {
                let own = open_episode(&mut episodes, &mut open, labels);
                // An alert without `for` is pending and firing in the same evaluation.
                own.pending = own.pending.or(mark);
                if own.firing.is_none() {
                    own.firing = mark;
                    own.annotations = Some(annotations);
                    own.value = Some(*value);
                }
            }
            EventKind::AlertDropped { labels } => {
                if let Some(index) = open.remove(labels) {
                    episodes[index].dropped = mark;
                }
            }
            EventKind::AlertResolved { labels, .. } => {
                if let Some(index) = open.remove(labels) {
                    episodes[index].resolved = mark;
                }
            }
            _ => {}
        }
    }
    episodes
}

fn open_episode<'e, 'a>(
    episodes: &'e mut Vec<Episode<'a>>,
    open: &mut BTreeMap<&'a Labels, usize>,
    labels: &'a Labels,
) -> &'e mut Episode<'a> {
    let index = *open.entry(labels).or_insert_with(|| {
        episodes.push(Episode::new(labels.clone()));
        episodes.len() - 1
    });
    &mut episodes[index]
}

fn assemble(scenario: &ScenarioRecord, index: &Index<'_>, episode: Episode<'_>) -> Incident {
    let alert = scenario
        .alerts
        .iter()
        .find(|alert| alert.covers(&episode.labels));
    let slo = alert.and_then(|alert| alert.slo.as_deref());
    let fault = index.fault_of(&episode);
    let moments = index.moments(&episode, fault, slo);
    let slo_record = slo.and_then(|slo| scenario.slos.iter().find(|own| own.name == slo));
    let timing = alert.and_then(|alert| alert.timing.as_ref());
    let theoretical = match (timing, moments.first_bad_event) {
        (Some(timing), Some(first_bad)) => timing.theoretical(first_bad.at),
        _ => None,
    };
    let mut stages = timing.map_or_else(Vec::new, |timing| {
        breakdown(timing, &moments, theoretical.as_ref())
    });
    if let (Some(delivery), failed @ 1..) = (stages.last_mut(), index.failed_attempts(&moments)) {
        delivery.setting = super::text::count(failed, "failed attempt", "failed attempts");
    }
    Incident {
        annotations: episode.annotations.cloned().unwrap_or_else(Labels::empty),
        value: episode.value,
        expectation: alert.map_or(Expectation::Unexpected, |alert| alert.expectation),
        fault: fault.map(|(_, name)| name.clone()),
        slo: slo.map(str::to_owned),
        muted: index.muted(&episode),
        dropped: episode.dropped,
        measures: Measures::of(&moments, slo_record),
        stages,
        theoretical,
        moments,
        labels: episode.labels,
    }
}

/// The journal by what its entries say, each list in the order of time, so that an incident looks at few of them.
#[derive(Default)]
struct Index<'a> {
    /// What was broken: faults, services that crashed, changes that failed.
    injected: Vec<(Mark, String)>,
    /// Faults that a step cleared, services that were restarted and versions that were rolled back.
    mitigated: Vec<&'a Event>,
    /// First bad events, breaches and recoveries, and the injections between them.
    slis: Vec<&'a Event>,
    diagnosed: Vec<&'a Event>,
    /// By the names of the alerts in them.
    notified: BTreeMap<&'a str, Vec<&'a Event>>,
    muted: BTreeMap<&'a str, Vec<&'a Event>>,
    acknowledged: BTreeMap<&'a str, Vec<&'a Event>>,
    failed: Vec<&'a Event>,
    /// The receivers of notifications by their `seq`.
    receivers: BTreeMap<u64, &'a str>,
}

impl<'a> Index<'a> {
    fn of(events: &[&'a Event]) -> Self {
        let mut index = Self::default();
        for event in events {
            index.add(event);
        }
        index
    }

    fn add(&mut self, event: &'a Event) {
        if let Some(what) = broken(&event.kind) {
            self.injected.push((Mark::of(event), what));
        }
        match &event.kind {
            EventKind::ServiceChanged { state, .. } if state == "crashed" => self.slis.push(event),
            EventKind::ServiceChanged { state, .. } if state == "restarted" => {
                self.mitigated.push(event);
            }
            EventKind::FaultCleared { end, .. } if *end == FaultEnd::Cleared => {
                self.mitigated.push(event);
            }
            EventKind::Deployed { outcome, .. } if outcome == "rolled_back" => {
                self.mitigated.push(event);
            }
            EventKind::FaultInjected { .. }
            | EventKind::FirstBadEvent { .. }
            | EventKind::SliBreached { .. }
            | EventKind::SliRestored { .. } => self.slis.push(event),
            EventKind::Diagnosed { .. } => self.diagnosed.push(event),
            EventKind::Notified {
                receiver,
                firing,
                resolved,
                ..
            } => {
                self.receivers.insert(event.seq, receiver);
                by_name(&mut self.notified, event, firing.iter().chain(resolved));
            }
            EventKind::NotificationMuted { alerts, .. } => {
                by_name(&mut self.muted, event, alerts.iter());
            }
            EventKind::NotificationFailed { .. } => self.failed.push(event),
            EventKind::Acknowledged { alert } => {
                self.acknowledged.entry(alert).or_default().push(event);
            }
            _ => {}
        }
    }

    /// The fault behind an episode: the last one injected before the alert was first seen; the first fault of all for an
    /// alert that was never seen.
    fn fault_of(&self, episode: &Episode<'_>) -> Option<&(Mark, String)> {
        let Some(seen) = episode.first_seen() else {
            return self.injected.first();
        };
        let before = self
            .injected
            .partition_point(|(own, _)| (own.at, own.event) <= (seen.at, seen.event));
        self.injected[..before].last()
    }

    /// Without a fault the incident begins where the alert was first seen: a false alarm has no t0 to t2.
    fn moments(
        &self,
        episode: &Episode<'_>,
        fault: Option<&(Mark, String)>,
        slo: Option<&str>,
    ) -> Moments {
        let injected = fault.map(|(mark, _)| *mark);
        let about = |own: &str| slo.is_none_or(|slo| slo == own);
        let first_bad_event = first_from(
            &self.slis,
            injected,
            |kind| matches!(kind, EventKind::FirstBadEvent { slo, .. } if about(slo)),
        );
        let sli_breached = first_from(
            &self.slis,
            injected,
            |kind| matches!(kind, EventKind::SliBreached { slo, .. } if about(slo)),
        );
        let name = episode.labels.value_of("alertname");
        let sent = of_name(&self.notified, name);
        let notified = first_from(
            sent,
            episode.firing,
            |kind| matches!(kind, EventKind::Notified { firing, .. } if holds(firing, &episode.labels)),
        );
        let resolved_notified = first_from(
            sent,
            episode.resolved,
            |kind| matches!(kind, EventKind::Notified { resolved, .. } if holds(resolved, &episode.labels)),
        );
        Moments {
            fault_injected: injected,
            first_bad_event,
            sli_breached,
            pending: episode.pending,
            firing: episode.firing,
            notified,
            acknowledged: first_from(of_name(&self.acknowledged, name), notified, |_| true),
            diagnosed: first_from(&self.diagnosed, injected, |_| true),
            mitigated: fault.and_then(|(mark, name)| self.mitigated(*mark, name)),
            sli_restored: sli_breached.and_then(|breached| self.sli_restored(breached, about)),
            resolved: episode.resolved,
            resolved_notified,
        }
    }

    /// A step cleared the fault, or a version was rolled back, whichever came first.
    fn mitigated(&self, injected: Mark, name: &str) -> Option<Mark> {
        first_from(
            &self.mitigated,
            Some(injected),
            |kind| !matches!(kind, EventKind::FaultCleared { fault, .. } if fault != name),
        )
    }

    /// The last time that the SLI came back after it was breached, before another fault was injected; none if it was breached
    /// again and stayed so.
    fn sli_restored(&self, breached: Mark, about: impl Fn(&str) -> bool) -> Option<Mark> {
        let start = self
            .slis
            .partition_point(|event| (event.at, event.seq) <= (breached.at, breached.event));
        let mut restored = None;
        for event in &self.slis[start..] {
            match &event.kind {
                EventKind::SliRestored { slo, .. } if about(slo) => {
                    restored = Some(Mark::of(event));
                }
                EventKind::SliBreached { slo, .. } if about(slo) => restored = None,
                EventKind::FaultInjected { .. } if restored.is_some() => break,
                _ => {}
            }
        }
        restored
    }

    /// The first time that the alert was kept from being sent.
    fn muted(&self, episode: &Episode<'_>) -> Option<Muted> {
        let from = episode.first_seen()?;
        let over = episode.resolved.or(episode.dropped);
        let until = over.map_or(Timestamp::MAX, |mark| mark.at);
        let muted = self.muted.get(episode.labels.value_of("alertname"))?;
        let start = muted.partition_point(|event| event.at < from.at);
        muted[start..]
            .iter()
            .take_while(|event| event.at <= until)
            .find_map(|event| match &event.kind {
                EventKind::NotificationMuted { alerts, reason, .. }
                    if holds(alerts, &episode.labels) =>
                {
                    Some(Muted {
                        mark: Mark::of(event),
                        reason: reason.clone(),
                    })
                }
                _ => None,
            })
    }

    /// How often the delivery failed between t4 and t5, to the receiver that was told in the end; to any if none was.
    fn failed_attempts(&self, moments: &Moments) -> u64 {
        let Some(firing) = moments.firing else {
            return 0;
        };
        let until = moments.notified.map_or(Timestamp::MAX, |mark| mark.at);
        let told = moments
            .notified
            .and_then(|mark| self.receivers.get(&mark.event).copied());
        let start = self.failed.partition_point(|event| event.at < firing.at);
        let failed = self.failed[start..]
            .iter()
            .take_while(|event| event.at <= until)
            .filter(|event| {
                matches!(&event.kind, EventKind::NotificationFailed { receiver, .. }
                    if told.is_none_or(|told| told == receiver))
            });
        failed.count() as u64
    }
}

fn by_name<'a>(
    index: &mut BTreeMap<&'a str, Vec<&'a Event>>,
    event: &'a Event,
    alerts: impl Iterator<Item = &'a Labels>,
) {
    for labels in alerts {
        let events = index.entry(labels.value_of("alertname")).or_default();
        // A group holds many alerts of one name.
        if events.last().is_none_or(|last| last.seq != event.seq) {
            events.push(event);
        }
    }
}

fn of_name<'i, 'a>(index: &'i BTreeMap<&str, Vec<&'a Event>>, name: &str) -> &'i [&'a Event] {
    index.get(name).map_or(&[], Vec::as_slice)
}

/// The first of `events`, which are in the order of time, at or after a mark; none without a mark.
fn first_from(
    events: &[&Event],
    from: Option<Mark>,
    wanted: impl Fn(&EventKind) -> bool,
) -> Option<Mark> {
    let from = from?;
    let start = events.partition_point(|event| event.at < from.at);
    events[start..]
        .iter()
        .find(|event| wanted(&event.kind))
        .map(|event| Mark::of(event))
}

/// Whether a notification holds the alert: Prometheus may have added external labels to it on the way.
fn holds(notified: &[Labels], alert: &Labels) -> bool {
    notified.iter().any(|own| {
        alert
            .iter()
            .all(|(name, value)| own.value_of(name) == value)
    })
}

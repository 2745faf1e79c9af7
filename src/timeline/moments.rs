//! The moments t0 to t11 of each incident, and what is measured between them.

use gameday_signal::{Event, EventKind, FaultEnd, Labels, Timestamp};
use serde::{Deserialize, Serialize};

use super::record::{AlertRecord, Expectation, ScenarioRecord, SloRecord};
use super::stages::{Stage, breakdown};
use super::timing::TheoreticalMoments;

/// A moment of an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "Moment::name says what each of them is")]
pub enum Moment {
    T0,
    T1,
    T2,
    T3,
    T4,
    T5,
    T6,
    T7,
    T8,
    T9,
    T10,
    T11,
}

impl Moment {
    /// All of them in order.
    pub const ALL: [Self; 12] = [
        Self::T0,
        Self::T1,
        Self::T2,
        Self::T3,
        Self::T4,
        Self::T5,
        Self::T6,
        Self::T7,
        Self::T8,
        Self::T9,
        Self::T10,
        Self::T11,
    ];

    /// `t0` to `t11`.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::T0 => "t0",
            Self::T1 => "t1",
            Self::T2 => "t2",
            Self::T3 => "t3",
            Self::T4 => "t4",
            Self::T5 => "t5",
            Self::T6 => "t6",
            Self::T7 => "t7",
            Self::T8 => "t8",
            Self::T9 => "t9",
            Self::T10 => "t10",
            Self::T11 => "t11",
        }
    }

    /// What happens then.
    pub fn name(self) -> &'static str {
        match self {
            Self::T0 => "fault injected",
            Self::T1 => "first bad event",
            Self::T2 => "SLI over its threshold",
            Self::T3 => "alert pending",
            Self::T4 => "alert firing",
            Self::T5 => "notification delivered",
            Self::T6 => "acknowledged",
            Self::T7 => "first correct diagnosis",
            Self::T8 => "mitigation applied",
            Self::T9 => "SLI back",
            Self::T10 => "alert resolved",
            Self::T11 => "resolved notification delivered",
        }
    }
}

/// When a moment was reached, and which entry of the journal shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The instant.
    pub at: Timestamp,
    /// The `seq` of the event.
    pub event: u64,
}

/// The moments of one incident; none where a moment was not reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moments {
    /// t0.
    #[serde(rename = "t0_fault_injected")]
    pub fault_injected: Option<Mark>,
    /// t1.
    #[serde(rename = "t1_first_bad_event")]
    pub first_bad_event: Option<Mark>,
    /// t2.
    #[serde(rename = "t2_sli_breached")]
    pub sli_breached: Option<Mark>,
    /// t3.
    #[serde(rename = "t3_pending")]
    pub pending: Option<Mark>,
    /// t4.
    #[serde(rename = "t4_firing")]
    pub firing: Option<Mark>,
    /// t5.
    #[serde(rename = "t5_notified")]
    pub notified: Option<Mark>,
    /// t6.
    #[serde(rename = "t6_acknowledged")]
    pub acknowledged: Option<Mark>,
    /// t7.
    #[serde(rename = "t7_diagnosed")]
    pub diagnosed: Option<Mark>,
    /// t8.
    #[serde(rename = "t8_mitigated")]
    pub mitigated: Option<Mark>,
    /// t9.
    #[serde(rename = "t9_sli_restored")]
    pub sli_restored: Option<Mark>,
    /// t10.
    #[serde(rename = "t10_resolved")]
    pub resolved: Option<Mark>,
    /// t11.
    #[serde(rename = "t11_resolved_notified")]
    pub resolved_notified: Option<Mark>,
}

impl Moments {
    /// When `moment` was reached.
    pub fn get(&self, moment: Moment) -> Option<Mark> {
        match moment {
            Moment::T0 => self.fault_injected,
            Moment::T1 => self.first_bad_event,
            Moment::T2 => self.sli_breached,
            Moment::T3 => self.pending,
            Moment::T4 => self.firing,
            Moment::T5 => self.notified,
            Moment::T6 => self.acknowledged,
            Moment::T7 => self.diagnosed,
            Moment::T8 => self.mitigated,
            Moment::T9 => self.sli_restored,
            Moment::T10 => self.resolved,
            Moment::T11 => self.resolved_notified,
        }
    }

    /// Milliseconds from one moment to another, negative when they came the other way round; none if either is missing.
    pub fn between_ms(&self, from: Moment, to: Moment) -> Option<i64> {
        let (from, to) = (self.get(from)?.at, self.get(to)?.at);
        Some(to.as_millis() - from.as_millis())
    }
}

/// What is measured between the moments; none where a moment was not reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Measures {
    /// t4 - t1.
    pub time_to_detect_ms: Option<i64>,
    /// t5 - t1.
    pub time_to_page_ms: Option<i64>,
    /// t6 - t5.
    pub time_to_acknowledge_ms: Option<i64>,
    /// t7 - t5.
    pub time_to_diagnose_ms: Option<i64>,
    /// t8 - t5.
    pub time_to_mitigate_ms: Option<i64>,
    /// t9 - t1.
    pub time_to_restore_ms: Option<i64>,
    /// t10 - t9.
    pub reset_ms: Option<i64>,
    /// The share of the error budget that was burnt from t1 to t9; 1 is all of it.
    #[serde(with = "super::units::maybe_number")]
    pub budget_burnt_ratio: Option<f64>,
}

impl Measures {
    fn of(moments: &Moments, slo: Option<&SloRecord>) -> Self {
        Self {
            time_to_detect_ms: moments.between_ms(Moment::T1, Moment::T4),
            time_to_page_ms: moments.between_ms(Moment::T1, Moment::T5),
            time_to_acknowledge_ms: moments.between_ms(Moment::T5, Moment::T6),
            time_to_diagnose_ms: moments.between_ms(Moment::T5, Moment::T7),
            time_to_mitigate_ms: moments.between_ms(Moment::T5, Moment::T8),
            time_to_restore_ms: moments.between_ms(Moment::T1, Moment::T9),
            reset_ms: moments.between_ms(Moment::T9, Moment::T10),
            budget_burnt_ratio: slo.and_then(|slo| slo.budget_burnt_ratio),
        }
    }

    /// The times with their names and definitions, in the order of an incident.
    pub fn times_ms(&self) -> [(&'static str, &'static str, Option<i64>); 7] {
        [
            ("time to detect", "t4 - t1", self.time_to_detect_ms),
            ("time to page", "t5 - t1", self.time_to_page_ms),
            (
                "time to acknowledge",
                "t6 - t5",
                self.time_to_acknowledge_ms,
            ),
            ("time to diagnose", "t7 - t5", self.time_to_diagnose_ms),
            ("time to mitigate", "t8 - t5", self.time_to_mitigate_ms),
            ("time to restore", "t9 - t1", self.time_to_restore_ms),
            ("reset", "t10 - t9", self.reset_ms),
        ]
    }
}

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

    /// Whether nobody need look at it: nobody expected it, and it never fired.
    pub(super) fn minor(&self) -> bool {
        self.expectation != Expectation::Expected && !self.fired()
    }

    /// Whether the alert fired.
    pub fn fired(&self) -> bool {
        self.moments.firing.is_some()
    }
}

/// All incidents of a scenario: those that were seen in the order of their first sight, then the expected ones that never came.
pub fn incidents(scenario: &ScenarioRecord) -> Vec<Incident> {
    let events = ordered(&scenario.events);
    let mut episodes: Vec<Episode<'_>> = Vec::new();
    for event in &events {
        record(&mut episodes, event);
    }
    let mut found: Vec<Incident> = episodes
        .into_iter()
        .map(|episode| assemble(scenario, &events, episode))
        .collect();
    for alert in &scenario.alerts {
        let came = found.iter().any(|own| alert.covers(&own.labels));
        if alert.expectation == Expectation::Expected && !came {
            let labels = alert.labels.with("alertname", &alert.name);
            found.push(assemble(scenario, &events, Episode::never_came(labels)));
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
    fn never_came(labels: Labels) -> Self {
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

    fn open(&self) -> bool {
        self.resolved.is_none() && self.dropped.is_none()
    }

    fn first_seen(&self) -> Option<Mark> {
        self.pending.or(self.firing)
    }
}

fn record<'a>(episodes: &mut Vec<Episode<'a>>, event: &'a Event) {
    let mark = Some(mark(event));
    let (labels, opens) = match &event.kind {
        EventKind::AlertPending { labels, .. } | EventKind::AlertFiring { labels, .. } => {
            (labels, true)
        }
        EventKind::AlertDropped { labels } | EventKind::AlertResolved { labels, .. } => {
            (labels, false)
        }
        _ => return,
    };
    let same = |own: &&mut Episode<'_>| own.open() && own.labels == *labels;
    if opens && episodes.iter_mut().rev().find(same).is_none() {
        episodes.push(Episode::never_came(labels.clone()));
    }
    let Some(own) = episodes.iter_mut().rev().find(same) else {
        return;
    };
    match &event.kind {
        EventKind::AlertPending { value, .. } => {
            own.pending = own.pending.or(mark);
            own.value = Some(*value);
        }
        EventKind::AlertFiring {
            annotations, value, ..
        } => {
            // An alert without `for` is pending and firing in the same evaluation.
            own.pending = own.pending.or(mark);
            if own.firing.is_none() {
                own.firing = mark;
                own.annotations = Some(annotations);
                own.value = Some(*value);
            }
        }
        EventKind::AlertDropped { .. } => own.dropped = mark,
        _ => own.resolved = mark,
    }
}

fn mark(event: &Event) -> Mark {
    Mark {
        at: event.at,
        event: event.seq,
    }
}

fn assemble(scenario: &ScenarioRecord, events: &[&Event], episode: Episode<'_>) -> Incident {
    let alert = scenario
        .alerts
        .iter()
        .find(|alert| alert.covers(&episode.labels));
    let slo = alert.and_then(|alert| alert.slo.as_deref());
    let journal = Journal { events, slo };
    let moments = journal.moments(&episode);
    let slo_record = slo.and_then(|slo| scenario.slos.iter().find(|own| own.name == slo));
    let timing = alert.and_then(|alert| alert.timing.as_ref());
    let theoretical = match (timing, moments.first_bad_event) {
        (Some(timing), Some(first_bad)) => timing.theoretical(first_bad.at),
        _ => None,
    };
    let mut stages = timing.map_or_else(Vec::new, |timing| {
        breakdown(timing, &moments, theoretical.as_ref())
    });
    if let (Some(delivery), failed @ 1..) = (stages.last_mut(), journal.failed_attempts(&moments)) {
        delivery.setting = super::text::count(failed, "failed attempt", "failed attempts");
    }
    Incident {
        muted: journal.muted(&episode),
        annotations: episode.annotations.cloned().unwrap_or_else(Labels::empty),
        value: episode.value,
        expectation: alert.map_or(Expectation::Unexpected, |alert: &AlertRecord| {
            alert.expectation
        }),
        fault: journal.fault_of(&episode).map(|(_, name)| name.to_owned()),
        slo: slo.map(str::to_owned),
        dropped: episode.dropped,
        measures: Measures::of(&moments, slo_record),
        stages,
        theoretical,
        moments,
        labels: episode.labels,
    }
}

/// The journal as one incident sees it.
struct Journal<'a> {
    events: &'a [&'a Event],
    /// The SLO whose moments count; none for those of any SLO.
    slo: Option<&'a str>,
}

impl<'a> Journal<'a> {
    /// The fault behind an episode: the last one injected before the alert was first seen; the first fault of all for an
    /// alert that was never seen.
    fn fault_of(&self, episode: &Episode<'_>) -> Option<(Mark, &'a str)> {
        let mut injected = self.events.iter().filter_map(|event| match &event.kind {
            EventKind::FaultInjected { fault, .. } => Some((mark(event), fault.as_str())),
            _ => None,
        });
        match episode.first_seen() {
            Some(seen) => injected
                .take_while(|(own, _)| (own.at, own.event) <= (seen.at, seen.event))
                .last(),
            None => injected.next(),
        }
    }

    fn first_after(
        &self,
        after: Option<Mark>,
        wanted: impl Fn(&EventKind) -> bool,
    ) -> Option<Mark> {
        let after = after?;
        // The events are in the order of time.
        let start = self.events.partition_point(|event| event.at < after.at);
        self.events[start..]
            .iter()
            .find(|event| wanted(&event.kind))
            .map(|event| mark(event))
    }

    fn about(&self, slo: &str) -> bool {
        self.slo.is_none_or(|own| own == slo)
    }

    fn moments(&self, episode: &Episode<'_>) -> Moments {
        let fault = self.fault_of(episode);
        let injected = fault.map(|(mark, _)| mark);
        // Without a fault the incident begins where the alert was first seen: a false alarm has no t0 to t2.
        let first_bad_event = self.first_after(
            injected,
            |kind| matches!(kind, EventKind::FirstBadEvent { slo, .. } if self.about(slo)),
        );
        let sli_breached = self.first_after(
            injected,
            |kind| matches!(kind, EventKind::SliBreached { slo, .. } if self.about(slo)),
        );
        let name = episode.labels.value_of("alertname");
        let notified = self.first_after(episode.firing, |kind| {
            matches!(kind, EventKind::Notified { firing, .. } if holds(firing, &episode.labels))
        });
        let resolved_notified = self.first_after(episode.resolved, |kind| {
            matches!(kind, EventKind::Notified { resolved, .. } if holds(resolved, &episode.labels))
        });
        Moments {
            fault_injected: injected,
            first_bad_event,
            sli_breached,
            pending: episode.pending,
            firing: episode.firing,
            notified,
            acknowledged: self.first_after(
                notified,
                |kind| matches!(kind, EventKind::Acknowledged { alert } if alert == name),
            ),
            diagnosed: self
                .first_after(injected, |kind| matches!(kind, EventKind::Diagnosed { .. })),
            mitigated: fault.and_then(|(mark, name)| self.mitigated(mark, name)),
            sli_restored: self.sli_restored(sli_breached),
            resolved: episode.resolved,
            resolved_notified,
        }
    }

    /// The first time that the alert was kept from being sent.
    fn muted(&self, episode: &Episode<'_>) -> Option<Muted> {
        let from = episode.first_seen()?;
        let until = episode.resolved.map_or(Timestamp::MAX, |mark| mark.at);
        let start = self.events.partition_point(|event| event.at < from.at);
        self.events[start..]
            .iter()
            .take_while(|event| event.at <= until)
            .find_map(|event| match &event.kind {
                EventKind::NotificationMuted { alerts, reason, .. }
                    if holds(alerts, &episode.labels) =>
                {
                    Some(Muted {
                        mark: mark(event),
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
        let between = || {
            let start = self.events.partition_point(|event| event.at < firing.at);
            self.events[start..]
                .iter()
                .take_while(|event| event.at <= until)
        };
        let told = moments.notified.and_then(|mark| {
            between().find_map(|event| match &event.kind {
                EventKind::Notified { receiver, .. } if event.seq == mark.event => Some(receiver),
                _ => None,
            })
        });
        let failed = between().filter(|event| {
            matches!(&event.kind, EventKind::NotificationFailed { receiver, .. }
                if told.is_none_or(|told| told == receiver))
        });
        failed.count() as u64
    }

    /// A step cleared the fault, or a version was rolled back, whichever came first.
    fn mitigated(&self, injected: Mark, name: &str) -> Option<Mark> {
        self.first_after(Some(injected), |kind| match kind {
            EventKind::FaultCleared { fault, end, .. } => {
                fault == name && *end == FaultEnd::Cleared
            }
            EventKind::Deployed { outcome, .. } => outcome == "rolled_back",
            _ => false,
        })
    }

    /// The last time that the SLI came back after it was breached, before another fault was injected; none if it was breached
    /// again and stayed so.
    fn sli_restored(&self, breached: Option<Mark>) -> Option<Mark> {
        let breached = breached?;
        let later = self
            .events
            .iter()
            .skip_while(|event| (event.at, event.seq) <= (breached.at, breached.event));
        let mut restored = None;
        for event in later {
            match &event.kind {
                EventKind::SliRestored { slo, .. } if self.about(slo) => {
                    restored = Some(mark(event));
                }
                EventKind::SliBreached { slo, .. } if self.about(slo) => restored = None,
                EventKind::FaultInjected { .. } if restored.is_some() => break,
                _ => {}
            }
        }
        restored
    }
}

/// Whether a notification holds the alert: Prometheus may have added external labels to it on the way.
fn holds(notified: &[Labels], alert: &Labels) -> bool {
    notified.iter().any(|own| {
        alert
            .iter()
            .all(|(name, value)| own.value_of(name) == value)
    })
}

//! Fault windows: the times in which something was broken on purpose, by a fault or by the crash of a service.

use gameday_signal::{Event, EventKind, Timestamp};

use super::incidents::broken;
use super::lines::{Timeline, fault_end};
use super::record::{FaultRecord, ScenarioRecord};
use super::text;

/// A fault window as a row of a table. The texts of the scenario are raw: each renderer escapes them in its own way.
pub(super) struct FaultRow {
    /// Raw.
    pub(super) name: String,
    /// Raw.
    pub(super) description: String,
    pub(super) injected: String,
    pub(super) ended: String,
    pub(super) touched: String,
    /// Raw.
    pub(super) proven_gone: String,
}

/// A time in which a fault was in force, or a service that had crashed was away.
pub(super) struct FaultWindow<'a> {
    pub(super) name: String,
    pub(super) from: Timestamp,
    pub(super) until: Timestamp,
    cause: Cause<'a>,
}

enum Cause<'a> {
    Fault(&'a FaultRecord),
    Crash { restarted: bool },
}

/// The fault windows of a scenario in the order of their beginnings. `events` is its journal in the order of time: a crash is no
/// fault that somebody can clear, so it stands there only, from the crash to the restart.
pub(super) fn fault_windows<'a>(
    scenario: &'a ScenarioRecord,
    events: &[&Event],
) -> Vec<FaultWindow<'a>> {
    let mut windows: Vec<FaultWindow<'a>> = scenario
        .faults
        .iter()
        .map(|fault| FaultWindow {
            name: fault.name.clone(),
            from: fault.injected,
            until: fault.cleared.unwrap_or(scenario.ended),
            cause: Cause::Fault(fault),
        })
        .collect();
    let service_is = |event: &Event, wanted: &str| matches!(&event.kind, EventKind::ServiceChanged { service, state, .. } if service == wanted && state == "restarted");
    for (index, event) in events.iter().enumerate() {
        let EventKind::ServiceChanged { service, .. } = &event.kind else {
            continue;
        };
        let Some(name) = broken(&event.kind) else {
            continue;
        };
        let restart = events[index..].iter().find(|own| service_is(own, service));
        windows.push(FaultWindow {
            name,
            from: event.at,
            until: restart.map_or(scenario.ended, |own| own.at),
            cause: Cause::Crash {
                restarted: restart.is_some(),
            },
        });
    }
    // The sort is stable: what began at once stays in the order of its injection.
    windows.sort_by_key(|window| window.from);
    windows
}

impl FaultWindow<'_> {
    /// What it was and how it ended.
    pub(super) fn row(&self, timeline: &Timeline<'_>) -> FaultRow {
        let name = self.name.clone();
        let injected = timeline.since(self.from);
        match self.cause {
            Cause::Fault(fault) => FaultRow {
                name,
                description: fault.description.clone(),
                injected,
                ended: match (fault.cleared, fault.end) {
                    (Some(at), Some(end)) => format!("{} ({})", timeline.since(at), fault_end(end)),
                    (Some(at), None) => timeline.since(at),
                    (None, _) => "still in force".to_owned(),
                },
                touched: text::thousands(fault.touched),
                proven_gone: fault
                    .proven_gone
                    .clone()
                    .unwrap_or_else(|| "not proven".to_owned()),
            },
            Cause::Crash { restarted } => FaultRow {
                name,
                description: "its process ended, its machine stayed".to_owned(),
                injected,
                ended: if restarted {
                    format!("{} (restarted)", timeline.since(self.until))
                } else {
                    "never restarted".to_owned()
                },
                touched: "not counted".to_owned(),
                proven_gone: "not proven".to_owned(),
            },
        }
    }

    /// The window as a sentence, for those who hear it.
    pub(super) fn sentence(&self, timeline: &Timeline<'_>) -> String {
        let kind = match self.cause {
            Cause::Fault(_) => "Fault ",
            Cause::Crash { .. } => "A ",
        };
        format!(
            "{kind}{} in force from {} to {}.",
            text::clip(&text::visible(&self.name), 80),
            timeline.since_heard(self.from),
            timeline.since_heard(self.until)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_lasts_until_the_same_service_is_restarted() {
        let mut scenario = ScenarioRecord::new("f", "s", Timestamp::EPOCH);
        scenario.ended = Timestamp::from_secs(100);
        let mut changed = |secs, service: &str, state: &str| {
            scenario.events.push(Event {
                at: Timestamp::from_secs(secs),
                seq: scenario.events.len() as u64,
                kind: EventKind::ServiceChanged {
                    service: service.to_owned(),
                    state: state.to_owned(),
                    version: String::new(),
                },
            });
        };
        changed(5, "users", "started");
        changed(10, "checkout", "crashed");
        changed(20, "payments", "crashed");
        changed(30, "payments", "restarted");
        changed(40, "checkout", "restarted");
        changed(50, "checkout", "crashed");
        let timeline = Timeline::new(&scenario);
        let seen: Vec<String> = timeline
            .fault_windows
            .iter()
            .map(|window| window.sentence(&timeline))
            .collect();
        assert_eq!(
            seen,
            [
                "A crash of checkout in force from +0s to +30s.",
                "A crash of payments in force from +10s to +20s.",
                "A crash of checkout in force from +40s to +1m30s.",
            ]
        );
        assert_eq!(timeline.zero_name(), "since t0");
        let ended = |index: usize| timeline.fault_windows[index].row(&timeline).ended;
        assert_eq!(
            (ended(0), ended(2)),
            ("+30s (restarted)".to_owned(), "never restarted".to_owned())
        );
    }
}

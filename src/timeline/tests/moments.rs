//! Moments of incidents that are not as smooth as the sample.

use gameday_signal::{Event, EventKind, FaultEnd, Labels, Timestamp};

use crate::timeline::*;

fn labels(alert: &str) -> Labels {
    Labels::new([("alertname", alert), ("severity", "critical")])
}

fn pending(alert: &str) -> EventKind {
    EventKind::AlertPending {
        labels: labels(alert),
        value: 1.0,
    }
}

fn firing(alert: &str) -> EventKind {
    EventKind::AlertFiring {
        labels: labels(alert),
        annotations: Labels::empty(),
        value: 2.0,
    }
}

fn resolved(alert: &str) -> EventKind {
    EventKind::AlertResolved {
        labels: labels(alert),
        fired_at: Timestamp::EPOCH,
    }
}

fn dropped(alert: &str) -> EventKind {
    EventKind::AlertDropped {
        labels: labels(alert),
    }
}

fn injected(fault: &str) -> EventKind {
    EventKind::FaultInjected {
        fault: fault.to_owned(),
        description: String::new(),
    }
}

fn cleared(fault: &str, end: FaultEnd) -> EventKind {
    EventKind::FaultCleared {
        fault: fault.to_owned(),
        end,
        touched: 1,
    }
}

fn bad(slo: &str) -> EventKind {
    EventKind::FirstBadEvent {
        slo: slo.to_owned(),
        detail: String::new(),
    }
}

fn breached(slo: &str) -> EventKind {
    EventKind::SliBreached {
        slo: slo.to_owned(),
        bad_ratio: 1.0,
        threshold: 0.1,
    }
}

fn restored(slo: &str) -> EventKind {
    EventKind::SliRestored {
        slo: slo.to_owned(),
        bad_ratio: 0.0,
    }
}

fn notified(receiver: &str, firing: &[Labels], resolved: &[Labels]) -> EventKind {
    EventKind::Notified {
        receiver: receiver.to_owned(),
        integration: "webhook".to_owned(),
        status: if firing.is_empty() {
            "resolved"
        } else {
            "firing"
        }
        .to_owned(),
        group_labels: Labels::empty(),
        firing: firing.to_vec(),
        resolved: resolved.to_vec(),
        payload: "{}".to_owned(),
    }
}

fn scenario(events: &[(i64, EventKind)]) -> ScenarioRecord {
    let mut scenario = ScenarioRecord::new("f", "s", Timestamp::EPOCH);
    scenario.ended = Timestamp::from_secs(10_000);
    scenario.events = events
        .iter()
        .enumerate()
        .map(|(seq, (secs, kind))| Event {
            at: Timestamp::from_secs(*secs),
            seq: seq as u64,
            kind: kind.clone(),
        })
        .collect();
    scenario
}

/// The moments of each incident as seconds, in the order t0 to t11.
fn check(scenario: &ScenarioRecord, expected: &[(&str, [Option<i64>; 12])]) {
    let found = incidents(scenario);
    let seen: Vec<_> = found
        .iter()
        .map(|own| {
            let secs =
                Moment::ALL.map(|moment| own.moments.get(moment).map(|mark| mark.at.as_secs()));
            (own.name(), secs)
        })
        .collect();
    assert_eq!(seen, expected);
}

#[test]
fn a_false_alarm_has_no_beginning() {
    let events = [(5, bad("x")), (10, firing("A")), (20, resolved("A"))];
    let mut moments = [None; 12];
    // Without `for` the alert is pending and firing at once.
    (moments[3], moments[4], moments[10]) = (Some(10), Some(10), Some(20));
    check(&scenario(&events), &[("A", moments)]);
}

#[test]
fn each_alert_belongs_to_the_fault_before_it() {
    let events = [
        (10, injected("one")),
        (11, bad("x")),
        (20, firing("A")),
        (30, cleared("one", FaultEnd::Cleared)),
        (40, resolved("A")),
        (50, injected("two")),
        (51, bad("x")),
        (60, firing("B")),
        // Its lease ran out: nobody mitigated it.
        (70, cleared("two", FaultEnd::LeaseExpired)),
    ];
    let scenario = scenario(&events);
    let faults: Vec<_> = incidents(&scenario)
        .into_iter()
        .map(|own| own.fault)
        .collect();
    assert_eq!(faults, [Some("one".to_owned()), Some("two".to_owned())]);
    let mut first = [None; 12];
    (first[0], first[1], first[3], first[4]) = (Some(10), Some(11), Some(20), Some(20));
    (first[8], first[10]) = (Some(30), Some(40));
    let mut second = [None; 12];
    (second[0], second[1], second[3], second[4]) = (Some(50), Some(51), Some(60), Some(60));
    check(&scenario, &[("A", first), ("B", second)]);
}

#[test]
fn an_alert_that_flaps_is_several_incidents() {
    let events = [
        (10, pending("A")),
        (20, dropped("A")),
        (30, pending("A")),
        (40, firing("A")),
        (50, resolved("A")),
        (60, pending("A")),
    ];
    let found = incidents(&scenario(&events));
    let seen: Vec<_> = found
        .iter()
        .map(|own| (own.fired(), own.dropped.map(|mark| mark.at.as_secs())))
        .collect();
    assert_eq!(seen, [(false, Some(20)), (true, None), (false, None)]);
}

#[test]
fn moments_are_those_of_the_alerts_own_slo() {
    let events = [
        (10, injected("f")),
        (11, bad("other")),
        (12, bad("own")),
        (13, breached("other")),
        (14, breached("own")),
        (20, firing("A")),
        (30, restored("other")),
        // It came back, was breached again, and came back for good.
        (31, restored("own")),
        (32, breached("own")),
        (33, restored("own")),
    ];
    let mut scenario = scenario(&events);
    let mut alert = AlertRecord::new("A", Expectation::Expected);
    alert.slo = Some("own".to_owned());
    scenario.alerts.push(alert);
    let mut moments = [None; 12];
    (moments[0], moments[1], moments[2]) = (Some(10), Some(12), Some(14));
    (moments[3], moments[4], moments[9]) = (Some(20), Some(20), Some(33));
    check(&scenario, &[("A", moments)]);
}

#[test]
fn a_page_is_found_by_its_labels() {
    let external = labels("A").with("cluster", "eu");
    let events = [
        (10, firing("A")),
        (11, notified("mail", &[labels("B")], &[])),
        (12, notified("slack", std::slice::from_ref(&external), &[])),
        (20, resolved("A")),
        (21, notified("slack", &[labels("B")], &[external])),
    ];
    let mut moments = [None; 12];
    (moments[3], moments[4], moments[5]) = (Some(10), Some(10), Some(12));
    (moments[10], moments[11]) = (Some(20), Some(21));
    check(&scenario(&events), &[("A", moments)]);
}

#[test]
fn a_rollback_mitigates() {
    let deployed = EventKind::Deployed {
        service: "s".to_owned(),
        version: "1".to_owned(),
        outcome: "rolled_back".to_owned(),
    };
    let events = [(10, injected("f")), (20, firing("A")), (25, deployed)];
    let found = incidents(&scenario(&events));
    assert_eq!(
        found[0].moments.mitigated.map(|mark| mark.at.as_secs()),
        Some(25)
    );
}

#[test]
fn what_kept_a_page_from_being_sent_is_told() {
    let muted = EventKind::NotificationMuted {
        receiver: "slack".to_owned(),
        alerts: vec![labels("A")],
        reason: "inhibited".to_owned(),
    };
    let events = [(10, firing("A")), (15, muted), (20, firing("B"))];
    let scenario = scenario(&events);
    let found = incidents(&scenario);
    assert_eq!(
        found[0].muted.as_ref().map(|own| own.reason.as_str()),
        Some("inhibited")
    );
    assert_eq!(found[1].muted, None);
    let mut record = RunRecord::new("n", "t", Timestamp::EPOCH);
    record.scenarios.push(scenario);
    for (name, text) in report_files(&record) {
        assert!(text.contains("inhibited") || name == "junit.xml", "{name}");
    }
}

#[test]
fn what_came_and_went_was_not_held_back_later() {
    let pending = |value| EventKind::AlertPending {
        labels: labels("A"),
        value,
    };
    let dropped = EventKind::AlertDropped {
        labels: labels("A"),
    };
    let muted = EventKind::NotificationMuted {
        receiver: "slack".to_owned(),
        alerts: vec![labels("A")],
        reason: "inhibited".to_owned(),
    };
    let events = [
        (10, pending(1.0)),
        (15, dropped),
        (20, pending(2.0)),
        (25, firing("A")),
        (30, muted),
    ];
    let found = incidents(&scenario(&events));
    let muted: Vec<bool> = found.iter().map(|own| own.muted.is_some()).collect();
    assert_eq!(muted, [false, true]);
}

#[test]
fn failed_deliveries_are_counted() {
    let failed = |receiver: &str| EventKind::NotificationFailed {
        receiver: receiver.to_owned(),
        integration: "webhook".to_owned(),
        error: "refused".to_owned(),
    };
    let events = [
        (9, failed("slack")),
        (10, firing("A")),
        (11, failed("slack")),
        (12, failed("mail")),
        (13, failed("slack")),
        (14, notified("slack", &[labels("A")], &[])),
        (15, failed("slack")),
    ];
    let mut scenario = scenario(&events);
    let mut alert = AlertRecord::new("A", Expectation::Expected);
    alert.timing = Some(AlertTiming {
        windows: Vec::new(),
        bad_ratio_before: 0.0,
        bad_ratio_during: 1.0,
        recorded_before: std::time::Duration::ZERO,
        crossed_at: None,
        scrape_interval: std::time::Duration::from_secs(15),
        scrape_phase: None,
        evaluation_interval: std::time::Duration::from_secs(15),
        evaluation_phase: None,
        for_duration: std::time::Duration::ZERO,
        group_wait: std::time::Duration::ZERO,
    });
    scenario.alerts.push(alert);
    let found = incidents(&scenario);
    let delivery = found[0].stages.last().expect("six stages");
    assert_eq!(delivery.setting, "2 failed attempts");
    assert_eq!(delivery.observed, Some(std::time::Duration::from_secs(4)));
}

#[test]
fn an_event_recorded_late_stands_where_it_happened() {
    let mut scenario = scenario(&[(10, injected("f")), (20, firing("A")), (12, bad("x"))]);
    scenario.events[2].seq = 2;
    let found = incidents(&scenario);
    assert_eq!(found[0].measures.time_to_detect_ms, Some(8000));
}

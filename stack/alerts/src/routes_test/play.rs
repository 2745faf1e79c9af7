//! Plays one test on an engine of its own, in virtual time, and compares.

use std::collections::BTreeSet;
use std::time::Duration;

use gameday_signal::{Labels, Timestamp};

use super::report::CaseReport;
use super::{Case, CaseAlert, Expected, LabelMap, offset};
use crate::alert::PostableAlert;
use crate::config::Config;
use crate::effect::{Effect, NotifiedAlert, Outcome};
use crate::engine::{Alertmanager, Options};
use crate::silence::{PostableSilence, SilenceMatcher};

/// What is done at a moment; the order is that of doing.
enum Act<'a> {
    Silence(PostableSilence),
    Post(&'a CaseAlert, bool),
    Judge,
}

/// A message that was sent.
#[derive(Clone, Debug, PartialEq)]
struct Sent {
    at: Duration,
    receiver: String,
    integration: &'static str,
    alerts: Vec<NotifiedAlert>,
}

/// A test that wants more than this is a mistake (a year of a group interval of a minute is half a million flushes).
const MAX_EFFECTS: usize = 1_000_000;

pub(super) fn play(case: &Case, config: &Config) -> CaseReport {
    let mut report = CaseReport::new(&case.name);
    let start = case.start.0;
    let options = Options {
        started_at: start,
        ..Options::default()
    };
    let mut engine = Alertmanager::new(config.clone(), options);
    let until = until(case, &engine);
    let mut acts = match acts(case, until) {
        Ok(acts) => acts,
        Err(reason) => {
            report.failures.push(reason);
            return report;
        }
    };
    acts.sort_by_key(|(at, _)| *at);
    let mut sent = Vec::new();
    for (at, act) in acts {
        let now = start + at;
        advance(&mut engine, now, start, false, &mut sent, &mut report);
        let done = match act {
            Act::Silence(silence) => engine
                .set_silence(silence, now)
                .map(drop)
                .map_err(|error| error.to_string()),
            Act::Post(alert, is_end) => engine
                .receive(vec![post(alert, is_end, start)], now)
                .map_err(|error| error.to_string()),
            Act::Judge => {
                // What is due at this very moment happens before it is judged.
                advance(&mut engine, now, start, true, &mut sent, &mut report);
                judge(case, &engine, now, &mut report);
                Ok(())
            }
        };
        if let Err(reason) = done {
            report.failures.push(reason);
        }
    }
    advance(
        &mut engine,
        start + until,
        start,
        true,
        &mut sent,
        &mut report,
    );
    if let Some(expected) = &case.expected_notifications {
        compare(expected, &sent, until, &mut report);
    }
    if !report.failures.is_empty() {
        for alert in &case.alerts {
            report
                .explanation
                .push(format!("route of {}:", alert.labels.labels()));
            let way = engine.explain_route(&alert.labels.labels());
            report
                .explanation
                .extend(way.into_iter().map(|line| format!("  {line}")));
        }
        for message in &sent {
            report
                .explanation
                .push(format!("sent: {}", describe_sent(message)));
        }
    }
    report
}

/// The end: as the test says, or one group interval after the last moment that it names.
fn until(case: &Case, engine: &Alertmanager) -> Duration {
    if let Some(until) = case.until {
        return until.0;
    }
    let starts = case.alerts.iter().map(|alert| alert.starts.0);
    let ends = case.alerts.iter().filter_map(|alert| Some(alert.ends?.0));
    let silences = case
        .silences
        .iter()
        .filter_map(|silence| Some(silence.ends?.0));
    let expected = case
        .expected_notifications
        .iter()
        .flatten()
        .map(|expected| expected.at.0);
    let judged = case.at.map(|at| at.0);
    let last = starts
        .chain(ends)
        .chain(silences)
        .chain(expected)
        .chain(judged)
        .max();
    last.unwrap_or_default() + engine.longest_group_interval()
}

fn acts(case: &Case, until: Duration) -> Result<Vec<(Duration, Act<'_>)>, String> {
    let start = case.start.0;
    let mut acts = Vec::new();
    for silence in &case.silences {
        let ends = silence
            .ends
            .map_or(until + Duration::from_secs(1), |ends| ends.0);
        let posted = PostableSilence {
            id: String::new(),
            matchers: silence.parsed()?.iter().map(SilenceMatcher::from).collect(),
            starts_at: Some(start + silence.starts.0),
            ends_at: Some(start + ends),
            created_by: "test".to_owned(),
            comment: case.name.clone(),
            annotations: std::collections::BTreeMap::new(),
        };
        acts.push((Duration::ZERO, Act::Silence(posted)));
    }
    for alert in &case.alerts {
        acts.push((alert.starts.0, Act::Post(alert, false)));
        if let Some(ends) = alert.ends {
            acts.push((ends.0, Act::Post(alert, true)));
        }
    }
    let last_start = case.alerts.iter().map(|alert| alert.starts.0).max();
    let judged = case.at.map_or(last_start.unwrap_or_default(), |at| at.0);
    acts.push((judged, Act::Judge));
    Ok(acts)
}

/// The post of a firing alert holds until the one that ends it: a rule would post it again and again meanwhile.
fn post(alert: &CaseAlert, is_end: bool, start: Timestamp) -> PostableAlert {
    PostableAlert {
        labels: alert.labels.labels(),
        annotations: alert.annotations.labels(),
        starts_at: Some(start + alert.starts.0),
        ends_at: Some(match alert.ends {
            Some(ends) if is_end => start + ends.0,
            _ => Timestamp::MAX,
        }),
        generator_url: String::new(),
    }
}

/// Lets the time run up to `now` (and including it where `inclusive` says so); every message is delivered at once.
fn advance(
    engine: &mut Alertmanager,
    now: Timestamp,
    start: Timestamp,
    inclusive: bool,
    sent: &mut Vec<Sent>,
    report: &mut CaseReport,
) {
    while let Some(deadline) = engine
        .next_deadline()
        .filter(|deadline| *deadline < now || (inclusive && *deadline == now))
    {
        for effect in engine.tick(deadline) {
            match effect {
                Effect::Notify(notification) => {
                    engine.report(notification.id, Outcome::Delivered, deadline);
                    sent.push(Sent {
                        at: deadline.since(start),
                        receiver: notification.integration.receiver,
                        integration: notification.integration.kind,
                        alerts: notification.alerts,
                    });
                }
                Effect::Suppressed(suppressed) => {
                    let alerts: Vec<_> =
                        suppressed.alerts.iter().map(ToString::to_string).collect();
                    report.suppressed.push(format!(
                        "{}: {} for {:?}: {}",
                        offset(deadline.since(start)),
                        suppressed.by.as_str(),
                        suppressed.receiver,
                        alerts.join(", ")
                    ));
                }
                Effect::GaveUp { .. } => {}
            }
        }
        if sent.len() > MAX_EFFECTS {
            report
                .failures
                .push(format!("more than {MAX_EFFECTS} notifications were sent"));
            return;
        }
    }
}

/// Compares what holds for each alert at `now`.
fn judge(case: &Case, engine: &Alertmanager, now: Timestamp, report: &mut CaseReport) {
    for alert in &case.alerts {
        let labels = alert.labels.labels();
        let standing = engine.standing(&labels, now);
        if let Some(expected) = &alert.expected_receivers {
            let expected: BTreeSet<_> = expected.iter().cloned().collect();
            if expected != standing.receivers {
                report.failures.push(format!(
                    "{labels}: expected receivers {}, got {}",
                    list(&expected),
                    list(&standing.receivers)
                ));
            }
        }
        if let Some(expected) = &alert.expected_groups {
            let expected: BTreeSet<_> = expected
                .iter()
                .map(|group| group.labels().to_string())
                .collect();
            if expected != standing.groups {
                report.failures.push(format!(
                    "{labels}: expected groups {}, got {}",
                    list(&expected),
                    list(&standing.groups)
                ));
            }
        }
        for (what, expected, by) in [
            (
                "inhibited",
                alert.expected_inhibited,
                &standing.inhibited_by,
            ),
            ("silenced", alert.expected_silenced, &standing.silenced_by),
            ("muted", alert.expected_muted, &standing.muted_by),
        ] {
            match (expected, by) {
                (Some(true), None) => report.failures.push(format!(
                    "{labels}: expected to be {what}, but nothing does that"
                )),
                (Some(false), Some(by)) => {
                    report.failures.push(format!(
                        "{labels}: expected not to be {what}, but it is by {by}"
                    ));
                }
                _ => {}
            }
        }
    }
}

fn list(names: &BTreeSet<String>) -> String {
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    format!("[{}]", names.join(", "))
}

/// Pairs expected and sent messages up; the integrations of a receiver count as one unless the test names one.
fn compare(expected: &[Expected], sent: &[Sent], until: Duration, report: &mut CaseReport) {
    let mut open: Vec<&Sent> = Vec::new();
    for message in sent {
        let names_integration = expected.iter().any(|expected| {
            expected.receiver == message.receiver && !expected.integration.is_empty()
        });
        let is_repetition = !names_integration
            && open.iter().any(|other| {
                (other.at, &other.receiver, &other.alerts)
                    == (message.at, &message.receiver, &message.alerts)
            });
        if !is_repetition {
            open.push(message);
        }
    }
    let mut missing = Vec::new();
    for wanted in expected {
        match open.iter().position(|message| fits(wanted, message)) {
            Some(index) => drop(open.remove(index)),
            None => missing.push(wanted),
        }
    }
    for wanted in missing {
        let nearest = sent
            .iter()
            .filter(|message| message.receiver == wanted.receiver)
            .min_by_key(|message| message.at.abs_diff(wanted.at.0));
        let nearest = nearest.map_or_else(
            || {
                format!(
                    "nothing was sent to {:?} up to {}",
                    wanted.receiver,
                    offset(until)
                )
            },
            |message| format!("the nearest is {}", describe_sent(message)),
        );
        report.failures.push(format!(
            "expected {}, but {nearest}",
            describe_expected(wanted)
        ));
    }
    for message in open {
        report
            .failures
            .push(format!("not expected: {}", describe_sent(message)));
    }
}

fn fits(expected: &Expected, sent: &Sent) -> bool {
    let of = |is_resolved: bool| {
        sent.alerts
            .iter()
            .filter(|alert| alert.ends_at.is_some() == is_resolved)
            .map(|alert| &alert.labels)
            .collect::<Vec<_>>()
    };
    expected.at.0 == sent.at
        && expected.receiver == sent.receiver
        && (expected.integration.is_empty() || expected.integration == sent.integration)
        && pairs_up(&expected.firing, &of(false))
        && pairs_up(&expected.resolved, &of(true))
}

/// Whether every description can be given an alert of its own, and no alert is left (augmenting paths, as the sets are small).
fn pairs_up(descriptions: &[LabelMap], alerts: &[&Labels]) -> bool {
    if descriptions.len() != alerts.len() {
        return false;
    }
    let mut owner: Vec<Option<usize>> = vec![None; alerts.len()];
    (0..descriptions.len()).all(|index| {
        let mut seen = vec![false; alerts.len()];
        give(index, descriptions, alerts, &mut owner, &mut seen)
    })
}

fn give(
    index: usize,
    descriptions: &[LabelMap],
    alerts: &[&Labels],
    owner: &mut [Option<usize>],
    seen: &mut [bool],
) -> bool {
    for (alert, labels) in alerts.iter().enumerate() {
        if seen[alert] || !descriptions[index].is_part_of(labels) {
            continue;
        }
        seen[alert] = true;
        let is_free = match owner[alert] {
            None => true,
            Some(other) => give(other, descriptions, alerts, owner, seen),
        };
        if is_free {
            owner[alert] = Some(index);
            return true;
        }
    }
    false
}

fn describe_expected(expected: &Expected) -> String {
    let sets = |maps: &[LabelMap]| {
        let texts: Vec<_> = maps.iter().map(|map| map.labels().to_string()).collect();
        texts.join(", ")
    };
    describe(
        expected.at.0,
        &expected.receiver,
        &sets(&expected.firing),
        &sets(&expected.resolved),
    )
}

fn describe_sent(sent: &Sent) -> String {
    let sets = |is_resolved: bool| {
        let texts: Vec<_> = sent
            .alerts
            .iter()
            .filter(|alert| alert.ends_at.is_some() == is_resolved)
            .map(|alert| alert.labels.to_string())
            .collect();
        texts.join(", ")
    };
    describe(sent.at, &sent.receiver, &sets(false), &sets(true))
}

fn describe(at: Duration, receiver: &str, firing: &str, resolved: &str) -> String {
    let part = |name: &str, sets: &str| match sets {
        "" => String::new(),
        sets => format!(", {name} {sets}"),
    };
    format!(
        "at {} to {receiver:?}{}{}",
        offset(at),
        part("firing", firing),
        part("resolved", resolved)
    )
}

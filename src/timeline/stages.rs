//! The time to page by stage: window, scrape, evaluation, `for`, `group_wait`, delivery.

use std::time::Duration;

use gameday_signal::Timestamp;
use serde::{Deserialize, Serialize};

use super::moments::Moments;
use super::timing::{AlertTiming, TheoreticalMoments};
use super::units;

/// A stage on the way from the first bad event to the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StageKind {
    /// Until the expression can be true.
    Window,
    /// Until a scrape shows it.
    Scrape,
    /// Until an evaluation sees it.
    Evaluation,
    /// The rule's `for`.
    For,
    /// The route's `group_wait`.
    GroupWait,
    /// From the notifier to the receiver, with every failed attempt.
    Delivery,
}

impl StageKind {
    /// The name, as the configuration files have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Window => "window",
            Self::Scrape => "scrape",
            Self::Evaluation => "evaluation",
            Self::For => "for",
            Self::GroupWait => "group_wait",
            Self::Delivery => "delivery",
        }
    }
}

/// How long a stage takes at least, at most, and how long it took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// Which stage.
    pub kind: StageKind,
    /// The setting that decides it, for people: `1h > 14.4 %`, `every 15s`.
    pub setting: String,
    /// The least time it can take; none where the expression never becomes true.
    #[serde(rename = "minimum_ms", with = "units::maybe_millis")]
    pub minimum: Option<Duration>,
    /// The most time it can take if every part does its work at once.
    #[serde(rename = "maximum_ms", with = "units::maybe_millis")]
    pub maximum: Option<Duration>,
    /// The time it took; none where it was not reached, or cannot be told from the stage after it.
    #[serde(rename = "observed_ms", with = "units::maybe_millis")]
    pub observed: Option<Duration>,
}

/// The stages in their order. The observed times add up to the time to page, as far as the alert came.
///
/// Between t1 and t3 the journal holds nothing. The scrape that made the expression true is the last one before the evaluation
/// that saw it, which the phase of the scrapes tells; the window ends where the arithmetic says, at the latest with that scrape
/// and at the earliest with the one before. Where the phase is not known the scrape is counted with the evaluation.
pub(super) fn breakdown(
    timing: &AlertTiming,
    moments: &Moments,
    theoretical: Option<&TheoreticalMoments>,
) -> Vec<Stage> {
    let at = |mark: Option<super::moments::Mark>| mark.map(|mark| mark.at);
    let (first_bad, pending) = (at(moments.first_bad_event), at(moments.pending));
    let (firing, notified) = (at(moments.firing), at(moments.notified));
    let [window, scrape, evaluation] = match (first_bad, pending) {
        (Some(first_bad), Some(pending)) if pending >= first_bad => {
            until_pending(timing, first_bad, pending, theoretical)
        }
        _ => [None, None, None],
    };
    let held = span(pending, firing);
    let paged = span(firing, notified);
    let waited = paged.map(|paged| paged.min(timing.group_wait));
    let delivered = paged.map(|paged| paged.saturating_sub(timing.group_wait));

    let crossed = theoretical.map(|moments| moments.crossed);
    let window_bound = span(first_bad, crossed.map(|bounds| bounds.earliest));
    let bounds = |from: super::timing::Bounds, to: super::timing::Bounds, interval: Duration| {
        let exact = from.earliest == from.latest && to.earliest == to.latest;
        (
            to.earliest.since(from.earliest),
            if exact {
                to.latest.since(from.latest)
            } else {
                interval
            },
        )
    };
    let scrape_bounds =
        theoretical.map(|own| bounds(own.crossed, own.scraped, timing.scrape_interval));
    let evaluation_bounds =
        theoretical.map(|own| bounds(own.scraped, own.pending, timing.evaluation_interval));
    let hold = theoretical.map(|own| own.firing.earliest.since(own.pending.earliest));
    let stage = |kind, setting: String, bounds: Option<(Duration, Duration)>, observed| Stage {
        kind,
        setting,
        minimum: bounds.map(|(minimum, _)| minimum),
        maximum: bounds.map(|(_, maximum)| maximum),
        observed,
    };
    let fixed = |duration: Option<Duration>| duration.map(|duration| (duration, duration));
    let short = |duration| gameday_signal::format_duration(duration);
    vec![
        stage(
            StageKind::Window,
            windows(timing),
            fixed(window_bound),
            window,
        ),
        stage(
            StageKind::Scrape,
            format!("every {}", short(timing.scrape_interval)),
            scrape_bounds,
            scrape,
        ),
        stage(
            StageKind::Evaluation,
            format!("every {}", short(timing.evaluation_interval)),
            evaluation_bounds,
            evaluation,
        ),
        stage(
            StageKind::For,
            short(timing.for_duration),
            fixed(hold),
            held,
        ),
        stage(
            StageKind::GroupWait,
            short(timing.group_wait),
            fixed(Some(timing.group_wait)),
            waited,
        ),
        Stage {
            kind: StageKind::Delivery,
            setting: String::new(),
            minimum: Some(Duration::ZERO),
            maximum: None,
            observed: delivered,
        },
    ]
}

fn until_pending(
    timing: &AlertTiming,
    first_bad: Timestamp,
    pending: Timestamp,
    theoretical: Option<&TheoreticalMoments>,
) -> [Option<Duration>; 3] {
    // An alert that fired although the arithmetic says that it never would leaves nothing to tell the stages apart by.
    let Some(theoretical) = theoretical else {
        return [None, None, Some(pending.since(first_bad))];
    };
    let crossed = theoretical.crossed.earliest.clamp(first_bad, pending);
    match timing.scrape_before(pending) {
        Some(scraped) if scraped >= first_bad => {
            let previous = (scraped - timing.scrape_interval).max(first_bad);
            let crossed = crossed.clamp(previous, scraped);
            [
                Some(crossed.since(first_bad)),
                Some(scraped.since(crossed)),
                Some(pending.since(scraped)),
            ]
        }
        _ => [
            Some(crossed.since(first_bad)),
            None,
            Some(pending.since(crossed)),
        ],
    }
}

fn windows(timing: &AlertTiming) -> String {
    let windows: Vec<String> = timing
        .windows
        .iter()
        .map(|condition| {
            let window = gameday_signal::format_duration(condition.window);
            let threshold = super::text::with_unit(condition.bad_ratio_threshold, "ratio");
            format!("{window} > {threshold}")
        })
        .collect();
    if windows.is_empty() {
        "present value".to_owned()
    } else {
        windows.join(", ")
    }
}

fn span(from: Option<Timestamp>, to: Option<Timestamp>) -> Option<Duration> {
    Some(to?.since(from?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::moments::Mark;
    use crate::timeline::timing::WindowCondition;

    fn timing(scrape_phase_secs: Option<u64>) -> AlertTiming {
        AlertTiming {
            windows: vec![WindowCondition {
                window: Duration::from_secs(3600),
                bad_ratio_threshold: 0.144,
            }],
            bad_ratio_before: 0.0,
            bad_ratio_during: 1.0,
            recorded_before: Duration::from_secs(1800),
            crossed_at: None,
            scrape_interval: Duration::from_secs(15),
            scrape_phase: scrape_phase_secs.map(Duration::from_secs),
            evaluation_interval: Duration::from_secs(15),
            evaluation_phase: scrape_phase_secs.map(|_| Duration::from_secs(7)),
            for_duration: Duration::from_secs(60),
            group_wait: Duration::from_secs(30),
        }
    }

    fn moments(secs: [Option<i64>; 4]) -> Moments {
        let mark = |secs: Option<i64>| {
            secs.map(|secs| Mark {
                at: Timestamp::from_secs(secs),
                event: 0,
            })
        };
        Moments {
            first_bad_event: mark(secs[0]),
            pending: mark(secs[1]),
            firing: mark(secs[2]),
            notified: mark(secs[3]),
            ..Moments::default()
        }
    }

    fn check(timing: &AlertTiming, secs: [Option<i64>; 4], expected_ms: [Option<u128>; 6]) {
        let moments = moments(secs);
        let theoretical = secs[0].and_then(|first| timing.theoretical(Timestamp::from_secs(first)));
        let stages = breakdown(timing, &moments, theoretical.as_ref());
        let seen: Vec<_> = stages
            .iter()
            .map(|stage| stage.observed.map(|observed| observed.as_millis()))
            .collect();
        assert_eq!(seen, expected_ms);
        let total: u128 = seen.iter().flatten().sum();
        if let [Some(first), _, _, Some(last)] = secs {
            assert_eq!(total, (last - first) as u128 * 1000, "the stages add up");
        }
    }

    #[test]
    fn observed_stages_add_up() {
        // t1 at 1000 s, over the threshold 302.804 s later, scraped at 1308 s (3 s after a multiple of 15), seen at 1312 s.
        check(
            &timing(Some(3)),
            [Some(1000), Some(1312), Some(1372), Some(1403)],
            [302_804, 5_196, 4_000, 60_000, 30_000, 1_000].map(Some),
        );
        // The phases are not known: scrape and evaluation are one.
        check(
            &timing(None),
            [Some(1000), Some(1312), Some(1372), Some(1403)],
            [
                Some(302_804),
                None,
                Some(9_196),
                Some(60_000),
                Some(30_000),
                Some(1_000),
            ],
        );
        // It fired but was never delivered.
        check(
            &timing(Some(3)),
            [Some(1000), Some(1312), Some(1372), None],
            [
                Some(302_804),
                Some(5_196),
                Some(4_000),
                Some(60_000),
                None,
                None,
            ],
        );
        check(&timing(Some(3)), [None; 4], [None; 6]);
    }

    #[test]
    fn an_alert_that_came_too_early_still_adds_up() {
        check(
            &timing(Some(3)),
            [Some(1000), Some(1012), Some(1012), Some(1012)],
            [8_000, 0, 4_000, 0, 0, 0].map(Some),
        );
    }

    #[test]
    fn minimum_and_maximum_come_from_the_phases() {
        let exact = timing(Some(3));
        let theoretical = exact.theoretical(Timestamp::from_secs(1000));
        let stages = breakdown(
            &exact,
            &moments([Some(1000), None, None, None]),
            theoretical.as_ref(),
        );
        assert_eq!(stages[1].minimum, stages[1].maximum);
        let open = timing(None);
        let theoretical = open.theoretical(Timestamp::from_secs(1000));
        let stages = breakdown(
            &open,
            &moments([Some(1000), None, None, None]),
            theoretical.as_ref(),
        );
        assert_eq!(stages[1].minimum, Some(Duration::ZERO));
        assert_eq!(stages[1].maximum, Some(Duration::from_secs(15)));
        assert_eq!(stages[0].setting, "1h > 14.4 %");
    }
}

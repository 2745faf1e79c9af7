//! When an alert can fire at the earliest: arithmetic on window, threshold, scrape and evaluation interval, `for` and
//! `group_wait`.
//!
//! ```text
//!  t1 first bad event
//!   |--- window ---|- scrape -|- evaluation -|--- for ---|--- group_wait ---|- delivery -|
//!                  expression                t3          t4                              t5
//!                  can be true               pending     firing                          delivered
//! ```

use std::cmp::Ordering;
use std::time::Duration;

use gameday_signal::Timestamp;
use serde::{Deserialize, Serialize};

use super::units;

/// What decides when an alert can fire at the earliest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlertTiming {
    /// The windows of its expression, all of which must be over their thresholds; none for an expression on the present value.
    pub windows: Vec<WindowCondition>,
    /// The share of bad events before the fault, 0 to 1.
    pub bad_ratio_before: f64,
    /// The share of bad events while the fault is in force, 0 to 1.
    pub bad_ratio_during: f64,
    /// For how long events had been recorded before t1: a window longer than this is not yet full.
    #[serde(rename = "recorded_before_ms", with = "units::millis")]
    pub recorded_before: Duration,
    /// From when on the events that were counted passed every window, where only some are bad and chance decides which; the
    /// arithmetic on their shares where none is given.
    #[serde(default)]
    pub crossed_at: Option<Timestamp>,
    /// How often the targets are scraped.
    #[serde(rename = "scrape_interval_ms", with = "units::millis")]
    pub scrape_interval: Duration,
    /// By how much the scrapes come after the multiples of their interval (counted from the Unix epoch), where it is known.
    #[serde(rename = "scrape_phase_ms", with = "units::maybe_millis")]
    pub scrape_phase: Option<Duration>,
    /// How often the rule is evaluated.
    #[serde(rename = "evaluation_interval_ms", with = "units::millis")]
    pub evaluation_interval: Duration,
    /// By how much the evaluations come after the multiples of their interval, where it is known.
    #[serde(rename = "evaluation_phase_ms", with = "units::maybe_millis")]
    pub evaluation_phase: Option<Duration>,
    /// The rule's `for`.
    #[serde(rename = "for_ms", with = "units::millis")]
    pub for_duration: Duration,
    /// The route's `group_wait`.
    #[serde(rename = "group_wait_ms", with = "units::millis")]
    pub group_wait: Duration,
}

/// A window of an expression with the share of bad events that it must exceed, such as 1h and 14.4 * 0.005.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WindowCondition {
    /// How far it looks back.
    #[serde(rename = "window_ms", with = "units::millis")]
    pub window: Duration,
    /// The share of bad events in it, 0 to 1, that must be exceeded.
    pub bad_ratio_threshold: f64,
}

impl WindowCondition {
    /// The window of a burn rate alert: `burn_rate` times the error budget of `objective` (SRE workbook, table 5-8).
    pub fn burn_rate(window: Duration, burn_rate: f64, objective: f64) -> Self {
        Self {
            window,
            bad_ratio_threshold: burn_rate * (1.0 - objective),
        }
    }
}

/// The earliest and the latest instant at which something can happen if every part does its work at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// Not before this.
    pub earliest: Timestamp,
    /// Not after this; the same as `earliest` where the phases of scrapes and evaluations are known.
    pub latest: Timestamp,
}

impl Bounds {
    fn exact(at: Timestamp) -> Self {
        Self {
            earliest: at,
            latest: at,
        }
    }

    fn later_by(self, duration: Duration) -> Self {
        Self {
            earliest: self.earliest + duration,
            latest: self.latest + duration,
        }
    }

    /// Waits for the next tick of `interval`.
    fn next_tick(self, interval: Duration, phase: Option<Duration>) -> Self {
        match phase {
            Some(phase) => Self {
                earliest: next_tick(self.earliest, interval, phase),
                latest: next_tick(self.latest, interval, phase),
            },
            None => Self {
                earliest: self.earliest,
                latest: self.latest + interval,
            },
        }
    }
}

/// When each stage on the way to a page can be over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TheoreticalMoments {
    /// The expression can be true.
    pub crossed: Bounds,
    /// A scrape shows it.
    pub scraped: Bounds,
    /// t3: an evaluation sees it.
    pub pending: Bounds,
    /// t4: `for` is over, which an evaluation has to see as well.
    pub firing: Bounds,
    /// t5: `group_wait` is over; the delivery itself takes no time.
    pub notified: Bounds,
}

impl AlertTiming {
    /// How long the bad events must go on until all windows are over their thresholds; none if they never are.
    pub fn window_delay(&self) -> Option<Duration> {
        let mut longest = Duration::ZERO;
        for condition in &self.windows {
            longest = longest.max(self.delay_of(condition)?);
        }
        Some(longest)
    }

    /// With q seconds recorded before, a share b0 of bad events before and b1 since x seconds, a window of w seconds holds
    /// (b0 q + b1 x) / (q + x) while q + x < w, and (b0 (w - x) + b1 x) / w after that. Solved for the x at which the
    /// threshold is passed: 30 quiet minutes, then only bad events, pass 14.4 % of an hour after 5.05 minutes.
    ///
    /// A range of w holds samples that lie up to one scrape interval less than w apart, so w is taken that much shorter:
    /// this is the earliest moment.
    fn delay_of(&self, condition: &WindowCondition) -> Option<Duration> {
        let threshold = condition.bad_ratio_threshold;
        let (before, during) = (self.bad_ratio_before, self.bad_ratio_during);
        if before > threshold {
            return Some(Duration::ZERO);
        }
        // A comparison with not-a-number is false: an unknown ratio never crosses.
        if during.partial_cmp(&threshold) != Some(Ordering::Greater) {
            return None;
        }
        let covered = condition
            .window
            .saturating_sub(self.scrape_interval)
            .max(self.scrape_interval);
        let window_secs = covered.as_secs_f64();
        let recorded_secs = self.recorded_before.as_secs_f64();
        let filling = recorded_secs * (threshold - before) / (during - threshold);
        let secs = if recorded_secs + filling <= window_secs {
            filling
        } else {
            window_secs * (threshold - before) / (during - before)
        };
        // Nothing on the timeline is finer than a millisecond.
        Duration::try_from_secs_f64((secs * 1000.0).round() / 1000.0).ok()
    }

    /// When each stage can be over if the bad events begin at `first_bad`; none if the expression never becomes true.
    pub fn theoretical(&self, first_bad: Timestamp) -> Option<TheoreticalMoments> {
        let crossed = Bounds::exact(match self.crossed_at {
            Some(at) => at,
            None => first_bad + self.window_delay()?,
        });
        let scraped = crossed.next_tick(self.scrape_interval, self.scrape_phase);
        let pending = scraped.next_tick(self.evaluation_interval, self.evaluation_phase);
        let firing = pending.later_by(self.hold());
        let notified = firing.later_by(self.group_wait);
        Some(TheoreticalMoments {
            crossed,
            scraped,
            pending,
            firing,
            notified,
        })
    }

    /// The first scrape, after `first_bad` and until `end`, from which on all windows are over their thresholds for as long as `for`
    /// takes; none if there is none. `bad_ratio` is the share of bad events over a window that ends at a scrape.
    pub fn crossing_of(
        &self,
        first_bad: Timestamp,
        end: Timestamp,
        bad_ratio: impl Fn(Duration, Timestamp) -> Option<f64>,
    ) -> Option<Timestamp> {
        let phase = self.scrape_phase?;
        if self.scrape_interval.is_zero() || self.windows.is_empty() {
            return None;
        }
        let over = |scrape: Timestamp, condition: &WindowCondition| {
            bad_ratio(condition.window, scrape)
                .is_some_and(|ratio| ratio > condition.bad_ratio_threshold)
        };
        let mut since = None;
        let mut scrape = next_tick(first_bad, self.scrape_interval, phase);
        while scrape <= end {
            if self.windows.iter().all(|condition| over(scrape, condition)) {
                let since = *since.get_or_insert(scrape);
                if scrape.since(since) >= self.for_duration {
                    return Some(since);
                }
            } else {
                since = None;
            }
            scrape = scrape + self.scrape_interval;
        }
        None
    }

    /// `for`, rounded up to whole evaluations: only an evaluation can find that it is over.
    fn hold(&self) -> Duration {
        let interval_nanos = self.evaluation_interval.as_nanos();
        if interval_nanos == 0 {
            return self.for_duration;
        }
        let evaluations = self.for_duration.as_nanos().div_ceil(interval_nanos);
        Duration::from_nanos(u64::try_from(evaluations * interval_nanos).unwrap_or(u64::MAX))
    }

    /// The last scrape at or before `at`, where the phase is known.
    pub(super) fn scrape_before(&self, at: Timestamp) -> Option<Timestamp> {
        let phase = self.scrape_phase?;
        Some((at - phase).floor_to(self.scrape_interval) + phase)
    }
}

/// The first tick at or after `at`.
fn next_tick(at: Timestamp, interval: Duration, phase: Duration) -> Timestamp {
    let tick = (at - phase).floor_to(interval) + phase;
    if tick < at { tick + interval } else { tick }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timing(recorded_mins: u64, bad_ratio: f64, windows: &[(u64, f64)]) -> AlertTiming {
        AlertTiming {
            windows: windows
                .iter()
                .map(|(mins, threshold)| WindowCondition {
                    window: Duration::from_secs(mins * 60),
                    bad_ratio_threshold: *threshold,
                })
                .collect(),
            bad_ratio_before: 0.0,
            bad_ratio_during: bad_ratio,
            recorded_before: Duration::from_secs(recorded_mins * 60),
            crossed_at: None,
            scrape_interval: Duration::from_secs(15),
            scrape_phase: None,
            evaluation_interval: Duration::from_secs(15),
            evaluation_phase: None,
            for_duration: Duration::ZERO,
            group_wait: Duration::from_secs(30),
        }
    }

    #[test]
    fn windows_fill_by_arithmetic() {
        for (recorded_mins, bad_ratio, windows, expected_secs) in [
            // The example of the design: x / (30 + x) = 0.144 after 5.05 minutes.
            (30, 1.0, &[(60, 0.144)][..], Some(302.8)),
            // A full window: 14.4 % of the 59m45s that its samples span.
            (600, 1.0, &[(60, 0.144)], Some(516.24)),
            // Half as many bad events take twice as long.
            (600, 0.5, &[(60, 0.144)], Some(1032.48)),
            // The slowest window decides.
            (600, 1.0, &[(60, 0.144), (5, 0.144)], Some(516.24)),
            // Too few bad events for ever.
            (600, 0.1, &[(60, 0.144)], None),
            (600, f64::NAN, &[(60, 0.144)], None),
            // An expression on the present value is true at once.
            (600, 1.0, &[], Some(0.0)),
            // Nothing recorded before: the first bad event is all there is.
            (0, 1.0, &[(60, 0.144)], Some(0.0)),
        ] {
            let delay = timing(recorded_mins, bad_ratio, windows).window_delay();
            let secs = delay.map(|delay| (delay.as_secs_f64() * 100.0).round() / 100.0);
            assert_eq!(
                secs, expected_secs,
                "{recorded_mins} {bad_ratio} {windows:?}"
            );
        }
    }

    /// One event a second; chance lets some of them be bad.
    #[test]
    fn events_decide_where_only_some_are_bad() {
        let mut timing = timing(30, 0.5, &[(60, 0.1), (5, 0.1)]);
        timing.scrape_phase = Some(Duration::ZERO);
        timing.for_duration = Duration::from_secs(300);
        let first_bad = Timestamp::from_secs(1800);
        let crossing = |is_bad: &dyn Fn(i64) -> bool| {
            let ratio = |window: Duration, at: Timestamp| {
                let to = at.as_millis() / 1000;
                let secs = (to - window.as_secs() as i64).max(0) + 1..=to;
                let all = secs.clone().count();
                let bad = secs.filter(|second| *second >= 1800 && is_bad(*second));
                (all > 0).then(|| bad.count() as f64 / all as f64)
            };
            let found = timing.crossing_of(first_bad, Timestamp::from_secs(3600), ratio);
            found.map(|at| at.as_millis() / 1000 - 1800)
        };
        // All bad: x / (1800 + x) = 0.1 after 200 s, shown by the scrape of 210 s.
        assert_eq!(crossing(&|_| true), Some(210));
        // Every other one: x / 2 / (1800 + x) = 0.1 after 450 s, when the bad one of that second is counted.
        assert_eq!(crossing(&|second| second % 2 == 0), Some(450));
        // A pause of 10 minutes empties the short window, and `for` begins anew.
        let pause = 2030..2630;
        assert_eq!(crossing(&|second| !pause.contains(&second)), Some(870));
        assert_eq!(crossing(&|_| false), None);
    }

    #[test]
    fn a_burn_rate_is_a_share_of_bad_events() {
        let condition = WindowCondition::burn_rate(Duration::from_secs(3600), 14.4, 0.99);
        assert!((condition.bad_ratio_threshold - 0.144).abs() < 1e-12);
    }

    #[test]
    fn stages_wait_for_their_ticks() {
        let mut timing = timing(600, 1.0, &[]);
        timing.for_duration = Duration::from_secs(50);
        let at = Timestamp::from_secs(1000);
        let open = timing.theoretical(at).expect("it crosses");
        assert_eq!(open.pending.earliest, at);
        assert_eq!(open.pending.latest, at + Duration::from_secs(30));

        timing.scrape_phase = Some(Duration::from_secs(3));
        timing.evaluation_phase = Some(Duration::from_secs(1));
        let exact = timing.theoretical(at).expect("it crosses");
        // Scrapes come at 3 s after a multiple of 15, evaluations at 1 s after it.
        assert_eq!(exact.scraped, Bounds::exact(Timestamp::from_secs(1008)));
        assert_eq!(exact.pending, Bounds::exact(Timestamp::from_secs(1021)));
        // `for: 50s` takes four evaluations.
        assert_eq!(exact.firing, Bounds::exact(Timestamp::from_secs(1081)));
        assert_eq!(exact.notified, Bounds::exact(Timestamp::from_secs(1111)));
    }

    #[test]
    fn a_tick_at_the_very_instant_counts() {
        let at = Timestamp::from_secs(18);
        let interval = Duration::from_secs(15);
        assert_eq!(next_tick(at, interval, Duration::from_secs(3)), at);
        assert_eq!(
            timing(0, 1.0, &[]).scrape_before(at),
            None,
            "an unknown phase tells nothing"
        );
    }
}

//! The events of an objective as users saw them: what chance made of a fault that hits only some requests.
//!
//! From them follows what Prometheus can know: counters that are sampled at every scrape, and `rate()` over them.

use std::time::Duration;

use gameday_signal::Timestamp;

/// Good and bad events of an objective over time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EventCounts {
    /// One entry for each millisecond with an event, in order.
    moments: Vec<Moment>,
    first_bad: Option<Timestamp>,
}

/// The counts up to the end of a millisecond.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Moment {
    millis: i64,
    total: u32,
    bad: u32,
}

/// When a target is scraped: every `interval`, `phase` after its multiples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScrapeTimes {
    /// How often.
    pub interval: Duration,
    /// How long after a multiple of the interval.
    pub phase: Duration,
}

/// How the rules count what is bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadCounter {
    /// By a counter of its own, such as the requests with status 5xx: it begins with the first bad event.
    OfItsOwn,
    /// By what is missing to the good ones, such as those in the bucket of the latency objective.
    RestOfGood,
}

/// Moments that are counted (32 MB); what comes after them goes uncounted.
const MOMENTS_MAX: usize = 2_000_000;

impl EventCounts {
    /// Counts an event at that moment; moments do not go back.
    pub(super) fn count(&mut self, at: Timestamp, is_bad: bool) {
        let millis = at.as_millis();
        let last = self.moments.last().copied();
        if last.is_some_and(|own| own.millis >= millis) {
            self.moments.pop();
        } else if self.moments.len() >= MOMENTS_MAX {
            return;
        }
        if is_bad && self.first_bad.is_none() {
            self.first_bad = Some(at);
        }
        self.moments.push(Moment {
            millis: last.map_or(millis, |own| own.millis.max(millis)),
            total: last.map_or(0, |own| own.total) + 1,
            bad: last.map_or(0, |own| own.bad) + u32::from(is_bad),
        });
    }

    /// The share of bad events over `window` that the counters show to a rule that is evaluated right after the scrape `at`; none
    /// where they have fewer than two samples in it.
    pub fn bad_ratio_as_scraped(
        &self,
        times: ScrapeTimes,
        window: Duration,
        at: Timestamp,
        counter: BadCounter,
    ) -> Option<f64> {
        let born = Timestamp::from_millis(self.moments.first()?.millis);
        let bad = |at| f64::from(self.until(at).bad);
        let good = |at| {
            let sum = self.until(at);
            f64::from(sum.total - sum.bad)
        };
        let good = increase(times, window, at, born, good)?;
        let (bad, all) = match counter {
            BadCounter::OfItsOwn => {
                let bad = increase(times, window, at, self.first_bad?, bad)?;
                (bad, good + bad)
            }
            BadCounter::RestOfGood => {
                let total = |at| f64::from(self.until(at).total);
                let all = increase(times, window, at, born, total)?;
                (all - good, all)
            }
        };
        (all > 0.0).then(|| bad / all)
    }

    /// The counts up to that moment.
    fn until(&self, at: Timestamp) -> Moment {
        let millis = at.as_millis();
        let index = self.moments.partition_point(|own| own.millis <= millis);
        index.checked_sub(1).map_or(
            Moment {
                millis,
                total: 0,
                bad: 0,
            },
            |index| self.moments[index],
        )
    }
}

/// What `increase()` makes of a counter that exists since `born`: the difference of its first and last sample, extrapolated to the
/// window by at most half of the distance of two samples where it begins within it, and never below zero (prometheus,
/// promql/functions.go, `extrapolatedRate`).
fn increase(
    times: ScrapeTimes,
    window: Duration,
    last: Timestamp,
    born: Timestamp,
    value: impl Fn(Timestamp) -> f64,
) -> Option<f64> {
    let begin = last - window;
    let next = |at: Timestamp| {
        let tick = (at - times.phase).floor_to(times.interval) + times.phase;
        if tick < at {
            tick + times.interval
        } else {
            tick
        }
    };
    // A range holds the samples after its beginning, not the one at it.
    let mut first = next(born.max(begin));
    if first == begin {
        first = first + times.interval;
    }
    if first >= last {
        return None;
    }
    let sampled = last.since(first).as_secs_f64();
    let gap = first.since(begin).as_secs_f64();
    let interval = times.interval.as_secs_f64();
    let difference = value(last) - value(first);
    let mut before = if gap < interval * 1.1 {
        gap
    } else {
        interval / 2.0
    };
    if difference > 0.0 {
        before = before.min(sampled * value(first) / difference);
    }
    Some(difference * (sampled + before) / sampled)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: ScrapeTimes = ScrapeTimes {
        interval: Duration::from_secs(10),
        phase: Duration::ZERO,
    };

    /// Two events a second; from second 500 on, one of them is bad.
    fn counts() -> EventCounts {
        let mut counts = EventCounts::default();
        for second in 0..1000 {
            let at = Timestamp::from_secs(second) + Duration::from_millis(500);
            counts.count(at, false);
            counts.count(at, second >= 500);
        }
        counts
    }

    #[test]
    fn shares_are_what_rate_shows() {
        let counts = counts();
        for (window, at, counter, expected) in [
            // Only good ones; the counter of bad ones does not exist yet.
            (100, 400, BadCounter::OfItsOwn, None),
            (100, 400, BadCounter::RestOfGood, Some(0.0)),
            // Half of the window: samples from 460 to 550, bad ones since 500.5.
            (100, 550, BadCounter::RestOfGood, Some(50.0 / 180.0)),
            // The counter of bad ones begins with 10 at 510, shows 40 more at 550, and is extrapolated by 5 s of them; that of the
            // good ones shows 130 in 90 s, and is extrapolated to the window.
            (
                100,
                550,
                BadCounter::OfItsOwn,
                Some(45.0 / (130.0 * 100.0 / 90.0 + 45.0)),
            ),
            // A full window knows no difference.
            (100, 900, BadCounter::OfItsOwn, Some(0.5)),
            (100, 900, BadCounter::RestOfGood, Some(0.5)),
        ] {
            let at = Timestamp::from_secs(at);
            let share =
                counts.bad_ratio_as_scraped(TIMES, Duration::from_secs(window), at, counter);
            let close = match (share, expected) {
                (Some(share), Some(expected)) => f64::abs(share - expected) < 1e-9,
                (share, expected) => share == expected,
            };
            assert!(close, "{window} {at} {counter:?}: {share:?}");
        }
        assert_eq!(
            EventCounts::default().bad_ratio_as_scraped(
                TIMES,
                Duration::from_secs(100),
                Timestamp::from_secs(100),
                BadCounter::RestOfGood
            ),
            None
        );
    }

    #[test]
    fn events_of_one_moment_are_one_entry() {
        assert_eq!(counts().moments.len(), 1000);
    }
}

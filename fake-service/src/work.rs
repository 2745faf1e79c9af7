//! How long a service works on a request when nothing is wrong.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use gameday_env::{Env, Rng};

/// The spread of service times: the standard deviation of their logarithm. With 0.35 the 99th percentile is 2.3 times the median,
/// about what a service without garbage collection shows.
const SIGMA: f64 = 0.35;
/// No draw is longer than so many medians, so that a healthy service never looks slow by chance.
const MEDIANS_MAX: f64 = 6.0;

/// Draws service times from the service's own stream, lognormal around a median.
pub(crate) struct ServiceTimes(Mutex<Rng>);

impl ServiceTimes {
    /// The stream of the service on the host of `env`.
    pub(crate) fn new(env: &Env) -> Self {
        Self(Mutex::new(env.rng(&format!("service-time/{}", env.host()))))
    }

    /// The next service time, in whole microseconds: the last bits of `exp` differ between machines.
    pub(crate) fn draw(&self, median_ms: f64) -> Duration {
        if median_ms <= 0.0 {
            return Duration::ZERO;
        }
        let normal = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .standard_normal();
        let factor = (SIGMA * normal).exp().min(MEDIANS_MAX);
        Duration::from_micros((median_ms * factor * 1000.0).round() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_draws_are_below_the_median_and_none_is_far_above() {
        let times = ServiceTimes(Mutex::new(Rng::named(1, "service-time/test")));
        let draws: Vec<Duration> = (0..10_000).map(|_| times.draw(8.0)).collect();
        let below = draws.iter().filter(|it| it.as_millis() < 8).count();
        assert!((4_800..5_200).contains(&below), "{below}");
        assert!(draws.iter().all(|it| *it <= Duration::from_millis(48)));
    }
}

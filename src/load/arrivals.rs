//! When requests start.

use std::time::Duration;

use gameday_env::Rng;
use gameday_signal::Timestamp;
use serde::Deserialize;

/// How the starts of requests are spread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrivals {
    /// A Poisson process: independent users.
    #[default]
    Poisson,
    /// One at a time, at equal distances.
    Constant,
}

/// A swing of the rate over the day: `rate * (1 + amplitude * sin(2 pi t / period))`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wave {
    /// 0 to 1: how far the rate swings.
    pub amplitude: f64,
    /// How long one swing takes.
    pub period: Duration,
}

/// The gap where the rate is zero.
const NEVER: Duration = Duration::from_secs(3600);

impl Arrivals {
    /// The time from one start to the next.
    pub(super) fn gap(self, per_second: f64, rng: &mut Rng) -> Duration {
        match self {
            _ if per_second <= 0.0 => NEVER,
            Self::Poisson => rng.exponential(per_second),
            Self::Constant => Duration::from_secs_f64((1.0 / per_second).min(NEVER.as_secs_f64())),
        }
    }
}

impl Wave {
    /// What the rate is multiplied by at `now`.
    pub(super) fn factor(&self, now: Timestamp) -> f64 {
        let period = self.period.as_secs_f64().max(1.0);
        let phase = now.as_secs_f64().rem_euclid(period) / period;
        (1.0 + self.amplitude * (2.0 * std::f64::consts::PI * phase).sin()).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constant_arrivals_keep_their_beat() {
        let mut rng = Rng::named(1, "x");
        assert_eq!(
            Arrivals::Constant.gap(4.0, &mut rng),
            Duration::from_millis(250)
        );
        assert_eq!(Arrivals::Poisson.gap(0.0, &mut rng), NEVER);
    }

    #[test]
    fn the_wave_swings_around_one() {
        let wave = Wave {
            amplitude: 0.5,
            period: Duration::from_secs(86_400),
        };
        assert!((wave.factor(Timestamp::from_secs(21_600)) - 1.5).abs() < 1e-9);
        assert!((wave.factor(Timestamp::from_secs(64_800)) - 0.5).abs() < 1e-9);
    }
}

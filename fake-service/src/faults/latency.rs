//! `latency`: answers, calls or queries take longer.
//!
//! The terms are netem's (`tc qdisc ... netem delay 100ms 10ms 25% distribution normal`), and so is the arithmetic: `latency` is the
//! mean and `jitter` the width (uniform) or the standard deviation (all others) of the added time, which is never below zero;
//! `correlation` says how much of each random number comes from the one before.

use std::time::Duration;

use gameday_env::Rng;

use crate::faults::{
    Behaviour, Effect, FaultError, FaultKind, PROBABILITY, Point, Setting, Settings, Surroundings,
    TARGET, Target,
};

pub(super) const KIND: FaultKind = FaultKind {
    name: "latency",
    summary: "requests, calls to another service, or queries take longer",
    settings: &[
        TARGET,
        Setting {
            name: "latency",
            summary: "the mean of the added time",
        },
        Setting {
            name: "jitter",
            summary: "its spread: half the width (uniform) or the standard deviation (default 0s)",
        },
        Setting {
            name: "correlation",
            summary: "percent of each random number that comes from the one before (default 0)",
        },
        Setting {
            name: "distribution",
            summary: "uniform (the default), normal, pareto or paretonormal",
        },
        PROBABILITY,
    ],
    example: r#"{"type": "latency", "target": "database", "latency": "800ms", "jitter": "100ms", "correlation": 25, "distribution": "normal", "probability": 1, "lease": "20m"}"#,
    read,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Distribution {
    Uniform,
    Normal,
    Pareto,
    ParetoNormal,
}

struct Latency {
    target: Target,
    latency: Duration,
    jitter: Duration,
    correlation: f64,
    distribution: Distribution,
    probability: f64,
    /// The random number before, for the correlation.
    last: Option<f64>,
}

fn read(settings: &mut Settings, around: &Surroundings) -> Result<Box<dyn Behaviour>, FaultError> {
    let latency = settings.duration("latency")?;
    let jitter = settings.optional_duration("jitter")?.unwrap_or_default();
    Ok(Box::new(Latency {
        target: Target::read(settings, around)?,
        latency,
        jitter,
        correlation: settings.number("correlation", 0.0..=100.0, Some(0.0))? / 100.0,
        distribution: settings.choice(
            "distribution",
            &[
                ("uniform", Distribution::Uniform),
                ("normal", Distribution::Normal),
                ("pareto", Distribution::Pareto),
                ("paretonormal", Distribution::ParetoNormal),
            ],
        )?,
        probability: settings.probability("probability")?,
        last: None,
    }))
}

impl Behaviour for Latency {
    fn decide(&mut self, point: Point<'_>, rng: &mut Rng) -> Option<Effect> {
        if !self.target.meets(point) || !rng.chance(self.probability) {
            return None;
        }
        let unit = self.correlated(rng.unit());
        let deviation = deviation(self.distribution, unit);
        let secs = self.latency.as_secs_f64() + self.jitter.as_secs_f64() * deviation;
        // Whole microseconds: the last bits of the functions used differ between machines.
        let micros = (secs.max(0.0) * 1e6).round() as u64;
        Some(Effect::delay(Duration::from_micros(micros)))
    }
}

impl Latency {
    /// The next number between 0 and 1, part of which comes from the one before (netem's `get_crandom`).
    fn correlated(&mut self, unit: f64) -> f64 {
        let mixed = match self.last {
            Some(last) => unit * (1.0 - self.correlation) + last * self.correlation,
            None => unit,
        };
        self.last = Some(mixed);
        mixed
    }
}

/// Pareto's shape in iproute2's table (`maketable`'s a = 3), which has the mean 3/2 and the variance 3/4.
const PARETO_SHAPE: f64 = 3.0;
const PARETO_MEAN: f64 = PARETO_SHAPE / (PARETO_SHAPE - 1.0);
/// iproute2's tables end at so many standard deviations (the 16 bit numbers in them, in units of 1/8192).
const DEVIATION_MAX: f64 = 4.0;
/// The parts of iproute2's `paretonormal`: a quarter normal, three quarters Pareto.
const NORMAL_PART: f64 = 0.25;

/// How many jitters the delay is away from the mean, for a number between 0 and 1.
fn deviation(distribution: Distribution, unit: f64) -> f64 {
    // The ends have no finite quantile.
    let unit = unit.clamp(1e-9, 1.0 - 1e-9);
    let pareto = || {
        let deviation = 0.75_f64.sqrt();
        ((1.0 - unit).powf(-1.0 / PARETO_SHAPE) - PARETO_MEAN) / deviation
    };
    let deviation = match distribution {
        Distribution::Uniform => 2.0 * unit - 1.0,
        Distribution::Normal => normal_quantile(unit),
        Distribution::Pareto => pareto(),
        Distribution::ParetoNormal => {
            NORMAL_PART * normal_quantile(unit) + (1.0 - NORMAL_PART) * pareto()
        }
    };
    deviation.clamp(-DEVIATION_MAX, DEVIATION_MAX)
}

/// The quantile of the standard normal distribution, to 4.5e-4 (Abramowitz and Stegun, 26.2.23).
fn normal_quantile(unit: f64) -> f64 {
    let tail = unit.min(1.0 - unit);
    let t = (-2.0 * tail.ln()).sqrt();
    let above = 2.515_517 + 0.802_853 * t + 0.010_328 * t * t;
    let below = 1.0 + 1.432_788 * t + 0.189_269 * t * t + 0.001_308 * t * t * t;
    let quantile = t - above / below;
    if unit < 0.5 { -quantile } else { quantile }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::ServiceConfig;
    use crate::faults::FaultSpec;
    use crate::topology::Role;

    fn delays(settings: &serde_json::Value, count: usize) -> Vec<f64> {
        let around = Surroundings::of(&ServiceConfig::of(Role::Checkout));
        let mut spec = FaultSpec::read(settings, &around).expect("a good fault");
        let mut rng = Rng::named(3, "fault/test");
        (0..count)
            .filter_map(|_| spec.behaviour.decide(Point::Query, &mut rng))
            .map(|effect| effect.delay.as_secs_f64() * 1000.0)
            .collect()
    }

    fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let square: f64 = values.iter().map(|it| (it - mean).powi(2)).sum();
        (mean, (square / values.len() as f64).sqrt())
    }

    #[test]
    fn distributions_have_their_mean_and_spread() {
        // A uniform distribution of half width 100 has the standard deviation 100 / sqrt(3).
        for (distribution, deviation) in [
            ("uniform", 57.7),
            ("normal", 100.0),
            ("pareto", 70.0),
            ("paretonormal", 72.0),
        ] {
            let fault = json!({
                "type": "latency", "target": "database", "lease": "1m",
                "latency": "800ms", "jitter": "100ms", "distribution": distribution,
            });
            let (mean, spread) = mean_and_deviation(&delays(&fault, 20_000));
            assert!((mean - 800.0).abs() < 12.0, "{distribution}: mean {mean}");
            assert!(
                (spread - deviation).abs() < 12.0,
                "{distribution}: {spread}"
            );
        }
    }

    #[test]
    fn probability_spares_the_others() {
        let fault = json!({
            "type": "latency", "target": "database", "lease": "1m", "latency": "10ms", "probability": 0.25,
        });
        let touched = delays(&fault, 20_000).len();
        assert!((4_700..5_300).contains(&touched), "{touched}");
    }

    #[test]
    fn correlation_ties_each_to_the_one_before() {
        let neighbours = |correlation: u32| {
            let fault = json!({
                "type": "latency", "target": "database", "lease": "1m",
                "latency": "800ms", "jitter": "100ms", "correlation": correlation,
            });
            let delays = delays(&fault, 10_000);
            let (mean, deviation) = mean_and_deviation(&delays);
            let product: f64 = delays
                .windows(2)
                .map(|it| (it[0] - mean) * (it[1] - mean))
                .sum();
            product / delays.len() as f64 / (deviation * deviation)
        };
        assert!(neighbours(0).abs() < 0.05);
        assert!((neighbours(75) - 0.75).abs() < 0.05);
    }

    #[test]
    fn other_points_are_spared() {
        let around = Surroundings::of(&ServiceConfig::of(Role::Checkout));
        let fault = json!({"type": "latency", "target": "upstream:payments", "lease": "1m", "latency": "10ms"});
        let mut spec = FaultSpec::read(&fault, &around).expect("a good fault");
        let mut rng = Rng::named(3, "fault/test");
        assert!(spec.behaviour.decide(Point::Query, &mut rng).is_none());
        assert!(
            spec.behaviour
                .decide(Point::Call("users"), &mut rng)
                .is_none()
        );
        assert!(
            spec.behaviour
                .decide(Point::Call("payments"), &mut rng)
                .is_some()
        );
    }
}

//! The arithmetic of aggregations.

use gameday_signal::Labels;

use std::fmt;

use crate::write_label_list;

/// `by (...)` or `without (...)`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grouping {
    /// Whether `labels` are those that go (`without`) or those that stay (`by`).
    pub without: bool,
    /// The labels.
    pub labels: Vec<String>,
}

/// The label that holds a series' metric name; `without` always removes it.
const METRIC_NAME: &str = "__name__";

impl Grouping {
    /// The labels of the group that a series belongs to.
    pub fn key(&self, labels: &Labels) -> Labels {
        if !self.without && self.labels.is_empty() {
            return Labels::empty();
        }
        labels.filtered(|name| self.keeps(name))
    }

    /// Whether the label `name` stays.
    pub fn keeps(&self, name: &str) -> bool {
        let listed = self.labels.iter().any(|own| own == name);
        if self.without {
            !listed && name != METRIC_NAME
        } else {
            listed
        }
    }
}

/// Renders ` by (a, b)` or ` without (a)` with a leading blank; nothing for the group of everything.
impl fmt::Display for Grouping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.labels.is_empty() && !self.without {
            return Ok(());
        }
        f.write_str(if self.without { " without " } else { " by " })?;
        write_label_list(f, &self.labels)
    }
}

/// A sum with the compensation of Neumaier ("Rundungsfehleranalyse einiger Verfahren zur Summation endlicher Summen", 1974).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct KahanSum {
    /// The sum so far.
    pub sum: f64,
    /// What has been lost to rounding so far.
    pub compensation: f64,
}

impl KahanSum {
    /// A sum that begins with `value`.
    pub const fn new(value: f64) -> Self {
        Self {
            sum: value,
            compensation: 0.0,
        }
    }

    /// Adds `value`.
    pub fn add(&mut self, value: f64) {
        let total = self.sum + value;
        if total.is_infinite() {
            self.compensation = 0.0;
        } else if self.sum.abs() >= value.abs() {
            self.compensation += (self.sum - total) + value;
        } else {
            self.compensation += (value - total) + self.sum;
        }
        self.sum = total;
    }

    /// The compensated sum.
    pub fn value(self) -> f64 {
        if self.sum.is_infinite() {
            self.sum
        } else {
            self.sum + self.compensation
        }
    }
}

/// An arithmetic mean that does not overflow where the mean itself fits: it sums until the sum would be infinite and goes on
/// incrementally.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Mean {
    sum: KahanSum,
    count: f64,
    /// Set once the sum has overflowed: `sum` then holds the mean itself.
    incremental: bool,
}

impl Mean {
    /// Adds `value`.
    pub fn add(&mut self, value: f64) {
        self.count += 1.0;
        if !self.incremental {
            let mut next = self.sum;
            next.add(value);
            if self.count == 1.0 || !next.value().is_infinite() {
                self.sum = next;
                return;
            }
            // The sum overflows: from here on the mean is kept instead.
            self.incremental = true;
            let before = self.count - 1.0;
            self.sum.sum /= before;
            self.sum.compensation /= before;
        }
        let mean = self.sum.value();
        if mean.is_infinite()
            && (value.is_infinite() && (mean > 0.0) == (value > 0.0) || value.is_finite())
        {
            // An infinite mean stays what it is; infinity minus infinity below would make it NaN.
            return;
        }
        let share = (self.count - 1.0) / self.count;
        self.sum.sum *= share;
        self.sum.compensation *= share;
        self.sum.add(value / self.count);
    }

    /// The mean; NaN of no values.
    pub fn value(self) -> f64 {
        if self.incremental {
            self.sum.value()
        } else {
            // The parts are divided separately: their sum could round, or overflow.
            self.sum.sum / self.count + self.sum.compensation / self.count
        }
    }
}

/// The population variance of the values, by Welford's method with compensated sums.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Variance {
    count: f64,
    mean: KahanSum,
    squares: KahanSum,
}

impl Variance {
    /// Adds `value`.
    pub fn add(&mut self, value: f64) {
        self.count += 1.0;
        let delta = value - self.mean.value();
        self.mean.add(delta / self.count);
        self.squares.add(delta * (value - self.mean.value()));
    }

    /// The population variance.
    pub fn value(self) -> f64 {
        self.squares.value() / self.count
    }
}

/// The `phi`-quantile of `values` by linear interpolation between the two nearest ranks, NaN being the smallest value. The values
/// are sorted in place. NaN for no values or a NaN `phi`, -Inf below 0 and +Inf above 1.
pub fn quantile(phi: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || phi.is_nan() {
        return f64::NAN;
    }
    if phi < 0.0 {
        return f64::NEG_INFINITY;
    }
    if phi > 1.0 {
        return f64::INFINITY;
    }
    values.sort_unstable_by(|left, right| nan_first(*left, *right));
    let rank = phi * (values.len() - 1) as f64;
    let lower = rank.floor().max(0.0) as usize;
    let upper = (lower + 1).min(values.len() - 1);
    let weight = rank - rank.floor();
    values[lower] * (1.0 - weight) + values[upper] * weight
}

/// Orders numbers with NaN before all others.
pub fn nan_first(left: f64, right: f64) -> std::cmp::Ordering {
    left.partial_cmp(&right)
        .unwrap_or_else(|| right.is_nan().cmp(&left.is_nan()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_do_not_lose_small_values() {
        let mut sum = KahanSum::default();
        for value in [1.0, 1e100, 1.0, -1e100] {
            sum.add(value);
        }
        assert_eq!(sum.value(), 2.0);
        sum.add(f64::INFINITY);
        sum.add(1.0);
        assert_eq!(sum.value(), f64::INFINITY);
    }

    #[test]
    fn means_do_not_overflow() {
        for (values, expected) in [
            (&[1.0, 2.0, 6.0][..], 3.0),
            (&[1e308, 1e308, 1e308], 1e308),
            (&[f64::INFINITY, 1.0], f64::INFINITY),
            (&[1.0, f64::NEG_INFINITY, 5.0], f64::NEG_INFINITY),
        ] {
            let mut mean = Mean::default();
            values.iter().for_each(|value| mean.add(*value));
            let near = (mean.value() / expected - 1.0).abs() < 1e-15;
            assert!(near || mean.value() == expected, "{values:?}");
        }
        let mut mean = Mean::default();
        for value in [f64::INFINITY, f64::NEG_INFINITY] {
            mean.add(value);
        }
        assert!(mean.value().is_nan());
    }

    #[test]
    fn variances() {
        let mut variance = Variance::default();
        for value in [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0] {
            variance.add(value);
        }
        assert_eq!(variance.value(), 4.0);
    }

    #[test]
    fn quantiles_interpolate() {
        for (phi, expected) in [
            (0.0, 1.0),
            (0.5, 2.5),
            (1.0, 4.0),
            (-0.1, f64::NEG_INFINITY),
            (1.1, f64::INFINITY),
        ] {
            assert_eq!(quantile(phi, &mut [4.0, 1.0, 3.0, 2.0]), expected);
        }
        assert!(quantile(f64::NAN, &mut [1.0]).is_nan());
        assert!(quantile(0.5, &mut []).is_nan());
        assert_eq!(quantile(1.0, &mut [1.0, f64::NAN]), 1.0);
    }

    #[test]
    fn grouping_keys() {
        let labels = Labels::new([("__name__", "m"), ("a", "1"), ("b", "2")]);
        let by = Grouping {
            without: false,
            labels: vec!["a".to_owned()],
        };
        let without = Grouping {
            without: true,
            labels: vec!["a".to_owned()],
        };
        assert_eq!(by.key(&labels), Labels::new([("a", "1")]));
        assert_eq!(without.key(&labels), Labels::new([("b", "2")]));
        assert_eq!(Grouping::default().key(&labels), Labels::empty());
        assert_eq!(by.to_string(), " by (a)");
    }
}

//! The functions of instant vectors that do not look at labels.

use std::f64::consts::PI;

use gameday_query::SourceSpan;
use gameday_signal::{Labels, is_stale, stale_nan};

use super::QueryError;
use super::eval::{Evaluator, Node};
use super::series::{Cell, Grid, Series};
use crate::promql::{Expr, ExprKind};

/// A function of one number.
pub(super) fn simple_function(name: &str) -> Option<fn(f64) -> f64> {
    Some(match name {
        "abs" => f64::abs,
        "ceil" => f64::ceil,
        "floor" => f64::floor,
        "exp" => f64::exp,
        "sqrt" => f64::sqrt,
        "ln" => f64::ln,
        "log2" => f64::log2,
        "log10" => f64::log10,
        "sin" => f64::sin,
        "cos" => f64::cos,
        "tan" => f64::tan,
        "asin" => f64::asin,
        "acos" => f64::acos,
        "atan" => f64::atan,
        "sinh" => f64::sinh,
        "cosh" => f64::cosh,
        "tanh" => f64::tanh,
        "asinh" => f64::asinh,
        "acosh" => f64::acosh,
        "atanh" => f64::atanh,
        "rad" => |degrees| degrees * PI / 180.0,
        "deg" => |radians| radians * 180.0 / PI,
        "sgn" => |value| {
            if value < 0.0 {
                -1.0
            } else if value > 0.0 {
                1.0
            } else {
                value
            }
        },
        _ => return None,
    })
}

/// A part of a date, of seconds since the Unix epoch.
pub(super) fn date_part(name: &str) -> Option<fn(i64) -> f64> {
    Some(match name {
        "minute" => |secs| (secs.rem_euclid(3600) / 60) as f64,
        "hour" => |secs| (secs.rem_euclid(86_400) / 3600) as f64,
        // 1970-01-01 was a Thursday.
        "day_of_week" => |secs| (secs.div_euclid(86_400) + 4).rem_euclid(7) as f64,
        "day_of_month" => |secs| civil(secs).2 as f64,
        "day_of_year" => |secs| {
            let (year, _, _) = civil(secs);
            (secs.div_euclid(86_400) - days_from_civil(year, 1, 1) + 1) as f64
        },
        "days_in_month" => |secs| {
            let (year, month, _) = civil(secs);
            let (next_year, next_month) = if month == 12 {
                (year + 1, 1)
            } else {
                (year, month + 1)
            };
            (days_from_civil(next_year, next_month, 1) - days_from_civil(year, month, 1)) as f64
        },
        "month" => |secs| civil(secs).1 as f64,
        "year" => |secs| civil(secs).0 as f64,
        _ => return None,
    })
}

/// Year, month and day (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn civil(secs: i64) -> (i64, i64, i64) {
    let shifted = secs.div_euclid(86_400) + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Days since the Unix epoch, from the same source.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let shifted_month = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

impl Evaluator<'_> {
    pub(super) fn date_call(
        &mut self,
        part: fn(i64) -> f64,
        args: &[Expr],
        grid: &Grid,
    ) -> Result<Vec<Series>, QueryError> {
        let Some(arg) = args.first() else {
            let values = (0..grid.count)
                .map(|step| part(grid.time(step).div_euclid(1000)))
                .collect();
            return Ok(vec![Series {
                labels: Labels::empty(),
                drop_name: false,
                values,
                histograms: None,
            }]);
        };
        let mut series = self.vector(arg, grid)?;
        for one in &mut series {
            // Times far beyond the calendar are as meaningless as NaN, which casts to zero.
            one.map_floats(|secs| {
                if secs.is_nan() {
                    f64::NAN
                } else {
                    part(secs.clamp(-1e15, 1e15) as i64)
                }
            });
            one.drop_name = true;
        }
        self.renamed(series)
    }

    pub(super) fn timestamp_call(
        &mut self,
        arg: &Expr,
        grid: &Grid,
    ) -> Result<Vec<Series>, QueryError> {
        // Only a selector knows the times of its samples; everything else is of the evaluation time.
        let mut series = if let ExprKind::Vector(selector) = &arg.unwrap_parens().kind {
            self.select_timestamps(selector, grid)?
        } else {
            let mut series = self.vector(arg, grid)?;
            for one in &mut series {
                for step in 0..grid.count {
                    if one.is_present(step) {
                        one.set(step, Cell::Float(grid.time(step) as f64 / 1000.0));
                    }
                }
                one.histograms = None;
            }
            series
        };
        for one in &mut series {
            one.drop_name = true;
        }
        self.renamed(series)
    }

    pub(super) fn round(&mut self, args: &[Expr], grid: &Grid) -> Result<Vec<Series>, QueryError> {
        let mut series = self.vector(&args[0], grid)?;
        let nearest = match args.get(1) {
            Some(arg) => self.scalars(arg, grid)?,
            None => vec![1.0; grid.count],
        };
        for one in &mut series {
            one.histograms = None;
            for (step, value) in one.values.iter_mut().enumerate() {
                if !is_stale(*value) {
                    let inverse = 1.0 / nearest[step];
                    *value = (*value * inverse + 0.5).floor() / inverse;
                }
            }
            one.drop_name = true;
        }
        self.renamed(series)
    }

    pub(super) fn clamp(
        &mut self,
        name: &str,
        args: &[Expr],
        grid: &Grid,
    ) -> Result<Vec<Series>, QueryError> {
        let mut series = self.vector(&args[0], grid)?;
        let bound = self.scalars(&args[1], grid)?;
        let (low, high) = match name {
            "clamp" => (bound, self.scalars(&args[2], grid)?),
            "clamp_min" => (bound, vec![f64::INFINITY; grid.count]),
            _ => (vec![f64::NEG_INFINITY; grid.count], bound),
        };
        for one in &mut series {
            one.histograms = None;
            for (step, value) in one.values.iter_mut().enumerate() {
                if is_stale(*value) {
                    continue;
                }
                *value = if high[step] < low[step] {
                    stale_nan()
                } else {
                    go_max(low[step], go_min(high[step], *value))
                };
            }
            one.drop_name = true;
        }
        self.renamed(series)
    }

    pub(super) fn absent(&mut self, arg: &Expr, grid: &Grid) -> Result<Vec<Series>, QueryError> {
        let series = self.vector(arg, grid)?;
        Ok(absence(&series, absent_labels(arg), grid))
    }

    pub(super) fn sort(
        &mut self,
        name: &str,
        args: &[Expr],
        span: SourceSpan,
        grid: &Grid,
    ) -> Result<Vec<Series>, QueryError> {
        let mut series = self.vector(&args[0], grid)?;
        if grid.count > 1 {
            self.notes.sort_in_range_query(span);
        }
        let descending = name.ends_with("desc");
        if name.starts_with("sort_by_label") {
            self.settle(&mut series);
            let mut labels = Vec::new();
            for arg in &args[1..] {
                labels.push(self.text(arg, grid)?);
            }
            series.sort_by(|left, right| {
                let by_labels = labels
                    .iter()
                    .map(|label| {
                        natural_order(left.labels.value_of(label), right.labels.value_of(label))
                    })
                    .find(|order| order.is_ne());
                let order = by_labels.unwrap_or_else(|| left.labels.cmp(&right.labels));
                if descending { order.reverse() } else { order }
            });
            return Ok(series);
        }
        for one in &mut series {
            one.histograms = None;
        }
        series.retain(Series::has_any);
        if grid.count == 1 {
            // NaN stands last in both directions.
            series.sort_by(|left, right| {
                let (left, right) = (left.values[0], right.values[0]);
                left.is_nan().cmp(&right.is_nan()).then_with(|| {
                    let order = left
                        .partial_cmp(&right)
                        .unwrap_or(std::cmp::Ordering::Equal);
                    if descending { order.reverse() } else { order }
                })
            });
        }
        Ok(series)
    }

    /// The text that an argument is.
    pub(super) fn text(&mut self, arg: &Expr, grid: &Grid) -> Result<String, QueryError> {
        match self.eval(arg, grid)? {
            Node::String(text) => Ok(text),
            Node::Scalar(_) | Node::Vector(_) => Err(QueryError::execution("expected a string")),
        }
    }
}

/// 1 at each step at which no window has anything.
pub(super) fn absent_over_time(found: &[Series], arg: &Expr, grid: &Grid) -> Vec<Series> {
    absence(found, absent_labels(arg), grid)
}

/// 1 at each step at which no series has anything.
fn absence(series: &[Series], labels: Labels, grid: &Grid) -> Vec<Series> {
    let mut absent = Series::empty(labels, false, grid.count);
    for step in 0..grid.count {
        if !series.iter().any(|one| one.is_present(step)) {
            absent.values[step] = 1.0;
        }
    }
    if absent.has_any() {
        vec![absent]
    } else {
        Vec::new()
    }
}

/// The labels that a missing series certainly would have: those with exactly one equality matcher.
fn absent_labels(arg: &Expr) -> Labels {
    let (ExprKind::Vector(selector) | ExprKind::Matrix { selector, .. }) =
        &arg.unwrap_parens().kind
    else {
        return Labels::empty();
    };
    let matchers = || {
        selector
            .matchers
            .iter()
            .filter(|matcher| matcher.name() != "__name__")
    };
    Labels::new(
        matchers()
            .filter(|matcher| matcher.op() == gameday_signal::MatchOp::Equal)
            .filter(|matcher| {
                matchers()
                    .filter(|other| other.name() == matcher.name())
                    .count()
                    == 1
            })
            .map(|matcher| (matcher.name(), matcher.value())),
    )
}

/// The larger number; NaN where one is NaN, unlike `f64::max`.
fn go_max(left: f64, right: f64) -> f64 {
    if left.is_nan() || right.is_nan() {
        f64::NAN
    } else {
        left.max(right)
    }
}

/// The smaller number; NaN where one is NaN.
fn go_min(left: f64, right: f64) -> f64 {
    if left.is_nan() || right.is_nan() {
        f64::NAN
    } else {
        left.min(right)
    }
}

/// Compares texts so that runs of digits count as numbers: `a2` before `a10`.
fn natural_order(left: &str, right: &str) -> std::cmp::Ordering {
    let (mut left, mut right) = (left, right);
    loop {
        let (Some(one), Some(other)) = (left.chars().next(), right.chars().next()) else {
            return left.len().cmp(&right.len());
        };
        if one.is_ascii_digit() && other.is_ascii_digit() {
            let number = |text: &str| {
                text.find(|c: char| !c.is_ascii_digit())
                    .unwrap_or(text.len())
            };
            let (one_end, other_end) = (number(left), number(right));
            let (one, other) = (
                left[..one_end].trim_start_matches('0'),
                right[..other_end].trim_start_matches('0'),
            );
            let order = one
                .len()
                .cmp(&other.len())
                .then_with(|| one.cmp(other))
                .then_with(|| one_end.cmp(&other_end));
            if order.is_ne() {
                return order;
            }
            (left, right) = (&left[one_end..], &right[other_end..]);
            continue;
        }
        if one != other {
            return one.cmp(&other);
        }
        (left, right) = (&left[one.len_utf8()..], &right[other.len_utf8()..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        // 2024-02-29T23:59:30Z, a leap day and a Thursday.
        let secs = 1_709_251_170;
        for (name, expected) in [
            ("minute", 59.0),
            ("hour", 23.0),
            ("day_of_week", 4.0),
            ("day_of_month", 29.0),
            ("day_of_year", 60.0),
            ("days_in_month", 29.0),
            ("month", 2.0),
            ("year", 2024.0),
        ] {
            let part = date_part(name).expect("a known part");
            assert_eq!(part(secs), expected, "{name}");
        }
    }

    #[test]
    fn digits_count_as_numbers() {
        let mut names = ["a10", "a2", "b", "a", "a02"];
        names.sort_by(|left, right| natural_order(left, right));
        assert_eq!(names, ["a", "a2", "a02", "a10", "b"]);
    }
}

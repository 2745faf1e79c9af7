//! The functions of histograms, native and classic.

use gameday_query::SourceSpan;
use gameday_signal::Labels;

use super::QueryError;
use super::eval::Evaluator;
use super::group::Grouper;
use super::series::{Cell, Grid, Series};
use crate::histogram::{
    ClassicBucket, bucket_fraction, bucket_quantile, format_g, fraction, quantile, variance,
};
use crate::promql::Expr;

/// The label of a classic bucket's upper bound.
const BUCKET_LABEL: &str = "le";

/// Native histograms, and classic ones with their buckets.
struct Split {
    native: Vec<Series>,
    classic: Vec<Classic>,
}

struct Classic {
    labels: Labels,
    /// Upper bounds and cumulative counts.
    buckets: Vec<(f64, Series)>,
}

impl Classic {
    fn at(&self, step: usize, found: &mut Vec<ClassicBucket>) {
        found.clear();
        found.extend(self.buckets.iter().filter_map(|(upper, series)| {
            Some(ClassicBucket {
                upper: *upper,
                count: series.float(step)?,
            })
        }));
    }
}

impl Evaluator<'_> {
    /// The histogram function of that name, if there is one.
    pub(super) fn histogram_call(
        &mut self,
        name: &str,
        args: &[Expr],
        grid: &Grid,
    ) -> Result<Option<Vec<Series>>, QueryError> {
        match name {
            "histogram_count" => self.of_native(&args[0], grid, |h| h.count),
            "histogram_sum" => self.of_native(&args[0], grid, |h| h.sum),
            "histogram_avg" => self.of_native(&args[0], grid, |h| h.sum / h.count),
            "histogram_stdvar" => self.of_native(&args[0], grid, variance),
            "histogram_stddev" => self.of_native(&args[0], grid, |h| variance(h).sqrt()),
            "histogram_quantile" => {
                let phis = self.scalars(&args[0], grid)?;
                self.note_quantiles(&phis, args[0].span);
                let series = self.vector(&args[1], grid)?;
                let mut split = self.split(series, args[1].span, grid);
                self.quantiles(&mut split, &phis, args[1].span, grid)
            }
            "histogram_quantiles" => return self.many_quantiles(args, grid).map(Some),
            "histogram_fraction" => {
                let lower = self.scalars(&args[0], grid)?;
                let upper = self.scalars(&args[1], grid)?;
                let series = self.vector(&args[2], grid)?;
                let split = self.split(series, args[2].span, grid);
                self.fractions(&split, &lower, &upper, args[2].span, grid)
            }
            _ => return Ok(None),
        }
        .and_then(|series| self.renamed(series))
        .map(Some)
    }

    fn of_native(
        &mut self,
        arg: &Expr,
        grid: &Grid,
        map: impl Fn(&gameday_signal::Histogram) -> f64,
    ) -> Result<Vec<Series>, QueryError> {
        let series = self.vector(arg, grid)?;
        let mut found = Vec::new();
        for one in series {
            if one.histograms.is_none() {
                continue;
            }
            let mut result = Series::empty(one.labels.clone(), true, grid.count);
            for step in 0..grid.count {
                if let Some(histogram) = one.histogram(step) {
                    result.values[step] = map(histogram);
                }
            }
            if result.has_any() {
                found.push(result);
            }
        }
        Ok(found)
    }

    fn note_quantiles(&mut self, phis: &[f64], span: SourceSpan) {
        for phi in phis {
            if !(0.0..=1.0).contains(phi) {
                self.notes.invalid_quantile(span, *phi);
            }
        }
    }

    /// Sorts series into native and classic histograms; where both have the same labels at a step, neither counts.
    fn split(&mut self, series: Vec<Series>, span: SourceSpan, grid: &Grid) -> Split {
        let delayed = self.config.delayed_name_removal;
        let shown = |labels: &Labels| {
            if delayed {
                labels.metric_name().to_owned()
            } else {
                String::new()
            }
        };
        let mut split = Split {
            native: Vec::new(),
            classic: Vec::new(),
        };
        let labels: Vec<Labels> = series.iter().map(|one| one.labels.clone()).collect();
        let mut grouper = Grouper::of(series.len());
        for (one, labels) in series.into_iter().zip(&labels) {
            if one.histograms.is_some() {
                split.native.push(one.clone());
            }
            if !one
                .values
                .iter()
                .any(|value| !gameday_signal::is_stale(*value))
            {
                continue;
            }
            let text = one.labels.value_of(BUCKET_LABEL);
            let Ok(upper) = text.parse::<f64>() else {
                self.notes.bad_bucket_label(span, &shown(&one.labels), text);
                continue;
            };
            let group = grouper.group_of(labels, |name| name != BUCKET_LABEL);
            if group == split.classic.len() {
                split.classic.push(Classic {
                    labels: labels.without(BUCKET_LABEL),
                    buckets: Vec::new(),
                });
            }
            split.classic[group].buckets.push((upper, one));
        }
        for native in &mut split.native {
            let Some(classic) = split
                .classic
                .iter_mut()
                .find(|classic| classic.labels == native.labels)
            else {
                continue;
            };
            for step in 0..grid.count {
                let both = native.histogram(step).is_some()
                    && classic
                        .buckets
                        .iter()
                        .any(|(_, series)| series.float(step).is_some());
                if !both {
                    continue;
                }
                self.notes
                    .mixed_classic_native(span, &shown(&native.labels));
                native.clear(step);
                for (_, series) in &mut classic.buckets {
                    series.clear(step);
                }
            }
        }
        split
    }

    fn quantiles(
        &mut self,
        split: &mut Split,
        phis: &[f64],
        span: SourceSpan,
        grid: &Grid,
    ) -> Result<Vec<Series>, QueryError> {
        let delayed = self.config.delayed_name_removal;
        let mut found = Vec::new();
        for native in &split.native {
            let mut result = Series::empty(native.labels.clone(), true, grid.count);
            for (step, phi) in phis.iter().enumerate() {
                let Cell::Histogram(histogram) = native.cell(step) else {
                    continue;
                };
                let (value, note) = quantile(*phi, &histogram);
                result.values[step] = value;
                if let Some(note) = note {
                    let metric = if native.drop_name && !delayed {
                        ""
                    } else {
                        native.labels.metric_name()
                    };
                    self.notes.nan_observations(span, metric, note);
                }
            }
            found.push(result);
        }
        let mut buckets = Vec::new();
        for classic in &split.classic {
            let mut result = Series::empty(classic.labels.clone(), true, grid.count);
            for (step, phi) in phis.iter().enumerate() {
                classic.at(step, &mut buckets);
                if buckets.is_empty() {
                    continue;
                }
                let (value, forced) = bucket_quantile(*phi, &mut buckets);
                result.values[step] = value;
                if let Some(forced) = forced {
                    let metric = if delayed {
                        classic.labels.metric_name()
                    } else {
                        ""
                    };
                    self.notes
                        .forced_monotonicity(span, metric, grid.time(step), forced);
                }
            }
            found.push(result);
        }
        found.retain(Series::has_any);
        Ok(found)
    }

    fn many_quantiles(&mut self, args: &[Expr], grid: &Grid) -> Result<Vec<Series>, QueryError> {
        let label = self.text(&args[1], grid)?;
        let series = self.vector(&args[0], grid)?;
        let mut split = self.split(series, args[0].span, grid);
        let mut found = Vec::new();
        for arg in &args[2..] {
            let phis = self.scalars(arg, grid)?;
            self.note_quantiles(&phis, arg.span);
            for mut one in self.quantiles(&mut split, &phis, args[0].span, grid)? {
                // The parameter may change from step to step, and the label with it.
                let mut steps: Vec<(String, Series)> = Vec::new();
                for (step, phi) in phis.iter().enumerate() {
                    let Some(value) = one.float(step) else {
                        continue;
                    };
                    let text = openmetrics_float(*phi);
                    let index = steps.iter().position(|(own, _)| *own == text);
                    let index = index.unwrap_or_else(|| {
                        let labels = one.labels.with(&label, &text);
                        steps.push((text, Series::empty(labels, true, grid.count)));
                        steps.len() - 1
                    });
                    steps[index].1.values[step] = value;
                }
                one.values.clear();
                found.extend(steps.into_iter().map(|(_, series)| series));
            }
        }
        self.renamed(found)
    }

    fn fractions(
        &mut self,
        split: &Split,
        lower: &[f64],
        upper: &[f64],
        span: SourceSpan,
        grid: &Grid,
    ) -> Result<Vec<Series>, QueryError> {
        let mut found = Vec::new();
        for native in &split.native {
            let mut result = Series::empty(native.labels.clone(), true, grid.count);
            for step in 0..grid.count {
                let Cell::Histogram(histogram) = native.cell(step) else {
                    continue;
                };
                let (value, note) = fraction(lower[step], upper[step], &histogram);
                result.values[step] = value;
                if let Some(note) = note {
                    let metric = native
                        .visible_labels(self.config.delayed_name_removal)
                        .metric_name()
                        .to_owned();
                    self.notes.nan_observations(span, &metric, note);
                }
            }
            found.push(result);
        }
        let mut buckets = Vec::new();
        for classic in &split.classic {
            let mut result = Series::empty(classic.labels.clone(), true, grid.count);
            for step in 0..grid.count {
                classic.at(step, &mut buckets);
                if !buckets.is_empty() {
                    result.values[step] = bucket_fraction(lower[step], upper[step], &mut buckets);
                }
            }
            found.push(result);
        }
        found.retain(Series::has_any);
        Ok(found)
    }
}

/// A number as OpenMetrics writes label values: with a fraction, so `1.0`.
fn openmetrics_float(value: f64) -> String {
    let text = format_g(value);
    if value.is_finite() && !text.contains(['.', 'e']) {
        format!("{text}.0")
    } else {
        text
    }
}

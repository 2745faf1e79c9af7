//! Aggregations.

use std::collections::BTreeMap;
use std::sync::Arc;

use gameday_query::{Grouping, KahanSum, Mean, SourceSpan, Variance, quantile};
use gameday_signal::{Histogram, Labels, Quoted, is_stale};

use super::QueryError;
use super::eval::Evaluator;
use super::group::Grouper;
use super::notes::Operation;
use super::over_time::HistogramSum;
use super::series::{Cell, Grid, Series};
use crate::histogram::histogram_text;
use crate::promql::{Aggregate, AggregateOp, Expr, format_float, is_label_name};

/// The label of the metric name.
const METRIC_NAME: &str = "__name__";

/// Series with the number of the group that each belongs to.
struct Grouped {
    series: Vec<Series>,
    group_of: Vec<usize>,
    /// The labels of the groups.
    labels: Vec<Labels>,
    /// Whether some member of the group loses its name at the end.
    drop_name: Vec<bool>,
}

impl Evaluator<'_> {
    pub(super) fn aggregate(
        &mut self,
        aggregate: &Aggregate,
        span: SourceSpan,
        grid: &Grid,
    ) -> Result<Vec<Series>, QueryError> {
        let op = aggregate.op;
        if op == AggregateOp::CountValues {
            return self.count_values(aggregate, grid);
        }
        let params = match &aggregate.param {
            Some(param) => self.scalars(param, grid)?,
            None => Vec::new(),
        };
        let series = self.vector(&aggregate.expr, grid)?;
        let param_span = aggregate.param.as_ref().map_or(span, |param| param.span);
        if op.selects() {
            if !self.check_selection(op, &params, param_span)? {
                return Ok(Vec::new());
            }
            let grouped = self.group(series, &aggregate.grouping);
            return Ok(self.select_elements(op, &params, grouped, span, grid));
        }
        if op == AggregateOp::Quantile {
            for phi in &params {
                if !(0.0..=1.0).contains(phi) {
                    self.notes.invalid_quantile(param_span, *phi);
                }
            }
        }
        let grouped = self.group(series, &aggregate.grouping);
        let span = aggregate.expr.span;
        Ok(match op {
            AggregateOp::Sum => self.totals(
                &grouped,
                grid,
                span,
                KahanSum::add,
                |sum: &mut KahanSum| sum.value(),
                false,
            ),
            AggregateOp::Avg => self.totals(
                &grouped,
                grid,
                span,
                Mean::add,
                |mean: &mut Mean| mean.value(),
                true,
            ),
            AggregateOp::Count => counted(&grouped, grid, |count| *count += 1.0),
            AggregateOp::Group => counted(&grouped, grid, |count| *count = 1.0),
            AggregateOp::Min => self.extreme(&grouped, grid, span, "min", |new, old| new < old),
            AggregateOp::Max => self.extreme(&grouped, grid, span, "max", |new, old| new > old),
            AggregateOp::Stddev | AggregateOp::Stdvar => {
                let root = op == AggregateOp::Stddev;
                self.note_ignored(&grouped.series, span, op.as_str());
                fold(
                    &grouped,
                    grid,
                    Variance::add,
                    |_, variance: &mut Variance| {
                        if root {
                            variance.value().sqrt()
                        } else {
                            variance.value()
                        }
                    },
                )
            }
            _ => {
                self.note_ignored(&grouped.series, span, "quantile");
                fold(&grouped, grid, Vec::push, |step, values: &mut Vec<f64>| {
                    quantile(params[step], values)
                })
            }
        })
    }

    /// Finds the groups.
    fn group(&self, mut series: Vec<Series>, grouping: &Grouping) -> Grouped {
        if grouping.keeps(METRIC_NAME) {
            self.settle(&mut series);
        }
        let mut grouper = Grouper::of(series.len());
        let everything = grouping.labels.is_empty() && !grouping.without;
        let group_of: Vec<usize> = series
            .iter()
            .map(|one| grouper.group_of(&one.labels, |name| !everything && grouping.keeps(name)))
            .collect();
        let labels = grouper.keys().collect();
        let mut drop_name = vec![false; grouper.len()];
        for (one, group) in series.iter().zip(&group_of) {
            drop_name[*group] |= one.drop_name;
        }
        Grouped {
            series,
            group_of,
            labels,
            drop_name,
        }
    }

    fn note_ignored(&mut self, series: &[Series], span: SourceSpan, aggregation: &str) {
        let any = series
            .iter()
            .any(|one| one.histograms.iter().flatten().any(Option::is_some));
        if any {
            self.notes.ignored_in_aggregation(span, aggregation);
        }
    }

    fn extreme(
        &mut self,
        grouped: &Grouped,
        grid: &Grid,
        span: SourceSpan,
        name: &str,
        better: fn(f64, f64) -> bool,
    ) -> Vec<Series> {
        self.note_ignored(&grouped.series, span, name);
        fold(
            grouped,
            grid,
            |best: &mut Option<f64>, value| match best {
                Some(own) if !(better(value, *own) || own.is_nan()) => {}
                _ => *best = Some(value),
            },
            |_, best| best.unwrap_or(f64::NAN),
        )
    }

    /// Sums and means, of numbers and of histograms.
    fn totals<A: Clone + Default>(
        &mut self,
        grouped: &Grouped,
        grid: &Grid,
        span: SourceSpan,
        add: impl Fn(&mut A, f64),
        finish: impl Fn(&mut A) -> f64,
        average: bool,
    ) -> Vec<Series> {
        let mut result = fold_all(grouped, grid, add, |_, total| finish(total));
        let mut sums: BTreeMap<(usize, usize), Option<HistogramSum>> = BTreeMap::new();
        for (one, group) in grouped.series.iter().zip(&grouped.group_of) {
            let histograms = one.histograms.iter().flatten().enumerate();
            for (step, histogram) in histograms {
                let Some(histogram) = histogram else {
                    continue;
                };
                let sum = sums
                    .entry((*group, step))
                    .or_insert_with(|| Some(HistogramSum::default()));
                let fits = match sum {
                    Some(total) => total.add(histogram, average).is_ok(),
                    None => true,
                };
                if !fits {
                    self.notes.mixed_schemas(span, one.labels.metric_name());
                    *sum = None;
                }
            }
        }
        for ((group, step), sum) in sums {
            let target = &mut result[group];
            if target.is_present(step) {
                self.notes.mixed_in_aggregation(span);
                target.clear(step);
                continue;
            }
            if let Some(histogram) = sum.and_then(|sum| self.finish_sum(sum, span, average)) {
                target.set_histogram(step, Arc::new(histogram));
            }
        }
        result.retain(Series::has_any);
        result
    }

    fn finish_sum(
        &mut self,
        sum: HistogramSum,
        span: SourceSpan,
        average: bool,
    ) -> Option<Histogram> {
        if sum.reset_seen && sum.no_reset_seen {
            self.notes.reset_collision(span, Operation::Aggregation);
        }
        if sum.reconciled {
            self.notes.bounds_reconciled(span, Operation::Aggregation);
        }
        sum.finish(average)
    }

    fn count_values(
        &mut self,
        aggregate: &Aggregate,
        grid: &Grid,
    ) -> Result<Vec<Series>, QueryError> {
        let label = match aggregate.param.as_ref().map(Expr::unwrap_parens) {
            Some(param) => self.text(param, grid)?,
            None => String::new(),
        };
        if !is_label_name(&label) {
            return Err(QueryError::execution(format!(
                "invalid label name {}",
                Quoted(&label)
            )));
        }
        let mut series = self.vector(&aggregate.expr, grid)?;
        self.settle(&mut series);
        let mut grouping = aggregate.grouping.clone();
        if !grouping.without {
            grouping.labels.push(label.clone());
        }
        let mut counts: BTreeMap<Labels, Series> = BTreeMap::new();
        for one in &series {
            for step in 0..grid.count {
                let text = match one.cell(step) {
                    Cell::Nothing => continue,
                    Cell::Float(value) => format_float(value),
                    Cell::Histogram(histogram) => histogram_text(&histogram),
                };
                let key = grouping.key(&one.labels.with(&label, &text));
                let count = counts
                    .entry(key.clone())
                    .or_insert_with(|| Series::empty(key, false, grid.count));
                count.values[step] = count.float(step).unwrap_or(0.0) + 1.0;
            }
        }
        Ok(counts.into_values().collect())
    }

    /// Whether there is anything to select; the parameters of all steps are checked first.
    fn check_selection(
        &mut self,
        op: AggregateOp,
        params: &[f64],
        span: SourceSpan,
    ) -> Result<bool, QueryError> {
        let largest = params.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let smallest = params.iter().copied().fold(f64::INFINITY, f64::min);
        let has_nan = params.iter().any(|param| param.is_nan());
        if op == AggregateOp::LimitRatio {
            if largest == 0.0 && smallest == 0.0 && !has_nan {
                return Ok(false);
            }
            if has_nan {
                return Err(QueryError::execution("Ratio value is NaN"));
            }
            if largest > 1.0 {
                self.notes.invalid_ratio(span, largest, 1.0);
            }
            if smallest < -1.0 {
                self.notes.invalid_ratio(span, smallest, -1.0);
            }
            return Ok(true);
        }
        if has_nan {
            return Err(QueryError::execution("Parameter value is NaN"));
        }
        if largest < 1.0 {
            return Ok(false);
        }
        // The bounds of an int64.
        for (value, what) in [(smallest, "underflows"), (largest, "overflows")] {
            let outside = if what == "underflows" {
                value <= -9_223_372_036_854_775_808.0
            } else {
                value >= 9_223_372_036_854_775_808.0
            };
            if outside {
                return Err(QueryError::execution(format!(
                    "Scalar value {} {what} int64",
                    crate::histogram::format_g(value)
                )));
            }
        }
        Ok(true)
    }

    /// `topk` and its like: elements keep their labels, the others go step by step.
    fn select_elements(
        &mut self,
        op: AggregateOp,
        params: &[f64],
        grouped: Grouped,
        span: SourceSpan,
        grid: &Grid,
    ) -> Vec<Series> {
        let Grouped {
            mut series,
            group_of,
            labels,
            ..
        } = grouped;
        if matches!(op, AggregateOp::Topk | AggregateOp::Bottomk) {
            self.note_ignored(&series, span, op.as_str());
            series.iter_mut().for_each(|one| one.histograms = None);
        }
        let mut order: Vec<usize> = Vec::new();
        let mut is_kept = vec![false; series.len()];
        for (step, param) in params.iter().enumerate() {
            let mut members: Vec<Vec<usize>> = vec![Vec::new(); labels.len()];
            for (index, one) in series.iter().enumerate() {
                if one.is_present(step) {
                    members[group_of[index]].push(index);
                }
            }
            for group in &mut members {
                let kept = choose(op, *param, group, &series, step);
                kept.iter().for_each(|index| is_kept[*index] = true);
                for index in group.iter() {
                    // The marks are taken back on the way, for the next step.
                    if !std::mem::take(&mut is_kept[*index]) {
                        series[*index].clear(step);
                    }
                }
                order.extend(kept);
            }
        }
        if grid.count == 1 {
            // The order of an instant result is that of the selection.
            let mut taken: Vec<Option<Series>> = series.into_iter().map(Some).collect();
            return order
                .into_iter()
                .filter_map(|index| taken[index].take())
                .collect();
        }
        series.retain(Series::has_any);
        series
    }
}

/// The members of a group that are selected, in the order of the selection.
fn choose(
    op: AggregateOp,
    param: f64,
    group: &[usize],
    series: &[Series],
    step: usize,
) -> Vec<usize> {
    if op == AggregateOp::LimitRatio {
        let ratio = param.clamp(-1.0, 1.0);
        return group
            .iter()
            .copied()
            .filter(|index| {
                // Where in [0, 1) an element lies depends on its labels alone.
                let offset = series[*index].labels.fingerprint() as f64 / u64::MAX as f64;
                if ratio >= 0.0 {
                    offset < ratio
                } else {
                    offset >= 1.0 + ratio
                }
            })
            .collect();
    }
    let count = if param < 1.0 { 0 } else { param as usize };
    let mut chosen = group.to_vec();
    if op != AggregateOp::Limitk {
        let descending = op == AggregateOp::Topk;
        let order = |left: &usize, right: &usize| {
            let (left, right) = (series[*left].values[step], series[*right].values[step]);
            left.is_nan().cmp(&right.is_nan()).then_with(|| {
                let order = left
                    .partial_cmp(&right)
                    .unwrap_or(std::cmp::Ordering::Equal);
                if descending { order.reverse() } else { order }
            })
        };
        chosen.sort_by(order);
    }
    chosen.truncate(count);
    chosen
}

/// Folds the numbers of each group at each step; groups without any are empty series.
fn fold_all<A: Clone + Default>(
    grouped: &Grouped,
    grid: &Grid,
    add: impl Fn(&mut A, f64),
    finish: impl Fn(usize, &mut A) -> f64,
) -> Vec<Series> {
    let steps = grid.count;
    let mut totals: Vec<A> = vec![A::default(); grouped.labels.len() * steps];
    let mut seen = vec![false; totals.len()];
    for (one, group) in grouped.series.iter().zip(&grouped.group_of) {
        let start = group * steps;
        for (step, value) in one.values.iter().enumerate() {
            if !is_stale(*value) {
                add(&mut totals[start + step], *value);
                seen[start + step] = true;
            }
        }
    }
    grouped
        .labels
        .iter()
        .enumerate()
        .map(|(group, labels)| {
            let mut series = Series::empty(labels.clone(), grouped.drop_name[group], steps);
            for step in 0..steps {
                let cell = group * steps + step;
                if seen[cell] {
                    series.values[step] = finish(step, &mut totals[cell]);
                }
            }
            series
        })
        .collect()
}

/// The same without the groups that have nothing.
fn fold<A: Clone + Default>(
    grouped: &Grouped,
    grid: &Grid,
    add: impl Fn(&mut A, f64),
    finish: impl Fn(usize, &mut A) -> f64,
) -> Vec<Series> {
    let mut result = fold_all(grouped, grid, add, finish);
    result.retain(Series::has_any);
    result
}

/// Counts numbers and histograms alike.
fn counted(grouped: &Grouped, grid: &Grid, count: impl Fn(&mut f64)) -> Vec<Series> {
    let mut result: Vec<Series> = grouped
        .labels
        .iter()
        .zip(&grouped.drop_name)
        .map(|(labels, drop_name)| Series::empty(labels.clone(), *drop_name, grid.count))
        .collect();
    for (one, group) in grouped.series.iter().zip(&grouped.group_of) {
        for step in 0..grid.count {
            if one.is_present(step) {
                let mut total = result[*group].float(step).unwrap_or(0.0);
                count(&mut total);
                result[*group].values[step] = total;
            }
        }
    }
    result.retain(Series::has_any);
    result
}

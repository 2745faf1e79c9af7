//! Function calls: which function goes where.

use gameday_query::SourceSpan;
use gameday_signal::Labels;

use super::QueryError;
use super::eval::{Evaluator, Node};
use super::extended::check_function;
use super::over_time::{RangeFunction, Window, range_function, summary_function};
use super::selector::{RangeBuffer, RangeSource, window_size};
use super::series::{Cell, Grid, Series, clash_without_names};
use super::vector::{absent_over_time, date_part, simple_function};
use crate::promql::{Expr, ExprKind};
use crate::store::Summary;

impl Evaluator<'_> {
    pub(super) fn call(
        &mut self,
        name: &str,
        args: &[Expr],
        expr: &Expr,
        grid: &Grid,
    ) -> Result<Node, QueryError> {
        if let Some(function) = range_function(name) {
            return self
                .range_call(name, function, args, grid)
                .map(Node::Vector);
        }
        if let Some(map) = simple_function(name) {
            let mut series = self.vector(&args[0], grid)?;
            for one in &mut series {
                one.map_floats(map);
                one.drop_name = true;
            }
            return self.renamed(series).map(Node::Vector);
        }
        if let Some(part) = date_part(name) {
            return self.date_call(part, args, grid).map(Node::Vector);
        }
        match name {
            "time" => Ok(scalar(grid, |time| time as f64 / 1000.0)),
            "pi" => Ok(scalar(grid, |_| std::f64::consts::PI)),
            "start" => Ok(constant(self.query.start_ms, grid)),
            "end" => Ok(constant(self.query.end_ms, grid)),
            "step" => Ok(constant(self.query.step_ms, grid)),
            "range" => Ok(constant(self.query.end_ms - self.query.start_ms, grid)),
            "min_of" | "max_of" => self.extreme_of(name == "max_of", args, grid),
            "scalar" => self.scalar_call(&args[0], grid),
            "vector" => {
                let values = self.scalars(&args[0], grid)?;
                Ok(Node::Vector(vec![Series {
                    labels: Labels::empty(),
                    drop_name: false,
                    values,
                    histograms: None,
                }]))
            }
            "timestamp" => self.timestamp_call(&args[0], grid).map(Node::Vector),
            "absent" => self.absent(&args[0], grid).map(Node::Vector),
            "round" => self.round(args, grid).map(Node::Vector),
            "clamp" | "clamp_min" | "clamp_max" => self.clamp(name, args, grid).map(Node::Vector),
            "sort" | "sort_desc" | "sort_by_label" | "sort_by_label_desc" => {
                self.sort(name, args, expr.span, grid).map(Node::Vector)
            }
            "label_replace" => self.label_replace(args, grid).map(Node::Vector),
            "label_join" => self.label_join(args, grid).map(Node::Vector),
            "info" => self.info_call(args, grid).map(Node::Vector),
            _ => self
                .histogram_call(name, args, grid)
                .and_then(|found| {
                    found.ok_or_else(|| {
                        QueryError::execution(format!("function {name:?} is not implemented"))
                    })
                })
                .map(Node::Vector),
        }
    }

    fn extreme_of(&mut self, max: bool, args: &[Expr], grid: &Grid) -> Result<Node, QueryError> {
        let mut left = self.scalars(&args[0], grid)?;
        let right = self.scalars(&args[1], grid)?;
        for (left, right) in left.iter_mut().zip(right) {
            *left = if left.is_nan() || right.is_nan() {
                f64::NAN
            } else if max {
                left.max(right)
            } else {
                left.min(right)
            };
        }
        Ok(Node::Scalar(left))
    }

    fn scalar_call(&mut self, arg: &Expr, grid: &Grid) -> Result<Node, QueryError> {
        let series = self.vector(arg, grid)?;
        let values = (0..grid.count)
            .map(|step| {
                let mut floats = series.iter().filter_map(|one| one.float(step));
                match (floats.next(), floats.next()) {
                    (Some(value), None) => value,
                    _ => f64::NAN,
                }
            })
            .collect();
        Ok(Node::Scalar(values))
    }

    /// A function over a range vector, series by series.
    fn range_call(
        &mut self,
        name: &str,
        function: RangeFunction,
        args: &[Expr],
        grid: &Grid,
    ) -> Result<Vec<Series>, QueryError> {
        let is_range =
            |arg: &Expr| matches!(arg.kind, ExprKind::Matrix { .. } | ExprKind::Subquery(_));
        // Parentheses around a range vector mean nothing.
        let position = args
            .iter()
            .position(|arg| is_range(arg.unwrap_parens()))
            .ok_or_else(|| QueryError::execution("expected a range vector"))?;
        let arg = args[position].unwrap_parens();
        let given = self.given_samples;
        let source = self.range_source(arg, grid)?;
        // The samples of a subquery count where its windows are looked at.
        self.given_samples = given;
        if let Some(extension) = source.extension {
            check_function(extension, name)?;
        }
        let mut scalars = Vec::new();
        for (index, other) in args.iter().enumerate() {
            if index != position {
                scalars.push(self.scalars(other, grid)?);
            }
        }
        // Rates look at both ends only, quantiles sort.
        let weight = match name {
            "rate" | "increase" | "delta" | "irate" | "idelta" | "count_over_time" => 0,
            "quantile_over_time" | "mad_over_time" => 16,
            _ => 1,
        };
        let keeps_name = matches!(name, "last_over_time" | "first_over_time");
        let counter = matches!(name, "rate" | "increase");
        let mut found = Vec::with_capacity(source.len());
        let mut buffer = RangeBuffer::default();
        let wants_sum = matches!(name, "sum_over_time" | "avg_over_time");
        let summary =
            if grid.count == 1 && source.extension.is_none() && !self.config.counts_samples {
                summary_function(name)
            } else {
                None
            };
        for index in 0..source.len() {
            if let Some(summary) = summary {
                let end_ms = source.window_end(grid, 0);
                let start_ms = end_ms.saturating_sub(source.range_ms);
                let cell = match source.summarize(index, end_ms, wants_sum) {
                    Summary::Empty => continue,
                    Summary::Known(totals) => summary(&totals, start_ms, end_ms),
                    Summary::Unknown => None,
                };
                if let Some(cell) = cell {
                    let Cell::Float(value) = cell else {
                        continue;
                    };
                    let (labels, named) = source.labels(index);
                    if counter {
                        self.note_non_counter(labels.metric_name(), arg.span);
                    }
                    found.push(Series {
                        labels: labels.clone(),
                        drop_name: named || !keeps_name,
                        values: vec![value],
                        histograms: None,
                    });
                    self.hold(1)?;
                    continue;
                }
            }
            source.load_into(index, grid, &mut buffer);
            if buffer.times.is_empty() && buffer.histograms.is_empty() {
                continue;
            }
            let held = buffer.times.len() + buffer.histograms.len();
            self.hold(held)?;
            let (labels, named) = source.labels(index);
            let mut series = Series::empty(labels.clone(), named || !keeps_name, grid.count);
            let metric = labels.metric_name();
            let mut cursor = WindowCursor::default();
            let (mut any_float, mut any) = (false, false);
            for step in 0..grid.count {
                let end_ms = source.window_end(grid, step);
                let Some(window) = cursor.window(&buffer, end_ms, &source) else {
                    continue;
                };
                self.visit((window.values.len() + window.histograms.len()) * weight)?;
                self.give(|| window_size(window.values, window.histograms));
                let mut context = CallContext {
                    evaluator: self,
                    metric,
                    first_arg_span: args[0].span,
                    time_ms: grid.time(step),
                    scalars: [
                        scalars.first().map_or(f64::NAN, |values| values[step]),
                        scalars.get(1).map_or(f64::NAN, |values| values[step]),
                    ],
                };
                match function(&window, &mut context)? {
                    Cell::Nothing => {}
                    Cell::Float(value) => {
                        series.values[step] = value;
                        any_float = true;
                        any = true;
                    }
                    Cell::Histogram(histogram) => {
                        series.set_histogram(step, histogram);
                        any = true;
                    }
                }
            }
            self.release(held);
            if !any {
                continue;
            }
            if counter && any_float {
                self.note_non_counter(metric, arg.span);
            }
            self.hold(series.size())?;
            found.push(series);
        }
        if name == "absent_over_time" {
            return Ok(absent_over_time(&found, arg, grid));
        }
        if !self.config.delayed_name_removal && clash_without_names(&found) {
            return Err(QueryError::same_labelset());
        }
        Ok(found)
    }

    /// `rate` of something whose name is not that of a counter is probably a mistake.
    fn note_non_counter(&mut self, metric: &str, span: SourceSpan) {
        let counter = ["_total", "_sum", "_count", "_bucket"]
            .iter()
            .any(|suffix| metric.ends_with(suffix));
        if !metric.is_empty() && !counter {
            self.notes.possible_non_counter(span, metric);
        }
    }
}

/// What a range function sees besides the window.
pub(super) struct CallContext<'c, 'a> {
    pub(super) evaluator: &'c mut Evaluator<'a>,
    pub(super) metric: &'c str,
    pub(super) first_arg_span: SourceSpan,
    pub(super) time_ms: i64,
    pub(super) scalars: [f64; 2],
}

/// Milliseconds as seconds, the same at all steps.
fn constant(ms: i64, grid: &Grid) -> Node {
    scalar(grid, |_| ms as f64 / 1000.0)
}

fn scalar(grid: &Grid, value: impl Fn(i64) -> f64) -> Node {
    Node::Scalar((0..grid.count).map(|step| value(grid.time(step))).collect())
}

/// Moves a window forward over a buffer.
#[derive(Default)]
struct WindowCursor {
    float_start: usize,
    float_end: usize,
    histogram_start: usize,
    histogram_end: usize,
    reset_start: usize,
    reset_end: usize,
}

impl WindowCursor {
    /// The samples of `(end - range, end]`; `None` where there are none.
    fn window<'b>(
        &mut self,
        buffer: &'b RangeBuffer,
        window_end_ms: i64,
        source: &RangeSource<'_>,
    ) -> Option<Window<'b>> {
        let window_start_ms = window_end_ms.saturating_sub(source.range_ms);
        let start_ms = window_start_ms.saturating_sub(source.before_ms);
        let end_ms = window_end_ms.saturating_add(source.after_ms);
        let times = &buffer.times;
        while times.get(self.float_end).is_some_and(|at| *at <= end_ms) {
            self.float_end += 1;
        }
        while times
            .get(self.float_start)
            .is_some_and(|at| *at <= start_ms)
        {
            self.float_start += 1;
        }
        let histograms = &buffer.histograms;
        while histograms
            .get(self.histogram_end)
            .is_some_and(|(at, _)| *at <= end_ms)
        {
            self.histogram_end += 1;
        }
        while histograms
            .get(self.histogram_start)
            .is_some_and(|(at, _)| *at <= start_ms)
        {
            self.histogram_start += 1;
        }
        // A reset at the first sample of the window is one against a sample outside of it.
        let resets = &buffer.resets;
        while resets
            .get(self.reset_start)
            .is_some_and(|at| *at as usize <= self.float_start)
        {
            self.reset_start += 1;
        }
        while resets
            .get(self.reset_end)
            .is_some_and(|at| (*at as usize) < self.float_end)
        {
            self.reset_end += 1;
        }
        let floats = self.float_start..self.float_end.max(self.float_start);
        let found = self.histogram_start..self.histogram_end.max(self.histogram_start);
        if floats.is_empty() && found.is_empty() {
            return None;
        }
        Some(Window {
            first_index: floats.start,
            times: &times[floats.clone()],
            values: &buffer.values[floats],
            resets: &resets[self.reset_start..self.reset_end.max(self.reset_start)],
            histograms: &histograms[found],
            start_ms: window_start_ms,
            end_ms: window_end_ms,
            extension: source.extension,
        })
    }
}

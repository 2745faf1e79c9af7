//! The entry: queries in, values out.

use std::sync::Arc;

use gameday_signal::Histogram;

use super::eval::{Evaluator, Node, QueryBounds, check_range_type};
use super::extended::extend_buffer;
use super::series::{Grid, Series, merge_same_labels, settle_names, without_metadata};
use super::{InstantSample, Point, QueryError, QueryOutput, RangeSeries, SampleValue, Value};
use crate::promql::{Expr, ExprKind, ParseOptions, ValueType, parse_with};
use crate::store::Store;

/// What an engine is told at its start; the defaults are those of Prometheus.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// How far back an instant selector looks.
    pub lookback_ms: i64,
    /// How many samples a query may hold at once.
    pub max_samples: usize,
    /// How many samples a query may look at, those in several windows several times. It stands for Prometheus' time limit, which
    /// an engine without a clock cannot have.
    pub max_visited_samples: u64,
    /// How many points a series a range query may return.
    pub max_points: usize,
    /// The step of a subquery that names none: the global evaluation interval.
    pub default_subquery_step_ms: i64,
    /// Metric names go at the end of the evaluation instead of at once (`--enable-feature=promql-delayed-name-removal`).
    pub delayed_name_removal: bool,
    /// Experimental functions, modifiers and duration expressions are accepted.
    pub experimental: bool,
    /// The samples that the selectors give are counted, which costs the summaries of single windows.
    pub counts_samples: bool,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            lookback_ms: 300_000,
            max_samples: 50_000_000,
            // A few seconds of work.
            max_visited_samples: 2_000_000_000,
            max_points: 11_000,
            default_subquery_step_ms: 60_000,
            delayed_name_removal: false,
            experimental: false,
            counts_samples: false,
        }
    }
}

/// Evaluates PromQL. It has no state but its configuration.
#[derive(Clone, Debug, Default)]
pub struct Engine {
    config: EngineConfig,
}

impl Engine {
    /// An engine.
    pub fn new(config: EngineConfig) -> Self {
        Self { config }
    }

    /// Its configuration.
    pub fn config(&self) -> &EngineConfig {
        &self.config
    }

    /// The same engine with another step for subqueries that name none.
    #[must_use]
    pub fn with_default_subquery_step_ms(&self, default_subquery_step_ms: i64) -> Self {
        Self {
            config: EngineConfig {
                default_subquery_step_ms,
                ..self.config.clone()
            },
        }
    }

    /// The same engine with another lookback, as the API's parameter `lookback_delta` asks for.
    #[must_use]
    pub fn with_lookback_ms(&self, lookback_ms: i64) -> Self {
        let mut config = self.config.clone();
        config.lookback_ms = lookback_ms;
        Self { config }
    }

    /// The same engine, which tells how many samples a query saw ([`QueryOutput::total_samples`]).
    #[must_use]
    pub fn with_counted_samples(&self) -> Self {
        let mut config = self.config.clone();
        config.counts_samples = true;
        Self { config }
    }

    /// Reads an expression as this engine's configuration allows.
    ///
    /// # Errors
    /// The first mistake in the text.
    pub fn parse(&self, source: &str) -> Result<Expr, QueryError> {
        let options = ParseOptions {
            experimental: self.config.experimental,
        };
        Ok(parse_with(source, options)?)
    }

    /// The value of an expression at one time.
    ///
    /// # Errors
    /// Where the text is no expression, or the evaluation fails.
    pub fn instant(
        &self,
        store: &Store,
        source: &str,
        time_ms: i64,
    ) -> Result<QueryOutput, QueryError> {
        let expr = self.parse(source)?;
        self.instant_at(store, &expr, Some(source), time_ms)
    }

    /// The value of a tree at one time; for expressions that are evaluated again and again. Places in warnings are exact only
    /// where the expression stood on one line.
    ///
    /// # Errors
    /// Where the evaluation fails.
    pub fn instant_expr(
        &self,
        store: &Store,
        expr: &Expr,
        time_ms: i64,
    ) -> Result<QueryOutput, QueryError> {
        self.instant_at(store, expr, None, time_ms)
    }

    fn instant_at(
        &self,
        store: &Store,
        expr: &Expr,
        source: Option<&str>,
        time_ms: i64,
    ) -> Result<QueryOutput, QueryError> {
        let bounds = QueryBounds {
            start_ms: time_ms,
            end_ms: time_ms,
            step_ms: 0,
        };
        let mut evaluator = Evaluator::new(store, &self.config, bounds);
        let grid = Grid::instant(time_ms);
        let value = if expr.value_type() == ValueType::Matrix {
            Value::Matrix(evaluator.range_vector(expr.unwrap_parens(), time_ms)?)
        } else {
            match evaluator.eval(expr, &grid)? {
                Node::Scalar(values) => Value::Scalar {
                    timestamp_ms: time_ms,
                    value: values.first().copied().unwrap_or(f64::NAN),
                },
                Node::String(text) => Value::String {
                    timestamp_ms: time_ms,
                    text,
                },
                Node::Vector(series) => Value::Vector(instant_vector(series, time_ms)?),
            }
        };
        Ok(finish(evaluator, value, source))
    }

    /// The values of an expression from `start_ms` to `end_ms` every `step_ms`.
    ///
    /// # Errors
    /// Where the text is no expression or has no value at each step, the range is malformed, or the evaluation fails.
    pub fn range(
        &self,
        store: &Store,
        source: &str,
        start_ms: i64,
        end_ms: i64,
        step_ms: i64,
    ) -> Result<QueryOutput, QueryError> {
        let expr = self.parse(source)?;
        self.range_at(store, &expr, Some(source), (start_ms, end_ms, step_ms))
    }

    /// The values of a tree from `start_ms` to `end_ms` every `step_ms`.
    ///
    /// # Errors
    /// Where the expression has no value at each step, the range is malformed, or the evaluation fails.
    pub fn range_expr(
        &self,
        store: &Store,
        expr: &Expr,
        start_ms: i64,
        end_ms: i64,
        step_ms: i64,
    ) -> Result<QueryOutput, QueryError> {
        self.range_at(store, expr, None, (start_ms, end_ms, step_ms))
    }

    fn range_at(
        &self,
        store: &Store,
        expr: &Expr,
        source: Option<&str>,
        (start_ms, end_ms, step_ms): (i64, i64, i64),
    ) -> Result<QueryOutput, QueryError> {
        check_range_type(expr)?;
        if step_ms <= 0 {
            return Err(QueryError::BadStep);
        }
        if end_ms < start_ms {
            return Err(QueryError::EndBeforeStart);
        }
        let intervals = end_ms.saturating_sub(start_ms) / step_ms;
        if intervals > self.config.max_points as i64 {
            return Err(QueryError::TooManyPoints(self.config.max_points));
        }
        let bounds = QueryBounds {
            start_ms,
            end_ms,
            step_ms,
        };
        let grid = Grid {
            start_ms,
            step_ms,
            count: intervals as usize + 1,
        };
        let mut evaluator = Evaluator::new(store, &self.config, bounds);
        let series = match evaluator.eval(expr, &grid)? {
            Node::Vector(series) => series,
            Node::Scalar(values) => vec![Series {
                labels: gameday_signal::Labels::empty(),
                drop_name: false,
                values,
                histograms: None,
            }],
            Node::String(_) => Vec::new(),
        };
        let value = Value::Matrix(range_result(series, &grid)?);
        Ok(finish(evaluator, value, source))
    }
}

fn finish(evaluator: Evaluator<'_>, value: Value, source: Option<&str>) -> QueryOutput {
    let (peak_samples, total_samples) = (evaluator.peak_samples, evaluator.given_samples);
    let (warnings, infos) = evaluator.notes.render(source);
    QueryOutput {
        value,
        warnings,
        infos,
        peak_samples,
        total_samples,
    }
}

fn instant_vector(mut series: Vec<Series>, time_ms: i64) -> Result<Vec<InstantSample>, QueryError> {
    settle_names(&mut series);
    series.retain(|one| one.is_present(0));
    if super::series::has_same_labels(&series) {
        return Err(QueryError::same_labelset());
    }
    Ok(series
        .into_iter()
        .filter_map(|mut one| {
            let value = match one.float(0) {
                Some(value) => SampleValue::Float(value),
                None => SampleValue::Histogram(one.histograms.as_mut()?.first_mut()?.take()?),
            };
            Some(InstantSample {
                labels: one.labels,
                timestamp_ms: time_ms,
                value,
            })
        })
        .collect())
}

fn range_result(mut series: Vec<Series>, grid: &Grid) -> Result<Vec<RangeSeries>, QueryError> {
    settle_names(&mut series);
    let mut merged = merge_same_labels(series)?;
    merged.sort_by(|left, right| left.labels.cmp(&right.labels));
    Ok(merged
        .into_iter()
        .filter_map(|one| {
            let points: Vec<Point> = (0..grid.count)
                .filter_map(|step| {
                    let value = match (one.float(step), one.histogram(step)) {
                        (Some(value), _) => SampleValue::Float(value),
                        (None, Some(histogram)) => SampleValue::Histogram(histogram.clone()),
                        (None, None) => return None,
                    };
                    Some(Point {
                        timestamp_ms: grid.time(step),
                        value,
                    })
                })
                .collect();
            (!points.is_empty()).then_some(RangeSeries {
                labels: one.labels,
                points,
            })
        })
        .collect())
}

/// Points of a range vector in order of time.
pub(super) fn points(
    times: &[i64],
    values: &[f64],
    histograms: &[(i64, Arc<Histogram>)],
) -> Vec<Point> {
    let mut points: Vec<Point> = times
        .iter()
        .zip(values)
        .map(|(time, value)| Point {
            timestamp_ms: *time,
            value: SampleValue::Float(*value),
        })
        .chain(histograms.iter().map(|(time, histogram)| Point {
            timestamp_ms: *time,
            value: SampleValue::Histogram(histogram.clone()),
        }))
        .collect();
    if !histograms.is_empty() {
        points.sort_by_key(|point| point.timestamp_ms);
    }
    points
}

impl Evaluator<'_> {
    /// The value of a range selector or a subquery itself.
    fn range_vector(&mut self, expr: &Expr, time_ms: i64) -> Result<Vec<RangeSeries>, QueryError> {
        let grid = Grid::instant(time_ms);
        let is_range = matches!(expr.kind, ExprKind::Matrix { .. } | ExprKind::Subquery(_));
        debug_assert!(is_range, "the caller checks the type");
        let mut found = Vec::new();
        let source = self.range_source(expr, &grid)?;
        let is_stored = matches!(expr.kind, ExprKind::Matrix { .. });
        let mut held = 0;
        for index in 0..source.len() {
            let mut buffer = source.load(index, &grid);
            if let Some(extension) = source.extension {
                let end_ms = source.window_end(&grid, 0);
                let start_ms = end_ms.saturating_sub(source.range_ms);
                extend_buffer(&mut buffer, extension, start_ms, end_ms)?;
            }
            let (labels, drop_name) = source.labels(index);
            let points = points(&buffer.times, &buffer.values, &buffer.histograms);
            if points.is_empty() {
                continue;
            }
            if is_stored {
                self.give(|| buffer.size());
            }
            self.hold(points.len())?;
            held += points.len();
            let labels = if drop_name {
                without_metadata(labels)
            } else {
                labels.clone()
            };
            found.push(RangeSeries { labels, points });
        }
        self.release(held);
        found.sort_by(|left, right| left.labels.cmp(&right.labels));
        if found
            .windows(2)
            .any(|pair| pair[0].labels == pair[1].labels)
        {
            return Err(QueryError::same_labelset());
        }
        Ok(found)
    }
}

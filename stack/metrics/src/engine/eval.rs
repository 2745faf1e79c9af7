//! The walk over the tree: each node is evaluated at all steps at once.

use gameday_query::BinaryOp;
use gameday_signal::{is_stale, stale_nan};

use super::notes::Notes;
use super::series::{Grid, Series, merge_same_labels, settle_names, total_size};
use super::{EngineConfig, QueryError};
use crate::promql::{
    AtModifier, DurationExpr, DurationValue, Expr, ExprKind, Modifiers, ValueType,
};
use crate::store::Store;

/// The value of a node at all steps.
#[derive(Debug)]
pub(super) enum Node {
    /// A number a step.
    Scalar(Vec<f64>),
    /// Series.
    Vector(Vec<Series>),
    /// A text, the same at all steps.
    String(String),
}

impl Node {
    pub(super) fn into_series(self) -> Vec<Series> {
        match self {
            Self::Vector(series) => series,
            Self::Scalar(_) | Self::String(_) => Vec::new(),
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Scalar(values) => values.len(),
            Self::Vector(series) => total_size(series),
            Self::String(_) => 0,
        }
    }
}

/// The bounds of the query, which `@ start()`, `range()` and the like refer to.
#[derive(Clone, Copy, Debug)]
pub(super) struct QueryBounds {
    pub(super) start_ms: i64,
    pub(super) end_ms: i64,
    pub(super) step_ms: i64,
}

/// Where in the tree histograms are read for their count and sum alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Statistics {
    /// Nothing is known about what is asked for.
    #[default]
    No,
    /// Below `histogram_count` and its like.
    Yes,
    /// Below something that needs the buckets, or a subquery.
    Never,
}

/// The evaluation of one query.
#[derive(Debug)]
pub(super) struct Evaluator<'a> {
    pub(super) store: &'a Store,
    pub(super) config: &'a EngineConfig,
    pub(super) query: QueryBounds,
    pub(super) notes: Notes,
    /// Whether only count and sum of histograms are asked for: then resets that the store has found are told apart.
    pub(super) statistics: Statistics,
    /// Samples that have been looked at.
    visited: u64,
    /// Samples that are held at the moment.
    samples: usize,
    pub(super) peak_samples: usize,
    /// Samples that the selectors gave, where they are counted.
    pub(super) given_samples: u64,
}

impl<'a> Evaluator<'a> {
    pub(super) fn new(store: &'a Store, config: &'a EngineConfig, query: QueryBounds) -> Self {
        Self {
            store,
            config,
            query,
            notes: Notes::default(),
            statistics: Statistics::default(),
            visited: 0,
            samples: 0,
            peak_samples: 0,
            given_samples: 0,
        }
    }

    /// Counts samples that are now held.
    pub(super) fn hold(&mut self, samples: usize) -> Result<(), QueryError> {
        self.samples += samples;
        self.peak_samples = self.peak_samples.max(self.samples);
        if self.samples > self.config.max_samples {
            Err(QueryError::TooManySamples)
        } else {
            Ok(())
        }
    }

    /// Counts samples that are looked at.
    pub(super) fn visit(&mut self, samples: usize) -> Result<(), QueryError> {
        self.visited += samples as u64;
        if self.visited > self.config.max_visited_samples {
            Err(QueryError::TooMuchWork)
        } else {
            Ok(())
        }
    }

    /// Counts samples that a selector gives, if anybody wants to know.
    pub(super) fn give(&mut self, samples: impl FnOnce() -> usize) {
        if self.config.counts_samples {
            self.given_samples += samples() as u64;
        }
    }

    /// Counts samples that are held no more.
    pub(super) fn release(&mut self, samples: usize) {
        self.samples = self.samples.saturating_sub(samples);
    }

    /// The value of `expr` at all steps of `grid`.
    pub(super) fn eval(&mut self, expr: &Expr, grid: &Grid) -> Result<Node, QueryError> {
        if grid.count > 1 && !is_literal(expr) && is_step_invariant(expr) {
            let given = self.given_samples;
            let once = self.eval(expr, &Grid::instant(grid.start_ms))?;
            // What is read once counts at each step, as in Prometheus.
            self.given_samples = given + (self.given_samples - given) * grid.count as u64;
            let node = broadcast(once, grid.count);
            self.hold(node.size())?;
            return Ok(node);
        }
        let before = self.samples;
        let statistics = self.statistics;
        self.statistics = statistics_below(statistics, expr);
        let node = self.eval_kind(expr, grid);
        self.statistics = statistics;
        let node = node?;
        // What the operands held is gone, what the result holds is there.
        self.samples = before;
        self.hold(node.size())?;
        Ok(node)
    }

    fn eval_kind(&mut self, expr: &Expr, grid: &Grid) -> Result<Node, QueryError> {
        match &expr.kind {
            ExprKind::Number { value, .. } => Ok(Node::Scalar(vec![*value; grid.count])),
            ExprKind::String(text) => Ok(Node::String(text.clone())),
            ExprKind::Paren(inner) => self.eval(inner, grid),
            ExprKind::Unary { negative, operand } => self.unary(*negative, operand, grid),
            ExprKind::Binary(binary) => self.binary(binary, expr.span, grid),
            ExprKind::Aggregate(aggregate) => {
                self.aggregate(aggregate, expr.span, grid).map(Node::Vector)
            }
            ExprKind::Call { function, args } => self.call(function.name, args, expr, grid),
            ExprKind::Vector(selector) => self.select_instant(selector, grid).map(Node::Vector),
            ExprKind::Matrix { .. } | ExprKind::Subquery(_) => Err(QueryError::execution(
                "a range vector stands where a vector was expected",
            )),
        }
    }

    pub(super) fn scalars(&mut self, expr: &Expr, grid: &Grid) -> Result<Vec<f64>, QueryError> {
        match self.eval(expr, grid)? {
            Node::Scalar(values) => Ok(values),
            Node::Vector(_) | Node::String(_) => Err(QueryError::execution("expected a scalar")),
        }
    }

    pub(super) fn vector(&mut self, expr: &Expr, grid: &Grid) -> Result<Vec<Series>, QueryError> {
        self.eval(expr, grid).map(Node::into_series)
    }

    fn unary(&mut self, negative: bool, operand: &Expr, grid: &Grid) -> Result<Node, QueryError> {
        let node = self.eval(operand, grid)?;
        if !negative {
            return Ok(node);
        }
        match node {
            Node::Scalar(mut values) => {
                values.iter_mut().for_each(|value| *value = -*value);
                Ok(Node::Scalar(values))
            }
            Node::Vector(mut series) => {
                for one in &mut series {
                    one.drop_name = true;
                    for value in &mut one.values {
                        if !is_stale(*value) {
                            *value = -*value;
                        }
                    }
                    for histogram in one.histograms.iter_mut().flatten().flatten() {
                        let mut native = crate::histogram::Native::new(histogram);
                        native.scale(-1.0);
                        *histogram = std::sync::Arc::new(native.to_histogram());
                    }
                }
                self.renamed(series).map(Node::Vector)
            }
            Node::String(_) => Ok(node),
        }
    }

    /// What a function does whose result may have lost its names: without delayed name removal equal labels are joined at once.
    pub(super) fn renamed(&self, mut series: Vec<Series>) -> Result<Vec<Series>, QueryError> {
        if self.config.delayed_name_removal || !super::series::clash_without_names(&series) {
            return Ok(series);
        }
        settle_names(&mut series);
        merge_same_labels(series)
    }

    /// Strips names that have to go before something looks at the labels, unless that is delayed to the end.
    pub(super) fn settle(&self, series: &mut [Series]) {
        if !self.config.delayed_name_removal {
            settle_names(series);
        }
    }

    // Times.

    pub(super) fn at_ms(&self, modifiers: &Modifiers) -> Option<i64> {
        modifiers.at.map(|at| match at {
            AtModifier::Timestamp(ms) => ms,
            AtModifier::Start => self.query.start_ms,
            AtModifier::End => self.query.end_ms,
        })
    }

    pub(super) fn offset_ms(&self, modifiers: &Modifiers) -> Result<i64, QueryError> {
        self.duration_ms(&modifiers.offset, true)
    }

    pub(super) fn duration_ms(
        &self,
        value: &DurationValue,
        may_be_negative: bool,
    ) -> Result<i64, QueryError> {
        let expr = match value {
            DurationValue::Millis(ms) => return Ok(*ms),
            DurationValue::Expr(expr) => expr,
        };
        let secs = self.duration_secs(expr)?;
        if !secs.is_finite() {
            return Err(QueryError::execution("duration is NaN or infinite"));
        }
        if secs <= 0.0 && !may_be_negative {
            return Err(QueryError::execution("duration must be greater than 0"));
        }
        // The bounds of an int64 of nanoseconds, which Prometheus keeps durations in.
        if secs.abs() > 9_223_372_036.854_776 {
            return Err(QueryError::execution("duration is out of range"));
        }
        Ok((secs * 1000.0) as i64)
    }

    fn duration_secs(&self, expr: &DurationExpr) -> Result<f64, QueryError> {
        Ok(match expr {
            DurationExpr::Literal { secs, .. } => *secs,
            DurationExpr::Step => self.query.step_ms as f64 / 1000.0,
            DurationExpr::Range => (self.query.end_ms - self.query.start_ms) as f64 / 1000.0,
            DurationExpr::Unary { negative, operand } => {
                let value = self.duration_secs(operand)?;
                if *negative { -value } else { value }
            }
            DurationExpr::Binary { op, left, right } => {
                let (left, right) = (self.duration_secs(left)?, self.duration_secs(right)?);
                match op {
                    BinaryOp::Div if right == 0.0 => {
                        return Err(QueryError::execution("division by zero"));
                    }
                    BinaryOp::Mod if right == 0.0 => {
                        return Err(QueryError::execution("modulo by zero"));
                    }
                    _ => op.arithmetic(left, right).unwrap_or(f64::NAN),
                }
            }
            DurationExpr::Extreme { max, left, right } => {
                let (left, right) = (self.duration_secs(left)?, self.duration_secs(right)?);
                if *max {
                    left.max(right)
                } else {
                    left.min(right)
                }
            }
            DurationExpr::Paren(inner) => self.duration_secs(inner)?,
        })
    }
}

fn statistics_below(outer: Statistics, expr: &Expr) -> Statistics {
    let needs_buckets = match &expr.kind {
        ExprKind::Call { function, .. } => match function.name {
            "histogram_count" | "histogram_sum" | "histogram_avg" if outer == Statistics::No => {
                return Statistics::Yes;
            }
            name => matches!(
                name,
                "histogram_quantile" | "histogram_quantiles" | "histogram_fraction"
            ),
        },
        ExprKind::Binary(binary) => {
            matches!(binary.op, BinaryOp::TrimUpper | BinaryOp::TrimLower)
        }
        _ => false,
    };
    if needs_buckets {
        Statistics::Never
    } else {
        outer
    }
}

fn is_literal(expr: &Expr) -> bool {
    matches!(
        expr.unwrap_parens().kind,
        ExprKind::Number { .. } | ExprKind::String(_)
    )
}

/// Functions whose result depends on the evaluation time even where their arguments do not.
const TIME_DEPENDENT: [&str; 15] = [
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "days_in_month",
    "end",
    "hour",
    "minute",
    "month",
    "predict_linear",
    "range",
    "start",
    "step",
    "time",
    "timestamp",
    "year",
];

/// Whether the value is the same at all steps.
fn is_step_invariant(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Number { .. } | ExprKind::String(_) => true,
        ExprKind::Paren(inner) | ExprKind::Unary { operand: inner, .. } => is_step_invariant(inner),
        ExprKind::Binary(binary) => {
            is_step_invariant(&binary.left) && is_step_invariant(&binary.right)
        }
        ExprKind::Aggregate(aggregate) => {
            aggregate.param.as_ref().is_none_or(is_step_invariant)
                && is_step_invariant(&aggregate.expr)
        }
        ExprKind::Call { function, args } => {
            !TIME_DEPENDENT.contains(&function.name) && args.iter().all(is_step_invariant)
        }
        ExprKind::Vector(selector) | ExprKind::Matrix { selector, .. } => {
            selector.modifiers.at.is_some()
        }
        ExprKind::Subquery(subquery) => subquery.modifiers.at.is_some(),
    }
}

/// The same value at `steps` steps.
fn broadcast(node: Node, steps: usize) -> Node {
    match node {
        Node::Scalar(values) => {
            Node::Scalar(vec![values.first().copied().unwrap_or(f64::NAN); steps])
        }
        Node::Vector(series) => Node::Vector(
            series
                .into_iter()
                .map(|one| Series {
                    values: vec![one.values.first().copied().unwrap_or_else(stale_nan); steps],
                    histograms: one
                        .histograms
                        .map(|histograms| vec![histograms.into_iter().next().flatten(); steps]),
                    labels: one.labels,
                    drop_name: one.drop_name,
                })
                .collect(),
        ),
        Node::String(text) => Node::String(text),
    }
}

/// Whether `expr` has a value at each step of a range query.
pub(super) fn check_range_type(expr: &Expr) -> Result<(), QueryError> {
    match expr.value_type() {
        ValueType::Scalar | ValueType::Vector => Ok(()),
        other => Err(QueryError::NotARangeType(other.documented())),
    }
}

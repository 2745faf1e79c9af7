//! The tree of a PromQL expression.

use gameday_query::{BinaryOp, Grouping, SourceSpan, VectorMatching};
use gameday_signal::Matcher;

use super::Function;

/// The static type of an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// One number.
    Scalar,
    /// At most one value a series.
    Vector,
    /// Values over a range of time.
    Matrix,
    /// A text.
    String,
}

impl ValueType {
    /// The name in Prometheus' documentation and messages.
    pub fn documented(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Vector => "instant vector",
            Self::Matrix => "range vector",
            Self::String => "string",
        }
    }

    /// The name in the HTTP API (`resultType`).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Vector => "vector",
            Self::Matrix => "matrix",
            Self::String => "string",
        }
    }
}

/// An expression and where it stands in the source.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Where it stands.
    pub span: SourceSpan,
}

/// The kinds of expressions.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// A number.
    Number {
        /// The value; seconds where it was written as a duration.
        value: f64,
        /// Whether it was written as a duration (`5m`).
        duration: bool,
    },
    /// A text.
    String(String),
    /// An expression in parentheses.
    Paren(Box<Expr>),
    /// `-a` or `+a`.
    Unary {
        /// Whether it is a minus.
        negative: bool,
        /// What it is applied to.
        operand: Box<Expr>,
    },
    /// `a + b`.
    Binary(Box<Binary>),
    /// `sum by (a) (b)`.
    Aggregate(Box<Aggregate>),
    /// `rate(a)`.
    Call {
        /// The function.
        function: &'static Function,
        /// Its arguments.
        args: Vec<Expr>,
    },
    /// `a{b="c"}`.
    Vector(Box<VectorSelector>),
    /// `a{b="c"}[5m]`.
    Matrix {
        /// Which series; the modifiers stand here too.
        selector: Box<VectorSelector>,
        /// How far back.
        range: DurationValue,
    },
    /// `a[1h:1m]`.
    Subquery(Box<Subquery>),
}

/// A binary operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Binary {
    /// The operator.
    pub op: BinaryOp,
    /// Whether a comparison gives 0 or 1 instead of filtering.
    pub return_bool: bool,
    /// How the sides match; only between two vectors.
    pub matching: Option<VectorMatching>,
    /// The left side.
    pub left: Expr,
    /// The right side.
    pub right: Expr,
    /// Where the operator and its modifiers stand.
    pub op_span: SourceSpan,
}

/// The aggregation operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AggregateOp {
    /// The sum.
    Sum,
    /// The arithmetic mean.
    Avg,
    /// The number of elements.
    Count,
    /// The smallest value.
    Min,
    /// The largest value.
    Max,
    /// 1.
    Group,
    /// The population standard deviation.
    Stddev,
    /// The population variance.
    Stdvar,
    /// The largest k elements.
    Topk,
    /// The smallest k elements.
    Bottomk,
    /// The phi-quantile.
    Quantile,
    /// The number of elements with the same value.
    CountValues,
    /// Any k elements (experimental).
    Limitk,
    /// A share of the elements (experimental).
    LimitRatio,
}

/// Aggregation operators with their names.
pub(crate) const AGGREGATE_OPS: [(AggregateOp, &str); 14] = [
    (AggregateOp::Sum, "sum"),
    (AggregateOp::Avg, "avg"),
    (AggregateOp::Count, "count"),
    (AggregateOp::Min, "min"),
    (AggregateOp::Max, "max"),
    (AggregateOp::Group, "group"),
    (AggregateOp::Stddev, "stddev"),
    (AggregateOp::Stdvar, "stdvar"),
    (AggregateOp::Topk, "topk"),
    (AggregateOp::Bottomk, "bottomk"),
    (AggregateOp::Quantile, "quantile"),
    (AggregateOp::CountValues, "count_values"),
    (AggregateOp::Limitk, "limitk"),
    (AggregateOp::LimitRatio, "limit_ratio"),
];

impl AggregateOp {
    /// The operator of that name, in any case.
    pub fn from_text(text: &str) -> Option<Self> {
        AGGREGATE_OPS
            .iter()
            .find(|(_, name)| name.eq_ignore_ascii_case(text))
            .map(|(op, _)| *op)
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        AGGREGATE_OPS
            .iter()
            .find(|(op, _)| *op == self)
            .map_or("", |(_, name)| name)
    }

    /// Whether it takes a parameter before the vector.
    pub fn has_parameter(self) -> bool {
        matches!(
            self,
            Self::Topk
                | Self::Bottomk
                | Self::Quantile
                | Self::CountValues
                | Self::Limitk
                | Self::LimitRatio
        )
    }

    /// Whether it picks elements and so keeps their labels.
    pub fn selects(self) -> bool {
        matches!(
            self,
            Self::Topk | Self::Bottomk | Self::Limitk | Self::LimitRatio
        )
    }

    /// Whether Prometheus counts it as experimental.
    pub fn is_experimental(self) -> bool {
        matches!(self, Self::Limitk | Self::LimitRatio)
    }
}

/// An aggregation.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    /// The operator.
    pub op: AggregateOp,
    /// The parameter, where the operator takes one.
    pub param: Option<Expr>,
    /// What is aggregated.
    pub expr: Expr,
    /// Which elements belong together.
    pub grouping: Grouping,
}

/// `@`: the time at which a selector looks, instead of the evaluation time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtModifier {
    /// A fixed time in milliseconds since the Unix epoch.
    Timestamp(i64),
    /// The start of the query's range.
    Start,
    /// The end of the query's range.
    End,
}

/// What may follow a selector or a subquery.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Modifiers {
    /// How far the data is shifted; positive looks back.
    pub offset: DurationValue,
    /// Whether an offset was given (it may be zero).
    pub has_offset: bool,
    /// The time at which to look.
    pub at: Option<AtModifier>,
}

/// A series selector.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VectorSelector {
    /// The metric name that stands before the braces, or the empty text.
    pub name: String,
    /// The conditions, that of the name included.
    pub matchers: Vec<Matcher>,
    /// Offset and `@`.
    pub modifiers: Modifiers,
    /// `anchored`: the window begins with the sample before it (experimental).
    pub anchored: bool,
    /// `smoothed`: the values at the window's ends are interpolated (experimental).
    pub smoothed: bool,
    /// Where it stands, without range and modifiers.
    pub span: SourceSpan,
}

/// A subquery.
#[derive(Clone, Debug, PartialEq)]
pub struct Subquery {
    /// What is evaluated at each step.
    pub expr: Expr,
    /// How far back.
    pub range: DurationValue,
    /// The step; the engine's default where there is none.
    pub step: Option<DurationValue>,
    /// Offset and `@`.
    pub modifiers: Modifiers,
}

/// A length of time in an expression.
#[derive(Clone, Debug, PartialEq)]
pub enum DurationValue {
    /// Milliseconds.
    Millis(i64),
    /// An expression that is worked out when the query starts (experimental).
    Expr(Box<DurationExpr>),
}

impl Default for DurationValue {
    fn default() -> Self {
        Self::Millis(0)
    }
}

/// Arithmetic on lengths of time (experimental).
#[derive(Clone, Debug, PartialEq)]
pub enum DurationExpr {
    /// Seconds.
    Literal {
        /// The value in seconds.
        secs: f64,
        /// Whether it was written as a duration.
        duration: bool,
    },
    /// The step of the query.
    Step,
    /// The range of the query.
    Range,
    /// `-a` or `+a`.
    Unary {
        /// Whether it is a minus.
        negative: bool,
        /// What it is applied to.
        operand: Box<Self>,
    },
    /// `a + b`.
    Binary {
        /// One of `+ - * / % ^`.
        op: BinaryOp,
        /// The left side.
        left: Box<Self>,
        /// The right side.
        right: Box<Self>,
    },
    /// `min_of(a, b)` or `max_of(a, b)`.
    Extreme {
        /// Whether the larger is taken.
        max: bool,
        /// The one.
        left: Box<Self>,
        /// The other.
        right: Box<Self>,
    },
    /// An expression in parentheses.
    Paren(Box<Self>),
}

impl Expr {
    /// The static type.
    pub fn value_type(&self) -> ValueType {
        match &self.kind {
            ExprKind::Number { .. } => ValueType::Scalar,
            ExprKind::String(_) => ValueType::String,
            ExprKind::Paren(inner) => inner.value_type(),
            ExprKind::Unary { operand, .. } => operand.value_type(),
            ExprKind::Binary(binary) => {
                if binary.left.value_type() == ValueType::Scalar
                    && binary.right.value_type() == ValueType::Scalar
                {
                    ValueType::Scalar
                } else {
                    ValueType::Vector
                }
            }
            ExprKind::Aggregate(_) | ExprKind::Vector(_) => ValueType::Vector,
            ExprKind::Call { function, .. } => function.returns,
            ExprKind::Matrix { .. } | ExprKind::Subquery(_) => ValueType::Matrix,
        }
    }

    /// The expression without the parentheses around it.
    pub fn unwrap_parens(&self) -> &Self {
        let mut inner = self;
        while let ExprKind::Paren(next) = &inner.kind {
            inner = next;
        }
        inner
    }

    /// Calls `visit` for this expression and all inside it, the outer before the inner.
    pub fn walk<'a>(&'a self, visit: &mut impl FnMut(&'a Self)) {
        visit(self);
        match &self.kind {
            ExprKind::Number { .. }
            | ExprKind::String(_)
            | ExprKind::Vector(_)
            | ExprKind::Matrix { .. } => {}
            ExprKind::Paren(inner) | ExprKind::Unary { operand: inner, .. } => inner.walk(visit),
            ExprKind::Binary(binary) => {
                binary.left.walk(visit);
                binary.right.walk(visit);
            }
            ExprKind::Aggregate(aggregate) => {
                if let Some(param) = &aggregate.param {
                    param.walk(visit);
                }
                aggregate.expr.walk(visit);
            }
            ExprKind::Call { args, .. } => args.iter().for_each(|arg| arg.walk(visit)),
            ExprKind::Subquery(subquery) => subquery.expr.walk(visit),
        }
    }

    /// All selectors, in the order of the source.
    pub fn selectors(&self) -> Vec<&VectorSelector> {
        let mut selectors = Vec::new();
        self.walk(&mut |expr| {
            if let ExprKind::Vector(selector) | ExprKind::Matrix { selector, .. } = &expr.kind {
                selectors.push(&**selector);
            }
        });
        selectors
    }

    /// Divides every duration (ranges, offsets, subquery ranges and steps) by `divisor`, for runs in compressed time. A range
    /// never becomes shorter than one millisecond. Numbers stay, also those that are written as durations.
    pub fn scale_durations(&mut self, divisor: f64) {
        match &mut self.kind {
            ExprKind::Number { .. } | ExprKind::String(_) => {}
            ExprKind::Paren(inner) | ExprKind::Unary { operand: inner, .. } => {
                inner.scale_durations(divisor);
            }
            ExprKind::Binary(binary) => {
                binary.left.scale_durations(divisor);
                binary.right.scale_durations(divisor);
            }
            ExprKind::Aggregate(aggregate) => {
                if let Some(param) = &mut aggregate.param {
                    param.scale_durations(divisor);
                }
                aggregate.expr.scale_durations(divisor);
            }
            ExprKind::Call { args, .. } => {
                args.iter_mut().for_each(|arg| arg.scale_durations(divisor));
            }
            ExprKind::Vector(selector) => selector.modifiers.offset.scale(divisor),
            ExprKind::Matrix { selector, range } => {
                selector.modifiers.offset.scale(divisor);
                range.scale(divisor);
            }
            ExprKind::Subquery(subquery) => {
                subquery.expr.scale_durations(divisor);
                subquery.modifiers.offset.scale(divisor);
                subquery.range.scale(divisor);
                if let Some(step) = &mut subquery.step {
                    step.scale(divisor);
                }
            }
        }
    }
}

impl DurationValue {
    fn scale(&mut self, divisor: f64) {
        match self {
            Self::Millis(0) => {}
            Self::Millis(ms) => {
                let scaled = (*ms as f64 / divisor).round() as i64;
                *ms = if scaled == 0 { ms.signum() } else { scaled };
            }
            Self::Expr(expr) => {
                let inner = std::mem::replace(&mut **expr, DurationExpr::Step);
                **expr = DurationExpr::Binary {
                    op: BinaryOp::Div,
                    left: Box::new(DurationExpr::Paren(Box::new(inner))),
                    right: Box::new(DurationExpr::Literal {
                        secs: divisor,
                        duration: false,
                    }),
                };
            }
        }
    }
}

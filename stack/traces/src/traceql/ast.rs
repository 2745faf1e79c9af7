//! The tree of a TraceQL query.

use gameday_query::SourceSpan;
use gameday_signal::{SpanKind, SpanStatus};

/// A query as it was read: a search, or metrics.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Body {
    Search(Pipeline),
    Metrics(Metrics),
    /// `({..} | count()) > 2`: Tempo reads it and then says that it is not supported.
    ScalarPipelines(String),
}

/// Spansets, filtered and grouped from stage to stage.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Pipeline(pub(crate) Vec<Stage>);

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Stage {
    Spansets(Spansets),
    Scalar(ScalarFilter),
    GroupBy(Field),
    Coalesce,
    Select(Vec<Attribute>),
}

/// An expression whose value is a set of spans.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Spansets {
    Filter(Box<Field>),
    Operation {
        op: SpansetOp,
        left: Box<Self>,
        right: Box<Self>,
    },
    /// A pipeline in parentheses.
    Pipeline(Pipeline),
}

/// How two spansets of a trace are combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SpansetOp {
    And,
    Union,
    Structural { relation: Relation, mode: Mode },
}

/// What a span of the right side must be to one of the left side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relation {
    Child,
    Parent,
    Descendant,
    Ancestor,
    Sibling,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The spans of the right side that have the relation.
    Plain,
    /// The spans of the right side that do not have it (`!>`).
    Not,
    /// The spans of both sides that have it (`&>`).
    Union,
}

/// A comparison of a number that a spanset has.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ScalarFilter {
    pub(crate) op: Op,
    pub(crate) left: Scalar,
    pub(crate) right: Scalar,
    pub(crate) span: SourceSpan,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Scalar {
    Static(Static),
    Aggregate(Aggregate),
    Operation {
        op: Op,
        left: Box<Self>,
        right: Box<Self>,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Aggregate {
    pub(crate) function: AggregateFunction,
    /// `None` for `count()`.
    pub(crate) field: Option<Box<Field>>,
    pub(crate) span: SourceSpan,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AggregateFunction {
    Count,
    Min,
    Max,
    Sum,
    Avg,
}

/// An expression over one span.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Field {
    Static(Static),
    Attribute(Attribute, SourceSpan),
    Unary {
        op: UnaryOp,
        field: Box<Self>,
        span: SourceSpan,
    },
    Binary {
        op: Op,
        left: Box<Self>,
        right: Box<Self>,
        span: SourceSpan,
    },
    /// `!= nil` and `= nil`.
    Exists {
        field: Box<Self>,
        yes: bool,
        span: SourceSpan,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UnaryOp {
    Minus,
    Not,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Regex,
    NotRegex,
    And,
    Or,
}

/// A constant.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Static {
    Int(i64),
    Float(f64),
    String(String),
    Bool(bool),
    /// Nanoseconds.
    Duration(i64),
    Status(SpanStatus),
    Kind(SpanKind),
}

/// What is looked up in a span.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Attribute {
    /// `name` of the scope.
    Named {
        scope: Scope,
        parent: bool,
        name: String,
    },
    Intrinsic(Intrinsic),
}

/// Where a named attribute is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scope {
    /// The span first, then its resource.
    None,
    Span,
    Resource,
    Event,
    Link,
    Instrumentation,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Intrinsic {
    Duration,
    Name,
    Status,
    StatusMessage,
    Kind,
    Parent,
    ChildCount,
    SpanId,
    ParentId,
    NestedSetLeft,
    NestedSetRight,
    NestedSetParent,
    RootName,
    RootServiceName,
    TraceDuration,
    TraceId,
    EventName,
    EventTimeSinceStart,
    LinkTraceId,
    LinkSpanId,
    InstrumentationName,
    InstrumentationVersion,
}

/// Series computed from spans.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Metrics {
    Query {
        pipeline: Pipeline,
        aggregate: MetricsAggregate,
        span: SourceSpan,
    },
    /// Two queries, point by point.
    Math {
        op: Op,
        left: Box<Self>,
        right: Box<Self>,
    },
    /// A query and a number; `scalar_first` tells `1 - x` from `x - 1`.
    ScalarMath {
        op: Op,
        scalar: f64,
        scalar_first: bool,
        metrics: Box<Self>,
    },
    Second {
        stage: SecondStage,
        metrics: Box<Self>,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MetricsAggregate {
    pub(crate) function: MetricsFunction,
    pub(crate) by: Vec<Attribute>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum MetricsFunction {
    Rate,
    CountOverTime,
    MinOverTime(Attribute),
    MaxOverTime(Attribute),
    AvgOverTime(Attribute),
    SumOverTime(Attribute),
    QuantileOverTime(Attribute, Vec<f64>),
    HistogramOverTime(Attribute),
    /// The selection, how many values of an attribute are shown, and the selection's start and end in seconds (0 for all).
    Compare {
        selection: Box<Field>,
        top: i64,
        start: i64,
        end: i64,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum SecondStage {
    TopK(i64, SourceSpan),
    BottomK(i64, SourceSpan),
    Filter(Op, Static),
}

/// `with(name=value)`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Hint {
    pub(crate) name: String,
    pub(crate) value: Static,
}

impl Op {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::Mod => "%",
            Self::Pow => "^",
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
            Self::Regex => "=~",
            Self::NotRegex => "!~",
            Self::And => "&&",
            Self::Or => "||",
        }
    }

    pub(crate) fn from_text(text: &str) -> Option<Self> {
        [
            Self::Add,
            Self::Sub,
            Self::Mul,
            Self::Div,
            Self::Mod,
            Self::Pow,
            Self::Equal,
            Self::NotEqual,
            Self::Less,
            Self::LessEqual,
            Self::Greater,
            Self::GreaterEqual,
            Self::Regex,
            Self::NotRegex,
            Self::And,
            Self::Or,
        ]
        .into_iter()
        .find(|op| op.as_str() == text)
    }

    pub(crate) fn is_arithmetic(self) -> bool {
        matches!(
            self,
            Self::Add | Self::Sub | Self::Mul | Self::Div | Self::Mod | Self::Pow
        )
    }

    /// `=`, `!=`, `<`, `<=`, `>`, `>=`.
    pub(crate) fn is_comparison(self) -> bool {
        matches!(
            self,
            Self::Equal
                | Self::NotEqual
                | Self::Less
                | Self::LessEqual
                | Self::Greater
                | Self::GreaterEqual
        )
    }
}

impl SpansetOp {
    /// All operators with their text.
    pub(crate) const ALL: [(&'static str, Self); 17] = {
        use Mode::{Not, Plain, Union};
        use Relation::{Ancestor, Child, Descendant, Parent, Sibling};
        const fn structural(relation: Relation, mode: Mode) -> SpansetOp {
            SpansetOp::Structural { relation, mode }
        }
        [
            ("&&", Self::And),
            ("||", Self::Union),
            (">", structural(Child, Plain)),
            ("<", structural(Parent, Plain)),
            (">>", structural(Descendant, Plain)),
            ("<<", structural(Ancestor, Plain)),
            ("~", structural(Sibling, Plain)),
            ("!>", structural(Child, Not)),
            ("!<", structural(Parent, Not)),
            ("!>>", structural(Descendant, Not)),
            ("!<<", structural(Ancestor, Not)),
            ("!~", structural(Sibling, Not)),
            ("&>", structural(Child, Union)),
            ("&<", structural(Parent, Union)),
            ("&>>", structural(Descendant, Union)),
            ("&<<", structural(Ancestor, Union)),
            ("&~", structural(Sibling, Union)),
        ]
    };

    pub(crate) fn from_text(text: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(own, _)| *own == text)
            .map(|(_, op)| *op)
    }

    pub(crate) fn as_str(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(_, op)| *op == self)
            .map_or("", |(text, _)| text)
    }
}

impl Intrinsic {
    /// The names of the intrinsics that stand without a scope.
    pub(crate) const PLAIN: [(&'static str, Self); 12] = [
        ("duration", Self::Duration),
        ("name", Self::Name),
        ("status", Self::Status),
        ("statusMessage", Self::StatusMessage),
        ("kind", Self::Kind),
        ("parent", Self::Parent),
        ("rootName", Self::RootName),
        ("rootServiceName", Self::RootServiceName),
        ("traceDuration", Self::TraceDuration),
        ("nestedSetLeft", Self::NestedSetLeft),
        ("nestedSetRight", Self::NestedSetRight),
        ("nestedSetParent", Self::NestedSetParent),
    ];

    /// The names with a scope.
    pub(crate) const SCOPED: [(&'static str, Self); 18] = [
        ("trace:duration", Self::TraceDuration),
        ("trace:rootName", Self::RootName),
        ("trace:rootService", Self::RootServiceName),
        ("trace:id", Self::TraceId),
        ("span:duration", Self::Duration),
        ("span:name", Self::Name),
        ("span:kind", Self::Kind),
        ("span:status", Self::Status),
        ("span:statusMessage", Self::StatusMessage),
        ("span:id", Self::SpanId),
        ("span:parentID", Self::ParentId),
        ("span:childCount", Self::ChildCount),
        ("event:name", Self::EventName),
        ("event:timeSinceStart", Self::EventTimeSinceStart),
        ("link:traceID", Self::LinkTraceId),
        ("link:spanID", Self::LinkSpanId),
        ("instrumentation:name", Self::InstrumentationName),
        ("instrumentation:version", Self::InstrumentationVersion),
    ];

    /// The name that Tempo writes: the one without a scope where there is one.
    pub(crate) fn as_str(self) -> &'static str {
        Self::PLAIN
            .iter()
            .chain(&Self::SCOPED)
            .find(|(_, own)| *own == self)
            .map_or("", |(name, _)| name)
    }
}

impl AggregateFunction {
    pub(crate) const ALL: [(&'static str, Self); 5] = [
        ("count", Self::Count),
        ("min", Self::Min),
        ("max", Self::Max),
        ("sum", Self::Sum),
        ("avg", Self::Avg),
    ];

    pub(crate) fn as_str(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(_, own)| *own == self)
            .map_or("", |(name, _)| name)
    }
}

impl MetricsFunction {
    /// The names of the functions of metrics.
    pub(crate) const NAMES: [&'static str; 9] = [
        "rate",
        "count_over_time",
        "min_over_time",
        "max_over_time",
        "avg_over_time",
        "sum_over_time",
        "quantile_over_time",
        "histogram_over_time",
        "compare",
    ];

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::CountOverTime => "count_over_time",
            Self::MinOverTime(_) => "min_over_time",
            Self::MaxOverTime(_) => "max_over_time",
            Self::AvgOverTime(_) => "avg_over_time",
            Self::SumOverTime(_) => "sum_over_time",
            Self::QuantileOverTime(..) => "quantile_over_time",
            Self::HistogramOverTime(_) => "histogram_over_time",
            Self::Compare { .. } => "compare",
        }
    }
}

impl Field {
    /// Calls `visit` for each attribute in the order of the text.
    pub(crate) fn for_each_attribute<'a>(&'a self, visit: &mut impl FnMut(&'a Attribute)) {
        match self {
            Self::Static(_) => {}
            Self::Attribute(attribute, _) => visit(attribute),
            Self::Unary { field, .. } | Self::Exists { field, .. } => {
                field.for_each_attribute(visit)
            }
            Self::Binary { left, right, .. } => {
                left.for_each_attribute(visit);
                right.for_each_attribute(visit);
            }
        }
    }
}

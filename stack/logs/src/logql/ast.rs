//! The tree of a LogQL query.

use std::time::Duration;

use gameday_query::{BinaryOp, Grouping, VectorMatching};
use gameday_signal::Matcher;

/// A query.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// It answers with log lines.
    Log(LogExpr),
    /// It answers with numbers.
    Metric(MetricExpr),
}

/// A stream selector and what happens to the lines of its streams.
#[derive(Clone, Debug, PartialEq)]
pub struct LogExpr {
    /// What the streams' labels have to satisfy.
    pub matchers: Vec<Matcher>,
    /// The stages, in the order in which a line passes them.
    pub stages: Vec<Stage>,
}

/// One stage of a pipeline.
#[derive(Clone, Debug, PartialEq)]
pub enum Stage {
    /// `|= "a" != "b"`: filters that follow each other directly.
    LineFilters(Vec<LineFilter>),
    /// `| json`
    Json,
    /// `| json a="b.c"`
    JsonExpressions(Vec<Extraction>),
    /// `| logfmt`
    Logfmt {
        /// `--strict`: a malformed line is an error.
        strict: bool,
        /// `--keep-empty`: a key without a value becomes a label.
        keep_empty: bool,
    },
    /// `| logfmt a="b"`
    LogfmtExpressions {
        /// `--strict`
        strict: bool,
        /// `--keep-empty`
        keep_empty: bool,
        /// What is read.
        extractions: Vec<Extraction>,
    },
    /// `| regexp "(?P<name>...)"`
    Regexp(String),
    /// `| pattern "<name> ..."`
    Pattern(String),
    /// `| unpack`
    Unpack,
    /// `| status >= 500`
    LabelFilter(LabelFilter),
    /// `| line_format "{{.a}}"`
    LineFormat(String),
    /// `| label_format a=b, c="{{.d}}"`
    LabelFormat(Vec<LabelFormat>),
    /// `| drop a, b="c"`
    Drop(Vec<NameOrMatcher>),
    /// `| keep a, b="c"`
    Keep(Vec<NameOrMatcher>),
    /// `| decolorize`
    Decolorize,
}

/// The operator of a line filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineFilterOp {
    /// `|=`
    Contains,
    /// `!=`
    NotContains,
    /// `|~`
    Regex,
    /// `!~`
    NotRegex,
    /// `|>`
    Pattern,
    /// `!>`
    NotPattern,
}

/// One line filter with its alternatives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineFilter {
    /// The operator.
    pub op: LineFilterOp,
    /// What stands between the `or`s; never empty.
    pub alternatives: Vec<LineMatch>,
}

/// What a line filter looks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineMatch {
    /// A text, a regular expression or a pattern, as the operator says.
    Text(String),
    /// `ip("...")`
    Ip(String),
}

/// `name="expression"` of a parser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extraction {
    /// The label that is set.
    pub label: String,
    /// What it is read from.
    pub expression: String,
}

/// The comparison of a label filter with a number, duration or size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilterOp {
    /// `==` and `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
}

/// A condition on labels.
#[derive(Clone, Debug, PartialEq)]
pub enum LabelFilter {
    /// `name="text"` and the like.
    Text(Matcher),
    /// `name=ip("...")`
    Ip {
        /// The label.
        name: String,
        /// Whether it is `!=`.
        negated: bool,
        /// The address, range or prefix.
        pattern: String,
    },
    /// `name>5`
    Number {
        /// The label.
        name: String,
        /// The comparison.
        op: FilterOp,
        /// The number.
        value: f64,
    },
    /// `name>5s`
    Duration {
        /// The label.
        name: String,
        /// The comparison.
        op: FilterOp,
        /// The duration in nanoseconds.
        nanos: i64,
    },
    /// `name>5MB`
    Bytes {
        /// The label.
        name: String,
        /// The comparison.
        op: FilterOp,
        /// The size.
        bytes: u64,
    },
    /// Both hold: `and`, a comma, or nothing between them.
    And(Box<Self>, Box<Self>),
    /// One holds.
    Or(Box<Self>, Box<Self>),
}

/// One assignment of `label_format`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LabelFormat {
    /// `to=from`
    Rename {
        /// The new name.
        to: String,
        /// The old name.
        from: String,
    },
    /// `to="{{.template}}"`
    Template {
        /// The label that is set.
        to: String,
        /// The template.
        template: String,
    },
}

/// What `drop` and `keep` are given.
#[derive(Clone, Debug, PartialEq)]
pub enum NameOrMatcher {
    /// A label, whatever its value.
    Name(String),
    /// A label, where its value matches.
    Matcher(Matcher),
}

/// How `unwrap` reads its label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conversion {
    /// As a number.
    Number,
    /// `bytes(...)`
    Bytes,
    /// `duration(...)`
    Duration,
    /// `duration_seconds(...)`, the same as `duration(...)`.
    DurationSeconds,
}

/// `| unwrap label`
#[derive(Clone, Debug, PartialEq)]
pub struct Unwrap {
    /// The label whose value is the sample.
    pub label: String,
    /// How it is read.
    pub conversion: Conversion,
    /// Conditions that follow.
    pub filters: Vec<LabelFilter>,
}

/// Lines of a window: `{...} | ... [5m] offset 1h`.
#[derive(Clone, Debug, PartialEq)]
pub struct LogRange {
    /// The lines.
    pub logs: LogExpr,
    /// What makes a number of each.
    pub unwrap: Option<Unwrap>,
    /// The length of the window.
    pub interval: Duration,
    /// How far it lies in the past, in nanoseconds; negative in the future.
    pub offset_nanos: i64,
}

/// An aggregation over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the function of its name")]
pub enum RangeOp {
    CountOverTime,
    Rate,
    RateCounter,
    BytesOverTime,
    BytesRate,
    AvgOverTime,
    SumOverTime,
    MinOverTime,
    MaxOverTime,
    StdvarOverTime,
    StddevOverTime,
    QuantileOverTime,
    FirstOverTime,
    LastOverTime,
    AbsentOverTime,
}

/// An aggregation over series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the operator of its name")]
pub enum VectorOp {
    Sum,
    Avg,
    Count,
    Max,
    Min,
    Stddev,
    Stdvar,
    Bottomk,
    Topk,
    ApproxTopk,
    Sort,
    SortDesc,
}

/// A query that answers with numbers.
#[derive(Clone, Debug, PartialEq)]
pub enum MetricExpr {
    /// `rate({...}[5m])`
    Range {
        /// The aggregation.
        op: RangeOp,
        /// The quantile of `quantile_over_time`.
        parameter: Option<f64>,
        /// Its lines.
        range: LogRange,
        /// `by` or `without`.
        grouping: Option<Grouping>,
    },
    /// `sum by (a) (...)`
    Vector {
        /// The aggregation.
        op: VectorOp,
        /// How many series `topk` and the like keep; 0 for the others.
        parameter: u64,
        /// What is aggregated.
        inner: Box<Self>,
        /// `by` or `without`; none is the group of everything.
        grouping: Grouping,
    },
    /// `a + b`
    Binary {
        /// The operator.
        op: BinaryOp,
        /// Whether a comparison answers 0 or 1 instead of filtering.
        return_bool: bool,
        /// How the series of the two sides find each other.
        matching: VectorMatching,
        /// The left side.
        left: Box<Self>,
        /// The right side.
        right: Box<Self>,
    },
    /// A number.
    Literal(f64),
    /// `vector(1)`
    VectorOf(f64),
    /// `label_replace(...)`
    LabelReplace {
        /// What it is applied to.
        inner: Box<Self>,
        /// The label that is set.
        destination: String,
        /// Its new value, with `$1` for groups.
        replacement: String,
        /// The label that is looked at.
        source: String,
        /// What its whole value has to match.
        regex: String,
    },
}

impl Expr {
    /// The selectors of all leaves, for `MetricExpr` and `LogExpr` alike.
    pub fn selectors(&self) -> Vec<&LogExpr> {
        match self {
            Self::Log(logs) => vec![logs],
            Self::Metric(metric) => {
                let mut found = Vec::new();
                metric.walk(&mut |expr| {
                    if let MetricExpr::Range { range, .. } = expr {
                        found.push(&range.logs);
                    }
                });
                found
            }
        }
    }

    /// The same query with every duration divided by `divisor`, for runs that are played faster than real time.
    #[must_use]
    pub fn scale_durations(&self, divisor: f64) -> Self {
        let mut scaled = self.clone();
        if let Self::Metric(metric) = &mut scaled {
            metric.scale_durations(divisor);
        }
        scaled
    }
}

impl MetricExpr {
    /// Visits this expression and all below it, parents first.
    pub fn walk<'e>(&'e self, visit: &mut impl FnMut(&'e Self)) {
        visit(self);
        match self {
            Self::Range { .. } | Self::Literal(_) | Self::VectorOf(_) => {}
            Self::Vector { inner, .. } | Self::LabelReplace { inner, .. } => inner.walk(visit),
            Self::Binary { left, right, .. } => {
                left.walk(visit);
                right.walk(visit);
            }
        }
    }

    fn scale_durations(&mut self, divisor: f64) {
        match self {
            Self::Range { range, .. } => {
                // LogQL counts windows in whole milliseconds.
                let ms = (range.interval.as_secs_f64() * 1000.0 / divisor)
                    .round()
                    .max(1.0);
                range.interval = Duration::from_millis(ms as u64);
                range.offset_nanos = (range.offset_nanos as f64 / divisor).round() as i64;
            }
            Self::Literal(_) | Self::VectorOf(_) => {}
            Self::Vector { inner, .. } | Self::LabelReplace { inner, .. } => {
                inner.scale_durations(divisor);
            }
            Self::Binary { left, right, .. } => {
                left.scale_durations(divisor);
                right.scale_durations(divisor);
            }
        }
    }
}

impl LineFilterOp {
    /// How it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Contains => "|=",
            Self::NotContains => "!=",
            Self::Regex => "|~",
            Self::NotRegex => "!~",
            Self::Pattern => "|>",
            Self::NotPattern => "!>",
        }
    }

    /// Whether it keeps the lines that do not match.
    pub fn is_negated(self) -> bool {
        matches!(self, Self::NotContains | Self::NotRegex | Self::NotPattern)
    }
}

impl FilterOp {
    /// How it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
        }
    }

    /// Whether it holds.
    pub fn holds<T: PartialOrd>(self, left: &T, right: &T) -> bool {
        match self {
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
        }
    }
}

/// The range aggregations by name.
pub(super) const RANGE_OPS: [(&str, RangeOp); 15] = [
    ("count_over_time", RangeOp::CountOverTime),
    ("rate", RangeOp::Rate),
    ("rate_counter", RangeOp::RateCounter),
    ("bytes_over_time", RangeOp::BytesOverTime),
    ("bytes_rate", RangeOp::BytesRate),
    ("avg_over_time", RangeOp::AvgOverTime),
    ("sum_over_time", RangeOp::SumOverTime),
    ("min_over_time", RangeOp::MinOverTime),
    ("max_over_time", RangeOp::MaxOverTime),
    ("stdvar_over_time", RangeOp::StdvarOverTime),
    ("stddev_over_time", RangeOp::StddevOverTime),
    ("quantile_over_time", RangeOp::QuantileOverTime),
    ("first_over_time", RangeOp::FirstOverTime),
    ("last_over_time", RangeOp::LastOverTime),
    ("absent_over_time", RangeOp::AbsentOverTime),
];

/// The vector aggregations by name.
pub(super) const VECTOR_OPS: [(&str, VectorOp); 12] = [
    ("sum", VectorOp::Sum),
    ("avg", VectorOp::Avg),
    ("count", VectorOp::Count),
    ("max", VectorOp::Max),
    ("min", VectorOp::Min),
    ("stddev", VectorOp::Stddev),
    ("stdvar", VectorOp::Stdvar),
    ("bottomk", VectorOp::Bottomk),
    ("topk", VectorOp::Topk),
    ("approx_topk", VectorOp::ApproxTopk),
    ("sort", VectorOp::Sort),
    ("sort_desc", VectorOp::SortDesc),
];

/// The names of all aggregations and functions, for hints.
pub(crate) fn function_names() -> impl Iterator<Item = &'static str> {
    let ranges = RANGE_OPS.iter().map(|(name, _)| *name);
    let vectors = VECTOR_OPS.iter().map(|(name, _)| *name);
    ranges.chain(vectors).chain(["vector", "label_replace"])
}

impl RangeOp {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        RANGE_OPS
            .iter()
            .find(|(_, op)| *op == self)
            .map_or("", |(name, _)| name)
    }
}

impl VectorOp {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        VECTOR_OPS
            .iter()
            .find(|(_, op)| *op == self)
            .map_or("", |(name, _)| name)
    }
}

impl Conversion {
    /// The function's name; none for a plain number.
    pub fn as_str(self) -> Option<&'static str> {
        match self {
            Self::Number => None,
            Self::Bytes => Some("bytes"),
            Self::Duration => Some("duration"),
            Self::DurationSeconds => Some("duration_seconds"),
        }
    }
}

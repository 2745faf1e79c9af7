//! How a query is written: what is read again gives the same tree.

use std::fmt::{self, Display, Formatter};

use gameday_signal::{Quoted, SpanKind, SpanStatus};

use super::ast::{
    Aggregate, Attribute, Body, Field, Hint, Metrics, MetricsAggregate, MetricsFunction, Pipeline,
    Scalar, ScalarFilter, Scope, SecondStage, Spansets, Stage, Static, UnaryOp,
};
use super::lexer::is_attribute_character;

impl Display for Body {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Search(pipeline) => pipeline.fmt(f),
            Self::Metrics(metrics) => metrics.fmt(f),
            Self::ScalarPipelines(source) => f.write_str(source),
        }
    }
}

impl Display for Pipeline {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (index, stage) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(" | ")?;
            }
            stage.fmt(f)?;
        }
        Ok(())
    }
}

impl Display for Stage {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spansets(spansets) => spansets.fmt(f),
            Self::Scalar(filter) => filter.fmt(f),
            Self::GroupBy(field) => write!(f, "by({field})"),
            Self::Coalesce => f.write_str("coalesce()"),
            Self::Select(attributes) => {
                f.write_str("select(")?;
                write_list(f, attributes)?;
                f.write_str(")")
            }
        }
    }
}

impl Display for Spansets {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Filter(field) => write!(f, "{{ {field} }}"),
            Self::Operation { op, left, right } => {
                write!(f, "({left}) {} ({right})", op.as_str())
            }
            Self::Pipeline(pipeline) => write!(f, "({pipeline})"),
        }
    }
}

impl Display for ScalarFilter {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.left, self.op.as_str(), self.right)
    }
}

impl Display for Scalar {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Static(constant) => constant.fmt(f),
            Self::Aggregate(aggregate) => aggregate.fmt(f),
            Self::Operation { op, left, right } => write!(f, "({left} {} {right})", op.as_str()),
        }
    }
}

impl Display for Aggregate {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.field {
            Some(field) => write!(f, "{}({field})", self.function.as_str()),
            None => write!(f, "{}()", self.function.as_str()),
        }
    }
}

impl Display for Field {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Static(constant) => constant.fmt(f),
            Self::Attribute(attribute, _) => attribute.fmt(f),
            Self::Unary { op, field, .. } => {
                let sign = if *op == UnaryOp::Minus { "-" } else { "!" };
                f.write_str(sign)?;
                field.write_operand(f)
            }
            Self::Binary {
                op, left, right, ..
            } => {
                left.write_operand(f)?;
                write!(f, " {} ", op.as_str())?;
                right.write_operand(f)
            }
            Self::Exists { field, yes, .. } => {
                field.write_operand(f)?;
                f.write_str(if *yes { " != nil" } else { " = nil" })
            }
        }
    }
}

impl Field {
    fn write_operand(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if matches!(self, Self::Static(_) | Self::Attribute(..)) {
            write!(f, "{self}")
        } else {
            write!(f, "({self})")
        }
    }
}

impl Display for Attribute {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (scope, parent, name) = match self {
            Self::Intrinsic(intrinsic) => return f.write_str(intrinsic.as_str()),
            Self::Named {
                scope,
                parent,
                name,
            } => (scope, parent, name),
        };
        if *parent {
            f.write_str("parent")?;
        }
        f.write_str(match (scope, parent) {
            (Scope::None, _) => ".",
            (Scope::Span, false) => "span.",
            (Scope::Span, true) => ".span.",
            (Scope::Resource, false) => "resource.",
            (Scope::Resource, true) => ".resource.",
            (Scope::Event, _) => "event.",
            (Scope::Link, _) => "link.",
            (Scope::Instrumentation, _) => "instrumentation.",
        })?;
        if name.chars().all(|c| is_attribute_character(c) && c != '"') {
            f.write_str(name)
        } else {
            write!(f, "\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
        }
    }
}

/// The key of an attribute in an answer: its name without the scope.
impl Attribute {
    pub(crate) fn key(&self) -> &str {
        match self {
            Self::Intrinsic(intrinsic) => intrinsic.as_str(),
            Self::Named { name, .. } => name,
        }
    }
}

impl Display for Static {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(number) => write!(f, "{number}"),
            Self::Float(number) => write!(f, "{number:?}"),
            Self::String(text) if text.contains('`') => Quoted(text).fmt(f),
            Self::String(text) => write!(f, "`{text}`"),
            Self::Bool(truth) => write!(f, "{truth}"),
            Self::Duration(nanos) => f.write_str(&format_nanos(*nanos)),
            Self::Status(status) => f.write_str(status_name(*status)),
            Self::Kind(kind) => f.write_str(kind_name(*kind)),
        }
    }
}

/// The words of TraceQL for a status.
pub(crate) fn status_name(status: SpanStatus) -> &'static str {
    match status {
        SpanStatus::Unset => "unset",
        SpanStatus::Ok => "ok",
        SpanStatus::Error => "error",
    }
}

/// The words of TraceQL for a kind.
pub(crate) fn kind_name(kind: SpanKind) -> &'static str {
    match kind {
        SpanKind::Unspecified => "unspecified",
        SpanKind::Internal => "internal",
        SpanKind::Server => "server",
        SpanKind::Client => "client",
        SpanKind::Producer => "producer",
        SpanKind::Consumer => "consumer",
    }
}

/// Renders nanoseconds as Go's time.Duration does (`1h0m1.5s`, `250ms`, `0s`).
pub(crate) fn format_nanos(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let total = nanos.unsigned_abs();
    let fraction = |whole_nanos: u64, unit: u64| {
        let text = format!(
            "{}.{:0width$}",
            whole_nanos / unit,
            whole_nanos % unit,
            width = unit.ilog10() as usize
        );
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    match total {
        0 => "0s".to_owned(),
        1..1_000 => format!("{sign}{total}ns"),
        1_000..1_000_000 => format!("{sign}{}µs", fraction(total, 1_000)),
        1_000_000..1_000_000_000 => format!("{sign}{}ms", fraction(total, 1_000_000)),
        _ => {
            const MINUTE: u64 = 60_000_000_000;
            let (hours, minutes) = (total / (60 * MINUTE), total / MINUTE % 60);
            let seconds = fraction(total % MINUTE, 1_000_000_000);
            if hours > 0 {
                format!("{sign}{hours}h{minutes}m{seconds}s")
            } else if minutes > 0 {
                format!("{sign}{minutes}m{seconds}s")
            } else {
                format!("{sign}{seconds}s")
            }
        }
    }
}

impl Display for Metrics {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Query {
                pipeline,
                aggregate,
                ..
            } => write!(f, "{pipeline} | {aggregate}"),
            Self::Math { op, left, right } => write!(f, "({left}) {} ({right})", op.as_str()),
            Self::ScalarMath {
                op,
                scalar,
                scalar_first: true,
                metrics,
            } => {
                write!(f, "{scalar:?} {} ({metrics})", op.as_str())
            }
            Self::ScalarMath {
                op,
                scalar,
                metrics,
                ..
            } => write!(f, "({metrics}) {} {scalar:?}", op.as_str()),
            Self::Second { stage, metrics } => {
                if matches!(**metrics, Self::Math { .. } | Self::ScalarMath { .. }) {
                    write!(f, "({metrics})")?;
                } else {
                    metrics.fmt(f)?;
                }
                match stage {
                    SecondStage::TopK(count, _) => write!(f, " | topk({count})"),
                    SecondStage::BottomK(count, _) => write!(f, " | bottomk({count})"),
                    SecondStage::Filter(op, constant) => write!(f, " {} {constant}", op.as_str()),
                }
            }
        }
    }
}

impl Display for MetricsAggregate {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.function.name())?;
        match &self.function {
            MetricsFunction::Rate | MetricsFunction::CountOverTime => {}
            MetricsFunction::MinOverTime(attribute)
            | MetricsFunction::MaxOverTime(attribute)
            | MetricsFunction::AvgOverTime(attribute)
            | MetricsFunction::SumOverTime(attribute)
            | MetricsFunction::HistogramOverTime(attribute) => attribute.fmt(f)?,
            MetricsFunction::QuantileOverTime(attribute, quantiles) => {
                attribute.fmt(f)?;
                quantiles
                    .iter()
                    .try_for_each(|quantile| write!(f, ", {quantile:?}"))?;
            }
            MetricsFunction::Compare {
                selection,
                top,
                start,
                end,
            } => {
                write!(f, "{{ {selection} }}, {top}")?;
                if *start != 0 || *end != 0 {
                    write!(f, ", {start}, {end}")?;
                }
            }
        }
        f.write_str(")")?;
        if !self.by.is_empty() {
            f.write_str(" by (")?;
            write_list(f, &self.by)?;
            f.write_str(")")?;
        }
        Ok(())
    }
}

impl Display for Hint {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.value)
    }
}

fn write_list(f: &mut Formatter<'_>, attributes: &[Attribute]) -> fmt::Result {
    for (index, attribute) in attributes.iter().enumerate() {
        if index > 0 {
            f.write_str(", ")?;
        }
        attribute.fmt(f)?;
    }
    Ok(())
}

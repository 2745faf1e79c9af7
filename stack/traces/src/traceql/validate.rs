//! Static types, checked as Tempo checks them before a query runs.

use gameday_query::SourceSpan;

use super::ast::{
    Aggregate, Attribute, Body, Field, Intrinsic, Metrics, MetricsFunction, Op, Pipeline, Scalar,
    ScalarFilter, Scope, SecondStage, Spansets, Stage, Static, UnaryOp,
};

/// What is known of a value before a query runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    /// Whatever the attribute turns out to be.
    Attribute,
    Nil,
    Int,
    Float,
    String,
    Bool,
    Duration,
    Status,
    Kind,
}

/// Why a query that reads well cannot run.
pub(crate) enum Finding {
    Invalid(String, SourceSpan),
    /// Tempo reads it, too, and says this.
    Unsupported(String, SourceSpan),
}

type Checked = Result<(), Finding>;

fn invalid(span: SourceSpan, message: impl Into<String>) -> Checked {
    Err(Finding::Invalid(message.into(), span))
}

fn unsupported(span: SourceSpan, feature: &str) -> Checked {
    Err(Finding::Unsupported(
        format!("{feature} not yet supported"),
        span,
    ))
}

/// Checks a whole query.
pub(crate) fn validate(body: &Body) -> Checked {
    match body {
        Body::Search(pipeline) => check_pipeline(pipeline),
        Body::Metrics(metrics) => check_metrics(metrics, false),
        Body::ScalarPipelines(source) => unsupported(
            SourceSpan::new(0, source.len()),
            "comparing the aggregates of two pipelines",
        ),
    }
}

impl Type {
    fn is_numeric(self) -> bool {
        matches!(self, Self::Int | Self::Float | Self::Duration)
    }

    fn matches(self, other: Self) -> bool {
        self == other
            || matches!(self, Self::Attribute | Self::Nil)
            || matches!(other, Self::Attribute | Self::Nil)
            || (self.is_numeric() && other.is_numeric())
    }

    fn takes(self, op: Op) -> bool {
        match self {
            Self::Attribute => true,
            Self::Bool => matches!(op, Op::And | Op::Or | Op::Equal | Op::NotEqual),
            Self::Int | Self::Float | Self::Duration => op.is_arithmetic() || op.is_comparison(),
            Self::String => op.is_comparison() || matches!(op, Op::Regex | Op::NotRegex),
            Self::Nil | Self::Status | Self::Kind => matches!(op, Op::Equal | Op::NotEqual),
        }
    }
}

fn type_of_static(constant: &Static) -> Type {
    match constant {
        Static::Int(_) => Type::Int,
        Static::Float(_) => Type::Float,
        Static::String(_) => Type::String,
        Static::Bool(_) => Type::Bool,
        Static::Duration(_) => Type::Duration,
        Static::Status(_) => Type::Status,
        Static::Kind(_) => Type::Kind,
    }
}

fn type_of_attribute(attribute: &Attribute) -> Type {
    let Attribute::Intrinsic(intrinsic) = attribute else {
        return Type::Attribute;
    };
    match intrinsic {
        Intrinsic::Duration | Intrinsic::TraceDuration | Intrinsic::EventTimeSinceStart => {
            Type::Duration
        }
        Intrinsic::Status => Type::Status,
        Intrinsic::Kind => Type::Kind,
        Intrinsic::Parent => Type::Nil,
        Intrinsic::ChildCount
        | Intrinsic::NestedSetLeft
        | Intrinsic::NestedSetRight
        | Intrinsic::NestedSetParent => Type::Int,
        Intrinsic::Name
        | Intrinsic::StatusMessage
        | Intrinsic::SpanId
        | Intrinsic::ParentId
        | Intrinsic::RootName
        | Intrinsic::RootServiceName
        | Intrinsic::TraceId
        | Intrinsic::EventName
        | Intrinsic::LinkTraceId
        | Intrinsic::LinkSpanId
        | Intrinsic::InstrumentationName
        | Intrinsic::InstrumentationVersion => Type::String,
    }
}

fn type_of(field: &Field) -> Type {
    match field {
        Field::Static(constant) => type_of_static(constant),
        Field::Attribute(attribute, _) => type_of_attribute(attribute),
        Field::Unary { field, .. } => type_of(field),
        Field::Binary {
            op, left, right, ..
        } if op.is_arithmetic() => match type_of(left) {
            Type::Attribute => type_of(right),
            known => known,
        },
        Field::Binary { .. } | Field::Exists { .. } => Type::Bool,
    }
}

fn references_span(field: &Field) -> bool {
    let mut found = false;
    field.for_each_attribute(&mut |_| found = true);
    found
}

fn check_attribute(attribute: &Attribute, span: SourceSpan) -> Checked {
    match attribute {
        Attribute::Named { parent: true, .. } => unsupported(span, "parent"),
        Attribute::Intrinsic(Intrinsic::Parent) => unsupported(span, "intrinsic (parent)"),
        _ => Ok(()),
    }
}

fn check_field(field: &Field) -> Checked {
    match field {
        Field::Static(_) => Ok(()),
        Field::Attribute(attribute, span) => check_attribute(attribute, *span),
        Field::Unary {
            op,
            field: inner,
            span,
        } => {
            check_field(inner)?;
            let own = type_of(inner);
            let fits = match op {
                UnaryOp::Minus => own.is_numeric(),
                UnaryOp::Not => own == Type::Bool,
            };
            if fits || own == Type::Attribute {
                Ok(())
            } else {
                invalid(
                    *span,
                    format!("illegal operation for the given type: {field}"),
                )
            }
        }
        Field::Exists {
            field: inner,
            yes,
            span,
        } => {
            check_field(inner)?;
            let Field::Attribute(attribute, _) = &**inner else {
                return Ok(());
            };
            let service_name = matches!(
                attribute,
                Attribute::Named { scope: Scope::Resource, parent: false, name } if name == "service.name"
            );
            if *yes {
                Ok(())
            } else if matches!(attribute, Attribute::Intrinsic(_)) {
                invalid(
                    *span,
                    format!("{attribute}=nil is not valid because intrinsics cannot be nil"),
                )
            } else if service_name {
                invalid(
                    *span,
                    format!(
                        "{attribute}=nil is not valid because resource.service.name cannot be nil"
                    ),
                )
            } else {
                Ok(())
            }
        }
        Field::Binary {
            op,
            left,
            right,
            span,
        } => {
            check_field(left)?;
            check_field(right)?;
            check_operands(*op, type_of(left), type_of(right), *span, field)?;
            if matches!(op, Op::Regex | Op::NotRegex) {
                check_regex(right, *span)?;
            }
            Ok(())
        }
    }
}

fn check_operands(
    op: Op,
    left: Type,
    right: Type,
    span: SourceSpan,
    shown: &impl std::fmt::Display,
) -> Checked {
    if !left.matches(right) {
        return invalid(
            span,
            format!("binary operations must operate on the same type: {shown}"),
        );
    }
    if !left.takes(op) || !right.takes(op) {
        return invalid(
            span,
            format!("illegal operation for the given types: {shown}"),
        );
    }
    Ok(())
}

fn check_regex(right: &Field, span: SourceSpan) -> Checked {
    let Field::Static(Static::String(pattern)) = right else {
        return invalid(span, format!("invalid type for =~ or !~: {right}"));
    };
    match compile_regex(pattern) {
        Ok(_) => Ok(()),
        Err(error) => invalid(span, format!("invalid regex: {right}: {error}")),
    }
}

/// Compiles a pattern that must match the whole text. The size limit keeps a hostile pattern from filling the memory.
pub(crate) fn compile_regex(pattern: &str) -> Result<regex::Regex, String> {
    regex::RegexBuilder::new(&format!("^(?:{pattern})$"))
        .dot_matches_new_line(true)
        .size_limit(4 << 20)
        .build()
        .map_err(|error| {
            error
                .to_string()
                .lines()
                .last()
                .unwrap_or("does not compile")
                .trim()
                .to_owned()
        })
}

fn check_spansets(spansets: &Spansets) -> Checked {
    match spansets {
        Spansets::Filter(field) => check_filter(field),
        Spansets::Operation { left, right, .. } => {
            check_spansets(left)?;
            check_spansets(right)
        }
        Spansets::Pipeline(pipeline) => check_pipeline(pipeline),
    }
}

fn check_filter(field: &Field) -> Checked {
    check_field(field)?;
    match type_of(field) {
        Type::Attribute | Type::Bool => Ok(()),
        _ => {
            let message =
                format!("span filter field expressions must resolve to a boolean: {{ {field} }}");
            invalid(span_of(field), message)
        }
    }
}

/// The place of a field, the start of the query for a constant.
fn span_of(field: &Field) -> SourceSpan {
    match field {
        Field::Static(_) => SourceSpan::default(),
        Field::Attribute(_, span)
        | Field::Unary { span, .. }
        | Field::Binary { span, .. }
        | Field::Exists { span, .. } => *span,
    }
}

fn check_pipeline(pipeline: &Pipeline) -> Checked {
    for stage in &pipeline.0 {
        match stage {
            Stage::Spansets(spansets) => check_spansets(spansets)?,
            Stage::Scalar(filter) => check_scalar_filter(filter)?,
            Stage::GroupBy(field) => {
                if !references_span(field) {
                    return invalid(
                        span_of(field),
                        format!("grouping field expressions must reference the span: by({field})"),
                    );
                }
                check_field(field)?;
            }
            Stage::Select(attributes) => {
                attributes
                    .iter()
                    .try_for_each(|attribute| check_attribute(attribute, SourceSpan::default()))?;
            }
            Stage::Coalesce => {}
        }
    }
    Ok(())
}

fn type_of_scalar(scalar: &Scalar) -> Type {
    match scalar {
        Scalar::Static(constant) => type_of_static(constant),
        Scalar::Aggregate(Aggregate { field: None, .. }) => Type::Int,
        Scalar::Aggregate(Aggregate {
            field: Some(field), ..
        }) => type_of(field),
        Scalar::Operation { left, right, .. } => match type_of_scalar(left) {
            Type::Attribute => type_of_scalar(right),
            known => known,
        },
    }
}

fn check_scalar(scalar: &Scalar, span: SourceSpan) -> Checked {
    match scalar {
        Scalar::Static(_) => Ok(()),
        Scalar::Aggregate(aggregate) => {
            let Some(field) = &aggregate.field else {
                return Ok(());
            };
            check_field(field)?;
            let own = type_of(field);
            if own != Type::Attribute && !own.is_numeric() {
                let message = format!(
                    "aggregate field expressions must resolve to a number type: {aggregate}"
                );
                return invalid(aggregate.span, message);
            }
            if !references_span(field) {
                let message =
                    format!("aggregate field expressions must reference the span: {aggregate}");
                return invalid(aggregate.span, message);
            }
            Ok(())
        }
        Scalar::Operation { op, left, right } => {
            check_scalar(left, span)?;
            check_scalar(right, span)?;
            check_operands(
                *op,
                type_of_scalar(left),
                type_of_scalar(right),
                span,
                scalar,
            )
        }
    }
}

fn check_scalar_filter(filter: &ScalarFilter) -> Checked {
    check_scalar(&filter.left, filter.span)?;
    check_scalar(&filter.right, filter.span)?;
    check_operands(
        filter.op,
        type_of_scalar(&filter.left),
        type_of_scalar(&filter.right),
        filter.span,
        filter,
    )?;
    match (&filter.left, &filter.right) {
        (Scalar::Aggregate(_), Scalar::Static(_)) => Ok(()),
        (Scalar::Aggregate(_), _) => {
            unsupported(filter.span, "scalar filter with an aggregate on the right")
        }
        _ => unsupported(
            filter.span,
            "scalar filter whose left side is not one aggregate",
        ),
    }
}

fn check_metrics(metrics: &Metrics, combined: bool) -> Checked {
    match metrics {
        Metrics::Query {
            pipeline,
            aggregate,
            span,
        } => {
            check_pipeline(pipeline)?;
            match &aggregate.function {
                MetricsFunction::Rate | MetricsFunction::CountOverTime => {}
                MetricsFunction::Compare {
                    selection,
                    top,
                    start,
                    end,
                } => {
                    check_filter(selection)?;
                    if combined {
                        return invalid(
                            *span,
                            "`compare()` cannot be used with second stage functions",
                        );
                    }
                    if *top <= 0 {
                        return invalid(
                            *span,
                            "compare() top number of values must be integer greater than 0",
                        );
                    }
                    if start != end && start > end {
                        return invalid(
                            *span,
                            "compare() start timestamp must be before end timestamp",
                        );
                    }
                }
                MetricsFunction::QuantileOverTime(attribute, quantiles) => {
                    check_attribute(attribute, *span)?;
                    check_numeric(attribute, *span)?;
                    if let Some(quantile) = quantiles
                        .iter()
                        .find(|quantile| !(0.0..=1.0).contains(*quantile))
                    {
                        return invalid(
                            *span,
                            format!("quantile must be between 0 and 1: {quantile}"),
                        );
                    }
                }
                MetricsFunction::MinOverTime(attribute)
                | MetricsFunction::MaxOverTime(attribute)
                | MetricsFunction::AvgOverTime(attribute)
                | MetricsFunction::SumOverTime(attribute)
                | MetricsFunction::HistogramOverTime(attribute) => {
                    check_attribute(attribute, *span)?;
                    check_numeric(attribute, *span)?;
                }
            }
            if aggregate.by.len() > MAX_GROUPS {
                let message = format!(
                    "currently supporting max {MAX_GROUPS} values in group by, {} given",
                    aggregate.by.len()
                );
                return invalid(*span, message);
            }
            aggregate
                .by
                .iter()
                .try_for_each(|attribute| check_attribute(attribute, *span))
        }
        Metrics::Math { left, right, .. } => {
            check_metrics(left, true)?;
            check_metrics(right, true)
        }
        Metrics::ScalarMath { metrics, .. } => check_metrics(metrics, true),
        Metrics::Second { stage, metrics } => {
            match stage {
                SecondStage::TopK(count, span) if *count <= 0 => {
                    return invalid(*span, "topk(k): k must be greater than 0");
                }
                SecondStage::BottomK(count, span) if *count <= 0 => {
                    return invalid(*span, "bottomk(k): k must be greater than 0");
                }
                _ => {}
            }
            check_metrics(metrics, true)
        }
    }
}

/// Tempo groups metrics by five attributes at most.
const MAX_GROUPS: usize = 5;

fn check_numeric(attribute: &Attribute, span: SourceSpan) -> Checked {
    match type_of_attribute(attribute) {
        own if own == Type::Attribute || own.is_numeric() => Ok(()),
        _ => invalid(
            span,
            format!("metrics aggregates must resolve to a number type: {attribute}"),
        ),
    }
}

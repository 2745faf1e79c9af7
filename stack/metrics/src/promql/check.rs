//! Static types and the rules that the grammar alone does not express.

use gameday_query::{Cardinality, ParseError, SourceSpan};

use super::parser::expected_type;
use super::{AggregateOp, Binary, Expr, ExprKind, Function, ValueType, VectorSelector};

/// Checks the types of `expr` and all inside it; set operators become many-to-many, and operations with a scalar lose their
/// matching, on the way.
pub(super) fn check(source: &str, expr: &mut Expr) -> Result<(), ParseError> {
    Checker { source }.expr(expr)
}

struct Checker<'a> {
    source: &'a str,
}

impl Checker<'_> {
    fn fail<T>(&self, span: SourceSpan, message: impl Into<String>) -> Result<T, ParseError> {
        Err(ParseError::new(self.source, span, message))
    }

    fn expect(&self, expr: &mut Expr, want: ValueType, context: &str) -> Result<(), ParseError> {
        self.expr(expr)?;
        let got = expr.value_type();
        if got == want {
            return Ok(());
        }
        let error = ParseError::new(self.source, expr.span, expected_type(want, context, got));
        Err(error.with_hint_option(type_hint(want, got, expr)))
    }

    fn expr(&self, expr: &mut Expr) -> Result<(), ParseError> {
        let span = expr.span;
        match &mut expr.kind {
            ExprKind::Number { .. } | ExprKind::String(_) => Ok(()),
            ExprKind::Paren(inner) => self.expr(inner),
            ExprKind::Unary { operand, .. } => {
                self.expr(operand)?;
                let got = operand.value_type();
                if matches!(got, ValueType::Scalar | ValueType::Vector) {
                    return Ok(());
                }
                self.fail(span, format!("unary expression only allowed on expressions of type scalar or instant vector, got {:?}", got.documented()))
            }
            ExprKind::Binary(binary) => self.binary(binary, span),
            ExprKind::Aggregate(aggregate) => {
                self.expect(
                    &mut aggregate.expr,
                    ValueType::Vector,
                    "aggregation expression",
                )?;
                let Some(param) = &mut aggregate.param else {
                    return Ok(());
                };
                let want = if aggregate.op == AggregateOp::CountValues {
                    ValueType::String
                } else {
                    ValueType::Scalar
                };
                self.expect(param, want, "aggregation parameter")
            }
            ExprKind::Call { function, args } => self.call(function, args, span),
            ExprKind::Vector(selector) | ExprKind::Matrix { selector, .. } => {
                self.selector(selector, span)
            }
            ExprKind::Subquery(subquery) => {
                self.expr(&mut subquery.expr)?;
                let got = subquery.expr.value_type();
                if got == ValueType::Vector {
                    return Ok(());
                }
                self.fail(
                    span,
                    format!(
                        "subquery is only allowed on instant vector, got {} instead",
                        got.as_str()
                    ),
                )
            }
        }
    }

    fn binary(&self, binary: &mut Binary, span: SourceSpan) -> Result<(), ParseError> {
        self.expr(&mut binary.left)?;
        self.expr(&mut binary.right)?;
        let (left, right) = (binary.left.value_type(), binary.right.value_type());
        let op = binary.op;
        if binary.return_bool && !op.is_comparison() {
            return self.fail(
                binary.op_span,
                "bool modifier can only be used on comparison operators",
            );
        }
        if op.is_comparison()
            && !binary.return_bool
            && left == ValueType::Scalar
            && right == ValueType::Scalar
        {
            return Err(ParseError::new(
                self.source,
                binary.op_span,
                "comparisons between scalars must use BOOL modifier",
            )
            .with_hint(format!("write {:?}", format!("{} bool", op.as_str()))));
        }
        self.matching_labels(binary)?;
        for (side, value_type) in [(&binary.left, left), (&binary.right, right)] {
            if !matches!(value_type, ValueType::Scalar | ValueType::Vector) {
                return self.fail(
                    side.span,
                    "binary expression must contain only scalar and instant vector types",
                );
            }
        }
        let with_scalar = left != ValueType::Vector || right != ValueType::Vector;
        if with_scalar {
            self.scalar_matching(binary, span)?;
            binary.matching = None;
            if op.is_set() {
                return self.fail(
                    span,
                    format!(
                        "set operator {:?} not allowed in binary scalar expression",
                        op.as_str()
                    ),
                );
            }
            return Ok(());
        }
        if op.is_set() {
            return self.set_matching(binary, span);
        }
        Ok(())
    }

    fn matching_labels(&self, binary: &Binary) -> Result<(), ParseError> {
        let Some(matching) = &binary.matching else {
            return Ok(());
        };
        let twice = matching
            .labels
            .iter()
            .find(|label| matching.on && matching.include.contains(label));
        match twice {
            Some(label) => self.fail(
                binary.op_span,
                format!("label {label:?} must not occur in ON and GROUP clause at once"),
            ),
            None => Ok(()),
        }
    }

    fn scalar_matching(&self, binary: &Binary, span: SourceSpan) -> Result<(), ParseError> {
        let Some(matching) = &binary.matching else {
            return Ok(());
        };
        if !matching.labels.is_empty() {
            return self.fail(span, "vector matching only allowed between instant vectors");
        }
        if matching.fill != (None, None) {
            return self.fail(
                span,
                "filling in missing series only allowed between instant vectors",
            );
        }
        Ok(())
    }

    fn set_matching(&self, binary: &mut Binary, span: SourceSpan) -> Result<(), ParseError> {
        let op = binary.op;
        let Some(matching) = &mut binary.matching else {
            return Ok(());
        };
        if matching.fill != (None, None) {
            return self.fail(
                span,
                "filling in missing series not allowed for set operators",
            );
        }
        if matching.cardinality != Cardinality::OneToOne {
            // A tree that has been checked before is many-to-many already.
            if matching.cardinality == Cardinality::ManyToMany {
                return Ok(());
            }
            return self.fail(
                span,
                format!("no grouping allowed for {:?} operation", op.as_str()),
            );
        }
        matching.cardinality = Cardinality::ManyToMany;
        Ok(())
    }

    fn call(
        &self,
        function: &Function,
        args: &mut [Expr],
        span: SourceSpan,
    ) -> Result<(), ParseError> {
        let (name, given) = (function.name, args.len());
        let listed = function.args.len();
        if function.variadic == 0 {
            if listed != given {
                return self.fail(
                    span,
                    format!("expected {listed} argument(s) in call to {name:?}, got {given}"),
                );
            }
        } else {
            let least = listed - 1;
            let most = least as i64 + i64::from(function.variadic);
            if given < least {
                return self.fail(
                    span,
                    format!(
                        "expected at least {least} argument(s) in call to {name:?}, got {given}"
                    ),
                );
            }
            if function.variadic > 0 && given as i64 > most {
                return self.fail(
                    span,
                    format!("expected at most {most} argument(s) in call to {name:?}, got {given}"),
                );
            }
        }
        let is_info = name == "info";
        for (index, arg) in args.iter_mut().enumerate() {
            if is_info && index == 1 {
                self.info_selector(arg)?;
                continue;
            }
            if let Some(want) = function.arg_type(index) {
                self.expect(arg, want, &format!("call to function {name:?}"))?;
            }
        }
        Ok(())
    }

    /// The second argument of `info` is a selector without a name and may match everything.
    fn info_selector(&self, arg: &Expr) -> Result<(), ParseError> {
        if arg.value_type() != ValueType::Vector {
            return self.fail(
                arg.span,
                expected_type(
                    ValueType::Vector,
                    "call to function \"info\"",
                    arg.value_type(),
                ),
            );
        }
        match &arg.kind {
            ExprKind::Vector(selector) if selector.name.is_empty() => Ok(()),
            ExprKind::Vector(_) => self.fail(
                arg.span,
                "expected label selectors only, got vector selector instead",
            ),
            _ => self.fail(arg.span, "expected label selectors only"),
        }
    }

    fn selector(&self, selector: &VectorSelector, span: SourceSpan) -> Result<(), ParseError> {
        if selector.name.is_empty() {
            let matches_all = selector
                .matchers
                .iter()
                .all(gameday_signal::Matcher::matches_empty);
            if matches_all {
                return Err(ParseError::new(
                    self.source,
                    span,
                    "vector selector must contain at least one non-empty matcher",
                )
                .with_hint("name the metric, or a label with a value that is not empty"));
            }
            return Ok(());
        }
        let others = &selector.matchers[..selector.matchers.len().saturating_sub(1)];
        match others.iter().find(|matcher| matcher.name() == "__name__") {
            Some(matcher) => self.fail(
                span,
                format!(
                    "metric name must not be set twice: {:?} or {:?}",
                    selector.name,
                    matcher.value()
                ),
            ),
            None => Ok(()),
        }
    }
}

fn type_hint(want: ValueType, got: ValueType, expr: &Expr) -> Option<String> {
    match (want, got, &expr.kind) {
        (ValueType::Matrix, ValueType::Vector, ExprKind::Vector(_)) => {
            Some("add a range such as [5m]".to_owned())
        }
        (ValueType::Matrix, ValueType::Vector, _) => {
            Some("turn it into a subquery with a range such as [5m:]".to_owned())
        }
        (ValueType::Vector, ValueType::Matrix, _) => Some(
            "leave out the range, or apply a function such as rate() or avg_over_time()".to_owned(),
        ),
        (ValueType::Vector, ValueType::Scalar, _) => Some("wrap it in vector()".to_owned()),
        (ValueType::Scalar, ValueType::Vector, _) => Some("wrap it in scalar()".to_owned()),
        _ => None,
    }
}

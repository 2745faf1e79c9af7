//! Lengths of time, and the experimental arithmetic on them.

use gameday_query::{BinaryOp, ParseError, SourceSpan, Token, TokenKind};

use super::Parser;
use crate::promql::{DurationExpr, DurationValue};

impl Parser<'_> {
    pub(super) fn duration_secs(&self, token: &Token) -> Result<f64, ParseError> {
        let text = token.span.text(self.source());
        gameday_signal::parse_duration(text)
            .map(|duration| duration.as_secs_f64())
            .map_err(|error| {
                let message = match error {
                    gameday_signal::DurationError::OutOfRange(_) => {
                        "duration out of range".to_owned()
                    }
                    _ => unit_message(text),
                };
                self.stream.error_at(token.span, message)
            })
    }

    pub(super) fn positive_duration(&mut self, context: &str) -> Result<DurationValue, ParseError> {
        let start = self.stream.peek().span;
        let expr = self.duration_expression(0, 0, context)?;
        let span = start.to(SourceSpan::at(self.stream.last_end()));
        let value = self.duration_value(expr, span)?;
        if matches!(value, DurationValue::Millis(ms) if ms <= 0) {
            return Err(self
                .stream
                .error_at(span, "duration must be greater than 0"));
        }
        Ok(value)
    }

    /// Outside brackets only a number with a sign, a call or parentheses belong to the offset: `foo offset 5s-8` is a difference.
    pub(super) fn offset_duration(&mut self) -> Result<DurationValue, ParseError> {
        let start = self.stream.peek().span;
        let negative = self.stream.peek().is_operator("-");
        let signed = self.stream.eat("-") || self.stream.eat("+");
        let mut expr = self.duration_operand(0, "offset")?;
        if signed {
            expr = signed_duration(negative, expr);
        }
        let span = start.to(SourceSpan::at(self.stream.last_end()));
        self.duration_value(expr, span)
    }

    pub(super) fn duration_value(
        &self,
        expr: DurationExpr,
        span: SourceSpan,
    ) -> Result<DurationValue, ParseError> {
        let mut inner = &expr;
        while let DurationExpr::Paren(next) = inner {
            inner = next;
        }
        if let DurationExpr::Literal { secs, .. } = inner {
            let ms = secs * 1000.0;
            return Ok(DurationValue::Millis(ms.round() as i64));
        }
        self.require(
            false,
            span,
            "experimental duration expression is not enabled",
        )?;
        Ok(DurationValue::Expr(Box::new(expr)))
    }

    pub(super) fn duration_expression(
        &mut self,
        min_level: u8,
        depth: usize,
        context: &str,
    ) -> Result<DurationExpr, ParseError> {
        let negative = self.stream.peek().is_operator("-");
        let mut left = if self.stream.eat("-") || self.stream.eat("+") {
            self.check_depth(depth)?;
            // A sign binds like `*`, so that `-2^2` is -4.
            let operand = self.duration_expression(2, depth + 1, context)?;
            signed_duration(negative, operand)
        } else {
            self.duration_operand(depth, context)?
        };
        let mut links = depth;
        while let Some((op, level, right_level)) = self.duration_operator() {
            if level < min_level {
                break;
            }
            links += 1;
            self.check_depth(links)?;
            let op_span = self.stream.advance().span;
            let right = self.duration_expression(right_level, links + 1, context)?;
            let zero = matches!(&right, DurationExpr::Literal { secs, .. } if *secs == 0.0);
            if zero && matches!(op, BinaryOp::Div | BinaryOp::Mod) {
                let what = if op == BinaryOp::Div {
                    "division"
                } else {
                    "modulo"
                };
                return Err(self.stream.error_at(op_span, format!("{what} by zero")));
            }
            left = DurationExpr::Binary {
                op,
                left: Box::new(left),
                right: Box::new(right),
            };
        }
        Ok(left)
    }

    pub(super) fn check_depth(&self, depth: usize) -> Result<(), ParseError> {
        // Duration arithmetic of more than a few terms is nonsense; the limit keeps recursion shallow.
        if depth < 32 {
            Ok(())
        } else {
            Err(self
                .stream
                .error("duration expression is nested too deeply, the limit is 32 levels"))
        }
    }

    pub(super) fn duration_operator(&self) -> Option<(BinaryOp, u8, u8)> {
        match self.stream.peek().operator()? {
            "+" => Some((BinaryOp::Add, 1, 2)),
            "-" => Some((BinaryOp::Sub, 1, 2)),
            "*" => Some((BinaryOp::Mul, 2, 3)),
            "/" => Some((BinaryOp::Div, 2, 3)),
            "%" => Some((BinaryOp::Mod, 2, 3)),
            "^" => Some((BinaryOp::Pow, 3, 3)),
            _ => None,
        }
    }

    pub(super) fn duration_operand(
        &mut self,
        depth: usize,
        context: &str,
    ) -> Result<DurationExpr, ParseError> {
        self.check_depth(depth)?;
        let token = self.stream.peek().clone();
        let expected = "number, duration, step(), or range()";
        match token.kind {
            TokenKind::Number(secs) => {
                self.stream.advance();
                self.in_range(secs, token.span)?;
                Ok(DurationExpr::Literal {
                    secs,
                    duration: false,
                })
            }
            TokenKind::Quantity => {
                let secs = self.duration_secs(&token)?;
                self.stream.advance();
                Ok(DurationExpr::Literal {
                    secs,
                    duration: true,
                })
            }
            TokenKind::Operator("(") => {
                self.stream.advance();
                let inner = self.duration_expression(0, depth + 1, context)?;
                self.expect(")", context, "\")\"")?;
                Ok(DurationExpr::Paren(Box::new(inner)))
            }
            TokenKind::Identifier => {
                let word = self.stream.peek_text().to_ascii_lowercase();
                self.stream.advance();
                if !matches!(word.as_str(), "step" | "range" | "min_of" | "max_of")
                    || !self.stream.eat("(")
                {
                    return Err(self.unexpected(context, expected));
                }
                self.duration_call(&word, depth, context)
            }
            _ => Err(self.unexpected(context, expected)),
        }
    }

    pub(super) fn duration_call(
        &mut self,
        word: &str,
        depth: usize,
        context: &str,
    ) -> Result<DurationExpr, ParseError> {
        if matches!(word, "step" | "range") {
            self.expect(")", context, "\")\"")?;
            return Ok(if word == "step" {
                DurationExpr::Step
            } else {
                DurationExpr::Range
            });
        }
        let left = self.duration_expression(0, depth + 1, context)?;
        self.expect(",", context, "\",\"")?;
        let right = self.duration_expression(0, depth + 1, context)?;
        self.expect(")", context, "\")\"")?;
        Ok(DurationExpr::Extreme {
            max: word == "max_of",
            left: Box::new(left),
            right: Box::new(right),
        })
    }

    pub(super) fn expect(
        &mut self,
        text: &str,
        context: &str,
        expected: &str,
    ) -> Result<(), ParseError> {
        if self.stream.eat(text) {
            Ok(())
        } else {
            Err(self.unexpected(context, expected))
        }
    }

    pub(super) fn in_range(&self, secs: f64, span: SourceSpan) -> Result<(), ParseError> {
        // The bounds of an int64 of nanoseconds, which Prometheus keeps durations in.
        if secs.abs() < 9_223_372_036.854_776 {
            Ok(())
        } else {
            Err(self.stream.error_at(span, "duration out of range"))
        }
    }
}

fn signed_duration(negative: bool, operand: DurationExpr) -> DurationExpr {
    match operand {
        DurationExpr::Literal { secs, duration } => DurationExpr::Literal {
            secs: if negative { -secs } else { secs },
            duration,
        },
        operand => DurationExpr::Unary {
            negative,
            operand: Box::new(operand),
        },
    }
}

/// What is wrong with a duration whose shape is right: a unit that does not exist, or units out of order.
fn unit_message(text: &str) -> String {
    let unknown = text
        .split(|character: char| character.is_ascii_digit())
        .find(|unit| {
            !unit.is_empty() && !matches!(*unit, "ms" | "s" | "m" | "h" | "d" | "w" | "y")
        });
    match unknown {
        Some(unit) => format!("unknown unit {unit:?} in duration {text:?}"),
        None => format!("not a valid duration string: {text:?}"),
    }
}

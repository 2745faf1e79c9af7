//! What follows a selector: ranges, subqueries, `offset` and `@`.

use gameday_query::{ParseError, SourceSpan, TokenKind};

use super::Parser;
use crate::promql::{AtModifier, DurationValue, Expr, ExprKind, Modifiers, Subquery};

impl Parser<'_> {
    pub(super) fn postfix(&mut self, mut expr: Expr) -> Result<Expr, ParseError> {
        loop {
            if self.stream.peek().is_operator("[") {
                expr = self.range(expr)?;
            } else if self.stream.at_word("offset") {
                expr = self.offset(expr)?;
            } else if self.stream.peek().is_operator("@") {
                expr = self.at(expr)?;
            } else if self.stream.at_word("anchored") || self.stream.at_word("smoothed") {
                expr = self.extended(expr)?;
            } else {
                return Ok(expr);
            }
        }
    }

    pub(super) fn range(&mut self, expr: Expr) -> Result<Expr, ParseError> {
        let open = self.stream.advance();
        if self.stream.peek().kind == TokenKind::End || self.stream.peek().is_operator("]") {
            return Err(self.unexpected(
                "subquery or range selector",
                "number, duration, step(), or range()",
            ));
        }
        let range = self.positive_duration("subquery or range selector")?;
        if self.stream.eat(":") {
            return self.subquery(expr, range);
        }
        let close = self.stream.peek().span;
        if !self.stream.eat("]") {
            return Err(self.unexpected("subquery or range", "\":\" or \"]\""));
        }
        let message = match &expr.kind {
            ExprKind::Vector(selector) if selector.modifiers.has_offset => {
                "no offset modifiers allowed before range"
            }
            ExprKind::Vector(selector) if selector.modifiers.at.is_some() => {
                "no @ modifiers allowed before range"
            }
            ExprKind::Vector(_) => "",
            _ => "ranges only allowed for vector selectors",
        };
        match expr.kind {
            ExprKind::Vector(selector) if message.is_empty() => Ok(Expr {
                kind: ExprKind::Matrix { selector, range },
                span: expr.span.to(close),
            }),
            _ => Err(self.stream.error_at(open.span.to(close), message)),
        }
    }

    pub(super) fn subquery(
        &mut self,
        expr: Expr,
        range: DurationValue,
    ) -> Result<Expr, ParseError> {
        let step = if self.stream.peek().is_operator("]") {
            None
        } else {
            Some(self.positive_duration("subquery selector")?)
        };
        let close = self.stream.peek().span;
        if !self.stream.eat("]") {
            return Err(self.unexpected("subquery selector", "\"]\""));
        }
        let span = expr.span.to(close);
        Ok(Expr {
            kind: ExprKind::Subquery(Box::new(Subquery {
                expr,
                range,
                step,
                modifiers: Modifiers::default(),
            })),
            span,
        })
    }

    pub(super) fn offset(&mut self, mut expr: Expr) -> Result<Expr, ParseError> {
        let word = self.stream.advance();
        if self.stream.peek().kind == TokenKind::End {
            return Err(self.unexpected("offset", "number, duration, step(), or range()"));
        }
        let offset = self.offset_duration()?;
        let end = SourceSpan::at(self.stream.last_end());
        let span = expr.span;
        let Some(modifiers) = modifiers_of(&mut expr) else {
            return Err(self.stream.error_at(span, "offset modifier must be preceded by an instant vector selector or range vector selector or a subquery"));
        };
        if modifiers.has_offset {
            return Err(self
                .stream
                .error_at(word.span, "offset may not be set multiple times"));
        }
        modifiers.offset = offset;
        modifiers.has_offset = true;
        expr.span = span.to(end);
        Ok(expr)
    }

    pub(super) fn at(&mut self, mut expr: Expr) -> Result<Expr, ParseError> {
        let sign = self.stream.advance();
        let at = self.at_value()?;
        let end = SourceSpan::at(self.stream.last_end());
        let span = expr.span;
        let Some(modifiers) = modifiers_of(&mut expr) else {
            return Err(self.stream.error_at(span, "@ modifier must be preceded by an instant vector selector or range vector selector or a subquery"));
        };
        if modifiers.at.is_some() {
            return Err(self
                .stream
                .error_at(sign.span, "@ <timestamp> may not be set multiple times"));
        }
        modifiers.at = Some(at);
        expr.span = span.to(end);
        Ok(expr)
    }

    pub(super) fn at_value(&mut self) -> Result<AtModifier, ParseError> {
        let negative = if self.stream.eat("-") {
            true
        } else {
            self.stream.eat("+");
            false
        };
        let token = self.stream.peek().clone();
        let secs = match token.kind {
            TokenKind::Number(value) => value,
            TokenKind::Quantity => self.duration_secs(&token)?,
            TokenKind::Identifier if self.stream.peek_at(1).is_operator("(") => {
                let start = self.stream.at_word("start");
                if start || self.stream.at_word("end") {
                    self.stream.advance();
                    self.stream.advance();
                    if !self.stream.eat(")") {
                        return Err(self.unexpected("@", "timestamp"));
                    }
                    return Ok(if start {
                        AtModifier::Start
                    } else {
                        AtModifier::End
                    });
                }
                return Err(self.unexpected("@", "timestamp"));
            }
            TokenKind::Identifier if self.stream.at_word("inf") => f64::INFINITY,
            TokenKind::Identifier if self.stream.at_word("nan") => f64::NAN,
            _ => {
                // An operator says what is wrong by itself (`@@`).
                let context = if token.is_operator("@") { "" } else { "@" };
                let expected = if context.is_empty() { "" } else { "timestamp" };
                return Err(self.unexpected(context, expected));
            }
        };
        self.stream.advance();
        let secs = if negative { -secs } else { secs };
        // The bounds of an int64, which Prometheus keeps timestamps in.
        if !secs.is_finite() || secs.abs() >= 9_223_372_036_854_775_808.0 {
            let shown = if secs.is_nan() {
                "NaN".to_owned()
            } else if secs.is_infinite() {
                (if secs > 0.0 { "+Inf" } else { "-Inf" }).to_owned()
            } else {
                format!("{secs:.6}")
            };
            return Err(self.stream.error_at(
                token.span,
                format!("timestamp out of bounds for @ modifier: {shown}"),
            ));
        }
        Ok(AtModifier::Timestamp((secs * 1000.0).round() as i64))
    }

    pub(super) fn extended(&mut self, mut expr: Expr) -> Result<Expr, ParseError> {
        let anchored = self.stream.at_word("anchored");
        let word = self.stream.advance();
        let name = if anchored { "anchored" } else { "smoothed" };
        self.require(
            false,
            word.span,
            &format!("{name} modifier is experimental and not enabled"),
        )?;
        let span = expr.span;
        let selector = match &mut expr.kind {
            ExprKind::Vector(selector) | ExprKind::Matrix { selector, .. } => selector,
            ExprKind::Subquery(_) => {
                let message = format!("{name} modifier is not supported for subqueries");
                return Err(self.stream.error_at(span, message));
            }
            _ => {
                let message = format!("{name} modifier not implemented");
                return Err(self.stream.error_at(span, message));
            }
        };
        selector.anchored |= anchored;
        selector.smoothed |= !anchored;
        if selector.anchored && selector.smoothed {
            return Err(self.stream.error_at(
                span,
                "anchored and smoothed modifiers cannot be used together",
            ));
        }
        expr.span = span.to(word.span);
        Ok(expr)
    }
}

fn modifiers_of(expr: &mut Expr) -> Option<&mut Modifiers> {
    match &mut expr.kind {
        ExprKind::Vector(selector) | ExprKind::Matrix { selector, .. } => {
            Some(&mut selector.modifiers)
        }
        ExprKind::Subquery(subquery) => Some(&mut subquery.modifiers),
        _ => None,
    }
}

//! Series selectors: a name and conditions on labels.

use gameday_query::{ParseError, SourceSpan, TokenKind};
use gameday_signal::{MatchOp, Matcher};

use super::Parser;
use crate::promql::{Expr, ExprKind, VectorSelector};

impl Parser<'_> {
    pub(super) fn selector(&mut self, name: String, start: SourceSpan) -> Result<Expr, ParseError> {
        let mut matchers = Vec::new();
        let mut span = start;
        if self.stream.eat("{") {
            matchers = self.matchers()?;
            span = start.to(SourceSpan::at(self.stream.last_end()));
        }
        if !name.is_empty() {
            matchers.push(Matcher::equal("__name__", &name));
        }
        Ok(Expr {
            kind: ExprKind::Vector(Box::new(VectorSelector {
                name,
                matchers,
                span,
                ..VectorSelector::default()
            })),
            span,
        })
    }

    pub(super) fn matchers(&mut self) -> Result<Vec<Matcher>, ParseError> {
        let mut matchers = Vec::new();
        while !self.stream.peek().is_operator("}") {
            matchers.push(self.matcher()?);
            if self.stream.peek().is_operator("}") {
                break;
            }
            if !self.stream.eat(",") {
                return Err(self.unexpected("label matching", "\",\" or \"}\""));
            }
        }
        self.stream.advance();
        Ok(matchers)
    }

    pub(super) fn matcher(&mut self) -> Result<Matcher, ParseError> {
        let token = self.stream.peek().clone();
        let (name, quoted) = match token.kind {
            TokenKind::Identifier => (token.span.text(self.source()).to_owned(), false),
            TokenKind::String(name) => (name, true),
            _ => return Err(self.unexpected("label matching", "identifier or \"}\"")),
        };
        self.stream.advance();
        let op = match self.stream.peek().operator() {
            Some("=") => MatchOp::Equal,
            Some("!=") => MatchOp::NotEqual,
            Some("=~") => MatchOp::Regex,
            Some("!~") => MatchOp::NotRegex,
            // A quoted name alone is the name of the metric.
            Some("," | "}") if quoted => return Ok(Matcher::equal("__name__", name)),
            _ if quoted => return Err(self.unexpected("label matching", "\",\" or \"}\"")),
            _ => return Err(self.unexpected("label matching", "label matching operator")),
        };
        self.stream.advance();
        let value = self.stream.peek().clone();
        let TokenKind::String(text) = value.kind else {
            return Err(self.unexpected("label matching", "string"));
        };
        self.stream.advance();
        Matcher::new(name, op, text).map_err(|error| {
            self.stream
                .error_at(token.span.to(value.span), error.to_string())
        })
    }
}

//! What follows a binary operator: `bool`, `on`, `group_left` and their like.

use gameday_query::{Cardinality, ParseError, TokenKind, VectorMatching};

use super::Parser;

impl Parser<'_> {
    pub(super) fn binary_modifiers(&mut self) -> Result<(bool, VectorMatching), ParseError> {
        let return_bool = self.stream.eat_word("bool");
        let mut matching = VectorMatching::default();
        let on = self.stream.at_word("on");
        if (on || self.stream.at_word("ignoring")) && self.stream.peek_at(1).is_operator("(") {
            self.stream.advance();
            matching.on = on;
            matching.labels = self.grouping_labels()?;
            let left = self.stream.at_word("group_left");
            if left || self.stream.at_word("group_right") {
                self.stream.advance();
                matching.cardinality = if left {
                    Cardinality::ManyToOne
                } else {
                    Cardinality::OneToMany
                };
                if self.stream.peek().is_operator("(") {
                    matching.include = self.grouping_labels()?;
                }
            }
        }
        self.fill_modifiers(&mut matching)?;
        Ok((return_bool, matching))
    }

    pub(super) fn fill_modifiers(
        &mut self,
        matching: &mut VectorMatching,
    ) -> Result<(), ParseError> {
        loop {
            let next = self.stream.peek().clone();
            if next.kind != TokenKind::Identifier || !self.stream.peek_at(1).is_operator("(") {
                return Ok(());
            }
            let word = self.stream.peek_text().to_ascii_lowercase();
            if !matches!(word.as_str(), "fill" | "fill_left" | "fill_right") {
                return Ok(());
            }
            self.require(
                false,
                next.span,
                "binop fill modifiers are experimental and not enabled",
            )?;
            self.stream.advance();
            self.stream.advance();
            let value = self.fill_value()?;
            if word != "fill_right" {
                matching.fill.0 = Some(value);
            }
            if word != "fill_left" {
                matching.fill.1 = Some(value);
            }
            self.expect(")", "fill", "\")\"")?;
        }
    }

    pub(super) fn fill_value(&mut self) -> Result<f64, ParseError> {
        let negative = self.stream.eat("-");
        if !negative {
            self.stream.eat("+");
        }
        let token = self.stream.peek().clone();
        let value = match token.kind {
            TokenKind::Number(value) => value,
            TokenKind::Quantity => self.duration_secs(&token)?,
            TokenKind::Identifier if self.stream.at_word("inf") => f64::INFINITY,
            TokenKind::Identifier if self.stream.at_word("nan") => f64::NAN,
            _ => return Err(self.unexpected("fill", "number")),
        };
        self.stream.advance();
        Ok(if negative { -value } else { value })
    }
}

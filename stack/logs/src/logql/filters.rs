//! Line filters and label filters.

use gameday_query::ParseError as SyntaxError;
use gameday_signal::MatchOp;

use super::ast::{FilterOp, LabelFilter, LineFilter, LineFilterOp, LineMatch, Stage};
use super::lex::Token;
use super::parse::Parser;

/// Label filters may nest this deep; a comma or a blank between two nests as well.
const DEPTH_MAX: usize = 256;

/// How tightly `or` and `and` bind.
const OR: u8 = 1;
const AND: u8 = 2;

impl Parser<'_> {
    /// The line filters that stand here; none where none do.
    pub(super) fn line_filters(&mut self) -> Result<Option<Stage>, SyntaxError> {
        let mut filters = Vec::new();
        while let Some(op) = self.line_filter_op() {
            self.advance();
            let mut alternatives = vec![self.line_match()?];
            while self.eat("or") {
                alternatives.push(self.line_match()?);
            }
            filters.push(LineFilter { op, alternatives });
        }
        Ok((!filters.is_empty()).then_some(Stage::LineFilters(filters)))
    }

    fn line_filter_op(&self) -> Option<LineFilterOp> {
        let Token::Word(word) = self.peek() else {
            return None;
        };
        Some(match *word {
            "|=" => LineFilterOp::Contains,
            "!=" => LineFilterOp::NotContains,
            "|~" => LineFilterOp::Regex,
            "!~" => LineFilterOp::NotRegex,
            "|>" => LineFilterOp::Pattern,
            "!>" => LineFilterOp::NotPattern,
            _ => return None,
        })
    }

    fn line_match(&mut self) -> Result<LineMatch, SyntaxError> {
        if *self.peek() == Token::Function("ip") {
            return Ok(LineMatch::Ip(self.ip()?));
        }
        self.string(&["STRING", "ip"]).map(LineMatch::Text)
    }

    fn ip(&mut self) -> Result<String, SyntaxError> {
        self.advance();
        self.expect("(")?;
        let pattern = self.string(&["STRING"])?;
        self.expect(")")?;
        Ok(pattern)
    }

    /// A condition on labels. A comma, or nothing, between two conditions always takes all that follows as its right side, as
    /// Loki's grammar does; `and` binds tighter than `or`.
    pub(super) fn label_filter(&mut self, min_power: u8) -> Result<LabelFilter, SyntaxError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(SyntaxError::new(
                self.source,
                self.span(),
                format!("label filters are nested too deeply, the limit is {DEPTH_MAX}"),
            ));
        }
        let mut left = self.label_condition()?;
        loop {
            let is_and;
            let right = match self.peek() {
                Token::Word(",") => {
                    self.advance();
                    is_and = true;
                    self.label_filter(0)?
                }
                Token::Identifier(_) | Token::Word("(") => {
                    is_and = true;
                    self.label_filter(0)?
                }
                Token::Word("and") if min_power <= AND => {
                    self.advance();
                    is_and = true;
                    self.label_filter(AND + 1)?
                }
                Token::Word("or") if min_power <= OR => {
                    self.advance();
                    is_and = false;
                    self.label_filter(OR + 1)?
                }
                _ => break,
            };
            left = if is_and {
                LabelFilter::And(Box::new(left), Box::new(right))
            } else {
                LabelFilter::Or(Box::new(left), Box::new(right))
            };
        }
        self.depth -= 1;
        Ok(left)
    }

    fn label_condition(&mut self) -> Result<LabelFilter, SyntaxError> {
        if self.eat("(") {
            let inner = self.label_filter(0)?;
            self.expect(")")?;
            return Ok(inner);
        }
        let name = self.identifier(&[])?;
        let Token::Word(word) = *self.peek() else {
            return Err(self.unexpected(&[]));
        };
        let op = match word {
            "=" | "==" => FilterOp::Equal,
            "!=" => FilterOp::NotEqual,
            ">" => FilterOp::Greater,
            ">=" => FilterOp::GreaterOrEqual,
            "<" => FilterOp::Less,
            "<=" => FilterOp::LessOrEqual,
            "=~" | "!~" => {
                let op = if word == "=~" {
                    MatchOp::Regex
                } else {
                    MatchOp::NotRegex
                };
                self.advance();
                let value = self.string(&["STRING"])?;
                return Ok(LabelFilter::Text(self.new_matcher(name, op, value)));
            }
            _ => return Err(self.unexpected(&[])),
        };
        self.advance();
        let takes_text = matches!(word, "=" | "!=");
        match self.peek().clone() {
            Token::String(value) if takes_text => {
                self.advance();
                let op = if word == "=" {
                    MatchOp::Equal
                } else {
                    MatchOp::NotEqual
                };
                Ok(LabelFilter::Text(self.new_matcher(name, op, value)))
            }
            Token::Function("ip") if takes_text => Ok(LabelFilter::Ip {
                name,
                negated: word == "!=",
                pattern: self.ip()?,
            }),
            Token::Duration(nanos) => {
                self.advance();
                Ok(LabelFilter::Duration { name, op, nanos })
            }
            Token::Bytes(bytes) => {
                self.advance();
                Ok(LabelFilter::Bytes { name, op, bytes })
            }
            Token::Number(_) | Token::Word("+" | "-") => {
                let value = self.literal()?;
                Ok(LabelFilter::Number { name, op, value })
            }
            _ => Err(self.unexpected(&[])),
        }
    }
}

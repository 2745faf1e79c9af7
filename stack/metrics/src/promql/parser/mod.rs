//! Source text to tree, with the messages of Prometheus.

mod durations;
mod matching;
mod postfix;
mod selectors;

use gameday_query::{
    BinaryOp, Binding, Grammar, Grouping, ParseError, Pratt, SourceSpan, Token, TokenKind,
    TokenStream, VectorMatching, parse_number,
};
use gameday_signal::Matcher;
use gameday_signal::did_you_mean;

use super::ast::AGGREGATE_OPS;
use super::check::check;
use super::lexer::tokenize;
use super::{
    Aggregate, AggregateOp, Binary, Expr, ExprKind, FUNCTIONS, Function, Modifiers, ValueType,
};

/// What a parser accepts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ParseOptions {
    /// Experimental functions, aggregations, modifiers and duration expressions; Prometheus refuses them without a feature flag.
    pub experimental: bool,
}

/// Reads an expression of stable PromQL and checks its types.
///
/// # Errors
/// The first mistake, with its place and, where one is likely, a hint.
pub fn parse(source: &str) -> Result<Expr, ParseError> {
    parse_with(source, ParseOptions::default())
}

/// Reads an expression and checks its types.
///
/// # Errors
/// The first mistake, with its place and, where one is likely, a hint.
pub fn parse_with(source: &str, options: ParseOptions) -> Result<Expr, ParseError> {
    let mut parser = Parser::new(source, options);
    if parser.stream.peek().kind == TokenKind::End {
        return Err(parser.stream.error("no expression found in input"));
    }
    let mut expr = Pratt::default().expression(&mut parser, 0)?;
    parser.expect_end()?;
    check(source, &mut expr)?;
    Ok(expr)
}

/// Reads a selector such as `up{job="a"}`, as the parameter `match[]` takes it.
///
/// # Errors
/// Where the text is no selector, or one that would match everything.
pub fn parse_selector(source: &str) -> Result<Vec<Matcher>, ParseError> {
    let expr = parse(source)?;
    match expr.kind {
        ExprKind::Vector(selector) if selector.modifiers == Modifiers::default() => {
            Ok(selector.matchers)
        }
        _ => Err(ParseError::new(
            source,
            expr.span,
            "expected a series selector such as up{job=\"api\"}",
        )),
    }
}

pub(super) struct Parser<'a> {
    pub(super) stream: TokenStream<'a>,
    options: ParseOptions,
}

impl<'a> Parser<'a> {
    fn new(source: &'a str, options: ParseOptions) -> Self {
        Self {
            stream: TokenStream::new(source, tokenize(source)),
            options,
        }
    }

    fn expect_end(&self) -> Result<(), ParseError> {
        if self.stream.peek().kind == TokenKind::End {
            Ok(())
        } else {
            Err(self.unexpected("", ""))
        }
    }

    /// `unexpected X in CONTEXT, expected Y`, the words of Prometheus' parser.
    fn unexpected(&self, context: &str, expected: &str) -> ParseError {
        let mut message = format!("unexpected {}", self.describe(self.stream.peek()));
        if !context.is_empty() {
            message.push_str(" in ");
            message.push_str(context);
        }
        if !expected.is_empty() {
            message.push_str(", expected ");
            message.push_str(expected);
        }
        self.stream.error(message)
    }

    fn describe(&self, token: &Token) -> String {
        let text = token.span.text(self.stream.source());
        match &token.kind {
            TokenKind::End => "end of input".to_owned(),
            TokenKind::Invalid(message) => message.clone(),
            TokenKind::Number(_) => format!("number {text:?}"),
            TokenKind::Quantity => format!("duration {text:?}"),
            TokenKind::String(_) => format!("string {text}"),
            TokenKind::Identifier => describe_word(text),
            TokenKind::Operator("(") => "left parenthesis '('".to_owned(),
            TokenKind::Operator(")") => "right parenthesis ')'".to_owned(),
            TokenKind::Operator(operator) => {
                if BinaryOp::from_text(operator).is_some() || *operator == "@" {
                    format!("<op:{operator}>")
                } else {
                    format!("{operator:?}")
                }
            }
        }
    }

    fn source(&self) -> &'a str {
        self.stream.source()
    }

    fn require(&self, enabled: bool, span: SourceSpan, what: &str) -> Result<(), ParseError> {
        if enabled || self.options.experimental {
            return Ok(());
        }
        Err(self
            .stream
            .error_at(span, what)
            .with_hint("this is experimental in Prometheus and refused without its feature flag"))
    }

    fn primary(&mut self, pratt: &mut Pratt) -> Result<Expr, ParseError> {
        let token = self.stream.peek().clone();
        match &token.kind {
            TokenKind::Number(value) => {
                self.stream.advance();
                Ok(number(*value, false, token.span))
            }
            TokenKind::Quantity => {
                let value = self.duration_secs(&token)?;
                self.stream.advance();
                Ok(number(value, true, token.span))
            }
            TokenKind::String(text) => {
                self.stream.advance();
                Ok(Expr {
                    kind: ExprKind::String(text.clone()),
                    span: token.span,
                })
            }
            TokenKind::Operator("(") => self.parenthesised(pratt),
            TokenKind::Operator("{") => self.selector(String::new(), token.span),
            TokenKind::Identifier => self.word(pratt, token.span),
            _ => Err(self.unexpected("", "")),
        }
    }

    fn parenthesised(&mut self, pratt: &mut Pratt) -> Result<Expr, ParseError> {
        let open = self.stream.advance();
        let inner = pratt.expression(self, 0)?;
        let close = self.stream.peek().span;
        if !self.stream.eat(")") {
            return Err(self.unexpected("", ""));
        }
        Ok(Expr {
            kind: ExprKind::Paren(Box::new(inner)),
            span: open.span.to(close),
        })
    }

    /// A number, an aggregation, a call or a selector: what the word is depends on what follows it.
    fn word(&mut self, pratt: &mut Pratt, span: SourceSpan) -> Result<Expr, ParseError> {
        let word = self.stream.peek_text();
        let before_paren = self.stream.peek_at(1).is_operator("(");
        let before_brace = self.stream.peek_at(1).is_operator("{");
        if matches!(word.to_ascii_lowercase().as_str(), "inf" | "nan") && !before_brace {
            self.stream.advance();
            return Ok(number(parse_number(word).unwrap_or(f64::NAN), false, span));
        }
        if let Some(op) = AggregateOp::from_text(word) {
            let next = self.stream.peek_at(1);
            let modifier = next.kind == TokenKind::Identifier
                && is_any(next.span.text(self.source()), &["by", "without"]);
            let modified = modifier && self.stream.peek_at(2).is_operator("(");
            if before_paren || modified {
                return self.aggregation(pratt, op, span);
            }
        }
        if before_paren && !is_reserved_operator(word) {
            return self.call(pratt, span);
        }
        if is_reserved(word) && !before_brace {
            return Err(self.unexpected("", ""));
        }
        self.stream.advance();
        self.selector(word.to_owned(), span)
    }

    fn call(&mut self, pratt: &mut Pratt, name_span: SourceSpan) -> Result<Expr, ParseError> {
        let name = name_span.text(self.source());
        self.stream.advance();
        let (args, close) = self.call_body(pratt)?;
        let Some(function) = Function::find(name) else {
            let candidates = FUNCTIONS
                .iter()
                .map(|function| function.name)
                .chain(AGGREGATE_OPS.iter().map(|(_, name)| *name));
            return Err(self
                .stream
                .error_at(name_span, format!("unknown function with name {name:?}"))
                .with_hint_option(did_you_mean(name, candidates)));
        };
        self.require(
            !function.experimental,
            name_span,
            &format!("function {name:?} is not enabled"),
        )?;
        Ok(Expr {
            kind: ExprKind::Call { function, args },
            span: name_span.to(close),
        })
    }

    fn call_body(&mut self, pratt: &mut Pratt) -> Result<(Vec<Expr>, SourceSpan), ParseError> {
        if !self.stream.eat("(") {
            return Err(self.unexpected("", ""));
        }
        let mut args = Vec::new();
        while !self.stream.peek().is_operator(")") {
            args.push(pratt.expression(self, 0)?);
            let comma = self.stream.peek().span;
            if !self.stream.eat(",") {
                break;
            }
            if self.stream.peek().is_operator(")") {
                return Err(self
                    .stream
                    .error_at(comma, "trailing commas not allowed in function call args"));
            }
        }
        let close = self.stream.peek().span;
        if self.stream.eat(")") {
            Ok((args, close))
        } else {
            Err(self.unexpected("", ""))
        }
    }

    fn aggregation(
        &mut self,
        pratt: &mut Pratt,
        op: AggregateOp,
        op_span: SourceSpan,
    ) -> Result<Expr, ParseError> {
        self.stream.advance();
        let before = self.grouping_modifier()?;
        let (mut args, close) = self.call_body(pratt)?;
        let after = if before.is_none() {
            self.grouping_modifier()?
        } else {
            None
        };
        let span = op_span.to(if after.is_some() {
            SourceSpan::at(self.stream.last_end())
        } else {
            close
        });
        if args.is_empty() {
            return Err(self
                .stream
                .error_at(span, "no arguments for aggregate expression provided"));
        }
        self.require(
            !op.is_experimental(),
            span,
            &format!(
                "{}() is experimental and must be enabled with --enable-feature=promql-experimental-functions",
                op.as_str()
            ),
        )?;
        let wanted = if op.has_parameter() { 2 } else { 1 };
        if args.len() != wanted {
            return Err(self.stream.error_at(
                span,
                format!(
                    "wrong number of arguments for aggregate expression provided, expected {wanted}, got {}",
                    args.len()
                ),
            ));
        }
        let expr = args.remove(wanted - 1);
        Ok(Expr {
            kind: ExprKind::Aggregate(Box::new(Aggregate {
                op,
                param: args.pop(),
                expr,
                grouping: before.or(after).unwrap_or_default(),
            })),
            span,
        })
    }

    fn grouping_modifier(&mut self) -> Result<Option<Grouping>, ParseError> {
        let without = if self.stream.eat_word("by") {
            false
        } else if self.stream.eat_word("without") {
            true
        } else {
            return Ok(None);
        };
        let labels = self.grouping_labels()?;
        Ok(Some(Grouping { without, labels }))
    }

    fn grouping_labels(&mut self) -> Result<Vec<String>, ParseError> {
        if !self.stream.eat("(") {
            return Err(self.unexpected("grouping opts", "\"(\""));
        }
        let mut labels = Vec::new();
        while !self.stream.peek().is_operator(")") {
            let token = self.stream.peek().clone();
            match token.kind {
                TokenKind::Identifier => {
                    let label = token.span.text(self.source());
                    if label.contains(':') {
                        let message = format!("invalid label name for grouping: {label:?}");
                        return Err(self.stream.error_at(token.span, message));
                    }
                    labels.push(label.to_owned());
                }
                TokenKind::String(label) if !label.is_empty() => labels.push(label),
                _ => return Err(self.unexpected("grouping opts", "label")),
            }
            self.stream.advance();
            if self.stream.peek().is_operator(")") {
                break;
            }
            if !self.stream.eat(",") {
                return Err(self.unexpected("grouping opts", "\",\" or \")\""));
            }
        }
        self.stream.advance();
        Ok(labels)
    }
}

impl Grammar for Parser<'_> {
    type Node = Expr;
    type Infix = (BinaryOp, bool, VectorMatching, SourceSpan);

    fn operand(&mut self, pratt: &mut Pratt) -> Result<Expr, ParseError> {
        let sign = self.stream.peek().clone();
        let negative = sign.is_operator("-");
        if negative || sign.is_operator("+") {
            self.stream.advance();
            let operand = pratt.expression(self, BinaryOp::UNARY_POWER)?;
            let span = sign.span.to(operand.span);
            let kind = match operand.kind {
                ExprKind::Number { value, duration } => ExprKind::Number {
                    value: if negative { -value } else { value },
                    duration,
                },
                kind => ExprKind::Unary {
                    negative,
                    operand: Box::new(Expr {
                        kind,
                        span: operand.span,
                    }),
                },
            };
            return Ok(Expr { kind, span });
        }
        let expr = self.primary(pratt)?;
        self.postfix(expr)
    }

    fn peek_infix(&self) -> Option<Binding> {
        infix_op(&self.stream).map(BinaryOp::binding)
    }

    fn take_infix(&mut self) -> Result<Self::Infix, ParseError> {
        let op = infix_op(&self.stream).unwrap_or(BinaryOp::Or);
        let token = self.stream.advance();
        let (return_bool, matching) = self.binary_modifiers()?;
        let span = token.span.to(SourceSpan::at(self.stream.last_end()));
        Ok((op, return_bool, matching, span))
    }

    fn combine(
        &mut self,
        left: Expr,
        (op, return_bool, matching, op_span): Self::Infix,
        right: Expr,
    ) -> Result<Expr, ParseError> {
        let span = left.span.to(right.span);
        Ok(Expr {
            kind: ExprKind::Binary(Box::new(Binary {
                op,
                return_bool,
                matching: Some(matching),
                left,
                right,
                op_span,
            })),
            span,
        })
    }

    fn source(&self) -> &str {
        self.stream.source()
    }

    fn position(&self) -> SourceSpan {
        self.stream.peek().span
    }
}

fn infix_op(stream: &TokenStream<'_>) -> Option<BinaryOp> {
    match stream.peek().kind {
        TokenKind::Operator(operator) => BinaryOp::from_text(operator),
        TokenKind::Identifier => BinaryOp::from_text(stream.peek_text()),
        _ => None,
    }
}

fn number(value: f64, duration: bool, span: SourceSpan) -> Expr {
    Expr {
        kind: ExprKind::Number { value, duration },
        span,
    }
}

fn is_any(word: &str, words: &[&str]) -> bool {
    words.iter().any(|own| own.eq_ignore_ascii_case(word))
}

/// Words that are operators where a function name could stand.
fn is_reserved_operator(word: &str) -> bool {
    is_any(
        word,
        &[
            "and",
            "or",
            "unless",
            "atan2",
            "by",
            "without",
            "on",
            "ignoring",
            "offset",
            "bool",
            "group_left",
            "group_right",
        ],
    )
}

/// Words that Prometheus' grammar does not take as a metric name.
fn is_reserved(word: &str) -> bool {
    is_any(
        word,
        &[
            "on",
            "ignoring",
            "group_left",
            "group_right",
            "bool",
            "atan2",
        ],
    )
}

/// Keywords with angle brackets, aggregations and operators with their kind, all others as identifiers.
fn describe_word(word: &str) -> String {
    let lower = word.to_ascii_lowercase();
    if AggregateOp::from_text(&lower).is_some() {
        format!("<aggr:{lower}>")
    } else if BinaryOp::from_text(&lower).is_some() {
        format!("<op:{lower}>")
    } else if is_any(
        &lower,
        &[
            "by",
            "without",
            "on",
            "ignoring",
            "group_left",
            "group_right",
            "bool",
            "offset",
        ],
    ) {
        format!("<{lower}>")
    } else if word.contains(':') {
        format!("metric identifier {word:?}")
    } else {
        format!("identifier {word:?}")
    }
}

/// The names of all types, for messages.
pub(super) fn expected_type(want: ValueType, context: &str, got: ValueType) -> String {
    format!(
        "expected type {} in {context}, got {}",
        want.documented(),
        got.documented()
    )
}

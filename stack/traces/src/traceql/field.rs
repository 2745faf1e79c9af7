//! Reads expressions over one span: what stands in braces, in `by()` and in aggregates.

use gameday_query::{Binding, Grammar, ParseError, Pratt, SourceSpan, TokenKind, TokenStream};
use gameday_signal::did_you_mean;
use gameday_signal::{SpanKind, SpanStatus, parse_duration};

use super::ast::{
    AggregateFunction, Attribute, Field, Intrinsic, MetricsFunction, Op, Scope, Static, UnaryOp,
};
use super::lexer::unquote_name;

/// An expression, or the `nil` that only `=` and `!=` take.
pub(crate) enum Node {
    Field(Field, SourceSpan),
    Nil(SourceSpan),
}

/// The grammar of fields over a stream of tokens.
pub(crate) struct FieldGrammar<'s, 'a>(pub(crate) &'s mut TokenStream<'a>);

/// Level of `+`: the operand of a sign or a `!` is what binds tighter, so that `-a * b` is `-(a * b)` as in Tempo's grammar.
const ADDITIVE: u8 = 3;

/// How tightly an operator binds; `&&` and `||` bind alike.
pub(crate) fn binding(op: Op) -> Binding {
    match op {
        Op::And | Op::Or => Binding::left_associative(1),
        Op::Add | Op::Sub => Binding::left_associative(ADDITIVE),
        Op::Mul | Op::Div | Op::Mod => Binding::left_associative(4),
        Op::Pow => Binding::right_associative(5),
        _ => Binding::left_associative(2),
    }
}

/// Reads a whole field expression.
pub(crate) fn read_field(tokens: &mut TokenStream<'_>) -> Result<Field, ParseError> {
    match Pratt::default().expression(&mut FieldGrammar(tokens), 0)? {
        Node::Field(field, _) => Ok(field),
        Node::Nil(span) => Err(nil_alone(tokens, span)),
    }
}

/// Reads an attribute or intrinsic, and nothing else.
pub(crate) fn read_attribute(tokens: &mut TokenStream<'_>) -> Result<Attribute, ParseError> {
    let span = tokens.peek().span;
    let attribute = match tokens.peek().kind {
        TokenKind::Identifier => attribute_of(tokens, tokens.peek_text(), span)?,
        _ => None,
    };
    let Some(attribute) = attribute else {
        return Err(unexpected(tokens).with_hint(
            "expected an attribute such as span.http.route or an intrinsic such as name",
        ));
    };
    tokens.advance();
    Ok(attribute)
}

/// Tempo's message for a token that cannot stand where it stands.
pub(crate) fn unexpected(tokens: &TokenStream<'_>) -> ParseError {
    let what = match &tokens.peek().kind {
        TokenKind::Identifier => match tokens.peek_text() {
            text if text.contains(['.', ':']) => format!("unexpected attribute {text}"),
            text if is_keyword(text) => format!("unexpected {text}"),
            text => format!("unexpected IDENTIFIER {text}"),
        },
        TokenKind::Number(_) => format!("unexpected number {}", tokens.peek_text()),
        TokenKind::Quantity => format!("unexpected DURATION {}", tokens.peek_text()),
        TokenKind::String(_) => "unexpected STRING".to_owned(),
        TokenKind::Operator(operator) => format!("unexpected {operator}"),
        TokenKind::Invalid(_) => String::new(),
        TokenKind::End => "unexpected $end".to_owned(),
    };
    tokens.error(format!("syntax error: {what}"))
}

fn is_keyword(text: &str) -> bool {
    const WORDS: [&str; 8] = [
        "by", "coalesce", "select", "with", "topk", "bottomk", "true", "false",
    ];
    WORDS.contains(&text)
        || AggregateFunction::ALL.iter().any(|(name, _)| *name == text)
        || MetricsFunction::NAMES.contains(&text)
        || Intrinsic::PLAIN.iter().any(|(name, _)| *name == text)
}

/// A constant as a token, if it is one.
pub(crate) fn read_static(tokens: &mut TokenStream<'_>) -> Result<Option<Static>, ParseError> {
    let constant = match &tokens.peek().kind {
        TokenKind::String(text) => Static::String(text.clone()),
        TokenKind::Number(_) | TokenKind::Quantity => return read_number(tokens).map(Some),
        TokenKind::Identifier => match tokens.peek_text() {
            "true" => Static::Bool(true),
            "false" => Static::Bool(false),
            "ok" => Static::Status(SpanStatus::Ok),
            "error" => Static::Status(SpanStatus::Error),
            "unset" => Static::Status(SpanStatus::Unset),
            "unspecified" => Static::Kind(SpanKind::Unspecified),
            "internal" => Static::Kind(SpanKind::Internal),
            "server" => Static::Kind(SpanKind::Server),
            "client" => Static::Kind(SpanKind::Client),
            "producer" => Static::Kind(SpanKind::Producer),
            "consumer" => Static::Kind(SpanKind::Consumer),
            "minInt" => Static::Int(i64::MIN),
            "maxInt" => Static::Int(i64::MAX),
            _ => return Ok(None),
        },
        _ => return Ok(None),
    };
    tokens.advance();
    Ok(Some(constant))
}

/// A number or a duration.
pub(crate) fn read_number(tokens: &mut TokenStream<'_>) -> Result<Static, ParseError> {
    let text = tokens.peek_text();
    let constant = match tokens.peek().kind {
        TokenKind::Number(number) => {
            let hexadecimal = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
            if let Some(digits) = hexadecimal {
                i64::from_str_radix(digits, 16).map(Static::Int).ok()
            } else if text.contains(['.', 'e', 'E']) {
                Some(Static::Float(number))
            } else {
                text.parse().map(Static::Int).ok()
            }
        }
        TokenKind::Quantity => duration_nanos(text).map(Static::Duration),
        _ => return Err(unexpected(tokens)),
    };
    let Some(constant) = constant else {
        let error = tokens.error(format!(
            "syntax error: {text} is no number or duration, or does not fit 64 bits"
        ));
        return Err(error.with_hint("durations are written as 250ms, 1.5s, 1h30m or 7d"));
    };
    tokens.advance();
    Ok(constant)
}

/// A duration in Go's form, or in Prometheus', which knows days, weeks and years.
fn duration_nanos(text: &str) -> Option<i64> {
    gameday_query::parse_go_duration(text).or_else(|| {
        parse_duration(text)
            .ok()
            .and_then(|duration| i64::try_from(duration.as_nanos()).ok())
    })
}

fn nil_alone(tokens: &TokenStream<'_>, span: SourceSpan) -> ParseError {
    tokens
        .error_at(span, "syntax error: unexpected NIL")
        .with_hint("nil can only be compared: .a = nil, .a != nil")
}

/// The attribute or intrinsic that `text` names; `None` where it has no scope and is no intrinsic.
fn attribute_of(
    tokens: &TokenStream<'_>,
    text: &str,
    span: SourceSpan,
) -> Result<Option<Attribute>, ParseError> {
    let find = |names: &[(&str, Intrinsic)]| {
        names
            .iter()
            .find(|(own, _)| *own == text)
            .map(|(_, found)| *found)
    };
    if let Some(intrinsic) = find(&Intrinsic::PLAIN).or_else(|| find(&Intrinsic::SCOPED)) {
        return Ok(Some(Attribute::Intrinsic(intrinsic)));
    }
    if !text.contains(['.', ':']) {
        return Ok(None);
    }
    let scopes = [
        ("parent.span.", Scope::Span, true),
        ("parent.resource.", Scope::Resource, true),
        ("parent.", Scope::None, true),
        ("span.", Scope::Span, false),
        ("resource.", Scope::Resource, false),
        ("event.", Scope::Event, false),
        ("link.", Scope::Link, false),
        ("instrumentation.", Scope::Instrumentation, false),
        (".", Scope::None, false),
    ];
    for (prefix, scope, parent) in scopes {
        if let Some(name) = text.strip_prefix(prefix) {
            let name = unquote_name(name).ok_or_else(|| {
                tokens.error_at(
                    span,
                    "syntax error: the quote in this attribute name is not closed",
                )
            })?;
            if name.is_empty() {
                return Err(
                    tokens.error_at(span, "syntax error: an attribute name cannot be empty")
                );
            }
            return Ok(Some(Attribute::Named {
                scope,
                parent,
                name,
            }));
        }
    }
    let known = Intrinsic::SCOPED.iter().map(|(name, _)| *name);
    Err(tokens
        .error_at(span, format!("syntax error: unknown intrinsic {text}"))
        .with_hint_option(did_you_mean(text, known)))
}

impl Grammar for FieldGrammar<'_, '_> {
    type Node = Node;
    type Infix = Op;

    fn operand(&mut self, pratt: &mut Pratt) -> Result<Node, ParseError> {
        let start = self.0.peek().span;
        for (sign, op) in [("-", UnaryOp::Minus), ("!", UnaryOp::Not)] {
            if self.0.eat(sign) {
                return match pratt.expression(self, Binding::prefix(ADDITIVE))? {
                    Node::Field(field, end) => {
                        let span = start.to(end);
                        Ok(Node::Field(
                            Field::Unary {
                                op,
                                field: Box::new(field),
                                span,
                            },
                            span,
                        ))
                    }
                    Node::Nil(span) => Err(nil_alone(self.0, span)),
                };
            }
        }
        if self.0.eat("(") {
            let inner = pratt.expression(self, 0)?;
            if !self.0.eat(")") {
                return Err(unexpected(self.0).with_hint("expected an operator or )"));
            }
            return Ok(inner);
        }
        if self.0.peek().kind == TokenKind::Identifier && self.0.peek_text() == "nil" {
            self.0.advance();
            return Ok(Node::Nil(start));
        }
        if let Some(constant) = read_static(self.0)? {
            return Ok(Node::Field(Field::Static(constant), start));
        }
        if self.0.peek().kind != TokenKind::Identifier {
            return Err(unexpected(self.0));
        }
        let text = self.0.peek_text();
        match attribute_of(self.0, text, start)? {
            Some(attribute) => {
                self.0.advance();
                Ok(Node::Field(Field::Attribute(attribute, start), start))
            }
            None => {
                let names = Intrinsic::PLAIN.iter().map(|(name, _)| *name);
                let hint = did_you_mean(text, names).unwrap_or_else(|| {
                    format!("an attribute has a scope: span.{text}, resource.{text} or .{text}")
                });
                Err(self
                    .0
                    .error(format!("unknown identifier: {text}"))
                    .with_hint(hint))
            }
        }
    }

    fn peek_infix(&self) -> Option<Binding> {
        Op::from_text(self.0.peek().operator()?).map(binding)
    }

    fn take_infix(&mut self) -> Result<Op, ParseError> {
        let op = self.0.peek().operator().and_then(Op::from_text);
        let op = op.ok_or_else(|| unexpected(self.0))?;
        self.0.advance();
        if self.0.peek().is_operator("=") {
            return Err(unexpected(self.0).with_hint("equality is written with one ="));
        }
        Ok(op)
    }

    fn combine(&mut self, left: Node, op: Op, right: Node) -> Result<Node, ParseError> {
        let nil = |span| nil_alone(self.0, span);
        match (left, op, right) {
            (Node::Field(left, start), _, Node::Field(right, end)) => {
                let span = start.to(end);
                Ok(Node::Field(
                    Field::Binary {
                        op,
                        left: Box::new(left),
                        right: Box::new(right),
                        span,
                    },
                    span,
                ))
            }
            (Node::Field(field, start), Op::Equal | Op::NotEqual, Node::Nil(end))
            | (Node::Nil(start), Op::Equal | Op::NotEqual, Node::Field(field, end)) => {
                let span = start.to(end);
                Ok(Node::Field(
                    Field::Exists {
                        field: Box::new(field),
                        yes: op == Op::NotEqual,
                        span,
                    },
                    span,
                ))
            }
            // Both are false in Tempo.
            (Node::Nil(start), Op::Equal | Op::NotEqual, Node::Nil(end)) => Ok(Node::Field(
                Field::Static(Static::Bool(false)),
                start.to(end),
            )),
            (Node::Nil(span), ..) | (_, _, Node::Nil(span)) => Err(nil(span)),
        }
    }

    fn source(&self) -> &str {
        self.0.source()
    }

    fn position(&self) -> SourceSpan {
        self.0.peek().span
    }
}

//! Queries that editors and old clients send: unfinished ones, and lists of tags.

use std::time::Duration;

use gameday_query::{SourceSpan, TokenKind, TokenStream};

use super::ast::{
    Attribute, Body, Field, Intrinsic, Metrics, Op, Pipeline, Scope, Spansets, Stage, Static,
};
use super::field::{read_attribute, read_static};
use super::lexer::tokenize;
use super::{QueryError, TraceQuery};

impl TraceQuery {
    /// Reads a query that is being typed, such as `{ span.a = "x" && resource.cluster = }`: a comparison that is not finished is taken
    /// to be true. What stays unreadable is taken apart into the finished comparisons in it, all together. Names and values of
    /// attributes are completed with the filter of the first stage alone; a query without one means all spans.
    pub fn parse_lenient(source: &str) -> Self {
        let found = Self::parse(source).or_else(|_| Self::parse(&repair(source)));
        if let Ok(query) = found {
            return query.first_filter();
        }
        let mut tokens = TokenStream::new(source, tokenize(source));
        let mut conditions = Vec::new();
        while tokens.peek().kind != TokenKind::End && conditions.len() < MAX_CONDITIONS {
            if tokens.peek().is_operator("||") {
                // What holds on one side of an `or` alone need not hold for the whole.
                return Self::of_conditions(Vec::new());
            }
            match read_condition(&mut tokens) {
                Some(condition) => conditions.push(condition),
                None => {
                    tokens.advance();
                }
            }
        }
        Self::of_conditions(conditions)
    }

    /// The filter of the first stage as a query of its own.
    fn first_filter(self) -> Self {
        let pipeline = match self.body {
            Body::Search(pipeline) | Body::Metrics(Metrics::Query { pipeline, .. }) => pipeline,
            Body::Metrics(_) | Body::ScalarPipelines(_) => Pipeline::default(),
        };
        match pipeline.0.into_iter().next() {
            Some(Stage::Spansets(Spansets::Filter(field))) => Self::of_conditions(vec![*field]),
            _ => Self::of_conditions(Vec::new()),
        }
    }

    /// The query that a search by tags means: `tags` is logfmt (`service.name=checkout http.status_code=500 error=true`), each of
    /// which a span or its resource must have. The durations are those of whole traces.
    ///
    /// # Errors
    /// Where the tags are no logfmt.
    pub fn from_tags(
        tags: &str,
        min_duration: Option<Duration>,
        max_duration: Option<Duration>,
    ) -> Result<Self, QueryError> {
        let mut conditions = Vec::new();
        for (key, value, span) in read_logfmt(tags)? {
            conditions.push(tag_condition(&key, value, span));
        }
        let duration = |op, limit: Duration| Field::Binary {
            op,
            left: Box::new(Field::Attribute(
                Attribute::Intrinsic(Intrinsic::TraceDuration),
                SourceSpan::default(),
            )),
            right: Box::new(Field::Static(Static::Duration(
                i64::try_from(limit.as_nanos()).unwrap_or(i64::MAX),
            ))),
            span: SourceSpan::default(),
        };
        conditions.extend(min_duration.map(|limit| duration(Op::GreaterEqual, limit)));
        conditions.extend(max_duration.map(|limit| duration(Op::LessEqual, limit)));
        Ok(Self::of_conditions(conditions))
    }

    fn of_conditions(conditions: Vec<Field>) -> Self {
        let all = conditions
            .into_iter()
            .reduce(|left, right| Field::Binary {
                op: Op::And,
                left: Box::new(left),
                right: Box::new(right),
                span: SourceSpan::default(),
            })
            .unwrap_or(Field::Static(Static::Bool(true)));
        let pipeline = Pipeline(vec![Stage::Spansets(Spansets::Filter(Box::new(all)))]);
        Self {
            body: Body::Search(pipeline),
            hints: Vec::new(),
        }
    }
}

/// Conditions of one query; what evaluates them recurses.
const MAX_CONDITIONS: usize = 100;

/// The source with `true` where an operand is missing and with the brackets that are not closed.
fn repair(source: &str) -> String {
    let tokens = tokenize(source);
    let ends_operand = |index: usize| {
        tokens.get(index).is_none_or(|token| {
            matches!(token.kind, TokenKind::End)
                || matches!(token.operator(), Some("&&" | "||" | ")" | "}" | "|"))
        })
    };
    let mut repaired = String::with_capacity(source.len() + 8);
    let mut open: Vec<&str> = Vec::new();
    let mut index = 0;
    while let Some(token) = tokens.get(index) {
        let text = token.span.text(source);
        let next = tokens
            .get(index + 1)
            .and_then(|next| next.operator())
            .and_then(Op::from_text);
        let compares =
            next.is_some_and(|op| op.is_comparison() || matches!(op, Op::Regex | Op::NotRegex));
        repaired.push(' ');
        if token.kind == TokenKind::Identifier && compares && ends_operand(index + 2) {
            repaired.push_str("true");
            index += 2;
            continue;
        }
        match token.operator() {
            Some("{") => open.push("}"),
            Some("(") => open.push(")"),
            Some("}" | ")") => {
                open.pop();
            }
            _ => {}
        }
        repaired.push_str(text);
        if matches!(token.operator(), Some("&&" | "||"))
            && ends_operand(index + 1)
            && !open.is_empty()
        {
            repaired.push_str(" true");
        }
        index += 1;
    }
    for bracket in open.into_iter().rev() {
        repaired.push_str(bracket);
    }
    repaired
}

/// `attribute op constant`, if it stands here and its types fit.
fn read_condition(tokens: &mut TokenStream<'_>) -> Option<Field> {
    let mut ahead = tokens.clone();
    let start = ahead.peek().span;
    let attribute = read_attribute(&mut ahead).ok()?;
    let op = Op::from_text(ahead.peek().operator()?)?;
    if op.is_arithmetic() || matches!(op, Op::And | Op::Or) {
        return None;
    }
    ahead.advance();
    let constant = read_static(&mut ahead).ok()??;
    // A constant behind which arithmetic goes on is no whole operand.
    if ahead
        .peek()
        .operator()
        .and_then(Op::from_text)
        .is_some_and(Op::is_arithmetic)
    {
        return None;
    }
    let span = SourceSpan::new(start.start, ahead.last_end());
    let condition = Field::Binary {
        op,
        left: Box::new(Field::Attribute(attribute, start)),
        right: Box::new(Field::Static(constant)),
        span,
    };
    let alone = Pipeline(vec![Stage::Spansets(Spansets::Filter(Box::new(
        condition.clone(),
    )))]);
    super::validate::validate(&Body::Search(alone)).ok()?;
    *tokens = ahead;
    Some(condition)
}

fn tag_condition(key: &str, value: String, span: SourceSpan) -> Field {
    let binary = |op, left: Field, right: Static| Field::Binary {
        op,
        left: Box::new(left),
        right: Box::new(Field::Static(right)),
        span,
    };
    let intrinsic = |intrinsic| Field::Attribute(Attribute::Intrinsic(intrinsic), span);
    match (key, value.as_str()) {
        ("name", _) => return binary(Op::Equal, intrinsic(Intrinsic::Name), Static::String(value)),
        ("root.name", _) => {
            return binary(
                Op::Equal,
                intrinsic(Intrinsic::RootName),
                Static::String(value),
            );
        }
        ("root.service.name", _) => {
            return binary(
                Op::Equal,
                intrinsic(Intrinsic::RootServiceName),
                Static::String(value),
            );
        }
        ("error", "true") | ("status.code" | "status", "error") => {
            return binary(
                Op::Equal,
                intrinsic(Intrinsic::Status),
                Static::Status(gameday_signal::SpanStatus::Error),
            );
        }
        _ => {}
    }
    let attribute = Field::Attribute(
        Attribute::Named {
            scope: Scope::None,
            parent: false,
            name: key.to_owned(),
        },
        span,
    );
    // A tag is text, the attribute may be a number or a truth value.
    let typed = if let Ok(number) = value.parse::<i64>() {
        Some(Static::Int(number))
    } else if let Ok(truth) = value.parse::<bool>() {
        Some(Static::Bool(truth))
    } else {
        value
            .parse::<f64>()
            .ok()
            .filter(|number| number.is_finite())
            .map(Static::Float)
    };
    let as_text = binary(Op::Equal, attribute.clone(), Static::String(value));
    match typed {
        Some(typed) => Field::Binary {
            op: Op::Or,
            left: Box::new(as_text),
            right: Box::new(binary(Op::Equal, attribute, typed)),
            span,
        },
        None => as_text,
    }
}

/// Pairs of logfmt with their places.
fn read_logfmt(text: &str) -> Result<Vec<(String, String, SourceSpan)>, QueryError> {
    let mut pairs = Vec::new();
    let mut offset = 0;
    loop {
        offset += text[offset..].len() - text[offset..].trim_start().len();
        let rest = &text[offset..];
        if rest.is_empty() {
            return Ok(pairs);
        }
        let error = |at: usize, message: &str| {
            let message = format!("invalid tags: {message}");
            let hint = "tags are written as service.name=checkout http.status_code=500";
            QueryError::Syntax(
                gameday_query::ParseError::new(text, SourceSpan::new(at, text.len()), message)
                    .with_hint(hint),
            )
        };
        if pairs.len() >= MAX_CONDITIONS {
            return Err(error(offset, "too many of them"));
        }
        let key_length = rest
            .find(|c: char| c == '=' || c.is_whitespace())
            .unwrap_or(rest.len());
        if key_length == 0
            || rest[key_length..].starts_with(|c: char| c != '=')
            || key_length == rest.len()
        {
            return Err(error(offset, "expected key=value"));
        }
        let value_start = offset + key_length + 1;
        let value_text = &text[value_start..];
        let (length, value) = if value_text.starts_with('"') {
            gameday_query::read_string(value_text)
                .map_err(|found| error(value_start, &found.message))?
        } else {
            let length = value_text
                .find(char::is_whitespace)
                .unwrap_or(value_text.len());
            (length, value_text[..length].to_owned())
        };
        let span = SourceSpan::new(offset, value_start + length);
        pairs.push((rest[..key_length].to_owned(), value, span));
        offset = value_start + length;
    }
}

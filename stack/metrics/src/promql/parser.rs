//! Source text to tree, with the messages of Prometheus.

use gameday_query::{
    BinaryOp, Binding, Cardinality, Grammar, Grouping, ParseError, Pratt, SourceSpan, Token,
    TokenKind, TokenStream, VectorMatching, did_you_mean, parse_number,
};
use gameday_signal::{MatchOp, Matcher};

use super::ast::AGGREGATE_OPS;
use super::check::check;
use super::lexer::tokenize;
use super::{
    Aggregate, AggregateOp, AtModifier, Binary, DurationExpr, DurationValue, Expr, ExprKind,
    FUNCTIONS, Function, Modifiers, Subquery, ValueType, VectorSelector,
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

    // Primary expressions.

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

    // Selectors.

    fn selector(&mut self, name: String, start: SourceSpan) -> Result<Expr, ParseError> {
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
                ..VectorSelector::default()
            })),
            span,
        })
    }

    fn matchers(&mut self) -> Result<Vec<Matcher>, ParseError> {
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

    fn matcher(&mut self) -> Result<Matcher, ParseError> {
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

    // What follows a primary expression.

    fn postfix(&mut self, mut expr: Expr) -> Result<Expr, ParseError> {
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

    fn range(&mut self, expr: Expr) -> Result<Expr, ParseError> {
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

    fn subquery(&mut self, expr: Expr, range: DurationValue) -> Result<Expr, ParseError> {
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

    fn offset(&mut self, mut expr: Expr) -> Result<Expr, ParseError> {
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

    fn at(&mut self, mut expr: Expr) -> Result<Expr, ParseError> {
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

    fn at_value(&mut self) -> Result<AtModifier, ParseError> {
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

    fn extended(&mut self, mut expr: Expr) -> Result<Expr, ParseError> {
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

    // Durations.

    fn duration_secs(&self, token: &Token) -> Result<f64, ParseError> {
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

    fn positive_duration(&mut self, context: &str) -> Result<DurationValue, ParseError> {
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
    fn offset_duration(&mut self) -> Result<DurationValue, ParseError> {
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

    fn duration_value(
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

    fn duration_expression(
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

    fn check_depth(&self, depth: usize) -> Result<(), ParseError> {
        // Duration arithmetic of more than a few terms is nonsense; the limit keeps recursion shallow.
        if depth < 32 {
            Ok(())
        } else {
            Err(self
                .stream
                .error("duration expression is nested too deeply, the limit is 32 levels"))
        }
    }

    fn duration_operator(&self) -> Option<(BinaryOp, u8, u8)> {
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

    fn duration_operand(
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

    fn duration_call(
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

    fn expect(&mut self, text: &str, context: &str, expected: &str) -> Result<(), ParseError> {
        if self.stream.eat(text) {
            Ok(())
        } else {
            Err(self.unexpected(context, expected))
        }
    }

    fn in_range(&self, secs: f64, span: SourceSpan) -> Result<(), ParseError> {
        // The bounds of an int64 of nanoseconds, which Prometheus keeps durations in.
        if secs.abs() < 9_223_372_036.854_776 {
            Ok(())
        } else {
            Err(self.stream.error_at(span, "duration out of range"))
        }
    }

    // What follows a binary operator.

    fn binary_modifiers(&mut self) -> Result<(bool, VectorMatching), ParseError> {
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

    fn fill_modifiers(&mut self, matching: &mut VectorMatching) -> Result<(), ParseError> {
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

    fn fill_value(&mut self) -> Result<f64, ParseError> {
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

fn modifiers_of(expr: &mut Expr) -> Option<&mut Modifiers> {
    match &mut expr.kind {
        ExprKind::Vector(selector) | ExprKind::Matrix { selector, .. } => {
            Some(&mut selector.modifiers)
        }
        ExprKind::Subquery(subquery) => Some(&mut subquery.modifiers),
        _ => None,
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

//! Tokens to a tree.

use std::time::Duration;

use gameday_query::{
    BinaryOp, Binding, Cardinality, Grammar, Grouping, ParseError as SyntaxError, Pratt,
    SourceSpan, VectorMatching,
};
use gameday_signal::{MatchOp, Matcher};

use super::ast::{
    Conversion, Expr, Extraction, LabelFormat, LogExpr, LogRange, MetricExpr, NameOrMatcher,
    RANGE_OPS, Stage, Unwrap, VECTOR_OPS,
};
use super::error::ParseError;
use super::lex::{Spanned, Token, error_at, meaning_error, tokenize};
use super::validate;

/// Loki's `maxInputSize`.
const INPUT_BYTES_MAX: usize = 131_072;

/// Reads a query.
///
/// # Errors
/// What is wrong with it, in Loki's words and at Loki's place.
pub fn parse_expr(source: &str) -> Result<Expr, ParseError> {
    if source.len() >= INPUT_BYTES_MAX {
        let message = format!("input size too long ({} > {INPUT_BYTES_MAX})", source.len());
        return Err(meaning_error(source, SourceSpan::default(), message).into());
    }
    let (tokens, fault) = tokenize(source);
    let mut parser = Parser {
        source,
        tokens,
        at: 0,
        fault,
        meaning: None,
        depth: 0,
    };
    let expr = parser.root().map_err(|error| parser.first_fault(error))?;
    if let Some(error) = parser.meaning.take() {
        return Err(error.into());
    }
    validate::expr(source, &expr)?;
    Ok(expr)
}

/// Reads a query that must be a stream selector with or without stages, as `/series` and `/tail` take it.
///
/// # Errors
/// What is wrong with it, or that it is a metric query.
pub fn parse_selector(source: &str) -> Result<LogExpr, ParseError> {
    match parse_expr(source)? {
        Expr::Log(logs) => Ok(logs),
        Expr::Metric(_) => {
            let span = SourceSpan::new(0, source.len());
            Err(meaning_error(source, span, "only log selector is supported".to_owned()).into())
        }
    }
}

type Parsed<T> = Result<T, SyntaxError>;

pub(super) struct Parser<'a> {
    pub(super) source: &'a str,
    tokens: Vec<Spanned>,
    at: usize,
    /// Why the tokens end early.
    fault: Option<SyntaxError>,
    /// The first mistake of meaning; a syntax error anywhere comes before it.
    meaning: Option<SyntaxError>,
    /// How deep label filters are nested.
    pub(super) depth: usize,
}

/// `bool`, `on` and the like of a binary operator.
pub(super) struct Infix {
    op: BinaryOp,
    return_bool: bool,
    matching: VectorMatching,
    span: SourceSpan,
}

impl Parser<'_> {
    fn root(&mut self) -> Parsed<Expr> {
        let expr = Pratt::default().expression(self, 0)?;
        if *self.peek() != Token::End {
            return Err(self.unexpected(&[]));
        }
        // What follows a whole expression and is no token is a mistake too.
        self.fault.take().map_or(Ok(expr), Err)
    }

    /// Where the tokens end because of a fault, the fault is the better message.
    fn first_fault(&mut self, error: SyntaxError) -> SyntaxError {
        if self.at + 1 >= self.tokens.len() {
            self.fault.take().unwrap_or(error)
        } else {
            error
        }
    }

    pub(super) fn peek(&self) -> &Token {
        &self.tokens[self.at].token
    }

    fn peek_second(&self) -> &Token {
        &self.tokens[(self.at + 1).min(self.tokens.len() - 1)].token
    }

    pub(super) fn span(&self) -> SourceSpan {
        self.tokens[self.at].span
    }

    pub(super) fn advance(&mut self) -> Token {
        let token = self.tokens[self.at].token.clone();
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        token
    }

    /// Loki's message about the token here; what it expects is only said where there are at most four possibilities.
    pub(super) fn unexpected(&self, expected: &[&str]) -> SyntaxError {
        let mut message = format!("syntax error: unexpected {}", self.peek().name());
        if !expected.is_empty() {
            message.push_str(", expecting ");
            message.push_str(&expected.join(" or "));
        }
        error_at(self.source, self.peek(), self.span(), message)
    }

    pub(super) fn mean(&mut self, span: SourceSpan, message: String) {
        if self.meaning.is_none() {
            self.meaning = Some(meaning_error(self.source, span, message));
        }
    }

    pub(super) fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Token::Word(own) if *own == word)
    }

    pub(super) fn eat(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        if found {
            self.advance();
        }
        found
    }

    pub(super) fn expect(&mut self, word: &'static str) -> Parsed<()> {
        if self.eat(word) {
            Ok(())
        } else {
            Err(self.unexpected(&[word]))
        }
    }

    pub(super) fn identifier(&mut self, expected: &[&str]) -> Parsed<String> {
        match self.peek() {
            Token::Identifier(_) => {
                let Token::Identifier(name) = self.advance() else {
                    return Err(self.unexpected(expected));
                };
                Ok(name)
            }
            _ => Err(self.unexpected(expected)),
        }
    }

    pub(super) fn string(&mut self, expected: &[&str]) -> Parsed<String> {
        if let Token::String(text) = self.peek() {
            let text = text.clone();
            self.advance();
            Ok(text)
        } else {
            Err(self.unexpected(expected))
        }
    }

    // Selectors and pipelines.

    fn selector(&mut self) -> Parsed<LogExpr> {
        self.expect("{")?;
        let mut matchers = Vec::new();
        if !self.eat("}") {
            loop {
                let expected: &[&str] = if matchers.is_empty() {
                    &["IDENTIFIER", "}"]
                } else {
                    &["IDENTIFIER"]
                };
                let name = self.identifier(expected)?;
                matchers.push(self.matcher(name)?);
                if self.eat("}") {
                    break;
                }
                if !self.eat(",") {
                    return Err(self.unexpected(&["}", ","]));
                }
            }
        }
        Ok(LogExpr {
            matchers,
            stages: Vec::new(),
        })
    }

    /// The operator and value of a matcher whose name was read.
    fn matcher(&mut self, name: String) -> Parsed<Matcher> {
        let op = match self.peek() {
            Token::Word("=") => MatchOp::Equal,
            Token::Word("!=") => MatchOp::NotEqual,
            Token::Word("=~") => MatchOp::Regex,
            Token::Word("!~") => MatchOp::NotRegex,
            _ => return Err(self.unexpected(&["=", "=~", "!~", "!="])),
        };
        self.advance();
        let value = self.string(&["STRING"])?;
        Ok(self.new_matcher(name, op, value))
    }

    pub(super) fn new_matcher(&mut self, name: String, op: MatchOp, value: String) -> Matcher {
        match Matcher::new(name.clone(), op, value.clone()) {
            Ok(matcher) => matcher,
            Err(error) => {
                let span = self.tokens[self.at.saturating_sub(1)].span;
                let message = format!(
                    "error parsing regexp: {}: `{}`",
                    error.reason, error.pattern
                );
                self.mean(span, message);
                Matcher::equal(name, value)
            }
        }
    }

    /// Stages up to the first token that begins none; `unwrap` is left to the caller.
    fn stages(&mut self) -> Parsed<Vec<Stage>> {
        let mut stages = Vec::new();
        loop {
            if let Some(stage) = self.line_filters()? {
                stages.push(stage);
            } else if self.is_word("|") && *self.peek_second() != Token::Word("unwrap") {
                self.advance();
                stages.push(self.stage()?);
            } else {
                return Ok(stages);
            }
        }
    }

    fn stage(&mut self) -> Parsed<Stage> {
        let word = match self.peek() {
            Token::Word(word) => *word,
            Token::Identifier(_) => "(",
            _ => return Err(self.unexpected(&[])),
        };
        match word {
            "(" => return Ok(Stage::LabelFilter(self.label_filter(0)?)),
            "json" | "regexp" | "pattern" | "logfmt" | "unpack" | "line_format"
            | "label_format" | "drop" | "keep" | "decolorize" => {}
            _ => return Err(self.unexpected(&[])),
        }
        self.advance();
        Ok(match word {
            "json" if matches!(self.peek(), Token::Identifier(_)) => {
                Stage::JsonExpressions(self.extractions()?)
            }
            "json" => Stage::Json,
            "logfmt" => self.logfmt()?,
            "regexp" => Stage::Regexp(self.string(&["STRING"])?),
            "pattern" => Stage::Pattern(self.string(&["STRING"])?),
            "unpack" => Stage::Unpack,
            "line_format" => Stage::LineFormat(self.string(&["STRING"])?),
            "label_format" => Stage::LabelFormat(self.label_formats()?),
            "drop" => Stage::Drop(self.names_or_matchers()?),
            "keep" => Stage::Keep(self.names_or_matchers()?),
            _ => Stage::Decolorize,
        })
    }

    fn logfmt(&mut self) -> Parsed<Stage> {
        let (mut strict, mut keep_empty) = (false, false);
        while let Token::Flag(flag) = *self.peek() {
            strict |= flag == "--strict";
            keep_empty |= flag == "--keep-empty";
            self.advance();
        }
        Ok(if matches!(self.peek(), Token::Identifier(_)) {
            Stage::LogfmtExpressions {
                strict,
                keep_empty,
                extractions: self.extractions()?,
            }
        } else {
            Stage::Logfmt { strict, keep_empty }
        })
    }

    fn extractions(&mut self) -> Parsed<Vec<Extraction>> {
        let mut extractions = Vec::new();
        loop {
            let label = self.identifier(&["IDENTIFIER"])?;
            let expression = if self.eat("=") {
                self.string(&["STRING"])?
            } else {
                label.clone()
            };
            extractions.push(Extraction { label, expression });
            if !self.eat(",") {
                return Ok(extractions);
            }
        }
    }

    fn label_formats(&mut self) -> Parsed<Vec<LabelFormat>> {
        let mut formats = Vec::new();
        loop {
            let to = self.identifier(&["IDENTIFIER"])?;
            self.expect("=")?;
            formats.push(match self.peek() {
                Token::Identifier(from) => {
                    let from = from.clone();
                    self.advance();
                    LabelFormat::Rename { to, from }
                }
                _ => LabelFormat::Template {
                    to,
                    template: self.string(&["IDENTIFIER", "STRING"])?,
                },
            });
            if !self.eat(",") {
                return Ok(formats);
            }
        }
    }

    fn names_or_matchers(&mut self) -> Parsed<Vec<NameOrMatcher>> {
        let mut list = Vec::new();
        loop {
            let name = self.identifier(&["IDENTIFIER"])?;
            list.push(
                // `| drop a != "b"` is a matcher: Loki's grammar leaves nothing to a line filter here.
                if matches!(self.peek(), Token::Word("=" | "!=" | "=~" | "!~")) {
                    NameOrMatcher::Matcher(self.matcher(name)?)
                } else {
                    NameOrMatcher::Name(name)
                },
            );
            if !self.eat(",") {
                return Ok(list);
            }
        }
    }

    // Metric expressions.

    fn range_aggregation(&mut self, name: &'static str) -> Parsed<MetricExpr> {
        let start = self.span();
        let Some((_, op)) = RANGE_OPS.iter().find(|(own, _)| *own == name) else {
            return Err(self.unexpected(&[]));
        };
        self.advance();
        if !self.eat("(") {
            return Err(self.unexpected(&["("]));
        }
        let parameter = match self.peek() {
            Token::Number(text) => {
                let text = text.clone();
                self.advance();
                self.expect(",")?;
                Some(text)
            }
            Token::Word("{" | "(") => None,
            _ => return Err(self.unexpected(&["NUMBER", "{", "("])),
        };
        let range = self.log_range(0)?;
        self.expect(")")?;
        let grouping = self.grouping()?;
        let checked =
            validate::range_aggregation(*op, parameter.as_deref(), grouping.as_ref(), &range);
        let parameter = checked.unwrap_or_else(|message| {
            self.mean(start, message);
            None
        });
        Ok(MetricExpr::Range {
            op: *op,
            parameter,
            range,
            grouping,
        })
    }

    fn log_range(&mut self, depth: usize) -> Parsed<LogRange> {
        if depth > gameday_query::MAX_EXPRESSION_HEIGHT {
            return Err(self.unexpected(&[]));
        }
        if self.eat("(") {
            return self.log_range_in_parentheses(depth);
        }
        let mut logs = self.selector()?;
        if let Token::Range(nanos) = *self.peek() {
            self.advance();
            let offset_nanos = self.offset()?;
            logs.stages = self.stages()?;
            let unwrap = self.unwrap()?;
            return Ok(new_range(logs, unwrap, nanos, offset_nanos));
        }
        logs.stages = self.stages()?;
        let unwrap = self.unwrap()?;
        let nanos = self.range()?;
        let offset_nanos = self.offset()?;
        Ok(new_range(logs, unwrap, nanos, offset_nanos))
    }

    fn log_range_in_parentheses(&mut self, depth: usize) -> Parsed<LogRange> {
        if self.is_word("(") {
            let range = self.log_range(depth + 1)?;
            self.expect(")")?;
            return Ok(range);
        }
        let mut logs = self.selector()?;
        if let Token::Range(nanos) = *self.peek() {
            self.advance();
            let offset_nanos = self.offset()?;
            logs.stages = self.stages()?;
            let unwrap = self.unwrap()?;
            self.expect(")")?;
            return Ok(new_range(logs, unwrap, nanos, offset_nanos));
        }
        logs.stages = self.stages()?;
        let mut unwrap = self.unwrap()?;
        if let Token::Range(nanos) = *self.peek() {
            self.advance();
            let offset_nanos = self.offset()?;
            self.expect(")")?;
            return Ok(new_range(logs, unwrap, nanos, offset_nanos));
        }
        self.expect(")")?;
        let nanos = self.range()?;
        let offset_nanos = self.offset()?;
        if logs.stages.is_empty() && unwrap.is_none() {
            unwrap = self.unwrap()?;
        }
        Ok(new_range(logs, unwrap, nanos, offset_nanos))
    }

    fn range(&mut self) -> Parsed<i64> {
        if let Token::Range(nanos) = *self.peek() {
            self.advance();
            Ok(nanos)
        } else {
            Err(self.unexpected(&[]))
        }
    }

    fn offset(&mut self) -> Parsed<i64> {
        if !self.eat("offset") {
            return Ok(0);
        }
        if let Token::Duration(nanos) = *self.peek() {
            self.advance();
            Ok(nanos)
        } else {
            Err(self.unexpected(&["DURATION"]))
        }
    }

    fn unwrap(&mut self) -> Parsed<Option<Unwrap>> {
        if !self.is_word("|") || *self.peek_second() != Token::Word("unwrap") {
            return Ok(None);
        }
        self.advance();
        self.advance();
        let conversion = match self.peek() {
            Token::Function("bytes") => Conversion::Bytes,
            Token::Function("duration") => Conversion::Duration,
            Token::Function("duration_seconds") => Conversion::DurationSeconds,
            _ => Conversion::Number,
        };
        let label = if conversion == Conversion::Number {
            self.identifier(&[
                "IDENTIFIER",
                "BYTES_CONV",
                "DURATION_CONV",
                "DURATION_SECONDS_CONV",
            ])?
        } else {
            self.advance();
            self.expect("(")?;
            let label = self.identifier(&["IDENTIFIER"])?;
            self.expect(")")?;
            label
        };
        let mut filters = Vec::new();
        while self.eat("|") {
            filters.push(self.label_filter(0)?);
        }
        Ok(Some(Unwrap {
            label,
            conversion,
            filters,
        }))
    }

    fn vector_aggregation(&mut self, name: &'static str, pratt: &mut Pratt) -> Parsed<MetricExpr> {
        let start = self.span();
        let Some((_, op)) = VECTOR_OPS.iter().find(|(own, _)| *own == name) else {
            return Err(self.unexpected(&[]));
        };
        self.advance();
        let mut grouping = self.grouping()?;
        self.expect("(")?;
        let parameter = match (self.peek(), self.peek_second()) {
            (Token::Number(text), Token::Word(",")) => {
                let text = text.clone();
                self.advance();
                self.advance();
                Some(text)
            }
            _ => None,
        };
        let inner = self.metric(pratt)?;
        self.expect(")")?;
        if grouping.is_none() {
            grouping = self.grouping()?;
        }
        let grouping = grouping.unwrap_or_default();
        let checked = validate::vector_aggregation(*op, parameter.as_deref(), &grouping);
        let parameter = checked.unwrap_or_else(|message| {
            self.mean(start, message);
            0
        });
        Ok(MetricExpr::Vector {
            op: *op,
            parameter,
            inner: Box::new(inner),
            grouping,
        })
    }

    /// An expression that must be a metric query; a selector fails at the token behind it, as in Loki's grammar.
    fn metric(&mut self, pratt: &mut Pratt) -> Parsed<MetricExpr> {
        match pratt.expression(self, 0)? {
            Expr::Metric(metric) => Ok(metric),
            Expr::Log(_) => Err(self.unexpected(&[])),
        }
    }

    fn grouping(&mut self) -> Parsed<Option<Grouping>> {
        let without = self.is_word("without");
        if !without && !self.is_word("by") {
            return Ok(None);
        }
        self.advance();
        self.expect("(")?;
        let labels = self.label_list()?;
        Ok(Some(Grouping { without, labels }))
    }

    /// Names up to the closing parenthesis, the opening one being read.
    fn label_list(&mut self) -> Parsed<Vec<String>> {
        let mut labels = Vec::new();
        if self.eat(")") {
            return Ok(labels);
        }
        loop {
            let expected: &[&str] = if labels.is_empty() {
                &["IDENTIFIER", ")"]
            } else {
                &["IDENTIFIER"]
            };
            labels.push(self.identifier(expected)?);
            if self.eat(")") {
                return Ok(labels);
            }
            if !self.eat(",") {
                return Err(self.unexpected(&[",", ")"]));
            }
        }
    }

    fn vector_of(&mut self) -> Parsed<MetricExpr> {
        self.advance();
        self.expect("(")?;
        let span = self.span();
        let Token::Number(text) = self.peek() else {
            return Err(self.unexpected(&["NUMBER"]));
        };
        let text = text.clone();
        self.advance();
        self.expect(")")?;
        let value = self.number(&text, span, "vectorExpr");
        Ok(MetricExpr::VectorOf(value))
    }

    pub(super) fn number(&mut self, text: &str, span: SourceSpan, what: &str) -> f64 {
        crate::stage::units::parse_float(text).unwrap_or_else(|error| {
            self.mean(span, format!("unable to parse {what} as a float: {error}"));
            0.0
        })
    }

    /// A number with or without a sign.
    pub(super) fn literal(&mut self) -> Parsed<f64> {
        let negative = self.is_word("-");
        let signed = negative || self.is_word("+");
        if signed {
            self.advance();
        }
        let span = self.span();
        let Token::Number(text) = self.peek() else {
            let expected: &[&str] = if signed { &["NUMBER"] } else { &[] };
            return Err(self.unexpected(expected));
        };
        let text = text.clone();
        self.advance();
        let value = self.number(&text, span, "literal");
        Ok(if negative { -value } else { value })
    }

    fn label_replace(&mut self, pratt: &mut Pratt) -> Parsed<MetricExpr> {
        let start = self.span();
        self.advance();
        self.expect("(")?;
        let inner = Box::new(self.metric(pratt)?);
        let mut arguments = Vec::new();
        for _ in 0..4 {
            self.expect(",")?;
            arguments.push(self.string(&["STRING"])?);
        }
        self.expect(")")?;
        let mut arguments = arguments.into_iter();
        let mut next = || arguments.next().unwrap_or_default();
        let (destination, replacement, source, regex) = (next(), next(), next(), next());
        if let Err(error) = Matcher::new("", MatchOp::Regex, regex.clone()) {
            let message = format!(
                "invalid regex in label_replace: error parsing regexp: {}: `{}`",
                error.reason, error.pattern
            );
            self.mean(start, message);
        }
        Ok(MetricExpr::LabelReplace {
            inner,
            destination,
            replacement,
            source,
            regex,
        })
    }

    fn vector_matching(&mut self) -> Parsed<VectorMatching> {
        let mut matching = VectorMatching {
            on: self.is_word("on"),
            ..VectorMatching::default()
        };
        if !matching.on && !self.is_word("ignoring") {
            return Ok(matching);
        }
        self.advance();
        self.expect("(")?;
        matching.labels = self.label_list()?;
        let many_left = self.is_word("group_left");
        if many_left || self.is_word("group_right") {
            self.advance();
            matching.cardinality = if many_left {
                Cardinality::ManyToOne
            } else {
                Cardinality::OneToMany
            };
            // `group_left (` may also begin a right operand in parentheses: a list of names is taken first.
            let list = self.is_word("(")
                && matches!(self.peek_second(), Token::Identifier(_) | Token::Word(")"));
            if list {
                self.advance();
                matching.include = self.label_list()?;
            }
        }
        Ok(matching)
    }
}

fn new_range(logs: LogExpr, unwrap: Option<Unwrap>, nanos: i64, offset_nanos: i64) -> LogRange {
    LogRange {
        logs,
        unwrap,
        interval: Duration::from_nanos(nanos.unsigned_abs()),
        offset_nanos,
    }
}

impl Grammar for Parser<'_> {
    type Node = Expr;
    type Infix = Infix;

    fn operand(&mut self, pratt: &mut Pratt) -> Parsed<Expr> {
        match *self.peek() {
            Token::Word("{") => {
                let mut logs = self.selector()?;
                logs.stages = self.stages()?;
                Ok(Expr::Log(logs))
            }
            Token::Word("(") => {
                self.advance();
                let inner = pratt.expression(self, 0)?;
                if !self.eat(")") {
                    return Err(self.unexpected(&[]));
                }
                Ok(inner)
            }
            Token::Word("+" | "-") | Token::Number(_) => self
                .literal()
                .map(|value| Expr::Metric(MetricExpr::Literal(value))),
            Token::Function("vector") => self.vector_of().map(Expr::Metric),
            Token::Function("label_replace") => self.label_replace(pratt).map(Expr::Metric),
            Token::Function(name) if VECTOR_OPS.iter().any(|(own, _)| *own == name) => {
                self.vector_aggregation(name, pratt).map(Expr::Metric)
            }
            Token::Function(name) if RANGE_OPS.iter().any(|(own, _)| *own == name) => {
                self.range_aggregation(name).map(Expr::Metric)
            }
            _ => Err(self.unexpected(&[])),
        }
    }

    fn peek_infix(&self) -> Option<Binding> {
        let Token::Word(word) = self.peek() else {
            return None;
        };
        BinaryOp::from_text(word).map(BinaryOp::binding)
    }

    fn take_infix(&mut self) -> Parsed<Infix> {
        let span = self.span();
        let Token::Word(word) = self.advance() else {
            return Err(self.unexpected(&[]));
        };
        let Some(op) = BinaryOp::from_text(word) else {
            return Err(self.unexpected(&[]));
        };
        let return_bool = self.eat("bool");
        let mut matching = self.vector_matching()?;
        if op.is_set() {
            matching.cardinality = Cardinality::ManyToMany;
        }
        Ok(Infix {
            op,
            return_bool,
            matching,
            span,
        })
    }

    fn combine(&mut self, left: Expr, infix: Infix, right: Expr) -> Parsed<Expr> {
        match validate::binary(infix.op, &left, &right) {
            Ok(()) => {}
            Err(message) => self.mean(infix.span, message),
        }
        let (Expr::Metric(left), Expr::Metric(right)) = (left, right) else {
            // The mistake is noted; the syntax of the rest is still to be read.
            return Ok(Expr::Metric(MetricExpr::Literal(0.0)));
        };
        if let (MetricExpr::Literal(left), MetricExpr::Literal(right)) = (&left, &right)
            && !infix.op.is_set()
        {
            let value = crate::eval::binary::scalar(infix.op, *left, *right);
            return Ok(Expr::Metric(MetricExpr::Literal(value)));
        }
        Ok(Expr::Metric(MetricExpr::Binary {
            op: infix.op,
            return_bool: infix.return_bool,
            matching: infix.matching,
            left: Box::new(left),
            right: Box::new(right),
        }))
    }

    fn source(&self) -> &str {
        self.source
    }

    fn position(&self) -> SourceSpan {
        self.span()
    }
}

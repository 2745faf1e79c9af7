//! Reads a whole query: spansets, pipelines, scalar filters, metrics and their arithmetic.

use gameday_query::{Binding, Grammar, ParseError, Pratt, SourceSpan, TokenKind, TokenStream};
use gameday_signal::did_you_mean;

use super::ast::{
    Aggregate, AggregateFunction, Body, Field, Hint, Metrics, MetricsAggregate, MetricsFunction,
    Op, Pipeline, Scalar, ScalarFilter, SecondStage, SpansetOp, Spansets, Stage, Static,
};
use super::constant;
use super::field::{binding, read_attribute, read_field, read_number, read_static, unexpected};
use super::lexer::tokenize;

/// A text longer than this is refused before it is read.
const MAX_QUERY_BYTES: usize = 128 << 10;
/// Attributes in one list, quantiles in one call, hints in one query, stages in one pipeline.
const MAX_LIST: usize = 256;
/// How high a tree of spansets, pipelines and metrics may grow.
const MAX_HEIGHT: usize = 96;

/// Reads `source`, without checking types.
pub(crate) fn parse(source: &str) -> Result<(Body, Vec<Hint>), ParseError> {
    if source.len() > MAX_QUERY_BYTES {
        let message = format!(
            "the query has {} bytes, the limit is {MAX_QUERY_BYTES}",
            source.len()
        );
        return Err(ParseError::new("", SourceSpan::at(0), message));
    }
    let mut grammar = QueryGrammar(TokenStream::new(source, tokenize(source)));
    // Fields have a height of their own, so that the two together stay within a stack of 2 MiB.
    let mut pratt = Pratt::new(MAX_HEIGHT);
    let node = grammar.read_body(&mut pratt, false)?;
    let mut hints = Vec::new();
    while word(&grammar.0, "with") {
        read_hints(&mut grammar.0, &mut hints)?;
    }
    if grammar.0.peek().kind != TokenKind::End {
        return Err(unexpected(&grammar.0).with_hint_option(grammar.advice()));
    }
    let body = grammar.finish(node)?;
    Ok((body, hints))
}

/// What an operand or an operation of the query's level is.
enum Node {
    Spansets(Spansets),
    /// Stages that came out of parentheses or stand alone; `wrapped` where parentheses make them an operand.
    Pipeline {
        stages: Pipeline,
        wrapped: bool,
    },
    Filter(ScalarFilter),
    Scalar(Scalar, SourceSpan),
    Literal(Static, SourceSpan),
    Metrics(Metrics),
    /// A pipeline in parentheses that ends with a bare aggregate, or arithmetic of such.
    ScalarPipeline,
    /// A comparison of such.
    ScalarPipelineFilter,
}

enum Infix {
    Spanset(SpansetOp, SourceSpan),
    Scalar(Op, SourceSpan),
    /// `<` and `>` compare numbers as well as spansets.
    Either(SpansetOp, Op, SourceSpan),
}

struct QueryGrammar<'a>(TokenStream<'a>);

fn word(tokens: &TokenStream<'_>, text: &str) -> bool {
    tokens.peek().kind == TokenKind::Identifier && tokens.peek_text() == text
}

fn expect(tokens: &mut TokenStream<'_>, text: &str) -> Result<(), ParseError> {
    if tokens.eat(text) {
        Ok(())
    } else {
        Err(unexpected(tokens).with_hint(format!("expected {text}")))
    }
}

fn read_hints(tokens: &mut TokenStream<'_>, hints: &mut Vec<Hint>) -> Result<(), ParseError> {
    tokens.advance();
    expect(tokens, "(")?;
    loop {
        if tokens.peek().kind != TokenKind::Identifier {
            return Err(unexpected(tokens).with_hint("hints are written as with(exemplars=true)"));
        }
        let name = tokens.peek_text().to_owned();
        tokens.advance();
        expect(tokens, "=")?;
        let value = read_static(tokens)?.ok_or_else(|| unexpected(tokens))?;
        hints.push(Hint { name, value });
        if hints.len() > MAX_LIST {
            return Err(tokens.error(format!("too many hints, the limit is {MAX_LIST}")));
        }
        if !tokens.eat(",") {
            return expect(tokens, ")");
        }
    }
}

fn read_attributes(tokens: &mut TokenStream<'_>) -> Result<Vec<super::ast::Attribute>, ParseError> {
    expect(tokens, "(")?;
    let mut attributes = vec![read_attribute(tokens)?];
    while tokens.eat(",") {
        attributes.push(read_attribute(tokens)?);
        if attributes.len() > MAX_LIST {
            return Err(tokens.error(format!("too many attributes, the limit is {MAX_LIST}")));
        }
    }
    expect(tokens, ")")?;
    Ok(attributes)
}

impl QueryGrammar<'_> {
    /// Reads up to the closing parenthesis or the end: an expression and the stages behind it.
    fn read_body(&mut self, pratt: &mut Pratt, in_parentheses: bool) -> Result<Node, ParseError> {
        let start = self.0.peek().span;
        let mut node = pratt.expression(self, 0)?;
        let mut stages = 1;
        while self.0.peek().is_operator("|") {
            stages += 1;
            if stages > MAX_LIST {
                return Err(self
                    .0
                    .error(format!("too many stages, the limit is {MAX_LIST}")));
            }
            if let Node::Metrics(metrics) = node {
                self.0.advance();
                let stage = self.read_second_stage()?;
                node = Node::Metrics(self.read_filters(second(stage, metrics))?);
                continue;
            }
            let mut pipeline = match node {
                Node::Spansets(spansets) => Pipeline(vec![Stage::Spansets(spansets)]),
                Node::Filter(filter) => Pipeline(vec![Stage::Scalar(filter)]),
                Node::Pipeline {
                    stages,
                    wrapped: false,
                } => stages,
                _ => return Err(unexpected(&self.0)),
            };
            self.0.advance();
            if self.0.peek().kind == TokenKind::Identifier
                && MetricsFunction::NAMES.contains(&self.0.peek_text())
            {
                let aggregate = self.read_metrics_aggregate()?;
                let span = SourceSpan::new(start.start, self.0.last_end());
                node = Node::Metrics(self.read_filters(Metrics::Query {
                    pipeline,
                    aggregate,
                    span,
                })?);
                continue;
            }
            if word(&self.0, "coalesce") {
                self.0.advance();
                expect(&mut self.0, "(")?;
                expect(&mut self.0, ")")?;
                pipeline.0.push(Stage::Coalesce);
                node = Node::Pipeline {
                    stages: pipeline,
                    wrapped: false,
                };
                continue;
            }
            match pratt.expression(self, 0)? {
                Node::Spansets(spansets) => pipeline.0.push(Stage::Spansets(spansets)),
                Node::Filter(filter) => pipeline.0.push(Stage::Scalar(filter)),
                Node::Pipeline { stages, wrapped: false } => pipeline.0.extend(stages.0),
                Node::Scalar(Scalar::Aggregate(_), _) if in_parentheses && self.0.peek().is_operator(")") => {
                    return Ok(Node::ScalarPipeline);
                }
                _ => return Err(unexpected(&self.0).with_hint("a stage is {..}, an aggregate compared with a number, by(), coalesce() or select()")),
            }
            node = Node::Pipeline {
                stages: pipeline,
                wrapped: false,
            };
        }
        Ok(node)
    }

    /// Comparisons behind a metrics query: `> 10`.
    fn read_filters(&mut self, mut metrics: Metrics) -> Result<Metrics, ParseError> {
        while let Some(op) = self
            .0
            .peek()
            .operator()
            .and_then(Op::from_text)
            .filter(|op| op.is_comparison())
        {
            self.0.advance();
            let constant = self.read_constant()?;
            metrics = second(SecondStage::Filter(op, constant), metrics);
        }
        Ok(metrics)
    }

    /// A number, or arithmetic of numbers.
    fn read_constant(&mut self) -> Result<Static, ParseError> {
        let mut pratt = Pratt::new(MAX_HEIGHT);
        // A comparison ends it: only operators that bind tighter belong to the constant.
        match pratt.expression(self, Binding::prefix(2))? {
            Node::Literal(constant, _) => Ok(constant),
            _ => Err(self
                .0
                .error("syntax error: a metrics query can only be compared with a number")),
        }
    }

    fn read_second_stage(&mut self) -> Result<SecondStage, ParseError> {
        let start = self.0.peek().span;
        let top = match self.0.peek_text() {
            "topk" => true,
            "bottomk" => false,
            text => {
                let hint = did_you_mean(text, ["topk", "bottomk"]);
                return Err(unexpected(&self.0).with_hint_option(hint));
            }
        };
        self.0.advance();
        expect(&mut self.0, "(")?;
        let count = self.read_int()?;
        expect(&mut self.0, ")")?;
        let span = SourceSpan::new(start.start, self.0.last_end());
        Ok(if top {
            SecondStage::TopK(count, span)
        } else {
            SecondStage::BottomK(count, span)
        })
    }

    fn read_int(&mut self) -> Result<i64, ParseError> {
        let error = unexpected(&self.0).with_hint("expected a whole number");
        match self.0.peek().kind {
            TokenKind::Number(_) => match read_number(&mut self.0)? {
                Static::Int(number) => Ok(number),
                _ => Err(error),
            },
            _ => Err(error),
        }
    }

    fn read_metrics_aggregate(&mut self) -> Result<MetricsAggregate, ParseError> {
        let name = self.0.peek_text().to_owned();
        self.0.advance();
        expect(&mut self.0, "(")?;
        let function = match name.as_str() {
            "rate" => MetricsFunction::Rate,
            "count_over_time" => MetricsFunction::CountOverTime,
            "compare" => self.read_compare()?,
            "quantile_over_time" => {
                let attribute = read_attribute(&mut self.0)?;
                let mut quantiles = Vec::new();
                while self.0.eat(",") {
                    quantiles.push(match read_number(&mut self.0)? {
                        Static::Int(number) => number as f64,
                        Static::Float(number) => number,
                        _ => return Err(unexpected(&self.0)),
                    });
                }
                if quantiles.is_empty() || quantiles.len() > MAX_LIST {
                    return Err(unexpected(&self.0)
                        .with_hint("expected quantiles: quantile_over_time(duration, 0.5, 0.99)"));
                }
                MetricsFunction::QuantileOverTime(attribute, quantiles)
            }
            _ => {
                let attribute = read_attribute(&mut self.0)?;
                match name.as_str() {
                    "min_over_time" => MetricsFunction::MinOverTime(attribute),
                    "max_over_time" => MetricsFunction::MaxOverTime(attribute),
                    "avg_over_time" => MetricsFunction::AvgOverTime(attribute),
                    "sum_over_time" => MetricsFunction::SumOverTime(attribute),
                    _ => MetricsFunction::HistogramOverTime(attribute),
                }
            }
        };
        expect(&mut self.0, ")")?;
        let mut by = Vec::new();
        if word(&self.0, "by") && !matches!(function, MetricsFunction::Compare { .. }) {
            self.0.advance();
            by = read_attributes(&mut self.0)?;
        }
        Ok(MetricsAggregate { function, by })
    }

    fn read_compare(&mut self) -> Result<MetricsFunction, ParseError> {
        expect(&mut self.0, "{")?;
        let selection = Box::new(self.read_filter()?);
        let (mut top, mut start, mut end) = (10, 0, 0);
        if self.0.eat(",") {
            top = self.read_int()?;
            if self.0.eat(",") {
                start = self.read_int()?;
                expect(&mut self.0, ",")?;
                end = self.read_int()?;
            }
        }
        Ok(MetricsFunction::Compare {
            selection,
            top,
            start,
            end,
        })
    }

    /// What stands between braces, the closing one included.
    fn read_filter(&mut self) -> Result<Field, ParseError> {
        if self.0.eat("}") {
            return Ok(Field::Static(Static::Bool(true)));
        }
        let field = read_field(&mut self.0)?;
        if !self.0.eat("}") {
            return Err(unexpected(&self.0).with_hint("expected an operator or }"));
        }
        Ok(field)
    }

    fn read_aggregate(&mut self, function: AggregateFunction) -> Result<Node, ParseError> {
        let start = self.0.advance().span;
        expect(&mut self.0, "(")?;
        let field = if function == AggregateFunction::Count {
            None
        } else {
            Some(Box::new(read_field(&mut self.0)?))
        };
        expect(&mut self.0, ")")?;
        let span = SourceSpan::new(start.start, self.0.last_end());
        Ok(Node::Scalar(
            Scalar::Aggregate(Aggregate {
                function,
                field,
                span,
            }),
            span,
        ))
    }

    fn read_word(&mut self) -> Result<Node, ParseError> {
        let text = self.0.peek_text();
        if let Some((_, function)) = AggregateFunction::ALL
            .iter()
            .find(|(name, _)| *name == text)
        {
            return self.read_aggregate(*function);
        }
        let stage = match text {
            "by" => {
                self.0.advance();
                expect(&mut self.0, "(")?;
                let field = read_field(&mut self.0)?;
                expect(&mut self.0, ")")?;
                Stage::GroupBy(field)
            }
            "select" => {
                self.0.advance();
                Stage::Select(read_attributes(&mut self.0)?)
            }
            _ => {
                let known = [
                    "by", "select", "coalesce", "count", "min", "max", "sum", "avg", "topk",
                    "bottomk",
                ];
                let hint = did_you_mean(text, known.into_iter().chain(MetricsFunction::NAMES));
                return Err(unexpected(&self.0).with_hint_option(hint));
            }
        };
        Ok(Node::Pipeline {
            stages: Pipeline(vec![stage]),
            wrapped: false,
        })
    }

    /// What a person may have meant by a token behind a whole query.
    fn advice(&self) -> Option<String> {
        let text = self.0.peek_text();
        (text == "=").then(|| "equality is written with one =".to_owned())
    }

    fn finish(&self, node: Node) -> Result<Body, ParseError> {
        Ok(match node {
            Node::Spansets(spansets) => Body::Search(Pipeline(vec![Stage::Spansets(spansets)])),
            Node::Filter(filter) => Body::Search(Pipeline(vec![Stage::Scalar(filter)])),
            Node::Pipeline { stages, .. } => Body::Search(stages),
            Node::Metrics(metrics) => Body::Metrics(metrics),
            Node::ScalarPipelineFilter => Body::ScalarPipelines(self.0.source().to_owned()),
            Node::Scalar(_, span) | Node::Literal(_, span) => {
                let hint = "an aggregate is compared with a number: {..} | count() > 2";
                return Err(self
                    .0
                    .error_at(span, "syntax error: unexpected $end")
                    .with_hint(hint));
            }
            Node::ScalarPipeline => return Err(unexpected(&self.0)),
        })
    }
}

fn second(stage: SecondStage, metrics: Metrics) -> Metrics {
    Metrics::Second {
        stage,
        metrics: Box::new(metrics),
    }
}

impl Node {
    /// The node as an operand of a spanset operator, if it can be one.
    fn into_spansets(self) -> Result<Spansets, Self> {
        match self {
            Self::Spansets(spansets) => Ok(spansets),
            Self::Pipeline {
                stages,
                wrapped: true,
            } => Ok(Spansets::Pipeline(stages)),
            other => Err(other),
        }
    }

    fn into_scalar(self) -> Result<Scalar, Self> {
        match self {
            Self::Scalar(scalar, _) => Ok(scalar),
            Self::Literal(constant, _) => Ok(Scalar::Static(constant)),
            other => Err(other),
        }
    }
}

impl Grammar for QueryGrammar<'_> {
    type Node = Node;
    type Infix = Infix;

    fn operand(&mut self, pratt: &mut Pratt) -> Result<Node, ParseError> {
        let start = self.0.peek().span;
        if self.0.eat("{") {
            return Ok(Node::Spansets(Spansets::Filter(Box::new(
                self.read_filter()?,
            ))));
        }
        if self.0.eat("(") {
            let inner = self.read_body(pratt, true)?;
            if !self.0.eat(")") {
                return Err(unexpected(&self.0).with_hint("expected an operator, | or )"));
            }
            return Ok(match inner {
                Node::Filter(filter) => Node::Pipeline {
                    stages: Pipeline(vec![Stage::Scalar(filter)]),
                    wrapped: true,
                },
                Node::Pipeline { stages, .. } => Node::Pipeline {
                    stages,
                    wrapped: true,
                },
                other => other,
            });
        }
        if self.0.eat("-") {
            return match pratt.expression(self, Binding::prefix(6))? {
                Node::Literal(literal, end) => {
                    let span = start.to(end);
                    constant::negate(&literal)
                        .map(|literal| Node::Literal(literal, span))
                        .ok_or_else(|| {
                            self.0
                                .error_at(span, "syntax error: the number does not fit 64 bits")
                        })
                }
                _ => Err(self.0.error_at(start, "syntax error: unexpected -")),
            };
        }
        match self.0.peek().kind {
            TokenKind::Number(_) | TokenKind::Quantity => {
                Ok(Node::Literal(read_number(&mut self.0)?, start))
            }
            TokenKind::Identifier => self.read_word(),
            _ => Err(unexpected(&self.0)),
        }
    }

    fn peek_infix(&self) -> Option<Binding> {
        let text = self.0.peek().operator()?;
        match (SpansetOp::from_text(text), Op::from_text(text)) {
            (Some(SpansetOp::And | SpansetOp::Union), _) => Some(Binding::left_associative(1)),
            (Some(_), _) => Some(Binding::left_associative(2)),
            (None, Some(op)) => Some(binding(op)),
            (None, None) => None,
        }
    }

    fn take_infix(&mut self) -> Result<Infix, ParseError> {
        let error = unexpected(&self.0);
        let token = self.0.advance();
        let text = token.operator().unwrap_or_default();
        match (
            SpansetOp::from_text(text),
            Op::from_text(text).filter(|op| op.is_comparison() || op.is_arithmetic()),
        ) {
            (Some(spanset), Some(op)) => Ok(Infix::Either(spanset, op, token.span)),
            (Some(spanset), None) => Ok(Infix::Spanset(spanset, token.span)),
            (None, Some(op)) => {
                if self.0.peek().is_operator("=") {
                    return Err(unexpected(&self.0).with_hint("equality is written with one ="));
                }
                Ok(Infix::Scalar(op, token.span))
            }
            (None, None) => Err(error),
        }
    }

    fn combine(&mut self, left: Node, infix: Infix, right: Node) -> Result<Node, ParseError> {
        let (spanset, op, span) = match infix {
            Infix::Spanset(spanset, span) => (Some(spanset), None, span),
            Infix::Scalar(op, span) => (None, Some(op), span),
            Infix::Either(spanset, op, span) => (Some(spanset), Some(op), span),
        };
        let refused = |hint: &str| {
            let text = span.text(self.0.source());
            Err(self
                .0
                .error_at(span, format!("syntax error: unexpected {text}"))
                .with_hint(hint.to_owned()))
        };
        let (left, right) = match (spanset, left.into_spansets(), right.into_spansets()) {
            (Some(spanset), Ok(left), Ok(right)) => {
                return Ok(Node::Spansets(Spansets::Operation {
                    op: spanset,
                    left: Box::new(left),
                    right: Box::new(right),
                }));
            }
            (_, Err(left), Err(right)) => (left, right),
            _ => {
                return refused(
                    "spansets are combined by &&, ||, >, >>, <, <<, ~ and their ! and & variants; a pipeline needs parentheses",
                );
            }
        };
        let Some(op) = op else {
            return refused(
                "a scalar filter stands in a stage of its own: {..} | count() > 2 | {..}",
            );
        };
        combine_numbers(left, op, right, span).or_else(|what| match what {
            Some(message) => Err(self.0.error_at(span, format!("syntax error: {message}"))),
            None => refused("these two cannot be combined; a metrics query is put in parentheses for arithmetic"),
        })
    }

    fn source(&self) -> &str {
        self.0.source()
    }

    fn position(&self) -> SourceSpan {
        self.0.peek().span
    }
}

/// Puts numbers, aggregates and metrics together; an error says why, where there is more to say than that it cannot be.
fn combine_numbers(
    left: Node,
    op: Op,
    right: Node,
    span: SourceSpan,
) -> Result<Node, Option<String>> {
    let math = matches!(op, Op::Add | Op::Sub | Op::Mul | Op::Div);
    match (left, right) {
        (Node::Literal(left, start), Node::Literal(right, end)) if math => {
            constant::arithmetic(op, &left, &right)
                .map(|constant| Node::Literal(constant, start.to(end)))
                .map_err(Some)
        }
        (Node::Metrics(left), Node::Metrics(right)) if math => Ok(Node::Metrics(Metrics::Math {
            op,
            left: Box::new(left),
            right: Box::new(right),
        })),
        (Node::Metrics(metrics), Node::Literal(literal, _)) if op.is_comparison() => Ok(
            Node::Metrics(second(SecondStage::Filter(op, literal), metrics)),
        ),
        (Node::Metrics(metrics), Node::Literal(literal, _)) if math => {
            scalar_math(op, &literal, false, metrics)
        }
        (Node::Literal(literal, _), Node::Metrics(metrics)) if math => {
            scalar_math(op, &literal, true, metrics)
        }
        (Node::ScalarPipeline, Node::ScalarPipeline | Node::Literal(..)) if op.is_comparison() => {
            Ok(Node::ScalarPipelineFilter)
        }
        (Node::ScalarPipeline, Node::ScalarPipeline) if op.is_arithmetic() => {
            Ok(Node::ScalarPipeline)
        }
        (
            left @ (Node::Scalar(..) | Node::Literal(..)),
            right @ (Node::Scalar(..) | Node::Literal(..)),
        ) if matches!(left, Node::Scalar(..)) || matches!(right, Node::Scalar(..)) => {
            let (Ok(left), Ok(right)) = (left.into_scalar(), right.into_scalar()) else {
                return Err(None);
            };
            if op.is_comparison() {
                Ok(Node::Filter(ScalarFilter {
                    op,
                    left,
                    right,
                    span,
                }))
            } else {
                let scalar = Scalar::Operation {
                    op,
                    left: Box::new(left),
                    right: Box::new(right),
                };
                Ok(Node::Scalar(scalar, span))
            }
        }
        _ => Err(None),
    }
}

fn scalar_math(
    op: Op,
    literal: &Static,
    scalar_first: bool,
    metrics: Metrics,
) -> Result<Node, Option<String>> {
    let scalar = match literal {
        Static::Int(number) => *number as f64,
        Static::Float(number) => *number,
        _ => {
            return Err(Some(
                "durations cannot be used in the arithmetic of metrics".to_owned(),
            ));
        }
    };
    Ok(Node::Metrics(Metrics::ScalarMath {
        op,
        scalar,
        scalar_first,
        metrics: Box::new(metrics),
    }))
}

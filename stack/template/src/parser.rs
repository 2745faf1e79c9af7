//! Tokens to trees, with Go's messages.

use std::sync::Arc;

use crate::ast::{Branch, Command, Expr, ExprKind, Node, Pipe, Template};
use crate::error::place_of;
use crate::lexer::{Token, TokenKind, tokens};
use crate::text::{parse_number, unquote};
use crate::{Error, FunctionSet, builtins, hints};

/// Parentheses and bodies may be nested this deep: the parser and the executor call themselves.
const DEPTH_LIMIT: usize = 60;

/// Parses a text into the templates that it defines, itself (under `name`) last.
pub(crate) fn parse(
    name: &str,
    text: &str,
    functions: &dyn FunctionSet,
) -> Result<Vec<Template>, Error> {
    let source: Arc<str> = Arc::from(text);
    let mut parser = Parser {
        name,
        source: &source,
        functions,
        tokens: tokens(text),
        next: 0,
        furthest: 0,
        action: None,
        range_depth: 0,
        depth: 0,
        variables: vec!["$".to_owned()],
        defined: Vec::new(),
    };
    let mut body = Vec::new();
    while parser.peek().kind != TokenKind::Eof {
        if parser.at_define() {
            parser.define()?;
            continue;
        }
        match parser.text_or_action()? {
            Item::Node(node) => body.push(node),
            end => return Err(parser.error(format!("unexpected {end}"))),
        }
    }
    parser.add(name.to_owned(), body)?;
    Ok(parser.defined)
}

struct Parser<'a> {
    name: &'a str,
    source: &'a Arc<str>,
    functions: &'a dyn FunctionSet,
    tokens: Vec<Token>,
    next: usize,
    /// The last token that was looked at: errors name its line, as Go's do.
    furthest: usize,
    /// Where the current action began.
    action: Option<usize>,
    range_depth: usize,
    depth: usize,
    variables: Vec<String>,
    defined: Vec<Template>,
}

/// A node, or what ends a list of them.
enum Item {
    Node(Node),
    End,
    Else,
}

impl std::fmt::Display for Item {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Node(_) => "node",
            Self::End => "{{end}}",
            Self::Else => "{{else}}",
        })
    }
}

impl Parser<'_> {
    fn error(&self, message: impl Into<String>) -> Error {
        self.error_with(message.into(), None)
    }

    fn error_with(&self, message: String, hint: Option<String>) -> Error {
        let offset = self
            .tokens
            .get(self.furthest)
            .map_or(self.source.len(), |token| token.offset);
        Error::Parse {
            place: place_of(self.name, self.source, offset),
            message,
            hint,
        }
    }

    fn unexpected(&self, token: &Token, context: &str) -> Error {
        if token.kind != TokenKind::Error {
            return self.error(format!("unexpected {} in {context}", describe(token)));
        }
        let line = |offset| place_of("", self.source, offset).line;
        let mut extra = String::new();
        if let Some(action) = self.action
            && line(action) != line(token.offset)
        {
            let started = format!("action started at {}:{}", self.name, line(action));
            extra = if token.text.ends_with(" action") {
                started.trim_start_matches("action").to_owned()
            } else {
                format!(" in {started}")
            };
        }
        self.error(format!("{}{extra}", token.text))
    }

    fn peek(&mut self) -> &Token {
        let index = self.next.min(self.tokens.len() - 1);
        self.furthest = self.furthest.max(index);
        &self.tokens[index]
    }

    fn take(&mut self) -> Token {
        let token = self.peek().clone();
        self.next = (self.next + 1).min(self.tokens.len());
        token
    }

    fn skip_space(&mut self) {
        while self.peek().kind == TokenKind::Space {
            self.next += 1;
        }
    }

    fn peek_past_space(&mut self) -> &Token {
        self.skip_space();
        self.peek()
    }

    fn take_past_space(&mut self) -> Token {
        self.skip_space();
        self.take()
    }

    fn back(&mut self) {
        self.next -= 1;
    }

    fn expect(&mut self, kind: TokenKind, context: &str) -> Result<Token, Error> {
        let token = self.take_past_space();
        if token.kind == kind {
            Ok(token)
        } else {
            Err(self.unexpected(&token, context))
        }
    }

    fn deeper(&mut self) -> Result<(), Error> {
        self.depth += 1;
        if self.depth > DEPTH_LIMIT {
            return Err(self.error(format!(
                "parentheses and bodies are nested more than {DEPTH_LIMIT} deep"
            )));
        }
        Ok(())
    }

    fn add(&mut self, name: String, body: Vec<Node>) -> Result<(), Error> {
        let template = Template {
            name,
            parse_name: self.name.to_owned(),
            source: Arc::clone(self.source),
            body,
        };
        if let Some(other) = self
            .defined
            .iter_mut()
            .find(|other| other.name == template.name)
        {
            if other.is_empty() {
                *other = template;
            } else if !template.is_empty() {
                let name = template.name;
                return Err(self.error(format!(
                    "template: multiple definition of template {name:?}"
                )));
            }
        } else {
            self.defined.push(template);
        }
        Ok(())
    }

    fn at_define(&self) -> bool {
        self.tokens[self.next].kind == TokenKind::LeftDelim
            && self.tokens[self.next + 1..]
                .iter()
                .find(|token| token.kind != TokenKind::Space)
                .is_some_and(|token| token.kind == TokenKind::Keyword && token.text == "define")
    }

    fn define(&mut self) -> Result<(), Error> {
        const CONTEXT: &str = "define clause";
        self.take();
        self.take_past_space();
        let token = self.take_past_space();
        let name = self.template_name(&token, CONTEXT)?;
        self.expect(TokenKind::RightDelim, CONTEXT)?;
        self.definition(name, CONTEXT)
    }

    /// The body of a `define` or `block`, which sees none of the variables around it.
    fn definition(&mut self, name: String, context: &str) -> Result<(), Error> {
        let outer = std::mem::replace(&mut self.variables, vec!["$".to_owned()]);
        let range_depth = std::mem::take(&mut self.range_depth);
        let (body, end) = self.list()?;
        self.range_depth = range_depth;
        self.variables = outer;
        if !matches!(end, Item::End) {
            return Err(self.error(format!("unexpected {end} in {context}")));
        }
        self.add(name, body)
    }

    fn template_name(&self, token: &Token, context: &str) -> Result<String, Error> {
        match token.kind {
            TokenKind::Str | TokenKind::RawStr => {
                unquote(&token.text).ok_or_else(|| self.error("invalid syntax"))
            }
            _ => Err(self.unexpected(token, context)),
        }
    }

    fn list(&mut self) -> Result<(Vec<Node>, Item), Error> {
        self.deeper()?;
        let mut nodes = Vec::new();
        while self.peek_past_space().kind != TokenKind::Eof {
            match self.text_or_action()? {
                Item::Node(node) => nodes.push(node),
                end => {
                    self.depth -= 1;
                    return Ok((nodes, end));
                }
            }
        }
        Err(self.error("unexpected EOF"))
    }

    fn text_or_action(&mut self) -> Result<Item, Error> {
        let token = self.take_past_space();
        match token.kind {
            TokenKind::Text => Ok(Item::Node(Node::Text(token.text))),
            TokenKind::LeftDelim => {
                self.action = Some(token.offset);
                let item = self.action();
                self.action = None;
                item
            }
            _ => Err(self.unexpected(&token, "input")),
        }
    }

    fn action(&mut self) -> Result<Item, Error> {
        let token = self.take_past_space();
        let keyword = if token.kind == TokenKind::Keyword {
            token.text.as_str()
        } else {
            ""
        };
        Ok(Item::Node(match keyword {
            "block" => self.block()?,
            "break" | "continue" => self.loop_control(keyword)?,
            "else" => {
                // `else if` and `else with` leave their keyword for the control that they end.
                let next = self.peek_past_space();
                let chained =
                    next.kind == TokenKind::Keyword && matches!(next.text.as_str(), "if" | "with");
                if !chained {
                    self.expect(TokenKind::RightDelim, "else")?;
                }
                return Ok(Item::Else);
            }
            "end" => {
                self.expect(TokenKind::RightDelim, "end")?;
                return Ok(Item::End);
            }
            "if" => Node::If(self.branch("if")?),
            "with" => Node::With(self.branch("with")?),
            "range" => Node::Range(self.branch("range")?),
            "template" => {
                const CONTEXT: &str = "template clause";
                let name_token = self.take_past_space();
                let name = self.template_name(&name_token, CONTEXT)?;
                let pipe = if self.peek_past_space().kind == TokenKind::RightDelim {
                    self.take();
                    None
                } else {
                    Some(self.pipeline(CONTEXT, TokenKind::RightDelim)?)
                };
                Node::Template {
                    offset: name_token.offset,
                    name,
                    pipe,
                }
            }
            _ => {
                self.back();
                Node::Action(self.pipeline("command", TokenKind::RightDelim)?)
            }
        }))
    }

    fn block(&mut self) -> Result<Node, Error> {
        const CONTEXT: &str = "block clause";
        let name_token = self.take_past_space();
        let name = self.template_name(&name_token, CONTEXT)?;
        let pipe = self.pipeline(CONTEXT, TokenKind::RightDelim)?;
        self.definition(name.clone(), CONTEXT)?;
        Ok(Node::Template {
            offset: name_token.offset,
            name,
            pipe: Some(pipe),
        })
    }

    fn loop_control(&mut self, keyword: &str) -> Result<Node, Error> {
        let token = self.take_past_space();
        if token.kind != TokenKind::RightDelim {
            return Err(self.unexpected(&token, &format!("{{{{{keyword}}}}}")));
        }
        if self.range_depth == 0 {
            return Err(self.error(format!("{{{{{keyword}}}}} outside {{{{range}}}}")));
        }
        Ok(if keyword == "break" {
            Node::Break
        } else {
            Node::Continue
        })
    }

    fn branch(&mut self, context: &str) -> Result<Branch, Error> {
        self.deeper()?;
        let outer = self.variables.len();
        let pipe = self.pipeline(context, TokenKind::RightDelim)?;
        self.range_depth += usize::from(context == "range");
        let (body, end) = self.list()?;
        self.range_depth -= usize::from(context == "range");
        let mut otherwise = Vec::new();
        if matches!(end, Item::Else) {
            let next = self.peek();
            if next.kind == TokenKind::Keyword && next.text == context && context != "range" {
                self.take();
                // One `end` closes the whole chain.
                let branch = self.branch(context)?;
                otherwise.push(if context == "if" {
                    Node::If(branch)
                } else {
                    Node::With(branch)
                });
            } else {
                let (nodes, end) = self.list()?;
                if !matches!(end, Item::End) {
                    return Err(self.error(format!("expected end; found {end}")));
                }
                otherwise = nodes;
            }
        }
        self.variables.truncate(outer);
        self.depth -= 1;
        Ok(Branch {
            pipe,
            body,
            otherwise,
        })
    }

    fn pipeline(&mut self, context: &str, end: TokenKind) -> Result<Pipe, Error> {
        let offset = self.peek_past_space().offset;
        let mut pipe = Pipe {
            offset,
            assign: false,
            variables: Vec::new(),
            commands: Vec::new(),
        };
        self.declarations(&mut pipe, context)?;
        loop {
            let token = self.take_past_space();
            match token.kind {
                kind if kind == end => break,
                TokenKind::Bool
                | TokenKind::CharConstant
                | TokenKind::Dot
                | TokenKind::Field
                | TokenKind::Identifier
                | TokenKind::Number
                | TokenKind::Nil
                | TokenKind::RawStr
                | TokenKind::Str
                | TokenKind::Variable
                | TokenKind::LeftParen => {
                    self.back();
                    let command = self.command()?;
                    pipe.commands.push(command);
                }
                _ => return Err(self.unexpected(&token, context)),
            }
        }
        if pipe.commands.is_empty() {
            return Err(self.error(format!("missing value for {context}")));
        }
        for (index, command) in pipe.commands.iter().enumerate().skip(1) {
            if matches!(
                command.words[0].kind,
                ExprKind::Bool(_)
                    | ExprKind::Dot
                    | ExprKind::Nil
                    | ExprKind::Number(_)
                    | ExprKind::Str(..)
            ) {
                return Err(self.error(format!(
                    "non executable command in pipeline stage {}",
                    index + 1
                )));
            }
        }
        Ok(pipe)
    }

    /// `$x :=`, `$x =` and, in a range, `$x, $y :=`.
    fn declarations(&mut self, pipe: &mut Pipe, context: &str) -> Result<(), Error> {
        while self.peek_past_space().kind == TokenKind::Variable {
            let start = self.next;
            let variable = self.take();
            let next = self.take_past_space();
            let comma = next.kind == TokenKind::Char && next.text == ",";
            match next.kind {
                TokenKind::Assign | TokenKind::Declare => {
                    pipe.assign = next.kind == TokenKind::Assign;
                    pipe.variables.push(variable.text.clone());
                    self.variables.push(variable.text);
                    return Ok(());
                }
                _ if comma => {
                    pipe.variables.push(variable.text.clone());
                    self.variables.push(variable.text);
                    if context != "range" || pipe.variables.len() >= 2 {
                        return Err(self.error(format!("too many declarations in {context}")));
                    }
                    if self.peek_past_space().kind != TokenKind::Variable {
                        return Err(self.error("range can only initialize variables"));
                    }
                }
                _ => {
                    self.next = start;
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn command(&mut self) -> Result<Command, Error> {
        let mut words = Vec::new();
        loop {
            self.skip_space();
            if let Some(word) = self.operand()? {
                words.push(word);
            }
            let token = self.take();
            match token.kind {
                TokenKind::Space => continue,
                TokenKind::RightDelim | TokenKind::RightParen => self.back(),
                TokenKind::Pipe => {}
                _ => return Err(self.unexpected(&token, "operand")),
            }
            break;
        }
        if words.is_empty() {
            return Err(self.error("empty command"));
        }
        Ok(Command { words })
    }

    fn operand(&mut self) -> Result<Option<Expr>, Error> {
        let Some(term) = self.term()? else {
            return Ok(None);
        };
        if self.peek().kind != TokenKind::Field {
            return Ok(Some(term));
        }
        let offset = self.peek().offset;
        let mut names = Vec::new();
        while self.peek().kind == TokenKind::Field {
            names.push(self.take().text[1..].to_owned());
        }
        let kind = match term.kind {
            ExprKind::Field(mut first) => {
                first.append(&mut names);
                ExprKind::Field(first)
            }
            ExprKind::Variable(name, mut first) => {
                first.append(&mut names);
                ExprKind::Variable(name, first)
            }
            ExprKind::Bool(_)
            | ExprKind::Str(..)
            | ExprKind::Number(_)
            | ExprKind::Nil
            | ExprKind::Dot => {
                return Err(self.error(format!("unexpected . after term {:?}", term.to_string())));
            }
            ExprKind::Chain(..) | ExprKind::Function(_) | ExprKind::Pipe(_) => {
                ExprKind::Chain(Box::new(term), names)
            }
        };
        Ok(Some(Expr { offset, kind }))
    }

    fn term(&mut self) -> Result<Option<Expr>, Error> {
        let token = self.take_past_space();
        let kind = match token.kind {
            TokenKind::Identifier => {
                self.check_function(&token)?;
                ExprKind::Function(token.text)
            }
            TokenKind::Dot => ExprKind::Dot,
            TokenKind::Nil => ExprKind::Nil,
            TokenKind::Variable => {
                if !self.variables.contains(&token.text) {
                    return Err(self.undefined_variable(&token.text));
                }
                ExprKind::Variable(token.text, Vec::new())
            }
            TokenKind::Field => ExprKind::Field(vec![token.text[1..].to_owned()]),
            TokenKind::Bool => ExprKind::Bool(token.text == "true"),
            TokenKind::CharConstant | TokenKind::Number => {
                ExprKind::Number(parse_number(&token.text).map_err(|message| self.error(message))?)
            }
            TokenKind::LeftParen => {
                self.deeper()?;
                let pipe = self.pipeline("parenthesized pipeline", TokenKind::RightParen)?;
                self.depth -= 1;
                ExprKind::Pipe(pipe)
            }
            TokenKind::Str | TokenKind::RawStr => {
                let text = unquote(&token.text).ok_or_else(|| self.error("invalid syntax"))?;
                ExprKind::Str(Arc::from(text), token.text)
            }
            _ => {
                self.back();
                return Ok(None);
            }
        };
        Ok(Some(Expr {
            offset: token.offset,
            kind,
        }))
    }

    fn check_function(&self, token: &Token) -> Result<(), Error> {
        let name = token.text.as_str();
        if builtins::signature(name).is_some() || self.functions.signature(name).is_some() {
            return Ok(());
        }
        Err(self.error_with(
            format!("function {name:?} not defined"),
            hints::unknown_function(name, self.functions),
        ))
    }

    fn undefined_variable(&self, name: &str) -> Error {
        let hint = gameday_signal::nearest(name, self.variables.iter().map(String::as_str))
            .map(|near| format!("did you mean {near:?}?"));
        self.error_with(format!("undefined variable {name:?}"), hint)
    }
}

/// A token as Go prints it in messages.
fn describe(token: &Token) -> String {
    match token.kind {
        TokenKind::Eof => "EOF".to_owned(),
        TokenKind::Error => token.text.clone(),
        TokenKind::Keyword => format!("<{}>", token.text),
        _ if token.text.chars().count() > 10 => {
            let start: String = token.text.chars().take(10).collect();
            format!("{start:?}...")
        }
        _ => format!("{:?}", token.text),
    }
}

//! The grammar of expressions (cel-spec, "Syntax").

use super::functions;
use super::token::{Token, problem, tokens};

/// Levels of brackets, operators and calls within each other.
const DEPTH_MAX: usize = 100;
/// Words that CEL keeps for itself.
const RESERVED: [&str; 15] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
];

/// An operator between two values, both of which are evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    Rem,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    In,
}

/// What a macro makes of the items of a list, or the keys of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Macro {
    All,
    Exists,
    ExistsOne,
    Filter,
    Map,
}

/// A part of an expression.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(String),
    Bytes(Vec<u8>),
    /// `body`, a type, or what a macro has named.
    Name(String),
    List(Vec<Self>),
    Map(Vec<(Self, Self)>),
    Select(Box<Self>, String),
    /// `has(of.field)`.
    Has(Box<Self>, String),
    Index(Box<Self>, Box<Self>),
    Not(Box<Self>),
    Negate(Box<Self>),
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
    If(Box<[Self; 3]>),
    Binary(Binary, Box<Self>, Box<Self>),
    /// A function with all its arguments; that of a method is the first of them.
    Call(String, Vec<Self>),
    /// A macro with the name of its item, its condition (all but `map` with two arguments) and what `map` maps to.
    Macro {
        kind: Macro,
        of: Box<Self>,
        item: String,
        condition: Option<Box<Self>>,
        result: Option<Box<Self>>,
    },
}

/// Reads an expression.
pub(super) fn parse(text: &str) -> Result<Node, String> {
    let mut parser = Parser {
        text,
        tokens: tokens(text)?,
        at: 0,
        depth: 0,
        names: Vec::new(),
    };
    let node = parser.expression()?;
    match parser.peek() {
        Token::End => Ok(node),
        _ => Err(parser.unexpected("the end")),
    }
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<(Token, usize)>,
    at: usize,
    depth: usize,
    /// What the macros around have named.
    names: Vec<String>,
}

impl Parser<'_> {
    fn peek(&self) -> &Token {
        // The last is the end, and nobody goes beyond it.
        &self.tokens[self.at.min(self.tokens.len() - 1)].0
    }

    fn take(&mut self) -> Token {
        let token = self.peek().clone();
        self.at += 1;
        token
    }

    fn takes(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Token::Sign(own) if *own == sign);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, sign: &str) -> Result<(), String> {
        if self.takes(sign) {
            return Ok(());
        }
        Err(self.unexpected(sign))
    }

    fn problem(&self, what: impl std::fmt::Display) -> String {
        let at = self.tokens[self.at.min(self.tokens.len() - 1)].1;
        problem(self.text, at, what)
    }

    fn unexpected(&self, expected: &str) -> String {
        let found = match self.peek() {
            Token::End => "the end".to_owned(),
            Token::Sign(sign) => format!("{sign:?}"),
            Token::Identifier(name) => format!("{name:?}"),
            _ => "a value".to_owned(),
        };
        self.problem(format!("expected {expected}, found {found}"))
    }

    /// One level deeper.
    fn deeper<T>(
        &mut self,
        inner: impl FnOnce(&mut Self) -> Result<T, String>,
    ) -> Result<T, String> {
        if self.depth == DEPTH_MAX {
            return Err(self.problem(format!("more than {DEPTH_MAX} levels")));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    fn expression(&mut self) -> Result<Node, String> {
        self.deeper(|parser| {
            let condition = parser.or()?;
            if !parser.takes("?") {
                return Ok(condition);
            }
            let then = parser.or()?;
            parser.expect(":")?;
            let other = parser.expression()?;
            Ok(Node::If(Box::new([condition, then, other])))
        })
    }

    fn or(&mut self) -> Result<Node, String> {
        let mut parts = vec![self.and()?];
        while self.takes("||") {
            parts.push(self.and()?);
        }
        Ok(balanced(parts, Node::Or))
    }

    fn and(&mut self) -> Result<Node, String> {
        let mut parts = vec![self.relation()?];
        while self.takes("&&") {
            parts.push(self.relation()?);
        }
        Ok(balanced(parts, Node::And))
    }

    fn relation(&mut self) -> Result<Node, String> {
        let mut node = self.sum()?;
        for links in 0.. {
            let operator = match self.peek() {
                Token::Sign("==") => Binary::Eq,
                Token::Sign("!=") => Binary::Ne,
                Token::Sign("<") => Binary::Lt,
                Token::Sign("<=") => Binary::Le,
                Token::Sign(">") => Binary::Gt,
                Token::Sign(">=") => Binary::Ge,
                Token::Identifier(name) if name == "in" => Binary::In,
                _ => break,
            };
            node = self.link(operator, node, links, Self::sum)?;
        }
        Ok(node)
    }

    fn sum(&mut self) -> Result<Node, String> {
        let mut node = self.product()?;
        for links in 0.. {
            let operator = match self.peek() {
                Token::Sign("+") => Binary::Add,
                Token::Sign("-") => Binary::Sub,
                _ => break,
            };
            node = self.link(operator, node, links, Self::product)?;
        }
        Ok(node)
    }

    fn product(&mut self) -> Result<Node, String> {
        let mut node = self.unary()?;
        for links in 0.. {
            let operator = match self.peek() {
                Token::Sign("*") => Binary::Mul,
                Token::Sign("/") => Binary::Div,
                Token::Sign("%") => Binary::Rem,
                _ => break,
            };
            node = self.link(operator, node, links, Self::unary)?;
        }
        Ok(node)
    }

    /// Another link of a chain, each of which lies within the next.
    fn link(
        &mut self,
        operator: Binary,
        left: Node,
        links: usize,
        next: fn(&mut Self) -> Result<Node, String>,
    ) -> Result<Node, String> {
        if links >= DEPTH_MAX {
            return Err(self.problem(format!("more than {DEPTH_MAX} operators in a chain")));
        }
        self.at += 1;
        let right = next(self)?;
        Ok(Node::Binary(operator, Box::new(left), Box::new(right)))
    }

    fn unary(&mut self) -> Result<Node, String> {
        self.deeper(|parser| {
            if parser.takes("!") {
                return Ok(Node::Not(Box::new(parser.unary()?)));
            }
            if !parser.takes("-") {
                return parser.member();
            }
            let literal = match parser.peek() {
                Token::Int(number) => Node::Int(-number),
                Token::IntMin => Node::Int(i64::MIN),
                Token::Double(number) => Node::Double(-number),
                _ => return Ok(Node::Negate(Box::new(parser.unary()?))),
            };
            parser.at += 1;
            parser.selectors(literal)
        })
    }

    fn member(&mut self) -> Result<Node, String> {
        let node = self.primary()?;
        self.selectors(node)
    }

    fn selectors(&mut self, mut node: Node) -> Result<Node, String> {
        for links in 0.. {
            if links > DEPTH_MAX {
                return Err(self.problem(format!("more than {DEPTH_MAX} selections in a chain")));
            }
            if self.takes("[") {
                let index = self.expression()?;
                self.expect("]")?;
                node = Node::Index(Box::new(node), Box::new(index));
            } else if self.takes(".") {
                let Token::Identifier(name) = self.peek().clone() else {
                    return Err(self.unexpected("a name after the dot"));
                };
                self.at += 1;
                node = if self.takes("(") {
                    self.method(node, name)?
                } else {
                    Node::Select(Box::new(node), name)
                };
            } else {
                break;
            }
        }
        Ok(node)
    }

    fn method(&mut self, of: Node, name: String) -> Result<Node, String> {
        let kind = match name.as_str() {
            "all" => Macro::All,
            "exists" => Macro::Exists,
            "exists_one" | "existsOne" => Macro::ExistsOne,
            "filter" => Macro::Filter,
            "map" => Macro::Map,
            _ => {
                let mut arguments = self.arguments()?;
                arguments.insert(0, of);
                return self.call(name, arguments, true);
            }
        };
        let Token::Identifier(item) = self.take() else {
            self.at -= 1;
            return Err(self.unexpected("the name of an item"));
        };
        self.expect(",")?;
        self.names.push(item.clone());
        let first = Box::new(self.expression()?);
        let second = if kind == Macro::Map && self.takes(",") {
            Some(Box::new(self.expression()?))
        } else {
            None
        };
        self.names.pop();
        self.expect(")")?;
        let (condition, result) = match (kind, second) {
            (Macro::Map, None) => (None, Some(first)),
            (_, second) => (Some(first), second),
        };
        Ok(Node::Macro {
            kind,
            of: Box::new(of),
            item,
            condition,
            result,
        })
    }

    fn call(&self, name: String, arguments: Vec<Node>, is_method: bool) -> Result<Node, String> {
        match functions::takes(&name, arguments.len(), is_method) {
            Ok(()) => Ok(Node::Call(name, arguments)),
            Err(what) => Err(self.problem(what)),
        }
    }

    fn arguments(&mut self) -> Result<Vec<Node>, String> {
        let mut arguments = Vec::new();
        if self.takes(")") {
            return Ok(arguments);
        }
        loop {
            arguments.push(self.expression()?);
            if self.takes(")") {
                return Ok(arguments);
            }
            self.expect(",")?;
        }
    }

    fn primary(&mut self) -> Result<Node, String> {
        let token = self.take();
        Ok(match token {
            Token::Int(number) => Node::Int(number),
            Token::Uint(number) => Node::Uint(number),
            Token::Double(number) => Node::Double(number),
            Token::Text(text) => Node::Text(text),
            Token::Bytes(bytes) => Node::Bytes(bytes),
            Token::Identifier(name) => return self.named(name),
            Token::Sign("(") => {
                let node = self.expression()?;
                self.expect(")")?;
                node
            }
            Token::Sign("[") => Node::List(self.items()?),
            Token::Sign("{") => Node::Map(self.entries()?),
            Token::IntMin | Token::Sign(_) | Token::End => {
                self.at -= 1;
                return Err(self.unexpected("a value"));
            }
        })
    }

    fn named(&mut self, name: String) -> Result<Node, String> {
        match name.as_str() {
            "null" => return Ok(Node::Null),
            "true" => return Ok(Node::Bool(true)),
            "false" => return Ok(Node::Bool(false)),
            _ => {}
        }
        if RESERVED.contains(&name.as_str()) || name == "in" {
            self.at -= 1;
            return Err(self.problem(format!("{name:?} is a reserved word")));
        }
        if self.takes("(") {
            if name == "has" {
                let node = self.expression()?;
                self.expect(")")?;
                let Node::Select(of, field) = node else {
                    return Err(self.problem("has() takes a selection, as in has(body.status)"));
                };
                return Ok(Node::Has(of, field));
            }
            let arguments = self.arguments()?;
            return self.call(name, arguments, false);
        }
        let known = name == "body" || self.names.contains(&name) || functions::is_type(&name);
        if !known {
            self.at -= 1;
            return Err(self.problem(format!(
                "undeclared reference to {name:?} (the answer's body is \"body\")"
            )));
        }
        Ok(Node::Name(name))
    }

    fn items(&mut self) -> Result<Vec<Node>, String> {
        let mut items = Vec::new();
        while !self.takes("]") {
            items.push(self.expression()?);
            if !self.takes(",") {
                self.expect("]")?;
                break;
            }
        }
        Ok(items)
    }

    fn entries(&mut self) -> Result<Vec<(Node, Node)>, String> {
        let mut entries = Vec::new();
        while !self.takes("}") {
            let key = self.expression()?;
            self.expect(":")?;
            entries.push((key, self.expression()?));
            if !self.takes(",") {
                self.expect("}")?;
                break;
            }
        }
        Ok(entries)
    }
}

/// A chain of `&&` or `||` as a tree that is no deeper than it must be.
fn balanced(mut parts: Vec<Node>, join: fn(Box<Node>, Box<Node>) -> Node) -> Node {
    while parts.len() > 1 {
        let mut joined = Vec::with_capacity(parts.len().div_ceil(2));
        let mut rest = parts.into_iter();
        while let Some(left) = rest.next() {
            joined.push(match rest.next() {
                Some(right) => join(Box::new(left), Box::new(right)),
                None => left,
            });
        }
        parts = joined;
    }
    // A chain has one part at least.
    parts.pop().unwrap_or(Node::Null)
}

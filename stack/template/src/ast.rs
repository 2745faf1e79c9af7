//! The tree of a template, and how its parts print in error messages.

use std::fmt;
use std::sync::Arc;

/// A named template.
#[derive(Debug)]
pub(crate) struct Template {
    /// The name under which it is found.
    pub(crate) name: String,
    /// The name of the text it stands in.
    pub(crate) parse_name: String,
    /// The text it stands in.
    pub(crate) source: Arc<str>,
    /// What it does.
    pub(crate) body: Vec<Node>,
}

impl Template {
    /// Whether it holds nothing but space, so that it does not replace another of its name.
    pub(crate) fn is_empty(&self) -> bool {
        self.body
            .iter()
            .all(|node| matches!(node, Node::Text(text) if text.trim().is_empty()))
    }
}

/// One step of a template.
#[derive(Debug)]
pub(crate) enum Node {
    /// Text to copy.
    Text(String),
    /// A pipeline whose value is printed, unless it declares variables.
    Action(Pipe),
    /// `if`.
    If(Branch),
    /// `with`.
    With(Branch),
    /// `range`.
    Range(Branch),
    /// `template`.
    Template {
        offset: usize,
        name: String,
        pipe: Option<Pipe>,
    },
    /// `break`.
    Break,
    /// `continue`.
    Continue,
}

/// A condition or sequence with its two bodies.
#[derive(Debug)]
pub(crate) struct Branch {
    pub(crate) pipe: Pipe,
    pub(crate) body: Vec<Node>,
    pub(crate) otherwise: Vec<Node>,
}

/// Commands, each given the value of the one before as its last argument.
#[derive(Debug)]
pub(crate) struct Pipe {
    pub(crate) offset: usize,
    /// Whether the variables are set (`=`) and not declared (`:=`).
    pub(crate) assign: bool,
    pub(crate) variables: Vec<String>,
    pub(crate) commands: Vec<Command>,
}

/// A function or value with its arguments.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) words: Vec<Expr>,
}

/// A value or a function's name.
#[derive(Debug)]
pub(crate) struct Expr {
    pub(crate) offset: usize,
    pub(crate) kind: ExprKind,
}

#[derive(Debug)]
pub(crate) enum ExprKind {
    Dot,
    Nil,
    Bool(bool),
    Number(Number),
    /// The text, and how it was written.
    Str(Arc<str>, String),
    /// `.a.b`
    Field(Vec<String>),
    /// `$x.a.b`
    Variable(String, Vec<String>),
    /// `(pipe).a.b`
    Chain(Box<Expr>, Vec<String>),
    /// A function's name.
    Function(String),
    /// A pipeline in parentheses.
    Pipe(Pipe),
}

/// A constant, which takes the type that its place asks for.
#[derive(Debug)]
pub(crate) struct Number {
    pub(crate) written: String,
    pub(crate) int: Option<i64>,
    pub(crate) float: f64,
    /// Whether it is a float where the place asks for nothing.
    pub(crate) prefers_float: bool,
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ExprKind::Dot => f.write_str("."),
            ExprKind::Nil => f.write_str("nil"),
            ExprKind::Bool(truth) => write!(f, "{truth}"),
            ExprKind::Number(number) => f.write_str(&number.written),
            ExprKind::Str(_, written) => f.write_str(written),
            ExprKind::Field(names) => write_fields(f, names),
            ExprKind::Variable(name, names) => {
                f.write_str(name)?;
                write_fields(f, names)
            }
            ExprKind::Chain(inner, names) => {
                if matches!(inner.kind, ExprKind::Pipe(_)) {
                    write!(f, "({inner})")?;
                } else {
                    write!(f, "{inner}")?;
                }
                write_fields(f, names)
            }
            ExprKind::Function(name) => f.write_str(name),
            ExprKind::Pipe(pipe) => write!(f, "{pipe}"),
        }
    }
}

fn write_fields(f: &mut fmt::Formatter<'_>, names: &[String]) -> fmt::Result {
    names.iter().try_for_each(|name| write!(f, ".{name}"))
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, word) in self.words.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            if matches!(word.kind, ExprKind::Pipe(_)) {
                write!(f, "({word})")?;
            } else {
                write!(f, "{word}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.variables.is_empty() {
            write!(f, "{}", self.variables.join(", "))?;
            f.write_str(if self.assign { " = " } else { " := " })?;
        }
        for (index, command) in self.commands.iter().enumerate() {
            if index > 0 {
                f.write_str(" | ")?;
            }
            write!(f, "{command}")?;
        }
        Ok(())
    }
}

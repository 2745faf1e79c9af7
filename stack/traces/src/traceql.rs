//! TraceQL: text to a checked tree.

pub(crate) mod ast;
mod constant;
mod display;
mod field;
mod lenient;
mod lexer;
mod parser;
mod validate;
pub(crate) mod value;

use std::fmt;

use gameday_query::{ParseError, Position};
use gameday_signal::did_you_mean;

use ast::{Body, Hint, Static};
pub(crate) use constant::as_float;
pub(crate) use display::{format_nanos, kind_name, status_name};
pub(crate) use lexer::unquote_name;
use validate::Finding;
pub(crate) use validate::compile_regex;

/// A TraceQL query that has been read and checked.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceQuery {
    pub(crate) body: Body,
    pub(crate) hints: Vec<Hint>,
}

/// What is wrong with a TraceQL query. The message is Tempo's where it has one.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum QueryError {
    /// The text is no TraceQL.
    #[error("parse error at line {}, col {}: {}", .0.position.line, .0.position.column, .0.message)]
    Syntax(ParseError),
    /// The text is TraceQL that means nothing, such as a comparison of a number with a text.
    #[error("{}", .0.message)]
    Invalid(ParseError),
    /// The text is TraceQL that neither Tempo nor this store runs.
    #[error("{}", .0.message)]
    Unsupported(ParseError),
}

impl QueryError {
    /// What is wrong and where.
    pub fn detail(&self) -> &ParseError {
        match self {
            Self::Syntax(error) | Self::Invalid(error) | Self::Unsupported(error) => error,
        }
    }

    /// Draws the error under the source line, with a hint. `place` names the file that the query stands in and where it begins.
    pub fn render(&self, source: &str, place: Option<(&str, Position)>) -> String {
        self.detail().render(source, place)
    }
}

impl TraceQuery {
    /// Reads and checks a query.
    ///
    /// # Errors
    /// Where it is no TraceQL, or none that can run.
    pub fn parse(source: &str) -> Result<Self, QueryError> {
        let query = Self::parse_unchecked(source)?;
        validate::validate(&query.body).map_err(|finding| {
            let (message, span, wrap): (_, _, fn(ParseError) -> QueryError) = match finding {
                Finding::Invalid(message, span) => (message, span, QueryError::Invalid),
                Finding::Unsupported(message, span) => (message, span, QueryError::Unsupported),
            };
            wrap(ParseError::new(source, span, message))
        })?;
        Ok(query)
    }

    /// Reads a query without checking its types.
    fn parse_unchecked(source: &str) -> Result<Self, QueryError> {
        let (body, hints) = parser::parse(source).map_err(QueryError::Syntax)?;
        Ok(Self { body, hints })
    }

    /// Whether the query computes metrics; a search finds traces.
    pub fn is_metrics(&self) -> bool {
        matches!(self.body, Body::Metrics(_))
    }

    /// The truth value of a hint such as `with(exemplars=true)`.
    pub(crate) fn hint_bool(&self, name: &str) -> Option<bool> {
        self.hints.iter().rev().find_map(|hint| match &hint.value {
            Static::Bool(truth) if hint.name == name => Some(*truth),
            _ => None,
        })
    }

    /// The whole number of a hint such as `with(exemplars=10)`.
    pub(crate) fn hint_int(&self, name: &str) -> Option<i64> {
        self.hints.iter().rev().find_map(|hint| match &hint.value {
            Static::Int(number) if hint.name == name => Some(*number),
            _ => None,
        })
    }

    /// Hints that nobody knows, with advice; Tempo ignores them, and so does this store.
    pub fn unknown_hints(&self) -> Vec<(String, Option<String>)> {
        // Those of Tempo's documentation; the ones about sampling change nothing here, where every span is looked at.
        const KNOWN: [&str; 8] = [
            "most_recent",
            "exemplars",
            "sample",
            "span_sample",
            "trace_sample",
            "skip_optimization",
            "job_size",
            "concurrent_blocks",
        ];
        self.hints
            .iter()
            .filter(|hint| !KNOWN.contains(&hint.name.as_str()))
            .map(|hint| (hint.name.clone(), did_you_mean(&hint.name, KNOWN)))
            .collect()
    }
}

/// Renders the query so that reading it again gives the same tree.
impl fmt::Display for TraceQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.body.fmt(f)?;
        if self.hints.is_empty() {
            return Ok(());
        }
        f.write_str(" with(")?;
        for (index, hint) in self.hints.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            hint.fmt(f)?;
        }
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests;

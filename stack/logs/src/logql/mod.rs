//! LogQL: source text to a tree, and the tree back to text.

mod ast;
mod display;
mod error;
mod filters;
mod lex;
mod parse;
mod pretty;
mod validate;

pub(crate) use ast::function_names;
pub use ast::{
    Conversion, Expr, Extraction, FilterOp, LabelFilter, LabelFormat, LineFilter, LineFilterOp,
    LineMatch, LogExpr, LogRange, MetricExpr, NameOrMatcher, RangeOp, Stage, Unwrap, VectorOp,
};
pub use error::ParseError;
pub use parse::{parse_expr, parse_selector};
pub use pretty::format_query;

//! The language: from source text to a checked tree and back.

mod ast;
mod check;
mod display;
mod functions;
mod lexer;
mod parser;
mod pretty;
mod series_description;

pub(crate) use display::{format_float, is_label_name};

pub use ast::{
    Aggregate, AggregateOp, AtModifier, Binary, DurationExpr, DurationValue, Expr, ExprKind,
    Modifiers, Subquery, ValueType, VectorSelector,
};
pub use functions::{FUNCTIONS, Function};
pub use parser::{ParseOptions, parse, parse_selector, parse_with};
pub use series_description::{
    ClassicHistogram, SequenceValue, SeriesDescription, parse_metric, parse_series_description,
};

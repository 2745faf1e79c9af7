//! Go's text/template, as the rule files of Prometheus and the notifications of Alertmanager use it.
//!
//! ```text
//!   text --lexer--> tokens --parser--> tree (named templates of a TemplateSet)
//!                                        |
//!   data: Value, functions: FunctionSet --executor--> text, or HTML escaped by context
//! ```
//!
//! Entry: [`TemplateSet::parse`] and [`TemplateSet::render`], or [`TemplateSet::render_text`] for a text that refers to the set.
//! The two dialects are [`PrometheusFunctions`] and [`AlertmanagerFunctions`]; [`NotificationData`] is what Alertmanager hands
//! to its templates.
//!
//! Invariants: no clock (`now` is part of the function set), no file, no panic on any input. Errors read as Go's do, with the
//! place as line and column and a hint beside it. Every run is bounded by [`Limits`].

mod alertmanager;
mod ast;
mod builtins;
mod duration;
mod error;
mod eval;
mod exec;
mod float;
mod format;
mod functions;
mod hints;
mod html;
mod html_escape;
mod humanize;
mod json;
mod lexer;
mod notification;
mod parser;
mod prometheus;
mod set;
mod text;
mod time;
mod time_format;
mod value;

pub use alertmanager::AlertmanagerFunctions;
pub use error::{Error, Place};
pub use exec::{Escaping, Limits};
pub use float::{format_float, format_float_precision};
pub use functions::{FunctionSet, Host, NoFunctions, Param, Signature};
pub use humanize::{
    humanize, humanize_1024, humanize_duration, humanize_percentage, humanize_timestamp,
};
pub use notification::{NotificationAlert, NotificationData, kv};
pub use prometheus::{PrometheusFunctions, QueryFunction, QuerySample, table_link};
pub use set::TemplateSet;
pub use time::Time;
pub use value::{Map, Object, SafeKind, Struct, Value};

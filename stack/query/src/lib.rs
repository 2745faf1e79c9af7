//! What PromQL, LogQL and TraceQL share.
//!
//! ```text
//!   source text --Lexer + LexRules--> TokenStream --Pratt + a language's Grammar--> its own tree
//!        |                                                |
//!        +---- SourceSpan, Position ----> ParseError ----render()--> line underlined, hint
//!
//!   BinaryOp, VectorMatching, Grouping, KahanSum, Mean, Variance, quantile: what the trees mean
//! ```
//!
//! A language writes its [`LexRules`], calls [`tokenize`], and implements [`Grammar`]; [`Pratt::expression`] does the rest.
//!
//! Invariants: no input panics; the height of a tree is limited while it is built, so that nothing that walks or drops it can
//! overflow the stack; every error has a span; nothing here knows a language's keywords or functions.

mod aggregate;
mod error;
mod lexer;
mod literal;
mod matching;
mod operator;
mod pratt;
mod span;

pub use aggregate::{Grouping, KahanSum, Mean, Variance, nan_first, quantile};
pub use error::ParseError;
pub use lexer::{
    LexRules, Lexer, Token, TokenKind, TokenStream, bad_number, is_identifier_continue,
    is_identifier_start, tokenize,
};
pub use literal::{LiteralError, parse_go_duration, parse_number, read_string};
pub use matching::{Cardinality, VectorMatching, is_classic_label_name, write_label_list};
pub use operator::BinaryOp;
pub use pratt::{Binding, Grammar, MAX_EXPRESSION_HEIGHT, MAX_EXPRESSION_NESTING, Pratt};
pub use span::{Position, SourceSpan};

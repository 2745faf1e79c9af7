//! CEL, the language of `fail_if_body_json_matches_cel`: expressions over the JSON body of an answer.
//!
//! ```text
//!   "body.status == 'ok'" -- token --> parse --> Expression -- eval over {"body": JSON} --> Bool, or an error
//! ```
//!
//! The Common Expression Language (github.com/google/cel-spec) without protocol buffers' messages and without timestamps and durations, which JSON has
//! no values for: what is not there is refused as the expression is read. Types are looked at as it is evaluated and not before.

mod eval;
mod functions;
mod parse;
mod token;
mod value;

use serde::{Deserialize, Deserializer};

use self::parse::Node;
use self::value::Value;

/// The longest expression.
const EXPRESSION_BYTES_MAX: usize = 16 << 10;

/// An expression over `body`.
#[derive(Clone, Debug)]
pub(crate) struct Expression {
    text: String,
    root: Node,
}

impl Expression {
    /// Reads an expression.
    ///
    /// # Errors
    /// Where it is none, or names something that is not there; with the column.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > EXPRESSION_BYTES_MAX {
            return Err(format!(
                "the CEL expression has more than {EXPRESSION_BYTES_MAX} bytes"
            ));
        }
        let root = parse::parse(text)
            .map_err(|problem| format!("invalid CEL expression, column {problem}: {text}"))?;
        Ok(Self {
            text: text.to_owned(),
            root,
        })
    }

    /// As it was written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Whether it holds for a body.
    ///
    /// # Errors
    /// Where it cannot be evaluated for it, or is neither true nor false.
    pub(crate) fn judge(&self, body: &serde_json::Value) -> Result<bool, String> {
        match eval::evaluate(&self.root, Value::from_json(body))? {
            Value::Bool(value) => Ok(value),
            other => Err(format!("the result is no bool but {}", other.type_name())),
        }
    }
}

impl<'de> Deserialize<'de> for Expression {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;

//! One condition on one label.

use std::fmt;

use regex::{Regex, RegexBuilder};

use crate::{Labels, Quoted};

/// How a matcher compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Regex,
    /// `!~`
    NotRegex,
}

impl MatchOp {
    /// The operator as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Regex => "=~",
            Self::NotRegex => "!~",
        }
    }
}

/// A condition on one label; an absent label counts as the empty text.
///
/// Regular expressions are anchored at both ends and `.` matches a newline, as in Prometheus 3.
#[derive(Clone)]
pub struct Matcher {
    name: String,
    op: MatchOp,
    value: String,
    regex: Option<Regex>,
}

/// Why a matcher could not be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("error parsing regexp {pattern:?}: {reason}")]
pub struct MatcherError {
    /// The pattern that was refused.
    pub pattern: String,
    /// What the regular expression engine said.
    pub reason: String,
}

/// A compiled pattern may take this many bytes: enough for alternations of thousands of names, too little to hurt.
const REGEX_SIZE_LIMIT: usize = 4 << 20;

impl Matcher {
    /// Builds a matcher.
    ///
    /// # Errors
    /// Where `op` takes a regular expression and `value` is none, or is too large when compiled.
    pub fn new(
        name: impl Into<String>,
        op: MatchOp,
        value: impl Into<String>,
    ) -> Result<Self, MatcherError> {
        let value = value.into();
        let regex = match op {
            MatchOp::Equal | MatchOp::NotEqual => None,
            MatchOp::Regex | MatchOp::NotRegex => Some(anchored(&value)?),
        };
        Ok(Self {
            name: name.into(),
            op,
            value,
            regex,
        })
    }

    /// `name="value"`, which cannot fail.
    pub fn equal(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            op: MatchOp::Equal,
            value: value.into(),
            regex: None,
        }
    }

    /// The label that is looked at.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it compares.
    pub fn op(&self) -> MatchOp {
        self.op
    }

    /// The value or pattern as it was written.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Whether `value` satisfies the condition.
    pub fn matches_value(&self, value: &str) -> bool {
        match (self.op, &self.regex) {
            (MatchOp::Equal, _) => self.value == value,
            (MatchOp::NotEqual, _) => self.value != value,
            (MatchOp::Regex, Some(regex)) => regex.is_match(value),
            (MatchOp::NotRegex, Some(regex)) => !regex.is_match(value),
            // A matcher with a regex operator is only built with its regex.
            (MatchOp::Regex | MatchOp::NotRegex, None) => false,
        }
    }

    /// Whether `labels` satisfy the condition.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.matches_value(labels.value_of(&self.name))
    }

    /// Whether an absent label satisfies the condition.
    pub fn matches_empty(&self) -> bool {
        self.matches_value("")
    }
}

fn anchored(pattern: &str) -> Result<Regex, MatcherError> {
    RegexBuilder::new(&format!("^(?s:{pattern})$"))
        .size_limit(REGEX_SIZE_LIMIT)
        .build()
        .map_err(|error| MatcherError {
            pattern: pattern.to_owned(),
            reason: regex_reason(&error),
        })
}

/// The last line of the engine's message, which names the fault; the lines before it draw the wrapped pattern.
fn regex_reason(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.trim_start_matches("error: ").to_owned()
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.op, &self.value) == (&other.name, other.op, &other.value)
    }
}

impl Eq for Matcher {}

/// Renders `name="value"` with Go-like quoting.
impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}{}{}",
            self.name,
            self.op.as_str(),
            Quoted(&self.value)
        )
    }
}

impl fmt::Debug for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regexes_are_anchored_and_see_newlines() {
        let matcher = Matcher::new("a", MatchOp::Regex, "b|c.*").expect("a valid pattern");
        assert!(matcher.matches_value("b"));
        assert!(!matcher.matches_value("xb"));
        assert!(matcher.matches_value("c\nd"));
    }

    #[test]
    fn absent_labels_are_empty() {
        assert!(Matcher::equal("a", "").matches(&Labels::empty()));
        let negative = Matcher::new("a", MatchOp::NotEqual, "b").expect("no pattern");
        assert!(negative.matches(&Labels::empty()));
    }

    #[test]
    fn refuses_a_bad_pattern() {
        let error = Matcher::new("a", MatchOp::Regex, "(").expect_err("unclosed group");
        assert_eq!(
            error.to_string(),
            "error parsing regexp \"(\": unclosed group"
        );
    }
}

//! What is wrong with a query.

use gameday_query::SourceSpan;

/// A mistake in a LogQL query; `Display` gives Loki's text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.text())]
pub struct ParseError {
    /// What is wrong, in Loki's words.
    pub message: String,
    /// The line that Loki names, counted from one; 0 where it names none.
    pub line: usize,
    /// The column that Loki names, counted from one in characters; 0 where it names none.
    pub column: usize,
    /// Where in the source.
    pub span: SourceSpan,
}

impl ParseError {
    /// Draws the error under the line of `source` that it is about.
    pub fn render(&self, source: &str) -> String {
        gameday_query::ParseError::new(source, self.span, self.message.clone()).render(source, None)
    }

    fn text(&self) -> String {
        if (self.line, self.column) == (0, 0) {
            format!("parse error : {}", self.message)
        } else {
            format!(
                "parse error at line {}, col {}: {}",
                self.line, self.column, self.message
            )
        }
    }
}

impl From<gameday_query::ParseError> for ParseError {
    fn from(error: gameday_query::ParseError) -> Self {
        Self {
            message: error.message,
            line: error.position.line,
            column: error.position.column,
            span: error.span,
        }
    }
}

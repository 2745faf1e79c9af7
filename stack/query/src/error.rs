//! What is wrong with an expression, and how a person is shown it.

use std::fmt::Write as _;

use crate::{Position, SourceSpan};

/// A mistake in the text of an expression.
///
/// Its message is that of Prometheus, Loki or Tempo where they have one: a lower-case fragment without a full stop. `Display`
/// gives `line:column: parse error: message`, which is what Prometheus' HTTP API answers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{position}: parse error: {message}")]
pub struct ParseError {
    /// What is wrong.
    pub message: String,
    /// Where in the source.
    pub span: SourceSpan,
    /// Where the span begins.
    pub position: Position,
    /// What would probably be right.
    pub hint: Option<String>,
}

impl ParseError {
    /// An error at `span` of `source`.
    pub fn new(source: &str, span: SourceSpan, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            span,
            position: Position::of(source, span.start),
            hint: None,
        }
    }

    /// The same error with advice.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same error with advice, where there is some.
    #[must_use]
    pub fn with_hint_option(mut self, hint: Option<String>) -> Self {
        self.hint = hint.or(self.hint);
        self
    }

    /// Draws the error under the line of `source` that it is about, as rustc does. `place` names the file and says where in it
    /// the source begins, for an expression that is embedded in a YAML file.
    ///
    /// ```text
    /// error: unknown function with name "rat"
    ///  --> rules.yml:7:13
    ///   |
    /// 7 | sum(rat(x[5m]))
    ///   |     ^^^
    ///   = help: did you mean "rate"?
    /// ```
    pub fn render(&self, source: &str, place: Option<(&str, Position)>) -> String {
        let mut text = format!("error: {}\n", self.message);
        let base = place.map_or(Position::START, |(_, base)| base);
        let shown = self.position.within(base);
        let number = shown.line.to_string();
        let margin = " ".repeat(number.len());
        // The writes below go to a String, which cannot fail.
        let _ = match place {
            Some((file, _)) => writeln!(text, "{margin}--> {file}:{shown}"),
            None => writeln!(text, "{margin}--> {shown}"),
        };
        let line = source
            .lines()
            .nth(self.position.line - 1)
            .unwrap_or_default();
        // Tabs would move the carets away from what they point at.
        let drawn = line.replace('\t', " ");
        let length = self.underlined(source, line);
        let _ = write!(
            text,
            "{margin} |\n{number} | {drawn}\n{margin} | {}{}\n",
            " ".repeat(self.position.column - 1),
            "^".repeat(length)
        );
        if let Some(hint) = &self.hint {
            let _ = writeln!(text, "{margin} = help: {hint}");
        }
        text
    }

    /// How many characters of `line` are underlined: at least one, and none of the next line.
    fn underlined(&self, source: &str, line: &str) -> usize {
        let rest_of_line = line
            .chars()
            .count()
            .saturating_sub(self.position.column - 1);
        self.span
            .text(source)
            .chars()
            .count()
            .min(rest_of_line)
            .max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renders_like_rustc() {
        let source = "sum(\n  rat(x[5m])\n)";
        let error = ParseError::new(
            source,
            SourceSpan::new(7, 10),
            "unknown function with name \"rat\"",
        )
        .with_hint("did you mean \"rate\"?");
        assert_eq!(
            error.to_string(),
            "2:3: parse error: unknown function with name \"rat\""
        );
        let base = Position {
            line: 9,
            column: 15,
        };
        assert_eq!(
            error.render(source, Some(("rules.yml", base))),
            concat!(
                "error: unknown function with name \"rat\"\n",
                "  --> rules.yml:10:3\n",
                "   |\n",
                "10 |   rat(x[5m])\n",
                "   |   ^^^\n",
                "   = help: did you mean \"rate\"?\n",
            )
        );
    }

    #[test]
    fn points_behind_the_end() {
        let error = ParseError::new("1+", SourceSpan::at(2), "unexpected end of input");
        assert_eq!(
            error.render("1+", None),
            "error: unexpected end of input\n --> 1:3\n  |\n1 | 1+\n  |   ^\n"
        );
    }
}

//! Where something stands in the source text.

use std::ops::Range;

/// A range of bytes of the source text, the end exclusive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceSpan {
    /// The first byte.
    pub start: usize,
    /// The byte after the last one.
    pub end: usize,
}

impl SourceSpan {
    /// The bytes from `start` up to, but without, `end`.
    pub const fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    /// The empty span at `offset`.
    pub const fn at(offset: usize) -> Self {
        Self::new(offset, offset)
    }

    /// From the earlier start to the later end.
    #[must_use]
    pub fn to(self, other: Self) -> Self {
        Self::new(self.start.min(other.start), self.end.max(other.end))
    }

    /// The number of bytes.
    pub const fn len(self) -> usize {
        self.end.saturating_sub(self.start)
    }

    /// Whether it covers no byte.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The text that it covers; the empty text where the span does not fit `source`.
    pub fn text(self, source: &str) -> &str {
        source.get(Range::from(self)).unwrap_or_default()
    }
}

impl From<SourceSpan> for Range<usize> {
    fn from(span: SourceSpan) -> Self {
        span.start..span.end
    }
}

/// A line and a column, both counted from one, the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The character within the line.
    pub column: usize,
}

impl Position {
    /// The start of a text.
    pub const START: Self = Self { line: 1, column: 1 };

    /// The position of byte `offset` of `source`; of its end where the offset lies behind it.
    pub fn of(source: &str, offset: usize) -> Self {
        let mut end = offset.min(source.len());
        while !source.is_char_boundary(end) {
            end -= 1;
        }
        let before = &source[..end];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }

    /// Where `self`, counted within an embedded text, stands in the file whose position `base` is the start of that text.
    #[must_use]
    pub const fn within(self, base: Self) -> Self {
        let column = if self.line == 1 {
            self.column + base.column - 1
        } else {
            self.column
        };
        Self {
            line: self.line + base.line - 1,
            column,
        }
    }
}

/// Renders `line:column`.
impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters() {
        let source = "ab\nü+c";
        for (offset, line, column) in [(0, 1, 1), (2, 1, 3), (3, 2, 1), (5, 2, 2), (99, 2, 4)] {
            assert_eq!(Position::of(source, offset), Position { line, column });
        }
        // An offset inside a character counts as that character.
        assert_eq!(Position::of(source, 4).column, 1);
    }

    #[test]
    fn embedded_positions_shift() {
        let base = Position {
            line: 7,
            column: 11,
        };
        assert_eq!(
            Position { line: 1, column: 3 }.within(base).to_string(),
            "7:13"
        );
        assert_eq!(
            Position { line: 2, column: 3 }.within(base).to_string(),
            "8:3"
        );
    }

    #[test]
    fn spans_join_and_cut() {
        let span = SourceSpan::new(1, 2).to(SourceSpan::new(4, 5));
        assert_eq!(span.text("abcdef"), "bcde");
        assert_eq!(span.text("ab"), "");
        assert_eq!((span.len(), span.is_empty()), (4, false));
    }
}

//! logfmt: `key=value key="quoted value" flag`.

use std::borrow::Cow;

/// What is wrong with a part of a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("logfmt syntax error at pos {position} : {reason}")]
pub(crate) struct LogfmtError {
    /// The byte, counted from one.
    position: usize,
    reason: String,
}

/// Reads pairs one after the other; behind a fault it goes on with the next word.
pub(crate) struct Decoder<'a> {
    line: &'a str,
    at: usize,
}

impl<'a> Decoder<'a> {
    pub(crate) fn new(line: &'a str) -> Self {
        Self { line, at: 0 }
    }

    /// The next pair or fault; none at the end of the line.
    pub(crate) fn next_pair(&mut self) -> Option<Result<(&'a str, Cow<'a, str>), LogfmtError>> {
        let bytes = self.line.as_bytes();
        while bytes.get(self.at).is_some_and(|byte| *byte <= b' ') {
            self.at += 1;
        }
        if self.at >= bytes.len() {
            return None;
        }
        let start = self.at;
        while let Some(&byte) = bytes.get(self.at) {
            match byte {
                b'=' | b'"' if self.at == start || byte == b'"' => {
                    return Some(Err(self.unexpected(byte)));
                }
                b'=' => {
                    let key = &self.line[start..self.at];
                    self.at += 1;
                    return Some(self.value().map(|value| (key, value)));
                }
                0..=b' ' => break,
                _ => self.at += 1,
            }
        }
        Some(Ok((&self.line[start..self.at], Cow::Borrowed(""))))
    }

    fn value(&mut self) -> Result<Cow<'a, str>, LogfmtError> {
        let bytes = self.line.as_bytes();
        if bytes.get(self.at) == Some(&b'"') {
            return self.quoted();
        }
        let start = self.at;
        while let Some(&byte) = bytes.get(self.at) {
            match byte {
                b'=' | b'"' => return Err(self.unexpected(byte)),
                0..=b' ' => break,
                _ => self.at += 1,
            }
        }
        Ok(Cow::Borrowed(&self.line[start..self.at]))
    }

    fn quoted(&mut self) -> Result<Cow<'a, str>, LogfmtError> {
        let bytes = self.line.as_bytes();
        let start = self.at + 1;
        let mut at = start;
        let mut has_escape = false;
        loop {
            match bytes.get(at) {
                None => {
                    self.at = bytes.len();
                    return Err(self.error("unterminated quoted value".to_owned()));
                }
                Some(b'\\') => {
                    has_escape = true;
                    at += 2;
                }
                Some(b'"') => break,
                Some(_) => at += 1,
            }
        }
        self.at = at + 1;
        let raw = &self.line[start..at];
        if !has_escape {
            return Ok(Cow::Borrowed(raw));
        }
        match super::json::unescape(raw) {
            Cow::Owned(value) => Ok(Cow::Owned(value)),
            // Only a text with a bad escape comes back borrowed.
            Cow::Borrowed(_) => Err(self.error("invalid quoted value".to_owned())),
        }
    }

    /// A fault at a byte that may not be here; the rest of the word is skipped.
    fn unexpected(&mut self, byte: u8) -> LogfmtError {
        let error = self.error(format!("unexpected '{}'", char::from(byte)));
        let rest = &self.line.as_bytes()[self.at..];
        self.at += rest
            .iter()
            .position(|byte| *byte <= b' ')
            .unwrap_or(rest.len());
        error
    }

    fn error(&self, reason: String) -> LogfmtError {
        LogfmtError {
            position: self.at + 1,
            reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: &str) {
        let mut decoder = Decoder::new(line);
        let mut seen = Vec::new();
        while let Some(pair) = decoder.next_pair() {
            seen.push(match pair {
                Ok((key, value)) => format!("{key}:{value}"),
                Err(error) => format!("!{}", error.position),
            });
        }
        assert_eq!(seen.join("|"), expected, "{line}");
    }

    #[test]
    fn reads_pairs_and_goes_on_behind_faults() {
        check("a=1 b=\"x y\" flag c=", "a:1|b:x y|flag:|c:");
        check(r#"a="x\"y\n" b=2"#, "a:x\"y\n|b:2");
        check("=x a=1", "!1|a:1");
        check("a=b=c d=1", "!4|d:1");
        check("a\"b c=1", "!2|c:1");
        check("a=\"open", "!8");
        check("   ", "");
        check("a=é ü=1", "a:é|ü:1");
    }
}

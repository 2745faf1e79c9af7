//! What the text formats share: series, label sets and their escapes.

use std::borrow::Cow;

use super::ParseError;

/// Which of the two text grammars is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grammar {
    /// text 0.0.4: blanks and tabs between all tokens, a trailing comma in label sets.
    Text,
    /// OpenMetrics 1.0: single blanks, in the places that the specification names.
    OpenMetrics,
}

/// What a byte is in a classic name; the rest is zero. Names are most of an exposition.
const LETTER: u8 = 1;
const DIGIT: u8 = 2;
const COLON: u8 = 4;
const NAME_BYTES: [u8; 256] = {
    let mut kinds = [0; 256];
    let mut byte = 0;
    while byte < kinds.len() {
        kinds[byte] = match byte as u8 {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => LETTER,
            b'0'..=b'9' => DIGIT,
            b':' => COLON,
            _ => 0,
        };
        byte += 1;
    }
    kinds
};

/// One line and how far it is read. Columns count bytes from 1.
pub(super) struct Line<'a> {
    pub(super) text: &'a str,
    pub(super) number: usize,
    pub(super) at: usize,
    pub(super) grammar: Grammar,
}

impl<'a> Line<'a> {
    pub(super) fn new(text: &'a str, number: usize, grammar: Grammar) -> Self {
        Self {
            text,
            number,
            at: 0,
            grammar,
        }
    }

    pub(super) fn error(&self, message: impl Into<String>) -> ParseError {
        self.error_at(self.at, message)
    }

    pub(super) fn error_at(&self, at: usize, message: impl Into<String>) -> ParseError {
        ParseError {
            line: self.number,
            column: at + 1,
            message: message.into(),
        }
    }

    pub(super) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    pub(super) fn is_done(&self) -> bool {
        self.at == self.text.len()
    }

    /// Reads `byte` if it is next.
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Skips blanks and tabs where the grammar has them between tokens.
    pub(super) fn skip_blanks(&mut self) {
        if self.grammar == Grammar::Text {
            while matches!(self.peek(), Some(b' ' | b'\t')) {
                self.at += 1;
            }
        }
    }

    /// Reads up to the next blank (or tab in the text grammar) or the end.
    pub(super) fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let length = rest
            .bytes()
            .position(|byte| byte == b' ' || (byte == b'\t' && self.grammar == Grammar::Text))
            .unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    /// What stands here, for messages.
    pub(super) fn found(&self) -> String {
        match self.rest().chars().next() {
            Some(character) => format!("{character:?}"),
            None => "the end of the line".to_owned(),
        }
    }

    /// Reads a classic metric name (`[a-zA-Z_:][a-zA-Z0-9_:]*`); empty where none stands here.
    pub(super) fn metric_name(&mut self) -> &'a str {
        self.name(true)
    }

    fn name(&mut self, colons: bool) -> &'a str {
        let rest = self.rest();
        let bytes = rest.as_bytes();
        let may_begin = if colons { LETTER | COLON } else { LETTER };
        let may_follow = may_begin | DIGIT;
        let is = |byte: &u8, kinds: u8| NAME_BYTES[usize::from(*byte)] & kinds != 0;
        let mut length = 0;
        if bytes.first().is_some_and(|byte| is(byte, may_begin)) {
            let behind = bytes.iter().position(|byte| !is(byte, may_follow));
            length = behind.unwrap_or(bytes.len());
        }
        self.at += length;
        &rest[..length]
    }

    /// Reads a quoted text, with the escapes `\\`, `\"` and `\n`; other escapes stay as they are.
    pub(super) fn quoted(&mut self) -> Result<Cow<'a, str>, ParseError> {
        let start = self.at;
        if !self.take(b'"') {
            return Err(self.error(format!("expected '\"', found {}", self.found())));
        }
        let body = self.rest();
        let bytes = body.as_bytes();
        let mut at = 0;
        let mut escaped = false;
        loop {
            match memchr::memchr2(b'"', b'\\', &bytes[at..]) {
                None => return Err(self.error_at(start, "quoted text is not closed")),
                Some(offset) if bytes[at + offset] == b'"' => {
                    at += offset;
                    break;
                }
                Some(offset) => {
                    escaped = true;
                    // The byte behind a backslash never ends the text.
                    at = (at + offset + 2).min(bytes.len());
                }
            }
        }
        self.at += at + 1;
        let body = &body[..at];
        Ok(if escaped {
            Cow::Owned(unescape(body, true))
        } else {
            Cow::Borrowed(body)
        })
    }

    /// Reads a label set from its `{` to its `}` and hands each pair to `on_label`; the name of a UTF-8 metric comes as
    /// (`__name__`, name). `has_name` says that a name stood before the brace.
    pub(super) fn label_set(
        &mut self,
        has_name: bool,
        mut on_label: impl FnMut(Cow<'a, str>, Cow<'a, str>),
    ) -> Result<(), ParseError> {
        let open = self.at;
        self.at += 1;
        let mut named = has_name;
        let mut first = true;
        loop {
            self.skip_blanks();
            if self.peek() == Some(b'}') && (first || self.grammar == Grammar::Text) {
                self.at += 1;
                break;
            }
            let start = self.at;
            let (name, was_quoted) = if self.peek() == Some(b'"') {
                (self.quoted()?, true)
            } else {
                (Cow::Borrowed(self.name(false)), false)
            };
            if name.is_empty() {
                return Err(self.error(format!("expected a label name, found {}", self.found())));
            }
            self.skip_blanks();
            if was_quoted && matches!(self.peek(), Some(b',' | b'}')) {
                if named {
                    return Err(self.error_at(start, "the metric name is given twice"));
                }
                named = true;
                on_label(Cow::Borrowed("__name__"), name);
            } else {
                if !self.take(b'=') {
                    return Err(self.error(format!(
                        "expected '=' behind label name {name:?}, found {}",
                        self.found()
                    )));
                }
                self.skip_blanks();
                let value = self.quoted()?;
                on_label(name, value);
            }
            first = false;
            self.skip_blanks();
            if self.take(b'}') {
                break;
            }
            if !self.take(b',') {
                return Err(self.error(format!("expected ',' or '}}', found {}", self.found())));
            }
        }
        if named {
            Ok(())
        } else {
            Err(self.error_at(open, "the series has no metric name"))
        }
    }
}

/// Undoes `\\`, `\n` and, where `quotes`, `\"`; other escapes stay as they are.
pub(super) fn unescape(text: &str, quotes: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            out.push(character);
            continue;
        }
        match characters.next() {
            Some('\\') | None => out.push('\\'),
            Some('n') => out.push('\n'),
            Some('"') if quotes => out.push('"'),
            Some(other) => {
                out.push('\\');
                out.push(other);
            }
        }
    }
    out
}

/// Whether `name` can stand without quotes as a metric name.
pub(super) fn is_classic_metric_name(name: &str) -> bool {
    let mut line = Line::new(name, 1, Grammar::Text);
    !name.is_empty() && line.metric_name().len() == name.len()
}

/// Whether `name` can stand without quotes as a label name.
pub(super) fn is_classic_label_name(name: &str) -> bool {
    is_classic_metric_name(name) && !name.contains(':')
}

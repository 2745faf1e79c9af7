//! LogQL's tokens.
//!
//! The words of functions are only functions in front of `(`, `by` or `without`; everywhere else they are names. A number runs
//! into a duration or a size where its unit says so. Both need to look ahead further than one token, so that the scanner stands
//! here and not among the rules of the shared lexer.

use gameday_query::{ParseError, Position, SourceSpan, read_string};
use gameday_signal::parse_duration;

use super::ast::{RANGE_OPS, VECTOR_OPS};
use crate::stage::units::{parse_bytes, parse_go_duration};

/// A token.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Identifier(String),
    String(String),
    /// Its text, which is not always a number.
    Number(String),
    /// Nanoseconds.
    Duration(i64),
    Bytes(u64),
    /// `[5m]`, in nanoseconds.
    Range(i64),
    /// `--strict` or `--keep-empty`.
    Flag(&'static str),
    /// A keyword, an operator or a punctuation mark.
    Word(&'static str),
    /// The name of a function, in front of its parenthesis.
    Function(&'static str),
    End,
}

impl Token {
    /// The name that Loki's messages give it.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Identifier(_) => "IDENTIFIER".to_owned(),
            Self::String(_) => "STRING".to_owned(),
            Self::Number(_) => "NUMBER".to_owned(),
            Self::Duration(_) => "DURATION".to_owned(),
            Self::Bytes(_) => "BYTES".to_owned(),
            Self::Range(_) => "RANGE".to_owned(),
            Self::Flag(_) => "FUNCTION_FLAG".to_owned(),
            Self::Word(word) => (*word).to_owned(),
            Self::Function(name) => match *name {
                "bytes" | "duration" | "duration_seconds" => {
                    format!("{}_CONV", name.to_uppercase())
                }
                "label_replace" | "ip" => (*name).to_owned(),
                _ => name.to_uppercase(),
            },
            Self::End => "$end".to_owned(),
        }
    }
}

/// Words that are keywords wherever they stand.
const KEYWORDS: [&str; 22] = [
    "by",
    "without",
    "bool",
    "unwrap",
    "offset",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "or",
    "and",
    "unless",
    "json",
    "regexp",
    "logfmt",
    "unpack",
    "pattern",
    "label_format",
    "line_format",
    "decolorize",
    "drop",
    "keep",
];

/// Functions that are no aggregations.
const FUNCTIONS: [&str; 6] = [
    "vector",
    "label_replace",
    "bytes",
    "duration",
    "duration_seconds",
    "ip",
];

/// Operators and punctuation, the longer before the shorter that they begin with.
const OPERATORS: [&str; 30] = [
    "!=", "=~", "!~", "!>", "|=", "|~", "|>", "==", ">=", "<=", ",", ".", "{", "}", "=", "|", "(",
    ")", "]", "+", "-", "*", "/", "%", "^", ">", "<", "[", "!", "~",
];

/// A token and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Spanned {
    pub(super) token: Token,
    pub(super) span: SourceSpan,
}

/// All tokens of `source`, [`Token::End`] last. What is no token (a literal without its end, a malformed duration in brackets, a
/// strange character) ends them early and is returned beside them, because a syntax error before it comes first.
pub(super) fn tokenize(source: &str) -> (Vec<Spanned>, Option<ParseError>) {
    let mut scanner = Scanner { source, at: 0 };
    let mut tokens = Vec::new();
    loop {
        scanner.skip_blank();
        let start = scanner.at;
        let (token, fault) = match scanner.token() {
            Ok(token) => (token, None),
            Err(error) => (Token::End, Some(error)),
        };
        let is_end = token == Token::End;
        tokens.push(Spanned {
            token,
            span: SourceSpan::new(start, scanner.at),
        });
        if is_end {
            return (tokens, fault);
        }
    }
}

/// An error at a range in brackets: Loki's scanner has lost the line there and says 0.
pub(super) fn without_line(mut error: ParseError) -> ParseError {
    error.position.line = 0;
    error
}

struct Scanner<'a> {
    source: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }

    fn skip_blank(&mut self) {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start_matches([' ', '\t', '\n', '\r']);
            self.at += rest.len() - trimmed.len();
            if !trimmed.starts_with('#') {
                return;
            }
            self.at += trimmed.find('\n').unwrap_or(trimmed.len());
        }
    }

    fn error(&self, start: usize, message: impl Into<String>) -> ParseError {
        ParseError::new(
            self.source,
            SourceSpan::new(start, self.at.max(start)),
            message,
        )
    }

    fn token(&mut self) -> Result<Token, ParseError> {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else {
            return Ok(Token::End);
        };
        let second_is_digit = rest[first.len_utf8()..].starts_with(|c: char| c.is_ascii_digit());
        if first.is_ascii_digit() || (first == '.' && second_is_digit) {
            return Ok(self.number());
        }
        if first == '-'
            && let Some(token) = self.flag_or_negative_duration()
        {
            return Ok(token);
        }
        if matches!(first, '"' | '`') {
            return self.string();
        }
        if first == '[' {
            return self.range();
        }
        if first == '_' || first.is_alphabetic() {
            return Ok(self.word());
        }
        if let Some(operator) = OPERATORS.iter().find(|text| rest.starts_with(*text)) {
            self.at += operator.len();
            return Ok(Token::Word(operator));
        }
        let start = self.at;
        self.at += first.len_utf8();
        Err(self.error(start, format!("syntax error: unexpected {first}")))
    }

    fn string(&mut self) -> Result<Token, ParseError> {
        let start = self.at;
        match read_string(self.rest()) {
            Ok((length, value)) => {
                self.at += length;
                Ok(Token::String(value))
            }
            Err(error) if error.message.starts_with("unterminated") => {
                Err(self.error(start, "literal not terminated"))
            }
            Err(_) => Err(self.error(start, "invalid syntax")),
        }
    }

    fn range(&mut self) -> Result<Token, ParseError> {
        let start = self.at;
        let Some(length) = self.rest().find(']') else {
            let error = self.error(start, "missing closing ']' in duration");
            return Err(without_line(error));
        };
        let text = &self.rest()[1..length];
        self.at += length + 1;
        match parse_duration(text) {
            Ok(duration) => Ok(Token::Range(
                i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX),
            )),
            Err(_) => Err(without_line(self.error(start, bad_duration(text)))),
        }
    }

    /// A number, or the duration or size that it begins.
    fn number(&mut self) -> Token {
        let rest = self.rest();
        let length = number_length(rest);
        if let Some(token) = self.quantity(length) {
            return token;
        }
        self.at += length;
        Token::Number(rest[..length].to_owned())
    }

    /// The duration or size that begins with `digits` bytes of number or sign.
    fn quantity(&mut self, digits: usize) -> Option<Token> {
        let rest = self.rest();
        let run = |unit: fn(char) -> bool| {
            let tail = &rest[digits..];
            let end = tail
                .find(|character: char| {
                    !(character.is_numeric() || character == '.' || unit(character))
                })
                .unwrap_or(tail.len());
            (end > 0).then_some(digits + end)
        };
        let duration = run(|c| matches!(c, 'n' | 'u' | 'µ' | 'm' | 's' | 'h' | 'd' | 'w' | 'y'));
        if let Some(length) = duration {
            let text = &rest[..length];
            let nanos = parse_duration(text)
                .ok()
                .and_then(|duration| i64::try_from(duration.as_nanos()).ok())
                .or_else(|| parse_go_duration(text).ok());
            if let Some(nanos) = nanos {
                self.at += length;
                return Some(Token::Duration(nanos));
            }
        }
        if rest.starts_with('-') {
            return None;
        }
        let length = run(|c| matches!(c, 'B' | 'i' | 'k' | 'K' | 'M' | 'G' | 'T' | 'P'))?;
        let bytes = parse_bytes(&rest[..length]).ok()?;
        self.at += length;
        Some(Token::Bytes(bytes))
    }

    fn flag_or_negative_duration(&mut self) -> Option<Token> {
        let rest = self.rest();
        for flag in ["--strict", "--keep-empty"] {
            let ends = rest
                .strip_prefix(flag)
                .is_some_and(|tail| !tail.starts_with(|c: char| c.is_alphabetic() || c == '-'));
            if ends {
                self.at += flag.len();
                return Some(Token::Flag(flag));
            }
        }
        self.quantity(1)
    }

    fn word(&mut self) -> Token {
        let rest = self.rest();
        let length = rest
            .find(|character: char| character != '_' && !character.is_alphanumeric())
            .unwrap_or(rest.len());
        let text = &rest[..length];
        self.at += length;
        let lower = text.to_ascii_lowercase();
        let function = RANGE_OPS
            .iter()
            .map(|(name, _)| *name)
            .chain(VECTOR_OPS.iter().map(|(name, _)| *name))
            .chain(FUNCTIONS)
            .find(|name| *name == lower);
        match function {
            Some(name) if is_called(self.rest()) => return Token::Function(name),
            Some(_) => return Token::Identifier(text.to_owned()),
            None => {}
        }
        match KEYWORDS.iter().find(|word| **word == lower) {
            Some(word) => Token::Word(word),
            None => Token::Identifier(text.to_owned()),
        }
    }
}

/// Whether what follows a function's name makes it one: `(`, or `by (` or `without (`.
fn is_called(rest: &str) -> bool {
    let rest = rest.trim_start();
    if rest.starts_with('(') {
        return true;
    }
    ["by", "without"].iter().any(|word| {
        rest.get(..word.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(word))
            && rest[word.len()..].trim_start().starts_with('(')
    })
}

/// The bytes of the number that `text` begins with, as Go's scanner reads it: with a prefix for its base, a fraction, an exponent.
fn number_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let hexadecimal = bytes.len() > 1 && bytes[0] == b'0' && matches!(bytes[1] | 32, b'x');
    let prefixed = hexadecimal
        || (bytes.len() > 1 && bytes[0] == b'0' && matches!(bytes[1] | 32, b'b' | b'o'));
    let mut at = if prefixed { 2 } else { 0 };
    let is_digit = |byte: u8| {
        byte == b'_'
            || if hexadecimal {
                byte.is_ascii_hexdigit()
            } else {
                byte.is_ascii_digit()
            }
    };
    let run = |from: usize| {
        bytes[from..]
            .iter()
            .position(|byte| !is_digit(*byte))
            .map_or(bytes.len(), |length| from + length)
    };
    at = run(at);
    if bytes.get(at) == Some(&b'.') {
        at = run(at + 1);
    }
    let exponent = if hexadecimal { b'p' } else { b'e' };
    if bytes.get(at).is_some_and(|byte| byte | 32 == exponent) {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        let digits = bytes[at + 1 + sign..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        if digits > 0 {
            at += 1 + sign + digits;
        }
    }
    at
}

/// Prometheus' message about a malformed duration.
fn bad_duration(text: &str) -> String {
    if text.is_empty() {
        return "empty duration string".to_owned();
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let unit_length = text[digits..]
        .find(|character: char| character.is_ascii_digit())
        .unwrap_or(text.len() - digits);
    let unit = &text[digits..digits + unit_length];
    if digits > 0 && !unit.is_empty() && !matches!(unit, "ms" | "s" | "m" | "h" | "d" | "w" | "y") {
        format!("unknown unit {unit:?} in duration {text:?}")
    } else {
        format!("not a valid duration string: {text:?}")
    }
}

/// Where the token at `span` stands, as Loki's messages have it.
pub(super) fn error_at(
    source: &str,
    token: &Token,
    span: SourceSpan,
    message: String,
) -> ParseError {
    let error = ParseError::new(source, span, message);
    if matches!(token, Token::Range(_)) {
        without_line(error)
    } else {
        error
    }
}

/// An error about the meaning of the whole: Loki names no place.
pub(super) fn meaning_error(source: &str, span: SourceSpan, message: String) -> ParseError {
    let mut error = ParseError::new(source, span, message);
    error.position = Position { line: 0, column: 0 };
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &str, expected: &[&str]) {
        let (tokens, fault) = tokenize(source);
        assert_eq!(fault, None, "{source}");
        let names: Vec<String> = tokens.iter().map(|token| token.token.name()).collect();
        assert_eq!(names, [expected, &["$end"]].concat(), "{source}");
    }

    #[test]
    fn tells_names_from_functions_and_units() {
        check("rate(", &["RATE", "("]);
        check("rate by (a)", &["RATE", "by", "(", "IDENTIFIER", ")"]);
        check("Sum(rate)", &["SUM", "(", "IDENTIFIER", ")"]);
        check("bytes(x)", &["BYTES_CONV", "(", "IDENTIFIER", ")"]);
        check(
            "a > 1m b>1MB c > 1.5e3 1mb",
            &[
                "IDENTIFIER",
                ">",
                "DURATION",
                "IDENTIFIER",
                ">",
                "BYTES",
                "IDENTIFIER",
                ">",
                "NUMBER",
                "DURATION",
                "IDENTIFIER",
            ],
        );
        check("1+1--1", &["NUMBER", "+", "NUMBER", "-", "-", "NUMBER"]);
        check("offset -5m", &["offset", "DURATION"]);
        check(
            "| logfmt --strict a",
            &["|", "logfmt", "FUNCTION_FLAG", "IDENTIFIER"],
        );
        check("[5m] # comment\n {", &["RANGE", "{"]);
        check("0x1p3 0b1010 .5", &["NUMBER", "NUMBER", "NUMBER"]);
    }

    #[test]
    fn says_what_is_no_token() {
        for (source, message, line, column) in [
            ("{foo=\"bar}", "literal not terminated", 1, 6),
            ("x[5)", "missing closing ']' in duration", 0, 2),
            (
                "x[5minutes]",
                "unknown unit \"minutes\" in duration \"5minutes\"",
                0,
                2,
            ),
            ("\n a ; b", "syntax error: unexpected ;", 2, 4),
        ] {
            let error = tokenize(source).1.expect("no tokens");
            assert_eq!(error.message, message);
            assert_eq!((error.position.line, error.position.column), (line, column));
        }
    }
}

//! The classic syntax of matchers, which forgives much.

use gameday_signal::{MatchOp, Matcher};

use super::{ParseError, build};

/// Reads a list in the classic syntax. Braces may be left out, commas in quotes do not separate.
///
/// # Errors
/// Where a part is no matcher, holds a bare double quote, or has a pattern that does not compile.
pub fn parse_classic_matchers(text: &str) -> Result<Vec<Matcher>, ParseError> {
    let text = text.strip_prefix('{').unwrap_or(text);
    let text = text.strip_suffix('}').unwrap_or(text);
    split_outside_quotes(text)
        .iter()
        .map(|part| parse_classic_matcher(part))
        .collect()
}

fn split_outside_quotes(text: &str) -> Vec<String> {
    let mut parts = Vec::new();
    let mut part = String::new();
    let mut in_quotes = false;
    let mut escaped = false;
    for character in text.chars() {
        match character {
            ',' if !in_quotes => {
                parts.push(std::mem::take(&mut part));
                continue;
            }
            // A comma in quotes leaves a pending escape as it is, like every character that is looked at for its own sake.
            ',' => {}
            '"' if escaped => escaped = false,
            '"' => in_quotes = !in_quotes,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
        part.push(character);
    }
    let last = part.trim();
    if !last.is_empty() {
        parts.push(last.to_owned());
    }
    parts
}

/// Reads one matcher in the classic syntax: a classic label name, an operator, and a value with or without quotes.
///
/// # Errors
/// Where it is no matcher, holds a bare double quote, or has a pattern that does not compile.
pub fn parse_classic_matcher(text: &str) -> Result<Matcher, ParseError> {
    let (name, op, raw) =
        split_matcher(text).ok_or_else(|| ParseError(format!("bad matcher format: {text}")))?;
    let value = unescape(raw).ok_or_else(|| {
        ParseError(format!(
            "matcher value contains unescaped double quote: {raw}"
        ))
    })?;
    build(name, op, &value)
}

fn split_matcher(text: &str) -> Option<(&str, MatchOp, &str)> {
    let text = text.trim();
    let name_end = text
        .find(|character: char| {
            !(character.is_ascii_alphanumeric() || character == '_' || character == ':')
        })
        .filter(|end| *end > 0)?;
    let name = &text[..name_end];
    if name.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let rest = text[name_end..].trim_start();
    let (op, length) = match rest.as_bytes() {
        [b'=', b'~', ..] => (MatchOp::Regex, 2),
        [b'=', ..] => (MatchOp::Equal, 1),
        [b'!', b'=', ..] => (MatchOp::NotEqual, 2),
        [b'!', b'~', ..] => (MatchOp::NotRegex, 2),
        _ => return None,
    };
    Some((name, op, rest[length..].trim_start()))
}

/// Takes quotes and escapes (`\n`, `\"`, `\\`) away; a backslash before anything else stays. None for a bare double quote.
fn unescape(raw: &str) -> Option<String> {
    let (body, mut expects_quote) = match raw.strip_prefix('"') {
        Some(body) => (body, true),
        None => (raw, false),
    };
    let mut value = String::with_capacity(body.len());
    let mut characters = body.char_indices().peekable();
    while let Some((_, character)) = characters.next() {
        let is_last = characters.peek().is_none();
        match character {
            '\\' if !is_last => match characters.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, escaped @ ('"' | '\\'))) => value.push(escaped),
                Some((_, other)) => value.extend(['\\', other]),
                None => {}
            },
            '"' if expects_quote && is_last => expects_quote = false,
            '"' => return None,
            other => value.push(other),
        }
    }
    (!expects_quote).then_some(value)
}

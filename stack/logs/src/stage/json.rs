//! A forgiving walk over one JSON object, which reads no more than it is asked to.
//!
//! Lines are not always good JSON: what stands before the fault still counts, and what follows the closing brace is not looked
//! at. The faults have the words of the parser that Loki uses (buger/jsonparser), because `__error_details__` shows them.

use std::borrow::Cow;

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JsonError {
    #[error("Value looks like object, but can't find closing '}}' symbol")]
    Object,
    #[error("Value looks like array, but can't find closing ']' symbol")]
    Array,
    #[error("Value looks like string, but can't find closing '\"' symbol")]
    String,
    #[error("Value looks like Number/Boolean/None, but can't find its end: ',' or '}}' symbol")]
    Token,
    #[error("Unknown value type")]
    Unknown,
    #[error("Malformed JSON error")]
    Malformed,
    #[error("expecting json object(6), but it is not")]
    NotAnObject,
}

/// A value that is no object.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    /// The text between the quotes, with its escapes.
    String(&'a str),
    /// The digits.
    Number(&'a str),
    Bool(bool),
    Null,
    /// The whole array with its brackets.
    Array(&'a str),
}

impl<'a> Value<'a> {
    /// The value as a label has it; none for arrays and null, which become no label.
    pub(crate) fn text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::String(raw) => Some(unescape(raw)),
            Self::Number(digits) => Some(Cow::Borrowed(digits)),
            Self::Bool(true) => Some(Cow::Borrowed("true")),
            Self::Bool(false) => Some(Cow::Borrowed("false")),
            Self::Null | Self::Array(_) => None,
        }
    }
}

/// What the walk has come to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event<'a, 'k> {
    /// An object under this key.
    Enter(&'k str),
    /// Its end; the outermost object has none.
    Leave,
    /// A value under this key.
    Value(&'k str, Value<'a>),
}

/// How the walk goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// On, and into the object that was entered.
    Into,
    /// On, over the object that was entered; it then has no [`Event::Leave`].
    Over,
    /// No further.
    Stop,
}

/// Walks over the object that `line` holds.
pub(crate) fn walk<'a>(
    line: &'a str,
    visit: &mut impl FnMut(Event<'a, '_>) -> Next,
) -> Result<(), JsonError> {
    let mut scanner = Scanner { line, at: 0 };
    match scanner.next_token() {
        Some(b'{') => scanner.at += 1,
        _ => return Err(JsonError::Object),
    }
    let mut depth = 0usize;
    // Whether a key may be missing here: right behind an opening brace or a comma.
    loop {
        match scanner.next_token().ok_or(JsonError::Malformed)? {
            b'"' => {
                let raw_key = scanner.string().ok_or(JsonError::Malformed)?;
                let key = unescape(raw_key);
                if scanner.next_token() != Some(b':') {
                    return Err(JsonError::Malformed);
                }
                scanner.at += 1;
                if scanner.next_token() == Some(b'{') {
                    match visit(Event::Enter(&key)) {
                        Next::Into => {
                            scanner.at += 1;
                            depth += 1;
                            continue;
                        }
                        Next::Over => scanner.skip(b'{', b'}').ok_or(JsonError::Object)?,
                        Next::Stop => return Ok(()),
                    };
                } else {
                    let value = scanner.value()?;
                    if visit(Event::Value(&key, value)) == Next::Stop {
                        return Ok(());
                    }
                }
            }
            b'}' => {
                scanner.at += 1;
                if depth == 0 {
                    return Ok(());
                }
                depth -= 1;
                if visit(Event::Leave) == Next::Stop {
                    return Ok(());
                }
            }
            _ => return Err(JsonError::Object),
        }
        // Behind a value: a comma, or the end of this object and perhaps of those around it.
        loop {
            match scanner.next_token().ok_or(JsonError::Array)? {
                b',' => {
                    scanner.at += 1;
                    break;
                }
                b'}' => {
                    scanner.at += 1;
                    if depth == 0 {
                        return Ok(());
                    }
                    depth -= 1;
                    if visit(Event::Leave) == Next::Stop {
                        return Ok(());
                    }
                }
                _ => return Err(JsonError::Object),
            }
        }
    }
}

/// One step of a JSON expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PathStep {
    /// `.key` or `["key"]`.
    Key(String),
    /// `[0]`.
    Index(usize),
}

/// What a path leads to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Found<'a> {
    /// A text, a number, a truth value.
    Text(Cow<'a, str>),
    /// `null`.
    Null,
    /// An object or an array, as it is written.
    Raw(&'a str),
}

/// Follows `path` through the value at the start of `text`; none where it leads nowhere.
pub(crate) fn follow<'a>(text: &'a str, path: &[PathStep]) -> Result<Option<Found<'a>>, JsonError> {
    let mut scanner = Scanner { line: text, at: 0 };
    for step in path {
        let entered = match (scanner.next_token(), step) {
            (Some(b'{'), PathStep::Key(wanted)) => scanner.enter_key(wanted)?,
            (Some(b'['), PathStep::Index(wanted)) => scanner.enter_index(*wanted)?,
            _ => false,
        };
        if !entered {
            return Ok(None);
        }
    }
    let start = scanner.at;
    Ok(Some(match scanner.next_token() {
        Some(b'{') => {
            let start = scanner.at;
            scanner.skip(b'{', b'}').ok_or(JsonError::Object)?;
            Found::Raw(&text[start..scanner.at])
        }
        Some(_) => match scanner.value()? {
            Value::Null => Found::Null,
            Value::Array(raw) => Found::Raw(raw),
            value => Found::Text(value.text().unwrap_or_default()),
        },
        None => {
            return if start == text.len() {
                Ok(None)
            } else {
                Err(JsonError::Malformed)
            };
        }
    }))
}

struct Scanner<'a> {
    line: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    fn byte(&self) -> Option<u8> {
        self.line.as_bytes().get(self.at).copied()
    }

    /// The next byte that is no white space, which stays to be read.
    fn next_token(&mut self) -> Option<u8> {
        loop {
            match self.byte()? {
                b' ' | b'\n' | b'\r' | b'\t' => self.at += 1,
                other => return Some(other),
            }
        }
    }

    /// The text between the quotes that begin here.
    fn string(&mut self) -> Option<&'a str> {
        let bytes = self.line.as_bytes();
        let start = self.at + 1;
        let mut at = start;
        loop {
            match bytes.get(at)? {
                b'"' => break,
                b'\\' => at += 2,
                _ => at += 1,
            }
        }
        self.at = at + 1;
        self.line.get(start..at)
    }

    /// Moves behind the bracket that closes the one here.
    fn skip(&mut self, open: u8, close: u8) -> Option<()> {
        let mut depth = 0usize;
        loop {
            let byte = self.byte()?;
            if byte == b'"' {
                self.string()?;
                continue;
            }
            self.at += 1;
            if byte == open {
                depth += 1;
            } else if byte == close {
                depth -= 1;
                if depth == 0 {
                    return Some(());
                }
            }
        }
    }

    fn value(&mut self) -> Result<Value<'a>, JsonError> {
        match self.next_token().ok_or(JsonError::Malformed)? {
            b'"' => self.string().map(Value::String).ok_or(JsonError::String),
            b'[' => {
                let start = self.at;
                self.skip(b'[', b']').ok_or(JsonError::Array)?;
                Ok(Value::Array(&self.line[start..self.at]))
            }
            first => {
                let start = self.at;
                let length = self.line.as_bytes()[start..]
                    .iter()
                    .position(|byte| {
                        matches!(byte, b' ' | b'\n' | b'\r' | b'\t' | b',' | b'}' | b']')
                    })
                    .ok_or(JsonError::Token)?;
                self.at += length;
                let token = self.line.get(start..self.at).ok_or(JsonError::Unknown)?;
                match first {
                    b't' | b'f' | b'n' => match token {
                        "true" => Ok(Value::Bool(true)),
                        "false" => Ok(Value::Bool(false)),
                        "null" => Ok(Value::Null),
                        _ => Err(JsonError::Unknown),
                    },
                    b'0'..=b'9' | b'-' => Ok(Value::Number(token)),
                    _ => Err(JsonError::Unknown),
                }
            }
        }
    }

    /// Moves over any value.
    fn skip_value(&mut self) -> Result<(), JsonError> {
        if self.next_token() == Some(b'{') {
            self.skip(b'{', b'}').ok_or(JsonError::Object)
        } else {
            self.value().map(drop)
        }
    }

    /// Moves to the value under `wanted` in the object here.
    fn enter_key(&mut self, wanted: &str) -> Result<bool, JsonError> {
        self.at += 1;
        loop {
            match self.next_token().ok_or(JsonError::Malformed)? {
                b'"' => {
                    let key = self.string().ok_or(JsonError::Malformed)?;
                    if self.next_token() != Some(b':') {
                        return Err(JsonError::Malformed);
                    }
                    self.at += 1;
                    if unescape(key) == wanted {
                        return Ok(true);
                    }
                    self.skip_value()?;
                    match self.next_token() {
                        Some(b',') => self.at += 1,
                        Some(b'}') => return Ok(false),
                        _ => return Err(JsonError::Object),
                    }
                }
                b'}' => return Ok(false),
                _ => return Err(JsonError::Object),
            }
        }
    }

    /// Moves to the `wanted`th value of the array here.
    fn enter_index(&mut self, wanted: usize) -> Result<bool, JsonError> {
        self.at += 1;
        for _ in 0..wanted {
            if self.next_token() == Some(b']') {
                return Ok(false);
            }
            self.skip_value()?;
            match self.next_token() {
                Some(b',') => self.at += 1,
                Some(b']') => return Ok(false),
                _ => return Err(JsonError::Array),
            }
        }
        Ok(self.next_token().is_some_and(|byte| byte != b']'))
    }
}

/// The text that a JSON string stands for; an escape that means nothing makes it empty, as in Loki.
pub(crate) fn unescape(raw: &str) -> Cow<'_, str> {
    let Some(first) = memchr::memchr(b'\\', raw.as_bytes()) else {
        return Cow::Borrowed(raw);
    };
    let mut out = String::with_capacity(raw.len());
    out.push_str(&raw[..first]);
    let mut rest = &raw[first..];
    while let Some(position) = memchr::memchr(b'\\', rest.as_bytes()) {
        out.push_str(&rest[..position]);
        let Some(escape) = rest.as_bytes().get(position + 1) else {
            return Cow::Borrowed("");
        };
        let mut used = position + 2;
        match escape {
            b'"' | b'\\' | b'/' => out.push(char::from(*escape)),
            b'b' => out.push('\u{8}'),
            b'f' => out.push('\u{c}'),
            b'n' => out.push('\n'),
            b'r' => out.push('\r'),
            b't' => out.push('\t'),
            b'u' => {
                let Some((character, length)) = unicode_escape(&rest[position..]) else {
                    return Cow::Borrowed("");
                };
                out.extend(character);
                used = position + length;
            }
            _ => return Cow::Borrowed(""),
        }
        rest = &rest[used..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// The character of `\uXXXX` (with its low surrogate, if it needs one), and how many bytes it took; a lone surrogate is no
/// character and is left out.
fn unicode_escape(text: &str) -> Option<(Option<char>, usize)> {
    let unit = |at: usize| u32::from_str_radix(text.get(at..at + 4)?, 16).ok();
    let high = unit(2)?;
    if (0xd800..0xdc00).contains(&high)
        && text.get(6..8) == Some("\\u")
        && let Some(low) = unit(8)
        && (0xdc00..0xe000).contains(&low)
    {
        let code = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
        return Some((char::from_u32(code), 12));
    }
    Some((char::from_u32(high), 6))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(line: &str) -> (Vec<String>, Option<String>) {
        let (mut seen, mut path) = (Vec::new(), Vec::<String>::new());
        let result = walk(line, &mut |event| {
            match event {
                Event::Enter(key) => path.push(key.to_owned()),
                Event::Leave => drop(path.pop()),
                Event::Value(key, value) => {
                    let mut name = path.clone();
                    name.push(key.to_owned());
                    seen.push(format!(
                        "{}={}",
                        name.join("."),
                        value.text().unwrap_or(Cow::Borrowed("-"))
                    ));
                }
            }
            Next::Into
        });
        (seen, result.err().map(|error| error.to_string()))
    }

    #[test]
    fn walks_what_is_there() {
        for (line, expected) in [
            (
                r#"{"a":1,"b":{"c":"x\"y","d":{}},"e":[1,"]"],"f":null}  trailing"#,
                "a=1 b.c=x\"y e=- f=-",
            ),
            (r#" { "a" : true , "b" : -1.5e3 } "#, "a=true b=-1.5e3"),
            ("{}", ""),
            (r#"{"a":"\u00e9\ud83d\ude00\n"}"#, "a=é😀\n"),
            (r#"{"a":{"b":{"c":1}},"d":2}"#, "a.b.c=1 d=2"),
        ] {
            assert_eq!(flat(line), (split(expected), None), "{line}");
        }
    }

    fn split(text: &str) -> Vec<String> {
        text.split(' ')
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn keeps_what_stands_before_the_fault() {
        for (line, expected) in [
            ("broken", ""),
            (r#"{"a":1,"b":tru}"#, "a=1"),
            (r#"{"a":1,"b":"x"#, "a=1"),
            (r#"{"a":1 "b":2}"#, "a=1"),
            (r#"{"a":1"#, ""),
            (r#"{"a""#, ""),
        ] {
            let (seen, error) = flat(line);
            assert_eq!(seen, split(expected), "{line}");
            assert!(error.is_some(), "{line}");
        }
    }

    #[test]
    fn follows_paths() {
        let line = r#"{"user":{"id":"u1","tags":["x",{"y":2}]},"n":null}"#;
        let key = |text: &str| PathStep::Key(text.to_owned());
        for (path, expected) in [
            (vec![key("user"), key("id")], Some(Found::Text("u1".into()))),
            (
                vec![key("user"), key("tags"), PathStep::Index(0)],
                Some(Found::Text("x".into())),
            ),
            (
                vec![key("user"), key("tags"), PathStep::Index(1)],
                Some(Found::Raw(r#"{"y":2}"#)),
            ),
            (vec![key("user"), key("tags"), PathStep::Index(2)], None),
            (vec![key("n")], Some(Found::Null)),
            (vec![key("user"), key("no")], None),
            (vec![key("n"), key("no")], None),
        ] {
            assert_eq!(follow(line, &path), Ok(expected), "{path:?}");
        }
    }

    #[test]
    fn deep_nesting_needs_no_stack() {
        let line = "{\"a\":".repeat(200_000);
        assert!(flat_count(&line).is_err());
        let line = format!("{{\"a\":{}", "[".repeat(200_000));
        assert!(flat_count(&line).is_err());
    }

    fn flat_count(line: &str) -> Result<(), JsonError> {
        walk(line, &mut |_| Next::Into)
    }
}

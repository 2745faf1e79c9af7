//! The words of an expression.

/// A word.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Identifier(String),
    Int(i64),
    /// The digits of the smallest int, which only a minus before them makes one.
    IntMin,
    Uint(u64),
    Double(f64),
    Text(String),
    Bytes(Vec<u8>),
    /// An operator or a bracket.
    Sign(&'static str),
    End,
}

/// Longer ones first.
const SIGNS: [&str; 25] = [
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "!", "?", ":", "+", "-", "*", "/", "%", "(", ")",
    "[", "]", "{", "}", ",", ".", "=",
];

/// A problem with its column, from 1.
pub(super) fn problem(text: &str, at: usize, what: impl std::fmt::Display) -> String {
    let column = text.get(..at).map_or(at, |before| before.chars().count()) + 1;
    format!("{column}: {what}")
}

/// All words with where they begin.
pub(super) fn tokens(text: &str) -> Result<Vec<(Token, usize)>, String> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        if text[at..].starts_with("//") {
            at = text[at..].find('\n').map_or(text.len(), |end| at + end);
            continue;
        }
        let (token, length) = token(&text[at..], first).map_err(|what| problem(text, at, what))?;
        found.push((token, at));
        at += length;
    }
    found.push((Token::End, text.len()));
    Ok(found)
}

fn token(rest: &str, first: char) -> Result<(Token, usize), String> {
    if let Some(text) = quoted(rest)? {
        return Ok(text);
    }
    if first.is_ascii_digit()
        || (first == '.' && rest[1..].starts_with(|it: char| it.is_ascii_digit()))
    {
        return number(rest);
    }
    if first.is_ascii_alphabetic() || first == '_' {
        let is_part = |it: char| it.is_ascii_alphanumeric() || it == '_';
        let end = rest.find(|it| !is_part(it)).unwrap_or(rest.len());
        return Ok((Token::Identifier(rest[..end].to_owned()), end));
    }
    let sign = SIGNS.into_iter().find(|sign| rest.starts_with(sign));
    let sign = sign.ok_or_else(|| format!("unexpected {first:?}"))?;
    Ok((Token::Sign(sign), sign.len()))
}

fn number(rest: &str) -> Result<(Token, usize), String> {
    let ends_uint = |end: usize| rest[end..].starts_with(['u', 'U']);
    let (digits, radix, end) =
        if let Some(hex) = rest.strip_prefix("0x").or(rest.strip_prefix("0X")) {
            let length = hex.find(|it: char| !it.is_ascii_hexdigit());
            let length = length.unwrap_or(hex.len());
            (&hex[..length], 16, 2 + length)
        } else {
            let end = decimal_end(rest);
            if rest[..end].contains(['.', 'e', 'E']) {
                let parsed = rest[..end].parse().map(Token::Double);
                return Ok((parsed.map_err(|_| "invalid number")?, end));
            }
            (&rest[..end], 10, end)
        };
    let number = u64::from_str_radix(digits, radix);
    let number = number.map_err(|_| format!("invalid number {:?}", &rest[..end]))?;
    if ends_uint(end) {
        return Ok((Token::Uint(number), end + 1));
    }
    match i64::try_from(number) {
        Ok(number) => Ok((Token::Int(number), end)),
        Err(_) if number == i64::MIN.unsigned_abs() => Ok((Token::IntMin, end)),
        Err(_) => Err(format!("{number} is out of range for an int")),
    }
}

fn decimal_end(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    let digits = |from: usize| {
        let count = bytes[from..]
            .iter()
            .take_while(|it| it.is_ascii_digit())
            .count();
        from + count
    };
    let mut end = digits(0);
    if bytes.get(end) == Some(&b'.') && bytes.get(end + 1).is_some_and(u8::is_ascii_digit) {
        end = digits(end + 1);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let exponent = end + 1 + sign;
        if bytes.get(exponent).is_some_and(u8::is_ascii_digit) {
            end = digits(exponent);
        }
    }
    end
}

/// A text or bytes, with quotes of one or three, raw or with escapes.
fn quoted(rest: &str) -> Result<Option<(Token, usize)>, String> {
    let prefix = rest.find(['"', '\'']).filter(|length| *length <= 2);
    let Some(prefix) = prefix else {
        return Ok(None);
    };
    let (is_bytes, is_raw) = match rest[..prefix].to_ascii_lowercase().as_str() {
        "" => (false, false),
        "r" => (false, true),
        "b" => (true, false),
        "br" | "rb" => (true, true),
        _ => return Ok(None),
    };
    let body = &rest[prefix..];
    let quote = &body[..1];
    let triple = quote.repeat(3);
    let quote = if body.starts_with(&triple) {
        &triple
    } else {
        quote
    };
    let mut out = Vec::new();
    let mut at = quote.len();
    loop {
        let left = &body[at..];
        if left.starts_with(quote) {
            break;
        }
        let next = left.chars().next().ok_or("the text has no end")?;
        if next == '\n' && quote.len() == 1 {
            return Err("the text has no end on its line".to_owned());
        }
        if next == '\\' && !is_raw {
            at += escape(left, is_bytes, &mut out)?;
        } else {
            out.extend_from_slice(next.encode_utf8(&mut [0; 4]).as_bytes());
            at += next.len_utf8();
        }
    }
    let length = prefix + at + quote.len();
    if is_bytes {
        return Ok(Some((Token::Bytes(out), length)));
    }
    let text = String::from_utf8(out).map_err(|_| "the text is no UTF-8")?;
    Ok(Some((Token::Text(text), length)))
}

/// One escape; how long it is.
fn escape(left: &str, is_bytes: bool, out: &mut Vec<u8>) -> Result<usize, String> {
    let kind = left[1..].chars().next().ok_or("the text has no end")?;
    let plain = match kind {
        'a' => Some(7),
        'b' => Some(8),
        'f' => Some(12),
        'n' => Some(b'\n'),
        'r' => Some(b'\r'),
        't' => Some(b'\t'),
        'v' => Some(11),
        '\\' | '"' | '\'' | '`' | '?' => Some(kind as u8),
        _ => None,
    };
    if let Some(byte) = plain {
        out.push(byte);
        return Ok(2);
    }
    let (from, count, radix) = match kind {
        'x' | 'X' => (2, 2, 16),
        'u' if !is_bytes => (2, 4, 16),
        'U' if !is_bytes => (2, 8, 16),
        '0'..='3' => (1, 3, 8),
        _ => return Err(format!("unknown escape \\{kind}")),
    };
    let digits = left.get(from..from + count).unwrap_or_default();
    let number = u32::from_str_radix(digits, radix).ok();
    let number = number.filter(|_| digits.bytes().all(|it| it.is_ascii_hexdigit()));
    let number = number.ok_or_else(|| format!("the escape \\{kind} needs {count} digits"))?;
    if is_bytes {
        out.push(u8::try_from(number).map_err(|_| "an escape is no byte")?);
    } else {
        let character = char::from_u32(number).ok_or("an escape is no character")?;
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }
    Ok(from + count)
}

//! Go's literals and string functions.

use crate::ast::Number;

/// The text of a string or raw string literal.
pub(crate) fn unquote(literal: &str) -> Option<String> {
    let quote = literal.chars().next()?;
    let inner = literal.strip_prefix(quote)?.strip_suffix(quote)?;
    if quote == '`' {
        return Some(inner.replace('\r', ""));
    }
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(character) = rest.chars().next() {
        rest = &rest[character.len_utf8()..];
        if character == '\\' {
            rest = escape(rest, quote, &mut bytes)?;
        } else {
            bytes.extend(character.encode_utf8(&mut [0; 4]).bytes());
        }
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Reads an escape after its backslash; gives what follows it.
fn escape<'a>(rest: &'a str, quote: char, bytes: &mut Vec<u8>) -> Option<&'a str> {
    let kind = rest.chars().next()?;
    let after = &rest[kind.len_utf8()..];
    let plain = match kind {
        'a' => 7,
        'b' => 8,
        'f' => 12,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 11,
        '\\' => b'\\',
        other if other == quote => other as u8,
        'x' => {
            bytes.push(u8::from_str_radix(after.get(..2)?, 16).ok()?);
            return after.get(2..);
        }
        'u' | 'U' => {
            let digits = if kind == 'u' { 4 } else { 8 };
            let code = u32::from_str_radix(after.get(..digits)?, 16).ok()?;
            bytes.extend(char::from_u32(code)?.encode_utf8(&mut [0; 4]).bytes());
            return after.get(digits..);
        }
        '0'..='7' => {
            bytes.push(u8::from_str_radix(rest.get(..3)?, 8).ok()?);
            return rest.get(3..);
        }
        _ => return None,
    };
    bytes.push(plain);
    Some(after)
}

/// A number or character literal.
pub(crate) fn parse_number(written: &str) -> Result<Number, String> {
    let number = |int: Option<i64>, float: f64, prefers_float: bool| Number {
        written: written.to_owned(),
        int,
        float,
        prefers_float,
    };
    if written.starts_with('\'') {
        let text = unquote(written).unwrap_or_default();
        let mut characters = text.chars();
        return match (characters.next(), characters.next()) {
            (Some(one), None) => {
                let code = i64::from(u32::from(one));
                Ok(number(Some(code), code as f64, false))
            }
            _ => Err(format!("malformed character constant: {written}")),
        };
    }
    if let Some(int) = parse_int(written) {
        return Ok(number(Some(int), int as f64, false));
    }
    if let Some(float) = parse_go_float(written) {
        // A whole number that does not fit was not meant as a float.
        if !written.contains(['.', 'e', 'E', 'p', 'P']) {
            return Err(format!("integer overflow: {written:?}"));
        }
        let int = (float.fract() == 0.0 && float.abs() < 9.2e18).then_some(float as i64);
        return Ok(number(int, float, true));
    }
    Err(format!("illegal number syntax: {written:?}"))
}

fn parse_int(written: &str) -> Option<i64> {
    let (negative, digits) = match written.strip_prefix(['+', '-']) {
        Some(rest) => (written.starts_with('-'), rest),
        None => (false, written),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, body) = if let Some(body) = lower.strip_prefix("0x") {
        (16, body)
    } else if let Some(body) = lower.strip_prefix("0b") {
        (2, body)
    } else if let Some(body) = lower.strip_prefix("0o") {
        (8, body)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (8, &lower[1..])
    } else {
        (10, lower.as_str())
    };
    if body.ends_with('_') || body.contains("__") {
        return None;
    }
    let magnitude = i128::from_str_radix(&body.replace('_', ""), radix).ok()?;
    i64::try_from(if negative { -magnitude } else { magnitude }).ok()
}

/// Go's strconv.ParseFloat, which takes hexadecimal numbers with a binary exponent too.
pub(crate) fn parse_go_float(written: &str) -> Option<f64> {
    let lower = written.to_ascii_lowercase();
    let (sign, digits) = match lower.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, lower.strip_prefix('+').unwrap_or(&lower)),
    };
    if let Some(body) = digits.strip_prefix("0x") {
        let (mantissa, exponent) = body.split_once('p')?;
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let joined = format!("{whole}{fraction}").replace('_', "");
        let value = u64::from_str_radix(&joined, 16).ok()? as f64;
        let exponent: i32 = exponent.parse().ok()?;
        let shift = i32::try_from(fraction.len()).ok()?.saturating_mul(4);
        return Some(sign * value * 2f64.powi(exponent.saturating_sub(shift)));
    }
    match digits {
        "inf" | "infinity" => return Some(sign * f64::INFINITY),
        "nan" => return Some(f64::NAN),
        _ => {}
    }
    // Rust takes the same decimal syntax, but for Go's underscores.
    if !digits.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        return None;
    }
    digits
        .replace('_', "")
        .parse::<f64>()
        .ok()
        .map(|value| sign * value)
}

/// Go's strconv.Quote (`%q`): quotes, backslashes and what does not print are escaped.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        push_quoted(&mut quoted, character, '"');
    }
    quoted.push('"');
    quoted
}

/// A character as it stands in a Go literal between `delimiter`s.
pub(crate) fn push_quoted(out: &mut String, character: char, delimiter: char) {
    use std::fmt::Write as _;
    match character {
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\t' => out.push_str("\\t"),
        '\r' => out.push_str("\\r"),
        '\u{7}' => out.push_str("\\a"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        '\u{b}' => out.push_str("\\v"),
        same if same == delimiter => {
            out.push('\\');
            out.push(same);
        }
        control if u32::from(control) < 0x20 || control == '\u{7f}' => {
            let _ = write!(out, "\\x{:02x}", u32::from(control));
        }
        hidden if hidden.is_control() || is_unprintable(hidden) => {
            let code = u32::from(hidden);
            let _ = if code < 0x10000 {
                write!(out, "\\u{code:04x}")
            } else {
                write!(out, "\\U{code:08x}")
            };
        }
        plain => out.push(plain),
    }
}

/// Characters that Go's unicode.IsPrint refuses and that occur in practice: spaces other than the plain one, format characters.
fn is_unprintable(character: char) -> bool {
    (character.is_whitespace() && character != ' ')
        || matches!(u32::from(character), 0xad | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0xe000..=0xf8ff | 0xfeff | 0xfff9..=0xfffb)
}

/// Go's strings.Title: the first letter of each word in upper case, the rest as it is.
pub(crate) fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut previous = ' ';
    for character in text.chars() {
        if is_separator(previous) {
            out.extend(character.to_uppercase());
        } else {
            out.push(character);
        }
        previous = character;
    }
    out
}

fn is_separator(character: char) -> bool {
    if character.is_ascii() {
        !(character.is_ascii_alphanumeric() || character == '_')
    } else {
        !character.is_alphanumeric() && character.is_whitespace()
    }
}

/// x/text's cases.Title: the first letter of each word in upper case, the others in lower case.
pub(crate) fn title_and_lower(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut inside, mut raised) = (false, false);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if character.is_alphanumeric() {
            // Digits before the first letter of a word do not count as it.
            if !character.is_alphabetic() {
                out.push(character);
            } else if inside && raised {
                out.extend(character.to_lowercase());
            } else {
                out.extend(character.to_uppercase());
                raised = true;
            }
            inside = true;
            continue;
        }
        // Unicode's word rule: an apostrophe, dot or colon between letters and an underscore do not end a word.
        let joins = matches!(character, '\'' | '.' | ':' | '\u{2019}' | '_')
            && inside
            && characters.peek().is_some_and(|next| next.is_alphanumeric());
        inside = joins || (inside && character == '_');
        raised = raised && inside;
        out.push(character);
    }
    out
}

/// Go's url.QueryEscape.
pub(crate) fn query_escape(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            b' ' => out.push('+'),
            other => {
                let _ = write!(out, "%{other:02X}");
            }
        }
    }
    out
}

/// Go's url.QueryUnescape.
pub(crate) fn query_unescape(text: &str) -> Result<String, String> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while index < bytes.len() {
        match bytes[index] {
            b'%' => {
                let digits = text.get(index + 1..index + 3);
                let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
                let Some(byte) = byte else {
                    let end = (index + 3).min(bytes.len());
                    let shown = String::from_utf8_lossy(&bytes[index..end]);
                    return Err(format!("invalid URL escape {}", quote(&shown)));
                };
                out.push(byte);
                index += 2;
            }
            b'+' => out.push(b' '),
            other => out.push(other),
        }
        index += 1;
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}

/// Go's template.HTMLEscapeString.
pub(crate) fn html_escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\0' => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}

/// Go's template.JSEscapeString.
pub(crate) fn js_escape(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("\\'"),
            '"' => out.push_str("\\\""),
            '<' => out.push_str("\\u003C"),
            '>' => out.push_str("\\u003E"),
            '&' => out.push_str("\\u0026"),
            '=' => out.push_str("\\u003D"),
            control if u32::from(control) < 0x20 || is_unprintable(control) => {
                let _ = write!(out, "\\u{:04X}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out
}

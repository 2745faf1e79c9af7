//! What html/template makes of a value, by the place in the document where it stands.

use std::fmt::Write as _;

use crate::text::html_escape;
use crate::{Value, json};

/// What Go writes instead of a value that could do harm where it stands.
pub(crate) const REFUSED: &str = "ZgotmplZ";

/// Whether a URL has no scheme or a harmless one.
pub(crate) fn is_safe_url(text: &str) -> bool {
    match text.split_once(':') {
        Some((scheme, _)) if !scheme.contains('/') => ["http", "https", "mailto"]
            .iter()
            .any(|harmless| scheme.eq_ignore_ascii_case(harmless)),
        _ => true,
    }
}

/// Percent-encodes what has no place in a URL; `whole` keeps what separates its parts and what is encoded already.
pub(crate) fn percent_encode(text: &str, whole: bool) -> String {
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    for (index, byte) in bytes.iter().enumerate() {
        let encoded = bytes
            .get(index + 1..index + 3)
            .is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit));
        let keep = match byte {
            b'-' | b'.' | b'_' | b'~' => true,
            b'!' | b'#' | b'$' | b'&' | b'*' | b'+' | b',' | b'/' | b':' | b';' | b'=' | b'?'
            | b'@' | b'[' | b']' => whole,
            b'%' => whole && encoded,
            other => other.is_ascii_alphanumeric(),
        };
        if keep {
            out.push(char::from(*byte));
        } else {
            let _ = write!(out, "%{byte:02x}");
        }
    }
    out
}

/// HTML's escapes and `+`, which old browsers took for the start of UTF-7; `&` of entities stays where `double` is false.
pub(crate) fn escape_plus(text: &str, double: bool) -> String {
    let escaped = html_escape(text).replace('+', "&#43;");
    if double {
        return escaped;
    }
    let mut out = String::with_capacity(escaped.len());
    let mut rest = escaped.as_str();
    while let Some(start) = rest.find("&amp;") {
        let after = &rest[start + 5..];
        out.push_str(&rest[..start]);
        let entity = after.find(';').filter(|end| *end > 0).is_some_and(|end| {
            after[..end]
                .chars()
                .all(|one| one.is_ascii_alphanumeric() || one == '#')
        });
        out.push_str(if entity { "&" } else { "&amp;" });
        rest = after;
    }
    out.push_str(rest);
    out
}

/// A value without quotes ends at a space and the like, so those are escaped too.
pub(crate) fn escape_spaces(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            ' ' | '\t' | '\n' | '\r' | '\u{b}' | '\u{c}' | '=' | '`' => {
                let _ = write!(out, "&#{};", u32::from(character));
            }
            other => out.push(other),
        }
    }
    out
}

/// A value that can neither leave its CSS property nor name a URL (html/template's cssValueFilter).
pub(crate) fn css_value(text: &str) -> String {
    let harmful = |one: char| {
        matches!(
            one,
            '\0' | '"'
                | '\''
                | '('
                | ')'
                | '/'
                | ';'
                | '@'
                | '['
                | '\\'
                | ']'
                | '`'
                | '{'
                | '}'
                | '<'
                | '>'
        )
    };
    let name: String = text
        .chars()
        .filter(|one| one.is_ascii_alphanumeric() || matches!(one, '-' | '_'))
        .collect();
    let name = name.to_ascii_lowercase();
    if text.contains(harmful)
        || text.contains("--")
        || name.contains("expression")
        || name.contains("mozbinding")
    {
        REFUSED.to_owned()
    } else {
        text.to_owned()
    }
}

/// A value as a JavaScript literal (html/template's jsValEscaper); words and numbers keep apart from what is beside them.
pub(crate) fn script_literal(value: &Value) -> String {
    let literal = json::to_json(value);
    let joins = |one: Option<char>| {
        one.is_some_and(|one| one.is_ascii_alphanumeric() || matches!(one, '_' | '$'))
    };
    if joins(literal.chars().next()) || joins(literal.chars().next_back()) {
        format!(" {literal} ")
    } else {
        literal
    }
}

/// A text inside of a JavaScript string (html/template's jsStrEscaper).
pub(crate) fn script_string(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            '/' => out.push_str("\\/"),
            '\\' => out.push_str("\\\\"),
            '"' | '`' | '&' | '\'' | '+' | '<' | '>' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(character));
            }
            control if u32::from(control) < 0x20 => {
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out
}

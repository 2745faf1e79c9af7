//! String literals with Go's escapes, numbers, and durations in Go's form.

use gameday_signal::character_of_byte;

/// What is wrong with a string literal, and at which byte of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiteralError {
    /// The offset within the literal.
    pub offset: usize,
    /// What is wrong.
    pub message: String,
}

impl LiteralError {
    fn new(offset: usize, message: impl Into<String>) -> Self {
        Self {
            offset,
            message: message.into(),
        }
    }
}

/// Reads the string literal at the start of `text`: the number of bytes it takes, quotes included, and what it says.
///
/// `"` and `'` quote with the escapes of Go, the backtick quotes raw text. Bytes that `\x` and octal escapes build and that are
/// no UTF-8 become private characters, see [`gameday_signal::escaped_byte`], because texts are UTF-8.
///
/// # Errors
/// An unterminated literal, an unknown escape, or an escape that is no code point, with Prometheus' messages.
pub fn read_string(text: &str) -> Result<(usize, String), LiteralError> {
    let Some(quote) = text.chars().next() else {
        return Err(LiteralError::new(0, "unterminated quoted string"));
    };
    if quote == '`' {
        return match text[1..].find('`') {
            Some(length) => Ok((length + 2, text[1..=length].to_owned())),
            None => Err(LiteralError::new(0, "unterminated raw string")),
        };
    }
    let mut bytes = Vec::new();
    let mut offset = 1;
    loop {
        let mut rest = text[offset..].chars();
        match rest.next() {
            None | Some('\n') => return Err(LiteralError::new(0, "unterminated quoted string")),
            Some('\\') => {
                let (length, escape) = read_escape(&text[offset..], quote)
                    .map_err(|message| LiteralError::new(offset, message))?;
                match escape {
                    Escape::Byte(byte) => bytes.push(byte),
                    Escape::Char(character) => push_char(&mut bytes, character),
                }
                offset += length;
            }
            Some(character) if character == quote => {
                return Ok((offset + quote.len_utf8(), keep_bytes(bytes)));
            }
            Some(character) => {
                push_char(&mut bytes, character);
                offset += character.len_utf8();
            }
        }
    }
}

/// The bytes as text; those that are no UTF-8 become private characters.
fn keep_bytes(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| {
        let mut text = String::new();
        for chunk in error.as_bytes().utf8_chunks() {
            text.push_str(chunk.valid());
            text.extend(chunk.invalid().iter().copied().map(character_of_byte));
        }
        text
    })
}

enum Escape {
    Byte(u8),
    Char(char),
}

fn push_char(bytes: &mut Vec<u8>, character: char) {
    bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
}

/// Reads one escape; `text` begins with the backslash. Returns its length in bytes.
fn read_escape(text: &str, quote: char) -> Result<(usize, Escape), String> {
    let Some(kind) = text[1..].chars().next() else {
        return Err("escape sequence not terminated".to_owned());
    };
    let simple = |character| Ok((2, Escape::Char(character)));
    let (start, digits, base) = match kind {
        'a' => return simple('\x07'),
        'b' => return simple('\x08'),
        'f' => return simple('\x0c'),
        'n' => return simple('\n'),
        'r' => return simple('\r'),
        't' => return simple('\t'),
        'v' => return simple('\x0b'),
        '\\' => return simple('\\'),
        _ if kind == quote => return simple(quote),
        '0'..='7' => (1, 3, 8),
        'x' => (2, 2, 16),
        'u' => (2, 4, 16),
        'U' => (2, 8, 16),
        _ => {
            return Err(format!(
                "unknown escape sequence U+{:04X} '{kind}'",
                u32::from(kind)
            ));
        }
    };
    let mut value: u64 = 0;
    let mut characters = text[start..].chars();
    for _ in 0..digits {
        let Some(character) = characters.next() else {
            return Err("escape sequence not terminated".to_owned());
        };
        let Some(digit) = character.to_digit(base) else {
            return Err(format!(
                "illegal character U+{:04X} '{character}' in escape sequence",
                u32::from(character)
            ));
        };
        value = value * u64::from(base) + u64::from(digit);
    }
    let length = start + digits;
    let invalid = || "escape sequence is an invalid Unicode code point".to_owned();
    if matches!(kind, 'u' | 'U') {
        let character = u32::try_from(value)
            .ok()
            .and_then(char::from_u32)
            .ok_or_else(invalid)?;
        Ok((length, Escape::Char(character)))
    } else {
        let byte = u8::try_from(value).map_err(|_| invalid())?;
        Ok((length, Escape::Byte(byte)))
    }
}

/// Reads a number as PromQL writes it: decimal with fraction and exponent, hexadecimal (`0x1F`), a leading zero is octal where
/// all digits allow it (as Go's strconv.ParseInt with base 0), `_` between digits, `Inf` and `NaN` in any case.
///
/// `None` where the text is no number; an infinite result for decimal digits means out of range.
pub fn parse_number(text: &str) -> Option<f64> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'+' => (1.0, &text[1..]),
        b'-' => (-1.0, &text[1..]),
        _ => (1.0, text),
    };
    let lower = digits.to_ascii_lowercase();
    if matches!(lower.as_str(), "inf" | "infinity") {
        return Some(sign * f64::INFINITY);
    }
    if lower == "nan" {
        return Some(f64::NAN);
    }
    if !lower.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        return None;
    }
    let plain = lower.replace('_', "");
    if let Some(hex) = plain.strip_prefix("0x") {
        return parse_radix(hex, 16).map(|value| sign * value);
    }
    if plain.len() > 1
        && plain.starts_with('0')
        && let Some(value) = parse_radix(&plain[1..], 8)
    {
        return Some(sign * value);
    }
    plain.parse::<f64>().ok().map(|value| sign * value)
}

fn parse_radix(digits: &str, radix: u32) -> Option<f64> {
    if digits.is_empty() {
        return None;
    }
    digits.chars().try_fold(0.0, |value, character| {
        Some(value * f64::from(radix) + f64::from(character.to_digit(radix)?))
    })
}

/// Go's units of time in nanoseconds.
const GO_UNITS: [(&str, f64); 8] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("µs", 1e3),
    ("μs", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 6e10),
    ("h", 3.6e12),
];

/// Reads a duration in the form of Go's time.ParseDuration (`1.5h`, `300ms`, `1h15m30.918273645s`, also negative) and returns
/// nanoseconds; `None` where the text is none or does not fit.
pub fn parse_go_duration(text: &str) -> Option<i64> {
    let (sign, mut rest) = match text.as_bytes().first()? {
        b'+' => (1.0, &text[1..]),
        b'-' => (-1.0, &text[1..]),
        _ => (1.0, text),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut nanos = 0.0;
    while !rest.is_empty() {
        let digits = rest
            .find(|character: char| !character.is_ascii_digit() && character != '.')
            .unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest
            .find(|character: char| character.is_ascii_digit() || character == '.')
            .unwrap_or(rest.len());
        let (_, unit) = GO_UNITS
            .iter()
            .find(|(name, _)| *name == &rest[..letters])?;
        nanos += number * unit;
        rest = &rest[letters..];
    }
    // 2^63: the first value that an i64 cannot hold.
    (nanos < 9_223_372_036_854_775_808.0).then_some((sign * nanos).round() as i64)
}

#[cfg(test)]
mod tests {
    use gameday_signal::{Quoted, escaped_byte};

    use super::*;

    #[test]
    fn reads_strings() {
        for (text, expected) in [
            (r#""a\"b"x"#, Some((6, "a\"b"))),
            (r"'a\'b'", Some((6, "a'b"))),
            ("`a\\n`", Some((5, "a\\n"))),
            (r#""\x41\101\u00e4\U0001F600""#, Some((26, "AAä😀"))),
            // Two escaped bytes make one character; a lone one stands for itself.
            (r#""\xc3\xa4\xff""#, Some((14, "ä\u{10ffff}"))),
            ("\"a\nb\"", None),
            ("\"a", None),
            ("\"a\\", None),
            (r#""\q""#, None),
            (r#""\ud800""#, None),
            (r#""\777""#, None),
            (r#""\'""#, None),
            ("`a", None),
            ("", None),
        ] {
            let read = read_string(text).ok();
            assert_eq!(
                read.as_ref()
                    .map(|(length, value)| (*length, value.as_str())),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn bytes_come_back() {
        assert_eq!(escaped_byte('\u{10ffff}'), Some(0xff));
        assert_eq!(escaped_byte('a'), None);
    }

    #[test]
    fn what_is_quoted_is_read_again() {
        for text in [
            "",
            "a\"b\\c`d'e",
            "\0\u{1}\u{7}\u{8}\t\n\u{b}\u{c}\r\u{7f}\u{85}ä😀",
            "\u{10ffff}\u{10ff80}",
        ] {
            let quoted = Quoted(text).to_string();
            let length = quoted.len();
            assert_eq!(
                read_string(&quoted),
                Ok((length, text.to_owned())),
                "{quoted}"
            );
        }
        assert_eq!(Quoted("\0\u{10ffff}").to_string(), r#""\x00\xff""#);
    }

    #[test]
    fn reads_numbers() {
        for (text, expected) in [
            ("1", Some(1.0)),
            ("-.5", Some(-0.5)),
            ("5.", Some(5.0)),
            ("5e-3", Some(0.005)),
            ("0xc", Some(12.0)),
            ("0755", Some(493.0)),
            ("0855", Some(855.0)),
            ("1_000", Some(1000.0)),
            ("+Inf", Some(f64::INFINITY)),
            ("-inf", Some(f64::NEG_INFINITY)),
            ("", None),
            ("infi", None),
            ("1m", None),
            ("0x", None),
            ("abc", None),
        ] {
            assert_eq!(parse_number(text), expected, "{text}");
        }
        assert!(parse_number("NaN").is_some_and(f64::is_nan));
    }

    #[test]
    fn reads_go_durations() {
        for (text, expected) in [
            ("1.5h", Some(5_400_000_000_000)),
            ("300ms", Some(300_000_000)),
            ("-1m30s", Some(-90_000_000_000)),
            ("12µs", Some(12_000)),
            ("0", Some(0)),
            ("1d", None),
            ("5", None),
            ("", None),
            (".s", None),
            ("9999999h", None),
        ] {
            assert_eq!(parse_go_duration(text), expected, "{text}");
        }
    }
}

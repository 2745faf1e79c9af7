//! Texts in quotes.

use std::fmt::{self, Write as _};

/// The first of the private characters that stand for bytes that are no UTF-8 (plane 16, a private use area of Unicode).
const BYTE_BASE: u32 = 0x0010_ff00;

/// The private character that stands for a byte that is no UTF-8, because texts are UTF-8: escapes in the string literals of the
/// query languages can build such bytes.
pub fn character_of_byte(byte: u8) -> char {
    char::from_u32(BYTE_BASE + u32::from(byte))
        .expect("invariant: plane 16 ends with the character of the byte 255")
}

/// The byte that a character of [`character_of_byte`] stands for, where it is one.
pub fn escaped_byte(character: char) -> Option<u8> {
    u32::from(character)
        .checked_sub(BYTE_BASE)
        .and_then(|byte| u8::try_from(byte).ok())
}

/// A text in double quotes as Go's strconv.Quote writes it, which is how Prometheus, Loki and Tempo show texts.
#[derive(Clone, Copy, Debug)]
pub struct Quoted<'a>(pub &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for character in self.0.chars() {
            match character {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '\t' => f.write_str("\\t")?,
                '\r' => f.write_str("\\r")?,
                '\x07' => f.write_str("\\a")?,
                '\x08' => f.write_str("\\b")?,
                '\x0c' => f.write_str("\\f")?,
                '\x0b' => f.write_str("\\v")?,
                control if control.is_ascii_control() => {
                    write!(f, "\\x{:02x}", u32::from(control))?;
                }
                control if control.is_control() => write!(f, "\\u{:04x}", u32::from(control))?,
                other => match escaped_byte(other) {
                    Some(byte) => write!(f, "\\x{byte:02x}")?,
                    None => f.write_char(other)?,
                },
            }
        }
        f.write_char('"')
    }
}

//! What the text of a plain scalar means.

/// The truth values of YAML 1.1, which Go's reader knows too.
pub(crate) fn truth(text: &str) -> Option<bool> {
    let is_any = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is_any(&["true", "yes", "on", "y"]) {
        Some(true)
    } else if is_any(&["false", "no", "off", "n"]) {
        Some(false)
    } else {
        None
    }
}

/// A whole number: decimal, `0x`, `0o` or `0b`, with underscores between digits.
pub(crate) fn integer(text: &str) -> Option<i128> {
    let (is_negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (radix, digits) = match digits.get(..2) {
        Some("0x" | "0X") => (16, &digits[2..]),
        Some("0o" | "0O") => (8, &digits[2..]),
        Some("0b" | "0B") => (2, &digits[2..]),
        _ => (10, digits),
    };
    let digits = digits.replace('_', "");
    if !digits.starts_with(|first: char| first.is_ascii_alphanumeric()) {
        return None;
    }
    let number = i128::from_str_radix(&digits, radix).ok()?;
    Some(if is_negative { -number } else { number })
}

/// A number with a fraction or an exponent, or what stands for infinity and not-a-number.
pub(crate) fn float(text: &str) -> Option<f64> {
    let (sign, rest) = match text.as_bytes().first()? {
        b'-' => (-1.0, &text[1..]),
        b'+' => (1.0, &text[1..]),
        _ => (1.0, text),
    };
    match rest {
        ".inf" | ".Inf" | ".INF" => return Some(sign * f64::INFINITY),
        ".nan" | ".NaN" | ".NAN" => return Some(f64::NAN),
        _ => {}
    }
    // Rust would take `inf` and `nan` as well.
    let is_number = rest.starts_with(|first: char| first.is_ascii_digit() || first == '.');
    if !is_number {
        return None;
    }
    rest.replace('_', "")
        .parse()
        .ok()
        .map(|own: f64| sign * own)
}

/// What a scalar is where nothing says how to read it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Plain {
    Truth(bool),
    Integer(i128),
    Float(f64),
    Text,
}

/// The type of a plain scalar by its looks.
pub(crate) fn plain(text: &str) -> Plain {
    let looks_octal = text.len() > 1
        && text.trim_start_matches(['-', '+']).starts_with('0')
        && text.bytes().skip(1).all(|own| own.is_ascii_digit());
    if let Some(truth) = truth(text) {
        Plain::Truth(truth)
    } else if looks_octal {
        // A telephone number or an identifier: no reader agrees with the next one upon its value.
        Plain::Text
    } else if let Some(number) = integer(text) {
        Plain::Integer(number)
    } else if let Some(number) = float(text) {
        Plain::Float(number)
    } else {
        Plain::Text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_have_the_types_of_their_looks() {
        for (text, expected) in [
            ("Yes", Plain::Truth(true)),
            ("off", Plain::Truth(false)),
            ("12", Plain::Integer(12)),
            ("-12", Plain::Integer(-12)),
            ("1_000", Plain::Integer(1000)),
            ("0x1F", Plain::Integer(31)),
            ("0o17", Plain::Integer(15)),
            ("0b101", Plain::Integer(5)),
            ("0", Plain::Integer(0)),
            ("007", Plain::Text),
            ("1.5", Plain::Float(1.5)),
            ("-.5e1", Plain::Float(-5.0)),
            ("-.inf", Plain::Float(f64::NEG_INFINITY)),
            ("inf", Plain::Text),
            ("nan", Plain::Text),
            ("1h", Plain::Text),
            ("-", Plain::Text),
            ("+", Plain::Text),
            ("--1", Plain::Text),
            ("", Plain::Text),
            ("1.2.3", Plain::Text),
            ("0x", Plain::Text),
        ] {
            assert_eq!(plain(text), expected, "{text}");
        }
        assert!(matches!(plain(".nan"), Plain::Float(number) if number.is_nan()));
    }
}

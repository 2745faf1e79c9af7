//! Numbers, durations and sizes as the values of labels have them, with the faults in Go's words.

/// Why a value is no number, duration or size; the words of Go's strconv and time and of dustin/go-humanize, which
/// `__error_details__` shows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UnitError {
    #[error("strconv.ParseFloat: parsing {0:?}: invalid syntax")]
    Number(String),
    #[error("strconv.ParseFloat: parsing {0:?}: value out of range")]
    NumberRange(String),
    #[error("time: invalid duration {0:?}")]
    Duration(String),
    #[error("time: missing unit in duration {0:?}")]
    DurationUnitMissing(String),
    #[error("time: unknown unit {unit:?} in duration {text:?}")]
    DurationUnit { unit: String, text: String },
    #[error("unhandled size name: {0}")]
    SizeUnit(String),
    #[error("too large: {0}")]
    SizeTooLarge(String),
}

/// A number as Go's strconv.ParseFloat reads it.
pub(crate) fn parse_float(text: &str) -> Result<f64, UnitError> {
    if let Some(number) = parse_hex_float(text) {
        return Ok(number);
    }
    match text.parse::<f64>() {
        // Digits too many for a number; infinity itself is spelt in letters.
        Ok(number) if number.is_infinite() && text.contains(|c: char| c.is_ascii_digit()) => {
            Err(UnitError::NumberRange(text.to_owned()))
        }
        Ok(number) => Ok(number),
        Err(_) => Err(UnitError::Number(text.to_owned())),
    }
}

/// `0x1.8p3`; an exponent is required.
fn parse_hex_float(text: &str) -> Option<f64> {
    let unsigned = text.trim_start_matches(['+', '-']);
    if text.len() - unsigned.len() > 1 {
        return None;
    }
    let digits = unsigned
        .strip_prefix("0x")
        .or_else(|| unsigned.strip_prefix("0X"))?;
    let (mantissa, exponent) = digits.split_once(['p', 'P'])?;
    let exponent: i32 = exponent.parse().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut value = 0f64;
    for digit in whole.chars().chain(fraction.chars()) {
        value = value * 16.0 + f64::from(digit.to_digit(16)?);
    }
    let scale = exponent.saturating_sub(i32::try_from(fraction.len() * 4).ok()?);
    let value = value * 2f64.powi(scale);
    Some(if text.starts_with('-') { -value } else { value })
}

/// A duration as Go's time.ParseDuration reads it, in nanoseconds.
pub(crate) fn parse_go_duration(text: &str) -> Result<i64, UnitError> {
    const UNITS: [(&str, f64); 8] = [
        ("ns", 1.0),
        ("us", 1e3),
        ("µs", 1e3),
        ("μs", 1e3),
        ("ms", 1e6),
        ("s", 1e9),
        ("m", 60e9),
        ("h", 3600e9),
    ];
    let invalid = || UnitError::Duration(text.to_owned());
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if unsigned == "0" {
        return Ok(0);
    }
    if unsigned.is_empty() {
        return Err(invalid());
    }
    let mut rest = unsigned;
    let mut nanos: i128 = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let mut number_end = digits;
        let mut fraction = "";
        if rest.as_bytes().get(digits) == Some(&b'.') {
            let after = &rest[digits + 1..];
            let length = after.bytes().take_while(u8::is_ascii_digit).count();
            fraction = &after[..length];
            number_end = digits + 1 + length;
        }
        if digits + fraction.len() == 0 {
            return Err(invalid());
        }
        let whole: i128 = if digits == 0 {
            0
        } else {
            rest[..digits].parse().map_err(|_| invalid())?
        };
        rest = &rest[number_end..];
        let unit_end = rest
            .find(|character: char| character == '.' || character.is_ascii_digit())
            .unwrap_or(rest.len());
        let unit = &rest[..unit_end];
        if unit.is_empty() {
            return Err(UnitError::DurationUnitMissing(text.to_owned()));
        }
        let Some((_, scale)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(UnitError::DurationUnit {
                unit: unit.to_owned(),
                text: text.to_owned(),
            });
        };
        nanos = nanos.saturating_add(whole.saturating_mul(*scale as i128));
        if !fraction.is_empty() {
            let part: f64 = format!("0.{fraction}").parse().map_err(|_| invalid())?;
            nanos = nanos.saturating_add((part * scale) as i128);
        }
        rest = &rest[unit_end..];
    }
    if text.starts_with('-') {
        nanos = -nanos;
    }
    i64::try_from(nanos).map_err(|_| invalid())
}

/// A size as dustin/go-humanize's ParseBytes reads it, in bytes.
pub(crate) fn parse_bytes(text: &str) -> Result<u64, UnitError> {
    const UNITS: [(&str, f64); 26] = [
        ("", 1.0),
        ("b", 1.0),
        ("kib", 1024.0),
        ("kb", 1e3),
        ("mib", 1_048_576.0),
        ("mb", 1e6),
        ("gib", 1_073_741_824.0),
        ("gb", 1e9),
        ("tib", 1_099_511_627_776.0),
        ("tb", 1e12),
        ("pib", 1_125_899_906_842_624.0),
        ("pb", 1e15),
        ("eib", 1_152_921_504_606_846_976.0),
        ("eb", 1e18),
        ("ki", 1024.0),
        ("k", 1e3),
        ("mi", 1_048_576.0),
        ("m", 1e6),
        ("gi", 1_073_741_824.0),
        ("g", 1e9),
        ("ti", 1_099_511_627_776.0),
        ("t", 1e12),
        ("pi", 1_125_899_906_842_624.0),
        ("p", 1e15),
        ("ei", 1_152_921_504_606_846_976.0),
        ("e", 1e18),
    ];
    let digits = text
        .bytes()
        .take_while(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b','))
        .count();
    let number: f64 = parse_float(&text[..digits].replace(',', ""))?;
    let unit = text[digits..].trim().to_lowercase();
    let Some((_, scale)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(UnitError::SizeUnit(unit));
    };
    let bytes = number * scale;
    if bytes >= u64::MAX as f64 {
        return Err(UnitError::SizeTooLarge(text.to_owned()));
    }
    Ok(bytes as u64)
}

/// A duration as Go's time.Duration renders it: `1h30m0s`, `1.5s`, `250ms`.
pub(crate) fn format_go_duration(nanos: i64) -> String {
    if nanos == 0 {
        return "0s".to_owned();
    }
    let sign = if nanos < 0 { "-" } else { "" };
    let total = nanos.unsigned_abs();
    if total < 1_000_000_000 {
        let (unit, scale, places) = match total {
            0..1_000 => ("ns", 1, 0),
            1_000..1_000_000 => ("µs", 1_000, 3),
            _ => ("ms", 1_000_000, 6),
        };
        return format!("{sign}{}{unit}", with_fraction(total, scale, places));
    }
    let seconds = with_fraction(total % 60_000_000_000, 1_000_000_000, 9);
    let minutes = total / 60_000_000_000;
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{sign}{seconds}s"),
        (0, minutes) => format!("{sign}{minutes}m{seconds}s"),
        (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}s"),
    }
}

fn with_fraction(total: u64, scale: u64, places: usize) -> String {
    let whole = total / scale;
    let part = total % scale;
    if part == 0 {
        return whole.to_string();
    }
    let digits = format!("{part:0places$}");
    format!("{whole}.{}", digits.trim_end_matches('0'))
}

/// A size as go-humanize's Bytes renders it, without the space: `1.0kB`, `25MB`, `512B`.
pub(crate) fn format_bytes(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 10 {
        return format!("{bytes}B");
    }
    let mut exponent = 0;
    let mut scale = 1u64;
    while exponent + 1 < UNITS.len() && bytes / scale >= 1000 {
        scale *= 1000;
        exponent += 1;
    }
    let value = (bytes as f64 / scale as f64 * 10.0 + 0.5).floor() / 10.0;
    if value < 10.0 {
        format!("{value:.1}{}", UNITS[exponent])
    } else {
        format!("{value:.0}{}", UNITS[exponent])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (text, expected) in [
            ("1.5e3", Some(1500.0)),
            ("-5", Some(-5.0)),
            ("0x1.8p3", Some(12.0)),
            ("0X1P3", Some(8.0)),
            ("+Inf", Some(f64::INFINITY)),
            ("0x10", None),
            ("0b1010", None),
            ("", None),
            ("1 ", None),
        ] {
            assert_eq!(parse_float(text).ok(), expected, "{text}");
        }
        assert!(parse_float("NaN").is_ok_and(f64::is_nan));
        assert_eq!(
            parse_float("oops").map_err(|error| error.to_string()),
            Err("strconv.ParseFloat: parsing \"oops\": invalid syntax".to_owned())
        );
    }

    #[test]
    fn durations() {
        for (text, expected) in [
            ("1h30m", Ok(5_400_000_000_000)),
            ("1.5s", Ok(1_500_000_000)),
            ("-5s", Ok(-5_000_000_000)),
            ("0", Ok(0)),
            (".5ms", Ok(500_000)),
            ("5", Err("time: missing unit in duration \"5\"")),
            ("1d", Err("time: unknown unit \"d\" in duration \"1d\"")),
            ("abc", Err("time: invalid duration \"abc\"")),
            ("", Err("time: invalid duration \"\"")),
        ] {
            let got = parse_go_duration(text).map_err(|error| error.to_string());
            assert_eq!(got, expected.map_err(str::to_owned), "{text}");
        }
        for (nanos, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_500, "1.5µs"),
            (250_000_000, "250ms"),
            (1_500_000_000, "1.5s"),
            (90_000_000_000, "1m30s"),
            (5_400_000_000_000, "1h30m0s"),
            (-5_000_000_000, "-5s"),
        ] {
            assert_eq!(format_go_duration(nanos), text);
        }
    }

    #[test]
    fn sizes() {
        for (text, expected) in [
            ("1KB", Ok(1000)),
            ("1.5 kib", Ok(1536)),
            ("2,048", Ok(2048)),
            ("1.5B", Ok(1)),
            ("1XB", Err("unhandled size name: xb")),
            ("", Err("strconv.ParseFloat: parsing \"\": invalid syntax")),
        ] {
            let got = parse_bytes(text).map_err(|error| error.to_string());
            assert_eq!(got, expected.map_err(str::to_owned), "{text}");
        }
        for (bytes, text) in [
            (5, "5B"),
            (512, "512B"),
            (1000, "1.0kB"),
            (25_000_000, "25MB"),
        ] {
            assert_eq!(format_bytes(bytes), text);
        }
    }
}

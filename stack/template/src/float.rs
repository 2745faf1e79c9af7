//! Floats as Go's strconv writes them.

/// Go's `%v` of a float: the shortest text that reads back as the same number, with an exponent below 1e-4 and from 1e+06 on.
pub fn format_float(value: f64) -> String {
    format_float_precision(value, 'g', None)
}

/// strconv.FormatFloat with the format `e`, `f` or `g` (or their capitals) and a precision, none for the shortest exact text.
/// Infinities are `+Inf` and `-Inf`.
pub fn format_float_precision(value: f64, format: char, precision: Option<usize>) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let sign = if value.is_sign_negative() { "-" } else { "" };
    let magnitude = value.abs();
    let text = match format.to_ascii_lowercase() {
        'e' => exponential(magnitude, precision),
        'f' => match precision {
            Some(precision) => format!("{magnitude:.precision$}"),
            None => format!("{magnitude}"),
        },
        _ => general(magnitude, precision),
    };
    let text = if format.is_ascii_uppercase() {
        text.to_ascii_uppercase()
    } else {
        text
    };
    format!("{sign}{text}")
}

/// The significant digits without trailing zeros, and the power of ten of the first one.
fn digits(magnitude: f64, precision: Option<usize>) -> (String, i32) {
    let written = match precision {
        Some(precision) => format!("{magnitude:.*e}", precision.saturating_sub(1)),
        None => format!("{magnitude:e}"),
    };
    let (mantissa, exponent) = written.split_once('e').unwrap_or((&written, "0"));
    let digits = mantissa.replace('.', "");
    (
        digits.trim_end_matches('0').to_owned(),
        exponent.parse().unwrap_or(0),
    )
}

fn exponential(magnitude: f64, precision: Option<usize>) -> String {
    let written = match precision {
        Some(precision) => format!("{magnitude:.precision$e}"),
        None => format!("{magnitude:e}"),
    };
    let (mantissa, exponent) = written.split_once('e').unwrap_or((&written, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

/// strconv's `g`: an exponent where it is below -4 or not below the precision.
fn general(magnitude: f64, precision: Option<usize>) -> String {
    let wanted = precision.map(|precision| precision.max(1));
    let (digits, exponent) = digits(magnitude, wanted);
    let count = digits.len().max(1);
    let point = exponent + 1;
    let threshold = match wanted {
        Some(wanted) if wanted > count && count as i32 >= point => count as i32,
        Some(wanted) => wanted as i32,
        None => SHORTEST_EXPONENT,
    };
    if magnitude != 0.0 && (exponent < -4 || exponent >= threshold) {
        return exponential(magnitude, Some(count - 1));
    }
    let decimals = usize::try_from(count as i32 - point).unwrap_or(0);
    format!("{magnitude:.decimals$}")
}

/// strconv: the precision that counts for the choice of the exponent where the shortest text is asked for.
const SHORTEST_EXPONENT: i32 = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_go_writes() {
        for (value, expected) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (0.5, "0.5"),
            (1e-4, "0.0001"),
            (1e-5, "1e-05"),
            (123_456_789.0, "1.23456789e+08"),
            (1e6, "1e+06"),
            (f64::INFINITY, "+Inf"),
        ] {
            assert_eq!(format_float(value), expected);
        }
        for (value, format, precision, expected) in [
            (1234.5678, 'g', 4, "1235"),
            (1000.0, 'g', 4, "1000"),
            (100_000.0, 'g', 4, "1e+05"),
            (0.000_012_345, 'g', 4, "1.234e-05"),
            (1.0, 'g', 4, "1"),
            (99.999, 'g', 4, "100"),
            (2.5, 'f', 0, "2"),
            (1234.5, 'e', 2, "1.23e+03"),
            (0.0, 'g', 4, "0"),
        ] {
            assert_eq!(
                format_float_precision(value, format, Some(precision)),
                expected
            );
        }
    }
}

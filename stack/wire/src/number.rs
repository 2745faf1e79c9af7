//! Numbers as Go and OpenMetrics write and read them.

/// Reads a float as Prometheus' exposition parsers do: decimal notation, `NaN`, `Inf` and `Infinity` in any case; no hexadecimal
/// digits, no underscores, nothing that overflows.
pub(crate) fn parse_float(text: &str) -> Option<f64> {
    let value: f64 = text.parse().ok()?;
    if value.is_finite() {
        return Some(value);
    }
    let first = text.as_bytes()[0];
    let (signed, letter) = match first {
        b'+' | b'-' => (true, *text.as_bytes().get(1)?),
        other => (false, other),
    };
    // Rust reads 1e999 as infinity and takes a sign before NaN; Go refuses both.
    let said_so = match letter {
        b'i' | b'I' => true,
        b'n' | b'N' => !signed,
        _ => false,
    };
    said_so.then_some(value)
}

/// Writes a float as Go's `strconv.FormatFloat(value, 'g', -1, 64)` does: the shortest digits that read back the same, with an
/// exponent below 1e-4 and from 1e6 on.
pub fn format_go_float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific
        .split_once('e')
        .expect("invariant: Rust's LowerExp always writes an exponent");
    let exponent: i32 = exponent
        .parse()
        .expect("invariant: Rust's LowerExp writes a decimal exponent");
    // strconv's ftoa.go: "if precision was the shortest possible, use precision 6 for this decision".
    if (-4..6).contains(&exponent) {
        return format!("{value}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

/// Writes a float for a label value or an OpenMetrics sample: like [`format_go_float`], with `.0` behind whole numbers
/// (prometheus/common, model's canonical `le` and `quantile`).
pub fn format_open_metrics_float(value: f64) -> String {
    let mut text = format_go_float(value);
    if value.is_finite() && !text.contains(['.', 'e']) {
        text.push_str(".0");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_go_reads() {
        for (text, value) in [
            ("1", 1.0),
            ("-.5", -0.5),
            ("1.", 1.0),
            ("+Inf", f64::INFINITY),
            ("-infinity", f64::NEG_INFINITY),
            ("1e3", 1000.0),
        ] {
            assert_eq!(parse_float(text), Some(value), "{text}");
        }
        assert!(parse_float("nan").expect("a NaN").is_nan());
        for text in [
            "", "+", "1_0", "0x1p-3", "1e999", "+nan", "a", "1e", "--1", "∞", "+∞",
        ] {
            assert_eq!(parse_float(text), None, "{text}");
        }
    }

    #[test]
    fn writes_what_go_writes() {
        for (value, go, open_metrics) in [
            (1.0, "1", "1.0"),
            (0.0, "0", "0.0"),
            (0.25, "0.25", "0.25"),
            (100_000.0, "100000", "100000.0"),
            (1e6, "1e+06", "1e+06"),
            (1_234_567.5, "1.2345675e+06", "1.2345675e+06"),
            (0.0001, "0.0001", "0.0001"),
            (1e-5, "1e-05", "1e-05"),
            (1e300, "1e+300", "1e+300"),
            (f64::INFINITY, "+Inf", "+Inf"),
            (f64::NAN, "NaN", "NaN"),
        ] {
            assert_eq!(format_go_float(value), go);
            assert_eq!(format_open_metrics_float(value), open_metrics);
        }
    }
}

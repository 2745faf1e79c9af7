//! Durations, with the methods of Go's time.Duration.

use crate::{Param, Signature, Value};

pub(crate) const METHODS: &[Signature] = &[
    Signature::new("Abs", &[]),
    Signature::new("Hours", &[]),
    Signature::new("Microseconds", &[]),
    Signature::new("Milliseconds", &[]),
    Signature::new("Minutes", &[]),
    Signature::new("Nanoseconds", &[]),
    Signature::new("Round", &[Param::Duration]),
    Signature::new("Seconds", &[]),
    Signature::new("String", &[]),
    Signature::new("Truncate", &[Param::Duration]),
];

const SECOND: i64 = 1_000_000_000;

/// Calls a method of time.Duration.
pub(crate) fn call(nanos: i64, method: &str, arguments: &[Value]) -> Result<Value, String> {
    let step = match arguments.first() {
        Some(Value::Duration(step) | Value::Int(step)) => *step,
        _ => 0,
    };
    Ok(match method {
        "Abs" => Value::Duration(nanos.saturating_abs()),
        "Hours" => Value::Float(nanos as f64 / (3600.0 * SECOND as f64)),
        "Minutes" => Value::Float(nanos as f64 / (60.0 * SECOND as f64)),
        "Seconds" => Value::Float(nanos as f64 / SECOND as f64),
        "Milliseconds" => Value::Int(nanos / 1_000_000),
        "Microseconds" => Value::Int(nanos / 1000),
        "Nanoseconds" => Value::Int(nanos),
        "String" => Value::from(text(nanos)),
        "Truncate" if step > 0 => Value::Duration(nanos - nanos % step),
        "Round" if step > 0 => {
            let rest = nanos % step;
            let down = nanos - rest;
            let away = rest.unsigned_abs().saturating_mul(2) >= step.unsigned_abs();
            Value::Duration(if away {
                down.saturating_add(step * nanos.signum())
            } else {
                down
            })
        }
        _ => Value::Duration(nanos),
    })
}

/// Go's Duration.String: `1h2m3.5s`, `1.5ms`, `0s`.
pub(crate) fn text(nanos: i64) -> String {
    if nanos == 0 {
        return "0s".to_owned();
    }
    let sign = if nanos < 0 { "-" } else { "" };
    let magnitude = nanos.unsigned_abs();
    let second = SECOND.unsigned_abs();
    if magnitude < second {
        let (unit, name) = match magnitude {
            0..1000 => (1, "ns"),
            1000..1_000_000 => (1000, "µs"),
            _ => (1_000_000, "ms"),
        };
        return format!("{sign}{}{name}", decimal(magnitude, unit));
    }
    let minutes = magnitude / second / 60;
    let seconds = decimal(magnitude % (60 * second), second);
    let (hours, minutes) = (minutes / 60, minutes % 60);
    if hours > 0 {
        format!("{sign}{hours}h{minutes}m{seconds}s")
    } else if minutes > 0 {
        format!("{sign}{minutes}m{seconds}s")
    } else {
        format!("{sign}{seconds}s")
    }
}

/// `value / unit` exactly, without trailing zeros.
fn decimal(value: u64, unit: u64) -> String {
    let (whole, fraction) = (value / unit, value % unit);
    if fraction == 0 {
        return whole.to_string();
    }
    let width = unit.ilog10() as usize;
    let digits = format!("{fraction:0width$}");
    format!("{whole}.{}", digits.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_go_writes() {
        for (nanos, expected) in [
            (0, "0s"),
            (1, "1ns"),
            (1_100, "1.1µs"),
            (2_200_000, "2.2ms"),
            (3_300_000_000, "3.3s"),
            (245_000_000_000, "4m5s"),
            (245_001_000_000, "4m5.001s"),
            (-3_600_000_000_000, "-1h0m0s"),
        ] {
            assert_eq!(text(nanos), expected);
        }
    }
}

//! Arithmetic of constants, which is done while a query is read.

use super::ast::{Op, Static};

/// `-constant`; `None` where it does not fit.
pub(crate) fn negate(constant: &Static) -> Option<Static> {
    match constant {
        Static::Int(number) => number.checked_neg().map(Static::Int),
        Static::Float(number) => Some(Static::Float(-*number)),
        Static::Duration(nanos) => nanos.checked_neg().map(Static::Duration),
        _ => None,
    }
}

/// `left op right` for `+`, `-`, `*` and `/`: whole numbers stay whole (`1 / 2` is `0`) and durations are refused.
pub(crate) fn arithmetic(op: Op, left: &Static, right: &Static) -> Result<Static, String> {
    match (left, right) {
        (Static::Int(left), Static::Int(right)) => {
            let result = match op {
                Op::Add => left.checked_add(*right),
                Op::Sub => left.checked_sub(*right),
                Op::Mul => left.checked_mul(*right),
                Op::Div if *right == 0 => return Err("division by zero".to_owned()),
                _ => left.checked_div(*right),
            };
            result
                .map(Static::Int)
                .ok_or_else(|| format!("{left} {} {right} does not fit 64 bits", op.as_str()))
        }
        (Static::Int(_) | Static::Float(_), Static::Int(_) | Static::Float(_)) => {
            let (left, right) = (as_float(left), as_float(right));
            Ok(Static::Float(match op {
                Op::Add => left + right,
                Op::Sub => left - right,
                Op::Mul => left * right,
                _ => left / right,
            }))
        }
        _ => Err("durations cannot be used in arithmetic of constants".to_owned()),
    }
}

/// The number that a constant is, durations in nanoseconds.
pub(crate) fn as_float(constant: &Static) -> f64 {
    match constant {
        Static::Int(number) | Static::Duration(number) => *number as f64,
        Static::Float(number) => *number,
        _ => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_stay_whole() {
        let int = Static::Int;
        assert_eq!(arithmetic(Op::Div, &int(1), &int(2)), Ok(int(0)));
        assert_eq!(
            arithmetic(Op::Div, &Static::Float(1.0), &int(2)),
            Ok(Static::Float(0.5))
        );
        assert!(arithmetic(Op::Div, &int(1), &int(0)).is_err());
        assert!(arithmetic(Op::Mul, &int(i64::MAX), &int(2)).is_err());
        assert!(arithmetic(Op::Add, &Static::Duration(1), &int(2)).is_err());
        assert_eq!(negate(&int(i64::MIN)), None);
    }
}

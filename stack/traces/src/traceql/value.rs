//! Values while a query runs, and what the operators make of them.

use std::borrow::Cow;
use std::cmp::Ordering;

use gameday_signal::{AttributeValue, SpanKind, SpanStatus};

use super::ast::{Op, Static};
use super::{format_nanos, kind_name, status_name};

/// A value of one span.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    /// There is none.
    Nil,
    Int(i64),
    Float(f64),
    String(Cow<'a, str>),
    Bool(bool),
    /// Nanoseconds.
    Duration(i64),
    Status(SpanStatus),
    Kind(SpanKind),
    /// An attribute that is a list: a comparison holds where it does for any element, `!=` and `!~` where they do for all.
    Array(Vec<Self>),
    /// The values of all events or links of a span: a comparison holds where it does for any of them.
    Any(Vec<Self>),
}

impl<'a> Value<'a> {
    pub(crate) fn of_static(constant: &'a Static) -> Self {
        match constant {
            Static::Int(number) => Self::Int(*number),
            Static::Float(number) => Self::Float(*number),
            Static::String(text) => Self::String(Cow::Borrowed(text)),
            Static::Bool(truth) => Self::Bool(*truth),
            Static::Duration(nanos) => Self::Duration(*nanos),
            Static::Status(status) => Self::Status(*status),
            Static::Kind(kind) => Self::Kind(*kind),
        }
    }

    pub(crate) fn of_attribute(value: &'a AttributeValue) -> Self {
        match value {
            AttributeValue::Empty => Self::Nil,
            AttributeValue::String(text) => Self::String(Cow::Borrowed(text)),
            AttributeValue::Bool(truth) => Self::Bool(*truth),
            AttributeValue::Int(number) => Self::Int(*number),
            AttributeValue::Double(number) => Self::Float(*number),
            AttributeValue::Array(values) => {
                Self::Array(values.iter().map(Self::of_attribute).collect())
            }
            // TraceQL has no such types; their JSON can be searched at least.
            AttributeValue::Bytes(_) | AttributeValue::Map(_) => {
                Self::String(Cow::Owned(value.to_string()))
            }
        }
    }

    pub(crate) fn into_owned(self) -> Value<'static> {
        match self {
            Self::Nil => Value::Nil,
            Self::Int(number) => Value::Int(number),
            Self::Float(number) => Value::Float(number),
            Self::String(text) => Value::String(Cow::Owned(text.into_owned())),
            Self::Bool(truth) => Value::Bool(truth),
            Self::Duration(nanos) => Value::Duration(nanos),
            Self::Status(status) => Value::Status(status),
            Self::Kind(kind) => Value::Kind(kind),
            Self::Array(values) => {
                Value::Array(values.into_iter().map(Value::into_owned).collect())
            }
            Self::Any(values) => Value::Any(values.into_iter().map(Value::into_owned).collect()),
        }
    }

    /// Whether it is `true`.
    pub(crate) fn is_true(&self) -> bool {
        match self {
            Self::Bool(truth) => *truth,
            Self::Any(values) => values.iter().any(Value::is_true),
            _ => false,
        }
    }

    pub(crate) fn is_nil(&self) -> bool {
        match self {
            Self::Nil => true,
            Self::Any(values) => values.is_empty(),
            _ => false,
        }
    }

    /// The number that it is, durations in nanoseconds.
    pub(crate) fn as_number(&self) -> Option<f64> {
        match self {
            Self::Int(number) | Self::Duration(number) => Some(*number as f64),
            Self::Float(number) => Some(*number),
            Self::Any(values) => values.first().and_then(Value::as_number),
            _ => None,
        }
    }

    fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(number) | Self::Duration(number) => Some(*number),
            _ => None,
        }
    }

    /// As text without quotes, as labels and attributes of an answer show it.
    pub(crate) fn to_text(&self) -> String {
        match self {
            Self::Nil => "nil".to_owned(),
            Self::Int(number) => number.to_string(),
            Self::Float(number) => number.to_string(),
            Self::String(text) => text.to_string(),
            Self::Bool(truth) => truth.to_string(),
            Self::Duration(nanos) => format_nanos(*nanos),
            Self::Status(status) => status_name(*status).to_owned(),
            Self::Kind(kind) => kind_name(*kind).to_owned(),
            Self::Array(values) | Self::Any(values) => {
                let texts: Vec<String> = values.iter().map(Value::to_text).collect();
                format!("[{}]", texts.join(", "))
            }
        }
    }

    /// Appends bytes that tell the value from every other one.
    pub(crate) fn write_key(&self, key: &mut Vec<u8>) {
        match self {
            Self::Nil => key.push(0),
            Self::Int(number) => {
                key.push(1);
                key.extend_from_slice(&number.to_le_bytes());
            }
            Self::Float(number) => {
                key.push(2);
                key.extend_from_slice(&number.to_bits().to_le_bytes());
            }
            Self::String(text) => {
                key.push(3);
                key.extend_from_slice(&(text.len() as u64).to_le_bytes());
                key.extend_from_slice(text.as_bytes());
            }
            Self::Bool(truth) => key.extend([4, u8::from(*truth)]),
            Self::Duration(nanos) => {
                key.push(5);
                key.extend_from_slice(&nanos.to_le_bytes());
            }
            Self::Status(status) => key.extend([6, *status as u8]),
            Self::Kind(kind) => key.extend([7, *kind as u8]),
            Self::Array(values) | Self::Any(values) => {
                key.push(8);
                key.extend_from_slice(&(values.len() as u64).to_le_bytes());
                values.iter().for_each(|value| value.write_key(key));
            }
        }
    }

    /// As an attribute of an answer.
    pub(crate) fn to_attribute(&self) -> AttributeValue {
        match self {
            Self::Int(number) => AttributeValue::Int(*number),
            Self::Float(number) => AttributeValue::Double(*number),
            Self::Bool(truth) => AttributeValue::Bool(*truth),
            Self::Any(values) if values.len() == 1 => values[0].to_attribute(),
            Self::Array(values) | Self::Any(values) => {
                AttributeValue::Array(values.iter().map(Value::to_attribute).collect())
            }
            Self::Nil | Self::String(_) | Self::Duration(_) | Self::Status(_) | Self::Kind(_) => {
                AttributeValue::String(self.to_text().into())
            }
        }
    }
}

/// `left op right` for every operator but the regular expressions. A comparison of what cannot be compared is false, arithmetic
/// of what is no number is nil.
pub(crate) fn apply<'a>(op: Op, left: &Value<'a>, right: &Value<'a>) -> Value<'a> {
    match op {
        Op::And => Value::Bool(left.is_true() && right.is_true()),
        Op::Or => Value::Bool(left.is_true() || right.is_true()),
        _ if op.is_arithmetic() => arithmetic(op, left, right),
        _ => Value::Bool(compare(op, left, right)),
    }
}

/// Whether `left op right` holds for a comparison.
pub(crate) fn compare(op: Op, left: &Value<'_>, right: &Value<'_>) -> bool {
    match (left, right) {
        (Value::Any(values), _) => values.iter().any(|value| compare(op, value, right)),
        (_, Value::Any(values)) => values.iter().any(|value| compare(op, left, value)),
        (Value::Array(values), _) => over_elements(op, values, |value| compare(op, value, right)),
        (_, Value::Array(values)) => over_elements(op, values, |value| compare(op, left, value)),
        _ => match ordering(left, right) {
            Some(order) => match op {
                Op::Equal => order == Ordering::Equal,
                Op::NotEqual => order != Ordering::Equal,
                Op::Less => order == Ordering::Less && is_ordered(left),
                Op::LessEqual => order != Ordering::Greater && is_ordered(left),
                Op::Greater => order == Ordering::Greater && is_ordered(left),
                Op::GreaterEqual => order != Ordering::Less && is_ordered(left),
                _ => false,
            },
            None => false,
        },
    }
}

/// Whether a comparison of a list holds: for any element, but for all of them where it denies.
pub(crate) fn over_elements<T>(op: Op, values: &[T], holds: impl FnMut(&T) -> bool) -> bool {
    if matches!(op, Op::NotEqual | Op::NotRegex) {
        !values.is_empty() && values.iter().all(holds)
    } else {
        values.iter().any(holds)
    }
}

fn is_ordered(value: &Value<'_>) -> bool {
    !matches!(value, Value::Bool(_) | Value::Status(_) | Value::Kind(_))
}

fn ordering(left: &Value<'_>, right: &Value<'_>) -> Option<Ordering> {
    match (left, right) {
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        (Value::Bool(left), Value::Bool(right)) => Some(left.cmp(right)),
        (Value::Status(left), Value::Status(right)) => Some(left.cmp(right)),
        (Value::Kind(left), Value::Kind(right)) => Some(left.cmp(right)),
        _ => match (left.as_int(), right.as_int()) {
            // Whole numbers beyond 2^53 compare exactly.
            (Some(left), Some(right)) => Some(left.cmp(&right)),
            _ => left.as_number()?.partial_cmp(&right.as_number()?),
        },
    }
}

fn arithmetic<'a>(op: Op, left: &Value<'a>, right: &Value<'a>) -> Value<'a> {
    if let (Some(whole_left), Some(whole_right)) = (left.as_int(), right.as_int()) {
        let duration = matches!(left, Value::Duration(_)) || matches!(right, Value::Duration(_));
        let result = match op {
            Op::Add => Some(whole_left.wrapping_add(whole_right)),
            Op::Sub => Some(whole_left.wrapping_sub(whole_right)),
            Op::Mul => Some(whole_left.wrapping_mul(whole_right)),
            Op::Div => whole_left.checked_div(whole_right),
            Op::Mod => whole_left.checked_rem(whole_right),
            _ => Some((whole_left as f64).powf(whole_right as f64) as i64),
        };
        return match result {
            Some(number) if duration => Value::Duration(number),
            Some(number) => Value::Int(number),
            // Tempo's division by zero is not a number, too.
            None => Value::Float(f64::NAN),
        };
    }
    let (Some(left), Some(right)) = (left.as_number(), right.as_number()) else {
        return Value::Nil;
    };
    Value::Float(match op {
        Op::Add => left + right,
        Op::Sub => left - right,
        Op::Mul => left * right,
        Op::Div => left / right,
        Op::Mod => left % right,
        _ => left.powf(right),
    })
}

/// `-value`; nil where it is no number.
pub(crate) fn negate<'a>(value: &Value<'a>) -> Value<'a> {
    match value {
        Value::Int(number) => Value::Int(number.wrapping_neg()),
        Value::Float(number) => Value::Float(-number),
        Value::Duration(nanos) => Value::Duration(nanos.wrapping_neg()),
        Value::Any(values) => Value::Any(values.iter().map(negate).collect()),
        _ => Value::Nil,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(
        clippy::needless_pass_by_value,
        reason = "the cases read better without references"
    )]
    fn check(left: Value<'_>, op: Op, right: Value<'_>, expected: bool) {
        assert_eq!(
            compare(op, &left, &right),
            expected,
            "{left:?} {op:?} {right:?}"
        );
    }

    #[test]
    fn compares_alike_and_refuses_the_rest() {
        let text = |text| Value::String(Cow::Borrowed(text));
        check(Value::Int(2), Op::Less, Value::Float(2.5), true);
        check(
            Value::Duration(1_000_000_000),
            Op::Equal,
            Value::Int(1_000_000_000),
            true,
        );
        check(
            Value::Int(i64::MAX),
            Op::Equal,
            Value::Int(i64::MAX - 1),
            false,
        );
        check(text("200"), Op::GreaterEqual, text("20"), true);
        check(text("2"), Op::NotEqual, Value::Int(2), false);
        check(Value::Nil, Op::NotEqual, Value::Int(2), false);
        check(Value::Float(f64::NAN), Op::NotEqual, Value::Int(2), false);
        check(Value::Bool(true), Op::Greater, Value::Bool(false), false);
        check(
            Value::Status(SpanStatus::Ok),
            Op::NotEqual,
            Value::Status(SpanStatus::Error),
            true,
        );
    }

    #[test]
    fn lists_match_any_and_deny_all() {
        let list = || Value::Array(vec![Value::Int(1), Value::Int(2)]);
        check(list(), Op::Equal, Value::Int(2), true);
        check(list(), Op::NotEqual, Value::Int(2), false);
        check(list(), Op::NotEqual, Value::Int(3), true);
        check(Value::Int(0), Op::Less, list(), true);
        check(Value::Array(vec![]), Op::NotEqual, Value::Int(3), false);
        let events = Value::Any(vec![Value::Int(1), Value::Int(2)]);
        check(events, Op::NotEqual, Value::Int(2), true);
    }

    #[test]
    fn whole_numbers_stay_whole_and_durations_durations() {
        assert_eq!(
            arithmetic(Op::Div, &Value::Int(7), &Value::Int(2)),
            Value::Int(3)
        );
        assert_eq!(
            arithmetic(Op::Mul, &Value::Duration(5), &Value::Int(2)),
            Value::Duration(10)
        );
        assert_eq!(
            arithmetic(Op::Add, &Value::Float(0.5), &Value::Int(2)),
            Value::Float(2.5)
        );
        assert_eq!(arithmetic(Op::Add, &Value::Nil, &Value::Int(2)), Value::Nil);
        assert_eq!(
            arithmetic(Op::Pow, &Value::Int(2), &Value::Int(10)),
            Value::Int(1024)
        );
    }
}

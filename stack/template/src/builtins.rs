//! Go's own template functions.

use std::cmp::Ordering;

use crate::format::{sprint, sprintf, sprintln};
use crate::text::{html_escape, js_escape, query_escape};
use crate::{Param, Signature, Value};

const ANY: Param = Param::Any;

const SIGNATURES: [Signature; 19] = [
    Signature::variadic("and", &[ANY], ANY),
    Signature::variadic("call", &[ANY], ANY),
    Signature::variadic("eq", &[ANY], ANY),
    Signature::new("ge", &[ANY, ANY]),
    Signature::new("gt", &[ANY, ANY]),
    Signature::variadic("html", &[], ANY),
    Signature::variadic("index", &[ANY], ANY),
    Signature::variadic("js", &[], ANY),
    Signature::new("le", &[ANY, ANY]),
    Signature::new("len", &[ANY]),
    Signature::new("lt", &[ANY, ANY]),
    Signature::new("ne", &[ANY, ANY]),
    Signature::new("not", &[ANY]),
    Signature::variadic("or", &[ANY], ANY),
    Signature::variadic("print", &[], ANY),
    Signature::variadic("printf", &[Param::String], ANY),
    Signature::variadic("println", &[], ANY),
    Signature::variadic("slice", &[ANY], ANY),
    Signature::variadic("urlquery", &[], ANY),
];

/// The signature of one of Go's own functions.
pub(crate) fn signature(name: &str) -> Option<&'static Signature> {
    static TABLE: [Signature; 19] = SIGNATURES;
    TABLE.iter().find(|signature| signature.name == name)
}

/// The names of Go's own functions.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    SIGNATURES.into_iter().map(|signature| signature.name)
}

/// Calls one of them; `and` and `or` are the executor's.
pub(crate) fn call(name: &str, arguments: &[Value]) -> Result<Value, String> {
    let first = arguments.first().unwrap_or(&Value::Nil);
    let second = arguments.get(1).unwrap_or(&Value::Nil);
    Ok(match name {
        "not" => Value::Bool(!first.is_true()),
        "len" => Value::Int(len(first)?),
        "eq" => Value::Bool(equal_to_any(arguments)?),
        "ne" => Value::Bool(!equal(first, second)?),
        "lt" => Value::Bool(order(first, second)? == Some(Ordering::Less)),
        "le" => Value::Bool(matches!(
            order(first, second)?,
            Some(Ordering::Less | Ordering::Equal)
        )),
        "gt" => Value::Bool(order(first, second)? == Some(Ordering::Greater)),
        "ge" => Value::Bool(matches!(
            order(first, second)?,
            Some(Ordering::Greater | Ordering::Equal)
        )),
        "index" => index(first, &arguments[1..])?,
        "slice" => slice(first, &arguments[1..])?,
        "print" => Value::from(sprint(arguments)),
        "println" => Value::from(sprintln(arguments)),
        "printf" => Value::from(sprintf(first.as_str().unwrap_or_default(), &arguments[1..])),
        "html" => Value::from(html_escape(&one_text(arguments))),
        "js" => Value::from(js_escape(&one_text(arguments))),
        "urlquery" => Value::from(query_escape(&one_text(arguments))),
        _ => {
            return Err(match first {
                Value::Nil => "call of nil".to_owned(),
                other => format!("non-function of type {}", other.type_name()),
            });
        }
    })
}

/// What the escaping functions work on: the text, or everything as `print` has it.
fn one_text(arguments: &[Value]) -> String {
    match arguments {
        [Value::Nil] => "<no value>".to_owned(),
        [one] if one.as_str().is_some() => one.as_str().unwrap_or_default().to_owned(),
        many => sprint(many),
    }
}

fn len(value: &Value) -> Result<i64, String> {
    let length = match value.plain() {
        Value::Str(text) | Value::Safe(_, text) => text.len(),
        Value::List(values) => values.len(),
        Value::Map(map) => map.entries.len(),
        Value::Nil => return Err("len of nil pointer".to_owned()),
        other => return Err(format!("len of type {}", other.type_name())),
    };
    Ok(length as i64)
}

/// The kinds that Go compares with each other.
#[derive(PartialEq, Eq)]
enum Basic {
    Bool,
    Int,
    Float,
    Text,
}

fn basic(value: &Value) -> Option<Basic> {
    match value {
        Value::Bool(_) => Some(Basic::Bool),
        Value::Int(_) | Value::Duration(_) => Some(Basic::Int),
        Value::Float(_) => Some(Basic::Float),
        Value::Str(_) | Value::Safe(..) => Some(Basic::Text),
        _ => None,
    }
}

fn int_of(value: &Value) -> i64 {
    match value {
        Value::Int(number) | Value::Duration(number) => *number,
        _ => 0,
    }
}

fn equal_to_any(arguments: &[Value]) -> Result<bool, String> {
    let [first, others @ ..] = arguments else {
        return Ok(false);
    };
    if others.is_empty() {
        return Err("missing argument for comparison".to_owned());
    }
    for other in others {
        if equal(first, other)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn equal(left: &Value, right: &Value) -> Result<bool, String> {
    if matches!((left, right), (Value::Nil, _) | (_, Value::Nil)) {
        return Ok(matches!((left, right), (Value::Nil, Value::Nil)));
    }
    if let (Value::Time(left), Value::Time(right)) = (left, right) {
        return Ok(left == right);
    }
    let kinds = (basic(left), basic(right));
    if kinds.0 != kinds.1 {
        return Err("incompatible types for comparison".to_owned());
    }
    let (Some(left_kind), _) = kinds else {
        return Err(format!(
            "non-comparable type {}: {}",
            crate::format::plain(left),
            left.type_name()
        ));
    };
    Ok(match (left, right) {
        (Value::Bool(left), Value::Bool(right)) => left == right,
        (Value::Float(left), Value::Float(right)) => left == right,
        _ if left_kind == Basic::Int => int_of(left) == int_of(right),
        _ => left.as_str() == right.as_str(),
    })
}

/// The order of two numbers or texts; none where one is not a number.
fn order(left: &Value, right: &Value) -> Result<Option<Ordering>, String> {
    let (Some(left_kind), Some(right_kind)) = (basic(left), basic(right)) else {
        return Err("invalid type for comparison".to_owned());
    };
    if left_kind != right_kind {
        return Err("incompatible types for comparison".to_owned());
    }
    match (left, right) {
        (Value::Float(left), Value::Float(right)) => Ok(left.partial_cmp(right)),
        (Value::Bool(_), _) => Err("invalid type for comparison".to_owned()),
        _ if left_kind == Basic::Int => Ok(Some(int_of(left).cmp(&int_of(right)))),
        _ => Ok(Some(left.as_str().cmp(&right.as_str()))),
    }
}

fn position(index: &Value, length: usize) -> Result<usize, String> {
    match index {
        Value::Int(number) => usize::try_from(*number)
            .ok()
            .filter(|number| *number <= length)
            .ok_or_else(|| format!("index out of range: {number}")),
        Value::Nil => Err("cannot index slice/array with nil".to_owned()),
        other => Err(format!(
            "cannot index slice/array with type {}",
            other.type_name()
        )),
    }
}

fn index(value: &Value, indexes: &[Value]) -> Result<Value, String> {
    if matches!(value, Value::Nil) {
        return Err("index of untyped nil".to_owned());
    }
    let mut value = value.clone();
    for index in indexes {
        value = match value.plain() {
            Value::List(values) => {
                let at = position(index, values.len())?;
                let out_of_range = || format!("index out of range: {at}");
                values.get(at).cloned().ok_or_else(out_of_range)?
            }
            Value::Str(text) | Value::Safe(_, text) => {
                let at = position(index, text.len())?;
                let out_of_range = || format!("index out of range: {at}");
                let byte = text.as_bytes().get(at).ok_or_else(out_of_range)?;
                Value::Int(i64::from(*byte))
            }
            Value::Map(map) => match index {
                Value::Str(key) => map
                    .entries
                    .get(key.as_ref())
                    .unwrap_or(&map.missing)
                    .clone(),
                Value::Nil => return Err("value is nil; should be of type string".to_owned()),
                other => {
                    return Err(format!(
                        "value has type {}; should be string",
                        other.type_name()
                    ));
                }
            },
            Value::Nil => return Err("index of nil pointer".to_owned()),
            _ => return Err(format!("can't index item of type {}", value.type_name())),
        };
    }
    Ok(value)
}

fn slice(value: &Value, indexes: &[Value]) -> Result<Value, String> {
    if matches!(value, Value::Nil) {
        return Err("slice of untyped nil".to_owned());
    }
    if indexes.len() > 3 {
        return Err(format!("too many slice indexes: {}", indexes.len()));
    }
    let length = match value.plain() {
        Value::List(values) => values.len(),
        Value::Str(_) if indexes.len() == 3 => {
            return Err("cannot 3-index slice a string".to_owned());
        }
        Value::Str(text) => text.len(),
        _ => return Err(format!("can't slice item of type {}", value.type_name())),
    };
    let mut bounds = [0, length, length];
    for (bound, index) in bounds.iter_mut().zip(indexes) {
        *bound = position(index, length)?;
    }
    let [from, to, capacity] = bounds;
    if from > to {
        return Err(format!("invalid slice index: {from} > {to}"));
    }
    if indexes.len() == 3 && to > capacity {
        return Err(format!("invalid slice index: {to} > {capacity}"));
    }
    Ok(match value.plain() {
        Value::List(values) => Value::list(values[from..to].iter().cloned()),
        Value::Str(text) => {
            Value::from(String::from_utf8_lossy(&text.as_bytes()[from..to]).into_owned())
        }
        _ => Value::Nil,
    })
}

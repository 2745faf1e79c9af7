//! The functions (cel-spec, "List of Standard Definitions").

use std::rc::Rc;

use regex::RegexBuilder;

use super::value::{Value, no_overload};

/// The compiled size of an expression for `matches`.
const REGEX_BYTES_MAX: usize = 1 << 20;
/// Functions by name, with how many arguments they take, as a function and as a method (with what they are of counted).
const FUNCTIONS: [(&str, Option<usize>, Option<usize>); 13] = [
    ("bool", Some(1), None),
    ("bytes", Some(1), None),
    ("contains", None, Some(2)),
    ("double", Some(1), None),
    ("dyn", Some(1), None),
    ("endsWith", None, Some(2)),
    ("int", Some(1), None),
    ("matches", Some(2), Some(2)),
    ("size", Some(1), Some(1)),
    ("startsWith", None, Some(2)),
    ("string", Some(1), None),
    ("type", Some(1), None),
    ("uint", Some(1), None),
];
/// Types by name.
const TYPES: [&str; 10] = [
    "bool",
    "bytes",
    "double",
    "int",
    "list",
    "map",
    "null_type",
    "string",
    "type",
    "uint",
];

/// Whether there is such a function.
pub(super) fn takes(name: &str, arguments: usize, is_method: bool) -> Result<(), String> {
    if matches!(name, "timestamp" | "duration") {
        return Err(format!("{name}() is not supported here"));
    }
    let known = FUNCTIONS.iter().find(|(own, ..)| *own == name);
    let wanted =
        known.and_then(|(_, function, method)| if is_method { *method } else { *function });
    match wanted {
        None => Err(format!("undeclared reference to {name:?}")),
        Some(count) if count != arguments => {
            let own = usize::from(is_method);
            Err(format!(
                "{name}() takes {} arguments, not {}",
                count - own,
                arguments - own
            ))
        }
        Some(_) => Ok(()),
    }
}

/// Whether a name is that of a type.
pub(super) fn is_type(name: &str) -> bool {
    TYPES.contains(&name)
}

/// The type of that name.
pub(super) fn type_of(name: &str) -> Option<Value> {
    TYPES.into_iter().find(|own| *own == name).map(Value::Type)
}

/// Calls a function.
pub(super) fn call(name: &str, arguments: &[Value]) -> Result<Value, String> {
    let refused = || no_overload(name, &arguments.iter().collect::<Vec<_>>());
    match (name, arguments) {
        ("size", [of]) => {
            let size = match of {
                Value::Text(text) => text.chars().count(),
                Value::Bytes(bytes) => bytes.len(),
                Value::List(items) => items.len(),
                Value::Map(entries) => entries.len(),
                _ => return Err(refused()),
            };
            Ok(Value::Int(i64::try_from(size).unwrap_or(i64::MAX)))
        }
        ("contains", [Value::Text(of), Value::Text(part)]) => Ok(Value::Bool(of.contains(&**part))),
        ("startsWith", [Value::Text(of), Value::Text(part)]) => {
            Ok(Value::Bool(of.starts_with(&**part)))
        }
        ("endsWith", [Value::Text(of), Value::Text(part)]) => {
            Ok(Value::Bool(of.ends_with(&**part)))
        }
        ("matches", [Value::Text(of), Value::Text(regex)]) => {
            let built = RegexBuilder::new(regex).size_limit(REGEX_BYTES_MAX).build();
            let regex = built.map_err(|error| error.to_string())?;
            Ok(Value::Bool(regex.is_match(of)))
        }
        ("type", [of]) => type_of(of.type_name()).ok_or_else(refused),
        ("dyn", [of]) | ("bytes", [of @ Value::Bytes(_)]) => Ok(of.clone()),
        ("bool", [of]) => to_bool(of).ok_or_else(refused),
        ("int", [of]) => to_int(of).unwrap_or_else(|| Err(refused())),
        ("uint", [of]) => to_uint(of).unwrap_or_else(|| Err(refused())),
        ("double", [of]) => to_double(of).ok_or_else(refused),
        ("string", [of]) => to_text(of).ok_or_else(refused),
        ("bytes", [Value::Text(text)]) => Ok(Value::Bytes(text.as_bytes().into())),
        _ => Err(refused()),
    }
}

fn to_bool(of: &Value) -> Option<Value> {
    match of {
        Value::Bool(_) => Some(of.clone()),
        Value::Text(text) => match &**text {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(Value::Bool(true)),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(Value::Bool(false)),
            _ => None,
        },
        _ => None,
    }
}

fn to_int(of: &Value) -> Option<Result<Value, String>> {
    let range = || "int out of range".to_owned();
    Some(match of {
        Value::Int(_) => Ok(of.clone()),
        Value::Uint(number) => i64::try_from(*number).map(Value::Int).map_err(|_| range()),
        // Beyond these the nearest doubles are no ints any more.
        Value::Double(number) if number.abs() < 9.223_372_036_854_776e18 => {
            Ok(Value::Int(*number as i64))
        }
        Value::Double(_) => Err(range()),
        Value::Text(text) => text
            .parse()
            .map(Value::Int)
            .map_err(|error| format!("int({text:?}): {error}")),
        _ => return None,
    })
}

fn to_uint(of: &Value) -> Option<Result<Value, String>> {
    let range = || "uint out of range".to_owned();
    Some(match of {
        Value::Uint(_) => Ok(of.clone()),
        Value::Int(number) => u64::try_from(*number).map(Value::Uint).map_err(|_| range()),
        Value::Double(number) if *number > -1.0 && *number < 1.844_674_407_370_955_2e19 => {
            Ok(Value::Uint(*number as u64))
        }
        Value::Double(_) => Err(range()),
        Value::Text(text) => text
            .parse()
            .map(Value::Uint)
            .map_err(|error| format!("uint({text:?}): {error}")),
        _ => return None,
    })
}

fn to_double(of: &Value) -> Option<Value> {
    Some(Value::Double(match of {
        Value::Double(number) => *number,
        Value::Int(number) => *number as f64,
        Value::Uint(number) => *number as f64,
        Value::Text(text) => text.parse().ok()?,
        _ => return None,
    }))
}

fn to_text(of: &Value) -> Option<Value> {
    let text: Rc<str> = match of {
        Value::Text(text) => Rc::clone(text),
        Value::Bool(value) => value.to_string().into(),
        Value::Int(number) => number.to_string().into(),
        Value::Uint(number) => number.to_string().into(),
        Value::Double(number) => number.to_string().into(),
        Value::Bytes(bytes) => std::str::from_utf8(bytes).ok()?.into(),
        _ => return None,
    };
    Some(Value::Text(text))
}

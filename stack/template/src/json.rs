//! Values as encoding/json writes them.

use serde_json::Value as Json;

use crate::Value;

/// The value as JSON; objects in the order of their fields, maps in the order of their keys.
pub(crate) fn to_json(value: &Value) -> String {
    let mut out = String::new();
    write(&mut out, value);
    out
}

fn write(out: &mut String, value: &Value) {
    match value {
        Value::Nil => out.push_str("null"),
        Value::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Value::Int(number) | Value::Duration(number) => out.push_str(&number.to_string()),
        Value::Float(number) => out.push_str(&Json::from(*number).to_string()),
        Value::Str(text) | Value::Safe(_, text) => string(out, text),
        Value::Time(time) => string(out, &time.rfc3339()),
        Value::List(values) => {
            out.push('[');
            for (index, one) in values.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write(out, one);
            }
            out.push(']');
        }
        Value::Map(map) => {
            let entries = map.entries.iter();
            object(out, entries.map(|(key, one)| (key.clone(), one)));
        }
        Value::Struct(fields) => {
            let named = |name: &str| {
                if fields.lower_case_json {
                    lower_first(name)
                } else {
                    name.to_owned()
                }
            };
            let entries = fields.fields.iter();
            object(out, entries.map(|(name, one)| (named(name), one)));
        }
        Value::Object(inner) => write(out, inner.plain()),
    }
}

fn lower_first(name: &str) -> String {
    let mut characters = name.chars();
    match characters.next() {
        Some(first) => first.to_lowercase().chain(characters).collect(),
        None => String::new(),
    }
}

fn object<'a>(out: &mut String, entries: impl Iterator<Item = (String, &'a Value)>) {
    out.push('{');
    for (index, (key, value)) in entries.enumerate() {
        if index > 0 {
            out.push(',');
        }
        string(out, &key);
        out.push(':');
        write(out, value);
    }
    out.push('}');
}

/// A JSON string with Go's escapes of what HTML would read as a tag or an entity.
pub(crate) fn string(out: &mut String, text: &str) {
    let quoted = Json::from(text).to_string();
    for character in quoted.chars() {
        match character {
            '<' => out.push_str("\\u003c"),
            '>' => out.push_str("\\u003e"),
            '&' => out.push_str("\\u0026"),
            '\u{2028}' => out.push_str("\\u2028"),
            '\u{2029}' => out.push_str("\\u2029"),
            other => out.push(other),
        }
    }
}

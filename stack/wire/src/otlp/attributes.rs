//! Attributes, resources and scopes: messages to signal and back.

use gameday_signal::{AttributeValue, Attributes, Resource, Scope};

use super::Limits;
use super::message::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList, ResourceMessage, Value,
};

/// Turns attributes into signal; an error says which limit they broke.
pub(super) fn attributes(pairs: Vec<KeyValue>, limits: &Limits) -> Result<Attributes, String> {
    if pairs.len() > limits.attributes_max {
        return Err(format!(
            "{} attributes, the limit is {}",
            pairs.len(),
            limits.attributes_max
        ));
    }
    pairs
        .into_iter()
        .map(|pair| {
            let value = pair.value.map_or(Ok(AttributeValue::Empty), |any| {
                value(any, limits)
                    .map_err(|reason| format!("attribute {:?}: {reason}", clip(&pair.key)))
            })?;
            if pair.key.len() > limits.value_bytes_max {
                return Err(format!(
                    "attribute name of {} bytes, the limit is {}",
                    pair.key.len(),
                    limits.value_bytes_max
                ));
            }
            Ok((pair.key.into(), value))
        })
        .collect::<Result<Vec<_>, String>>()
        .map(Attributes)
}

/// Turns a value into signal; an error says which limit it broke.
pub(super) fn value(any: AnyValue, limits: &Limits) -> Result<AttributeValue, String> {
    let mut size = 0;
    let converted = convert(any, &mut size);
    if size > limits.value_bytes_max {
        return Err(format!(
            "value of {size} bytes, the limit is {}",
            limits.value_bytes_max
        ));
    }
    Ok(converted)
}

/// The nesting is limited where the bytes are read: prost takes 100 levels, serde_json 128.
fn convert(any: AnyValue, size: &mut usize) -> AttributeValue {
    match any.value {
        None => AttributeValue::Empty,
        Some(Value::String(text)) => {
            *size += text.len();
            AttributeValue::String(text.into())
        }
        Some(Value::Bool(truth)) => {
            *size += 1;
            AttributeValue::Bool(truth)
        }
        Some(Value::Int(number)) => {
            *size += 8;
            AttributeValue::Int(number)
        }
        Some(Value::Double(number)) => {
            *size += 8;
            AttributeValue::Double(number)
        }
        Some(Value::Bytes(bytes)) => {
            *size += bytes.len();
            AttributeValue::Bytes(bytes)
        }
        Some(Value::Array(list)) => AttributeValue::Array(
            list.values
                .into_iter()
                .map(|value| {
                    *size += 1;
                    convert(value, size)
                })
                .collect(),
        ),
        Some(Value::Kvlist(list)) => AttributeValue::Map(
            list.values
                .into_iter()
                .map(|pair| {
                    *size += pair.key.len() + 1;
                    (
                        pair.key.into(),
                        convert(pair.value.unwrap_or_default(), size),
                    )
                })
                .collect(),
        ),
    }
}

pub(super) fn resource(
    message: Option<ResourceMessage>,
    limits: &Limits,
) -> Result<Resource, String> {
    Ok(Resource {
        attributes: attributes(message.unwrap_or_default().attributes, limits)
            .map_err(|reason| format!("resource: {reason}"))?,
    })
}

pub(super) fn scope(
    message: Option<InstrumentationScope>,
    limits: &Limits,
) -> Result<Scope, String> {
    let message = message.unwrap_or_default();
    Ok(Scope {
        name: message.name,
        version: message.version,
        attributes: attributes(message.attributes, limits)
            .map_err(|reason| format!("scope: {reason}"))?,
    })
}

pub(super) fn to_message(value: &AttributeValue) -> AnyValue {
    AnyValue {
        value: match value {
            AttributeValue::Empty => None,
            AttributeValue::String(text) => Some(Value::String(text.to_string())),
            AttributeValue::Bool(truth) => Some(Value::Bool(*truth)),
            AttributeValue::Int(number) => Some(Value::Int(*number)),
            AttributeValue::Double(number) => Some(Value::Double(*number)),
            AttributeValue::Bytes(bytes) => Some(Value::Bytes(bytes.clone())),
            AttributeValue::Array(values) => Some(Value::Array(ArrayValue {
                values: values.iter().map(to_message).collect(),
            })),
            AttributeValue::Map(pairs) => Some(Value::Kvlist(KeyValueList {
                values: pairs
                    .iter()
                    .map(|(key, value)| key_value(key, value))
                    .collect(),
            })),
        },
    }
}

fn key_value(key: &str, value: &AttributeValue) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(to_message(value)),
    }
}

pub(super) fn to_messages(attributes: &Attributes) -> Vec<KeyValue> {
    attributes
        .iter()
        .map(|(key, value)| key_value(key, value))
        .collect()
}

pub(super) fn resource_message(resource: &Resource) -> ResourceMessage {
    ResourceMessage {
        attributes: to_messages(&resource.attributes),
    }
}

pub(super) fn scope_message(scope: &Scope) -> InstrumentationScope {
    InstrumentationScope {
        name: scope.name.clone(),
        version: scope.version.clone(),
        attributes: to_messages(&scope.attributes),
    }
}

/// The first characters of a text from outside, for messages.
pub(super) fn clip(text: &str) -> &str {
    let end = text.char_indices().nth(64).map_or(text.len(), |(at, _)| at);
    &text[..end]
}

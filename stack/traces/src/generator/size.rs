//! How many bytes a span takes in OTLP's protobuf, which is what `traces_spanmetrics_size_total` counts.

use gameday_signal::{AttributeValue, Attributes, Span};

fn varint(number: u64) -> usize {
    // Seven bits a byte; zero takes one.
    (64 - (number | 1).leading_zeros() as usize).div_ceil(7)
}

/// A field of a length: tag, length, content; absent when empty.
fn field(length: usize) -> usize {
    if length == 0 { 0 } else { message(length) }
}

/// A message is there even when it is empty.
fn message(length: usize) -> usize {
    1 + varint(length as u64) + length
}

fn number(value: u64) -> usize {
    if value == 0 { 0 } else { 1 + varint(value) }
}

fn any_value(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::Empty => 0,
        AttributeValue::String(text) => message(text.len()),
        AttributeValue::Bool(_) => 2,
        AttributeValue::Int(number) => 1 + varint(*number as u64),
        AttributeValue::Double(_) => 9,
        AttributeValue::Bytes(bytes) => message(bytes.len()),
        AttributeValue::Array(values) => {
            message(values.iter().map(|value| message(any_value(value))).sum())
        }
        AttributeValue::Map(pairs) => message(
            pairs
                .iter()
                .map(|(key, value)| message(key_value(key, value)))
                .sum(),
        ),
    }
}

fn key_value(key: &str, value: &AttributeValue) -> usize {
    field(key.len()) + message(any_value(value))
}

fn attributes(all: &Attributes) -> usize {
    all.iter()
        .map(|(key, value)| message(key_value(key, value)))
        .sum()
}

/// The bytes of the message `Span`, without its resource and scope. All ids and times are written, flags are a fixed32 whose tag
/// takes two bytes.
pub(crate) fn span_bytes(span: &Span) -> usize {
    let status = field(span.status_message.len()) + number(span.status as u64);
    let events: usize = span
        .events
        .iter()
        .map(|event| message(9 + field(event.name.len()) + attributes(&event.attributes)))
        .sum();
    let links: usize = span
        .links
        .iter()
        .map(|link| {
            message(
                message(16)
                    + message(8)
                    + field(link.trace_state.len())
                    + attributes(&link.attributes),
            )
        })
        .sum();
    let parent = if span.parent_span_id.is_none() {
        0
    } else {
        message(8)
    };
    message(16)
        + message(8)
        + field(span.trace_state.len())
        + parent
        + field(span.name.len())
        + number(span.kind as u64)
        + 9 * 2
        + attributes(&span.attributes)
        + events
        + links
        + if status == 0 { 0 } else { message(status) }
        + if span.flags == 0 { 0 } else { 6 }
}

//! Protocol Buffers, the writing half: as much as OTLP needs.
//!
//! Spans and log records are encoded once, into the buffer of their batch, when they end: a tree of message structs would be built
//! and torn down for each request. Field numbers are the caller's business.

/// Appends a field number and wire type 0, and an unsigned number; nothing at all where it is the default.
pub(crate) fn varint_field(out: &mut Vec<u8>, field: u32, value: u64) {
    if value != 0 {
        tag(out, field, 0);
        varint(out, value);
    }
}

/// Appends a `fixed64`; nothing where it is the default.
pub(crate) fn fixed64_field(out: &mut Vec<u8>, field: u32, value: u64) {
    if value != 0 {
        tag(out, field, 1);
        out.extend_from_slice(&value.to_le_bytes());
    }
}

/// Appends a `fixed32`; nothing where it is the default.
pub(crate) fn fixed32_field(out: &mut Vec<u8>, field: u32, value: u32) {
    if value != 0 {
        tag(out, field, 5);
        out.extend_from_slice(&value.to_le_bytes());
    }
}

/// Appends bytes or a string; nothing where they are empty.
pub(crate) fn bytes_field(out: &mut Vec<u8>, field: u32, value: &[u8]) {
    if !value.is_empty() {
        message_head(out, field, value.len());
        out.extend_from_slice(value);
    }
}

/// Appends the head of an embedded message (or of bytes that may be empty) of that length.
pub(crate) fn message_head(out: &mut Vec<u8>, field: u32, len: usize) {
    tag(out, field, 2);
    varint(out, len as u64);
}

/// The length of an embedded message with its head.
pub(crate) fn message_len(field: u32, len: usize) -> usize {
    varint_len(u64::from(field) << 3) + varint_len(len as u64) + len
}

/// Appends an embedded message that `write` fills. Its length is not known before, so the bytes are moved once where the length
/// needs more than one byte.
pub(crate) fn message_field(out: &mut Vec<u8>, field: u32, write: impl FnOnce(&mut Vec<u8>)) {
    tag(out, field, 2);
    let head = out.len();
    out.push(0);
    write(out);
    let len = out.len() - head - 1;
    let width = varint_len(len as u64);
    if width > 1 {
        out.resize(out.len() + width - 1, 0);
        out.copy_within(head + 1..head + 1 + len, head + width);
    }
    let mut rest = len as u64;
    for byte in &mut out[head..head + width] {
        *byte = (rest & 0x7f) as u8 | 0x80;
        rest >>= 7;
    }
    out[head + width - 1] &= 0x7f;
}

/// A key and a text that are together this long need one byte for each of their lengths.
const SHORT: usize = 100;

/// Appends a message whose field 1 is `key` and whose field 2 is a message with `text` in its field 1: OTLP's `KeyValue` with a text,
/// of which every span has ten. Its lengths are known before, so that nothing is moved.
pub(crate) fn text_pair_field(out: &mut Vec<u8>, field: u32, key: &[u8], text: &[u8]) {
    if field < 16 && !key.is_empty() && key.len() + text.len() <= SHORT {
        let (key_len, text_len) = (key.len() as u8, text.len() as u8);
        out.reserve(SHORT + 8);
        out.extend_from_slice(&[
            (field << 3 | 2) as u8,
            key_len + text_len + 6,
            1 << 3 | 2,
            key_len,
        ]);
        out.extend_from_slice(key);
        out.extend_from_slice(&[2 << 3 | 2, text_len + 2, 1 << 3 | 2, text_len]);
        out.extend_from_slice(text);
        return;
    }
    let value_len = message_len(1, text.len());
    let key_len = if key.is_empty() {
        0
    } else {
        message_len(1, key.len())
    };
    message_head(out, field, key_len + message_len(2, value_len));
    bytes_field(out, 1, key);
    message_head(out, 2, value_len);
    message_head(out, 1, text.len());
    out.extend_from_slice(text);
}

fn tag(out: &mut Vec<u8>, field: u32, wire_type: u32) {
    varint(out, u64::from(field << 3 | wire_type));
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The bytes of a varint: one for each seven bits.
fn varint_len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embedded_messages_of_every_length_have_their_length() {
        for len in [0, 1, 127, 128, 300, 16_383, 16_384, 70_000] {
            let body = vec![7; len];
            let mut nested = Vec::new();
            message_field(&mut nested, 3, |out| out.extend_from_slice(&body));
            let mut flat = Vec::new();
            message_head(&mut flat, 3, len);
            flat.extend_from_slice(&body);
            assert_eq!(nested, flat, "{len}");
            assert_eq!(nested.len(), message_len(3, len), "{len}");
        }
    }

    #[test]
    fn a_pair_of_texts_is_what_its_messages_are() {
        for (key, text) in [
            ("", ""),
            ("k", ""),
            ("", "t"),
            ("key", "text"),
            ("k", &"long".repeat(99)),
        ] {
            let (key, text) = (key.as_bytes(), text.as_bytes());
            let mut nested = Vec::new();
            message_field(&mut nested, 9, |out| {
                bytes_field(out, 1, key);
                message_field(out, 2, |out| {
                    message_head(out, 1, text.len());
                    out.extend_from_slice(text);
                });
            });
            let mut flat = Vec::new();
            text_pair_field(&mut flat, 9, key, text);
            assert_eq!(nested, flat);
        }
    }

    #[test]
    fn the_examples_of_the_encoding_guide() {
        let mut out = Vec::new();
        varint_field(&mut out, 1, 150);
        assert_eq!(out, [0x08, 0x96, 0x01]);
        out.clear();
        bytes_field(&mut out, 2, b"testing");
        assert_eq!(out, [0x12, 7, b't', b'e', b's', b't', b'i', b'n', b'g']);
        out.clear();
        varint_field(&mut out, 9, 0);
        assert!(out.is_empty());
    }
}

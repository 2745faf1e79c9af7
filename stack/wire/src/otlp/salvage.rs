//! What can be saved of a request in protobuf that is wrong in places: an item that is no such message, say because a text is not
//! UTF-8, is left out alone.
//!
//! The three signals have the same shape: a request is groups (field 1), a group has scopes (field 2), a scope has items (field 2).

use prost::Message;

/// The length-delimited field that holds groups, scopes and items on each level.
const FIELDS: [u32; 3] = [1, 2, 2];
/// Protobuf's wire type of texts, bytes and messages.
const LENGTH_DELIMITED: u8 = 2;

/// The request without the items that are no `Item`, and how many were left out; none where the request itself is broken. A group or
/// a scope that is wrong in itself stays: the caller's decoder refuses it.
pub(super) fn salvage<Item: Message + Default>(body: &[u8]) -> Option<(Vec<u8>, u64)> {
    let mut left_out = 0;
    let clean = rebuild(body, 0, &mut |item| {
        let is_good = Item::decode(item).is_ok();
        left_out += u64::from(!is_good);
        is_good
    })?;
    (left_out > 0).then_some((clean, left_out))
}

/// Copies a message of a level field by field, but for the items that `keep` does not want.
fn rebuild(body: &[u8], level: usize, keep: &mut impl FnMut(&[u8]) -> bool) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(body.len());
    let mut rest = body;
    while !rest.is_empty() {
        let begin = rest;
        let tag = varint(&mut rest)?;
        let (field, kind) = (u32::try_from(tag >> 3).ok()?, (tag & 7) as u8);
        if kind != LENGTH_DELIMITED {
            skip(&mut rest, kind)?;
            out.extend_from_slice(&begin[..begin.len() - rest.len()]);
            continue;
        }
        let length = usize::try_from(varint(&mut rest)?).ok()?;
        let inner = rest.get(..length)?;
        rest = &rest[length..];
        if field != FIELDS[level] {
            out.extend_from_slice(&begin[..begin.len() - rest.len()]);
        } else if level + 1 < FIELDS.len() {
            let inner = rebuild(inner, level + 1, keep)?;
            prost::encoding::encode_varint(tag, &mut out);
            prost::encoding::encode_varint(inner.len() as u64, &mut out);
            out.extend_from_slice(&inner);
        } else if keep(inner) {
            out.extend_from_slice(&begin[..begin.len() - rest.len()]);
        }
    }
    Some(out)
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    prost::encoding::decode_varint(rest).ok()
}

/// Passes over a value that is no message.
fn skip(rest: &mut &[u8], kind: u8) -> Option<()> {
    let bytes = match kind {
        0 => return varint(rest).map(|_| ()),
        1 => 8,
        5 => 4,
        _ => return None,
    };
    *rest = rest.get(bytes..)?;
    Some(())
}

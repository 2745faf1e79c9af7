//! The fields of a protobuf message where they lie, for messages that are read without a copy in between.

use prost::encoding::decode_varint;

/// Protobuf's wire types; 3 and 4 begin and end a group.
const VARINT: u32 = 0;
const FIXED_64: u32 = 1;
const BYTES: u32 = 2;
const FIXED_32: u32 = 5;

/// A field's value as it stands on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    /// A text, bytes or a message.
    Bytes(&'a [u8]),
}

/// The numbers and values of a message's fields in the order in which they stand. An item that is none is the end of what can be
/// read: it is no protobuf, or a group, which no message of OTLP has.
#[derive(Clone, Debug)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    /// The message in the field of this number, which most messages have once; the outer none says that they are several (which
    /// protobuf merges) or that the field is none of a message, the inner one that it is absent.
    pub(super) fn single(self, number: u32) -> Option<Option<&'a [u8]>> {
        let mut found = None;
        for field in self {
            match field? {
                (own, Field::Bytes(message)) if own == number && found.is_none() => {
                    found = Some(message);
                }
                (own, _) if own == number => return None,
                _ => {}
            }
        }
        Some(found)
    }

    #[inline(always)]
    fn field(&mut self) -> Option<(u32, Field<'a>)> {
        let key = u32::try_from(self.varint()?).ok()?;
        let number = key >> 3;
        let field = match key & 7 {
            _ if number == 0 => return None,
            VARINT => Field::Varint(self.varint()?),
            FIXED_64 => Field::Fixed64(u64::from_le_bytes(self.chunk()?)),
            FIXED_32 => Field::Fixed32(u32::from_le_bytes(self.chunk()?)),
            BYTES => {
                let length = usize::try_from(self.varint()?).ok()?;
                let (bytes, rest) = self.0.split_at_checked(length)?;
                self.0 = rest;
                Field::Bytes(bytes)
            }
            _ => return None,
        };
        Some((number, field))
    }

    /// Nearly all keys and lengths are one byte.
    #[inline(always)]
    fn varint(&mut self) -> Option<u64> {
        match self.0 {
            [byte, rest @ ..] if *byte < 0x80 => {
                self.0 = rest;
                Some(u64::from(*byte))
            }
            _ => decode_varint(&mut self.0).ok(),
        }
    }

    fn chunk<const LENGTH: usize>(&mut self) -> Option<[u8; LENGTH]> {
        let (chunk, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*chunk)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Option<(u32, Field<'a>)>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field)
    }
}

//! How a segment packs attributes, events and links: symbols for texts, varints for numbers.

use gameday_disk::codec::{put_signed, put_unsigned};
use gameday_signal::{AttributeValue, Attributes};

use super::dictionary::{Dictionary, Symbol};

const EMPTY: u8 = 0;
const STRING: u8 = 1;
const FALSE: u8 = 2;
const TRUE: u8 = 3;
const INT: u8 = 4;
const DOUBLE: u8 = 5;
const BYTES: u8 = 6;
const ARRAY: u8 = 7;
const MAP: u8 = 8;

/// A packed value that is read where it lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Packed<'a> {
    Empty,
    String(Symbol),
    Bool(bool),
    Int(i64),
    Double(f64),
    Bytes(&'a [u8]),
    /// The number of values and the reader before the first.
    Array(usize, Reader<'a>),
    /// The number of pairs and the reader before the first.
    Map(usize, Reader<'a>),
}

pub(crate) fn write_attributes(
    out: &mut Vec<u8>,
    attributes: &Attributes,
    dictionary: &mut Dictionary,
) {
    put_unsigned(out, attributes.0.len() as u64);
    for (key, value) in &attributes.0 {
        put_unsigned(out, u64::from(dictionary.intern(key)));
        write_value(out, value, dictionary);
    }
}

fn write_value(out: &mut Vec<u8>, value: &AttributeValue, dictionary: &mut Dictionary) {
    match value {
        AttributeValue::Empty => out.push(EMPTY),
        AttributeValue::String(text) => {
            out.push(STRING);
            put_unsigned(out, u64::from(dictionary.intern(text)));
        }
        AttributeValue::Bool(truth) => out.push(if *truth { TRUE } else { FALSE }),
        AttributeValue::Int(number) => {
            out.push(INT);
            put_signed(out, *number);
        }
        AttributeValue::Double(number) => {
            out.push(DOUBLE);
            out.extend_from_slice(&number.to_le_bytes());
        }
        AttributeValue::Bytes(bytes) => {
            out.push(BYTES);
            put_unsigned(out, bytes.len() as u64);
            out.extend_from_slice(bytes);
        }
        AttributeValue::Array(values) => {
            out.push(ARRAY);
            put_unsigned(out, values.len() as u64);
            for value in values {
                write_value(out, value, dictionary);
            }
        }
        AttributeValue::Map(pairs) => {
            out.push(MAP);
            put_unsigned(out, pairs.len() as u64);
            for (key, value) in pairs {
                put_unsigned(out, u64::from(dictionary.intern(key)));
                write_value(out, value, dictionary);
            }
        }
    }
}

/// Reads what the functions above have written; only the store's own bytes come here, so a short read is a bug of the store and
/// reads as zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn byte(&mut self) -> u8 {
        if let Some((first, rest)) = self.0.split_first() {
            self.0 = rest;
            *first
        } else {
            0
        }
    }

    pub(crate) fn varint(&mut self) -> u64 {
        let mut number = 0;
        let mut shift = 0;
        loop {
            let byte = self.byte();
            number |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 || shift > 63 {
                return number;
            }
        }
    }

    /// A number of items, each of which takes a byte at the least: damaged bytes cannot ask for more than there is.
    pub(crate) fn count(&mut self) -> usize {
        usize::try_from(self.varint())
            .unwrap_or(usize::MAX)
            .min(self.0.len())
    }

    pub(crate) fn symbol(&mut self) -> Symbol {
        self.varint() as Symbol
    }

    pub(crate) fn signed(&mut self) -> i64 {
        let number = self.varint();
        (number >> 1) as i64 ^ -((number & 1) as i64)
    }

    pub(crate) fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// The next value; the reader stands behind it afterwards.
    pub(crate) fn value(&mut self) -> Packed<'a> {
        match self.byte() {
            STRING => Packed::String(self.symbol()),
            FALSE => Packed::Bool(false),
            TRUE => Packed::Bool(true),
            INT => Packed::Int(self.signed()),
            DOUBLE => {
                let mut bytes = [0; 8];
                let taken = self.bytes(8);
                bytes[..taken.len()].copy_from_slice(taken);
                Packed::Double(f64::from_le_bytes(bytes))
            }
            BYTES => {
                let count = self.count();
                Packed::Bytes(self.bytes(count))
            }
            ARRAY => {
                let count = self.count();
                let start = *self;
                for _ in 0..count {
                    self.value();
                }
                Packed::Array(count, start)
            }
            MAP => {
                let count = self.count();
                let start = *self;
                for _ in 0..count {
                    self.symbol();
                    self.value();
                }
                Packed::Map(count, start)
            }
            _ => Packed::Empty,
        }
    }

    /// The first attribute called `key` of the attributes that begin here.
    pub(crate) fn find_attribute(mut self, key: Symbol) -> Option<Packed<'a>> {
        for _ in 0..self.count() {
            let own = self.symbol();
            let value = self.value();
            if own == key {
                return Some(value);
            }
        }
        None
    }

    pub(crate) fn skip_attributes(&mut self) {
        for _ in 0..self.count() {
            self.symbol();
            self.value();
        }
    }

    pub(crate) fn attributes(&mut self, dictionary: &Dictionary) -> Attributes {
        let count = self.count();
        Attributes(
            (0..count)
                .map(|_| {
                    let key = dictionary.get(self.symbol()).into();
                    (key, self.value().unpack(dictionary))
                })
                .collect(),
        )
    }
}

impl Packed<'_> {
    /// The value as the other rooms know it.
    pub(crate) fn unpack(self, dictionary: &Dictionary) -> AttributeValue {
        match self {
            Self::Empty => AttributeValue::Empty,
            Self::String(symbol) => AttributeValue::String(dictionary.get(symbol).into()),
            Self::Bool(truth) => AttributeValue::Bool(truth),
            Self::Int(number) => AttributeValue::Int(number),
            Self::Double(number) => AttributeValue::Double(number),
            Self::Bytes(bytes) => AttributeValue::Bytes(bytes.to_vec()),
            Self::Array(count, mut reader) => AttributeValue::Array(
                (0..count)
                    .map(|_| reader.value().unpack(dictionary))
                    .collect(),
            ),
            Self::Map(count, mut reader) => AttributeValue::Map(
                (0..count)
                    .map(|_| {
                        let key = dictionary.get(reader.symbol()).into();
                        (key, reader.value().unpack(dictionary))
                    })
                    .collect(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_back_what_it_was_given() {
        let nested = AttributeValue::Map(vec![
            ("empty".into(), AttributeValue::Empty),
            (
                "list".into(),
                AttributeValue::Array(vec![1.into(), "x".into(), AttributeValue::Array(vec![])]),
            ),
        ]);
        let attributes = Attributes(vec![
            ("text".into(), "t".into()),
            ("min".into(), i64::MIN.into()),
            ("max".into(), i64::MAX.into()),
            ("minus".into(), (-1).into()),
            ("double".into(), AttributeValue::Double(-0.5)),
            ("yes".into(), AttributeValue::Bool(true)),
            ("no".into(), AttributeValue::Bool(false)),
            ("bytes".into(), AttributeValue::Bytes(vec![0, 255])),
            ("nested".into(), nested),
            ("last".into(), "t".into()),
        ]);
        let mut dictionary = Dictionary::default();
        let mut out = Vec::new();
        write_attributes(&mut out, &attributes, &mut dictionary);
        out.push(42);
        let mut reader = Reader(&out);
        assert_eq!(reader.attributes(&dictionary), attributes);
        assert_eq!(reader.0, [42]);
        let last = dictionary.find("last").unwrap();
        assert_eq!(
            Reader(&out)
                .find_attribute(last)
                .map(|value| value.unpack(&dictionary)),
            Some("t".into())
        );
        assert_eq!(Reader(&out).find_attribute(9999), None);
        assert_eq!(Reader(&[]).value(), Packed::Empty);
    }
}

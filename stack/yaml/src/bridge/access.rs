//! The parts of lists, maps and variants, one after the other.

use gameday_query::Position;
use serde::de::value::{StrDeserializer, UsizeDeserializer};
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, VariantAccess, Visitor,
};

use super::{At, Fault};
use crate::scalar::integer;
use crate::tree::{Key, Node};

/// The items of a list.
pub(super) struct Items<'n> {
    pub(super) at: At<'n>,
    pub(super) rest: &'n [Node],
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Fault> {
        let Some((first, rest)) = self.rest.split_first() else {
            return Ok(None);
        };
        self.rest = rest;
        seed.deserialize(self.at.child(first))
            .map(Some)
            .map_err(|fault| fault.or_at(first.at))
    }

    fn size_hint(&self) -> Option<usize> {
        // A reader makes room for so many at once; an alias may claim many more than the file has bytes.
        Some(self.rest.len().min(1024))
    }
}

/// The entries of a map.
pub(super) struct Entries<'n> {
    pub(super) at: At<'n>,
    pub(super) rest: &'n [(Key, Node)],
    pub(super) value: Option<&'n Node>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        let Some(((key, node), rest)) = self.rest.split_first() else {
            return Ok(None);
        };
        (self.rest, self.value) = (rest, Some(node));
        seed.deserialize(KeyText(&key.name))
            .map(Some)
            .map_err(|fault| fault.or_at(key.at))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let node = self.value.take().unwrap_or(self.at.node);
        seed.deserialize(self.at.child(node))
            .map_err(|fault| fault.or_at(node.at))
    }
}

/// A key: a text, or what a text says of a number or a truth.
struct KeyText<'n>(&'n str);

macro_rules! keys {
    ($($deserialize:ident $visit:ident $type:ty),* $(,)?) => {
        $(fn $deserialize<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            match integer(self.0).and_then(|number| <$type>::try_from(number).ok()) {
                Some(number) => visitor.$visit(number),
                None => Err(Fault::invalid_type(Unexpected::Str(self.0), &visitor)),
            }
        })*
    };
}

impl<'de> Deserializer<'de> for KeyText<'_> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_str(self.0)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_enum(StrDeserializer::new(self.0))
    }

    keys! {
        deserialize_i8 visit_i8 i8,
        deserialize_i16 visit_i16 i16,
        deserialize_i32 visit_i32 i32,
        deserialize_i64 visit_i64 i64,
        deserialize_u8 visit_u8 u8,
        deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32,
        deserialize_u64 visit_u64 u64,
    }

    serde::forward_to_deserialize_any! {
        bool i128 u128 f32 f64 char str string bytes byte_buf option unit unit_struct seq tuple tuple_struct map struct
        identifier ignored_any
    }
}

/// A variant by name, alone or with what belongs to it.
pub(super) struct Variant<'n> {
    pub(super) name: &'n str,
    pub(super) name_at: Position,
    pub(super) content: Option<At<'n>>,
}

impl<'de, 'n> EnumAccess<'de> for Variant<'n> {
    type Error = Fault;
    type Variant = Content<'n>;

    fn variant_seed<V: DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, Content<'n>), Fault> {
        let variant = seed
            .deserialize(KeyText(self.name))
            .map_err(|fault| fault.or_at(self.name_at))?;
        Ok((variant, Content(self.content)))
    }
}

/// What belongs to a variant.
pub(super) struct Content<'n>(Option<At<'n>>);

impl<'n> Content<'n> {
    fn some(self) -> Result<At<'n>, Fault> {
        self.0.ok_or_else(|| {
            Fault::new("the name stands alone, expected a map with it as its key".into())
        })
    }
}

impl<'de> VariantAccess<'de> for Content<'_> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        match self.0 {
            Some(at) if !at.is_null() => Err(at.wrong(&"nothing behind this name")),
            _ => Ok(()),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Fault> {
        let at = self.some()?;
        seed.deserialize(at)
            .map_err(|fault| fault.or_at(at.node.at))
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Fault> {
        self.some()?.deserialize_tuple(length, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.some()?.deserialize_map(visitor)
    }
}

/// Line, column and value of a [`Spanned`].
pub(super) struct Place<'n> {
    pub(super) at: At<'n>,
    pub(super) part: usize,
}

impl<'de> SeqAccess<'de> for Place<'_> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Fault> {
        let number = |number: usize| -> UsizeDeserializer<Fault> { number.into_deserializer() };
        self.part += 1;
        let at = self.at.node.at;
        match self.part {
            1 => seed.deserialize(number(at.line)),
            2 => seed.deserialize(number(at.column)),
            3 => seed.deserialize(self.at),
            _ => return Ok(None),
        }
        .map(Some)
    }
}

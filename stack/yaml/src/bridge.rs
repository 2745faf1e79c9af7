//! From the tree to settings: serde's data model over nodes.

mod access;

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;

use gameday_query::Position;
use serde::de::{
    Deserialize, DeserializeOwned, Deserializer, Error as _, SeqAccess, Unexpected, Visitor,
};

use access::{Entries, Items, Place, Variant};

use crate::error::{FileError, Mistake, unknown};
use crate::scalar::{Plain, float, integer, plain, truth};
use crate::tree::{FILE_LIMIT_BYTES, Key, Kind, NODE_LIMIT, Node, Scalar, read};

/// Reads settings from the only document of `text`.
///
/// # Errors
/// The first mistake: bad YAML, an unknown key, a value of the wrong kind.
pub fn from_str<T: DeserializeOwned>(text: &str) -> Result<T, Mistake> {
    let mut document = read(text);
    if !document.mistakes.is_empty() {
        return Err(document.mistakes.swap_remove(0));
    }
    if let Some(at) = document.second {
        let message = "a second document begins here, only one is read";
        return Err(Mistake::new(at, message));
    }
    let root = document.root.unwrap_or(Node {
        at: Position::START,
        kind: Kind::Null,
    });
    let visits = Cell::new(0);
    T::deserialize(At::new(&root, &visits)).map_err(|fault| {
        let fault = fault.or_at(root.at);
        Mistake::new(fault.0.at.unwrap_or(root.at), fault.0.message)
    })
}

/// Reads settings from a file; `file` is its name in errors.
///
/// # Errors
/// The first mistake, or that the file is too large.
pub fn from_file<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, FileError> {
    if text.len() > FILE_LIMIT_BYTES {
        return Err(FileError::Whole {
            file: file.to_owned(),
            reason: format!(
                "file has {} bytes, the limit is {FILE_LIMIT_BYTES}",
                text.len()
            ),
        });
    }
    from_str(text).map_err(|mistake| {
        let reason = match mistake.hint {
            Some(hint) => format!("{}, {hint}", mistake.message),
            None => mistake.message,
        };
        FileError::at(file, text, mistake.at, reason)
    })
}

/// A value with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it begins.
    pub at: Position,
}

/// The name by which a [`Spanned`] asks for its place.
const SPANNED: &str = "$gameday_yaml::Spanned";

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Spanned<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Parts<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Parts<T> {
            type Value = Spanned<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value of a YAML file")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Spanned<T>, A::Error> {
                let missing =
                    || A::Error::custom("the place of a value is known in YAML files only");
                let line = parts.next_element()?.ok_or_else(missing)?;
                let column = parts.next_element()?.ok_or_else(missing)?;
                let value = parts.next_element()?.ok_or_else(missing)?;
                let at = Position { line, column };
                Ok(Spanned { value, at })
            }
        }
        deserializer.deserialize_newtype_struct(SPANNED, Parts(PhantomData))
    }
}

/// What serde says is wrong, and where, as soon as that is known.
#[derive(Debug)]
struct Fault(Box<FaultParts>);

#[derive(Debug)]
struct FaultParts {
    message: String,
    at: Option<Position>,
}

impl Fault {
    fn new(message: String) -> Self {
        Self(Box::new(FaultParts { message, at: None }))
    }

    /// The innermost place counts.
    fn or_at(mut self, at: Position) -> Self {
        self.0.at.get_or_insert(at);
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Fault {}

impl serde::de::Error for Fault {
    fn custom<M: fmt::Display>(message: M) -> Self {
        Self::new(message.to_string())
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::new(unknown("field", field, expected))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::new(unknown("variant", variant, expected))
    }
}

/// A node that is being read.
#[derive(Clone, Copy)]
struct At<'n> {
    node: &'n Node,
    /// Nodes that were read so far: what an alias stands for is read again at each.
    visits: &'n Cell<usize>,
}

impl<'n> At<'n> {
    fn new(node: &'n Node, visits: &'n Cell<usize>) -> Self {
        Self { node, visits }
    }

    /// Reads a node below this one.
    fn child(self, node: &'n Node) -> Self {
        Self { node, ..self }
    }

    fn count(self) -> Result<(), Fault> {
        let visits = self.visits.get() + 1;
        self.visits.set(visits);
        if visits > NODE_LIMIT {
            let message = format!("the file stands for more than {NODE_LIMIT} values");
            return Err(Fault::new(message));
        }
        Ok(())
    }

    fn scalar(self) -> Option<&'n Scalar> {
        match &self.node.kind {
            Kind::Scalar(scalar) => Some(scalar),
            Kind::Null | Kind::List(_) | Kind::Map(_) => None,
        }
    }

    fn is_null(self) -> bool {
        matches!(self.node.kind, Kind::Null)
    }

    fn list(self) -> Option<&'n [Node]> {
        match &self.node.kind {
            Kind::List(nodes) => Some(nodes),
            Kind::Null => Some(&[]),
            Kind::Scalar(_) | Kind::Map(_) => None,
        }
    }

    fn map(self) -> Option<&'n [(Key, Node)]> {
        match &self.node.kind {
            Kind::Map(entries) => Some(entries),
            Kind::Null => Some(&[]),
            Kind::Scalar(_) | Kind::List(_) => None,
        }
    }

    /// What stands here, for messages.
    fn unexpected(self) -> Unexpected<'n> {
        match &self.node.kind {
            Kind::Null => Unexpected::Other("null"),
            Kind::List(_) => Unexpected::Seq,
            Kind::Map(_) => Unexpected::Map,
            Kind::Scalar(scalar) if !scalar.is_plain => Unexpected::Str(&scalar.text),
            Kind::Scalar(scalar) => match plain(&scalar.text) {
                Plain::Truth(truth) => Unexpected::Bool(truth),
                Plain::Integer(number) => match i64::try_from(number) {
                    Ok(number) => Unexpected::Signed(number),
                    Err(_) => Unexpected::Other("a number beyond 64 bits"),
                },
                Plain::Float(number) => Unexpected::Float(number),
                Plain::Text => Unexpected::Str(&scalar.text),
            },
        }
    }

    /// Written once, not for each type that is read.
    #[inline(never)]
    fn wrong(self, expected: &dyn serde::de::Expected) -> Fault {
        Fault::invalid_type(self.unexpected(), expected).or_at(self.node.at)
    }

    /// The whole number that stands here.
    #[inline(never)]
    fn integer(self, expected: &dyn serde::de::Expected) -> Result<i128, Fault> {
        self.count()?;
        self.scalar()
            .and_then(|scalar| integer(scalar.text.trim()))
            .ok_or_else(|| self.wrong(expected))
    }

    /// The text that stands here.
    #[inline(never)]
    fn text(self, expected: &dyn serde::de::Expected) -> Result<&'n str, Fault> {
        self.count()?;
        self.scalar()
            .map(|scalar| scalar.text.as_str())
            .ok_or_else(|| self.wrong(expected))
    }
}

/// Numbers: read at once as 128 bits, and refused where the type has fewer.
macro_rules! integers {
    ($($deserialize:ident $visit:ident $type:ty),* $(,)?) => {
        $(fn $deserialize<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            let number = self.integer(&visitor)?;
            match <$type>::try_from(number) {
                Ok(number) => visitor.$visit(number),
                Err(_) => Err(self.wrong(&visitor)),
            }
        })*
    };
}

impl<'de> Deserializer<'de> for At<'_> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.count()?;
        match &self.node.kind {
            Kind::Null => visitor.visit_unit(),
            Kind::List(_) => self.deserialize_seq(visitor),
            Kind::Map(_) => self.deserialize_map(visitor),
            Kind::Scalar(scalar) if !scalar.is_plain => visitor.visit_str(&scalar.text),
            Kind::Scalar(scalar) => match plain(&scalar.text) {
                Plain::Truth(truth) => visitor.visit_bool(truth),
                Plain::Integer(number) => {
                    if let Ok(number) = u64::try_from(number) {
                        visitor.visit_u64(number)
                    } else if let Ok(number) = i64::try_from(number) {
                        visitor.visit_i64(number)
                    } else {
                        visitor.visit_f64(number as f64)
                    }
                }
                Plain::Float(number) => visitor.visit_f64(number),
                Plain::Text => visitor.visit_str(&scalar.text),
            },
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.count()?;
        let found = self.scalar().filter(|scalar| scalar.is_plain);
        match found.and_then(|scalar| truth(&scalar.text)) {
            Some(truth) => visitor.visit_bool(truth),
            None => Err(self.wrong(&visitor)),
        }
    }

    integers! {
        deserialize_i8 visit_i8 i8,
        deserialize_i16 visit_i16 i16,
        deserialize_i32 visit_i32 i32,
        deserialize_i64 visit_i64 i64,
        deserialize_i128 visit_i128 i128,
        deserialize_u8 visit_u8 u8,
        deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32,
        deserialize_u64 visit_u64 u64,
        deserialize_u128 visit_u128 u128,
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.count()?;
        let number = self.scalar().and_then(|scalar| {
            let text = scalar.text.trim();
            float(text).or_else(|| integer(text).map(|number| number as f64))
        });
        match number {
            Some(number) => visitor.visit_f64(number),
            None => Err(self.wrong(&visitor)),
        }
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let text = self.text(&visitor)?;
        visitor.visit_str(text)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let text = self.text(&visitor)?;
        visitor.visit_bytes(text.as_bytes())
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if self.is_null() {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.count()?;
        if self.is_null() {
            visitor.visit_unit()
        } else {
            Err(self.wrong(&visitor))
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        if name == SPANNED {
            visitor.visit_seq(Place { at: self, part: 0 })
        } else {
            visitor.visit_newtype_struct(self)
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.count()?;
        match self.list() {
            Some(rest) => visitor.visit_seq(Items { at: self, rest }),
            None => Err(self.wrong(&visitor)),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self.list() {
            Some(nodes) if nodes.len() != length => {
                Err(Fault::invalid_length(nodes.len(), &visitor).or_at(self.node.at))
            }
            _ => self.deserialize_seq(visitor),
        }
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_tuple(length, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.count()?;
        match self.map() {
            Some(rest) => visitor.visit_map(Entries {
                at: self,
                rest,
                value: None,
            }),
            None => Err(self.wrong(&visitor)),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.count()?;
        match &self.node.kind {
            Kind::Scalar(scalar) => visitor.visit_enum(Variant {
                name: &scalar.text,
                name_at: self.node.at,
                content: None,
            }),
            Kind::Map(entries) if entries.len() == 1 => {
                let (key, node) = &entries[0];
                visitor.visit_enum(Variant {
                    name: &key.name,
                    name_at: key.at,
                    content: Some(self.child(node)),
                })
            }
            Kind::Null | Kind::List(_) | Kind::Map(_) => Err(self.wrong(&visitor)),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }
}

#[cfg(test)]
mod tests;

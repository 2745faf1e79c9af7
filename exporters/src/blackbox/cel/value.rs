//! Values, their equality and their order.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::rc::Rc;

/// A value.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(Rc<str>),
    Bytes(Rc<[u8]>),
    List(Rc<[Self]>),
    Map(Rc<BTreeMap<Key, Self>>),
    /// A type, by its name.
    Type(&'static str),
}

/// What finds an entry of a map. Whole numbers are one, whatever their type.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Bool(bool),
    Number(i128),
    Text(Rc<str>),
}

impl Value {
    /// JSON's numbers are doubles, as Go's encoding/json reads them.
    pub(super) fn from_json(json: &serde_json::Value) -> Self {
        use serde_json::Value as Json;
        match json {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(number) => Self::Double(number.as_f64().unwrap_or(f64::NAN)),
            Json::String(text) => Self::Text(text.as_str().into()),
            Json::Array(items) => Self::List(items.iter().map(Self::from_json).collect()),
            Json::Object(fields) => {
                let fields = fields
                    .iter()
                    .map(|(name, value)| (Key::Text(name.as_str().into()), Self::from_json(value)));
                Self::Map(Rc::new(fields.collect()))
            }
        }
    }

    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null_type",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint",
            Self::Double(_) => "double",
            Self::Text(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::List(_) => "list",
            Self::Map(_) => "map",
            Self::Type(_) => "type",
        }
    }

    /// Values of different types are unlike, but for numbers, which are like where they mean the same.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(one), Self::Bool(other)) => one == other,
            (Self::Text(one), Self::Text(other)) => one == other,
            (Self::Bytes(one), Self::Bytes(other)) => one == other,
            (Self::Type(one), Self::Type(other)) => one == other,
            (Self::List(one), Self::List(other)) => {
                one.len() == other.len()
                    && one
                        .iter()
                        .zip(other.iter())
                        .all(|(one, other)| one.is_like(other))
            }
            (Self::Map(one), Self::Map(other)) => {
                let same = |(key, value): (&Key, &Self)| {
                    other.get(key).is_some_and(|other| value.is_like(other))
                };
                one.len() == other.len() && one.iter().all(same)
            }
            _ => self.number_order(other) == Some(Ordering::Equal),
        }
    }

    /// The order of two values; none where they have none, as with NaN; an error where they are of types that cannot be compared.
    pub(super) fn order(&self, other: &Self) -> Result<Option<Ordering>, String> {
        Ok(Some(match (self, other) {
            (Self::Bool(one), Self::Bool(other)) => one.cmp(other),
            (Self::Text(one), Self::Text(other)) => one.cmp(other),
            (Self::Bytes(one), Self::Bytes(other)) => one.cmp(other),
            _ if self.is_number() && other.is_number() => return Ok(self.number_order(other)),
            _ => return Err(no_overload("compare", &[self, other])),
        }))
    }

    fn is_number(&self) -> bool {
        matches!(self, Self::Int(_) | Self::Uint(_) | Self::Double(_))
    }

    fn number_order(&self, other: &Self) -> Option<Ordering> {
        let whole = |it: &Self| match it {
            Self::Int(number) => Some(i128::from(*number)),
            Self::Uint(number) => Some(i128::from(*number)),
            _ => None,
        };
        match (self, other) {
            (Self::Double(one), Self::Double(other)) => one.partial_cmp(other),
            (Self::Double(one), other) => against(*one, whole(other)?),
            (one, Self::Double(other)) => against(*other, whole(one)?).map(Ordering::reverse),
            (one, other) => Some(whole(one)?.cmp(&whole(other)?)),
        }
    }

    /// The key that this value is.
    pub(super) fn key(&self) -> Option<Key> {
        Some(match self {
            Self::Bool(value) => Key::Bool(*value),
            Self::Int(number) => Key::Number((*number).into()),
            Self::Uint(number) => Key::Number((*number).into()),
            Self::Double(number) if number.fract() == 0.0 && number.abs() < 1.9e19 => {
                Key::Number(*number as i128)
            }
            Self::Text(text) => Key::Text(Rc::clone(text)),
            _ => return None,
        })
    }
}

impl Key {
    /// The value that this key is.
    pub(super) fn value(&self) -> Value {
        match self {
            Self::Bool(value) => Value::Bool(*value),
            Self::Number(number) => match i64::try_from(*number) {
                Ok(number) => Value::Int(number),
                Err(_) => Value::Uint(u64::try_from(*number).unwrap_or(u64::MAX)),
            },
            Self::Text(text) => Value::Text(Rc::clone(text)),
        }
    }
}

/// A double beside a whole number, without rounding either.
fn against(double: f64, whole: i128) -> Option<Ordering> {
    if double.is_nan() {
        return None;
    }
    // Beyond these no int or uint is, and within them a whole double is exact.
    if double >= 1.9e19 {
        return Some(Ordering::Greater);
    }
    if double <= -1.9e19 {
        return Some(Ordering::Less);
    }
    let floor = double.floor();
    Some((floor as i128).cmp(&whole).then(if double > floor {
        Ordering::Greater
    } else {
        Ordering::Equal
    }))
}

/// Says that there is no such operation for these types.
pub(super) fn no_overload(name: &str, values: &[&Value]) -> String {
    let types: Vec<&str> = values.iter().map(|it| it.type_name()).collect();
    format!("no such overload: {name}({})", types.join(", "))
}

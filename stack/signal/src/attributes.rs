//! OpenTelemetry attributes, resources and scopes.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

/// The value of an attribute (OpenTelemetry's AnyValue).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum AttributeValue {
    /// No value.
    Empty,
    /// Text.
    String(SmolStr),
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Double(f64),
    /// Raw bytes.
    Bytes(Vec<u8>),
    /// A list.
    Array(Vec<Self>),
    /// Named values.
    Map(Vec<(SmolStr, Self)>),
}

impl AttributeValue {
    /// The text, where the value is one.
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self {
            Some(text)
        } else {
            None
        }
    }
}

impl From<&str> for AttributeValue {
    fn from(text: &str) -> Self {
        Self::String(text.into())
    }
}

impl From<i64> for AttributeValue {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

/// Renders the value alone, text without quotes, lists and maps in JSON's form.
impl fmt::Display for AttributeValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl AttributeValue {
    /// The value as text: texts as they are, lists, maps and bytes as JSON.
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Empty => Cow::Borrowed(""),
            Self::String(text) => Cow::Borrowed(text),
            Self::Bool(true) => Cow::Borrowed("true"),
            Self::Bool(false) => Cow::Borrowed("false"),
            Self::Int(number) => Cow::Owned(number.to_string()),
            Self::Double(number) => Cow::Owned(number.to_string()),
            Self::Bytes(_) | Self::Array(_) | Self::Map(_) => {
                Cow::Owned(self.to_json().to_string())
            }
        }
    }

    /// The value as JSON; bytes become lower-case hexadecimal text, since JSON has none.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value;
        match self {
            Self::Empty => Value::Null,
            Self::String(text) => Value::from(text.as_str()),
            Self::Bool(truth) => Value::from(*truth),
            Self::Int(number) => Value::from(*number),
            Self::Double(number) => Value::from(*number),
            Self::Bytes(bytes) => Value::from(
                bytes
                    .iter()
                    .map(|byte| format!("{byte:02x}"))
                    .collect::<String>(),
            ),
            Self::Array(values) => Value::Array(values.iter().map(Self::to_json).collect()),
            Self::Map(pairs) => Value::Object(
                pairs
                    .iter()
                    .map(|(key, value)| (key.to_string(), value.to_json()))
                    .collect(),
            ),
        }
    }
}

/// Attributes in the order in which they were sent.
///
/// Their keys and texts are short and come by the dozen with every span: those of up to 23 bytes need no memory of their own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Attributes(pub Vec<(SmolStr, AttributeValue)>);

impl Attributes {
    /// The value of `key`, if it is there.
    pub fn get(&self, key: &str) -> Option<&AttributeValue> {
        self.0
            .iter()
            .find(|(own, _)| own == key)
            .map(|(_, value)| value)
    }

    /// The text of `key`, if it is there and a text.
    pub fn get_str(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(AttributeValue::as_str)
    }

    /// Keys and values in the order in which they were sent.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &AttributeValue)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<Key: Into<SmolStr>, Value: Into<AttributeValue>> FromIterator<(Key, Value)> for Attributes {
    fn from_iter<Pairs: IntoIterator<Item = (Key, Value)>>(pairs: Pairs) -> Self {
        let pair = |(key, value): (Key, Value)| (key.into(), value.into());
        Self(pairs.into_iter().map(pair).collect())
    }
}

/// What sent the telemetry.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Resource {
    /// Attributes such as `service.name`.
    pub attributes: Attributes,
}

impl Resource {
    /// `service.name`, or `unknown_service`, OpenTelemetry's own default.
    pub fn service_name(&self) -> &str {
        self.attributes
            .get_str("service.name")
            .unwrap_or("unknown_service")
    }
}

/// The instrumentation that made the telemetry.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Scope {
    /// The name of the instrumentation library.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its attributes.
    pub attributes: Attributes,
}

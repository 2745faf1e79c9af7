//! What a template computes with.

use std::collections::BTreeMap;
use std::sync::Arc;

use gameday_signal::Labels;

use crate::functions::Signature;
use crate::{Time, duration};

/// What a string has been declared to be safe for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SafeKind {
    /// A fragment of HTML (html/template's `HTML`).
    Html,
    /// A URL (html/template's `URL`).
    Url,
}

/// A value with methods, such as Alertmanager's `KV`.
pub trait Object: Send + Sync {
    /// The name of the Go type, for error messages.
    fn type_name(&self) -> &'static str;
    /// The map, list or struct below the methods.
    fn plain(&self) -> &Value;
    /// The methods it has.
    fn methods(&self) -> &'static [Signature];
    /// Calls one of the methods.
    ///
    /// # Errors
    /// What the method says about its arguments.
    fn call(&self, method: &str, arguments: &[Value]) -> Result<Value, String>;
    /// How it prints, where the type says so itself.
    fn text(&self) -> Option<String> {
        None
    }
}

/// A map from text to values, sorted by key.
#[derive(Clone)]
pub struct Map {
    /// The entries.
    pub entries: BTreeMap<String, Value>,
    /// What a key that is not there gives: the zero value of the map's element type.
    pub missing: Value,
}

/// Named fields in the order of their declaration.
#[derive(Clone)]
pub struct Struct {
    /// The name of the Go type, for error messages.
    pub type_name: &'static str,
    /// Names and values.
    pub fields: Vec<(&'static str, Value)>,
    /// Whether the names begin in lower case in JSON, as the tags of Alertmanager's own types have it.
    pub lower_case_json: bool,
}

/// A value of a template.
#[derive(Clone)]
pub enum Value {
    /// Nothing; prints as `<no value>`.
    Nil,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// Text.
    Str(Arc<str>),
    /// Text that HTML escaping leaves alone where it fits.
    Safe(SafeKind, Arc<str>),
    /// An instant in a time zone.
    Time(Time),
    /// A duration in nanoseconds.
    Duration(i64),
    /// A list.
    List(Arc<Vec<Self>>),
    /// A map.
    Map(Arc<Map>),
    /// Named fields.
    Struct(Arc<Struct>),
    /// A value with methods.
    Object(Arc<dyn Object>),
}

impl Value {
    /// Text.
    pub fn text(text: impl AsRef<str>) -> Self {
        Self::Str(Arc::from(text.as_ref()))
    }

    /// A list.
    pub fn list(values: impl IntoIterator<Item = Self>) -> Self {
        Self::List(Arc::new(values.into_iter().collect()))
    }

    /// A map of texts (Go's `map[string]string`): a key that is not there gives the empty text.
    pub fn text_map<K: Into<String>, V: AsRef<str>>(
        entries: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        Self::Map(Arc::new(Map {
            entries: entries
                .into_iter()
                .map(|(key, value)| (key.into(), Self::text(value)))
                .collect(),
            missing: Self::text(""),
        }))
    }

    /// A map of anything (Go's `map[string]any`): a key that is not there gives nothing.
    pub fn any_map<K: Into<String>>(entries: impl IntoIterator<Item = (K, Self)>) -> Self {
        Self::Map(Arc::new(Map {
            entries: entries
                .into_iter()
                .map(|(key, value)| (key.into(), value))
                .collect(),
            missing: Self::Nil,
        }))
    }

    /// The labels as a map of texts.
    pub fn labels(labels: &Labels) -> Self {
        Self::text_map(labels.iter())
    }

    /// Named fields.
    pub fn structure(
        type_name: &'static str,
        fields: impl IntoIterator<Item = (&'static str, Self)>,
    ) -> Self {
        Self::Struct(Arc::new(Struct {
            type_name,
            fields: fields.into_iter().collect(),
            lower_case_json: false,
        }))
    }

    /// The name of the Go type.
    pub fn type_name(&self) -> String {
        match self {
            Self::Nil => "nil".to_owned(),
            Self::Bool(_) => "bool".to_owned(),
            Self::Int(_) => "int".to_owned(),
            Self::Float(_) => "float64".to_owned(),
            Self::Str(_) => "string".to_owned(),
            Self::Safe(SafeKind::Html, _) => "template.HTML".to_owned(),
            Self::Safe(SafeKind::Url, _) => "template.URL".to_owned(),
            Self::Time(_) => "time.Time".to_owned(),
            Self::Duration(_) => "time.Duration".to_owned(),
            Self::List(values) => match values.first() {
                Some(Self::Str(_)) if values.iter().all(|one| matches!(one, Self::Str(_))) => {
                    "[]string".to_owned()
                }
                Some(Self::Struct(first)) => format!("[]{}", first.type_name),
                _ => "[]interface {}".to_owned(),
            },
            Self::Map(map) => match map.missing {
                Self::Str(_) => "map[string]string".to_owned(),
                _ => "map[string]interface {}".to_owned(),
            },
            Self::Struct(fields) => fields.type_name.to_owned(),
            Self::Object(object) => object.type_name().to_owned(),
        }
    }

    /// The value without methods: what printing, ranging, indexing and `len` look at.
    pub fn plain(&self) -> &Self {
        match self {
            Self::Object(object) => object.plain(),
            other => other,
        }
    }

    /// The text, where the value is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) | Self::Safe(_, text) => Some(text),
            _ => None,
        }
    }

    /// The elements, where the value is a list.
    pub fn as_list(&self) -> Option<&[Self]> {
        match self.plain() {
            Self::List(values) => Some(values),
            _ => None,
        }
    }

    /// Whether `if` takes it as true: anything but nothing, false, zero, and empty text, lists and maps.
    pub fn is_true(&self) -> bool {
        match self.plain() {
            Self::Nil => false,
            Self::Bool(truth) => *truth,
            Self::Int(number) | Self::Duration(number) => *number != 0,
            Self::Float(number) => *number != 0.0,
            Self::Str(text) | Self::Safe(_, text) => !text.is_empty(),
            Self::List(values) => !values.is_empty(),
            Self::Map(map) => !map.entries.is_empty(),
            Self::Time(_) | Self::Struct(_) | Self::Object(_) => true,
        }
    }

    /// The signature of the method `name`, if the value has it.
    pub(crate) fn method(&self, name: &str) -> Option<&'static Signature> {
        let methods = match self {
            Self::Object(object) => object.methods(),
            Self::Time(_) => Time::METHODS,
            Self::Duration(_) => duration::METHODS,
            _ => return None,
        };
        methods.iter().find(|method| method.name == name)
    }

    /// Calls the method `name`, which [`Self::method`] has found.
    pub(crate) fn call_method(&self, name: &str, arguments: &[Self]) -> Result<Self, String> {
        match self {
            Self::Object(object) => object.call(name, arguments),
            Self::Time(time) => time.call(name, arguments),
            Self::Duration(nanos) => duration::call(*nanos, name, arguments),
            other => Err(format!("{} has no methods", other.type_name())),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Str(Arc::from(text))
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Float(number)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

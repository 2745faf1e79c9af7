//! A JSON document that is read value by value, with the place of each for errors.

use serde_json::Value;

use crate::Error;

/// A value and its place.
#[derive(Clone)]
pub(crate) struct Node<'a> {
    pub(crate) file: &'a str,
    pub(crate) path: String,
    pub(crate) value: &'a Value,
}

impl<'a> Node<'a> {
    pub(crate) fn root(file: &'a str, value: &'a Value) -> Self {
        Self {
            file,
            path: String::new(),
            value,
        }
    }

    /// An error that says what belongs here.
    pub(crate) fn expected(&self, expected: &'static str) -> Error {
        let got = match self.value {
            Value::Null => "null".to_owned(),
            Value::Bool(truth) => truth.to_string(),
            Value::Number(number) => number.to_string(),
            Value::String(text) => {
                format!("the text {:?}", text.chars().take(40).collect::<String>())
            }
            Value::Array(_) => "a list".to_owned(),
            Value::Object(_) => "an object".to_owned(),
        };
        let path = if self.path.is_empty() {
            "the document".to_owned()
        } else {
            self.path.clone()
        };
        Error::Shape {
            file: self.file.to_owned(),
            path,
            expected,
            got,
        }
    }

    /// The member `key`, if it is there and not null.
    pub(crate) fn get(&self, key: &str) -> Option<Self> {
        let value = self.value.get(key).filter(|value| !value.is_null())?;
        let path = if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        };
        Some(Node {
            file: self.file,
            path,
            value,
        })
    }

    pub(crate) fn object(self) -> Result<Self, Error> {
        if self.value.is_object() {
            Ok(self)
        } else {
            Err(self.expected("an object"))
        }
    }

    /// The items of the list `key`; none where it is not there.
    pub(crate) fn list(&self, key: &str) -> Result<Vec<Self>, Error> {
        let Some(node) = self.get(key) else {
            return Ok(Vec::new());
        };
        let Value::Array(values) = node.value else {
            return Err(node.expected("a list"));
        };
        Ok(values
            .iter()
            .enumerate()
            .map(|(index, value)| Node {
                file: self.file,
                path: format!("{}[{index}]", node.path),
                value,
            })
            .collect())
    }

    /// The text `key`; the empty text where it is not there.
    pub(crate) fn text(&self, key: &str) -> Result<String, Error> {
        match self.get(key) {
            None => Ok(String::new()),
            Some(node) => match node.value {
                Value::String(text) => Ok(text.clone()),
                _ => Err(node.expected("a text")),
            },
        }
    }

    /// The text, number or truth value `key` as text.
    pub(crate) fn text_like(&self, key: &str) -> Result<String, Error> {
        match self.get(key) {
            None => Ok(String::new()),
            Some(node) => match node.value {
                Value::String(text) => Ok(text.clone()),
                Value::Number(number) => Ok(number.to_string()),
                Value::Bool(truth) => Ok(truth.to_string()),
                _ => Err(node.expected("a text")),
            },
        }
    }

    /// The truth value `key`; false where it is not there.
    pub(crate) fn flag(&self, key: &str) -> Result<bool, Error> {
        match self.get(key) {
            None => Ok(false),
            Some(node) => node
                .value
                .as_bool()
                .ok_or_else(|| node.expected("true or false")),
        }
    }

    /// The number `key`, if it is there. Old dashboards write numbers as texts.
    pub(crate) fn number(&self, key: &str) -> Result<Option<f64>, Error> {
        match self.get(key) {
            None => Ok(None),
            Some(node) => match node.value {
                Value::Number(number) => Ok(number.as_f64()),
                Value::String(text) if text.is_empty() => Ok(None),
                Value::String(text) => text
                    .parse()
                    .map(Some)
                    .map_err(|_| node.expected("a number")),
                _ => Err(node.expected("a number")),
            },
        }
    }
}

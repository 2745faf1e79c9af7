//! Reads the settings of a fault from JSON, and says exactly what is wrong with them.

use std::time::Duration;

use gameday_signal::{format_duration, parse_duration};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::nearest::nearest;

/// What is wrong with a fault, as the control API answers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{field}: {problem}, expected {expected}{}", self.hint())]
pub struct FaultError {
    /// The setting.
    pub field: String,
    /// What is wrong with it.
    pub problem: String,
    /// What should stand there.
    pub expected: String,
    /// The names that may have been meant, nearest first.
    pub did_you_mean: Vec<String>,
}

impl FaultError {
    /// An error without an offer of names.
    pub fn new(field: &str, problem: impl Into<String>, expected: &str) -> Self {
        Self {
            field: field.to_owned(),
            problem: problem.into(),
            expected: expected.to_owned(),
            did_you_mean: Vec::new(),
        }
    }

    /// A name that is none of `names`.
    pub(crate) fn unknown<'a>(
        field: &str,
        what: &str,
        given: &str,
        names: impl IntoIterator<Item = &'a str> + Clone,
    ) -> Self {
        let all: Vec<&str> = names.clone().into_iter().collect();
        let expected = if all.is_empty() {
            "nothing: this service has none".to_owned()
        } else {
            format!("one of {}", all.join(", "))
        };
        Self {
            field: field.to_owned(),
            problem: format!("unknown {what} {given:?}"),
            expected,
            did_you_mean: nearest(given, names)
                .into_iter()
                .map(String::from)
                .collect(),
        }
    }

    fn hint(&self) -> String {
        if self.did_you_mean.is_empty() {
            String::new()
        } else {
            format!(" (did you mean {}?)", self.did_you_mean.join(" or "))
        }
    }
}

/// The settings of one fault, taken one by one; what is left at the end is an error.
pub struct Settings {
    object: Map<String, Value>,
    /// The names that were asked for.
    known: Vec<&'static str>,
}

/// The longest duration that a setting may have: a week.
const DURATION_MAX: Duration = Duration::from_secs(7 * 86_400);

impl Settings {
    /// The settings of a fault as JSON.
    ///
    /// # Errors
    /// Where it is no object.
    pub fn new(value: &Value) -> Result<Self, FaultError> {
        match value {
            Value::Object(object) => Ok(Self {
                object: object.clone(),
                known: Vec::new(),
            }),
            other => Err(FaultError::new(
                "(the whole fault)",
                format!("{} is no object", shown(other)),
                r#"an object such as {"type": "latency", "latency": "400ms", "lease": "10m"}"#,
            )),
        }
    }

    fn take(&mut self, field: &'static str) -> Option<Value> {
        self.known.push(field);
        self.object.remove(field).filter(|value| !value.is_null())
    }

    fn missing(field: &'static str, expected: &str) -> FaultError {
        FaultError::new(field, "is missing", expected)
    }

    /// A text.
    ///
    /// # Errors
    /// Where it is no text.
    pub fn text(&mut self, field: &'static str) -> Result<Option<String>, FaultError> {
        match self.take(field) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(FaultError::new(
                field,
                format!("{} is no text", shown(&other)),
                "a text",
            )),
        }
    }

    /// A duration that must be there and not be zero.
    ///
    /// # Errors
    /// Where it is missing, zero or no duration.
    pub fn duration(&mut self, field: &'static str) -> Result<Duration, FaultError> {
        let expected = "a duration above zero such as \"400ms\" or \"10m\"";
        match self.optional_duration(field)? {
            None => Err(Self::missing(field, expected)),
            Some(Duration::ZERO) => Err(FaultError::new(field, "is zero", expected)),
            Some(duration) => Ok(duration),
        }
    }

    /// A duration that may be left out.
    ///
    /// # Errors
    /// Where it is no duration, or longer than a week.
    pub fn optional_duration(
        &mut self,
        field: &'static str,
    ) -> Result<Option<Duration>, FaultError> {
        let expected = "a duration such as \"400ms\" or \"10m\"";
        let Some(value) = self.take(field) else {
            return Ok(None);
        };
        let Value::String(text) = &value else {
            let problem = format!("{} is no duration (is the unit missing?)", shown(&value));
            return Err(FaultError::new(field, problem, expected));
        };
        let duration = parse_duration(text)
            .map_err(|error| FaultError::new(field, error.to_string(), expected))?;
        if duration > DURATION_MAX {
            let problem = format!("{} is too long", format_duration(duration));
            return Err(FaultError::new(field, problem, "at most 7d"));
        }
        Ok(Some(duration))
    }

    /// A number within limits, `default` where it is left out; without a default it must be there.
    ///
    /// # Errors
    /// Where it is missing without a default, no number, or outside the limits.
    pub fn number(
        &mut self,
        field: &'static str,
        limits: std::ops::RangeInclusive<f64>,
        default: Option<f64>,
    ) -> Result<f64, FaultError> {
        let expected = format!("a number from {} to {}", limits.start(), limits.end());
        match self.take(field) {
            None => default.ok_or_else(|| Self::missing(field, &expected)),
            Some(value) => value
                .as_f64()
                .filter(|number| limits.contains(number))
                .ok_or_else(|| {
                    FaultError::new(field, format!("{} does not fit", shown(&value)), &expected)
                }),
        }
    }

    /// A probability, 1 where it is left out.
    pub(crate) fn probability(&mut self, field: &'static str) -> Result<f64, FaultError> {
        self.number(field, 0.0..=1.0, Some(1.0))
    }

    /// One of a few words, the first of them where it is left out.
    pub(crate) fn choice<T: Copy>(
        &mut self,
        field: &'static str,
        choices: &[(&'static str, T)],
    ) -> Result<T, FaultError> {
        let Some(given) = self.text(field)? else {
            return Ok(choices[0].1);
        };
        choices
            .iter()
            .find(|(name, _)| *name == given)
            .map(|(_, value)| *value)
            .ok_or_else(|| {
                let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
                FaultError::unknown(field, "choice", &given, names)
            })
    }

    /// Says what was not asked for.
    ///
    /// # Errors
    /// Where a setting was given that nobody asked for, with the nearest names.
    pub fn finish(self) -> Result<(), FaultError> {
        match self.object.keys().next() {
            None => Ok(()),
            Some(field) => Err(FaultError {
                field: field.clone(),
                problem: "unknown setting".to_owned(),
                expected: format!("one of {}", self.known.join(", ")),
                did_you_mean: nearest(field, self.known.iter().copied())
                    .into_iter()
                    .map(String::from)
                    .collect(),
            }),
        }
    }
}

/// A value in a message, cut where it is long.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        None => text,
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

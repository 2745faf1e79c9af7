//! How functions and methods are declared and called.

use crate::Value;

/// What a function takes in one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Param {
    /// Anything, nothing included.
    Any,
    /// Text.
    String,
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// A list of texts.
    Strings,
    /// An instant.
    Time,
    /// A duration.
    Duration,
    /// A list of anything.
    List,
    /// A value of a named struct, such as Prometheus' query samples.
    Struct(&'static str),
}

impl Param {
    /// The name of the Go type.
    pub(crate) fn type_name(self) -> String {
        match self {
            Self::Any => "interface {}".to_owned(),
            Self::String => "string".to_owned(),
            Self::Int => "int".to_owned(),
            Self::Float => "float64".to_owned(),
            Self::Strings => "[]string".to_owned(),
            Self::Time => "time.Time".to_owned(),
            Self::Duration => "time.Duration".to_owned(),
            Self::List => "[]interface {}".to_owned(),
            Self::Struct(name) => name.to_owned(),
        }
    }

    /// Whether a value of the program fits.
    pub(crate) fn accepts(self, value: &Value) -> bool {
        match self {
            Self::Any => true,
            Self::String => matches!(value, Value::Str(_)),
            Self::Int => matches!(value, Value::Int(_)),
            Self::Float => matches!(value, Value::Float(_)),
            Self::Strings => {
                matches!(value, Value::List(values) if values.iter().all(|one| matches!(one, Value::Str(_))))
            }
            Self::Time => matches!(value, Value::Time(_)),
            Self::Duration => matches!(value, Value::Duration(_)),
            Self::List => matches!(value, Value::List(_)),
            Self::Struct(name) => {
                matches!(value, Value::Struct(fields) if name.trim_start_matches('*') == fields.type_name)
            }
        }
    }
}

/// The name of a function or method and what it takes.
#[derive(Clone, Copy, Debug)]
pub struct Signature {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub params: &'static [Param],
    /// What it takes any number of, after the others.
    pub rest: Option<Param>,
}

impl Signature {
    /// A function that takes exactly `params`.
    pub const fn new(name: &'static str, params: &'static [Param]) -> Self {
        Self {
            name,
            params,
            rest: None,
        }
    }

    /// A function that takes `params` and any number of `rest`.
    pub const fn variadic(name: &'static str, params: &'static [Param], rest: Param) -> Self {
        Self {
            name,
            params,
            rest: Some(rest),
        }
    }
}

/// What a function may ask of the run that calls it.
pub trait Host {
    /// Renders a named template of the set.
    ///
    /// # Errors
    /// Where it is not defined or cannot be run.
    fn render(&mut self, name: &str, data: &Value) -> Result<String, String>;
}

/// The functions that a dialect adds to Go's own.
pub trait FunctionSet {
    /// The program whose templates they are, for hints (`Prometheus`, `Alertmanager`).
    fn dialect(&self) -> &'static str;
    /// Their names and what they take.
    fn signatures(&self) -> &'static [Signature];
    /// Calls one of them; the arguments fit its signature.
    ///
    /// # Errors
    /// What the function says.
    fn call(&self, name: &str, arguments: &[Value], host: &mut dyn Host) -> Result<Value, String>;

    /// The signature of `name`, if there is such a function.
    fn signature(&self, name: &str) -> Option<&'static Signature> {
        self.signatures()
            .iter()
            .find(|signature| signature.name == name)
    }
}

/// Go's own functions only.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoFunctions;

impl FunctionSet for NoFunctions {
    fn dialect(&self) -> &'static str {
        "Go"
    }

    fn signatures(&self) -> &'static [Signature] {
        &[]
    }

    fn call(&self, name: &str, _: &[Value], _: &mut dyn Host) -> Result<Value, String> {
        Err(format!("{name:?} is not a defined function"))
    }
}

/// The text in place `index`; the signature has made sure of it.
pub(crate) fn text(arguments: &[Value], index: usize) -> &str {
    arguments
        .get(index)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

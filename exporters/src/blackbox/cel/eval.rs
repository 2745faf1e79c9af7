//! What an expression comes to.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::functions;
use super::parse::{Binary, Macro, Node};
use super::value::{Key, Value, no_overload};

/// Parts that are evaluated, those within macros once for each item.
const STEPS_MAX: u32 = 1_000_000;
/// The bytes and items that sums of texts and lists make up together.
const COPIED_MAX: usize = 16 << 20;

/// Evaluates an expression over `body`.
pub(super) fn evaluate(root: &Node, body: Value) -> Result<Value, String> {
    let mut evaluation = Evaluation {
        steps: 0,
        copied: 0,
        names: vec![("body".to_owned(), body)],
    };
    evaluation.node(root)
}

struct Evaluation {
    steps: u32,
    copied: usize,
    /// The last of a name is meant.
    names: Vec<(String, Value)>,
}

impl Evaluation {
    fn node(&mut self, node: &Node) -> Result<Value, String> {
        self.steps += 1;
        if self.steps > STEPS_MAX {
            return Err(format!("more than {STEPS_MAX} steps"));
        }
        Ok(match node {
            Node::Null => Value::Null,
            Node::Bool(value) => Value::Bool(*value),
            Node::Int(number) => Value::Int(*number),
            Node::Uint(number) => Value::Uint(*number),
            Node::Double(number) => Value::Double(*number),
            Node::Text(text) => Value::Text(text.as_str().into()),
            Node::Bytes(bytes) => Value::Bytes(bytes.as_slice().into()),
            Node::Name(name) => self.name(name)?,
            Node::List(items) => {
                let items = items.iter().map(|item| self.node(item));
                Value::List(items.collect::<Result<_, _>>()?)
            }
            Node::Map(entries) => self.map(entries)?,
            Node::Select(of, field) => select(&self.node(of)?, field)?,
            Node::Has(of, field) => has(&self.node(of)?, field)?,
            Node::Index(of, index) => {
                let (of, index) = (self.node(of)?, self.node(index)?);
                item(&of, &index)?
            }
            Node::Not(of) => Value::Bool(!truth("!", self.node(of))?),
            Node::Negate(of) => negate(&self.node(of)?)?,
            Node::And(one, other) => self.both(one, other, false)?,
            Node::Or(one, other) => self.both(one, other, true)?,
            Node::If(parts) => {
                let [condition, then, other] = &**parts;
                if truth("?:", self.node(condition))? {
                    self.node(then)?
                } else {
                    self.node(other)?
                }
            }
            Node::Binary(operator, one, other) => {
                let (one, other) = (self.node(one)?, self.node(other)?);
                self.binary(*operator, &one, &other)?
            }
            Node::Call(name, arguments) => {
                let arguments = arguments.iter().map(|argument| self.node(argument));
                let arguments: Vec<Value> = arguments.collect::<Result<_, _>>()?;
                functions::call(name, &arguments)?
            }
            Node::Macro {
                kind,
                of,
                item,
                condition,
                result,
            } => {
                let of = self.node(of)?;
                self.expand(*kind, &of, item, condition.as_deref(), result.as_deref())?
            }
        })
    }

    fn name(&self, name: &str) -> Result<Value, String> {
        let named = self.names.iter().rev().find(|(own, _)| own == name);
        named
            .map(|(_, value)| value.clone())
            .or_else(|| functions::type_of(name))
            .ok_or_else(|| format!("undeclared reference to {name:?}"))
    }

    fn map(&mut self, entries: &[(Node, Node)]) -> Result<Value, String> {
        let mut map = BTreeMap::new();
        for (key, value) in entries {
            let key = self.node(key)?;
            let found = match key {
                Value::Double(_) => None,
                ref key => key.key(),
            };
            let found = found.ok_or_else(|| format!("{} is no key of a map", key.type_name()))?;
            let value = self.node(value)?;
            if map.insert(found, value).is_some() {
                return Err("a key is twice in a map".to_owned());
            }
        }
        Ok(Value::Map(Rc::new(map)))
    }

    /// `&&` and `||`: a side that decides does so, whatever is wrong with the other.
    fn both(&mut self, one: &Node, other: &Node, decisive: bool) -> Result<Value, String> {
        let operator = if decisive { "||" } else { "&&" };
        let first = truth(operator, self.node(one));
        if first == Ok(decisive) {
            return Ok(Value::Bool(decisive));
        }
        match (first, truth(operator, self.node(other))) {
            (_, Ok(second)) if second == decisive => Ok(Value::Bool(decisive)),
            (Ok(_), second) => second.map(Value::Bool),
            (Err(error), _) => Err(error),
        }
    }

    fn binary(&mut self, operator: Binary, one: &Value, other: &Value) -> Result<Value, String> {
        let compare = |wanted: fn(Ordering) -> bool| {
            let order = one.order(other)?;
            Ok(Value::Bool(order.is_some_and(wanted)))
        };
        match operator {
            Binary::Eq => Ok(Value::Bool(one.is_like(other))),
            Binary::Ne => Ok(Value::Bool(!one.is_like(other))),
            Binary::Lt => compare(Ordering::is_lt),
            Binary::Le => compare(Ordering::is_le),
            Binary::Gt => compare(Ordering::is_gt),
            Binary::Ge => compare(Ordering::is_ge),
            Binary::In => match other {
                Value::List(items) => Ok(Value::Bool(items.iter().any(|it| it.is_like(one)))),
                Value::Map(entries) => {
                    let key = one.key();
                    Ok(Value::Bool(
                        key.is_some_and(|key| entries.contains_key(&key)),
                    ))
                }
                _ => Err(no_overload("in", &[one, other])),
            },
            Binary::Add => self.sum(one, other),
            Binary::Sub | Binary::Mul | Binary::Div | Binary::Rem => {
                arithmetic(operator, one, other)
            }
        }
    }

    fn sum(&mut self, one: &Value, other: &Value) -> Result<Value, String> {
        let length = match (one, other) {
            (Value::Text(one), Value::Text(other)) => one.len() + other.len(),
            (Value::Bytes(one), Value::Bytes(other)) => one.len() + other.len(),
            (Value::List(one), Value::List(other)) => one.len() + other.len(),
            _ => return arithmetic(Binary::Add, one, other),
        };
        self.copied += length;
        if self.copied > COPIED_MAX {
            return Err(format!("sums of more than {COPIED_MAX} bytes or items"));
        }
        Ok(match (one, other) {
            (Value::Text(one), Value::Text(other)) => Value::Text([&**one, other].concat().into()),
            (Value::Bytes(one), Value::Bytes(other)) => {
                Value::Bytes([&**one, other].concat().into())
            }
            (Value::List(one), Value::List(other)) => Value::List([&**one, other].concat().into()),
            _ => return Err(no_overload("+", &[one, other])),
        })
    }

    fn expand(
        &mut self,
        kind: Macro,
        of: &Value,
        name: &str,
        condition: Option<&Node>,
        result: Option<&Node>,
    ) -> Result<Value, String> {
        let items: Vec<Value> = match of {
            Value::List(items) => items.to_vec(),
            Value::Map(entries) => entries.keys().map(Key::value).collect(),
            _ => return Err(no_overload("a macro", &[of])),
        };
        let mut taken = Vec::new();
        let mut error = None;
        for item in items {
            self.names.push((name.to_owned(), item.clone()));
            let held = match condition {
                Some(condition) => truth("a macro", self.node(condition)),
                None => Ok(true),
            };
            let made = match (&held, result) {
                (Ok(true), Some(result)) => self.node(result),
                _ => Ok(item),
            };
            self.names.pop();
            match (kind, held) {
                (Macro::All, Ok(false)) => return Ok(Value::Bool(false)),
                (Macro::Exists, Ok(true)) => return Ok(Value::Bool(true)),
                (Macro::All | Macro::Exists, Err(problem)) => error = Some(problem),
                (_, Err(problem)) => return Err(problem),
                (_, Ok(true)) => taken.push(made?),
                (_, Ok(false)) => {}
            }
        }
        if let Some(error) = error {
            return Err(error);
        }
        Ok(match kind {
            Macro::All => Value::Bool(true),
            Macro::Exists => Value::Bool(false),
            Macro::ExistsOne => Value::Bool(taken.len() == 1),
            Macro::Filter | Macro::Map => Value::List(taken.into()),
        })
    }
}

fn truth(operator: &str, value: Result<Value, String>) -> Result<bool, String> {
    match value? {
        Value::Bool(value) => Ok(value),
        other => Err(no_overload(operator, &[&other])),
    }
}

fn select(of: &Value, field: &str) -> Result<Value, String> {
    let Value::Map(entries) = of else {
        return Err(format!("a {} has no field {field:?}", of.type_name()));
    };
    let found = entries.get(&Key::Text(field.into()));
    found
        .cloned()
        .ok_or_else(|| format!("no such key: {field}"))
}

fn has(of: &Value, field: &str) -> Result<Value, String> {
    match of {
        Value::Map(entries) => Ok(Value::Bool(entries.contains_key(&Key::Text(field.into())))),
        _ => Err(format!("a {} has no field {field:?}", of.type_name())),
    }
}

fn item(of: &Value, index: &Value) -> Result<Value, String> {
    match (of, index.key()) {
        (Value::List(items), Some(Key::Number(number))) => {
            let found = usize::try_from(number).ok().and_then(|at| items.get(at));
            found
                .cloned()
                .ok_or_else(|| format!("index out of bounds: {number}"))
        }
        (Value::Map(entries), Some(key)) => {
            let found = entries.get(&key);
            found
                .cloned()
                .ok_or_else(|| format!("no such key: {key:?}"))
        }
        _ => Err(no_overload("[]", &[of, index])),
    }
}

fn negate(of: &Value) -> Result<Value, String> {
    match of {
        Value::Int(number) => {
            let negated = number.checked_neg().map(Value::Int);
            negated.ok_or_else(|| "integer overflow".to_owned())
        }
        Value::Double(number) => Ok(Value::Double(-number)),
        _ => Err(no_overload("-", &[of])),
    }
}

/// Numbers of one type; CEL mixes them in comparisons only.
fn arithmetic(operator: Binary, one: &Value, other: &Value) -> Result<Value, String> {
    let sign = match operator {
        Binary::Add => "+",
        Binary::Sub => "-",
        Binary::Mul => "*",
        Binary::Div => "/",
        _ => "%",
    };
    let by_zero = || format!("{sign} by zero");
    let overflow = || "integer overflow".to_owned();
    match (one, other) {
        (Value::Int(one), Value::Int(other)) => {
            let result = match operator {
                Binary::Add => one.checked_add(*other),
                Binary::Sub => one.checked_sub(*other),
                Binary::Mul => one.checked_mul(*other),
                _ if *other == 0 => return Err(by_zero()),
                Binary::Div => one.checked_div(*other),
                _ => one.checked_rem(*other),
            };
            result.map(Value::Int).ok_or_else(overflow)
        }
        (Value::Uint(one), Value::Uint(other)) => {
            let result = match operator {
                Binary::Add => one.checked_add(*other),
                Binary::Sub => one.checked_sub(*other),
                Binary::Mul => one.checked_mul(*other),
                _ if *other == 0 => return Err(by_zero()),
                Binary::Div => one.checked_div(*other),
                _ => one.checked_rem(*other),
            };
            result.map(Value::Uint).ok_or_else(overflow)
        }
        (Value::Double(a), Value::Double(b)) => match operator {
            Binary::Add => Ok(Value::Double(a + b)),
            Binary::Sub => Ok(Value::Double(a - b)),
            Binary::Mul => Ok(Value::Double(a * b)),
            Binary::Div => Ok(Value::Double(a / b)),
            _ => Err(no_overload(sign, &[one, other])),
        },
        _ => Err(no_overload(sign, &[one, other])),
    }
}

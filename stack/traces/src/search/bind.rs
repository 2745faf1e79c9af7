//! A field expression bound to one segment: names are symbols, what depends on a resource alone is computed once a resource.

use std::borrow::Cow;
use std::cell::RefCell;

use gameday_signal::{AttributeValue, Attributes, SpanKind, SpanStatus};
use regex::Regex;

use crate::store::{Packed, Segment, Symbol, TraceStore};
use crate::traceql::ast::{Attribute, Field, Intrinsic, Op, Scope, UnaryOp};
use crate::traceql::compile_regex;
use crate::traceql::value::{Value, apply, negate, over_elements};
use crate::tree::TraceTree;

/// What Tempo shows where the root of a trace has not come.
pub(crate) const NO_ROOT: &str = "<root span not yet received>";

/// One span while a query runs.
#[derive(Clone, Copy)]
pub(crate) struct Row<'a> {
    pub(crate) store: &'a TraceStore,
    pub(crate) segment: &'a Segment,
    pub(crate) row: usize,
    /// The trace's tree and the place of the span in it, where the query needs one.
    pub(crate) tree: Option<(&'a TraceTree, usize)>,
}

/// An expression whose names are those of one segment.
pub(crate) enum Bound<'a> {
    Constant(Value<'a>),
    /// By the number of the resource.
    PerResource(Vec<Value<'a>>),
    /// By the number of the scope.
    PerScope(Vec<Value<'a>>),
    Status(SpanStatus, bool),
    Kind(SpanKind, bool),
    Name(Symbol, bool),
    /// A comparison of the duration with nanoseconds.
    Duration(Op, i64),
    SpanAttribute(Option<Symbol>),
    /// The span's own attribute first, then that of the resource.
    SpanOrResource(Option<Symbol>, Vec<Value<'a>>),
    EventAttribute(Option<Symbol>),
    LinkAttribute(Option<Symbol>),
    Intrinsic(Intrinsic),
    Unary(UnaryOp, Box<Self>),
    Binary(Op, Box<Self>, Box<Self>),
    Exists(Box<Self>, bool),
    /// The verdicts on texts of the dictionary are kept, so that a text is matched once.
    Matches {
        op: Op,
        field: Box<Self>,
        regex: Regex,
        verdicts: RefCell<Vec<u8>>,
    },
}

impl<'a> Bound<'a> {
    /// Binds `field` to `segment`.
    pub(crate) fn new(field: &'a Field, segment: &'a Segment) -> Self {
        match field {
            Field::Static(constant) => Self::Constant(Value::of_static(constant)),
            Field::Attribute(attribute, _) => Self::attribute(attribute, segment),
            Field::Unary { op, field, .. } => Self::Unary(*op, Box::new(Self::new(field, segment))),
            Field::Exists { field, yes, .. } => {
                Self::Exists(Box::new(Self::new(field, segment)), *yes).per_shared()
            }
            Field::Binary {
                op: op @ (Op::Regex | Op::NotRegex),
                left,
                right,
                ..
            } => {
                let Field::Static(crate::traceql::ast::Static::String(pattern)) = &**right else {
                    return Self::Constant(Value::Nil);
                };
                match compile_regex(pattern) {
                    Ok(regex) => Self::Matches {
                        op: *op,
                        field: Box::new(Self::new(left, segment)),
                        regex,
                        verdicts: RefCell::default(),
                    }
                    .per_shared(),
                    // The query has been checked, so that this does not happen.
                    Err(_) => Self::Constant(Value::Nil),
                }
            }
            Field::Binary {
                op, left, right, ..
            } => {
                let (left, right) = (Self::new(left, segment), Self::new(right, segment));
                Self::fast(*op, &left, &right, segment).unwrap_or_else(|| {
                    Self::Binary(*op, Box::new(left), Box::new(right)).per_shared()
                })
            }
        }
    }

    /// Binds one attribute.
    pub(crate) fn attribute(attribute: &'a Attribute, segment: &'a Segment) -> Self {
        let (scope, name) = match attribute {
            Attribute::Named { scope, name, .. } => (scope, name),
            Attribute::Intrinsic(Intrinsic::InstrumentationName) => {
                return Self::PerScope(
                    segment
                        .scopes
                        .iter()
                        .map(|scope| text(&scope.value.name))
                        .collect(),
                );
            }
            Attribute::Intrinsic(Intrinsic::InstrumentationVersion) => {
                return Self::PerScope(
                    segment
                        .scopes
                        .iter()
                        .map(|scope| text(&scope.value.version))
                        .collect(),
                );
            }
            Attribute::Intrinsic(intrinsic) => return Self::Intrinsic(*intrinsic),
        };
        let per_resource = || {
            segment
                .resources
                .iter()
                .map(|own| value_of(&own.value.attributes, name))
                .collect()
        };
        let symbol = segment.dictionary.find(name);
        match scope {
            Scope::Span => Self::SpanAttribute(symbol),
            Scope::Resource => Self::PerResource(per_resource()),
            Scope::None => Self::SpanOrResource(symbol, per_resource()),
            Scope::Event => Self::EventAttribute(symbol),
            Scope::Link => Self::LinkAttribute(symbol),
            Scope::Instrumentation => Self::PerScope(
                segment
                    .scopes
                    .iter()
                    .map(|own| value_of(&own.value.attributes, name))
                    .collect(),
            ),
        }
    }

    /// Comparisons of whole columns with a constant.
    fn fast(op: Op, left: &Self, right: &Self, segment: &Segment) -> Option<Self> {
        // An attribute that no span of the segment has, and a text that it does not hold, need no look at the rows.
        let absent = |side: &Self| {
            matches!(
                side,
                Self::SpanAttribute(None) | Self::EventAttribute(None) | Self::LinkAttribute(None)
            )
        };
        if op.is_comparison() && (absent(left) || absent(right)) {
            return Some(Self::Constant(Value::Bool(false)));
        }
        match (op, left, right) {
            (Op::Equal, Self::SpanAttribute(_), Self::Constant(Value::String(text)))
                if segment.dictionary.find(text).is_none() =>
            {
                return Some(Self::Constant(Value::Bool(false)));
            }
            (
                _,
                Self::Intrinsic(Intrinsic::Duration),
                Self::Constant(Value::Duration(nanos) | Value::Int(nanos)),
            ) if op.is_comparison() => return Some(Self::Duration(op, *nanos)),
            _ => {}
        }
        let equal = match op {
            Op::Equal => true,
            Op::NotEqual => false,
            _ => return None,
        };
        let (intrinsic, constant) = match (left, right) {
            (Self::Intrinsic(intrinsic), Self::Constant(constant))
            | (Self::Constant(constant), Self::Intrinsic(intrinsic)) => (*intrinsic, constant),
            _ => return None,
        };
        match (intrinsic, constant) {
            (Intrinsic::Status, Value::Status(status)) => Some(Self::Status(*status, equal)),
            (Intrinsic::Kind, Value::Kind(kind)) => Some(Self::Kind(*kind, equal)),
            (Intrinsic::Name, Value::String(name)) => Some(match segment.dictionary.find(name) {
                Some(symbol) => Self::Name(symbol, equal),
                None => Self::Constant(Value::Bool(!equal)),
            }),
            _ => None,
        }
    }

    /// Computes the expression once a resource or once a scope, where it depends on nothing else.
    fn per_shared(self) -> Self {
        let (resources, scopes) = self.shared_counts();
        let values = |count: usize| {
            (0..count)
                .map(|index| self.eval_shared(index).unwrap_or(Value::Nil))
                .collect::<Vec<_>>()
        };
        match (resources, scopes) {
            (Some(count), None) => Self::PerResource(values(count)),
            (None, Some(count)) => Self::PerScope(values(count)),
            _ => self,
        }
    }

    /// How many resources or scopes the expression has a value for, where it depends on one of both alone.
    fn shared_counts(&self) -> (Option<usize>, Option<usize>) {
        match self {
            Self::PerResource(values) => (Some(values.len()), None),
            Self::PerScope(values) => (None, Some(values.len())),
            Self::Unary(_, inner) | Self::Exists(inner, _) => inner.shared_counts(),
            Self::Matches { field, .. } => field.shared_counts(),
            Self::Binary(_, left, right) => match (&**left, &**right) {
                (Self::Constant(_), other) | (other, Self::Constant(_)) => other.shared_counts(),
                (left, right) => match (left.shared_counts(), right.shared_counts()) {
                    (left, right) if left == right => left,
                    _ => (None, None),
                },
            },
            _ => (None, None),
        }
    }

    fn eval_shared(&self, index: usize) -> Option<Value<'a>> {
        Some(match self {
            Self::Constant(value) => value.clone(),
            Self::PerResource(values) | Self::PerScope(values) => values.get(index)?.clone(),
            Self::Unary(op, inner) => unary(*op, &inner.eval_shared(index)?),
            Self::Exists(inner, yes) => Value::Bool(inner.eval_shared(index)?.is_nil() != *yes),
            Self::Matches {
                op, field, regex, ..
            } => Value::Bool(matches(*op, &field.eval_shared(index)?, regex)),
            Self::Binary(op, left, right) => {
                apply(*op, &left.eval_shared(index)?, &right.eval_shared(index)?)
            }
            _ => return None,
        })
    }

    /// Whether the expression needs the tree of a trace.
    pub(crate) fn needs_tree(field: &Field) -> bool {
        let mut found = false;
        field.for_each_attribute(&mut |attribute| {
            found |= matches!(
                attribute,
                Attribute::Intrinsic(
                    Intrinsic::ChildCount
                        | Intrinsic::NestedSetLeft
                        | Intrinsic::NestedSetRight
                        | Intrinsic::NestedSetParent
                )
            );
        });
        found
    }

    /// Clears the bits of the rows for which the expression is not true.
    pub(crate) fn select(&self, store: &'a TraceStore, segment: &'a Segment, bits: &mut [u64]) {
        match self {
            Self::Constant(value) if value.is_true() => {}
            Self::Constant(_) => bits.fill(0),
            Self::Binary(Op::And, left, right) => {
                // Columns first: the other side then looks at fewer rows.
                let (first, second) = if right.is_column() {
                    (right, left)
                } else {
                    (left, right)
                };
                first.select(store, segment, bits);
                second.select(store, segment, bits);
            }
            Self::Binary(Op::Or, left, right) => {
                let mut other = bits.to_vec();
                left.select(store, segment, bits);
                // What the left side has found need not be looked at again.
                for (word, found) in other.iter_mut().zip(&*bits) {
                    *word &= !found;
                }
                right.select(store, segment, &mut other);
                for (word, found) in bits.iter_mut().zip(other) {
                    *word |= found;
                }
            }
            Self::PerResource(values) => {
                let truths: Vec<bool> = values.iter().map(Value::is_true).collect();
                keep(bits, &segment.resource_of, |resource| {
                    truths[*resource as usize]
                });
            }
            Self::PerScope(values) => {
                let truths: Vec<bool> = values.iter().map(Value::is_true).collect();
                keep(bits, &segment.scope_of, |scope| truths[*scope as usize]);
            }
            Self::Status(status, equal) => {
                keep(bits, &segment.statuses, |own| (own == status) == *equal)
            }
            Self::Kind(kind, equal) => keep(bits, &segment.kinds, |own| (own == kind) == *equal),
            Self::Name(name, equal) => keep(bits, &segment.names, |own| (own == name) == *equal),
            Self::Duration(op, nanos) => {
                for_each_bit(bits, |row| holds(*op, segment.duration_nanos(row), *nanos));
            }
            _ => {
                for_each_bit(bits, |row| {
                    self.eval(Row {
                        store,
                        segment,
                        row,
                        tree: None,
                    })
                    .is_true()
                });
            }
        }
    }

    fn is_column(&self) -> bool {
        matches!(
            self,
            Self::Constant(_)
                | Self::PerResource(_)
                | Self::PerScope(_)
                | Self::Status(..)
                | Self::Kind(..)
                | Self::Name(..)
                | Self::Duration(..)
        )
    }

    /// The value for one span.
    pub(crate) fn eval(&self, row: Row<'a>) -> Value<'a> {
        let Row {
            segment,
            row: index,
            ..
        } = row;
        match self {
            Self::Constant(value) => value.clone(),
            Self::PerResource(values) => values[segment.resource_of[index] as usize].clone(),
            Self::PerScope(values) => values[segment.scope_of[index] as usize].clone(),
            Self::Status(status, equal) => {
                Value::Bool((segment.statuses[index] == *status) == *equal)
            }
            Self::Kind(kind, equal) => Value::Bool((segment.kinds[index] == *kind) == *equal),
            Self::Name(name, equal) => Value::Bool((segment.names[index] == *name) == *equal),
            Self::Duration(op, nanos) => {
                Value::Bool(holds(*op, segment.duration_nanos(index), *nanos))
            }
            Self::SpanAttribute(key) => span_attribute(segment, index, *key),
            Self::SpanOrResource(key, values) => match span_attribute(segment, index, *key) {
                Value::Nil => values[segment.resource_of[index] as usize].clone(),
                found => found,
            },
            Self::EventAttribute(key) => list_attribute(segment, *key, |visit| {
                segment.for_each_event(index, |_, _, reader| visit(reader));
            }),
            Self::LinkAttribute(key) => list_attribute(segment, *key, |visit| {
                segment.for_each_link(index, |_, _, reader| visit(reader));
            }),
            Self::Intrinsic(intrinsic) => eval_intrinsic(*intrinsic, row),
            Self::Unary(op, inner) => unary(*op, &inner.eval(row)),
            Self::Exists(inner, yes) => Value::Bool(inner.eval(row).is_nil() != *yes),
            Self::Binary(Op::And, left, right) => {
                Value::Bool(left.eval(row).is_true() && right.eval(row).is_true())
            }
            Self::Binary(Op::Or, left, right) => {
                Value::Bool(left.eval(row).is_true() || right.eval(row).is_true())
            }
            Self::Binary(op, left, right) => apply(*op, &left.eval(row), &right.eval(row)),
            Self::Matches {
                op,
                field,
                regex,
                verdicts,
            } => Value::Bool(match field.symbol(segment, index) {
                Some(symbol) => (*op == Op::Regex) == remembered(verdicts, segment, symbol, regex),
                None => matches(*op, &field.eval(row), regex),
            }),
        }
    }

    /// The symbol of the text that the expression is, where it is a text of the dictionary.
    fn symbol(&self, segment: &Segment, row: usize) -> Option<Symbol> {
        match self {
            Self::Intrinsic(Intrinsic::Name) => Some(segment.names[row]),
            Self::SpanAttribute(Some(key)) | Self::SpanOrResource(Some(key), _) => {
                match segment.span_attribute(row, *key) {
                    Some(Packed::String(symbol)) => Some(symbol),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

fn remembered(
    verdicts: &RefCell<Vec<u8>>,
    segment: &Segment,
    symbol: Symbol,
    regex: &Regex,
) -> bool {
    let mut verdicts = verdicts.borrow_mut();
    if verdicts.is_empty() {
        verdicts.resize(segment.dictionary.len(), 0);
    }
    let verdict = &mut verdicts[symbol as usize];
    if *verdict == 0 {
        *verdict = if regex.is_match(segment.dictionary.get(symbol)) {
            2
        } else {
            1
        };
    }
    *verdict == 2
}

/// Whether `left op right` holds for a comparison of whole numbers.
fn holds(op: Op, left: i64, right: i64) -> bool {
    match op {
        Op::Equal => left == right,
        Op::NotEqual => left != right,
        Op::Less => left < right,
        Op::LessEqual => left <= right,
        Op::Greater => left > right,
        _ => left >= right,
    }
}

fn keep<T>(bits: &mut [u64], column: &[T], mut keeps: impl FnMut(&T) -> bool) {
    for (word, values) in bits.iter_mut().zip(column.chunks(64)) {
        if *word == 0 {
            continue;
        }
        let mut found = 0;
        for (bit, value) in values.iter().enumerate() {
            found |= u64::from(keeps(value)) << bit;
        }
        *word &= found;
    }
}

/// Clears the bits that are set and for which `keeps` is false.
pub(crate) fn for_each_bit(bits: &mut [u64], mut keeps: impl FnMut(usize) -> bool) {
    for (index, word) in bits.iter_mut().enumerate() {
        let mut left = *word;
        while left != 0 {
            let bit = left.trailing_zeros();
            left &= left - 1;
            if !keeps(index * 64 + bit as usize) {
                *word &= !(1 << bit);
            }
        }
    }
}

fn text(text: &str) -> Value<'_> {
    Value::String(Cow::Borrowed(text))
}

fn value_of<'a>(attributes: &'a Attributes, key: &str) -> Value<'a> {
    attributes.get(key).map_or(Value::Nil, Value::of_attribute)
}

fn unary<'a>(op: UnaryOp, value: &Value<'a>) -> Value<'a> {
    match op {
        UnaryOp::Minus => negate(value),
        UnaryOp::Not => match value {
            Value::Bool(truth) => Value::Bool(!truth),
            Value::Any(values) => Value::Any(values.iter().map(|value| unary(op, value)).collect()),
            _ => Value::Nil,
        },
    }
}

fn matches(op: Op, value: &Value<'_>, regex: &Regex) -> bool {
    match value {
        Value::String(text) => regex.is_match(text) == (op == Op::Regex),
        Value::Array(values) => over_elements(op, values, |value| matches(op, value, regex)),
        Value::Any(values) => values.iter().any(|value| matches(op, value, regex)),
        _ => false,
    }
}

fn span_attribute(segment: &Segment, row: usize, key: Option<Symbol>) -> Value<'_> {
    key.and_then(|key| segment.span_attribute(row, key))
        .map_or(Value::Nil, |packed| unpack(segment, packed))
}

fn unpack<'a>(segment: &'a Segment, packed: Packed<'a>) -> Value<'a> {
    match packed {
        Packed::Empty => Value::Nil,
        Packed::String(symbol) => text(segment.dictionary.get(symbol)),
        Packed::Bool(truth) => Value::Bool(truth),
        Packed::Int(number) => Value::Int(number),
        Packed::Double(number) => Value::Float(number),
        Packed::Array(count, mut reader) => Value::Array(
            (0..count)
                .map(|_| unpack(segment, reader.value()))
                .collect(),
        ),
        Packed::Bytes(_) | Packed::Map(..) => {
            let value: AttributeValue = packed.unpack(&segment.dictionary);
            Value::String(Cow::Owned(value.to_string()))
        }
    }
}

/// The values of `key` of all events or links.
fn list_attribute<'a>(
    segment: &'a Segment,
    key: Option<Symbol>,
    for_each: impl FnOnce(&mut dyn FnMut(crate::store::Reader<'_>)),
) -> Value<'a> {
    let Some(key) = key else {
        return Value::Nil;
    };
    let mut values = Vec::new();
    for_each(&mut |reader| {
        if let Some(packed) = reader.find_attribute(key) {
            values.push(match packed {
                Packed::String(symbol) => text(segment.dictionary.get(symbol)),
                other => Value::of_attribute(&other.unpack(&segment.dictionary)).into_owned(),
            });
        }
    });
    Value::Any(values)
}

fn eval_intrinsic(intrinsic: Intrinsic, row: Row<'_>) -> Value<'_> {
    let Row {
        store,
        segment,
        row: index,
        tree,
    } = row;
    let in_tree = |number: fn(&TraceTree, usize) -> i64| match tree {
        Some((tree, place)) => Value::Int(number(tree, place)),
        None => Value::Nil,
    };
    let entry = || store.traces.get(segment.traces[index]);
    let root = || {
        let (_, root) = entry()?.root?;
        Some((store.segment(root)?, usize::from(root.row)))
    };
    match intrinsic {
        Intrinsic::Duration => Value::Duration(segment.duration_nanos(index)),
        Intrinsic::Name => text(segment.name(index)),
        Intrinsic::Status => Value::Status(segment.statuses[index]),
        Intrinsic::StatusMessage => text(segment.status_message(index)),
        Intrinsic::Kind => Value::Kind(segment.kinds[index]),
        Intrinsic::SpanId => Value::String(Cow::Owned(segment.span_ids[index].to_string())),
        Intrinsic::ParentId => {
            let parent = segment.parents[index];
            Value::String(Cow::Owned(if parent.is_none() {
                String::new()
            } else {
                parent.to_string()
            }))
        }
        Intrinsic::ChildCount => in_tree(TraceTree::child_count),
        Intrinsic::NestedSetLeft => in_tree(TraceTree::nested_set_left),
        Intrinsic::NestedSetRight => in_tree(TraceTree::nested_set_right),
        Intrinsic::NestedSetParent => in_tree(TraceTree::nested_set_parent),
        Intrinsic::RootName => {
            root().map_or(text(NO_ROOT), |(segment, row)| text(segment.name(row)))
        }
        Intrinsic::RootServiceName => {
            root().map_or(text(NO_ROOT), |(segment, row)| text(segment.service(row)))
        }
        Intrinsic::TraceDuration => entry().map_or(Value::Nil, |entry| {
            Value::Duration(entry.end.as_nanos().saturating_sub(entry.start.as_nanos()))
        }),
        Intrinsic::TraceId => entry().map_or(Value::Nil, |entry| {
            Value::String(Cow::Owned(entry.id.to_string()))
        }),
        Intrinsic::EventName => {
            let mut names = Vec::new();
            segment.for_each_event(index, |_, name, _| {
                names.push(text(segment.dictionary.get(name)))
            });
            Value::Any(names)
        }
        Intrinsic::EventTimeSinceStart => {
            let mut times = Vec::new();
            segment.for_each_event(index, |since_start, _, _| {
                times.push(Value::Duration(since_start))
            });
            Value::Any(times)
        }
        Intrinsic::LinkTraceId => {
            let mut ids = Vec::new();
            segment.for_each_link(index, |trace_id, _, _| {
                ids.push(Value::String(Cow::Owned(trace_id.to_string())))
            });
            Value::Any(ids)
        }
        Intrinsic::LinkSpanId => {
            let mut ids = Vec::new();
            segment.for_each_link(index, |_, span_id, _| {
                ids.push(Value::String(Cow::Owned(span_id.to_string())))
            });
            Value::Any(ids)
        }
        Intrinsic::InstrumentationName | Intrinsic::InstrumentationVersion | Intrinsic::Parent => {
            Value::Nil
        }
    }
}

//! Attributes that are added, changed or removed on the way in, as the OpenTelemetry Collector's attributes and resource processors
//! do it.

use std::sync::Arc;

use gameday_signal::{AttributeValue, Attributes, LogRecord, Resource, Span};
use regex::Regex;

/// What is done to an attribute.
#[derive(Clone, Debug)]
pub enum AttributeAction {
    /// Added where it is missing.
    Insert(String, AttributeValue),
    /// Changed where it is there.
    Update(String, AttributeValue),
    /// Added or changed.
    Upsert(String, AttributeValue),
    /// Added where it is missing (`insert`), changed where it is there (`update`), to the value of another attribute; where that one
    /// is not there nothing happens.
    Copy {
        /// The attribute that is written.
        key: String,
        /// The attribute that is read.
        from: String,
        /// Write it where it is missing.
        insert: bool,
        /// Write it where it is there.
        update: bool,
    },
    /// The named groups of the pattern become attributes, where it matches the text of this one.
    Extract(String, Regex),
    /// The value becomes one of another type, where it can.
    Convert(String, ValueType),
    /// Removed.
    Delete(String),
    /// All whose names match are removed.
    DeleteMatching(Regex),
    /// Where the first is there and the second is not, the value stands under the second name instead.
    Rename(String, String),
}

/// A type that a value is converted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// A whole number.
    Int,
    /// A number.
    Double,
    /// Text.
    String,
}

/// Which spans are changed.
#[derive(Clone, Debug, Default)]
pub struct SpanMatch {
    /// Patterns for the service, one of which must match; none for any.
    pub services: Vec<Regex>,
    /// Patterns for the operation, one of which must match; none for any. A log record has no operation: it matches none.
    pub names: Vec<Regex>,
    /// Attributes that must all be there, with a pattern for the text of the value where there is one.
    pub attributes: Vec<(String, Option<Regex>)>,
}

/// Changes attributes of spans, log records and resources.
#[derive(Clone, Debug, Default)]
pub struct AttributesProcessor {
    /// Which spans.
    pub include: SpanMatch,
    /// Which spans not, of those.
    pub exclude: Option<SpanMatch>,
    /// What is done to their attributes, in order.
    pub span_actions: Vec<AttributeAction>,
    /// What is done to the attributes of their resources, in order.
    pub resource_actions: Vec<AttributeAction>,
}

/// A resource and what has become of it: the items of a batch share theirs, and go on sharing it.
type Changed = Option<(Arc<Resource>, Arc<Resource>)>;

impl AttributesProcessor {
    /// Changes the spans that match.
    pub fn process(&self, spans: &mut [Span]) {
        let mut last: Changed = None;
        for span in spans {
            if self.applies(&span.resource, Some(&span.name), &span.attributes) {
                apply(&self.span_actions, &mut span.attributes);
                self.change_resource(&mut span.resource, &mut last);
            }
        }
    }

    /// Changes the log records that match.
    pub fn process_records(&self, records: &mut [LogRecord]) {
        let mut last: Changed = None;
        for record in records {
            if self.applies(&record.resource, None, &record.attributes) {
                apply(&self.span_actions, &mut record.attributes);
                self.change_resource(&mut record.resource, &mut last);
            }
        }
    }

    fn applies(&self, resource: &Resource, name: Option<&str>, attributes: &Attributes) -> bool {
        let excluded = self.exclude.as_ref();
        self.include.matches(resource, name, attributes)
            && !excluded.is_some_and(|own| own.matches(resource, name, attributes))
    }

    fn change_resource(&self, resource: &mut Arc<Resource>, last: &mut Changed) {
        if self.resource_actions.is_empty() {
            return;
        }
        let changed = match last {
            Some((from, to)) if Arc::ptr_eq(from, resource) => Arc::clone(to),
            _ => {
                let mut attributes = resource.attributes.clone();
                apply(&self.resource_actions, &mut attributes);
                let changed = Arc::new(Resource { attributes });
                *last = Some((Arc::clone(resource), Arc::clone(&changed)));
                changed
            }
        };
        *resource = changed;
    }
}

impl SpanMatch {
    fn matches(&self, resource: &Resource, name: Option<&str>, attributes: &Attributes) -> bool {
        let one_of = |patterns: &[Regex], text: Option<&str>| {
            patterns.is_empty()
                || text.is_some_and(|text| patterns.iter().any(|own| own.is_match(text)))
        };
        let holds = |(key, pattern): &(String, Option<Regex>)| {
            attributes.get(key).is_some_and(|value| {
                pattern
                    .as_ref()
                    .is_none_or(|pattern| pattern.is_match(&value.to_string()))
            })
        };
        one_of(&self.services, Some(resource.service_name()))
            && one_of(&self.names, name)
            && self.attributes.iter().all(holds)
    }
}

/// Does all of `actions` to `attributes`, in order; log records have such attributes, too.
pub fn apply(actions: &[AttributeAction], attributes: &mut Attributes) {
    for action in actions {
        match action {
            AttributeAction::Insert(key, value) => write(attributes, key, value, true, false),
            AttributeAction::Update(key, value) => write(attributes, key, value, false, true),
            AttributeAction::Upsert(key, value) => write(attributes, key, value, true, true),
            AttributeAction::Copy {
                key,
                from,
                insert,
                update,
            } => {
                if let Some(value) = attributes.get(from).cloned() {
                    write(attributes, key, &value, *insert, *update);
                }
            }
            AttributeAction::Extract(key, pattern) => extract(attributes, key, pattern),
            AttributeAction::Convert(key, kind) => {
                if let Some((_, value)) = attributes.0.iter_mut().find(|(own, _)| own == key)
                    && let Some(converted) = converted(value, *kind)
                {
                    *value = converted;
                }
            }
            AttributeAction::Delete(key) => attributes.0.retain(|(own, _)| own != key),
            AttributeAction::DeleteMatching(pattern) => {
                attributes.0.retain(|(own, _)| !pattern.is_match(own))
            }
            AttributeAction::Rename(from, to) => {
                if attributes.get(to).is_none()
                    && let Some((own, _)) = attributes.0.iter_mut().find(|(own, _)| own == from)
                {
                    *own = to.into();
                }
            }
        }
    }
}

/// Writes an attribute: where it is missing if `insert` says so, where it is there if `update` says so.
fn write(
    attributes: &mut Attributes,
    key: &str,
    value: &AttributeValue,
    insert: bool,
    update: bool,
) {
    match attributes.0.iter_mut().find(|(own, _)| own == key) {
        Some((_, own)) if update => own.clone_from(value),
        None if insert => attributes.0.push((key.into(), value.clone())),
        _ => {}
    }
}

fn extract(attributes: &mut Attributes, key: &str, pattern: &Regex) {
    let Some(text) = attributes.get_str(key).map(str::to_owned) else {
        return;
    };
    let Some(found) = pattern.captures(&text) else {
        return;
    };
    for name in pattern.capture_names().flatten() {
        if let Some(part) = found.name(name) {
            let value = AttributeValue::from(part.as_str());
            write(attributes, name, &value, true, true);
        }
    }
}

fn converted(value: &AttributeValue, kind: ValueType) -> Option<AttributeValue> {
    Some(match (kind, value) {
        (ValueType::String, own) => AttributeValue::String(own.text().into()),
        (ValueType::Int, AttributeValue::String(text)) => AttributeValue::Int(text.parse().ok()?),
        (ValueType::Int, AttributeValue::Double(number)) => AttributeValue::Int(*number as i64),
        (ValueType::Int, AttributeValue::Bool(truth)) => AttributeValue::Int(i64::from(*truth)),
        (ValueType::Double, AttributeValue::String(text)) => {
            AttributeValue::Double(text.parse().ok()?)
        }
        (ValueType::Double, AttributeValue::Int(number)) => AttributeValue::Double(*number as f64),
        (ValueType::Double, AttributeValue::Bool(truth)) => {
            AttributeValue::Double(f64::from(u8::from(*truth)))
        }
        _ => return None,
    })
}

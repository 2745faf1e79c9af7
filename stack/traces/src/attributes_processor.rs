//! Attributes that are added, changed or removed on the way in, as the OpenTelemetry Collector's attributes and resource processors
//! do it.

use std::sync::Arc;

use gameday_signal::{AttributeValue, Attributes, Resource, Span};
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
    /// Removed.
    Delete(String),
    /// All whose names match are removed.
    DeleteMatching(Regex),
    /// Where the first is there and the second is not, the value stands under the second name instead.
    Rename(String, String),
}

/// Which spans are changed.
#[derive(Clone, Debug, Default)]
pub struct SpanMatch {
    /// Patterns for the service, one of which must match; none for any.
    pub services: Vec<Regex>,
    /// Patterns for the operation, one of which must match; none for any.
    pub names: Vec<Regex>,
}

/// Changes attributes of spans and resources.
#[derive(Clone, Debug, Default)]
pub struct AttributesProcessor {
    /// Which spans.
    pub include: SpanMatch,
    /// What is done to their attributes, in order.
    pub span_actions: Vec<AttributeAction>,
    /// What is done to the attributes of their resources, in order.
    pub resource_actions: Vec<AttributeAction>,
}

impl AttributesProcessor {
    /// Changes the spans that match.
    pub fn process(&self, spans: &mut [Span]) {
        // The spans of a batch share their resource, and go on sharing it.
        let mut last: Option<(Arc<Resource>, Arc<Resource>)> = None;
        for span in spans.iter_mut().filter(|span| self.include.matches(span)) {
            apply(&self.span_actions, &mut span.attributes);
            if self.resource_actions.is_empty() {
                continue;
            }
            span.resource = match &last {
                Some((from, to)) if Arc::ptr_eq(from, &span.resource) => Arc::clone(to),
                _ => {
                    let mut attributes = span.resource.attributes.clone();
                    apply(&self.resource_actions, &mut attributes);
                    let changed = Arc::new(Resource { attributes });
                    last = Some((Arc::clone(&span.resource), Arc::clone(&changed)));
                    changed
                }
            };
        }
    }
}

impl SpanMatch {
    fn matches(&self, span: &Span) -> bool {
        let one_of = |patterns: &[Regex], text: &str| {
            patterns.is_empty() || patterns.iter().any(|own| own.is_match(text))
        };
        one_of(&self.services, span.resource.service_name()) && one_of(&self.names, &span.name)
    }
}

/// Does all of `actions` to `attributes`, in order; log records have such attributes, too.
pub fn apply(actions: &[AttributeAction], attributes: &mut Attributes) {
    for action in actions {
        match action {
            AttributeAction::Insert(key, value) if attributes.get(key).is_none() => {
                attributes.0.push((key.clone(), value.clone()));
            }
            AttributeAction::Insert(..) => {}
            AttributeAction::Update(key, value) => {
                set(attributes, key, value);
            }
            AttributeAction::Upsert(key, value) => {
                if !set(attributes, key, value) {
                    attributes.0.push((key.clone(), value.clone()));
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
                    own.clone_from(to);
                }
            }
        }
    }
}

/// Changes an attribute and says whether it was there.
fn set(attributes: &mut Attributes, key: &str, value: &AttributeValue) -> bool {
    let found = attributes.0.iter_mut().find(|(own, _)| own == key);
    found.map(|(_, own)| own.clone_from(value)).is_some()
}

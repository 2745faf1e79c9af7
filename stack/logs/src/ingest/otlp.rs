//! Loki's mapping of OpenTelemetry log records.
//!
//! Resource attributes of [`INDEX_ATTRIBUTES`] become the stream's labels; every other attribute becomes structured metadata.

use gameday_signal::{
    AttributeValue, Attributes, Labels, LabelsBuilder, LogRecord, Resource, Scope, Timestamp, hex,
};

use super::service_name::{CANDIDATES, SERVICE_NAME, UNKNOWN_SERVICE};
use crate::{Entry, Metadata};

/// Resource attributes that become labels (Loki's `default_resource_attributes_as_index_labels`).
const INDEX_ATTRIBUTES: [&str; 18] = [
    "service.name",
    "service.namespace",
    "service.instance.id",
    "deployment.environment",
    "deployment.environment.name",
    "cloud.region",
    "cloud.availability_zone",
    "k8s.cluster.name",
    "k8s.namespace.name",
    "k8s.pod.name",
    "k8s.container.name",
    "container.name",
    "k8s.replicaset.name",
    "k8s.deployment.name",
    "k8s.statefulset.name",
    "k8s.daemonset.name",
    "k8s.cronjob.name",
    "k8s.job.name",
];

/// The metadata that holds a record's number of severity.
pub(super) const SEVERITY_NUMBER: &str = "severity_number";

fn is_index_attribute(name: &str) -> bool {
    INDEX_ATTRIBUTES.contains(&name)
}

/// The labels of the stream that a resource's records belong to.
pub(crate) fn stream_of(resource: &Resource, discover_service_name: bool) -> Labels {
    let mut labels = LabelsBuilder::default();
    for (name, value) in resource.attributes.iter() {
        if is_index_attribute(name) {
            labels.set(&label_name(name), &value.text());
        }
    }
    if discover_service_name && labels.get(SERVICE_NAME).is_none() {
        let found = CANDIDATES.iter().find_map(|candidate| {
            resource
                .attributes
                .iter()
                .find(|(name, _)| label_name(name) == *candidate)
        });
        match found {
            Some((_, value)) => labels.set(SERVICE_NAME, &value.text()),
            None => labels.set(SERVICE_NAME, UNKNOWN_SERVICE),
        };
    }
    labels.build()
}

/// The metadata that all records of a resource and a scope have.
pub(crate) fn shared_metadata(resource: &Resource, scope: &Scope) -> Metadata {
    let mut metadata = Metadata::default();
    for (name, value) in resource.attributes.iter() {
        if !is_index_attribute(name) {
            flatten_value("", name, value, &mut metadata);
        }
    }
    flatten(&scope.attributes, &mut metadata);
    if !scope.name.is_empty() {
        metadata.push("scope_name", &scope.name);
    }
    if !scope.version.is_empty() {
        metadata.push("scope_version", &scope.version);
    }
    metadata
}

/// The line of a record with its metadata, of which `shared` is the part that [`shared_metadata`] gives; a record without any time
/// happened `now`.
pub(crate) fn entry_of(record: &LogRecord, shared: &Metadata, now: Timestamp) -> Entry {
    // Six fields of its own, and the level that is found in it.
    let room = record.attributes.iter().len() + shared.len() + 7;
    let mut metadata = Metadata::with_room(room);
    flatten(&record.attributes, &mut metadata);
    let mut put_number =
        |name: &str, number: i64| metadata.push(name, itoa::Buffer::new().format(number));
    if record.observed_timestamp != Timestamp::EPOCH {
        put_number("observed_timestamp", record.observed_timestamp.as_nanos());
    }
    if record.severity_number != 0 {
        put_number(SEVERITY_NUMBER, i64::from(record.severity_number));
    }
    if !record.severity_text.is_empty() {
        metadata.push("severity_text", &record.severity_text);
    }
    if record.flags != 0 {
        metadata.push("flags", itoa::Buffer::new().format(record.flags));
    }
    if !record.trace_id.is_none() {
        metadata.push("trace_id", hex(&record.trace_id.0, &mut [0; 32]));
    }
    if !record.span_id.is_none() {
        metadata.push("span_id", hex(&record.span_id.0, &mut [0; 16]));
    }
    metadata.append(shared);
    let timestamp = [record.timestamp, record.observed_timestamp, now]
        .into_iter()
        .find(|timestamp| *timestamp != Timestamp::EPOCH)
        .unwrap_or(now);
    Entry {
        timestamp,
        line: record.body.text().into_owned(),
        metadata,
    }
}

fn flatten(attributes: &Attributes, out: &mut Metadata) {
    for (name, value) in attributes.iter() {
        flatten_value("", name, value, out);
    }
}

/// Maps become one entry a leaf, their names behind `prefix` and joined by `_`; lists stay JSON.
fn flatten_value(prefix: &str, name: &str, value: &AttributeValue, out: &mut Metadata) {
    if let AttributeValue::Map(pairs) = value {
        let mut inner = prefix.to_owned();
        write_label_name(name, &mut inner);
        inner.push('_');
        for (key, value) in pairs {
            flatten_value(&inner, key, value, out);
        }
    } else {
        out.write(
            |text| {
                text.push_str(prefix);
                write_label_name(name, text);
            },
            |text| text.push_str(&value.text()),
        );
    }
}

fn label_name(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    write_label_name(name, &mut out);
    out
}

/// Appends a name with every character that no label name may have replaced by `_` (OpenTelemetry's NormalizeLabel).
fn write_label_name(name: &str, out: &mut String) {
    if name.starts_with(|first: char| first.is_ascii_digit()) {
        out.push_str("key_");
    }
    out.extend(name.chars().map(|character| {
        if character.is_ascii_alphanumeric() {
            character
        } else {
            '_'
        }
    }));
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use gameday_signal::{SpanId, TraceId};

    use super::*;

    fn attributes(pairs: &[(&str, &str)]) -> Attributes {
        Attributes(
            pairs
                .iter()
                .map(|(key, value)| ((*key).into(), AttributeValue::from(*value)))
                .collect(),
        )
    }

    #[test]
    fn splits_attributes_between_labels_and_metadata() {
        let resource = Arc::new(Resource {
            attributes: attributes(&[
                ("service.name", "checkout"),
                ("k8s.pod.name", "checkout-0"),
                ("host.name", "h1"),
            ]),
        });
        let record = LogRecord {
            timestamp: Timestamp::EPOCH,
            observed_timestamp: Timestamp::EPOCH,
            severity_number: 13,
            severity_text: "WARN".to_owned(),
            body: AttributeValue::Map(vec![("a".into(), AttributeValue::Int(1))]),
            attributes: Attributes(vec![(
                "http".into(),
                AttributeValue::Map(vec![("status.code".into(), AttributeValue::Int(500))]),
            )]),
            trace_id: TraceId([1; 16]),
            span_id: SpanId([0; 8]),
            flags: 1,
            resource: Arc::clone(&resource),
            scope: Arc::new(Scope {
                name: "lib".to_owned(),
                ..Scope::default()
            }),
        };
        assert_eq!(
            stream_of(&resource, true),
            Labels::new([("service_name", "checkout"), ("k8s_pod_name", "checkout-0")])
        );
        let shared = shared_metadata(&record.resource, &record.scope);
        let entry = entry_of(&record, &shared, Timestamp::from_secs(7));
        assert_eq!(entry.timestamp, Timestamp::from_secs(7));
        assert_eq!(entry.line, r#"{"a":1}"#);
        let metadata: Vec<String> = entry
            .metadata
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(
            metadata,
            [
                "http_status_code=500",
                "severity_number=13",
                "severity_text=WARN",
                "flags=1",
                "trace_id=01010101010101010101010101010101",
                "host_name=h1",
                "scope_name=lib",
            ]
        );
    }

    #[test]
    fn a_resource_without_a_name_is_an_unknown_service() {
        assert_eq!(
            stream_of(&Resource::default(), true),
            Labels::new([("service_name", "unknown_service")])
        );
    }
}

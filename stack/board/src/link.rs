//! The links that an on-call engineer follows: from a log line to a trace, from an exemplar to a trace, from a span to its logs.

use gameday_signal::{Labels, Span};

use crate::datasource::{
    DerivedField, ExemplarDestination, FieldMatcher, Link, TracesToLogs, Values,
};
use crate::variable::percent_encode;

impl DerivedField {
    /// The link out of a log line, if the field is in it. `labels` are those of the stream, the structured metadata and what a
    /// parser has found, as an answer of Loki shows them.
    pub fn link(&self, line: &str, labels: &Labels) -> Option<Link> {
        let value = match &self.matcher {
            FieldMatcher::Line(regex) => {
                let found = regex.captures(line)?;
                found.get(1).or_else(|| found.get(0))?.as_str()
            }
            FieldMatcher::Label(regex) => labels.iter().find(|(name, _)| regex.is_match(name))?.1,
        };
        if value.is_empty() {
            return None;
        }
        let fill = |text: &str| fill_value(text, value, self.datasource_uid.is_none());
        let target = if self.url.is_empty() {
            value.to_owned()
        } else {
            fill(&self.url)
        };
        let label = if self.url_display_label.is_empty() {
            self.name.clone()
        } else {
            fill(&self.url_display_label)
        };
        Some(Link {
            label,
            datasource_uid: self.datasource_uid.clone(),
            target,
            value: value.to_owned(),
        })
    }

    /// Why the field is not in a line, for a person.
    pub fn why_not(&self, line: &str, labels: &Labels) -> String {
        match &self.matcher {
            FieldMatcher::Line(regex) => {
                let shown: String = line.chars().take(200).collect();
                format!(
                    "derived field {}: {} matches nothing in the line {shown:?}",
                    self.name,
                    regex.as_str()
                )
            }
            FieldMatcher::Label(regex) => {
                let names: Vec<&str> = labels.iter().map(|(name, _)| name).collect();
                format!(
                    "derived field {}: {} matches none of the labels {}",
                    self.name,
                    regex.as_str(),
                    names.join(", ")
                )
            }
        }
    }
}

impl ExemplarDestination {
    /// The link out of an exemplar, if it has the label.
    pub fn link(&self, labels: &Labels) -> Option<Link> {
        let value = labels.get(&self.name)?;
        let fill = |text: &str| fill_value(text, value, self.datasource_uid.is_none());
        Some(Link {
            label: if self.url_display_label.is_empty() {
                format!("Query with {}", self.name)
            } else {
                fill(&self.url_display_label)
            },
            datasource_uid: self.datasource_uid.clone(),
            target: if self.url.is_empty() {
                value.to_owned()
            } else {
                fill(&self.url)
            },
            value: value.to_owned(),
        })
    }
}

impl TracesToLogs {
    /// The query for the logs of a span; none where none of the tags is on it.
    pub fn query(&self, span: &Span) -> Option<String> {
        let trace_id = span.trace_id.to_string();
        let span_id = span.span_id.to_string();
        // Grafana's own tags where none are configured.
        let defaults = [
            ("cluster", "cluster"),
            ("hostname", "hostname"),
            ("namespace", "namespace"),
            ("pod", "pod"),
            ("service.name", "service_name"),
            ("service.namespace", "service_namespace"),
        ];
        let tags: Vec<(&str, &str)> = if self.tags.is_empty() {
            defaults.to_vec()
        } else {
            self.tags
                .iter()
                .map(|(key, label)| (key.as_str(), label.as_str()))
                .collect()
        };
        let matchers: Vec<String> = tags
            .into_iter()
            .filter_map(|(key, label)| {
                let value = span
                    .resource
                    .attributes
                    .get(key)
                    .or_else(|| span.attributes.get(key))?;
                Some(format!("{label}={:?}", value.to_string()))
            })
            .collect();
        let tags = matchers.join(", ");
        if let Some(custom) = &self.custom_query {
            let values = Values::from([
                ("__tags", tags.as_str()),
                ("__trace.traceId", trace_id.as_str()),
                ("__span.traceId", trace_id.as_str()),
                ("__span.spanId", span_id.as_str()),
                ("__span.name", span.name.as_str()),
            ]);
            return Some(fill_names(custom, &values));
        }
        if tags.is_empty() {
            return None;
        }
        let mut query = format!("{{{tags}}}");
        if self.filter_by_trace_id {
            query.extend([" |=\"", &trace_id, "\""]);
        }
        if self.filter_by_span_id {
            query.extend([" |=\"", &span_id, "\""]);
        }
        Some(query)
    }
}

/// The text with the value where it refers to it; in addresses the value is encoded unless it is asked for raw.
fn fill_value(text: &str, value: &str, address: bool) -> String {
    let encoded = percent_encode(value);
    let plain = if address { encoded.as_str() } else { value };
    let values = Values::from([
        ("__value.raw", value),
        ("__value.text", value),
        ("__value", plain),
        ("__value.raw:percentencode", encoded.as_str()),
    ]);
    fill_names(text, &values)
}

/// The text with `${name}` filled in for the names that are known.
fn fill_names(text: &str, values: &Values<'_>) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        filled.push_str(&rest[..at]);
        rest = &rest[at..];
        let Some(end) = rest.find('}') else {
            break;
        };
        match values.get(&rest[2..end]) {
            Some(value) => filled.push_str(value),
            None => filled.push_str(&rest[..=end]),
        }
        rest = &rest[end + 1..];
    }
    filled.push_str(rest);
    filled
}

//! `line_format` and `label_format`.

use std::fmt;
use std::sync::Arc;

use gameday_signal::Timestamp;
use gameday_template::{Escaping, TemplateSet, Value};

use super::functions::LineFunctions;
use super::labels::{ERROR, ERROR_DETAILS, LineLabels, Source};
use crate::logql::LabelFormat;

/// A template that was read.
#[derive(Clone)]
struct Template {
    set: Arc<TemplateSet>,
    text: String,
    /// The label, where the template is nothing but `{{.label}}`.
    simple: Option<String>,
}

/// The name under which the set holds the template.
const NAME: &str = "line";

impl Template {
    fn new(text: &str) -> Result<Self, String> {
        let functions = LineFunctions {
            line: "",
            timestamp: Timestamp::EPOCH,
            now: Timestamp::EPOCH,
        };
        let mut set = TemplateSet::new();
        set.parse(NAME, text, &functions)
            .map_err(|error| error.to_string())?;
        let inner = text
            .strip_prefix("{{")
            .and_then(|rest| rest.strip_suffix("}}"))
            .and_then(|field| field.trim().strip_prefix('.'));
        let simple = inner
            .filter(|name| super::labels::is_sane(name))
            .map(str::to_owned);
        Ok(Self {
            set: Arc::new(set),
            text: text.to_owned(),
            simple,
        })
    }

    fn render(
        &self,
        timestamp: Timestamp,
        now: Timestamp,
        line: &str,
        data: &Value,
    ) -> Result<String, String> {
        if self.text.is_empty() {
            return Ok(String::new());
        }
        let functions = LineFunctions {
            line,
            timestamp,
            now,
        };
        self.set
            .render(NAME, data, &functions, Escaping::None)
            .map_err(|error| error.to_string())
    }

    /// The names of the fields that the template refers to, and perhaps some more words behind a full stop.
    fn collect_labels(&self, out: &mut Vec<String>) {
        for part in self.text.split("{{").skip(1) {
            let inner = part.split("}}").next().unwrap_or("");
            for word in inner.split('.').skip(1) {
                let length = word
                    .find(|character: char| !character.is_alphanumeric() && character != '_')
                    .unwrap_or(word.len());
                if length > 0 {
                    out.push(word[..length].to_owned());
                }
            }
        }
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

/// The labels as the template sees them.
fn data(labels: &LineLabels) -> Value {
    let mut pairs: Vec<(String, String)> = Vec::new();
    labels.for_each(|name, value, _| pairs.push((name.to_owned(), value.to_owned())));
    if let Some(kind) = &labels.error {
        pairs.push((ERROR.to_owned(), kind.to_string()));
    }
    if let Some(details) = &labels.error_details {
        pairs.push((ERROR_DETAILS.to_owned(), details.clone()));
    }
    Value::text_map(pairs)
}

/// `| line_format`, compiled.
#[derive(Clone, Debug)]
pub(crate) struct LineFormatter(Template);

impl LineFormatter {
    pub(crate) fn new(template: &str) -> Result<Self, String> {
        Template::new(template)
            .map(Self)
            .map_err(|error| format!("invalid line template: {error}"))
    }

    /// The new line; none where the template fails, which keeps the old one.
    pub(crate) fn apply(
        &self,
        timestamp: Timestamp,
        now: Timestamp,
        line: &str,
        labels: &mut LineLabels,
    ) -> Option<String> {
        if let Some(name) = &self.0.simple {
            return Some(labels.get(name).unwrap_or("").to_owned());
        }
        match self.0.render(timestamp, now, line, &data(labels)) {
            Ok(line) => Some(line),
            Err(details) => {
                labels.set_error("TemplateFormatErr", Some(details));
                None
            }
        }
    }

    pub(crate) fn collect_labels(&self, out: &mut Vec<String>) {
        self.0.collect_labels(out);
    }
}

#[derive(Clone, Debug)]
enum Assignment {
    Rename { to: String, from: String },
    Template { to: String, template: Template },
}

/// `| label_format`, compiled.
#[derive(Clone, Debug)]
pub(crate) struct LabelsFormatter(Vec<Assignment>);

impl LabelsFormatter {
    pub(crate) fn new(formats: &[LabelFormat]) -> Result<Self, String> {
        let mut seen: Vec<&str> = Vec::new();
        let mut assignments = Vec::new();
        for format in formats {
            let (LabelFormat::Rename { to, .. } | LabelFormat::Template { to, .. }) = format;
            if to == ERROR {
                return Err(format!("{to} cannot be formatted"));
            }
            if seen.contains(&to.as_str()) {
                return Err(format!(
                    "multiple label name '{to}' not allowed in a single format operation"
                ));
            }
            seen.push(to);
            assignments.push(match format {
                LabelFormat::Rename { to, from } => Assignment::Rename {
                    to: to.clone(),
                    from: from.clone(),
                },
                LabelFormat::Template { to, template } => Assignment::Template {
                    to: to.clone(),
                    template: Template::new(template)
                        .map_err(|error| format!("invalid template for label '{to}': {error}"))?,
                },
            });
        }
        Ok(Self(assignments))
    }

    pub(crate) fn apply(
        &self,
        timestamp: Timestamp,
        now: Timestamp,
        line: &str,
        labels: &mut LineLabels,
    ) {
        // All templates of one stage see the labels as they were before its first template.
        let mut before = None;
        for assignment in &self.0 {
            match assignment {
                Assignment::Rename { to, from } => {
                    if let Some(value) = labels.get(from).map(str::to_owned) {
                        labels.set(Source::Parsed, to, &value);
                        labels.remove(from);
                    }
                }
                Assignment::Template { to, template } => {
                    let data = before.get_or_insert_with(|| data(labels));
                    match template.render(timestamp, now, line, data) {
                        Ok(value) => labels.set(Source::Parsed, to, &value),
                        Err(details) => labels.set_error("TemplateFormatErr", Some(details)),
                    }
                }
            }
        }
    }

    pub(crate) fn collect_labels(&self, out: &mut Vec<String>) {
        for assignment in &self.0 {
            match assignment {
                Assignment::Rename { from, .. } => out.push(from.clone()),
                Assignment::Template { template, .. } => template.collect_labels(out),
            }
        }
    }
}

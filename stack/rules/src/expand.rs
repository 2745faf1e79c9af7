//! The templates of labels and annotations.

use std::collections::BTreeMap;

use gameday_signal::{Labels, Timestamp};
use gameday_template::{Escaping, PrometheusFunctions, QuerySample, TemplateSet, Value};

use crate::backend::{Backend, Element, SampleValue};

/// The variables that every template of a rule begins with (rules/alerting.go).
const VARIABLES: &str = "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}{{$externalURL := .ExternalURL}}{{$value := .Value}}";
/// How Go prints the type of a template's data.
const DATA_TYPE: &str = "struct { Labels map[string]string; ExternalLabels map[string]string; ExternalURL string; Value interface {} }";

/// What is wrong with a template.
pub(crate) struct TemplateProblem {
    /// The byte of the text that was written in the file.
    pub(crate) offset: usize,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

fn template_name(alert: &str) -> String {
    format!("__alert_{alert}")
}

fn no_query(_: &str, _: Timestamp) -> Result<Vec<QuerySample>, String> {
    Ok(Vec::new())
}

/// Functions for parsing: only their names count.
const NAMES: PrometheusFunctions<'static> = PrometheusFunctions {
    now: Timestamp::EPOCH,
    external_url: "",
    query: &no_query,
    consoles: false,
};

fn parse(alert: &str, text: &str) -> Result<TemplateSet, gameday_template::Error> {
    let mut set = TemplateSet::new();
    set.parse(alert, &format!("{VARIABLES}{text}"), &NAMES)?;
    Ok(set)
}

/// Parses a template of the alert.
pub(crate) fn check_template(alert: &str, text: &str) -> Result<(), TemplateProblem> {
    if !text.contains("{{") {
        return Ok(());
    }
    parse(&template_name(alert), text)
        .map(drop)
        .map_err(|error| TemplateProblem {
            offset: error
                .place()
                .map_or(0, |place| place.offset.saturating_sub(VARIABLES.len())),
            message: error.message(),
            hint: error.hint().map(str::to_owned),
        })
}

/// The templates of one rule, parsed once.
#[derive(Clone, Default)]
pub(crate) struct Templates {
    /// The name under which each of them runs.
    name: String,
    /// By the text that holds them; texts without an action are not here.
    parsed: BTreeMap<String, Result<TemplateSet, String>>,
}

/// What a rule's templates see.
pub(crate) struct Context<'a> {
    pub(crate) backend: &'a dyn Backend,
    pub(crate) at: Timestamp,
    /// The language of the function `query`.
    pub(crate) language: crate::Language,
    pub(crate) external_labels: &'a Labels,
    pub(crate) external_url: &'a str,
}

impl Templates {
    /// Parses the templates of an alert; those that are none expand to an error later, as in Prometheus.
    pub(crate) fn new<'t>(alert: &str, texts: impl Iterator<Item = &'t str>) -> Self {
        let name = template_name(alert);
        let parsed = texts
            .filter(|text| text.contains("{{"))
            .map(|text| {
                let set = parse(&name, text).map_err(|error| error.to_string());
                (text.to_owned(), set)
            })
            .collect();
        Self { name, parsed }
    }

    /// Expands a text for an element; where that fails, the error stands in the text too, as in Prometheus.
    pub(crate) fn expand(
        &self,
        text: &str,
        data: &Value,
        context: &Context<'_>,
    ) -> (String, Option<String>) {
        let Some(parsed) = self.parsed.get(text) else {
            return (text.to_owned(), None);
        };
        let name = &self.name;
        let expanded = match parsed {
            Ok(set) => self
                .render(set, data, context)
                .map_err(|error| format!("error executing template {name}: {error}")),
            Err(error) => Err(format!("error parsing template {name}: {error}")),
        };
        match expanded {
            Ok(text) => (text, None),
            Err(error) => (format!("<error expanding template: {error}>"), Some(error)),
        }
    }

    fn render(
        &self,
        set: &TemplateSet,
        data: &Value,
        context: &Context<'_>,
    ) -> Result<String, gameday_template::Error> {
        let query = |expr: &str, at: Timestamp| {
            let elements = context.backend.query(context.language, expr, at)?;
            Ok(elements
                .into_iter()
                .map(|element| QuerySample {
                    value: element.value.as_float(),
                    labels: element.labels,
                })
                .collect())
        };
        let functions = PrometheusFunctions {
            now: context.at,
            external_url: context.external_url,
            query: &query,
            consoles: false,
        };
        set.render(&self.name, data, &functions, Escaping::None)
    }
}

impl Context<'_> {
    /// What the templates of an element see; nothing where the rule has no templates.
    pub(crate) fn data(&self, element: &Element, templates: &Templates) -> Value {
        if templates.parsed.is_empty() {
            return Value::Nil;
        }
        let value = match &element.value {
            SampleValue::Float(value) => Value::Float(*value),
            SampleValue::Histogram(histogram) => Value::from(histogram_text(histogram)),
        };
        Value::structure(
            DATA_TYPE,
            [
                ("Labels", Value::labels(&element.labels)),
                ("ExternalLabels", Value::labels(self.external_labels)),
                ("ExternalURL", Value::text(self.external_url)),
                ("Value", value),
            ],
        )
    }
}

/// The parts of a histogram that a message can use.
fn histogram_text(histogram: &gameday_signal::Histogram) -> String {
    format!("{{count:{}, sum:{}}}", histogram.count, histogram.sum)
}

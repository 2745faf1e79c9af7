//! Data sources as Grafana is provisioned with them, and the links between them.

use std::collections::BTreeMap;

use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::Error;

/// A provisioned data source.
#[derive(Clone, Debug)]
pub struct Datasource {
    /// Its name.
    pub name: String,
    /// Its kind (`prometheus`, `loki`, `tempo`).
    pub kind: String,
    /// Its uid; Grafana makes one of the name where the file gives none.
    pub uid: String,
    /// Where it is.
    pub url: String,
    /// Whether panels without a data source ask it.
    pub is_default: bool,
    /// How often it is fed (`jsonData.timeInterval`), as text.
    pub time_interval: String,
    /// Links out of log lines.
    pub derived_fields: Vec<DerivedField>,
    /// Links out of exemplars.
    pub exemplar_destinations: Vec<ExemplarDestination>,
    /// The link from a span to its logs.
    pub traces_to_logs: Option<TracesToLogs>,
    /// Which data source holds the metrics of the service graph.
    pub service_map_uid: Option<String>,
}

/// What a derived field looks at.
#[derive(Clone, Debug)]
pub enum FieldMatcher {
    /// The line: the first group of the pattern, or the whole match.
    Line(Regex),
    /// The value of the first label, structured metadata or parsed field whose name matches.
    Label(Regex),
}

/// A link out of log lines.
#[derive(Clone, Debug)]
pub struct DerivedField {
    /// Its name.
    pub name: String,
    /// What it looks at.
    pub matcher: FieldMatcher,
    /// Where it leads: a query for the data source below, or an address; `${__value.raw}` is the value.
    pub url: String,
    /// What the link says.
    pub url_display_label: String,
    /// The data source that is asked; none for an address.
    pub datasource_uid: Option<String>,
}

/// A link out of exemplars.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExemplarDestination {
    /// The label of the exemplar that holds the trace id.
    pub name: String,
    /// The data source that is asked; none for an address.
    pub datasource_uid: Option<String>,
    /// The address; the empty text for a data source.
    pub url: String,
    /// What the link says.
    pub url_display_label: String,
}

/// The link from a span to its logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracesToLogs {
    /// The data source of the logs.
    pub datasource_uid: String,
    /// Attributes of the span or its resource, with the labels that they are in the logs.
    pub tags: Vec<(String, String)>,
    /// Whether only lines with the trace id are wanted.
    pub filter_by_trace_id: bool,
    /// Whether only lines with the span id are wanted.
    pub filter_by_span_id: bool,
    /// A query that is used instead.
    pub custom_query: Option<String>,
    /// How much earlier than the span the logs are looked for, as text (`-1m`).
    pub span_start_time_shift: String,
    /// How much later, as text (`1m`).
    pub span_end_time_shift: String,
}

/// All data sources of a provisioning file.
#[derive(Clone, Debug, Default)]
pub struct Datasources(pub Vec<Datasource>);

#[derive(Deserialize)]
struct RawFile {
    #[serde(default)]
    datasources: Vec<RawDatasource>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDatasource {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    uid: String,
    #[serde(default)]
    url: String,
    #[serde(default)]
    is_default: bool,
    #[serde(default)]
    json_data: RawJsonData,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawJsonData {
    time_interval: Option<String>,
    derived_fields: Vec<RawDerivedField>,
    exemplar_trace_id_destinations: Vec<RawDestination>,
    #[serde(rename = "tracesToLogsV2")]
    traces_to_logs_v2: Option<RawTracesToLogs>,
    service_map: Option<RawServiceMap>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDerivedField {
    #[serde(default)]
    name: String,
    matcher_regex: String,
    #[serde(default)]
    matcher_type: String,
    #[serde(default)]
    url: String,
    #[serde(default)]
    url_display_label: String,
    datasource_uid: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDestination {
    name: String,
    datasource_uid: Option<String>,
    #[serde(default)]
    url: String,
    #[serde(default)]
    url_display_label: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawTracesToLogs {
    #[serde(default)]
    datasource_uid: String,
    #[serde(default)]
    tags: Vec<RawTag>,
    #[serde(default, rename = "filterByTraceID")]
    filter_by_trace_id: bool,
    #[serde(default, rename = "filterBySpanID")]
    filter_by_span_id: bool,
    #[serde(default)]
    custom_query: bool,
    #[serde(default)]
    query: String,
    #[serde(default)]
    span_start_time_shift: String,
    #[serde(default)]
    span_end_time_shift: String,
}

#[derive(Deserialize)]
struct RawTag {
    key: String,
    #[serde(default)]
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawServiceMap {
    datasource_uid: Option<String>,
}

impl Datasources {
    /// Reads a provisioning file. `environment` gives the values of `$NAME` and `${NAME}`; `$$` is a dollar sign.
    ///
    /// # Errors
    /// Where the text is no YAML, no provisioning, or holds a pattern that does not compile.
    pub fn parse(
        file: &str,
        text: &str,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Error> {
        let raw: RawFile = gameday_yaml::from_file(file, text)?;
        let expand = |text: &str| expand(text, &environment);
        raw.datasources
            .into_iter()
            .enumerate()
            .map(|(index, raw)| raw.finish(file, &format!("datasources[{index}]"), &expand))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The data source with this uid, or else with this name.
    pub fn get(&self, uid_or_name: &str) -> Option<&Datasource> {
        self.0
            .iter()
            .find(|own| own.uid == uid_or_name)
            .or_else(|| self.0.iter().find(|own| own.name == uid_or_name))
    }

    /// The first data source of a kind, the default one before the others.
    pub fn of_kind(&self, kind: &str) -> Option<&Datasource> {
        let mut all = self.0.iter().filter(|own| own.kind == kind);
        all.clone()
            .find(|own| own.is_default)
            .or_else(|| all.next())
    }

    /// Links that lead to data sources which are not there, as `place: uid`.
    pub fn broken_links(&self) -> Vec<String> {
        let mut broken = Vec::new();
        for own in &self.0 {
            let mut check = |place: String, uid: Option<&str>| {
                if let Some(uid) = uid
                    && self.get(uid).is_none()
                {
                    broken.push(format!("{}, {place}: no data source {uid:?}", own.name));
                }
            };
            for field in &own.derived_fields {
                check(
                    format!("derived field {}", field.name),
                    field.datasource_uid.as_deref(),
                );
            }
            for destination in &own.exemplar_destinations {
                check(
                    format!("exemplar destination {}", destination.name),
                    destination.datasource_uid.as_deref(),
                );
            }
            check(
                "traces to logs".to_owned(),
                own.traces_to_logs
                    .as_ref()
                    .map(|to| to.datasource_uid.as_str()),
            );
            check("service map".to_owned(), own.service_map_uid.as_deref());
        }
        broken
    }
}

impl RawDatasource {
    fn finish(
        self,
        file: &str,
        path: &str,
        expand: &impl Fn(&str) -> String,
    ) -> Result<Datasource, Error> {
        let data = self.json_data;
        let name = expand(&self.name);
        let uid = expand(&self.uid);
        let derived_fields = data
            .derived_fields
            .into_iter()
            .enumerate()
            .map(|(index, field)| {
                let pattern = expand(&field.matcher_regex);
                let regex = Regex::new(&pattern).map_err(|error| Error::Pattern {
                    file: file.to_owned(),
                    path: format!("{path}.jsonData.derivedFields[{index}].matcherRegex"),
                    reason: error
                        .to_string()
                        .lines()
                        .last()
                        .unwrap_or_default()
                        .trim()
                        .to_owned(),
                    pattern,
                })?;
                Ok(DerivedField {
                    name: expand(&field.name),
                    matcher: if field.matcher_type == "label" {
                        FieldMatcher::Label(regex)
                    } else {
                        FieldMatcher::Line(regex)
                    },
                    url: expand(&field.url),
                    url_display_label: expand(&field.url_display_label),
                    datasource_uid: field
                        .datasource_uid
                        .map(|uid| expand(&uid))
                        .filter(|uid| !uid.is_empty()),
                })
            })
            .collect::<Result<_, Error>>()?;
        Ok(Datasource {
            uid: if uid.is_empty() { name.clone() } else { uid },
            name,
            kind: self.kind,
            url: expand(&self.url),
            is_default: self.is_default,
            time_interval: data
                .time_interval
                .map(|text| expand(&text))
                .unwrap_or_default(),
            derived_fields,
            exemplar_destinations: data
                .exemplar_trace_id_destinations
                .into_iter()
                .map(|to| ExemplarDestination {
                    name: expand(&to.name),
                    datasource_uid: to
                        .datasource_uid
                        .map(|uid| expand(&uid))
                        .filter(|uid| !uid.is_empty()),
                    url: expand(&to.url),
                    url_display_label: expand(&to.url_display_label),
                })
                .collect(),
            traces_to_logs: data.traces_to_logs_v2.map(|to| TracesToLogs {
                datasource_uid: expand(&to.datasource_uid),
                tags: to
                    .tags
                    .into_iter()
                    .map(|tag| {
                        let (key, value) = (expand(&tag.key), expand(&tag.value));
                        let label = if value.is_empty() {
                            key.replace(['.', '-'], "_")
                        } else {
                            value
                        };
                        (key, label)
                    })
                    .collect(),
                filter_by_trace_id: to.filter_by_trace_id,
                filter_by_span_id: to.filter_by_span_id,
                custom_query: to.custom_query.then(|| expand(&to.query)),
                span_start_time_shift: to.span_start_time_shift,
                span_end_time_shift: to.span_end_time_shift,
            }),
            service_map_uid: data.service_map.and_then(|map| map.datasource_uid),
        })
    }
}

/// Grafana's expansion of provisioning files: `$$` is a dollar sign, `$NAME` and `${NAME}` are variables of the environment.
/// What no variable is called, such as `${__value.raw}`, stays, so that a file that forgot to double the sign works too.
fn expand(text: &str, environment: &impl Fn(&str) -> Option<String>) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        expanded.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(behind) = rest.strip_prefix("$$") {
            expanded.push('$');
            rest = behind;
            continue;
        }
        let (name, length) = match rest.strip_prefix("${") {
            Some(inner) => match inner.find('}') {
                Some(end) => (&inner[..end], end + 3),
                None => ("", 1),
            },
            None => {
                let inner = &rest[1..];
                let end = inner
                    .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
                    .unwrap_or(inner.len());
                (&inner[..end], end + 1)
            }
        };
        match environment(name).filter(|_| !name.is_empty()) {
            Some(value) => expanded.push_str(&value),
            None => expanded.push_str(&rest[..length]),
        }
        rest = &rest[length..];
    }
    expanded.push_str(rest);
    expanded
}

/// What a link needs to know of a provisioned data source, for reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Link {
    /// What it says.
    pub label: String,
    /// The data source that is asked; none for an address.
    pub datasource_uid: Option<String>,
    /// The query for the data source, or the address.
    pub target: String,
    /// The value that was found: a trace id, for links to traces.
    pub value: String,
}

/// Values by name, as a link's text refers to them.
pub(crate) type Values<'a> = BTreeMap<&'a str, &'a str>;

//! Jira: an issue a group.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::config::http::HttpConfig;
use crate::config::receiver::integration;
use crate::config::values::{PromDuration, Url};
use crate::config::yaml::block;

block! {
    /// A field with its template and whether it follows later changes.
    JiraField {
        template: String = String::new(),
        enable_update: Option<bool> = None,
    }
    check(_field) { Ok(()) }
}

/// A field may be written as its template alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum AnyField {
    Template(String),
    Full(JiraField),
}

fn field<'de, D: Deserializer<'de>>(deserializer: D) -> Result<JiraField, D::Error> {
    Ok(match AnyField::deserialize(deserializer)? {
        AnyField::Template(template) => JiraField {
            template,
            enable_update: None,
        },
        AnyField::Full(field) => field,
    })
}

block! {
    /// `jira_configs`.
    JiraConfig {
        send_resolved: bool = true,
        http_config: Option<HttpConfig> = None,
        api_url: Option<Url> = None,
        api_type: String = "auto".to_owned(),
        project: String = String::new(),
        summary: FlexibleField = FlexibleField::new("{{ template \"jira.default.summary\" . }}"),
        description: FlexibleField = FlexibleField::new("{{ template \"jira.default.description\" . }}"),
        labels: Vec<String> = Vec::new(),
        priority: String = "{{ template \"jira.default.priority\" . }}".to_owned(),
        issue_type: String = String::new(),
        reopen_transition: String = String::new(),
        resolve_transition: String = String::new(),
        wont_fix_resolution: String = String::new(),
        reopen_duration: PromDuration = PromDuration::default(),
        fields: BTreeMap<String, Value> = BTreeMap::new(),
    }
    check(jira) {
        if jira.project.is_empty() {
            return Err("missing project in jira_config".to_owned());
        }
        if jira.issue_type.is_empty() {
            return Err("missing issue_type in jira_config".to_owned());
        }
        if !matches!(jira.api_type.as_str(), "auto" | "cloud" | "datacenter") {
            return Err("unknown api_type on jira_config, must be auto, cloud or datacenter".to_owned());
        }
        Ok(())
    }
}

/// A [`JiraField`] that may be written short.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
#[serde(transparent)]
pub(crate) struct FlexibleField(pub(crate) JiraField);

impl FlexibleField {
    fn new(template: &str) -> Self {
        Self(JiraField {
            template: template.to_owned(),
            enable_update: None,
        })
    }
}

impl<'de> Deserialize<'de> for FlexibleField {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        field(deserializer).map(Self)
    }
}

impl crate::config::yaml::Blank for FlexibleField {
    fn is_blank(&self) -> bool {
        self.0 == JiraField::default()
    }
}

integration!(JiraConfig, "jira", |jira, global| {
    if jira.api_url.is_none() {
        jira.api_url.clone_from(&global.jira_api_url);
    }
    match jira.api_url {
        Some(_) => Ok(()),
        None => Err("no global Jira Cloud URL set".to_owned()),
    }
});

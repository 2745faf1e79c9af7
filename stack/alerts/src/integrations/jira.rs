//! Jira: an issue a group.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::config::http::HttpConfig;
use crate::config::receiver::integration;
use crate::config::values::{PromDuration, Url};
use crate::config::yaml::block;
use crate::effect::Outcome;
use crate::matchers::go_quote;
use crate::message::{Answer, Step, judge};
use crate::render::{Context, cut_chars, expand_value};

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

/// Jira refuses longer summaries and descriptions.
const MAX_SUMMARY_CHARS: usize = 255;
const MAX_DESCRIPTION_CHARS: usize = 32_767;

/// The issue that belongs to the group already.
struct Issue {
    key: String,
    /// The key of its status category; `done` is closed.
    category: String,
}

impl JiraConfig {
    /// Look for the group's issue; create or change it; then, where it has to be, reopen or resolve it.
    fn advance(&self, context: &Context<'_>, answers: &[Answer]) -> Result<Step, String> {
        if let Some(answer) = answers.last() {
            let outcome = judge(answer, &[], context.now);
            if outcome != Outcome::Delivered {
                return Ok(Step::Finished(outcome));
            }
        }
        let delivered = Ok(Step::Finished(Outcome::Delivered));
        let is_firing = context.notification.is_firing();
        let base = self
            .api_url
            .as_ref()
            .map_or("", Url::as_str)
            .trim_end_matches('/');
        let Some(found) = answers.first() else {
            let search = serde_json::json!({
                "fields": ["status"],
                "jql": self.query(context, is_firing)?,
                "maxResults": 2,
            });
            return self.request(context, "POST", &self.search_url(base), Some(&search));
        };
        let issue = existing_issue(found)?;
        let Some(issue) = issue else {
            return match answers.len() {
                1 if is_firing => {
                    let body = self.issue(context, false)?;
                    self.request(context, "POST", &format!("{base}/issue"), Some(&body))
                }
                _ => delivered,
            };
        };
        let is_closed = issue.category == "done";
        let transition = match (is_firing, is_closed) {
            (true, true) => self.reopen_transition.as_str(),
            (false, false) => self.resolve_transition.as_str(),
            _ => "",
        };
        let transitions = format!("{base}/issue/{}/transitions", issue.key);
        match answers.len() {
            1 => {
                let body = self.issue(context, true)?;
                self.request(
                    context,
                    "PUT",
                    &format!("{base}/issue/{}", issue.key),
                    Some(&body),
                )
            }
            2 if !transition.is_empty() => self.request(context, "GET", &transitions, None),
            3 => {
                let id = transition_id(&answers[2], transition).ok_or_else(|| {
                    format!("can't find transition {transition} for issue {}", issue.key)
                })?;
                let body = serde_json::json!({ "transition": { "id": id } });
                self.request(context, "POST", &transitions, Some(&body))
            }
            _ => delivered,
        }
    }

    fn request(
        &self,
        context: &Context<'_>,
        method: &'static str,
        url: &str,
        body: Option<&Value>,
    ) -> Result<Step, String> {
        let http = self.http_config.as_ref();
        let mut request = match body {
            Some(body) => context.post_json(url, body, http, Duration::ZERO)?,
            None => context.request(
                method,
                url,
                "application/json",
                Vec::new(),
                http,
                Duration::ZERO,
            )?,
        };
        request.method = method;
        request
            .headers
            .push(("Accept-Language".to_owned(), "en".to_owned()));
        Ok(Step::Request(Box::new(request)))
    }

    /// Jira Cloud has a search of its own (Atlassian's change 2046).
    fn search_url(&self, base: &str) -> String {
        let host = base.split('/').nth(2).unwrap_or_default();
        let host = host.split(':').next().unwrap_or_default();
        let is_cloud = self.api_type == "cloud"
            || (self.api_type == "auto" && host.ends_with("atlassian.net"));
        if is_cloud {
            format!("{base}/search/jql").replacen("/rest/api/2/", "/rest/api/3/", 1)
        } else {
            format!("{base}/search")
        }
    }

    fn query(&self, context: &Context<'_>, is_firing: bool) -> Result<String, String> {
        let mut jql = String::new();
        if !self.wont_fix_resolution.is_empty() {
            // Plain inequality would leave out issues without a resolution.
            jql.push_str("(resolution is EMPTY or resolution != ");
            jql.push_str(&go_quote(&self.wont_fix_resolution));
            jql.push_str(") and ");
        }
        let minutes = self.reopen_duration.0.as_secs() / 60;
        if is_firing && !self.reopen_transition.is_empty() && minutes > 0 {
            jql.push_str("(resolutiondate is EMPTY OR resolutiondate >= -");
            jql.push_str(&minutes.to_string());
            jql.push_str("m) and ");
        } else {
            jql.push_str("statusCategory != Done and ");
        }
        let project = context.text(&self.project)?;
        let label = format!("ALERT{{{}}}", context.group_hash());
        Ok(format!(
            "{jql}project={} and labels={} order by status ASC,resolutiondate DESC",
            go_quote(&project),
            go_quote(&label)
        ))
    }

    fn issue(&self, context: &Context<'_>, is_update: bool) -> Result<Value, String> {
        let expand = |what: &str, template: &str| {
            context
                .text(template)
                .map_err(|error| format!("{what} template: {error}"))
        };
        let follows = |field: &FlexibleField| !is_update || field.0.enable_update.unwrap_or(true);
        let mut labels = vec![format!("ALERT{{{}}}", context.group_hash())];
        for label in &self.labels {
            labels.push(expand("labels", label)?);
        }
        labels.sort();
        let mut fields = serde_json::json!({
            "project": { "key": expand("project", &self.project)? },
            "issuetype": { "name": expand("issue_type", &self.issue_type)? },
            "labels": labels,
        });
        if follows(&self.summary) {
            let summary = expand("summary", &self.summary.0.template)?;
            fields["summary"] = cut_chars(&summary, MAX_SUMMARY_CHARS).into();
        }
        let description = expand("description", &self.description.0.template)?;
        let description = cut_chars(&description, MAX_DESCRIPTION_CHARS);
        let is_v3 = self
            .api_url
            .as_ref()
            .is_some_and(|url| url.as_str().trim_end_matches('/').ends_with("/3"));
        let description = if is_v3 && !description.trim().is_empty() {
            // Version 3 takes documents, not texts.
            serde_json::from_str(&description)
                .map_err(|_| "description template: invalid JSON for API v3".to_owned())?
        } else {
            Value::from(description)
        };
        if follows(&self.description) && description != "" {
            fields["description"] = description;
        }
        let priority = expand("priority", &self.priority)?;
        if !priority.is_empty() {
            fields["priority"] = serde_json::json!({ "name": priority });
        }
        for (name, value) in &self.fields {
            fields[name.as_str()] = expand_value(context, value)
                .map_err(|error| format!("fields template: {error}"))?;
        }
        Ok(serde_json::json!({ "fields": fields }))
    }
}

/// The first issue of a search, the most recently resolved one.
fn existing_issue(found: &Answer) -> Result<Option<Issue>, String> {
    let found: Value = serde_json::from_slice(&found.body)
        .map_err(|error| format!("failed to look up existing issues: {error}"))?;
    let issue = &found["issues"][0];
    Ok(issue["key"].as_str().map(|key| Issue {
        key: key.to_owned(),
        category: issue["fields"]["status"]["statusCategory"]["key"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
    }))
}

fn transition_id(answer: &Answer, name: &str) -> Option<String> {
    let told: Value = serde_json::from_slice(&answer.body).ok()?;
    let transitions = told["transitions"].as_array()?;
    let found = transitions
        .iter()
        .find(|transition| transition["name"] == name)?;
    found["id"].as_str().map(str::to_owned)
}

//! Opsgenie: alert API v2.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::config::http::HttpConfig;
use crate::config::receiver::integration;
use crate::config::values::{Secret, Url};
use crate::config::yaml::{at_most_one, block};
use crate::effect::Outcome;
use crate::message::{Answer, Step, judge};
use crate::render::{Context, is_empty};

block! {
    /// Who is told.
    OpsGenieResponder {
        id: String = String::new(),
        name: String = String::new(),
        username: String = String::new(),
        #[serde(rename = "type")]
        kind: String = String::new(),
    }
    check(responder) {
        let shown = format!(
            "{{{} {} {} {}}}",
            responder.id, responder.name, responder.username, responder.kind
        );
        if responder.id.is_empty() && responder.username.is_empty() && responder.name.is_empty() {
            return Err(format!(
                "opsGenieConfig responder {shown} has to have at least one of id, username or name specified"
            ));
        }
        if !responder.kind.contains("{{") {
            responder.kind = responder.kind.to_lowercase();
            if !RESPONDER_KINDS.contains(&responder.kind.as_str()) {
                return Err(format!(
                    "opsGenieConfig responder {shown} type does not match valid options ^({})$",
                    RESPONDER_KINDS.join("|")
                ));
            }
        }
        Ok(())
    }
}

const RESPONDER_KINDS: [&str; 5] = ["team", "teams", "user", "escalation", "schedule"];

block! {
    /// `opsgenie_configs`.
    OpsGenieConfig {
        send_resolved: bool = true,
        http_config: Option<HttpConfig> = None,
        api_key: Secret = Secret::default(),
        api_key_file: String = String::new(),
        api_url: Option<Url> = None,
        message: String = "{{ template \"opsgenie.default.message\" . }}".to_owned(),
        description: String = "{{ template \"opsgenie.default.description\" . }}".to_owned(),
        source: String = "{{ template \"opsgenie.default.source\" . }}".to_owned(),
        details: BTreeMap<String, String> = BTreeMap::new(),
        entity: String = String::new(),
        responders: Vec<OpsGenieResponder> = Vec::new(),
        actions: String = String::new(),
        tags: String = String::new(),
        note: String = String::new(),
        priority: String = String::new(),
        update_alerts: bool = false,
    }
    check(opsgenie) {
        at_most_one(
            "api_key & api_key_file",
            &[!opsgenie.api_key.is_empty(), !opsgenie.api_key_file.is_empty()],
        )
    }
}

integration!(OpsGenieConfig, "opsgenie", |opsgenie, global| {
    let url = opsgenie
        .api_url
        .clone()
        .or_else(|| global.opsgenie_api_url.clone())
        .ok_or("no global OpsGenie URL set")?;
    opsgenie.api_url = Some(url.with_slash());
    if opsgenie.api_key.is_empty() && opsgenie.api_key_file.is_empty() {
        opsgenie.api_key.clone_from(&global.opsgenie_api_key);
        opsgenie
            .api_key_file
            .clone_from(&global.opsgenie_api_key_file);
        if opsgenie.api_key.is_empty() && opsgenie.api_key_file.is_empty() {
            return Err("no global OpsGenie API Key set either inline or in a file".to_owned());
        }
    }
    Ok(())
});

#[derive(Serialize)]
struct CreateAlert {
    alias: String,
    message: String,
    #[serde(skip_serializing_if = "is_empty")]
    description: String,
    details: BTreeMap<String, String>,
    source: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    responders: Vec<OpsGenieResponder>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    #[serde(skip_serializing_if = "is_empty")]
    note: String,
    #[serde(skip_serializing_if = "is_empty")]
    priority: String,
    #[serde(skip_serializing_if = "is_empty")]
    entity: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    actions: Vec<String>,
}

/// Opsgenie refuses longer messages.
const MAX_MESSAGE_CHARS: usize = 130;

impl OpsGenieConfig {
    fn advance(&self, context: &Context<'_>, answers: &[Answer]) -> Result<Step, String> {
        if let Some(answer) = answers.last() {
            let outcome = judge(answer, &[], context.now);
            let is_last =
                !(self.update_alerts && context.notification.is_firing() && answers.len() < 3);
            if outcome != Outcome::Delivered || is_last {
                return Ok(Step::Finished(outcome));
            }
        }
        let base = format!("{}v2/alerts", self.api_url.as_ref().map_or("", Url::as_str));
        let alias = context.group_hash();
        let of_alert = |what: &str| format!("{base}/{alias}/{what}?identifierType=alias");
        if !context.notification.is_firing() {
            let body = serde_json::json!({ "source": context.text(&self.source)? });
            return self.request(context, "POST", &of_alert("close"), &body);
        }
        let message = context.text_cut(&self.message, MAX_MESSAGE_CHARS)?;
        match answers.len() {
            0 => self.request(
                context,
                "POST",
                &base,
                &self.create(context, alias, message)?,
            ),
            1 => {
                let body = serde_json::json!({ "message": message });
                self.request(context, "PUT", &of_alert("message"), &body)
            }
            _ => {
                let body = serde_json::json!({ "description": context.text(&self.description)? });
                self.request(context, "PUT", &of_alert("description"), &body)
            }
        }
    }

    fn request(
        &self,
        context: &Context<'_>,
        method: &'static str,
        url: &str,
        body: &impl Serialize,
    ) -> Result<Step, String> {
        let key = context.secret(&self.api_key, &self.api_key_file)?;
        let key = context.text(&key)?;
        let mut request =
            context.post_json(url, body, self.http_config.as_ref(), Duration::ZERO)?;
        request.method = method;
        request
            .headers
            .push(("Authorization".to_owned(), format!("GenieKey {key}")));
        Ok(Step::Request(Box::new(request)))
    }

    fn create(
        &self,
        context: &Context<'_>,
        alias: String,
        message: String,
    ) -> Result<CreateAlert, String> {
        let text = |template: &String| context.text(template);
        let mut details: BTreeMap<String, String> = context
            .template_data(&context.notification.alerts)
            .common_labels()
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        for (name, value) in &self.details {
            details.insert(name.clone(), text(value)?);
        }
        let mut responders = Vec::new();
        for responder in &self.responders {
            let expanded = OpsGenieResponder {
                id: text(&responder.id)?,
                name: text(&responder.name)?,
                username: text(&responder.username)?,
                kind: text(&responder.kind)?,
            };
            if expanded.kind == "teams" {
                responders.extend(split_list(&expanded.name).into_iter().map(|name| {
                    OpsGenieResponder {
                        name,
                        kind: "team".to_owned(),
                        ..OpsGenieResponder::default()
                    }
                }));
            } else if expanded != OpsGenieResponder::default() {
                responders.push(expanded);
            }
        }
        Ok(CreateAlert {
            alias,
            message,
            description: text(&self.description)?,
            details,
            source: text(&self.source)?,
            responders,
            tags: split_list(&text(&self.tags)?),
            note: text(&self.note)?,
            priority: text(&self.priority)?,
            entity: text(&self.entity)?,
            actions: split_list(&text(&self.actions)?),
        })
    }
}

/// The parts between commas that are not empty.
fn split_list(text: &str) -> Vec<String> {
    text.trim()
        .split(',')
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

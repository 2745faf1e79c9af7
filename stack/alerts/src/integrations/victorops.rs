//! VictorOps (Splunk On-Call): the generic REST endpoint.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::http::HttpConfig;
use crate::config::receiver::integration;
use crate::config::values::{Secret, Url};
use crate::config::yaml::{at_most_one, block};
use crate::message::{Answer, Step, judge};
use crate::render::{Context, cut_chars};

block! {
    /// `victorops_configs`.
    VictorOpsConfig {
        send_resolved: bool = true,
        http_config: Option<HttpConfig> = None,
        api_key: Secret = Secret::default(),
        api_key_file: String = String::new(),
        api_url: Option<Url> = None,
        routing_key: String = String::new(),
        message_type: String = "CRITICAL".to_owned(),
        state_message: String = "{{ template \"victorops.default.state_message\" . }}".to_owned(),
        entity_display_name: String = "{{ template \"victorops.default.entity_display_name\" . }}".to_owned(),
        monitoring_tool: String = "{{ template \"victorops.default.monitoring_tool\" . }}".to_owned(),
        custom_fields: BTreeMap<String, String> = BTreeMap::new(),
    }
    check(victorops) {
        if victorops.routing_key.is_empty() {
            return Err("missing Routing key in VictorOps config".to_owned());
        }
        at_most_one(
            "api_key & api_key_file",
            &[!victorops.api_key.is_empty(), !victorops.api_key_file.is_empty()],
        )?;
        match RESERVED_FIELDS.iter().find(|name| victorops.custom_fields.contains_key(**name)) {
            Some(name) => Err(format!(
                "victorOps config contains custom field {name} which cannot be used as it conflicts with the fixed/static fields"
            )),
            None => Ok(()),
        }
    }
}

const RESERVED_FIELDS: [&str; 7] = [
    "routing_key",
    "message_type",
    "state_message",
    "entity_display_name",
    "monitoring_tool",
    "entity_id",
    "entity_state",
];

integration!(VictorOpsConfig, "victorops", |victorops, global| {
    let url = victorops
        .api_url
        .clone()
        .or_else(|| global.victorops_api_url.clone())
        .ok_or("no global VictorOps URL set")?;
    victorops.api_url = Some(url.with_slash());
    if victorops.api_key.is_empty() && victorops.api_key_file.is_empty() {
        victorops.api_key.clone_from(&global.victorops_api_key);
        victorops
            .api_key_file
            .clone_from(&global.victorops_api_key_file);
        if victorops.api_key.is_empty() && victorops.api_key_file.is_empty() {
            return Err("no global VictorOps API Key set".to_owned());
        }
    }
    Ok(())
});

/// VictorOps refuses longer messages.
const MAX_MESSAGE_CHARS: usize = 20_480;

impl VictorOpsConfig {
    fn advance(&self, context: &Context<'_>, answers: &[Answer]) -> Result<Step, String> {
        if let Some(answer) = answers.last() {
            return Ok(Step::Finished(judge(answer, &[], context.now)));
        }
        let message_type = context.text(&self.message_type)?;
        let message_type = if !context.notification.is_firing() {
            "RECOVERY"
        } else if matches!(message_type.as_str(), "INFO" | "WARNING" | "CRITICAL") {
            &message_type
        } else {
            "CRITICAL"
        };
        let mut message = BTreeMap::from([
            ("message_type".to_owned(), message_type.to_owned()),
            ("entity_id".to_owned(), context.group_hash()),
            (
                "entity_display_name".to_owned(),
                context.text(&self.entity_display_name)?,
            ),
            (
                "state_message".to_owned(),
                cut_chars(&context.text(&self.state_message)?, MAX_MESSAGE_CHARS),
            ),
            (
                "monitoring_tool".to_owned(),
                context.text(&self.monitoring_tool)?,
            ),
        ]);
        for (name, value) in &self.custom_fields {
            message.insert(name.clone(), context.text(value)?);
        }
        let key = context.secret(&self.api_key, &self.api_key_file)?;
        let base = self.api_url.as_ref().map_or("", Url::as_str);
        let url = format!("{base}{key}/{}", context.text(&self.routing_key)?);
        let request =
            context.post_json(&url, &message, self.http_config.as_ref(), Duration::ZERO)?;
        Ok(Step::Request(Box::new(request)))
    }
}

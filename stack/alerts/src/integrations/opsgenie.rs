//! Opsgenie: alert API v2.

use std::collections::BTreeMap;

use crate::config::http::HttpConfig;
use crate::config::receiver::integration;
use crate::config::values::{Secret, Url};
use crate::config::yaml::{at_most_one, block};

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

//! VictorOps (Splunk On-Call): the generic REST endpoint.

use std::collections::BTreeMap;

use crate::config::http::HttpConfig;
use crate::config::receiver::integration;
use crate::config::values::{Secret, Url};
use crate::config::yaml::{at_most_one, block};

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

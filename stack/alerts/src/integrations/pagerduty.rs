//! PagerDuty: events API v2 (`routing_key`) and v1 (`service_key`).

use std::collections::BTreeMap;

use serde_json::Value;

use crate::config::http::HttpConfig;
use crate::config::receiver::integration;
use crate::config::values::{GoDuration, Secret, Url};
use crate::config::yaml::{at_most_one, block};

block! {
    /// A link in the incident.
    PagerdutyLink {
        href: String = String::new(),
        text: String = String::new(),
    }
    check(_link) { Ok(()) }
}

block! {
    /// A picture in the incident.
    PagerdutyImage {
        src: String = String::new(),
        alt: String = String::new(),
        href: String = String::new(),
    }
    check(_image) { Ok(()) }
}

block! {
    /// `pagerduty_configs`.
    PagerdutyConfig {
        send_resolved: bool = true,
        http_config: Option<HttpConfig> = None,
        service_key: Secret = Secret::default(),
        service_key_file: String = String::new(),
        routing_key: Secret = Secret::default(),
        routing_key_file: String = String::new(),
        url: Option<Url> = None,
        client: String = "{{ template \"pagerduty.default.client\" . }}".to_owned(),
        client_url: String = "{{ template \"pagerduty.default.clientURL\" . }}".to_owned(),
        description: String = "{{ template \"pagerduty.default.description\" .}}".to_owned(),
        details: BTreeMap<String, Value> = BTreeMap::new(),
        images: Vec<PagerdutyImage> = Vec::new(),
        links: Vec<PagerdutyLink> = Vec::new(),
        source: String = String::new(),
        severity: String = String::new(),
        class: String = String::new(),
        component: String = String::new(),
        group: String = String::new(),
        timeout: GoDuration = GoDuration::default(),
    }
    check(pagerduty) {
        let routing = [!pagerduty.routing_key.is_empty(), !pagerduty.routing_key_file.is_empty()];
        let service = [!pagerduty.service_key.is_empty(), !pagerduty.service_key_file.is_empty()];
        if routing == [false, false] && service == [false, false] {
            return Err("missing service or routing key in PagerDuty config".to_owned());
        }
        at_most_one("routing_key & routing_key_file", &routing)?;
        at_most_one("service_key & service_key_file", &service)?;
        if pagerduty.source.is_empty() {
            pagerduty.source.clone_from(&pagerduty.client);
        }
        for (name, template) in DEFAULT_DETAILS {
            pagerduty
                .details
                .entry(name.to_owned())
                .or_insert_with(|| Value::String(template.to_owned()));
        }
        Ok(())
    }
}

/// The details that every event carries unless the configuration sets them otherwise.
const DEFAULT_DETAILS: [(&str, &str); 4] = [
    ("firing", "{{ .Alerts.Firing | toJson }}"),
    ("resolved", "{{ .Alerts.Resolved | toJson }}"),
    ("num_firing", "{{ .Alerts.Firing | len }}"),
    ("num_resolved", "{{ .Alerts.Resolved | len }}"),
];

integration!(PagerdutyConfig, "pagerduty", |pagerduty, global| {
    if pagerduty.url.is_none() {
        pagerduty.url.clone_from(&global.pagerduty_url);
    }
    match pagerduty.url {
        Some(_) => Ok(()),
        None => Err("no global PagerDuty URL set".to_owned()),
    }
});

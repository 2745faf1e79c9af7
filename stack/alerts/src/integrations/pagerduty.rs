//! PagerDuty: events API v2 (`routing_key`) and v1 (`service_key`).

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::config::http::HttpConfig;
use crate::config::receiver::integration;
use crate::config::values::{GoDuration, Secret, Url};
use crate::config::yaml::{at_most_one, block};
use crate::message::{Answer, Step, judge};
use crate::render::{Context, expand_value, is_empty};

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

#[derive(Serialize)]
struct Event {
    #[serde(skip_serializing_if = "is_empty")]
    routing_key: String,
    #[serde(skip_serializing_if = "is_empty")]
    service_key: String,
    #[serde(skip_serializing_if = "is_empty")]
    dedup_key: String,
    #[serde(skip_serializing_if = "is_empty")]
    incident_key: String,
    #[serde(skip_serializing_if = "is_empty")]
    event_type: String,
    #[serde(skip_serializing_if = "is_empty")]
    description: String,
    event_action: String,
    payload: Option<Payload>,
    #[serde(skip_serializing_if = "is_empty")]
    client: String,
    #[serde(skip_serializing_if = "is_empty")]
    client_url: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    details: BTreeMap<String, Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    images: Vec<EventImage>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    links: Vec<EventLink>,
}

#[derive(Serialize)]
struct Payload {
    summary: String,
    source: String,
    severity: String,
    #[serde(skip_serializing_if = "is_empty")]
    class: String,
    #[serde(skip_serializing_if = "is_empty")]
    component: String,
    #[serde(skip_serializing_if = "is_empty")]
    group: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    custom_details: BTreeMap<String, Value>,
}

#[derive(Serialize)]
struct EventImage {
    src: String,
    alt: String,
    href: String,
}

#[derive(Serialize)]
struct EventLink {
    href: String,
    text: String,
}

/// PagerDuty refuses larger events.
const MAX_EVENT_BYTES: usize = 512_000;
/// PagerDuty cuts longer summaries.
const MAX_SUMMARY_CHARS: usize = 1024;
/// Where events with a `service_key` go.
const V1_URL: &str = "https://events.pagerduty.com/generic/2010-04-15/create_event.json";

impl PagerdutyConfig {
    fn advance(&self, context: &Context<'_>, answers: &[Answer]) -> Result<Step, String> {
        let is_v1 = !self.service_key.is_empty() || !self.service_key_file.is_empty();
        if let Some(answer) = answers.last() {
            // Version 1 answers 403 where version 2 answers 429.
            let retry_codes: &[u16] = if is_v1 { &[403] } else { &[429] };
            return Ok(Step::Finished(judge(answer, retry_codes, context.now)));
        }
        let action = if context.notification.is_firing() {
            "trigger"
        } else {
            "resolve"
        };
        let (mut event, url) = if is_v1 {
            (self.event_v1(context, action)?, V1_URL)
        } else {
            let url = self.url.as_ref().map_or("", Url::as_str);
            (self.event_v2(context, action)?, url)
        };
        let (http, timeout) = (self.http_config.as_ref(), self.timeout.0);
        let mut request = context.post_json(url, &event, http, timeout)?;
        if request.body.len() > MAX_EVENT_BYTES {
            let removed = "Custom details have been removed because the original event exceeds the maximum size of 512KB";
            let error = BTreeMap::from([("error".to_owned(), Value::from(removed))]);
            match &mut event.payload {
                Some(payload) => payload.custom_details = error,
                None => event.details = error,
            }
            request = context.post_json(url, &event, http, timeout)?;
        }
        Ok(Step::Request(Box::new(request)))
    }

    fn details(&self, context: &Context<'_>) -> Result<BTreeMap<String, Value>, String> {
        self.details
            .iter()
            .map(|(name, value)| Ok((name.clone(), expand_value(context, value)?)))
            .collect::<Result<_, String>>()
            .map_err(|error| format!("failed to render details: {error}"))
    }

    fn event_v1(&self, context: &Context<'_>, action: &str) -> Result<Event, String> {
        let key = context.secret(&self.service_key, &self.service_key_file)?;
        let service_key = context.text(&key)?;
        if service_key.is_empty() {
            return Err("service key cannot be empty".to_owned());
        }
        let is_trigger = action == "trigger";
        let only_trigger = |template: &str| {
            if is_trigger {
                context.text(template)
            } else {
                Ok(String::new())
            }
        };
        Ok(Event {
            routing_key: String::new(),
            service_key,
            dedup_key: String::new(),
            incident_key: context.group_hash(),
            event_type: action.to_owned(),
            description: context.text_cut(&self.description, MAX_SUMMARY_CHARS)?,
            event_action: String::new(),
            payload: None,
            client: only_trigger(&self.client)?,
            client_url: only_trigger(&self.client_url)?,
            details: self.details(context)?,
            images: Vec::new(),
            links: Vec::new(),
        })
    }

    fn event_v2(&self, context: &Context<'_>, action: &str) -> Result<Event, String> {
        let key = context.secret(&self.routing_key, &self.routing_key_file)?;
        let routing_key = context.text(&key)?;
        if routing_key.is_empty() {
            return Err("routing key cannot be empty".to_owned());
        }
        let text = |template: &String| context.text(template);
        let severity = if self.severity.is_empty() {
            "error"
        } else {
            &self.severity
        };
        let mut images = Vec::new();
        for image in &self.images {
            images.push(EventImage {
                src: text(&image.src)?,
                alt: text(&image.alt)?,
                href: text(&image.href)?,
            });
        }
        images.retain(|image| !image.src.is_empty());
        let mut links = Vec::new();
        for link in &self.links {
            links.push(EventLink {
                href: text(&link.href)?,
                text: text(&link.text)?,
            });
        }
        links.retain(|link| !link.href.is_empty());
        Ok(Event {
            routing_key,
            service_key: String::new(),
            dedup_key: context.group_hash(),
            incident_key: String::new(),
            event_type: String::new(),
            description: String::new(),
            event_action: action.to_owned(),
            payload: Some(Payload {
                summary: context.text_cut(&self.description, MAX_SUMMARY_CHARS)?,
                source: text(&self.source)?,
                severity: context.text(severity)?,
                class: text(&self.class)?,
                component: text(&self.component)?,
                group: text(&self.group)?,
                custom_details: self.details(context)?,
            }),
            client: text(&self.client)?,
            client_url: text(&self.client_url)?,
            details: BTreeMap::new(),
            images,
            links,
        })
    }
}

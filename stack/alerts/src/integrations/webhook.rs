//! Webhook: Alertmanager's own JSON, version 4, to any address.

use gameday_signal::Labels;
use serde::Serialize;

use crate::config::http::HttpConfig;
use crate::config::receiver::integration;
use crate::config::values::{GoDuration, SecretTemplateUrl};
use crate::config::yaml::{at_most_one, block};
use crate::message::{Answer, Step, judge};
use crate::render::{Context, expand_value};
use crate::rfc3339;

block! {
    /// `webhook_configs`.
    WebhookConfig {
        send_resolved: bool = true,
        http_config: Option<HttpConfig> = None,
        url: SecretTemplateUrl = SecretTemplateUrl::default(),
        url_file: String = String::new(),
        max_alerts: u64 = 0,
        timeout: GoDuration = GoDuration::default(),
        payload: Option<serde_json::Value> = None,
    }
    check(webhook) {
        let given = [!webhook.url.is_empty(), !webhook.url_file.is_empty()];
        if given == [false, false] {
            return Err("one of url or url_file must be configured".to_owned());
        }
        at_most_one("url & url_file", &given)
    }
}

integration!(WebhookConfig, "webhook", |_webhook, _global| { Ok(()) });

/// Alertmanager's own message, version 4; incident.io takes the same as version 1.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Message<'a> {
    receiver: String,
    status: &'static str,
    pub(super) alerts: Vec<MessageAlert<'a>>,
    #[serde(rename = "notification_reason")]
    notification_reason: &'static str,
    group_labels: &'a Labels,
    common_labels: Labels,
    common_annotations: Labels,
    route_labels: Labels,
    #[serde(rename = "externalURL")]
    external_url: String,
    version: &'static str,
    group_key: &'a str,
    truncated_alerts: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MessageAlert<'a> {
    status: &'static str,
    labels: &'a Labels,
    annotations: &'a Labels,
    starts_at: String,
    ends_at: String,
    #[serde(rename = "generatorURL")]
    generator_url: &'a str,
    fingerprint: String,
}

impl<'a> Message<'a> {
    /// The message about the first `max_alerts` alerts; 0 is no limit.
    pub(super) fn new(context: &Context<'a>, version: &'static str, max_alerts: u64) -> Self {
        let all = &context.notification.alerts;
        let limit = usize::try_from(max_alerts).unwrap_or(usize::MAX);
        let taken = if limit == 0 {
            all.len()
        } else {
            limit.min(all.len())
        };
        let data = context.template_data(&all[..taken]);
        Self {
            status: data.status(),
            common_labels: data.common_labels(),
            common_annotations: data.common_annotations(),
            route_labels: context.route_labels().clone(),
            notification_reason: context.notification.reason.as_str(),
            receiver: data.receiver,
            external_url: data.external_url,
            alerts: all[..taken]
                .iter()
                .map(|alert| MessageAlert {
                    status: alert.status(),
                    labels: &alert.labels,
                    annotations: &alert.annotations,
                    starts_at: rfc3339::nano(alert.starts_at),
                    ends_at: alert
                        .ends_at
                        .map_or_else(|| rfc3339::ZERO.to_owned(), rfc3339::nano),
                    generator_url: &alert.generator_url,
                    fingerprint: format!("{:016x}", alert.labels.fingerprint()),
                })
                .collect(),
            group_labels: &context.notification.group_labels,
            version,
            group_key: &context.notification.group_key,
            truncated_alerts: all.len() - taken,
        }
    }
}

impl WebhookConfig {
    fn advance(&self, context: &Context<'_>, answers: &[Answer]) -> Result<Step, String> {
        if let Some(answer) = answers.last() {
            return Ok(Step::Finished(judge(answer, &[], context.now)));
        }
        let message = Message::new(context, "4", self.max_alerts);
        let context = &context.truncated(message.alerts.len());
        let url = context.text_or_file(self.url.reveal(), &self.url_file)?;
        let url = context
            .text(&url)
            .map_err(|error| format!("failed to template webhook URL: {error}"))?;
        if url.is_empty() {
            return Err("webhook URL is empty after templating".to_owned());
        }
        let (http, timeout) = (self.http_config.as_ref(), self.timeout.0);
        let request = match &self.payload {
            Some(payload) => {
                let payload = expand_value(context, payload)
                    .map_err(|error| format!("failed to render custom payload: {error}"))?;
                context.post_json(&url, &payload, http, timeout)?
            }
            None => context.post_json(&url, &message, http, timeout)?,
        };
        Ok(Step::Request(Box::new(request)))
    }
}

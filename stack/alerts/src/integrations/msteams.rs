//! Microsoft Teams: a MessageCard to an incoming webhook of a connector.

use std::time::Duration;

use serde::Serialize;

use crate::config::http::HttpConfig;
use crate::config::receiver::integration;
use crate::config::values::SecretUrl;
use crate::config::yaml::{at_most_one, block};
use crate::message::{Answer, Step, judge};
use crate::render::Context;

block! {
    /// `msteams_configs`.
    MsTeamsConfig {
        send_resolved: bool = true,
        http_config: Option<HttpConfig> = None,
        webhook_url: Option<SecretUrl> = None,
        webhook_url_file: String = String::new(),
        title: String = "{{ template \"msteams.default.title\" . }}".to_owned(),
        summary: String = "{{ template \"msteams.default.summary\" . }}".to_owned(),
        text: String = "{{ template \"msteams.default.text\" . }}".to_owned(),
    }
    check(msteams) { check_webhook_url(msteams.webhook_url.as_ref(), &msteams.webhook_url_file) }
}

/// Exactly one of `webhook_url` and `webhook_url_file`.
pub(super) fn check_webhook_url(url: Option<&SecretUrl>, file: &str) -> Result<(), String> {
    let given = [url.is_some(), !file.is_empty()];
    if given == [false, false] {
        return Err("one of webhook_url or webhook_url_file must be configured".to_owned());
    }
    at_most_one("webhook_url & webhook_url_file", &given)
}

integration!(MsTeamsConfig, "msteams", |_msteams, _global| { Ok(()) });

impl MsTeamsConfig {
    fn advance(&self, context: &Context<'_>, answers: &[Answer]) -> Result<Step, String> {
        if let Some(answer) = answers.last() {
            return Ok(Step::Finished(judge(answer, &[], context.now)));
        }
        let color = if context.notification.is_firing() {
            "8C1A1A"
        } else {
            "2DC72D"
        };
        let card = serde_json::json!({
            "@context": "http://schema.org/extensions",
            "type": "MessageCard",
            "title": context.text(&self.title)?,
            "summary": context.text(&self.summary)?,
            "text": context.text(&self.text)?,
            "themeColor": color,
        });
        post_to_webhook(
            context,
            self.webhook_url.as_ref(),
            &self.webhook_url_file,
            &card,
            self.http_config.as_ref(),
        )
    }
}

/// POSTs JSON to `webhook_url`, or to the address in the file.
pub(super) fn post_to_webhook(
    context: &Context<'_>,
    url: Option<&SecretUrl>,
    file: &str,
    body: &impl Serialize,
    http: Option<&HttpConfig>,
) -> Result<Step, String> {
    let url = context.text_or_file(url.map_or("", SecretUrl::reveal), file)?;
    let request = context.post_json(&url, body, http, Duration::ZERO)?;
    Ok(Step::Request(Box::new(request)))
}

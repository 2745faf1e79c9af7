//! Microsoft Teams: an adaptive card to a webhook of a workflow.

use super::msteams::{check_webhook_url, post_to_webhook};
use crate::config::http::HttpConfig;
use crate::config::receiver::integration;
use crate::config::values::SecretUrl;
use crate::config::yaml::block;
use crate::message::{Answer, Step, judge};
use crate::render::Context;

block! {
    /// `msteamsv2_configs`.
    MsTeamsV2Config {
        send_resolved: bool = true,
        http_config: Option<HttpConfig> = None,
        webhook_url: Option<SecretUrl> = None,
        webhook_url_file: String = String::new(),
        title: String = "{{ template \"msteamsv2.default.title\" . }}".to_owned(),
        text: String = "{{ template \"msteamsv2.default.text\" . }}".to_owned(),
    }
    check(msteams) { check_webhook_url(msteams.webhook_url.as_ref(), &msteams.webhook_url_file) }
}

integration!(MsTeamsV2Config, "msteamsv2", |msteams, global| {
    // A block of its own still takes the proxy from `global`.
    if let (Some(own), Some(global)) = (&mut msteams.http_config, &global.http_config)
        && own.proxy_url.is_empty()
    {
        own.proxy_url.clone_from(&global.proxy_url);
    }
    Ok(())
});

impl MsTeamsV2Config {
    fn advance(&self, context: &Context<'_>, answers: &[Answer]) -> Result<Step, String> {
        if let Some(answer) = answers.last() {
            return Ok(Step::Finished(judge(answer, &[], context.now)));
        }
        let color = if context.notification.is_firing() {
            "Attention"
        } else {
            "Good"
        };
        let card = serde_json::json!({
            "type": "message",
            "attachments": [{
                "contentType": "application/vnd.microsoft.card.adaptive",
                "contentUrl": null,
                "content": {
                    "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                    "type": "AdaptiveCard",
                    "version": "1.2",
                    "body": [
                        {
                            "type": "TextBlock",
                            "text": context.text(&self.title)?,
                            "weight": "Bolder",
                            "size": "Medium",
                            "wrap": true,
                            "style": "heading",
                            "color": color,
                        },
                        { "type": "TextBlock", "text": context.text(&self.text)?, "wrap": true },
                    ],
                    "msteams": { "width": "full" },
                },
            }],
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

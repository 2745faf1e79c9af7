//! Discord: an embed to a webhook of a channel.

use super::msteams::{check_webhook_url, post_to_webhook};
use crate::config::http::HttpConfig;
use crate::config::receiver::integration;
use crate::config::values::SecretUrl;
use crate::config::yaml::block;
use crate::message::{Answer, Step, judge};
use crate::render::Context;

block! {
    /// `discord_configs`.
    DiscordConfig {
        send_resolved: bool = true,
        http_config: Option<HttpConfig> = None,
        webhook_url: Option<SecretUrl> = None,
        webhook_url_file: String = String::new(),
        content: String = String::new(),
        title: String = "{{ template \"discord.default.title\" . }}".to_owned(),
        message: String = "{{ template \"discord.default.message\" . }}".to_owned(),
        username: String = String::new(),
        avatar_url: String = String::new(),
    }
    check(discord) { check_webhook_url(discord.webhook_url.as_ref(), &discord.webhook_url_file) }
}

integration!(DiscordConfig, "discord", |_discord, _global| { Ok(()) });

/// Discord refuses longer titles.
const MAX_TITLE_CHARS: usize = 256;
/// Discord refuses longer descriptions.
const MAX_DESCRIPTION_CHARS: usize = 4096;
/// Discord refuses longer contents.
const MAX_CONTENT_CHARS: usize = 2000;
/// The colours of the bar beside the message.
const RED: u32 = 0x99_2D22;
const GREEN: u32 = 0x2E_CC71;

impl DiscordConfig {
    fn advance(&self, context: &Context<'_>, answers: &[Answer]) -> Result<Step, String> {
        if let Some(answer) = answers.last() {
            return Ok(Step::Finished(judge(answer, &[], context.now)));
        }
        let color = if context.notification.is_firing() {
            RED
        } else {
            GREEN
        };
        let mut message = serde_json::json!({
            "content": context.text_cut(&self.content, MAX_CONTENT_CHARS)?,
            "embeds": [{
                "title": context.text_cut(&self.title, MAX_TITLE_CHARS)?,
                "description": context.text_cut(&self.message, MAX_DESCRIPTION_CHARS)?,
                "color": color,
            }],
        });
        for (name, value) in [
            ("username", &self.username),
            ("avatar_url", &self.avatar_url),
        ] {
            if !value.is_empty() {
                message[name] = value.as_str().into();
            }
        }
        post_to_webhook(
            context,
            self.webhook_url.as_ref(),
            &self.webhook_url_file,
            &message,
            self.http_config.as_ref(),
        )
    }
}

//! Discord: an embed to a webhook of a channel.

use super::msteams::check_webhook_url;
use crate::config::http::HttpConfig;
use crate::config::receiver::integration;
use crate::config::values::SecretUrl;
use crate::config::yaml::block;

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

//! Telegram: `sendMessage` of the bot API.

use crate::config::http::HttpConfig;
use crate::config::receiver::integration;
use crate::config::values::{Secret, Url};
use crate::config::yaml::{at_most_one, block};

block! {
    /// `telegram_configs`.
    TelegramConfig {
        send_resolved: bool = true,
        http_config: Option<HttpConfig> = None,
        api_url: Option<Url> = None,
        bot_token: Secret = Secret::default(),
        bot_token_file: String = String::new(),
        chat_id: i64 = 0,
        chat_id_file: String = String::new(),
        message_thread_id: i64 = 0,
        message: String = "{{ template \"telegram.default.message\" . }}".to_owned(),
        disable_notifications: bool = false,
        parse_mode: String = "HTML".to_owned(),
    }
    check(telegram) {
        at_most_one(
            "bot_token & bot_token_file",
            &[!telegram.bot_token.is_empty(), !telegram.bot_token_file.is_empty()],
        )?;
        let chat = [telegram.chat_id != 0, !telegram.chat_id_file.is_empty()];
        if chat == [false, false] {
            return Err("missing chat_id or chat_id_file on telegram_config".to_owned());
        }
        at_most_one("chat_id & chat_id_file", &chat)?;
        if !matches!(telegram.parse_mode.as_str(), "" | "Markdown" | "MarkdownV2" | "HTML") {
            return Err(
                "unknown parse_mode on telegram_config, must be Markdown, MarkdownV2, HTML or empty string".to_owned(),
            );
        }
        Ok(())
    }
}

integration!(TelegramConfig, "telegram", |telegram, global| {
    if telegram.api_url.is_none() {
        telegram.api_url.clone_from(&global.telegram_api_url);
    }
    if telegram.bot_token.is_empty() && telegram.bot_token_file.is_empty() {
        telegram.bot_token.clone_from(&global.telegram_bot_token);
        telegram
            .bot_token_file
            .clone_from(&global.telegram_bot_token_file);
        if telegram.bot_token.is_empty() && telegram.bot_token_file.is_empty() {
            return Err("missing bot_token or bot_token_file on telegram_config".to_owned());
        }
    }
    Ok(())
});

//! Telegram: `sendMessage` of the bot API.

use std::time::Duration;

use gameday_signal::Timestamp;
use serde::{Deserialize, Serialize};

use crate::config::http::HttpConfig;
use crate::config::receiver::integration;
use crate::config::values::{Secret, Url};
use crate::config::yaml::{at_most_one, block};
use crate::effect::Outcome;
use crate::message::{Answer, Step, judge};
use crate::render::Context;

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

/// The parameters of `sendMessage`, all of them texts, as the Go library sends them that Alertmanager uses.
#[derive(Serialize)]
struct SendMessage {
    chat_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    disable_notification: Option<&'static str>,
    disable_web_page_preview: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_thread_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parse_mode: Option<String>,
    text: String,
}

/// What Telegram answers.
#[derive(Default, Deserialize)]
#[serde(default)]
struct TelegramAnswer {
    ok: bool,
    description: String,
    parameters: TelegramParameters,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct TelegramParameters {
    retry_after: Option<u64>,
}

/// Telegram refuses longer messages.
const MAX_MESSAGE_CHARS: usize = 4096;
/// HTML cannot be cut without breaking it, so this is sent in its place.
const TOO_LONG: &str =
    "Alertmanager notification could not be sent: message length exceeds Telegram limits.
\t\t\tPlease check the template used for producing the message content.";

impl TelegramConfig {
    fn advance(&self, context: &Context<'_>, answers: &[Answer]) -> Result<Step, String> {
        if let Some(answer) = answers.last() {
            return Ok(Step::Finished(judge_telegram(answer, context.now)));
        }
        let text = if self.parse_mode == "HTML" {
            let text = context.html(&self.message)?;
            if text.chars().count() > MAX_MESSAGE_CHARS {
                TOO_LONG.to_owned()
            } else {
                text
            }
        } else {
            context.text_cut(&self.message, MAX_MESSAGE_CHARS)?
        };
        let chat_id = if self.chat_id_file.is_empty() {
            self.chat_id.to_string()
        } else {
            let content = context.text_or_file("", &self.chat_id_file)?;
            let id: i64 = content.parse().map_err(|_| {
                format!(
                    "could not parse chat_id from {}: {content:?}",
                    self.chat_id_file
                )
            })?;
            id.to_string()
        };
        let token = context.secret(&self.bot_token, &self.bot_token_file)?;
        let api_url = self
            .api_url
            .as_ref()
            .map_or("", Url::as_str)
            .trim_end_matches('/');
        let message = SendMessage {
            chat_id,
            disable_notification: self.disable_notifications.then_some("true"),
            disable_web_page_preview: "true",
            message_thread_id: (self.message_thread_id != 0)
                .then(|| self.message_thread_id.to_string()),
            parse_mode: Some(self.parse_mode.clone()).filter(|mode| !mode.is_empty()),
            text,
        };
        let request = context.post_json(
            &format!("{api_url}/bot{token}/sendMessage"),
            &message,
            self.http_config.as_ref(),
            Duration::ZERO,
        )?;
        Ok(Step::Request(Box::new(request)))
    }
}

fn judge_telegram(answer: &Answer, now: Timestamp) -> Outcome {
    let told: TelegramAnswer = serde_json::from_slice(&answer.body).unwrap_or_default();
    let retry_after = told.parameters.retry_after.map(Duration::from_secs);
    match judge(answer, &[], now) {
        Outcome::Delivered | Outcome::DeliveredAs { .. } if told.ok => Outcome::Delivered,
        Outcome::Delivered | Outcome::DeliveredAs { .. } => Outcome::Failed {
            error: format!("telegram: {}", answer.excerpt()),
        },
        Outcome::Retry { after, error } => Outcome::Retry {
            after: retry_after.or(after),
            error,
        },
        Outcome::Failed { error } if told.description.is_empty() => Outcome::Failed { error },
        Outcome::Failed { .. } => Outcome::Failed {
            error: format!("telegram: {} ({})", told.description, answer.status),
        },
    }
}

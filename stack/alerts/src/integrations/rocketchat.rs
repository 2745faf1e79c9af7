//! Rocket.Chat: `chat.postMessage`.

use std::time::Duration;

use gameday_signal::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::config::http::HttpConfig;
use crate::config::receiver::integration;
use crate::config::values::{Secret, Url};
use crate::config::yaml::{at_most_one, block};
use crate::effect::Outcome;
use crate::message::{Answer, Step, judge};
use crate::render::{Context, is_empty};

block! {
    /// A title with a value.
    RocketchatField {
        short: Option<bool> = None,
        title: String = String::new(),
        value: String = String::new(),
    }
    check(_field) { Ok(()) }
}

block! {
    /// A button below the message.
    RocketchatAction {
        #[serde(rename = "type")]
        kind: String = String::new(),
        text: String = String::new(),
        url: String = String::new(),
        imageurl: String = String::new(),
        iswebview: bool = false,
        webviewheightratio: String = String::new(),
        msg: String = String::new(),
        msginchatwindow: bool = false,
        msgprocessingtype: String = String::new(),
    }
    check(_action) { Ok(()) }
}

block! {
    /// `rocketchat_configs`.
    RocketchatConfig {
        send_resolved: bool = false,
        http_config: Option<HttpConfig> = None,
        api_url: Option<Url> = None,
        token_id: Secret = Secret::default(),
        token_id_file: String = String::new(),
        token: Secret = Secret::default(),
        token_file: String = String::new(),
        channel: String = String::new(),
        color: String = "{{ if eq .Status \"firing\" }}red{{ else }}green{{ end }}".to_owned(),
        title: String = "{{ template \"rocketchat.default.title\" . }}".to_owned(),
        title_link: String = "{{ template \"rocketchat.default.titlelink\" . }}".to_owned(),
        text: String = "{{ template \"rocketchat.default.text\" . }}".to_owned(),
        fields: Vec<RocketchatField> = Vec::new(),
        short_fields: bool = false,
        emoji: String = "{{ template \"rocketchat.default.emoji\" . }}".to_owned(),
        icon_url: String = "{{ template \"rocketchat.default.iconurl\" . }}".to_owned(),
        image_url: String = String::new(),
        thumb_url: String = String::new(),
        link_names: bool = false,
        actions: Vec<RocketchatAction> = Vec::new(),
    }
    check(rocketchat) {
        at_most_one("token & token_file", &[!rocketchat.token.is_empty(), !rocketchat.token_file.is_empty()])?;
        at_most_one(
            "token_id & token_id_file",
            &[!rocketchat.token_id.is_empty(), !rocketchat.token_id_file.is_empty()],
        )
    }
}

integration!(RocketchatConfig, "rocketchat", |rocketchat, global| {
    if rocketchat.api_url.is_none() {
        rocketchat.api_url.clone_from(&global.rocketchat_api_url);
    }
    if rocketchat.token_id.is_empty() && rocketchat.token_id_file.is_empty() {
        rocketchat.token_id.clone_from(&global.rocketchat_token_id);
        rocketchat
            .token_id_file
            .clone_from(&global.rocketchat_token_id_file);
        if rocketchat.token_id.is_empty() && rocketchat.token_id_file.is_empty() {
            return Err("no global Rocketchat TokenID set either inline or in a file".to_owned());
        }
    }
    if rocketchat.token.is_empty() && rocketchat.token_file.is_empty() {
        rocketchat.token.clone_from(&global.rocketchat_token);
        rocketchat
            .token_file
            .clone_from(&global.rocketchat_token_file);
        if rocketchat.token.is_empty() && rocketchat.token_file.is_empty() {
            return Err("no global Rocketchat Token set either inline or in a file".to_owned());
        }
    }
    Ok(())
});

#[derive(Serialize)]
struct Message {
    #[serde(skip_serializing_if = "is_empty")]
    channel: String,
    #[serde(skip_serializing_if = "is_empty")]
    emoji: String,
    #[serde(skip_serializing_if = "is_empty")]
    avatar: String,
    attachments: [Attachment; 1],
}

#[derive(Serialize)]
struct Attachment {
    #[serde(skip_serializing_if = "is_empty")]
    title: String,
    #[serde(skip_serializing_if = "is_empty")]
    title_link: String,
    #[serde(skip_serializing_if = "is_empty")]
    text: String,
    #[serde(skip_serializing_if = "is_empty")]
    image_url: String,
    #[serde(skip_serializing_if = "is_empty")]
    thumb_url: String,
    #[serde(skip_serializing_if = "is_empty")]
    color: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fields: Vec<RocketchatField>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    actions: Vec<Value>,
}

/// The public server, unless the configuration names another.
const DEFAULT_API_URL: &str = "https://open.rocket.chat/";
/// Rocket.Chat cuts longer titles.
const MAX_TITLE_CHARS: usize = 1024;

impl RocketchatConfig {
    fn advance(&self, context: &Context<'_>, answers: &[Answer]) -> Result<Step, String> {
        if let Some(answer) = answers.last() {
            return Ok(Step::Finished(judge_rocketchat(answer, context.now)));
        }
        let text = |template: &String| context.text(template);
        let mut fields = Vec::new();
        for field in &self.fields {
            fields.push(RocketchatField {
                short: Some(field.short.unwrap_or(self.short_fields)),
                title: text(&field.title)?,
                value: text(&field.value)?,
            });
        }
        let mut actions = Vec::new();
        for action in &self.actions {
            // Rocket.Chat knows no other type.
            actions.push(serde_json::json!({
                "type": "button",
                "text": text(&action.text)?,
                "url": text(&action.url)?,
                "msg": text(&action.msg)?,
            }));
        }
        let message = Message {
            channel: text(&self.channel)?,
            emoji: text(&self.emoji)?,
            avatar: text(&self.icon_url)?,
            attachments: [Attachment {
                title: context.text_cut(&self.title, MAX_TITLE_CHARS)?,
                title_link: text(&self.title_link)?,
                text: text(&self.text)?,
                image_url: text(&self.image_url)?,
                thumb_url: text(&self.thumb_url)?,
                color: text(&self.color)?,
                fields,
                actions,
            }],
        };
        let base = self
            .api_url
            .as_ref()
            .map_or(DEFAULT_API_URL, Url::as_str)
            .trim_end_matches('/');
        let url = format!("{base}/api/v1/chat.postMessage");
        let mut request =
            context.post_json(&url, &message, self.http_config.as_ref(), Duration::ZERO)?;
        let token = context.secret(&self.token, &self.token_file)?;
        let user = context.secret(&self.token_id, &self.token_id_file)?;
        request.headers.push(("X-Auth-Token".to_owned(), token));
        request.headers.push(("X-User-Id".to_owned(), user));
        Ok(Step::Request(Box::new(request)))
    }
}

/// Rocket.Chat answers errors with status 200 too.
fn judge_rocketchat(answer: &Answer, now: Timestamp) -> Outcome {
    let outcome = judge(answer, &[], now);
    if outcome != Outcome::Delivered {
        return outcome;
    }
    match serde_json::from_slice::<Value>(&answer.body) {
        Ok(told) if told["success"] == Value::Bool(true) => Outcome::Delivered,
        Ok(told) => Outcome::Failed {
            error: format!(
                "error response from Rocketchat: {}",
                told["error"].as_str().unwrap_or_default()
            ),
        },
        Err(_) => Outcome::Retry {
            after: None,
            error: format!("could not unmarshal JSON response {:?}", answer.excerpt()),
        },
    }
}

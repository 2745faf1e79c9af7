//! Slack: incoming webhooks and `chat.postMessage`.

use gameday_signal::Timestamp;
use serde::{Deserialize, Serialize};

use crate::config::global::SLACK_POST_MESSAGE;
use crate::config::http::HttpConfig;
use crate::config::receiver::integration;
use crate::config::values::{GoDuration, NewFlag, Secret, SecretUrl, Url};
use crate::config::yaml::{at_most_one, block};
use crate::effect::Outcome;
use crate::message::{Answer, Step, judge};
use crate::render::{Context, is_empty, is_false};

block! {
    /// The question that is asked before an action is taken.
    SlackConfirmation {
        text: String = String::new(),
        title: String = String::new(),
        ok_text: String = String::new(),
        dismiss_text: String = String::new(),
    }
    check(confirmation) {
        if confirmation.text.is_empty() {
            return Err("missing text in Slack confirmation configuration".to_owned());
        }
        Ok(())
    }
}

block! {
    /// A button or link below the message.
    SlackAction {
        #[serde(rename = "type")]
        kind: String = String::new(),
        text: String = String::new(),
        url: String = String::new(),
        style: String = String::new(),
        name: String = String::new(),
        value: String = String::new(),
        confirm: Option<SlackConfirmation> = None,
    }
    check(action) {
        if action.kind.is_empty() {
            return Err("missing type in Slack action configuration".to_owned());
        }
        if action.text.is_empty() {
            return Err("missing text in Slack action configuration".to_owned());
        }
        if !action.url.is_empty() {
            // A link needs nothing of what a button has.
            action.name.clear();
            action.value.clear();
            action.confirm = None;
        } else if action.name.is_empty() {
            return Err("missing name or url in Slack action configuration".to_owned());
        }
        Ok(())
    }
}

block! {
    /// A title with a value, side by side with its neighbour when it is short.
    SlackField {
        title: String = String::new(),
        value: String = String::new(),
        short: Option<bool> = None,
    }
    check(field) {
        if field.title.is_empty() {
            return Err("missing title in Slack field configuration".to_owned());
        }
        if field.value.is_empty() {
            return Err("missing value in Slack field configuration".to_owned());
        }
        Ok(())
    }
}

block! {
    /// `slack_configs`.
    SlackConfig {
        send_resolved: bool = false,
        http_config: Option<HttpConfig> = None,
        api_url: Option<SecretUrl> = None,
        api_url_file: String = String::new(),
        app_token: Secret = Secret::default(),
        app_token_file: String = String::new(),
        app_url: Option<Url> = None,
        channel: String = String::new(),
        username: String = "{{ template \"slack.default.username\" . }}".to_owned(),
        color: String = "{{ template \"slack.default.color\" . }}".to_owned(),
        title: String = "{{ template \"slack.default.title\" . }}".to_owned(),
        title_link: String = "{{ template \"slack.default.titlelink\" . }}".to_owned(),
        pretext: String = "{{ template \"slack.default.pretext\" . }}".to_owned(),
        text: String = "{{ template \"slack.default.text\" . }}".to_owned(),
        message_text: String = String::new(),
        fields: Vec<SlackField> = Vec::new(),
        short_fields: bool = false,
        footer: String = "{{ template \"slack.default.footer\" . }}".to_owned(),
        fallback: String = "{{ template \"slack.default.fallback\" . }}".to_owned(),
        callback_id: String = "{{ template \"slack.default.callbackid\" . }}".to_owned(),
        icon_emoji: String = "{{ template \"slack.default.iconemoji\" . }}".to_owned(),
        icon_url: String = "{{ template \"slack.default.iconurl\" . }}".to_owned(),
        image_url: String = String::new(),
        thumb_url: String = String::new(),
        link_names: bool = false,
        mrkdwn_in: Vec<String> = Vec::new(),
        actions: Vec<SlackAction> = Vec::new(),
        update_message: NewFlag = NewFlag(false),
        timeout: GoDuration = GoDuration::default(),
    }
    check(slack) {
        let has_url = slack.api_url.is_some();
        let has_url_file = !slack.api_url_file.is_empty();
        let has_token = !slack.app_token.is_empty();
        let has_token_file = !slack.app_token_file.is_empty();
        at_most_one("api_url & api_url_file", &[has_url, has_url_file])?;
        at_most_one("app_token & app_token_file", &[has_token, has_token_file])?;
        at_most_one(
            "api_url/api_url_file & app_token/app_token_file",
            &[has_url || has_url_file, has_token || has_token_file],
        )?;
        let address = slack.api_url.as_ref().map(SecretUrl::reveal);
        if slack.update_message.0 && address != Some(SLACK_POST_MESSAGE) {
            return Err(format!(
                "update_message can only be used with bot tokens. api_url must be set to {SLACK_POST_MESSAGE}"
            ));
        }
        Ok(())
    }
}

integration!(SlackConfig, "slack", |slack, global| {
    if slack.app_url.is_none() {
        slack.app_url.clone_from(&global.slack_app_url);
    }
    let has_own_authorization = slack.http_config.as_ref().is_some_and(|http| {
        http.authorization.is_some() && Some(http) != global.http_config.as_ref()
    });
    let has_own_token = !slack.app_token.is_empty() || !slack.app_token_file.is_empty();
    if !has_own_token && !has_own_authorization && slack.api_url.is_none() {
        slack.app_token.clone_from(&global.slack_app_token);
        slack
            .app_token_file
            .clone_from(&global.slack_app_token_file);
    }
    let has_token = !slack.app_token.is_empty() || !slack.app_token_file.is_empty();
    if slack.api_url.is_none() && slack.api_url_file.is_empty() && !has_token {
        slack.api_url.clone_from(&global.slack_api_url);
        slack.api_url_file.clone_from(&global.slack_api_url_file);
    }
    if slack.api_url.is_none() && slack.api_url_file.is_empty() && !has_token {
        return Err("no Slack API URL nor App token set either inline or in a file".to_owned());
    }
    let is_authorized = slack
        .http_config
        .as_ref()
        .is_some_and(|http| http.authorization.is_some());
    if has_token && is_authorized {
        return Err("http authorization can't be set when using Slack App tokens".to_owned());
    }
    Ok(())
});

#[derive(Serialize)]
struct Message {
    #[serde(skip_serializing_if = "is_empty")]
    channel: String,
    #[serde(skip_serializing_if = "is_empty")]
    ts: String,
    #[serde(skip_serializing_if = "is_empty")]
    username: String,
    #[serde(skip_serializing_if = "is_empty")]
    icon_emoji: String,
    #[serde(skip_serializing_if = "is_empty")]
    icon_url: String,
    #[serde(skip_serializing_if = "is_false")]
    link_names: bool,
    #[serde(skip_serializing_if = "is_empty")]
    text: String,
    attachments: [Attachment; 1],
}

#[derive(Serialize)]
struct Attachment {
    #[serde(skip_serializing_if = "is_empty")]
    title: String,
    #[serde(skip_serializing_if = "is_empty")]
    title_link: String,
    #[serde(skip_serializing_if = "is_empty")]
    pretext: String,
    text: String,
    fallback: String,
    callback_id: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fields: Vec<SlackField>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    actions: Vec<SlackAction>,
    #[serde(skip_serializing_if = "is_empty")]
    image_url: String,
    #[serde(skip_serializing_if = "is_empty")]
    thumb_url: String,
    footer: String,
    #[serde(skip_serializing_if = "is_empty")]
    color: String,
    mrkdwn_in: Vec<String>,
}

/// What Slack answers in JSON; a webhook answers the text `ok`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct SlackAnswer {
    ok: bool,
    error: String,
    channel: String,
    ts: String,
}

/// Where a message is changed that was sent before.
const SLACK_UPDATE: &str = "https://slack.com/api/chat.update";

/// Slack cuts longer titles.
const MAX_TITLE_CHARS: usize = 1024;

impl SlackConfig {
    fn advance(&self, context: &Context<'_>, answers: &[Answer]) -> Result<Step, String> {
        if let Some(answer) = answers.last() {
            let outcome = judge_slack(answer, &context.text(&self.channel)?, context.now);
            return Ok(Step::Finished(match receipt_of(answer) {
                Some(receipt) if self.update_message.0 && outcome == Outcome::Delivered => {
                    Outcome::DeliveredAs { receipt }
                }
                _ => outcome,
            }));
        }
        let mut message = self.message(context)?;
        let token = context.secret(&self.app_token, &self.app_token_file)?;
        let url = match &self.api_url {
            _ if !token.is_empty() => self
                .app_url
                .as_ref()
                .map_or(SLACK_POST_MESSAGE, Url::as_str)
                .to_owned(),
            Some(url) => url.reveal().to_owned(),
            None => context.text_or_file("", &self.api_url_file)?,
        };
        let mut url = url;
        let receipt = context.notification.receipt.as_deref().unwrap_or_default();
        if let Some((channel, ts)) = receipt.split_once(' ')
            && self.update_message.0
        {
            SLACK_UPDATE.clone_into(&mut url);
            channel.clone_into(&mut message.channel);
            ts.clone_into(&mut message.ts);
        }
        let http = self.http_config.as_ref();
        let mut request = context.post_json(&url, &message, http, self.timeout.0)?;
        if !token.is_empty() {
            let header = ("Authorization".to_owned(), format!("Bearer {token}"));
            request.headers.push(header);
        }
        Ok(Step::Request(Box::new(request)))
    }

    fn message(&self, context: &Context<'_>) -> Result<Message, String> {
        let text = |template: &String| context.text(template);
        let mrkdwn_in = if self.mrkdwn_in.is_empty() {
            ["fallback", "pretext", "text"].map(str::to_owned).to_vec()
        } else {
            self.mrkdwn_in.clone()
        };
        let fields = self.fields.iter().map(|field| {
            Ok(SlackField {
                title: text(&field.title)?,
                value: text(&field.value)?,
                short: Some(field.short.unwrap_or(self.short_fields)),
            })
        });
        let actions = self
            .actions
            .iter()
            .map(|action| expand_action(action, context));
        Ok(Message {
            channel: text(&self.channel)?,
            ts: String::new(),
            username: text(&self.username)?,
            icon_emoji: text(&self.icon_emoji)?,
            icon_url: text(&self.icon_url)?,
            link_names: self.link_names,
            text: text(&self.message_text)?,
            attachments: [Attachment {
                title: context.text_cut(&self.title, MAX_TITLE_CHARS)?,
                title_link: text(&self.title_link)?,
                pretext: text(&self.pretext)?,
                text: text(&self.text)?,
                fallback: text(&self.fallback)?,
                callback_id: text(&self.callback_id)?,
                fields: fields.collect::<Result<_, String>>()?,
                actions: actions.collect::<Result<_, String>>()?,
                image_url: text(&self.image_url)?,
                thumb_url: text(&self.thumb_url)?,
                footer: text(&self.footer)?,
                color: text(&self.color)?,
                mrkdwn_in,
            }],
        })
    }
}

fn expand_action(action: &SlackAction, context: &Context<'_>) -> Result<SlackAction, String> {
    let text = |template: &String| context.text(template);
    let confirm = match &action.confirm {
        Some(confirm) => Some(SlackConfirmation {
            text: text(&confirm.text)?,
            title: text(&confirm.title)?,
            ok_text: text(&confirm.ok_text)?,
            dismiss_text: text(&confirm.dismiss_text)?,
        }),
        None => None,
    };
    Ok(SlackAction {
        kind: text(&action.kind)?,
        text: text(&action.text)?,
        url: text(&action.url)?,
        style: text(&action.style)?,
        name: text(&action.name)?,
        value: text(&action.value)?,
        confirm,
    })
}

/// How Slack named the message: its channel and time.
fn receipt_of(answer: &Answer) -> Option<String> {
    let told: SlackAnswer = serde_json::from_slice(&answer.body).ok()?;
    (!told.channel.is_empty() && !told.ts.is_empty())
        .then(|| format!("{} {}", told.channel, told.ts))
}

/// Slack answers errors with status 200 too.
fn judge_slack(answer: &Answer, channel: &str, now: Timestamp) -> Outcome {
    let in_channel = |error: String| format!("channel {channel:?}: {error}");
    match judge(answer, &[], now) {
        Outcome::Delivered | Outcome::DeliveredAs { .. } => {}
        Outcome::Retry { after, error } => {
            return Outcome::Retry {
                after,
                error: in_channel(error),
            };
        }
        Outcome::Failed { error } => {
            return Outcome::Failed {
                error: in_channel(error),
            };
        }
    }
    let is_json = answer
        .header("Content-Type")
        .is_some_and(|kind| kind.starts_with("application/json"));
    if !is_json {
        return if answer.body == b"ok" {
            Outcome::Delivered
        } else {
            Outcome::Failed {
                error: in_channel(format!(
                    "received an error response from Slack: {}",
                    answer.excerpt()
                )),
            }
        };
    }
    match serde_json::from_slice::<SlackAnswer>(&answer.body) {
        Ok(SlackAnswer { ok: true, .. }) => Outcome::Delivered,
        Ok(SlackAnswer { error, .. }) => Outcome::Failed {
            error: in_channel(format!("error response from Slack: {error}")),
        },
        Err(_) => Outcome::Retry {
            after: None,
            error: in_channel(format!(
                "could not unmarshal JSON response {:?}",
                answer.excerpt()
            )),
        },
    }
}

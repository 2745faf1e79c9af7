//! Mattermost: an incoming webhook.

use serde::Serialize;

use super::msteams::post_to_webhook;

use crate::config::http::HttpConfig;
use crate::config::receiver::integration;
use crate::config::values::SecretUrl;
use crate::config::yaml::{at_most_one, block};
use crate::message::{Answer, Step, judge};
use crate::render::{Context, cut_chars, is_empty};

block! {
    /// A title with a value.
    MattermostField {
        title: String = String::new(),
        value: String = String::new(),
        short: Option<bool> = None,
    }
    check(field) {
        if field.title.is_empty() {
            return Err("missing title in Mattermost field configuration".to_owned());
        }
        if field.value.is_empty() {
            return Err("missing value in Mattermost field configuration".to_owned());
        }
        Ok(())
    }
}

block! {
    /// A further attachment of the message.
    MattermostAttachment {
        fallback: String = String::new(),
        color: String = String::new(),
        pretext: String = String::new(),
        text: String = String::new(),
        author_name: String = String::new(),
        author_link: String = String::new(),
        author_icon: String = String::new(),
        title: String = String::new(),
        title_link: String = String::new(),
        fields: Vec<MattermostField> = Vec::new(),
        thumb_url: String = String::new(),
        footer: String = String::new(),
        footer_icon: String = String::new(),
        image_url: String = String::new(),
    }
    check(_attachment) { Ok(()) }
}

block! {
    /// What is shown beside the message.
    MattermostProps {
        card: String = String::new(),
    }
    check(_props) { Ok(()) }
}

block! {
    /// How urgent the message is.
    MattermostPriority {
        priority: String = String::new(),
        requested_ack: bool = false,
        persistent_notifications: bool = false,
    }
    check(_priority) { Ok(()) }
}

block! {
    /// `mattermost_configs`.
    MattermostConfig {
        send_resolved: bool = true,
        http_config: Option<HttpConfig> = None,
        webhook_url: Option<SecretUrl> = None,
        webhook_url_file: String = String::new(),
        channel: String = String::new(),
        username: String = "{{ template \"mattermost.default.username\" . }}".to_owned(),
        text: String = "{{ template \"mattermost.default.text\" . }}".to_owned(),
        fallback: String = "{{ template \"mattermost.default.fallback\" . }}".to_owned(),
        color: String = "{{ template \"mattermost.default.color\" . }}".to_owned(),
        pretext: String = String::new(),
        author_name: String = String::new(),
        author_link: String = String::new(),
        author_icon: String = String::new(),
        title: String = "{{ template \"mattermost.default.title\" . }}".to_owned(),
        title_link: String = "{{ template \"mattermost.default.titlelink\" . }}".to_owned(),
        fields: Vec<MattermostField> = Vec::new(),
        thumb_url: String = String::new(),
        footer: String = String::new(),
        footer_icon: String = String::new(),
        image_url: String = String::new(),
        icon_url: String = String::new(),
        icon_emoji: String = String::new(),
        attachments: Vec<MattermostAttachment> = Vec::new(),
        #[serde(rename = "type")]
        kind: String = String::new(),
        props: Option<MattermostProps> = None,
        priority: Option<MattermostPriority> = None,
    }
    check(mattermost) {
        at_most_one(
            "webhook_url & webhook_url_file",
            &[mattermost.webhook_url.is_some(), !mattermost.webhook_url_file.is_empty()],
        )
    }
}

integration!(MattermostConfig, "mattermost", |mattermost, global| {
    if mattermost.webhook_url.is_none() && mattermost.webhook_url_file.is_empty() {
        mattermost
            .webhook_url
            .clone_from(&global.mattermost_webhook_url);
        mattermost
            .webhook_url_file
            .clone_from(&global.mattermost_webhook_url_file);
        if mattermost.webhook_url.is_none() && mattermost.webhook_url_file.is_empty() {
            return Err("missing webhook_url or webhook_url_file on mattermost_config".to_owned());
        }
    }
    Ok(())
});

#[derive(Serialize)]
struct Message {
    #[serde(skip_serializing_if = "is_empty")]
    text: String,
    #[serde(skip_serializing_if = "is_empty")]
    channel: String,
    #[serde(skip_serializing_if = "is_empty")]
    username: String,
    #[serde(skip_serializing_if = "is_empty")]
    icon_url: String,
    #[serde(skip_serializing_if = "is_empty")]
    icon_emoji: String,
    attachments: Vec<MattermostAttachment>,
    #[serde(rename = "type", skip_serializing_if = "is_empty")]
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    props: Option<MattermostProps>,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<MattermostPriority>,
}

/// Mattermost refuses longer texts.
const MAX_TEXT_CHARS: usize = 16_383;

impl MattermostConfig {
    fn advance(&self, context: &Context<'_>, answers: &[Answer]) -> Result<Step, String> {
        if let Some(answer) = answers.last() {
            return Ok(Step::Finished(judge(answer, &[], context.now)));
        }
        let text = |template: &String| context.text(template);
        let (message_text, attachments) = if self.attachments.is_empty() {
            // The keys of the block itself make the one attachment.
            (
                String::new(),
                vec![expand_attachment(&self.own_attachment(), context)?],
            )
        } else {
            let attachments = self
                .attachments
                .iter()
                .map(|attachment| expand_attachment(attachment, context))
                .collect::<Result<_, String>>()?;
            (cut_chars(&text(&self.text)?, MAX_TEXT_CHARS), attachments)
        };
        let props = match &self.props {
            Some(props) if !props.card.is_empty() => Some(MattermostProps {
                card: text(&props.card)?,
            }),
            _ => None,
        };
        let message = Message {
            text: message_text,
            channel: text(&self.channel)?,
            username: text(&self.username)?,
            icon_url: text(&self.icon_url)?,
            icon_emoji: text(&self.icon_emoji)?,
            attachments,
            kind: text(&self.kind)?,
            props,
            priority: self.priority(context)?,
        };
        post_to_webhook(
            context,
            self.webhook_url.as_ref(),
            &self.webhook_url_file,
            &message,
            self.http_config.as_ref(),
        )
    }

    fn own_attachment(&self) -> MattermostAttachment {
        MattermostAttachment {
            fallback: self.fallback.clone(),
            color: self.color.clone(),
            pretext: self.pretext.clone(),
            text: self.text.clone(),
            author_name: self.author_name.clone(),
            author_link: self.author_link.clone(),
            author_icon: self.author_icon.clone(),
            title: self.title.clone(),
            title_link: self.title_link.clone(),
            fields: self.fields.clone(),
            thumb_url: self.thumb_url.clone(),
            footer: self.footer.clone(),
            footer_icon: self.footer_icon.clone(),
            image_url: self.image_url.clone(),
        }
    }

    /// The priority, without what Mattermost does not allow for it.
    fn priority(&self, context: &Context<'_>) -> Result<Option<MattermostPriority>, String> {
        let Some(written) = self
            .priority
            .as_ref()
            .filter(|own| !own.priority.is_empty())
        else {
            return Ok(None);
        };
        let expanded = context.text(&written.priority)?.to_lowercase();
        let level = match expanded.as_str() {
            "urgent" | "important" => expanded,
            _ => "standard".to_owned(),
        };
        Ok(Some(MattermostPriority {
            requested_ack: written.requested_ack && level != "standard",
            persistent_notifications: written.persistent_notifications && level == "urgent",
            priority: level,
        }))
    }
}

fn expand_attachment(
    attachment: &MattermostAttachment,
    context: &Context<'_>,
) -> Result<MattermostAttachment, String> {
    let text = |template: &String| context.text(template);
    let mut fields = Vec::new();
    for field in &attachment.fields {
        fields.push(MattermostField {
            title: text(&field.title)?,
            value: text(&field.value)?,
            short: field.short,
        });
    }
    Ok(MattermostAttachment {
        fallback: text(&attachment.fallback)?,
        color: text(&attachment.color)?,
        pretext: text(&attachment.pretext)?,
        text: text(&attachment.text)?,
        author_name: text(&attachment.author_name)?,
        author_link: text(&attachment.author_link)?,
        author_icon: text(&attachment.author_icon)?,
        title: text(&attachment.title)?,
        title_link: text(&attachment.title_link)?,
        fields,
        thumb_url: text(&attachment.thumb_url)?,
        footer: text(&attachment.footer)?,
        footer_icon: text(&attachment.footer_icon)?,
        image_url: text(&attachment.image_url)?,
    })
}

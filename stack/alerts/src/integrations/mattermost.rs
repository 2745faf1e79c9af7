//! Mattermost: an incoming webhook.

use crate::config::http::HttpConfig;
use crate::config::receiver::integration;
use crate::config::values::SecretUrl;
use crate::config::yaml::{at_most_one, block};

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

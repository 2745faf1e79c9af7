//! Slack: incoming webhooks and `chat.postMessage`.

use crate::config::global::SLACK_POST_MESSAGE;
use crate::config::http::HttpConfig;
use crate::config::receiver::integration;
use crate::config::values::{GoDuration, Secret, SecretUrl, Url};
use crate::config::yaml::{at_most_one, block};

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
        update_message: bool = false,
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
        if slack.update_message && address != Some(SLACK_POST_MESSAGE) {
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
    if slack.app_url.is_none() {
        return Err("no global Slack App URL set".to_owned());
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

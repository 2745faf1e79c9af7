//! Rocket.Chat: `chat.postMessage`.

use crate::config::http::HttpConfig;
use crate::config::receiver::integration;
use crate::config::values::{Secret, Url};
use crate::config::yaml::{at_most_one, block};

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

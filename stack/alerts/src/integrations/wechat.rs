//! WeChat Work: `message/send` of the application API.

use crate::config::http::HttpConfig;
use crate::config::receiver::integration;
use crate::config::values::{Secret, Url};
use crate::config::yaml::{at_most_one, block};

block! {
    /// `wechat_configs`.
    WechatConfig {
        send_resolved: bool = false,
        http_config: Option<HttpConfig> = None,
        api_secret: Secret = Secret::default(),
        api_secret_file: String = String::new(),
        corp_id: String = String::new(),
        message: String = "{{ template \"wechat.default.message\" . }}".to_owned(),
        api_url: Option<Url> = None,
        to_user: String = "{{ template \"wechat.default.to_user\" . }}".to_owned(),
        to_party: String = "{{ template \"wechat.default.to_party\" . }}".to_owned(),
        to_tag: String = "{{ template \"wechat.default.to_tag\" . }}".to_owned(),
        agent_id: String = "{{ template \"wechat.default.agent_id\" . }}".to_owned(),
        message_type: String = String::new(),
    }
    check(wechat) {
        if wechat.message_type.is_empty() {
            "text".clone_into(&mut wechat.message_type);
        }
        if !matches!(wechat.message_type.as_str(), "text" | "markdown") {
            return Err(format!(
                "weChat message type {:?} does not match valid options ^(text|markdown)$",
                wechat.message_type
            ));
        }
        at_most_one(
            "api_secret & api_secret_file",
            &[!wechat.api_secret.is_empty(), !wechat.api_secret_file.is_empty()],
        )
    }
}

integration!(WechatConfig, "wechat", |wechat, global| {
    let url = wechat
        .api_url
        .clone()
        .or_else(|| global.wechat_api_url.clone())
        .ok_or("no global Wechat URL set")?;
    wechat.api_url = Some(url.with_slash());
    if wechat.api_secret.is_empty() && wechat.api_secret_file.is_empty() {
        wechat.api_secret.clone_from(&global.wechat_api_secret);
        wechat
            .api_secret_file
            .clone_from(&global.wechat_api_secret_file);
        if wechat.api_secret.is_empty() && wechat.api_secret_file.is_empty() {
            return Err("no global Wechat Api Secret set either inline or in a file".to_owned());
        }
    }
    if wechat.corp_id.is_empty() {
        wechat.corp_id.clone_from(&global.wechat_api_corp_id);
        if wechat.corp_id.is_empty() {
            return Err("no global Wechat CorpID set".to_owned());
        }
    }
    Ok(())
});

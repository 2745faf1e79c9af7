//! Webex: a message to a room.

use crate::config::http::HttpConfig;
use crate::config::receiver::integration;
use crate::config::values::Url;
use crate::config::yaml::block;

block! {
    /// `webex_configs`.
    WebexConfig {
        send_resolved: bool = true,
        http_config: Option<HttpConfig> = None,
        api_url: Option<Url> = None,
        message: String = "{{ template \"webex.default.message\" . }}".to_owned(),
        room_id: String = String::new(),
    }
    check(webex) {
        if webex.room_id.is_empty() {
            return Err("missing room_id on webex_config".to_owned());
        }
        let authorized = webex
            .http_config
            .as_ref()
            .is_some_and(|http| http.authorization.is_some());
        if !authorized {
            return Err("missing webex_configs.http_config.authorization".to_owned());
        }
        Ok(())
    }
}

integration!(WebexConfig, "webex", |webex, global| {
    if webex.api_url.is_none() {
        webex.api_url.clone_from(&global.webex_api_url);
    }
    match webex.api_url {
        Some(_) => Ok(()),
        None => Err("no global Webex URL set".to_owned()),
    }
});

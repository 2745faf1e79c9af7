//! Microsoft Teams: a MessageCard to an incoming webhook of a connector.

use crate::config::http::HttpConfig;
use crate::config::receiver::integration;
use crate::config::values::SecretUrl;
use crate::config::yaml::{at_most_one, block};

block! {
    /// `msteams_configs`.
    MsTeamsConfig {
        send_resolved: bool = true,
        http_config: Option<HttpConfig> = None,
        webhook_url: Option<SecretUrl> = None,
        webhook_url_file: String = String::new(),
        title: String = "{{ template \"msteams.default.title\" . }}".to_owned(),
        summary: String = "{{ template \"msteams.default.summary\" . }}".to_owned(),
        text: String = "{{ template \"msteams.default.text\" . }}".to_owned(),
    }
    check(msteams) { check_webhook_url(msteams.webhook_url.as_ref(), &msteams.webhook_url_file) }
}

/// Exactly one of `webhook_url` and `webhook_url_file`.
pub(super) fn check_webhook_url(url: Option<&SecretUrl>, file: &str) -> Result<(), String> {
    let given = [url.is_some(), !file.is_empty()];
    if given == [false, false] {
        return Err("one of webhook_url or webhook_url_file must be configured".to_owned());
    }
    at_most_one("webhook_url & webhook_url_file", &given)
}

integration!(MsTeamsConfig, "msteams", |_msteams, _global| { Ok(()) });

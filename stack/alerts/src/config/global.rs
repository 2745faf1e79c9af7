//! `global`: what holds for all receivers unless they say otherwise.

use std::time::Duration;

use super::http::{HttpConfig, TlsConfig};
use super::values::{HostPort, MASK, PromDuration, Secret, SecretUrl, Url};
use super::yaml::{at_most_one, block};

block! {
    /// What holds for all receivers unless they say otherwise.
    Global {
        resolve_timeout: PromDuration = PromDuration(Duration::from_secs(5 * 60)),
        http_config: Option<HttpConfig> = Some(HttpConfig::default()),
        jira_api_url: Option<Url> = None,
        smtp_from: String = String::new(),
        smtp_hello: String = "localhost".to_owned(),
        smtp_smarthost: HostPort = HostPort::default(),
        smtp_auth_username: String = String::new(),
        smtp_auth_password: Secret = Secret::default(),
        smtp_auth_password_file: String = String::new(),
        smtp_auth_secret: Secret = Secret::default(),
        smtp_auth_secret_file: String = String::new(),
        smtp_auth_identity: String = String::new(),
        smtp_require_tls: bool = true,
        smtp_tls_config: Option<TlsConfig> = None,
        smtp_force_implicit_tls: Option<bool> = None,
        slack_api_url: Option<SecretUrl> = None,
        slack_api_url_file: String = String::new(),
        slack_app_token: Secret = Secret::default(),
        slack_app_token_file: String = String::new(),
        slack_app_url: Option<Url> = None,
        pagerduty_url: Option<Url> = Some(Url::known("https://events.pagerduty.com/v2/enqueue")),
        opsgenie_api_url: Option<Url> = Some(Url::known("https://api.opsgenie.com/")),
        opsgenie_api_key: Secret = Secret::default(),
        opsgenie_api_key_file: String = String::new(),
        wechat_api_url: Option<Url> = Some(Url::known("https://qyapi.weixin.qq.com/cgi-bin/")),
        wechat_api_secret: Secret = Secret::default(),
        wechat_api_secret_file: String = String::new(),
        wechat_api_corp_id: String = String::new(),
        victorops_api_url: Option<Url> =
            Some(Url::known("https://alert.victorops.com/integrations/generic/20131114/alert/")),
        victorops_api_key: Secret = Secret::default(),
        victorops_api_key_file: String = String::new(),
        telegram_api_url: Option<Url> = Some(Url::known("https://api.telegram.org")),
        telegram_bot_token: Secret = Secret::default(),
        telegram_bot_token_file: String = String::new(),
        webex_api_url: Option<Url> = Some(Url::known("https://webexapis.com/v1/messages")),
        rocketchat_api_url: Option<Url> = None,
        rocketchat_token: Secret = Secret::default(),
        rocketchat_token_file: String = String::new(),
        rocketchat_token_id: Secret = Secret::default(),
        rocketchat_token_id_file: String = String::new(),
        mattermost_webhook_url: Option<SecretUrl> = None,
        mattermost_webhook_url_file: String = String::new(),
    }
    check(global) { check(global) }
}

/// Where Slack takes the messages of its apps, unless the configuration says otherwise.
pub(crate) const SLACK_POST_MESSAGE: &str = "https://slack.com/api/chat.postMessage";

fn check(global: &Global) -> Result<(), String> {
    let pair = |one: bool, file: &str| [one, !file.is_empty()];
    at_most_one(
        "slack_app_token & slack_app_token_file",
        &pair(
            !global.slack_app_token.is_empty(),
            &global.slack_app_token_file,
        ),
    )?;
    at_most_one(
        "slack_api_url & slack_api_url_file",
        &pair(global.slack_api_url.is_some(), &global.slack_api_url_file),
    )?;
    let has_token = !global.slack_app_token.is_empty() || !global.slack_app_token_file.is_empty();
    let has_url = global.slack_api_url.is_some() || !global.slack_api_url_file.is_empty();
    let url = global.slack_api_url.as_ref().map(SecretUrl::reveal);
    // What the API shows has been checked before and is masked.
    let url_is_app_url =
        url == Some(
            global
                .slack_app_url
                .as_ref()
                .map_or(SLACK_POST_MESSAGE, Url::as_str),
        ) || url == Some(MASK);
    // The same address for both is the old way of using a bot token (prometheus/alertmanager#2513).
    if has_token && has_url && !url_is_app_url {
        return Err(
            "at most one of slack_app_token/slack_app_token_file & slack_api_url/slack_api_url_file must be configured".to_owned(),
        );
    }
    for (names, secret, file) in [
        (
            "opsgenie_api_key & opsgenie_api_key_file",
            &global.opsgenie_api_key,
            &global.opsgenie_api_key_file,
        ),
        (
            "victorops_api_key & victorops_api_key_file",
            &global.victorops_api_key,
            &global.victorops_api_key_file,
        ),
        (
            "telegram_bot_token & telegram_bot_token_file",
            &global.telegram_bot_token,
            &global.telegram_bot_token_file,
        ),
        (
            "smtp_auth_password & smtp_auth_password_file",
            &global.smtp_auth_password,
            &global.smtp_auth_password_file,
        ),
        (
            "rocketchat_token & rocketchat_token_file",
            &global.rocketchat_token,
            &global.rocketchat_token_file,
        ),
        (
            "rocketchat_token_id & rocketchat_token_id_file",
            &global.rocketchat_token_id,
            &global.rocketchat_token_id_file,
        ),
        (
            "smtp_auth_secret & smtp_auth_secret_file",
            &global.smtp_auth_secret,
            &global.smtp_auth_secret_file,
        ),
        (
            "wechat_api_secret & wechat_api_secret_file",
            &global.wechat_api_secret,
            &global.wechat_api_secret_file,
        ),
    ] {
        at_most_one(names, &pair(!secret.is_empty(), file))?;
    }
    at_most_one(
        "mattermost_webhook_url & mattermost_webhook_url_file",
        &pair(
            global.mattermost_webhook_url.is_some(),
            &global.mattermost_webhook_url_file,
        ),
    )
}

impl Global {
    /// The HTTP settings that integrations without their own use.
    pub(crate) fn http(&self) -> HttpConfig {
        self.http_config.clone().unwrap_or_default()
    }
}

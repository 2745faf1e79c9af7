//! Microsoft Teams: an adaptive card to a webhook of a workflow.

use super::msteams::check_webhook_url;
use crate::config::http::HttpConfig;
use crate::config::receiver::integration;
use crate::config::values::SecretUrl;
use crate::config::yaml::block;

block! {
    /// `msteamsv2_configs`.
    MsTeamsV2Config {
        send_resolved: bool = true,
        http_config: Option<HttpConfig> = None,
        webhook_url: Option<SecretUrl> = None,
        webhook_url_file: String = String::new(),
        title: String = "{{ template \"msteamsv2.default.title\" . }}".to_owned(),
        text: String = "{{ template \"msteamsv2.default.text\" . }}".to_owned(),
    }
    check(msteams) { check_webhook_url(msteams.webhook_url.as_ref(), &msteams.webhook_url_file) }
}

integration!(MsTeamsV2Config, "msteamsv2", |msteams, global| {
    // A block of its own still takes the proxy from `global`.
    if let (Some(own), Some(global)) = (&mut msteams.http_config, &global.http_config)
        && own.proxy_url.is_empty()
    {
        own.proxy_url.clone_from(&global.proxy_url);
    }
    Ok(())
});

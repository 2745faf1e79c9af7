//! Webhook: Alertmanager's own JSON, version 4, to any address.

use crate::config::http::HttpConfig;
use crate::config::receiver::integration;
use crate::config::values::{GoDuration, SecretTemplateUrl};
use crate::config::yaml::{at_most_one, block};

block! {
    /// `webhook_configs`.
    WebhookConfig {
        send_resolved: bool = true,
        http_config: Option<HttpConfig> = None,
        url: SecretTemplateUrl = SecretTemplateUrl::default(),
        url_file: String = String::new(),
        max_alerts: u64 = 0,
        timeout: GoDuration = GoDuration::default(),
        payload: Option<serde_json::Value> = None,
    }
    check(webhook) {
        let given = [!webhook.url.is_empty(), !webhook.url_file.is_empty()];
        if given == [false, false] {
            return Err("one of url or url_file must be configured".to_owned());
        }
        at_most_one("url & url_file", &given)
    }
}

integration!(WebhookConfig, "webhook", |_webhook, _global| { Ok(()) });

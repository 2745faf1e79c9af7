//! Pushover: the message API.

use std::time::Duration;

use crate::config::http::HttpConfig;
use crate::config::receiver::integration;
use crate::config::values::{GoDuration, Secret};
use crate::config::yaml::{at_most_one, block};

block! {
    /// `pushover_configs`.
    PushoverConfig {
        send_resolved: bool = true,
        http_config: Option<HttpConfig> = None,
        user_key: Secret = Secret::default(),
        user_key_file: String = String::new(),
        token: Secret = Secret::default(),
        token_file: String = String::new(),
        title: String = "{{ template \"pushover.default.title\" . }}".to_owned(),
        message: String = "{{ template \"pushover.default.message\" . }}".to_owned(),
        url: String = "{{ template \"pushover.default.url\" . }}".to_owned(),
        url_title: String = String::new(),
        device: String = String::new(),
        sound: String = String::new(),
        priority: String = "{{ if eq .Status \"firing\" }}2{{ else }}0{{ end }}".to_owned(),
        retry: GoDuration = GoDuration(Duration::from_secs(60)),
        expire: GoDuration = GoDuration(Duration::from_secs(3600)),
        ttl: GoDuration = GoDuration::default(),
        html: bool = false,
        monospace: bool = false,
    }
    check(pushover) {
        let user = [!pushover.user_key.is_empty(), !pushover.user_key_file.is_empty()];
        if user == [false, false] {
            return Err("one of user_key or user_key_file must be configured".to_owned());
        }
        at_most_one("user_key & user_key_file", &user)?;
        let token = [!pushover.token.is_empty(), !pushover.token_file.is_empty()];
        if token == [false, false] {
            return Err("one of token or token_file must be configured".to_owned());
        }
        at_most_one("token & token_file", &token)?;
        at_most_one("monospace & html", &[pushover.monospace, pushover.html])
    }
}

integration!(PushoverConfig, "pushover", |_pushover, _global| { Ok(()) });

//! Pushover: the message API.

use std::time::Duration;

use crate::config::http::HttpConfig;
use crate::config::receiver::integration;
use crate::config::values::{GoDuration, NewFlag, Secret};
use crate::config::yaml::{at_most_one, block};
use crate::message::{Answer, Step, judge};
use crate::render::{Context, cut_chars, query_escape};

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
        monospace: NewFlag = NewFlag(false),
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
        at_most_one("monospace & html", &[pushover.monospace.0, pushover.html])
    }
}

integration!(PushoverConfig, "pushover", |_pushover, _global| { Ok(()) });

/// Pushover refuses longer titles, messages and links.
const MAX_TITLE_CHARS: usize = 250;
const MAX_MESSAGE_CHARS: usize = 1024;
const MAX_URL_CHARS: usize = 512;
/// Where messages go.
const API_URL: &str = "https://api.pushover.net/1/messages.json";

impl PushoverConfig {
    fn advance(&self, context: &Context<'_>, answers: &[Answer]) -> Result<Step, String> {
        if let Some(answer) = answers.last() {
            return Ok(Step::Finished(judge(answer, &[], context.now)));
        }
        let text = |template: &str| context.text(template);
        let message = if self.html {
            context.html(&self.message)?
        } else {
            text(&self.message)?
        };
        let message = cut_chars(&message, MAX_MESSAGE_CHARS);
        let message = match message.trim() {
            "" => "(no details)",
            some => some,
        };
        let flag = |is_set: bool| if is_set { "1" } else { "" }.to_owned();
        let secs = |duration: GoDuration| duration.0.as_secs().to_string();
        let parameters = [
            ("device", text(&self.device)?),
            ("expire", secs(self.expire)),
            ("html", flag(self.html)),
            ("message", message.to_owned()),
            ("monospace", flag(self.monospace.0)),
            ("priority", text(&self.priority)?),
            ("retry", secs(self.retry)),
            ("sound", text(&self.sound)?),
            ("title", context.text_cut(&self.title, MAX_TITLE_CHARS)?),
            (
                "token",
                text(&context.secret(&self.token, &self.token_file)?)?,
            ),
            (
                "ttl",
                if self.ttl.0.is_zero() {
                    String::new()
                } else {
                    secs(self.ttl)
                },
            ),
            ("url", context.text_cut(&self.url, MAX_URL_CHARS)?),
            ("url_title", text(&self.url_title)?),
            (
                "user",
                text(&context.secret(&self.user_key, &self.user_key_file)?)?,
            ),
        ];
        let query: Vec<_> = parameters
            .iter()
            .filter(|(name, value)| {
                !(value.is_empty() && matches!(*name, "html" | "monospace" | "ttl"))
            })
            .map(|(name, value)| format!("{name}={}", query_escape(value)))
            .collect();
        let url = format!("{API_URL}?{}", query.join("&"));
        let http = self.http_config.as_ref();
        let request =
            context.request("POST", &url, "text/plain", Vec::new(), http, Duration::ZERO)?;
        Ok(Step::Request(Box::new(request)))
    }
}

//! Webex: a message to a room.

use crate::config::http::HttpConfig;
use crate::config::receiver::integration;
use crate::config::values::Url;
use crate::config::yaml::block;
use crate::message::{Answer, Step, judge};
use crate::render::{Context, cut_bytes};

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

/// Webex refuses longer messages.
const MAX_MESSAGE_BYTES: usize = 7439;

impl WebexConfig {
    fn advance(&self, context: &Context<'_>, answers: &[Answer]) -> Result<Step, String> {
        if let Some(answer) = answers.last() {
            return Ok(Step::Finished(judge(answer, &[], context.now)));
        }
        let message = serde_json::json!({
            "markdown": cut_bytes(&context.text(&self.message)?, MAX_MESSAGE_BYTES),
            "roomId": context.text(&self.room_id)?,
        });
        let url = self.api_url.as_ref().map_or("", Url::as_str);
        let http = self.http_config.as_ref();
        let request = context.post_json(url, &message, http, std::time::Duration::ZERO)?;
        Ok(Step::Request(Box::new(request)))
    }
}

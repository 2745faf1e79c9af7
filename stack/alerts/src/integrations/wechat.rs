//! WeChat Work: `message/send` of the application API.

use std::time::Duration;

use serde::Deserialize;

use crate::config::http::HttpConfig;
use crate::config::receiver::integration;
use crate::config::values::{Secret, Url};
use crate::config::yaml::{at_most_one, block};
use crate::effect::Outcome;
use crate::message::{Answer, Step, judge};
use crate::render::{Context, query_escape};

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

#[derive(Default, Deserialize)]
#[serde(default)]
struct WechatAnswer {
    access_token: String,
    errcode: i64,
    errmsg: String,
}

/// The access token has expired.
const TOKEN_EXPIRED: i64 = 42_001;

impl WechatConfig {
    /// First a token, then the message.
    fn advance(&self, context: &Context<'_>, answers: &[Answer]) -> Result<Step, String> {
        let base = self.api_url.as_ref().map_or("", Url::as_str);
        let corp_id = context.text(&self.corp_id)?;
        let told = match answers.last() {
            None => {
                let secret =
                    context.text(&context.secret(&self.api_secret, &self.api_secret_file)?)?;
                let url = format!(
                    "{base}gettoken?corpid={}&corpsecret={}",
                    query_escape(&corp_id),
                    query_escape(&secret)
                );
                let http = self.http_config.as_ref();
                let request = context.request(
                    "GET",
                    &url,
                    "application/json",
                    Vec::new(),
                    http,
                    Duration::ZERO,
                )?;
                return Ok(Step::Request(Box::new(request)));
            }
            Some(answer) => {
                let outcome = judge(answer, &[], context.now);
                if outcome != Outcome::Delivered {
                    return Ok(Step::Finished(outcome));
                }
                serde_json::from_slice::<WechatAnswer>(&answer.body)
                    .map_err(|error| format!("could not unmarshal JSON response: {error}"))?
            }
        };
        if answers.len() > 1 {
            return Ok(Step::Finished(match told.errcode {
                0 => Outcome::Delivered,
                TOKEN_EXPIRED => Outcome::Retry {
                    after: None,
                    error: told.errmsg,
                },
                _ => Outcome::Failed { error: told.errmsg },
            }));
        }
        if told.access_token.is_empty() {
            return Err(format!("invalid APISecret for CorpID: {corp_id}"));
        }
        let content = serde_json::json!({ "content": context.text(&self.message)? });
        let nothing = serde_json::json!({ "content": "" });
        let is_markdown = self.message_type == "markdown";
        let mut message = serde_json::json!({
            "text": if is_markdown { &nothing } else { &content },
            "safe": "0",
            "msgtype": self.message_type,
            "markdown": if is_markdown { &content } else { &nothing },
        });
        for (name, template) in [
            ("touser", &self.to_user),
            ("toparty", &self.to_party),
            ("totag", &self.to_tag),
            ("agentid", &self.agent_id),
        ] {
            let value = context.text(template)?;
            if !value.is_empty() {
                message[name] = value.into();
            }
        }
        let url = format!(
            "{base}message/send?access_token={}",
            query_escape(&told.access_token)
        );
        let request =
            context.post_json(&url, &message, self.http_config.as_ref(), Duration::ZERO)?;
        Ok(Step::Request(Box::new(request)))
    }
}

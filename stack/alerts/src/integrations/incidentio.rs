//! incident.io: an alert source.

use super::webhook::Message;

use crate::config::http::HttpConfig;
use crate::config::receiver::integration;
use crate::config::values::{GoDuration, Secret, Url};
use crate::config::yaml::{at_most_one, block};
use crate::message::{Answer, Step, judge};
use crate::render::Context;

block! {
    /// `incidentio_configs`.
    IncidentioConfig {
        send_resolved: bool = true,
        http_config: Option<HttpConfig> = None,
        url: Option<Url> = None,
        url_file: String = String::new(),
        alert_source_token: Secret = Secret::default(),
        alert_source_token_file: String = String::new(),
        max_alerts: u64 = 0,
        timeout: GoDuration = GoDuration::default(),
    }
    check(incidentio) {
        let url = [incidentio.url.is_some(), !incidentio.url_file.is_empty()];
        if url == [false, false] {
            return Err("one of url or url_file must be configured".to_owned());
        }
        at_most_one("url & url_file", &url)?;
        let token = [!incidentio.alert_source_token.is_empty(), !incidentio.alert_source_token_file.is_empty()];
        at_most_one("alert_source_token & alert_source_token_file", &token)?;
        match &incidentio.http_config {
            Some(http) if http.authorization.is_some() && token != [false, false] => Err(
                "cannot specify alert_source_token or alert_source_token_file when using http_config.authorization".to_owned(),
            ),
            Some(http) if http.authorization.is_none() && token == [false, false] => Err(
                "at least one of alert_source_token, alert_source_token_file or http_config.authorization must be configured".to_owned(),
            ),
            _ => Ok(()),
        }
    }
}

integration!(IncidentioConfig, "incidentio", |_incidentio, _global| {
    Ok(())
});

/// incident.io refuses larger messages.
const MAX_MESSAGE_BYTES: usize = 512 * 1024;

impl IncidentioConfig {
    fn advance(&self, context: &Context<'_>, answers: &[Answer]) -> Result<Step, String> {
        if let Some(answer) = answers.last() {
            return Ok(Step::Finished(judge(answer, &[], context.now)));
        }
        let url =
            context.text_or_file(self.url.as_ref().map_or("", Url::as_str), &self.url_file)?;
        let mut message = Message::new(context, "1", self.max_alerts);
        let (http, timeout) = (self.http_config.as_ref(), self.timeout.0);
        let mut request = context.post_json(&url, &message, http, timeout)?;
        if request.body.len() > MAX_MESSAGE_BYTES {
            // One alert is enough to open an incident for the group.
            message.alerts.truncate(1);
            request = context.post_json(&url, &message, http, timeout)?;
        }
        let token = context.secret(&self.alert_source_token, &self.alert_source_token_file)?;
        if !token.is_empty() {
            request
                .headers
                .push(("Authorization".to_owned(), format!("Bearer {token}")));
        }
        Ok(Step::Request(Box::new(request)))
    }
}

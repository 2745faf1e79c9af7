//! From a notification to what is sent: templates, secrets from files, requests.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::rc::Rc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gameday_signal::Timestamp;
use gameday_template::{Escaping, NotificationAlert, NotificationData, Time, Value};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::config::http::{HttpConfig, TlsConfig, TlsVersion};
use crate::config::values::{NewFlag, ProxyUrl, Secret};
use crate::effect::{Notification, NotifiedAlert};
use crate::message::{ClientOptions, OAuth2Options, OutgoingRequest, ProxyOptions, TlsOptions};
use crate::templates::Templates;

/// Reads a file that alertmanager.yml names; the text of the error is shown to people.
pub type FileReader<'a> = dyn Fn(&str) -> Result<String, String> + 'a;

/// What an integration needs to make its message.
pub(crate) struct Context<'a> {
    pub(crate) notification: &'a Notification,
    pub(crate) templates: &'a Templates,
    pub(crate) external_url: &'a str,
    pub(crate) read_file: &'a FileReader<'a>,
    pub(crate) now: Timestamp,
    route_labels: gameday_signal::Labels,
    alert_count: usize,
    /// Made when the first template asks for it.
    data: OnceCell<Value>,
    /// What was taken out of the configuration and its files and must not be shown; shared with truncated contexts.
    secrets: Rc<RefCell<Vec<String>>>,
}

impl<'a> Context<'a> {
    /// Everything about this notification. Route labels are expanded here, since messages see them expanded.
    pub(crate) fn new(
        notification: &'a Notification,
        templates: &'a Templates,
        external_url: &'a str,
        read_file: &'a FileReader<'a>,
        now: Timestamp,
    ) -> Self {
        let mut context = Self {
            notification,
            templates,
            external_url,
            read_file,
            now,
            route_labels: notification.route_labels.clone(),
            alert_count: notification.alerts.len(),
            data: OnceCell::new(),
            secrets: Rc::default(),
        };
        if !notification.route_labels.is_empty() {
            // A route label that cannot be expanded is left out, as in Alertmanager.
            let expanded: Vec<_> = notification
                .route_labels
                .iter()
                .filter_map(|(name, value)| Some((name.to_owned(), context.text(value).ok()?)))
                .collect();
            context.route_labels = gameday_signal::Labels::new(expanded);
            context.data = OnceCell::new();
        }
        context
    }

    fn data(&self) -> &Value {
        self.data.get_or_init(|| {
            self.template_data(&self.notification.alerts[..self.alert_count])
                .to_value()
        })
    }

    /// What the templates see, for these of the alerts.
    pub(crate) fn template_data(&self, alerts: &[NotifiedAlert]) -> NotificationData {
        let alerts = alerts.iter().map(|alert| NotificationAlert {
            resolved: alert.ends_at.is_some(),
            labels: alert.labels.clone(),
            annotations: alert.annotations.clone(),
            starts_at: Time::from(alert.starts_at),
            ends_at: alert.ends_at.map_or_else(Time::zero, Time::from),
            generator_url: alert.generator_url.clone(),
        });
        NotificationData {
            receiver: quote_meta(&self.notification.integration.receiver),
            alerts: alerts.collect(),
            group_labels: self.notification.group_labels.clone(),
            route_labels: self.route_labels.clone(),
            external_url: self.external_url.to_owned(),
            notification_reason: self.notification.reason.as_str().to_owned(),
        }
    }

    /// The same context for only the first `count` alerts.
    pub(crate) fn truncated(&self, count: usize) -> Self {
        Self {
            route_labels: self.route_labels.clone(),
            alert_count: count.min(self.notification.alerts.len()),
            data: OnceCell::new(),
            secrets: Rc::clone(&self.secrets),
            ..*self
        }
    }

    /// The labels of the route, expanded.
    pub(crate) fn route_labels(&self) -> &gameday_signal::Labels {
        &self.route_labels
    }

    /// Expands a template as text.
    pub(crate) fn text(&self, template: &str) -> Result<String, String> {
        if !template.contains("{{") {
            return Ok(template.to_owned());
        }
        self.templates
            .render(template, self.data(), self.now, Escaping::None)
    }

    /// Expands a template as HTML.
    pub(crate) fn html(&self, template: &str) -> Result<String, String> {
        self.templates
            .render(template, self.data(), self.now, Escaping::Html)
    }

    /// Expands a template and cuts the result to `limit` characters.
    pub(crate) fn text_cut(&self, template: &str, limit: usize) -> Result<String, String> {
        Ok(cut_chars(&self.text(template)?, limit))
    }

    /// A secret, from the configuration or the file that it names; white space around a file's content does not count.
    pub(crate) fn secret(&self, inline: &Secret, file: &str) -> Result<String, String> {
        let text = self.text_or_file(inline.reveal(), file)?;
        self.note_secret(&text);
        Ok(text)
    }

    /// The secrets that were read so far.
    pub(crate) fn secrets(&self) -> Vec<String> {
        self.secrets.borrow().clone()
    }

    fn note_secret(&self, text: &str) {
        self.secrets.borrow_mut().push(text.to_owned());
    }

    /// A text from the configuration or the file that it names.
    pub(crate) fn text_or_file(&self, inline: &str, file: &str) -> Result<String, String> {
        if !inline.is_empty() || file.is_empty() {
            return Ok(inline.to_owned());
        }
        let text = (self.read_file)(file)
            .map(|content| content.trim().to_owned())
            .map_err(|reason| format!("could not read {file}: {reason}"))?;
        self.note_secret(&text);
        Ok(text)
    }

    /// SHA-256 of the group's key: the name of the group in services that limit its length.
    pub(crate) fn group_hash(&self) -> String {
        hex_sha256(self.notification.group_key.as_bytes())
    }

    /// A POST of JSON.
    pub(crate) fn post_json(
        &self,
        url: &str,
        body: &impl Serialize,
        http: Option<&HttpConfig>,
        timeout: Duration,
    ) -> Result<OutgoingRequest, String> {
        self.request(
            "POST",
            url,
            "application/json",
            go_json(body)?,
            http,
            timeout,
        )
    }

    /// A request with the authentication and the client options of `http`.
    pub(crate) fn request(
        &self,
        method: &'static str,
        url: &str,
        content_type: &str,
        body: Vec<u8>,
        http: Option<&HttpConfig>,
        timeout: Duration,
    ) -> Result<OutgoingRequest, String> {
        let mut headers = vec![
            ("Content-Type".to_owned(), content_type.to_owned()),
            ("User-Agent".to_owned(), USER_AGENT.to_owned()),
        ];
        let client = match http {
            Some(http) => {
                self.authenticate(http, &mut headers)?;
                self.client_options(http)?
            }
            None => ClientOptions::default(),
        };
        Ok(OutgoingRequest {
            method,
            url: url.to_owned(),
            headers,
            body,
            timeout: self.time_left(timeout),
            client,
            secrets: Vec::new(),
        })
    }

    /// The configured timeout, but never beyond the deadline of the notification.
    pub(crate) fn time_left(&self, timeout: Duration) -> Duration {
        let left = self.notification.deadline.since(self.now);
        if timeout.is_zero() {
            left
        } else {
            timeout.min(left)
        }
    }

    fn authenticate(
        &self,
        http: &HttpConfig,
        headers: &mut Vec<(String, String)>,
    ) -> Result<(), String> {
        if let Some(authorization) = &http.authorization {
            without_manager(&authorization.credentials_ref)?;
            let credentials =
                self.secret(&authorization.credentials, &authorization.credentials_file)?;
            headers.push((
                "Authorization".to_owned(),
                format!("{} {credentials}", authorization.kind),
            ));
        }
        if let Some(basic) = &http.basic_auth {
            without_manager(&basic.username_ref)?;
            without_manager(&basic.password_ref)?;
            let username = self.text_or_file(&basic.username, &basic.username_file)?;
            let password = self.secret(&basic.password, &basic.password_file)?;
            let pair = STANDARD.encode(format!("{username}:{password}"));
            self.note_secret(&pair);
            headers.push(("Authorization".to_owned(), format!("Basic {pair}")));
        }
        for (name, header) in &http.http_headers {
            let plain = header.values.iter().cloned();
            let secrets = header
                .secrets
                .iter()
                .map(|secret| secret.reveal().to_owned());
            for value in plain {
                headers.push((name.clone(), value));
            }
            for value in secrets {
                self.note_secret(&value);
                headers.push((name.clone(), value));
            }
            for file in &header.files {
                headers.push((name.clone(), self.text_or_file("", file)?));
            }
        }
        Ok(())
    }

    fn client_options(&self, http: &HttpConfig) -> Result<ClientOptions, String> {
        let oauth2 = match &http.oauth2 {
            Some(oauth2) => {
                without_manager(&oauth2.client_secret_ref)?;
                if !matches!(oauth2.grant_type.as_str(), "" | "client_credentials") {
                    return Err(format!(
                        "oauth2: grant type {:?} is not supported, only client_credentials is",
                        oauth2.grant_type
                    ));
                }
                Some(OAuth2Options {
                    client_id: oauth2.client_id.clone(),
                    client_secret: self
                        .secret(&oauth2.client_secret, &oauth2.client_secret_file)?,
                    token_url: oauth2.token_url.clone(),
                    scopes: oauth2.scopes.clone(),
                    endpoint_params: oauth2.endpoint_params.clone().into_iter().collect(),
                    tls: self.tls_options(oauth2.tls_config.as_ref())?,
                    proxy: proxy_options(
                        &oauth2.proxy_url,
                        &oauth2.no_proxy,
                        oauth2.proxy_from_environment,
                        &oauth2.proxy_connect_header,
                    ),
                })
            }
            None => None,
        };
        Ok(ClientOptions {
            follow_redirects: http.follow_redirects,
            http2: http.enable_http2,
            proxy: proxy_options(
                &http.proxy_url,
                &http.no_proxy,
                http.proxy_from_environment,
                &http.proxy_connect_header,
            ),
            tls: self.tls_options(http.tls_config.as_ref())?,
            oauth2,
        })
    }

    /// TLS options with every file read.
    pub(crate) fn tls_options(&self, tls: Option<&TlsConfig>) -> Result<TlsOptions, String> {
        let Some(tls) = tls else {
            return Ok(TlsOptions::default());
        };
        for reference in [&tls.ca_ref, &tls.cert_ref, &tls.key_ref] {
            without_manager(reference)?;
        }
        let pem = |inline: &str, file: &str| -> Result<Option<String>, String> {
            Ok(Some(self.text_or_file(inline, file)?).filter(|text| !text.is_empty()))
        };
        Ok(TlsOptions {
            ca: pem(&tls.ca, &tls.ca_file)?,
            cert: pem(&tls.cert, &tls.cert_file)?,
            key: pem(tls.key.reveal(), &tls.key_file)?,
            server_name: Some(tls.server_name.clone()).filter(|name| !name.is_empty()),
            insecure_skip_verify: tls.insecure_skip_verify,
            min_version: tls.min_version.map(TlsVersion::as_str),
            max_version: tls.max_version.map(TlsVersion::as_str),
        })
    }
}

fn proxy_options(
    url: &ProxyUrl,
    no_proxy: &str,
    from_environment: NewFlag,
    connect_header: &BTreeMap<String, Vec<Secret>>,
) -> ProxyOptions {
    let headers = connect_header.iter().flat_map(|(name, values)| {
        values
            .iter()
            .map(move |value| (name.clone(), value.reveal().to_owned()))
    });
    ProxyOptions {
        url: Some(url.reveal().to_owned()).filter(|url| !url.is_empty()),
        no_proxy: no_proxy.to_owned(),
        connect_headers: headers.collect(),
        from_environment: from_environment.0,
    }
}

/// A `*_ref` names a secret in a secret manager, and there is none, as in Alertmanager itself.
fn without_manager(reference: &str) -> Result<(), String> {
    match reference {
        "" => Ok(()),
        name => Err(format!(
            "cannot use secret reference {name:?} without a secret manager"
        )),
    }
}

/// How the requests name their sender.
const USER_AGENT: &str = concat!("Alertmanager/0.34.0 gameday/", env!("CARGO_PKG_VERSION"));

/// SHA-256 as hexadecimal digits.
pub(crate) fn hex_sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// JSON as Go's encoder writes it: `<`, `>`, `&` and the two line separators escaped, a line feed at the end.
pub(crate) fn go_json(value: &impl Serialize) -> Result<Vec<u8>, String> {
    let json = serde_json::to_string(value).map_err(|error| error.to_string())?;
    let mut escaped = String::with_capacity(json.len() + 1);
    for character in json.chars() {
        // These only occur within texts.
        match character {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(escaped, "\\u{:04x}", u32::from(character));
            }
            other => escaped.push(other),
        }
    }
    escaped.push('\n');
    Ok(escaped.into_bytes())
}

/// At most `limit` characters, the last of them an ellipsis where something was cut.
pub(crate) fn cut_chars(text: &str, limit: usize) -> String {
    if text.chars().nth(limit).is_none() {
        return text.to_owned();
    }
    if limit <= 3 {
        return text.chars().take(limit).collect();
    }
    text.chars().take(limit - 1).chain(['…']).collect()
}

/// At most `limit` bytes, the last three of them an ellipsis where something was cut.
pub(crate) fn cut_bytes(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let mut end = limit.saturating_sub('…'.len_utf8());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}

/// Percent-encodes as Go's `url.QueryEscape` does.
pub(crate) fn query_escape(text: &str) -> String {
    text.bytes().fold(String::new(), |mut escaped, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                escaped.push(char::from(byte));
            }
            b' ' => escaped.push('+'),
            other => {
                let _ = write!(escaped, "%{other:02X}");
            }
        }
        escaped
    })
}

/// Go's `regexp.QuoteMeta`, which Alertmanager applies to the receiver's name so that links can filter by it.
fn quote_meta(text: &str) -> String {
    text.chars().fold(String::new(), |mut quoted, character| {
        if "\\.+*?()|[]{}^$".contains(character) {
            quoted.push('\\');
        }
        quoted.push(character);
        quoted
    })
}

/// Expands the templates in a value of any shape. A text that expands to YAML of another kind becomes that
/// (`{{ .Alerts | len }}` a number, `{{ .Alerts | toJson }}` a list), as in Alertmanager.
pub(crate) fn expand_value(
    context: &Context<'_>,
    value: &serde_json::Value,
) -> Result<serde_json::Value, String> {
    use serde_json::Value::{Array, Object, String as Text};
    Ok(match value {
        Text(template) => {
            let expanded = context.text(template)?;
            match gameday_yaml::from_str::<serde_json::Value>(&expanded) {
                Ok(other) if !other.is_string() => other,
                _ => Text(expanded),
            }
        }
        Array(values) => Array(
            values
                .iter()
                .map(|value| expand_value(context, value))
                .collect::<Result<_, _>>()?,
        ),
        Object(entries) => Object(
            entries
                .iter()
                .map(|(name, value)| Ok((context.text(name)?, expand_value(context, value)?)))
                .collect::<Result<_, String>>()?,
        ),
        other => other.clone(),
    })
}

/// For serde: what Go's `omitempty` leaves out of JSON.
pub(crate) fn is_empty(text: &str) -> bool {
    text.is_empty()
}

/// For serde: a flag that is not set.
pub(crate) fn is_false(flag: &bool) -> bool {
    !flag
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_with_an_ellipsis() {
        for (text, limit, expected) in [
            ("abcd", 4, "abcd"),
            ("abcde", 4, "abc…"),
            ("äöüß€", 4, "äöü…"),
            ("abcd", 3, "abc"),
        ] {
            assert_eq!(cut_chars(text, limit), expected);
        }
        for (text, limit, expected) in [
            ("abcd", 4, "abcd"),
            ("abcdefg", 6, "abc…"),
            ("äöüß", 7, "äö…"),
        ] {
            assert_eq!(cut_bytes(text, limit), expected);
        }
    }

    #[test]
    fn escapes_are_those_of_go() {
        assert_eq!(
            go_json(&"a<b>&\u{2028}\"").unwrap(),
            b"\"a\\u003cb\\u003e\\u0026\\u2028\\\"\"\n"
        );
        assert_eq!(query_escape("a b/ü?"), "a+b%2F%C3%BC%3F");
        assert_eq!(quote_meta("a.b|c"), "a\\.b\\|c");
        assert_eq!(
            hex_sha256(b""),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }
}

//! What the caller sends for the engine: HTTP requests and e-mails, and the answers that it brings back.

use std::fmt;
use std::time::Duration;

use gameday_signal::Timestamp;

use crate::effect::Outcome;

/// The next step of the delivery of a notification.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Send this request, then ask for the next step with its answer appended.
    Request(Box<OutgoingRequest>),
    /// Send this e-mail; its outcome is that of the notification.
    Email(Box<EmailMessage>),
    /// Nothing more to send: report this.
    Finished(Outcome),
}

/// An HTTP request.
#[derive(Clone, PartialEq)]
pub struct OutgoingRequest {
    /// `GET`, `POST` or `PUT`.
    pub method: &'static str,
    /// The address; it may hold a secret.
    pub url: String,
    /// Names and values, authentication included; they may hold secrets.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// The longest that the request may take, answer included.
    pub timeout: Duration,
    /// How to reach the server.
    pub client: ClientOptions,
    /// Passwords, tokens and keys that are somewhere in it: what is shown of it must not hold them.
    pub secrets: Vec<String>,
}

/// A path this long may be the secret of an incoming webhook; a shorter one is a word that stands in many places.
const SECRET_PATH_MIN: usize = 16;

impl OutgoingRequest {
    /// What an error must not quote: the secrets, and the address, since that of an incoming webhook is one.
    pub fn unquotable(&self) -> Vec<String> {
        let mut texts = vec![self.url.clone()];
        let path = self
            .url
            .split_once("://")
            .and_then(|(_, rest)| rest.find('/').map(|start| rest[start..].to_owned()));
        texts.extend(path.filter(|path| path.len() >= SECRET_PATH_MIN));
        texts.extend(self.secrets.iter().cloned());
        texts
    }
}

impl fmt::Debug for OutgoingRequest {
    /// Without address, headers and body, which may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutgoingRequest")
            .field("method", &self.method)
            .field("bytes", &self.body.len())
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// How to reach a server, every file read and every default filled in.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ClientOptions {
    /// Whether redirects are followed.
    pub follow_redirects: bool,
    /// Whether HTTP/2 may be spoken.
    pub http2: bool,
    /// Through which proxy.
    pub proxy: ProxyOptions,
    /// Certificates and versions.
    pub tls: TlsOptions,
    /// The token that has to be fetched first, if one has to.
    pub oauth2: Option<OAuth2Options>,
}

impl fmt::Debug for ClientOptions {
    /// Without the proxy, whose address and headers may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientOptions")
            .field("follow_redirects", &self.follow_redirects)
            .field("http2", &self.http2)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

/// The proxy on the way to a server.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ProxyOptions {
    /// Its address, if there is one; it may hold a password.
    pub url: Option<String>,
    /// Hosts that are reached without it, separated by commas.
    pub no_proxy: String,
    /// Headers for its CONNECT; they may hold secrets.
    pub connect_headers: Vec<(String, String)>,
    /// Whether the usual environment variables name the proxy.
    pub from_environment: bool,
}

impl fmt::Debug for ProxyOptions {
    /// Without address and headers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyOptions")
            .field("no_proxy", &self.no_proxy)
            .field("from_environment", &self.from_environment)
            .finish_non_exhaustive()
    }
}

/// Certificates and versions of a TLS connection.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// The authorities that are trusted, as PEM; those of the system if there is none.
    pub ca: Option<String>,
    /// The own certificate, as PEM.
    pub cert: Option<String>,
    /// Its key, as PEM.
    pub key: Option<String>,
    /// The name that the server's certificate has to bear, if it is not that of the address.
    pub server_name: Option<String>,
    /// Whether the server's certificate is not looked at.
    pub insecure_skip_verify: bool,
    /// The lowest version (`TLS12`).
    pub min_version: Option<&'static str>,
    /// The highest version.
    pub max_version: Option<&'static str>,
}

impl fmt::Debug for TlsOptions {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsOptions")
            .field("server_name", &self.server_name)
            .field("insecure_skip_verify", &self.insecure_skip_verify)
            .finish_non_exhaustive()
    }
}

/// How a token is fetched by OAuth 2 (client credentials).
#[derive(Clone, PartialEq, Eq)]
pub struct OAuth2Options {
    /// Who asks.
    pub client_id: String,
    /// With which secret.
    pub client_secret: String,
    /// Where.
    pub token_url: String,
    /// For what.
    pub scopes: Vec<String>,
    /// Further parameters.
    pub endpoint_params: Vec<(String, String)>,
    /// Certificates and versions, on the way there.
    pub tls: TlsOptions,
    /// Through which proxy.
    pub proxy: ProxyOptions,
}

impl fmt::Debug for OAuth2Options {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuth2Options")
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

/// What a server answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// The body; a caller should stop reading after some 64 KiB.
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(own, _)| own.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        self.status / 100 == 2
    }

    /// How long the server asks to wait, in seconds or until a date.
    pub(crate) fn retry_after(&self, now: Timestamp) -> Option<Duration> {
        let value = self.header("Retry-After")?.trim();
        if let Ok(secs) = value.parse::<u64>() {
            return Some(Duration::from_secs(secs));
        }
        let date = jiff::fmt::rfc2822::parse(value).ok()?;
        let until = i64::try_from(date.timestamp().as_nanosecond()).ok()?;
        Some(Timestamp::from_nanos(until).since(now))
    }

    /// The body as text, cut short for an error.
    pub(crate) fn excerpt(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let text = text.trim();
        match text.char_indices().nth(MAX_EXCERPT_CHARS) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text.to_owned(),
        }
    }
}

/// An error shows this much of a server's answer: a server that answers HTML shall not fill the log.
const MAX_EXCERPT_CHARS: usize = 512;

/// What an answer means where the status alone decides: 2xx is delivered, 429 and 5xx (and `retry_codes`) are worth another try.
pub(crate) fn judge(answer: &Answer, retry_codes: &[u16], now: Timestamp) -> Outcome {
    if answer.is_success() {
        return Outcome::Delivered;
    }
    let excerpt = answer.excerpt();
    let error = if excerpt.is_empty() {
        format!("unexpected status code {}", answer.status)
    } else {
        format!("unexpected status code {}: {excerpt}", answer.status)
    };
    let is_worth_a_retry =
        answer.status == 429 || answer.status / 100 == 5 || retry_codes.contains(&answer.status);
    if is_worth_a_retry {
        Outcome::Retry {
            after: answer.retry_after(now),
            error,
        }
    } else {
        Outcome::Failed { error }
    }
}

/// An e-mail with its way.
#[derive(Clone, PartialEq)]
pub struct EmailMessage {
    /// The server's host.
    pub host: String,
    /// Its port.
    pub port: String,
    /// The name to say EHLO with.
    pub hello: String,
    /// Whether TLS begins with the connection (port 465).
    pub implicit_tls: bool,
    /// Whether STARTTLS has to succeed.
    pub require_tls: bool,
    /// Certificates and versions.
    pub tls: TlsOptions,
    /// Who sends, if the server asks.
    pub auth: Option<EmailAuth>,
    /// The address for MAIL FROM.
    pub from: String,
    /// The addresses for RCPT TO.
    pub to: Vec<String>,
    /// The message: headers, an empty line, MIME parts; lines end in CRLF, dots are not doubled yet.
    pub data: Vec<u8>,
    /// The longest that the delivery may take.
    pub timeout: Duration,
}

impl fmt::Debug for EmailMessage {
    /// Without the content.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmailMessage")
            .field("host", &self.host)
            .field("to", &self.to)
            .field("bytes", &self.data.len())
            .finish_non_exhaustive()
    }
}

impl EmailMessage {
    /// What must not be shown of the conversation with the server.
    pub fn secrets(&self) -> Vec<String> {
        let auth = self.auth.iter();
        auth.flat_map(|auth| [auth.password.clone(), auth.secret.clone()])
            .collect()
    }
}

/// Who sends an e-mail: CRAM-MD5 with the secret, PLAIN or LOGIN with the password, whatever the server offers first.
#[derive(Clone, PartialEq, Eq)]
pub struct EmailAuth {
    /// The user.
    pub username: String,
    /// For PLAIN and LOGIN.
    pub password: String,
    /// For CRAM-MD5.
    pub secret: String,
    /// On whose behalf, for PLAIN.
    pub identity: String,
}

impl fmt::Debug for EmailAuth {
    /// Without password and secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmailAuth")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_decides_and_retry_after_is_honoured() {
        // 1994-11-06T08:49:27Z, ten seconds before the date of RFC 9110's example.
        let now = Timestamp::from_secs(784_111_767);
        let answer = |status, retry_after: Option<&str>, body: &str| Answer {
            status,
            headers: retry_after
                .map(|value| ("retry-after".to_owned(), value.to_owned()))
                .into_iter()
                .collect(),
            body: body.as_bytes().to_vec(),
        };
        let retry = |after: Option<u64>, error: &str| Outcome::Retry {
            after: after.map(Duration::from_secs),
            error: error.to_owned(),
        };
        assert_eq!(judge(&answer(204, None, ""), &[], now), Outcome::Delivered);
        assert_eq!(
            judge(&answer(429, Some("7"), "slow"), &[], now),
            retry(Some(7), "unexpected status code 429: slow")
        );
        assert_eq!(
            judge(
                &answer(503, Some("Sun, 06 Nov 1994 08:49:37 GMT"), ""),
                &[],
                now
            ),
            retry(Some(10), "unexpected status code 503")
        );
        assert_eq!(
            judge(&answer(404, None, "<html>"), &[], now),
            Outcome::Failed {
                error: "unexpected status code 404: <html>".to_owned()
            }
        );
        assert_eq!(
            judge(&answer(403, None, ""), &[403], now),
            retry(None, "unexpected status code 403")
        );
        let long = answer(400, None, &"x".repeat(100_000));
        assert_eq!(long.excerpt().chars().count(), MAX_EXCERPT_CHARS + 1);
    }
}

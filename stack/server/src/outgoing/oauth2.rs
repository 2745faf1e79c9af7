//! Tokens by OAuth 2.0, client credentials (RFC 6749, 4.4; golang.org/x/oauth2/clientcredentials).

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use gameday_env::{Env, HttpClient, HttpErrorKind, HttpOptions};
use gameday_signal::Timestamp;
use http::{HeaderValue, Request, Response, header};
use serde::Deserialize;

use super::OutgoingError;

/// Who asks for a token, where and for what.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct OAuth2 {
    pub(crate) client_id: String,
    pub(crate) client_secret: String,
    pub(crate) token_url: String,
    pub(crate) scopes: Vec<String>,
    pub(crate) endpoint_params: Vec<(String, String)>,
    pub(crate) transport: HttpOptions,
}

impl fmt::Debug for OAuth2 {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuth2")
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

/// A token as a header.
#[derive(Clone)]
pub(super) struct Token {
    pub(super) authorization: HeaderValue,
    /// None is for ever.
    expires: Option<Timestamp>,
}

/// A token counts as expired this long before it is (golang.org/x/oauth2, defaultExpiryDelta).
const EXPIRY_DELTA: Duration = Duration::from_secs(10);

impl Token {
    /// Whether it is still good for a request.
    pub(super) fn is_valid(&self, now: Timestamp) -> bool {
        self.expires
            .is_none_or(|expires| now + EXPIRY_DELTA < expires)
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct TokenAnswer {
    access_token: String,
    token_type: String,
    expires_in: Option<serde_json::Value>,
    error: String,
    error_description: String,
}

impl OAuth2 {
    /// Asks for a token: first with the secret in the header, then, where that is refused, in the body.
    pub(super) async fn fetch(
        &self,
        env: &Env,
        client: &HttpClient,
        limit: Duration,
    ) -> Result<Token, OutgoingError> {
        let mut refused = None;
        for in_header in [true, false] {
            let request = self.request(in_header).map_err(|reason| failed(&reason))?;
            let answer = client
                .send(request, limit)
                .await
                .map_err(|error| OutgoingError {
                    kind: error.kind,
                    reason: format!("oauth2: cannot fetch token: {}", error.reason),
                })?;
            match read(&answer, env.now()) {
                Ok(token) => return Ok(token),
                Err(reason) => refused = refused.or(Some(reason)),
            }
        }
        Err(failed(&refused.unwrap_or_default()))
    }

    fn request(&self, in_header: bool) -> Result<Request<Bytes>, String> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        if !self.scopes.is_empty() {
            form.append_pair("scope", &self.scopes.join(" "));
        }
        for (name, value) in &self.endpoint_params {
            form.append_pair(name, value);
        }
        let mut request = Request::post(&self.token_url)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        if in_header {
            let escape =
                |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            let pair = format!(
                "{}:{}",
                escape(&self.client_id),
                escape(&self.client_secret)
            );
            let value = format!("Basic {}", STANDARD.encode(pair));
            request = request.header(header::AUTHORIZATION, value);
        } else {
            form.append_pair("client_id", &self.client_id);
            form.append_pair("client_secret", &self.client_secret);
        }
        request
            .body(Bytes::from(form.finish()))
            .map_err(|error| format!("invalid token_url: {error}"))
    }
}

fn failed(reason: &str) -> OutgoingError {
    OutgoingError {
        kind: HttpErrorKind::Broken,
        reason: format!("oauth2: cannot fetch token: {reason}"),
    }
}

fn read(answer: &Response<Bytes>, now: Timestamp) -> Result<Token, String> {
    let content_type = answer
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .unwrap_or_default()
        .trim();
    let body = answer.body();
    let read: Option<TokenAnswer> = match content_type {
        "application/x-www-form-urlencoded" | "text/plain" => Some(from_form(body)),
        _ => serde_json::from_slice(body).ok(),
    };
    let told = read.as_ref().filter(|own| !own.error.is_empty());
    if let Some(told) = told {
        return Err(format!("{:?} {:?}", told.error, told.error_description));
    }
    if !answer.status().is_success() {
        return Err(answer.status().to_string());
    }
    let read = read.ok_or("the answer is no JSON")?;
    if read.access_token.is_empty() {
        return Err("server response missing access_token".to_owned());
    }
    let kind = match read.token_type.to_ascii_lowercase().as_str() {
        "" | "bearer" => "Bearer",
        "mac" => "MAC",
        "basic" => "Basic",
        _ => read.token_type.as_str(),
    };
    let mut authorization = HeaderValue::from_str(&format!("{kind} {}", read.access_token))
        .map_err(|_| "the token is no header".to_owned())?;
    authorization.set_sensitive(true);
    let secs = read.expires_in.and_then(|value| match value {
        serde_json::Value::Number(number) => number.as_u64(),
        serde_json::Value::String(text) => text.parse().ok(),
        _ => None,
    });
    Ok(Token {
        authorization,
        expires: secs
            .filter(|secs| *secs > 0)
            .map(|secs| now + Duration::from_secs(secs)),
    })
}

fn from_form(body: &[u8]) -> TokenAnswer {
    let mut read = TokenAnswer::default();
    for (name, value) in form_urlencoded::parse(body) {
        let value = value.into_owned();
        match name.as_ref() {
            "access_token" => read.access_token = value,
            "token_type" => read.token_type = value,
            "expires_in" => read.expires_in = Some(serde_json::Value::String(value)),
            "error" => read.error = value,
            "error_description" => read.error_description = value,
            _ => {}
        }
    }
    read
}

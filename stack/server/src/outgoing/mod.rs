//! Requests that leave the stack: scrapes, remote write, alerts, notifications.
//!
//! ```text
//!   Request + RequestOptions -> token (OAuth 2.0) -> client with that TLS and proxy -> redirects, as Go follows them -> answer
//! ```
//!
//! Entry: [`Outgoing::send`]. Invariants: credentials go to the host that they were meant for and to no other; an error names the
//! host at most, never the path, which may hold a secret; connections are kept and shared by all requests of the same options.

mod oauth2;
mod redirect;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use gameday_env::{Env, HttpClient, HttpErrorKind, HttpOptions};
use http::{HeaderValue, Request, Response, Uri, header};

pub(crate) use oauth2::OAuth2;
use redirect::{REDIRECTS_MAX, next_hop};

/// How a request is made, every file read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RequestOptions {
    /// TLS, proxy, the largest answer.
    pub(crate) transport: HttpOptions,
    /// Whether redirects are followed.
    pub(crate) follow_redirects: bool,
    /// The token that is fetched first, if one is.
    pub(crate) oauth2: Option<OAuth2>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct OutgoingError {
    /// What kind of failure it is.
    pub(crate) kind: HttpErrorKind,
    /// The failure in words.
    pub(crate) reason: String,
}

/// Sends requests; a clone shares connections and tokens.
#[derive(Clone)]
pub(crate) struct Outgoing {
    env: Env,
    /// For requests without options of their own, which are most.
    plain: HttpClient,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    clients: BTreeMap<HttpOptions, HttpClient>,
    tokens: BTreeMap<OAuth2, oauth2::Token>,
}

/// Clients and tokens are kept for this many different options: a certificate that is renewed leaves its old client behind.
const KEPT_MAX: usize = 256;

impl Outgoing {
    /// A sender on the host of `env`.
    pub(crate) fn new(env: &Env) -> Self {
        Self {
            env: env.clone(),
            plain: env.http_client(),
            shared: Arc::default(),
        }
    }

    /// Sends a request with an absolute address; `limit` is for all of it, the token and redirects included.
    ///
    /// # Errors
    /// Where there is no token, no connection, no answer in time, or one that is too large or no HTTP.
    pub(crate) async fn send(
        &self,
        mut request: Request<Bytes>,
        options: &RequestOptions,
        limit: Duration,
    ) -> Result<Response<Bytes>, OutgoingError> {
        let deadline = self.env.now() + limit;
        log_in_by_address(&mut request);
        if let Some(oauth2) = &options.oauth2
            && !request.headers().contains_key(header::AUTHORIZATION)
        {
            let token = self.token(oauth2, limit).await?;
            request.headers_mut().insert(header::AUTHORIZATION, token);
        }
        let client = self.client(&options.transport);
        for _ in 0..=REDIRECTS_MAX {
            // Parts are shared, not copied; the last request is what a redirect is built from.
            let left = deadline.since(self.env.now());
            let again = options.follow_redirects.then(|| copy(&request));
            let answer = client
                .send(request, left)
                .await
                .map_err(|error| OutgoingError {
                    kind: error.kind,
                    reason: error.reason,
                })?;
            let Some(last) = again else {
                return Ok(answer);
            };
            match next_hop(&last, &answer) {
                None => return Ok(answer),
                Some(Ok(next)) => request = next,
                Some(Err(reason)) => {
                    return Err(OutgoingError {
                        kind: HttpErrorKind::Broken,
                        reason,
                    });
                }
            }
        }
        Err(OutgoingError {
            kind: HttpErrorKind::Broken,
            reason: format!("stopped after {REDIRECTS_MAX} redirects"),
        })
    }

    fn client(&self, options: &HttpOptions) -> HttpClient {
        if *options == HttpOptions::default() {
            return self.plain.clone();
        }
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = shared.clients.get(options) {
            return known.clone();
        }
        if shared.clients.len() >= KEPT_MAX {
            shared.clients.clear();
        }
        let client = self.env.http_client_with(options.clone());
        shared.clients.insert(options.clone(), client.clone());
        client
    }

    /// The value of Authorization: the token that is known while it is valid, else a new one.
    async fn token(&self, oauth2: &OAuth2, limit: Duration) -> Result<HeaderValue, OutgoingError> {
        let known = {
            let shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
            shared.tokens.get(oauth2).cloned()
        };
        if let Some(token) = known.filter(|token| token.is_valid(self.env.now())) {
            return Ok(token.authorization);
        }
        let client = self.client(&oauth2.transport);
        let token = oauth2.fetch(&self.env, &client, limit).await?;
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if shared.tokens.len() >= KEPT_MAX {
            shared.tokens.clear();
        }
        shared.tokens.insert(oauth2.clone(), token.clone());
        Ok(token.authorization)
    }
}

/// The same request again: its address, headers and body are shared, not copied.
fn copy(request: &Request<Bytes>) -> Request<Bytes> {
    let mut copy = Request::new(request.body().clone());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy
}

/// User and password of the address become the header Authorization, where there is none (net/http's Client).
fn log_in_by_address(request: &mut Request<Bytes>) {
    let Some((login, bare)) = request.uri().authority().and_then(|authority| {
        let (login, host) = authority.as_str().rsplit_once('@')?;
        Some((login.to_owned(), host.to_owned()))
    }) else {
        return;
    };
    let (user, password) = login.split_once(':').unwrap_or((&login, ""));
    let pair = format!("{}:{}", percent_decode(user), percent_decode(password));
    let value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair)));
    if let Ok(value) = value
        && !request.headers().contains_key(header::AUTHORIZATION)
    {
        request.headers_mut().insert(header::AUTHORIZATION, value);
    }
    let mut parts = request.uri().clone().into_parts();
    parts.authority = bare.parse().ok();
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
}

fn percent_decode(text: &str) -> String {
    // A plus sign stays one: this is no query.
    let query = format!("x={}", text.replace('+', "%2B"));
    form_urlencoded::parse(query.as_bytes())
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;

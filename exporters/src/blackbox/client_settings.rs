//! What an HTTP client shows and trusts: `tls_config` and the rest of Prometheus' `http_config`.

use std::collections::BTreeMap;
use std::fs;

use gameday_env::{Env, ProxyOptions, TlsClient, TlsOptions, TlsVersion};
use serde::Deserialize;

use super::values::{Ignored, tls_version};

/// `http_config`, as the websocket prober takes it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ClientSettings {
    pub(crate) basic_auth: Option<BasicAuth>,
    pub(crate) authorization: Option<Authorization>,
    pub(crate) bearer_token: String,
    pub(crate) bearer_token_file: String,
    pub(crate) oauth2: Option<Ignored>,
    pub(crate) tls_config: TlsSettings,
    pub(crate) http_headers: BTreeMap<String, HeaderValues>,
    #[serde(rename = "follow_redirects")]
    _follow_redirects: Option<bool>,
    #[serde(rename = "enable_http2")]
    _enable_http2: Option<bool>,
    proxy_url: String,
    #[serde(rename = "no_proxy")]
    _no_proxy: String,
    proxy_from_environment: bool,
    #[serde(rename = "proxy_connect_header")]
    _proxy_connect_header: Option<Ignored>,
}

impl ClientSettings {
    pub(crate) fn check(&self) -> Result<(), String> {
        self.login().check()
    }

    pub(crate) fn unsupported(&self) -> Option<&'static str> {
        if self.oauth2.is_some() {
            Some("oauth2")
        } else if !self.proxy_url.is_empty() || self.proxy_from_environment {
            Some("a proxy for WebSockets")
        } else {
            None
        }
    }

    pub(crate) fn login(&self) -> Login<'_> {
        Login {
            basic_auth: self.basic_auth.as_ref(),
            authorization: self.authorization.as_ref(),
            bearer_token: &self.bearer_token,
            bearer_token_file: &self.bearer_token_file,
            has_oauth2: self.oauth2.is_some(),
        }
    }
}

/// A user and a password.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct BasicAuth {
    username: String,
    username_file: String,
    password: String,
    password_file: String,
}

/// The `Authorization` header.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Authorization {
    r#type: String,
    credentials: String,
    credentials_file: String,
}

/// The values of a header, from where they stand.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct HeaderValues {
    values: Vec<String>,
    secrets: Vec<String>,
    files: Vec<String>,
}

impl HeaderValues {
    /// All of them; files are read for each probe, as the real exporter does.
    pub(crate) fn all(&self) -> Result<Vec<String>, String> {
        let mut all = [&self.values[..], &self.secrets].concat();
        for file in &self.files {
            all.push(secret("", file)?);
        }
        Ok(all)
    }
}

/// How a client logs in.
pub(crate) struct Login<'a> {
    pub(crate) basic_auth: Option<&'a BasicAuth>,
    pub(crate) authorization: Option<&'a Authorization>,
    pub(crate) bearer_token: &'a str,
    pub(crate) bearer_token_file: &'a str,
    pub(crate) has_oauth2: bool,
}

impl Login<'_> {
    /// The rules of Prometheus' `http_config`.
    pub(crate) fn check(&self) -> Result<(), String> {
        let both = |one: &str, other: &str| !one.is_empty() && !other.is_empty();
        if both(self.bearer_token, self.bearer_token_file) {
            return Err("at most one of bearer_token and bearer_token_file".to_owned());
        }
        if let Some(basic) = self.basic_auth
            && (both(&basic.username, &basic.username_file)
                || both(&basic.password, &basic.password_file))
        {
            return Err(
                "basic_auth: at most one of username and username_file, of password and password_file"
                    .to_owned(),
            );
        }
        if let Some(own) = self.authorization {
            if both(&own.credentials, &own.credentials_file) {
                return Err(
                    "authorization: at most one of credentials and credentials_file".to_owned(),
                );
            }
            if own.r#type.trim().eq_ignore_ascii_case("basic") {
                return Err(
                    "authorization: its type cannot be \"basic\", use basic_auth".to_owned(),
                );
            }
        }
        let bearer = !self.bearer_token.is_empty() || !self.bearer_token_file.is_empty();
        let ways = [
            self.basic_auth.is_some(),
            self.authorization.is_some(),
            bearer,
            self.has_oauth2,
        ];
        if ways.into_iter().filter(|it| *it).count() > 1 {
            return Err(
                "at most one of basic_auth, authorization, bearer_token and oauth2".to_owned(),
            );
        }
        Ok(())
    }

    /// The `Authorization` header, if there is one; files are read for each probe.
    pub(crate) fn header(&self) -> Result<Option<String>, String> {
        if let Some(basic) = self.basic_auth {
            let user = secret(&basic.username, &basic.username_file)?;
            let password = secret(&basic.password, &basic.password_file)?;
            let login = base64(format!("{user}:{password}").as_bytes());
            return Ok(Some(format!("Basic {login}")));
        }
        let (kind, credentials) = match self.authorization {
            Some(own) => (
                own.r#type.trim(),
                secret(&own.credentials, &own.credentials_file)?,
            ),
            None => ("", secret(self.bearer_token, self.bearer_token_file)?),
        };
        let kind = if kind.is_empty() { "Bearer" } else { kind };
        Ok((!credentials.is_empty()).then(|| format!("{kind} {credentials}")))
    }
}

/// A secret as it stands, or from its file.
fn secret(text: &str, file: &str) -> Result<String, String> {
    if file.is_empty() {
        return Ok(text.to_owned());
    }
    match fs::read_to_string(file) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(error) => Err(format!("cannot read {file}: {error}")),
    }
}

/// Base64 with padding (RFC 4648, section 4).
pub(crate) fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk
            .iter()
            .fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for position in 0..4 {
            let digit = (bits >> (18 - 6 * position) & 63) as usize;
            let padding = position > chunk.len();
            out.push(if padding {
                '='
            } else {
                char::from(ALPHABET[digit])
            });
        }
    }
    out
}

/// Through which proxy a client goes.
pub(crate) fn proxy(
    url: &str,
    no_proxy: &str,
    from_environment: bool,
    connect_headers: &BTreeMap<String, Vec<String>>,
) -> Result<ProxyOptions, String> {
    let parsed = match url {
        "" => None,
        url => Some(url.parse().map_err(|it| format!("{it}"))?),
    };
    let pairs = connect_headers
        .iter()
        .flat_map(|(name, values)| values.iter().map(|value| (name.clone(), value.clone())));
    Ok(ProxyOptions {
        url: parsed,
        no_proxy: no_proxy.to_owned(),
        from_environment,
        connect_headers: pairs.collect(),
    })
}

/// `tls_config`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TlsSettings {
    pub(crate) insecure_skip_verify: bool,
    ca_file: String,
    ca: String,
    cert_file: String,
    cert: String,
    key_file: String,
    key: String,
    pub(crate) server_name: String,
    #[serde(deserialize_with = "tls_version")]
    min_version: Option<TlsVersion>,
    #[serde(deserialize_with = "tls_version")]
    max_version: Option<TlsVersion>,
}

impl TlsSettings {
    /// A client that trusts and shows this and offers `protocols` (ALPN); files are read for each probe, as the real exporter does.
    pub(crate) fn client(&self, env: &Env, protocols: &[&str]) -> Result<TlsClient, String> {
        TlsClient::new(env, &self.options()?, protocols).map_err(|error| error.to_string())
    }

    /// The same, not yet made a client of.
    pub(crate) fn options(&self) -> Result<TlsOptions, String> {
        let text = |text: &str, file: &str| match (text, file) {
            ("", "") => Ok(None),
            ("", file) => match fs::read_to_string(file) {
                Ok(text) => Ok(Some(text)),
                Err(error) => Err(format!("cannot read {file}: {error}")),
            },
            (text, _) => Ok(Some(text.to_owned())),
        };
        Ok(TlsOptions {
            ca: text(&self.ca, &self.ca_file)?,
            cert: text(&self.cert, &self.cert_file)?,
            key: text(&self.key, &self.key_file)?,
            server_name: Some(self.server_name.clone()).filter(|name| !name.is_empty()),
            insecure_skip_verify: self.insecure_skip_verify,
            min_version: self.min_version,
            max_version: self.max_version,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_padded() {
        for (text, expected) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(text.as_bytes()), expected);
        }
    }

    #[test]
    fn a_client_logs_in_one_way() {
        let read = |text: &str| -> Result<Option<String>, String> {
            let settings: ClientSettings =
                gameday_yaml::from_str(text).map_err(|it| it.to_string())?;
            settings.check()?;
            settings.login().header()
        };
        for (text, expected) in [
            ("{}", Ok(None)),
            (
                "{basic_auth: {username: a, password: b}}",
                Ok(Some("Basic YTpi")),
            ),
            ("{bearer_token: x}", Ok(Some("Bearer x"))),
            ("{authorization: {credentials: x}}", Ok(Some("Bearer x"))),
            (
                "{authorization: {type: Key, credentials: x}}",
                Ok(Some("Key x")),
            ),
            (
                "{authorization: {type: Basic, credentials: x}}",
                Err("use basic_auth"),
            ),
            (
                "{authorization: {credentials: x}, bearer_token: y}",
                Err("at most one"),
            ),
            (
                "{bearer_token: x, bearer_token_file: y}",
                Err("at most one"),
            ),
            ("{bearer_token_file: /nowhere}", Err("cannot read /nowhere")),
            ("{bearer: x}", Err("unknown field")),
        ] {
            match (read(text), expected) {
                (Ok(read), Ok(expected)) => assert_eq!(read.as_deref(), expected, "{text}"),
                (Err(error), Err(expected)) => assert!(error.contains(expected), "{error}"),
                (read, _) => panic!("{text}: {read:?}"),
            }
        }
    }
}

//! How requests are made: authorization, TLS, proxies (prometheus/common's HTTPClientConfig).

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gameday_env::{HttpOptions, ProxyOptions, ProxyUrl, TlsOptions, TlsVersion};
use serde::Deserialize;

use crate::outgoing::{OAuth2, RequestOptions};

/// A secret: shown as `<secret>`.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

/// `basic_auth`: name and password, each given or in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BasicAuth {
    /// The name.
    pub username: String,
    /// The file that holds the name.
    pub username_file: String,
    /// The password.
    pub password: Secret,
    /// The file that holds the password.
    pub password_file: String,
}

/// `authorization`: a scheme and its credentials, given or in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Authorization {
    /// The scheme; `Bearer` where none is given.
    #[serde(rename = "type")]
    pub kind: String,
    /// The credentials.
    pub credentials: Secret,
    /// The file that holds the credentials.
    pub credentials_file: String,
}

/// `tls_config`: what is trusted and what is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsConfig {
    /// Trusted certificates, PEM.
    pub ca: String,
    /// The file that holds trusted certificates.
    pub ca_file: String,
    /// The own certificate, PEM.
    pub cert: String,
    /// The file that holds the own certificate.
    pub cert_file: String,
    /// The own key, PEM.
    pub key: Secret,
    /// The file that holds the own key.
    pub key_file: String,
    /// The name that the other side's certificate must have.
    pub server_name: String,
    /// Do not look at the other side's certificate.
    pub insecure_skip_verify: bool,
    /// The oldest version that is spoken.
    pub min_version: String,
    /// The newest version that is spoken.
    pub max_version: String,
}

/// The keys of a proxy, as they stand among others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyConfig {
    /// The proxy; it may hold a password.
    pub url: Secret,
    /// Hosts that are reached without it, separated by commas.
    pub no_proxy: String,
    /// Whether the usual environment variables name the proxy.
    pub from_environment: bool,
    /// The headers of CONNECT.
    pub connect_header: BTreeMap<String, Vec<Secret>>,
}

/// `oauth2`: a token that is fetched with client credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OAuth2Config {
    /// Who asks.
    pub client_id: String,
    /// With which secret.
    pub client_secret: Secret,
    /// The file that holds the secret.
    pub client_secret_file: String,
    /// Where.
    pub token_url: String,
    /// For what.
    pub scopes: Vec<String>,
    /// Further parameters.
    pub endpoint_params: BTreeMap<String, String>,
    /// What is trusted and shown where the token is fetched.
    pub tls_config: TlsConfig,
    /// `client_credentials`, the only one that is spoken.
    pub grant_type: String,
    proxy_url: Secret,
    no_proxy: String,
    proxy_from_environment: bool,
    proxy_connect_header: BTreeMap<String, Vec<Secret>>,
}

/// The values of one of `http_headers`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HeaderConfig {
    /// Values that may be shown.
    pub values: Vec<String>,
    /// Values that may not.
    pub secrets: Vec<Secret>,
    /// The files that hold values.
    pub files: Vec<String>,
}

/// How requests are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpClientConfig {
    /// Name and password.
    pub basic_auth: Option<BasicAuth>,
    /// A scheme and its credentials.
    pub authorization: Option<Authorization>,
    /// A token that is fetched.
    pub oauth2: Option<OAuth2Config>,
    /// What is trusted and what is shown.
    pub tls_config: TlsConfig,
    /// Go where the server sends us.
    pub follow_redirects: bool,
    /// Through which proxy.
    pub proxy: ProxyConfig,
    /// Further headers.
    pub headers: BTreeMap<String, HeaderConfig>,
}

impl Default for HttpClientConfig {
    fn default() -> Self {
        Self {
            basic_auth: None,
            authorization: None,
            oauth2: None,
            tls_config: TlsConfig::default(),
            follow_redirects: true,
            proxy: ProxyConfig::default(),
            headers: BTreeMap::new(),
        }
    }
}

/// The keys of an HTTP client as a section of prometheus.yml has them among its own.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct HttpKeys {
    pub(super) basic_auth: Option<BasicAuth>,
    pub(super) authorization: Option<Authorization>,
    pub(super) oauth2: Option<OAuth2Config>,
    pub(super) bearer_token: Secret,
    pub(super) bearer_token_file: String,
    pub(super) tls_config: TlsConfig,
    pub(super) follow_redirects: bool,
    pub(super) proxy: ProxyConfig,
    pub(super) http_headers: BTreeMap<String, HeaderConfig>,
}

/// Takes the keys of an HTTP client out of a section, whose fields have the names of the keys.
macro_rules! take_http_keys {
    ($section:expr) => {
        crate::config::http::HttpKeys {
            basic_auth: std::mem::take(&mut $section.basic_auth),
            authorization: std::mem::take(&mut $section.authorization),
            oauth2: std::mem::take(&mut $section.oauth2),
            bearer_token: std::mem::take(&mut $section.bearer_token),
            bearer_token_file: std::mem::take(&mut $section.bearer_token_file),
            tls_config: std::mem::take(&mut $section.tls_config),
            follow_redirects: $section.follow_redirects,
            proxy: crate::config::http::ProxyConfig {
                url: std::mem::take(&mut $section.proxy_url),
                no_proxy: std::mem::take(&mut $section.no_proxy),
                from_environment: $section.proxy_from_environment,
                connect_header: std::mem::take(&mut $section.proxy_connect_header),
            },
            http_headers: std::mem::take(&mut $section.http_headers),
        }
    };
}
pub(super) use take_http_keys;

/// Reads a file that the configuration names.
pub type ReadFile<'a> = dyn Fn(&str) -> std::io::Result<String> + 'a;

fn at_most_one(given: &[bool], keys: &str) -> Result<(), String> {
    if given.iter().filter(|given| **given).count() > 1 {
        return Err(format!("at most one of {keys} must be configured"));
    }
    Ok(())
}

impl HttpClientConfig {
    /// Checks what excludes each other (prometheus/common, HTTPClientConfig.Validate) and folds the older bearer keys in.
    pub(super) fn new(keys: HttpKeys) -> Result<Self, String> {
        let bearer = !keys.bearer_token.0.is_empty();
        let bearer_file = !keys.bearer_token_file.is_empty();
        let has_bearer = bearer || bearer_file;
        at_most_one(&[bearer, bearer_file], "bearer_token & bearer_token_file")?;
        let others = [
            keys.authorization.is_some(),
            keys.basic_auth.is_some(),
            keys.oauth2.is_some(),
        ];
        at_most_one(
            &[has_bearer, others.contains(&true)],
            "basic_auth, oauth2, bearer_token & bearer_token_file",
        )?;
        at_most_one(&others, "basic_auth, oauth2 & authorization")?;
        if let Some(own) = &keys.basic_auth {
            check_basic(own)?;
        }
        if let Some(own) = &keys.authorization {
            check_authorization(own)?;
        }
        if let Some(own) = &keys.oauth2 {
            own.check()?;
        }
        keys.proxy.check()?;
        keys.tls_config.check()?;
        for name in keys.http_headers.keys() {
            check_header(name)?;
        }
        let authorization = if has_bearer {
            Some(Authorization {
                kind: "Bearer".to_owned(),
                credentials: keys.bearer_token,
                credentials_file: keys.bearer_token_file,
            })
        } else {
            keys.authorization.map(|own| Authorization {
                kind: match own.kind.trim() {
                    "" => "Bearer".to_owned(),
                    kind => kind.to_owned(),
                },
                ..own
            })
        };
        Ok(Self {
            basic_auth: keys.basic_auth,
            authorization,
            oauth2: keys.oauth2,
            tls_config: keys.tls_config,
            follow_redirects: keys.follow_redirects,
            proxy: keys.proxy,
            headers: keys.http_headers,
        })
    }

    /// The value of the header Authorization, or none; `read` reads a file. A file is read for each request, as Prometheus does, so
    /// that a token can be renewed.
    ///
    /// # Errors
    /// Where a file cannot be read.
    pub fn authorization_header(&self, read: &ReadFile<'_>) -> Result<Option<String>, String> {
        if let Some(own) = &self.basic_auth {
            let name = text(&own.username, &own.username_file, read)?;
            let password = text(&own.password.0, &own.password_file, read)?;
            let encoded = STANDARD.encode(format!("{name}:{password}"));
            return Ok(Some(format!("Basic {encoded}")));
        }
        if let Some(own) = &self.authorization {
            let credentials = text(&own.credentials.0, &own.credentials_file, read)?;
            return Ok(Some(format!("{} {credentials}", own.kind)));
        }
        Ok(None)
    }

    /// The headers that every request bears: Authorization and `http_headers`.
    ///
    /// # Errors
    /// Where a file cannot be read.
    pub fn request_headers(&self, read: &ReadFile<'_>) -> Result<Vec<(String, String)>, String> {
        let mut headers = Vec::new();
        if let Some(value) = self.authorization_header(read)? {
            headers.push(("Authorization".to_owned(), value));
        }
        for (name, own) in &self.headers {
            let secrets = own.secrets.iter().map(|secret| secret.0.clone());
            for value in own.values.iter().cloned().chain(secrets) {
                headers.push((name.clone(), value));
            }
            for file in &own.files {
                headers.push((name.clone(), text("", file, read)?));
            }
        }
        Ok(headers)
    }

    /// How a request is made: certificates and secrets are read again for each one, as Prometheus does.
    ///
    /// # Errors
    /// Where a file cannot be read.
    pub(crate) fn request_options(&self, read: &ReadFile<'_>) -> Result<RequestOptions, String> {
        let oauth2 = match &self.oauth2 {
            None => None,
            Some(own) => Some(OAuth2 {
                client_id: own.client_id.clone(),
                client_secret: text(&own.client_secret.0, &own.client_secret_file, read)?,
                token_url: own.token_url.clone(),
                scopes: own.scopes.clone(),
                endpoint_params: own.endpoint_params.clone().into_iter().collect(),
                transport: HttpOptions {
                    tls: own.tls_config.options(read)?,
                    proxy: own.proxy().options()?,
                    ..HttpOptions::default()
                },
            }),
        };
        Ok(RequestOptions {
            transport: HttpOptions {
                tls: self.tls_config.options(read)?,
                proxy: self.proxy.options()?,
                ..HttpOptions::default()
            },
            follow_redirects: self.follow_redirects,
            oauth2,
        })
    }
}

/// What is given, or else what the file holds.
fn text(given: &str, file: &str, read: &ReadFile<'_>) -> Result<String, String> {
    if file.is_empty() {
        return Ok(given.to_owned());
    }
    read(file)
        .map(|text| text.trim().to_owned())
        .map_err(|error| format!("unable to read file {file:?}: {error}"))
}

fn check_basic(own: &BasicAuth) -> Result<(), String> {
    at_most_one(
        &[!own.username.is_empty(), !own.username_file.is_empty()],
        "basic_auth username & username_file",
    )?;
    at_most_one(
        &[!own.password.0.is_empty(), !own.password_file.is_empty()],
        "basic_auth password & password_file",
    )
}

fn check_authorization(own: &Authorization) -> Result<(), String> {
    at_most_one(
        &[
            !own.credentials.0.is_empty(),
            !own.credentials_file.is_empty(),
        ],
        "authorization credentials & credentials_file",
    )?;
    if own.kind.trim().eq_ignore_ascii_case("basic") {
        return Err(
            "authorization type cannot be set to \"basic\", use \"basic_auth\" instead".into(),
        );
    }
    Ok(())
}

/// Headers that the client sets itself (prometheus/common, ReservedHeaders).
fn check_header(name: &str) -> Result<(), String> {
    const RESERVED: [&str; 20] = [
        "authorization",
        "host",
        "content-encoding",
        "content-length",
        "content-type",
        "user-agent",
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "www-authenticate",
        "accept-encoding",
        "x-prometheus-remote-write-version",
        "x-prometheus-remote-read-version",
        "x-prometheus-scrape-timeout-seconds",
        "x-amz-date",
        "x-amz-security-token",
        "x-amz-content-sha256",
        "te",
        "trailer",
    ];
    if RESERVED.contains(&name.to_ascii_lowercase().as_str()) {
        return Err(format!("setting header {name:?} is not allowed"));
    }
    Ok(())
}

impl TlsConfig {
    fn check(&self) -> Result<(), String> {
        let (ca, cert, key) = (
            [!self.ca.is_empty(), !self.ca_file.is_empty()],
            [!self.cert.is_empty(), !self.cert_file.is_empty()],
            [!self.key.0.is_empty(), !self.key_file.is_empty()],
        );
        at_most_one(&ca, "ca and ca_file")?;
        at_most_one(&cert, "cert and cert_file")?;
        at_most_one(&key, "key and key_file")?;
        if cert.contains(&true) && !key.contains(&true) {
            return Err("exactly one of key or key_file must be configured when a client certificate is configured".into());
        }
        if key.contains(&true) && !cert.contains(&true) {
            return Err("exactly one of cert or cert_file must be configured when a client key is configured".into());
        }
        let (min, max) = self.versions()?;
        if min.zip(max).is_some_and(|(min, max)| min > max) {
            return Err("tls_config.max_version must be greater than or equal to tls_config.min_version if both are specified".into());
        }
        Ok(())
    }

    fn versions(&self) -> Result<(Option<TlsVersion>, Option<TlsVersion>), String> {
        let read = |text: &str| match text {
            "" => Ok(None),
            text => text
                .parse()
                .map(Some)
                .map_err(|error: gameday_env::TlsError| error.to_string()),
        };
        Ok((read(&self.min_version)?, read(&self.max_version)?))
    }

    fn options(&self, read: &ReadFile<'_>) -> Result<TlsOptions, String> {
        let given = |inline: &str, file: &str| -> Result<Option<String>, String> {
            Ok(Some(text(inline, file, read)?).filter(|text| !text.is_empty()))
        };
        let (min_version, max_version) = self.versions()?;
        Ok(TlsOptions {
            ca: given(&self.ca, &self.ca_file)?,
            cert: given(&self.cert, &self.cert_file)?,
            key: given(&self.key.0, &self.key_file)?,
            server_name: Some(self.server_name.clone()).filter(|name| !name.is_empty()),
            insecure_skip_verify: self.insecure_skip_verify,
            min_version,
            max_version,
        })
    }
}

impl ProxyConfig {
    fn check(&self) -> Result<(), String> {
        let has_url = !self.url.0.is_empty();
        if !self.connect_header.is_empty() && !self.from_environment && !has_url {
            return Err("if proxy_connect_header is configured, proxy_url or proxy_from_environment must also be configured".into());
        }
        if self.from_environment && has_url {
            return Err(
                "if proxy_from_environment is configured, proxy_url must not be configured".into(),
            );
        }
        if self.from_environment && !self.no_proxy.is_empty() {
            return Err(
                "if proxy_from_environment is configured, no_proxy must not be configured".into(),
            );
        }
        if !has_url && !self.no_proxy.is_empty() {
            return Err("if no_proxy is configured, proxy_url must also be configured".into());
        }
        self.options().map(|_| ())
    }

    fn options(&self) -> Result<ProxyOptions, String> {
        let url: Option<ProxyUrl> = match self.url.0.as_str() {
            "" => None,
            url => Some(
                url.parse()
                    .map_err(|error: gameday_env::ProxyError| error.to_string())?,
            ),
        };
        let headers = self.connect_header.iter();
        Ok(ProxyOptions {
            url,
            no_proxy: self.no_proxy.clone(),
            from_environment: self.from_environment,
            connect_headers: headers
                .flat_map(|(name, values)| {
                    values
                        .iter()
                        .map(move |value| (name.clone(), value.0.clone()))
                })
                .collect(),
        })
    }
}

impl OAuth2Config {
    fn proxy(&self) -> ProxyConfig {
        ProxyConfig {
            url: self.proxy_url.clone(),
            no_proxy: self.no_proxy.clone(),
            from_environment: self.proxy_from_environment,
            connect_header: self.proxy_connect_header.clone(),
        }
    }

    fn check(&self) -> Result<(), String> {
        if self.client_id.is_empty() {
            return Err("oauth2 client_id must be configured".into());
        }
        if self.token_url.is_empty() {
            return Err("oauth2 token_url must be configured".into());
        }
        at_most_one(
            &[
                !self.client_secret.0.is_empty(),
                !self.client_secret_file.is_empty(),
            ],
            "oauth2 client_secret & client_secret_file",
        )?;
        if !matches!(self.grant_type.as_str(), "" | "client_credentials") {
            return Err(format!(
                "oauth2 grant_type {:?} is not spoken, only client_credentials is",
                self.grant_type
            ));
        }
        self.tls_config.check()?;
        self.proxy().check()
    }
}

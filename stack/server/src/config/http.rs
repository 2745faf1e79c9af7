//! How requests are made: authorization and TLS (prometheus/common's HTTPClientConfig).

use std::fmt;

use serde::Deserialize;

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

/// How requests are made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpClientConfig {
    /// Name and password.
    pub basic_auth: Option<BasicAuth>,
    /// A scheme and its credentials.
    pub authorization: Option<Authorization>,
    /// What is trusted and what is shown.
    pub tls_config: TlsConfig,
}

impl HttpClientConfig {
    /// Checks what excludes each other (prometheus/common, HTTPClientConfig.Validate) and folds the older bearer keys in.
    pub(super) fn new(
        basic_auth: Option<BasicAuth>,
        authorization: Option<Authorization>,
        bearer_token: &Secret,
        bearer_token_file: &str,
        tls_config: TlsConfig,
    ) -> Result<Self, String> {
        let has_bearer = !bearer_token.0.is_empty() || !bearer_token_file.is_empty();
        if !bearer_token.0.is_empty() && !bearer_token_file.is_empty() {
            return Err(
                "at most one of bearer_token & bearer_token_file must be configured".into(),
            );
        }
        if has_bearer && (basic_auth.is_some() || authorization.is_some()) {
            return Err(
                "at most one of basic_auth, oauth2, bearer_token & bearer_token_file must be configured"
                    .into(),
            );
        }
        if basic_auth.is_some() && authorization.is_some() {
            return Err(
                "at most one of basic_auth, oauth2 & authorization must be configured".into(),
            );
        }
        if let Some(own) = &basic_auth {
            if !own.username.is_empty() && !own.username_file.is_empty() {
                return Err(
                    "at most one of basic_auth username & username_file must be configured".into(),
                );
            }
            if !own.password.0.is_empty() && !own.password_file.is_empty() {
                return Err(
                    "at most one of basic_auth password & password_file must be configured".into(),
                );
            }
        }
        if let Some(own) = &authorization {
            if !own.credentials.0.is_empty() && !own.credentials_file.is_empty() {
                return Err(
                    "at most one of authorization credentials & credentials_file must be configured".into(),
                );
            }
            if own.kind.trim().eq_ignore_ascii_case("basic") {
                return Err(
                    "authorization type cannot be set to \"basic\", use \"basic_auth\" instead"
                        .into(),
                );
            }
        }
        let authorization = if has_bearer {
            Some(Authorization {
                kind: "Bearer".to_owned(),
                credentials: bearer_token.clone(),
                credentials_file: bearer_token_file.to_owned(),
            })
        } else {
            authorization.map(|own| Authorization {
                kind: match own.kind.trim() {
                    "" => "Bearer".to_owned(),
                    kind => kind.to_owned(),
                },
                ..own
            })
        };
        Ok(Self {
            basic_auth,
            authorization,
            tls_config,
        })
    }

    /// The value of the header Authorization, or none; `read` reads a file. A file is read for each request, as Prometheus does, so
    /// that a token can be renewed.
    ///
    /// # Errors
    /// Where a file cannot be read.
    pub fn authorization_header(
        &self,
        read: &dyn Fn(&str) -> std::io::Result<String>,
    ) -> Result<Option<String>, String> {
        let text = |given: &str, file: &str| -> Result<String, String> {
            if file.is_empty() {
                return Ok(given.to_owned());
            }
            read(file)
                .map(|text| text.trim().to_owned())
                .map_err(|error| format!("unable to read file {file:?}: {error}"))
        };
        if let Some(own) = &self.basic_auth {
            let name = text(&own.username, &own.username_file)?;
            let password = text(&own.password.0, &own.password_file)?;
            let encoded = encode_base64(format!("{name}:{password}").as_bytes());
            return Ok(Some(format!("Basic {encoded}")));
        }
        if let Some(own) = &self.authorization {
            let credentials = text(&own.credentials.0, &own.credentials_file)?;
            return Ok(Some(format!("{} {credentials}", own.kind)));
        }
        Ok(None)
    }
}

fn encode_base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

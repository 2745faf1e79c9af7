//! `http_config`: how an integration reaches its service.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::values::{NewFlag, PromDuration, ProxyUrl, Secret};
use super::yaml::{Blank, at_most_one, block};

block! {
    /// User and password of HTTP basic authentication.
    BasicAuth {
        username: String = String::new(),
        username_file: String = String::new(),
        username_ref: String = String::new(),
        password: Secret = Secret::default(),
        password_file: String = String::new(),
        password_ref: String = String::new(),
    }
    check(_auth) { Ok(()) }
}

block! {
    /// An `Authorization` header.
    Authorization {
        #[serde(rename = "type")]
        kind: String = String::new(),
        credentials: Secret = Secret::default(),
        credentials_file: String = String::new(),
        credentials_ref: String = String::new(),
    }
    check(_authorization) { Ok(()) }
}

/// The versions of TLS by their names in Go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum TlsVersion {
    #[serde(rename = "TLS10")]
    Tls10,
    #[serde(rename = "TLS11")]
    Tls11,
    #[serde(rename = "TLS12")]
    Tls12,
    #[serde(rename = "TLS13")]
    Tls13,
}

impl TlsVersion {
    /// The name in Go.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Tls10 => "TLS10",
            Self::Tls11 => "TLS11",
            Self::Tls12 => "TLS12",
            Self::Tls13 => "TLS13",
        }
    }
}

block! {
    /// Certificates and versions of a TLS connection.
    TlsConfig {
        ca: String = String::new(),
        cert: String = String::new(),
        key: Secret = Secret::default(),
        ca_file: String = String::new(),
        cert_file: String = String::new(),
        key_file: String = String::new(),
        ca_ref: String = String::new(),
        cert_ref: String = String::new(),
        key_ref: String = String::new(),
        server_name: String = String::new(),
        insecure_skip_verify: bool = false,
        min_version: Option<TlsVersion> = None,
        max_version: Option<TlsVersion> = None,
    }
    check(tls) {
        let given = |texts: &[&str]| texts.iter().map(|text| !text.is_empty()).collect::<Vec<_>>();
        at_most_one("ca, ca_file & ca_ref", &given(&[&tls.ca, &tls.ca_file, &tls.ca_ref]))?;
        at_most_one("cert, cert_file & cert_ref", &given(&[&tls.cert, &tls.cert_file, &tls.cert_ref]))?;
        let keys = given(&[tls.key.reveal(), &tls.key_file, &tls.key_ref]);
        at_most_one("key, key_file & key_ref", &keys)?;
        let has_cert = !(tls.cert.is_empty() && tls.cert_file.is_empty() && tls.cert_ref.is_empty());
        let has_key = keys.contains(&true);
        if has_cert && !has_key {
            return Err("exactly one of key or key_file must be configured when a client certificate is configured".to_owned());
        }
        if has_key && !has_cert {
            return Err("exactly one of cert or cert_file must be configured when a client key is configured".to_owned());
        }
        if let (Some(min), Some(max)) = (tls.min_version, tls.max_version) && min > max {
            return Err("tls_config.max_version must be greater than or equal to tls_config.min_version if both are specified".to_owned());
        }
        Ok(())
    }
}

block! {
    /// A token that is fetched by OAuth 2.
    OAuth2 {
        client_id: String = String::new(),
        client_secret: Secret = Secret::default(),
        client_secret_file: String = String::new(),
        client_secret_ref: String = String::new(),
        client_certificate_key_id: String = String::new(),
        client_certificate_key: Secret = Secret::default(),
        client_certificate_key_file: String = String::new(),
        client_certificate_key_ref: String = String::new(),
        grant_type: String = String::new(),
        signature_algorithm: String = String::new(),
        iss: String = String::new(),
        audience: String = String::new(),
        claims: BTreeMap<String, serde_json::Value> = BTreeMap::new(),
        scopes: Vec<String> = Vec::new(),
        token_url: String = String::new(),
        endpoint_params: BTreeMap<String, String> = BTreeMap::new(),
        tls_config: Option<TlsConfig> = None,
        proxy_url: ProxyUrl = ProxyUrl::default(),
        no_proxy: String = String::new(),
        proxy_from_environment: NewFlag = NewFlag(false),
        proxy_connect_header: BTreeMap<String, Vec<Secret>> = BTreeMap::new(),
    }
    check(_oauth2) { Ok(()) }
}

block! {
    /// The values of one header.
    Header {
        values: Vec<String> = Vec::new(),
        secrets: Vec<Secret> = Vec::new(),
        files: Vec<String> = Vec::new(),
    }
    check(_header) { Ok(()) }
}

/// Headers that prometheus/common's `ReservedHeaders` keeps for the client itself.
const RESERVED_HEADERS: [&str; 20] = [
    "Authorization",
    "Host",
    "Content-Encoding",
    "Content-Length",
    "Content-Type",
    "User-Agent",
    "Connection",
    "Keep-Alive",
    "Proxy-Authenticate",
    "Proxy-Authorization",
    "Www-Authenticate",
    "Accept-Encoding",
    "X-Prometheus-Remote-Write-Version",
    "X-Prometheus-Remote-Read-Version",
    "X-Prometheus-Scrape-Timeout-Seconds",
    "X-Amz-Date",
    "X-Amz-Security-Token",
    "X-Amz-Content-Sha256",
    "Te",
    "Trailer",
];

block! {
    /// How an integration reaches its service.
    HttpConfig {
        basic_auth: Option<BasicAuth> = None,
        authorization: Option<Authorization> = None,
        oauth2: Option<OAuth2> = None,
        bearer_token: Secret = Secret::default(),
        bearer_token_file: String = String::new(),
        tls_config: Option<TlsConfig> = None,
        follow_redirects: bool = true,
        enable_http2: bool = true,
        proxy_url: ProxyUrl = ProxyUrl::default(),
        no_proxy: String = String::new(),
        proxy_from_environment: NewFlag = NewFlag(false),
        proxy_connect_header: BTreeMap<String, Vec<Secret>> = BTreeMap::new(),
        http_headers: BTreeMap<String, Header> = BTreeMap::new(),
    }
    check(http) {
        check_authentication(http)?;
        check_oauth2(http)?;
        let proxy = &http.proxy_url;
        if !http.proxy_connect_header.is_empty() && !http.proxy_from_environment.0 && proxy.is_empty() {
            return Err("if proxy_connect_header is configured, proxy_url or proxy_from_environment must also be configured".to_owned());
        }
        if http.proxy_from_environment.0 && !proxy.is_empty() {
            return Err("if proxy_from_environment is configured, proxy_url must not be configured".to_owned());
        }
        if http.proxy_from_environment.0 && !http.no_proxy.is_empty() {
            return Err("if proxy_from_environment is configured, no_proxy must not be configured".to_owned());
        }
        if proxy.is_empty() && !http.no_proxy.is_empty() {
            return Err("if no_proxy is configured, proxy_url must also be configured".to_owned());
        }
        for name in http.http_headers.keys() {
            if let Some(reserved) = RESERVED_HEADERS.iter().find(|reserved| reserved.eq_ignore_ascii_case(name)) {
                return Err(format!("setting header {reserved:?} is not allowed"));
            }
        }
        Ok(())
    }
}

fn check_authentication(http: &mut HttpConfig) -> Result<(), String> {
    let bearer = !http.bearer_token.is_empty();
    let bearer_file = !http.bearer_token_file.is_empty();
    at_most_one("bearer_token & bearer_token_file", &[bearer, bearer_file])?;
    if (http.basic_auth.is_some() || http.oauth2.is_some()) && (bearer || bearer_file) {
        return Err("at most one of basic_auth, oauth2, bearer_token & bearer_token_file must be configured".to_owned());
    }
    if let Some(basic) = &http.basic_auth {
        at_most_one(
            "basic_auth username, username_file & username_ref",
            &[
                !basic.username.is_empty(),
                !basic.username_file.is_empty(),
                !basic.username_ref.is_empty(),
            ],
        )?;
        at_most_one(
            "basic_auth password, password_file & password_ref",
            &[
                !basic.password.is_empty(),
                !basic.password_file.is_empty(),
                !basic.password_ref.is_empty(),
            ],
        )?;
    }
    if let Some(authorization) = &mut http.authorization {
        if bearer || bearer_file {
            return Err(
                "authorization is not compatible with bearer_token & bearer_token_file".to_owned(),
            );
        }
        at_most_one(
            "authorization credentials & credentials_file",
            &[
                !authorization.credentials.is_empty(),
                !authorization.credentials_file.is_empty(),
                !authorization.credentials_ref.is_empty(),
            ],
        )?;
        authorization.kind = authorization.kind.trim().to_owned();
        if authorization.kind.is_empty() {
            "Bearer".clone_into(&mut authorization.kind);
        }
        if authorization.kind.eq_ignore_ascii_case("basic") {
            return Err(
                "authorization type cannot be set to \"basic\", use \"basic_auth\" instead"
                    .to_owned(),
            );
        }
        if http.basic_auth.is_some() || http.oauth2.is_some() {
            return Err(
                "at most one of basic_auth, oauth2 & authorization must be configured".to_owned(),
            );
        }
    } else if bearer || bearer_file {
        http.authorization = Some(Authorization {
            kind: "Bearer".to_owned(),
            credentials: std::mem::take(&mut http.bearer_token),
            credentials_file: std::mem::take(&mut http.bearer_token_file),
            credentials_ref: String::new(),
        });
    }
    Ok(())
}

fn check_oauth2(http: &HttpConfig) -> Result<(), String> {
    let Some(oauth2) = &http.oauth2 else {
        return Ok(());
    };
    if http.basic_auth.is_some() {
        return Err(
            "at most one of basic_auth, oauth2 & authorization must be configured".to_owned(),
        );
    }
    if oauth2.client_id.is_empty() {
        return Err("oauth2 client_id must be configured".to_owned());
    }
    if oauth2.token_url.is_empty() {
        return Err("oauth2 token_url must be configured".to_owned());
    }
    at_most_one(
        "oauth2 client_secret, client_secret_file & client_secret_ref",
        &[
            !oauth2.client_secret.is_empty(),
            !oauth2.client_secret_file.is_empty(),
            !oauth2.client_secret_ref.is_empty(),
        ],
    )
}

impl HttpConfig {
    /// Every file that is named here, so that relative names can be resolved.
    pub(crate) fn files_mut(&mut self) -> Vec<&mut String> {
        let mut files = vec![&mut self.bearer_token_file];
        if let Some(basic) = &mut self.basic_auth {
            files.extend([&mut basic.username_file, &mut basic.password_file]);
        }
        if let Some(authorization) = &mut self.authorization {
            files.push(&mut authorization.credentials_file);
        }
        if let Some(oauth2) = &mut self.oauth2 {
            files.extend([
                &mut oauth2.client_secret_file,
                &mut oauth2.client_certificate_key_file,
            ]);
            if let Some(tls) = &mut oauth2.tls_config {
                files.extend(tls.files_mut());
            }
        }
        if let Some(tls) = &mut self.tls_config {
            files.extend(tls.files_mut());
        }
        for header in self.http_headers.values_mut() {
            files.extend(&mut header.files);
        }
        files
    }
}

impl TlsConfig {
    /// Every file that is named here.
    pub(crate) fn files_mut(&mut self) -> [&mut String; 3] {
        [&mut self.ca_file, &mut self.cert_file, &mut self.key_file]
    }
}

block! {
    /// Alertmanager's own tracing; read and checked, but the stack traces itself in its own way.
    TracingConfig {
        client_type: String = "grpc".to_owned(),
        endpoint: String = String::new(),
        sampling_fraction: Fraction = Fraction(0.0),
        insecure: bool = false,
        tls_config: Option<TlsConfig> = None,
        headers: BTreeMap<String, Header> = BTreeMap::new(),
        compression: String = String::new(),
        timeout: PromDuration = PromDuration::default(),
    }
    check(tracing) {
        if !matches!(tracing.client_type.as_str(), "http" | "grpc") {
            return Err(format!("expected tracing client type to be to be http or grpc, but got {}", tracing.client_type));
        }
        if tracing.endpoint.is_empty() {
            return Err("tracing endpoint must be set".to_owned());
        }
        if !matches!(tracing.compression.as_str(), "" | "gzip") {
            return Err(format!("invalid compression type {} provided, valid options: gzip", tracing.compression));
        }
        Ok(())
    }
}

/// A number from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Fraction(f64);

impl Blank for Fraction {
    fn is_blank(&self) -> bool {
        self.0 == 0.0
    }
}

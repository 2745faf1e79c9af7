//! The parts of a module, one for each prober.

use std::collections::BTreeMap;
use std::net::IpAddr;

use regex::Regex;
use serde::Deserialize;

use super::cel::Expression;
use super::client_settings::{
    Authorization, BasicAuth, ClientSettings, HeaderValues, Login, TlsSettings,
};
use super::dns_names::{query_class, query_type};
use super::values::{Ignored, IpProtocol, Values, bytes_size, ip, optional_regex, regex, regexes};

/// The `http` part of a module.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct HttpSettings {
    pub(crate) valid_status_codes: Vec<u16>,
    pub(crate) valid_http_versions: Vec<String>,
    pub(crate) method: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
    pub(crate) body_file: String,
    pub(crate) follow_redirects: bool,
    pub(crate) no_follow_redirects: Option<bool>,
    pub(crate) fail_if_ssl: bool,
    pub(crate) fail_if_not_ssl: bool,
    #[serde(deserialize_with = "regexes")]
    pub(crate) fail_if_body_matches_regexp: Vec<Regex>,
    #[serde(deserialize_with = "regexes")]
    pub(crate) fail_if_body_not_matches_regexp: Vec<Regex>,
    pub(crate) fail_if_body_json_matches_cel: Option<Expression>,
    pub(crate) fail_if_body_json_not_matches_cel: Option<Expression>,
    pub(crate) fail_if_header_matches: Vec<HeaderMatch>,
    pub(crate) fail_if_header_not_matches: Vec<HeaderMatch>,
    #[serde(deserialize_with = "bytes_size")]
    pub(crate) body_size_limit: u64,
    pub(crate) compression: String,
    pub(crate) enable_http2: bool,
    enable_http3: bool,
    pub(crate) preferred_ip_protocol: IpProtocol,
    pub(crate) ip_protocol_fallback: bool,
    pub(crate) basic_auth: Option<BasicAuth>,
    pub(crate) authorization: Option<Authorization>,
    pub(crate) bearer_token: String,
    pub(crate) bearer_token_file: String,
    oauth2: Option<Ignored>,
    pub(crate) http_headers: BTreeMap<String, HeaderValues>,
    pub(crate) tls_config: TlsSettings,
    pub(crate) proxy_url: String,
    pub(crate) no_proxy: String,
    pub(crate) proxy_from_environment: bool,
    pub(crate) proxy_connect_header: Values,
    pub(crate) skip_resolve_phase_with_proxy: bool,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            valid_status_codes: Vec::new(),
            valid_http_versions: Vec::new(),
            method: "GET".to_owned(),
            headers: BTreeMap::new(),
            body: String::new(),
            body_file: String::new(),
            follow_redirects: true,
            no_follow_redirects: None,
            fail_if_ssl: false,
            fail_if_not_ssl: false,
            fail_if_body_matches_regexp: Vec::new(),
            fail_if_body_not_matches_regexp: Vec::new(),
            fail_if_body_json_matches_cel: None,
            fail_if_body_json_not_matches_cel: None,
            fail_if_header_matches: Vec::new(),
            fail_if_header_not_matches: Vec::new(),
            body_size_limit: 0,
            compression: String::new(),
            enable_http2: true,
            enable_http3: false,
            preferred_ip_protocol: IpProtocol::default(),
            ip_protocol_fallback: true,
            basic_auth: None,
            authorization: None,
            bearer_token: String::new(),
            bearer_token_file: String::new(),
            oauth2: None,
            http_headers: BTreeMap::new(),
            tls_config: TlsSettings::default(),
            proxy_url: String::new(),
            no_proxy: String::new(),
            proxy_from_environment: false,
            proxy_connect_header: BTreeMap::new(),
            skip_resolve_phase_with_proxy: false,
        }
    }
}

impl HttpSettings {
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.no_follow_redirects.is_some() && !self.follow_redirects {
            return Err("no_follow_redirects and follow_redirects exclude each other".to_owned());
        }
        if !self.body.is_empty() && !self.body_file.is_empty() {
            return Err("body and body_file exclude each other".to_owned());
        }
        if !matches!(
            self.compression.to_ascii_lowercase().as_str(),
            "" | "identity" | "gzip" | "deflate" | "br"
        ) {
            return Err(format!(
                "unknown compression {:?}, expected gzip, deflate, br or identity",
                self.compression
            ));
        }
        let accepted = self
            .headers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("accept-encoding"));
        if let Some((name, value)) = accepted
            && !accepts(value, &self.compression)
        {
            return Err(format!(
                "the header \"{name}: {value}\" does not accept the compression {:?}",
                self.compression
            ));
        }
        if let Some(rule) = [
            &self.fail_if_header_matches,
            &self.fail_if_header_not_matches,
        ]
        .into_iter()
        .flatten()
        .find(|rule| rule.header.is_empty() || rule.regexp.as_str().is_empty())
        {
            return Err(format!(
                "a rule for headers needs header and regexp: {:?}",
                rule.header
            ));
        }
        if !self.enable_http3 && self.valid_http_versions.iter().any(|it| it == "HTTP/3.0") {
            return Err("HTTP/3.0 among valid_http_versions needs enable_http3".to_owned());
        }
        self.login().check()
    }

    pub(crate) fn unsupported(&self) -> Option<&'static str> {
        if self.oauth2.is_some() {
            Some("oauth2 (basic_auth, authorization and bearer_token are)")
        } else if self.enable_http3 {
            Some("HTTP/3")
        } else if self.compression.eq_ignore_ascii_case("br") {
            Some("the compression br (gzip and deflate are)")
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

    pub(crate) fn follows(&self) -> bool {
        self.follow_redirects && self.no_follow_redirects != Some(true)
    }
}

/// Whether an Accept-Encoding header takes a compression (RFC 9110, section 12.5.3): the first by weight that names it decides.
fn accepts(header: &str, compression: &str) -> bool {
    if header.is_empty() || compression.is_empty() {
        return true;
    }
    let mut encodings: Vec<(&str, f64)> = header
        .split(',')
        .map(|part| match part.rsplit_once(';') {
            None => (part.trim(), 1.0),
            Some((name, weight)) => {
                let weight = weight.trim().trim_start_matches("q=").parse();
                (name.trim(), weight.unwrap_or(0.0))
            }
        })
        .collect();
    encodings.sort_by(|one, other| other.1.total_cmp(&one.1));
    encodings
        .into_iter()
        .find(|(name, _)| *name == compression || *name == "*")
        .is_some_and(|(_, weight)| weight > 0.0)
}

/// A header that must (not) match.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HeaderMatch {
    pub(crate) header: String,
    #[serde(deserialize_with = "regex")]
    pub(crate) regexp: Regex,
    #[serde(default)]
    pub(crate) allow_missing: bool,
}

/// The `tcp` part of a module.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TcpSettings {
    pub(crate) query_response: Vec<QueryResponse>,
    pub(crate) tls: bool,
    pub(crate) tls_config: TlsSettings,
    pub(crate) preferred_ip_protocol: IpProtocol,
    pub(crate) ip_protocol_fallback: bool,
    #[serde(deserialize_with = "ip")]
    pub(crate) source_ip_address: Option<IpAddr>,
}

impl Default for TcpSettings {
    fn default() -> Self {
        Self {
            query_response: Vec::new(),
            tls: false,
            tls_config: TlsSettings::default(),
            preferred_ip_protocol: IpProtocol::default(),
            ip_protocol_fallback: true,
            source_ip_address: None,
        }
    }
}

/// The `unix` part of a module.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct UnixSettings {
    pub(crate) query_response: Vec<QueryResponse>,
    pub(crate) tls: bool,
    pub(crate) tls_config: TlsSettings,
}

/// The `websocket` part of a module.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct WebsocketSettings {
    pub(crate) http_config: ClientSettings,
    pub(crate) headers: BTreeMap<String, HeaderValues>,
    pub(crate) query_response: Vec<QueryResponse>,
    pub(crate) preferred_ip_protocol: IpProtocol,
    pub(crate) ip_protocol_fallback: bool,
}

impl Default for WebsocketSettings {
    fn default() -> Self {
        Self {
            http_config: ClientSettings::default(),
            headers: BTreeMap::new(),
            query_response: Vec::new(),
            preferred_ip_protocol: IpProtocol::default(),
            ip_protocol_fallback: true,
        }
    }
}

/// One step of a conversation.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct QueryResponse {
    #[serde(deserialize_with = "optional_regex")]
    pub(crate) expect: Option<Regex>,
    pub(crate) expect_bytes: String,
    pub(crate) send: String,
    pub(crate) starttls: bool,
    pub(crate) labels: Vec<ExpectLabel>,
}

impl QueryResponse {
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.expect.is_some() && !self.expect_bytes.is_empty() {
            return Err("expect and expect_bytes exclude each other".to_owned());
        }
        Ok(())
    }
}

/// A label of `probe_expect_info`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExpectLabel {
    pub(crate) name: String,
    pub(crate) value: String,
}

/// How a query is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Transport {
    /// In a datagram.
    #[default]
    #[serde(alias = "")]
    Udp,
    /// Over a connection.
    Tcp,
}

/// The `dns` part of a module.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DnsSettings {
    pub(crate) query_name: String,
    #[serde(deserialize_with = "query_type")]
    pub(crate) query_type: u16,
    #[serde(deserialize_with = "query_class")]
    pub(crate) query_class: u16,
    pub(crate) recursion_desired: bool,
    pub(crate) transport_protocol: Transport,
    pub(crate) valid_rcodes: Vec<String>,
    pub(crate) validate_answer_rrs: RrValidation,
    pub(crate) validate_authority_rrs: RrValidation,
    pub(crate) validate_additional_rrs: RrValidation,
    pub(crate) dns_over_tls: bool,
    pub(crate) tls_config: TlsSettings,
    pub(crate) preferred_ip_protocol: IpProtocol,
    pub(crate) ip_protocol_fallback: bool,
    #[serde(deserialize_with = "ip")]
    pub(crate) source_ip_address: Option<IpAddr>,
}

impl Default for DnsSettings {
    fn default() -> Self {
        Self {
            query_name: String::new(),
            query_type: 255,
            query_class: 1,
            recursion_desired: true,
            transport_protocol: Transport::default(),
            valid_rcodes: Vec::new(),
            validate_answer_rrs: RrValidation::default(),
            validate_authority_rrs: RrValidation::default(),
            validate_additional_rrs: RrValidation::default(),
            dns_over_tls: false,
            tls_config: TlsSettings::default(),
            preferred_ip_protocol: IpProtocol::default(),
            ip_protocol_fallback: true,
            source_ip_address: None,
        }
    }
}

/// What the records of an answer must (not) match.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RrValidation {
    #[serde(deserialize_with = "regexes")]
    pub(crate) fail_if_matches_regexp: Vec<Regex>,
    #[serde(deserialize_with = "regexes")]
    pub(crate) fail_if_all_match_regexp: Vec<Regex>,
    #[serde(deserialize_with = "regexes")]
    pub(crate) fail_if_not_matches_regexp: Vec<Regex>,
    #[serde(deserialize_with = "regexes")]
    pub(crate) fail_if_none_matches_regexp: Vec<Regex>,
}

/// The `icmp` part of a module.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct IcmpSettings {
    pub(crate) preferred_ip_protocol: IpProtocol,
    pub(crate) ip_protocol_fallback: bool,
    #[serde(deserialize_with = "ip")]
    pub(crate) source_ip_address: Option<IpAddr>,
    pub(crate) payload_size: u32,
    pub(crate) dont_fragment: bool,
    pub(crate) ttl: u8,
}

impl Default for IcmpSettings {
    fn default() -> Self {
        Self {
            preferred_ip_protocol: IpProtocol::default(),
            ip_protocol_fallback: true,
            source_ip_address: None,
            payload_size: 0,
            dont_fragment: false,
            ttl: 64,
        }
    }
}

/// The `grpc` part of a module.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct GrpcSettings {
    pub(crate) service: String,
    pub(crate) tls: bool,
    pub(crate) tls_config: TlsSettings,
    pub(crate) preferred_ip_protocol: IpProtocol,
    pub(crate) ip_protocol_fallback: bool,
    pub(crate) metadata: Values,
}

impl Default for GrpcSettings {
    fn default() -> Self {
        Self {
            service: String::new(),
            tls: false,
            tls_config: TlsSettings::default(),
            preferred_ip_protocol: IpProtocol::default(),
            ip_protocol_fallback: true,
            metadata: BTreeMap::new(),
        }
    }
}

//! `blackbox.yml`.

use std::collections::BTreeMap;
use std::time::Duration;

use gameday_env::{Env, TlsClient, TlsOptions, TlsVersion};
use gameday_signal::parse_duration;
use regex::Regex;
use serde::{Deserialize, Deserializer};

/// The modules of a configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// By name.
    pub modules: BTreeMap<String, Module>,
    /// What is taken off the scraper's time limit, so that the answer is in time (the real one's `--timeout-offset`).
    pub timeout_offset: Duration,
    /// The text that was read.
    pub(crate) source: String,
}

/// Why a configuration is refused.
pub use gameday_yaml::FileError as ConfigError;

impl Config {
    /// Reads a configuration; `file` is what errors call it.
    ///
    /// # Errors
    /// Where the text is no YAML, a key is unknown, or a value does not fit.
    pub fn parse(file: &str, text: &str) -> Result<Self, ConfigError> {
        let error = |message: String| ConfigError::Whole {
            file: file.to_owned(),
            reason: message,
        };
        let raw: RawConfig = gameday_yaml::from_file(file, text)?;
        for (name, module) in &raw.modules {
            module
                .check()
                .map_err(|it| error(format!("module {name}: {it}")))?;
        }
        Ok(Self {
            modules: raw.modules,
            timeout_offset: super::TIMEOUT_OFFSET,
            source: text.to_owned(),
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    #[serde(default)]
    modules: BTreeMap<String, Module>,
}

/// How to probe.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Module {
    /// With what.
    pub prober: Prober,
    /// How long at most; zero leaves it to the scraper.
    #[serde(default, deserialize_with = "duration")]
    pub timeout: Duration,
    #[serde(default)]
    pub(crate) http: HttpSettings,
    #[serde(default)]
    pub(crate) tcp: TcpSettings,
    #[serde(default)]
    pub(crate) dns: DnsSettings,
    #[serde(default)]
    icmp: IcmpSettings,
    #[serde(default)]
    pub(crate) grpc: GrpcSettings,
}

impl Module {
    fn check(&self) -> Result<(), String> {
        if self.prober == Prober::Dns && self.dns.query_name.is_empty() {
            return Err("dns: query_name is missing".to_owned());
        }
        if self.http.no_follow_redirects.is_some() && !self.http.follow_redirects {
            return Err(
                "http: no_follow_redirects and follow_redirects exclude each other".to_owned(),
            );
        }
        let _read_and_not_used = &self.icmp;
        Ok(())
    }

    /// What this module asks for and this exporter cannot do: its probes fail and say so, rather than judge by half of the rules.
    pub fn unsupported(&self) -> Option<&'static str> {
        let http = &self.http;
        match self.prober {
            Prober::Icmp => Some(
                "icmp: echo requests need a raw socket, or a group within net.ipv4.ping_group_range; probe with tcp",
            ),
            Prober::Unix => Some("sockets in the file system"),
            Prober::Http if !http.proxy_url.is_empty() || http.proxy_from_environment => {
                Some("a proxy")
            }
            Prober::Http if http.oauth2.is_some() || http.authorization.is_some() => {
                Some("authorization and oauth2 (basic_auth and bearer_token are)")
            }
            Prober::Http if !http.bearer_token_file.is_empty() || !http.body_file.is_empty() => {
                Some("bearer_token_file and body_file")
            }
            Prober::Http if !matches!(http.compression.as_str(), "" | "identity") => {
                Some("compression")
            }
            Prober::Dns if self.dns.dns_over_tls => Some("DNS over TLS"),
            Prober::Http | Prober::Tcp | Prober::Dns | Prober::Grpc => None,
        }
    }
}

/// The probers of the blackbox exporter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Prober {
    /// A request.
    Http,
    /// A connection and a conversation.
    Tcp,
    /// A query.
    Dns,
    /// An echo.
    Icmp,
    /// The health service.
    Grpc,
    /// A socket in the file system.
    Unix,
}

/// The `http` part of a module.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct HttpSettings {
    pub(crate) valid_status_codes: Vec<u16>,
    pub(crate) valid_http_versions: Vec<String>,
    pub(crate) method: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
    pub(crate) follow_redirects: bool,
    pub(crate) no_follow_redirects: Option<bool>,
    pub(crate) fail_if_ssl: bool,
    pub(crate) fail_if_not_ssl: bool,
    #[serde(deserialize_with = "regexes")]
    pub(crate) fail_if_body_matches_regexp: Vec<Regex>,
    #[serde(deserialize_with = "regexes")]
    pub(crate) fail_if_body_not_matches_regexp: Vec<Regex>,
    pub(crate) fail_if_header_matches: Vec<HeaderMatch>,
    pub(crate) fail_if_header_not_matches: Vec<HeaderMatch>,
    #[serde(deserialize_with = "bytes_size")]
    pub(crate) body_size_limit: u64,
    pub(crate) basic_auth: Option<BasicAuth>,
    pub(crate) bearer_token: String,
    authorization: Option<Ignored>,
    bearer_token_file: String,
    body_file: String,
    compression: String,
    enable_http2: bool,
    ip_protocol_fallback: bool,
    oauth2: Option<Ignored>,
    preferred_ip_protocol: String,
    proxy_url: String,
    proxy_from_environment: bool,
    no_proxy: String,
    proxy_connect_header: Option<Ignored>,
    skip_resolve_phase_with_proxy: bool,
    pub(crate) tls_config: TlsSettings,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            valid_status_codes: Vec::new(),
            valid_http_versions: Vec::new(),
            method: "GET".to_owned(),
            headers: BTreeMap::new(),
            body: String::new(),
            follow_redirects: true,
            no_follow_redirects: None,
            fail_if_ssl: false,
            fail_if_not_ssl: false,
            fail_if_body_matches_regexp: Vec::new(),
            fail_if_body_not_matches_regexp: Vec::new(),
            fail_if_header_matches: Vec::new(),
            fail_if_header_not_matches: Vec::new(),
            body_size_limit: 0,
            basic_auth: None,
            bearer_token: String::new(),
            authorization: None,
            bearer_token_file: String::new(),
            body_file: String::new(),
            compression: String::new(),
            enable_http2: true,
            ip_protocol_fallback: true,
            oauth2: None,
            preferred_ip_protocol: "ip6".to_owned(),
            proxy_url: String::new(),
            proxy_from_environment: false,
            no_proxy: String::new(),
            proxy_connect_header: None,
            skip_resolve_phase_with_proxy: false,
            tls_config: TlsSettings::default(),
        }
    }
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

/// A user and a password.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BasicAuth {
    #[serde(default)]
    pub(crate) username: String,
    #[serde(default)]
    pub(crate) password: String,
    #[serde(default, rename = "password_file")]
    _password_file: String,
    #[serde(default, rename = "username_file")]
    _username_file: String,
}

/// The `tcp` part of a module.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TcpSettings {
    pub(crate) query_response: Vec<QueryResponse>,
    pub(crate) tls: bool,
    pub(crate) tls_config: TlsSettings,
    #[serde(rename = "preferred_ip_protocol")]
    _preferred_ip_protocol: String,
    #[serde(rename = "ip_protocol_fallback")]
    _ip_protocol_fallback: bool,
    #[serde(rename = "source_ip_address")]
    _source_ip_address: String,
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

/// A label of `probe_expect_info`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExpectLabel {
    pub(crate) name: String,
    pub(crate) value: String,
}

/// The `dns` part of a module.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DnsSettings {
    pub(crate) query_name: String,
    pub(crate) query_type: String,
    pub(crate) query_class: String,
    pub(crate) recursion_desired: bool,
    pub(crate) transport_protocol: String,
    pub(crate) valid_rcodes: Vec<String>,
    pub(crate) validate_answer_rrs: RrValidation,
    pub(crate) validate_authority_rrs: RrValidation,
    pub(crate) validate_additional_rrs: RrValidation,
    dns_over_tls: bool,
    tls_config: TlsSettings,
    preferred_ip_protocol: String,
    ip_protocol_fallback: bool,
    source_ip_address: String,
}

impl Default for DnsSettings {
    fn default() -> Self {
        Self {
            query_name: String::new(),
            query_type: "ANY".to_owned(),
            query_class: "IN".to_owned(),
            recursion_desired: true,
            transport_protocol: "udp".to_owned(),
            valid_rcodes: Vec::new(),
            validate_answer_rrs: RrValidation::default(),
            validate_authority_rrs: RrValidation::default(),
            validate_additional_rrs: RrValidation::default(),
            dns_over_tls: false,
            tls_config: TlsSettings::default(),
            preferred_ip_protocol: String::new(),
            ip_protocol_fallback: true,
            source_ip_address: String::new(),
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

/// Read, so that a file that has it is not refused.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct IcmpSettings {
    preferred_ip_protocol: String,
    ip_protocol_fallback: bool,
    source_ip_address: String,
    payload_size: u32,
    dont_fragment: bool,
    ttl: u8,
}

/// Read, so that a file that has it is not refused.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct GrpcSettings {
    pub(crate) service: String,
    pub(crate) tls: bool,
    pub(crate) tls_config: TlsSettings,
    #[serde(rename = "preferred_ip_protocol")]
    _preferred_ip_protocol: String,
    #[serde(rename = "ip_protocol_fallback")]
    _ip_protocol_fallback: bool,
    pub(crate) metadata: BTreeMap<String, Vec<String>>,
}

/// `tls_config`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TlsSettings {
    insecure_skip_verify: bool,
    ca_file: String,
    ca: String,
    cert_file: String,
    cert: String,
    key_file: String,
    key: String,
    server_name: String,
    #[serde(deserialize_with = "tls_version")]
    min_version: Option<TlsVersion>,
    #[serde(deserialize_with = "tls_version")]
    max_version: Option<TlsVersion>,
}

impl TlsSettings {
    /// A client that trusts and shows this; files are read for each probe, as the real exporter does.
    pub(crate) fn client(&self, env: &Env) -> Result<TlsClient, String> {
        self.client_for(env, &["http/1.1"])
    }

    /// The same for these protocols (ALPN).
    pub(crate) fn client_for(&self, env: &Env, protocols: &[&str]) -> Result<TlsClient, String> {
        let text = |text: &str, file: &str| match (text, file) {
            ("", "") => Ok(None),
            ("", file) => match std::fs::read_to_string(file) {
                Ok(text) => Ok(Some(text)),
                Err(error) => Err(format!("cannot read {file}: {error}")),
            },
            (text, _) => Ok(Some(text.to_owned())),
        };
        let options = TlsOptions {
            ca: text(&self.ca, &self.ca_file)?,
            cert: text(&self.cert, &self.cert_file)?,
            key: text(&self.key, &self.key_file)?,
            server_name: Some(self.server_name.clone()).filter(|name| !name.is_empty()),
            insecure_skip_verify: self.insecure_skip_verify,
            min_version: self.min_version,
            max_version: self.max_version,
        };
        TlsClient::new(env, &options, protocols).map_err(|error| error.to_string())
    }
}

fn tls_version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<TlsVersion>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(serde::de::Error::custom)
}

/// Something that is read and not used.
#[derive(Clone, Debug)]
struct Ignored;

impl<'de> Deserialize<'de> for Ignored {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_duration(&text).map_err(serde::de::Error::custom)
}

fn regex<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Regex, D::Error> {
    let text = String::deserialize(deserializer)?;
    Regex::new(&text).map_err(serde::de::Error::custom)
}

fn optional_regex<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Regex>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    Regex::new(&text)
        .map(Some)
        .map_err(serde::de::Error::custom)
}

fn regexes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Regex>, D::Error> {
    Vec::<String>::deserialize(deserializer)?
        .iter()
        .map(|text| Regex::new(text).map_err(serde::de::Error::custom))
        .collect()
}

/// A size such as `10MB` (alecthomas/units: powers of 1000 with `MB`, of 1024 with `MiB`).
fn bytes_size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let text = String::deserialize(deserializer)?;
    let units = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("KB", 1000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("B", 1),
        ("", 1),
    ];
    units
        .iter()
        .find_map(|(unit, factor)| {
            let number: u64 = text.strip_suffix(unit)?.trim().parse().ok()?;
            number.checked_mul(*factor)
        })
        .ok_or_else(|| {
            serde::de::Error::custom(format!("{text:?} is no size, expected for example 10MB"))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The file of Debian's package, in our own words the modules that everybody starts with.
    const USUAL: &str = r#"
modules:
  http_2xx:
    prober: http
  http_post_2xx:
    prober: http
    timeout: 5s
    http:
      method: POST
      valid_http_versions: ["HTTP/1.1", "HTTP/2.0"]
      valid_status_codes: [200, 201]
      fail_if_body_not_matches_regexp: ["ok"]
      fail_if_header_matches:
        - header: Access-Control-Allow-Origin
          regexp: '(\*|example\.com)'
          allow_missing: true
      tls_config: {insecure_skip_verify: false}
      body_size_limit: 10MB
  tcp_connect:
    prober: tcp
  irc:
    prober: tcp
    tcp:
      query_response:
        - send: "NICK prober"
        - expect: "PING :([^ ]+)"
          send: "PONG ${1}"
  icmp:
    prober: icmp
    icmp: {ttl: 5}
  grpc:
    prober: grpc
    grpc: {tls: true, preferred_ip_protocol: ip4}
  dns:
    prober: dns
    dns: {query_name: example.com, query_type: A, transport_protocol: tcp}
"#;

    #[test]
    fn the_usual_file_is_read() {
        let config = Config::parse("blackbox.yml", USUAL).expect("a good file");
        assert_eq!(config.modules.len(), 7);
        let post = &config.modules["http_post_2xx"];
        assert_eq!(post.timeout, Duration::from_secs(5));
        assert_eq!(post.http.body_size_limit, 10_000_000);
    }

    #[test]
    fn mistakes_have_a_place() {
        for (text, expected) in [
            ("modules:\n  a:\n    prober: htpp\n", "htpp"),
            ("modules:\n  a:\n    prober: http\n    htp: {}\n", "htp"),
            (
                "modules:\n  a:\n    prober: http\n    timeout: 5\n",
                "not a valid duration",
            ),
            (
                "modules:\n  a:\n    prober: http\n    http: {fail_if_body_matches_regexp: [\"(\"]}\n",
                "regex",
            ),
            ("modules:\n  a:\n    prober: dns\n", "query_name is missing"),
            ("modules: [", "blackbox.yml"),
        ] {
            let error = Config::parse("blackbox.yml", text)
                .expect_err(text)
                .to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}

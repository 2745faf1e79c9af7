//! `blackbox.yml`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::settings::{
    DnsSettings, GrpcSettings, HttpSettings, IcmpSettings, TcpSettings, UnixSettings,
    WebsocketSettings,
};
use super::shown::yaml;
use super::values::duration;

/// The modules of a configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// By name.
    pub modules: BTreeMap<String, Module>,
    /// What is taken off the scraper's time limit, so that the answer is in time (the real one's `--timeout-offset`).
    pub timeout_offset: Duration,
    /// The same as it is shown.
    shown: serde_json::Value,
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
            // What has just been read as a configuration is read as a mere value as well.
            shown: gameday_yaml::from_str(text).unwrap_or_default(),
        })
    }

    /// The configuration as YAML, without its secrets.
    pub(crate) fn as_shown(&self) -> String {
        yaml(&self.shown)
    }

    /// A module of it.
    pub(crate) fn module_as_shown(&self, name: &str) -> String {
        yaml(&self.shown["modules"][name])
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
    pub(crate) icmp: IcmpSettings,
    #[serde(default)]
    pub(crate) grpc: GrpcSettings,
    #[serde(default)]
    pub(crate) unix: UnixSettings,
    #[serde(default)]
    pub(crate) websocket: WebsocketSettings,
}

impl Module {
    fn check(&self) -> Result<(), String> {
        if self.prober == Prober::Dns && self.dns.query_name.is_empty() {
            return Err("dns: query_name is missing".to_owned());
        }
        self.http.check().map_err(|it| format!("http: {it}"))?;
        let conversations = [
            ("tcp", &self.tcp.query_response),
            ("unix", &self.unix.query_response),
            ("websocket", &self.websocket.query_response),
        ];
        for (prober, steps) in conversations {
            if let Some(problem) = steps.iter().find_map(|step| step.check().err()) {
                return Err(format!("{prober}: query_response: {problem}"));
            }
        }
        let client = self.websocket.http_config.check();
        client.map_err(|it| format!("websocket: http_config: {it}"))
    }

    /// The same for a target that is asked for under a name of its own (the parameter `hostname`).
    ///
    /// # Errors
    /// Where the module has another `Host` header already.
    pub(crate) fn for_host(&self, hostname: &str) -> Result<Self, String> {
        let mut module = self.clone();
        match self.prober {
            Prober::Http => {
                let mut headers = self.http.headers.iter();
                let own = headers.find(|(name, _)| name.eq_ignore_ascii_case("host"));
                match own {
                    Some((_, value)) if value != hostname => {
                        return Err(format!(
                            "host header defined both in module configuration ({value}) and with URL-parameter 'hostname' ({hostname})"
                        ));
                    }
                    Some(_) => {}
                    None => {
                        let headers = &mut module.http.headers;
                        headers.insert("Host".to_owned(), hostname.to_owned());
                    }
                }
            }
            Prober::Tcp if self.tcp.tls_config.server_name.is_empty() => {
                module.tcp.tls_config.server_name = hostname.to_owned();
            }
            _ => {}
        }
        Ok(module)
    }

    /// What this module asks for and this exporter cannot do: its probes fail and say so, rather than judge by half of the rules.
    pub fn unsupported(&self) -> Option<&'static str> {
        match self.prober {
            Prober::Http => self.http.unsupported(),
            Prober::Websocket => self.websocket.http_config.unsupported(),
            Prober::Tcp | Prober::Dns | Prober::Grpc | Prober::Icmp | Prober::Unix => None,
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
    /// A socket in the file system, and a conversation.
    Unix,
    /// A WebSocket, and a conversation in messages.
    Websocket,
}

impl Prober {
    /// Its name in `blackbox.yml`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Tcp => "tcp",
            Self::Dns => "dns",
            Self::Icmp => "icmp",
            Self::Grpc => "grpc",
            Self::Unix => "unix",
            Self::Websocket => "websocket",
        }
    }
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
        assert_eq!(post.http.body_size_limit, 10 << 20);
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
            (
                "modules:\n  a:\n    prober: http\n    http: {fail_if_body_json_matches_cel: \"body. == 1\"}\n",
                "invalid CEL expression, column 7: expected a name after the dot",
            ),
            (
                "modules:\n  a:\n    prober: dns\n    dns: {query_name: a, query_type: B}\n",
                "query type \"B\" is not valid",
            ),
            (
                "modules:\n  a:\n    prober: icmp\n    icmp: {ttl: 256}\n",
                "ttl",
            ),
            (
                "modules:\n  a:\n    prober: unix\n    unix: {query_response: [{expect: a, expect_bytes: b}]}\n",
                "unix: query_response: expect and expect_bytes exclude each other",
            ),
            (
                "modules:\n  a:\n    prober: http\n    http: {body: x, body_file: y}\n",
                "body and body_file exclude each other",
            ),
            (
                "modules:\n  a:\n    prober: http\n    http: {compression: gzip, headers: {Accept-Encoding: \"br, gzip;q=0\"}}\n",
                "does not accept the compression \"gzip\"",
            ),
            ("modules: [", "blackbox.yml"),
        ] {
            let error = Config::parse("blackbox.yml", text)
                .expect_err(text)
                .to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}

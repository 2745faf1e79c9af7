//! Which proxy a request takes (golang.org/x/net/http/httpproxy, as Prometheus and Alertmanager use it).

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::net::Address;

/// The proxy of a client: `proxy_url`, `no_proxy`, `proxy_from_environment` and `proxy_connect_header` of an `http_config`.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProxyOptions {
    /// The proxy, if there is one.
    pub url: Option<ProxyUrl>,
    /// The hosts that are reached without it: names, `.domains`, addresses, networks and `*`, separated by commas.
    pub no_proxy: String,
    /// Whether HTTP_PROXY, HTTPS_PROXY and NO_PROXY say which. In virtual time they say nothing: a run is the same on every machine.
    pub from_environment: bool,
    /// The headers of CONNECT; they may hold secrets.
    pub connect_headers: Vec<(String, String)>,
}

impl fmt::Debug for ProxyOptions {
    /// Without the headers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyOptions")
            .field("url", &self.url)
            .field("no_proxy", &self.no_proxy)
            .field("from_environment", &self.from_environment)
            .finish_non_exhaustive()
    }
}

/// The address of a proxy.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProxyUrl {
    pub(crate) kind: ProxyKind,
    pub(crate) address: Address,
    pub(crate) login: Option<(String, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ProxyKind {
    Http,
    Https,
    Socks5,
}

impl fmt::Debug for ProxyUrl {
    /// Without user and password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for ProxyUrl {
    /// Without user and password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.kind {
            ProxyKind::Http => "http",
            ProxyKind::Https => "https",
            ProxyKind::Socks5 => "socks5",
        };
        write!(f, "{scheme}://{}", self.address)
    }
}

/// Why a text is no address of a proxy. It does not show the text, which may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("proxy_url: {0}, expected for example \"http://proxy:3128\"")]
pub struct ProxyError(pub String);

impl FromStr for ProxyUrl {
    type Err = ProxyError;

    fn from_str(text: &str) -> Result<Self, ProxyError> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let (kind, default_port) = match scheme.to_ascii_lowercase().as_str() {
            "http" => (ProxyKind::Http, 80),
            "https" => (ProxyKind::Https, 443),
            "socks5" | "socks5h" => (ProxyKind::Socks5, 1080),
            other => return Err(ProxyError(format!("unknown scheme {other:?}"))),
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (login, host) = match authority.rsplit_once('@') {
            Some((login, host)) => {
                let (user, password) = login.split_once(':').unwrap_or((login, ""));
                (Some((decode(user), decode(password))), host)
            }
            None => (None, authority),
        };
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| {
            !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
        });
        let address = if has_port {
            host.parse()
                .map_err(|_| ProxyError("invalid host or port".to_owned()))?
        } else {
            let name = host.trim_matches(['[', ']']);
            if name.is_empty() || host.ends_with(':') {
                return Err(ProxyError("there is no host in it".to_owned()));
            }
            Address::new(name, default_port)
        };
        Ok(Self {
            kind,
            address,
            login,
        })
    }
}

impl ProxyUrl {
    /// The value of `Proxy-Authorization`.
    pub(crate) fn authorization(&self) -> Option<String> {
        self.login.as_ref().map(|(user, password)| {
            format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
        })
    }
}

/// Undoes percent encoding; what is none stays.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 16).ok()
        });
        match digits {
            Some(byte) if first == b'%' => {
                decoded.push(byte);
                rest = &after[2..];
            }
            _ => {
                decoded.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

impl ProxyOptions {
    /// The proxy on the way to `address`; `variable` reads the environment.
    pub(crate) fn choose(
        &self,
        is_tls: bool,
        address: &Address,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<ProxyUrl>, ProxyError> {
        if self.from_environment {
            let names = if is_tls {
                ["HTTPS_PROXY", "https_proxy"]
            } else {
                ["HTTP_PROXY", "http_proxy"]
            };
            let first = |names: [&str; 2]| {
                let given = names.into_iter().filter_map(variable);
                given.filter(|value| !value.is_empty()).find(|_| true)
            };
            let Some(url) = first(names) else {
                return Ok(None);
            };
            let excluded = first(["NO_PROXY", "no_proxy"]).unwrap_or_default();
            return Ok(if is_direct(address, &excluded) {
                None
            } else {
                Some(url.parse()?)
            });
        }
        // Without exceptions even the own host is reached through the proxy, as in Go's http.ProxyURL.
        if !self.no_proxy.is_empty() && is_direct(address, &self.no_proxy) {
            return Ok(None);
        }
        Ok(self.url.clone())
    }
}

/// Whether the list takes `address` out; the own host is never reached through a proxy.
fn is_direct(address: &Address, list: &str) -> bool {
    let host = address.host.to_ascii_lowercase();
    let ip: Option<IpAddr> = host.parse().ok();
    if host == "localhost" || ip.is_some_and(|ip| ip.is_loopback()) {
        return true;
    }
    list.split(',')
        .map(|entry| entry.trim().to_ascii_lowercase())
        .filter(|entry| !entry.is_empty())
        .any(|entry| matches_entry(&entry, &host, ip, address.port))
}

fn matches_entry(entry: &str, host: &str, ip: Option<IpAddr>, port: u16) -> bool {
    if entry == "*" {
        return true;
    }
    if let Some((network, bits)) = entry.split_once('/') {
        return match (network.parse(), bits.parse(), ip) {
            (Ok(network), Ok(bits), Some(ip)) => is_within(ip, network, bits),
            _ => false,
        };
    }
    let (name, entry_port) = match entry.rsplit_once(':') {
        Some((name, digits)) if !name.contains(':') || name.ends_with(']') => {
            (name, digits.parse::<u16>().ok())
        }
        _ => (entry, None),
    };
    if entry_port.is_some_and(|own| own != port) {
        return false;
    }
    let name = name.trim_matches(['[', ']']);
    if let Ok(own) = name.parse::<IpAddr>() {
        return ip == Some(own);
    }
    let name = name.strip_prefix('*').unwrap_or(name);
    match name.strip_prefix('.') {
        Some(_) => host.ends_with(name),
        None => host == name || host.ends_with(&format!(".{name}")),
    }
}

fn is_within(ip: IpAddr, network: IpAddr, bits: u32) -> bool {
    let same = |own: u128, other: u128, width: u32| {
        bits <= width && (bits == 0 || (own ^ other) >> (width - bits) == 0)
    };
    match (ip, network) {
        (IpAddr::V4(ip), IpAddr::V4(network)) => {
            same(ip.to_bits().into(), network.to_bits().into(), 32)
        }
        (IpAddr::V6(ip), IpAddr::V6(network)) => same(ip.to_bits(), network.to_bits(), 128),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_addresses_of_proxies() {
        for (text, expected) in [
            ("http://proxy:3128", Ok("http://proxy:3128")),
            ("proxy:3128", Ok("http://proxy:3128")),
            ("http://proxy", Ok("http://proxy:80")),
            ("https://proxy/", Ok("https://proxy:443")),
            ("http://[::1]:8080", Ok("http://[::1]:8080")),
            ("socks5://me:it@s/x", Ok("socks5://s:1080")),
            ("ftp://proxy", Err("unknown scheme \"ftp\"")),
            ("http://", Err("there is no host in it")),
            ("http://proxy:99999", Err("invalid host or port")),
        ] {
            let read = text.parse::<ProxyUrl>();
            let told = read
                .map(|url| url.to_string())
                .map_err(|ProxyError(reason)| reason);
            assert_eq!(
                told.as_ref().map(String::as_str).map_err(String::as_str),
                expected,
                "{text}"
            );
        }
        let url: ProxyUrl = "http://u%40x:p%3Aw@proxy:1".parse().expect("a proxy");
        assert_eq!(url.authorization().as_deref(), Some("Basic dUB4OnA6dw=="));
        assert!(!format!("{url:?}").contains("p:w"));
    }

    #[test]
    fn hosts_are_taken_out_as_in_go() {
        let list =
            "example.com, .inner.org,*.star.net,10.0.0.0/8,192.0.2.7,port.org:8080,[2001:db8::1]";
        for (address, direct) in [
            ("example.com:80", true),
            ("www.example.com:80", true),
            ("badexample.com:80", false),
            ("inner.org:80", false),
            ("www.inner.org:80", true),
            ("star.net:80", false),
            ("www.star.net:80", true),
            ("10.1.2.3:80", true),
            ("11.1.2.3:80", false),
            ("192.0.2.7:80", true),
            ("port.org:8080", true),
            ("port.org:80", false),
            ("[2001:db8::1]:80", true),
            ("localhost:80", true),
            ("127.0.0.9:80", true),
            ("EXAMPLE.com:80", true),
        ] {
            let address = address.parse().expect("an address");
            assert_eq!(is_direct(&address, list), direct, "{address}");
        }
        assert!(is_direct(&Address::new("x.org", 1), "*"));
    }

    #[test]
    fn the_environment_names_a_proxy() {
        let options = ProxyOptions {
            from_environment: true,
            ..ProxyOptions::default()
        };
        let variable = |name: &str| match name {
            "http_proxy" => Some("plain:1".to_owned()),
            "HTTPS_PROXY" => Some("http://secure:2".to_owned()),
            "NO_PROXY" => Some("inner".to_owned()),
            _ => None,
        };
        let chosen = |is_tls, host: &str| {
            let address = Address::new(host, 80);
            let chosen = options.choose(is_tls, &address, &variable);
            chosen.expect("valid").map(|url| url.to_string())
        };
        assert_eq!(chosen(false, "x.org").as_deref(), Some("http://plain:1"));
        assert_eq!(chosen(true, "x.org").as_deref(), Some("http://secure:2"));
        assert_eq!(chosen(true, "inner"), None);
    }
}

//! The scalar values of alertmanager.yml: secrets, addresses, durations.

use std::fmt;
use std::time::Duration;

use gameday_signal::{format_duration, parse_duration};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::yaml::Blank;

/// What stands in place of a secret wherever the configuration is shown.
pub(crate) const MASK: &str = "<secret>";

/// A text that is never shown.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(crate) struct Secret(String);

impl Secret {
    /// The secret itself, for the request that needs it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether none was given.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "\"\"" } else { MASK })
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(if self.0.is_empty() { "" } else { MASK })
    }
}

impl Blank for Secret {
    fn is_blank(&self) -> bool {
        self.0.is_empty()
    }
}

/// A flag that is not written while it is off, so that an amtool that does not know it yet can read the rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct NewFlag(pub(crate) bool);

impl Blank for NewFlag {
    fn is_blank(&self) -> bool {
        !self.0
    }
}

/// The address of a proxy; a password in it is not shown.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(crate) struct ProxyUrl(String);

impl ProxyUrl {
    /// The address, password included.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The address with the password replaced, as Go's `URL.Redacted` does.
    fn redacted(&self) -> String {
        let Some((scheme, rest)) = self.0.split_once("://") else {
            return self.0.clone();
        };
        let end = rest.find('/').unwrap_or(rest.len());
        match rest[..end]
            .rsplit_once('@')
            .map(|(user, host)| (user.split_once(':'), host))
        {
            Some((Some((user, _)), host)) => {
                format!("{scheme}://{user}:xxxxx@{host}{}", &rest[end..])
            }
            _ => self.0.clone(),
        }
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.redacted(), f)
    }
}

impl Serialize for ProxyUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.redacted())
    }
}

impl Blank for ProxyUrl {
    fn is_blank(&self) -> bool {
        self.0.is_empty()
    }
}

/// An http or https address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct Url(String);

impl Url {
    /// Checks and wraps an address.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let Some((scheme, rest)) = text.split_once(':') else {
            return Err("unsupported scheme \"\" for URL".to_owned());
        };
        let scheme = scheme.to_ascii_lowercase();
        if scheme != "http" && scheme != "https" {
            return Err(format!("unsupported scheme {scheme:?} for URL"));
        }
        let authority = rest.strip_prefix("//").unwrap_or_default();
        let host = authority
            .split(['/', '?', '#'])
            .next()
            .unwrap_or_default()
            .rsplit('@')
            .next()
            .unwrap_or_default();
        if host.is_empty() {
            return Err("missing host for URL".to_owned());
        }
        if host
            .chars()
            .any(|character| character.is_whitespace() || character.is_control())
        {
            return Err(format!("invalid character in host name {host:?}"));
        }
        Ok(Self(text.to_owned()))
    }

    /// An address that is known to be right.
    pub(crate) fn known(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The address.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The address with its path ending in a slash.
    pub(crate) fn with_slash(&self) -> Self {
        if self.0.ends_with('/') || self.0.contains('?') {
            self.clone()
        } else {
            Self(format!("{}/", self.0))
        }
    }
}

impl<'de> Deserialize<'de> for Url {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// An address that holds a secret, such as Slack's webhook.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SecretUrl(Url);

impl SecretUrl {
    /// The address itself.
    pub(crate) fn reveal(&self) -> &str {
        self.0.as_str()
    }
}

impl From<Url> for SecretUrl {
    fn from(url: Url) -> Self {
        Self(url)
    }
}

impl<'de> Deserialize<'de> for SecretUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        // A configuration that was shown by the API is read again by amtool.
        if text == MASK {
            return Ok(Self(Url::known(MASK)));
        }
        Url::parse(&text).map(Self).map_err(D::Error::custom)
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl Serialize for SecretUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(MASK)
    }
}

/// A secret address that may be a template.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SecretTemplateUrl(Secret);

impl SecretTemplateUrl {
    /// The address or template itself.
    pub(crate) fn reveal(&self) -> &str {
        self.0.reveal()
    }

    /// Whether none was given.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'de> Deserialize<'de> for SecretTemplateUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if !(text.is_empty() || text == MASK || text.contains("{{")) {
            Url::parse(&text)
                .map_err(|reason| D::Error::custom(format!("invalid URL: {reason}")))?;
        }
        Ok(Self(Secret(text)))
    }
}

impl Serialize for SecretTemplateUrl {
    /// The server is shown, what comes behind it is not: people see where messages go, and an amtool from before addresses were
    /// secret can still read it.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let url = self.0.reveal();
        let parts = url
            .split_once("://")
            .filter(|_| !url.contains("{{") && !url.contains('@'));
        let Some((scheme, rest)) = parts else {
            return self.0.serialize(serializer);
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        match &rest[end..] {
            "" | "/" => serializer.serialize_str(url),
            _ => serializer.collect_str(&format_args!("{scheme}://{}/{MASK}", &rest[..end])),
        }
    }
}

impl Blank for SecretTemplateUrl {
    fn is_blank(&self) -> bool {
        self.0.is_empty()
    }
}

/// A duration as Prometheus writes it (`5m`, `1h30m`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PromDuration(pub(crate) Duration);

impl<'de> Deserialize<'de> for PromDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_duration(&text).map(Self).map_err(D::Error::custom)
    }
}

impl Serialize for PromDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format_duration(self.0))
    }
}

impl Blank for PromDuration {
    fn is_blank(&self) -> bool {
        self.0.is_zero()
    }
}

/// A duration as Go's `time.ParseDuration` reads it (`10s`, `1.5h`, `300ms`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GoDuration(pub(crate) Duration);

impl GoDuration {
    fn parse(text: &str) -> Option<Self> {
        if text == "0" {
            return Some(Self::default());
        }
        let mut rest = text.strip_prefix('+').unwrap_or(text);
        let mut total_secs = 0.0;
        if rest.is_empty() {
            return None;
        }
        while !rest.is_empty() {
            let number_end = rest
                .find(|character: char| !character.is_ascii_digit() && character != '.')
                .filter(|end| *end > 0)?;
            let number: f64 = rest[..number_end].parse().ok()?;
            rest = &rest[number_end..];
            let unit_end = rest
                .find(|character: char| character.is_ascii_digit() || character == '.')
                .unwrap_or(rest.len());
            let unit_secs = match &rest[..unit_end] {
                "ns" => 1e-9,
                "us" | "µs" | "μs" => 1e-6,
                "ms" => 1e-3,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                _ => return None,
            };
            total_secs += number * unit_secs;
            rest = &rest[unit_end..];
        }
        Duration::try_from_secs_f64(total_secs).ok().map(Self)
    }
}

impl<'de> Deserialize<'de> for GoDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            D::Error::custom(format!(
                "time: invalid duration {text:?}, expected for example \"10s\" or \"1.5h\""
            ))
        })
    }
}

impl Serialize for GoDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&go_duration(self.0))
    }
}

impl Blank for GoDuration {
    fn is_blank(&self) -> bool {
        self.0.is_zero()
    }
}

/// Renders as Go's `time.Duration` does for whole seconds (`1h0m0s`, `1m0s`, `10s`); a rest below is written in `ms`.
fn go_duration(duration: Duration) -> String {
    let (hours, minutes, seconds) = (
        duration.as_secs() / 3600,
        duration.as_secs() / 60 % 60,
        duration.as_secs() % 60,
    );
    let millis = duration.subsec_millis();
    let seconds = match (seconds, millis) {
        (0, millis) if hours == 0 && minutes == 0 && millis > 0 => return format!("{millis}ms"),
        (seconds, 0) => format!("{seconds}s"),
        (seconds, millis) => format!(
            "{}s",
            format!("{seconds}.{millis:03}").trim_end_matches('0')
        ),
    };
    match (hours, minutes) {
        (0, 0) => seconds,
        (0, minutes) => format!("{minutes}m{seconds}"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
    }
}

/// `host:port`, as Go's `net.SplitHostPort` splits it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HostPort {
    /// The host, without brackets.
    pub(crate) host: String,
    /// The port, a number or a service name.
    pub(crate) port: String,
}

impl HostPort {
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => rest
                .split_once("]:")
                .ok_or_else(|| format!("address {text}: missing port in address"))?,
            None => text
                .rsplit_once(':')
                .ok_or_else(|| format!("address {text}: missing port in address"))?,
        };
        if host.contains(':') && !text.starts_with('[') {
            return Err(format!("address {text}: too many colons in address"));
        }
        if port.is_empty() {
            return Err(format!("address {text:?}: port cannot be empty"));
        }
        Ok(Self {
            host: host.to_owned(),
            port: port.to_owned(),
        })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_blank() {
            Ok(())
        } else if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl<'de> Deserialize<'de> for HostPort {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl Serialize for HostPort {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Blank for HostPort {
    fn is_blank(&self) -> bool {
        self.host.is_empty() && self.port.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_never_shown() {
        let secret = Secret::from("hunter2".to_owned());
        assert_eq!(format!("{secret:?}"), MASK);
        assert_eq!(serde_json::to_string(&secret).unwrap(), "\"<secret>\"");
        let proxy: ProxyUrl = serde_json::from_str("\"http://me:pw@proxy:1/x\"").unwrap();
        assert_eq!(format!("{proxy:?}"), "\"http://me:xxxxx@proxy:1/x\"");
        for (url, shown) in [
            ("http://web:80/?token=x", "http://web:80/<secret>"),
            ("http://web/hook/x", "http://web/<secret>"),
            ("http://web/", "http://web/"),
            ("http://me:pw@web/", "<secret>"),
            ("{{ .X }}", "<secret>"),
        ] {
            let url: SecretTemplateUrl = serde_json::from_value(url.into()).unwrap();
            assert_eq!(serde_json::to_value(&url).unwrap(), shown);
        }
        let url: SecretUrl = serde_json::from_str("\"https://hooks/T0/B0\"").unwrap();
        assert_eq!(format!("{url:?}"), MASK);
        assert_eq!(url.reveal(), "https://hooks/T0/B0");
    }

    #[test]
    fn addresses_are_checked() {
        for (text, expected) in [
            ("http://a", None),
            ("HTTPS://user:pw@a:1/b?c", None),
            ("ftp://a", Some("unsupported scheme \"ftp\" for URL")),
            ("a", Some("unsupported scheme \"\" for URL")),
            ("http:///path", Some("missing host for URL")),
        ] {
            assert_eq!(Url::parse(text).err().as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn go_durations() {
        for (text, expected) in [
            ("10s", Some("10s")),
            ("1.5h", Some("1h30m0s")),
            ("1h0m", Some("1h0m0s")),
            ("300ms", Some("300ms")),
            ("1.5s", Some("1.5s")),
            ("0", Some("0s")),
            ("5", None),
            ("", None),
            ("s", None),
            ("1d", None),
        ] {
            let read = GoDuration::parse(text).map(|duration| go_duration(duration.0));
            assert_eq!(read.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn host_and_port() {
        for (text, expected) in [
            ("localhost:25", Ok("localhost:25")),
            ("[::1]:25", Ok("[::1]:25")),
            ("", Ok("")),
            (
                "localhost",
                Err("address localhost: missing port in address"),
            ),
            (
                "localhost:",
                Err("address \"localhost:\": port cannot be empty"),
            ),
            ("::1:25", Err("address ::1:25: too many colons in address")),
        ] {
            let read = HostPort::parse(text).map(|address| address.to_string());
            assert_eq!(read.as_deref().map_err(String::as_str), expected, "{text}");
        }
    }
}

//! The http prober: a request, its redirects, and what the last answer must be.

use std::time::Duration;

use bytes::Bytes;
use gameday_env::Env;
use http::{Method, Response, StatusCode, Uri, header};
use hyper::body::Incoming;

use super::config::Module;
use super::http_answer::{Answer, Body, CEL, REGEX, http_date};
use super::http_request::{Answered, Hop, Phases};
use super::probe::{Probe, SessionMetrics};
use super::settings::HttpSettings;

/// Redirects that are followed (net/http's limit).
const REDIRECTS_MAX: u32 = 10;
/// Cookies that are kept over redirects.
const COOKIES_MAX: usize = 64;
const BODY_BYTES: (&str, &str) = (
    "probe_http_uncompressed_body_length",
    "Length of uncompressed response body",
);
const CONTENT_LENGTH: (&str, &str) = (
    "probe_http_content_length",
    "Length of http content response",
);
const DURATION: (&str, &str) = (
    "probe_http_duration_seconds",
    "Duration of http request by phase, summed over all redirects",
);
const REDIRECTS: (&str, &str) = ("probe_http_redirects", "The number of redirects");
const SSL: (&str, &str) = (
    "probe_http_ssl",
    "Indicates if SSL was used for the final redirect",
);
const STATUS: (&str, &str) = ("probe_http_status_code", "Response HTTP status code");
const VERSION: (&str, &str) = (
    "probe_http_version",
    "Returns the version of HTTP of the probe response",
);

pub(super) async fn run(env: &Env, module: &Module, target: &str, probe: &mut Probe) -> bool {
    let settings = &module.http;
    for metric in [
        BODY_BYTES,
        CONTENT_LENGTH,
        REDIRECTS,
        REGEX,
        SSL,
        STATUS,
        VERSION,
    ] {
        probe.set(metric, 0.0);
    }
    if settings.fail_if_body_json_matches_cel.is_some()
        || settings.fail_if_body_json_not_matches_cel.is_some()
    {
        probe.set(CEL, 0.0);
    }
    let mut first = match first_hop(settings, target) {
        Ok(hop) => hop,
        Err(reason) => {
            probe.fail(format!("Could not parse target URL: {reason}"));
            return false;
        }
    };
    let mut phases = Phases::default();
    let proxied = !settings.proxy_url.is_empty() || settings.proxy_from_environment;
    if !(proxied && settings.skip_resolve_phase_with_proxy) {
        let host = first.address().map(|address| address.host);
        let (preferred, fallback) = (
            settings.preferred_ip_protocol,
            settings.ip_protocol_fallback,
        );
        let begin = env.now();
        let found = probe
            .resolve(&host.unwrap_or_default(), preferred, fallback)
            .await;
        phases.resolve = env.now().since(begin);
        let Some((ip, _)) = found else {
            let labels = [("phase", "resolve")];
            let took = phases.resolve.as_secs_f64();
            probe.gauge(DURATION.0, DURATION.1, &labels, took);
            return false;
        };
        first.ip = Some(ip);
    }
    let limit = probe.left();
    let mut walk = Walk {
        env,
        settings,
        phases,
        redirects: 0,
        cookies: Vec::new(),
    };
    let walked = env.clock().timeout(limit, walk.go(first, probe)).await;
    let walked = walked.unwrap_or_else(|elapsed| Err(elapsed.to_string()));
    let success = match walked {
        Ok(last) => walk.finish(last, probe).await,
        Err(reason) => {
            probe.fail(format!("Error for HTTP request: {reason}"));
            false
        }
    };
    walk.report(probe);
    success
}

fn first_hop(settings: &HttpSettings, target: &str) -> Result<Hop, String> {
    let lower = target.to_ascii_lowercase();
    let url = if lower.starts_with("http://") || lower.starts_with("https://") {
        target.to_owned()
    } else {
        format!("http://{target}")
    };
    let uri: Uri = url.parse().map_err(|error| format!("{url:?}: {error}"))?;
    let body = if settings.body_file.is_empty() {
        Bytes::from(settings.body.clone())
    } else {
        let read = std::fs::read(&settings.body_file);
        let failed = |error| format!("cannot read {}: {error}", settings.body_file);
        read.map_err(failed)?.into()
    };
    let mut configured = settings.headers.iter();
    let named = configured.find(|(name, _)| name.eq_ignore_ascii_case("host"));
    let method = match settings.method.as_str() {
        "" => "GET",
        method => method,
    };
    Ok(Hop {
        method: Method::from_bytes(method.as_bytes()).map_err(|error| error.to_string())?,
        host_header: named.map_or_else(|| host_of(&uri), |(_, value)| value.clone()),
        uri,
        ip: None,
        body,
        is_own_host: true,
        cookies: String::new(),
    })
}

/// Host and port as they stand in the address, without a user.
fn host_of(uri: &Uri) -> String {
    let authority = uri.authority().map_or("", |it| it.as_str());
    let host = authority.rsplit_once('@').map_or(authority, |(_, it)| it);
    host.to_owned()
}

/// The answer that nothing follows.
struct Last {
    answered: Answered,
    is_head: bool,
    /// Whether it is a redirect that is not followed.
    is_redirect: bool,
}

/// From request to request.
struct Walk<'a> {
    env: &'a Env,
    settings: &'a HttpSettings,
    phases: Phases,
    redirects: u32,
    /// By host.
    cookies: Vec<(String, String, String)>,
}

impl Walk<'_> {
    /// Requests the target and what it redirects to.
    async fn go(&mut self, first: Hop, probe: &mut Probe) -> Result<Last, String> {
        let mut hop = first;
        loop {
            hop.cookies = self.cookies_for(&hop);
            let answered = hop
                .send(self.env, self.settings, probe, &mut self.phases)
                .await?;
            let status = answered.response.status();
            probe.say(format!("Received HTTP response {}", status.as_u16()));
            self.keep_cookies(&hop, &answered.response);
            let is_head = hop.method == Method::HEAD;
            let Some(location) = location(&answered.response) else {
                return Ok(Last {
                    answered,
                    is_head,
                    is_redirect: false,
                });
            };
            probe.say(format!("Received redirect to {location:?}"));
            self.redirects += 1;
            if self.redirects > REDIRECTS_MAX || !self.settings.follows() {
                probe.say("Not following redirect");
                return Ok(Last {
                    answered,
                    is_head,
                    is_redirect: true,
                });
            }
            hop = self.next(&hop, status, &location).await?;
        }
    }

    async fn next(&mut self, hop: &Hop, status: StatusCode, location: &str) -> Result<Hop, String> {
        let url = resolve(&hop.uri, location);
        let parsed = url.parse();
        let uri: Uri =
            parsed.map_err(|error| format!("failed to parse Location {url:?}: {error}"))?;
        // As net/http: what is not kept for good becomes a GET without a body.
        let (method, body) = match (status.as_u16(), &hop.method) {
            (307 | 308, method) => (method.clone(), hop.body.clone()),
            (_, &Method::HEAD) => (Method::HEAD, Bytes::new()),
            _ => (Method::GET, Bytes::new()),
        };
        let is_relative = !has_scheme(location) && !location.starts_with("//");
        let is_same_host = uri.host() == hop.uri.host();
        let mut next = Hop {
            host_header: if is_relative {
                hop.host_header.clone()
            } else {
                host_of(&uri)
            },
            uri,
            method,
            ip: hop.ip,
            body,
            is_own_host: hop.is_own_host && is_same_host,
            cookies: String::new(),
        };
        if !is_same_host && hop.ip.is_some() {
            let begin = self.env.now();
            let host = next.address()?.host;
            let found = self.env.lookup(&host).await;
            next.ip = found.map_err(|error| error.to_string())?.first().copied();
            self.phases.resolve += self.env.now().since(begin);
        }
        Ok(next)
    }

    fn cookies_for(&self, hop: &Hop) -> String {
        let host = hop.uri.host().unwrap_or_default();
        let own = self.cookies.iter().filter(|(of, ..)| of == host);
        let pairs: Vec<String> = own
            .map(|(_, name, value)| format!("{name}={value}"))
            .collect();
        pairs.join("; ")
    }

    /// Keeps what the host itself will ask for again (RFC 6265, section 5.3, without domains and paths).
    fn keep_cookies(&mut self, hop: &Hop, response: &Response<Incoming>) {
        let host = hop.uri.host().unwrap_or_default();
        for value in response.headers().get_all(header::SET_COOKIE) {
            let Ok(text) = value.to_str() else {
                continue;
            };
            let mut parts = text.split(';').map(str::trim);
            let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
                continue;
            };
            self.cookies
                .retain(|(of, known, _)| of != host || known != name);
            let mut attributes = parts.map(str::to_ascii_lowercase);
            let gone = attributes.any(|it| it == "max-age=0" || it.starts_with("max-age=-"));
            if !gone && self.cookies.len() < COOKIES_MAX {
                let cookie = (host.to_owned(), name.to_owned(), value.to_owned());
                self.cookies.push(cookie);
            }
        }
    }

    /// Reads the body of the last answer and judges it.
    async fn finish(&mut self, last: Last, probe: &mut Probe) -> bool {
        let (head, incoming) = last.answered.response.into_parts();
        let body = if last.is_redirect {
            None
        } else {
            let begin = self.env.now();
            let reading = Body::read(self.settings, incoming);
            let read = self.env.clock().timeout(probe.left(), reading).await;
            self.phases.transfer = self.env.now().since(begin);
            Some(read.unwrap_or_else(|elapsed| Body {
                problem: Some(elapsed.to_string()),
                ..Body::default()
            }))
        };
        let answer = Answer {
            status: head.status,
            version: head.version,
            headers: head.headers,
            session: last.answered.session,
            is_head: last.is_head,
            body,
        };
        probe.set(STATUS, f64::from(answer.status.as_u16()));
        probe.set(CONTENT_LENGTH, answer.content_length());
        let length = answer.body.as_ref().map_or(0, |body| body.bytes.len());
        probe.set(BODY_BYTES, length as f64);
        let version = answer.protocol().trim_start_matches("HTTP/").parse();
        probe.set(VERSION, version.unwrap_or(0.0));
        let modified = answer.headers.get(header::LAST_MODIFIED);
        if let Some(modified) = modified.and_then(|value| http_date(value.to_str().ok()?)) {
            let help = "Returns the Last-Modified HTTP response header in unixtime";
            probe.set(
                ("probe_http_last_modified_timestamp_seconds", help),
                modified,
            );
        }
        if let Some(session) = &answer.session {
            probe.set(SSL, 1.0);
            probe.session(session, SessionMetrics::All);
        }
        answer.judge(self.settings, probe)
    }

    fn report(&self, probe: &mut Probe) {
        probe.set(REDIRECTS, f64::from(self.redirects));
        let phases: [(&str, Duration); 5] = [
            ("connect", self.phases.connect),
            ("processing", self.phases.processing),
            ("resolve", self.phases.resolve),
            ("tls", self.phases.tls),
            ("transfer", self.phases.transfer),
        ];
        for (phase, duration) in phases {
            let labels = [("phase", phase)];
            probe.gauge(DURATION.0, DURATION.1, &labels, duration.as_secs_f64());
        }
    }
}

/// Where an answer redirects to, if it does.
fn location(response: &Response<Incoming>) -> Option<String> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let value = response.headers().get(header::LOCATION)?.to_str().ok()?;
    (!value.is_empty()).then(|| value.to_owned())
}

fn has_scheme(location: &str) -> bool {
    let scheme = location.split_once(':').map_or("", |(scheme, _)| scheme);
    let allowed = |it: char| it.is_ascii_alphanumeric() || matches!(it, '+' | '-' | '.');
    scheme.starts_with(|it: char| it.is_ascii_alphabetic()) && scheme.chars().all(allowed)
}

/// A location against the address that answered with it (RFC 3986, section 5.2).
fn resolve(base: &Uri, location: &str) -> String {
    if has_scheme(location) {
        return location.to_owned();
    }
    let scheme = base.scheme_str().unwrap_or("http");
    if location.starts_with("//") {
        return format!("{scheme}:{location}");
    }
    let authority = base.authority().map_or("", |it| it.as_str());
    let (path, query) = match location.find(['?', '#']) {
        Some(at) => location.split_at(at),
        None => (location, ""),
    };
    let whole = if path.starts_with('/') {
        path.to_owned()
    } else if path.is_empty() {
        base.path().to_owned()
    } else {
        let folder = base.path().rsplit_once('/').map_or("", |(it, _)| it);
        format!("{folder}/{path}")
    };
    format!("{scheme}://{authority}{}{query}", without_dots(&whole))
}

/// A path without its `.` and `..` (RFC 3986, section 5.2.4).
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    for (index, segment) in segments.iter().enumerate() {
        let is_last = index + 1 == segments.len();
        match *segment {
            "." => {}
            ".." => {
                kept.pop();
            }
            segment => {
                kept.push(segment);
                continue;
            }
        }
        if is_last {
            kept.push("");
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_resolved() {
        let base: Uri = "http://a:1/x/y?z".parse().expect("valid");
        for (location, expected) in [
            ("/q", "http://a:1/q"),
            ("q", "http://a:1/x/q"),
            ("q/?r", "http://a:1/x/q/?r"),
            ("?r", "http://a:1/x/y?r"),
            ("../q", "http://a:1/q"),
            ("../../..", "http://a:1/"),
            ("./", "http://a:1/x/"),
            ("//b/q", "http://b/q"),
            ("http://b/", "http://b/"),
            ("HTTPS://b/", "HTTPS://b/"),
        ] {
            assert_eq!(resolve(&base, location), expected, "{location}");
        }
    }
}

//! The http prober: a request, its redirects, and what the answer must be.

use std::time::Duration;

use bytes::Bytes;
use gameday_env::{Address, Connection, Env};
use gameday_signal::Timestamp;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;

use super::Probe;
use super::config::{HeaderMatch, HttpSettings, Module};

/// Redirects that are followed (net/http's limit).
const REDIRECTS_MAX: u32 = 10;
/// The largest body that is read where the module sets no limit.
const BODY_BYTES_MAX: u64 = 64 << 20;

/// The phases of `probe_http_duration_seconds`, summed up over redirects.
#[derive(Clone, Copy, Debug, Default)]
struct Phases {
    connect: Duration,
    tls: Duration,
    processing: Duration,
    transfer: Duration,
    /// Whether the last request was over TLS.
    is_tls: bool,
}

/// What the last request came to.
struct Answer {
    status: StatusCode,
    version: Version,
    headers: HeaderMap,
    body: Bytes,
    too_large: bool,
}

pub(super) async fn run(
    env: &Env,
    module: &Module,
    target: &str,
    deadline: Timestamp,
    probe: &mut Probe,
) -> bool {
    let settings = &module.http;
    let mut phases = Phases::default();
    let mut redirects = 0;
    let answer = request_all(env, settings, target, probe, &mut phases, &mut redirects).await;
    report_phases(probe, phases, f64::from(redirects));
    let success = match &answer {
        Some(answer) => {
            report_answer(probe, answer);
            judge(settings, answer, phases.is_tls, probe)
        }
        None => {
            report_failure(probe);
            false
        }
    };
    success && env.now() <= deadline
}

/// Requests the target and what it redirects to; none where a connection fails.
async fn request_all(
    env: &Env,
    settings: &HttpSettings,
    target: &str,
    probe: &mut Probe,
    phases: &mut Phases,
    redirects: &mut u32,
) -> Option<Answer> {
    let mut url = if target.starts_with("http://") || target.starts_with("https://") {
        target.to_owned()
    } else {
        format!("http://{target}")
    };
    loop {
        let uri: Uri = match url.parse() {
            Ok(uri) => uri,
            Err(error) => {
                probe.say(format!("Could not parse target URL {url:?}: {error}"));
                return None;
            }
        };
        let answer = match request(env, settings, &uri, probe, phases).await {
            Ok(answer) => answer,
            Err(problem) => {
                probe.say(format!("Error for HTTP request to {url}: {problem}"));
                return None;
            }
        };
        let follows = settings.follow_redirects && settings.no_follow_redirects != Some(true);
        let location = answer
            .headers
            .get(header::LOCATION)
            .and_then(|value| value.to_str().ok())
            .filter(|_| answer.status.is_redirection() && follows);
        let Some(location) = location else {
            return Some(answer);
        };
        if *redirects == REDIRECTS_MAX {
            probe.say(format!("stopped after {REDIRECTS_MAX} redirects"));
            return None;
        }
        *redirects += 1;
        url = resolve(&uri, location);
        probe.say(format!("Redirect to {url}"));
    }
}

/// A location against the address that answered with it.
fn resolve(base: &Uri, location: &str) -> String {
    if location.contains("://") {
        return location.to_owned();
    }
    let (scheme, authority) = (
        base.scheme_str().unwrap_or("http"),
        base.authority().map_or("", |it| it.as_str()),
    );
    if location.starts_with('/') {
        return format!("{scheme}://{authority}{location}");
    }
    let folder = base
        .path()
        .rsplit_once('/')
        .map_or("", |(folder, _)| folder);
    format!("{scheme}://{authority}{folder}/{location}")
}

async fn request(
    env: &Env,
    settings: &HttpSettings,
    uri: &Uri,
    probe: &mut Probe,
    phases: &mut Phases,
) -> Result<Answer, String> {
    let is_tls = uri.scheme_str() == Some("https");
    let host = uri
        .host()
        .ok_or("the target has no host")?
        .trim_matches(['[', ']']);
    let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    let address = Address::new(host, port);
    let request = build(settings, uri)?;
    // The network resolves the name as it dials.
    probe.resolved(env, &address, Duration::ZERO);
    let begin = env.now();
    let dialled = env.dial(&address).await;
    let connection = dialled.map_err(|error| error.to_string())?;
    let connected = env.now();
    phases.connect += connected.since(begin);
    phases.is_tls = is_tls;
    if !is_tls {
        return converse(env, settings, connection, request, phases).await;
    }
    let tls = settings.tls_config.client(env)?;
    let shaken = tls.connect(host, connection).await;
    let (stream, session) = shaken.map_err(|error| error.to_string())?;
    phases.tls += env.now().since(connected);
    probe.session(&session);
    converse(env, settings, stream, request, phases).await
}

async fn converse(
    env: &Env,
    settings: &HttpSettings,
    stream: Connection,
    request: Request<Full<Bytes>>,
    phases: &mut Phases,
) -> Result<Answer, String> {
    let begin = env.now();
    let (mut sender, driver) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    env.spawn(async move {
        // Its error is the request's, which is told there.
        let _ = driver.await;
    });
    let sent = sender.send_request(request).await;
    let response = sent.map_err(|error| error.to_string())?;
    let first_byte = env.now();
    phases.processing += first_byte.since(begin);
    let answer = read(settings, response).await?;
    phases.transfer += env.now().since(first_byte);
    Ok(answer)
}

fn build(settings: &HttpSettings, uri: &Uri) -> Result<Request<Full<Bytes>>, String> {
    let method =
        Method::from_bytes(settings.method.as_bytes()).map_err(|error| error.to_string())?;
    let path = uri.path_and_query().map_or("/", |it| it.as_str());
    let authority = uri.authority().map_or("", |it| it.as_str());
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, authority)
        .header(header::USER_AGENT, "Blackbox Exporter/gameday")
        .body(Full::new(Bytes::from(settings.body.clone())))
        .map_err(|error| error.to_string())?;
    let headers = request.headers_mut();
    for (name, value) in &settings.headers {
        let name: header::HeaderName = name.parse().map_err(|_| format!("header {name:?}"))?;
        let value = HeaderValue::from_str(value).map_err(|_| format!("value of header {name}"))?;
        headers.insert(name, value);
    }
    let authorization = if let Some(basic) = &settings.basic_auth {
        Some(format!(
            "Basic {}",
            base64(&format!("{}:{}", basic.username, basic.password))
        ))
    } else if settings.bearer_token.is_empty() {
        None
    } else {
        Some(format!("Bearer {}", settings.bearer_token))
    };
    if let Some(value) = authorization {
        let value = HeaderValue::from_str(&value).map_err(|_| "authorization".to_owned())?;
        headers.insert(header::AUTHORIZATION, value);
    }
    Ok(request)
}

/// Base64 with padding (RFC 4648, section 4).
fn base64(text: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in text.as_bytes().chunks(3) {
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

async fn read(
    settings: &HttpSettings,
    response: Response<hyper::body::Incoming>,
) -> Result<Answer, String> {
    let (head, body) = response.into_parts();
    let limit = match settings.body_size_limit {
        0 => BODY_BYTES_MAX,
        limit => limit,
    };
    let collected = Limited::new(body, usize::try_from(limit).unwrap_or(usize::MAX))
        .collect()
        .await;
    let (body, too_large) = match collected {
        Ok(collected) => (collected.to_bytes(), false),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => (Bytes::new(), true),
        Err(error) => return Err(error.to_string()),
    };
    Ok(Answer {
        status: head.status,
        version: head.version,
        headers: head.headers,
        body,
        too_large,
    })
}

fn report_phases(probe: &mut Probe, phases: Phases, redirects: f64) {
    for (phase, duration) in [
        ("connect", phases.connect),
        ("processing", phases.processing),
        ("resolve", Duration::ZERO),
        ("tls", phases.tls),
        ("transfer", phases.transfer),
    ] {
        probe.gauge(
            "probe_http_duration_seconds",
            "Seconds of the request by phase, summed up over all redirects.",
            &[("phase", phase)],
            duration.as_secs_f64(),
        );
    }
    probe.gauge(
        "probe_http_redirects",
        "Redirects that were followed.",
        &[],
        redirects,
    );
    probe.gauge(
        "probe_http_ssl",
        "Whether TLS was used for the last redirect.",
        &[],
        f64::from(u8::from(phases.is_tls)),
    );
}

const BODY_BYTES: (&str, &str) = (
    "probe_http_uncompressed_body_length",
    "Length of the uncompressed body.",
);
const CONTENT_LENGTH: (&str, &str) = ("probe_http_content_length", "Length of the content.");
const STATUS: (&str, &str) = ("probe_http_status_code", "Status code of the answer.");
const VERSION: (&str, &str) = ("probe_http_version", "HTTP version of the answer.");
const REGEX: (&str, &str) = (
    "probe_failed_due_to_regex",
    "Whether the probe failed because of a regular expression.",
);

fn set(probe: &mut Probe, (name, help): (&str, &str), value: f64) {
    probe.gauge(name, help, &[], value);
}

fn report_failure(probe: &mut Probe) {
    for metric in [BODY_BYTES, CONTENT_LENGTH, REGEX, STATUS, VERSION] {
        set(probe, metric, 0.0);
    }
}

fn report_answer(probe: &mut Probe, answer: &Answer) {
    let content_length = answer
        .headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .unwrap_or(-1.0);
    set(probe, CONTENT_LENGTH, content_length);
    set(probe, BODY_BYTES, answer.body.len() as f64);
    set(probe, STATUS, f64::from(answer.status.as_u16()));
    set(probe, VERSION, version_number(answer.version));
    let modified = answer
        .headers
        .get(header::LAST_MODIFIED)
        .and_then(|value| http_date(value.to_str().ok()?));
    if let Some(modified) = modified {
        probe.gauge(
            "probe_http_last_modified_timestamp_seconds",
            "The Last-Modified header in seconds since the Unix epoch.",
            &[],
            modified,
        );
    }
}

fn version_number(version: Version) -> f64 {
    match version {
        Version::HTTP_09 => 0.9,
        Version::HTTP_10 => 1.0,
        Version::HTTP_2 => 2.0,
        Version::HTTP_3 => 3.0,
        _ => 1.1,
    }
}

/// Seconds since the Unix epoch of `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, 5.6.7, the preferred form).
fn http_date(text: &str) -> Option<f64> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let mut words = text.split_once(", ")?.1.split(' ');
    let day: i64 = words.next()?.parse().ok()?;
    let month_name = words.next()?;
    let month = MONTHS.iter().position(|month| *month == month_name)? as i64 + 1;
    let year: i64 = words.next()?.parse().ok()?;
    let mut clock = words.next()?.split(':').map(str::parse::<i64>);
    let (hour, minute, second) = (
        clock.next()?.ok()?,
        clock.next()?.ok()?,
        clock.next()?.ok()?,
    );
    let days = gameday_signal::days_from_civil(year, month, day);
    Some((days * 86_400 + hour * 3600 + minute * 60 + second) as f64)
}

/// Whether the answer is as the module wants it; says every reason why not.
fn judge(settings: &HttpSettings, answer: &Answer, is_tls: bool, probe: &mut Probe) -> bool {
    let mut success = true;
    let mut fail = |probe: &mut Probe, reason: String| {
        probe.say(reason);
        success = false;
    };
    let status = answer.status.as_u16();
    let wanted = if settings.valid_status_codes.is_empty() {
        answer.status.is_success()
    } else {
        settings.valid_status_codes.contains(&status)
    };
    if !wanted {
        fail(probe, format!("Invalid HTTP response status code {status}"));
    }
    let version = format!("{:?}", answer.version);
    let versions = &settings.valid_http_versions;
    if !versions.is_empty() && !versions.contains(&version) {
        fail(probe, format!("Invalid HTTP version number {version}"));
    }
    if settings.fail_if_ssl && is_tls {
        fail(probe, "Final request was over SSL".to_owned());
    }
    if settings.fail_if_not_ssl && !is_tls {
        fail(probe, "Final request was not over SSL".to_owned());
    }
    if answer.too_large {
        fail(probe, "The body is larger than body_size_limit".to_owned());
    }
    let body = String::from_utf8_lossy(&answer.body);
    let forbidden = settings
        .fail_if_body_matches_regexp
        .iter()
        .find(|it| it.is_match(&body));
    let missing = settings
        .fail_if_body_not_matches_regexp
        .iter()
        .find(|it| !it.is_match(&body));
    let header = broken_header(settings, &answer.headers);
    let reason = match (forbidden, missing, header) {
        (Some(regex), _, _) => Some(format!("Body matched regular expression {regex}")),
        (_, Some(regex), _) => Some(format!("Body did not match regular expression {regex}")),
        (_, _, Some(name)) => Some(format!("Header {name} does not match as it should")),
        _ => None,
    };
    set(probe, REGEX, f64::from(u8::from(reason.is_some())));
    if let Some(reason) = reason {
        fail(probe, reason);
    }
    success
}

/// The name of a header that is not as it must be.
fn broken_header<'a>(settings: &'a HttpSettings, headers: &HeaderMap) -> Option<&'a str> {
    let values = |wanted: &HeaderMatch| -> Vec<String> {
        headers
            .get_all(wanted.header.as_str())
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .collect()
    };
    let forbidden = settings.fail_if_header_matches.iter().find(|rule| {
        let values = values(rule);
        if values.is_empty() {
            !rule.allow_missing
        } else {
            values.iter().any(|value| rule.regexp.is_match(value))
        }
    });
    let missing = settings.fail_if_header_not_matches.iter().find(|rule| {
        let values = values(rule);
        if values.is_empty() {
            !rule.allow_missing
        } else {
            !values.iter().any(|value| rule.regexp.is_match(value))
        }
    });
    forbidden.or(missing).map(|rule| rule.header.as_str())
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
            assert_eq!(base64(text), expected);
        }
    }

    #[test]
    fn dates_and_locations() {
        assert_eq!(
            http_date("Sun, 06 Nov 1994 08:49:37 GMT"),
            Some(784_111_777.0)
        );
        assert_eq!(http_date("yesterday"), None);
        let base: Uri = "http://a:1/x/y?z".parse().expect("valid");
        for (location, expected) in [
            ("/q", "http://a:1/q"),
            ("q", "http://a:1/x/q"),
            ("http://b/", "http://b/"),
        ] {
            assert_eq!(resolve(&base, location), expected);
        }
    }
}

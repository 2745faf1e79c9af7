//! The answer to the http prober's last request: its body, and what it must be.

use std::io::Read as _;

use bytes::Bytes;
use flate2::read::{DeflateDecoder, MultiGzDecoder};
use gameday_env::TlsSession;
use http::{HeaderMap, StatusCode, Version, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::cel::Expression;
use super::http_request::explain;
use super::probe::Probe;
use super::settings::{HeaderMatch, HttpSettings};

/// The largest body that is read where the module sets no limit, compressed and not.
const BODY_BYTES_MAX: u64 = 64 << 20;
pub(super) const CEL: (&str, &str) = (
    "probe_failed_due_to_cel",
    "Indicates if probe failed due to CEL expression not matching",
);
pub(super) const REGEX: (&str, &str) = (
    "probe_failed_due_to_regex",
    "Indicates if probe failed due to regex",
);

/// The head of the last answer, and what was read of its body.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) version: Version,
    pub(super) headers: HeaderMap,
    pub(super) session: Option<TlsSession>,
    pub(super) is_head: bool,
    /// None where the answer is a redirect that is not followed, whose body nobody reads.
    pub(super) body: Option<Body>,
}

/// A body, decompressed, as far as it was read.
#[derive(Debug, Default)]
pub(super) struct Body {
    pub(super) bytes: Bytes,
    /// Why it is not the whole body.
    pub(super) problem: Option<String>,
    /// Why it is not compressed as the module wants it, if it is not.
    pub(super) undecodable: Option<String>,
}

impl Body {
    /// Reads a body.
    pub(super) async fn read(settings: &HttpSettings, mut incoming: Incoming) -> Self {
        let limit = match settings.body_size_limit {
            0 => BODY_BYTES_MAX,
            limit => limit,
        };
        let algorithm = settings.compression.to_ascii_lowercase();
        let is_plain = matches!(algorithm.as_str(), "" | "identity");
        let raw_limit = if is_plain { limit } else { BODY_BYTES_MAX };
        let room = usize::try_from(raw_limit).unwrap_or(usize::MAX);
        let mut raw = Vec::new();
        let mut problem = None;
        while let Some(frame) = incoming.frame().await {
            match frame.map(|it| it.into_data().unwrap_or_default()) {
                Ok(data) if data.len() <= room - raw.len() => raw.extend_from_slice(&data),
                Ok(data) => {
                    raw.extend_from_slice(&data[..room - raw.len()]);
                    problem = Some(too_large(raw_limit));
                    break;
                }
                Err(error) => {
                    problem = Some(explain(&error));
                    break;
                }
            }
        }
        if is_plain {
            return Self {
                bytes: raw.into(),
                problem,
                undecodable: None,
            };
        }
        Self::decompressed(&algorithm, &raw, limit, problem)
    }

    fn decompressed(algorithm: &str, raw: &[u8], limit: u64, problem: Option<String>) -> Self {
        let mut bytes = Vec::new();
        let read = match algorithm {
            "gzip" if !raw.starts_with(&[0x1f, 0x8b]) => {
                // Whoever has looked for the header has read the body.
                return Self {
                    bytes: Bytes::new(),
                    problem,
                    undecodable: Some("gzip: invalid header".to_owned()),
                };
            }
            "gzip" => MultiGzDecoder::new(raw)
                .take(limit.saturating_add(1))
                .read_to_end(&mut bytes),
            _ => DeflateDecoder::new(raw)
                .take(limit.saturating_add(1))
                .read_to_end(&mut bytes),
        };
        let decoding = read.err().map(|error| format!("{algorithm}: {error}"));
        let mut problem = problem.or(decoding);
        if bytes.len() as u64 > limit {
            bytes.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
            problem = Some(too_large(limit));
        }
        Self {
            bytes: bytes.into(),
            problem,
            undecodable: None,
        }
    }
}

fn too_large(limit: u64) -> String {
    format!("http: request body too large, limit is {limit} bytes")
}

impl Answer {
    /// The length that the answer has, as net/http tells it: -1 where it does not say.
    pub(super) fn content_length(&self) -> f64 {
        let told = self.headers.get(header::CONTENT_LENGTH);
        let told = told.and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok());
        let without = self.status.is_informational()
            || matches!(
                self.status,
                StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
            );
        match told {
            Some(length) if !self.headers.contains_key(header::TRANSFER_ENCODING) => length as f64,
            _ if without && !self.is_head => 0.0,
            _ => -1.0,
        }
    }

    /// The version as the header of an answer writes it.
    pub(super) fn protocol(&self) -> &'static str {
        match self.version {
            Version::HTTP_09 => "HTTP/0.9",
            Version::HTTP_10 => "HTTP/1.0",
            Version::HTTP_2 => "HTTP/2.0",
            Version::HTTP_3 => "HTTP/3.0",
            _ => "HTTP/1.1",
        }
    }

    /// Whether it is as the module wants it; says every reason why not.
    pub(super) fn judge(&self, settings: &HttpSettings, probe: &mut Probe) -> bool {
        let status = self.status.as_u16();
        let mut success = if settings.valid_status_codes.is_empty() {
            self.status.is_success()
        } else {
            settings.valid_status_codes.contains(&status)
        };
        if !success {
            probe.fail(format!("Invalid HTTP response status code {status}"));
        }
        if success && let Some(reason) = broken_header(settings, &self.headers) {
            probe.set(REGEX, 1.0);
            probe.fail(reason);
            success = false;
        }
        if let Some(reason) = self.body.as_ref().and_then(|it| it.undecodable.as_ref()) {
            probe.fail(format!(
                "Failed to get decompressor for HTTP response body: {reason}"
            ));
            success = false;
        }
        if success && let Some(reason) = self.broken_body(settings) {
            probe.set(REGEX, 1.0);
            probe.fail(reason);
            success = false;
        }
        if success && let Some(reason) = self.broken_json(settings) {
            probe.set(CEL, 1.0);
            probe.fail(reason);
            success = false;
        }
        if let Some(reason) = self.body.as_ref().and_then(|it| it.problem.as_ref()) {
            probe.fail(format!("Failed to read HTTP response body: {reason}"));
            success = false;
        }
        let versions = &settings.valid_http_versions;
        if !versions.is_empty() && !versions.iter().any(|it| it == self.protocol()) {
            probe.fail(format!("Invalid HTTP version number {}", self.protocol()));
            success = false;
        }
        if settings.fail_if_ssl && self.session.is_some() {
            probe.fail("Final request was over SSL");
            success = false;
        }
        if settings.fail_if_not_ssl && self.session.is_none() && success {
            probe.fail("Final request was not over SSL");
            success = false;
        }
        success
    }

    fn broken_body(&self, settings: &HttpSettings) -> Option<String> {
        let forbidden = &settings.fail_if_body_matches_regexp;
        let required = &settings.fail_if_body_not_matches_regexp;
        if forbidden.is_empty() && required.is_empty() {
            return None;
        }
        let bytes = match self.whole_body() {
            Ok(bytes) => bytes,
            Err(reason) => return Some(reason),
        };
        let text = String::from_utf8_lossy(bytes);
        if let Some(regex) = forbidden.iter().find(|it| it.is_match(&text)) {
            return Some(format!("Body matched regular expression {regex}"));
        }
        let missing = required.iter().find(|it| !it.is_match(&text))?;
        Some(format!("Body did not match regular expression {missing}"))
    }

    fn broken_json(&self, settings: &HttpSettings) -> Option<String> {
        let forbidden = settings.fail_if_body_json_matches_cel.as_ref();
        let required = settings.fail_if_body_json_not_matches_cel.as_ref();
        let rules = [(forbidden, true), (required, false)];
        let rules = rules
            .into_iter()
            .filter_map(|(rule, bad)| Some((rule?, bad)));
        let rules: Vec<(&Expression, bool)> = rules.collect();
        if rules.is_empty() {
            return None;
        }
        let bytes = match self.whole_body() {
            Ok(bytes) => bytes,
            Err(reason) => return Some(reason),
        };
        let json: serde_json::Value = match serde_json::from_slice(bytes) {
            Ok(json) => json,
            Err(error) => return Some(format!("Error unmarshalling HTTP body to JSON: {error}")),
        };
        rules
            .into_iter()
            .find_map(|(expression, bad)| match expression.judge(&json) {
                Err(error) => Some(format!("Error evaluating CEL expression: {error}")),
                Ok(value) if value == bad => {
                    let how = if bad { "matched" } else { "did not match" };
                    Some(format!("Body {how} CEL expression {:?}", expression.text()))
                }
                Ok(_) => None,
            })
    }

    fn whole_body(&self) -> Result<&Bytes, String> {
        match &self.body {
            None => Err("Error reading HTTP body: the redirect was not followed".to_owned()),
            Some(Body {
                problem: Some(problem),
                ..
            }) => Err(format!("Error reading HTTP body: {problem}")),
            Some(body) => Ok(&body.bytes),
        }
    }
}

/// The first rule for headers that is broken.
fn broken_header(settings: &HttpSettings, headers: &HeaderMap) -> Option<String> {
    let values = |rule: &HeaderMatch| -> Vec<String> {
        let all = headers.get_all(rule.header.as_str()).iter();
        all.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .collect()
    };
    let rules = settings.fail_if_header_matches.iter().map(|it| (it, true));
    let not = &settings.fail_if_header_not_matches;
    for (rule, bad) in rules.chain(not.iter().map(|it| (it, false))) {
        let values = values(rule);
        let name = &rule.header;
        if values.is_empty() {
            if !rule.allow_missing {
                return Some(format!("Missing required header {name}"));
            }
            continue;
        }
        if values.iter().any(|value| rule.regexp.is_match(value)) == bad {
            let how = if bad { "matched" } else { "did not match" };
            return Some(format!(
                "Header {name} {how} regular expression {}",
                rule.regexp
            ));
        }
    }
    None
}

/// Seconds since the Unix epoch of a date in the preferred form (RFC 9110, section 5.6.7), `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(super) fn http_date(text: &str) -> Option<f64> {
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
    let plausible = (1..=31).contains(&day)
        && (0..=9999).contains(&year)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..61).contains(&second);
    let days = plausible.then(|| gameday_signal::days_from_civil(year, month, day))?;
    Some((days * 86_400 + hour * 3600 + minute * 60 + second) as f64)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn dates_are_read() {
        for (text, expected) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777.0)),
            ("Sun, 99 Nov 1994 08:49:37 GMT", None),
            ("Sun, 06 Nov 9223372036854775807 08:49:37 GMT", None),
            ("yesterday", None),
        ] {
            assert_eq!(http_date(text), expected, "{text}");
        }
    }

    #[test]
    fn bodies_are_decompressed_up_to_their_limit() {
        let text = b"hello ".repeat(100);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&text).expect("in memory");
        let gzip = gzip.finish().expect("in memory");
        let mut deflate =
            flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        deflate.write_all(&text).expect("in memory");
        let deflate = deflate.finish().expect("in memory");
        let read = |algorithm, raw: &[u8], limit| {
            let body = Body::decompressed(algorithm, raw, limit, None);
            (
                body.bytes.len(),
                body.problem.is_some(),
                body.undecodable.is_some(),
            )
        };
        assert_eq!(read("gzip", &gzip, 600), (600, false, false));
        assert_eq!(read("deflate", &deflate, 600), (600, false, false));
        assert_eq!(read("gzip", &gzip, 599), (599, true, false));
        assert_eq!(read("gzip", b"hello", 600), (0, false, true));
        assert!(read("gzip", &gzip[..gzip.len() - 9], 600).1);
        assert!(read("deflate", b"\xff\xff", 600).1);
    }
}

//! What the APIs share: parameters from query and form, times, answers.

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use gameday_signal::number::format_go;
use gameday_signal::{Timestamp, parse_duration};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

/// A form may have this many bytes; Prometheus takes 10 MiB.
const FORM_BYTES_MAX: usize = 10 << 20;

/// The parameters of a request, those of the query first, then those of a form.
#[derive(Clone, Debug, Default)]
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    /// The first value of a parameter, unless it is empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(own, _)| own == name)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// The parameters of an address alone.
    pub(crate) fn of_uri(uri: &http::Uri) -> Self {
        Self(decode(uri.query().unwrap_or_default().as_bytes()))
    }

    /// The value of a parameter that must be there.
    pub(crate) fn required(&self, name: &str) -> Result<&str, String> {
        self.get(name)
            .ok_or_else(|| format!("invalid parameter {name:?}: it is missing"))
    }

    /// All values of a parameter.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(own, _)| own == name)
            .map(|(_, value)| value.as_str())
    }

    /// Whether a flag is set; `default` where it is not given.
    pub(crate) fn flag(&self, name: &str, default: bool) -> Result<bool, String> {
        match self.get(name) {
            None => Ok(default),
            Some("true" | "1" | "t" | "T" | "TRUE" | "True") => Ok(true),
            Some("false" | "0" | "f" | "F" | "FALSE" | "False") => Ok(false),
            Some(other) => Err(format!(
                "invalid parameter {name:?}: {other:?} is no truth value"
            )),
        }
    }

    /// A whole number.
    pub(crate) fn number<N: std::str::FromStr>(&self, name: &str) -> Result<Option<N>, String> {
        let parse = |text: &str| {
            text.parse()
                .map_err(|_| format!("invalid parameter {name:?}: {text:?} is no number"))
        };
        self.get(name).map(parse).transpose()
    }
}

impl<S: Send + Sync> FromRequest<S> for Params {
    type Rejection = Response;

    async fn from_request(request: Request, _: &S) -> Result<Self, Response> {
        let mut pairs = decode(request.uri().query().unwrap_or_default().as_bytes());
        let is_form = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.starts_with("application/x-www-form-urlencoded"));
        if is_form {
            match to_bytes(request.into_body(), FORM_BYTES_MAX).await {
                Ok(body) => pairs.extend(decode(&body)),
                Err(_) => {
                    let message = format!("the form is larger than {FORM_BYTES_MAX} bytes");
                    return Err(text(StatusCode::PAYLOAD_TOO_LARGE, message));
                }
            }
        }
        Ok(Self(pairs))
    }
}

fn decode(bytes: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(bytes).into_owned().collect()
}

/// A plain text answer.
pub(crate) fn text(status: StatusCode, message: impl Into<String>) -> Response {
    (status, message.into()).into_response()
}

/// A JSON answer.
pub(crate) fn json_answer(status: StatusCode, body: &Value) -> Response {
    json_bytes(status, body.to_string())
}

/// A JSON answer that is already written.
pub(crate) fn json_bytes(status: StatusCode, body: String) -> Response {
    let mut response = Response::new(Body::from(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}

/// Any serialisable answer as JSON.
pub(crate) fn serialized<T: serde::Serialize>(body: &T) -> Response {
    match serde_json::to_string(body) {
        Ok(body) => json_bytes(StatusCode::OK, body),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

/// Prometheus' envelope of a success.
pub(crate) fn success(data: &Value) -> Response {
    json_answer(StatusCode::OK, &json!({"status": "success", "data": data}))
}

/// Prometheus' kinds of error with their statuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorType {
    BadData,
    Execution,
}

/// Prometheus' envelope of an error.
pub(crate) fn failure(kind: ErrorType, message: impl Into<String>) -> Response {
    let (status, name) = match kind {
        ErrorType::BadData => (StatusCode::BAD_REQUEST, "bad_data"),
        ErrorType::Execution => (StatusCode::UNPROCESSABLE_ENTITY, "execution"),
    };
    json_answer(
        status,
        &json!({"status": "error", "errorType": name, "error": message.into()}),
    )
}

/// A time as Prometheus takes it: seconds with a fraction, or RFC 3339.
pub(crate) fn parse_time(text: &str) -> Option<Timestamp> {
    match text.parse::<f64>() {
        // Rounded to milliseconds, as Prometheus does: a double has no exact nanoseconds.
        Ok(secs) if secs.is_finite() => {
            Some(Timestamp::from_millis((secs * 1000.0).round() as i64))
        }
        Ok(_) => None,
        Err(_) => text.parse::<jiff::Timestamp>().ok().map(|at| {
            Timestamp::from_nanos(i64::try_from(at.as_nanosecond()).unwrap_or(
                if at.as_second() < 0 {
                    i64::MIN
                } else {
                    i64::MAX
                },
            ))
        }),
    }
}

/// A duration in milliseconds as Prometheus takes it: seconds with a fraction, or `5m`.
pub(crate) fn parse_step_ms(text: &str) -> Option<i64> {
    if let Ok(secs) = text.parse::<f64>() {
        let ms = (secs * 1000.0).round();
        return (ms.is_finite() && ms.abs() < 9e15).then_some(ms as i64);
    }
    parse_duration(text)
        .ok()
        .and_then(|duration| i64::try_from(duration.as_millis()).ok())
}

/// A number as Prometheus' API writes it (util/jsonutil, MarshalFloat): as JavaScript would.
pub(crate) fn format_value(value: f64) -> String {
    format_go(value, 1e-6..1e21)
}

/// Milliseconds as seconds with up to three decimals, as Prometheus writes times.
pub(crate) fn push_time(out: &mut String, timestamp_ms: i64) {
    use std::fmt::Write;
    let (secs, ms) = (
        timestamp_ms.unsigned_abs() / 1000,
        timestamp_ms.unsigned_abs() % 1000,
    );
    let sign = if timestamp_ms < 0 { "-" } else { "" };
    // Writing to a String cannot fail.
    let _ = match ms {
        0 => write!(out, "{sign}{secs}"),
        ms => write!(out, "{sign}{secs}.{ms:03}"),
    };
}

/// A text as a JSON string.
pub(crate) fn push_json_text(out: &mut String, text: &str) {
    out.push_str(&serde_json::Value::from(text).to_string());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_both_forms() {
        for (text, ms) in [
            ("1700000000.123", 1_700_000_000_123),
            ("2023-11-14T22:13:20Z", 1_700_000_000_000),
            ("2023-11-14T23:13:20.5+01:00", 1_700_000_000_500),
        ] {
            assert_eq!(
                parse_time(text).map(Timestamp::as_millis),
                Some(ms),
                "{text}"
            );
        }
        for text in ["", "now", "NaN", "Inf"] {
            assert_eq!(parse_time(text), None, "{text}");
        }
        assert_eq!(
            (
                parse_step_ms("15"),
                parse_step_ms("0.5"),
                parse_step_ms("1m"),
                parse_step_ms("x")
            ),
            (Some(15_000), Some(500), Some(60_000), None)
        );
    }

    #[test]
    fn times_are_written_in_seconds() {
        let written = |ms| {
            let mut out = String::new();
            push_time(&mut out, ms);
            out
        };
        assert_eq!(
            (written(0), written(1_500), written(-1_005)),
            ("0".to_owned(), "1.500".to_owned(), "-1.005".to_owned())
        );
    }

    #[test]
    fn values_are_written_as_go_writes_them() {
        for (value, expected) in [
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (1.2345678901234569e23, "1.2345678901234569e+23"),
            (1e-6, "0.000001"),
            (-2.5e-10, "-2.5e-10"),
            (1e-7, "1e-07"),
            (5e-324, "5e-324"),
            (0.0, "0"),
            (0.1, "0.1"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
            (-0.0, "-0"),
        ] {
            assert_eq!(format_value(value), expected);
        }
    }
}

//! What the exporters' small HTTP servers share.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;

use bytes::Bytes;
use gameday_env::{Address, Env, NetError, ServeOptions, serve};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;

/// The largest body of a request.
const BODY_BYTES_MAX: usize = 4 << 20;

/// A request, read.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) path: String,
    /// The query's parameters, decoded; of several of a name the first.
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Serves `answer` at `address` as tasks of the host of `env`; over TCP, the socket it got.
pub(crate) async fn start<A, F>(
    env: &Env,
    address: &Address,
    answer: A,
) -> Result<Option<SocketAddr>, NetError>
where
    A: Fn(Asked) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let listener = env.listen(address).await?;
    let socket = listener.socket();
    let service = tower::service_fn(move |request: Request<Incoming>| {
        let answer = answer.clone();
        async move {
            Ok::<_, Infallible>(match read(request).await {
                Some(asked) => answer(asked).await,
                None => text(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    format!("the body is larger than {BODY_BYTES_MAX} bytes\n"),
                ),
            })
        }
    });
    serve(env, listener, service, ServeOptions::default());
    Ok(socket)
}

async fn read(request: Request<Incoming>) -> Option<Asked> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, BODY_BYTES_MAX).collect().await.ok()?;
    Some(Asked {
        method: head.method,
        path: head.uri.path().to_owned(),
        query: query(head.uri.query().unwrap_or_default()),
        headers: head.headers,
        body: body.to_bytes(),
    })
}

/// The parameters of a query string, percent-decoded.
pub(crate) fn query(text: &str) -> BTreeMap<String, String> {
    let mut parameters = BTreeMap::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        parameters
            .entry(decoded(name))
            .or_insert_with(|| decoded(value));
    }
    parameters
}

/// Percent-decoding with `+` for a space; what is no escape stays as it is.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while index < bytes.len() {
        let escaped = (bytes[index] == b'%')
            .then(|| bytes.get(index + 1..index + 3))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (escaped, bytes[index]) {
            (Some(byte), _) => {
                out.push(byte);
                index += 2;
            }
            (None, b'+') => out.push(b' '),
            (None, byte) => out.push(byte),
        }
        index += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// A plain text.
pub(crate) fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    typed(status, "text/plain; charset=utf-8", body)
}

/// An exposition in the text format 0.0.4.
pub(crate) fn exposition(body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    typed(
        StatusCode::OK,
        "text/plain; version=0.0.4; charset=utf-8",
        body,
    )
}

/// JSON.
pub(crate) fn json(status: StatusCode, value: &serde_json::Value) -> Response<Full<Bytes>> {
    typed(status, "application/json; charset=utf-8", value.to_string())
}

fn typed(
    status: StatusCode,
    media_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let media_type = HeaderValue::from_static(media_type);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, media_type);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_decoded() {
        let parameters =
            query("target=http%3A%2F%2Fa%3A1%2F&module=http_2xx&debug&x=a+b%zz&module=y");
        let pairs: Vec<String> = parameters
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(
            pairs,
            [
                "debug=",
                "module=http_2xx",
                "target=http://a:1/",
                "x=a b%zz"
            ]
        );
    }
}

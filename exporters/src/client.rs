//! An HTTP client that also speaks TLS.

use std::time::Duration;

use bytes::Bytes;
use gameday_env::{Address, Env, HttpClient};
use http::{HeaderValue, Request, Response, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;

use crate::tls::{self, Trust};

/// The largest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Plain requests share connections; one over TLS has its own, because they are few.
pub(crate) struct Client {
    env: Env,
    plain: HttpClient,
}

impl Client {
    /// A client on the host of `env`.
    pub(crate) fn new(env: &Env) -> Self {
        let plain = env.http_client();
        let env = env.clone();
        Self { env, plain }
    }

    /// Sends a request with an absolute address and reads the whole answer; an error is told in words.
    pub(crate) async fn send(
        &self,
        request: Request<Bytes>,
        limit: Duration,
    ) -> Result<Response<Bytes>, String> {
        if request.uri().scheme_str() != Some("https") {
            let answered = self.plain.send(request, limit).await;
            return answered.map_err(|error| error.to_string());
        }
        let uri = request.uri().clone();
        let exchanged = self
            .env
            .clock()
            .timeout(limit, self.over_tls(request))
            .await;
        exchanged
            .map_err(|elapsed| elapsed.to_string())
            .and_then(|answered| answered)
            .map_err(|reason| format!("{uri}: {reason}"))
    }

    async fn over_tls(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, String> {
        let uri = request.uri().clone();
        let host = uri.host().ok_or("there is no host in it")?;
        let host = host.trim_matches(['[', ']']);
        let authority = uri.authority().map_or(host, |it| it.as_str());
        let value = HeaderValue::from_str(authority).map_err(|error| error.to_string())?;
        request.headers_mut().insert(header::HOST, value);
        // On the wire there is only the path.
        *request.uri_mut() = match uri.path_and_query() {
            Some(path) => Uri::from(path.clone()),
            None => Uri::from_static("/"),
        };
        let address = Address::new(host, uri.port_u16().unwrap_or(443));
        let dialled = self.env.dial(&address).await;
        let connection = dialled.map_err(|error| error.to_string())?;
        let trust = Trust::default();
        let (stream, _) = tls::connect(&self.env, &trust, host, connection).await?;
        let broken = |error: hyper::Error| error.to_string();
        let shaken = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, driver) = shaken.map_err(broken)?;
        self.env.spawn(async move {
            // Its error is the request's, which is told there.
            let _ = driver.await;
        });
        let response = sender
            .send_request(request.map(Full::new))
            .await
            .map_err(broken)?;
        let (head, body) = response.into_parts();
        let collected = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        let body = collected.map_err(|error| error.to_string())?.to_bytes();
        Ok(Response::from_parts(head, body))
    }
}

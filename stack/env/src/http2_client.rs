//! An HTTP/2 client that dials through the network of the simulation: what gRPC needs.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::sync::Mutex;

use crate::clock::HttpTimer;
use crate::host::Env;
use crate::http_client::{HostExecutor, HttpError, HttpErrorKind};
use crate::net::{Address, NetError};
use crate::tls::{TlsClient, TlsOptions};

/// A client of one server, over one connection that is made again when it has broken. A clone shares it.
#[derive(Clone)]
pub struct Http2Client {
    env: Env,
    address: Address,
    tls: Option<TlsOptions>,
    sender: Arc<Mutex<Option<SendRequest<Full<Bytes>>>>>,
}

/// The largest answer that is read.
const RESPONSE_BYTES_MAX: usize = 4 << 20;

impl Http2Client {
    pub(crate) fn new(env: &Env, address: Address, tls: Option<TlsOptions>) -> Self {
        Self {
            env: env.clone(),
            address,
            tls,
            sender: Arc::default(),
        }
    }

    /// Sends a request and reads the whole answer with its trailers.
    ///
    /// # Errors
    /// Where there is no connection, no answer within `limit`, or an answer that is too large or no HTTP/2.
    pub async fn send(
        &self,
        request: Request<Bytes>,
        limit: Duration,
    ) -> Result<(Response<Bytes>, HeaderMap), HttpError> {
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let error = |(kind, reason): (HttpErrorKind, String)| HttpError {
            method: method.to_string(),
            url: uri.to_string(),
            kind,
            reason,
        };
        self.env
            .clock()
            .timeout(limit, self.answer(request))
            .await
            .map_err(|elapsed| error((HttpErrorKind::Timeout, elapsed.to_string())))?
            .map_err(error)
    }

    async fn answer(
        &self,
        request: Request<Bytes>,
    ) -> Result<(Response<Bytes>, HeaderMap), (HttpErrorKind, String)> {
        let mut sender = self.connection().await?;
        let broken = |error: &dyn std::fmt::Display| (HttpErrorKind::Broken, error.to_string());
        let response = sender
            .send_request(request.map(Full::new))
            .await
            .map_err(|error| broken(&error))?;
        let (head, body) = response.into_parts();
        let collected = Limited::new(body, RESPONSE_BYTES_MAX)
            .collect()
            .await
            .map_err(|error| broken(&error))?;
        let trailers = collected.trailers().cloned().unwrap_or_default();
        Ok((Response::from_parts(head, collected.to_bytes()), trailers))
    }

    /// The connection, made where there is none that still works.
    async fn connection(&self) -> Result<SendRequest<Full<Bytes>>, (HttpErrorKind, String)> {
        let mut known = self.sender.lock().await;
        if let Some(sender) = known.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok(sender.clone());
        }
        let mut stream = self.env.dial(&self.address).await.map_err(|error| {
            let kind = match error {
                NetError::Refused { .. } => HttpErrorKind::Refused,
                NetError::UnknownHost { .. } => HttpErrorKind::UnknownHost,
                NetError::Taken { .. } | NetError::Io { .. } | NetError::Unix { .. } => {
                    HttpErrorKind::Broken
                }
            };
            (kind, error.to_string())
        })?;
        if let Some(options) = &self.tls {
            let tls = TlsClient::new(&self.env, options, &["h2"])
                .map_err(|error| (HttpErrorKind::Tls, error.to_string()))?;
            let shaken = tls.connect(&self.address.host, stream).await;
            (stream, _) = shaken.map_err(|error| (HttpErrorKind::Tls, error.to_string()))?;
        }
        let (sender, connection) = Builder::new(HostExecutor(self.env.clone()))
            .timer(HttpTimer(self.env.clock().clone()))
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| (HttpErrorKind::Broken, error.to_string()))?;
        self.env.spawn(async move {
            // Whoever waits for an answer is told of the error.
            let _ = connection.await;
        });
        *known = Some(sender.clone());
        Ok(sender)
    }
}

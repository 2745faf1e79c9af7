//! Serving HTTP/1.1 and HTTP/2 on a listener.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::server::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tower::Service;

use crate::clock::HttpTimer;
use crate::host::Env;
use crate::http_client::HostExecutor;
use crate::net::{Connection, Listener};
use crate::tls::TlsServer;

/// The limits of a server.
#[derive(Clone, Copy, Debug)]
pub struct ServeOptions {
    /// Connections at a time; one more is closed at once.
    pub connections_max: usize,
    /// How long a client may take to send the head of a request.
    pub header_read_timeout: Duration,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            connections_max: 4096,
            header_read_timeout: Duration::from_secs(30),
        }
    }
}

/// How long the accept loop rests when the operating system has no file descriptor left.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// Requests at a time on one HTTP/2 connection.
const STREAMS_MAX: u32 = 200;

/// Serves `service` on `listener` over HTTP/1.1 as tasks of this host, until the host crashes.
pub fn serve<S, B>(env: &Env, listener: Listener, service: S, options: ServeOptions)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Future + Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    accept(env, listener, options, move |own, connection, counted| {
        let timer = HttpTimer(own.clock().clone());
        let served = serve_http1(connection, service.clone(), options, timer);
        own.spawn(async move {
            served.await;
            drop(counted);
        });
    });
}

/// The same over TLS; a client that cannot shake hands is closed.
pub fn serve_tls<S, B>(
    env: &Env,
    listener: Listener,
    tls: TlsServer,
    service: S,
    options: ServeOptions,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Future + Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    accept(env, listener, options, move |own, connection, counted| {
        let (tls, service, clock) = (tls.clone(), service.clone(), own.clock().clone());
        own.spawn(async move {
            let shaken = clock.timeout(options.header_read_timeout, tls.accept(connection));
            if let Ok(Ok(connection)) = shaken.await {
                serve_http1(connection, service, options, HttpTimer(clock)).await;
            }
            drop(counted);
        });
    });
}

async fn serve_http1<S, B>(
    connection: Connection,
    service: S,
    options: ServeOptions,
    timer: HttpTimer,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    // In memory only a partition holds a head back, and there the caller's own limit counts: a timer for each request less.
    let header_read_timeout = (!connection.is_memory()).then_some(options.header_read_timeout);
    let mut builder = http1::Builder::new();
    if connection.is_memory() {
        // Answers are small there: to copy one behind its head costs less than to hand over both.
        builder.writev(false);
    }
    let served = builder
        // The date is the wall clock's: it would differ from run to run.
        .auto_date_header(false)
        .timer(timer)
        .header_read_timeout(header_read_timeout)
        .serve_connection(TokioIo::new(connection), TowerToHyperService::new(service))
        .with_upgrades();
    // A client that breaks off has an error here; it has been told what it can still hear.
    let _ = served.await;
}

/// Serves `service` on `listener` over HTTP/2 without TLS, as gRPC clients speak it, as tasks of this host, until the host
/// crashes.
pub fn serve_http2<S, B>(env: &Env, listener: Listener, service: S, options: ServeOptions)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Future + Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    accept(env, listener, options, move |own, connection, counted| {
        let served = http2::Builder::new(HostExecutor(own.clone()))
            .auto_date_header(false)
            .timer(HttpTimer(own.clock().clone()))
            .max_concurrent_streams(STREAMS_MAX)
            .serve_connection(
                TokioIo::new(connection),
                TowerToHyperService::new(service.clone()),
            );
        own.spawn(async move {
            let _ = served.await;
            drop(counted);
        });
    });
}

/// Takes connections, as many at a time as `options` allow.
fn accept(
    env: &Env,
    mut listener: Listener,
    options: ServeOptions,
    serve_connection: impl Fn(&Env, Connection, Open) + Send + 'static,
) {
    let own = env.clone();
    let open = Arc::new(AtomicUsize::new(0));
    env.spawn(async move {
        loop {
            let Ok(connection) = listener.accept().await else {
                own.clock().sleep(ACCEPT_RETRY).await;
                continue;
            };
            if open.fetch_add(1, Ordering::Relaxed) >= options.connections_max {
                open.fetch_sub(1, Ordering::Relaxed);
                continue;
            }
            serve_connection(&own, connection, Open(Arc::clone(&open)));
        }
    });
}

struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

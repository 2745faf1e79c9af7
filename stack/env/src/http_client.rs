//! An HTTP client that dials through the network of the simulation.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioIo, TokioTimer};

use crate::clock::Clock;
use crate::host::Env;
use crate::net::{Address, Connection, NetError};

/// A client with its own pool of connections. A clone shares the pool.
#[derive(Clone)]
pub struct HttpClient {
    client: Client<Connector, Full<Bytes>>,
    clock: Clock,
}

/// What went wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{method} {url}: {reason}")]
pub struct HttpError {
    /// The method of the request.
    pub method: String,
    /// The address of the request.
    pub url: String,
    /// What kind of failure it is.
    pub kind: HttpErrorKind,
    /// The failure in words.
    pub reason: String,
}

/// The kinds of failure that callers tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpErrorKind {
    /// Nobody listens there.
    Refused,
    /// The name is not known.
    UnknownHost,
    /// No answer in time.
    Timeout,
    /// The connection broke, or what came over it was no HTTP.
    Broken,
    /// The answer is larger than the limit.
    TooLarge,
}

/// The largest answer that is read.
const RESPONSE_BYTES_MAX: usize = 256 << 20;
/// How long an unused connection is kept.
const IDLE_MAX: Duration = Duration::from_secs(90);

impl HttpClient {
    pub(crate) fn new(env: &Env) -> Self {
        let client = Client::builder(HostExecutor(env.clone()))
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_MAX)
            .build(Connector(env.clone()));
        Self {
            client,
            clock: env.clock().clone(),
        }
    }

    /// Sends a request with an absolute `http://` address and reads the whole answer.
    ///
    /// # Errors
    /// Where there is no connection, no answer within `limit`, or an answer that is too large or no HTTP. A status such as 500
    /// is an answer, not an error.
    pub async fn send(
        &self,
        request: Request<Bytes>,
        limit: Duration,
    ) -> Result<Response<Bytes>, HttpError> {
        // Clones of these share their bytes; the texts are only made where something went wrong.
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let error = |kind, reason: String| HttpError {
            method: method.to_string(),
            url: uri.to_string(),
            kind,
            reason,
        };
        let answered = self.clock.timeout(limit, async {
            let response = self
                .client
                .request(request.map(Full::new))
                .await
                .map_err(|source| {
                    let (kind, reason) = describe(&source);
                    error(kind, reason)
                })?;
            let (head, body) = response.into_parts();
            let collected = Limited::new(body, RESPONSE_BYTES_MAX)
                .collect()
                .await
                .map_err(|source| {
                    if source.is::<http_body_util::LengthLimitError>() {
                        error(
                            HttpErrorKind::TooLarge,
                            format!("the answer is larger than {RESPONSE_BYTES_MAX} bytes"),
                        )
                    } else {
                        error(HttpErrorKind::Broken, source.to_string())
                    }
                })?;
            Ok(Response::from_parts(head, collected.to_bytes()))
        });
        answered
            .await
            .map_err(|elapsed| error(HttpErrorKind::Timeout, elapsed.to_string()))?
    }
}

/// Finds the cause that says most in hyper's chain of errors.
fn describe(error: &hyper_util::client::legacy::Error) -> (HttpErrorKind, String) {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    let mut last = error.to_string();
    while let Some(cause) = source {
        if let Some(net) = cause.downcast_ref::<NetError>() {
            let kind = match net {
                NetError::Refused { .. } => HttpErrorKind::Refused,
                NetError::UnknownHost { .. } => HttpErrorKind::UnknownHost,
                NetError::Taken { .. } | NetError::Io { .. } => HttpErrorKind::Broken,
            };
            return (kind, net.to_string());
        }
        last = cause.to_string();
        source = cause.source();
    }
    (HttpErrorKind::Broken, last)
}

/// Runs hyper's connection tasks as tasks of the host, so that a crash takes them with it.
#[derive(Clone)]
pub(crate) struct HostExecutor(pub(crate) Env);

impl<F> hyper::rt::Executor<F> for HostExecutor
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}

#[derive(Clone)]
struct Connector(Env);

type Dialling = Pin<Box<dyn Future<Output = Result<TokioIo<Connection>, NetError>> + Send>>;

impl tower::Service<Uri> for Connector {
    type Response = TokioIo<Connection>;
    type Error = NetError;
    type Future = Dialling;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), NetError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Dialling {
        let env = self.0.clone();
        let host = uri
            .host()
            .unwrap_or_default()
            .trim_start_matches('[')
            .trim_end_matches(']');
        let address = Address::new(host, uri.port_u16().unwrap_or(80));
        Box::pin(async move { env.dial(&address).await.map(TokioIo::new) })
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use gameday_signal::Timestamp;
    use hyper::body::Incoming;

    use super::*;
    use crate::http_server::{ServeOptions, serve};
    use crate::link::LinkFault;
    use crate::sim::{Mode, Sim, SimConfig};

    fn sim(mode: Mode) -> Sim {
        Sim::new(&SimConfig {
            mode,
            seed: 7,
            watchdog: Duration::from_secs(20),
        })
        .expect("a runtime")
    }

    const VIRTUAL: Mode = Mode::Virtual {
        epoch: Timestamp::EPOCH,
        speed: None,
    };

    fn get(url: &str) -> Request<Bytes> {
        Request::get(url)
            .body(Bytes::new())
            .expect("a valid request")
    }

    async fn start_echo(env: &Env) {
        let listener = env
            .listen(&Address::new("echo", 8080))
            .await
            .expect("a free address");
        let service = tower::service_fn(|request: Request<Incoming>| async move {
            let path = request.uri().path().to_owned();
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(path))))
        });
        serve(&env.on("echo"), listener, service, ServeOptions::default());
    }

    /// The same conversation in memory and over TCP.
    fn check_parity(mode: Mode) {
        let sim = sim(mode);
        let env = sim.env().clone();
        sim.block_on(async {
            let client = env.on("caller").http_client();
            let limit = Duration::from_secs(5);
            start_echo(&env).await;
            let answer = client
                .send(get("http://echo:8080/hello"), limit)
                .await
                .expect("an answer");
            assert_eq!(answer.body(), "/hello");
            assert!(answer.headers().get("date").is_none());

            let refuse = env.fault_link("caller", "echo", LinkFault::Refuse);
            let error = client
                .send(get("http://echo:8080/"), limit)
                .await
                .expect_err("refused");
            assert!(
                matches!(error.kind, HttpErrorKind::Refused | HttpErrorKind::Broken),
                "{error}"
            );
            drop(refuse);
            client
                .send(get("http://echo:8080/"), limit)
                .await
                .expect("repaired");

            let partition = env.fault_link("caller", "echo", LinkFault::Partition);
            let error = client
                .send(get("http://echo:8080/"), Duration::from_millis(50))
                .await
                .expect_err("held");
            assert_eq!(error.kind, HttpErrorKind::Timeout);
            drop(partition);
            client
                .send(get("http://echo:8080/"), limit)
                .await
                .expect("repaired");

            let latency = Duration::from_millis(40);
            let slow = env.fault_link("*", "echo", LinkFault::Latency { latency });
            let begin = env.now();
            client
                .send(get("http://echo:8080/"), limit)
                .await
                .expect("slow but there");
            assert!(
                env.now().since(begin) >= latency,
                "{:?}",
                env.now().since(begin)
            );
            drop(slow);
        });
    }

    #[test]
    fn in_memory() {
        check_parity(VIRTUAL);
    }

    #[test]
    fn over_tcp() {
        check_parity(Mode::Real);
    }

    #[test]
    fn a_crash_takes_connections_with_it() {
        let sim = sim(VIRTUAL);
        let env = sim.env().clone();
        sim.block_on(async {
            let client = env.http_client();
            let limit = Duration::from_secs(1);
            start_echo(&env).await;
            client
                .send(get("http://echo:8080/"), limit)
                .await
                .expect("an answer");
            env.crash("echo");
            let error = client
                .send(get("http://echo:8080/"), limit)
                .await
                .expect_err("nobody is there");
            assert!(
                matches!(error.kind, HttpErrorKind::Refused | HttpErrorKind::Broken),
                "{error}"
            );
            start_echo(&env).await;
            client
                .send(get("http://echo:8080/"), limit)
                .await
                .expect("it is back");
            let unknown = client
                .send(get("http://nobody:1/"), limit)
                .await
                .expect_err("unknown");
            assert_eq!(unknown.kind, HttpErrorKind::UnknownHost);
        });
    }
}

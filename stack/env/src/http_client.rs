//! An HTTP client that dials through the network of the simulation, with TLS and through proxies where it is told so.

use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Response, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use crate::clock::Clock;
use crate::host::Env;
use crate::http_pool::{Lane, Pool};
use crate::net::{Address, Connection, NetError};
use crate::proxy::{ProxyKind, ProxyOptions, ProxyUrl};
use crate::proxy_handshake::through;
use crate::tls::{TlsClient, TlsError, TlsOptions};

/// A client with its own pool of connections. A clone shares the pool.
#[derive(Clone)]
pub struct HttpClient {
    pool: Arc<Pool>,
    way: Arc<Way>,
    clock: Clock,
}

/// How a client reaches servers.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct HttpOptions {
    /// Whom it trusts and what it shows where an address begins with `https`.
    pub tls: TlsOptions,
    /// Through which proxy.
    pub proxy: ProxyOptions,
    /// How much of an answer is read.
    pub answer: AnswerLimit,
}

/// How much of an answer is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AnswerLimit {
    /// A body with more bytes is an error.
    Refuse(usize),
    /// A body with more bytes is cut there, and the connection closed.
    Cut(usize),
}

impl Default for AnswerLimit {
    fn default() -> Self {
        Self::Refuse(RESPONSE_BYTES_MAX)
    }
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
    /// The two sides do not agree on TLS, or the server is not to be trusted.
    Tls,
    /// The proxy does not lead to the server.
    Proxy,
}

/// The largest answer that is read.
const RESPONSE_BYTES_MAX: usize = 256 << 20;

impl HttpClient {
    pub(crate) fn new(env: &Env, options: HttpOptions) -> Self {
        let way = Arc::new(Way {
            env: env.clone(),
            options,
            tls: OnceLock::new(),
        });
        Self {
            pool: Arc::default(),
            way,
            clock: env.clock().clone(),
        }
    }

    /// Sends a request with an absolute `http://` or `https://` address and reads the whole answer.
    ///
    /// # Errors
    /// Where there is no connection, no answer within `limit`, or an answer that is too large or no HTTP. A status such as 500
    /// is an answer, not an error.
    pub async fn send(
        &self,
        mut request: Request<Bytes>,
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
        self.way
            .log_in_at_proxy(&mut request)
            .map_err(|failure| error(failure.kind(), failure.to_string()))?;
        let answered = self.clock.timeout(limit, async {
            let (response, lane) = self
                .exchange(&uri, request.map(Full::new))
                .await
                .map_err(|failure| error(failure.kind(), failure.to_string()))?;
            let (head, body) = response.into_parts();
            let (body, is_whole) = read_body(body, self.way.options.answer)
                .await
                .map_err(|(kind, reason)| error(kind, reason))?;
            // One whose answer has not been read to its end takes no other request.
            if is_whole {
                self.pool.put(&uri, lane, self.way.env.now());
            }
            Ok(Response::from_parts(head, body))
        });
        answered
            .await
            .map_err(|elapsed| error(HttpErrorKind::Timeout, elapsed.to_string()))?
    }

    /// Sends a request over a connection that waits, or over a new one; gives the beginning of the answer and its connection.
    async fn exchange(
        &self,
        uri: &Uri,
        mut request: Request<Full<Bytes>>,
    ) -> Result<(Response<Incoming>, Lane), DialError> {
        if !request.headers().contains_key(header::HOST) {
            request
                .headers_mut()
                .insert(header::HOST, host_header(uri)?);
        }
        loop {
            let waiting = self.pool.take(uri, self.way.env.now());
            let is_new = waiting.is_none();
            let mut lane = match waiting {
                Some(lane) => lane,
                // Boxed, because it is seldom and three times as large as all the rest.
                None => Box::pin(self.way.open(uri)).await?,
            };
            // The other end may have closed it since.
            if lane.sender.ready().await.is_err() && !is_new {
                continue;
            }
            *request.uri_mut() = if lane.is_proxied {
                uri.clone()
            } else {
                let path = uri.path_and_query().cloned();
                path.unwrap_or(PathAndQuery::from_static("/")).into()
            };
            match lane.sender.try_send_request(request).await {
                Ok(response) => return Ok((response, lane)),
                Err(mut failed) => match failed.take_message() {
                    // Nothing of it was sent: a connection of its own is worth another try.
                    Some(unsent) if !is_new => request = unsent,
                    _ => return Err(failed.into_error().into()),
                },
            }
        }
    }
}

/// The host, with the port where it is not the scheme's own.
fn host_header(uri: &Uri) -> Result<HeaderValue, DialError> {
    let standard = if uri.scheme_str() == Some("https") {
        443
    } else {
        80
    };
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    // Without a login, if there is one.
    let host_and_port = authority
        .rsplit_once('@')
        .map_or(authority, |(_, after)| after);
    let host = if uri.port_u16().is_none_or(|port| port == standard) {
        uri.host().unwrap_or_default()
    } else {
        host_and_port
    };
    HeaderValue::from_str(host).map_err(|_| DialError::Host(host.to_owned()))
}

/// The body as far as it is read, and whether that is all of it.
async fn read_body(
    mut body: Incoming,
    limit: AnswerLimit,
) -> Result<(Bytes, bool), (HttpErrorKind, String)> {
    let (AnswerLimit::Refuse(most) | AnswerLimit::Cut(most)) = limit;
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|source| (HttpErrorKind::Broken, source.to_string()))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if whole.len() + first.len() + data.len() > most {
            if matches!(limit, AnswerLimit::Refuse(_)) {
                let reason = format!("the answer is larger than {most} bytes");
                return Err((HttpErrorKind::TooLarge, reason));
            }
            whole.extend_from_slice(&std::mem::take(&mut first));
            whole.extend_from_slice(&data[..most - whole.len()]);
            return Ok((whole.freeze(), false));
        }
        // Most answers come in one piece, which is not copied.
        if first.is_empty() && whole.is_empty() {
            first = data;
        } else {
            whole.extend_from_slice(&std::mem::take(&mut first));
            whole.extend_from_slice(&data);
        }
    }
    let body = if whole.is_empty() {
        first
    } else {
        whole.freeze()
    };
    Ok((body, true))
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum DialError {
    #[error(transparent)]
    Net(#[from] NetError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("proxy: {0}")]
    Proxy(String),
    #[error("{}", innermost(.0))]
    Broken(#[from] hyper::Error),
    #[error("{0:?} is no host")]
    Host(String),
    #[error("unsupported protocol scheme {0:?}, expected \"http\" or \"https\"")]
    Scheme(String),
}

impl DialError {
    fn kind(&self) -> HttpErrorKind {
        match self {
            Self::Net(NetError::Refused { .. }) => HttpErrorKind::Refused,
            Self::Net(NetError::UnknownHost { .. }) => HttpErrorKind::UnknownHost,
            Self::Net(NetError::Taken { .. } | NetError::Io { .. } | NetError::Unix { .. })
            | Self::Broken(_)
            | Self::Host(_)
            | Self::Scheme(_) => HttpErrorKind::Broken,
            Self::Tls(_) => HttpErrorKind::Tls,
            Self::Proxy(_) => HttpErrorKind::Proxy,
        }
    }
}

/// The cause that says most in hyper's chain of errors.
fn innermost(error: &hyper::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
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

/// The way from the host to its servers.
struct Way {
    env: Env,
    options: HttpOptions,
    /// Made for the first connection that needs it: reading the system's certificates takes milliseconds.
    tls: OnceLock<Result<TlsClient, TlsError>>,
}

impl Way {
    fn tls(&self) -> Result<&TlsClient, TlsError> {
        let made = self
            .tls
            .get_or_init(|| TlsClient::new(&self.env, &self.options.tls, &["http/1.1"]));
        made.as_ref().map_err(Clone::clone)
    }

    fn proxy_to(&self, is_tls: bool, address: &Address) -> Result<Option<ProxyUrl>, DialError> {
        let proxy = &self.options.proxy;
        if !self.may_use_proxy() {
            return Ok(None);
        }
        let is_virtual = self.env.is_virtual();
        let variable = |name: &str| std::env::var(name).ok().filter(|_| !is_virtual);
        proxy
            .choose(is_tls, address, &variable)
            .map_err(|error| DialError::Proxy(error.to_string()))
    }

    fn may_use_proxy(&self) -> bool {
        let proxy = &self.options.proxy;
        proxy.url.is_some() || proxy.from_environment
    }

    /// A plain request through an HTTP proxy bears the login itself; one over TLS leaves it to CONNECT.
    fn log_in_at_proxy(&self, request: &mut Request<Bytes>) -> Result<(), DialError> {
        if request.uri().scheme_str() != Some("http") || !self.may_use_proxy() {
            return Ok(());
        }
        let (_, address) = destination(request.uri())?;
        let Some(proxy) = self.proxy_to(false, &address)? else {
            return Ok(());
        };
        if proxy.kind != ProxyKind::Socks5
            && let Some(value) = proxy.authorization()
            && let Ok(value) = HeaderValue::from_str(&value)
        {
            request
                .headers_mut()
                .insert(header::PROXY_AUTHORIZATION, value);
        }
        Ok(())
    }

    /// A new connection for requests.
    async fn open(&self, uri: &Uri) -> Result<Lane, DialError> {
        let connection = self.connect(uri).await?;
        let is_proxied = connection.leads_to_proxy();
        let (sender, connection) = http1::handshake(TokioIo::new(connection)).await?;
        self.env.spawn(async move {
            // Whoever waits for an answer is told what went wrong.
            let _ = connection.await;
        });
        Ok(Lane { sender, is_proxied })
    }

    async fn connect(&self, uri: &Uri) -> Result<Connection, DialError> {
        let (is_tls, address) = destination(uri)?;
        let connection = match self.proxy_to(is_tls, &address)? {
            None => self.env.dial(&address).await?,
            Some(proxy) => {
                let headers = &self.options.proxy.connect_headers;
                let tls = || self.tls().cloned().map_err(|error| error.to_string());
                let connected = through(&self.env, &proxy, headers, tls, is_tls, &address).await;
                connected.map_err(|reason| DialError::Proxy(format!("{proxy}: {reason}")))?
            }
        };
        if !is_tls {
            return Ok(connection);
        }
        let (connection, _) = self.tls()?.connect(&address.host, connection).await?;
        Ok(connection)
    }
}

/// Whether the address wants TLS, and where it is.
fn destination(uri: &Uri) -> Result<(bool, Address), DialError> {
    let (is_tls, default_port) = match uri.scheme_str() {
        Some("http") => (false, 80),
        Some("https") => (true, 443),
        other => return Err(DialError::Scheme(other.unwrap_or_default().to_owned())),
    };
    let host = uri
        .host()
        .unwrap_or_default()
        .trim_start_matches('[')
        .trim_end_matches(']');
    let port = uri.port_u16().unwrap_or(default_port);
    Ok((is_tls, Address::new(host, port)))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::http_server::{ServeOptions, serve};
    use crate::link::LinkFault;
    use crate::sim::{Mode, Sim, SimConfig};
    use gameday_signal::Timestamp;

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

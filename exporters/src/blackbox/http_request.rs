//! One request of the http prober: dialled, sent, and answered as far as the head.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use gameday_env::{Address, Connection, Env, Route, TlsSession};
use http::{HeaderName, HeaderValue, Method, Request, Response, Uri, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;

use super::client_settings::proxy;
use super::grpc_probe::HostExecutor;
use super::probe::Probe;
use super::settings::HttpSettings;

/// What we call ourselves where the module does not say.
const USER_AGENT: &str = "Blackbox-Exporter/gameday";

/// Where the time went, summed up over redirects.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Phases {
    pub(super) resolve: Duration,
    pub(super) connect: Duration,
    pub(super) tls: Duration,
    pub(super) processing: Duration,
    pub(super) transfer: Duration,
}

/// One of the requests on the way.
#[derive(Clone, Debug)]
pub(super) struct Hop {
    pub(super) uri: Uri,
    pub(super) method: Method,
    /// The `Host` header.
    pub(super) host_header: String,
    /// The address that the target's name has; none where a proxy resolves it.
    pub(super) ip: Option<IpAddr>,
    pub(super) body: Bytes,
    /// Whether the secrets of the module may be shown: not to another host.
    pub(super) is_own_host: bool,
    /// The `Cookie` header.
    pub(super) cookies: String,
}

/// What came back.
pub(super) struct Answered {
    pub(super) response: Response<Incoming>,
    pub(super) session: Option<TlsSession>,
}

impl Hop {
    pub(super) fn is_tls(&self) -> bool {
        self.uri.scheme_str() == Some("https")
    }

    pub(super) fn address(&self) -> Result<Address, String> {
        let default_port = match self.uri.scheme_str() {
            Some("http") => 80,
            Some("https") => 443,
            other => return Err(format!("unsupported protocol scheme {other:?}")),
        };
        let host = self.uri.host().unwrap_or_default();
        let host = host.trim_matches(['[', ']']);
        if host.is_empty() {
            return Err("no Host in request URL".to_owned());
        }
        let port = self.uri.port_u16().unwrap_or(default_port);
        Ok(Address::new(host, port))
    }

    /// Sends it, and waits for the head of the answer.
    pub(super) async fn send(
        &self,
        env: &Env,
        settings: &HttpSettings,
        probe: &mut Probe,
        phases: &mut Phases,
    ) -> Result<Answered, String> {
        probe.say(format!(
            "Making HTTP request {} {} for host {:?}",
            self.method, self.uri, self.host_header
        ));
        let address = self.address()?;
        let way = proxy(
            &settings.proxy_url,
            &settings.no_proxy,
            settings.proxy_from_environment,
            &settings.proxy_connect_header,
        )?;
        let tls = settings.tls_config.options()?;
        let route = Route {
            from: None,
            to: self.ip,
        };
        let begin = env.now();
        let dialled = env
            .dial_http(&address, self.is_tls(), route, &way, &tls)
            .await;
        let way = dialled.map_err(|error| error.to_string())?;
        let connected = env.now();
        phases.connect += connected.since(begin);
        let (connection, session) = if self.is_tls() {
            let (connection, session) = self.shake_hands(env, settings, way.connection).await?;
            phases.tls += env.now().since(connected);
            (connection, Some(session))
        } else {
            (way.connection, None)
        };
        let is_http2 = session
            .as_ref()
            .is_some_and(|it| it.protocol.as_deref() == Some("h2"));
        let own_authority = self.uri.authority().map_or("", |it| it.as_str());
        let authority = match (is_http2, way.to_proxy) {
            (true, _) => Some(self.host_header.as_str()),
            (false, true) => Some(own_authority),
            (false, false) => None,
        };
        let request = self.request(settings, authority, way.login.as_deref())?;
        let begin = env.now();
        let response = exchange(env, connection, request, is_http2).await?;
        phases.processing += env.now().since(begin);
        Ok(Answered { response, session })
    }

    async fn shake_hands(
        &self,
        env: &Env,
        settings: &HttpSettings,
        connection: Connection,
    ) -> Result<(Connection, TlsSession), String> {
        let protocols: &[&str] = if settings.enable_http2 {
            &["h2", "http/1.1"]
        } else {
            &["http/1.1"]
        };
        let tls = settings.tls_config.client(env, protocols)?;
        let address = self.address()?;
        // A host header names whom the certificate has to be of, for the target may be an address.
        let configured = settings.headers.iter();
        let named = configured
            .filter(|_| self.is_own_host)
            .find(|(name, _)| name.eq_ignore_ascii_case("host"))
            .map(|(_, value)| {
                value
                    .rsplit_once(':')
                    .map_or(value.as_str(), |(host, _)| host)
            });
        let shaken = tls
            .connect(named.unwrap_or(&address.host), connection)
            .await;
        shaken.map_err(|error| error.to_string())
    }

    /// The request; `authority` is that of its address, where not the path alone stands in it.
    fn request(
        &self,
        settings: &HttpSettings,
        authority: Option<&str>,
        proxy_login: Option<&str>,
    ) -> Result<Request<Full<Bytes>>, String> {
        let path = self.uri.path_and_query().map_or("/", |it| it.as_str());
        let uri = match authority {
            Some(authority) => {
                let scheme = self.uri.scheme_str().unwrap_or("http");
                format!("{scheme}://{authority}{path}")
            }
            None => path.to_owned(),
        };
        let mut request = Request::builder()
            .method(self.method.clone())
            .uri(uri)
            .body(Full::new(self.body.clone()))
            .map_err(|error| error.to_string())?;
        let headers = request.headers_mut();
        let mut set = |name: &str, value: &str, append: bool| -> Result<(), String> {
            let bad = || format!("the header {name:?} cannot be sent");
            let parsed: HeaderName = name.parse().map_err(|_| bad())?;
            let value = HeaderValue::from_str(value).map_err(|_| bad())?;
            if append {
                headers.append(parsed, value);
            } else {
                headers.insert(parsed, value);
            }
            Ok(())
        };
        set("host", &self.host_header, false)?;
        set("user-agent", USER_AGENT, false)?;
        for (name, value) in &settings.headers {
            if !name.eq_ignore_ascii_case("host") {
                set(name, value, false)?;
            }
        }
        for (name, values) in &settings.http_headers {
            for value in values.all()? {
                set(name, &value, true)?;
            }
        }
        if !self.cookies.is_empty() {
            set("cookie", &self.cookies, false)?;
        }
        if self.is_own_host
            && let Some(value) = settings.login().header()?
        {
            set("authorization", &value, false)?;
        }
        if let Some(value) = proxy_login {
            set("proxy-authorization", value, false)?;
        }
        Ok(request)
    }
}

async fn exchange(
    env: &Env,
    connection: Connection,
    mut request: Request<Full<Bytes>>,
    is_http2: bool,
) -> Result<Response<Incoming>, String> {
    let stream = TokioIo::new(connection);
    let told = |error: hyper::Error| explain(&error);
    if is_http2 {
        // The authority stands in the address of the request.
        request.headers_mut().remove(header::HOST);
        let shaken = hyper::client::conn::http2::handshake(HostExecutor(env.clone()), stream);
        let (mut sender, driver) = shaken.await.map_err(told)?;
        env.spawn(async move {
            // Its error is the request's, which is told there.
            let _ = driver.await;
        });
        return sender.send_request(request).await.map_err(told);
    }
    let shaken = hyper::client::conn::http1::handshake(stream).await;
    let (mut sender, driver) = shaken.map_err(told)?;
    env.spawn(async move {
        let _ = driver.await;
    });
    sender.send_request(request).await.map_err(told)
}

/// An error with what caused it.
pub(super) fn explain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

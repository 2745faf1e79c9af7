//! Through a proxy to a host: CONNECT (RFC 9110, 9.3.6) and SOCKS 5 (RFC 1928, RFC 1929).

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::host::Env;
use crate::net::{Address, Connection, NetError, Route};
use crate::proxy::{ProxyKind, ProxyOptions, ProxyUrl};
use crate::tls::{TlsClient, TlsOptions};

/// The longest answer to CONNECT.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// The way to an HTTP server.
pub struct HttpWay {
    /// To the server, or to the proxy that takes requests for it.
    pub connection: Connection,
    /// Whether requests name the whole URL, for they are the proxy's to send on.
    pub to_proxy: bool,
    /// The `Proxy-Authorization` of such a request.
    pub login: Option<String>,
}

impl Env {
    /// Connects to the HTTP server at `address` by `route`, or through the proxy that `proxy` names for it, which is shown and trusts what `tls`
    /// says. TLS with the server itself (`is_tls`) comes on top.
    ///
    /// # Errors
    /// Where the server or the proxy cannot be reached, or the proxy does not lead to the server.
    pub async fn dial_http(
        &self,
        address: &Address,
        is_tls: bool,
        route: Route,
        proxy: &ProxyOptions,
        tls: &TlsOptions,
    ) -> Result<HttpWay, NetError> {
        let failed = |reason: String| NetError::Io {
            address: address.clone(),
            source: std::io::Error::other(reason),
        };
        let is_virtual = self.is_virtual();
        let variable = |name: &str| std::env::var(name).ok().filter(|_| !is_virtual);
        let chosen = proxy.choose(is_tls, address, &variable);
        let Some(chosen) = chosen.map_err(|error| failed(error.to_string()))? else {
            return Ok(HttpWay {
                connection: self.dial_by(address, route).await?,
                to_proxy: false,
                login: None,
            });
        };
        let client = || TlsClient::new(self, tls, &["http/1.1"]).map_err(|it| it.to_string());
        let headers = &proxy.connect_headers;
        let connected = through(self, &chosen, headers, client, is_tls, address).await;
        let to_proxy = !is_tls && chosen.kind != ProxyKind::Socks5;
        Ok(HttpWay {
            connection: connected.map_err(|it| failed(format!("proxy {chosen}: {it}")))?,
            to_proxy,
            login: chosen.authorization().filter(|_| to_proxy),
        })
    }
}

/// Connects to `address` through a proxy; `tls` is the client for one that is itself spoken to over TLS.
pub(crate) async fn through(
    env: &Env,
    proxy: &ProxyUrl,
    connect_headers: &[(String, String)],
    tls: impl Fn() -> Result<TlsClient, String>,
    is_tls: bool,
    address: &Address,
) -> Result<Connection, String> {
    let dialled = env.dial(&proxy.address).await;
    let mut connection = dialled.map_err(|error| error.to_string())?;
    if proxy.kind == ProxyKind::Https {
        let shaken = tls()?.connect(&proxy.address.host, connection).await;
        (connection, _) = shaken.map_err(|error| error.to_string())?;
    }
    match (proxy.kind, is_tls) {
        (ProxyKind::Socks5, _) => socks5(&mut connection, proxy, address).await?,
        (_, true) => tunnel(&mut connection, proxy, address, connect_headers).await?,
        (_, false) => return Ok(connection.with_proxy_behind()),
    }
    Ok(connection)
}

/// Opens a tunnel to `target` over a connection to an HTTP proxy.
async fn tunnel(
    connection: &mut Connection,
    proxy: &ProxyUrl,
    target: &Address,
    headers: &[(String, String)],
) -> Result<(), String> {
    let mut head = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
    let login = proxy
        .authorization()
        .map(|value| ("Proxy-Authorization".to_owned(), value));
    for (name, value) in login.iter().chain(headers) {
        if name.contains(['\r', '\n', ':']) || value.contains(['\r', '\n']) {
            return Err(format!("proxy_connect_header {name:?} is no header"));
        }
        head.extend([name, ": ", value, "\r\n"]);
    }
    head.push_str("\r\n");
    let broken = |error: std::io::Error| error.to_string();
    connection
        .write_all(head.as_bytes())
        .await
        .map_err(broken)?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        // Byte by byte: what follows the head belongs to the host behind the proxy.
        let byte = connection.read_u8().await.map_err(broken)?;
        answer.push(byte);
        if answer.len() > HEAD_BYTES_MAX {
            return Err(format!("its answer has more than {HEAD_BYTES_MAX} bytes"));
        }
    }
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.lines().next().unwrap_or_default();
    match status.split(' ').nth(1) {
        Some("200") if status.starts_with("HTTP/1.") => Ok(()),
        _ => Err(format!("it answered {status:?}")),
    }
}

/// Asks a SOCKS 5 proxy for a connection to `target`; the proxy resolves the name.
async fn socks5(
    connection: &mut Connection,
    proxy: &ProxyUrl,
    target: &Address,
) -> Result<(), String> {
    let broken = |error: std::io::Error| error.to_string();
    let method: u8 = if proxy.login.is_some() { 2 } else { 0 };
    connection
        .write_all(&[5, 1, method])
        .await
        .map_err(broken)?;
    let mut chosen = [0; 2];
    connection.read_exact(&mut chosen).await.map_err(broken)?;
    if chosen != [5, method] {
        return Err("it wants another kind of login".to_owned());
    }
    if let Some((user, password)) = &proxy.login {
        let mut login = vec![1];
        for text in [user, password] {
            let length = u8::try_from(text.len()).map_err(|_| "user or password is too long")?;
            login.push(length);
            login.extend_from_slice(text.as_bytes());
        }
        connection.write_all(&login).await.map_err(broken)?;
        let mut verdict = [0; 2];
        connection.read_exact(&mut verdict).await.map_err(broken)?;
        if verdict[1] != 0 {
            return Err("it refuses user and password".to_owned());
        }
    }
    let length = u8::try_from(target.host.len()).map_err(|_| "the host's name is too long")?;
    // Version, CONNECT, reserved, a name follows.
    let mut request = vec![5, 1, 0, 3, length];
    request.extend_from_slice(target.host.as_bytes());
    request.extend_from_slice(&target.port.to_be_bytes());
    connection.write_all(&request).await.map_err(broken)?;
    let mut answer = [0; 4];
    connection.read_exact(&mut answer).await.map_err(broken)?;
    if answer[1] != 0 {
        return Err(format!(
            "it cannot connect to {target}: {}",
            reply(answer[1])
        ));
    }
    // The address that the proxy has bound, which nobody needs.
    let bound = match answer[3] {
        1 => 4,
        4 => 16,
        _ => usize::from(connection.read_u8().await.map_err(broken)?),
    };
    let mut rest = vec![0; bound + 2];
    connection.read_exact(&mut rest).await.map_err(broken)?;
    Ok(())
}

/// RFC 1928, section 6.
fn reply(code: u8) -> &'static str {
    match code {
        1 => "general failure",
        2 => "not allowed",
        3 => "network unreachable",
        4 => "host unreachable",
        5 => "connection refused",
        _ => "unknown failure",
    }
}

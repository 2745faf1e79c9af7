//! Through a proxy to a host: CONNECT (RFC 9110, 9.3.6) and SOCKS 5 (RFC 1928, RFC 1929).

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::net::{Address, Connection};
use crate::proxy::ProxyUrl;

/// The longest answer to CONNECT.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// Opens a tunnel to `target` over a connection to an HTTP proxy.
pub(crate) async fn tunnel(
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
pub(crate) async fn socks5(
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

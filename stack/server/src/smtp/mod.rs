//! Sending e-mail by SMTP (RFC 5321), as Alertmanager does with Go's net/smtp.
//!
//! ```text
//!   dial --TLS on port 465--> greeting, EHLO --STARTTLS--> TLS, EHLO --> AUTH --> MAIL, RCPT, DATA --> QUIT
//! ```
//!
//! lettre would open its own sockets past env's network, cannot upgrade a connection that it is given, and knows neither CRAM-MD5 nor
//! the authorization identity of PLAIN; Alertmanager uses all of these.

mod auth;
mod conversation;

use gameday_alerts::{EmailMessage, Outcome};
use gameday_env::{Address, Connection, Env, TlsClient, TlsOptions};

use conversation::Conversation;

/// Sends an e-mail to its server. What goes wrong on the way to the server or in its words is worth another try, as in Alertmanager.
pub(crate) async fn send(env: &Env, message: &EmailMessage, tls: &TlsOptions) -> Outcome {
    let Ok(port) = message.port.parse() else {
        return Outcome::Failed {
            error: format!("invalid port {:?} of the smarthost", message.port),
        };
    };
    let tls = match TlsClient::new(env, tls, &[]) {
        Ok(tls) => Some(tls),
        // Without TLS nobody needs the certificates of the system.
        Err(_) if !message.require_tls && !message.implicit_tls => None,
        Err(error) => {
            return Outcome::Failed {
                error: format!("parse TLS configuration: {error}"),
            };
        }
    };
    let address = Address::new(message.host.as_str(), port);
    let delivered = env.clock().timeout(
        message.timeout,
        deliver(env, &address, message, tls.as_ref()),
    );
    match delivered.await {
        Ok(Ok(())) => Outcome::Delivered,
        Ok(Err(error)) => Outcome::Retry { after: None, error },
        Err(elapsed) => Outcome::Retry {
            after: None,
            error: elapsed.to_string(),
        },
    }
}

async fn deliver(
    env: &Env,
    address: &Address,
    message: &EmailMessage,
    tls: Option<&TlsClient>,
) -> Result<(), String> {
    let dialled = env.dial(address).await;
    let mut connection: Connection =
        dialled.map_err(|error| format!("establish connection to server: {error}"))?;
    if let (true, Some(tls)) = (message.implicit_tls, tls) {
        (connection, _) = tls
            .connect(&address.host, connection)
            .await
            .map_err(|error| format!("establish TLS connection to server: {error}"))?;
    }
    let mut server = Conversation::new(connection);
    server
        .greeting()
        .await
        .map_err(|error| format!("create SMTP client: {error}"))?;
    let hello = match message.hello.as_str() {
        "" => "localhost",
        name => name,
    };
    server
        .hello(hello)
        .await
        .map_err(|error| format!("send EHLO command: {error}"))?;
    let mut is_secret = message.implicit_tls;
    if let (true, false, Some(tls)) = (message.require_tls, message.implicit_tls, tls) {
        if server.extension("STARTTLS").is_none() {
            return Err(format!(
                "'require_tls' is true (default) but \"{address}\" does not advertise the STARTTLS extension"
            ));
        }
        server = server
            .start_tls(tls, &address.host, hello)
            .await
            .map_err(|error| format!("send STARTTLS command: {error}"))?;
        is_secret = true;
    }
    if let (Some(mechanisms), Some(login)) = (server.extension("AUTH"), &message.auth) {
        let mechanisms = mechanisms.to_owned();
        auth::log_in(&mut server, login, &mechanisms, &address.host, is_secret).await?;
    }
    server.mail(message).await?;
    // The message is accepted: what the server says to a farewell changes nothing.
    let _ = server.command("QUIT").await;
    Ok(())
}

#[cfg(test)]
mod tests;

//! Commands and replies.

use std::collections::BTreeMap;

use gameday_alerts::EmailMessage;
use gameday_env::{Connection, TlsClient};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};

/// The longest line of a reply; RFC 5321, 4.5.3.1.5 allows 512 bytes.
const LINE_BYTES_MAX: u64 = 8 << 10;
/// Lines in one reply.
const LINES_MAX: usize = 256;

/// A conversation with an SMTP server.
pub(super) struct Conversation {
    stream: BufReader<Connection>,
    /// What the answer to EHLO offers: names in upper case, with their parameters.
    extensions: BTreeMap<String, String>,
}

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) code: u16,
    pub(super) lines: Vec<String>,
}

impl Reply {
    /// An error unless the code begins with `expected`'s digits.
    pub(super) fn expect(self, expected: u16) -> Result<Self, String> {
        let matches = match expected {
            0..10 => self.code / 100 == expected,
            10..100 => self.code / 10 == expected,
            _ => self.code == expected,
        };
        if matches {
            return Ok(self);
        }
        Err(format!("{} {}", self.code, self.lines.join(" ")))
    }
}

impl Conversation {
    pub(super) fn new(connection: Connection) -> Self {
        Self {
            stream: BufReader::new(connection),
            extensions: BTreeMap::new(),
        }
    }

    /// Takes the server's first words.
    pub(super) async fn greeting(&mut self) -> Result<(), String> {
        self.reply().await?.expect(220).map(|_| ())
    }

    /// EHLO, or HELO where the server is that old.
    pub(super) async fn hello(&mut self, name: &str) -> Result<(), String> {
        self.extensions.clear();
        let reply = self.command(&format!("EHLO {name}")).await?;
        if reply.code != 250 {
            return self
                .command(&format!("HELO {name}"))
                .await?
                .expect(250)
                .map(|_| ());
        }
        // The first line is the server's name.
        for line in reply.lines.iter().skip(1) {
            let (name, parameters) = line.split_once(' ').unwrap_or((line, ""));
            self.extensions
                .insert(name.to_ascii_uppercase(), parameters.to_owned());
        }
        Ok(())
    }

    /// The parameters of an extension, if the server has it.
    pub(super) fn extension(&self, name: &str) -> Option<&str> {
        self.extensions.get(name).map(String::as_str)
    }

    /// Goes on over TLS, and greets again: what was said before could be forged (RFC 3207, 4.2).
    pub(super) async fn start_tls(
        mut self,
        tls: &TlsClient,
        host: &str,
        hello: &str,
    ) -> Result<Self, String> {
        self.command("STARTTLS").await?.expect(220)?;
        if !self.stream.buffer().is_empty() {
            return Err("the server spoke on before TLS began".to_owned());
        }
        let shaken = tls.connect(host, self.stream.into_inner()).await;
        let (connection, _) = shaken.map_err(|error| error.to_string())?;
        let mut secret = Self::new(connection);
        secret.hello(hello).await?;
        Ok(secret)
    }

    /// Hands over an e-mail.
    pub(super) async fn mail(&mut self, message: &EmailMessage) -> Result<(), String> {
        let mut mail = format!("MAIL FROM:<{}>", message.from);
        if self.extension("8BITMIME").is_some() {
            mail.push_str(" BODY=8BITMIME");
        }
        if self.extension("SMTPUTF8").is_some() {
            mail.push_str(" SMTPUTF8");
        }
        let expect = |what: &'static str| move |error| format!("send {what} command: {error}");
        let reply = self.command(&mail).await;
        reply
            .and_then(|reply| reply.expect(250))
            .map_err(expect("MAIL"))?;
        for to in &message.to {
            let reply = self.command(&format!("RCPT TO:<{to}>")).await;
            reply
                .and_then(|reply| reply.expect(25))
                .map_err(expect("RCPT"))?;
        }
        let reply = self.command("DATA").await;
        reply
            .and_then(|reply| reply.expect(354))
            .map_err(expect("DATA"))?;
        let delivered = match self.write(&stuffed(&message.data)).await {
            Ok(()) => self.reply().await.and_then(|reply| reply.expect(250)),
            Err(error) => Err(error),
        };
        delivered
            .map(|_| ())
            .map_err(|error| format!("delivery failure: {error}"))
    }

    /// Sends a line and takes the reply.
    pub(super) async fn command(&mut self, line: &str) -> Result<Reply, String> {
        if line.contains(['\r', '\n']) {
            return Err("a command must not hold a line break".to_owned());
        }
        self.write(format!("{line}\r\n").as_bytes()).await?;
        self.reply().await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        let stream = self.stream.get_mut();
        let written = match stream.write_all(bytes).await {
            Ok(()) => stream.flush().await,
            Err(error) => Err(error),
        };
        written.map_err(|error| error.to_string())
    }

    /// A reply of one or more lines (RFC 5321, 4.2.1).
    async fn reply(&mut self) -> Result<Reply, String> {
        let mut lines = Vec::new();
        loop {
            let mut line = Vec::new();
            let read = (&mut self.stream)
                .take(LINE_BYTES_MAX)
                .read_until(b'\n', &mut line)
                .await;
            if read.map_err(|error| error.to_string())? == 0 {
                return Err("EOF".to_owned());
            }
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches(['\r', '\n']);
            let code = line
                .get(..3)
                .and_then(|digits| digits.parse::<u16>().ok())
                .filter(|code| (200..600).contains(code));
            let (Some(code), Some("" | " " | "-")) = (code, line.get(3..4).or(Some(""))) else {
                return Err(format!(
                    "the server's reply is no SMTP: {:?}",
                    shortened(line)
                ));
            };
            lines.push(line.get(4..).unwrap_or_default().to_owned());
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(Reply { code, lines });
            }
            if lines.len() >= LINES_MAX {
                return Err(format!(
                    "the server's reply has more than {LINES_MAX} lines"
                ));
            }
        }
    }
}

fn shortened(line: &str) -> String {
    line.chars().take(80).collect()
}

/// A message as it follows DATA: lines that begin with a dot get another one, and a lonely dot ends it (RFC 5321, 4.5.2).
fn stuffed(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 16);
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        if line.first() == Some(&b'.') {
            out.push(b'.');
        }
        out.extend_from_slice(line);
    }
    if !out.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b".\r\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_are_doubled() {
        for (message, expected) in [
            ("a\r\n.b\r\n..\r\nc.", "a\r\n..b\r\n...\r\nc.\r\n.\r\n"),
            (".", "..\r\n.\r\n"),
            ("", "\r\n.\r\n"),
        ] {
            assert_eq!(stuffed(message.as_bytes()), expected.as_bytes());
        }
    }
}

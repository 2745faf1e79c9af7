//! The tcp prober: a connection, and a conversation over it.

use std::io;
use std::time::Duration;

use gameday_env::{Address, Connection, Env};
use regex::Regex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::Probe;
use super::config::{Module, QueryResponse};

/// The longest line of a conversation.
const LINE_BYTES_MAX: usize = 64 << 10;

pub(super) async fn run(env: &Env, module: &Module, target: &str, probe: &mut Probe) -> bool {
    let settings = &module.tcp;
    failed_due_to(probe, "regex", false);
    let address: Address = match target.parse() {
        Ok(address) => address,
        Err(error) => {
            probe.say(format!("Error splitting target address and port: {error}"));
            return false;
        }
    };
    probe.resolved(env, &address, Duration::ZERO);
    let connection = match env.dial(&address).await {
        Ok(connection) => connection,
        Err(error) => {
            probe.say(format!("Error dialing TCP: {error}"));
            return false;
        }
    };
    probe.say("Successfully dialed");
    let mut conversation = Conversation {
        stream: Stream::Plain(connection),
        pending: Vec::new(),
    };
    if settings.tls
        && let Err(reason) = conversation
            .start_tls(env, module, &address.host, probe)
            .await
    {
        probe.say(format!("Error starting TLS: {reason}"));
        return false;
    }
    for step in &settings.query_response {
        if let Err(failure) = conversation.take(step, probe).await {
            if let Some(cause) = failure.cause {
                failed_due_to(probe, cause, true);
            }
            probe.say(failure.reason);
            return false;
        }
        if step.starttls
            && let Err(reason) = conversation
                .start_tls(env, module, &address.host, probe)
                .await
        {
            probe.say(format!("Error starting TLS: {reason}"));
            return false;
        }
    }
    true
}

fn failed_due_to(probe: &mut Probe, cause: &str, failed: bool) {
    let name = format!("probe_failed_due_to_{cause}");
    let help = format!("Whether the probe failed because of its {cause}.");
    probe.out.reset(&name);
    probe.gauge(&name, &help, &[], f64::from(u8::from(failed)));
}

struct Failure {
    /// What did not match: `regex` or `bytes`.
    cause: Option<&'static str>,
    reason: String,
}

impl Failure {
    fn broken(reason: impl Into<String>) -> Self {
        let (cause, reason) = (None, reason.into());
        Self { cause, reason }
    }
}

enum Stream {
    Plain(Connection),
    Tls(Connection),
    /// A handshake has failed.
    Gone,
}

impl Stream {
    async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) | Self::Tls(stream) => stream.read(buffer).await,
            Self::Gone => Ok(0),
        }
    }

    async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(stream) | Self::Tls(stream) => {
                stream.write_all(bytes).await?;
                stream.flush().await
            }
            Self::Gone => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

struct Conversation {
    stream: Stream,
    /// Bytes that came after the last line.
    pending: Vec<u8>,
}

impl Conversation {
    async fn start_tls(
        &mut self,
        env: &Env,
        module: &Module,
        host: &str,
        probe: &mut Probe,
    ) -> Result<(), String> {
        match std::mem::replace(&mut self.stream, Stream::Gone) {
            Stream::Plain(connection) => {
                let tls = module.tcp.tls_config.client(env)?;
                let shaken = tls.connect(host, connection).await;
                let (stream, session) = shaken.map_err(|error| error.to_string())?;
                probe.session(&session);
                self.stream = Stream::Tls(stream);
                Ok(())
            }
            Stream::Tls(_) | Stream::Gone => Err("TLS has been started already".to_owned()),
        }
    }

    /// One step: waits for a line (or bytes) that match, then sends.
    async fn take(&mut self, step: &QueryResponse, probe: &mut Probe) -> Result<(), Failure> {
        let mut send = step.send.clone();
        if !step.expect_bytes.is_empty() {
            self.expect_bytes(step.expect_bytes.as_bytes()).await?;
            failed_due_to(probe, "bytes", false);
        }
        if let Some(expect) = &step.expect {
            let line = self.wait_for(expect, probe).await?;
            let expanded = |template: &str| match expect.captures(&line) {
                Some(captures) => {
                    let mut out = String::new();
                    captures.expand(template, &mut out);
                    out
                }
                None => template.to_owned(),
            };
            send = expanded(&send);
            if !step.labels.is_empty() {
                let labels: Vec<(&str, String)> = step
                    .labels
                    .iter()
                    .map(|label| (label.name.as_str(), expanded(&label.value)))
                    .collect();
                let labels: Vec<(&str, &str)> = labels
                    .iter()
                    .map(|(name, value)| (*name, value.as_str()))
                    .collect();
                let help = "What the matched line said.";
                probe.gauge("probe_expect_info", help, &labels, 1.0);
            }
        }
        if !send.is_empty() {
            probe.say(format!("Sending line {send:?}"));
            send.push('\n');
            let sent = self.stream.write_all(send.as_bytes()).await;
            sent.map_err(|error| Failure::broken(format!("Failed to send: {error}")))?;
        }
        Ok(())
    }

    async fn wait_for(&mut self, expect: &Regex, probe: &mut Probe) -> Result<String, Failure> {
        loop {
            let Some(line) = self.line().await else {
                let reason = "Regexp did not match before the connection ended".to_owned();
                let cause = Some("regex");
                return Err(Failure { cause, reason });
            };
            probe.say(format!("Read line {line:?}"));
            if expect.is_match(&line) {
                return Ok(line);
            }
        }
    }

    /// The next bytes must be these.
    async fn expect_bytes(&mut self, expected: &[u8]) -> Result<(), Failure> {
        while self.pending.len() < expected.len() {
            let mut chunk = [0; 4096];
            match self.stream.read(&mut chunk).await {
                Ok(0) | Err(_) => return Err(Failure::broken("Too few bytes before the end")),
                Ok(count) => self.pending.extend_from_slice(&chunk[..count]),
            }
        }
        let read: Vec<u8> = self.pending.drain(..expected.len()).collect();
        if read == expected {
            return Ok(());
        }
        let reason = format!(
            "Expected other bytes than {:?}",
            String::from_utf8_lossy(&read)
        );
        let cause = Some("bytes");
        Err(Failure { cause, reason })
    }

    /// The next line without its end; none where the connection ends or the line is too long.
    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<u8> = self.pending.drain(..=end).collect();
                line.pop();
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                return Some(String::from_utf8_lossy(&line).into_owned());
            }
            if self.pending.len() > LINE_BYTES_MAX {
                return None;
            }
            let mut chunk = [0; 4096];
            match self.stream.read(&mut chunk).await {
                Ok(0) | Err(_) if self.pending.is_empty() => return None,
                Ok(0) | Err(_) => {
                    let rest = std::mem::take(&mut self.pending);
                    return Some(String::from_utf8_lossy(&rest).into_owned());
                }
                Ok(count) => self.pending.extend_from_slice(&chunk[..count]),
            }
        }
    }
}

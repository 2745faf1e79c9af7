//! What the probers tcp and unix say and expect over their connections: `query_response`.

use gameday_env::{Connection, Env, TlsSession};
use regex::Regex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::client_settings::TlsSettings;
use super::probe::{Probe, SessionMetrics};
use super::settings::QueryResponse;

/// The longest line (that of Go's `bufio.Scanner`).
const LINE_BYTES_MAX: usize = 64 << 10;
const BYTES: (&str, &str) = (
    "probe_failed_due_to_bytes",
    "Indicates if probe failed due to bytes",
);
const REGEX: (&str, &str) = (
    "probe_failed_due_to_regex",
    "Indicates if probe failed due to regex",
);

/// What a conversation is about.
pub(super) struct Setting<'a> {
    pub(super) steps: &'a [QueryResponse],
    pub(super) tls: &'a TlsSettings,
    /// Whose certificate is expected, where nothing else is said.
    pub(super) server_name: Option<&'a str>,
}

impl Setting<'_> {
    /// Speaks TLS from here on.
    pub(super) async fn shake_hands(
        &self,
        env: &Env,
        connection: Connection,
    ) -> Result<(Connection, TlsSession), String> {
        let name = self.server_name.unwrap_or(&self.tls.server_name);
        if name.is_empty() && !self.tls.insecure_skip_verify {
            return Err(
                "either server_name or insecure_skip_verify must be set in tls_config".into(),
            );
        }
        // Whoever takes any certificate needs a name all the same, to ask with.
        let name = if name.is_empty() { "localhost" } else { name };
        let tls = self.tls.client(env, &[])?;
        let shaken = tls.connect(name, connection).await;
        shaken.map_err(|error| error.to_string())
    }
}

/// Holds the conversation; false where the other side does not say what it must.
pub(super) async fn hold(
    env: &Env,
    setting: &Setting<'_>,
    connection: Connection,
    probe: &mut Probe,
) -> bool {
    probe.set(REGEX, 0.0);
    probe.set(BYTES, 0.0);
    let mut talk = Talk {
        connection,
        pending: Vec::new(),
    };
    for (number, step) in setting.steps.iter().enumerate() {
        probe.say(format!("Processing query response entry {number}"));
        if let Err(failure) = talk.take(step, probe).await {
            if let Some(cause) = failure.cause {
                probe.set(cause, 1.0);
            }
            probe.fail(failure.reason);
            return false;
        }
        if step.starttls {
            match setting.shake_hands(env, talk.connection).await {
                Ok((connection, session)) => {
                    probe.say("TLS Handshake (client) succeeded.");
                    probe.session(&session, SessionMetrics::WithoutCipher);
                    // What has come in plain text before is nobody's any more.
                    talk = Talk {
                        connection,
                        pending: Vec::new(),
                    };
                }
                Err(reason) => {
                    probe.fail(format!("TLS Handshake (client) failed: {reason}"));
                    return false;
                }
            }
        }
    }
    true
}

/// The metric of `expect`'s labels.
pub(super) fn expect_info(step: &QueryResponse, expect: &Regex, line: &str, probe: &mut Probe) {
    let mut labels: Vec<(&str, String)> = step
        .labels
        .iter()
        .map(|label| (label.name.as_str(), expanded(expect, line, &label.value)))
        .collect();
    labels.sort();
    let labels: Vec<(&str, &str)> = labels
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    if !labels.is_empty() {
        probe.gauge(
            "probe_expect_info",
            "Explicit content matched",
            &labels,
            1.0,
        );
    }
}

/// A template with the groups of a match in it, `$1` or `${name}`.
pub(super) fn expanded(expect: &Regex, line: &str, template: &str) -> String {
    let mut out = String::new();
    if let Some(captures) = expect.captures(line) {
        captures.expand(template, &mut out);
    }
    out
}

struct Failure {
    /// The metric that tells why, if there is one.
    cause: Option<(&'static str, &'static str)>,
    reason: String,
}

impl Failure {
    fn broken(reason: impl Into<String>) -> Self {
        let (cause, reason) = (None, reason.into());
        Self { cause, reason }
    }
}

struct Talk {
    connection: Connection,
    /// Bytes that came after the last line.
    pending: Vec<u8>,
}

impl Talk {
    /// One step: waits for a line or bytes that match, then sends.
    async fn take(&mut self, step: &QueryResponse, probe: &mut Probe) -> Result<(), Failure> {
        let mut send = step.send.clone();
        if let Some(expect) = &step.expect {
            let line = self.wait_for(expect, probe).await?;
            send = expanded(expect, &line, &send);
            expect_info(step, expect, &line, probe);
        }
        if !step.expect_bytes.is_empty() {
            self.expect_bytes(step.expect_bytes.as_bytes()).await?;
            probe.say("Bytes matched");
        }
        if !send.is_empty() {
            probe.say(format!("Sending line {send:?}"));
            send.push('\n');
            let failed =
                |error: std::io::Error| Failure::broken(format!("Failed to send: {error}"));
            let sent = self.connection.write_all(send.as_bytes()).await;
            sent.map_err(failed)?;
            self.connection.flush().await.map_err(failed)?;
        }
        Ok(())
    }

    async fn wait_for(&mut self, expect: &Regex, probe: &mut Probe) -> Result<String, Failure> {
        loop {
            let Some(line) = self.line().await? else {
                let reason = format!("Regexp did not match before the end: {expect}");
                let cause = Some(REGEX);
                return Err(Failure { cause, reason });
            };
            probe.say(format!("Read line {line:?}"));
            if expect.is_match(&line) {
                probe.say(format!("Regexp matched: {expect}"));
                return Ok(line);
            }
        }
    }

    /// The next bytes must be these.
    async fn expect_bytes(&mut self, expected: &[u8]) -> Result<(), Failure> {
        while self.pending.len() < expected.len() {
            if self.read().await? == 0 {
                return Err(Failure::broken("Read less data than expected"));
            }
        }
        let read: Vec<u8> = self.pending.drain(..expected.len()).collect();
        if read == expected {
            return Ok(());
        }
        let reason = format!(
            "Bytes did not match: {:?} instead of {:?}",
            String::from_utf8_lossy(&read),
            String::from_utf8_lossy(expected)
        );
        let cause = Some(BYTES);
        Err(Failure { cause, reason })
    }

    async fn read(&mut self) -> Result<usize, Failure> {
        let mut chunk = [0; 4096];
        let read = self.connection.read(&mut chunk).await;
        let count = match read {
            Ok(count) => count,
            // Whoever hangs up on TLS without a word has still hung up.
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => 0,
            Err(error) => {
                let reason = format!("Error reading from connection: {error}");
                return Err(Failure::broken(reason));
            }
        };
        self.pending.extend_from_slice(&chunk[..count]);
        Ok(count)
    }

    /// The next line without its end; none where the connection has ended.
    async fn line(&mut self) -> Result<Option<String>, Failure> {
        loop {
            let end = self.pending.iter().position(|byte| *byte == b'\n');
            if let Some(end) = end {
                let mut line: Vec<u8> = self.pending.drain(..=end).collect();
                line.pop();
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                return Ok(Some(String::from_utf8_lossy(&line).into_owned()));
            }
            if self.pending.len() >= LINE_BYTES_MAX {
                let reason = format!("a line has more than {LINE_BYTES_MAX} bytes");
                return Err(Failure::broken(reason));
            }
            if self.read().await? == 0 {
                let rest = std::mem::take(&mut self.pending);
                let text = String::from_utf8_lossy(&rest).into_owned();
                return Ok((!rest.is_empty()).then_some(text));
            }
        }
    }
}

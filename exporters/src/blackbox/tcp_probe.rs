//! The tcp prober: a connection, and a conversation over it.

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
    let address: Address = match target.parse() {
        Ok(address) => address,
        Err(error) => {
            probe.say(format!("Error splitting target address and port: {error}"));
            return false;
        }
    };
    probe.resolved(env, &address, Duration::ZERO);
    let mut conversation = match env.dial(&address).await {
        Ok(connection) => Conversation {
            connection,
            pending: Vec::new(),
        },
        Err(error) => {
            probe.say(format!("Error dialing TCP: {error}"));
            return false;
        }
    };
    probe.say("Successfully dialed");
    for step in &settings.query_response {
        if let Err(failure) = conversation.take(step, probe).await {
            failed_due_to_regex(probe, failure.no_match);
            probe.say(failure.reason);
            return false;
        }
    }
    failed_due_to_regex(probe, false);
    true
}

fn failed_due_to_regex(probe: &mut Probe, failed: bool) {
    probe.gauge(
        "probe_failed_due_to_regex",
        "Whether the probe failed because of a regular expression.",
        &[],
        f64::from(u8::from(failed)),
    );
}

struct Failure {
    /// Whether lines came, and none of them matched.
    no_match: bool,
    reason: String,
}

struct Conversation {
    connection: Connection,
    /// Bytes that came after the last line.
    pending: Vec<u8>,
}

impl Conversation {
    /// One step: waits for a line that matches, then sends.
    async fn take(&mut self, step: &QueryResponse, probe: &mut Probe) -> Result<(), Failure> {
        let mut send = step.send.clone();
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
            let sent = self.connection.write_all(send.as_bytes()).await;
            sent.map_err(|error| Failure {
                no_match: false,
                reason: format!("Failed to send: {error}"),
            })?;
        }
        Ok(())
    }

    async fn wait_for(&mut self, expect: &Regex, probe: &mut Probe) -> Result<String, Failure> {
        loop {
            let Some(line) = self.line().await else {
                let reason = "Regexp did not match before the connection ended".to_owned();
                let no_match = true;
                return Err(Failure { no_match, reason });
            };
            probe.say(format!("Read line {line:?}"));
            if expect.is_match(&line) {
                return Ok(line);
            }
        }
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
            match self.connection.read(&mut chunk).await {
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

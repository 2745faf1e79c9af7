//! What a prober writes as it goes: metrics, and a log for `debug=true`.

use std::net::IpAddr;
use std::time::Duration;

use gameday_env::{Env, TlsSession};
use gameday_signal::Timestamp;

use super::values::IpProtocol;
use crate::exposition::Exposition;

/// The metrics and the log of one probe.
pub(super) struct Probe {
    pub(super) out: Exposition,
    pub(super) log: Vec<String>,
    env: Env,
    module: String,
    target: String,
    /// When the time is up.
    pub(super) deadline: Timestamp,
}

/// Which metrics of a TLS session a prober has: they differ in the real one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum SessionMetrics {
    /// All: http.
    All,
    /// Without the cipher: tcp and unix.
    WithoutCipher,
    /// Without the cipher and the end of the verified chain: grpc.
    Few,
}

impl Probe {
    pub(super) fn new(env: &Env, module: &str, target: &str, deadline: Timestamp) -> Self {
        Self {
            out: Exposition::default(),
            log: Vec::new(),
            env: env.clone(),
            module: module.to_owned(),
            target: target.to_owned(),
            deadline,
        }
    }

    /// Something that happened.
    pub(super) fn say(&mut self, message: impl AsRef<str>) {
        self.write("debug", message.as_ref());
    }

    /// Why the probe fails.
    pub(super) fn fail(&mut self, message: impl AsRef<str>) {
        self.write("error", message.as_ref());
    }

    fn write(&mut self, level: &str, message: &str) {
        let line = format!(
            "time={} level={level} msg={message:?} module={} target={}",
            self.env.now(),
            quoted(&self.module),
            quoted(&self.target)
        );
        self.log.push(line);
    }

    pub(super) fn gauge(&mut self, name: &str, help: &str, labels: &[(&str, &str)], value: f64) {
        self.out.gauge(name, help, labels, value);
    }

    /// A gauge without labels that may have been written before.
    pub(super) fn set(&mut self, (name, help): (&str, &str), value: f64) {
        self.out.reset(name);
        self.gauge(name, help, &[], value);
    }

    /// How long is left.
    pub(super) fn left(&self) -> Duration {
        self.deadline.since(self.env.now())
    }

    /// Chooses one of the target's addresses, and tells which and how long that took.
    pub(super) async fn resolve(
        &mut self,
        host: &str,
        preferred: IpProtocol,
        fallback: bool,
    ) -> Option<(IpAddr, Duration)> {
        let env = self.env.clone();
        let begin = env.now();
        self.say(format!(
            "Resolving target address {host:?}, preferring {}",
            name_of(preferred)
        ));
        let found = env.clock().timeout(self.left(), env.lookup(host)).await;
        let took = env.now().since(begin);
        let chosen = match found {
            Ok(Ok(all)) => {
                let wanted = |ip: &&IpAddr| ip.is_ipv4() == (preferred == IpProtocol::V4);
                let exact = all.iter().find(wanted).copied();
                // Of several that are not wanted the real one takes the last.
                exact.or_else(|| all.last().copied().filter(|_| fallback))
            }
            Ok(Err(error)) => {
                self.fail(format!("Resolution with IP protocol failed: {error}"));
                None
            }
            Err(elapsed) => {
                self.fail(format!("Resolution with IP protocol failed: {elapsed}"));
                None
            }
        };
        let lookup = "Returns the time taken for probe dns lookup in seconds";
        self.set(
            ("probe_dns_lookup_time_seconds", lookup),
            took.as_secs_f64(),
        );
        let hash = match chosen {
            Some(IpAddr::V4(ip)) => fnv1a(&ip.octets()),
            Some(IpAddr::V6(ip)) => fnv1a(&ip.octets()),
            None => 0,
        };
        let help =
            "Specifies the hash of IP address. It's useful to detect if the IP address changes.";
        self.set(("probe_ip_addr_hash", help), f64::from(hash));
        let protocol = match chosen {
            Some(IpAddr::V4(_)) => 4.0,
            Some(IpAddr::V6(_)) => 6.0,
            None => 0.0,
        };
        let help = "Specifies whether probe ip protocol is IP4 or IP6";
        self.set(("probe_ip_protocol", help), protocol);
        match chosen {
            Some(ip) => self.say(format!("Resolved target address {host:?} to {ip}")),
            None => self.fail(format!(
                "Error resolving address: {host:?} has no address of {}, and no other is wanted",
                name_of(preferred)
            )),
        }
        chosen.map(|ip| (ip, took))
    }

    /// What a handshake came to; of several, the last.
    pub(super) fn session(&mut self, session: &TlsSession, metrics: SessionMetrics) {
        let version = [("version", session.version)];
        let help = "Returns the TLS version used or NaN when unknown";
        self.out.reset("probe_tls_version_info");
        self.gauge("probe_tls_version_info", help, &version, 1.0);
        if metrics == SessionMetrics::All {
            let cipher = [("cipher", session.cipher.as_str())];
            let help = "Returns the TLS cipher negotiated during handshake";
            self.gauge("probe_tls_cipher_info", help, &cipher, 1.0);
        }
        let expiry = session.chain.iter().map(|it| it.not_after.as_secs_f64());
        let earliest = expiry.fold(f64::INFINITY, f64::min);
        let help = "Returns last SSL chain expiry in unixtime";
        self.set(("probe_ssl_earliest_cert_expiry", help), earliest);
        if metrics != SessionMetrics::Few {
            let until = session.verified_until.map(Timestamp::as_secs_f64);
            let help = "Returns last SSL chain expiry in timestamp";
            self.set(
                ("probe_ssl_last_chain_expiry_timestamp_seconds", help),
                until.unwrap_or(GO_ZERO_TIME_SECS),
            );
        }
        let Some(own) = session.chain.first() else {
            return;
        };
        self.out.reset("probe_ssl_last_chain_info");
        self.gauge(
            "probe_ssl_last_chain_info",
            "Contains SSL leaf certificate information",
            &[
                ("fingerprint_sha256", &session.fingerprint),
                ("issuer", &own.issuer),
                ("serialnumber", &own.serial),
                ("subject", &own.subject),
                ("subjectalternative", &own.dns_names.join(",")),
            ],
            1.0,
        );
    }
}

/// The first instant of the year 1, Go's zero time: what the real exporter tells of a chain that nobody has verified.
const GO_ZERO_TIME_SECS: f64 = -62_135_596_800.0;

fn name_of(protocol: IpProtocol) -> &'static str {
    match protocol {
        IpProtocol::V4 => "ip4",
        IpProtocol::V6 => "ip6",
    }
}

/// A value as the log has it: in quotes where it needs them.
fn quoted(text: &str) -> String {
    let plain = |it: char| it.is_ascii_graphic() && !matches!(it, '"' | '=' | '\\');
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("{text:?}")
    }
}

/// FNV-1a with 32 bits, as the blackbox exporter hashes addresses.
fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

//! The blackbox exporter: what a user would see of a target, from outside.
//!
//! ```text
//!   /probe?module=http_2xx&target=checkout:8080/health -> Module (blackbox.yml) -> http | tcp | dns | grpc prober -> exposition
//! ```
//!
//! `blackbox.yml` is read as prometheus/blackbox_exporter reads it. The probers http, tcp and grpc, all with TLS, and dns (over TCP) work
//! on env's network and clock, so link faults and crashes show and certificates expire in virtual time. The probers icmp and unix need
//! sockets that are not there: their modules are read, and their probes fail and say why.

mod config;
mod dns;
mod grpc_probe;
mod http_probe;
mod tcp_probe;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gameday_env::{Address, Env, NetError, TlsSession};
use http::{HeaderMap, StatusCode};

use crate::exposition::Exposition;
use crate::server::{self, Asked};

pub use config::{Config, ConfigError, Module, Prober};

/// Where the blackbox exporter is.
pub const PORT: u16 = 9115;
/// How long a probe may take where neither its module nor the scraper says so.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(120);
/// What is taken off the scraper's time limit, so that the answer is in time, where nothing else is said (`--timeout-offset`).
pub const TIMEOUT_OFFSET: Duration = Duration::from_millis(500);

/// Serves `/probe`, `/config`, `/metrics` and `/-/healthy` at `address` as tasks of the host of `env`; over TCP, the socket it got.
///
/// # Errors
/// Where the address is taken or cannot be bound.
pub async fn start(
    env: &Env,
    address: &Address,
    config: Config,
) -> Result<Option<SocketAddr>, NetError> {
    let (own, config) = (env.clone(), Arc::new(config));
    let answer = move |asked: Asked| {
        let (env, config) = (own.clone(), Arc::clone(&config));
        async move {
            match asked.path.as_str() {
                "/probe" => answer_probe(&env, &config, &asked).await,
                "/metrics" => server::exposition(own_metrics()),
                "/config" => server::text(StatusCode::OK, config.source.clone()),
                "/-/healthy" => server::text(StatusCode::OK, "Healthy"),
                _ => server::text(
                    StatusCode::NOT_FOUND,
                    "see /probe, /config, /metrics and /-/healthy\n",
                ),
            }
        }
    };
    server::start(env, address, answer).await
}

fn own_metrics() -> String {
    let mut out = Exposition::default();
    out.gauge(
        "blackbox_exporter_config_last_reload_successful",
        "Whether the last reload of the configuration was successful.",
        &[],
        1.0,
    );
    out.finish()
}

async fn answer_probe(
    env: &Env,
    config: &Config,
    asked: &Asked,
) -> http::Response<http_body_util::Full<bytes::Bytes>> {
    let bad = |message: String| server::text(StatusCode::BAD_REQUEST, message + "\n");
    let name = asked.query.get("module").map_or("http_2xx", String::as_str);
    let Some(module) = config.modules.get(name) else {
        return bad(format!("Unknown module {name:?}"));
    };
    let Some(target) = asked.query.get("target").filter(|it| !it.is_empty()) else {
        return bad("Target parameter is missing".to_owned());
    };
    let limit = match limit_of(module, &asked.headers, config.timeout_offset) {
        Ok(limit) => limit,
        Err(message) => return bad(message),
    };
    let report = probe(env, module, target, limit).await;
    if asked.query.get("debug").is_some_and(|it| it == "true") {
        let text = format!(
            "Logs for the probe:\n{}\n\nMetrics that would have been returned:\n{}",
            report.log.join("\n"),
            report.exposition
        );
        return server::text(StatusCode::OK, text);
    }
    server::exposition(report.exposition)
}

/// The time limit: the scraper's, less an offset, or the module's where that is shorter.
fn limit_of(module: &Module, headers: &HeaderMap, offset: Duration) -> Result<Duration, String> {
    let from_scraper = match headers.get("X-Prometheus-Scrape-Timeout-Seconds") {
        None => TIMEOUT_DEFAULT,
        Some(value) => value
            .to_str()
            .ok()
            .and_then(|text| text.parse::<f64>().ok())
            .and_then(|secs| Duration::try_from_secs_f64(secs).ok())
            .ok_or_else(|| "Failed to parse timeout from Prometheus header".to_owned())?
            .saturating_sub(offset),
    };
    Ok(match module.timeout {
        Duration::ZERO => from_scraper,
        timeout => timeout.min(from_scraper),
    })
}

/// What a probe found.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Whether the target is as the module wants it.
    pub success: bool,
    /// The metrics, in the text format 0.0.4.
    pub exposition: String,
    /// What happened, for `debug=true`.
    pub log: Vec<String>,
}

/// What a prober writes as it goes.
#[derive(Default)]
struct Probe {
    out: Exposition,
    log: Vec<String>,
}

impl Probe {
    fn say(&mut self, line: impl Into<String>) {
        self.log.push(line.into());
    }

    fn gauge(&mut self, name: &str, help: &str, labels: &[(&str, &str)], value: f64) {
        self.out.gauge(name, help, labels, value);
    }

    /// The address that is probed, as the metrics of every prober with one tell it; of several, the last.
    fn resolved(&mut self, env: &Env, address: &Address, lookup: Duration) {
        for name in [
            "probe_dns_lookup_time_seconds",
            "probe_ip_addr_hash",
            "probe_ip_protocol",
        ] {
            self.out.reset(name);
        }
        let socket = env.net().socket_of(address).map(|socket| socket.ip());
        let ip = socket.or_else(|| address.host.parse().ok());
        let protocol = if ip.is_some_and(|ip| ip.is_ipv6()) {
            6.0
        } else {
            4.0
        };
        let bytes = match ip {
            Some(std::net::IpAddr::V4(ip)) => ip.octets().to_vec(),
            Some(std::net::IpAddr::V6(ip)) => ip.octets().to_vec(),
            // In memory a host has a name and no address.
            None => address.host.as_bytes().to_vec(),
        };
        self.gauge(
            "probe_dns_lookup_time_seconds",
            "Seconds that the lookup of the name took.",
            &[],
            lookup.as_secs_f64(),
        );
        self.gauge(
            "probe_ip_addr_hash",
            "Hash of the IP address, to notice when it changes.",
            &[],
            f64::from(fnv1a(&bytes)),
        );
        self.gauge(
            "probe_ip_protocol",
            "Whether the probe used IPv4 or IPv6.",
            &[],
            protocol,
        );
    }
}

impl Probe {
    /// What a handshake came to; of several, the last.
    fn session(&mut self, session: &TlsSession) {
        for name in [
            "probe_ssl_earliest_cert_expiry",
            "probe_ssl_last_chain_expiry_timestamp_seconds",
            "probe_ssl_last_chain_info",
            "probe_tls_cipher_info",
            "probe_tls_version_info",
        ] {
            self.out.reset(name);
        }
        let version = [("version", session.version)];
        self.gauge(
            "probe_tls_version_info",
            "The version of TLS.",
            &version,
            1.0,
        );
        let cipher = [("cipher", session.cipher.as_str())];
        self.gauge("probe_tls_cipher_info", "The cipher suite.", &cipher, 1.0);
        let expiry = session.chain.iter().map(|it| it.not_after.as_secs_f64());
        let earliest = expiry.fold(f64::INFINITY, f64::min);
        for (name, help) in [
            (
                "probe_ssl_earliest_cert_expiry",
                "When the first of the certificates expires, in seconds since the Unix epoch.",
            ),
            (
                "probe_ssl_last_chain_expiry_timestamp_seconds",
                "When the chain of certificates expires, in seconds since the Unix epoch.",
            ),
        ] {
            self.gauge(name, help, &[], earliest);
        }
        let Some(own) = session.chain.first() else {
            return;
        };
        self.gauge(
            "probe_ssl_last_chain_info",
            "The server's own certificate.",
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

/// FNV-1a with 32 bits, as the blackbox exporter hashes addresses.
fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

/// Probes a target from the host of `env`, for `limit` at most.
pub async fn probe(env: &Env, module: &Module, target: &str, limit: Duration) -> Report {
    let mut probe = Probe::default();
    let begin = env.now();
    let deadline = begin + limit;
    probe.say(format!(
        "Beginning probe of {target:?} with a limit of {limit:?}"
    ));
    let success = {
        let probed = async {
            if let Some(what) = module.unsupported() {
                probe.say(format!("This exporter does not support {what}"));
                return false;
            }
            match module.prober {
                Prober::Http => http_probe::run(env, module, target, deadline, &mut probe).await,
                Prober::Tcp => tcp_probe::run(env, module, target, &mut probe).await,
                Prober::Dns => dns::run(env, module, target, &mut probe).await,
                Prober::Grpc => grpc_probe::run(env, module, target, &mut probe).await,
                Prober::Icmp | Prober::Unix => false,
            }
        };
        env.clock().timeout(limit, probed).await
    };
    let success = success.unwrap_or_else(|elapsed| {
        probe.say(format!("Probe {elapsed}"));
        false
    });
    let took = env.now().since(begin).as_secs_f64();
    probe.gauge(
        "probe_duration_seconds",
        "Seconds that the probe took.",
        &[],
        took,
    );
    let value = f64::from(u8::from(success));
    probe.gauge(
        "probe_success",
        "Whether the probe was a success.",
        &[],
        value,
    );
    probe.say(format!(
        "Probe {} after {took} s",
        if success { "succeeded" } else { "failed" }
    ));
    Report {
        success,
        exposition: probe.out.finish(),
        log: probe.log,
    }
}

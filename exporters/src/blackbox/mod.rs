//! The blackbox exporter: what a user would see of a target, from outside.
//!
//! ```text
//!                                      .- http ------- request, redirects, body (regular expressions, JSON)
//!                                      |- tcp, unix -- connection -- conversation (query_response, STARTTLS)
//!   /probe?module=http_2xx&target=web -+- dns -------- query by UDP, TCP or TLS -- records
//!            |                         |- icmp ------- echo
//!      Module (blackbox.yml)           |- grpc ------- health service
//!                                      '- websocket -- upgrade -- conversation in messages
//!                                                 |
//!                                               Probe -- exposition, log
//! ```
//!
//! `blackbox.yml` is read as prometheus/blackbox_exporter reads it, and the metrics are its own. All probers work on env's network and clock,
//! so link faults and crashes show and certificates expire in virtual time. What a module asks for and nobody here can do (OAuth 2, HTTP/3,
//! brotli) fails its probes, which say why.

mod cel;
mod client_settings;
mod config;
mod conversation;
mod dns;
mod dns_message;
mod dns_names;
mod grpc_probe;
mod http_answer;
mod http_probe;
mod http_request;
mod icmp_probe;
mod probe;
mod settings;
mod shown;
mod tcp_probe;
mod unix_probe;
mod values;
mod websocket_frames;
mod websocket_probe;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gameday_env::{Address, Env, NetError};
use http::{HeaderMap, StatusCode};

use self::probe::Probe;
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
                "/config" => server::text(StatusCode::OK, config.as_shown()),
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
    let given = |name: &str| asked.query.get(name).filter(|it| !it.is_empty());
    let name = given("module").map_or("http_2xx", String::as_str);
    let Some(module) = config.modules.get(name) else {
        return bad(format!("Unknown module {name:?}"));
    };
    let limit = match limit_of(module, &asked.headers, config.timeout_offset) {
        Ok(limit) => limit,
        Err(message) => return server::text(StatusCode::INTERNAL_SERVER_ERROR, message + "\n"),
    };
    let Some(target) = given("target") else {
        return bad("Target parameter is missing".to_owned());
    };
    let module = match given("hostname") {
        None => module.clone(),
        Some(hostname) => match module.for_host(hostname) {
            Ok(module) => module,
            Err(message) => return bad(message),
        },
    };
    let report = probe(env, name, &module, target, limit).await;
    if asked.query.get("debug").is_some_and(|it| it == "true") {
        let text = format!(
            "Logs for the probe:\n{}\n\n\n\nMetrics that would have been returned:\n{}\n\n\nModule configuration:\n{}",
            report.log.join("\n"),
            report.exposition,
            config.module_as_shown(name)
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
            .ok_or_else(|| format!("Failed to parse timeout from Prometheus header: {value:?}"))?,
    };
    let from_scraper = match from_scraper {
        Duration::ZERO => TIMEOUT_DEFAULT,
        limit => limit,
    };
    Ok(match (from_scraper.checked_sub(offset), module.timeout) {
        // A scraper that waits for less than the offset leaves it to the module.
        (None, timeout) => timeout,
        (Some(left), Duration::ZERO) => left,
        (Some(left), timeout) => timeout.min(left),
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

/// Probes a target from the host of `env`, for `limit` at most; `name` is what the log calls the module.
pub async fn probe(
    env: &Env,
    name: &str,
    module: &Module,
    target: &str,
    limit: Duration,
) -> Report {
    let begin = env.now();
    let mut probe = Probe::new(env, name, target, begin + limit);
    let timeout_secs = limit.as_secs_f64();
    let prober = module.prober.name();
    probe.say(format!(
        "Beginning probe with {prober} and a limit of {timeout_secs} s"
    ));
    let success = if let Some(what) = module.unsupported() {
        probe.fail(format!("This exporter does not support {what}"));
        false
    } else {
        let probed = async {
            match module.prober {
                Prober::Http => http_probe::run(env, module, target, &mut probe).await,
                Prober::Tcp => tcp_probe::run(env, module, target, &mut probe).await,
                Prober::Dns => dns::run(env, module, target, &mut probe).await,
                Prober::Grpc => grpc_probe::run(env, module, target, &mut probe).await,
                Prober::Icmp => icmp_probe::run(env, module, target, &mut probe).await,
                Prober::Unix => unix_probe::run(env, module, target, &mut probe).await,
                Prober::Websocket => websocket_probe::run(env, module, target, &mut probe).await,
            }
        };
        let in_time = env.clock().timeout(limit, probed).await;
        in_time.unwrap_or_else(|elapsed| {
            probe.fail(format!("Probe {elapsed}"));
            false
        })
    };
    let took = env.now().since(begin).as_secs_f64();
    let help = "Returns how long the probe took to complete in seconds";
    probe.set(("probe_duration_seconds", help), took);
    let help = "Returns how long the probe timeout is in seconds";
    probe.set(("probe_timeout_seconds", help), timeout_secs);
    let help = "Displays whether or not the probe was a success";
    probe.set(("probe_success", help), f64::from(u8::from(success)));
    if success {
        probe.say(format!("Probe succeeded after {took} s"));
    } else {
        probe.fail(format!("Probe failed after {took} s"));
    }
    Report {
        success,
        exposition: probe.out.finish(),
        log: probe.log,
    }
}

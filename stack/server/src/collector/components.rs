//! The receivers and exporters of collector.yaml.

use std::collections::BTreeMap;
use std::time::Duration;

use gameday_env::{TlsOptions, TlsVersion};
use serde::Deserialize;
use serde::de::{Error as _, MapAccess};

use super::config::Component;
pub(crate) use super::connectors::Connector;
pub(crate) use super::processors::Processor;
use super::values::{Ignored, duration, scale};

/// A component without settings is written `id:`, and has the defaults.
pub(super) fn settings<'de, T: Default + Deserialize<'de>, A: MapAccess<'de>>(
    map: &mut A,
) -> Result<T, A::Error> {
    Ok(map.next_value::<Option<T>>()?.unwrap_or_default())
}

/// What takes telemetry in.
#[derive(Clone, Debug)]
pub(crate) struct Receiver(OtlpReceiver);

impl Component for Receiver {
    const KIND: &'static str = "receiver";
    const TYPES: &'static [&'static str] = &["otlp"];

    fn read<'de, A: MapAccess<'de>>(_: &str, map: &mut A) -> Result<Self, A::Error> {
        settings(map).map(Self)
    }
}

impl Receiver {
    /// Names what is not obeyed.
    pub(super) fn warn(&self, id: &str, warnings: &mut Vec<String>) {
        for (protocol, own, port) in [
            ("grpc", &self.0.protocols.grpc, 4317),
            ("http", &self.0.protocols.http, 4318),
        ] {
            let Some(own) = own else { continue };
            if !own.endpoint.is_empty() && !own.endpoint.ends_with(&format!(":{port}")) {
                warnings.push(format!(
                    "receivers.{id}: {protocol} listens at this stack's port {port}, not at {}",
                    own.endpoint
                ));
            }
        }
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct OtlpReceiver {
    protocols: Protocols,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Protocols {
    grpc: Option<Listening>,
    http: Option<Listening>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Listening {
    endpoint: String,
    transport: Option<Ignored>,
    cors: Option<Ignored>,
    include_metadata: Option<Ignored>,
    max_recv_msg_size_mib: Option<Ignored>,
    max_request_body_size: Option<Ignored>,
    keepalive: Option<Ignored>,
    traces_url_path: Option<Ignored>,
    metrics_url_path: Option<Ignored>,
    logs_url_path: Option<Ignored>,
}

/// What stores or sends on.
#[derive(Clone, Debug)]
pub(crate) enum Exporter {
    /// The stores of this stack.
    Stack,
    /// Nothing: what comes here is counted and dropped.
    Nop,
    /// Another collector, or anything that speaks OTLP.
    Otlp(Box<OtlpExporter>),
}

/// How OTLP is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OtlpProtocol {
    /// OTLP/gRPC.
    Grpc,
    /// OTLP/HTTP with protobuf.
    Http,
}

impl Component for Exporter {
    const KIND: &'static str = "exporter";
    const TYPES: &'static [&'static str] = &[
        "stack",
        "otlp",
        "otlp_grpc",
        "otlphttp",
        "otlp_http",
        "debug",
        "nop",
    ];

    fn read<'de, A: MapAccess<'de>>(kind: &str, map: &mut A) -> Result<Self, A::Error> {
        let protocol = match kind {
            "stack" => {
                map.next_value::<Option<Nothing>>()?;
                return Ok(Self::Stack);
            }
            "nop" | "debug" => {
                map.next_value::<Option<Ignored>>()?;
                return Ok(Self::Nop);
            }
            "otlp" | "otlp_grpc" => OtlpProtocol::Grpc,
            _ => OtlpProtocol::Http,
        };
        let read: OtlpSettings = settings(map)?;
        OtlpExporter::new(protocol, read)
            .map(|own| {
                if own.is_store() {
                    Self::Stack
                } else {
                    Self::Otlp(Box::new(own))
                }
            })
            .map_err(A::Error::custom)
    }
}

impl Exporter {
    pub(super) fn warn(&self, id: &str, warnings: &mut Vec<String>) {
        let Self::Otlp(own) = self else { return };
        if own.queue.sizer_given {
            warnings.push(format!(
                "exporters.{id}: sending_queue counts requests, whatever its sizer says"
            ));
        }
    }

    pub(super) fn scale_durations(&mut self, divisor: u32) {
        if let Self::Otlp(own) = self {
            for duration in [
                &mut own.timeout,
                &mut own.retry.initial_interval,
                &mut own.retry.max_interval,
                &mut own.retry.max_elapsed_time,
            ] {
                scale(duration, divisor);
            }
        }
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Nothing {}

/// Where OTLP is sent, and how.
#[derive(Clone, Debug)]
pub(crate) struct OtlpExporter {
    /// gRPC or HTTP.
    pub(crate) protocol: OtlpProtocol,
    /// The host.
    pub(crate) host: String,
    /// The port.
    pub(crate) port: u16,
    /// For HTTP the addresses of traces, logs and metrics.
    pub(crate) urls: [String; 3],
    /// How TLS is spoken, if it is.
    pub(crate) tls: Option<TlsSettings>,
    /// Further headers.
    pub(crate) headers: BTreeMap<String, String>,
    /// Whether bodies are compressed with gzip.
    pub(crate) gzip: bool,
    /// When an attempt has failed.
    pub(crate) timeout: Duration,
    /// What waits.
    pub(crate) queue: Queue,
    /// What becomes of attempts that failed.
    pub(crate) retry: Retry,
}

/// `sending_queue`.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    /// Requests that may wait.
    pub(crate) size: usize,
    /// Requests at a time.
    pub(crate) consumers: usize,
    sizer_given: bool,
}

/// `retry_on_failure`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Retry {
    /// Try again at all.
    pub(crate) enabled: bool,
    /// The first wait.
    #[serde(deserialize_with = "duration")]
    pub(crate) initial_interval: Duration,
    /// What each wait is longer by.
    pub(crate) multiplier: f64,
    /// The longest wait.
    #[serde(deserialize_with = "duration")]
    pub(crate) max_interval: Duration,
    /// When a request is given up; zero for never.
    #[serde(deserialize_with = "duration")]
    pub(crate) max_elapsed_time: Duration,
    randomization_factor: Option<Ignored>,
}

impl Default for Retry {
    fn default() -> Self {
        // The Collector's (configretry, NewDefaultBackOffConfig); waits are not spread at random here.
        Self {
            enabled: true,
            initial_interval: Duration::from_secs(5),
            multiplier: 1.5,
            max_interval: Duration::from_secs(30),
            max_elapsed_time: Duration::from_secs(300),
            randomization_factor: None,
        }
    }
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct QueueSettings {
    enabled: bool,
    num_consumers: usize,
    queue_size: usize,
    sizer: Option<Ignored>,
    block_on_overflow: Option<Ignored>,
    wait_for_result: Option<Ignored>,
    storage: Option<Ignored>,
    batch: Option<Ignored>,
}

impl Default for QueueSettings {
    fn default() -> Self {
        // The Collector's (exporterhelper, NewDefaultQueueConfig).
        Self {
            enabled: true,
            num_consumers: 10,
            queue_size: 1000,
            sizer: None,
            block_on_overflow: None,
            wait_for_result: None,
            storage: None,
            batch: None,
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct OtlpSettings {
    endpoint: String,
    traces_endpoint: String,
    logs_endpoint: String,
    metrics_endpoint: String,
    headers: BTreeMap<String, String>,
    compression: String,
    encoding: String,
    #[serde(deserialize_with = "some_duration")]
    timeout: Option<Duration>,
    tls: TlsSettings,
    sending_queue: QueueSettings,
    retry_on_failure: Retry,
    balancer_name: Option<Ignored>,
    keepalive: Option<Ignored>,
    read_buffer_size: Option<Ignored>,
    write_buffer_size: Option<Ignored>,
    wait_for_ready: Option<Ignored>,
    max_idle_conns: Option<Ignored>,
    idle_conn_timeout: Option<Ignored>,
}

/// `tls`, as the Collector's configtls has it.
#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TlsSettings {
    insecure: bool,
    insecure_skip_verify: bool,
    ca_file: String,
    ca_pem: String,
    cert_file: String,
    cert_pem: String,
    key_file: String,
    key_pem: String,
    server_name_override: String,
    min_version: String,
    max_version: String,
    reload_interval: Option<Ignored>,
}

impl std::fmt::Debug for TlsSettings {
    /// Without the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsSettings").finish_non_exhaustive()
    }
}

impl TlsSettings {
    /// Whom to trust and what to show; `read` reads a file.
    ///
    /// # Errors
    /// Where a file cannot be read, or a version is none.
    pub(super) fn options(
        &self,
        read: &dyn Fn(&str) -> std::io::Result<String>,
    ) -> Result<TlsOptions, String> {
        let pem = |given: &str, file: &str| match (given, file) {
            ("", "") => Ok(None),
            ("", file) => read(file)
                .map(Some)
                .map_err(|error| format!("unable to read file {file:?}: {error}")),
            (given, _) => Ok(Some(given.to_owned())),
        };
        Ok(TlsOptions {
            ca: pem(&self.ca_pem, &self.ca_file)?,
            cert: pem(&self.cert_pem, &self.cert_file)?,
            key: pem(&self.key_pem, &self.key_file)?,
            server_name: (!self.server_name_override.is_empty())
                .then(|| self.server_name_override.clone()),
            insecure_skip_verify: self.insecure_skip_verify,
            min_version: version(&self.min_version)?,
            max_version: version(&self.max_version)?,
        })
    }
}

/// A version as the Collector writes it.
fn version(text: &str) -> Result<Option<TlsVersion>, String> {
    match text {
        "" => Ok(None),
        "1.0" => Ok(Some(TlsVersion::Tls10)),
        "1.1" => Ok(Some(TlsVersion::Tls11)),
        "1.2" => Ok(Some(TlsVersion::Tls12)),
        "1.3" => Ok(Some(TlsVersion::Tls13)),
        other => Err(format!(
            "unsupported TLS version {other:?}, expected 1.0 to 1.3"
        )),
    }
}

fn some_duration<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    duration(deserializer).map(Some)
}

/// Consumers of a queue at most.
const CONSUMERS_MAX: usize = 100;

impl OtlpExporter {
    fn new(protocol: OtlpProtocol, read: OtlpSettings) -> Result<Self, String> {
        let base = [
            &read.endpoint,
            &read.traces_endpoint,
            &read.logs_endpoint,
            &read.metrics_endpoint,
        ]
        .into_iter()
        .find(|text| !text.is_empty())
        .ok_or("expected an endpoint")?;
        version(&read.tls.min_version)?;
        version(&read.tls.max_version)?;
        let (host, port, plain) = host_and_port(base, protocol, read.tls.insecure)?;
        let urls = match protocol {
            OtlpProtocol::Grpc => Default::default(),
            OtlpProtocol::Http => [
                (&read.traces_endpoint, "traces"),
                (&read.logs_endpoint, "logs"),
                (&read.metrics_endpoint, "metrics"),
            ]
            .map(|(own, signal)| {
                if own.is_empty() {
                    format!("{}/v1/{signal}", read.endpoint.trim_end_matches('/'))
                } else {
                    own.clone()
                }
            }),
        };
        if !matches!(read.encoding.as_str(), "" | "proto") {
            return Err(format!(
                "unsupported encoding {:?}, expected proto",
                read.encoding
            ));
        }
        let gzip = match read.compression.as_str() {
            "" | "gzip" => true,
            "none" => false,
            other => {
                return Err(format!(
                    "unsupported compression {other:?}, expected gzip or none"
                ));
            }
        };
        // The Collector's (otlpexporter and otlphttpexporter, createDefaultConfig).
        let timeout = match protocol {
            OtlpProtocol::Grpc => Duration::from_secs(5),
            OtlpProtocol::Http => Duration::from_secs(30),
        };
        let queue = &read.sending_queue;
        Ok(Self {
            protocol,
            host,
            port,
            urls,
            tls: (!plain).then_some(read.tls),
            headers: read.headers,
            gzip,
            timeout: read.timeout.unwrap_or(timeout),
            queue: Queue {
                // Without a queue a request waits only while another is on its way.
                size: if queue.enabled {
                    queue.queue_size.max(1)
                } else {
                    1
                },
                consumers: if queue.enabled {
                    queue.num_consumers.clamp(1, CONSUMERS_MAX)
                } else {
                    1
                },
                sizer_given: queue.sizer.is_some(),
            },
            retry: read.retry_on_failure,
        })
    }

    /// Whether this is one of the servers of the stack: a team's own file names them by their hosts.
    fn is_store(&self) -> bool {
        matches!(self.host.as_str(), "tempo" | "loki" | "prometheus")
    }
}

/// Host and port of an endpoint, and whether it is spoken to without TLS.
fn host_and_port(
    endpoint: &str,
    protocol: OtlpProtocol,
    insecure: bool,
) -> Result<(String, u16, bool), String> {
    let (scheme, rest) = endpoint.split_once("://").unwrap_or(("", endpoint));
    let plain = match (scheme, protocol) {
        ("http", _) => true,
        ("", OtlpProtocol::Grpc) => insecure,
        ("https", _) => false,
        ("", OtlpProtocol::Http) => {
            return Err(format!("endpoint {endpoint:?}: expected http:// in front"));
        }
        (other, _) => return Err(format!("endpoint {endpoint:?}: unknown scheme {other:?}")),
    };
    let authority = rest.split('/').next().unwrap_or(rest);
    let default_port = match protocol {
        OtlpProtocol::Grpc => 4317,
        OtlpProtocol::Http if plain => 80,
        OtlpProtocol::Http => 443,
    };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) => (
            host,
            port.parse()
                .map_err(|_| format!("endpoint {endpoint:?}: no port {port:?}"))?,
        ),
        None => (authority, default_port),
    };
    if host.is_empty() {
        return Err(format!("endpoint {endpoint:?}: expected a host"));
    }
    Ok((host.to_owned(), port, plain))
}

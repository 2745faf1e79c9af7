//! What a service is started with.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use gameday_env::Address;

use crate::topology::Role;

/// The settings of one service. [`ServiceConfig::of`] has the ones of the topology; change what differs.
#[derive(Clone, Debug)]
pub struct ServiceConfig {
    /// `service.name`, the label `service` and the host that it runs on.
    pub name: String,
    /// `service.version` and the label of `service_info`.
    pub version: String,
    /// What it does.
    pub role: Role,
    /// Where it takes requests and scrapes.
    pub listen: Address,
    /// Where it takes faults.
    pub control: Address,
    /// The services that it calls.
    pub upstreams: Vec<Upstream>,
    /// The OTLP/HTTP receiver for traces and logs; none switches the export off.
    pub otlp_endpoint: Option<Address>,
    /// How often waiting spans and log records are sent. In virtual time each flush costs about as much as a request.
    pub flush_interval: Duration,
    /// The share of traces that begin at this service and are recorded, 0 to 1; a caller's decision is kept.
    pub sampling_ratio: f64,
    /// Log lines below this level are not written.
    pub log_level: Level,
    /// Whether the node exporter shows the process's slice of the machine in real time, and not the whole machine.
    pub host_slice: bool,
    /// Of the INFO lines of ordinary requests, every so manieth is written (1 = all, 0 = none).
    pub access_log_every: u32,
    /// Requests that take longer are logged as WARN.
    pub slow_over: Duration,
    /// The file of the database; none keeps it in memory.
    pub database: Option<PathBuf>,
    /// Connections of the database pool.
    pub database_connections_max: u32,
    /// What the host offers to the service.
    pub limits: HostLimits,
}

/// A service that another one calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// Its name, which faults and messages use.
    pub name: String,
    /// Where it listens.
    pub address: Address,
    /// How long a call may take; then the answer is 504.
    pub timeout: Duration,
}

/// What a host offers, the hundred percent of the saturation metrics.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HostLimits {
    /// Processor cores.
    pub cpu_cores: f64,
    /// Memory.
    pub memory_bytes: u64,
    /// The data volume.
    pub disk_bytes: u64,
}

impl Default for HostLimits {
    /// A small virtual machine.
    fn default() -> Self {
        Self {
            cpu_cores: 2.0,
            memory_bytes: 512 << 20,
            disk_bytes: 8 << 30,
        }
    }
}

/// How bad a log line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For those who debug the service.
    Debug,
    /// An ordinary request.
    Info,
    /// Slow, or a caller's mistake.
    Warn,
    /// A request failed.
    Error,
}

/// Why a text is no level.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid log level {0:?}: expected debug, info, warn or error")]
pub struct LevelError(pub String);

impl Level {
    /// Its name in log lines.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

impl FromStr for Level {
    type Err = LevelError;

    fn from_str(text: &str) -> Result<Self, LevelError> {
        [Self::Debug, Self::Info, Self::Warn, Self::Error]
            .into_iter()
            .find(|level| level.as_str() == text)
            .ok_or_else(|| LevelError(text.to_owned()))
    }
}

/// Where services take requests and scrapes.
pub const SERVICE_PORT: u16 = 8080;
/// Where services take faults.
pub const CONTROL_PORT: u16 = 8081;

/// Where the node exporter of a host is.
pub const NODE_EXPORTER_PORT: u16 = 9100;

impl ServiceConfig {
    /// The service of that role as the topology has it: at its own name's ports, with its telemetry sent to
    /// `otel-collector:4318`.
    pub fn of(role: Role) -> Self {
        let upstream = |role: Role, timeout_secs| Upstream {
            name: role.name().to_owned(),
            address: Address::new(role.name(), SERVICE_PORT),
            timeout: Duration::from_secs(timeout_secs),
        };
        // The outer limit is the longer one, so that the inner failure is the one that is reported.
        let upstreams = match role {
            Role::Frontend => vec![upstream(Role::Checkout, 10), upstream(Role::Users, 10)],
            Role::Checkout => vec![upstream(Role::Payments, 5)],
            Role::Payments | Role::Users => Vec::new(),
        };
        Self {
            name: role.name().to_owned(),
            version: "1.0.0".to_owned(),
            role,
            listen: Address::new(role.name(), SERVICE_PORT),
            control: Address::new(role.name(), CONTROL_PORT),
            upstreams,
            otlp_endpoint: Some(Address::new("otel-collector", 4318)),
            flush_interval: Duration::from_secs(1),
            sampling_ratio: 1.0,
            log_level: Level::Info,
            host_slice: false,
            access_log_every: 1,
            slow_over: Duration::from_millis(500),
            database: None,
            database_connections_max: 64,
            limits: HostLimits::default(),
        }
    }
}

/// The whole topology: frontend -> checkout -> payments, and frontend -> users.
pub fn topology() -> Vec<ServiceConfig> {
    Role::ALL.into_iter().map(ServiceConfig::of).collect()
}

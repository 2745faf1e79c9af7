//! A running service.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gameday_env::{Address, Env, HttpClient, NetError, ServeOptions, serve};

use crate::config::{HostLimits, ServiceConfig, Upstream};
use crate::database::Database;
use crate::faults::{FaultError, FaultSpec, FaultState, FaultTable, Ground, Surroundings};
use crate::host::Host;
use crate::metrics::{Metrics, Readings};
use crate::node::NodeExporter;
use crate::telemetry::{Telemetry, TelemetryConfig};
use crate::upstream::Callee;
use crate::work::ServiceTimes;
use crate::{control, handler};

/// Why a service does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A name that would break labels, log lines or addresses.
    #[error(
        "invalid service name {0:?}: expected letters, digits, '-', '_' and '.', at most 64 of them"
    )]
    Name(String),
    /// An upstream that no URL can name.
    #[error("upstream {name}: {address} cannot stand in a URL")]
    Upstream {
        /// Its name.
        name: String,
        /// Its address.
        address: String,
    },
    /// A port is taken or cannot be bound.
    #[error("cannot listen: {0}")]
    Listen(#[from] NetError),
    /// The database cannot be opened.
    #[error("cannot open the database: {0}")]
    Database(#[from] rusqlite::Error),
}

/// A service that takes requests. Dropping this leaves it running: it ends with its host, or by [`Service::stop`].
pub struct Service {
    inner: Arc<Inner>,
    socket: Option<SocketAddr>,
    control_socket: Option<SocketAddr>,
}

/// What the parts of a service share.
pub(crate) struct Inner {
    pub(crate) env: Env,
    pub(crate) config: ServiceConfig,
    pub(crate) server_address: Arc<str>,
    pub(crate) callees: Vec<Callee>,
    pub(crate) client: HttpClient,
    pub(crate) telemetry: Telemetry,
    pub(crate) metrics: Metrics,
    pub(crate) host: Arc<Host>,
    pub(crate) times: ServiceTimes,
    pub(crate) database: Option<Database>,
    pub(crate) faults: Arc<FaultTable>,
    /// The version that the service claims to be now.
    version: Mutex<String>,
    access_lines: AtomicU32,
    orders: AtomicI64,
}

/// Starts a service on the host of `env`: listens, and keeps sending its telemetry.
///
/// # Errors
/// Where a port is taken, the database cannot be opened, or the name is unfit.
pub async fn start(env: &Env, config: ServiceConfig) -> Result<Service, Error> {
    let fits = |it: char| it.is_ascii_alphanumeric() || "-_.".contains(it);
    if config.name.is_empty() || config.name.len() > 64 || !config.name.chars().all(fits) {
        return Err(Error::Name(config.name));
    }
    let listener = env.listen(&config.listen).await?;
    let control_listener = env.listen(&config.control).await?;
    let (socket, control_socket) = (listener.socket(), control_listener.socket());
    let inner = Inner::build(env, config)?;
    serve(
        env,
        listener,
        handler::Handler(Arc::clone(&inner)),
        ServeOptions::default(),
    );
    serve(
        env,
        control_listener,
        control::Control(Arc::clone(&inner)),
        ServeOptions::default(),
    );
    let flushing = Arc::clone(&inner);
    env.spawn(async move { flushing.telemetry.run().await });
    Ok(Service {
        inner,
        socket,
        control_socket,
    })
}

/// How long a graceful stop waits for the telemetry to be taken.
const STOP_MAX: Duration = Duration::from_secs(2);

/// Serves the node exporter of a machine whose service is gone, as tasks of the host of `env`, until the host crashes or the service
/// starts again; over TCP, the socket it got.
///
/// # Errors
/// Where the address is taken or cannot be bound.
pub async fn export_vacant_node(
    env: &Env,
    address: &Address,
    limits: HostLimits,
) -> Result<Option<SocketAddr>, Error> {
    let listener = env.listen(address).await?;
    let socket = listener.socket();
    let host = Arc::new(Host::vacant(env, limits));
    serve(
        env,
        listener,
        NodeExporter::new(env, host, true),
        ServeOptions::default(),
    );
    Ok(socket)
}

impl Service {
    /// Its configuration.
    pub fn config(&self) -> &ServiceConfig {
        &self.inner.config
    }

    /// Where it takes requests and scrapes, over TCP.
    pub fn socket(&self) -> Option<SocketAddr> {
        self.socket
    }

    /// Where it takes faults, over TCP.
    pub fn control_socket(&self) -> Option<SocketAddr> {
        self.control_socket
    }

    /// Puts a fault in force, as `PUT /-/faults/{name}` does.
    ///
    /// # Errors
    /// Where the fault has a mistake, there are too many, or this host cannot do it.
    pub fn inject(&self, name: &str, fault: &serde_json::Value) -> Result<FaultState, FaultError> {
        self.inner.inject(name, fault)
    }

    /// Takes a fault out of force, as `DELETE /-/faults/{name}` does; none where there is none of that name.
    pub fn clear(&self, name: &str) -> Option<FaultState> {
        self.inner.faults.remove(name)
    }

    /// The faults in force.
    pub fn faults(&self) -> Vec<FaultState> {
        self.inner.faults.list()
    }

    /// Sends the telemetry that waits.
    pub async fn flush(&self) {
        self.inner.telemetry.flush().await;
    }

    /// Serves the node exporter of this service's host at `address`; over TCP, the socket it got.
    ///
    /// # Errors
    /// Where the address is taken or cannot be bound.
    pub async fn export_node(&self, address: &Address) -> Result<Option<SocketAddr>, Error> {
        let env = &self.inner.env;
        let listener = env.listen(address).await?;
        let socket = listener.socket();
        let slice = self.inner.config.host_slice;
        let exporter = NodeExporter::new(env, Arc::clone(&self.inner.host), slice);
        serve(env, listener, exporter, ServeOptions::default());
        Ok(socket)
    }

    /// Ends the service gracefully: no fault stays in force, no telemetry is left behind, and then its host's tasks end.
    pub async fn stop(self) {
        self.inner.faults.remove_all(None);
        let env = &self.inner.env;
        // A receiver that is away must not hold up the end: what it did not take by then is lost.
        let flushed = env.clock().timeout(STOP_MAX, self.inner.telemetry.flush());
        let _ = flushed.await;
        env.crash(env.host());
    }
}

fn callees(config: &ServiceConfig) -> Result<Vec<Callee>, Error> {
    let callee = |upstream: &Upstream| {
        let address = upstream.address.to_string();
        let authority = address.parse().map_err(|_| Error::Upstream {
            name: upstream.name.clone(),
            address,
        })?;
        Ok(Callee {
            upstream: upstream.clone(),
            authority,
            server_address: upstream.address.host.as_str().into(),
        })
    };
    config.upstreams.iter().map(callee).collect()
}

impl Inner {
    fn build(env: &Env, config: ServiceConfig) -> Result<Arc<Self>, Error> {
        let database = match config.role.table() {
            Some(_) => Some(Database::open(
                config.database.as_deref(),
                config.database_connections_max,
            )?),
            None => None,
        };
        let telemetry = Telemetry::new(
            env,
            &TelemetryConfig {
                service: config.name.clone(),
                version: config.version.clone(),
                endpoint: config.otlp_endpoint.clone(),
                flush_interval: config.flush_interval,
                sampling_ratio: config.sampling_ratio,
            },
        );
        let metrics = Metrics::new(&config.name, env.now(), database.is_some());
        metrics.set_version(&config.version);
        let host = Arc::new(Host::new(env, config.limits));
        let upstream_hosts = config
            .upstreams
            .iter()
            .map(|it| (it.name.clone(), it.address.host.clone()))
            .collect();
        let ground = Ground {
            env: env.clone(),
            host: Arc::clone(&host),
            upstream_hosts,
        };
        let callees = callees(&config)?;
        Ok(Arc::new_cyclic(|inner: &std::sync::Weak<Self>| {
            let told = inner.clone();
            let faults = FaultTable::new(ground, move |version| {
                if let Some(inner) = told.upgrade() {
                    inner.claim(version);
                }
            });
            Self {
                env: env.clone(),
                server_address: config.listen.host.as_str().into(),
                callees,
                client: env.http_client(),
                telemetry,
                metrics,
                host,
                times: ServiceTimes::new(env),
                database,
                faults: Arc::new(faults),
                version: Mutex::new(config.version.clone()),
                access_lines: AtomicU32::new(0),
                orders: AtomicI64::new(0),
                config,
            }
        }))
    }

    /// Claims to be `version`, or again the one that it was started as.
    fn claim(&self, version: Option<&str>) {
        let version = version.unwrap_or(&self.config.version);
        let mut current = self.version.lock().unwrap_or_else(PoisonError::into_inner);
        if *current != version {
            version.clone_into(&mut current);
            self.metrics.set_version(version);
            self.telemetry.set_version(version);
        }
    }

    /// The version that it claims to be.
    pub(crate) fn version(&self) -> String {
        self.version
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Reads a fault and puts it in force.
    pub(crate) fn inject(
        &self,
        name: &str,
        fault: &serde_json::Value,
    ) -> Result<FaultState, FaultError> {
        let spec = FaultSpec::read(fault, &Surroundings::of(&self.config))?;
        self.faults.put(name, spec)
    }

    /// Whether the next ordinary request gets its log line.
    pub(crate) fn takes_access_line(&self) -> bool {
        match self.config.access_log_every {
            0 => false,
            1 => true,
            every => self
                .access_lines
                .fetch_add(1, Ordering::Relaxed)
                .is_multiple_of(every),
        }
    }

    /// The number of the next order.
    pub(crate) fn next_order(&self) -> i64 {
        self.orders.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The exposition of the metrics.
    pub(crate) fn exposition(&self, open_metrics: bool) -> String {
        let (spans, logs) = self.telemetry.counts();
        let (pool_in_use, pool_max) = self.database.as_ref().map_or((0, 0), Database::pool);
        let readings = Readings {
            usage: self.host.usage(),
            pool_in_use,
            pool_max,
            spans,
            logs,
        };
        self.metrics.expose(&readings, open_metrics)
    }
}

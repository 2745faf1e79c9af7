//! The assembly: everything is built from the files, then listens, then runs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gameday_alerts::{Alertmanager, Options as AlertOptions};
use gameday_disk::DiskError;
use gameday_env::{Address, Env, NetError, ServeOptions, serve, serve_http2};
use gameday_logs::Store as LogStore;
use gameday_metrics::{Engine, EngineConfig, Store};
use gameday_rules::{Options as RuleOptions, Rules};
use gameday_signal::{EventKind, Labels};
use gameday_traces::TraceStore;

use crate::api;
use crate::collector::{Collector, store_flow};
use crate::data::{DataFolder, store_config};
use crate::files::StackFiles;
use crate::host::Host;
use crate::notify::NotifyMode;
use crate::receive::{self, OtlpGrpc};
use crate::rule_backend::Checker;
use crate::scrape::{Scraper, ScraperOptions};
use crate::shared::{Engines, Shared};
use crate::tick;

/// Where the servers of the stack listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackAddresses {
    /// Prometheus' API, remote write and OTLP metrics.
    pub prometheus: Address,
    /// Alertmanager's API.
    pub alertmanager: Address,
    /// Loki's API and push.
    pub loki: Address,
    /// Tempo's API.
    pub tempo: Address,
    /// OTLP over HTTP.
    pub otlp_http: Address,
    /// OTLP over gRPC.
    pub otlp_grpc: Address,
    /// Pushgateway.
    pub pushgateway: Address,
    /// The collector's metrics about itself.
    pub collector_metrics: Address,
}

impl StackAddresses {
    /// The standard ports, each on a host of its own name: for game days.
    pub fn named() -> Self {
        Self {
            prometheus: Address::new("prometheus", 9090),
            alertmanager: Address::new("alertmanager", 9093),
            loki: Address::new("loki", 3100),
            tempo: Address::new("tempo", 3200),
            otlp_http: Address::new("otel-collector", 4318),
            otlp_grpc: Address::new("otel-collector", 4317),
            pushgateway: Address::new("pushgateway", 9091),
            collector_metrics: Address::new("otel-collector", 8888),
        }
    }

    /// All of them, always in the same order.
    pub fn all(&self) -> [&Address; 8] {
        [
            &self.prometheus,
            &self.alertmanager,
            &self.loki,
            &self.tempo,
            &self.otlp_http,
            &self.otlp_grpc,
            &self.pushgateway,
            &self.collector_metrics,
        ]
    }

    /// The standard ports on loopback, each moved by `offset`.
    pub fn loopback(offset: u16) -> Self {
        let at = |port: u16| Address::new("127.0.0.1", port.saturating_add(offset));
        Self {
            prometheus: at(9090),
            alertmanager: at(9093),
            loki: at(3100),
            tempo: at(3200),
            otlp_http: at(4318),
            otlp_grpc: at(4317),
            pushgateway: at(9091),
            collector_metrics: at(8888),
        }
    }
}

/// How a stack is built.
#[derive(Clone, Debug)]
pub struct StackOptions {
    /// Where the servers listen.
    pub addresses: StackAddresses,
    /// Where notifications go.
    pub notify: NotifyMode,
    /// What every duration of the files is divided by.
    pub compress: Option<u32>,
    /// The address under which people reach Prometheus, for links.
    pub external_url: String,
    /// Make metrics of spans where the files bring no collector.yaml: span metrics and the service graph.
    pub span_metrics: bool,
    /// The folder that keeps metrics, logs, traces and Alertmanager's state over a restart; none keeps all in memory.
    pub data: Option<PathBuf>,
}

impl Default for StackOptions {
    fn default() -> Self {
        Self {
            addresses: StackAddresses::named(),
            notify: NotifyMode::Direct,
            compress: None,
            external_url: "http://prometheus:9090".to_owned(),
            span_metrics: false,
            data: None,
        }
    }
}

/// Why a stack could not start.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// A file under test is invalid.
    #[error("{0}")]
    File(String),
    /// The data directory could not be used.
    #[error("data directory: {0}")]
    Data(String),
    /// Another process uses the data directory.
    #[error("data directory: {} is used by another process", .0.display())]
    DataInUse(PathBuf),
    /// An address could not be listened at.
    #[error("{server} cannot listen: {source}")]
    Listen {
        /// Which server.
        server: &'static str,
        /// Why.
        source: NetError,
    },
}

/// A running stack. Its tasks belong to the hosts of its servers and end with the simulation.
pub struct Stack {
    shared: Arc<Shared>,
    addresses: StackAddresses,
}

/// The lookback of instant selectors, Prometheus' default.
const LOOKBACK: Duration = Duration::from_secs(300);
/// How often a stack that ends looks whether everything is sent.
const DRAIN_LOOK: Duration = Duration::from_millis(20);

impl Stack {
    /// Builds the stack from the files, binds its addresses and starts its tickers.
    ///
    /// # Errors
    /// Where a file is invalid (every mistake with its place), or an address is taken.
    pub async fn start(
        env: &Env,
        files: &StackFiles,
        options: StackOptions,
    ) -> Result<Self, StackError> {
        let files = files.clone().compressed(options.compress);
        let data = options.data.as_deref().map(DataFolder::open).transpose()?;
        let shared = Arc::new(Shared::new(
            env,
            files.clone(),
            engines(env, &files, &options, data.as_ref())?,
            data,
        ));
        shared.describe_collector();
        let addresses = options.addresses.clone();
        listen(
            env,
            "prometheus",
            &addresses.prometheus,
            api::prometheus::routes(Arc::clone(&shared))
                .merge(receive::prometheus_routes(Host(Arc::clone(&shared)))),
        )
        .await?;
        listen(
            env,
            "alertmanager",
            &addresses.alertmanager,
            api::alertmanager::routes(Arc::clone(&shared))
                .merge(api::receivers::routes(Arc::clone(&shared))),
        )
        .await?;
        listen(
            env,
            "loki",
            &addresses.loki,
            api::loki::routes(Arc::clone(&shared))
                .merge(api::loki_tail::routes(Arc::clone(&shared)))
                .merge(api::ruler::routes(Arc::clone(&shared)))
                .merge(receive::loki_routes(Host(Arc::clone(&shared)))),
        )
        .await?;
        listen(
            env,
            "tempo",
            &addresses.tempo,
            api::tempo::routes(Arc::clone(&shared)).merge(api::jaeger::routes(Arc::clone(&shared))),
        )
        .await?;
        listen(
            env,
            "otel-collector",
            &addresses.otlp_http,
            receive::otlp_routes(Host(Arc::clone(&shared))),
        )
        .await?;
        listen_grpc(
            env,
            &addresses.otlp_grpc,
            OtlpGrpc(Host(Arc::clone(&shared))),
        )
        .await?;
        listen(
            env,
            "otel-collector",
            &addresses.collector_metrics,
            receive::collector_metrics_routes(Host(Arc::clone(&shared))),
        )
        .await?;
        listen(
            env,
            "pushgateway",
            &addresses.pushgateway,
            receive::pushgateway_routes(Host(Arc::clone(&shared))),
        )
        .await?;
        tick::start(&shared, options.notify);
        Ok(Self { shared, addresses })
    }

    /// Where the servers listen.
    pub fn addresses(&self) -> &StackAddresses {
        &self.addresses
    }

    /// Decides upon what the collector holds back, and waits, at most for `limit`, until its exporters have sent what they hold. Says
    /// what is left.
    pub async fn drain(&self, limit: Duration) -> Vec<String> {
        let now = self.shared.now();
        let flow = self.shared.collector().flush(now);
        store_flow(&self.shared, flow);
        let outlets = self.shared.collector().outlets().to_vec();
        let empty = async {
            while outlets.iter().any(|outlet| outlet.len() > 0) {
                self.shared.env().clock().sleep(DRAIN_LOOK).await;
            }
        };
        let drained = self.shared.env().clock().timeout(limit, empty).await;
        let left = outlets.iter().filter(|outlet| outlet.len() > 0);
        match drained {
            Ok(()) => Vec::new(),
            Err(_) => left.map(|outlet| outlet.left()).collect(),
        }
    }

    /// Writes everything down that must survive, before the process ends.
    ///
    /// # Errors
    /// Where a file cannot be written.
    pub fn save(&self) -> Result<(), String> {
        self.shared.save_alerts()?;
        self.shared
            .logs()
            .checkpoint()
            .map_err(|error| error.to_string())?;
        self.shared
            .metrics()
            .checkpoint()
            .map_err(|error| error.to_string())
    }

    /// Reads all files again. What is wrong changes nothing of its server; each mistake is given with its place.
    ///
    /// # Errors
    /// Every mistake.
    pub fn reload(&self) -> Result<(), Vec<String>> {
        let errors: Vec<String> = [
            self.shared.reload_prometheus(),
            self.shared.reload_alertmanager(),
        ]
        .into_iter()
        .filter_map(Result::err)
        .collect();
        if errors.is_empty() {
            Ok(())
        } else {
            Err(errors)
        }
    }

    /// The names of the receivers of alertmanager.yml.
    pub fn receiver_names(&self) -> Vec<String> {
        self.shared
            .alerts()
            .config()
            .receiver_names()
            .map(str::to_owned)
            .collect()
    }

    /// The group_wait of the first route that an alert with these labels takes.
    pub fn group_wait_of(&self, labels: &Labels) -> Duration {
        self.shared.alerts().group_wait_of(labels)
    }
}

fn engines(
    env: &Env,
    files: &StackFiles,
    options: &StackOptions,
    data: Option<&DataFolder>,
) -> Result<Engines, StackError> {
    let prometheus = files.prometheus_config().map_err(StackError::File)?;
    let divisor = options.compress.unwrap_or(1);
    let collector = files
        .collector_config(options.span_metrics)
        .map_err(StackError::File)?;
    let lookback = LOOKBACK / divisor;
    let interval = prometheus.global.evaluation_interval;
    let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    let engine = Engine::new(EngineConfig {
        lookback_ms: millis(lookback),
        default_subquery_step_ms: millis(interval),
        ..EngineConfig::default()
    });
    let rule_files = files.rule_files().map_err(StackError::File)?;
    let defaults = RuleOptions::default();
    let rule_options = RuleOptions {
        evaluation_interval: interval,
        query_offset: prometheus.global.rule_query_offset,
        external_labels: prometheus.external_labels().clone(),
        external_url: options.external_url.clone(),
        resend_delay: defaults.resend_delay / divisor,
        for_grace_period: defaults.for_grace_period / divisor,
        for_outage_tolerance: defaults.for_outage_tolerance / divisor,
        restore: options.data.is_some(),
        ..defaults
    };
    let config = files.alertmanager_config().map_err(StackError::File)?;
    let templates = files.templates(&config).map_err(StackError::File)?;
    let alert_options = AlertOptions {
        seed: env.seed(),
        started_at: env.now(),
        external_url: format!("http://{}", options.addresses.alertmanager),
        ..AlertOptions::default()
    };
    let mut alerts = Alertmanager::new(config, alert_options);
    alerts.set_templates(templates);
    let (mut told, mut repairs) = (Vec::new(), 0);
    let limits = gameday_traces::Limits::default();
    let (metrics, logs, traces) = match data {
        Some(folder) => {
            let now = env.now();
            let failed = |error: DiskError| StackError::Data(error.to_string());
            let config = store_config(&prometheus.storage, true);
            let metrics = folder.open_metrics(config, &mut told).map_err(failed)?;
            // The first line says what was read.
            repairs = told.len().saturating_sub(1);
            let logs = folder.open_logs(now, &mut told).map_err(failed)?;
            let traces = folder.open_traces(now, &mut told).map_err(failed)?;
            folder
                .restore_alerts(&mut alerts, now, &mut told)
                .map_err(StackError::Data)?;
            (metrics, logs, traces)
        }
        None => (
            Store::new(store_config(&prometheus.storage, false)),
            LogStore::new(gameday_logs::Limits::default()),
            TraceStore::new(limits),
        ),
    };
    told.extend(
        prometheus
            .warnings
            .iter()
            .map(|warning| format!("{}: {warning}", files.prometheus.path)),
    );
    told.extend(
        collector
            .warnings
            .iter()
            .map(|own| format!("collector.yaml: {own}")),
    );
    for text in told {
        env.record(EventKind::Note { text });
    }
    Ok(Engines {
        engine,
        metrics,
        rules: Rules::from_files(&rule_files, &Checker, rule_options, env.now()),
        alerts,
        logs,
        traces,
        collector: Collector::new(collector),
        scraper: Scraper::new(&prometheus, ScraperOptions { spread: false }, env.now()),
        config: prometheus,
        repairs,
    })
}

async fn listen(
    env: &Env,
    server: &'static str,
    address: &Address,
    routes: axum::Router,
) -> Result<(), StackError> {
    let host = env.on(server);
    let listener = host
        .listen(address)
        .await
        .map_err(|source| StackError::Listen { server, source })?;
    serve(&host, listener, routes, ServeOptions::default());
    Ok(())
}

async fn listen_grpc(
    env: &Env,
    address: &Address,
    service: OtlpGrpc<Host>,
) -> Result<(), StackError> {
    let host = env.on("otel-collector");
    let server = "otel-collector (gRPC)";
    let listener = host
        .listen(address)
        .await
        .map_err(|source| StackError::Listen { server, source })?;
    serve_http2(&host, listener, service, ServeOptions::default());
    Ok(())
}

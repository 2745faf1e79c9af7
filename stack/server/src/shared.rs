//! What the tickers, the receivers and the APIs share: the engines behind their locks.
//!
//! Everything runs on one thread, so a lock is never waited for; no lock is held across an await.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gameday_alerts::Alertmanager;
use gameday_env::Env;
use gameday_logs::Store as LogStore;
use gameday_metrics::{Engine, Expr, Store};
use gameday_rules::Rules;
use gameday_signal::{MetricMetadata, MetricType, Timestamp};
use gameday_traces::TraceStore;
use gameday_wire::otlp::MetricOptions;
use tokio::sync::Notify;

use crate::api::common::{Params, parse_step_ms};
use crate::collector::Collector;
use crate::config::PrometheusConfig;
use crate::data::{DataFolder, store_config};
use crate::files::StackFiles;
use crate::inbox::Inbox;
use crate::receive::Pushgateway;
use crate::scrape::Scraper;

/// The state of the stack.
pub(crate) struct Shared {
    env: Env,
    engine: Mutex<Engine>,
    config: Mutex<Arc<PrometheusConfig>>,
    reloads: Mutex<Reloads>,
    metrics: Mutex<Store>,
    rules: Mutex<Rules>,
    alerts: Mutex<Alertmanager>,
    logs: Mutex<LogStore>,
    traces: Mutex<TraceStore>,
    scraper: Mutex<Scraper>,
    pushgateway: Mutex<Pushgateway>,
    collector: Mutex<Collector>,
    pushed_metadata: Mutex<BTreeMap<String, MetricMetadata>>,
    /// Rule expressions, read once.
    expressions: Mutex<BTreeMap<String, Arc<Expr>>>,
    files: Mutex<StackFiles>,
    counters: Mutex<BTreeMap<&'static str, u64>>,
    /// Wakes the ticker of Alertmanager.
    pub(crate) alerts_wake: Notify,
    /// Wakes the tails of log lines.
    pub(crate) logs_wake: Notify,
    /// Wakes the ticker of the rules.
    pub(crate) rules_wake: Notify,
    /// Wakes the ticker of the collector.
    pub(crate) collector_wake: Notify,
    /// Wakes the scraper.
    pub(crate) scraper_wake: Notify,
    /// Wakes the tasks that send samples on.
    pub(crate) forward_wake: Notify,
    pub(crate) started: Timestamp,
    /// How many damaged files were repaired at the start.
    pub(crate) repairs: usize,
    data: Option<DataFolder>,
    commit_error: Mutex<Option<String>>,
    /// The generation of Alertmanager's state that was saved last.
    saved_generation: Mutex<u64>,
    /// What the stack's own receivers show.
    inbox: Mutex<Inbox>,
}

/// The engines that a stack starts with.
pub(crate) struct Engines {
    pub(crate) engine: Engine,
    pub(crate) metrics: Store,
    pub(crate) rules: Rules,
    pub(crate) alerts: Alertmanager,
    pub(crate) logs: LogStore,
    pub(crate) traces: TraceStore,
    pub(crate) scraper: Scraper,
    pub(crate) collector: Collector,
    pub(crate) config: PrometheusConfig,
    /// How many damaged files of metrics were repaired.
    pub(crate) repairs: usize,
}

/// When prometheus.yml was read last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reloads {
    /// Whether the last attempt succeeded.
    pub(crate) ok: bool,
    /// When an attempt succeeded last.
    pub(crate) succeeded_at: Timestamp,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(crate) fn new(
        env: &Env,
        files: StackFiles,
        engines: Engines,
        data: Option<DataFolder>,
    ) -> Self {
        Self {
            env: env.clone(),
            engine: Mutex::new(engines.engine),
            config: Mutex::new(Arc::new(engines.config)),
            reloads: Mutex::new(Reloads {
                ok: true,
                succeeded_at: env.now(),
            }),
            metrics: Mutex::new(engines.metrics),
            rules: Mutex::new(engines.rules),
            alerts: Mutex::new(engines.alerts),
            logs: Mutex::new(engines.logs),
            traces: Mutex::new(engines.traces),
            scraper: Mutex::new(engines.scraper),
            pushgateway: Mutex::default(),
            collector: Mutex::new(engines.collector),
            pushed_metadata: Mutex::default(),
            expressions: Mutex::default(),
            files: Mutex::new(files),
            counters: Mutex::default(),
            alerts_wake: Notify::new(),
            logs_wake: Notify::new(),
            rules_wake: Notify::new(),
            collector_wake: Notify::new(),
            scraper_wake: Notify::new(),
            forward_wake: Notify::new(),
            started: env.now(),
            repairs: engines.repairs,
            data,
            commit_error: Mutex::default(),
            saved_generation: Mutex::default(),
            inbox: Mutex::default(),
        }
    }

    pub(crate) fn env(&self) -> &Env {
        &self.env
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.env.now()
    }

    pub(crate) fn engine(&self) -> Engine {
        lock(&self.engine).clone()
    }

    /// prometheus.yml as it was read last.
    pub(crate) fn config(&self) -> Arc<PrometheusConfig> {
        Arc::clone(&lock(&self.config))
    }

    /// When it was read.
    pub(crate) fn reloads(&self) -> Reloads {
        *lock(&self.reloads)
    }

    /// The data directory.
    pub(crate) fn data(&self) -> Option<&Path> {
        self.data.as_ref().map(DataFolder::path)
    }

    /// Whether the series store has a data directory.
    pub(crate) fn is_durable(&self) -> bool {
        self.data.is_some()
    }

    /// The engine with the lookback that a request asks for.
    pub(crate) fn engine_for(&self, params: &Params) -> Result<Engine, String> {
        match params.get("lookback_delta") {
            None => Ok(self.engine()),
            Some(text) => {
                let message = || {
                    format!(
                        "error parsing lookback delta duration: cannot parse {text:?} to a valid duration"
                    )
                };
                parse_step_ms(text)
                    .filter(|ms| *ms > 0)
                    .map(|ms| self.engine().with_lookback_ms(ms))
                    .ok_or_else(message)
            }
        }
    }

    pub(crate) fn metrics(&self) -> MutexGuard<'_, Store> {
        lock(&self.metrics)
    }

    pub(crate) fn rules(&self) -> MutexGuard<'_, Rules> {
        lock(&self.rules)
    }

    pub(crate) fn alerts(&self) -> MutexGuard<'_, Alertmanager> {
        lock(&self.alerts)
    }

    pub(crate) fn inbox(&self) -> MutexGuard<'_, Inbox> {
        lock(&self.inbox)
    }

    pub(crate) fn logs(&self) -> MutexGuard<'_, LogStore> {
        lock(&self.logs)
    }

    pub(crate) fn traces(&self) -> MutexGuard<'_, TraceStore> {
        lock(&self.traces)
    }

    pub(crate) fn scraper(&self) -> MutexGuard<'_, Scraper> {
        lock(&self.scraper)
    }

    pub(crate) fn pushgateway(&self) -> MutexGuard<'_, Pushgateway> {
        lock(&self.pushgateway)
    }

    pub(crate) fn collector(&self) -> MutexGuard<'_, Collector> {
        lock(&self.collector)
    }

    /// Remembers what the metrics are that the collector makes of spans.
    pub(crate) fn describe_collector(&self) {
        let descriptions = self.collector().descriptions();
        let mut known = self.pushed_metadata();
        for own in descriptions {
            let kind = match own.kind {
                "counter" => MetricType::Counter,
                "histogram" => MetricType::Histogram,
                _ => MetricType::Gauge,
            };
            let metadata = MetricMetadata {
                kind,
                help: own.help.to_owned(),
                unit: String::new(),
            };
            known.insert(own.name.to_owned(), metadata);
        }
    }

    /// What is known of metric families that were pushed.
    pub(crate) fn pushed_metadata(&self) -> MutexGuard<'_, BTreeMap<String, MetricMetadata>> {
        lock(&self.pushed_metadata)
    }

    /// How OTLP metrics are mapped.
    pub(crate) fn otlp_options(&self) -> MetricOptions {
        self.config().otlp.options()
    }

    pub(crate) fn files(&self) -> MutexGuard<'_, StackFiles> {
        lock(&self.files)
    }

    /// Writes down what was appended to the series store: what is acknowledged afterwards survives a kill. A log that cannot be
    /// written is counted; the samples stay in memory and are tried again.
    pub(crate) fn commit_metrics(&self, store: &mut Store) {
        if self.data.is_none() {
            return;
        }
        let error = store.commit().err().map(|error| error.to_string());
        if error.is_some() {
            self.count("prometheus_tsdb_wal_writes_failed_total", 1);
        }
        *lock(&self.commit_error) = error;
    }

    /// Why what was appended last could not be written down; none where it was.
    pub(crate) fn commit_error(&self) -> Option<String> {
        lock(&self.commit_error).clone()
    }

    /// As [`Self::commit_metrics`], for log lines, which tails are told of. As in Loki a disk that is full does not keep lines out of
    /// memory; they are tried again, and the counter says that they would not survive a kill.
    pub(crate) fn commit_logs(&self, store: &mut LogStore) {
        self.logs_wake.notify_waiters();
        if self.data.is_some() && store.commit().is_err() {
            self.count("loki_ingester_wal_disk_full_failures_total", 1);
        }
    }

    /// Saves Alertmanager's state where it has changed.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub(crate) fn save_alerts(&self) -> Result<(), String> {
        let Some(data) = &self.data else {
            return Ok(());
        };
        let alerts = self.alerts();
        let generation = alerts.state_generation();
        let mut saved = lock(&self.saved_generation);
        if generation != *saved {
            data.save_alerts(&alerts.snapshot())?;
            *saved = generation;
        }
        Ok(())
    }

    /// Tells the ticker of Alertmanager that its next deadline may have changed.
    pub(crate) fn alerts_changed(&self) {
        self.alerts_wake.notify_one();
    }

    /// The tree of an expression; each text is read once.
    pub(crate) fn expression(&self, source: &str) -> Result<Arc<Expr>, String> {
        let mut known = lock(&self.expressions);
        if let Some(expr) = known.get(source) {
            return Ok(Arc::clone(expr));
        }
        let expr = Arc::new(
            lock(&self.engine)
                .parse(source)
                .map_err(|error| error.to_string())?,
        );
        known.insert(source.to_owned(), Arc::clone(&expr));
        Ok(expr)
    }

    /// Counts something for the stack's own metrics.
    pub(crate) fn count(&self, name: &'static str, by: u64) {
        *lock(&self.counters).entry(name).or_default() += by;
    }

    /// What was counted, by name.
    pub(crate) fn counters(&self) -> BTreeMap<&'static str, u64> {
        lock(&self.counters).clone()
    }

    /// Reads alertmanager.yml again.
    pub(crate) fn reload_alertmanager(&self) -> Result<(), String> {
        let mut files = self.files().clone();
        files.reread_alertmanager()?;
        let config = files.alertmanager_config()?;
        let templates = files.templates(&config)?;
        *self.files() = files;
        let mut alerts = self.alerts();
        alerts.reload(config, self.now());
        alerts.set_templates(templates);
        drop(alerts);
        self.alerts_changed();
        Ok(())
    }

    /// Reads prometheus.yml and the rule files again; the alerts of unchanged groups and the series of unchanged targets go on. Where
    /// a file is wrong nothing changes.
    pub(crate) fn reload_prometheus(&self) -> Result<(), String> {
        let result = self.try_reload_prometheus();
        let mut reloads = lock(&self.reloads);
        reloads.ok = result.is_ok();
        if reloads.ok {
            reloads.succeeded_at = self.now();
        }
        result
    }

    fn try_reload_prometheus(&self) -> Result<(), String> {
        let mut files = self.files().clone();
        files.reread_prometheus()?;
        let config = files.prometheus_config()?;
        let rule_files = files.rule_files()?;
        let now = self.now();
        let mut rules = self.rules();
        let options = gameday_rules::Options {
            evaluation_interval: config.global.evaluation_interval,
            query_offset: config.global.rule_query_offset,
            external_labels: config.external_labels().clone(),
            ..rules.options().clone()
        };
        rules.replace(&rule_files, &crate::rule_backend::Checker, options, now);
        drop(rules);
        *self.files() = files;
        self.scraper().reload(&config, now);
        self.metrics()
            .reconfigure(store_config(&config.storage, self.is_durable()));
        let interval = config.global.evaluation_interval.as_millis();
        let step_ms = i64::try_from(interval).unwrap_or(i64::MAX);
        let mut engine = lock(&self.engine);
        *engine = engine.with_default_subquery_step_ms(step_ms);
        drop(engine);
        *lock(&self.config) = Arc::new(config);
        self.rules_wake.notify_one();
        self.scraper_wake.notify_one();
        self.forward_wake.notify_one();
        Ok(())
    }
}

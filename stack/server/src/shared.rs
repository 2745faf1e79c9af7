//! What the tickers, the receivers and the APIs share: the engines behind their locks.
//!
//! Everything runs on one thread, so a lock is never waited for; no lock is held across an await.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gameday_alerts::Alertmanager;
use gameday_env::Env;
use gameday_logs::Store as LogStore;
use gameday_metrics::{Engine, Expr, Store};
use gameday_rules::{Rules, SourceFile};
use gameday_signal::{MetricMetadata, Timestamp};
use gameday_traces::TraceStore;
use gameday_wire::otlp::MetricOptions;
use tokio::sync::Notify;

use crate::api::common::{Params, parse_step_ms};
use crate::files::StackFiles;
use crate::receive::Pushgateway;
use crate::scrape::Scraper;

/// The state of the stack.
pub(crate) struct Shared {
    env: Env,
    engine: Engine,
    metrics: Mutex<Store>,
    rules: Mutex<Rules>,
    alerts: Mutex<Alertmanager>,
    logs: Mutex<LogStore>,
    traces: Mutex<TraceStore>,
    scraper: Mutex<Scraper>,
    pushgateway: Mutex<Pushgateway>,
    pushed_metadata: Mutex<BTreeMap<String, MetricMetadata>>,
    otlp_options: MetricOptions,
    /// Rule expressions, read once.
    expressions: Mutex<BTreeMap<String, Arc<Expr>>>,
    files: Mutex<StackFiles>,
    counters: Mutex<BTreeMap<&'static str, u64>>,
    /// Wakes the ticker of Alertmanager.
    pub(crate) alerts_wake: Notify,
    /// Wakes the ticker of the rules.
    pub(crate) rules_wake: Notify,
    /// Wakes the scraper.
    pub(crate) scraper_wake: Notify,
    pub(crate) started: Timestamp,
    data: Option<PathBuf>,
    /// The generation of Alertmanager's state that was saved last.
    saved_generation: Mutex<u64>,
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
    pub(crate) otlp_options: MetricOptions,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(crate) fn new(
        env: &Env,
        files: StackFiles,
        engines: Engines,
        data: Option<PathBuf>,
    ) -> Self {
        Self {
            env: env.clone(),
            engine: engines.engine,
            metrics: Mutex::new(engines.metrics),
            rules: Mutex::new(engines.rules),
            alerts: Mutex::new(engines.alerts),
            logs: Mutex::new(engines.logs),
            traces: Mutex::new(engines.traces),
            scraper: Mutex::new(engines.scraper),
            pushgateway: Mutex::default(),
            pushed_metadata: Mutex::default(),
            otlp_options: engines.otlp_options,
            expressions: Mutex::default(),
            files: Mutex::new(files),
            counters: Mutex::default(),
            alerts_wake: Notify::new(),
            rules_wake: Notify::new(),
            scraper_wake: Notify::new(),
            started: env.now(),
            data,
            saved_generation: Mutex::default(),
        }
    }

    pub(crate) fn env(&self) -> &Env {
        &self.env
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.env.now()
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The engine with the lookback that a request asks for.
    pub(crate) fn engine_for(&self, params: &Params) -> Result<Engine, String> {
        match params.get("lookback_delta") {
            None => Ok(self.engine.clone()),
            Some(text) => {
                let message = || {
                    format!(
                        "error parsing lookback delta duration: cannot parse {text:?} to a valid duration"
                    )
                };
                parse_step_ms(text)
                    .filter(|ms| *ms > 0)
                    .map(|ms| self.engine.with_lookback_ms(ms))
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

    /// What is known of metric families that were pushed.
    pub(crate) fn pushed_metadata(&self) -> MutexGuard<'_, BTreeMap<String, MetricMetadata>> {
        lock(&self.pushed_metadata)
    }

    /// How OTLP metrics are mapped.
    pub(crate) fn otlp_options(&self) -> MetricOptions {
        self.otlp_options.clone()
    }

    pub(crate) fn files(&self) -> MutexGuard<'_, StackFiles> {
        lock(&self.files)
    }

    /// Writes down what was appended to the series store: what is acknowledged afterwards survives a kill. A log that cannot be
    /// written is counted; the samples stay in memory and are tried again.
    pub(crate) fn commit_metrics(&self, store: &mut Store) {
        if self.data.is_some() && store.commit().is_err() {
            self.count("prometheus_tsdb_wal_writes_failed_total", 1);
        }
    }

    /// As [`Self::commit_metrics`], for log lines. As in Loki a disk that is full does not keep lines out of memory; they are tried
    /// again, and the counter says that they would not survive a kill.
    pub(crate) fn commit_logs(&self, store: &mut LogStore) {
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
            crate::data::save_alerts(data, &alerts.snapshot())?;
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
            self.engine
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

    /// The stack's own metrics in the text format.
    pub(crate) fn own_metrics(&self) -> String {
        let mut out = String::new();
        for (name, value) in &*lock(&self.counters) {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "# TYPE {name} counter\n{name} {value}");
        }
        let stats = self.metrics().stats();
        let _ = writeln!(
            out,
            "# TYPE prometheus_tsdb_head_series gauge\nprometheus_tsdb_head_series {}",
            stats.series
        );
        let _ = writeln!(
            out,
            "# TYPE prometheus_tsdb_head_samples gauge\nprometheus_tsdb_head_samples {}",
            stats.samples
        );
        out
    }

    /// Reads alertmanager.yml again.
    pub(crate) fn reload_alertmanager(&self) -> Result<(), String> {
        let mut files = self.files();
        files.reread()?;
        let config = files.alertmanager_config()?;
        let templates = files.templates(&config)?;
        drop(files);
        let mut alerts = self.alerts();
        alerts.reload(config, self.now());
        alerts.set_templates(templates);
        drop(alerts);
        self.alerts_changed();
        Ok(())
    }

    /// Reads prometheus.yml and the rule files again; the alerts of unchanged groups and the series of unchanged targets go on.
    pub(crate) fn reload_prometheus(&self) -> Result<(), String> {
        let mut files = self.files();
        files.reread()?;
        let config = files.prometheus_config()?;
        let sources = files.rules.clone();
        drop(files);
        let sources: Vec<SourceFile<'_>> = sources
            .iter()
            .map(|file| SourceFile {
                path: &file.path,
                text: &file.text,
            })
            .collect();
        let mut rules = self.rules();
        let options = gameday_rules::Options {
            evaluation_interval: config.global.evaluation_interval,
            external_labels: config.external_labels().clone(),
            ..rules.options().clone()
        };
        rules
            .reload(&sources, &crate::rule_backend::Checker, options, self.now())
            .map_err(|errors| errors.to_string())?;
        drop(rules);
        self.scraper().reload(&config, self.now());
        self.rules_wake.notify_one();
        self.scraper_wake.notify_one();
        Ok(())
    }
}

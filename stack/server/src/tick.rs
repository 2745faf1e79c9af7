//! The tickers: each engine is told the time when it asked to be, and what it wants done is done.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gameday_alerts::Effect as AlertEffect;
use gameday_env::Env;
use gameday_rules::Effect as RuleEffect;
use gameday_signal::{Alert, EventKind, Timestamp};
use http::Request;
use serde_json::json;
use tokio::sync::mpsc;

use crate::forward::{self, Delivery, deliveries};
use crate::host::Host;
use crate::notify::{Notifier, NotifyMode};
use crate::outgoing::Outgoing;
use crate::rule_backend::StoreBackend;
use crate::scrape::{self, read_target_files};
use crate::shared::Shared;

/// Alerts that wait to be posted; Prometheus' `--alertmanager.notification-queue-capacity`.
const ALERT_QUEUE_MAX: usize = 10_000;
/// Alerts in one post; Prometheus' maximum batch.
const ALERT_BATCH_MAX: usize = 256;
/// Rules of a slot are evaluated this much later, with the time of the slot: what is scraped at the same moment is in the store by
/// then, as far as the network is fast. Prometheus leaves that order to the hashes of names.
const SCRAPES_FIRST: Duration = Duration::from_millis(10);
/// How often stores forget what is too old.
const RETENTION: Duration = Duration::from_secs(600);

/// Starts all tickers.
pub(crate) fn start(shared: &Arc<Shared>, notify: NotifyMode) {
    let prometheus = shared.env().on("prometheus");
    let (sender, receiver) = mpsc::channel(ALERT_QUEUE_MAX);
    prometheus.spawn(scrape::run(
        prometheus.clone(),
        Host(Arc::clone(shared)),
        shared.files().folder(),
    ));
    prometheus.spawn(forward::run(
        prometheus.clone(),
        Host(Arc::clone(shared)),
        shared.files().folder(),
    ));
    prometheus.spawn(rules(prometheus.clone(), Arc::clone(shared), sender));
    prometheus.spawn(post_alerts(
        prometheus.clone(),
        Arc::clone(shared),
        receiver,
    ));
    let collector = shared.env().on("otel-collector");
    collector.spawn(crate::collector::run(collector.clone(), Arc::clone(shared)));
    let alertmanager = shared.env().on("alertmanager");
    alertmanager.spawn(alerts(alertmanager.clone(), Arc::clone(shared), notify));
    prometheus.spawn(retention(prometheus.clone(), Arc::clone(shared)));
}

async fn rules(env: Env, shared: Arc<Shared>, alerts: mpsc::Sender<Alert>) {
    loop {
        let deadline = shared
            .rules()
            .next_deadline()
            .map(|slot| slot + SCRAPES_FIRST);
        wait_until(&env, deadline, &shared.rules_wake).await;
        let effects = {
            let mut rules = shared.rules();
            rules.tick(env.now(), &mut StoreBackend(&shared))
        };
        shared.commit_metrics(&mut shared.metrics());
        for effect in effects {
            match effect {
                RuleEffect::Event(kind) => env.record(kind),
                RuleEffect::Send(list) => {
                    for alert in list {
                        if alerts.try_send(alert).is_err() {
                            shared.count("prometheus_notifications_dropped_total", 1);
                        }
                    }
                }
            }
        }
    }
}

/// Waits until `deadline`, or until somebody says that it may have changed.
pub(crate) async fn wait_until(env: &Env, deadline: Option<Timestamp>, wake: &tokio::sync::Notify) {
    let timer = async {
        match deadline {
            Some(deadline) => env.clock().sleep_until(deadline).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        () = timer => {}
        () = wake.notified() => {}
    }
}

async fn post_alerts(env: Env, shared: Arc<Shared>, mut waiting: mpsc::Receiver<Alert>) {
    let outgoing = Outgoing::new(&env);
    loop {
        let mut batch = Vec::new();
        if waiting.recv_many(&mut batch, ALERT_BATCH_MAX).await == 0 {
            return;
        }
        let (config, folder) = (shared.config(), shared.files().folder());
        let read = |file: &str| std::fs::read_to_string(folder.join(file));
        for delivery in deliveries(&config, &batch, &|pattern| {
            read_target_files(&folder, pattern)
        }) {
            let count = delivery.alerts.len() as u64;
            if count == 0 {
                continue;
            }
            shared.count("prometheus_notifications_sent_total", count);
            if let Err(error) = post(&outgoing, &delivery, &read).await {
                // Lost alerts are sent again by the rules' resend delay, as in Prometheus.
                shared.count("prometheus_notifications_errors_total", count);
                env.record(EventKind::Note {
                    text: format!("alerts could not be sent to {}: {error}", delivery.url),
                });
            }
        }
    }
}

fn posted(alert: &Alert) -> serde_json::Value {
    json!({
        "labels": alert.labels,
        "annotations": alert.annotations,
        "startsAt": alert.starts_at.to_string(),
        "endsAt": alert.ends_at.to_string(),
        "generatorURL": alert.generator_url,
    })
}

async fn post(
    outgoing: &Outgoing,
    delivery: &Delivery,
    read: &(dyn Fn(&str) -> std::io::Result<String> + Sync),
) -> Result<(), String> {
    let body = json!(delivery.alerts.iter().map(posted).collect::<Vec<_>>()).to_string();
    let mut request = Request::post(&delivery.url).header("content-type", "application/json");
    for (name, value) in delivery.http.request_headers(read)? {
        request = request.header(name, value);
    }
    let request = request
        .body(Bytes::from(body))
        .map_err(|error| error.to_string())?;
    let options = delivery.http.request_options(read)?;
    let answer = outgoing
        .send(request, &options, delivery.timeout)
        .await
        .map_err(|error| error.to_string())?;
    if answer.status().is_success() {
        Ok(())
    } else {
        Err(format!(
            "bad response status {}: {}",
            answer.status(),
            String::from_utf8_lossy(answer.body())
        ))
    }
}

async fn alerts(env: Env, shared: Arc<Shared>, notify: NotifyMode) {
    let notifier = Notifier::new(&env, &shared, notify);
    loop {
        let deadline = shared.alerts().next_deadline();
        wait_until(&env, deadline, &shared.alerts_wake).await;
        let effects = shared.alerts().tick(env.now());
        if shared.save_alerts().is_err() {
            shared.count("alertmanager_state_writes_failed_total", 1);
        }
        for effect in effects {
            match effect {
                AlertEffect::Notify(notification) => {
                    env.spawn(notifier.clone().deliver(notification));
                }
                AlertEffect::Suppressed(suppressed) => {
                    env.record(EventKind::NotificationMuted {
                        receiver: suppressed.receiver,
                        alerts: suppressed.alerts,
                        reason: suppressed.by.as_str().to_owned(),
                    });
                }
                AlertEffect::GaveUp {
                    integration,
                    attempts,
                    error,
                    ..
                } => env.record(EventKind::NotificationFailed {
                    receiver: integration.receiver,
                    integration: integration.kind.to_owned(),
                    error: format!("given up after {attempts} attempts: {error}"),
                }),
            }
        }
    }
}

async fn retention(env: Env, shared: Arc<Shared>) {
    loop {
        env.clock().sleep(RETENTION).await;
        let now = env.now();
        if shared.metrics().maintain(now.as_millis()).is_err() {
            shared.count("prometheus_tsdb_checkpoints_failed_total", 1);
        }
        shared.traces().tick(now);
        if shared.logs().maintain(now).is_err() {
            shared.count("loki_ingester_checkpoint_creations_failed_total", 1);
        }
    }
}

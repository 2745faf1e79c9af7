//! The tasks that send.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use gameday_env::{Env, HttpClient};
use gameday_metrics::Store;
use gameday_signal::{Labels, MetricMetadata};
use http::{Request, header};
use tokio::sync::Notify;

use super::queue::Queue;
use crate::config::RemoteWriteConfig;

/// What the store keeps for the queues between two looks at it.
const TAP_MAX: usize = 2_000_000;

/// What sending needs of the stack. Nothing is awaited while something is lent.
pub trait ForwardHost: Clone + Send + Sync + 'static {
    /// Lends the series store.
    fn with_store<R>(&self, visit: impl FnOnce(&mut Store) -> R) -> R;

    /// What is known about metric families.
    fn known_metadata(&self) -> BTreeMap<String, MetricMetadata>;

    /// Counts something for the stack's own metrics.
    fn count_forwarded(&self, name: &'static str, by: u64);
}

struct Shard {
    queue: Mutex<Queue>,
    filled: Notify,
}

impl Shard {
    fn with<R>(&self, visit: impl FnOnce(&mut Queue) -> R) -> R {
        visit(&mut self.queue.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Sends samples to each `remote_write` for ever; returns at once where there is none. Files of passwords and tokens are relative to
/// `folder`.
pub async fn run(
    env: Env,
    host: impl ForwardHost,
    configs: Vec<RemoteWriteConfig>,
    external_labels: Labels,
    folder: PathBuf,
) {
    let Some(period) = configs
        .iter()
        .map(|config| config.queue_config.batch_send_deadline)
        .min()
    else {
        return;
    };
    host.with_store(|store| store.start_tap(TAP_MAX));
    let shards: Vec<Arc<Shard>> = configs
        .into_iter()
        .map(|config| {
            Arc::new(Shard {
                queue: Mutex::new(Queue::new(config, external_labels.clone())),
                filled: Notify::new(),
            })
        })
        .collect();
    for shard in &shards {
        env.spawn(send_all(
            env.clone(),
            host.clone(),
            Arc::clone(shard),
            folder.clone(),
        ));
    }
    loop {
        env.clock()
            .sleep(period.max(Duration::from_millis(1)))
            .await;
        let (tapped, lost) = host.with_store(Store::take_tapped);
        for shard in &shards {
            let dropped = lost + shard.with(|queue| queue.push(&tapped));
            if dropped > 0 {
                host.count_forwarded("prometheus_remote_storage_samples_dropped_total", dropped);
            }
            shard.filled.notify_one();
        }
    }
}

/// What became of a request.
enum Answer {
    Taken,
    /// It may be taken later.
    Later,
    /// It will never be taken.
    Refused,
}

async fn send_all(env: Env, host: impl ForwardHost, shard: Arc<Shard>, folder: PathBuf) {
    let client = env.http_client();
    loop {
        if shard.with(|queue| queue.is_empty()) {
            shard.filled.notified().await;
            continue;
        }
        let metadata = host.known_metadata();
        let now = env.now();
        let Some((body, count)) = shard.with(|queue| queue.next_batch(&metadata, now)) else {
            continue;
        };
        let config = shard.with(|queue| queue.config().clone());
        let body = Bytes::from(body);
        let mut wait = config
            .queue_config
            .min_backoff
            .max(Duration::from_millis(1));
        loop {
            match send(&client, &config, body.clone(), &folder).await {
                Answer::Taken => {
                    host.count_forwarded("prometheus_remote_storage_samples_total", count);
                    break;
                }
                Answer::Refused => {
                    host.count_forwarded("prometheus_remote_storage_samples_failed_total", count);
                    break;
                }
                Answer::Later => {
                    host.count_forwarded("prometheus_remote_storage_samples_retried_total", count);
                    env.clock().sleep(wait).await;
                    wait = (wait * 2).min(config.queue_config.max_backoff.max(wait));
                }
            }
        }
    }
}

async fn send(
    client: &HttpClient,
    config: &RemoteWriteConfig,
    body: Bytes,
    folder: &std::path::Path,
) -> Answer {
    let Ok(request) = request(config, body, folder) else {
        // A token's file may be there in a moment, a wrong address never; both are worth another look only after a wait.
        return Answer::Later;
    };
    match client.send(request, config.remote_timeout).await {
        Ok(answer) => match answer.status().as_u16() {
            200..=299 => Answer::Taken,
            429 if config.queue_config.retry_on_http_429 => Answer::Later,
            500..=599 => Answer::Later,
            _ => Answer::Refused,
        },
        Err(_) => Answer::Later,
    }
}

fn request(
    config: &RemoteWriteConfig,
    body: Bytes,
    folder: &std::path::Path,
) -> Result<Request<Bytes>, String> {
    let read = |file: &str| std::fs::read_to_string(folder.join(file));
    let mut request = Request::post(&config.url)
        .header(header::CONTENT_TYPE, config.version.content_type())
        .header(header::CONTENT_ENCODING, "snappy")
        .header(header::USER_AGENT, "gameday")
        .header("X-Prometheus-Remote-Write-Version", config.version.header());
    for (name, value) in &config.headers {
        request = request.header(name, value);
    }
    if let Some(value) = config.http.authorization_header(&read)? {
        request = request.header(header::AUTHORIZATION, value);
    }
    request.body(body).map_err(|error| error.to_string())
}

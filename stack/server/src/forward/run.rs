//! The tasks that send.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use gameday_env::Env;
use gameday_metrics::Store;
use gameday_signal::{EventKind, Labels, MetricMetadata};
use http::{Request, header};
use tokio::sync::Notify;

use super::queue::{Batch, Next, Queue};
use crate::config::{ReadFile, RemoteWriteConfig};
use crate::outgoing::Outgoing as Client;

/// What the store keeps for the queues between two looks at it.
const TAP_MAX: usize = 2_000_000;
/// How long the queue of a configuration that has gone may send what waits (Prometheus' `--storage.remote.flush-deadline`).
const FLUSH_DEADLINE: Duration = Duration::from_secs(60);
/// So much of an answer is told.
const TOLD_BYTES_MAX: usize = 256;

/// What sending needs of the stack. Nothing is awaited while something is lent.
pub trait ForwardHost: Clone + Send + Sync + 'static {
    /// Where samples are sent, and the labels that mark them.
    fn remote_write(&self) -> (Vec<RemoteWriteConfig>, Labels);

    /// Is waited for beside the next look at the store: a reload may have changed where samples are sent.
    fn remote_write_changed(&self) -> &Notify;

    /// Lends the series store.
    fn with_store<R>(&self, visit: impl FnOnce(&mut Store) -> R) -> R;

    /// What is known about metric families.
    fn known_metadata(&self) -> BTreeMap<String, MetricMetadata>;

    /// Counts something for the stack's own metrics.
    fn count_forwarded(&self, name: &'static str, by: u64);
}

/// One `remote_write`.
struct Outgoing {
    queue: Mutex<Queue>,
    changed: Notify,
}

impl Outgoing {
    fn with<R>(&self, visit: impl FnOnce(&mut Queue) -> R) -> R {
        visit(&mut self.queue.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Sends samples to each `remote_write` for ever. Files of passwords and tokens are relative to `folder`.
pub async fn run(env: Env, host: impl ForwardHost, folder: PathBuf) {
    let mut known = (Vec::new(), Labels::empty());
    let mut queues: Vec<Arc<Outgoing>> = Vec::new();
    loop {
        let wanted = host.remote_write();
        if wanted != known {
            queues = replaced(&env, queues, &wanted, known.1 == wanted.1);
            known = wanted;
        }
        let period = known
            .0
            .iter()
            .map(|config| config.queue_config.batch_send_deadline)
            .min();
        let Some(period) = period else {
            host.with_store(Store::stop_tap);
            host.remote_write_changed().notified().await;
            continue;
        };
        host.with_store(|store| store.start_tap(TAP_MAX));
        tokio::select! {
            biased;
            () = env.clock().sleep(period.max(Duration::from_millis(1))) => {}
            () = host.remote_write_changed().notified() => {}
        }
        let (tapped, lost) = host.with_store(Store::take_tapped);
        for outgoing in &queues {
            let dropped = lost + outgoing.with(|queue| queue.push(&tapped));
            count(
                &host,
                "prometheus_remote_storage_samples_dropped_total",
                dropped,
            );
            for lane in outgoing.with(Queue::unserved) {
                env.spawn(send_all(
                    env.clone(),
                    host.clone(),
                    Arc::clone(outgoing),
                    lane,
                    folder.clone(),
                ));
            }
            outgoing.changed.notify_waiters();
        }
    }
}

fn count(host: &impl ForwardHost, name: &'static str, by: u64) {
    if by > 0 {
        host.count_forwarded(name, by);
    }
}

/// The queues of another configuration: those that stay the same keep what waits, the others send it off and end.
fn replaced(
    env: &Env,
    mut before: Vec<Arc<Outgoing>>,
    wanted: &(Vec<RemoteWriteConfig>, Labels),
    same_labels: bool,
) -> Vec<Arc<Outgoing>> {
    let mut queues = Vec::new();
    for config in &wanted.0 {
        let same = before
            .iter()
            .position(|own| same_labels && own.with(|queue| queue.config() == config));
        queues.push(match same {
            Some(index) => before.remove(index),
            None => Arc::new(Outgoing {
                queue: Mutex::new(Queue::new(config.clone(), wanted.1.clone(), env.now())),
                changed: Notify::new(),
            }),
        });
    }
    for gone in before {
        gone.with(|queue| queue.end(env.now() + FLUSH_DEADLINE));
        gone.changed.notify_waiters();
    }
    queues
}

/// What became of a request.
enum Answer {
    Taken,
    /// It may be taken later, not before that long.
    Later(Option<Duration>),
    /// It will never be taken, and why.
    Refused(String),
}

/// The task of one lane.
async fn send_all(
    env: Env,
    host: impl ForwardHost,
    outgoing: Arc<Outgoing>,
    lane: usize,
    folder: PathBuf,
) {
    let client = Client::new(&env);
    let config = outgoing.with(|queue| queue.config().clone());
    let mut refused_before = false;
    loop {
        let changed = outgoing.changed.notified();
        tokio::pin!(changed);
        // A change between the look at the queue and the wait for it is not missed.
        changed.as_mut().enable();
        if lane == 0 {
            let known = || host.known_metadata();
            for body in outgoing.with(|queue| queue.metadata(env.now(), known)) {
                // The families are told again after the interval, whatever became of them.
                let _ = send(&client, &config, body.into(), &folder).await;
            }
        }
        let known = || host.known_metadata();
        let (next, lost) = outgoing.with(|queue| queue.next(lane, env.now(), known));
        count(
            &host,
            "prometheus_remote_storage_samples_dropped_total",
            lost,
        );
        let batch = match next {
            Next::Send(batch) => batch,
            Next::Again => continue,
            Next::Wait => {
                changed.await;
                continue;
            }
            Next::End => return,
        };
        let sender = Sender {
            env: &env,
            host: &host,
            client: &client,
            config: &config,
            folder: &folder,
        };
        let refused = sender.deliver(batch, &outgoing).await;
        if let Some(reason) = refused.as_ref().filter(|_| !refused_before) {
            env.record(EventKind::Note {
                text: format!("samples were refused by {}: {reason}", config.url),
            });
        }
        refused_before = refused.is_some();
        outgoing.with(Queue::done);
        outgoing.changed.notify_waiters();
    }
}

/// What a lane sends with.
struct Sender<'a, H> {
    env: &'a Env,
    host: &'a H,
    client: &'a Client,
    config: &'a RemoteWriteConfig,
    folder: &'a Path,
}

impl<H: ForwardHost> Sender<'_, H> {
    /// Sends a request until it is taken, refused or given up; gives the reason of a refusal.
    async fn deliver(&self, batch: Batch, outgoing: &Outgoing) -> Option<String> {
        let settings = &self.config.queue_config;
        let (body, samples) = (Bytes::from(batch.body), batch.count);
        let counted = |name| count(self.host, name, samples);
        let mut wait = settings.min_backoff.max(Duration::from_millis(1));
        loop {
            match send(self.client, self.config, body.clone(), self.folder).await {
                Answer::Taken => {
                    counted("prometheus_remote_storage_samples_total");
                    return None;
                }
                Answer::Refused(reason) => {
                    counted("prometheus_remote_storage_samples_failed_total");
                    return Some(reason);
                }
                Answer::Later(not_before) => {
                    counted("prometheus_remote_storage_samples_retried_total");
                    self.env.clock().sleep(not_before.unwrap_or(wait)).await;
                    wait = (wait * 2).min(settings.max_backoff.max(wait));
                }
            }
            if outgoing.with(|queue| queue.is_over(self.env.now())) {
                counted("prometheus_remote_storage_samples_dropped_total");
                return None;
            }
        }
    }
}

async fn send(client: &Client, config: &RemoteWriteConfig, body: Bytes, folder: &Path) -> Answer {
    let read = |file: &str| std::fs::read_to_string(folder.join(file));
    let ready = request(config, body, &read)
        .and_then(|request| Ok((request, config.http.request_options(&read)?)));
    let Ok((request, options)) = ready else {
        // A token's file may be there in a moment, a wrong address never; both are worth another look only after a wait.
        return Answer::Later(None);
    };
    let sent = client.send(request, &options, config.remote_timeout).await;
    let Ok(answer) = sent else {
        return Answer::Later(None);
    };
    let retry_after = || {
        let text = answer.headers().get(header::RETRY_AFTER)?.to_str().ok()?;
        text.trim().parse().ok().map(Duration::from_secs)
    };
    match answer.status().as_u16() {
        200..=299 => Answer::Taken,
        429 if config.queue_config.retry_on_http_429 => Answer::Later(retry_after()),
        500..=599 => Answer::Later(retry_after()),
        _ => {
            let told = &answer.body()[..answer.body().len().min(TOLD_BYTES_MAX)];
            let text = String::from_utf8_lossy(told);
            Answer::Refused(format!("{}: {}", answer.status(), text.trim()))
        }
    }
}

fn request(
    config: &RemoteWriteConfig,
    body: Bytes,
    read: &ReadFile<'_>,
) -> Result<Request<Bytes>, String> {
    let mut request = Request::post(&config.url)
        .header(header::CONTENT_TYPE, config.version.content_type())
        .header(header::CONTENT_ENCODING, "snappy")
        .header(header::USER_AGENT, "gameday")
        .header("X-Prometheus-Remote-Write-Version", config.version.header());
    for (name, value) in &config.headers {
        request = request.header(name, value);
    }
    for (name, value) in config.http.request_headers(read)? {
        request = request.header(name, value);
    }
    request.body(body).map_err(|error| error.to_string())
}

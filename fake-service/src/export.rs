//! The way out of spans and log records: bounded queues, flushed by a task over OTLP/HTTP.
//!
//! ```text
//!   span ends, line is logged -> Queue (batches of encoded items) -> Exporter::flush -> POST /v1/traces, /v1/logs
//! ```
//!
//! A full queue drops what is new and counts it, as the SDK's batch processors do. A batch that the receiver cannot take now is
//! tried again with growing pauses; one that it refuses is dropped and counted.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use gameday_env::{Address, Env, HttpClient};
use http::{Request, Response, StatusCode, header};
use tokio::sync::Notify;

use crate::protobuf;

/// Items in one request (OTEL_BSP_MAX_EXPORT_BATCH_SIZE).
const BATCH_ITEMS_MAX: usize = 512;
/// How long one request may take (OTEL_EXPORTER_OTLP_TIMEOUT).
const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);
/// The pause before the first new try; each later one is twice as long.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause, also where the receiver asks for more.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(30);
/// Tries of one batch, the first included.
const TRIES_MAX: u32 = 5;

/// What became of the items of one queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ExportCounts {
    /// Acknowledged by the receiver.
    pub(crate) exported: u64,
    /// Dropped because the queue was full.
    pub(crate) dropped_queue_full: u64,
    /// Dropped because the receiver refused them, or could not be reached for too long.
    pub(crate) dropped_export_failed: u64,
}

/// The items of one signal that wait for their export. A clone is the same queue.
#[derive(Clone)]
pub(crate) struct Queue(Arc<Shared>);

struct Shared {
    path: &'static str,
    items_max: usize,
    state: Mutex<State>,
    /// Told when a batch is full, so that a burst does not wait for the interval.
    full: Arc<Notify>,
}

struct State {
    /// The encoded `Resource` that the next items belong to.
    resource: Arc<[u8]>,
    batches: VecDeque<Batch>,
    /// Items in all batches.
    pending: usize,
    counts: ExportCounts,
}

/// Items of one resource, each encoded with its field head.
struct Batch {
    resource: Arc<[u8]>,
    items: Vec<u8>,
    count: usize,
}

impl Queue {
    /// An empty queue for the receiver's `path`, which holds at most `items_max` items.
    pub(crate) fn new(path: &'static str, items_max: usize, resource: Arc<[u8]>) -> Self {
        let state = State {
            resource,
            batches: VecDeque::new(),
            pending: 0,
            counts: ExportCounts::default(),
        };
        Self(Arc::new(Shared {
            path,
            items_max,
            state: Mutex::new(state),
            full: Arc::new(Notify::new()),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on items belong to this resource.
    pub(crate) fn set_resource(&self, resource: Arc<[u8]>) {
        self.lock().resource = resource;
    }

    /// Takes one item, which `write` appends in its encoded form with its field head.
    pub(crate) fn push(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.lock();
        if state.pending >= self.0.items_max {
            state.counts.dropped_queue_full += 1;
            return;
        }
        let fits = state.batches.back().is_some_and(|batch| {
            batch.count < BATCH_ITEMS_MAX && Arc::ptr_eq(&batch.resource, &state.resource)
        });
        if !fits {
            let resource = Arc::clone(&state.resource);
            state.batches.push_back(Batch {
                resource,
                items: Vec::new(),
                count: 0,
            });
        }
        state.pending += 1;
        if let Some(batch) = state.batches.back_mut() {
            write(&mut batch.items);
            batch.count += 1;
            if batch.count == BATCH_ITEMS_MAX {
                self.0.full.notify_one();
            }
        }
    }

    /// What became of the items so far.
    pub(crate) fn counts(&self) -> ExportCounts {
        self.lock().counts
    }

    /// Resolves when a batch has become full.
    pub(crate) async fn batch_full(&self) {
        self.0.full.notified().await;
    }

    fn take(&self) -> Option<Batch> {
        self.lock().batches.pop_front()
    }

    /// Settles a batch that was taken.
    fn settle(&self, count: usize, acknowledged: bool) {
        let mut state = self.lock();
        state.pending -= count;
        if acknowledged {
            state.counts.exported += count as u64;
        } else {
            state.counts.dropped_export_failed += count as u64;
        }
    }
}

/// Sends what the queues hold.
pub(crate) struct Exporter {
    env: Env,
    client: HttpClient,
    endpoint: Address,
    /// The encoded `InstrumentationScope`, the same for all.
    scope: Vec<u8>,
}

/// What the receiver said to a batch.
enum Outcome {
    Acknowledged,
    /// It may take the batch later, perhaps it said when.
    TryAgain(Option<Duration>),
    Refused,
}

impl Exporter {
    /// An exporter to the OTLP/HTTP receiver at `endpoint`.
    pub(crate) fn new(env: &Env, endpoint: Address, scope: Vec<u8>) -> Self {
        Self {
            env: env.clone(),
            client: env.http_client(),
            endpoint,
            scope,
        }
    }

    /// Sends everything that waits in `queue`.
    pub(crate) async fn flush(&self, queue: &Queue) {
        while let Some(batch) = queue.take() {
            let count = batch.count;
            let acknowledged = self.send(queue.0.path, batch).await;
            queue.settle(count, acknowledged);
        }
    }

    /// Sends one batch, with new tries; whether it was acknowledged.
    async fn send(&self, path: &str, batch: Batch) -> bool {
        let body = self.request_body(&batch);
        let mut pause = RETRY_PAUSE;
        for attempt in 1..=TRIES_MAX {
            match self.post(path, body.clone()).await {
                Outcome::Acknowledged => return true,
                Outcome::Refused => return false,
                Outcome::TryAgain(_) if attempt == TRIES_MAX => return false,
                Outcome::TryAgain(asked) => {
                    let wait = asked.unwrap_or(pause).min(RETRY_PAUSE_MAX);
                    self.env.clock().sleep(wait).await;
                    pause *= 2;
                }
            }
        }
        false
    }

    async fn post(&self, path: &str, body: Bytes) -> Outcome {
        let request = Request::post(format!("http://{}{path}", self.endpoint))
            .header(header::CONTENT_TYPE, "application/x-protobuf")
            .body(body);
        let Ok(request) = request else {
            return Outcome::Refused;
        };
        match self.client.send(request, EXPORT_TIMEOUT).await {
            Ok(response) => outcome(&response),
            Err(_) => Outcome::TryAgain(None),
        }
    }

    /// The body of an `ExportTraceServiceRequest` or `ExportLogsServiceRequest`: in both, resource groups are field 1, the resource
    /// in them 1, the scope groups 2, and in these the scope 1 and the items 2.
    fn request_body(&self, batch: &Batch) -> Bytes {
        let scope_len = protobuf::message_len(1, self.scope.len()) + batch.items.len();
        let group_len =
            protobuf::message_len(1, batch.resource.len()) + protobuf::message_len(2, scope_len);
        let mut out = Vec::with_capacity(protobuf::message_len(1, group_len));
        protobuf::message_head(&mut out, 1, group_len);
        protobuf::message_head(&mut out, 1, batch.resource.len());
        out.extend_from_slice(&batch.resource);
        protobuf::message_head(&mut out, 2, scope_len);
        protobuf::message_head(&mut out, 1, self.scope.len());
        out.extend_from_slice(&self.scope);
        out.extend_from_slice(&batch.items);
        out.into()
    }
}

/// The codes that may be tried again (OTLP specification, "Retryable Response Codes").
fn outcome(response: &Response<Bytes>) -> Outcome {
    match response.status() {
        status if status.is_success() => Outcome::Acknowledged,
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => {
            let asked = response
                .headers()
                .get(header::RETRY_AFTER)
                .and_then(|value| value.to_str().ok())
                .and_then(|text| text.trim().parse().ok())
                .map(Duration::from_secs);
            Outcome::TryAgain(asked)
        }
        _ => Outcome::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_drops_what_is_new_and_counts_it() {
        let queue = Queue::new("/v1/logs", 3, Arc::from([]));
        for byte in 0..5 {
            queue.push(|out| out.push(byte));
        }
        let batch = queue.take().expect("a batch");
        assert_eq!((batch.count, batch.items), (3, vec![0, 1, 2]));
        assert_eq!(queue.counts().dropped_queue_full, 2);
        queue.settle(3, true);
        queue.push(|out| out.push(9));
        assert_eq!(queue.take().expect("there is room again").items, [9]);
        assert_eq!(queue.counts().exported, 3);
    }

    #[test]
    fn another_resource_begins_another_batch() {
        let queue = Queue::new("/v1/logs", 10, Arc::from([1]));
        queue.push(|out| out.push(1));
        queue.set_resource(Arc::from([2]));
        queue.push(|out| out.push(2));
        assert_eq!(queue.take().expect("a batch").resource[..], [1]);
        assert_eq!(queue.take().expect("a batch").resource[..], [2]);
    }
}

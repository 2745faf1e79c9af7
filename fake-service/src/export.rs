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
    /// How large the last batch was, so that the next one need not grow to that.
    usual_bytes: usize,
    counts: ExportCounts,
}

/// Items of one resource, each encoded with its field head.
struct Batch {
    resource: Arc<[u8]>,
    /// Begins with [`HEADROOM`] bytes for what stands before the items of a request, so that they are not moved for it.
    items: Vec<u8>,
    count: usize,
}

/// Resource, scope and the heads of their messages fit in this many bytes, or else the items are moved.
const HEADROOM: usize = 512;

impl Queue {
    /// An empty queue for the receiver's `path`, which holds at most `items_max` items.
    pub(crate) fn new(path: &'static str, items_max: usize, resource: Arc<[u8]>) -> Self {
        let state = State {
            resource,
            batches: VecDeque::new(),
            pending: 0,
            usual_bytes: 0,
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
            let mut items = Vec::with_capacity(state.usual_bytes);
            items.resize(HEADROOM, 0);
            state.batches.push_back(Batch {
                resource,
                items,
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
        let mut state = self.lock();
        let batch = state.batches.pop_front()?;
        // And a quarter, because the next one may be somewhat larger.
        state.usual_bytes = batch.items.len() / 4 * 5;
        Some(batch)
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
        let body = request_body(&self.scope, batch);
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
}

/// The body of an `ExportTraceServiceRequest` or `ExportLogsServiceRequest`: in both, resource groups are field 1, the resource
/// in them 1, the scope groups 2, and in these the scope 1 and the items 2.
fn request_body(scope: &[u8], mut batch: Batch) -> Bytes {
    let items_len = batch.items.len() - HEADROOM;
    let scope_len = protobuf::message_len(1, scope.len()) + items_len;
    let group_len =
        protobuf::message_len(1, batch.resource.len()) + protobuf::message_len(2, scope_len);
    let mut head = Vec::with_capacity(HEADROOM);
    protobuf::message_head(&mut head, 1, group_len);
    protobuf::message_head(&mut head, 1, batch.resource.len());
    head.extend_from_slice(&batch.resource);
    protobuf::message_head(&mut head, 2, scope_len);
    protobuf::message_head(&mut head, 1, scope.len());
    head.extend_from_slice(scope);
    match HEADROOM.checked_sub(head.len()) {
        Some(start) => {
            batch.items[start..HEADROOM].copy_from_slice(&head);
            Bytes::from(batch.items).slice(start..)
        }
        None => {
            head.extend_from_slice(&batch.items[HEADROOM..]);
            head.into()
        }
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
        assert_eq!((batch.count, &batch.items[HEADROOM..]), (3, &[0, 1, 2][..]));
        assert_eq!(queue.counts().dropped_queue_full, 2);
        queue.settle(3, true);
        queue.push(|out| out.push(9));
        let batch = queue.take().expect("there is room again");
        assert_eq!(batch.items[HEADROOM..], [9]);
        assert_eq!(queue.counts().exported, 3);
    }

    #[test]
    fn a_request_is_the_same_with_and_without_room_for_its_head() {
        for resource_len in [0, 300, HEADROOM, 2 * HEADROOM] {
            let (resource, scope) = (vec![1; resource_len], [2; 20]);
            let queue = Queue::new("/v1/logs", 3, Arc::from(&resource[..]));
            queue.push(|out| out.extend_from_slice(&[3; 200]));
            let mut expected = Vec::new();
            protobuf::message_field(&mut expected, 1, |out| {
                protobuf::message_field(out, 1, |out| out.extend_from_slice(&resource));
                protobuf::message_field(out, 2, |out| {
                    protobuf::message_field(out, 1, |out| out.extend_from_slice(&scope));
                    out.extend_from_slice(&[3; 200]);
                });
            });
            let batch = queue.take().expect("a batch");
            assert_eq!(request_body(&scope, batch), expected, "{resource_len}");
        }
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

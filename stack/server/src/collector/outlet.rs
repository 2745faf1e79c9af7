//! What waits to be sent on by an OTLP exporter.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use gameday_wire::otlp::Signal;
use tokio::sync::Notify;

use super::components::OtlpExporter;

/// A request that waits.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) signal: Signal,
    /// The export request in protobuf.
    pub(super) body: Bytes,
    /// The spans, log records or data points in it.
    pub(super) items: u64,
}

#[derive(Debug, Default)]
struct Waiting {
    requests: VecDeque<Request>,
    /// Requests that were taken and are not yet done.
    on_their_way: usize,
    bytes: u64,
}

/// The queue of an exporter, shared with the tasks that send.
#[derive(Debug)]
pub(crate) struct Outlet {
    pub(super) id: String,
    pub(super) config: OtlpExporter,
    waiting: Mutex<Waiting>,
    filled: Notify,
}

impl Outlet {
    pub(super) fn new(id: String, config: OtlpExporter) -> Self {
        Self {
            id,
            config,
            waiting: Mutex::default(),
            filled: Notify::new(),
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a request, unless there are too many.
    pub(super) fn push(&self, request: Request) -> bool {
        let mut waiting = self.waiting();
        if waiting.requests.len() + waiting.on_their_way >= self.config.queue.size {
            return false;
        }
        waiting.bytes += request.body.len() as u64;
        waiting.requests.push_back(request);
        drop(waiting);
        self.filled.notify_one();
        true
    }

    /// The next request, as soon as there is one.
    pub(super) async fn next(&self) -> Request {
        loop {
            {
                let mut waiting = self.waiting();
                if let Some(request) = waiting.requests.pop_front() {
                    waiting.on_their_way += 1;
                    let more = !waiting.requests.is_empty();
                    drop(waiting);
                    if more {
                        // One permit stands for many requests: another consumer goes on with the next.
                        self.filled.notify_one();
                    }
                    return request;
                }
            }
            self.filled.notified().await;
        }
    }

    /// Says that a request is delivered or given up.
    pub(super) fn done(&self, request: &Request) {
        let mut waiting = self.waiting();
        waiting.on_their_way = waiting.on_their_way.saturating_sub(1);
        waiting.bytes = waiting.bytes.saturating_sub(request.body.len() as u64);
    }

    /// Requests that wait or are on their way.
    pub(crate) fn len(&self) -> usize {
        let waiting = self.waiting();
        waiting.requests.len() + waiting.on_their_way
    }

    /// What is lost if the process ends now.
    pub(crate) fn left(&self) -> String {
        format!(
            "exporter {}: {} requests were not delivered to {}:{}",
            self.id,
            self.len(),
            self.config.host,
            self.config.port
        )
    }

    /// Their bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.waiting().bytes
    }
}

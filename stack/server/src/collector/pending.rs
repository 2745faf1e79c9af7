//! A batch that is being filled for an OTLP exporter.

use bytes::Bytes;
use gameday_signal::Timestamp;
use gameday_wire::otlp::Signal;

use super::outlet::{Outlet, Request};
use super::processors::Batch;
use super::telemetry::{ENQUEUE_FAILED, Telemetry};

/// A batch that is being filled. Export requests are joined by appending one to the other.
#[derive(Default)]
pub(super) struct Pending {
    pub(super) body: Vec<u8>,
    pub(super) items: usize,
    /// When the first of them came.
    pub(super) since: Timestamp,
}

impl Pending {
    /// Adds an encoded export request of `items`.
    pub(super) fn add(&mut self, body: &[u8], items: usize, now: Timestamp) {
        if self.items == 0 {
            self.since = now;
        }
        self.body.extend_from_slice(body);
        self.items += items;
    }

    /// Adds items, and hands the batch to `send` as often as it is full.
    pub(super) fn fill<T>(
        &mut self,
        items: &[T],
        batch: Option<&Batch>,
        now: Timestamp,
        encode: impl Fn(&[T]) -> Vec<u8>,
        mut send: impl FnMut(&mut Self),
    ) {
        let max = batch.map_or(0, |batch| batch.send_batch_max_size);
        let mut rest = items;
        while !rest.is_empty() {
            let room = match max {
                0 => rest.len(),
                max => max.saturating_sub(self.items).clamp(1, rest.len()),
            };
            let (part, behind) = rest.split_at(room);
            self.add(&encode(part), part.len(), now);
            if self.is_full(batch) {
                send(self);
            }
            rest = behind;
        }
    }

    /// Whether it is as large as `batch` wants it; without one it always is.
    pub(super) fn is_full(&self, batch: Option<&Batch>) -> bool {
        batch.is_none_or(|batch| self.items >= batch.send_batch_size.max(1))
    }

    /// Gives it to the queue of an exporter and begins anew; counts it where the queue is full.
    pub(super) fn send(&mut self, signal: Signal, outlet: &Outlet, telemetry: &mut Telemetry) {
        let own = std::mem::take(self);
        let items = own.items as u64;
        let request = Request {
            signal,
            body: Bytes::from(own.body),
            items,
        };
        if !outlet.push(request) {
            let labels = format!("exporter=\"{}\"", outlet.id);
            telemetry.count(&ENQUEUE_FAILED, signal, &labels, items);
        }
    }
}

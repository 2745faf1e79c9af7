//! What others send: OTLP over HTTP and gRPC, remote write, Loki pushes, Pushgateway pushes.
//!
//! ```text
//!   request --body (limits, gzip, stalls)--> wire decodes --> ReceiveHost: metrics, logs, traces
//!                                                                  |
//!   answer in the encoding of the request  <--outcome (taken, refused, why)
//! ```
//!
//! Each `*_routes` function gives the routes of one server; [`ReceiveHost`] is what they need of the stack.
//!
//! Invariants: what was acknowledged is visible to the next query; what was refused is counted and named in the answer; a body that is
//! too large, is no such message or does not arrive in time is refused as a whole and nothing of it is kept.

mod body;
mod cors;
mod grpc;
mod loki;
mod otlp;
mod pushgateway;
mod remote_write;

use std::collections::BTreeMap;

use axum::Router;
use gameday_env::Clock;
use gameday_metrics::Store;
use gameday_signal::{LogRecord, MetricMetadata, Span};
use gameday_wire::otlp::{Encoding, MetricOptions};
use gameday_wire::{PushStream, SampleValue, SeriesSample};

pub use body::{BODY_BYTES_MAX, BODY_STALL};
pub use grpc::OtlpGrpc;
pub use pushgateway::Pushgateway;

/// What became of spans or log lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// How many were refused.
    pub rejected: u64,
    /// Why, or a warning; empty when all is well.
    pub message: String,
    /// Whether they were refused only because there is too much now, so that it is worth sending them again.
    pub is_rate_limited: bool,
    /// Whether nothing was taken because too much is held already, so that it is worth sending it again.
    pub is_overloaded: bool,
}

/// Metrics of an export request.
#[derive(Debug)]
pub struct MetricsExport<'a> {
    /// The samples that were made of it.
    pub samples: Vec<SeriesSample>,
    /// How many data points were refused.
    pub refused: u64,
    /// The request as it came.
    pub body: &'a [u8],
    /// Its encoding.
    pub encoding: Encoding,
}

/// What the receivers need of the stack. Nothing is awaited while something is lent.
pub trait ReceiveHost: Clone + Send + Sync + 'static {
    /// The clock.
    fn clock(&self) -> Clock;

    /// Lends the series store.
    fn with_metrics<R>(&self, visit: impl FnOnce(&mut Store) -> R) -> R;

    /// Why the samples that were appended last may not survive the end of the process, though they are to; none where they do.
    fn commit_error(&self) -> Option<String> {
        None
    }

    /// Lends the Pushgateway.
    fn with_pushgateway<R>(&self, visit: impl FnOnce(&mut Pushgateway) -> R) -> R;

    /// Takes log lines as Loki's push API brings them.
    fn push_logs(&self, streams: Vec<PushStream>) -> Outcome;

    /// Takes log records as OTLP brings them.
    fn push_log_records(&self, records: Vec<LogRecord>) -> Outcome;

    /// Takes spans.
    fn push_spans(&self, spans: Vec<Span>) -> Outcome;

    /// Takes spans that came to the collector over `transport` (`http` or `grpc`); `refused` is what the decoder left out.
    fn collect_spans(&self, spans: Vec<Span>, refused: u64, transport: &'static str) -> Outcome {
        let _ = (refused, transport);
        self.push_spans(spans)
    }

    /// Takes log records that came to the collector.
    fn collect_log_records(
        &self,
        records: Vec<LogRecord>,
        refused: u64,
        transport: &'static str,
    ) -> Outcome {
        let _ = (refused, transport);
        self.push_log_records(records)
    }

    /// Takes metrics that came to the collector.
    fn collect_metrics(&self, export: MetricsExport<'_>, transport: &'static str) -> Outcome {
        let _ = transport;
        self.push_samples(export.samples)
    }

    /// Takes samples.
    fn push_samples(&self, samples: Vec<SeriesSample>) -> Outcome {
        let (rejected, message) = self.with_metrics(|store| append_samples(store, samples));
        Outcome {
            rejected,
            message,
            ..Outcome::default()
        }
    }

    /// What the collector says of itself, in the text format.
    fn collector_metrics(&self) -> String {
        String::new()
    }

    /// Remembers what is known about metric families.
    fn push_metadata(&self, metadata: BTreeMap<String, MetricMetadata>);

    /// How OTLP metrics are mapped (the section `otlp` of prometheus.yml).
    fn otlp_options(&self) -> MetricOptions;

    /// Counts something for the stack's own metrics.
    fn count(&self, name: &'static str, by: u64);
}

/// The routes on Prometheus' port: remote write and OTLP metrics.
pub fn prometheus_routes<H: ReceiveHost>(host: H) -> Router {
    remote_write::routes(host.clone()).merge(otlp::prometheus_routes(host))
}

/// The routes on Loki's port: the push API and OTLP logs.
pub fn loki_routes<H: ReceiveHost>(host: H) -> Router {
    loki::routes(host.clone()).merge(otlp::loki_routes(host))
}

/// The routes of the OTLP/HTTP receiver.
pub fn otlp_routes<H: ReceiveHost>(host: H) -> Router {
    otlp::collector_routes(host)
}

/// The routes of the collector's metrics about itself.
pub fn collector_metrics_routes<H: ReceiveHost>(host: H) -> Router {
    otlp::own_metrics_routes(host)
}

/// The routes of the Pushgateway.
pub fn pushgateway_routes<H: ReceiveHost>(host: H) -> Router {
    pushgateway::routes(host)
}

/// Appends samples; gives the number of those that did not fit the order of their series, and why the first did not.
fn append_samples(store: &mut Store, samples: Vec<SeriesSample>) -> (u64, String) {
    let mut rejected = 0;
    let mut message = String::new();
    for sample in samples {
        let at_ms = sample.timestamp_ms;
        let result = match sample.value {
            SampleValue::Float(value) => store.append(&sample.labels, at_ms, value),
            SampleValue::Histogram(own) => store.append_histogram(&sample.labels, at_ms, *own),
        };
        if let Err(error) = result {
            rejected += 1;
            if message.is_empty() {
                message = format!("{error} (series: {})", sample.labels);
            }
            continue;
        }
        for exemplar in sample.exemplars {
            store.append_exemplar(&sample.labels, at_ms, exemplar);
        }
    }
    (rejected, message)
}

/// Two messages as one.
fn joined(first: &str, second: &str) -> String {
    match (first.is_empty(), second.is_empty()) {
        (_, true) => first.to_owned(),
        (true, false) => second.to_owned(),
        (false, false) => format!("{first}; {second}"),
    }
}

#[cfg(test)]
mod tests;

//! The shared state as the scraper and the receivers hold it.

use std::collections::BTreeMap;
use std::sync::Arc;

use gameday_env::Clock;
use gameday_logs::{Appended, Entry, PushStream as LogStream};
use gameday_metrics::Store;
use gameday_signal::{Labels, LogRecord, MetricMetadata, Span};
use gameday_wire::PushStream;
use gameday_wire::otlp::{MetricOptions, Signal};
use tokio::sync::Notify;

use crate::collector::{Flow, Refusal, store_flow};
use crate::config::RemoteWriteConfig;
use crate::forward::ForwardHost;
use crate::receive::{MetricsExport, Outcome, Pushgateway, ReceiveHost};
use crate::scrape::{ScrapeHost, Scraper};
use crate::shared::Shared;

/// Metric families whose metadata is remembered from pushes.
const FAMILIES_MAX: usize = 100_000;

/// The shared state as a task or a route holds it.
#[derive(Clone)]
pub(crate) struct Host(pub(crate) Arc<Shared>);

impl ScrapeHost for Host {
    fn with_scraper<R>(&self, visit: impl FnOnce(&mut Scraper, &mut Store) -> R) -> R {
        let mut store = self.0.metrics();
        let result = visit(&mut self.0.scraper(), &mut store);
        self.0.commit_metrics(&mut store);
        result
    }

    fn scraper_changed(&self) -> &Notify {
        &self.0.scraper_wake
    }
}

impl ReceiveHost for Host {
    fn clock(&self) -> Clock {
        self.0.env().clock().clone()
    }

    fn with_metrics<R>(&self, visit: impl FnOnce(&mut Store) -> R) -> R {
        let mut store = self.0.metrics();
        let result = visit(&mut store);
        self.0.commit_metrics(&mut store);
        result
    }

    fn commit_error(&self) -> Option<String> {
        self.0.commit_error()
    }

    fn with_pushgateway<R>(&self, visit: impl FnOnce(&mut Pushgateway) -> R) -> R {
        visit(&mut self.0.pushgateway())
    }

    fn push_logs(&self, streams: Vec<PushStream>) -> Outcome {
        let entry = |entry: gameday_wire::PushEntry| Entry {
            timestamp: entry.timestamp,
            line: entry.line,
            metadata: entry.metadata.into_iter().collect(),
        };
        let stream = |stream: PushStream| LogStream {
            labels: stream.labels,
            entries: stream.entries.into_iter().map(entry).collect(),
        };
        let streams = streams.into_iter().map(stream).collect();
        let mut store = self.0.logs();
        let appended = store.push(streams, self.0.now());
        self.0.commit_logs(&mut store);
        outcome(&appended)
    }

    fn push_log_records(&self, records: Vec<LogRecord>) -> Outcome {
        let mut store = self.0.logs();
        let appended = store.push_records(&records, self.0.now());
        self.0.commit_logs(&mut store);
        outcome(&appended)
    }

    fn push_spans(&self, spans: Vec<Span>) -> Outcome {
        let report = self.0.traces().append(spans, self.0.now());
        Outcome {
            rejected: report.refused_spans(),
            message: report.message().unwrap_or_default(),
            ..Outcome::default()
        }
    }

    fn collect_spans(&self, spans: Vec<Span>, refused: u64, transport: &'static str) -> Outcome {
        let (count, now) = (spans.len() as u64, self.0.now());
        let flow = self.0.collector().spans(spans, refused, transport, now);
        self.stored(count, flow)
    }

    fn collect_log_records(
        &self,
        records: Vec<LogRecord>,
        refused: u64,
        transport: &'static str,
    ) -> Outcome {
        let (count, now) = (records.len() as u64, self.0.now());
        let flow = self.0.collector().records(records, refused, transport, now);
        self.stored(count, flow)
    }

    fn collect_metrics(&self, export: MetricsExport<'_>, transport: &'static str) -> Outcome {
        let (points, now) = (export.samples.len() as u64, self.0.now());
        let admitted = self.0.collector().metrics(
            (export.body, export.encoding),
            points,
            export.refused,
            transport,
            now,
        );
        self.wake_collector();
        match admitted {
            Ok(true) => {
                let outcome = self.push_samples(export.samples);
                let taken = points.saturating_sub(outcome.rejected);
                self.0
                    .collector()
                    .count_stored(Signal::Metrics, taken, outcome.rejected);
                outcome
            }
            Ok(false) => Outcome::default(),
            Err(refusal) => refused_whole(&refusal, points),
        }
    }

    fn collector_metrics(&self) -> String {
        self.0.collector().own_metrics()
    }

    fn push_metadata(&self, metadata: BTreeMap<String, MetricMetadata>) {
        let mut known = self.0.pushed_metadata();
        for (family, own) in metadata {
            if known.len() < FAMILIES_MAX || known.contains_key(&family) {
                known.insert(family, own);
            }
        }
    }

    fn otlp_options(&self) -> MetricOptions {
        self.0.otlp_options()
    }

    fn count(&self, name: &'static str, by: u64) {
        self.0.count(name, by);
    }
}

impl ForwardHost for Host {
    fn remote_write(&self) -> (Vec<RemoteWriteConfig>, Labels) {
        let config = self.0.config();
        (
            config.remote_write.clone(),
            config.external_labels().clone(),
        )
    }

    fn remote_write_changed(&self) -> &Notify {
        &self.0.forward_wake
    }

    fn with_store<R>(&self, visit: impl FnOnce(&mut Store) -> R) -> R {
        visit(&mut self.0.metrics())
    }

    fn known_metadata(&self) -> BTreeMap<String, MetricMetadata> {
        let mut known = self.0.pushed_metadata().clone();
        for (family, mut words) in self.0.scraper().metadata() {
            if !words.is_empty() {
                known.insert(family, words.swap_remove(0));
            }
        }
        known
    }

    fn count_forwarded(&self, name: &'static str, by: u64) {
        self.0.count(name, by);
    }
}

impl Host {
    /// Hands what came through the pipelines to the stores.
    fn stored(&self, items: u64, flow: Result<Flow, Refusal>) -> Outcome {
        self.wake_collector();
        match flow {
            Ok(flow) => store_flow(&self.0, flow),
            Err(refusal) => refused_whole(&refusal, items),
        }
    }

    fn wake_collector(&self) {
        if self.0.collector().needs_wake() {
            self.0.collector_wake.notify_one();
        }
    }
}

/// Nothing was taken of so many items.
fn refused_whole(refusal: &Refusal, items: u64) -> Outcome {
    let is_overloaded = matches!(refusal, Refusal::Memory { .. });
    Outcome {
        rejected: if is_overloaded { 0 } else { items },
        message: refusal.to_string(),
        is_overloaded,
        ..Outcome::default()
    }
}

pub(crate) fn outcome(appended: &Appended) -> Outcome {
    Outcome {
        rejected: appended.rejected as u64,
        message: appended.message().unwrap_or_default(),
        is_rate_limited: appended.is_rate_limited(),
        ..Outcome::default()
    }
}

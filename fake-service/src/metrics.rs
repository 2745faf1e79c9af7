//! The Prometheus metrics of a service.
//!
//! prometheus-client's own `Family` keeps its series in a hash map, so its exposition has another order in each process. [`Sorted`]
//! keeps them by label value: the same run gives the same bytes.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use gameday_signal::{Timestamp, hex};
use prometheus_client::encoding::{
    EncodeLabel, EncodeLabelSet, EncodeMetric, LabelSetEncoder, MetricEncoder, text,
};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::{MetricType, TypedMetric};
use prometheus_client::registry::{Metric, Registry};

use crate::export::ExportCounts;
use crate::host::Usage;
use crate::trace_context::TraceParent;

/// The upper bounds of the duration buckets in seconds: the client libraries' default (prometheus/client_golang, `DefBuckets`),
/// which has the 0.5 of the latency objective.
const BUCKETS: [f64; 11] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

type FloatGauge = Gauge<f64, AtomicU64>;
type FloatCounter = Counter<f64, AtomicU64>;

/// All metrics of one service.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Sorted<RequestLabels, Counter>,
    durations: Sorted<DurationLabels, HistogramWithExemplars<Exemplar>>,
    in_flight: Gauge,
    info: Sorted<VersionLabel, Gauge>,
    pool_in_use: Gauge,
    pool_max: Gauge,
    cpu_percent: FloatGauge,
    memory_percent: FloatGauge,
    cpu_seconds: FloatCounter,
    resident_bytes: Gauge,
    telemetry: Sorted<TelemetryLabels, Counter>,
}

/// What is read when somebody scrapes.
pub(crate) struct Readings {
    pub(crate) usage: Usage,
    pub(crate) pool_in_use: u32,
    pub(crate) pool_max: u32,
    pub(crate) spans: ExportCounts,
    pub(crate) logs: ExportCounts,
}

/// One answered request.
pub(crate) struct Answered {
    pub(crate) method: &'static str,
    /// The route template, never the path.
    pub(crate) endpoint: &'static str,
    pub(crate) status: u16,
    pub(crate) duration: Duration,
    pub(crate) at: Timestamp,
    /// Its span, where that is recorded: the exemplar.
    pub(crate) span: Option<TraceParent>,
}

impl Metrics {
    /// The metrics of `service`, which runs since `start`; with those of a database pool where it has one.
    pub(crate) fn new(service: &str, start: Timestamp, has_database: bool) -> Self {
        let service_label = ("service".into(), service.to_owned().into());
        let mut registry = Registry::with_labels(std::iter::once(service_label));
        let all = &mut registry;
        let requests = Sorted::new(Counter::default);
        let durations = Sorted::new(|| HistogramWithExemplars::new(BUCKETS.into_iter()));
        let start_seconds = FloatGauge::default();
        start_seconds.set(start.as_secs_f64());
        let (pool_in_use, pool_max) = (Gauge::default(), Gauge::default());
        if has_database {
            let help = "Database connections that a query holds";
            added(all, "db_pool_connections_in_use", help, &pool_in_use);
            let help = "Database connections that the pool has";
            added(all, "db_pool_connections_max", help, &pool_max);
        }
        let help = "Time from the request to its answer; outcome is error from status 500 on";
        let durations = added(all, "http_request_duration_seconds", help, &durations);
        let requests = added(all, "http_requests", "Requests answered", &requests);
        let help = "Requests being answered";
        let in_flight = added(all, "http_requests_in_flight", help, &Gauge::default());
        let help = "Processor time used";
        let cpu_seconds = added(all, "process_cpu_seconds", help, &FloatCounter::default());
        let help = "Processor time used, of what the host offers";
        let cpu_percent = added(
            all,
            "process_cpu_usage_percent",
            help,
            &FloatGauge::default(),
        );
        let help = "Memory used, of what the host offers";
        let memory_percent = added(
            all,
            "process_memory_usage_percent",
            help,
            &FloatGauge::default(),
        );
        let help = "Memory used";
        let resident_bytes = added(
            all,
            "process_resident_memory_bytes",
            help,
            &Gauge::default(),
        );
        let help = "When the process started, in seconds since the Unix epoch";
        added(all, "process_start_time_seconds", help, &start_seconds);
        let help = "The version that runs";
        let info = added(all, "service_info", help, &Sorted::new(Gauge::default));
        let help = "Spans and log records by what became of them";
        let telemetry = added(all, "telemetry_items", help, &Sorted::new(Counter::default));
        Self {
            registry,
            requests,
            durations,
            in_flight,
            info,
            pool_in_use,
            pool_max,
            cpu_percent,
            memory_percent,
            cpu_seconds,
            resident_bytes,
            telemetry,
        }
    }

    /// The version that runs from now on.
    pub(crate) fn set_version(&self, version: &str) {
        self.info.clear();
        let label = VersionLabel(version.to_owned());
        self.info.with(label, |gauge| {
            gauge.set(1);
        });
    }

    /// A request has come in.
    pub(crate) fn began(&self) {
        self.in_flight.inc();
    }

    /// A request has been answered, or its caller has gone.
    pub(crate) fn ended(&self, answered: &Answered) {
        self.in_flight.dec();
        let &Answered {
            method,
            endpoint,
            status,
            ..
        } = answered;
        let labels = RequestLabels {
            endpoint,
            method,
            status,
        };
        self.requests.with(labels, |counter| {
            counter.inc();
        });
        let labels = DurationLabels {
            endpoint,
            method,
            outcome: if status < 500 { "success" } else { "error" },
        };
        let seconds = answered.duration.as_secs_f64();
        let at = UNIX_EPOCH + answered.at.since(Timestamp::EPOCH);
        self.durations.with(labels, |histogram| {
            histogram.observe(seconds, answered.span.map(Exemplar), Some(at));
        });
    }

    /// The exposition: OpenMetrics 1.0, or the older text format 0.0.4 where the scraper does not ask for it.
    pub(crate) fn expose(&self, readings: &Readings, open_metrics: bool) -> String {
        self.pool_in_use.set(i64::from(readings.pool_in_use));
        self.pool_max.set(i64::from(readings.pool_max));
        self.cpu_percent.set(readings.usage.cpu_ratio * 100.0);
        self.memory_percent.set(readings.usage.memory_ratio * 100.0);
        set_total(&self.cpu_seconds, readings.usage.cpu_seconds);
        let resident = i64::try_from(readings.usage.memory_bytes).unwrap_or(i64::MAX);
        self.resident_bytes.set(resident);
        for (signal, counts) in [("logs", readings.logs), ("traces", readings.spans)] {
            for (outcome, total) in [
                ("dropped_export_failed", counts.dropped_export_failed),
                ("dropped_queue_full", counts.dropped_queue_full),
                ("exported", counts.exported),
            ] {
                self.telemetry
                    .with(TelemetryLabels { signal, outcome }, |counter| {
                        counter.inner().store(total, Ordering::Relaxed);
                    });
            }
        }
        let mut out = String::with_capacity(16 << 10);
        // Writing to a String cannot fail.
        let _ = text::encode(&mut out, &self.registry);
        if open_metrics {
            out
        } else {
            to_text_format(&out)
        }
    }
}

/// Registers a metric and gives it back.
fn added<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: &M) -> M {
    registry.register(name, help, metric.clone());
    metric.clone()
}

/// Sets a counter whose total somebody else keeps.
fn set_total(counter: &FloatCounter, total: f64) {
    counter.inner().store(total.to_bits(), Ordering::Relaxed);
}

/// OpenMetrics as the text format 0.0.4: a counter's metadata bears the name of its samples, and there are neither exemplars nor
/// an end mark.
fn to_text_format(open_metrics: &str) -> String {
    let mut out = String::with_capacity(open_metrics.len());
    let mut help = "";
    for line in open_metrics.lines() {
        if line == "# EOF" {
            break;
        }
        if line.starts_with("# HELP ") {
            // The help comes first: only the type after it tells whether it is a counter's.
            help = line;
            continue;
        }
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap_or((rest, "untyped"));
            let suffix = if kind == "counter" { "_total" } else { "" };
            let text = help
                .strip_prefix("# HELP ")
                .and_then(|it| it.split_once(' '));
            if let Some((_, text)) = text {
                let _ = writeln!(out, "# HELP {name}{suffix} {text}");
            }
            let _ = writeln!(out, "# TYPE {name}{suffix} {kind}");
            continue;
        }
        let sample = line.split_once(" # {").map_or(line, |(sample, _)| sample);
        out.push_str(sample);
        out.push('\n');
    }
    out
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct RequestLabels {
    endpoint: &'static str,
    method: &'static str,
    status: u16,
}

impl EncodeLabelSet for RequestLabels {
    fn encode(&self, encoder: &mut LabelSetEncoder) -> fmt::Result {
        ("method", self.method).encode(encoder.encode_label())?;
        ("endpoint", self.endpoint).encode(encoder.encode_label())?;
        ("status_code", self.status).encode(encoder.encode_label())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct DurationLabels {
    endpoint: &'static str,
    method: &'static str,
    outcome: &'static str,
}

impl EncodeLabelSet for DurationLabels {
    fn encode(&self, encoder: &mut LabelSetEncoder) -> fmt::Result {
        ("method", self.method).encode(encoder.encode_label())?;
        ("endpoint", self.endpoint).encode(encoder.encode_label())?;
        ("outcome", self.outcome).encode(encoder.encode_label())
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct VersionLabel(String);

impl EncodeLabelSet for VersionLabel {
    fn encode(&self, encoder: &mut LabelSetEncoder) -> fmt::Result {
        ("version", self.0.as_str()).encode(encoder.encode_label())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct TelemetryLabels {
    signal: &'static str,
    outcome: &'static str,
}

impl EncodeLabelSet for TelemetryLabels {
    fn encode(&self, encoder: &mut LabelSetEncoder) -> fmt::Result {
        ("signal", self.signal).encode(encoder.encode_label())?;
        ("outcome", self.outcome).encode(encoder.encode_label())
    }
}

/// The trace behind an observation.
#[derive(Clone, Copy, Debug)]
struct Exemplar(TraceParent);

impl EncodeLabelSet for Exemplar {
    fn encode(&self, encoder: &mut LabelSetEncoder) -> fmt::Result {
        let (mut trace_id, mut span_id) = ([0; 32], [0; 16]);
        let trace_id = hex(&self.0.trace_id.0, &mut trace_id);
        let span_id = hex(&self.0.span_id.0, &mut span_id);
        ("trace_id", trace_id).encode(encoder.encode_label())?;
        ("span_id", span_id).encode(encoder.encode_label())
    }
}

/// A family of series, exposed in the order of their labels. A clone is the same family.
struct Sorted<L, M> {
    series: Arc<Mutex<BTreeMap<L, M>>>,
    new: fn() -> M,
}

impl<L, M> Clone for Sorted<L, M> {
    fn clone(&self) -> Self {
        Self {
            series: Arc::clone(&self.series),
            new: self.new,
        }
    }
}

impl<L, M> fmt::Debug for Sorted<L, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sorted")
    }
}

impl<L: Ord, M> Sorted<L, M> {
    fn new(new: fn() -> M) -> Self {
        let series = Arc::default();
        Self { series, new }
    }

    fn with(&self, labels: L, change: impl FnOnce(&M)) {
        let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        change(series.entry(labels).or_insert_with(self.new));
    }

    fn clear(&self) {
        self.series
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}

impl<L, M> EncodeMetric for Sorted<L, M>
where
    L: Ord + EncodeLabelSet,
    M: EncodeMetric + TypedMetric,
{
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        for (labels, metric) in series.iter() {
            metric.encode(encoder.encode_family(labels)?)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        M::TYPE
    }
}

#[cfg(test)]
mod tests {
    use gameday_signal::{SpanId, TraceId};

    use super::*;

    fn exposition(open_metrics: bool) -> String {
        let metrics = Metrics::new("checkout", Timestamp::from_secs(1000), true);
        metrics.set_version("1.0.0");
        metrics.set_version("1.1.0");
        for (status, millis) in [(200, 30), (500, 3), (404, 7)] {
            metrics.began();
            metrics.ended(&Answered {
                method: "POST",
                endpoint: "/checkout",
                status,
                duration: Duration::from_millis(millis),
                at: Timestamp::from_secs(1234),
                span: Some(TraceParent {
                    trace_id: TraceId([0xab; 16]),
                    span_id: SpanId([0xcd; 8]),
                    sampled: true,
                }),
            });
        }
        let readings = Readings {
            usage: Usage {
                cpu_ratio: 0.25,
                memory_ratio: 0.5,
                cpu_seconds: 12.5,
                memory_bytes: 1 << 20,
            },
            pool_in_use: 3,
            pool_max: 64,
            spans: ExportCounts {
                exported: 9,
                ..ExportCounts::default()
            },
            logs: ExportCounts::default(),
        };
        metrics.expose(&readings, open_metrics)
    }

    fn check_lines(exposition: &str, expected: &[&str]) {
        for line in expected {
            assert!(
                exposition.lines().any(|it| it == *line),
                "{line} is missing in\n{exposition}"
            );
        }
    }

    #[test]
    fn open_metrics_has_exemplars_and_one_version() {
        let text = exposition(true);
        check_lines(
            &text,
            &[
                "# TYPE http_requests counter",
                r#"http_requests_total{service="checkout",method="POST",endpoint="/checkout",status_code="200"} 1"#,
                r#"http_request_duration_seconds_bucket{service="checkout",le="0.05",method="POST",endpoint="/checkout",outcome="success"} 2 # {trace_id="abababababababababababababababab",span_id="cdcdcdcdcdcdcdcd"} 0.03 1234.0"#,
                r#"http_requests_in_flight{service="checkout"} 0"#,
                r#"service_info{service="checkout",version="1.1.0"} 1"#,
                r#"process_cpu_usage_percent{service="checkout"} 25.0"#,
                r#"telemetry_items_total{service="checkout",signal="traces",outcome="exported"} 9"#,
                "# EOF",
            ],
        );
        assert!(!text.contains(r#"version="1.0.0""#));
    }

    #[test]
    fn the_older_text_format_names_counters_by_their_samples() {
        let text = exposition(false);
        check_lines(
            &text,
            &[
                "# HELP http_requests_total Requests answered.",
                "# TYPE http_requests_total counter",
                "# TYPE http_request_duration_seconds histogram",
                r#"http_request_duration_seconds_bucket{service="checkout",le="0.05",method="POST",endpoint="/checkout",outcome="success"} 2"#,
                r#"db_pool_connections_in_use{service="checkout"} 3"#,
            ],
        );
        assert!(!text.contains("# EOF") && !text.contains("trace_id"));
    }
}

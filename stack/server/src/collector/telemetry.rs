//! What the collector says of itself, by the names of the OpenTelemetry Collector.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use gameday_wire::otlp::Signal;

/// A counter that there is for each signal: its names for spans, log records and metric points.
pub(crate) type PerSignal = [&'static str; 3];

/// Items that a receiver took.
pub(crate) const ACCEPTED: PerSignal = [
    "otelcol_receiver_accepted_spans",
    "otelcol_receiver_accepted_log_records",
    "otelcol_receiver_accepted_metric_points",
];
/// Items that a receiver did not take.
pub(crate) const REFUSED: PerSignal = [
    "otelcol_receiver_refused_spans",
    "otelcol_receiver_refused_log_records",
    "otelcol_receiver_refused_metric_points",
];
/// Items that a processor sent back to their sender.
pub(crate) const PROCESSOR_REFUSED: PerSignal = [
    "otelcol_processor_refused_spans",
    "otelcol_processor_refused_log_records",
    "otelcol_processor_refused_metric_points",
];
/// Items that a processor dropped.
pub(crate) const PROCESSOR_DROPPED: PerSignal = [
    "otelcol_processor_dropped_spans",
    "otelcol_processor_dropped_log_records",
    "otelcol_processor_dropped_metric_points",
];
/// Items that an exporter delivered.
pub(crate) const SENT: PerSignal = [
    "otelcol_exporter_sent_spans",
    "otelcol_exporter_sent_log_records",
    "otelcol_exporter_sent_metric_points",
];
/// Items that an exporter gave up.
pub(crate) const SEND_FAILED: PerSignal = [
    "otelcol_exporter_send_failed_spans",
    "otelcol_exporter_send_failed_log_records",
    "otelcol_exporter_send_failed_metric_points",
];
/// Items that did not fit into the queue of an exporter.
pub(crate) const ENQUEUE_FAILED: PerSignal = [
    "otelcol_exporter_enqueue_failed_spans",
    "otelcol_exporter_enqueue_failed_log_records",
    "otelcol_exporter_enqueue_failed_metric_points",
];

/// Counters with their labels.
#[derive(Debug, Default)]
pub(crate) struct Telemetry(BTreeMap<&'static str, BTreeMap<String, u64>>);

pub(super) fn index(signal: Signal) -> usize {
    match signal {
        Signal::Traces => 0,
        Signal::Logs => 1,
        Signal::Metrics => 2,
    }
}

impl Telemetry {
    /// Counts `by` items of a signal; `labels` is what stands between the braces.
    pub(crate) fn count(&mut self, names: &PerSignal, signal: Signal, labels: &str, by: u64) {
        let counters = self.0.entry(names[index(signal)]).or_default();
        match counters.get_mut(labels) {
            Some(counter) => *counter += by,
            None => {
                counters.insert(labels.to_owned(), by);
            }
        }
    }

    /// Writes the counters in the text format.
    pub(super) fn write(&self, out: &mut String) {
        for (name, counters) in &self.0 {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "# TYPE {name} counter");
            for (labels, value) in counters {
                let _ = writeln!(out, "{name}{{{labels}}} {value}");
            }
        }
    }
}

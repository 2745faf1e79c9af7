//! What the stack says about itself at `/metrics`, under the names that rules about a Prometheus server ask for.

use std::fmt::Write as _;

use gameday_signal::Timestamp;

use crate::api::common::format_value;
use crate::shared::Shared;

/// The stack's own metrics in the text format.
pub(crate) fn own_metrics(shared: &Shared) -> String {
    let mut out = String::new();
    for (name, value) in shared.counters() {
        let help = name.trim_end_matches("_total").replace('_', " ");
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "# HELP {name} Counts {help}.\n# TYPE {name} counter\n{name} {value}"
        );
    }
    let (stats, appended) = {
        let store = shared.metrics();
        (store.stats(), store.append_stats())
    };
    let reloads = shared.reloads();
    let secs = |at: Timestamp| at.as_millis() as f64 / 1000.0;
    for (name, kind, help, value) in [
        (
            "process_start_time_seconds",
            "gauge",
            "Start time of the process since unix epoch in seconds.",
            secs(shared.started),
        ),
        (
            "prometheus_config_last_reload_success_timestamp_seconds",
            "gauge",
            "Timestamp of the last successful configuration reload.",
            secs(reloads.succeeded_at),
        ),
        (
            "prometheus_config_last_reload_successful",
            "gauge",
            "Whether the last configuration reload attempt was successful.",
            f64::from(u8::from(reloads.ok)),
        ),
        (
            "prometheus_target_scrapes_sample_duplicate_timestamp_total",
            "counter",
            "Samples that were refused because their series has another value at that time.",
            appended.duplicate as f64,
        ),
        (
            "prometheus_tsdb_head_samples",
            "gauge",
            "Samples in the store.",
            stats.samples as f64,
        ),
        (
            "prometheus_tsdb_head_samples_appended_total",
            "counter",
            "Samples that were appended.",
            appended.appended as f64,
        ),
        (
            "prometheus_tsdb_head_series",
            "gauge",
            "Series in the store.",
            stats.series as f64,
        ),
        (
            "prometheus_tsdb_out_of_order_samples_appended_total",
            "counter",
            "Samples that were appended although they are older than the newest of their series.",
            appended.out_of_order_appended as f64,
        ),
        (
            "prometheus_tsdb_out_of_order_samples_total",
            "counter",
            "Samples that were refused because their series has a newer one.",
            appended.out_of_order as f64,
        ),
        (
            "prometheus_tsdb_too_old_samples_total",
            "counter",
            "Samples that were refused because they are older than the out-of-order window.",
            appended.too_old as f64,
        ),
    ] {
        let value = format_value(value);
        let _ = writeln!(
            out,
            "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}"
        );
    }
    let _ = writeln!(
        out,
        "# HELP prometheus_build_info The version whose language and API this is.\n# TYPE prometheus_build_info gauge\nprometheus_build_info{{version=\"{}\"}} 1",
        crate::PROMETHEUS_VERSION
    );
    out
}

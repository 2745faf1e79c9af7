//! The ticker of the collector, and the way from the pipelines into the stores.

use std::sync::Arc;

use gameday_env::Env;
use gameday_traces::MetricPoint;
use gameday_wire::otlp::Signal;

use super::pipeline::Flow;
use super::send::send_all;
use crate::receive::Outcome;
use crate::shared::Shared;

/// Gives out what the pipelines held back, when its time has come, and sends what the queues hold, for ever.
pub(crate) async fn run(env: Env, shared: Arc<Shared>) {
    let outlets = shared.collector().outlets().to_vec();
    for outlet in outlets {
        for _ in 0..outlet.config.queue.consumers.min(outlet.config.queue.size) {
            env.spawn(send_all(
                env.clone(),
                Arc::clone(&shared),
                Arc::clone(&outlet),
            ));
        }
    }
    loop {
        let deadline = shared.collector().next_deadline();
        crate::tick::wait_until(&env, deadline, &shared.collector_wake).await;
        let flow = shared.collector().tick(env.now());
        // What a store refuses now can no longer be told to the sender: it is counted.
        store_flow(&shared, flow);
    }
}

/// Hands what came through the pipelines to the stores.
pub(crate) fn store_flow(shared: &Shared, flow: Flow) -> Outcome {
    let mut outcome = Outcome::default();
    if !flow.spans.is_empty() {
        let count = flow.spans.len() as u64;
        let report = shared.traces().append(flow.spans, shared.now());
        outcome.rejected += report.refused_spans();
        outcome.message = report.message().unwrap_or_default();
        let refused = report.refused_spans();
        let taken = count.saturating_sub(refused);
        shared
            .collector()
            .count_stored(Signal::Traces, taken, refused);
    }
    if !flow.records.is_empty() {
        let count = flow.records.len() as u64;
        let mut store = shared.logs();
        let appended = store.push_records(&flow.records, shared.now());
        shared.commit_logs(&mut store);
        drop(store);
        outcome = crate::host::outcome(&appended);
        let taken = count.saturating_sub(outcome.rejected);
        shared
            .collector()
            .count_stored(Signal::Logs, taken, outcome.rejected);
    }
    if !flow.points.is_empty() {
        store_points(shared, flow.points);
    }
    outcome
}

/// Appends metrics made of spans with their exemplars. A sample that the store does not take is counted.
fn store_points(shared: &Shared, points: Vec<MetricPoint>) {
    let count = points.len() as u64;
    let mut refused = 0;
    {
        let mut store = shared.metrics();
        for point in points {
            let at_ms = point.sample.timestamp_ms;
            if store
                .append(&point.labels, at_ms, point.sample.value)
                .is_err()
            {
                refused += 1;
                continue;
            }
            if let Some(exemplar) = point.exemplar {
                store.append_exemplar(&point.labels, at_ms, exemplar);
            }
        }
        shared.commit_metrics(&mut store);
    }
    shared
        .collector()
        .count_stored(Signal::Metrics, count - refused, refused);
}

//! The series that both get.

use std::collections::BTreeMap;

use bytes::Bytes;
use gameday_env::{Rng, Sim};
use gameday_signal::{Labels, Sample};
use gameday_wire::remote_write::{Version, WriteSeries, encode_remote_write};

use crate::process::Server;

/// Seconds between two samples of a series.
pub(crate) const INTERVAL_SECS: i64 = 15;
/// The upper bounds of the classic histograms.
const BOUNDS: [&str; 10] = [
    "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "+Inf",
];
/// So many series and samples of each go into one request, as many samples as Prometheus' own shards send in five.
const SERIES_IN_REQUEST: usize = 500;
const SAMPLES_IN_REQUEST: i64 = 20;
/// One of so many steps is a restart of the counter's process.
const RESTART_EVERY: u64 = 1_000;

/// `count` counters named `name` with twenty values of `l`.
pub(crate) fn counters(name: &str, count: usize) -> Vec<Labels> {
    (0..count)
        .map(|index| {
            Labels::new([
                ("__name__", name.to_owned()),
                (
                    "instance",
                    format!("10.0.{}.{}:8080", index / 5000, index / 20 % 250),
                ),
                ("job", "checkout".to_owned()),
                ("l", (index % 20).to_string()),
                ("method", "GET".to_owned()),
                ("pod", format!("checkout-{:x}", index / 20)),
            ])
        })
        .collect()
}

/// `count` buckets named `name` of histograms with ten bounds.
pub(crate) fn buckets(name: &str, count: usize) -> Vec<Labels> {
    (0..count)
        .map(|index| {
            Labels::new([
                ("__name__", name.to_owned()),
                (
                    "instance",
                    format!("10.0.{}.{}:8080", index / 2500, index / 10 % 250),
                ),
                ("job", "checkout".to_owned()),
                ("le", BOUNDS[index % BOUNDS.len()].to_owned()),
                ("pod", format!("checkout-{:x}", index / 10)),
            ])
        })
        .collect()
}

/// Writes `steps` samples of each series from `start_ms` on to all servers by remote write.
pub(crate) fn write(sim: &Sim, servers: &[&Server], series: &[Labels], start_ms: i64, steps: i64) {
    let mut random = Rng::named(7, "beside prometheus");
    let mut values = vec![0_u64; series.len()];
    let mut step = 0;
    while step < steps {
        let until = (step + SAMPLES_IN_REQUEST).min(steps);
        for (labels, values) in series
            .chunks(SERIES_IN_REQUEST)
            .zip(values.chunks_mut(SERIES_IN_REQUEST))
        {
            let batch: Vec<WriteSeries> = labels
                .iter()
                .zip(values)
                .map(|(labels, value)| WriteSeries {
                    labels: labels.clone(),
                    samples: (step..until)
                        .map(|step| Sample {
                            timestamp_ms: start_ms + step * INTERVAL_SECS * 1000,
                            value: grown(value, &mut random) as f64,
                        })
                        .collect(),
                    ..WriteSeries::default()
                })
                .collect();
            let body = Bytes::from(encode_remote_write(&batch, &BTreeMap::new(), Version::V1));
            for server in servers {
                let headers = [
                    ("content-type", Version::V1.content_type()),
                    ("content-encoding", "snappy"),
                    ("x-prometheus-remote-write-version", Version::V1.header()),
                ];
                server.post(sim, "/api/v1/write", &headers, body.clone());
            }
        }
        step = until;
    }
}

fn grown(value: &mut u64, random: &mut Rng) -> u64 {
    if random.below(RESTART_EVERY) == 0 {
        *value = 0;
    }
    *value += random.below(50);
    *value
}

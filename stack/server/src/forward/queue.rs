//! The queue of one `remote_write`.

use std::collections::{BTreeMap, VecDeque};

use gameday_metrics::{Tapped, TappedValue};
use gameday_signal::{Labels, MetricMetadata, Sample, Timestamp};
use gameday_wire::remote_write::{WriteSeries, encode_remote_write};

use crate::config::RemoteWriteConfig;
use crate::relabel;

/// Samples that wait to be sent.
#[derive(Debug)]
pub(super) struct Queue {
    config: RemoteWriteConfig,
    external_labels: Labels,
    waiting: VecDeque<Tapped>,
    limit: usize,
    /// The labels as they leave, by the labels as they are stored; none where relabelling drops the series.
    leaving: BTreeMap<Labels, Option<Labels>>,
}

/// The cache of leaving labels is emptied when it holds this many.
const LEAVING_MAX: usize = 1_000_000;

impl Queue {
    pub(super) fn new(config: RemoteWriteConfig, external_labels: Labels) -> Self {
        let limit = config
            .queue_config
            .capacity
            .saturating_mul(config.queue_config.max_shards)
            .max(config.queue_config.max_samples_per_send);
        Self {
            config,
            external_labels,
            waiting: VecDeque::new(),
            limit,
            leaving: BTreeMap::new(),
        }
    }

    pub(super) fn config(&self) -> &RemoteWriteConfig {
        &self.config
    }

    /// Takes what is to be sent; gives the number of samples that were dropped because there are too many.
    pub(super) fn push(&mut self, tapped: &[Tapped]) -> u64 {
        let mut dropped = 0;
        for own in tapped {
            let wanted = match own.value {
                TappedValue::Float(_) => true,
                TappedValue::Histogram(_) => self.config.send_native_histograms,
                TappedValue::Exemplar(_) => self.config.send_exemplars,
            };
            if !wanted {
                continue;
            }
            let Some(labels) = self.labels(&own.labels) else {
                continue;
            };
            if self.waiting.len() >= self.limit {
                self.waiting.pop_front();
                dropped += 1;
            }
            self.waiting.push_back(Tapped {
                labels,
                ..own.clone()
            });
        }
        dropped
    }

    /// External labels where the series has none of that name, then the relabelling of this queue.
    fn labels(&mut self, stored: &Labels) -> Option<Labels> {
        if let Some(known) = self.leaving.get(stored) {
            return known.clone();
        }
        let mut builder = stored.to_builder();
        for (name, value) in self.external_labels.iter() {
            if stored.get(name).is_none() {
                builder.set(name, value);
            }
        }
        let kept = relabel::process(&mut builder, &self.config.write_relabel_configs);
        let labels = kept
            .then(|| builder.build())
            .filter(|labels| !labels.is_empty());
        if self.leaving.len() >= LEAVING_MAX {
            self.leaving.clear();
        }
        self.leaving.insert(stored.clone(), labels.clone());
        labels
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes the next request: its body and how many things it holds. Samples over the age limit are left out.
    pub(super) fn next_batch(
        &mut self,
        metadata: &BTreeMap<String, MetricMetadata>,
        now: Timestamp,
    ) -> Option<(Vec<u8>, u64)> {
        let settings = &self.config.queue_config;
        let count = settings
            .max_samples_per_send
            .clamp(1, self.waiting.len().max(1));
        let oldest_ms = if settings.sample_age_limit.is_zero() {
            i64::MIN
        } else {
            (now - settings.sample_age_limit).as_millis()
        };
        let mut places: BTreeMap<Labels, usize> = BTreeMap::new();
        let mut series: Vec<WriteSeries> = Vec::new();
        let mut taken = 0;
        let end = count.min(self.waiting.len());
        for own in self.waiting.drain(..end) {
            if own.timestamp_ms < oldest_ms {
                continue;
            }
            taken += 1;
            let place = *places.entry(own.labels).or_insert_with_key(|labels| {
                series.push(WriteSeries {
                    labels: labels.clone(),
                    ..WriteSeries::default()
                });
                series.len() - 1
            });
            let target = &mut series[place];
            match own.value {
                TappedValue::Float(value) => target.samples.push(Sample {
                    timestamp_ms: own.timestamp_ms,
                    value,
                }),
                TappedValue::Histogram(histogram) => target
                    .histograms
                    .push((own.timestamp_ms, histogram.as_ref().clone())),
                TappedValue::Exemplar(mut exemplar) => {
                    exemplar.timestamp = exemplar
                        .timestamp
                        .or(Some(Timestamp::from_millis(own.timestamp_ms)));
                    target.exemplars.push(exemplar);
                }
            }
        }
        (taken > 0).then(|| {
            (
                encode_remote_write(&series, metadata, self.config.version),
                taken,
            )
        })
    }
}

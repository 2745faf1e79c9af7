//! The queue of one `remote_write`: what waits, in as many lanes as requests may be under way.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use gameday_metrics::{Tapped, TappedValue};
use gameday_signal::{Labels, MetricMetadata, Sample, Timestamp};
use gameday_wire::remote_write::{Version, WriteSeries, encode_remote_write};

use crate::config::RemoteWriteConfig;
use crate::relabel;

/// Samples that wait to be sent. A series always waits in the same lane, so that its samples leave in order.
#[derive(Debug)]
pub(super) struct Queue {
    config: RemoteWriteConfig,
    external_labels: Labels,
    lanes: Vec<VecDeque<Tapped>>,
    /// How many lanes there will be as soon as no request is under way.
    wanted_lanes: usize,
    /// Requests under way.
    under_way: usize,
    /// Looks at the queue since something was left from the one before.
    idle_looks: u32,
    limit: usize,
    /// The labels as they leave, by the labels as they are stored; none where relabelling drops the series.
    leaving: BTreeMap<Labels, Option<Labels>>,
    /// The lanes that have a task.
    served: BTreeSet<usize>,
    metadata_due: Timestamp,
    /// The configuration has gone: what waits is sent until then.
    ends_at: Option<Timestamp>,
}

/// A request, and how many things it holds.
pub(super) struct Batch {
    pub(super) body: Vec<u8>,
    pub(super) count: u64,
}

/// What a lane has to do.
pub(super) enum Next {
    Send(Batch),
    /// To look again: all of it was too old.
    Again,
    /// Nothing, until the queue changes.
    Wait,
    /// There is no such lane any more.
    End,
}

/// The cache of leaving labels is emptied when it holds this many.
const LEAVING_MAX: usize = 1_000_000;
/// After so many looks that found nothing left there are half as many lanes.
const IDLE_LOOKS: u32 = 12;

impl Queue {
    pub(super) fn new(config: RemoteWriteConfig, external_labels: Labels, now: Timestamp) -> Self {
        let settings = &config.queue_config;
        let limit = settings
            .capacity
            .saturating_mul(settings.max_shards)
            .max(settings.max_samples_per_send);
        let lanes = settings.min_shards.clamp(1, settings.max_shards.max(1));
        Self {
            external_labels,
            lanes: vec![VecDeque::new(); lanes],
            wanted_lanes: lanes,
            under_way: 0,
            idle_looks: 0,
            limit,
            leaving: BTreeMap::new(),
            served: BTreeSet::new(),
            metadata_due: now,
            ends_at: None,
            config,
        }
    }

    pub(super) fn config(&self) -> &RemoteWriteConfig {
        &self.config
    }

    /// The configuration has gone: nothing is taken any more, and what waits is given up at `at`.
    pub(super) fn end(&mut self, at: Timestamp) {
        self.ends_at = Some(at);
    }

    /// Whether what is still waiting is given up.
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        self.ends_at.is_some_and(|end| now >= end)
    }

    /// The lanes that have no task yet; they count as having one from now on.
    pub(super) fn unserved(&mut self) -> Vec<usize> {
        (0..self.lanes.len())
            .filter(|lane| self.served.insert(*lane))
            .collect()
    }

    /// Takes what is to be sent; gives the number of samples that were dropped because there are too many. Where much is left from
    /// the last time, there will be twice as many lanes.
    pub(super) fn push(&mut self, tapped: &[Tapped]) -> u64 {
        let left: usize = self.lanes.iter().map(VecDeque::len).sum();
        self.adapt(left);
        let (mut waiting, mut dropped) = (left, 0);
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
            let lane = lane_of(&labels, self.lanes.len());
            if waiting >= self.limit {
                // The oldest goes; where this lane is empty, another one has all that waits.
                let fullest = self.lanes.iter_mut().max_by_key(|lane| lane.len());
                if fullest.and_then(VecDeque::pop_front).is_some() {
                    dropped += 1;
                    waiting -= 1;
                }
            }
            waiting += 1;
            self.lanes[lane].push_back(Tapped {
                labels,
                ..own.clone()
            });
        }
        self.spread();
        dropped
    }

    fn adapt(&mut self, left: usize) {
        let settings = &self.config.queue_config;
        if left > settings.max_samples_per_send {
            self.idle_looks = 0;
            self.wanted_lanes = (self.wanted_lanes * 2).min(settings.max_shards.max(1));
        } else if left == 0 {
            self.idle_looks += 1;
            if self.idle_looks >= IDLE_LOOKS {
                self.idle_looks = 0;
                self.wanted_lanes = (self.wanted_lanes / 2).max(settings.min_shards.max(1));
            }
        }
    }

    /// Spreads what waits over the wanted number of lanes, once nothing is under way that it would overtake.
    fn spread(&mut self) {
        if self.under_way > 0 || self.wanted_lanes == self.lanes.len() {
            return;
        }
        let lanes = vec![VecDeque::new(); self.wanted_lanes];
        for lane in std::mem::replace(&mut self.lanes, lanes) {
            for own in lane {
                let place = lane_of(&own.labels, self.lanes.len());
                self.lanes[place].push_back(own);
            }
        }
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

    /// The requests that say what metric families are, when it is time for them: version 1.0 sends them apart.
    pub(super) fn metadata(
        &mut self,
        now: Timestamp,
        known: impl FnOnce() -> BTreeMap<String, MetricMetadata>,
    ) -> Vec<Vec<u8>> {
        let settings = &self.config.metadata_config;
        if self.config.version != Version::V1 || !settings.send || now < self.metadata_due {
            return Vec::new();
        }
        self.metadata_due = now + settings.send_interval;
        let known: Vec<(String, MetricMetadata)> = known().into_iter().collect();
        known
            .chunks(settings.max_samples_per_send.max(1))
            .map(|part| {
                encode_remote_write(&[], &part.iter().cloned().collect(), self.config.version)
            })
            .collect()
    }

    /// The next request of a lane, which counts as under way until [`Queue::done`], and how many samples were left out because they
    /// are too old or the configuration has gone.
    pub(super) fn next(
        &mut self,
        lane: usize,
        now: Timestamp,
        metadata: impl FnOnce() -> BTreeMap<String, MetricMetadata>,
    ) -> (Next, u64) {
        self.spread();
        if lane >= self.lanes.len() || self.is_over(now) {
            self.served.remove(&lane);
            let lost = self
                .lanes
                .get_mut(lane)
                .map_or(0, |lane| lane.drain(..).count());
            return (Next::End, lost as u64);
        }
        if self.lanes[lane].is_empty() && self.ends_at.is_some() {
            self.served.remove(&lane);
            return (Next::End, 0);
        }
        // Nothing new is begun while the lanes are about to change.
        if self.lanes[lane].is_empty() || self.wanted_lanes != self.lanes.len() {
            return (Next::Wait, 0);
        }
        let settings = &self.config.queue_config;
        let oldest_ms = if settings.sample_age_limit.is_zero() {
            i64::MIN
        } else {
            (now - settings.sample_age_limit).as_millis()
        };
        let waiting = &mut self.lanes[lane];
        let end = settings.max_samples_per_send.clamp(1, waiting.len());
        let mut too_old = 0;
        let fresh = waiting.drain(..end).filter(|own| {
            let keep = own.timestamp_ms >= oldest_ms;
            too_old += u64::from(!keep);
            keep
        });
        let series = by_series(fresh);
        let count = end as u64 - too_old;
        if count == 0 {
            return (Next::Again, too_old);
        }
        let metadata = match self.config.version {
            Version::V1 => BTreeMap::new(),
            Version::V2 => metadata(),
        };
        self.under_way += 1;
        let body = encode_remote_write(&series, &metadata, self.config.version);
        (Next::Send(Batch { body, count }), too_old)
    }

    /// A request has come to its end.
    pub(super) fn done(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
        self.spread();
    }
}

fn lane_of(labels: &Labels, lanes: usize) -> usize {
    (labels.fingerprint() % lanes as u64) as usize
}

fn by_series(samples: impl Iterator<Item = Tapped>) -> Vec<WriteSeries> {
    let mut places: BTreeMap<Labels, usize> = BTreeMap::new();
    let mut series: Vec<WriteSeries> = Vec::new();
    for own in samples {
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
    series
}

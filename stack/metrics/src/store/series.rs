//! The samples of one series.

use std::sync::Arc;

use gameday_signal::{Exemplar, Histogram, Labels, is_stale};

/// A series.
#[derive(Debug)]
pub(crate) struct Series {
    labels: Labels,
    times: Vec<i64>,
    values: Vec<f64>,
    histograms: Vec<(i64, Arc<Histogram>)>,
    exemplars: Vec<(i64, Exemplar)>,
}

/// The newest sample at a time.
#[derive(Clone, Debug)]
pub(crate) enum Newest {
    /// A number.
    Float(i64, f64),
    /// A histogram.
    Histogram(i64, Arc<Histogram>),
}

impl Series {
    pub(super) fn new(labels: Labels) -> Self {
        Self {
            labels,
            times: Vec::new(),
            values: Vec::new(),
            histograms: Vec::new(),
            exemplars: Vec::new(),
        }
    }

    pub(crate) fn labels(&self) -> &Labels {
        &self.labels
    }

    /// The time of the newest sample.
    pub(super) fn last_time(&self) -> Option<i64> {
        let float = self.times.last().copied();
        let histogram = self.histograms.last().map(|(time, _)| *time);
        float.max(histogram)
    }

    /// The time of the oldest sample.
    pub(super) fn first_time(&self) -> Option<i64> {
        let float = self.times.first().copied();
        let histogram = self.histograms.first().map(|(time, _)| *time);
        match (float, histogram) {
            (Some(float), Some(histogram)) => Some(float.min(histogram)),
            (float, histogram) => float.or(histogram),
        }
    }

    /// Whether a sample lies in `[start_ms, end_ms]`.
    pub(super) fn overlaps(&self, start_ms: i64, end_ms: i64) -> bool {
        matches!((self.first_time(), self.last_time()), (Some(first), Some(last)) if first <= end_ms && last >= start_ms)
    }

    /// The value at exactly that time.
    pub(super) fn float_at(&self, time: i64) -> Option<f64> {
        self.times
            .binary_search(&time)
            .ok()
            .map(|index| self.values[index])
    }

    pub(super) fn histogram_at(&self, time: i64) -> Option<&Arc<Histogram>> {
        self.histograms
            .binary_search_by_key(&time, |(own, _)| *own)
            .ok()
            .map(|index| &self.histograms[index].1)
    }

    pub(super) fn insert(&mut self, time: i64, value: f64) {
        let index = self.times.partition_point(|own| *own < time);
        self.times.insert(index, time);
        self.values.insert(index, value);
    }

    pub(super) fn insert_histogram(&mut self, time: i64, histogram: Arc<Histogram>) {
        let index = self.histograms.partition_point(|(own, _)| *own < time);
        self.histograms.insert(index, (time, histogram));
    }

    pub(super) fn push_exemplar(&mut self, time: i64, exemplar: Exemplar, limit: usize) {
        if self.exemplars.len() >= limit {
            self.exemplars.remove(0);
        }
        self.exemplars.push((time, exemplar));
    }

    pub(super) fn exemplars(&self) -> &[(i64, Exemplar)] {
        &self.exemplars
    }

    pub(super) fn len(&self) -> usize {
        self.times.len() + self.histograms.len()
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.labels.heap_bytes()
            + size_of::<Self>()
            + self.times.capacity() * 16
            + self.histograms.len() * 256
    }

    /// Forgets samples before `time`.
    pub(super) fn truncate_before(&mut self, time: i64) {
        let floats = self.times.partition_point(|own| *own < time);
        self.times.drain(..floats);
        self.values.drain(..floats);
        let histograms = self.histograms.partition_point(|(own, _)| *own < time);
        self.histograms.drain(..histograms);
        self.exemplars.retain(|(own, _)| *own >= time);
    }

    /// The newest sample in `(after, until]`, also where it is a stale marker.
    pub(crate) fn newest(&self, after: i64, until: i64) -> Option<Newest> {
        let float = self
            .times
            .partition_point(|own| *own <= until)
            .checked_sub(1)
            .map(|index| (self.times[index], self.values[index]))
            .filter(|(time, _)| *time > after);
        let histogram = self
            .histograms
            .partition_point(|(own, _)| *own <= until)
            .checked_sub(1)
            .map(|index| &self.histograms[index])
            .filter(|(time, _)| *time > after);
        match (float, histogram) {
            (Some((time, value)), Some((other, _))) if time >= *other => {
                Some(Newest::Float(time, value))
            }
            (_, Some((time, histogram))) => Some(Newest::Histogram(*time, histogram.clone())),
            (Some((time, value)), None) => Some(Newest::Float(time, value)),
            (None, None) => None,
        }
    }

    /// Appends the numbers of `(after, until]` that are no stale markers.
    pub(crate) fn read_floats(
        &self,
        after: i64,
        until: i64,
        times: &mut Vec<i64>,
        values: &mut Vec<f64>,
    ) {
        let start = self.times.partition_point(|own| *own <= after);
        let end = self.times.partition_point(|own| *own <= until);
        for index in start..end.max(start) {
            if !is_stale(self.values[index]) {
                times.push(self.times[index]);
                values.push(self.values[index]);
            }
        }
    }

    /// Appends the numbers of `(after, until]`, stale markers included.
    pub(crate) fn read_all_floats(
        &self,
        after: i64,
        until: i64,
        times: &mut Vec<i64>,
        values: &mut Vec<f64>,
    ) {
        let start = self.times.partition_point(|own| *own <= after);
        let end = self.times.partition_point(|own| *own <= until).max(start);
        times.extend_from_slice(&self.times[start..end]);
        values.extend_from_slice(&self.values[start..end]);
    }

    /// Appends the histograms of `(after, until]`.
    pub(crate) fn read_histograms(
        &self,
        after: i64,
        until: i64,
        out: &mut Vec<(i64, Arc<Histogram>)>,
    ) {
        let start = self.histograms.partition_point(|(own, _)| *own <= after);
        let end = self.histograms.partition_point(|(own, _)| *own <= until);
        out.extend_from_slice(&self.histograms[start..end.max(start)]);
    }
}

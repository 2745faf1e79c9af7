//! The samples of one series.

use std::sync::Arc;

use gameday_signal::{Exemplar, Histogram, Labels, Sample, is_stale};

use super::chunk::{CHUNK_SAMPLES, Chunk, ChunkReader, ChunkWriter, Totals};

/// A series: full chunks of numbers, one that is written to, and histograms.
#[derive(Debug)]
pub(crate) struct Series {
    labels: Labels,
    pub(super) chunks: Vec<Chunk>,
    pub(super) head: ChunkWriter,
    /// Before the first chunk: what has been forgotten.
    pub(super) forgotten: Totals,
    /// At the end of the head.
    pub(super) totals: Totals,
    /// How many chunks stand in blocks already.
    saved_chunks: usize,
    rare: Option<Box<Rare>>,
}

/// What few series have.
#[derive(Debug)]
struct Rare {
    histograms: Vec<(i64, Arc<Histogram>)>,
    exemplars: Vec<(i64, Exemplar)>,
    /// How many histograms stand in blocks already.
    saved_histograms: usize,
}

const NOTHING_RARE: &Rare = &Rare {
    histograms: Vec::new(),
    exemplars: Vec::new(),
    saved_histograms: 0,
};

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
            chunks: Vec::new(),
            head: ChunkWriter::default(),
            forgotten: Totals::default(),
            totals: Totals::default(),
            saved_chunks: 0,
            rare: None,
        }
    }

    fn rare(&self) -> &Rare {
        self.rare.as_deref().unwrap_or(NOTHING_RARE)
    }

    fn rare_mut(&mut self) -> &mut Rare {
        self.rare.get_or_insert_with(|| {
            Box::new(Rare {
                histograms: Vec::new(),
                exemplars: Vec::new(),
                saved_histograms: 0,
            })
        })
    }

    pub(crate) fn labels(&self) -> &Labels {
        &self.labels
    }

    /// The last number, also where it is a stale marker.
    fn last_float(&self) -> Option<Sample> {
        self.head.last().or_else(|| {
            let last = self.chunks.last()?;
            last.reader().last()
        })
    }

    /// The time of the newest sample.
    pub(super) fn last_time(&self) -> Option<i64> {
        let float = match self.head.last() {
            Some(last) => Some(last.timestamp_ms),
            None => self.chunks.last().map(|chunk| chunk.last_ms),
        };
        let histogram = self.rare().histograms.last().map(|(time, _)| *time);
        float.max(histogram)
    }

    /// The time of the oldest sample.
    pub(super) fn first_time(&self) -> Option<i64> {
        let float = match self.chunks.first() {
            Some(chunk) => Some(chunk.first_ms),
            None => (self.head.count() > 0).then(|| self.head.first_ms()),
        };
        let histogram = self.rare().histograms.first().map(|(time, _)| *time);
        match (float, histogram) {
            (Some(float), Some(histogram)) => Some(float.min(histogram)),
            (float, histogram) => float.or(histogram),
        }
    }

    /// Whether a sample lies in `[start_ms, end_ms]`.
    pub(super) fn overlaps(&self, start_ms: i64, end_ms: i64) -> bool {
        matches!((self.first_time(), self.last_time()), (Some(first), Some(last)) if first <= end_ms && last >= start_ms)
    }

    /// The number at exactly that time.
    pub(super) fn float_at(&self, time: i64) -> Option<f64> {
        let last = self.last_float()?;
        if last.timestamp_ms <= time {
            return (last.timestamp_ms == time).then_some(last.value);
        }
        self.readers(time - 1, time)
            .flatten()
            .find(|sample| sample.timestamp_ms == time)
            .map(|sample| sample.value)
    }

    pub(super) fn histogram_at(&self, time: i64) -> Option<&Arc<Histogram>> {
        self.rare()
            .histograms
            .binary_search_by_key(&time, |(own, _)| *own)
            .ok()
            .map(|index| &self.rare().histograms[index].1)
    }

    /// Adds a number at a time that has none yet.
    pub(super) fn insert(&mut self, time: i64, value: f64) {
        let sample = Sample {
            timestamp_ms: time,
            value,
        };
        let newest = match self.head.last() {
            Some(last) => last.timestamp_ms < time,
            None => self.chunks.last().is_none_or(|chunk| chunk.last_ms < time),
        };
        if newest {
            self.push(sample);
        } else {
            self.insert_older(sample);
        }
    }

    fn push(&mut self, sample: Sample) {
        if self.head.count() >= CHUNK_SAMPLES {
            let full = std::mem::take(&mut self.head);
            self.chunks.push(full.close(self.totals));
        }
        if !is_stale(sample.value) {
            let previous = self.last_valid_before(self.chunks.len() + 1);
            self.totals
                .add(sample.value, previous.map(|previous| previous.value));
        }
        self.head.push(sample);
    }

    /// Writes the chunk anew into which an older sample belongs, and all after it, since their totals change. Older samples come
    /// within the out-of-order window, which ends at the newest one, so these are few.
    fn insert_older(&mut self, sample: Sample) {
        let kept = self
            .chunks
            .partition_point(|chunk| chunk.last_ms < sample.timestamp_ms);
        let mut samples: Vec<Sample> = self.chunks[kept..]
            .iter()
            .flat_map(Chunk::reader)
            .chain(self.head.reader())
            .collect();
        let place = samples.partition_point(|own| own.timestamp_ms < sample.timestamp_ms);
        samples.insert(place, sample);
        self.rewrite_from(kept, samples);
    }

    fn rewrite_from(&mut self, kept: usize, samples: Vec<Sample>) {
        self.chunks.truncate(kept);
        self.saved_chunks = self.saved_chunks.min(kept);
        self.head = ChunkWriter::default();
        self.totals = self
            .chunks
            .last()
            .map_or(self.forgotten, |chunk| chunk.totals);
        for sample in samples {
            self.push(sample);
        }
    }

    /// Adds numbers that come from a file and replace all from the first of them on.
    pub(super) fn restore(&mut self, samples: impl Iterator<Item = Sample>) {
        let mut samples = samples.peekable();
        let Some(first) = samples.peek().map(|sample| sample.timestamp_ms) else {
            return;
        };
        let overlaps = match self.head.last() {
            Some(last) => last.timestamp_ms >= first,
            None => self
                .chunks
                .last()
                .is_some_and(|chunk| chunk.last_ms >= first),
        };
        if overlaps {
            let kept = self.chunks.partition_point(|chunk| chunk.last_ms < first);
            let before: Vec<Sample> = self.chunks[kept..]
                .iter()
                .flat_map(Chunk::reader)
                .chain(self.head.reader())
                .take_while(|sample| sample.timestamp_ms < first)
                .collect();
            self.rewrite_from(kept, before);
        }
        for sample in samples {
            // Only damaged bytes go back in time.
            let follows = self
                .head
                .last()
                .is_none_or(|last| last.timestamp_ms < sample.timestamp_ms);
            if follows {
                self.push(sample);
            }
        }
    }

    /// The same for histograms.
    pub(super) fn restore_histograms(&mut self, histograms: Vec<(i64, Arc<Histogram>)>) {
        if let Some((first, _)) = histograms.first() {
            let rare = self.rare_mut();
            rare.histograms.retain(|(time, _)| time < first);
        }
        for (time, histogram) in histograms {
            self.insert_histogram(time, histogram);
        }
        self.mark_histograms_saved();
    }

    /// Everything that is here now stands in blocks.
    pub(super) fn mark_restored(&mut self) {
        let full = usize::from(self.head.count() >= CHUNK_SAMPLES);
        self.saved_chunks = self.chunks.len() + full;
        self.mark_histograms_saved();
    }

    fn mark_histograms_saved(&mut self) {
        if let Some(rare) = &mut self.rare {
            rare.saved_histograms = rare.histograms.len();
        }
    }

    /// The chunks that stand in no block yet.
    pub(super) fn unsaved_chunks(&self) -> &[Chunk] {
        self.chunks.get(self.saved_chunks..).unwrap_or_default()
    }

    /// The histograms that stand in no block yet.
    pub(super) fn unsaved_histograms(&self) -> &[(i64, Arc<Histogram>)] {
        let rare = self.rare();
        rare.histograms
            .get(rare.saved_histograms..)
            .unwrap_or_default()
    }

    /// They have been written.
    pub(super) fn mark_saved(&mut self) {
        self.saved_chunks = self.saved_chunks.max(self.chunks.len());
        self.mark_histograms_saved();
    }

    pub(super) fn head(&self) -> &ChunkWriter {
        &self.head
    }

    pub(super) fn insert_histogram(&mut self, time: i64, histogram: Arc<Histogram>) {
        let rare = self.rare_mut();
        let index = rare.histograms.partition_point(|(own, _)| *own < time);
        rare.saved_histograms = rare.saved_histograms.min(index);
        rare.histograms.insert(index, (time, histogram));
    }

    pub(super) fn push_exemplar(&mut self, time: i64, exemplar: Exemplar, limit: usize) {
        let rare = self.rare_mut();
        if rare.exemplars.len() >= limit {
            rare.exemplars.remove(0);
        }
        rare.exemplars.push((time, exemplar));
    }

    /// Forgets the oldest exemplar, if it is of that time.
    pub(super) fn forget_exemplar(&mut self, time: i64) {
        if self
            .exemplars()
            .first()
            .is_some_and(|(own, _)| *own == time)
        {
            self.rare_mut().exemplars.remove(0);
        }
    }

    pub(super) fn exemplars(&self) -> &[(i64, Exemplar)] {
        &self.rare().exemplars
    }

    pub(super) fn len(&self) -> usize {
        let full: usize = self
            .chunks
            .iter()
            .map(|chunk| usize::from(chunk.count))
            .sum();
        full + usize::from(self.head.count()) + self.rare().histograms.len()
    }

    /// Runs of samples, the one that is written to included.
    pub(super) fn chunk_count(&self) -> usize {
        self.chunks.len() + usize::from(self.head.count() > 0)
    }

    /// The heap bytes of the samples.
    pub(super) fn sample_bytes(&self) -> usize {
        let full: usize = self.chunks.iter().map(Chunk::heap_bytes).sum();
        full + self.chunks.capacity() * size_of::<Chunk>()
            + self.head.capacity()
            + self
                .rare()
                .histograms
                .iter()
                .map(|(_, histogram)| histogram_bytes(histogram))
                .sum::<usize>()
    }

    /// All heap bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        self.labels.heap_bytes() + size_of::<Self>() + self.sample_bytes()
    }

    /// Forgets chunks that end before `time`, and histograms and exemplars before it.
    pub(super) fn truncate_before(&mut self, time: i64) {
        let chunks = self.chunks.partition_point(|chunk| chunk.last_ms < time);
        if let Some(last) = self.chunks.drain(..chunks).next_back() {
            self.forgotten = last.totals;
        }
        if self.chunks.is_empty()
            && self
                .head
                .last()
                .is_some_and(|last| last.timestamp_ms < time)
        {
            self.head = ChunkWriter::default();
            self.forgotten = self.totals;
        }
        self.saved_chunks = self.saved_chunks.saturating_sub(chunks);
        if let Some(rare) = &mut self.rare {
            let histograms = rare.histograms.partition_point(|(own, _)| *own < time);
            rare.histograms.drain(..histograms);
            rare.saved_histograms = rare.saved_histograms.saturating_sub(histograms);
            rare.exemplars.retain(|(own, _)| *own >= time);
        }
    }

    /// The chunks, and the head as the last, that may have samples in `(after, until]`.
    fn readers(&self, after: i64, until: i64) -> impl DoubleEndedIterator<Item = ChunkReader<'_>> {
        let start = self.chunks.partition_point(|chunk| chunk.last_ms <= after);
        let end = self
            .chunks
            .partition_point(|chunk| chunk.first_ms <= until)
            .max(start);
        let head = self.head.count() > 0 && self.head.first_ms() <= until;
        self.chunks[start..end]
            .iter()
            .map(Chunk::reader)
            .chain(head.then(|| self.head.reader()))
    }

    /// The newest number in `(after, until]`, also where it is a stale marker.
    fn newest_float(&self, after: i64, until: i64) -> Option<Sample> {
        if let Some(last) = self.head.last()
            && last.timestamp_ms <= until
        {
            return (last.timestamp_ms > after).then_some(last);
        }
        self.readers(after, until).rev().find_map(|reader| {
            reader
                .last_until(until)
                .filter(|sample| sample.timestamp_ms > after)
        })
    }

    /// The newest sample in `(after, until]`, also where it is a stale marker.
    pub(crate) fn newest(&self, after: i64, until: i64) -> Option<Newest> {
        let float = self.newest_float(after, until);
        let histogram = self
            .rare()
            .histograms
            .partition_point(|(own, _)| *own <= until)
            .checked_sub(1)
            .map(|index| &self.rare().histograms[index])
            .filter(|(time, _)| *time > after);
        match (float, histogram) {
            (Some(float), Some((other, _))) if float.timestamp_ms >= *other => {
                Some(Newest::Float(float.timestamp_ms, float.value))
            }
            (_, Some((time, histogram))) => Some(Newest::Histogram(*time, histogram.clone())),
            (Some(float), None) => Some(Newest::Float(float.timestamp_ms, float.value)),
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
        self.read(after, until, |sample| {
            if !is_stale(sample.value) {
                times.push(sample.timestamp_ms);
                values.push(sample.value);
            }
        });
    }

    /// Appends the numbers of `(after, until]`, stale markers included.
    pub(crate) fn read_all_floats(
        &self,
        after: i64,
        until: i64,
        times: &mut Vec<i64>,
        values: &mut Vec<f64>,
    ) {
        self.read(after, until, |sample| {
            times.push(sample.timestamp_ms);
            values.push(sample.value);
        });
    }

    fn read(&self, after: i64, until: i64, mut take: impl FnMut(Sample)) {
        for mut reader in self.readers(after, until) {
            reader.seek(after);
            for sample in reader {
                if sample.timestamp_ms > until {
                    break;
                }
                if sample.timestamp_ms > after {
                    take(sample);
                }
            }
        }
    }

    /// Whether there is a histogram in `(after, until]`.
    pub(crate) fn has_histograms(&self, after: i64, until: i64) -> bool {
        let start = self
            .rare()
            .histograms
            .partition_point(|(own, _)| *own <= after);
        self.rare()
            .histograms
            .get(start)
            .is_some_and(|(time, _)| *time <= until)
    }

    /// Appends the histograms of `(after, until]`.
    pub(crate) fn read_histograms(
        &self,
        after: i64,
        until: i64,
        out: &mut Vec<(i64, Arc<Histogram>)>,
    ) {
        let start = self
            .rare()
            .histograms
            .partition_point(|(own, _)| *own <= after);
        let end = self
            .rare()
            .histograms
            .partition_point(|(own, _)| *own <= until);
        out.extend_from_slice(&self.rare().histograms[start..end.max(start)]);
    }
}

fn histogram_bytes(histogram: &Histogram) -> usize {
    size_of::<Histogram>()
        + 16
        + 8 * (histogram.positive_buckets.len()
            + histogram.negative_buckets.len()
            + histogram.positive_spans.len()
            + histogram.negative_spans.len()
            + histogram.custom_values.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_order_of_arrival_does_not_matter(samples in crate::store::summary::tests::samples(), seed in any::<u64>()) {
            let mut shuffled: Vec<(i64, f64)> = samples.clone();
            // Neighbours change places: what an out-of-order window lets in.
            for index in 1..shuffled.len() {
                if (seed >> (index % 64)) & 1 == 1 {
                    shuffled.swap(index - 1, index);
                }
            }
            let (mut ordered, mut late) = (Series::new(Labels::empty()), Series::new(Labels::empty()));
            samples.iter().for_each(|(time, value)| ordered.insert(*time, *value));
            shuffled.iter().for_each(|(time, value)| late.insert(*time, *value));
            let read = |series: &Series| {
                let (mut times, mut values) = (Vec::new(), Vec::new());
                series.read_all_floats(i64::MIN, i64::MAX, &mut times, &mut values);
                (times, values.iter().map(|value| value.to_bits()).collect::<Vec<_>>())
            };
            prop_assert_eq!(read(&ordered), read(&late));
            prop_assert_eq!(ordered.totals, late.totals);
        }
    }

    #[test]
    fn truncation_keeps_what_the_chunk_needs() {
        let mut series = Series::new(Labels::empty());
        for index in 0..1000_i64 {
            series.insert(index, index as f64);
        }
        series.truncate_before(500);
        assert_eq!(series.first_time(), Some(360));
        assert_eq!(series.len(), 640);
        series.truncate_before(5000);
        assert_eq!(series.len(), 0);
    }
}

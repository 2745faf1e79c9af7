//! The store.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use gameday_signal::{CounterResetHint, Exemplar, Histogram, Labels, Matcher, Sample, is_stale};

use super::index::Index;
use super::tap::{Tap, TappedValue};
use super::{Newest, Series};
use crate::engine::SampleValue;
use crate::histogram::{detect_reset, equals};
use crate::log::Log;

/// The number of a series, for callers that append to the same series again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesRef {
    number: u32,
    /// Numbers are reused: a reference to a series that has been forgotten must not reach its successor.
    generation: u32,
}

/// What a store is told at its start.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// Samples older than the newest one by more than this are forgotten by [`Store::maintain`]; `None` keeps all.
    pub retention_ms: Option<i64>,
    /// How much older than its series' newest sample a sample may be.
    pub out_of_order_window_ms: i64,
    /// How many exemplars of a series are kept, where `max_exemplars` says nothing.
    pub max_exemplars_per_series: usize,
    /// How many exemplars of all series together are kept; the oldest goes.
    pub max_exemplars: Option<usize>,
    /// Samples are forgotten, the oldest first, while they take more bytes than this, on the disk or, for a store without a data
    /// directory, in memory.
    pub retention_bytes: Option<u64>,
    /// [`Store::maintain`] writes a checkpoint once the log has so many bytes.
    pub checkpoint_bytes: u64,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            retention_ms: None,
            out_of_order_window_ms: 0,
            max_exemplars_per_series: 10,
            max_exemplars: None,
            retention_bytes: None,
            // A tenth of a second to read again.
            checkpoint_bytes: 32 << 20,
        }
    }
}

/// Why a sample was not taken, in Prometheus' words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The series has a newer sample, and there is no out-of-order window.
    #[error("out of order sample")]
    OutOfOrder,
    /// The sample is older than the out-of-order window allows.
    #[error("too old sample")]
    TooOld,
    /// The series has another value at that time.
    #[error("duplicate sample for timestamp")]
    Duplicate,
    /// There is no such series any more.
    #[error("unknown series reference")]
    UnknownSeries,
}

/// Samples that were taken and refused, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AppendStats {
    /// Taken, out-of-order ones included.
    pub appended: u64,
    /// Taken although older than the series' newest sample.
    pub out_of_order_appended: u64,
    /// Refused as [`AppendError::OutOfOrder`].
    pub out_of_order: u64,
    /// Refused as [`AppendError::TooOld`].
    pub too_old: u64,
    /// Refused as [`AppendError::Duplicate`].
    pub duplicate: u64,
}

/// How large a store is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Series.
    pub series: usize,
    /// Samples.
    pub samples: u64,
    /// Heap bytes of series and samples, without the index.
    pub bytes: u64,
    /// Heap bytes of the samples alone.
    pub sample_bytes: u64,
    /// The time of the oldest sample.
    pub min_time_ms: Option<i64>,
    /// The time of the newest sample.
    pub max_time_ms: Option<i64>,
}

/// The exemplars of a series.
#[derive(Clone, Debug, PartialEq)]
pub struct ExemplarSeries {
    /// The series.
    pub labels: Labels,
    /// Times in milliseconds and exemplars, in order of time.
    pub exemplars: Vec<(i64, Exemplar)>,
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    /// Apart, so that growing the list moves and wastes little.
    series: Option<Box<Series>>,
}

/// All series.
#[derive(Debug, Default)]
pub struct Store {
    pub(super) config: StoreConfig,
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// Only looked up, never iterated: its order differs between runs.
    by_labels: HashMap<Labels, u32>,
    pub(super) index: Index,
    pub(super) appended: AppendStats,
    pub(super) max_time_ms: Option<i64>,
    /// The exemplars in the order in which they came, where their number is limited: their series and times.
    exemplar_order: VecDeque<(SeriesRef, i64)>,
    /// Where appends are written down; none for a store that lives in memory alone.
    pub(super) log: Option<Log>,
    /// Where appends are kept for those who send them on.
    pub(super) tap: Option<Tap>,
}

impl Store {
    /// An empty store.
    pub fn new(config: StoreConfig) -> Self {
        Self {
            config,
            ..Self::default()
        }
    }

    /// Takes other settings; what they forbid goes with the next [`Store::maintain`] or append.
    pub fn reconfigure(&mut self, config: StoreConfig) {
        self.config = config;
    }

    /// Appends a value; [`gameday_signal::stale_nan`] ends the series.
    ///
    /// # Errors
    /// Where the sample does not fit the order of its series.
    pub fn append(
        &mut self,
        labels: &Labels,
        timestamp_ms: i64,
        value: f64,
    ) -> Result<SeriesRef, AppendError> {
        let reference = self.series_ref(labels);
        self.append_ref(reference, timestamp_ms, value)?;
        Ok(reference)
    }

    /// The reference of a series, which is created where there is none.
    pub fn series_ref(&mut self, labels: &Labels) -> SeriesRef {
        if let Some(number) = self.by_labels.get(labels) {
            return SeriesRef {
                number: *number,
                generation: self.slots[*number as usize].generation,
            };
        }
        let number = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot {
                generation: 0,
                series: None,
            });
            u32::try_from(self.slots.len() - 1).expect("invariant: memory ends before 2^32 series")
        });
        let slot = &mut self.slots[number as usize];
        slot.series = Some(Box::new(Series::new(labels.clone())));
        self.index.insert(number, labels);
        self.by_labels.insert(labels.clone(), number);
        SeriesRef {
            number,
            generation: slot.generation,
        }
    }

    /// Appends a value to a known series: the way of the scraper, which sees the same series again and again.
    ///
    /// # Errors
    /// Where the sample does not fit the order of its series, or the series has been forgotten.
    pub fn append_ref(
        &mut self,
        reference: SeriesRef,
        timestamp_ms: i64,
        value: f64,
    ) -> Result<(), AppendError> {
        let window = self.config.out_of_order_window_ms;
        let result = self.series_mut(reference).and_then(|series| {
            let order = order_of(series, timestamp_ms, window)?;
            if order != Order::Newest {
                if let Some(own) = series.float_at(timestamp_ms) {
                    return same(own.to_bits() == value.to_bits());
                }
                if series.histogram_at(timestamp_ms).is_some() {
                    return Err(AppendError::Duplicate);
                }
            }
            series.insert(timestamp_ms, value);
            Ok(order)
        });
        let taken = matches!(result, Ok(Order::Newest | Order::Older));
        if taken
            && let Some(log) = &mut self.log
            && let Some(series) = &self.slots[reference.number as usize].series
        {
            let sample = Sample {
                timestamp_ms,
                value,
            };
            log.sample(reference.number, series.labels(), sample);
        }
        if taken
            && let Some(tap) = &mut self.tap
            && let Some(series) = &self.slots[reference.number as usize].series
        {
            tap.push(series.labels(), timestamp_ms, TappedValue::Float(value));
        }
        self.count(timestamp_ms, result)
    }

    /// Appends a native histogram.
    ///
    /// # Errors
    /// Where the sample does not fit the order of its series.
    pub fn append_histogram(
        &mut self,
        labels: &Labels,
        timestamp_ms: i64,
        histogram: Histogram,
    ) -> Result<SeriesRef, AppendError> {
        let reference = self.series_ref(labels);
        let window = self.config.out_of_order_window_ms;
        let result = self.series_mut(reference).and_then(|series| {
            let order = order_of(series, timestamp_ms, window)?;
            if order != Order::Newest {
                if let Some(own) = series.histogram_at(timestamp_ms) {
                    return same(equals(own, &histogram));
                }
                if series.float_at(timestamp_ms).is_some() {
                    return Err(AppendError::Duplicate);
                }
            }
            let mut histogram = histogram;
            histogram.counter_reset_hint =
                hint_of(&histogram, series.newest(i64::MIN, timestamp_ms));
            series.insert_histogram(timestamp_ms, Arc::new(histogram));
            Ok(order)
        });
        let taken = matches!(result, Ok(Order::Newest | Order::Older));
        if taken
            && let Some(log) = &mut self.log
            && let Some(series) = &self.slots[reference.number as usize].series
            && let Some(histogram) = series.histogram_at(timestamp_ms)
        {
            log.histogram(reference.number, series.labels(), timestamp_ms, histogram);
        }
        if taken
            && let Some(tap) = &mut self.tap
            && let Some(series) = &self.slots[reference.number as usize].series
            && let Some(histogram) = series.histogram_at(timestamp_ms)
        {
            let value = TappedValue::Histogram(Arc::clone(histogram));
            tap.push(series.labels(), timestamp_ms, value);
        }
        self.count(timestamp_ms, result)?;
        Ok(reference)
    }

    /// Keeps an exemplar; the oldest of its series goes where there are too many. A repeated one is ignored.
    pub fn append_exemplar(&mut self, labels: &Labels, timestamp_ms: i64, exemplar: Exemplar) {
        let limit = match self.config.max_exemplars {
            None => self.config.max_exemplars_per_series,
            Some(0) => 0,
            Some(_) => usize::MAX,
        };
        let reference = self.series_ref(labels);
        let Ok(series) = self.series_mut(reference) else {
            return;
        };
        let repeated = series
            .exemplars()
            .last()
            .is_some_and(|(_, last)| *last == exemplar);
        if repeated || limit == 0 {
            return;
        }
        let timestamp_ms = exemplar
            .timestamp
            .map_or(timestamp_ms, gameday_signal::Timestamp::as_millis);
        if let Some(log) = &mut self.log {
            log.exemplar(reference.number, labels, timestamp_ms, &exemplar);
        }
        if let Some(tap) = &mut self.tap {
            tap.push(
                labels,
                timestamp_ms,
                TappedValue::Exemplar(exemplar.clone()),
            );
        }
        if let Ok(series) = self.series_mut(reference) {
            series.push_exemplar(timestamp_ms, exemplar, limit);
        }
        if let Some(all) = self.config.max_exemplars {
            self.exemplar_order.push_back((reference, timestamp_ms));
            while self.exemplar_order.len() > all {
                if let Some((oldest, timestamp_ms)) = self.exemplar_order.pop_front()
                    && let Ok(series) = self.series_mut(oldest)
                {
                    series.forget_exemplar(timestamp_ms);
                }
            }
        }
    }

    fn series_mut(&mut self, reference: SeriesRef) -> Result<&mut Series, AppendError> {
        self.slots
            .get_mut(reference.number as usize)
            .filter(|slot| slot.generation == reference.generation)
            .and_then(|slot| slot.series.as_deref_mut())
            .ok_or(AppendError::UnknownSeries)
    }

    fn count(
        &mut self,
        timestamp_ms: i64,
        result: Result<Order, AppendError>,
    ) -> Result<(), AppendError> {
        match result {
            Ok(Order::Repeated) => return Ok(()),
            Ok(order) => {
                self.appended.appended += 1;
                self.appended.out_of_order_appended += u64::from(order == Order::Older);
                self.max_time_ms = self.max_time_ms.max(Some(timestamp_ms));
            }
            Err(AppendError::OutOfOrder) => self.appended.out_of_order += 1,
            Err(AppendError::TooOld) => self.appended.too_old += 1,
            Err(AppendError::Duplicate) => self.appended.duplicate += 1,
            Err(AppendError::UnknownSeries) => {}
        }
        result.map(|_| ())
    }

    pub(super) fn labels_of(&self, reference: SeriesRef) -> Option<Labels> {
        self.series(reference.number)
            .map(|series| series.labels().clone())
    }

    /// The series of these labels, which is created where there is none.
    pub(super) fn series_of(&mut self, labels: &Labels) -> Option<&mut Series> {
        let reference = self.series_ref(labels);
        self.series_mut(reference).ok()
    }

    /// All series in the order of their numbers.
    pub(super) fn all_series(&self) -> impl Iterator<Item = &Series> {
        self.slots.iter().filter_map(|slot| slot.series.as_deref())
    }

    pub(super) fn all_series_mut(&mut self) -> impl Iterator<Item = &mut Series> {
        self.slots
            .iter_mut()
            .filter_map(|slot| slot.series.as_deref_mut())
    }

    /// Samples taken and refused since the start.
    pub fn append_stats(&self) -> AppendStats {
        self.appended
    }

    fn series(&self, number: u32) -> Option<&Series> {
        self.slots
            .get(number as usize)
            .and_then(|slot| slot.series.as_deref())
    }

    /// The series that satisfy all matchers, in the order in which they came.
    pub(crate) fn select(&self, matchers: &[Matcher]) -> Vec<&Series> {
        let (candidates, rest) = self.index.candidates(matchers);
        let keep = |series: &&Series| rest.iter().all(|matcher| matcher.matches(series.labels()));
        match candidates {
            Some(numbers) => numbers
                .iter()
                .filter_map(|number| self.series(*number))
                .filter(keep)
                .collect(),
            None => self
                .slots
                .iter()
                .filter_map(|slot| slot.series.as_deref())
                .filter(keep)
                .collect(),
        }
    }

    /// The label sets that satisfy all matchers of one of the groups and have a sample in `[start_ms, end_ms]`, sorted. Without
    /// groups: all.
    pub fn label_sets(&self, groups: &[Vec<Matcher>], start_ms: i64, end_ms: i64) -> Vec<Labels> {
        let mut found = BTreeSet::new();
        let everything = [Vec::new()];
        let groups = if groups.is_empty() {
            &everything[..]
        } else {
            groups
        };
        for matchers in groups {
            found.extend(
                self.select(matchers)
                    .into_iter()
                    .filter(|series| series.overlaps(start_ms, end_ms))
                    .map(|series| series.labels().clone()),
            );
        }
        found.into_iter().collect()
    }

    /// The newest sample of each of those series in `(after_ms, until_ms]`, with its own time; series that have ended are left out.
    pub fn newest_samples(
        &self,
        groups: &[Vec<Matcher>],
        after_ms: i64,
        until_ms: i64,
    ) -> Vec<(Labels, i64, SampleValue)> {
        let mut found = BTreeMap::new();
        for series in groups.iter().flat_map(|matchers| self.select(matchers)) {
            let newest = match series.newest(after_ms, until_ms) {
                Some(Newest::Float(at_ms, value)) if !is_stale(value) => {
                    (at_ms, SampleValue::Float(value))
                }
                Some(Newest::Histogram(at_ms, histogram)) => {
                    (at_ms, SampleValue::Histogram(histogram))
                }
                Some(Newest::Float(..)) | None => continue,
            };
            found.insert(series.labels().clone(), newest);
        }
        found
            .into_iter()
            .map(|(labels, (at_ms, value))| (labels, at_ms, value))
            .collect()
    }

    /// The label names of those series, sorted.
    pub fn label_names(&self, groups: &[Vec<Matcher>], start_ms: i64, end_ms: i64) -> Vec<String> {
        if groups.is_empty() && (start_ms, end_ms) == (i64::MIN, i64::MAX) {
            return self.index.names().map(str::to_owned).collect();
        }
        let sets = self.label_sets(groups, start_ms, end_ms);
        let names: BTreeSet<&str> = sets
            .iter()
            .flat_map(|labels| labels.iter().map(|(name, _)| name))
            .collect();
        names.into_iter().map(str::to_owned).collect()
    }

    /// The values of a label in those series, sorted.
    pub fn label_values(
        &self,
        name: &str,
        groups: &[Vec<Matcher>],
        start_ms: i64,
        end_ms: i64,
    ) -> Vec<String> {
        if groups.is_empty() {
            return self
                .index
                .values(name)
                .filter(|(_, numbers)| {
                    numbers
                        .iter()
                        .filter_map(|number| self.series(*number))
                        .any(|series| series.overlaps(start_ms, end_ms))
                })
                .map(|(value, _)| value.to_owned())
                .collect();
        }
        let sets = self.label_sets(groups, start_ms, end_ms);
        let values: BTreeSet<&str> = sets.iter().filter_map(|labels| labels.get(name)).collect();
        values.into_iter().map(str::to_owned).collect()
    }

    /// The exemplars in `[start_ms, end_ms]` of the series that satisfy all matchers of one of the groups.
    pub fn exemplars(
        &self,
        groups: &[Vec<Matcher>],
        start_ms: i64,
        end_ms: i64,
    ) -> Vec<ExemplarSeries> {
        let mut found: BTreeMap<Labels, Vec<(i64, Exemplar)>> = BTreeMap::new();
        for series in groups.iter().flat_map(|matchers| self.select(matchers)) {
            let mut exemplars: Vec<(i64, Exemplar)> = series
                .exemplars()
                .iter()
                .filter(|(time, _)| (start_ms..=end_ms).contains(time))
                .cloned()
                .collect();
            if !exemplars.is_empty() {
                exemplars.sort_by_key(|(time, _)| *time);
                found.insert(series.labels().clone(), exemplars);
            }
        }
        found
            .into_iter()
            .map(|(labels, exemplars)| ExemplarSeries { labels, exemplars })
            .collect()
    }

    /// How many series and samples there are, and how much memory they take; looks at every series.
    pub fn stats(&self) -> StoreStats {
        let mut stats = StoreStats {
            max_time_ms: self.max_time_ms,
            ..StoreStats::default()
        };
        for series in self.all_series() {
            stats.series += 1;
            stats.max_time_ms = stats.max_time_ms.max(series.last_time());
            stats.samples += series.len() as u64;
            stats.bytes += series.heap_bytes() as u64;
            stats.sample_bytes += series.sample_bytes() as u64;
            stats.min_time_ms = match (stats.min_time_ms, series.first_time()) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
        }
        stats
    }

    /// The number of series.
    pub fn series_count(&self) -> usize {
        self.by_labels.len()
    }

    /// Forgets samples that are older than the retention by time allows, in memory alone; [`Store::maintain`] does this and more.
    /// Returns the number of series that went.
    pub fn enforce_retention(&mut self, now_ms: i64) -> usize {
        match self.config.retention_ms {
            Some(retention) => self.truncate_before(now_ms.saturating_sub(retention)),
            None => 0,
        }
    }

    /// Forgets chunks of samples that end before `time_ms`, and series that have none left. Returns the number of series that went.
    pub fn truncate_before(&mut self, time_ms: i64) -> usize {
        let mut gone = 0;
        for (number, slot) in self.slots.iter_mut().enumerate() {
            let Some(series) = &mut slot.series else {
                continue;
            };
            series.truncate_before(time_ms);
            if series.len() > 0 {
                continue;
            }
            let number = number as u32;
            self.index.remove(number, series.labels());
            self.by_labels.remove(series.labels());
            slot.series = None;
            slot.generation += 1;
            if let Some(log) = &mut self.log {
                log.forget(number);
            }
            self.free.push(number);
            gone += 1;
        }
        gone
    }

    /// Appends a stale marker at `timestamp_ms` to every series that matches and has a sample within the last `lookback_ms`, so
    /// that they end at once instead of after the lookback. Returns their number.
    pub fn mark_stale(
        &mut self,
        matchers: &[Matcher],
        timestamp_ms: i64,
        lookback_ms: i64,
    ) -> usize {
        let live: Vec<Labels> = self
            .select(matchers)
            .into_iter()
            .filter(|series| {
                matches!(
                    series.newest(timestamp_ms - lookback_ms, timestamp_ms),
                    Some(Newest::Float(_, value)) if !is_stale(value)
                ) || matches!(
                    series.newest(timestamp_ms - lookback_ms, timestamp_ms),
                    Some(Newest::Histogram(..))
                )
            })
            .map(|series| series.labels().clone())
            .collect();
        live.iter()
            .filter(|labels| {
                self.append(labels, timestamp_ms, gameday_signal::stale_nan())
                    .is_ok()
            })
            .count()
    }
}

/// What is known about a counter reset before a histogram: found out once, when it is appended. Nothing is known about the first
/// one and after a change of the bucket layout.
fn hint_of(histogram: &Histogram, before: Option<Newest>) -> CounterResetHint {
    match histogram.counter_reset_hint {
        known @ (CounterResetHint::Gauge | CounterResetHint::CounterReset) => return known,
        CounterResetHint::Unknown | CounterResetHint::NotCounterReset => {}
    }
    let Some(Newest::Histogram(_, before)) = before else {
        return CounterResetHint::Unknown;
    };
    let same_layout = histogram.schema == before.schema
        && histogram.zero_threshold == before.zero_threshold
        && histogram.custom_values == before.custom_values;
    if !same_layout || before.counter_reset_hint == CounterResetHint::Gauge {
        return CounterResetHint::Unknown;
    }
    let mut current = histogram.clone();
    current.counter_reset_hint = CounterResetHint::Unknown;
    if detect_reset(&current, &before) {
        CounterResetHint::CounterReset
    } else {
        CounterResetHint::NotCounterReset
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    /// Later than all before it.
    Newest,
    /// Within the out-of-order window, or at the time of the newest one.
    Older,
    /// The very same sample again.
    Repeated,
}

fn same(is_same: bool) -> Result<Order, AppendError> {
    if is_same {
        Ok(Order::Repeated)
    } else {
        Err(AppendError::Duplicate)
    }
}

fn order_of(series: &Series, time: i64, window: i64) -> Result<Order, AppendError> {
    match series.last_time() {
        None => Ok(Order::Newest),
        Some(last) if time > last => Ok(Order::Newest),
        Some(last) if time == last || time >= last.saturating_sub(window) => Ok(Order::Older),
        Some(_) if window > 0 => Err(AppendError::TooOld),
        Some(_) => Err(AppendError::OutOfOrder),
    }
}

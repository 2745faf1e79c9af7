//! From an answer to samples: the cache by series text, labels, limits, stale markers.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use gameday_metrics::{AppendError, SeriesRef, Store};
use gameday_signal::{Exemplar, Labels, MetricMetadata, stale_nan};
use gameday_wire::SampleValue;
use gameday_wire::exposition::{Entry, Format, ParseOptions, SampleEntry, SeriesText, parse};

use crate::config::ScrapeConfig;
use crate::relabel;

/// The series of one target by the text that the target writes, so that labels are built once and not in every scrape.
#[derive(Debug, Default)]
pub(super) struct ScrapeCache {
    /// Only asked for single keys: its order cannot reach an output.
    by_text: HashMap<Arc<str>, usize>,
    entries: Vec<Option<Cached>>,
    free: Vec<usize>,
    /// Counts the scrapes that were taken.
    round: u64,
    report: BTreeMap<&'static str, SeriesRef>,
}

#[derive(Debug)]
struct Cached {
    /// Empty once the rules have changed: nothing leads here any more.
    text: Arc<str>,
    /// None when relabelling drops the series.
    series: Option<Known>,
    /// The last round that saw it.
    seen: u64,
    /// Whether no sample of it has been counted.
    fresh: bool,
    /// Whether it ends in a stale marker when it is gone: it came without a time of its own.
    tracked: bool,
}

/// A series of the store.
#[derive(Debug)]
struct Known {
    labels: Labels,
    /// None until its first sample is appended, so that a refused scrape leaves no empty series behind.
    reference: Option<SeriesRef>,
}

impl Known {
    fn append(&mut self, store: &mut Store, at_ms: i64, value: f64) {
        if let Some(reference) = self.reference {
            match store.append_ref(reference, at_ms, value) {
                // The store has forgotten it.
                Err(AppendError::UnknownSeries) => {}
                // Out-of-order, duplicate and too old samples are counted by the store.
                _ => return,
            }
        }
        self.reference = store.append(&self.labels, at_ms, value).ok();
    }

    fn end(&self, store: &mut Store, at_ms: i64) {
        if let Some(reference) = self.reference {
            // A marker that comes too late is no longer needed.
            let _ = store.append_ref(reference, at_ms, stale_nan());
        }
    }
}

/// What a scrape is taken with.
#[derive(Clone, Copy)]
pub(super) struct Rules<'a> {
    pub(super) config: &'a ScrapeConfig,
    pub(super) target: &'a Labels,
}

/// What a scrape yielded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Samples of the target.
    pub(super) scraped: usize,
    /// Samples that relabelling left.
    pub(super) kept: usize,
    /// Series that were not in the scrape before.
    pub(super) added: usize,
}

/// A sample that waits for the scrape to be complete.
struct Pending {
    entry: usize,
    timestamp_ms: i64,
    value: SampleValue,
    exemplars: Vec<Exemplar>,
}

/// A scrape that is being read.
struct Reading<'a> {
    cache: &'a mut ScrapeCache,
    rules: Rules<'a>,
    at_ms: i64,
    round: u64,
    counts: Counts,
    pending: Vec<Pending>,
    metadata: BTreeMap<String, MetricMetadata>,
    error: Option<String>,
    /// The entry behind the last: a target writes its series in the same order every time.
    expected: usize,
}

impl ScrapeCache {
    /// Takes an answer: all of its samples, or none and an error. The counts are given in both cases.
    pub(super) fn take(
        &mut self,
        body: &[u8],
        format: Format,
        rules: Rules<'_>,
        at_ms: i64,
        store: &mut Store,
    ) -> (Counts, Result<BTreeMap<String, MetricMetadata>, String>) {
        let round = self.round + 1;
        let options = ParseOptions {
            native_histograms: rules.config.scrape_native_histograms == Some(true),
            always_classic: rules.config.always_scrape_classic_histograms == Some(true),
        };
        let mut reading = Reading {
            cache: self,
            rules,
            at_ms,
            round,
            counts: Counts::default(),
            pending: Vec::new(),
            metadata: BTreeMap::new(),
            error: None,
            expected: 0,
        };
        let parsed = parse(body, format, options, &mut |entry| reading.entry(entry));
        let counts = reading.counts;
        let mut error = parsed
            .err()
            .map(|error| error.to_string())
            .or(reading.error.take());
        if let Some(limit) = rules.config.sample_limit
            && counts.kept as u64 > limit
            && error.is_none()
        {
            error = Some("sample limit exceeded".to_owned());
        }
        let pending = reading.pending;
        let metadata = reading.metadata;
        if let Some(error) = error {
            return (counts, Err(error));
        }
        for own in pending {
            self.append(own, store);
        }
        self.end_lost(round, at_ms, store);
        self.round = round;
        (counts, Ok(metadata))
    }

    /// Ends every series with a stale marker, because the scrape failed or the target is gone.
    pub(super) fn end_all(&mut self, at_ms: i64, store: &mut Store) {
        for cached in self
            .entries
            .iter()
            .flatten()
            .filter(|cached| cached.tracked)
        {
            if let Some(known) = &cached.series {
                known.end(store, at_ms);
            }
        }
        self.by_text.clear();
        self.entries.clear();
        self.free.clear();
    }

    /// The rules have changed: each text is looked at anew, and what is not there any more under the new rules ends in the next round.
    pub(super) fn rules_changed(&mut self) {
        self.by_text.clear();
        let nothing: Arc<str> = "".into();
        for cached in self.entries.iter_mut().flatten() {
            cached.text = Arc::clone(&nothing);
        }
    }

    /// Writes one of the series that tell about the scrape itself.
    pub(super) fn report(
        &mut self,
        name: &'static str,
        target: &Labels,
        at_ms: i64,
        value: f64,
        store: &mut Store,
    ) {
        let labels = || target.with("__name__", name);
        let series = *self
            .report
            .entry(name)
            .or_insert_with(|| store.series_ref(&labels()));
        if let Err(AppendError::UnknownSeries) = store.append_ref(series, at_ms, value) {
            let series = store.series_ref(&labels());
            self.report.insert(name, series);
            // The series is new: the order of its samples cannot be wrong.
            let _ = store.append_ref(series, at_ms, value);
        }
    }

    /// Ends the series that told about the scrape itself.
    pub(super) fn end_report(&mut self, target: &Labels, at_ms: i64, store: &mut Store) {
        let names: Vec<&'static str> = self.report.keys().copied().collect();
        for name in names {
            self.report(name, target, at_ms, stale_nan(), store);
        }
    }

    fn append(&mut self, own: Pending, store: &mut Store) {
        let Some(cached) = self.entries.get_mut(own.entry).and_then(Option::as_mut) else {
            return;
        };
        let Some(known) = &mut cached.series else {
            return;
        };
        match own.value {
            SampleValue::Float(value) => known.append(store, own.timestamp_ms, value),
            SampleValue::Histogram(histogram) => {
                // Refused samples are counted by the store.
                if let Ok(reference) =
                    store.append_histogram(&known.labels, own.timestamp_ms, *histogram)
                {
                    known.reference = Some(reference);
                }
            }
        }
        for exemplar in own.exemplars {
            store.append_exemplar(&known.labels, own.timestamp_ms, exemplar);
        }
    }

    /// Ends the series that this round did not see, in the order in which they came, and forgets them.
    fn end_lost(&mut self, round: u64, at_ms: i64, store: &mut Store) {
        let lost: Vec<usize> = (0..self.entries.len())
            .filter(|index| {
                self.entries[*index]
                    .as_ref()
                    .is_some_and(|cached| cached.seen != round)
            })
            .collect();
        if lost.is_empty() {
            return;
        }
        // Two texts may be one series: `a{x="1"}` and `a{x="1",}`, or after relabelling.
        let present: HashSet<&Labels> = self
            .entries
            .iter()
            .flatten()
            .filter(|cached| cached.seen == round)
            .filter_map(|cached| cached.series.as_ref().map(|known| &known.labels))
            .collect();
        for cached in lost
            .iter()
            .filter_map(|index| self.entries[*index].as_ref())
        {
            if let Some(known) = cached.series.as_ref().filter(|_| cached.tracked)
                && !present.contains(&known.labels)
            {
                known.end(store, at_ms);
            }
        }
        for index in lost {
            if let Some(cached) = self.entries[index].take() {
                if self.by_text.get(&cached.text) == Some(&index) {
                    self.by_text.remove(&cached.text);
                }
                self.free.push(index);
            }
        }
    }
}

impl Reading<'_> {
    fn entry(&mut self, entry: Entry<'_>) {
        match entry {
            Entry::Sample(sample) => {
                if self.error.is_none()
                    && let Err(error) = self.sample(sample)
                {
                    self.error = Some(error);
                }
            }
            Entry::Help { name, help } => self.about(&name).help = help.into_owned(),
            Entry::Type { name, kind } => self.about(&name).kind = kind,
            Entry::Unit { name, unit } => self.about(&name).unit = unit.into_owned(),
        }
    }

    fn about(&mut self, name: &str) -> &mut MetricMetadata {
        self.metadata.entry(name.to_owned()).or_default()
    }

    fn sample(&mut self, sample: SampleEntry<'_>) -> Result<(), String> {
        self.counts.scraped += 1;
        let index = match self.known(sample.series.key()) {
            Some(index) => index,
            None => self.meet(&sample.series)?,
        };
        self.expected = index + 1;
        let Some(cached) = self.cache.entries.get_mut(index).and_then(Option::as_mut) else {
            return Ok(());
        };
        let config = self.rules.config;
        let own_time = sample.timestamp_ms.filter(|_| config.honor_timestamps);
        cached.seen = self.round;
        if cached.series.is_none() {
            return Ok(());
        }
        cached.tracked = own_time.is_none() || config.track_timestamps_staleness;
        self.counts.kept += 1;
        self.counts.added += usize::from(std::mem::take(&mut cached.fresh));
        self.pending.push(Pending {
            entry: index,
            timestamp_ms: own_time.unwrap_or(self.at_ms),
            value: sample.value,
            exemplars: sample.exemplars,
        });
        Ok(())
    }

    /// The entry of a series that the cache knows.
    fn known(&self, text: &str) -> Option<usize> {
        let cache = &*self.cache;
        let expected = cache.entries.get(self.expected).and_then(Option::as_ref);
        if expected.is_some_and(|cached| *cached.text == *text) {
            return Some(self.expected);
        }
        cache.by_text.get(text).copied()
    }

    /// A series that the cache does not know.
    fn meet(&mut self, text: &SeriesText<'_>) -> Result<usize, String> {
        let labels = self.labels(text);
        let series =
            match relabel::process_labels(&labels, &self.rules.config.metric_relabel_configs) {
                // Without any label it counts as dropped.
                Some(labels) if !labels.is_empty() => {
                    if labels.metric_name().is_empty() {
                        return Err("missing metric name (__name__ label)".to_owned());
                    }
                    let validation = self.rules.config.metric_name_validation_scheme;
                    if !validation.unwrap_or_default().allows(&labels) {
                        return Err(format!("invalid metric name or label names: {labels}"));
                    }
                    check_limits(&labels, self.rules.config)?;
                    Some(Known {
                        labels,
                        reference: None,
                    })
                }
                _ => None,
            };
        let text: Arc<str> = text.key().into();
        let cached = Cached {
            text: Arc::clone(&text),
            series,
            seen: self.round,
            fresh: true,
            tracked: false,
        };
        let cache = &mut *self.cache;
        let index = if let Some(index) = cache.free.pop() {
            cache.entries[index] = Some(cached);
            index
        } else {
            cache.entries.push(Some(cached));
            cache.entries.len() - 1
        };
        cache.by_text.insert(text, index);
        Ok(index)
    }

    /// The target's labels beside those of the sample (scrape, mutateSampleLabels).
    fn labels(&self, text: &SeriesText<'_>) -> Labels {
        let own = text.labels();
        let mut labels = own.to_builder();
        if self.rules.config.honor_labels {
            // An empty value in the exposition takes the target's label away.
            let empty = text.empty_names();
            for (name, value) in self.rules.target.iter() {
                if own.get(name).is_none() && !empty.iter().any(|own| own == name) {
                    labels.set(name, value);
                }
            }
            return labels.build();
        }
        let mut clashes = Vec::new();
        for (name, value) in self.rules.target.iter() {
            if let Some(exposed) = own.get(name) {
                clashes.push((name, exposed));
            }
            labels.set(name, value);
        }
        // The shortest name first, so that `a` becomes `exported_a` before `exported_a` looks for a place.
        clashes.sort_by_key(|(name, _)| name.len());
        for (name, value) in clashes {
            let mut renamed = format!("exported_{name}");
            while labels.get(&renamed).is_some() {
                renamed.insert_str(0, "exported_");
            }
            labels.set(&renamed, value);
        }
        labels.build()
    }
}

/// Checks the label limits (scrape, verifyLabelLimits).
fn check_limits(labels: &Labels, config: &ScrapeConfig) -> Result<(), String> {
    let metric = clip(labels.metric_name());
    if let Some(limit) = config.label_limit
        && labels.len() as u64 > limit
    {
        return Err(format!(
            "label_limit exceeded (metric: {metric}, number of labels: {}, limit: {limit})",
            labels.len()
        ));
    }
    for (name, value) in labels.iter() {
        if let Some(limit) = config.label_name_length_limit
            && name.len() as u64 > limit
        {
            return Err(format!(
                "label_name_length_limit exceeded (metric: {metric}, label name: {}, length: {}, limit: {limit})",
                clip(name),
                name.len()
            ));
        }
        if let Some(limit) = config.label_value_length_limit
            && value.len() as u64 > limit
        {
            return Err(format!(
                "label_value_length_limit exceeded (metric: {metric}, label name: {}, value: {:?}, length: {}, limit: {limit})",
                clip(name),
                clip(value),
                value.len()
            ));
        }
    }
    Ok(())
}

/// The first 50 characters, as Prometheus shows them.
fn clip(text: &str) -> &str {
    let end = text.char_indices().nth(50).map_or(text.len(), |(at, _)| at);
    &text[..end]
}

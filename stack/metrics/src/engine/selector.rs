//! Selectors and subqueries to samples.

use std::sync::Arc;

use gameday_signal::{CounterResetHint, Histogram, Labels, is_stale};

use super::QueryError;
use super::eval::{Evaluator, Statistics};
use super::extended::smoothed_value;
use super::series::{Grid, Series, total_histogram_size, total_size};
use crate::promql::{Expr, ExprKind, VectorSelector};
use crate::store::{self, Newest, Summary};

/// Which times a selector looks at: the step's, or a fixed one, minus the offset.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lookup {
    at_ms: Option<i64>,
    offset_ms: i64,
}

impl Lookup {
    pub(super) fn time(&self, grid: &Grid, step: usize) -> i64 {
        self.at_ms
            .unwrap_or_else(|| grid.time(step))
            .saturating_sub(self.offset_ms)
    }
}

/// Windows that see more than themselves (experimental).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extension {
    /// The sample before the window.
    Anchored,
    /// The samples around both of its ends.
    Smoothed,
}

/// What an instant selector gives.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Value,
    Timestamp,
}

impl<'a> Evaluator<'a> {
    fn lookup(&self, modifiers: &crate::promql::Modifiers) -> Result<Lookup, QueryError> {
        Ok(Lookup {
            at_ms: self.at_ms(modifiers),
            offset_ms: self.offset_ms(modifiers)?,
        })
    }

    /// The newest sample of each series within the lookback, at each step.
    pub(super) fn select_instant(
        &mut self,
        selector: &VectorSelector,
        grid: &Grid,
    ) -> Result<Vec<Series>, QueryError> {
        self.select(selector, grid, Wanted::Value)
    }

    /// The time of that sample in seconds instead of its value.
    pub(super) fn select_timestamps(
        &mut self,
        selector: &VectorSelector,
        grid: &Grid,
    ) -> Result<Vec<Series>, QueryError> {
        self.select(selector, grid, Wanted::Timestamp)
    }

    fn select(
        &mut self,
        selector: &VectorSelector,
        grid: &Grid,
        wanted: Wanted,
    ) -> Result<Vec<Series>, QueryError> {
        let lookup = self.lookup(&selector.modifiers)?;
        if selector.smoothed && wanted == Wanted::Value {
            return self.select_smoothed(selector, lookup, grid);
        }
        let lookback = self.config.lookback_ms;
        let stored = self.store.select(&selector.matchers);
        let mut found = Vec::with_capacity(stored.len());
        let mut reader = InstantReader::default();
        for own in stored {
            let series = if grid.count == 1 {
                read_once(own, lookup.time(grid, 0), lookback, wanted)
            } else {
                reader.read(own, grid, lookup, lookback, wanted)
            };
            if let Some(mut series) = series {
                if self.statistics != Statistics::Yes {
                    let histograms = series.histograms.iter_mut().flatten().flatten();
                    histograms.for_each(forget_found_reset);
                }
                self.give(|| series.present_samples());
                self.hold(series.size())?;
                found.push(series);
            }
        }
        self.release(total_size(&found));
        Ok(found)
    }

    /// The values interpolated between the samples around each step.
    fn select_smoothed(
        &mut self,
        selector: &VectorSelector,
        lookup: Lookup,
        grid: &Grid,
    ) -> Result<Vec<Series>, QueryError> {
        let lookback = self.config.lookback_ms;
        let mut found = Vec::new();
        for own in self.store.select(&selector.matchers) {
            let mut series = Series::empty(own.labels().clone(), false, grid.count);
            for step in 0..grid.count {
                let time = lookup.time(grid, step);
                let (mut times, mut values, mut histograms) = (Vec::new(), Vec::new(), Vec::new());
                let (after, until) = (time.saturating_sub(lookback), time.saturating_add(lookback));
                own.read_floats(after, until, &mut times, &mut values);
                own.read_histograms(after, until, &mut histograms);
                self.visit(times.len() + histograms.len())?;
                let notes = (&mut self.notes, selector.span, own.labels().metric_name());
                series.set(
                    step,
                    smoothed_value(&times, &values, &histograms, time, notes),
                );
            }
            if series.has_any() {
                self.give(|| series.present_samples());
                found.push(series);
            }
        }
        Ok(found)
    }

    /// The series that a range selector or a subquery gives, ready to be cut into windows.
    pub(super) fn range_source(
        &mut self,
        expr: &Expr,
        grid: &Grid,
    ) -> Result<RangeSource<'a>, QueryError> {
        match &expr.kind {
            ExprKind::Matrix { selector, range } => {
                let lookback = self.config.lookback_ms;
                let (extension, before_ms, after_ms) = if selector.anchored {
                    (Some(Extension::Anchored), lookback, 0)
                } else if selector.smoothed {
                    (Some(Extension::Smoothed), lookback, lookback)
                } else {
                    (None, 0, 0)
                };
                Ok(RangeSource {
                    extension,
                    before_ms,
                    after_ms,
                    lookup: self.lookup(&selector.modifiers)?,
                    range_ms: self.duration_ms(range, false)?,
                    kind: SourceKind::Stored(self.store.select(&selector.matchers)),
                    tells_resets: self.statistics == Statistics::Yes,
                })
            }
            ExprKind::Subquery(subquery) => {
                let lookup = self.lookup(&subquery.modifiers)?;
                let range_ms = self.duration_ms(&subquery.range, false)?;
                let step_ms = match &subquery.step {
                    Some(step) => self.duration_ms(step, false)?,
                    None => self.config.default_subquery_step_ms,
                }
                .max(1);
                let first = lookup.time(grid, 0).saturating_sub(range_ms);
                let last = lookup.time(grid, grid.count - 1);
                let start_ms = (first.div_euclid(step_ms) + 1).saturating_mul(step_ms);
                let count = if last < start_ms {
                    0
                } else {
                    usize::try_from((last - start_ms) / step_ms + 1).unwrap_or(usize::MAX)
                };
                if count > self.config.max_samples {
                    return Err(QueryError::TooManySamples);
                }
                let inner = Grid {
                    start_ms,
                    step_ms,
                    count,
                };
                let statistics = std::mem::replace(&mut self.statistics, Statistics::Never);
                let series = if count == 0 {
                    Ok(Vec::new())
                } else {
                    self.vector(&subquery.expr, &inner)
                };
                self.statistics = statistics;
                let series = series?;
                Ok(RangeSource {
                    extension: None,
                    before_ms: 0,
                    after_ms: 0,
                    lookup,
                    range_ms,
                    kind: SourceKind::Computed(series, inner),
                    tells_resets: true,
                })
            }
            _ => Err(QueryError::execution("expected a range vector")),
        }
    }
}

/// Prometheus finds resets of native histograms again when it reads them, unless only count and sum are asked for: the sample
/// before may not be the one that it was when this one was appended.
fn forget_found_reset(histogram: &mut Arc<Histogram>) {
    if histogram.counter_reset_hint == CounterResetHint::CounterReset {
        Arc::make_mut(histogram).counter_reset_hint = CounterResetHint::Unknown;
    }
}

fn read_once(own: &store::Series, time: i64, lookback: i64, wanted: Wanted) -> Option<Series> {
    let mut series = Series::empty(own.labels().clone(), false, 1);
    match own.newest(time.saturating_sub(lookback), time)? {
        Newest::Float(_, value) if is_stale(value) => return None,
        Newest::Float(at, _) | Newest::Histogram(at, _) if wanted == Wanted::Timestamp => {
            series.values[0] = at as f64 / 1000.0;
        }
        Newest::Float(_, value) => series.values[0] = value,
        Newest::Histogram(_, histogram) => series.set_histogram(0, histogram),
    }
    Some(series)
}

/// Reads the newest samples of many steps in one go over the series; its buffers are used again.
#[derive(Default)]
struct InstantReader {
    times: Vec<i64>,
    values: Vec<f64>,
    histograms: Vec<(i64, Arc<Histogram>)>,
}

impl InstantReader {
    fn read(
        &mut self,
        own: &store::Series,
        grid: &Grid,
        lookup: Lookup,
        lookback: i64,
        wanted: Wanted,
    ) -> Option<Series> {
        self.times.clear();
        self.values.clear();
        self.histograms.clear();
        let after = lookup.time(grid, 0).saturating_sub(lookback);
        let until = lookup.time(grid, grid.count - 1);
        own.read_all_floats(after, until, &mut self.times, &mut self.values);
        own.read_histograms(after, until, &mut self.histograms);
        if self.times.is_empty() && self.histograms.is_empty() {
            return None;
        }
        let mut series = Series::empty(own.labels().clone(), false, grid.count);
        let (mut floats, mut histograms, mut any) = (0, 0, false);
        for step in 0..grid.count {
            let time = lookup.time(grid, step);
            while self.times.get(floats).is_some_and(|at| *at <= time) {
                floats += 1;
            }
            while self
                .histograms
                .get(histograms)
                .is_some_and(|(at, _)| *at <= time)
            {
                histograms += 1;
            }
            let oldest = time.saturating_sub(lookback);
            let float = floats.checked_sub(1).map(|index| self.times[index]);
            let histogram = histograms
                .checked_sub(1)
                .map(|index| self.histograms[index].0);
            let newest = float.max(histogram).filter(|at| *at > oldest);
            let Some(at) = newest else {
                continue;
            };
            if float == newest {
                let value = self.values[floats - 1];
                if is_stale(value) {
                    continue;
                }
                series.values[step] = if wanted == Wanted::Timestamp {
                    at as f64 / 1000.0
                } else {
                    value
                };
            } else if wanted == Wanted::Timestamp {
                series.values[step] = at as f64 / 1000.0;
            } else {
                series.set_histogram(step, self.histograms[histograms - 1].1.clone());
            }
            any = true;
        }
        any.then_some(series)
    }
}

/// Series of which windows are taken.
#[derive(Debug)]
pub(super) struct RangeSource<'a> {
    pub(super) extension: Option<Extension>,
    /// How much earlier than the window, and how much later, samples are of use.
    pub(super) before_ms: i64,
    pub(super) after_ms: i64,
    lookup: Lookup,
    pub(super) range_ms: i64,
    kind: SourceKind<'a>,
    tells_resets: bool,
}

#[derive(Debug)]
enum SourceKind<'a> {
    Stored(Vec<&'a store::Series>),
    Computed(Vec<Series>, Grid),
}

/// The samples of one series that some window needs.
#[derive(Debug, Default)]
pub(super) struct RangeBuffer {
    pub(super) times: Vec<i64>,
    pub(super) values: Vec<f64>,
    /// Where a value is smaller than the one before it.
    pub(super) resets: Vec<u32>,
    pub(super) histograms: Vec<(i64, Arc<Histogram>)>,
}

impl RangeBuffer {
    /// How many samples it holds; a histogram counts as several.
    pub(super) fn size(&self) -> usize {
        window_size(&self.values, &self.histograms)
    }
}

/// How many samples a window holds; a histogram counts as several.
pub(super) fn window_size(values: &[f64], histograms: &[(i64, Arc<Histogram>)]) -> usize {
    values.len() + total_histogram_size(histograms.iter().map(|(_, histogram)| histogram))
}

impl RangeSource<'_> {
    pub(super) fn len(&self) -> usize {
        match &self.kind {
            SourceKind::Stored(series) => series.len(),
            SourceKind::Computed(series, _) => series.len(),
        }
    }

    /// The labels of a series, and whether its name has to go already.
    pub(super) fn labels(&self, index: usize) -> (&Labels, bool) {
        match &self.kind {
            SourceKind::Stored(series) => (series[index].labels(), false),
            SourceKind::Computed(series, _) => (&series[index].labels, series[index].drop_name),
        }
    }

    /// The end of the window of a step.
    pub(super) fn window_end(&self, grid: &Grid, step: usize) -> i64 {
        self.lookup.time(grid, step)
    }

    /// What the only window of a stored series amounts to.
    pub(super) fn summarize(&self, index: usize, end_ms: i64, wants_sum: bool) -> Summary {
        let start_ms = end_ms.saturating_sub(self.range_ms);
        match &self.kind {
            SourceKind::Stored(series) if !series[index].has_histograms(start_ms, end_ms) => {
                series[index].summarize(start_ms, end_ms, wants_sum)
            }
            SourceKind::Stored(_) | SourceKind::Computed(..) => Summary::Unknown,
        }
    }

    /// The samples of a series in all windows together.
    pub(super) fn load(&self, index: usize, grid: &Grid) -> RangeBuffer {
        let mut buffer = RangeBuffer::default();
        self.load_into(index, grid, &mut buffer);
        buffer
    }

    /// The same into a buffer that is used again.
    pub(super) fn load_into(&self, index: usize, grid: &Grid, buffer: &mut RangeBuffer) {
        buffer.times.clear();
        buffer.values.clear();
        buffer.resets.clear();
        buffer.histograms.clear();
        let after = self
            .window_end(grid, 0)
            .saturating_sub(self.range_ms)
            .saturating_sub(self.before_ms);
        let until = self
            .window_end(grid, grid.count - 1)
            .saturating_add(self.after_ms);
        match &self.kind {
            SourceKind::Stored(series) => {
                let own = series[index];
                own.read_floats(after, until, &mut buffer.times, &mut buffer.values);
                own.read_histograms(after, until, &mut buffer.histograms);
                if !self.tells_resets {
                    let histograms = buffer.histograms.iter_mut();
                    histograms.for_each(|(_, histogram)| forget_found_reset(histogram));
                }
            }
            SourceKind::Computed(series, inner) => {
                read_computed(&series[index], inner, after, until, buffer);
            }
        }
        for index in 1..buffer.values.len() {
            if buffer.values[index] < buffer.values[index - 1] {
                buffer.resets.push(index as u32);
            }
        }
    }
}

fn read_computed(series: &Series, inner: &Grid, after: i64, until: i64, buffer: &mut RangeBuffer) {
    use gameday_signal::CounterResetHint::{CounterReset, NotCounterReset, Unknown};
    for step in 0..inner.count {
        let time = inner.time(step);
        if time <= after || time > until {
            continue;
        }
        if let Some(value) = series.float(step) {
            buffer.times.push(time);
            buffer.values.push(value);
        } else if let Some(histogram) = series.histogram(step) {
            // The hints are about neighbours in the store, which are not the neighbours here.
            let hinted = matches!(histogram.counter_reset_hint, CounterReset | NotCounterReset);
            let histogram = if hinted {
                let mut copy = (**histogram).clone();
                copy.counter_reset_hint = Unknown;
                Arc::new(copy)
            } else {
                histogram.clone()
            };
            buffer.histograms.push((time, histogram));
        }
    }
}

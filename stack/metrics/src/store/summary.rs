//! What a window amounts to, without reading all of it.

use gameday_signal::{Sample, is_stale};

use super::Series;
use super::chunk::{ChunkReader, Totals, Valid};

/// What the numbers of a window amount to, stale markers left out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct WindowTotals {
    pub(crate) first: Sample,
    pub(crate) last: Sample,
    pub(crate) count: usize,
    /// How often a number is smaller than the one before.
    pub(crate) resets: usize,
    /// The last minus the first, plus the numbers right before resets.
    pub(crate) growth: f64,
    /// The sum, where it is exact.
    pub(crate) sum: Option<f64>,
}

/// What can be said about a window without reading all of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Summary {
    /// It has no number.
    Empty,
    /// This is what it amounts to, to the last bit.
    Known(WindowTotals),
    /// The samples have to be read.
    Unknown,
}

/// Part `i` is chunk `i`; the last part is the head.
impl Series {
    pub(super) fn first_valid(&self, part: usize) -> Valid {
        match self.chunks.get(part) {
            Some(chunk) => chunk.first_valid,
            None => self.head.first_valid(),
        }
    }

    pub(super) fn last_valid(&self, part: usize) -> Valid {
        match self.chunks.get(part) {
            Some(chunk) => chunk.last_valid,
            None => self.head.last_valid(),
        }
    }

    /// The last number before a part that is no stale marker.
    pub(super) fn last_valid_before(&self, part: usize) -> Valid {
        (0..part).rev().find_map(|part| self.last_valid(part))
    }

    pub(super) fn totals_at_end(&self, part: usize) -> Totals {
        self.chunks
            .get(part)
            .map_or(self.totals, |chunk| chunk.totals)
    }

    pub(super) fn reader(&self, part: usize) -> ChunkReader<'_> {
        match self.chunks.get(part) {
            Some(chunk) => chunk.reader(),
            None => self.head.reader(),
        }
    }

    /// What the numbers of `(after, until]` amount to. At most the chunks at both ends are decoded, so that the cost does not
    /// grow with the window; the result is the same to the last bit as that of reading all samples. The sum is only worked out
    /// where it is wanted.
    pub(crate) fn summarize(&self, after: i64, until: i64, wants_sum: bool) -> Summary {
        let parts = self.chunks.len() + 1;
        let mut first = self.chunks.partition_point(|chunk| chunk.last_ms <= after);
        while first < parts
            && self
                .last_valid(first)
                .is_none_or(|last| last.timestamp_ms <= after)
        {
            first += 1;
        }
        let mut last = self.chunks.partition_point(|chunk| chunk.first_ms <= until);
        while last > 0
            && self
                .first_valid(last)
                .is_none_or(|sample| sample.timestamp_ms > until)
        {
            last -= 1;
        }
        let ends_late = self
            .first_valid(last)
            .is_none_or(|sample| sample.timestamp_ms > until);
        if first >= parts || first > last || ends_late {
            return Summary::Empty;
        }
        if let Some(totals) = self.summarize_steady(first, last, after, until, wants_sum) {
            return Summary::Known(totals);
        }
        if first == last {
            let mut window = Accumulator::default();
            window.read(self.reader(first), after, until);
            return window.finish();
        }
        self.summarize_parts(first, last, after, until)
    }

    /// The same for the usual case: the last part ends within the window, and there is no reset. Then the first part is only read
    /// up to the first number of the window.
    pub(super) fn summarize_steady(
        &self,
        first: usize,
        last: usize,
        after: i64,
        until: i64,
        wants_sum: bool,
    ) -> Option<WindowTotals> {
        let last_valid = self
            .last_valid(last)
            .filter(|sample| sample.timestamp_ms <= until)?;
        let start = match first.checked_sub(1) {
            Some(before) => self.totals_at_end(before),
            None => self.forgotten,
        };
        let end = self.totals_at_end(last);
        if end.resets != start.resets {
            return None;
        }
        let exact = end.inexact == start.inexact;
        let (mut skipped, mut skipped_sum) = (0, 0.0);
        let mut first_valid = None;
        let mut reader = self.reader(first);
        if !(wants_sum && exact) {
            skipped = reader.seek(after);
        }
        for sample in reader {
            if is_stale(sample.value) {
                continue;
            }
            if sample.timestamp_ms > after {
                first_valid = Some(sample);
                break;
            }
            skipped += 1;
            skipped_sum += sample.value;
        }
        let first_valid = first_valid?;
        Some(WindowTotals {
            first: first_valid,
            last: last_valid,
            count: end.valid.wrapping_sub(start.valid) as usize - skipped,
            resets: 0,
            growth: last_valid.value - first_valid.value,
            sum: (wants_sum && exact).then_some(end.sum - start.sum - skipped_sum),
        })
    }

    /// The same where the window's first and last number lie in different parts.
    pub(super) fn summarize_parts(
        &self,
        first: usize,
        last: usize,
        after: i64,
        until: i64,
    ) -> Summary {
        let mut window = Accumulator::default();
        let end_of_first = self.totals_at_end(first);
        window.read(self.reader(first), after, until);
        // What lies between, and the last part too where all of it lies in the window.
        let whole_last = self
            .last_valid(last)
            .is_some_and(|sample| sample.timestamp_ms <= until);
        let between_end = if whole_last { last } else { last - 1 };
        if between_end > first {
            let end = self.totals_at_end(between_end);
            let count = end.valid.wrapping_sub(end_of_first.valid);
            let resets = end.resets.wrapping_sub(end_of_first.resets);
            let exact = end.inexact == end_of_first.inexact;
            if resets > 0 && !(exact && window.exact) {
                return Summary::Unknown;
            }
            window.skip(
                count as usize,
                resets as usize,
                end.reset_sum - end_of_first.reset_sum,
                exact.then_some(end.sum - end_of_first.sum),
            );
            window.last = self.last_valid_before(between_end + 1);
        }
        if !whole_last {
            let skipped_resets = window.skipped_resets;
            window.read(self.reader(last), after, until);
            // Adding whole numbers before or after a fraction may round differently.
            if skipped_resets && !window.exact {
                return Summary::Unknown;
            }
        }
        window.finish()
    }
}

/// Adds up a window in the order in which a plain pass over its samples would.
#[derive(Debug)]
struct Accumulator {
    first: Valid,
    last: Valid,
    count: usize,
    resets: usize,
    /// Numbers right before resets: the sum of those skipped, then each that was read.
    skipped: f64,
    skipped_resets: bool,
    /// In order; those before the skipped ones first.
    corrections: Vec<f64>,
    sum: f64,
    exact: bool,
}

impl Default for Accumulator {
    fn default() -> Self {
        Self {
            first: None,
            last: None,
            count: 0,
            resets: 0,
            skipped: 0.0,
            skipped_resets: false,
            corrections: Vec::new(),
            sum: 0.0,
            exact: true,
        }
    }
}

impl Accumulator {
    fn read(&mut self, mut reader: ChunkReader<'_>, after: i64, until: i64) {
        reader.seek(after);
        for sample in reader {
            if sample.timestamp_ms > until {
                return;
            }
            if sample.timestamp_ms <= after || is_stale(sample.value) {
                continue;
            }
            let mut totals = Totals {
                sum: self.sum,
                ..Totals::default()
            };
            totals.add(sample.value, None);
            self.exact &= totals.inexact == 0;
            self.sum = totals.sum;
            if let Some(last) = self.last
                && sample.value < last.value
            {
                self.resets += 1;
                self.corrections.push(last.value);
            }
            self.count += 1;
            self.first = self.first.or(Some(sample));
            self.last = Some(sample);
        }
    }

    fn skip(&mut self, count: usize, resets: usize, reset_sum: f64, sum: Option<f64>) {
        self.count += count;
        self.resets += resets;
        self.skipped += reset_sum;
        self.skipped_resets |= resets > 0;
        match sum {
            Some(sum) => self.sum += sum,
            None => self.exact = false,
        }
    }

    fn finish(self) -> Summary {
        let (Some(first), Some(last)) = (self.first, self.last) else {
            return Summary::Empty;
        };
        let mut growth = last.value - first.value;
        if self.skipped_resets {
            growth += self.skipped;
        }
        for correction in self.corrections {
            growth += correction;
        }
        Summary::Known(WindowTotals {
            first,
            last,
            count: self.count,
            resets: self.resets,
            growth,
            sum: self.exact.then_some(self.sum),
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use gameday_signal::{Labels, stale_nan};
    use proptest::prelude::*;

    /// What a plain pass over the samples finds.
    fn plain(
        samples: &[(i64, f64)],
        after: i64,
        until: i64,
    ) -> Option<(Sample, Sample, usize, usize, u64)> {
        let window: Vec<Sample> = samples
            .iter()
            .filter(|(time, value)| *time > after && *time <= until && !is_stale(*value))
            .map(|(time, value)| Sample {
                timestamp_ms: *time,
                value: *value,
            })
            .collect();
        let (first, last) = (*window.first()?, *window.last()?);
        let mut growth = last.value - first.value;
        let mut resets = 0;
        for pair in window.windows(2) {
            if pair[1].value < pair[0].value {
                growth += pair[0].value;
                resets += 1;
            }
        }
        Some((first, last, window.len(), resets, growth.to_bits()))
    }

    fn check(samples: &[(i64, f64)], after: i64, until: i64) {
        let mut series = Series::new(Labels::empty());
        for (time, value) in samples {
            series.insert(*time, *value);
        }
        let expected = plain(samples, after, until);
        for wants_sum in [false, true] {
            check_summary(
                samples,
                expected,
                series.summarize(after, until, wants_sum),
                after,
                until,
            );
        }
    }

    fn check_summary(
        samples: &[(i64, f64)],
        expected: Option<(Sample, Sample, usize, usize, u64)>,
        summary: Summary,
        after: i64,
        until: i64,
    ) {
        match summary {
            Summary::Unknown => {}
            Summary::Empty => assert_eq!(expected, None),
            Summary::Known(totals) => {
                let found = (
                    totals.first,
                    totals.last,
                    totals.count,
                    totals.resets,
                    totals.growth.to_bits(),
                );
                assert_eq!(Some(found), expected);
                if let Some(sum) = totals.sum {
                    let plain: f64 = samples
                        .iter()
                        .filter(|(time, value)| {
                            *time > after && *time <= until && !is_stale(*value)
                        })
                        .map(|(_, value)| value)
                        .sum();
                    assert_eq!(sum.to_bits(), plain.to_bits());
                }
            }
        }
    }

    /// Counters with resets, gaps and stale markers; whole numbers or not.
    pub(in crate::store) fn samples() -> impl Strategy<Value = Vec<(i64, f64)>> {
        let step = (0_u8..40, 0_u8..60, 1_i64..4);
        (prop::collection::vec(step, 0..1500), any::<bool>()).prop_map(|(steps, whole)| {
            let (mut time, mut value) = (0, 0.0);
            steps
                .into_iter()
                .map(|(kind, growth, gap)| {
                    time += gap * 15_000;
                    let growth = if whole {
                        f64::from(growth)
                    } else {
                        f64::from(growth) / 7.0
                    };
                    value = if kind == 0 { growth } else { value + growth };
                    (time, if kind == 1 { stale_nan() } else { value })
                })
                .collect()
        })
    }

    proptest! {
        #[test]
        fn summaries_equal_a_plain_pass(samples in samples(), after in -10_000_i64..40_000_000, length in 1_i64..40_000_000) {
            check(&samples, after, after + length);
            check(&samples, i64::MIN, i64::MAX);
        }
    }

    #[test]
    fn long_windows_of_whole_numbers_are_known() {
        let mut series = Series::new(Labels::empty());
        for index in 0..10_000_i64 {
            series.insert(index * 1000, (index % 3000) as f64);
        }
        let Summary::Known(totals) = series.summarize(500, 9_999_000, true) else {
            panic!("known");
        };
        assert_eq!((totals.count, totals.resets), (9999, 3));
        assert_eq!(totals.growth, 9999.0 - 1.0 - 3.0);
    }
}

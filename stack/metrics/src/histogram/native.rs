//! Arithmetic on native histograms.

use gameday_query::KahanSum;
use gameday_signal::{BucketSpan, CounterResetHint, Histogram};

use super::buckets::{bounds, exponential_bound, indexed};

/// The schema number of histograms with custom bucket bounds.
pub const CUSTOM_BUCKETS_SCHEMA: i32 = -53;

/// What is worth telling about an addition or a subtraction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AddNotes {
    /// One side began after a counter reset and the other did not.
    pub(crate) reset_collision: bool,
    /// Custom bounds differed and were reduced to the common ones.
    pub(crate) bounds_reconciled: bool,
}

/// The sides mix exponential and custom buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IncompatibleSchema;

/// A native histogram on which sums are taken: sparse buckets, every number with its rounding error.
#[derive(Clone, Debug, Default)]
pub(crate) struct Native {
    pub(crate) hint: CounterResetHint,
    schema: i32,
    zero_threshold: f64,
    zero_count: KahanSum,
    count: KahanSum,
    sum: KahanSum,
    positive: Vec<(i32, KahanSum)>,
    negative: Vec<(i32, KahanSum)>,
    custom_values: Vec<f64>,
}

impl Native {
    pub(crate) fn new(histogram: &Histogram) -> Self {
        let side = |spans: &[BucketSpan], counts: &[f64]| {
            indexed(spans, counts)
                .into_iter()
                .map(|(index, count)| (index, KahanSum::new(count)))
                .collect()
        };
        Self {
            hint: histogram.counter_reset_hint,
            schema: histogram.schema,
            zero_threshold: histogram.zero_threshold,
            zero_count: KahanSum::new(histogram.zero_count),
            count: KahanSum::new(histogram.count),
            sum: KahanSum::new(histogram.sum),
            positive: side(&histogram.positive_spans, &histogram.positive_buckets),
            negative: side(&histogram.negative_spans, &histogram.negative_buckets),
            custom_values: histogram.custom_values.clone(),
        }
    }

    /// A histogram without observations in the layout of `like`.
    pub(crate) fn empty_like(like: &Histogram) -> Self {
        Self {
            schema: like.schema,
            custom_values: like.custom_values.clone(),
            ..Self::default()
        }
    }

    pub(crate) fn to_histogram(&self) -> Histogram {
        let (positive_spans, positive_buckets) = spans_of(&self.positive);
        let (negative_spans, negative_buckets) = spans_of(&self.negative);
        Histogram {
            counter_reset_hint: self.hint,
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            zero_count: self.zero_count.value(),
            count: self.count.value(),
            sum: self.sum.value(),
            positive_spans,
            positive_buckets,
            negative_spans,
            negative_buckets,
            custom_values: self.custom_values.clone(),
        }
    }

    pub(crate) fn uses_custom_buckets(&self) -> bool {
        self.schema == CUSTOM_BUCKETS_SCHEMA
    }

    fn numbers(&mut self) -> impl Iterator<Item = &mut KahanSum> {
        let buckets = self.positive.iter_mut().chain(&mut self.negative);
        [&mut self.zero_count, &mut self.count, &mut self.sum]
            .into_iter()
            .chain(buckets.map(|(_, count)| count))
    }

    /// Multiplies all counts; a negative factor makes it a gauge.
    pub(crate) fn scale(&mut self, factor: f64) {
        for number in self.numbers() {
            number.sum *= factor;
            number.compensation *= factor;
        }
        if factor < 0.0 {
            self.hint = CounterResetHint::Gauge;
        }
    }

    /// Divides all counts; division by zero leaves no buckets, a negative divisor makes it a gauge.
    pub(crate) fn divide(&mut self, divisor: f64) {
        for number in self.numbers() {
            number.sum /= divisor;
            number.compensation /= divisor;
        }
        if divisor == 0.0 {
            self.positive.clear();
            self.negative.clear();
        }
        if divisor < 0.0 {
            self.hint = CounterResetHint::Gauge;
        }
    }

    pub(crate) fn has_overflow(&self) -> bool {
        let side = |side: &[(i32, KahanSum)]| side.iter().any(|(_, count)| count.sum.is_infinite());
        [self.zero_count, self.count, self.sum]
            .iter()
            .any(|number| number.sum.is_infinite())
            || side(&self.positive)
            || side(&self.negative)
    }

    pub(crate) fn add(&mut self, other: &Histogram) -> Result<AddNotes, IncompatibleSchema> {
        self.combine(Self::new(other), 1.0)
    }

    pub(crate) fn sub(&mut self, other: &Histogram) -> Result<AddNotes, IncompatibleSchema> {
        self.combine(Self::new(other), -1.0)
    }

    /// Adds `sign` times `other`.
    pub(crate) fn combine(
        &mut self,
        mut other: Self,
        sign: f64,
    ) -> Result<AddNotes, IncompatibleSchema> {
        if self.uses_custom_buckets() != other.uses_custom_buckets() {
            return Err(IncompatibleSchema);
        }
        let mut notes = AddNotes {
            reset_collision: self.merge_hint(other.hint),
            bounds_reconciled: false,
        };
        if self.uses_custom_buckets() {
            if self.custom_values != other.custom_values {
                notes.bounds_reconciled = true;
                let common = common_bounds(&self.custom_values, &other.custom_values);
                self.rebucket(&common);
                other.rebucket(&common);
            }
        } else {
            self.reconcile_zero_buckets(&mut other);
            let schema = self.schema.min(other.schema);
            self.reduce_to(schema);
            other.reduce_to(schema);
            self.drop_inside_zero_bucket();
            other.drop_inside_zero_bucket();
        }
        add_scaled(&mut self.zero_count, other.zero_count, sign);
        add_scaled(&mut self.count, other.count, sign);
        add_scaled(&mut self.sum, other.sum, sign);
        self.positive = merge(&self.positive, &other.positive, sign);
        self.negative = merge(&self.negative, &other.negative, sign);
        Ok(notes)
    }

    /// Whether the hints contradict each other.
    fn merge_hint(&mut self, other: CounterResetHint) -> bool {
        use CounterResetHint::{Gauge, Unknown};
        match (self.hint, other) {
            (own, other) if own == other => false,
            (Gauge, _) | (_, Gauge) => {
                self.hint = Gauge;
                false
            }
            (Unknown, _) | (_, Unknown) => {
                self.hint = Unknown;
                false
            }
            _ => {
                self.hint = Unknown;
                true
            }
        }
    }

    /// Lowers the resolution: 2^(old - new) neighbours become one bucket.
    pub(crate) fn reduce_to(&mut self, schema: i32) {
        if schema >= self.schema {
            return;
        }
        let shift = self.schema - schema;
        for side in [&mut self.positive, &mut self.negative] {
            let mut reduced: Vec<(i32, KahanSum)> = Vec::with_capacity(side.len());
            for (index, count) in side.iter() {
                let target = ((index - 1) >> shift) + 1;
                match reduced.last_mut() {
                    Some((last, sum)) if *last == target => add_scaled(sum, *count, 1.0),
                    _ => reduced.push((target, *count)),
                }
            }
            *side = reduced;
        }
        self.schema = schema;
    }

    fn reconcile_zero_buckets(&mut self, other: &mut Self) {
        while self.zero_threshold != other.zero_threshold {
            if self.zero_threshold > other.zero_threshold {
                other.widen_zero_bucket(self.zero_threshold);
            } else {
                self.widen_zero_bucket(other.zero_threshold);
            }
        }
    }

    /// Makes the zero bucket at least as wide as `threshold`: where that would cut a bucket, up to the bucket's end.
    fn widen_zero_bucket(&mut self, threshold: f64) {
        let mut threshold = threshold;
        let schema = self.schema;
        // A wider threshold may cut another bucket, on the other side too.
        loop {
            let cut = self
                .positive
                .iter()
                .chain(&self.negative)
                .map(|(index, _)| bounds(*index, schema, &[]))
                .find(|(lower, upper)| *lower < threshold && *upper > threshold);
            match cut {
                Some((_, upper)) => threshold = upper,
                None => break,
            }
        }
        for side in [&mut self.positive, &mut self.negative] {
            for (index, count) in side.iter() {
                if exponential_bound(*index, schema) <= threshold {
                    add_scaled(&mut self.zero_count, *count, 1.0);
                }
            }
            side.retain(|(index, _)| exponential_bound(*index, schema) > threshold);
        }
        self.zero_threshold = threshold;
    }

    /// Lowering the resolution may have made a bucket that lies within the zero bucket.
    fn drop_inside_zero_bucket(&mut self) {
        let (schema, threshold) = (self.schema, self.zero_threshold);
        for side in [&mut self.positive, &mut self.negative] {
            side.retain(|(index, _)| exponential_bound(*index, schema) > threshold);
        }
    }

    /// Puts the observations into buckets with other, fewer custom bounds.
    fn rebucket(&mut self, custom_values: &[f64]) {
        let mut moved: Vec<(i32, KahanSum)> = Vec::new();
        for (index, count) in &self.positive {
            let (_, upper) = bounds(*index, CUSTOM_BUCKETS_SCHEMA, &self.custom_values);
            let target = custom_values.partition_point(|bound| *bound < upper) as i32;
            match moved.last_mut() {
                Some((last, sum)) if *last == target => add_scaled(sum, *count, 1.0),
                _ => moved.push((target, *count)),
            }
        }
        self.positive = moved;
        self.custom_values = custom_values.to_vec();
    }
}

fn add_scaled(sum: &mut KahanSum, other: KahanSum, sign: f64) {
    sum.add(sign * other.sum);
    if other.compensation != 0.0 {
        sum.add(sign * other.compensation);
    }
}

fn merge(left: &[(i32, KahanSum)], right: &[(i32, KahanSum)], sign: f64) -> Vec<(i32, KahanSum)> {
    let mut merged = Vec::with_capacity(left.len().max(right.len()));
    let (mut left, mut right) = (left.iter().peekable(), right.iter().peekable());
    loop {
        let (index, count) = match (left.peek(), right.peek()) {
            (Some((index, _)), Some((other, _))) if index == other => {
                let mut sum = left.next().map_or_else(KahanSum::default, |(_, sum)| *sum);
                if let Some((_, other)) = right.next() {
                    add_scaled(&mut sum, *other, sign);
                }
                (*index, sum)
            }
            (Some((index, _)), other) if other.is_none_or(|(other, _)| index < other) => {
                let sum = left.next().map_or_else(KahanSum::default, |(_, sum)| *sum);
                (*index, sum)
            }
            (_, Some((other, _))) => {
                let mut sum = KahanSum::default();
                if let Some((_, count)) = right.next() {
                    add_scaled(&mut sum, *count, sign);
                }
                (*other, sum)
            }
            (_, None) => return merged,
        };
        merged.push((index, count));
    }
}

/// Spans and counts without the empty buckets.
fn spans_of(side: &[(i32, KahanSum)]) -> (Vec<BucketSpan>, Vec<f64>) {
    let mut spans: Vec<BucketSpan> = Vec::new();
    let mut counts = Vec::with_capacity(side.len());
    let mut next = 0_i32;
    for (index, count) in side {
        let count = count.value();
        if count == 0.0 {
            continue;
        }
        match spans.last_mut() {
            Some(span) if *index == next => span.length += 1,
            _ => spans.push(BucketSpan {
                offset: *index - next,
                length: 1,
            }),
        }
        next = index.saturating_add(1);
        counts.push(count);
    }
    (spans, counts)
}

/// The bounds that both have.
fn common_bounds(left: &[f64], right: &[f64]) -> Vec<f64> {
    left.iter()
        .copied()
        .filter(|bound| right.contains(bound))
        .collect()
}

/// Whether both hold the same observations in the same buckets; hints and empty buckets do not matter.
pub(crate) fn equals(left: &Histogram, right: &Histogram) -> bool {
    let same = |left: f64, right: f64| left.to_bits() == right.to_bits();
    left.schema == right.schema
        && same(left.count, right.count)
        && same(left.sum, right.sum)
        && left.custom_values == right.custom_values
        && left.zero_threshold == right.zero_threshold
        && same(left.zero_count, right.zero_count)
        && indexed(&left.positive_spans, &left.positive_buckets)
            == indexed(&right.positive_spans, &right.positive_buckets)
        && indexed(&left.negative_spans, &left.negative_buckets)
            == indexed(&right.negative_spans, &right.negative_buckets)
}

/// Whether the counter that `current` was read from has been reset since `previous`: a hint says so, or something has become
/// smaller or finer.
pub(crate) fn detect_reset(current: &Histogram, previous: &Histogram) -> bool {
    match current.counter_reset_hint {
        CounterResetHint::CounterReset => return true,
        CounterResetHint::NotCounterReset => return false,
        CounterResetHint::Unknown | CounterResetHint::Gauge => {}
    }
    if current.count < previous.count {
        return true;
    }
    let (mut new, mut old) = (Native::new(current), Native::new(previous));
    if new.uses_custom_buckets() {
        if !old.uses_custom_buckets() {
            return true;
        }
        if new.custom_values != old.custom_values {
            let common = common_bounds(&new.custom_values, &old.custom_values);
            new.rebucket(&common);
            old.rebucket(&common);
        }
        return some_smaller(&new.positive, &old.positive);
    }
    if new.schema > old.schema || new.zero_threshold < old.zero_threshold {
        return true;
    }
    old.widen_zero_bucket(new.zero_threshold);
    if old.zero_threshold != new.zero_threshold {
        return true;
    }
    if new.zero_count.value() < old.zero_count.value() {
        return true;
    }
    old.reduce_to(new.schema);
    old.drop_inside_zero_bucket();
    new.drop_inside_zero_bucket();
    some_smaller(&new.positive, &old.positive) || some_smaller(&new.negative, &old.negative)
}

fn some_smaller(new: &[(i32, KahanSum)], old: &[(i32, KahanSum)]) -> bool {
    old.iter().any(|(index, count)| {
        let now = new
            .binary_search_by_key(index, |(own, _)| *own)
            .map_or(0.0, |found| new[found].1.value());
        now < count.value()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(schema: i32, offset: i32, counts: &[f64]) -> Histogram {
        Histogram {
            schema,
            count: counts.iter().sum(),
            sum: 1.0,
            positive_spans: vec![BucketSpan {
                offset,
                length: counts.len() as u32,
            }],
            positive_buckets: counts.to_vec(),
            ..Histogram::default()
        }
    }

    #[test]
    fn adds_at_the_coarser_resolution() {
        let mut sum = Native::new(&histogram(1, 1, &[1.0, 2.0, 3.0]));
        let notes = sum.add(&histogram(0, 1, &[10.0])).expect("same kind");
        assert_eq!(notes, AddNotes::default());
        let sum = sum.to_histogram();
        assert_eq!((sum.schema, sum.count, sum.sum), (0, 16.0, 2.0));
        assert_eq!(sum.positive_buckets, [13.0, 3.0]);
        assert_eq!(
            sum.positive_spans,
            [BucketSpan {
                offset: 1,
                length: 2
            }]
        );
    }

    #[test]
    fn a_wider_zero_bucket_swallows_buckets() {
        let mut narrow = histogram(0, 0, &[1.0, 2.0]);
        narrow.zero_count = 1.0;
        let wide = Histogram {
            zero_threshold: 0.75,
            zero_count: 4.0,
            count: 4.0,
            ..Histogram::default()
        };
        let mut sum = Native::new(&narrow);
        sum.add(&wide).expect("same kind");
        let sum = sum.to_histogram();
        // 0.75 lies within (0.5, 1], so that the threshold becomes 1.
        assert_eq!((sum.zero_threshold, sum.zero_count), (1.0, 6.0));
        assert_eq!(sum.positive_buckets, [2.0]);
    }

    #[test]
    fn custom_bounds_are_reduced_to_the_common_ones() {
        let custom = |bounds: &[f64], counts: &[f64]| Histogram {
            custom_values: bounds.to_vec(),
            ..histogram(CUSTOM_BUCKETS_SCHEMA, 0, counts)
        };
        let mut sum = Native::new(&custom(&[1.0, 2.0, 4.0], &[1.0, 1.0, 1.0, 1.0]));
        let notes = sum
            .add(&custom(&[2.0, 3.0, 4.0], &[1.0, 1.0, 1.0]))
            .expect("same kind");
        assert!(notes.bounds_reconciled);
        let sum = sum.to_histogram();
        assert_eq!(sum.custom_values, [2.0, 4.0]);
        assert_eq!(sum.positive_buckets, [3.0, 3.0, 1.0]);
        assert!(Native::new(&histogram(0, 0, &[1.0])).add(&sum).is_err());
    }

    #[test]
    fn resets_are_found() {
        let old = histogram(0, 1, &[1.0, 2.0]);
        for (new, expected) in [
            (histogram(0, 1, &[1.0, 2.0]), false),
            (histogram(0, 1, &[2.0, 1.0]), true),
            (histogram(1, 1, &[2.0, 2.0]), true),
            (histogram(-1, 1, &[3.0]), false),
            (histogram(0, 1, &[1.0, 1.0]), true),
        ] {
            assert_eq!(detect_reset(&new, &old), expected, "{new:?}");
        }
    }

    #[test]
    fn subtraction_leaves_no_empty_buckets() {
        let mut difference = Native::new(&histogram(0, 0, &[1.0, 2.0, 3.0]));
        difference.sub(&histogram(0, 1, &[2.0])).expect("same kind");
        let difference = difference.to_histogram();
        assert_eq!(difference.positive_buckets, [1.0, 3.0]);
        assert_eq!(
            difference.positive_spans,
            [
                BucketSpan {
                    offset: 0,
                    length: 1
                },
                BucketSpan {
                    offset: 1,
                    length: 1
                }
            ]
        );
    }
}

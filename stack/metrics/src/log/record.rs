//! What stands in a batch of the log.

use gameday_disk::{Decoder, Encoder};
use gameday_signal::{
    BucketSpan, CounterResetHint, Exemplar, Histogram, Labels, Sample, Timestamp,
};

/// The kinds of records, as their first byte says.
const SERIES: u8 = 1;
const SAMPLE: u8 = 2;
const HISTOGRAM: u8 = 3;
const EXEMPLAR: u8 = 4;

/// A record of the log.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Record {
    /// From here on this number stands for these labels.
    Series(u32, Labels),
    /// A number.
    Sample(u32, Sample),
    /// A histogram.
    Histogram(u32, i64, Histogram),
    /// An exemplar.
    Exemplar(u32, i64, Exemplar),
}

pub(super) fn write_series_record(out: &mut Encoder, number: u32, labels: &Labels) {
    out.byte(SERIES);
    out.unsigned(u64::from(number));
    out.labels(labels);
}

/// `base_ms` is the time of the sample before it in the batch.
pub(super) fn write_sample_record(out: &mut Encoder, number: u32, sample: Sample, base_ms: i64) {
    out.byte(SAMPLE);
    out.unsigned(u64::from(number));
    out.signed(sample.timestamp_ms.wrapping_sub(base_ms));
    out.float(sample.value);
}

pub(super) fn write_histogram_record(
    out: &mut Encoder,
    number: u32,
    time_ms: i64,
    histogram: &Histogram,
) {
    out.byte(HISTOGRAM);
    out.unsigned(u64::from(number));
    out.signed(time_ms);
    write_histogram(out, histogram);
}

pub(super) fn write_exemplar_record(
    out: &mut Encoder,
    number: u32,
    time_ms: i64,
    exemplar: &Exemplar,
) {
    out.byte(EXEMPLAR);
    out.unsigned(u64::from(number));
    out.signed(time_ms);
    write_exemplar(out, exemplar);
}

fn write_spans(out: &mut Encoder, spans: &[BucketSpan]) {
    out.unsigned(spans.len() as u64);
    for span in spans {
        out.signed(i64::from(span.offset));
        out.unsigned(u64::from(span.length));
    }
}

pub(crate) fn write_histogram(out: &mut Encoder, histogram: &Histogram) {
    out.byte(match histogram.counter_reset_hint {
        CounterResetHint::Unknown => 0,
        CounterResetHint::CounterReset => 1,
        CounterResetHint::NotCounterReset => 2,
        CounterResetHint::Gauge => 3,
    });
    out.signed(i64::from(histogram.schema));
    out.float(histogram.zero_threshold);
    out.float(histogram.zero_count);
    out.float(histogram.count);
    out.float(histogram.sum);
    write_spans(out, &histogram.positive_spans);
    out.floats(&histogram.positive_buckets);
    write_spans(out, &histogram.negative_spans);
    out.floats(&histogram.negative_buckets);
    out.floats(&histogram.custom_values);
}

pub(crate) fn write_exemplar(out: &mut Encoder, exemplar: &Exemplar) {
    out.labels(&exemplar.labels);
    out.float(exemplar.value);
    match exemplar.timestamp {
        Some(timestamp) => {
            out.byte(1);
            out.signed(timestamp.as_nanos());
        }
        None => out.byte(0),
    }
}

fn read_spans(from: &mut Decoder<'_>) -> Option<Vec<BucketSpan>> {
    let length = from.length(2)?;
    (0..length)
        .map(|_| {
            Some(BucketSpan {
                offset: i32::try_from(from.signed()?).ok()?,
                length: from.small()?,
            })
        })
        .collect()
}

pub(crate) fn read_histogram(from: &mut Decoder<'_>) -> Option<Histogram> {
    let counter_reset_hint = match from.byte()? {
        0 => CounterResetHint::Unknown,
        1 => CounterResetHint::CounterReset,
        2 => CounterResetHint::NotCounterReset,
        3 => CounterResetHint::Gauge,
        _ => return None,
    };
    Some(Histogram {
        counter_reset_hint,
        schema: i32::try_from(from.signed()?).ok()?,
        zero_threshold: from.float()?,
        zero_count: from.float()?,
        count: from.float()?,
        sum: from.float()?,
        positive_spans: read_spans(from)?,
        positive_buckets: from.floats()?,
        negative_spans: read_spans(from)?,
        negative_buckets: from.floats()?,
        custom_values: from.floats()?,
    })
}

pub(crate) fn read_exemplar(from: &mut Decoder<'_>) -> Option<Exemplar> {
    Some(Exemplar {
        labels: from.labels()?,
        value: from.float()?,
        timestamp: match from.byte()? {
            0 => None,
            _ => Some(Timestamp::from_nanos(from.signed()?)),
        },
    })
}

fn read_record(from: &mut Decoder<'_>, base_ms: &mut i64) -> Option<Record> {
    let kind = from.byte()?;
    let number = from.small()?;
    Some(match kind {
        SERIES => Record::Series(number, from.labels()?),
        SAMPLE => {
            *base_ms = base_ms.wrapping_add(from.signed()?);
            let sample = Sample {
                timestamp_ms: *base_ms,
                value: from.float()?,
            };
            Record::Sample(number, sample)
        }
        HISTOGRAM => Record::Histogram(number, from.signed()?, read_histogram(from)?),
        EXEMPLAR => Record::Exemplar(number, from.signed()?, read_exemplar(from)?),
        _ => return None,
    })
}

/// Hands the records of a batch to `visit`; false where the batch makes no sense from some record on.
pub(crate) fn read_batch(batch: &[u8], mut visit: impl FnMut(Record)) -> bool {
    let mut from = Decoder(batch);
    let mut base_ms = 0;
    while !from.is_empty() {
        match read_record(&mut from, &mut base_ms) {
            Some(record) => visit(record),
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn records_come_back() {
        let labels = Labels::new([("__name__", "m"), ("ü", "\n")]);
        let histogram = Histogram {
            counter_reset_hint: CounterResetHint::Gauge,
            schema: -4,
            count: 3.0,
            positive_spans: vec![BucketSpan {
                offset: -3,
                length: 1,
            }],
            positive_buckets: vec![3.0],
            ..Histogram::default()
        };
        let exemplar = Exemplar {
            labels: labels.clone(),
            value: 0.5,
            timestamp: Some(Timestamp::from_millis(7)),
        };
        let mut out = Encoder::default();
        let sample = |timestamp_ms| Sample {
            timestamp_ms,
            value: 1.5,
        };
        write_series_record(&mut out, 300, &labels);
        write_sample_record(&mut out, 300, sample(-5), 0);
        write_sample_record(&mut out, 300, sample(10), -5);
        write_histogram_record(&mut out, 1, 9, &histogram);
        write_exemplar_record(&mut out, 1, 9, &exemplar);
        let mut records = Vec::new();
        assert!(read_batch(&out.0, |record| records.push(record)));
        assert_eq!(
            records,
            [
                Record::Series(300, labels),
                Record::Sample(300, sample(-5)),
                Record::Sample(300, sample(10)),
                Record::Histogram(1, 9, histogram),
                Record::Exemplar(1, 9, exemplar),
            ]
        );
        assert!(!read_batch(&out.0[..out.0.len() - 1], drop));
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
            read_batch(&bytes, drop);
        }
    }
}

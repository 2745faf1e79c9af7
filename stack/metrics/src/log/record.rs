//! What stands in a batch of the log, in a block and in a heads file.

use gameday_signal::{
    BucketSpan, CounterResetHint, Exemplar, Histogram, Labels, Sample, Timestamp,
};

use super::codec::{Decoder, Encoder};
use super::crc::crc32;

/// The kinds of records, as their first byte says.
const SERIES: u8 = 1;
const SAMPLE: u8 = 2;
const HISTOGRAM: u8 = 3;
const EXEMPLAR: u8 = 4;

/// A record of the log.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Record {
    /// From here on this number stands for these labels.
    Series(u64, Labels),
    /// A number.
    Sample(u64, Sample),
    /// A histogram.
    Histogram(u64, i64, Histogram),
    /// An exemplar.
    Exemplar(u64, i64, Exemplar),
}

pub(super) fn write_series(out: &mut Encoder, number: u64, labels: &Labels) {
    out.byte(SERIES);
    out.unsigned(number);
    write_labels(out, labels);
}

/// `base_ms` is the time of the sample before it in the batch.
pub(super) fn write_sample(out: &mut Encoder, number: u64, sample: Sample, base_ms: i64) {
    out.byte(SAMPLE);
    out.unsigned(number);
    out.signed(sample.timestamp_ms.wrapping_sub(base_ms));
    out.float(sample.value);
}

pub(super) fn write_histogram_record(
    out: &mut Encoder,
    number: u64,
    time_ms: i64,
    histogram: &Histogram,
) {
    out.byte(HISTOGRAM);
    out.unsigned(number);
    out.signed(time_ms);
    write_histogram(out, histogram);
}

pub(super) fn write_exemplar_record(
    out: &mut Encoder,
    number: u64,
    time_ms: i64,
    exemplar: &Exemplar,
) {
    out.byte(EXEMPLAR);
    out.unsigned(number);
    out.signed(time_ms);
    write_exemplar(out, exemplar);
}

impl Encoder {
    pub(crate) fn labels(&mut self, labels: &Labels) {
        write_labels(self, labels);
    }

    pub(crate) fn histogram(&mut self, histogram: &Histogram) {
        write_histogram(self, histogram);
    }

    pub(crate) fn exemplar(&mut self, exemplar: &Exemplar) {
        write_exemplar(self, exemplar);
    }
}

fn write_labels(out: &mut Encoder, labels: &Labels) {
    out.unsigned(labels.len() as u64);
    for (name, value) in labels.iter() {
        out.bytes(name.as_bytes());
        out.bytes(value.as_bytes());
    }
}

fn write_spans(out: &mut Encoder, spans: &[BucketSpan]) {
    out.unsigned(spans.len() as u64);
    for span in spans {
        out.signed(i64::from(span.offset));
        out.unsigned(u64::from(span.length));
    }
}

fn write_histogram(out: &mut Encoder, histogram: &Histogram) {
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

fn write_exemplar(out: &mut Encoder, exemplar: &Exemplar) {
    write_labels(out, &exemplar.labels);
    out.float(exemplar.value);
    match exemplar.timestamp {
        Some(timestamp) => {
            out.byte(1);
            out.signed(timestamp.as_nanos());
        }
        None => out.byte(0),
    }
}

impl Decoder<'_> {
    pub(crate) fn labels(&mut self) -> Option<Labels> {
        let length = self.length(2)?;
        let mut pairs = Vec::with_capacity(length);
        for _ in 0..length {
            pairs.push((self.text()?, self.text()?));
        }
        Some(Labels::new(pairs))
    }

    fn spans(&mut self) -> Option<Vec<BucketSpan>> {
        let length = self.length(2)?;
        (0..length)
            .map(|_| {
                Some(BucketSpan {
                    offset: i32::try_from(self.signed()?).ok()?,
                    length: u32::try_from(self.unsigned()?).ok()?,
                })
            })
            .collect()
    }

    pub(crate) fn histogram(&mut self) -> Option<Histogram> {
        let counter_reset_hint = match self.byte()? {
            0 => CounterResetHint::Unknown,
            1 => CounterResetHint::CounterReset,
            2 => CounterResetHint::NotCounterReset,
            3 => CounterResetHint::Gauge,
            _ => return None,
        };
        Some(Histogram {
            counter_reset_hint,
            schema: i32::try_from(self.signed()?).ok()?,
            zero_threshold: self.float()?,
            zero_count: self.float()?,
            count: self.float()?,
            sum: self.float()?,
            positive_spans: self.spans()?,
            positive_buckets: self.floats()?,
            negative_spans: self.spans()?,
            negative_buckets: self.floats()?,
            custom_values: self.floats()?,
        })
    }

    pub(crate) fn exemplar(&mut self) -> Option<Exemplar> {
        Some(Exemplar {
            labels: self.labels()?,
            value: self.float()?,
            timestamp: match self.byte()? {
                0 => None,
                _ => Some(Timestamp::from_nanos(self.signed()?)),
            },
        })
    }

    fn record(&mut self, base_ms: &mut i64) -> Option<Record> {
        let kind = self.byte()?;
        let number = self.unsigned()?;
        Some(match kind {
            SERIES => Record::Series(number, self.labels()?),
            SAMPLE => {
                *base_ms = base_ms.wrapping_add(self.signed()?);
                Record::Sample(
                    number,
                    Sample {
                        timestamp_ms: *base_ms,
                        value: self.float()?,
                    },
                )
            }
            HISTOGRAM => Record::Histogram(number, self.signed()?, self.histogram()?),
            EXEMPLAR => Record::Exemplar(number, self.signed()?, self.exemplar()?),
            _ => return None,
        })
    }
}

/// The bytes that stand before a batch: its length and its checksum.
pub(super) const FRAME_BYTES: usize = 8;

/// A batch with its length and checksum.
pub(super) fn frame(payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let mut bytes = Vec::with_capacity(payload.len() + FRAME_BYTES);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&crc32(payload).to_le_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// The payload of the batch at the start of `bytes`, and what is wrong where there is none.
pub(super) fn unframe(bytes: &[u8]) -> Result<&[u8], &'static str> {
    let word = |start: usize| {
        let four: [u8; 4] = bytes.get(start..start + 4)?.try_into().ok()?;
        Some(u32::from_le_bytes(four))
    };
    let (Some(length), Some(checksum)) = (word(0), word(4)) else {
        return Err("ends in the middle of a batch");
    };
    let payload = bytes
        .get(FRAME_BYTES..)
        .and_then(|rest| rest.get(..length as usize))
        .ok_or("ends in the middle of a batch")?;
    if crc32(payload) == checksum {
        Ok(payload)
    } else {
        Err("has a batch with a wrong checksum")
    }
}

/// The records of a batch; `None` where one makes no sense.
pub(crate) fn read_batch(payload: &[u8]) -> Option<Vec<Record>> {
    let mut decoder = Decoder(payload);
    let mut base_ms = 0;
    let mut records = Vec::new();
    while !decoder.is_empty() {
        records.push(decoder.record(&mut base_ms)?);
    }
    Some(records)
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
        write_series(&mut out, 300, &labels);
        write_sample(&mut out, 300, sample(-5), 0);
        write_sample(&mut out, 300, sample(10), -5);
        write_histogram_record(&mut out, 1, 9, &histogram);
        write_exemplar_record(&mut out, 1, 9, &exemplar);
        let framed = frame(&out.0);
        let payload = unframe(&framed).expect("whole");
        assert_eq!(
            read_batch(payload).expect("good"),
            [
                Record::Series(300, labels),
                Record::Sample(300, sample(-5)),
                Record::Sample(300, sample(10)),
                Record::Histogram(1, 9, histogram),
                Record::Exemplar(1, 9, exemplar),
            ]
        );
        assert!(unframe(&framed[..framed.len() - 1]).is_err());
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
            let _ = unframe(&bytes);
            let _ = read_batch(&bytes);
        }
    }
}

//! Runs of numbers, compressed after Pelkonen et al., "Gorilla: A Fast, Scalable, In-Memory Time Series Database" (VLDB 2015):
//! timestamps as differences of differences, values as the bits in which they differ from the one before.

use gameday_signal::{Sample, is_stale};

use super::bits::{BitReader, BitWriter};

/// Large enough that what is known about a chunk as a whole weighs little, small enough to be decoded in a microsecond.
pub(super) const CHUNK_SAMPLES: u16 = 240;

/// The widths of differences of differences, each with one more leading one than the one before (Prometheus
/// tsdb/chunkenc/xor.go).
const DELTA_BITS: [u32; 4] = [14, 17, 20, 64];

/// What the samples of a series amount to from its beginning up to and including a chunk. Differences of two of them say what
/// lies between, without decoding it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Totals {
    /// Numbers that are no stale markers.
    pub(super) valid: u32,
    /// Numbers that are smaller than the one before.
    pub(super) resets: u32,
    /// The sum of the numbers right before those.
    pub(super) reset_sum: f64,
    /// The sum of all numbers.
    pub(super) sum: f64,
    /// Numbers with which the sums are no longer exact: no whole numbers, or too large.
    pub(super) inexact: u32,
}

/// Sums of whole numbers up to this are exact in a float, in whatever order they are added (2^53).
const EXACT_LIMIT: f64 = 9_007_199_254_740_992.0;

impl Totals {
    /// Adds a number that follows `previous`.
    pub(super) fn add(&mut self, value: f64, previous: Option<f64>) {
        self.valid = self.valid.wrapping_add(1);
        self.sum += value;
        let mut exact = value.fract() == 0.0 && self.sum.abs() <= EXACT_LIMIT;
        if let Some(previous) = previous
            && value < previous
        {
            self.resets = self.resets.wrapping_add(1);
            self.reset_sum += previous;
            exact &= self.reset_sum.abs() <= EXACT_LIMIT;
        }
        if !exact {
            self.inexact = self.inexact.wrapping_add(1);
            // A sum that is not finite would stay so for ever.
            if !self.sum.is_finite() {
                self.sum = 0.0;
            }
            if !self.reset_sum.is_finite() {
                self.reset_sum = 0.0;
            }
        }
    }
}

/// A number that is no stale marker, and when.
pub(super) type Valid = Option<Sample>;

/// Appends samples to a chunk.
#[derive(Clone, Debug, Default)]
pub(super) struct ChunkWriter {
    bits: BitWriter,
    count: u16,
    first_ms: i64,
    last_ms: i64,
    delta: i64,
    last_value: u64,
    leading: u32,
    trailing: u32,
    first_valid: Valid,
    last_valid: Valid,
}

impl ChunkWriter {
    pub(super) fn count(&self) -> u16 {
        self.count
    }

    pub(super) fn first_ms(&self) -> i64 {
        self.first_ms
    }

    /// The last sample, also where it is a stale marker.
    pub(super) fn last(&self) -> Option<Sample> {
        (self.count > 0).then_some(Sample {
            timestamp_ms: self.last_ms,
            value: f64::from_bits(self.last_value),
        })
    }

    pub(super) fn first_valid(&self) -> Valid {
        self.first_valid
    }

    pub(super) fn last_valid(&self) -> Valid {
        self.last_valid
    }

    pub(super) fn capacity(&self) -> usize {
        self.bits.capacity()
    }

    /// Appends a sample that is later than all before it.
    pub(super) fn push(&mut self, sample: Sample) {
        let bits = sample.value.to_bits();
        if self.count == 0 {
            self.first_ms = sample.timestamp_ms;
            self.bits.write(bits, 64);
            // No window yet: the first difference describes its own.
            self.leading = 64;
        } else {
            let delta = sample.timestamp_ms.wrapping_sub(self.last_ms);
            self.write_delta(delta.wrapping_sub(self.delta));
            self.delta = delta;
            self.write_value(bits);
        }
        self.last_ms = sample.timestamp_ms;
        self.last_value = bits;
        self.count += 1;
        if !is_stale(sample.value) {
            self.first_valid = self.first_valid.or(Some(sample));
            self.last_valid = Some(sample);
        }
    }

    fn write_delta(&mut self, change: i64) {
        if change == 0 {
            self.bits.write(0, 1);
            return;
        }
        for (index, width) in DELTA_BITS.into_iter().enumerate() {
            let ones = index as u32 + 1;
            let limit = 1_i64.checked_shl(width - 1).unwrap_or(i64::MAX);
            if width < 64 && !(-limit < change && change <= limit) {
                continue;
            }
            if width < 64 {
                // A one for each width that is too small, then a zero.
                self.bits.write(((1 << ones) - 1) << 1, ones + 1);
            } else {
                self.bits.write(0b1111, 4);
            }
            self.bits.write(change as u64, width);
            return;
        }
    }

    fn write_value(&mut self, bits: u64) {
        let difference = bits ^ self.last_value;
        if difference == 0 {
            self.bits.write(0, 1);
            return;
        }
        // Five bits hold the number of leading zeros.
        let leading = difference.leading_zeros().min(31);
        let trailing = difference.trailing_zeros();
        if self.leading != 64 && leading >= self.leading && trailing >= self.trailing {
            self.bits.write(0b10, 2);
            let width = 64 - self.leading - self.trailing;
            self.bits.write(difference >> self.trailing, width);
            return;
        }
        let width = 64 - leading - trailing;
        self.leading = leading;
        self.trailing = trailing;
        self.bits.write(0b11, 2);
        self.bits.write(u64::from(leading), 5);
        // 1 to 64 fits six bits when counted from zero.
        self.bits.write(u64::from(width - 1), 6);
        self.bits.write(difference >> trailing, width);
    }

    pub(super) fn reader(&self) -> ChunkReader<'_> {
        ChunkReader::new(self.bits.bytes(), self.first_ms, self.count)
    }

    /// The chunk, with what the series amounts to at its end.
    pub(super) fn close(self, totals: Totals) -> Chunk {
        Chunk {
            first_ms: self.first_ms,
            last_ms: self.last_ms,
            first_valid: self.first_valid,
            last_valid: self.last_valid,
            totals,
            count: self.count,
            bytes: self.bits.into_bytes(),
        }
    }
}

/// A chunk to which nothing is appended any more.
#[derive(Clone, Debug)]
pub(super) struct Chunk {
    pub(super) first_ms: i64,
    pub(super) last_ms: i64,
    pub(super) first_valid: Valid,
    pub(super) last_valid: Valid,
    /// At its end.
    pub(super) totals: Totals,
    pub(super) count: u16,
    bytes: Box<[u8]>,
}

impl Chunk {
    pub(super) fn reader(&self) -> ChunkReader<'_> {
        ChunkReader::new(&self.bytes, self.first_ms, self.count)
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.bytes.len()
    }
}

/// Reads the samples of a chunk in order.
#[derive(Clone, Debug)]
pub(super) struct ChunkReader<'c> {
    bits: BitReader<'c>,
    left: u16,
    is_first: bool,
    time_ms: i64,
    delta: i64,
    value: u64,
    trailing: u32,
    width: u32,
}

impl<'c> ChunkReader<'c> {
    fn new(bytes: &'c [u8], first_ms: i64, count: u16) -> Self {
        Self {
            bits: BitReader::new(bytes),
            left: count,
            is_first: true,
            time_ms: first_ms,
            delta: 0,
            value: 0,
            trailing: 0,
            width: 0,
        }
    }
}

impl Iterator for ChunkReader<'_> {
    type Item = Sample;

    fn next(&mut self) -> Option<Sample> {
        self.left = self.left.checked_sub(1)?;
        if self.is_first {
            self.is_first = false;
            self.value = self.bits.read(64);
        } else {
            let ones = self.bits.read_ones(4);
            if ones > 0 {
                let width = DELTA_BITS[ones as usize - 1];
                let raw = self.bits.read(width);
                self.delta = self.delta.wrapping_add(signed(raw, width));
            }
            self.time_ms = self.time_ms.wrapping_add(self.delta);
            match self.bits.read_ones(2) {
                0 => {}
                ones => {
                    if ones == 2 {
                        let leading = self.bits.read(5) as u32;
                        self.width = self.bits.read(6) as u32 + 1;
                        self.trailing = 64_u32.saturating_sub(leading + self.width);
                    }
                    // Only damaged bytes use a window before they describe one.
                    let width = self.width.clamp(1, 64);
                    self.value ^= self.bits.read(width) << self.trailing.min(63);
                }
            }
        }
        if self.bits.is_past_end() {
            self.left = 0;
            return None;
        }
        Some(Sample {
            timestamp_ms: self.time_ms,
            value: f64::from_bits(self.value),
        })
    }
}

/// A number of `width` bits in `(-2^(width-1), 2^(width-1)]`.
fn signed(raw: u64, width: u32) -> i64 {
    if width < 64 && raw > 1 << (width - 1) {
        (raw as i64).wrapping_sub(1 << width)
    } else {
        raw as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gameday_signal::stale_nan;
    use proptest::prelude::*;

    fn check(samples: &[(i64, f64)]) {
        let mut writer = ChunkWriter::default();
        for (timestamp_ms, value) in samples {
            writer.push(Sample {
                timestamp_ms: *timestamp_ms,
                value: *value,
            });
        }
        let open: Vec<(i64, u64)> = writer
            .reader()
            .map(|sample| (sample.timestamp_ms, sample.value.to_bits()))
            .collect();
        let chunk = writer.close(Totals::default());
        let closed: Vec<(i64, u64)> = chunk
            .reader()
            .map(|sample| (sample.timestamp_ms, sample.value.to_bits()))
            .collect();
        let expected: Vec<(i64, u64)> = samples
            .iter()
            .map(|(time, value)| (*time, value.to_bits()))
            .collect();
        assert_eq!(open, expected);
        assert_eq!(closed, expected);
    }

    #[test]
    fn all_bits_come_back() {
        check(&[]);
        check(&[(0, 1.0)]);
        check(&[
            (-5, f64::NAN),
            (0, stale_nan()),
            (1, f64::INFINITY),
            (8192, -0.0),
            (16_384, 0.0),
            (1_000_000, f64::MIN_POSITIVE),
            (i64::MAX / 2, f64::MAX),
        ]);
    }

    #[test]
    fn a_steady_counter_takes_little_space() {
        let mut writer = ChunkWriter::default();
        for index in 0..i64::from(CHUNK_SAMPLES) {
            writer.push(Sample {
                timestamp_ms: index * 15_000,
                value: (index * 37) as f64,
            });
        }
        let bytes = writer.close(Totals::default()).heap_bytes();
        assert!(bytes < 2 * usize::from(CHUNK_SAMPLES), "{bytes} bytes");
    }

    proptest! {
        #[test]
        fn random_samples_come_back(
            steps in prop::collection::vec((1_i64..10_000_000_000, any::<u64>()), 0..200),
            whole in any::<bool>(),
        ) {
            let mut time = -1_000_000;
            let samples: Vec<(i64, f64)> = steps
                .iter()
                .map(|(step, bits)| {
                    time += step;
                    let value = if whole { (bits % 100_000) as f64 } else { f64::from_bits(*bits) };
                    (time, value)
                })
                .collect();
            check(&samples);
        }

        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64), count in any::<u16>()) {
            ChunkReader::new(&bytes, 0, count).for_each(drop);
        }
    }
}

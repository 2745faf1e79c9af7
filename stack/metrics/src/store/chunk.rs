//! Runs of numbers, compressed after Pelkonen et al., "Gorilla: A Fast, Scalable, In-Memory Time Series Database" (VLDB 2015):
//! timestamps as differences of differences, values as the bits in which they differ from the one before.

use gameday_signal::{Sample, is_stale};

use super::bits::{BitReader, BitWriter};

/// Large enough that what is known about a chunk as a whole weighs little.
pub(super) const CHUNK_SAMPLES: u16 = 360;

/// After so many samples the chunk that is written to can be entered in the middle: rules ask for its last minutes all the time.
const STEP_SAMPLES: u16 = 15;

/// Of the steps that lie further back than [`STEPS_BACK`], and in a chunk that is closed, every so manieth can be entered.
const STEPS_KEPT: u8 = 6;

/// The latest so many steps can all be entered.
const STEPS_BACK: u8 = 3;

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

/// Whether a value is a whole number that an integer can hold.
fn is_whole(value: f64) -> bool {
    value as i64 as f64 == value
}

impl Totals {
    /// Adds a number that follows `previous`.
    pub(super) fn add(&mut self, value: f64, previous: Option<f64>) {
        self.valid = self.valid.wrapping_add(1);
        self.sum += value;
        let mut exact = is_whole(value) && self.sum.abs() <= EXACT_LIMIT;
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

/// Where reading may begin in the middle of a chunk: the state of a reader.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    value: u64,
    /// The time minus that of the first sample.
    after_first_ms: u32,
    delta: i32,
    /// In bits.
    position: u16,
    /// Samples before it that are no stale markers.
    valid: u16,
    width: u8,
    trailing: u8,
    /// Samples before it, in steps of [`STEP_SAMPLES`].
    steps: u8,
}

impl Mark {
    fn is_kept(&self) -> bool {
        self.steps.is_multiple_of(STEPS_KEPT)
    }
}

/// Appends samples to a chunk.
#[derive(Clone, Debug, Default)]
pub(super) struct ChunkWriter {
    bits: BitWriter,
    marks: Vec<Mark>,
    count: u16,
    valid: u16,
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

    /// The heap bytes.
    pub(super) fn capacity(&self) -> usize {
        self.bits.capacity() + self.marks.capacity() * size_of::<Mark>()
    }

    /// Adds a mark; none where the chunk spans more time, or more bits, than one can tell.
    fn mark(&mut self) {
        let (Ok(after_first_ms), Ok(delta), Ok(position)) = (
            u32::try_from(self.last_ms.wrapping_sub(self.first_ms)),
            i32::try_from(self.delta),
            u16::try_from(self.bits.position()),
        ) else {
            return;
        };
        let has_window = self.leading != 64;
        let steps = (self.count / STEP_SAMPLES) as u8;
        self.marks
            .retain(|mark| mark.is_kept() || mark.steps + STEPS_BACK > steps);
        self.marks.reserve_exact(1);
        self.marks.push(Mark {
            value: self.last_value,
            after_first_ms,
            delta,
            position,
            valid: self.valid,
            width: if has_window {
                (64 - self.leading - self.trailing) as u8
            } else {
                0
            },
            trailing: self.trailing as u8,
            steps,
        });
    }

    /// Appends a sample that is later than all before it.
    pub(super) fn push(&mut self, sample: Sample) {
        let bits = sample.value.to_bits();
        if self.count > 0 && self.count.is_multiple_of(STEP_SAMPLES) {
            self.mark();
        }
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
            self.valid += 1;
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

    /// The compressed samples so far.
    pub(super) fn bytes(&self) -> &[u8] {
        self.bits.bytes()
    }

    pub(super) fn reader(&self) -> ChunkReader<'_> {
        ChunkReader::new(self.bits.bytes(), &self.marks, self.first_ms, self.count)
    }

    /// The chunk, with what the series amounts to at its end.
    pub(super) fn close(mut self, totals: Totals) -> Chunk {
        self.marks.retain(Mark::is_kept);
        Chunk {
            first_ms: self.first_ms,
            last_ms: self.last_ms,
            first_valid: self.first_valid,
            last_valid: self.last_valid,
            totals,
            count: self.count,
            bytes: self.bits.into_bytes(),
            marks: self.marks.into_boxed_slice(),
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
    marks: Box<[Mark]>,
}

impl Chunk {
    pub(super) fn reader(&self) -> ChunkReader<'_> {
        ChunkReader::new(&self.bytes, &self.marks, self.first_ms, self.count)
    }

    /// The compressed samples: with the time of the first one and their number all that is needed to read them again.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.bytes.len() + self.marks.len() * size_of::<Mark>()
    }
}

/// Reads the samples of a chunk in order.
#[derive(Clone, Debug)]
pub(super) struct ChunkReader<'c> {
    bits: BitReader<'c>,
    marks: &'c [Mark],
    left: u16,
    is_first: bool,
    time_ms: i64,
    delta: i64,
    value: u64,
    trailing: u32,
    width: u32,
}

impl<'c> ChunkReader<'c> {
    /// Reads compressed samples that come from elsewhere; damaged ones give wrong samples, but nothing worse.
    pub(super) fn of_bytes(bytes: &'c [u8], first_ms: i64, count: u16) -> Self {
        Self::new(bytes, &[], first_ms, count)
    }

    fn new(bytes: &'c [u8], marks: &'c [Mark], first_ms: i64, count: u16) -> Self {
        Self {
            bits: BitReader::new(bytes),
            marks,
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

impl ChunkReader<'_> {
    /// Goes to the last mark at or before `time`, if the chunk has not been read yet. Returns how many samples that are no stale
    /// markers have been left out; the last of all samples left out is [`ChunkReader::current`].
    pub(super) fn seek(&mut self, time: i64) -> usize {
        if !self.is_first {
            return 0;
        }
        // Before anything is read the time is that of the first sample.
        let first_ms = self.time_ms;
        let marks = self.marks.partition_point(|mark| {
            first_ms.saturating_add(i64::from(mark.after_first_ms)) <= time
        });
        let Some(mark) = marks.checked_sub(1).map(|index| self.marks[index]) else {
            return 0;
        };
        self.bits.skip(u32::from(mark.position));
        self.left = self
            .left
            .saturating_sub(u16::from(mark.steps) * STEP_SAMPLES);
        self.is_first = false;
        self.time_ms = first_ms.saturating_add(i64::from(mark.after_first_ms));
        self.delta = i64::from(mark.delta);
        self.value = mark.value;
        self.width = u32::from(mark.width);
        self.trailing = u32::from(mark.trailing);
        usize::from(mark.valid)
    }

    /// The sample that was read, or left out, last.
    fn current(&self) -> Option<Sample> {
        (!self.is_first).then_some(Sample {
            timestamp_ms: self.time_ms,
            value: f64::from_bits(self.value),
        })
    }

    /// The last sample at or before `time`.
    pub(super) fn last_until(mut self, time: i64) -> Option<Sample> {
        self.seek(time);
        let mut last = self.current();
        for sample in self {
            if sample.timestamp_ms > time {
                break;
            }
            last = Some(sample);
        }
        last.filter(|sample| sample.timestamp_ms <= time)
    }

    /// Reads the time and returns the 64 bits that follow, of which at least 40 are right.
    fn read_time(&mut self) -> u64 {
        let window = self.bits.window();
        let ones = window.leading_ones().min(4);
        let used = if ones == 0 {
            1
        } else if ones < 4 {
            let (header, width) = (ones + 1, DELTA_BITS[ones as usize - 1]);
            let raw = (window << header) >> (64 - width);
            self.delta = self.delta.wrapping_add(signed(raw, width));
            header + width
        } else {
            self.bits.skip(4);
            self.delta = self.delta.wrapping_add(self.bits.read(64) as i64);
            self.time_ms = self.time_ms.wrapping_add(self.delta);
            return self.bits.window();
        };
        self.bits.skip(used);
        self.time_ms = self.time_ms.wrapping_add(self.delta);
        window << used
    }

    fn read_value(&mut self, window: u64) {
        if window >> 63 == 0 {
            self.bits.skip(1);
            return;
        }
        if window >> 62 == 0b11 {
            let leading = (window >> 57) as u32 & 0b1_1111;
            self.width = ((window >> 51) as u32 & 0b11_1111) + 1;
            self.trailing = 64_u32.saturating_sub(leading + self.width);
            self.bits.skip(13);
        } else {
            self.bits.skip(2);
        }
        // Only damaged bytes use a window before they describe one.
        let width = self.width.clamp(1, 64);
        self.value ^= self.bits.read(width) << self.trailing.min(63);
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
            let window = self.read_time();
            self.read_value(window);
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
        for (time, _) in samples.iter().step_by(11) {
            let mut reader = writer.reader();
            reader.seek(*time);
            let own = |sample: &Sample| sample.timestamp_ms;
            let after = samples.iter().map(|(own, _)| *own).filter(|own| own > time);
            assert!(
                reader
                    .map(|sample| own(&sample))
                    .filter(|own| own > time)
                    .eq(after)
            );
            assert_eq!(
                writer.reader().last_until(*time).as_ref().map(own),
                Some(*time)
            );
        }
        assert!(
            writer.marks.len()
                <= usize::from(CHUNK_SAMPLES / STEP_SAMPLES / u16::from(STEPS_KEPT)) + 3
        );
        let chunk = writer.close(Totals::default());
        assert!(chunk.marks.iter().all(Mark::is_kept));
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
        for (time, _) in samples.iter().step_by(7) {
            let mut reader = chunk.reader();
            let skipped = reader.seek(*time);
            let rest: Vec<(i64, u64)> = reader
                .map(|sample| (sample.timestamp_ms, sample.value.to_bits()))
                .filter(|(own, _)| own > time)
                .collect();
            let after: Vec<(i64, u64)> = expected
                .iter()
                .copied()
                .filter(|(own, _)| own > time)
                .collect();
            assert_eq!(rest, after);
            assert!(skipped <= expected.len() - after.len());
            let last = chunk.reader().last_until(*time);
            assert_eq!(last.map(|sample| sample.timestamp_ms), Some(*time));
        }
        assert_eq!(chunk.reader().last_until(i64::MIN), None);
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
        assert!(bytes < 5 * usize::from(CHUNK_SAMPLES) / 2, "{bytes} bytes");
    }

    proptest! {
        #[test]
        fn random_samples_come_back(
            steps in prop::collection::vec((1_i64..10_000_000_000, any::<u64>()), 0..360),
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
            ChunkReader::new(&bytes, &[], 0, count).for_each(drop);
        }
    }
}

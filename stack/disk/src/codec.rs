//! Numbers and texts to bytes and back.

use gameday_signal::Labels;

/// Appends `value` in LEB128: seven bits a byte, the lowest first.
#[inline]
pub fn put_unsigned(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends `value` so that small magnitudes of either sign stay short (protobuf's zigzag).
#[inline]
pub fn put_signed(out: &mut Vec<u8>, value: i64) {
    put_unsigned(out, ((value << 1) ^ (value >> 63)) as u64);
}

/// Writes values one after the other.
#[derive(Clone, Debug, Default)]
pub struct Encoder(
    /// What has been written.
    pub Vec<u8>,
);

impl Encoder {
    /// One byte.
    #[inline]
    pub fn byte(&mut self, value: u8) {
        self.0.push(value);
    }

    /// A number that is small most of the time.
    #[inline]
    pub fn unsigned(&mut self, value: u64) {
        put_unsigned(&mut self.0, value);
    }

    /// A number of either sign whose magnitude is small most of the time.
    #[inline]
    pub fn signed(&mut self, value: i64) {
        put_signed(&mut self.0, value);
    }

    /// The bits of a number.
    #[inline]
    pub fn float(&mut self, value: f64) {
        self.0.extend_from_slice(&value.to_bits().to_le_bytes());
    }

    /// Numbers behind their count.
    pub fn floats(&mut self, values: &[f64]) {
        self.unsigned(values.len() as u64);
        values.iter().for_each(|value| self.float(*value));
    }

    /// Bytes behind their length.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.unsigned(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    /// A text behind its length in bytes.
    pub fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// Names and values behind their count.
    pub fn labels(&mut self, labels: &Labels) {
        self.unsigned(labels.len() as u64);
        for (name, value) in labels.iter() {
            self.text(name);
            self.text(value);
        }
    }
}

/// Reads values in the order in which they were written; `None` where the bytes end or make no sense.
#[derive(Clone, Copy, Debug)]
pub struct Decoder<'b>(
    /// What has not been read yet.
    pub &'b [u8],
);

impl<'b> Decoder<'b> {
    /// Whether all has been read.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next `count` bytes.
    #[inline]
    pub fn take(&mut self, count: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// One byte.
    #[inline]
    pub fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// What [`Encoder::unsigned`] has written; `None` where it would have more than 64 bits.
    #[inline]
    pub fn unsigned(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    /// What [`Encoder::unsigned`] has written, if it fits.
    pub fn small(&mut self) -> Option<u32> {
        u32::try_from(self.unsigned()?).ok()
    }

    /// What [`Encoder::signed`] has written.
    #[inline]
    pub fn signed(&mut self) -> Option<i64> {
        let value = self.unsigned()?;
        Some((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// The bits of a number.
    #[inline]
    pub fn float(&mut self) -> Option<f64> {
        let (bits, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(f64::from_bits(u64::from_le_bytes(*bits)))
    }

    /// A count of things that the rest of the bytes can hold, each of at least `least` bytes: damaged bytes cannot ask for more memory
    /// than there is.
    pub fn length(&mut self, least: usize) -> Option<usize> {
        let length = usize::try_from(self.unsigned()?).ok()?;
        (length <= self.0.len() / least.max(1)).then_some(length)
    }

    /// Numbers behind their count.
    pub fn floats(&mut self) -> Option<Vec<f64>> {
        let length = self.length(size_of::<f64>())?;
        (0..length).map(|_| self.float()).collect()
    }

    /// Bytes behind their length.
    pub fn bytes(&mut self) -> Option<&'b [u8]> {
        let length = self.length(1)?;
        self.take(length)
    }

    /// A text behind its length in bytes.
    pub fn text(&mut self) -> Option<&'b str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    /// Names and values behind their count.
    pub fn labels(&mut self) -> Option<Labels> {
        let length = self.length(2)?;
        let pairs: Option<Vec<_>> = (0..length)
            .map(|_| Some((self.text()?, self.text()?)))
            .collect();
        Some(Labels::new(pairs?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_take_a_byte_for_seven_bits() {
        for (value, bytes) in [(0, 1), (127, 1), (128, 2), (300, 2), (u64::MAX, 10)] {
            let mut out = Encoder::default();
            out.unsigned(value);
            assert_eq!(out.0.len(), bytes);
            assert_eq!(Decoder(&out.0).unsigned(), Some(value));
            assert_eq!(Decoder(&out.0[..bytes - 1]).unsigned(), None);
        }
        assert_eq!(Decoder(&[0xff; 11]).unsigned(), None);
        for (value, bytes) in [(0, 1), (-1, 1), (63, 1), (-64, 1), (64, 2), (i64::MIN, 10)] {
            let mut out = Encoder::default();
            out.signed(value);
            assert_eq!(out.0.len(), bytes);
            assert_eq!(Decoder(&out.0).signed(), Some(value));
        }
    }

    #[test]
    fn a_length_never_asks_for_more_than_there_is() {
        let mut out = Encoder::default();
        out.unsigned(3);
        out.0.extend([0; 6]);
        assert_eq!(Decoder(&out.0).length(2), Some(3));
        assert_eq!(Decoder(&out.0).length(3), None);
        assert_eq!(Decoder(&[200, 1, 0]).bytes(), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(unsigned in any::<u64>(), signed in any::<i64>(), bits in any::<u64>(), text in ".*") {
            let labels = Labels::new([("__name__", text.as_str()), ("ü", "\n")]);
            let mut encoder = Encoder::default();
            encoder.unsigned(unsigned);
            encoder.signed(signed);
            encoder.float(f64::from_bits(bits));
            encoder.floats(&[0.5, -1.0]);
            encoder.text(&text);
            encoder.labels(&labels);
            let mut decoder = Decoder(&encoder.0);
            prop_assert_eq!(decoder.unsigned(), Some(unsigned));
            prop_assert_eq!(decoder.signed(), Some(signed));
            prop_assert_eq!(decoder.float().map(f64::to_bits), Some(bits));
            prop_assert_eq!(decoder.floats(), Some(vec![0.5, -1.0]));
            prop_assert_eq!(decoder.text(), Some(text.as_str()));
            prop_assert_eq!(decoder.labels(), Some(labels));
            prop_assert!(decoder.is_empty());
        }
    }
}

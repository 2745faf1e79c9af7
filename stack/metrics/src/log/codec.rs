//! Numbers and texts to bytes and back.

/// Writes values one after the other.
#[derive(Debug, Default)]
pub(crate) struct Encoder(pub(crate) Vec<u8>);

impl Encoder {
    pub(crate) fn byte(&mut self, value: u8) {
        self.0.push(value);
    }

    /// Seven bits a byte, the lowest first.
    pub(crate) fn unsigned(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push((value as u8) | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    /// Small magnitudes become small numbers.
    pub(crate) fn signed(&mut self, value: i64) {
        self.unsigned(((value << 1) ^ (value >> 63)) as u64);
    }

    pub(crate) fn float(&mut self, value: f64) {
        self.0.extend_from_slice(&value.to_bits().to_le_bytes());
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.unsigned(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn floats(&mut self, values: &[f64]) {
        self.unsigned(values.len() as u64);
        values.iter().for_each(|value| self.float(*value));
    }
}

/// Reads values in the order in which they were written; `None` where the bytes end or make no sense.
#[derive(Clone, Debug)]
pub(crate) struct Decoder<'b>(pub(crate) &'b [u8]);

impl<'b> Decoder<'b> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self, count: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    pub(crate) fn unsigned(&mut self) -> Option<u64> {
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

    pub(crate) fn signed(&mut self) -> Option<i64> {
        let value = self.unsigned()?;
        Some((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    pub(crate) fn float(&mut self) -> Option<f64> {
        let bytes: [u8; 8] = self.take(8)?.try_into().ok()?;
        Some(f64::from_bits(u64::from_le_bytes(bytes)))
    }

    /// A length that the rest of the bytes can hold, each of at least `least` bytes.
    pub(crate) fn length(&mut self, least: usize) -> Option<usize> {
        let length = usize::try_from(self.unsigned()?).ok()?;
        (length <= self.0.len() / least.max(1)).then_some(length)
    }

    pub(crate) fn bytes(&mut self) -> Option<&'b [u8]> {
        let length = self.length(1)?;
        self.take(length)
    }

    pub(crate) fn text(&mut self) -> Option<&'b str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    pub(crate) fn floats(&mut self) -> Option<Vec<f64>> {
        let length = self.length(8)?;
        (0..length).map(|_| self.float()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(unsigned in any::<u64>(), signed in any::<i64>(), bits in any::<u64>(), text in ".*") {
            let mut encoder = Encoder::default();
            encoder.unsigned(unsigned);
            encoder.signed(signed);
            encoder.float(f64::from_bits(bits));
            encoder.bytes(text.as_bytes());
            let mut decoder = Decoder(&encoder.0);
            prop_assert_eq!(decoder.unsigned(), Some(unsigned));
            prop_assert_eq!(decoder.signed(), Some(signed));
            prop_assert_eq!(decoder.float().map(f64::to_bits), Some(bits));
            prop_assert_eq!(decoder.text(), Some(text.as_str()));
            prop_assert!(decoder.is_empty());
        }
    }
}

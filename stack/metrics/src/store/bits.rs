//! Bits in bytes, the most significant first.

/// By so much the memory of a writer grows.
const GROWTH_BYTES: usize = 96;

/// Appends bits.
#[derive(Clone, Debug, Default)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    /// Bits of the last byte that are not used yet.
    free: u32,
}

impl BitWriter {
    /// Appends the lowest `count` bits of `value`; at most 64.
    pub(super) fn write(&mut self, value: u64, count: u32) {
        let mut left = count;
        while left > 0 {
            if self.free == 0 {
                if self.bytes.len() == self.bytes.capacity() {
                    // Doubling would leave a third of all heads' memory unused.
                    self.bytes.reserve_exact(GROWTH_BYTES);
                }
                self.bytes.push(0);
                self.free = 8;
            }
            let taken = left.min(self.free);
            let part = (value >> (left - taken)) & ((1 << taken) - 1);
            self.free -= taken;
            left -= taken;
            if let Some(last) = self.bytes.last_mut() {
                *last |= (part as u8) << self.free;
            }
        }
    }

    /// How many bits there are.
    pub(super) fn position(&self) -> usize {
        self.bytes.len() * 8 - self.free as usize
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    pub(super) fn into_bytes(self) -> Box<[u8]> {
        self.bytes.into_boxed_slice()
    }
}

/// Reads bits; zeros behind the end.
#[derive(Clone, Debug)]
pub(super) struct BitReader<'b> {
    bytes: &'b [u8],
    position: usize,
}

impl<'b> BitReader<'b> {
    pub(super) fn new(bytes: &'b [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// Whether everything has been read.
    pub(super) fn is_past_end(&self) -> bool {
        self.position > self.bytes.len() * 8
    }

    /// The next 64 bits, which stay unread.
    pub(super) fn window(&self) -> u64 {
        let byte = self.position / 8;
        let shift = (self.position % 8) as u32;
        let (high, next) = match self.bytes.get(byte..byte + 9) {
            Some(nine) => {
                let mut eight = [0; 8];
                eight.copy_from_slice(&nine[..8]);
                (u64::from_be_bytes(eight), nine[8])
            }
            None => {
                let mut eight = [0; 8];
                let rest = self.bytes.get(byte..).unwrap_or_default();
                let length = rest.len().min(8);
                eight[..length].copy_from_slice(&rest[..length]);
                (u64::from_be_bytes(eight), 0)
            }
        };
        if shift == 0 {
            high
        } else {
            (high << shift) | (u64::from(next) >> (8 - shift))
        }
    }

    /// The next `count` bits; 1 to 64.
    pub(super) fn read(&mut self, count: u32) -> u64 {
        let value = self.window() >> (64 - count);
        self.position += count as usize;
        value
    }

    /// Leaves out `count` bits.
    pub(super) fn skip(&mut self, count: u32) {
        self.position += count as usize;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut writer = BitWriter::default();
        let parts = [
            (1, 1),
            (0b101, 3),
            (u64::MAX, 64),
            (0, 7),
            (0x1234_5678_9abc, 48),
            (0b0111, 4),
        ];
        for (value, count) in parts {
            writer.write(value, count);
        }
        let bytes = writer.into_bytes();
        let mut reader = BitReader::new(&bytes);
        for (value, count) in parts {
            assert_eq!(reader.read(count), value);
        }
        assert!(!reader.is_past_end());
        reader.read(8);
        assert!(reader.is_past_end());
    }
}

//! Variable-length integers and the compression of sealed blocks.

/// Appends `value` in LEB128, seven bits a byte, the lowest first.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Reads a LEB128 integer at `*at` and moves `*at` behind it; none where the bytes end too early or hold more than 64 bits.
pub(crate) fn get_varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// Small for small numbers of either sign.
pub(crate) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// The inverse of [`zigzag`].
pub(crate) fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// How the bytes of a [`Packed`] are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    /// Not at all: compression would not have made them smaller.
    Raw,
    /// LZ4 blocks: fast to read, for blocks in memory.
    Lz4,
}

/// Compressed bytes.
#[derive(Clone, Debug)]
pub(crate) struct Packed {
    pub(crate) codec: Codec,
    pub(crate) raw_len: usize,
    pub(crate) bytes: Box<[u8]>,
}

impl Packed {
    /// Compresses for memory.
    pub(crate) fn fast(raw: &[u8]) -> Self {
        let bytes = lz4_flex::block::compress(raw);
        if bytes.len() < raw.len() {
            Self {
                codec: Codec::Lz4,
                raw_len: raw.len(),
                bytes: bytes.into_boxed_slice(),
            }
        } else {
            Self {
                codec: Codec::Raw,
                raw_len: raw.len(),
                bytes: raw.into(),
            }
        }
    }

    /// Replaces what `out` holds by the raw bytes; false where the bytes are damaged.
    pub(crate) fn unpack_into(&self, out: &mut Vec<u8>) -> bool {
        out.clear();
        match self.codec {
            Codec::Raw => {
                out.extend_from_slice(&self.bytes);
                true
            }
            Codec::Lz4 => {
                out.resize(self.raw_len, 0);
                lz4_flex::block::decompress_into(&self.bytes, out)
                    .is_ok_and(|written| written == self.raw_len)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_and_zigzag_round_trip() {
        for value in [0, 1, 127, 128, 300, u64::MAX] {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            let mut at = 0;
            assert_eq!(get_varint(&bytes, &mut at), Some(value));
            assert_eq!(at, bytes.len());
            assert_eq!(get_varint(&bytes[..bytes.len() - 1], &mut 0), None);
        }
        for value in [0, -1, 1, i64::MIN, i64::MAX] {
            assert_eq!(unzigzag(zigzag(value)), value);
        }
    }

    #[test]
    fn what_is_packed_comes_back() {
        for raw in [Vec::new(), vec![7; 10_000], (0..=255).collect::<Vec<u8>>()] {
            let mut out = vec![1, 2, 3];
            assert!(Packed::fast(&raw).unpack_into(&mut out));
            assert_eq!(out, raw);
        }
        let mut broken = Packed::fast(&[7; 10_000]);
        broken.raw_len = 9_999;
        assert!(!broken.unpack_into(&mut Vec::new()));
    }
}

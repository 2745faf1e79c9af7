//! Variable-length integers and the compression of sealed blocks.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

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

/// Appends `bytes` behind their length.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Reads what was written, in the same order; none where the bytes end or make no sense.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'b>(pub(crate) &'b [u8]);

impl<'b> Reader<'b> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn take(&mut self, count: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    pub(crate) fn unsigned(&mut self) -> Option<u64> {
        let mut at = 0;
        let value = get_varint(self.0, &mut at)?;
        self.0 = &self.0[at..];
        Some(value)
    }

    pub(crate) fn signed(&mut self) -> Option<i64> {
        self.unsigned().map(unzigzag)
    }

    pub(crate) fn small(&mut self) -> Option<u32> {
        u32::try_from(self.unsigned()?).ok()
    }

    /// A number of things of at least one byte each, which the rest of the bytes can hold.
    pub(crate) fn length(&mut self) -> Option<usize> {
        let length = usize::try_from(self.unsigned()?).ok()?;
        (length <= self.0.len()).then_some(length)
    }

    pub(crate) fn bytes(&mut self) -> Option<&'b [u8]> {
        let length = self.length()?;
        self.take(length)
    }

    pub(crate) fn text(&mut self) -> Option<&'b str> {
        std::str::from_utf8(self.bytes()?).ok()
    }
}

/// How the bytes of a [`Packed`] are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    /// Not at all: compression would not have made them smaller.
    Raw,
    /// LZ4 blocks: fast to read, for blocks in memory.
    Lz4,
    /// Deflate: half as many bytes, for blocks on disk.
    Deflate,
}

impl Codec {
    /// The number that stands for it in files.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Raw => 0,
            Self::Lz4 => 1,
            Self::Deflate => 2,
        }
    }

    pub(crate) fn of_number(number: u8) -> Option<Self> {
        [Self::Raw, Self::Lz4, Self::Deflate]
            .into_iter()
            .find(|codec| codec.number() == number)
    }
}

/// Log lines shrink to a fifth at this level already; higher ones take twice the time for a tenth less.
const DEFLATE_LEVEL: Compression = Compression::new(3);

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
        Self::of(Codec::Lz4, lz4_flex::block::compress(raw), raw)
    }

    /// Compresses for the disk.
    pub(crate) fn small(raw: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(raw.len());
        // What does not fit into as many bytes is kept raw.
        let status = Compress::new(DEFLATE_LEVEL, false).compress_vec(
            raw,
            &mut bytes,
            FlushCompress::Finish,
        );
        if status.is_ok_and(|status| status == Status::StreamEnd) {
            Self::of(Codec::Deflate, bytes, raw)
        } else {
            Self::of(Codec::Raw, raw.to_vec(), raw)
        }
    }

    fn of(codec: Codec, bytes: Vec<u8>, raw: &[u8]) -> Self {
        if bytes.len() < raw.len() {
            Self {
                codec,
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
            Codec::Deflate => {
                out.reserve_exact(self.raw_len);
                let status = Decompress::new(false).decompress_vec(
                    &self.bytes,
                    out,
                    FlushDecompress::Finish,
                );
                status.is_ok_and(|status| status == Status::StreamEnd) && out.len() == self.raw_len
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
            out = vec![1, 2, 3];
            assert!(Packed::small(&raw).unpack_into(&mut out));
            assert_eq!(out, raw);
        }
        for mut broken in [Packed::fast(&[7; 10_000]), Packed::small(&[7; 10_000])] {
            broken.raw_len = 9_999;
            assert!(!broken.unpack_into(&mut Vec::new()));
        }
    }
}

//! The compression of sealed blocks.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

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

//! gzip and snappy, with a limit on what comes out.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

/// Why a body could not be decompressed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompressionError {
    /// It is more than the receiver takes.
    #[error("decompressed body is larger than the limit of {limit_bytes} bytes")]
    TooLarge {
        /// The limit.
        limit_bytes: usize,
    },
    /// It is not in the format that its sender named.
    #[error("invalid {format} data: {reason}")]
    Invalid {
        /// `gzip` or `snappy`.
        format: &'static str,
        /// What the decoder said.
        reason: String,
    },
}

/// Decompresses gzip (also several members one after the other), at most `limit_bytes`.
///
/// # Errors
/// Where the data is corrupt or truncated, or would become larger than the limit (a gzip bomb).
pub fn gunzip(data: &[u8], limit_bytes: usize) -> Result<Vec<u8>, CompressionError> {
    let mut out = Vec::with_capacity(data.len().saturating_mul(4).min(limit_bytes));
    // One byte more than allowed tells a body of the limit from a larger one.
    MultiGzDecoder::new(data)
        .take((limit_bytes as u64).saturating_add(1))
        .read_to_end(&mut out)
        .map_err(|error| CompressionError::Invalid {
            format: "gzip",
            reason: error.to_string(),
        })?;
    if out.len() > limit_bytes {
        return Err(CompressionError::TooLarge { limit_bytes });
    }
    Ok(out)
}

/// Compresses with gzip; the header holds no time and no name, so that the same data gives the same bytes.
pub fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder
        .write_all(data)
        .and_then(|()| encoder.finish())
        .expect("invariant: writing into memory does not fail")
}

/// Decompresses a snappy block, at most `limit_bytes`; the announced length is looked at before memory is taken.
///
/// # Errors
/// Where the data is corrupt or announces more than the limit.
pub fn snappy_decode(data: &[u8], limit_bytes: usize) -> Result<Vec<u8>, CompressionError> {
    let invalid = |error: snap::Error| CompressionError::Invalid {
        format: "snappy",
        reason: error.to_string(),
    };
    if snap::raw::decompress_len(data).map_err(invalid)? > limit_bytes {
        return Err(CompressionError::TooLarge { limit_bytes });
    }
    snap::raw::Decoder::new()
        .decompress_vec(data)
        .map_err(invalid)
}

/// Compresses into a snappy block.
pub fn snappy_encode(data: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new()
        .compress_vec(data)
        .expect("invariant: bodies are far below snappy's limit of 4 GiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips() {
        let data = b"one line after the other, one line after the other".repeat(100);
        assert_eq!(gunzip(&gzip(&data), data.len()), Ok(data.clone()));
        assert_eq!(
            snappy_decode(&snappy_encode(&data), data.len()),
            Ok(data.clone())
        );
        assert_eq!(gunzip(&gzip(b""), 0), Ok(Vec::new()));
        assert_eq!(gzip(&data), gzip(&data));
    }

    #[test]
    fn refuses_bombs() {
        let bomb = gzip(&vec![0; 10 << 20]);
        assert!(bomb.len() < 100_000);
        assert_eq!(
            gunzip(&bomb, 1 << 20),
            Err(CompressionError::TooLarge {
                limit_bytes: 1 << 20
            })
        );
        // A block that announces 4 GiB in five bytes.
        assert_eq!(
            snappy_decode(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0], 1 << 20),
            Err(CompressionError::TooLarge {
                limit_bytes: 1 << 20
            })
        );
    }

    #[test]
    fn refuses_corrupt_data() {
        let whole = gzip(b"hello hello hello");
        assert!(gunzip(&whole[..whole.len() - 3], 100).is_err());
        assert!(gunzip(b"no gzip", 100).is_err());
        assert!(snappy_decode(b"", 100).is_err());
        assert!(snappy_decode(&[10, 0xff, 0xff], 100).is_err());
    }
}

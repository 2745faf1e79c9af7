//! Records in a file: length, CRC-32, bytes.

use crate::Encoder;

/// The bytes that stand before a record: its length and its checksum, four little-endian bytes each.
const HEADER_BYTES: usize = 8;

/// Appends the record that `write` writes, behind its length and checksum.
pub fn put(out: &mut Encoder, write: impl FnOnce(&mut Encoder)) {
    let start = out.0.len();
    out.0.extend_from_slice(&[0; HEADER_BYTES]);
    write(out);
    let (header, record) = out.0[start..].split_at_mut(HEADER_BYTES);
    // A reader takes a record that is cut off for damaged; what the rooms write is far smaller.
    let length = u32::try_from(record.len()).unwrap_or(u32::MAX);
    header[..4].copy_from_slice(&length.to_le_bytes());
    header[4..].copy_from_slice(&crc32fast::hash(record).to_le_bytes());
}

/// The records of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Split<'b> {
    /// Those before the first bad one.
    pub records: Vec<&'b [u8]>,
    /// How many bytes they take in the file.
    pub good_bytes: usize,
    /// What is wrong with the rest, as the end of a sentence about the file.
    pub damage: Option<&'static str>,
}

/// Takes a file apart.
pub fn split(bytes: &[u8]) -> Split<'_> {
    let mut split = Split::default();
    while split.good_bytes < bytes.len() {
        match first(&bytes[split.good_bytes..]) {
            Ok(record) => {
                split.records.push(record);
                split.good_bytes += HEADER_BYTES + record.len();
            }
            Err(damage) => {
                split.damage = Some(damage);
                break;
            }
        }
    }
    split
}

fn first(bytes: &[u8]) -> Result<&[u8], &'static str> {
    let torn = "ends in the middle of a record";
    let (length, rest) = bytes.split_first_chunk().ok_or(torn)?;
    let (checksum, rest) = rest.split_first_chunk().ok_or(torn)?;
    let length = u32::from_le_bytes(*length) as usize;
    let record = rest.get(..length).ok_or(torn)?;
    if crc32fast::hash(record) == u32::from_le_bytes(*checksum) {
        Ok(record)
    } else {
        Err("has a record with a wrong checksum")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn records_come_back_up_to_the_first_bad_one() {
        let mut file = Encoder::default();
        for record in ["one", "", "three"] {
            put(&mut file, |out| out.0.extend_from_slice(record.as_bytes()));
        }
        let file = file.0;
        let all: [&[u8]; 3] = [b"one", b"", b"three"];
        let whole = Split {
            records: all.to_vec(),
            good_bytes: file.len(),
            damage: None,
        };
        assert_eq!(split(&file), whole);
        let torn = Split {
            records: all[..2].to_vec(),
            good_bytes: 19,
            damage: Some("ends in the middle of a record"),
        };
        assert_eq!(split(&file[..file.len() - 1]), torn);
        assert_eq!(split(&file[..22]), torn);
        let mut wrong = file.clone();
        wrong[18] ^= 1;
        let wrong = split(&wrong);
        assert_eq!((wrong.records.len(), wrong.good_bytes), (1, 11));
        assert_eq!(wrong.damage, Some("has a record with a wrong checksum"));
    }

    #[test]
    fn checksums_are_those_of_ieee() {
        let mut file = Encoder::default();
        put(&mut file, |out| out.0.extend_from_slice(b"123456789"));
        // The check value of the catalogue of CRC algorithms.
        assert_eq!(file.0[4..8], 0xcbf4_3926_u32.to_le_bytes());
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let split = split(&bytes);
            prop_assert_eq!(split.good_bytes == bytes.len(), split.damage.is_none());
        }
    }
}

//! Records in a file: length, CRC-32, bytes.

use flate2::Crc;

/// The bytes that stand before a record: its length and its checksum.
const FRAME_BYTES: usize = 8;

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// Appends a record with its length and checksum.
pub(super) fn put_frame(out: &mut Vec<u8>, record: &[u8]) {
    let length = u32::try_from(record.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&crc32(record).to_le_bytes());
    out.extend_from_slice(record);
}

/// The records of a file up to the first bad one, how many bytes they take, and what is wrong with the rest.
pub(super) fn split_frames(bytes: &[u8]) -> (Vec<&[u8]>, usize, Option<&'static str>) {
    let (mut records, mut good) = (Vec::new(), 0);
    while good < bytes.len() {
        match frame_at(&bytes[good..]) {
            Ok(record) => {
                records.push(record);
                good += FRAME_BYTES + record.len();
            }
            Err(reason) => return (records, good, Some(reason)),
        }
    }
    (records, good, None)
}

fn frame_at(bytes: &[u8]) -> Result<&[u8], &'static str> {
    let torn = "ends in the middle of a record";
    let (header, rest) = bytes.split_at_checked(FRAME_BYTES).ok_or(torn)?;
    let word = |at: usize| {
        header[at..at + 4]
            .iter()
            .rev()
            .fold(0u32, |word, byte| word << 8 | u32::from(*byte))
    };
    let record = rest.get(..word(0) as usize).ok_or(torn)?;
    if crc32(record) == word(4) {
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
        let mut file = Vec::new();
        for record in ["one", "", "three"] {
            put_frame(&mut file, record.as_bytes());
        }
        let all: Vec<&[u8]> = vec![b"one", b"", b"three"];
        assert_eq!(split_frames(&file), (all.clone(), file.len(), None));
        let cut = &file[..file.len() - 1];
        let torn = Some("ends in the middle of a record");
        assert_eq!(split_frames(cut), (all[..2].to_vec(), 19, torn));
        let mut wrong = file.clone();
        wrong[18] ^= 1;
        let (records, good, reason) = split_frames(&wrong);
        assert_eq!((records.len(), good), (1, 11));
        assert_eq!(reason, Some("has a record with a wrong checksum"));
        // The check value of the catalogue of CRC algorithms.
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let (_, good, reason) = split_frames(&bytes);
            prop_assert_eq!(good == bytes.len(), reason.is_none());
        }
    }
}

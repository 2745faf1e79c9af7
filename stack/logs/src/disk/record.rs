//! What stands in a batch of the log.

use gameday_signal::Labels;

use crate::Entry;
use crate::store::codec::{Reader, put_bytes, put_varint, zigzag};

/// The kinds of records, as their first byte says.
const STREAM: u8 = 1;
const ENTRY: u8 = 2;

/// Records in the order in which they were read or are to be written.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) bytes: Vec<u8>,
    /// The time of the line before.
    before_ts: i64,
}

impl Batch {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.before_ts = 0;
    }

    /// From here on this number stands for these labels.
    pub(super) fn stream(&mut self, number: u64, labels: &Labels) {
        self.bytes.push(STREAM);
        put_varint(&mut self.bytes, number);
        put_labels(&mut self.bytes, labels);
    }

    pub(super) fn entry(&mut self, number: u64, entry: &Entry) {
        let timestamp = entry.timestamp.as_nanos();
        self.bytes.push(ENTRY);
        put_varint(&mut self.bytes, number);
        put_varint(
            &mut self.bytes,
            zigzag(timestamp.wrapping_sub(self.before_ts)),
        );
        self.before_ts = timestamp;
        put_bytes(&mut self.bytes, entry.line.as_bytes());
        put_varint(&mut self.bytes, entry.metadata.len() as u64);
        for (name, value) in &entry.metadata {
            put_bytes(&mut self.bytes, name.as_bytes());
            put_bytes(&mut self.bytes, value.as_bytes());
        }
    }

    /// The batch as it is written: a length, and LZ4.
    pub(super) fn packed(&self) -> Vec<u8> {
        lz4_flex::block::compress_prepend_size(&self.bytes)
    }
}

pub(super) fn put_labels(out: &mut Vec<u8>, labels: &Labels) {
    put_varint(out, labels.len() as u64);
    for (name, value) in labels.iter() {
        put_bytes(out, name.as_bytes());
        put_bytes(out, value.as_bytes());
    }
}

pub(super) fn get_labels(reader: &mut Reader<'_>) -> Option<Labels> {
    let count = reader.length()?;
    let pairs: Option<Vec<_>> = (0..count)
        .map(|_| Some((reader.text()?, reader.text()?)))
        .collect();
    Some(Labels::new(pairs?))
}

/// A line that the log has, with the number of its stream.
pub(crate) enum ReplayedEntry {
    /// From here on this number stands for these labels.
    Stream(u64, Labels),
    /// A line of the stream with this number.
    Entry(u64, i64, String, Vec<(String, String)>),
}

/// Hands the records of a batch to `visit`; false where the batch makes no sense from some record on.
pub(crate) fn read_batch(packed: &[u8], mut visit: impl FnMut(ReplayedEntry)) -> bool {
    let Ok(bytes) = lz4_flex::block::decompress_size_prepended(packed) else {
        return false;
    };
    let mut reader = Reader(&bytes);
    let mut before_ts = 0;
    while !reader.is_empty() {
        match read_record(&mut reader, &mut before_ts) {
            Some(record) => visit(record),
            None => return false,
        }
    }
    true
}

fn read_record(reader: &mut Reader<'_>, before_ts: &mut i64) -> Option<ReplayedEntry> {
    let kind = reader.byte()?;
    let number = reader.unsigned()?;
    match kind {
        STREAM => Some(ReplayedEntry::Stream(number, get_labels(reader)?)),
        ENTRY => {
            *before_ts = before_ts.wrapping_add(reader.signed()?);
            let line = reader.text()?.to_owned();
            let count = reader.length()?;
            let metadata: Option<Vec<_>> = (0..count)
                .map(|_| Some((reader.text()?.to_owned(), reader.text()?.to_owned())))
                .collect();
            Some(ReplayedEntry::Entry(number, *before_ts, line, metadata?))
        }
        _ => None,
    }
}

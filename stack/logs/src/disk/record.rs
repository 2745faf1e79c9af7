//! What stands in a batch of the log.

use gameday_disk::{Decoder, Encoder};
use gameday_signal::Labels;

use crate::{Entry, Metadata};

/// The kinds of records, as their first byte says.
const STREAM: u8 = 1;
const ENTRY: u8 = 2;

/// Records in the order in which they are to be written.
#[derive(Debug, Default)]
pub(super) struct Batch {
    out: Encoder,
    /// The time of the line before.
    before_ts: i64,
}

impl Batch {
    pub(super) fn clear(&mut self) {
        self.out.0.clear();
        self.before_ts = 0;
    }

    /// How many bytes it has before it is packed.
    pub(super) fn bytes(&self) -> usize {
        self.out.0.len()
    }

    /// From here on this number stands for these labels.
    pub(super) fn stream(&mut self, number: u64, labels: &Labels) {
        self.out.byte(STREAM);
        self.out.unsigned(number);
        self.out.labels(labels);
    }

    pub(super) fn entry(&mut self, number: u64, entry: &Entry) {
        let timestamp = entry.timestamp.as_nanos();
        self.out.byte(ENTRY);
        self.out.unsigned(number);
        self.out.signed(timestamp.wrapping_sub(self.before_ts));
        self.before_ts = timestamp;
        self.out.text(&entry.line);
        self.out.unsigned(entry.metadata.len() as u64);
        for (name, value) in entry.metadata.iter() {
            self.out.text(name);
            self.out.text(value);
        }
    }

    /// The batch as it is written: a length, and LZ4.
    pub(super) fn packed(&self) -> Vec<u8> {
        lz4_flex::block::compress_prepend_size(&self.out.0)
    }
}

/// A line that the log has, with the number of its stream.
pub(crate) enum ReplayedEntry {
    /// From here on this number stands for these labels.
    Stream(u64, Labels),
    /// A line of the stream with this number.
    Entry(u64, i64, String, Metadata),
}

/// Hands the records of a batch to `visit`; false where the batch makes no sense from some record on.
pub(crate) fn read_batch(packed: &[u8], mut visit: impl FnMut(ReplayedEntry)) -> bool {
    let Ok(bytes) = lz4_flex::block::decompress_size_prepended(packed) else {
        return false;
    };
    let mut reader = Decoder(&bytes);
    let mut before_ts = 0;
    while !reader.is_empty() {
        match read_record(&mut reader, &mut before_ts) {
            Some(record) => visit(record),
            None => return false,
        }
    }
    true
}

fn read_record(reader: &mut Decoder<'_>, before_ts: &mut i64) -> Option<ReplayedEntry> {
    let kind = reader.byte()?;
    let number = reader.unsigned()?;
    match kind {
        STREAM => Some(ReplayedEntry::Stream(number, reader.labels()?)),
        ENTRY => {
            *before_ts = before_ts.wrapping_add(reader.signed()?);
            let line = reader.text()?.to_owned();
            let count = reader.length(2)?;
            let metadata: Option<Metadata> = (0..count)
                .map(|_| Some((reader.text()?, reader.text()?)))
                .collect();
            Some(ReplayedEntry::Entry(number, *before_ts, line, metadata?))
        }
        _ => None,
    }
}

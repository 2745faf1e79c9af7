//! A run of lines of one stream: the growing head and the sealed, compressed blocks.

use gameday_disk::Decoder;
use gameday_disk::codec::{put_signed, put_unsigned};

use super::codec::Packed;

/// Lines next to each other in one text, with their times and metadata; the common form of the head and of an unpacked block.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lines {
    /// Nanoseconds since the epoch, one for each line.
    pub(crate) timestamps: Vec<i64>,
    /// Where each line ends in `text`.
    pub(crate) ends: Vec<u32>,
    /// The lines, one after the other.
    pub(crate) text: String,
    /// Where each line's packed metadata ends in `metadata`; empty while no line has any.
    pub(crate) metadata_ends: Vec<u32>,
    /// The packed metadata, one run after the other.
    pub(crate) metadata: Vec<u8>,
}

impl Lines {
    /// The number of lines.
    pub(crate) fn len(&self) -> usize {
        self.timestamps.len()
    }

    /// The line at `index`.
    pub(crate) fn line(&self, index: usize) -> &str {
        &self.text[self.end_before(index)..self.ends[index] as usize]
    }

    /// Where the line before `index` ends.
    pub(crate) fn end_before(&self, index: usize) -> usize {
        index
            .checked_sub(1)
            .map_or(0, |before| self.ends[before] as usize)
    }

    /// The bytes of the line at `index`.
    pub(crate) fn length(&self, index: usize) -> usize {
        self.ends[index] as usize - self.end_before(index)
    }

    /// The packed metadata of the line at `index`.
    pub(crate) fn metadata_of(&self, index: usize) -> &[u8] {
        if self.metadata_ends.is_empty() {
            return &[];
        }
        let start = if index == 0 {
            0
        } else {
            self.metadata_ends[index - 1] as usize
        };
        &self.metadata[start..self.metadata_ends[index] as usize]
    }

    /// Appends a line; `metadata` is packed.
    pub(crate) fn push(&mut self, timestamp: i64, line: &str, metadata: &[u8]) {
        if !metadata.is_empty() && self.metadata_ends.is_empty() {
            self.metadata_ends.resize(self.len(), 0);
        }
        self.timestamps.push(timestamp);
        self.text.push_str(line);
        self.ends.push(self.text.len() as u32);
        self.metadata.extend_from_slice(metadata);
        if !metadata.is_empty() || !self.metadata_ends.is_empty() {
            self.metadata_ends.push(self.metadata.len() as u32);
        }
    }

    /// The bytes of lines and packed metadata.
    pub(crate) fn bytes(&self) -> usize {
        self.text.len() + self.metadata.len()
    }

    /// Forgets all lines and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.timestamps.clear();
        self.ends.clear();
        self.text.clear();
        self.metadata_ends.clear();
        self.metadata.clear();
    }
}

/// What a reader needs of a block; what it does not need is not unpacked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    /// The text of the lines.
    pub(crate) text: bool,
    /// The structured metadata.
    pub(crate) metadata: bool,
}

/// Lines that no longer change, ordered by time, compressed.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    /// The time of the first line.
    pub(crate) min_ts: i64,
    /// The time of the last line.
    pub(crate) max_ts: i64,
    /// The number of lines.
    pub(crate) count: u32,
    /// Bytes of the lines before compression.
    pub(crate) text_bytes: u32,
    /// Bytes of the packed metadata before compression.
    pub(crate) metadata_bytes: u32,
    /// For each line: time since the line before (zigzag), length, and where there is metadata its length; all as varints.
    pub(crate) columns: Box<[u8]>,
    /// The lines.
    pub(crate) text: Packed,
    /// The metadata; empty where no line has any.
    pub(crate) metadata: Packed,
    /// Whether it stands in a segment on disk.
    pub(crate) saved: bool,
}

impl Block {
    /// Compresses `lines`, taken in the order that `order` gives.
    pub(crate) fn seal(lines: &Lines, order: &[u32], sorted: &mut Lines) -> Self {
        let ordered = if order.is_empty() {
            lines
        } else {
            sorted.clear();
            for &index in order {
                let index = index as usize;
                sorted.push(
                    lines.timestamps[index],
                    lines.line(index),
                    lines.metadata_of(index),
                );
            }
            &*sorted
        };
        let has_metadata = !ordered.metadata.is_empty();
        let mut columns = Vec::with_capacity(ordered.len() * 8);
        let (mut before_ts, mut before_end, mut before_metadata) = (0i64, 0, 0);
        for index in 0..ordered.len() {
            let timestamp = ordered.timestamps[index];
            put_signed(&mut columns, timestamp.wrapping_sub(before_ts));
            before_ts = timestamp;
            put_unsigned(&mut columns, u64::from(ordered.ends[index] - before_end));
            before_end = ordered.ends[index];
            if has_metadata {
                let end = ordered.metadata_ends[index];
                put_unsigned(&mut columns, u64::from(end - before_metadata));
                before_metadata = end;
            }
        }
        Self {
            min_ts: ordered.timestamps.first().copied().unwrap_or(0),
            max_ts: ordered.timestamps.last().copied().unwrap_or(0),
            count: ordered.len() as u32,
            text_bytes: ordered.text.len() as u32,
            metadata_bytes: ordered.metadata.len() as u32,
            columns: columns.into_boxed_slice(),
            text: Packed::fast(ordered.text.as_bytes()),
            metadata: Packed::fast(&ordered.metadata),
            saved: false,
        }
    }

    /// Unpacks what is needed into `out`; false where the block is damaged, and then `out` is empty.
    pub(crate) fn unpack_into(&self, needs: Needs, out: &mut Lines) -> bool {
        let mut text = std::mem::take(&mut out.text).into_bytes();
        let mut whole = !needs.text || self.text.unpack_into(&mut text);
        if !needs.text {
            text.clear();
        }
        out.clear();
        match String::from_utf8(text) {
            Ok(valid) => out.text = valid,
            Err(_) => whole = false,
        }
        let has_metadata = self.metadata_bytes > 0;
        if has_metadata && needs.metadata {
            whole = whole && self.metadata.unpack_into(&mut out.metadata);
        }
        whole = whole && self.unpack_columns(has_metadata, needs, out);
        if !whole {
            out.clear();
        }
        whole
    }

    fn unpack_columns(&self, has_metadata: bool, needs: Needs, out: &mut Lines) -> bool {
        let mut columns = Decoder(&self.columns);
        let (mut timestamp, mut end, mut metadata_end) = (0i64, 0u32, 0u32);
        for _ in 0..self.count {
            let (Some(delta), Some(length)) = (columns.signed(), columns.unsigned()) else {
                return false;
            };
            timestamp = timestamp.wrapping_add(delta);
            end = end.saturating_add(length as u32);
            out.timestamps.push(timestamp);
            out.ends.push(end);
            if has_metadata {
                let Some(length) = columns.unsigned() else {
                    return false;
                };
                metadata_end = metadata_end.saturating_add(length as u32);
                if needs.metadata {
                    out.metadata_ends.push(metadata_end);
                }
            }
        }
        // A damaged length must not make a slice panic later.
        (!needs.text
            || (end as usize == out.text.len()
                && out
                    .ends
                    .iter()
                    .all(|end| out.text.is_char_boundary(*end as usize))))
            && (!needs.metadata || !has_metadata || metadata_end as usize == out.metadata.len())
    }

    /// The bytes that this block takes in memory.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.columns.len() + self.text.bytes.len() + self.metadata.bytes.len() + size_of::<Self>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_lines_come_back_in_order() {
        let mut lines = Lines::default();
        lines.push(20, "second", b"");
        lines.push(10, "first", b"m1");
        lines.push(30, "", b"");
        let block = Block::seal(&lines, &[1, 0, 2], &mut Lines::default());
        assert_eq!((block.min_ts, block.max_ts, block.count), (10, 30, 3));
        let mut out = Lines::default();
        let all = Needs {
            text: true,
            metadata: true,
        };
        assert!(block.unpack_into(all, &mut out));
        assert_eq!(out.timestamps, [10, 20, 30]);
        assert_eq!(
            [out.line(0), out.line(1), out.line(2)],
            ["first", "second", ""]
        );
        assert_eq!(out.metadata_of(0), b"m1");
        assert_eq!(out.metadata_of(2), b"");
        let mut broken = block;
        broken.columns = Box::new([1, 2, 3]);
        assert!(!broken.unpack_into(all, &mut out));
        assert_eq!(out.len(), 0);
    }
}

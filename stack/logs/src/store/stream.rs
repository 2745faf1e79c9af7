//! One stream: its labels, its sealed blocks and the head that still grows.

use std::cmp::Ordering;

use gameday_signal::Labels;

use super::block::{Block, Lines};
use super::metadata::Names;
use crate::Metadata;

/// A head is sealed when it holds this much text: large enough to compress well, small enough that a query for a minute
/// unpacks little (Loki's `chunk_block_size` is 256 KiB too).
const HEAD_TEXT_BYTES: usize = 256 << 10;
/// A head of empty lines is sealed by their number.
const HEAD_LINES: usize = 1 << 16;

/// What became of one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inserted {
    /// It is in the head.
    New,
    /// It was there already.
    Duplicate,
}

/// The log lines of one label set.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    pub(crate) labels: Labels,
    /// Sealed blocks in the order in which they were sealed.
    pub(crate) blocks: Vec<Block>,
    pub(crate) head: Lines,
    /// The order of the head's lines by time; empty while they arrived in order.
    pub(crate) head_order: Vec<u32>,
    /// The latest time ever seen, which the out-of-order window is counted from.
    pub(crate) newest_ts: i64,
    pub(crate) names: Names,
    packed: Vec<u8>,
    /// The lines of the last time of the block that was sealed last, with their metadata: a sender that repeats a batch repeats
    /// them, and the head no longer knows them.
    pub(crate) sealed_end: (i64, Vec<(String, Vec<u8>)>),
}

impl Stream {
    pub(crate) fn new(labels: Labels) -> Self {
        Self {
            labels,
            blocks: Vec::new(),
            head: Lines::default(),
            head_order: Vec::new(),
            newest_ts: i64::MIN,
            names: Names::default(),
            packed: Vec::new(),
            sealed_end: (i64::MIN, Vec::new()),
        }
    }

    /// Adds a line in its place; a line with the same time, text and metadata is there once.
    pub(crate) fn insert(&mut self, timestamp: i64, line: &str, metadata: &Metadata) -> Inserted {
        self.packed.clear();
        super::metadata::pack(&mut self.packed, &mut self.names, metadata);
        let position = self.position_after(timestamp);
        if self.holds_before(position, timestamp, line) || self.was_sealed(timestamp, line) {
            return Inserted::Duplicate;
        }
        let index = self.head.len();
        let in_order = position == index;
        if !in_order && self.head_order.is_empty() {
            self.head_order = (0..index as u32).collect();
        }
        if !self.head_order.is_empty() || !in_order {
            self.head_order.insert(position, index as u32);
        }
        self.head.push(timestamp, line, &self.packed);
        self.newest_ts = self.newest_ts.max(timestamp);
        Inserted::New
    }

    /// Whether the head is large enough to be sealed.
    pub(crate) fn is_head_full(&self) -> bool {
        self.head.text.len() + self.head.metadata.len() >= HEAD_TEXT_BYTES
            || self.head.len() >= HEAD_LINES
    }

    /// Turns the head into a block; `scratch` is memory to work in.
    pub(crate) fn seal_head(&mut self, scratch: &mut Lines) -> Option<&Block> {
        if self.head.len() == 0 {
            return None;
        }
        self.blocks
            .push(Block::seal(&self.head, &self.head_order, scratch));
        let count = self.head.len();
        let last_ts = self.head.timestamps[self.head_index(count - 1)];
        self.sealed_end.0 = last_ts;
        self.sealed_end.1 = (0..count)
            .rev()
            .map(|position| self.head_index(position))
            .take_while(|index| self.head.timestamps[*index] == last_ts)
            .map(|index| {
                let metadata = self.head.metadata_of(index).to_vec();
                (self.head.line(index).to_owned(), metadata)
            })
            .collect();
        self.head.clear();
        self.head_order.clear();
        self.blocks.last()
    }

    /// The head's index of the line that is `position`th by time.
    pub(crate) fn head_index(&self, position: usize) -> usize {
        if self.head_order.is_empty() {
            position
        } else {
            self.head_order[position] as usize
        }
    }

    /// The time of the first line, and of the last.
    pub(crate) fn bounds(&self) -> Option<(i64, i64)> {
        let head = (self.head.len() > 0).then(|| {
            (
                self.head.timestamps[self.head_index(0)],
                self.head.timestamps[self.head_index(self.head.len() - 1)],
            )
        });
        self.blocks
            .iter()
            .map(|block| (block.min_ts, block.max_ts))
            .chain(head)
            .reduce(|left, right| (left.0.min(right.0), left.1.max(right.1)))
    }

    /// Raw bytes of lines and metadata.
    pub(crate) fn raw_bytes(&self) -> u64 {
        let sealed: u64 = self
            .blocks
            .iter()
            .map(|block| u64::from(block.text_bytes) + u64::from(block.metadata_bytes))
            .sum();
        sealed + (self.head.text.len() + self.head.metadata.len()) as u64
    }

    /// Bytes in memory.
    pub(crate) fn heap_bytes(&self) -> usize {
        let blocks: usize = self.blocks.iter().map(Block::heap_bytes).sum();
        blocks
            + self.head.text.capacity()
            + self.head.metadata.capacity()
            + self.head.timestamps.capacity() * 8
            + (self.head.ends.capacity() + self.head.metadata_ends.capacity()) * 4
            + self.head_order.capacity() * 4
            + self.labels.heap_bytes()
    }

    /// Where in the head's order a line of this time goes: behind all of the same time.
    fn position_after(&self, timestamp: i64) -> usize {
        let length = self.head.len();
        if length == 0 || self.head.timestamps[self.head_index(length - 1)] <= timestamp {
            return length;
        }
        let (mut low, mut high) = (0, length);
        while low < high {
            let middle = low.midpoint(high);
            if self.head.timestamps[self.head_index(middle)].cmp(&timestamp) == Ordering::Greater {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        low
    }

    /// Whether the line stands among those of its time, which end at `position`.
    fn holds_before(&self, position: usize, timestamp: i64, line: &str) -> bool {
        (0..position)
            .rev()
            .map(|position| self.head_index(position))
            .take_while(|index| self.head.timestamps[*index] == timestamp)
            .any(|index| {
                self.head.line(index) == line && self.head.metadata_of(index) == self.packed
            })
    }

    /// Whether the line, whose metadata is packed, is one of the last of the block that was sealed last.
    fn was_sealed(&self, timestamp: i64, line: &str) -> bool {
        let (sealed_ts, lines) = &self.sealed_end;
        timestamp == *sealed_ts
            && lines
                .iter()
                .any(|(text, metadata)| text == line && *metadata == self.packed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_head_in_order_and_lines_once() {
        let mut stream = Stream::new(Labels::new([("app", "a")]));
        let none = Metadata::default();
        assert_eq!(stream.insert(10, "b", &none), Inserted::New);
        assert_eq!(stream.insert(10, "c", &none), Inserted::New);
        assert_eq!(stream.insert(10, "b", &none), Inserted::Duplicate);
        assert_eq!(stream.insert(5, "a", &none), Inserted::New);
        assert_eq!(stream.insert(5, "a", &none), Inserted::Duplicate);
        assert_eq!(stream.insert(20, "d", &none), Inserted::New);
        let lines: Vec<&str> = (0..stream.head.len())
            .map(|position| stream.head.line(stream.head_index(position)))
            .collect();
        assert_eq!(lines, ["a", "b", "c", "d"]);
        assert_eq!(stream.bounds(), Some((5, 20)));
        stream.seal_head(&mut Lines::default());
        assert_eq!(stream.bounds(), Some((5, 20)));
        assert_eq!(stream.raw_bytes(), 4);
        assert_eq!(stream.insert(20, "d", &none), Inserted::Duplicate);
        // Metadata tells lines apart.
        let metadata = Metadata::from_iter([("k", "v")]);
        assert_eq!(stream.insert(20, "d", &metadata), Inserted::New);
        assert_eq!(stream.insert(20, "d", &metadata), Inserted::Duplicate);
    }
}

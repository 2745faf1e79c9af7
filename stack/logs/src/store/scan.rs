//! Reading lines.

use std::cell::Cell;
use std::ops::Range;

use memchr::memmem::Finder;

use super::block::{Lines, Needs};
use super::metadata;
use super::stream::Stream;
use crate::stage::LineLabels;

/// How much was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Processed {
    pub(crate) lines: u64,
    pub(crate) bytes: u64,
}

impl Processed {
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            lines: self.lines + other.lines,
            bytes: self.bytes + other.bytes,
        }
    }
}

/// Which lines are read, and how.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scan {
    /// The first time, in nanoseconds.
    pub(crate) from: i64,
    /// The time behind the last one.
    pub(crate) to: i64,
    /// Whether the newest line comes first.
    pub(crate) backward: bool,
    pub(crate) needs: Needs,
    /// Texts that every line of interest contains; lines without the first one are left out.
    pub(crate) literals: Vec<String>,
    /// What the scan has looked at so far.
    pub(crate) processed: Cell<Processed>,
}

impl Scan {
    fn count(&self, lines: usize, bytes: usize) {
        let own = Processed {
            lines: lines as u64,
            bytes: bytes as u64,
        };
        self.processed.set(self.processed.get().and(own));
    }
}

/// A line that was read.
pub(crate) struct Line<'a> {
    pub(crate) timestamp: i64,
    pub(crate) text: &'a str,
    metadata: &'a [u8],
    names: &'a [Box<str>],
}

impl Line<'_> {
    /// Adds the line's metadata to its labels.
    pub(crate) fn add_metadata_to(&self, labels: &mut LineLabels) {
        if !self.metadata.is_empty() {
            self.for_each_metadata(|name, value| labels.add_metadata(name, value));
        }
    }

    /// Calls `visit` with each name and value of the line's metadata.
    pub(crate) fn for_each_metadata(&self, visit: impl FnMut(&str, &str)) {
        let mut scratch = String::new();
        metadata::for_each(self.metadata, self.names, &mut scratch, visit);
    }

    /// The bytes of the packed metadata.
    pub(crate) fn metadata_bytes(&self) -> usize {
        self.metadata.len()
    }
}

/// Memory that the streams of one scan share.
#[derive(Default)]
pub(crate) struct Scratch {
    unpacked: Vec<Lines>,
    candidates: Vec<u32>,
}

/// The lines of one stream.
pub(crate) struct StreamLines<'a> {
    stream: &'a Stream,
    scan: &'a Scan,
    finders: &'a [Finder<'a>],
    scratch: &'a mut Scratch,
}

/// A block of the stream by its number, or the head.
#[derive(Clone, Copy, Debug)]
enum Part {
    Block(usize),
    Head,
}

impl<'a> StreamLines<'a> {
    pub(crate) fn new(
        stream: &'a Stream,
        scan: &'a Scan,
        finders: &'a [Finder<'a>],
        scratch: &'a mut Scratch,
    ) -> Self {
        Self {
            stream,
            scan,
            finders,
            scratch,
        }
    }

    /// Calls `visit` with each line in the order of the scan until it answers false; false where it did.
    pub(crate) fn for_each(self, visit: &mut impl FnMut(Line<'_>) -> bool) -> bool {
        let groups = self.groups();
        let Self {
            stream,
            scan,
            finders,
            scratch,
        } = self;
        let mut step = |group: &[Part]| {
            if let [part] = group {
                single(stream, *part, scan, finders, scratch, visit)
            } else {
                merged(stream, group, scan, scratch, visit)
            }
        };
        if scan.backward {
            groups.iter().rev().all(|group| step(group))
        } else {
            groups.iter().all(|group| step(group))
        }
    }

    /// The parts that the scan touches, ordered by time; those that overlap stand together.
    fn groups(&self) -> Vec<Vec<Part>> {
        let stream = self.stream;
        let head = &stream.head;
        let blocks = stream
            .blocks
            .iter()
            .enumerate()
            .map(|(number, block)| (block.min_ts, block.max_ts, Part::Block(number)));
        let head = (head.len() > 0).then(|| {
            let first = head.timestamps[stream.head_index(0)];
            let last = head.timestamps[stream.head_index(head.len() - 1)];
            (first, last, Part::Head)
        });
        let mut parts: Vec<(i64, i64, Part)> = blocks
            .chain(head)
            .filter(|(min, max, _)| *min < self.scan.to && *max >= self.scan.from)
            .collect();
        parts.sort_by_key(|part| part.0);
        let mut groups: Vec<Vec<Part>> = Vec::new();
        let mut group_max = i64::MIN;
        for (min, max, part) in parts {
            match groups.last_mut() {
                Some(group) if min < group_max => group.push(part),
                _ => groups.push(vec![part]),
            }
            group_max = group_max.max(max);
        }
        groups
    }
}

/// The indexes of the lines between two times, in a run that is ordered by time.
fn bounds(timestamps: &[i64], scan: &Scan) -> Range<usize> {
    let low = timestamps.partition_point(|timestamp| *timestamp < scan.from);
    let high = timestamps.partition_point(|timestamp| *timestamp < scan.to);
    low..high.max(low)
}

/// Visits the lines of one part that overlaps no other.
fn single(
    stream: &Stream,
    part: Part,
    scan: &Scan,
    finders: &[Finder<'_>],
    scratch: &mut Scratch,
    visit: &mut impl FnMut(Line<'_>) -> bool,
) -> bool {
    let Scratch {
        unpacked,
        candidates,
    } = scratch;
    if unpacked.is_empty() {
        unpacked.push(Lines::default());
    }
    let lines = match part {
        Part::Head => &stream.head,
        Part::Block(number) => {
            // A damaged block holds no line; it was reported when it was read from disk.
            stream.blocks[number].unpack_into(scan.needs, &mut unpacked[0]);
            &unpacked[0]
        }
    };
    let order: &[u32] = match part {
        Part::Head => &stream.head_order,
        Part::Block(_) => &[],
    };
    let mut emit = |index: usize| visit(line_at(lines, index, stream, scan.needs));
    if !order.is_empty() {
        let low = order.partition_point(|index| lines.timestamps[*index as usize] < scan.from);
        let high = order.partition_point(|index| lines.timestamps[*index as usize] < scan.to);
        let range = &order[low..high.max(low)];
        let bytes = range.iter().map(|index| lines.length(*index as usize));
        scan.count(range.len(), bytes.sum());
        return each(range.len(), scan.backward, |at| emit(range[at] as usize));
    }
    let range = bounds(&lines.timestamps, scan);
    let bytes = lines.end_before(range.end) - lines.end_before(range.start);
    scan.count(range.len(), bytes);
    if let (Some(finder), true) = (finders.first(), scan.needs.text) {
        find_candidates(lines, range, finders, finder, candidates);
        return each(candidates.len(), scan.backward, |at| {
            emit(candidates[at] as usize)
        });
    }
    each(range.len(), scan.backward, |at| emit(range.start + at))
}

fn each(count: usize, backward: bool, mut visit: impl FnMut(usize) -> bool) -> bool {
    if backward {
        (0..count).rev().all(&mut visit)
    } else {
        (0..count).all(&mut visit)
    }
}

fn line_at<'a>(lines: &'a Lines, index: usize, stream: &'a Stream, needs: Needs) -> Line<'a> {
    Line {
        timestamp: lines.timestamps[index],
        text: if needs.text { lines.line(index) } else { "" },
        metadata: if needs.metadata {
            lines.metadata_of(index)
        } else {
            &[]
        },
        names: stream.names.as_slice(),
    }
}

/// The lines that contain the longest literal; one search over the whole text is much faster than one for each line.
fn find_candidates(
    lines: &Lines,
    range: Range<usize>,
    finders: &[Finder<'_>],
    finder: &Finder<'_>,
    out: &mut Vec<u32>,
) {
    out.clear();
    if range.is_empty() {
        return;
    }
    let text = lines.text.as_bytes();
    let mut at = lines.end_before(range.start);
    let end = lines.ends[range.end - 1] as usize;
    // A text that is nowhere in the block spares the search for the others.
    if finders[1..]
        .iter()
        .any(|other| other.find(&text[at..end]).is_none())
    {
        return;
    }
    let length = finder.needle().len();
    let mut index = range.start;
    while let Some(found) = finder.find(&text[at..end]) {
        let position = at + found;
        index += lines.ends[index..range.end].partition_point(|end| *end as usize <= position);
        if index >= range.end {
            return;
        }
        if position + length <= lines.ends[index] as usize {
            out.push(index as u32);
            at = lines.ends[index] as usize;
        } else {
            // It reaches into the next line.
            at = position + 1;
        }
    }
}

/// Visits the lines of parts that overlap, ordered by time, lines with the same time, text and metadata once.
fn merged(
    stream: &Stream,
    group: &[Part],
    scan: &Scan,
    scratch: &mut Scratch,
    visit: &mut impl FnMut(Line<'_>) -> bool,
) -> bool {
    // Duplicates are told by text and metadata, whatever the reader needs.
    let needs = Needs {
        text: true,
        metadata: true,
    };
    while scratch.unpacked.len() < group.len() {
        scratch.unpacked.push(Lines::default());
    }
    for (part, lines) in group.iter().zip(&mut scratch.unpacked) {
        if let Part::Block(number) = part {
            stream.blocks[*number].unpack_into(needs, lines);
        }
    }
    let runs: Vec<&Lines> = group
        .iter()
        .zip(&scratch.unpacked)
        .map(|(part, lines)| match part {
            Part::Head => &stream.head,
            Part::Block(_) => lines,
        })
        .collect();
    let mut all: Vec<(i64, u32, u32)> = Vec::new();
    for (run, (lines, part)) in runs.iter().zip(group).enumerate() {
        for position in 0..lines.len() {
            let index = match part {
                Part::Head => stream.head_index(position),
                Part::Block(_) => position,
            };
            let timestamp = lines.timestamps[index];
            if (scan.from..scan.to).contains(&timestamp) {
                all.push((timestamp, run as u32, index as u32));
            }
        }
    }
    // Lines of one time keep the order in which their parts were sealed.
    all.sort_by_key(|entry| entry.0);
    let content = |entry: &(i64, u32, u32)| {
        let (lines, index) = (runs[entry.1 as usize], entry.2 as usize);
        (lines.line(index), lines.metadata_of(index))
    };
    let mut unique: Vec<(i64, u32, u32)> = Vec::with_capacity(all.len());
    for entry in all {
        let is_duplicate = unique
            .iter()
            .rev()
            .take_while(|before| before.0 == entry.0)
            .any(|before| content(before) == content(&entry));
        if !is_duplicate {
            unique.push(entry);
        }
    }
    let bytes = unique
        .iter()
        .map(|(_, run, index)| runs[*run as usize].length(*index as usize));
    scan.count(unique.len(), bytes.sum());
    each(unique.len(), scan.backward, |at| {
        let (_, run, index) = unique[at];
        visit(line_at(
            runs[run as usize],
            index as usize,
            stream,
            scan.needs,
        ))
    })
}

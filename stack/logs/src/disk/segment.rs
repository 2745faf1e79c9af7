//! Segments and heads: streams to bytes and back, a record a stream.

use gameday_signal::Labels;

use super::frame::{put_frame, split_frames};
use super::record::{get_labels, put_labels};
use crate::store::Stream;
use crate::store::block::{Block, Lines};
use crate::store::codec::{Codec, Packed, Reader, put_bytes, put_varint, zigzag};

/// The first byte of segments and heads; another one is another format.
const VERSION: u8 = 1;
/// A block that claims to be larger is damaged.
const RAW_BYTES_MAX: u64 = 1 << 30;

/// A stream as a segment or a heads file has it.
#[derive(Debug)]
pub(crate) struct SavedStream {
    pub(crate) labels: Labels,
    /// The names of structured metadata in the order of their numbers.
    pub(crate) names: Vec<Box<str>>,
    /// The latest time ever seen.
    pub(crate) newest_ts: i64,
    /// Sealed blocks; in a heads file the head.
    pub(crate) blocks: Vec<Block>,
    /// The last lines of the block that was sealed last, with their time and metadata; in a heads file only.
    pub(crate) sealed_end: (i64, Vec<(String, Vec<u8>)>),
}

/// The blocks that stand in no segment yet, and the time of the newest line; nothing where there are none.
pub(crate) fn write_segment<'s>(streams: impl Iterator<Item = &'s Stream>) -> (Vec<u8>, i64) {
    let (mut body, mut max_ts, mut record) = (Vec::new(), i64::MIN, Vec::new());
    for stream in streams {
        let blocks: Vec<&Block> = stream.blocks.iter().filter(|block| !block.saved).collect();
        if blocks.is_empty() {
            continue;
        }
        record.clear();
        put_stream(&mut record, stream, blocks.len());
        let mut raw = Vec::new();
        for block in blocks {
            max_ts = max_ts.max(block.max_ts);
            let mut small = |packed: &Packed| {
                // A damaged block is written as it is: reading it fails then as it does now.
                if packed.codec != Codec::Deflate && packed.unpack_into(&mut raw) {
                    Packed::small(&raw)
                } else {
                    packed.clone()
                }
            };
            let (text, metadata) = (small(&block.text), small(&block.metadata));
            put_block(&mut record, block, &text, &metadata);
        }
        put_frame(&mut body, &record);
    }
    if body.is_empty() {
        return (body, max_ts);
    }
    let mut header = vec![VERSION];
    put_varint(&mut header, zigzag(max_ts));
    let mut out = Vec::with_capacity(body.len() + 32);
    put_frame(&mut out, &header);
    out.extend_from_slice(&body);
    (out, max_ts)
}

/// The head of every stream.
pub(crate) fn write_heads<'s>(streams: impl Iterator<Item = &'s Stream>) -> Vec<u8> {
    let (mut out, mut record, mut scratch) = (Vec::new(), Vec::new(), Lines::default());
    put_frame(&mut out, &[VERSION]);
    for stream in streams {
        record.clear();
        let has_head = stream.head.len() > 0;
        put_stream(&mut record, stream, usize::from(has_head));
        if has_head {
            let block = Block::seal(&stream.head, &stream.head_order, &mut scratch);
            put_block(&mut record, &block, &block.text, &block.metadata);
        }
        let (sealed_ts, lines) = &stream.sealed_end;
        put_varint(&mut record, zigzag(*sealed_ts));
        put_varint(&mut record, lines.len() as u64);
        for (line, metadata) in lines {
            put_bytes(&mut record, line.as_bytes());
            put_bytes(&mut record, metadata);
        }
        put_frame(&mut out, &record);
    }
    out
}

/// Hands the streams of a segment to `visit`, up to the first bad record. Returns the time of the newest line as far as it is
/// known, and where and how the file is damaged.
pub(crate) fn read_segment(
    bytes: &[u8],
    mut visit: impl FnMut(SavedStream),
) -> (i64, Option<(usize, &'static str)>) {
    let (records, good, reason) = split_frames(bytes);
    let mut damage = reason.map(|reason| (good, reason));
    let mut max_ts = i64::MIN;
    let mut streams = records.iter();
    let header = streams.next().and_then(|header| {
        let mut reader = Reader(header);
        (reader.byte()? == VERSION).then(|| reader.signed())?
    });
    match header {
        Some(time) => max_ts = time,
        None => return (max_ts, damage.or(Some((0, "is of another format")))),
    }
    for record in streams {
        match get_stream(&mut Reader(record)) {
            Some(stream) => visit(stream),
            None => damage = damage.or(Some((0, "has a stream of another format"))),
        }
    }
    (max_ts, damage)
}

/// As [`read_segment`], for heads.
pub(crate) fn read_heads(
    bytes: &[u8],
    mut visit: impl FnMut(SavedStream),
) -> Option<(usize, &'static str)> {
    let (records, good, reason) = split_frames(bytes);
    let mut damage = reason.map(|reason| (good, reason));
    let mut streams = records.iter();
    if streams.next() != Some(&[VERSION].as_slice()) {
        return damage.or(Some((0, "is of another format")));
    }
    for record in streams {
        let mut reader = Reader(record);
        let stream = get_stream(&mut reader).and_then(|mut stream| {
            stream.sealed_end.0 = reader.signed()?;
            for _ in 0..reader.length()? {
                let line = reader.text()?.to_owned();
                stream.sealed_end.1.push((line, reader.bytes()?.to_vec()));
            }
            Some(stream)
        });
        match stream {
            Some(stream) => visit(stream),
            None => damage = damage.or(Some((0, "has a stream of another format"))),
        }
    }
    damage
}

fn put_stream(out: &mut Vec<u8>, stream: &Stream, blocks: usize) {
    put_labels(out, &stream.labels);
    let names = stream.names.as_slice();
    put_varint(out, names.len() as u64);
    for name in names {
        put_bytes(out, name.as_bytes());
    }
    put_varint(out, zigzag(stream.newest_ts));
    put_varint(out, blocks as u64);
}

fn get_stream(reader: &mut Reader<'_>) -> Option<SavedStream> {
    let labels = get_labels(reader)?;
    let count = reader.length()?;
    let names: Option<Vec<Box<str>>> = (0..count).map(|_| reader.text().map(Box::from)).collect();
    let newest_ts = reader.signed()?;
    let count = reader.length()?;
    let blocks: Option<Vec<Block>> = (0..count).map(|_| get_block(reader)).collect();
    Some(SavedStream {
        labels,
        names: names?,
        newest_ts,
        blocks: blocks?,
        sealed_end: (i64::MIN, Vec::new()),
    })
}

fn put_block(out: &mut Vec<u8>, block: &Block, text: &Packed, metadata: &Packed) {
    put_varint(out, zigzag(block.min_ts));
    put_varint(out, zigzag(block.max_ts));
    put_varint(out, u64::from(block.count));
    put_packed(out, &Packed::small(&block.columns));
    put_packed(out, text);
    put_packed(out, metadata);
}

fn get_block(reader: &mut Reader<'_>) -> Option<Block> {
    let (min_ts, max_ts) = (reader.signed()?, reader.signed()?);
    let count = reader.small()?;
    let mut columns = Vec::new();
    if !get_packed(reader)?.unpack_into(&mut columns) {
        return None;
    }
    let (text, metadata) = (get_packed(reader)?, get_packed(reader)?);
    Some(Block {
        min_ts,
        max_ts,
        count,
        text_bytes: u32::try_from(text.raw_len).ok()?,
        metadata_bytes: u32::try_from(metadata.raw_len).ok()?,
        columns: columns.into_boxed_slice(),
        text,
        metadata,
        saved: true,
    })
}

fn put_packed(out: &mut Vec<u8>, packed: &Packed) {
    out.push(packed.codec.number());
    put_varint(out, packed.raw_len as u64);
    put_bytes(out, &packed.bytes);
}

fn get_packed(reader: &mut Reader<'_>) -> Option<Packed> {
    let codec = Codec::of_number(reader.byte()?)?;
    let raw_len = reader.unsigned().filter(|bytes| *bytes <= RAW_BYTES_MAX)?;
    Some(Packed {
        codec,
        raw_len: usize::try_from(raw_len).ok()?,
        bytes: reader.bytes()?.into(),
    })
}

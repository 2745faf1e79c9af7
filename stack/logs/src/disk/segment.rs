//! Segments and heads: streams to bytes and back, a record a stream.

use gameday_disk::{Decoder, Encoder, frame};
use gameday_signal::Labels;

use crate::store::Stream;
use crate::store::block::{Block, Lines};
use crate::store::codec::{Codec, Packed};

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
    let (mut segment, mut max_ts, mut raw) = (Encoder::default(), i64::MIN, Vec::new());
    let mut small = |packed: &Packed| {
        // A damaged block is written as it is: reading it fails then as it does now.
        if packed.codec != Codec::Deflate && packed.unpack_into(&mut raw) {
            Packed::small(&raw)
        } else {
            packed.clone()
        }
    };
    for stream in streams {
        let blocks: Vec<&Block> = stream.blocks.iter().filter(|block| !block.saved).collect();
        if blocks.is_empty() {
            continue;
        }
        frame::put(&mut segment, |out| {
            put_stream(out, stream, blocks.len());
            for block in blocks {
                max_ts = max_ts.max(block.max_ts);
                let (text, metadata) = (small(&block.text), small(&block.metadata));
                put_block(out, block, &text, &metadata);
            }
        });
    }
    (segment.0, max_ts)
}

/// The head of every stream.
pub(crate) fn write_heads<'s>(streams: impl Iterator<Item = &'s Stream>) -> Vec<u8> {
    let (mut heads, mut scratch) = (Encoder::default(), Lines::default());
    for stream in streams {
        frame::put(&mut heads, |out| {
            let has_head = stream.head.len() > 0;
            put_stream(out, stream, usize::from(has_head));
            if has_head {
                let block = Block::seal(&stream.head, &stream.head_order, &mut scratch);
                put_block(out, &block, &block.text, &block.metadata);
            }
            let (sealed_ts, lines) = &stream.sealed_end;
            out.signed(*sealed_ts);
            out.unsigned(lines.len() as u64);
            for (line, metadata) in lines {
                out.text(line);
                out.bytes(metadata);
            }
        });
    }
    heads.0
}

/// A stream of a segment; none where the record makes no sense.
pub(crate) fn read_segment(record: &[u8]) -> Option<SavedStream> {
    get_stream(&mut Decoder(record))
}

/// A stream of a heads file; none where the record makes no sense.
pub(crate) fn read_head(record: &[u8]) -> Option<SavedStream> {
    let mut from = Decoder(record);
    let mut stream = get_stream(&mut from)?;
    stream.sealed_end.0 = from.signed()?;
    for _ in 0..from.length(2)? {
        let line = from.text()?.to_owned();
        stream.sealed_end.1.push((line, from.bytes()?.to_vec()));
    }
    Some(stream)
}

fn put_stream(out: &mut Encoder, stream: &Stream, blocks: usize) {
    out.labels(&stream.labels);
    let names = stream.names.as_slice();
    out.unsigned(names.len() as u64);
    for name in names {
        out.text(name);
    }
    out.signed(stream.newest_ts);
    out.unsigned(blocks as u64);
}

fn get_stream(from: &mut Decoder<'_>) -> Option<SavedStream> {
    let labels = from.labels()?;
    let count = from.length(1)?;
    let names: Option<Vec<Box<str>>> = (0..count).map(|_| from.text().map(Box::from)).collect();
    let names = names?;
    let newest_ts = from.signed()?;
    let count = from.length(3)?;
    let blocks: Option<Vec<Block>> = (0..count).map(|_| get_block(from)).collect();
    Some(SavedStream {
        labels,
        names,
        newest_ts,
        blocks: blocks?,
        sealed_end: (i64::MIN, Vec::new()),
    })
}

fn put_block(out: &mut Encoder, block: &Block, text: &Packed, metadata: &Packed) {
    out.signed(block.min_ts);
    out.signed(block.max_ts);
    out.unsigned(u64::from(block.count));
    put_packed(out, &Packed::small(&block.columns));
    put_packed(out, text);
    put_packed(out, metadata);
}

fn get_block(from: &mut Decoder<'_>) -> Option<Block> {
    let (min_ts, max_ts) = (from.signed()?, from.signed()?);
    let count = from.small()?;
    let mut columns = Vec::new();
    if !get_packed(from)?.unpack_into(&mut columns) {
        return None;
    }
    let (text, metadata) = (get_packed(from)?, get_packed(from)?);
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

fn put_packed(out: &mut Encoder, packed: &Packed) {
    out.byte(packed.codec.number());
    out.unsigned(packed.raw_len as u64);
    out.bytes(&packed.bytes);
}

fn get_packed(from: &mut Decoder<'_>) -> Option<Packed> {
    let codec = Codec::of_number(from.byte()?)?;
    let raw_len = from.unsigned().filter(|bytes| *bytes <= RAW_BYTES_MAX)?;
    Some(Packed {
        codec,
        raw_len: usize::try_from(raw_len).ok()?,
        bytes: from.bytes()?.into(),
    })
}

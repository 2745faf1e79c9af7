//! Blocks and heads: a store to bytes and back.

use std::sync::Arc;

use gameday_signal::Histogram;

use super::chunk::ChunkReader;
use super::{Series, Store};
use crate::log::{Decoder, Encoder};

/// A block on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) number: u64,
    /// The time of its newest sample.
    pub(super) max_ms: i64,
}

/// The first byte of blocks and heads; another one is another format.
const VERSION: u8 = 1;

/// Full chunks and histograms that stand in no block yet; empty where there are none. With the time of the newest sample.
pub(super) fn write_block<'s>(series: impl Iterator<Item = &'s Series>) -> (Vec<u8>, i64) {
    let mut body = Encoder::default();
    let (mut count, mut max_ms) = (0, i64::MIN);
    for one in series {
        let (chunks, histograms) = (one.unsaved_chunks(), one.unsaved_histograms());
        if chunks.is_empty() && histograms.is_empty() {
            continue;
        }
        count += 1;
        body.labels(one.labels());
        body.unsigned(chunks.len() as u64);
        for chunk in chunks {
            body.signed(chunk.first_ms);
            body.unsigned(u64::from(chunk.count));
            body.bytes(chunk.bytes());
            max_ms = max_ms.max(chunk.last_ms);
        }
        body.unsigned(histograms.len() as u64);
        for (time, histogram) in histograms {
            body.signed(*time);
            body.histogram(histogram);
            max_ms = max_ms.max(*time);
        }
    }
    if count == 0 {
        return (Vec::new(), max_ms);
    }
    let mut block = Encoder::default();
    block.byte(VERSION);
    block.signed(max_ms);
    block.unsigned(count);
    block.0.extend_from_slice(&body.0);
    (block.0, max_ms)
}

/// The open chunk and the exemplars of every series.
pub(super) fn write_heads<'s>(series: impl Iterator<Item = &'s Series>) -> Vec<u8> {
    let mut body = Encoder::default();
    let mut count = 0;
    for one in series {
        count += 1;
        body.labels(one.labels());
        let head = one.head();
        body.signed(head.first_ms());
        body.unsigned(u64::from(head.count()));
        body.bytes(head.bytes());
        body.unsigned(one.exemplars().len() as u64);
        for (time, exemplar) in one.exemplars() {
            body.signed(*time);
            body.exemplar(exemplar);
        }
    }
    let mut heads = Encoder::default();
    heads.byte(VERSION);
    heads.unsigned(count);
    heads.0.extend_from_slice(&body.0);
    heads.0
}

/// Reads a block into the store. Returns the time of its newest sample, `None` where the bytes make no sense.
pub(super) fn read_block(bytes: &[u8], store: &mut Store) -> Option<i64> {
    let mut decoder = Decoder(bytes);
    if decoder.byte()? != VERSION {
        return None;
    }
    let max_ms = decoder.signed()?;
    for _ in 0..decoder.length(3)? {
        let labels = decoder.labels()?;
        let series = store.series_of(&labels)?;
        for _ in 0..decoder.length(3)? {
            let samples = read_chunk(&mut decoder)?;
            series.restore(samples);
        }
        let count = decoder.length(10)?;
        let mut histograms: Vec<(i64, Arc<Histogram>)> = Vec::with_capacity(count);
        for _ in 0..count {
            histograms.push((decoder.signed()?, Arc::new(decoder.histogram()?)));
        }
        series.restore_histograms(histograms);
        series.mark_restored();
    }
    Some(max_ms)
}

/// Reads heads into the store; `None` where the bytes make no sense.
pub(super) fn read_heads(bytes: &[u8], store: &mut Store) -> Option<()> {
    let mut decoder = Decoder(bytes);
    if decoder.byte()? != VERSION {
        return None;
    }
    for _ in 0..decoder.length(5)? {
        let labels = decoder.labels()?;
        let series = store.series_of(&labels)?;
        let samples = read_chunk(&mut decoder)?;
        series.restore(samples);
        for _ in 0..decoder.length(3)? {
            let (time, exemplar) = (decoder.signed()?, decoder.exemplar()?);
            series.push_exemplar(time, exemplar, usize::MAX);
        }
    }
    Some(())
}

fn read_chunk<'b>(decoder: &mut Decoder<'b>) -> Option<ChunkReader<'b>> {
    let first_ms = decoder.signed()?;
    let count = u16::try_from(decoder.unsigned()?).ok()?;
    Some(ChunkReader::of_bytes(decoder.bytes()?, first_ms, count))
}

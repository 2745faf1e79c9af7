//! Blocks and heads: a store to bytes and back.

use std::sync::Arc;

use gameday_disk::{Decoder, Encoder, frame};
use gameday_signal::Histogram;

use super::chunk::ChunkReader;
use super::{Series, Store};
use crate::log::{read_exemplar, read_histogram, write_exemplar, write_histogram};

/// Full chunks and histograms that stand in no block yet, a record a series; empty where there are none. With the time of the newest
/// sample.
pub(super) fn write_block<'s>(series: impl Iterator<Item = &'s Series>) -> (Vec<u8>, i64) {
    let (mut block, mut max_ms) = (Encoder::default(), i64::MIN);
    for one in series {
        let (chunks, histograms) = (one.unsaved_chunks(), one.unsaved_histograms());
        if chunks.is_empty() && histograms.is_empty() {
            continue;
        }
        frame::put(&mut block, |out| {
            out.labels(one.labels());
            out.unsigned(chunks.len() as u64);
            for chunk in chunks {
                out.signed(chunk.first_ms);
                out.unsigned(u64::from(chunk.count));
                out.bytes(chunk.bytes());
                max_ms = max_ms.max(chunk.last_ms);
            }
            out.unsigned(histograms.len() as u64);
            for (time, histogram) in histograms {
                out.signed(*time);
                write_histogram(out, histogram);
                max_ms = max_ms.max(*time);
            }
        });
    }
    (block.0, max_ms)
}

/// The open chunk and the exemplars of every series, a record a series.
pub(super) fn write_heads<'s>(series: impl Iterator<Item = &'s Series>) -> Vec<u8> {
    let mut heads = Encoder::default();
    for one in series {
        frame::put(&mut heads, |out| {
            out.labels(one.labels());
            let head = one.head();
            out.signed(head.first_ms());
            out.unsigned(u64::from(head.count()));
            out.bytes(head.bytes());
            out.unsigned(one.exemplars().len() as u64);
            for (time, exemplar) in one.exemplars() {
                out.signed(*time);
                write_exemplar(out, exemplar);
            }
        });
    }
    heads.0
}

/// Reads a series of a block into the store; `None` where the record makes no sense.
pub(super) fn read_block(record: &[u8], store: &mut Store) -> Option<()> {
    let mut decoder = Decoder(record);
    let series = store.series_of(&decoder.labels()?)?;
    for _ in 0..decoder.length(3)? {
        let samples = read_chunk(&mut decoder)?;
        series.restore(samples);
    }
    let count = decoder.length(10)?;
    let mut histograms: Vec<(i64, Arc<Histogram>)> = Vec::with_capacity(count);
    for _ in 0..count {
        histograms.push((decoder.signed()?, Arc::new(read_histogram(&mut decoder)?)));
    }
    series.restore_histograms(histograms);
    series.mark_restored();
    Some(())
}

/// Reads the head of a series into the store; `None` where the record makes no sense.
pub(super) fn read_head(record: &[u8], store: &mut Store) -> Option<()> {
    let mut decoder = Decoder(record);
    let series = store.series_of(&decoder.labels()?)?;
    let samples = read_chunk(&mut decoder)?;
    series.restore(samples);
    for _ in 0..decoder.length(3)? {
        let (time, exemplar) = (decoder.signed()?, read_exemplar(&mut decoder)?);
        series.push_exemplar(time, exemplar, usize::MAX);
    }
    Some(())
}

fn read_chunk<'b>(decoder: &mut Decoder<'b>) -> Option<ChunkReader<'b>> {
    let first_ms = decoder.signed()?;
    let count = u16::try_from(decoder.unsigned()?).ok()?;
    Some(ChunkReader::of_bytes(decoder.bytes()?, first_ms, count))
}

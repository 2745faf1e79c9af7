//! Spans as bytes for the log on disk: texts once, numbers short, the whole compressed.

use std::sync::Arc;

use gameday_disk::codec::{put_signed, put_unsigned};
use gameday_signal::{
    Resource, Scope, Span, SpanEvent, SpanId, SpanKind, SpanLink, SpanStatus, Timestamp, TraceId,
};

use super::codec::{Reader, write_attributes};
use super::dictionary::Dictionary;

/// The form of what follows; a reader refuses forms that it does not know.
const VERSION: u8 = 1;
/// A batch that claims to be larger is damaged.
const MAX_BYTES: usize = 1 << 30;

/// The bytes of a batch.
pub(crate) fn encode(spans: &[Span]) -> Vec<u8> {
    let mut dictionary = Dictionary::default();
    let mut resources: Vec<&Arc<Resource>> = Vec::new();
    let mut scopes: Vec<&Arc<Scope>> = Vec::new();
    let mut body = Vec::new();
    for span in spans {
        let resource = index_of(&mut resources, &span.resource);
        let scope = index_of(&mut scopes, &span.scope);
        write_span(&mut body, span, (resource, scope), &mut dictionary);
    }
    let mut shared = Vec::new();
    put_unsigned(&mut shared, resources.len() as u64);
    for resource in resources {
        write_attributes(&mut shared, &resource.attributes, &mut dictionary);
    }
    put_unsigned(&mut shared, scopes.len() as u64);
    for scope in scopes {
        write_text(&mut shared, &scope.name, &mut dictionary);
        write_text(&mut shared, &scope.version, &mut dictionary);
        write_attributes(&mut shared, &scope.attributes, &mut dictionary);
    }
    let mut all = Vec::with_capacity(shared.len() + body.len() + dictionary.text_bytes() * 2);
    put_unsigned(&mut all, dictionary.len() as u64);
    for symbol in 0..dictionary.len() as u32 {
        let text = dictionary.get(symbol);
        put_unsigned(&mut all, text.len() as u64);
        all.extend_from_slice(text.as_bytes());
    }
    all.extend(shared);
    put_unsigned(&mut all, spans.len() as u64);
    all.extend(body);
    let mut bytes = vec![VERSION];
    // Snappy fails only for inputs beyond 4 GiB, which bodies are limited far below.
    bytes.extend(
        snap::raw::Encoder::new()
            .compress_vec(&all)
            .unwrap_or_default(),
    );
    bytes
}

/// The spans of a batch; `None` where the bytes are no batch.
pub(crate) fn decode(bytes: &[u8]) -> Option<Vec<Span>> {
    let (version, compressed) = bytes.split_first()?;
    if *version != VERSION || snap::raw::decompress_len(compressed).ok()? > MAX_BYTES {
        return None;
    }
    let all = snap::raw::Decoder::new().decompress_vec(compressed).ok()?;
    let mut reader = Reader(&all);
    let mut texts = Dictionary::default();
    for expected in 0..reader.count() as u64 {
        let length = reader.count();
        // A text that stands twice would shift all symbols behind it.
        if u64::from(texts.intern(std::str::from_utf8(reader.bytes(length)).ok()?)) != expected {
            return None;
        }
    }
    let resources: Vec<Arc<Resource>> = (0..reader.count())
        .map(|_| {
            Arc::new(Resource {
                attributes: reader.attributes(&texts),
            })
        })
        .collect();
    let scopes: Vec<Arc<Scope>> = (0..reader.count())
        .map(|_| {
            Arc::new(Scope {
                name: read_text(&mut reader, &texts),
                version: read_text(&mut reader, &texts),
                attributes: reader.attributes(&texts),
            })
        })
        .collect();
    let count = reader.count();
    (0..count)
        .map(|_| read_span(&mut reader, &texts, &resources, &scopes))
        .collect()
}

fn index_of<'a, T: PartialEq>(known: &mut Vec<&'a Arc<T>>, shared: &'a Arc<T>) -> usize {
    // The spans of a batch follow each other by resource: the last one fits most often.
    let found = known
        .iter()
        .rposition(|own| Arc::ptr_eq(own, shared) || own == &shared);
    found.unwrap_or_else(|| {
        known.push(shared);
        known.len() - 1
    })
}

fn write_text(out: &mut Vec<u8>, text: &str, dictionary: &mut Dictionary) {
    put_unsigned(out, u64::from(dictionary.intern(text)));
}

fn read_text(reader: &mut Reader<'_>, texts: &Dictionary) -> String {
    texts.get(reader.symbol()).to_owned()
}

fn write_span(
    out: &mut Vec<u8>,
    span: &Span,
    (resource, scope): (usize, usize),
    dictionary: &mut Dictionary,
) {
    put_unsigned(out, resource as u64);
    put_unsigned(out, scope as u64);
    out.extend_from_slice(&span.trace_id.0);
    out.extend_from_slice(&span.span_id.0);
    out.extend_from_slice(&span.parent_span_id.0);
    write_text(out, &span.trace_state, dictionary);
    put_unsigned(out, u64::from(span.flags));
    write_text(out, &span.name, dictionary);
    out.push(span.kind as u8);
    put_signed(out, span.start.as_nanos());
    put_signed(out, span.end.as_nanos().wrapping_sub(span.start.as_nanos()));
    out.push(span.status as u8);
    write_text(out, &span.status_message, dictionary);
    write_attributes(out, &span.attributes, dictionary);
    put_unsigned(out, span.events.len() as u64);
    for event in &span.events {
        put_signed(
            out,
            event
                .timestamp
                .as_nanos()
                .wrapping_sub(span.start.as_nanos()),
        );
        write_text(out, &event.name, dictionary);
        write_attributes(out, &event.attributes, dictionary);
    }
    put_unsigned(out, span.links.len() as u64);
    for link in &span.links {
        out.extend_from_slice(&link.trace_id.0);
        out.extend_from_slice(&link.span_id.0);
        write_text(out, &link.trace_state, dictionary);
        write_attributes(out, &link.attributes, dictionary);
    }
}

fn read_span(
    reader: &mut Reader<'_>,
    texts: &Dictionary,
    resources: &[Arc<Resource>],
    scopes: &[Arc<Scope>],
) -> Option<Span> {
    let resource = Arc::clone(resources.get(reader.varint() as usize)?);
    let scope = Arc::clone(scopes.get(reader.varint() as usize)?);
    let trace_id = TraceId::from_bytes(reader.bytes(16)).ok()?;
    let span_id = SpanId::from_bytes(reader.bytes(8)).ok()?;
    let parent_span_id = SpanId::from_bytes(reader.bytes(8)).ok()?;
    let trace_state = read_text(reader, texts);
    let flags = reader.varint() as u32;
    let name = read_text(reader, texts);
    let kind = SpanKind::from_number(i32::from(reader.byte()));
    let start = reader.signed();
    let end = start.wrapping_add(reader.signed());
    let status = SpanStatus::from_number(i32::from(reader.byte()));
    let status_message = read_text(reader, texts);
    let attributes = reader.attributes(texts);
    let events = (0..reader.count())
        .map(|_| SpanEvent {
            timestamp: Timestamp::from_nanos(start.wrapping_add(reader.signed())),
            name: read_text(reader, texts),
            attributes: reader.attributes(texts),
        })
        .collect();
    let links = (0..reader.count())
        .map(|_| SpanLink {
            trace_id: TraceId::from_bytes(reader.bytes(16)).unwrap_or_default(),
            span_id: SpanId::from_bytes(reader.bytes(8)).unwrap_or_default(),
            trace_state: read_text(reader, texts),
            attributes: reader.attributes(texts),
        })
        .collect();
    Some(Span {
        trace_id,
        span_id,
        parent_span_id,
        trace_state,
        flags,
        name,
        kind,
        start: Timestamp::from_nanos(start),
        end: Timestamp::from_nanos(end),
        attributes,
        events,
        links,
        status,
        status_message,
        resource,
        scope,
    })
}

//! Up to 65,536 spans as columns.
//!
//! Ids, times, name, kind, status, resource and scope are columns that a query scans; attributes, events, links and the rare
//! fields of a span lie packed behind one offset. Texts, resources and scopes stand once a segment, so that a segment that goes
//! takes all it needs with it.

use std::sync::Arc;

use gameday_disk::codec::{put_signed, put_unsigned};
use gameday_signal::{
    AttributeValue, Attributes, FixedMap, Resource, Scope, Span, SpanEvent, SpanId, SpanKind,
    SpanLink, SpanStatus, Timestamp, TraceId,
};

use super::codec::{Packed, Reader, write_attributes};
use super::dictionary::{Dictionary, Symbol};

/// Rows of a segment, so that a row number is 16 bits.
pub(crate) const MAX_ROWS: usize = 1 << 16;
/// A segment that holds this many bytes of texts or of packed spans takes no further ones; offsets are 32 bits.
const MAX_HEAP_BYTES: usize = 256 << 20;

/// Which rare fields follow the attributes.
const HAS_MESSAGE: u8 = 1;
const HAS_TRACE_STATE: u8 = 2;
const HAS_FLAGS: u8 = 4;
const HAS_EVENTS: u8 = 8;
const HAS_LINKS: u8 = 16;

/// A resource or a scope that many spans share.
pub(crate) struct Shared<T> {
    pub(crate) value: Arc<T>,
    /// The symbols of its keys, in the order of its attributes.
    pub(crate) keys: Vec<Symbol>,
}

#[derive(Default)]
pub(crate) struct Segment {
    pub(crate) dictionary: Dictionary,
    pub(crate) resources: Vec<Shared<Resource>>,
    pub(crate) scopes: Vec<Shared<Scope>>,
    /// `service.name` of each resource.
    pub(crate) services: Vec<Symbol>,
    /// The slot of the trace in the trace table.
    pub(crate) traces: Vec<u32>,
    pub(crate) span_ids: Vec<SpanId>,
    pub(crate) parents: Vec<SpanId>,
    pub(crate) starts: Vec<Timestamp>,
    pub(crate) ends: Vec<Timestamp>,
    pub(crate) names: Vec<Symbol>,
    pub(crate) kinds: Vec<SpanKind>,
    pub(crate) statuses: Vec<SpanStatus>,
    pub(crate) resource_of: Vec<u32>,
    pub(crate) scope_of: Vec<u32>,
    offsets: Vec<u32>,
    packed: Vec<u8>,
    /// One bit a row: not removed.
    live: Vec<u64>,
    live_rows: usize,
    shared_bytes: usize,
    /// Which resource or scope was seen last: the spans of a batch share theirs.
    last_resource: Option<(Arc<Resource>, u32)>,
    last_scope: Option<(Arc<Scope>, u32)>,
    /// Each resource and scope by its packed content.
    resource_by_bytes: FixedMap<Box<[u8]>, u32>,
    scope_by_bytes: FixedMap<Box<[u8]>, u32>,
}

impl Segment {
    pub(crate) fn rows(&self) -> usize {
        self.traces.len()
    }

    pub(crate) fn live_rows(&self) -> usize {
        self.live_rows
    }

    pub(crate) fn is_live(&self, row: usize) -> bool {
        self.live[row / 64] >> (row % 64) & 1 == 1
    }

    /// One bit a row, 64 rows a word.
    pub(crate) fn live_words(&self) -> &[u64] {
        &self.live
    }

    pub(crate) fn is_full(&self) -> bool {
        self.rows() >= MAX_ROWS
            || self.packed.len() >= MAX_HEAP_BYTES
            || self.dictionary.text_bytes() >= MAX_HEAP_BYTES
    }

    /// Adds a span of the trace in `slot` and says which row it got.
    pub(crate) fn push(&mut self, span: &Span, slot: u32) -> usize {
        let row = self.rows();
        let resource = self.resource_index(&span.resource);
        let scope = self.scope_index(&span.scope);
        self.traces.push(slot);
        self.span_ids.push(span.span_id);
        self.parents.push(span.parent_span_id);
        self.starts.push(span.start);
        self.ends.push(span.end);
        self.names.push(self.dictionary.intern(&span.name));
        self.kinds.push(span.kind);
        self.statuses.push(span.status);
        self.resource_of.push(resource);
        self.scope_of.push(scope);
        self.offsets.push(self.packed.len() as u32);
        self.pack(span);
        if row.is_multiple_of(64) {
            self.live.push(0);
        }
        self.live[row / 64] |= 1 << (row % 64);
        self.live_rows += 1;
        row
    }

    /// Takes the row out of all queries; its bytes go with the segment.
    pub(crate) fn remove(&mut self, row: usize) {
        if self.is_live(row) {
            self.live[row / 64] &= !(1 << (row % 64));
            self.live_rows -= 1;
        }
    }

    /// Gives back what was reserved for rows that will not come.
    pub(crate) fn seal(&mut self) {
        self.dictionary.shrink();
        self.packed.shrink_to_fit();
        self.traces.shrink_to_fit();
        self.span_ids.shrink_to_fit();
        self.parents.shrink_to_fit();
        self.starts.shrink_to_fit();
        self.ends.shrink_to_fit();
        self.names.shrink_to_fit();
        self.kinds.shrink_to_fit();
        self.statuses.shrink_to_fit();
        self.resource_of.shrink_to_fit();
        self.scope_of.shrink_to_fit();
        self.offsets.shrink_to_fit();
    }

    /// The bytes held on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        let row_bytes = 4 * 5 + 8 * 4 + 2;
        self.traces.capacity() * row_bytes
            + self.packed.capacity()
            + self.dictionary.heap_bytes()
            + self.live.capacity() * 8
            + self.shared_bytes
    }

    /// The span of `row` as it came in.
    pub(crate) fn span(&self, row: usize, trace_id: TraceId) -> Span {
        let (attributes, mut reader) = self.read_attributes(row);
        let presence = reader.byte();
        let mut text = |bit: u8| {
            if presence & bit == 0 {
                String::new()
            } else {
                self.dictionary.get(reader.symbol()).to_owned()
            }
        };
        let status_message = text(HAS_MESSAGE);
        let trace_state = text(HAS_TRACE_STATE);
        let flags = if presence & HAS_FLAGS == 0 {
            0
        } else {
            reader.varint() as u32
        };
        let events = if presence & HAS_EVENTS == 0 {
            Vec::new()
        } else {
            (0..reader.count())
                .map(|_| SpanEvent {
                    timestamp: Timestamp::from_nanos(
                        self.starts[row].as_nanos().wrapping_add(reader.signed()),
                    ),
                    name: self.dictionary.get(reader.symbol()).to_owned(),
                    attributes: reader.attributes(&self.dictionary),
                })
                .collect()
        };
        let links = if presence & HAS_LINKS == 0 {
            Vec::new()
        } else {
            (0..reader.count())
                .map(|_| SpanLink {
                    trace_id: TraceId::from_bytes(reader.bytes(16)).unwrap_or_default(),
                    span_id: SpanId::from_bytes(reader.bytes(8)).unwrap_or_default(),
                    trace_state: self.dictionary.get(reader.symbol()).to_owned(),
                    attributes: reader.attributes(&self.dictionary),
                })
                .collect()
        };
        Span {
            trace_id,
            span_id: self.span_ids[row],
            parent_span_id: self.parents[row],
            trace_state,
            flags,
            name: self.name(row).to_owned(),
            kind: self.kinds[row],
            start: self.starts[row],
            end: self.ends[row],
            attributes,
            events,
            links,
            status: self.statuses[row],
            status_message,
            resource: Arc::clone(&self.resources[self.resource_of[row] as usize].value),
            scope: Arc::clone(&self.scopes[self.scope_of[row] as usize].value),
        }
    }

    pub(crate) fn name(&self, row: usize) -> &str {
        self.dictionary.get(self.names[row])
    }

    pub(crate) fn service(&self, row: usize) -> &str {
        self.dictionary
            .get(self.services[self.resource_of[row] as usize])
    }

    pub(crate) fn duration_nanos(&self, row: usize) -> i64 {
        self.ends[row]
            .as_nanos()
            .saturating_sub(self.starts[row].as_nanos())
            .max(0)
    }

    /// The attribute of the span itself.
    pub(crate) fn span_attribute(&self, row: usize, key: Symbol) -> Option<Packed<'_>> {
        self.reader(row).find_attribute(key)
    }

    /// The reader before the attributes of `row`.
    pub(crate) fn reader(&self, row: usize) -> Reader<'_> {
        Reader(&self.packed[self.offsets[row] as usize..])
    }

    pub(crate) fn status_message(&self, row: usize) -> &str {
        let mut reader = self.reader(row);
        reader.skip_attributes();
        if reader.byte() & HAS_MESSAGE == 0 {
            ""
        } else {
            self.dictionary.get(reader.symbol())
        }
    }

    /// Calls `visit` for each event with its time after the start of the span, its name and the reader before its attributes.
    pub(crate) fn for_each_event(
        &self,
        row: usize,
        mut visit: impl FnMut(i64, Symbol, Reader<'_>),
    ) {
        let (presence, mut reader) = self.skip_to_lists(row);
        if presence & HAS_EVENTS == 0 {
            return;
        }
        for _ in 0..reader.count() {
            let since_start = reader.signed();
            let name = reader.symbol();
            visit(since_start, name, Reader(reader.0));
            reader.skip_attributes();
        }
    }

    /// Calls `visit` for each link with its ids and the reader before its attributes.
    pub(crate) fn for_each_link(
        &self,
        row: usize,
        mut visit: impl FnMut(TraceId, SpanId, Reader<'_>),
    ) {
        let (presence, mut reader) = self.skip_to_lists(row);
        if presence & HAS_EVENTS != 0 {
            for _ in 0..reader.count() {
                reader.signed();
                reader.symbol();
                reader.skip_attributes();
            }
        }
        if presence & HAS_LINKS == 0 {
            return;
        }
        for _ in 0..reader.count() {
            let trace_id = TraceId::from_bytes(reader.bytes(16)).unwrap_or_default();
            let span_id = SpanId::from_bytes(reader.bytes(8)).unwrap_or_default();
            reader.symbol();
            visit(trace_id, span_id, Reader(reader.0));
            reader.skip_attributes();
        }
    }

    /// Which rare fields there are, and the reader before the events.
    fn skip_to_lists(&self, row: usize) -> (u8, Reader<'_>) {
        let mut reader = self.reader(row);
        reader.skip_attributes();
        let presence = reader.byte();
        for bit in [HAS_MESSAGE, HAS_TRACE_STATE, HAS_FLAGS] {
            if presence & bit != 0 {
                reader.varint();
            }
        }
        (presence, reader)
    }

    fn read_attributes(&self, row: usize) -> (Attributes, Reader<'_>) {
        let mut reader = self.reader(row);
        let attributes = reader.attributes(&self.dictionary);
        (attributes, reader)
    }

    fn pack(&mut self, span: &Span) {
        let Self {
            packed, dictionary, ..
        } = self;
        write_attributes(packed, &span.attributes, dictionary);
        let bit = |present: bool, bit: u8| if present { bit } else { 0 };
        packed.push(
            bit(!span.status_message.is_empty(), HAS_MESSAGE)
                | bit(!span.trace_state.is_empty(), HAS_TRACE_STATE)
                | bit(span.flags != 0, HAS_FLAGS)
                | bit(!span.events.is_empty(), HAS_EVENTS)
                | bit(!span.links.is_empty(), HAS_LINKS),
        );
        for text in [&span.status_message, &span.trace_state] {
            if !text.is_empty() {
                put_unsigned(packed, u64::from(dictionary.intern(text)));
            }
        }
        if span.flags != 0 {
            put_unsigned(packed, u64::from(span.flags));
        }
        if !span.events.is_empty() {
            put_unsigned(packed, span.events.len() as u64);
            for event in &span.events {
                put_signed(
                    packed,
                    event
                        .timestamp
                        .as_nanos()
                        .wrapping_sub(span.start.as_nanos()),
                );
                put_unsigned(packed, u64::from(dictionary.intern(&event.name)));
                write_attributes(packed, &event.attributes, dictionary);
            }
        }
        if !span.links.is_empty() {
            put_unsigned(packed, span.links.len() as u64);
            for link in &span.links {
                packed.extend_from_slice(&link.trace_id.0);
                packed.extend_from_slice(&link.span_id.0);
                put_unsigned(packed, u64::from(dictionary.intern(&link.trace_state)));
                write_attributes(packed, &link.attributes, dictionary);
            }
        }
    }

    fn resource_index(&mut self, resource: &Arc<Resource>) -> u32 {
        if let Some((last, index)) = &self.last_resource
            && Arc::ptr_eq(last, resource)
        {
            return *index;
        }
        let mut bytes = Vec::new();
        write_attributes(&mut bytes, &resource.attributes, &mut self.dictionary);
        let next = self.resources.len() as u32;
        let index = *self
            .resource_by_bytes
            .entry(bytes.into_boxed_slice())
            .or_insert(next);
        if index == next {
            self.services
                .push(self.dictionary.intern(resource.service_name()));
            let keys = self.intern_keys(&resource.attributes);
            self.shared_bytes += attributes_bytes(&resource.attributes) + keys.len() * 12 + 128;
            self.resources.push(Shared {
                value: Arc::clone(resource),
                keys,
            });
        }
        self.last_resource = Some((Arc::clone(resource), index));
        index
    }

    fn scope_index(&mut self, scope: &Arc<Scope>) -> u32 {
        if let Some((last, index)) = &self.last_scope
            && Arc::ptr_eq(last, scope)
        {
            return *index;
        }
        let mut bytes = Vec::new();
        put_unsigned(&mut bytes, u64::from(self.dictionary.intern(&scope.name)));
        put_unsigned(
            &mut bytes,
            u64::from(self.dictionary.intern(&scope.version)),
        );
        write_attributes(&mut bytes, &scope.attributes, &mut self.dictionary);
        let next = self.scopes.len() as u32;
        let index = *self
            .scope_by_bytes
            .entry(bytes.into_boxed_slice())
            .or_insert(next);
        if index == next {
            let keys = self.intern_keys(&scope.attributes);
            self.shared_bytes += attributes_bytes(&scope.attributes)
                + scope.name.len()
                + scope.version.len()
                + keys.len() * 12
                + 128;
            self.scopes.push(Shared {
                value: Arc::clone(scope),
                keys,
            });
        }
        self.last_scope = Some((Arc::clone(scope), index));
        index
    }

    fn intern_keys(&mut self, attributes: &Attributes) -> Vec<Symbol> {
        attributes
            .iter()
            .map(|(key, _)| self.dictionary.intern(key))
            .collect()
    }
}

/// The heap bytes of attributes as the other rooms hold them.
fn attributes_bytes(attributes: &Attributes) -> usize {
    attributes
        .iter()
        .map(|(key, value)| key.len() + value_bytes(value) + size_of::<(String, AttributeValue)>())
        .sum()
}

fn value_bytes(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::String(text) => text.len(),
        AttributeValue::Bytes(bytes) => bytes.len(),
        AttributeValue::Array(values) => values
            .iter()
            .map(|value| value_bytes(value) + size_of::<AttributeValue>())
            .sum(),
        AttributeValue::Map(pairs) => pairs
            .iter()
            .map(|(key, value)| {
                key.len() + value_bytes(value) + size_of::<(String, AttributeValue)>()
            })
            .sum(),
        AttributeValue::Empty
        | AttributeValue::Bool(_)
        | AttributeValue::Int(_)
        | AttributeValue::Double(_) => 0,
    }
}

//! The trace store: spans in, traces out by id.

mod batch;
mod codec;
mod dictionary;
mod segment;
mod trace_table;

use std::path::Path;
use std::sync::Arc;

use gameday_disk::DiskError;
use gameday_signal::{FixedMap, Resource, Scope, Span, Timestamp, TraceId};

use crate::disk::{DiskConfig, DiskLog, ReplayReport, last_end};
use crate::limits::{AppendReport, Limits, Refusal};
use crate::trace::Trace;

pub(crate) use codec::{Packed, Reader};
pub(crate) use dictionary::Symbol;
pub(crate) use segment::Segment;
use trace_table::TraceTable;
pub(crate) use trace_table::{RowId, TraceEntry};

/// Segments that may be in use; a row's address has 16 bits for its segment.
const MAX_SEGMENTS: usize = 1 << 16;

/// Spans in memory, by trace, by time and by column.
///
/// What [`TraceStore::append`] has counted as accepted is seen by the next call of any kind.
pub struct TraceStore {
    pub(crate) limits: Limits,
    /// A segment stays in its slot; slots of segments that went are used again.
    pub(crate) segments: Vec<Option<Segment>>,
    /// The slot of the segment that takes spans.
    open: Option<usize>,
    pub(crate) traces: TraceTable,
    live_spans: usize,
    evicted: Evicted,
    /// Where spans are written before they are visible, for a store with a folder.
    disk: Option<DiskLog>,
    disk_error: Option<String>,
    /// Resources and scopes of the last spans, with what is stored in their stead where a limit cuts them.
    last_resource: Option<(Arc<Resource>, Arc<Resource>)>,
    last_scope: Option<(Arc<Scope>, Arc<Scope>)>,
}

/// What retention has taken away since the store began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evicted {
    /// Traces that went.
    pub traces: u64,
    /// Their spans.
    pub spans: u64,
}

/// How much the store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Traces in the store.
    pub traces: usize,
    /// Spans in the store.
    pub spans: usize,
    /// Bytes of memory, by the store's own count.
    pub bytes: usize,
    /// Bytes on disk, for a store with a folder.
    pub disk_bytes: u64,
    /// What retention has taken away.
    pub evicted: Evicted,
}

impl Default for TraceStore {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl TraceStore {
    /// An empty store.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            segments: Vec::new(),
            open: None,
            traces: TraceTable::default(),
            live_spans: 0,
            evicted: Evicted::default(),
            disk: None,
            disk_error: None,
            last_resource: None,
            last_scope: None,
        }
    }

    /// A store that keeps what it takes in `folder`, with what is there already. The folder belongs to one store at a time.
    ///
    /// # Errors
    /// Where the folder cannot be read or written. Damage is no error: what can be read is kept, and the
    /// report says what could not.
    pub fn open(
        folder: &Path,
        limits: Limits,
        config: DiskConfig,
        now: Timestamp,
    ) -> Result<(Self, ReplayReport), DiskError> {
        let mut store = Self::new(limits);
        let mut replay = ReplayReport::default();
        let mut report = AppendReport::default();
        let mut left_out = 0;
        let disk = DiskLog::open(folder, config, &mut replay, |record| {
            let spans = batch::decode(record)?;
            let end = last_end(&spans);
            for span in spans {
                // The clock of a game day may begin anew: only age counts here.
                if store.limits.is_too_old(&span, now) {
                    left_out += 1;
                } else {
                    store.insert(&span, &mut report);
                }
            }
            store.make_room();
            Some(end)
        })?;
        store.disk = Some(disk);
        replay.spans = report.accepted;
        replay.left_out = left_out + report.refused_spans();
        Ok((store, replay))
    }

    /// Stores spans that came in at `now`. A span that is refused or cut is counted in the report; the others are stored, and on disk
    /// where the store has a folder.
    pub fn append(&mut self, mut spans: Vec<Span>, now: Timestamp) -> AppendReport {
        let mut report = AppendReport::default();
        spans.retain_mut(|span| {
            if let Some((refusal, detail)) = self.limits.check(span, now) {
                report.refuse(refusal, span.trace_id, || detail);
                return false;
            }
            self.limits.clip(span, &mut report);
            self.clip_shared(span, &mut report);
            true
        });
        if let Some(disk) = &mut self.disk
            && !spans.is_empty()
            && let Err(error) = disk.append(&batch::encode(&spans), last_end(&spans))
        {
            self.disk_error = Some(error.to_string());
            for span in &spans {
                report.refuse(Refusal::NotWritten, span.trace_id, || {
                    format!("cannot be kept: {error}")
                });
            }
            return report;
        }
        for span in &spans {
            self.insert(span, &mut report);
        }
        self.make_room();
        report
    }

    /// The trace `id` with all its spans, by their start.
    pub fn get(&self, id: TraceId) -> Option<Trace> {
        let slot = self.traces.slot_of(id)?;
        let entry = self.traces.get(slot)?;
        Some(Trace::new(
            id,
            entry
                .rows
                .iter()
                .filter_map(|row| self.span(*row, id))
                .collect(),
        ))
    }

    /// Takes away what is older than the retention at `now`.
    pub fn tick(&mut self, now: Timestamp) -> Evicted {
        let before = self.evicted;
        let limit = now - self.limits.retention;
        let old: Vec<u32> = self
            .traces
            .oldest_first()
            .take_while(|(_, entry)| entry.start < limit)
            .filter(|(_, entry)| entry.end < limit)
            .map(|(slot, _)| slot)
            .collect();
        for slot in old {
            self.evict(slot);
        }
        self.compact();
        if let Some(disk) = &mut self.disk
            && let Err(error) = disk.retain(limit)
        {
            self.disk_error = Some(error.to_string());
        }
        Evicted {
            traces: self.evicted.traces - before.traces,
            spans: self.evicted.spans - before.spans,
        }
    }

    /// The last thing that went wrong on disk.
    pub fn disk_error(&self) -> Option<&str> {
        self.disk_error.as_deref()
    }

    /// How much the store holds.
    pub fn stats(&self) -> StoreStats {
        StoreStats {
            traces: self.traces.len(),
            spans: self.live_spans,
            bytes: self
                .segments
                .iter()
                .flatten()
                .map(Segment::heap_bytes)
                .sum::<usize>()
                + self.traces.heap_bytes(self.live_spans),
            disk_bytes: self.disk.as_ref().map_or(0, DiskLog::bytes),
            evicted: self.evicted,
        }
    }

    /// All spans of all traces, trace by trace in the order of their start.
    pub fn all_spans(&self) -> impl Iterator<Item = Span> {
        self.traces.oldest_first().flat_map(|(_, entry)| {
            entry
                .rows
                .iter()
                .filter_map(|row| self.span(*row, entry.id))
        })
    }

    pub(crate) fn segment(&self, row: RowId) -> Option<&Segment> {
        self.segments.get(usize::from(row.segment))?.as_ref()
    }

    pub(crate) fn span(&self, row: RowId, id: TraceId) -> Option<Span> {
        Some(self.segment(row)?.span(usize::from(row.row), id))
    }

    /// Adds a span that has been checked.
    fn insert(&mut self, span: &Span, report: &mut AppendReport) {
        let Some(open) = self.open_segment() else {
            report.refuse(Refusal::TraceTooLarge, span.trace_id, || {
                format!("the store holds {MAX_SEGMENTS} segments, which is as many as it can")
            });
            return;
        };
        let slot = self.traces.slot_or_add(span.trace_id, span.start);
        let segments = &mut self.segments;
        let Some(entry) = self.traces.get_mut(slot) else {
            return;
        };
        let stored = |row: RowId| match &segments[usize::from(row.segment)] {
            Some(segment) => (
                segment.span_ids[usize::from(row.row)],
                segment.kinds[usize::from(row.row)],
            ),
            None => Default::default(),
        };
        if entry.has(span.span_id, span.kind, stored) {
            report.duplicates += 1;
            return;
        }
        if entry.rows.len() >= self.limits.max_spans_per_trace {
            let limit = self.limits.max_spans_per_trace;
            report.refuse(Refusal::TraceTooLarge, span.trace_id, || {
                format!("TRACE_TOO_LARGE: max spans of trace ({limit}) exceeded while adding to trace {}", span.trace_id)
            });
            return;
        }
        let Some(segment) = segments[open].as_mut() else {
            return;
        };
        let row = RowId {
            segment: open as u16,
            row: segment.push(span, slot) as u16,
        };
        entry.add(
            row,
            span.span_id,
            span.parent_span_id,
            span.kind,
            (span.start, span.end),
        );
        self.traces.starts_at(slot, span.start);
        self.live_spans += 1;
        report.accepted += 1;
    }

    /// Cuts the resource and the scope where a limit says so; the spans of a batch share the result.
    fn clip_shared(&mut self, span: &mut Span, report: &mut AppendReport) {
        match &self.last_resource {
            Some((from, to)) if Arc::ptr_eq(from, &span.resource) => span.resource = Arc::clone(to),
            _ => {
                let from = Arc::clone(&span.resource);
                if !self.limits.fits(&from.attributes) {
                    let mut attributes = from.attributes.clone();
                    self.limits.clip_attributes(&mut attributes, report);
                    span.resource = Arc::new(Resource { attributes });
                }
                self.last_resource = Some((from, Arc::clone(&span.resource)));
            }
        }
        match &self.last_scope {
            Some((from, to)) if Arc::ptr_eq(from, &span.scope) => span.scope = Arc::clone(to),
            _ => {
                let from = Arc::clone(&span.scope);
                if !self.limits.fits(&from.attributes) {
                    let mut scope = (*from).clone();
                    self.limits.clip_attributes(&mut scope.attributes, report);
                    span.scope = Arc::new(scope);
                }
                self.last_scope = Some((from, Arc::clone(&span.scope)));
            }
        }
    }

    /// The slot of a segment with room, if there may be a further one.
    fn open_segment(&mut self) -> Option<usize> {
        if let Some(open) = self.open {
            match &mut self.segments[open] {
                Some(segment) if !segment.is_full() => return Some(open),
                Some(segment) => segment.seal(),
                None => {}
            }
            self.open = None;
        }
        let slot = if let Some(free) = self.segments.iter().position(Option::is_none) {
            self.segments[free] = Some(Segment::default());
            free
        } else if self.segments.len() < MAX_SEGMENTS {
            self.segments.push(Some(Segment::default()));
            self.segments.len() - 1
        } else {
            return None;
        };
        self.open = Some(slot);
        Some(slot)
    }

    /// Takes away the oldest traces until the limits of spans and bytes hold.
    fn make_room(&mut self) {
        let spans_over = self.live_spans.saturating_sub(self.limits.max_spans);
        let bytes = self.live_bytes();
        // The bytes of a span are taken as the average, so that one pass suffices.
        let bytes_over = bytes.saturating_sub(self.limits.max_bytes);
        let spans_for_bytes = (bytes_over * self.live_spans).div_ceil(bytes.max(1));
        let target = self.live_spans - spans_over.max(spans_for_bytes).min(self.live_spans);
        if self.live_spans == target {
            return;
        }
        while self.live_spans > target
            && let Some(oldest) = self.traces.oldest()
        {
            self.evict(oldest);
        }
        self.compact();
    }

    /// The bytes of the spans that are not removed; what removed spans hold is given back when their segment goes.
    fn live_bytes(&self) -> usize {
        self.segments
            .iter()
            .flatten()
            .map(|segment| segment.heap_bytes() * segment.live_rows() / segment.rows().max(1))
            .sum::<usize>()
            + self.traces.heap_bytes(self.live_spans)
    }

    fn evict(&mut self, slot: u32) {
        let Some(entry) = self.traces.remove(slot) else {
            return;
        };
        for row in &entry.rows {
            if let Some(segment) = &mut self.segments[usize::from(row.segment)] {
                segment.remove(usize::from(row.row));
            }
        }
        self.live_spans -= entry.rows.len();
        self.evicted.traces += 1;
        self.evicted.spans += entry.rows.len() as u64;
    }

    /// Drops segments without spans and moves the spans out of those that are mostly empty.
    fn compact(&mut self) {
        for slot in 0..self.segments.len() {
            let Some(segment) = &self.segments[slot] else {
                continue;
            };
            if Some(slot) == self.open || segment.live_rows() * 2 > segment.rows() {
                continue;
            }
            let Some(segment) = self.segments[slot].take() else {
                continue;
            };
            let mut moves: FixedMap<u32, FixedMap<RowId, RowId>> = FixedMap::default();
            let mut moved_traces = Vec::new();
            for row in (0..segment.rows()).filter(|row| segment.is_live(*row)) {
                let trace = segment.traces[row];
                let Some(to) = self.move_row(&segment, row) else {
                    continue;
                };
                let of_trace = moves.entry(trace).or_insert_with(|| {
                    moved_traces.push(trace);
                    FixedMap::default()
                });
                of_trace.insert(
                    RowId {
                        segment: slot as u16,
                        row: row as u16,
                    },
                    to,
                );
            }
            for trace in moved_traces {
                if let (Some(entry), Some(moves)) = (self.traces.get_mut(trace), moves.get(&trace))
                {
                    entry.moved(moves);
                }
            }
        }
    }

    /// Copies a row to the open segment.
    fn move_row(&mut self, from: &Segment, row: usize) -> Option<RowId> {
        let trace = from.traces[row];
        let id = self.traces.get(trace)?.id;
        // The slot that has just become free is there at the least, so that there is always an open segment.
        let open = self.open_segment()?;
        let segment = self.segments[open].as_mut()?;
        Some(RowId {
            segment: open as u16,
            row: segment.push(&from.span(row, id), trace) as u16,
        })
    }
}

//! Which rows belong to which trace, and the traces in the order of their time.

use std::collections::BTreeMap;

use gameday_signal::{FixedMap, FixedSet, SpanId, SpanKind, Timestamp, TraceId};

/// A trace with more rows than this finds duplicates by a set instead of a scan.
const SCANNED_ROWS: usize = 32;

/// Where a span lies: the slot of its segment and its row there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RowId {
    pub(crate) segment: u16,
    pub(crate) row: u16,
}

/// What the store knows of a trace without its spans.
pub(crate) struct TraceEntry {
    pub(crate) id: TraceId,
    /// In the order of arrival.
    pub(crate) rows: Vec<RowId>,
    /// When its first span began.
    pub(crate) start: Timestamp,
    /// When its last span ended.
    pub(crate) end: Timestamp,
    /// The span without a parent that began first.
    pub(crate) root: Option<(Timestamp, RowId)>,
    /// The spans that are stored, where a scan over the rows would take too long.
    seen: Option<Box<FixedSet<(SpanId, SpanKind)>>>,
}

/// All traces, each in a slot that stays the same while the trace is stored.
#[derive(Default)]
pub(crate) struct TraceTable {
    slots: Vec<Option<TraceEntry>>,
    free: Vec<u32>,
    by_id: FixedMap<TraceId, u32>,
    by_start: BTreeMap<(Timestamp, TraceId), u32>,
}

impl TraceTable {
    /// The number of traces.
    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// The number of slots, used or free.
    pub(crate) fn slots(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn slot_of(&self, id: TraceId) -> Option<u32> {
        self.by_id.get(&id).copied()
    }

    pub(crate) fn get(&self, slot: u32) -> Option<&TraceEntry> {
        self.slots[slot as usize].as_ref()
    }

    pub(crate) fn get_mut(&mut self, slot: u32) -> Option<&mut TraceEntry> {
        self.slots[slot as usize].as_mut()
    }

    /// The slot of the trace `id`, which is added with its first span's start where it is new.
    pub(crate) fn slot_or_add(&mut self, id: TraceId, start: Timestamp) -> u32 {
        if let Some(slot) = self.by_id.get(&id) {
            return *slot;
        }
        let entry = TraceEntry {
            id,
            rows: Vec::new(),
            start,
            end: Timestamp::MIN,
            root: None,
            seen: None,
        };
        let slot = if let Some(slot) = self.free.pop() {
            self.slots[slot as usize] = Some(entry);
            slot
        } else {
            self.slots.push(Some(entry));
            (self.slots.len() - 1) as u32
        };
        self.by_id.insert(id, slot);
        self.by_start.insert((start, id), slot);
        slot
    }

    /// Moves the start of a trace back, where `start` is earlier.
    pub(crate) fn starts_at(&mut self, slot: u32, start: Timestamp) {
        if let Some(entry) = self.slots[slot as usize].as_mut()
            && start < entry.start
        {
            self.by_start.remove(&(entry.start, entry.id));
            entry.start = start;
            self.by_start.insert((start, entry.id), slot);
        }
    }

    pub(crate) fn remove(&mut self, slot: u32) -> Option<TraceEntry> {
        let entry = self.slots[slot as usize].take()?;
        self.by_id.remove(&entry.id);
        self.by_start.remove(&(entry.start, entry.id));
        self.free.push(slot);
        Some(entry)
    }

    /// The slot of the trace that began first.
    pub(crate) fn oldest(&self) -> Option<u32> {
        self.by_start.values().next().copied()
    }

    /// The slots of the traces that began at or before `end`, the latest first.
    pub(crate) fn newest_first(&self, end: Timestamp) -> impl Iterator<Item = u32> {
        self.by_start
            .range(..=(end, TraceId([0xff; 16])))
            .rev()
            .map(|(_, slot)| *slot)
    }

    /// The traces in the order of their start.
    pub(crate) fn oldest_first(&self) -> impl Iterator<Item = (u32, &TraceEntry)> {
        self.by_start
            .values()
            .filter_map(|slot| Some((*slot, self.slots[*slot as usize].as_ref()?)))
    }

    /// The bytes held on the heap, but for the sets of very long traces.
    pub(crate) fn heap_bytes(&self, live_rows: usize) -> usize {
        // A map entry with its control byte at a load of 7/8, a B-tree entry at a load of about 3/4.
        let index_bytes = (20 + 1) * 8 / 7 + (24 + 4) * 4 / 3;
        self.slots.capacity() * size_of::<Option<TraceEntry>>()
            + self.len() * index_bytes
            + live_rows * size_of::<RowId>() * 3 / 2
    }
}

impl TraceEntry {
    /// Whether a span of this id and kind is stored; `stored` reads the id and the kind of a row. A server span may share the id
    /// of its client (Zipkin), so that the kind counts too.
    pub(crate) fn has(
        &mut self,
        span_id: SpanId,
        kind: SpanKind,
        stored: impl Fn(RowId) -> (SpanId, SpanKind),
    ) -> bool {
        if self.rows.len() < SCANNED_ROWS {
            return self.rows.iter().any(|row| stored(*row) == (span_id, kind));
        }
        let rows = &self.rows;
        self.seen
            .get_or_insert_with(|| Box::new(rows.iter().map(|row| stored(*row)).collect()))
            .contains(&(span_id, kind))
    }

    /// Counts a row that has been stored.
    pub(crate) fn add(
        &mut self,
        row: RowId,
        span_id: SpanId,
        parent: SpanId,
        kind: SpanKind,
        times: (Timestamp, Timestamp),
    ) {
        self.rows.push(row);
        if let Some(seen) = &mut self.seen {
            seen.insert((span_id, kind));
        }
        self.end = self.end.max(times.1).max(times.0);
        if parent.is_none() && self.root.is_none_or(|(start, _)| times.0 < start) {
            self.root = Some((times.0, row));
        }
    }

    /// Tells the entry where its rows have moved.
    pub(crate) fn moved(&mut self, moves: &FixedMap<RowId, RowId>) {
        for row in &mut self.rows {
            *row = moves.get(row).copied().unwrap_or(*row);
        }
        if let Some((_, root)) = &mut self.root {
            *root = moves.get(root).copied().unwrap_or(*root);
        }
    }
}

//! The store.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use gameday_signal::{Labels, LogRecord, Matcher, Timestamp};
use memchr::memmem::Finder;

use super::block::Lines;
use super::index::{Index, StreamId};
use super::scan::{Scan, Scratch, StreamLines};
use super::stream::{Inserted, Stream};
use crate::disk::DiskLog;
use crate::ingest;
use crate::tail::Tails;
use crate::{Appended, Entry, Limits, PushStream};

/// Log lines in memory, in streams.
///
/// What [`Store::append`] accepted is visible to the next query.
#[derive(Debug)]
pub struct Store {
    pub(crate) limits: Limits,
    pub(crate) streams: BTreeMap<StreamId, Stream>,
    ids: HashMap<Labels, StreamId>,
    pub(crate) index: Index,
    next_id: StreamId,
    pub(crate) scratch: Lines,
    pub(crate) tails: Tails,
    pub(crate) lines_received: u64,
    pub(crate) bytes_received: u64,
    /// Where lines are written down, for a store with a folder.
    pub(crate) disk: Option<DiskLog>,
}

/// How much a store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Streams.
    pub streams: u64,
    /// Log lines.
    pub entries: u64,
    /// Sealed blocks.
    pub blocks: u64,
    /// Bytes of lines and packed metadata before compression.
    pub raw_bytes: u64,
    /// Bytes in memory.
    pub heap_bytes: u64,
    /// Lines accepted since the start.
    pub lines_received: u64,
    /// Bytes of the lines accepted since the start.
    pub bytes_received: u64,
    /// Bytes on disk, for a store with a folder.
    pub disk_bytes: u64,
}

impl Store {
    /// An empty store.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            streams: BTreeMap::new(),
            ids: HashMap::new(),
            index: Index::default(),
            next_id: 0,
            scratch: Lines::default(),
            tails: Tails::default(),
            lines_received: 0,
            bytes_received: 0,
            disk: None,
        }
    }

    /// The limits.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Adds the streams of a push request; what is wrong with a part of it does not keep out the rest.
    pub fn push(&mut self, streams: Vec<PushStream>, now: Timestamp) -> Appended {
        let mut appended = Appended::default();
        for stream in streams {
            appended.merge(self.append(&stream.labels, stream.entries, now));
        }
        appended
    }

    /// Adds OpenTelemetry log records with Loki's mapping.
    pub fn push_records(&mut self, records: &[LogRecord], now: Timestamp) -> Appended {
        let mut appended = Appended::default();
        let mut rest = records;
        while let Some(first) = rest.first() {
            let count = rest
                .iter()
                .take_while(|record| {
                    Arc::ptr_eq(&record.resource, &first.resource)
                        && Arc::ptr_eq(&record.scope, &first.scope)
                })
                .count();
            let (batch, after) = rest.split_at(count);
            let labels = ingest::stream_of(&first.resource, self.limits.discover_service_name);
            let shared = ingest::shared_metadata(&first.resource, &first.scope);
            let entries = batch
                .iter()
                .map(|record| ingest::entry_of(record, &shared, now))
                .collect();
            appended.merge(self.append(&labels, entries, now));
            rest = after;
        }
        appended
    }

    /// Adds lines to the stream of `labels`.
    pub fn append(&mut self, labels: &Labels, entries: Vec<Entry>, now: Timestamp) -> Appended {
        let mut appended = Appended::default();
        if let Err((reason, message)) = self.check_labels(labels) {
            appended.reject(entries.len(), reason, message);
            return appended;
        }
        let labels = if self.limits.discover_service_name {
            ingest::discover_service_name(labels)
        } else {
            labels.clone()
        };
        let id = match self.ids.get(&labels) {
            Some(id) => *id,
            None if self.streams.len() >= self.limits.streams_max => {
                let message = format!(
                    "maximum active stream limit exceeded when trying to create stream {labels}, reduce the number of active streams (reduce labels or reduce label values), or contact your Loki administrator to see if the limit can be increased, user: 'fake'"
                );
                appended.reject(entries.len(), "stream_limit", message);
                return appended;
            }
            None => self.add_stream(&labels),
        };
        let level_of_labels = ingest::level_of_labels(&labels);
        let total = entries.len();
        let mut too_old = Vec::new();
        for mut entry in entries {
            if let Err((reason, message)) = self.check_entry(&labels, &entry, now) {
                appended.reject(1, reason, message);
                continue;
            }
            if self.limits.discover_log_levels
                && let Some(level) =
                    ingest::detect_level(level_of_labels, &mut entry.metadata, &entry.line)
            {
                entry.metadata.push(ingest::DETECTED_LEVEL, &level);
            }
            let Some(stream) = self.streams.get_mut(&id) else {
                break;
            };
            let timestamp = entry.timestamp.as_nanos();
            let oldest = stream
                .newest_ts
                .saturating_sub(nanos(self.limits.out_of_order_window));
            if stream.newest_ts != i64::MIN && timestamp < oldest {
                too_old.push((entry.timestamp, Timestamp::from_nanos(oldest)));
                continue;
            }
            match stream.insert(timestamp, &entry.line, &entry.metadata) {
                Inserted::Duplicate => appended.duplicates += 1,
                Inserted::New => {
                    appended.accepted += 1;
                    self.lines_received += 1;
                    self.bytes_received += entry.line.len() as u64;
                    if let Some(disk) = &mut self.disk {
                        disk.record(id, &labels, &entry);
                    }
                    if stream.is_head_full() {
                        stream.seal_head(&mut self.scratch);
                    }
                    self.tails.offer(&labels, &entry);
                }
            }
        }
        if !too_old.is_empty() {
            let message = too_far_behind(&labels, &too_old, total);
            appended.reject(too_old.len(), "too_far_behind", message);
        }
        if self
            .streams
            .get(&id)
            .is_some_and(|stream| stream.bounds().is_none())
        {
            self.remove_stream(id);
        }
        appended
    }

    /// The number of the stream with these labels, which is a new one where there is none.
    pub(crate) fn id_of(&mut self, labels: &Labels) -> StreamId {
        match self.ids.get(labels) {
            Some(id) => *id,
            None => self.add_stream(labels),
        }
    }

    fn add_stream(&mut self, labels: &Labels) -> StreamId {
        let id = self.next_id;
        self.next_id += 1;
        self.ids.insert(labels.clone(), id);
        self.index.add(labels, id);
        self.streams.insert(id, Stream::new(labels.clone()));
        id
    }

    fn remove_stream(&mut self, id: StreamId) {
        if let Some(stream) = self.streams.remove(&id) {
            self.ids.remove(&stream.labels);
            self.index.remove(&stream.labels, id);
        }
    }

    fn check_labels(&self, labels: &Labels) -> Result<(), (&'static str, String)> {
        let limits = &self.limits;
        if labels.is_empty() {
            return Err((
                "missing_labels",
                "error at least one label pair is required per stream".to_owned(),
            ));
        }
        if labels.len() > limits.labels_max + usize::from(labels.get("service_name").is_some()) {
            return Err((
                "max_label_names_per_series",
                format!(
                    "entry for stream '{labels}' has {} label names; limit {}",
                    labels.len(),
                    limits.labels_max
                ),
            ));
        }
        for (name, value) in labels.iter() {
            if name.len() > limits.label_name_bytes_max {
                return Err((
                    "label_name_too_long",
                    format!("stream '{labels}' has label name too long: '{name}'"),
                ));
            }
            if value.len() > limits.label_value_bytes_max {
                return Err((
                    "label_value_too_long",
                    format!("stream '{labels}' has label value too long: '{value}'"),
                ));
            }
        }
        Ok(())
    }

    fn check_entry(
        &self,
        labels: &Labels,
        entry: &Entry,
        now: Timestamp,
    ) -> Result<(), (&'static str, String)> {
        let limits = &self.limits;
        if let Some(age) = limits.sample_age_max
            && entry.timestamp < now - age
        {
            return Err((
                "greater_than_max_sample_age",
                format!(
                    "entry for stream '{labels}' has timestamp too old: {}, oldest acceptable timestamp is: {}",
                    rfc3339(entry.timestamp),
                    rfc3339(now - age)
                ),
            ));
        }
        if entry.timestamp > now + limits.creation_grace_period {
            return Err((
                "too_far_in_future",
                format!(
                    "entry for stream '{labels}' has timestamp too new: {}",
                    rfc3339(entry.timestamp)
                ),
            ));
        }
        if entry.line.len() > limits.line_bytes_max {
            return Err((
                "line_too_long",
                format!(
                    "max entry size '{}' bytes exceeded for stream '{labels}' while adding an entry with length '{}' bytes",
                    limits.line_bytes_max,
                    entry.line.len()
                ),
            ));
        }
        let bytes = entry.metadata.bytes();
        if bytes > limits.metadata_bytes_max {
            return Err((
                "structured_metadata_too_large",
                format!(
                    "stream '{labels}' has structured metadata too large: '{bytes}' bytes, limit: '{}' bytes. Please see `limits_config.max_structured_metadata_size` or contact your Loki administrator to increase it",
                    limits.metadata_bytes_max
                ),
            ));
        }
        if entry.metadata.len() > limits.metadata_entries_max {
            return Err((
                "structured_metadata_too_many",
                format!(
                    "stream '{labels}' has too many structured metadata labels: '{}', limit: '{}'. Please see `limits_config.max_structured_metadata_entries_count` or contact your Loki administrator to increase it",
                    entry.metadata.len(),
                    limits.metadata_entries_max
                ),
            ));
        }
        Ok(())
    }

    /// Drops what is older than the retention, and then the oldest blocks until the store fits its size. Returns the lines that
    /// went.
    pub fn apply_retention(&mut self, now: Timestamp) -> u64 {
        let mut dropped = 0;
        if let Some(retention) = self.limits.retention {
            dropped += self.drop_before((now - retention).as_nanos());
        }
        if let Some(limit) = self.limits.store_bytes_max {
            let mut bytes: u64 = self.streams.values().map(Stream::raw_bytes).sum();
            while bytes > limit {
                let oldest = self
                    .streams
                    .iter()
                    .filter_map(|(id, stream)| {
                        let first = stream.blocks.iter().enumerate();
                        let (number, block) = first.min_by_key(|(_, block)| block.max_ts)?;
                        Some((block.max_ts, *id, number))
                    })
                    .min();
                let Some((_, id, number)) = oldest else { break };
                if let Some(stream) = self.streams.get_mut(&id) {
                    let block = stream.blocks.remove(number);
                    bytes -= u64::from(block.text_bytes) + u64::from(block.metadata_bytes);
                    dropped += u64::from(block.count);
                }
            }
        }
        self.remove_empty_streams();
        dropped
    }

    /// Drops whole blocks and heads whose lines are all older than `oldest`. Returns the lines that went.
    pub(crate) fn drop_before(&mut self, oldest: i64) -> u64 {
        let mut dropped = 0;
        for stream in self.streams.values_mut() {
            dropped += drop_before(stream, oldest, &mut self.scratch);
        }
        self.remove_empty_streams();
        dropped
    }

    fn remove_empty_streams(&mut self) {
        let empty: Vec<StreamId> = self
            .streams
            .iter()
            .filter(|(_, stream)| stream.bounds().is_none())
            .map(|(id, _)| *id)
            .collect();
        for id in empty {
            self.remove_stream(id);
        }
    }

    /// How much the store holds.
    pub fn stats(&self) -> StoreStats {
        let mut stats = StoreStats {
            streams: self.streams.len() as u64,
            lines_received: self.lines_received,
            bytes_received: self.bytes_received,
            disk_bytes: self.disk.as_ref().map_or(0, |disk| disk.log.bytes()),
            ..StoreStats::default()
        };
        for stream in self.streams.values() {
            stats.blocks += stream.blocks.len() as u64;
            stats.entries += stream.head.len() as u64;
            stats.entries += stream
                .blocks
                .iter()
                .map(|block| u64::from(block.count))
                .sum::<u64>();
            stats.raw_bytes += stream.raw_bytes();
            stats.heap_bytes += stream.heap_bytes() as u64;
        }
        stats
    }

    /// The streams that satisfy all matchers.
    pub(crate) fn select(&self, matchers: &[Matcher]) -> impl Iterator<Item = &Stream> {
        self.index
            .select(matchers)
            .into_iter()
            .filter_map(|id| self.streams.get(&id))
    }

    /// Calls `visit` with each stream of the scan, whose lines it may read, until it answers false.
    pub(crate) fn scan(
        &self,
        matchers: &[Matcher],
        scan: &Scan,
        mut visit: impl FnMut(&Stream, StreamLines<'_>) -> bool,
    ) {
        let finders: Vec<Finder<'_>> = scan
            .literals
            .iter()
            .map(|literal| Finder::new(literal.as_bytes()))
            .collect();
        let mut scratch = Scratch::default();
        for stream in self.select(matchers) {
            let touches = stream
                .bounds()
                .is_some_and(|(min, max)| min < scan.to && max >= scan.from);
            if touches
                && !visit(
                    stream,
                    StreamLines::new(stream, scan, &finders, &mut scratch),
                )
            {
                return;
            }
        }
    }
}

fn nanos(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// Whole seconds, as Loki's messages have them.
fn rfc3339(timestamp: Timestamp) -> String {
    let text = Timestamp::from_secs(timestamp.as_secs()).to_string();
    text.replace(".000Z", "Z")
}

fn too_far_behind(labels: &Labels, entries: &[(Timestamp, Timestamp)], total: usize) -> String {
    /// As many entries as Loki lists in one answer (`max_returned_stream_errors`).
    const LISTED_MAX: usize = 10;
    let mut message = String::new();
    for (timestamp, oldest) in entries.iter().take(LISTED_MAX) {
        let shown = rfc3339(*timestamp)
            .replace('T', " ")
            .replace('Z', " +0000 UTC");
        append(
            &mut message,
            format_args!(
                "entry with timestamp {shown} ignored, reason: 'entry too far behind, entry timestamp is: {}, oldest acceptable timestamp is: {}',\n",
                rfc3339(*timestamp),
                rfc3339(*oldest)
            ),
        );
    }
    append(
        &mut message,
        format_args!(
            "user 'fake', total ignored: {} out of {total} for stream: {labels}",
            entries.len()
        ),
    );
    message
}

fn append(out: &mut String, text: std::fmt::Arguments<'_>) {
    use std::fmt::Write;
    // Writing to a String cannot fail.
    let _ = out.write_fmt(text);
}

/// Drops whole blocks, and the head where all of it is old; a block on the border goes when its last line is too old.
fn drop_before(stream: &mut Stream, oldest: i64, scratch: &mut Lines) -> u64 {
    let head_is_old = stream.head.len() > 0
        && stream
            .head
            .timestamps
            .iter()
            .all(|timestamp| *timestamp < oldest);
    if head_is_old {
        stream.seal_head(scratch);
    }
    let mut dropped = 0;
    stream.blocks.retain(|block| {
        let keeps = block.max_ts >= oldest;
        if !keeps {
            dropped += u64::from(block.count);
        }
        keeps
    });
    dropped
}

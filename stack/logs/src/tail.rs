//! Live tails: each new line that a query lets through, as it arrives.

use std::collections::{BTreeMap, VecDeque};

use gameday_signal::{Labels, Timestamp};
use serde::Serialize;

use crate::answer::EntryCollector;
use crate::logql::{LogExpr, parse_selector};
use crate::stage::{Hints, Pipeline, compile};
use crate::{Entry, LabelSet, ParseError, ResultEntry, Store, StreamResult};

/// A tail that was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TailId(u64);

/// What came in since the last look; one message of Loki's `/tail`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TailBatch {
    /// The lines.
    pub streams: Vec<StreamResult>,
    /// Lines that came faster than they were fetched.
    pub dropped_entries: Vec<DroppedEntry>,
}

/// A line that a slow reader missed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DroppedEntry {
    /// When it happened, in nanoseconds as text.
    pub timestamp: String,
    /// Its labels.
    pub labels: LabelSet,
}

/// A tail keeps this many lines for its reader.
const QUEUE_MAX: usize = 10_000;
/// A reader is told about this many lost lines.
const DROPPED_MAX: usize = 1000;

#[derive(Debug)]
struct Tail {
    logs: LogExpr,
    pipeline: Pipeline,
    queue: VecDeque<(LabelSet, ResultEntry)>,
    dropped: Vec<DroppedEntry>,
}

/// All open tails.
#[derive(Debug, Default)]
pub(crate) struct Tails {
    open: BTreeMap<TailId, Tail>,
    next: u64,
}

impl Store {
    /// Opens a tail for a log query; lines that are appended from now on are kept for it.
    ///
    /// # Errors
    /// Where `query` is no log query.
    pub fn open_tail(&mut self, query: &str) -> Result<TailId, ParseError> {
        let logs = parse_selector(query)?;
        let pipeline = Pipeline::new(compile(&logs.stages).unwrap_or_default(), Hints::default());
        let id = TailId(self.tails.next);
        self.tails.next += 1;
        self.tails.open.insert(
            id,
            Tail {
                logs,
                pipeline,
                queue: VecDeque::new(),
                dropped: Vec::new(),
            },
        );
        Ok(id)
    }

    /// Takes the lines that came in, at most `limit`; none where there is none or the tail is closed.
    pub fn poll_tail(&mut self, id: TailId, limit: usize) -> Option<TailBatch> {
        let tail = self.tails.open.get_mut(&id)?;
        if tail.queue.is_empty() && tail.dropped.is_empty() {
            return None;
        }
        let count = tail.queue.len().min(limit);
        let mut streams: BTreeMap<LabelSet, Vec<ResultEntry>> = BTreeMap::new();
        for (labels, entry) in tail.queue.drain(..count) {
            streams.entry(labels).or_default().push(entry);
        }
        Some(TailBatch {
            streams: streams
                .into_iter()
                .map(|(stream, values)| StreamResult { stream, values })
                .collect(),
            dropped_entries: std::mem::take(&mut tail.dropped),
        })
    }

    /// Closes a tail.
    pub fn close_tail(&mut self, id: TailId) {
        self.tails.open.remove(&id);
    }
}

impl Tails {
    /// Shows a new line to every tail.
    pub(crate) fn offer(&mut self, labels: &Labels, entry: &Entry) {
        for tail in self.open.values_mut() {
            if !tail
                .logs
                .matchers
                .iter()
                .all(|matcher| matcher.matches(labels))
            {
                continue;
            }
            let pipeline = &mut tail.pipeline;
            pipeline.set_stream(labels);
            for (name, value) in entry.metadata.iter() {
                pipeline.labels.add_metadata(name, value);
            }
            let Some(line) = pipeline.process(entry.timestamp, &entry.line) else {
                continue;
            };
            let line = line.to_owned();
            let mut collector = EntryCollector::new(false);
            let (number, own) = collector.place(&pipeline.labels);
            let set = collector.set(number).clone();
            tail.push(set, entry.timestamp, line, own);
        }
    }
}

impl Tail {
    fn push(
        &mut self,
        set: LabelSet,
        timestamp: Timestamp,
        line: String,
        labels: Option<crate::EntryLabels>,
    ) {
        if self.queue.len() >= QUEUE_MAX {
            if self.dropped.len() < DROPPED_MAX {
                self.dropped.push(DroppedEntry {
                    timestamp: timestamp.as_nanos().to_string(),
                    labels: set,
                });
            }
            return;
        }
        self.queue.push_back((
            set,
            ResultEntry {
                timestamp,
                line,
                labels,
            },
        ));
    }
}

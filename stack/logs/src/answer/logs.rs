//! Log queries.

use std::collections::{BTreeMap, HashMap};

use gameday_signal::Timestamp;

use super::query::RangeRequest;
use super::result::{Direction, EntryLabels, QueryData, QueryResult, ResultEntry, StreamResult};
use crate::LabelSet;
use crate::logql::LogExpr;
use crate::stage::{Hints, LineLabels, Pipeline, Source, compile};
use crate::store::{Needs, Scan, Store};

/// Lines with the labels that they are grouped by.
pub(crate) struct EntryCollector {
    categorize_labels: bool,
    sets: Vec<LabelSet>,
    known: HashMap<LabelSet, usize>,
    /// The set of the lines whose labels are those of their stream.
    of_stream: Option<usize>,
}

impl EntryCollector {
    pub(crate) fn new(categorize_labels: bool) -> Self {
        Self {
            categorize_labels,
            sets: Vec::new(),
            known: HashMap::new(),
            of_stream: None,
        }
    }

    /// Begins the lines of another stream.
    pub(crate) fn next_stream(&mut self) {
        self.of_stream = None;
    }

    /// The number of the label set that a line belongs to, and its own labels where they are categorized.
    pub(crate) fn place(&mut self, labels: &LineLabels) -> (usize, Option<EntryLabels>) {
        let own = self.categorize_labels.then(|| EntryLabels {
            structured_metadata: labels.of_source(Source::Metadata),
            parsed: labels.of_source(Source::Parsed),
        });
        let is_stream = labels.is_stream();
        if is_stream && let Some(number) = self.of_stream {
            return (number, own);
        }
        let set = if self.categorize_labels {
            labels.of_source(Source::Stream)
        } else {
            labels.to_label_set()
        };
        let number = match self.known.get(&set) {
            Some(number) => *number,
            None => {
                self.sets.push(set.clone());
                self.known.insert(set, self.sets.len() - 1);
                self.sets.len() - 1
            }
        };
        if is_stream {
            self.of_stream = Some(number);
        }
        (number, own)
    }

    /// The label set with this number.
    pub(crate) fn set(&self, number: usize) -> &LabelSet {
        &self.sets[number]
    }
}

struct Found {
    timestamp: i64,
    /// The order of arrival, which breaks ties.
    order: usize,
    set: usize,
    line: String,
    labels: Option<EntryLabels>,
}

/// The lines found so far; never many more than are asked for.
struct Best {
    found: Vec<Found>,
    limit: usize,
    backward: bool,
    /// Lines that are worse than this cannot be among the best.
    bound: Option<i64>,
}

impl Best {
    fn is_hopeless(&self, timestamp: i64) -> bool {
        self.bound.is_some_and(|bound| {
            if self.backward {
                timestamp < bound
            } else {
                timestamp > bound
            }
        })
    }

    fn sort(&mut self) {
        if self.backward {
            self.found
                .sort_by_key(|found| (std::cmp::Reverse(found.timestamp), found.order));
        } else {
            self.found
                .sort_by_key(|found| (found.timestamp, found.order));
        }
    }

    fn push(&mut self, found: Found) {
        self.found.push(found);
        if self.found.len() >= self.limit.saturating_mul(2).max(1024) {
            self.sort();
            self.found.truncate(self.limit);
            self.bound = self.found.last().map(|found| found.timestamp);
        }
    }
}

/// Answers a log query.
pub(super) fn query_logs(store: &Store, logs: &LogExpr, request: &RangeRequest) -> QueryData {
    let interval = i64::try_from(request.interval.as_nanos()).unwrap_or(i64::MAX);
    let backward = request.direction == Direction::Backward;
    let mut pipeline = Pipeline::new(compile(&logs.stages).unwrap_or_default(), Hints::default());
    pipeline.set_now(request.end);
    let scan = Scan {
        from: request.start.as_nanos(),
        to: request.end.as_nanos(),
        backward,
        needs: Needs {
            text: true,
            metadata: true,
        },
        literals: pipeline.required_literals().0,
        ..Scan::default()
    };
    let mut collector = EntryCollector::new(request.categorize_labels);
    let mut best = Best {
        found: Vec::new(),
        // Thinning leaves out lines, so that more than the limit may be needed.
        limit: if interval > 0 {
            usize::MAX
        } else {
            request.limit
        },
        backward,
        bound: None,
    };
    let mut order = 0;
    store.scan(&logs.matchers, &scan, |stream, stream_lines| {
        pipeline.set_stream(&stream.labels);
        collector.next_stream();
        let mut taken = 0;
        stream_lines.for_each(&mut |line| {
            if taken >= best.limit || best.is_hopeless(line.timestamp) {
                return false;
            }
            pipeline.labels.reset();
            line.add_metadata_to(&mut pipeline.labels);
            let timestamp = Timestamp::from_nanos(line.timestamp);
            if let Some(text) = pipeline.process(timestamp, line.text) {
                let text = text.to_owned();
                let (set, labels) = collector.place(&pipeline.labels);
                taken += 1;
                order += 1;
                best.push(Found {
                    timestamp: line.timestamp,
                    order,
                    set,
                    line: text,
                    labels,
                });
            }
            true
        });
        true
    });
    best.sort();
    let found = thin(best.found, interval, request.limit);
    let processed = scan.processed.get();
    QueryData {
        result: QueryResult::Streams(into_streams(&collector, found)),
        categorize_labels: request.categorize_labels,
        lines_processed: processed.lines,
        bytes_processed: processed.bytes,
    }
}

/// Keeps the first line, then each that lies at least `interval` behind the one kept before, up to `limit`.
fn thin(found: Vec<Found>, interval: i64, limit: usize) -> Vec<Found> {
    let mut last: Option<i64> = None;
    found
        .into_iter()
        .filter(|one| {
            let keeps = interval == 0
                || last.is_none_or(|last| one.timestamp.abs_diff(last) >= interval.unsigned_abs());
            if keeps {
                last = Some(one.timestamp);
            }
            keeps
        })
        .take(limit)
        .collect()
}

fn into_streams(collector: &EntryCollector, found: Vec<Found>) -> Vec<StreamResult> {
    let mut streams: BTreeMap<LabelSet, Vec<ResultEntry>> = BTreeMap::new();
    for one in found {
        streams
            .entry(collector.set(one.set).clone())
            .or_default()
            .push(ResultEntry {
                timestamp: Timestamp::from_nanos(one.timestamp),
                line: one.line,
                labels: one.labels,
            });
    }
    streams
        .into_iter()
        .map(|(stream, values)| StreamResult { stream, values })
        .collect()
}

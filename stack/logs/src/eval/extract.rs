//! Log lines to samples.

use std::collections::HashMap;

use gameday_query::Grouping;
use gameday_signal::Timestamp;

use super::QueryError;
use super::range::Point;
use crate::LabelSet;
use crate::logql::{Conversion, LogRange, RangeOp};
use crate::stage::labels::{ERROR, PRESERVE_ERROR};
use crate::stage::units::{parse_bytes, parse_float, parse_go_duration};
use crate::stage::{CompiledLabelFilter, Hints, Pipeline, compile};
use crate::store::{Needs, Processed, Scan, Store};

/// One query may hold this many series while it is evaluated: far more than it may return, and no danger to the memory.
const WORKING_SERIES_MAX: usize = 100_000;

/// The samples of one label set, ordered by time.
#[derive(Clone, Debug)]
pub(super) struct Series {
    pub(super) labels: LabelSet,
    pub(super) points: Vec<Point>,
    /// The kind of the error that the lines have, unless the query asked for it.
    pub(super) error: Option<String>,
}

/// What makes a number of a line.
enum Value {
    One,
    Bytes,
    Label {
        name: String,
        conversion: Conversion,
        filters: Vec<CompiledLabelFilter>,
    },
}

/// Which labels a series keeps.
enum Keep {
    All,
    None,
    By(Vec<String>),
    Without(Vec<String>),
}

/// Reads the samples with `from < time <= to`, and says how much was looked at.
pub(super) fn samples(
    store: &Store,
    op: RangeOp,
    range: &LogRange,
    grouping: Option<&Grouping>,
    from: i64,
    to: i64,
) -> Result<(Vec<Series>, Processed), QueryError> {
    let mut extractor = Extractor::new(op, range, grouping);
    extractor.pipeline.set_now(Timestamp::from_nanos(to));
    let needs = extractor.needs();
    let scan = Scan {
        from: from.saturating_add(1),
        to: to.saturating_add(1),
        backward: false,
        needs,
        literals: extractor.pipeline.required_literals().0,
        ..Scan::default()
    };
    let mut over_limit = false;
    store.scan(&range.logs.matchers, &scan, |stream, lines| {
        extractor.pipeline.set_stream(&stream.labels);
        extractor.of_stream = None;
        lines.for_each(&mut |line| {
            extractor.pipeline.labels.reset();
            line.add_metadata_to(&mut extractor.pipeline.labels);
            extractor.take(line.timestamp, line.text);
            over_limit = extractor.series.len() > WORKING_SERIES_MAX;
            !over_limit
        });
        !over_limit
    });
    if over_limit {
        return Err(QueryError::SeriesLimit(WORKING_SERIES_MAX));
    }
    let mut series = extractor.series;
    for one in &mut series {
        // Lines of several streams come stream by stream.
        if !one.points.is_sorted_by_key(|point| point.0) {
            one.points.sort_by_key(|point| point.0);
        }
    }
    Ok((series, scan.processed.get()))
}

struct Extractor {
    pipeline: Pipeline,
    value: Value,
    keep: Keep,
    series: Vec<Series>,
    /// Where the series of a label set stands.
    known: HashMap<Vec<u8>, usize>,
    /// The series of the lines whose labels are those of their stream.
    of_stream: Option<usize>,
    key: Vec<u8>,
    pairs: Vec<(u32, u32)>,
}

impl Extractor {
    fn new(op: RangeOp, range: &LogRange, grouping: Option<&Grouping>) -> Self {
        // The stages were compiled when the query was read: they compile again.
        let mut stages = compile(&range.logs.stages).unwrap_or_default();
        let (mut groups, mut without) = grouping.map_or((Vec::new(), false), |grouping| {
            (grouping.labels.clone(), grouping.without)
        });
        let no_labels = op == RangeOp::AbsentOverTime
            || grouping.is_some_and(|grouping| !grouping.without && grouping.labels.is_empty());
        let mut used = Pipeline::used_labels(&stages);
        let value = match &range.unwrap {
            Some(unwrap) => {
                let filters: Vec<CompiledLabelFilter> = unwrap
                    .filters
                    .iter()
                    .filter_map(|filter| CompiledLabelFilter::new(filter).ok())
                    .collect();
                for filter in &filters {
                    filter.collect_labels(&mut used);
                }
                // The unwrapped label is the value and no longer tells series apart.
                if groups.is_empty() || without {
                    without = true;
                    groups.push(unwrap.label.clone());
                }
                used.push(unwrap.label.clone());
                Value::Label {
                    name: unwrap.label.clone(),
                    conversion: unwrap.conversion,
                    filters,
                }
            }
            None if matches!(op, RangeOp::BytesOverTime | RangeOp::BytesRate) => Value::Bytes,
            None => {
                Pipeline::forget_line(&mut stages);
                Value::One
            }
        };
        groups.sort();
        let hints = Hints::for_samples(&used, &groups, without, no_labels);
        let keep = match (no_labels, without, groups.is_empty()) {
            (true, ..) => Keep::None,
            (_, true, false) => Keep::Without(groups),
            (_, false, false) => Keep::By(groups),
            (_, _, true) => Keep::All,
        };
        Self {
            pipeline: Pipeline::new(stages, hints),
            value,
            keep,
            series: Vec::new(),
            known: HashMap::new(),
            of_stream: None,
            key: Vec::new(),
            pairs: Vec::new(),
        }
    }

    fn needs(&self) -> Needs {
        let counts_only = matches!(self.value, Value::One) && self.pipeline.is_empty();
        Needs {
            text: !counts_only,
            metadata: !(matches!(self.keep, Keep::None) && self.pipeline.is_empty())
                || matches!(self.value, Value::Label { .. }),
        }
    }

    fn take(&mut self, timestamp: i64, line: &str) {
        let Some(line) = self
            .pipeline
            .process(Timestamp::from_nanos(timestamp), line)
        else {
            return;
        };
        let bytes = line.len();
        let value = match &self.value {
            Value::One => 1.0,
            Value::Bytes => bytes as f64,
            Value::Label {
                name,
                conversion,
                filters,
            } => {
                let labels = &mut self.pipeline.labels;
                // A line without the label is no sample, and no fault.
                let Some(text) = labels.get(name).filter(|text| !text.is_empty()) else {
                    return;
                };
                let value = convert(text, *conversion).unwrap_or_else(|details| {
                    labels.set_error("SampleExtractionErr", Some(details));
                    0.0
                });
                if !filters.iter().all(|filter| filter.holds(labels)) {
                    return;
                }
                value
            }
        };
        let index = self.series_of_line();
        self.series[index].points.push((timestamp, value));
    }

    /// Where the series of the current line stands; it is made where it is new.
    fn series_of_line(&mut self) -> usize {
        let labels = &self.pipeline.labels;
        if labels.is_stream()
            && let Some(index) = self.of_stream
        {
            return index;
        }
        self.key.clear();
        let has_error = labels.error.is_some();
        match &self.keep {
            _ if has_error => self.key.push(1),
            Keep::None => self.key.push(2),
            Keep::By(groups) => {
                self.key.push(3);
                for group in groups {
                    if let Some(value) = labels.get(group) {
                        self.key.extend_from_slice(value.as_bytes());
                        self.key.push(0xff);
                    } else {
                        self.key.push(0xfe);
                    }
                }
            }
            Keep::All | Keep::Without(_) => self.key.push(4),
        }
        if has_error || matches!(self.keep, Keep::All | Keep::Without(_)) {
            self.key_of_all(has_error);
        }
        let index = match self.known.get(self.key.as_slice()) {
            Some(index) => *index,
            None => self.new_series(has_error),
        };
        if self.pipeline.labels.is_stream() {
            self.of_stream = Some(index);
        }
        index
    }

    /// Appends names and values in the order of the names.
    fn key_of_all(&mut self, with_error: bool) {
        let without: &[String] = match &self.keep {
            Keep::Without(groups) if !with_error => groups,
            _ => &[],
        };
        let start = self.key.len();
        self.pairs.clear();
        let (key, pairs) = (&mut self.key, &mut self.pairs);
        let mut add = |name: &str, value: &str| {
            let begin = key.len() as u32;
            key.extend_from_slice(name.as_bytes());
            key.push(0xff);
            key.extend_from_slice(value.as_bytes());
            key.push(0xff);
            pairs.push((begin, key.len() as u32));
        };
        self.pipeline.labels.for_each(|name, value, _| {
            if !without.iter().any(|own| own == name) {
                add(name, value);
            }
        });
        if with_error {
            add(ERROR, self.pipeline.labels.error.as_deref().unwrap_or(""));
        }
        if self.pairs.is_sorted_by(|left, right| {
            self.key[left.0 as usize..left.1 as usize]
                <= self.key[right.0 as usize..right.1 as usize]
        }) {
            return;
        }
        let unsorted = self.key.split_off(start);
        let part = |pair: &(u32, u32)| &unsorted[pair.0 as usize - start..pair.1 as usize - start];
        self.pairs
            .sort_by(|left, right| part(left).cmp(part(right)));
        for pair in &self.pairs {
            self.key.extend_from_slice(part(pair));
        }
    }

    fn new_series(&mut self, has_error: bool) -> usize {
        let labels = &self.pipeline.labels;
        let set = if has_error {
            labels.to_label_set()
        } else {
            match &self.keep {
                Keep::All => labels.to_label_set(),
                Keep::None => LabelSet::empty(),
                Keep::By(groups) => labels
                    .to_label_set()
                    .filtered(|name| groups.iter().any(|own| own == name)),
                Keep::Without(groups) => labels
                    .to_label_set()
                    .filtered(|name| groups.iter().all(|own| own != name)),
            }
        };
        let error = labels
            .error
            .as_deref()
            .filter(|_| labels.get(PRESERVE_ERROR) != Some("true"))
            .map(str::to_owned);
        self.series.push(Series {
            labels: set,
            points: Vec::new(),
            error,
        });
        let index = self.series.len() - 1;
        self.known.insert(self.key.clone(), index);
        index
    }
}

fn convert(text: &str, conversion: Conversion) -> Result<f64, String> {
    match conversion {
        Conversion::Number => parse_float(text),
        Conversion::Bytes => parse_bytes(text).map(|bytes| bytes as f64),
        Conversion::Duration | Conversion::DurationSeconds => {
            parse_go_duration(text).map(|nanos| nanos as f64 / 1e9)
        }
    }
    .map_err(|error| error.to_string())
}

//! `compare()`: in which attributes a selection of spans differs from the others.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use gameday_signal::Timestamp;

use super::bind::NO_ROOT;
use super::metrics::{Scan, Series};
use super::spanset::{Bindings, root_of};
use crate::store::{FixedMap, Packed, Segment, Symbol, TraceStore};
use crate::traceql::ast::{Field, Pipeline};
use crate::traceql::value::Value;
use crate::traceql::{kind_name, status_name};

/// Different values of one attribute that are counted; Tempo says with an error series where there are more.
const MAX_VALUES: usize = 10_000;

/// Counts by interval, of each value of each attribute.
#[derive(Default)]
struct Side {
    values: BTreeMap<String, BTreeMap<String, (Value<'static>, Vec<f64>)>>,
    totals: BTreeMap<String, Vec<f64>>,
    overflowed: BTreeSet<String>,
}

/// Where a value was seen: an attribute and its text, both of the dictionary, the interval and the side.
type Place = (Symbol, Symbol, usize, bool);

/// What has been counted in one segment, where texts are numbers.
#[derive(Default)]
struct SegmentCounts {
    index: FixedMap<Place, usize>,
    /// In the order in which they were seen first.
    texts: Vec<(Place, f64)>,
    /// By resource, interval and side.
    resources: BTreeMap<(u32, usize, bool), f64>,
    /// By name.
    names: BTreeMap<(Symbol, usize, bool), f64>,
}

/// The series of `compare()`: for the selection and for the rest (the baseline) the most frequent values of each attribute, and
/// how many spans have the attribute.
pub(crate) fn compare<'a>(
    scan: &mut Scan<'a>,
    pipeline: &'a Pipeline,
    selection: &'a Field,
    top: i64,
    range_nanos: (i64, i64),
) -> Vec<Series> {
    let count = scan.intervals.count();
    let (start, end) = (
        Timestamp::from_nanos(range_nanos.0),
        Timestamp::from_nanos(range_nanos.1),
    );
    let mut sides = Sides {
        count,
        sides: [Side::default(), Side::default()],
    };
    let mut counts = SegmentCounts::default();
    let mut current: Option<&Segment> = None;
    let bindings = Bindings::new(scan.store, pipeline, &[selection], []);
    let store = scan.store;
    scan.for_each_span(pipeline, bindings, |bindings, at, row, interval| {
        let began = row.segment.starts[row.row];
        let in_range = range_nanos == (0, 0) || (start <= began && began < end);
        let selected = in_range && bindings.field_of_row(selection, at, row);
        let Some(segment) = store.segment(at) else {
            return;
        };
        if !current.is_some_and(|own| std::ptr::eq(own, segment)) {
            if let Some(before) = current {
                sides.add_counts(before, std::mem::take(&mut counts));
            }
            current = Some(segment);
        }
        counts.observe(segment, row.row, interval, selected);
        observe_rest(&mut sides, store, segment, row.row, interval, selected);
    });
    if let Some(before) = current {
        sides.add_counts(before, counts);
    }
    let top = usize::try_from(top).unwrap_or(0);
    let [baseline, selection] = sides.sides;
    let mut series = Vec::new();
    baseline.finish("baseline", top, &mut series);
    selection.finish("selection", top, &mut series);
    series
}

impl SegmentCounts {
    /// Counts the name, the resource and the texts among the attributes of a span.
    fn observe(&mut self, segment: &Segment, row: usize, interval: usize, selected: bool) {
        *self
            .names
            .entry((segment.names[row], interval, selected))
            .or_default() += 1.0;
        *self
            .resources
            .entry((segment.resource_of[row], interval, selected))
            .or_default() += 1.0;
        let mut reader = segment.reader(row);
        for _ in 0..reader.count() {
            let key = reader.symbol();
            if let Packed::String(text) = reader.value() {
                let place = (key, text, interval, selected);
                let next = self.texts.len();
                let index = *self.index.entry(place).or_insert(next);
                if index == next {
                    self.texts.push((place, 0.0));
                }
                self.texts[index].1 += 1.0;
            }
        }
    }
}

/// Counts what is no text of the segment's dictionary.
fn observe_rest(
    sides: &mut Sides,
    store: &TraceStore,
    segment: &Segment,
    row: usize,
    interval: usize,
    selected: bool,
) {
    let mut add = |name: &str, value: Value<'_>| sides.add(name, &value, interval, selected, 1.0);
    let text = |text| Value::String(Cow::Borrowed(text));
    add("kind", text(kind_name(segment.kinds[row])));
    add("status", text(status_name(segment.statuses[row])));
    let message = segment.status_message(row);
    if !message.is_empty() {
        add("statusMessage", text(message));
    }
    let root = store
        .traces
        .get(segment.traces[row])
        .and_then(|entry| root_of(store, entry));
    let (service, name) = root.unwrap_or((NO_ROOT, NO_ROOT));
    add("rootServiceName", text(service));
    add("rootName", text(name));
    let mut reader = segment.reader(row);
    for _ in 0..reader.count() {
        let key = reader.symbol();
        let packed = reader.value();
        if !matches!(packed, Packed::String(_)) {
            let name = format!("span.{}", segment.dictionary.get(key));
            add(
                &name,
                Value::of_attribute(&packed.unpack(&segment.dictionary)),
            );
        }
    }
}

/// The baseline and the selection.
struct Sides {
    count: usize,
    sides: [Side; 2],
}

impl Sides {
    /// Adds the counts of a segment by the texts that its numbers mean.
    fn add_counts(&mut self, segment: &Segment, counts: SegmentCounts) {
        let text = |symbol| Value::String(Cow::Borrowed(segment.dictionary.get(symbol)));
        for ((name, interval, selected), count) in counts.names {
            self.add("name", &text(name), interval, selected, count);
        }
        for ((resource, interval, selected), count) in counts.resources {
            for (key, value) in segment.resources[resource as usize].value.attributes.iter() {
                self.add(
                    &format!("resource.{key}"),
                    &Value::of_attribute(value),
                    interval,
                    selected,
                    count,
                );
            }
        }
        let mut name = String::new();
        let mut named = None;
        for ((key, value, interval, selected), count) in counts.texts {
            if named != Some(key) {
                name = format!("span.{}", segment.dictionary.get(key));
                named = Some(key);
            }
            self.add(&name, &text(value), interval, selected, count);
        }
    }

    fn add(&mut self, name: &str, value: &Value<'_>, interval: usize, selected: bool, amount: f64) {
        let side = &mut self.sides[usize::from(selected)];
        if !side.totals.contains_key(name) {
            side.totals.insert(name.to_owned(), vec![0.0; self.count]);
            side.values.insert(name.to_owned(), BTreeMap::new());
        }
        if let Some(totals) = side.totals.get_mut(name) {
            totals[interval] += amount;
        }
        let Some(values) = side.values.get_mut(name) else {
            return;
        };
        let owned;
        let text = match value {
            Value::String(text) => text.as_ref(),
            other => {
                owned = other.to_text();
                &owned
            }
        };
        if let Some((_, counts)) = values.get_mut(text) {
            counts[interval] += amount;
        } else if values.len() >= MAX_VALUES {
            side.overflowed.insert(name.to_owned());
        } else {
            let mut counts = vec![0.0; self.count];
            counts[interval] = amount;
            values.insert(text.to_owned(), (value.clone().into_owned(), counts));
        }
    }
}

impl Side {
    fn finish(self, kind: &str, top: usize, series: &mut Vec<Series>) {
        let label = |kind: String| ("__meta_type".to_owned(), Value::String(kind.into()));
        for (name, values) in self.values {
            let mut ranked: Vec<(Value<'static>, Vec<f64>)> = values.into_values().collect();
            let total = |counts: &[f64]| counts.iter().sum::<f64>();
            // The values come sorted, and the sort is stable: ties stay in the order of the texts.
            ranked.sort_by(|one, two| total(&two.1).total_cmp(&total(&one.1)));
            for (value, values) in ranked.into_iter().take(top) {
                let labels = vec![label(kind.to_owned()), (name.clone(), value)];
                series.push(Series {
                    labels,
                    values,
                    exemplars: Vec::new(),
                });
            }
        }
        for (name, values) in self.totals {
            if self.overflowed.contains(&name) {
                let error = (
                    "__meta_error".to_owned(),
                    Value::String("__too_many_values__".into()),
                );
                let labels = vec![label(kind.to_owned()), error, (name.clone(), Value::Nil)];
                series.push(Series {
                    labels,
                    values: values.clone(),
                    exemplars: Vec::new(),
                });
            }
            let labels = vec![label(format!("{kind}_total")), (name, Value::Nil)];
            series.push(Series {
                labels,
                values,
                exemplars: Vec::new(),
            });
        }
    }
}

//! `compare()`: in which attributes a selection of spans differs from the others.

use std::borrow::Cow;
use std::collections::BTreeMap;

use gameday_signal::{FixedMap, SpanKind, SpanStatus, Timestamp};

use super::bind::NO_ROOT;
use super::metrics::{Scan, Series};
use super::spanset::Bindings;
use crate::store::{Packed, Segment, Symbol, TraceStore};
use crate::traceql::ast::{Field, Pipeline};
use crate::traceql::value::Value;
use crate::traceql::{kind_name, status_name};

/// Different values of one attribute that are counted; Tempo says with an error series where there are more.
const MAX_VALUES: usize = 10_000;

/// Counts by interval, of each value of each attribute.
#[derive(Default)]
struct Side {
    attributes: BTreeMap<String, Values>,
}

/// The values of one attribute.
#[derive(Default)]
struct Values {
    index: FixedMap<Box<str>, usize>,
    /// In the order in which they were seen first: the text, the value, the counts.
    counts: Vec<(Box<str>, Value<'static>, Vec<f64>)>,
    totals: Vec<f64>,
    /// Whether there were more than are counted.
    overflowed: bool,
}

/// What is counted: an attribute of the span by its symbol, or one of what every span has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum What {
    Attribute(Symbol),
    Name,
    Kind,
    Status,
    RootService,
    RootName,
}

/// A value as a number, without its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Coded {
    Text(Symbol),
    Int(i64),
    /// The bits.
    Float(u64),
    Bool(bool),
    Kind(SpanKind),
    Status(SpanStatus),
    /// The name or the service of the root span of a trace, a text of that segment; none where it has not come.
    Root(Option<(u16, Symbol)>),
}

/// Where a value was seen: in which interval, and whether in the selection.
type Place = (What, Coded, usize, bool);

/// What has been counted in one segment, where texts are numbers.
#[derive(Default)]
struct SegmentCounts {
    index: FixedMap<Place, usize>,
    /// In the order in which they were seen first.
    counts: Vec<(Place, f64)>,
    /// By resource, interval and side.
    resources: BTreeMap<(u32, usize, bool), f64>,
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
                sides.add_counts(store, before, std::mem::take(&mut counts));
            }
            current = Some(segment);
        }
        counts.observe(&mut sides, store, segment, row.row, (interval, selected));
    });
    if let Some(before) = current {
        sides.add_counts(store, before, counts);
    }
    let top = usize::try_from(top).unwrap_or(0);
    let [baseline, selection] = sides.sides;
    let mut series = Vec::new();
    baseline.finish("baseline", top, &mut series);
    selection.finish("selection", top, &mut series);
    series
}

impl SegmentCounts {
    /// Counts what a span and its resource have; what has no code goes to `sides` at once.
    fn observe(
        &mut self,
        sides: &mut Sides,
        store: &TraceStore,
        segment: &Segment,
        row: usize,
        (interval, selected): (usize, bool),
    ) {
        *self
            .resources
            .entry((segment.resource_of[row], interval, selected))
            .or_default() += 1.0;
        let root = store.traces.get(segment.traces[row]).and_then(|entry| {
            let (_, root) = entry.root?;
            let (own, place) = (store.segment(root)?, usize::from(root.row));
            let service = own.services[own.resource_of[place] as usize];
            Some(((root.segment, service), (root.segment, own.names[place])))
        });
        for (what, coded) in [
            (What::Name, Coded::Text(segment.names[row])),
            (What::Kind, Coded::Kind(segment.kinds[row])),
            (What::Status, Coded::Status(segment.statuses[row])),
            (
                What::RootService,
                Coded::Root(root.map(|(service, _)| service)),
            ),
            (What::RootName, Coded::Root(root.map(|(_, name)| name))),
        ] {
            self.add((what, coded, interval, selected));
        }
        let message = segment.status_message(row);
        if !message.is_empty() {
            sides.add(
                "statusMessage",
                &Value::String(Cow::Borrowed(message)),
                interval,
                selected,
                1.0,
            );
        }
        let mut reader = segment.reader(row);
        for _ in 0..reader.count() {
            let key = reader.symbol();
            let packed = reader.value();
            let coded = match packed {
                Packed::String(text) => Coded::Text(text),
                Packed::Int(number) => Coded::Int(number),
                Packed::Double(number) => Coded::Float(number.to_bits()),
                Packed::Bool(truth) => Coded::Bool(truth),
                Packed::Empty | Packed::Bytes(_) | Packed::Array(..) | Packed::Map(..) => {
                    let name = format!("span.{}", segment.dictionary.get(key));
                    let value = packed.unpack(&segment.dictionary);
                    sides.add(&name, &Value::of_attribute(&value), interval, selected, 1.0);
                    continue;
                }
            };
            self.add((What::Attribute(key), coded, interval, selected));
        }
    }

    fn add(&mut self, place: Place) {
        let next = self.counts.len();
        let index = *self.index.entry(place).or_insert(next);
        if index == next {
            self.counts.push((place, 0.0));
        }
        self.counts[index].1 += 1.0;
    }
}

/// The baseline and the selection.
struct Sides {
    count: usize,
    sides: [Side; 2],
}

impl Sides {
    /// Adds the counts of a segment by the texts that its numbers mean.
    fn add_counts(&mut self, store: &TraceStore, segment: &Segment, counts: SegmentCounts) {
        let text = |text| Value::String(Cow::Borrowed(text));
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
        let mut attribute = (None, String::new());
        for ((what, coded, interval, selected), count) in counts.counts {
            let name = match what {
                What::Attribute(key) => {
                    if attribute.0 != Some(key) {
                        attribute = (Some(key), format!("span.{}", segment.dictionary.get(key)));
                    }
                    attribute.1.as_str()
                }
                What::Name => "name",
                What::Kind => "kind",
                What::Status => "status",
                What::RootService => "rootServiceName",
                What::RootName => "rootName",
            };
            let value = match coded {
                Coded::Text(symbol) => text(segment.dictionary.get(symbol)),
                Coded::Int(number) => Value::Int(number),
                Coded::Float(bits) => Value::Float(f64::from_bits(bits)),
                Coded::Bool(truth) => Value::Bool(truth),
                Coded::Kind(kind) => text(kind_name(kind)),
                Coded::Status(status) => text(status_name(status)),
                Coded::Root(root) => {
                    let found = root.and_then(|(slot, symbol)| {
                        Some(
                            store.segments[usize::from(slot)]
                                .as_ref()?
                                .dictionary
                                .get(symbol),
                        )
                    });
                    text(found.unwrap_or(NO_ROOT))
                }
            };
            self.add(name, &value, interval, selected, count);
        }
    }

    fn add(&mut self, name: &str, value: &Value<'_>, interval: usize, selected: bool, amount: f64) {
        let side = &mut self.sides[usize::from(selected)].attributes;
        if !side.contains_key(name) {
            side.insert(
                name.to_owned(),
                Values {
                    totals: vec![0.0; self.count],
                    ..Values::default()
                },
            );
        }
        let Some(values) = side.get_mut(name) else {
            return;
        };
        values.totals[interval] += amount;
        let owned;
        let text = match value {
            Value::String(text) => text.as_ref(),
            other => {
                owned = other.to_text();
                &owned
            }
        };
        if let Some(index) = values.index.get(text) {
            values.counts[*index].2[interval] += amount;
        } else if values.counts.len() >= MAX_VALUES {
            values.overflowed = true;
        } else {
            let mut counts = vec![0.0; self.count];
            counts[interval] = amount;
            values.index.insert(Box::from(text), values.counts.len());
            values
                .counts
                .push((Box::from(text), value.clone().into_owned(), counts));
        }
    }
}

impl Side {
    fn finish(self, kind: &str, top: usize, series: &mut Vec<Series>) {
        let label = |kind: String| ("__meta_type".to_owned(), Value::String(kind.into()));
        let mut push = |labels, values| {
            series.push(Series {
                labels,
                values,
                exemplars: Vec::new(),
            })
        };
        for (name, mut values) in self.attributes {
            let total = |counts: &[f64]| counts.iter().sum::<f64>();
            values.counts.sort_by(|one, two| {
                total(&two.2)
                    .total_cmp(&total(&one.2))
                    .then_with(|| one.0.cmp(&two.0))
            });
            for (_, value, counts) in values.counts.into_iter().take(top) {
                push(vec![label(kind.to_owned()), (name.clone(), value)], counts);
            }
            if values.overflowed {
                let error = (
                    "__meta_error".to_owned(),
                    Value::String("__too_many_values__".into()),
                );
                push(
                    vec![label(kind.to_owned()), error, (name.clone(), Value::Nil)],
                    values.totals.clone(),
                );
            }
            push(
                vec![label(format!("{kind}_total")), (name, Value::Nil)],
                values.totals,
            );
        }
    }
}

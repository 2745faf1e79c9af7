//! `compare()`: in which attributes a selection of spans differs from the others.

use std::collections::{BTreeMap, BTreeSet};

use gameday_signal::Timestamp;

use super::bind::{NO_ROOT, Row};
use super::metrics::{Scan, Series};
use super::spanset::{Bindings, root_of};
use crate::store::Segment;
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

/// The series of `compare()`: for the selection and for the rest (the baseline) the most frequent values of each attribute, and
/// how many spans have the attribute.
pub(crate) fn compare<'a>(
    scan: &mut Scan<'a>,
    pipeline: &'a Pipeline,
    selection: &'a Field,
    top: i64,
    range_secs: (i64, i64),
) -> Vec<Series> {
    let count = scan.intervals.count();
    let mut sides = [Side::default(), Side::default()];
    let (start, end) = (
        Timestamp::from_nanos(range_secs.0),
        Timestamp::from_nanos(range_secs.1),
    );
    let bindings = Bindings::new(scan.store, pipeline, &[selection], []);
    scan.for_each_span(pipeline, bindings, |bindings, at, row, interval| {
        let began = row.segment.starts[row.row];
        let in_range = range_secs == (0, 0) || (start <= began && began < end);
        let selected = in_range && bindings.field_of_row(selection, at, row);
        observe(
            &mut sides[usize::from(selected)],
            bindings,
            row,
            interval,
            count,
        );
    });
    let top = usize::try_from(top).unwrap_or(0);
    let [baseline, selection] = sides;
    let mut series = Vec::new();
    baseline.finish("baseline", top, &mut series);
    selection.finish("selection", top, &mut series);
    series
}

fn observe(side: &mut Side, bindings: &Bindings<'_>, row: Row<'_>, interval: usize, count: usize) {
    let segment = row.segment;
    for_each_value(bindings, row, segment, &mut |name, value| {
        let totals = match side.totals.get_mut(name) {
            Some(totals) => totals,
            None => side
                .totals
                .entry(name.to_owned())
                .or_insert_with(|| vec![0.0; count]),
        };
        totals[interval] += 1.0;
        let values = match side.values.get_mut(name) {
            Some(values) => values,
            None => side.values.entry(name.to_owned()).or_default(),
        };
        let text = value.to_text();
        if let Some((_, counts)) = values.get_mut(&text) {
            counts[interval] += 1.0;
        } else if values.len() >= MAX_VALUES {
            side.overflowed.insert(name.to_owned());
        } else {
            let mut counts = vec![0.0; count];
            counts[interval] = 1.0;
            values.insert(text, (value.into_owned(), counts));
        }
    });
}

/// Calls `visit` with the name and value of all attributes of a span and its resource, and of what else it can be told by.
fn for_each_value(
    bindings: &Bindings<'_>,
    row: Row<'_>,
    segment: &Segment,
    visit: &mut dyn FnMut(&str, Value<'_>),
) {
    let text = |text: &str| Value::String(text.to_owned().into());
    visit("name", text(segment.name(row.row)));
    visit("kind", text(kind_name(segment.kinds[row.row])));
    visit("status", text(status_name(segment.statuses[row.row])));
    let message = segment.status_message(row.row);
    if !message.is_empty() {
        visit("statusMessage", text(message));
    }
    let root = bindings
        .store
        .traces
        .get(segment.traces[row.row])
        .and_then(|entry| root_of(bindings.store, entry));
    let (service, name) = root.unwrap_or((NO_ROOT, NO_ROOT));
    visit("rootServiceName", text(service));
    visit("rootName", text(name));
    let mut name = String::new();
    let resource = &segment.resources[segment.resource_of[row.row] as usize].value;
    for (key, value) in resource.attributes.iter() {
        name.clear();
        name.push_str("resource.");
        name.push_str(key);
        visit(&name, Value::of_attribute(value));
    }
    let mut reader = segment.reader(row.row);
    for _ in 0..reader.count() {
        name.clear();
        name.push_str("span.");
        name.push_str(segment.dictionary.get(reader.symbol()));
        let value = reader.value().unpack(&segment.dictionary);
        visit(&name, Value::of_attribute(&value));
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

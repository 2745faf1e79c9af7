//! Reading a trace as a person does: which span took the time, where did it fail.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use gameday_signal::SpanId;

use super::TraceSpan;
use crate::timeline::SpanRow;

/// The part of each span's time that no child covers.
fn self_times(spans: &[TraceSpan]) -> BTreeMap<SpanId, Duration> {
    let mut children: BTreeMap<SpanId, Vec<&TraceSpan>> = BTreeMap::new();
    for span in spans {
        if span.parent_span_id != span.span_id {
            children.entry(span.parent_span_id).or_default().push(span);
        }
    }
    spans
        .iter()
        .map(|span| {
            let mut covered = Duration::ZERO;
            let end = span.start + span.duration;
            let mut reached = span.start;
            let mut own: Vec<&TraceSpan> = children.get(&span.span_id).cloned().unwrap_or_default();
            own.sort_by_key(|child| (child.start, child.span_id));
            for child in own {
                let from = child.start.max(reached).min(end);
                let until = (child.start + child.duration).max(from).min(end);
                covered += until.since(from);
                reached = reached.max(until);
            }
            (span.span_id, span.duration.saturating_sub(covered))
        })
        .collect()
}

/// The span with the most time of its own; of equal ones the first.
pub fn slowest(spans: &[TraceSpan]) -> Option<(&TraceSpan, Duration)> {
    let times = self_times(spans);
    let own = |span: &TraceSpan| times.get(&span.span_id).copied().unwrap_or_default();
    spans
        .iter()
        .rev()
        .max_by_key(|span| own(span))
        .map(|span| (span, own(span)))
}

/// The failed span that lies deepest: its own children did not fail. Of several the first.
pub fn deepest_failure(spans: &[TraceSpan]) -> Option<&TraceSpan> {
    let failed_parents: BTreeSet<SpanId> = spans
        .iter()
        .filter(|span| span.error)
        .map(|span| span.parent_span_id)
        .collect();
    spans
        .iter()
        .find(|span| span.error && !failed_parents.contains(&span.span_id))
}

/// The rows of a waterfall: parents before their children, with their depth.
pub fn rows(spans: &[TraceSpan]) -> Vec<SpanRow> {
    let times = self_times(spans);
    let known: BTreeSet<SpanId> = spans.iter().map(|span| span.span_id).collect();
    let Some(begin) = spans.iter().map(|span| span.start).min() else {
        return Vec::new();
    };
    let is_root = |span: &TraceSpan| {
        !known.contains(&span.parent_span_id) || span.parent_span_id == span.span_id
    };
    let mut stack: Vec<(&TraceSpan, usize)> = spans
        .iter()
        .rev()
        .filter(|span| is_root(span))
        .map(|span| (span, 0))
        .collect();
    let mut rows = Vec::with_capacity(spans.len());
    let mut seen = BTreeSet::new();
    while let Some((span, depth)) = stack.pop() {
        if !seen.insert(span.span_id) {
            continue;
        }
        rows.push(SpanRow {
            service: span.service.clone(),
            name: span.name.clone(),
            start_offset: span.start.since(begin),
            duration: span.duration,
            self_time: times.get(&span.span_id).copied().unwrap_or_default(),
            depth,
            error: span.error,
            attributes: span.attributes.clone(),
        });
        let own = spans
            .iter()
            .rev()
            .filter(|child| child.parent_span_id == span.span_id && !is_root(child));
        stack.extend(own.map(|child| (child, depth + 1)));
    }
    rows
}

#[cfg(test)]
mod tests {
    use gameday_signal::Timestamp;

    use super::*;

    fn span(id: u8, parent: u8, start_ms: i64, end_ms: i64, error: bool) -> TraceSpan {
        TraceSpan {
            span_id: SpanId([id; 8]),
            parent_span_id: SpanId([parent; 8]),
            name: format!("s{id}"),
            service: "x".to_owned(),
            start: Timestamp::from_millis(start_ms),
            duration: Duration::from_millis((end_ms - start_ms).unsigned_abs()),
            error,
            status_message: String::new(),
            attributes: Vec::new(),
            resource: Vec::new(),
        }
    }

    #[test]
    fn the_slowest_span_is_the_one_with_the_most_time_of_its_own() {
        let spans = [
            span(1, 0, 0, 100, true),
            span(2, 1, 5, 95, true),
            span(3, 2, 10, 80, false),
        ];
        let (slow, own) = slowest(&spans).expect("there are spans");
        assert_eq!((slow.name.as_str(), own), ("s3", Duration::from_millis(70)));
        assert_eq!(deepest_failure(&spans).expect("one failed").name, "s2");
        let depths: Vec<usize> = rows(&spans).iter().map(|row| row.depth).collect();
        assert_eq!(depths, [0, 1, 2]);
    }
}

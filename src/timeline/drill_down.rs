//! The way from an alert over a log line to the trace that holds the cause.

use std::collections::BTreeMap;
use std::time::Duration;

use gameday_signal::{Span, SpanId, SpanStatus, Timestamp};
use serde::{Deserialize, Serialize};

use super::units;

/// One way from a log line to a trace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DrillDown {
    /// What it leads to, in a line.
    pub title: String,
    /// The query that found the log lines.
    pub query: String,
    /// The log lines that were found, oldest first.
    pub log_lines: Vec<LogLine>,
    /// The trace that they lead to.
    pub trace_id: String,
    /// Its spans, parents before their children.
    pub spans: Vec<SpanRow>,
    /// Why this is the cause, a thought a line.
    pub reasoning: Vec<String>,
}

/// A log line as the log store returned it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LogLine {
    /// When it was written.
    pub at: Timestamp,
    /// Who wrote it.
    pub service: String,
    /// How bad it is, in the writer's own words.
    pub severity: String,
    /// The line.
    pub line: String,
    /// The trace that it names; empty when it names none.
    pub trace_id: String,
}

/// A row of a waterfall.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SpanRow {
    /// Who did the work.
    pub service: String,
    /// The operation.
    pub name: String,
    /// How long after the beginning of the trace it began.
    #[serde(rename = "start_offset_ns", with = "units::nanos")]
    pub start_offset: Duration,
    /// How long it took.
    #[serde(rename = "duration_ns", with = "units::nanos")]
    pub duration: Duration,
    /// The time that none of its children account for.
    #[serde(rename = "self_time_ns", with = "units::nanos")]
    pub self_time: Duration,
    /// How many ancestors it has.
    pub depth: usize,
    /// Whether it failed.
    pub error: bool,
    /// What is known about it.
    pub attributes: Vec<(String, String)>,
}

/// The rows of a trace's waterfall: parents before their children, siblings by start, then by id.
///
/// A span whose parent is missing stands at the top, like a root; so does one span of every cycle, which a hostile sender can
/// make. Depth is walked with a list of its own, not by recursion, so that a chain of any length is safe.
pub fn waterfall(spans: &[Span]) -> Vec<SpanRow> {
    let known: BTreeMap<SpanId, &Span> = spans.iter().map(|span| (span.span_id, span)).collect();
    let Some(begin) = known.values().map(|span| span.start).min() else {
        return Vec::new();
    };
    let mut children: BTreeMap<SpanId, Vec<&Span>> = BTreeMap::new();
    let mut roots: Vec<&Span> = Vec::new();
    for span in known.values() {
        let own_parent = span.parent_span_id == span.span_id;
        if !own_parent && known.contains_key(&span.parent_span_id) {
            children.entry(span.parent_span_id).or_default().push(span);
        } else {
            roots.push(span);
        }
    }
    let order = |span: &&Span| (span.start, span.span_id);
    roots.sort_by_key(order);
    for siblings in children.values_mut() {
        siblings.sort_by_key(order);
    }
    let mut rows = Vec::with_capacity(known.len());
    let mut left: BTreeMap<SpanId, &Span> = known.clone();
    // What remains after the roots are members of cycles: the smallest id of them becomes a root in its turn.
    let mut stack: Vec<(&Span, usize)> = roots.into_iter().rev().map(|span| (span, 0)).collect();
    loop {
        while let Some((span, depth)) = stack.pop() {
            if left.remove(&span.span_id).is_none() {
                continue;
            }
            let own = children.get(&span.span_id).map_or(&[][..], Vec::as_slice);
            rows.push(row(span, own, begin, depth));
            stack.extend(own.iter().rev().map(|child| (*child, depth + 1)));
        }
        match left.values().next() {
            Some(span) => stack.push((span, 0)),
            None => return rows,
        }
    }
}

fn row(span: &Span, children: &[&Span], begin: Timestamp, depth: usize) -> SpanRow {
    SpanRow {
        service: span.resource.service_name().to_owned(),
        name: span.name.clone(),
        start_offset: span.start.since(begin),
        duration: span.duration(),
        self_time: self_time(span, children),
        depth,
        error: span.status == SpanStatus::Error,
        attributes: span
            .attributes
            .iter()
            .map(|(key, value)| (key.to_owned(), value.to_string()))
            .collect(),
    }
}

/// The part of the span that no child covers; children that run side by side count once. `children` are sorted by start.
fn self_time(span: &Span, children: &[&Span]) -> Duration {
    let mut covered = Duration::ZERO;
    let mut reached = span.start;
    for child in children {
        let from = child.start.clamp(reached, span.end.max(reached));
        let until = child.end.clamp(from, span.end.max(from));
        covered += until.since(from);
        reached = until;
    }
    span.duration().saturating_sub(covered)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use gameday_signal::{Attributes, Resource, Scope, SpanKind, TraceId};

    use super::*;

    fn span(id: u8, parent: u8, start_ms: i64, end_ms: i64) -> Span {
        Span {
            trace_id: TraceId([1; 16]),
            span_id: SpanId([id; 8]),
            parent_span_id: SpanId([parent; 8]),
            trace_state: String::new(),
            flags: 0,
            name: format!("s{id}"),
            kind: SpanKind::Internal,
            start: Timestamp::from_millis(start_ms),
            end: Timestamp::from_millis(end_ms),
            attributes: Attributes::default(),
            events: Vec::new(),
            links: Vec::new(),
            status: SpanStatus::Unset,
            status_message: String::new(),
            resource: Arc::new(Resource::default()),
            scope: Arc::new(Scope::default()),
        }
    }

    fn check(spans: &[Span], expected: &[(&str, usize, u128)]) {
        let rows = waterfall(spans);
        let seen: Vec<_> = rows
            .iter()
            .map(|row| (row.name.as_str(), row.depth, row.self_time.as_millis()))
            .collect();
        assert_eq!(seen, expected);
    }

    #[test]
    fn parents_come_before_children() {
        check(
            &[
                span(3, 2, 20, 80),
                span(2, 1, 10, 90),
                span(1, 0, 0, 100),
                span(4, 1, 50, 95),
            ],
            &[("s1", 0, 15), ("s2", 1, 20), ("s3", 2, 60), ("s4", 1, 45)],
        );
    }

    #[test]
    fn broken_traces_lose_no_span() {
        check(&[], &[]);
        // A missing parent.
        check(&[span(2, 9, 0, 1)], &[("s2", 0, 1)]);
        // A cycle, and a span that is its own parent.
        check(
            &[span(1, 2, 0, 4), span(2, 1, 1, 2), span(3, 3, 0, 1)],
            &[("s3", 0, 1), ("s1", 0, 3), ("s2", 1, 0)],
        );
        // A child that outlives its parent, a parent that ends before it begins.
        check(
            &[span(1, 0, 5, 3), span(2, 1, 4, 9)],
            &[("s1", 0, 0), ("s2", 1, 5)],
        );
    }
}

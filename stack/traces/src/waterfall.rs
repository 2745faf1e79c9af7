//! A trace as a person reads it: who called whom, when, where the time went.

use std::time::Duration;

use gameday_signal::{SpanStatus, Timestamp};

use crate::trace::Trace;
use crate::traceql::format_nanos;
use crate::tree::TraceTree;

/// One span of a waterfall.
#[derive(Clone, Debug, PartialEq)]
pub struct WaterfallRow {
    /// The place of the span in [`Trace::spans`].
    pub span: usize,
    /// The place of its parent in [`Trace::spans`], where that has come.
    pub parent: Option<usize>,
    /// How many spans are above it.
    pub depth: usize,
    /// When it began, after the beginning of the trace.
    pub offset: Duration,
    /// How long it took.
    pub duration: Duration,
    /// The part of it in which none of its children ran.
    pub self_time: Duration,
    /// How much of the trace's time passed in it while nothing that it waited for ran: the critical path.
    pub critical: Duration,
    /// Whether it failed.
    pub failed: bool,
    /// Whether it names a parent that has not come.
    pub orphan: bool,
}

/// The spans of a trace, parents before their children, siblings by their start.
#[derive(Clone, Debug, PartialEq)]
pub struct Waterfall {
    /// When the trace began.
    pub start: Timestamp,
    /// From the first start to the last end.
    pub duration: Duration,
    /// One row a span.
    pub rows: Vec<WaterfallRow>,
}

impl Trace {
    /// The waterfall of the trace. Cycles are cut, so that every span has one row.
    pub fn waterfall(&self) -> Waterfall {
        let ids: Vec<_> = self
            .spans
            .iter()
            .map(|span| (span.span_id, span.parent_span_id, span.kind))
            .collect();
        let tree = TraceTree::new(&ids);
        let start = self
            .spans
            .iter()
            .map(|span| span.start)
            .min()
            .unwrap_or_default();
        let end = self
            .spans
            .iter()
            .map(|span| span.end.max(span.start))
            .max()
            .unwrap_or_default();
        let mut children: Vec<Vec<usize>> = vec![Vec::new(); self.spans.len()];
        for index in 0..self.spans.len() {
            if let Some(parent) = tree.parent(index) {
                children[parent].push(index);
            }
        }
        let critical = self.critical_path(&tree, &children);
        let mut depths = vec![0; self.spans.len()];
        let rows = tree
            .order()
            .map(|index| {
                let span = &self.spans[index];
                let parent = tree.parent(index);
                depths[index] = parent.map_or(0, |parent| depths[parent] + 1);
                WaterfallRow {
                    span: index,
                    parent,
                    depth: depths[index],
                    offset: span.start.since(start),
                    duration: span.duration(),
                    self_time: self.self_time(index, &children[index]),
                    critical: critical[index],
                    failed: span.status == SpanStatus::Error,
                    orphan: parent.is_none() && !span.parent_span_id.is_none(),
                }
            })
            .collect();
        Waterfall {
            start,
            duration: end.since(start),
            rows,
        }
    }

    /// The span's time without the union of its children's, which are cut to it.
    fn self_time(&self, index: usize, children: &[usize]) -> Duration {
        let span = &self.spans[index];
        let mut covered = Duration::ZERO;
        let mut until = span.start;
        // Children come by their start.
        for child in children {
            let (from, to) = (
                self.spans[*child].start.max(until),
                self.spans[*child].end.min(span.end),
            );
            if to > from {
                covered += to.since(from);
                until = to;
            }
        }
        span.duration().saturating_sub(covered)
    }

    /// How much of the time of each tree's root passed in each span, looking back from the end: a span waits for the child that ends
    /// last, before that for the one that ended last before that child began, and so on.
    fn critical_path(&self, tree: &TraceTree, children: &[Vec<usize>]) -> Vec<Duration> {
        let mut critical = vec![Duration::ZERO; self.spans.len()];
        // Spans with the instant until which they count.
        let mut open: Vec<(usize, Timestamp)> = tree
            .order()
            .filter(|index| tree.parent(*index).is_none())
            .map(|index| (index, self.spans[index].end))
            .collect();
        while let Some((index, until)) = open.pop() {
            let span = &self.spans[index];
            let mut cursor = until.min(span.end);
            let mut by_end = children[index].clone();
            by_end.sort_by_key(|child| (self.spans[*child].end, *child));
            for child in by_end.into_iter().rev() {
                let (from, to) = (
                    self.spans[child].start.max(span.start),
                    self.spans[child].end.min(cursor),
                );
                if to <= from || self.spans[child].end > cursor && self.spans[child].end <= span.end
                {
                    // It ran beside a child that has been counted, or outside of its parent.
                    continue;
                }
                critical[index] += cursor.since(to);
                open.push((child, to));
                cursor = from;
            }
            critical[index] += cursor.since(span.start);
        }
        critical
    }
}

impl Waterfall {
    /// Draws the rows as text, `width` characters for the bars: what is on the critical path is `#`, the rest of a span `-`.
    pub fn render(&self, trace: &Trace, width: usize) -> String {
        let total = self.duration.as_nanos().max(1);
        let labels: Vec<String> = self
            .rows
            .iter()
            .map(|row| {
                let span = &trace.spans[row.span];
                let mark = if row.failed { " !" } else { "" };
                format!(
                    "{}{}: {}{mark}",
                    "  ".repeat(row.depth.min(32)),
                    span.resource.service_name(),
                    span.name
                )
            })
            .collect();
        let label_width = labels
            .iter()
            .map(|label| label.chars().count())
            .max()
            .unwrap_or(0);
        let mut text = String::new();
        for (row, label) in self.rows.iter().zip(&labels) {
            let scale = |time: Duration| (time.as_nanos() * width as u128 / total) as usize;
            let from = scale(row.offset).min(width.saturating_sub(1));
            let to = scale(row.offset + row.duration).clamp(from + 1, width.max(from + 1));
            let bar = if row.critical.is_zero() { "-" } else { "#" };
            let nanos = i64::try_from(row.duration.as_nanos()).unwrap_or(i64::MAX);
            let pad = " ".repeat(label_width - label.chars().count());
            let line = format!(
                "{label}{pad} |{}{}{}| {}\n",
                " ".repeat(from),
                bar.repeat(to - from),
                " ".repeat(width.saturating_sub(to)),
                format_nanos(nanos)
            );
            text.push_str(&line);
        }
        text
    }
}

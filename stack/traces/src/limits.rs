//! What the store takes, and what it says of what it did not take.

use std::collections::BTreeMap;
use std::time::Duration;

use gameday_signal::{AttributeValue, Attributes, SmolStr, Span, Timestamp, TraceId};

/// The limits of a trace store.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Spans of one trace; further ones are refused.
    pub max_spans_per_trace: usize,
    /// Attributes of one span, event, link, resource or scope; further ones are dropped.
    pub max_attributes: usize,
    /// Bytes of one key, name or value; longer ones are cut (Tempo's `max_attribute_bytes` is 2048).
    pub max_attribute_bytes: usize,
    /// Events of one span, and links of one span; further ones are dropped.
    pub max_events: usize,
    /// How deep lists and maps may nest in a value; what lies deeper is dropped.
    pub max_depth: usize,
    /// How far ahead of the clock a span may begin.
    pub max_ahead: Duration,
    /// How long a trace is kept after its last span has ended, and how old a span may be when it comes in.
    pub retention: Duration,
    /// Spans in the store; the oldest traces make room.
    pub max_spans: usize,
    /// Bytes of memory of the store, by its own count; the oldest traces make room.
    pub max_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_spans_per_trace: 100_000,
            max_attributes: 1024,
            max_attribute_bytes: 2048,
            max_events: 1024,
            max_depth: 16,
            max_ahead: Duration::from_secs(3600),
            // Tempo's compactor keeps blocks for 14 days.
            retention: Duration::from_secs(14 * 86_400),
            max_spans: 4_000_000,
            max_bytes: 1 << 30,
        }
    }
}

/// Why a span was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// Its trace id is all zero.
    InvalidTraceId,
    /// Its span id is all zero.
    InvalidSpanId,
    /// It ended longer ago than traces are kept.
    TooOld,
    /// It begins too far in the future.
    TooFarAhead,
    /// Its trace holds as many spans as one may.
    TraceTooLarge,
    /// The disk does not take it.
    NotWritten,
}

/// Spans that were refused for one reason.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    /// How many.
    pub spans: u64,
    /// One of their traces.
    pub trace_id: TraceId,
    /// What is wrong, with the limit, in words.
    pub detail: String,
}

/// What became of appended spans.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AppendReport {
    /// Spans that are stored and visible to the next query.
    pub accepted: u64,
    /// Spans that were stored already (a client that sends again); they count as neither accepted nor refused.
    pub duplicates: u64,
    /// Spans that were refused, by the reason.
    pub refused: BTreeMap<Refusal, Refused>,
    /// Attributes that were dropped because there were too many or because they nested too deep.
    pub dropped_attributes: u64,
    /// Texts that were cut.
    pub cut_texts: u64,
    /// Events and links that were dropped because there were too many.
    pub dropped_events: u64,
}

impl AppendReport {
    /// The number of spans that were refused.
    pub fn refused_spans(&self) -> u64 {
        self.refused.values().map(|refused| refused.spans).sum()
    }

    /// What a client should be told, as in the message of OTLP's partial success; `None` when everything was stored as it came.
    pub fn message(&self) -> Option<String> {
        let mut parts: Vec<String> = self
            .refused
            .values()
            .map(|refused| format!("{} spans refused: {}", refused.spans, refused.detail))
            .collect();
        for (count, what) in [
            (
                self.dropped_attributes,
                "attributes dropped (max_attributes, max_depth)",
            ),
            (self.cut_texts, "texts cut (max_attribute_bytes)"),
            (self.dropped_events, "events or links dropped (max_events)"),
        ] {
            if count > 0 {
                parts.push(format!("{count} {what}"));
            }
        }
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    pub(crate) fn refuse(
        &mut self,
        refusal: Refusal,
        trace_id: TraceId,
        detail: impl FnOnce() -> String,
    ) {
        self.refused
            .entry(refusal)
            .and_modify(|refused| refused.spans += 1)
            .or_insert_with(|| Refused {
                spans: 1,
                trace_id,
                detail: detail(),
            });
    }

    /// Adds another report to this one.
    pub fn merge(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.duplicates += other.duplicates;
        self.dropped_attributes += other.dropped_attributes;
        self.cut_texts += other.cut_texts;
        self.dropped_events += other.dropped_events;
        for (refusal, refused) in other.refused {
            let spans = refused.spans;
            self.refused
                .entry(refusal)
                .and_modify(|own| own.spans += spans)
                .or_insert(refused);
        }
    }
}

impl Limits {
    /// Why `span` cannot be stored at `now` whatever else is stored, if that is so.
    pub(crate) fn check(&self, span: &Span, now: Timestamp) -> Option<(Refusal, String)> {
        if span.trace_id.is_none() {
            return Some((
                Refusal::InvalidTraceId,
                "invalid trace id: all bytes are zero".to_owned(),
            ));
        }
        if span.span_id.is_none() {
            return Some((
                Refusal::InvalidSpanId,
                "invalid span id: all bytes are zero".to_owned(),
            ));
        }
        if self.is_too_old(span, now) {
            let detail = format!(
                "span of trace {} ended at {}, longer ago than the retention of {} s",
                span.trace_id,
                span.end,
                self.retention.as_secs()
            );
            return Some((Refusal::TooOld, detail));
        }
        if span.start > now + self.max_ahead || span.end > now + self.max_ahead {
            let detail = format!(
                "span of trace {} runs from {} to {}, more than {} s ahead of the clock ({now})",
                span.trace_id,
                span.start,
                span.end,
                self.max_ahead.as_secs()
            );
            return Some((Refusal::TooFarAhead, detail));
        }
        None
    }

    /// Whether the span ended longer ago than traces are kept.
    pub(crate) fn is_too_old(&self, span: &Span, now: Timestamp) -> bool {
        span.end.max(span.start) < now - self.retention
    }

    /// Cuts what is too long or too many.
    pub(crate) fn clip(&self, span: &mut Span, report: &mut AppendReport) {
        self.clip_text(&mut span.name, report);
        self.clip_text(&mut span.status_message, report);
        self.clip_text(&mut span.trace_state, report);
        self.clip_attributes(&mut span.attributes, report);
        report.dropped_events += span.events.len().saturating_sub(self.max_events) as u64
            + span.links.len().saturating_sub(self.max_events) as u64;
        span.events.truncate(self.max_events);
        span.links.truncate(self.max_events);
        for event in &mut span.events {
            self.clip_text(&mut event.name, report);
            self.clip_attributes(&mut event.attributes, report);
        }
        for link in &mut span.links {
            self.clip_text(&mut link.trace_state, report);
            self.clip_attributes(&mut link.attributes, report);
        }
    }

    /// Cuts attributes that are too long or too many.
    pub(crate) fn clip_attributes(&self, attributes: &mut Attributes, report: &mut AppendReport) {
        report.dropped_attributes += attributes.0.len().saturating_sub(self.max_attributes) as u64;
        attributes.0.truncate(self.max_attributes);
        for (key, value) in &mut attributes.0 {
            let longest = match value {
                AttributeValue::String(text) => key.len().max(text.len()),
                AttributeValue::Bool(_) | AttributeValue::Int(_) | AttributeValue::Double(_) => {
                    key.len()
                }
                _ => usize::MAX,
            };
            // Nearly all of them are short texts and numbers.
            if longest <= self.max_attribute_bytes {
                continue;
            }
            self.clip_small(key, report);
            self.clip_value(value, self.max_depth, report);
        }
    }

    /// Whether nothing of the attributes would be cut.
    pub(crate) fn fits(&self, attributes: &Attributes) -> bool {
        let mut copy = attributes.clone();
        let mut report = AppendReport::default();
        self.clip_attributes(&mut copy, &mut report);
        report == AppendReport::default()
    }

    fn clip_value(&self, value: &mut AttributeValue, depth: usize, report: &mut AppendReport) {
        match value {
            AttributeValue::String(text) => self.clip_small(text, report),
            AttributeValue::Bytes(bytes) if bytes.len() > self.max_attribute_bytes => {
                bytes.truncate(self.max_attribute_bytes);
                report.cut_texts += 1;
            }
            AttributeValue::Array(_) | AttributeValue::Map(_) if depth == 0 => {
                *value = AttributeValue::Empty;
                report.dropped_attributes += 1;
            }
            AttributeValue::Array(values) => {
                report.dropped_attributes +=
                    values.len().saturating_sub(self.max_attributes) as u64;
                values.truncate(self.max_attributes);
                for value in values {
                    self.clip_value(value, depth - 1, report);
                }
            }
            AttributeValue::Map(pairs) => {
                report.dropped_attributes += pairs.len().saturating_sub(self.max_attributes) as u64;
                pairs.truncate(self.max_attributes);
                for (key, value) in pairs {
                    self.clip_small(key, report);
                    self.clip_value(value, depth - 1, report);
                }
            }
            AttributeValue::Empty
            | AttributeValue::Bool(_)
            | AttributeValue::Int(_)
            | AttributeValue::Double(_)
            | AttributeValue::Bytes(_) => {}
        }
    }

    fn clip_text(&self, text: &mut String, report: &mut AppendReport) {
        if let Some(end) = self.end_of(text, report) {
            text.truncate(end);
        }
    }

    fn clip_small(&self, text: &mut SmolStr, report: &mut AppendReport) {
        if let Some(end) = self.end_of(text, report) {
            *text = text[..end].into();
        }
    }

    /// Where a text that is too long is cut.
    fn end_of(&self, text: &str, report: &mut AppendReport) -> Option<usize> {
        (text.len() > self.max_attribute_bytes).then(|| {
            let mut end = self.max_attribute_bytes;
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            report.cut_texts += 1;
            end
        })
    }
}

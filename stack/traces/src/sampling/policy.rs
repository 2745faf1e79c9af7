//! What makes a trace worth keeping.

use std::time::Duration;

use gameday_signal::{AttributeValue, Span, SpanStatus, Timestamp};
use regex::Regex;

use super::is_sampled;

/// A named reason to keep a trace.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Its name, by which its decisions are counted.
    pub name: String,
    /// What it looks at.
    pub kind: PolicyKind,
}

/// What a policy looks at.
#[derive(Clone, Debug)]
pub enum PolicyKind {
    /// Every trace.
    AlwaysSample,
    /// A span with one of these statuses.
    StatusCode(Vec<SpanStatus>),
    /// From its first start to its last end the trace took longer than this, and not longer than the upper bound where there is one.
    Latency {
        /// At least so long.
        threshold: Duration,
        /// At most so long.
        upper_threshold: Option<Duration>,
    },
    /// A share of all traces.
    Probabilistic {
        /// In percent.
        percentage: f64,
        /// Policies with different salts decide independently.
        salt: String,
    },
    /// A span, or its resource, with one of these values.
    StringAttribute {
        /// The attribute.
        key: String,
        /// The values.
        values: Vec<String>,
        /// Keep the traces that have none of them instead, and drop those that have, whatever other policies say.
        invert: bool,
    },
    /// A span, or its resource, whose value matches one of these patterns.
    AttributePattern {
        /// The attribute.
        key: String,
        /// The patterns, which may match a part of the value.
        patterns: Vec<Regex>,
    },
    /// A span, or its resource, with a whole number in this range.
    NumericAttribute {
        /// The attribute.
        key: String,
        /// The smallest value.
        min: i64,
        /// The largest value.
        max: i64,
    },
    /// A truth value.
    BooleanAttribute {
        /// The attribute.
        key: String,
        /// The value.
        value: bool,
    },
    /// So many spans.
    SpanCount {
        /// At least.
        min: usize,
        /// At most; 0 for no bound.
        max: usize,
    },
    /// Not more than so many spans in each second of the clock.
    RateLimiting {
        /// The bound.
        spans_per_second: u64,
    },
    /// All of these together.
    And(Vec<Self>),
}

/// What a policy says of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Sample,
    NotSample,
    /// Drop it, whatever the others say.
    InvertNotSample,
}

/// How many spans a rate-limiting policy has let through in the second that runs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RateState {
    second: i64,
    spans: u64,
}

impl PolicyKind {
    pub(crate) fn decide(&self, spans: &[Span], now: Timestamp, rate: &mut RateState) -> Verdict {
        let yes = |holds: bool| {
            if holds {
                Verdict::Sample
            } else {
                Verdict::NotSample
            }
        };
        match self {
            Self::AlwaysSample => Verdict::Sample,
            Self::StatusCode(statuses) => {
                yes(spans.iter().any(|span| statuses.contains(&span.status)))
            }
            Self::Latency {
                threshold,
                upper_threshold,
            } => {
                let start = spans
                    .iter()
                    .map(|span| span.start)
                    .min()
                    .unwrap_or_default();
                let end = spans.iter().map(|span| span.end).max().unwrap_or_default();
                let took = end.since(start);
                yes(took >= *threshold && upper_threshold.is_none_or(|upper| took <= upper))
            }
            Self::Probabilistic { percentage, salt } => yes(spans
                .first()
                .is_some_and(|span| is_sampled(span.trace_id, *percentage, salt))),
            Self::StringAttribute {
                key,
                values,
                invert,
            } => {
                let found = any_value(spans, key, |value| {
                    value
                        .as_str()
                        .is_some_and(|text| values.iter().any(|own| own == text))
                });
                match (found, invert) {
                    (true, true) => Verdict::InvertNotSample,
                    (found, invert) => yes(found != *invert),
                }
            }
            Self::AttributePattern { key, patterns } => yes(any_value(spans, key, |value| {
                value
                    .as_str()
                    .is_some_and(|text| patterns.iter().any(|pattern| pattern.is_match(text)))
            })),
            Self::NumericAttribute { key, min, max } => yes(any_value(
                spans,
                key,
                |value| matches!(value, AttributeValue::Int(number) if (min..=max).contains(&number)),
            )),
            Self::BooleanAttribute { key, value: wanted } => yes(any_value(
                spans,
                key,
                |value| matches!(value, AttributeValue::Bool(own) if own == wanted),
            )),
            Self::SpanCount { min, max } => {
                yes(spans.len() >= *min && (*max == 0 || spans.len() <= *max))
            }
            Self::RateLimiting { spans_per_second } => {
                if rate.second != now.as_secs() {
                    *rate = RateState {
                        second: now.as_secs(),
                        spans: 0,
                    };
                }
                let fits = rate.spans + spans.len() as u64 <= *spans_per_second;
                if fits {
                    rate.spans += spans.len() as u64;
                }
                yes(fits)
            }
            Self::And(kinds) => {
                let all = kinds
                    .iter()
                    .all(|kind| kind.decide(spans, now, rate) == Verdict::Sample);
                yes(all)
            }
        }
    }
}

fn any_value(spans: &[Span], key: &str, mut holds: impl FnMut(&AttributeValue) -> bool) -> bool {
    spans.iter().any(|span| {
        span.attributes.get(key).is_some_and(&mut holds)
            || span.resource.attributes.get(key).is_some_and(&mut holds)
    })
}

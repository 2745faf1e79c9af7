//! Root cause: the span that explains most of what is worse in an incident's traces than in those of the steady state.
//!
//! For latency the time of every trace is split among its spans by self time, so that a slow database is not blamed on all that
//! wait for it. For errors the first failure of a trace is the failed span below which nothing failed. What distinguishes the
//! guilty spans is the attribute value that goes with most of the excess and with least of the steady state.

use std::collections::BTreeMap;
use std::fmt;

use gameday_signal::{Span, SpanStatus};

use crate::trace::Trace;

/// What tells the spans of one operation from those of others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SpanKey {
    /// The service.
    pub service: String,
    /// The operation.
    pub name: String,
}

/// How an operation has changed.
#[derive(Clone, Debug, PartialEq)]
pub struct CauseCandidate {
    /// The operation.
    pub key: SpanKey,
    /// Self time in a trace of the steady state, in milliseconds.
    pub steady_ms: f64,
    /// Self time in a trace of the incident, in milliseconds.
    pub incident_ms: f64,
    /// The share of the excess of all operations that got slower, 0 to 1.
    pub share: f64,
    /// Spans of it in a trace of the steady state.
    pub steady_spans: f64,
    /// Spans of it in a trace of the incident.
    pub incident_spans: f64,
}

/// An attribute value that goes with what got worse.
#[derive(Clone, Debug, PartialEq)]
pub struct AttributeCause {
    /// The attribute; one of the resource begins with `resource.`, one of the span with `span.`.
    pub attribute: String,
    /// The value as text.
    pub value: String,
    /// The share of what got worse in spans with the value, 0 to 1.
    pub share_of_excess: f64,
    /// The share of the operation's steady spans with the value, 0 to 1.
    pub share_of_steady: f64,
}

/// Why traces got slower.
#[derive(Clone, Debug, PartialEq)]
pub struct LatencyCause {
    /// The mean time of a trace in the steady state, in milliseconds.
    pub steady_ms: f64,
    /// The mean time of a trace in the incident, in milliseconds.
    pub incident_ms: f64,
    /// The operations that got slower, the worst first.
    pub candidates: Vec<CauseCandidate>,
    /// What the slow spans of the worst operation have in common that the steady ones have not.
    pub attribute: Option<AttributeCause>,
}

/// Why traces failed.
#[derive(Clone, Debug, PartialEq)]
pub struct ErrorCause {
    /// The share of the traces of the steady state with an error, 0 to 1.
    pub steady_ratio: f64,
    /// The share of the traces of the incident with an error, 0 to 1.
    pub incident_ratio: f64,
    /// Where the failures began, with the share of the failed traces: the most frequent first.
    pub origins: Vec<(SpanKey, f64)>,
    /// The most frequent words that go with the failures of the first origin.
    pub message: String,
    /// What the failed spans of the first origin have in common that the steady ones have not.
    pub attribute: Option<AttributeCause>,
}

/// What is blamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// An operation takes longer.
    Latency,
    /// An operation fails.
    Errors,
    /// Nothing got worse.
    Nothing,
    /// There are no traces to compare.
    Inconclusive,
}

/// The comparison of an incident with the steady state.
#[derive(Clone, Debug, PartialEq)]
pub struct RootCause {
    /// What is blamed.
    pub verdict: Verdict,
    /// Traces of the steady state.
    pub steady_traces: usize,
    /// Traces of the incident.
    pub incident_traces: usize,
    /// The comparison of times.
    pub latency: LatencyCause,
    /// The comparison of failures.
    pub errors: ErrorCause,
}

/// An error ratio that is higher by this much counts as worse.
const ERROR_MARGIN: f64 = 0.02;
/// A mean time that is longer by this factor counts as worse: less is noise.
const LATENCY_MARGIN: f64 = 1.1;
/// An attribute value explains something when its share of the excess is higher than its share of the steady state by this much.
const ATTRIBUTE_MARGIN: f64 = 0.2;

/// The spans of one operation over many traces.
#[derive(Default)]
struct Operation<'a> {
    self_ms: f64,
    spans: Vec<(&'a Span, f64)>,
}

/// Self times and failures of traces.
struct Profile<'a> {
    traces: usize,
    total_ms: f64,
    operations: BTreeMap<SpanKey, Operation<'a>>,
    failed_traces: usize,
    /// The first failed span of each failed trace.
    failures: Vec<&'a Span>,
}

impl RootCause {
    /// Compares the traces of an incident with those of the steady state. Give it traces of one endpoint: of different ones it would
    /// blame the mix.
    pub fn find(incident: &[Trace], steady: &[Trace]) -> Self {
        let (before, after) = (Profile::new(steady), Profile::new(incident));
        let latency = latency_cause(&before, &after);
        let errors = error_cause(&before, &after);
        let slower = latency.incident_ms > latency.steady_ms * LATENCY_MARGIN
            && !latency.candidates.is_empty();
        let failing = errors.incident_ratio > errors.steady_ratio + ERROR_MARGIN;
        let verdict = match (slower, failing) {
            _ if before.traces == 0 || after.traces == 0 => Verdict::Inconclusive,
            // A slow dependency runs into timeouts: then the time comes first, the failure follows from it.
            (true, true) => {
                let blamed = latency.candidates.first().map(|candidate| &candidate.key);
                let origin = errors.origins.first().map(|(key, _)| key);
                if errors.incident_ratio >= 0.5 && blamed != origin {
                    Verdict::Errors
                } else {
                    Verdict::Latency
                }
            }
            (true, false) => Verdict::Latency,
            (false, true) => Verdict::Errors,
            (false, false) => Verdict::Nothing,
        };
        Self {
            verdict,
            steady_traces: before.traces,
            incident_traces: after.traces,
            latency,
            errors,
        }
    }

    /// The operation that is blamed.
    pub fn culprit(&self) -> Option<&SpanKey> {
        match self.verdict {
            Verdict::Latency => self
                .latency
                .candidates
                .first()
                .map(|candidate| &candidate.key),
            Verdict::Errors => self.errors.origins.first().map(|(key, _)| key),
            Verdict::Nothing | Verdict::Inconclusive => None,
        }
    }

    /// The attribute value that is blamed.
    pub fn attribute(&self) -> Option<&AttributeCause> {
        match self.verdict {
            Verdict::Latency => self.latency.attribute.as_ref(),
            Verdict::Errors => self.errors.attribute.as_ref(),
            Verdict::Nothing | Verdict::Inconclusive => None,
        }
    }
}

impl<'a> Profile<'a> {
    fn new(traces: &'a [Trace]) -> Self {
        let mut profile = Self {
            traces: traces.len(),
            total_ms: 0.0,
            operations: BTreeMap::new(),
            failed_traces: 0,
            failures: Vec::new(),
        };
        for trace in traces {
            let waterfall = trace.waterfall();
            profile.total_ms += waterfall.duration.as_secs_f64() * 1e3;
            // Whether a span has a failed span below it.
            let mut failed_below = vec![false; trace.spans.len()];
            for row in waterfall.rows.iter().rev() {
                if let Some(parent) = row.parent {
                    failed_below[parent] |= failed_below[row.span] || row.failed;
                }
            }
            let mut first: Option<&Span> = None;
            for row in &waterfall.rows {
                let span = &trace.spans[row.span];
                let self_ms = row.self_time.as_secs_f64() * 1e3;
                let operation = profile.operations.entry(key_of(span)).or_default();
                operation.self_ms += self_ms;
                operation.spans.push((span, self_ms));
                if row.failed
                    && !failed_below[row.span]
                    && first.is_none_or(|first| span.end < first.end)
                {
                    first = Some(span);
                }
            }
            profile.failed_traces += usize::from(first.is_some());
            profile.failures.extend(first);
        }
        profile
    }

    fn mean(&self, sum: f64) -> f64 {
        if self.traces == 0 {
            0.0
        } else {
            sum / self.traces as f64
        }
    }
}

fn key_of(span: &Span) -> SpanKey {
    SpanKey {
        service: span.resource.service_name().to_owned(),
        name: span.name.clone(),
    }
}

fn latency_cause(before: &Profile<'_>, after: &Profile<'_>) -> LatencyCause {
    let mut candidates: Vec<CauseCandidate> = after
        .operations
        .iter()
        .map(|(key, operation)| {
            let steady = before.operations.get(key);
            CauseCandidate {
                key: key.clone(),
                steady_ms: before.mean(steady.map_or(0.0, |steady| steady.self_ms)),
                incident_ms: after.mean(operation.self_ms),
                share: 0.0,
                steady_spans: before.mean(steady.map_or(0, |steady| steady.spans.len()) as f64),
                incident_spans: after.mean(operation.spans.len() as f64),
            }
        })
        .filter(|candidate| candidate.incident_ms > candidate.steady_ms)
        .collect();
    let excess = |candidate: &CauseCandidate| candidate.incident_ms - candidate.steady_ms;
    let total: f64 = candidates.iter().map(excess).sum();
    for candidate in &mut candidates {
        candidate.share = excess(candidate) / total;
    }
    // The sort is stable: equal ones stay in the order of their names.
    candidates.sort_by(|one, two| excess(two).total_cmp(&excess(one)));
    let attribute = candidates.first().and_then(|worst| {
        let steady = before
            .operations
            .get(&worst.key)
            .map_or(&[][..], |operation| &operation.spans);
        let mean = steady.iter().map(|(_, ms)| ms).sum::<f64>() / steady.len().max(1) as f64;
        let spans = &after.operations.get(&worst.key)?.spans;
        let weighted: Vec<(&Span, f64)> = spans
            .iter()
            .map(|(span, ms)| (*span, (ms - mean).max(0.0)))
            .collect();
        attribute_cause(
            &weighted,
            &steady.iter().map(|(span, _)| *span).collect::<Vec<_>>(),
        )
    });
    LatencyCause {
        steady_ms: before.mean(before.total_ms),
        incident_ms: after.mean(after.total_ms),
        candidates,
        attribute,
    }
}

fn error_cause(before: &Profile<'_>, after: &Profile<'_>) -> ErrorCause {
    let mut counts: BTreeMap<SpanKey, usize> = BTreeMap::new();
    for span in &after.failures {
        *counts.entry(key_of(span)).or_default() += 1;
    }
    let mut origins: Vec<(SpanKey, f64)> = counts
        .into_iter()
        .map(|(key, count)| (key, count as f64 / after.failures.len() as f64))
        .collect();
    origins.sort_by(|one, two| two.1.total_cmp(&one.1));
    let mut message = String::new();
    let mut attribute = None;
    if let Some((origin, _)) = origins.first() {
        let failed: Vec<&Span> = after
            .failures
            .iter()
            .copied()
            .filter(|span| key_of(span) == *origin)
            .collect();
        message = most_frequent_message(&failed);
        let steady: Vec<&Span> = before
            .operations
            .get(origin)
            .map(|operation| operation.spans.iter().map(|(span, _)| *span).collect())
            .unwrap_or_default();
        attribute = attribute_cause(
            &failed.iter().map(|span| (*span, 1.0)).collect::<Vec<_>>(),
            &steady,
        );
    }
    ErrorCause {
        steady_ratio: before.mean(before.failed_traces as f64),
        incident_ratio: after.mean(after.failed_traces as f64),
        origins,
        message,
        attribute,
    }
}

fn most_frequent_message(spans: &[&Span]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for span in spans.iter().filter(|span| span.status == SpanStatus::Error) {
        *counts.entry(span.status_message.as_str()).or_default() += 1;
    }
    let mut best = ("", 0);
    for (message, count) in counts {
        if count > best.1 && !message.is_empty() {
            best = (message, count);
        }
    }
    best.0.to_owned()
}

/// The attribute value whose share of the weight is most above its share of the steady spans. One that is different on every span,
/// such as an id, explains nothing.
fn attribute_cause(weighted: &[(&Span, f64)], steady: &[&Span]) -> Option<AttributeCause> {
    let total: f64 = weighted.iter().map(|(_, weight)| weight).sum();
    if total <= 0.0 {
        return None;
    }
    let mut worse: BTreeMap<(String, String), (f64, usize)> = BTreeMap::new();
    for (span, weight) in weighted {
        for pair in attributes_of(span) {
            let entry = worse.entry(pair).or_default();
            entry.0 += weight;
            entry.1 += 1;
        }
    }
    let mut usual: BTreeMap<(String, String), usize> = BTreeMap::new();
    for span in steady {
        for pair in attributes_of(span) {
            *usual.entry(pair).or_default() += 1;
        }
    }
    let mut best: Option<(f64, AttributeCause)> = None;
    for ((attribute, value), (weight, count)) in worse {
        if count == 1 && weighted.len() > 2 {
            continue;
        }
        let known = usual
            .get(&(attribute.clone(), value.clone()))
            .copied()
            .unwrap_or(0);
        let cause = AttributeCause {
            share_of_excess: weight / total,
            share_of_steady: known as f64 / steady.len().max(1) as f64,
            attribute,
            value,
        };
        let gain = cause.share_of_excess - cause.share_of_steady;
        if gain >= ATTRIBUTE_MARGIN && best.as_ref().is_none_or(|(found, _)| gain > *found + 1e-9) {
            best = Some((gain, cause));
        }
    }
    best.map(|(_, cause)| cause)
}

fn attributes_of(span: &Span) -> impl Iterator<Item = (String, String)> {
    let of_span = span
        .attributes
        .iter()
        .map(|(key, value)| (format!("span.{key}"), value.to_string()));
    let of_resource = span
        .resource
        .attributes
        .iter()
        .map(|(key, value)| (format!("resource.{key}"), value.to_string()));
    of_span.chain(of_resource)
}

/// Renders `service: name`.
impl fmt::Display for SpanKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.service, self.name)
    }
}

/// Renders `span.db.name = users`.
impl fmt::Display for AttributeCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}", self.attribute, self.value)
    }
}

/// Renders the verdict and what it rests on, some lines of text.
impl fmt::Display for RootCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |share: f64| format!("{:.0} %", share * 100.0);
        match (self.verdict, self.culprit()) {
            (Verdict::Inconclusive, _) => {
                return write!(
                    f,
                    "inconclusive: {} traces of the incident and {} of the steady state",
                    self.incident_traces, self.steady_traces
                );
            }
            (Verdict::Latency, Some(culprit)) => writeln!(f, "root cause: {culprit} takes longer")?,
            (Verdict::Errors, Some(culprit)) => writeln!(f, "root cause: {culprit} fails")?,
            _ => writeln!(f, "nothing got worse")?,
        }
        writeln!(
            f,
            "compared: {} traces of the incident with {} of the steady state",
            self.incident_traces, self.steady_traces
        )?;
        let latency = &self.latency;
        writeln!(
            f,
            "a trace takes {:.1} ms, before {:.1} ms",
            latency.incident_ms, latency.steady_ms
        )?;
        for candidate in latency.candidates.iter().take(5) {
            writeln!(
                f,
                "  {}: {:.1} ms of its own, before {:.1} ms: {} of the excess",
                candidate.key,
                candidate.incident_ms,
                candidate.steady_ms,
                percent(candidate.share)
            )?;
        }
        let errors = &self.errors;
        writeln!(
            f,
            "{} of the traces fail, before {}",
            percent(errors.incident_ratio),
            percent(errors.steady_ratio)
        )?;
        for (key, share) in errors.origins.iter().take(5) {
            writeln!(
                f,
                "  {key}: the first failure of {} of them",
                percent(*share)
            )?;
        }
        if !errors.message.is_empty() {
            writeln!(f, "  it says: {}", errors.message)?;
        }
        if let Some(attribute) = self.attribute() {
            writeln!(
                f,
                "{} is on {} of what got worse, before on {} of its spans",
                attribute,
                percent(attribute.share_of_excess),
                percent(attribute.share_of_steady)
            )?;
        }
        Ok(())
    }
}

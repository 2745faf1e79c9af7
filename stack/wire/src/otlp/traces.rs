//! Spans.

use std::sync::Arc;

use gameday_signal::{
    Resource, Scope, Span, SpanEvent, SpanId, SpanKind, SpanLink, SpanStatus, Timestamp, TraceId,
};
use prost::Message;

use super::attributes::{
    attributes, clip, resource, resource_message, scope, scope_message, to_messages,
};
use super::message::{
    EventMessage, LinkMessage, ResourceSpans, ScopeSpans, SpanMessage, SpanStatusMessage,
    TracesData,
};
use super::{Decoded, Encoding, Limits, OtlpError, Refusals, decode_request, plain};

/// Reads an `ExportTraceServiceRequest`. Spans with ids of the wrong length or all zeros, times outside of the window around `now`, or
/// over a limit are refused alone.
///
/// # Errors
/// Where the body is no such message.
pub fn decode_traces(
    body: &[u8],
    encoding: Encoding,
    limits: &Limits,
    now: Timestamp,
) -> Result<Decoded<Span>, OtlpError> {
    if encoding == Encoding::Protobuf
        && let Some(spans) = plain::spans(body, limits, now)
    {
        return Ok(Refusals::default().finish(spans));
    }
    decode_traces_message(body, encoding, limits, now)
}

/// The same through the message, which knows why something is refused.
pub(super) fn decode_traces_message(
    body: &[u8],
    encoding: Encoding,
    limits: &Limits,
    now: Timestamp,
) -> Result<Decoded<Span>, OtlpError> {
    let mut refusals = Refusals::default();
    let data: TracesData = decode_request::<_, SpanMessage>(body, encoding, &mut refusals)?;
    let mut spans = Vec::new();
    for group in data.resource_spans {
        let count = |scopes: &[ScopeSpans]| scopes.iter().map(|scope| scope.spans.len()).sum();
        let own = match resource(group.resource, limits) {
            Ok(own) => Arc::new(own),
            Err(reason) => {
                refusals.reject(count(&group.scope_spans), reason);
                continue;
            }
        };
        for scoped in group.scope_spans {
            let scope = match scope(scoped.scope, limits) {
                Ok(scope) => Arc::new(scope),
                Err(reason) => {
                    refusals.reject(scoped.spans.len(), reason);
                    continue;
                }
            };
            spans.reserve(scoped.spans.len());
            for message in scoped.spans {
                let converter = Converter {
                    limits,
                    now,
                    resource: &own,
                    scope: &scope,
                };
                match converter.span(message, &mut refusals) {
                    Ok(span) => spans.push(span),
                    Err(reason) => refusals.reject(1, reason),
                }
            }
        }
    }
    Ok(refusals.finish(spans))
}

struct Converter<'a> {
    limits: &'a Limits,
    now: Timestamp,
    resource: &'a Arc<Resource>,
    scope: &'a Arc<Scope>,
}

impl Converter<'_> {
    fn span(&self, message: SpanMessage, refusals: &mut Refusals) -> Result<Span, String> {
        let name = |reason: String| format!("span {:?}: {reason}", clip(&message.name));
        let trace_id = required(
            TraceId::from_bytes(&message.trace_id),
            &TraceId::NONE,
            "trace id",
        )
        .map_err(name)?;
        let span_id = required(
            SpanId::from_bytes(&message.span_id),
            &SpanId::NONE,
            "span id",
        )
        .map_err(name)?;
        let parent_span_id = if message.parent_span_id.is_empty() {
            SpanId::NONE
        } else {
            SpanId::from_bytes(&message.parent_span_id)
                .map_err(|error| name(format!("parent span id: {error}")))?
        };
        let (start, end) = times(
            message.start_time_unix_nano,
            message.end_time_unix_nano,
            self.limits,
            self.now,
        )
        .map_err(name)?;
        if message.events.len().max(message.links.len()) > self.limits.span_parts_max {
            return Err(name(format!(
                "{} events and {} links, the limit is {} each",
                message.events.len(),
                message.links.len(),
                self.limits.span_parts_max
            )));
        }
        if message.name.len() > self.limits.value_bytes_max {
            return Err(name(format!("name of {} bytes", message.name.len())));
        }
        let own = attributes(message.attributes, self.limits).map_err(name)?;
        let events = message
            .events
            .into_iter()
            .map(|event| self.event(event))
            .collect::<Result<_, _>>()
            .map_err(name)?;
        let mut links = Vec::with_capacity(message.links.len());
        for link in message.links {
            match self.link(link) {
                Ok(link) => links.push(link),
                // The span is worth more than a link that leads nowhere.
                Err(reason) => refusals.warn(name(format!("link left out: {reason}"))),
            }
        }
        let status = message.status.unwrap_or_default();
        Ok(Span {
            trace_id,
            span_id,
            parent_span_id,
            trace_state: message.trace_state,
            flags: message.flags,
            kind: SpanKind::from_number(message.kind),
            name: message.name,
            start,
            end,
            attributes: own,
            events,
            links,
            status: SpanStatus::from_number(status.code),
            status_message: status.message,
            resource: Arc::clone(self.resource),
            scope: Arc::clone(self.scope),
        })
    }

    fn event(&self, message: EventMessage) -> Result<SpanEvent, String> {
        Ok(SpanEvent {
            timestamp: Timestamp::from_nanos(
                i64::try_from(message.time_unix_nano).unwrap_or(i64::MAX),
            ),
            attributes: attributes(message.attributes, self.limits)
                .map_err(|reason| format!("event {:?}: {reason}", clip(&message.name)))?,
            name: message.name,
        })
    }

    fn link(&self, message: LinkMessage) -> Result<SpanLink, String> {
        Ok(SpanLink {
            trace_id: required(
                TraceId::from_bytes(&message.trace_id),
                &TraceId::NONE,
                "trace id",
            )?,
            span_id: required(
                SpanId::from_bytes(&message.span_id),
                &SpanId::NONE,
                "span id",
            )?,
            trace_state: message.trace_state,
            attributes: attributes(message.attributes, self.limits)?,
        })
    }
}

/// When a span began and ended; an error says which time is outside of the window around `now`.
pub(super) fn times(
    start: u64,
    end: u64,
    limits: &Limits,
    now: Timestamp,
) -> Result<(Timestamp, Timestamp), String> {
    let oldest = (now - limits.span_age_max).as_nanos();
    let newest = (now + limits.span_ahead_max).as_nanos();
    let start_nanos = i64::try_from(start).unwrap_or(i64::MAX);
    // A span that has not ended, or before it began, has no duration.
    let end_nanos = i64::try_from(end).unwrap_or(i64::MAX).max(start_nanos);
    let (start, end) = (
        Timestamp::from_nanos(start_nanos),
        Timestamp::from_nanos(end_nanos),
    );
    if start_nanos < oldest {
        return Err(format!("start time {start} is too old"));
    }
    if start_nanos > newest || end_nanos > newest {
        return Err(format!("end time {end} is too far in the future"));
    }
    Ok((start, end))
}

/// An id of the right length that is not all zeros.
fn required<T: PartialEq, E: std::fmt::Display>(
    id: Result<T, E>,
    none: &T,
    what: &str,
) -> Result<T, String> {
    let id = id.map_err(|error| format!("{what}: {error}"))?;
    if id == *none {
        return Err(format!("{what} is all zeros"));
    }
    Ok(id)
}

/// Writes an `ExportTraceServiceRequest`; spans that follow each other with the same resource and scope share them.
pub fn encode_traces<'a>(spans: impl IntoIterator<Item = &'a Span>) -> Vec<u8> {
    traces_data(spans).encode_to_vec()
}

pub(crate) fn traces_data<'a>(spans: impl IntoIterator<Item = &'a Span>) -> TracesData {
    let mut data = TracesData::default();
    let mut last: Option<(&Arc<Resource>, &Arc<Scope>)> = None;
    for span in spans {
        let same_resource = last.is_some_and(|(own, _)| same(own, &span.resource));
        let same_scope = same_resource && last.is_some_and(|(_, own)| same(own, &span.scope));
        last = Some((&span.resource, &span.scope));
        if !same_resource {
            data.resource_spans.push(ResourceSpans {
                resource: Some(resource_message(&span.resource)),
                scope_spans: Vec::new(),
            });
        }
        let Some(group) = data.resource_spans.last_mut() else {
            continue;
        };
        if !same_scope {
            group.scope_spans.push(ScopeSpans {
                scope: Some(scope_message(&span.scope)),
                spans: Vec::new(),
            });
        }
        if let Some(scoped) = group.scope_spans.last_mut() {
            scoped.spans.push(span_message(span));
        }
    }
    data
}

pub(super) fn same<T: PartialEq>(left: &Arc<T>, right: &Arc<T>) -> bool {
    Arc::ptr_eq(left, right) || left == right
}

/// Bytes of an id; "none" is absent on the wire.
fn id_bytes(bytes: &[u8]) -> Vec<u8> {
    if bytes.iter().all(|byte| *byte == 0) {
        Vec::new()
    } else {
        bytes.to_vec()
    }
}

pub(super) fn nanos(at: Timestamp) -> u64 {
    u64::try_from(at.as_nanos()).unwrap_or(0)
}

fn span_message(span: &Span) -> SpanMessage {
    let has_status = span.status != SpanStatus::Unset || !span.status_message.is_empty();
    SpanMessage {
        trace_id: id_bytes(&span.trace_id.0),
        span_id: id_bytes(&span.span_id.0),
        trace_state: span.trace_state.clone(),
        parent_span_id: id_bytes(&span.parent_span_id.0),
        name: span.name.clone(),
        kind: span.kind as i32,
        start_time_unix_nano: nanos(span.start),
        end_time_unix_nano: nanos(span.end),
        attributes: to_messages(&span.attributes),
        events: span
            .events
            .iter()
            .map(|event| EventMessage {
                time_unix_nano: nanos(event.timestamp),
                name: event.name.clone(),
                attributes: to_messages(&event.attributes),
            })
            .collect(),
        links: span
            .links
            .iter()
            .map(|link| LinkMessage {
                trace_id: id_bytes(&link.trace_id.0),
                span_id: id_bytes(&link.span_id.0),
                trace_state: link.trace_state.clone(),
                attributes: to_messages(&link.attributes),
            })
            .collect(),
        status: has_status.then(|| SpanStatusMessage {
            message: span.status_message.clone(),
            code: span.status as i32,
        }),
        flags: span.flags,
    }
}

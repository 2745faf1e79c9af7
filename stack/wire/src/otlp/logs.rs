//! Log records.

use std::sync::Arc;

use gameday_signal::{
    AttributeValue, Attributes, LogRecord, Resource, Scope, SpanId, Timestamp, TraceId,
};
use prost::Message;

use super::attributes::{
    attributes, resource, resource_message, scope, scope_message, to_message, to_messages, value,
};
use super::message::{LogRecordMessage, LogsData, ResourceLogs, ScopeLogs};
use super::traces::{nanos, same};
use super::{Decoded, Encoding, Limits, OtlpError, Refusals, decode_request, plain};

/// The attribute that holds the name of an event (OpenTelemetry semantic conventions for events).
pub(super) const EVENT_NAME: &str = "event.name";

/// Reads an `ExportLogsServiceRequest`. Records over a limit are refused alone; an id of the wrong length is left out with a warning,
/// because the line is worth more than the link. Whether a time is too old is for the store to say.
///
/// # Errors
/// Where the body is no such message.
pub fn decode_logs(
    body: &[u8],
    encoding: Encoding,
    limits: &Limits,
) -> Result<Decoded<LogRecord>, OtlpError> {
    if encoding == Encoding::Protobuf
        && let Some(records) = plain::records(body, limits)
    {
        return Ok(Refusals::default().finish(records));
    }
    decode_logs_message(body, encoding, limits)
}

/// The same through the message, which knows why something is refused.
pub(super) fn decode_logs_message(
    body: &[u8],
    encoding: Encoding,
    limits: &Limits,
) -> Result<Decoded<LogRecord>, OtlpError> {
    let mut refusals = Refusals::default();
    let data: LogsData = decode_request::<_, LogRecordMessage>(body, encoding, &mut refusals)?;
    let mut records = Vec::new();
    for group in data.resource_logs {
        let count = |scopes: &[ScopeLogs]| scopes.iter().map(|scope| scope.log_records.len()).sum();
        let own = match resource(group.resource, limits) {
            Ok(own) => Arc::new(own),
            Err(reason) => {
                refusals.reject(count(&group.scope_logs), reason);
                continue;
            }
        };
        for scoped in group.scope_logs {
            let scope = match scope(scoped.scope, limits) {
                Ok(scope) => Arc::new(scope),
                Err(reason) => {
                    refusals.reject(scoped.log_records.len(), reason);
                    continue;
                }
            };
            records.reserve(scoped.log_records.len());
            for message in scoped.log_records {
                match record(message, limits, &own, &scope, &mut refusals) {
                    Ok(record) => records.push(record),
                    Err(reason) => refusals.reject(1, format!("log record: {reason}")),
                }
            }
        }
    }
    Ok(refusals.finish(records))
}

fn record(
    message: LogRecordMessage,
    limits: &Limits,
    resource: &Arc<Resource>,
    scope: &Arc<Scope>,
    refusals: &mut Refusals,
) -> Result<LogRecord, String> {
    let time = |nanos: u64| {
        i64::try_from(nanos)
            .map(Timestamp::from_nanos)
            .map_err(|_| format!("time {nanos} is out of range"))
    };
    let mut own = attributes(message.attributes, limits)?;
    if !message.event_name.is_empty() && own.get(EVENT_NAME).is_none() {
        let name = AttributeValue::String(message.event_name.into());
        own.0.push((EVENT_NAME.into(), name));
    }
    if message.severity_text.len() > limits.value_bytes_max {
        return Err(format!(
            "severity text of {} bytes",
            message.severity_text.len()
        ));
    }
    let mut warn = |what: &str, error: &dyn std::fmt::Display| {
        refusals.warn(format!("log record: {what} left out: {error}"));
    };
    let trace_id = if message.trace_id.is_empty() {
        TraceId::NONE
    } else {
        TraceId::from_bytes(&message.trace_id).unwrap_or_else(|error| {
            warn("trace id", &error);
            TraceId::NONE
        })
    };
    let span_id = if message.span_id.is_empty() {
        SpanId::NONE
    } else {
        SpanId::from_bytes(&message.span_id).unwrap_or_else(|error| {
            warn("span id", &error);
            SpanId::NONE
        })
    };
    Ok(LogRecord {
        timestamp: time(message.time_unix_nano)?,
        observed_timestamp: time(message.observed_time_unix_nano)?,
        severity_number: message.severity_number,
        severity_text: message.severity_text,
        body: message
            .body
            .map_or(Ok(AttributeValue::Empty), |body| value(body, limits))
            .map_err(|reason| format!("body: {reason}"))?,
        attributes: own,
        trace_id,
        span_id,
        flags: message.flags,
        resource: Arc::clone(resource),
        scope: Arc::clone(scope),
    })
}

/// Writes an `ExportLogsServiceRequest`; records that follow each other with the same resource and scope share them.
pub fn encode_logs<'a>(records: impl IntoIterator<Item = &'a LogRecord>) -> Vec<u8> {
    let mut data = LogsData::default();
    let mut last: Option<(&Arc<Resource>, &Arc<Scope>)> = None;
    for record in records {
        let same_resource = last.is_some_and(|(own, _)| same(own, &record.resource));
        let same_scope = same_resource && last.is_some_and(|(_, own)| same(own, &record.scope));
        last = Some((&record.resource, &record.scope));
        if !same_resource {
            data.resource_logs.push(ResourceLogs {
                resource: Some(resource_message(&record.resource)),
                scope_logs: Vec::new(),
            });
        }
        let Some(group) = data.resource_logs.last_mut() else {
            continue;
        };
        if !same_scope {
            group.scope_logs.push(ScopeLogs {
                scope: Some(scope_message(&record.scope)),
                log_records: Vec::new(),
            });
        }
        if let Some(scoped) = group.scope_logs.last_mut() {
            scoped.log_records.push(record_message(record));
        }
    }
    data.encode_to_vec()
}

fn record_message(record: &LogRecord) -> LogRecordMessage {
    let event_name = record.attributes.get_str(EVENT_NAME).unwrap_or_default();
    let others: Vec<_> = record
        .attributes
        .iter()
        .filter(|(key, _)| event_name.is_empty() || *key != EVENT_NAME)
        .map(|(key, value)| (key.into(), value.clone()))
        .collect();
    let optional = |bytes: &[u8], is_none: bool| if is_none { Vec::new() } else { bytes.to_vec() };
    LogRecordMessage {
        time_unix_nano: nanos(record.timestamp),
        observed_time_unix_nano: nanos(record.observed_timestamp),
        severity_number: record.severity_number,
        severity_text: record.severity_text.clone(),
        body: (record.body != AttributeValue::Empty).then(|| to_message(&record.body)),
        attributes: to_messages(&Attributes(others)),
        flags: record.flags,
        trace_id: optional(&record.trace_id.0, record.trace_id.is_none()),
        span_id: optional(&record.span_id.0, record.span_id.is_none()),
        event_name: event_name.to_owned(),
    }
}

//! Requests in protobuf as nearly all senders write them, straight into signal.
//!
//! prost's messages own every text, so that each is copied, converted and freed once more: decoding was a tenth of a game day's work.
//! What is read here is what [`super::traces`] and [`super::logs`] make of the same bytes where there is nothing to refuse and nothing
//! to warn about. Whatever else a body holds (a limit that is broken, an id that is wrong, a message in two parts, a group, a text that
//! is not UTF-8), the answer is none, and the caller takes the long way, which knows the reasons.

use std::sync::Arc;

use gameday_signal::{
    AttributeValue, Attributes, LogRecord, Resource, Scope, SmolStr, Span, SpanEvent, SpanId,
    SpanKind, SpanLink, SpanStatus, Timestamp, TraceId,
};

use super::Limits;
use super::fields::{Field, Fields};
use super::logs::EVENT_NAME;
use super::traces::times;

/// Values in values, beyond which the long way counts.
const DEPTH_MAX: usize = 16;
/// Bytes of a small span or record, so that room for all is made at once.
const ITEM_BYTES_USUAL: usize = 256;
/// Most spans and records have at most this many attributes.
const ATTRIBUTES_USUAL: usize = 8;

/// The spans of an `ExportTraceServiceRequest`.
pub(super) fn spans(body: &[u8], limits: &Limits, now: Timestamp) -> Option<Vec<Span>> {
    items(body, limits, |reader, bytes, resource, scope| {
        reader.span(bytes, now, resource, scope)
    })
}

/// The records of an `ExportLogsServiceRequest`.
pub(super) fn records(body: &[u8], limits: &Limits) -> Option<Vec<LogRecord>> {
    items(body, limits, Reader::record)
}

/// The signals have the same shape: a request is groups (field 1), a group has a resource (1) and scopes (2), a scope has a scope (1)
/// and items (2).
fn items<'l, T>(
    body: &[u8],
    limits: &'l Limits,
    item: impl Fn(&mut Reader<'l>, &[u8], &Arc<Resource>, &Arc<Scope>) -> Option<T>,
) -> Option<Vec<T>> {
    let mut reader = Reader {
        limits,
        texts: Texts::default(),
    };
    let mut items = Vec::with_capacity(body.len() / ITEM_BYTES_USUAL);
    for group in messages(body, 1) {
        let group = group?;
        let resource = Arc::new(match Fields(group).single(1)? {
            Some(message) => reader.resource(message)?,
            None => Resource::default(),
        });
        for scoped in messages(group, 2) {
            let scoped = scoped?;
            let scope = Arc::new(match Fields(scoped).single(1)? {
                Some(message) => reader.scope(message)?,
                None => Scope::default(),
            });
            for message in messages(scoped, 2) {
                items.push(item(&mut reader, message?, &resource, &scope)?);
            }
        }
    }
    Some(items)
}

/// The messages in the fields of this number.
fn messages(bytes: &[u8], number: u32) -> impl Iterator<Item = Option<&[u8]>> {
    Fields(bytes).filter_map(move |field| match field {
        Some((own, Field::Bytes(message))) if own == number => Some(Some(message)),
        Some((own, _)) if own != number => None,
        _ => Some(None),
    })
}

/// Reads the parts of one request.
struct Reader<'a> {
    limits: &'a Limits,
    texts: Texts,
}

impl Reader<'_> {
    fn resource(&mut self, bytes: &[u8]) -> Option<Resource> {
        let mut resource = Resource::default();
        for field in Fields(bytes) {
            match field? {
                (1, Field::Bytes(pair)) => self.push(&mut resource.attributes, pair)?,
                (1, _) => return None,
                _ => {}
            }
        }
        Some(resource)
    }

    fn scope(&mut self, bytes: &[u8]) -> Option<Scope> {
        let mut scope = Scope::default();
        for field in Fields(bytes) {
            match field? {
                (1, Field::Bytes(name)) => scope.name = text(name)?,
                (2, Field::Bytes(version)) => scope.version = text(version)?,
                (3, Field::Bytes(pair)) => self.push(&mut scope.attributes, pair)?,
                (1..=3, _) => return None,
                _ => {}
            }
        }
        Some(scope)
    }

    fn span(
        &mut self,
        bytes: &[u8],
        now: Timestamp,
        resource: &Arc<Resource>,
        scope: &Arc<Scope>,
    ) -> Option<Span> {
        let mut span = Span {
            trace_id: TraceId::NONE,
            span_id: SpanId::NONE,
            parent_span_id: SpanId::NONE,
            trace_state: String::new(),
            flags: 0,
            kind: SpanKind::Unspecified,
            name: String::new(),
            start: Timestamp::EPOCH,
            end: Timestamp::EPOCH,
            attributes: Attributes::default(),
            events: Vec::new(),
            links: Vec::new(),
            status: SpanStatus::Unset,
            status_message: String::new(),
            resource: Arc::clone(resource),
            scope: Arc::clone(scope),
        };
        let (mut start, mut end) = (0, 0);
        for field in Fields(bytes) {
            match field? {
                (1, Field::Bytes(id)) => span.trace_id = TraceId::from_bytes(id).ok()?,
                (2, Field::Bytes(id)) => span.span_id = SpanId::from_bytes(id).ok()?,
                (3, Field::Bytes(state)) => span.trace_state = text(state)?,
                (4, Field::Bytes([])) => span.parent_span_id = SpanId::NONE,
                (4, Field::Bytes(id)) => span.parent_span_id = SpanId::from_bytes(id).ok()?,
                (5, Field::Bytes(name)) => span.name = text(name)?,
                // Protobuf's int32 are the lower bits of what is written.
                (6, Field::Varint(kind)) => span.kind = SpanKind::from_number(kind as i32),
                (7, Field::Fixed64(nanos)) => start = nanos,
                (8, Field::Fixed64(nanos)) => end = nanos,
                (9, Field::Bytes(pair)) => self.push(&mut span.attributes, pair)?,
                (11, Field::Bytes(message)) => span.events.push(self.event(message)?),
                (13, Field::Bytes(message)) => span.links.push(self.link(message)?),
                (15, Field::Bytes(message)) => status(message, &mut span)?,
                (16, Field::Fixed32(flags)) => span.flags = flags,
                (1..=9 | 11 | 13 | 15 | 16, _) => return None,
                _ => {}
            }
        }
        (span.start, span.end) = times(start, end, self.limits, now).ok()?;
        let is_fit = !span.trace_id.is_none()
            && !span.span_id.is_none()
            && span.events.len().max(span.links.len()) <= self.limits.span_parts_max
            && span.name.len() <= self.limits.value_bytes_max;
        is_fit.then_some(span)
    }

    fn event(&mut self, bytes: &[u8]) -> Option<SpanEvent> {
        let mut event = SpanEvent {
            timestamp: Timestamp::EPOCH,
            name: String::new(),
            attributes: Attributes::default(),
        };
        for field in Fields(bytes) {
            match field? {
                (1, Field::Fixed64(nanos)) => event.timestamp = time(nanos)?,
                (2, Field::Bytes(name)) => event.name = text(name)?,
                (3, Field::Bytes(pair)) => self.push(&mut event.attributes, pair)?,
                (1..=3, _) => return None,
                _ => {}
            }
        }
        Some(event)
    }

    fn link(&mut self, bytes: &[u8]) -> Option<SpanLink> {
        let mut link = SpanLink {
            trace_id: TraceId::NONE,
            span_id: SpanId::NONE,
            trace_state: String::new(),
            attributes: Attributes::default(),
        };
        for field in Fields(bytes) {
            match field? {
                (1, Field::Bytes(id)) => link.trace_id = TraceId::from_bytes(id).ok()?,
                (2, Field::Bytes(id)) => link.span_id = SpanId::from_bytes(id).ok()?,
                (3, Field::Bytes(state)) => link.trace_state = text(state)?,
                (4, Field::Bytes(pair)) => self.push(&mut link.attributes, pair)?,
                (1..=4, _) => return None,
                _ => {}
            }
        }
        let is_whole = !link.trace_id.is_none() && !link.span_id.is_none();
        is_whole.then_some(link)
    }

    fn record(
        &mut self,
        bytes: &[u8],
        resource: &Arc<Resource>,
        scope: &Arc<Scope>,
    ) -> Option<LogRecord> {
        let mut record = LogRecord {
            timestamp: Timestamp::EPOCH,
            observed_timestamp: Timestamp::EPOCH,
            severity_number: 0,
            severity_text: String::new(),
            body: AttributeValue::Empty,
            attributes: Attributes::default(),
            trace_id: TraceId::NONE,
            span_id: SpanId::NONE,
            flags: 0,
            resource: Arc::clone(resource),
            scope: Arc::clone(scope),
        };
        let mut event_name = String::new();
        let mut has_body = false;
        for field in Fields(bytes) {
            match field? {
                (1, Field::Fixed64(nanos)) => record.timestamp = time(nanos)?,
                (2, Field::Varint(number)) => record.severity_number = number as i32,
                (3, Field::Bytes(severity)) => record.severity_text = text(severity)?,
                (5, Field::Bytes(message)) if !has_body => {
                    has_body = true;
                    record.body = self.value_within(message)?;
                }
                (6, Field::Bytes(pair)) => self.push(&mut record.attributes, pair)?,
                (8, Field::Fixed32(flags)) => record.flags = flags,
                (9, Field::Bytes([])) => record.trace_id = TraceId::NONE,
                (9, Field::Bytes(id)) => record.trace_id = TraceId::from_bytes(id).ok()?,
                (10, Field::Bytes([])) => record.span_id = SpanId::NONE,
                (10, Field::Bytes(id)) => record.span_id = SpanId::from_bytes(id).ok()?,
                (11, Field::Fixed64(nanos)) => record.observed_timestamp = time(nanos)?,
                (12, Field::Bytes(name)) => event_name = text(name)?,
                (1..=3 | 5 | 6 | 8..=12, _) => return None,
                _ => {}
            }
        }
        if !event_name.is_empty() && record.attributes.get(EVENT_NAME).is_none() {
            let name = AttributeValue::String(event_name.into());
            record.attributes.0.push((EVENT_NAME.into(), name));
        }
        (record.severity_text.len() <= self.limits.value_bytes_max).then_some(record)
    }

    /// Adds the attribute that a `KeyValue` holds.
    fn push(&mut self, attributes: &mut Attributes, bytes: &[u8]) -> Option<()> {
        if attributes.0.is_empty() {
            attributes.0.reserve(ATTRIBUTES_USUAL);
        }
        let mut size = 0;
        let (key, value) = self.pair(bytes, &mut size, DEPTH_MAX)?;
        let is_fit = size <= self.limits.value_bytes_max
            && key.len() <= self.limits.value_bytes_max
            && attributes.0.len() < self.limits.attributes_max;
        attributes.0.push((key, value));
        is_fit.then_some(())
    }

    /// A value that is within the limit.
    fn value_within(&mut self, bytes: &[u8]) -> Option<AttributeValue> {
        let mut size = 0;
        let value = self.value(bytes, &mut size, DEPTH_MAX)?;
        (size <= self.limits.value_bytes_max).then_some(value)
    }

    /// A `KeyValue`; `size` counts the bytes of the value as [`super::attributes`] does.
    fn pair(
        &mut self,
        bytes: &[u8],
        size: &mut usize,
        depth: usize,
    ) -> Option<(SmolStr, AttributeValue)> {
        if let Some((key, message)) = usual_pair(bytes) {
            let key = self.texts.text(key)?;
            return Some((key, self.value(message, size, depth)?));
        }
        let mut key = SmolStr::default();
        let mut any = None;
        for field in Fields(bytes) {
            match field? {
                (1, Field::Bytes(own)) => key = self.texts.text(own)?,
                (2, Field::Bytes(message)) if any.is_none() => any = Some(message),
                (1 | 2, _) => return None,
                _ => {}
            }
        }
        let value = match any {
            Some(message) => self.value(message, size, depth)?,
            None => AttributeValue::Empty,
        };
        Some((key, value))
    }

    /// An `AnyValue`, which is one field of it; where there are several the long way knows which one counts.
    fn value(&mut self, bytes: &[u8], size: &mut usize, depth: usize) -> Option<AttributeValue> {
        if let Some(text) = usual_text(bytes) {
            *size += text.len();
            return Some(AttributeValue::String(self.texts.text(text)?));
        }
        let depth = depth.checked_sub(1)?;
        let mut fields = Fields(bytes);
        let Some(field) = fields.next() else {
            return Some(AttributeValue::Empty);
        };
        let value = match field? {
            (1, Field::Bytes(own)) => {
                *size += own.len();
                AttributeValue::String(self.texts.text(own)?)
            }
            (2, Field::Varint(truth)) => {
                *size += 1;
                AttributeValue::Bool(truth != 0)
            }
            (3, Field::Varint(number)) => {
                *size += 8;
                AttributeValue::Int(number as i64)
            }
            (4, Field::Fixed64(bits)) => {
                *size += 8;
                AttributeValue::Double(f64::from_bits(bits))
            }
            (5, Field::Bytes(list)) => {
                let mut values = Vec::new();
                for message in messages(list, 1) {
                    *size += 1;
                    values.push(self.value(message?, size, depth)?);
                }
                AttributeValue::Array(values)
            }
            (6, Field::Bytes(list)) => {
                let mut pairs = Vec::new();
                for message in messages(list, 1) {
                    let own = self.pair(message?, size, depth)?;
                    *size += own.0.len() + 1;
                    pairs.push(own);
                }
                AttributeValue::Map(pairs)
            }
            (7, Field::Bytes(own)) => {
                *size += own.len();
                AttributeValue::Bytes(own.to_vec())
            }
            _ => return None,
        };
        fields.0.is_empty().then_some(value)
    }
}

fn status(bytes: &[u8], span: &mut Span) -> Option<()> {
    for field in Fields(bytes) {
        match field? {
            (2, Field::Bytes(message)) => span.status_message = text(message)?,
            (3, Field::Varint(code)) => span.status = SpanStatus::from_number(code as i32),
            (2 | 3, _) => return None,
            _ => {}
        }
    }
    Some(())
}

/// Key and value of a `KeyValue` as nearly all of them are written: the key (field 1), the value (field 2), nothing else, and both
/// lengths in one byte.
fn usual_pair(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let [0x0a, key_len @ ..0x80, rest @ ..] = bytes else {
        return None;
    };
    let (key, rest) = rest.split_at_checked(usize::from(*key_len))?;
    match rest {
        [0x12, len @ ..0x80, value @ ..] if value.len() == usize::from(*len) => Some((key, value)),
        _ => None,
    }
}

/// The text of an `AnyValue` that is one (field 1) and whose length takes one byte.
fn usual_text(bytes: &[u8]) -> Option<&[u8]> {
    match bytes {
        [0x0a, len @ ..0x80, text @ ..] if text.len() == usize::from(*len) => Some(text),
        _ => None,
    }
}

/// Odd multiplier from Knuth's multiplicative hashing, 2^64 divided by the golden ratio.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The texts that were read last: keys, and most values, come again with every span, and comparing is cheaper than proving UTF-8
/// and making a text anew.
struct Texts([SmolStr; Self::SLOTS]);

impl Default for Texts {
    fn default() -> Self {
        Self([const { SmolStr::new_static("") }; Self::SLOTS])
    }
}

impl Texts {
    const SLOT_BITS: u32 = 8;
    const SLOTS: usize = 1 << Self::SLOT_BITS;
    /// Longer texts are seldom the same.
    const LENGTH_MAX: usize = 64;

    /// By the first and the last eight bytes, or by all where there are fewer: names with the same ending begin otherwise.
    fn slot(bytes: &[u8]) -> usize {
        let word = match (bytes.first_chunk(), bytes.last_chunk()) {
            (Some(first), Some(last)) => {
                u64::from_le_bytes(*first) ^ u64::from_le_bytes(*last).rotate_left(29)
            }
            _ => bytes
                .iter()
                .fold(0, |word, byte| word << 8 | u64::from(*byte)),
        };
        let mixed = (word ^ (bytes.len() as u64) << 58).wrapping_mul(GOLDEN);
        (mixed >> (u64::BITS - Self::SLOT_BITS)) as usize
    }

    /// The text that these bytes are.
    fn text(&mut self, bytes: &[u8]) -> Option<SmolStr> {
        let new = || std::str::from_utf8(bytes).ok().map(SmolStr::new);
        if bytes.len() > Self::LENGTH_MAX {
            return new();
        }
        let known = &mut self.0[Self::slot(bytes)];
        if known.as_bytes() != bytes {
            *known = new()?;
        }
        Some(known.clone())
    }
}

fn text(bytes: &[u8]) -> Option<String> {
    std::str::from_utf8(bytes).ok().map(str::to_owned)
}

fn time(nanos: u64) -> Option<Timestamp> {
    i64::try_from(nanos).ok().map(Timestamp::from_nanos)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::logs::decode_logs_message;
    use super::super::traces::decode_traces_message;
    use super::super::{Encoding, encode_logs, encode_traces};
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn attributes(depth: usize) -> Attributes {
        let mut nested = AttributeValue::Map(vec![("inner".into(), "value".into())]);
        for _ in 0..depth {
            nested = AttributeValue::Array(vec![nested, AttributeValue::Empty]);
        }
        Attributes(vec![
            ("http.route".into(), "/api/ümlaut".into()),
            ("minus".into(), (-1).into()),
            ("double".into(), AttributeValue::Double(-0.5)),
            ("yes".into(), AttributeValue::Bool(true)),
            ("bytes".into(), AttributeValue::Bytes(vec![0, 255])),
            ("nothing".into(), AttributeValue::Empty),
            ("nested".into(), nested),
        ])
    }

    fn shared() -> (Arc<Resource>, Arc<Scope>) {
        let scope = Scope {
            name: "lib".to_owned(),
            version: "1.0".to_owned(),
            attributes: attributes(0),
        };
        let resource = Resource {
            attributes: attributes(0),
        };
        (Arc::new(resource), Arc::new(scope))
    }

    fn spans_body(depth: usize) -> Vec<u8> {
        let (resource, scope) = shared();
        let mut bare = Span {
            trace_id: TraceId([7; 16]),
            span_id: SpanId([1; 8]),
            parent_span_id: SpanId::NONE,
            trace_state: String::new(),
            flags: 0,
            kind: SpanKind::Server,
            name: "GET /".to_owned(),
            start: NOW,
            end: NOW,
            attributes: Attributes::default(),
            events: Vec::new(),
            links: Vec::new(),
            status: SpanStatus::Unset,
            status_message: String::new(),
            resource: Arc::default(),
            scope: Arc::default(),
        };
        let mut full = bare.clone();
        full.parent_span_id = SpanId([2; 8]);
        full.trace_state = "vendor=1".to_owned();
        full.flags = 257;
        full.attributes = attributes(depth);
        full.events.push(SpanEvent {
            timestamp: NOW,
            name: "exception".to_owned(),
            attributes: attributes(0),
        });
        full.links.push(SpanLink {
            trace_id: TraceId([8; 16]),
            span_id: SpanId([3; 8]),
            trace_state: "w3c=2".to_owned(),
            attributes: attributes(1),
        });
        full.status = SpanStatus::Error;
        full.status_message = "timed out".to_owned();
        (full.resource, full.scope) = (resource, scope);
        bare.span_id = SpanId([4; 8]);
        encode_traces(&[full.clone(), bare, full])
    }

    fn records_body(depth: usize) -> Vec<u8> {
        let (resource, scope) = shared();
        let mut bare = LogRecord {
            timestamp: NOW,
            observed_timestamp: Timestamp::EPOCH,
            severity_number: 0,
            severity_text: String::new(),
            body: "a line".into(),
            attributes: Attributes::default(),
            trace_id: TraceId::NONE,
            span_id: SpanId::NONE,
            flags: 0,
            resource: Arc::default(),
            scope: Arc::default(),
        };
        let mut full = bare.clone();
        full.observed_timestamp = NOW;
        full.severity_number = 17;
        full.severity_text = "ERROR".to_owned();
        full.attributes = attributes(depth);
        (full.trace_id, full.span_id, full.flags) = (TraceId([7; 16]), SpanId([1; 8]), 1);
        (full.resource, full.scope) = (resource, scope);
        bare.attributes = Attributes(vec![(EVENT_NAME.into(), "boom".into())]);
        encode_logs(&[full.clone(), bare, full])
    }

    /// Asserts that the short way, where it answers, says what the long way does; NaN equals itself here.
    fn both_ways(body: &[u8], limits: &Limits) -> (bool, bool) {
        let short = spans(body, limits, NOW);
        let is_plain = short.is_some();
        if let Some(short) = short {
            let long = decode_traces_message(body, Encoding::Protobuf, limits, NOW)
                .expect("what the short way takes is a message");
            assert_eq!((long.rejected, long.message.as_str()), (0, ""));
            assert_eq!(format!("{short:?}"), format!("{:?}", long.items));
        }
        let short = records(body, limits);
        let is_plain_log = short.is_some();
        if let Some(short) = short {
            let long = decode_logs_message(body, Encoding::Protobuf, limits)
                .expect("what the short way takes is a message");
            assert_eq!((long.rejected, long.message.as_str()), (0, ""));
            assert_eq!(format!("{short:?}"), format!("{:?}", long.items));
        }
        (is_plain, is_plain_log)
    }

    #[test]
    fn takes_all_that_a_span_or_a_record_can_hold() {
        let limits = Limits::default();
        for depth in [0, 3] {
            assert!(both_ways(&spans_body(depth), &limits).0);
            assert!(both_ways(&records_body(depth), &limits).1);
        }
        assert_eq!(both_ways(&[], &limits), (true, true));
    }

    #[test]
    fn leaves_what_breaks_a_limit_to_the_long_way() {
        for limits in [
            Limits {
                attributes_max: 6,
                ..Limits::default()
            },
            Limits {
                value_bytes_max: 9,
                ..Limits::default()
            },
        ] {
            assert_eq!(both_ways(&spans_body(0), &limits), (false, false));
            assert_eq!(both_ways(&records_body(0), &limits), (false, false));
        }
        let no_parts = Limits {
            span_parts_max: 0,
            ..Limits::default()
        };
        assert!(!both_ways(&spans_body(0), &no_parts).0);
        assert!(!both_ways(&spans_body(20), &Limits::default()).0);
    }

    #[test]
    fn leaves_a_message_in_two_parts_to_the_long_way() {
        // The request's one group once more in it, and a group of two resources, which protobuf merges.
        let group: &[u8] = &[0x0a, 0x02, 0x0a, 0x00];
        let merged: &[u8] = &[0x0a, 0x04, 0x0a, 0x00, 0x0a, 0x00];
        assert_eq!(
            both_ways(&[group, group].concat(), &Limits::default()),
            (true, true)
        );
        assert_eq!(both_ways(merged, &Limits::default()), (false, false));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn damaged_bodies_are_read_alike(
            at in any::<prop::sample::Index>(),
            bytes in proptest::collection::vec(any::<u8>(), 1..4),
            is_log in any::<bool>(),
        ) {
            let mut body = if is_log { records_body(2) } else { spans_body(2) };
            let start = at.index(body.len());
            let end = (start + bytes.len()).min(body.len());
            body.splice(start..end, bytes);
            both_ways(&body, &Limits::default());
        }
    }
}

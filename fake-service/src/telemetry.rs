//! Spans and log records through the OpenTelemetry SDK. The only file that touches OpenTelemetry.
//!
//! ```text
//!   Telemetry::span -> SdkTracer -> SdkSpan -> SpanSink (encodes) -> export::Queue
//!   Telemetry::log  -> SdkLogger -> LogSink  (encodes)            -> export::Queue
//! ```
//!
//! The SDK stamps the wall clock wherever nobody gives it a time, takes its ids from the operating system's entropy, and exports on
//! threads of its own. None of that may happen in virtual time: every start, end and event has its time from env's clock, the ids
//! come from a named stream, and the processors below only encode and queue.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gameday_env::{Address, Clock, Env, Rng};
use gameday_signal::{SpanId, Timestamp, TraceId};
use opentelemetry::logs::{AnyValue, LogRecord as _, Logger as _, LoggerProvider as _, Severity};
use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt as _, TraceFlags,
    TraceState, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Array, Context, InstrumentationScope, KeyValue, StringValue, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{LogProcessor, SdkLogRecord, SdkLogger, SdkLoggerProvider};
use opentelemetry_sdk::trace::{
    IdGenerator, Sampler, SdkTracer, SdkTracerProvider, Span as SdkSpan, SpanData, SpanProcessor,
};

use crate::config::Level;
use crate::export::{ExportCounts, Exporter, Queue};
use crate::protobuf;
use crate::trace_context::TraceParent;

/// The name of the instrumentation scope.
const SCOPE: &str = "fake-service";
/// Spans, and log records, that may wait for their export.
const QUEUE_ITEMS_MAX: usize = 16_384;
/// Attributes that a span of a request has; room for them is made at once.
const SPAN_ATTRIBUTES: usize = 10;

/// What the telemetry of a service needs to know.
#[derive(Clone, Debug)]
pub(crate) struct TelemetryConfig {
    /// `service.name`.
    pub(crate) service: String,
    /// `service.version`.
    pub(crate) version: String,
    /// The OTLP/HTTP receiver; none switches the export off.
    pub(crate) endpoint: Option<Address>,
    /// How often what waits is sent.
    pub(crate) flush_interval: Duration,
    /// The share of traces that begin here and are recorded; a caller's decision is kept.
    pub(crate) sampling_ratio: f64,
}

/// Makes and exports the spans and log records of one service.
pub(crate) struct Telemetry {
    tracer: SdkTracer,
    logger: SdkLogger,
    clock: Clock,
    service: String,
    host: String,
    spans: Queue,
    logs: Queue,
    exporter: Option<Exporter>,
    /// One flush at a time, so that a graceful stop waits for the one that is under way.
    flushing: tokio::sync::Mutex<()>,
    flush_interval: Duration,
}

/// Whether a span is the receiving or the calling side of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// It answers.
    Server,
    /// It asks.
    Client,
}

fn severity(level: Level) -> (Severity, &'static str) {
    match level {
        Level::Debug => (Severity::Debug, "DEBUG"),
        Level::Info => (Severity::Info, "INFO"),
        Level::Warn => (Severity::Warn, "WARN"),
        Level::Error => (Severity::Error, "ERROR"),
    }
}

impl Telemetry {
    /// The telemetry of the service on the host of `env`.
    pub(crate) fn new(env: &Env, config: &TelemetryConfig) -> Self {
        let resource = resource_bytes(&config.service, &config.version, env.host());
        let spans = Queue::new("/v1/traces", QUEUE_ITEMS_MAX, Arc::clone(&resource));
        let logs = Queue::new("/v1/logs", QUEUE_ITEMS_MAX, resource);
        let exports = config.endpoint.is_some();
        let ids = Ids(Mutex::new(env.rng(&format!("trace-ids/{}", env.host()))));
        let mut tracing = SdkTracerProvider::builder()
            // The sampler is given whole: else the SDK looks for one in the process's environment.
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(
                config.sampling_ratio,
            ))))
            .with_id_generator(ids)
            .with_resource(Resource::builder_empty().build());
        let mut logging =
            SdkLoggerProvider::builder().with_resource(Resource::builder_empty().build());
        if exports {
            tracing = tracing.with_span_processor(SpanSink(spans.clone()));
            logging = logging.with_log_processor(LogSink(logs.clone()));
        }
        let scope = || InstrumentationScope::builder(SCOPE).build();
        let mut scope_bytes = Vec::new();
        protobuf::bytes_field(&mut scope_bytes, 1, SCOPE.as_bytes());
        Self {
            tracer: tracing.build().tracer_with_scope(scope()),
            logger: logging.build().logger_with_scope(scope()),
            clock: env.clock().clone(),
            service: config.service.clone(),
            host: env.host().to_owned(),
            spans,
            logs,
            exporter: config
                .endpoint
                .clone()
                .map(|endpoint| Exporter::new(env, endpoint, scope_bytes)),
            flushing: tokio::sync::Mutex::default(),
            flush_interval: config.flush_interval,
        }
    }

    /// Begins a span now.
    pub(crate) fn span(
        &self,
        side: Side,
        name: &'static str,
        parent: Option<TraceParent>,
        attributes: Attributes,
    ) -> Span {
        self.span_at(side, name, parent, self.clock.now(), attributes)
    }

    /// Begins a span at `start`. The parent of a server's span came in over the wire.
    pub(crate) fn span_at(
        &self,
        side: Side,
        name: &'static str,
        parent: Option<TraceParent>,
        start: Timestamp,
        attributes: Attributes,
    ) -> Span {
        let remote = side == Side::Server;
        let context = parent.map_or_else(Context::new, |parent| {
            Context::new().with_remote_span_context(span_context(parent, remote))
        });
        let builder = SpanBuilder {
            span_kind: Some(match side {
                Side::Server => SpanKind::Server,
                Side::Client => SpanKind::Client,
            }),
            name: Cow::Borrowed(name),
            start_time: Some(system_time(start)),
            attributes: Some(attributes.0),
            events: None,
            links: None,
        };
        Span {
            inner: self.tracer.build_with_context(builder, &context),
            clock: self.clock.clone(),
            ended: false,
        }
    }

    /// Logs a line, as part of a span.
    pub(crate) fn log(&self, level: Level, body: String, span: TraceParent, at: Timestamp) {
        let mut record = self.logger.create_log_record();
        let now = system_time(at);
        let (number, text) = severity(level);
        record.set_timestamp(now);
        record.set_observed_timestamp(now);
        record.set_severity_number(number);
        record.set_severity_text(text);
        record.set_body(AnyValue::String(StringValue::from(body)));
        record.set_trace_context(
            opentelemetry::TraceId::from_bytes(span.trace_id.0),
            opentelemetry::SpanId::from_bytes(span.span_id.0),
            Some(TraceFlags::default().with_sampled(span.sampled)),
        );
        self.logger.emit(record);
    }

    /// From now on spans and log records are of this version of the service.
    pub(crate) fn set_version(&self, version: &str) {
        let resource = resource_bytes(&self.service, version, &self.host);
        self.spans.set_resource(Arc::clone(&resource));
        self.logs.set_resource(resource);
    }

    /// Sends everything that waits.
    pub(crate) async fn flush(&self) {
        if let Some(exporter) = &self.exporter {
            let _one_at_a_time = self.flushing.lock().await;
            exporter.flush(&self.logs).await;
            exporter.flush(&self.spans).await;
        }
    }

    /// Flushes at every interval, and as soon as a batch is full. Never ends.
    pub(crate) async fn run(&self) {
        if self.exporter.is_none() {
            return;
        }
        let mut due = self.clock.now() + self.flush_interval;
        loop {
            tokio::select! {
                biased;
                () = self.clock.sleep_until(due) => {}
                () = self.spans.batch_full() => {}
                () = self.logs.batch_full() => {}
            }
            self.flush().await;
            while due <= self.clock.now() {
                due = due + self.flush_interval;
            }
        }
    }

    /// What became of the spans, and of the log records.
    pub(crate) fn counts(&self) -> (ExportCounts, ExportCounts) {
        (self.spans.counts(), self.logs.counts())
    }
}

/// What is known of a span when it begins: a sampler may decide by it (semantic conventions, "sampling-relevant attributes").
pub(crate) struct Attributes(Vec<KeyValue>);

impl Attributes {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self(Vec::with_capacity(SPAN_ATTRIBUTES))
    }

    /// These and one more.
    #[must_use]
    pub(crate) fn with(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        self.0.push(KeyValue::new(key, value));
        self
    }

    /// These and one more, a text that many spans share.
    #[must_use]
    pub(crate) fn with_shared(self, key: &'static str, value: &Arc<str>) -> Self {
        self.with(key, Value::String(StringValue::from(Arc::clone(value))))
    }
}

/// A span that has begun. It ends when it is dropped, at the latest.
pub(crate) struct Span {
    inner: SdkSpan,
    clock: Clock,
    ended: bool,
}

impl Span {
    /// Sets an attribute.
    pub(crate) fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        if self.inner.is_recording() {
            self.inner.set_attribute(KeyValue::new(key, value));
        }
    }

    /// Marks it as failed; `error_type` is of low cardinality (semantic conventions, `error.type`).
    pub(crate) fn fail(
        &mut self,
        error_type: impl Into<Cow<'static, str>>,
        description: impl Into<Cow<'static, str>>,
    ) {
        self.set("error.type", error_type.into());
        self.inner.set_status(Status::error(description));
    }

    /// Ends it at `at`.
    pub(crate) fn end(mut self, at: Timestamp) {
        self.ended = true;
        self.inner.end_with_timestamp(system_time(at));
    }

    /// What a callee, or a log line, is told about it.
    pub(crate) fn context(&self) -> TraceParent {
        let context = self.inner.span_context();
        TraceParent {
            trace_id: TraceId(context.trace_id().to_bytes()),
            span_id: SpanId(context.span_id().to_bytes()),
            sampled: context.is_sampled(),
        }
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if !self.ended {
            // The SDK's own drop would stamp the wall clock.
            self.inner.end_with_timestamp(system_time(self.clock.now()));
        }
    }
}

fn span_context(parent: TraceParent, remote: bool) -> SpanContext {
    SpanContext::new(
        opentelemetry::TraceId::from_bytes(parent.trace_id.0),
        opentelemetry::SpanId::from_bytes(parent.span_id.0),
        TraceFlags::default().with_sampled(parent.sampled),
        remote,
        TraceState::NONE,
    )
}

fn system_time(at: Timestamp) -> SystemTime {
    UNIX_EPOCH + at.since(Timestamp::EPOCH)
}

fn unix_nanos(at: SystemTime) -> u64 {
    let since_epoch = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX)
}

/// Ids from a named stream.
struct Ids(Mutex<Rng>);

impl fmt::Debug for Ids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ids")
    }
}

impl Ids {
    fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        let mut rng = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // An id of zeros means "none".
        while bytes == [0; N] {
            rng.fill(&mut bytes);
        }
        bytes
    }
}

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> opentelemetry::TraceId {
        opentelemetry::TraceId::from_bytes(self.bytes())
    }

    fn new_span_id(&self) -> opentelemetry::SpanId {
        opentelemetry::SpanId::from_bytes(self.bytes())
    }
}

/// Encodes spans as they end.
struct SpanSink(Queue);

impl fmt::Debug for SpanSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SpanSink")
    }
}

impl SpanProcessor for SpanSink {
    fn on_start(&self, _: &mut SdkSpan, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        self.0.push(|out| encode_span(out, &span));
    }

    fn force_flush(&self) -> OTelSdkResult {
        // The service's own task flushes: here there is no task to wait on.
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Encodes log records as they are emitted.
struct LogSink(Queue);

impl fmt::Debug for LogSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogSink")
    }
}

impl LogProcessor for LogSink {
    fn emit(&self, record: &mut SdkLogRecord, _: &InstrumentationScope) {
        self.0.push(|out| encode_log_record(out, record));
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// The encoded `opentelemetry.proto.resource.v1.Resource`.
fn resource_bytes(service: &str, version: &str, host: &str) -> Arc<[u8]> {
    let mut out = Vec::new();
    for (key, value) in [
        ("service.name", service),
        ("service.version", version),
        ("service.instance.id", host),
        ("host.name", host),
        ("telemetry.sdk.language", "rust"),
        ("telemetry.sdk.name", "opentelemetry"),
    ] {
        let value = Value::from(value.to_owned());
        encode_attribute(&mut out, 1, key, &value);
    }
    out.into()
}

/// `opentelemetry.proto.trace.v1.Span` as field 2 of `ScopeSpans`.
fn encode_span(out: &mut Vec<u8>, span: &SpanData) {
    // The low byte holds the trace flags, bits 8 and 9 whether the parent is remote (trace.proto, SpanFlags).
    let remote = 0x100 | u32::from(span.parent_span_is_remote) << 9;
    let flags = u32::from(span.span_context.trace_flags().to_u8()) | remote;
    protobuf::message_field(out, 2, |out| {
        protobuf::bytes_field(out, 1, &span.span_context.trace_id().to_bytes());
        protobuf::bytes_field(out, 2, &span.span_context.span_id().to_bytes());
        if span.parent_span_id != opentelemetry::SpanId::INVALID {
            protobuf::bytes_field(out, 4, &span.parent_span_id.to_bytes());
        }
        protobuf::bytes_field(out, 5, span.name.as_bytes());
        protobuf::varint_field(out, 6, span_kind(&span.span_kind));
        protobuf::fixed64_field(out, 7, unix_nanos(span.start_time));
        protobuf::fixed64_field(out, 8, unix_nanos(span.end_time));
        for attribute in &span.attributes {
            encode_attribute(out, 9, attribute.key.as_str(), &attribute.value);
        }
        protobuf::varint_field(out, 10, u64::from(span.dropped_attributes_count));
        for event in &span.events.events {
            protobuf::message_field(out, 11, |out| {
                protobuf::fixed64_field(out, 1, unix_nanos(event.timestamp));
                protobuf::bytes_field(out, 2, event.name.as_bytes());
                for attribute in &event.attributes {
                    encode_attribute(out, 3, attribute.key.as_str(), &attribute.value);
                }
            });
        }
        encode_status(out, &span.status);
        protobuf::fixed32_field(out, 16, flags);
    });
}

fn span_kind(kind: &SpanKind) -> u64 {
    match kind {
        SpanKind::Internal => 1,
        SpanKind::Server => 2,
        SpanKind::Client => 3,
        SpanKind::Producer => 4,
        SpanKind::Consumer => 5,
    }
}

fn encode_status(out: &mut Vec<u8>, status: &Status) {
    let (code, description) = match status {
        Status::Unset => return,
        Status::Ok => (1, ""),
        Status::Error { description } => (2, description.as_ref()),
    };
    protobuf::message_field(out, 15, |out| {
        protobuf::bytes_field(out, 2, description.as_bytes());
        protobuf::varint_field(out, 3, code);
    });
}

/// `opentelemetry.proto.logs.v1.LogRecord` as field 2 of `ScopeLogs`.
fn encode_log_record(out: &mut Vec<u8>, record: &SdkLogRecord) {
    protobuf::message_field(out, 2, |out| {
        let time = |at: Option<SystemTime>| at.map_or(0, unix_nanos);
        protobuf::fixed64_field(out, 1, time(record.timestamp()));
        protobuf::varint_field(out, 2, record.severity_number().map_or(0, |it| it as u64));
        protobuf::bytes_field(
            out,
            3,
            record.severity_text().unwrap_or_default().as_bytes(),
        );
        if let Some(AnyValue::String(body)) = record.body() {
            protobuf::message_field(out, 5, |out| {
                protobuf::bytes_field(out, 1, body.as_str().as_bytes());
            });
        }
        if let Some(context) = record.trace_context() {
            let flags = context.trace_flags.map_or(0, TraceFlags::to_u8);
            protobuf::fixed32_field(out, 8, u32::from(flags));
            protobuf::bytes_field(out, 9, &context.trace_id.to_bytes());
            protobuf::bytes_field(out, 10, &context.span_id.to_bytes());
        }
        protobuf::fixed64_field(out, 11, time(record.observed_timestamp()));
    });
}

/// `opentelemetry.proto.common.v1.KeyValue`.
fn encode_attribute(out: &mut Vec<u8>, field: u32, key: &str, value: &Value) {
    if let Value::String(text) = value {
        protobuf::text_pair_field(out, field, key.as_bytes(), text.as_str().as_bytes());
        return;
    }
    protobuf::message_field(out, field, |out| {
        protobuf::bytes_field(out, 1, key.as_bytes());
        protobuf::message_field(out, 2, |out| encode_value(out, value));
    });
}

/// `opentelemetry.proto.common.v1.AnyValue`, a oneof: a default value is written too, else there would be no value at all.
fn encode_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::String(text) => {
            protobuf::message_head(out, 1, text.as_str().len());
            out.extend_from_slice(text.as_str().as_bytes());
        }
        Value::Bool(flag) => out.extend_from_slice(&[2 << 3, u8::from(*flag)]),
        Value::I64(0) => out.extend_from_slice(&[3 << 3, 0]),
        Value::I64(number) => protobuf::varint_field(out, 3, number.cast_unsigned()),
        Value::F64(number) => {
            out.push(4 << 3 | 1);
            out.extend_from_slice(&number.to_le_bytes());
        }
        Value::Array(array) => {
            let values: Vec<Value> = match array {
                Array::Bool(items) => items.iter().map(|item| Value::Bool(*item)).collect(),
                Array::I64(items) => items.iter().map(|item| Value::I64(*item)).collect(),
                Array::F64(items) => items.iter().map(|item| Value::F64(*item)).collect(),
                Array::String(items) => items.iter().cloned().map(Value::String).collect(),
                _ => Vec::new(),
            };
            protobuf::message_field(out, 5, |out| {
                for item in &values {
                    protobuf::message_field(out, 1, |out| encode_value(out, item));
                }
            });
        }
        // The API may grow further kinds of values; this service sets none.
        _ => {}
    }
}

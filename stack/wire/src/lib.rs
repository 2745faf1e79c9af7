//! Bytes to signal and back: OTLP, exposition formats, remote write, Loki push.
//!
//! ```text
//!   request body -> compression -> otlp | exposition | remote_write | loki_push -> Span, LogRecord, SeriesSample, Entry
//!   Span, LogRecord, SeriesSample -> otlp | tempo | remote_write | exposition::FamilyWriter -> bytes
//! ```
//!
//! Invariants: no I/O, no clock, no store: a receiver hands over the bytes and gets data, or an error that says what was refused and
//! where. Nothing grows without a limit: lengths are looked at before memory is taken. Only this room knows a payload format.

mod compression;
pub mod exposition;
mod histogram;
mod loki_push;
mod number;
pub mod otlp;
pub mod remote_write;
mod sample;
pub mod tempo;

pub use compression::{CompressionError, gunzip, gzip, snappy_decode, snappy_encode};
pub use loki_push::{
    LokiPushError, PushEntry, PushStream, decode_loki_json, decode_loki_protobuf,
    encode_loki_protobuf,
};
pub use number::{format_go_float, format_open_metrics_float};
pub use sample::{SampleValue, SeriesSample};

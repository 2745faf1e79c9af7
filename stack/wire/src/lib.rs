//! Bytes to signal and back: OTLP, exposition formats, remote write, Loki push.

#![no_main]

#[path = "../targets/telemetry.rs"]
#[expect(dead_code, reason = "each program runs one of the targets")]
mod telemetry;

libfuzzer_sys::fuzz_target!(|data: &[u8]| telemetry::otlp_metrics(data));

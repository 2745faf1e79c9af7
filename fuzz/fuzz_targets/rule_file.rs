#![no_main]

#[path = "../targets/metrics.rs"]
#[expect(dead_code, reason = "each program runs one of the targets")]
mod metrics;

libfuzzer_sys::fuzz_target!(|data: &[u8]| metrics::rule_file(data));

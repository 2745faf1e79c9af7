#![no_main]

#[path = "../targets/settings.rs"]
#[expect(dead_code, reason = "each program runs one of the targets")]
mod settings;

libfuzzer_sys::fuzz_target!(|data: &[u8]| settings::posted(data));

//! OTLP: no bytes make the reader or the trace store panic, and what was stored is written and read again.

#![no_main]

use gameday_signal::Timestamp;
use gameday_traces::{Limits, TraceStore};
use gameday_wire::otlp::{self, Encoding, decode_traces, encode_traces};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let now = Timestamp::from_secs(1_700_000_000);
    let limits = otlp::Limits::default();
    for encoding in [Encoding::Protobuf, Encoding::Json] {
        let Ok(decoded) = decode_traces(body, encoding, &limits, now) else {
            continue;
        };
        let mut store = TraceStore::new(Limits::default());
        let ids: Vec<_> = decoded.items.iter().map(|span| span.trace_id).collect();
        store.append(decoded.items, now);
        for id in ids {
            let Some(trace) = store.get(id) else { continue };
            let _ = trace.waterfall();
            let written = encode_traces(&trace.spans);
            let again = decode_traces(&written, Encoding::Protobuf, &limits, now);
            assert!(again.is_ok(), "what is written can be read");
        }
    }
});

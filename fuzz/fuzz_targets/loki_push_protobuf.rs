//! A push in snappy protobuf: no bytes make the decoder or the store panic.

#![no_main]

use gameday_logs::{Entry, Limits, PushStream, Store};
use gameday_signal::Timestamp;
use gameday_wire::decode_loki_protobuf;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let Ok(streams) = decode_loki_protobuf(body, 1 << 20) else {
        return;
    };
    let mut store = Store::new(Limits::default());
    let streams = streams.into_iter().map(|stream| PushStream {
        labels: stream.labels,
        entries: stream
            .entries
            .into_iter()
            .map(|entry| Entry {
                timestamp: entry.timestamp,
                line: entry.line,
                metadata: entry.metadata,
            })
            .collect(),
    });
    store.push(streams.collect(), Timestamp::from_secs(1_700_000_000));
});

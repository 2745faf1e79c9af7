//! LogQL: no text makes the reader or the engine panic, and what was read is read again from its own text.

#![no_main]

use std::time::Duration;

use gameday_logs::{
    Direction, Entry, Limits, RangeRequest, Store, format_query, parse_expr, query_range,
};
use gameday_signal::{Labels, Timestamp};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|source: &str| {
    let _ = format_query(source);
    let Ok(expr) = parse_expr(source) else {
        return;
    };
    let written = expr.to_string();
    let again = parse_expr(&written).expect("what is written can be read");
    assert_eq!(written, again.to_string());
    let mut store = Store::new(Limits::default());
    let now = Timestamp::from_secs(1_700_000_000);
    let lines = [
        r#"{"level":"info","status":200,"dur":"5ms","ip":"10.0.0.1"}"#,
        "level=error status=500 dur=2s msg=\"a b\" ip=::1",
        "",
    ];
    let entries = lines.map(|line| Entry::new(now, line)).to_vec();
    store.append(&Labels::new([("app", "a")]), entries, now);
    let request = RangeRequest {
        start: now - Duration::from_secs(60),
        end: now + Duration::from_secs(1),
        step: Duration::from_secs(30),
        interval: Duration::ZERO,
        limit: 10,
        direction: Direction::Backward,
        categorize_labels: true,
    };
    let _ = query_range(&store, source, &request);
});

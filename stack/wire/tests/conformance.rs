//! Runs third-party data that stands outside of the repository: the folder named by CONFORMANCE_DIR, or `../shared/conformance`
//! beside the workspace. Without either, each test says so in one line and passes.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "CONFORMANCE_DIR names the folder of the data, and the counts are for a person; in tests only"
)]

use std::path::{Path, PathBuf};

use gameday_signal::Timestamp;
use gameday_wire::exposition::{Format, ParseOptions, parse};
use gameday_wire::otlp::{
    Encoding, Limits, MetricOptions, decode_logs, decode_metrics, decode_traces, encode_logs,
    encode_traces,
};

fn folder(name: &str) -> Option<PathBuf> {
    let root = std::env::var("CONFORMANCE_DIR").map_or_else(
        |_| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/conformance"),
        PathBuf::from,
    );
    let folder = root.join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("conformance: skipped, {} is not there", folder.display());
    None
}

#[test]
fn conformance_openmetrics() {
    let Some(folder) = folder("openmetrics") else {
        return;
    };
    let mut cases: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("the folder can be read")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    cases.sort();
    let (mut right, mut refused, mut wrong) = (0, 0, Vec::new());
    for case in &cases {
        let about = std::fs::read_to_string(case.join("test.json")).expect("test.json");
        let about: serde_json::Value = serde_json::from_str(&about).expect("JSON");
        let should_parse = about["shouldParse"].as_bool().expect("shouldParse");
        let body = std::fs::read(case.join("metrics")).expect("metrics");
        let result = parse(
            &body,
            Format::OpenMetrics,
            ParseOptions::default(),
            &mut |_| {},
        );
        refused += usize::from(result.is_err());
        if result.is_ok() == should_parse {
            right += 1;
        } else {
            wrong.push(format!("{}: {result:?}", case.display()));
        }
    }
    println!(
        "openmetrics: {right} of {} judged right, {refused} refused",
        cases.len()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(cases.len() >= 211, "some files are missing");
}

#[test]
fn conformance_otlp() {
    let Some(folder) = folder("otlp") else {
        return;
    };
    let read = |name: &str| std::fs::read(folder.join(name)).expect("the file can be read");
    let limits = Limits::default();
    let now = Timestamp::from_secs(1_544_712_700);

    let traces = decode_traces(&read("trace.json"), Encoding::Json, &limits, now).expect("traces");
    assert_eq!((traces.items.len(), traces.message.as_str()), (1, ""));
    let span = &traces.items[0];
    assert_eq!(
        span.trace_id.to_string(),
        "5b8efff798038103d269b633813fc60c"
    );
    assert_eq!(
        (span.name.as_str(), span.resource.service_name()),
        ("I'm a server span", "my.service")
    );
    let bytes = encode_traces(&traces.items);
    let again = decode_traces(&bytes, Encoding::Protobuf, &limits, now).expect("our own bytes");
    assert_eq!(again, traces);

    for (name, event_name) in [
        ("logs.json", None),
        ("events.json", Some("browser.page_view")),
    ] {
        let logs = decode_logs(&read(name), Encoding::Json, &limits).expect("logs");
        assert_eq!((logs.items.len(), logs.message.as_str()), (1, ""), "{name}");
        assert_eq!(logs.items[0].attributes.get_str("event.name"), event_name);
        let bytes = encode_logs(&logs.items);
        let again = decode_logs(&bytes, Encoding::Protobuf, &limits).expect("our own bytes");
        assert_eq!(again, logs, "{name}");
    }

    // Its counter and histograms are deltas, which Prometheus refuses; the gauge is taken.
    let options = MetricOptions::default();
    let metrics =
        decode_metrics(&read("metrics.json"), Encoding::Json, &limits, &options).expect("metrics");
    assert_eq!((metrics.rejected, metrics.samples.len()), (3, 1));
    assert_eq!(
        metrics.samples[0].labels.to_string(),
        r#"{__name__="my_gauge_ratio", job="my.service", my_gauge_attr="some value"}"#
    );
    println!("otlp: 4 of 4 files read as expected");
}

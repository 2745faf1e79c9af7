//! Runs third-party data that stands outside of the repository: the folder named by CONFORMANCE_DIR, or `../shared/conformance`
//! beside the workspace. Without either, each test says so in one line and passes.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "CONFORMANCE_DIR names the folder of the data, and the counts are for a person; in tests only"
)]

use std::path::{Path, PathBuf};

use gameday_wire::exposition::{Format, ParseOptions, parse};

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

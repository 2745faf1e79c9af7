//! Runs the test scripts and parser cases of Prometheus that stand in the folder that CONFORMANCE_DIR names.
#![expect(
    clippy::disallowed_methods,
    reason = "the folder with third-party data is the one thing a test asks its environment for"
)]
#![expect(
    clippy::print_stdout,
    reason = "the counts by file are the result of the run"
)]

mod promqltest;

use std::fs;
use std::path::PathBuf;

use gameday_metrics::{ParseOptions, parse_series_description, parse_with};

use promqltest::Outcome;

/// Evaluations that are left out, by file and line, each with its reason.
const LEFT_OUT: &[(&str, &str)] = &[(
    "start_timestamps.test",
    "experimental: the store keeps no start timestamps",
)];

/// Parser cases whose record is not what the original says, each with its reason.
const MISRECORDED: &[(&str, &str)] = &[
    (
        "{'foo\\'bar', ",
        "the record cut the text off at a backtick",
    ),
    ("`", "the record cut the text off at a backtick"),
    (
        "{\"http.requests\", \"service.name\"=\"api-server\", instance=\"0\", group=\"canary\"}\t\t0+50x2",
        "a series description, no expression",
    ),
    (
        "{\"http.requests\"xx}\t\t0+50x2",
        "a series description that the original refuses",
    ),
    (
        "{\"http.requests\"=, x=\"y\"}\t\t0+50x2",
        "a series description that the original refuses",
    ),
    (
        "{\"http.requests}\t\t0+50x2",
        "a series description that the original refuses",
    ),
    (
        "{} {{buckets:[5 10 7] schema:1}}+{{buckets:[1 2 3] schema:0}}x2",
        "the original refuses it",
    ),
    ("{} {{schema:1 schema:1}}", "the original refuses it"),
    ("{} {{foo:1}}", "the original refuses it"),
    ("{} {{schema :1}}", "the original refuses it"),
    ("{} {{schema: 1}}", "the original refuses it"),
    ("{} {{counter_reset_hint:foo}}", "the original refuses it"),
];

fn is_misrecorded(text: &str) -> bool {
    MISRECORDED.iter().any(|(own, _)| *own == text)
}

fn folder() -> Option<PathBuf> {
    let named = std::env::var("CONFORMANCE_DIR").map(PathBuf::from);
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/conformance");
    let folder = named.unwrap_or(beside).join("promql");
    if folder.is_dir() {
        Some(folder)
    } else {
        println!("skipped: CONFORMANCE_DIR names no folder with third-party test data");
        None
    }
}

#[test]
fn scripts() {
    let Some(folder) = folder() else {
        return;
    };
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .expect("a folder")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "test")
        })
        .collect();
    files.sort();
    let (mut passed, mut failed) = (0, 0);
    for path in files {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let script = fs::read_to_string(&path).expect("a text file");
        let outcomes = promqltest::run(&script);
        let good = outcomes
            .iter()
            .filter(|outcome| outcome.failure.is_none())
            .count();
        let left_out = LEFT_OUT.iter().find(|(file, _)| *file == name);
        println!("{name}: {good} of {} passed", outcomes.len());
        if let Some((_, reason)) = left_out {
            println!("  the others are left out: {reason}");
            continue;
        }
        for Outcome { line, failure } in &outcomes {
            if let Some(failure) = failure {
                println!("  {name}:{line}: {failure}");
            }
        }
        passed += good;
        failed += outcomes.len() - good;
    }
    println!("{passed} evaluations passed, {failed} failed");
    assert_eq!(failed, 0, "evaluations that should pass");
}

#[test]
fn parser_cases() {
    let Some(folder) = folder() else {
        return;
    };
    let cases = fs::read_to_string(folder.join("promql_parse_cases.jsonl")).expect("the cases");
    let options = ParseOptions { experimental: true };
    let (mut judged, mut same_message, mut invalid, mut wrong) = (0, 0, 0, Vec::new());
    let mut misrecorded = 0;
    for line in cases.lines() {
        let case: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let query = case["query"].as_str().expect("a text");
        let valid = case["valid"].as_bool().expect("a truth value");
        let expected = case["err"].as_str().unwrap_or_default();
        if is_misrecorded(query) {
            assert!(parse_with(query, options).is_err(), "{query}");
            misrecorded += 1;
            continue;
        }
        if expected == "invalid UTF-8 rune" {
            // JSON cannot hold the byte 0xff of the original; text in Rust is always valid UTF-8, so these cannot occur.
            judged += 1;
            continue;
        }
        let result = parse_with(query, options);
        if result.is_ok() == valid {
            judged += 1;
        } else {
            wrong.push(format!("{query:?}: {result:?} instead of {expected:?}"));
        }
        match result {
            Err(error) if !valid => {
                invalid += 1;
                if error.message.contains(expected) {
                    same_message += 1;
                } else {
                    println!("  {query:?}: {:?} instead of {expected:?}", error.message);
                }
            }
            Ok(expr) => {
                let text = expr.to_string();
                let again = parse_with(&text, options).map(|expr| expr.to_string());
                // `offset (5)` and the like lose their parentheses, and a duration becomes one with a unit.
                if again.is_err() {
                    wrong.push(format!(
                        "{query:?} prints as {text:?}, which reads as {again:?}"
                    ));
                }
            }
            Err(_) => {}
        }
    }
    println!(
        "parser: {judged} of {} judged right, {misrecorded} of the others misrecorded, {same_message} of {invalid} messages the same",
        cases.lines().count()
    );
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn series_description_cases() {
    let Some(folder) = folder() else {
        return;
    };
    let cases =
        fs::read_to_string(folder.join("promql_series_desc_cases.jsonl")).expect("the cases");
    let mut wrong = Vec::new();
    for line in cases.lines() {
        let case: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let text = case["query"].as_str().expect("a text");
        let result = parse_series_description(text);
        let valid = case["valid"].as_bool().expect("a truth value") && !is_misrecorded(text);
        if result.is_ok() != valid {
            wrong.push(format!("{text:?}: {result:?}"));
        }
    }
    println!(
        "series descriptions: {} of {} judged right",
        cases.lines().count() - wrong.len(),
        cases.lines().count()
    );
    assert_eq!(wrong, Vec::<String>::new());
}

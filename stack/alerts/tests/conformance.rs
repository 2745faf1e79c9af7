//! Third-party data, read where it lies: configurations and matchers that Alertmanager's own tests use.
//!
//! The folder is `CONFORMANCE_DIR`, or `shared/conformance` beside the workspace. Without it the test says so and passes.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot read its data shall panic, and it says how much it compared"
)]

use std::path::{Path, PathBuf};

use gameday_alerts::{
    Config, parse_classic_matchers, parse_matcher, parse_matchers, parse_utf8_matcher,
    parse_utf8_matchers,
};
use serde::Deserialize;

#[expect(
    clippy::disallowed_methods,
    reason = "CI names the folder by an environment variable"
)]
fn folder() -> Option<PathBuf> {
    let named = std::env::var("CONFORMANCE_DIR").ok().map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .map(|folder| folder.join("shared/conformance"))
        .find(|folder| folder.is_dir());
    let found = named.or(beside).map(|folder| folder.join("alertmanager"));
    if found.is_none() {
        println!("skipped: neither CONFORMANCE_DIR nor a shared/conformance folder is there");
    }
    found
}

fn lines<T: for<'de> Deserialize<'de>>(path: &Path) -> Vec<T> {
    std::fs::read_to_string(path)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[derive(Deserialize)]
struct ConfigCase {
    file: String,
    expect: String,
    err: Option<String>,
}

/// Cases whose recorded `err` is the format string of upstream's test, not the message.
const ONLY_REFUSED: [&str; 2] = [
    "conf.opsgenie-default-apikey-old-team.yml",
    "conf.sns-invalid.yml",
];

#[test]
fn configurations() {
    let Some(folder) = folder() else { return };
    let cases: Vec<ConfigCase> = lines(&folder.join("am_config_expect.jsonl"));
    let mut failures = Vec::new();
    for case in &cases {
        let text = std::fs::read_to_string(folder.join("config").join(&case.file)).unwrap();
        let read = Config::load(&case.file, &text).map_err(|error| error.to_string());
        // Upstream's own tests expect the name of the label in the message of these.
        let expected = match case.file.as_str() {
            "conf.nil-match_re-route.yml" => Some("invalid_label"),
            "conf.nil-source_match_re-inhibition.yml" => Some("invalid_source_label"),
            "conf.nil-target_match_re-inhibition.yml" => Some("invalid_target_label"),
            file if ONLY_REFUSED.contains(&file) => Some(""),
            _ => case.err.as_deref(),
        };
        let holds = match (&read, expected) {
            (Ok(config), None) => {
                // What the API shows is a configuration again.
                let shown = config.to_masked_yaml();
                let again = Config::load("shown", &shown);
                if let Err(error) = &again {
                    failures.push(format!("{}: shown as\n{shown}\n{error}", case.file));
                }
                case.expect == "good"
            }
            (Err(error), Some(expected)) => case.expect != "good" && error.contains(expected),
            _ => false,
        };
        if !holds {
            failures.push(format!(
                "{}: {:?}, expected {expected:?}",
                case.file,
                read.err()
            ));
        }
    }
    println!(
        "am_config_expect.jsonl: {} of {}",
        cases.len() - failures.len(),
        cases.len()
    );
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[derive(Deserialize)]
struct MatcherCase {
    input: String,
    valid: bool,
    err: Option<String>,
}

/// Cases of one file that stem from different functions of upstream's tests; `read` says which functions may judge a line.
fn check_matchers(file: &str, read: impl Fn(usize, &str) -> Result<(), String>) {
    let Some(folder) = folder() else { return };
    let cases: Vec<MatcherCase> = lines(&folder.join(file));
    let mut failures = Vec::new();
    for (index, case) in cases.iter().enumerate() {
        let outcome = read(index, &case.input);
        let holds = match (&outcome, &case.err) {
            (Ok(()), _) => case.valid,
            (Err(error), Some(expected)) => !case.valid && error == expected,
            (Err(_), None) => !case.valid,
        };
        if !holds {
            failures.push(format!(
                "{file}:{}: {:?}: {outcome:?}, expected valid={} err={:?}",
                index + 1,
                case.input,
                case.valid,
                case.err
            ));
        }
    }
    println!(
        "{file}: {} of {}",
        cases.len() - failures.len(),
        cases.len()
    );
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn text<T>(outcome: Result<T, gameday_alerts::ParseError>) -> Result<(), String> {
    outcome.map(|_| ()).map_err(|error| error.to_string())
}

#[test]
fn matchers_in_either_syntax() {
    check_matchers("am_matcher_classic_vs_utf8.jsonl", |_, input| {
        // The classic syntax alone refuses but one of them, whose name is no classic one.
        if input != "{name-with-dashes = \"bar\"}" {
            assert_eq!(
                text(parse_classic_matchers(input)),
                text(parse_matchers(input))
            );
        }
        text(parse_matchers(input))
    });
}

#[test]
fn matchers_in_the_utf8_syntax() {
    // Up to line 46 the file holds lists, from there on single matchers.
    check_matchers("am_matcher_parse_utf8.jsonl", |index, input| {
        if index < FIRST_SINGLE {
            text(parse_utf8_matchers(input))
        } else if index == WITHOUT_INPUT {
            text(parse_utf8_matcher(""))
        } else {
            text(parse_utf8_matcher_in_braces(input))
        }
    });
}

const FIRST_SINGLE: usize = 47;
/// Upstream's case has no input; the record repeats that of the case before.
const WITHOUT_INPUT: usize = 71;

/// Upstream's `parse.Matcher` takes braces; its caller for the API refuses them before.
fn parse_utf8_matcher_in_braces(
    input: &str,
) -> Result<gameday_signal::Matcher, gameday_alerts::ParseError> {
    let inner = input
        .strip_prefix('{')
        .and_then(|inner| inner.strip_suffix('}'))
        .unwrap_or(input);
    parse_utf8_matcher(inner)
}

#[test]
fn matchers_with_the_fallback() {
    // Lines 1 to 5 are single matchers, 6 to 10 lists, the rest names of labels.
    check_matchers("am_matcher_compat.jsonl", |index, input| match index {
        0..5 => text(parse_matcher(input)),
        5..10 => text(parse_matchers(input)),
        _ => Ok(()),
    });
}

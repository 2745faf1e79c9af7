//! The rule files and unit tests of the Prometheus project, judged as Prometheus judges them.
//!
//! They are read from the folder that the environment variable CONFORMANCE_DIR names; without it the run says so and ends.

#[path = "../../../server/src/rule_tests.rs"]
mod promql;

use std::path::{Path, PathBuf};

use gameday_rules::unittest::{OwnedFile, TestOptions, run_test_file};
use gameday_rules::{Language, NameValidation, ParseOptions, SourceFile, parse_rule_file};
use promql::PromQl;

#[expect(
    clippy::disallowed_methods,
    reason = "the folder of test data is given by the environment"
)]
fn folder() -> Option<PathBuf> {
    let named = std::env::var("CONFORMANCE_DIR").map(PathBuf::from);
    let folder = named.unwrap_or_else(|_| {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/conformance")
    });
    folder.is_dir().then_some(folder)
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What must be refused, with a part of what is said.
const REFUSED: &[(&str, &str)] = &[
    (
        "rulefmt/model/rulefmt/testdata/bad_expr.bad.yaml",
        "could not parse expression",
    ),
    (
        "rulefmt/model/rulefmt/testdata/bad_field.bad.yaml",
        "unknown key \"annotation\"",
    ),
    (
        "rulefmt/model/rulefmt/testdata/duplicate_grp.bad.yaml",
        "repeated in the same file",
    ),
    (
        "rulefmt/model/rulefmt/testdata/invalid_label_name.bad.yaml",
        "invalid label name: __name__",
    ),
    (
        "rulefmt/model/rulefmt/testdata/invalid_record_name.bad.yaml",
        "braces present",
    ),
    (
        "rulefmt/model/rulefmt/testdata/no_rec_alert.bad.yaml",
        "one of 'record' or 'alert'",
    ),
    (
        "rulefmt/model/rulefmt/testdata/noexpr.bad.yaml",
        "field 'expr' must be set",
    ),
    (
        "rulefmt/model/rulefmt/testdata/record_and_alert.bad.yaml",
        "only one of",
    ),
    (
        "rulefmt/model/rulefmt/testdata/record_and_for.bad.yaml",
        "invalid field 'for'",
    ),
    (
        "rulefmt/model/rulefmt/testdata/record_and_keep_firing_for.bad.yaml",
        "invalid field 'keep_firing_for'",
    ),
    (
        "rulefmt/rules/fixtures/invalid_rules.yaml",
        "unknown key \"unexpected_field\"",
    ),
    ("promtool/rules-bad.yml", "undefined variable \"$label\""),
    ("promtool/bad-rules-syntax.yml", "unexpected end of input"),
    (
        "promtool/rules_extrafields.yml",
        "unknown key \"ownership\"",
    ),
    // Experimental functions need their feature flag.
    (
        "promtool/features.yml",
        "function \"sort_by_label\" is not enabled",
    ),
];

/// Rule files of promtool/; its other files are tests and server configurations.
const PROMTOOL_RULES: [&str; 12] = [
    "at-modifier.yml",
    "bad-rules-error.yml",
    "bad-rules-syntax.yml",
    "features.yml",
    "negative-offset.yml",
    "prometheus-config.rules.good.yml",
    "prometheus-rules.lint.yml",
    "rules-bad.yml",
    "rules.yml",
    "rules_duplicates.yml",
    "rules_extrafields.yml",
    "rules_large.yml",
];

/// Read with the names that were valid before Prometheus 3.
const LEGACY: [(&str, bool); 2] = [
    ("legacy_validation_annotation.bad.yaml", false),
    ("legacy_validation_annotation.good.yaml", true),
];

fn rule_files(folder: &Path) -> Vec<String> {
    let mut files = Vec::new();
    for part in ["rulefmt/model/rulefmt/testdata", "rulefmt/rules/fixtures"] {
        for entry in std::fs::read_dir(folder.join(part)).expect("the folder is there") {
            let name = entry.expect("an entry").file_name();
            files.push(format!("{part}/{}", name.to_string_lossy()));
        }
    }
    files.extend(PROMTOOL_RULES.map(|name| format!("promtool/{name}")));
    files.sort();
    files
}

#[test]
fn rule_files_are_judged_as_prometheus_judges_them() {
    let Some(folder) = folder() else {
        println!("skipped: CONFORMANCE_DIR is not set");
        return;
    };
    let engine = PromQl::new(false);
    let mut wrong = Vec::new();
    let files = rule_files(&folder);
    for file in &files {
        let text = read(&folder.join(file));
        let legacy = LEGACY.iter().find(|(name, _)| file.ends_with(name));
        let options = ParseOptions {
            names: legacy.map_or(NameValidation::Utf8, |_| NameValidation::Legacy),
            ..ParseOptions::default()
        };
        let refused = match legacy {
            Some((_, good)) => (!good).then_some("invalid annotation name"),
            None => REFUSED
                .iter()
                .find(|(name, _)| name == file)
                .map(|(_, part)| *part),
        };
        let result = parse_rule_file(file, &text, &engine, options);
        match (result, refused) {
            (Ok(_), None) => {}
            (Err(errors), Some(part)) if errors.to_string().contains(part) => {}
            (Ok(_), Some(part)) => wrong.push(format!("{file}: accepted, expected {part:?}")),
            (Err(errors), part) => wrong.push(format!("{file}: expected {part:?}, got {errors}")),
        }
    }
    println!(
        "rule files: {} of {}",
        files.len() - wrong.len(),
        files.len()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // With the feature flags every expression of this file is read.
    let features = "promtool/features.yml";
    let text = read(&folder.join(features));
    let result = parse_rule_file(features, &text, &PromQl::new(true), ParseOptions::default());
    assert!(result.is_ok(), "{result:?}");
}

/// A test file, how it is run, and what promtool 3 says (cmd/promtool/unittest_test.go).
struct Case {
    file: &'static str,
    run: &'static [&'static str],
    ignore_unknown_fields: bool,
    passes: bool,
    says: &'static str,
}

const fn case(file: &'static str, passes: bool, says: &'static str) -> Case {
    Case {
        file,
        run: &[],
        ignore_unknown_fields: false,
        passes,
        says,
    }
}

const CASES: &[Case] = &[
    case("unittest.yml", true, "SUCCESS"),
    case("long-period.yml", true, "SUCCESS"),
    case("at-modifier-test.yml", true, "SUCCESS"),
    case("negative-offset-test.yml", true, "SUCCESS"),
    case("no-test-group-interval.yml", true, "SUCCESS"),
    case("start-time-test.yml", true, "SUCCESS"),
    case("bad-input-series.yml", false, "parse error"),
    case("bad-promql.yml", false, "many-to-many matching not allowed"),
    case(
        "bad-rules-error-test.yml",
        false,
        "rule: joined, time: 0s, err: found duplicate series",
    ),
    case(
        "bad-rules-syntax-test.yml",
        false,
        "could not parse expression",
    ),
    case("failing.yml", false, "alertname: InstanceDown, time: 5m"),
    case("rules_run.yml", false, "\"wrong test\""),
    Case {
        run: &["correct"],
        ..case("rules_run.yml", true, "SUCCESS")
    },
    Case {
        run: &["wrong"],
        ..case("rules_run.yml", false, "exp: {__name__=\"test\"} 1")
    },
    case(
        "rules_run_extrafields.yml",
        false,
        "unknown key \"ownership\"",
    ),
    Case {
        ignore_unknown_fields: true,
        ..case("rules_run_extrafields.yml", true, "SUCCESS")
    },
    Case {
        run: &["correct"],
        ..case("rules_run_fuzzy.yml", true, "SUCCESS")
    },
    Case {
        run: &["wrong"],
        ..case("rules_run_fuzzy.yml", false, "2.9999999999999987")
    },
    case("rules_run_no_fuzzy.yml", false, "2.9999999999999996"),
];

#[test]
fn unit_tests_end_as_with_promtool() {
    let Some(folder) = folder() else {
        println!("skipped: CONFORMANCE_DIR is not set");
        return;
    };
    let folder = folder.join("promtool");
    let engine = PromQl::new(false);
    let find = |pattern: &str| {
        let text =
            std::fs::read_to_string(folder.join(pattern)).map_err(|error| error.to_string())?;
        Ok(vec![OwnedFile {
            path: pattern.to_owned(),
            text,
        }])
    };
    let mut wrong = Vec::new();
    for case in CASES {
        let text = read(&folder.join(case.file));
        let options = TestOptions {
            run: case.run.iter().map(|&pattern| pattern.to_owned()).collect(),
            rules: ParseOptions {
                ignore_unknown_fields: case.ignore_unknown_fields,
                ..ParseOptions::default()
            },
            ..TestOptions::default()
        };
        let file = SourceFile {
            path: case.file,
            text: &text,
            language: Language::PromQl,
        };
        let result = run_test_file(file, &find, &engine, &options);
        let shown = gameday_rules::unittest::render_text(std::slice::from_ref(&result));
        if result.passed() != case.passes || !shown.contains(case.says) {
            wrong.push(format!(
                "expected {:?} and {:?}:\n{shown}",
                case.passes, case.says
            ));
        }
    }
    println!(
        "unit tests: {} of {}",
        CASES.len() - wrong.len(),
        CASES.len()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

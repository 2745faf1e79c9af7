//! Unit tests of rule files and routes, for those who have files and no stack.

use std::path::{Path, PathBuf};

use gameday_alerts::{Config as AlertmanagerConfig, RoutesTest};
use gameday_rules::unittest::{OwnedFile, TestOptions, render_junit, render_text, run_test_file};
use gameday_rules::{Language, SourceFile};

use crate::files::{read, read_matching};
use crate::rule_tests::PromQl;

/// What came of some files of unit tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitTestOutcome {
    /// Whether all tests passed.
    pub passed: bool,
    /// The results for a terminal.
    pub text: String,
    /// The results as JUnit XML.
    pub junit: String,
}

/// Runs promtool's unit-test files. With `subset`, alerts may have more labels and annotations than expected; with `names`, only
/// tests run whose name one of these regular expressions matches.
///
/// # Errors
/// Where a test file cannot be read. A mistake in one is part of the outcome.
pub fn test_rules(
    paths: &[PathBuf],
    subset: bool,
    names: Vec<String>,
) -> Result<UnitTestOutcome, String> {
    let engine = PromQl::new(false);
    let options = TestOptions {
        subset,
        run: names,
        ..TestOptions::default()
    };
    let mut results = Vec::new();
    for path in paths {
        let file = read(path)?;
        let folder = path.parent().unwrap_or(Path::new("")).to_path_buf();
        let find = |pattern: &str| {
            let found = read_matching(&folder, &[pattern.to_owned()])?;
            Ok(found
                .into_iter()
                .map(|file| OwnedFile {
                    path: file.path,
                    text: file.text,
                })
                .collect())
        };
        let source = SourceFile {
            path: &file.path,
            text: &file.text,
            language: Language::PromQl,
        };
        results.push(run_test_file(source, &find, &engine, &options));
    }
    Ok(UnitTestOutcome {
        passed: results.iter().all(|result| result.passed()),
        text: render_text(&results),
        junit: render_junit(&results),
    })
}

/// Runs tests of routes against an alertmanager.yml.
///
/// # Errors
/// Where a file cannot be read or is invalid, with the place.
pub fn test_routes(config: &Path, paths: &[PathBuf]) -> Result<UnitTestOutcome, String> {
    let source = read(config)?;
    let config =
        AlertmanagerConfig::load(&source.path, &source.text).map_err(|error| error.to_string())?;
    let mut outcome = UnitTestOutcome {
        passed: true,
        text: String::new(),
        junit: String::new(),
    };
    for path in paths {
        let file = read(path)?;
        let test = RoutesTest::load(&file.path, &file.text).map_err(|error| error.to_string())?;
        let report = test.run(&config);
        outcome.passed &= report.passed();
        outcome.text.push_str(&report.to_text());
        outcome.junit.push_str(&report.to_junit());
    }
    Ok(outcome)
}

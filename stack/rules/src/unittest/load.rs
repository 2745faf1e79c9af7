//! A file of unit tests with the rule files that it names.

use gameday_signal::{MatchOp, Matcher};

use super::file::TestFile;
use super::run::{OwnedFile, TestEngine, TestOptions};
use crate::backend::Language;
use crate::definition::RuleFile;
use crate::parse::{ParseOptions, parse_rule_file};
use crate::problem::FileErrors;
use crate::rules::SourceFile;

/// The tests, the rule files that they name, and which tests to run.
pub(super) type Loaded = (TestFile, Vec<RuleFile>, Vec<Matcher>);

/// Reads a file of unit tests and the rule files that it names.
///
/// # Errors
/// All mistakes of all files, drawn.
pub(super) fn load<E: TestEngine>(
    file: SourceFile<'_>,
    find: &dyn Fn(&str) -> Result<Vec<OwnedFile>, String>,
    engine: &E,
    options: &TestOptions,
) -> Result<Loaded, String> {
    let tests = TestFile::parse(file.path, file.text).map_err(|errors| errors.render())?;
    let mut rule_files = Vec::new();
    let mut problems = Vec::new();
    let of = |language| move |(pattern, at)| (language, pattern, at);
    let patterns = tests.rule_files.iter().map(|(pattern, at)| (pattern, at));
    let logql = &tests.logql_rule_files;
    let logql = logql.iter().map(|(pattern, at)| (pattern, at));
    for (language, pattern, at) in patterns
        .map(of(Language::PromQl))
        .chain(logql.map(of(Language::LogQl)))
    {
        let parse = ParseOptions {
            language,
            ..options.rules
        };
        let path = file.path;
        let found =
            find(pattern).map_err(|error| format!("{path}:{}:{}: {error}", at.line, at.column))?;
        for rule_file in found {
            let parsed = parse_rule_file(&rule_file.path, &rule_file.text, engine, parse);
            match parsed {
                Ok(parsed) => rule_files.push(parsed),
                Err(FileErrors(found)) => problems.extend(found),
            }
        }
    }
    if !problems.is_empty() {
        return Err(FileErrors(problems).render());
    }
    let filters: Result<Vec<Matcher>, _> = options
        .run
        .iter()
        .map(|pattern| Matcher::new("name", MatchOp::Regex, format!(".*(?:{pattern}).*")))
        .collect();
    let filters = filters.map_err(|error| error.to_string())?;
    Ok((tests, rule_files, filters))
}

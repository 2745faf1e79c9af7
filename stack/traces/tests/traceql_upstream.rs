//! Runs the example queries of Tempo's own parser tests (pkg/traceql/test_examples.yaml), where TRACEQL_DIR names a folder that
//! holds them; without it the test says so and passes.

use std::fs;
use std::path::PathBuf;

use gameday_traces::{QueryError, TraceQuery};

#[test]
fn example_queries_of_tempo() {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test that is told by the environment where its data lies"
    )]
    let Ok(folder) = std::env::var("TRACEQL_DIR") else {
        println!("skipped: TRACEQL_DIR is not set");
        return;
    };
    let path = PathBuf::from(folder).join("test_examples.yaml");
    let text =
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut section = String::new();
    let mut counts = [0, 0];
    let mut failures = Vec::new();
    for line in text.lines() {
        if let Some(query) = line.trim().strip_prefix("- ") {
            let query = scalar(query);
            let result = TraceQuery::parse(&query);
            let right = match section.as_str() {
                "valid" => result.as_ref().is_ok_and(|read| {
                    let again = TraceQuery::parse(&read.to_string());
                    again.is_ok_and(|again| again.to_string() == read.to_string())
                }),
                "parse_fails" => matches!(result, Err(QueryError::Syntax(_))),
                "validate_fails" => matches!(result, Err(QueryError::Invalid(_))),
                "unsupported" => matches!(result, Err(QueryError::Unsupported(_))),
                _ => true,
            };
            counts[usize::from(right)] += 1;
            if !right {
                let shown = result
                    .map(|read| read.to_string())
                    .map_err(|error| error.to_string());
                failures.push(format!("{section}: {query}\n    {shown:?}"));
            }
        } else if let Some(name) = line.strip_suffix(':') {
            section = name.to_owned();
        }
    }
    println!(
        "{} right, {} wrong\n{}",
        counts[1],
        counts[0],
        failures.join("\n")
    );
    assert!(counts[1] > 300, "the file has fewer queries than it should");
    assert!(
        failures.is_empty(),
        "{} queries are read otherwise than by Tempo",
        failures.len()
    );
}

/// A YAML scalar in quotes, with a comment behind it.
fn scalar(text: &str) -> String {
    let mut characters = text.chars();
    let mut value = String::new();
    match characters.next() {
        Some('\'') => {
            let rest: Vec<char> = characters.collect();
            let mut index = 0;
            while index < rest.len() {
                if rest[index] == '\'' {
                    if rest.get(index + 1) != Some(&'\'') {
                        break;
                    }
                    index += 1;
                }
                value.push(rest[index]);
                index += 1;
            }
        }
        Some('"') => {
            while let Some(character) = characters.next() {
                match character {
                    '"' => break,
                    '\\' => value.push(match characters.next() {
                        Some('n') => '\n',
                        Some('t') => '\t',
                        Some('r') => '\r',
                        Some(other) => other,
                        None => '\\',
                    }),
                    other => value.push(other),
                }
            }
        }
        _ => value = text.to_owned(),
    }
    value
}

//! Runs declarative LogQL scripts: the house's own in `cases`, and those of the folder that LOGQLTEST_DIR names (the format of
//! grafana/loki, pkg/logql/internal/logqltest).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gameday_logs::{
    Direction, Entry, LabelSet, Limits, QueryData, QueryResult, RangeRequest, Store, query_instant,
    query_range,
};
use gameday_signal::{Labels, Timestamp};

/// Values agree when they differ by no more than this share, as in Prometheus' promqltest.
const TOLERANCE: f64 = 1e-6;

#[derive(Default)]
struct Score {
    passed: usize,
    failures: Vec<String>,
}

enum At {
    Instant(i64),
    Range(i64, i64, i64),
    Logs(i64, i64, Direction),
}

enum Expected {
    Empty,
    Fail(Option<String>, Option<String>),
    Series(Vec<(LabelSet, Vec<Option<f64>>)>, bool),
    Scalar(Vec<Option<f64>>),
    Lines(Vec<(LabelSet, String)>),
}

fn new_store() -> Store {
    Store::new(Limits {
        discover_service_name: false,
        discover_log_levels: false,
        sample_age_max: None,
        creation_grace_period: Duration::from_secs(1 << 40),
        out_of_order_window: Duration::from_secs(1 << 32),
        ..Limits::default()
    })
}

/// A Go duration as nanoseconds.
fn nanos(text: &str) -> i64 {
    if text == "0" {
        return 0;
    }
    let mut total = 0f64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or_else(|| panic!("a unit in {text:?}"));
        let number: f64 = rest[..digits].parse().expect("a number");
        rest = &rest[digits..];
        let unit = rest
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(rest.len());
        total += number
            * match &rest[..unit] {
                "ns" => 1.0,
                "us" | "µs" => 1e3,
                "ms" => 1e6,
                "s" => 1e9,
                "m" => 60e9,
                "h" => 3600e9,
                other => panic!("unit {other:?} in {text:?}"),
            };
        rest = &rest[unit..];
    }
    total as i64
}

/// Removes a comment that is not inside quotes.
fn uncomment(line: &str) -> &str {
    let mut quote = None;
    let mut escaped = false;
    for (index, character) in line.char_indices() {
        match (quote, character) {
            _ if escaped => escaped = false,
            (Some('"'), '\\') => escaped = true,
            (Some(open), _) if open == character => quote = None,
            (None, '"' | '`') => quote = Some(character),
            (None, '#') => return line[..index].trim_end(),
            _ => {}
        }
    }
    line.trim_end()
}

/// The position behind a label set or a quoted text at the start of `text`.
fn quoted_end(text: &str) -> usize {
    let quote = text.chars().next().expect("a quote");
    1 + text[1..].find(quote).expect("a closing quote") + 1
}

fn labels_at(text: &str) -> (Vec<(String, String)>, usize) {
    let mut pairs = Vec::new();
    assert!(text.starts_with('{'), "{text}");
    let mut at = 1;
    loop {
        at += text[at..].len() - text[at..].trim_start_matches([' ', ',']).len();
        if text[at..].starts_with('}') {
            return (pairs, at + 1);
        }
        let equals = at + text[at..].find('=').expect("=");
        let name = text[at..equals].trim().trim_matches('"').to_owned();
        let (value, length) = string_at(&text[equals + 1..]);
        pairs.push((name, value));
        at = equals + 1 + length;
    }
}

fn string_at(text: &str) -> (String, usize) {
    let (length, value) = gameday_query::read_string(text).expect("a string");
    (value, length)
}

fn load(store: &mut Store, line: &str) {
    let (pairs, end) = labels_at(line);
    let rest = line[end..].trim_start();
    let text_end = quoted_end(rest);
    let text = &rest[1..text_end - 1];
    let rest = rest[text_end..]
        .trim_start()
        .strip_prefix('@')
        .expect("@")
        .trim_start();
    let (start, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let start = nanos(start);
    let (mut step, mut count) = (0, 1);
    let mut metadata = gameday_logs::Metadata::default();
    let mut rest = rest.trim();
    while let Some(inner) = rest.strip_prefix('[') {
        let mut in_quotes = false;
        let close = inner
            .char_indices()
            .find(|(_, c)| {
                in_quotes ^= *c == '"';
                *c == ']' && !in_quotes
            })
            .expect("]")
            .0;
        let body = &inner[..close];
        if let Some(spec) = body.strip_prefix("repeat every ") {
            let words: Vec<&str> = spec.split_whitespace().collect();
            step = nanos(words[0]);
            count = words[2].parse().expect("a count");
        } else if let Some(spec) = body.strip_prefix("metadata") {
            let mut spec = spec.trim();
            while !spec.is_empty() {
                let (name, after) = spec.split_once('=').expect("=");
                let (value, length) = string_at(after);
                metadata.push(name.trim().trim_matches('"'), &value);
                spec = after[length..].trim();
            }
        }
        rest = inner[close + 1..].trim();
    }
    let labels = Labels::new(pairs);
    let entries = (0..count)
        .map(|index: i64| Entry {
            timestamp: Timestamp::from_nanos(start + index * step),
            line: text.replace("{{.i}}", &index.to_string()),
            metadata: metadata.clone(),
        })
        .collect();
    let appended = store.append(&labels, entries, Timestamp::from_secs(1 << 20));
    assert_eq!(appended.reasons, [], "{line}");
}

fn number(text: &str) -> Option<f64> {
    match text {
        "_" => None,
        "Inf" | "+Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        "NaN" => Some(f64::NAN),
        other => Some(other.parse().unwrap_or_else(|_| panic!("value {other:?}"))),
    }
}

fn points(text: &str) -> Vec<Option<f64>> {
    let mut out = Vec::new();
    for word in text.split_whitespace() {
        let Some((base, count)) = word.split_once('x') else {
            out.push(number(word));
            continue;
        };
        let count: usize = count.parse().expect("a count");
        let split = base[1..].find(['+', '-']).map(|at| at + 1);
        let (start, step) = split.map_or((base, 0.0), |at| {
            (&base[..at], base[at..].parse().expect("a step"))
        });
        match number(start) {
            None => out.extend((0..count).map(|_| None)),
            Some(start) => out.extend((0..=count).map(|n| Some(start + step * n as f64))),
        }
    }
    out
}

/// The lines that a log query must give, in the order of the answer.
fn expected_lines(lines: &[&str]) -> Expected {
    if lines.iter().any(|line| line.trim().starts_with("expect")) {
        return expected(lines);
    }
    let line = |line: &&str| {
        let (pairs, end) = labels_at(line.trim());
        (LabelSet::new(pairs), string_at(line.trim()[end..].trim()).0)
    };
    Expected::Lines(lines.iter().map(line).collect())
}

fn expected(lines: &[&str]) -> Expected {
    let mut ordered = false;
    let mut series = Vec::new();
    for line in lines {
        let line = line.trim();
        if line == "expect empty" {
            return Expected::Empty;
        } else if let Some(rest) = line.strip_prefix("expect fail") {
            let rest = rest.trim();
            let message = rest.strip_prefix("msg:").map(|text| text.trim().to_owned());
            let regex = rest
                .strip_prefix("regex:")
                .map(|text| text.trim().to_owned());
            return Expected::Fail(message, regex);
        } else if line == "expect ordered" {
            ordered = true;
        } else if line.starts_with("skip values-comparison") {
        } else if line.starts_with('{') {
            let (pairs, end) = labels_at(line);
            series.push((LabelSet::new(pairs), points(&line[end..])));
        } else {
            return Expected::Scalar(points(line));
        }
    }
    assert!(!series.is_empty(), "an expectation in {lines:?}");
    Expected::Series(series, ordered)
}

fn near(left: Option<f64>, right: Option<f64>) -> bool {
    match (left, right) {
        (None, None) => true,
        (Some(left), Some(right)) => {
            (left.is_nan() && right.is_nan())
                || left == right
                || (left - right).abs() <= TOLERANCE * left.abs().max(right.abs())
        }
        _ => false,
    }
}

fn run(store: &Store, at: &At, query: &str) -> Result<QueryData, String> {
    let range = |start, end, step: i64, direction| RangeRequest {
        start: Timestamp::from_nanos(start),
        end: Timestamp::from_nanos(end),
        step: Duration::from_nanos(step.unsigned_abs()),
        interval: Duration::ZERO,
        limit: 100,
        direction,
        categorize_labels: false,
    };
    match *at {
        At::Instant(at) => query_instant(
            store,
            query,
            Timestamp::from_nanos(at),
            100,
            Direction::Backward,
        ),
        At::Range(start, end, step) => {
            query_range(store, query, &range(start, end, step, Direction::Backward))
        }
        At::Logs(start, end, direction) => {
            query_range(store, query, &range(start, end, 1, direction))
        }
    }
    .map_err(|error| error.to_string())
}

fn rows(at: &At, result: QueryResult) -> Vec<(LabelSet, Vec<Option<f64>>)> {
    match (result, at) {
        (QueryResult::Vector(samples), _) => samples
            .into_iter()
            .map(|sample| (sample.metric, vec![Some(sample.value)]))
            .collect(),
        (QueryResult::Scalar(_, value), _) => vec![(LabelSet::empty(), vec![Some(value)])],
        (QueryResult::Matrix(series), At::Range(start, end, step)) => series
            .into_iter()
            .map(|series| {
                let values: BTreeMap<i64, f64> = series
                    .values
                    .iter()
                    .map(|(at, value)| (at.as_nanos(), *value))
                    .collect();
                let row = (0..)
                    .map(|n| start + n * step)
                    .take_while(|at| at <= end)
                    .map(|at| values.get(&at).copied())
                    .collect();
                (series.metric, row)
            })
            .collect(),
        (other, _) => panic!("unexpected result {other:?}"),
    }
}

/// The lines of all streams, ordered by time.
fn lines_of(at: &At, result: QueryResult) -> Vec<(LabelSet, String)> {
    let QueryResult::Streams(streams) = result else {
        panic!("no lines: {result:?}");
    };
    let mut lines: Vec<(i64, LabelSet, String)> = streams
        .into_iter()
        .flat_map(|stream| {
            let labels = stream.stream;
            stream
                .values
                .into_iter()
                .map(move |entry| (entry.timestamp.as_nanos(), labels.clone(), entry.line))
        })
        .collect();
    lines.sort_by_key(|line| match at {
        At::Logs(_, _, Direction::Backward) => -line.0,
        _ => line.0,
    });
    lines
        .into_iter()
        .map(|(_, labels, line)| (labels, line))
        .collect()
}

fn judge(at: &At, expected: Expected, got: Result<QueryData, String>) -> Result<(), String> {
    let (mut series, ordered, result) = match (expected, got) {
        (Expected::Fail(message, regex), Err(error)) => {
            let unescaped = message.clone().unwrap_or_default().replace("\\\"", "\"");
            let fits = message
                .is_none_or(|text| error.contains(&text) || error.contains(&unescaped))
                && regex.is_none_or(|regex| {
                    regex::Regex::new(&regex).expect("a regex").is_match(&error)
                });
            return if fits {
                Ok(())
            } else {
                Err(format!("another error: {error}"))
            };
        }
        (Expected::Fail(..), Ok(data)) => return Err(format!("no error but {:?}", data.result)),
        (_, Err(error)) => return Err(format!("error: {error}")),
        (Expected::Empty, Ok(data)) if matches!(at, At::Logs(..)) => {
            let got = lines_of(at, data.result);
            return if got.is_empty() {
                Ok(())
            } else {
                Err(format!("not empty: {got:?}"))
            };
        }
        (Expected::Empty, Ok(data)) => {
            let got = rows(at, data.result);
            return if got.is_empty() {
                Ok(())
            } else {
                Err(format!("not empty: {got:?}"))
            };
        }
        (Expected::Scalar(values), Ok(data)) => {
            let got = rows(at, data.result);
            let fits = got.len() == 1 && got[0].1.iter().zip(&values).all(|(l, r)| near(*l, *r));
            return if fits {
                Ok(())
            } else {
                Err(format!("got {got:?}"))
            };
        }
        (Expected::Lines(lines), Ok(data)) => {
            let got = lines_of(at, data.result);
            return if got == lines {
                Ok(())
            } else {
                let shown: Vec<String> = got
                    .iter()
                    .map(|(labels, line)| format!("      {labels} {line:?}"))
                    .collect();
                Err(format!("got\n{}", shown.join("\n")))
            };
        }
        (Expected::Series(series, ordered), Ok(data)) => (series, ordered, data.result),
    };
    let mut got = rows(at, result);
    if !ordered {
        series.sort_by(|l, r| l.0.cmp(&r.0));
        got.sort_by(|l, r| l.0.cmp(&r.0));
    }
    let same = series.len() == got.len()
        && series.iter().zip(&got).all(|(want, have)| {
            want.0 == have.0
                && want.1.len() == have.1.len()
                && want.1.iter().zip(&have.1).all(|(l, r)| near(*l, *r))
        });
    if same {
        return Ok(());
    }
    let mut text = String::from("got");
    for (labels, values) in got {
        let _ = write!(text, "\n      {labels} {values:?}");
    }
    Err(text)
}

fn script(path: &Path, score: &mut Score) {
    let source = std::fs::read_to_string(path).expect("a readable script");
    let lines: Vec<&str> = source.lines().collect();
    let mut store = new_store();
    let mut index = 0;
    while index < lines.len() {
        let number = index + 1;
        let line = uncomment(lines[index]);
        index += 1;
        let mut block = Vec::new();
        if line.trim().is_empty() {
            continue;
        }
        while index < lines.len() && lines[index].starts_with([' ', '\t']) {
            let next = uncomment(lines[index]);
            if !next.trim().is_empty() {
                block.push(next);
            } else if lines[index].trim().is_empty() {
                break;
            }
            index += 1;
        }
        if line == "clear" {
            store = new_store();
        } else if line == "load" {
            for entry in block {
                load(&mut store, entry.trim());
            }
        } else if let Some(rest) = line.strip_prefix("eval instant at ") {
            let (at, query) = rest.split_once(' ').expect("a time");
            eval(
                &store,
                &At::Instant(nanos(at)),
                query,
                &block,
                path,
                number,
                score,
            );
        } else if let Some(rest) = line.strip_prefix("eval range from ") {
            let words: Vec<&str> = rest.splitn(6, ' ').collect();
            let at = At::Range(nanos(words[0]), nanos(words[2]), nanos(words[4]));
            eval(&store, &at, words[5], &block, path, number, score);
        } else if let Some(rest) = line.strip_prefix("eval logs from ") {
            let words: Vec<&str> = rest.splitn(4, ' ').collect();
            let (direction, query) = if let Some(query) = words[3].strip_prefix("forward ") {
                (Direction::Forward, query)
            } else {
                let query = words[3];
                (
                    Direction::Backward,
                    query.strip_prefix("backward ").unwrap_or(query),
                )
            };
            let at = At::Logs(nanos(words[0]), nanos(words[2]), direction);
            eval(&store, &at, query, &block, path, number, score);
        } else {
            panic!("{}:{number}: what is {line:?}?", path.display());
        }
    }
}

fn eval(
    store: &Store,
    at: &At,
    query: &str,
    block: &[&str],
    path: &Path,
    line: usize,
    score: &mut Score,
) {
    let expected = match at {
        At::Logs(..) => expected_lines(block),
        _ => expected(block),
    };
    match judge(at, expected, run(store, at, query.trim())) {
        Ok(()) => score.passed += 1,
        Err(reason) => score.failures.push(format!(
            "{}:{line}: {query}\n    {reason}",
            path.file_name().unwrap_or_default().to_string_lossy()
        )),
    }
}

/// Runs all scripts of a folder: the counts by file.
fn run_folder(folder: &Path, extension: &str) -> String {
    let mut scripts: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("a readable folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|ext| ext == extension))
        .collect();
    scripts.sort();
    let (mut failures, mut counts) = (Vec::new(), Vec::new());
    for path in scripts {
        let mut score = Score::default();
        script(&path, &mut score);
        counts.push(format!(
            "{}: {} of {}",
            path.file_name().unwrap_or_default().to_string_lossy(),
            score.passed,
            score.passed + score.failures.len()
        ));
        failures.extend(score.failures);
    }
    assert!(
        failures.is_empty(),
        "{} failures:\n{}",
        failures.len(),
        failures.join("\n")
    );
    counts.join("\n")
}

#[test]
fn own_cases() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    println!("{}", run_folder(&folder, "test"));
}

#[test]
fn upstream() {
    #[expect(
        clippy::disallowed_methods,
        reason = "the folder of third-party scripts is named from outside"
    )]
    let folder = std::env::var("LOGQLTEST_DIR");
    match folder {
        Ok(folder) => println!("{}", run_folder(Path::new(&folder), "logqltest")),
        Err(_) => println!("skipped: LOGQLTEST_DIR is not set"),
    }
}

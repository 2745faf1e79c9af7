//! What came out of the tests of a file, for people and for CI.

use std::fmt::Write as _;

/// What came out of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct FileResult {
    /// The test file.
    pub path: String,
    /// Why it could not be run at all: its own mistakes or those of its rule files, with their places.
    pub error: Option<String>,
    /// What came out of each of its tests.
    pub groups: Vec<GroupResult>,
}

/// What came out of a test.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupResult {
    /// Its name.
    pub name: String,
    /// The line of the file in which it begins.
    pub line: usize,
    /// What failed.
    pub failures: Vec<Failure>,
    /// How many expectations were looked at.
    pub checks: usize,
    /// How often the rules were evaluated.
    pub evaluations: usize,
}

/// An expectation that was not met, or a mistake that kept it from being looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// The line of the file in which it stands.
    pub line: usize,
    /// What was expected and what was got.
    pub message: String,
    /// How the alert's state went, oldest first.
    pub timeline: Vec<String>,
    /// What may help.
    pub hint: Option<String>,
}

impl FileResult {
    /// Whether nothing failed.
    pub fn passed(&self) -> bool {
        self.error.is_none() && self.groups.iter().all(|group| group.failures.is_empty())
    }
}

impl Failure {
    fn write(&self, out: &mut String, path: &str) {
        let message = self.message.trim_end().replace('\n', "\n    ");
        let _ = writeln!(out, "    {path}:{}: {message}", self.line);
        if !self.timeline.is_empty() {
            out.push_str("        timeline:\n");
            for line in &self.timeline {
                let _ = writeln!(out, "          {line}");
            }
        }
        if let Some(hint) = &self.hint {
            let _ = writeln!(out, "        hint: {hint}");
        }
    }
}

/// The results for a terminal, a file after the other, as promtool lists them.
pub fn render_text(results: &[FileResult]) -> String {
    let mut out = String::new();
    for result in results {
        let _ = writeln!(out, "Unit Testing:  {}", result.path);
        if let Some(error) = &result.error {
            let _ = writeln!(out, "  FAILED:\n{}", error.trim_end());
            continue;
        }
        let groups = result.groups.len();
        let checks: usize = result.groups.iter().map(|group| group.checks).sum();
        if result.passed() {
            let _ = writeln!(out, "  SUCCESS: {groups} tests, {checks} expectations");
            continue;
        }
        out.push_str("  FAILED:\n");
        for group in &result.groups {
            if group.failures.is_empty() {
                continue;
            }
            let _ = writeln!(out, "  test {:?}:", group.name);
            for failure in &group.failures {
                failure.write(&mut out, &result.path);
            }
        }
    }
    out
}

/// The results as JUnit XML: a suite for each file, a case for each test.
pub fn render_junit(results: &[FileResult]) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for result in results {
        let failures = result
            .groups
            .iter()
            .filter(|group| !group.failures.is_empty())
            .count();
        let errors = usize::from(result.error.is_some());
        let path = escape(&result.path);
        let tests = result.groups.len() + errors;
        let _ = writeln!(
            out,
            "  <testsuite name=\"{path}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\">"
        );
        if let Some(error) = &result.error {
            let _ = writeln!(
                out,
                "    <testcase classname=\"{path}\" name=\"load\"><error message=\"the file could not be run\">{}</error></testcase>",
                escape(error)
            );
        }
        for group in &result.groups {
            let name = escape(&group.name);
            if group.failures.is_empty() {
                let _ = writeln!(out, "    <testcase classname=\"{path}\" name=\"{name}\"/>");
                continue;
            }
            let _ = writeln!(out, "    <testcase classname=\"{path}\" name=\"{name}\">");
            for failure in &group.failures {
                let mut text = String::new();
                failure.write(&mut text, &result.path);
                let first = failure.message.lines().next().unwrap_or_default();
                let _ = writeln!(
                    out,
                    "      <failure message=\"{}\">{}</failure>",
                    escape(first),
                    escape(&text)
                );
            }
            out.push_str("    </testcase>\n");
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

/// XML text: markup is escaped, and characters that XML does not have are replaced.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(character),
            control if u32::from(control) < 0x20 => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}

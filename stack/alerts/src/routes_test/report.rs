//! What became of the tests, as text and as JUnit XML.

use std::fmt::Write as _;

/// What became of the tests of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoutesReport {
    /// The file.
    pub file: String,
    /// The tests, in the order of the file.
    pub cases: Vec<CaseReport>,
}

/// What became of one test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseReport {
    /// Its name.
    pub name: String,
    /// What was expected and what was seen instead; empty when the test holds.
    pub failures: Vec<String>,
    /// For a test that failed: the way of each alert through the routes, and what was sent.
    pub explanation: Vec<String>,
    /// What was kept from being sent, and when.
    pub suppressed: Vec<String>,
}

impl CaseReport {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            failures: Vec::new(),
            explanation: Vec::new(),
            suppressed: Vec::new(),
        }
    }

    /// Whether everything was as expected.
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }

    /// All lines below the name.
    fn details(&self) -> Vec<&str> {
        let suppressed = if self.passed() {
            &[][..]
        } else {
            &self.suppressed
        };
        let lines = self
            .failures
            .iter()
            .chain(&self.explanation)
            .chain(suppressed);
        lines.map(String::as_str).collect()
    }
}

impl RoutesReport {
    /// Whether every test passed.
    pub fn passed(&self) -> bool {
        self.cases.iter().all(CaseReport::passed)
    }

    /// A line a test (`PASS name` or `FAIL name`), below a failed one its reasons and the routes that were taken.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for case in &self.cases {
            let verdict = if case.passed() { "PASS" } else { "FAIL" };
            let _ = writeln!(text, "{verdict} {}", case.name);
            for line in case.details() {
                let _ = writeln!(text, "    {line}");
            }
        }
        text
    }

    /// The same as JUnit XML.
    pub fn to_junit(&self) -> String {
        let failed = self.cases.iter().filter(|case| !case.passed()).count();
        let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        let _ = writeln!(
            xml,
            "<testsuite name=\"{}\" tests=\"{}\" failures=\"{failed}\">",
            escape(&self.file),
            self.cases.len()
        );
        for case in &self.cases {
            let head = format!(
                "  <testcase classname=\"{}\" name=\"{}\"",
                escape(&self.file),
                escape(&case.name)
            );
            match case.failures.first() {
                None => {
                    let _ = writeln!(xml, "{head}/>");
                }
                Some(first) => {
                    let details = escape(&case.details().join("\n"));
                    let _ = writeln!(
                        xml,
                        "{head}>\n    <failure message=\"{}\">{details}</failure>\n  </testcase>",
                        escape(first)
                    );
                }
            }
        }
        xml.push_str("</testsuite>\n");
        xml
    }
}

/// XML's escapes; characters that XML does not allow become a question mark.
fn escape(text: &str) -> String {
    text.chars().fold(String::new(), |mut escaped, character| {
        match character {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(character),
            control if control.is_control() => escaped.push('?'),
            other => escaped.push(other),
        }
        escaped
    })
}

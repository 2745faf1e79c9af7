//! What is wrong in a file, where, and how a person is shown it.

use std::fmt;
use std::fmt::Write as _;

use gameday_query::Position;
use gameday_yaml::Document;

/// One mistake in a rule file or test file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The name of the file.
    pub file: String,
    /// Where it stands.
    pub at: Position,
    /// How many characters it covers.
    pub length: usize,
    /// What is wrong.
    pub message: String,
    /// What would probably be right.
    pub hint: Option<String>,
    /// The line of the file.
    pub source_line: String,
    /// Whether the file can be used all the same.
    pub warning: bool,
}

impl Problem {
    pub(crate) fn new(at: Position, message: impl Into<String>) -> Self {
        Self {
            file: String::new(),
            at,
            length: 1,
            message: message.into(),
            hint: None,
            source_line: String::new(),
            warning: false,
        }
    }

    pub(crate) fn with_length(mut self, length: usize) -> Self {
        self.length = length.max(1);
        self
    }

    pub(crate) fn with_hint(self, hint: impl Into<String>) -> Self {
        self.with_hint_option(Some(hint.into()))
    }

    pub(crate) fn with_hint_option(mut self, hint: Option<String>) -> Self {
        self.hint = hint.or(self.hint);
        self
    }

    pub(crate) fn into_warning(mut self) -> Self {
        self.warning = true;
        self
    }

    /// The mistake with its line underlined, as rustc draws it.
    pub fn render(&self) -> String {
        let number = self.at.line.to_string();
        let margin = " ".repeat(number.len());
        let kind = if self.warning { "warning" } else { "error" };
        let drawn = self.source_line.replace('\t', " ");
        let before = " ".repeat(self.at.column - 1);
        let rest = drawn.chars().count().saturating_sub(self.at.column - 1);
        let carets = "^".repeat(self.length.min(rest).max(1));
        let mut text = format!(
            "{kind}: {}\n{margin}--> {}:{}:{}\n{margin} |\n{number} | {drawn}\n{margin} | {before}{carets}\n",
            self.message, self.file, self.at.line, self.at.column
        );
        if let Some(hint) = &self.hint {
            let _ = writeln!(text, "{margin} = help: {hint}");
        }
        text
    }
}

/// `rules.yml:12:5: message (hint)`.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}:{}: {}",
            self.file, self.at.line, self.at.column, self.message
        )?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

/// All mistakes of one or more files, at least one of them no mere warning.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct FileErrors(pub Vec<Problem>);

impl FileErrors {
    /// All mistakes with their lines underlined.
    pub fn render(&self) -> String {
        let drawn: Vec<String> = self.0.iter().map(Problem::render).collect();
        drawn.join("\n")
    }
}

/// A file may have this many mistakes before the rest is left unsaid.
const PROBLEM_LIMIT: usize = 1000;

/// Collects the mistakes of one file.
pub(crate) struct Problems<'a> {
    file: &'a str,
    lines: Vec<&'a str>,
    found: Vec<Problem>,
}

impl<'a> Problems<'a> {
    pub(crate) fn new(file: &'a str, text: &'a str) -> Self {
        Self {
            file,
            lines: text.split('\n').collect(),
            found: Vec::new(),
        }
    }

    /// Reads the YAML of the file; its mistakes are among those of the file.
    pub(crate) fn read(&mut self, text: &str) -> Document {
        let mut document = gameday_yaml::read(text);
        for mistake in std::mem::take(&mut document.mistakes) {
            let problem = Problem::new(mistake.at, mistake.message);
            self.add(
                problem
                    .with_length(mistake.length)
                    .with_hint_option(mistake.hint),
            );
        }
        document
    }

    pub(crate) fn add(&mut self, mut problem: Problem) {
        if self.found.len() >= PROBLEM_LIMIT {
            return;
        }
        problem.file = self.file.to_owned();
        let line = self.lines.get(problem.at.line.saturating_sub(1));
        problem.source_line =
            line.map_or_else(String::new, |line| line.trim_end_matches('\r').to_owned());
        self.found.push(problem);
    }

    /// What was found, in the order of the file, each thing once.
    pub(crate) fn finish(mut self) -> Vec<Problem> {
        self.found
            .sort_by(|left, right| (left.at, &left.message).cmp(&(right.at, &right.message)));
        self.found.dedup();
        self.found
    }
}

//! What the command says when it cannot do what was asked.

use std::fmt;
use std::process::ExitCode;

/// What kind of failure it is; each has an exit code of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailureKind {
    /// An assertion of a game day failed.
    Assertion,
    /// The command line was wrong.
    Usage,
    /// A scenario, a feature or a file under test is invalid.
    Scenario,
    /// The system under test or the stack could not be reached.
    Target,
    /// Nothing was proven: no load, no effect of the fault, or no data.
    Inconclusive,
    /// gameday has a bug.
    Internal,
}

impl FailureKind {
    /// The exit code of the process: 0 is "everything held".
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Assertion => 1,
            Self::Usage => 2,
            Self::Scenario => 3,
            Self::Target => 4,
            Self::Inconclusive => 5,
            // EX_SOFTWARE of sysexits.h.
            Self::Internal => 70,
        }
    }
}

/// The exit codes with their meanings, for `--help` and the documentation.
pub const EXIT_CODES: [(u8, &str); 7] = [
    (0, "every assertion held"),
    (1, "an assertion failed"),
    (2, "wrong usage"),
    (3, "invalid scenario, feature or file under test"),
    (4, "target unreachable"),
    (
        5,
        "inconclusive: no load, no effect of the fault, or no data",
    ),
    (70, "a bug in gameday"),
];

/// A failure with what may help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What kind it is.
    pub kind: FailureKind,
    /// What went wrong, with its place.
    pub message: String,
    /// What may help.
    pub hints: Vec<String>,
}

impl Failure {
    /// A failure without hints.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            hints: Vec::new(),
        }
    }

    /// A wrong command line.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Usage, message)
    }

    /// An invalid scenario, feature or file under test.
    pub fn scenario(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Scenario, message)
    }

    /// An unreachable target.
    pub fn target(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Target, message)
    }

    /// A bug.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Internal, message)
    }

    /// Adds what may help.
    #[must_use]
    pub fn hinted(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds the known names that are nearest to `name`.
    #[must_use]
    pub fn did_you_mean<'a>(
        self,
        name: &str,
        known: impl IntoIterator<Item = &'a str> + Clone,
    ) -> Self {
        let nearest = gameday_signal::nearest(name, known.clone());
        match nearest {
            Some(found) => self.hinted(format!("did you mean {found:?}?")),
            None => {
                let all: Vec<&str> = known.into_iter().take(12).collect();
                if all.is_empty() {
                    self
                } else {
                    self.hinted(format!("known names: {}", all.join(", ")))
                }
            }
        }
    }

    /// The exit code of the process.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.kind.exit_code())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.hints
            .iter()
            .try_for_each(|hint| write!(f, "\n  hint: {hint}"))
    }
}

impl std::error::Error for Failure {}

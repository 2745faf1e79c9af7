//! What the steps of one scenario share.

use std::fmt;
use std::path::PathBuf;

use gameday_signal::Timestamp;

use crate::failure::{Failure, FailureKind};
use crate::game::Game;
use crate::verify::ApiError;

/// The clock that a run is played on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ClockChoice {
    /// Time jumps to the next timer.
    #[default]
    Virtual,
    /// The wall clock, with sockets on loopback and child processes.
    Real,
}

/// How a run is played.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The folder that holds `scenarios/` and `features/`.
    pub root: PathBuf,
    /// The clock.
    pub clock: ClockChoice,
    /// Virtual seconds for each real one; none means as fast as it goes.
    pub speed: Option<f64>,
    /// What every duration of rules, routes, scrapes and windows is divided by, on the real clock.
    pub compress: Option<u32>,
    /// The seed, in the place of the scenario's.
    pub seed: Option<u64>,
    /// Whether progress is shown while it runs.
    pub progress: Progress,
    /// Make metrics of spans, because a step of the feature asks for them.
    pub span_metrics: bool,
    /// The program that is started as a child process for each service on the real clock; this program where none is given.
    pub service_program: Option<PathBuf>,
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Not at all.
    Silent,
    /// A line now and then.
    Lines,
    /// One line that changes, on a terminal.
    Terminal,
}

impl RunOptions {
    /// A run in virtual time, as fast as it goes, without progress.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            clock: ClockChoice::Virtual,
            speed: None,
            compress: None,
            seed: None,
            progress: Progress::Silent,
            span_metrics: false,
            service_program: None,
        }
    }
}

/// Why a step did not hold.
#[derive(Clone, Debug, PartialEq)]
pub struct StepError {
    /// What kind of failure it is.
    pub kind: FailureKind,
    /// What was expected.
    pub expected: String,
    /// What was observed.
    pub observed: String,
    /// The query that was asked.
    pub query: String,
    /// Where to look further.
    pub link: Option<String>,
}

impl StepError {
    /// An assertion that failed.
    pub fn failed(expected: impl Into<String>, observed: impl Into<String>) -> Self {
        Self {
            kind: FailureKind::Assertion,
            expected: expected.into(),
            observed: observed.into(),
            query: String::new(),
            link: None,
        }
    }

    /// Nothing was proven.
    pub fn inconclusive(expected: impl Into<String>, observed: impl Into<String>) -> Self {
        Self {
            kind: FailureKind::Inconclusive,
            ..Self::failed(expected, observed)
        }
    }

    /// The feature or the scenario is wrong.
    pub fn invalid(observed: impl Into<String>) -> Self {
        Self {
            kind: FailureKind::Scenario,
            ..Self::failed("a valid step", observed)
        }
    }

    /// gameday has a bug.
    pub fn internal(observed: impl Into<String>) -> Self {
        Self {
            kind: FailureKind::Internal,
            ..Self::failed("no bug", observed)
        }
    }

    /// Adds the query that was asked.
    #[must_use]
    pub fn asked(mut self, query: impl Into<String>) -> Self {
        self.query = query.into();
        self
    }

    /// Adds where to look further.
    #[must_use]
    pub fn linked(mut self, link: impl Into<String>) -> Self {
        self.link = Some(link.into());
        self
    }
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            FailureKind::Assertion | FailureKind::Inconclusive => {
                write!(f, "expected {}, observed {}", self.expected, self.observed)?;
            }
            _ => f.write_str(&self.observed)?,
        }
        if self.query.is_empty() {
            Ok(())
        } else {
            write!(f, " (query: {})", self.query)
        }
    }
}

impl From<Failure> for StepError {
    fn from(failure: Failure) -> Self {
        Self {
            kind: failure.kind,
            ..Self::failed("the game day can be played", failure.to_string())
        }
    }
}

impl From<ApiError> for StepError {
    fn from(error: ApiError) -> Self {
        let kind = match error {
            ApiError::Unreachable(_) => FailureKind::Target,
            ApiError::Refused { .. } | ApiError::Shape { .. } => FailureKind::Scenario,
        };
        Self {
            kind,
            ..Self::failed("the stack answers", error.to_string())
        }
    }
}

/// How a step went.
#[derive(Clone, Debug, PartialEq)]
pub struct PlayedStep {
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// What was observed, or why it did not hold.
    pub outcome: Result<String, StepError>,
}

/// The world of one scenario: its game, once a step has started it, and how its steps went.
pub struct World {
    /// How the run is played.
    pub options: RunOptions,
    /// The game, once "Given the game day ..." has started it.
    pub game: Option<Game>,
    /// The steps that were played.
    pub played: Vec<PlayedStep>,
    /// The words of the step that is being played.
    pub step_text: String,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World")
            .field("played", &self.played.len())
            .finish_non_exhaustive()
    }
}

impl World {
    /// A world in which nothing has happened.
    pub fn new(options: RunOptions) -> Self {
        Self {
            options,
            game: None,
            played: Vec::new(),
            step_text: String::new(),
        }
    }

    /// The game.
    ///
    /// # Errors
    /// Where no step has started one.
    pub fn game(&mut self) -> Result<&mut Game, StepError> {
        self.game.as_mut().ok_or_else(|| {
            StepError::invalid("no game day is played: begin with: Given the game day \"...\"")
        })
    }

    /// The time on the clock of the game, the epoch before there is one.
    pub fn now(&self) -> Timestamp {
        self.game.as_ref().map_or(Timestamp::EPOCH, Game::now)
    }
}

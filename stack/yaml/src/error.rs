//! What is wrong in a file, and where.

use gameday_query::Position;
use gameday_signal::did_you_mean;

/// One mistake in a text, as far as the text alone tells.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}:{}: {message}", at.line, at.column)]
pub struct Mistake {
    /// Where it stands.
    pub at: Position,
    /// How many characters it covers.
    pub length: usize,
    /// What is wrong, with a hint where it belongs to the sentence.
    pub message: String,
    /// What would probably be right.
    pub hint: Option<String>,
}

impl Mistake {
    /// A mistake of one character without a hint.
    pub fn new(at: Position, message: impl Into<String>) -> Self {
        Self {
            at,
            length: 1,
            message: message.into(),
            hint: None,
        }
    }
}

/// Why a file is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// A place in the file is wrong.
    #[error("{file}:{}:{}: {reason}\n{snippet}", at.line, at.column)]
    At {
        /// The name of the file.
        file: String,
        /// The place.
        at: Position,
        /// What is wrong, and a hint.
        reason: String,
        /// The line itself, with a mark under the place.
        snippet: String,
    },
    /// The file as a whole is wrong.
    #[error("{file}: {reason}")]
    Whole {
        /// The name of the file.
        file: String,
        /// What is wrong.
        reason: String,
    },
}

/// So many characters of a line are shown.
const SHOWN_MAX: usize = 160;

impl FileError {
    /// An error at a place of a file whose text is `text`.
    pub fn at(file: &str, text: &str, at: Position, reason: String) -> Self {
        let source = text.lines().nth(at.line - 1).unwrap_or_default();
        // Of a very long line only what is near is shown. A tab takes one column here as in the mark below it.
        let cut = at.column.saturating_sub(SHOWN_MAX / 2);
        let near = source.chars().skip(cut).take(SHOWN_MAX);
        let source: String = near
            .map(|one| if one == '\t' { ' ' } else { one })
            .collect();
        let indent = " ".repeat(at.column - 1 - cut.min(at.column - 1));
        Self::At {
            file: file.to_owned(),
            at,
            reason,
            snippet: format!("{source}\n{indent}^"),
        }
    }

    /// What is wrong, without the place.
    pub fn reason(&self) -> &str {
        match self {
            Self::At { reason, .. } | Self::Whole { reason, .. } => reason,
        }
    }
}

/// What to say of a name that is none of `known`: the nearest of them, or all where they are few.
pub(crate) fn unknown(kind: &str, name: &str, known: &[&str]) -> String {
    const LISTED_MAX: usize = 12;
    let listed = || {
        let names: Vec<String> = known.iter().map(|own| format!("`{own}`")).collect();
        names.join(", ")
    };
    match did_you_mean(name, known.iter().copied()) {
        Some(hint) => format!("unknown {kind} `{name}`, {hint}"),
        None if (1..=LISTED_MAX).contains(&known.len()) => {
            format!("unknown {kind} `{name}`, expected one of {}", listed())
        }
        None => format!("unknown {kind} `{name}`"),
    }
}

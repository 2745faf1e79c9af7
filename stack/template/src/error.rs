//! What is wrong with a template.

/// Where in a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The name of the template.
    pub template: String,
    /// The line, from 1.
    pub line: usize,
    /// The byte in the line, from 1.
    pub column: usize,
    /// The byte in the text, from 0.
    pub offset: usize,
}

/// What is wrong with a template; the text is the one that Go gives.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text is no template.
    #[error("template: {}:{}: {message}", place.template, place.line)]
    Parse {
        /// Where.
        place: Box<Place>,
        /// What.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// The template cannot be run on this data.
    #[error("template: {}:{}:{}: executing {template:?} at <{context}>: {message}", place.template, place.line, place.column - 1)]
    Execute {
        /// Where.
        place: Box<Place>,
        /// The template that ran.
        template: String,
        /// The part that was being evaluated.
        context: String,
        /// What.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// A template of this name is not in the set.
    #[error("template: {name:?} not defined")]
    NotDefined {
        /// The name that was asked for.
        name: String,
    },
    /// The HTML document ends where a value could not be escaped safely.
    #[error("html/template: {name}: ends in a non-text context: inside of {inside}")]
    UnfinishedHtml {
        /// The template.
        name: String,
        /// What it ends in.
        inside: String,
    },
    /// The template is too long.
    #[error("template: {name}: the text has {bytes} bytes, more than the limit of {limit}")]
    TooLarge {
        /// The template.
        name: String,
        /// Its length.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
}

impl Error {
    /// Where it is, if it is at one place.
    pub fn place(&self) -> Option<&Place> {
        match self {
            Self::Parse { place, .. } | Self::Execute { place, .. } => Some(place),
            Self::NotDefined { .. } | Self::UnfinishedHtml { .. } | Self::TooLarge { .. } => None,
        }
    }

    /// What is wrong, without the place.
    pub fn message(&self) -> String {
        match self {
            Self::Parse { message, .. } | Self::Execute { message, .. } => message.clone(),
            Self::NotDefined { .. } | Self::UnfinishedHtml { .. } | Self::TooLarge { .. } => {
                self.to_string()
            }
        }
    }

    /// What to do about it, where that is known.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Parse { hint, .. } | Self::Execute { hint, .. } => hint.as_deref(),
            Self::NotDefined { .. } | Self::UnfinishedHtml { .. } | Self::TooLarge { .. } => None,
        }
    }
}

/// The place of byte `offset` of `text`.
pub(crate) fn place_of(template: &str, text: &str, offset: usize) -> Box<Place> {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    let before = &text[..offset];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Box::new(Place {
        template: template.to_owned(),
        line: 1 + before.matches('\n').count(),
        column: offset - line_start + 1,
        offset,
    })
}
